//! Hooks that run where the container is.

use crate::hands::{Done, Failure, Hands};
use crate::program;
use rt_sys::command::{self, Command, End, Tail};
use rt_wire::{HookKind, NONE, Part, Step, Text};
use rustix::fd::AsFd;
use rustix::io::Errno;

/// Run it to its end. What it said last stays in `hands`, for the report if it failed.
#[inline(never)]
pub(crate) fn run(hands: &mut Hands, step: Step<'_>) -> Done {
    let Step::RunHook { kind, path, args, env, home, seconds, state, output, errors, .. } = step else {
        return Err(Failure { part: Part::Message, errno: Errno::BADMSG });
    };
    let state = hands.inherited(state)?;
    let place = |place: u8| if place == NONE { Ok(None) } else { hands.inherited(place).map(Some) };
    let (output, errors) = (place(output)?, place(errors)?);
    // As runc: the root file system, before it is entered. Then it is where the program will be.
    let directory = if kind == HookKind::CreateContainer { Some(hands.root()?) } else { None };
    let filter = hands.filter;
    let mut said = Tail::new();
    let mut end = End::Exited(0);
    program::start(path, args, env, Text::default(), home, |path, args, env| {
        let command = Command {
            path,
            args,
            env,
            directory,
            input: state.as_fd(),
            output: output.as_ref().map(AsFd::as_fd),
            errors: errors.as_ref().map(AsFd::as_fd),
            seconds: (seconds > 0).then_some(seconds),
            // Our parent has seen to it that nothing is ignored here.
            ignored: 0,
            // Its program is the image's: it may do no more than the container's.
            filter: if kind == HookKind::StartContainer { filter } else { None },
        };
        end = command::run(&command, &mut said)?;
        Ok(())
    })?;
    if end == End::Exited(0) {
        return Ok(());
    }
    hands.said = said;
    let failed = |part, number| Err(Failure { part, errno: Errno::from_raw_os_error(number) });
    match end {
        End::Exited(status) => failed(Part::Status, status),
        End::Killed(signal) => failed(Part::Signal, signal),
        End::Late => failed(Part::Late, Errno::TIMEDOUT.raw_os_error()),
    }
}
