//! `rt delete`.

use super::store;
use crate::args::{DeleteArgs, Global};
use crate::report::Report;
use rt_runtime::{Error, Force, Id};

pub(super) fn delete(global: &Global, args: &DeleteArgs, report: &Report) -> Result<(), Error> {
    let force = if args.force { Force::Yes } else { Force::No };
    rt_runtime::delete(&store(global)?, &Id::parse(&args.id)?, force, |warning| report.warning(warning))
}
