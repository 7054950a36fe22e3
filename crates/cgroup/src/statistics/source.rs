//! The directory that statistics are read from.

use super::flat;
use crate::error::Error;
use crate::files::{self, Dir, is_gone};
use rustix::fd::AsFd;
use rustix::io::Errno;
use std::cell::RefCell;

/// A directory, if there is one. What is not there has nothing to say; the first other error is kept.
pub(super) struct Source<'a> {
    pub(super) dir: Option<Dir>,
    failed: &'a RefCell<Option<Error>>,
}

impl<'a> Source<'a> {
    pub(super) fn new(dir: Option<&str>, failed: &'a RefCell<Option<Error>>) -> Self {
        Self { dir: dir.and_then(|dir| Dir::open(dir).ok()), failed }
    }

    /// The whole of a file.
    pub(super) fn read(&self, file: &str) -> Option<String> {
        let dir = self.dir.as_ref()?;
        match files::read(dir.fd.as_fd(), file) {
            Ok(text) => Some(text),
            Err(errno) => {
                // A threaded cgroup has no list of processes, and a kernel with pressure switched off has no pressure.
                if !is_gone(errno) && errno != Errno::OPNOTSUPP {
                    self.failed.borrow_mut().get_or_insert_with(|| Error::file("read", dir.file(file), errno));
                }
                None
            }
        }
    }

    /// The number that is all of a file.
    pub(super) fn number(&self, file: &str) -> Option<u64> {
        self.read(file).map(|text| flat::number(&text))
    }

    /// The number of one key of a file, 0 where it has no such key.
    pub(super) fn value(&self, file: &str, key: &str) -> Option<u64> {
        Some(flat::pairs(&self.read(file)?).find(|(name, _)| *name == key).map_or(0, |(_, value)| value))
    }

    /// The sizes of huge pages that there are files for, sorted as text.
    pub(super) fn page_sizes(&self, suffix: &str) -> Vec<String> {
        let names = self.dir.as_ref().and_then(|dir| files::names(dir.fd.as_fd()).ok()).unwrap_or_default();
        let mut sizes: Vec<String> = Vec::new();
        for size in names.iter().filter_map(|name| name.strip_prefix("hugetlb.")?.strip_suffix(suffix)) {
            if let (false, Err(at)) = (size.contains('.'), sizes.binary_search_by(|known| known.as_str().cmp(size))) {
                sizes.insert(at, size.to_owned());
            }
        }
        sizes
    }
}
