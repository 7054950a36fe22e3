//! Mounts: file systems, binds, and what is read-only or hidden.
//!
//! Every target is a descriptor when something is mounted on it. mount(2) takes no descriptor, so it gets `.` after
//! fchdir(2): a name that nobody can swap.

use crate::copyup;
use crate::fd::Fd;
use crate::hands::{At, Done, Failure, Hands};
use crate::path::{self, Kind, Last, rest};
use crate::root::{MOUNT_ATTR_RDONLY, attach};
use core::ffi::CStr;
use rt_sys::mount::{Attributes, Depth, set_attributes, set_attributes_at};
use rt_wire::{Change, Follow, Likely, Part, Step, Target, Text, Tree};
use rustix::fd::AsFd;
use rustix::fs::{AtFlags, CWD, FileType, Mode, Stat, fstat, makedev, mkdirat, statat};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, MoveMountFlags, OpenTreeFlags, fsconfig_create,
    fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen, mount_bind, mount_bind_recursive, move_mount, open_tree,
};
use rustix::process::fchdir;

const MS_REMOUNT: u32 = 1 << 5;

pub(crate) fn mount(hands: &mut Hands, step: Step<'_>) -> Done {
    let Step::Mount { fstype, source, target, flags, data, hold, copy_up } = step else { return Ok(()) };
    if hold == 0 && !copy_up {
        return mount_at(hands, fstype, source, target, flags, data);
    }
    let file_system = new(fstype, source, flags, data)?;
    if copy_up || !attach_by_name(hands, &file_system, target) {
        let at = path::find_or_make(hands, target, last_of(fstype), directory).map_err(real_directory(fstype))?;
        if copy_up {
            copyup::copy(&at, &file_system).at(Part::CopyUp)?;
        }
        attach(&file_system, &at).at(Part::Attach)?;
        at.leave();
    }
    match hold {
        0 => file_system.leave(),
        _ => hands.hold(hold, file_system)?,
    }
    Ok(())
}

/// Attach it without a look where the target is one name below the root. move_mount(2) follows no link there unless it is
/// told to, and attaches a directory to nothing but one: whatever else is there is left to the long way.
fn attach_by_name(hands: &Hands, file_system: &Fd, target: Target<'_>) -> bool {
    let name = match target.path.bytes() {
        b"/." | b"/.." => return false,
        [b'/', name @ ..] if target.held == 0 && !name.contains(&b'/') => target.path.skip(1),
        _ => return false,
    };
    let Ok(root) = hands.root() else { return false };
    move_mount(file_system, c"", root, name.c(), MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH).is_ok()
}

/// With mount(2): fewer calls than fsopen(2) and its kin, for what no later step starts from.
fn mount_at(
    hands: &mut Hands,
    fstype: Text<'_>,
    source: Text<'_>,
    target: Target<'_>,
    flags: u32,
    data: Text<'_>,
) -> Done {
    let mount = |on: &CStr| {
        let data = (!data.is_empty()).then(|| data.c());
        rustix::mount::mount(source.c(), on, fstype.c(), MountFlags::from_bits_retain(flags), data)
    };
    if target.held == 0 {
        let at = path::find_or_make(hands, target, last_of(fstype), directory).map_err(real_directory(fstype))?;
        hands.left_directory();
        fchdir(&at).at(Part::Target)?;
        at.leave();
        return mount(c".").at(Part::Attach);
    }
    hands.enter_held(target.held).at(Part::Target)?;
    let name = rest(target).c();
    if target.fresh {
        match mkdirat(CWD, name, Mode::from_raw_mode(0o755)) {
            Ok(()) | Err(Errno::EXIST) => {}
            // More than one level below: the long way.
            Err(_) => path::find_or_make(hands, target, Last::Follow, directory)?.leave(),
        }
    }
    mount(name).at(Part::Attach)
}

/// /proc and /sys decide what is masked: a link in the image must not lead them elsewhere (CVE-2023-27561).
fn last_of(fstype: Text<'_>) -> Last {
    match fstype.bytes() {
        b"proc" | b"sysfs" => Last::Keep,
        _ => Last::Follow,
    }
}

/// ENOTDIR of such a link says little: name the part.
fn real_directory(fstype: Text<'_>) -> impl Fn(Failure) -> Failure {
    move |failure| match (last_of(fstype), failure) {
        (Last::Keep, Failure { errno: errno @ (Errno::LOOP | Errno::NOTDIR), .. }) => {
            Failure { part: Part::Link, errno }
        }
        _ => failure,
    }
}

/// A file system that is nowhere yet.
#[inline(never)]
pub(crate) fn new(fstype: Text<'_>, source: Text<'_>, flags: u32, data: Text<'_>) -> Result<Fd, Failure> {
    let context = Fd::from(fsopen(fstype.c(), FsOpenFlags::FSOPEN_CLOEXEC)?);
    // mountinfo shows it: `none` is not what the config says.
    if !source.is_empty() {
        fsconfig_set_string(&context, c"source", source.c()).at(Part::Option)?;
    }
    let mut buffer = path::Buffer::new();
    for option in data.bytes().split(|byte| *byte == b',').filter(|option| !option.is_empty()) {
        buffer.clear();
        buffer.push(option).at(Part::Option)?;
        match buffer.split(b'=') {
            Some((key, value)) => fsconfig_set_string(&context, key, value).at(Part::Option)?,
            None => fsconfig_set_flag(&context, buffer.c()).at(Part::Option)?,
        }
    }
    fsconfig_create(&context)?;
    let mount = Fd::from(fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes(flags))?);
    context.leave();
    Ok(mount)
}

/// `MS_*` as `MOUNT_ATTR_*`. What only a superblock knows (sync, dirsync) the plan leaves to mount(2).
fn attributes(flags: u32) -> MountAttrFlags {
    let same = flags & 0xf;
    let moved = [(1 << 10, 0x10), (1 << 24, 0x20), (1 << 11, 0x80), (1 << 8, 0x20_0000)];
    let bits = moved.iter().filter(|(flag, _)| flags & flag != 0).fold(same, |bits, (_, attribute)| bits | attribute);
    MountAttrFlags::from_bits_retain(bits)
}

pub(crate) fn bind(hands: &mut Hands, step: Step<'_>) -> Done {
    let Step::Bind { source, target, tree, follow, top, whole } = step else { return Ok(()) };
    if follow == Follow::CopySymlink && copy_symlink(hands, source, target)? {
        return Ok(());
    }
    let mut flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    if tree == Tree::Whole {
        flags |= OpenTreeFlags::AT_RECURSIVE;
    }
    if matches!(follow, Follow::NotSource | Follow::Neither) {
        flags |= OpenTreeFlags::AT_SYMLINK_NOFOLLOW;
    }
    let source = open_tree(CWD, source.c(), flags).map(Fd::from).at(Part::Source)?;
    // While nobody can see it: there is no moment at which a read-only bind can be written to.
    apply(&source, Depth::Tree, whole).at(Part::Attributes)?;
    apply(&source, Depth::Top, top).at(Part::Attributes)?;
    let last = if matches!(follow, Follow::NotTarget | Follow::Neither) { Last::Keep } else { Last::Follow };
    let target = path::find_or_make(hands, target, last, || kind_of(&source))?;
    attach(&source, &target).at(Part::Attach)?;
    source.leave();
    target.leave();
    Ok(())
}

fn directory() -> Result<Kind, Errno> {
    Ok(Kind::Directory)
}

fn kind_of(source: &Fd) -> Result<Kind, Errno> {
    let directory = file_type(&stat(source)?) == FileType::Directory;
    Ok(if directory { Kind::Directory } else { Kind::File })
}

/// A source that is a symbolic link is made anew at the target. `false` if it is none.
#[inline(never)]
fn copy_symlink(hands: &Hands, source: Text<'_>, target: Target<'_>) -> Result<bool, Failure> {
    let text = match path::read_link(CWD, source.c()) {
        Ok(text) => text,
        Err(Errno::INVAL) => return Ok(false),
        Err(errno) => return Err(Failure { part: Part::Source, errno }),
    };
    let (directory, name) = path::parent(hands, target)?;
    match rustix::fs::symlinkat(text.c(), &directory, name.c()) {
        Err(Errno::EXIST) => match path::read_link(directory.as_fd(), name.c()) {
            Ok(there) if there.c() == text.c() => Ok(true),
            _ => Err(Failure { part: Part::MakeTarget, errno: Errno::EXIST }),
        },
        answer => answer.at(Part::MakeTarget).map(|()| true),
    }
}

fn apply(mount: &Fd, depth: Depth, change: Change) -> Result<(), Errno> {
    let change = kernels(change);
    if change.is_empty() { Ok(()) } else { set_attributes(mount.as_fd(), depth, change) }
}

fn kernels(change: Change) -> Attributes {
    Attributes { set: change.set, clear: change.clear, propagation: u64::from(change.propagation.flag()) }
}

pub(crate) fn reattribute(hands: &Hands, target: Target<'_>, tree: Tree, change: Change) -> Done {
    let target = path::find(hands, target, Last::Follow).at(Part::Target)?;
    let depth = if tree == Tree::Whole { Depth::Tree } else { Depth::Top };
    apply(&target, depth, change).at(Part::Attributes)?;
    target.leave();
    Ok(())
}

pub(crate) fn remount(hands: &mut Hands, target: Target<'_>, flags: u32, data: Text<'_>) -> Done {
    let target = path::find(hands, target, Last::Follow).at(Part::Target)?;
    hands.left_directory();
    fchdir(&target).at(Part::Chdir)?;
    let data = (!data.is_empty()).then(|| data.c());
    let flags = MountFlags::from_bits_retain(flags | MS_REMOUNT);
    rustix::mount::mount(c"none", c".", c"", flags, data).at(Part::Attributes)?;
    target.leave();
    Ok(())
}

const READ_ONLY: Attributes = Attributes { set: MOUNT_ATTR_RDONLY, clear: 0, propagation: 0 };

pub(crate) fn read_only(hands: &mut Hands, target: Target<'_>) -> Done {
    if target.held != 0 {
        // Only the kernel makes names here: they can be used as they are.
        hands.enter_held(target.held).at(Part::Target)?;
        let name = rest(target).c();
        return match mount_bind_recursive(name, name) {
            Err(Errno::NOENT) => Ok(()),
            answer => {
                answer.at(Part::Attach)?;
                set_attributes_at(CWD, name, Depth::Tree, READ_ONLY).at(Part::Attributes)
            }
        };
    }
    let at = match path::find(hands, target, Last::Follow) {
        Err(Errno::NOENT | Errno::NOTDIR) => return Ok(()),
        found => found.at(Part::Target)?,
    };
    let clone = clone(&at, Tree::Whole).at(Part::Source)?;
    set_attributes(clone.as_fd(), Depth::Tree, READ_ONLY).at(Part::Attributes)?;
    attach(&clone, &at).at(Part::Attach)?;
    at.leave();
    clone.leave();
    Ok(())
}

/// What hides a directory: empty, and nobody can change that.
const EMPTY: MountFlags = MountFlags::from_bits_retain(0xf);
const EMPTY_DATA: &CStr = c"nr_inodes=2,mode=0755";

pub(crate) fn mask(hands: &mut Hands, target: Target<'static>, likely: Likely, null: Target<'_>) -> Done {
    if target.held != 0 {
        return mask_held(hands, target, likely, null);
    }
    let at = match path::find(hands, target, Last::Follow) {
        Err(Errno::NOENT | Errno::NOTDIR) => return Ok(()),
        found => found.at(Part::Target)?,
    };
    if file_type(&stat(&at).at(Part::Target)?) == FileType::Directory {
        hands.left_directory();
        fchdir(&at).at(Part::Chdir)?;
        hide_directory(c".").at(Part::Attach)?;
    } else {
        let null = clone_of_null(hands, null)?;
        attach(&null, &at).at(Part::Attach)?;
        null.leave();
    }
    at.leave();
    Ok(())
}

/// Below a held file system: its names can be used as they are, and what they most likely are is tried at once.
fn mask_held(hands: &mut Hands, target: Target<'static>, likely: Likely, null: Target<'_>) -> Done {
    hands.enter_held(target.held).at(Part::Target)?;
    let name = rest(target).c();
    let tried = match likely {
        Likely::Unknown => Err(Errno::INVAL),
        Likely::Directory => hide_directory(name),
        Likely::File => match hands.masked.filter(|masked| masked.held == target.held) {
            // The verified /dev/null lies there: a bind of it is one call. ENOENT can't be the source's: a file at the top
            // of a procfs stays, and only another file can be mounted over it.
            Some(masked) => mount_bind(rest(masked).c(), name),
            None => {
                // A path that is missing needs no /dev/null: without one, look.
                let answer = hide_file(hands, name, null).unwrap_or(Err(Errno::INVAL));
                if answer.is_ok() {
                    hands.masked = Some(target);
                }
                answer
            }
        },
    };
    match tried {
        // All of them look for the target first.
        Ok(()) | Err(Errno::NOENT) => return Ok(()),
        // It is something else: look.
        Err(_) => {}
    }
    let stat = match statat(CWD, name, AtFlags::SYMLINK_NOFOLLOW) {
        Err(Errno::NOENT) => return Ok(()),
        answer => answer.at(Part::Target)?,
    };
    if file_type(&stat) == FileType::Directory {
        return hide_directory(name).at(Part::Attach);
    }
    hide_file(hands, name, null)?.at(Part::Attach)
}

/// An empty tmpfs over `name` in the working directory. mount(2) makes none before it has found that.
fn hide_directory(name: &CStr) -> Result<(), Errno> {
    rustix::mount::mount(c"tmpfs", name, c"tmpfs", EMPTY, Some(EMPTY_DATA))
}

/// /dev/null over `name` in the working directory. A mount that finds no place is kept for the next: to take apart one
/// that was never attached waits for an RCU grace period.
fn hide_file(hands: &mut Hands, name: &CStr, null: Target<'_>) -> Result<Result<(), Errno>, Failure> {
    let mount = match hands.spare.take() {
        Some(spare) => spare,
        None => clone_of_null(hands, null)?,
    };
    let answer = move_mount(&mount, c"", CWD, name, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH);
    match answer {
        Ok(()) => mount.leave(),
        Err(_) => hands.spare = Some(mount),
    }
    Ok(answer)
}

/// The container's own /dev/null as a mount. Its descriptor is what was verified and what is bound: an image that
/// puts something else there, or a race that does, gets an error and not its file (CVE-2025-31133).
fn clone_of_null(hands: &mut Hands, null: Target<'_>) -> Result<Fd, Failure> {
    if hands.null.is_none() {
        let found = path::find(hands, null, Last::Keep).at(Part::Source)?;
        let stat = self::stat(&found).at(Part::Source)?;
        if !is_null(&stat) {
            return Err(Failure { part: Part::Verify, errno: Errno::NODEV });
        }
        hands.null = Some(found);
    }
    let null = hands.null.as_ref().ok_or(Errno::BADF)?;
    clone(null, Tree::Top).at(Part::Source)
}

/// fstat(2).
#[inline(never)]
pub(crate) fn stat(fd: &Fd) -> Result<Stat, Errno> {
    fstat(fd)
}

/// Whether it is /dev/null, whatever its name.
pub(crate) fn is_null(stat: &Stat) -> bool {
    file_type(stat) == FileType::CharacterDevice && stat.st_rdev == makedev(1, 3)
}

pub(crate) fn file_type(stat: &Stat) -> FileType {
    FileType::from_raw_mode(stat.st_mode)
}

#[inline(never)]
fn clone(fd: &Fd, tree: Tree) -> Result<Fd, Errno> {
    let mut flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_EMPTY_PATH;
    if tree == Tree::Whole {
        flags |= OpenTreeFlags::AT_RECURSIVE;
    }
    open_tree(fd, c"", flags).map(Fd::from)
}
