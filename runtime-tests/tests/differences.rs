//! DIFFERENCES.md lists what the tests know, and nothing else.

use std::{collections::BTreeSet, fs, path::Path};

#[test]
fn every_difference_is_written_down_and_every_one_written_down_is_tested() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut used = BTreeSet::new();
    for directory in ["src", "tests"] {
        for entry in fs::read_dir(here.join(directory)).expect("it can be read").flatten() {
            // A directory has no tests.
            let Ok(text) = fs::read_to_string(entry.path()) else { continue };
            let ids = text.split("differs(\"").skip(1).filter_map(|rest| rest.split('"').next().map(str::to_owned));
            used.extend(ids.filter(|id| !id.contains(')')));
        }
    }
    let document = fs::read_to_string(here.join("DIFFERENCES.md")).expect("it can be read");
    let written: BTreeSet<_> =
        document.lines().filter_map(|line| line.strip_prefix("## ").map(str::to_owned)).collect();
    assert_eq!(used, written);
}
