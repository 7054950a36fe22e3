//! The caller's terminal, which only passes bytes while the container's interprets them.

use crate::Error;
use rustix::fd::BorrowedFd;
use rustix::io::Errno;
use rustix::termios::{OptionalActions, OutputModes, Termios, tcgetattr, tcsetattr};

/// A terminal in raw mode while this lives; as it was when it is dropped.
pub(crate) struct Raw<'a> {
    terminal: BorrowedFd<'a>,
    before: Termios,
}

impl<'a> Raw<'a> {
    /// Raw, but for the processing of output: the container's terminal leaves a line's end alone, so that what goes to
    /// a file or a pipe has no carriage returns, and a terminal has to make them itself.
    ///
    /// Before signals are blocked: SIGTTOU is what keeps a job in the background from changing the terminal of the one
    /// in the foreground.
    ///
    /// None if `input` is no terminal.
    pub(crate) fn enter(input: BorrowedFd<'a>) -> Result<Option<Self>, Error> {
        let before = match tcgetattr(input) {
            Err(Errno::NOTTY) => return Ok(None),
            before => before.map_err(Error::call("look at the caller's terminal"))?,
        };
        let mut raw = before.clone();
        raw.make_raw();
        raw.output_modes = before.output_modes | OutputModes::OPOST;
        tcsetattr(input, OptionalActions::Now, &raw).map_err(Error::call("put the caller's terminal into raw mode"))?;
        Ok(Some(Self { terminal: input, before }))
    }
}

impl Drop for Raw<'_> {
    fn drop(&mut self) {
        // Without waiting for what was written to be shown: that may be never.
        let _ = tcsetattr(self.terminal, OptionalActions::Now, &self.before);
    }
}
