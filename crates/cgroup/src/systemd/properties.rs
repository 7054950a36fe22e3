//! What systemd is told about a container: the properties of its scope. Pure.
//! org.freedesktop.systemd1(5), systemd.resource-control(5).
//!
//! Limits are computed as for cgroup v2, and those that systemd has words for are told in its own, so that it does not
//! take them back: whenever it reads its units again it writes their cgroups' files as well.

use super::gvariant;
use super::unit::Unit;
use super::value::Value;
use crate::devices::Policy;
use crate::error::Error;
use crate::v2;
use crate::write::{Missing, Write};
use rt_plan::spec::resources::{Access, DeviceKind, DeviceRule, Resources};
use std::borrow::Cow;
use std::fmt;

/// One property.
#[derive(Clone, Debug, PartialEq)]
pub struct Property {
    /// As systemd names it on its bus.
    pub name: Cow<'static, str>,
    /// Of the type that it wants.
    pub value: Value,
}

impl Property {
    fn new(name: impl Into<Cow<'static, str>>, value: Value) -> Self {
        Self { name: name.into(), value }
    }
}

impl fmt::Display for Property {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} = {}", self.name, self.value)
    }
}

/// A new scope, but for its limits and its first process. A property of `annotations`' comes last and so has the last
/// word.
///
/// # Errors
/// [`Error::Config`] for an annotation that is no property.
pub fn scope<'a>(
    unit: &Unit,
    id: &str,
    annotations: impl Iterator<Item = (&'a str, &'a str)>,
) -> Result<Vec<Property>, Error> {
    let yes = |name| Property::new(name, Value::Bool(true));
    let mut properties = vec![
        Property::new("Description", Value::Text(format!("container {id}"))),
        Property::new("Slice", Value::text(&unit.slice)),
        yes("Delegate"),
        yes("CPUAccounting"),
        yes("IOAccounting"),
        yes("MemoryAccounting"),
        yes("TasksAccounting"),
        Property::new("DefaultDependencies", Value::Bool(false)),
    ];
    for (key, value) in annotations {
        properties.extend(annotation(key, value)?);
    }
    Ok(properties)
}

/// Limits and device rules, as `version` of systemd takes them.
///
/// # Errors
/// As [`v2::writes`].
pub fn properties(resources: &Resources, version: u32) -> Result<Vec<Property>, Error> {
    let mut properties = limits(&v2::writes(resources)?, version);
    properties.extend(devices(&Policy::new(&resources.devices)));
    Ok(properties)
}

/// systemd 253 knows what is to be killed with a process that runs out of memory, 252 what an idle cgroup is.
const OOM_POLICY: u32 = 253;
const CPU_IDLE: u32 = 252;

/// What of these files systemd has words for. A value that it would not understand is left to the kernel to refuse.
pub(crate) fn limits(writes: &[Write], version: u32) -> Vec<Property> {
    let mut properties: Vec<Property> = Vec::new();
    let mut set = |name: &'static str, value: Value| match properties.iter_mut().find(|known| known.name == name) {
        Some(known) => known.value = value,
        None => properties.push(Property::new(name, value)),
    };
    let mut idle = false;
    for write in writes {
        let value = write.value.trim();
        let bytes = match &*write.file {
            "memory.max" => Some("MemoryMax"),
            "memory.high" => Some("MemoryHigh"),
            "memory.low" => Some("MemoryLow"),
            "memory.min" => Some("MemoryMin"),
            "memory.swap.max" => Some("MemorySwapMax"),
            "pids.max" => Some("TasksMax"),
            _ => None,
        };
        match (&*write.file, bytes) {
            (_, Some(name)) => {
                // No number of tasks is 0 to systemd.
                let least = u64::from(name == "TasksMax");
                size(value).into_iter().for_each(|bytes| set(name, Value::U64(bytes.max(least))));
            }
            ("cpu.max", _) => {
                if let Some(quota) = Quota::parse(value) {
                    set("CPUQuotaPeriodUSec", Value::U64(quota.period));
                    set("CPUQuotaPerSecUSec", Value::U64(quota.per_second.unwrap_or(u64::MAX)));
                }
            }
            ("cpu.weight", _) => value.parse().into_iter().for_each(|weight| set("CPUWeight", Value::U64(weight))),
            ("cpu.idle", _) => idle = value == "1",
            ("cpuset.cpus", _) => bits(value).into_iter().for_each(|bits| set("AllowedCPUs", bits)),
            ("cpuset.mems", _) => bits(value).into_iter().for_each(|bits| set("AllowedMemoryNodes", bits)),
            ("memory.oom.group", _) if version >= OOM_POLICY => match value {
                "0" => set("OOMPolicy", Value::text("continue")),
                "1" => set("OOMPolicy", Value::text("kill")),
                _ => {}
            },
            ("io.weight", _) => {
                let weight = value.strip_prefix("default ").unwrap_or(value);
                weight.parse().into_iter().for_each(|weight| set("IOWeight", Value::U64(weight)));
            }
            ("io.bfq.weight", _) => {
                // In the scale of io.weight; one device's has a space.
                if let Missing::Instead { value, .. } = &write.missing {
                    value.parse().into_iter().for_each(|weight| set("IOWeight", Value::U64(weight)));
                }
            }
            _ => {}
        }
    }
    if idle && version >= CPU_IDLE {
        set("CPUWeight", Value::U64(0));
    }
    properties
}

/// `cpu.max` as systemd has it.
struct Quota {
    period: u64,
    /// Microseconds of each second, in whole percents: what systemd makes of it. None is no limit.
    per_second: Option<u64>,
}

impl Quota {
    const PERCENT: u64 = 10_000;

    fn parse(text: &str) -> Option<Self> {
        let mut words = text.split_ascii_whitespace();
        let quota = words.next()?;
        let period = words.next().map_or(Ok(100_000), str::parse).ok().filter(|period| *period > 0)?;
        if words.next().is_some() {
            return None;
        }
        if quota == "max" {
            return Some(Self { period, per_second: None });
        }
        let exact = quota.parse::<u64>().ok()?.checked_mul(1_000_000)? / period;
        let per_second = exact.checked_next_multiple_of(Self::PERCENT)?.max(Self::PERCENT);
        Some(Self { period, per_second: Some(per_second) })
    }
}

/// Round quotas up to what systemd makes of them, so that the kernel is told the same by both.
pub fn round(writes: &mut [Write]) {
    for write in writes.iter_mut().filter(|write| write.file == "cpu.max") {
        if let Some(Quota { period, per_second: Some(per_second) }) = Quota::parse(&write.value) {
            let quota = u128::from(per_second) * u128::from(period) / 1_000_000;
            write.value = format!("{quota} {period}");
        }
    }
}

/// Bytes, or as many of something: the kernel's memparse(), and `max`.
fn size(text: &str) -> Option<u64> {
    if text == "max" {
        return Some(u64::MAX);
    }
    let power =
        text.bytes().last().and_then(|unit| b"KMGTPE".iter().position(|known| *known == unit.to_ascii_uppercase()));
    match power {
        None => text.parse().ok(),
        Some(power) => text.get(..text.len() - 1)?.parse::<u64>().ok()?.checked_mul(1 << (10 * (power + 1))),
    }
}

/// More processors than Linux can have.
const MOST: usize = 8192;

/// `0-2,5` as a bit for each, the lowest in the first byte.
fn bits(list: &str) -> Option<Value> {
    let mut bytes = Vec::new();
    for range in list.split(',').map(str::trim).filter(|range| !range.is_empty()) {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last) = (first.parse::<usize>().ok()?, last.parse::<usize>().ok()?);
        if first > last || last >= MOST {
            return None;
        }
        for bit in first..=last {
            if bytes.len() <= bit / 8 {
                bytes.resize(bit / 8 + 1, 0u8);
            }
            bytes[bit / 8] |= 1 << (bit % 8);
        }
    }
    let bytes: Vec<Value> = bytes.into_iter().map(Value::Byte).collect();
    (!bytes.is_empty()).then(|| Value::Array("y".to_owned(), bytes))
}

/// The device rules as far as systemd has words for them, which is never less than what they allow: it knows neither
/// exceptions nor one number of every driver. Our own program, beside systemd's, says the rest.
pub(crate) fn devices(policy: &Policy) -> [Property; 2] {
    let mut entries: Vec<(String, Access)> = Vec::new();
    for rule in policy.rules.iter().filter(|rule| rule.allow && !policy.allow) {
        for path in paths(rule) {
            match entries.iter_mut().find(|(known, _)| *known == path) {
                // systemd would take the last one alone.
                Some((_, access)) => *access = access.union(rule.access),
                None => entries.push((path, rule.access)),
            }
        }
    }
    let entry =
        |(path, access): (String, Access)| Value::Struct(vec![Value::Text(path), Value::Text(access.to_string())]);
    let list = Value::Array("(ss)".to_owned(), entries.into_iter().map(entry).collect());
    // With an empty list `auto` allows everything.
    let kind = if policy.allow { "auto" } else { "strict" };
    [Property::new("DevicePolicy", Value::text(kind)), Property::new("DeviceAllow", list)]
}

/// The same for a scope that has a list: it is emptied first.
pub(crate) fn other_devices(policy: &Policy) -> [Property; 3] {
    let [kind, list] = devices(policy);
    let none = Property::new(list.name.clone(), Value::Array("(ss)".to_owned(), Vec::new()));
    [kind, none, list]
}

fn paths(rule: &DeviceRule) -> Vec<String> {
    let kinds: &[&str] = match rule.kind {
        DeviceKind::All => &["char", "block"],
        DeviceKind::Char => &["char"],
        DeviceKind::Block => &["block"],
    };
    let path = |kind: &&str| match (rule.major, rule.minor) {
        (Some(major), Some(minor)) => format!("/dev/{kind}/{major}:{minor}"),
        (Some(major), None) => format!("{kind}-{major}"),
        (None, _) => format!("{kind}-*"),
    };
    kinds.iter().map(path).collect()
}

/// What annotations that are properties begin with.
pub const PREFIX: &str = "org.systemd.property.";

/// The property that an annotation asks for, if it is about one.
fn annotation(key: &str, text: &str) -> Result<Option<Property>, Error> {
    let Some(name) = key.strip_prefix(PREFIX) else { return Ok(None) };
    let refuse = |why: String| Err(Error::config(format!("annotations.{key}"), why));
    if name.len() < 3 || !name.bytes().all(|byte| byte.is_ascii_alphabetic()) {
        return refuse("a property's name has letters only, three at least".to_owned());
    }
    if matches!(name, "PIDs" | "PIDFDs" | "Slice") {
        return refuse("is for rt to say: linux.cgroupsPath names the slice".to_owned());
    }
    let value = match gvariant::parse(text) {
        Ok(value) => value,
        Err(why) => return refuse(format!("{text:?}: {why}")),
    };
    // systemd's documents say TimeoutStopSec where its bus says TimeoutStopUSec.
    let seconds = name.strip_suffix("Sec").filter(|stem| stem.ends_with(|last: char| last.is_ascii_lowercase()));
    let Some(stem) = seconds else { return Ok(Some(Property::new(name.to_owned(), value))) };
    match microseconds(&value) {
        Some(value) => Ok(Some(Property::new(format!("{stem}USec"), Value::U64(value)))),
        None => refuse(format!("{text:?} is no number of seconds")),
    }
}

fn microseconds(value: &Value) -> Option<u64> {
    let whole = match value {
        Value::Byte(seconds) => u64::from(*seconds),
        Value::I16(seconds) => u64::try_from(*seconds).ok()?,
        Value::U16(seconds) => u64::from(*seconds),
        Value::I32(seconds) => u64::try_from(*seconds).ok()?,
        Value::U32(seconds) => u64::from(*seconds),
        Value::I64(seconds) => u64::try_from(*seconds).ok()?,
        Value::U64(seconds) => *seconds,
        Value::F64(seconds) => {
            let micros = seconds * 1e6;
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            return (0.0..1.8e19).contains(&micros).then_some(micros as u64);
        }
        _ => return None,
    };
    whole.checked_mul(1_000_000)
}

#[cfg(test)]
mod tests {
    use super::super::unit::Whose;
    use super::*;

    fn resources(json: &str) -> Resources {
        serde_json::from_str(json).expect("valid resources")
    }

    fn lines(json: &str, version: u32) -> Vec<String> {
        let writes = v2::writes(&resources(json)).expect("valid limits");
        limits(&writes, version).iter().map(Property::to_string).collect()
    }

    #[test]
    fn limits_in_systemd_s_words() {
        for (json, expected) in [
            ("{}", ""),
            (
                r#"{"memory": {"limit": 100, "swap": 250, "reservation": 50}}"#,
                "MemoryMax = 100, MemorySwapMax = 150, MemoryLow = 50",
            ),
            (r#"{"memory": {"limit": 100, "swap": 100}}"#, "MemoryMax = 100, MemorySwapMax = 0"),
            (r#"{"memory": {"limit": -1}}"#, "MemoryMax = infinity, MemorySwapMax = infinity"),
            (r#"{"cpu": {"shares": 512}}"#, "CPUWeight = 59"),
            (
                r#"{"cpu": {"quota": 50000, "period": 100000}}"#,
                "CPUQuotaPeriodUSec = 100000, CPUQuotaPerSecUSec = 500000",
            ),
            (r#"{"cpu": {"quota": 12345}}"#, "CPUQuotaPeriodUSec = 100000, CPUQuotaPerSecUSec = 130000"),
            (
                r#"{"cpu": {"quota": 1000, "period": 1000000}}"#,
                "CPUQuotaPeriodUSec = 1000000, CPUQuotaPerSecUSec = 10000",
            ),
            (r#"{"cpu": {"quota": -1}}"#, "CPUQuotaPeriodUSec = 100000, CPUQuotaPerSecUSec = infinity"),
            (r#"{"cpu": {"period": 50000}}"#, "CPUQuotaPeriodUSec = 50000, CPUQuotaPerSecUSec = infinity"),
            (r#"{"cpu": {"cpus": "0-2,9", "mems": "0"}}"#, "AllowedCPUs = [0x07, 0x02], AllowedMemoryNodes = [0x01]"),
            (r#"{"cpu": {"idle": 1, "shares": 512}}"#, "CPUWeight = 0"),
            (r#"{"cpu": {"idle": 0, "shares": 1024}}"#, "CPUWeight = 100"),
            (r#"{"pids": {"limit": 33}}"#, "TasksMax = 33"),
            (r#"{"pids": {"limit": 0}}"#, "TasksMax = 1"),
            (r#"{"pids": {"limit": -1}}"#, "TasksMax = infinity"),
            (r#"{"blockIO": {"weight": 500}}"#, "IOWeight = 4950"),
            (r#"{"blockIO": {"weightDevice": [{"major": 8, "minor": 0, "weight": 1000}]}}"#, ""),
            (r#"{"hugepageLimits": [{"pageSize": "2MB", "limit": 0}]}"#, ""),
        ] {
            assert_eq!(lines(json, 253).join(", "), expected, "{json}");
        }
        assert_eq!(lines(r#"{"cpu": {"idle": 1}}"#, 251), [""; 0]);
    }

    #[test]
    fn unified_has_the_last_word() {
        for (json, expected) in [
            (r#"{"memory": {"limit": 100}, "unified": {"memory.max": "64M"}}"#, "MemoryMax = 67108864"),
            (r#"{"unified": {"memory.high": "max", "memory.min": "7k"}}"#, "MemoryHigh = infinity, MemoryMin = 7168"),
            (r#"{"unified": {"cpu.max": "max"}}"#, "CPUQuotaPeriodUSec = 100000, CPUQuotaPerSecUSec = infinity"),
            (r#"{"unified": {"cpu.max": "5000 10000"}}"#, "CPUQuotaPeriodUSec = 10000, CPUQuotaPerSecUSec = 500000"),
            (r#"{"unified": {"cpu.weight": "7", "cpu.idle": "1"}}"#, "CPUWeight = 0"),
            (r#"{"unified": {"pids.max": "0"}}"#, "TasksMax = 1"),
            (r#"{"unified": {"io.weight": "default 70"}}"#, "IOWeight = 70"),
            (r#"{"unified": {"io.weight": "8:0 70"}}"#, ""),
            (r#"{"unified": {"memory.oom.group": "1"}}"#, "OOMPolicy = kill"),
            (r#"{"unified": {"memory.oom.group": "0"}}"#, "OOMPolicy = continue"),
            // Nothing that systemd would take: the kernel will say so.
            (r#"{"unified": {"memory.max": "lots", "memory.low": "", "memory.min": "99999999999E"}}"#, ""),
            (r#"{"unified": {"cpu.max": "1 0", "cpu.weight": "-1", "pids.max": "1.5"}}"#, ""),
            (r#"{"unified": {"cpu.max": "1 2 3", "cpuset.cpus": "a", "cpuset.mems": "3-1"}}"#, ""),
            (r#"{"unified": {"cpuset.cpus": "0-99999999", "cpuset.mems": ","}}"#, ""),
        ] {
            assert_eq!(lines(json, 253).join(", "), expected, "{json}");
        }
        assert_eq!(lines(r#"{"unified": {"memory.oom.group": "1"}}"#, 252), [""; 0]);
    }

    #[test]
    fn quotas_are_whole_percents_for_both() {
        for (value, rounded) in [
            ("12345 100000", "13000 100000"),
            ("50000 100000", "50000 100000"),
            ("1 1000", "10 1000"),
            ("333333 1000000", "340000 1000000"),
            ("max 50000", "max 50000"),
            ("nonsense", "nonsense"),
        ] {
            let mut writes = [Write::new("cpu", "cpu.max", value, "x")];
            round(&mut writes);
            assert_eq!(writes[0].value, rounded);
        }
    }

    #[test]
    fn devices_in_systemd_s_words() {
        let shown = |json: &str| {
            let [kind, list] = devices(&Policy::new(&resources(json).devices));
            format!("{}: {}", kind.value, list.value)
        };
        let defaults = "char-* m, block-* m, /dev/char/1:3 rwm, /dev/char/1:8 rwm, /dev/char/1:7 rwm, /dev/char/5:0 rwm, \
                        /dev/char/1:5 rwm, /dev/char/1:9 rwm, char-136 rwm, /dev/char/5:2 rwm, /dev/char/10:200 rwm";
        assert_eq!(shown("{}"), format!("strict: [{defaults}]"));
        assert_eq!(shown(r#"{"devices": [{"allow": true, "access": "rwm"}]}"#), "auto: []");
        // Less than everything of everything, which it has no words for.
        let less = r#"{"devices": [{"allow": true, "access": "rwm"}, {"allow": false, "type": "c", "major": 10, "access": "w"}]}"#;
        assert_eq!(shown(less), "auto: []");
        let rules = r#"{"devices": [{"allow": true, "type": "b", "major": 8, "minor": 1, "access": "r"},
            {"allow": true, "type": "b", "major": 8, "access": "rw"}, {"allow": false, "type": "b", "major": 8, "minor": 2, "access": "w"},
            {"allow": true, "type": "c", "minor": 3, "access": "r"}, {"allow": true, "major": 7, "access": "r"}]}"#;
        let expected = "strict: [block-8 rw, char-* rm, char-7 r, block-7 r, block-* m, ";
        assert!(shown(rules).starts_with(expected), "{}", shown(rules));
    }

    #[test]
    fn annotations_that_are_properties() {
        for (name, text, expected) in [
            ("TimeoutStopUSec", "uint64 123456789", "TimeoutStopUSec = 123456789"),
            ("TimeoutStopSec", "456", "TimeoutStopUSec = 456000000"),
            ("TimeoutStopSec", "byte 234", "TimeoutStopUSec = 234000000"),
            ("TimeoutStopSec", "234.789", "TimeoutStopUSec = 234789000"),
            ("FOOSec", "123", "FOOSec = 123"),
            ("Sec", "123", "Sec = 123"),
            ("CollectMode", "'inactive-or-failed'", "CollectMode = inactive-or-failed"),
            ("After", "['a.service', 'b.service']", "After = [a.service, b.service]"),
        ] {
            let property = annotation(&format!("{PREFIX}{name}"), text).expect(name).expect("one");
            assert_eq!(property.to_string(), expected);
        }
        assert_eq!(annotation("some.other", "nonsense").expect("none of ours"), None);
    }

    #[test]
    fn annotations_that_are_no_properties_are_refused() {
        for (name, text, words) in [
            ("TimeoutStopSec", "false", "no number of seconds"),
            ("TimeoutStopSec", "'soon'", "no number of seconds"),
            ("TimeoutStopSec", "-1", "no number of seconds"),
            ("TimeoutStopSec", "1e300", "no number of seconds"),
            ("TimeoutStopSec", "uint64 18446744073709551615", "no number of seconds"),
            ("Xo", "1", "letters only"),
            ("Number1", "1", "letters only"),
            ("ValidName", "invalid-value", "text is put in quotes"),
            ("Slice", "'a.slice'", "is for rt to say"),
            ("PIDs", "[uint32 1]", "is for rt to say"),
        ] {
            let refusal = annotation(&format!("{PREFIX}{name}"), text).expect_err(name).to_string();
            assert!(
                refusal.starts_with(&format!("annotations.{PREFIX}{name}: ")) && refusal.contains(words),
                "{refusal}"
            );
        }
    }

    #[test]
    fn a_scope_is_delegated_and_accounted_for() {
        let unit = Unit::new(Some("a.slice:b:c"), "web", Whose::System).expect("a unit");
        let annotations = [("other", "x"), ("org.systemd.property.Description", "'mine'")];
        let properties = scope(&unit, "web", annotations.into_iter()).expect("properties");
        let lines: Vec<String> = properties.iter().map(Property::to_string).collect();
        let expected = [
            "Description = container web",
            "Slice = a.slice",
            "Delegate = true",
            "CPUAccounting = true",
            "IOAccounting = true",
            "MemoryAccounting = true",
            "TasksAccounting = true",
            "DefaultDependencies = false",
            "Description = mine",
        ];
        assert_eq!(lines, expected);
    }
}
