//! Entering namespaces.

use crate::raw::syscall3;
use linux_raw_sys::general::{__NR_ioctl, __NR_setns, __NR_unshare};
use rustix::fd::{AsRawFd, BorrowedFd};
use rustix::io::Errno;

/// `setns(2)` into the namespace (or, with a pidfd, the namespaces) of kind `kinds`, `CLONE_NEW*` bits.
pub fn enter(fd: BorrowedFd<'_>, kinds: u32) -> Result<(), Errno> {
    // SAFETY: setns reads no memory. It changes what the calling thread sees, not what it owns.
    unsafe { syscall3(__NR_setns, fd.as_raw_fd() as usize, kinds as usize, 0) }.map(drop)
}

/// `unshare(2)` of the namespaces `kinds`, `CLONE_NEW*` bits. Other bits are refused: unsharing the
/// descriptor table would pull descriptors from under other threads.
pub fn unshare(kinds: u32) -> Result<(), Errno> {
    const NAMESPACES: u32 = 0x7e02_0080;
    if kinds & !NAMESPACES != 0 {
        return Err(Errno::INVAL);
    }
    // SAFETY: only namespace bits: no memory and no descriptor is concerned.
    unsafe { syscall3(__NR_unshare, kinds as usize, 0, 0) }.map(drop)
}

/// The `CLONE_NEW*` bit of the namespace that `fd` is: ioctl_ns(2), NS_GET_NSTYPE (Linux 4.11). ENOTTY if it is none.
pub fn kind(fd: BorrowedFd<'_>) -> Result<u32, Errno> {
    const NS_GET_NSTYPE: usize = 0xb703;
    // SAFETY: this ioctl has no argument.
    unsafe { syscall3(__NR_ioctl, fd.as_raw_fd() as usize, NS_GET_NSTYPE, 0) }.map(|kind| kind as u32)
}
