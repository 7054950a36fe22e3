//! Kernel parameters: those of a namespace that is the container's own, and no others.

use std::fs;

use runtime_tests::{Container, differs};
use serde_json::json;

fn with(name: &str, value: &str) -> Container {
    Container::new("sysctl").args(["true"]).edit(|config| config["linux"]["sysctl"] = json!({ name: value }))
}

#[test]
fn parameter_of_the_network_namespace_is_set() {
    let before = fs::read_to_string("/proc/sys/net/ipv4/ip_forward").expect("proc is mounted");
    with("net.ipv4.ip_forward", "1").args(["cat", "/proc/sys/net/ipv4/ip_forward"]).run().prints("1\n");
    assert_eq!(fs::read_to_string("/proc/sys/net/ipv4/ip_forward").expect("proc is mounted"), before);
}

#[test]
fn parameters_of_the_ipc_namespace_are_set() {
    for (name, path, value) in [
        ("kernel.msgmax", "kernel/msgmax", "4096"),
        ("kernel.msgmnb", "kernel/msgmnb", "8192"),
        ("kernel.msgmni", "kernel/msgmni", "77"),
        ("kernel.sem", "kernel/sem", "100\t200\t50\t60"),
        ("kernel.shmall", "kernel/shmall", "123456"),
        ("kernel.shmmax", "kernel/shmmax", "654321"),
        ("kernel.shmmni", "kernel/shmmni", "99"),
        ("kernel.shm_rmid_forced", "kernel/shm_rmid_forced", "1"),
        ("fs.mqueue.queues_max", "fs/mqueue/queues_max", "33"),
    ] {
        let path = format!("/proc/sys/{path}");
        with(name, value).args(["cat", &path]).run().prints(&format!("{value}\n"));
    }
}

#[test]
fn several_parameters_are_set() {
    Container::new("sysctl")
        .edit(|config| {
            config["linux"]["sysctl"] =
                json!({ "net.ipv4.ip_forward": "1", "kernel.shmmni": "99", "net.core.somaxconn": "77" });
        })
        .script("cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/shmmni /proc/sys/net/core/somaxconn")
        .run()
        .prints("1\n99\n77\n");
}

#[test]
fn name_may_be_written_with_slashes() {
    with("net/ipv4/ip_forward", "1").args(["cat", "/proc/sys/net/ipv4/ip_forward"]).run().prints("1\n");
}

#[test]
fn parameter_of_a_shared_network_namespace_is_refused() {
    with("net.ipv4.ip_forward", "1").without_namespace("network").create().refused().says("net.ipv4.ip_forward");
}

#[test]
fn parameter_of_a_shared_ipc_namespace_is_refused() {
    with("kernel.shmmax", "654321").without_namespace("ipc").create().refused().says("kernel.shmmax");
    with("fs.mqueue.queues_max", "33").without_namespace("ipc").create().refused().says("fs.mqueue.queues_max");
}

#[test]
fn network_namespace_of_the_caller_by_its_path_is_still_shared() {
    with("net.ipv4.ip_forward", "1")
        .join("network", "/proc/self/ns/net")
        .create()
        .refused()
        .says("net.ipv4.ip_forward");
}

#[test]
fn parameter_of_the_whole_machine_is_refused() {
    for name in ["kernel.panic", "vm.swappiness", "fs.file-max", "kernel.core_pattern", "user.max_user_namespaces"] {
        with(name, "1").create().refused().says(name);
    }
}

#[test]
fn name_that_climbs_out_is_refused() {
    let before = fs::read_to_string("/proc/sys/kernel/core_pattern").expect("proc is mounted");
    for name in [
        "net/../kernel/core_pattern",
        "net.ipv4/../../kernel/core_pattern",
        "net..kernel.core_pattern",
        "/proc/sys/kernel/core_pattern",
        "net/ipv4//../../kernel/core_pattern",
    ] {
        with(name, before.trim_end()).create().refused();
    }
    assert_eq!(fs::read_to_string("/proc/sys/kernel/core_pattern").expect("proc is mounted"), before);
}

#[test]
fn hostname_has_a_field_of_its_own() {
    with("kernel.hostname", "other").create().refused().says("kernel.hostname");
}

#[test]
fn domainname_can_be_set_with_a_uts_namespace() {
    with("kernel.domainname", "example.org").args(["cat", "/proc/sys/kernel/domainname"]).run().prints("example.org\n");
    with("kernel.domainname", "example.org")
        .without_namespace("uts")
        .edit(|config| {
            config.as_object_mut().expect("an object").remove("hostname");
        })
        .create()
        .refused()
        .says("kernel.domainname");
}

#[test]
fn unknown_parameter_is_named() {
    let refusal = with("net.ipv4.no_such_parameter", "1").create().refused();
    assert!(refusal.stderr.contains("no_such_parameter"), "{refusal:?}");
}

#[test]
fn value_that_the_kernel_refuses_is_an_error() {
    let refusal = with("net.ipv4.ip_forward", "many").create().refused();
    if !differs("wording") {
        refusal.says("ip_forward");
    }
}
