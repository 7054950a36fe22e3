//! Who is on the other side of a terminal.

use super::{connect, receive};
use crate::Error;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use rustix::stdio::{stderr, stdin, stdout};
use rustix::termios::tcgetwinsize;
use std::path::Path;

/// Who gets the container's terminal.
#[derive(Debug)]
pub(crate) enum Holder {
    /// There is none.
    Nobody,
    /// The engine that listens on its --console-socket.
    Engine(OwnedFd),
    /// We, in the foreground.
    Caller {
        /// Where it arrives.
        ours: OwnedFd,
        /// Where init sends it.
        theirs: OwnedFd,
    },
}

impl Holder {
    /// `wanted` is what the process asks for.
    ///
    /// # Errors
    /// [`Error::Usage`] in runc's words where that and the command line do not go together.
    pub(crate) fn choose(wanted: bool, socket: Option<&Path>, detached: bool) -> Result<Self, Error> {
        match socket.filter(|socket| !socket.as_os_str().is_empty()) {
            None if !wanted => Ok(Self::Nobody),
            None if detached => Err(Error::Usage(
                "cannot allocate tty if runc will detach without setting console socket: give --console-socket, or \
                 process.terminal false"
                    .to_owned(),
            )),
            None => {
                let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
                    .map_err(Error::call("make a socket pair"))?;
                Ok(Self::Caller { ours, theirs })
            }
            Some(socket) if wanted && detached => connect("connect to the console socket", socket).map(Self::Engine),
            Some(_) => Err(Error::Usage(
                "cannot use console socket if runc will not detach or allocate tty: leave --console-socket out"
                    .to_owned(),
            )),
        }
    }

    /// The end that init uses.
    pub(crate) fn theirs(&self) -> Option<BorrowedFd<'_>> {
        match self {
            Self::Nobody => None,
            Self::Engine(socket) => Some(socket.as_fd()),
            Self::Caller { theirs, .. } => Some(theirs.as_fd()),
        }
    }

    /// Rows and columns of the caller's terminal, where the container's is shown on it; 0 for unknown.
    pub(crate) fn shown(&self) -> Option<(u16, u16)> {
        let Self::Caller { .. } = self else { return None };
        let sizes = [stdin(), stdout(), stderr()].into_iter().flat_map(tcgetwinsize);
        Some(sizes.map(|size| (size.ws_row, size.ws_col)).next().unwrap_or_default())
    }

    /// The terminal, once init has sent it, if it is ours.
    pub(crate) fn take(self) -> Result<Option<OwnedFd>, Error> {
        match self {
            Self::Caller { ours, .. } => receive(ours.as_fd()).map(Some),
            _ => Ok(None),
        }
    }
}
