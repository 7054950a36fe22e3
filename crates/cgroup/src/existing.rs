//! The cgroup of a container that is there: who is in it, stop them, kill them, clear it away.

use crate::error::Error;
use crate::files::{await_event, await_exit, is_gone, pids, prune, read, remove, says, write};
use crate::place::Place;
use rustix::fs::CWD;
use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process};
use std::time::{Duration, Instant};

/// A container's cgroup, known from its state file. A cgroup that is gone is empty, thawed and removed.
#[derive(Clone, Debug)]
pub struct Existing {
    v2: Option<String>,
    /// The freezer's first, then that of devices, which runc asks.
    v1: Vec<String>,
    freezer: Option<String>,
    place: Place,
}

/// How long a killed process may take to leave. More than the memory of most containers takes to free.
pub(crate) const LEAVING: Duration = Duration::from_secs(2);
/// How long a process may stay in the kernel before it can be frozen.
const FREEZING: Duration = Duration::from_secs(10);
/// The same when all we want is a quiet moment for a signal.
const QUIET: Duration = Duration::from_millis(500);

impl Existing {
    /// Makes no system call.
    pub fn open(place: &Place) -> Self {
        let mut v1: Vec<String> = Vec::new();
        let named = ["freezer", "devices"].into_iter().filter_map(|name| place.dir(name));
        let rest = place.paths().iter().filter(|(name, _)| !name.is_empty()).map(|(_, dir)| dir.as_str());
        for dir in named.chain(rest) {
            if !v1.iter().any(|known| known == dir) {
                v1.push(dir.to_owned());
            }
        }
        let owned = |name| place.dir(name).map(str::to_owned);
        Self { v2: owned(""), v1, freezer: owned("freezer"), place: place.clone() }
    }

    /// Where it is.
    pub(crate) fn place(&self) -> &Place {
        &self.place
    }

    /// The processes in it and below, as our pid namespace numbers them; those that it does not show are left out.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn pids(&self) -> Result<Vec<Pid>, Error> {
        for dir in self.v2.iter().chain(&self.v1) {
            match pids(dir) {
                Ok(pids) => return Ok(pids),
                Err(errno) if is_gone(errno) => {}
                Err(errno) => return Err(Error::file("read", format!("{dir}/cgroup.procs"), errno)),
            }
        }
        Ok(Vec::new())
    }

    /// Whether there is no process in it or below.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn is_empty(&self) -> Result<bool, Error> {
        if let Some(dir) = &self.v2 {
            let events = format!("{dir}/cgroup.events");
            match read(CWD, &events) {
                Ok(text) => return Ok(!says(&text, "populated")),
                Err(errno) if is_gone(errno) => {}
                Err(errno) => return Err(Error::file("read", events, errno)),
            }
        }
        Ok(self.pids()?.is_empty())
    }

    /// Send a signal to every process, standing still meanwhile so that none is missed. Whoever was frozen before
    /// stays frozen, unless the signal is SIGKILL.
    ///
    /// # Errors
    /// [`Error::File`] for the first process that could not be signalled; the others are.
    pub fn signal_all(&self, signal: Signal) -> Result<(), Error> {
        if signal == Signal::KILL {
            return self.kill_all();
        }
        self.standing_still(|| send(&self.pids()?, signal))
    }

    /// Do something while no process moves, or, where they can't be stopped, while they do.
    pub(crate) fn standing_still(&self, act: impl FnOnce() -> Result<(), Error>) -> Result<(), Error> {
        let paused = self.is_frozen()?;
        let quiet = !paused && self.freeze_within(QUIET).is_ok();
        let done = act();
        if quiet {
            self.thaw()?;
        }
        done
    }

    /// Kill every process, frozen or not. They may take a moment to be gone: [`Existing::remove`] waits for that.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn kill_all(&self) -> Result<(), Error> {
        if let Some(dir) = &self.v2 {
            let kill = format!("{dir}/cgroup.kill");
            match write(CWD, &kill, "1") {
                // v2's freezer lets the dying go; v1's does not.
                Ok(()) => return self.thaw_v1(),
                // Before Linux 5.14 there is no such file; a threaded cgroup does not take it.
                Err(Errno::NOENT | Errno::NODEV | Errno::OPNOTSUPP) => {}
                Err(errno) => return Err(Error::file("write", kill, errno)),
            }
        }
        // Where they can't be frozen, some may be born while we look: again, until there are none.
        let rounds = if self.freeze_within(QUIET).is_ok() { 1 } else { 100 };
        let mut sent = Ok(());
        for _ in 0..rounds {
            let pids = self.pids()?;
            if pids.is_empty() {
                break;
            }
            sent = send(&pids, Signal::KILL);
        }
        self.thaw()?;
        sent
    }

    /// Stop every process. Returns when all stand still.
    ///
    /// # Errors
    /// [`Error::NotFrozen`] when that takes too long: then they run again. [`Error::NoFreezer`], [`Error::File`].
    pub fn freeze(&self) -> Result<(), Error> {
        self.freeze_within(FREEZING)
    }

    /// Let them run again.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn thaw(&self) -> Result<(), Error> {
        if let Some(dir) = &self.v2 {
            order(format!("{dir}/cgroup.freeze"), "0")?;
        }
        // On a hybrid host somebody else may have used this one.
        self.thaw_v1()
    }

    fn thaw_v1(&self) -> Result<(), Error> {
        match &self.freezer {
            Some(dir) => order(format!("{dir}/freezer.state"), "THAWED"),
            None => Ok(()),
        }
    }

    /// Whether it was told to stand still (and not merely one above it).
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn is_frozen(&self) -> Result<bool, Error> {
        let v2 = self.v2.iter().map(|dir| format!("{dir}/cgroup.freeze"));
        let v1 = self.freezer.iter().map(|dir| format!("{dir}/freezer.self_freezing"));
        for file in v2.chain(v1) {
            match read(CWD, &file) {
                Ok(text) if text.trim() == "1" => return Ok(true),
                Ok(_) => {}
                Err(errno) if is_gone(errno) => {}
                Err(errno) => return Err(Error::file("read", file, errno)),
            }
        }
        Ok(false)
    }

    /// Remove it, and whatever the container made below it. Waits, for a bounded time, for processes that are on
    /// their way out.
    ///
    /// # Errors
    /// [`Error::Busy`] when they take too long; [`Error::File`]. The other hierarchies are removed all the same.
    pub fn remove(&self) -> Result<(), Error> {
        let until = Instant::now() + LEAVING;
        let mut result = Ok(());
        for dir in self.v2.iter().chain(&self.v1) {
            let removed = clear(dir, until);
            if result.is_ok() {
                result = removed;
            }
        }
        result
    }

    fn freeze_within(&self, patience: Duration) -> Result<(), Error> {
        let until = Instant::now() + patience;
        let late = |dir: &str| Error::NotFrozen { dir: dir.to_owned(), seconds: patience.as_secs() };
        if let Some(dir) = &self.v2 {
            let file = format!("{dir}/cgroup.freeze");
            match write(CWD, &file, "1") {
                Ok(()) => {
                    let frozen = await_event(dir, "frozen", true, until).or_else(|errno| match is_gone(errno) {
                        true => Ok(true),
                        false => Err(Error::file("read", format!("{dir}/cgroup.events"), errno)),
                    });
                    return match frozen {
                        Ok(true) => Ok(()),
                        other => self.thaw().and(other).and(Err(late(dir))),
                    };
                }
                // Before Linux 5.2 there is no such file.
                Err(errno) if is_gone(errno) => {}
                Err(errno) => return Err(Error::file("write", file, errno)),
            }
        }
        let Some(dir) = &self.freezer else { return Err(Error::NoFreezer) };
        match freeze_v1(dir, until) {
            Ok(true) => Ok(()),
            Ok(false) => self.thaw().and(Err(late(dir))),
            Err(errno) => self.thaw().and(Err(Error::file("write", format!("{dir}/freezer.state"), errno))),
        }
    }
}

/// v1's freezer says FREEZING until all stand still, tells nobody when they do, and can miss one that was just born:
/// telling it again is what helps.
fn freeze_v1(dir: &str, until: Instant) -> Result<bool, Errno> {
    let file = format!("{dir}/freezer.state");
    let mut pause = Duration::from_micros(20);
    loop {
        write(CWD, &file, "FROZEN")?;
        if read(CWD, &file)?.trim() == "FROZEN" {
            return Ok(true);
        }
        if Instant::now() >= until {
            return Ok(false);
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(5));
    }
}

/// Write to a file of a cgroup. One that is gone obeys.
fn order(file: String, value: &str) -> Result<(), Error> {
    match write(CWD, &file, value) {
        Ok(()) => Ok(()),
        Err(errno) if is_gone(errno) => Ok(()),
        Err(errno) => Err(Error::file("write", file, errno)),
    }
}

/// Tell each of them. One that is gone has nothing to be told.
fn send(pids: &[Pid], signal: Signal) -> Result<(), Error> {
    let mut result = Ok(());
    for pid in pids {
        match kill_process(*pid, signal) {
            Ok(()) | Err(Errno::SRCH) => {}
            Err(errno) if result.is_ok() => result = Err(Error::file("signal", format!("process {pid}"), errno)),
            Err(_) => {}
        }
    }
    result
}

/// Remove one directory and those below it, when those who live there have left.
pub(crate) fn clear(dir: &str, until: Instant) -> Result<(), Error> {
    let failed = |errno| Error::file("rmdir", dir, errno);
    match remove(CWD, dir) {
        Err(Errno::BUSY) => {}
        other => return other.map_err(failed),
    }
    if await_event(dir, "populated", false, until).is_err() {
        // v1 has no events. Its processes have, since Linux 5.3; before that, what follows has to do.
        for pid in pids(dir).unwrap_or_default() {
            let _ = await_exit(pid, until);
        }
    }
    let mut pause = Duration::from_micros(50);
    loop {
        match prune(dir) {
            Ok(()) => return Ok(()),
            // Somebody is there still, or somebody else removes it too.
            Err(errno) if errno == Errno::BUSY || is_gone(errno) => {}
            Err(errno) => return Err(failed(errno)),
        }
        if remove(CWD, dir).is_ok() {
            return Ok(());
        }
        if Instant::now() >= until {
            let count = pids(dir).map_or(0, |pids| pids.len());
            return Err(Error::Busy { dir: dir.to_owned(), count, seconds: LEAVING.as_secs() });
        }
        // A process leaves its cgroup a moment after its parent could know: short, and only until `until`.
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(10));
    }
}
