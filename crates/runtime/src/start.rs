//! `start`: init becomes the program.

use crate::child::{answer, words_of};
use crate::notify::Notify;
use crate::status::process;
use crate::{Container, Error, Force, Id, Record, Status, Store, delete, hooks, observe};
use rt_plan::{failure, is_hook};
use rt_wire::Report;
use rustix::fd::AsFd;
use rustix::io::{Errno, retry_on_intr};
use rustix::net::{RecvFlags, recv};

/// Let a created container run. Returns when its program does, or with the reason why not.
///
/// # Errors
/// [`Error::Forbidden`] in runc's words, [`Error::Step`] with what the kernel said to the exec.
pub fn start(store: &Store, id: &Id) -> Result<(), Error> {
    let container = store.find(id)?;
    allowed(observe(&container)?.status)?;
    let Container { directory, record } = container;
    let notify = Notify::listen(&directory, record.init_process_pid)?;
    let socket = match directory.connect()? {
        Ok(socket) => socket,
        // Another `start` was faster.
        Err(Errno::NOENT) => return allowed(Status::Running),
        Err(Errno::CONNREFUSED) => return allowed(Status::Stopped),
        Err(errno) => return Err(Error::Call { attempt: "connect to the container's init", errno }),
    };
    let mut bytes = [0u8; Report::LONGEST];
    let len = match retry_on_intr(|| recv(&socket, &mut bytes, RecvFlags::empty())) {
        Ok((_, len)) => len,
        // Init was killed between accepting us and reading.
        Err(Errno::CONNRESET) => return allowed(Status::Stopped),
        Err(errno) => return Err(Error::Call { attempt: "listen to the container's init", errno }),
    };
    directory.started()?;
    let started = match bytes.get(..len) {
        None | Some([]) => poststart(&record),
        Some(report) => Err(failed(&record, report)),
    };
    if let Err(error) = started {
        if matches!(error, Error::Hook { .. }) {
            // runtime.md, "Lifecycle", steps 7 and 9: an error, the container stopped, and on with its destruction.
            delete(store, id, Force::Yes, |warning| log::warn!("{warning}"))?;
        }
        return Err(error);
    }
    match (notify, process(&record)?) {
        (Some(notify), Some(process)) => notify.until_ready(process.as_fd()),
        _ => Ok(()),
    }
}

fn poststart(record: &Record) -> Result<(), Error> {
    let Some(hooks) = &record.rt.hooks else { return Ok(()) };
    hooks::run("poststart", &hooks::parse(hooks)?.poststart, record, "running", record.init_process_pid)
}

fn allowed(status: Status) -> Result<(), Error> {
    match status {
        Status::Created => Ok(()),
        Status::Stopped => Err(Error::forbidden("cannot start a container that has stopped")),
        Status::Running => Err(Error::forbidden("cannot start an already running container")),
        status => Err(Error::forbidden(format!("cannot start a container in the {status} state"))),
    }
}

/// The plan is gone, but its last steps were written down.
fn failed(record: &Record, report: &[u8]) -> Error {
    let tail = &record.rt.tail;
    match Report::decode(report) {
        Some(Report::Failed { step, part, errno }) => {
            let step = usize::from(step);
            let words = step.checked_sub(tail.first).and_then(|index| tail.steps.get(index));
            let words = words.map_or("start the program", String::as_str);
            let said = words_of(report.get(Report::LEN..).unwrap_or_default());
            let text = failure(words, part, &answer(part, errno), &said, step + 1, tail.of);
            if is_hook(words) { Error::Hook(text) } else { Error::Step(text) }
        }
        _ => Error::Call { attempt: "understand the container's init", errno: Errno::BADMSG },
    }
}
