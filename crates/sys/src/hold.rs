//! A child that does nothing but be there, for as long as somebody needs a process.

use crate::clone::clone3;
use crate::exec::exit;
use linux_raw_sys::general::{CLONE_PIDFD, SIGCHLD, clone_args};
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use rustix::io::{Errno, read, retry_on_intr};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, pidfd_send_signal, waitid};

/// A process of ours that waits for its end: killed and reaped when this is dropped, and gone by itself when we are.
#[derive(Debug)]
pub struct Holder {
    pid: Pid,
    pidfd: OwnedFd,
    /// It reads the other end: end of file is our end.
    _lifeline: OwnedFd,
}

/// What the child needs, in its copy of our memory.
struct Ends {
    theirs: i32,
    ours: i32,
}

impl Holder {
    /// Make it: a fork, because it has to live beside us.
    ///
    /// # Errors
    /// pipe2(2), clone3(2).
    pub fn new() -> Result<Self, Errno> {
        let (theirs, ours) = pipe_with(PipeFlags::CLOEXEC)?;
        let ends = Ends { theirs: theirs.as_raw_fd(), ours: ours.as_raw_fd() };
        let mut pidfd = -1i32;
        let args = clone_args {
            flags: u64::from(CLONE_PIDFD),
            pidfd: (&raw mut pidfd).addr() as u64,
            child_tid: 0,
            parent_tid: 0,
            exit_signal: u64::from(SIGCHLD),
            stack: 0,
            stack_size: 0,
            tls: 0,
            set_tid: 0,
            set_tid_size: 0,
            cgroup: 0,
        };
        // SAFETY: without CLONE_VM the child has a copy of our stack, and all else, for itself; `wait` makes system calls
        // only.
        let pid = unsafe { clone3(&args, wait, (&raw const ends).cast()) }?;
        let pid = Pid::from_raw(pid as i32).ok_or(Errno::CHILD)?;
        // SAFETY: the kernel wrote a fresh descriptor into `pidfd` and nobody else has it.
        let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
        Ok(Self { pid, pidfd, _lifeline: ours })
    }

    /// Its number.
    pub fn pid(&self) -> Pid {
        self.pid
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = pidfd_send_signal(&self.pidfd, Signal::KILL);
        let _ = retry_on_intr(|| waitid(WaitId::PidFd(self.pidfd.as_fd()), WaitIdOptions::EXITED));
    }
}

/// The child's whole life.
extern "C" fn wait(ends: *const ()) -> ! {
    // SAFETY: `new` passed an `Ends`, and this is a copy of its memory that nobody changes.
    let ends = unsafe { &*ends.cast::<Ends>() };
    // SAFETY: our copy of the descriptor that the parent keeps; nothing of ours uses it.
    drop(unsafe { OwnedFd::from_raw_fd(ends.ours) });
    // SAFETY: our copy of the parent's, open until we leave.
    let theirs = unsafe { BorrowedFd::borrow_raw(ends.theirs) };
    let mut nothing = [0u8; 1];
    while read(theirs, &mut nothing).is_err_and(|errno| errno == Errno::INTR) {}
    exit(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::process::test_kill_process;

    #[test]
    fn it_is_there_until_it_is_dropped() {
        let holder = Holder::new().expect("a process");
        let pid = holder.pid();
        assert_eq!(test_kill_process(pid), Ok(()));
        drop(holder);
        assert_eq!(test_kill_process(pid), Err(Errno::SRCH));
    }
}
