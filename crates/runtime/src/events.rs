//! `events`: what a container uses, and when it runs out of memory.

use crate::{Error, Id, Store, observe};
use rt_cgroup::{Existing, Oom, Statistics};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::Errno;
use std::time::{Duration, Instant};

/// What happened to a container.
#[derive(Debug)]
pub enum Event {
    /// It ran out of memory.
    Oom,
    /// It was time to look.
    Statistics(Box<Statistics>),
}

/// Whether anybody listens still.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listener {
    /// Go on.
    There,
    /// Nobody.
    Gone,
}

/// What a container uses now.
///
/// # Errors
/// [`Error::Forbidden`] in runc's words for one that has stopped; [`Error::Cgroup`].
pub fn statistics(store: &Store, id: &Id) -> Result<Statistics, Error> {
    let (cgroup, _) = find(store, id)?;
    Ok(cgroup.statistics()?)
}

/// Tell `say` what happens, and every `interval` what is used, until the container ends or nobody listens.
///
/// # Errors
/// As [`statistics`].
pub fn events(
    store: &Store,
    id: &Id,
    interval: Duration,
    say: &mut dyn FnMut(&Event) -> Listener,
) -> Result<(), Error> {
    let (cgroup, pidfd) = find(store, id)?;
    let mut oom = cgroup.listen_for_oom()?;
    let mut next = Instant::now().checked_add(interval);
    loop {
        let ended = wait(pidfd.as_fd(), oom.as_ref(), next)?;
        // At the end too: it may be the reason.
        let happened = oom.as_mut().map(Oom::happened);
        if happened == Some(None) {
            oom = None;
        }
        if happened == Some(Some(true)) && say(&Event::Oom) == Listener::Gone || ended {
            return Ok(());
        }
        let now = Instant::now();
        if next.is_none_or(|next| next > now) {
            continue;
        }
        // What was missed is not made up for.
        next = next.and_then(|next| next.checked_add(interval)).map(|next| next.max(now));
        let statistics = cgroup.statistics()?;
        // What is read after its end is not what it used.
        if wait(pidfd.as_fd(), None, Some(now))? {
            continue;
        }
        if say(&Event::Statistics(Box::new(statistics))) == Listener::Gone {
            return Ok(());
        }
    }
}

/// Its cgroup, and its process.
fn find(store: &Store, id: &Id) -> Result<(Existing, OwnedFd), Error> {
    let container = store.find(id)?;
    let Some(pidfd) = observe(&container)?.pidfd else {
        return Err(Error::forbidden(format!("container with id {id} is not running")));
    };
    Ok((Existing::open(&container.record.cgroup_paths), pidfd))
}

/// Until the process ends, memory runs out, or it is `until`. Whether the process has ended.
fn wait(process: BorrowedFd<'_>, oom: Option<&Oom>, until: Option<Instant>) -> Result<bool, Error> {
    let end = PollFd::new(&process, PollFlags::IN);
    let mut watched = [end.clone(), end];
    let mut count = 1;
    if let Some((fd, events)) = oom.map(Oom::watched) {
        watched[1] = PollFd::from_borrowed_fd(fd, events);
        count = 2;
    }
    let left = until.map(|until| until.saturating_duration_since(Instant::now()));
    // A timeout that the kernel could not count is none.
    let left = left.and_then(|left| {
        Some(Timespec { tv_sec: i64::try_from(left.as_secs()).ok()?, tv_nsec: left.subsec_nanos().into() })
    });
    match poll(&mut watched[..count], left.as_ref()) {
        Ok(_) => Ok(!watched[0].revents().is_empty()),
        Err(Errno::INTR) => Ok(false),
        Err(errno) => Err(Error::Call { attempt: "wait for the container", errno }),
    }
}
