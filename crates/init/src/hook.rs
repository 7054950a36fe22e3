//! Hooks that run where the container is.

use crate::hands::{At, Done, Failure, Hands};
use rt_sys::command::{self, Command, End, Tail};
use rt_sys::exec::Words;
use rt_sys::map;
use rt_wire::{HookKind, NONE, Part, Step};
use rustix::fd::AsFd;
use rustix::io::Errno;

/// Run it to its end. What it said last stays in `hands`, for the report if it failed.
#[inline(never)]
pub(crate) fn run(hands: &mut Hands, step: Step<'_>) -> Done {
    let Step::RunHook { kind, path, args, env, seconds, state, output, errors, .. } = step else {
        return Err(Failure { part: Part::Message, errno: Errno::BADMSG });
    };
    let table = map::words(args.len().saturating_add(env.len()).saturating_add(2))?;
    let (args_table, env_table) = table.split_at_mut_checked(args.len().saturating_add(1)).ok_or(Errno::TOOBIG)?;
    let state = hands.inherited(state)?;
    let place = |place: u8| if place == NONE { Ok(None) } else { hands.inherited(place).map(Some) };
    let (output, errors) = (place(output)?, place(errors)?);
    let command = Command {
        path: path.c(),
        args: &Words::new(args_table, args.iter()).ok_or(Errno::TOOBIG)?,
        env: &Words::new(env_table, env.iter()).ok_or(Errno::TOOBIG)?,
        // As runc: the root file system, before it is entered. Then it is where the program will be.
        directory: if kind == HookKind::CreateContainer { Some(hands.root()?) } else { None },
        input: state.as_fd(),
        output: output.as_ref().map(AsFd::as_fd),
        errors: errors.as_ref().map(AsFd::as_fd),
        seconds: (seconds > 0).then_some(seconds),
        // Our parent has seen to it that nothing is ignored here.
        ignored: 0,
    };
    let failed = |part, number| Err(Failure { part, errno: Errno::from_raw_os_error(number) });
    let mut said = Tail::new();
    let end = command::run(&command, &mut said).at(Part::Whole)?;
    if end == End::Exited(0) {
        return Ok(());
    }
    hands.said = said;
    match end {
        End::Exited(status) => failed(Part::Status, status),
        End::Killed(signal) => failed(Part::Signal, signal),
        End::Late => failed(Part::Late, Errno::TIMEDOUT.raw_os_error()),
    }
}
