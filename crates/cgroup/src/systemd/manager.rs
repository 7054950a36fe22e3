//! The few things that rt asks of systemd. org.freedesktop.systemd1(5).

use super::address::{Address, Surroundings};
use super::bus::{Bus, Trouble};
use super::message::{Call, Message};
use super::properties::{Property, limits, other_devices};
use super::unit::{Unit, Whose, place};
use super::value::Value;
use crate::devices::Policy;
use crate::error::Error;
use crate::layout::Layout;
use crate::place::Place;
use crate::write::Write;
use rt_plan::words;
use rustix::io::Errno;
use std::time::Duration;

/// How long an answer may take, and a job. As long as runc waits.
const PATIENCE: Duration = Duration::from_secs(30);

const SYSTEMD: &str = "org.freedesktop.systemd1";
const OBJECT: &str = "/org/freedesktop/systemd1";
const MANAGER: &str = "org.freedesktop.systemd1.Manager";
const BUS: &str = "org.freedesktop.DBus";

/// systemd, reached about one unit.
#[derive(Debug)]
pub struct Systemd {
    bus: Bus,
    /// Where it was reached.
    address: String,
    unit: Unit,
    patience: Duration,
    /// Its version, where it was asked for.
    version: u32,
    /// Its own cgroup, where it was asked for.
    cgroup: String,
    /// The unit is what we have started, and nobody else's of the same name.
    ours: bool,
    /// It did not answer in time once. It is not asked to answer again.
    late: bool,
}

impl Systemd {
    /// Reach whose the unit is, to make it.
    ///
    /// # Errors
    /// [`Error::NoSystemd`], [`Error::Systemd`], [`Error::SystemdLate`].
    pub fn connect(unit: &Unit) -> Result<Self, Error> {
        Self::connect_as(unit, &Surroundings::now(rustix::process::getuid().as_raw()), PATIENCE)
    }

    pub(super) fn connect_as(unit: &Unit, surroundings: &Surroundings, patience: Duration) -> Result<Self, Error> {
        let mut systemd = Self::reach(unit, surroundings, patience)?;
        // Sent as one, together with the greeting.
        let version = systemd.property("Version");
        let cgroup = systemd.property("ControlGroup");
        let version = systemd.text(version)?;
        systemd.version = number(&version);
        systemd.cgroup = systemd.text(cgroup)?;
        Ok(systemd)
    }

    /// The same, to ask for no more than one thing.
    fn reach(unit: &Unit, surroundings: &Surroundings, patience: Duration) -> Result<Self, Error> {
        let (address, mut bus) = open(unit.whose, surroundings, patience)?;
        if !address.direct {
            let to_bus = |bus: &mut Bus, member, body: &[Value]| {
                bus.send(&Call { destination: BUS, path: "/org/freedesktop/DBus", interface: BUS, member, body });
            };
            to_bus(&mut bus, "Hello", &[]);
            let rule = format!(
                "type='signal',sender='{SYSTEMD}',path='{OBJECT}',interface='{MANAGER}',member='JobRemoved',arg2='{}'",
                unit.name
            );
            to_bus(&mut bus, "AddMatch", &[Value::Text(rule)]);
        }
        let unit = unit.clone();
        Ok(Self {
            bus,
            address: address.name,
            unit,
            patience,
            version: 0,
            cgroup: String::new(),
            ours: false,
            late: false,
        })
    }

    /// Its version, as far as properties depend on it.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// Where the unit's cgroup is.
    ///
    /// # Errors
    /// [`Error::SystemdNeedsV2`].
    pub fn place(&self, layout: &Layout) -> Result<Place, Error> {
        place(&self.unit, layout, &self.cgroup)
    }

    pub(super) fn unit(&self) -> &Unit {
        &self.unit
    }

    /// Start the unit, which is a transient one, and wait until it is there.
    pub(super) fn start(&mut self, properties: &[Property]) -> Result<(), Error> {
        let name = || Value::text(&self.unit.name);
        let none = Value::Array("(sa(sv))".to_owned(), Vec::new());
        let body = [name(), Value::text("replace"), list(properties), none];
        let mut answer = self.ask("StartTransientUnit", &body);
        if refused(&answer, "UnitExists") {
            // It may be what is left of a failed one, which stays until somebody has looked at it.
            let _ = self.ask("ResetFailedUnit", &body[..1]);
            answer = self.ask("StartTransientUnit", &body);
        }
        self.ours = answer.is_ok();
        let result = answer.and_then(|reply| self.job(&reply));
        match result.map_err(|trouble| self.failed("start", trouble))?.as_str() {
            "done" => Ok(()),
            result => Err(self.refuse("start", format!("the job's result is \"{result}\""))),
        }
    }

    /// Stop what was started, if anything was. What was not answered in time ends with the process that it was to have.
    pub(super) fn undo(&mut self) {
        if self.ours {
            let _ = self.stop();
        }
    }

    /// Stop it, wait until it is gone, and have it forgotten. One that is not there is stopped.
    pub(super) fn stop(&mut self) -> Result<(), Error> {
        let body = [Value::text(&self.unit.name), Value::text("replace")];
        if self.late {
            // It will read this some day.
            self.call("StopUnit", &body);
            let _ = self.bus.hurry();
            return Ok(());
        }
        let answer = self.ask("StopUnit", &body);
        if refused(&answer, "NoSuchUnit") {
            return Ok(());
        }
        let stopped = answer.and_then(|reply| self.job(&reply));
        if !matches!(stopped, Err(Trouble::Late | Trouble::Gone)) {
            // A failed one would stay otherwise; one that did not fail says so.
            let _ = self.ask("ResetFailedUnit", &body[..1]);
        }
        stopped.map(drop).map_err(|trouble| self.failed("stop", trouble))
    }

    /// Tell it what has changed, until the machine is restarted.
    pub(crate) fn update(&mut self, writes: &[Write], policy: Option<&Policy>) -> Result<(), Error> {
        let mut properties = limits(writes, self.version);
        // It is for new units only.
        properties.retain(|property| property.name != "OOMPolicy");
        properties.extend(policy.iter().flat_map(|policy| other_devices(policy)));
        if properties.is_empty() {
            return Ok(());
        }
        let body = [Value::text(&self.unit.name), Value::Bool(true), list(&properties)];
        let answer = self.ask("SetUnitProperties", &body);
        answer.map(drop).map_err(|trouble| self.failed("change", trouble))
    }

    fn property(&mut self, name: &str) -> u32 {
        self.bus.send(&Call {
            destination: SYSTEMD,
            path: OBJECT,
            interface: "org.freedesktop.DBus.Properties",
            member: "Get",
            body: &[Value::text(MANAGER), Value::text(name)],
        })
    }

    fn text(&mut self, serial: u32) -> Result<String, Error> {
        let answer = self.bus.reply(serial);
        let reply = answer.map_err(|trouble| self.failed("look after", trouble))?;
        match reply.body("v").and_then(|mut values| values.pop()) {
            Some(Value::Variant(value)) if matches!(*value, Value::Text(_)) => Ok(value.to_string()),
            _ => Err(self.failed("look after", Trouble::Garbled(NOT_ASKED))),
        }
    }

    fn call(&mut self, member: &str, body: &[Value]) -> u32 {
        self.bus.send(&Call { destination: SYSTEMD, path: OBJECT, interface: MANAGER, member, body })
    }

    fn ask(&mut self, member: &str, body: &[Value]) -> Result<Message, Trouble> {
        let serial = self.call(member, body);
        self.bus.reply(serial)
    }

    /// Wait for the job that systemd has answered with. Its result.
    fn job(&mut self, reply: &Message) -> Result<String, Trouble> {
        let Some(Value::Path(job)) = reply.body("o").and_then(|mut values| values.pop()) else {
            return Err(Trouble::Garbled(NOT_ASKED));
        };
        self.bus.signal(|signal| {
            let ours = signal.member == "JobRemoved" && signal.interface == MANAGER && signal.sender == reply.sender;
            match signal.body("uoss").filter(|_| ours).as_deref() {
                Some([_, Value::Path(path), _, Value::Text(result)]) if *path == job => Some(result.clone()),
                _ => None,
            }
        })
    }

    fn refuse(&self, doing: &'static str, answer: String) -> Error {
        Error::Systemd { doing, unit: self.unit.name.clone(), answer }
    }

    fn failed(&mut self, doing: &'static str, trouble: Trouble) -> Error {
        if let Trouble::Refused(_, answer) = trouble {
            return self.refuse(doing, answer.trim_end_matches('.').to_owned());
        }
        if trouble == Trouble::Late {
            self.late = true;
            let (unit, address) = (self.unit.name.clone(), self.address.clone());
            return Error::SystemdLate { doing, unit, address, seconds: self.patience.as_secs() };
        }
        unreachable_at(&self.address, &trouble, self.unit.whose)
    }
}

const NOT_ASKED: &str = "an answer to something else";

impl Unit {
    /// Stop it, and have systemd forget it. One that is not there is stopped.
    ///
    /// # Errors
    /// As [`Systemd::connect`].
    pub fn stop(&self) -> Result<(), Error> {
        self.reach()?.stop()
    }

    fn reach(&self) -> Result<Systemd, Error> {
        Systemd::reach(self, &Surroundings::now(rustix::process::getuid().as_raw()), PATIENCE)
    }
}

/// The first that takes us. Of those that are not there the first is named.
fn open(whose: Whose, surroundings: &Surroundings, patience: Duration) -> Result<(Address, Bus), Error> {
    let mut first = None;
    for address in surroundings.addresses(whose) {
        let connected = address.socket.clone().map_err(Trouble::Call).and_then(|at| Bus::connect(&at, patience));
        let trouble = match connected {
            Ok(bus) => return Ok((address, bus)),
            Err(trouble) => trouble,
        };
        let absent = matches!(
            trouble,
            Trouble::Call(
                Errno::NOENT | Errno::CONNREFUSED | Errno::PROTONOSUPPORT | Errno::NOTDIR | Errno::NAMETOOLONG
            )
        );
        first.get_or_insert_with(|| unreachable_at(&address.name, &trouble, whose));
        if !absent {
            break;
        }
    }
    Err(first.unwrap_or_else(|| unreachable_at("an empty address", &Trouble::Gone, whose)))
}

fn unreachable_at(address: &str, trouble: &Trouble, whose: Whose) -> Error {
    let why = match trouble {
        Trouble::Call(errno) => words(errno.raw_os_error()),
        Trouble::Late => "it does not answer".to_owned(),
        Trouble::Gone => "it has closed the connection".to_owned(),
        Trouble::Garbled(what) => format!("what came is {what}"),
        Trouble::Stranger => "it does not accept this user".to_owned(),
        Trouble::Refused(_, words) => words.clone(),
    };
    let hint = match whose {
        Whose::System => "is it running here?",
        Whose::User => "is this user logged in, with a D-Bus of their own?",
    };
    Error::NoSystemd { address: address.to_owned(), why, hint }
}

fn refused(answer: &Result<Message, Trouble>, wanted: &str) -> bool {
    matches!(answer, Err(Trouble::Refused(name, _)) if name.strip_prefix("org.freedesktop.systemd1.") == Some(wanted))
}

fn list(properties: &[Property]) -> Value {
    let pair = |property: &Property| {
        let value = Value::Variant(Box::new(property.value.clone()));
        Value::Struct(vec![Value::Text(property.name.clone().into_owned()), value])
    };
    Value::Array("(sv)".to_owned(), properties.iter().map(pair).collect())
}

/// `252 (252.39-1~deb12u2)`, `v245.4-1.fc32`: 0 for what has none.
fn number(version: &str) -> u32 {
    let digits = version.trim_start_matches('v');
    let end = digits.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(digits.len());
    digits[..end].parse().unwrap_or(0)
}
