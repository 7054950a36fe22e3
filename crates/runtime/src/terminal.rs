//! The parent's side of a terminal: got from init, and kept supplied by a runtime in the foreground.

mod end;
mod holder;
mod raw;
mod relay;

pub(crate) use holder::Holder;
pub(crate) use raw::Raw;
pub(crate) use relay::Relay;

use crate::Error;
use crate::error::On;
use rustix::fd::{AsRawFd, BorrowedFd, OwnedFd};
use rustix::fs::{Mode, OFlags, open};
use rustix::io::{Errno, IoSliceMut, retry_on_intr};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SocketAddrUnix, SocketFlags, SocketType,
    recvmsg, socket_with,
};
use std::mem::MaybeUninit;
use std::path::Path;

/// The terminal that init has made: its master, which comes over `socket` by SCM_RIGHTS. Close-on-exec.
///
/// # Errors
/// [`Error::Call`] if something else comes, or nothing.
pub(crate) fn receive(socket: BorrowedFd<'_>) -> Result<OwnedFd, Error> {
    let unexpected = |attempt| Error::Call { attempt, errno: Errno::BADMSG };
    // With space for a second one, to see that there is none. The kernel closes a third.
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    // The name of the terminal in the container: nothing depends on it.
    let mut name = [0; 64];
    retry_on_intr(|| recvmsg(socket, &mut [IoSliceMut::new(&mut name)], &mut control, RecvFlags::CMSG_CLOEXEC))
        .map_err(Error::call("receive the container's terminal"))?;
    let mut descriptors = control.drain().flat_map(|message| match message {
        RecvAncillaryMessage::ScmRights(descriptors) => descriptors.collect::<Vec<_>>(),
        _ => Vec::new(),
    });
    let (Some(master), None) = (descriptors.next(), descriptors.next()) else {
        return Err(unexpected("receive the container's terminal: one descriptor"));
    };
    // TIOCGPTN: only the master of a terminal has an answer.
    rustix::pty::ptsname(&master, Vec::new())
        .map_err(Error::call("receive the container's terminal: the master of one"))?;
    Ok(master)
}

/// Connect to an engine's socket. `attempt` names it.
///
/// # Errors
/// [`Error::File`] with the kernel's answer.
pub(crate) fn connect(attempt: &'static str, path: &Path) -> Result<OwnedFd, Error> {
    let flags = SocketFlags::CLOEXEC;
    let socket =
        socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None).map_err(Error::call("make a socket"))?;
    // An address has 108 bytes, a path may have more of them: then through a descriptor of it.
    let held;
    let address = match SocketAddrUnix::new(path) {
        Err(Errno::NAMETOOLONG) => {
            held = open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).on(attempt, path)?;
            SocketAddrUnix::new(format!("/proc/self/fd/{}", held.as_raw_fd()))
        }
        address => address,
    };
    address.and_then(|address| retry_on_intr(|| rustix::net::connect(&socket, &address))).on(attempt, path)?;
    Ok(socket)
}

#[cfg(test)]
mod tests;
