//! The built-in init: the program is a child, and process 1 adopts, reaps, and passes signals on.

use crate::hands::{self, Done, Hands};
use crate::{program, seccomp};
use core::ops::Range;
use rt_sys::clone::{Failure, Group, Program, Spawn, spawn, spawn_after};
use rt_sys::exec::exit;
use rt_sys::{command, fd, map, signal};
use rt_wire::{Part, Step, Text, Texts};

use rustix::event::{PollFd, PollFlags};
use rustix::fd::{AsRawFd, OwnedFd};
use rustix::io::Errno;
use rustix::process::{Pid, WaitOptions, WaitStatus, set_child_subreaper, wait};

const SIGCHLD: u8 = 17;
/// What a fault of our own raises, and what only concerns whoever has the terminal.
const OURS: [u8; 8] = [4, 5, 7, 8, 11, 21, 22, 31];

/// Start the program and serve it until it, and what it left behind, has ended. Returns only to say why there is none.
#[inline(never)]
pub(crate) fn serve(hands: &Hands, step: Step<'_>) -> Done {
    let Step::Serve { args, env, path, home, linger } = step else {
        return Err(hands::Failure { part: Part::Message, errno: Errno::BADMSG });
    };
    // Orphans come to us also where we are not process 1.
    set_child_subreaper(Some(Pid::INIT))?;
    signal::set_mask(u64::MAX)?;
    let signals = signal::descriptor(u64::MAX)?;
    let payload = start(args, env, path, home, hands.filter)?;
    // All of them: those that tell `start` that it runs, the program's own, and the streams, whose readers wait for the
    // end of what the program has to say.
    let number = signals.as_raw_fd().unsigned_abs();
    fd::close_between(0, number)?;
    fd::close_between(number.saturating_add(1), u32::MAX)?;
    attend(&signals, payload, linger, &hands.code)
}

#[inline(never)]
fn start(
    args: Texts<'_>,
    env: Texts<'_>,
    search: Text<'_>,
    home: Text<'_>,
    filter: Option<(&[u8], u32)>,
) -> Result<Pid, hands::Failure> {
    let mut payload = None;
    let mut failed = None;
    let name = Text::from(args.iter().next().ok_or(Errno::INVAL)?);
    let started = program::start(name, args, env, search, home, |path, args, env| {
        // No child for a path that leads nowhere: the program is to be number 2.
        program::may_execute(path)?;
        let child = Spawn {
            namespaces: 0,
            cgroup: None,
            program: Program::Path(path),
            args,
            env,
            directory: None,
            group: Group::Foreground,
            stdio: None,
            keep: &[],
            ignored: 0,
            filter,
            oom_score: &[],
            carry_capabilities: false,
        };
        let child = match filter {
            None => spawn(&child),
            Some(_) => spawn_after(&child, seccomp::confine_process_1),
        };
        match child {
            Ok(child) => {
                payload = Some(child.pid);
                Ok(())
            }
            // There is no second child, and no look at another path, behind a filter.
            Err(Failure::Exec(errno)) if filter.is_some() => {
                failed = Some(errno);
                Err(Errno::CANCELED)
            }
            Err(Failure::Clone(errno) | Failure::Exec(errno)) => Err(errno),
        }
    });
    if let Some(errno) = failed {
        return Err(hands::Failure::from(errno));
    }
    started?;
    Ok(payload.ok_or(Errno::CHILD)?)
}

/// Until the program has ended, and the others have or their time is over.
#[inline(never)]
fn attend(signals: &OwnedFd, payload: Pid, linger: u32, code: &Range<usize>) -> ! {
    let mut status = None;
    let mut limit = None;
    loop {
        let left = status.map(|_| command::remaining(*limit.get_or_insert_with(|| command::deadline(linger))));
        let mut wait = [PollFd::new(signals, PollFlags::IN)];
        if let (Ok(0), Some(status)) = (map::park(code.clone(), &mut wait, left.as_ref()), status) {
            exit(status);
        }
        match signal::read(rustix::fd::AsFd::as_fd(signals)) {
            Some(SIGCHLD) => reap(payload, &mut status),
            Some(number) if OURS.contains(&number) => {}
            Some(number) => match status {
                None => drop(signal::kill(payload, i32::from(number))),
                // Whoever waits for us has waited long enough.
                Some(status) => exit(status),
            },
            None => {}
        }
    }
}

/// Everybody who has ended. Leaves when there is nobody left.
fn reap(payload: Pid, status: &mut Option<u8>) {
    loop {
        match wait(WaitOptions::NOHANG) {
            Ok(Some((pid, ended))) if pid == payload => *status = Some(code(ended)),
            Ok(Some(_)) | Err(Errno::INTR) => {}
            Ok(None) => return,
            // No children at all.
            Err(_) => exit(status.unwrap_or(255)),
        }
    }
}

fn code(ended: WaitStatus) -> u8 {
    let code = match (ended.exit_status(), ended.terminating_signal()) {
        (Some(code), _) => code,
        (None, Some(signal)) => signal.saturating_add(128),
        (None, None) => 255,
    };
    u8::try_from(code).unwrap_or(255)
}
