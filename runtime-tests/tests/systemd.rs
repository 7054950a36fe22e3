//! Cgroups that systemd makes: `--systemd-cgroup`. In the view of a whole machine, because it needs one's systemd.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use runtime_tests::{Container, cgroup_v2, differs, is_runc, old_runc, require, wait_until};
use serde_json::{Value, json};

/// Is there a systemd to talk to?
fn systemd() -> bool {
    cgroup_v2() && Path::new("/run/systemd/private").exists()
}

macro_rules! require_systemd {
    () => {
        require!(systemd(), "no systemd here that makes cgroups v2")
    };
}

/// A container whose cgroup is left to systemd.
fn scoped(name: &str) -> Container {
    Container::new(name).global("--systemd-cgroup")
}

/// What `systemctl` prints.
fn systemctl(words: &[&str]) -> String {
    let output = Command::new("systemctl").args(words).output().expect("systemctl runs");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The unit of a container without a `cgroupsPath`.
fn unit(container: &Container) -> String {
    let prefix = if is_runc() { "runc" } else { "rt" };
    format!("{prefix}-{}.scope", container.id)
}

fn property(unit: &str, name: &str) -> String {
    systemctl(&["show", "--value", "-p", name, unit]).trim_end().to_owned()
}

/// Whether systemd knows it, also as one that has failed.
fn is_known(unit: &str) -> bool {
    !systemctl(&["list-units", "--all", "--no-legend", "--plain", unit]).trim().is_empty()
}

/// The cgroup of a process.
fn cgroup(pid: i32) -> PathBuf {
    let text = fs::read_to_string(format!("/proc/{pid}/cgroup")).expect("the process lives");
    let path = text.trim_end().strip_prefix("0::").unwrap_or_else(|| panic!("{text}"));
    Path::new("/sys/fs/cgroup").join(path.trim_start_matches('/'))
}

/// What a control file says of a container that runs.
fn control(container: &Container, file: &str) -> String {
    let path = cgroup(container.pid()).join(file);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())).trim().to_owned()
}

fn running(container: Container) -> Container {
    started(container.args(["sleep", "1000"]))
}

fn started(container: Container) -> Container {
    create(&container);
    container.start().quietly();
    container
}

/// An old runc warns of devices that this machine does not have.
fn create(container: &Container) {
    let output = container.create();
    if old_runc() { assert_eq!(output.code, 0, "{}", output.stderr) } else { output.quietly() }
}

fn resources(container: Container, resources: Value) -> Container {
    container.edit(|config| {
        for (name, value) in resources.as_object().expect("resources are an object") {
            config["linux"]["resources"][name] = value.clone();
        }
    })
}

fn annotated(container: Container, name: &str, value: &str) -> Container {
    container.edit(|config| config["annotations"][format!("org.systemd.property.{name}")] = json!(value))
}

// ---- where ----

#[test]
fn container_is_a_scope_of_the_system() {
    require_systemd!();
    let container = running(scoped("scope"));
    let unit = unit(&container);
    assert_eq!(cgroup(container.pid()), Path::new("/sys/fs/cgroup/system.slice").join(&unit));
    for (name, value) in [
        ("ActiveState", "active"),
        ("SubState", "running"),
        ("Slice", "system.slice"),
        ("Delegate", "yes"),
        ("DefaultDependencies", "no"),
        ("CPUAccounting", "yes"),
        ("IOAccounting", "yes"),
        ("MemoryAccounting", "yes"),
        ("TasksAccounting", "yes"),
        ("Transient", "yes"),
    ] {
        assert_eq!(property(&unit, name), value, "{name}");
    }
    assert_eq!(control(&container, "cgroup.procs"), container.pid().to_string());
}

#[test]
fn path_names_slice_prefix_and_name() {
    require_systemd!();
    let container = scoped("path");
    let (id, path) = (container.id.clone(), format!("rttest-deep.slice:pre:{}", container.id));
    let container = running(container.edit(|config| config["linux"]["cgroupsPath"] = json!(path)));
    let expected = format!("/sys/fs/cgroup/rttest.slice/rttest-deep.slice/pre-{id}.scope");
    assert_eq!(cgroup(container.pid()), Path::new(&expected));
    assert_eq!(property(&format!("pre-{id}.scope"), "Slice"), "rttest-deep.slice");
    container.delete_by_force().quietly();
    assert!(!Path::new(&expected).exists() && !is_known(&format!("pre-{id}.scope")));
}

#[test]
fn a_part_of_the_path_may_be_empty() {
    require_systemd!();
    let container = scoped("empty");
    let (id, path) = (container.id.clone(), format!("::{}", container.id));
    let container = running(container.edit(|config| config["linux"]["cgroupsPath"] = json!(path)));
    assert_eq!(cgroup(container.pid()), Path::new(&format!("/sys/fs/cgroup/system.slice/-{id}.scope")));
}

#[test]
fn path_that_is_none_of_systemd_s_is_refused() {
    require_systemd!();
    for (path, words) in [
        ("/a/b", "expected cgroupsPath to be of format"),
        ("a.slice:b", "expected cgroupsPath to be of format"),
        ("a:b:c", "invalid slice name: a"),
        ("a--b.slice:b:c", "invalid slice name: a--b.slice"),
    ] {
        let container = scoped("refused").edit(|config| config["linux"]["cgroupsPath"] = json!(path));
        container.args(["true"]).create().refused().says(words);
    }
}

#[test]
fn an_id_that_is_no_name_of_a_unit_is_escaped() {
    require_systemd!();
    if differs("plus-in-a-unit") {
        return;
    }
    let mut container = scoped("plus");
    container.id += "+x";
    let container = running(container);
    assert!(cgroup(container.pid()).ends_with(format!("rt-{}.scope", container.id.replace('+', "\\x2b"))));
}

#[test]
fn container_is_born_in_its_cgroup_namespace() {
    require_systemd!();
    let container = scoped("namespace").namespace("cgroup").args(["cat", "/proc/self/cgroup"]);
    container.run().prints("0::/\n");
}

#[test]
fn nobody_else_is_left_in_the_scope_and_it_stays() {
    require_systemd!();
    let container = scoped("alone").args(["sleep", "1000"]);
    create(&container);
    let before = control(&container, "cgroup.procs");
    assert_eq!(before, container.pid().to_string());
    systemctl(&["daemon-reload"]);
    assert_eq!(property(&unit(&container), "ActiveState"), "active");
    container.start().quietly();
    assert_eq!(control(&container, "cgroup.procs"), before);
}

#[test]
fn exec_joins_the_scope() {
    require_systemd!();
    let container = running(scoped("exec"));
    let pid = container.detached_exec(["sleep", "1000"]);
    assert_eq!(cgroup(pid), cgroup(container.pid()));
}

#[test]
fn a_name_that_is_taken_is_refused_and_its_owner_lives_on() {
    require_systemd!();
    require!(!old_runc(), "it takes no notice");
    let first = scoped("first");
    let path = format!("system.slice:taken:{}", first.id);
    let first = running(first.edit(|config| config["linux"]["cgroupsPath"] = json!(path)));
    let second = scoped("second").args(["true"]).edit(|config| config["linux"]["cgroupsPath"] = json!(path));
    let refused = second.create();
    assert_ne!(refused.code, 0);
    assert!(refused.stderr.contains("already"), "{}", refused.stderr);
    assert_eq!(first.status(), "running");
    assert_eq!(control(&first, "cgroup.procs"), first.pid().to_string());
}

// ---- limits ----

#[test]
fn limits_are_properties_and_files() {
    require_systemd!();
    let limits = json!({
        "memory": { "limit": 67_108_864, "swap": 134_217_728, "reservation": 33_554_432 },
        "cpu": { "quota": 50_000, "period": 100_000, "cpus": "0", "mems": "0" },
        "pids": { "limit": 33 },
    });
    let container = running(resources(scoped("limits"), limits));
    let unit = unit(&container);
    for (name, value) in [
        ("MemoryMax", "67108864"),
        ("MemorySwapMax", "67108864"),
        ("MemoryLow", "33554432"),
        ("CPUQuotaPerSecUSec", "500ms"),
        ("CPUQuotaPeriodUSec", "100ms"),
        ("AllowedCPUs", "0"),
        ("AllowedMemoryNodes", "0"),
        ("TasksMax", "33"),
    ] {
        assert_eq!(property(&unit, name), value, "{name}");
    }
    let files = || {
        for (file, value) in [
            ("memory.max", "67108864"),
            ("memory.swap.max", "67108864"),
            ("memory.low", "33554432"),
            ("cpu.max", "50000 100000"),
            ("cpuset.cpus", "0"),
            ("cpuset.mems", "0"),
            ("pids.max", "33"),
        ] {
            assert_eq!(control(&container, file), value, "{file}");
        }
    };
    files();
    systemctl(&["daemon-reload"]);
    files();
}

#[test]
fn a_quota_is_a_whole_number_of_percents() {
    require_systemd!();
    require!(!old_runc(), "it tells systemd and the kernel different things");
    let container = running(resources(scoped("quota"), json!({ "cpu": { "quota": 12_345, "period": 100_000 } })));
    assert_eq!(property(&unit(&container), "CPUQuotaPerSecUSec"), "130ms");
    assert_eq!(control(&container, "cpu.max"), "13000 100000");
}

#[test]
fn weights_stay_when_systemd_reads_its_units_again() {
    require_systemd!();
    require!(!old_runc(), "it has another conversion");
    let container = running(resources(scoped("weight"), json!({ "cpu": { "shares": 512 } })));
    assert_eq!(property(&unit(&container), "CPUWeight"), "59");
    systemctl(&["daemon-reload"]);
    assert_eq!(control(&container, "cpu.weight"), "59");
}

#[test]
fn limits_of_unified_are_properties_as_well() {
    require_systemd!();
    let unified = json!({ "unified": { "memory.high": "60000000", "pids.max": "7", "cgroup.max.depth": "3" } });
    let container = running(resources(scoped("unified"), unified));
    // A whole page.
    assert_eq!(property(&unit(&container), "MemoryHigh"), "60000000");
    assert_eq!(property(&unit(&container), "TasksMax"), "7");
    systemctl(&["daemon-reload"]);
    assert_eq!(control(&container, "memory.high"), "59998208");
    assert_eq!(control(&container, "pids.max"), "7");
    assert_eq!(control(&container, "cgroup.max.depth"), "3");
}

#[test]
fn what_systemd_has_no_word_for_is_written_as_well() {
    require_systemd!();
    let limits = json!({ "hugepageLimits": [{ "pageSize": "2MB", "limit": 4_194_304 }] });
    let container = running(resources(scoped("hugetlb"), limits));
    assert_eq!(control(&container, "hugetlb.2MB.max"), "4194304");
    systemctl(&["daemon-reload"]);
    assert_eq!(control(&container, "hugetlb.2MB.max"), "4194304");
}

#[test]
fn a_limit_of_one_process_is_enough_for_one() {
    require_systemd!();
    let container = running(resources(scoped("single"), json!({ "pids": { "limit": 1 } })));
    assert_eq!(property(&unit(&container), "TasksMax"), "1");
    assert_eq!(control(&container, "pids.max"), "1");
    assert_eq!(control(&container, "pids.current"), "1");
}

#[test]
fn memory_that_runs_out_ends_the_container_and_nothing_stays() {
    require_systemd!();
    let limits = json!({ "memory": { "limit": 16_777_216, "swap": 16_777_216 } });
    let container = resources(scoped("oom"), limits).script("dd if=/dev/zero of=/dev/null bs=64M");
    create(&container);
    container.start().quietly();
    container.wait_for("stopped");
    container.delete().quietly();
    assert!(!is_known(&unit(&container)));
}

// ---- annotations ----

#[test]
fn annotations_are_properties() {
    require_systemd!();
    let container = annotated(scoped("annotated"), "TimeoutStopSec", "7");
    let container = annotated(container, "CollectMode", "'inactive-or-failed'");
    let container = running(annotated(container, "Documentation", "['man:true(1)']"));
    let unit = unit(&container);
    assert_eq!(property(&unit, "TimeoutStopUSec"), "7s");
    assert_eq!(property(&unit, "CollectMode"), "inactive-or-failed");
    assert_eq!(property(&unit, "Documentation").trim_matches('"'), "man:true(1)");
}

#[test]
fn an_annotation_that_is_no_property_is_refused() {
    require_systemd!();
    for (name, value) in
        [("CollectMode", "inactive"), ("TimeoutStopSec", "'soon'"), ("Number1", "1"), ("Xo", "1"), ("After", "[")]
    {
        let output = annotated(scoped("annotated"), name, value).args(["true"]).create().refused();
        assert!(output.stderr.contains(&format!("org.systemd.property.{name}")), "{}", output.stderr);
    }
    // systemd has the last word.
    let container = annotated(scoped("annotated"), "NoSuchThing", "true").args(["true"]);
    let output = container.create();
    assert!(output.code == 1 && output.stderr.contains("NoSuchThing"), "{}", output.stderr);
    assert!(!is_known(&unit(&container)));
}

#[test]
fn annotations_are_nobody_s_without_systemd() {
    annotated(Container::new("ignored"), "CollectMode", "nonsense").args(["echo", "fine"]).run().prints("fine\n");
}

// ---- devices ----

/// Whether the container can open a device for reading: /dev/kmsg may, /dev/loop-control may not.
fn devices(name: &str) -> Container {
    let node = |path: &str, minor: u32, major: u32| json!({ "path": path, "type": "c", "major": major, "minor": minor, "fileMode": 0o666, "uid": 0, "gid": 0 });
    let container = scoped(name).edit(|config| {
        config["linux"]["devices"] = json!([node("/dev/kmsg", 11, 1), node("/dev/loop-control", 237, 10)]);
        let allowed = json!({ "allow": true, "type": "c", "major": 1, "minor": 11, "access": "r" });
        config["linux"]["resources"]["devices"] = json!([{ "allow": false, "access": "rwm" }, allowed]);
    });
    container.capability("CAP_SYSLOG")
}

/// Which of the two can be opened.
fn opens(container: &Container) -> (bool, bool) {
    let open = |path: &str| container.exec_script(&format!(": < {path}")).code == 0;
    (open("/dev/kmsg"), open("/dev/loop-control"))
}

#[test]
fn device_rules_hold_also_when_systemd_reads_its_units_again() {
    require_systemd!();
    let container = running(devices("devices"));
    assert_eq!(property(&unit(&container), "DevicePolicy"), "strict");
    let list = property(&unit(&container), "DeviceAllow");
    assert!(list.contains("/dev/char/1:11 r") && list.contains("/dev/char/1:3 rwm"), "{list}");
    assert_eq!(opens(&container), (true, false));
    systemctl(&["daemon-reload"]);
    assert_eq!(opens(&container), (true, false));
    // It tells its cgroups again what it knows.
    systemctl(&["set-property", "--runtime", &unit(&container), "TasksMax=55"]);
    assert_eq!(opens(&container), (true, false));
    assert_eq!(container.exec_script(": < /dev/zero").code, 0);
}

#[test]
fn a_container_that_may_use_every_device_still_may() {
    require_systemd!();
    let container = devices("all").edit(|config| {
        config["linux"]["resources"]["devices"] = json!([{ "allow": true, "access": "rwm" }]);
    });
    let container = running(container);
    assert_eq!(property(&unit(&container), "DevicePolicy"), "auto");
    assert_eq!(opens(&container), (true, true));
    systemctl(&["daemon-reload"]);
    assert_eq!(opens(&container), (true, true));
}

#[test]
fn rules_that_systemd_has_no_words_for_hold_as_well() {
    require_systemd!();
    if differs("systemd-forgets-rules") {
        return;
    }
    // Every driver's number 11, and all but one of those that number 10 has.
    let container = devices("words").edit(|config| {
        config["linux"]["resources"]["devices"] = json!([
            { "allow": false, "access": "rwm" },
            { "allow": true, "type": "c", "minor": 11, "access": "r" },
            { "allow": true, "type": "c", "major": 10, "access": "rw" },
            { "allow": false, "type": "c", "major": 10, "minor": 237, "access": "r" },
        ]);
    });
    let container = running(container);
    assert_eq!(opens(&container), (true, false));
    systemctl(&["daemon-reload"]);
    assert_eq!(opens(&container), (true, false));
}

#[test]
fn updated_device_rules_hold_also_when_systemd_reads_its_units_again() {
    require_systemd!();
    require!(!is_runc(), "its update leaves devices alone");
    let container = running(devices("update"));
    let other = json!({ "devices": [
        { "allow": false, "access": "rwm" },
        { "allow": true, "type": "c", "major": 10, "minor": 237, "access": "rw" },
    ] });
    let file = container.outside("other.json");
    fs::write(&file, other.to_string()).expect("it can be written");
    container.call(["update", "--resources"]).arg(&file).args([&container.id]).output().quietly();
    assert_eq!(opens(&container), (false, true));
    systemctl(&["daemon-reload"]);
    assert_eq!(opens(&container), (false, true));
    let list = property(&unit(&container), "DeviceAllow");
    assert!(list.contains("/dev/char/10:237 rw") && !list.contains("/dev/char/1:11 "), "{list}");
}

// ---- later ----

#[test]
fn update_tells_systemd_without_being_told_to() {
    require_systemd!();
    let limits = json!({ "memory": { "limit": 67_108_864 }, "cpu": { "quota": 50_000 }, "pids": { "limit": 33 } });
    let container = running(resources(scoped("update"), limits));
    let globals: &[&str] = if is_runc() { &["--systemd-cgroup"] } else { &[] };
    let call = container.bare_call().args(globals).arg("--root").arg(container.state_root());
    let call = call.args(["update", "--memory", "100M", "--cpu-quota", "33333", "--pids-limit", "44"]);
    call.args([&container.id]).output().quietly();
    let unit = unit(&container);
    for (name, value) in [("MemoryMax", "104857600"), ("CPUQuotaPerSecUSec", "340ms"), ("TasksMax", "44")] {
        assert_eq!(property(&unit, name), value, "{name}");
    }
    systemctl(&["daemon-reload"]);
    for (file, value) in [("memory.max", "104857600"), ("cpu.max", "34000 100000"), ("pids.max", "44")] {
        assert_eq!(control(&container, file), value, "{file}");
    }
}

#[test]
fn an_update_that_fails_changes_nothing_of_systemd_s() {
    require_systemd!();
    require!(!is_runc(), "its updates can be halves");
    let container = running(resources(scoped("half"), json!({ "pids": { "limit": 33 } })));
    let call = container.call(["update", "--pids-limit", "44", "--cpuset-cpus", "4000", &container.id]);
    call.output().refused().says("cpuset");
    assert_eq!(property(&unit(&container), "TasksMax"), "33");
    assert_eq!(control(&container, "pids.max"), "33");
    let call = container.call(["update", "--pids-limit", "44", &container.id]);
    call.env("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nonexistent/bus").output().refused().says("/nonexistent/bus");
    assert_eq!(control(&container, "pids.max"), "33");
}

#[test]
fn a_paused_container_stands_still_and_goes_on() {
    require_systemd!();
    let container = running(scoped("pause"));
    container.call(["pause", &container.id]).output().quietly();
    assert_eq!(container.status(), "paused");
    assert!(control(&container, "cgroup.events").contains("frozen 1"));
    systemctl(&["daemon-reload"]);
    assert_eq!(container.status(), "paused");
    container.call(["resume", &container.id]).output().quietly();
    assert_eq!(container.status(), "running");
    container.call(["pause", &container.id]).output().quietly();
    container.delete_by_force().quietly();
    assert!(!is_known(&unit(&container)));
}

#[test]
fn delete_removes_the_unit() {
    require_systemd!();
    let container = running(scoped("delete"));
    let unit = unit(&container);
    container.kill("KILL").quietly();
    container.wait_for("stopped");
    container.delete().quietly();
    assert!(!is_known(&unit));
    container.leaves_nothing();
}

#[test]
fn a_container_without_a_pid_namespace_is_deleted_whole() {
    require_systemd!();
    let container = scoped("shared").without_namespace("pid").script("sleep 1000 & sleep 1000 & wait");
    let container = started(container);
    let directory = cgroup(container.pid());
    wait_until("both sleep", || {
        fs::read_to_string(directory.join("cgroup.procs")).is_ok_and(|processes| processes.lines().count() == 3)
    });
    container.delete_by_force().quietly();
    assert!(!directory.exists() && !is_known(&unit(&container)));
}

#[test]
fn cgroups_that_the_container_has_made_go_with_it() {
    require_systemd!();
    let container = running(scoped("nested"));
    let directory = cgroup(container.pid());
    fs::create_dir_all(directory.join("a/b")).expect("it is a cgroup");
    container.delete_by_force().quietly();
    assert!(!directory.exists());
}

#[test]
fn what_could_not_be_made_leaves_no_unit() {
    require_systemd!();
    for (case, container) in [
        ("no such program", scoped("failed").args(["/no/such/program"])),
        ("no such root", scoped("failed").edit(|config| config["root"]["path"] = json!("nowhere"))),
        ("a limit that is none", resources(scoped("failed"), json!({ "cpu": { "cpus": "4000" } }))),
    ] {
        assert_ne!(container.create().code, 0, "{case}");
        wait_until("systemd has forgotten it", || !is_known(&unit(&container)));
        assert_ne!(container.creating("run").output().code, 0, "{case}");
        wait_until("systemd has forgotten it", || !is_known(&unit(&container)));
    }
}

#[test]
fn who_is_killed_while_it_creates_leaves_no_unit_that_delete_does_not_remove() {
    require_systemd!();
    let container = scoped("killed").args(["sleep", "1000"]);
    let hook = json!([{ "path": "/bin/sh", "args": ["sh", "-c", "kill -9 $PPID; sleep 1"] }]);
    let container = container.edit(|config| config["hooks"] = json!({ "createRuntime": hook }));
    assert_eq!(container.creating("create").output().code, 137);
    container.delete_by_force().quietly();
    wait_until("systemd has forgotten it", || !is_known(&unit(&container)));
}

#[test]
fn run_in_the_foreground_leaves_no_unit() {
    require_systemd!();
    let container = scoped("run").args(["echo", "fine"]);
    container.run().prints("fine\n");
    assert!(!is_known(&unit(&container)));
}

#[test]
fn many_are_made_at_once() {
    require_systemd!();
    let containers: Vec<Container> = (0..8).map(|_| scoped("many").args(["echo", "fine"])).collect();
    let calls: Vec<_> = containers.iter().map(Container::spawn).collect();
    calls.into_iter().for_each(|call| call.wait().prints("fine\n"));
}

// ---- a bus that is not there ----

#[test]
fn without_a_bus_nothing_is_made_and_the_socket_is_named() {
    require_systemd!();
    require!(!is_runc(), "it has other words");
    let container = scoped("bus").caller_env("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nonexistent/bus").args(["true"]);
    container.create().refused().says("systemd can't be reached at /nonexistent/bus: no such file or directory");
    assert!(!is_known(&unit(&container)));
}

#[test]
fn a_container_whose_systemd_is_gone_can_be_deleted() {
    require_systemd!();
    require!(!is_runc(), "it fails");
    let container = running(scoped("gone"));
    let call = container.call(["delete", "--force", &container.id]);
    let output = call.env("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nonexistent/bus").output();
    assert_eq!(output.code, 0);
    assert!(output.stderr.contains("/nonexistent/bus"), "{}", output.stderr);
    container.leaves_nothing();
    wait_until("systemd has seen it", || !is_known(&unit(&container)));
}

// ---- explain ----

#[test]
fn explain_says_what_systemd_is_told() {
    require!(!is_runc(), "runc has no explain");
    require!(cgroup_v2(), "cgroups are left to systemd on v2 only");
    let container = resources(scoped("explain").args(["true"]), json!({ "pids": { "limit": 33 } }));
    let _ = container.creating("run");
    let text = container.call(["explain", "--bundle"]).args([container.bundle()]).output().ok();
    for line in ["systemd is told", "Slice = system.slice", "Delegate = true", "TasksMax = 33", "DevicePolicy = strict"]
    {
        assert!(text.contains(line), "{line}: {text}");
    }
    assert!(text.contains("/sys/fs/cgroup/system.slice/rt-"), "{text}");
}
