//! Namespaces: which are made by the clone, which are joined, and by whom.

use crate::host::{Cgroups, Host};
use crate::kept::Kept;
use crate::plan::{Join, Pids, Spawn, Wait};
use crate::spec::Spec;
use crate::{Error, Steps};
use rt_wire::{NONE, Namespace, Step};

/// The kinds that a container can have of its own, in the order of their names. User namespaces are to come.
pub const KINDS: [Namespace; 7] = [
    Namespace::Cgroup,
    Namespace::Ipc,
    Namespace::Mount,
    Namespace::Network,
    Namespace::Pid,
    Namespace::Time,
    Namespace::Uts,
];

/// The kind with the config's name `name`; the kernel's own names pass too, as with runc.
pub(crate) fn kind(name: &str) -> Option<Namespace> {
    match name {
        "user" => Some(Namespace::User),
        "pid" => Some(Namespace::Pid),
        "network" | "net" => Some(Namespace::Network),
        "ipc" => Some(Namespace::Ipc),
        "uts" => Some(Namespace::Uts),
        "mount" | "mnt" => Some(Namespace::Mount),
        "cgroup" => Some(Namespace::Cgroup),
        "time" => Some(Namespace::Time),
        _ => None,
    }
}

/// Whether the container has a namespace of this kind, and whether it is a new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Own<'a> {
    /// The runtime's.
    Host,
    /// A new one.
    New,
    /// One that is there.
    Joined(&'a str),
}

pub(crate) fn own<'a>(spec: &'a Spec<'_>, wanted: Namespace) -> Own<'a> {
    match spec.linux.namespaces.iter().find(|namespace| kind(&namespace.kind) == Some(wanted)) {
        None => Own::Host,
        Some(namespace) if namespace.path.is_empty() => Own::New,
        Some(namespace) => Own::Joined(&namespace.path),
    }
}

/// What the clone makes, and what the parent enters for the child: it is born in a pid namespace, and a time namespace's
/// offsets can only be written while nobody is in it.
pub(crate) fn spawn(spec: &Spec<'_>, host: &Host) -> Spawn {
    let mut spawn = Spawn::default();
    for kind in [Namespace::Pid, Namespace::Network, Namespace::Ipc, Namespace::Uts, Namespace::Mount] {
        if own(spec, kind) == Own::New {
            spawn.namespaces |= kind.flag();
        }
    }
    // With CLONE_INTO_CGROUP (Linux 5.7) a cgroup namespace made by the same call is rooted in the new cgroup. On v1
    // the cgroups are joined later, so the namespace is made later: `finish`.
    if own(spec, Namespace::Cgroup) == Own::New && !matches!(host.cgroups, Cgroups::Legacy { .. }) {
        spawn.namespaces |= Namespace::Cgroup.flag();
    }
    if let Own::Joined(path) = own(spec, Namespace::Pid) {
        spawn.pid = Some(Pids::Path(path.to_owned()));
    }
    if own(spec, Namespace::Time) == Own::New {
        let offsets = spec.linux.time_offsets.iter();
        spawn.time =
            Some(offsets.map(|(clock, offset)| format!("{clock} {} {}\n", offset.secs, offset.nanosecs)).collect());
    }
    spawn
}

/// What init does about namespaces, first of all. The mount namespace last: paths of the others are the host's.
pub(crate) fn finish(
    spec: &Spec<'_>,
    host: &Host,
    wait: Wait,
    serve: Option<u32>,
    steps: &mut Steps,
    spawn: &mut Spawn,
) -> Result<(), Error> {
    cgroups(host, steps, spawn)?;
    if matches!(host.cgroups, Cgroups::Legacy { .. }) && own(spec, Namespace::Cgroup) == Own::New {
        steps.push(Step::Unshare { kind: Namespace::Cgroup });
    }
    let order =
        [Namespace::Ipc, Namespace::Uts, Namespace::Network, Namespace::Cgroup, Namespace::Time, Namespace::Mount];
    // Others live there, or a program of the container's will run beside us: what we serve, a hook, or whatever `exec` starts
    // while we wait. It could look into us, and read the plan: the host's paths, and what hooks of the host's are given.
    let waits = wait == Wait::Start;
    if own(spec, Namespace::Pid) != Own::New || serve.is_some() || waits || !spec.hooks.start_container.is_empty() {
        steps.push(Step::Undumpable {});
    }
    for kind in order {
        if let Own::Joined(path) = own(spec, kind) {
            let namespace = spawn.inherit(Join::Namespace { kind, path: path.to_owned() })?;
            steps.push(Step::JoinNamespace { kind, path: path.into(), namespace });
        }
    }
    Ok(())
}

/// On v1 a child joins its cgroups itself.
fn cgroups(host: &Host, steps: &mut Steps, spawn: &mut Spawn) -> Result<(), Error> {
    let Cgroups::Legacy { hierarchies } = &host.cgroups else { return Ok(()) };
    for hierarchy in hierarchies.iter().filter(|hierarchy| hierarchy.joined) {
        let controllers = hierarchy.controllers.join(",");
        let tasks = spawn.inherit(Join::Cgroup { controllers: controllers.clone() })?;
        steps.push(Step::JoinCgroup { controllers: controllers.as_str().into(), tasks });
    }
    Ok(())
}

/// The kinds of namespace that are not the runtime's own, `CLONE_NEW*` bits.
pub(crate) fn set(spec: &Spec<'_>) -> u32 {
    let kinds = spec.linux.namespaces.iter().filter_map(|namespace| kind(&namespace.kind));
    kinds.fold(0, |set, kind| set | kind.flag())
}

/// `exec`: what the container's process is in. The pid namespace is the parent's to enter, around the clone.
pub(crate) fn join(kept: &Kept<'_>, host: &Host, steps: &mut Steps, spawn: &mut Spawn) -> Result<(), Error> {
    cgroups(host, steps, spawn)?;
    // Before any of it can be seen: the container's processes live there (CVE-2016-9962).
    steps.push(Step::Undumpable {});
    let has = |kind: Namespace| kept.namespaces & kind.flag() != 0;
    if has(Namespace::Pid) {
        spawn.pid = Some(Pids::Container);
    }
    let namespaces = kept.namespaces & !Namespace::Pid.flag();
    let process = if namespaces == 0 { NONE } else { spawn.inherit(Join::Process)? };
    let root = if has(Namespace::Mount) { NONE } else { spawn.inherit(Join::Root)? };
    steps.push(Step::JoinContainer { namespaces, process, root });
    Ok(())
}
