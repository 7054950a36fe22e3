//! Init, as its parent sees it: born, listened to, and killed unless everything went well.

use crate::error::Error;
use crate::namespaces::{enter, must_differ, open_namespace};
use crate::program;
use rt_cgroup::Cgroup;
use rt_plan::{Host, Join, Plan};
use rt_sys::clone::{Failure, Spawn, spawn};
use rt_sys::exec::Words;
use rt_wire::{Order, Report, Step};
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use rustix::io::{Errno, retry_on_intr};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socketpair};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, pidfd_send_signal, waitid};
use std::ffi::CString;

/// Init on its walk.
pub(crate) struct Child {
    pub(crate) pid: Pid,
    /// Taken by `commit`.
    pidfd: Option<OwnedFd>,
    socket: OwnedFd,
}

impl Child {
    /// Clone, and execute init with its plan. `listener` is where it will wait for `start`.
    pub(crate) fn spawn(plan: &Plan, host: &Host, cgroup: &Cgroup, listener: Option<&OwnedFd>) -> Result<Self, Error> {
        let flags = SocketFlags::CLOEXEC;
        let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)
            .map_err(Error::call("make a socket pair"))?;
        let namespaces = inherited(plan, cgroup)?;
        let borrowed: Vec<BorrowedFd<'_>> = namespaces.iter().map(Inherited::fd).collect();
        let numbers: Vec<i32> = borrowed.iter().map(AsRawFd::as_raw_fd).collect();
        let listening = listener.map_or(-1, AsRawFd::as_raw_fd);
        let program = program::with_plan(&plan.steps.message(theirs.as_raw_fd(), listening, &numbers))?;

        let number = CString::new(program.as_raw_fd().to_string()).unwrap_or_default();
        let mut table = [0; 3];
        let args = Words::new(&mut table, [c"rt-init", &number].into_iter())
            .ok_or(Error::Call { attempt: "write init's arguments", errno: Errno::TOOBIG })?;
        let mut keep = vec![theirs.as_fd(), program.as_fd()];
        keep.extend(listener.map(AsFd::as_fd));
        keep.extend(borrowed);

        let entered = enter(&plan.spawn)?;
        let child = spawn(&Spawn {
            namespaces: plan.spawn.namespaces,
            cgroup: cgroup.birth().into.as_ref().map(AsFd::as_fd),
            exe: program.as_fd(),
            args: &args,
            keep: &keep,
            ignored: host.ignored_signals,
            carry_capabilities: host.uid != 0,
        });
        drop(entered);
        match child {
            Ok(child) => Ok(Self { pid: child.pid, pidfd: Some(child.pidfd), socket: ours }),
            Err(Failure::Clone(errno)) => Err(not_born(errno, plan, cgroup)),
            Err(Failure::Exec(errno)) => Err(Error::Call { attempt: "execute init in the container", errno }),
        }
    }

    /// Listen until init is ready. Warnings go to `warn`.
    pub(crate) fn until_ready(&self, plan: &Plan, mut warn: impl FnMut(String)) -> Result<(), Error> {
        loop {
            match self.hear()? {
                Some(Report::Ready) => return Ok(()),
                Some(Report::Warning { step, errno, value }) => warn(warning(plan, step, errno, value)),
                Some(Report::Failed { step, part, errno }) => {
                    return Err(Error::Step(plan.steps.explain(step, part, &answer(part, errno))));
                }
                None => return Err(self.gone()),
            }
        }
    }

    /// Listen until init has become the program. Only for one that waits for nobody.
    pub(crate) fn until_running(&self, plan: &Plan) -> Result<(), Error> {
        match self.hear()? {
            None => Ok(()),
            Some(Report::Failed { step, part, errno }) => {
                Err(Error::Step(plan.steps.explain(step, part, &answer(part, errno))))
            }
            Some(_) => Err(self.gone()),
        }
    }

    /// Let init go on.
    pub(crate) fn proceed(&self) -> Result<(), Error> {
        match send(&self.socket, &Order::Proceed.encode(), SendFlags::NOSIGNAL) {
            Ok(_) => Ok(()),
            Err(Errno::PIPE | Errno::CONNRESET) => Err(self.gone()),
            Err(errno) => Err(Error::Call { attempt: "talk to init", errno }),
        }
    }

    /// The container is there: it stays when this is dropped.
    pub(crate) fn commit(mut self) -> OwnedFd {
        self.pidfd.take().unwrap_or_else(|| unreachable!("only `commit` takes it, and that ends this"))
    }

    fn hear(&self) -> Result<Option<Report>, Error> {
        let mut bytes = [0u8; Report::LEN + 4];
        let len = match retry_on_intr(|| recv(&self.socket, &mut bytes, RecvFlags::empty())) {
            Ok((_, len)) => len,
            // It left without reading what we said last.
            Err(Errno::CONNRESET) => 0,
            Err(errno) => return Err(Error::Call { attempt: "listen to init", errno }),
        };
        match bytes.get(..len) {
            None | Some([]) => Ok(None),
            Some(bytes) => {
                Report::decode(bytes).map(Some).ok_or(Error::Call { attempt: "understand init", errno: Errno::BADMSG })
            }
        }
    }

    /// Why init left without a word: the kernel killed it, or somebody did.
    fn gone(&self) -> Error {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        let status = self.pidfd.as_ref().and_then(|pidfd| waitid(WaitId::PidFd(pidfd.as_fd()), options).ok().flatten());
        let signal = status.as_ref().and_then(|status| status.terminating_signal());
        let how = match (signal, status.as_ref().and_then(|status| status.exit_status())) {
            (Some(signal), _) => format!("was killed by signal {signal}"),
            (_, Some(code)) => format!("left with status {code}"),
            _ => "left".to_owned(),
        };
        let hint = match signal {
            Some(9) => "perhaps for lack of memory: see linux.resources.memory.limit and the kernel's log",
            Some(31) => "a system call that a seccomp filter of the caller's forbids",
            _ => "please report this",
        };
        Error::InitGone { how, hint }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if let Some(pidfd) = &self.pidfd {
            let _ = pidfd_send_signal(pidfd, Signal::KILL);
            let _ = retry_on_intr(|| waitid(WaitId::PidFd(pidfd.as_fd()), WaitIdOptions::EXITED));
        }
    }
}

/// A descriptor that the plan calls by its place: opened for it, or the cgroup's.
enum Inherited<'a> {
    Opened(OwnedFd),
    Cgroup(&'a OwnedFd),
}

impl Inherited<'_> {
    fn fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Opened(fd) => fd.as_fd(),
            Self::Cgroup(fd) => fd.as_fd(),
        }
    }
}

fn inherited<'a>(plan: &Plan, cgroup: &'a Cgroup) -> Result<Vec<Inherited<'a>>, Error> {
    let sets_network =
        plan.steps.iter().any(|step| matches!(step, Step::Sysctl { file, .. } if file.bytes().starts_with(b"net/")));
    let open = |join: &Join| match join {
        Join::Namespace { kind, path } => {
            let namespace = open_namespace(*kind, path)?;
            if *kind == rt_wire::Namespace::Network && sets_network {
                must_differ(*kind, &namespace)?;
            }
            Ok(Inherited::Opened(namespace))
        }
        Join::Cgroup { controllers } => {
            let tasks = cgroup.birth().tasks.iter().find(|(names, _)| names == controllers);
            let (_, tasks) =
                tasks.ok_or(Error::Call { attempt: "find a cgroup that the plan joins", errno: Errno::NOENT })?;
            Ok(Inherited::Cgroup(tasks))
        }
    };
    plan.spawn.inherited.iter().map(open).collect()
}

/// clone3(2) has one answer for many reasons: say what was asked of it.
fn not_born(errno: Errno, plan: &Plan, cgroup: &Cgroup) -> Error {
    match errno {
        Errno::BUSY | Errno::OPNOTSUPP if cgroup.birth().into.is_some() => cgroup.unborn(errno).into(),
        Errno::NOSPC | Errno::USERS => {
            Error::Call { attempt: "make the container's namespaces (a limit in /proc/sys/user is reached)", errno }
        }
        Errno::AGAIN => {
            Error::Call { attempt: "make the container's first process (a limit on processes is reached)", errno }
        }
        Errno::PERM if plan.spawn.namespaces != 0 => {
            Error::Call { attempt: "make the container's namespaces (CAP_SYS_ADMIN is needed)", errno }
        }
        errno => Error::Call { attempt: "make the container's first process", errno },
    }
}

pub(crate) fn answer(part: rt_wire::Part, errno: i32) -> String {
    // Init's panic carries its line where an answer would be.
    if part == rt_wire::Part::Panic { errno.to_string() } else { rt_plan::words(errno) }
}

fn warning(plan: &Plan, step: u16, errno: i32, value: u32) -> String {
    let words = rt_plan::words(errno);
    match plan.steps.step(usize::from(step)) {
        Some(step @ Step::Limit { .. }) => format!("{step}: {words}; the hard limit is {value} now"),
        Some(step) => format!("{step}: {words}; going on without"),
        None => words,
    }
}
