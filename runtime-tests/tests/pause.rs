//! `pause` and `resume`: what stands still, for how long, and what can be done to it meanwhile.

use std::{fs, thread, time::Duration};

use runtime_tests::{Container, Output, differs, wait_until};

fn call(container: &Container, command: &str) -> Output {
    container.call([command, &container.id]).output()
}

/// A container that runs and counts into a file.
fn counting() -> Container {
    let container =
        Container::new("pause").writable().script("n=0; while true; do n=$((n+1)); echo $n > /count; sleep 0.01; done");
    container.create().quietly();
    container.start().quietly();
    container.wait_for_file("count");
    container
}

fn count(container: &Container) -> String {
    // The file is empty for a moment before each number.
    container.wait_for_file("count")
}

/// Whether a moment changes nothing.
fn stands_still(container: &Container) -> bool {
    let read = || fs::read_to_string(container.rootfs().join("count")).unwrap_or_default();
    let before = read();
    thread::sleep(Duration::from_millis(100));
    read() == before
}

#[test]
fn paused_container_stands_still_and_goes_on_when_it_is_resumed() {
    let container = counting();
    call(&container, "pause").quietly();
    assert_eq!(container.status(), "paused");
    assert!(stands_still(&container));
    call(&container, "resume").quietly();
    assert_eq!(container.status(), "running");
    let before = count(&container);
    wait_until("it counts on", || count(&container) != before);
}

#[test]
fn all_stand_still_when_pause_returns() {
    let container = Container::new("many")
        .writable()
        .script("for n in 1 2 3 4 5 6 7 8; do (while true; do echo $$ > /count; done) & done; echo up > /up; wait");
    container.create().quietly();
    container.start().quietly();
    container.wait_for_file("up");
    for _ in 0..10 {
        call(&container, "pause").quietly();
        assert!(stands_still(&container));
        call(&container, "resume").quietly();
    }
}

#[test]
fn created_container_can_be_paused() {
    let container = Container::new("created").args(["sleep", "1000"]);
    container.create().quietly();
    call(&container, "pause").quietly();
    assert_eq!(container.status(), "paused");
    container.start().refused().says("cannot start a container in the paused state");
    call(&container, "resume").quietly();
    assert_eq!(container.status(), "created");
    container.start().quietly();
    assert_eq!(container.status(), "running");
}

#[test]
fn only_what_runs_is_paused_and_only_what_is_paused_is_resumed() {
    let container = Container::new("states").args(["sleep", "1000"]);
    call(&container, "pause").refused().says("does not exist");
    call(&container, "resume").refused().says("does not exist");
    container.create().quietly();
    container.start().quietly();
    call(&container, "resume").refused().says("container not paused");
    call(&container, "pause").quietly();
    call(&container, "pause").refused().says("container not running");
    assert_eq!(container.status(), "paused");
    call(&container, "resume").quietly();
    container.kill("KILL").quietly();
    container.wait_for("stopped");
    call(&container, "pause").refused().says("container not running");
    call(&container, "resume").refused().says("container not paused");
}

#[test]
fn paused_container_dies_when_killed() {
    let container = counting();
    call(&container, "pause").quietly();
    container.kill("KILL").quietly();
    container.wait_for("stopped");
    container.delete().quietly();
}

#[test]
fn other_signals_wait_until_a_container_is_resumed() {
    let container = Container::new("later")
        .writable()
        .script("trap 'echo got > /got; exit' TERM; echo up > /up; while true; do sleep 0.01; done");
    container.create().quietly();
    container.start().quietly();
    container.wait_for_file("up");
    call(&container, "pause").quietly();
    container.kill("TERM").quietly();
    assert_eq!(container.status(), "paused");
    assert!(!container.rootfs().join("got").exists());
    call(&container, "resume").quietly();
    container.wait_for_file("got");
}

#[test]
fn paused_container_is_deleted_by_force_only() {
    let container = counting();
    call(&container, "pause").quietly();
    container.delete().refused().says("that is not stopped: paused");
    container.delete_by_force().quietly();
    container.leaves_nothing();
}

#[test]
fn paused_container_that_shares_the_pid_namespace_dies_with_all_its_processes() {
    let container = Container::new("shared")
        .without_namespace("pid")
        .writable()
        .script("sleep 1000 & sleep 1000 & echo up > /up; wait");
    container.create().quietly();
    container.start().quietly();
    container.wait_for_file("up");
    call(&container, "pause").quietly();
    let deleted = container.delete_by_force().exits(0);
    assert!(deleted.stderr.is_empty() || differs("busy-cgroups"), "{deleted:?}");
    container.leaves_nothing();
}
