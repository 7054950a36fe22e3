//! What can go wrong, by what the reader must do about it.

use rt_plan::words;
use rustix::io::Errno;
use std::borrow::Cow;

/// Why a cgroup could not be made, changed, or cleared away.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Fix the config: the value means nothing, here or anywhere.
    #[error("{field}: {why}")]
    Config {
        /// As the spec names it: `linux.resources.memory.swap`.
        field: Cow<'static, str>,
        /// What is wrong, and what would be right.
        why: String,
    },
    /// Fix the config, or the host: what was asked for needs a controller that is not here.
    #[error("{field}: the {controller} controller is not available here ({place}): enable it, or leave the limit out")]
    NoController {
        /// As the spec names it.
        field: Cow<'static, str>,
        /// As the kernel names it.
        controller: Cow<'static, str>,
        /// Where it was looked for.
        place: String,
    },
    /// Fix the config, or the host: the controller is here, but its kernel does not know this file.
    #[error("{field}: this kernel has no {file}: leave the limit out")]
    NoFile {
        /// As the spec names it.
        field: Cow<'static, str>,
        /// Whole path.
        file: String,
    },
    /// Fix the config: the kernel refused a value.
    #[error("{field}: write {value:?} to {file}: {}", words(.errno.raw_os_error()))]
    Refused {
        /// As the spec names it.
        field: Cow<'static, str>,
        /// Whole path.
        file: String,
        /// What was written.
        value: String,
        /// The kernel's answer.
        errno: Errno,
    },
    /// Ask for more: the container already uses more than it would be allowed. (The words are runc's.)
    #[error("linux.resources.memory: rejecting {what} limit {limit} <= usage {usage}")]
    InUse {
        /// `memory`, or both together.
        what: &'static str,
        /// Bytes asked for.
        limit: i64,
        /// Bytes in use.
        usage: u64,
    },
    /// Look at the file: the update failed, and its old value could not be put back.
    #[error("{error}; and {file} does not take its old value again")]
    Half {
        /// Why the update failed.
        error: Box<Self>,
        /// Whole path.
        file: String,
    },
    /// Make the container with a cgroup: this one has none of its own.
    #[error("the container has no cgroup of its own (--cgroup-manager disabled), so it has no limits to change")]
    NoCgroup,
    /// Choose another cgroup: somebody lives in this one. (The words are runc's.)
    #[error("container's cgroup is not empty: {0} process(es) found")]
    NotEmpty(usize),
    /// Thaw it, or choose another. (The words are runc's.)
    #[error("container's cgroup unexpectedly frozen")]
    Frozen,
    /// Choose another parent: below this one no process can live with what was asked for.
    #[error("{dir} is {state}: {why}; choose another linux.cgroupsPath")]
    Parent {
        /// The cgroup that stands in the way.
        dir: String,
        /// What it is.
        state: String,
        /// What that forbids.
        why: &'static str,
    },
    /// Change the host, or its rights: device rules could not be put in force, so nothing may run.
    #[error("linux.resources.devices: {doing} for {dir}: {}{}", words(.errno.raw_os_error()), device_hint(*.errno))]
    Devices {
        /// The bpf(2) command, in words.
        doing: &'static str,
        /// The cgroup.
        dir: String,
        /// The kernel's answer.
        errno: Errno,
    },
    /// Mount one: no cgroup file system is to be seen.
    #[error("no cgroup file system is mounted at /sys/fs/cgroup, and /proc/self/mountinfo knows no other: mount one")]
    NoHierarchy,
    /// Start systemd, or leave cgroups to rt.
    #[error("systemd can't be reached at {address}: {why} ({hint} Without it: --cgroup-manager cgroupfs)")]
    NoSystemd {
        /// The socket.
        address: String,
        /// The kernel's answer, or the bus's.
        why: String,
        /// What may be the reason.
        hint: &'static str,
    },
    /// Do as systemd says.
    #[error("systemd does not {doing} {unit}: {answer}")]
    Systemd {
        /// What it was asked for.
        doing: &'static str,
        /// The unit.
        unit: String,
        /// Its words.
        answer: String,
    },
    /// Look at what systemd does.
    #[error("systemd has not answered within {seconds} s ({address}): it was asked to {doing} {unit}")]
    SystemdLate {
        /// What it was asked for.
        doing: &'static str,
        /// The unit.
        unit: String,
        /// The socket.
        address: String,
        /// How long we waited.
        seconds: u64,
    },
    /// Mount cgroup v2, or leave cgroups to rt.
    #[error(
        "cgroups are left to systemd on pure cgroup v2 only, and this host has another: use --cgroup-manager cgroupfs"
    )]
    SystemdNeedsV2,
    /// Change the host, or its rights.
    #[error("{doing} {path}: {}", words(.errno.raw_os_error()))]
    File {
        /// The call, in words.
        doing: &'static str,
        /// What it was about.
        path: String,
        /// The kernel's answer.
        errno: Errno,
    },
    /// Try again later, or look at what those processes wait for.
    #[error("cgroup {dir} still has {count} process(es) after {seconds} s: wait for them, then delete again")]
    Busy {
        /// The cgroup.
        dir: String,
        /// Processes in it and below.
        count: usize,
        /// How long we waited.
        seconds: u64,
    },
    /// Try again later: some process can't be stopped now (it waits in the kernel).
    #[error("cgroup {dir} could not be frozen within {seconds} s, so it was thawed again: try again")]
    NotFrozen {
        /// The cgroup.
        dir: String,
        /// How long we waited.
        seconds: u64,
    },
    /// Nothing here can do it: the container has no cgroup with a freezer.
    #[error("can't freeze or thaw: the container has no cgroup with a freezer")]
    NoFreezer,
}

impl Error {
    pub(crate) fn config(field: impl Into<Cow<'static, str>>, why: impl Into<String>) -> Self {
        Self::Config { field: field.into(), why: why.into() }
    }

    pub(crate) fn file(doing: &'static str, path: impl Into<String>, errno: Errno) -> Self {
        Self::File { doing, path: path.into(), errno }
    }

    /// The kernel's answer, where there was one: a caller without root can tell what it lacks the right for.
    pub fn errno(&self) -> Option<Errno> {
        match self {
            Self::Refused { errno, .. } | Self::Devices { errno, .. } | Self::File { errno, .. } => Some(*errno),
            _ => None,
        }
    }
}

fn device_hint(errno: Errno) -> &'static str {
    match errno {
        Errno::PERM => " (CAP_BPF and CAP_NET_ADMIN are needed, or CAP_SYS_ADMIN)",
        Errno::NOSYS => " (the kernel was built without bpf)",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_controller_is_named_with_the_field() {
        let error = Error::NoController {
            field: "linux.resources.memory.limit".into(),
            controller: "memory".into(),
            place: "/sys/fs/cgroup".into(),
        };
        let text = "linux.resources.memory.limit: the memory controller is not available here (/sys/fs/cgroup): \
                    enable it, or leave the limit out";
        assert_eq!(error.to_string(), text);
    }
}
