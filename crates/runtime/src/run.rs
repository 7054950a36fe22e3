//! `run`: create and start in one, without anybody to wait for; in the foreground until the program has ended.

use crate::create::{Made, make};
use crate::delete::clear;
use crate::{Create, Error, Store};
use rt_plan::Wait;
use rt_sys::signal;
use rustix::fd::{AsFd, BorrowedFd};
use rustix::process::{Pid, WaitOptions, WaitStatus, set_child_subreaper, wait};

/// What `run` is told beside what `create` is.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    /// Whether to wait for the end.
    pub after: After,
    /// Whether orphans of the container become our children: `--no-subreaper` says no.
    pub subreaper: bool,
    /// `--keep`: the container is left to `delete`.
    pub keep: bool,
}

/// When `run` returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    /// When the program has ended.
    Exit,
    /// When it runs: `--detach`.
    Start,
}

/// Run a container. `say` gets what could not be done as asked, while the container runs. Returns the exit status:
/// the program's own, or 128 and the number of the signal that ended it.
///
/// # Errors
/// Every kind. Nothing is left behind then.
pub fn run(store: &Store, request: &Create, how: Run, say: impl Fn(&str)) -> Result<u8, Error> {
    if how.after == After::Start {
        make(store, request, Wait::Nobody)?.warnings.iter().for_each(|warning| say(warning));
        return Ok(0);
    }
    if how.subreaper {
        set_child_subreaper(Some(Pid::INIT)).map_err(Error::call("become a subreaper"))?;
    }
    // Before there is a child, so that no signal and no end of it is missed.
    signal::set_mask(u64::MAX).map_err(Error::call("block signals"))?;
    let made = make(store, request, Wait::Nobody)?;
    // The descriptor not earlier: it could take a number that is to be preserved for the container.
    let signals = signal::descriptor(u64::MAX).map_err(Error::call("listen for signals"));
    let status = signals.and_then(|signals| {
        made.warnings.iter().for_each(|warning| say(warning));
        let status = foreground(&made, signals.as_fd());
        // Closed by leaving.
        std::mem::forget(signals);
        status
    });
    let status = match status {
        Ok(status) => status,
        Err(error) => {
            // Nobody would wait for it any more.
            let _ = signal::send(made.pidfd.as_fd(), SIGKILL);
            let _ = clear(made.directory, &made.record);
            return Err(error);
        }
    };
    if !how.keep {
        clear(made.directory, &made.record)?;
    }
    std::mem::forget(made.pidfd);
    Ok(status)
}

/// Forward signals, reap, and wait for the end.
fn foreground(made: &Made, signals: BorrowedFd<'_>) -> Result<u8, Error> {
    loop {
        match signal::read(signals) {
            Some(SIGCHLD) => {
                if let Some(status) = reap(made.record.init_process_pid)? {
                    return Ok(status);
                }
            }
            // A resized terminal, and what the kernel tells us alone.
            Some(SIGWINCH | SIGURG | SIGPIPE) | None => {}
            // If it is gone already, its end is the next thing we hear.
            Some(caught) => drop(signal::send(made.pidfd.as_fd(), i32::from(caught))),
        }
    }
}

const SIGKILL: i32 = 9;
const SIGPIPE: u8 = 13;
const SIGCHLD: u8 = 17;
const SIGURG: u8 = 23;
const SIGWINCH: u8 = 28;

/// Reap whoever has ended: as a subreaper we get the container's orphans. The status if the container's first process
/// was among them.
fn reap(init: i32) -> Result<Option<u8>, Error> {
    loop {
        match wait(WaitOptions::NOHANG) {
            Ok(Some((pid, status))) if pid.as_raw_nonzero().get() == init => return Ok(Some(exit_status(status))),
            Ok(Some(_)) => {}
            Ok(None) => return Ok(None),
            Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(Error::Call { attempt: "wait for the container's process", errno }),
        }
    }
}

fn exit_status(status: WaitStatus) -> u8 {
    let code = match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => code,
        (None, Some(signal)) => 128 + signal,
        (None, None) => 255,
    };
    u8::try_from(code).unwrap_or(255)
}
