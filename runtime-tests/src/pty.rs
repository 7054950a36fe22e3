//! Terminals: the one a call is made in, as a person has it, and the far end of one that a container has.

use std::{
    fs::File,
    io::{ErrorKind, Read, Write},
    os::fd::OwnedFd,
    sync::{Arc, Condvar, Mutex, MutexGuard},
    thread,
    time::Duration,
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    pty::{OpenptFlags, ioctl_tiocgptpeer, openpt, unlockpt},
    termios::{LocalModes, Termios, Winsize, isatty, tcgetattr, tcgetwinsize, tcsetwinsize},
};

use crate::call::{in_time, wait_until};

/// The side of a terminal where the person sits. All that comes out is read at once and kept, unless it is to be read slowly.
pub struct Master {
    file: Mutex<File>,
    seen: Arc<Seen>,
}

#[derive(Default)]
struct Seen {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    bytes: Vec<u8>,
    pace: Pace,
    ended: bool,
}

/// How it is read.
#[derive(Clone, Copy, Default)]
enum Pace {
    #[default]
    AtOnce,
    /// So many bytes, then a pause.
    Slowly(usize, Duration),
    /// Not at all.
    Held,
    /// Never again.
    Gone,
}

impl Seen {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no reader panics")
    }
}

impl Master {
    /// Begin to read.
    pub(crate) fn new(master: OwnedFd) -> Self {
        assert!(isatty(&master), "it is not a terminal");
        let file = File::from(master);
        let seen = Arc::new(Seen::default());
        let (reader, kept) = (file.try_clone().expect("a descriptor can be duplicated"), Arc::clone(&seen));
        // It ends when nobody has the other side open any more, or with this value.
        thread::spawn(move || read(reader, &kept));
        Self { file: Mutex::new(file), seen }
    }

    /// All bytes that have come out so far.
    pub fn bytes(&self) -> Vec<u8> {
        self.seen.lock().bytes.clone()
    }

    /// All text that has come out so far.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes()).into_owned()
    }

    /// Wait for these words.
    #[track_caller]
    pub fn wait_for(&self, words: &str) {
        let came = in_time(|| self.text().contains(words));
        assert!(came, "waited too long: {words:?} on the terminal, which has {:?}", self.text());
    }

    /// Wait until no process has the other side open; gives all that has come out.
    #[track_caller]
    pub fn wait_for_end(&self) -> String {
        wait_until("the end of the terminal", || self.seen.lock().ended);
        self.text()
    }

    /// Type something.
    #[track_caller]
    pub fn send(&self, text: impl AsRef<[u8]>) {
        self.keyboard().write_all(text.as_ref()).expect("a terminal can be written to");
    }

    /// Another handle, to type from another thread.
    pub fn keyboard(&self) -> File {
        self.file.lock().expect("nobody panics with it").try_clone().expect("a descriptor can be duplicated")
    }

    /// From now on, read so many bytes at a time and pause then.
    pub fn read_slowly(&self, bytes: usize, pause: Duration) {
        self.pace(Pace::Slowly(bytes, pause));
    }

    /// From now on, read nothing; what is on its way may still come.
    pub fn hold(&self) {
        self.pace(Pace::Held);
    }

    /// From now on, read everything at once.
    pub fn release(&self) {
        self.pace(Pace::AtOnce);
    }

    /// The person closes the window: whoever reads or writes on the other side is hung up.
    pub fn hang_up(&self) {
        self.pace(Pace::Gone);
        wait_until("the reader has stopped", || self.seen.lock().ended);
        *self.file.lock().expect("nobody panics with it") = File::open("/dev/null").expect("it is there");
    }

    fn pace(&self, pace: Pace) {
        self.seen.lock().pace = pace;
        self.seen.changed.notify_all();
    }

    /// Change the size of the window.
    pub fn resize(&self, rows: u16, columns: u16) {
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(self.keyboard(), size).expect("a terminal has a size");
    }

    /// Rows and columns.
    pub fn size(&self) -> (u16, u16) {
        let size = tcgetwinsize(self.keyboard()).expect("a terminal has a size");
        (size.ws_row, size.ws_col)
    }

    /// Does it pass on each key as it is, without echo?
    pub fn is_raw(&self) -> bool {
        !self.settings().local_modes.intersects(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG)
    }

    /// How it treats what goes through.
    pub fn settings(&self) -> Termios {
        tcgetattr(self.keyboard()).expect("a terminal has settings")
    }
}

impl Drop for Master {
    fn drop(&mut self) {
        self.pace(Pace::Gone);
    }
}

fn read(mut from: File, seen: &Seen) {
    let mut buffer = [0; 1 << 16];
    loop {
        let pace = {
            let held = |state: &mut State| matches!(state.pace, Pace::Held);
            seen.changed.wait_while(seen.lock(), held).expect("no reader panics").pace
        };
        let size = match pace {
            Pace::Slowly(size, pause) => {
                thread::sleep(pause);
                size
            }
            _ => buffer.len(),
        };
        if matches!(pace, Pace::Gone) {
            break;
        }
        // Not for ever: it may be told to stop.
        match poll(&mut [PollFd::new(&from, PollFlags::IN)], Some(&Timespec { tv_sec: 0, tv_nsec: 20_000_000 })) {
            Ok(0) | Err(_) => continue,
            Ok(_) => {}
        }
        match from.read(&mut buffer[..size]) {
            Ok(count) if count > 0 => seen.lock().bytes.extend_from_slice(&buffer[..count]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            // EIO: nobody has the other side open.
            _ => break,
        }
    }
    seen.lock().ended = true;
}

/// A terminal for calls: see `Call::in_terminal`.
#[derive(Clone)]
pub struct Terminal(Arc<Both>);

struct Both {
    master: Master,
    /// Kept open, so that the terminal outlives each call.
    end: OwnedFd,
}

impl Terminal {
    /// One of this size.
    pub fn new(rows: u16, columns: u16) -> Self {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let master = openpt(flags).expect("there are terminals");
        unlockpt(&master).expect("it can be unlocked");
        let end = ioctl_tiocgptpeer(&master, flags).expect("it has another side");
        let terminal = Self(Arc::new(Both { master: Master::new(master), end }));
        terminal.resize(rows, columns);
        terminal
    }

    /// The other side, for a process.
    pub(crate) fn end(&self) -> OwnedFd {
        self.0.end.try_clone().expect("a descriptor can be duplicated")
    }

    /// Wait until all that was written has been read.
    pub(crate) fn settle(&self) {
        const MARK: &[u8] = b"\0\x01mark\x02\0";
        self.release();
        File::from(self.end()).write_all(MARK).expect("a terminal can be written to");
        let mut at = None;
        wait_until("the terminal is read", || {
            at = self.bytes().windows(MARK.len()).position(|part| part == MARK);
            at.is_some()
        });
        if let Some(at) = at {
            self.seen.lock().bytes.drain(at..at + MARK.len());
        }
    }
}

impl Terminal {
    /// Wait for this many prompts of a shell, and until each key is passed on to it.
    #[track_caller]
    pub fn wait_for_prompt(&self, count: usize) {
        let came = in_time(|| self.is_raw() && self.text().matches("# ").count() >= count);
        assert!(came, "waited too long: {count} prompts on the terminal, which has {:?}", self.text());
    }
}

impl std::ops::Deref for Terminal {
    type Target = Master;

    fn deref(&self) -> &Master {
        &self.0.master
    }
}
