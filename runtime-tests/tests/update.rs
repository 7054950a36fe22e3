//! `update`: limits that change while the container is there.

use std::{fs, thread, time::Duration};

use runtime_tests::{
    Container, Output, cgroup_v2, controller, differs, is_runc, newer_than_this_runc, old_runc, require, wait_until,
};
use serde_json::{Value, json};

/// A container with some limits to begin with, as far as this view has them.
fn limited(name: &str) -> Container {
    let container = Container::new(name).args(["sleep", "1000"]).edit(|config| {
        let resources = &mut config["linux"]["resources"];
        if controller("memory").is_some() {
            resources["memory"] = json!({ "limit": 64 << 20, "reservation": 32 << 20 });
        }
        if controller("cpu").is_some() {
            resources["cpu"] = json!({ "shares": 512, "quota": 50_000, "period": 100_000 });
        }
        if controller("pids").is_some() {
            resources["pids"] = json!({ "limit": 20 });
        }
    });
    container.create().quietly();
    container.start().quietly();
    container
}

fn update(container: &Container, options: &[&str]) -> Output {
    container.call(["update"]).args(options).args([&container.id]).output()
}

/// By JSON on standard input, as containerd does it.
fn update_by(container: &Container, resources: &Value) -> Output {
    let file = container.outside("resources");
    fs::write(&file, resources.to_string()).expect("it can be written");
    container.call(["update", "--resources=-", &container.id]).stdin(file).output()
}

fn control(container: &Container, name: &str, v1: &str, v2: &str) -> String {
    let cgroup = controller(name).expect("just looked").cgroup_of(container.pid());
    let file = cgroup.join(if cgroup_v2() { v2 } else { v1 });
    let text = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    text.trim().to_owned()
}

fn memory(container: &Container) -> String {
    control(container, "memory", "memory.limit_in_bytes", "memory.max")
}

fn quota(container: &Container) -> String {
    match cgroup_v2() {
        true => control(container, "cpu", "", "cpu.max").replace("max", "-1"),
        false => {
            let file = |name| control(container, "cpu", name, "");
            format!("{} {}", file("cpu.cfs_quota_us"), file("cpu.cfs_period_us"))
        }
    }
}

fn pids(container: &Container) -> String {
    control(container, "pids", "pids.max", "pids.max")
}

#[test]
fn memory_limits_take_units() {
    require!(controller("memory").is_some(), "no memory controller in this view");
    let container = limited("memory");
    for (value, bytes) in
        [("67108864", 64 << 20), ("50M", 50 << 20), ("100m", 100 << 20), ("49152kb", 48 << 20), ("0.25g", 256 << 20)]
    {
        update(&container, &["--memory", value]).quietly();
        assert_eq!(memory(&container), bytes.to_string(), "{value}");
    }
    update(&container, &["--memory-reservation=33554432"]).quietly();
    assert_eq!(control(&container, "memory", "memory.soft_limit_in_bytes", "memory.low"), "33554432");
    update(&container, &["--memory", "-1"]).quietly();
    assert_eq!(memory(&container), if cgroup_v2() { "max" } else { "9223372036854771712" });
    for value in ["10q", "x", "-5", "m", "1.2.3"] {
        update(&container, &[&format!("--memory={value}")]).refused().says("invalid value for memory");
    }
}

#[test]
fn limit_of_memory_and_swap_holds_for_both_together() {
    require!(controller("memory").is_some(), "no memory controller in this view");
    require!(!(cgroup_v2() && old_runc()), "not in this runc: a limit of both that is remembered");
    let swap = |container: &Container| control(container, "memory", "memory.memsw.limit_in_bytes", "memory.swap.max");
    let container = Container::new("swap").args(["sleep", "1000"]).edit(|config| {
        config["linux"]["resources"]["memory"] = json!({ "limit": 64 << 20, "swap": 96 << 20 });
    });
    container.create().quietly();
    let both = |container: &Container| {
        let swap: u64 = swap(container).parse().expect("a number");
        if cgroup_v2() { swap + memory(container).parse::<u64>().expect("a number") } else { swap }
    };
    assert_eq!(both(&container), 96 << 20);
    // Each counts from what was asked before.
    update(&container, &["--memory", "80M"]).quietly();
    assert_eq!((memory(&container), both(&container)), ((80 << 20).to_string(), 96 << 20));
    update(&container, &["--memory-swap", "120M"]).quietly();
    assert_eq!((memory(&container), both(&container)), ((80 << 20).to_string(), 120 << 20));
    if controller("pids").is_some() {
        update(&container, &["--pids-limit", "7"]).quietly();
    }
    update(&container, &["--memory", "100M"]).quietly();
    assert_eq!((memory(&container), both(&container)), ((100 << 20).to_string(), 120 << 20));
    // Beyond the old limit of both, and below it again.
    update(&container, &["--memory", "200M", "--memory-swap", "250M"]).quietly();
    assert_eq!((memory(&container), both(&container)), ((200 << 20).to_string(), 250 << 20));
    update(&container, &["--memory", "30M", "--memory-swap", "50M"]).quietly();
    assert_eq!((memory(&container), both(&container)), ((30 << 20).to_string(), 50 << 20));
    assert_eq!(update(&container, &["--memory", "60M"]).code, 1, "more than both together");
    assert_eq!((memory(&container), both(&container)), ((30 << 20).to_string(), 50 << 20));
    update(&container, &["--memory-swap", "-1"]).quietly();
    let unlimited = if cgroup_v2() { "max" } else { "9223372036854771712" };
    assert_eq!(swap(&container), unlimited);
    update(&container, &["--memory", "-1"]).quietly();
    assert_eq!((memory(&container).as_str(), swap(&container).as_str()), (unlimited, unlimited));
}

#[test]
fn memory_limit_below_what_is_used_is_refused_when_asked_to_check() {
    require!(controller("memory").is_some(), "no memory controller in this view");
    newer_than_this_runc!("checkBeforeUpdate");
    let container = limited("check");
    for resources in [json!({ "limit": 4096 }), json!({ "limit": 4096, "swap": 8192 })] {
        let mut memory = resources;
        memory["checkBeforeUpdate"] = json!(true);
        let output = update_by(&container, &json!({ "memory": memory })).refused();
        assert!(!cgroup_v2() || output.stderr.contains("rejecting memory"), "{output:?}");
    }
    assert_eq!(memory(&container), (64 << 20).to_string());
    assert_eq!(container.status(), "running");
}

#[test]
fn quota_and_period_change_each_by_itself() {
    require!(controller("cpu").is_some(), "no cpu controller in this view");
    let container = limited("quota");
    assert_eq!(quota(&container), "50000 100000");
    update(&container, &["--cpu-period", "90000"]).quietly();
    assert_eq!(quota(&container), "50000 90000");
    update(&container, &["--cpu-quota=60000"]).quietly();
    assert_eq!(quota(&container), "60000 90000");
    update(&container, &["--cpu-quota=-1"]).quietly();
    assert_eq!(quota(&container), "-1 90000");
    update(&container, &["--cpu-quota", "30000", "--cpu-period", "10000"]).quietly();
    assert_eq!(quota(&container), "30000 10000");
    update_by(&container, &json!({ "cpu": { "quota": 5000, "period": 50_000 } })).quietly();
    assert_eq!(quota(&container), "5000 50000");
    update(&container, &["--cpu-quota", "-1", "--cpu-period", "100000"]).quietly();
    assert_eq!(quota(&container), "-1 100000");
}

#[test]
fn period_stays_whatever_else_is_updated() {
    require!(controller("cpu").is_some() && controller("pids").is_some(), "no cpu and pids controllers in this view");
    require!(!differs("update-forgets-the-period") || !cgroup_v2(), "runc: differs on v2");
    let container = limited("period");
    update(&container, &["--cpu-period", "90000"]).quietly();
    update(&container, &["--pids-limit", "9"]).quietly();
    update(&container, &["--cpu-quota", "40000"]).quietly();
    assert_eq!(quota(&container), "40000 90000");
}

#[test]
fn quota_without_a_period_and_a_period_without_a_quota() {
    require!(controller("cpu").is_some(), "no cpu controller in this view");
    for (option, expected) in [("--cpu-quota=30000", "30000 100000"), ("--cpu-period=50000", "-1 50000")] {
        let container = Container::new("alone").args(["sleep", "1000"]);
        container.create().quietly();
        update(&container, &[option]).quietly();
        assert_eq!(quota(&container), expected, "{option}");
    }
}

#[test]
fn shares_change() {
    require!(controller("cpu").is_some(), "no cpu controller in this view");
    let container = limited("shares");
    update(&container, &["--cpu-share", "1024"]).quietly();
    let weight = if cgroup_v2() && old_runc() { "39" } else { "100" };
    let expected = if cgroup_v2() { weight } else { "1024" };
    assert_eq!(control(&container, "cpu", "cpu.shares", "cpu.weight"), expected);
    update(&container, &["--cpu-share", "x"]).refused().says("invalid value for cpu-share");
    update(&container, &["--cpu-share", "-1"]).refused().says("invalid value for cpu-share");
}

#[test]
fn burst_and_idle_change() {
    require!(controller("cpu").is_some(), "no cpu controller in this view");
    newer_than_this_runc!("cpu.burst and cpu.idle");
    let container = limited("burst");
    update(&container, &["--cpu-burst", "20000"]).quietly();
    assert_eq!(control(&container, "cpu", "cpu.cfs_burst_us", "cpu.max.burst"), "20000");
    if controller("memory").is_some() {
        update(&container, &["--memory", "100M"]).quietly();
        assert_eq!(control(&container, "cpu", "cpu.cfs_burst_us", "cpu.max.burst"), "20000");
    }
    update(&container, &["--cpu-burst", "0"]).quietly();
    assert_eq!(control(&container, "cpu", "cpu.cfs_burst_us", "cpu.max.burst"), "0");
    let idle = |container: &Container| control(container, "cpu", "cpu.idle", "cpu.idle");
    for value in ["1", "0", "1"] {
        update(&container, &["--cpu-idle", value]).quietly();
        assert_eq!(idle(&container), value);
    }
    for value in ["-1", "2", "3"] {
        update(&container, &["--cpu-idle", value]).refused();
        assert_eq!(idle(&container), "1", "{value}");
    }
    update(&container, &["--cpu-period", "10000", "--cpu-quota", "5000"]).quietly();
    assert_eq!(idle(&container), "1");
    update(&container, &["--cpu-idle", "0", "--cpu-share", "1024"]).quietly();
    assert_eq!(idle(&container), "0");
}

#[test]
fn processors_change() {
    require!(controller("cpuset").is_some(), "no cpuset controller in this view");
    let container = limited("cpuset");
    update(&container, &["--cpuset-cpus", "0", "--cpuset-mems", "0"]).quietly();
    assert_eq!(control(&container, "cpuset", "cpuset.cpus", "cpuset.cpus"), "0");
    assert_eq!(control(&container, "cpuset", "cpuset.mems", "cpuset.mems"), "0");
    let output = update(&container, &["--cpuset-cpus", "9999"]);
    assert_eq!(output.code, 1, "{output:?}");
    assert_eq!(control(&container, "cpuset", "cpuset.cpus", "cpuset.cpus"), "0");
}

#[test]
fn number_of_tasks_changes() {
    require!(controller("pids").is_some(), "no pids controller in this view");
    let container = limited("pids");
    for (value, expected) in [("10", "10"), ("12345", "12345"), ("-1", "max"), ("33", "33")] {
        update(&container, &["--pids-limit", value]).quietly();
        assert_eq!(pids(&container), expected);
    }
    if !old_runc() {
        update(&container, &["--pids-limit=0"]).quietly();
        assert_eq!(pids(&container), "1");
    }
    update(&container, &["--pids-limit", "many"]).refused().says("invalid value");
}

#[test]
fn resources_come_from_a_file_or_standard_input() {
    require!(controller("pids").is_some() && controller("memory").is_some(), "no pids and memory in this view");
    let container = limited("json");
    let resources = json!({ "pids": { "limit": 11 }, "memory": { "limit": 32 << 20, "reservation": 16 << 20 } });
    update_by(&container, &resources).quietly();
    assert_eq!((pids(&container), memory(&container)), ("11".to_owned(), (32 << 20).to_string()));

    let file = container.outside("more");
    fs::write(&file, json!({ "pids": { "limit": 12 } }).to_string()).expect("it can be written");
    let path = file.to_str().expect("a path");
    for options in [&["--resources", path][..], &["-r", path], &["-r", path, "--pids-limit", "99"]] {
        update(&container, options).quietly();
        assert_eq!(pids(&container), "12");
        assert_eq!(memory(&container), (32 << 20).to_string());
        update(&container, &["--pids-limit", "13"]).quietly();
    }
}

#[test]
fn resources_that_are_none_are_refused() {
    let container = limited("none");
    for text in ["", "{", "[]", "{\"pids\": {\"limit\": \"many\"}}"] {
        let file = container.outside("none");
        fs::write(&file, text).expect("it can be written");
        let output = container.call(["update", "-r", "-", &container.id]).stdin(file).output().refused();
        assert_eq!(output.code, 1, "{text:?}");
    }
    update(&container, &["-r", "/nonexistent"]).refused().says("open /nonexistent: no such file or directory");
    update(&container, &[]).quietly();
}

#[test]
fn limits_of_huge_pages_change() {
    require!(controller("hugetlb").is_some(), "no hugetlb controller in this view");
    require!(!differs("update-changes-everything"), "runc: only memory, cpu, pids and block I/O");
    let container = limited("huge");
    update_by(&container, &json!({ "hugepageLimits": [{ "pageSize": "2MB", "limit": 4 << 20 }] })).quietly();
    assert_eq!(control(&container, "hugetlb", "hugetlb.2MB.limit_in_bytes", "hugetlb.2MB.max"), "4194304");
}

#[test]
fn failed_update_changes_nothing() {
    require!(controller("pids").is_some() && controller("cpuset").is_some(), "no pids and cpuset in this view");
    require!(!differs("failed-update-is-taken-back"), "runc: what was written stays");
    let container = limited("failed");
    let before = (pids(&container), control(&container, "cpuset", "cpuset.cpus", "cpuset.cpus"), quota(&container));
    let resources = json!({
        "pids": { "limit": 5 },
        "memory": { "limit": 40 << 20, "reservation": 20 << 20 },
        "cpu": { "quota": 20_000, "shares": 2048, "cpus": "9999" },
    });
    let output = update_by(&container, &resources);
    assert_eq!(output.code, 1, "{output:?}");
    let after = (pids(&container), control(&container, "cpuset", "cpuset.cpus", "cpuset.cpus"), quota(&container));
    assert_eq!(after, before);
    assert_eq!(memory(&container), (64 << 20).to_string());
    // Nor what later updates count from.
    update(&container, &["--memory-reservation", "30M"]).quietly();
    assert_eq!(memory(&container), (64 << 20).to_string());
}

#[test]
fn failed_update_changes_nothing_even_late() {
    require!(controller("pids").is_some() && controller("cpu").is_some(), "no pids and cpu in this view");
    require!(!differs("failed-update-is-taken-back"), "runc: what was written stays");
    require!(controller("memory").is_some(), "no memory controller in this view");
    let container = limited("late");
    let before = (pids(&container), memory(&container), quota(&container));
    // The kernel refuses the last of them.
    let mut resources = json!({
        "pids": { "limit": 5 },
        "memory": { "limit": 40 << 20, "swap": 50 << 20 },
        "cpu": { "quota": 20_000, "period": 40_000 },
    });
    if cgroup_v2() {
        resources["unified"] = json!({ "pids.max": "some" });
    } else {
        resources["network"] = json!({ "priorities": [{ "name": "no-such-interface", "priority": 3 }] });
        resources["blockIO"] = json!({ "throttleReadBpsDevice": [{ "major": 4000, "minor": 1, "rate": 5 }] });
    }
    update_by(&container, &resources).refused();
    assert_eq!((pids(&container), memory(&container), quota(&container)), before);
}

#[test]
fn kernel_memory_is_ignored_with_a_warning() {
    let container = limited("kernel");
    for options in [&["--kernel-memory", "10m"][..], &["--kernel-memory-tcp=10m"]] {
        let output = update(&container, options);
        assert_eq!(output.code, 0, "{output:?}");
        assert!(output.stderr.contains("Kernel memory settings are ignored and will be removed"), "{output:?}");
    }
}

#[test]
fn cache_allocation_is_refused() {
    require!(!fs::exists("/sys/fs/resctrl/info").unwrap_or(false), "this machine has resctrl");
    let container = limited("rdt");
    let refused = |option, words| update(&container, &[option, "L3:0=f"]).refused().says(words);
    refused("--l3-cache-schema", "Intel RDT/CAT: l3 cache schema is not enabled");
    refused("--mem-bw-schema", "Intel RDT/MBA: memory bandwidth schema is not enabled");
}

#[test]
fn paused_container_stays_paused() {
    let container = limited("paused");
    container.call(["pause", &container.id]).output().quietly();
    if controller("pids").is_some() {
        update(&container, &["--pids-limit", "30"]).quietly();
        assert_eq!(pids(&container), "30");
    }
    update_by(&container, &json!({ "devices": [{ "allow": false, "access": "rwm" }] })).quietly();
    assert_eq!(container.status(), "paused");
    container.call(["resume", &container.id]).output().quietly();
    assert_eq!(container.status(), "running");
}

#[test]
fn container_that_has_stopped_is_refused() {
    let container = Container::new("stopped").args(["true"]);
    update(&container, &[]).refused().says("does not exist");
    container.create().quietly();
    update(&container, &[]).quietly();
    container.start().quietly();
    container.wait_for("stopped");
    update(&container, &["--cpu-share", "7"]).refused().says("container not running");
}

#[test]
fn bad_calls_are_refused() {
    let container = limited("bad");
    for option in ["--cpu-period=-1", "--cpu-quota=1.5", "--cpu-rt-period=x", "--cpu-rt-runtime=x", "--blkio-weight=x"]
    {
        update(&container, &[option]).refused().says("invalid value");
    }
    let output = container.call(["update"]).output();
    assert_eq!(output.code, 1);
    assert!(output.stderr.contains("requires exactly 1 argument"), "{output:?}");
}

#[test]
fn what_this_host_does_not_have_is_named() {
    require!(controller("pids").is_none(), "this view has the pids controller");
    let container = limited("missing");
    let output = update(&container, &["--pids-limit", "5"]);
    assert_eq!(output.code, 1, "{output:?}");
    assert!(is_runc() || output.stderr.contains("linux.resources.pids.limit: the pids controller is not available"));
}

// ---- devices ----

/// A container that says, again and again, whether it may open a device that only the config can allow: /may. And that
/// it never was kept from one that all may open: /null.
fn prober(rules: &Value) -> Container {
    let rules = rules.clone();
    let container = Container::new("devices").writable().edit(|config| {
        config["linux"]["devices"] =
            json!([{ "path": "/dev/kmsg", "type": "c", "major": 1, "minor": 11, "fileMode": 0o666 }]);
        config["linux"]["resources"]["devices"] = rules;
    });
    // Opened to write, of which nothing comes.
    let container = container.script(
        "while true; do \
             if (: > /dev/kmsg) 2>/may.why; then echo yes > /may.new; else echo no > /may.new; fi; \
             mv /may.new /may; (: > /dev/null) || echo null >> /kept; \
             done 2>/dev/zero",
    );
    container.create().quietly();
    container.start().quietly();
    container.wait_for_file("may");
    container
}

fn rules(allowed: &[Value]) -> Value {
    let mut rules = vec![json!({ "allow": false, "access": "rwm" })];
    rules.extend_from_slice(allowed);
    json!(rules)
}

fn kmsg() -> Value {
    json!({ "allow": true, "type": "c", "major": 1, "minor": 11, "access": "w" })
}

fn says(container: &Container, expected: &str) {
    // Once around, so that what is read is new.
    wait_until(&format!("it may: {expected}"), || container.wait_for_file("may").trim() == expected);
    thread::sleep(Duration::from_millis(50));
    assert_eq!(container.wait_for_file("may").trim(), expected);
    assert!(!container.rootfs().join("kept").exists(), "it was kept from /dev/null");
}

#[test]
fn device_rules_are_replaced() {
    require!(!differs("update-changes-everything"), "runc: device rules stay");
    let container = prober(&rules(&[]));
    says(&container, "no");
    for _ in 0..5 {
        update_by(&container, &json!({ "devices": rules(&[kmsg()]) })).quietly();
        says(&container, "yes");
        update_by(&container, &json!({ "devices": rules(&[]) })).quietly();
        says(&container, "no");
    }
    update_by(&container, &json!({ "devices": [{ "allow": true, "access": "rwm" }] })).quietly();
    says(&container, "yes");
    update_by(&container, &json!({ "devices": rules(&[]) })).quietly();
    says(&container, "no");
}

#[test]
fn device_rules_that_are_not_mentioned_stay() {
    let container = prober(&rules(&[kmsg()]));
    says(&container, "yes");
    for resources in [json!({}), json!({ "devices": [] }), json!({ "devices": null })] {
        update_by(&container, &resources).quietly();
        says(&container, "yes");
    }
    if controller("pids").is_some() {
        update(&container, &["--pids-limit", "50"]).quietly();
        says(&container, "yes");
    }
}

#[test]
fn device_rules_that_are_those_of_before_are_left_alone() {
    require!(!cgroup_v2(), "only v1's list can be added to by hand");
    let container = prober(&rules(&[]));
    says(&container, "no");
    // As a hook of a device plugin does it.
    let cgroup = controller("devices").expect("v1 has it").cgroup_of(container.pid());
    fs::write(cgroup.join("devices.allow"), "c 1:11 w").expect("it can be allowed");
    says(&container, "yes");
    update_by(&container, &json!({ "devices": rules(&[]), "pids": { "limit": 77 } })).quietly();
    assert_eq!(pids(&container), "77");
    says(&container, "yes");
}
