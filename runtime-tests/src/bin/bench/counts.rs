//! System calls and processes: the same every time, so a change is a change of the code.

use crate::budget::Measured;
use crate::bundles::{Bundle, Kind, PROGRAM};
use crate::runtimes::{Runtime, find};
use crate::{heading, row};
use runtime_tests::skip;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::{env, fs};

/// What one `run` did.
#[derive(Clone, Copy)]
struct Counts {
    /// Until the container's program is executed, that call included.
    until_program: usize,
    total: usize,
    /// Processes and threads, the container's own included.
    tasks: usize,
}

pub(crate) fn take(runtimes: &[Runtime], measured: &mut Measured) {
    let Some(strace) = find("strace") else {
        return skip("system calls: strace is not installed");
    };
    for (command, kind) in [("run", Kind::Basic), ("run", Kind::Real), ("exec", Kind::Real)] {
        let all: BTreeMap<&str, Counts> =
            runtimes.iter().map(|runtime| (runtime.name, count(&strace, runtime, command, kind))).collect();
        heading(&format!("{command}, {} config, under strace", kind.name()), runtimes);
        let mut line = |title: &str, number: fn(&Counts) -> usize| {
            row(title, runtimes, |runtime| Some(number(&all[runtime.name]).to_string()));
            measured.add(format!("{command}, {}: {title}", kind.name()), number(&all["rt"]) as f64);
        };
        line("system calls until the program", |counts| counts.until_program);
        line("system calls", |counts| counts.total);
        line("processes and threads", |counts| counts.tasks);
    }
}

/// The least of a few: a call that is interrupted is made twice.
fn count(strace: &Path, runtime: &Runtime, command: &str, kind: Kind) -> Counts {
    let bundle = Bundle::new(runtime.name, kind, "true");
    let running = Bundle::new(runtime.name, kind, "pause");
    let words = match command {
        "exec" => {
            runtime.must(&["run", "--detach", "--bundle", running.at("running").path(), "running"]);
            vec!["exec", "running", PROGRAM]
        }
        command => vec![command, "--bundle", bundle.path(), "counted"],
    };
    let log = env::temp_dir().join("strace");
    let file = log.to_str().expect("a readable path");
    let counts = (0..3).map(|_| {
        let first = ["-f", "-qq", "-o", file, "--signal=none"];
        let status = runtime.call_by(strace, &first, &words).status();
        assert!(status.is_ok_and(|status| status.success()), "{} runs under strace", runtime.name);
        read(&fs::read_to_string(&log).expect("strace has written its log"))
    });
    let least = counts.min_by_key(|counts| counts.total).expect("three");
    if command == "exec" {
        runtime.must(&["delete", "--force", "running"]);
    }
    least
}

/// A line is `PID call(arguments) = answer`; a call that waits has a second one, `PID <... call resumed>`.
fn read(log: &str) -> Counts {
    let calls: Vec<(&str, &str)> = log
        .lines()
        .filter_map(|line| line.split_once(' '))
        .map(|(task, call)| (task, call.trim_start()))
        .filter(|(_, call)| call.starts_with(|first: char| first.is_ascii_lowercase() || first == '_'))
        .collect();
    let program = format!("execve(\"{PROGRAM}\"");
    let executed = calls.iter().position(|(_, call)| call.starts_with(&program)).expect("the program is executed");
    let tasks: BTreeSet<&str> = calls.iter().map(|(task, _)| *task).collect();
    Counts { until_program: executed + 1, total: calls.len(), tasks: tasks.len() }
}
