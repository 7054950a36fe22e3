//! What a container may leave behind: a state directory, mounts, cgroups, processes.

use std::{
    fs,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use crate::{cgroup, mountinfo, oracle};

/// A process that was killed is gone only when its parent has been told.
const GRACE: Duration = Duration::from_secs(3);

/// What is left of a container after a moment of grace. `home` is its directory, which holds bundle and state.
pub(crate) fn of(id: &str, home: &Path, state: &Path) -> Vec<String> {
    let started = Instant::now();
    loop {
        let found = look(id, home, state);
        if found.is_empty() || started.elapsed() > GRACE {
            return found;
        }
        thread::sleep(Duration::from_millis(10));
    }
}

fn look(id: &str, home: &Path, state: &Path) -> Vec<String> {
    let mut found = Vec::new();
    if let Ok(entries) = fs::read_dir(state) {
        found.extend(entries.flatten().map(|entry| format!("state {}", entry.path().display())));
    }
    // A test may have mounted something of its own beside these two.
    for directory in [&home.join("bundle"), state] {
        found.extend(mounts_below(directory).into_iter().map(|point| format!("mount {point}")));
    }
    found.extend(
        cgroups(id)
            .into_iter()
            // runc gives up on a cgroup whose processes have been killed a moment ago.
            .filter(|path| !oracle::differs("busy-cgroups") || has_processes(path))
            .map(|path| format!("cgroup {}", path.display())),
    );
    found.extend(processes_of(id, home).into_iter().map(|(pid, name)| format!("process {pid} ({name})")));
    found
}

/// Where something is mounted below a directory, topmost first.
pub(crate) fn mounts_below(home: &Path) -> Vec<String> {
    let home = home.to_string_lossy();
    let text = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let mut points: Vec<_> = mountinfo::mounts(&text)
        .into_iter()
        .map(|mount| mount.point)
        .filter(|point| point.starts_with(&*home))
        .collect();
    points.reverse();
    points
}

/// The cgroups that have the name of a container in theirs, in every hierarchy.
fn cgroups(id: &str) -> Vec<PathBuf> {
    let named = |path: &Path| path.file_name().is_some_and(|name| name.to_string_lossy().contains(id));
    let mut found = Vec::new();
    for place in cgroup::places() {
        walk(&place, &mut |path| {
            if named(path) {
                found.push(path.to_owned());
            }
        });
    }
    for mount in cgroup::mounts() {
        let entries = fs::read_dir(mount).into_iter().flatten().flatten();
        found.extend(entries.map(|entry| entry.path()).filter(|path| named(path)));
    }
    found.sort();
    found.dedup();
    found
}

fn has_processes(cgroup: &Path) -> bool {
    fs::read_to_string(cgroup.join("cgroup.procs")).is_ok_and(|processes| !processes.is_empty())
}

/// Every directory below a directory, the inner ones first.
fn walk(directory: &Path, visit: &mut impl FnMut(&Path)) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            walk(&entry.path(), visit);
            visit(&entry.path());
        }
    }
}

/// Remove the cgroups of a container whose processes have been killed.
pub(crate) fn remove_cgroups(id: &str) {
    for cgroup in cgroups(id) {
        // A frozen v1 cgroup ignores SIGKILL.
        let _ = fs::write(cgroup.join("freezer.state"), "THAWED");
        let _ = fs::write(cgroup.join("cgroup.freeze"), "0");
        let mut all = Vec::new();
        walk(&cgroup, &mut |path| all.push(path.to_owned()));
        all.push(cgroup);
        for path in all {
            for _ in 0..50 {
                match fs::remove_dir(&path) {
                    Err(error) if error.kind() == std::io::ErrorKind::ResourceBusy => {
                        thread::sleep(Duration::from_millis(10))
                    }
                    _ => break,
                }
            }
        }
    }
}

/// Processes that belong to a container, with their names: they are in its cgroup, its bundle is their root, or they were
/// called with its name.
pub(crate) fn processes_of(id: &str, home: &Path) -> Vec<(i32, String)> {
    let home = home.to_string_lossy();
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        let read =
            |file: &str| String::from_utf8_lossy(&fs::read(entry.path().join(file)).unwrap_or_default()).into_owned();
        // Its root, and no other mount: until it has entered its root, every container has the mounts of all tests.
        let rooted =
            || mountinfo::mounts(&read("mountinfo")).iter().any(|it| it.point == "/" && it.root.contains(&*home));
        if read("cmdline").contains(id) || read("cgroup").contains(id) || rooted() {
            found.push((pid, read("comm").trim_end().to_owned()));
        }
    }
    found
}

/// Remove a directory and what is below it, but never follow a mount that a runtime has left there.
pub(crate) fn remove(directory: PathBuf) {
    let _ = std::process::Command::new("rm").args(["-rf", "--one-file-system"]).arg(directory).status();
}
