//! Strings and lists of strings inside a message.

use core::ffi::CStr;
use core::fmt;

/// A string of the plan. Borrowed from the config when it is written, from the message when it is read: then with
/// its NUL, so that init can hand it to the kernel as it is.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Text<'a>(pub(crate) &'a [u8]);

impl<'a> Text<'a> {
    /// The bytes, without a NUL at the end.
    #[inline(never)]
    pub fn bytes(self) -> &'a [u8] {
        match self.0 {
            [bytes @ .., 0] => bytes,
            bytes => bytes,
        }
    }

    /// As the kernel wants it. Only a text that was read from a message has its NUL; another reads as empty.
    #[inline(never)]
    pub fn c(self) -> &'a CStr {
        CStr::from_bytes_until_nul(self.0).unwrap_or(c"")
    }

    /// The text without its first `count` bytes.
    #[inline(never)]
    pub fn skip(self, count: usize) -> Text<'a> {
        Text(self.0.get(count..).unwrap_or_default())
    }

    /// Whether there is nothing in it.
    pub fn is_empty(self) -> bool {
        self.bytes().is_empty()
    }
}

impl<'a> From<&'a str> for Text<'a> {
    fn from(text: &'a str) -> Self {
        Self(text.as_bytes())
    }
}

impl<'a> From<&'a CStr> for Text<'a> {
    fn from(text: &'a CStr) -> Self {
        Self(text.to_bytes_with_nul())
    }
}

impl<'a> From<&'a [u8]> for Text<'a> {
    fn from(text: &'a [u8]) -> Self {
        Self(text)
    }
}

/// Printable ASCII as it is, everything else escaped: a path must not be able to forge a line of a log.
impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.bytes().utf8_chunks() {
            for c in chunk.valid().chars() {
                if c.is_control() { write!(f, "{}", c.escape_default())? } else { write!(f, "{c}")? }
            }
            for byte in chunk.invalid() {
                write!(f, "\\x{byte:02x}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

/// Bytes that are no text: nothing is added to them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Bytes<'a>(pub &'a [u8]);

/// A list of strings: `count` words end to end, each with its NUL.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Texts<'a> {
    pub(crate) count: u32,
    pub(crate) words: &'a [u8],
}

impl<'a> Texts<'a> {
    /// The list whose words lie in `words`, each followed by a NUL.
    pub fn new(words: &'a [u8]) -> Self {
        let count = words.iter().filter(|byte| **byte == 0).count();
        Self { count: u32::try_from(count).unwrap_or(u32::MAX), words }
    }

    /// How many there are.
    pub fn len(self) -> usize {
        self.count as usize
    }

    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self.count == 0
    }

    /// One after the other.
    pub fn iter(self) -> impl Iterator<Item = &'a CStr> {
        let mut rest = self.words;
        core::iter::from_fn(move || {
            let word = CStr::from_bytes_until_nul(rest).ok()?;
            rest = rest.get(word.count_bytes().checked_add(1)?..)?;
            Some(word)
        })
    }
}

impl fmt::Display for Texts<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, word) in self.iter().enumerate() {
            if index > 0 {
                f.write_str(" ")?;
            }
            write!(f, "{}", Text::from(word))?;
        }
        Ok(())
    }
}

impl fmt::Debug for Texts<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{self}]")
    }
}
