//! `features`: what the runtime says of itself is so.

use std::{collections::BTreeSet, process::Command};

use runtime_tests::{Container, is_runc, require};
use serde_json::{Value, json};

fn features() -> Value {
    let output = Container::new("features").bare_call().arg("features").output();
    assert_eq!(output.stderr, "");
    let text = output.ok();
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn list(value: &Value) -> Vec<String> {
    let words = value.as_array().unwrap_or_else(|| panic!("{value} is no list")).iter();
    words.map(|word| word.as_str().expect("a string").to_owned()).collect()
}

fn set(value: &Value) -> BTreeSet<String> {
    list(value).into_iter().collect()
}

#[test]
fn text_is_laid_out_as_runcs() {
    let text = Container::new("features").bare_call().arg("features").output().ok();
    assert!(text.starts_with("{\n    \"ociVersionMin\": \"1.0.0\",\n    \"ociVersionMax\": \"1."), "{text}");
    assert!(text.contains("\n    \"linux\": {\n        \"namespaces\": [\n            \"cgroup\",\n"), "{text}");
    assert!(text.ends_with("\n}\n"), "{text}");
    let keys = ["ociVersionMin", "ociVersionMax", "hooks", "mountOptions", "linux", "annotations"];
    let places: Vec<_> = keys.iter().map(|key| text.find(&format!("\n    \"{key}\": "))).collect();
    assert!(places.is_sorted() && places.iter().all(Option::is_some), "{text}");
}

#[test]
fn structure_is_that_of_the_specification() {
    let features = features();
    for key in ["ociVersionMin", "ociVersionMax"] {
        let parts: Vec<_> = features[key].as_str().expect("a string").splitn(3, '.').collect();
        assert_eq!((parts.len(), parts[0]), (3, "1"), "{key}");
    }
    for words in [&features["hooks"], &features["mountOptions"], &features["linux"]["namespaces"]] {
        let words = list(words);
        assert_eq!(words.iter().collect::<BTreeSet<_>>().len(), words.len(), "each once: {words:?}");
    }
    for name in list(&features["linux"]["capabilities"]) {
        let rest = name.strip_prefix("CAP_").unwrap_or_else(|| panic!("{name}"));
        assert!(rest.chars().all(|c| c.is_ascii_uppercase() || c == '_'), "{name}");
    }
    for name in ["v1", "v2", "systemd", "systemdUser"] {
        assert!(features["linux"]["cgroup"][name].is_boolean(), "{name}");
    }
    for name in ["seccomp", "apparmor", "selinux"] {
        assert!(features["linux"][name]["enabled"].is_boolean(), "{name}");
    }
    for words in ["actions", "operators", "archs", "knownFlags", "supportedFlags"] {
        if is_runc() && words.ends_with("Flags") {
            continue;
        }
        assert!(!list(&features["linux"]["seccomp"][words]).is_empty(), "{words}");
    }
    assert!(features["annotations"].as_object().expect("a map").values().all(Value::is_string));
    require!(!is_runc(), "not in every runc: rdma, intelRdt, mountExtensions, netDevices");
    assert!(features["linux"]["cgroup"]["rdma"].is_boolean());
    assert!(features["linux"]["mountExtensions"]["idmap"]["enabled"].is_boolean());
    assert!(features["linux"]["intelRdt"]["enabled"].is_boolean());
    assert!(features["linux"]["netDevices"]["enabled"].is_boolean());
    list(&features["potentiallyUnsafeConfigAnnotations"]);
}

#[test]
fn anybody_may_ask_from_anywhere() {
    let container = Container::new("features");
    let plain = container.bare_call().arg("features").output().ok();
    for text in [
        "exec setpriv --reuid 65534 --regid 65534 --clear-groups -- \"$@\"",
        "exec \"$@\" <&-",
        "exec \"$@\" 2>&-",
        "cd / && exec env -i \"$@\"",
    ] {
        container.bare_call().arg("features").through(text).output().prints(&plain);
    }
    container.call(["--root", "/no/such/root", "features"]).output().prints(&plain);
    container.call(["features", "more"]).output().refused().says("requires exactly 0 argument(s)");
}

#[test]
fn oldest_and_newest_version_of_a_config_are_taken() {
    let features = features();
    for key in ["ociVersionMin", "ociVersionMax"] {
        let container = Container::new("version").args(["echo", "fine"]);
        container.edit(|config| config["ociVersion"] = features[key].clone()).run().prints("fine\n");
    }
}

/// A container with a tmpfs for each of the options; tmpfs refuses what it is told and does not know.
fn mounted_with(options: &[String]) -> Container {
    let mut container = Container::new("options").args(["echo", "fine"]);
    for (index, option) in options.iter().enumerate() {
        let point = format!("/mnt/{index}");
        container = match &**option {
            "bind" | "rbind" => container.directory(&point).mount("bind", "/usr", &point, &[option]),
            "remount" => container.directory(&point).mount("tmpfs", "tmpfs", &point, &[]).mount(
                "tmpfs",
                "tmpfs",
                &point,
                &["remount", "ro"],
            ),
            _ => container.directory(&point).mount("tmpfs", "tmpfs", &point, &[option]),
        };
    }
    container
}

#[test]
fn every_mount_option_is_one() {
    let options = list(&features()["mountOptions"]);
    // Old ones claim what this kernel has forgotten.
    require!(!is_runc(), "the list is runc's own");
    assert!(options.iter().any(|option| option == "rro"), "which CRI-O looks for");
    mounted_with(&options).run().prints("fine\n");
    // And it would be noticed if one were not.
    mounted_with(&["no-such-option".to_owned()]).create().refused();
}

#[test]
fn namespaces_are_those_that_a_config_can_ask_for() {
    require!(!is_runc(), "the list is runc's own");
    let listed = set(&features()["linux"]["namespaces"]);
    for kind in ["cgroup", "ipc", "mount", "network", "pid", "time", "user", "uts"] {
        let container = Container::new("namespace").args(["echo", "fine"]).without_namespace(kind).namespace(kind);
        if listed.contains(kind) {
            container.run().prints("fine\n");
        } else {
            container.create().refused().says("linux.namespaces");
        }
    }
    assert!(!listed.contains("astral"));
}

#[test]
fn every_capability_is_known() {
    require!(!is_runc(), "an old runc refuses what it can't grant");
    let mut container = Container::new("capabilities").args(["echo", "fine"]);
    for name in list(&features()["linux"]["capabilities"]) {
        container = container.capability(&name);
    }
    let output = container.capability("CAP_FLY").run();
    assert_eq!(output.stdout, "fine\n");
    // What this machine does not grant is named too, in other words.
    let unknown = output.stderr.lines().filter(|line| line.contains("there is no capability"));
    let unknown: Vec<_> = unknown.filter(|line| !line.contains("CAP_FLY")).collect();
    assert_eq!(unknown, [""; 0]);
    assert!(output.stderr.contains("there is no capability CAP_FLY"), "{}", output.stderr);
}

#[test]
fn every_word_of_a_seccomp_profile_is_known() {
    require!(!is_runc(), "the list is runc's own");
    let features = features();
    let seccomp = &features["linux"]["seccomp"];
    let with = |change: &dyn Fn(&mut Value)| {
        let mut profile = json!({ "defaultAction": "SCMP_ACT_ALLOW",
            "syscalls": [{ "names": ["swapoff"], "action": "SCMP_ACT_ERRNO", "args": [{ "index": 0, "value": 1, "op": "SCMP_CMP_EQ" }] }] });
        change(&mut profile);
        let container = Container::new("profile").args(["echo", "fine"]);
        container.edit(|config| config["linux"]["seccomp"] = profile).run()
    };
    let words = |what: &str| list(&seccomp[what]);
    for action in words("actions").iter().filter(|action| *action != "SCMP_ACT_NOTIFY") {
        with(&|profile| profile["syscalls"][0]["action"] = json!(action)).prints("fine\n");
    }
    assert!(words("actions").contains(&"SCMP_ACT_NOTIFY".to_owned()));
    for operator in words("operators") {
        with(&|profile| profile["syscalls"][0]["args"][0]["op"] = json!(operator)).prints("fine\n");
    }
    with(&|profile| profile["architectures"] = seccomp["archs"].clone()).prints("fine\n");
    let supported = words("supportedFlags");
    for flag in words("knownFlags") {
        let output = with(&|profile| profile["flags"] = json!([flag]));
        match &*flag {
            // Of use only where somebody is notified.
            "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV" => drop(output.refused().says(&flag)),
            _ if supported.contains(&flag) => output.prints("fine\n"),
            _ => drop(output.refused().says(&flag)),
        }
    }
    assert!(supported.iter().all(|flag| words("knownFlags").contains(flag)));
}

#[test]
fn every_hook_is_run() {
    require!(!is_runc(), "the list is runc's own");
    let hooks = list(&features()["hooks"]);
    assert_eq!(hooks.len(), 6);
    for kind in &hooks {
        let script = format!("#!/bin/sh\ncat > /dev/null\necho {kind} >> \"$1\"\n");
        let container = Container::new("hook").writable().args(["echo", "fine"]).program("bin/hook", &script);
        // Where the hook is looked for, and where it writes: in the container for the one that runs there.
        let (path, said) = match &**kind {
            "startContainer" => ("/bin/hook".into(), "/said".into()),
            _ => (container.rootfs().join("bin/hook"), container.rootfs().join("said")),
        };
        let said_outside = container.rootfs().join("said");
        let hook = json!({ "path": path, "args": ["hook", said] });
        let container = container.edit(|config| config["hooks"] = json!({ kind: [hook] }));
        container.run().prints("fine\n");
        assert_eq!(std::fs::read_to_string(said_outside).unwrap_or_default(), format!("{kind}\n"));
    }
}

#[test]
fn what_is_not_enabled_is_refused() {
    require!(!is_runc(), "what runc supports depends on its build");
    let features = features();
    let claims = |value: &Value| value["enabled"].as_bool().expect("a boolean");
    let refused = |field: &str, change: &dyn Fn(&mut Value)| {
        let output = Container::new("enabled").args(["true"]).edit(|config| change(config)).run();
        output.code != 0 && output.stderr.contains(field)
    };
    let linux = &features["linux"];
    let seccomp = |config: &mut Value| config["linux"]["seccomp"] = json!({ "defaultAction": "SCMP_ACT_ALLOW" });
    let devices = |config: &mut Value| config["linux"]["netDevices"] = json!({ "dummy9": {} });
    let rdt = |config: &mut Value| config["linux"]["intelRdt"] = json!({ "closID": "x", "schemata": ["MB:0=100"] });
    let mapped = |config: &mut Value| {
        let ids = json!([{ "containerID": 0, "hostID": 0, "size": 1 }]);
        let mount = json!({ "destination": "/mnt", "type": "bind", "source": "/usr", "options": ["bind"],
            "uidMappings": ids, "gidMappings": ids });
        config["mounts"].as_array_mut().expect("a list").push(mount);
    };
    assert_eq!(claims(&linux["seccomp"]), !refused("linux.seccomp", &seccomp));
    assert_eq!(claims(&linux["netDevices"]), !refused("linux.netDevices", &devices));
    assert_eq!(claims(&linux["intelRdt"]), !refused("linux.intelRdt", &rdt));
    assert_eq!(claims(&linux["mountExtensions"]["idmap"]), !refused("mounts[", &mapped));
    let systemd = Container::new("systemd").global("--systemd-cgroup").args(["true"]).run();
    assert_eq!(linux["cgroup"]["systemd"] == true, !systemd.stderr.contains("this version of rt can't"));
}

#[test]
fn claims_are_runcs_where_both_have_one() {
    require!(!is_runc(), "it is compared with runc");
    let runc = Command::new("runc").arg("features").output();
    require!(runc.as_ref().is_ok_and(|runc| runc.status.success()), "no runc that has features");
    let runc: Value = serde_json::from_slice(&runc.expect("it ran").stdout).expect("JSON");
    let rt = features();
    assert_eq!(rt["ociVersionMin"], runc["ociVersionMin"]);
    assert_eq!(set(&rt["hooks"]), set(&runc["hooks"]));
    assert!(set(&rt["linux"]["capabilities"]).is_superset(&set(&runc["linux"]["capabilities"])));
    for words in ["actions", "operators", "archs"] {
        let of = |features: &Value| set(&features["linux"]["seccomp"][words]);
        assert!(of(&rt).is_superset(&of(&runc)), "{words}");
    }
    // Newer runcs hand it to the file system, as rt does.
    let mut options = set(&runc["mountOptions"]);
    options.remove("noacl");
    let missing: Vec<_> = options.difference(&set(&rt["mountOptions"])).cloned().collect();
    assert_eq!(missing, [""; 0]);
    for (rt, runc) in [
        (&rt["linux"]["cgroup"]["v1"], &runc["linux"]["cgroup"]["v1"]),
        (&rt["linux"]["cgroup"]["v2"], &runc["linux"]["cgroup"]["v2"]),
        (&rt["linux"]["apparmor"], &runc["linux"]["apparmor"]),
        (&rt["linux"]["selinux"], &runc["linux"]["selinux"]),
    ] {
        assert_eq!(rt, runc);
    }
}

#[test]
fn annotations_say_what_is_so() {
    require!(!is_runc(), "they are runc's own");
    let container = Container::new("features");
    let annotations = features()["annotations"].clone();
    let version = container.bare_call().arg("--version").output().ok();
    let word = |prefix: &str| version.lines().find_map(|line| line.strip_prefix(prefix)).expect("a line").to_owned();
    assert_eq!(annotations["rt.commit"], word("commit: "));
    assert!(word("").ends_with(annotations["rt.version"].as_str().expect("a string")), "{version}");
    assert_eq!(annotations["org.opencontainers.runc.checkpoint.enabled"], "false");
    container.bare_call().arg("checkpoint").output().refused();
    assert_eq!(annotations.as_object().expect("a map").len(), 3, "{annotations}");
}
