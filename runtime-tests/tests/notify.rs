//! `NOTIFY_SOCKET`: a container tells systemd, through the runtime, that it is ready.

use std::{
    fs,
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use runtime_tests::{Container, Mailbox, differs, mount_at, old_runc, wait_until};

/// The program that sends a notification from inside.
const NOTIFY: &str = env!("CARGO_BIN_EXE_notify");

/// A container with that program, and what systemd would be.
fn service(name: &str, script: &str) -> (Container, Mailbox) {
    let container = Container::new(name).writable().program_from("bin/notify", NOTIFY).script(script);
    let path = socket(&container);
    let mailbox = Mailbox::at(&path);
    (container.caller_env("NOTIFY_SOCKET", &path.to_string_lossy()), mailbox)
}

fn socket(container: &Container) -> PathBuf {
    container.outside("systemd.sock")
}

/// READY=1, then who is the main process, then a question whether it has been read.
#[track_caller]
fn is_ready(mailbox: &Mailbox, pid: u32) {
    assert_eq!(mailbox.message().text, "READY=1\n");
    assert_eq!(mailbox.message().text, format!("MAINPID={pid}\n"));
    if !old_runc() {
        let barrier = mailbox.message();
        assert_eq!(barrier.text, "BARRIER=1");
        assert_eq!(barrier.descriptors.len(), 1, "{barrier:?}");
        // It is closed now: whoever waits for that may go on.
    }
}

fn start(container: &Container) -> runtime_tests::Call {
    container.call(["start", &container.id]).env("NOTIFY_SOCKET", socket(container))
}

#[test]
fn container_finds_the_socket_in_its_environment() {
    let (container, mailbox) = service(
        "env",
        "echo $NOTIFY_SOCKET; stat -c %F $NOTIFY_SOCKET; grep notify /proc/self/mountinfo; notify READY=1",
    );
    let foreground = container.spawn();
    is_ready(&mailbox, foreground.pid());
    let output = foreground.wait().ok();
    let mut lines = output.lines();
    assert_eq!(lines.next(), Some("/run/notify/notify.sock"));
    assert_eq!(lines.next(), Some("socket"));
    let mount = mount_at(lines.next().unwrap_or_default(), "/run/notify");
    for option in ["ro", "nosuid", "nodev", "noexec"] {
        assert!(mount.has(option), "{option}: {mount:?}");
    }
}

#[test]
fn socket_is_there_before_the_program_is() {
    for _ in 0..10 {
        let (container, mailbox) = service("before", "notify READY=1");
        let foreground = container.spawn();
        is_ready(&mailbox, foreground.pid());
        foreground.wait().quietly();

        let (container, mailbox) = service("before", "notify READY=1");
        container.create().quietly();
        let pid = u32::try_from(container.pid()).expect("a pid");
        let start = start(&container).spawn();
        is_ready(&mailbox, pid);
        start.wait().quietly();
    }
}

#[test]
fn user_of_the_container_may_write_to_the_socket() {
    let (container, mailbox) = service("user", "notify READY=1 && echo sent");
    let container = container.user(1000, 1000);
    let foreground = container.spawn();
    foreground.wait_for("sent\n");
    is_ready(&mailbox, foreground.pid());
    foreground.wait().ok();
}

#[test]
fn run_in_the_foreground_is_the_main_process() {
    let (container, mailbox) = service("run", "notify READY=1; while [ ! -e /tmp/end ]; do sleep 0.02; done; exit 3");
    let foreground = container.spawn();
    is_ready(&mailbox, foreground.pid());
    container.write("tmp/end", "");
    foreground.wait().exits(3);
    container.leaves_nothing();
}

#[test]
fn run_detached_waits_until_it_is_ready() {
    let (container, mailbox) =
        service("run", "while [ ! -e /tmp/go ]; do sleep 0.02; done; notify READY=1; sleep 1000");
    let container = container.detached();
    let run = container.spawn();
    wait_until("it runs", || container.call(["state", &container.id]).output().stdout.contains("running"));
    thread::sleep(Duration::from_millis(200));
    assert!(mailbox.is_empty());
    assert!(fs::metadata(format!("/proc/{}", run.pid())).is_ok(), "it did not wait");
    container.write("tmp/go", "");
    is_ready(&mailbox, u32::try_from(container.pid()).expect("a pid"));
    run.wait().quietly();
    assert_eq!(container.status(), "running");
}

#[test]
fn start_waits_until_it_is_ready() {
    let (container, mailbox) =
        service("start", "while [ ! -e /tmp/go ]; do sleep 0.02; done; notify READY=1; sleep 1000");
    container.create().quietly();
    let start = start(&container).spawn();
    container.wait_for("running");
    thread::sleep(Duration::from_millis(200));
    assert!(mailbox.is_empty());
    assert!(fs::metadata(format!("/proc/{}", start.pid())).is_ok(), "it did not wait");
    container.write("tmp/go", "");
    is_ready(&mailbox, u32::try_from(container.pid()).expect("a pid"));
    start.wait().quietly();
    assert_eq!(container.status(), "running");
}

#[test]
fn start_waits_until_systemd_has_read_it() {
    runtime_tests::newer_than_this_runc!("BARRIER=1");
    let (container, mailbox) = service("barrier", "notify READY=1; sleep 1000");
    container.create().quietly();
    let start = start(&container).spawn();
    assert_eq!(mailbox.message().text, "READY=1\n");
    assert!(mailbox.message().text.starts_with("MAINPID="));
    let barrier = mailbox.message();
    assert_eq!(barrier.text, "BARRIER=1");
    thread::sleep(Duration::from_millis(200));
    let stat = fs::read_to_string(format!("/proc/{}/stat", start.pid())).unwrap_or_default();
    assert!(stat.contains(") S "), "it did not wait: {stat}");
    drop(barrier);
    start.wait().quietly();
}

#[test]
fn only_readiness_is_passed_on() {
    // What else a container says is not systemd's to hear: it could tell it to stop watching, or who the main process is.
    let (container, mailbox) = service(
        "other",
        "notify STATUS=busy MAINPID=1 WATCHDOG=1 'STATUS=x
READY=1' 'READY=1
STATUS=done
MAINPID=1'; sleep 1000",
    );
    container.create().quietly();
    let start = start(&container).spawn();
    is_ready(&mailbox, u32::try_from(container.pid()).expect("a pid"));
    start.wait().quietly();
    assert!(mailbox.is_empty());
}

#[test]
fn start_ends_when_the_container_ends_before_it_is_ready() {
    let (container, mailbox) = service("early", "notify STATUS=dying; exit 1");
    container.create().quietly();
    let started = Instant::now();
    start(&container).output().quietly();
    assert!(started.elapsed() < Duration::from_secs(5));
    assert!(mailbox.is_empty());
    container.wait_for("stopped");
}

#[test]
fn run_ends_when_the_container_ends_before_it_is_ready() {
    let (container, mailbox) = service("early", "exit 3");
    if differs("readiness-that-never-comes") {
        return;
    }
    container.run().exits(3);
    assert!(mailbox.is_empty());
    let (container, mailbox) = service("early", "exit 3");
    container.detached().run().quietly();
    assert!(mailbox.is_empty());
}

#[test]
fn signals_are_forwarded_while_nobody_is_ready() {
    let (container, _mailbox) = service("signal", "trap 'exit 7' TERM; echo up; while :; do sleep 0.02; done");
    if differs("readiness-that-never-comes") {
        return;
    }
    let foreground = container.spawn();
    foreground.wait_for("up\n");
    foreground.signal(rustix::process::Signal::TERM);
    foreground.wait().exits(7);
}

#[test]
fn container_without_a_socket_has_nothing_of_it() {
    let container = Container::new("none").script("echo \"<$NOTIFY_SOCKET>\"; ls /run/notify");
    let output = container.caller_env("NOTIFY_SOCKET", "").run();
    assert_eq!(output.stdout, "<>\n");
}

#[test]
fn start_without_a_socket_does_not_wait() {
    let (container, mailbox) = service("later", "sleep 1000");
    container.create().quietly();
    container.start().quietly();
    assert_eq!(container.status(), "running");
    assert!(mailbox.is_empty());
}

#[test]
fn exec_has_no_part_in_it() {
    let (container, mailbox) = service("exec", "notify READY=1; sleep 1000");
    container.create().quietly();
    let start = start(&container).spawn();
    is_ready(&mailbox, u32::try_from(container.pid()).expect("a pid"));
    start.wait().quietly();
    let exec = container.executing([], ["true"]).env("NOTIFY_SOCKET", socket(&container));
    exec.output().quietly();
    assert!(mailbox.is_empty());
}

#[test]
fn deletion_takes_the_socket_away() {
    let (container, _mailbox) = service("gone", "sleep 1000");
    container.create().quietly();
    container.delete().quietly();
    container.leaves_nothing();
}

#[test]
fn abstract_socket_of_the_host_is_told() {
    let container = Container::new("abstract").program_from("bin/notify", NOTIFY).script("notify READY=1");
    let mailbox = Mailbox::named(&container.id);
    let name = format!("@{}", container.id);
    let container = container.caller_env("NOTIFY_SOCKET", &name);
    let foreground = container.spawn();
    is_ready(&mailbox, foreground.pid());
    foreground.wait().quietly();
}

#[test]
fn nobody_listening_is_no_reason_to_fail() {
    let (container, mailbox) = service("deaf", "notify READY=1; exit 5");
    drop(mailbox);
    container.run().exits(5);
}
