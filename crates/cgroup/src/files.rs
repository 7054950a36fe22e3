//! The small files of a cgroup, and the tree below it.

use crate::error::Error;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, RawDir, fstat, openat, unlinkat};
use rustix::io::Errno;
use rustix::process::Pid;
use std::ffi::{CStr, CString};
use std::time::{Duration, Instant};

/// A cgroup's directory, and its path for messages.
pub(crate) struct Dir {
    pub(crate) fd: OwnedFd,
    pub(crate) path: String,
}

impl Dir {
    /// Good for opening files in it, for clone3(2) and for bpf(2), not for listing.
    pub(crate) fn open(path: &str) -> Result<Self, Error> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = openat(CWD, path, flags, Mode::empty()).map_err(|errno| Error::file("open", path, errno))?;
        Ok(Self { fd, path: path.to_owned() })
    }

    pub(crate) fn file(&self, name: &str) -> String {
        format!("{}/{name}", self.path)
    }
}

/// Open a file of a cgroup: never made, never a link.
pub(crate) fn open(dir: BorrowedFd<'_>, name: &str, access: OFlags) -> Result<OwnedFd, Errno> {
    openat(dir, name, access | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
}

/// The kernel takes each write as one order; it never takes half of one.
pub(crate) fn write(dir: BorrowedFd<'_>, name: &str, value: &str) -> Result<(), Errno> {
    let file = open(dir, name, OFlags::WRONLY)?;
    rustix::io::write(&file, value.as_bytes()).map(drop)
}

/// The whole of a file.
pub(crate) fn read(dir: BorrowedFd<'_>, name: &str) -> Result<String, Errno> {
    read_all(&open(dir, name, OFlags::RDONLY)?)
}

/// Read from the start, which arms the next notification of an event as well.
pub(crate) fn read_all(file: &OwnedFd) -> Result<String, Errno> {
    let mut text = Vec::new();
    let mut part = [0; 4096];
    loop {
        let offset = text.len() as u64;
        let count = rustix::io::pread(file, &mut part, offset)?;
        text.extend_from_slice(&part[..count]);
        // A list of processes comes in pieces of nearly a page; what is much shorter was the end.
        if count < 2048 {
            break;
        }
    }
    String::from_utf8(text).map_err(|_| Errno::ILSEQ)
}

/// Whether an errno says that the cgroup, or the file, is not there (any more).
pub(crate) fn is_gone(errno: Errno) -> bool {
    matches!(errno, Errno::NOENT | Errno::NODEV)
}

/// Whether a line of `cgroup.events` says `key 1`.
pub(crate) fn says(events: &str, key: &str) -> bool {
    events.lines().any(|line| line.strip_prefix(key).is_some_and(|rest| rest == " 1"))
}

/// Wait until `cgroup.events` says `key` with the value 1 (`true`) or 0. False when time is up.
pub(crate) fn await_event(dir: &str, key: &str, value: bool, until: Instant) -> Result<bool, Errno> {
    let file = open(CWD, &format!("{dir}/cgroup.events"), OFlags::RDONLY)?;
    loop {
        // Reading comes first, so nothing is lost between the two.
        if says(&read_all(&file)?, key) == value {
            return Ok(true);
        }
        if !poll_until(file.as_fd(), PollFlags::PRI, until)? {
            return Ok(false);
        }
    }
}

/// Wait for the process to end, and no longer than `until`.
pub(crate) fn await_exit(pid: Pid, until: Instant) -> Result<bool, Errno> {
    match rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()) {
        Ok(pidfd) => poll_until(pidfd.as_fd(), PollFlags::IN, until),
        // EINVAL: gone, but the number is still that of a session or group. Newer kernels say ESRCH here too.
        Err(Errno::SRCH | Errno::INVAL) => Ok(true),
        Err(errno) => Err(errno),
    }
}

fn poll_until(fd: BorrowedFd<'_>, events: PollFlags, until: Instant) -> Result<bool, Errno> {
    loop {
        let left = until.saturating_duration_since(Instant::now());
        match poll(&mut [PollFd::from_borrowed_fd(fd, events)], Some(&timespec(left))) {
            Ok(ready) => return Ok(ready > 0),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
}

fn timespec(time: Duration) -> Timespec {
    Timespec { tv_sec: time.as_secs().cast_signed(), tv_nsec: time.subsec_nanos().into() }
}

/// The processes of a cgroup and of those below it. Those that our pid namespace can't see have no number and are
/// left out. A cgroup that is removed while we look has none.
pub(crate) fn pids(top: &str) -> Result<Vec<Pid>, Errno> {
    let mut pids = Vec::new();
    walk(top, |dir| {
        let text = match read(dir, "cgroup.procs") {
            // A threaded cgroup has threads only.
            Err(Errno::OPNOTSUPP) => read(dir, "cgroup.threads"),
            other => other,
        };
        match text {
            Ok(text) => pids.extend(text.lines().filter_map(|line| Pid::from_raw(line.parse().ok()?))),
            Err(errno) if is_gone(errno) => {}
            Err(errno) => return Err(errno),
        }
        Ok(())
    })?;
    Ok(pids)
}

/// Visit a cgroup, then those below it. Two descriptors at most, however deep the container nested them.
fn walk(top: &str, mut visit: impl FnMut(BorrowedFd<'_>) -> Result<(), Errno>) -> Result<(), Errno> {
    let mut here = list(CWD, top)?;
    visit(here.as_fd())?;
    let mut levels = vec![children(&here)?];
    while let Some(names) = levels.last_mut() {
        let Some(name) = names.pop() else {
            levels.pop();
            if !levels.is_empty() {
                here = list(here.as_fd(), "..")?;
            }
            continue;
        };
        match list(here.as_fd(), name.as_c_str()) {
            Ok(child) => here = child,
            Err(errno) if is_gone(errno) => continue,
            Err(errno) => return Err(errno),
        }
        visit(here.as_fd())?;
        levels.push(children(&here)?);
    }
    Ok(())
}

/// Remove a cgroup and those below it, the deepest first. EBUSY if there are processes in one of them.
pub(crate) fn prune(top: &str) -> Result<(), Errno> {
    let mut here = list(CWD, top)?;
    let mut levels = vec![children(&here)?];
    let mut path: Vec<CString> = Vec::new();
    while let Some(names) = levels.last_mut() {
        let Some(name) = names.pop() else {
            levels.pop();
            if let Some(name) = path.pop() {
                here = list(here.as_fd(), "..")?;
                remove(here.as_fd(), name.as_c_str())?;
            }
            continue;
        };
        match remove(here.as_fd(), name.as_c_str()) {
            Ok(()) => {}
            Err(Errno::BUSY) => {
                here = list(here.as_fd(), name.as_c_str())?;
                levels.push(children(&here)?);
                path.push(name);
            }
            Err(errno) => return Err(errno),
        }
    }
    remove(CWD, top)
}

/// rmdir(2) of one cgroup. One that is not there counts as removed.
pub(crate) fn remove(dir: BorrowedFd<'_>, name: impl rustix::path::Arg) -> Result<(), Errno> {
    match unlinkat(dir, name, AtFlags::REMOVEDIR) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(errno) => Err(errno),
    }
}

fn list(dir: BorrowedFd<'_>, name: impl rustix::path::Arg) -> Result<OwnedFd, Errno> {
    openat(dir, name, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
}

/// The names of the cgroups in a cgroup.
fn children(dir: &OwnedFd) -> Result<Vec<CString>, Errno> {
    let mut names = Vec::new();
    // A directory is linked to from its parent, from itself and from each child: mostly there is none to look for.
    if fstat(dir)?.st_nlink <= 2 {
        return Ok(names);
    }
    visit_entries(dir, &mut |kind, name| {
        if kind == FileType::Directory {
            names.push(name.to_owned());
        }
    })?;
    Ok(names)
}

/// The names of all that is in a cgroup's directory.
pub(crate) fn names(dir: BorrowedFd<'_>) -> Result<Vec<String>, Errno> {
    let mut names = Vec::new();
    visit_entries(&list(dir, ".")?, &mut |_, name| names.extend(name.to_str().map(str::to_owned)))?;
    Ok(names)
}

fn visit_entries(dir: &OwnedFd, visit: &mut dyn FnMut(FileType, &CStr)) -> Result<(), Errno> {
    let mut buffer = Vec::with_capacity(8192);
    let mut entries = RawDir::new(dir, buffer.spare_capacity_mut());
    while let Some(entry) = entries.next() {
        let entry = entry?;
        if !is_dots(entry.file_name()) {
            visit(entry.file_type(), entry.file_name());
        }
    }
    Ok(())
}

fn is_dots(name: &CStr) -> bool {
    matches!(name.to_bytes(), b"." | b"..")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_lines_of_key_and_value() {
        let events = "populated 1\nfrozen 0\n";
        assert!(says(events, "populated"));
        assert!(!says(events, "frozen"));
        assert!(!says(events, "pop"));
        assert!(!says("", "populated"));
    }
}
