//! Which controllers a v2 cgroup hands down to its children: `cgroup.subtree_control`.

use crate::error::Error;
use crate::files::{Dir, read, write};
use crate::place::parent;
use rustix::fd::AsFd;
use rustix::io::Errno;

/// What containers are accounted by, as far as the host has it.
pub(crate) const ACCOUNTED: [&str; 4] = ["cpu", "io", "memory", "pids"];

pub(crate) const THREADED: &str = "a cgroup below a threaded one can hold threads only, not a container";

/// Why a controller was not handed down.
pub(crate) enum Refusal {
    /// No cgroup on the way up has it. The file that says so.
    Missing { place: String },
    /// It is there, but will not go down.
    Other(Error),
}

/// Have the cgroup at `path` hand down controllers to its children, and first those above it to it. What is wanted
/// must be had; what is only wished for is left out where it is not there or not allowed.
pub(crate) fn hand_down(mount: &str, path: &str, wanted: &[&str], wished: &[&str]) -> Result<(), Refusal> {
    let dir = Dir::open(path).map_err(Refusal::Other)?;
    let own = || {
        let text = read(dir.fd.as_fd(), "cgroup.controllers");
        text.map_err(|errno| Refusal::Other(Error::file("read", dir.file("cgroup.controllers"), errno)))
    };
    let mut controllers = own()?;
    let (wanted_above, wished_above) = (lacking(wanted, &controllers), lacking(wished, &controllers));
    if path.len() > mount.len() && !(wanted_above.is_empty() && wished_above.is_empty()) {
        hand_down(mount, parent(path), &wanted_above, &wished_above)?;
        controllers = own()?;
    }
    if !lacking(wanted, &controllers).is_empty() {
        return Err(Refusal::Missing { place: dir.file("cgroup.controllers") });
    }
    let missing = lacking(wished, &controllers);
    let mut both = wanted.to_vec();
    both.extend(wished.iter().filter(|name| !wanted.contains(name) && !missing.contains(name)));
    let enable = |names: &[&str]| match names.is_empty() {
        true => Ok(()),
        false => write(dir.fd.as_fd(), "cgroup.subtree_control", &format!("+{}", names.join(" +"))),
    };
    let Err(_) = enable(&both) else { return Ok(()) };
    enable(wanted).map_err(|errno| Refusal::Other(unwilling(&dir, errno)))
}

/// The names that are not among the controllers.
fn lacking<'a>(names: &[&'a str], controllers: &str) -> Vec<&'a str> {
    names.iter().copied().filter(|name| !controllers.split_whitespace().any(|own| own == *name)).collect()
}

/// Why a cgroup hands nothing down.
fn unwilling(dir: &Dir, errno: Errno) -> Error {
    match errno {
        Errno::BUSY => Error::Parent {
            dir: dir.path.clone(),
            state: "home to processes".to_owned(),
            why: "the kernel then gives no limits to the cgroups below it",
        },
        Errno::OPNOTSUPP => Error::Parent {
            dir: dir.path.clone(),
            state: read(dir.fd.as_fd(), "cgroup.type").unwrap_or_default().trim().to_owned(),
            why: THREADED,
        },
        errno => Error::file("write", dir.file("cgroup.subtree_control"), errno),
    }
}
