//! `exec`: another process in a container that is there already, and what it leaves behind.

use std::{env, fs, os::unix::fs::PermissionsExt, thread, time::Duration};

use runtime_tests::{Container, Output, Running, cgroup_v2, controller, differs, runtime_path, wait_until};
use rustix::process::Signal;
use serde_json::{Value, json};

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

/// Does a process with this pid live?
fn exists(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

// ---- what it does ----

#[test]
fn program_runs_in_the_container() {
    let container = running("exec");
    container.exec(["hostname"]).prints("runc\n");
    let output = container.exec_script("echo out; echo err >&2");
    assert_eq!(output.stderr, "err\n");
    output.prints("out\n");
}

#[test]
fn arguments_are_passed_as_they_are() {
    let container = running("exec");
    let words = ["sh", "-c", r#"for word; do echo "<$word>"; done"#, "sh", "a b", "", "*", "$PATH", "--", "é\t"];
    container.exec(words).prints("<a b>\n<>\n<*>\n<$PATH>\n<-->\n<é\t>\n");
    let long = "x".repeat(100_000);
    container.exec(["sh", "-c", "echo ${#1}", "sh", &long]).prints("100000\n");
}

#[test]
fn options_after_the_name_are_the_programs() {
    let container = running("exec");
    let words = ["echo", "--user", "-e", "--help", "-d", "--", "-t"];
    container.exec(words).prints("--user -e --help -d -- -t\n");
    container.call(["exec", "--", &container.id, "echo", "-u", "5"]).output().prints("-u 5\n");
}

#[test]
fn standard_input_reaches_the_program() {
    let container = running("stdin");
    let file = container.outside("input");
    fs::write(&file, "one\ntwo\n").expect("it can be written");
    container.executing([], ["cat"]).stdin(&file).output().prints("one\ntwo\n");
}

#[test]
fn exec_exits_as_the_program_does() {
    let container = running("exit");
    for code in [0, 1, 42, 126, 127, 254, 255] {
        let output = container.exec_script(&format!("exit {code}")).exits(code);
        assert_eq!((output.stdout, output.stderr), (String::new(), String::new()));
    }
}

#[test]
fn exec_exits_with_128_and_the_signal() {
    let container = running("signal");
    for (name, code) in [("HUP", 129), ("INT", 130), ("KILL", 137), ("SEGV", 139), ("TERM", 143)] {
        let output = container.exec_script(&format!("kill -{name} $$; sleep 1000")).exits(code);
        assert_eq!((output.stdout, output.stderr), (String::new(), String::new()), "{name}");
    }
}

#[test]
fn exec_ends_with_its_program_although_somebody_holds_the_output() {
    // The one in the background ends when the file is there, which is after exec has ended.
    let container = sleeping("output").writable().started();
    let exec =
        container.executing([], ["sh", "-c", "sh -c 'while [ ! -e /tmp/end ]; do sleep 0.02; done' & echo done"]);
    if differs("exec-waits-for-the-output") {
        container.write("tmp/end", "");
    }
    exec.output().prints("done\n");
    container.write("tmp/end", "");
}

#[test]
fn death_of_the_container_ends_its_execs() {
    let container = running("death");
    let exec = container.executing([], ["sh", "-c", "echo ready; sleep 1000"]).spawn();
    exec.wait_for("ready\n");
    container.kill("KILL").quietly();
    exec.wait().exits(137);
}

/// S1-11: a pid namespace that is not its own does not end with the container's first process.
#[test]
fn run_ends_what_was_executed_in_its_container_without_a_pid_namespace() {
    let container = Container::new("shared").without_namespace("pid").writable();
    let container = container.script("echo ready; while [ ! -e /tmp/end ]; do sleep 0.02; done; exit 3");
    let foreground = container.spawn();
    foreground.wait_for("ready\n");
    container.executing(["--detach"], ["sleep", "1000"]).output().quietly();
    container.write("tmp/end", "");
    foreground.wait().exits(3);
    wait_until("all are gone", || container.processes().is_empty());
}

#[test]
fn signals_are_forwarded() {
    let container = running("forward");
    for (signal, name) in [
        (Signal::HUP, "HUP"),
        (Signal::INT, "INT"),
        (Signal::QUIT, "QUIT"),
        (Signal::USR1, "USR1"),
        (Signal::USR2, "USR2"),
        (Signal::TERM, "TERM"),
        (Signal::ALARM, "ALRM"),
    ] {
        let text = format!("trap 'echo got {name}; exit 42' {name}; echo ready; while :; do sleep 0.02; done");
        let exec = container.executing([], ["sh", "-c", &text]).spawn();
        exec.wait_for("ready\n");
        exec.signal(signal);
        assert_eq!(exec.wait().exits(42).stdout, format!("ready\ngot {name}\n"));
    }
}

#[test]
fn signal_that_ends_the_program_is_the_status() {
    // It is not process 1 of its namespace: what it does not handle ends it.
    let container = running("forward");
    let exec = container.executing([], ["sh", "-c", "echo ready; exec sleep 1000"]).spawn();
    exec.wait_for("ready\n");
    exec.signal(Signal::TERM);
    exec.wait().exits(143);
    assert_eq!(container.status(), "running");
}

#[test]
fn real_time_signals_are_forwarded() {
    let container = running("forward");
    let text = "trap 'exit 7' 37; echo ready; while :; do sleep 0.02; done";
    let exec = container.executing([], ["sh", "-c", text]).spawn();
    exec.wait_for("ready\n");
    let sent = std::process::Command::new("kill").args(["-37", &exec.pid().to_string()]).status();
    assert!(sent.expect("kill can be run").success());
    exec.wait().exits(7);
}

// ---- when ----

#[test]
fn created_container_can_be_entered() {
    let container = sleeping("created");
    container.create().quietly();
    container.exec(["echo", "early"]).prints("early\n");
    assert_eq!(container.status(), "created");
    container.start().quietly();
    container.exec(["echo", "late"]).prints("late\n");
}

#[test]
fn stopped_container_can_not_be_entered() {
    let container = running("stopped");
    container.kill("KILL").quietly();
    container.wait_for("stopped");
    container.exec(["true"]).refused_with(255).says("cannot exec in a stopped container");
    let call = container.executing_process(&process(&["true"]));
    call.output().refused_with(255).says("cannot exec in a stopped container");
    container.executing(["--ignore-paused"], ["true"]).output().refused_with(255);
}

#[test]
fn unknown_container_can_not_be_entered() {
    let container = Container::new("unknown");
    container.exec(["true"]).refused_with(255).says("container does not exist");
    container.executing_process(&process(&["true"])).output().refused_with(255).says("container does not exist");
}

// S1-03
#[test]
fn another_process_with_the_same_pid_is_not_entered() {
    let container = running("reuse");
    // The kernel counts beginnings in hundredths of a second.
    std::thread::sleep(std::time::Duration::from_millis(30));
    let bystander = running("bystander");
    container.kill("KILL").quietly();
    container.wait_for("stopped");

    // As if the pid had been given to somebody else in the meantime.
    let file = container.state_root().join(&container.id).join("state.json");
    let mut state: Value = serde_json::from_str(&fs::read_to_string(&file).expect("it is there")).expect("it is JSON");
    state["init_process_pid"] = json!(bystander.pid());
    fs::write(&file, state.to_string()).expect("it can be written");
    container.exec(["true"]).refused_with(255).says("cannot exec in a stopped container");
}

#[test]
fn name_can_not_be_a_path() {
    let container = running("name");
    let name = format!("../state/{}", container.id);
    container.call(["exec", &name, "true"]).output().refused_with(255).says("invalid container ID format");
}

/// Freeze a container, or let it go on, as `pause` and `resume` do.
fn freeze(container: &Container, freeze: bool) {
    let freezer = controller("freezer").expect("every view can freeze").cgroup_of(container.pid());
    let (file, value) = match (cgroup_v2(), freeze) {
        (true, true) => ("cgroup.freeze", "1"),
        (true, false) => ("cgroup.freeze", "0"),
        (false, true) => ("freezer.state", "FROZEN"),
        (false, false) => ("freezer.state", "THAWED"),
    };
    fs::write(freezer.join(file), value).expect("the freezer can be told");
    container.wait_for(if freeze { "paused" } else { "running" });
}

#[test]
fn paused_container_can_not_be_entered() {
    let container = running("paused");
    freeze(&container, true);
    container.exec(["true"]).refused_with(255).says("cannot exec in a paused container");
    container.executing(["--detach"], ["true"]).output().refused_with(255);
    assert_eq!(container.processes().len(), 1, "a process waits in the frozen cgroup");
    freeze(&container, false);
    container.exec(["echo", "fine"]).prints("fine\n");
}

#[test]
fn paused_container_can_be_entered_if_it_is_asked_for() {
    let container = running("paused");
    freeze(&container, true);
    let exec = container.executing(["--ignore-paused"], ["echo", "fine"]).spawn();
    thread::sleep(Duration::from_millis(300));
    assert_eq!(exec.stdout(), "", "it must wait until the container goes on");
    freeze(&container, false);
    exec.wait().prints("fine\n");
}

// ---- what can not be executed ----

/// `exec` fails with 255, and nothing stays: no process, and the container goes on.
#[track_caller]
fn fails(container: &Container, words: &[&str]) -> Output {
    let output = container.exec(words.iter().copied()).refused_with(255);
    wait_until("the failed process is gone", || container.processes().len() == 1);
    assert_eq!(container.status(), "running");
    output
}

// S4-09
#[test]
fn missing_program_is_named() {
    fails(&running("missing"), &["/no/such/tool"]).says("/no/such/tool").says("no such file or directory");
}

#[test]
fn program_that_is_not_in_the_path_is_named() {
    fails(&running("missing"), &["no-such-tool"]).says("no-such-tool").says("executable file not found in $PATH");
    fails(&running("missing"), &[""]);
}

#[test]
fn program_is_found_in_the_path_of_the_container() {
    let container = sleeping("path").program("opt/bin/tool", "#!/bin/sh\necho found\n").started();
    let call = container.executing([], ["tool"]).env("PATH", "/opt/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    call.output().refused_with(255).says("executable file not found in $PATH");
    container.executing(["--env", "PATH=/nowhere:/opt/bin:/bin"], ["tool"]).output().prints("found\n");
}

#[test]
fn program_without_execute_permission_is_refused() {
    let container = sleeping("mode").file("tool", "#!/bin/sh\n").started();
    fails(&container, &["/tool"]).says("/tool").says("permission denied");
}

#[test]
fn directory_is_not_a_program() {
    let refusal = fails(&running("directory"), &["/etc"]).says("/etc");
    assert!(
        refusal.stderr.contains("permission denied") || refusal.stderr.contains("is a directory"),
        "engines look for one of the two: {refusal:?}"
    );
}

#[test]
fn program_that_another_user_may_not_execute_is_refused() {
    let container = sleeping("mode").program("tool", "#!/bin/sh\necho fine\n").mode("tool", 0o700).started();
    let call = container.executing(["--user", "1000:1000"], ["/tool"]);
    call.output().refused_with(255).says("/tool").says("permission denied");
}

// S4-10
#[test]
fn interpreter_that_is_missing_is_an_error_of_exec() {
    let container = sleeping("interpreter").program("tool", "#!/no/such/shell foo\n").started();
    if differs("exec-learns-the-exec-error") {
        container.exec(["/tool"]).exits(1).says("exec /tool: no such file or directory");
        container.executing(["--detach"], ["/tool"]).output().ok();
    } else {
        fails(&container, &["/tool"]).says("exec /tool: no such file or directory");
        container.executing(["--detach"], ["/tool"]).output().refused_with(255).says("exec /tool: no such file");
    }
}

#[test]
fn format_that_is_unknown_is_an_error_of_exec() {
    let container = sleeping("format").program("tool", "neither ELF nor a script\n").started();
    if differs("exec-learns-the-exec-error") {
        container.exec(["/tool"]).exits(1).says("exec /tool: exec format error");
    } else {
        fails(&container, &["/tool"]).says("/tool").says("exec format error");
        container.executing(["--detach"], ["/tool"]).output().refused_with(255).says("exec format error");
    }
}

#[test]
fn detached_exec_learns_what_can_not_be_executed() {
    let container = running("detach");
    let file = container.outside("the.pid");
    let call = || container.call(["exec", "--detach", "--pid-file"]).arg(&file).args([&container.id]);
    call().arg("/no/such/tool").output().refused_with(255).says("/no/such/tool").says("no such file or directory");
    call().arg("no-such-tool").output().refused_with(255).says("executable file not found in $PATH");
    assert!(!file.exists(), "the number of a process that is no more");
}

#[test]
fn nothing_to_execute_is_refused() {
    let container = running("nothing");
    container.exec([]).refused_with(255).names("args");
    container.call(["exec"]).output().refused().says("exec").says("requires a minimum of 1 argument(s)");
}

#[test]
fn unknown_option_is_named() {
    running("unknown").executing(["--frobnicate"], ["true"]).output().refused().says("frobnicate");
}

// ---- detached ----

#[test]
fn detached_exec_comes_back_at_once() {
    for option in ["--detach", "-d", "--detach=true"] {
        let container = running("detach");
        container.executing([option], ["sleep", "1000"]).output().quietly();
        assert_eq!(container.processes().len(), 2);
    }
}

#[test]
fn detached_process_is_a_child_of_nobody() {
    let container = running("detach");
    let pid = container.detached_exec(["sleep", "1000"]);
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("it lives");
    assert_eq!(field(&status, "PPid"), "1");
}

#[test]
fn detached_process_may_be_given_by_a_file() {
    // As containerd and conmon call it.
    let container = sleeping("detach").writable().started();
    let file = container.outside("the.pid");
    let process = container.outside("the.json");
    let text = process_script("echo $$ > /tmp/inside; sleep 1000").to_string();
    fs::write(&process, text).expect("it can be written");
    let call = container.call(["exec", "--process"]).arg(&process).arg("--detach").arg("--pid-file").arg(&file);
    call.args([&container.id]).output().quietly();
    let pid = fs::read_to_string(&file).expect("it is written");
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("it lives");
    let inside = container.wait_for_file("tmp/inside");
    assert_eq!(field(&status, "NSpid").split_whitespace().next_back(), Some(inside.trim()));
}

#[test]
fn detached_process_outlives_its_runtime_and_not_its_container() {
    let container = running("detach");
    let pid = container.detached_exec(["sleep", "1000"]);
    assert!(exists(pid));
    container.delete_by_force().quietly();
    assert!(!exists(pid));
    container.leaves_nothing();
}

#[test]
fn deletion_by_force_ends_execs_without_a_pid_namespace() {
    let container = sleeping("detach").without_namespace("pid").started();
    let pid = container.detached_exec(["sleep", "1000"]);
    container.delete_by_force().exits(0);
    wait_until("it is killed", || !exists(pid));
    container.leaves_nothing();
}

// ---- pid file ----

// S1-02
#[test]
fn pid_file_holds_the_pid_and_no_more() {
    let container = running("pid");
    let pid = container.detached_exec(["sleep", "1000"]);
    assert_ne!(pid, container.pid());
    assert!(container.processes().contains(&pid));
    assert_eq!(container.state()["pid"], container.pid(), "state is about the first process");
    let text = fs::read_to_string(container.outside("detached.pid")).expect("it is written");
    assert_eq!(text, pid.to_string());
    // A reader never sees half of it.
    let hidden = fs::read_dir(container.outside("")).expect("it can be read").flatten();
    assert!(!hidden.into_iter().any(|entry| entry.file_name().to_string_lossy().contains(".detached.pid")));
}

#[test]
fn pid_file_is_written_in_the_foreground_too() {
    let container = running("pid");
    let home = container.outside("");
    fs::write(home.join("here.pid"), "something much longer than a number").expect("it can be written");
    let call = container.executing(["--pid-file", "here.pid"], ["sh", "-c", "exec cat /proc/self/status"]);
    let status = call.in_dir(&home).output().ok();
    let pid: i32 = fs::read_to_string(home.join("here.pid")).expect("it is written").parse().expect("a number");
    assert!(pid > 1);
    assert_ne!(pid.to_string(), field(&status, "NSpid"), "it is the pid outside");
}

#[test]
fn pid_file_that_can_not_be_written_is_an_error_and_nothing_is_left() {
    let container = running("pid");
    for detach in [&[][..], &["--detach"]] {
        let options = detach.iter().copied().chain(["--pid-file", "/no/such/directory/pid"]);
        let output = container.executing(options, ["sleep", "1000"]).output();
        output.refused_with(255).says("/no/such/directory");
        wait_until("the process is gone", || container.processes().len() == 1);
    }
}

// ---- what stays ----

/// What can be seen of a container from outside: files of its state, descriptors of its first process, its cgroups and
/// processes.
fn traces(container: &Container) -> Vec<String> {
    let pid = container.pid();
    let mut found = Vec::new();
    let state = container.state_root().join(&container.id);
    for entry in fs::read_dir(&state).expect("it is there").flatten() {
        found.push(format!("{}: {:?}", entry.path().display(), fs::metadata(entry.path()).map(|it| it.len()).ok()));
    }
    found.push(fs::read_to_string(state.join("state.json")).expect("it is there"));
    for entry in fs::read_dir(format!("/proc/{pid}/fd")).expect("it lives").flatten() {
        found.push(format!("{:?} {:?}", entry.file_name(), fs::read_link(entry.path()).ok()));
    }
    let cgroup = controller("freezer").expect("every view can freeze").cgroup_of(pid);
    for entry in fs::read_dir(cgroup).expect("it is there").flatten().filter(|entry| entry.path().is_dir()) {
        found.push(format!("{}", entry.path().display()));
    }
    found.extend(container.processes().into_iter().map(|pid| format!("process {pid}")));
    found.sort();
    found
}

// S1-12
#[test]
fn exec_leaves_nothing_behind() {
    let container = running("traces");
    let before = traces(&container);
    for words in [&["true"][..], &["/no/such/tool"], &["sh", "-c", "kill -KILL $$"], &["sh", "-c", "sh -c 'exit 1'"]] {
        let _ = container.exec(words.iter().copied());
        let _ = container.executing(["--detach"], words.iter().copied()).output();
        let _ = container.executing(["--user", "1000"], words.iter().copied()).output();
        let _ = container.executing(["--cwd", "/no/such/directory"], words.iter().copied()).output();
        let _ = container.executing_process(&process(words)).output();
    }
    wait_until("all have ended", || container.processes().len() == 1);
    assert_eq!(traces(&container), before);
    // A zombie would be a child of the container's first process, which waits for nobody.
    let inside = container.exec_script("for it in /proc/[0-9]*; do echo ${it#/proc/}; done; echo own $$").ok();
    let own = inside.lines().find_map(|line| line.strip_prefix("own ")).expect("it says so");
    let others: Vec<_> = inside.lines().filter(|&line| line != own && !line.starts_with("own")).collect();
    assert_eq!(others, ["1"]);
}

// S1-09
#[test]
fn runtime_that_is_killed_while_it_enters_leaves_nothing_but_the_program() {
    let container = running("torn");
    for round in 0..24 {
        let exec = container.executing([], ["sleep", "1000"]).spawn();
        thread::sleep(Duration::from_micros(500) * round);
        exec.signal(Signal::KILL);
        let _ = exec.wait();
    }
    // Whatever is there is the program, or ends by itself: no half of a runtime waits in the container.
    let half = || {
        let others = container.processes().into_iter().filter(|&pid| pid != container.pid());
        others.filter(|pid| fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default() != "sleep\n").count()
    };
    wait_until("only programs are left", || half() == 0);
    container.exec(["echo", "fine"]).prints("fine\n");
    container.delete_by_force().exits(0);
    container.leaves_nothing();
}

/// CVE-2016-9962: a process that enters can be looked into before it has let go of what is the host's.
#[test]
fn container_can_not_look_into_what_enters() {
    let container = Container::new("peep").writable().script(
        "while [ ! -e /tmp/end ]; do
            for it in /proc/[0-9]*; do
                [ $it = /proc/1 ] && continue
                { readlink $it/exe; readlink $it/root; readlink $it/cwd; readlink $it/fd/*; cat $it/maps; } 2>/dev/null
            done
        done > /tmp/seen; echo end > /tmp/done",
    );
    let container = container.started();
    for _ in 0..100 {
        container.executing([], ["true"]).output().quietly();
    }
    container.write("tmp/end", "");
    container.wait_for_file("tmp/done");
    let seen = fs::read_to_string(container.rootfs().join("tmp/seen")).expect("it is written");
    let runtime = runtime_path().to_string_lossy();
    let state = container.state_root().to_string_lossy();
    for line in seen.lines() {
        let host = line.contains(&*runtime) || line.contains(&*state) || line.contains("memfd:");
        assert!(!host, "it has seen {line}");
    }
}

// ---- many ----

/// How many times something is done that is to be done often. `RT_TEST_EXECS=1000` is the long form.
fn times(usual: usize) -> usize {
    env::var("RT_TEST_EXECS").ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}

#[test]
fn many_execs_one_after_the_other_are_all_done() {
    let container = running("many");
    let before = traces(&container);
    for round in 0..times(200) {
        let word = round.to_string();
        container.exec(["echo", word.as_str()]).prints(&format!("{round}\n"));
    }
    assert_eq!(traces(&container), before);
}

#[test]
fn many_execs_at_once_are_all_done() {
    let container = running("many");
    let before = traces(&container);
    for _ in 0..times(50).div_ceil(50) {
        let execs: Vec<Running> = (0..50)
            .map(|number| {
                let text = format!("echo {number}; exit {number}");
                container.executing([], ["sh", "-c", text.as_str()]).spawn()
            })
            .collect();
        for (number, exec) in (0..).zip(execs) {
            let output = exec.wait().exits(number);
            assert_eq!(output.stdout, format!("{number}\n"));
        }
    }
    assert_eq!(traces(&container), before);
}

#[test]
fn many_detached_execs_are_all_there() {
    let container = sleeping("many").writable().started();
    let execs: Vec<Running> = (0..30)
        .map(|number| {
            let text = format!("echo {number} > /tmp/{number}; sleep 1000");
            container.executing(["--detach"], ["sh", "-c", text.as_str()]).spawn()
        })
        .collect();
    for exec in execs {
        exec.wait().quietly();
    }
    for number in 0..30 {
        assert_eq!(container.wait_for_file(&format!("tmp/{number}")), format!("{number}\n"));
    }
    container.delete_by_force().exits(0);
    container.leaves_nothing();
}

#[test]
fn exec_while_the_container_ends_is_refused_or_killed() {
    for _ in 0..8 {
        let container = Container::new("ending").script("exec sleep 0.05").started();
        let execs: Vec<Running> = (0..6).map(|_| container.executing([], ["sleep", "1000"]).spawn()).collect();
        for exec in execs {
            let output = exec.wait();
            assert!(matches!(output.code, 137 | 255), "{output:?}");
        }
        container.wait_for("stopped");
        container.delete().exits(0);
        container.leaves_nothing();
    }
}

#[test]
fn file_modes_of_the_state_are_unchanged() {
    let container = running("state");
    let mode = || {
        let directory = container.state_root().join(&container.id);
        fs::metadata(directory.join("state.json")).expect("it is there").permissions().mode()
    };
    let before = mode();
    container.exec(["true"]).quietly();
    assert_eq!(mode(), before);
    assert_eq!(mode() & 0o077, 0, "others may read it");
}
