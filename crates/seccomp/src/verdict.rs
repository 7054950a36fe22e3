//! What a filter says of one system call: the number that it returns to the kernel.

use crate::profile::Action;
use std::fmt;

/// EPERM, on every architecture.
const EPERM: u16 = 1;
/// The kernel knows no errno from here on; libseccomp refuses them, so runc does.
const MAX_ERRNO: u16 = 4095;

/// `SECCOMP_RET_*` of linux/seccomp.h, with its data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// SIGSYS ends the process.
    KillProcess,
    /// The thread ends as if by SIGSYS.
    KillThread,
    /// SIGSYS, which the program can catch.
    Trap,
    /// It is not made, and fails with this errno.
    Errno(u16),
    /// The listener is asked.
    Notify,
    /// A tracer is asked, and given this number.
    Trace(u16),
    /// It is made, and logged.
    Log,
    /// It is made.
    Allow,
}

impl Verdict {
    /// The verdict of an action with the errno that stands beside it. None: an errno that there can't be.
    ///
    /// Only the low 16 bits count, as in runc.
    pub(crate) fn new(action: Action, errno: Option<u32>) -> Option<Self> {
        let data = errno.map_or(EPERM, |errno| {
            let [low, high, ..] = errno.to_le_bytes();
            u16::from_le_bytes([low, high])
        });
        Some(match action {
            Action::Kill | Action::KillThread => Self::KillThread,
            Action::KillProcess => Self::KillProcess,
            Action::Trap => Self::Trap,
            Action::Errno if data >= MAX_ERRNO => return None,
            Action::Errno => Self::Errno(data),
            Action::Trace => Self::Trace(data),
            Action::Allow => Self::Allow,
            Action::Log => Self::Log,
            Action::Notify => Self::Notify,
        })
    }

    /// What the program returns.
    pub fn bits(self) -> u32 {
        match self {
            Self::KillProcess => 0x8000_0000,
            Self::KillThread => 0,
            Self::Trap => 0x0003_0000,
            Self::Errno(errno) => 0x0005_0000 | u32::from(errno),
            Self::Notify => 0x7fc0_0000,
            Self::Trace(data) => 0x7ff0_0000 | u32::from(data),
            Self::Log => 0x7ffc_0000,
            Self::Allow => 0x7fff_0000,
        }
    }

    /// How the kernel takes what a program returns; an action that it does not know kills the process.
    pub fn from_bits(bits: u32) -> Self {
        let [low, high, ..] = bits.to_le_bytes();
        let data = u16::from_le_bytes([low, high]);
        match bits & 0xffff_0000 {
            0 => Self::KillThread,
            0x0003_0000 => Self::Trap,
            0x0005_0000 => Self::Errno(data.min(MAX_ERRNO)),
            0x7fc0_0000 => Self::Notify,
            0x7ff0_0000 => Self::Trace(data),
            0x7ffc_0000 => Self::Log,
            0x7fff_0000 => Self::Allow,
            _ => Self::KillProcess,
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::KillProcess => f.write_str("kill the process"),
            Self::KillThread => f.write_str("kill the thread"),
            Self::Trap => f.write_str("trap"),
            Self::Errno(errno) => write!(f, "errno {errno}"),
            Self::Notify => f.write_str("notify"),
            Self::Trace(data) => write!(f, "trace {data}"),
            Self::Log => f.write_str("log"),
            Self::Allow => f.write_str("allow"),
        }
    }
}
