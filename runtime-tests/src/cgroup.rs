//! Which cgroups this view has, and where a process is in them.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

/// A hierarchy that has a controller.
#[derive(Clone, Debug)]
pub struct Controller {
    /// Where it is mounted.
    pub mount: PathBuf,
    /// Its name in /proc/PID/cgroup: empty for cgroup v2.
    line: String,
}

impl Controller {
    /// The cgroup of a process.
    pub fn cgroup_of(&self, pid: i32) -> PathBuf {
        let text = fs::read_to_string(format!("/proc/{pid}/cgroup")).expect("the process lives");
        let path = path_in(&text, &self.line).unwrap_or_else(|| panic!("no {:?} in {text}", self.line));
        self.mount.join(path.trim_start_matches('/'))
    }
}

/// Is there nothing but cgroup v2 here?
pub fn cgroup_v2() -> bool {
    Path::new("/sys/fs/cgroup/cgroup.controllers").exists()
}

/// The hierarchy which has a controller, if this view has it. `devices` and `freezer` are part of every cgroup v2.
pub fn controller(name: &str) -> Option<Controller> {
    if cgroup_v2() {
        let mount = PathBuf::from("/sys/fs/cgroup");
        // What the root has is of no use if it is not handed on to where containers are made.
        let parent = own_cgroup("").parent()?.to_owned();
        let controllers = fs::read_to_string(parent.join("cgroup.subtree_control")).ok()?;
        let built_in = matches!(name, "devices" | "freezer");
        let has = built_in || controllers.split_whitespace().any(|has| has == name);
        return has.then_some(Controller { mount, line: String::new() });
    }
    let own = fs::read_to_string("/proc/self/cgroup").ok()?;
    own.lines().find_map(|line| {
        let controllers = line.split(':').nth(1)?;
        let has = controllers.split(',').any(|has| has == name);
        let mount = Path::new("/sys/fs/cgroup").join(controllers.trim_start_matches("name="));
        (has && mount.exists()).then(|| Controller { mount, line: controllers.to_owned() })
    })
}

/// Our own cgroup in a hierarchy: empty for cgroup v2, else what /proc/self/cgroup calls it.
pub fn own_cgroup(line: &str) -> PathBuf {
    let own = fs::read_to_string("/proc/self/cgroup").expect("we have cgroups");
    let path = path_in(&own, line).expect("we are in this hierarchy");
    hierarchy(line).join(path.trim_start_matches('/'))
}

/// The root of every hierarchy.
pub(crate) fn mounts() -> Vec<PathBuf> {
    let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let mut mounts: Vec<_> = own.lines().filter_map(|line| Some(hierarchy(line.split(':').nth(1)?))).collect();
    mounts.retain(|mount| mount.is_dir());
    mounts
}

/// Every directory below which a container of this view should have its cgroup: beside ours, below ours, and where an
/// absolute path of a test leads.
pub(crate) fn places() -> Vec<PathBuf> {
    let view = env::var("RT_TEST_CGROUP").unwrap_or_default();
    let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let mut places = Vec::new();
    for line in own.lines() {
        let mut fields = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (fields.next(), fields.next()) else { continue };
        let mount = hierarchy(controllers);
        if let Some(beside) = Path::new(path).parent() {
            places.push(mount.join(beside.strip_prefix("/").unwrap_or(beside)));
        }
        places.push(mount.join(view.trim_start_matches('/')));
    }
    places.retain(|place| place.is_dir());
    places.sort();
    places.dedup();
    places
}

fn path_in<'a>(text: &'a str, line: &str) -> Option<&'a str> {
    text.lines().find_map(|text| text.split_once(':')?.1.strip_prefix(line)?.strip_prefix(':'))
}

fn hierarchy(line: &str) -> PathBuf {
    match line {
        "" if cgroup_v2() => "/sys/fs/cgroup".into(),
        "" => "/sys/fs/cgroup/unified".into(),
        named => Path::new("/sys/fs/cgroup").join(named.trim_start_matches("name=")),
    }
}
