//! The one executor: it writes what was computed into the files of a cgroup.

use crate::controllers::{ACCOUNTED, Refusal, hand_down};
use crate::error::Error;
use crate::files::{Dir, open, write};
use crate::layout::{Hierarchy, Layout};
use crate::place::parent;
use crate::undo::Undo;
use crate::write::{Missing, Write};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::OFlags;
use rustix::io::Errno;

/// A limit whose controller no v1 hierarchy has.
pub(crate) fn check_v1(layout: &Layout, writes: &[Write]) -> Result<(), Error> {
    let homeless = |write: &&Write| write.missing != Missing::Skip && !layout.has_v1(&write.controller);
    match writes.iter().find(homeless) {
        None => Ok(()),
        Some(write) => Err(Error::NoController {
            field: write.field.clone(),
            controller: write.controller.clone(),
            place: "/proc/self/cgroup".to_owned(),
        }),
    }
}

/// The writes for v2. A file that is not there is a controller that is not handed down, until that has been tried.
pub(crate) fn write_v2(
    hierarchy: &Hierarchy,
    dir: &Dir,
    writes: &[Write],
    undo: Option<&mut Undo>,
) -> Result<(), Error> {
    let mut tried: Vec<&str> = Vec::new();
    let needed = writes.iter().filter(|write| write.missing != Missing::Skip).map(|write| &*write.controller);
    let mut wished: Vec<&str> = needed.chain(ACCOUNTED).collect();
    wished.sort_unstable();
    wished.dedup();
    let mut enable = |write: &Write| {
        let Some(controller) = wished.iter().find(|name| **name == write.controller && **name != "cgroup") else {
            return Ok(());
        };
        if tried.contains(controller) {
            return Ok(());
        }
        tried.push(controller);
        // All that is needed in one go, because each is slow; but only this one must be had now.
        hand_down(&hierarchy.mount, parent(&dir.path), &[controller], &wished).map_err(|refusal| match refusal {
            Refusal::Other(error) => error,
            Refusal::Missing { place } => {
                Error::NoController { field: write.field.clone(), controller: write.controller.clone(), place }
            }
        })
    };
    apply(dir, &mut writes.iter(), &mut enable, undo)
}

/// Write them in order; what the kernel finds invalid only because of an older value, again after the rest.
/// `enable` is asked once a file that is needed is missing; `undo` is told what files said before.
pub(crate) fn apply<'a>(
    dir: &Dir,
    writes: &mut dyn Iterator<Item = &'a Write>,
    enable: &mut dyn FnMut(&Write) -> Result<(), Error>,
    mut undo: Option<&mut Undo>,
) -> Result<(), Error> {
    let mut note = |name: &str, value: &str| {
        if let Some(undo) = &mut undo {
            undo.note(dir.file(name), value);
        }
    };
    let mut again = Vec::new();
    let mut opened: Option<(&str, OwnedFd)> = None;
    for write in writes {
        let name = write.checked_file()?;
        if opened.as_ref().is_none_or(|(last, _)| *last != name) {
            opened = None;
            match find(dir, write, enable)? {
                Found::Own(file) => opened = Some((name, file)),
                Found::Instead(file, name, value) => {
                    note(name, value);
                    put(dir, write, &file, value)?;
                    continue;
                }
                Found::Nothing => continue,
            }
        }
        let Some((_, file)) = &opened else { continue };
        note(name, &write.value);
        match put(dir, write, file, &write.value) {
            Err(Error::Refused { errno: Errno::INVAL, .. }) => again.push(write),
            other => other?,
        }
    }
    for retry in again {
        self::write(dir.fd.as_fd(), retry.checked_file()?, &retry.value).map_err(|errno| refused(dir, retry, errno))?;
    }
    Ok(())
}

enum Found<'a> {
    Own(OwnedFd),
    /// Its name, and the value for it.
    Instead(OwnedFd, &'a str, &'a str),
    Nothing,
}

/// The file for a write, or the one instead of it.
fn find<'a>(
    dir: &Dir,
    write: &'a Write,
    enable: &mut dyn FnMut(&Write) -> Result<(), Error>,
) -> Result<Found<'a>, Error> {
    let attempt = |name: &str| match open(dir.fd.as_fd(), name, OFlags::WRONLY) {
        Ok(file) => Ok(Some(file)),
        Err(Errno::NOENT) => Ok(None),
        Err(errno) => Err(Error::file("open", dir.file(name), errno)),
    };
    let first = |name: &str| Ok(attempt(name)?.map(Found::Own));
    if let Some(found) = first(&write.file)? {
        return Ok(found);
    }
    let instead = match &write.missing {
        Missing::Skip => return Ok(Found::Nothing),
        Missing::Refuse => None,
        Missing::Instead { file, value } => Some((*file, value.as_str())),
    };
    let second = || match instead {
        Some((file, value)) => Ok(attempt(file)?.map(|opened| Found::Instead(opened, file, value))),
        None => Ok(None),
    };
    if let Some(found) = second()? {
        return Ok(found);
    }
    enable(write)?;
    if let Some(found) = first(&write.file)? {
        return Ok(found);
    }
    match second()? {
        Some(found) => Ok(found),
        None => Err(Error::NoFile { field: write.field.clone(), file: dir.file(&write.file) }),
    }
}

fn put(dir: &Dir, write: &Write, file: &OwnedFd, value: &str) -> Result<(), Error> {
    rustix::io::write(file, value.as_bytes()).map(drop).map_err(|errno| refused(dir, write, errno))
}

fn refused(dir: &Dir, write: &Write, errno: Errno) -> Error {
    Error::Refused { field: write.field.clone(), file: dir.file(&write.file), value: write.value.clone(), errno }
}
