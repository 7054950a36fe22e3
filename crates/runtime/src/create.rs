//! `create`: from a bundle to an init that waits.

use crate::bundle::Bundle;
use crate::child::Child;
use crate::delete::unmount_root;
use crate::error::On;
use crate::probe;
use crate::status::began;
use crate::store::{Directory, Extra, HostMounts, Record, Reserved, Tail, VERSION};
use crate::{Error, Id, Store, time};
use rt_cgroup::{Cgroup, Layout, Place};
use rt_plan::{Host, Plan, Request, Spec, Wait};
use rt_wire::{Namespace, Step};
use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, CWD, StatxFlags, statx};
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
    /// `--cgroup-manager disabled`.
    pub without_cgroup: bool,
}

impl Create {
    /// What of it the plan depends on.
    pub(crate) fn of_plan(&self, bundle: &Bundle, wait: Wait, preserved: u32, listen: u32) -> Request {
        Request {
            id: self.id.to_string(),
            bundle: bundle.path.clone(),
            wait,
            root_by_move: self.root_by_move,
            keep_keyring: self.keep_keyring,
            preserved,
            listen,
        }
    }
}

/// Make a container whose init waits for `start`. Returns what could not be done as asked, a line each.
///
/// # Errors
/// Every kind. Nothing is left behind then.
pub fn create(store: &Store, request: &Create) -> Result<Vec<String>, Error> {
    make(store, request, Wait::Start).map(|made| made.warnings)
}

/// A container that was made.
pub(crate) struct Made {
    pub(crate) pidfd: OwnedFd,
    pub(crate) directory: Directory,
    pub(crate) record: Record,
    pub(crate) warnings: Vec<String>,
}

/// The walk, station by station. Each thing made is undone when it is dropped, until all of it is committed.
pub(crate) fn make(store: &Store, request: &Create, wait: Wait) -> Result<Made, Error> {
    let preserved = descriptors(request.preserve)?;
    let bundle = Bundle::open(&request.bundle, request.config.as_deref())?;
    let spec = Spec::parse(&bundle.config)?;
    let (host, layout, place) = facts(&spec, request)?;
    let asked = request.of_plan(&bundle, wait, preserved.all, preserved.listen);
    let mut plan = rt_plan::create(&spec, &host, &asked)?;
    log::debug!("planned {} steps", plan.steps.len());
    may_make_containers(&host)?;

    let reserved = store.reserve(&request.id)?;
    let mut record = record(&spec, &plan, request, &bundle, place);
    reserved.directory().begin(&record)?;
    let cgroup = match request.without_cgroup {
        true => Cgroup::none(),
        false => Cgroup::create(&layout, &record.cgroup_paths, &spec.linux.resources)?,
    };
    record.cgroup_paths = cgroup.place().clone();
    let listener = if wait == Wait::Start { Some(reserved.directory().listen()?) } else { None };
    // Declared before `child`, so undone after it: nobody mounts any more then.
    let mounts = Mounts { root: plan.rootfs.clone(), made: record.rt.mounts };
    let child = Child::spawn(&plan, &host, &cgroup, listener.as_ref())?;
    log::debug!("init is process {}", child.pid.as_raw_nonzero());

    let mut warnings = std::mem::take(&mut plan.warnings);
    child.until_ready(&plan, |warning| warnings.push(warning))?;
    record.init_process_pid = child.pid.as_raw_nonzero().get();
    record.init_process_start = began(child.pid)?.unwrap_or(0);
    record.namespace_paths = namespace_paths(record.init_process_pid);
    if let Some(made) = &mut record.rt.mounts {
        made.own = mount_id(&plan.rootfs);
    }
    reserved.directory().save(&record)?;
    let pid_file = PidFile::write(request.pid_file.as_deref(), record.init_process_pid)?;
    child.proceed()?;
    if wait == Wait::Nobody {
        child.until_running(&plan)?;
    }
    log::debug!("container {} is {}", request.id, if wait == Wait::Start { "created" } else { "running" });
    pid_file.commit();
    Ok(commit(child, cgroup, reserved, mounts, record, warnings))
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
    Made { pidfd: child.commit(), directory, record, warnings }
}

/// What this host is, and where the container's cgroup will be.
pub(crate) fn facts(spec: &Spec<'_>, request: &Create) -> Result<(Host, Layout, Place), Error> {
    let mut host = probe::host(spec)?;
    let layout = if request.without_cgroup { Layout::None } else { Layout::probe()? };
    let place = layout.place(spec.linux.cgroups_path.as_deref(), request.id.as_str())?;
    host.cgroups = probe::cgroups(&layout, &place);
    if request.root_by_move {
        host.kernel_mounts = probe::kernel_mounts()?;
    }
    Ok((host, layout, place))
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
struct Preserved {
    all: u32,
    listen: u32,
}

/// Systemd's sockets first, then those of `--preserve-fds`; each must be there. All others go no further than here.
fn descriptors(preserve: u32) -> Result<Preserved, Error> {
    let listen = std::env::var("LISTEN_FDS").ok().and_then(|count| count.parse::<u32>().ok()).unwrap_or(0);
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
            tail: tail(plan),
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
struct PidFile<'a>(Option<&'a Path>);

impl<'a> PidFile<'a> {
    /// Whole or not at all: callers read it the moment it is there.
    fn write(path: Option<&'a Path>, pid: i32) -> Result<Self, Error> {
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

    fn commit(mut self) {
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
