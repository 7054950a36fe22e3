//! The container's root: opened, entered, closed to writers.

use crate::fd::Fd;
use crate::hands::{At, Done, Failure, Hands};
use crate::path::{self, Last};
use core::ffi::CStr;
use rt_sys::mount::{Attributes, Depth, set_attributes};
use rt_wire::{Enter, NONE, Parent, Part, Propagate, Text, Tree};
use rustix::fd::{AsFd, BorrowedFd};
use rustix::fs::{AtFlags, CWD, Mode, OFlags, StatxAttributes, StatxFlags, openat, statx};
use rustix::io::Errno;
use rustix::mount::{
    MountPropagationFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags, mount, mount_change, mount_move, move_mount,
    open_tree, unmount,
};
use rustix::process::{chdir, chroot, fchdir, pivot_root};

pub(crate) const MOUNT_ATTR_RDONLY: u64 = 1;
/// The one bit of `MountPropagationFlags` that is no propagation.
const MS_REC: u32 = 1 << 14;

/// mount(2) with a propagation flag, on the root.
pub(crate) fn propagate(change: Propagate, tree: Tree) -> Done {
    let recursive = if tree == Tree::Whole { MS_REC } else { 0 };
    Ok(mount_change(c"/", MountPropagationFlags::from_bits_retain(change.flag() | recursive))?)
}

pub(crate) fn open(hands: &mut Hands, path: &CStr, change: Propagate, parent: Parent) -> Done {
    let directory = self::directory(CWD, path).at(Part::Source)?;
    if parent == Parent::MakePrivate {
        make_parent_private(&directory)?;
    }
    let flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_RECURSIVE
        | OpenTreeFlags::AT_EMPTY_PATH;
    let root = open_tree(&directory, c"", flags).map(Fd::from).at(Part::Source)?;
    if change != Propagate::Keep {
        let change = Attributes { propagation: u64::from(change.flag()), ..Attributes::default() };
        set_attributes(root.as_fd(), Depth::Top, change).at(Part::Attributes)?;
    }
    attach(&root, &directory).at(Part::Attach)?;
    directory.leave();
    hands.set_root(root);
    Ok(())
}

/// Where the container's process is: its namespaces, all in one call, and its root.
pub(crate) fn join(hands: &mut Hands, namespaces: u32, process: u8, root: u8) -> Done {
    if namespaces != 0 {
        rt_sys::ns::enter(hands.inherited(process)?.as_fd(), namespaces)?;
    }
    if root != NONE {
        fchdir(hands.inherited(root)?).at(Part::Chdir)?;
        chroot(c".").at(Part::Chroot)?;
    }
    let root = directory(CWD, c"/").at(Part::Source)?;
    hands.set_root(root);
    Ok(())
}

/// The mount that `directory` lies in stays shared where rootfsPropagation asks for that: walk up to its root.
fn make_parent_private(directory: &Fd) -> Done {
    let private = Attributes { propagation: u64::from(Propagate::Private.flag()), ..Attributes::default() };
    let mut at = self::directory(directory.as_fd(), c".").at(Part::Source)?;
    loop {
        let stat = statx(&at, c"", AtFlags::EMPTY_PATH, StatxFlags::INO).at(Part::Source)?;
        if stat.stx_attributes.contains(StatxAttributes::MOUNT_ROOT) {
            return set_attributes(at.as_fd(), Depth::Top, private).at(Part::Attributes);
        }
        at = self::directory(at.as_fd(), c"..").at(Part::Source)?;
    }
}

fn directory(base: BorrowedFd<'_>, path: &CStr) -> Result<Fd, Errno> {
    openat(base, path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).map(Fd::from)
}

/// move_mount(2) from one descriptor to another.
#[inline(never)]
pub(crate) fn attach(tree: &Fd, target: &Fd) -> Result<(), Errno> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    move_mount(tree, c"", target, c"", flags)
}

pub(crate) fn hide(path: &CStr) -> Done {
    match unmount(path, UnmountFlags::DETACH) {
        // A mount that an outer container locked: cover it.
        Err(Errno::INVAL | Errno::PERM) => {
            Ok(mount(c"tmpfs", path, c"tmpfs", rustix::mount::MountFlags::RDONLY, Some(c"nr_inodes=2"))?)
        }
        // Below one that was unmounted before.
        Err(Errno::NOENT) => Ok(()),
        answer => Ok(answer?),
    }
}

pub(crate) fn enter(hands: &mut Hands, how: Enter) -> Done {
    hands.left_directory();
    fchdir(hands.root()?).at(Part::Chdir)?;
    match how {
        Enter::Pivot | Enter::PivotShared => {
            let old = if how == Enter::PivotShared { Some(directory(CWD, c"/").at(Part::Chdir)?) } else { None };
            // Onto itself: the old root ends on top of the new one and needs no directory.
            pivot_root(c".", c".")?;
            if let Some(old) = old {
                // The host's namespace would see the unmount below. Through the descriptor: `.` is beneath the old root.
                let slave = Attributes { propagation: u64::from(Propagate::Slave.flag()), ..Attributes::default() };
                set_attributes(old.as_fd(), Depth::Tree, slave).at(Part::Detach)?;
                old.leave();
            }
            // The working directory is the new root already.
            return unmount(c".", UnmountFlags::DETACH).at(Part::Detach);
        }
        Enter::Move => {
            mount_move(c".", c"/")?;
            chroot(c".").at(Part::Chroot)?;
        }
        Enter::Chroot => chroot(c".").at(Part::Chroot)?,
    }
    chdir(c"/").at(Part::Chdir)
}

pub(crate) fn read_only(hands: &Hands) -> Done {
    let read_only = Attributes { set: MOUNT_ATTR_RDONLY, ..Attributes::default() };
    Ok(set_attributes(hands.root()?, Depth::Top, read_only)?)
}

pub(crate) fn make_directory(hands: &Hands, path: Text<'_>) -> Done {
    let root = hands.root()?;
    match path::open(root, path.c(), OFlags::PATH, Last::Follow) {
        Err(Errno::NOENT) => path::make_directory(root, path).at(Part::MakeTarget)?.leave(),
        Ok(there) => there.leave(),
        // A magic link, or a directory that only the user may look into: `EnterDirectory` has the words for both.
        Err(_) => {}
    }
    Ok(())
}

pub(crate) fn enter_directory(hands: &mut Hands, path: &CStr) -> Done {
    hands.left_directory();
    if path == c"/" {
        // Masking has left us somewhere else.
        return chdir(path).at(Part::Chdir);
    }
    match try_enter(hands, path) {
        // Root may be nobody on a network file system: the user is tried later.
        Err(Failure { errno: Errno::ACCESS | Errno::PERM, .. }) => Ok(()),
        answer => {
            hands.entered = true;
            answer
        }
    }
}

#[inline(never)]
pub(crate) fn verify_directory(hands: &Hands, path: &CStr) -> Done {
    if !hands.entered {
        try_enter(hands, path)?;
    }
    let mut buffer = [0u8; 4096];
    match rt_sys::path::current_directory(&mut buffer) {
        Ok([b'/', ..]) => Ok(()),
        // "(unreachable)/…": outside of the root (CVE-2024-21626).
        Ok(_) => Err(Failure { part: Part::Outside, errno: Errno::NOENT }),
        Err(errno) => Err(Failure { part: Part::Outside, errno }),
    }
}

fn try_enter(hands: &Hands, path: &CStr) -> Done {
    let root = hands.root()?;
    let directory = match path::open(root, path, OFlags::PATH | OFlags::DIRECTORY, Last::Follow) {
        // A magic link: /proc/self/fd/N is the way out that CVE-2024-21626 took.
        Err(errno @ Errno::LOOP) => return Err(Failure { part: Part::Outside, errno }),
        found => found.at(Part::Target)?,
    };
    fchdir(&directory).at(Part::Chdir)?;
    directory.leave();
    Ok(())
}
