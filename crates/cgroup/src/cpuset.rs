//! What a v1 cpuset needs before anything can join it.

use crate::create::Made;
use crate::error::Error;
use crate::files::{read, write};
use crate::place::parent;
use crate::write::Write;
use rustix::fs::CWD;

/// A v1 cpuset is born without processors and memory nodes, and nothing can join it so: what is not asked for is
/// taken over from the parent, which may have none either.
pub(crate) fn furnish(path: &str, made: Made, mount: &str, writes: &[Write]) -> Result<(), Error> {
    for file in ["cpuset.cpus", "cpuset.mems"] {
        if made == Made::Found {
            inherit(path, mount, file)?;
            continue;
        }
        // Also where it is not needed: the kernel wants a parent to have what its child asks for.
        let inherited = inherit(parent(path), mount, file)?;
        if !writes.iter().any(|write| write.file == file) {
            let whole = format!("{path}/{file}");
            write(CWD, &whole, inherited.trim()).map_err(|errno| Error::file("write", whole, errno))?;
        }
    }
    Ok(())
}

/// What a cgroup has of processors or memory nodes, taken over from its parent if it is nothing.
fn inherit(path: &str, mount: &str, file: &str) -> Result<String, Error> {
    let whole = format!("{path}/{file}");
    let own = read(CWD, &whole).map_err(|errno| Error::file("read", whole.as_str(), errno))?;
    if !own.trim().is_empty() || path.len() <= mount.len() {
        return Ok(own);
    }
    let inherited = inherit(parent(path), mount, file)?;
    write(CWD, &whole, inherited.trim()).map_err(|errno| Error::file("write", whole, errno))?;
    Ok(inherited)
}
