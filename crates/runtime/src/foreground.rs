//! A process in the foreground: signals go to it, its terminal is ours to show, and its end is ours to report.

use crate::Error;
use crate::notify::Notify;
use crate::terminal::{Raw, Relay};
use rt_sys::signal;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::process::{WaitOptions, WaitStatus, wait};
use rustix::stdio::{stdin, stdout};

const SIGPIPE: u8 = 13;
const SIGCHLD: u8 = 17;
const SIGTTIN: u8 = 21;
const SIGTTOU: u8 = 22;
const SIGURG: u8 = 23;
const SIGWINCH: u8 = 28;
const SIGIO: u8 = 29;

/// From here on no signal, and no end of a child, is missed. With `shown` the container's terminal is shown on the caller's,
/// which is in raw mode while the result lives.
pub(crate) fn begin(shown: bool, say: &impl Fn(&str)) -> Result<Option<Raw<'static>>, Error> {
    let block = |mask| signal::set_mask(mask).map_err(Error::call("block signals"));
    if !shown {
        return block(u64::MAX).map(|()| None);
    }
    // A signal that ended us now would leave the terminal raw. But for these two, which keep a job in the background from
    // changing the terminal of the one in the foreground.
    block(!(1 << (SIGTTIN - 1) | 1 << (SIGTTOU - 1)))?;
    // The container does not need it to run.
    let raw = Raw::enter(stdin()).unwrap_or_else(|error| {
        say(&error.to_string());
        None
    });
    block(u64::MAX)?;
    Ok(raw)
}

/// What is attended to.
pub(crate) struct Attended<'a> {
    /// The process, our child.
    pub(crate) pid: i32,
    /// Itself.
    pub(crate) pidfd: BorrowedFd<'a>,
    /// Its terminal.
    pub(crate) terminal: Option<OwnedFd>,
    /// What it has to tell the service manager.
    pub(crate) notify: Option<Notify>,
}

/// Until the process has ended: its exit status, or 128 and the number of the signal that ended it. Signals are blocked.
pub(crate) fn attend(mut attended: Attended<'_>) -> Result<u8, Error> {
    // Not earlier: it could take a number that is to be preserved for the container.
    let signals = signal::descriptor(u64::MAX).map_err(Error::call("listen for signals"))?;
    let mut relay = match attended.terminal.take() {
        Some(master) => Some(Relay::new(master, signals.as_fd(), stdin(), stdout())?),
        None => None,
    };
    // What came before it was listened to by signal.
    attended.notify = attended.notify.take().and_then(Notify::forward);
    let status = loop {
        let caught = match &mut relay {
            Some(relay) => relay.until_signal()?,
            None => signal::read(signals.as_fd()),
        };
        match caught {
            Some(SIGCHLD) => {
                if let Some(status) = reap(attended.pid)? {
                    break status;
                }
            }
            Some(SIGIO) if attended.notify.is_some() => {
                attended.notify = attended.notify.take().and_then(Notify::forward)
            }
            Some(SIGWINCH) => {
                if let Some(relay) = &relay {
                    relay.resize();
                }
            }
            // What the kernel tells us alone, or about a terminal that is ours.
            Some(SIGURG | SIGPIPE | SIGTTIN | SIGTTOU) | None => {}
            // If it is gone already, its end is the next thing we hear.
            Some(caught) => drop(signal::send(attended.pidfd, i32::from(caught))),
        }
    };
    // Its last words, if it ended before we could listen.
    drop(attended.notify.take().and_then(Notify::forward));
    if let Some(relay) = relay {
        relay.finish()?;
    }
    // Closed by leaving.
    std::mem::forget(signals);
    Ok(status)
}

/// Reap whoever has ended: as a subreaper we get the container's orphans. The status if the process was among them.
fn reap(pid: i32) -> Result<Option<u8>, Error> {
    loop {
        match wait(WaitOptions::NOHANG) {
            Ok(Some((ended, status))) if ended.as_raw_nonzero().get() == pid => return Ok(Some(exit_status(status))),
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
