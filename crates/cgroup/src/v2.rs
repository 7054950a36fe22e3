//! Limits as cgroup v2 takes them (Documentation/admin-guide/cgroup-v2.rst). Pure.
//!
//! The spec speaks v1; what v2 counts otherwise is converted as runc does, and what v2 does not have is an error,
//! as the spec asks ("If the conversion is not possible the runtime MUST generate an error").

use crate::error::Error;
use crate::v1::{pids, rdma};
use crate::write::Write;
use oci_spec::runtime::{LinuxBlockIo, LinuxCpu, LinuxMemory, LinuxNetwork, LinuxThrottleDevice};
use rt_plan::spec::resources::Resources;
use std::borrow::Cow;

/// Every limit as writes. Zero means "not set" as on v1; `unified` comes last and so has the last word.
///
/// # Errors
/// [`Error::Config`] for what v2 has no equivalent for, for values that contradict each other, and for `unified`
/// keys that are no file of a controller.
pub fn writes(resources: &Resources) -> Result<Vec<Write>, Error> {
    let mut writes = chosen(resources, &|_| true)?;
    writes.extend(unified(resources)?);
    Ok(writes)
}

/// The writes for the controllers that `has` says yes to, by their v2 names; `unified` is not looked at.
pub(crate) fn chosen(resources: &Resources, has: &dyn Fn(&str) -> bool) -> Result<Vec<Write>, Error> {
    let mut writes = Vec::new();
    if let Some(limits) = resources.memory.as_ref().filter(|_| has("memory")) {
        memory(limits, &mut writes)?;
    }
    if let Some(limit) = resources.pids.and_then(|pids| pids.limit).filter(|_| has("pids")) {
        writes.push(pids(limit));
    }
    if let Some(cpu) = &resources.cpu {
        if has("cpu") {
            bandwidth(cpu, &mut writes)?;
        }
        if has("cpuset") {
            cpuset(cpu, &mut writes);
        }
    }
    if let Some(io) = resources.block_io.as_ref().filter(|_| has("io")) {
        block_io(io, &mut writes)?;
    }
    for limit in resources.hugepage_limits.iter().filter(|_| has("hugetlb")) {
        let (size, field) = (&limit.page_size, "linux.resources.hugepageLimits");
        writes.push(Write::new("hugetlb", format!("hugetlb.{size}.max"), limit.limit, field));
        // Reservation accounting is Linux 5.7; without it the limit on page faults is all there is.
        writes.push(Write::new("hugetlb", format!("hugetlb.{size}.rsvd.max"), limit.limit, field).or_skip());
    }
    if let Some(net) = &resources.network {
        network(net, has)?;
    }
    if has("rdma") {
        rdma(resources, &mut writes)?;
    }
    Ok(writes)
}

/// `unified` as writes, a line each, because the kernel takes one line at a time.
pub(crate) fn unified(resources: &Resources) -> Result<Vec<Write>, Error> {
    let mut writes = Vec::new();
    for (key, value) in &resources.unified {
        let field = Cow::Owned(format!("linux.resources.unified.{key}"));
        let controller = match key.split_once('.') {
            _ if key.contains('/') => {
                return Err(Error::config(field, "a key is the name of a file of the cgroup: no slashes"));
            }
            // These move or kill processes, of the host's too: no limit needs them.
            _ if matches!(key.as_str(), "cgroup.procs" | "cgroup.threads" | "cgroup.kill") => {
                return Err(Error::config(field, "is about processes, not about limits"));
            }
            Some((controller, file)) if !controller.is_empty() && !file.is_empty() => controller,
            _ => return Err(Error::config(field, "a key has the form CONTROLLER.PARAMETER")),
        };
        let lines = if value.is_empty() { vec![""] } else { value.lines().collect() };
        for line in lines {
            let write = Write::new("", key.clone(), line, field.clone());
            writes.push(Write { controller: Cow::Owned(controller.to_owned()), ..write });
        }
    }
    Ok(writes)
}

fn no_equivalent(field: &'static str) -> Error {
    Error::config(field, "cgroup v2 has no equivalent: leave it out, or use a host with cgroup v1")
}

/// The spec's swap counts memory and swap together, v2's swap alone.
fn memory(limits: &LinuxMemory, writes: &mut Vec<Write>) -> Result<(), Error> {
    if limits.disable_oom_killer() == Some(true) {
        return Err(no_equivalent("linux.resources.memory.disableOOMKiller"));
    }
    if limits.swappiness().is_some_and(|value| value != u64::MAX) {
        return Err(no_equivalent("linux.resources.memory.swappiness"));
    }
    let limit = limits.limit().unwrap_or(0);
    if limit != 0 {
        writes.push(amount("memory.max", limit, "linux.resources.memory.limit"));
    }
    if let Some(swap) = swap(limits.swap().unwrap_or(0), limit)? {
        // Without swap, or without accounting for it, there is no file; then these two are how it is anyway.
        let write = amount("memory.swap.max", swap, "linux.resources.memory.swap");
        writes.push(write.or_skip_if(swap <= 0));
    }
    if let Some(soft) = limits.reservation().filter(|soft| *soft != 0) {
        writes.push(amount("memory.low", soft, "linux.resources.memory.reservation"));
    }
    Ok(())
}

fn amount(file: &'static str, bytes: i64, field: &'static str) -> Write {
    match bytes {
        ..0 => Write::new("memory", file, "max", field).or_skip(),
        bytes => Write::new("memory", file, bytes, field),
    }
}

/// Bytes of swap alone, -1 for all there is, `None` to leave it.
fn swap(both: i64, limit: i64) -> Result<Option<i64>, Error> {
    let field = "linux.resources.memory.swap";
    match (both, limit) {
        // v1 would refuse unlimited memory below a limit on both, so unlimited means both.
        (0, -1) => Ok(Some(-1)),
        (0, _) => Ok(None),
        (..0, _) => Ok(Some(-1)),
        (both, ..0) => Ok(Some(both)),
        (_, 0) => Err(Error::config(field, "counts memory and swap together, so memory.limit is needed with it")),
        (both, limit) if both < limit => {
            let why = format!("{both} is less than memory.limit, {limit}: it counts memory and swap together");
            Err(Error::config(field, why))
        }
        (both, limit) => Ok(Some(both - limit)),
    }
}

fn bandwidth(cpu: &LinuxCpu, writes: &mut Vec<Write>) -> Result<(), Error> {
    if cpu.realtime_period().is_some_and(|period| period != 0) {
        return Err(no_equivalent("linux.resources.cpu.realtimePeriod"));
    }
    if cpu.realtime_runtime().is_some_and(|runtime| runtime != 0) {
        return Err(no_equivalent("linux.resources.cpu.realtimeRuntime"));
    }
    let idle = cpu.idle();
    // An idle group has no weight to set: the kernel says EINVAL.
    if let Some(shares) = cpu.shares().filter(|shares| *shares != 0 && idle != Some(1)) {
        writes.push(Write::new("cpu", "cpu.weight", weight_of_shares(shares), "linux.resources.cpu.shares"));
    }
    let quota = cpu.quota().filter(|quota| *quota != 0);
    let period = cpu.period().filter(|period| *period != 0);
    if quota.is_some() || period.is_some() {
        let field = if quota.is_some() { "linux.resources.cpu.quota" } else { "linux.resources.cpu.period" };
        // The kernel's own default, which a write of the quota alone would leave; a period without a quota needs `max`.
        let period = period.unwrap_or(100_000);
        writes.push(match quota {
            Some(quota) if quota > 0 => Write::new("cpu", "cpu.max", format!("{quota} {period}"), field),
            _ => Write::new("cpu", "cpu.max", format!("max {period}"), field).or_skip(),
        });
    }
    if let Some(burst) = cpu.burst() {
        writes.push(Write::new("cpu", "cpu.max.burst", burst, "linux.resources.cpu.burst").or_skip_if(burst == 0));
    }
    if let Some(idle) = idle {
        writes.push(Write::new("cpu", "cpu.idle", idle, "linux.resources.cpu.idle").or_skip_if(idle == 0));
    }
    Ok(())
}

fn cpuset(cpu: &LinuxCpu, writes: &mut Vec<Write>) {
    if let Some(cpus) = cpu.cpus().as_deref().filter(|cpus| !cpus.is_empty()) {
        writes.push(Write::new("cpuset", "cpuset.cpus", cpus, "linux.resources.cpu.cpus"));
    }
    if let Some(mems) = cpu.mems().as_deref().filter(|mems| !mems.is_empty()) {
        writes.push(Write::new("cpuset", "cpuset.mems", mems, "linux.resources.cpu.mems"));
    }
}

/// Shares 2..=262144 (1024 by default) to a weight 1..=10000 (100 by default), on the curve through all three that
/// runc (1.3.2) and crun (1.23) use. A straight line would make the default 39.
pub(crate) fn weight_of_shares(shares: u64) -> u32 {
    let shares = u32::try_from(shares).unwrap_or(u32::MAX);
    match shares {
        ..=2 => 1,
        262_144.. => 10_000,
        shares => {
            let l = f64::from(shares).log2();
            let weight = 10f64.powf((l * l + 125.0 * l) / 612.0 - 7.0 / 34.0);
            // The default is a whole number that floating point may just miss.
            #[allow(clippy::cast_possible_truncation)]
            let weight = (weight - 1e-6).ceil() as u32;
            weight
        }
    }
}

/// v1's 10..=1000 to v2's 1..=10000, in a straight line.
fn io_weight(weight: u16) -> u32 {
    1 + u32::from(weight.saturating_sub(10)) * 9999 / 990
}

fn block_io(io: &LinuxBlockIo, writes: &mut Vec<Write>) -> Result<(), Error> {
    if io.leaf_weight().is_some_and(|weight| weight != 0) {
        return Err(no_equivalent("linux.resources.blockIO.leafWeight"));
    }
    if let Some(weight) = io.weight().filter(|weight| *weight != 0) {
        // BFQ keeps v1's scale; io.weight, which io.cost serves, has its own.
        let write = Write::new("io", "io.bfq.weight", weight, "linux.resources.blockIO.weight");
        writes.push(write.or_instead("io.weight", io_weight(weight)));
    }
    for device in io.weight_device().iter().flatten() {
        let field = "linux.resources.blockIO.weightDevice";
        if device.leaf_weight().is_some_and(|weight| weight != 0) {
            return Err(no_equivalent("linux.resources.blockIO.weightDevice.leafWeight"));
        }
        if let Some(weight) = device.weight().filter(|weight| *weight != 0) {
            let numbers = format!("{}:{}", device.major(), device.minor());
            let write = Write::new("io", "io.bfq.weight", format!("{numbers} {weight}"), field);
            writes.push(write.or_instead("io.weight", format!("{numbers} {}", io_weight(weight))));
        }
    }
    let mut throttle = |devices: &Option<Vec<LinuxThrottleDevice>>, key: &str, field: &'static str| {
        for device in devices.iter().flatten() {
            let numbers = format!("{}:{}", device.major(), device.minor());
            // v1 takes a rate of 0 as no limit, v2 refuses it.
            let line = match device.rate() {
                0 => format!("{numbers} {key}=max"),
                rate => format!("{numbers} {key}={rate}"),
            };
            writes.push(Write::new("io", "io.max", line, field));
        }
    };
    throttle(io.throttle_read_bps_device(), "rbps", "linux.resources.blockIO.throttleReadBpsDevice");
    throttle(io.throttle_write_bps_device(), "wbps", "linux.resources.blockIO.throttleWriteBpsDevice");
    throttle(io.throttle_read_iops_device(), "riops", "linux.resources.blockIO.throttleReadIOPSDevice");
    throttle(io.throttle_write_iops_device(), "wiops", "linux.resources.blockIO.throttleWriteIOPSDevice");
    Ok(())
}

fn network(net: &LinuxNetwork, has: &dyn Fn(&str) -> bool) -> Result<(), Error> {
    if has("net_cls") && net.class_id().is_some_and(|class| class != 0) {
        return Err(no_equivalent("linux.resources.network.classID"));
    }
    if has("net_prio") && net.priorities().as_ref().is_some_and(|list| !list.is_empty()) {
        return Err(no_equivalent("linux.resources.network.priorities"));
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
            "pids": {}, "blockIO": {"weight": 0, "leafWeight": 0}, "network": {"classID": 0, "priorities": []}}"#;
        for json in ["{}", r#"{"memory": {}, "cpu": {}, "pids": {}, "blockIO": {}, "network": {}}"#, zeroes] {
            assert_eq!(lines(json), [""; 0], "{json}");
        }
    }

    #[test]
    fn memory() {
        let limits = r#"{"memory": {"limit": 100, "swap": 250, "reservation": 50}}"#;
        assert_eq!(lines(limits), ["memory.max = 100", "memory.swap.max = 150", "memory.low = 50"]);
        for (limit, both, expected) in [
            ("100", "100", "memory.max = 100, memory.swap.max = 0"),
            ("100", "-1", "memory.max = 100, memory.swap.max = max"),
            ("100", "0", "memory.max = 100"),
            ("-1", "0", "memory.max = max, memory.swap.max = max"),
            ("-1", "-1", "memory.max = max, memory.swap.max = max"),
            ("-1", "500", "memory.max = max, memory.swap.max = 500"),
            ("0", "-1", "memory.swap.max = max"),
        ] {
            let json = format!(r#"{{"memory": {{"limit": {limit}, "swap": {both}}}}}"#);
            assert_eq!(lines(&json).join(", "), expected, "{json}");
        }
        assert!(refusal(r#"{"memory": {"swap": 5}}"#).contains("memory.limit is needed"));
        assert!(refusal(r#"{"memory": {"limit": 6, "swap": 5}}"#).contains("5 is less than memory.limit, 6"));
    }

    #[test]
    fn unlimited_does_not_need_its_controller() {
        let json = r#"{"memory": {"limit": -1}, "pids": {"limit": -1}, "cpu": {"quota": -1, "burst": 0, "idle": 0}}"#;
        let resources = serde_json::from_str(json).expect("valid resources");
        for write in writes(&resources).expect("valid limits") {
            assert_eq!(write.missing, crate::Missing::Skip, "{write}");
        }
    }

    #[test]
    fn cpu() {
        let limits = r#"{"cpu": {"shares": 512, "quota": 50000, "period": 100000, "burst": 7, "idle": 0, "cpus": "0-1", "mems": "0"}}"#;
        let expected = [
            "cpu.weight = 59",
            "cpu.max = 50000 100000",
            "cpu.max.burst = 7",
            "cpu.idle = 0",
            "cpuset.cpus = 0-1",
            "cpuset.mems = 0",
        ];
        assert_eq!(lines(limits), expected);
        assert_eq!(lines(r#"{"cpu": {"quota": 5000}}"#), ["cpu.max = 5000 100000"]);
        assert_eq!(lines(r#"{"cpu": {"quota": -1}}"#), ["cpu.max = max 100000"]);
        assert_eq!(lines(r#"{"cpu": {"period": 5000}}"#), ["cpu.max = max 5000"]);
        assert_eq!(lines(r#"{"cpu": {"shares": 512, "idle": 1}}"#), ["cpu.idle = 1"]);
    }

    #[test]
    fn shares_become_weights_on_the_curve_through_the_default() {
        for (shares, weight) in [
            (1, 1),
            (2, 1),
            (3, 2),
            (4, 2),
            (128, 21),
            (512, 59),
            (1024, 100),
            (2048, 174),
            (262_143, 10_000),
            (262_144, 10_000),
            (u64::MAX, 10_000),
        ] {
            assert_eq!(weight_of_shares(shares), weight, "{shares}");
        }
    }

    #[test]
    fn block_io() {
        let limits = r#"{"blockIO": {"weight": 500, "weightDevice": [{"major": 8, "minor": 0, "weight": 1000}],
            "throttleReadBpsDevice": [{"major": 8, "minor": 0, "rate": 600}],
            "throttleWriteBpsDevice": [{"major": 8, "minor": 0, "rate": 601}],
            "throttleReadIOPSDevice": [{"major": 8, "minor": 0, "rate": 602}],
            "throttleWriteIOPSDevice": [{"major": 8, "minor": 16, "rate": 0}]}}"#;
        let expected = [
            "io.bfq.weight = 500 (or io.weight = 4950)",
            "io.bfq.weight = 8:0 1000 (or io.weight = 8:0 10000)",
            "io.max = 8:0 rbps=600",
            "io.max = 8:0 wbps=601",
            "io.max = 8:0 riops=602",
            "io.max = 8:16 wiops=max",
        ];
        assert_eq!(lines(limits), expected);
        assert_eq!((io_weight(10), io_weight(1000), io_weight(1)), (1, 10_000, 1));
    }

    #[test]
    fn huge_pages_rdma_and_pids() {
        let limits = r#"{"hugepageLimits": [{"pageSize": "1GB", "limit": 9}], "rdma": {"rxe3": {"hcaObjects": 10000}},
            "pids": {"limit": 0}}"#;
        let expected =
            ["pids.max = 1", "hugetlb.1GB.max = 9", "hugetlb.1GB.rsvd.max = 9", "rdma.max = rxe3 hca_object=10000"];
        assert_eq!(lines(limits), expected);
    }

    #[test]
    fn unified_is_written_last_and_line_by_line() {
        let limits = r#"{"pids": {"limit": 5}, "unified": {"memory.high": "7", "io.max": "8:0 rbps=2\n8:16 wiops=120\n", "cgroup.max.depth": "3"}}"#;
        let expected = [
            "pids.max = 5",
            "cgroup.max.depth = 3",
            "io.max = 8:0 rbps=2",
            "io.max = 8:16 wiops=120",
            "memory.high = 7",
        ];
        assert_eq!(lines(limits), expected);
    }

    #[test]
    fn unified_key_that_is_no_limit_s_file_is_refused() {
        for key in
            ["../x.max", "/memory.max", "memory/x.y", "memory", ".max", "memory.", "", "cgroup.procs", "cgroup.kill"]
        {
            let refusal = refusal(&format!(r#"{{"unified": {{"{key}": "1"}}}}"#));
            assert!(refusal.starts_with(&format!("linux.resources.unified.{key}: ")), "{key}: {refusal}");
        }
    }

    #[test]
    fn what_v2_does_not_have_is_an_error() {
        for (json, field) in [
            (r#"{"memory": {"swappiness": 60}}"#, "memory.swappiness"),
            (r#"{"memory": {"disableOOMKiller": true}}"#, "memory.disableOOMKiller"),
            (r#"{"cpu": {"realtimeRuntime": 1}}"#, "cpu.realtimeRuntime"),
            (r#"{"cpu": {"realtimePeriod": 1}}"#, "cpu.realtimePeriod"),
            (r#"{"blockIO": {"leafWeight": 10}}"#, "blockIO.leafWeight"),
            (r#"{"network": {"classID": 1}}"#, "network.classID"),
            (r#"{"network": {"priorities": [{"name": "eth0", "priority": 1}]}}"#, "network.priorities"),
        ] {
            let refusal = refusal(json);
            assert!(refusal.starts_with(&format!("linux.resources.{field}: cgroup v2 has no equivalent")), "{refusal}");
        }
    }
}
