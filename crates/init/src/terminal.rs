//! The container's terminal: made in its own devpts, by descriptors alone.

use crate::fd::Fd;
use crate::hands::{At, Done, Failure, Hands};
use crate::mounts::{file_type, stat};
use crate::path::{self, Kind, Last, rest};
use crate::root::attach;
use core::mem::MaybeUninit;
use rt_sys::fd::standard;
use rt_wire::{Part, Step, Target};
use rustix::fd::AsFd;
use rustix::fs::{FileType, OFlags, Uid, fchown, fstatfs, makedev};
use rustix::io::{Errno, IoSlice};
use rustix::mount::{OpenTreeFlags, open_tree};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, unlockpt};
use rustix::termios::{OptionalActions, OutputModes, Winsize, tcgetattr, tcsetattr, tcsetwinsize};

/// linux/magic.h.
const DEVPTS_SUPER_MAGIC: i64 = 0x1cd1;

/// Make it, become its session, and hand its master over.
#[inline(never)]
pub(crate) fn make(hands: &Hands, step: Step<'_>) -> Done {
    let Step::Terminal { ptmx, socket, rows, columns, plain, uid } = step else {
        return Err(Failure { part: Part::Message, errno: Errno::BADMSG });
    };
    let flags = OFlags::RDWR | OFlags::NOCTTY;
    let master = path::open(hands.base(ptmx)?, rest(ptmx).c(), flags, Last::Follow).at(Part::Target)?;
    // An image can put anything there, and a terminal of somebody else's would be read by us (CVE-2024-21626's kin).
    let found = stat(&master)?;
    let real = file_type(&found) == FileType::CharacterDevice && found.st_rdev == makedev(5, 2);
    if !real || fstatfs(&master)?.f_type != DEVPTS_SUPER_MAGIC {
        return Err(Failure { part: Part::Verify, errno: Errno::NOTTY });
    }
    unlockpt(&master)?;
    let slave = ioctl_tiocgptpeer(&master, OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
    if (rows, columns) != (0, 0) {
        tcsetwinsize(&master, Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 })?;
    }
    if plain {
        let mut modes = tcgetattr(&slave)?;
        modes.output_modes.remove(OutputModes::ONLCR);
        tcsetattr(&slave, OptionalActions::Now, &modes)?;
    }
    // Its group is what the mount's options say.
    fchown(&slave, Some(Uid::from_raw(uid)), None).at(Part::Owner)?;
    send(hands, socket, &master).at(Part::Send)?;
    master.close();
    rustix::stdio::dup2_stdin(&slave)?;
    rustix::stdio::dup2_stdout(&slave)?;
    rustix::stdio::dup2_stderr(&slave)?;
    rustix::process::ioctl_tiocsctty(&slave).at(Part::Control)
}

/// A name goes with the descriptor, as runc sends it: receivers call their file by it.
fn send(hands: &Hands, socket: u8, master: &Fd) -> Result<(), Errno> {
    let socket = hands.inherited(socket)?;
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let rights = [master.as_fd()];
    if !control.push(SendAncillaryMessage::ScmRights(&rights)) {
        return Err(Errno::NOBUFS);
    }
    sendmsg(&socket, &[IoSlice::new(b"/dev/ptmx")], &mut control, SendFlags::NOSIGNAL)?;
    socket.close();
    Ok(())
}

/// Lay the terminal, which standard input is, on /dev/console.
#[inline(never)]
pub(crate) fn bind(hands: &Hands, target: Target<'_>) -> Done {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_EMPTY_PATH;
    let [terminal, ..] = standard();
    let tree = open_tree(terminal, c"", flags).map(Fd::from).at(Part::Source)?;
    let target = path::find_or_make(hands, target, Last::Follow, || Ok(Kind::File))?;
    attach(&tree, &target).at(Part::Attach)?;
    tree.leave();
    target.leave();
    Ok(())
}
