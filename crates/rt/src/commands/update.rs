//! `rt update`.

use super::events::decimal;
use super::store;
use crate::args::{Global, UpdateArgs};
use crate::report::Report;
use rt_plan::spec::resources::{Pids, Resources};
use rt_runtime::{Error, Id, read_resources};
use std::path::Path;
use std::str::FromStr;

// On its own, so that link.ld can put it away.
#[inline(never)]
pub(super) fn update(global: &Global, args: &UpdateArgs, report: &Report) -> Result<(), Error> {
    let (store, id) = (store(global)?, Id::parse(&args.id)?);
    let resources = match args.resources.as_deref().filter(|path| !path.as_os_str().is_empty()) {
        Some(path) => read_resources(path)?,
        None => resources(args)?,
    };
    refuse_rdt(args)?;
    #[allow(deprecated)]
    if resources.memory.as_ref().is_some_and(|memory| memory.kernel().or(memory.kernel_tcp()).is_some()) {
        report.warning("Kernel memory settings are ignored and will be removed");
    }
    rt_runtime::update(&store, &id, &resources)
}

/// What the options ask for. An empty value is none, and so is a weight of 0, as with runc.
fn resources(args: &UpdateArgs) -> Result<Resources, Error> {
    let mut resources = Resources::default();
    let memory = resources.memory.get_or_insert_default();
    memory
        .set_limit(bytes("memory", &args.memory)?)
        .set_swap(bytes("memory-swap", &args.memory_swap)?)
        .set_reservation(bytes("memory-reservation", &args.memory_reservation)?);
    #[allow(deprecated)]
    memory
        .set_kernel(bytes("kernel-memory", &args.kernel_memory)?)
        .set_kernel_tcp(bytes("kernel-memory-tcp", &args.kernel_memory_tcp)?);
    resources
        .cpu
        .get_or_insert_default()
        .set_period(number("cpu-period", &args.cpu_period)?)
        .set_quota(number("cpu-quota", &args.cpu_quota)?)
        .set_burst(number("cpu-burst", &args.cpu_burst)?)
        .set_shares(number("cpu-share", &args.cpu_share)?)
        .set_realtime_period(number("cpu-rt-period", &args.cpu_rt_period)?)
        .set_realtime_runtime(number("cpu-rt-runtime", &args.cpu_rt_runtime)?)
        .set_idle(number("cpu-idle", &args.cpu_idle)?)
        .set_cpus(args.cpuset_cpus.clone())
        .set_mems(args.cpuset_mems.clone());
    resources.block_io.get_or_insert_default().set_weight(number("blkio-weight", &args.blkio_weight)?);
    resources.pids = Some(Pids { limit: number("pids-limit", &args.pids_limit)? });
    Ok(resources)
}

fn number<T: FromStr>(option: &str, text: &Option<String>) -> Result<Option<T>, Error> {
    let Some(text) = text.as_deref().filter(|text| !text.is_empty()) else { return Ok(None) };
    text.parse().map(Some).map_err(|_| invalid(option, &format!("{text:?} is not a number that it takes")))
}

/// Bytes with or without a unit; -1 is unlimited.
fn bytes(option: &str, text: &Option<String>) -> Result<Option<i64>, Error> {
    match text.as_deref() {
        None | Some("") => Ok(None),
        Some("-1") => Ok(Some(-1)),
        Some(text) => size(text).map(Some).ok_or_else(|| invalid(option, &format!("invalid size: '{text}'"))),
    }
}

fn invalid(option: &str, why: &str) -> Error {
    Error::Usage(format!("invalid value for {option}: {why}"))
}

/// As Docker's units.RAMInBytes reads it: `1.5g`, `64 MiB`, `100kb`, `7b`, where a k is 1024.
fn size(text: &str) -> Option<i64> {
    let at = text.rfind(|c: char| c.is_ascii_digit() || c == '.' || c == ' ')?;
    let (digits, unit) = text.split_at(at + 1);
    let digits = digits.strip_suffix(' ').unwrap_or(digits);
    let unit = unit.to_ascii_lowercase();
    let power = match unit.as_str() {
        "" | "b" => 0,
        unit => {
            let (letter, rest) = unit.split_at_checked(1)?;
            if !matches!(rest, "" | "b" | "ib") {
                return None;
            }
            1 + "kmgtp".find(letter)?
        }
    };
    i64::try_from(decimal(digits, 1 << (10 * power))?).ok()
}

/// No container of this version has a group of its own there, whether or not the host has the controller.
fn refuse_rdt(args: &UpdateArgs) -> Result<(), Error> {
    for (schema, place, lack) in [
        (&args.l3_cache_schema, "/sys/fs/resctrl/info/L3", "Intel RDT/CAT: l3 cache schema is not enabled"),
        (&args.mem_bw_schema, "/sys/fs/resctrl/info/MB", "Intel RDT/MBA: memory bandwidth schema is not enabled"),
    ] {
        if schema.as_deref().is_some_and(|schema| !schema.is_empty()) {
            let here = Path::new(place).exists();
            let why = if here { "updating a non-existent Intel RDT configuration is not supported" } else { lack };
            return Err(Error::Usage(why.to_owned()));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::size;

    #[test]
    fn sizes_are_docker_s() {
        for (text, bytes) in [
            ("0", 0),
            ("67108864", 64 << 20),
            ("64M", 64 << 20),
            ("64mb", 64 << 20),
            ("64 MiB", 64 << 20),
            ("1.5g", 3 << 29),
            (".5k", 512),
            ("7b", 7),
            ("1t", 1 << 40),
            ("2P", 2 << 50),
            ("1.7", 1),
        ] {
            assert_eq!(size(text), Some(bytes), "{text}");
        }
        for text in ["", "x", "m", "10q", "-5", "5kk", "5mib5", "5 m m", "1e3", "99999999999999999999", "9000P", "5é"]
        {
            assert_eq!(size(text), None, "{text:?}");
        }
    }
}
