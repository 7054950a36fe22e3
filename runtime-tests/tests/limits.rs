//! Limits, by what the kernel does to who runs into them. That their files are written is in `cgroups.rs`.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    thread::{available_parallelism, sleep},
    time::Duration,
};

use runtime_tests::{Container, cgroup_v2, controller, require, wait_until};
use serde_json::{Value, json};

/// A container with these resources, and device rules as usual.
fn limited(name: &str, limits: Value) -> Container {
    Container::new("limits").edit(|config| config["linux"]["resources"][name] = limits)
}

/// A container that takes so many MiB at once and says how that ended, 0 or 137 when it was killed. Then it stays for so many
/// seconds as its environment says.
fn taking(mib: usize, container: Container) -> Container {
    // Not of zeros: newer kernels have but one page of those.
    container
        .file("data", &"x".repeat(mib << 20))
        .script(&format!("dd if=/data of=/dev/null bs={mib}M count=1 2>/dev/null; echo $?; exec sleep ${{STAY-0}}"))
}

// ---- memory ----

#[test]
fn who_takes_more_memory_than_the_limit_is_killed() {
    require!(controller("memory").is_some(), "no memory controller in this view");
    // With all of it for memory and swap together nothing can be moved out of the way.
    let limit = |mib: u32| limited("memory", json!({ "limit": mib << 20, "swap": mib << 20 }));
    taking(48, limit(32)).run().prints("137\n");
    taking(48, limit(96)).run().prints("0\n");
}

#[test]
fn container_whose_own_process_takes_too_much_ends() {
    require!(controller("memory").is_some(), "no memory controller in this view");
    let memory = json!({ "limit": 32 << 20, "swap": 32 << 20 });
    // What tail keeps grows until it meets the limit.
    limited("memory", memory).args(["tail", "/dev/zero"]).run().exits(137);
}

#[test]
fn swap_counts_what_does_not_fit_into_memory() {
    require!(controller("memory").is_some(), "no memory controller in this view");
    let swaps = fs::read_to_string("/proc/swaps").expect("proc is mounted");
    require!(swaps.lines().count() > 1, "this machine has no swap");
    let limit = |mib: u32| limited("memory", json!({ "limit": 32 << 20, "swap": mib << 20 }));
    taking(48, limit(80)).run().prints("0\n");
    taking(48, limit(40)).run().prints("137\n");
}

#[test]
fn who_is_above_memory_high_is_slowed_down_and_not_killed() {
    let memory = controller("memory");
    require!(cgroup_v2() && memory.is_some(), "no memory controller of cgroup v2 in this view");
    let container = limited("unified", json!({ "memory.high": (32 << 20).to_string() }));
    let container = taking(36, container).env("STAY=1000");
    let foreground = container.spawn();
    foreground.wait_for("0\n");
    let cgroup = memory.expect("just looked").cgroup_of(container.pid());
    let events = fs::read_to_string(cgroup.join("memory.events")).expect("it can be read");
    let count = |name: &str| {
        let line = events.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.and_then(|count| count.parse::<u64>().ok()).expect("every event has a number")
    };
    assert!(count("high") > 0 && count("oom_kill") == 0, "{events}");
    container.kill("KILL").quietly();
    foreground.wait().exits(137);
}

#[test]
fn reservation_keeps_memory_from_the_neighbours() {
    require!(cgroup_v2() && controller("memory").is_some(), "no memory controller of cgroup v2 in this view");
    let kind = Command::new("stat").args(["-f", "-c", "%T", "/var/tmp"]).output().expect("stat runs").stdout;
    require!(kind == b"ext2/ext3\n", "/var/tmp is on no disk, from which files are read");
    let kept = [0, 64 << 20].map(kept_under_pressure);
    // Without a reservation the cache goes first. How much of it is up to the kernel.
    assert!(kept[0] < 24 << 20 && kept[1] > 30 << 20, "{kept:?}");
}

/// How much of a 32 MiB file that it has read a container still has in memory, when another one has taken the rest of what
/// both may have.
fn kept_under_pressure(reservation: u64) -> u64 {
    let both = Together::new(96 << 20);
    let file = PathBuf::from(format!("/var/tmp/limits-{}", std::process::id()));
    // Who reads it first is charged for it, so nothing of it may stay in the cache of the one who writes it.
    let text =
        "dd if=/dev/zero of=$0 bs=1M count=32 conv=fsync && dd of=$0 oflag=nocache conv=notrunc,fdatasync count=0";
    let made = Command::new("sh").args(["-c", text]).arg(&file).output().expect("sh runs");
    assert!(made.status.success(), "{made:?}");
    let reader = both
        .container(json!({ "reservation": reservation }))
        .file("file", "")
        .mount("bind", &file, "/file", &["bind", "ro"])
        .script("dd if=/file of=/dev/null bs=1M 2>/dev/null; echo read; exec sleep 1000");
    let foreground = reader.spawn();
    foreground.wait_for("read\n");
    let cgroup = controller("memory").expect("just looked").cgroup_of(reader.pid());

    taking(76, both.container(json!({}))).run().prints("0\n");

    let stat = fs::read_to_string(cgroup.join("memory.stat")).expect("it can be read");
    let kept = stat.lines().find_map(|line| line.strip_prefix("file ")).expect("it has such a line");
    reader.kill("KILL").quietly();
    let _ = foreground.wait();
    reader.leaves_nothing();
    fs::remove_file(&file).expect("it can be removed");
    kept.parse().expect("a number")
}

/// A cgroup with a limit on memory for the containers in it.
struct Together {
    name: String,
    cgroup: PathBuf,
}

impl Together {
    fn new(limit: u64) -> Self {
        let view = env::var("RT_TEST_CGROUP").expect("in-view sets it");
        let name = format!("{view}/together");
        let cgroup = Path::new("/sys/fs/cgroup").join(name.trim_start_matches('/'));
        fs::create_dir(&cgroup).expect("it can be made");
        fs::write(cgroup.join("memory.max"), limit.to_string()).expect("it can be limited");
        fs::write(cgroup.join("cgroup.subtree_control"), "+memory").expect("it hands memory on");
        Self { name, cgroup }
    }

    fn container(&self, memory: Value) -> Container {
        let container = limited("memory", memory);
        let path = format!("{}/{}", self.name, container.id);
        container.edit(|config| config["linux"]["cgroupsPath"] = json!(path))
    }
}

impl Drop for Together {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.cgroup);
    }
}

// ---- processes ----

#[test]
fn fork_above_the_limit_fails_with_eagain() {
    require!(controller("pids").is_some(), "no pids controller in this view");
    // The shell, a shell that starts sleepers until it fails, and six of them.
    let output = limited("pids", json!({ "limit": 8 }))
        .script("(for n in 1 2 3 4 5 6 7 8 9; do sleep 1000 & echo $n; done); echo end")
        .run();
    assert_eq!(output.stdout, "1\n2\n3\n4\n5\n6\nend\n", "{output:?}");
    assert!(output.stderr.contains("can't fork: Resource temporarily unavailable"), "{output:?}");
}

#[test]
fn fork_bomb_stays_in_its_container() {
    let pids = controller("pids");
    require!(pids.is_some(), "no pids controller in this view");
    let container = limited("pids", json!({ "limit": 50 }))
        .script("bomb() { bomb | bomb & }; bomb 2>/dev/null; trap : CHLD; while :; do wait; done")
        .detached();
    container.run().quietly();
    let cgroup = pids.expect("just looked").cgroup_of(container.pid());
    let count = |file: &str| {
        let text = fs::read_to_string(cgroup.join(file)).expect("it can be read");
        text.split_whitespace().last().and_then(|count| count.parse::<u64>().ok()).expect("it has a number")
    };
    wait_until("it has met the limit", || count("pids.events") > 0);
    for _ in 0..20 {
        assert!(count("pids.current") <= 50, "more than the limit");
        sleep(Duration::from_millis(5));
    }
    container.delete_by_force().quietly();
    container.leaves_nothing();
}

// ---- processors ----

/// Works for about two seconds. Before and after it prints the time in seconds, and its processor time in user and kernel
/// mode in hundredths.
const WORK: &str = "look() { read now rest < /proc/uptime; set -- $(cat /proc/1/stat); echo $now ${14} ${15}; }; look; \
    end=$((${now%.*} + 3)); while [ ${now%.*} -lt $end ]; do read now rest < /proc/uptime; done; look";

#[test]
fn processor_time_above_the_quota_is_waited_for() {
    require!(controller("cpu").is_some(), "no cpu controller in this view");
    let text = limited("cpu", json!({ "quota": 20_000, "period": 100_000 })).script(WORK).run().ok();
    let numbers: Vec<f64> = text.split_whitespace().map(|word| word.parse().expect("a number")).collect();
    let [from, user, kernel, to, more_user, more_kernel] = numbers[..] else { panic!("{text}") };
    let share = (more_user + more_kernel - user - kernel) / 100.0 / (to - from);
    // A fifth; the kernel gives it out in slices.
    assert!(share > 0.05 && share < 0.3, "{share} of a processor: {text}");
}

#[test]
fn shares_divide_a_processor() {
    require!(controller("cpu").is_some(), "no cpu controller in this view");
    let worker = |shares: u32| {
        let container = limited("cpu", json!({ "shares": shares })).detached();
        let container = container.args(["taskset", "1", "sh", "-c", "while :; do :; done"]);
        container.run().quietly();
        container
    };
    let workers = [worker(4096), worker(256)];
    let pids = workers.each_ref().map(Container::pid);
    let times = || pids.map(processor_time);
    wait_until("both work", || times().iter().all(|&time| time > 0));
    let before = times();
    wait_until("two seconds of work", || times()[0] - before[0] > 200);
    let [large, small] = times();
    // 16:1 on v1. On v2 it is 303:35, by runc's conversion; older ones have 156:10.
    let ratio = f64::from(large - before[0]) / f64::from(small.saturating_sub(before[1]).max(1));
    assert!(ratio > 4.0, "{ratio}");
}

/// Processor time of a process, in hundredths of a second.
fn processor_time(pid: i32) -> u32 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("it lives");
    let (_, fields) = stat.rsplit_once(')').expect("its name is in parentheses");
    fields.split_whitespace().skip(11).take(2).map(|time| time.parse::<u32>().expect("a number")).sum()
}

#[test]
fn other_processors_than_those_of_the_cpuset_can_not_be_had() {
    require!(controller("cpuset").is_some(), "no cpuset controller in this view");
    require!(available_parallelism().is_ok_and(|count| count.get() > 1), "this machine has one processor");
    let output =
        limited("cpu", json!({ "cpus": "1", "mems": "0" })).script("nproc; taskset -p 2 1; taskset -p 1 1").run();
    assert!(output.stdout.starts_with("1\n"), "{output:?}");
    assert!(output.stderr.contains("Invalid argument"), "{output:?}");
}

// ---- devices ----

const DENIED: &str = "Operation not permitted";

/// A disk of this machine, as /sys/block has it: its numbers.
fn disk() -> Option<(u64, u64)> {
    let mut disks: Vec<_> = fs::read_dir("/sys/block").ok()?.flatten().map(|entry| entry.path()).collect();
    disks.sort();
    disks.retain(|disk| fs::read_to_string(disk.join("size")).is_ok_and(|size| size.trim() != "0"));
    disks.retain(|disk| disk.join("device").exists());
    let numbers = fs::read_to_string(disks.first()?.join("dev")).ok()?;
    let (major, minor) = numbers.trim().split_once(':')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// Reads 2 MiB of a disk past every cache, and prints from when to when in seconds.
const READ: &str = "read from rest < /proc/uptime; dd if=/dev/disk of=/dev/null bs=64k count=32 iflag=direct 2>/tmp/said || cat /tmp/said >&2; \
    read to rest < /proc/uptime; echo $from $to";

fn reader((major, minor): (u64, u64), resources: Value) -> Container {
    let node = json!({ "type": "b", "path": "/dev/disk", "major": major, "minor": minor, "fileMode": 0o600 });
    Container::new("disk")
        .writable()
        .script(READ)
        .edit(|config| config["linux"]["devices"] = json!([node]))
        .edit(|config| config["linux"]["resources"] = resources)
}

fn allowed((major, minor): (u64, u64)) -> Value {
    json!({ "allow": true, "type": "b", "major": major, "minor": minor, "access": "r" })
}

/// A disk that may be read, by whom a rule allows it: a cgroup above us may deny it to everybody.
fn readable_disk() -> Option<(u64, u64)> {
    disk().filter(|&disk| !reader(disk, json!({ "devices": [allowed(disk)] })).run().stderr.contains(DENIED))
}

#[test]
fn disk_that_is_not_listed_can_not_be_read() {
    let disk = readable_disk();
    require!(disk.is_some(), "no disk, or a cgroup above this view denies it");
    let others = json!([{ "allow": false, "access": "rwm" }, { "allow": true, "type": "c", "access": "r" }]);
    reader(disk.expect("just looked"), json!({ "devices": others })).run().says(DENIED);
}

#[test]
fn disk_is_read_as_fast_as_allowed() {
    require!(controller("blkio").or_else(|| controller("io")).is_some(), "no controller of block devices in this view");
    let disk = readable_disk();
    require!(disk.is_some(), "no disk, or a cgroup above this view denies it");
    let disk = disk.expect("just looked");
    let seconds = |limits: Value| {
        let text = reader(disk, json!({ "devices": [allowed(disk)], "blockIO": limits })).run().ok();
        let numbers = text.trim().split_once(' ').and_then(|(from, to)| Some((from.parse().ok()?, to.parse().ok()?)));
        let (from, to): (f64, f64) = numbers.unwrap_or_else(|| panic!("{text}"));
        to - from
    };
    let limit = |rate: u32| json!([{ "major": disk.0, "minor": disk.1, "rate": rate }]);
    let free = seconds(json!({}));
    // 2 MiB at 1 MiB per second, 32 reads at 16 per second; the first slice of time is free.
    let bytes = seconds(json!({ "throttleReadBpsDevice": limit(1 << 20) }));
    let reads = seconds(json!({ "throttleReadIOPSDevice": limit(16) }));
    assert!(bytes > 1.5 && reads > 1.5 && free < 1.0, "{bytes} {reads} {free}");
}

// ---- huge pages ----

#[test]
fn huge_pages_above_the_limit_can_not_be_had() {
    require!(controller("hugetlb").is_some(), "no hugetlb controller in this view");
    let memory = fs::read_to_string("/proc/meminfo").expect("proc is mounted");
    let number = |name: &str| {
        let line = memory.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0)
    };
    let (free, size) = (number("HugePages_Free"), number("Hugepagesize"));
    require!(free >= 3 && size == 2048, "this machine has {free} huge pages set aside");
    let limits = json!([{ "pageSize": "2MB", "limit": 4 << 20 }]);
    let output = limited("hugepageLimits", limits)
        .mount("hugetlbfs", "hugetlbfs", "/tmp", &["mode=1777"])
        .script("for n in 1 2 3; do fallocate -l 2097152 /tmp/$n && echo $n; done")
        .run();
    assert_eq!(output.stdout, "1\n2\n", "{output:?}");
    assert!(output.stderr.contains("No space left on device"), "{output:?}");
}
