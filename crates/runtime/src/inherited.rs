//! What init inherits: the descriptors that a plan calls by their place.

use crate::error::On;
use crate::namespaces::{must_differ, open_namespace};
use crate::{Error, hooks};
use rt_cgroup::Birth;
use rt_plan::{Join, Plan};
use rt_wire::{Namespace, Step};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

/// What only the caller of the clone has.
#[derive(Default)]
pub(crate) struct Given<'a> {
    /// Where init waits for `start`.
    pub(crate) listener: Option<BorrowedFd<'a>>,
    /// Where the terminal's master goes.
    pub(crate) terminal: Option<BorrowedFd<'a>>,
    /// The container's process.
    pub(crate) process: Option<BorrowedFd<'a>>,
    /// Its root.
    pub(crate) root: Option<BorrowedFd<'a>>,
}

/// A descriptor of init's: opened for it, or somebody else's.
pub(crate) enum Inherited<'a> {
    Opened(OwnedFd),
    Borrowed(BorrowedFd<'a>),
}

impl Inherited<'_> {
    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Opened(fd) => fd.as_fd(),
            Self::Borrowed(fd) => *fd,
        }
    }
}

/// All of them, in the plan's order.
pub(crate) fn open<'a>(plan: &Plan, birth: &'a Birth, given: &Given<'a>) -> Result<Vec<Inherited<'a>>, Error> {
    let borrowed = |fd: Option<BorrowedFd<'a>>, attempt| {
        fd.map(Inherited::Borrowed).ok_or(Error::Call { attempt, errno: Errno::NOENT })
    };
    let one = |join: &Join| match join {
        Join::Namespace { kind, path } => namespace(plan, *kind, path).map(Inherited::Opened),
        Join::Cgroup { controllers } => {
            let tasks = birth.tasks.iter().find(|(names, _)| names == controllers).map(|(_, tasks)| tasks.as_fd());
            borrowed(tasks, "find a cgroup that the plan joins")
        }
        Join::Terminal => borrowed(given.terminal, "find who gets the terminal"),
        Join::Process => borrowed(given.process, "find the container's process"),
        Join::Root => borrowed(given.root, "find the container's root"),
        Join::State { .. } => hooks::blank().map(Inherited::Opened),
        Join::Output { path, annotation } => output(path, annotation).map(Inherited::Opened),
    };
    plan.spawn.inherited.iter().map(one).collect()
}

/// Those that are the state for hooks, which is not known yet, with the status that each is for.
pub(crate) fn states(plan: &Plan, inherited: Vec<Inherited<'_>>) -> Vec<(&'static str, OwnedFd)> {
    let joins = plan.spawn.inherited.iter().zip(inherited);
    let state = |(join, fd)| match (join, fd) {
        (&Join::State { status }, Inherited::Opened(fd)) => Some((status, fd)),
        _ => None,
    };
    joins.filter_map(state).collect()
}

fn namespace(plan: &Plan, kind: Namespace, path: &str) -> Result<OwnedFd, Error> {
    let namespace = open_namespace(kind, path)?;
    let is_network = |step: Step<'_>| matches!(step, Step::Sysctl { file, .. } if file.bytes().starts_with(b"net/"));
    if kind == Namespace::Network && plan.steps.iter().any(is_network) {
        must_differ(kind, &namespace)?;
    }
    Ok(namespace)
}

/// A file that hooks append to. Made for root alone: they may say what nobody else is to know.
pub(crate) fn output(path: &str, annotation: &'static str) -> Result<OwnedFd, Error> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::APPEND | OFlags::NOCTTY | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::from_raw_mode(0o600)).on(annotation, path)
}
