//! Statistics of directories that look like cgroups (`fixtures`): the files are as Linux 6 writes them, the numbers are
//! chosen so that each can be told from the others.

use rt_cgroup::statistics::{Cpu, HugePages, Memory, MemoryUse, Operations, Pids, Pressure, Stalled};
use rt_cgroup::{Existing, Place, Statistics};
use serde_json::{Value, json};

/// `directories` maps controllers to fixtures, as a state file does.
fn statistics(directories: &Value) -> Statistics {
    let fixtures = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures");
    let whole = |dir: &Value| json!(format!("{fixtures}/{}", dir.as_str().expect("a name")));
    let directories = directories.as_object().expect("a map").iter().map(|(key, dir)| (key.clone(), whole(dir)));
    let place: Place = serde_json::from_value(directories.collect::<Value>()).expect("a place");
    Existing::open(&place).statistics().expect("readable")
}

fn v1(controllers: &[&str]) -> Statistics {
    statistics(&controllers.iter().map(|name| ((*name).to_owned(), json!(format!("v1/{name}")))).collect())
}

const ALL: [&str; 8] = ["cpu", "cpuacct", "cpuset", "memory", "pids", "blkio", "hugetlb", "freezer"];

fn operations(major: u64, minor: u64, kind: &str, value: u64) -> Operations {
    Operations { major, minor, kind: kind.to_owned(), value }
}

fn raw(pairs: &[(&str, u64)]) -> Vec<(String, u64)> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), *value)).collect()
}

#[test]
fn v1_has_a_directory_for_each_controller() {
    let all = v1(&ALL);
    let cpu = Cpu {
        total: 470_000_123,
        kernel: 340_000_000,
        user: 120_000_000,
        percpu: vec![470_000_000, 123],
        percpu_kernel: vec![350_000_000, 0],
        percpu_user: vec![120_000_000, 123],
        periods: 40,
        throttled_periods: 7,
        throttled_time: 123_456_789,
        pressure: None,
    };
    assert_eq!(all.cpu, cpu);
    assert_eq!((all.cpuset.cpus, all.cpuset.mems), (vec![0, 1, 3], vec![0]));
    assert_eq!(all.cpuset.flags, [0, 1, 0, 0, 0, 0, 9, 1]);
    assert_eq!(all.cpuset.relax_domain_level, -1);
    let unlimited = 9_223_372_036_854_771_712;
    let memory = Memory {
        cache: 8192,
        usage: MemoryUse { limit: 67_108_864, usage: 12_288, max: 20_480, failures: 3 },
        swap: MemoryUse { limit: 134_217_728, usage: 12_289, max: 20_481, failures: 1 },
        // Linux 5.16 has taken the limit away.
        kernel: MemoryUse { limit: 0, usage: 4096, max: 8192, failures: 0 },
        kernel_tcp: MemoryUse { limit: unlimited, ..MemoryUse::default() },
        raw: raw(&[
            ("active_file", 8192),
            ("cache", 8192),
            ("hierarchical_memory_limit", 67_108_864),
            ("inactive_file", 0),
            ("mapped_file", 0),
            ("rss", 4096),
            ("rss_huge", 0),
            ("total_cache", 8192),
        ]),
        pressure: None,
    };
    assert_eq!(all.memory, memory);
    assert_eq!(all.pids, Pids { current: 5, limit: 20 });
    assert_eq!(
        all.huge_pages,
        [
            ("1GB".to_owned(), HugePages { usage: 0, max: 2_097_152, failures: 4 }),
            ("2MB".to_owned(), HugePages { usage: 4_194_304, max: 6_291_456, failures: 1 }),
        ]
    );
}

#[test]
fn block_io_of_v1_is_the_first_set_of_files_that_says_anything() {
    let io = v1(&ALL).block_io;
    assert_eq!(
        io.tables[0],
        [operations(8, 0, "Read", 49_152), operations(8, 0, "Write", 12_288), operations(8, 0, "Total", 61_440)]
    );
    assert_eq!(io.tables[1].len(), 6);
    assert_eq!(io.tables[1][1], operations(8, 0, "Write", 3));
    assert!(io.tables[2..].iter().all(Vec::is_empty));
}

#[test]
fn v2_has_one_directory() {
    let all = statistics(&json!({ "": "v2" }));
    let some = Stalled { average: [105, 20, 10_000], total: 2882 };
    let cpu = Cpu {
        total: 470_000_000,
        kernel: 350_000_000,
        user: 120_000_000,
        periods: 40,
        throttled_periods: 7,
        throttled_time: 123_456_000,
        pressure: Some(Pressure { some, full: Stalled::default() }),
        ..Cpu::default()
    };
    assert_eq!(all.cpu, cpu);
    let memory = Memory {
        cache: 8192,
        usage: MemoryUse { limit: 67_108_864, usage: 12_288, max: 20_480, failures: 0 },
        swap: MemoryUse { limit: u64::MAX, usage: 12_388, max: 0, failures: 0 },
        raw: raw(&[
            ("anon", 4096),
            ("file", 8192),
            ("kernel", 1024),
            ("kernel_stack", 0),
            ("oom_kill", 1),
            ("slab", 300),
            ("slab_reclaimable", 100),
            ("workingset_refault_anon", 0),
        ]),
        pressure: Some(Pressure::default()),
        ..Memory::default()
    };
    assert_eq!(all.memory, memory);
    assert_eq!(all.pids, Pids { current: 5, limit: 0 });
    let [bytes, requests, rest @ ..] = all.block_io.tables;
    let read = [operations(8, 16, "Read", 49_152), operations(8, 16, "Write", 12_288), operations(254, 0, "Read", 1)];
    assert_eq!(bytes, read);
    assert_eq!(requests, [operations(8, 16, "Read", 12), operations(8, 16, "Write", 3)]);
    assert!(rest.iter().all(Vec::is_empty));
    assert_eq!(all.block_io.pressure, None);
    assert_eq!(
        all.huge_pages,
        [
            ("1GB".to_owned(), HugePages { usage: 1_073_741_824, max: 0, failures: 0 }),
            ("2MB".to_owned(), HugePages { usage: 4_194_304, max: 0, failures: 4 }),
        ]
    );
}

#[test]
fn v2_without_controllers_has_processor_time_and_processes() {
    let bare = statistics(&json!({ "": "v2-bare" }));
    let mut expected = Statistics { pids: Pids { current: 2, limit: 0 }, ..Statistics::default() };
    (expected.cpu.total, expected.cpu.user) = (5000, 5000);
    assert_eq!(bare, expected);
}

#[test]
fn controller_that_is_missing_takes_nothing_from_the_others() {
    let all = v1(&ALL);
    for missing in ALL {
        let mut expected = all.clone();
        match missing {
            "cpu" => {
                (expected.cpu.periods, expected.cpu.throttled_periods, expected.cpu.throttled_time) = (0, 0, 0);
            }
            "cpuacct" => {
                let Cpu { periods, throttled_periods, throttled_time, .. } = all.cpu.clone();
                expected.cpu = Cpu { periods, throttled_periods, throttled_time, ..Cpu::default() };
            }
            "cpuset" => expected.cpuset = Default::default(),
            "memory" => expected.memory = Memory::default(),
            "pids" => expected.pids = Pids::default(),
            "blkio" => expected.block_io = Default::default(),
            "hugetlb" => expected.huge_pages = Vec::new(),
            _ => {}
        }
        let rest: Vec<&str> = ALL.into_iter().filter(|name| *name != missing).collect();
        assert_eq!(v1(&rest), expected, "{missing}");
    }
    assert_eq!(v1(&[]), Statistics::default());
    assert_eq!(statistics(&json!({ "": "nowhere", "memory": "nowhere" })), Statistics::default());
}

#[test]
fn on_a_hybrid_host_v2_has_what_v1_has_not() {
    let hybrid = statistics(&json!({ "": "v2", "memory": "v1/memory", "cpu": "v1/cpu", "cpuacct": "v1/cpuacct" }));
    assert_eq!(hybrid.memory.usage.failures, 3);
    assert_eq!(hybrid.cpu.percpu.len(), 2);
    assert_eq!(hybrid.huge_pages.len(), 2);
    assert_eq!(hybrid.block_io.tables[1].len(), 2);
    assert!(hybrid.cpu.pressure.is_some());
}
