//! What a config must not say: the rules of the runtime-spec and runc's validator, each with a line of its own.

use super::parse::{Process, Spec};
use crate::Error;
use crate::error::invalid;
use crate::namespaces::{KINDS, kind};

pub(super) fn check(spec: &Spec<'_>) -> Result<(), Error> {
    version(&spec.oci_version)?;
    if spec.root.as_ref().is_none_or(|root| root.path.is_empty()) {
        return Err(Error::Missing { field: "root.path", why: "a container needs a root file system" });
    }
    unsupported(spec)?;
    match &spec.process {
        Some(known) => process(known)?,
        None => return Err(Error::Missing { field: "process", why: "there would be nothing to start" }),
    }
    hooks(spec)?;
    namespaces(spec)?;
    sysctl(spec)
}

/// Any 1.x.y will do: fields of a later one are ignored as the specification asks. runc accepts an absent version.
fn version(version: &str) -> Result<(), Error> {
    let mut parts = version.splitn(3, '.');
    let major = parts.next() == Some("1");
    let minor = parts.next().is_some_and(|minor| minor.parse::<u32>().is_ok());
    let patch = parts.next().is_some_and(|patch| patch.starts_with(|c: char| c.is_ascii_digit()));
    if version.is_empty() || major && minor && patch {
        return Ok(());
    }
    Err(invalid(
        "ociVersion",
        format!("\"{version}\" is not a version 1 of the runtime-spec (1.x.y), which is all that rt knows"),
    ))
}

/// What asks for more than this version has. Running without it would run with less protection than was asked for.
fn unsupported(spec: &Spec<'_>) -> Result<(), Error> {
    let linux = &spec.linux;
    let refuse = |field: &str, what| Err(Error::Unsupported { field: field.to_owned(), what });
    let mut kinds = linux.namespaces.iter().filter_map(|namespace| kind(&namespace.kind));
    if kinds.any(|kind| !KINDS.contains(&kind)) {
        return refuse("linux.namespaces", "a user namespace");
    }
    if !linux.uid_mappings.is_empty() || !linux.gid_mappings.is_empty() {
        return refuse("linux.uidMappings", "an id mapping");
    }
    if !linux.net_devices.is_empty() {
        return refuse("linux.netDevices", "a network device");
    }
    if linux.intel_rdt.is_some() {
        return refuse("linux.intelRdt", "cache and bandwidth allocation");
    }
    if linux.memory_policy.is_some() {
        return refuse("linux.memoryPolicy", "a memory policy");
    }
    let mapped = spec.mounts.iter().position(|mount| {
        !mount.uid_mappings.is_empty()
            || !mount.gid_mappings.is_empty()
            || mount.options.iter().any(|option| matches!(option.split('=').next(), Some("idmap" | "ridmap")))
    });
    match mapped {
        Some(index) => refuse(&format!("mounts[{index}]"), "an id-mapped mount"),
        None => Ok(()),
    }
}

fn hooks(spec: &Spec<'_>) -> Result<(), Error> {
    for (kind, hooks) in spec.hooks.kinds() {
        for (index, hook) in hooks.iter().enumerate() {
            let field = format!("hooks.{kind}[{index}]");
            if !hook.path.starts_with('/') {
                return Err(invalid(format!("{field}.path"), format!("\"{}\" is not an absolute path", hook.path)));
            }
            if hook.timeout.is_some_and(|timeout| !(1..=i64::from(u32::MAX)).contains(&timeout)) {
                return Err(invalid(format!("{field}.timeout"), "a time limit is greater than zero seconds"));
            }
        }
    }
    Ok(())
}

pub(super) fn process(process: &Process<'_>) -> Result<(), Error> {
    if process.args.is_empty() {
        return Err(invalid("process.args", "args must not be empty: its first word is the program"));
    }
    if process.cwd.is_empty() {
        return Err(Error::Missing { field: "process.cwd", why: "Cwd property must not be empty" });
    }
    if !process.cwd.starts_with('/') {
        return Err(invalid("process.cwd", format!("Cwd must be an absolute path, which \"{}\" is not", process.cwd)));
    }
    for (index, variable) in process.env.iter().enumerate() {
        if variable.find('=').is_none_or(|at| at == 0) {
            return Err(invalid(format!("process.env[{index}]"), format!("\"{variable}\" is not NAME=value")));
        }
    }
    if let Some(score) = process.oom_score_adj.filter(|score| !(-1000..=1000).contains(score)) {
        return Err(invalid("process.oomScoreAdj", format!("{score} is not between -1000 and 1000")));
    }
    Ok(())
}

fn namespaces(spec: &Spec<'_>) -> Result<(), Error> {
    let linux = &spec.linux;
    let mut seen = Vec::new();
    for (index, namespace) in linux.namespaces.iter().enumerate() {
        let field = || format!("linux.namespaces[{index}]");
        let Some(kind) = kind(&namespace.kind) else {
            return Err(invalid(
                format!("{}.type", field()),
                format!("there is no namespace of type \"{}\"", namespace.kind),
            ));
        };
        if seen.contains(&kind) {
            return Err(invalid(field(), format!("a second {kind} namespace: malformed spec file: duplicated ns")));
        }
        if !namespace.path.is_empty() && !namespace.path.starts_with('/') {
            return Err(invalid(
                format!("{}.path", field()),
                format!("\"{}\" is not an absolute path", namespace.path),
            ));
        }
        seen.push(kind);
    }
    let has = |wanted| seen.iter().any(|kind| kind.words() == wanted);
    if !spec.hostname.is_empty() && !has("uts") {
        return Err(invalid(
            "hostname",
            "unable to set hostname without a private UTS namespace: add one to linux.namespaces",
        ));
    }
    if !spec.domainname.is_empty() && !has("uts") {
        return Err(invalid(
            "domainname",
            "unable to set domainname without a private UTS namespace: add one to linux.namespaces",
        ));
    }
    if !has("mount") && (!linux.masked_paths.is_empty() || !linux.readonly_paths.is_empty()) {
        let field = if linux.masked_paths.is_empty() { "linux.readonlyPaths" } else { "linux.maskedPaths" };
        return Err(invalid(
            field,
            "unable to restrict sys entries without a private MNT namespace: the host would see it",
        ));
    }
    if !linux.time_offsets.is_empty() && !has("time") {
        return Err(invalid(
            "linux.timeOffsets",
            "time namespace offsets specified, but time namespace isn't enabled in the config",
        ));
    }
    if let Some(clock) = linux.time_offsets.keys().find(|clock| !matches!(&***clock, "monotonic" | "boottime")) {
        return Err(invalid(
            "linux.timeOffsets",
            format!("there is no clock \"{clock}\": monotonic and boottime have offsets"),
        ));
    }
    Ok(())
}

/// As runc's validator: a parameter is set only where it belongs to a namespace of the container's own, or the host
/// would be changed.
fn sysctl(spec: &Spec<'_>) -> Result<(), Error> {
    let has = |wanted: &str| {
        spec.linux.namespaces.iter().any(|namespace| kind(&namespace.kind).is_some_and(|kind| kind.words() == wanted))
    };
    let own = |wanted: &str| {
        spec.linux.namespaces.iter().any(|namespace| {
            kind(&namespace.kind).is_some_and(|kind| kind.words() == wanted)
                && (namespace.path.is_empty() || !is_own(wanted, &namespace.path))
        })
    };
    for name in spec.linux.sysctl.keys() {
        let field = || format!("linux.sysctl[\"{name}\"]");
        if name.split(['.', '/']).any(str::is_empty) || name.contains("..") {
            return Err(invalid(field(), "not the name of a kernel parameter"));
        }
        let dotted = dotted(name);
        let problem = if is_ipc(&dotted) {
            (!own("ipc")).then(|| format!("sysctl \"{name}\" is not allowed in the hosts ipc namespace"))
        } else if dotted.starts_with("net.") {
            (!own("network")).then(|| format!("sysctl \"{name}\" not allowed in host network namespace"))
        } else if dotted == "kernel.domainname" {
            if has("uts") && spec.domainname.is_empty() {
                None
            } else if has("uts") {
                Some("it conflicts with the OCI field domainname".to_owned())
            } else {
                Some(format!("sysctl \"{name}\" is not allowed without a UTS namespace of the container's own"))
            }
        } else if dotted == "kernel.hostname" {
            Some("it conflicts with the OCI field hostname, which sets it".to_owned())
        } else if dotted.starts_with("user.") && has("user") {
            None
        } else {
            Some(format!("sysctl \"{name}\" is not in a separate kernel namespace"))
        };
        if let Some(problem) = problem {
            return Err(invalid(field(), problem));
        }
    }
    Ok(())
}

/// The runtime's own namespace by another name.
fn is_own(kind: &str, path: &str) -> bool {
    let file = if kind == "network" { "net" } else { kind };
    ["/proc/self/ns/", "/proc/thread-self/ns/", "/proc/1/ns/"]
        .iter()
        .any(|prefix| path.strip_prefix(prefix) == Some(file))
}

/// sysctl(8) takes `net/ipv4/conf/eth0.1/forwarding` too: there the slash separates and the dot is a dot.
pub(crate) fn dotted(name: &str) -> String {
    let first = name.find(['.', '/']);
    match first.map(|at| name.as_bytes()[at]) {
        Some(b'/') => name
            .chars()
            .map(|c| {
                if c == '/' {
                    '.'
                } else if c == '.' {
                    '/'
                } else {
                    c
                }
            })
            .collect(),
        _ => name.to_owned(),
    }
}

fn is_ipc(name: &str) -> bool {
    const KERNEL: [&str; 8] = ["msgmax", "msgmnb", "msgmni", "sem", "shmall", "shmmax", "shmmni", "shm_rmid_forced"];
    name.starts_with("fs.mqueue.") || name.strip_prefix("kernel.").is_some_and(|rest| KERNEL.contains(&rest))
}
