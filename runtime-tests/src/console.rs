//! What `--console-socket` points to: a socket that receives the terminals of containers, as an engine does.

use std::{
    fs,
    io::IoSliceMut,
    mem::MaybeUninit,
    ops::Deref,
    os::{fd::OwnedFd, unix::net::UnixListener},
    path::{Path, PathBuf},
};

use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};

use crate::{pty::Master, wait_until};

/// A listening socket.
pub struct ConsoleSocket {
    listener: UnixListener,
    path: PathBuf,
}

impl ConsoleSocket {
    /// Listen at a path.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        let listener = UnixListener::bind(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        listener.set_nonblocking(true).expect("a socket can be set so");
        Self { listener, path }
    }

    /// Where it listens.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Nobody has connected since the last one was received.
    pub fn is_unused(&self) -> bool {
        self.listener.accept().is_err()
    }

    /// The terminal that arrives: one connection, one message, one descriptor.
    #[track_caller]
    pub fn receive(&self) -> Console {
        let mut connection = None;
        wait_until("somebody connects to the console socket", || {
            connection = self.listener.accept().ok();
            connection.is_some()
        });
        let (connection, _) = connection.expect("somebody has");
        connection.set_nonblocking(false).expect("a socket can be set so");

        let mut data = [0; 4096];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let received = recvmsg(&connection, &mut [IoSliceMut::new(&mut data)], &mut control, RecvFlags::CMSG_CLOEXEC)
            .expect("a message arrives");
        let mut descriptors: Vec<OwnedFd> = Vec::new();
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(rights) = message {
                descriptors.extend(rights);
            }
        }
        assert_eq!(descriptors.len(), 1, "not one descriptor");
        let name = String::from_utf8(data[..received.bytes].to_vec()).expect("the name is text");
        Console { name, master: Master::new(descriptors.remove(0)) }
    }
}

impl Drop for ConsoleSocket {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// The terminal of a container.
pub struct Console {
    /// What came with it.
    pub name: String,
    master: Master,
}

impl Deref for Console {
    type Target = Master;

    fn deref(&self) -> &Master {
        &self.master
    }
}
