//! The facts of this machine, looked up once.

use crate::Error;
use crate::error::On;
use rt_cgroup::{Layout, Place};
use rt_plan::Spec;
use rt_plan::host::{Cgroups, Hierarchy, Host};
use rt_plan::spec::Process;
use rt_seccomp::Flag;
use rustix::fs::{Access, CWD, Mode, OFlags, access, openat};
use std::fs;
use std::path::Path;

/// What this process may do, and what this kernel has, as far as `spec` wants to know it.
pub(crate) fn host(spec: &Spec<'_>) -> Result<Host, Error> {
    let process = spec.process.as_ref();
    let labelled =
        process.is_some_and(|process| !process.selinux_label.is_empty()) || !spec.linux.mount_label.is_empty();
    let host = facts(process.is_some_and(|process| !process.apparmor_profile.is_empty()), labelled)?;
    // One call, where std asks a second time what a missing file is.
    let flags = spec.linux.seccomp.as_ref().and_then(|profile| profile.flags.as_deref()).unwrap_or_default();
    let seccomp_flags = seccomp_flags(flags);
    // One call, where std asks a second time what a missing file is.
    Ok(Host { seccomp_flags, kcore: access("/proc/kcore", Access::EXISTS).is_ok(), ..host })
}

/// What seccomp(2) knows on any kernel that rt runs on, and what is newer if it is asked for.
fn seccomp_flags(asked: &[Flag]) -> u32 {
    let newer = asked.iter().filter(|flag| !SINCE_5_0.contains(flag) && rt_sys::filter::knows(flag.bit()));
    SINCE_5_0.iter().chain(newer).fold(0, |flags, flag| flags | flag.bit())
}

const SINCE_5_0: [Flag; 3] = [Flag::Tsync, Flag::Log, Flag::SpecAllow];

/// The flags of `linux.seccomp` that can be had on this machine.
pub fn supported_flags() -> impl Iterator<Item = Flag> {
    let supported = seccomp_flags(Flag::ALL);
    Flag::ALL.iter().copied().filter(move |flag| flag.bit() & supported != 0)
}

/// The same for a process that joins a container.
pub(crate) fn of_process(process: &Process<'_>) -> Result<Host, Error> {
    facts(!process.apparmor_profile.is_empty(), !process.selinux_label.is_empty())
}

fn facts(confined: bool, labelled: bool) -> Result<Host, Error> {
    let status = proc_file("/proc/self/status")?;
    let bits = |name: &str| field(&status, name).and_then(|text| u64::from_str_radix(text, 16).ok()).unwrap_or(0);
    let id =
        |name: &str| field(&status, name).and_then(|text| text.split_whitespace().next()?.parse().ok()).unwrap_or(0);
    Ok(Host {
        uid: id("Uid:"),
        gid: id("Gid:"),
        permitted: bits("CapEff:"),
        bounding: bits("CapBnd:"),
        ignored_signals: bits("SigIgn:"),
        apparmor: confined && apparmor(),
        selinux: labelled && selinux(),
        ..Host::default()
    })
}

/// A small file of procfs, in one read: the kernel makes such a file whole for it.
pub(crate) fn proc_file(path: &str) -> Result<String, Error> {
    let file = openat(CWD, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).on("open", path)?;
    let mut bytes = vec![0; 4096];
    let len = rustix::io::read(&file, &mut bytes).on("read", path)?;
    bytes.truncate(len);
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn field<'a>(status: &'a str, name: &str) -> Option<&'a str> {
    status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim)
}

pub(crate) fn apparmor() -> bool {
    fs::read_to_string("/sys/module/apparmor/parameters/enabled").is_ok_and(|enabled| enabled.starts_with('Y'))
}

pub(crate) fn selinux() -> bool {
    Path::new("/sys/fs/selinux/enforce").exists()
}

/// Who we are to the machine's systemd: in a user namespace that a user has made, root is that user.
pub(crate) fn outer_user(host: &Host) -> u32 {
    match host.uid {
        0 => proc_file("/proc/self/uid_map").ok().and_then(|map| outside(&map, 0)).unwrap_or(0),
        uid => uid,
    }
}

/// user_namespaces(7): inside, outside, how many.
fn outside(map: &str, uid: u32) -> Option<u32> {
    map.lines().find_map(|line| {
        let mut numbers = line.split_whitespace().map_while(|number| number.parse::<u32>().ok());
        let (inside, outside, count) = (numbers.next()?, numbers.next()?, numbers.next()?);
        let offset = uid.checked_sub(inside).filter(|offset| *offset < count)?;
        outside.checked_add(offset)
    })
}

/// The cgroup file systems as a plan sees them: what a mount of type `cgroup` shows, and what init joins.
pub(crate) fn cgroups(layout: &Layout, place: &Place) -> Cgroups {
    match layout {
        Layout::None => Cgroups::None,
        Layout::Unified(hierarchy) => Cgroups::Unified { mount: hierarchy.mount.clone() },
        Layout::Legacy { v1, .. } => Cgroups::Legacy {
            hierarchies: v1
                .iter()
                .map(|hierarchy| {
                    let name = hierarchy.mount.rsplit('/').next().unwrap_or_default().to_owned();
                    let directory = hierarchy.controllers.first().and_then(|controller| place.dir(controller));
                    Hierarchy {
                        controllers: hierarchy.controllers.clone(),
                        name,
                        directory: directory.unwrap_or(&hierarchy.mount).to_owned(),
                        joined: directory.is_some(),
                    }
                })
                .collect(),
        },
    }
}

/// Mount points of procfs and sysfs, the deepest first: what --no-pivot has to cover.
pub(crate) fn kernel_mounts() -> Result<Vec<String>, Error> {
    let mountinfo = fs::read_to_string("/proc/self/mountinfo").on("read", "/proc/self/mountinfo")?;
    Ok(parse_kernel_mounts(&mountinfo))
}

/// proc(5): the mount point is the fifth field, escaped; the type follows the hyphen.
fn parse_kernel_mounts(mountinfo: &str) -> Vec<String> {
    let mut points: Vec<String> = mountinfo
        .lines()
        .filter_map(|line| {
            let (before, after) = line.split_once(" - ")?;
            let kind = after.split(' ').next()?;
            matches!(kind, "proc" | "sysfs").then(|| unescape(before.split(' ').nth(4).unwrap_or_default()))
        })
        .collect();
    points.sort_by_key(|point| std::cmp::Reverse(point.len()));
    points
}

/// Octal escapes of space, tab, newline and backslash.
fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        match rest.get(at + 1..at + 4).and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) => {
                out.push(char::from(byte));
                rest = &rest[at + 4..];
            }
            None => {
                out.push('\\');
                rest = &rest[at + 1..];
            }
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_outside_is_looked_up_in_the_map() {
        assert_eq!(outside("         0          0 4294967295\n", 0), Some(0));
        assert_eq!(outside("         0       1000          1\n         1     100000      65536\n", 0), Some(1000));
        assert_eq!(outside("         0       1000          1\n         1     100000      65536\n", 7), Some(100_006));
        assert_eq!(outside("", 0), None);
    }

    #[test]
    fn kernel_mounts_come_deepest_first_and_unescaped() {
        let mountinfo = "22 1 0:20 / /proc rw - proc proc rw\n\
                         23 1 0:21 / /sys rw shared:2 - sysfs sysfs rw\n\
                         24 1 8:1 / / rw - ext4 /dev/vda rw\n\
                         25 24 0:20 / /srv/a\\040b/proc rw - proc proc rw\n";
        assert_eq!(parse_kernel_mounts(mountinfo), ["/srv/a b/proc", "/proc", "/sys"]);
    }
}
