//! `kill`: a signal to the container's process, or to all.

use crate::{Error, Id, Status, Store, observe};
use rt_cgroup::Existing;
use rustix::fd::AsFd;
use rustix::process;

/// Who gets the signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The container's first process.
    First,
    /// `--all`.
    All,
}

/// A signal's number: 1 to 64, or 0, which only asks whether somebody is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signal(i32);

const KILL: Signal = Signal(9);

/// Send `signal`.
///
/// # Errors
/// [`Error::Forbidden`] with `container not running`, which engines look for; not with `--all`, as runc.
pub fn kill(store: &Store, id: &Id, signal: Signal, scope: Scope) -> Result<(), Error> {
    let container = store.find(id)?;
    let observed = observe(&container)?;
    let record = container.record;
    let cgroup = Existing::open(&record.cgroup_paths);
    let running = matches!(observed.status, Status::Created | Status::Running | Status::Paused);
    if scope == Scope::All {
        // Without a pid namespace of its own others may live on after the first process.
        return match signal.kernels() {
            _ if signal == KILL => Ok(cgroup.kill_all()?),
            Some(signal) => Ok(cgroup.signal_all(signal)?),
            None => Ok(()),
        };
    }
    let Some(pidfd) = observed.pidfd.filter(|_| running) else {
        return Err(Error::forbidden("container not running"));
    };
    if signal == KILL && !record.rt.own_pids {
        // As runc: who shares the host's process numbers would otherwise leave processes behind.
        return Ok(cgroup.kill_all()?);
    }
    match rt_sys::signal::send(pidfd.as_fd(), signal.0) {
        Ok(()) => {}
        Err(rustix::io::Errno::SRCH) => return Err(Error::forbidden("container not running")),
        Err(errno) => return Err(Error::Call { attempt: "signal the container's process", errno }),
    }
    // A frozen process of cgroup v1 would die only when somebody thaws it.
    if signal == KILL && observed.status == Status::Paused { Ok(cgroup.thaw()?) } else { Ok(()) }
}

/// A signal as people write it: `TERM`, `SIGTERM`, `term`, `15`, `RTMIN+1`, `SIGRTMAX-2`.
///
/// # Errors
/// [`Error::UnknownSignal`].
pub fn parse_signal(text: &str) -> Result<Signal, Error> {
    number(text).map(Signal).ok_or_else(|| Error::UnknownSignal(text.to_owned()))
}

/// signal(7): real-time signals from 34 (glibc keeps two) to 64.
const RTMIN: i32 = 34;
const RTMAX: i32 = 64;

fn number(text: &str) -> Option<i32> {
    if let Ok(number) = text.parse::<i32>() {
        return (0..=RTMAX).contains(&number).then_some(number);
    }
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    let offset = |rest: &str, sign: char| match rest {
        "" => Some(0),
        rest => rest.strip_prefix(sign)?.parse::<i32>().ok(),
    };
    let number = if let Some(rest) = name.strip_prefix("RTMIN") {
        RTMIN.checked_add(offset(rest, '+')?)?
    } else if let Some(rest) = name.strip_prefix("RTMAX") {
        RTMAX.checked_sub(offset(rest, '-')?)?
    } else {
        let name = match name {
            "CLD" => "CHLD",
            "POLL" => "IO",
            "IOT" => "ABRT",
            "UNUSED" => "SYS",
            name => name,
        };
        let signal: nix::sys::signal::Signal = format!("SIG{name}").parse().ok()?;
        return Some(signal as i32);
    };
    (RTMIN..=RTMAX).contains(&number).then_some(number)
}

impl Signal {
    /// As rustix has it; 0 is none.
    fn kernels(self) -> Option<process::Signal> {
        process::Signal::from_named_raw(self.0).or_else(|| rt_sys::signal::realtime(self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_has_many_spellings() {
        for text in ["TERM", "SIGTERM", "term", "sigterm", "15"] {
            assert_eq!(number(text), Some(15), "{text}");
        }
        for (text, expected) in
            [("RTMIN", 34), ("SIGRTMIN+1", 35), ("rtmax-2", 62), ("SIGRTMAX", 64), ("CLD", 17), ("64", 64)]
        {
            assert_eq!(number(text), Some(expected), "{text}");
        }
        for text in ["", "65", "-1", "FOO", "RTMIN+31", "RTMIN-1", "SIG", "9 "] {
            assert_eq!(number(text), None, "{text:?}");
        }
    }
}
