//! A scope while a container is made in it.

use super::manager::Systemd;
use super::properties::Property;
use super::unit::Whose;
use super::value::Value;
use crate::error::Error;
use rt_sys::hold::Holder;
use rustix::process::Pid;
use std::borrow::Cow;

/// A scope that systemd has started. Stopped again when this is dropped before [`Scope::commit`].
///
/// systemd makes no scope without a process, and the container's is to be born in it: under its limits from the first
/// page on, and in a cgroup namespace that begins there. So another one holds the scope open until then.
#[derive(Debug)]
pub(crate) struct Scope {
    systemd: Option<Systemd>,
    holder: Option<Holder>,
}

impl Scope {
    /// Start it.
    pub(crate) fn start(mut systemd: Systemd, mut properties: Vec<Property>) -> Result<Self, Error> {
        let holder = Holder::new().map_err(|errno| Error::file("make a process for", &*systemd.unit().name, errno))?;
        properties.push(Property { name: Cow::Borrowed("PIDs"), value: pids(holder.pid()) });
        let started = systemd.start(&properties);
        let scope = Self { systemd: Some(systemd), holder: Some(holder) };
        started.map(|()| scope)
    }

    /// Whether a user's systemd has made it, which may not do all that the system's may.
    pub(crate) fn is_user_s(&self) -> bool {
        self.systemd.as_ref().is_some_and(|systemd| systemd.unit().whose == Whose::User)
    }

    /// Somebody lives there now: nobody has to hold it any more.
    pub(crate) fn inhabited(&mut self) {
        self.holder = None;
    }

    /// It stays.
    pub(crate) fn commit(&mut self) {
        self.systemd = None;
    }
}

impl Drop for Scope {
    fn drop(&mut self) {
        self.holder = None;
        if let Some(systemd) = &mut self.systemd {
            systemd.undo();
        }
    }
}

fn pids(pid: Pid) -> Value {
    let number = Value::U32(pid.as_raw_nonzero().get().unsigned_abs());
    Value::Array("u".to_owned(), vec![number])
}
