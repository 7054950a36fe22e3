//! tmpcopyup: what an image has below a mount point, copied into the tmpfs that covers it.

use crate::fd::Fd;
use crate::path::read_link;
use core::ffi::CStr;
use core::mem::MaybeUninit;
use rustix::fd::{AsFd, BorrowedFd};
use rustix::fs::{
    AtFlags, FileType, Gid, Mode, OFlags, RawDir, Stat, Timespec, Timestamps, Uid, chmodat, chownat, fchmod, fchown,
    fstat, mkdirat, mknodat, openat, statat, symlinkat, utimensat,
};
use rustix::io::{Errno, read, write};

/// Deeper directories than this are refused, not copied in part: each level costs stack.
const DEEPEST: u32 = 64;

/// Copy what lies in directory `from` into directory `to`, owners, modes and times included; and give `to` the owner
/// and mode of `from`. Names are looked up one by one below a descriptor and never followed.
#[inline(never)]
pub(crate) fn copy(from: &Fd, to: &Fd) -> Result<(), Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let from = open(from, c".", flags, Mode::empty())?;
    let to = open(to, c".", flags, Mode::empty())?;
    let stat = fstat(&from)?;
    fchown(&to, Some(Uid::from_raw(stat.st_uid)), Some(Gid::from_raw(stat.st_gid)))?;
    fchmod(&to, Mode::from_raw_mode(stat.st_mode & 0o7777))?;
    directory(from.as_fd(), to.as_fd(), DEEPEST)
}

fn open(directory: impl AsFd, name: &CStr, flags: OFlags, mode: Mode) -> Result<Fd, Errno> {
    openat(directory, name, flags, mode).map(Fd::from)
}

fn directory(from: BorrowedFd<'_>, to: BorrowedFd<'_>, left: u32) -> Result<(), Errno> {
    let left = left.checked_sub(1).ok_or(Errno::NAMETOOLONG)?;
    let mut buffer = [MaybeUninit::<u8>::uninit(); 2048];
    let mut entries = RawDir::new(from, &mut buffer);
    while let Some(entry) = entries.next() {
        let entry = entry?;
        let name = entry.file_name();
        if name != c"." && name != c".." {
            one(from, to, name, left)?;
        }
    }
    Ok(())
}

fn one(from: BorrowedFd<'_>, to: BorrowedFd<'_>, name: &CStr, left: u32) -> Result<(), Errno> {
    let stat = statat(from, name, AtFlags::SYMLINK_NOFOLLOW)?;
    let mode = Mode::from_raw_mode(stat.st_mode & 0o7777);
    let flags = OFlags::CLOEXEC | OFlags::NOFOLLOW;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => {
            mkdirat(to, name, mode)?;
            let source = open(from, name, OFlags::RDONLY | OFlags::DIRECTORY | flags, Mode::empty())?;
            let target = open(to, name, OFlags::RDONLY | OFlags::DIRECTORY | flags, Mode::empty())?;
            directory(source.as_fd(), target.as_fd(), left)?;
            source.close();
            target.close();
        }
        FileType::RegularFile => {
            let source = open(from, name, OFlags::RDONLY | OFlags::NONBLOCK | flags, Mode::empty())?;
            let target = open(to, name, OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | flags, mode)?;
            content(&source, &target)?;
            source.close();
            target.close();
        }
        FileType::Symlink => {
            symlinkat(read_link(from, name)?.c(), to, name)?;
        }
        kind => mknodat(to, name, kind, mode, stat.st_rdev)?,
    }
    attributes(to, name, &stat)
}

fn content(source: &Fd, target: &Fd) -> Result<(), Errno> {
    let mut chunk = [0u8; 4096];
    loop {
        let len = read(source, &mut chunk)?;
        let mut rest = chunk.get(..len).unwrap_or_default();
        if rest.is_empty() {
            return Ok(());
        }
        while !rest.is_empty() {
            let written = write(target, rest)?;
            rest = rest.get(written..).unwrap_or_default();
        }
    }
}

/// Owner first: a change of owner takes the set-user-ID bit away.
fn attributes(to: BorrowedFd<'_>, name: &CStr, stat: &Stat) -> Result<(), Errno> {
    let (uid, gid) = (Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid));
    chownat(to, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::Symlink {
        chmodat(to, name, Mode::from_raw_mode(stat.st_mode & 0o7777), AtFlags::empty())?;
    }
    let time = |seconds, nanoseconds: u64| Timespec { tv_sec: seconds, tv_nsec: nanoseconds.cast_signed() };
    let times = Timestamps {
        last_access: time(stat.st_atime, stat.st_atime_nsec),
        last_modification: time(stat.st_mtime, stat.st_mtime_nsec),
    };
    utimensat(to, name, &times, AtFlags::SYMLINK_NOFOLLOW)
}
