//! A seccomp agent: who is asked what becomes of a system call (`SCMP_ACT_NOTIFY`).
#![allow(unsafe_code)] // Two ioctls, which have no safe form.

use std::{
    os::fd::{AsFd, AsRawFd, OwnedFd},
    path::Path,
};

use nix::libc::{seccomp_notif, seccomp_notif_resp};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde_json::Value;

use crate::Listener;

/// Nobody is kept waiting longer, in seconds.
const PATIENCE: i64 = 10;
/// `SECCOMP_USER_NOTIF_FLAG_CONTINUE`
const CONTINUE: u32 = 1;

/// An agent that listens at `listenerPath`.
pub struct Agent(Listener);

/// What it is given for one process: the state, and the listener of the process's filter.
pub struct Watch {
    /// The text of the message.
    pub state: Value,
    listener: OwnedFd,
}

/// What becomes of a call.
#[derive(Clone, Copy, Debug)]
pub enum Ruling {
    /// It fails.
    Errno(i32),
    /// It is not made, and has this result.
    Value(i64),
    /// It is made.
    Continue,
}

/// A call that waits.
#[derive(Debug)]
pub struct Asked {
    /// The number of the system call.
    pub number: i32,
    /// Its arguments.
    pub args: [u64; 6],
    /// The process, as the agent knows it.
    pub pid: u32,
    id: u64,
}

impl Agent {
    /// Listen.
    #[track_caller]
    pub fn at(path: &Path) -> Self {
        Self(Listener::at(path))
    }

    /// The next process to watch over: one message with one descriptor.
    #[track_caller]
    pub fn watch(&self) -> Watch {
        let mut message = self.0.message();
        let state = serde_json::from_str(&message.text).unwrap_or_else(|error| panic!("{error}: {}", message.text));
        assert_eq!(message.descriptors.len(), 1, "{message:?}");
        Watch { state, listener: message.descriptors.pop().expect("there is one") }
    }

    /// Has nobody connected?
    pub fn is_unused(&self) -> bool {
        self.0.is_unused()
    }
}

nix::ioctl_readwrite!(receive, b'!', 0, seccomp_notif);
nix::ioctl_readwrite!(send, b'!', 1, seccomp_notif_resp);

impl Watch {
    /// The next call that waits; None when nobody is left who could make one.
    #[track_caller]
    pub fn next(&self) -> Option<Asked> {
        let mut polled = [PollFd::new(&self.listener, PollFlags::IN)];
        let limit = Timespec { tv_sec: PATIENCE, tv_nsec: 0 };
        let ready = poll(&mut polled, Some(&limit)).expect("it can be polled");
        assert_eq!(ready, 1, "waited too long for a system call");
        if !polled[0].revents().contains(PollFlags::IN) {
            return None;
        }
        // SAFETY: numbers only, for which zero is a value; the kernel wants them to be zero.
        let mut asked: seccomp_notif = unsafe { std::mem::zeroed() };
        // SAFETY: the kernel writes a `seccomp_notif`, which it is.
        let received = unsafe { receive(self.listener.as_fd().as_raw_fd(), &raw mut asked) };
        // ENOENT: whoever asked has died meanwhile.
        received.ok()?;
        Some(Asked { number: asked.data.nr, args: asked.data.args, pid: asked.pid, id: asked.id })
    }

    /// The next call, which must come.
    #[track_caller]
    pub fn asked(&self) -> Asked {
        self.next().expect("somebody makes a system call")
    }

    /// Say what becomes of it. One that does not wait any more is none of our business.
    pub fn rule(&self, asked: &Asked, ruling: Ruling) {
        let (error, val, flags) = match ruling {
            Ruling::Errno(errno) => (-errno, 0, 0),
            Ruling::Value(value) => (0, value, 0),
            Ruling::Continue => (0, 0, CONTINUE),
        };
        let mut answer = seccomp_notif_resp { id: asked.id, val, error, flags };
        // SAFETY: the kernel reads a `seccomp_notif_resp`, which it is.
        let _ = unsafe { send(self.listener.as_fd().as_raw_fd(), &raw mut answer) };
    }

    /// Say the same of every call, until nobody is left who could make one. How many there were.
    #[track_caller]
    pub fn rule_all(&self, ruling: Ruling) -> usize {
        let mut count = 0;
        while let Some(asked) = self.next() {
            self.rule(&asked, ruling);
            count += 1;
        }
        count
    }
}
