//! Cgroups: where the container is, which limits it gets, and that nothing of it stays.

use std::{fs, path::Path};

use runtime_tests::{Container, Controller, cgroup_v2, controller, differs, require, wait_until};
use serde_json::{Value, json};

/// A container that runs.
fn running(container: Container) -> Container {
    let container = container.args(["sleep", "1000"]);
    container.create().quietly();
    container.start().quietly();
    container
}

/// A container with these resources, and device rules as usual.
fn limited(name: &str, limits: Value) -> Container {
    Container::new("limit").edit(|config| config["linux"]["resources"][name] = limits)
}

/// What a control file says of a container.
fn control(controller: &Controller, container: &Container, file: &str) -> String {
    let path = controller.cgroup_of(container.pid()).join(file);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())).trim().to_owned()
}

/// Any hierarchy: the first that this view has.
fn any() -> Controller {
    ["pids", "memory", "cpu", "devices"].into_iter().find_map(controller).expect("there is one")
}

// ---- where ----

#[test]
fn container_has_a_cgroup_of_its_own() {
    let container = running(Container::new("own"));
    for name in ["memory", "pids", "cpu", "devices", "freezer"] {
        let Some(controller) = controller(name) else { continue };
        let cgroup = controller.cgroup_of(container.pid());
        assert!(cgroup.ends_with(&container.id), "{name}: {}", cgroup.display());
        let processes = fs::read_to_string(cgroup.join("cgroup.procs")).expect("it can be read");
        assert_eq!(processes.trim(), container.pid().to_string(), "{name}");
    }
}

#[test]
fn absolute_path_starts_at_the_root_of_the_hierarchy() {
    let container = Container::new("absolute");
    let path = container.absolute_cgroup();
    let container = running(container.edit(|config| config["linux"]["cgroupsPath"] = json!(path)));
    for name in ["memory", "pids", "cpu", "devices"] {
        let Some(controller) = controller(name) else { continue };
        let expected = controller.mount.join(path.trim_start_matches('/'));
        assert_eq!(controller.cgroup_of(container.pid()), expected, "{name}");
    }
    container.delete_by_force().quietly();
    container.leaves_nothing();
}

#[test]
fn relative_path_stays_near_the_caller() {
    let container = Container::new("relative");
    let path = format!("relative-{}", container.id);
    let container = running(container.edit(|config| config["linux"]["cgroupsPath"] = json!(path)));
    let cgroup = any().cgroup_of(container.pid());
    assert!(cgroup.ends_with(&path), "{}", cgroup.display());
    container.delete_by_force().quietly();
    container.leaves_nothing();
}

#[test]
fn path_with_several_parts_is_made() {
    let container = Container::new("deep");
    let path = format!("{0}/middle/{0}", container.absolute_cgroup());
    let container = running(container.edit(|config| config["linux"]["cgroupsPath"] = json!(path)));
    let expected = any().mount.join(path.trim_start_matches('/'));
    assert_eq!(any().cgroup_of(container.pid()), expected);
    container.delete_by_force().quietly();
    assert!(!expected.exists());
    // The runtime made the directories above it as well; whose they are is not said anywhere.
    let _ = container.may_leave_something();
}

#[test]
fn children_are_born_in_the_cgroup() {
    let container = Container::new("children").script("sleep 1000 & sleep 1000 & echo ready; wait");
    let foreground = container.spawn();
    foreground.wait_for("ready\n");
    let cgroup = any().cgroup_of(container.pid());
    let processes = fs::read_to_string(cgroup.join("cgroup.procs")).expect("it can be read");
    assert_eq!(processes.lines().count(), 3, "{processes}");
    container.kill("KILL").quietly();
    let _ = foreground.wait();
}

#[test]
fn caller_stays_in_its_cgroup() {
    let before = fs::read_to_string("/proc/self/cgroup").expect("proc is mounted");
    let text = Container::new("caller").through("\"$@\"; cat /proc/self/cgroup").args(["true"]).run().ok();
    assert_eq!(text, before);
}

#[test]
fn cgroup_that_has_processes_is_refused() {
    if differs("occupied-cgroup") {
        return;
    }
    let first = Container::new("first");
    let path = first.absolute_cgroup();
    let first = running(first.edit(|config| config["linux"]["cgroupsPath"] = json!(path)));
    let second = Container::new("second").args(["true"]).edit(|config| config["linux"]["cgroupsPath"] = json!(path));
    second.create().refused().says("container's cgroup is not empty");
    assert_eq!(first.status(), "running");
}

#[test]
fn cgroup_that_is_empty_is_used() {
    let container = Container::new("empty").args(["true"]);
    let path = container.absolute_cgroup();
    let directory = any().mount.join(path.trim_start_matches('/'));
    fs::create_dir_all(&directory).expect("it can be made");
    container.edit(|config| config["linux"]["cgroupsPath"] = json!(path)).run().quietly();
}

// ---- limits ----

#[test]
fn memory_limit_is_set() {
    let memory = controller("memory");
    require!(memory.is_some(), "no memory controller in this view");
    let memory = memory.expect("just looked");
    let container = running(limited("memory", json!({ "limit": 64 << 20, "reservation": 32 << 20 })));
    if cgroup_v2() {
        assert_eq!(control(&memory, &container, "memory.max"), "67108864");
        assert_eq!(control(&memory, &container, "memory.low"), "33554432");
    } else {
        assert_eq!(control(&memory, &container, "memory.limit_in_bytes"), "67108864");
        assert_eq!(control(&memory, &container, "memory.soft_limit_in_bytes"), "33554432");
    }
}

#[test]
fn unlimited_memory_is_minus_one() {
    let memory = controller("memory");
    require!(memory.is_some(), "no memory controller in this view");
    let memory = memory.expect("just looked");
    let container = running(limited("memory", json!({ "limit": -1 })));
    let (file, expected) =
        if cgroup_v2() { ("memory.max", "max") } else { ("memory.limit_in_bytes", "9223372036854771712") };
    assert_eq!(control(&memory, &container, file), expected);
}

#[test]
fn container_that_takes_too_much_memory_is_killed() {
    require!(controller("memory").is_some(), "no memory controller in this view");
    // What tail keeps grows until it meets the limit.
    let output = limited("memory", json!({ "limit": 16 << 20 }))
        .script("tail -c 200000000 /dev/zero | wc -c; exec tail /dev/zero")
        .run();
    assert_eq!(output.code, 137, "{output:?}");
}

#[test]
fn number_of_processes_is_limited() {
    let pids = controller("pids");
    require!(pids.is_some(), "no pids controller in this view");
    let pids = pids.expect("just looked");
    let container = running(limited("pids", json!({ "limit": 20 })));
    assert_eq!(control(&pids, &container, "pids.max"), "20");
    let output =
        limited("pids", json!({ "limit": 5 })).script("for n in 1 2 3 4 5 6 7 8; do sleep 1 & done; echo all").run();
    assert!(!output.stdout.contains("all") && output.stderr.contains("can't fork"), "{output:?}");
}

#[test]
fn unlimited_processes_are_minus_one() {
    let pids = controller("pids");
    require!(pids.is_some(), "no pids controller in this view");
    let container = running(limited("pids", json!({ "limit": -1 })));
    assert_eq!(control(&pids.expect("just looked"), &container, "pids.max"), "max");
}

#[test]
fn processor_time_is_limited() {
    let cpu = controller("cpu");
    require!(cpu.is_some(), "no cpu controller in this view");
    let cpu = cpu.expect("just looked");
    let container = running(limited("cpu", json!({ "shares": 512, "quota": 50_000, "period": 100_000 })));
    if cgroup_v2() {
        assert_eq!(control(&cpu, &container, "cpu.max"), "50000 100000");
        let weight: u32 = control(&cpu, &container, "cpu.weight").parse().expect("a number");
        assert!(weight < 100, "512 shares are less than the default: {weight}");
    } else {
        assert_eq!(control(&cpu, &container, "cpu.shares"), "512");
        assert_eq!(control(&cpu, &container, "cpu.cfs_quota_us"), "50000");
        assert_eq!(control(&cpu, &container, "cpu.cfs_period_us"), "100000");
    }
}

#[test]
fn processors_are_chosen() {
    let cpuset = controller("cpuset");
    require!(cpuset.is_some(), "no cpuset controller in this view");
    let container = running(limited("cpu", json!({ "cpus": "0", "mems": "0" })));
    assert_eq!(control(&cpuset.expect("just looked"), &container, "cpuset.cpus"), "0");
    let status = fs::read_to_string(format!("/proc/{}/status", container.pid())).expect("it lives");
    assert!(status.contains("\nCpus_allowed_list:\t0\n"), "{status}");
}

#[test]
fn limits_are_there_before_the_process_runs() {
    require!(controller("pids").is_some(), "no pids controller in this view");
    let place = if cgroup_v2() { "/sys/fs/cgroup" } else { "/sys/fs/cgroup/pids" };
    let container = limited("pids", json!({ "limit": 77 })).namespace("cgroup");
    container.args(["cat", &format!("{place}/pids.max")]).run().prints("77\n");
}

#[test]
fn limit_for_a_controller_that_is_missing_is_refused() {
    require!(controller("memory").is_none(), "this view has a memory controller");
    let refusal = limited("memory", json!({ "limit": 64 << 20 })).args(["true"]).create().refused();
    assert!(refusal.stderr.contains("memory"), "{refusal:?}");
}

#[test]
fn values_of_unified_are_written_as_they_are() {
    let pids = controller("pids");
    require!(cgroup_v2() && pids.is_some(), "no pids controller of cgroup v2 in this view");
    let container = running(limited("unified", json!({ "pids.max": "42" })));
    assert_eq!(control(&pids.expect("just looked"), &container, "pids.max"), "42");
}

#[test]
fn unknown_value_of_unified_is_named() {
    require!(cgroup_v2(), "unified is for cgroup v2");
    limited("unified", json!({ "no.such.file": "1" })).args(["true"]).create().refused().says("no.such.file");
}

#[test]
fn limit_that_the_kernel_refuses_is_an_error() {
    require!(controller("pids").is_some() && !cgroup_v2(), "no cpuset of cgroup v1 in this view");
    let refusal = limited("cpu", json!({ "cpus": "1000-2000" })).args(["true"]).create().refused();
    assert!(refusal.stderr.contains("cpuset.cpus"), "{refusal:?}");
}

#[test]
fn missing_resources_are_no_limits() {
    Container::new("none").args(["true"]).edit(|config| config["linux"]["resources"] = json!({})).run().quietly();
}

// ---- the end ----

#[test]
fn nested_cgroups_are_removed() {
    let place = if cgroup_v2() { "/sys/fs/cgroup" } else { "/sys/fs/cgroup/pids" };
    let container = Container::new("nested")
        .namespace("cgroup")
        .without_mount("/sys/fs/cgroup")
        .mount("cgroup", "cgroup", "/sys/fs/cgroup", &["rw"])
        .script(&format!("mkdir -p {place}/a/b/c {place}/d && echo ready && sleep 1000"));
    let foreground = container.spawn();
    foreground.wait_for("ready\n");
    container.kill("KILL").quietly();
    foreground.wait().exits(137);
    container.leaves_nothing();
}

#[test]
fn processes_in_nested_cgroups_are_killed() {
    let place = if cgroup_v2() { "/sys/fs/cgroup" } else { "/sys/fs/cgroup/pids" };
    let container = Container::new("nested")
        .namespace("cgroup")
        .without_namespace("pid")
        .without_mount("/sys/fs/cgroup")
        .mount("cgroup", "cgroup", "/sys/fs/cgroup", &["rw"])
        .script(&format!(
            "mkdir {place}/a && sh -c 'echo 0 > {place}/a/cgroup.procs; echo ready; exec sleep 1000' & wait"
        ));
    let foreground = container.spawn();
    foreground.wait_for("ready\n");
    container.call(["kill", "--all", &container.id, "KILL"]).output().quietly();
    foreground.wait().exits(137);
    container.leaves_nothing();
}

#[test]
fn frozen_container_can_be_killed() {
    let container = running(Container::new("frozen"));
    let cgroup = controller("freezer").expect("every view can freeze").cgroup_of(container.pid());
    let (file, value) = if cgroup_v2() { ("cgroup.freeze", "1") } else { ("freezer.state", "FROZEN") };
    fs::write(cgroup.join(file), value).expect("the freezer can be told");
    container.wait_for("paused");
    container.call(["delete", "--force", &container.id]).output().quietly();
    container.leaves_nothing();
}

#[test]
fn all_processes_are_killed_at_once() {
    let container = Container::new("many")
        .without_namespace("pid")
        .script("for n in 1 2 3 4 5 6 7 8; do sleep 1000 & done; echo ready; wait");
    let foreground = container.spawn();
    foreground.wait_for("ready\n");
    let sleepers = || container.processes().into_iter().filter(|&pid| name(pid) == "sleep").count();
    wait_until("eight of them sleep", || sleepers() == 8);
    container.call(["kill", "-a", &container.id, "KILL"]).output().quietly();
    foreground.wait().exits(137);
    wait_until("all are gone", || container.processes().is_empty());
}

fn name(pid: i32) -> String {
    fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("comm")).unwrap_or_default().trim().to_owned()
}
