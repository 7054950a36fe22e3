//! Make a container's cgroup and write everything into it, before anything is born there.

use crate::apply::{apply, check_v1, write_v2};
use crate::controllers::{ACCOUNTED, THREADED, hand_down};
use crate::cpuset;
use crate::devices::Program;
use crate::error::Error;
use crate::existing::{LEAVING, clear};
use crate::files::{Dir, open, pids, read, remove, says, write};
use crate::layout::{Hierarchy, Layout};
use crate::place::{Place, parent};
use crate::settings::Settings;
use crate::systemd::{Property, Scope, Systemd, properties};
use rt_plan::spec::resources::Resources;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{CWD, Mode, OFlags, mkdirat};
use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::time::Instant;

/// A container's cgroup that is being made. Dropped before [`Cgroup::commit`], the directories that it made are
/// removed again. One that was there before, empty, is used and stays (with the limits written so far): it is
/// somebody's, who may have set limits of their own. Like runc's, a later `delete` removes that one too.
#[derive(Debug)]
pub struct Cgroup {
    place: Place,
    birth: Birth,
    /// What is ours alone, with all that may be in it.
    made: Vec<String>,
    /// What we made on the way there, and others may use by now.
    parents: Vec<String>,
    /// The device program in a directory that stays.
    program: Option<OwnedFd>,
    /// Who has made it, where we have not.
    scope: Option<Scope>,
    /// What `pids.max` will be once there is one process less.
    tasks: Option<String>,
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
    /// None: the container stays in the caller's, which somebody else looks after.
    pub fn none() -> Self {
        Self::new(&Place::default())
    }

    /// Make the directories, write the limits, put the device rules in force.
    ///
    /// On pure v2, with no limits, that is mkdir, open, two bpf(2) and a close. A controller that the cgroups above
    /// do not hand down is enabled when a limit needs it, or when one of them had to be made.
    ///
    /// # Errors
    /// Every variant but those about freezing; nothing is left behind.
    pub fn create(layout: &Layout, place: &Place, resources: &Resources) -> Result<Self, Error> {
        let settings = Settings::new(layout, resources)?;
        let mut cgroup = Self::new(place);

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
                cpuset::furnish(&path, made, &hierarchy.mount, &settings.v1)?;
            }
            let mut writes = settings.v1.iter().filter(|write| hierarchy.has(&write.controller)).peekable();
            if writes.peek().is_some() {
                apply(&Dir::open(&path)?, &mut writes, &mut |_| Ok(()), None)?;
            }
            let tasks = format!("{path}/tasks");
            match open(CWD, &tasks, OFlags::WRONLY) {
                Ok(file) => cgroup.birth.tasks.push((hierarchy.controllers.join(","), file)),
                Err(errno) => return Err(Error::file("open", tasks, errno)),
            }
        }
        if let Some((hierarchy, dir, made)) = v2 {
            write_v2(hierarchy, &dir, &settings.v2, None)?;
            if let Some(program) = &settings.devices {
                let attached = guard(&dir, program)?;
                cgroup.program = Some(attached).filter(|_| made == Made::Found);
            }
            cgroup.birth.into = Some(dir.fd);
        }
        Ok(cgroup)
    }

    /// The same in a scope of systemd's: it makes the directory, and is told of all limits that it has words for. All of
    /// them are written to the files as well, for those that it has none for, and because it may round.
    ///
    /// # Errors
    /// As [`Cgroup::create`], and what systemd says.
    pub fn in_scope(
        layout: &Layout,
        systemd: Systemd,
        place: &Place,
        mut properties: Vec<Property>,
        resources: &Resources,
    ) -> Result<Self, Error> {
        let (Some(hierarchy), Some(path)) = (layout.unified(), place.dir("")) else {
            return Err(Error::SystemdNeedsV2);
        };
        let mut settings = Settings::new(layout, resources)?;
        properties::round(&mut settings.v2);
        properties.extend(properties::properties(resources, systemd.version())?);

        let mut cgroup = Self::new(place);
        let scope = cgroup.scope.insert(Scope::start(systemd, properties)?);
        let of_user = scope.is_user_s();
        cgroup.made.push(path.to_owned());
        let dir = Dir::open(path)?;
        write_v2(hierarchy, &dir, &settings.v2, None)?;
        if let Some(last) = settings.v2.iter().rfind(|write| write.file == "pids.max").filter(|last| last.value == "1")
        {
            // Who holds the scope is a second one.
            write(dir.fd.as_fd(), "pids.max", "2")
                .map_err(|errno| Error::file("write", dir.file("pids.max"), errno))?;
            cgroup.tasks = Some(last.value.clone());
        }
        match settings.devices.as_ref().map_or(Ok(()), |program| guard(&dir, program).map(drop)) {
            // Nobody but root may load one; nor can anybody else make a node that would have to be guarded.
            Err(Error::Devices { errno: Errno::PERM, .. }) if of_user => {}
            guarded => guarded?,
        }
        cgroup.birth.into = Some(dir.fd);
        Ok(cgroup)
    }

    fn new(place: &Place) -> Self {
        Self {
            place: place.clone(),
            birth: Birth::default(),
            made: Vec::new(),
            parents: Vec::new(),
            program: None,
            scope: None,
            tasks: None,
        }
    }

    /// The container has been born: nobody else has to be there any more.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn inhabited(&mut self) -> Result<(), Error> {
        self.scope.iter_mut().for_each(Scope::inhabited);
        match (&self.birth.into, self.tasks.take()) {
            (Some(dir), Some(tasks)) => {
                let file = || format!("{}/pids.max", self.place.dir("").unwrap_or_default());
                write(dir.as_fd(), "pids.max", &tasks).map_err(|errno| Error::file("write", file(), errno))
            }
            _ => Ok(()),
        }
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
        self.parents.clear();
        self.program = None;
        self.scope.iter_mut().for_each(Scope::commit);
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
            errno => Error::file("clone into", dir, errno),
        }
    }

    fn make_v2<'a>(
        &mut self,
        layout: &'a Layout,
        settings: &Settings,
    ) -> Result<Option<(&'a Hierarchy, Dir, Made)>, Error> {
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
        Ok(Some((hierarchy, dir, made)))
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
                    self.parents.push(parent.to_owned());
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
        if let (Some(dir), Some(program)) = (&self.birth.into, &self.program) {
            let _ = rt_sys::bpf::detach_device_program(dir.as_fd(), program.as_fd());
        }
        // Before its directory is removed, which systemd does as well.
        self.scope = None;
        // The child is dead by now, but may still be on its way out.
        let until = Instant::now() + LEAVING;
        for path in &self.made {
            let _ = clear(path, until);
        }
        for path in self.parents.iter().rev() {
            let _ = remove(CWD, path.as_str());
        }
    }
}

/// What became of a directory.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Made {
    New,
    WithParents,
    Found,
}

const MODE: Mode = Mode::from_raw_mode(0o755);

/// Refuse a cgroup that somebody else lives in, or that would stop the container at once.
fn check_vacant(path: &str, freezer: &str) -> Result<(), Error> {
    let events = read(CWD, &format!("{path}/cgroup.events"));
    let is_v1 = events.is_err();
    if events.is_ok_and(|events| says(&events, "populated")) || is_v1 {
        let found = pids(path).map_err(|errno| Error::file("read", format!("{path}/cgroup.procs"), errno))?;
        // Of processes in other pid namespaces v2's events know, and the list does not.
        let count = if is_v1 { found.len() } else { found.len().max(1) };
        if count > 0 {
            return Err(Error::NotEmpty(count));
        }
    }
    match read(CWD, &format!("{path}/{freezer}")) {
        Ok(frozen) if frozen.trim() == "1" => Err(Error::Frozen),
        _ => Ok(()),
    }
}

/// Put the device program in force. It stays when the descriptor is closed.
fn guard(dir: &Dir, program: &Program) -> Result<OwnedFd, Error> {
    let loaded = load(dir, program)?;
    rt_sys::bpf::attach_device_program(dir.fd.as_fd(), loaded.as_fd()).map_err(|errno| Error::Devices {
        doing: "attach the device program",
        dir: dir.path.clone(),
        errno,
    })?;
    Ok(loaded)
}

/// Give the kernel a device program.
pub(crate) fn load(dir: &Dir, program: &Program) -> Result<OwnedFd, Error> {
    let loaded = match rt_sys::bpf::load_device_program(program.code()) {
        Err(Errno::PERM) => with_memory_to_lock(|| rt_sys::bpf::load_device_program(program.code())),
        other => other,
    };
    loaded.map_err(|errno| Error::Devices { doing: "load the device program", dir: dir.path.clone(), errno })
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
