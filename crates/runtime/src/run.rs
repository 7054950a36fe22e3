//! `run`: create and start in one, without anybody to wait for; in the foreground until the program has ended.

use crate::bundle::Bundle;
use crate::create::{Made, Source, descriptors, from_systemd, make, wants_terminal};
use crate::delete::{clear, kill_and_wait};
use crate::foreground::{self, Attended, attend};
use crate::notify::Notify;
use crate::terminal::{Holder, Raw};
use crate::{Create, Error, Id, Store, hooks};
use rt_plan::{Spec, Wait};
use rustix::fd::{AsFd, OwnedFd};
use rustix::process::{Pid, set_child_subreaper};

/// What `run` is told beside what `create` is.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    /// Whether to wait for the end.
    pub after: After,
    /// Whether orphans of the container become our children: `--no-subreaper` says no.
    pub subreaper: bool,
    /// `--keep`: the container is left to `delete`.
    pub keep: bool,
}

/// When `run` returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    /// When the program has ended.
    Exit,
    /// When it runs: `--detach`.
    Start,
}

/// Run a container. `say` gets what could not be done as asked, while the container runs. Returns the exit status:
/// the program's own, or 128 and the number of the signal that ended it.
///
/// # Errors
/// Every kind. Nothing is left behind then.
pub fn run(store: &Store, request: &Create, how: Run, say: impl Fn(&str)) -> Result<u8, Error> {
    let detached = how.after == After::Start;
    if !detached && how.subreaper {
        set_child_subreaper(Some(Pid::INIT)).map_err(Error::call("become a subreaper"))?;
    }
    let (mut made, terminal, raw) = begin(store, request, detached, &say)?;
    made.warnings.iter().for_each(|warning| say(warning));
    let notify = made.notify.take();
    match finish(&made, notify, terminal, detached) {
        Ok(Some(status)) => {
            // Before anything is said on the terminal.
            drop(raw);
            if !how.keep {
                clear(&made.directory, &made.record, say)?;
            }
            // Closed and freed by leaving.
            std::mem::forget(made);
            Ok(status)
        }
        Ok(None) => Ok(0),
        Err(error) => {
            // Nobody would wait for it any more; or a hook says that it is not to run.
            let id = Id::parse(&made.record.id)?;
            kill_and_wait(&id, &made.record, made.pidfd.as_fd())?;
            clear(&made.directory, &made.record, say)?;
            Err(error)
        }
    }
}

/// Read the bundle, make the container, and have its terminal if it is ours to show. What was read is forgotten again:
/// the container may live for years.
fn begin(
    store: &Store,
    request: &Create,
    detached: bool,
    say: &impl Fn(&str),
) -> Result<(Made, Option<OwnedFd>, Option<Raw<'static>>), Error> {
    let preserved = descriptors(request.preserve, from_systemd())?;
    let bundle = Bundle::open(&request.bundle, request.config.as_deref())?;
    let spec = Spec::parse(&bundle.config)?;
    let holder = Holder::choose(wants_terminal(&spec), request.console_socket.as_deref(), detached)?;
    // Before there is a child.
    let raw = if detached { None } else { foreground::begin(matches!(holder, Holder::Caller { .. }), say)? };
    let source = Source { bundle: &bundle, spec: &spec, preserved };
    let made = make(store, request, &source, Wait::Nobody, &holder)?;
    Ok((made, holder.take()?, raw))
}

/// What comes after the program's start: hooks, the service manager, and, in the foreground, its end.
fn finish(made: &Made, notify: Option<Notify>, terminal: Option<OwnedFd>, detached: bool) -> Result<Option<u8>, Error> {
    let record = &made.record;
    let pid = record.init_process_pid;
    if let Some(hooks) = &record.rt.hooks {
        hooks::run("poststart", &hooks::parse(hooks)?.poststart, record, "running", pid)?;
    }
    if detached {
        notify.map_or(Ok(()), |notify| notify.until_ready(made.pidfd.as_fd()))?;
        return Ok(None);
    }
    let notify = notify.map(Notify::by_signal).transpose()?;
    attend(Attended { pid, pidfd: made.pidfd.as_fd(), terminal, notify }).map(Some)
}
