//! Whether this kernel has a call, and lets us make it. Each is asked by a mistake that the kernel notices before it does
//! anything, so nothing happens, whoever asks.
//!
//! `Ok` means yes. ENOSYS: there is no such call. Anything else, mostly EPERM: a filter or a security module is in the way.

use crate::raw::syscall6;
use linux_raw_sys::general::{
    __NR_bpf, __NR_clone3, __NR_close_range, __NR_keyctl, __NR_mount_setattr, __NR_open_tree, CLONE_INTO_CGROUP,
    clone_args,
};
use rustix::io::Errno;

/// No call has a flag, a command or a descriptor of this number.
const WRONG: usize = u32::MAX as usize;

/// open_tree(2), Linux 5.2, with which fsopen(2), fsmount(2) and move_mount(2) came.
pub fn open_tree() -> Result<(), Errno> {
    // SAFETY: refused for its flags, before the path is read.
    expect(Errno::INVAL, unsafe { syscall6(__NR_open_tree, [WRONG, 0, WRONG, 0, 0, 0]) })
}

/// mount_setattr(2), Linux 5.12.
pub fn mount_setattr() -> Result<(), Errno> {
    // SAFETY: refused for its flags, before the path and the attributes are read.
    expect(Errno::INVAL, unsafe { syscall6(__NR_mount_setattr, [WRONG, 0, WRONG, 0, 0, 0]) })
}

/// clone3(2) with CLONE_INTO_CGROUP, Linux 5.7. E2BIG: there is the call, but it knows no cgroup.
pub fn clone_into_cgroup() -> Result<(), Errno> {
    let args = clone_args {
        flags: CLONE_INTO_CGROUP,
        pidfd: 0,
        child_tid: 0,
        parent_tid: 0,
        // No signal: what a kernel refuses that has read all of this.
        exit_signal: u64::MAX,
        stack: 0,
        stack_size: 0,
        tls: 0,
        set_tid: 0,
        set_tid_size: 0,
        // A kernel that does not know the word wants it to be zero.
        cgroup: 1,
    };
    // SAFETY: the kernel reads `args`, refuses them for the signal, and makes no child.
    expect(Errno::INVAL, unsafe {
        syscall6(__NR_clone3, [(&raw const args).addr(), size_of::<clone_args>(), 0, 0, 0, 0])
    })
}

/// close_range(2) with CLOSE_RANGE_CLOEXEC, Linux 5.11. EINVAL: there is the call without the flag.
pub fn close_on_exec_range() -> Result<(), Errno> {
    const CLOSE_RANGE_CLOEXEC: usize = 1 << 2;
    // SAFETY: no descriptor has this number, so none is marked.
    unsafe { syscall6(__NR_close_range, [WRONG, WRONG, CLOSE_RANGE_CLOEXEC, 0, 0, 0]) }.map(drop)
}

/// keyctl(2).
pub fn keyctl() -> Result<(), Errno> {
    // SAFETY: there is no such command; the arguments are not looked at.
    expect(Errno::OPNOTSUPP, unsafe { syscall6(__NR_keyctl, [WRONG, 0, 0, 0, 0, 0]) })
}

/// bpf(2). EPERM is also what a user without CAP_BPF hears where `kernel.unprivileged_bpf_disabled` is set.
pub fn bpf() -> Result<(), Errno> {
    // SAFETY: there is no such command, and attributes of no bytes are not read.
    expect(Errno::INVAL, unsafe { syscall6(__NR_bpf, [WRONG, 0, 0, 0, 0, 0]) })
}

/// The answer of a kernel that knows the call.
fn expect(known: Errno, answer: Result<usize, Errno>) -> Result<(), Errno> {
    match answer {
        Err(errno) if errno != known => Err(errno),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn call_that_no_kernel_has_is_missing() {
        // SAFETY: there is no such call.
        let answer = unsafe { syscall6(0xffff, [WRONG, 0, WRONG, 0, 0, 0]) };
        assert_eq!(expect(Errno::INVAL, answer), Err(Errno::NOSYS));
    }

    #[test]
    fn every_probe_is_answered() {
        // What rt can't do without, and what these tests' machines have: Linux 5.12.
        assert_eq!((open_tree(), mount_setattr(), close_on_exec_range()), (Ok(()), Ok(()), Ok(())));
        assert_eq!(clone_into_cgroup(), Ok(()));
        for answer in [keyctl(), bpf()] {
            assert!(matches!(answer, Ok(()) | Err(Errno::PERM | Errno::NOSYS)), "{answer:?}");
        }
    }
}
