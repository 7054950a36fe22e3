//! Hearing of it when a container runs out of memory.

use crate::error::Error;
use crate::existing::Existing;
use crate::files::{is_gone, open, read_all, write};
use rustix::event::{EventfdFlags, PollFlags, eventfd};
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use rustix::fs::{Access, CWD, OFlags, access};
use rustix::io::Errno;

/// Who tells when a container runs out of memory.
#[derive(Debug)]
pub struct Oom(Teller);

#[derive(Debug)]
enum Teller {
    /// `memory.events`, and how many were killed so far.
    V2 { events: OwnedFd, killed: u64 },
    /// An eventfd that is registered for `memory.oom_control`, and a file that is there as long as the cgroup is.
    V1 { counter: OwnedFd, sign: String },
}

impl Existing {
    /// Listen from now on. `None` where no memory controller is, which could tell.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn listen_for_oom(&self) -> Result<Option<Oom>, Error> {
        match (self.place().dir("memory"), self.place().dir("")) {
            (Some(dir), _) => listen_v1(dir),
            (None, Some(dir)) => listen_v2(dir),
            (None, None) => Ok(None),
        }
    }
}

fn listen_v2(dir: &str) -> Result<Option<Oom>, Error> {
    let path = format!("{dir}/memory.events");
    let events = match open(CWD, &path, OFlags::RDONLY) {
        Ok(events) => events,
        Err(errno) if is_gone(errno) => return Ok(None),
        Err(errno) => return Err(Error::file("open", path, errno)),
    };
    let killed = killed(&events).map_err(|errno| Error::file("read", path, errno))?;
    Ok(Some(Oom(Teller::V2 { events, killed })))
}

/// cgroup-v1/memory.rst, "OOM Control".
fn listen_v1(dir: &str) -> Result<Option<Oom>, Error> {
    let (path, sign) = (format!("{dir}/memory.oom_control"), format!("{dir}/cgroup.event_control"));
    let control = match open(CWD, &path, OFlags::RDONLY) {
        Ok(control) => control,
        Err(errno) if is_gone(errno) => return Ok(None),
        Err(errno) => return Err(Error::file("open", path, errno)),
    };
    let failed = |errno| Error::file("listen at", sign.as_str(), errno);
    let counter = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).map_err(failed)?;
    // The kernel holds the file itself from here on.
    write(CWD, &sign, &format!("{} {}", counter.as_raw_fd(), control.as_raw_fd())).map_err(failed)?;
    Ok(Some(Oom(Teller::V1 { counter, sign })))
}

impl Oom {
    /// What to wait for with poll(2) before [`Oom::happened`] is asked.
    pub fn watched(&self) -> (BorrowedFd<'_>, PollFlags) {
        match &self.0 {
            Teller::V2 { events, .. } => (events.as_fd(), PollFlags::PRI),
            Teller::V1 { counter, .. } => (counter.as_fd(), PollFlags::IN),
        }
    }

    /// Whether it has happened since it was asked last; `None` once the cgroup is gone. Does not wait.
    pub fn happened(&mut self) -> Option<bool> {
        match &mut self.0 {
            Teller::V2 { events, killed } => {
                let before = std::mem::replace(killed, self::killed(events).ok()?);
                Some(*killed > before)
            }
            Teller::V1 { counter, sign } => match rustix::io::read(counter, &mut [0; 8]) {
                // The end of the cgroup is told in the same way.
                Ok(_) => access(sign.as_str(), Access::EXISTS).ok().map(|()| true),
                Err(Errno::AGAIN | Errno::INTR) => Some(false),
                Err(_) => None,
            },
        }
    }
}

/// How many processes were killed, here and below. Reading arms the next notification.
fn killed(events: &OwnedFd) -> Result<u64, Errno> {
    let text = read_all(events)?;
    let count = text.lines().find_map(|line| line.strip_prefix("oom_kill ")?.parse().ok());
    Ok(count.unwrap_or(0))
}
