//! Device nodes, and the links beside them.

use crate::fd::Fd;
use crate::hands::{At, Done, Failure, Hands};
use crate::mounts::{file_type, is_null, stat};
use crate::path::{self, Kind, Last, rest};
use crate::root::attach;
use core::ffi::CStr;
use rt_sys::fd::standard;
use rt_wire::{Device, DeviceKind, Part, Target, Text};
use rustix::fd::{AsRawFd, BorrowedFd};
use rustix::fs::{
    AtFlags, CWD, FileType, Gid, Mode, OFlags, Uid, chownat, fstat, makedev, mknodat, symlinkat, unlinkat,
};
use rustix::io::Errno;
use rustix::mount::{OpenTreeFlags, open_tree};

/// Do `make` where the last name of `target` lies: at once on a fresh tmpfs, else in the directory that the kernel
/// resolves below the root. The image may have made /dev a link (CVE-2026-41579).
fn beside<T>(
    hands: &Hands,
    target: Target<'_>,
    make: impl Fn(BorrowedFd<'_>, &CStr) -> Result<T, Errno>,
) -> Result<Result<T, Errno>, Failure> {
    if target.fresh {
        match make(hands.base(target).at(Part::Target)?, rest(target).c()) {
            // More than one level below: its parents are made the long way.
            Err(Errno::NOENT) => {}
            answer => return Ok(answer),
        }
    }
    let (directory, name) = path::parent(hands, target)?;
    let answer = make(rustix::fd::AsFd::as_fd(&directory), name.c());
    directory.leave();
    Ok(answer)
}

pub(crate) fn symlink(hands: &Hands, target: Target<'_>, text: Text<'_>, replace: bool) -> Done {
    let link = |directory: BorrowedFd<'_>, name: &CStr| symlinkat(text.c(), directory, name);
    match beside(hands, target, link)? {
        Err(Errno::EXIST) if replace => {
            beside(hands, target, |directory, name| unlinkat(directory, name, AtFlags::empty()))?
                .at(Part::MakeTarget)?;
            beside(hands, target, link)?.at(Part::MakeTarget)
        }
        Err(Errno::EXIST) => Ok(()),
        answer => answer.at(Part::MakeTarget),
    }
}

pub(crate) fn make(hands: &Hands, target: Target<'_>, device: Device) -> Done {
    let kind = match device.kind {
        DeviceKind::Character => FileType::CharacterDevice,
        DeviceKind::Block => FileType::BlockDevice,
        DeviceKind::Fifo => FileType::Fifo,
    };
    let mode = Mode::from_raw_mode(device.mode);
    let node = makedev(device.major, device.minor);
    match beside(hands, target, |directory, name| mknodat(directory, name, kind, mode, node))? {
        Err(Errno::EXIST) => return Ok(()),
        // An outer container's device cgroup, or a user namespace.
        Err(Errno::PERM) if device.kind != DeviceKind::Fifo => return bind(hands, target, device),
        answer => answer?,
    }
    if (device.uid, device.gid) == (0, 0) {
        return Ok(());
    }
    let (uid, gid) = (Uid::from_raw(device.uid), Gid::from_raw(device.gid));
    let own = |directory: BorrowedFd<'_>, name: &CStr| {
        chownat(directory, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)
    };
    beside(hands, target, own)?.at(Part::Owner)
}

pub(crate) fn bind(hands: &Hands, target: Target<'_>, device: Device) -> Done {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let source = open_tree(CWD, target.path.c(), flags).map(Fd::from).at(Part::Source)?;
    let stat = stat(&source).at(Part::Source)?;
    let kind = match device.kind {
        DeviceKind::Block => FileType::BlockDevice,
        _ => FileType::CharacterDevice,
    };
    if file_type(&stat) != kind || stat.st_rdev != makedev(device.major, device.minor) {
        return Err(Failure { part: Part::Verify, errno: Errno::NODEV });
    }
    let target = path::find_or_make(hands, target, Last::Follow, || Ok(Kind::File))?;
    attach(&source, &target).at(Part::Attach)?;
    source.leave();
    target.leave();
    Ok(())
}

/// Descriptors 0 to 2 that are /dev/null become the container's: the host's would keep the host's /dev busy, and no
/// checkpoint could restore them.
pub(crate) fn reopen_null(hands: &mut Hands, target: Target<'_>) -> Done {
    for standard in standard() {
        match fstat(standard) {
            Ok(stat) if is_null(&stat) => {}
            // Also one that the caller closed.
            _ => continue,
        }
        if hands.null.is_none() {
            let found = path::open(hands.base(target)?, rest(target).c(), OFlags::RDWR | OFlags::NOCTTY, Last::Keep);
            match found.and_then(|null| stat(&null).map(|stat| (null, stat))) {
                Ok((null, stat)) if is_null(&stat) => hands.null = Some(null),
                // An image without one, or with something else in its place: the host's serves.
                _ => return Ok(()),
            }
        }
        let Some(null) = &hands.null else { return Ok(()) };
        match standard.as_raw_fd() {
            0 => rustix::stdio::dup2_stdin(null)?,
            1 => rustix::stdio::dup2_stdout(null)?,
            _ => rustix::stdio::dup2_stderr(null)?,
        }
    }
    Ok(())
}
