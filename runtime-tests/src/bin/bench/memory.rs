//! Memory and sizes.

use crate::budget::Measured;
use crate::bundles::{Bundle, Kind};
use crate::runtimes::Runtime;
use crate::{heading, row};
use nix::sys::resource::{UsageWho, getrusage};
use serde_json::Value;
use std::collections::BTreeMap;
use std::process::{Command, ExitCode, Stdio};
use std::thread::sleep;
use std::time::Duration;
use std::{env, fs};

pub(crate) fn take(runtimes: &[Runtime], measured: &mut Measured) {
    heading("memory, real config, KiB", runtimes);
    let waiting: BTreeMap<&str, Waiting> = runtimes.iter().map(|runtime| (runtime.name, waiting(runtime))).collect();
    let mut line = |title: &str, budget: bool, number: &dyn Fn(&Runtime) -> u64| {
        let all: BTreeMap<&str, u64> = runtimes.iter().map(|runtime| (runtime.name, number(runtime))).collect();
        row(title, runtimes, |runtime| Some(all[runtime.name].to_string()));
        if budget {
            measured.add(format!("KiB: {title}"), all["rt"] as f64);
        }
    };
    line("the init that waits, resident", true, &|runtime| waiting[runtime.name].resident);
    line("the init that waits, its own", false, &|runtime| waiting[runtime.name].own);
    line("run, peak", true, &peak);
    line("the program's file", true, &|runtime| {
        fs::metadata(&runtime.program).map_or(0, |metadata| metadata.len().div_ceil(1024))
    });
}

/// Of a process that `create` has left behind.
struct Waiting {
    resident: u64,
    /// Shared with nobody.
    own: u64,
}

/// The least of a few: what the kernel maps ahead depends on what it has in its cache.
fn waiting(runtime: &Runtime) -> Waiting {
    let bundle = Bundle::new(runtime.name, Kind::Real, "true");
    let samples = (0..3).map(|_| {
        runtime.must(&["create", "--bundle", bundle.path(), "waits"]);
        let state = runtime.must(&["state", "waits"]).stdout;
        let state: Value = serde_json::from_slice(&state).expect("state prints JSON");
        // `create` does not wait until init does, and init gives back memory before it sleeps.
        sleep(Duration::from_millis(50));
        // It counts pages, where other files of /proc estimate.
        let rollup = fs::read_to_string(format!("/proc/{}/smaps_rollup", state["pid"])).expect("init is there");
        runtime.must(&["delete", "--force", "waits"]);
        let number = |name: &str| -> u64 {
            let lines = rollup.lines().filter_map(|line| line.strip_prefix(name));
            lines.map(|line| line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number")).sum()
        };
        Waiting { resident: number("Rss:"), own: number("Private_Clean:") + number("Private_Dirty:") }
    });
    samples.min_by_key(|waiting| waiting.resident).expect("three")
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
