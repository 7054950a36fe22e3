//! `--pidfd-socket`: a caller that wants to hold the process by a descriptor.

use crate::Error;
use crate::error::On;
use crate::terminal::connect;
use rustix::fd::{BorrowedFd, OwnedFd};
use rustix::io::IoSlice;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use std::mem::MaybeUninit;
use std::path::{Path, PathBuf};

/// A caller that listens.
pub(crate) struct PidfdSocket {
    socket: OwnedFd,
    path: PathBuf,
}

impl PidfdSocket {
    pub(crate) fn connect(path: &Path) -> Result<Self, Error> {
        Ok(Self { socket: connect("connect to the pidfd socket", path)?, path: path.to_owned() })
    }

    /// `word` says what it is, as with runc: `standard` for a container's first process, `setns` for another.
    pub(crate) fn send(self, process: BorrowedFd<'_>, word: &str) -> Result<(), Error> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let rights = [process];
        control.push(SendAncillaryMessage::ScmRights(&rights));
        let sent = sendmsg(&self.socket, &[IoSlice::new(word.as_bytes())], &mut control, SendFlags::NOSIGNAL);
        sent.map(drop).on("send the process to the pidfd socket", &self.path)
    }
}
