//! `rt`: parse the command line, do one thing, print one line if it fails.

#![forbid(unsafe_code)]

mod args;
mod commands;
mod output;
mod report;

use args::{Invocation, Refusal};
use std::process::ExitCode;

fn main() -> ExitCode {
    let parsed = match args::parse(std::env::args_os()) {
        Ok(parsed) => parsed,
        Err(refusal) => return refused(&refusal),
    };
    let Invocation { global, command } = parsed;
    let report = match report::open(&global, command.name(), command.container()) {
        Ok(report) => report,
        Err(error) => {
            eprintln!("rt: {error}");
            return ExitCode::FAILURE;
        }
    };
    match commands::dispatch(&global, command, &report) {
        Ok(status) => ExitCode::from(status),
        Err(error) => {
            report.error(&error.to_string());
            ExitCode::FAILURE
        }
    }
}

/// Help and version are answers; everything else is a mistake of the caller's, with status 1 as runc has it.
fn refused(refusal: &Refusal) -> ExitCode {
    match refusal {
        Refusal::Answer(text) => {
            output::print(text);
            ExitCode::SUCCESS
        }
        Refusal::Mistake(text) => {
            eprintln!("rt: {text}");
            ExitCode::FAILURE
        }
    }
}
