//! `delete`: nothing of the container stays.

use crate::create::mount_id;
use crate::error::On;
use crate::status::process;
use crate::store::{Directory, HostMounts};
use crate::{Container, Error, Id, Record, Status, Store, hooks, observe};
use rt_cgroup::Existing;
use rt_cgroup::systemd::Unit;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd, BorrowedFd};
use rustix::mount::{UnmountFlags, unmount};
use rustix::process::{Signal, pidfd_send_signal};

/// Whether a container that runs is killed first, and one that is not there is fine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Force {
    /// `delete`.
    No,
    /// `delete --force`.
    Yes,
}

/// How long a killed process may take to leave. A core dump or a dying network file system takes its time.
const LEAVING_SECONDS: u64 = 10;

/// Remove a container that has stopped, or was created and never started; with force, any. `say` gets what poststop hooks
/// did not do.
///
/// # Errors
/// [`Error::Forbidden`] for one that runs, [`Error::NoSuchContainer`] without force.
pub fn delete(store: &Store, id: &Id, force: Force, say: impl Fn(&str)) -> Result<(), Error> {
    let directory = match store.enter(id) {
        Err(Error::NoSuchContainer { .. }) if force == Force::Yes => return Ok(()),
        directory => directory?,
    };
    let record = match directory.load(id) {
        Ok(record) => record,
        // Killed before it could write what it was about to do: there is nothing but the directory.
        Err(error @ Error::NoSuchContainer { .. }) => {
            directory.remove()?;
            return if force == Force::Yes { Ok(()) } else { Err(error) };
        }
        // Its cgroup is not known any more; all that can be done is to give the name back.
        Err(Error::Damaged { .. }) if force == Force::Yes => return directory.remove(),
        Err(error) => return Err(error),
    };
    let container = Container { directory, record };
    let observed = observe(&container)?;
    let Container { directory, record } = container;
    match observed.status {
        Status::Stopped | Status::Created => {}
        _ if force == Force::Yes => {}
        status => return Err(Error::forbidden(format!("cannot delete container {id} that is not stopped: {status}"))),
    }
    if let Some(pidfd) = &observed.pidfd {
        kill_and_wait(id, &record, pidfd.as_fd())?;
    }
    clear(&directory, &record, say)
}

/// What is left once the container's first process is gone; and its poststop hooks, whose failure stops nothing.
pub(crate) fn clear(directory: &Directory, record: &Record, say: impl Fn(&str)) -> Result<(), Error> {
    let cgroup = Existing::open(&record.cgroup_paths);
    // A pid namespace of its own has taken its processes along; and a creation that was killed left who knows what.
    if !record.rt.own_pids || record.init_process_pid == 0 {
        cgroup.kill_all()?;
    }
    if let Some(mounts) = record.rt.mounts {
        unmount_root(&record.rt.rootfs, mounts)?;
    }
    let stopped = record.rt.unit.as_ref().map_or(Ok(()), Unit::stop);
    cgroup.remove()?;
    // Its cgroup is gone, so the container is: a systemd that is not to be reached has nothing left to do.
    stopped.unwrap_or_else(|error| say(&error.to_string()));
    directory.remove()?;
    match record.rt.hooks.as_deref().map(hooks::parse).transpose() {
        Ok(kept) => {
            let poststop = kept.map(|hooks| hooks.poststop).unwrap_or_default();
            hooks::run_all("poststop", &poststop, record, |error| say(&error.to_string()));
        }
        Err(error) => say(&error.to_string()),
    }
    Ok(())
}

pub(crate) fn kill_and_wait(id: &Id, record: &Record, pidfd: BorrowedFd<'_>) -> Result<(), Error> {
    let cgroup = Existing::open(&record.cgroup_paths);
    match pidfd_send_signal(pidfd, Signal::KILL) {
        Ok(()) | Err(rustix::io::Errno::SRCH) => {}
        Err(errno) => return Err(Error::Call { attempt: "kill the container", errno }),
    }
    if cgroup.is_frozen().unwrap_or(false) {
        // On cgroup v1 nothing frozen dies.
        cgroup.thaw()?;
    }
    wait_for(id, record, pidfd)
}

/// Until the process is gone: an event, not a sleep.
fn wait_for(id: &Id, record: &Record, pidfd: BorrowedFd<'_>) -> Result<(), Error> {
    let mut wait = [PollFd::new(&pidfd, PollFlags::IN)];
    let limit = Timespec { tv_sec: LEAVING_SECONDS.cast_signed(), tv_nsec: 0 };
    match rustix::io::retry_on_intr(|| poll(&mut wait, Some(&limit))) {
        Ok(0) if process(record)?.is_some() => {
            Err(Error::StillThere { id: id.to_string(), pid: record.init_process_pid, seconds: LEAVING_SECONDS })
        }
        Ok(_) => Ok(()),
        Err(errno) => Err(Error::Call { attempt: "wait for the container's process", errno }),
    }
}

/// Take the tree of mounts off the root file system, if it is the one that the container laid there.
pub(crate) fn unmount_root(root: &str, mounts: HostMounts) -> Result<(), Error> {
    let now = mount_id(root);
    let ours = match mounts.own {
        Some(own) => now == Some(own),
        // Its creation did not get as far as to say.
        None => now.is_some() && now != mounts.before,
    };
    if ours { unmount(root, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW).on("unmount", root) } else { Ok(()) }
}
