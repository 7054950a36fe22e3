//! `rt ps`.

use super::store;
use crate::args::{Global, ListFormat, PsArgs};
use crate::output::print;
use rt_runtime::{Error, Id, pids, ps_table};

// On its own, so that link.ld can put it away.
#[inline(never)]
pub(super) fn ps(global: &Global, args: &PsArgs) -> Result<(), Error> {
    let pids = pids(&store(global)?, &Id::parse(&args.id)?)?;
    match args.format {
        ListFormat::Table => print(&ps_table(&pids, &args.words)?),
        // Nothing is `null`, as Go has it.
        ListFormat::Json if pids.is_empty() => print("null\n"),
        ListFormat::Json => print(&format!("{}\n", serde_json::to_string(&pids).unwrap_or_default())),
    }
    Ok(())
}
