//! The plan: everything that will be done to make a container, in the order in which it will be done.
//!
//! This is the table of contents of the runtime. The order is argued in docs/architecture.md, step by step.

use crate::error::invalid;
use crate::kept::Kept;
use crate::process::{Becoming, Processors};
use crate::seccomp::{self, Filter};
use crate::spec::Process;
use crate::{Error, Host, Spec, Steps, hooks, mounts, namespaces, process, rootfs};
use rt_wire::{NONE, Namespace, STEPS_MAX, Step};

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
    /// The container's terminal is shown on the caller's, which has so many rows and columns (0 for unknown).
    pub shown: Option<(u16, u16)>,
    /// `--init`: stay as the container's first process, and let others linger for so many milliseconds.
    pub serve: Option<u32>,
    /// The directory with the socket that sd_notify(3) finds at /run/notify.
    pub notify: Option<String>,
}

/// Who has to say when the process may run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Wait {
    /// `rt start`.
    #[default]
    Start,
    /// Nobody: `rt run`, `rt exec`.
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
    /// Its filter, which `exec` will need.
    pub filter: Option<Filter<'static>>,
}

/// How init is born.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spawn {
    /// `CLONE_NEW*` bits of namespaces to make.
    pub namespaces: u32,
    /// The pid namespace that the parent enters around the clone.
    pub pid: Option<Pids>,
    /// The processors that the parent, and so init, uses around the clone: a bit each.
    pub processors: Option<Vec<u8>>,
    /// A new time namespace, with these lines for its `timens_offsets`.
    pub time: Option<String>,
    /// The child's oom_score_adj, written to the host's procfs before it executes init: later it would need a procfs of
    /// the container's. One that may not be lowered is a warning.
    pub oom_score_adj: Option<i32>,
    /// What init inherits, in the order in which steps count them.
    pub inherited: Vec<Join>,
}

/// A pid namespace to be born in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pids {
    /// The one at this path.
    Path(String),
    /// The container's: `exec`.
    Container,
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
    /// The socket that the terminal's master goes to.
    Terminal,
    /// The state that hooks of this status read, written by the parent when it knows the process.
    State {
        /// In the specification's words.
        status: &'static str,
    },
    /// A file of the host's that hooks write to.
    Output {
        /// Where it is.
        path: String,
        /// The annotation that names it.
        annotation: &'static str,
    },
    /// The container's process: `exec`.
    Process,
    /// Its root: `exec` where it has no mount namespace.
    Root,
}

impl Spawn {
    /// The place of one more inherited descriptor.
    pub(crate) fn inherit(&mut self, join: Join) -> Result<u8, Error> {
        let place = u8::try_from(self.inherited.len());
        self.inherited.push(join);
        let place = place.ok().filter(|place| *place != NONE);
        place.ok_or_else(|| invalid("linux.namespaces", "more than 255 namespaces and cgroup hierarchies to join"))
    }
}

/// The plan of `create` and of `run`.
///
/// # Errors
/// What the config asks for and nobody, or not this host, can give.
pub fn create(spec: &Spec<'_>, host: &Host, request: &Request) -> Result<Plan, Error> {
    let mut spawn = namespaces::spawn(spec, host);
    spawn.oom_score_adj = spec.process.as_ref().and_then(|process| process.oom_score_adj);
    let mut steps = Steps::new();
    let mut warnings = Vec::new();
    let root = rootfs::path(spec, &request.bundle);
    let personality = spec.linux.personality.as_ref();
    let filter = seccomp::filter(&spec.linux, &spec.annotations, host)?;
    let Some(process) = &spec.process else {
        return Err(Error::Missing { field: "process", why: "there would be nothing to start" });
    };

    let serve = request.serve.or(hooks::serve(spec)?);
    steps.push(Step::NewSession {});
    namespaces::finish(spec, host, request.wait, serve, &mut steps, &mut spawn)?;
    process::keyring(request, &mut steps);
    rootfs::open(spec, &root, &mut steps)?;
    let mut targets = mounts::all(spec, host, request, &mut steps, &mut warnings)?;
    rootfs::devices(spec, host, &targets, &mut steps)?;
    let files = hooks::before_entering(spec, &mut spawn, &mut steps)?;
    rootfs::enter(spec, host, request, &mut steps);
    rootfs::names(spec, &mut steps);
    process::terminal(process, request, Some(&targets), &mut spawn, &mut steps)?;
    process::prepare(spec, process, host, &mut targets, &mut steps)?;
    rootfs::harden(spec, &mut targets, &mut steps)?;
    // What `exec` will be told is wrong is wrong now.
    process::processors(process, &mut Spawn::default())?;
    let whom =
        Becoming { process, personality, processors: Processors::All, filter: filter.as_ref(), proc: targets.proc };
    process::become_it(&whom, host, &mut steps, &mut warnings)?;
    process::wait(process, request, files, filter.as_ref(), &mut steps);
    seccomp::load(filter.as_ref(), process.no_new_privileges, seccomp::Place::WithTheProgram, &mut steps);
    hooks::before_the_program(spec, process, request, files, &mut steps);
    process::exec(process, request, serve, &mut steps);

    let mounts_stay = namespaces::own(spec, Namespace::Mount) == namespaces::Own::Host;
    Ok(Plan { spawn, steps: counted(steps, "mounts")?, warnings, rootfs: root, mounts_stay, filter })
}

/// The plan of `exec`: into what is there, and then as `create`.
///
/// # Errors
/// What the process asks for and nobody, or not this host, can give.
pub fn exec(
    kept: &Kept<'_>,
    process: &Process<'_>,
    filter: Option<Filter<'static>>,
    host: &Host,
    request: &Request,
) -> Result<Plan, Error> {
    let mut spawn = Spawn { oom_score_adj: process.oom_score_adj, ..Spawn::default() };
    let mut steps = Steps::new();
    let mut warnings = Vec::new();

    steps.push(Step::NewSession {});
    namespaces::join(kept, host, &mut steps, &mut spawn)?;
    process::keyring(request, &mut steps);
    process::terminal(process, request, None, &mut spawn, &mut steps)?;
    let proc = process::write_to_proc(process, host, &mut steps)?;
    let processors = process::processors(process, &mut spawn)?;
    let personality = kept.personality.as_ref();
    let whom = Becoming { process, personality, processors, filter: filter.as_ref(), proc };
    process::become_it(&whom, host, &mut steps, &mut warnings)?;
    seccomp::load(filter.as_ref(), process.no_new_privileges, seccomp::Place::BeforeReady, &mut steps);
    seccomp::load(filter.as_ref(), process.no_new_privileges, seccomp::Place::WithTheProgram, &mut steps);
    process::exec(process, request, None, &mut steps);

    Ok(Plan {
        spawn,
        steps: counted(steps, "process.rlimits")?,
        warnings,
        rootfs: String::new(),
        mounts_stay: false,
        filter,
    })
}

fn counted(steps: Steps, field: &str) -> Result<Steps, Error> {
    if steps.len() > STEPS_MAX {
        let problem = format!("{} steps are more than the {STEPS_MAX} that a plan can have", steps.len());
        return Err(invalid(field, problem));
    }
    Ok(steps)
}
