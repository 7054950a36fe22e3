//! `ps`: the processes of a container, as the host's ps(1) describes them.

use crate::error::On;
use crate::read::read_all;
use crate::{Error, Id, Store};
use rt_cgroup::Existing;
use rt_sys::command::{Command, End, Tail, run};
use rt_sys::exec::Words;
use rustix::fd::AsFd;
use rustix::fs::{Access, CWD, MemfdFlags, Mode, OFlags, SeekFrom, access, memfd_create, openat, seek};
use rustix::io::Errno;
use std::ffi::{CString, OsStr, OsString};
use std::fs::File;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// Bytes of the longest table that is read: that of a million processes.
const LONGEST: usize = 256 << 20;

/// The processes of a container, in its own pid namespace or not, as our pid namespace numbers them. One that has
/// stopped has none.
///
/// # Errors
/// [`Error::NoSuchContainer`], [`Error::Cgroup`].
pub fn pids(store: &Store, id: &Id) -> Result<Vec<i32>, Error> {
    let pids = Existing::open(&store.find(id)?.record.cgroup_paths).pids()?;
    Ok(pids.into_iter().map(|pid| pid.as_raw_nonzero().get()).collect())
}

/// What ps(1) says about `pids`, asked with `words`, or with `-ef`.
///
/// # Errors
/// [`Error::Usage`] in runc's words where ps refuses the words, or shows no process numbers.
pub fn ps_table(pids: &[i32], words: &[OsString]) -> Result<String, Error> {
    select(&ps(words)?, pids)
}

/// The answer of ps(1). It goes to a memory file, which holds as much as there is.
fn ps(words: &[OsString]) -> Result<String, Error> {
    let path = find("ps").ok_or_else(|| Error::Usage("\"ps\": executable file not found in $PATH".to_owned()))?;
    let default = [OsString::from("-ef")];
    let words = if words.is_empty() { &default } else { words };
    let args = strings(std::iter::once(OsStr::new("ps").to_owned()).chain(words.iter().cloned()));
    let env = strings(std::env::vars_os().map(|(mut name, value)| {
        name.push("=");
        name.push(value);
        name
    }));
    let mut tables = (vec![0; args.len() + 1], vec![0; env.len() + 1]);
    let fill = || Error::Call { attempt: "write the arguments of ps", errno: Errno::TOOBIG };
    let args = Words::new(&mut tables.0, args.iter().map(CString::as_c_str)).ok_or_else(fill)?;
    let env = Words::new(&mut tables.1, env.iter().map(CString::as_c_str)).ok_or_else(fill)?;
    let nothing = openat(CWD, "/dev/null", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).on("open", "/dev/null")?;
    let output = match memfd_create(c"rt-ps", MemfdFlags::CLOEXEC | MemfdFlags::NOEXEC_SEAL) {
        // Before 6.3 there is no such flag. Where vm.memfd_noexec is 2 there is, and it is needed.
        Err(Errno::INVAL) => memfd_create(c"rt-ps", MemfdFlags::CLOEXEC),
        file => file,
    };
    let output = output.map_err(Error::call("make a memory file for the answer of ps"))?;
    let mut errors = Tail::new();
    let command = Command {
        path: &path,
        args: &args,
        env: &env,
        directory: None,
        input: nothing.as_fd(),
        output: Some(output.as_fd()),
        errors: None,
        seconds: None,
        ignored: 0,
        filter: None,
    };
    let end = run(&command, &mut errors).map_err(Error::call("run ps"))?;
    if end != End::Exited(0) {
        let said = String::from_utf8_lossy(errors.bytes());
        return Err(Error::Usage(match end {
            End::Exited(status) => format!("ps: exit status {status}: {}", said.trim()),
            _ => format!("ps: {end:?}: {}", said.trim()),
        }));
    }
    seek(&output, SeekFrom::Start(0)).map_err(Error::call("read what ps has said"))?;
    let bytes = read_all(File::from(output), 32 << 10, LONGEST).on("read", "what ps has said")?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// A program, where `PATH` has it.
fn find(name: &str) -> Option<CString> {
    let path = std::env::var_os("PATH")?;
    let mut places = path.as_bytes().split(|byte| *byte == b':').filter(|place| !place.is_empty());
    places.find_map(|place| {
        let whole = CString::new([place, b"/", name.as_bytes()].concat()).ok()?;
        access(&whole, Access::EXEC_OK).ok().map(|()| whole)
    })
}

/// As the kernel takes them. One with a NUL can't have come from it.
fn strings(words: impl Iterator<Item = OsString>) -> Vec<CString> {
    words.filter_map(|word| CString::new(word.into_vec()).ok()).collect()
}

/// The title of a table, and those of its rows that are about `pids`.
fn select(table: &str, pids: &[i32]) -> Result<String, Error> {
    let (title, rows) = table.split_once('\n').unwrap_or((table, ""));
    let Some(column) = title.split_whitespace().position(|name| name == "PID") else {
        return Err(Error::Usage("couldn't find PID field in ps output".to_owned()));
    };
    let mut selected = format!("{title}\n");
    for row in rows.lines().filter(|row| !row.is_empty()) {
        let Some(pid) = row.split_whitespace().nth(column).and_then(|field| field.parse().ok()) else {
            return Err(Error::Usage(format!("unable to parse pid: column {} of ps: {row}", column + 1)));
        };
        if pids.contains(&pid) {
            selected.push_str(row);
            selected.push('\n');
        }
    }
    Ok(selected)
}

#[cfg(test)]
mod tests {
    use super::select;

    #[test]
    fn rows_are_chosen_by_the_column_of_process_numbers() {
        let table = "UID          PID    PPID CMD\nroot           1       0 init\nroot          44       1 sleep 7\n\n";
        let selected = select(table, &[44, 7]).expect("a table");
        assert_eq!(selected, "UID          PID    PPID CMD\nroot          44       1 sleep 7\n");
        assert_eq!(select(table, &[]).expect("a table"), "UID          PID    PPID CMD\n");
        assert_eq!(select("  PID\n    5\n", &[5]).expect("a table"), "  PID\n    5\n");
    }

    #[test]
    fn a_table_without_numbers_is_refused() {
        for (table, why) in [
            ("", "couldn't find PID"),
            ("COMMAND\nsleep\n", "couldn't find PID"),
            ("PPID TPID\n1 2\n", "couldn't find PID"),
            ("COMMAND PID\na name 7\n", "unable to parse pid"),
            ("COMMAND PID\nname\n", "unable to parse pid"),
        ] {
            let refusal = select(table, &[7]).expect_err(table).to_string();
            assert!(refusal.contains(why), "{table:?}: {refusal}");
        }
    }
}
