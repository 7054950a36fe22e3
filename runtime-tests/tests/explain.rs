//! `explain` prints what would be done, as anybody, anywhere, and does nothing.

use std::fs;

use runtime_tests::{Container, Output, is_runc, require};
use serde_json::{Value, json};

/// What `explain` says of the base config with a mount of our own.
fn explain(container: &Container, options: &[&str]) -> Output {
    let _ = container.creating("run");
    container.call(["explain", "--bundle"]).args([container.bundle()]).args(options).output()
}

fn example() -> Container {
    Container::new("explain").args(["sh", "-c", "echo hello"]).mount("tmpfs", "tmpfs", "/the/mount", &["ro"])
}

#[test]
fn steps_are_numbered_lines() {
    require!(!is_runc(), "runc has no explain");
    let output = explain(&example(), &[]);
    assert_eq!(output.stderr, "");
    let text = output.ok();
    assert!(text.contains("/the/mount"), "{text}");
    let numbers: Vec<usize> = text
        .lines()
        .filter_map(|line| line.split_whitespace().next()?.trim_end_matches(['.', ':']).parse().ok())
        .collect();
    assert!(numbers.len() > 10, "{text}");
    assert_eq!(numbers, (1..=numbers.len()).collect::<Vec<_>>(), "{text}");
}

#[test]
fn order_is_that_of_the_work() {
    require!(!is_runc(), "runc has no explain");
    let text = explain(&example(), &[]).ok();
    let place = |words: &str| text.find(words).unwrap_or_else(|| panic!("no {words} in {text}"));
    assert!(place("/proc") < place("/the/mount"), "mounts keep their order: {text}");
    assert!(place("/the/mount") < place("/proc/kcore"), "paths are masked after mounting: {text}");
}

#[test]
fn plan_can_be_had_as_json() {
    require!(!is_runc(), "runc has no explain");
    let text = explain(&example(), &["--format", "json"]).ok();
    let plan: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
    let steps = plan.get("steps").unwrap_or(&plan).as_array().expect("a list of steps");
    assert!(steps.len() > 10, "{text}");
    assert!(text.contains("/the/mount"), "{text}");
}

#[test]
fn anybody_may_ask() {
    require!(!is_runc(), "runc has no explain");
    let container = example();
    let _ = container.creating("run");
    let call = container.bare_call().args(["explain", "--bundle"]).args([container.bundle()]);
    let text = call.through("exec setpriv --reuid 65534 --regid 65534 --clear-groups -- \"$@\"").output().ok();
    assert!(text.contains("/the/mount"), "{text}");
}

#[test]
fn nothing_is_done() {
    require!(!is_runc(), "runc has no explain");
    let container = example().writable().edit(|config| config["process"]["cwd"] = json!("/not/made"));
    explain(&container, &[]).ok();
    assert!(!container.rootfs().join("the").exists());
    assert!(!container.rootfs().join("not").exists());
    assert_eq!(fs::read_dir(container.state_root()).expect("it is there").count(), 0);
    container.leaves_nothing();
}

#[test]
fn rootfs_need_not_be_there() {
    require!(!is_runc(), "runc has no explain");
    let container = example().edit(|config| config["root"]["path"] = json!("/no/such/rootfs"));
    assert!(explain(&container, &[]).ok().contains("/the/mount"));
}

#[test]
fn bad_config_is_refused_as_by_create() {
    require!(!is_runc(), "runc has no explain");
    let container = example().namespace("astral");
    explain(&container, &[]).refused().says("astral");
    explain(&Container::new("explain").config_text("{"), &[]).refused().says("config.json");
}

fn filtered() -> Container {
    example().edit(|config| {
        config["linux"]["seccomp"] = json!({
            "defaultAction": "SCMP_ACT_ERRNO", "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"],
            "syscalls": [
                { "names": ["execve", "exit_group", "mkdirat", "pidfd_open", "mkdir"], "action": "SCMP_ACT_ALLOW" },
                { "names": ["clone"], "action": "SCMP_ACT_KILL_PROCESS", "args": [
                    { "index": 0, "op": "SCMP_CMP_MASKED_EQ", "value": 0x1000_0000, "valueTwo": 0x1000_0000 }] },
            ],
        });
    })
}

#[test]
fn filter_is_described() {
    require!(!is_runc(), "runc has no explain");
    let text = explain(&filtered(), &[]).ok();
    let said =
        text.lines().skip_while(|line| *line != "seccomp filter").nth(1).unwrap_or_else(|| panic!("none in {text}"));
    assert!(said.starts_with("      2 rules, otherwise SCMP_ACT_ERRNO; "), "{said}");
    assert!(
        said.contains("SCMP_ARCH_X86") && said.ends_with(" instructions; SECCOMP_FILTER_FLAG_SPEC_ALLOW"),
        "{said}"
    );
    assert!(text.contains("load a seccomp filter of "), "{text}");
    let plan: Value = serde_json::from_str(&explain(&filtered(), &["--format", "json"]).ok()).expect("JSON");
    assert_eq!(plan["seccomp"], said.trim());
    let without: Value = serde_json::from_str(&explain(&example(), &["--format", "json"]).ok()).expect("JSON");
    assert_eq!(without["seccomp"], Value::Null);
    assert!(!explain(&example(), &[]).ok().contains("seccomp"));
}

#[test]
fn one_system_call_can_be_asked_about() {
    require!(!is_runc(), "runc has no explain");
    require!(cfg!(target_arch = "x86_64"), "the answer begins with the machine's own architecture");
    let ask = |call: &str| explain(&filtered(), &["--seccomp", call]);
    ask("mkdirat").prints(
        "mkdirat()\n      SCMP_ARCH_X86_64: SCMP_ACT_ALLOW; linux.seccomp.syscalls[0]\n      SCMP_ARCH_X86: SCMP_ACT_ALLOW; linux.seccomp.syscalls[0]\n",
    );
    let clone = ask("clone:0x10000011,0").ok();
    assert!(clone.starts_with("clone(0x10000011, 0x0)\n"), "{clone}");
    assert!(clone.contains("X86_64: SCMP_ACT_KILL_PROCESS; linux.seccomp.syscalls[1]\n"), "{clone}");
    let other = ask("clone:17").ok();
    assert!(
        other.contains("X86_64: SCMP_ACT_ERRNO 1, operation not permitted; linux.seccomp.defaultAction\n"),
        "{other}"
    );
    let newer = ask("fchmodat2").ok();
    assert!(newer.contains("X86_64: SCMP_ACT_ERRNO 38, function not implemented; it is newer"), "{newer}");
    assert_eq!(ask("437").ok().lines().nth(1).map(str::len), ask("openat2").ok().lines().nth(1).map(str::len));
    let json: Value =
        serde_json::from_str(&explain(&filtered(), &["--seccomp", "clone:17", "--format", "json"]).ok()).expect("JSON");
    let ruling = json!({ "architecture": "SCMP_ARCH_X86_64", "action": "SCMP_ACT_ERRNO", "errno": 1, "by": "linux.seccomp.defaultAction" });
    assert_eq!((&json["call"], &json["args"], &json["rulings"][0]), (&json!("clone"), &json!([17]), &ruling));
    let free = explain(&example(), &["--seccomp", "mkdir"]).ok();
    assert!(free.contains("SCMP_ACT_ALLOW; there is no filter\n"), "{free}");
    for wrong in ["mkdri", "clone:x", "clone:1,2,3,4,5,6,7"] {
        ask(wrong).refused().says("--seccomp");
    }
}

#[test]
fn what_is_said_of_a_system_call_is_what_the_kernel_does() {
    require!(!is_runc(), "runc has no explain");
    let profile = json!({ "defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
        { "names": ["getuid"], "action": "SCMP_ACT_ERRNO", "errnoRet": 33 },
        { "names": ["personality"], "action": "SCMP_ACT_ERRNO", "errnoRet": 44, "args": [
            { "index": 0, "op": "SCMP_CMP_GE", "value": 0xffff_fff0_u32 }] },
        { "names": ["personality"], "action": "SCMP_ACT_ERRNO", "errnoRet": 55, "args": [
            { "index": 0, "op": "SCMP_CMP_MASKED_EQ", "value": 0x8000_0001_u32, "valueTwo": 0x8000_0000_u32 }] },
        { "names": ["umask", "getgid"], "action": "SCMP_ACT_LOG" },
    ] });
    let calls = [
        "getuid",
        "getgid",
        "personality:0xffffffff",
        "personality:0x80000000",
        "personality:0xfffffff2",
        "umask:0x12",
        "getpid",
    ];
    let container = Container::new("explain").program_from("bin/calls", env!("CARGO_BIN_EXE_calls"));
    let container =
        container.args(["calls"].into_iter().chain(calls)).edit(|config| config["linux"]["seccomp"] = profile);
    let did = container.run().ok();
    for (call, did) in calls.iter().zip(did.lines()) {
        let text = explain(&container, &["--seccomp", call, "--format", "json"]).ok();
        let said: Value = serde_json::from_str(&text).expect("JSON");
        let ruling = &said["rulings"][0];
        match ruling["action"].as_str() {
            Some("SCMP_ACT_ERRNO") => assert!(did.ends_with(&format!(" errno {}", ruling["errno"])), "{did}: {text}"),
            Some("SCMP_ACT_ALLOW" | "SCMP_ACT_LOG") => assert!(!did.contains("errno"), "{did}: {text}"),
            _ => panic!("{text}"),
        }
    }
}
