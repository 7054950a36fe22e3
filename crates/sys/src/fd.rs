//! Descriptors: which survive an exec, and which are closed.

use crate::raw::syscall3;
use linux_raw_sys::general::{__NR_close_range, __NR_fcntl};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::{Errno, FdFlags, fcntl_setfd};

/// Let `fd` survive the next exec.
pub fn keep_over_exec(fd: BorrowedFd<'_>) -> Result<(), Errno> {
    fcntl_setfd(fd, FdFlags::empty())
}

/// Mark every descriptor from `first` on close-on-exec: `close_range(2)` (Linux 5.9, the flag 5.11).
/// What a careless caller leaked to us goes no further (CVE-2024-21626).
pub fn close_on_exec_from(first: u32) -> Result<(), Errno> {
    const CLOSE_RANGE_CLOEXEC: usize = 1 << 2;
    // SAFETY: nothing is closed now; only what a later exec sees changes.
    unsafe { syscall3(__NR_close_range, first as usize, u32::MAX as usize, CLOSE_RANGE_CLOEXEC) }.map(drop)
}

/// Close every descriptor from `first` up to, but not with, `end`: `close_range(2)` (Linux 5.9).
///
/// The caller says that nothing in this program will use them again.
pub fn close_between(first: u32, end: u32) -> Result<(), Errno> {
    if first >= end {
        return Ok(());
    }
    // SAFETY: as with dropping them one by one, which is what the caller would do.
    unsafe { syscall3(__NR_close_range, first as usize, (end - 1) as usize, 0) }.map(drop)
}

/// Close two descriptors: in one call where one is next to the other, as it is where they were made one after the other.
pub fn close_both(one: OwnedFd, other: OwnedFd) {
    let (low, high) = (one.as_raw_fd().min(other.as_raw_fd()), one.as_raw_fd().max(other.as_raw_fd()));
    if high - low == 1 && close_between(low.unsigned_abs(), high.unsigned_abs() + 1).is_ok() {
        core::mem::forget((one, other));
    }
}

/// Take over a descriptor that was inherited under a number.
///
/// The caller says that this number is a descriptor passed on purpose and not yet owned by anything here. A
/// number that is not open makes every later call fail with EBADF, no worse.
pub fn inherited(number: RawFd) -> Option<OwnedFd> {
    if number < 0 {
        return None;
    }
    // SAFETY: not negative; ownership is what the caller states, as with `std::os::fd` at a program's start.
    Some(unsafe { OwnedFd::from_raw_fd(number) })
}

/// SIGIO for this process whenever `fd`, a socket, becomes readable: fcntl(2), F_SETOWN and O_ASYNC.
pub fn signal_when_readable(fd: BorrowedFd<'_>) -> Result<(), Errno> {
    const F_SETOWN: usize = 8;
    const O_ASYNC: u32 = 0o20_000;
    let own = rustix::process::getpid().as_raw_nonzero().get() as usize;
    // SAFETY: three numbers; a signal is all that follows, and the caller expects it.
    unsafe { syscall3(__NR_fcntl, fd.as_raw_fd() as usize, F_SETOWN, own) }?;
    let flags = rustix::fs::fcntl_getfl(fd)?;
    rustix::fs::fcntl_setfl(fd, flags | OFlags::from_bits_retain(O_ASYNC))
}

/// Descriptors 0, 1 and 2, open or not.
pub fn standard() -> [BorrowedFd<'static>; 3] {
    // SAFETY: nothing in this workspace closes them; one that the caller closed gives EBADF, which callers expect.
    [0, 1, 2].map(|number| unsafe { BorrowedFd::borrow_raw(number) })
}

/// Make sure that descriptors 0, 1 and 2 are open: one that the caller closed becomes /dev/null. Else the next file that
/// is opened would take its number, and be written to as standard error, or be the container's standard input.
pub fn open_standard() -> Result<(), Errno> {
    let mut streams = standard();
    let mut polled = streams.each_mut().map(|stream| PollFd::new(stream, PollFlags::empty()));
    rustix::io::retry_on_intr(|| poll(&mut polled, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })))?;
    for _ in polled.iter().filter(|stream| stream.revents().contains(PollFlags::NVAL)) {
        // The lowest number that is free: one of the three. It stays open for the program's life.
        let null = openat(CWD, c"/dev/null", OFlags::RDWR, Mode::empty())?;
        core::mem::forget(null);
    }
    Ok(())
}
