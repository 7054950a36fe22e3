//! Paths of the container, which its image controls: resolved by the kernel below a descriptor, never above it and
//! never through a magic link (openat2(2), Linux 5.6). What is missing is made the same way.

use crate::fd::Fd;
use crate::hands::{At, Failure, Hands};
use core::ffi::CStr;
use rt_wire::{Part, Target, Text};
use rustix::fd::{AsFd, BorrowedFd};
use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, ResolveFlags, fstatfs, mkdirat, mknodat, openat2, readlinkat_raw, statat,
};
use rustix::io::Errno;

/// What a missing target is made as.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Directory,
    File,
}

/// Whether a link in a path's last place is followed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Last {
    Follow,
    Keep,
}

/// PATH_MAX: the kernel takes no longer path.
const LONGEST: usize = 4096;
/// linux/magic.h.
const PROC_SUPER_MAGIC: i64 = 0x9fa0;
/// As many links as the kernel follows in one path.
const LINKS: u32 = 40;

/// Open `path` below `base`, as `flags` and for reference only unless they say otherwise.
pub(crate) fn open(base: BorrowedFd<'_>, path: &CStr, flags: OFlags, last: Last) -> Result<Fd, Errno> {
    open_with(base, path, flags, last, ResolveFlags::empty())
}

fn open_with(base: BorrowedFd<'_>, path: &CStr, flags: OFlags, last: Last, more: ResolveFlags) -> Result<Fd, Errno> {
    // The empty path and `/` are the base itself.
    let path = if path.is_empty() { c"." } else { path };
    let flags = flags | OFlags::CLOEXEC | if last == Last::Keep { OFlags::NOFOLLOW } else { OFlags::empty() };
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS | more;
    loop {
        match openat2(base, path, flags, Mode::empty(), resolve) {
            // A rename anywhere on the host while `..` was resolved: the kernel could not tell, and asks to retry.
            Err(Errno::AGAIN | Errno::INTR) => {}
            answer => return answer.map(Fd::from),
        }
    }
}

/// The target of a step, for reference.
pub(crate) fn find(hands: &Hands, target: Target<'_>, last: Last) -> Result<Fd, Errno> {
    open(hands.base(target)?, rest(target).c(), OFlags::PATH, last)
}

/// The target of a mount: found, or made with all its parents as what `kind` says. The plan has seen from its name that it
/// is no place in /proc where nothing may be mounted; a link could lead it there all the same.
pub(crate) fn find_or_make(
    hands: &Hands,
    target: Target<'_>,
    last: Last,
    kind: impl FnOnce() -> Result<Kind, Errno>,
) -> Result<Fd, Failure> {
    let base = hands.base(target).at(Part::Target)?;
    let path = rest(target);
    let found = match open_with(base, path.c(), OFlags::PATH, last, ResolveFlags::NO_SYMLINKS) {
        Err(Errno::LOOP) => open(base, path.c(), OFlags::PATH, last),
        // Without a link in it the name says where it is.
        straight => match straight {
            Err(Errno::NOENT) => straight,
            straight => return straight.at(Part::Target),
        },
    };
    let found = match found {
        Err(Errno::NOENT) => make(base, path, kind()?).at(Part::MakeTarget)?,
        found => found.at(Part::Target)?,
    };
    if fstatfs(&found).at(Part::Target)?.f_type == PROC_SUPER_MAGIC && target.held == 0 {
        return Err(Failure { part: Part::OverProc, errno: Errno::LOOP });
    }
    Ok(found)
}

/// The directory that the last name of `target` lies in, made if missing, and that name.
#[inline(never)]
pub(crate) fn parent<'a>(hands: &Hands, target: Target<'a>) -> Result<(Fd, Text<'a>), Failure> {
    let rest = rest(target);
    let slash = rest.bytes().iter().rposition(|byte| *byte == b'/');
    let name = rest.skip(slash.map_or(0, |at| at.saturating_add(1)));
    let mut buffer = Buffer::new();
    buffer.push(rest.bytes().get(..slash.unwrap_or(0)).unwrap_or_default()).at(Part::Target)?;
    let base = hands.base(target).at(Part::Target)?;
    let directory = match open(base, buffer.c(), OFlags::PATH | OFlags::DIRECTORY, Last::Follow) {
        Err(Errno::NOENT) => make(base, Text::from(buffer.c()), Kind::Directory).at(Part::MakeTarget)?,
        found => found.at(Part::Target)?,
    };
    Ok((directory, name))
}

/// A target's path from where it is looked up.
pub(crate) fn rest(target: Target<'_>) -> Text<'_> {
    target.path.skip(usize::from(target.skip))
}

/// Make `path` below `base`: directories, mode 0755, and in the last place a `kind`. A link whose end is missing is
/// followed, below `base`, and its end made: `/etc/resolv.conf` in many an image is one.
///
/// The name so far, `done`, never has a link in it, so `..` can be resolved by cutting it; each component is made in
/// the directory that the kernel just resolved, so a link put there meanwhile leads nowhere (CVE-2024-45310).
fn make(base: BorrowedFd<'_>, path: Text<'_>, kind: Kind) -> Result<Fd, Errno> {
    let mut done = Buffer::new();
    let mut todo = Buffer::new();
    todo.push(path.bytes())?;
    let mut links = 0;
    while let Some((name, is_last)) = todo.pop() {
        let name = name.c();
        match name.to_bytes() {
            b"." => continue,
            b".." => {
                done.cut();
                continue;
            }
            _ => {}
        }
        let directory = open(base, done.c(), OFlags::PATH | OFlags::DIRECTORY, Last::Keep)?;
        let kind = if is_last { kind } else { Kind::Directory };
        match create(&directory, name, kind) {
            Ok(()) => done.join(name.to_bytes())?,
            Err(Errno::EXIST) => {
                let stat = statat(&directory, name, AtFlags::SYMLINK_NOFOLLOW)?;
                if FileType::from_raw_mode(stat.st_mode) == FileType::Symlink {
                    links = if links < LINKS { links.saturating_add(1) } else { return Err(Errno::LOOP) };
                    let text = read_link(directory.as_fd(), name)?;
                    let text = text.c().to_bytes();
                    if text.starts_with(b"/") {
                        done.clear();
                    }
                    todo.push_front(text)?;
                } else {
                    done.join(name.to_bytes())?;
                }
            }
            Err(errno) => return Err(errno),
        }
    }
    open(base, done.c(), OFlags::PATH, Last::Keep)
}

fn create(directory: &Fd, name: &CStr, kind: Kind) -> Result<(), Errno> {
    match kind {
        Kind::Directory => mkdirat(directory, name, Mode::from_raw_mode(0o755)),
        // Not opened: a file that is open for writing would keep its mount from becoming read-only.
        Kind::File => mknodat(directory, name, FileType::RegularFile, Mode::from_raw_mode(0o644), 0),
    }
}

/// The text of the symbolic link `name`. EINVAL if it is none.
pub(crate) fn read_link(directory: BorrowedFd<'_>, name: &CStr) -> Result<Buffer, Errno> {
    let mut text = Buffer::new();
    // One byte less than there is room for: its NUL stays.
    let room = text.bytes.get_mut(..LONGEST.saturating_sub(1)).ok_or(Errno::NAMETOOLONG)?;
    text.len = readlinkat_raw(directory, name, room)?;
    Ok(text)
}

/// A path being put together, on the stack. Always has a NUL after it.
pub(crate) struct Buffer {
    bytes: [u8; LONGEST],
    len: usize,
}

/// One component of a path.
struct Name {
    bytes: [u8; 256],
}

impl Name {
    fn c(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.bytes).unwrap_or(c"")
    }
}

impl Buffer {
    pub(crate) fn new() -> Self {
        Self { bytes: [0; LONGEST], len: 0 }
    }

    pub(crate) fn c(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.bytes).unwrap_or(c"")
    }

    pub(crate) fn clear(&mut self) {
        self.truncate(0);
    }

    pub(crate) fn push(&mut self, text: &[u8]) -> Result<(), Errno> {
        let end = self.len.checked_add(text.len()).filter(|end| *end < LONGEST).ok_or(Errno::NAMETOOLONG)?;
        self.bytes.get_mut(self.len..end).ok_or(Errno::NAMETOOLONG)?.copy_from_slice(text);
        self.len = end;
        Ok(())
    }

    /// Add a component.
    pub(crate) fn join(&mut self, name: &[u8]) -> Result<(), Errno> {
        if self.len > 0 {
            self.push(b"/")?;
        }
        self.push(name)
    }

    /// Take the last component away.
    pub(crate) fn cut(&mut self) {
        let used = self.bytes.get(..self.len).unwrap_or_default();
        self.truncate(used.iter().rposition(|byte| *byte == b'/').unwrap_or(0));
    }

    fn truncate(&mut self, len: usize) {
        if let Some(cut) = self.bytes.get_mut(len..self.len) {
            cut.fill(0);
        }
        self.len = len;
    }

    /// Take the first component away: it, and whether it was the last.
    fn pop(&mut self) -> Option<(Name, bool)> {
        let used = self.bytes.get(..self.len)?;
        let start = used.iter().position(|byte| *byte != b'/')?;
        let after = used.get(start..)?;
        let len = after.iter().position(|byte| *byte == b'/').unwrap_or(after.len());
        let mut name = Name { bytes: [0; 256] };
        // A component longer than NAME_MAX is cut to 256 bytes without a NUL, which reads as empty: ENOENT.
        let fits = len.min(name.bytes.len());
        name.bytes.get_mut(..fits)?.copy_from_slice(after.get(..fits)?);
        let is_last = after.get(len..)?.iter().all(|byte| *byte == b'/');
        let end = start.checked_add(len)?;
        self.bytes.copy_within(end..self.len, 0);
        let left = self.len.saturating_sub(end);
        let old = self.len;
        self.len = left;
        self.bytes.get_mut(left..old)?.fill(0);
        Some((name, is_last))
    }

    /// Put a link's text before what is left.
    fn push_front(&mut self, text: &[u8]) -> Result<(), Errno> {
        let room = text.len().saturating_add(1);
        let end = self.len.checked_add(room).filter(|end| *end < LONGEST).ok_or(Errno::NAMETOOLONG)?;
        self.bytes.copy_within(..self.len, room);
        self.bytes.get_mut(..text.len()).ok_or(Errno::NAMETOOLONG)?.copy_from_slice(text);
        *self.bytes.get_mut(text.len()).ok_or(Errno::NAMETOOLONG)? = b'/';
        self.len = end;
        Ok(())
    }
}

/// Make `path` and all its parents below `base`, as a directory.
pub(crate) fn make_directory(base: BorrowedFd<'_>, path: Text<'_>) -> Result<Fd, Errno> {
    make(base, path, Kind::Directory)
}

impl Buffer {
    /// Cut in two at the first `separator`, which becomes the NUL of the first.
    pub(crate) fn split(&mut self, separator: u8) -> Option<(&CStr, &CStr)> {
        let at = self.bytes.get(..self.len)?.iter().position(|byte| *byte == separator)?;
        *self.bytes.get_mut(at)? = 0;
        let first = CStr::from_bytes_until_nul(&self.bytes).ok()?;
        let second = CStr::from_bytes_until_nul(self.bytes.get(at.checked_add(1)?..)?).ok()?;
        Some((first, second))
    }
}
