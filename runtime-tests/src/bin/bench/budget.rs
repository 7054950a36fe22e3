//! What rt may cost: a file in the repository, so that a change of it is a line in a review.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Numbers of this run, by name.
#[derive(Default)]
pub(crate) struct Measured(BTreeMap<String, f64>);

impl Measured {
    pub(crate) fn add(&mut self, name: String, number: f64) {
        self.0.insert(name, number);
    }
}

/// The most that each may be.
pub(crate) struct Budget(BTreeMap<String, f64>);

impl Budget {
    pub(crate) fn read() -> Self {
        let text = fs::read_to_string(path()).unwrap_or_else(|_| "{}".into());
        Self(serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path().display())))
    }

    /// Say what is beyond it, and what has become so much less that it could be written down.
    pub(crate) fn keeps(&self, measured: &Measured) -> bool {
        let mut keeps = true;
        println!();
        for (name, number) in &measured.0 {
            match self.0.get(name) {
                Some(most) if number > most => {
                    println!("over budget: {name}: {}, at most {}", show(*number), show(*most));
                    keeps = false;
                }
                Some(most) if is_well_below(name, *number, *most) => {
                    println!("under budget: {name}: {}, at most {}", show(*number), show(*most));
                }
                Some(_) => {}
                None => {
                    println!("not in the budget: {name}: {}", show(*number));
                    keeps = false;
                }
            }
        }
        let what = if keeps { "kept" } else { "NOT kept; if that is meant: bench --update" };
        println!("{} of {} numbers compared with {}: {what}", measured.0.len(), self.0.len(), path().display());
        keeps
    }

    /// Write down what was measured, and leave what was not.
    pub(crate) fn update(self, measured: &Measured) {
        let mut all = self.0;
        all.extend(measured.0.iter().map(|(name, number)| (name.clone(), allowance(name, *number))));
        let lines: Vec<String> = all.iter().map(|(name, most)| format!("  {:?}: {}", name, show(*most))).collect();
        fs::write(path(), format!("{{\n{}\n}}\n", lines.join(",\n"))).expect("the budget can be written");
        println!("\nwritten: {}", path().display());
    }
}

/// Counts are what they are. Memory comes in pages, of which the kernel maps some ahead; a ratio of times has a bad day.
fn allowance(name: &str, number: f64) -> f64 {
    if name.starts_with("KiB") {
        (number * 1.06 / 4.0).ceil() * 4.0
    } else if name.starts_with("CPU") {
        (number * 1.25 * 20.0).ceil() / 20.0
    } else {
        number
    }
}

/// Whether the budget could be lowered: for counts by one, for the rest by more than luck.
fn is_well_below(name: &str, number: f64, most: f64) -> bool {
    let by = if name.starts_with("KiB") || name.starts_with("CPU") { 0.85 } else { 1.0 };
    allowance(name, number) < most * by
}

fn show(number: f64) -> String {
    if number.fract() == 0.0 { format!("{number:.0}") } else { format!("{number:.2}") }
}

fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/budget.json")
}
