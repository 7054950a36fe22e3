//! The drop-in checklist: what callers of runc take for granted, one test each. Other files say more about most of it.

use std::{
    fs::{self, OpenOptions},
    io::Write,
    os::unix::fs::{PermissionsExt, symlink},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use runtime_tests::{Container, Output, differs, is_runc, require, runtime_path, wait_until};
use rustix::process::Signal;
use serde_json::{Value, json};

/// A container whose first process sleeps.
fn sleeping(name: &str) -> Container {
    Container::new(name).args(["sleep", "1000"])
}

fn process_json(container: &Container, words: &[&str]) -> String {
    let file = container.outside("process.json");
    let process = json!({ "args": words, "cwd": "/", "env": ["PATH=/bin"] });
    fs::write(&file, process.to_string()).expect("it can be written");
    file.to_string_lossy().into_owned()
}

#[test]
fn d01_long_options_may_have_one_dash() {
    // go-runc writes -no-subreaper.
    let container = sleeping("d01");
    let _ = container.creating("create");
    let bundle = container.bundle();
    let pid_file = container.outside("the.pid");
    let root = container.state_root();
    let call = container.bare_call().arg("-root").arg(root).args(["-log-format", "json", "create", "-bundle"]);
    let call = call.arg(&bundle).arg("-pid-file").arg(&pid_file).args(["-no-new-keyring", &container.id]);
    call.output().quietly();
    assert_eq!(fs::read_to_string(&pid_file).expect("it is written"), container.pid().to_string());
    container.start().quietly();
    let process = process_json(&container, &["true"]);
    container.executing(["-detach", "-process", &process], []).output().quietly();
    container.executing(["-cwd", "/bin", "-no-new-privs"], ["pwd"]).output().prints("/bin\n");
    container.call(["delete", "-force", &container.id]).output().quietly();
    Container::new("d01").option("-no-subreaper").args(["echo", "fine"]).run().prints("fine\n");
}

#[test]
fn d02_value_may_follow_a_space_or_an_equals_sign() {
    let container = sleeping("d02");
    let _ = container.creating("create");
    let bundle = container.bundle().to_string_lossy().into_owned();
    let root = container.state_root().to_string_lossy().into_owned();
    for spelling in [
        vec![format!("--root={root}"), "create".into(), format!("--bundle={bundle}")],
        vec!["--root".into(), root.clone(), "create".into(), "--bundle".into(), bundle.clone()],
        vec![format!("--root={root}"), "create".into(), format!("-b={bundle}")],
        vec![format!("--root={root}"), "create".into(), "-b".into(), bundle.clone()],
    ] {
        container.bare_call().args(spelling).arg(&container.id).output().quietly();
        container.executing(["--cwd=/bin"], ["pwd"]).output().prints("/bin\n");
        container.executing(["--cwd", "/bin"], ["pwd"]).output().prints("/bin\n");
        container.executing(["--env=A=b=c"], ["sh", "-c", "echo $A"]).output().prints("b=c\n");
        container.executing(["-e", "A=b=c"], ["sh", "-c", "echo $A"]).output().prints("b=c\n");
        container.call(["delete", "--force=true", &container.id]).output().quietly();
    }
}

#[test]
fn d03_options_stand_before_and_after_the_command() {
    // Those of the runtime before it, its own after it; after the first word of exec all belongs to the program.
    let container = sleeping("d03").global("--log-format").global("json").option("--no-new-keyring").started();
    container.executing(["--cwd", "/bin"], ["pwd"]).output().prints("/bin\n");
    container.exec(["echo", "--cwd", "/bin", "--log-format"]).prints("--cwd /bin --log-format\n");
    container.call(["kill", "--all", &container.id, "KILL"]).output().quietly();
    container.wait_for("stopped");
    container.call(["delete", &container.id, "--force"]).output().quietly();
}

#[test]
fn d04_dash_is_standard_input() {
    let container = sleeping("d04").started();
    let process = process_json(&container, &["echo", "from standard input"]);
    let exec = container.executing(["--process", "-"], []).stdin(process).output();
    if differs("process-from-standard-input") {
        exec.refused_with(255);
    } else {
        exec.prints("from standard input\n");
    }
}

#[test]
fn d05_pid_file_is_never_half_written() {
    // containerd watches the directory, and reads what appears under the name.
    let container = sleeping("d05");
    let file = container.outside("the.pid");
    let container = container.option("--pid-file").option(&file.to_string_lossy());
    let create = container.creating("create").spawn();
    let mut first = None;
    wait_until("it appears", || {
        first = fs::read_to_string(&file).ok();
        first.is_some()
    });
    create.wait().quietly();
    assert_eq!(first, Some(container.pid().to_string()));
    assert_eq!(fs::read_to_string(&file).expect("it is there"), container.pid().to_string());
    container.start().quietly();

    // An old one is replaced: whoever has it open goes on reading the old.
    let other = container.outside("exec.pid");
    fs::write(&other, "old").expect("it can be written");
    let opened = fs::File::open(&other).expect("it is there");
    let option = format!("--pid-file={}", other.display());
    container.executing(["--detach", &option], ["sleep", "1000"]).output().quietly();
    assert_eq!(std::io::read_to_string(opened).expect("it can be read"), "old");
    let pid: i32 = fs::read_to_string(&other).expect("it is there").parse().expect("a number");
    assert!(container.processes().contains(&pid));
}

#[test]
fn d06_success_is_silent() {
    let container = sleeping("d06");
    container.create().quietly();
    container.start().quietly();
    container.exec(["true"]).quietly();
    container.executing(["--detach"], ["true"]).output().quietly();
    container.kill("0").quietly();
    container.kill("KILL").quietly();
    container.wait_for("stopped");
    container.delete().quietly();
    container.delete_by_force().quietly();
    Container::new("d06").args(["true"]).run().quietly();
}

#[test]
fn d07_log_of_a_failure_is_one_object() {
    // podman reads the whole file as one; containerd takes the last line whose level is error.
    let calls: [fn(&Container) -> Output; 5] = [
        |container| container.exec(["/no/such/tool"]).refused_with(255),
        |container| container.exec(["true"]).refused_with(255),
        |container| container.start().refused(),
        |container| container.kill("NOPE").refused(),
        |container| container.call(["state", "nobody"]).output().refused(),
    ];
    for (number, call) in calls.into_iter().enumerate() {
        let container = sleeping("d07");
        let log = container.outside("log.json");
        let container = container.global("--log").global(&log.to_string_lossy()).global("--log-format=json");
        if number != 1 {
            container.create().quietly();
            container.start().quietly();
        }
        let output = call(&container);
        let text = fs::read_to_string(&log).expect("it is written");
        let entry: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
        assert_eq!(entry["level"], "error");
        let message = entry["msg"].as_str().expect("a text");
        // The same is on standard error, for who keeps no log.
        assert!(output.stderr.contains(message) || is_runc(), "{message} is not in {output:?}");
        let time = entry["time"].as_str().expect("a text");
        assert!(time.len() >= 20 && time.as_bytes()[10] == b'T' && time.ends_with(|it: char| it.is_ascii()), "{time}");
    }
}

#[test]
fn d08_errors_have_the_words_that_callers_look_for() {
    let container = Container::new("d08").args(["no-such-tool"]);
    container.create().refused().says("executable file not found in $PATH");
    let container = Container::new("d08").args(["/no/such/tool"]);
    container.create().refused().says("no such file or directory");
    let container = Container::new("d08").file("tool", "").args(["/tool"]);
    container.create().refused().says("permission denied");

    let container = sleeping("d08");
    container.call(["state", &container.id]).output().refused().says("does not exist");
    container.call(["kill", &container.id]).output().refused().says("does not exist");
    container.call(["delete", &container.id]).output().refused().says("does not exist");
    container.exec(["true"]).refused_with(255).says("does not exist");
    container.call(["state", "a/b"]).output().refused().says("invalid container ID format");
    container.create().quietly();
    container.creating("create").output().refused().says("container with given ID already exists");
    container.start().quietly();
    container.start().refused().says("cannot start an already running container");
    let words = format!("cannot delete container {} that is not stopped: running", container.id);
    container.delete().refused().says(&words);
    container.exec(["no-such-tool"]).refused_with(255).says("executable file not found in $PATH");
    container.exec(["/no/such/tool"]).refused_with(255).says("no such file or directory");
    container.kill("KILL").quietly();
    container.wait_for("stopped");
    // CRI-O looks for small letters.
    container.kill("TERM").refused().says("container not running");
    container.start().refused().says("cannot start a container that has stopped");
    container.exec(["true"]).refused_with(255).says("cannot exec in a stopped container");
}

#[test]
fn d09_log_is_appended_to_and_made_if_it_is_missing() {
    let container = Container::new("d09");
    let log = container.outside("log");
    let state = || container.call(["--log", &log.to_string_lossy(), "state", "nobody"]);
    state().through("umask 0; exec \"$@\"").output().refused();
    assert_eq!(fs::metadata(&log).expect("it is made").permissions().mode() & 0o7777, 0o644);
    state().output().refused();
    assert_eq!(fs::read_to_string(&log).expect("it is there").lines().count(), 2);
    // Whoever else writes to it loses nothing.
    let mut other = OpenOptions::new().append(true).open(&log).expect("it is there");
    other.write_all(b"a line of another\n").expect("it can be written");
    state().output().refused();
    let text = fs::read_to_string(&log).expect("it is there");
    assert_eq!(text.lines().nth(2), Some("a line of another"));
    assert_eq!(text.lines().count(), 4);
    // A link is followed, a pipe is written to.
    let link = container.outside("link");
    symlink(&log, &link).expect("a link can be made");
    container.call(["--log", &link.to_string_lossy(), "state", "nobody"]).output().refused();
    assert_eq!(fs::read_to_string(&log).expect("it is there").lines().count(), 5);
    container.call(["--log", "/dev/null", "state", "nobody"]).output().refused();
}

#[test]
fn d09_log_is_written_through_to_the_disk() {
    // The last line before a machine goes down is the one that is looked for.
    let container = Container::new("d09").script("echo ready; sleep 1000");
    let log = container.outside("log");
    let container = container.global("--log").global(&log.to_string_lossy());
    let foreground = container.spawn();
    foreground.wait_for("ready\n");
    let directory = format!("/proc/{}", foreground.pid());
    let descriptor = fs::read_dir(format!("{directory}/fd"))
        .expect("it lives")
        .flatten()
        .find(|entry| fs::read_link(entry.path()).is_ok_and(|target| target == log));
    let flags = descriptor.map(|entry| {
        let number = entry.file_name().to_string_lossy().into_owned();
        let info = fs::read_to_string(format!("{directory}/fdinfo/{number}")).expect("it is open");
        let flags = info.lines().find_map(|line| line.strip_prefix("flags:")).expect("it has flags").trim().to_owned();
        u32::from_str_radix(&flags, 8).expect("an octal number")
    });
    container.kill("KILL").quietly();
    foreground.wait().exits(137);
    require!(flags.is_some(), "this runtime does not keep its log open");
    let flags = flags.expect("it is open");
    assert_eq!(flags & 0o2000, 0o2000, "O_APPEND");
    assert_eq!(flags & 0o4_010_000, 0o4_010_000, "O_SYNC");
}

#[test]
fn d10_delete_by_force_can_be_repeated() {
    let container = sleeping("d10").started();
    container.delete_by_force().quietly();
    container.delete_by_force().quietly();
    container.call(["delete", "-f", &container.id]).output().quietly();
    container.delete().refused().says("does not exist");
    container.leaves_nothing();
}

#[test]
fn d11_signals_have_names_and_numbers() {
    let script = "trap 'echo TERM' TERM; trap 'echo RTMIN+1' 35; echo ready; while :; do sleep 0.02; done";
    let container = Container::new("d11").script(script);
    let foreground = container.spawn();
    foreground.wait_for("ready\n");
    let expect = |signal: &str, word: &str| {
        let before = foreground.stdout().matches(word).count();
        container.kill(signal).quietly();
        wait_until(signal, || foreground.stdout().matches(word).count() == before + 1);
    };
    for signal in ["TERM", "SIGTERM", "15", "term"] {
        expect(signal, "TERM\n");
    }
    expect("35", "RTMIN+1\n");
    if !differs("real-time-signal-names") {
        expect("RTMIN+1", "RTMIN+1\n");
        expect("SIGRTMIN+1", "RTMIN+1\n");
    }
    container.kill("KILL").quietly();
    foreground.wait().exits(137);
}

#[test]
fn d12_state_of_a_container_in_the_making_is_creating_or_not_there() {
    let container = sleeping("d12");
    let hook = json!({ "path": "/bin/sh", "args": ["sh", "-c", "sleep 0.5"] });
    let container = container.edit(|config| config["hooks"] = json!({ "createRuntime": [hook] }));
    let create = container.creating("create").spawn();
    let started = Instant::now();
    let mut asked = 0;
    while started.elapsed() < Duration::from_millis(350) {
        let before = Instant::now();
        let state = container.call(["state", &container.id]).output();
        assert!(before.elapsed() < Duration::from_millis(300), "it waits for the creation");
        if state.code == 0 {
            let text = state.ok();
            let state: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
            assert_eq!(state["status"], "creating", "{text}");
        } else {
            state.refused().says("does not exist");
        }
        // And nobody else stumbles over it.
        container.call(["list"]).output().ok();
        asked += 1;
    }
    assert!(asked > 2, "asked {asked} times");
    create.wait().quietly();
    assert_eq!(container.status(), "created");
}

#[test]
fn d13_streams_may_be_closed() {
    for closed in ["<&-", ">&-", "2>&-", "<&- >&-", "<&- >&- 2>&-"] {
        let text = format!("exec \"$@\" {closed}");
        let container = sleeping("d13").through(&text);
        assert_eq!(container.creating("create").output().code, 0, "create with {closed}");
        assert_eq!(container.call(["start", &container.id]).through(&text).output().code, 0, "start with {closed}");
        let exec = container.executing([], ["sh", "-c", "exit 7"]).through(&text).output();
        assert_eq!(exec.code, 7, "exec with {closed}: {exec:?}");
        let exec = container.executing(["--detach"], ["true"]).through(&text).output();
        assert_eq!(exec.code, 0, "exec --detach with {closed}: {exec:?}");
        for words in [&["state", &container.id][..], &["list"], &["kill", &container.id, "KILL"]] {
            let code = container.call(words.iter().copied()).through(&text).output().code;
            // What can't be printed may be an error.
            assert!(code == 0 || closed.contains(">&-") && code == 1, "{words:?} with {closed}: {code}");
        }
        container.wait_for("stopped");
        assert_eq!(container.call(["delete", &container.id]).through(&text).output().code, 0, "delete with {closed}");
    }
}

#[test]
fn d14_working_directory_may_be_gone() {
    let container = sleeping("d14");
    let gone = container.outside("gone");
    let text = format!("mkdir {0} && cd {0} && rmdir {0} && exec \"$@\"", gone.display());
    let container = container.through(&text);
    container.create().quietly();
    let call = |words: &[&str]| container.call(words.iter().copied()).through(&text).output();
    call(&["start", &container.id]).quietly();
    call(&["exec", &container.id, "pwd"]).prints("/\n");
    call(&["exec", "--cwd", "/bin", &container.id, "pwd"]).prints("/bin\n");
    let process = process_json(&container, &["echo", "fine"]);
    call(&["exec", "--process", &process, &container.id]).prints("fine\n");
    call(&["state", &container.id]).ok();
    call(&["kill", &container.id, "KILL"]).quietly();
    container.wait_for("stopped");
    call(&["delete", &container.id]).quietly();
}

#[test]
fn d15_what_a_killed_runtime_leaves_is_deleted_by_force() {
    // containerd kills it when its own time is up.
    let started = Instant::now();
    drop(sleeping("d15").started());
    let whole = started.elapsed();
    for round in 0..12 {
        let container = sleeping("d15");
        let create = container.creating("create").spawn();
        thread::sleep(whole * round / 12);
        create.signal(Signal::KILL);
        let _ = create.wait();
        container.delete_by_force().exits(0);
        if differs("killed-while-creating") {
            let _ = container.may_leave_something();
        } else {
            container.leaves_nothing();
        }
    }
}

#[test]
fn d16_subreaper_is_told_of_the_end_of_its_container() {
    // As containerd's shim and conmon: they call create, which ends, and are the parent of the container from then on.
    let container = Container::new("d16").script("exit 7");
    let shim = container
        .creating("create")
        .program(env!("CARGO_BIN_EXE_shim"))
        .through(&format!("set -- \"$1\" '{}' \"${{@:2}}\"; exec \"$@\"", runtime_path().display()));
    let shim = shim.spawn();
    shim.wait_for("called 0\n");
    let pid = container.pid();
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("it lives");
    assert!(status.contains(&format!("\nPPid:\t{}\n", shim.pid())), "{status}");
    container.start().quietly();
    let output = shim.wait().ok();
    assert_eq!(output, format!("called 0\n{pid} 7\n"));
    container.wait_for("stopped");
}

#[test]
fn d16_subreaper_is_told_of_the_end_of_a_detached_exec() {
    let container = sleeping("d16").started();
    let file = container.outside("the.pid");
    let option = format!("--pid-file={}", file.display());
    let call = container.executing(["--detach", &option], ["sh", "-c", "while :; do sleep 0.02; done"]);
    let shim = call
        .program(env!("CARGO_BIN_EXE_shim"))
        .through(&format!("set -- \"$1\" '{}' \"${{@:2}}\"; exec \"$@\"", runtime_path().display()));
    let shim = shim.spawn();
    shim.wait_for("called 0\n");
    let pid = fs::read_to_string(&file).expect("it is written");
    let killed = Command::new("kill").args(["-TERM", &pid]).status().expect("kill can be run");
    assert!(killed.success());
    assert_eq!(shim.wait().ok(), format!("called 0\n{pid} 143\n"));
}

#[test]
fn d17_runtime_may_be_called_through_a_link_with_any_name() {
    let container = sleeping("d17");
    for name in ["runc", "crun", "docker-runc", "another name"] {
        let link = container.outside(name);
        symlink(runtime_path(), &link).expect("a link can be made");
        let call = |words: &[&str]| container.call(words.iter().copied()).program(&link).output();
        container.creating("create").program(&link).output().quietly();
        call(&["start", &container.id]).quietly();
        call(&["exec", &container.id, "echo", "fine"]).prints("fine\n");
        call(&["delete", "--force", &container.id]).quietly();
        container.leaves_nothing();
    }
    // A shell script in between, as docker makes one for a runtime with arguments.
    let script = container.outside("script");
    let text = format!("#!/bin/sh\n{} $@\n", runtime_path().display());
    fs::write(&script, text).expect("it can be written");
    container
        .creating("create")
        .program("sh")
        .through(&format!("exec sh {} \"${{@:2}}\"", script.display()))
        .output()
        .quietly();
    assert_eq!(container.status(), "created");
}
