//! `rt explain`.

use super::create::request;
use crate::args::{ExplainArgs, ExplainFormat, Global};
use crate::output::print;
use rt_runtime::{Error, Question};
use serde::Serialize;
use std::fmt::Display;

pub(super) fn explain(global: &Global, args: &ExplainArgs) -> Result<(), Error> {
    let request = request(global, &args.id, &args.source, None)?;
    match &args.seccomp {
        None => show(&rt_runtime::explain(&request)?, args.format),
        Some(call) => {
            let question: Question = call.parse().map_err(|problem| Error::Usage(format!("--seccomp: {problem}")))?;
            show(&rt_runtime::rule(&request, &question)?, args.format);
        }
    }
    Ok(())
}

fn show(what: &(impl Display + Serialize), format: ExplainFormat) {
    match format {
        ExplainFormat::Text => print(&what.to_string()),
        ExplainFormat::Json => print(&format!("{}\n", serde_json::to_string_pretty(what).unwrap_or_default())),
    }
}
