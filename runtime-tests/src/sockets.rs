//! Sockets that a runtime sends to: one for a descriptor and a word about it (`--pidfd-socket`, `--console-socket`), and
//! one for notifications (`NOTIFY_SOCKET`).

use std::{
    io::{self, IoSliceMut},
    mem::MaybeUninit,
    os::{
        fd::{AsFd, OwnedFd},
        linux::net::SocketAddrExt,
        unix::net::{SocketAddr, UnixDatagram, UnixListener},
    },
    path::Path,
    time::Duration,
};

use rustix::{
    io::retry_on_intr,
    net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg},
};

use crate::wait_until;

/// Nobody is kept waiting longer.
const PATIENCE: Duration = Duration::from_secs(10);

/// What has been received at once.
#[derive(Debug)]
pub struct Message {
    /// The text.
    pub text: String,
    /// The descriptors that came with it.
    pub descriptors: Vec<OwnedFd>,
}

impl Message {
    fn receive(socket: impl AsFd, flags: RecvFlags) -> io::Result<Self> {
        let mut bytes = [0; 4096];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(16))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let flags = flags | RecvFlags::CMSG_CLOEXEC;
        let received = retry_on_intr(|| recvmsg(&socket, &mut [IoSliceMut::new(&mut bytes)], &mut ancillary, flags))?;
        let text = String::from_utf8_lossy(&bytes[..received.bytes]).into_owned();
        let mut descriptors = Vec::new();
        for message in ancillary.drain() {
            if let RecvAncillaryMessage::ScmRights(rights) = message {
                descriptors.extend(rights);
            }
        }
        Ok(Self { text, descriptors })
    }
}

/// A socket that takes one message of each connection.
pub struct Listener(UnixListener);

impl Listener {
    /// Listen at a path.
    #[track_caller]
    pub fn at(path: &Path) -> Self {
        let socket = UnixListener::bind(path).expect("a socket can be made");
        socket.set_nonblocking(true).expect("a socket can be told");
        Self(socket)
    }

    /// The first message of the next connection.
    #[track_caller]
    pub fn message(&self) -> Message {
        let mut connection = None;
        wait_until("somebody connects", || {
            connection = self.0.accept().ok();
            connection.is_some()
        });
        let (connection, _) = connection.expect("somebody has connected");
        connection.set_nonblocking(false).expect("a socket can be told");
        connection.set_read_timeout(Some(PATIENCE)).expect("a socket can be told");
        Message::receive(&connection, RecvFlags::empty()).expect("a message arrives")
    }

    /// Has nobody connected?
    pub fn is_unused(&self) -> bool {
        self.0.accept().is_err()
    }
}

/// A socket for datagrams.
pub struct Mailbox(UnixDatagram);

impl Mailbox {
    /// Receive at a path.
    #[track_caller]
    pub fn at(path: &Path) -> Self {
        Self::of(UnixDatagram::bind(path))
    }

    /// Receive at an abstract name: one that is in no file system.
    #[track_caller]
    pub fn named(name: &str) -> Self {
        let address = SocketAddr::from_abstract_name(name).expect("the name is short");
        Self::of(UnixDatagram::bind_addr(&address))
    }

    fn of(socket: io::Result<UnixDatagram>) -> Self {
        let socket = socket.expect("a socket can be made");
        socket.set_read_timeout(Some(PATIENCE)).expect("a socket can be told");
        Self(socket)
    }

    /// The next message.
    #[track_caller]
    pub fn message(&self) -> Message {
        Message::receive(&self.0, RecvFlags::empty()).expect("a message arrives")
    }

    /// Has nothing come that was not taken?
    pub fn is_empty(&self) -> bool {
        Message::receive(&self.0, RecvFlags::DONTWAIT).is_err()
    }
}

#[cfg(test)]
mod tests {
    use std::{env, fs, io::IoSlice, os::unix::net::UnixStream, process};

    use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};

    use super::*;

    #[test]
    fn descriptor_arrives_with_its_text() {
        let path = env::temp_dir().join(format!("rt-listener-{}", process::id()));
        let listener = Listener::at(&path);
        assert!(listener.is_unused());

        let connection = UnixStream::connect(&path).expect("it listens");
        let (reader, writer) = io::pipe().expect("a pipe can be made");
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        let rights = [writer.as_fd()];
        assert!(ancillary.push(SendAncillaryMessage::ScmRights(&rights)));
        sendmsg(&connection, &[IoSlice::new(b"word")], &mut ancillary, SendFlags::empty()).expect("it is sent");

        let message = listener.message();
        fs::remove_file(&path).expect("it is there");
        assert_eq!(message.text, "word");
        assert_eq!(message.descriptors.len(), 1);
        drop((writer, message));
        // The last writer is gone.
        assert_eq!(io::read_to_string(reader).expect("it can be read"), "");
    }

    #[test]
    fn datagrams_arrive_one_by_one() {
        let path = env::temp_dir().join(format!("rt-mailbox-{}", process::id()));
        let mailbox = Mailbox::at(&path);
        assert!(mailbox.is_empty());
        let sender = UnixDatagram::unbound().expect("a socket can be made");
        sender.send_to(b"one", &path).expect("it is sent");
        sender.send_to(b"two", &path).expect("it is sent");
        fs::remove_file(&path).expect("it is there");
        assert_eq!(mailbox.message().text, "one");
        assert_eq!(mailbox.message().text, "two");
        assert!(mailbox.is_empty());
    }
}
