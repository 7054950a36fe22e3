//! Waiting for a connection without std.

use crate::raw::syscall6;
use linux_raw_sys::general::__NR_accept4;
use rustix::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use rustix::io::Errno;

const SOCK_CLOEXEC: usize = 0o2_000_000;

/// `accept4(2)`, close-on-exec, without the peer's address.
pub fn accept(listener: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    // SAFETY: null address and length: the kernel writes nothing.
    let fd = unsafe { syscall6(__NR_accept4, [listener.as_raw_fd() as usize, 0, 0, SOCK_CLOEXEC, 0, 0]) }?;
    // SAFETY: a fresh descriptor that nobody else has.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}
