//! What a container is doing: looked at, never remembered.

use crate::{Container, Error, Record};
use rt_cgroup::Existing;
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use std::fmt;

/// runtime.md, "State"; `Paused` is runc's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// `create` is at work, or died at it.
    Creating,
    /// Init waits for `start`.
    Created,
    /// The program runs.
    Running,
    /// Frozen.
    Paused,
    /// Its process is gone.
    Stopped,
}

impl Status {
    /// In the specification's words.
    pub fn words(self) -> &'static str {
        match self {
            Self::Creating => "creating",
            Self::Created => "created",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Stopped => "stopped",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.words())
    }
}

/// A container at one moment.
#[derive(Debug)]
pub struct Observed {
    /// What it is doing.
    pub status: Status,
    /// Its process, if there is one.
    pub pidfd: Option<OwnedFd>,
}

/// Look at a container.
///
/// # Errors
/// [`Error::File`] where the host does not let us look.
pub fn observe(container: &Container) -> Result<Observed, Error> {
    let record = &container.record;
    if record.init_process_pid == 0 {
        return Ok(Observed { status: Status::Creating, pidfd: None });
    }
    let Some(pidfd) = process(record)? else {
        return Ok(Observed { status: Status::Stopped, pidfd: None });
    };
    let waiting = container.directory.is_waiting();
    let status = if Existing::open(&record.cgroup_paths).is_frozen().unwrap_or(false) {
        Status::Paused
    } else if waiting {
        Status::Created
    } else {
        Status::Running
    };
    Ok(Observed { status, pidfd: Some(pidfd) })
}

/// The container's process, if it is still that one: a number may have been given to another since.
pub(crate) fn process(record: &Record) -> Result<Option<OwnedFd>, Error> {
    let Some(pid) = Pid::from_raw(record.init_process_pid) else { return Ok(None) };
    let pidfd = match pidfd_open(pid, PidfdFlags::empty()) {
        Ok(pidfd) => pidfd,
        // EINVAL: it is gone, but the number is still that of a session or group. Newer kernels say ESRCH here too.
        Err(Errno::SRCH | Errno::INVAL) => return Ok(None),
        Err(errno) => return Err(Error::Call { attempt: "open the container's process", errno }),
    };
    // With the descriptor in hand the number can't change its owner between this look and the next call.
    Ok(began(pid)?.filter(|began| *began == record.init_process_start).map(|_| pidfd))
}

/// When a process began, in clock ticks since boot; `None` if it is gone or a zombie.
pub(crate) fn began(pid: Pid) -> Result<Option<u64>, Error> {
    let path = format!("/proc/{}/stat", pid.as_raw_nonzero());
    let stat = match crate::probe::proc_file(&path) {
        Err(Error::File { errno: 2 | 3, .. }) => return Ok(None),
        stat => stat?,
    };
    Ok(parse_stat(&stat))
}

/// The number of a process in the innermost pid namespace that it is in.
pub(crate) fn inner_number(pid: Pid) -> Result<i32, Error> {
    let status = crate::probe::proc_file(&format!("/proc/{}/status", pid.as_raw_nonzero()))?;
    let numbers = status.lines().find_map(|line| line.strip_prefix("NSpid:")).unwrap_or_default();
    Ok(numbers.split_whitespace().last().and_then(|number| number.parse().ok()).unwrap_or(0))
}

/// proc(5): the name may hold anything, so fields count from its last parenthesis. State is the third, start the 22nd.
fn parse_stat(stat: &str) -> Option<u64> {
    let (_, after) = stat.rsplit_once(") ")?;
    let mut fields = after.split(' ');
    if matches!(fields.next()?, "Z" | "X" | "x") {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_time_is_found_behind_any_name() {
        let fields = "S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4711 20 21";
        assert_eq!(parse_stat(&format!("7 (a) b) {fields}")), Some(4711));
        assert_eq!(parse_stat(&format!("7 (sh) {}", fields.replace('S', "Z"))), None);
        assert_eq!(parse_stat("nonsense"), None);
    }
}
