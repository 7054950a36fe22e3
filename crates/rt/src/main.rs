//! `rt`: parse the command line, do one thing, print one line if it fails.

#![cfg_attr(not(test), no_main)]

mod args;
mod commands;
mod output;
mod report;

use args::{Command, Invocation, Refusal};
/// The C library's entry, because Rust's own start-up (a stack guard, a handler for its overflow, SIGPIPE ignored for us
/// and all our children) makes 18 system calls and links 300 KB for what a command of two milliseconds has no use for.
// A `main` of our own can't clash with another: this is the program.
#[allow(unsafe_code)]
#[cfg_attr(not(test), unsafe(no_mangle))]
extern "C" fn main() -> i32 {
    // What it also does and we need.
    match rt_runtime::open_standard_streams() {
        Ok(()) => i32::from(run()),
        Err(_) => 1,
    }
}

const FAILURE: u8 = 1;
/// Of `exec`, whose other statuses are the process's own.
const EXEC_FAILURE: u8 = 255;

/// The exit status.
fn run() -> u8 {
    let parsed = match args::parse(std::env::args_os()) {
        Ok(parsed) => parsed,
        Err(refusal) => return refused(&refusal),
    };
    let Invocation { global, command } = parsed;
    let report = match report::open(&global, command.name(), command.container()) {
        Ok(report) => report,
        Err(error) => {
            eprintln!("rt: {error}");
            return FAILURE;
        }
    };
    let failure = if matches!(command, Command::Exec(_)) { EXEC_FAILURE } else { FAILURE };
    match commands::dispatch(&global, command, &report) {
        Ok(status) => status,
        Err(error) => {
            report.error(&error.to_string());
            failure
        }
    }
}

/// Help and version are answers; everything else is a mistake of the caller's, with status 1 as runc has it.
fn refused(refusal: &Refusal) -> u8 {
    match refusal {
        Refusal::Answer(text) => {
            output::print(text);
            0
        }
        Refusal::Mistake(text) => {
            eprintln!("rt: {text}");
            FAILURE
        }
    }
}
