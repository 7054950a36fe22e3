//! Makes what is derived from rt's command line, and checked in: the completion scripts and the manual pages.
//!
//! A program of its own, because what it is made of has no place in rt, whose memory is counted in pages. A test here
//! fails when the files are not what this program would write.

mod completions;
mod pages;

/// The one definition of the command line: rt's own.
// What rt does with a command line that was understood is not used here.
#[allow(dead_code)]
#[path = "../../rt/src/args.rs"]
mod args;

use std::path::{Path, PathBuf};
use std::{fs, io};

/// A file of the repository.
struct Generated {
    path: PathBuf,
    text: String,
}

fn main() -> io::Result<()> {
    write()
}

/// Everything, below the repository's root.
fn generated() -> io::Result<Vec<Generated>> {
    let mut files = completions::all();
    files.extend(pages::all()?);
    Ok(files)
}

fn write() -> io::Result<()> {
    for path in surplus(&generated()?)? {
        fs::remove_file(path)?;
    }
    for Generated { path, text } in generated()? {
        let path = root().join(path);
        if let Some(directory) = path.parent() {
            fs::create_dir_all(directory)?;
        }
        fs::write(path, text)?;
    }
    Ok(())
}

/// Files beside the generated ones: those of a command that is gone.
fn surplus(files: &[Generated]) -> io::Result<Vec<PathBuf>> {
    let mut surplus = Vec::new();
    for directory in [completions::DIRECTORY, pages::DIRECTORY] {
        for entry in fs::read_dir(root().join(directory))? {
            let path = entry?.path();
            if !files.iter().any(|file| root().join(&file.path) == path) {
                surplus.push(path);
            }
        }
    }
    Ok(surplus)
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_those_of_the_command_line() {
        if std::env::var_os("UPDATE_GENERATED").is_some() {
            write().expect("the repository can be written to");
        }
        let files = generated().expect("the texts are there");
        for Generated { path, text } in &files {
            let found = fs::read_to_string(root().join(path)).unwrap_or_default();
            assert!(found == *text, "{} is out of date: make manual", path.display());
        }
        assert_eq!(surplus(&files).expect("the directories are there"), Vec::<PathBuf>::new());
    }
}
