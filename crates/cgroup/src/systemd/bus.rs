//! A connection to a bus, or to systemd itself, where one speaks D-Bus over a socket. One thread, no sleep: every wait
//! is a poll(2) that ends.

use super::message::{Call, FIXED, Message, RETURN, SIGNAL, length};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd, OwnedFd};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketFlags, SocketType, connect, recv, send, socket_with,
    sockopt,
};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// What went wrong on the way to an answer, or what it was.
#[derive(Debug, PartialEq)]
pub(super) enum Trouble {
    /// The kernel's answer.
    Call(Errno),
    /// Nothing came in time.
    Late,
    /// The other side has closed.
    Gone,
    /// What came is no D-Bus.
    Garbled(&'static str),
    /// It does not know us.
    Stranger,
    /// An error, by its name and in its words.
    Refused(String, String),
}

/// A connection that is ready for calls.
#[derive(Debug)]
pub(super) struct Bus {
    socket: OwnedFd,
    serial: u32,
    /// What came and was not looked at yet.
    received: Vec<u8>,
    /// Signals that came before they were asked for.
    signals: VecDeque<Message>,
    /// Calls that wait to be sent with the next.
    outgoing: Vec<u8>,
    patience: Duration,
}

/// As many signals are kept; of more, the oldest are dropped. There is one that we wait for.
const SIGNALS: usize = 64;
/// Bytes of what is said before the first message.
const LONGEST_GREETING: usize = 4096;

impl Bus {
    /// Connect to a socket, and tell that we are who the kernel says that we are. `patience` is for each wait.
    pub(super) fn connect(address: &SocketAddrUnix, patience: Duration) -> Result<Self, Trouble> {
        let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
        // connect(2) waits as long as a send does while nobody accepts.
        sockopt::set_socket_timeout(&socket, sockopt::Timeout::Send, Some(patience))?;
        match connect(&socket, address) {
            Err(Errno::AGAIN) => return Err(Trouble::Late),
            connected => connected?,
        }
        let mut bus =
            Self { socket, serial: 0, received: Vec::new(), signals: VecDeque::new(), outgoing: Vec::new(), patience };
        bus.authenticate()?;
        Ok(bus)
    }

    /// "Authentication Protocol", EXTERNAL: without a number of our own making, which would be another one inside a user
    /// namespace. All of it at once, as systemd's own library does.
    fn authenticate(&mut self) -> Result<(), Trouble> {
        self.outgoing.extend_from_slice(b"\0AUTH EXTERNAL\r\nDATA\r\nBEGIN\r\n");
        let until = self.flush()?;
        loop {
            let Some(end) = self.received.windows(2).position(|pair| pair == b"\r\n") else {
                if self.received.len() > LONGEST_GREETING {
                    return Err(Trouble::Garbled("a greeting that does not end"));
                }
                self.receive(until)?;
                continue;
            };
            let line: Vec<u8> = self.received.drain(..end + 2).take(end).collect();
            match &*line {
                [b'O', b'K', b' ', ..] => return Ok(()),
                b"DATA" => {}
                line if line.starts_with(b"REJECTED") => return Err(Trouble::Stranger),
                _ => return Err(Trouble::Garbled("a greeting that is none")),
            }
        }
    }

    /// Have a call sent with the next that is waited for. The number that its reply will have.
    pub(super) fn send(&mut self, call: &Call<'_>) -> u32 {
        self.serial += 1;
        self.outgoing.extend(call.write(self.serial));
        self.serial
    }

    /// The answer to the call of this number.
    pub(super) fn reply(&mut self, serial: u32) -> Result<Message, Trouble> {
        let until = self.flush()?;
        loop {
            let message = self.message(until)?;
            match message.kind {
                SIGNAL => self.keep(message),
                _ if message.reply_to != serial => {}
                RETURN => return Ok(message),
                _ => return Err(Trouble::Refused(message.error.clone(), message.words())),
            }
        }
    }

    /// A signal that is `wanted`, by now or within our patience.
    pub(super) fn signal<T>(&mut self, wanted: impl Fn(&Message) -> Option<T>) -> Result<T, Trouble> {
        let until = self.flush()?;
        loop {
            let message = match self.signals.pop_front() {
                Some(message) => message,
                None => self.message(until)?,
            };
            if message.kind == SIGNAL
                && let Some(found) = wanted(&message)
            {
                return Ok(found);
            }
        }
    }

    /// Send what is to be sent, whatever the answer.
    pub(super) fn hurry(&mut self) -> Result<(), Trouble> {
        self.flush().map(drop)
    }

    fn keep(&mut self, signal: Message) {
        if self.signals.len() == SIGNALS {
            self.signals.pop_front();
        }
        self.signals.push_back(signal);
    }

    /// Send what is to be sent. When our patience for the answer ends.
    fn flush(&mut self) -> Result<Instant, Trouble> {
        let until = Instant::now() + self.patience;
        let mut rest = &*self.outgoing;
        while !rest.is_empty() {
            match send(&self.socket, rest, SendFlags::NOSIGNAL | SendFlags::DONTWAIT) {
                Ok(len) => rest = rest.get(len..).unwrap_or_default(),
                Err(Errno::AGAIN) => await_ready(&self.socket, PollFlags::OUT, until)?,
                Err(Errno::INTR) => {}
                Err(Errno::PIPE | Errno::CONNRESET) => return Err(Trouble::Gone),
                Err(errno) => return Err(errno.into()),
            }
        }
        self.outgoing.clear();
        Ok(until)
    }

    fn message(&mut self, until: Instant) -> Result<Message, Trouble> {
        let len = loop {
            if let Some(fixed) = self.received.first_chunk::<FIXED>() {
                let len = length(fixed).map_err(Trouble::Garbled)?;
                if self.received.len() >= len {
                    break len;
                }
            }
            self.receive(until)?;
        };
        let bytes: Vec<u8> = self.received.drain(..len).collect();
        Message::read(&bytes).ok_or(Trouble::Garbled("a message that is not as its header says"))
    }

    /// One more piece of what the other side says.
    fn receive(&mut self, until: Instant) -> Result<(), Trouble> {
        let mut piece = [0; 4096];
        loop {
            await_ready(&self.socket, PollFlags::IN, until)?;
            match recv(&self.socket, &mut piece[..], RecvFlags::DONTWAIT) {
                Ok((_, 0)) | Err(Errno::CONNRESET) => return Err(Trouble::Gone),
                Ok((_, len)) => {
                    self.received.extend_from_slice(piece.get(..len).unwrap_or_default());
                    return Ok(());
                }
                Err(Errno::AGAIN | Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
    }
}

fn await_ready(socket: &OwnedFd, what: PollFlags, until: Instant) -> Result<(), Trouble> {
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(Trouble::Late);
        }
        let left = Timespec { tv_sec: left.as_secs().cast_signed(), tv_nsec: left.subsec_nanos().into() };
        match poll(&mut [PollFd::from_borrowed_fd(socket.as_fd(), what)], Some(&left)) {
            Ok(0) => return Err(Trouble::Late),
            Ok(_) => return Ok(()),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}

impl From<Errno> for Trouble {
    fn from(errno: Errno) -> Self {
        Self::Call(errno)
    }
}
