//! From `linux.seccomp` of a config to the program that the kernel runs at every system call: pure, without I/O.

#![forbid(unsafe_code)]

mod arch;
mod assemble;
mod bpf;
mod chain;
mod compile;
mod error;
mod explain;
mod mux;
mod names;
mod profile;
mod rules;
mod table;
mod verdict;

pub use arch::Arch;
pub use bpf::{Attempt, Fault, Insn, verdict};
pub use compile::{Filter, MOST, compile};
pub use error::Error;
pub use explain::{Answer, Reason, answer, rule_for};
pub use profile::{Action, Condition, Flag, Operator, Profile, Rule};
pub use table::{names, number};
pub use verdict::Verdict;
