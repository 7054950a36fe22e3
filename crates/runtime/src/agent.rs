//! The agent that a seccomp filter's calls are left to: it gets the filter's listener, and who it is for.

use crate::error::On;
use crate::terminal::connect;
use crate::{Error, Record, hooks};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::IoSlice;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use rustix::process::{PidfdGetfdFlags, pidfd_getfd};
use serde::Serialize;
use serde_json::value::RawValue;
use std::mem::MaybeUninit;
use std::path::{Path, PathBuf};

/// An agent that listens.
pub(crate) struct Agent {
    socket: OwnedFd,
    path: PathBuf,
    metadata: String,
    record: Record,
    /// What the container is doing.
    status: &'static str,
}

/// What it is told: config-linux.md, "The Container Process State".
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ContainerProcessState<'a> {
    oci_version: &'a str,
    fds: [&'static str; 1],
    pid: i32,
    #[serde(skip_serializing_if = "str::is_empty")]
    metadata: &'a str,
    state: Box<RawValue>,
}

impl Agent {
    /// Connect to `listenerPath`: before the process is there, so that one without its agent is never made.
    pub(crate) fn connect(path: &str, metadata: &str, record: &Record, status: &'static str) -> Result<Self, Error> {
        let path = Path::new(path);
        let socket = connect("connect to linux.seccomp.listenerPath", path)?;
        Ok(Self { socket, path: path.to_owned(), metadata: metadata.to_owned(), record: record.clone(), status })
    }

    /// Take descriptor `number` out of the process and hand it over. `of` is the container's first process.
    pub(crate) fn tell(&self, pidfd: BorrowedFd<'_>, pid: i32, number: i32, of: i32) -> Result<(), Error> {
        let listener = pidfd_getfd(pidfd, number, PidfdGetfdFlags::empty())
            .map_err(Error::call("take the seccomp listener from the container's process"))?;
        let state = hooks::state(&self.record, self.status, of);
        let state = RawValue::from_string(String::from_utf8_lossy(&state).into_owned());
        let state = state.unwrap_or_else(|_| unreachable!("it was just made"));
        let told = ContainerProcessState {
            oci_version: &self.record.rt.oci_version,
            fds: ["seccompFd"],
            pid,
            metadata: &self.metadata,
            state,
        };
        let told = serde_json::to_vec(&told).unwrap_or_default();
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let rights = [listener.as_fd()];
        control.push(SendAncillaryMessage::ScmRights(&rights));
        // One message, however long: runtimes and agents agree on that. A socket takes far more than this at once.
        let sent = sendmsg(&self.socket, &[IoSlice::new(&told)], &mut control, SendFlags::NOSIGNAL);
        sent.map(drop).on("send the seccomp listener to", &self.path)
    }
}
