//! `ps`: the processes of a container.

use std::fs;

use runtime_tests::{Container, Output, is_runc, wait_until};
use serde_json::Value;

/// A container with three processes.
fn three(container: Container) -> Container {
    let container = container.writable().script("sleep 1000 & sleep 1001 & echo up > /up; wait");
    container.create().quietly();
    container.start().quietly();
    container.wait_for_file("up");
    container
}

fn ps(container: &Container, options: &[&str], words: &[&str]) -> Output {
    container.call(["ps"]).args(options).args([&container.id]).args(words).output()
}

fn pids(container: &Container, options: &[&str]) -> Vec<i64> {
    let text = ps(container, options, &[]).ok();
    assert_eq!(text.lines().count(), 1, "{text}");
    let list: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
    list.as_array().expect("a list").iter().map(|pid| pid.as_i64().expect("a number")).collect()
}

fn commands(pids: &[i64]) -> Vec<String> {
    let mut commands: Vec<String> = pids
        .iter()
        .map(|pid| fs::read_to_string(format!("/proc/{pid}/cmdline")).expect("it lives"))
        .map(|command| command.trim_end_matches('\0').replace('\0', " "))
        .collect();
    commands.sort();
    commands
}

#[test]
fn json_is_a_list_of_pids() {
    let container = Container::new("one").args(["sleep", "1000"]);
    container.create().quietly();
    container.start().quietly();
    ps(&container, &["--format", "json"], &[]).prints(&format!("[{}]\n", container.pid()));
    for options in [&["-f", "json"][..], &["--format=json"], &["-format", "json"], &["-f=json"]] {
        assert_eq!(pids(&container, options), [i64::from(container.pid())], "{options:?}");
    }
}

#[test]
fn every_process_is_listed_with_and_without_a_pid_namespace() {
    for container in [Container::new("own"), Container::new("shared").without_namespace("pid")] {
        let container = three(container);
        let pids = pids(&container, &["-f", "json"]);
        assert_eq!(pids.len(), 3);
        assert!(pids.contains(&i64::from(container.pid())));
        // A shell's child is the shell until it has executed its program.
        wait_until("both sleep", || commands(&pids).get(1..) == Some(&["sleep 1000".into(), "sleep 1001".into()][..]));
    }
}

#[test]
fn created_and_paused_containers_have_processes() {
    let container = Container::new("states").args(["sleep", "1000"]);
    container.create().quietly();
    assert_eq!(pids(&container, &["-f", "json"]), [i64::from(container.pid())]);
    container.call(["pause", &container.id]).output().quietly();
    assert_eq!(pids(&container, &["-f", "json"]), [i64::from(container.pid())]);
}

#[test]
fn stopped_container_has_none() {
    let container = Container::new("stopped").args(["true"]);
    container.create().quietly();
    container.start().quietly();
    container.wait_for("stopped");
    wait_until("its cgroup is empty", || ps(&container, &["-f", "json"], &[]).stdout == "null\n");
    let table = ps(&container, &[], &[]).ok();
    assert_eq!(table.lines().count(), 1, "{table}");
    assert!(table.starts_with("UID "), "{table}");
}

#[test]
fn table_is_what_ps_says_of_its_processes() {
    let container = three(Container::new("table"));
    for options in [&[][..], &["--format", "table"], &["-f", "table"]] {
        let table = ps(&container, options, &[]).ok();
        let mut lines = table.lines();
        let title: Vec<&str> = lines.next().expect("a title").split_whitespace().collect();
        assert_eq!(title, ["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"]);
        let rows: Vec<&str> = lines.collect();
        assert_eq!(rows.len(), 3, "{table}");
        assert!(rows.iter().any(|row| row.ends_with(" sleep 1000")), "{table}");
    }
}

#[test]
fn words_after_the_name_are_for_ps() {
    let container = three(Container::new("words"));
    let table = ps(&container, &[], &["-o", "comm,pid", "-e"]).ok();
    let rows: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows[0], ["COMMAND", "PID"]);
    assert_eq!(rows.len(), 4, "{table}");
    let table = ps(&container, &[], &["aux"]).ok();
    assert!(table.starts_with("USER "), "{table}");
    assert_eq!(table.lines().count(), 4, "{table}");
    // ps(1) knows an -f, and it is not ours.
    let table = ps(&container, &[], &["-ef", "-f"]).ok();
    assert_eq!(table.lines().count(), 4, "{table}");
}

#[test]
fn table_without_pids_is_refused() {
    let container = three(Container::new("column"));
    ps(&container, &[], &["-o", "comm"]).refused().says("couldn't find PID field in ps output");
}

#[test]
fn words_that_ps_refuses_are_refused_with_its_reason() {
    let container = three(Container::new("refused"));
    let output = ps(&container, &[], &["--no-such-thing"]).refused();
    output.says("exit status 1").says("unknown gnu long option");
}

#[test]
fn bad_calls_are_refused() {
    let container = Container::new("bad").args(["true"]);
    ps(&container, &["-f", "json"], &[]).refused().says("does not exist");
    ps(&container, &["-f", "yaml"], &[]).refused();
    let container = three(container);
    ps(&container, &["-f", "yaml"], &[]).refused().says("invalid format option");
    let output = container.call(["ps"]).output();
    assert_eq!(output.code, 1);
    assert!(is_runc() || output.stdout.is_empty());
    assert!(output.stderr.contains("requires a minimum of 1 argument"), "{output:?}");
}
