//! AppArmor's profiles and SELinux's labels, by what the kernel then allows.

use std::{
    io::Write,
    process::{Command, Stdio},
};

use runtime_tests::{Container, differs, has_apparmor, require};
use serde_json::json;

// ---- AppArmor ----

/// A profile that is loaded, until this value goes.
struct Profile {
    text: String,
}

impl Profile {
    /// Everything is allowed but what these rules deny. The name is the test's own.
    fn load(name: &str, flags: &str, rules: &str) -> Self {
        let text = format!(
            "profile {name} flags=({flags}) {{ file, capability, network, mount, umount, pivot_root, signal, ptrace, unix, {rules} }}"
        );
        let profile = Self { text };
        profile.parser("--replace");
        profile
    }

    fn parser(&self, command: &str) {
        let mut parser = Command::new("apparmor_parser")
            .args([command, "--skip-cache", "--quiet"])
            .stdin(Stdio::piped())
            .spawn()
            .expect("apparmor_parser runs");
        let mut stdin = parser.stdin.take().expect("it is a pipe");
        stdin.write_all(self.text.as_bytes()).expect("it reads");
        drop(stdin);
        assert!(parser.wait().expect("it can be waited for").success(), "apparmor_parser {command}: {}", self.text);
    }
}

impl Drop for Profile {
    fn drop(&mut self) {
        self.parser("--remove");
    }
}

/// A container with a profile, and with a file that its profiles deny.
fn confined(profile: &str) -> Container {
    Container::new("apparmor")
        .file("etc/secret", "secret\n")
        .file("etc/open", "open\n")
        .edit(|config| config["process"]["apparmorProfile"] = json!(profile))
}

const LOOK: &str = "cat /proc/self/attr/current /etc/open /etc/secret";
const DENIED: &str = "can't open '/etc/secret': Permission denied";

#[test]
fn what_the_profile_denies_is_denied() {
    require!(has_apparmor(), "this machine has no AppArmor");
    let _profile = Profile::load("rt-test-enforce", "attach_disconnected", "deny /etc/secret r,");
    let output = confined("rt-test-enforce").script(LOOK).run();
    assert_eq!(output.stdout, "rt-test-enforce (enforce)\nopen\n", "{output:?}");
    assert!(output.stderr.contains(DENIED), "{output:?}");
}

#[test]
fn profile_applies_to_the_program_and_not_to_its_making() {
    require!(has_apparmor(), "this machine has no AppArmor");
    let rules = "deny mount, deny pivot_root, deny capability sys_admin, deny /proc/** w,";
    let _profile = Profile::load("rt-test-strict", "attach_disconnected", rules);
    let container =
        confined("rt-test-strict").edit(|config| config["linux"]["sysctl"] = json!({ "net.ipv4.ip_forward": "1" }));
    container
        .namespace("cgroup")
        .script("cat /proc/self/attr/current /proc/sys/net/ipv4/ip_forward")
        .run()
        .prints("rt-test-strict (enforce)\n1\n");
}

#[test]
fn program_that_the_profile_denies_is_not_executed() {
    require!(has_apparmor(), "this machine has no AppArmor");
    let _profile = Profile::load("rt-test-exec", "attach_disconnected", "deny /bin/id x,");
    let output = confined("rt-test-exec").script("/bin/id; /bin/pwd").run();
    assert_eq!(output.stdout, "/\n", "{output:?}");
    assert!(output.stderr.contains("/bin/id: Permission denied"), "{output:?}");
}

#[test]
fn complaining_profile_denies_nothing() {
    require!(has_apparmor(), "this machine has no AppArmor");
    let _profile = Profile::load("rt-test-complain", "attach_disconnected,complain", "");
    confined("rt-test-complain").script(LOOK).run().prints("rt-test-complain (complain)\nopen\nsecret\n");
}

#[test]
fn unconfined_is_a_profile() {
    require!(has_apparmor(), "this machine has no AppArmor");
    confined("unconfined").script(LOOK).run().prints("unconfined\nopen\nsecret\n");
}

#[test]
fn profile_that_is_not_loaded_is_refused() {
    require!(has_apparmor(), "this machine has no AppArmor");
    for output in [confined("rt-test-missing").create(), confined("rt-test-missing").run()] {
        let refusal = output.refused().names("apparmor");
        if !differs("wording") {
            refusal.says("rt-test-missing");
        }
    }
}

#[test]
fn what_is_executed_later_has_the_profile_too() {
    require!(has_apparmor(), "this machine has no AppArmor");
    let _profile = Profile::load("rt-test-later", "attach_disconnected", "deny /etc/secret r,");
    let container = confined("rt-test-later").args(["sleep", "1000"]).started();
    let output = container.exec_script(LOOK);
    assert_eq!(output.stdout, "rt-test-later (enforce)\nopen\n", "{output:?}");
    assert!(output.stderr.contains(DENIED), "{output:?}");
}

#[test]
fn exec_can_have_a_profile_of_its_own() {
    require!(has_apparmor(), "this machine has no AppArmor");
    let _profile = Profile::load("rt-test-own", "attach_disconnected", "deny /etc/secret r,");
    let container = Container::new("apparmor").file("etc/secret", "secret\n").file("etc/open", "open\n");
    let container = container.args(["sleep", "1000"]).started();
    let output = container.executing(["--apparmor", "rt-test-own"], ["sh", "-c", LOOK]).output();
    assert_eq!(output.stdout, "rt-test-own (enforce)\nopen\n", "{output:?}");
    assert!(output.stderr.contains(DENIED), "{output:?}");
    let missing = container.executing(["--apparmor", "rt-test-missing"], ["true"]).output();
    missing.refused_with(255).names("apparmor");
}
