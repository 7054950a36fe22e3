//! `create`: from a bundle to an init that waits.

use crate::agent::Agent;
use crate::bundle::Bundle;
use crate::child::Child;
use crate::delete::unmount_root;
use crate::error::On;
use crate::inherited::Given;
use crate::notify::Notify;
use crate::pidfd::PidfdSocket;
use crate::status::{began, inner_number};
use crate::store::{Directory, Extra, HostMounts, Record, Reserved, Tail, VERSION};
use crate::terminal::Holder;
use crate::{Error, Id, Store, hooks, notify, probe, time};
use rt_cgroup::systemd::{Property, Systemd, Unit, Whose};
use rt_cgroup::{Asked, Cgroup, Layout, Place};
use rt_plan::spec::Hooks;
use rt_plan::{Host, Join, Kept, Plan, Request, Spec, Wait};
use rt_wire::{Namespace, Step};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{AtFlags, CWD, StatxFlags, readlinkat, statx};
use rustix::io::Errno;
use serde_json::value::{RawValue, to_raw_value};
use std::path::{Path, PathBuf};

/// What `create` and `run` are told.
#[derive(Clone, Debug)]
pub struct Create {
    /// The container's name.
    pub id: Id,
    /// Its bundle.
    pub bundle: PathBuf,
    /// Its config, where it is not the bundle's config.json.
    pub config: Option<PathBuf>,
    /// A file for its process's number.
    pub pid_file: Option<PathBuf>,
    /// `--no-pivot`.
    pub root_by_move: bool,
    /// `--no-new-keyring`.
    pub keep_keyring: bool,
    /// `--preserve-fds`.
    pub preserve: u32,
    /// Who looks after its cgroup.
    pub cgroups: Manager,
    /// `--console-socket`: who gets the terminal.
    pub console_socket: Option<PathBuf>,
    /// `--pidfd-socket`: who gets a descriptor of the process.
    pub pidfd_socket: Option<PathBuf>,
    /// `--init`: rt's own stays as the container's first process. Milliseconds that others may outlive the program.
    pub serve: Option<u32>,
}

/// Who looks after a container's cgroup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manager {
    /// We do, in the cgroup file systems.
    Files,
    /// systemd: `--systemd-cgroup`.
    Systemd,
    /// Nobody: it has none of its own.
    Nobody,
}

impl Create {
    /// What of it the plan depends on.
    pub(crate) fn of_plan(&self, bundle: &Bundle, wait: Wait) -> Request {
        Request {
            id: self.id.to_string(),
            bundle: bundle.path.clone(),
            wait,
            root_by_move: self.root_by_move,
            keep_keyring: self.keep_keyring,
            preserved: self.preserve,
            serve: self.serve,
            ..Request::default()
        }
    }
}

/// Make a container whose init waits for `start`. Returns what could not be done as asked, a line each.
///
/// # Errors
/// Every kind. Nothing is left behind then.
pub fn create(store: &Store, request: &Create) -> Result<Vec<String>, Error> {
    let preserved = descriptors(request.preserve, from_systemd())?;
    let bundle = Bundle::open(&request.bundle, request.config.as_deref())?;
    let spec = Spec::parse(&bundle.config)?;
    let terminal = Holder::choose(wants_terminal(&spec), request.console_socket.as_deref(), true)?;
    let source = Source { bundle: &bundle, spec: &spec, preserved };
    make(store, request, &source, Wait::Start, &terminal).map(|made| made.warnings)
}

/// What a container is made of.
pub(crate) struct Source<'a> {
    pub(crate) bundle: &'a Bundle,
    pub(crate) spec: &'a Spec<'a>,
    pub(crate) preserved: Preserved,
}

/// Whether the process asks for a terminal.
pub(crate) fn wants_terminal(spec: &Spec<'_>) -> bool {
    spec.process.as_ref().is_some_and(|process| process.terminal)
}

/// A container that was made.
pub(crate) struct Made {
    pub(crate) pidfd: OwnedFd,
    pub(crate) directory: Directory,
    pub(crate) record: Record,
    pub(crate) warnings: Vec<String>,
    /// What the container tells the service manager, where nobody else will listen.
    pub(crate) notify: Option<Notify>,
}

/// Make it. One that came as far as its hooks, and no further, ends with those of poststop: runtime.md, "Lifecycle".
pub(crate) fn make(
    store: &Store,
    request: &Create,
    source: &Source<'_>,
    wait: Wait,
    terminal: &Holder,
) -> Result<Made, Error> {
    let mut begun = None;
    let made = walk(store, request, source, wait, terminal, &mut begun);
    if let (Err(_), Some(record)) = (&made, begun) {
        hooks::run_all("poststop", &source.spec.hooks.poststop, &record, |error| log::warn!("{error}"));
    }
    made
}

/// Station by station. Each thing made is undone when it is dropped, until all of it is committed. `begun` is the
/// container whose hooks have begun to run.
fn walk(
    store: &Store,
    request: &Create,
    source: &Source<'_>,
    wait: Wait,
    terminal: &Holder,
    begun: &mut Option<Record>,
) -> Result<Made, Error> {
    let Source { bundle, spec, preserved } = source;
    let Facts { host, layout, place, unit } = facts(spec, request)?;
    let mut asked = request.of_plan(bundle, wait);
    asked.preserved = preserved.all;
    asked.listen = preserved.listen;
    asked.shown = terminal.shown();
    if notify::wanted().is_some() {
        asked.notify = Some(store.notify_path(&request.id)?);
    }
    let mut plan = rt_plan::create(spec, &host, &asked)?;
    log::debug!("planned {} steps", plan.steps.len());
    may_make_containers(&host)?;

    let systemd = unit.as_ref().map(Systemd::connect).transpose()?;
    let place = systemd.as_ref().map_or(Ok(place), |systemd| systemd.place(&layout))?;
    let reserved = store.reserve(&request.id)?;
    let mut record = record(spec, &plan, request, bundle, place);
    record.rt.unit = unit;
    reserved.directory().begin(&record)?;
    record.rt.exec = to_raw_value(&Kept::of(spec, &asked, plan.filter.as_ref())).ok();
    record.rt.hooks = later_hooks(&spec.hooks);
    if asked.notify.is_some() {
        reserved.directory().make_notify()?;
    }
    let mut cgroup = cgroup(spec, request, &layout, &record, systemd)?;
    record.cgroup_paths = cgroup.place().clone();
    let listener = if wait == Wait::Start { Some(reserved.directory().listen()?) } else { None };
    let pidfd_socket = request.pidfd_socket.as_deref().map(PidfdSocket::connect).transpose()?;
    // Declared before `child`, so undone after it: nobody mounts any more then.
    let mounts = Mounts { root: plan.rootfs.clone(), made: record.rt.mounts };
    let agent = plan.filter.as_ref().and_then(|filter| filter.terms.agent.as_ref());
    let agent = agent.map(|agent| Agent::connect(&agent.path, &agent.metadata, &record, "creating")).transpose()?;
    let given = Given { listener: listener.as_ref().map(AsFd::as_fd), terminal: terminal.theirs(), ..Given::default() };
    let mut child = Child::spawn(&plan, &host, cgroup.birth(), &given).map_err(|error| match error {
        Error::NotBorn { errno: errno @ (Errno::BUSY | Errno::OPNOTSUPP), .. } if cgroup.birth().into.is_some() => {
            cgroup.unborn(errno).into()
        }
        error => error,
    })?;
    child.watched_by(agent, None);
    log::debug!("init is process {}", child.pid.as_raw_nonzero());
    cgroup.inhabited()?;
    let pid = child.pid.as_raw_nonzero().get();

    let mut warnings = std::mem::take(&mut plan.warnings);
    if plan.steps.iter().any(|step| matches!(step, Step::AwaitHooks {})) {
        child.until_hooks(&plan, |warning| warnings.push(warning))?;
        *begun = Some(record.clone());
        hooks::run("prestart", &spec.hooks.prestart, &record, "creating", pid)?;
        hooks::run("createRuntime", &spec.hooks.create_runtime, &record, "creating", pid)?;
        tell(&child, &plan, &record)?;
        child.proceed()?;
    }
    child.until_ready(&plan, |warning| warnings.push(warning))?;
    if begun.is_none() {
        tell(&child, &plan, &record)?;
        *begun = Some(record.clone()).filter(|_| record.rt.hooks.is_some());
    }
    record.init_process_pid = pid;
    record.init_process_start = began(child.pid)?.unwrap_or(0);
    record.namespace_paths = namespace_paths(record.init_process_pid);
    record.external_descriptors = standard_streams();
    if let Some(made) = &mut record.rt.mounts {
        made.own = mount_id(&plan.rootfs);
    }
    if let Some(filter) = &plan.filter {
        reserved.directory().save_filter(&filter.program)?;
    }
    reserved.directory().save(&record)?;
    if let Some(socket) = pidfd_socket {
        socket.send(child.pidfd(), "standard")?;
    }
    let pid_file = PidFile::write(request.pid_file.as_deref(), record.init_process_pid)?;
    // Before the program can look for it.
    let notify = if wait == Wait::Nobody { Notify::listen(reserved.directory(), pid)? } else { None };
    child.proceed()?;
    if wait == Wait::Nobody {
        child.until_running(&plan, |warning| warnings.push(warning))?;
    }
    log::debug!("container {} is {}", request.id, if wait == Wait::Start { "created" } else { "running" });
    pid_file.commit();
    Ok(Made { notify, ..commit(child, cgroup, reserved, mounts, record, warnings) })
}

/// Its cgroup, made by whom it was left to.
fn cgroup(
    spec: &Spec<'_>,
    request: &Create,
    layout: &Layout,
    record: &Record,
    systemd: Option<Systemd>,
) -> Result<Cgroup, Error> {
    let (place, resources) = (&record.cgroup_paths, &spec.linux.resources);
    if request.cgroups == Manager::Nobody {
        return Ok(Cgroup::none());
    }
    let (Some(systemd), Some(unit)) = (systemd, &record.rt.unit) else {
        return Ok(Cgroup::create(layout, place, resources)?);
    };
    let properties = scope(unit, spec, &request.id)?;
    Ok(Cgroup::in_scope(layout, systemd, place, properties, resources)?)
}

/// What systemd is told of the container beside its limits.
pub(crate) fn scope(unit: &Unit, spec: &Spec<'_>, id: &Id) -> Result<Vec<Property>, Error> {
    let annotations = spec.annotations.iter().map(|(key, value)| (&**key, &**value));
    Ok(rt_cgroup::systemd::properties::scope(unit, id.as_str(), annotations)?)
}

/// The state that hooks of the container's side read: there the process has another number.
fn tell(child: &Child, plan: &Plan, record: &Record) -> Result<(), Error> {
    if !plan.spawn.inherited.iter().any(|join| matches!(join, Join::State { .. })) {
        return Ok(());
    }
    let pid = if plan.spawn.namespaces & Namespace::Pid.flag() != 0 { 1 } else { inner_number(child.pid)? };
    child.tell(|status| hooks::state(record, status, pid))
}

/// Those that run after `create`; none if there are none.
fn later_hooks(hooks: &Hooks<'_>) -> Option<Box<RawValue>> {
    if hooks.poststart.is_empty() && hooks.poststop.is_empty() {
        return None;
    }
    let later = Hooks { poststart: hooks.poststart.clone(), poststop: hooks.poststop.clone(), ..Hooks::default() };
    to_raw_value(&later).ok()
}

fn commit(
    child: Child,
    cgroup: Cgroup,
    reserved: Reserved,
    mut mounts: Mounts,
    record: Record,
    warnings: Vec<String>,
) -> Made {
    mounts.made = None;
    cgroup.commit();
    let directory = reserved.commit();
    Made { pidfd: child.commit(), directory, record, warnings, notify: None }
}

/// What this host is, and where the container's cgroup will be.
pub(crate) struct Facts {
    pub(crate) host: Host,
    pub(crate) layout: Layout,
    pub(crate) place: Place,
    /// What it will be to systemd, where that makes it.
    pub(crate) unit: Option<Unit>,
}

/// Look at this host. systemd is not asked: its unit's place is what it most likely is.
pub(crate) fn facts(spec: &Spec<'_>, request: &Create) -> Result<Facts, Error> {
    let mut host = probe::host(spec)?;
    let path = spec.linux.cgroups_path.as_deref();
    let (layout, place, unit) = match request.cgroups {
        Manager::Nobody => (Layout::None, Place::default(), None),
        Manager::Files => {
            let layout = Layout::probe_for(path)?;
            let place = layout.place(path, request.id.as_str())?;
            (layout, place, None)
        }
        Manager::Systemd => {
            let layout = Layout::probe_for(Some("/"))?;
            let uid = probe::outer_user(&host);
            let whose = if uid == 0 { Whose::System } else { Whose::User };
            let unit = Unit::new(path, request.id.as_str(), whose)?;
            let place = unit.guess(&layout, uid)?;
            (layout, place, Some(unit))
        }
    };
    host.cgroups = probe::cgroups(&layout, &place);
    if request.root_by_move {
        host.kernel_mounts = probe::kernel_mounts()?;
    }
    Ok(Facts { host, layout, place, unit })
}

/// Said once and early, instead of whichever step would be the first to fail.
fn may_make_containers(host: &Host) -> Result<(), Error> {
    const CAP_SYS_ADMIN: u32 = 21;
    if host.permitted >> CAP_SYS_ADMIN & 1 == 1 {
        return Ok(());
    }
    Err(Error::Right("CAP_SYS_ADMIN"))
}

/// Descriptors for the process: 3 and on.
pub(crate) struct Preserved {
    pub(crate) all: u32,
    pub(crate) listen: u32,
}

/// How many sockets systemd has given to us: sd_listen_fds(3). Those of another process are not ours to pass on.
pub(crate) fn from_systemd() -> u32 {
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse::<u32>().ok());
    let own = || rustix::process::getpid().as_raw_nonzero().get().unsigned_abs();
    number("LISTEN_FDS").filter(|_| number("LISTEN_PID").is_some_and(|process| process == own())).unwrap_or(0)
}

/// Systemd's sockets first, then those of `--preserve-fds`; each must be there. All others go no further than here. Before
/// anything is opened, which could take their numbers.
pub(crate) fn descriptors(preserve: u32, listen: u32) -> Result<Preserved, Error> {
    let all = preserve.saturating_add(listen);
    if all > 1024 {
        return Err(Error::Usage(format!("{all} descriptors to preserve are more than the 1024 that rt passes on")));
    }
    if let Some(missing) =
        (3..3 + all).find(|number| !std::fs::exists(format!("/proc/self/fd/{number}")).unwrap_or(false))
    {
        let why = format!(
            "can't preserve descriptor {missing}: it is not open (--preserve-fds {preserve}, LISTEN_FDS {listen})"
        );
        return Err(Error::Usage(why));
    }
    rt_sys::fd::close_on_exec_from(3 + all).map_err(Error::call("mark descriptors close-on-exec (Linux 5.11)"))?;
    Ok(Preserved { all, listen })
}

fn record(spec: &Spec<'_>, plan: &Plan, request: &Create, bundle: &Bundle, place: Place) -> Record {
    Record {
        id: request.id.to_string(),
        created: time::now(),
        cgroup_paths: place,
        rt: Extra {
            version: VERSION,
            oci_version: spec.oci_version.to_string(),
            bundle: bundle.path.clone(),
            rootfs: plan.rootfs.clone(),
            annotations: spec.annotations.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect(),
            own_pids: plan.spawn.namespaces & Namespace::Pid.flag() != 0,
            mounts: plan.mounts_stay.then(|| HostMounts { before: mount_id(&plan.rootfs), own: None }),
            asked: Asked::new(&spec.linux.resources),
            tail: tail(plan),
            ..Extra::default()
        },
        ..Record::default()
    }
}

/// The steps from the wait on: what `start` may have to name.
fn tail(plan: &Plan) -> Tail {
    let Some(first) = plan.steps.iter().position(|step| matches!(step, Step::AwaitStart { .. })) else {
        return Tail::default();
    };
    Tail { first, of: plan.steps.len(), steps: plan.steps.iter().skip(first).map(|step| step.to_string()).collect() }
}

/// Where the standard streams lead, which init has from us. As runc stores them.
fn standard_streams() -> Vec<String> {
    let lead = |number: u8| readlinkat(CWD, format!("/proc/self/fd/{number}"), Vec::with_capacity(256));
    (0..3).map(|number| lead(number).map(|path| path.to_string_lossy().into_owned()).unwrap_or_default()).collect()
}

/// As runc stores them: `NEWPID` to `/proc/PID/ns/pid`.
fn namespace_paths(pid: i32) -> std::collections::BTreeMap<String, String> {
    let kinds = [
        ("NEWCGROUP", Namespace::Cgroup),
        ("NEWIPC", Namespace::Ipc),
        ("NEWNET", Namespace::Network),
        ("NEWNS", Namespace::Mount),
        ("NEWPID", Namespace::Pid),
        ("NEWTIME", Namespace::Time),
        ("NEWUSER", Namespace::User),
        ("NEWUTS", Namespace::Uts),
    ];
    kinds.map(|(name, kind)| (name.to_owned(), format!("/proc/{pid}/ns/{}", kind.file()))).into()
}

/// The file that `--pid-file` names: gone with the container that could not be made.
pub(crate) struct PidFile<'a>(Option<&'a Path>);

impl<'a> PidFile<'a> {
    /// Whole or not at all: callers read it the moment it is there.
    pub(crate) fn write(path: Option<&'a Path>, pid: i32) -> Result<Self, Error> {
        let Some(path) = path else { return Ok(Self(None)) };
        let Some(name) = path.file_name() else {
            return Err(Error::Usage(format!("--pid-file {} names no file", path.display())));
        };
        let mut hidden = std::ffi::OsString::from(".");
        hidden.push(name);
        let next = path.with_file_name(hidden);
        std::fs::write(&next, pid.to_string()).on("write", &next)?;
        std::fs::rename(&next, path).on("rename", &next)?;
        Ok(Self(Some(path)))
    }

    pub(crate) fn commit(mut self) {
        self.0 = None;
    }
}

impl Drop for PidFile<'_> {
    fn drop(&mut self) {
        if let Some(path) = self.0 {
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Mounts in the runtime's own namespace: gone with the container that could not be made.
struct Mounts {
    root: String,
    made: Option<HostMounts>,
}

impl Drop for Mounts {
    fn drop(&mut self) {
        if let Some(made) = self.made {
            let _ = unmount_root(&self.root, made);
        }
    }
}

/// The id of the mount that `path` is the root of; `None` if it is the root of none.
pub(crate) fn mount_id(path: &str) -> Option<u64> {
    let stat = statx(CWD, path, AtFlags::SYMLINK_NOFOLLOW, StatxFlags::MNT_ID).ok()?;
    stat.stx_attributes.contains(rustix::fs::StatxAttributes::MOUNT_ROOT).then_some(stat.stx_mnt_id)
}
