//! One file for each command: from what was typed to a request, to an answer.

mod completion;
mod create;
mod delete;
mod events;
mod exec;
mod explain;
mod features;
mod info;
mod kill;
mod list;
mod ps;
mod run;
mod spec;
mod state;
mod update;

use crate::args::{Command, Global, Rootless};
use crate::report::Report;
use rt_runtime::{Error, Id, Store};
use std::path::PathBuf;

/// Do it. The exit status, where it is not an error.
pub(crate) fn dispatch(global: &Global, command: Command, report: &Report) -> Result<u8, Error> {
    match command {
        Command::Create(args) => create::create(global, &args, report),
        Command::Start(args) => rt_runtime::start(&store(global)?, &Id::parse(&args.id)?),
        Command::Run(args) => return run::run(global, &args, report),
        Command::Exec(args) => return exec::exec(global, &args, report),
        Command::State(args) => state::state(global, &args),
        Command::Kill(args) => kill::kill(global, &args),
        Command::Delete(args) => delete::delete(global, &args, report),
        Command::List(args) => list::list(global, &args),
        Command::Spec(args) => spec::spec(&args),
        Command::Explain(args) => explain::explain(global, &args),
        Command::Features => features::features(),
        Command::Info(args) => info::info(&args),
        Command::Completion(args) => completion::completion(&args),
        Command::Pause(args) => rt_runtime::pause(&store(global)?, &Id::parse(&args.id)?),
        Command::Resume(args) => rt_runtime::resume(&store(global)?, &Id::parse(&args.id)?),
        Command::Ps(args) => ps::ps(global, &args),
        Command::Events(args) => events::events(global, &args),
        Command::Update(args) => update::update(global, &args, report),
    }
    .map(|()| 0)
}

/// Where the state is: `--root`, else /run/rt, else what an ordinary user has.
fn store(global: &Global) -> Result<Store, Error> {
    let root = match &global.root {
        Some(root) if !root.as_os_str().is_empty() => root.clone(),
        _ => default_root(),
    };
    Store::new(&root)
}

fn default_root() -> PathBuf {
    // podman passes an empty one to mean none.
    let user = std::env::var_os("XDG_RUNTIME_DIR").filter(|directory| !directory.is_empty());
    match user {
        Some(directory) if !rt_runtime::is_root() => PathBuf::from(directory).join("rt"),
        _ => PathBuf::from("/run/rt"),
    }
}

/// What this version can't do is refused before anything is touched.
fn refuse_what_comes_later(global: &Global) -> Result<(), Error> {
    if global.rootless == Rootless::True {
        return Err(Error::Usage("--rootless true: this version of rt needs root's rights; leave it out".to_owned()));
    }
    Ok(())
}
