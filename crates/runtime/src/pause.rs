//! `pause` and `resume`: every process of a container stands still, and goes on.

use crate::{Error, Id, Status, Store, observe};
use rt_cgroup::Existing;

/// Stop every process of the container. Returns when all of them stand still.
///
/// # Errors
/// [`Error::Forbidden`] in runc's words for one that does not run, or is paused already; [`Error::Cgroup`].
pub fn pause(store: &Store, id: &Id) -> Result<(), Error> {
    let container = store.find(id)?;
    match observe(&container)?.status {
        Status::Created | Status::Running => Ok(Existing::open(&container.record.cgroup_paths).freeze()?),
        Status::Creating | Status::Paused | Status::Stopped => Err(Error::forbidden("container not running")),
    }
}

/// Let them go on.
///
/// # Errors
/// [`Error::Forbidden`] in runc's words for one that is not paused; [`Error::Cgroup`].
pub fn resume(store: &Store, id: &Id) -> Result<(), Error> {
    let container = store.find(id)?;
    match observe(&container)?.status {
        Status::Paused => Ok(Existing::open(&container.record.cgroup_paths).thaw()?),
        _ => Err(Error::forbidden("container not paused")),
    }
}
