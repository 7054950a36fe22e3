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
