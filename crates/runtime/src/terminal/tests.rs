use super::{Raw, Relay, connect, receive};
use crate::Error;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{Mode, OFlags, fchmod, fcntl_getfl};
use rustix::io::{FdFlags, IoSlice, fcntl_getfd, fcntl_setfd};
use rustix::net::{
    AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags, SocketType, sendmsg, socketpair,
};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{
    LocalModes, OptionalActions, OutputModes, Winsize, tcgetattr, tcgetwinsize, tcsetattr, tcsetwinsize,
};
use rustix::thread::{CapabilitySet, CapabilitySets, set_capabilities};
use rustix::time::{ClockId, clock_gettime};
use std::fs::File;
use std::io::Read;
use std::mem::MaybeUninit;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::{Scope, ScopedJoinHandle, scope, sleep};
use std::time::Duration;

const MEBIBYTE: usize = 1 << 20;
const SIGTERM: u8 = 15;
const SIGCHLD: u8 = 17;
const SIGWINCH: u8 = 28;

/// What has not happened after this does not happen.
const PATIENCE: Timespec = Timespec { tv_sec: 20, tv_nsec: 0 };

const WHILE: Duration = Duration::from_millis(300);

#[test]
fn a_mebibyte_of_output_reaches_a_slow_reader() {
    for stream in [Stream::Pipe, Stream::Socket, Stream::Terminal, Stream::Fifo] {
        for reopen in [Reopen::Allowed, Reopen::Refused] {
            let (ours, theirs) = stream.output();
            let rig = Rig::new();
            let slave = rig.slave();
            scope(|scope| {
                let relay = rig.relay(scope, null(), ours, reopen);
                let program = scope.spawn(move || write_all(&slave, &text()));
                let got = read_slowly(&theirs, text().len(), b"\r");
                assert!(got == text(), "{stream:?} {reopen:?}: {} bytes", got.len());
                program.join().expect("written");
                rig.signal(SIGCHLD);
                relay.join().expect("nothing lost");
            });
        }
    }
}

#[test]
fn a_mebibyte_of_input_reaches_a_slow_program() {
    for stream in [Stream::Pipe, Stream::Socket, Stream::Terminal, Stream::Fifo] {
        for reopen in [Reopen::Allowed, Reopen::Refused] {
            let (ours, theirs) = stream.input();
            let rig = Rig::new();
            let slave = rig.raw_slave();
            scope(|scope| {
                let relay = rig.relay(scope, ours, null(), reopen);
                let user = scope.spawn(|| write_all(&theirs, &text()));
                let got = read_slowly(&slave, text().len(), &[]);
                assert!(got == text(), "{stream:?} {reopen:?}: {} bytes", got.len());
                user.join().expect("written");
                rig.signal(SIGCHLD);
                relay.join().expect("nothing lost");
            });
        }
    }
}

#[test]
fn both_directions_move_at_once() {
    let rig = Rig::new();
    let slave = rig.raw_slave();
    let (input, user) = Stream::Pipe.input();
    let (output, reader) = Stream::Pipe.output();
    scope(|scope| {
        let relay = rig.relay(scope, input, output, Reopen::Allowed);
        scope.spawn(|| write_all(&user, &text()));
        scope.spawn(|| write_all(&slave, &text()));
        let read = scope.spawn(|| read_slowly(&reader, text().len(), &[]));
        assert!(read_slowly(&slave, text().len(), &[]) == text());
        assert!(read.join().expect("read") == text());
        rig.signal(SIGCHLD);
        relay.join().expect("nothing lost");
    });
}

#[test]
fn files_are_read_from_their_position_and_written_at_it() {
    let directory = Directory::new();
    let (from, to) = (directory.0.join("from"), directory.0.join("to"));
    std::fs::write(&from, [b"skipped", &*text()].concat()).expect("a file");
    let mut input = File::open(&from).expect("a file");
    input.read_exact(&mut [0; 7]).expect("seven bytes");
    let output = File::options().write(true).create(true).truncate(true).open(&to).expect("a file");
    write_all(&output, b"before ");

    let rig = Rig::new();
    let slave = rig.raw_slave();
    scope(|scope| {
        let relay = rig.relay(scope, input.into(), output.try_clone().expect("a descriptor").into(), Reopen::Allowed);
        assert!(read_slowly(&slave, text().len(), &[]) == text());
        write_all(&slave, b"meanwhile ");
        rig.signal(SIGCHLD);
        relay.join().expect("nothing lost");
    });
    write_all(&output, b"after");
    assert_eq!(std::fs::read(to).expect("a file"), b"before meanwhile after");
}

#[test]
fn what_was_written_before_the_end_is_delivered() {
    let words: Vec<u8> = text().into_iter().filter(|byte| *byte != b'\n').take(10_000).collect();
    for hung_up in [false, true] {
        let rig = Rig::new();
        let slave = rig.slave();
        let (output, reader) = Stream::Pipe.output();
        write_all(&slave, &words);
        let kept = (!hung_up).then_some(slave);
        rig.signal(SIGCHLD);
        scope(|scope| {
            let relay = rig.relay(scope, null(), output, Reopen::Allowed);
            relay.join().expect("nothing lost");
            assert!(read_to_end(&reader) == words, "{hung_up}");
        });
        drop(kept);
    }
}

#[test]
fn last_words_wait_for_a_reader_that_has_stopped() {
    let rig = Rig::new();
    let slave = rig.slave();
    let (output, reader) = Stream::Pipe.output();
    let full = vec![b'-'; 64 << 10];
    write_all(&output, &full);
    scope(|scope| {
        let relay = rig.relay(scope, null(), output, Reopen::Allowed);
        write_all(&slave, &text()[..6000]);
        drop(slave);
        rig.signal(SIGCHLD);
        sleep(WHILE);
        assert!(!relay.is_finished());
        let got = read_to_end(&reader);
        assert!(got == [&full, &text()[..6000]].concat(), "{} bytes", got.len());
        let cpu = relay.join().expect("nothing lost");
        assert!(cpu < WHILE / 10, "{cpu:?}");
    });
}

#[test]
fn a_reader_that_never_goes_on_is_waited_for_until_sigterm() {
    for reopen in [Reopen::Allowed, Reopen::Refused] {
        let rig = Rig::new();
        let slave = rig.slave();
        let (output, _reader) = Stream::Pipe.output();
        write_all(&output, &vec![b'-'; 64 << 10]);
        scope(|scope| {
            let relay = rig.relay(scope, null(), output, reopen);
            write_all(&slave, b"last words");
            rig.signal(SIGCHLD);
            rig.signal(SIGWINCH);
            sleep(WHILE);
            assert!(!relay.is_finished());
            rig.signal(SIGTERM);
            relay.join().expect("an end");
        });
    }
}

#[test]
fn others_who_go_on_writing_are_not_waited_for() {
    let rig = Rig::new();
    let slave = rig.slave();
    rustix::io::ioctl_fionbio(&slave, true).expect("a terminal");
    let (output, reader) = Stream::Pipe.output();
    let done = AtomicBool::new(false);
    scope(|scope| {
        let relay = rig.relay(scope, null(), output, Reopen::Allowed);
        let until_done = |work: &dyn Fn()| {
            while !done.load(Ordering::Relaxed) {
                work();
            }
        };
        scope.spawn(move || {
            until_done(&|| {
                let _ = is_writable(&slave, WHILE) && rustix::io::write(&slave, &[b'y'; 4096]).is_ok();
            });
        });
        // Slower than they are, so that the terminal is never empty.
        scope.spawn(move || {
            until_done(&|| {
                sleep(Duration::from_millis(2));
                let _ = is_readable(&reader, WHILE) && !read_some(&reader).is_empty();
            });
        });
        sleep(WHILE);
        rig.signal(SIGCHLD);
        sleep(2 * WHILE);
        let ended = relay.is_finished();
        done.store(true, Ordering::Relaxed);
        assert!(ended);
        relay.join().expect("an end");
    });
}

#[test]
fn the_end_of_input_is_typed_once() {
    for (typed, lines) in
        [("", vec![""]), ("one\ntwo\n", vec!["one\n", "two\n", ""]), ("one\ntwo", vec!["one\n", "two", ""])]
    {
        for input in [Stream::Pipe, Stream::Socket] {
            let rig = Rig::new();
            let slave = rig.slave();
            let (ours, theirs) = input.input();
            write_all(&theirs, typed.as_bytes());
            drop(theirs);
            scope(|scope| {
                let relay = rig.relay(scope, ours, null(), Reopen::Allowed);
                for line in &lines {
                    assert_eq!(read_some(&slave), line.as_bytes(), "{typed:?}");
                }
                assert!(!is_readable(&slave, WHILE), "{typed:?}");
                rig.signal(SIGCHLD);
                let cpu = relay.join().expect("nothing lost");
                assert!(cpu < WHILE / 10, "{cpu:?}");
            });
        }
    }
}

#[test]
fn an_end_of_input_that_was_typed_is_not_doubled() {
    let rig = Rig::new();
    let slave = rig.slave();
    let (input, user) = Stream::Pipe.input();
    write_all(&user, b"word\x04\x04");
    drop(user);
    scope(|scope| {
        let relay = rig.relay(scope, input, null(), Reopen::Allowed);
        assert_eq!(read_some(&slave), b"word");
        assert_eq!(read_some(&slave), b"");
        assert_eq!(read_some(&slave), b"");
        assert!(!is_readable(&slave, WHILE));
        rig.signal(SIGCHLD);
        relay.join().expect("nothing lost");
    });
}

#[test]
fn inputs_without_anything_are_at_their_end() {
    let (closed, _) = Stream::Pipe.input();
    let written = pipe_with(PipeFlags::CLOEXEC).expect("a pipe");
    let directory = File::open("/").expect("a directory").into();
    for input in [null(), closed, written.1, directory] {
        let rig = Rig::new();
        let slave = rig.slave();
        scope(|scope| {
            let relay = rig.relay(scope, input, null(), Reopen::Allowed);
            assert_eq!(read_some(&slave), b"");
            rig.signal(SIGCHLD);
            relay.join().expect("nothing lost");
        });
    }
}

#[test]
fn the_end_of_input_waits_for_canonical_mode() {
    let rig = Rig::new();
    let slave = rig.raw_slave();
    scope(|scope| {
        let (output, reader) = Stream::Pipe.output();
        let relay = rig.relay(scope, null(), output, Reopen::Allowed);
        assert!(!is_readable(&slave, WHILE));
        let mut modes = tcgetattr(&slave).expect("a terminal");
        modes.local_modes |= LocalModes::ICANON;
        tcsetattr(&slave, OptionalActions::Now, &modes).expect("a terminal");
        write_all(&slave, b"> ");
        assert_eq!(read_some(&reader), b"> ");
        assert_eq!(read_some(&slave), b"");
        rig.signal(SIGCHLD);
        relay.join().expect("nothing lost");
    });
}

#[test]
fn a_program_goes_on_when_its_reader_is_gone() {
    for stream in [Stream::Pipe, Stream::Fifo, Stream::Socket, Stream::Terminal] {
        for reopen in [Reopen::Allowed, Reopen::Refused] {
            let rig = Rig::new();
            let slave = rig.slave();
            let (output, reader) = stream.output();
            scope(|scope| {
                let relay = rig.relay(scope, null(), output, reopen);
                write_all(&slave, b"heard");
                assert_eq!(read_some(&reader), b"heard");
                drop(reader);
                write_all(&slave, &text());
                rig.signal(SIGCHLD);
                relay.join().expect("an end");
            });
        }
    }
}

#[test]
fn output_that_a_full_disk_refused_is_an_error_at_the_end() {
    let rig = Rig::new();
    let slave = rig.slave();
    let full = File::options().write(true).open("/dev/full").expect("/dev/full").into();
    scope(|scope| {
        let relay = rig.relay(scope, null(), full, Reopen::Allowed);
        write_all(&slave, &text());
        rig.signal(SIGCHLD);
        let error = relay.join().expect_err("no space");
        assert_eq!(error.to_string(), "write the output of the container's terminal: no space left on device");
    });
}

#[test]
fn a_stopped_reader_stops_the_program_and_costs_nothing() {
    for stream in [Stream::Pipe, Stream::Socket, Stream::Terminal] {
        for reopen in [Reopen::Allowed, Reopen::Refused] {
            let rig = Rig::new();
            let slave = rig.slave();
            let (output, reader) = stream.output();
            scope(|scope| {
                let relay = rig.relay(scope, null(), output, reopen);
                rustix::io::ioctl_fionbio(&slave, true).expect("a terminal");
                let mut taken = 0;
                while is_writable(&slave, WHILE) {
                    taken += rustix::io::write(&slave, &[b'x'; 512]).unwrap_or(0);
                    assert!(taken < MEBIBYTE, "{stream:?} {reopen:?}");
                }
                // Typing goes on.
                rig.signal(SIGWINCH);
                rig.signal(SIGTERM);
                sleep(WHILE);
                rig.signal(SIGCHLD);
                let read = scope.spawn(move || read_to_end(&reader));
                let cpu = relay.join().expect("an end");
                assert!(cpu < WHILE / 5, "{stream:?} {reopen:?} {cpu:?}");
                assert_eq!(read.join().expect("read").len(), taken, "{stream:?} {reopen:?}");
            });
        }
    }
}

#[test]
fn a_program_that_reads_nothing_stops_the_input_and_costs_nothing() {
    let rig = Rig::new();
    let slave = rig.raw_slave();
    let zeros = File::open("/dev/zero").expect("/dev/zero").into();
    scope(|scope| {
        let (output, reader) = Stream::Pipe.output();
        let relay = rig.relay(scope, zeros, output, Reopen::Allowed);
        sleep(WHILE);
        // Output is not held up by that.
        write_all(&slave, b"busy");
        assert_eq!(read_some(&reader), b"busy");
        rig.signal(SIGCHLD);
        let cpu = relay.join().expect("nothing lost");
        assert!(cpu < WHILE / 5, "{cpu:?}");
    });
}

#[test]
fn a_terminal_that_nobody_has_open_costs_nothing_and_comes_back() {
    let rig = Rig::new();
    let (input, user) = Stream::Pipe.input();
    let (output, reader) = Stream::Pipe.output();
    scope(|scope| {
        let relay = rig.relay(scope, input, output, Reopen::Allowed);
        write_all(&user, b"early\n");
        sleep(WHILE);
        for round in 0..3 {
            let slave = rig.slave();
            if round == 0 {
                assert_eq!(read_some(&slave), b"early\n");
                assert_eq!(read_exactly(&reader, 6), b"early\n");
            }
            write_all(&slave, b"shown");
            assert_eq!(read_exactly(&reader, 5), b"shown");
            write_all(&user, b"typed\n");
            assert_eq!(read_some(&slave), b"typed\n");
            assert_eq!(read_exactly(&reader, 6), b"typed\n");
            drop(slave);
            sleep(WHILE);
        }
        rig.signal(SIGCHLD);
        let cpu = relay.join().expect("nothing lost");
        assert!(cpu < WHILE / 5, "{cpu:?}");
    });
}

#[test]
fn flags_of_the_callers_descriptors_stay_as_they_are() {
    for stream in [Stream::Pipe, Stream::Socket, Stream::Terminal, Stream::Fifo] {
        let rig = Rig::new();
        let slave = rig.slave();
        let ((input, user), (output, reader)) = (stream.input(), stream.output());
        let (shared_input, shared_output) = (again(&input), again(&output));
        let before = (fcntl_getfl(&input), fcntl_getfl(&output));
        let flags = || (fcntl_getfl(&shared_input), fcntl_getfl(&shared_output));
        scope(|scope| {
            let relay = rig.relay(scope, input, output, Reopen::Allowed);
            write_all(&user, b"typed\n");
            assert_eq!(read_some(&slave), b"typed\n");
            write_all(&slave, b"shown");
            assert!(read_some(&reader).len() >= 5);
            assert_eq!(flags(), before, "{stream:?}");
            rig.signal(SIGCHLD);
            relay.join().expect("nothing lost");
            assert_eq!(flags(), before, "{stream:?}");
        });
    }
}

#[test]
fn ends_of_lines_are_left_to_the_callers_terminal() {
    let rig = Rig::new();
    let slave = rig.slave();
    let (output, reader) = Stream::Pipe.output();
    scope(|scope| {
        let relay = rig.relay(scope, null(), output, Reopen::Allowed);
        // Once it has said something it is set up.
        rig.signal(SIGWINCH);
        assert_eq!(read_some(&slave), b"");
        write_all(&slave, b"line\n");
        assert_eq!(read_some(&reader), b"line\n");
        rig.signal(SIGCHLD);
        relay.join().expect("nothing lost");
    });
}

#[test]
fn the_window_size_is_that_of_the_callers_terminal() {
    let size = |rows, columns| Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    let rig = Rig::new();
    let slave = rig.slave();
    tcsetwinsize(&slave, size(5, 6)).expect("a terminal");
    let (_other, callers) = terminal();
    for (input, output) in [(callers.as_fd(), null().as_fd()), (null().as_fd(), callers.as_fd())] {
        tcsetwinsize(&callers, size(0, 100)).expect("a terminal");
        let relay = Relay::new(again(&rig.master), rig.signals.0.as_fd(), input, output).expect("a relay");
        relay.resize();
        assert_eq!(tcgetwinsize(&slave).expect("a terminal").ws_row, 5);
        tcsetwinsize(&callers, size(30, 100)).expect("a terminal");
        relay.resize();
        let now = tcgetwinsize(&slave).expect("a terminal");
        assert_eq!((now.ws_row, now.ws_col), (30, 100));
        tcsetwinsize(&slave, size(5, 6)).expect("a terminal");
    }
}

#[test]
fn raw_mode_ends_where_it_began() {
    let (_master, slave) = terminal();
    let before = format!("{:?}", tcgetattr(&slave).expect("a terminal"));
    let raw = Raw::enter(slave.as_fd()).expect("a terminal").expect("a terminal");
    let modes = tcgetattr(&slave).expect("a terminal");
    assert!(!modes.local_modes.intersects(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG));
    assert!(modes.output_modes.contains(OutputModes::OPOST | OutputModes::ONLCR));
    drop(raw);
    assert_eq!(format!("{:?}", tcgetattr(&slave).expect("a terminal")), before);
}

#[test]
fn only_terminals_have_a_raw_mode() {
    assert!(Raw::enter(null().as_fd()).expect("no terminal").is_none());
    assert!(Raw::enter(Stream::Pipe.input().0.as_fd()).expect("no terminal").is_none());
}

#[test]
fn a_master_is_received_close_on_exec() {
    let (ours, theirs) =
        socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None).expect("sockets");
    let (master, slave) = terminal();
    fcntl_setfd(&master, FdFlags::empty()).expect("a descriptor");
    pass(&theirs, b"/dev/pts/0", &[master.as_fd()]);
    let received = receive(ours.as_fd()).expect("a terminal");
    assert!(fcntl_getfd(&received).expect("a descriptor").contains(FdFlags::CLOEXEC));
    write_all(&slave, b"through");
    assert_eq!(read_some(&received), b"through");
}

#[test]
fn what_is_not_one_master_is_refused() {
    let (master, slave) = terminal();
    let no_terminal = null();
    let refused: [(&[BorrowedFd<'_>], &str); 5] = [
        (&[], "one descriptor: bad message"),
        (&[master.as_fd(), master.as_fd()], "one descriptor: bad message"),
        (&[master.as_fd(), master.as_fd(), master.as_fd()], "one descriptor: bad message"),
        (&[slave.as_fd()], "the master of one: inappropriate ioctl for device"),
        (&[no_terminal.as_fd()], "the master of one: inappropriate ioctl for device"),
    ];
    for (descriptors, problem) in refused {
        let (ours, theirs) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).expect("sockets");
        pass(&theirs, b"name", descriptors);
        let error = receive(ours.as_fd()).expect_err("refused").to_string();
        assert_eq!(error, format!("receive the container's terminal: {problem}"));
    }
    let (ours, _) = socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None).expect("sockets");
    receive(ours.as_fd()).expect_err("nobody to send one");
}

#[test]
fn console_sockets_have_paths_of_any_length() {
    let directory = Directory::new();
    let mut path = directory.0.clone();
    while path.as_os_str().as_bytes().len() < 300 {
        let listener = UnixListener::bind(short(&path).join("console.sock")).expect("a socket");
        let socket = connect("connect to the console socket", &path.join("console.sock")).expect("a connection");
        write_all(&socket, b"hello");
        assert_eq!(read_some(&OwnedFd::from(listener.accept().expect("a connection").0)), b"hello");
        path.push("another-directory");
        std::fs::create_dir(&path).expect("a directory");
    }
}

#[test]
fn a_console_socket_that_nobody_listens_on_is_named() {
    let directory = Directory::new();
    let (path, missing) = (directory.0.join("console.sock"), directory.0.join("m".repeat(200)));
    drop(UnixListener::bind(&path).expect("a socket"));
    let error = connect("connect to the console socket", &path).expect_err("nobody listens").to_string();
    assert_eq!(error, format!("connect to the console socket {}: connection refused", path.display()));
    let error = connect("connect to the console socket", &missing).expect_err("nothing there").to_string();
    assert_eq!(error, format!("connect to the console socket {}: no such file or directory", missing.display()));
}

/// A terminal of a container, and signals for its relay.
struct Rig {
    master: OwnedFd,
    signals: (OwnedFd, OwnedFd),
}

impl Rig {
    fn new() -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).expect("a terminal");
        unlockpt(&master).expect("a terminal");
        Self { master, signals: pipe_with(PipeFlags::CLOEXEC).expect("a pipe") }
    }

    fn slave(&self) -> OwnedFd {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        ioctl_tiocgptpeer(&self.master, flags).expect("a terminal")
    }

    fn raw_slave(&self) -> OwnedFd {
        let slave = self.slave();
        make_raw(&slave);
        slave
    }

    /// As a signalfd would have it: 128 bytes, the number first.
    fn signal(&self, number: u8) {
        let mut info = [0; 128];
        info[0] = number;
        write_all(&self.signals.1, &info);
    }

    /// A relay until SIGCHLD.
    fn relay<'scope, 'env>(
        &'env self,
        scope: &'scope Scope<'scope, 'env>,
        input: OwnedFd,
        output: OwnedFd,
        reopen: Reopen,
    ) -> Relaying<'scope, 'env> {
        let master = again(&self.master);
        // From here on: the program is not to be faster.
        let (ready, is_ready) = std::sync::mpsc::channel();
        let thread = scope.spawn(move || {
            if reopen == Reopen::Refused {
                for fd in [&input, &output] {
                    if !is_null(fd) {
                        fchmod(fd, Mode::empty()).expect("our own");
                    }
                }
                let none = CapabilitySet::empty();
                let sets = CapabilitySets { effective: none, permitted: none, inheritable: none };
                set_capabilities(None, sets).expect("fewer rights");
            }
            let signals = self.signals.0.as_fd();
            let relay = Relay::new(master, signals, input.as_fd(), output.as_fd());
            ready.send(()).expect("a test");
            let mut relay = relay?;
            while relay.until_signal()? != Some(SIGCHLD) {}
            relay.finish()?;
            let time = clock_gettime(ClockId::ThreadCPUTime);
            Ok(Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).expect("nanoseconds")))
        });
        let _ = is_ready.recv();
        Relaying { thread: Some(thread), rig: self }
    }
}

/// The thread of a relay. It ends with a test that fails.
struct Relaying<'scope, 'env> {
    thread: Option<ScopedJoinHandle<'scope, Result<Duration, Error>>>,
    rig: &'env Rig,
}

impl Relaying<'_, '_> {
    fn is_finished(&self) -> bool {
        self.thread.as_ref().is_some_and(ScopedJoinHandle::is_finished)
    }

    /// The processor time it took.
    fn join(mut self) -> Result<Duration, Error> {
        self.thread.take().expect("joined once").join().expect("a relay")
    }
}

impl Drop for Relaying<'_, '_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.rig.signal(SIGCHLD);
            self.rig.signal(SIGTERM);
        }
    }
}

/// Whether a thread can have descriptions of its own of what it is given.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Reopen {
    Allowed,
    Refused,
}

#[derive(Clone, Copy, Debug)]
enum Stream {
    Pipe,
    Fifo,
    Socket,
    Terminal,
}

impl Stream {
    /// What the relay reads, and where the user writes.
    fn input(self) -> (OwnedFd, OwnedFd) {
        match self {
            Self::Pipe => pipe_with(PipeFlags::CLOEXEC).expect("a pipe"),
            Self::Fifo => fifo(),
            Self::Socket => {
                socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None).expect("sockets")
            }
            Self::Terminal => {
                let (master, slave) = terminal();
                make_raw(&slave);
                (slave, master)
            }
        }
    }

    /// What the relay writes, and where the reader is.
    fn output(self) -> (OwnedFd, OwnedFd) {
        let (ours, theirs) = self.input();
        match self {
            Self::Pipe | Self::Fifo => (theirs, ours),
            Self::Socket | Self::Terminal => (ours, theirs),
        }
    }
}

fn terminal() -> (OwnedFd, OwnedFd) {
    let rig = Rig::new();
    let slave = rig.slave();
    (rig.master, slave)
}

fn make_raw(slave: &OwnedFd) {
    let mut modes = tcgetattr(slave).expect("a terminal");
    modes.make_raw();
    modes.output_modes |= OutputModes::OPOST;
    tcsetattr(slave, OptionalActions::Now, &modes).expect("a terminal");
}

fn fifo() -> (OwnedFd, OwnedFd) {
    let directory = Directory::new();
    let path = directory.0.join("fifo");
    rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, Mode::RUSR | Mode::WUSR, 0)
        .expect("a fifo");
    let open = |flags| rustix::fs::open(&path, flags | OFlags::CLOEXEC, Mode::empty()).expect("a fifo");
    let both = open(OFlags::RDWR);
    let ends = (open(OFlags::RDONLY), open(OFlags::WRONLY));
    drop(both);
    ends
}

fn null() -> OwnedFd {
    File::options().read(true).write(true).open("/dev/null").expect("/dev/null").into()
}

fn is_null(fd: &OwnedFd) -> bool {
    rustix::fs::fstat(fd).expect("a file").st_rdev == rustix::fs::stat("/dev/null").expect("/dev/null").st_rdev
}

fn again(fd: &OwnedFd) -> OwnedFd {
    fd.try_clone().expect("a descriptor")
}

/// Lines, so that terminals take it, in which no place looks like another.
fn text() -> Vec<u8> {
    let mut text: Vec<u8> =
        (0..).flat_map(|line: u32| format!("line {line}\n").into_bytes()).take(MEBIBYTE - 1).collect();
    text.push(b'\n');
    text
}

fn write_all(fd: impl AsFd, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        assert!(is_ready(fd.as_fd(), PollFlags::OUT, PATIENCE), "{} bytes are not taken", bytes.len());
        bytes = &bytes[rustix::io::write(&fd, &bytes[..bytes.len().min(4096)]).expect("written")..];
    }
}

fn read_some(fd: &OwnedFd) -> Vec<u8> {
    assert!(is_ready(fd.as_fd(), PollFlags::IN, PATIENCE), "nothing comes");
    let mut bytes = vec![0; 5000];
    // EIO: the end of a terminal.
    let len = rustix::io::read(fd, &mut bytes).unwrap_or(0);
    bytes.truncate(len);
    bytes
}

fn read_exactly(fd: &OwnedFd, len: usize) -> Vec<u8> {
    let mut all = Vec::new();
    while all.len() < len {
        all.extend(read_some(fd));
    }
    all
}

/// Until there are `len` bytes, not counting `without`; with a pause now and then.
fn read_slowly(fd: &OwnedFd, len: usize, without: &[u8]) -> Vec<u8> {
    let mut all = Vec::new();
    let mut reads = 0;
    while all.len() < len {
        if reads % 100 == 0 {
            sleep(Duration::from_millis(20));
        }
        reads += 1;
        let some = read_some(fd);
        assert!(!some.is_empty(), "the end after {} bytes", all.len());
        all.extend(some.into_iter().filter(|byte| !without.contains(byte)));
    }
    all
}

fn read_to_end(fd: &OwnedFd) -> Vec<u8> {
    let mut all = Vec::new();
    loop {
        match read_some(fd) {
            some if some.is_empty() => return all,
            some => all.extend(some),
        }
    }
}

fn is_readable(fd: &OwnedFd, within: Duration) -> bool {
    is_ready(fd.as_fd(), PollFlags::IN, Timespec { tv_sec: 0, tv_nsec: within.subsec_nanos().into() })
}

fn is_writable(fd: &OwnedFd, within: Duration) -> bool {
    is_ready(fd.as_fd(), PollFlags::OUT, Timespec { tv_sec: 0, tv_nsec: within.subsec_nanos().into() })
}

fn is_ready(fd: BorrowedFd<'_>, flags: PollFlags, within: Timespec) -> bool {
    poll(&mut [PollFd::new(&fd, flags)], Some(&within)).expect("polled") > 0
}

fn pass(socket: &OwnedFd, name: &[u8], descriptors: &[BorrowedFd<'_>]) {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(3))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() {
        assert!(control.push(SendAncillaryMessage::ScmRights(descriptors)));
    }
    sendmsg(socket, &[IoSlice::new(name)], &mut control, SendFlags::NOSIGNAL).expect("sent");
}

/// Gone with its contents when dropped.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("rt-terminal-{}-{number}", std::process::id()));
        std::fs::create_dir(&path).expect("a directory");
        Self(path)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// `directory` by a name that fits into an address. Its descriptor stays open.
fn short(directory: &std::path::Path) -> PathBuf {
    use std::os::fd::IntoRawFd;
    PathBuf::from(format!("/proc/self/fd/{}", File::open(directory).expect("a directory").into_raw_fd()))
}
