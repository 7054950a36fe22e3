//! Make a container's cgroup and write everything into it, before anything is born there.

use crate::devices::Program;
use crate::error::Error;
use crate::files::{Dir, await_event, open, pids, prune, read, remove, says, write};
use crate::layout::{Hierarchy, Layout};
use crate::place::Place;
use crate::settings::Settings;
use crate::write::{Missing, Write};
use rt_plan::spec::resources::Resources;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{CWD, Mode, OFlags, mkdirat};
use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::time::{Duration, Instant};

/// A container's cgroup that is being made. Dropped before [`Cgroup::commit`], the directories that it made are
/// removed again; one that was there before (empty, and so reused) stays.
#[derive(Debug)]
pub struct Cgroup {
    place: Place,
    birth: Birth,
    made: Vec<String>,
}

/// What the container needs to be born in its cgroup.
#[derive(Debug, Default)]
pub struct Birth {
    /// The v2 directory for CLONE_INTO_CGROUP.
    pub into: Option<OwnedFd>,
    /// The `tasks` file of each v1 hierarchy, by the names of its controllers. The child writes `0` to each: that
    /// moves the writing thread alone, which is all there is, and does not wait as `cgroup.procs` does.
    pub tasks: Vec<(String, OwnedFd)>,
}

impl Cgroup {
    /// Make the directories, write the limits, put the device rules in force.
    ///
    /// On pure v2, with no limits, that is mkdir, open, two bpf(2) and a close. A controller that the cgroups above
    /// do not hand down is enabled when a limit needs it, and not before.
    ///
    /// # Errors
    /// Every variant but those about freezing; nothing is left behind.
    pub fn create(layout: &Layout, place: &Place, resources: &Resources) -> Result<Self, Error> {
        let settings = Settings::new(layout, resources)?;
        let mut cgroup = Self { place: place.clone(), birth: Birth::default(), made: Vec::new() };

        // First all directories, then the first write: one that is in use must not be touched anywhere.
        let v2 = cgroup.make_v2(layout, &settings)?;
        let mut v1 = Vec::new();
        if let Layout::Legacy { v1: hierarchies, .. } = layout {
            for hierarchy in hierarchies {
                v1.extend(cgroup.make_v1(hierarchy)?);
            }
        }

        check_v1(layout, &settings.v1)?;
        for (hierarchy, path, made) in v1 {
            if hierarchy.has("cpuset") {
                furnish_cpuset(&path, made, &hierarchy.mount, &settings.v1)?;
            }
            let mut writes = settings.v1.iter().filter(|write| hierarchy.has(&write.controller)).peekable();
            if writes.peek().is_some() {
                apply(&Dir::open(&path)?, writes, |_| Ok(()))?;
            }
            let tasks = format!("{path}/tasks");
            match open(CWD, &tasks, OFlags::WRONLY) {
                Ok(file) => cgroup.birth.tasks.push((hierarchy.controllers.join(","), file)),
                Err(errno) => return Err(Error::file("open", tasks, errno)),
            }
        }
        if let Some((hierarchy, dir)) = v2 {
            write_v2(hierarchy, &dir, &settings.v2)?;
            if let Some(program) = &settings.devices {
                guard(&dir, program)?;
            }
            cgroup.birth.into = Some(dir.fd);
        }
        Ok(cgroup)
    }

    /// Where it is, for the state file: without a v2 directory on a hybrid host whose v2 could not be used.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// The descriptors for the clone.
    pub fn birth(&self) -> &Birth {
        &self.birth
    }

    /// The container lives here now: leave everything where it is.
    pub fn commit(mut self) {
        self.made.clear();
    }

    /// What to say where clone3(2) would not let the container be born here.
    pub fn unborn(&self, errno: Errno) -> Error {
        let dir = self.place.dir("").unwrap_or_default().to_owned();
        let kind = self.birth.into.as_ref().and_then(|fd| read(fd.as_fd(), "cgroup.type").ok()).unwrap_or_default();
        let parent = |state: String, why| Error::Parent { dir: dir.clone(), state, why };
        match errno {
            Errno::OPNOTSUPP => parent(kind.trim().to_owned(), THREADED),
            Errno::BUSY => {
                parent(String::from("a parent with controllers of its own"), "no process can live beside its children")
            }
            Errno::AGAIN => Error::Refused {
                field: "linux.resources.pids.limit".into(),
                file: format!("{dir}/cgroup.procs"),
                value: "0".to_owned(),
                errno,
            },
            errno => Error::file("clone into", dir, errno),
        }
    }

    fn make_v2<'a>(&mut self, layout: &'a Layout, settings: &Settings) -> Result<Option<(&'a Hierarchy, Dir)>, Error> {
        let Some(hierarchy) = layout.unified() else { return Ok(None) };
        let Some(path) = self.place.dir("").map(str::to_owned) else { return Ok(None) };
        let optional = matches!(layout, Layout::Legacy { .. }) && settings.v2.is_empty() && settings.devices.is_none();
        let made = match self.make(&path, &hierarchy.mount) {
            // On a hybrid host it is a convenience: without a limit that is only there, v1 alone will do.
            Err(Error::File { .. }) if optional => {
                self.place.remove("");
                return Ok(None);
            }
            other => other?,
        };
        let dir = Dir::open(&path)?;
        if made == Made::Found {
            check_vacant(&path, "cgroup.freeze")?;
        }
        // A parent of our own making gets what is there, so that its containers can be accounted for.
        if made == Made::WithParents && matches!(layout, Layout::Unified(_)) {
            let _ = hand_down(&hierarchy.mount, parent(&path), &[], &ACCOUNTED);
        }
        Ok(Some((hierarchy, dir)))
    }

    fn make_v1<'a>(&mut self, hierarchy: &'a Hierarchy) -> Result<Option<(&'a Hierarchy, String, Made)>, Error> {
        let controller = hierarchy.controllers.first().map_or("", String::as_str);
        let Some(path) = self.place.dir(controller).map(str::to_owned) else { return Ok(None) };
        let made = self.make(&path, &hierarchy.mount)?;
        if made == Made::Found {
            check_vacant(&path, "freezer.self_freezing")?;
        }
        Ok(Some((hierarchy, path, made)))
    }

    /// mkdir(2), and the parents only when it says that they are missing.
    fn make(&mut self, path: &str, mount: &str) -> Result<Made, Error> {
        let mut parents = false;
        // A parent may be removed by another's `delete` as soon as it is made.
        for _ in 0..10 {
            match mkdirat(CWD, path, MODE) {
                Ok(()) => {
                    self.made.push(path.to_owned());
                    return Ok(if parents { Made::WithParents } else { Made::New });
                }
                Err(Errno::EXIST) => return Ok(Made::Found),
                Err(Errno::NOENT) => parents |= self.make_parents(path, mount)?,
                Err(errno) => return Err(Error::file("mkdir", path, errno)),
            }
        }
        Err(Error::file("mkdir", path, Errno::NOENT))
    }

    fn make_parents(&mut self, path: &str, mount: &str) -> Result<bool, Error> {
        let mut made = false;
        let slashes = path.char_indices().filter(|&(at, letter)| letter == '/' && at > mount.len());
        for (end, _) in slashes {
            let parent = &path[..end];
            match mkdirat(CWD, parent, MODE) {
                Ok(()) => {
                    self.made.push(parent.to_owned());
                    made = true;
                }
                Err(Errno::EXIST) => {}
                Err(errno) => return Err(Error::file("mkdir", parent, errno)),
            }
        }
        Ok(made)
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        for path in self.made.iter().rev() {
            // The child is dead by now, but may still be on its way out.
            if remove(CWD, path.as_str()) == Err(Errno::BUSY) {
                let _ = await_event(path, "populated", false, Instant::now() + Duration::from_secs(1));
                let _ = prune(path);
            }
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Made {
    New,
    WithParents,
    Found,
}

const MODE: Mode = Mode::from_raw_mode(0o755);

/// What containers are accounted by, as far as the host has it.
const ACCOUNTED: [&str; 4] = ["cpu", "io", "memory", "pids"];

const THREADED: &str = "a cgroup below a threaded one can hold threads only, not a container";

/// Refuse a cgroup that somebody else lives in, or that would stop the container at once.
fn check_vacant(path: &str, freezer: &str) -> Result<(), Error> {
    let populated = match read(CWD, &format!("{path}/cgroup.events")) {
        Ok(events) => says(&events, "populated"),
        // v1 has no such file.
        Err(_) => true,
    };
    if populated {
        let found = pids(path).map_err(|errno| Error::file("read", format!("{path}/cgroup.procs"), errno))?;
        if !found.is_empty() {
            return Err(Error::NotEmpty(found.len()));
        }
    }
    match read(CWD, &format!("{path}/{freezer}")) {
        Ok(frozen) if frozen.trim() == "1" => Err(Error::Frozen),
        _ => Ok(()),
    }
}

/// A limit whose controller no v1 hierarchy has.
fn check_v1(layout: &Layout, writes: &[Write]) -> Result<(), Error> {
    let homeless = |write: &&Write| write.missing != Missing::Skip && !layout.has_v1(&write.controller);
    match writes.iter().find(homeless) {
        None => Ok(()),
        Some(write) => Err(Error::NoController {
            field: write.field.clone(),
            controller: write.controller.clone(),
            place: "/proc/self/cgroup".to_owned(),
        }),
    }
}

pub(crate) fn write_v1(layout: &Layout, place: &Place, writes: &[Write]) -> Result<(), Error> {
    check_v1(layout, writes)?;
    let Layout::Legacy { v1, .. } = layout else { return Ok(()) };
    for hierarchy in v1 {
        let mut own = writes.iter().filter(|write| hierarchy.has(&write.controller)).peekable();
        let Some(first) = own.peek() else { continue };
        let Some(path) = place.dir(&first.controller) else { continue };
        apply(&Dir::open(path)?, own, |_| Ok(()))?;
    }
    Ok(())
}

/// The writes for v2. A file that is not there is a controller that is not handed down, until that has been tried.
pub(crate) fn write_v2(hierarchy: &Hierarchy, dir: &Dir, writes: &[Write]) -> Result<(), Error> {
    let mut tried = false;
    let mut enable = |write: &Write| {
        if std::mem::replace(&mut tried, true) || write.controller == "cgroup" {
            return Ok(());
        }
        let needed = writes.iter().filter(|write| write.missing != Missing::Skip && write.controller != "cgroup");
        let mut wanted: Vec<&str> = needed.map(|write| &*write.controller).collect();
        wanted.sort_unstable();
        wanted.dedup();
        hand_down(&hierarchy.mount, parent(&dir.path), &wanted, &ACCOUNTED).map_err(|refusal| match refusal {
            Refusal::Other(error) => error,
            Refusal::Missing { controller, place } => {
                let asking = writes.iter().find(|write| write.controller == controller);
                let field = asking.map_or("linux.resources".into(), |write| write.field.clone());
                Error::NoController { field, controller: controller.into(), place }
            }
        })
    };
    apply(dir, writes.iter(), &mut enable)
}

/// Write them in order; what the kernel finds invalid only because of an older value, again after the rest.
/// `enable` is asked once a file that is needed is missing.
fn apply<'a>(
    dir: &Dir,
    writes: impl Iterator<Item = &'a Write>,
    mut enable: impl FnMut(&Write) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut again = Vec::new();
    let mut opened: Option<(&str, OwnedFd)> = None;
    for write in writes {
        let name = write.checked_file()?;
        if opened.as_ref().is_none_or(|(last, _)| *last != name) {
            opened = None;
            match find(dir, write, &mut enable)? {
                Found::Own(file) => opened = Some((name, file)),
                Found::Instead(file, value) => {
                    put(dir, write, &file, value)?;
                    continue;
                }
                Found::Nothing => continue,
            }
        }
        let Some((_, file)) = &opened else { continue };
        match put(dir, write, file, &write.value) {
            Err(Error::Refused { errno: Errno::INVAL, .. }) => again.push(write),
            other => other?,
        }
    }
    for retry in again {
        self::write(dir.fd.as_fd(), retry.checked_file()?, &retry.value).map_err(|errno| refused(dir, retry, errno))?;
    }
    Ok(())
}

enum Found<'a> {
    Own(OwnedFd),
    Instead(OwnedFd, &'a str),
    Nothing,
}

/// The file for a write, or the one instead of it.
fn find<'a>(
    dir: &Dir,
    write: &'a Write,
    enable: &mut impl FnMut(&Write) -> Result<(), Error>,
) -> Result<Found<'a>, Error> {
    let attempt = |name: &str| match open(dir.fd.as_fd(), name, OFlags::WRONLY) {
        Ok(file) => Ok(Some(file)),
        Err(Errno::NOENT) => Ok(None),
        Err(errno) => Err(Error::file("open", dir.file(name), errno)),
    };
    let first = |name: &str| Ok(attempt(name)?.map(Found::Own));
    if let Some(found) = first(&write.file)? {
        return Ok(found);
    }
    let instead = match &write.missing {
        Missing::Skip => return Ok(Found::Nothing),
        Missing::Refuse => None,
        Missing::Instead { file, value } => Some((*file, value.as_str())),
    };
    let second = || match instead {
        Some((file, value)) => Ok(attempt(file)?.map(|file| Found::Instead(file, value))),
        None => Ok(None),
    };
    if let Some(found) = second()? {
        return Ok(found);
    }
    enable(write)?;
    if let Some(found) = first(&write.file)? {
        return Ok(found);
    }
    match second()? {
        Some(found) => Ok(found),
        None => Err(Error::NoFile { field: write.field.clone(), file: dir.file(&write.file) }),
    }
}

fn put(dir: &Dir, write: &Write, file: &OwnedFd, value: &str) -> Result<(), Error> {
    rustix::io::write(file, value.as_bytes()).map(drop).map_err(|errno| refused(dir, write, errno))
}

fn refused(dir: &Dir, write: &Write, errno: Errno) -> Error {
    Error::Refused { field: write.field.clone(), file: dir.file(&write.file), value: write.value.clone(), errno }
}

pub(crate) enum Refusal {
    Missing { controller: String, place: String },
    Other(Error),
}

/// Have the cgroup at `path` hand down controllers to its children, and first those above it to it. What is wanted
/// must be had; what is only wished for is left out where it is not there or not allowed.
fn hand_down(mount: &str, path: &str, wanted: &[&str], wished: &[&str]) -> Result<(), Refusal> {
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
    if let Some(name) = lacking(wanted, &controllers).first() {
        return Err(Refusal::Missing { controller: (*name).to_owned(), place: dir.file("cgroup.controllers") });
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

fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(parent, _)| parent)
}

/// A v1 cpuset is born without processors and memory nodes, and nothing can join it so: what is not asked for is
/// taken over from the parent, which may have none either.
fn furnish_cpuset(path: &str, made: Made, mount: &str, writes: &[Write]) -> Result<(), Error> {
    for file in ["cpuset.cpus", "cpuset.mems"] {
        if made == Made::Found {
            cpuset(path, mount, file)?;
            continue;
        }
        // Also where it is not needed: the kernel wants a parent to have what its child asks for.
        let inherited = cpuset(parent(path), mount, file)?;
        if !writes.iter().any(|write| write.file == file) {
            let whole = format!("{path}/{file}");
            write(CWD, &whole, inherited.trim()).map_err(|errno| Error::file("write", whole, errno))?;
        }
    }
    Ok(())
}

/// What a cgroup has of processors or memory nodes, taken over from its parent if it is nothing.
fn cpuset(path: &str, mount: &str, file: &str) -> Result<String, Error> {
    let whole = format!("{path}/{file}");
    let own = read(CWD, &whole).map_err(|errno| Error::file("read", whole.as_str(), errno))?;
    if !own.trim().is_empty() || path.len() <= mount.len() {
        return Ok(own);
    }
    let inherited = cpuset(parent(path), mount, file)?;
    write(CWD, &whole, inherited.trim()).map_err(|errno| Error::file("write", whole, errno))?;
    Ok(inherited)
}

/// Put the device program in force.
fn guard(dir: &Dir, program: &Program) -> Result<(), Error> {
    let failed = |doing, errno| Error::Devices { doing, dir: dir.path.clone(), errno };
    let loaded = match rt_sys::bpf::load_device_program(program.code()) {
        Err(Errno::PERM) => with_memory_to_lock(|| rt_sys::bpf::load_device_program(program.code())),
        other => other,
    };
    let loaded = loaded.map_err(|errno| failed("load the device program", errno))?;
    rt_sys::bpf::attach_device_program(dir.fd.as_fd(), loaded.as_fd())
        .map_err(|errno| failed("attach the device program", errno))
}

/// Before Linux 5.11 programs count as locked memory, 64 KiB of it for all of a user's. Raise that as far as we may,
/// and put it back, so that the container does not inherit it.
fn with_memory_to_lock<T>(load: impl Fn() -> Result<T, Errno>) -> Result<T, Errno> {
    let before = getrlimit(Resource::Memlock);
    let raised = Rlimit { current: None, maximum: None };
    if setrlimit(Resource::Memlock, raised).is_err() {
        let raised = Rlimit { current: before.maximum, maximum: before.maximum };
        setrlimit(Resource::Memlock, raised)?;
    }
    let loaded = load();
    setrlimit(Resource::Memlock, before)?;
    loaded
}
