//! From creating to stopped: the state table, what each command says about it, and what is left when somebody dies on
//! the way.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    thread,
    time::{Duration, Instant},
};

use runtime_tests::{Container, Running, cgroup_v2, controller, differs, newer_than_this_runc, wait_until};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

/// Does a process with this pid live?
fn exists(pid: i32) -> bool {
    // A zombie has ended; who reaps it when is not the runtime's.
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

fn process(pid: i32) -> Pid {
    Pid::from_raw(pid).expect("a pid is above zero")
}

/// A container that has been created.
fn created(name: &str) -> Container {
    let container = Container::new(name).args(["sleep", "1000"]);
    container.create().quietly();
    container
}

/// A container that runs.
fn running(name: &str) -> Container {
    let container = created(name);
    container.start().quietly();
    container
}

/// A container that has run.
fn stopped(name: &str) -> Container {
    let container = Container::new(name).args(["true"]);
    container.create().quietly();
    container.start().quietly();
    container.wait_for("stopped");
    container
}

// ---- the walk ----

#[test]
fn container_is_created_then_running_then_stopped_then_gone() {
    let container = Container::new("walk").writable().script("echo begun > /tmp/begun; cat /tmp/end; sleep 1000");

    container.create().quietly();
    assert_eq!(container.status(), "created");
    assert!(!container.rootfs().join("tmp/begun").exists(), "it must not run before start");
    let pid = container.pid();
    assert!(exists(pid));

    container.start().quietly();
    assert_eq!(container.status(), "running");
    assert_eq!(container.pid(), pid);
    assert_eq!(container.wait_for_file("tmp/begun"), "begun\n");

    container.kill("KILL").quietly();
    container.wait_for("stopped");
    assert_eq!(container.pid(), 0);

    container.delete().quietly();
    container.call(["state", &container.id]).output().refused().says("does not exist");
    container.leaves_nothing();
}

#[test]
fn waiting_container_is_a_child_of_nobody() {
    let container = created("orphan");
    let status = fs::read_to_string(format!("/proc/{}/status", container.pid())).expect("it lives");
    assert!(status.contains("\nPPid:\t1\n"), "its parent is not process 1: {status}");
}

#[test]
fn container_outlives_the_process_that_started_it() {
    let container = Container::new("outlive").args(["sleep", "1000"]);
    let foreground = container.spawn();
    wait_until("it runs", || container.call(["state", &container.id]).output().stdout.contains("running"));
    foreground.signal(Signal::KILL);
    foreground.wait().exits(137);
    assert_eq!(container.status(), "running");
    container.delete_by_force().quietly();
    container.leaves_nothing();
}

#[test]
fn other_containers_are_left_alone() {
    let one = running("neighbour");
    let two = running("neighbour");
    two.delete_by_force().quietly();
    assert_eq!(one.status(), "running");
}

// ---- state ----

#[test]
fn state_has_the_keys_the_order_and_the_layout_that_others_parse() {
    let container = Container::new("state")
        .edit(|config| config["annotations"] = json!({ "b.example/two": "2", "a.example/one": "1" }))
        .args(["sleep", "1000"]);
    container.create().quietly();
    let text = container.call(["state", &container.id]).output().ok();
    let state: Value = serde_json::from_str(&text).expect("it is JSON");
    let (pid, created, version) = (&state["pid"], &state["created"], &state["ociVersion"]);
    let (id, bundle) = (&container.id, container.bundle());
    let bundle = bundle.display();
    let expected = format!(
        "{{
  \"ociVersion\": {version},
  \"id\": \"{id}\",
  \"pid\": {pid},
  \"status\": \"created\",
  \"bundle\": \"{bundle}\",
  \"rootfs\": \"{bundle}/rootfs\",
  \"created\": {created},
  \"annotations\": {{
    \"a.example/one\": \"1\",
    \"b.example/two\": \"2\"
  }},
  \"owner\": \"\"
}}"
    );
    assert_eq!(text, expected);
    assert!(version.as_str().is_some_and(|version| version.starts_with("1.")), "{version}");
}

#[test]
fn state_without_annotations_has_no_such_key() {
    let container = created("state");
    assert_eq!(container.state().get("annotations"), None);
}

#[test]
fn created_is_a_time_in_utc_that_stays() {
    let container = created("time");
    let before = container.state()["created"].clone();
    let text = before.as_str().expect("a string").to_owned();
    // 2026-11-22T03:50:18.033506497Z, without trailing zeros.
    let (date, time) = text.strip_suffix('Z').and_then(|text| text.split_once('T')).expect("an RFC 3339 time in UTC");
    assert_eq!(date.len(), 10, "{text}");
    assert_eq!(time.split('.').next().map(str::len), Some(8), "{text}");
    assert!(!time.contains('.') || !time.ends_with('0'), "trailing zeros: {text}");
    container.start().quietly();
    assert_eq!(container.state()["created"], before);
}

#[test]
fn state_of_a_stopped_container_has_pid_zero() {
    let container = stopped("state");
    let state = container.state();
    assert_eq!(state["status"], "stopped");
    assert_eq!(state["pid"], 0);
}

#[test]
fn state_survives_the_loss_of_the_bundle() {
    let container = running("state");
    fs::remove_file(container.bundle().join("config.json")).expect("it is there");
    assert_eq!(container.status(), "running");
    container.kill("KILL").quietly();
    container.wait_for("stopped");
    container.delete().quietly();
}

#[test]
fn frozen_container_is_paused() {
    let container = running("frozen");
    let freezer = controller("freezer").expect("every view can freeze").cgroup_of(container.pid());
    let freeze = |freeze: bool| {
        let (file, value) = match (cgroup_v2(), freeze) {
            (true, true) => ("cgroup.freeze", "1"),
            (true, false) => ("cgroup.freeze", "0"),
            (false, true) => ("freezer.state", "FROZEN"),
            (false, false) => ("freezer.state", "THAWED"),
        };
        fs::write(freezer.join(file), value).expect("the freezer can be told");
    };
    freeze(true);
    container.wait_for("paused");
    container.delete().refused().says("that is not stopped: paused");
    container.start().refused();
    freeze(false);
    container.wait_for("running");
    freeze(true);
    container.wait_for("paused");
    container.delete_by_force().quietly();
    container.leaves_nothing();
}

#[test]
fn dead_container_that_nobody_has_waited_for_is_stopped() {
    let container = Container::new("zombie").args(["sleep", "1000"]);
    let foreground = container.spawn();
    wait_until("it runs", || container.call(["state", &container.id]).output().stdout.contains("running"));
    let pid = container.pid();
    foreground.signal(Signal::STOP);
    kill_process(process(pid), Signal::KILL).expect("it lives");
    let stat = || fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    wait_until("it is a zombie", || stat().contains(") Z "));
    assert_eq!(container.status(), "stopped");
    container.kill("KILL").refused().says("container not running");
    foreground.signal(Signal::CONT);
    foreground.wait().exits(137);
}

// ---- what is refused when ----

#[test]
fn name_can_not_be_taken_twice() {
    let container = created("twice");
    let pid = container.pid();
    container.creating("create").output().refused().says("container with given ID already exists");
    container.creating("run").output().refused().says("container with given ID already exists");
    assert_eq!(container.status(), "created");
    assert_eq!(container.pid(), pid);
    container.start().quietly();
}

#[test]
fn only_one_of_two_that_create_the_same_name_succeeds() {
    let container = Container::new("race").args(["sleep", "1000"]);
    if differs("races") {
        return;
    }
    let racers: Vec<Running> = (0..4).map(|_| container.creating("create").spawn()).collect();
    let codes: Vec<i32> = racers.into_iter().map(|racer| racer.wait().code).collect();
    assert_eq!(codes.iter().filter(|&&code| code == 0).count(), 1, "{codes:?}");
    assert_eq!(container.status(), "created");
    container.start().quietly();
    container.delete_by_force().quietly();
    container.leaves_nothing();
}

#[test]
fn only_one_of_two_starts_succeeds() {
    let container = created("race");
    if differs("races") {
        return;
    }
    let racers: Vec<Running> = (0..4).map(|_| container.call(["start", &container.id]).spawn()).collect();
    let codes: Vec<i32> = racers.into_iter().map(|racer| racer.wait().code).collect();
    assert_eq!(codes.iter().filter(|&&code| code == 0).count(), 1, "{codes:?}");
    assert_eq!(container.status(), "running");
}

#[test]
fn running_container_can_not_be_started() {
    running("started").start().refused().says("cannot start an already running container");
}

#[test]
fn stopped_container_can_not_be_started() {
    stopped("started").start().refused().says("cannot start a container that has stopped");
}

#[test]
fn container_that_was_killed_before_start_can_not_be_started() {
    let container = created("killed");
    container.kill("KILL").quietly();
    container.wait_for("stopped");
    container.start().refused().says("cannot start a container that has stopped");
}

#[test]
fn running_container_can_not_be_deleted() {
    let container = running("kept");
    let words = format!("cannot delete container {} that is not stopped: running", container.id);
    container.delete().refused().says(&words);
    assert_eq!(container.status(), "running");
}

#[test]
fn created_container_can_be_deleted() {
    let container = created("unstarted");
    let pid = container.pid();
    container.delete().quietly();
    assert!(!exists(pid));
    container.leaves_nothing();
}

#[test]
fn stopped_container_can_not_be_killed() {
    let container = stopped("dead");
    container.kill("TERM").refused().says("container not running");
    container.call(["kill", &container.id]).output().refused().says("container not running");
    container.kill("0").refused().says("container not running");
}

#[test]
fn stopped_container_can_be_killed_with_all() {
    // containerd does so on its way to delete.
    let container = stopped("dead");
    container.call(["kill", "--all", &container.id, "KILL"]).output().quietly();
    container.call(["kill", "-a", &container.id, "9"]).output().quietly();
}

#[test]
fn unknown_name_does_not_exist() {
    let container = Container::new("unknown");
    for command in ["start", "state", "delete", "kill"] {
        container.call([command, &container.id]).output().refused().says("does not exist");
    }
}

#[test]
fn container_of_another_root_does_not_exist() {
    let container = created("elsewhere");
    let other = Container::new("elsewhere");
    other.call(["state", &container.id]).output().refused().says("does not exist");
    other.call(["delete", "--force", &container.id]).output().quietly();
    assert_eq!(container.status(), "created");
}

// ---- run ----

#[test]
fn run_exits_as_the_container_does() {
    for code in [0, 1, 7, 255] {
        let container = Container::new("exit").script(&format!("exit {code}"));
        let output = container.run().exits(code);
        assert_eq!((output.stdout, output.stderr), (String::new(), String::new()));
    }
}

#[test]
fn run_exits_with_128_and_the_signal() {
    let container = Container::new("signal").without_namespace("pid").script("kill -TERM $$; sleep 1000");
    container.run().exits(128 + 15);
    let container = Container::new("signal").args(["sleep", "1000"]);
    let foreground = container.spawn();
    wait_until("it runs", || container.call(["state", &container.id]).output().stdout.contains("running"));
    container.kill("KILL").quietly();
    foreground.wait().exits(137);
    container.leaves_nothing();
}

#[test]
fn run_forwards_signals() {
    for (signal, name) in [
        (Signal::HUP, "HUP"),
        (Signal::INT, "INT"),
        (Signal::QUIT, "QUIT"),
        (Signal::USR1, "USR1"),
        (Signal::USR2, "USR2"),
        (Signal::TERM, "TERM"),
    ] {
        let container = Container::new("forward")
            .script(&format!("trap 'echo got {name}; exit 42' {name}; echo ready; while :; do sleep 0.02; done"));
        let foreground = container.spawn();
        foreground.wait_for("ready\n");
        foreground.signal(signal);
        let output = foreground.wait().exits(42);
        assert_eq!(output.stdout, format!("ready\ngot {name}\n"));
        container.leaves_nothing();
    }
}

#[test]
fn run_forwards_no_signal_that_is_about_itself() {
    let container = Container::new("forward").script(
        "trap 'echo CHLD from outside' CHLD; trap 'echo WINCH' WINCH; trap 'exit 0' TERM; \
         echo ready; while :; do read -t 1 nothing < /dev/zero; done",
    );
    let foreground = container.spawn();
    foreground.wait_for("ready\n");
    foreground.signal(Signal::CHILD);
    foreground.signal(Signal::WINCH);
    foreground.signal(Signal::TERM);
    let output = foreground.wait();
    assert!(!output.stdout.contains("CHLD"), "{output:?}");
}

#[test]
fn run_leaves_no_process_without_a_pid_namespace() {
    let container = Container::new("rest").without_namespace("pid").script("sleep 1000 & sleep 1000 & exit 3");
    container.run().exits(3);
    wait_until("all are gone", || container.processes().is_empty());
}

#[test]
fn run_can_detach() {
    for option in ["--detach", "-d"] {
        let container = Container::new("detach").args(["sleep", "1000"]).option(option);
        container.creating("run").output().quietly();
        assert_eq!(container.status(), "running");
    }
}

#[test]
fn run_can_keep_what_it_ran() {
    let container = Container::new("keep").script("exit 3").option("--keep");
    container.run().exits(3);
    assert_eq!(container.status(), "stopped");
    container.delete().quietly();
    container.leaves_nothing();
}

#[test]
fn run_need_not_be_a_subreaper() {
    for option in ["--no-subreaper", "-no-subreaper"] {
        Container::new("reaper").option(option).args(["echo", "fine"]).run().prints("fine\n");
    }
}

#[test]
fn run_ends_although_somebody_holds_its_output() {
    // The background process keeps standard output open; with its own pid namespace it dies with process 1.
    let container = Container::new("output").script("sleep 1000 & echo done");
    let started = Instant::now();
    container.run().prints("done\n");
    assert!(started.elapsed() < Duration::from_secs(5));
}

// ---- pid file ----

#[test]
fn pid_file_holds_the_pid_and_no_more() {
    let container = Container::new("pid").args(["sleep", "1000"]);
    let file = container.outside("the.pid");
    let container = container.option("--pid-file").option(&file.to_string_lossy());
    container.create().quietly();
    assert_eq!(fs::read_to_string(&file).expect("it is written"), container.pid().to_string());
    let hidden: Vec<_> = fs::read_dir(file.parent().expect("it has one"))
        .expect("it can be read")
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().contains(".the.pid"))
        .collect();
    assert!(hidden.is_empty(), "{hidden:?}");
}

#[test]
fn pid_file_replaces_an_older_one() {
    let container = Container::new("pid").args(["sleep", "1000"]);
    let file = container.outside("the.pid");
    fs::write(&file, "something much longer than a number").expect("it can be written");
    let container = container.option("--pid-file").option(&file.to_string_lossy());
    container.create().quietly();
    assert_eq!(fs::read_to_string(&file).expect("it is written"), container.pid().to_string());
}

#[test]
fn pid_file_is_relative_to_the_caller() {
    let container = Container::new("pid").args(["sleep", "1000"]).option("--pid-file").option("here.pid");
    let home = container.outside("");
    container.creating("create").in_dir(&home).output().quietly();
    assert_eq!(fs::read_to_string(home.join("here.pid")).expect("it is written"), container.pid().to_string());
}

#[test]
fn run_writes_a_pid_file_too() {
    let container = Container::new("pid").args(["true"]);
    let file = container.outside("the.pid");
    let container = container.option("--pid-file").option(&file.to_string_lossy());
    container.run().quietly();
    let pid = fs::read_to_string(&file).expect("it is written");
    assert!(pid.parse::<i32>().is_ok_and(|pid| pid > 1), "{pid:?}");
}

#[test]
fn pid_file_that_can_not_be_written_is_an_error_and_no_container_is_left() {
    let container = Container::new("pid").args(["sleep", "1000"]).option("--pid-file=/no/such/directory/pid");
    container.create().refused().says("/no/such/directory");
}

// ---- descriptors for the container ----

#[test]
fn preserved_descriptors_reach_the_container() {
    let container = Container::new("fds")
        .through("exec 3<<<three 4<<<four 5<<<five; exec \"$@\"")
        .option("--preserve-fds=2")
        .script("cat <&3; cat <&4; ls /proc/self/fd");
    let output = container.run();
    // The last is the directory that ls reads: descriptor 5 has stayed outside.
    output.prints("three\nfour\n0\n1\n2\n3\n4\n5\n");
}

#[test]
fn preserved_descriptor_must_be_open() {
    newer_than_this_runc!("looking whether a preserved descriptor is open");
    let container = Container::new("fds")
        .through("exec 3</dev/null; exec \"$@\"")
        .option("--preserve-fds")
        .option("2")
        .args(["true"]);
    container.run().refused().says("4");
}

#[test]
fn sockets_of_systemd_reach_the_container() {
    Container::new("listen")
        .through("exec 3<<<three; LISTEN_FDS=1 LISTEN_PID=$$ exec \"$@\"")
        .script("echo $LISTEN_FDS $LISTEN_PID; cat <&3; ls /proc/self/fd")
        .run()
        .prints("1 1\nthree\n0\n1\n2\n3\n4\n");
}

#[test]
fn sockets_of_systemd_come_before_preserved_descriptors() {
    Container::new("listen")
        .through("exec 3<<<socket 4<<<preserved; LISTEN_FDS=1 LISTEN_PID=$$ exec \"$@\"")
        .option("--preserve-fds=1")
        .script("echo $LISTEN_FDS; cat <&3; cat <&4")
        .run()
        .prints("1\nsocket\npreserved\n");
}

// ---- kill ----

/// A container that says which signals it gets.
fn listener(name: &str) -> (Container, Running) {
    let container = Container::new(name).script(
        "trap 'echo TERM' TERM; trap 'echo USR1' USR1; trap 'echo RTMIN+1' 35; trap 'echo RTMAX' 64; \
         echo ready; while :; do sleep 0.02; done",
    );
    let foreground = container.spawn();
    foreground.wait_for("ready\n");
    (container, foreground)
}

#[test]
fn signal_can_be_spelled_in_many_ways() {
    let (container, foreground) = listener("spelling");
    for (count, spelling) in ["TERM", "SIGTERM", "15", "term", "sigterm", "SigTerm"].into_iter().enumerate() {
        container.kill(spelling).quietly();
        let said = || foreground.stdout().matches("TERM\n").count() == count + 1;
        wait_until(&format!("{spelling} arrives"), said);
    }
    for (count, spelling) in ["USR1", "SIGUSR1", "10"].into_iter().enumerate() {
        container.kill(spelling).quietly();
        let said = || foreground.stdout().matches("USR1\n").count() == count + 1;
        wait_until(&format!("{spelling} arrives"), said);
    }
    container.kill("KILL").quietly();
    foreground.wait().exits(137);
}

#[test]
fn real_time_signal_can_be_spelled_in_many_ways() {
    let (container, foreground) = listener("spelling");
    let named = ["35", "RTMIN+1", "SIGRTMIN+1", "rtmin+1"];
    let spellings = if differs("real-time-signal-names") { &named[..1] } else { &named[..] };
    for (count, spelling) in spellings.iter().enumerate() {
        container.kill(spelling).quietly();
        let said = || foreground.stdout().matches("RTMIN+1\n").count() == count + 1;
        wait_until(&format!("{spelling} arrives"), said);
    }
    let named = ["64", "RTMAX", "SIGRTMAX", "RTMIN+30"];
    let spellings = if differs("real-time-signal-names") { &named[..1] } else { &named[..] };
    for (count, spelling) in spellings.iter().enumerate() {
        container.kill(spelling).quietly();
        let said = || foreground.stdout().matches("RTMAX\n").count() == count + 1;
        wait_until(&format!("{spelling} arrives"), said);
    }
    container.kill("9").quietly();
    foreground.wait().exits(137);
}

#[test]
fn signal_is_term_if_none_is_given() {
    let (container, foreground) = listener("default");
    container.call(["kill", &container.id]).output().quietly();
    foreground.wait_for("TERM\n");
}

#[test]
fn signal_zero_asks_whether_it_lives() {
    running("zero").kill("0").quietly();
}

#[test]
fn unknown_signal_is_refused() {
    let container = running("signal");
    container.kill("NOPE").refused().says("NOPE");
    container.kill("SIGSIGTERM").refused().says("SIGSIGTERM");
    container.kill("77").refused();
    container.call(["kill", &container.id, "--", "-9"]).output().refused();
    if !differs("real-time-signal-names") {
        container.kill("RTMIN+31").refused().says("RTMIN+31");
        container.kill("RTMAX+1").refused().says("RTMAX+1");
    }
    assert_eq!(container.status(), "running");
}

#[test]
fn created_container_can_be_killed() {
    let container = created("early");
    container.kill("KILL").quietly();
    container.wait_for("stopped");
    container.delete().quietly();
    container.leaves_nothing();
}

#[test]
fn kill_all_reaches_every_process_without_a_pid_namespace() {
    let container = Container::new("all").without_namespace("pid").script("sleep 1000 & sleep 1000 & echo ready; wait");
    let foreground = container.spawn();
    foreground.wait_for("ready\n");
    container.call(["kill", "--all", &container.id, "KILL"]).output().quietly();
    foreground.wait().exits(137);
    container.leaves_nothing();
}

#[test]
fn delete_ends_what_outlived_the_first_process() {
    let container = Container::new("rest").without_namespace("pid").script("sleep 1000 & exit 0");
    container.create().quietly();
    container.start().quietly();
    container.wait_for("stopped");
    let delete = container.delete();
    if differs("busy-cgroups") {
        delete.ok();
    } else {
        delete.quietly();
    }
    container.leaves_nothing();
}

// ---- delete ----

#[test]
fn delete_by_force_ends_a_running_container() {
    for option in ["--force", "-f"] {
        let container = running("force");
        let pid = container.pid();
        container.call(["delete", option, &container.id]).output().quietly();
        assert!(!exists(pid), "delete must wait for the end");
        container.leaves_nothing();
    }
}

#[test]
fn delete_by_force_of_nothing_succeeds() {
    Container::new("nothing").delete_by_force().quietly();
}

#[test]
fn deleted_name_can_be_used_again() {
    let container = running("again");
    container.delete_by_force().quietly();
    container.create().quietly();
    assert_eq!(container.status(), "created");
}

#[test]
fn directory_of_a_half_created_container_is_deleted_by_force() {
    let container = Container::new("half").args(["sleep", "1000"]);
    fs::create_dir(container.state_root().join(&container.id)).expect("it can be made");
    container.call(["state", &container.id]).output().refused().says("does not exist");
    container.creating("create").output().refused().says("container with given ID already exists");
    container.delete_by_force().quietly();
    container.leaves_nothing();
    container.create().quietly();
}

#[test]
fn broken_state_file_is_deleted_by_force() {
    for content in ["", "{", "[]", "{}", "\0\0\0\0"] {
        // Nobody knows any more where its cgroup was.
        let container = stopped("broken").may_leave_something();
        let directory = container.state_root().join(&container.id);
        fs::write(directory.join("state.json"), content).expect("it can be written");
        if differs("broken-state-is-deleted-by-force") {
            fs::remove_dir_all(directory).expect("it can be removed");
            continue;
        }
        container.call(["state", &container.id]).output().refused();
        container.kill("KILL").refused();
        container.delete_by_force().exits(0);
        assert!(!directory.exists(), "it is still there after {content:?}");
    }
}

#[test]
fn another_process_with_the_same_pid_is_not_the_container() {
    let container = running("reuse");
    let pid = container.pid();
    kill_process(process(pid), Signal::KILL).expect("it lives");
    wait_until("it is gone", || !exists(pid));

    // As if the pid had been given to somebody else in the meantime.
    let bystander = Container::new("bystander").args(["sleep", "1000"]);
    bystander.create().quietly();
    let file = container.state_root().join(&container.id).join("state.json");
    let mut state: Value = serde_json::from_str(&fs::read_to_string(&file).expect("it is there")).expect("it is JSON");
    assert_eq!(state["init_process_pid"], pid);
    state["init_process_pid"] = json!(bystander.pid());
    fs::write(&file, state.to_string()).expect("it can be written");

    assert_eq!(container.status(), "stopped");
    container.kill("KILL").refused().says("container not running");
    container.start().refused();
    container.delete().quietly();
    assert_eq!(bystander.status(), "created");
}

// ---- somebody dies ----

#[test]
fn runtime_that_is_killed_while_creating_leaves_nothing_that_force_does_not_remove() {
    // How long a creation takes decides which moments are worth trying.
    let started = Instant::now();
    created("whole");
    let whole = started.elapsed();
    for round in 0..24 {
        let container = Container::new("torn").args(["sleep", "1000"]);
        let create = container.creating("create").spawn();
        thread::sleep(whole * round / 24);
        create.signal(Signal::KILL);
        let _ = create.wait();
        container.delete_by_force().exits(0);
        if differs("killed-while-creating") {
            let _ = container.may_leave_something();
            continue;
        }
        container.leaves_nothing();
        container.create().quietly();
        container.start().quietly();
    }
}

#[test]
fn runtime_that_is_killed_while_starting_leaves_nothing_that_force_does_not_remove() {
    for round in 0..8 {
        let container = created("torn");
        let start = container.call(["start", &container.id]).spawn();
        thread::sleep(Duration::from_millis(round));
        start.signal(Signal::KILL);
        let _ = start.wait();
        container.delete_by_force().exits(0);
        container.leaves_nothing();
    }
}

#[test]
fn first_process_that_dies_while_waiting_is_noticed_by_start() {
    let container = created("dead");
    kill_process(process(container.pid()), Signal::KILL).expect("it lives");
    container.start().refused();
    container.wait_for("stopped");
}

// ---- where the caller stands ----

#[test]
fn closed_standard_streams_do_no_harm() {
    for closed in ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"] {
        let text = format!("exec \"$@\" {closed}");
        Container::new("closed").through(&text).script("exit 5").run().exits(5);
        let container = Container::new("closed").through(&text).args(["sleep", "1000"]);
        assert_eq!(container.creating("create").output().code, 0, "create with {closed}");
        assert_eq!(container.status(), "created");
    }
}

#[test]
fn closed_standard_streams_are_not_taken_by_something_else() {
    // What is opened first gets the lowest number: it must not become the container's standard input.
    let container =
        Container::new("closed").writable().through("exec \"$@\" <&-").script("readlink /proc/self/fd/0 > /tmp/stdin");
    container.run().quietly();
    let stdin = fs::read_to_string(container.rootfs().join("tmp/stdin")).expect("it is written");
    if differs("closed-streams-stay-closed") {
        return;
    }
    assert!(stdin.is_empty() || stdin == "/dev/null\n", "standard input is {stdin}");
}

#[test]
fn working_directory_of_the_caller_may_be_gone() {
    let container = Container::new("gone").args(["echo", "fine"]);
    let gone = container.outside("gone");
    let text = format!("mkdir {0} && cd {0} && rmdir {0} && exec \"$@\"", gone.display());
    let container = container.through(&text);
    container.run().prints("fine\n");
    container.call(["list"]).through(&text).output().ok();
}

#[test]
fn bundle_may_be_relative() {
    let container = Container::new("bundle").args(["echo", "fine"]);
    let _ = container.creating("run");
    let home = container.outside("");
    container.call(["run", "--bundle", "bundle", &container.id]).in_dir(&home).output().prints("fine\n");
    container.call(["run", "-b", "./bundle/", &container.id]).in_dir(&home).output().prints("fine\n");
    container.call(["run", "--bundle=../bundle", &container.id]).in_dir(home.join("calls")).output().prints("fine\n");
}

#[test]
fn bundle_is_the_working_directory_if_none_is_given() {
    let container = Container::new("bundle").args(["sleep", "1000"]);
    let _ = container.creating("create");
    container.call(["create", &container.id]).in_dir(container.bundle()).output().quietly();
    assert_eq!(container.state()["bundle"], container.bundle().to_string_lossy().as_ref());
}

#[test]
fn bundle_in_the_state_is_absolute() {
    let container = Container::new("bundle").args(["sleep", "1000"]);
    let _ = container.creating("create");
    container.call(["create", "--bundle", "bundle", &container.id]).in_dir(container.outside("")).output().quietly();
    assert_eq!(container.state()["bundle"], container.bundle().to_string_lossy().as_ref());
}

#[test]
fn state_directory_is_private_and_made_when_it_is_missing() {
    let container = Container::new("root").args(["sleep", "1000"]);
    let root = container.state_root().join("below/that");
    let global = |command: &str| container.bare_call().arg("--root").arg(&root).arg(command);
    let _ = container.creating("create");
    global("create")
        .args(["--bundle".as_ref(), container.bundle().as_os_str()])
        .args([&container.id])
        .output()
        .quietly();
    let mode = fs::metadata(&root).expect("it is made").permissions().mode();
    assert_eq!(mode & 0o077, 0, "others may look into it: {mode:o}");
    assert!(global("state").args([&container.id]).output().ok().contains("created"));
    global("delete").args(["--force", &container.id]).output().quietly();
    fs::remove_dir_all(container.state_root().join("below")).expect("it can be removed");
}

#[test]
fn pid_file_of_a_program_that_is_missing_is_removed() {
    if differs("start-learns-the-exec-error") {
        return;
    }
    let container = Container::new("nopid").args(["/no/such/program"]);
    let file = container.outside("the.pid");
    let output = container.creating("run").arg("--pid-file").arg(&file).output();
    output.refused().says("no such file or directory");
    assert!(!file.exists());
}

#[test]
fn run_forwards_real_time_signals_too() {
    let script = "trap 'exit 7' 37; echo ready; while :; do read -t 1 nothing < /dev/zero; done";
    let container = Container::new("realtime").script(script);
    let foreground = container.spawn();
    foreground.wait_for("ready\n");
    let sent = std::process::Command::new("kill").args(["-37", &foreground.pid().to_string()]).status();
    assert!(sent.expect("kill can be run").success());
    foreground.wait().exits(7);
}
