//! Which system calls the program may make, and who is asked about them.
//!
//! Where the filter is loaded: without no_new_privs before the rights for it are given up, with it when nothing but the program
//! is left (behaviour S4-06 of runc's init).

use std::{
    fs,
    io::Write,
    path::PathBuf,
    process::{Command, Stdio},
};

use nix::libc;
use runtime_tests::{
    Agent, Container, Ruling, Watch, differs, is_runc, newer_than_this_runc, old_runc, require, wait_until,
};
use serde_json::{Value, json};

/// The program that makes system calls.
const CALLS: &str = env!("CARGO_BIN_EXE_calls");
/// The status of a program that SIGSYS has ended.
const BAD_CALL: i32 = 128 + 31;
/// With a descriptor that is none, fadvise64(2) is EBADF whatever its other arguments are; so a filter's answer can be told.
const FADVISE64: libc::c_long = libc::SYS_fadvise64;
const EBADF: &str = "errno 9";

/// Everything is allowed but what these rules say.
fn allowing(rules: &[Value]) -> Value {
    json!({ "defaultAction": "SCMP_ACT_ALLOW", "syscalls": rules })
}

fn rule(name: &str, action: &str) -> Value {
    json!({ "names": [name], "action": action })
}

fn container(profile: &Value) -> Container {
    let container = Container::new("filter").program_from("bin/calls", CALLS);
    container.edit(|config| config["linux"]["seccomp"] = profile.clone())
}

/// A container with this profile that makes these calls: with no_new_privs.
fn calling<'a>(profile: &Value, calls: impl IntoIterator<Item = &'a str>) -> Container {
    container(profile).args(["calls"].into_iter().chain(calls))
}

fn privileged(container: Container) -> Container {
    container.edit(|config| config["process"]["noNewPrivileges"] = json!(false))
}

/// With and without no_new_privs: the filter is loaded in different places.
fn both(profile: &Value, calls: &[&str]) -> [Container; 2] {
    let calling = || calling(profile, calls.iter().copied());
    [calling(), privileged(calling())]
}

const STATUS: &str = "grep -E '^(NoNewPrivs|Seccomp|Seccomp_filters):' /proc/self/status";

fn status(no_new_privileges: bool) -> String {
    format!("NoNewPrivs:\t{}\nSeccomp:\t2\nSeccomp_filters:\t1\n", u8::from(no_new_privileges))
}

// ---- what a filter does ----

#[test]
fn every_action_does_what_it_says() {
    let errno = |errno: u32| json!({ "names": ["getsid"], "action": "SCMP_ACT_ERRNO", "errnoRet": errno });
    let getsid = libc::SYS_getsid.to_string();
    for (rule, said) in [
        (rule("getsid", "SCMP_ACT_ALLOW"), Some("0")),
        (rule("getsid", "SCMP_ACT_LOG"), Some("0")),
        (rule("getsid", "SCMP_ACT_ERRNO"), Some("errno 1")),
        (errno(99), Some("errno 99")),
        (errno(0), Some("0")),
        // There is no tracer.
        (rule("getsid", "SCMP_ACT_TRACE"), Some("errno 38")),
        (rule("getsid", "SCMP_ACT_TRAP"), None),
        (rule("getsid", "SCMP_ACT_KILL"), None),
        (rule("getsid", "SCMP_ACT_KILL_THREAD"), None),
        (rule("getsid", "SCMP_ACT_KILL_PROCESS"), None),
    ] {
        // A default that is the rule's action would be refused by libseccomp for no reason.
        let default = if rule["action"] == "SCMP_ACT_ALLOW" { "SCMP_ACT_LOG" } else { "SCMP_ACT_ALLOW" };
        let profile = json!({ "defaultAction": default, "syscalls": [rule] });
        for container in both(&profile, &[&format!("{getsid}:0"), "getuid"]) {
            let output = container.run();
            match said {
                // Its session is its own, and its number that of process 1.
                Some("0") if rule["errnoRet"].is_null() => output.prints(&format!("{getsid} 1\ngetuid 0\n")),
                Some(said) => output.prints(&format!("{getsid} {said}\ngetuid 0\n")),
                None => assert_eq!(output.exits(BAD_CALL).stdout, "", "{rule}"),
            }
        }
    }
}

#[test]
fn thread_or_process_is_killed() {
    for (action, code, said) in [
        ("SCMP_ACT_KILL", 0, "getuid ended the thread\ngetpid 1\n"),
        ("SCMP_ACT_KILL_THREAD", 0, "getuid ended the thread\ngetpid 1\n"),
        ("SCMP_ACT_KILL_PROCESS", BAD_CALL, ""),
    ] {
        let profile = allowing(&[rule("getuid", action)]);
        let output = calling(&profile, ["in-thread", "getuid", "getpid"]).run().exits(code);
        assert_eq!(output.stdout, said, "{action}");
    }
}

#[test]
fn trapped_call_is_a_signal_that_can_be_caught() {
    let profile = allowing(&[rule("chroot", "SCMP_ACT_TRAP")]);
    let script = "chroot / true; echo $?; trap 'echo caught' SYS; kill -SYS $$";
    let output = container(&profile).script(script).run();
    assert_eq!(output.ok(), format!("{BAD_CALL}\ncaught\n"));
}

#[test]
fn default_has_an_errno_of_its_own() {
    // What the program needs, and a call that is newer than what it is asked for.
    let allow = json!({ "names": NEEDED, "action": "SCMP_ACT_ALLOW" });
    let getsid = libc::SYS_getsid.to_string();
    for (errno, said) in [(Value::Null, 1), (json!(13), 13), (json!(99), 99)] {
        let mut profile = json!({ "defaultAction": "SCMP_ACT_ERRNO", "syscalls": [allow] });
        profile["defaultErrnoRet"] = errno;
        calling(&profile, [&*getsid, "getpid"]).run().prints(&format!("{getsid} errno {said}\ngetpid 1\n"));
    }
}

#[test]
fn calls_newer_than_the_profile_are_not_there() {
    let allow = json!({ "names": NEEDED, "action": "SCMP_ACT_ALLOW" });
    let newest = json!({ "names": ["pidfd_open"], "action": "SCMP_ACT_ALLOW" });
    let (known, newer, unlisted) = (libc::SYS_pidfd_open, libc::SYS_openat2, libc::SYS_getsid);
    let calls = [format!("{known}:1,9"), newer.to_string(), "450".to_owned(), "1000".to_owned(), unlisted.to_string()];
    let newer_ones = format!("{known} errno 22\n{newer} errno 38\n450 errno 38\n1000 errno 38\n");
    let output = |default: &str, errno: Value| {
        let mut profile = json!({ "defaultAction": default, "syscalls": [allow, newest] });
        profile["defaultErrnoRet"] = errno;
        profile["architectures"] = json!(["SCMP_ARCH_X86_64", "SCMP_ARCH_AARCH64"]);
        calling(&profile, calls.iter().map(|call| &**call)).run()
    };
    output("SCMP_ACT_ERRNO", Value::Null).prints(&format!("{newer_ones}{unlisted} errno 1\n"));
    if !differs("filter-is-loaded-with-the-program") {
        assert_eq!(output("SCMP_ACT_KILL_PROCESS", Value::Null).exits(BAD_CALL).stdout, newer_ones);
    }
    if !old_runc() {
        // That one takes an errno of the default's own for all of them.
        output("SCMP_ACT_ERRNO", json!(99)).prints(&format!("{newer_ones}{unlisted} errno 99\n"));
    }
    // Everything is allowed: then nothing is newer.
    let call = newer.to_string();
    calling(&allowing(&[rule("getsid", "SCMP_ACT_ERRNO")]), [&*call]).run().prints(&format!("{newer} errno 22\n"));
}

/// What a static program of Rust needs to say something, the call that begins it, and one to ask for.
const NEEDED: &[&str] = &[
    "execve",
    "brk",
    "arch_prctl",
    "set_tid_address",
    "set_robust_list",
    "rseq",
    "prlimit64",
    "readlink",
    "readlinkat",
    "getrandom",
    "mprotect",
    "mmap",
    "munmap",
    "poll",
    "ppoll",
    "rt_sigaction",
    "rt_sigprocmask",
    "sigaltstack",
    "write",
    "writev",
    "read",
    "close",
    "prctl",
    "fstatfs",
    "statfs",
    "getdents64",
    "lseek",
    "epoll_ctl",
    "epoll_pwait",
    "nanosleep",
    "madvise",
    "tgkill",
    "getuid",
    "exit",
    "exit_group",
    "getpid",
    "gettid",
    "sched_getaffinity",
    "fcntl",
    "fstat",
    "newfstatat",
    "futex",
    "uname",
    "open",
    "openat",
];

// ---- conditions ----

fn condition(index: u32, op: &str, value: u64, value_two: u64) -> Value {
    json!({ "index": index, "op": op, "value": value, "valueTwo": value_two })
}

/// The calls of fadvise64(2) with these arguments that a rule with these conditions is about.
fn caught(conditions: &[Value], calls: &[&str]) -> Vec<String> {
    let rule = json!({ "names": ["fadvise64"], "action": "SCMP_ACT_ERRNO", "errnoRet": 99, "args": conditions });
    caught_by(&allowing(&[rule]), calls)
}

fn caught_by(profile: &Value, calls: &[&str]) -> Vec<String> {
    let words: Vec<_> = calls.iter().map(|arguments| format!("{FADVISE64}:{arguments}")).collect();
    let said = calling(profile, words.iter().map(|word| &**word)).run().ok();
    assert_eq!(said.lines().count(), calls.len(), "{said}");
    let caught = calls.iter().zip(said.lines()).filter(|(_, said)| {
        assert!(said.ends_with("errno 99") || said.ends_with(EBADF), "{said}");
        said.ends_with("errno 99")
    });
    caught.map(|(call, _)| (*call).to_owned()).collect()
}

#[test]
fn operators_compare_all_64_bits() {
    const MIDDLE: u64 = 0x1_0000_0005;
    // The second argument: below, equal, above; and what equals it in one half only.
    let calls = [
        "9999,0x100000004",
        "9999,0x100000005",
        "9999,0x100000006",
        "9999,5",
        "9999,0x200000005",
        "9999,0",
        "9999,0xffffffffffffffff",
    ];
    let at = |places: &[usize]| places.iter().map(|place| calls[*place].to_owned()).collect::<Vec<_>>();
    for (op, places) in [
        ("SCMP_CMP_EQ", &[1_usize] as &[_]),
        ("SCMP_CMP_NE", &[0, 2, 3, 4, 5, 6]),
        ("SCMP_CMP_LT", &[0, 3, 5]),
        ("SCMP_CMP_LE", &[0, 1, 3, 5]),
        ("SCMP_CMP_GE", &[1, 2, 4, 6]),
        ("SCMP_CMP_GT", &[2, 4, 6]),
    ] {
        assert_eq!(caught(&[condition(1, op, MIDDLE, 0)], &calls), at(places), "{op}");
    }
}

#[test]
fn masked_bits_are_compared() {
    let calls = ["9999,0x20", "9999,0x2f", "9999,0x3f", "9999,0x100000020", "9999,0x300000020", "9999,0"];
    let masked = |mask, value| caught(&[condition(1, "SCMP_CMP_MASKED_EQ", mask, value)], &calls);
    assert_eq!(masked(0xf0, 0x20), ["9999,0x20", "9999,0x2f", "9999,0x100000020", "9999,0x300000020"]);
    assert_eq!(masked(0x2_0000_00f0, 0x20), ["9999,0x20", "9999,0x2f", "9999,0x100000020"]);
    assert_eq!(masked(0x2_0000_0000, 0x2_0000_0000), ["9999,0x300000020"]);
}

#[test]
fn conditions_about_several_arguments_hold_together() {
    let conditions = [
        condition(0, "SCMP_CMP_EQ", 9999, 0),
        condition(1, "SCMP_CMP_GT", 5, 0),
        condition(2, "SCMP_CMP_LT", 5, 0),
        condition(3, "SCMP_CMP_NE", 7, 0),
    ];
    let calls = ["9999,6,4,6", "9999,6,4,7", "9999,6,5,6", "9999,5,4,6", "9998,6,4,6"];
    assert_eq!(caught(&conditions, &calls), ["9999,6,4,6"]);
}

#[test]
fn two_conditions_about_one_argument_are_alternatives() {
    let calls = ["9999,1", "9999,2", "9999,3", "9999,3,5"];
    let two = [condition(1, "SCMP_CMP_EQ", 1, 0), condition(1, "SCMP_CMP_EQ", 2, 0)];
    assert_eq!(caught(&two, &calls), ["9999,1", "9999,2"]);
    // And so is every other one beside them: runc makes a rule of each.
    let three = [two[0].clone(), two[1].clone(), condition(2, "SCMP_CMP_EQ", 5, 0)];
    assert_eq!(caught(&three, &calls), ["9999,1", "9999,2", "9999,3,5"]);
}

#[test]
fn several_rules_about_one_call_are_alternatives() {
    let rule = |value, action, errno: Value| {
        let mut rule =
            json!({ "names": ["fadvise64"], "action": action, "args": [condition(1, "SCMP_CMP_EQ", value, 0)] });
        rule["errnoRet"] = errno;
        rule
    };
    let profile = allowing(&[rule(1, "SCMP_ACT_ERRNO", json!(99)), rule(2, "SCMP_ACT_ERRNO", json!(99))]);
    assert_eq!(caught_by(&profile, &["9999,1", "9999,2", "9999,3"]), ["9999,1", "9999,2"]);
    let profile = allowing(&[rule(1, "SCMP_ACT_ERRNO", json!(99)), rule(2, "SCMP_ACT_KILL_PROCESS", Value::Null)]);
    assert_eq!(caught_by(&profile, &["9999,1", "9999,3"]), ["9999,1"]);
    let call = format!("{FADVISE64}:9999,2");
    calling(&profile, [&*call]).run().exits(BAD_CALL);
}

// ---- architectures, flags, names ----

/// Numbers of 32-bit x86.
const X86_GETPID: &str = "x86:20";
const X86_GETPPID: &str = "x86:64";
/// getpid(2) and getppid(2) of x32.
const X32_GETPID: &str = "0x40000027";
const X32_GETPPID: &str = "0x4000006e";

/// Does this kernel run 32-bit programs?
fn runs_x86() -> bool {
    Command::new(CALLS)
        .arg(X86_GETPID)
        .output()
        .is_ok_and(|output| output.status.success() && !output.stdout.ends_with(b"errno 38\n"))
}

fn of(architectures: &[&str]) -> Value {
    let mut profile = allowing(&[rule("getppid", "SCMP_ACT_ERRNO")]);
    profile["architectures"] = json!(architectures);
    profile
}

#[test]
fn rules_are_about_every_architecture_that_is_listed() {
    require!(cfg!(target_arch = "x86_64"), "it is about x86");
    require!(runs_x86(), "this kernel runs no 32-bit programs");
    let profile = of(&["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"]);
    for container in both(&profile, &["getpid", "getppid", X86_GETPID, X86_GETPPID]) {
        // runc looks for its parent.
        if is_runc() && container.config["process"]["noNewPrivileges"] == false {
            continue;
        }
        container.run().prints(&format!("getpid 1\ngetppid errno 1\n{X86_GETPID} 1\n{X86_GETPPID} errno 1\n"));
    }
    // The machine's own is there unasked.
    calling(&of(&["SCMP_ARCH_X86"]), ["getpid", "getppid", X86_GETPPID])
        .run()
        .prints(&format!("getpid 1\ngetppid errno 1\n{X86_GETPPID} errno 1\n"));
    // Others have no effect here.
    let with = |other| calling(&of(&["SCMP_ARCH_X86_64", other]), ["getpid", "getppid"]).run();
    with("SCMP_ARCH_AARCH64").prints("getpid 1\ngetppid errno 1\n");
    if !differs("architectures-of-both-byte-orders") {
        with("SCMP_ARCH_S390X").prints("getpid 1\ngetppid errno 1\n");
    }
}

#[test]
fn calls_of_an_architecture_that_is_not_listed_end_the_program() {
    require!(cfg!(target_arch = "x86_64"), "it is about x86");
    require!(runs_x86(), "this kernel runs no 32-bit programs");
    for profile in [of(&["SCMP_ARCH_X86_64"]), allowing(&[rule("getppid", "SCMP_ACT_ERRNO")])] {
        for call in [X86_GETPID, X86_GETPPID, X32_GETPID] {
            let output = calling(&profile, ["getpid", call]).run().exits(BAD_CALL);
            assert_eq!(output.stdout, "getpid 1\n", "{call}");
        }
    }
}

#[test]
fn x32_is_an_architecture_of_its_own() {
    require!(cfg!(target_arch = "x86_64"), "it is about x86");
    let profile = of(&["SCMP_ARCH_X86_64", "SCMP_ARCH_X32"]);
    let said = calling(&profile, ["getppid", X32_GETPID, X32_GETPPID]).run().ok();
    let lines: Vec<_> = said.lines().collect();
    assert_eq!((lines[0], lines[2]), ("getppid errno 1", &*format!("{X32_GETPPID} errno 1")), "{said}");
    // The filter lets it pass; few kernels have it.
    assert!([format!("{X32_GETPID} 1"), format!("{X32_GETPID} errno 38")].contains(&lines[1].to_owned()), "{said}");
}

#[test]
fn flags_are_taken() {
    newer_than_this_runc!("seccomp flags");
    for flags in [
        json!([]),
        json!(["SECCOMP_FILTER_FLAG_TSYNC"]),
        json!(["SECCOMP_FILTER_FLAG_LOG"]),
        json!(["SECCOMP_FILTER_FLAG_SPEC_ALLOW"]),
        json!(["SECCOMP_FILTER_FLAG_TSYNC", "SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW"]),
    ] {
        let mut profile = allowing(&[rule("getuid", "SCMP_ACT_ERRNO")]);
        profile["flags"] = flags;
        for container in both(&profile, &["getuid", "getpid"]) {
            container.run().prints("getuid errno 1\ngetpid 1\n");
        }
    }
}

#[test]
fn speculation_is_as_the_flags_say() {
    newer_than_this_runc!("seccomp flags");
    let speculates = |flags: Value| {
        let mut profile = allowing(&[rule("getuid", "SCMP_ACT_ERRNO")]);
        profile["flags"] = flags;
        let status = container(&profile).args(["cat", "/proc/self/status"]).run().ok();
        let line = status.lines().find_map(|line| line.strip_prefix("Speculation_Store_Bypass:\t")).map(str::to_owned);
        line.unwrap_or_default()
    };
    let (none, allowed) = (speculates(json!([])), speculates(json!(["SECCOMP_FILTER_FLAG_SPEC_ALLOW"])));
    require!(none != allowed, "this machine does the same with and without the flag: {none}");
    // Absent is the same as SPEC_ALLOW.
    assert_eq!(speculates(Value::Null), allowed);
}

#[test]
fn names_that_nobody_knows_are_ignored() {
    let profile = allowing(&[
        json!({ "names": ["getuid", "no_such_call", "socketcall"], "action": "SCMP_ACT_ERRNO" }),
        rule("another_one", "SCMP_ACT_KILL_PROCESS"),
    ]);
    calling(&profile, ["getuid", "getpid"]).run().prints("getuid errno 1\ngetpid 1\n");
}

#[test]
fn profile_of_an_engine_works() {
    let Ok(text) = fs::read("/usr/share/containers/seccomp.json") else {
        return runtime_tests::skip(
            "no /usr/share/containers/seccomp.json: apt install golang-github-containers-common",
        );
    };
    let profile = for_this_machine(&serde_json::from_slice(&text).expect("it is JSON"));
    for container in [container(&profile), privileged(container(&profile))] {
        let script = format!(
            "{STATUS} | grep Seccomp:; ls -d /proc; unshare -m true 2>&1; mount -t tmpfs t /tmp 2>&1; calls {}:9999 | cut -d' ' -f2-",
            libc::SYS_openat2
        );
        let said = container.script(&script).run().ok();
        assert!(said.starts_with("Seccomp:\t2\n/proc\n"), "{said}");
        assert_eq!(said.matches("not permitted").count() + said.matches("permission denied").count(), 2, "{said}");
        assert!(said.ends_with("errno 22\n"), "openat2 is in the profile: {said}");
    }
}

/// An engine's profile as a config has it: the rules that are there for this machine, for a container without capabilities.
fn for_this_machine(profile: &Value) -> Value {
    let mine = if cfg!(target_arch = "x86_64") { "amd64" } else { "arm64" };
    let lists = |rule: &Value, which: &str, what: &str, word: &str| {
        rule[which][what].as_array().is_some_and(|words| words.iter().any(|known| known == word))
    };
    let some = |rule: &Value, what: &str| rule["includes"][what].as_array().is_some_and(|words| !words.is_empty());
    let applies = |rule: &&Value| {
        !some(rule, "caps")
            && (!some(rule, "arches") || lists(rule, "includes", "arches", mine))
            && !lists(rule, "excludes", "arches", mine)
    };
    let mut rules: Vec<Value> =
        profile["syscalls"].as_array().expect("rules").iter().filter(applies).cloned().collect();
    for rule in &mut rules {
        let fields = rule.as_object_mut().expect("a rule");
        fields.retain(|field, value| ["names", "action", "args", "errnoRet"].contains(&&**field) && !value.is_null());
    }
    let own = if cfg!(target_arch = "x86_64") { "SCMP_ARCH_X86_64" } else { "SCMP_ARCH_AARCH64" };
    let archs =
        profile["archMap"].as_array().expect("a map").iter().find(|map| map["architecture"] == own).expect("this one");
    let mut architectures = archs["subArchitectures"].as_array().cloned().unwrap_or_default();
    architectures.push(json!(own));
    let mut converted =
        json!({ "defaultAction": profile["defaultAction"], "architectures": architectures, "syscalls": rules });
    if profile["defaultErrnoRet"].is_number() {
        converted["defaultErrnoRet"] = profile["defaultErrnoRet"].clone();
    }
    converted
}

// ---- whose filter, and when ----

#[test]
fn nothing_adds_no_new_privs() {
    // S4-06: it is loaded before the rights for it are given up, and asks for nothing else.
    let profile = allowing(&[rule("getuid", "SCMP_ACT_ERRNO")]);
    for (uid, capabilities) in [(0, true), (0, false), (1000, true), (1000, false)] {
        for no_new_privileges in [false, true] {
            let mut container = container(&profile).script(STATUS).user(uid, uid);
            container.config["process"]["noNewPrivileges"] = json!(no_new_privileges);
            if !capabilities {
                container.config["process"]["capabilities"] = json!({});
            }
            container.run().prints(&status(no_new_privileges));
        }
    }
}

#[test]
fn without_a_profile_there_is_no_filter() {
    for profile in [
        Value::Null,
        json!({}),
        json!({ "defaultAction": "", "syscalls": [] }),
        json!({ "architectures": ["SCMP_ARCH_X86"] }),
    ] {
        container(&profile).script("grep '^Seccomp:' /proc/self/status").run().prints("Seccomp:\t0\n");
    }
}

#[test]
fn profile_that_allows_everything_is_a_filter() {
    container(&allowing(&[])).script(STATUS).run().prints(&status(true));
}

#[test]
fn program_that_start_lets_run_has_the_filter() {
    let profile = allowing(&[rule("getuid", "SCMP_ACT_ERRNO")]);
    for container in [container(&profile), privileged(container(&profile))] {
        let no_new_privileges = container.config["process"]["noNewPrivileges"] == true;
        let script = format!("{STATUS} > /tmp/said; calls getuid >> /tmp/said; sleep 1000");
        let container = container.writable().script(&script).started();
        wait_until("it has been said", || {
            fs::read_to_string(container.rootfs().join("tmp/said")).is_ok_and(|said| said.contains("getuid"))
        });
        let said = fs::read_to_string(container.rootfs().join("tmp/said")).expect("it was there");
        assert_eq!(said, status(no_new_privileges) + "getuid errno 1\n");
    }
}

#[test]
fn exec_has_the_filter_of_the_container() {
    let profile = allowing(&[rule("getuid", "SCMP_ACT_ERRNO")]);
    for container in [container(&profile), privileged(container(&profile))] {
        let container = container.args(["sleep", "1000"]).started();
        // The bundle may say something else by now.
        fs::write(container.bundle().join("config.json"), "{}").expect("it can be written");
        let exec = if differs("exec-reads-the-bundle") { None } else { Some(container.exec_script(STATUS)) };
        if let Some(exec) = exec {
            exec.prints(&status(container.config["process"]["noNewPrivileges"] == true));
            container.exec(["calls", "getuid", "getpid"]).ok();
        }
        let mut process = container.config["process"].clone();
        for no_new_privileges in [false, true] {
            for uid in [0, 1000] {
                process["noNewPrivileges"] = json!(no_new_privileges);
                process["user"] = json!({ "uid": uid, "gid": uid });
                process["args"] = json!(["sh", "-c", format!("{STATUS}; calls getuid")]);
                let said = container.executing_process(&process).output();
                said.prints(&(status(no_new_privileges) + "getuid errno 1\n"));
            }
        }
    }
}

#[test]
fn exec_that_the_filter_kills_ends_as_the_signal_says() {
    let profile = allowing(&[rule("personality", "SCMP_ACT_KILL_PROCESS")]);
    let container = container(&profile).args(["sleep", "1000"]).started();
    let output = container.exec(["calls", "getuid", "personality"]).exits(BAD_CALL);
    assert_eq!(output.stdout, "getuid 0\n");
    assert_eq!(container.status(), "running");
}

#[test]
fn hook_in_the_container_has_the_filter() {
    // Its program is the image's, and no more to be trusted than the container's own.
    let profile = allowing(&[rule("getuid", "SCMP_ACT_ERRNO")]);
    for container in [container(&profile), privileged(container(&profile))] {
        let no_new_privileges = container.config["process"]["noNewPrivileges"] == true;
        let script = format!("#!/bin/sh\n{{ {STATUS}; calls getuid; }} > /tmp/said\n");
        let container = container.writable().args(["cat", "/tmp/said"]).program("bin/hook", &script);
        let container = container.edit(|config| {
            config["hooks"] = json!({ "startContainer": [{ "path": "/bin/hook", "env": ["PATH=/bin"] }] });
        });
        container.run().prints(&(status(no_new_privileges) + "getuid errno 1\n"));
    }
}

#[test]
fn program_needs_nothing_of_what_init_does() {
    // S4-06: with no_new_privs it is loaded as the last thing before exec; runc's own still makes some calls then.
    let needed = [
        "execve",
        "brk",
        "arch_prctl",
        "set_tid_address",
        "set_robust_list",
        "rseq",
        "prlimit64",
        "readlink",
        "readlinkat",
        "getrandom",
        "mprotect",
        "mmap",
        "munmap",
        "prctl",
        "getuid",
        "write",
        "exit_group",
    ];
    let profile = json!({ "defaultAction": "SCMP_ACT_KILL_PROCESS",
        "syscalls": [{ "names": needed, "action": "SCMP_ACT_ALLOW" }] });
    if differs("filter-is-loaded-with-the-program") {
        return;
    }
    let echo = || container(&profile).args(["echo", "fine"]);
    echo().run().prints("fine\n");
    let mut others = profile.clone();
    // Of busybox, for any user but root.
    let own = json!({ "names": ["getgid", "setgid", "setuid", "newfstatat"], "action": "SCMP_ACT_ALLOW" });
    others["syscalls"].as_array_mut().expect("rules").push(own);
    container(&others).args(["echo", "fine"]).user(1000, 1000).run().prints("fine\n");
    echo().edit(|config| config["process"]["cwd"] = json!("/home/app")).run().prints("fine\n");
    echo().option("--init").run().prints("fine\n");
    let created = echo();
    created.create().ok();
    created.start().quietly();
    created.wait_for("stopped");
    let absent = container(&profile).args(["no-such-program"]);
    absent.run().refused().says("no-such-program");
}

#[test]
fn init_that_stays_can_not_be_made_to_call_what_the_program_may_not() {
    require!(!is_runc(), "runc has no --init");
    require!(cfg!(target_arch = "x86_64"), "the program that traces knows no other registers");
    let profile = allowing(&[rule("getuid", "SCMP_ACT_ERRNO")]);
    for (script, rounds) in [("exec calls as-parent getuid", 20), ("sleep 0.1; calls as-parent getuid", 1)] {
        for _ in 0..rounds {
            for base in [container(&profile), privileged(container(&profile))] {
                let container = base.option("--init").capability("CAP_SYS_PTRACE").script(script);
                let output = container.run();
                // It is killed, and the program with it; or it has the same filter. It is never what the kernel says.
                assert!(!output.stdout.contains("process 1: getuid 0"), "{script}: {output:?}");
            }
        }
    }
}

#[test]
fn init_that_stays_has_a_filter() {
    require!(!is_runc(), "runc has no --init");
    let profile = allowing(&[rule("getuid", "SCMP_ACT_ERRNO")]);
    for container in [container(&profile), privileged(container(&profile))] {
        let script = "grep -h ^Seccomp: /proc/1/status /proc/self/status; calls getuid";
        container.option("--init").script(script).run().prints("Seccomp:\t2\nSeccomp:\t2\ngetuid errno 1\n");
    }
}

// ---- refusals ----

#[test]
fn what_is_unknown_is_refused() {
    for (wrong, profile) in [
        ("SCMP_ACT_PERHAPS", json!({ "defaultAction": "SCMP_ACT_PERHAPS" })),
        ("SCMP_ACT_PERHAPS", allowing(&[rule("getuid", "SCMP_ACT_PERHAPS")])),
        ("SCMP_ARCH_PDP11", json!({ "defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_PDP11"] })),
        (
            "SCMP_CMP_ALMOST",
            allowing(&[
                json!({ "names": ["getuid"], "action": "SCMP_ACT_ERRNO", "args": [condition(0, "SCMP_CMP_ALMOST", 1, 0)] }),
            ]),
        ),
        (
            "SECCOMP_FILTER_FLAG_HASTE",
            json!({ "defaultAction": "SCMP_ACT_ALLOW", "flags": ["SECCOMP_FILTER_FLAG_HASTE"], "syscalls": [rule("getuid", "SCMP_ACT_ERRNO")] }),
        ),
    ] {
        if wrong == "SECCOMP_FILTER_FLAG_HASTE" && old_runc() {
            // Not a single one is known.
            continue;
        }
        let container = calling(&profile, ["getpid"]);
        container.run().refused().says(wrong);
        let refused = container.create().refused().says(wrong);
        if !is_runc() {
            refused.says("linux.seccomp");
        }
    }
}

#[test]
fn what_can_not_be_is_refused() {
    let args = |index: u32| json!({ "names": ["getuid"], "action": "SCMP_ACT_ERRNO", "args": [condition(index, "SCMP_CMP_EQ", 1, 0)] });
    for (field, profile) in [
        ("defaultAction", json!({ "syscalls": [rule("getuid", "SCMP_ACT_ERRNO")] })),
        ("syscalls[0].names", allowing(&[json!({ "names": [""], "action": "SCMP_ACT_ERRNO" })])),
        ("syscalls[0].args", allowing(&[args(6)])),
        ("errnoRet", allowing(&[json!({ "names": ["getuid"], "action": "SCMP_ACT_ERRNO", "errnoRet": 5000 })])),
    ] {
        let refused = calling(&profile, ["getpid"]).create().refused();
        if !is_runc() {
            refused.says(field);
        }
    }
}

#[test]
fn errno_of_an_action_that_has_none_is_refused() {
    if differs("errno-of-an-action-that-has-none") {
        return;
    }
    let rules = [json!({ "names": ["getuid"], "action": "SCMP_ACT_KILL", "errnoRet": 1 })];
    calling(&allowing(&rules), ["getpid"]).create().refused().says("linux.seccomp.syscalls[0].errnoRet");
    let mut profile = allowing(&[rule("getuid", "SCMP_ACT_ERRNO")]);
    profile["defaultErrnoRet"] = json!(5);
    calling(&profile, ["getpid"]).create().refused().says("linux.seccomp.defaultErrnoRet");
}

// ---- notifications ----

/// What no program does unasked; it answers 0.
const ASKED: &str = "personality:0xffffffff";

/// A container whose agent listens.
fn watched(rules: &[Value]) -> (Container, Agent) {
    let container = container(&allowing(rules));
    let path = socket(&container);
    let agent = Agent::at(&path);
    (container.edit(|config| config["linux"]["seccomp"]["listenerPath"] = json!(path)), agent)
}

fn socket(container: &Container) -> PathBuf {
    container.outside("agent.sock")
}

fn asks(name: &str) -> Value {
    rule(name, "SCMP_ACT_NOTIFY")
}

#[test]
fn agent_is_told_who_it_is_for() {
    for no_new_privileges in [true, false] {
        let (container, agent) = watched(&[asks("mkdirat")]);
        let container = container.args(["sleep", "1000"]).edit(|config| {
            config["process"]["noNewPrivileges"] = json!(no_new_privileges);
            config["linux"]["seccomp"]["listenerMetadata"] = json!("a word \"of mine\"");
            config["annotations"] = json!({ "org.example.colour": "green" });
        });
        container.create().quietly();
        let told = agent.watch().state;
        assert_eq!(told["fds"], json!(["seccompFd"]));
        assert_eq!(told["pid"], container.pid());
        assert_eq!(told["metadata"], "a word \"of mine\"");
        assert!(told["ociVersion"].as_str().is_some_and(|version| version.starts_with("1.")), "{told}");
        let state = &told["state"];
        assert_eq!(state["id"], *container.id);
        assert_eq!(state["status"], "creating");
        assert_eq!(state["pid"], container.pid());
        assert_eq!(state["bundle"], json!(container.bundle()));
        assert_eq!(state["annotations"]["org.example.colour"], "green");
        assert!(agent.is_unused(), "once");
    }
}

#[test]
fn agent_is_asked_and_says_what_becomes_of_a_call() {
    for no_new_privileges in [true, false] {
        let (container, agent) = watched(&[asks("personality"), asks("fadvise64")]);
        let call = format!("{FADVISE64}:9999,0x100000002,3,4");
        let container = container.args(["calls", ASKED, ASKED, ASKED, &call]);
        let container =
            container.edit(|config| config["process"]["noNewPrivileges"] = json!(no_new_privileges)).user(1000, 1000);
        let run = container.spawn();
        let watch = agent.watch();
        for ruling in [Ruling::Errno(99), Ruling::Value(4711), Ruling::Continue] {
            let asked = personality(&watch);
            watch.rule(&asked, ruling);
        }
        let asked = watch.asked();
        assert_eq!(i64::from(asked.number), FADVISE64);
        assert_eq!(asked.args[..4], [9999, 0x1_0000_0002, 3, 4]);
        watch.rule(&asked, Ruling::Errno(5));
        run.wait().prints(&format!("personality errno 99\npersonality 4711\npersonality 0\n{FADVISE64} errno 5\n"));
        assert!(watch.next().is_none(), "nobody is left");
        container.leaves_nothing();
    }
}

/// The next personality(2).
#[track_caller]
fn personality(watch: &Watch) -> runtime_tests::Asked {
    let asked = watch.asked();
    assert_eq!(i64::from(asked.number), libc::SYS_personality);
    asked
}

#[test]
fn container_whose_agent_hangs_can_be_killed() {
    let (container, agent) = watched(&[asks("personality")]);
    let container = container.args(["calls", ASKED]).started();
    let watch = agent.watch();
    let asked = personality(&watch);
    assert_eq!(container.status(), "running");
    container.kill("KILL").quietly();
    container.wait_for("stopped");
    // It is too late, and does no harm.
    watch.rule(&asked, Ruling::Value(1));
    assert!(watch.next().is_none());
    container.delete().quietly();
    container.leaves_nothing();
}

#[test]
fn program_whose_agent_dies_is_told_that_there_is_no_such_call() {
    let (container, agent) = watched(&[asks("personality")]);
    let container = container.args(["calls", ASKED, ASKED, "getpid"]);
    let run = container.spawn();
    let watch = agent.watch();
    let asked = personality(&watch);
    watch.rule(&asked, Ruling::Value(7));
    let asked = personality(&watch);
    drop((watch, asked));
    run.wait().prints("personality 7\npersonality errno 38\ngetpid 1\n");
    // And one that dies at once.
    let (container, agent) = watched(&[asks("personality")]);
    let container = container.args(["calls", ASKED, "getpid"]);
    let run = container.spawn();
    drop(agent.watch());
    run.wait().prints("personality errno 38\ngetpid 1\n");
}

#[test]
fn agent_can_be_asked_about_the_program_itself() {
    let (container, agent) = watched(&[asks("execve")]);
    let container = container.args(["/bin/calls", "getpid"]);
    container.create().ok();
    let watch = agent.watch();
    let start = container.call(["start", &container.id]).spawn();
    let asked = watch.asked();
    assert_eq!(i64::from(asked.number), libc::SYS_execve);
    watch.rule(&asked, Ruling::Continue);
    start.wait().ok();
    container.wait_for("stopped");
}

#[test]
fn exec_is_watched_by_a_listener_of_its_own() {
    for no_new_privileges in [true, false] {
        let (container, agent) = watched(&[asks("personality")]);
        let container = container.args(["sleep", "1000"]).edit(|config| {
            config["process"]["noNewPrivileges"] = json!(no_new_privileges);
            config["linux"]["seccomp"]["listenerMetadata"] = json!("mine");
        });
        let container = container.started();
        let first = agent.watch();
        let exec = container.executing([], ["calls", ASKED, "getpid"]).spawn();
        let watch = agent.watch();
        let told = &watch.state;
        assert_eq!((&told["fds"], &told["metadata"]), (&json!(["seccompFd"]), &json!("mine")));
        assert_eq!(told["state"]["id"], *container.id);
        assert_eq!(told["state"]["status"], "running");
        assert_eq!(told["state"]["pid"], container.pid());
        assert_ne!(told["pid"], container.pid());
        let asked = personality(&watch);
        assert_eq!(told["pid"], asked.pid);
        watch.rule(&asked, Ruling::Errno(99));
        let said = exec.wait().ok();
        assert!(said.starts_with("personality errno 99\ngetpid "), "{said}");
        assert!(watch.next().is_none());
        // The first one has heard nothing of it.
        container.kill("KILL").quietly();
        assert!(first.next().is_none());
    }
}

#[test]
fn exec_without_its_agent_is_refused() {
    let (container, agent) = watched(&[asks("personality")]);
    let container = container.args(["sleep", "1000"]).started();
    drop((agent.watch(), agent));
    let refused = container.exec(["true"]);
    assert_ne!(refused.code, 0, "{refused:?}");
    refused.says("agent.sock");
    assert_eq!(container.processes().len(), 1, "only the container's own");
}

#[test]
fn container_without_its_agent_is_never_made() {
    for what in ["missing", "a file", "nobody listens", "a directory"] {
        let container = calling(&allowing(&[asks("personality")]), ["getpid"]);
        let path = socket(&container);
        match what {
            "a file" => fs::write(&path, "").expect("it can be written"),
            "a directory" => fs::create_dir(&path).expect("it can be made"),
            "nobody listens" => drop(Agent::at(&path)),
            _ => {}
        }
        let container = container.edit(|config| config["linux"]["seccomp"]["listenerPath"] = json!(path));
        container.create().refused().says("agent.sock");
        container.run().refused().says("agent.sock");
    }
}

#[test]
fn notifications_that_can_not_be_are_refused() {
    let container = calling(&allowing(&[asks("personality")]), ["getpid"]);
    container.create().refused().names("listenerPath");
    let (container, agent) = watched(&[asks("write")]);
    container.create().refused().says("SCMP_ACT_NOTIFY cannot be used for the write syscall");
    drop(agent);
    let (container, agent) = watched(&[]);
    let container = container.edit(|config| config["linux"]["seccomp"]["defaultAction"] = json!("SCMP_ACT_NOTIFY"));
    container.create().refused().says("SCMP_ACT_NOTIFY cannot be used as default action");
    drop(agent);
}

#[test]
fn agent_that_nobody_needs_is_not_asked() {
    let (container, agent) = watched(&[rule("personality", "SCMP_ACT_ERRNO")]);
    container.args(["calls", ASKED]).run().prints("personality errno 1\n");
    assert!(agent.is_unused());
}

// ---- annotations, which are crun's ----

#[test]
fn agent_of_an_annotation_is_told() {
    require!(!is_runc(), "the annotation is crun's");
    let container = calling(&allowing(&[asks("personality")]), [ASKED]);
    let agent = Agent::at(&socket(&container));
    let path = socket(&container);
    let container = container.edit(|config| config["annotations"] = json!({ "run.oci.seccomp.receiver": path }));
    let run = container.spawn();
    let watch = agent.watch();
    watch.rule(&personality(&watch), Ruling::Value(12));
    run.wait().prints("personality 12\n");
}

/// In base64, by coreutils.
fn base64(bytes: &[u8]) -> String {
    let mut child =
        Command::new("base64").arg("-w0").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("base64 runs");
    child.stdin.take().expect("a pipe").write_all(bytes).expect("it is read");
    String::from_utf8(child.wait_with_output().expect("it ends").stdout).expect("it is text")
}

#[test]
fn program_of_an_annotation_takes_the_place_of_the_profile() {
    require!(!is_runc(), "the annotation is crun's");
    let number = u32::try_from(libc::SYS_getuid).expect("a number");
    // ld [0]; jeq #getuid, 0, 1; ret ERRNO | 77; ret ALLOW
    let program =
        [(0x20u16, 0u8, 0u8, 0u32), (0x15, 0, 1, number), (0x06, 0, 0, 0x5_0000 | 77), (0x06, 0, 0, 0x7fff_0000)];
    let bytes: Vec<u8> = program
        .iter()
        .flat_map(|(code, yes, no, k)| [&code.to_ne_bytes()[..], &[*yes, *no], &k.to_ne_bytes()].concat())
        .collect();
    let annotated = |data: &str, profile: &Value| {
        calling(profile, ["getuid", "getpid"])
            .edit(|config| config["annotations"] = json!({ "run.oci.seccomp_bpf_data": data }))
    };
    let killing = allowing(&[rule("getpid", "SCMP_ACT_KILL_PROCESS")]);
    for profile in [&killing, &Value::Null] {
        let container = annotated(&base64(&bytes), profile);
        container.run().prints("getuid errno 77\ngetpid 1\n");
        privileged(annotated(&base64(&bytes), profile)).run().prints("getuid errno 77\ngetpid 1\n");
    }
    for wrong in ["", "!", &base64(&bytes[..7])] {
        annotated(wrong, &killing).create().refused().says("run.oci.seccomp_bpf_data");
    }
    // Base64 of something that the kernel does not take.
    annotated(&base64(&[0xff; 8]), &killing).run().refused().says("invalid argument");
}
