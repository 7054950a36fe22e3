//! Profiles that no filter is made of, and what is said; and what is no reason to refuse one.

use rt_seccomp::{Arch, Attempt, Filter, Flag, Profile, Verdict, compile, number, verdict};

fn profile(text: &str) -> Profile {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn refusal(text: &str) -> String {
    compile(&profile(text), Arch::X86_64, 0b1111).expect_err(text).to_string()
}

fn filter(text: &str) -> Filter {
    compile(&profile(text), Arch::X86_64, 0b10_1111).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn says(text: &str, call: &str) -> Verdict {
    let number = number(Arch::X86_64, call).expect("a call");
    verdict(&filter(text).instructions, &Attempt { arch: Arch::X86_64, number, args: [0; 6] }).expect("a verdict")
}

/// A profile that allows, with one rule.
fn rule(rule: &str) -> String {
    format!(r#"{{ "defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{rule}] }}"#)
}

#[test]
fn a_listener_is_not_asked_for_what_hands_it_over() {
    let text = refusal(&rule(r#"{ "names": ["read", "write"], "action": "SCMP_ACT_NOTIFY" }"#));
    assert_eq!(text, "SCMP_ACT_NOTIFY cannot be used for the write syscall");
    let text = refusal(r#"{ "defaultAction": "SCMP_ACT_NOTIFY" }"#);
    assert_eq!(text, "SCMP_ACT_NOTIFY cannot be used as default action");
}

#[test]
fn an_errno_stands_where_one_is_returned() {
    let text = refusal(&rule(r#"{ "names": ["read"], "action": "SCMP_ACT_KILL", "errnoRet": 1 }"#));
    assert_eq!(text, "linux.seccomp.syscalls[0].errnoRet is set, but SCMP_ACT_KILL takes no errno");
    let text = refusal(r#"{ "defaultAction": "SCMP_ACT_LOG", "defaultErrnoRet": 0 }"#);
    assert_eq!(text, "linux.seccomp.defaultErrnoRet is set, but SCMP_ACT_LOG takes no errno");
    let text = refusal(&rule(r#"{ "names": ["read"], "action": "SCMP_ACT_ERRNO", "errnoRet": 4095 }"#));
    assert_eq!(text, "linux.seccomp.syscalls[0].errnoRet is 4095: an errno is less than 4095");
    // What a tracer is told can be anything, of 16 bits.
    let text = rule(r#"{ "names": ["read"], "action": "SCMP_ACT_TRACE", "errnoRet": 66000 }"#);
    assert_eq!(says(&text, "read"), Verdict::Trace(464));
}

#[test]
fn the_errno_is_eperm_unless_it_is_said() {
    assert_eq!(says(&rule(r#"{ "names": ["read"], "action": "SCMP_ACT_ERRNO" }"#), "read"), Verdict::Errno(1));
    assert_eq!(
        says(&rule(r#"{ "names": ["read"], "action": "SCMP_ACT_ERRNO", "errnoRet": 0 }"#), "read"),
        Verdict::Errno(0)
    );
    let text =
        r#"{ "defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{ "names": ["write"], "action": "SCMP_ACT_ALLOW" }] }"#;
    assert_eq!(says(text, "read"), Verdict::Errno(1));
}

#[test]
fn rules_of_nothing_are_refused_and_rules_of_the_unknown_are_not() {
    let text = refusal(&rule(r#"{ "names": ["read", ""], "action": "SCMP_ACT_LOG" }"#));
    assert_eq!(text, "linux.seccomp.syscalls[0].names: an empty string is not a valid syscall");
    let filter = filter(&rule(r#"{ "names": ["read", "teleport"], "action": "SCMP_ACT_LOG" }"#));
    assert_eq!(filter.warnings, ["unknown system call teleport is ignored"]);
}

#[test]
fn arguments_are_six() {
    let text = refusal(&rule(
        r#"{ "names": ["read"], "action": "SCMP_ACT_LOG", "args": [{ "index": 6, "value": 1, "op": "SCMP_CMP_EQ" }] }"#,
    ));
    assert_eq!(text, "linux.seccomp.syscalls[0].args: a system call has arguments 0 to 5, not 6");
}

#[test]
fn rules_that_contradict_each_other_are_refused() {
    let one =
        r#"{ "names": ["read"], "action": "SCMP_ACT_LOG", "args": [{ "index": 0, "value": 1, "op": "SCMP_CMP_EQ" }] }"#;
    let other = one.replace("LOG", "KILL");
    let text = refusal(&rule(&format!("{one}, {other}")));
    assert_eq!(
        text,
        "linux.seccomp.syscalls[1]: read on SCMP_ARCH_X86_64 has an earlier rule with another action and the same conditions, \
         or those of this one and more"
    );
}

#[test]
fn a_rule_without_conditions_is_stronger_wherever_it_stands() {
    let with =
        r#"{ "names": ["read"], "action": "SCMP_ACT_LOG", "args": [{ "index": 0, "value": 0, "op": "SCMP_CMP_EQ" }] }"#;
    let without = r#"{ "names": ["read"], "action": "SCMP_ACT_KILL" }"#;
    assert_eq!(says(&rule(&format!("{with}, {without}")), "read"), Verdict::KillThread);
    assert_eq!(says(&rule(&format!("{without}, {with}")), "read"), Verdict::KillThread);
    // And the first of two.
    let second = r#"{ "names": ["read"], "action": "SCMP_ACT_TRAP" }"#;
    assert_eq!(says(&rule(&format!("{without}, {second}")), "read"), Verdict::KillThread);
}

#[test]
fn flags_are_speculation_unless_others_are_asked_for() {
    let flags = |list: &str| filter(&format!(r#"{{ "defaultAction": "SCMP_ACT_ALLOW" {list} }}"#)).flags;
    assert_eq!(flags(""), Flag::SpecAllow.bit());
    assert_eq!(flags(r#", "flags": null"#), Flag::SpecAllow.bit());
    assert_eq!(flags(r#", "flags": []"#), 0);
    assert_eq!(flags(r#", "flags": ["SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_TSYNC"]"#), Flag::Log.bit());
    // An older kernel.
    let text = r#"{ "defaultAction": "SCMP_ACT_ALLOW" }"#;
    assert_eq!(compile(&profile(text), Arch::X86_64, 0).map(|filter| filter.flags), Ok(0));
    let text = r#"{ "defaultAction": "SCMP_ACT_ALLOW", "flags": ["SECCOMP_FILTER_FLAG_LOG"] }"#;
    let error = compile(&profile(text), Arch::X86_64, 0).expect_err("a flag");
    assert_eq!(error.to_string(), "seccomp flag SECCOMP_FILTER_FLAG_LOG is not supported by this kernel");
}

#[test]
fn whoever_waits_for_a_listener_has_one() {
    let flag = r#""flags": ["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"]"#;
    let text = format!(r#"{{ "defaultAction": "SCMP_ACT_ALLOW", {flag} }}"#);
    let error = compile(&profile(&text), Arch::X86_64, u32::MAX).expect_err("a flag");
    assert_eq!(
        error.to_string(),
        "seccomp flag SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV needs a rule with SCMP_ACT_NOTIFY"
    );
    // A listener is made even where no architecture has the call, as by runc.
    let rules = r#""syscalls": [{ "names": ["teleport"], "action": "SCMP_ACT_NOTIFY" }]"#;
    let filter = filter(&format!(r#"{{ "defaultAction": "SCMP_ACT_ALLOW", {flag}, {rules} }}"#));
    assert_eq!((filter.notify, filter.flags), (true, 1 << 3 | 1 << 5));
}

#[test]
fn a_profile_says_what_it_means() {
    for (text, problem) in [
        (r#"{ "defaultAction": "SCMP_ACT_SING" }"#, r#""SCMP_ACT_SING" is not a valid action for seccomp"#),
        (r#"{ "architectures": ["SCMP_ARCH_VAX"] }"#, r#""SCMP_ARCH_VAX" is not a valid architecture for seccomp"#),
        (r#"{ "flags": ["SECCOMP_FILTER_FLAG_RED"] }"#, r#""SECCOMP_FILTER_FLAG_RED" is not a valid flag for seccomp"#),
        (r#"{ "syscalls": [{ "names": ["read"] }] }"#, "missing field `action`"),
        (r#"{ "syscalls": [{ "names": ["read"], "action": "" }] }"#, r#""" is not a valid action for seccomp"#),
        (
            r#"{ "syscalls": [{ "names": ["read"], "action": "SCMP_ACT_LOG", "args": [{ "index": 0, "op": "SCMP_CMP_ODD" }] }] }"#,
            r#""SCMP_CMP_ODD" is not a valid operator for seccomp"#,
        ),
    ] {
        let error = serde_json::from_str::<Profile>(text).expect_err(text).to_string();
        assert!(error.starts_with(problem), "{text}: {error}");
    }
}

#[test]
fn an_empty_profile_is_none_at_all() {
    for text in ["{}", r#"{ "defaultAction": "", "syscalls": null, "architectures": null, "listenerPath": "" }"#] {
        assert!(profile(text).is_empty(), "{text}");
    }
    let text = r#"{ "syscalls": [{ "names": ["read"], "action": "SCMP_ACT_LOG" }] }"#;
    assert!(!profile(text).is_empty());
    assert_eq!(refusal(text), "linux.seccomp.defaultAction is missing");
}

#[test]
fn what_is_newer_than_the_profile_does_not_exist() {
    let text = r#"{ "defaultAction": "SCMP_ACT_KILL", "syscalls": [{ "names": ["read", "openat2"], "action": "SCMP_ACT_ALLOW" }] }"#;
    // openat2 is 437, faccessat2 439; close_range 436.
    assert_eq!(says(text, "faccessat2"), Verdict::Errno(38));
    assert_eq!(says(text, "close_range"), Verdict::KillThread);
    // Where the default lets calls through, these too.
    assert_eq!(says(&text.replace("KILL", "LOG"), "faccessat2"), Verdict::Log);
}
