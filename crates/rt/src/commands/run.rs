//! `rt run`.

use super::create::request;
use super::{refuse_what_comes_later, store};
use crate::args::{Global, RunArgs};
use crate::report::Report;
use rt_runtime::{After, Error, Run};

pub(super) fn run(global: &Global, args: &RunArgs, report: &Report) -> Result<u8, Error> {
    refuse_what_comes_later(global)?;
    let request = request(global, &args.id, &args.source, Some((&args.passed, &args.served)))?;
    let how = Run {
        after: if args.detach { After::Start } else { After::Exit },
        subreaper: !args.no_subreaper,
        keep: args.keep,
    };
    rt_runtime::run(&store(global)?, &request, how, |warning| report.warning(warning))
}
