//! Signal dispositions and mask of the calling process, put back to what a fresh program expects.

use crate::raw::syscall6;
use linux_raw_sys::general::{
    __NR_kill, __NR_pidfd_send_signal, __NR_rt_sigaction, __NR_rt_sigprocmask, __NR_signalfd4, SIG_SETMASK,
};
use rustix::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use rustix::io::Errno;
use rustix::process::Signal;

/// The kernel's own signal set has 64 bits on every architecture but MIPS.
const SET: usize = 8;

/// Block exactly the signals of `mask` (bit 0 is signal 1): 0 lets every one through.
pub fn set_mask(mask: u64) -> Result<(), Errno> {
    let args = [SIG_SETMASK as usize, (&raw const mask).addr(), 0, SET, 0, 0];
    // SAFETY: the kernel reads eight bytes, and writes none: the old mask is not asked for.
    unsafe { syscall6(__NR_rt_sigprocmask, args) }.map(drop)
}

/// SIG_DFL for `signal`. An ignored signal stays ignored over clone and exec, whatever CLONE_CLEAR_SIGHAND does.
pub fn set_default(signal: u32) -> Result<(), Errno> {
    // `struct kernel_sigaction`, all zero: SIG_DFL, no flags, empty mask. 32 bytes cover every layout.
    let action = [0u64; 4];
    let args = [signal as usize, (&raw const action).addr(), 0, SET, 0, 0];
    // SAFETY: the kernel reads one zeroed sigaction; no handler of ours is installed.
    unsafe { syscall6(__NR_rt_sigaction, args) }.map(drop)
}

/// A descriptor, close-on-exec, that is readable while a blocked signal of `mask` is pending: signalfd(2).
pub fn descriptor(mask: u64) -> Result<OwnedFd, Errno> {
    const SFD_CLOEXEC: usize = 0o2_000_000;
    let args = [usize::MAX, (&raw const mask).addr(), SET, SFD_CLOEXEC, 0, 0];
    // SAFETY: the kernel reads eight bytes; -1 asks for a new descriptor.
    let fd = unsafe { syscall6(__NR_signalfd4, args) }?;
    // SAFETY: a fresh descriptor that nobody else has.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

/// The number of the signal that is pending on a [`descriptor`], if one is.
pub fn read(signals: BorrowedFd<'_>) -> Option<u8> {
    // `struct signalfd_siginfo`: 128 bytes, the signal's number first.
    let mut info = [0u8; 128];
    let len = rustix::io::read(signals, &mut info).ok()?;
    (len == info.len()).then(|| info[0])
}

/// kill(2) of process `pid`, greater than 0, with signal `number`, real-time ones included.
pub fn kill(pid: rustix::process::Pid, number: i32) -> Result<(), Errno> {
    let args = [pid.as_raw_nonzero().get() as usize, number as usize, 0, 0, 0, 0];
    // SAFETY: two numbers.
    unsafe { syscall6(__NR_kill, args) }.map(drop)
}

/// pidfd_send_signal(2) of signal `number`, real-time ones and 0 (which only asks) included.
pub fn send(process: BorrowedFd<'_>, number: i32) -> Result<(), Errno> {
    let args = [process.as_raw_fd() as usize, number as usize, 0, 0, 0, 0];
    // SAFETY: no siginfo is handed over, so the kernel reads no memory.
    unsafe { syscall6(__NR_pidfd_send_signal, args) }.map(drop)
}

/// Real-time signal `number`, 34 to 64: those that glibc leaves to programs.
pub fn realtime(number: i32) -> Option<Signal> {
    // SAFETY: 34 to 64 are real-time signals on every architecture but MIPS, and none of them is libc's own.
    (34..=64).contains(&number).then(|| unsafe { Signal::from_raw_unchecked(number) })
}
