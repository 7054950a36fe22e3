//! The one network call of a container runtime: loopback up.

use crate::raw::syscall3;
use linux_raw_sys::general::__NR_ioctl;
use rustix::fd::AsRawFd;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};

const SIOCSIFFLAGS: usize = 0x8914;
const IFF_UP: u16 = 1;

/// `struct ifreq` of netdevice(7), as far as flags need it.
#[repr(C)]
struct Request {
    name: [u8; 16],
    flags: u16,
    rest: [u8; 22],
}

/// Bring `lo` up in the calling thread's network namespace.
pub fn loopback_up() -> Result<(), Errno> {
    // Left to the exec to close, as everything in init.
    let socket =
        core::mem::ManuallyDrop::new(socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?);
    let mut request = Request { name: [0; 16], flags: IFF_UP, rest: [0; 22] };
    if let Some(name) = request.name.get_mut(..2) {
        name.copy_from_slice(b"lo");
    }
    // SAFETY: the kernel reads a 40-byte `ifreq`, which this is.
    unsafe { syscall3(__NR_ioctl, socket.as_raw_fd() as usize, SIOCSIFFLAGS, (&raw const request).addr()) }.map(drop)
}
