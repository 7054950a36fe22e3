//! `exec`: one more process in a container that is there. Another list of steps, by the builders of `create`; what it
//! needs to know of the container comes from the state directory.

use crate::agent::Agent;
use crate::child::Child;
use crate::create::{PidFile, descriptors};
use crate::error::On;
use crate::foreground::{self, Attended, attend};
use crate::inherited::Given;
use crate::pidfd::PidfdSocket;
use crate::read::read_all;
use crate::terminal::Holder;
use crate::{After, Container, Error, Id, Record, Status, Store, observe, probe};
use rt_cgroup::{Birth, Place};
use rt_plan::host::{Cgroups, Hierarchy};
use rt_plan::seccomp::Filter;
use rt_plan::spec::{LONGEST, Process};
use rt_plan::{Kept, Plan, Request, Wait};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{Mode, OFlags, open};
use rustix::io::Errno;
use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// What `exec` is told.
#[derive(Clone, Debug)]
pub struct Exec {
    /// The container.
    pub id: Id,
    /// The process.
    pub what: What,
    /// When it returns.
    pub after: After,
    /// A file for its number.
    pub pid_file: Option<PathBuf>,
    /// Who gets its terminal.
    pub console_socket: Option<PathBuf>,
    /// Who gets a descriptor of it.
    pub pidfd_socket: Option<PathBuf>,
    /// `--preserve-fds`.
    pub preserve: u32,
    /// Whether a paused container is no obstacle: the process waits until it is resumed.
    pub ignore_paused: bool,
    /// Cgroups below the container's, by controller; that of v2 has none.
    pub cgroups: BTreeMap<String, String>,
}

/// The process that `exec` starts.
#[derive(Clone, Debug)]
pub enum What {
    /// As this file says (`-`: standard input): a `process` of a config.
    File(PathBuf),
    /// As the container's own, but for this.
    Like {
        /// Program and arguments.
        args: Vec<String>,
        /// The working directory.
        cwd: Option<String>,
        /// More variables, which win over those that are there.
        env: Vec<String>,
        /// Whether it has a terminal.
        terminal: bool,
        /// User, and group if it is given.
        user: Option<(u32, Option<u32>)>,
        /// More groups.
        groups: Vec<u32>,
        /// More capabilities.
        capabilities: Vec<String>,
        /// no_new_privs, where it is said.
        no_new_privileges: Option<bool>,
        /// The AppArmor profile.
        apparmor: Option<String>,
        /// The SELinux label.
        label: Option<String>,
    },
}

/// Start a process in a container. Returns its exit status, or 128 and the number of the signal that ended it; 0 if it is
/// not waited for.
///
/// # Errors
/// [`Error::Forbidden`] in runc's words where the container is not running; every other kind. Nothing is left behind.
pub fn exec(store: &Store, request: &Exec, say: impl Fn(&str)) -> Result<u8, Error> {
    let preserved = descriptors(request.preserve, 0)?;
    let container = store.find(&request.id)?;
    let observed = observe(&container)?;
    let Some(of) = observed.pidfd.filter(|_| observed.status != Status::Creating) else {
        return Err(Error::forbidden("cannot exec in a stopped container"));
    };
    if observed.status == Status::Paused && !request.ignore_paused {
        return Err(Error::forbidden("cannot exec in a paused container (use --ignore-paused to override)"));
    }
    let detached = request.after == After::Start;
    let (child, holder, raw) = begin(&container, request, preserved.all, of.as_fd(), &say)?;
    let pid = child.pid.as_raw_nonzero().get();
    if let Some(path) = request.pidfd_socket.as_deref() {
        PidfdSocket::connect(path)?.send(child.pidfd(), "setns")?;
    }
    let pid_file = PidFile::write(request.pid_file.as_deref(), pid)?;
    let terminal = holder.take()?;
    pid_file.commit();
    let pidfd = child.commit();
    if detached {
        return Ok(0);
    }
    let status = attend(Attended { pid, pidfd: pidfd.as_fd(), terminal, notify: None });
    drop(raw);
    // Closed and freed by leaving.
    std::mem::forget((container, of, pidfd));
    status
}

type Begun = (Child, Holder, Option<crate::terminal::Raw<'static>>);

/// Plan it, and start it.
fn begin(
    container: &Container,
    request: &Exec,
    preserved: u32,
    of: BorrowedFd<'_>,
    say: &impl Fn(&str),
) -> Result<Begun, Error> {
    let record = &container.record;
    let detached = request.after == After::Start;
    let kept = kept(record)?;
    let file = match &request.what {
        What::File(path) => Some((path, read(path)?)),
        What::Like { .. } => None,
    };
    let mut process = match (&file, &request.what) {
        (Some((path, bytes)), _) => Process::parse(bytes).map_err(|error| in_file(path, &error))?,
        (None, What::File(_)) => unreachable!("read above"),
        (None, what) => like(&kept.process, what)?,
    };
    kept.complete(&mut process);
    let holder = Holder::choose(process.terminal, request.console_socket.as_deref(), detached)?;
    let mut host = probe::of_process(&process)?;
    host.cgroups = cgroups(&record.cgroup_paths);
    let asked = Request {
        id: request.id.to_string(),
        wait: Wait::Nobody,
        keep_keyring: kept.keep_keyring,
        preserved,
        shown: holder.shown(),
        ..Request::default()
    };
    let filter = match &kept.filter {
        Some(terms) => Some(Filter { program: container.directory.filter()?.into(), terms: terms.clone() }),
        None => None,
    };
    let agent = kept.filter.as_ref().and_then(|terms| terms.agent.as_ref());
    let agent = agent.map(|agent| Agent::connect(&agent.path, &agent.metadata, record, "running")).transpose()?;
    let plan = rt_plan::exec(&kept, &process, filter, &host, &asked)?;
    let root = match kept.has_root() {
        true => None,
        false => Some(root(record)?),
    };
    let given = Given {
        terminal: holder.theirs(),
        process: Some(of),
        root: root.as_ref().map(AsFd::as_fd),
        ..Given::default()
    };
    let birth = birth(&record.cgroup_paths, &request.cgroups)?;
    let raw = if detached { None } else { foreground::begin(matches!(holder, Holder::Caller { .. }), say)? };
    let mut child = match Child::spawn(&plan, &host, &birth, &given) {
        // Nobody can be beside the children of a cgroup that was delegated: join the container's process.
        Err(Error::NotBorn { errno: Errno::BUSY, .. }) if birth.into.is_some() && request.cgroups.is_empty() => {
            let beside = Birth { into: Some(current_cgroup(record)?), tasks: birth.tasks };
            Child::spawn(&plan, &host, &beside, &given)?
        }
        child => child?,
    };
    child.watched_by(agent, Some(record.init_process_pid));
    running(&mut child, &plan, say)?;
    Ok((child, holder, raw))
}

fn running(child: &mut Child, plan: &Plan, say: &impl Fn(&str)) -> Result<(), Error> {
    plan.warnings.iter().for_each(|warning| say(warning));
    child.until_running(plan, |warning| say(&warning))
}

/// What `create` has kept for us.
fn kept(record: &Record) -> Result<Kept<'_>, Error> {
    let damaged = |problem: String| Error::Damaged { path: PathBuf::from("state.json"), problem };
    let kept = record.rt.exec.as_deref().ok_or_else(|| damaged("it does not have what exec needs".to_owned()))?;
    serde_json::from_str(kept.get()).map_err(|error| damaged(error.to_string()))
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    if path == Path::new("-") {
        let mut bytes = Vec::new();
        let limit = u64::try_from(LONGEST).unwrap_or(u64::MAX);
        std::io::stdin().take(limit).read_to_end(&mut bytes).on("read", "standard input")?;
        return Ok(bytes);
    }
    read_all(&mut std::fs::File::open(path).on("open", path)?, 8 << 10, LONGEST).on("read", path)
}

/// The same problem in a file of another name, and without the `process.` that a config has around it.
fn in_file(path: &Path, error: &rt_plan::Error) -> Error {
    let text = error.to_string();
    let problem = text.strip_prefix("config.json").unwrap_or(&text);
    Error::Usage(format!("{}{}", path.display(), problem.replacen(" process.", " ", 1)))
}

/// The container's own process with what the command line says.
fn like<'a>(own: &Process<'a>, what: &'a What) -> Result<Process<'a>, Error> {
    let What::Like { args, cwd, env, terminal, user, groups, capabilities, no_new_privileges, apparmor, label } = what
    else {
        unreachable!("the caller has looked");
    };
    if args.is_empty() {
        return Err(Error::Usage("exec args cannot be empty".to_owned()));
    }
    let mut process = own.clone();
    process.args = args.iter().map(|word| word.as_str().into()).collect();
    process.env.extend(env.iter().map(|variable| variable.as_str().into()));
    process.terminal = *terminal;
    if let Some(cwd) = cwd.as_deref().filter(|cwd| !cwd.is_empty()) {
        process.cwd = cwd.into();
    }
    if let Some((uid, gid)) = user {
        process.user.uid = *uid;
        process.user.gid = gid.unwrap_or(process.user.gid);
    }
    process.user.additional_gids.extend(groups);
    let sets = process.capabilities.get_or_insert_default();
    for name in capabilities {
        let name = || name.as_str().into();
        sets.bounding.push(name());
        sets.effective.push(name());
        sets.permitted.push(name());
        // As runc: what is not inheritable can't be ambient.
        if !sets.inheritable.is_empty() {
            sets.ambient.push(name());
        }
    }
    process.no_new_privileges = no_new_privileges.unwrap_or(process.no_new_privileges);
    let or = |own: rt_plan::spec::Str<'a>, other: &'a Option<String>| {
        other.as_deref().filter(|other| !other.is_empty()).map_or(own, Into::into)
    };
    process.apparmor_profile = or(std::mem::take(&mut process.apparmor_profile), apparmor);
    process.selinux_label = or(std::mem::take(&mut process.selinux_label), label);
    process.check().map_err(|error| in_file(Path::new("exec"), &error))?;
    Ok(process)
}

/// The container's cgroups as its plan had them, without another look at the host.
fn cgroups(place: &Place) -> Cgroups {
    let hierarchies: Vec<Hierarchy> = v1(place)
        .map(|(directory, controllers)| Hierarchy {
            controllers: controllers.into_iter().map(str::to_owned).collect(),
            name: String::new(),
            directory: directory.to_owned(),
            joined: true,
        })
        .collect();
    if hierarchies.is_empty() { Cgroups::None } else { Cgroups::Legacy { hierarchies } }
}

fn v1(place: &Place) -> impl Iterator<Item = (&str, Vec<&str>)> {
    place.dirs().into_iter().filter(|(_, controllers)| !controllers.contains(&""))
}

/// Where it is born: the container's cgroups, or those below that the caller names.
fn birth(place: &Place, below: &BTreeMap<String, String>) -> Result<Birth, Error> {
    if let Some(unknown) = below.keys().find(|controller| place.dir(controller).is_none()) {
        let what = if unknown.is_empty() { "cgroup v2".to_owned() } else { format!("a {unknown} cgroup") };
        return Err(Error::Usage(format!("--cgroup: the container is not in {what}")));
    }
    let directory = |directory: &str, controllers: &[&str]| match controllers
        .iter()
        .find_map(|controller| below.get(*controller))
    {
        Some(sub) => inside(directory, sub),
        None => Ok(directory.to_owned()),
    };
    let mut birth = Birth::default();
    if let Some(v2) = place.dir("") {
        birth.into = Some(open_cgroup(&directory(v2, &[""])?)?);
    }
    for (path, controllers) in v1(place) {
        let path = format!("{}/tasks", directory(path, &controllers)?);
        let tasks = open(&*path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty()).on("open", &path)?;
        birth.tasks.push((controllers.join(","), tasks));
    }
    Ok(birth)
}

/// A cgroup below the container's, never beside or above it.
fn inside(directory: &str, sub: &str) -> Result<String, Error> {
    if sub.split('/').any(|part| part == "..") {
        return Err(Error::Usage(format!(
            "--cgroup: bad sub cgroup path: {sub}: it leads out of the container's cgroup"
        )));
    }
    let sub = sub.trim_matches('/');
    Ok(if sub.is_empty() { directory.to_owned() } else { format!("{directory}/{sub}") })
}

fn open_cgroup(path: &str) -> Result<OwnedFd, Error> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    open(path, flags, Mode::empty()).on("open", path)
}

/// The cgroup v2 that the container's process is in by now: below the one that it was born in.
fn current_cgroup(record: &Record) -> Result<OwnedFd, Error> {
    let file = format!("/proc/{}/cgroup", record.init_process_pid);
    let text = probe::proc_file(&file)?;
    let own = record.cgroup_paths.dir("").unwrap_or_default();
    let path = text.lines().find_map(|line| line.strip_prefix("0::")).unwrap_or_default();
    // The last part of our directory is in the path, wherever the hierarchy is mounted; what follows is below us.
    let name = own.rsplit('/').next().unwrap_or_default();
    let below = path.rsplit_once(&format!("/{name}/")).map_or("", |(_, below)| below);
    open_cgroup(&inside(own, below)?)
}

/// The root of a container that has no mount namespace.
fn root(record: &Record) -> Result<OwnedFd, Error> {
    let path = format!("/proc/{}/root", record.init_process_pid);
    open(&*path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).on("open", &path)
}
