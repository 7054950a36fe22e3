//! `info`: what the machine has, as it is.

use std::fs;

use runtime_tests::{Call, Container, cgroup_v2, is_runc, require};
use serde_json::Value;

fn asked(call: Call) -> Value {
    let output = call.args(["info", "--format", "json"]).output();
    assert_eq!(output.stderr, "");
    let text = output.ok();
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn info() -> Value {
    asked(Container::new("info").bare_call())
}

fn found(info: &Value, name: &str) -> String {
    let features = info["features"].as_array().expect("a list");
    let feature = features.iter().find(|feature| feature["name"] == name).unwrap_or_else(|| panic!("no {name}"));
    feature["found"].as_str().expect("a string").to_owned()
}

fn words(value: &Value) -> Vec<&str> {
    value.as_array().expect("a list").iter().filter_map(Value::as_str).collect()
}

#[test]
fn facts_are_those_of_the_machine() {
    require!(!is_runc(), "runc has no info");
    let info = info();
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").expect("there is a release");
    assert_eq!(info["kernel"]["release"], release.trim());
    assert_eq!((&info["user"]["uid"], &info["user"]["gid"]), (&0.into(), &0.into()));
    assert_eq!(info["user"]["allIds"], true);

    let status = fs::read_to_string("/proc/self/status").expect("there is a status");
    let bits = status.lines().find_map(|line| line.strip_prefix("CapEff:\t")).expect("a line");
    let bits = u64::from_str_radix(bits, 16).expect("a number");
    assert_eq!(words(&info["user"]["capabilities"]).len(), bits.count_ones() as usize);

    for (kind, file) in [("cgroup", "cgroup"), ("network", "net"), ("time", "time"), ("user", "user")] {
        let there = fs::exists(format!("/proc/self/ns/{file}")).expect("it can be looked at");
        assert_eq!(words(&info["namespaces"]).contains(&kind), there, "{kind}");
    }
    assert_eq!(info["selinux"], fs::exists("/sys/fs/selinux/enforce").expect("it can be looked at"));
    let apparmor = fs::read_to_string("/sys/module/apparmor/parameters/enabled").unwrap_or_default();
    assert_eq!(info["apparmor"], apparmor.starts_with('Y'));
    let policy = fs::read_to_string("/proc/sys/vm/memfd_noexec").ok();
    assert_eq!(info["memfdNoexec"].as_u64(), policy.and_then(|policy| policy.trim().parse().ok()));
}

#[test]
fn cgroups_are_those_of_the_view() {
    require!(!is_runc(), "runc has no info");
    let info = info();
    let layout = info["cgroups"]["layout"].as_str().expect("a string").to_owned();
    let hierarchies = info["cgroups"]["hierarchies"].as_array().expect("a list");
    let own = fs::read_to_string("/proc/self/cgroup").expect("there are cgroups");
    if cgroup_v2() {
        assert_eq!(layout, "v2");
        assert_eq!(hierarchies.len(), 1);
        let controllers = fs::read_to_string("/sys/fs/cgroup/cgroup.controllers").expect("it is v2");
        assert_eq!(words(&hierarchies[0]["controllers"]), controllers.split_whitespace().collect::<Vec<_>>());
        // The view has a cgroup below the root, so it can be seen which files there are.
        let directory = format!("/sys/fs/cgroup{}", hierarchies[0]["own"].as_str().expect("a path"));
        for name in ["cgroup.kill", "cgroup.freeze"] {
            let there = fs::exists(format!("{directory}/{name}")).expect("it can be looked at");
            assert_eq!(found(&info, name), if there { "yes" } else { "no" });
        }
    } else {
        assert!(layout == "hybrid" || layout == "v1", "{layout}");
        let v1 = hierarchies.iter().filter(|hierarchy| hierarchy["version"] == 1);
        for hierarchy in v1 {
            let line = format!(":{}:", words(&hierarchy["controllers"]).join(","));
            assert!(own.contains(&line), "{line} in {own}");
        }
    }
}

#[test]
fn where_containers_run_nothing_is_missing() {
    require!(!is_runc(), "runc has no info");
    let container = Container::new("info").args(["echo", "fine"]);
    let info = asked(container.bare_call());
    assert_eq!(words(&info["problems"]), [""; 0]);
    for feature in info["features"].as_array().expect("a list").iter().filter(|feature| feature["needed"] == true) {
        assert_eq!(feature["found"], "yes", "{feature}");
    }
    container.run().prints("fine\n");
}

#[test]
fn user_without_rights_is_told_so() {
    require!(!is_runc(), "runc has no info");
    let container = Container::new("info");
    let nobody = "exec setpriv --reuid 65534 --regid 65534 --clear-groups -- \"$@\"";
    let info = asked(container.bare_call().through(nobody));
    assert_eq!(info["user"]["uid"], 65534);
    assert_eq!(words(&info["user"]["capabilities"]), [""; 0]);
    assert_eq!(words(&info["problems"]), ["this user lacks CAP_SYS_ADMIN"]);
    assert_eq!(found(&info, "openat2(2)"), "yes");
    let text = container.bare_call().arg("info").through(nobody).output().ok();
    assert!(text.ends_with("create and run can't work here\n  this user lacks CAP_SYS_ADMIN\n"), "{text}");
}

#[test]
fn what_is_forbidden_is_not_what_is_missing() {
    require!(!is_runc(), "runc has no info");
    let container = Container::new("info");
    require!(fs::exists("/proc/sys/vm/memfd_noexec").expect("it can be looked at"), "no vm.memfd_noexec");
    // The setting belongs to a pid namespace: here, to a new one.
    let text = "exec unshare --pid --fork --mount-proc bash -c \
                'echo 2 > /proc/sys/vm/memfd_noexec && exec \"$@\"' bash \"$@\"";
    let info = asked(container.bare_call().through(text));
    assert_eq!(info["memfdNoexec"], 2);
    assert_eq!(found(&info, "memory files to execute"), "forbidden");
    assert_eq!(words(&info["problems"]), [""; 0], "there is another way");
}

#[test]
fn user_namespace_is_noticed() {
    require!(!is_runc(), "runc has no info");
    let info = asked(Container::new("info").bare_call().through("exec unshare --user --map-root-user \"$@\""));
    assert_eq!(info["user"]["uid"], 0);
    assert_eq!(info["user"]["allIds"], false);
}

#[test]
fn text_has_what_the_json_has() {
    require!(!is_runc(), "runc has no info");
    let container = Container::new("info");
    let info = asked(container.bare_call());
    let output = container.bare_call().arg("info").output();
    assert_eq!(output.stderr, "");
    let text = output.ok();
    for feature in info["features"].as_array().expect("a list") {
        let [name, found] = ["name", "found"].map(|key| feature[key].as_str().expect("a string"));
        assert!(text.lines().any(|line| line.contains(name) && line.trim().starts_with(found)), "{name}: {text}");
    }
    assert!(text.contains(info["kernel"]["release"].as_str().expect("a string")), "{text}");
    assert!(text.ends_with("\nnothing hinders create and run\n"), "{text}");
}

#[test]
fn nothing_is_done() {
    require!(!is_runc(), "runc has no info");
    let container = Container::new("info");
    container.call(["info"]).in_dir(container.outside("")).output().ok();
    container.call(["--root", "/no/such/root", "info"]).output().ok();
    assert_eq!(fs::read_dir(container.state_root()).expect("it is there").count(), 0);
    assert!(!fs::exists("/no/such/root").expect("it can be looked at"));
    container.leaves_nothing();
    container.call(["info", "more"]).output().refused().says("requires exactly 0 argument(s)");
    container.call(["info", "--format", "xml"]).output().refused().says("xml");
}
