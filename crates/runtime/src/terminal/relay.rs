//! Bytes between the caller's standard streams and the container's terminal.
//!
//! One thread, one buffer per direction, no timeout. A buffer is filled when it is empty: a slow side stops the other
//! one, as it would on a terminal. Everything is watched edge-triggered: the master of a terminal that nobody has open
//! says POLLHUP for ever, and may yet be opened again.

use super::end::End;
use crate::Error;
use rt_sys::signal;
use rustix::event::{Timespec, epoll};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::stdio::stderr;
use rustix::termios::{
    LocalModes, OptionalActions, OutputModes, SpecialCodeIndex, tcgetattr, tcgetwinsize, tcsetattr, tcsetwinsize,
};
use std::mem::MaybeUninit;

/// Twice what a read of a terminal returns at most.
const BUFFER: usize = 8 << 10;

/// More than a terminal holds: 8 KiB that were written, and 4 KiB that are ready to be read.
const HELD: usize = 64 << 10;

const SIGHUP: u8 = 1;
const SIGINT: u8 = 2;
const SIGQUIT: u8 = 3;
const SIGTERM: u8 = 15;

const SIGNALS: u64 = 0;
const TERMINAL: u64 = 1;
const INPUT: u64 = 2;
const OUTPUT: u64 = 3;

/// Where `signals` come from, and what is between input, terminal and output.
pub(crate) struct Relay<'a> {
    events: OwnedFd,
    signals: BorrowedFd<'a>,
    terminal: End<'static>,
    input: End<'a>,
    output: End<'a>,
    typed: Buffer,
    shown: Buffer,
    ending: Ending,
    /// The last byte of the input until now.
    last: Option<u8>,
    /// Why the output takes nothing any more.
    lost: Option<Errno>,
}

/// The end of the input.
enum Ending {
    Ahead,
    /// The terminal has not been told.
    Reached,
    Told,
}

impl<'a> Relay<'a> {
    /// `signals` is a signalfd of blocked signals, SIGPIPE, SIGTTIN and SIGTTOU among them. Opens descriptors: not
    /// before those that the container is to have are safe.
    pub(crate) fn new(
        master: OwnedFd,
        signals: BorrowedFd<'a>,
        input: BorrowedFd<'a>,
        output: BorrowedFd<'a>,
    ) -> Result<Self, Error> {
        use epoll::EventFlags as Flags;
        // The caller's terminal makes "\r\n" of "\n", and a file wants none.
        let mut modes = tcgetattr(&master).map_err(Error::call("look at the container's terminal"))?;
        modes.output_modes.remove(OutputModes::ONLCR);
        tcsetattr(&master, OptionalActions::Now, &modes).map_err(Error::call("set up the container's terminal"))?;

        let mut terminal = End::of_master(master).map_err(Error::call("set up the container's terminal"))?;
        let mut input = End::of_caller(input, OFlags::RDONLY).map_err(Error::call("look at standard input"))?;
        let mut output = End::of_caller(output, OFlags::WRONLY).map_err(Error::call("look at standard output"))?;
        let watching = Error::call("watch the container's terminal");
        let events = epoll::create(epoll::CreateFlags::CLOEXEC).map_err(&watching)?;
        epoll::add(&events, signals, epoll::EventData::new_u64(SIGNALS), Flags::IN).map_err(&watching)?;
        terminal.watch(&events, TERMINAL, Flags::IN | Flags::OUT).map_err(&watching)?;
        input.watch(&events, INPUT, Flags::IN).map_err(&watching)?;
        output.watch(&events, OUTPUT, Flags::OUT).map_err(&watching)?;
        Ok(Self {
            events,
            signals,
            terminal,
            input,
            output,
            typed: Buffer::new(),
            shown: Buffer::new(),
            ending: Ending::Ahead,
            last: None,
            lost: None,
        })
    }

    /// Give the container's terminal the window size of the caller's: the first of standard input, output and error
    /// that is one. A size of 0 is none.
    pub(crate) fn resize(&self) {
        let sizes = [self.input.as_fd(), self.output.as_fd(), stderr()].into_iter();
        if let Some(size) = sizes.flat_map(tcgetwinsize).next()
            && size.ws_row != 0
            && size.ws_col != 0
        {
            // Only the size changes, and there is no other to try.
            let _ = tcsetwinsize(&self.terminal, size);
        }
    }

    /// Move bytes both ways until there is a signal: that one.
    pub(crate) fn until_signal(&mut self) -> Result<Option<u8>, Error> {
        // It may have been SIGCONT: a job in the foreground may read its terminal again.
        self.input.readable = true;
        loop {
            let shown = (self.read_terminal()? > 0) | self.write_output();
            let typed = self.read_input() | self.write_terminal()?;
            if self.wait(if shown || typed { Wait::Not } else { Wait::ForEver })? {
                return Ok(signal::read(self.signals));
            }
        }
    }

    /// The program has ended: what the terminal still holds goes to the output. Whoever else has the terminal open is
    /// not waited for.
    ///
    /// An output that takes nothing is waited for without limit, as by any program that writes to it: its reader may
    /// have stopped for a while, and the last words of a program are not to be lost for that. SIGHUP, SIGINT, SIGQUIT
    /// and SIGTERM end the wait; other signals are dropped, as there is nobody to forward them to.
    ///
    /// # Errors
    /// [`Error::Call`] also if output was lost at any time, unless its reader has gone.
    pub(crate) fn finish(mut self) -> Result<(), Error> {
        let mut left = HELD;
        self.terminal.readable = true;
        loop {
            if self.shown.is_empty() {
                match self.read_terminal()? {
                    0 => break,
                    len => left = left.saturating_sub(len),
                }
            }
            if !self.write_output()
                && self.wait(Wait::ForEver)?
                && let Some(SIGHUP | SIGINT | SIGQUIT | SIGTERM) = signal::read(self.signals)
            {
                break;
            }
            if left == 0 && self.shown.is_empty() {
                break;
            }
        }
        match self.lost {
            None | Some(Errno::PIPE | Errno::CONNRESET) => Ok(()),
            Some(errno) => Err(Error::Call { attempt: "write the output of the container's terminal", errno }),
        }
    }

    /// Fill `shown` if it is empty. How many bytes came.
    fn read_terminal(&mut self) -> Result<usize, Error> {
        if !self.shown.is_empty() {
            return Ok(0);
        }
        let len = self.terminal.read(&mut self.shown.bytes).map_err(Error::call("read the container's terminal"))?;
        Ok(self.shown.filled(len.unwrap_or(0)))
    }

    /// Empty `shown`. Whether something went.
    fn write_output(&mut self) -> bool {
        if self.shown.is_empty() {
            return false;
        }
        let answer = match self.lost {
            None => self.output.write(self.shown.rest()),
            Some(errno) => Err(errno),
        };
        match answer {
            Ok(len) => self.shown.took(len) > 0,
            // The program must not be stopped by a reader that is gone.
            Err(errno) => {
                self.lost = Some(errno);
                self.shown.filled(0);
                true
            }
        }
    }

    /// Fill `typed` if it is empty. Whether there is something to go on with.
    fn read_input(&mut self) -> bool {
        if !self.typed.is_empty() {
            return false;
        }
        match self.ending {
            Ending::Ahead => match self.input.read(&mut self.typed.bytes) {
                Ok(None) => false,
                // What can't be read has no more either.
                Ok(Some(0)) | Err(_) => {
                    self.ending = Ending::Reached;
                    true
                }
                Ok(Some(len)) => {
                    self.typed.filled(len);
                    self.last = self.typed.rest().last().copied();
                    true
                }
            },
            Ending::Reached => self.end_of_input(),
            Ending::Told => false,
        }
    }

    /// Type the terminal's end-of-file character: twice after an unfinished line, which the first one only hands over.
    /// There is none while the program reads byte by byte (not in canonical mode); it may change that with whatever it
    /// does next.
    fn end_of_input(&mut self) -> bool {
        let Ok(modes) = tcgetattr(&self.terminal) else { return false };
        if !modes.local_modes.contains(LocalModes::ICANON) {
            return false;
        }
        self.ending = Ending::Told;
        let eof = modes.special_codes[SpecialCodeIndex::VEOF];
        let len = match self.last {
            // _POSIX_VDISABLE
            _ if eof == 0 => 0,
            None | Some(b'\n') => 1,
            Some(last) if last == eof => 1,
            Some(_) => 2,
        };
        self.typed.bytes[..2].fill(eof);
        self.typed.filled(len) > 0
    }

    /// Empty `typed`. Whether something went.
    fn write_terminal(&mut self) -> Result<bool, Error> {
        if self.typed.is_empty() {
            return Ok(false);
        }
        let len = self.terminal.write(self.typed.rest()).map_err(Error::call("write to the container's terminal"))?;
        Ok(self.typed.took(len) > 0)
    }

    /// Hear what has become ready. Whether that includes a signal.
    fn wait(&mut self, wait: Wait) -> Result<bool, Error> {
        let mut events = [MaybeUninit::uninit(); 4];
        let timeout = match wait {
            Wait::Not => Some(&Timespec { tv_sec: 0, tv_nsec: 0 }),
            Wait::ForEver => None,
        };
        let events = match epoll::wait(&self.events, &mut events, timeout) {
            Ok((events, _)) => events,
            Err(Errno::INTR) => return Ok(false),
            Err(errno) => return Err(Error::Call { attempt: "wait for the container's terminal", errno }),
        };
        let mut signal = false;
        for event in events {
            match event.data.u64() {
                TERMINAL => self.terminal.heard(event.flags),
                INPUT => self.input.heard(event.flags),
                OUTPUT => self.output.heard(event.flags),
                _ => signal = true,
            }
        }
        Ok(signal)
    }
}

enum Wait {
    Not,
    ForEver,
}

/// Bytes on their way: those between `start` and `end`.
struct Buffer {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
}

impl Buffer {
    fn new() -> Self {
        Self { bytes: vec![0; BUFFER], start: 0, end: 0 }
    }

    fn is_empty(&self) -> bool {
        self.start == self.end
    }

    fn rest(&self) -> &[u8] {
        self.bytes.get(self.start..self.end).unwrap_or_default()
    }

    fn filled(&mut self, len: usize) -> usize {
        (self.start, self.end) = (0, len);
        len
    }

    fn took(&mut self, len: usize) -> usize {
        self.start += len;
        len
    }
}
