//! A hook: a program that is run to its end, with a text to read, a time limit, and its last words kept.
//!
//! One function for the parent, which runs the hooks of the host's side, and for init, which runs those of the
//! container's and has no heap.

use crate::clone::{self, Child, Failure, Group, Program, Spawn};
use crate::exec::Words;
use crate::raw::syscall3;
use core::ffi::CStr;
use linux_raw_sys::general::{__NR_clock_gettime, CLOCK_MONOTONIC};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd, BorrowedFd};
use rustix::fs::{OFlags, SeekFrom, fcntl_setfl, seek};
use rustix::io::{Errno, read};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Signal, WaitId, WaitIdOptions, WaitIdStatus, kill_process_group, waitid};

/// What is run, and how.
pub struct Command<'a> {
    /// The program.
    pub path: &'a CStr,
    /// Its argument vector.
    pub args: &'a Words<'a>,
    /// Its whole environment.
    pub env: &'a Words<'a>,
    /// Its working directory; none: the caller's.
    pub directory: Option<BorrowedFd<'a>>,
    /// A file that it reads from its beginning.
    pub input: BorrowedFd<'a>,
    /// Where its standard output goes; none: to its last words.
    pub output: Option<BorrowedFd<'a>>,
    /// Where its standard error goes; none: to its last words.
    pub errors: Option<BorrowedFd<'a>>,
    /// How long it may take.
    pub seconds: Option<u32>,
    /// Signals that the caller ignores (bit 0 is signal 1), which it is not to inherit.
    pub ignored: u64,
    /// A seccomp filter and its flags.
    pub filter: Option<(&'a [u8], u32)>,
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It left with this status.
    Exited(i32),
    /// This signal ended it.
    Killed(i32),
    /// It took too long: it was killed, with its process group.
    Late,
}

/// The last of what a program has said.
pub struct Tail {
    bytes: [u8; Self::LEN],
    len: usize,
}

impl Tail {
    /// Bytes that are kept.
    pub const LEN: usize = 480;

    /// Nothing yet.
    pub const fn new() -> Self {
        Self { bytes: [0; Self::LEN], len: 0 }
    }

    /// What was said last.
    pub fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    /// Once what there is to read has been read: whether there can be more.
    fn read(&mut self, from: BorrowedFd<'_>) -> bool {
        let mut chunk = [0u8; Self::LEN];
        loop {
            match read(from, &mut chunk) {
                Ok(0) => return false,
                Ok(len) => self.push(chunk.get(..len).unwrap_or_default()),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return true,
                Err(_) => return false,
            }
        }
    }

    /// `more` is never longer than what is kept.
    fn push(&mut self, more: &[u8]) {
        let surplus = (self.len + more.len()).saturating_sub(Self::LEN);
        if surplus > 0 {
            self.bytes.copy_within(surplus..self.len, 0);
            self.len -= surplus;
        }
        if let Some(room) = self.bytes.get_mut(self.len..self.len + more.len()) {
            room.copy_from_slice(more);
            self.len += more.len();
        }
    }
}

impl Default for Tail {
    fn default() -> Self {
        Self::new()
    }
}

/// Run it to its end. Nothing that it says blocks it, and nothing that it leaves behind blocks us: what a child of its
/// says after its end is lost.
pub fn run(command: &Command<'_>, tail: &mut Tail) -> Result<End, Errno> {
    let (ours, theirs) = pipe_with(PipeFlags::CLOEXEC)?;
    // Our end alone: the other is an open file of its own, which the hook may expect to block.
    fcntl_setfl(&ours, OFlags::NONBLOCK)?;
    seek(command.input, SeekFrom::Start(0))?;
    let said = theirs.as_fd();
    let spawned = clone::spawn(&Spawn {
        namespaces: 0,
        cgroup: None,
        program: Program::Path(command.path),
        args: command.args,
        env: command.env,
        directory: command.directory,
        group: Group::Own,
        stdio: Some([command.input, command.output.unwrap_or(said), command.errors.unwrap_or(said)]),
        keep: &[],
        ignored: command.ignored,
        filter: command.filter,
        oom_score: &[],
        carry_capabilities: false,
    });
    drop(theirs);
    let child = spawned.map_err(|failure| match failure {
        Failure::Clone(errno) | Failure::Exec(errno) => errno,
    })?;
    let in_time = until_end(&child, ours.as_fd(), command.seconds, tail)?;
    if !in_time {
        let _ = kill_process_group(child.pid, Signal::KILL);
    }
    let status = rustix::io::retry_on_intr(|| waitid(WaitId::PidFd(child.pidfd.as_fd()), WaitIdOptions::EXITED))?;
    tail.read(ours.as_fd());
    Ok(if in_time { status.as_ref().map_or(End::Exited(0), end) } else { End::Late })
}

fn end(status: &WaitIdStatus) -> End {
    match (status.exit_status(), status.terminating_signal()) {
        (_, Some(signal)) => End::Killed(signal),
        (status, None) => End::Exited(status.unwrap_or(0)),
    }
}

/// Listen until the process is gone. `false` if it is not when its time is over.
fn until_end(child: &Child, said: BorrowedFd<'_>, seconds: Option<u32>, tail: &mut Tail) -> Result<bool, Errno> {
    let deadline = seconds.map(|seconds| deadline(seconds.saturating_mul(1000)));
    let mut open = true;
    loop {
        let left = deadline.map(remaining);
        let mut waits = [PollFd::new(&child.pidfd, PollFlags::IN), PollFd::new(&said, PollFlags::IN)];
        let watched = if open { &mut waits[..] } else { &mut waits[..1] };
        match poll(watched, left.as_ref()) {
            Ok(0) => return Ok(false),
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
        let [ended, spoke] = waits.each_ref().map(|wait| !wait.revents().is_empty());
        if spoke && open {
            open = tail.read(said);
        }
        if ended {
            return Ok(true);
        }
    }
}

/// clock_gettime(2), CLOCK_MONOTONIC, as a plain call: the library's way through the vdso is 3 KiB of init.
fn now() -> Timespec {
    let mut now = Timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the kernel writes two 64-bit numbers, which is what `Timespec` is. It can't fail.
    let _ = unsafe { syscall3(__NR_clock_gettime, CLOCK_MONOTONIC as usize, (&raw mut now).addr(), 0) };
    now
}

/// The moment `milliseconds` from now.
pub fn deadline(milliseconds: u32) -> Timespec {
    let Timespec { tv_sec, tv_nsec } = now();
    let nanoseconds = tv_nsec + i64::from(milliseconds % 1000) * 1_000_000;
    let seconds = i64::from(milliseconds / 1000) + nanoseconds / 1_000_000_000;
    Timespec { tv_sec: tv_sec.saturating_add(seconds), tv_nsec: nanoseconds % 1_000_000_000 }
}

/// How long it is until then: nothing, once it has passed.
pub fn remaining(deadline: Timespec) -> Timespec {
    let now = now();
    let (mut seconds, mut nanoseconds) = (deadline.tv_sec - now.tv_sec, deadline.tv_nsec - now.tv_nsec);
    if nanoseconds < 0 {
        seconds -= 1;
        nanoseconds += 1_000_000_000;
    }
    if seconds < 0 { Timespec { tv_sec: 0, tv_nsec: 0 } } else { Timespec { tv_sec: seconds, tv_nsec: nanoseconds } }
}
