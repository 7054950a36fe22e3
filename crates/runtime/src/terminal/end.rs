//! One end of the relay: a descriptor that never makes anybody wait.

use rustix::event::{PollFd, PollFlags, Timespec, epoll, poll};
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use rustix::fs::{FileType, Mode, OFlags, fcntl_getfl, fstat, major, open};
use rustix::io::{Errno, retry_on_intr};
use rustix::net::{RecvFlags, SendFlags, recv, send};

/// What a pipe that has room takes at once: PIPE_BUF.
const CHUNK: usize = 4 << 10;

/// Major number of /dev/tty, /dev/console and /dev/ptmx, which are another terminal each time they are opened.
const TTYAUX_MAJOR: u32 = 5;

/// A descriptor, and what is known of it: events come once (EPOLLET), so what they said is kept until EAGAIN.
pub(super) struct End<'a> {
    fd: Fd<'a>,
    way: Way,
    /// A read may find something.
    pub(super) readable: bool,
    /// A write may be taken.
    pub(super) writable: bool,
}

enum Fd<'a> {
    Own(OwnedFd),
    Shared(BorrowedFd<'a>),
}

/// How it is read and written without waiting. O_NONBLOCK belongs to the open file description, and standard input and
/// output share theirs with the caller: set there, it would outlive us, and break the caller's shell.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    /// O_NONBLOCK: the description is ours alone.
    Own,
    /// A socket: MSG_DONTWAIT, call by call.
    Socket,
    /// poll(2) before each call, and no more than [`CHUNK`] bytes. Nearly as good: a terminal, or a pipe with other
    /// users, may still make us wait until its reader has taken a few KiB.
    Ask,
    /// Nothing to wait for: regular files, /dev/null, and what was not opened for this.
    Ready,
}

impl End<'static> {
    /// The master of a terminal, which is ours.
    pub(super) fn of_master(master: OwnedFd) -> Result<Self, Errno> {
        rustix::io::ioctl_fionbio(&master, true)?;
        Ok(Self { fd: Fd::Own(master), way: Way::Own, readable: true, writable: true })
    }
}

impl<'a> End<'a> {
    /// A descriptor of the caller's. `access` is what it is used for: `RDONLY` or `WRONLY`.
    pub(super) fn of_caller(fd: BorrowedFd<'a>, access: OFlags) -> Result<Self, Errno> {
        let (fd, way) = match own(fd, access)? {
            Ok(own) => (Fd::Own(own), Way::Own),
            Err(way) => (Fd::Shared(fd), way),
        };
        Ok(Self { fd, way, readable: true, writable: true })
    }

    /// Let `epoll` say when there is more.
    pub(super) fn watch(&mut self, epoll: &OwnedFd, token: u64, events: epoll::EventFlags) -> Result<(), Errno> {
        if self.way == Way::Ready {
            return Ok(());
        }
        match epoll::add(epoll, self.as_fd(), epoll::EventData::new_u64(token), events | epoll::EventFlags::ET) {
            // It can't be waited for.
            Err(Errno::PERM) => {
                self.way = Way::Ready;
                Ok(())
            }
            answer => answer,
        }
    }

    /// Ends and errors count as ready: the next call will tell them.
    pub(super) fn heard(&mut self, events: epoll::EventFlags) {
        use epoll::EventFlags as Flags;
        self.readable |= events.intersects(Flags::IN | Flags::HUP | Flags::ERR);
        self.writable |= events.intersects(Flags::OUT | Flags::HUP | Flags::ERR);
    }

    /// None: not now. 0: the end.
    pub(super) fn read(&mut self, bytes: &mut [u8]) -> Result<Option<usize>, Errno> {
        if !self.readable {
            return Ok(None);
        }
        let answer = retry_on_intr(|| match self.way {
            Way::Socket => recv(self.as_fd(), &mut *bytes, RecvFlags::DONTWAIT).map(|(len, _)| len),
            Way::Ask if !self.is(PollFlags::IN)? => Err(Errno::AGAIN),
            _ => rustix::io::read(self.as_fd(), &mut *bytes),
        });
        match answer {
            Err(Errno::AGAIN) => {}
            // A master: nobody has the terminal open. A terminal: it is not ours to read, we are in the background.
            // Both may change, and an end for good is no error but 0.
            Err(Errno::IO) if self.way != Way::Ready => {}
            answer => return answer.map(Some),
        }
        self.readable = false;
        Ok(None)
    }

    /// How much of `bytes` was taken.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<usize, Errno> {
        if !self.writable {
            return Ok(0);
        }
        let answer = retry_on_intr(|| match self.way {
            Way::Socket => send(self.as_fd(), bytes, SendFlags::DONTWAIT | SendFlags::NOSIGNAL),
            Way::Ask if !self.is(PollFlags::OUT)? => Err(Errno::AGAIN),
            Way::Ask => rustix::io::write(self.as_fd(), bytes.get(..CHUNK).unwrap_or(bytes)),
            _ => rustix::io::write(self.as_fd(), bytes),
        });
        match answer {
            Err(Errno::AGAIN) => {
                self.writable = false;
                Ok(0)
            }
            // A terminal that was hung up has as little of a reader as a pipe.
            Err(Errno::IO) if self.way != Way::Ready => Err(Errno::PIPE),
            answer => answer,
        }
    }

    fn is(&self, ready: PollFlags) -> Result<bool, Errno> {
        let mut fds = [PollFd::new(self, ready)];
        Ok(poll(&mut fds, Some(&Timespec::default()))? > 0)
    }
}

impl AsFd for End<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.fd {
            Fd::Own(fd) => fd.as_fd(),
            Fd::Shared(fd) => *fd,
        }
    }
}

/// A description of our own of what `fd` is; or the way to do without.
fn own(fd: BorrowedFd<'_>, access: OFlags) -> Result<Result<OwnedFd, Way>, Errno> {
    let opened = fcntl_getfl(fd)? & OFlags::RWMODE;
    if opened != OFlags::RDWR && opened != access {
        return Ok(Err(Way::Ready));
    }
    let stat = fstat(fd)?;
    let opens_anew = match FileType::from_raw_mode(stat.st_mode) {
        FileType::Socket => return Ok(Err(Way::Socket)),
        FileType::Fifo => true,
        FileType::CharacterDevice => major(stat.st_rdev) != TTYAUX_MAJOR && rustix::termios::isatty(fd),
        // Not regular files: the position is shared as well, and that is what a shell's redirection is for.
        _ => false,
    };
    if !opens_anew {
        return Ok(Err(Way::Ask));
    }
    let flags = access | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    // Refused if it belongs to another user (after su), or if a FIFO has no reader any more.
    Ok(open(format!("/proc/self/fd/{}", fd.as_raw_fd()), flags, Mode::empty()).map_err(|_| Way::Ask))
}

#[cfg(test)]
mod tests {
    use super::{End, Way};
    use rustix::fd::{AsFd, OwnedFd};
    use rustix::fs::{Mode, OFlags, open};
    use rustix::pipe::pipe;
    use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, openpt, unlockpt};

    #[test]
    fn only_what_opens_as_the_same_thing_is_opened_again() {
        let way = |fd: &OwnedFd, access| End::of_caller(fd.as_fd(), access).expect("open").way;
        let (read, write) = pipe().expect("a pipe");
        assert!(way(&read, OFlags::RDONLY) == Way::Own && way(&write, OFlags::WRONLY) == Way::Own);
        // Or we would read what is written for somebody else.
        assert!(way(&write, OFlags::RDONLY) == Way::Ready);

        // Opening that again makes a second terminal.
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
        assert!(way(&master, OFlags::RDONLY) == Way::Ask);
        unlockpt(&master).expect("a terminal");
        let slave = ioctl_tiocgptpeer(&master, OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
        assert!(way(&slave, OFlags::RDONLY) == Way::Own);

        for file in ["/proc/self/exe", "/dev/zero", "/"] {
            let file = open(file, OFlags::RDONLY, Mode::empty()).expect("open");
            assert!(way(&file, OFlags::RDONLY) == Way::Ask);
        }
    }
}
