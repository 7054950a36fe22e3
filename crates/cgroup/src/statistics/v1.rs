//! Statistics of v1 (Documentation/admin-guide/cgroup-v1), controller by controller.

use super::source::Source;
use super::{BlockIo, Cpu, Cpuset, HugePages, Memory, MemoryUse, flat};

pub(super) fn bandwidth(from: &Source<'_>, cpu: &mut Cpu) {
    let text = from.read("cpu.stat").unwrap_or_default();
    for (key, value) in flat::pairs(&text) {
        match key {
            "nr_periods" => cpu.periods = value,
            "nr_throttled" => cpu.throttled_periods = value,
            "throttled_time" => cpu.throttled_time = value,
            _ => {}
        }
    }
}

/// Nanoseconds in a tick of USER_HZ, which is 100 on every architecture that counts.
const TICK: u64 = 10_000_000;

pub(super) fn account(from: &Source<'_>, cpu: &mut Cpu) {
    let text = from.read("cpuacct.stat").unwrap_or_default();
    for (key, ticks) in flat::pairs(&text) {
        match key {
            "user" => cpu.user = ticks.saturating_mul(TICK),
            "system" => cpu.kernel = ticks.saturating_mul(TICK),
            _ => {}
        }
    }
    cpu.total = from.number("cpuacct.usage").unwrap_or(0);
    cpu.percpu = from.read("cpuacct.usage_percpu").map(|text| flat::numbers(&text)).unwrap_or_default();
    // `cpu user system`, then a line for each processor. Since Linux 4.9.
    let all = from.read("cpuacct.usage_all").unwrap_or_default();
    for line in all.lines().skip(1) {
        if let [_, user, kernel, ..] = flat::numbers(line)[..] {
            cpu.percpu_user.push(user);
            cpu.percpu_kernel.push(kernel);
        }
    }
}

pub(super) fn cpuset(from: &Source<'_>, cpuset: &mut Cpuset) {
    let list = |file| from.read(file).map(|text| flat::list(&text)).unwrap_or_default();
    cpuset.cpus = list("cpuset.cpus");
    cpuset.mems = list("cpuset.mems");
    for (flag, name) in cpuset.flags.iter_mut().zip(Cpuset::FLAGS) {
        *flag = from.number(&format!("cpuset.{name}")).unwrap_or(0);
    }
    let level = from.read("cpuset.sched_relax_domain_level");
    cpuset.relax_domain_level = level.and_then(|text| text.trim().parse().ok()).unwrap_or(0);
}

pub(super) fn memory(from: &Source<'_>, memory: &mut Memory) {
    let text = from.read("memory.stat").unwrap_or_default();
    memory.raw = super::v2::sorted(&text);
    memory.cache = flat::pairs(&text).find(|(key, _)| *key == "cache").map_or(0, |(_, value)| value);
    memory.usage = memory_use(from, "memory");
    memory.swap = memory_use(from, "memory.memsw");
    memory.kernel = memory_use(from, "memory.kmem");
    memory.kernel_tcp = memory_use(from, "memory.kmem.tcp");
}

/// Nothing at all where the kernel does not account for it.
fn memory_use(from: &Source<'_>, what: &str) -> MemoryUse {
    let Some(usage) = from.number(&format!("{what}.usage_in_bytes")) else { return MemoryUse::default() };
    let number = |file| from.number(&format!("{what}.{file}")).unwrap_or(0);
    MemoryUse { limit: number("limit_in_bytes"), usage, max: number("max_usage_in_bytes"), failures: number("failcnt") }
}

/// Schedulers come and go, and each has files of its own: the first set that has anything to say, in runc's order. Of
/// BFQ there is a large one (with CONFIG_BFQ_CGROUP_DEBUG) and a small one.
pub(super) fn block_io(from: &Source<'_>, io: &mut BlockIo) {
    // Places in `BlockIo::TABLES`: what a set may lack comes first.
    const LARGE: &[usize] = &[7, 3, 4, 5, 2, 6, 1, 0];
    const SMALL: &[usize] = &[1, 0];
    for (prefix, tables, suffix) in [
        ("blkio.bfq.", LARGE, "_recursive"),
        ("blkio.bfq.", SMALL, "_recursive"),
        ("blkio.", LARGE, "_recursive"),
        ("blkio.throttle.", SMALL, "_recursive"),
        ("blkio.throttle.", SMALL, ""),
    ] {
        for table in tables {
            let text = from.read(&format!("{prefix}{}{suffix}", BlockIo::TABLES[*table])).unwrap_or_default();
            io.tables[*table] = flat::operations(&text);
            if io.tables[*table].is_empty() {
                break;
            }
        }
        if io.tables.iter().any(|table| !table.is_empty()) {
            return;
        }
    }
}

pub(super) fn huge_pages(from: &Source<'_>) -> Vec<(String, HugePages)> {
    let pages = |size: String| {
        // Reservations are accounted for since Linux 5.7, and come before the pages themselves.
        let file = |file: &str| {
            let reserved = from.number(&format!("hugetlb.{size}.rsvd.{file}"));
            reserved.or_else(|| from.number(&format!("hugetlb.{size}.{file}"))).unwrap_or(0)
        };
        let pages =
            HugePages { usage: file("usage_in_bytes"), max: file("max_usage_in_bytes"), failures: file("failcnt") };
        (size, pages)
    };
    from.page_sizes(".limit_in_bytes").into_iter().map(pages).collect()
}
