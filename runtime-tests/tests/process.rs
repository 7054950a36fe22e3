//! The process: what it is given to run, and as whom.

use std::fs;

use runtime_tests::{Container, differs, newer_than_this_runc, require};
use serde_json::json;

/// CAP_AUDIT_WRITE, CAP_KILL and CAP_NET_BIND_SERVICE, which the base config gives.
const BASE_CAPABILITIES: &str = "0000000020000420";

/// The value after a name in /proc/self/status and its like.
fn field<'a>(text: &'a str, name: &str) -> &'a str {
    text.lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
        .unwrap_or_else(|| panic!("no {name} in {text}"))
        .trim()
}

// ---- args ----

#[test]
fn arguments_are_passed_as_they_are() {
    Container::new("args")
        .args(["sh", "-c", r#"for word; do echo "<$word>"; done"#, "sh", "a b", "", "*", "$PATH", "é\t"])
        .run()
        .prints("<a b>\n<>\n<*>\n<$PATH>\n<é\t>\n");
}

#[test]
fn long_arguments_are_passed_whole() {
    let long = "x".repeat(100_000);
    Container::new("long").args(["sh", "-c", "echo ${#1}", "sh", &long]).run().prints("100000\n");
}

#[test]
fn program_is_found_in_the_path_of_the_container() {
    Container::new("path")
        .program("opt/bin/tool", "#!/bin/sh\necho \"I am $0\"\n")
        .env("PATH=/nowhere:/opt/bin:/bin")
        .args(["tool"])
        .run()
        .prints("I am /opt/bin/tool\n");
}

#[test]
fn path_of_the_caller_does_not_matter() {
    Container::new("path")
        .program("opt/bin/tool", "#!/bin/sh\necho found\n")
        .caller_env("PATH", "/opt/bin:/usr/sbin:/usr/bin:/sbin:/bin")
        .args(["tool"])
        .create()
        .refused()
        .says("executable file not found in $PATH");
}

#[test]
fn file_that_can_not_be_executed_is_passed_over_in_the_path() {
    Container::new("path")
        .file("opt/a/tool", "#!/bin/sh\necho wrong\n")
        .program("opt/b/tool", "#!/bin/sh\necho right\n")
        .env("PATH=/opt/a:/opt/b:/bin")
        .args(["tool"])
        .run()
        .prints("right\n");
}

#[test]
fn directory_is_passed_over_in_the_path() {
    Container::new("path")
        .directory("opt/a/tool")
        .program("opt/b/tool", "#!/bin/sh\necho right\n")
        .env("PATH=/opt/a:/opt/b:/bin")
        .args(["tool"])
        .run()
        .prints("right\n");
}

#[test]
fn path_with_a_slash_starts_at_the_working_directory() {
    Container::new("path")
        .program("opt/bin/tool", "#!/bin/sh\necho here\n")
        .edit(|config| config["process"]["cwd"] = json!("/opt"))
        .args(["./bin/tool"])
        .run()
        .prints("here\n");
}

#[test]
fn program_that_is_not_in_the_path_is_named() {
    let container = Container::new("missing").args(["no-such-tool"]);
    container.create().refused().says("executable file not found in $PATH").says("no-such-tool");
    container.run().refused().says("executable file not found in $PATH").says("no-such-tool");
}

#[test]
fn missing_program_is_named() {
    Container::new("missing")
        .args(["/no/such/tool"])
        .create()
        .refused()
        .says("no such file or directory")
        .says("/no/such/tool");
}

#[test]
fn program_without_execute_permission_is_refused() {
    Container::new("mode")
        .file("tool", "#!/bin/sh\n")
        .args(["/tool"])
        .create()
        .refused()
        .says("permission denied")
        .says("/tool");
}

#[test]
fn directory_is_not_a_program() {
    let refusal = Container::new("directory").args(["/etc"]).create().refused().says("/etc");
    assert!(
        refusal.stderr.contains("permission denied") || refusal.stderr.contains("is a directory"),
        "engines look for one of the two: {refusal:?}"
    );
}

#[test]
fn start_says_why_the_program_could_not_be_executed() {
    let container = Container::new("format").program("tool", "neither ELF nor a script\n").args(["/tool"]);
    container.create().quietly();
    let start = container.start();
    if differs("start-learns-the-exec-error") {
        start.quietly();
    } else {
        start.refused().says("exec format error").says("/tool");
    }
    container.wait_for("stopped");
}

#[test]
fn start_says_that_the_interpreter_is_missing() {
    let container = Container::new("interpreter").program("tool", "#!/no/such/shell\n").args(["/tool"]);
    container.create().quietly();
    let start = container.start();
    if differs("start-learns-the-exec-error") {
        start.quietly();
    } else {
        start.refused().says("no such file or directory").says("/tool");
    }
    container.wait_for("stopped");
}

#[test]
fn run_fails_when_the_program_can_not_be_executed() {
    Container::new("format")
        .program("tool", "neither ELF nor a script\n")
        .args(["/tool"])
        .run()
        .refused()
        .says("/tool")
        .says("exec format error");
}

// ---- env ----

#[test]
fn environment_is_what_the_config_says() {
    Container::new("env")
        .edit(|config| config["process"]["env"] = json!(["PATH=/bin", "A=1", "EMPTY=", "EQUALS=a=b", "HOME=/here"]))
        .caller_env("LEAKED", "from the caller")
        .args(["env"])
        .run()
        .prints("PATH=/bin\nA=1\nEMPTY=\nEQUALS=a=b\nHOME=/here\n");
}

#[test]
fn no_environment_is_no_environment() {
    let output = Container::new("env")
        .edit(|config| {
            config["process"].as_object_mut().expect("an object").remove("env");
        })
        .args(["/bin/env"])
        .run();
    output.prints("HOME=/root\n");
}

#[test]
fn newline_in_a_variable_is_kept() {
    Container::new("env")
        .env("LINES_=one\ntwo\n")
        .args(["sh", "-c", "printf '<%s>' \"$LINES_\""])
        .run()
        .prints("<one\ntwo\n>");
}

#[test]
fn last_of_several_values_wins() {
    let text = Container::new("env").env("A=first").env("B=other").env("A=last").args(["env"]).run().ok();
    let values: Vec<_> = text.lines().filter(|line| line.starts_with("A=")).collect();
    assert_eq!(values, ["A=last"]);
}

#[test]
fn home_comes_from_the_passwd_of_the_container() {
    Container::new("home").script("echo $HOME").run().prints("/root\n");
    Container::new("home").user(1000, 1000).script("echo $HOME").run().prints("/home/app\n");
}

#[test]
fn home_of_an_unknown_user_is_the_root_directory() {
    Container::new("home").user(4242, 4242).script("echo $HOME").run().prints("/\n");
}

#[test]
fn home_without_a_passwd_is_the_root_directory() {
    let container = Container::new("home").script("echo $HOME");
    fs::remove_file(container.rootfs().join("etc/passwd")).expect("it is there");
    container.run().prints("/\n");
}

#[test]
fn home_that_the_config_gives_is_kept() {
    Container::new("home").user(1000, 1000).env("HOME=/elsewhere").script("echo $HOME").run().prints("/elsewhere\n");
}

#[test]
fn empty_home_counts_as_unset() {
    Container::new("home").env("HOME=").script("echo $HOME").run().prints("/root\n");
}

#[test]
fn passwd_with_broken_lines_still_gives_a_home() {
    Container::new("home")
        .file(
            "etc/passwd",
            "\n# comment\nbroken\n:::\nx:x:notanumber:0::/wrong:\n+nis\napp:x:1000:1000:App:/right:/bin/sh\n",
        )
        .user(1000, 1000)
        .script("echo $HOME")
        .run()
        .prints("/right\n");
}

#[test]
fn variable_without_a_value_is_refused() {
    Container::new("env").env("NO_EQUALS_SIGN").args(["env"]).create().refused().says("NO_EQUALS_SIGN");
}

#[test]
fn variable_without_a_name_is_refused() {
    Container::new("env").env("=value").args(["env"]).create().refused().says("env");
}

#[test]
fn nul_byte_in_a_variable_is_refused() {
    Container::new("env").env("A=b\0c").args(["env"]).create().refused();
}

#[test]
fn nul_byte_in_an_argument_is_refused() {
    let create = Container::new("args").args(["echo", "b\0c"]).create();
    if !differs("nul-bytes") {
        create.refused().says("config.json");
    }
}

// ---- cwd ----

#[test]
fn working_directory_is_that_of_the_config() {
    Container::new("cwd")
        .edit(|config| config["process"]["cwd"] = json!("/var/tmp"))
        .args(["pwd"])
        .run()
        .prints("/var/tmp\n");
}

#[test]
fn working_directory_may_be_a_link_inside_the_container() {
    Container::new("cwd")
        .link("work", "/var/tmp")
        .edit(|config| config["process"]["cwd"] = json!("/work"))
        .args(["pwd", "-P"])
        .run()
        .prints("/var/tmp\n");
}

#[test]
fn missing_working_directory_is_made() {
    let container = Container::new("cwd")
        .writable()
        .edit(|config| config["process"]["cwd"] = json!("/made/for/me"))
        .script("pwd; stat -c '%a %u' .");
    container.run().prints("/made/for/me\n755 0\n");
    assert!(container.rootfs().join("made/for/me").is_dir());
}

#[test]
fn missing_working_directory_is_made_before_the_rootfs_is_read_only() {
    Container::new("cwd")
        .edit(|config| config["process"]["cwd"] = json!("/made/for/me"))
        .args(["pwd"])
        .run()
        .prints("/made/for/me\n");
}

#[test]
fn working_directory_that_only_the_user_may_enter_is_entered_as_the_user() {
    let container = Container::new("cwd")
        .directory("private")
        .user(1000, 1000)
        .edit(|config| config["process"]["cwd"] = json!("/private"))
        .args(["pwd"]);
    std::os::unix::fs::chown(container.rootfs().join("private"), Some(1000), Some(1000)).expect("root may");
    container.mode("private", 0o700).run().prints("/private\n");
}

#[test]
fn working_directory_that_only_root_may_enter_is_entered_as_root() {
    // The shell needs no right to look at where it is.
    Container::new("cwd")
        .directory("private")
        .mode("private", 0o700)
        .user(1000, 1000)
        .edit(|config| config["process"]["cwd"] = json!("/private"))
        .script("readlink /proc/self/cwd")
        .run()
        .prints("/private\n");
}

#[test]
fn working_directory_must_be_absolute() {
    Container::new("cwd")
        .edit(|config| config["process"]["cwd"] = json!("tmp"))
        .create()
        .refused()
        .says(if differs("wording") { "Cwd must be an absolute path" } else { "process.cwd" });
}

/// CVE-2024-21626: a descriptor of a host directory that leaks into init is a way out through the working directory.
#[test]
fn working_directory_through_a_leaked_descriptor_is_refused() {
    for number in 3..=16 {
        for climb in ["", "/../../.."] {
            let container = Container::new("cwd")
                .edit(|config| config["process"]["cwd"] = json!(format!("/proc/self/fd/{number}{climb}")))
                .through("exec 10</ 11</ 12</; exec \"$@\"")
                .args(["ls", "-d", "boot", "opt", "srv", "home/app"]);
            let output = container.run();
            assert_ne!(output.code, 0, "it runs in a directory of descriptor {number}: {output:?}");
            let host = ["boot", "opt", "srv"].iter().any(|name| output.stdout.contains(name));
            assert!(!host, "it sees the host: {output:?}");
        }
    }
}

// ---- user ----

#[test]
fn user_and_group_are_those_of_the_config() {
    Container::new("user").user(1000, 1001).script("id -u; id -g; id -G").run().prints("1000\n1001\n1001\n");
}

#[test]
fn user_need_not_be_in_passwd() {
    Container::new("user").user(123_456, 234_567).script("id -u; id -g").run().prints("123456\n234567\n");
}

#[test]
fn root_without_additional_groups_has_none_of_the_caller() {
    let groups = Container::new("groups")
        .through(r#"exec setpriv --groups 7,8,9 -- "$@""#)
        .args(["grep", "Groups", "/proc/self/status"])
        .run()
        .ok();
    assert_eq!(field(&groups, "Groups"), "");
}

#[test]
fn additional_groups_are_set() {
    let groups = Container::new("groups")
        .edit(|config| {
            config["process"]["user"] = json!({ "uid": 1000, "gid": 1000, "additionalGids": [5, 2000, 70_000] })
        })
        .args(["grep", "Groups", "/proc/self/status"])
        .run()
        .ok();
    assert_eq!(field(&groups, "Groups"), "5 2000 70000");
}

#[test]
fn user_number_out_of_range_is_refused() {
    for number in [json!(-1), json!(4_294_967_296_u64), json!("root"), json!(1.5)] {
        Container::new("user")
            .edit(|config| config["process"]["user"]["uid"] = number)
            .create()
            .refused()
            .says("user.uid");
    }
}

#[test]
fn umask_is_that_of_the_config() {
    Container::new("umask")
        .edit(|config| config["process"]["user"]["umask"] = json!(0o27))
        .script("umask")
        .run()
        .prints("0027\n");
    Container::new("umask")
        .edit(|config| config["process"]["user"]["umask"] = json!(0))
        .script("umask")
        .run()
        .prints("0000\n");
}

#[test]
fn umask_is_022_whatever_the_caller_has() {
    Container::new("umask").through("umask 077; exec \"$@\"").script("umask").run().prints("0022\n");
    Container::new("umask").through("umask 0; exec \"$@\"").script("umask").run().prints("0022\n");
}

// ---- capabilities ----

#[test]
fn root_has_the_capabilities_of_the_config() {
    let status = Container::new("caps").args(["grep", "Cap", "/proc/self/status"]).run().ok();
    for set in ["CapPrm", "CapEff", "CapBnd"] {
        assert_eq!(field(&status, set), BASE_CAPABILITIES, "{set}");
    }
}

/// CVE-2022-29162: inheritable capabilities that nobody asked for make file capabilities of the image usable.
#[test]
fn inheritable_set_is_empty_unless_it_is_asked_for() {
    let container = Container::new("caps").edit(|config| {
        config["process"]["capabilities"].as_object_mut().expect("an object").remove("ambient");
    });
    let status = container.args(["grep", "Cap", "/proc/self/status"]).run().ok();
    assert_eq!(field(&status, "CapInh"), "0000000000000000");
    assert_eq!(field(&status, "CapAmb"), "0000000000000000");
}

#[test]
fn inheritable_and_ambient_sets_are_those_of_the_config() {
    let status = Container::new("caps")
        .edit(|config| {
            config["process"]["capabilities"]["inheritable"] = json!(["CAP_KILL", "CAP_AUDIT_WRITE"]);
            config["process"]["capabilities"]["ambient"] = json!(["CAP_KILL"]);
        })
        .args(["grep", "Cap", "/proc/self/status"])
        .run()
        .ok();
    assert_eq!(field(&status, "CapInh"), "0000000020000020");
    assert_eq!(field(&status, "CapAmb"), "0000000000000020");
}

#[test]
fn other_user_has_no_effective_capabilities() {
    let status = Container::new("caps")
        .user(1000, 1000)
        .edit(|config| {
            config["process"]["capabilities"].as_object_mut().expect("an object").remove("ambient");
        })
        .args(["grep", "Cap", "/proc/self/status"])
        .run()
        .ok();
    assert_eq!(field(&status, "CapEff"), "0000000000000000");
    assert_eq!(field(&status, "CapPrm"), "0000000000000000");
    assert_eq!(field(&status, "CapBnd"), BASE_CAPABILITIES);
}

#[test]
fn other_user_keeps_ambient_capabilities() {
    let status = Container::new("caps")
        .user(1000, 1000)
        .edit(|config| {
            config["process"]["capabilities"]["inheritable"] = json!(["CAP_KILL"]);
            config["process"]["capabilities"]["ambient"] = json!(["CAP_KILL"]);
        })
        .args(["grep", "Cap", "/proc/self/status"])
        .run()
        .ok();
    assert_eq!(field(&status, "CapAmb"), "0000000000000020");
    assert_eq!(field(&status, "CapEff"), "0000000000000020");
    assert_eq!(field(&status, "CapPrm"), "0000000000000020");
}

#[test]
fn empty_sets_give_nothing() {
    let status = Container::new("caps")
        .edit(|config| {
            config["process"]["capabilities"] =
                json!({ "bounding": [], "effective": [], "permitted": [], "inheritable": [], "ambient": [] });
        })
        .args(["grep", "Cap", "/proc/self/status"])
        .run()
        .ok();
    for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert_eq!(field(&status, set), "0000000000000000", "{set}");
    }
}

#[test]
fn no_capabilities_object_means_no_capabilities() {
    let status = Container::new("caps")
        .edit(|config| {
            config["process"].as_object_mut().expect("an object").remove("capabilities");
        })
        .args(["grep", "Cap", "/proc/self/status"])
        .run()
        .ok();
    for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert_eq!(field(&status, set), "0000000000000000", "{set}");
    }
}

#[test]
fn effective_set_is_limited_to_the_config_for_root_too() {
    let status = Container::new("caps")
        .edit(|config| {
            config["process"]["capabilities"]["effective"] = json!(["CAP_KILL"]);
            config["process"]["capabilities"]["ambient"] = json!([]);
        })
        .args(["grep", "Cap", "/proc/self/status"])
        .run()
        .ok();
    // An execve by root raises the effective set to what is permitted.
    assert_eq!(field(&status, "CapPrm"), BASE_CAPABILITIES);
    assert_eq!(field(&status, "CapBnd"), BASE_CAPABILITIES);
}

#[test]
fn unknown_capability_is_a_warning() {
    let output = Container::new("caps")
        .capability("CAP_FLY")
        .args(["grep", "CapEff", "/proc/self/status"])
        .run()
        .says("CAP_FLY");
    assert_eq!(field(&output.ok(), "CapEff"), BASE_CAPABILITIES);
}

#[test]
fn capability_that_the_caller_lacks_is_a_warning() {
    let ours = fs::read_to_string("/proc/self/status").expect("proc is mounted");
    let ours = u64::from_str_radix(field(&ours, "CapPrm"), 16).expect("a mask");
    require!(ours & (1 << 24) == 0, "this machine grants CAP_SYS_RESOURCE");

    let output = Container::new("caps")
        .capability("CAP_SYS_RESOURCE")
        .capability("CAP_CHOWN")
        .args(["grep", "CapPrm", "/proc/self/status"])
        .run();
    if differs("capability-that-can-not-be-granted") {
        return;
    }
    let status = output.says("CAP_SYS_RESOURCE").ok();
    assert_eq!(field(&status, "CapPrm"), "0000000020000421");
}

#[test]
fn no_new_privileges_is_as_the_config_says() {
    for (asked, expected) in [(true, "1"), (false, "0")] {
        let status = Container::new("nnp")
            .edit(|config| config["process"]["noNewPrivileges"] = json!(asked))
            .args(["grep", "NoNewPrivs", "/proc/self/status"])
            .run()
            .ok();
        assert_eq!(field(&status, "NoNewPrivs"), expected);
    }
}

// ---- limits and priorities ----

#[test]
fn limits_are_those_of_the_config() {
    let limits = Container::new("rlimits")
        .edit(|config| {
            config["process"]["rlimits"] = json!([
                { "type": "RLIMIT_NOFILE", "soft": 100, "hard": 200 },
                { "type": "RLIMIT_CORE", "soft": 0, "hard": 4096 },
                { "type": "RLIMIT_CPU", "soft": 1000, "hard": 2000 },
                { "type": "RLIMIT_AS", "soft": 1_u64 << 40, "hard": u64::MAX },
            ]);
        })
        .args(["cat", "/proc/self/limits"])
        .run()
        .ok();
    let limit = |name: &str| -> Vec<String> {
        let line = limits.lines().find_map(|line| line.strip_prefix(name)).expect("the limit is listed");
        line.split_whitespace().take(2).map(str::to_owned).collect()
    };
    assert_eq!(limit("Max open files"), ["100", "200"]);
    assert_eq!(limit("Max core file size"), ["0", "4096"]);
    assert_eq!(limit("Max cpu time"), ["1000", "2000"]);
    assert_eq!(limit("Max address space"), ["1099511627776", "unlimited"]);
}

#[test]
fn limit_that_can_not_be_raised_is_a_warning() {
    let ours = fs::read_to_string("/proc/self/status").expect("proc is mounted");
    let ours = u64::from_str_radix(field(&ours, "CapEff"), 16).expect("a mask");
    require!(ours & (1 << 24) == 0, "CAP_SYS_RESOURCE can raise any limit here");

    let output = Container::new("rlimits")
        .edit(|config| {
            config["process"]["rlimits"] = json!([{ "type": "RLIMIT_NOFILE", "soft": 1 << 20, "hard": 1 << 20 }]);
        })
        .through("ulimit -n 5000; exec \"$@\"")
        .script("ulimit -Sn; ulimit -Hn")
        .run();
    if differs("limit-that-can-not-be-raised") {
        output.exits(1).says("error setting rlimit type 7: operation not permitted");
    } else {
        assert!(output.stderr.contains("RLIMIT_NOFILE"), "it does not say which: {output:?}");
        output.prints("5000\n5000\n");
    }
}

#[test]
fn unknown_limit_is_refused() {
    Container::new("rlimits")
        .edit(|config| config["process"]["rlimits"] = json!([{ "type": "RLIMIT_MOOD", "soft": 1, "hard": 1 }]))
        .create()
        .refused()
        .says("RLIMIT_MOOD");
}

#[test]
fn soft_limit_above_the_hard_one_is_refused() {
    Container::new("rlimits")
        .edit(|config| config["process"]["rlimits"] = json!([{ "type": "RLIMIT_NOFILE", "soft": 200, "hard": 100 }]))
        .create()
        .refused()
        .says(if differs("wording") { "error setting rlimit type 7" } else { "RLIMIT_NOFILE" });
}

#[test]
fn oom_score_is_that_of_the_config() {
    Container::new("oom")
        .edit(|config| config["process"]["oomScoreAdj"] = json!(567))
        .args(["cat", "/proc/self/oom_score_adj"])
        .run()
        .prints("567\n");
}

#[test]
fn oom_score_out_of_range_is_refused() {
    Container::new("oom")
        .edit(|config| config["process"]["oomScoreAdj"] = json!(1001))
        .create()
        .refused()
        .says(if differs("wording") { "oom_score_adj" } else { "oomScoreAdj" });
}

#[test]
fn scheduler_is_that_of_the_config() {
    newer_than_this_runc!("process.scheduler");
    let stat = Container::new("scheduler")
        .edit(|config| config["process"]["scheduler"] = json!({ "policy": "SCHED_BATCH", "nice": 7 }))
        .args(["cat", "/proc/self/stat"])
        .run()
        .ok();
    let fields: Vec<_> = stat.split_whitespace().collect();
    assert_eq!(fields[18], "7", "nice");
    assert_eq!(fields[40], "3", "SCHED_BATCH");
}

#[test]
fn unknown_scheduler_is_refused() {
    newer_than_this_runc!("process.scheduler");
    Container::new("scheduler")
        .edit(|config| config["process"]["scheduler"] = json!({ "policy": "SCHED_FAIR" }))
        .create()
        .refused()
        .says("SCHED_FAIR");
}

#[test]
fn io_priority_is_that_of_the_config() {
    newer_than_this_runc!("process.ioPriority");
    Container::new("ioprio")
        .edit(|config| config["process"]["ioPriority"] = json!({ "class": "IOPRIO_CLASS_BE", "priority": 6 }))
        .script("ionice -p $$")
        .run()
        .prints("best-effort: prio 6\n");
}

#[test]
fn processor_set_of_the_caller_is_not_inherited() {
    newer_than_this_runc!("giving a container all processors of its cpuset");
    let all = fs::read_to_string("/proc/self/status").expect("proc is mounted");
    let all = field(&all, "Cpus_allowed_list").to_owned();
    require!(all != "0", "this machine has one processor");
    let status = Container::new("affinity")
        .through("exec taskset -c 0 \"$@\"")
        .args(["grep", "Cpus_allowed_list", "/proc/self/status"])
        .run()
        .ok();
    assert_eq!(field(&status, "Cpus_allowed_list"), all);
}

// ---- identity ----

#[test]
fn hostname_is_that_of_the_config() {
    Container::new("names")
        .edit(|config| config["hostname"] = json!("box-1"))
        .args(["hostname"])
        .run()
        .prints("box-1\n");
}

#[test]
fn hostname_is_not_that_of_the_caller_afterwards() {
    let before = fs::read_to_string("/proc/sys/kernel/hostname").expect("proc is mounted");
    Container::new("names")
        .edit(|config| config["hostname"] = json!("box-2"))
        .args(["hostname"])
        .run()
        .prints("box-2\n");
    assert_eq!(fs::read_to_string("/proc/sys/kernel/hostname").expect("proc is mounted"), before);
}

#[test]
fn domainname_is_that_of_the_config() {
    newer_than_this_runc!("domainname");
    Container::new("names")
        .edit(|config| config["domainname"] = json!("example.org"))
        .args(["cat", "/proc/sys/kernel/domainname"])
        .run()
        .prints("example.org\n");
}

#[test]
fn personality_is_that_of_the_config() {
    newer_than_this_runc!("linux.personality");
    require!(std::env::consts::ARCH == "x86_64", "PER_LINUX32 has another name of the machine only there");
    Container::new("personality")
        .edit(|config| config["linux"]["personality"] = json!({ "domain": "LINUX32" }))
        .args(["uname", "-m"])
        .run()
        .prints("i686\n");
}

#[test]
fn unknown_personality_is_refused() {
    newer_than_this_runc!("linux.personality");
    Container::new("personality")
        .edit(|config| config["linux"]["personality"] = json!({ "domain": "WINDOWS" }))
        .create()
        .refused()
        .says("WINDOWS");
}

#[test]
fn process_leads_a_session_of_its_own() {
    let stat = Container::new("session").args(["cat", "/proc/self/stat"]).run().ok();
    let fields: Vec<_> = stat.split_whitespace().collect();
    assert_eq!(fields[0], "1", "pid");
    assert_eq!(fields[4], "1", "process group");
    assert_eq!(fields[5], "1", "session");
    assert_eq!(fields[6], "0", "terminal");
}

#[test]
fn session_keyring_is_new_and_named_after_the_container() {
    let container = Container::new("keyring").unmasked().args(["cat", "/proc/keys"]);
    let name = format!("_ses.{}", container.id);
    let keys = container.run().ok();
    assert!(keys.contains(&name), "no {name} in {keys}");
}

#[test]
fn session_keyring_of_the_caller_can_be_kept() {
    let container = Container::new("keyring").unmasked().option("--no-new-keyring").args(["cat", "/proc/keys"]);
    let name = format!("_ses.{}", container.id);
    let keys = container.run().ok();
    assert!(!keys.contains(&name), "a new keyring in {keys}");
}

// ---- what comes from the caller ----

#[test]
fn standard_input_reaches_the_process() {
    Container::new("stdin").stdin("one\ntwo\n").args(["cat"]).run().prints("one\ntwo\n");
}

#[test]
fn standard_output_and_error_are_kept_apart() {
    let output = Container::new("streams").script("echo out; echo err >&2").run();
    assert_eq!(output.stderr, "err\n");
    output.prints("out\n");
}

#[test]
fn standard_streams_of_another_user_can_be_reopened() {
    // `echo > /dev/stdout` opens the file anew: it must still be allowed when the process is not root.
    let container = Container::new("streams")
        .through(r#"exec 4>&1; { "$@" 4>&- < <(echo in) | cat >&4; } 2>&1 | cat >&2"#)
        .user(1000, 1000)
        .script("cat /dev/stdin > /dev/stdout; echo err > /dev/stderr");
    let output = container.run();
    assert_eq!(output.stderr, "err\n");
    output.prints("in\n");
}

#[test]
fn owner_of_the_null_device_stays_root() {
    use std::os::unix::fs::MetadataExt;
    let null = || fs::metadata("/dev/null").expect("there is one");
    let before = (null().uid(), null().gid(), null().mode());
    Container::new("null")
        .user(1000, 1000)
        .through(r#"exec "$@" </dev/null >/dev/null 2>/dev/null"#)
        .args(["true"])
        .run()
        .quietly();
    assert_eq!((null().uid(), null().gid(), null().mode()), before);
}

#[test]
fn descriptors_of_the_caller_stay_outside() {
    let listing = Container::new("leak")
        .through("exec 5</ 10</etc 11</etc/passwd 99</dev/null 251</; exec \"$@\"")
        .args(["ls", "/proc/self/fd"])
        .run()
        .ok();
    // 3 is the directory that ls reads.
    assert_eq!(listing, "0\n1\n2\n3\n");
}

#[test]
fn signals_that_the_caller_blocks_are_not_blocked() {
    let status = Container::new("signals")
        .through("exec env --block-signal=TERM --block-signal=HUP --block-signal=USR1 \"$@\"")
        .args(["grep", "SigBlk", "/proc/self/status"])
        .run()
        .ok();
    if !differs("blocked-signals-are-unblocked") {
        assert_eq!(field(&status, "SigBlk"), "0000000000000000");
    }
}

#[test]
fn signals_that_the_caller_ignores_are_not_ignored() {
    let status = Container::new("signals")
        .through("trap '' HUP TERM USR1 PIPE QUIT; exec \"$@\"")
        .args(["grep", "SigIgn", "/proc/self/status"])
        .run()
        .ok();
    if !differs("ignored-signals-are-reset") {
        assert_eq!(field(&status, "SigIgn"), "0000000000000000");
    }
}

#[test]
fn broken_pipe_ends_a_writer() {
    // Ignored SIGPIPE would let yes print an error and exit with 1.
    let output = Container::new("pipe").script("yes | head -n 1; sleep 0.1").run();
    assert_eq!(output.stderr, "");
    output.prints("y\n");
}
