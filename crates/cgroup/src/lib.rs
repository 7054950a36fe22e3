//! The cgroup of a container: where it is, what is written into it, and how it is cleared away.
//!
//! What to write is computed from the config and the [`Layout`] of the host, purely ([`Settings`]); one executor
//! writes it, before the container is born. A container is *born* in its cgroup and never moved there: on v2 by
//! CLONE_INTO_CGROUP ([`Birth::into`]), because a write to `cgroup.procs` waits for an RCU grace period (10 ms);
//! on v1 it writes `0` to the `tasks` file of each hierarchy itself ([`Birth::tasks`]).
//!
//! ```text
//! Layout::probe ─▶ place ─▶ Cgroup::create ─▶ birth ─▶ (clone) ─▶ commit
//!                                └─ undone when dropped before that
//! Existing::open(place) ─▶ pids, freeze, kill, statistics, update, remove
//! ```
//!
//! On a hybrid host (v1 with a v2 hierarchy beside it) limits go to v1 and the container is born in the v2
//! hierarchy as well: it can be killed at once and says when it is empty. A controller that only v2 has there gets
//! its limits there.

pub mod devices;
pub mod statistics;
pub mod systemd;
pub mod v1;
pub mod v2;

mod apply;
mod controllers;
mod cpuset;
mod create;
mod error;
mod existing;
mod files;
mod layout;
mod oom;
mod place;
mod program;
mod settings;
mod undo;
mod update;
mod write;

pub use create::{Birth, Cgroup};
pub use error::Error;
pub use existing::Existing;
pub use layout::{Hierarchy, Layout};
pub use oom::Oom;
pub use place::Place;
pub use settings::Settings;
pub use statistics::Statistics;
pub use update::Asked;
pub use write::{Missing, Write};
