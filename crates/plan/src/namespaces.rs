//! Namespaces: which are made by the clone, which are joined, and by whom.

use crate::host::{Cgroups, Host};
use crate::plan::{Join, Spawn};
use crate::spec::Spec;
use crate::{Error, Steps};
use rt_wire::{Namespace, Step};

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
        spawn.pid = Some(path.to_owned());
    }
    if own(spec, Namespace::Time) == Own::New {
        let offsets = spec.linux.time_offsets.iter();
        spawn.time =
            Some(offsets.map(|(clock, offset)| format!("{clock} {} {}\n", offset.secs, offset.nanosecs)).collect());
    }
    spawn
}

/// What init does about namespaces, first of all. The mount namespace last: paths of the others are the host's.
pub(crate) fn finish(spec: &Spec<'_>, host: &Host, steps: &mut Steps, spawn: &mut Spawn) -> Result<(), Error> {
    if let Cgroups::Legacy { hierarchies } = &host.cgroups {
        for hierarchy in hierarchies.iter().filter(|hierarchy| hierarchy.joined) {
            let controllers = hierarchy.controllers.join(",");
            let tasks = spawn.inherit(Join::Cgroup { controllers: controllers.clone() })?;
            steps.push(Step::JoinCgroup { controllers: controllers.as_str().into(), tasks });
        }
        if own(spec, Namespace::Cgroup) == Own::New {
            steps.push(Step::Unshare { kind: Namespace::Cgroup });
        }
    }
    let order =
        [Namespace::Ipc, Namespace::Uts, Namespace::Network, Namespace::Cgroup, Namespace::Time, Namespace::Mount];
    if own(spec, Namespace::Pid) != Own::New {
        // Others live there, and could look into us.
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
