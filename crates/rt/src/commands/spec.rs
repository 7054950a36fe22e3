//! `rt spec`.

use crate::args::SpecArgs;
use rt_runtime::Error;
use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};

/// The example that the repository's own first container is made of.
const EXAMPLE: &str = include_str!("../../../../config.example.json");

pub(super) fn spec(args: &SpecArgs) -> Result<(), Error> {
    let path = args.bundle.join("config.json");
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(&path)
        .and_then(|mut file| file.write_all(EXAMPLE.as_bytes()));
    written.map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => Error::Usage(format!("File {} exists. Remove it first", path.display())),
        _ => Error::File { attempt: "write", path: path.clone(), errno: error.raw_os_error().unwrap_or(0) },
    })
}
