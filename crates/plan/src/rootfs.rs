//! The root file system: opened, filled, entered, closed to writers.

use crate::devices;
use crate::error::invalid;
use crate::host::Host;
use crate::mounts::{absolute, is_closed_late};
use crate::namespaces::{Own, own};
use crate::options::{Options, READ_ONLY, propagation};
use crate::plan::Request;
use crate::spec::{Mount, Spec};
use crate::targets::{Targets, clean, likely, resolve};
use crate::{Error, Steps};
use rt_wire::{Change, Enter, Namespace, Parent, Propagate, Step, Target, Tree};

const CAP_MKNOD: u32 = 27;

/// Where the root file system is on the host.
pub(crate) fn path(spec: &Spec<'_>, bundle: &str) -> String {
    let path = spec.root.as_ref().map_or("", |root| &root.path);
    clean(&absolute(bundle, path))
}

/// Cut the mount namespace off and open the root.
pub(crate) fn open(spec: &Spec<'_>, path: &str, steps: &mut Steps) -> Result<(), Error> {
    let asked = rootfs_propagation(spec)?;
    let own = own(spec, Namespace::Mount);
    if own != Own::Host {
        let (change, tree) = match asked {
            Some(shared @ (Propagate::Shared, _)) => shared,
            Some((Propagate::Slave, _)) => (Propagate::Slave, Tree::Whole),
            // What is unbindable can't be cloned: that comes when everything is in place.
            Some(_) => (Propagate::Private, Tree::Whole),
            // Host mounts still arrive below binds that do not say otherwise, as with runc. Where no mount wants them,
            // private saves a call for each bind.
            None if is_cut_off(spec) => (Propagate::Private, Tree::Whole),
            None => (Propagate::Slave, Tree::Whole),
        };
        steps.push(Step::Propagation { change, tree });
    }
    let parent = match asked {
        Some((Propagate::Shared, _)) if own != Own::Host => Parent::MakePrivate,
        _ => Parent::Keep,
    };
    let change = match asked {
        Some((Propagate::Slave, _)) if own != Own::Host => Propagate::Keep,
        // A clone made among private mounts is private.
        None if is_cut_off(spec) => Propagate::Keep,
        _ => Propagate::Private,
    };
    steps.push(Step::OpenRoot { path: path.into(), change, parent });
    Ok(())
}

fn rootfs_propagation(spec: &Spec<'_>) -> Result<Option<(Propagate, Tree)>, Error> {
    match &*spec.linux.rootfs_propagation {
        "" => Ok(None),
        name => match propagation(name) {
            Some(known) => Ok(Some(known)),
            None => {
                let problem = format!(
                    "\"{name}\" is not supported: shared, slave, private and unbindable are, and each with an r before it"
                );
                Err(invalid("linux.rootfsPropagation", problem))
            }
        },
    }
}

/// Whether no mount of the container wants to hear of the host's.
pub(crate) fn is_cut_off(spec: &Spec<'_>) -> bool {
    let is_private = |mount: &Mount<'_>| {
        let last = mount.options.iter().rev().find_map(|option| propagation(option));
        match last {
            Some((change, _)) => matches!(change, Propagate::Private | Propagate::Unbindable),
            None => !is_bind(mount),
        }
    };
    own(spec, Namespace::Mount) != Own::Host
        && spec.linux.rootfs_propagation.is_empty()
        && spec.mounts.iter().all(is_private)
}

fn is_bind(mount: &Mount<'_>) -> bool {
    &*mount.kind == "bind" || mount.options.iter().any(|option| matches!(&**option, "bind" | "rbind"))
}

/// Device nodes and links, unless /dev is somebody else's: a bind mount of the host's has all it is to have.
pub(crate) fn devices(spec: &Spec<'_>, host: &Host, targets: &Targets, steps: &mut Steps) -> Result<(), Error> {
    if !sets_up_dev(spec) {
        return Ok(());
    }
    let may_mknod = host.permitted >> CAP_MKNOD & 1 == 1;
    for (path, device) in devices::all(spec)? {
        let target = targets.find(path);
        let fifo = device.kind == rt_wire::DeviceKind::Fifo;
        let step =
            if may_mknod || fifo { Step::MakeDevice { target, device } } else { Step::BindDevice { target, device } };
        steps.push(step);
    }
    let mut link = |path, text: &str, replace| {
        steps.push(Step::Symlink { target: targets.find(path), text: text.into(), replace })
    };
    // An image without its own devpts may have a node here, which would be the host's.
    link("/dev/ptmx", "pts/ptmx", true);
    link("/dev/fd", "/proc/self/fd", false);
    link("/dev/stdin", "/proc/self/fd/0", false);
    link("/dev/stdout", "/proc/self/fd/1", false);
    link("/dev/stderr", "/proc/self/fd/2", false);
    if host.kcore {
        link("/dev/core", "/proc/kcore", false);
    }
    steps.push(Step::ReopenNull { target: targets.find("/dev/null") });
    Ok(())
}

fn sets_up_dev(spec: &Spec<'_>) -> bool {
    !spec.mounts.iter().any(|mount| is_bind(mount) && resolve(&mount.destination) == "/dev")
}

/// The way in: pivot, move or chroot, decided here and nowhere else.
pub(crate) fn enter(spec: &Spec<'_>, host: &Host, request: &Request, steps: &mut Steps) {
    let asked = propagation(&spec.linux.rootfs_propagation);
    let shared = matches!(asked, Some((Propagate::Shared, _)));
    let how = match own(spec, Namespace::Mount) {
        Own::Host => Enter::Chroot,
        _ if request.root_by_move => Enter::Move,
        _ if shared => Enter::PivotShared,
        _ => Enter::Pivot,
    };
    if how == Enter::Move {
        let root = path(spec, &request.bundle);
        for mount in
            host.kernel_mounts.iter().filter(|mount| **mount != root && !mount.starts_with(&format!("{root}/")))
        {
            steps.push(Step::HideMount { path: mount.as_str().into() });
        }
    }
    steps.push(Step::EnterRoot { how });
}

/// Host name, domain name, and the network interface that every container has.
pub(crate) fn names(spec: &Spec<'_>, steps: &mut Steps) {
    if !spec.hostname.is_empty() {
        steps.push(Step::Hostname { name: (&*spec.hostname).into() });
    }
    if !spec.domainname.is_empty() {
        steps.push(Step::Domainname { name: (&*spec.domainname).into() });
    }
    if own(spec, Namespace::Network) == Own::New {
        steps.push(Step::LoopbackUp {});
    }
}

/// What may be read but not written, and what may not be seen. Last, so that nothing needs to write there any more.
pub(crate) fn harden(spec: &Spec<'_>, targets: &mut Targets, steps: &mut Steps) -> Result<(), Error> {
    for mount in spec.mounts.iter().filter(|mount| is_closed_late(&mount.kind, &mount.destination)) {
        let options = Options::parse(mount.options.iter().map(|option| &**option));
        if options.set & READ_ONLY != 0 && !options.remount {
            let path = resolve(&mount.destination);
            let change = Change { set: 1, ..Change::NONE };
            steps.push(Step::Reattribute { target: Target::in_root(&path), tree: Tree::Top, change });
        }
    }
    for path in &spec.linux.readonly_paths {
        steps.push(Step::ReadOnlyPath { target: targets.find(absolute_path("linux.readonlyPaths", path)?) });
    }
    for path in &spec.linux.masked_paths {
        let target = targets.find(absolute_path("linux.maskedPaths", path)?);
        steps.push(Step::MaskPath { target, likely: likely(target), null: targets.find("/dev/null") });
    }
    if spec.root.as_ref().is_some_and(|root| root.readonly) {
        steps.push(Step::ReadOnlyRoot {});
    }
    // What is unbindable can't be bound on itself, so this is last; private it is already.
    let asked = propagation(&spec.linux.rootfs_propagation).filter(|(change, _)| *change != Propagate::Private);
    if let Some((change, tree)) = asked.filter(|_| own(spec, Namespace::Mount) != Own::Host) {
        steps.push(Step::RootPropagation { change, tree });
    }
    Ok(())
}

fn absolute_path<'a>(field: &str, path: &'a str) -> Result<&'a str, Error> {
    if path.starts_with('/') { Ok(path) } else { Err(invalid(field, format!("\"{path}\" is not an absolute path"))) }
}
