//! Descriptors and variables at the border: what is promised is there, and nothing else comes in, from whoever calls.

use std::{
    fs,
    os::fd::{AsFd, AsRawFd},
};

use runtime_tests::{Container, Listener, Message, differs, newer_than_this_runc, wait_until};
use rustix::process::{Signal, pidfd_send_signal};
use serde_json::{Value, json};

/// 20 descriptors that a caller has left open, directories of the host among them: as a shell, an engine or CI does.
const LEAK: &str = r#"
    exec 5</ 6</etc 7</proc 8</sys 9</root 10</ 11</etc/passwd 12</dev/null 13<>/dev/null 14</run 15</tmp 16</usr \
        17</bin/sh 18< <(:) 19</dev 20</proc/self 21</proc/self/ns/mnt 22</sys/fs/cgroup 99</ 251</
    exec "$@"
"#;

/// Prints the numbers of the open descriptors. The pattern has been read when the loop begins.
const LIST: &str = "for it in /proc/self/fd/*; do [ -e $it ] && echo ${it##*/}; done; true";

/// What `ls` sees: the last is the directory that it reads.
const LS: [&str; 2] = ["ls", "/proc/self/fd"];

fn running(name: &str) -> Container {
    Container::new(name).args(["sleep", "1000"]).started()
}

// ---- nothing but what is promised ----

#[test]
fn run_passes_three_descriptors_and_no_more() {
    Container::new("leak").through(LEAK).args(LS).run().prints("0\n1\n2\n3\n");
    Container::new("leak").script(LIST).through(LEAK).run().prints("0\n1\n2\n");
}

#[test]
fn create_passes_three_descriptors_and_no_more() {
    let container = Container::new("leak")
        .through(LEAK)
        .writable()
        .script("ls -l /proc/self/fd > /tmp/list; echo end >> /tmp/list");
    container.create().quietly();
    container.call(["start", &container.id]).through(LEAK).output().quietly();
    let list = container.wait_for_file("tmp/list");
    wait_until("it has ended", || container.wait_for_file("tmp/list").ends_with("end\n"));
    let numbers: Vec<_> = list.lines().filter_map(|line| line.split_whitespace().nth(8)).collect();
    assert_eq!(numbers, ["0", "1", "2", "3"], "{list}");
}

#[test]
fn exec_passes_three_descriptors_and_no_more() {
    let container = running("leak");
    container.executing([], LS).through(LEAK).output().prints("0\n1\n2\n3\n");
    container.executing([], ["sh", "-c", LIST]).through(LEAK).output().prints("0\n1\n2\n");
}

#[test]
fn detached_exec_passes_three_descriptors_and_no_more() {
    let container = running("leak");
    let file = container.outside("the.pid");
    let call = container.call(["exec", "--detach", "--pid-file"]).arg(&file).args([&container.id]);
    call.args(["sleep", "1000"]).through(LEAK).output().quietly();
    let pid = fs::read_to_string(&file).expect("it is written");
    assert_eq!(open_in(&pid), ["0", "1", "2"]);
}

#[test]
fn first_process_of_a_detached_run_has_three_descriptors_and_no_more() {
    let container = Container::new("leak").detached().through(LEAK).args(["sleep", "1000"]);
    container.run().quietly();
    let comm = || fs::read_to_string(format!("/proc/{}/comm", container.pid())).unwrap_or_default();
    wait_until("it runs", || comm() == "sleep\n");
    assert_eq!(open_in(&container.pid().to_string()), ["0", "1", "2"]);
}

/// The numbers of the descriptors of a process, seen from outside.
fn open_in(pid: &str) -> Vec<String> {
    let entries = fs::read_dir(format!("/proc/{pid}/fd")).expect("it lives").flatten();
    let mut numbers: Vec<_> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    numbers.sort();
    numbers
}

#[test]
fn closed_streams_are_not_taken_by_something_else() {
    let container = Container::new("closed").writable().args(["sleep", "1000"]).started();
    for (closed, number) in [("<&-", 0), (">&-", 1), ("2>&-", 2)] {
        let text = format!("exec \"$@\" {closed}");
        let script = format!("readlink /proc/self/fd/{number} > /tmp/link; exit 5");
        container.executing([], ["sh", "-c", &script]).through(&text).output().exits(5);
        let link = fs::read_to_string(container.rootfs().join("tmp/link")).expect("it is written");
        if differs("closed-streams-stay-closed") {
            continue;
        }
        // The shell may have opened its own output there.
        assert!(link.is_empty() || link == "/dev/null\n" || link == "/tmp/link\n", "{number} is {link}");
    }
}

// S1-04
#[test]
fn state_file_names_what_the_standard_streams_are() {
    // criu is told of them when it makes a checkpoint.
    let container = Container::new("streams").args(["sleep", "1000"]);
    let (input, output) = (container.outside("input"), container.outside("output"));
    let text = format!("echo > {0}; exec \"$@\" < {0} > {1} 2> /dev/null", input.display(), output.display());
    let container = container.through(&text);
    container.create().quietly();
    let file = container.state_root().join(&container.id).join("state.json");
    let state: Value = serde_json::from_str(&fs::read_to_string(file).expect("it is there")).expect("it is JSON");
    assert_eq!(state["external_descriptors"], json!([input, output, "/dev/null"]));
}

// ---- preserved ----

#[test]
fn preserved_descriptors_reach_an_exec_and_nothing_behind_them() {
    let container = running("preserve");
    let text = "exec 3<<<three 4<<<four 5<<<five 6</ 10</etc; exec \"$@\"";
    let words = ["sh", "-c", "cat <&3; cat <&4; ls /proc/self/fd"];
    for option in ["--preserve-fds=2", "-preserve-fds=2"] {
        container.executing([option], words).through(text).output().prints("three\nfour\n0\n1\n2\n3\n4\n5\n");
    }
}

#[test]
fn preserved_descriptors_reach_a_created_container() {
    let container = Container::new("preserve")
        .writable()
        .through("exec 3<<<three 4<<<four 5<<<five; exec \"$@\"")
        .option("--preserve-fds=2")
        .script("cat <&3 > /tmp/list; cat <&4 >> /tmp/list; ls /proc/self/fd >> /tmp/list; echo end >> /tmp/list");
    container.create().quietly();
    container.start().quietly();
    wait_until("it has ended", || container.wait_for_file("tmp/list").ends_with("end\n"));
    assert_eq!(container.wait_for_file("tmp/list"), "three\nfour\n0\n1\n2\n3\n4\n5\nend\n");
}

#[test]
fn preserved_descriptor_is_the_callers_own() {
    // What is written there by the container arrives in the caller's file, at the caller's place.
    let container = running("preserve");
    let file = container.outside("file");
    let text = format!("exec 3>{}; echo before >&3; \"$@\"; code=$?; echo after >&3; exit $code", file.display());
    let words = ["sh", "-c", "echo inside >&3"];
    container.executing(["--preserve-fds", "1"], words).through(&text).output().quietly();
    assert_eq!(fs::read_to_string(&file).expect("it is there"), "before\ninside\nafter\n");
}

#[test]
fn detached_exec_keeps_preserved_descriptors() {
    // conmon does this.
    let container = running("preserve");
    let file = container.outside("file");
    let text = format!("exec 3>{} 4</; exec \"$@\"", file.display());
    let words = ["sh", "-c", "sleep 0.1; echo inside >&3"];
    container.executing(["--detach", "--preserve-fds", "1"], words).through(&text).output().quietly();
    wait_until("it has written", || fs::read_to_string(&file).expect("it is there") == "inside\n");
}

#[test]
fn many_descriptors_can_be_preserved() {
    let container = running("preserve");
    let open: String = (3..103).map(|number| format!(" {number}<<<{number}")).collect();
    let text = format!("exec{open}; exec \"$@\"");
    let words = ["sh", "-c", "for it in 3 50 102; do cat /proc/self/fd/$it; done; ls /proc/self/fd | wc -l"];
    // 0 to 102, and the directory.
    let output = container.executing(["--preserve-fds=100"], words).through(&text).output();
    output.prints("3\n50\n102\n104\n");
}

#[test]
fn closed_descriptor_can_not_be_preserved() {
    newer_than_this_runc!("looking whether a preserved descriptor is open");
    let text = "exec 3</dev/null 5</dev/null; exec \"$@\"";
    let container = running("preserve");
    let exec = container.executing(["--preserve-fds=2"], ["true"]).through(text).output();
    exec.refused_with(255).says("4");
    assert_eq!(container.processes().len(), 1);
    let container = Container::new("preserve").option("--preserve-fds=2").through(text).args(["true"]);
    container.create().refused().says("4");
}

/// What runc has open itself at that number it takes for the caller's: a way out, when it is a directory of the host.
#[test]
fn descriptor_of_the_runtime_can_not_be_preserved() {
    newer_than_this_runc!("looking whether a preserved descriptor is open");
    let container = running("preserve");
    for count in 1..12 {
        let option = format!("--preserve-fds={count}");
        container.executing([option.as_str()], ["true"]).output().refused_with(255);
        let created = Container::new("preserve").option(&option).args(["true"]);
        created.create().refused();
    }
}

#[test]
fn number_of_preserved_descriptors_is_checked() {
    let container = running("preserve");
    for count in ["-1", "4294967296", "2147483648", "1000000", "x", ""] {
        let option = format!("--preserve-fds={count}");
        let exec = container.executing([option.as_str()], ["true"]).output();
        let create = Container::new("preserve").option(&option).args(["true"]).create();
        if differs("numbers-out-of-range") {
            continue;
        }
        assert!(matches!(exec.code, 1 | 255), "{exec:?}");
        assert_eq!(create.code, 1, "{create:?}");
        assert!(!exec.stderr.is_empty() && !create.stderr.is_empty(), "{exec:?} {create:?}");
    }
}

// ---- LISTEN_FDS ----

#[test]
fn sockets_of_systemd_come_before_preserved_descriptors_and_nothing_after_them() {
    let container = Container::new("listen")
        .through("exec 3<<<one 4<<<two 5<<<preserved 6<<<beyond 10</; LISTEN_FDS=2 LISTEN_PID=$$ exec \"$@\"")
        .option("--preserve-fds=1")
        .script("echo $LISTEN_FDS $LISTEN_PID $$; cat <&3; cat <&4; cat <&5; ls /proc/self/fd");
    container.run().prints("2 1 1\none\ntwo\npreserved\n0\n1\n2\n3\n4\n5\n6\n");
}

#[test]
fn sockets_of_systemd_reach_a_created_container() {
    let container = Container::new("listen")
        .writable()
        .through("exec 3<<<one 4<<<preserved 5</; LISTEN_FDS=1 LISTEN_PID=$$ LISTEN_FDNAMES=web exec \"$@\"")
        .option("--preserve-fds=1")
        .script(
            "{ echo $LISTEN_FDS $LISTEN_PID; cat <&3; cat <&4; ls /proc/self/fd; env | grep NAMES; } > /tmp/list; \
             echo end >> /tmp/list",
        );
    container.create().quietly();
    container.start().quietly();
    wait_until("it has ended", || container.wait_for_file("tmp/list").ends_with("end\n"));
    // One of them is what the shell has moved its output to.
    let list = container.wait_for_file("tmp/list");
    assert!(list.starts_with("1 1\none\npreserved\n0\n1\n2\n3\n4\n5\n"), "{list}");
    assert!(!list.contains("NAMES"), "{list}");
}

#[test]
fn sockets_that_systemd_has_given_to_another_process_are_not_passed() {
    for variables in ["LISTEN_FDS=1 LISTEN_PID=1", "LISTEN_FDS=1", "LISTEN_PID=$$", "LISTEN_FDS=0 LISTEN_PID=$$"] {
        let text = format!("exec 3<<<three; {variables} exec \"$@\"");
        let container = Container::new("listen").through(&text).script("env | grep LISTEN; ls /proc/self/fd");
        container.run().prints("0\n1\n2\n3\n");
    }
}

#[test]
fn nonsense_about_sockets_is_passed_over_or_refused() {
    for count in ["x", "", "1x"] {
        let text = format!("exec 3<<<three; LISTEN_FDS={count} LISTEN_PID=$$ exec \"$@\"");
        let output = Container::new("listen").through(&text).script("env | grep LISTEN; ls /proc/self/fd").run();
        assert!(output.code == 1 || output.stdout == "0\n1\n2\n3\n", "{output:?}");
    }
    if differs("numbers-out-of-range") {
        return;
    }
    // More than are open: the container gets none that is not, and there is an end.
    for count in ["-1", "2", "1000", "1000000000", "4294967297"] {
        let text = format!("exec 3<<<three; LISTEN_FDS={count} LISTEN_PID=$$ exec \"$@\"");
        let output = Container::new("listen").through(&text).script("ls /proc/self/fd").run();
        assert!(output.code == 1 || output.stdout == "0\n1\n2\n3\n", "{output:?}");
    }
}

#[test]
fn sockets_of_systemd_are_for_the_first_process_only() {
    let container = running("listen");
    let text = "exec 3<<<three; LISTEN_FDS=1 LISTEN_PID=$$ exec \"$@\"";
    let words = ["sh", "-c", "env | grep LISTEN; ls /proc/self/fd"];
    container.executing([], words).through(text).output().prints("0\n1\n2\n3\n");
    container.executing(["--preserve-fds=1"], ["cat", "/proc/self/fd/3"]).through(text).output().prints("three\n");
}

// ---- variables of engines ----

#[test]
fn variables_of_the_caller_stay_outside() {
    let variables = [
        ("_OCI_SYNCPIPE", "3"),
        ("_OCI_STARTPIPE", "4"),
        ("_OCI_ATTACHPIPE", "5"),
        ("_CONTAINERS_USERNS_CONFIGURED", "done"),
        ("XDG_RUNTIME_DIR", ""),
        ("LD_PRELOAD", ""),
        ("GODEBUG", "x=y"),
        ("CRI_O_EXTERNAL", "1"),
    ];
    // conmon has its pipes open there.
    let text = "exec 3</ 4</etc 5</; exec \"$@\"";
    let mut container = Container::new("variables").through(text).script("env | sort; ls /proc/self/fd; sleep 1000");
    for (name, value) in variables {
        container = container.caller_env(name, value);
    }
    let first = container.spawn();
    let expected = "\
HOME=/root
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
PWD=/
SHLVL=1
TERM=xterm
0
1
2
3
";
    first.wait_for(expected);
    assert_eq!(first.stdout(), expected);

    let mut exec = container.executing([], ["sh", "-c", "env | sort; ls /proc/self/fd"]).through(text);
    for (name, value) in variables {
        exec = exec.env(name, value);
    }
    exec.output().prints(expected);
    container.kill("KILL").quietly();
    first.wait().exits(137);
}

#[test]
fn empty_runtime_directory_is_none() {
    // podman as root sets XDG_RUNTIME_DIR to nothing.
    let container = Container::new("default").args(["sleep", "1000"]);
    let _ = container.creating("create");
    let call = |words: &[&str]| container.bare_call().args(words).env("XDG_RUNTIME_DIR", "");
    call(&["create", "--bundle"]).args([container.bundle()]).args([&container.id]).output().quietly();
    let without = container.bare_call().args(["list", "-q"]).output();
    let exec = call(&["exec", &container.id, "echo", "fine"]).output();
    call(&["delete", "--force", &container.id]).output().quietly();
    assert!(without.ok().contains(&container.id), "unset and empty are not the same");
    exec.prints("fine\n");
}

// ---- pidfds ----

/// A pidfd of this process, and no other descriptor, with this word.
#[track_caller]
fn is_pidfd(message: &Message, word: &str, pid: i32) {
    assert_eq!(message.text, word);
    assert_eq!(message.descriptors.len(), 1, "{message:?}");
    let info =
        fs::read_to_string(format!("/proc/self/fdinfo/{}", message.descriptors[0].as_raw_fd())).expect("it is open");
    let number = info.lines().find_map(|line| line.strip_prefix("Pid:\t")).expect("it is a pidfd");
    assert_eq!(number, pid.to_string());
}

#[track_caller]
fn kills(message: &Message) {
    pidfd_send_signal(message.descriptors[0].as_fd(), Signal::KILL).expect("it lives");
}

#[test]
fn pidfd_of_a_created_container_is_sent() {
    newer_than_this_runc!("--pidfd-socket");
    let container = Container::new("pidfd").args(["sleep", "1000"]);
    let path = container.outside("socket");
    let listener = Listener::at(&path);
    container.creating("create").arg("--pidfd-socket").arg(&path).output().quietly();
    let message = listener.message();
    is_pidfd(&message, "standard", container.pid());
    assert!(listener.is_unused());
    assert_eq!(container.status(), "created");
    kills(&message);
    container.wait_for("stopped");
}

#[test]
fn pidfd_of_a_container_that_is_run_is_sent() {
    newer_than_this_runc!("--pidfd-socket");
    for detach in [true, false] {
        let container = Container::new("pidfd").script("echo ready; exec sleep 1000");
        let container = if detach { container.detached() } else { container };
        let path = container.outside("socket");
        let listener = Listener::at(&path);
        let run = container.creating("run").arg(format!("--pidfd-socket={}", path.display())).spawn();
        let message = listener.message();
        run.wait_for("ready\n");
        is_pidfd(&message, "standard", container.pid());
        if detach {
            run.wait().ok();
            kills(&message);
            container.wait_for("stopped");
        } else {
            kills(&message);
            run.wait().exits(137);
        }
    }
}

// S4-04
#[test]
fn pidfd_of_an_exec_is_sent() {
    newer_than_this_runc!("--pidfd-socket");
    let container = running("pidfd");
    let path = container.outside("socket");
    let listener = Listener::at(&path);
    let socket = path.to_string_lossy().into_owned();
    let file = container.outside("the.pid");
    let pid_file = file.to_string_lossy().into_owned();

    let options = ["--pidfd-socket", &socket, "--pid-file", &pid_file, "--detach"];
    container.executing(options, ["sleep", "1000"]).output().quietly();
    let message = listener.message();
    let pid: i32 = fs::read_to_string(&file).expect("it is written").parse().expect("a number");
    is_pidfd(&message, "setns", pid);
    kills(&message);
    wait_until("it is gone", || container.processes().len() == 1);
    assert_eq!(container.status(), "running");

    fs::remove_file(&file).expect("it is there");
    let options = ["--pidfd-socket", &socket, "--pid-file", &pid_file];
    let exec = container.executing(options, ["sh", "-c", "echo ready; exec sleep 1000"]).spawn();
    exec.wait_for("ready\n");
    let message = listener.message();
    let pid: i32 = fs::read_to_string(&file).expect("it is written").parse().expect("a number");
    is_pidfd(&message, "setns", pid);
    kills(&message);
    exec.wait().exits(137);
}

#[test]
fn pidfd_socket_stays_outside() {
    newer_than_this_runc!("--pidfd-socket");
    let container = running("pidfd");
    let path = container.outside("socket");
    let listener = Listener::at(&path);
    container.executing(["--pidfd-socket", &path.to_string_lossy()], LS).output().prints("0\n1\n2\n3\n");
    let _ = listener.message();
}

#[test]
fn pidfd_socket_that_nobody_listens_at_is_an_error() {
    newer_than_this_runc!("--pidfd-socket");
    let container = Container::new("pidfd").args(["sleep", "1000"]).option("--pidfd-socket=/no/such/socket");
    container.create().refused().says("/no/such/socket");
    container.run().refused().says("/no/such/socket");
    let container = running("pidfd");
    let exec = container.executing(["--pidfd-socket=/no/such/socket"], ["sleep", "1000"]).output();
    exec.refused_with(255).says("/no/such/socket");
    assert_eq!(container.processes().len(), 1);
}
