//! `start`: init becomes the program.

use crate::child::answer;
use crate::{Container, Error, Id, Record, Status, Store, observe};
use rt_plan::failure;
use rt_wire::Report;
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
    let socket = match directory.connect()? {
        Ok(socket) => socket,
        // Another `start` was faster.
        Err(Errno::NOENT) => return allowed(Status::Running),
        Err(Errno::CONNREFUSED) => return allowed(Status::Stopped),
        Err(errno) => return Err(Error::Call { attempt: "connect to the container's init", errno }),
    };
    let mut bytes = [0u8; Report::LEN];
    let len = match retry_on_intr(|| recv(&socket, &mut bytes, RecvFlags::empty())) {
        Ok((_, len)) => len,
        // Init was killed between accepting us and reading.
        Err(Errno::CONNRESET) => return allowed(Status::Stopped),
        Err(errno) => return Err(Error::Call { attempt: "listen to the container's init", errno }),
    };
    directory.started()?;
    match bytes.get(..len) {
        None | Some([]) => Ok(()),
        Some(report) => Err(failed(&record, report)),
    }
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
            Error::Step(failure(words, part, &answer(part, errno), step + 1, tail.of))
        }
        _ => Error::Call { attempt: "understand the container's init", errno: Errno::BADMSG },
    }
}
