//! A small harness which runs real containers through the binary named by `RUNTIME`, and looks at them as a user would.
//!
//! ```no_run
//! use runtime_tests::Container;
//!
//! Container::new("hello").args(["echo", "hello"]).run().prints("hello\n");
//! ```
//!
//! Everything must run inside `runtime-tests/in-view`, which keeps the machine out of reach. When a container goes out of
//! scope it is deleted, and the test fails if a process, a mount, a cgroup or a state directory of it is left.

mod agent;
mod call;
mod cgroup;
mod config;
mod console;
mod container;
mod host;
mod leaks;
mod mountinfo;
mod oracle;
mod pty;
mod rootfs;
mod sockets;

pub use agent::{Agent, Asked, Ruling, Watch};
pub use call::{Call, Output, Running, wait_until};
pub use cgroup::{Controller, cgroup_v2, controller, own_cgroup};
pub use config::base_config;
pub use console::{Console, ConsoleSocket};
pub use container::Container;
pub use host::{HostMount, Sleeper, has_apparmor, has_selinux, has_systemd};
pub use mountinfo::{Mount, mount_at, mounts};
pub use oracle::{differs, is_runc, old_runc, runtime_path, skip};
pub use pty::{Master, Terminal};
pub use sockets::{Listener, Mailbox, Message};

/// Leave the test when the machine or the view lacks something, and say so.
///
/// ```no_run
/// # use runtime_tests::{controller, require};
/// require!(controller("memory").is_some(), "no memory controller in this view");
/// ```
#[macro_export]
macro_rules! require {
    ($condition:expr, $($reason:tt)+) => {
        if !$condition {
            $crate::skip(&format!($($reason)+));
            return;
        }
    };
}

/// Leave the test when the runtime is an old runc, which has never heard of a feature.
#[macro_export]
macro_rules! newer_than_this_runc {
    ($feature:expr) => {
        $crate::require!(!$crate::old_runc(), "not in this runc: {}", $feature)
    };
}
