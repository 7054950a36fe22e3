//! What a process gets that `exec` makes: from a process.json, from options, from the container.

use std::{env, fs, os::unix::fs::chown};

use runtime_tests::{Container, Output, differs, is_runc, newer_than_this_runc, require};
use serde_json::{Value, json};

/// CAP_AUDIT_WRITE, CAP_KILL and CAP_NET_BIND_SERVICE, which the base config gives.
const BASE_CAPABILITIES: &str = "0000000020000420";

/// A container whose first process sleeps.
fn sleeping(name: &str) -> Container {
    Container::new(name).args(["sleep", "1000"])
}

/// A container that runs.
fn running(name: &str) -> Container {
    sleeping(name).started()
}

/// A process.json with what is needed and no more.
fn process(words: &[&str]) -> Value {
    json!({ "args": words, "cwd": "/", "env": ["PATH=/bin"] })
}

/// The same, for the shell of the container.
fn process_script(text: &str) -> Value {
    process(&["sh", "-c", text])
}

/// The value after a name in /proc/self/status and its like.
fn field<'a>(text: &'a str, name: &str) -> &'a str {
    text.lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
        .unwrap_or_else(|| panic!("no {name} in {text}"))
        .trim()
}

// ---- process.json ----

#[test]
fn process_file_says_what_to_run() {
    let container = running("process");
    for option in ["--process", "-p", "-process"] {
        let file = container.outside("the.json");
        fs::write(&file, process(&["echo", "from the file"]).to_string()).expect("it can be written");
        let call = container.call(["exec", option]).arg(&file).args([&container.id]);
        call.output().prints("from the file\n");
    }
}

#[test]
fn process_file_may_be_standard_input() {
    let container = running("process");
    let file = container.outside("the.json");
    // What is behind the object is not the program's to read: all of standard input is the file.
    fs::write(&file, process_script("cat; echo end").to_string()).expect("it can be written");
    let exec = container.call(["exec", "--process", "-", &container.id]).stdin(&file).output();
    if differs("process-from-standard-input") {
        exec.refused_with(255);
    } else {
        exec.prints("end\n");
    }
}

#[test]
fn process_file_may_be_a_pipe() {
    let container = running("process");
    let file = container.outside("the.json");
    fs::write(&file, process(&["echo", "piped"]).to_string()).expect("it can be written");
    let text = format!("exec 9< <(cat {}); exec \"$@\"", file.display());
    container.call(["exec", "--process", "/dev/fd/9", &container.id]).through(&text).output().prints("piped\n");
}

#[test]
fn process_file_is_relative_to_the_caller() {
    let container = running("process");
    let file = container.outside("the.json");
    fs::write(&file, process(&["echo", "here"]).to_string()).expect("it can be written");
    let call = container.call(["exec", "--process", "the.json", &container.id]);
    call.in_dir(container.outside("")).output().prints("here\n");
}

#[test]
fn process_file_that_is_missing_is_named() {
    let container = running("process");
    let call = container.call(["exec", "--process", "/no/such/process.json", &container.id]);
    call.output().refused_with(255).says("/no/such/process.json").says("no such file or directory");
}

/// `exec --process` of this text.
fn process_text(text: &str) -> Output {
    let container = running("process");
    let file = container.outside("the.json");
    fs::write(&file, text).expect("it can be written");
    let output = container.call(["exec", "--process"]).arg(&file).args([&container.id]).output();
    assert_eq!(container.processes().len(), 1, "something runs");
    output
}

#[test]
fn process_file_that_is_no_json_is_refused() {
    for text in ["", "{", "[]", "args: [sh]", "\0", "{} {", "\"sh\"", "{\"args\": [\"sh\"], \"cwd\": \"/\""] {
        let output = process_text(text).refused_with(255);
        if !differs("wording") {
            output.says("the.json");
        }
    }
    process_text("null").refused_with(255);
}

#[test]
fn process_file_without_args_is_refused() {
    process_text(r#"{ "cwd": "/" }"#).refused_with(255).names("args");
    process_text(r#"{ "cwd": "/", "args": [] }"#).refused_with(255).names("args");
}

#[test]
fn process_file_without_cwd_is_refused() {
    process_text(r#"{ "args": ["/bin/true"] }"#).refused_with(255).names("cwd");
    process_text(r#"{ "args": ["/bin/true"], "cwd": "" }"#).refused_with(255).names("cwd");
    process_text(r#"{ "args": ["/bin/true"], "cwd": "tmp" }"#).refused_with(255).names("cwd");
}

#[test]
fn process_file_of_wrong_types_is_refused() {
    for (field, value) in [
        ("uid", json!(-1)),
        ("uid", json!(4_294_967_296_u64)),
        ("uid", json!("root")),
        ("uid", json!(1.5)),
        ("gid", json!(-1)),
        ("gid", json!(4_294_967_296_u64)),
        ("additionalGids", json!([4_294_967_296_u64])),
        ("additionalGids", json!(5)),
    ] {
        let text = json!({ "args": ["/bin/true"], "cwd": "/", "user": { field: value } }).to_string();
        process_text(&text).refused_with(255).says(&format!("user.{field}"));
    }
    let text = json!({ "args": ["/bin/true"], "cwd": "/", "noNewPrivileges": "yes" }).to_string();
    process_text(&text).refused_with(255).says("noNewPrivileges");
    process_text(r#"{ "args": "/bin/true", "cwd": "/" }"#).refused_with(255).says("args");
}

#[test]
fn process_file_may_have_keys_that_nobody_knows() {
    let container = running("process");
    let mut process = process(&["echo", "fine"]);
    process["a.key.of.the.future"] = json!({ "a": [1, 2] });
    container.executing_process(&process).output().prints("fine\n");
}

#[test]
fn process_file_with_a_limit_that_is_unknown_is_refused() {
    let container = running("process");
    let mut process = process(&["true"]);
    process["rlimits"] = json!([{ "type": "RLIMIT_MOOD", "soft": 1, "hard": 1 }]);
    container.executing_process(&process).output().refused_with(255).says("RLIMIT_MOOD");
}

#[test]
fn process_file_gives_the_whole_environment() {
    let container = sleeping("process").env("FROM=config").started();
    let mut process = process(&["/bin/env"]);
    process["env"] = json!(["A=1", "EMPTY=", "EQUALS=a=b", "HOME=/here"]);
    let call = container.executing_process(&process).env("LEAKED", "from the caller");
    call.output().prints("A=1\nEMPTY=\nEQUALS=a=b\nHOME=/here\n");
    // S4-07
    process["env"].take();
    container.executing_process(&process).output().prints("HOME=/root\n");
    process.as_object_mut().expect("an object").remove("env");
    container.executing_process(&process).output().prints("HOME=/root\n");
}

#[test]
fn process_file_gives_user_and_groups() {
    let container = sleeping("process").edit(|config| {
        config["process"]["user"] = json!({ "uid": 7, "gid": 8, "additionalGids": [9] });
    });
    let container = container.started();
    let mut process = process(&["grep", "-E", "^(Uid|Gid|Groups)", "/proc/self/status"]);
    process["user"] = json!({ "uid": 1000, "gid": 1001, "additionalGids": [5, 2000, 70_000] });
    let status = container.executing_process(&process).output().ok();
    assert_eq!(field(&status, "Uid"), "1000\t1000\t1000\t1000");
    assert_eq!(field(&status, "Gid"), "1001\t1001\t1001\t1001");
    assert_eq!(field(&status, "Groups"), "5 2000 70000");
    // Nothing of the container's user is taken over.
    process.as_object_mut().expect("an object").remove("user");
    let status = container.executing_process(&process).output().ok();
    assert_eq!(field(&status, "Uid"), "0\t0\t0\t0");
    assert_eq!(field(&status, "Gid"), "0\t0\t0\t0");
    assert_eq!(field(&status, "Groups"), "");
}

#[test]
fn process_file_gives_capabilities() {
    let container = running("process");
    let mut process = process(&["grep", "Cap", "/proc/self/status"]);
    process["capabilities"] = json!({
        "bounding": ["CAP_KILL", "CAP_CHOWN"],
        "effective": ["CAP_KILL"],
        "permitted": ["CAP_KILL", "CAP_CHOWN"],
        "inheritable": ["CAP_CHOWN"],
        "ambient": ["CAP_CHOWN"],
    });
    process["user"] = json!({ "uid": 1000, "gid": 1000 });
    let status = container.executing_process(&process).output().ok();
    assert_eq!(field(&status, "CapBnd"), "0000000000000021");
    assert_eq!(field(&status, "CapInh"), "0000000000000001");
    assert_eq!(field(&status, "CapAmb"), "0000000000000001");
    assert_eq!(field(&status, "CapPrm"), "0000000000000001");
    assert_eq!(field(&status, "CapEff"), "0000000000000001");
}

#[test]
fn process_file_without_capabilities_means_those_of_the_container() {
    let container = running("process");
    let process = process(&["grep", "Cap", "/proc/self/status"]);
    let status = container.executing_process(&process).output().ok();
    for set in ["CapPrm", "CapEff", "CapBnd"] {
        assert_eq!(field(&status, set), BASE_CAPABILITIES, "{set}");
    }
}

#[test]
fn process_file_decides_about_no_new_privileges() {
    // The base config has it; what the file does not say is false.
    let container = running("process");
    let mut process = process(&["grep", "NoNewPrivs", "/proc/self/status"]);
    assert_eq!(field(&container.executing_process(&process).output().ok(), "NoNewPrivs"), "0");
    process["noNewPrivileges"] = json!(true);
    assert_eq!(field(&container.executing_process(&process).output().ok(), "NoNewPrivs"), "1");
}

#[test]
fn process_file_gives_limits() {
    // S1-07
    let container = running("process");
    let mut process = process(&["cat", "/proc/self/limits"]);
    process["rlimits"] = json!([
        { "type": "RLIMIT_CORE", "soft": 0, "hard": 4096 },
        { "type": "RLIMIT_CPU", "soft": 1000, "hard": 2000 },
    ]);
    let limits = container.executing_process(&process).output().ok();
    assert_eq!(limit(&limits, "Max core file size"), ["0", "4096"]);
    assert_eq!(limit(&limits, "Max cpu time"), ["1000", "2000"]);
}

/// Soft and hard limit in /proc/self/limits.
fn limit(limits: &str, name: &str) -> Vec<String> {
    let line = limits.lines().find_map(|line| line.strip_prefix(name)).expect("the limit is listed");
    line.split_whitespace().take(2).map(str::to_owned).collect()
}

// S4-05
#[test]
fn process_file_gives_scheduler_and_io_priority() {
    newer_than_this_runc!("scheduler and ioPriority for exec");
    let container = running("process");
    let mut process = process_script("cat /proc/self/stat; ionice -p $$");
    process["scheduler"] = json!({ "policy": "SCHED_BATCH", "nice": 7 });
    process["ioPriority"] = json!({ "class": "IOPRIO_CLASS_BE", "priority": 6 });
    let text = container.executing_process(&process).output().ok();
    let fields: Vec<_> = text.split_whitespace().collect();
    assert_eq!(fields[18], "7", "nice");
    assert_eq!(fields[40], "3", "SCHED_BATCH");
    assert!(text.ends_with("best-effort: prio 6\n"), "{text}");
}

#[test]
fn process_file_may_not_give_a_label_that_the_machine_lacks() {
    // S4-06, S4-08
    let container = running("process");
    let modules = fs::read_to_string("/sys/kernel/security/lsm").unwrap_or_default();
    if !modules.contains("apparmor") {
        let mut process = process(&["true"]);
        process["apparmorProfile"] = json!("some-profile");
        container.executing_process(&process).output().refused_with(255).names("apparmor");
    }
    if !modules.contains("selinux") {
        let mut process = process(&["true"]);
        process["selinuxLabel"] = json!("a:b:c:s0");
        container.executing_process(&process).output().refused_with(255).names("selinux");
    }
}

#[test]
fn nul_bytes_are_refused() {
    let container = running("process");
    for (key, value) in [("args", json!(["echo", "b\0c"])), ("env", json!(["A=b\0c"])), ("cwd", json!("/\0"))] {
        let mut process = process(&["true"]);
        process[key] = value;
        let output = container.executing_process(&process).output();
        if !differs("nul-bytes") {
            output.refused_with(255).says("process-").names("nul");
        }
    }
}

// ---- the state decides ----

#[test]
fn bundle_has_no_say_after_create() {
    let container = sleeping("bundle").env("FROM=state").started();
    if differs("exec-reads-the-bundle") {
        return;
    }
    let config = container.bundle().join("config.json");
    fs::write(&config, "{ \"process\": { \"env\": [\"FROM=bundle\"], \"cwd\": \"/nowhere\" } }").expect("it is there");
    container.exec_script("echo $FROM; pwd").prints("state\n/\n");
    fs::write(&config, "no config at all").expect("it is there");
    container.exec_script("echo $FROM").prints("state\n");
    fs::remove_file(&config).expect("it is there");
    container.exec_script("echo $FROM").prints("state\n");
}

#[test]
fn bundle_may_be_gone_for_a_process_file() {
    let container = running("bundle");
    fs::remove_file(container.bundle().join("config.json")).expect("it is there");
    container.executing_process(&process(&["echo", "fine"])).output().prints("fine\n");
}

#[test]
fn config_may_have_been_another_file() {
    require!(!is_runc(), "runc has no create --config");
    let container = sleeping("config").args(["no-such-program"]);
    let _ = container.creating("create");
    let mut other = container.config.clone();
    other["process"]["args"] = json!(["sleep", "1000"]);
    other["process"]["env"] = json!(["PATH=/bin", "FROM=other"]);
    let file = container.outside("other.json");
    fs::write(&file, other.to_string()).expect("it can be written");
    container.creating("create").arg("--config").arg(&file).output().quietly();
    container.exec_script("echo $FROM").prints("other\n");
}

// ---- what the container's own process has, if nothing else is said ----

#[test]
fn defaults_are_those_of_the_containers_process() {
    let container = sleeping("defaults")
        .directory("work")
        .env("FROM=config")
        .edit(|config| {
            let process = &mut config["process"];
            process["cwd"] = json!("/work");
            process["user"] = json!({ "uid": 1000, "gid": 1001, "additionalGids": [5] });
            process["oomScoreAdj"] = json!(321);
            process["rlimits"] = json!([{ "type": "RLIMIT_CPU", "soft": 1000, "hard": 2000 }]);
        })
        .started();
    container
        .exec_script("pwd; id -u; id -g; echo $FROM $TERM $HOME")
        .prints("/work\n1000\n1001\nconfig xterm /home/app\n");
    container.exec(["cat", "/proc/self/oom_score_adj"]).prints("321\n");
    assert_eq!(limit(&container.exec(["cat", "/proc/self/limits"]).ok(), "Max cpu time"), ["1000", "2000"]);

    let ours = container.exec(["cat", "/proc/self/status"]).ok();
    let first = fs::read_to_string(format!("/proc/{}/status", container.pid())).expect("it lives");
    for name in ["Uid", "Gid", "Groups", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp"] {
        assert_eq!(field(&ours, name), field(&first, name), "{name}");
    }
    assert_eq!(field(&ours, "NoNewPrivs"), "1");
    assert_eq!(field(&ours, "Groups"), "5");
}

#[test]
fn oom_score_of_the_container_is_that_of_a_process_file_too() {
    let container = sleeping("oom").edit(|config| config["process"]["oomScoreAdj"] = json!(321)).started();
    container.executing_process(&process(&["cat", "/proc/self/oom_score_adj"])).output().prints("321\n");
}

#[test]
fn umask_of_the_container_is_that_of_its_execs() {
    newer_than_this_runc!("a umask for exec");
    let container = sleeping("umask").edit(|config| config["process"]["user"]["umask"] = json!(0o27)).started();
    container.exec_script("umask").prints("0027\n");
    container.executing_process(&process_script("umask")).output().prints("0027\n");
}

#[test]
fn umask_of_the_caller_does_not_matter() {
    let container = running("umask");
    for umask in ["077", "0"] {
        let call = container.executing([], ["sh", "-c", "umask"]).through(&format!("umask {umask}; exec \"$@\""));
        let output = call.output();
        if !differs("exec-has-the-umask-of-its-caller") {
            output.prints("0022\n");
        }
    }
}

#[test]
fn signals_that_the_caller_blocks_or_ignores_do_not_matter() {
    let container = running("signals");
    let words = ["grep", "Sig", "/proc/self/status"];
    let block = "exec env --block-signal=TERM --block-signal=HUP --block-signal=USR1 \"$@\"";
    let status = container.executing([], words).through(block).output().ok();
    if !differs("blocked-signals-are-unblocked") {
        assert_eq!(field(&status, "SigBlk"), "0000000000000000");
    }
    let ignore = "trap '' HUP TERM USR1 PIPE QUIT; exec \"$@\"";
    let status = container.executing([], words).through(ignore).output().ok();
    if !differs("ignored-signals-are-reset") {
        assert_eq!(field(&status, "SigIgn"), "0000000000000000");
    }
}

#[test]
fn program_leads_a_session_of_its_own() {
    let container = running("session");
    let stat = container.exec(["cat", "/proc/self/stat"]).ok();
    let fields: Vec<_> = stat.split_whitespace().collect();
    assert_eq!(fields[4], fields[0], "process group");
    assert_eq!(fields[5], fields[0], "session");
    assert_eq!(fields[6], "0", "terminal");
    // Its parent is outside.
    assert_eq!(fields[3], "0", "parent");
}

#[test]
fn groups_of_the_caller_are_not_kept() {
    let container = running("groups");
    let call = container.executing([], ["grep", "Groups", "/proc/self/status"]);
    let status = call.through(r#"exec setpriv --groups 7,8,9 -- "$@""#).output().ok();
    assert_eq!(field(&status, "Groups"), "");
}

#[test]
fn processor_set_of_the_caller_is_not_inherited() {
    newer_than_this_runc!("giving a process all processors of its cpuset");
    let all = fs::read_to_string("/proc/self/status").expect("proc is mounted");
    let all = field(&all, "Cpus_allowed_list").to_owned();
    require!(all != "0", "this machine has one processor");
    let container = running("affinity");
    let call = container.executing([], ["grep", "Cpus_allowed_list", "/proc/self/status"]);
    let status = call.through("exec taskset -c 0 \"$@\"").output().ok();
    assert_eq!(field(&status, "Cpus_allowed_list"), all);
}

// S4-02
#[test]
fn session_keyring_is_the_containers() {
    // Who has it as session keyring possesses it; so the keyring itself is in /proc/keys.
    let container = sleeping("keyring").unmasked().started();
    let name = format!("_ses.{}", container.id);
    let keys = container.exec(["cat", "/proc/keys"]).ok();
    assert!(keys.contains(&name), "no {name} in {keys}");
}

#[test]
fn session_keyring_of_the_caller_can_be_kept() {
    let container = sleeping("keyring").unmasked().option("--no-new-keyring").started();
    let name = format!("_ses.{}", container.id);
    let keys = container.exec(["cat", "/proc/keys"]).ok();
    assert!(!keys.contains(&name), "a new keyring in {keys}");
}

// S4-06
#[test]
fn system_call_filter_of_the_container_is_that_of_its_execs() {
    let container = sleeping("seccomp").writable().edit(|config| {
        config["linux"]["seccomp"] = json!({
            "defaultAction": "SCMP_ACT_ALLOW",
            "syscalls": [{ "names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 95 }],
        });
    });
    let create = container.create();
    require!(is_runc() || !create.stderr.contains("linux.seccomp"), "no seccomp yet");
    create.quietly();
    container.start().quietly();
    for no_new_privileges in [true, false] {
        let mut process = process_script("grep Seccomp: /proc/self/status; mkdir /tmp/made || echo refused");
        process["noNewPrivileges"] = json!(no_new_privileges);
        let output = container.executing_process(&process).output().says("Operation not supported");
        assert_eq!(output.ok(), "Seccomp:\t2\nrefused\n", "noNewPrivileges {no_new_privileges}");
    }
}

#[test]
fn personality_of_the_container_is_that_of_its_execs() {
    // S4-08
    newer_than_this_runc!("linux.personality");
    require!(env::consts::ARCH == "x86_64", "PER_LINUX32 has another name of the machine only there");
    let container = sleeping("personality")
        .edit(|config| config["linux"]["personality"] = json!({ "domain": "LINUX32" }))
        .started();
    container.exec(["uname", "-m"]).prints("i686\n");
}

// ---- working directory ----

#[test]
fn working_directory_can_be_chosen() {
    let container = sleeping("cwd").link("work", "/var/tmp").started();
    container.executing(["--cwd", "/var/tmp"], ["pwd"]).output().prints("/var/tmp\n");
    container.executing(["--cwd=/work"], ["pwd", "-P"]).output().prints("/var/tmp\n");
    container.executing([], ["pwd"]).output().prints("/\n");
}

#[test]
fn program_with_a_slash_starts_at_the_working_directory() {
    let container = sleeping("cwd").program("opt/bin/tool", "#!/bin/sh\necho here\n").started();
    container.executing(["--cwd", "/opt"], ["./bin/tool"]).output().prints("here\n");
    container.executing(["--cwd", "/opt"], ["bin/tool"]).output().prints("here\n");
}

#[test]
fn missing_working_directory_is_refused_and_not_made() {
    let container = sleeping("cwd").writable().started();
    let output = container.executing(["--cwd", "/not/there"], ["true"]).output();
    output.refused_with(255).says("/not/there").says("no such file or directory");
    assert!(!container.rootfs().join("not").exists());
    container.executing(["--cwd", "/etc/passwd"], ["true"]).output().refused_with(255).says("not a directory");
}

#[test]
fn working_directory_must_be_absolute() {
    let container = running("cwd");
    container.executing(["--cwd", "tmp"], ["true"]).output().refused_with(255).names("cwd");
}

// S4-07
#[test]
fn working_directory_that_only_the_user_may_enter_is_entered_as_the_user() {
    let container = sleeping("cwd").directory("private").mode("private", 0o700);
    chown(container.rootfs().join("private"), Some(1000), Some(1000)).expect("root may");
    let container = container.started();
    container.executing(["--cwd", "/private", "--user", "1000:1000"], ["pwd"]).output().prints("/private\n");
}

#[test]
fn working_directory_that_only_root_may_enter_is_entered_as_root() {
    let container = sleeping("cwd").directory("private").mode("private", 0o700).started();
    let options = ["--cwd", "/private", "--user", "1000:1000"];
    container.executing(options, ["readlink", "/proc/self/cwd"]).output().prints("/private\n");
}

/// CVE-2024-21626: a descriptor of a host directory that leaks into exec is a way out through the working directory.
#[test]
fn working_directory_through_a_leaked_descriptor_is_refused() {
    let container = running("cwd");
    for number in 3..=16 {
        for climb in ["", "/../../.."] {
            let cwd = format!("/proc/self/fd/{number}{climb}");
            let words = ["ls", "-d", "boot", "opt", "srv", "home/app"];
            let leak = "exec 10</ 11</ 12</; exec \"$@\"";
            let output = container.executing(["--cwd", &cwd], words).through(leak).output();
            assert_ne!(output.code, 0, "it runs in a directory of descriptor {number}: {output:?}");
            let host = ["boot", "opt", "srv"].iter().any(|name| output.stdout.contains(name));
            assert!(!host, "it sees the host: {output:?}");

            let mut process = process(&words);
            process["cwd"] = json!(cwd);
            let output = container.executing_process(&process).through(leak).output();
            assert_ne!(output.code, 0, "it runs in a directory of descriptor {number}: {output:?}");
        }
    }
}

// ---- environment ----

#[test]
fn variables_are_added_to_those_of_the_container() {
    let container = sleeping("env")
        .edit(|config| config["process"]["env"] = json!(["PATH=/bin", "A=config", "B=config", "HOME=/here"]))
        .started();
    let options = ["-e", "A=1", "-e", "EMPTY=", "-e=EQUALS=a=b", "-e", "LINES_=one\ntwo", "-e", "A=2"];
    let call = container.executing(options, ["env"]).env("LEAKED", "from the caller");
    let text = call.output().ok();
    let mut lines: Vec<_> = text.lines().collect();
    lines.sort_unstable();
    // The last value of a name wins, once.
    assert_eq!(lines, ["A=2", "B=config", "EMPTY=", "EQUALS=a=b", "HOME=/here", "LINES_=one", "PATH=/bin", "two"]);
    let options = ["--env", "A=1", "--env=B=2"];
    container.executing(options, ["sh", "-c", "echo $A$B"]).output().prints("12\n");
}

#[test]
fn home_is_that_of_the_user() {
    let container = running("home");
    container.exec_script("echo $HOME").prints("/root\n");
    container.executing(["--user", "1000"], ["sh", "-c", "echo $HOME"]).output().prints("/home/app\n");
    container.executing(["--user", "4242"], ["sh", "-c", "echo $HOME"]).output().prints("/\n");
    container.executing(["-e", "HOME=/x", "-u", "1000"], ["sh", "-c", "echo $HOME"]).output().prints("/x\n");
    container.executing(["-e", "HOME=", "-u", "1000"], ["sh", "-c", "echo $HOME"]).output().prints("/home/app\n");
}

#[test]
fn home_is_looked_up_in_the_passwd_of_now() {
    let container = sleeping("home").writable().started();
    container.exec_script("echo 'new:x:3000:3000::/home/new:/bin/sh' >> /etc/passwd").quietly();
    container.executing(["-u", "3000"], ["sh", "-c", "echo $HOME"]).output().prints("/home/new\n");
}

#[test]
fn home_that_the_config_gives_is_kept_for_another_user() {
    let container = sleeping("home").env("HOME=/elsewhere").started();
    container.executing(["--user", "1000"], ["sh", "-c", "echo $HOME"]).output().prints("/elsewhere\n");
}

#[test]
fn passwd_that_never_ends_does_no_harm() {
    let container = sleeping("home").writable().started();
    container.exec_script("rm /etc/passwd; mkfifo /etc/passwd").quietly();
    if differs("passwd-that-never-ends") {
        return;
    }
    container.exec_script("echo $HOME").prints("/\n");
}

#[test]
fn variable_without_a_value_or_a_name_is_refused() {
    let container = running("env");
    container.executing(["--env", "NO_EQUALS_SIGN"], ["true"]).output().refused_with(255).says("NO_EQUALS_SIGN");
    container.executing(["--env", "=value"], ["true"]).output().refused_with(255).says("env");
}

// ---- user ----

fn ids(container: &Container, options: &[&str]) -> String {
    container.executing(options.iter().copied(), ["sh", "-c", "id -u; id -g; id -G"]).output().ok()
}

// S4-01
#[test]
fn user_can_be_chosen() {
    let container = running("user");
    assert_eq!(ids(&container, &["--user", "1000:1001"]), "1000\n1001\n1001\n");
    assert_eq!(ids(&container, &["-u", "123456:234567"]), "123456\n234567\n234567\n");
    assert_eq!(ids(&container, &["--user=0:0"]), "0\n0\n0\n");
    assert_eq!(ids(&container, &["--user", "2147483647:2147483647"]), "2147483647\n2147483647\n2147483647\n");
}

/// CVE-2026-30892: a user without a group was taken for root by another runtime.
#[test]
fn user_without_a_group_keeps_the_containers_group() {
    let container = running("user");
    assert_eq!(ids(&container, &["--user", "1"]), "1\n0\n0\n");
    let container = sleeping("user").user(1000, 1001).started();
    assert_eq!(ids(&container, &["--user", "2000"]), "2000\n1001\n1001\n");
}

#[test]
fn user_that_is_no_number_is_refused() {
    let container = running("user");
    for user in ["root", "1:", "1000:", ":5", ":", "0x10", "1 ", " 1", "1:2:3", "1:x", "1.5", "1e3", "১"] {
        let output = container.executing(["--user", user], ["id"]).output().refused_with(255);
        if !differs("wording") {
            output.says(user.trim());
        }
    }
}

#[test]
fn user_out_of_range_is_refused() {
    let container = running("user");
    for user in ["-1", "1:-1", "4294967295", "1:4294967295", "18446744073709551616", "-18446744073709551616"] {
        let output = container.executing(["--user", user], ["id"]).output().refused_with(255);
        if !differs("wording") {
            output.says(user);
        }
    }
}

/// CVE-2024-40635: a number that is cut to 32 bits becomes root.
#[test]
fn user_that_is_too_large_is_not_cut() {
    let container = running("user");
    for user in ["4294967296", "4294967297:1", "1:4294967296", "8589934592"] {
        let output = container.executing(["--user", user], ["id"]).output();
        if !differs("numbers-out-of-range") {
            output.refused_with(255).says(user);
        }
    }
}

#[test]
fn user_with_zeros_before_it_is_a_decimal_number_or_refused() {
    let container = running("user");
    for user in ["01", "+1", "010:010"] {
        let output = container.executing(["--user", user], ["id", "-u"]).output();
        let as_written = user.split(':').next().and_then(|user| user.parse::<u32>().ok()).expect("it is one");
        assert!(output.code == 255 || output.stdout == format!("{as_written}\n"), "{output:?}");
    }
}

#[test]
fn user_may_not_be_empty() {
    let container = running("user");
    let output = container.executing(["--user", ""], ["id"]).output();
    if !differs("numbers-out-of-range") {
        output.refused_with(255).names("user");
    }
}

#[test]
fn additional_groups_are_added_to_those_of_the_container() {
    let container =
        sleeping("groups").edit(|config| config["process"]["user"]["additionalGids"] = json!([44])).started();
    let words = ["grep", "Groups", "/proc/self/status"];
    let options = ["--user", "1000:1000", "--additional-gids", "100", "--additional-gids=70000"];
    assert_eq!(field(&container.executing(options, words).output().ok(), "Groups"), "44 100 70000");
    let options = ["-u", "1000:1000", "-g", "100", "-g=65534"];
    assert_eq!(field(&container.executing(options, words).output().ok(), "Groups"), "44 100 65534");
}

#[test]
fn additional_groups_stay_when_the_user_is_another() {
    let container =
        sleeping("groups").edit(|config| config["process"]["user"]["additionalGids"] = json!([44])).started();
    let status = container.executing(["-u", "5:6"], ["grep", "Groups", "/proc/self/status"]).output().ok();
    assert_eq!(field(&status, "Groups"), "44");
}

#[test]
fn additional_group_that_is_no_number_is_refused() {
    let container = running("groups");
    for group in ["-1", "x", "1:2", "18446744073709551616", "0x10"] {
        let output = container.executing(["--additional-gids", group], ["id"]).output();
        assert!(matches!(output.code, 1 | 255), "{output:?}");
        assert!(is_runc() || output.stdout.is_empty(), "{output:?}");
        output.says(group);
    }
    let output = container.executing(["--additional-gids", "4294967296"], ["id", "-G"]).output();
    if !differs("numbers-out-of-range") {
        assert!(matches!(output.code, 1 | 255), "{output:?}");
        output.says("4294967296");
    }
}

#[test]
fn many_additional_groups_are_set() {
    let container = running("groups");
    let groups: Vec<String> = (1000..2000).map(|group| group.to_string()).collect();
    let options: Vec<&str> = groups.iter().flat_map(|group| ["-g", group.as_str()]).collect();
    let status = container.executing(options, ["grep", "Groups", "/proc/self/status"]).output().ok();
    assert_eq!(field(&status, "Groups"), groups.join(" "));
}

// S1-13
#[test]
fn standard_streams_of_another_user_can_be_reopened() {
    let container = running("streams");
    let text = r#"exec 4>&1; { "$@" 4>&- < <(echo in) | cat >&4; } 2>&1 | cat >&2"#;
    let words = ["sh", "-c", "cat /dev/stdin > /dev/stdout; echo err > /dev/stderr"];
    let output = container.executing(["--user", "1000:1000"], words).through(text).output();
    assert_eq!(output.stderr, "err\n");
    output.prints("in\n");
}

#[test]
fn owner_of_the_null_device_stays_root() {
    use std::os::unix::fs::MetadataExt;
    let null = || fs::metadata("/dev/null").expect("there is one");
    let before = (null().uid(), null().gid(), null().mode());
    let container = running("null");
    let text = r#"exec "$@" </dev/null >/dev/null 2>/dev/null"#;
    container.executing(["--user", "1000:1000"], ["true"]).through(text).output().quietly();
    container.executing(["--user", "1000:1000", "--detach"], ["true"]).through(text).output().quietly();
    assert_eq!((null().uid(), null().gid(), null().mode()), before);
}

// ---- rights ----

#[test]
fn capabilities_can_be_added() {
    let container = sleeping("caps").edit(|config| config["process"]["capabilities"] = json!({})).started();
    let words = ["grep", "Cap", "/proc/self/status"];
    let status = container.exec(words).ok();
    for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert_eq!(field(&status, set), "0000000000000000", "{set}");
    }
    let status = container.executing(["-c", "CAP_KILL"], words).output().ok();
    assert_eq!(field(&status, "CapEff"), "0000000000000020");
    let status = container.executing(["--cap", "CAP_KILL", "--cap=CAP_AUDIT_WRITE"], words).output().ok();
    for (set, expected) in [
        ("CapInh", "0000000000000000"),
        ("CapPrm", "0000000020000020"),
        ("CapEff", "0000000020000020"),
        ("CapBnd", "0000000020000020"),
        ("CapAmb", "0000000000000000"),
    ] {
        assert_eq!(field(&status, set), expected, "{set}");
    }
}

/// CVE-2022-29162, CVE-2025-27612: what exec adds must not become inheritable or ambient by itself.
#[test]
fn added_capability_is_ambient_only_where_some_are_inheritable() {
    let words = ["grep", "Cap", "/proc/self/status"];
    let container = sleeping("caps").started();
    let status = container.executing(["--cap", "CAP_CHOWN"], words).output().ok();
    assert_eq!(field(&status, "CapInh"), "0000000000000000");
    assert_eq!(field(&status, "CapAmb"), "0000000000000000");
    assert_eq!(field(&status, "CapEff"), "0000000020000421");

    let container = sleeping("caps")
        .edit(|config| {
            config["process"]["capabilities"] = json!({
                "inheritable": ["CAP_CHOWN", "CAP_SYSLOG"],
                "permitted": ["CAP_KILL", "CAP_CHOWN"],
                "effective": ["CAP_KILL"],
                "bounding": ["CAP_KILL", "CAP_CHOWN", "CAP_SYSLOG"],
                "ambient": ["CAP_CHOWN"],
            });
        })
        .started();
    let status = container.exec(words).ok();
    assert_eq!(field(&status, "CapInh"), "0000000400000001");
    assert_eq!(field(&status, "CapAmb"), "0000000000000001");
    let status = container.executing(["--cap", "CAP_SYSLOG"], words).output().ok();
    assert_eq!(field(&status, "CapInh"), "0000000400000001");
    assert_eq!(field(&status, "CapPrm"), "0000000400000021");
    assert_eq!(field(&status, "CapEff"), "0000000400000021");
    assert_eq!(field(&status, "CapAmb"), "0000000400000001");
}

#[test]
fn other_user_has_no_effective_capabilities() {
    let container = running("caps");
    let options = ["--user", "1000:1000", "--cap", "CAP_CHOWN"];
    let status = container.executing(options, ["grep", "Cap", "/proc/self/status"]).output().ok();
    for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
        assert_eq!(field(&status, set), "0000000000000000", "{set}");
    }
    assert_eq!(field(&status, "CapBnd"), "0000000020000421");
}

#[test]
fn unknown_capability_is_a_warning() {
    let container = running("caps");
    let call = container.executing(["--cap", "CAP_FLY"], ["grep", "CapEff", "/proc/self/status"]);
    assert_eq!(field(&call.output().says("CAP_FLY").ok(), "CapEff"), BASE_CAPABILITIES);
}

// S4-05
#[test]
fn no_new_privileges_can_be_chosen() {
    let words = ["grep", "NoNewPrivs", "/proc/self/status"];
    for (config, option, expected) in [
        (true, &[][..], "1"),
        (true, &["--no-new-privs=false"], "0"),
        (false, &[], "0"),
        (false, &["--no-new-privs"], "1"),
        (false, &["--no-new-privs=true"], "1"),
    ] {
        let container = sleeping("nnp").edit(|it| it["process"]["noNewPrivileges"] = json!(config)).started();
        let status = container.executing(option.iter().copied(), words).output().ok();
        assert_eq!(field(&status, "NoNewPrivs"), expected, "{config} and {option:?}");
    }
}

#[test]
fn security_modules_that_the_machine_lacks_are_refused() {
    let modules = fs::read_to_string("/sys/kernel/security/lsm").unwrap_or_default();
    let container = running("modules");
    if !modules.contains("apparmor") {
        container.executing(["--apparmor", "profile"], ["true"]).output().refused_with(255).names("apparmor");
    }
    if !modules.contains("selinux") {
        container.executing(["--process-label", "a:b:c:s0"], ["true"]).output().refused_with(255).names("selinux");
    }
    assert_eq!(container.processes().len(), 1);
}

// ---- affinity ----

/// The processors of this machine that the test may use, at least two of them.
fn two_processors() -> Option<(String, String)> {
    let status = fs::read_to_string("/proc/self/status").expect("proc is mounted");
    let first_range = field(&status, "Cpus_allowed_list").split(',').next()?.to_owned();
    let (first, last) = first_range.split_once('-')?;
    Some((first.to_owned(), last.to_owned()))
}

#[test]
fn processors_are_those_of_the_config() {
    newer_than_this_runc!("execCPUAffinity");
    let processors = two_processors();
    require!(processors.is_some(), "this machine has one processor");
    let (first, last) = processors.expect("there are two");
    let words = ["grep", "Cpus_allowed_list", "/proc/self/status"];
    for affinity in [json!({ "initial": first, "final": last }), json!({ "final": last })] {
        let container = sleeping("affinity").edit(|config| config["process"]["execCPUAffinity"] = affinity).started();
        assert_eq!(field(&container.exec(words).ok(), "Cpus_allowed_list"), last);
        // It is about exec only.
        let pid = container.pid();
        let first_process = fs::read_to_string(format!("/proc/{pid}/status")).expect("it lives");
        assert_ne!(field(&first_process, "Cpus_allowed_list"), last);
    }
}

#[test]
fn processors_are_those_of_the_process_file() {
    newer_than_this_runc!("execCPUAffinity");
    let processors = two_processors();
    require!(processors.is_some(), "this machine has one processor");
    let (first, last) = processors.expect("there are two");
    let container = running("affinity");
    let mut process = process(&["grep", "Cpus_allowed_list", "/proc/self/status"]);
    process["execCPUAffinity"] = json!({ "initial": last, "final": first });
    let status = container.executing_process(&process).output().ok();
    assert_eq!(field(&status, "Cpus_allowed_list"), first);
}

#[test]
fn processors_that_are_no_list_are_refused() {
    newer_than_this_runc!("execCPUAffinity");
    let container = running("affinity");
    for list in ["x", "1-", "-1", "3-1", "1;2", "99999999999"] {
        let mut process = process(&["true"]);
        process["execCPUAffinity"] = json!({ "final": list });
        container.executing_process(&process).output().refused_with(255);
    }
}
