//! A child that shares our memory until it executes a program: clone3(2) with CLONE_VM and, mostly, CLONE_VFORK.
//!
//! A plain fork copies page tables, which costs more the larger the parent grows (35 µs and up); this does not.
//! What the child does between clone and exec is here, whole, and is system calls only: it runs on the parent's
//! memory while the parent's thread sleeps, or does what the child waits for.

use crate::exec::{Words, execve, execve_fd, exit};
use crate::raw::answer;
use crate::{fd, signal};
use core::cell::Cell;
use core::ffi::CStr;
use core::mem::MaybeUninit;
use core::sync::atomic::{AtomicU32, Ordering};
use linux_raw_sys::general::{
    __NR_clone3, CLONE_CHILD_CLEARTID, CLONE_CLEAR_SIGHAND, CLONE_INTO_CGROUP, CLONE_PIDFD, CLONE_VFORK, CLONE_VM,
    SIGCHLD, clone_args,
};
use rustix::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::Errno;
use rustix::process::Pid;
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, configure_capability_in_ambient_set, futex, set_capabilities,
};

/// What the child is, and what it becomes.
pub struct Spawn<'a> {
    /// `CLONE_NEW*` bits.
    pub namespaces: u32,
    /// The cgroup v2 directory to be born in.
    pub cgroup: Option<BorrowedFd<'a>>,
    /// The program.
    pub program: Program<'a>,
    /// Its argument vector.
    pub args: &'a Words<'a>,
    /// Its environment.
    pub env: &'a Words<'a>,
    /// Its working directory; none: the caller's.
    pub directory: Option<BorrowedFd<'a>>,
    /// Whether it leads a process group of its own, so that it can be killed with its children.
    pub group: Group,
    /// Its standard input, output and error, and then it has no other; none: the caller's. None is a descriptor below 3.
    pub stdio: Option<[BorrowedFd<'a>; 3]>,
    /// A seccomp filter and its flags, loaded when nothing but the program is left.
    pub filter: Option<(&'a [u8], u32)>,
    /// Descriptors that it inherits under their numbers. Others are closed by being close-on-exec.
    pub keep: &'a [BorrowedFd<'a>],
    /// Signals that this process ignores (bit 0 is signal 1), which the child is not to inherit.
    pub ignored: u64,
    /// Its oom_score_adj, in decimal, written through the caller's /proc; empty: the caller's.
    pub oom_score: &'a [u8],
    /// Whether the child's capabilities have to be carried over the exec: so for a user that is not root in
    /// the new program's eyes, which is everybody while a user namespace has no id map yet.
    pub carry_capabilities: bool,
}

/// Where the program is.
#[derive(Clone, Copy)]
pub enum Program<'a> {
    /// The file behind a descriptor.
    File(BorrowedFd<'a>),
    /// A path.
    Path(&'a CStr),
}

/// Which process group the child is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// The caller's.
    Same,
    /// One of its own.
    Own,
    /// One of its own, in the foreground of the terminal that is its standard input.
    Foreground,
}

/// A child that has executed its program.
pub struct Child {
    /// Its number in the caller's pid namespace.
    pub pid: Pid,
    /// Itself: unlike the number never somebody else.
    pub pidfd: OwnedFd,
    /// Why it does not have the oom_score_adj that was asked for: only CAP_SYS_RESOURCE may lower it.
    pub oom_score: Result<(), Errno>,
}

/// What went wrong, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// clone3(2) itself: no child has been.
    Clone(Errno),
    /// The child could not execute the program. It is gone, and reaped.
    Exec(Errno),
}

/// Shared with the child, which writes `errno` before it leaves.
struct Shared<'a> {
    spawn: &'a Spawn<'a>,
    /// Whether it may go on.
    gate: AtomicU32,
    /// Not zero as long as it shares our memory: set to it by the kernel.
    here: AtomicU32,
    errno: Cell<i32>,
    oom_score: Cell<i32>,
}

const SHUT: u32 = 0;
const OPEN: u32 = 1;
/// For ever.
const CLOSED: u32 = 2;

/// Three small frames deep. Every page of it is touched by the probe of the frame it stands in.
const STACK: usize = 8 << 10;

/// 16-byte alignment is what both ABIs want of a stack.
#[repr(align(16))]
struct Stack(#[allow(dead_code)] [MaybeUninit<u8>; STACK]);

/// Start the child. Returns when it has executed its program, or failed to.
pub fn spawn(spawn: &Spawn<'_>) -> Result<Child, Failure> {
    start(spawn, None::<fn() -> Result<(), Errno>>)
}

/// The same with something to do by the parent when the child is there, and before it executes its program: the child waits
/// for it. If that fails, the child leaves.
pub fn spawn_after(spawn: &Spawn<'_>, first: impl FnOnce() -> Result<(), Errno>) -> Result<Child, Failure> {
    start(spawn, Some(first))
}

fn start(spawn: &Spawn<'_>, first: Option<impl FnOnce() -> Result<(), Errno>>) -> Result<Child, Failure> {
    let mut stack = Stack([MaybeUninit::uninit(); STACK]);
    let gate = if first.is_some() { SHUT } else { OPEN };
    let shared = Shared {
        spawn,
        gate: AtomicU32::new(gate),
        here: AtomicU32::new(1),
        errno: Cell::new(0),
        oom_score: Cell::new(0),
    };
    let mut pidfd = -1i32;
    // One of these tells when the child does not share our memory any more.
    let leaves = if first.is_some() { CLONE_CHILD_CLEARTID } else { CLONE_VFORK };
    let mut flags = u64::from(spawn.namespaces) | u64::from(CLONE_VM | leaves | CLONE_PIDFD) | CLONE_CLEAR_SIGHAND;
    if spawn.cgroup.is_some() {
        flags |= CLONE_INTO_CGROUP;
    }
    let args = clone_args {
        flags,
        pidfd: (&raw mut pidfd).addr() as u64,
        child_tid: shared.here.as_ptr().addr() as u64,
        parent_tid: 0,
        exit_signal: u64::from(SIGCHLD),
        stack: (&raw mut stack).addr() as u64,
        stack_size: STACK as u64,
        tls: 0,
        set_tid: 0,
        set_tid_size: 0,
        cgroup: spawn.cgroup.map_or(0, |fd| fd.as_raw_fd() as u64),
    };
    // SAFETY: the child runs `child` on its own stack, which outlives it: CLONE_VFORK, or what follows, holds us until it has
    // left.
    let pid = unsafe { clone3(&args, child, (&raw const shared).cast()) }.map_err(Failure::Clone)?;
    if let Some(first) = first {
        let gate = if first().is_ok() { OPEN } else { CLOSED };
        shared.gate.store(gate, Ordering::Release);
        let _ = futex::wake(&shared.gate, futex::Flags::empty(), 1);
        while shared.here.load(Ordering::Acquire) != 0 {
            let _ = futex::wait(&shared.here, futex::Flags::empty(), 1, None);
        }
    }
    let pid = Pid::from_raw(pid as i32).ok_or(Failure::Clone(Errno::CHILD))?;
    // SAFETY: the kernel wrote a fresh descriptor into `pidfd` and nobody else has it.
    let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
    match shared.errno.get() {
        0 => {
            let oom_score = match shared.oom_score.get() {
                0 => Ok(()),
                errno => Err(Errno::from_raw_os_error(errno)),
            };
            Ok(Child { pid, pidfd, oom_score })
        }
        errno => {
            let _ = rustix::process::waitpid(Some(pid), rustix::process::WaitOptions::empty());
            Err(Failure::Exec(Errno::from_raw_os_error(errno)))
        }
    }
}

/// The child's whole life before its program. No heap, no lock, no panic: the memory is the parent's.
extern "C" fn child(shared: *const ()) -> ! {
    // SAFETY: `spawn` passed a `Shared` that outlives us.
    let shared = unsafe { &*shared.cast::<Shared<'_>>() };
    let spawn = shared.spawn;
    while shared.gate.load(Ordering::Acquire) == SHUT {
        let _ = futex::wait(&shared.gate, futex::Flags::empty(), SHUT, None);
    }
    if shared.gate.load(Ordering::Acquire) == CLOSED {
        shared.errno.set(Errno::CANCELED.raw_os_error());
        exit(127)
    }
    if let Err(errno) = set_oom_score(spawn.oom_score) {
        shared.oom_score.set(errno.raw_os_error());
    }
    let errno = match prepare(spawn) {
        Ok(()) => match spawn.program {
            Program::File(file) => execve_fd(file, spawn.args, spawn.env),
            Program::Path(path) => execve(path, spawn.args, spawn.env),
        },
        Err(errno) => errno,
    };
    shared.errno.set(errno.raw_os_error());
    exit(127)
}

/// SIGKILL and SIGSTOP.
const UNCHANGEABLE: [u32; 2] = [9, 19];

fn prepare(spawn: &Spawn<'_>) -> Result<(), Errno> {
    if spawn.group != Group::Same {
        rustix::process::setpgid(None, None)?;
    }
    if spawn.group == Group::Foreground {
        // Before the mask is emptied: SIGTTOU would stop a process of the background that does this.
        let [input, ..] = fd::standard();
        let _ = rustix::termios::tcsetpgrp(input, rustix::process::getpid());
    }
    signal::set_mask(0)?;
    if let Some(directory) = spawn.directory {
        rustix::process::fchdir(directory)?;
    }
    if let Some([input, output, errors]) = spawn.stdio {
        rustix::stdio::dup2_stdin(input)?;
        rustix::stdio::dup2_stdout(output)?;
        rustix::stdio::dup2_stderr(errors)?;
        // What init inherited on purpose is not close-on-exec, and not for this one.
        fd::close_on_exec_from(3)?;
    }
    for number in (1..=64).filter(|number| spawn.ignored >> (number - 1) & 1 == 1 && !UNCHANGEABLE.contains(number)) {
        signal::set_default(number)?;
    }
    for fd in spawn.keep {
        fd::keep_over_exec(*fd)?;
    }
    if spawn.carry_capabilities {
        carry_capabilities()?;
    }
    match spawn.filter {
        Some((filter, flags)) => crate::filter::load(filter, flags).map(drop),
        None => Ok(()),
    }
}

/// In procfs a process that shares its memory by CLONE_VFORK has a score of its own: proc(5), fs/proc/base.c.
fn set_oom_score(score: &[u8]) -> Result<(), Errno> {
    if score.is_empty() {
        return Ok(());
    }
    let file = openat(CWD, c"/proc/self/oom_score_adj", OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?;
    let written = rustix::io::write(&file, score).map(drop);
    // The exec closes it.
    core::mem::forget(file);
    written
}

/// Raise every capability we have as inheritable and ambient: the only kind that survives the exec of a program
/// by a user that is not root. Init clears both sets again.
fn carry_capabilities() -> Result<(), Errno> {
    let held = capabilities(None)?;
    let permitted = held.permitted;
    set_capabilities(None, CapabilitySets { effective: held.effective, permitted, inheritable: permitted })?;
    for number in (0..64u32).filter(|number| permitted.contains(CapabilitySet::from_bits_retain(1 << number))) {
        configure_capability_in_ambient_set(CapabilitySet::from_bits_retain(1 << number), true)?;
    }
    Ok(())
}

/// clone3(2) whose child calls `entry(data)` on the stack that `args` names, or on its copy of ours.
///
/// # Safety
/// `args` names a stack that outlives the child, or asks for a copy of memory; `entry` does only what is sound on
/// shared memory.
#[cfg(target_arch = "x86_64")]
pub(crate) unsafe fn clone3(
    args: &clone_args,
    entry: extern "C" fn(*const ()) -> !,
    data: *const (),
) -> Result<usize, Errno> {
    let ret: isize;
    // SAFETY: the parent comes out at 1: with nothing changed but rax, rcx and r11. The child never comes out:
    // its stack is new and aligned by us, and `entry` does not return.
    unsafe {
        core::arch::asm!(
            "syscall",
            "test rax, rax",
            "jnz 2f",
            "xor ebp, ebp",
            "and rsp, -16",
            "mov rdi, r13",
            "call r12",
            "ud2",
            "2:",
            inlateout("rax") __NR_clone3 as usize => ret,
            in("rdi") args, in("rsi") size_of::<clone_args>(),
            in("r12") entry, in("r13") data,
            lateout("rcx") _, lateout("r11") _,
        );
    }
    answer(ret)
}

/// clone3(2) whose child calls `entry(data)` on the stack that `args` names, or on its copy of ours.
///
/// # Safety
/// `args` names a stack that outlives the child, or asks for a copy of memory; `entry` does only what is sound on
/// shared memory.
#[cfg(target_arch = "aarch64")]
pub(crate) unsafe fn clone3(
    args: &clone_args,
    entry: extern "C" fn(*const ()) -> !,
    data: *const (),
) -> Result<usize, Errno> {
    let ret: isize;
    // SAFETY: the parent comes out at 2: with nothing changed but x0. The child never comes out: its stack is
    // new, aligned by `Stack`, and `entry` does not return.
    unsafe {
        core::arch::asm!(
            "svc 0",
            "cbnz x0, 2f",
            "mov x29, xzr",
            "mov x30, xzr",
            "mov x0, x21",
            "blr x20",
            "brk 1",
            "2:",
            inlateout("x0") args => ret,
            in("x1") size_of::<clone_args>(), in("x8") __NR_clone3 as usize,
            in("x20") entry, in("x21") data,
        );
    }
    answer(ret)
}
