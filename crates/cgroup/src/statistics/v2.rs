//! Statistics of v2 (Documentation/admin-guide/cgroup-v2.rst), in the terms of v1 as runc has them.

use super::source::Source;
use super::{BlockIo, Cpu, HugePages, Memory, MemoryUse, Operations, Pids, flat};

/// `cpu.stat` is there without the controller too.
pub(super) fn cpu(from: &Source<'_>, cpu: &mut Cpu) {
    let text = from.read("cpu.stat").unwrap_or_default();
    for (key, value) in flat::pairs(&text) {
        let nanoseconds = value.saturating_mul(1000);
        match key {
            "usage_usec" => cpu.total = nanoseconds,
            "user_usec" => cpu.user = nanoseconds,
            "system_usec" => cpu.kernel = nanoseconds,
            "nr_periods" => cpu.periods = value,
            "nr_throttled" => cpu.throttled_periods = value,
            "throttled_usec" => cpu.throttled_time = nanoseconds,
            _ => {}
        }
    }
}

pub(super) fn memory(from: &Source<'_>, memory: &mut Memory) {
    let text = from.read("memory.stat").unwrap_or_default();
    memory.raw = sorted(&text);
    memory.cache = flat::pairs(&text).find(|(key, _)| *key == "file").map_or(0, |(_, value)| value);
    let Some(usage) = memory_use(from, "memory") else { return };
    memory.usage = usage;
    // v2 counts swap by itself, and is silent where there is none. The most of both is not the sum of the most of each.
    let swap = memory_use(from, "memory.swap").unwrap_or_default();
    memory.swap = MemoryUse {
        limit: swap.limit.saturating_add(usage.limit),
        usage: swap.usage.saturating_add(usage.usage),
        ..MemoryUse::default()
    };
}

/// `peak` came with Linux 5.19, for swap with 6.5.
fn memory_use(from: &Source<'_>, what: &str) -> Option<MemoryUse> {
    let number = |file| from.number(&format!("{what}.{file}"));
    Some(MemoryUse {
        usage: number("current")?,
        limit: number("max").unwrap_or(0),
        max: number("peak").unwrap_or(0),
        failures: 0,
    })
}

/// Keys and numbers, sorted by key: a few dozen.
pub(super) fn sorted(text: &str) -> Vec<(String, u64)> {
    let mut sorted: Vec<(String, u64)> = Vec::new();
    for (key, value) in flat::pairs(text) {
        if let Err(at) = sorted.binary_search_by(|(known, _)| known.as_str().cmp(key)) {
            sorted.insert(at, (key.to_owned(), value));
        }
    }
    sorted
}

/// Without the controller, those that are in the cgroup itself.
pub(super) fn pids(from: &Source<'_>) -> Option<Pids> {
    limited_pids(from).or_else(|| {
        let list = from.read("cgroup.procs").or_else(|| from.read("cgroup.threads"))?;
        Some(Pids { current: list.lines().count() as u64, limit: 0 })
    })
}

/// The same files on v1.
pub(super) fn limited_pids(from: &Source<'_>) -> Option<Pids> {
    let current = from.number("pids.current")?;
    Some(Pids { current, limit: from.number("pids.max").filter(|limit| *limit != u64::MAX).unwrap_or(0) })
}

/// `8:0 rbytes=4096 wbytes=0 rios=1 wios=0 dbytes=0 dios=0`
pub(super) fn block_io(from: &Source<'_>, io: &mut BlockIo) {
    let text = from.read("io.stat").unwrap_or_default();
    for line in text.lines() {
        let mut fields = line.split(' ');
        let Some((major, minor)) = fields.next().and_then(|device| device.split_once(':')) else { continue };
        for (key, value) in fields.filter_map(|field| field.split_once('=')) {
            let (table, kind) = match key {
                "rbytes" => (0, "Read"),
                "wbytes" => (0, "Write"),
                "rios" => (1, "Read"),
                "wios" => (1, "Write"),
                _ => continue,
            };
            io.tables[table].push(Operations {
                major: flat::number(major),
                minor: flat::number(minor),
                kind: kind.to_owned(),
                value: flat::number(value),
            });
        }
    }
}

pub(super) fn huge_pages(from: &Source<'_>) -> Vec<(String, HugePages)> {
    let pages = |size: String| {
        // Reservations are accounted for since Linux 5.7, and come before the pages themselves.
        let reserved = from.number(&format!("hugetlb.{size}.rsvd.current"));
        let usage = reserved.or_else(|| from.number(&format!("hugetlb.{size}.current"))).unwrap_or(0);
        let failures = from.value(&format!("hugetlb.{size}.events"), "max").unwrap_or(0);
        (size, HugePages { usage, max: 0, failures })
    };
    from.page_sizes(".max").into_iter().map(pages).collect()
}
