//! Where a process is that `exec` makes: in which namespaces, below which root, in which cgroups.

use std::{
    fs,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use runtime_tests::{
    Container, HostMount, Sleeper, cgroup_v2, controller, differs, newer_than_this_runc, require, runtime_path,
    wait_until,
};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

/// A container whose first process sleeps.
fn sleeping(name: &str) -> Container {
    Container::new(name).args(["sleep", "1000"])
}

/// A container that runs.
fn running(name: &str) -> Container {
    sleeping(name).started()
}

fn signal(pid: i32, signal: Signal) {
    kill_process(Pid::from_raw(pid).expect("a pid is above zero"), signal).expect("it lives");
}

// ---- where it is ----

const NAMESPACES: [&str; 8] = ["cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts"];

/// Every exec of this container must be in all namespaces of its first process.
#[track_caller]
fn shares_every_namespace(container: &Container) {
    let pid = container.pid();
    let script = NAMESPACES.map(|name| format!("readlink /proc/self/ns/{name}")).join("; ");
    let found = container.exec_script(&script).ok();
    let found: Vec<_> = found.lines().map(str::to_owned).collect();
    let expected = NAMESPACES.map(|name| {
        let link = fs::read_link(format!("/proc/{pid}/ns/{name}")).expect("it lives");
        link.to_string_lossy().into_owned()
    });
    assert_eq!(found, expected);
    // The children of it too.
    let children = container.exec_script("readlink /proc/self/ns/pid; sh -c 'readlink /proc/self/ns/pid'").ok();
    assert!(children.lines().all(|line| line == expected[4]), "{children}");
}

#[test]
fn process_is_in_every_namespace_of_the_container() {
    shares_every_namespace(&running("namespaces"));
    shares_every_namespace(&sleeping("namespaces").namespace("cgroup").started());
}

#[test]
fn process_is_in_the_time_namespace_of_the_container() {
    newer_than_this_runc!("time namespaces");
    let container = sleeping("namespaces")
        .namespace("time")
        .edit(|config| config["linux"]["timeOffsets"] = json!({ "boottime": { "secs": 1_000_000 } }))
        .started();
    shares_every_namespace(&container);
    let uptime = container.exec(["cat", "/proc/uptime"]).ok();
    let seconds: f64 = uptime.split(' ').next().and_then(|text| text.parse().ok()).expect("a number");
    assert!(seconds > 1_000_000.0, "{uptime}");
}

#[test]
fn process_is_in_the_namespaces_that_the_container_has_joined() {
    let sleeper = Sleeper::unshared(&["--net", "--ipc", "--uts", "--cgroup"]);
    let container = sleeping("joined")
        .edit(|config| {
            config.as_object_mut().expect("an object").remove("hostname");
        })
        .join("network", &sleeper.namespace("net"))
        .join("ipc", &sleeper.namespace("ipc"))
        .join("uts", &sleeper.namespace("uts"))
        .join("cgroup", &sleeper.namespace("cgroup"))
        .started();
    shares_every_namespace(&container);
    // Who made them is of no interest any more.
    drop(sleeper);
    shares_every_namespace(&container);
}

#[test]
fn process_is_in_the_namespaces_of_another_container() {
    let first = running("first");
    let namespace = |name: &str| format!("/proc/{}/ns/{name}", first.pid());
    let second = sleeping("second")
        .edit(|config| {
            config.as_object_mut().expect("an object").remove("hostname");
        })
        .join("network", &namespace("net"))
        .join("ipc", &namespace("ipc"))
        .join("uts", &namespace("uts"))
        .join("pid", &namespace("pid"))
        .started();
    shares_every_namespace(&second);
    // They see each other's processes.
    let found = first.exec_script("grep -l sleep /proc/[0-9]*/comm").ok();
    assert_eq!(found.lines().count(), 2, "{found}");
}

#[test]
fn process_is_in_the_namespaces_of_the_host_that_the_container_is_in() {
    for kind in ["network", "ipc", "pid"] {
        let container = sleeping("host").without_namespace(kind).started();
        shares_every_namespace(&container);
    }
    let container = sleeping("host")
        .without_namespace("uts")
        .edit(|config| {
            config.as_object_mut().expect("an object").remove("hostname");
        })
        .started();
    shares_every_namespace(&container);
}

#[test]
fn process_sees_the_mounts_of_the_container() {
    let container = running("mounts");
    let inside = container.exec(["cat", "/proc/self/mountinfo"]).ok();
    let first = fs::read_to_string(format!("/proc/{}/mountinfo", container.pid())).expect("it lives");
    assert_eq!(inside, first);
}

#[test]
fn process_has_the_root_of_the_container() {
    let container = sleeping("root").file("etc/motd", "inside\n").started();
    container.exec(["cat", "/etc/motd"]).prints("inside\n");
    container
        .exec_script("cd ../../../..; cat etc/motd; ls -d /proc/1/root/etc/motd")
        .prints("inside\n/proc/1/root/etc/motd\n");
}

#[test]
fn process_has_the_root_that_was_not_pivoted_to() {
    let container = sleeping("root").file("etc/motd", "inside\n").option("--no-pivot").started();
    container.exec_script("cd ../../../..; cat etc/motd").prints("inside\n");
    shares_every_namespace(&container);
}

#[test]
fn process_has_the_root_of_a_container_without_a_mount_namespace() {
    // It mounts where its caller stands: let that be a namespace which no other test sees.
    let container = Container::new("nomount")
        .without_namespace("mount")
        .unmasked()
        .writable()
        .file("etc/motd", "inside\n")
        .edit(|config| config["mounts"] = json!([{ "destination": "/proc", "type": "proc", "source": "proc" }]))
        .args(["sleep", "1000"]);
    let runtime = runtime_path().display();
    let (id, root) = (&container.id, container.state_root().display());
    let text = format!(
        r#"exec unshare --mount bash -c '
            "$@" --detach < /dev/null
            {runtime} --root {root} exec {id} sh -c "cd ../../..; cat etc/motd; cat /etc/motd; pwd"
            code=$?
            {runtime} --root {root} delete --force {id}
            exit $code
        ' bash "$@""#
    );
    // The name must stay the last word: let the shell move the option before it.
    let text = text.replace("\"$@\" --detach", "\"${@:1:$#-1}\" --detach \"${@: -1}\"");
    let container = container.through(&text);
    let output = container.creating("run").output();
    if !differs("no-mount-namespace") {
        output.prints("inside\ninside\n/\n");
    }
}

#[test]
fn volume_that_was_mounted_later_is_seen() {
    let container = sleeping("later");
    let directory = container.outside("shared");
    let shared = HostMount::new(&["-t", "tmpfs", "tmpfs"], &directory).make("--make-shared");
    let container = container.mount("bind", &directory, "/mnt", &["rbind", "rslave"]).started();
    let _later = HostMount::new(&["-t", "tmpfs", "tmpfs"], &directory.join("later"));
    fs::write(directory.join("later/file"), "late\n").expect("it can be written");
    container.exec(["cat", "/mnt/later/file"]).prints("late\n");
    container.delete_by_force().quietly();
    drop(shared);
}

// ---- cgroup ----

/// The cgroups of a process, as it sees them from outside.
fn cgroups_of(pid: i32) -> String {
    fs::read_to_string(format!("/proc/{pid}/cgroup")).expect("it lives")
}

// S1-05
#[test]
fn process_is_in_every_cgroup_of_the_container() {
    let container = running("cgroup");
    let pid = container.detached_exec(["sleep", "1000"]);
    assert_eq!(cgroups_of(pid), cgroups_of(container.pid()));
    assert!(cgroups_of(pid).contains(&container.id), "{}", cgroups_of(pid));
    // From its first instruction on: what it forks is there too.
    let pid = container.detached_exec(["sh", "-c", "sleep 1000 & sleep 1000 & wait"]);
    wait_until("it has children", || container.processes().len() == 5);
    for process in container.processes() {
        assert_eq!(cgroups_of(process), cgroups_of(pid));
    }
}

#[test]
fn process_sees_its_cgroup_as_the_container_does() {
    let container = sleeping("cgroup").namespace("cgroup").started();
    let pid = container.pid();
    let first = container.exec(["cat", "/proc/1/cgroup"]).ok();
    let own = container.exec(["cat", "/proc/self/cgroup"]).ok();
    assert_eq!(own, first);
    assert!(own.lines().any(|line| line.ends_with(":/")), "{own}");
    assert!(cgroups_of(pid).contains(&container.id));
}

#[test]
fn process_is_in_the_cgroup_of_an_absolute_path() {
    let container = sleeping("cgroup");
    let path = container.absolute_cgroup();
    let container = container.edit(|config| config["linux"]["cgroupsPath"] = json!(path)).started();
    let pid = container.detached_exec(["sleep", "1000"]);
    assert_eq!(cgroups_of(pid), cgroups_of(container.pid()));
}

/// A cgroup below the container's own, and one beside it whose name begins with its name.
struct Subgroup {
    controller: String,
    below: PathBuf,
    beside: PathBuf,
}

impl Subgroup {
    fn of(container: &Container) -> Self {
        // freezer: a v1 cgroup of it needs no settings, unlike a cpuset.
        let own = controller("freezer").expect("every view can freeze").cgroup_of(container.pid());
        let name = own.file_name().expect("it has a name").to_string_lossy().into_owned();
        let beside = own.with_file_name(format!("{name}-beside"));
        fs::create_dir_all(own.join("below/that")).expect("a cgroup can be made");
        fs::create_dir_all(&beside).expect("a cgroup can be made");
        let controller = if cgroup_v2() { String::new() } else { "freezer:".into() };
        Self { controller, below: own.join("below"), beside }
    }

    /// The option for a path below the cgroup of the container.
    fn option(&self, path: &str) -> String {
        format!("--cgroup={}{path}", self.controller)
    }

    /// Nobody is in there?
    fn is_empty(path: &Path) -> bool {
        fs::read_to_string(path.join("cgroup.procs")).expect("it is there").is_empty()
    }
}

impl Drop for Subgroup {
    fn drop(&mut self) {
        for path in [&self.below.join("that"), &self.below, &self.beside] {
            for _ in 0..50 {
                if fs::remove_dir(path).is_ok() || !path.exists() {
                    break;
                }
                thread::sleep(Duration::from_millis(10));
            }
        }
    }
}

#[test]
fn cgroup_below_that_of_the_container_can_be_chosen() {
    let container = running("sub");
    let subgroup = Subgroup::of(&container);
    for path in ["below", "/below", "below/", "./below"] {
        let exec =
            container.executing([subgroup.option(path).as_str()], ["sh", "-c", "echo ready; sleep 1000"]).spawn();
        exec.wait_for("ready\n");
        assert!(!Subgroup::is_empty(&subgroup.below), "{path}");
        exec.signal(Signal::TERM);
        exec.wait().exits(143);
        wait_until("it is gone", || Subgroup::is_empty(&subgroup.below));
    }
    let exec =
        container.executing([subgroup.option("below/that").as_str()], ["sh", "-c", "echo ready; sleep 1000"]).spawn();
    exec.wait_for("ready\n");
    assert!(!Subgroup::is_empty(&subgroup.below.join("that")));
    exec.signal(Signal::TERM);
    exec.wait().exits(143);
}

#[test]
fn own_cgroup_of_the_container_can_be_chosen() {
    let container = running("sub");
    let subgroup = Subgroup::of(&container);
    for path in ["/", "."] {
        let exec = container.executing([subgroup.option(path).as_str()], ["cat", "/proc/self/cgroup"]).output();
        assert_eq!(exec.ok(), cgroups_of(container.pid()), "{path}");
    }
}

#[test]
fn cgroup_that_is_missing_is_refused() {
    let container = running("sub");
    let subgroup = Subgroup::of(&container);
    let output = container.executing([subgroup.option("not-there").as_str()], ["true"]).output();
    output.refused_with(255).says("not-there").says("no such file or directory");
    assert!(!subgroup.below.with_file_name("not-there").exists(), "it must not be made");
    assert_eq!(container.processes().len(), 1);
}

#[test]
fn cgroup_outside_of_the_container_is_refused() {
    let container = running("sub");
    let subgroup = Subgroup::of(&container);
    let own = subgroup.below.parent().expect("it has one").to_owned();
    for path in ["..", "../", "/..", "below/../..", "../..", "../../../../../../..", "../suite"] {
        let output = container.executing([subgroup.option(path).as_str()], ["true"]).output();
        output.refused_with(255);
        assert_eq!(container.processes().len(), 1, "{path}");
    }
    // An absolute path is one below the container's cgroup too, and there it is missing.
    let absolute = own.to_string_lossy().into_owned();
    container.executing([subgroup.option(&absolute).as_str()], ["true"]).output().refused_with(255);
    container.executing([subgroup.option("/suite").as_str()], ["true"]).output().refused_with(255);
}

/// A comparison of texts takes a sibling for a child: /a/box-beside begins with /a/box.
#[test]
fn cgroup_beside_that_of_the_container_is_refused() {
    let container = running("sub");
    let subgroup = Subgroup::of(&container);
    let name = subgroup.beside.file_name().expect("it has a name").to_string_lossy().into_owned();
    for path in [format!("../{name}"), format!("below/../../{name}"), format!("/../{name}")] {
        let option = subgroup.option(&path);
        let exec = container.executing([option.as_str(), "--detach"], ["sleep", "1000"]).output();
        if differs("exec-into-a-cgroup-beside") {
            continue;
        }
        exec.refused_with(255);
        assert!(Subgroup::is_empty(&subgroup.beside), "{path}");
    }
    container.delete_by_force().exits(0);
    // What got there is in no container's cgroup.
    let left = fs::read_to_string(subgroup.beside.join("cgroup.procs")).expect("it is there");
    left.lines().filter_map(|pid| pid.parse().ok()).for_each(|pid| signal(pid, Signal::KILL));
}

#[test]
fn cgroup_can_be_chosen_for_each_controller() {
    require!(!cgroup_v2(), "cgroup v2 has one hierarchy");
    let container = running("sub");
    let subgroup = Subgroup::of(&container);
    let pids = controller("pids").expect("the hybrid view has it").cgroup_of(container.pid());
    fs::create_dir(pids.join("other")).expect("a cgroup can be made");
    let words = ["cat", "/proc/self/cgroup"];
    let text = container.executing(["--cgroup", "freezer:below", "--cgroup=pids:other"], words).output().ok();
    let line = |name: &str| text.lines().find(|line| line.contains(name)).unwrap_or_default().to_owned();
    assert!(line(":freezer:").ends_with(&format!("{}/below", container.id)), "{text}");
    assert!(line(":pids:").ends_with(&format!("{}/other", container.id)), "{text}");
    assert!(line(":memory:").ends_with(&container.id), "{text}");
    fs::create_dir(pids.join("below")).expect("a cgroup can be made");
    let text = container.executing(["--cgroup", "freezer,pids:below"], words).output().ok();
    assert_eq!(text.matches("/below").count(), 2, "{text}");
    wait_until("they are empty", || fs::remove_dir(pids.join("below")).is_ok());
    wait_until("they are empty", || fs::remove_dir(pids.join("other")).is_ok());
    drop(subgroup);
}

#[test]
fn controller_that_is_unknown_is_refused() {
    let container = running("sub");
    container.executing(["--cgroup", "mood:/"], ["true"]).output().refused_with(255).says("mood");
    container.executing(["--cgroup", "a", "--cgroup", "b"], ["true"]).output().refused_with(255).says("--cgroup");
    if !differs("exec-cgroup-without-a-controller") {
        container.executing(["--cgroup", ":/"], ["true"]).output().refused_with(255).says("--cgroup");
        let twice = container.executing(["--cgroup=freezer:/", "--cgroup=freezer:/"], ["true"]).output();
        twice.refused_with(255).says("freezer");
    }
}

#[test]
fn cgroup_that_the_container_has_handed_on_is_left_to_it() {
    // systemd in a container does this: it moves itself into a child of its cgroup, and from then on only the children
    // may have processes.
    require!(cgroup_v2(), "cgroup v1 knows no such thing");
    require!(controller("hugetlb").is_some() || controller("memory").is_some(), "no controller in this view");
    let container = running("delegated");
    let pid = container.pid();
    let own = controller("freezer").expect("it is built in").cgroup_of(pid);
    let child = own.join("init.scope");
    fs::create_dir(&child).expect("a cgroup can be made");
    fs::write(child.join("cgroup.procs"), pid.to_string()).expect("a process can be moved");
    // Nothing has been handed on: the container's own cgroup it is.
    let found = container.exec(["cat", "/proc/self/cgroup"]).ok();
    assert!(found.lines().any(|line| line.ends_with(&container.id)), "{found}");

    let controllers = fs::read_to_string(own.join("cgroup.controllers")).expect("it is there");
    let name = controllers.split_whitespace().next().expect("there is one");
    fs::write(own.join("cgroup.subtree_control"), format!("+{name}")).expect("it can be handed on");
    let found = container.exec(["cat", "/proc/self/cgroup"]).ok();
    assert!(found.lines().any(|line| line.ends_with(&format!("{}/init.scope", container.id))), "{found}");
    container.executing(["--cgroup", "init.scope"], ["true"]).output().quietly();
    // Who asks for the container's own gets it or nothing.
    container.executing(["--cgroup", "/"], ["true"]).output().refused_with(255);
    container.exec(["true"]).quietly();
    container.delete_by_force().exits(0);
    container.leaves_nothing();
}
