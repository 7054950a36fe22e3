//! Memory and sizes.

use crate::budget::Measured;
use crate::bundles::{Bundle, Kind};
use crate::runtimes::Runtime;
use crate::{heading, row};
use nix::sys::resource::{UsageWho, getrusage};
use serde_json::Value;
use std::collections::BTreeMap;
use std::process::{Command, ExitCode, Stdio};
use std::{env, fs};

pub(crate) fn take(runtimes: &[Runtime], measured: &mut Measured) {
    heading("memory, real config, KiB", runtimes);
    let mut line = |title: &str, budget: bool, number: &dyn Fn(&Runtime) -> u64| {
        let all: BTreeMap<&str, u64> = runtimes.iter().map(|runtime| (runtime.name, number(runtime))).collect();
        row(title, runtimes, |runtime| Some(all[runtime.name].to_string()));
        if budget {
            measured.add(format!("KiB: {title}"), all["rt"] as f64);
        }
    };
    line("the init that waits, resident", true, &|runtime| waiting(runtime, "Rss:"));
    line("the init that waits, its own", false, &|runtime| waiting(runtime, "Private_Dirty:"));
    line("run, peak", true, &peak);
    line("the program's file", true, &|runtime| {
        fs::metadata(&runtime.program).map_or(0, |metadata| metadata.len().div_ceil(1024))
    });
}

/// The least of a few: what the kernel maps ahead depends on what it has in its cache.
fn waiting(runtime: &Runtime, name: &str) -> u64 {
    (0..3).map(|_| waits(runtime, name)).min().unwrap_or(0)
}

/// A number of the process that `create` has left behind: smaps_rollup counts pages, where other files estimate.
fn waits(runtime: &Runtime, name: &str) -> u64 {
    let bundle = Bundle::new(runtime.name, Kind::Real, "true");
    runtime.must(&["create", "--bundle", bundle.path(), "waits"]);
    let state = runtime.must(&["state", "waits"]).stdout;
    let state: Value = serde_json::from_slice(&state).expect("state prints JSON");
    let rollup = fs::read_to_string(format!("/proc/{}/smaps_rollup", state["pid"])).expect("init is there");
    runtime.must(&["delete", "--force", "waits"]);
    let line = rollup.lines().find_map(|line| line.strip_prefix(name)).expect("smaps_rollup has it");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

/// The most that any process of a `run` had at once.
fn peak(runtime: &Runtime) -> u64 {
    let bundle = Bundle::new(runtime.name, Kind::Real, "true");
    let own = env::current_exe().expect("a program knows where it is");
    let one = || {
        let mut command = runtime.call_by(&own, &["--alone"], &["run", "--bundle", bundle.path(), "peak"]);
        let output = command.stdout(Stdio::piped()).output().expect("the program can be executed");
        assert!(output.status.success(), "{} runs alone", runtime.name);
        String::from_utf8_lossy(&output.stdout).trim().parse().expect("a number")
    };
    let mut samples: [u64; 5] = std::array::from_fn(|_| one());
    samples.sort_unstable();
    samples[2]
}

/// `--alone COMMAND…`: say how much memory it has taken at most. A process of its own, for two reasons: the number is the
/// largest of all children there ever were, and it begins at what the parent had when the child was made.
pub(crate) fn alone(words: &[String]) -> ExitCode {
    let Some((program, arguments)) = words.split_first() else { return ExitCode::from(2) };
    let status = Command::new(program).args(arguments).stdout(Stdio::null()).status();
    if !status.is_ok_and(|status| status.success()) {
        return ExitCode::FAILURE;
    }
    println!("{}", getrusage(UsageWho::RUSAGE_CHILDREN).map_or(0, |usage| usage.max_rss()));
    ExitCode::SUCCESS
}
