//! `linux.resources` of runtime-spec 1.3 (config-linux.md, "Control groups"): what is asked for, as written.
//!
//! Most leaves are oci-spec's. Those that are not repair it: `pids.limit` may be absent or null, a huge page limit
//! is unsigned, a device rule has its numbers and letters checked here, once.

use oci_spec::runtime::{LinuxBlockIo, LinuxCpu, LinuxMemory, LinuxNetwork, LinuxRdma};
use serde::de::{Deserializer, Error, Unexpected};
use serde::{Deserialize, Serialize, Serializer};
use std::collections::BTreeMap;
use std::fmt;

/// Limits, and the devices that may be used. Unknown keys are ignored; null is the same as absent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Resources {
    /// Which devices may be used, in the order in which they apply.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub devices: Vec<DeviceRule>,
    /// Limits in bytes; -1 is unlimited.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<LinuxMemory>,
    /// Shares, bandwidth in microseconds, and the processors and memory nodes to use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu: Option<LinuxCpu>,
    /// How many tasks there may be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pids: Option<Pids>,
    /// Weights, and rates in bytes or operations per second.
    #[serde(rename = "blockIO", skip_serializing_if = "Option::is_none")]
    pub block_io: Option<LinuxBlockIo>,
    /// Huge pages, by size.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub hugepage_limits: Vec<HugepageLimit>,
    /// Class and priorities of network traffic: cgroup v1 only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network: Option<LinuxNetwork>,
    /// RDMA limits by device name.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub rdma: BTreeMap<String, LinuxRdma>,
    /// Files of cgroup v2 and what to write to them.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub unified: BTreeMap<String, String>,
}

/// `linux.resources.pids`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Pids {
    /// Tasks at most. `None` leaves it alone, -1 is unlimited, and 0 is a limit like any other.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<i64>,
}

/// One of `linux.resources.hugepageLimits`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HugepageLimit {
    /// As the kernel spells it in file names: `64KB`, `2MB`, `1GB`.
    #[serde(deserialize_with = "page_size")]
    pub page_size: String,
    /// Bytes.
    #[serde(default, deserialize_with = "or_default")]
    pub limit: u64,
}

/// One of `linux.resources.devices`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceRule {
    /// Whether what matches may be used.
    #[serde(default, deserialize_with = "or_default")]
    pub allow: bool,
    /// The type to match.
    #[serde(rename = "type", default, deserialize_with = "or_default")]
    pub kind: DeviceKind,
    /// The major number to match, or every one.
    #[serde(default, deserialize_with = "number", skip_serializing_if = "Option::is_none")]
    pub major: Option<u32>,
    /// The minor number to match, or every one.
    #[serde(default, deserialize_with = "number", skip_serializing_if = "Option::is_none")]
    pub minor: Option<u32>,
    /// What is allowed or denied.
    pub access: Access,
}

/// The type of device that a rule is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum DeviceKind {
    /// Both.
    #[default]
    #[serde(rename = "a", alias = "")]
    All,
    /// Character devices.
    #[serde(rename = "c")]
    Char,
    /// Block devices.
    #[serde(rename = "b")]
    Block,
}

/// A set of `r`, `w` and `m` (mknod): bits as in `BPF_DEVCG_ACC_*`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Access(u8);

impl Access {
    /// Create the node.
    pub const MKNOD: Self = Self(1);
    /// Open it for reading.
    pub const READ: Self = Self(2);
    /// Open it for writing.
    pub const WRITE: Self = Self(4);
    /// All three.
    pub const ALL: Self = Self(7);
    /// Nothing.
    pub const NONE: Self = Self(0);

    /// The bits: 1 mknod, 2 read, 4 write.
    pub fn bits(self) -> u8 {
        self.0
    }

    /// Both sets together.
    pub fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// What both have.
    pub fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// This set without the other.
    pub fn difference(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether it has nothing.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// `Some` for letters out of `rwm`, at least one of them.
    pub fn parse(letters: &str) -> Option<Self> {
        let mut set = Self::NONE;
        for letter in letters.bytes() {
            set = set.union(match letter {
                b'r' => Self::READ,
                b'w' => Self::WRITE,
                b'm' => Self::MKNOD,
                _ => return None,
            });
        }
        (!set.is_empty()).then_some(set)
    }
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (bit, letter) in [(Self::READ, "r"), (Self::WRITE, "w"), (Self::MKNOD, "m")] {
            if !self.intersection(bit).is_empty() {
                f.write_str(letter)?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Access({self})")
    }
}

impl Serialize for Access {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Access {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let letters = String::deserialize(deserializer)?;
        Self::parse(&letters)
            .ok_or_else(|| D::Error::invalid_value(Unexpected::Str(&letters), &"one or more of the letters r, w and m"))
    }
}

/// Go writes an empty slice, map or pointer as null.
fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(deserializer: D) -> Result<T, D::Error> {
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// -1 is how engines write "every number".
fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    let Some(number) = Option::<i64>::deserialize(deserializer)? else { return Ok(None) };
    if number == -1 {
        return Ok(None);
    }
    u32::try_from(number)
        .map(Some)
        .map_err(|_| D::Error::invalid_value(Unexpected::Signed(number), &"a device number, or -1 for all of them"))
}

/// The size becomes part of a file name, so nothing but `<digits><K|M|G>B` may pass.
fn page_size<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let size = String::deserialize(deserializer)?;
    let digits = ["KB", "MB", "GB"].iter().find_map(|unit| size.strip_suffix(unit)).unwrap_or_default();
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(D::Error::invalid_value(Unexpected::Str(&size), &"a page size such as 64KB, 2MB or 1GB"));
    }
    Ok(size)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(json: &str) -> Resources {
        serde_json::from_str(json).expect("valid resources")
    }

    fn refuse(json: &str) -> String {
        serde_json::from_str::<Resources>(json).expect_err("invalid resources").to_string()
    }

    #[test]
    fn absent_null_zero_and_unlimited_pids_differ() {
        assert_eq!(parse("{}").pids, None);
        assert_eq!(parse(r#"{"pids": null}"#).pids, None);
        assert_eq!(parse(r#"{"pids": {}}"#).pids, Some(Pids { limit: None }));
        assert_eq!(parse(r#"{"pids": {"limit": null}}"#).pids, Some(Pids { limit: None }));
        assert_eq!(parse(r#"{"pids": {"limit": 0}}"#).pids, Some(Pids { limit: Some(0) }));
        assert_eq!(parse(r#"{"pids": {"limit": -1}}"#).pids, Some(Pids { limit: Some(-1) }));
    }

    #[test]
    fn huge_page_limit_is_unsigned() {
        let limits = parse(r#"{"hugepageLimits": [{"pageSize": "2MB", "limit": 18446744073709551615}]}"#);
        assert_eq!(limits.hugepage_limits[0].limit, u64::MAX);
    }

    #[test]
    fn huge_page_size_is_no_path() {
        for size in ["../../x", "MB", "2XB", "", "2 MB", "-2MB"] {
            let error = refuse(&format!(r#"{{"hugepageLimits": [{{"pageSize": "{size}", "limit": 1}}]}}"#));
            assert!(error.contains("a page size such as"), "{size}: {error}");
        }
    }

    #[test]
    fn device_rule_without_type_or_numbers_is_about_all() {
        let rule = parse(r#"{"devices": [{"allow": false, "access": "rwm"}]}"#).devices[0];
        let all = DeviceRule { allow: false, kind: DeviceKind::All, major: None, minor: None, access: Access::ALL };
        assert_eq!(rule, all);
        let spelt = r#"{"devices": [{"allow": false, "type": "a", "major": -1, "minor": -1, "access": "mwr"}]}"#;
        assert_eq!(parse(spelt).devices[0], all);
    }

    #[test]
    fn device_rule_that_means_nothing_is_refused() {
        assert!(refuse(r#"{"devices": [{"allow": true}]}"#).contains("access"));
        assert!(refuse(r#"{"devices": [{"access": ""}]}"#).contains("r, w and m"));
        assert!(refuse(r#"{"devices": [{"access": "rx"}]}"#).contains("r, w and m"));
        assert!(refuse(r#"{"devices": [{"access": "r", "type": "p"}]}"#).contains("unknown variant"));
        assert!(refuse(r#"{"devices": [{"access": "r", "major": -2}]}"#).contains("device number"));
        assert!(refuse(r#"{"devices": [{"access": "r", "minor": 4294967296}]}"#).contains("device number"));
    }

    #[test]
    fn null_and_unknown_keys_are_ignored() {
        let nothing = r#"{"devices": null, "memory": null, "cpu": null, "blockIO": null, "hugepageLimits": null,
            "network": null, "rdma": null, "unified": null, "somethingNew": {"a": [1]}}"#;
        assert_eq!(parse(nothing), Resources::default());
    }

    #[test]
    fn what_was_written_is_what_is_read() {
        let all = r#"{
            "devices": [{"allow": true, "type": "c", "major": 10, "minor": 229, "access": "rw"}],
            "memory": {"limit": 1, "reservation": 2, "swap": -1, "kernel": -1, "kernelTCP": -1, "swappiness": 0,
                "disableOOMKiller": false, "useHierarchy": true, "checkBeforeUpdate": true},
            "cpu": {"shares": 1024, "quota": -1, "burst": 1, "period": 500000, "realtimeRuntime": 950000,
                "realtimePeriod": 1000000, "cpus": "2-3", "mems": "0-7", "idle": 1},
            "pids": {"limit": 32771},
            "blockIO": {"weight": 10, "leafWeight": 10, "weightDevice": [{"major": 8, "minor": 0, "weight": 500}],
                "throttleReadBpsDevice": [{"major": 8, "minor": 0, "rate": 600}],
                "throttleWriteIOPSDevice": [{"major": 8, "minor": 16, "rate": 300}]},
            "hugepageLimits": [{"pageSize": "64KB", "limit": 1000000}],
            "network": {"classID": 1048577, "priorities": [{"name": "eth0", "priority": 500}]},
            "rdma": {"mlx5_1": {"hcaHandles": 3, "hcaObjects": 10000}},
            "unified": {"io.max": "259:0 rbps=2097152"}
        }"#;
        let read = parse(all);
        assert_eq!(read.cpu.as_ref().and_then(LinuxCpu::idle), Some(1));
        assert_eq!(read.memory.as_ref().and_then(LinuxMemory::check_before_update), Some(true));
        let written = serde_json::to_string(&read).expect("writable");
        assert_eq!(parse(&written), read);
        assert_eq!(serde_json::to_string(&Resources::default()).expect("writable"), "{}");
    }
}
