//! `rt info`.

use crate::args::{InfoArgs, InfoFormat};
use crate::output::print;
use rt_runtime::Error;

// On its own, so that link.ld can put it away.
#[inline(never)]
pub(super) fn info(args: &InfoArgs) -> Result<(), Error> {
    let info = rt_runtime::info();
    match args.format {
        InfoFormat::Text => print(&info.to_string()),
        InfoFormat::Json => print(&format!("{}\n", serde_json::to_string_pretty(&info).unwrap_or_default())),
    }
    Ok(())
}
