//! What an engine's shim is to a runtime: a subreaper. It runs its arguments as a program, then waits for every child that it
//! has or is given, and says so: `called 0` for the program itself, `PID STATUS` for another.

use std::{env, process::Command};

use rustix::process::{Pid, WaitOptions, getpid, set_child_subreaper, wait};

#[expect(clippy::zombie_processes, reason = "it waits for all of them at once")]
fn main() {
    set_child_subreaper(Some(getpid())).expect("everybody may be a subreaper");
    let words: Vec<_> = env::args_os().skip(1).collect();
    let child = Command::new(&words[0]).args(&words[1..]).spawn().expect("the program can be run");
    while let Ok(Some((pid, status))) = wait(WaitOptions::empty()) {
        let code = status.exit_status().or_else(|| status.terminating_signal().map(|signal| 128 + signal));
        let code = code.expect("it exited or was killed");
        if u32::try_from(Pid::as_raw(Some(pid))) == Ok(child.id()) {
            println!("called {code}");
        } else {
            println!("{} {code}", Pid::as_raw(Some(pid)));
        }
    }
}
