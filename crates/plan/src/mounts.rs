//! `mounts`: one config entry, one or a few steps.

use crate::error::invalid;
use crate::host::{Cgroups, Hierarchy, Host};
use crate::namespaces::{Own, own};
use crate::options::{Options, READ_ONLY, SUPERBLOCK};
use crate::plan::Request;
use crate::rootfs::is_cut_off;
use crate::spec::{Mount, Spec};
use crate::targets::{Kind, Targets, resolve};
use crate::{Error, Steps};
use rt_wire::{Change, Follow, Namespace, Propagate, Step, Target, Tree};

/// Files of procfs that may have something mounted over them: what lxcfs and gVisor's kin replace. Anything else there
/// could be a lie to the runtime's own reads and writes (CVE-2019-16884, CVE-2019-19921).
const PROC_MAY_BE_COVERED: [&str; 12] = [
    "/proc/cpuinfo",
    "/proc/diskstats",
    "/proc/meminfo",
    "/proc/stat",
    "/proc/swaps",
    "/proc/uptime",
    "/proc/loadavg",
    "/proc/slabinfo",
    "/proc/sys/kernel/ns_last_pid",
    "/proc/sys/crypto/fips_enabled",
    "/proc/net/dev",
    "/proc/scsi",
];

const RDONLY: u64 = 1;

/// All mounts, in the order of the config.
pub(crate) fn all(
    spec: &Spec<'_>,
    host: &Host,
    request: &Request,
    steps: &mut Steps,
    warnings: &mut Vec<String>,
) -> Result<Targets, Error> {
    let mut targets = Targets::default();
    let bundle = &request.bundle;
    let cut_off = is_cut_off(spec);
    for (index, mount) in spec.mounts.iter().enumerate() {
        let field = format!("mounts[{index}]");
        let destination = destination(mount, &field, warnings)?;
        let options = Options::parse(mount.options.iter().map(|option| &**option));
        let one =
            One { spec, host, bundle, field: &field, mount, destination: &destination, options: &options, cut_off };
        one.plan(steps, &mut targets)?;
    }
    if let Some(directory) = &request.notify {
        notify(directory, steps, &mut targets);
    }
    Ok(targets)
}

/// Where sd_notify(3) finds the socket that rt listens on, and no more than that.
fn notify(directory: &str, steps: &mut Steps, targets: &mut Targets) {
    const NOSUID_NODEV_NOEXEC: u64 = 0xe;
    steps.push(Step::Bind {
        source: directory.into(),
        target: targets.find(NOTIFY),
        tree: Tree::Top,
        follow: Follow::Both,
        top: Change { set: RDONLY | NOSUID_NODEV_NOEXEC, clear: 0, propagation: Propagate::Private },
        whole: Change::NONE,
    });
    targets.mounted(NOTIFY, None);
}

/// The directory of the notification socket, as runc has it.
pub(crate) const NOTIFY: &str = "/run/notify";

/// Absolute and without `..`; a relative one counts from the root, as the specification's older versions had it.
fn destination(mount: &Mount<'_>, field: &str, warnings: &mut Vec<String>) -> Result<String, Error> {
    if mount.destination.is_empty() {
        return Err(invalid(format!("{field}.destination"), "a mount needs a destination"));
    }
    if !mount.destination.starts_with('/') {
        let text = format!("\"{0}\" is not absolute; taken as /{0}", mount.destination);
        warnings.push(format!("config.json: {field}.destination: {text}"));
    }
    Ok(resolve(&mount.destination))
}

/// One entry and all that decides about it.
struct One<'a> {
    spec: &'a Spec<'a>,
    host: &'a Host,
    bundle: &'a str,
    field: &'a str,
    mount: &'a Mount<'a>,
    destination: &'a str,
    options: &'a Options,
    /// Every mount of the container's namespace is private.
    cut_off: bool,
}

impl One<'_> {
    fn plan(&self, steps: &mut Steps, targets: &mut Targets) -> Result<(), Error> {
        let kind = &*self.mount.kind;
        let bind = self.options.bind.is_some() || kind == "bind";
        self.check_proc(kind)?;
        if self.options.remount {
            let flags = self.options.set | if bind { 1 << 12 } else { 0 };
            let target = targets.find(self.destination);
            steps.push(Step::Remount { target, flags, data: self.options.data.as_str().into() });
            return Ok(());
        }
        if bind {
            self.bind(steps, targets)?;
            targets.mounted(self.destination, None);
        } else if kind == "cgroup" || kind == "cgroup2" && matches!(self.host.cgroups, Cgroups::Unified { .. }) {
            self.cgroup(steps, targets);
            targets.mounted(self.destination, None);
        } else if kind.is_empty() {
            return Err(invalid(format!("{}.type", self.field), "a mount needs a type, or the option bind or rbind"));
        } else {
            self.file_system(steps, targets);
        }
        if !bind {
            self.propagate(steps, targets);
        }
        Ok(())
    }

    fn file_system(&self, steps: &mut Steps, targets: &mut Targets) {
        let kind = &*self.mount.kind;
        let label = self.label();
        let data = match (&*self.options.data, &*label) {
            (data, "") => data.to_owned(),
            ("", label) => label.to_owned(),
            (data, label) => format!("{data},{label}"),
        };
        let held = self.holds(kind, &data).and_then(|kind| Some((targets.next()?, kind)));
        let hold = held.map_or(0, |(number, _)| number);
        // A tmpfs, and whatever is /dev, still has targets made in it: read-only comes last (`rootfs::harden`).
        let flags = if self.is_closed_late() { self.options.set & !READ_ONLY } else { self.options.set };
        steps.push(Step::Mount {
            fstype: kind.into(),
            source: if self.mount.source.is_empty() { kind.into() } else { (&*self.mount.source).into() },
            target: targets.find(self.destination),
            flags,
            data: data.as_str().into(),
            hold,
            copy_up: self.options.copy_up && kind == "tmpfs",
        });
        targets.mounted(self.destination, held);
        if let Some((number, Kind::Proc)) = held.filter(|_| self.options.set & READ_ONLY == 0) {
            targets.proc = Some(number);
        }
    }

    /// Whether later steps start from this file system.
    fn holds(&self, kind: &str, data: &str) -> Option<Kind> {
        let held = match (kind, self.destination) {
            ("proc", "/proc") => Kind::Proc,
            ("sysfs", "/sys") => Kind::Sysfs,
            ("tmpfs", "/dev") if !self.options.copy_up => Kind::Tmpfs,
            _ => return None,
        };
        // What fsconfig(2) does not take as mount(2) does: a superblock's flags, and quoted commas.
        (self.options.set & SUPERBLOCK == 0 && !data.contains('"')).then_some(held)
    }

    fn is_closed_late(&self) -> bool {
        is_closed_late(&self.mount.kind, self.destination)
    }

    /// `context="…"` where the config labels mounts. The kernel's own file systems have labels of their own.
    fn label(&self) -> String {
        let label = &self.spec.linux.mount_label;
        if label.is_empty() || matches!(&*self.mount.kind, "proc" | "sysfs" | "cgroup" | "cgroup2") {
            return String::new();
        }
        // A mount of a mqueue, and of a file system that is shared, can't be given another label.
        if &*self.mount.kind == "mqueue" { String::new() } else { format!("context=\"{label}\"") }
    }

    fn bind(&self, steps: &mut Steps, targets: &Targets) -> Result<(), Error> {
        if self.mount.source.is_empty() {
            return Err(invalid(format!("{}.source", self.field), "a bind mount needs a source"));
        }
        let source = absolute(self.bundle, &self.mount.source);
        let mut top = self.options.top();
        if self.is_closed_late() {
            top.set &= !RDONLY;
        }
        let mut whole = self.options.whole();
        if self.cut_off {
            // A clone made in a namespace of private mounts is private already.
            for change in [&mut top, &mut whole] {
                if change.propagation == Propagate::Private {
                    change.propagation = Propagate::Keep;
                }
            }
        }
        steps.push(Step::Bind {
            source: source.as_str().into(),
            target: targets.find(self.destination),
            tree: self.options.bind.unwrap_or(Tree::Top),
            follow: self.options.follow(),
            top,
            whole,
        });
        Ok(())
    }

    /// Propagation and recursive flags of what mount(2) has made.
    fn propagate(&self, steps: &mut Steps, targets: &Targets) {
        let in_root = Target { held: 0, skip: 0, fresh: false, ..targets.find(self.destination) };
        for (propagation, tree) in &self.options.propagation {
            let change = Change { propagation: *propagation, ..Change::NONE };
            steps.push(Step::Reattribute { target: in_root, tree: *tree, change });
        }
        let whole = Change { propagation: Propagate::Keep, ..self.options.whole() };
        if whole != Change::NONE {
            steps.push(Step::Reattribute { target: in_root, tree: Tree::Whole, change: whole });
        }
    }

    fn cgroup(&self, steps: &mut Steps, targets: &Targets) {
        let private = own(self.spec, Namespace::Cgroup) != Own::Host;
        match &self.host.cgroups {
            Cgroups::Unified { mount } if !private => {
                // A fresh cgroup2 mount would show the same, and wait 10 ms for an RCU grace period.
                steps.push(Step::Bind {
                    source: mount.as_str().into(),
                    target: targets.find(self.destination),
                    tree: Tree::Top,
                    follow: Follow::Both,
                    top: self.options.top(),
                    whole: self.options.whole(),
                });
            }
            Cgroups::Unified { .. } | Cgroups::None => steps.push(Step::Mount {
                fstype: "cgroup2".into(),
                source: "cgroup".into(),
                target: targets.find(self.destination),
                flags: self.options.set,
                data: "".into(),
                hold: 0,
                copy_up: false,
            }),
            Cgroups::Legacy { hierarchies } => self.cgroup_v1(hierarchies, private, steps, targets),
        }
    }

    /// As an old host shows them: a tmpfs with a directory for each hierarchy, and a link for each controller of those
    /// that are mounted together.
    fn cgroup_v1(&self, hierarchies: &[Hierarchy], private: bool, steps: &mut Steps, targets: &Targets) {
        steps.push(Step::Mount {
            fstype: "tmpfs".into(),
            source: "cgroup".into(),
            target: targets.find(self.destination),
            flags: self.options.set & !READ_ONLY,
            data: "mode=755".into(),
            hold: 0,
            copy_up: false,
        });
        for hierarchy in hierarchies {
            let path = format!("{}/{}", self.destination, hierarchy.name);
            if private {
                let controllers = hierarchy.controllers.join(",");
                let named = controllers.starts_with("name=");
                let data = if named { format!("none,{controllers}") } else { controllers };
                steps.push(Step::Mount {
                    fstype: "cgroup".into(),
                    source: "cgroup".into(),
                    target: Target::in_root(&path),
                    flags: self.options.set,
                    data: data.as_str().into(),
                    hold: 0,
                    copy_up: false,
                });
            } else {
                steps.push(Step::Bind {
                    source: hierarchy.directory.as_str().into(),
                    target: Target::in_root(&path),
                    tree: Tree::Top,
                    follow: Follow::Both,
                    top: self.options.top(),
                    whole: self.options.whole(),
                });
            }
            for controller in hierarchy
                .controllers
                .iter()
                .filter(|controller| !controller.contains('=') && **controller != hierarchy.name)
            {
                let link = format!("{}/{controller}", self.destination);
                steps.push(Step::Symlink {
                    target: Target::in_root(&link),
                    text: hierarchy.name.as_str().into(),
                    replace: false,
                });
            }
        }
        if self.options.set & READ_ONLY != 0 {
            let change = Change { set: RDONLY, ..Change::NONE };
            steps.push(Step::Reattribute { target: Target::in_root(self.destination), tree: Tree::Top, change });
        }
    }

    /// Nothing but a procfs belongs on /proc, and next to nothing into it.
    fn check_proc(&self, kind: &str) -> Result<(), Error> {
        let destination = self.destination;
        let refused = if destination == "/proc" {
            !(kind == "proc" || self.options.bind.is_some() && &*self.mount.source == "/proc" || self.options.remount)
        } else if destination.starts_with("/proc/") {
            !PROC_MAY_BE_COVERED.contains(&destination)
        } else {
            false
        };
        if refused {
            let problem = format!("{destination} must not be mounted over: only a procfs belongs there");
            return Err(invalid(format!("{}.destination", self.field), problem));
        }
        Ok(())
    }
}

/// Whether a read-only mount is made so only when nothing has to be created in it any more.
pub(crate) fn is_closed_late(kind: &str, destination: &str) -> bool {
    kind == "tmpfs" || resolve(destination) == "/dev"
}

/// `path` as seen from the bundle.
pub(crate) fn absolute(bundle: &str, path: &str) -> String {
    if path.starts_with('/') { path.to_owned() } else { format!("{bundle}/{path}") }
}
