//! Wall and CPU time of whole processes. The runtimes take turns, in another order each time, and every call waits first: a
//! cgroup is left and entered for nothing when that was done a moment ago, and a tight loop would hide what it costs.

use crate::budget::Measured;
use crate::bundles::{Bundle, Kind, PROGRAM};
use crate::runtimes::Runtime;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use runtime_tests::skip;
use std::collections::BTreeMap;
use std::io::{IsTerminal, stderr};
use std::thread::sleep;
use std::time::{Duration, Instant};

const APART: Duration = Duration::from_millis(150);
/// How many containers `list` has to list.
const MANY: usize = 100;

/// What is timed, and in which order the table has it.
const TIMED: [(&str, &str); 17] = [
    ("basic", "run"),
    ("basic", "create"),
    ("basic", "start"),
    ("basic", "delete"),
    ("real", "run"),
    ("real", "create"),
    ("real", "start"),
    ("real", "delete"),
    ("real", "exec"),
    ("real", "state"),
    ("real", "kill"),
    ("real", "pause"),
    ("real", "resume"),
    ("real", "ps"),
    ("real", "events"),
    ("real", "delete -f"),
    ("real", "list of 100"),
];

/// One call, in milliseconds.
#[derive(Clone, Copy)]
struct Sample {
    wall: f64,
    /// Of the runtime and of all its children that it has waited for.
    cpu: f64,
}

type Samples = BTreeMap<(&'static str, (&'static str, &'static str)), Vec<Sample>>;

pub(crate) fn take(runtimes: &[Runtime], rounds: usize, measured: &mut Measured) {
    let bundles: Vec<Bundles> = runtimes.iter().map(Bundles::new).collect();
    let mut samples = Samples::new();
    // One round more: the first warms the caches.
    for round in 0..=rounds {
        let mut turn = Turn { round, samples: &mut samples };
        for (kind, at) in [(Kind::Basic, 0), (Kind::Real, 1)] {
            for (runtime, bundles) in in_turn(runtimes, &bundles, round) {
                let bundle = bundles.end[at].path();
                turn.time(runtime, (kind.name(), "run"), &["run", "--bundle", bundle, "timed"]);
            }
            for (runtime, bundles) in in_turn(runtimes, &bundles, round + 1) {
                let bundle = bundles.end[at].path();
                turn.time(runtime, (kind.name(), "create"), &["create", "--bundle", bundle, "timed"]);
                turn.time(runtime, (kind.name(), "start"), &["start", "timed"]);
                turn.time(runtime, (kind.name(), "delete"), &["delete", "timed"]);
            }
        }
        for (runtime, bundles) in in_turn(runtimes, &bundles, round) {
            runtime.must(&["create", "--bundle", bundles.pause.at(runtime.name).path(), "pause"]);
            runtime.must(&["start", "pause"]);
            turn.time(runtime, ("real", "exec"), &["exec", "pause", PROGRAM]);
            turn.time(runtime, ("real", "state"), &["state", "pause"]);
            turn.time(runtime, ("real", "kill"), &["kill", "pause", "CONT"]);
            turn.time(runtime, ("real", "pause"), &["pause", "pause"]);
            turn.time(runtime, ("real", "resume"), &["resume", "pause"]);
            turn.time(runtime, ("real", "ps"), &["ps", "--format", "json", "pause"]);
            // Which crun does not have.
            if runtime.name != "crun" {
                turn.time(runtime, ("real", "events"), &["events", "--stats", "pause"]);
            }
            turn.time(runtime, ("real", "delete -f"), &["delete", "--force", "pause"]);
        }
        if stderr().is_terminal() {
            eprint!("\rround {round} of {rounds} ");
        }
    }
    list(runtimes, &bundles, rounds, &mut samples);
    print(runtimes, &samples);
    budget(runtimes, &samples, measured);
}

/// Configs of one runtime.
struct Bundles {
    /// Basic and real, of a program that ends.
    end: [Bundle; 2],
    /// Real, of one that does not.
    pause: Bundle,
}

impl Bundles {
    fn new(runtime: &Runtime) -> Self {
        let end = [Bundle::new(runtime.name, Kind::Basic, "true"), Bundle::new(runtime.name, Kind::Real, "true")];
        Self { end, pause: Bundle::new(runtime.name, Kind::Real, "pause") }
    }
}

/// The runtimes, beginning with another one each time.
fn in_turn<'a>(
    runtimes: &'a [Runtime],
    bundles: &'a [Bundles],
    round: usize,
) -> impl Iterator<Item = (&'a Runtime, &'a Bundles)> {
    let count = runtimes.len();
    runtimes.iter().zip(bundles).cycle().skip(round % count).take(count)
}

struct Turn<'a> {
    round: usize,
    samples: &'a mut Samples,
}

impl Turn<'_> {
    fn time(&mut self, runtime: &Runtime, what: (&'static str, &'static str), words: &[&str]) {
        sleep(APART);
        let sample = sample(runtime, words);
        if self.round > 0 {
            self.samples.entry((runtime.name, what)).or_default().push(sample);
        }
    }
}

fn sample(runtime: &Runtime, words: &[&str]) -> Sample {
    let mut command = runtime.call(words);
    let (before, began) = (cpu(), Instant::now());
    let status = command.status().expect("a runtime can be executed");
    let sample = Sample { wall: began.elapsed().as_secs_f64() * 1e3, cpu: cpu() - before };
    assert!(status.success(), "{} {}: {status}", runtime.name, words.join(" "));
    sample
}

/// Of children that have been waited for: only ever one at a time here.
fn cpu() -> f64 {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).expect("the kernel counts");
    (usage.user_time().num_microseconds() + usage.system_time().num_microseconds()) as f64 / 1e3
}

fn list(runtimes: &[Runtime], bundles: &[Bundles], rounds: usize, samples: &mut Samples) {
    for (runtime, bundles) in runtimes.iter().zip(bundles) {
        for number in 0..MANY {
            let name = format!("{}-{number}", runtime.name);
            runtime.must(&["create", "--bundle", bundles.end[1].at(&name).path(), &name]);
        }
    }
    for round in 0..=rounds {
        let mut turn = Turn { round, samples };
        for (runtime, _) in in_turn(runtimes, bundles, round) {
            turn.time(runtime, ("real", "list of 100"), &["list"]);
        }
    }
    for runtime in runtimes {
        for number in 0..MANY {
            runtime.must(&["delete", "--force", &format!("{}-{number}", runtime.name)]);
        }
    }
}

fn median(values: Vec<f64>) -> f64 {
    part(values, 0.5)
}

fn part(mut values: Vec<f64>, part: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let last = values.len().saturating_sub(1);
    // A place in a list of a few dozen.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let at = (part * last as f64).round() as usize;
    values.get(at).copied().unwrap_or(f64::NAN)
}

fn print(runtimes: &[Runtime], samples: &Samples) {
    let first = samples.values().next().map_or(0, Vec::len);
    println!("\n\nmilliseconds: median (p10 to p95), CPU; {first} samples");
    let names: String = runtimes.iter().map(|runtime| format!("{:>32}", runtime.name)).collect();
    println!("{:<20}{names}", "");
    for what in TIMED {
        let cell = |runtime: &Runtime| {
            let Some(samples) = samples.get(&(runtime.name, what)) else { return format!("{:>32}", "-") };
            let wall = |at| part(samples.iter().map(|sample| sample.wall).collect(), at);
            let cpu = median(samples.iter().map(|sample| sample.cpu).collect());
            format!("{:>32}", format!("{:.2} ({:.2} to {:.2}), {cpu:.2}", wall(0.5), wall(0.1), wall(0.95)))
        };
        println!("{:<20}{}", format!("{} {}", what.0, what.1), runtimes.iter().map(cell).collect::<String>());
    }
}

/// Only ratios are the same on another machine, and only CPU time is nearly the same in another minute.
fn budget(runtimes: &[Runtime], samples: &Samples, measured: &mut Measured) {
    let Some(peer) = runtimes.iter().find(|runtime| runtime.name == "crun") else {
        return skip("CPU time and crun's: there is no crun to compare with");
    };
    let medians = |name: &'static str, what, number: fn(&Sample) -> f64| {
        median(samples.get(&(name, what)).into_iter().flatten().map(number).collect())
    };
    println!("\nrt, in parts of {}: wall, CPU", peer.name);
    for what in TIMED {
        let wall = medians("rt", what, |sample| sample.wall) / medians(peer.name, what, |sample| sample.wall);
        let cpu = medians("rt", what, |sample| sample.cpu) / medians(peer.name, what, |sample| sample.cpu);
        // What the peer does not have.
        if cpu.is_nan() {
            continue;
        }
        println!("{:<20}{wall:>6.2}{cpu:>6.2}", format!("{} {}", what.0, what.1));
        measured.add(format!("CPU in parts of crun's: {} {}", what.0, what.1), cpu);
    }
}
