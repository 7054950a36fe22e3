//! From `linux.seccomp` of a config to the program that the kernel runs at every system call: pure, without I/O.
//!
//! ```
//! use rt_seccomp::{Arch, Attempt, Profile, Verdict, compile, number, verdict};
//!
//! let profile: Profile = serde_json::from_str(
//!     r#"{ "defaultAction": "SCMP_ACT_ALLOW",
//!          "syscalls": [{ "names": ["mkdir"], "action": "SCMP_ACT_ERRNO", "errnoRet": 30 }] }"#,
//! )?;
//! let filter = compile(&profile, Arch::X86_64, 0)?;
//! let number = number(Arch::X86_64, "mkdir").expect("x86_64 has mkdir");
//! let attempt = Attempt { arch: Arch::X86_64, number, args: [0; 6] };
//! assert_eq!(verdict(&filter.instructions, &attempt), Ok(Verdict::Errno(30)));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

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
