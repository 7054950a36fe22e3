//! What a container has used: the statistics of its controllers. A controller that is not there has none, and a file
//! that its kernel does not know counts as nothing; neither keeps the others from being read.

mod flat;
mod source;
mod v1;
mod v2;

use crate::error::Error;
use crate::existing::Existing;
use source::Source;
use std::cell::RefCell;

/// At one moment. Times are in nanoseconds, sizes in bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Processor time.
    pub cpu: Cpu,
    /// The processors and memory nodes that may be used: v1 only, as with runc.
    pub cpuset: Cpuset,
    /// Memory.
    pub memory: Memory,
    /// Tasks.
    pub pids: Pids,
    /// Block I/O.
    pub block_io: BlockIo,
    /// Huge pages, by their size: `2MB`.
    pub huge_pages: Vec<(String, HugePages)>,
}

/// Processor time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cpu {
    /// All.
    pub total: u64,
    /// In the kernel.
    pub kernel: u64,
    /// Outside of it.
    pub user: u64,
    /// All, by processor: v1 only, and so the next two.
    pub percpu: Vec<u64>,
    /// In the kernel, by processor.
    pub percpu_kernel: Vec<u64>,
    /// Outside of it, by processor.
    pub percpu_user: Vec<u64>,
    /// Periods in which the quota counted.
    pub periods: u64,
    /// Those in which it was used up.
    pub throttled_periods: u64,
    /// How long tasks had to wait because of that.
    pub throttled_time: u64,
    /// How long tasks waited for a processor.
    pub pressure: Option<Pressure>,
}

/// `cpuset.*` of v1.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cpuset {
    /// Processors.
    pub cpus: Vec<u64>,
    /// Memory nodes.
    pub mems: Vec<u64>,
    /// The numbers of [`Cpuset::FLAGS`].
    pub flags: [u64; 8],
    /// `sched_relax_domain_level`: -1 is the system's default.
    pub relax_domain_level: i64,
}

impl Cpuset {
    /// The files, without `cpuset.`.
    pub const FLAGS: [&str; 8] = [
        "cpu_exclusive",
        "mem_hardwall",
        "mem_exclusive",
        "memory_migrate",
        "memory_spread_page",
        "memory_spread_slab",
        "memory_pressure",
        "sched_load_balance",
    ];
}

/// Memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// The page cache.
    pub cache: u64,
    /// All of it.
    pub usage: MemoryUse,
    /// Memory and swap together, on v2 as well.
    pub swap: MemoryUse,
    /// The kernel's, for this container: v1 only.
    pub kernel: MemoryUse,
    /// Buffers of TCP: v1 only.
    pub kernel_tcp: MemoryUse,
    /// `memory.stat`, sorted by key.
    pub raw: Vec<(String, u64)>,
    /// How long tasks waited for memory.
    pub pressure: Option<Pressure>,
}

/// One kind of memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryUse {
    /// All ones for unlimited on v2; v1 has its own large number.
    pub limit: u64,
    /// Now.
    pub usage: u64,
    /// The most there has been.
    pub max: u64,
    /// How often the limit was hit: v1 only.
    pub failures: u64,
}

/// Tasks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pids {
    /// Now.
    pub current: u64,
    /// At most; 0 is unlimited.
    pub limit: u64,
}

/// Block I/O in the tables of v1, whatever the hierarchy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BlockIo {
    /// In the order of [`BlockIo::TABLES`].
    pub tables: [Vec<Operations>; 8],
    /// How long tasks waited for I/O.
    pub pressure: Option<Pressure>,
}

impl BlockIo {
    /// What each table counts, as v1 names it.
    pub const TABLES: [&str; 8] = [
        "io_service_bytes",
        "io_serviced",
        "io_queued",
        "io_service_time",
        "io_wait_time",
        "io_merged",
        "time",
        "sectors",
    ];
}

/// A line of a table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Operations {
    /// Of the device.
    pub major: u64,
    /// Of the device.
    pub minor: u64,
    /// `Read`, `Write`, `Total`…; empty where there is but one number for the device.
    pub kind: String,
    /// How many, how much, how long.
    pub value: u64,
}

/// Huge pages of one size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HugePages {
    /// Now.
    pub usage: u64,
    /// The most there has been: v1 only.
    pub max: u64,
    /// How often the limit was hit.
    pub failures: u64,
}

/// Pressure stall information (Documentation/accounting/psi.rst): v2 only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pressure {
    /// While some task waited.
    pub some: Stalled,
    /// While every task waited.
    pub full: Stalled,
}

/// How long tasks waited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stalled {
    /// Hundredths of a percent of the last 10, 60 and 300 seconds.
    pub average: [u64; 3],
    /// Microseconds.
    pub total: u64,
}

impl Existing {
    /// Read all that there is.
    ///
    /// # Errors
    /// [`Error::File`] for a file that is there and can't be read.
    pub fn statistics(&self) -> Result<Statistics, Error> {
        let failed = RefCell::new(None);
        let source = |controller| Source::new(self.place().dir(controller), &failed);
        let v2 = source("");
        let mut statistics = Statistics::default();
        let Statistics { cpu, cpuset, memory, pids, block_io, huge_pages } = &mut statistics;
        // On a hybrid host v2 has what v1 has not.
        match (source("cpu"), source("cpuacct")) {
            (Source { dir: None, .. }, Source { dir: None, .. }) => v2::cpu(&v2, cpu),
            (bandwidth, account) => {
                v1::bandwidth(&bandwidth, cpu);
                v1::account(&account, cpu);
            }
        }
        v1::cpuset(&source("cpuset"), cpuset);
        match source("memory") {
            Source { dir: None, .. } => v2::memory(&v2, memory),
            v1 => v1::memory(&v1, memory),
        }
        match source("pids") {
            Source { dir: None, .. } => *pids = v2::pids(&v2).unwrap_or_default(),
            v1 => *pids = v2::limited_pids(&v1).unwrap_or_default(),
        }
        match source("blkio") {
            Source { dir: None, .. } => v2::block_io(&v2, block_io),
            v1 => v1::block_io(&v1, block_io),
        }
        match source("hugetlb") {
            Source { dir: None, .. } => *huge_pages = v2::huge_pages(&v2),
            v1 => *huge_pages = v1::huge_pages(&v1),
        }
        for (file, pressure) in [
            ("cpu.pressure", &mut cpu.pressure),
            ("memory.pressure", &mut memory.pressure),
            ("io.pressure", &mut block_io.pressure),
        ] {
            *pressure = v2.read(file).map(|text| flat::pressure(&text));
        }
        match failed.into_inner() {
            Some(error) => Err(error),
            None => Ok(statistics),
        }
    }
}
