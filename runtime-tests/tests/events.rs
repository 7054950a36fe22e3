//! `events`: statistics, once or again and again, and running out of memory.

use std::{fs, thread, time::Duration};

use runtime_tests::{Call, Container, cgroup_v2, controller, differs, is_runc, require, wait_until};
use serde_json::{Value, json};

fn running(container: Container) -> Container {
    let container = container.args(["sleep", "1000"]);
    container.create().quietly();
    container.start().quietly();
    container
}

fn events(container: &Container, options: &[&str]) -> Call {
    container.call(["events"]).args(options).args([&container.id])
}

/// What `events --stats` says, after its envelope.
#[track_caller]
fn statistics(container: &Container) -> Value {
    let text = events(container, &["--stats"]).output().ok();
    assert!(text.ends_with('\n') && text.lines().count() == 1, "{text}");
    data(container, text.trim_end())
}

#[track_caller]
fn data(container: &Container, line: &str) -> Value {
    let envelope = format!("{{\"type\":\"stats\",\"id\":\"{}\",\"data\":{{\"cpu\":", container.id);
    assert!(line.starts_with(&envelope), "{line}");
    let mut event: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    event["data"].take()
}

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().expect("an object").keys().map(String::as_str).collect()
}

/// A file of the container's memory cgroup, as a number.
fn control(container: &Container, v1: &str, v2: &str) -> u64 {
    let cgroup = controller("memory").expect("just looked").cgroup_of(container.pid());
    let file = cgroup.join(if cgroup_v2() { v2 } else { v1 });
    let text = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    text.trim().parse().expect("a number")
}

// ---- once ----

#[test]
fn statistics_have_every_section() {
    let container = running(Container::new("sections"));
    let data = statistics(&container);
    let mut sections =
        ["cpu", "cpuset", "memory", "pids", "blkio", "hugetlb", "intel_rdt", "network_interfaces"].to_vec();
    sections.sort_unstable();
    let mut found = keys(&data);
    found.sort_unstable();
    assert_eq!(found, sections);
    assert_eq!(data["pids"]["current"], 1);
    assert!(data["cpu"]["usage"]["total"].as_u64() > Some(0), "{data}");
    assert_eq!((&data["intel_rdt"], &data["network_interfaces"]), (&json!({}), &Value::Null));
    for flag in ["cpu_exclusive", "mem_hardwall", "sched_load_balance", "sched_relax_domain_level"] {
        assert!(data["cpuset"][flag].is_i64(), "{flag}: {data}");
    }
}

#[test]
fn memory_is_counted() {
    require!(controller("memory").is_some(), "no memory controller in this view");
    let limited = |config: &mut Value| config["linux"]["resources"]["memory"] = json!({ "limit": 64 << 20 });
    let container = running(Container::new("memory").edit(limited));
    let memory = &statistics(&container)["memory"];
    assert_eq!(memory["usage"]["limit"], 64 << 20);
    // The kernel counts ahead, for each processor.
    let usage = control(&container, "memory.usage_in_bytes", "memory.current");
    assert!(memory["usage"]["usage"].as_u64().is_some_and(|told| told.abs_diff(usage) < 1 << 20), "{usage}: {memory}");
    assert_eq!(memory["usage"]["failcnt"], 0);
    let raw = if cgroup_v2() { ["anon", "file", "pgfault", "slab"] } else { ["cache", "rss", "pgfault", "total_rss"] };
    for key in raw {
        assert!(memory["raw"][key].is_u64(), "{key}: {memory}");
    }
    let mut sorted = keys(&memory["raw"]);
    sorted.sort_unstable();
    let text = events(&container, &["--stats"]).output().ok();
    let raw = text.split_once("\"raw\":{").expect("raw").1.split_once('}').expect("an end").0;
    let order: Vec<&str> = raw.split(',').map(|pair| pair.split('"').nth(1).expect("a key")).collect();
    assert_eq!(order, sorted);
}

#[test]
fn processor_time_and_throttling_are_counted() {
    require!(controller("cpu").is_some(), "no cpu controller in this view");
    let limited = |config: &mut Value| config["linux"]["resources"]["cpu"] = json!({ "quota": 1000, "period": 10_000 });
    let container = Container::new("throttled").edit(limited).script("while true; do :; done");
    container.create().quietly();
    container.start().quietly();
    wait_until("it is throttled", || {
        let data = statistics(&container);
        data["cpu"]["throttling"]["throttledPeriods"].as_u64() > Some(3)
    });
    let cpu = &statistics(&container)["cpu"];
    assert!(cpu["throttling"]["periods"].as_u64() >= cpu["throttling"]["throttledPeriods"].as_u64(), "{cpu}");
    assert!(cpu["throttling"]["throttledTime"].as_u64() > Some(0), "{cpu}");
    if !cgroup_v2() {
        let percpu = cpu["usage"]["percpu"].as_array().expect("a list");
        assert_eq!(percpu.iter().filter_map(Value::as_u64).sum::<u64>(), cpu["usage"]["total"], "{cpu}");
        assert_eq!(cpu["usage"]["percpu_user"].as_array().map(Vec::len), Some(percpu.len()));
    }
}

#[test]
fn tasks_are_counted() {
    require!(controller("pids").is_some(), "no pids controller in this view");
    let limited = |config: &mut Value| config["linux"]["resources"]["pids"] = json!({ "limit": 23 });
    let container = Container::new("tasks").edit(limited).script("sleep 1000 & sleep 1000 & wait");
    container.create().quietly();
    container.start().quietly();
    wait_until("there are three", || statistics(&container)["pids"] == json!({ "current": 3, "limit": 23 }));
}

#[test]
fn huge_pages_are_listed_by_size() {
    require!(cgroup_v2() && controller("hugetlb").is_some(), "no hugetlb controller in this view");
    let container = running(Container::new("huge"));
    let data = statistics(&container);
    assert_eq!(data["hugetlb"]["2MB"], json!({ "failcnt": 0 }), "{data}");
}

#[test]
fn processors_that_may_be_used_are_listed() {
    require!(!cgroup_v2() && controller("cpuset").is_some(), "no cpuset controller of v1 in this view");
    let limited = |config: &mut Value| config["linux"]["resources"]["cpu"] = json!({ "cpus": "0", "mems": "0" });
    let container = running(Container::new("cpuset").edit(limited));
    let cpuset = &statistics(&container)["cpuset"];
    assert_eq!((&cpuset["cpus"], &cpuset["mems"]), (&json!([0]), &json!([0])));
    assert_eq!(cpuset["sched_relax_domain_level"], -1);
}

#[test]
fn pressure_is_told_where_the_kernel_knows_it() {
    require!(!is_runc(), "not in this runc: pressure");
    require!(cgroup_v2() && fs::exists("/sys/fs/cgroup/cpu.pressure").unwrap_or(false), "no pressure in this view");
    let container = running(Container::new("pressure"));
    let data = statistics(&container);
    for section in ["cpu", "memory", "blkio"] {
        assert!(data[section]["psi"].is_object(), "{section}: {data}");
    }
}

#[test]
fn created_and_paused_containers_have_statistics() {
    let container = Container::new("states").args(["sleep", "1000"]);
    container.create().quietly();
    // runc's waits with several threads.
    assert!(statistics(&container)["pids"]["current"].as_u64() >= Some(1));
    container.call(["pause", &container.id]).output().quietly();
    assert!(statistics(&container)["pids"]["current"].as_u64() >= Some(1));
}

#[test]
fn stopped_container_is_refused() {
    let container = Container::new("stopped").args(["true"]);
    events(&container, &["--stats"]).output().refused().says("does not exist");
    container.create().quietly();
    container.start().quietly();
    container.wait_for("stopped");
    let words = format!("container with id {} is not running", container.id);
    events(&container, &["--stats"]).output().refused().says(&words);
    events(&container, &[]).output().refused().says(&words);
}

#[test]
fn interval_that_is_none_is_refused() {
    let container = running(Container::new("interval"));
    for interval in ["--interval=0", "--interval=0s", "--interval=-1s"] {
        events(&container, &[interval]).output().refused().says("duration interval must be greater than 0");
    }
    for interval in ["--interval=5", "--interval=x", "--interval=", "--interval=1s2", "--interval=5d"] {
        events(&container, &[interval]).output().refused().says("invalid value").says("parse error");
    }
}

// ---- again and again ----

/// runc can't tell of memory that runs out without the controller, and gives up.
fn streams() -> bool {
    controller("memory").is_some() || !differs("events-without-memory")
}

#[test]
fn statistics_come_at_every_interval_until_the_container_ends() {
    require!(streams(), "runc: no memory controller in this view");
    let container = running(Container::new("stream"));
    let stream = events(&container, &["--interval", "50ms"]).spawn();
    wait_until("three lines", || stream.stdout().lines().count() >= 3);
    container.kill("KILL").quietly();
    container.wait_for("stopped");
    if differs("events-end-with-the-container") {
        container.delete().quietly();
    }
    let output = stream.wait();
    assert_eq!((output.code, output.stderr.as_str()), (0, ""), "{output:?}");
    for line in output.stdout.lines().take(3) {
        assert_eq!(data(&container, line)["pids"]["current"], 1, "{line}");
    }
}

#[test]
fn first_statistics_come_after_the_interval() {
    require!(streams(), "runc: no memory controller in this view");
    let container = running(Container::new("first"));
    let stream = events(&container, &["--interval=1h30m"]).spawn();
    // Nothing tells that it has begun to wait.
    thread::sleep(Duration::from_millis(300));
    container.delete_by_force().quietly();
    stream.wait().prints("");
}

#[test]
fn reader_that_leaves_ends_it() {
    require!(streams(), "runc: no memory controller in this view");
    let container = running(Container::new("reader"));
    let text = events(&container, &["--interval", "50ms"]).through("\"$@\" | head -n 1").output().ok();
    assert_eq!(text.lines().count(), 1, "{text}");
}

#[test]
fn stream_of_a_paused_container_goes_on() {
    require!(streams(), "runc: no memory controller in this view");
    let container = running(Container::new("paused"));
    container.call(["pause", &container.id]).output().quietly();
    let stream = events(&container, &["--interval", "50ms"]).spawn();
    wait_until("three lines", || stream.stdout().lines().count() >= 3);
    container.delete_by_force().quietly();
    let _ = stream.wait().exits(0);
}

#[test]
fn running_out_of_memory_is_told() {
    require!(controller("memory").is_some(), "no memory controller in this view");
    let limited = |config: &mut Value| {
        config["linux"]["resources"]["memory"] = json!({ "limit": 16 << 20, "swap": 16 << 20 });
    };
    let script = "while ! [ -e /go ]; do sleep 0.01; done; tail /dev/zero; echo survived > /survived; sleep 1000";
    let container = Container::new("oom").edit(limited).writable().script(script);
    container.create().quietly();
    container.start().quietly();
    let stream = events(&container, &["--interval", "100ms"]).spawn();
    wait_until("it listens", || !stream.stdout().is_empty());
    container.write("go", "");
    let told = format!("{{\"type\":\"oom\",\"id\":\"{}\"}}\n", container.id);
    wait_until("it is told", || stream.stdout().contains(&told));
    container.wait_for_file("survived");
    container.delete_by_force().quietly();
    let _ = stream.wait().exits(0);
}

#[test]
fn container_that_ends_because_memory_ran_out_is_told_before_the_end() {
    require!(controller("memory").is_some(), "no memory controller in this view");
    require!(!is_runc(), "runc: may miss it");
    let limited = |config: &mut Value| {
        config["linux"]["resources"]["memory"] = json!({ "limit": 16 << 20, "swap": 16 << 20 });
    };
    let container = Container::new("last").edit(limited).args(["tail", "/dev/zero"]);
    container.create().quietly();
    let stream = events(&container, &["--interval", "100ms"]).spawn();
    wait_until("it listens", || !stream.stdout().is_empty());
    container.start().quietly();
    let output = stream.wait();
    let told = format!("{{\"type\":\"oom\",\"id\":\"{}\"}}\n", container.id);
    assert!(output.stdout.contains(&told), "{output:?}");
    assert_eq!(output.code, 0);
}
