//! The plan: everything that will be done to make a container, in the order in which it will be done.
//!
//! This is the table of contents of the runtime. The order is argued in docs/architecture.md, step by step.

use crate::error::invalid;
use crate::{Error, Host, Spec, Steps, mounts, namespaces, process, rootfs};
use rt_wire::{Namespace, STEPS_MAX, Step};

/// What a caller wants beside the config.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// The container's id.
    pub id: String,
    /// The bundle's directory, absolute.
    pub bundle: String,
    /// Who is waited for.
    pub wait: Wait,
    /// `--no-pivot`.
    pub root_by_move: bool,
    /// `--no-new-keyring`.
    pub keep_keyring: bool,
    /// Descriptors from 3 on that the process gets: `--preserve-fds` and, before them, `LISTEN_FDS`.
    pub preserved: u32,
    /// How many of them are for sd_listen_fds(3).
    pub listen: u32,
}

/// Who has to say when the process may run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Wait {
    /// `rt start`.
    #[default]
    Start,
    /// Nobody: `rt run`.
    Nobody,
}

/// A container, ready to be made.
#[derive(Clone, Debug)]
pub struct Plan {
    /// How init is born.
    pub spawn: Spawn,
    /// What it does.
    pub steps: Steps,
    /// What could not be planned as asked: a line each, for the user.
    pub warnings: Vec<String>,
    /// The root file system, absolute.
    pub rootfs: String,
    /// Whether the mounts are made in the runtime's own namespace, and have to be undone.
    pub mounts_stay: bool,
}

/// How init is born.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spawn {
    /// `CLONE_NEW*` bits of namespaces to make.
    pub namespaces: u32,
    /// The pid namespace that the parent enters around the clone.
    pub pid: Option<String>,
    /// A new time namespace, with these lines for its `timens_offsets`.
    pub time: Option<String>,
    /// What init inherits, in the order in which steps count them.
    pub inherited: Vec<Join>,
}

/// A descriptor that the parent opens and init uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Join {
    /// A namespace to join.
    Namespace {
        /// Its kind.
        kind: Namespace,
        /// Where it is.
        path: String,
    },
    /// The `tasks` file of the container's cgroup in a v1 hierarchy.
    Cgroup {
        /// Its controllers, with commas.
        controllers: String,
    },
}

impl Spawn {
    /// The place of one more inherited descriptor.
    pub(crate) fn inherit(&mut self, join: Join) -> Result<u8, Error> {
        let place = u8::try_from(self.inherited.len());
        self.inherited.push(join);
        place.map_err(|_| invalid("linux.namespaces", "more than 256 namespaces and cgroup hierarchies to join"))
    }
}

/// The plan of `create` and of `run`.
///
/// # Errors
/// What the config asks for and nobody, or not this host, can give.
pub fn create(spec: &Spec<'_>, host: &Host, request: &Request) -> Result<Plan, Error> {
    let mut spawn = namespaces::spawn(spec, host);
    let mut steps = Steps::new();
    let mut warnings = Vec::new();
    let root = rootfs::path(spec, &request.bundle);

    steps.push(Step::NewSession {});
    namespaces::finish(spec, host, &mut steps, &mut spawn)?;
    process::keyring(request, &mut steps);
    rootfs::open(spec, &root, &mut steps)?;
    let mut targets = mounts::all(spec, host, &request.bundle, &mut steps, &mut warnings)?;
    rootfs::devices(spec, host, &targets, &mut steps)?;
    rootfs::enter(spec, host, request, &mut steps);
    rootfs::names(spec, &mut steps);
    process::prepare(spec, host, &mut targets, &mut steps)?;
    rootfs::harden(spec, &mut targets, &mut steps)?;
    process::become_it(spec, host, &mut targets, &mut steps, &mut warnings)?;
    process::wait_and_exec(spec, request, &mut steps);

    if steps.len() > STEPS_MAX {
        return Err(invalid(
            "mounts",
            format!("{} steps are more than the {STEPS_MAX} that a plan can have", steps.len()),
        ));
    }
    let mounts_stay = namespaces::own(spec, Namespace::Mount) == namespaces::Own::Host;
    Ok(Plan { spawn, steps, warnings, rootfs: root, mounts_stay })
}
