//! Whole processes of rt, timed and counted beside crun and runc in the same run.
//!
//!     cargo run --release -p runtime-tests --bin bench              # three minutes: table, counts, budget
//!     cargo run --release -p runtime-tests --bin bench -- --counts  # seconds: only what is the same every time
//!     cargo run --release -p runtime-tests --bin bench -- --update  # and write the budget down anew
//!
//! It takes root, and enters a view of its own (`in-view v2`) first. What can't run is named, never passed over.

mod budget;
mod bundles;
mod counts;
mod memory;
mod runtimes;
mod times;

use budget::{Budget, Measured};
use runtime_tests::runtime_path;
use runtimes::Runtime;
use std::env;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode};

const USAGE: &str = "usage: bench [--counts] [--update] [--samples NUMBER]";

/// What the command line says.
struct Asked {
    counts_only: bool,
    update: bool,
    samples: usize,
}

fn main() -> ExitCode {
    let words: Vec<String> = env::args().skip(1).collect();
    if words.first().is_some_and(|word| word == "--alone") {
        return memory::alone(&words[1..]);
    }
    let Some(asked) = parse(&words) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    match env::var("RT_TEST_VIEW").as_deref() {
        Ok("v2") => bench(&asked),
        Ok(view) => {
            eprintln!("bench: it wants the view v2, not {view}: crun refuses any other");
            ExitCode::from(2)
        }
        Err(_) => enter_view(&words),
    }
}

fn parse(words: &[String]) -> Option<Asked> {
    let mut asked = Asked { counts_only: false, update: false, samples: 25 };
    let mut words = words.iter();
    while let Some(word) = words.next() {
        match word.as_str() {
            "--counts" => asked.counts_only = true,
            "--update" => asked.update = true,
            "--samples" => asked.samples = words.next()?.parse().ok().filter(|samples| *samples > 0)?,
            _ => return None,
        }
    }
    Some(asked)
}

/// Again, where nothing of the machine can be reached: mounts, processes and cgroups of the view's own, a tmpfs on /run.
fn enter_view(words: &[String]) -> ExitCode {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("in-view");
    let own = env::current_exe().expect("a program knows where it is");
    let error = Command::new(&script).arg("v2").arg(own).args(words).env("RUNTIME", runtime_path()).exec();
    eprintln!("bench: {}: {error}", script.display());
    ExitCode::from(2)
}

fn bench(asked: &Asked) -> ExitCode {
    let runtimes = runtimes::all();
    let mut measured = Measured::default();
    counts::take(&runtimes, &mut measured);
    memory::take(&runtimes, &mut measured);
    if !asked.counts_only {
        times::take(&runtimes, asked.samples, &mut measured);
    }
    let budget = Budget::read();
    if asked.update {
        budget.update(&measured);
        return ExitCode::SUCCESS;
    }
    if budget.keeps(&measured) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// A line of numbers, one column for each runtime.
fn row(title: &str, runtimes: &[Runtime], cell: impl FnMut(&Runtime) -> Option<String>) {
    let cells = runtimes.iter().map(cell).map(|cell| format!("{:>14}", cell.unwrap_or_else(|| "-".into())));
    println!("{title:<44}{}", cells.collect::<String>());
}

fn heading(title: &str, runtimes: &[Runtime]) {
    println!();
    row(title, runtimes, |runtime| Some(runtime.name.into()));
}
