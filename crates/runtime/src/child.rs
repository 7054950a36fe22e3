//! Init, as its parent sees it: born, listened to, and killed unless everything went well.

use crate::agent::Agent;
use crate::error::Error;
use crate::inherited::{Given, Inherited, open, states};
use crate::namespaces::enter;
use crate::program;
use rt_cgroup::Birth;
use rt_plan::{Host, Plan};
use rt_sys::clone::{Failure, Group, Program, Spawn, spawn};
use rt_sys::exec::Words;
use rt_sys::fd::close_both;
use rt_wire::{Order, Part, Report, Step};
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
    /// What its hooks read, empty until [`Child::tell`].
    states: Vec<(&'static str, OwnedFd)>,
    /// Who gets the listener of its filter, and the container's first process, if that is another.
    agent: Option<(Agent, Option<i32>)>,
    /// Why it does not have its oom_score_adj.
    unscored: Option<Errno>,
}

impl Child {
    /// Clone, and execute init with its plan.
    pub(crate) fn spawn(plan: &Plan, host: &Host, birth: &Birth, given: &Given<'_>) -> Result<Self, Error> {
        let flags = SocketFlags::CLOEXEC;
        let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)
            .map_err(Error::call("make a socket pair"))?;
        let inherited = open(plan, birth, given)?;
        let borrowed: Vec<BorrowedFd<'_>> = inherited.iter().map(Inherited::fd).collect();
        let numbers: Vec<i32> = borrowed.iter().map(AsRawFd::as_raw_fd).collect();
        let listening = given.listener.map_or(-1, |listener| listener.as_raw_fd());
        let message = plan.steps.message(theirs.as_raw_fd(), listening, &numbers);
        let program = program::with_plan(&message)?;

        let len = CString::new(message.len().to_string()).unwrap_or_default();
        let mut table = [0; 3];
        let args = Words::new(&mut table, [c"rt-init", &len].into_iter())
            .ok_or(Error::Call { attempt: "write init's arguments", errno: Errno::TOOBIG })?;
        let mut keep = vec![theirs.as_fd()];
        keep.extend(given.listener);
        keep.extend(borrowed);

        let oom_score = plan.spawn.oom_score_adj.map(|score| score.to_string()).unwrap_or_default();
        let entered = enter(&plan.spawn, given.process)?;
        let child = spawn(&Spawn {
            namespaces: plan.spawn.namespaces,
            cgroup: birth.into.as_ref().map(AsFd::as_fd),
            program: Program::File(program.as_fd()),
            args: &args,
            env: &Words::none(),
            directory: None,
            group: Group::Same,
            stdio: None,
            keep: &keep,
            ignored: host.ignored_signals,
            filter: None,
            oom_score: oom_score.as_bytes(),
            carry_capabilities: host.uid != 0,
        });
        drop(entered);
        close_both(theirs, program);
        match child {
            Ok(child) => {
                let states = states(plan, inherited);
                let unscored = child.oom_score.err();
                Ok(Self { pid: child.pid, pidfd: Some(child.pidfd), socket: ours, states, agent: None, unscored })
            }
            Err(Failure::Clone(errno)) => Err(Error::NotBorn { attempt: not_born(errno, plan), errno }),
            Err(Failure::Exec(errno)) => Err(Error::Call { attempt: "execute init in the container", errno }),
        }
    }

    /// The listener of its filter goes to `agent`. `of` is the container's first process, if it is another.
    pub(crate) fn watched_by(&mut self, agent: Option<Agent>, of: Option<i32>) {
        self.agent = agent.map(|agent| (agent, of));
    }

    /// Listen until init waits for the hooks of the host's side.
    pub(crate) fn until_hooks(&mut self, plan: &Plan, warn: impl FnMut(String)) -> Result<(), Error> {
        self.until(plan, Some(Report::Hooks), warn)
    }

    /// Listen until init is ready. Warnings go to `warn`.
    pub(crate) fn until_ready(&mut self, plan: &Plan, warn: impl FnMut(String)) -> Result<(), Error> {
        self.until(plan, Some(Report::Ready), warn)
    }

    /// Listen until init has become the program. Only for one that waits for nobody.
    pub(crate) fn until_running(&mut self, plan: &Plan, warn: impl FnMut(String)) -> Result<(), Error> {
        self.until(plan, None, warn)
    }

    /// Listen until `wanted` is said; nothing is said by one that has become the program.
    fn until(&mut self, plan: &Plan, wanted: Option<Report>, mut warn: impl FnMut(String)) -> Result<(), Error> {
        if let (Some(errno), Some(score)) = (self.unscored.take(), plan.spawn.oom_score_adj) {
            let words = rt_plan::words(errno.raw_os_error());
            warn(format!("set oom_score_adj to {score}: {words}; going on without"));
        }
        let mut bytes = [0u8; Report::LONGEST];
        loop {
            let (report, said) = self.hear(&mut bytes)?;
            match report {
                report if report == wanted => return Ok(()),
                Some(Report::Listener { number }) => {
                    let pid = self.pid.as_raw_nonzero().get();
                    if let Some((agent, of)) = &self.agent {
                        agent.tell(self.pidfd(), pid, number, of.unwrap_or(pid))?;
                    }
                    self.proceed()?;
                }
                Some(Report::Warning { step, errno, value }) => warn(warning(plan, step, errno, value)),
                Some(Report::Failed { step, part, errno }) => {
                    return Err(Error::Step(plan.steps.explain(step, part, &answer(part, errno), &words_of(said))));
                }
                _ => return Err(self.gone()),
            }
        }
    }

    /// Write the state that init's hooks read, once it is known who init is. `state` makes it for a status.
    pub(crate) fn tell(&self, state: impl Fn(&str) -> Vec<u8>) -> Result<(), Error> {
        for (status, file) in &self.states {
            crate::hooks::fill(file, &state(status))?;
        }
        Ok(())
    }

    /// Let init go on.
    pub(crate) fn proceed(&self) -> Result<(), Error> {
        match send(&self.socket, &Order::Proceed.encode(), SendFlags::NOSIGNAL) {
            Ok(_) => Ok(()),
            Err(Errno::PIPE | Errno::CONNRESET) => Err(self.gone()),
            Err(errno) => Err(Error::Call { attempt: "talk to init", errno }),
        }
    }

    /// The process, for good.
    pub(crate) fn pidfd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_ref().unwrap_or_else(|| unreachable!("as in `commit`")).as_fd()
    }

    /// The container is there: it stays when this is dropped.
    pub(crate) fn commit(mut self) -> OwnedFd {
        self.pidfd.take().unwrap_or_else(|| unreachable!("only `commit` takes it, and that ends this"))
    }

    fn hear<'a>(&self, bytes: &'a mut [u8; Report::LONGEST]) -> Result<(Option<Report>, &'a [u8]), Error> {
        let len = match retry_on_intr(|| recv(&self.socket, &mut bytes[..], RecvFlags::empty())) {
            Ok((_, len)) => len,
            // It left without reading what we said last.
            Err(Errno::CONNRESET) => 0,
            Err(errno) => return Err(Error::Call { attempt: "listen to init", errno }),
        };
        match bytes.get(..len) {
            None | Some([]) => Ok((None, &[])),
            Some(bytes) => match Report::decode(bytes) {
                Some(report) => Ok((Some(report), bytes.get(Report::LEN..).unwrap_or_default())),
                None => Err(Error::Call { attempt: "understand init", errno: Errno::BADMSG }),
            },
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

/// clone3(2) has one answer for many reasons: say what was asked of it.
fn not_born(errno: Errno, plan: &Plan) -> &'static str {
    match errno {
        Errno::NOSPC | Errno::USERS => "make the container's namespaces (a limit in /proc/sys/user is reached)",
        Errno::AGAIN => "make the container's first process (a limit on processes is reached)",
        Errno::PERM if plan.spawn.namespaces != 0 => "make the container's namespaces (CAP_SYS_ADMIN is needed)",
        _ => "make the container's process",
    }
}

pub(crate) fn answer(part: Part, errno: i32) -> String {
    match part {
        // Init's panic carries its line where an answer would be, and a hook's end its number.
        Part::Panic | Part::Status | Part::Signal => errno.to_string(),
        _ => rt_plan::words(errno),
    }
}

/// What a hook has said, in one line.
pub(crate) fn words_of(said: &[u8]) -> String {
    let text = String::from_utf8_lossy(said);
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn warning(plan: &Plan, step: u16, errno: i32, value: u32) -> String {
    let words = rt_plan::words(errno);
    match plan.steps.step(usize::from(step)) {
        Some(step @ Step::Limit { .. }) => format!("{step}: {words}; the hard limit is {value} now"),
        Some(step) => format!("{step}: {words}; going on without"),
        None => words,
    }
}
