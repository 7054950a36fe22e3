//! What the commands do: create, start, run, exec, state, kill, delete, list, pause, resume, ps, events, update, explain,
//! info.
//!
//! The parent's side of the walk, as ordinary code from top to bottom. Init's side is the list in `rt-plan`.

#![forbid(unsafe_code)]

mod agent;
mod bundle;
mod child;
mod create;
mod delete;
mod error;
mod events;
mod exec;
mod explain;
mod foreground;
mod hooks;
mod id;
mod info;
mod inherited;
mod kill;
mod namespaces;
mod notify;
mod pause;
mod pidfd;
mod probe;
mod program;
mod ps;
mod read;
mod run;
mod start;
mod status;
#[cfg(test)]
mod step_tests;
mod store;
mod terminal;
mod time;
mod update;

pub use create::{Create, Manager, create};
pub use delete::{Force, delete};
pub use error::Error;
pub use events::{Event, Listener, events, statistics};
pub use exec::{Exec, What, exec};
pub use explain::{Explanation, explain, rule};
pub use id::Id;
pub use info::{Info, info};
pub use kill::{Scope, Signal, kill, parse_signal};
pub use pause::{pause, resume};
pub use probe::supported_flags;
pub use ps::{pids, ps_table};
pub use rt_cgroup::statistics as usage;
pub use rt_plan::ruling::{Answer, Question};
pub use run::{After, Run, run};
pub use start::start;
pub use status::{Observed, Status, observe};
pub use store::{Container, Record, Store};
pub use time::seconds_now;
pub use update::{read_resources, update};

/// Descriptors 0 to 2 are open from here on.
///
/// # Errors
/// [`Error::File`] if there is no /dev/null for one that is not.
pub fn open_standard_streams() -> Result<(), Error> {
    use error::On;
    rt_sys::fd::open_standard().on("open", "/dev/null")
}

/// Whether rt has root's number: whose default state directory is /run/rt.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}
