//! `linux.seccomp` as a config has it (runtime-spec 1.3, config-linux.md).

use crate::arch::Arch;
use crate::names::names;
use serde::de::{Deserializer, Error, IntoDeserializer, Visitor};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::ops::Deref;

names! {
    /// What becomes of a system call.
    Action ("action") {
        /// The same as `KillThread`.
        Kill = "SCMP_ACT_KILL",
        /// SIGSYS ends the process.
        KillProcess = "SCMP_ACT_KILL_PROCESS",
        /// The thread ends as if by SIGSYS.
        KillThread = "SCMP_ACT_KILL_THREAD",
        /// SIGSYS, which the program can catch.
        Trap = "SCMP_ACT_TRAP",
        /// It is not made, and fails with an errno.
        Errno = "SCMP_ACT_ERRNO",
        /// A tracer is asked.
        Trace = "SCMP_ACT_TRACE",
        /// It is made.
        Allow = "SCMP_ACT_ALLOW",
        /// It is made, and logged.
        Log = "SCMP_ACT_LOG",
        /// Whoever holds the listener is asked.
        Notify = "SCMP_ACT_NOTIFY",
    }
}

names! {
    /// How an argument is compared.
    Operator ("operator") {
        /// Is not `value`.
        NotEqual = "SCMP_CMP_NE",
        /// Is less than `value`.
        Less = "SCMP_CMP_LT",
        /// Is `value` or less.
        LessEqual = "SCMP_CMP_LE",
        /// Is `value`.
        Equal = "SCMP_CMP_EQ",
        /// Is `value` or more.
        GreaterEqual = "SCMP_CMP_GE",
        /// Is more than `value`.
        Greater = "SCMP_CMP_GT",
        /// Its bits in `value` are those of `valueTwo`.
        MaskedEqual = "SCMP_CMP_MASKED_EQ",
    }
}

names! {
    /// How the filter is installed.
    Flag ("flag") {
        /// For all threads. Whoever loads this filter has one.
        Tsync = "SECCOMP_FILTER_FLAG_TSYNC",
        /// Whatever is not allowed is logged.
        Log = "SECCOMP_FILTER_FLAG_LOG",
        /// No mitigation against speculation because of the filter.
        SpecAllow = "SECCOMP_FILTER_FLAG_SPEC_ALLOW",
        /// A call that the listener has received can only be interrupted by what kills.
        WaitKillableRecv = "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV",
    }
}

impl Flag {
    /// The bit in the second argument of seccomp(2).
    pub const fn bit(self) -> u32 {
        match self {
            Self::Tsync => 1,
            Self::Log => 1 << 1,
            Self::SpecAllow => 1 << 2,
            Self::WaitKillableRecv => 1 << 5,
        }
    }
}

/// `linux.seccomp`. `S` is a string: owned, or borrowed from the config.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
#[serde(bound(deserialize = "S: Deserialize<'de> + Default", serialize = "S: Serialize"))]
pub struct Profile<S = String> {
    /// What becomes of a call that no rule is about. Only a profile that means no filter at all has none.
    #[serde(deserialize_with = "or_empty", skip_serializing_if = "Option::is_none")]
    pub default_action: Option<Action>,
    /// The errno of `default_action`, or what the tracer is told; absent: EPERM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_errno_ret: Option<u32>,
    /// The architectures whose calls are judged, beside the machine's own. Those of others kill.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub architectures: Vec<Arch>,
    /// Absent: `SpecAllow`, where the kernel has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flags: Option<Vec<Flag>>,
    /// The socket of whoever wants the listener.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listener_path: Option<S>,
    /// What they are told beside.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listener_metadata: Option<S>,
    /// The rules.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub syscalls: Vec<Rule<S>>,
}

/// One of `syscalls`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
#[serde(bound(deserialize = "S: Deserialize<'de> + Default", serialize = "S: Serialize"))]
pub struct Rule<S = String> {
    /// The system calls that it is about.
    #[serde(default = "Vec::new", deserialize_with = "or_default")]
    pub names: Vec<S>,
    /// What becomes of them.
    pub action: Action,
    /// The errno of `action`, or what the tracer is told; absent: EPERM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub errno_ret: Option<u32>,
    /// Conditions: all of them have to hold, but if two are about one argument, any.
    #[serde(default = "Vec::new", deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<Condition>,
}

/// One of `args`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// Which argument, from 0 to 5.
    #[serde(default)]
    pub index: u32,
    /// What it is compared with; the mask of `MaskedEqual`.
    #[serde(default)]
    pub value: u64,
    /// What the masked argument is compared with.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub value_two: u64,
    /// How.
    pub op: Operator,
}

impl<S> Default for Profile<S> {
    fn default() -> Self {
        Self {
            default_action: None,
            default_errno_ret: None,
            architectures: Vec::new(),
            flags: None,
            listener_path: None,
            listener_metadata: None,
            syscalls: Vec::new(),
        }
    }
}

impl<S: Deref<Target = str>> Profile<S> {
    /// Whether it asks for no filter at all: `{}`, as runc takes it.
    pub fn is_empty(&self) -> bool {
        self.default_action.is_none() && self.syscalls.is_empty()
    }

    /// Whether some call is left to whoever holds the listener.
    pub fn notifies(&self) -> bool {
        self.syscalls.iter().any(|rule| rule.action == Action::Notify && !rule.names.is_empty())
    }
}

/// Go writes `null` for an empty list, and reads it as one.
fn or_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(from: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

/// `""` is Go's absent string.
fn or_empty<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Action>, D::Error> {
    struct MaybeAction;

    impl Visitor<'_> for MaybeAction {
        type Value = Option<Action>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("the name of a seccomp action")
        }

        fn visit_str<E: Error>(self, name: &str) -> Result<Option<Action>, E> {
            if name.is_empty() { Ok(None) } else { Action::deserialize(name.into_deserializer()).map(Some) }
        }

        fn visit_unit<E: Error>(self) -> Result<Option<Action>, E> {
            Ok(None)
        }
    }

    from.deserialize_any(MaybeAction)
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde's signature
fn is_zero(value: &u64) -> bool {
    *value == 0
}
