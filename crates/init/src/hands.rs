//! What init holds while it walks: the few values that only exist at run time.

use crate::fd::Fd;
use core::ops::Range;
use rt_sys::command::Tail;
use rt_sys::fd;
use rt_wire::{HELD, Order, Part, Report, Target};
use rustix::fd::{AsFd, AsRawFd, BorrowedFd};
use rustix::io::{Errno, read, write};

/// Why a step failed: which part of it, and the kernel's answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Failure {
    pub(crate) part: Part,
    pub(crate) errno: Errno,
}

pub(crate) type Done = Result<(), Failure>;

impl From<Errno> for Failure {
    fn from(errno: Errno) -> Self {
        Self { part: Part::Whole, errno }
    }
}

/// Names the part of a step that an answer belongs to.
pub(crate) trait At<T> {
    fn at(self, part: Part) -> Result<T, Failure>;
}

impl<T> At<T> for Result<T, Errno> {
    fn at(self, part: Part) -> Result<T, Failure> {
        self.map_err(|errno| Failure { part, errno })
    }
}

/// The descriptors of the walk.
pub(crate) struct Hands {
    /// To the parent.
    pub(crate) socket: Fd,
    /// Where `start` connects.
    pub(crate) listener: Option<Fd>,
    /// `start`, once it has.
    pub(crate) start: Option<Fd>,
    /// What the plan calls by place, until it is used.
    inherited: &'static [u8],
    /// The container's root.
    root: Option<Fd>,
    held: [Option<Fd>; HELD],
    /// The container's /dev/null, verified.
    pub(crate) null: Option<Fd>,
    /// A mount of it that is nowhere yet.
    pub(crate) spare: Option<Fd>,
    /// The first name below a held file system that it was laid over.
    pub(crate) masked: Option<Target<'static>>,
    /// Which held file system is the working directory.
    directory: u8,
    /// Whether `EnterDirectory` could.
    pub(crate) entered: bool,
    /// Where this program's code is, whole pages of it.
    pub(crate) code: Range<usize>,
    /// The filter to load with the program, and its flags.
    pub(crate) filter: Option<(&'static [u8], u32)>,
    /// The step being applied.
    pub(crate) step: u16,
    /// What a hook that failed has said last.
    pub(crate) said: Tail,
}

impl Hands {
    pub(crate) fn new(socket: Fd, listener: Option<Fd>, inherited: &'static [u8], code: Range<usize>) -> Self {
        Self {
            socket,
            listener,
            start: None,
            inherited,
            root: None,
            held: [const { None }; HELD],
            null: None,
            spare: None,
            masked: None,
            directory: 0,
            entered: false,
            code,
            filter: None,
            step: 0,
            said: Tail::new(),
        }
    }

    /// The descriptor that the plan calls `place`.
    pub(crate) fn inherited(&self, place: u8) -> Result<Fd, Errno> {
        let (numbers, _) = self.inherited.as_chunks::<4>();
        let number = numbers.get(usize::from(place)).ok_or(Errno::BADF)?;
        fd::inherited(i32::from_le_bytes(*number)).map(Fd::from).ok_or(Errno::BADF)
    }

    pub(crate) fn set_root(&mut self, root: Fd) {
        self.root = Some(root);
    }

    /// The container's root. Before `OpenRoot` there is none.
    pub(crate) fn root(&self) -> Result<BorrowedFd<'_>, Errno> {
        self.root.as_ref().map(AsFd::as_fd).ok_or(Errno::BADF)
    }

    pub(crate) fn hold(&mut self, number: u8, fd: Fd) -> Result<(), Errno> {
        let slot = number.checked_sub(1).and_then(|index| self.held.get_mut(usize::from(index)));
        *slot.ok_or(Errno::MFILE)? = Some(fd);
        Ok(())
    }

    pub(crate) fn held(&self, number: u8) -> Result<BorrowedFd<'_>, Errno> {
        let slot = number.checked_sub(1).and_then(|index| self.held.get(usize::from(index)));
        slot.and_then(Option::as_ref).map(AsFd::as_fd).ok_or(Errno::BADF)
    }

    /// Where `target` is looked up from: what init holds, or the root.
    pub(crate) fn base(&self, target: Target<'_>) -> Result<BorrowedFd<'_>, Errno> {
        if target.held == 0 { self.root() } else { self.held(target.held) }
    }

    /// Make a held file system the working directory, unless it is.
    pub(crate) fn enter_held(&mut self, number: u8) -> Result<(), Errno> {
        if self.directory != number {
            rustix::process::fchdir(self.held(number)?)?;
            self.directory = number;
        }
        Ok(())
    }

    /// The working directory is no longer what `enter_held` made it.
    pub(crate) fn left_directory(&mut self) {
        self.directory = 0;
    }

    /// Close what the walk has used: everything from `first` on but the sockets and what is at `places`.
    #[inline(never)]
    pub(crate) fn close_used(&mut self, first: u32, places: [u8; 3]) -> Result<(), Errno> {
        let number = |fd: &Fd| fd.as_fd().as_raw_fd().unsigned_abs();
        let [state, output, errors] = places.map(|place| self.inherited(place).as_ref().map_or(0, number));
        let listener = self.listener.as_ref().map_or(0, number);
        let mut kept = [number(&self.socket), listener, state, output, errors];
        kept.sort_unstable();
        let mut from = first;
        for kept in kept.into_iter().filter(|kept| *kept >= first) {
            fd::close_between(from, kept)?;
            from = kept.saturating_add(1);
        }
        fd::close_between(from, u32::MAX)
    }

    /// By write(2), and the answers by read(2): what every filter allows that runc could work with.
    pub(crate) fn report(&self, report: Report) -> Result<(), Errno> {
        let to = self.start.as_ref().unwrap_or(&self.socket);
        write(to, &report.encode()).map(drop)
    }

    /// The walk ends here. What a hook has said goes with it.
    #[inline(never)]
    pub(crate) fn report_failed(&self, Failure { part, errno }: Failure) {
        let report = Report::Failed { step: self.step, part, errno: errno.raw_os_error() }.encode();
        let mut datagram = [0u8; Report::LONGEST];
        let said = self.said.bytes();
        let parts = report.iter().chain(said);
        let len = report.len().saturating_add(said.len());
        datagram.iter_mut().zip(parts).for_each(|(slot, byte)| *slot = *byte);
        let to = self.start.as_ref().unwrap_or(&self.socket);
        let _ = write(to, datagram.get(..len).unwrap_or_default());
    }

    /// The step did less than was asked for: the parent tells the user.
    pub(crate) fn warn(&self, errno: Errno, value: u64) {
        let value = u32::try_from(value).unwrap_or(u32::MAX);
        let _ = self.report(Report::Warning { step: self.step, errno: errno.raw_os_error(), value });
    }

    /// Wait for the parent's word. A parent that is gone is an error: nobody would ever start us.
    pub(crate) fn await_order(&self) -> Done {
        let mut bytes = [0u8; 8];
        let len = rustix::io::retry_on_intr(|| read(&self.socket, &mut bytes)).at(Part::Talk)?;
        match bytes.get(..len).and_then(Order::decode) {
            Some(Order::Proceed) => Ok(()),
            None => Err(Failure { part: Part::Talk, errno: Errno::CONNRESET }),
        }
    }
}
