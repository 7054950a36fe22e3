//! `rt explain`.

use super::create::request;
use crate::args::{ExplainArgs, ExplainFormat, Global};
use crate::output::print;
use rt_runtime::Error;

pub(super) fn explain(global: &Global, args: &ExplainArgs) -> Result<(), Error> {
    let explanation = rt_runtime::explain(&request(global, &args.id, &args.source, None)?)?;
    match args.format {
        ExplainFormat::Text => print(&explanation.to_string()),
        ExplainFormat::Json => print(&format!("{}\n", serde_json::to_string_pretty(&explanation).unwrap_or_default())),
    }
    Ok(())
}
