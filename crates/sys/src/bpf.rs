//! bpf(2): load a program that guards a cgroup's devices, and attach it.

use crate::raw::syscall3;
use linux_raw_sys::general::__NR_bpf;
use rustix::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use rustix::io::Errno;

const BPF_PROG_LOAD: usize = 5;
const BPF_PROG_ATTACH: usize = 8;
const BPF_PROG_DETACH: usize = 9;
const BPF_PROG_GET_FD_BY_ID: usize = 13;
const BPF_PROG_QUERY: usize = 16;
const BPF_PROG_TYPE_CGROUP_DEVICE: u32 = 15;
const BPF_CGROUP_DEVICE: u32 = 6;
const BPF_F_ALLOW_MULTI: u32 = 1 << 1;
const BPF_F_REPLACE: u32 = 1 << 2;

/// `union bpf_attr`, or rather the first words of the members used here, and zeroes. The kernel wants every byte
/// that a call does not use to be zero, and kernels 6.17 to 7.1 write past an attribute that is shorter than theirs.
#[repr(C, align(8))]
struct Attr([u32; 64]);

impl Attr {
    const ZERO: Self = Self([0; 64]);

    /// Put a pointer where the kernel has an aligned u64: at word `at`, which is even.
    fn pointer(&mut self, at: usize, address: usize) {
        let [a, b, c, d, e, f, g, h] = (address as u64).to_ne_bytes();
        self.0[at] = u32::from_ne_bytes([a, b, c, d]);
        self.0[at + 1] = u32::from_ne_bytes([e, f, g, h]);
    }
}

/// Load a `BPF_PROG_TYPE_CGROUP_DEVICE` program (Linux 4.15) of instructions as the kernel lays them out.
///
/// EPERM: no CAP_BPF (before 5.8, no CAP_SYS_ADMIN), or, before 5.11, RLIMIT_MEMLOCK is used up.
/// EACCES or EINVAL: the verifier refused the program.
pub fn load_device_program(instructions: &[u64]) -> Result<OwnedFd, Errno> {
    let mut attr = Attr::ZERO;
    attr.0[0] = BPF_PROG_TYPE_CGROUP_DEVICE;
    attr.0[1] = u32::try_from(instructions.len()).map_err(|_| Errno::TOOBIG)?;
    attr.pointer(2, instructions.as_ptr().addr());
    attr.pointer(4, c"Apache".as_ptr().addr());
    // What bpftool shows it as, 16 bytes.
    attr.0[12..15].copy_from_slice(&[b"rt_d", b"evic", b"es\0\0"].map(|part| u32::from_ne_bytes(*part)));
    // SAFETY: the kernel reads the instructions and the licence, both alive past the call, and writes nothing.
    let fd = unsafe { call(BPF_PROG_LOAD, &mut attr) }?;
    owned(fd)
}

/// What the kernel has answered instead of an error, as the descriptor that it is.
fn owned(fd: usize) -> Result<OwnedFd, Errno> {
    let fd = RawFd::try_from(fd).map_err(|_| Errno::BADF)?;
    // SAFETY: the kernel just made this descriptor (close-on-exec, always) and nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Attach a device program to a cgroup v2 directory, beside those that are there: a device may be used only where
/// all of them agree. It lives as long as the cgroup; the descriptor may be closed.
///
/// EPERM: no CAP_NET_ADMIN, or a program above was attached without BPF_F_ALLOW_MULTI.
pub fn attach_device_program(cgroup: BorrowedFd<'_>, program: BorrowedFd<'_>) -> Result<(), Errno> {
    // SAFETY: no word of this member is a pointer.
    unsafe { call(BPF_PROG_ATTACH, &mut attachment(cgroup, program, BPF_F_ALLOW_MULTI)) }.map(drop)
}

/// Take back what [`attach_device_program`] did. ENOENT: it is not attached.
pub fn detach_device_program(cgroup: BorrowedFd<'_>, program: BorrowedFd<'_>) -> Result<(), Errno> {
    // SAFETY: no word of this member is a pointer.
    unsafe { call(BPF_PROG_DETACH, &mut attachment(cgroup, program, 0)) }.map(drop)
}

/// Put a device program in the place of another one that is attached to the cgroup, in one step (Linux 5.6). ENOENT:
/// the other one is not.
pub fn replace_device_program(
    cgroup: BorrowedFd<'_>,
    program: BorrowedFd<'_>,
    old: BorrowedFd<'_>,
) -> Result<(), Errno> {
    let mut attr = attachment(cgroup, program, BPF_F_ALLOW_MULTI | BPF_F_REPLACE);
    attr.0[4] = old.as_raw_fd().cast_unsigned();
    // SAFETY: no word of this member is a pointer.
    unsafe { call(BPF_PROG_ATTACH, &mut attr) }.map(drop)
}

/// Find the device programs that are attached to the cgroup itself (Linux 4.15): their ids go to the front of `ids`.
/// How many there are. ENOSPC: more than fit.
pub fn device_programs(cgroup: BorrowedFd<'_>, ids: &mut [u32]) -> Result<usize, Errno> {
    let mut attr = Attr::ZERO;
    attr.0[0] = cgroup.as_raw_fd().cast_unsigned();
    attr.0[1] = BPF_CGROUP_DEVICE;
    attr.pointer(4, ids.as_mut_ptr().expose_provenance());
    attr.0[6] = u32::try_from(ids.len()).map_err(|_| Errno::TOOBIG)?;
    // SAFETY: the kernel writes as many ids as we say there is room for, to memory that we alone have.
    unsafe { call(BPF_PROG_QUERY, &mut attr) }?;
    Ok(attr.0[6] as usize)
}

/// A program that is loaded, by its id (Linux 4.13). ENOENT: it is gone. EPERM: no CAP_SYS_ADMIN.
pub fn program_by_id(id: u32) -> Result<OwnedFd, Errno> {
    let mut attr = Attr::ZERO;
    attr.0[0] = id;
    // SAFETY: no word of this member is a pointer.
    owned(unsafe { call(BPF_PROG_GET_FD_BY_ID, &mut attr) }?)
}

fn attachment(cgroup: BorrowedFd<'_>, program: BorrowedFd<'_>, flags: u32) -> Attr {
    let mut attr = Attr::ZERO;
    attr.0[0] = cgroup.as_raw_fd().cast_unsigned();
    attr.0[1] = program.as_raw_fd().cast_unsigned();
    attr.0[2] = BPF_CGROUP_DEVICE;
    attr.0[3] = flags;
    attr
}

/// # Safety
/// The pointers in `attr` are good for what `command` does with them.
unsafe fn call(command: usize, attr: &mut Attr) -> Result<usize, Errno> {
    // SAFETY: `attr` is as long as we say and ours to be written to; the caller vouches for what it points to.
    unsafe { syscall3(__NR_bpf, command, (&raw mut *attr).expose_provenance(), size_of::<Attr>()) }
}
