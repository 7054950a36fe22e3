//! What can go wrong, by what the user has to do about it.

use rt_plan::words;
use rustix::io::Errno;
use std::io;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// Why a command failed. Printed once, at the top.
#[derive(Debug, Error)]
pub enum Error {
    /// Fix the config.
    #[error(transparent)]
    Config(#[from] rt_plan::Error),
    /// Fix the config, or free the cgroup: the text says which.
    #[error(transparent)]
    Cgroup(#[from] rt_cgroup::Error),
    /// There is none of this name.
    #[error("container does not exist: \"{id}\" is not in {root}")]
    NoSuchContainer {
        /// The name.
        id: String,
        /// Where was looked.
        root: String,
    },
    /// Take another name, or delete the one that has it.
    #[error("container with given ID already exists: \"{0}\"")]
    Exists(String),
    /// Take a name of letters, digits, `_`, `+`, `-` and `.`.
    #[error("invalid container ID format: {0:?}: letters, digits and _+-. are allowed, and 255 of them")]
    InvalidId(String),
    /// What the container is doing does not allow it.
    #[error("{0}")]
    Forbidden(String),
    /// No signal has this name or number.
    #[error("unknown signal {0:?}")]
    UnknownSignal(String),
    /// The file system said no.
    #[error("{attempt} {path}: {answer}", path = .path.display(), answer = words(*.errno))]
    File {
        /// What was tried: `read`, `write`, …
        attempt: &'static str,
        /// On what.
        path: PathBuf,
        /// The kernel's answer.
        errno: i32,
    },
    /// A call that is not about a file said no.
    #[error("{attempt}: {answer}", answer = words(.errno.raw_os_error()))]
    Call {
        /// What was tried.
        attempt: &'static str,
        /// The kernel's answer.
        errno: Errno,
    },
    /// A file of ours does not read as one.
    #[error("{path}: {problem}; `delete --force` removes what is left of the container", path = .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// A value on the command line, or a file named there, that can't be used.
    #[error("{0}")]
    Usage(String),
    /// Init said which step failed. The step, the part of it, the kernel's answer.
    #[error("{0}")]
    Step(String),
    /// Init said nothing.
    #[error("the container's init {how} before it was ready (step unknown): {hint}")]
    InitGone {
        /// `was killed by signal 9`, …
        how: String,
        /// What may have been the reason.
        hint: &'static str,
    },
    /// clone3(2) said no.
    #[error("{attempt}: {answer}", answer = words(.errno.raw_os_error()))]
    NotBorn {
        /// What was asked of it.
        attempt: &'static str,
        /// The kernel's answer.
        errno: Errno,
    },
    /// A hook did not do what it is for. runc's words, which callers look for.
    #[error("{0}")]
    Hook(String),
    /// Run rt with more rights.
    #[error("operation not permitted: a container needs {0}, which this process does not have; run rt as root")]
    Right(&'static str),
    /// A namespace to join is not one, or not of the kind that the config says.
    #[error("config.json: linux.namespaces: {path} {problem}")]
    Namespace {
        /// The path.
        path: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The container's processes did not leave in time.
    #[error(
        "container \"{id}\": its process {pid} has not left {seconds} s after SIGKILL; it waits in the kernel. Try again later"
    )]
    StillThere {
        /// The container.
        id: String,
        /// Its process.
        pid: i32,
        /// How long was waited.
        seconds: u64,
    },
}

impl Error {
    pub(crate) fn call(attempt: &'static str) -> impl Fn(Errno) -> Self {
        move |errno| Self::Call { attempt, errno }
    }

    pub(crate) fn forbidden(text: impl Into<String>) -> Self {
        Self::Forbidden(text.into())
    }
}

/// Names what was tried on which file.
pub(crate) trait On<T> {
    fn on(self, attempt: &'static str, path: impl AsRef<Path>) -> Result<T, Error>;
}

impl<T> On<T> for Result<T, Errno> {
    fn on(self, attempt: &'static str, path: impl AsRef<Path>) -> Result<T, Error> {
        self.map_err(|errno| Error::File { attempt, path: path.as_ref().to_owned(), errno: errno.raw_os_error() })
    }
}

impl<T> On<T> for io::Result<T> {
    fn on(self, attempt: &'static str, path: impl AsRef<Path>) -> Result<T, Error> {
        self.map_err(|error| Error::File {
            attempt,
            path: path.as_ref().to_owned(),
            errno: error.raw_os_error().unwrap_or(Errno::IO.raw_os_error()),
        })
    }
}
