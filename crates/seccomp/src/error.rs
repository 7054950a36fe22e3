//! What can be wrong with a profile.

use crate::arch::Arch;
use crate::profile::{Action, Flag};
use thiserror::Error;

/// A profile that no filter can be made of.
#[derive(Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// Rules, and nothing for the calls that they are not about.
    #[error("linux.seccomp.defaultAction is missing")]
    NoDefault,
    /// The listener would be asked for the calls that hand it over.
    #[error("SCMP_ACT_NOTIFY cannot be used as default action")]
    NotifyByDefault,
    /// See [`Error::NotifyByDefault`].
    #[error("SCMP_ACT_NOTIFY cannot be used for the write syscall")]
    NotifyWrite,
    /// An errno with an action that has none.
    #[error("linux.seccomp.{field} is set, but {action} takes no errno")]
    ErrnoUnused {
        /// Where.
        field: String,
        /// What it stands beside.
        action: Action,
    },
    /// An errno that no system call can return.
    #[error("linux.seccomp.{field} is {errno}: an errno is less than 4095")]
    ErrnoRange {
        /// Where.
        field: String,
        /// It.
        errno: u32,
    },
    /// A rule for the call without a name.
    #[error("linux.seccomp.syscalls[{rule}].names: an empty string is not a valid syscall")]
    EmptyName {
        /// Which one.
        rule: usize,
    },
    /// A seventh argument.
    #[error("linux.seccomp.syscalls[{rule}].args: a system call has arguments 0 to 5, not {index}")]
    Argument {
        /// Which rule.
        rule: usize,
        /// It.
        index: u32,
    },
    /// Two rules of which only one can be in force.
    #[error(
        "linux.seccomp.syscalls[{rule}]: {name} on {arch} has an earlier rule with another action and the same conditions, \
         or those of this one and more"
    )]
    Conflict {
        /// The later one.
        rule: usize,
        /// The system call.
        name: String,
        /// Where.
        arch: Arch,
    },
    /// A flag that came with a newer kernel.
    #[error("seccomp flag {0} is not supported by this kernel")]
    Flag(Flag),
    /// The kernel would say EINVAL.
    #[error("seccomp flag SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV needs a rule with SCMP_ACT_NOTIFY")]
    WaitForNobody,
    /// More than the kernel loads.
    #[error("the seccomp filter is too long: it takes more than the {most} instructions that the kernel loads")]
    TooLong {
        /// `BPF_MAXINSNS`.
        most: usize,
    },
}
