//! Namespaces: new ones, shared ones, and ones that are joined.

use std::{fs, path::Path};

use runtime_tests::{Container, Sleeper, differs, newer_than_this_runc, require};
use serde_json::json;

/// What the config calls a namespace, and what /proc/PID/ns does.
const KINDS: [(&str, &str); 6] =
    [("pid", "pid"), ("network", "net"), ("ipc", "ipc"), ("uts", "uts"), ("mount", "mnt"), ("cgroup", "cgroup")];

/// The namespace of a process: `net:[4026531840]`.
fn namespace_of(pid: impl std::fmt::Display, name: &str) -> String {
    fs::read_link(format!("/proc/{pid}/ns/{name}")).expect("the process lives").to_string_lossy().into_owned()
}

/// A container that runs.
fn running(container: Container) -> Container {
    let container = container.args(["sleep", "1000"]);
    container.create().quietly();
    container.start().quietly();
    container
}

// ---- new and shared ----

#[test]
fn namespaces_of_the_config_are_new() {
    let container = running(Container::new("new").namespace("cgroup"));
    for (_, name) in KINDS {
        assert_ne!(namespace_of(container.pid(), name), namespace_of("self", name));
    }
}

#[test]
fn namespaces_that_are_not_in_the_config_are_those_of_the_caller() {
    for (kind, name) in KINDS {
        // Sharing the mount namespace has tests of its own.
        if kind == "mount" {
            continue;
        }
        let container = Container::new("shared").without_namespace(kind).edit(|config| {
            if kind == "uts" {
                config.as_object_mut().expect("an object").remove("hostname");
            }
        });
        let container = running(container);
        assert_eq!(namespace_of(container.pid(), name), namespace_of("self", name));
    }
}

#[test]
fn user_namespace_stays_that_of_the_caller() {
    let container = running(Container::new("user"));
    assert_eq!(namespace_of(container.pid(), "user"), namespace_of("self", "user"));
}

#[test]
fn first_process_has_pid_one() {
    Container::new("pid").script("echo $$").run().prints("1\n");
}

#[test]
fn cgroup_namespace_hides_where_the_container_is() {
    let text = Container::new("cgroup").namespace("cgroup").args(["cat", "/proc/self/cgroup"]).run().ok();
    // A v1 hierarchy that the runtime does not use keeps its path.
    let hidden = text.lines().filter(|line| line.ends_with(":/")).count();
    assert!(hidden > 0 && !text.contains("cgroup-"), "{text}");
}

// ---- joined ----

#[test]
fn namespace_of_another_container_is_joined() {
    let first = running(Container::new("first"));
    for (kind, name) in [("network", "net"), ("ipc", "ipc"), ("uts", "uts")] {
        let path = format!("/proc/{}/ns/{name}", first.pid());
        let second = Container::new("second").join(kind, &path).edit(|config| {
            config.as_object_mut().expect("an object").remove("hostname");
        });
        let second = running(second);
        assert_eq!(namespace_of(second.pid(), name), namespace_of(first.pid(), name));
        assert_ne!(namespace_of(second.pid(), "mnt"), namespace_of(first.pid(), "mnt"));
    }
}

#[test]
fn several_namespaces_are_joined_at_once() {
    let sleeper = Sleeper::unshared(&["--net", "--uts", "--ipc"]);
    let container = Container::new("several")
        .join("network", &sleeper.namespace("net"))
        .join("uts", &sleeper.namespace("uts"))
        .join("ipc", &sleeper.namespace("ipc"));
    let container = running(container);
    for name in ["net", "uts", "ipc"] {
        assert_eq!(namespace_of(container.pid(), name), namespace_of(sleeper.pid(), name));
    }
}

#[test]
fn joined_namespaces_may_come_in_any_order() {
    let sleeper = Sleeper::unshared(&["--net", "--uts", "--ipc"]);
    for order in [["uts", "ipc", "net"], ["net", "ipc", "uts"], ["ipc", "net", "uts"]] {
        let container = Container::new("order").args(["true"]).edit(|config| {
            let mut list = vec![json!({ "type": "mount" }), json!({ "type": "pid" })];
            for name in order {
                let kind = if name == "net" { "network" } else { name };
                list.push(json!({ "type": kind, "path": sleeper.namespace(name) }));
            }
            config["linux"]["namespaces"] = json!(list);
        });
        container.run().quietly();
    }
}

#[test]
fn name_is_set_in_a_joined_uts_namespace() {
    let sleeper = Sleeper::unshared(&["--uts"]);
    Container::new("uts")
        .join("uts", &sleeper.namespace("uts"))
        .edit(|config| config["hostname"] = json!("from-inside"))
        .args(["hostname"])
        .run()
        .prints("from-inside\n");
}

#[test]
fn joined_pid_namespace_shows_its_processes() {
    let first = running(Container::new("first"));
    let second = Container::new("second")
        .join("pid", &format!("/proc/{}/ns/pid", first.pid()))
        .script("cat /proc/1/comm; [ $$ != 1 ] && echo I am another");
    second.run().prints("sleep\nI am another\n");
    assert_eq!(first.status(), "running");
}

#[test]
fn container_in_a_joined_pid_namespace_is_killed_whole() {
    // Its first process must wait for orphans, or they stay as zombies.
    let first = Container::new("first").script("while :; do sleep 0.02; done");
    first.create().quietly();
    first.start().quietly();
    let second = Container::new("second")
        .join("pid", &format!("/proc/{}/ns/pid", first.pid()))
        .script("sleep 1000 & echo ready; wait");
    let foreground = second.spawn();
    foreground.wait_for("ready\n");
    second.call(["kill", "--all", &second.id, "KILL"]).output().quietly();
    foreground.wait().exits(137);
    second.leaves_nothing();
    assert_eq!(first.status(), "running");
}

#[test]
fn mount_namespace_of_another_container_is_joined() {
    let first = running(Container::new("first").file("etc/motd", "first\n"));
    let second = Container::new("second")
        .join("mount", &format!("/proc/{}/ns/mnt", first.pid()))
        .unmasked()
        .edit(|config| config["mounts"] = json!([]));
    // What it sees is a question of its own; it must end well and leave nothing in the first one.
    let before = fs::read_to_string(format!("/proc/{}/mountinfo", first.pid())).expect("it lives");
    let _ = second.args(["true"]).run();
    assert_eq!(fs::read_to_string(format!("/proc/{}/mountinfo", first.pid())).expect("it lives"), before);
}

#[test]
fn namespace_that_is_kept_by_a_file_is_joined() {
    let sleeper = Sleeper::unshared(&["--uts"]);
    let container = Container::new("file");
    let file = container.outside("namespace");
    fs::write(&file, "").expect("it can be written");
    let bound = std::process::Command::new("mount").args(["--bind", &sleeper.namespace("uts")]).arg(&file).status();
    assert!(bound.expect("mount runs").success());
    let expected = namespace_of(sleeper.pid(), "uts");
    drop(sleeper);
    let container = running(container.join("uts", &file.to_string_lossy()));
    let joined = namespace_of(container.pid(), "uts");
    let _ = std::process::Command::new("umount").arg("-l").arg(&file).status();
    assert_eq!(joined, expected);
}

#[test]
fn namespace_of_another_kind_is_refused() {
    let refusal = Container::new("kind").args(["true"]).join("network", "/proc/self/ns/uts").create().refused();
    if !differs("wording") {
        refusal.says("/proc/self/ns/uts");
    }
}

#[test]
fn path_that_is_no_namespace_is_refused() {
    let refusal = Container::new("kind").args(["true"]).join("network", "/etc/passwd").create().refused();
    if !differs("wording") {
        refusal.says("/etc/passwd");
    }
}

#[test]
fn missing_namespace_is_named() {
    Container::new("missing")
        .args(["true"])
        .join("ipc", "/no/such/namespace")
        .create()
        .refused()
        .says("/no/such/namespace");
}

#[test]
fn relative_namespace_path_is_refused() {
    let create = Container::new("relative").args(["true"]).join("ipc", "ns/ipc").create();
    create.refused().says("ns/ipc");
}

// ---- network ----

#[test]
fn loopback_is_up_in_a_new_network_namespace() {
    let text = Container::new("lo").args(["ifconfig", "lo"]).run().ok();
    assert!(text.contains("127.0.0.1") && text.contains("UP LOOPBACK RUNNING"), "{text}");
}

#[test]
fn loopback_can_be_used() {
    Container::new("lo")
        .script("(echo hello | nc -l -p 4242 127.0.0.1) & sleep 0.2; nc 127.0.0.1 4242 < /dev/null")
        .run()
        .prints("hello\n");
}

#[test]
fn joined_network_namespace_is_left_as_it_is() {
    let sleeper = Sleeper::unshared(&["--net"]);
    let text = Container::new("lo").join("network", &sleeper.namespace("net")).args(["ifconfig", "lo"]).run().ok();
    assert!(!text.contains("UP"), "{text}");
}

// ---- time ----

#[test]
fn clocks_of_a_time_namespace_are_shifted() {
    newer_than_this_runc!("the time namespace");
    require!(Path::new("/proc/self/ns/time").exists(), "this kernel has no time namespaces");
    let text = Container::new("time")
        .namespace("time")
        .edit(|config| {
            config["linux"]["timeOffsets"] = json!({
                "monotonic": { "secs": 7881, "nanosecs": 2_718_281 },
                "boottime": { "secs": 1_337_000, "nanosecs": 3_141_519 },
            });
        })
        .args(["cat", "/proc/uptime"])
        .run()
        .ok();
    let uptime: f64 = text.split(' ').next().and_then(|word| word.parse().ok()).expect("a number");
    assert!(uptime > 1_337_000.0, "{uptime}");
}

#[test]
fn time_namespace_is_joined() {
    newer_than_this_runc!("the time namespace");
    require!(Path::new("/proc/self/ns/time").exists(), "this kernel has no time namespaces");
    let first = running(Container::new("first").namespace("time"));
    let second = running(Container::new("second").join("time", &format!("/proc/{}/ns/time", first.pid())));
    assert_eq!(namespace_of(second.pid(), "time"), namespace_of(first.pid(), "time"));
}

#[test]
fn offsets_need_a_time_namespace() {
    newer_than_this_runc!("the time namespace");
    Container::new("time")
        .args(["true"])
        .edit(|config| config["linux"]["timeOffsets"] = json!({ "boottime": { "secs": 1 } }))
        .create()
        .refused()
        .says("timeOffsets");
}

#[test]
fn offset_of_an_unknown_clock_is_refused() {
    newer_than_this_runc!("the time namespace");
    Container::new("time")
        .args(["true"])
        .namespace("time")
        .edit(|config| config["linux"]["timeOffsets"] = json!({ "sundial": { "secs": 1 } }))
        .create()
        .refused()
        .says("sundial");
}
