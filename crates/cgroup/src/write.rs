//! One value for one file: what limits come down to.

use crate::error::Error;
use std::borrow::Cow;
use std::fmt;

/// A value for a file of the container's cgroup.
///
/// Writes are in the order that suits a new cgroup. In one that has limits already the kernel may want another
/// (EINVAL: a quota for a period, a limit for a swap limit); what it refuses so is written again after the rest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// Whose file it is, as the hierarchy that it is for names it: `blkio` on v1 is `io` on v2. The files of
    /// `cgroup` are everybody's.
    pub controller: Cow<'static, str>,
    /// Its name: no path.
    pub file: Cow<'static, str>,
    /// What to write, in one write(2).
    pub value: String,
    /// What asked for it, as the spec names it.
    pub field: Cow<'static, str>,
    /// What it means when there is no such file.
    pub missing: Missing,
}

/// What a missing file means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Missing {
    /// What was asked for can't be had.
    Refuse,
    /// It is as if written: the value is what holds without the file.
    Skip,
    /// Another file of the same controller takes another value.
    Instead {
        /// Its name.
        file: &'static str,
        /// What to write there.
        value: String,
    },
}

impl Write {
    pub(crate) fn new(
        controller: &'static str,
        file: impl Into<Cow<'static, str>>,
        value: impl fmt::Display,
        field: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            controller: Cow::Borrowed(controller),
            file: file.into(),
            value: value.to_string(),
            field: field.into(),
            missing: Missing::Refuse,
        }
    }

    pub(crate) fn or_skip(mut self) -> Self {
        self.missing = Missing::Skip;
        self
    }

    pub(crate) fn or_skip_if(self, skip: bool) -> Self {
        if skip { self.or_skip() } else { self }
    }

    pub(crate) fn or_instead(mut self, file: &'static str, value: impl fmt::Display) -> Self {
        self.missing = Missing::Instead { file, value: value.to_string() };
        self
    }

    /// A file name is joined to a directory's descriptor, so it must be one name, whoever made it.
    pub(crate) fn checked_file(&self) -> Result<&str, Error> {
        match self.file.contains('/') || self.file.is_empty() {
            false => Ok(&self.file),
            true => Err(Error::config(self.field.clone(), format!("{:?} is not the name of a file", self.file))),
        }
    }
}

impl fmt::Display for Write {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} = {}", self.file, self.value)?;
        match &self.missing {
            Missing::Instead { file, value } => write!(f, " (or {file} = {value})"),
            Missing::Refuse | Missing::Skip => Ok(()),
        }
    }
}
