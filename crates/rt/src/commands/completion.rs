//! `rt completion`: the scripts that rt-manual has made from `args.rs`.

use crate::args::{CompletionArgs, Shell};
use crate::output::print;
use rt_runtime::Error;

/// A file of the repository: by value, not by reference, so that it has a name that link.ld can put it away by.
macro_rules! script {
    ($name:ident, $path:literal) => {
        static $name: [u8; include_bytes!($path).len()] = *include_bytes!($path);
    };
}
script!(BASH, "../../../../completions/rt.bash");
script!(ZSH, "../../../../completions/_rt");
script!(FISH, "../../../../completions/rt.fish");

// On its own, so that link.ld can put it away.
#[inline(never)]
pub(super) fn completion(args: &CompletionArgs) -> Result<(), Error> {
    let script: &[u8] = match args.shell {
        Shell::Bash => &BASH,
        Shell::Zsh => &ZSH,
        Shell::Fish => &FISH,
    };
    print(&String::from_utf8_lossy(script));
    Ok(())
}
