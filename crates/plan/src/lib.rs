//! From a config and the facts of a host to a plan: pure, without I/O, so that any plan can be printed and compared on
//! any machine.

#![forbid(unsafe_code)]

pub mod capabilities;
mod devices;
pub mod error;
pub mod hooks;
pub mod host;
mod kept;
mod mounts;
mod namespaces;
pub mod options;
pub mod plan;
mod process;
mod rootfs;
pub mod ruling;
pub mod seccomp;
pub mod spec;
mod steps;
mod targets;

pub use error::{Error, words};
pub use host::Host;
pub use kept::Kept;
pub use namespaces::KINDS as NAMESPACES;
pub use plan::{Join, Pids, Plan, Request, Spawn, Wait, create, exec};
pub use spec::Spec;
pub use steps::{Steps, failure, is_hook};
