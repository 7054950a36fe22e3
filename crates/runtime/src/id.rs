//! Names of containers.

use crate::Error;
use std::fmt;

/// A container's name: safe as the name of a directory.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Id(String);

impl Id {
    /// Letters, digits and `_+-.`; neither `.` nor `..`; no longer than a file name (255 bytes).
    ///
    /// # Errors
    /// [`Error::InvalidId`].
    pub fn parse(text: &str) -> Result<Self, Error> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || "_+-.".contains(c);
        let fits = (1..=255).contains(&text.len());
        if fits && text.chars().all(allowed) && !matches!(text, "." | "..") {
            Ok(Self(text.to_owned()))
        } else {
            Err(Error::InvalidId(text.to_owned()))
        }
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_never_a_path() {
        for text in ["", ".", "..", "a/b", "../x", "a b", "a\0b", "a\n", "é", &"x".repeat(256)] {
            assert!(Id::parse(text).is_err(), "{text:?}");
        }
        for text in ["a", "web-1", "_x+y.z", "...", "-x", &"x".repeat(255)] {
            assert!(Id::parse(text).is_ok(), "{text:?}");
        }
    }
}
