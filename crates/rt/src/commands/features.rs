//! `rt features`: what this build of rt can do, whatever the machine but for `supportedFlags`: features.md of the
//! runtime-spec, printed as runc prints it.
//!
//! What a config may say comes from the tables that read it.

use crate::args::{SPEC, commit};
use crate::output::print;
use rt_plan::{NAMESPACES, capabilities, options};
use rt_runtime::Error;
use rt_seccomp::{Action, Arch, Flag, Operator};
use serde::Serialize;
use serde_json::ser::{PrettyFormatter, Serializer};
use std::collections::BTreeMap;

/// The oldest version of the runtime-spec whose configs are taken.
const OLDEST: &str = "1.0.0";

/// All that the runtime-spec has.
const HOOKS: [&str; 6] = ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"];

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Features {
    oci_version_min: &'static str,
    oci_version_max: &'static str,
    hooks: [&'static str; 6],
    mount_options: Vec<&'static str>,
    linux: Linux,
    annotations: BTreeMap<&'static str, &'static str>,
    /// Annotations of a config that change what rt does.
    potentially_unsafe_config_annotations: [&'static str; 0],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Linux {
    namespaces: Vec<&'static str>,
    capabilities: Vec<String>,
    cgroup: Cgroup,
    seccomp: Seccomp,
    apparmor: Enabled,
    selinux: Enabled,
    intel_rdt: Enabled,
    mount_extensions: MountExtensions,
    net_devices: Enabled,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
// Five facts, whose names are the specification's.
#[allow(clippy::struct_excessive_bools)]
struct Cgroup {
    v1: bool,
    v2: bool,
    systemd: bool,
    systemd_user: bool,
    rdma: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Seccomp {
    enabled: bool,
    actions: Vec<&'static str>,
    operators: Vec<&'static str>,
    archs: Vec<&'static str>,
    known_flags: Vec<&'static str>,
    /// Those that this kernel knows too.
    supported_flags: Vec<&'static str>,
}

#[derive(Serialize)]
struct MountExtensions {
    idmap: Enabled,
}

#[derive(Serialize)]
struct Enabled {
    enabled: bool,
}

const YES: Enabled = Enabled { enabled: true };
const NO: Enabled = Enabled { enabled: false };

// On its own, so that link.ld can put it away.
#[inline(never)]
pub(super) fn features() -> Result<(), Error> {
    let mut text = Vec::new();
    let layout = PrettyFormatter::with_indent(b"    ");
    if known().serialize(&mut Serializer::with_formatter(&mut text, layout)).is_ok() {
        text.push(b'\n');
    }
    print(&String::from_utf8_lossy(&text));
    Ok(())
}

fn known() -> Features {
    let mut mount_options: Vec<_> = options::names().collect();
    mount_options.sort_unstable();
    Features {
        oci_version_min: OLDEST,
        oci_version_max: SPEC,
        hooks: HOOKS,
        mount_options,
        linux: Linux {
            namespaces: NAMESPACES.map(|kind| kind.words()).into(),
            capabilities: capabilities::names().collect(),
            cgroup: Cgroup { v1: true, v2: true, systemd: true, systemd_user: false, rdma: true },
            seccomp: seccomp(),
            apparmor: YES,
            selinux: YES,
            intel_rdt: NO,
            mount_extensions: MountExtensions { idmap: NO },
            net_devices: NO,
        },
        annotations: BTreeMap::from([
            // Engines ask for it by this name.
            ("org.opencontainers.runc.checkpoint.enabled", "false"),
            ("rt.commit", commit()),
            ("rt.version", env!("CARGO_PKG_VERSION")),
        ]),
        potentially_unsafe_config_annotations: [],
    }
}

fn seccomp() -> Seccomp {
    let sorted = |names: &mut dyn Iterator<Item = &'static str>| {
        let mut names: Vec<_> = names.collect();
        names.sort_unstable();
        names
    };
    Seccomp {
        enabled: true,
        actions: sorted(&mut Action::ALL.iter().map(|action| action.name())),
        operators: sorted(&mut Operator::ALL.iter().map(|operator| operator.name())),
        archs: sorted(&mut Arch::ALL.iter().map(|arch| arch.name())),
        known_flags: Flag::ALL.iter().map(|flag| flag.name()).collect(),
        supported_flags: rt_runtime::supported_flags().map(Flag::name).collect(),
    }
}
