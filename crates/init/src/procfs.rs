//! Writes to procfs, through a mount that init made itself and holds. A path could be a symbolic link, or have
//! something mounted over it, and the kernel would write there (CVE-2019-16884, CVE-2025-52881).

use crate::fd::Fd;
use crate::hands::{At, Done, Failure, Hands};
use crate::mounts;
use crate::path::Buffer;
use rt_wire::{Part, Text};
use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};
use rustix::io::Errno;

pub(crate) fn open(hands: &mut Hands, hold: u8) -> Done {
    let procfs = mounts::new(Text::from(c"proc"), Text::from(c"proc"), 0xe, Text::default())?;
    Ok(hands.hold(hold, procfs)?)
}

/// Open a file of the held procfs for writing. `NO_XDEV`: what somebody mounted over it is not it.
fn file(hands: &Hands, proc: u8, path: &Buffer) -> Result<Fd, Errno> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_XDEV | ResolveFlags::NO_MAGICLINKS;
    loop {
        match openat2(hands.held(proc)?, path.c(), OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty(), resolve) {
            Err(Errno::AGAIN | Errno::INTR) => {}
            answer => return answer.map(Fd::from),
        }
    }
}

fn write(hands: &Hands, proc: u8, path: &[&[u8]], value: &[u8]) -> Done {
    let mut name = Buffer::new();
    for part in path {
        name.push(part).at(Part::Target)?;
    }
    let file = file(hands, proc, &name).at(Part::Target)?;
    // One write: the kernel takes these files' content whole or not at all.
    let len = rustix::io::write(&file, value)?;
    file.leave();
    if len == value.len() { Ok(()) } else { Err(Failure::from(Errno::IO)) }
}

pub(crate) fn sysctl(hands: &Hands, proc: u8, file: Text<'_>, value: Text<'_>) -> Done {
    write(hands, proc, &[b"sys/", file.bytes()], value.bytes())
}

#[inline(never)]
pub(crate) fn apparmor(hands: &Hands, proc: u8, profile: Text<'_>) -> Done {
    let mut command = Buffer::new();
    command.push(b"exec ")?;
    command.push(profile.bytes())?;
    let value = command.c().to_bytes();
    match write(hands, proc, &[b"self/attr/apparmor/exec"], value) {
        // Before 5.8 there is no directory of AppArmor's own.
        Err(Failure { part: Part::Target, errno: Errno::NOENT }) => write(hands, proc, &[b"self/attr/exec"], value),
        done => done,
    }
}

pub(crate) fn selinux(hands: &Hands, proc: u8, label: Text<'_>) -> Done {
    write(hands, proc, &[b"self/attr/exec"], label.bytes())
}
