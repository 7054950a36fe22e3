//! sd_notify(3) across the container's edge: rt listens on a socket that the container sees, and passes on to the service
//! manager's that it is ready, and nothing else.

use crate::Error;
use crate::error::On;
use crate::store::Directory;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::{Errno, IoSlice, retry_on_intr};
use rustix::net::{
    AddressFamily, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags,
    SocketType, recv, sendmsg, sendto, socket_with,
};
use std::ffi::OsString;
use std::mem::MaybeUninit;
use std::os::unix::ffi::OsStrExt;

/// How long the service manager may take to say that it has heard all: sd_notify_barrier(3). runc's limit.
const BARRIER: Timespec = Timespec { tv_sec: 30, tv_nsec: 0 };

/// The service manager's socket, as it told us: `NOTIFY_SOCKET`.
pub(crate) fn wanted() -> Option<OsString> {
    std::env::var_os("NOTIFY_SOCKET").filter(|path| !path.is_empty())
}

/// The socket that the container writes to.
pub(crate) struct Notify {
    socket: OwnedFd,
    host: SocketAddrUnix,
    /// Which process the service manager is to watch.
    main: i32,
}

impl Notify {
    /// Listen, if there is somebody to tell. The container may write from now on.
    pub(crate) fn listen(directory: &Directory, main: i32) -> Result<Option<Self>, Error> {
        let Some(host) = wanted() else { return Ok(None) };
        let address = match host.as_bytes() {
            [b'@', name @ ..] => SocketAddrUnix::new_abstract_name(name),
            path => SocketAddrUnix::new(path),
        };
        let host = address.on("use NOTIFY_SOCKET", &host)?;
        // A container that was made without one has nowhere to write to.
        let Some(socket) = directory.notify_socket()? else { return Ok(None) };
        Ok(Some(Self { socket, host, main }))
    }

    /// SIGIO when there is something to read. The service manager is to watch us, who stay in the foreground.
    pub(crate) fn by_signal(mut self) -> Result<Self, Error> {
        self.main = rustix::process::getpid().as_raw_nonzero().get();
        rt_sys::fd::signal_when_readable(self.socket.as_fd())
            .map_err(Error::call("listen to what the container tells the service manager"))?;
        Ok(self)
    }

    /// Wait until the container is ready, or gone.
    pub(crate) fn until_ready(self, process: BorrowedFd<'_>) -> Result<(), Error> {
        let mut notify = Some(self);
        while let Some(listening) = notify {
            let mut waits = [PollFd::new(&listening.socket, PollFlags::IN), PollFd::new(&process, PollFlags::IN)];
            retry_on_intr(|| poll(&mut waits, None)).map_err(Error::call("wait for the container to be ready"))?;
            let [said, gone] = waits.each_ref().map(|wait| !wait.revents().is_empty());
            notify = match (said, gone) {
                (true, _) => listening.forward(),
                (false, gone) => (!gone).then_some(listening),
            };
        }
        Ok(())
    }

    /// Read what there is. None once the service manager has been told.
    pub(crate) fn forward(self) -> Option<Self> {
        let mut bytes = [0u8; 4096];
        loop {
            let said = match recv(&self.socket, &mut bytes[..], RecvFlags::DONTWAIT) {
                Ok((_, len)) => bytes.get(..len).unwrap_or_default(),
                Err(Errno::INTR) => continue,
                Err(_) => return Some(self),
            };
            if let Some(ready) = said.split(|byte| *byte == b'\n').find(|line| line.starts_with(b"READY=")) {
                if let Err(errno) = self.tell(ready) {
                    log::warn!("tell the service manager: {}", rt_plan::words(errno.raw_os_error()));
                }
                return None;
            }
        }
    }

    /// That the container is ready, who it is; and wait until that was heard, or a short-lived rt would be gone before
    /// the service manager looks at who has sent it.
    fn tell(&self, ready: &[u8]) -> Result<(), Errno> {
        let host = socket()?;
        let say = |text: &[u8]| sendto(&host, text, SendFlags::NOSIGNAL, &self.host).map(drop);
        say(&[ready, b"\n"].concat())?;
        say(format!("MAINPID={}\n", self.main).as_bytes())?;
        let (ours, theirs) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
        rustix::net::connect(&host, &self.host)?;
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let rights = [theirs.as_fd()];
        control.push(SendAncillaryMessage::ScmRights(&rights));
        sendmsg(&host, &[IoSlice::new(b"BARRIER=1")], &mut control, SendFlags::NOSIGNAL)?;
        drop(theirs);
        let mut wait = [PollFd::new(&ours, PollFlags::HUP)];
        // One that does not know barriers closes it too, when it throws the message away.
        retry_on_intr(|| poll(&mut wait, Some(&BARRIER))).map(drop)
    }
}

/// A datagram socket.
pub(crate) fn socket() -> Result<OwnedFd, Errno> {
    socket_with(AddressFamily::UNIX, SocketType::DGRAM, SocketFlags::CLOEXEC, None)
}
