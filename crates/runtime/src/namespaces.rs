//! Namespaces that the parent opens, and the two that it enters around the clone.

use crate::Error;
use crate::error::On;
use rt_plan::{Pids, Spawn};
use rt_sys::ns;
use rt_wire::Namespace;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{CWD, Mode, OFlags, fstat, open, openat};
use rustix::io::Errno;
use rustix::process::{DumpableBehavior, set_dumpable_behavior};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// Open the namespace at `path`, and make sure that it is one of kind `kind`: setns(2) would take a wrong one with
/// an answer that helps nobody, and nobody checks `pid`'s until the container runs in the wrong one.
pub(crate) fn open_namespace(kind: Namespace, path: &str) -> Result<OwnedFd, Error> {
    let problem = |problem: String| Error::Namespace { path: path.to_owned(), problem };
    // Not a FIFO that would block, nor a terminal that would become ours.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = open(path, flags, Mode::empty())
        .map_err(|errno| problem(format!("can't be opened: {}", rt_plan::words(errno.raw_os_error()))))?;
    match ns::kind(file.as_fd()) {
        Ok(found) if found == kind.flag() => Ok(file),
        Ok(_) => Err(problem(format!("is a namespace, but not of type {kind}"))),
        Err(_) => Err(problem("is not a namespace".to_owned())),
    }
}

/// Refuse to set kernel parameters in what turns out to be the runtime's own network namespace.
pub(crate) fn must_differ(kind: Namespace, namespace: &OwnedFd) -> Result<(), Error> {
    let own = format!("/proc/self/ns/{}", kind.file());
    let ours = rustix::fs::stat(&*own).on("look at", &own)?;
    let theirs = fstat(namespace).map_err(Error::call("look at a namespace"))?;
    if (ours.st_dev, ours.st_ino) == (theirs.st_dev, theirs.st_ino) {
        let problem =
            format!("is the runtime's own {kind} namespace: its sysctls are not allowed in the hosts {kind} namespace");
        return Err(Error::Namespace { path: own, problem });
    }
    Ok(())
}

/// While it lives, children are born in the namespaces that [`enter`] was told.
pub(crate) struct Entered {
    back: Vec<(Namespace, OwnedFd)>,
    processors: Option<CpuSet>,
}

/// Enter the pid namespace to join and make the time namespace, for children only.
pub(crate) fn enter(spawn: &Spawn, process: Option<BorrowedFd<'_>>) -> Result<Entered, Error> {
    let mut entered = Entered { back: Vec::new(), processors: None };
    if spawn.pid.is_some() {
        // Until it has executed init, the child has our memory, and others live where it is born (CVE-2016-9962).
        set_dumpable_behavior(DumpableBehavior::NotDumpable).map_err(Error::call("keep others out of rt's memory"))?;
    }
    match (&spawn.pid, process) {
        (None, _) => {}
        (Some(Pids::Path(path)), _) => {
            let namespace = open_namespace(Namespace::Pid, path)?;
            entered.remember(Namespace::Pid, "/proc/self/ns/pid")?;
            ns::enter(namespace.as_fd(), Namespace::Pid.flag()).map_err(|errno| Error::Namespace {
                path: path.clone(),
                problem: format!("can't be joined: {}", rt_plan::words(errno.raw_os_error())),
            })?;
        }
        (Some(Pids::Container), Some(process)) => {
            entered.remember(Namespace::Pid, "/proc/self/ns/pid")?;
            ns::enter(process, Namespace::Pid.flag()).map_err(|errno| match errno {
                Errno::SRCH => Error::forbidden("cannot exec in a stopped container"),
                errno => Error::Call { attempt: "enter the container's pid namespace", errno },
            })?;
        }
        (Some(Pids::Container), None) => unreachable!("only `exec` plans it, and has the process"),
    }
    if let Some(mask) = &spawn.processors {
        let before = sched_getaffinity(None).map_err(Error::call("look up the processors of rt"))?;
        rt_sys::sched::use_processors(mask)
            .map_err(Error::call("use the processors of process.execCPUAffinity.initial"))?;
        entered.processors = Some(before);
    }
    if let Some(offsets) = &spawn.time {
        entered.remember(Namespace::Time, "/proc/self/ns/time")?;
        ns::unshare(Namespace::Time.flag()).map_err(Error::call("make a time namespace (Linux 5.6)"))?;
        if !offsets.is_empty() {
            let path = "/proc/self/timens_offsets";
            let file = openat(CWD, path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty()).on("open", path)?;
            rustix::io::write(&file, offsets.as_bytes()).map_err(|errno| match errno {
                Errno::RANGE => Error::Config(rt_plan::Error::Invalid {
                    field: "linux.timeOffsets".to_owned(),
                    problem: "an offset would put a clock before 0 or too far ahead".to_owned(),
                }),
                errno => Error::Call { attempt: "write the time namespace's offsets", errno },
            })?;
        }
    }
    Ok(entered)
}

impl Entered {
    fn remember(&mut self, kind: Namespace, path: &str) -> Result<(), Error> {
        let own = openat(CWD, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).on("open", path)?;
        self.back.push((kind, own));
        Ok(())
    }
}

/// Later children (hooks) are born where the runtime is.
impl Drop for Entered {
    fn drop(&mut self) {
        for (kind, own) in &self.back {
            let _ = ns::enter(own.as_fd(), kind.flag());
        }
        if let Some(before) = &self.processors {
            let _ = sched_setaffinity(None, before);
        }
    }
}
