//! From bytes to [`Spec`].

use super::check;
use super::resources::Resources;
use super::text::Str;
use crate::Error;
use crate::seccomp::Profile;
use serde::de::{Deserializer, IgnoredAny};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Bytes of the largest config that is read. Kubernetes' largest are below one MiB; memory for more is the caller's to
/// give, and a hostile caller's to waste.
pub const LONGEST: usize = 16 << 20;

/// Annotations, by key.
pub type Annotations<'a> = BTreeMap<Str<'a>, Str<'a>>;

/// config.json (runtime-spec 1.3, config.md), checked.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Spec<'a> {
    /// The version of the runtime-spec that it follows.
    #[serde(borrow)]
    pub oci_version: Str<'a>,
    /// The root file system.
    pub root: Option<Root<'a>>,
    /// What runs.
    pub process: Option<Process<'a>>,
    /// Mounts, in order.
    #[serde(deserialize_with = "or_default")]
    pub mounts: Vec<Mount<'a>>,
    /// The container's host name; empty for as it is.
    pub hostname: Str<'a>,
    /// The container's NIS domain name; empty for as it is.
    pub domainname: Str<'a>,
    /// Programs to run at points of its life.
    #[serde(deserialize_with = "or_default")]
    pub hooks: Hooks<'a>,
    /// What callers note.
    #[serde(deserialize_with = "or_default")]
    pub annotations: Annotations<'a>,
    /// Everything that only Linux has.
    #[serde(deserialize_with = "or_default")]
    pub linux: Linux<'a>,
}

/// `root`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Root<'a> {
    /// The directory, absolute or relative to the bundle.
    #[serde(borrow)]
    pub path: Str<'a>,
    /// Whether the container may not write to it.
    #[serde(deserialize_with = "or_default")]
    pub readonly: bool,
}

/// `process`.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Process<'a> {
    /// Whether it has a terminal.
    #[serde(deserialize_with = "or_default")]
    pub terminal: bool,
    /// The terminal's size.
    pub console_size: Option<ConsoleSize>,
    /// Who it is.
    #[serde(deserialize_with = "or_default")]
    pub user: User,
    /// Program and arguments; at least one.
    #[serde(borrow, deserialize_with = "or_default")]
    pub args: Vec<Str<'a>>,
    /// `NAME=value`.
    #[serde(deserialize_with = "or_default")]
    pub env: Vec<Str<'a>>,
    /// The working directory: absolute.
    pub cwd: Str<'a>,
    /// The five sets; absent: none, or the container's for a process that `exec` starts.
    pub capabilities: Option<Capabilities<'a>>,
    /// Resource limits.
    #[serde(deserialize_with = "or_default")]
    pub rlimits: Vec<Rlimit<'a>>,
    /// Whether exec may not give it privileges.
    #[serde(deserialize_with = "or_default")]
    pub no_new_privileges: bool,
    /// The AppArmor profile; empty: none.
    pub apparmor_profile: Str<'a>,
    /// -1000 to 1000.
    pub oom_score_adj: Option<i32>,
    /// The SELinux label; empty: none.
    pub selinux_label: Str<'a>,
    /// Class and level.
    pub io_priority: Option<IoPriority<'a>>,
    /// Policy and parameters.
    pub scheduler: Option<Scheduler<'a>>,
    /// Processors, where `exec` starts it.
    #[serde(rename = "execCPUAffinity")]
    pub exec_cpu_affinity: Option<CpuAffinity<'a>>,
}

/// `process.consoleSize`, in characters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub struct ConsoleSize {
    /// Rows.
    pub height: u16,
    /// Columns.
    pub width: u16,
}

/// `process.execCPUAffinity`: lists of processors, as `0-3,7`.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct CpuAffinity<'a> {
    /// Until it is in the container's cgroup; empty: whatever.
    #[serde(borrow)]
    pub initial: Str<'a>,
    /// From then on; empty: whatever.
    #[serde(rename = "final")]
    pub last: Str<'a>,
}

/// `process.user`.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct User {
    /// User, as the container sees it.
    pub uid: u32,
    /// Group, as the container sees it.
    pub gid: u32,
    /// File mode creation mask; absent: 0022.
    pub umask: Option<u32>,
    /// More groups.
    #[serde(deserialize_with = "or_default")]
    pub additional_gids: Vec<u32>,
}

/// `process.capabilities`. Names, as they are: an unknown one is a warning.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct Capabilities<'a> {
    /// What the process and its children may ever have.
    #[serde(borrow, deserialize_with = "or_default")]
    pub bounding: Vec<Str<'a>>,
    /// What the kernel checks.
    #[serde(deserialize_with = "or_default")]
    pub effective: Vec<Str<'a>>,
    /// What an exec of a file with capabilities keeps.
    #[serde(deserialize_with = "or_default")]
    pub inheritable: Vec<Str<'a>>,
    /// What it can make effective.
    #[serde(deserialize_with = "or_default")]
    pub permitted: Vec<Str<'a>>,
    /// What an exec of any file keeps.
    #[serde(deserialize_with = "or_default")]
    pub ambient: Vec<Str<'a>>,
}

/// One of `process.rlimits`.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Rlimit<'a> {
    /// `RLIMIT_NOFILE`.
    #[serde(rename = "type", borrow)]
    pub kind: Str<'a>,
    /// The soft limit; all ones is unlimited.
    pub soft: u64,
    /// The hard limit; all ones is unlimited.
    pub hard: u64,
}

/// `process.ioPriority`.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct IoPriority<'a> {
    /// `IOPRIO_CLASS_BE`.
    #[serde(borrow)]
    pub class: Str<'a>,
    /// 0 to 7.
    pub priority: i64,
}

/// `process.scheduler`.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct Scheduler<'a> {
    /// `SCHED_OTHER`.
    #[serde(borrow)]
    pub policy: Str<'a>,
    /// -20 to 19.
    pub nice: i32,
    /// 0 to 99.
    pub priority: i32,
    /// `SCHED_FLAG_RESET_ON_FORK`.
    #[serde(deserialize_with = "or_default")]
    pub flags: Vec<Str<'a>>,
    /// Nanoseconds.
    pub runtime: u64,
    /// Nanoseconds.
    pub deadline: u64,
    /// Nanoseconds.
    pub period: u64,
}

/// One of `mounts`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Mount<'a> {
    /// Where, in the container.
    #[serde(borrow)]
    pub destination: Str<'a>,
    /// The file system's type, or `bind`.
    #[serde(rename = "type")]
    pub kind: Str<'a>,
    /// A path on the host for a bind, else the file system's own business.
    pub source: Str<'a>,
    /// mount(8)'s words.
    #[serde(deserialize_with = "or_default")]
    pub options: Vec<Str<'a>>,
    #[serde(deserialize_with = "or_default")]
    pub(super) uid_mappings: Vec<IgnoredAny>,
    #[serde(deserialize_with = "or_default")]
    pub(super) gid_mappings: Vec<IgnoredAny>,
}

/// `linux`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Linux<'a> {
    #[serde(deserialize_with = "or_default")]
    pub(super) uid_mappings: Vec<IgnoredAny>,
    #[serde(deserialize_with = "or_default")]
    pub(super) gid_mappings: Vec<IgnoredAny>,
    /// Kernel parameters, by dotted name.
    #[serde(borrow, deserialize_with = "or_default")]
    pub sysctl: BTreeMap<Str<'a>, Str<'a>>,
    /// Cgroup limits.
    #[serde(deserialize_with = "or_default")]
    pub resources: Resources,
    /// Where in the cgroup hierarchies; absent: the container's id.
    pub cgroups_path: Option<Str<'a>>,
    /// Namespaces, new or joined; what is not here is the runtime's own.
    #[serde(deserialize_with = "or_default")]
    pub namespaces: Vec<Namespace<'a>>,
    /// Device nodes beside the default ones.
    #[serde(deserialize_with = "or_default")]
    pub devices: Vec<Device<'a>>,
    #[serde(deserialize_with = "or_default")]
    pub(super) net_devices: BTreeMap<Str<'a>, IgnoredAny>,
    /// The system calls that its processes may make; absent: all.
    pub seccomp: Option<Profile<'a>>,
    /// `shared`, `slave`, `private` or `unbindable`, or with an `r` before it; empty for the default.
    pub rootfs_propagation: Str<'a>,
    /// Paths to hide.
    #[serde(deserialize_with = "or_default")]
    pub masked_paths: Vec<Str<'a>>,
    /// Paths to make read-only.
    #[serde(deserialize_with = "or_default")]
    pub readonly_paths: Vec<Str<'a>>,
    /// The SELinux label of mounts; empty: none.
    pub mount_label: Str<'a>,
    pub(super) intel_rdt: Option<IgnoredAny>,
    pub(super) memory_policy: Option<IgnoredAny>,
    /// The execution domain.
    pub personality: Option<Personality<'a>>,
    /// Offsets of a new time namespace's clocks.
    #[serde(deserialize_with = "or_default")]
    pub time_offsets: BTreeMap<Str<'a>, TimeOffset>,
}

/// One of `linux.namespaces`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Namespace<'a> {
    /// `pid`, `network`, …
    #[serde(rename = "type", borrow)]
    pub kind: Str<'a>,
    /// The one to join; empty for a new one.
    pub path: Str<'a>,
}

/// One of `linux.devices`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Device<'a> {
    /// Where, in the container.
    #[serde(borrow)]
    pub path: Str<'a>,
    /// `c`, `b`, `u` or `p`.
    #[serde(rename = "type")]
    pub kind: Str<'a>,
    /// Its major number.
    pub major: i64,
    /// Its minor number.
    pub minor: i64,
    /// Permission bits; absent: 0666.
    pub file_mode: Option<u32>,
    /// Its owner; absent: 0.
    pub uid: Option<u32>,
    /// Its group; absent: 0.
    pub gid: Option<u32>,
}

/// `linux.personality`.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct Personality<'a> {
    /// `LINUX` or `LINUX32`.
    #[serde(borrow)]
    pub domain: Str<'a>,
    /// None are defined.
    #[serde(deserialize_with = "or_default")]
    pub flags: Vec<Str<'a>>,
}

/// One of `linux.timeOffsets`.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
pub struct TimeOffset {
    /// Seconds.
    pub secs: i64,
    /// Nanoseconds.
    pub nanosecs: u32,
}

/// `hooks`, in the order in which a container meets them.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Hooks<'a> {
    /// On the host's side, before the root is entered. Deprecated, and what docker uses.
    #[serde(borrow, deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub prestart: Vec<Hook<'a>>,
    /// On the host's side, before the root is entered.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub create_runtime: Vec<Hook<'a>>,
    /// In the container's namespaces, before the root is entered.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub create_container: Vec<Hook<'a>>,
    /// In the container, right before its program.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub start_container: Vec<Hook<'a>>,
    /// On the host's side, once the program runs.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub poststart: Vec<Hook<'a>>,
    /// On the host's side, once nothing of the container is left.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub poststop: Vec<Hook<'a>>,
}

impl Hooks<'_> {
    /// Each kind with its name.
    pub fn kinds(&self) -> [(&'static str, &[Hook<'_>]); 6] {
        [
            ("prestart", &self.prestart),
            ("createRuntime", &self.create_runtime),
            ("createContainer", &self.create_container),
            ("startContainer", &self.start_container),
            ("poststart", &self.poststart),
            ("poststop", &self.poststop),
        ]
    }
}

/// One hook.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct Hook<'a> {
    /// The program: absolute.
    #[serde(borrow)]
    pub path: Str<'a>,
    /// Its argument vector, its own name included; none: its path.
    #[serde(deserialize_with = "or_default")]
    pub args: Vec<Str<'a>>,
    /// Its whole environment: `NAME=value`.
    #[serde(deserialize_with = "or_default")]
    pub env: Vec<Str<'a>>,
    /// Seconds that it may take.
    pub timeout: Option<i64>,
}

/// Go writes `null` for an empty list, and reads it as one.
fn or_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(from: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

impl<'a> Spec<'a> {
    /// Parse and check a config.
    ///
    /// # Errors
    /// The line, column and byte where the JSON is broken, with the path to the value; or the field that is missing,
    /// impossible, or beyond this version.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Error> {
        if bytes.len() > LONGEST {
            return Err(Error::TooLong { most: LONGEST as u64 });
        }
        if let Some(byte) = nul(bytes) {
            return Err(Error::Nul { byte });
        }
        let spec: Self = serde_json::from_slice(bytes).map_err(|error| explain(bytes, &error))?;
        check::check(&spec)?;
        Ok(spec)
    }
}

impl<'a> Process<'a> {
    /// Parse and check what `exec --process` is given.
    ///
    /// # Errors
    /// As [`Spec::parse`].
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Error> {
        if let Some(byte) = nul(bytes) {
            return Err(Error::Nul { byte });
        }
        let process: Self = serde_json::from_slice(bytes).map_err(|error| explain(bytes, &error))?;
        process.check()?;
        Ok(process)
    }

    /// Whether it can be started.
    ///
    /// # Errors
    /// The field that is missing or impossible.
    pub fn check(&self) -> Result<(), Error> {
        check::process(self)
    }
}

/// Where a string has an escaped NUL. JSON allows no other, so one search covers every field there is.
fn nul(bytes: &[u8]) -> Option<usize> {
    let mut from = 0;
    while let Some(found) = bytes[from..].windows(5).position(|window| window == b"u0000") {
        let at = from + found;
        let backslashes = bytes[..at].iter().rev().take_while(|byte| **byte == b'\\').count();
        if backslashes % 2 == 1 {
            return Some(at - 1);
        }
        from = at + 5;
    }
    None
}

/// serde_json knows where it stopped; which field that is, the text tells.
fn explain(bytes: &[u8], error: &serde_json::Error) -> Error {
    let (line, column) = (error.line(), error.column());
    let before: usize =
        bytes.split_inclusive(|byte| *byte == b'\n').take(line.saturating_sub(1)).map(<[u8]>::len).sum();
    let byte = before + column.saturating_sub(1);
    let whole = error.to_string();
    let problem = whole.rsplit_once(" at line ").map_or(whole.as_str(), |(problem, _)| problem).to_owned();
    // What an object lacks is noticed at its end, everything else where it stands.
    let end = if problem.starts_with("missing field") { before + column } else { byte };
    Error::Parse { line, column, byte, field: field_at(bytes, end), problem }
}

/// The path to the value that stands at byte `end`: `process.args[2]`. Empty at the top.
fn field_at(bytes: &[u8], end: usize) -> String {
    let mut path: Vec<Step> = Vec::new();
    let mut at = 0;
    let bytes = bytes.get(..end).unwrap_or(bytes);
    while let Some(byte) = bytes.get(at) {
        at += 1;
        match byte {
            b'{' => path.push(Step::Key { name: None, named: false }),
            b'[' => path.push(Step::Index(0)),
            b'}' | b']' => drop(path.pop()),
            b':' => {
                if let Some(Step::Key { named, .. }) = path.last_mut() {
                    *named = true;
                }
            }
            b',' => match path.last_mut() {
                Some(Step::Index(index)) => *index += 1,
                Some(key) => *key = Step::Key { name: None, named: false },
                None => {}
            },
            b'"' => {
                let start = at;
                while bytes.get(at).is_some_and(|byte| *byte != b'"') {
                    at += if bytes[at] == b'\\' { 2 } else { 1 };
                }
                let text = String::from_utf8_lossy(bytes.get(start..at).unwrap_or_default()).into_owned();
                at += 1;
                if let Some(Step::Key { name, named: false }) = path.last_mut() {
                    *name = Some(text);
                }
            }
            _ => {}
        }
    }
    let mut field = String::new();
    for step in &path {
        match step {
            Step::Index(index) => field.push_str(&format!("[{index}]")),
            Step::Key { name: Some(name), .. } => {
                let dot = if field.is_empty() { "" } else { "." };
                field.push_str(&format!("{dot}{name}"));
            }
            Step::Key { name: None, .. } => {}
        }
    }
    field
}

/// One level of a path into JSON.
enum Step {
    Index(usize),
    Key { name: Option<String>, named: bool },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        Spec::parse(text.as_bytes()).expect_err("must be refused").to_string()
    }

    #[test]
    fn broken_json_names_its_place() {
        assert_eq!(error("{\n  \"root\": ]\n}"), "config.json, line 2 column 11 (byte 12), at root: expected value");
        assert!(error("").starts_with("config.json, line 1 column 0 (byte 0): EOF"));
    }

    #[test]
    fn a_wrong_type_names_its_field() {
        let text = error(r#"{"process": {"args": ["sh", 7]}}"#);
        assert!(text.contains("at process.args[1]: invalid type: integer `7`, expected a string"), "{text}");
        let text = error(r#"{"process": {"user": {"uid": 4294967296}}}"#);
        assert!(text.contains("at process.user.uid: invalid value: integer `4294967296`, expected u32"), "{text}");
    }

    #[test]
    fn a_missing_field_names_its_object() {
        let text = error(
            r#"{"process": {"rlimits": [{"type": "RLIMIT_CPU", "soft": 1, "hard": 1}, {"soft": 1, "hard": 1}]}}"#,
        );
        assert!(text.contains("at process.rlimits[1]: missing field `type`"), "{text}");
    }

    #[test]
    fn a_nul_is_found_in_any_string() {
        assert!(error(r#"{"hostname": "a\u0000b"}"#).contains("byte 15"));
        assert!(nul(br#"{"a": "\\u0000"}"#).is_none());
    }

    #[test]
    fn strings_without_escapes_are_borrowed() {
        let spec: Spec<'_> = serde_json::from_str(r#"{"mounts": null, "annotations": {"a": "b"}}"#).expect("valid");
        assert_eq!(spec.mounts.len(), 0);
        assert_eq!(spec.annotations.len(), 1);
    }
}
