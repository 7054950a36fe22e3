//! Limits as cgroup v1 takes them (Documentation/admin-guide/cgroup-v1). Pure.

use crate::error::Error;
use crate::write::Write;
use oci_spec::runtime::{LinuxBlockIo, LinuxCpu, LinuxMemory, LinuxNetwork, LinuxThrottleDevice};
use rt_plan::spec::resources::Resources;

/// Every limit as writes. Zero means "not set" where the spec has nothing else to say it with, as engines use it;
/// `memory.kernel`, `kernelTCP` and `useHierarchy` are ignored, as the kernel does since 5.16 or always has.
///
/// # Errors
/// [`Error::Config`] for a value that the kernel would silently change, and for `unified`, which v1 has no place for.
pub fn writes(resources: &Resources) -> Result<Vec<Write>, Error> {
    if let Some(key) = resources.unified.keys().next() {
        return Err(Error::config(
            format!("linux.resources.unified.{key}"),
            "needs cgroup v2, and this host has only v1: use memory, cpu, pids and the like instead",
        ));
    }
    chosen(resources, &|_| true)
}

/// The writes for the controllers that `has` says yes to; `unified` is not looked at.
pub(crate) fn chosen(resources: &Resources, has: &dyn Fn(&str) -> bool) -> Result<Vec<Write>, Error> {
    let mut writes = Vec::new();
    if let Some(cpu) = &resources.cpu {
        if has("cpuset") {
            cpuset(cpu, &mut writes);
        }
        if has("cpu") {
            bandwidth(cpu, &mut writes)?;
        }
    }
    if let Some(limits) = resources.memory.as_ref().filter(|_| has("memory")) {
        memory(limits, &mut writes)?;
    }
    if let Some(limit) = resources.pids.and_then(|pids| pids.limit).filter(|_| has("pids")) {
        writes.push(pids(limit));
    }
    if let Some(io) = resources.block_io.as_ref().filter(|_| has("blkio")) {
        block_io(io, &mut writes);
    }
    for limit in resources.hugepage_limits.iter().filter(|_| has("hugetlb")) {
        let (size, field) = (&limit.page_size, "linux.resources.hugepageLimits");
        writes.push(Write::new("hugetlb", format!("hugetlb.{size}.limit_in_bytes"), limit.limit, field));
        // Reservation accounting is Linux 5.7; without it the limit on page faults is all there is.
        writes.push(Write::new("hugetlb", format!("hugetlb.{size}.rsvd.limit_in_bytes"), limit.limit, field).or_skip());
    }
    if let Some(net) = &resources.network {
        network(net, has, &mut writes);
    }
    if has("rdma") {
        rdma(resources, &mut writes)?;
    }
    Ok(writes)
}

/// Before a task may join, a new cpuset needs both: what is not written here is taken over from the parent.
fn cpuset(cpu: &LinuxCpu, writes: &mut Vec<Write>) {
    if let Some(cpus) = cpu.cpus().as_deref().filter(|cpus| !cpus.is_empty()) {
        writes.push(Write::new("cpuset", "cpuset.cpus", cpus, "linux.resources.cpu.cpus"));
    }
    if let Some(mems) = cpu.mems().as_deref().filter(|mems| !mems.is_empty()) {
        writes.push(Write::new("cpuset", "cpuset.mems", mems, "linux.resources.cpu.mems"));
    }
}

fn bandwidth(cpu: &LinuxCpu, writes: &mut Vec<Write>) -> Result<(), Error> {
    if let Some(shares) = cpu.shares().filter(|shares| *shares != 0) {
        // The kernel clamps silently; a limit that is not what was asked for is an error (the words are runc's).
        let field = "linux.resources.cpu.shares";
        match shares {
            ..2 => return Err(Error::config(field, "the minimum allowed cpu-shares is 2")),
            262_145.. => return Err(Error::config(field, "the maximum allowed cpu-shares is 262144")),
            _ => writes.push(Write::new("cpu", "cpu.shares", shares, field)),
        }
    }
    if let Some(period) = cpu.period().filter(|period| *period != 0) {
        writes.push(Write::new("cpu", "cpu.cfs_period_us", period, "linux.resources.cpu.period"));
    }
    if let Some(quota) = cpu.quota().filter(|quota| *quota != 0) {
        writes.push(
            Write::new("cpu", "cpu.cfs_quota_us", quota.max(-1), "linux.resources.cpu.quota").or_skip_if(quota < 0),
        );
    }
    if let Some(burst) = cpu.burst() {
        writes.push(Write::new("cpu", "cpu.cfs_burst_us", burst, "linux.resources.cpu.burst").or_skip_if(burst == 0));
    }
    if let Some(period) = cpu.realtime_period().filter(|period| *period != 0) {
        writes.push(Write::new("cpu", "cpu.rt_period_us", period, "linux.resources.cpu.realtimePeriod"));
    }
    if let Some(runtime) = cpu.realtime_runtime().filter(|runtime| *runtime != 0) {
        writes.push(Write::new("cpu", "cpu.rt_runtime_us", runtime, "linux.resources.cpu.realtimeRuntime"));
    }
    if let Some(idle) = cpu.idle() {
        writes.push(Write::new("cpu", "cpu.idle", idle, "linux.resources.cpu.idle").or_skip_if(idle == 0));
    }
    Ok(())
}

/// The limit before the limit with swap, which may not be lower; raising both, the second round puts it right.
fn memory(limits: &LinuxMemory, writes: &mut Vec<Write>) -> Result<(), Error> {
    let limit = limits.limit().unwrap_or(0);
    if limit != 0 {
        writes.push(
            Write::new("memory", "memory.limit_in_bytes", limit, "linux.resources.memory.limit").or_skip_if(limit < 0),
        );
    }
    match limits.swap().unwrap_or(0) {
        // Unlimited memory with a limit on memory and swap together would be no unlimited memory.
        0 if limit == -1 => writes.push(swap(-1)),
        0 => {}
        both if both > 0 && limit > both => {
            let why = format!("{both} is less than memory.limit, {limit}: it counts memory and swap together");
            return Err(Error::config("linux.resources.memory.swap", why));
        }
        both => writes.push(swap(both)),
    }
    if let Some(soft) = limits.reservation().filter(|soft| *soft != 0) {
        let field = "linux.resources.memory.reservation";
        writes.push(Write::new("memory", "memory.soft_limit_in_bytes", soft, field).or_skip_if(soft < 0));
    }
    if limits.disable_oom_killer() == Some(true) {
        writes.push(Write::new("memory", "memory.oom_control", 1, "linux.resources.memory.disableOOMKiller"));
    }
    // All ones is -1 in an unsigned field: leave it.
    if let Some(swappiness) = limits.swappiness().filter(|value| *value != u64::MAX) {
        let field = "linux.resources.memory.swappiness";
        if swappiness > 100 {
            return Err(Error::config(field, format!("{swappiness} is not between 0 and 100")));
        }
        writes.push(Write::new("memory", "memory.swappiness", swappiness, field));
    }
    Ok(())
}

fn swap(both: i64) -> Write {
    // Without swap accounting there is no file, and nothing that could be limited.
    Write::new("memory", "memory.memsw.limit_in_bytes", both, "linux.resources.memory.swap").or_skip_if(both < 0)
}

/// The same file on v2. The kernel's 0 would keep the container's first process from being born, so a limit of 0
/// is 1: that process alone, and no other, which is what runc (since 1.4) and systemd make of it too.
pub(crate) fn pids(limit: i64) -> Write {
    let field = "linux.resources.pids.limit";
    match limit {
        ..0 => Write::new("pids", "pids.max", "max", field).or_skip(),
        limit => Write::new("pids", "pids.max", limit.max(1), field),
    }
}

fn block_io(io: &LinuxBlockIo, writes: &mut Vec<Write>) {
    if let Some(weight) = io.weight().filter(|weight| *weight != 0) {
        // CFQ's file went with CFQ in Linux 5.0; BFQ has its own.
        writes.push(
            Write::new("blkio", "blkio.weight", weight, "linux.resources.blockIO.weight")
                .or_instead("blkio.bfq.weight", weight),
        );
    }
    if let Some(weight) = io.leaf_weight().filter(|weight| *weight != 0) {
        writes.push(Write::new("blkio", "blkio.leaf_weight", weight, "linux.resources.blockIO.leafWeight"));
    }
    for device in io.weight_device().iter().flatten() {
        let field = "linux.resources.blockIO.weightDevice";
        let line = |weight: u16| format!("{}:{} {weight}", device.major(), device.minor());
        if let Some(weight) = device.weight().filter(|weight| *weight != 0) {
            let write = Write::new("blkio", "blkio.weight_device", line(weight), field);
            writes.push(write.or_instead("blkio.bfq.weight_device", line(weight)));
        }
        if let Some(weight) = device.leaf_weight().filter(|weight| *weight != 0) {
            writes.push(Write::new("blkio", "blkio.leaf_weight_device", line(weight), field));
        }
    }
    let mut throttle = |devices: &Option<Vec<LinuxThrottleDevice>>, file: &'static str, field: &'static str| {
        for device in devices.iter().flatten() {
            let line = format!("{}:{} {}", device.major(), device.minor(), device.rate());
            writes.push(Write::new("blkio", file, line, field));
        }
    };
    throttle(
        io.throttle_read_bps_device(),
        "blkio.throttle.read_bps_device",
        "linux.resources.blockIO.throttleReadBpsDevice",
    );
    throttle(
        io.throttle_write_bps_device(),
        "blkio.throttle.write_bps_device",
        "linux.resources.blockIO.throttleWriteBpsDevice",
    );
    throttle(
        io.throttle_read_iops_device(),
        "blkio.throttle.read_iops_device",
        "linux.resources.blockIO.throttleReadIOPSDevice",
    );
    throttle(
        io.throttle_write_iops_device(),
        "blkio.throttle.write_iops_device",
        "linux.resources.blockIO.throttleWriteIOPSDevice",
    );
}

fn network(net: &LinuxNetwork, has: &dyn Fn(&str) -> bool, writes: &mut Vec<Write>) {
    if let Some(class) = net.class_id().filter(|class| *class != 0 && has("net_cls")) {
        writes.push(Write::new("net_cls", "net_cls.classid", class, "linux.resources.network.classID"));
    }
    for priority in net.priorities().iter().flatten().filter(|_| has("net_prio")) {
        let line = format!("{} {}", priority.name(), priority.priority());
        writes.push(Write::new("net_prio", "net_prio.ifpriomap", line, "linux.resources.network.priorities"));
    }
}

/// The same file on v2.
pub(crate) fn rdma(resources: &Resources, writes: &mut Vec<Write>) -> Result<(), Error> {
    for (device, limits) in &resources.rdma {
        let field = format!("linux.resources.rdma.{device}");
        let mut line = device.clone();
        if let Some(handles) = limits.hca_handles() {
            line += &format!(" hca_handle={handles}");
        }
        if let Some(objects) = limits.hca_objects() {
            line += &format!(" hca_object={objects}");
        }
        if line == *device {
            return Err(Error::config(field, "neither hcaHandles nor hcaObjects is given: give at least one"));
        }
        writes.push(Write::new("rdma", "rdma.max", line, field));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(json: &str) -> Vec<String> {
        let resources = serde_json::from_str(json).expect("valid resources");
        writes(&resources).expect("valid limits").iter().map(Write::to_string).collect()
    }

    fn refusal(json: &str) -> String {
        let resources = serde_json::from_str(json).expect("valid resources");
        writes(&resources).expect_err("invalid limits").to_string()
    }

    #[test]
    fn nothing_asked_for_is_nothing_written() {
        let zeroes = r#"{"memory": {"limit": 0, "swap": 0, "reservation": 0, "disableOOMKiller": false, "kernel": -1},
            "cpu": {"shares": 0, "quota": 0, "period": 0, "realtimePeriod": 0, "realtimeRuntime": 0, "cpus": "", "mems": ""},
            "pids": {}, "blockIO": {"weight": 0, "leafWeight": 0}, "network": {"classID": 0}}"#;
        for json in ["{}", r#"{"memory": {}, "cpu": {}, "pids": {}, "blockIO": {}, "network": {}}"#, zeroes] {
            assert_eq!(lines(json), [""; 0], "{json}");
        }
    }

    #[test]
    fn memory() {
        let limits =
            r#"{"memory": {"limit": 100, "swap": 200, "reservation": 50, "swappiness": 0, "disableOOMKiller": true}}"#;
        let expected = [
            "memory.limit_in_bytes = 100",
            "memory.memsw.limit_in_bytes = 200",
            "memory.soft_limit_in_bytes = 50",
            "memory.oom_control = 1",
            "memory.swappiness = 0",
        ];
        assert_eq!(lines(limits), expected);
        let unlimited = ["memory.limit_in_bytes = -1", "memory.memsw.limit_in_bytes = -1"];
        assert_eq!(lines(r#"{"memory": {"limit": -1}}"#), unlimited);
        assert_eq!(lines(r#"{"memory": {"limit": 5, "swap": 5}}"#)[1], "memory.memsw.limit_in_bytes = 5");
        assert_eq!(lines(r#"{"memory": {"limit": 5, "swap": -1}}"#)[1], "memory.memsw.limit_in_bytes = -1");
        assert!(
            refusal(r#"{"memory": {"limit": 6, "swap": 5}}"#).starts_with("linux.resources.memory.swap: 5 is less")
        );
        assert!(refusal(r#"{"memory": {"swappiness": 101}}"#).contains("between 0 and 100"));
    }

    #[test]
    fn cpu() {
        let limits = r#"{"cpu": {"shares": 1024, "quota": 50000, "period": 100000, "burst": 7, "idle": 1,
            "realtimePeriod": 1000000, "realtimeRuntime": 950000, "cpus": "0-1", "mems": "0"}}"#;
        let expected = [
            "cpuset.cpus = 0-1",
            "cpuset.mems = 0",
            "cpu.shares = 1024",
            "cpu.cfs_period_us = 100000",
            "cpu.cfs_quota_us = 50000",
            "cpu.cfs_burst_us = 7",
            "cpu.rt_period_us = 1000000",
            "cpu.rt_runtime_us = 950000",
            "cpu.idle = 1",
        ];
        assert_eq!(lines(limits), expected);
        assert_eq!(lines(r#"{"cpu": {"quota": -5}}"#), ["cpu.cfs_quota_us = -1"]);
        assert_eq!(
            refusal(r#"{"cpu": {"shares": 1}}"#),
            "linux.resources.cpu.shares: the minimum allowed cpu-shares is 2"
        );
        assert!(refusal(r#"{"cpu": {"shares": 262145}}"#).ends_with("the maximum allowed cpu-shares is 262144"));
    }

    #[test]
    fn pids() {
        for (limit, expected) in [(100, "100"), (1, "1"), (0, "1"), (-1, "max")] {
            assert_eq!(lines(&format!(r#"{{"pids": {{"limit": {limit}}}}}"#)), [format!("pids.max = {expected}")]);
        }
    }

    #[test]
    fn block_io() {
        let limits = r#"{"blockIO": {"weight": 500, "leafWeight": 300,
            "weightDevice": [{"major": 8, "minor": 0, "weight": 500, "leafWeight": 300}],
            "throttleReadBpsDevice": [{"major": 8, "minor": 0, "rate": 600}],
            "throttleWriteBpsDevice": [{"major": 8, "minor": 0, "rate": 601}],
            "throttleReadIOPSDevice": [{"major": 8, "minor": 0, "rate": 602}],
            "throttleWriteIOPSDevice": [{"major": 8, "minor": 16, "rate": 0}]}}"#;
        let expected = [
            "blkio.weight = 500 (or blkio.bfq.weight = 500)",
            "blkio.leaf_weight = 300",
            "blkio.weight_device = 8:0 500 (or blkio.bfq.weight_device = 8:0 500)",
            "blkio.leaf_weight_device = 8:0 300",
            "blkio.throttle.read_bps_device = 8:0 600",
            "blkio.throttle.write_bps_device = 8:0 601",
            "blkio.throttle.read_iops_device = 8:0 602",
            "blkio.throttle.write_iops_device = 8:16 0",
        ];
        assert_eq!(lines(limits), expected);
    }

    #[test]
    fn huge_pages_network_and_rdma() {
        let limits = r#"{"hugepageLimits": [{"pageSize": "2MB", "limit": 9}],
            "network": {"classID": 1048577, "priorities": [{"name": "eth0", "priority": 500}]},
            "rdma": {"mlx5_1": {"hcaHandles": 3, "hcaObjects": 10000}, "mlx4_0": {"hcaObjects": 1000}}}"#;
        let expected = [
            "hugetlb.2MB.limit_in_bytes = 9",
            "hugetlb.2MB.rsvd.limit_in_bytes = 9",
            "net_cls.classid = 1048577",
            "net_prio.ifpriomap = eth0 500",
            "rdma.max = mlx4_0 hca_object=1000",
            "rdma.max = mlx5_1 hca_handle=3 hca_object=10000",
        ];
        assert_eq!(lines(limits), expected);
        assert!(refusal(r#"{"rdma": {"mlx5_1": {}}}"#).starts_with("linux.resources.rdma.mlx5_1: neither"));
    }

    #[test]
    fn unified_has_no_place_on_v1() {
        let refusal = refusal(r#"{"unified": {"memory.high": "1"}}"#);
        assert!(refusal.starts_with("linux.resources.unified.memory.high: needs cgroup v2"), "{refusal}");
    }

    #[test]
    fn controllers_that_are_elsewhere_are_left_out() {
        let resources =
            r#"{"memory": {"limit": 1}, "pids": {"limit": 1}, "hugepageLimits": [{"pageSize": "2MB", "limit": 9}]}"#;
        let resources = serde_json::from_str(resources).expect("valid resources");
        let writes = chosen(&resources, &|controller| controller == "pids").expect("valid limits");
        assert_eq!(writes.iter().map(Write::to_string).collect::<Vec<_>>(), ["pids.max = 1"]);
    }
}
