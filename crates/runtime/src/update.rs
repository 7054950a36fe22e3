//! `update`: other limits for a container that is there.

use crate::error::On;
use crate::read::read_all;
use crate::{Error, Id, Status, Store, observe};
use rt_cgroup::{Existing, Layout};
use rt_plan::spec::LONGEST;
use rt_plan::spec::resources::Resources;
use std::fs::File;
use std::path::Path;

/// Change what `resources` names, and leave the rest. All of it is changed, or nothing.
///
/// # Errors
/// [`Error::Forbidden`] in runc's words for one that has stopped; [`Error::Cgroup`] for what can't be had.
pub fn update(store: &Store, id: &Id, resources: &Resources) -> Result<(), Error> {
    let mut container = store.find(id)?;
    if matches!(observe(&container)?.status, Status::Creating | Status::Stopped) {
        return Err(Error::forbidden("container not running"));
    }
    let record = &mut container.record;
    let existing = Existing::open(&record.cgroup_paths);
    let asked = existing.update(&Layout::probe()?, resources, record.rt.asked, record.rt.unit.as_ref())?;
    if asked == record.rt.asked {
        return Ok(());
    }
    record.rt.asked = asked;
    container.directory.save(record)
}

/// `linux.resources` from a file, or, for `-`, from standard input.
///
/// # Errors
/// [`Error::File`]; [`Error::Usage`] for what is no JSON of resources.
pub fn read_resources(path: &Path) -> Result<Resources, Error> {
    let file = match path.as_os_str() == "-" {
        true => rustix::io::dup(std::io::stdin()).map(File::from).on("open", path),
        false => File::open(path).on("open", path),
    };
    let bytes = read_all(&mut file?, 4 << 10, LONGEST).on("read", path)?;
    let resources = serde_json::from_slice(&bytes).map_err(|error| error.to_string());
    // A list would do for serde, its values in the order of the fields.
    let problem = match resources {
        Ok(resources) if bytes.trim_ascii_start().starts_with(b"{") => return Ok(resources),
        Ok(_) => "not an object".to_owned(),
        Err(problem) => problem,
    };
    Err(Error::Usage(format!("resources of {}: {problem}", path.display())))
}
