//! `rt kill`.

use super::store;
use crate::args::{Global, KillArgs};
use rt_runtime::{Error, Id, Scope, parse_signal};

pub(super) fn kill(global: &Global, args: &KillArgs) -> Result<(), Error> {
    let scope = if args.all { Scope::All } else { Scope::First };
    rt_runtime::kill(&store(global)?, &Id::parse(&args.id)?, parse_signal(&args.signal)?, scope)
}
