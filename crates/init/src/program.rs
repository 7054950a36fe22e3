//! The container's program: found, and executed.

use crate::fd::Fd;
use crate::hands::{At, Done, Failure, Hands};
use crate::path::{self, Buffer, Last};
use core::ffi::CStr;
use rt_sys::exec::{Words, execve};
use rt_sys::map;
use rt_wire::{Part, Text, Texts};
use rustix::fs::{Access, AtFlags, CWD, FileType, Mode, OFlags, accessat, fstat, openat, statat};
use rustix::io::{Errno, read};

#[inline(never)]
pub(crate) fn find(name: Text<'_>, search: Text<'_>) -> Done {
    search_for(name, search, may_execute)
}

/// Whether execve(2) would not fail for what can be known before.
pub(crate) fn may_execute(candidate: &CStr) -> Result<(), Errno> {
    let stat = statat(CWD, candidate, AtFlags::empty())?;
    if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
        return Err(Errno::ISDIR);
    }
    accessat(CWD, candidate, Access::EXEC_OK, AtFlags::EACCESS)
}

/// Try `name` as it is if it has a slash, else in every directory of `search`, until one does not fail as a missing
/// or unusable file does. A file that is there but may not be executed is remembered, as a shell would.
fn search_for(name: Text<'_>, search: Text<'_>, mut attempt: impl FnMut(&CStr) -> Result<(), Errno>) -> Done {
    if name.bytes().contains(&b'/') {
        return Ok(attempt(name.c())?);
    }
    let mut answer = Failure { part: Part::NotInPath, errno: Errno::NOENT };
    let mut candidate = Buffer::new();
    for directory in search.bytes().split(|byte| *byte == b':') {
        candidate.clear();
        // An empty entry is the working directory.
        candidate.push(if directory.is_empty() { b"." } else { directory })?;
        candidate.join(name.bytes())?;
        match attempt(candidate.c()) {
            Ok(()) => return Ok(()),
            Err(Errno::NOENT | Errno::NOTDIR | Errno::ISDIR) => {}
            Err(errno @ Errno::ACCESS) => answer = Failure { part: Part::Whole, errno },
            Err(errno) => return Err(Failure::from(errno)),
        }
    }
    Err(answer)
}

/// Become the program. Returns only to say why not.
#[inline(never)]
pub(crate) fn exec(hands: &mut Hands, args: Texts<'_>, env: Texts<'_>, search: Text<'_>, home: Text<'_>) -> Failure {
    let Some(name) = args.iter().next() else { return Failure::from(Errno::INVAL) };
    let filter = &mut hands.filter;
    let started = start(Text::from(name), args, env, search, home, |path, args, env| {
        if filter.is_some() {
            // Behind it there may be no second try, and no word.
            may_execute(path)?;
        }
        if let Some((filter, flags)) = filter.take() {
            rt_sys::filter::load(filter, flags)?;
        }
        Err(execve(path, args, env))
    });
    match started {
        Ok(()) => Failure::from(Errno::NOEXEC),
        Err(failure) => failure,
    }
}

/// Let `attempt` execute each path that the program `name` may have, until one answers with something else than that there is
/// no such program.
#[inline(never)]
pub(crate) fn start(
    name: Text<'_>,
    args: Texts<'_>,
    env: Texts<'_>,
    search: Text<'_>,
    home: Text<'_>,
    mut attempt: impl FnMut(&CStr, &Words<'_>, &Words<'_>) -> Result<(), Errno>,
) -> Done {
    let mut variable = Buffer::new();
    let home = if home.is_empty() {
        None
    } else {
        variable.push(b"HOME=")?;
        find_home(home.bytes(), &mut variable)?;
        Some(variable.c())
    };
    // Most are small; the rest gets a mapping.
    let count = args.len().saturating_add(env.len()).saturating_add(3);
    let mut small = [0usize; 128];
    let table = if count <= small.len() { &mut small[..] } else { map::words(count)? };
    let (args_table, env_table) = table.split_at_mut_checked(args.len().saturating_add(1)).ok_or(Errno::TOOBIG)?;
    let words = Words::new(args_table, args.iter()).ok_or(Errno::TOOBIG)?;
    let variables = Words::new(env_table, env.iter().chain(home)).ok_or(Errno::TOOBIG)?;
    search_for(name, search, |candidate| attempt(candidate, &words, &variables))
}

/// No passwd file is longer than this: past it, reading stops (a file that never ends).
const PASSWD_MAX: usize = 16 << 20;

/// Append the home directory of user `uid` in the container's /etc/passwd: `/` if there is none. The file is the
/// image's: not followed out of the root, not waited for, and not read without end.
fn find_home(uid: &[u8], home: &mut Buffer) -> Done {
    let root = Fd::from(openat(CWD, c"/", OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?);
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
    let passwd = match path::open(rustix::fd::AsFd::as_fd(&root), c"etc/passwd", flags, Last::Follow) {
        Ok(passwd) => passwd,
        Err(_) => return Ok(home.push(b"/")?),
    };
    if FileType::from_raw_mode(fstat(&passwd)?.st_mode) != FileType::RegularFile {
        return Ok(home.push(b"/")?);
    }
    let mut line = Line { field: 0, matches: true, at: 0, home: Buffer::new() };
    let mut chunk = [0u8; 512];
    let mut total = 0usize;
    while total < PASSWD_MAX {
        let len = read(&passwd, &mut chunk).unwrap_or(0);
        let Some(bytes) = chunk.get(..len).filter(|bytes| !bytes.is_empty()) else { break };
        for byte in bytes {
            if line.take(*byte, uid) {
                return home.push(line.home.c().to_bytes()).at(Part::Whole);
            }
        }
        total = total.saturating_add(len);
    }
    // A last line without its newline.
    let found = line.take(b'\n', uid) && total > 0;
    Ok(home.push(if found { line.home.c().to_bytes() } else { b"/" })?)
}

/// passwd(5), a byte at a time: name:password:UID:GID:gecos:DIRECTORY:shell.
struct Line {
    field: u8,
    /// The third field is the user's number so far.
    matches: bool,
    /// How many bytes of it.
    at: usize,
    home: Buffer,
}

impl Line {
    /// Whether a whole line was the user's, with a home directory.
    fn take(&mut self, byte: u8, uid: &[u8]) -> bool {
        match (byte, self.field) {
            (b'\n', _) => {
                let found = self.field >= 5 && self.matches && !self.home.c().is_empty();
                if !found {
                    *self = Self { field: 0, matches: true, at: 0, home: Buffer::new() };
                }
                return found;
            }
            (b':', 2) => {
                self.matches = self.matches && self.at == uid.len();
                self.field = 3;
            }
            (b':', field) => self.field = field.saturating_add(1),
            (byte, 2) => {
                self.matches = self.matches && uid.get(self.at) == Some(&byte);
                self.at = self.at.saturating_add(1);
            }
            // A home longer than a path can be is none.
            (byte, 5) => self.matches = self.matches && self.home.push(&[byte]).is_ok(),
            _ => {}
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn home(passwd: &str, uid: &str) -> Option<std::string::String> {
        let mut line = Line { field: 0, matches: true, at: 0, home: Buffer::new() };
        for byte in passwd.bytes().chain([b'\n']) {
            if line.take(byte, uid.as_bytes()) {
                return line.home.c().to_str().ok().map(Into::into);
            }
        }
        None
    }

    #[test]
    fn home_is_the_sixth_field_of_the_line_with_the_number() {
        let passwd = "root:x:0:0::/root:/bin/sh\nweb:x:1000:1000:a,b:/srv/web:/bin/sh";
        assert_eq!(home(passwd, "0").as_deref(), Some("/root"));
        assert_eq!(home(passwd, "1000").as_deref(), Some("/srv/web"));
        assert_eq!(home(passwd, "100"), None);
        assert_eq!(home(passwd, "10000"), None);
    }

    #[test]
    fn lines_that_are_no_entries_are_passed_over() {
        assert_eq!(home("\n::::\nx:1000\nweb:x:1000:1:::/bin/sh\n:x:1000:::/ok", "1000").as_deref(), Some("/ok"));
    }
}
