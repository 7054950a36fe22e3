//! The bundle: a directory with a config.json.

use crate::Error;
use crate::error::On;
use crate::read::read_all;
use rt_plan::spec::LONGEST;
use std::path::{Path, PathBuf};

/// Bytes that the first read of a config is for: most have less, and the heap need not grow for so much.
const FIRST: usize = 16 << 10;

/// A bundle, its config read once.
#[derive(Debug)]
pub(crate) struct Bundle {
    /// Absolute.
    pub(crate) path: String,
    /// The bytes of the config.
    pub(crate) config: Vec<u8>,
}

impl Bundle {
    /// `config` is config.json in the bundle, unless another file is named.
    pub(crate) fn open(path: &Path, config: Option<&Path>) -> Result<Self, Error> {
        let path = if path.is_absolute() { path.to_owned() } else { current_directory()?.join(path) };
        // Without the dots and doubled slashes that people type.
        let path: PathBuf = path.components().collect();
        let file = config.map_or_else(|| path.join("config.json"), Path::to_owned);
        let opened = std::fs::File::open(&file).on("open", &file)?;
        let bytes = read_all(&opened, FIRST, LONGEST).on("read", &file)?;
        let Some(text) = path.to_str() else {
            return Err(Error::Usage(format!(
                "the bundle's path {} is not UTF-8, as the config and the state have to be",
                path.display()
            )));
        };
        Ok(Self { path: text.to_owned(), config: bytes })
    }
}

fn current_directory() -> Result<PathBuf, Error> {
    std::env::current_dir().on("find the working directory of rt, which a relative bundle counts from:", ".")
}
