//! What can be wrong with a config, by what its author has to do.

use thiserror::Error;

/// A config that no container can be made of.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum Error {
    /// Not JSON, or not the JSON of a config.
    #[error("config.json, line {line} column {column} (byte {byte}){}: {problem}", at(.field))]
    Parse {
        /// From 1.
        line: usize,
        /// From 1.
        column: usize,
        /// From 0.
        byte: usize,
        /// The path to the value, as `process.args[2]`; empty where the JSON itself is broken.
        field: String,
        /// What serde_json says.
        problem: String,
    },
    /// A string with a NUL in it: no path, name or argument of the kernel's can have one.
    #[error("config.json, byte {byte}: a string with a NUL character (\\u0000) can't be passed to the kernel")]
    Nul {
        /// From 0.
        byte: usize,
    },
    /// Larger than any config is.
    #[error("config.json: it is longer than the {most} bytes that rt reads")]
    TooLong {
        /// Bytes.
        most: u64,
    },
    /// A field that has to be there is not.
    #[error("config.json: {field} is missing: {why}")]
    Missing {
        /// The path to it.
        field: &'static str,
        /// What it is for.
        why: &'static str,
    },
    /// A value that is not allowed, or does not go with another.
    #[error("config.json: {field}: {problem}")]
    Invalid {
        /// The path to it.
        field: String,
        /// What is wrong with it, and what would be right.
        problem: String,
    },
    /// The config asks for what this version can't give. Running without it would run unconfined.
    #[error("config.json: {field}: {what} can't be set up by this version of rt; remove the field to run without it")]
    Unsupported {
        /// The path to it.
        field: String,
        /// What it asks for.
        what: &'static str,
    },
    /// The config asks for what this host does not have.
    #[error("config.json: {field}: {lack}")]
    Host {
        /// The path to it.
        field: String,
        /// What the host lacks, and what to do.
        lack: String,
    },
}

fn at(field: &str) -> String {
    if field.is_empty() { String::new() } else { format!(", at {field}") }
}

/// Shorthand for [`Error::Invalid`].
pub(crate) fn invalid(field: impl Into<String>, problem: impl Into<String>) -> Error {
    Error::Invalid { field: field.into(), problem: problem.into() }
}

/// A kernel's answer in the words that engines look for: strerror(3) in lower case.
pub fn words(errno: i32) -> String {
    let text = std::io::Error::from_raw_os_error(errno).to_string().to_lowercase();
    match text.split_once(" (os error") {
        Some((words, _)) => words.to_owned(),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::words;

    #[test]
    fn kernel_answers_are_lower_case_words() {
        for (errno, text) in
            [(2, "no such file or directory"), (1, "operation not permitted"), (16, "device or resource busy")]
        {
            assert_eq!(words(errno), text);
        }
    }
}
