//! `run`: create and start in one, without anybody to wait for; in the foreground until the program has ended.

use crate::create::{Made, make};
use crate::delete::clear;
use crate::{Create, Error, Store};
use nix::sys::signal::{SigSet, SigmaskHow, Signal as Caught, sigprocmask};
use rt_plan::Wait;
use rustix::fd::{AsFd, OwnedFd};
use rustix::process::{Pid, Signal, WaitOptions, WaitStatus, pidfd_send_signal, set_child_subreaper, wait};

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
    let signals = SigSet::all();
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&signals), None).map_err(|errno| Error::Call {
        attempt: "block signals",
        errno: rustix::io::Errno::from_raw_os_error(errno as i32),
    })?;
    let made = make(store, request, Wait::Nobody)?;
    made.warnings.iter().for_each(|warning| say(warning));
    let status = foreground(&made, &signals)?;
    if !how.keep {
        clear(made.directory, &made.record)?;
    }
    // The rest is closed by leaving.
    std::mem::forget(made.pidfd);
    Ok(status)
}

/// Forward signals, reap, and wait for the end.
fn foreground(made: &Made, signals: &SigSet) -> Result<u8, Error> {
    loop {
        match signals.wait() {
            Ok(Caught::SIGCHLD) => {
                if let Some(status) = reap(made.record.init_process_pid)? {
                    return Ok(status);
                }
            }
            // A resized terminal, and what the kernel tells us alone.
            Ok(Caught::SIGWINCH | Caught::SIGURG | Caught::SIGPIPE) => {}
            Ok(caught) => forward(&made.pidfd, caught),
            // A real-time signal has no name here.
            Err(_) => {}
        }
    }
}

fn forward(pidfd: &OwnedFd, caught: Caught) {
    if let Some(signal) = Signal::from_named_raw(caught as i32) {
        // Gone already: its end is the next thing we hear.
        let _ = pidfd_send_signal(pidfd.as_fd(), signal);
    }
}

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
