//! `rt events`: lines of JSON as runc writes them (its types/events.go), which leaves out most zeros and some structures of
//! nothing but zeros.

use super::store;
use crate::args::{EventsArgs, Global};
use rt_runtime::usage::{BlockIo, Cpuset, MemoryUse, Pressure, Stalled, Statistics};
use rt_runtime::{Error, Event, Id, Listener};
use std::io::Write;
use std::time::Duration;

// On its own, so that link.ld can put it away.
#[inline(never)]
pub(super) fn events(global: &Global, args: &EventsArgs) -> Result<(), Error> {
    let interval = duration(&args.interval).ok_or_else(|| {
        Error::Usage(format!("invalid value {:?} for flag -interval: parse error (5s, 500ms, 1m30s)", args.interval))
    })?;
    let (store, id) = (store(global)?, Id::parse(&args.id)?);
    if interval <= 0 {
        return Err(Error::Usage("duration interval must be greater than 0".to_owned()));
    }
    let interval = Duration::from_nanos(interval.unsigned_abs());
    let mut say = |event: &Event| match std::io::stdout().write_all(line(id.as_str(), event).as_bytes()) {
        Ok(()) => Listener::There,
        Err(_) => Listener::Gone,
    };
    if args.stats {
        say(&Event::Statistics(Box::new(rt_runtime::statistics(&store, &id)?)));
        return Ok(());
    }
    rt_runtime::events(&store, &id, interval, &mut say)
}

/// As Go reads a duration: numbers with units, as many as one likes, after a sign. In nanoseconds.
fn duration(text: &str) -> Option<i64> {
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(0);
    }
    if rest.is_empty() {
        return None;
    }
    let mut sum = 0i128;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, after) = rest.split_at(end);
        let units = [
            ("ns", 1),
            ("us", 1_000),
            ("µs", 1_000),
            ("μs", 1_000),
            ("ms", 1_000_000),
            ("s", 1_000_000_000),
            ("m", 60_000_000_000),
            ("h", 3_600_000_000_000),
        ];
        let unit_end = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, next) = after.split_at(unit_end);
        let (_, nanoseconds) = units.iter().find(|(name, _)| *name == unit)?;
        sum = sum.checked_add(decimal(number, *nanoseconds)?)?;
        rest = next;
    }
    i64::try_from(if negative { -sum } else { sum }).ok()
}

/// A decimal number of units.
pub(super) fn decimal(text: &str, unit: i128) -> Option<i128> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    if whole.len() + part.len() == 0 {
        return None;
    }
    let parse = |digits: &str| match digits {
        "" => Some(0),
        // More would be of no use in any unit.
        digits => digits
            .bytes()
            .all(|byte| byte.is_ascii_digit())
            .then(|| digits.get(..18).unwrap_or(digits).parse::<i128>().ok())?,
    };
    if whole.len() > 18 {
        return None;
    }
    let scale = 10i128.pow(u32::try_from(part.len().min(18)).unwrap_or(0));
    Some(parse(whole)? * unit + parse(part)? * unit / scale)
}

fn line(id: &str, event: &Event) -> String {
    let mut json = Json(String::with_capacity(4096));
    json.object("", &mut |json| {
        json.text("type", if matches!(event, Event::Oom) { "oom" } else { "stats" });
        // Of letters that need no escape.
        json.text("id", id);
        if let Event::Statistics(statistics) = event {
            json.object("data", &mut |json| data(json, statistics));
        }
    });
    json.0.push('\n');
    json.0
}

fn data(json: &mut Json, statistics: &Statistics) {
    json.object("cpu", &mut |json| cpu(json, statistics));
    json.object("cpuset", &mut |json| cpuset(json, statistics));
    json.object("memory", &mut |json| memory(json, statistics));
    json.object("pids", &mut |json| {
        json.unless_zero("current", statistics.pids.current);
        json.unless_zero("limit", statistics.pids.limit);
    });
    json.object("blkio", &mut |json| block_io(json, &statistics.block_io));
    json.object("hugetlb", &mut |json| {
        for (size, pages) in &statistics.huge_pages {
            json.object(size, &mut |json| {
                json.unless_zero("usage", pages.usage);
                json.unless_zero("max", pages.max);
                json.number("failcnt", pages.failures);
            });
        }
    });
    json.object("intel_rdt", &mut |_| {});
    // Those that runc makes itself, which it has not done for anybody since libcontainer's own config.
    json.key("network_interfaces");
    json.0.push_str("null");
}

fn cpu(json: &mut Json, statistics: &Statistics) {
    let cpu = &statistics.cpu;
    let lists = [("percpu", &cpu.percpu), ("percpu_kernel", &cpu.percpu_kernel), ("percpu_user", &cpu.percpu_user)];
    if cpu.total + cpu.kernel + cpu.user > 0 || lists.iter().any(|(_, list)| !list.is_empty()) {
        json.object("usage", &mut |json| {
            json.unless_zero("total", cpu.total);
            for (name, list) in lists {
                json.list(name, list);
            }
            json.number("kernel", cpu.kernel);
            json.number("user", cpu.user);
        });
    }
    if cpu.periods + cpu.throttled_periods + cpu.throttled_time > 0 {
        json.object("throttling", &mut |json| {
            json.unless_zero("periods", cpu.periods);
            json.unless_zero("throttledPeriods", cpu.throttled_periods);
            json.unless_zero("throttledTime", cpu.throttled_time);
        });
    }
    pressure(json, cpu.pressure.as_ref());
}

fn cpuset(json: &mut Json, statistics: &Statistics) {
    let cpuset = &statistics.cpuset;
    let [cpu_exclusive, rest @ ..] = cpuset.flags;
    let [cpu_exclusive_name, names @ ..] = Cpuset::FLAGS;
    json.list("cpus", &cpuset.cpus);
    json.number(cpu_exclusive_name, cpu_exclusive);
    json.list("mems", &cpuset.mems);
    for (name, flag) in names.iter().zip(rest) {
        json.number(name, flag);
    }
    json.key("sched_relax_domain_level");
    json.0.push_str(&cpuset.relax_domain_level.to_string());
}

fn memory(json: &mut Json, statistics: &Statistics) {
    let memory = &statistics.memory;
    json.unless_zero("cache", memory.cache);
    for (name, entry) in [
        ("usage", &memory.usage),
        ("swap", &memory.swap),
        ("kernel", &memory.kernel),
        ("kernelTCP", &memory.kernel_tcp),
    ] {
        if *entry != MemoryUse::default() {
            json.object(name, &mut |json| {
                json.number("limit", entry.limit);
                json.unless_zero("usage", entry.usage);
                json.unless_zero("max", entry.max);
                json.number("failcnt", entry.failures);
            });
        }
    }
    if !memory.raw.is_empty() {
        json.object("raw", &mut |json| memory.raw.iter().for_each(|(key, value)| json.number(key, *value)));
    }
    pressure(json, memory.pressure.as_ref());
}

fn block_io(json: &mut Json, io: &BlockIo) {
    // As the tables are ordered.
    const NAMES: [&str; 8] = [
        "ioServiceBytesRecursive",
        "ioServicedRecursive",
        "ioQueueRecursive",
        "ioServiceTimeRecursive",
        "ioWaitTimeRecursive",
        "ioMergedRecursive",
        "ioTimeRecursive",
        "sectorsRecursive",
    ];
    for (name, table) in NAMES.iter().zip(&io.tables).filter(|(_, table)| !table.is_empty()) {
        json.key(name);
        json.0.push('[');
        for entry in table {
            json.object("", &mut |json| {
                json.unless_zero("major", entry.major);
                json.unless_zero("minor", entry.minor);
                if !entry.kind.is_empty() {
                    json.text("op", &entry.kind);
                }
                json.unless_zero("value", entry.value);
            });
        }
        json.0.push(']');
    }
    pressure(json, io.pressure.as_ref());
}

fn pressure(json: &mut Json, pressure: Option<&Pressure>) {
    let Some(pressure) = pressure else { return };
    json.object("psi", &mut |json| {
        for (name, stalled) in [("some", &pressure.some), ("full", &pressure.full)] {
            if *stalled == Stalled::default() {
                continue;
            }
            json.object(name, &mut |json| {
                for (name, average) in ["avg10", "avg60", "avg300"].iter().zip(stalled.average) {
                    json.key(name);
                    let decimal = format!("{}.{:02}", average / 100, average % 100);
                    json.0.push_str(decimal.trim_end_matches('0').trim_end_matches('.'));
                }
                json.number("total", stalled.total);
            });
        }
    });
}

/// JSON in the making. Keys and texts here never need an escape.
struct Json(String);

impl Json {
    /// The comma before what follows something.
    fn next(&mut self) {
        if !self.0.is_empty() && !self.0.ends_with(['{', '[', ':']) {
            self.0.push(',');
        }
    }

    fn key(&mut self, key: &str) {
        self.next();
        self.0.push('"');
        self.0.push_str(key);
        self.0.push_str("\":");
    }

    /// Without a key in a list, and at the top.
    fn object(&mut self, key: &str, content: &mut dyn FnMut(&mut Self)) {
        if key.is_empty() {
            self.next()
        } else {
            self.key(key)
        }
        self.0.push('{');
        content(self);
        self.0.push('}');
    }

    fn text(&mut self, key: &str, text: &str) {
        self.key(key);
        self.0.push('"');
        self.0.push_str(text);
        self.0.push('"');
    }

    fn number(&mut self, key: &str, number: u64) {
        self.key(key);
        self.0.push_str(&number.to_string());
    }

    fn unless_zero(&mut self, key: &str, number: u64) {
        if number != 0 {
            self.number(key, number);
        }
    }

    fn list(&mut self, key: &str, list: &[u64]) {
        if !list.is_empty() {
            self.key(key);
            self.0.push('[');
            for number in list {
                self.next();
                self.0.push_str(&number.to_string());
            }
            self.0.push(']');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rt_runtime::usage::{HugePages, Operations};

    #[test]
    fn durations_are_go_s() {
        for (text, nanoseconds) in [
            ("5s", 5_000_000_000),
            ("500ms", 500_000_000),
            ("1m30s", 90_000_000_000),
            ("1.5h", 5_400_000_000_000),
            (".5s", 500_000_000),
            ("1.s", 1_000_000_000),
            ("7us", 7_000),
            ("7µs", 7_000),
            ("0", 0),
            ("-1s", -1_000_000_000),
            ("+3ns", 3),
        ] {
            assert_eq!(duration(text), Some(nanoseconds), "{text}");
        }
        for text in ["", "5", "x", "s", "5 s", "5d", "1s5", ".s", "-", "99999999999999999999s", "9999999h", "1..5s"] {
            assert_eq!(duration(text), None, "{text:?}");
        }
    }

    #[test]
    fn out_of_memory_has_no_data() {
        assert_eq!(line("web", &Event::Oom), "{\"type\":\"oom\",\"id\":\"web\"}\n");
    }

    #[test]
    fn nothing_is_written_as_runc_writes_nothing() {
        let expected = concat!(
            r#"{"type":"stats","id":"web","data":{"cpu":{},"cpuset":{"cpu_exclusive":0,"mem_hardwall":0,"mem_exclusive":0,"#,
            r#""memory_migrate":0,"memory_spread_page":0,"memory_spread_slab":0,"memory_pressure":0,"sched_load_balance":0,"#,
            r#""sched_relax_domain_level":0},"memory":{},"pids":{},"blkio":{},"hugetlb":{},"intel_rdt":{},"network_interfaces":null}}"#,
            "\n"
        );
        assert_eq!(line("web", &Event::Statistics(Box::default())), expected);
    }

    #[test]
    fn everything_is_in_runc_s_order() {
        let mut all = Statistics::default();
        all.cpu.total = 9;
        all.cpu.percpu = vec![4, 5];
        all.cpu.periods = 2;
        let some = Stalled { average: [0, 150, 10_007], total: 3 };
        all.cpu.pressure = Some(Pressure { some, full: Stalled::default() });
        all.cpuset.cpus = vec![0, 1];
        all.cpuset.flags[7] = 1;
        all.cpuset.relax_domain_level = -1;
        all.memory.cache = 7;
        all.memory.usage = MemoryUse { limit: u64::MAX, usage: 3, max: 4, failures: 0 };
        all.memory.raw = vec![("anon".to_owned(), 1), ("file".to_owned(), 0)];
        all.memory.pressure = Some(Pressure::default());
        all.pids.current = 1;
        let read = |value| Operations { major: 8, minor: 0, kind: "Read".to_owned(), value };
        all.block_io.tables[0] = vec![read(5), read(0)];
        all.huge_pages = vec![("2MB".to_owned(), HugePages { usage: 1, max: 0, failures: 0 })];
        let expected = concat!(
            r#"{"type":"stats","id":"web","data":{"cpu":{"usage":{"total":9,"percpu":[4,5],"kernel":0,"user":0},"#,
            r#""throttling":{"periods":2},"psi":{"some":{"avg10":0,"avg60":1.5,"avg300":100.07,"total":3}}},"#,
            r#""cpuset":{"cpus":[0,1],"cpu_exclusive":0,"mem_hardwall":0,"mem_exclusive":0,"#,
            r#""memory_migrate":0,"memory_spread_page":0,"memory_spread_slab":0,"memory_pressure":0,"sched_load_balance":1,"#,
            r#""sched_relax_domain_level":-1},"memory":{"cache":7,"usage":{"limit":18446744073709551615,"usage":3,"max":4,"#,
            r#""failcnt":0},"raw":{"anon":1,"file":0},"psi":{}},"pids":{"current":1},"blkio":{"ioServiceBytesRecursive":["#,
            r#"{"major":8,"op":"Read","value":5},{"major":8,"op":"Read"}]},"hugetlb":{"2MB":{"usage":1,"failcnt":0}},"#,
            r#""intel_rdt":{},"network_interfaces":null}}"#,
            "\n"
        );
        assert_eq!(line("web", &Event::Statistics(Box::new(all))), expected);
    }
}
