//! `rt exec`.

use super::store;
use crate::args::{ExecArgs, Global};
use crate::report::Report;
use rt_runtime::{After, Error, Exec, Id, What};
use std::collections::BTreeMap;
use std::ffi::OsString;

pub(super) fn exec(global: &Global, args: &ExecArgs, report: &Report) -> Result<u8, Error> {
    let what = match &args.process {
        Some(file) if !file.as_os_str().is_empty() => What::File(file.clone()),
        _ => What::Like {
            args: words(&args.words)?,
            cwd: args.cwd.clone(),
            env: args.env.clone(),
            terminal: args.tty,
            user: args.user.as_deref().map(user).transpose()?,
            groups: args.additional_gids.clone(),
            capabilities: args.cap.clone(),
            no_new_privileges: args.no_new_privs,
            apparmor: args.apparmor.clone(),
            label: args.process_label.clone(),
        },
    };
    let request = Exec {
        id: Id::parse(&args.id)?,
        what,
        after: if args.detach { After::Start } else { After::Exit },
        pid_file: args.passed.pid_file.clone(),
        console_socket: args.passed.console_socket.clone(),
        pidfd_socket: args.passed.pidfd_socket.clone(),
        preserve: args.passed.preserve_fds,
        ignore_paused: args.ignore_paused,
        cgroups: cgroups(&args.cgroup)?,
    };
    rt_runtime::exec(&store(global)?, &request, |warning| report.warning(warning))
}

/// The plan is text, as a config is.
fn words(words: &[OsString]) -> Result<Vec<String>, Error> {
    let text = |word: &OsString| {
        let problem = || Error::Usage(format!("exec: the argument {} is not UTF-8", word.display()));
        word.to_str().map(str::to_owned).ok_or_else(problem)
    };
    words.iter().map(text).collect()
}

/// `PATH` for v2; `CONTROLLER[,CONTROLLER]:PATH`, repeated, for v1.
fn cgroups(options: &[String]) -> Result<BTreeMap<String, String>, Error> {
    let mut cgroups = BTreeMap::new();
    for option in options {
        let refuse = |why: &str| Error::Usage(format!("invalid --cgroup argument: {option} ({why})"));
        match option.split_once(':') {
            None if options.len() > 1 => return Err(refuse("missing <controller>: prefix")),
            None => drop(cgroups.insert(String::new(), option.clone())),
            Some((controllers, path)) => {
                for controller in controllers.split(',') {
                    if controller.is_empty() {
                        return Err(refuse("empty <controller> prefix"));
                    }
                    if cgroups.insert(controller.to_owned(), path.to_owned()).is_some() {
                        return Err(refuse("a controller is specified multiple times"));
                    }
                }
            }
        }
    }
    Ok(cgroups)
}

/// `UID[:GID]`: numbers and nothing else. What is not one must not become root.
fn user(text: &str) -> Result<(u32, Option<u32>), Error> {
    let number = |number: &str| {
        let digits = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
        // The kernel takes the last one for "leave it as it is".
        let parsed = number.parse().ok().filter(|number| digits && *number != u32::MAX);
        parsed.ok_or_else(|| {
            Error::Usage(format!(
                "--user {text}: \"{number}\" is not a number from 0 to 4294967294: give UID or UID:GID"
            ))
        })
    };
    match text.split_once(':') {
        Some((uid, gid)) => Ok((number(uid)?, Some(number(gid)?))),
        None => Ok((number(text)?, None)),
    }
}

#[cfg(test)]
mod tests {
    use super::user;

    #[test]
    fn a_user_is_numbers() {
        for text in ["", ":", "1:", ":1", "-1", "+1", "0x1", "root", "1:2:3", " 1", "4294967295", "4294967296"] {
            assert!(user(text).is_err(), "{text:?}");
        }
        assert!(user("1000").is_ok_and(|user| user == (1000, None)));
        assert!(user("0:5").is_ok_and(|user| user == (0, Some(5))));
    }
}
