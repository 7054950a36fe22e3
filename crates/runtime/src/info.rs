//! `info`: what this machine has of what rt needs. Each fact is asked for, none is guessed from a version, and nothing
//! changes by the asking.

use crate::{probe, program};
use rt_cgroup::Layout;
use rt_plan::{NAMESPACES, capabilities};
use rt_wire::{CapabilityNames, Namespace};
use rustix::fs::{AtFlags, CWD, Mode, OFlags, ResolveFlags, StatxAttributes, StatxFlags, openat2, statx};
use rustix::io::Errno;
use rustix::process::{PidfdFlags, getegid, geteuid, getpid, pidfd_open};
use rustix::system::uname;
use serde::Serialize;
use std::fmt;
use std::fs;
use std::path::Path;

/// The facts.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Info {
    /// What hinders `create` and `run`, in words. Nothing: they can work.
    pub problems: Vec<String>,
    /// The kernel.
    pub kernel: Kernel,
    /// Who asks.
    pub user: User,
    /// The cgroup file systems.
    pub cgroups: Cgroups,
    /// Kinds of namespace that the kernel has.
    pub namespaces: Vec<&'static str>,
    /// User namespaces: how many, and whose.
    pub user_namespaces: UserNamespaces,
    /// AppArmor is enabled.
    pub apparmor: bool,
    /// SELinux is enabled.
    pub selinux: bool,
    /// `vm.memfd_noexec`: 2 forbids memory files that can be executed. None before Linux 6.3.
    pub memfd_noexec: Option<u32>,
    /// System calls and files that rt uses.
    pub features: Vec<Feature>,
}

/// uname(2).
#[derive(Debug, Serialize)]
pub struct Kernel {
    /// `6.12.1`.
    pub release: String,
    /// `x86_64`.
    pub machine: String,
}

/// This process.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct User {
    /// Its effective user.
    pub uid: u32,
    /// Its effective group.
    pub gid: u32,
    /// What it may do.
    pub capabilities: Vec<String>,
    /// Its user namespace maps every id to itself, as the first one does. None: /proc does not say.
    pub all_ids: Option<bool>,
    #[serde(skip)]
    effective: u64,
}

/// Where cgroups are.
#[derive(Debug, Serialize)]
pub struct Cgroups {
    /// `v2`, `v1`, `hybrid` (v1 with a v2 beside it), `none` or `unknown`.
    pub layout: &'static str,
    /// Each file system.
    pub hierarchies: Vec<Hierarchy>,
}

/// A cgroup file system.
#[derive(Debug, Serialize)]
pub struct Hierarchy {
    /// 1 or 2.
    pub version: u8,
    /// Where it is mounted.
    pub mount: String,
    /// The cgroup of this process, below `mount`.
    pub own: String,
    /// What can be limited there.
    pub controllers: Vec<String>,
}

/// user_namespaces(7).
#[derive(Debug, Serialize)]
pub struct UserNamespaces {
    /// `user.max_user_namespaces`; 0 where there are none.
    pub max: u64,
    /// Whether those without root's rights may make one.
    pub everybody: bool,
}

/// Something of the kernel's.
#[derive(Debug, Serialize)]
pub struct Feature {
    /// What it is called.
    pub name: &'static str,
    /// The Linux that brought it.
    pub since: &'static str,
    /// No container can do without.
    pub needed: bool,
    /// What it is for.
    pub purpose: &'static str,
    /// Whether it is there.
    pub found: Found,
}

/// The answer of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Found {
    /// It is there.
    Yes,
    /// This kernel does not have it.
    No,
    /// It is not for this process: a filter, a security module or a setting is in the way.
    Forbidden,
    /// It can't be seen from here.
    Unknown,
}

/// A bit for each that has a name.
const EVERY_CAPABILITY: u64 = (1 << rt_wire::CAPABILITIES.len()) - 1;

/// Look.
pub fn info() -> Info {
    let (layout, v2) = cgroups();
    let features = features(v2);
    let user = user();
    let name = uname();
    Info {
        problems: problems(&features, &user),
        kernel: Kernel {
            release: name.release().to_string_lossy().into_owned(),
            machine: name.machine().to_string_lossy().into_owned(),
        },
        user,
        cgroups: layout,
        namespaces: namespaces(),
        user_namespaces: user_namespaces(),
        apparmor: probe::apparmor(),
        selinux: probe::selinux(),
        memfd_noexec: number("/proc/sys/vm/memfd_noexec"),
        features,
    }
}

fn problems(features: &[Feature], user: &User) -> Vec<String> {
    let lacking = features.iter().filter(|feature| feature.needed && feature.found != Found::Yes);
    let mut problems: Vec<String> = lacking
        .map(|feature| match feature.found {
            Found::Forbidden => format!("{} is forbidden to this process", feature.name),
            _ => format!("the kernel lacks {}, which Linux {} has", feature.name, feature.since),
        })
        .collect();
    if capabilities::number("SYS_ADMIN").is_some_and(|admin| user.effective >> admin & 1 == 0) {
        problems.push("this user lacks CAP_SYS_ADMIN".to_owned());
    }
    if !Path::new("/proc/self/stat").exists() {
        problems.push("there is no procfs on /proc".to_owned());
    }
    problems
}

fn user() -> User {
    let effective = rustix::thread::capabilities(None).map_or(0, |sets| sets.effective.bits());
    let names = capabilities::names().enumerate();
    User {
        uid: geteuid().as_raw(),
        gid: getegid().as_raw(),
        capabilities: names.filter(|(number, _)| effective >> number & 1 == 1).map(|(_, name)| name).collect(),
        all_ids: fs::read_to_string("/proc/self/uid_map")
            .ok()
            .map(|map| map.split_whitespace().eq(["0", "0", "4294967295"])),
        effective,
    }
}

/// What there is, and the v2 hierarchy among it.
fn cgroups() -> (Cgroups, Option<rt_cgroup::Hierarchy>) {
    let (name, v1, v2) = match Layout::probe() {
        Ok(Layout::None) => ("none", Vec::new(), None),
        Ok(Layout::Unified(v2)) => ("v2", Vec::new(), Some(v2)),
        Ok(Layout::Legacy { v1, unified: None }) => ("v1", v1, None),
        Ok(Layout::Legacy { v1, unified }) => ("hybrid", v1, unified),
        Err(_) => ("unknown", Vec::new(), None),
    };
    let mut hierarchies: Vec<Hierarchy> = v1
        .into_iter()
        .map(|found| Hierarchy { version: 1, mount: found.mount, own: found.own, controllers: found.controllers })
        .collect();
    hierarchies.extend(v2.as_ref().map(|found| {
        let controllers = fs::read_to_string(format!("{}/cgroup.controllers", found.mount)).unwrap_or_default();
        Hierarchy {
            version: 2,
            mount: found.mount.clone(),
            own: found.own.clone(),
            controllers: controllers.split_whitespace().map(str::to_owned).collect(),
        }
    }));
    (Cgroups { layout: name, hierarchies }, v2)
}

fn namespaces() -> Vec<&'static str> {
    let kinds = NAMESPACES.iter().chain(&[Namespace::User]);
    let there = kinds.filter(|kind| Path::new(&format!("/proc/self/ns/{}", kind.file())).exists());
    there.map(|kind| kind.words()).collect()
}

fn user_namespaces() -> UserNamespaces {
    let max = if Path::new("/proc/self/ns/user").exists() {
        number("/proc/sys/user/max_user_namespaces").unwrap_or(0)
    } else {
        0
    };
    // Debian's switch, and Ubuntu's, which leaves such a namespace without rights.
    let forbidden = number::<u32>("/proc/sys/kernel/unprivileged_userns_clone") == Some(0)
        || number::<u32>("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") == Some(1);
    UserNamespaces { max, everybody: max > 0 && !forbidden }
}

fn features(v2: Option<rt_cgroup::Hierarchy>) -> Vec<Feature> {
    use rt_sys::probe::{bpf, clone_into_cgroup, close_on_exec_range, keyctl, mount_setattr, open_tree};
    let clone = clone_into_cgroup();
    let always = |name, since, purpose, found| Feature { name, since, needed: true, purpose, found };
    let maybe = |name, since, purpose, found| Feature { name, since, needed: false, purpose, found };
    let file = |name| v2.as_ref().map_or(Found::Unknown, |v2| interface(v2, name));
    vec![
        // An older one does not know the cgroup, but it is there.
        always("clone3(2)", "5.3", "init", answer(if clone == Err(Errno::TOOBIG) { Ok(()) } else { clone })),
        always("pidfd_open(2)", "5.3", "a process that can't become another", pidfd()),
        always("open_tree(2)", "5.2", "the root, binds, mounts that are held", answer(open_tree())),
        always("mount_setattr(2)", "5.12", "flags before anybody sees the mount", answer(mount_setattr())),
        always("openat2(2)", "5.6", "every path of the container", openat_in_root()),
        always("CLOSE_RANGE_CLOEXEC", "5.11", "no descriptor of the caller's inside", answer(close_on_exec_range())),
        maybe("CLONE_INTO_CGROUP", "5.7", "cgroup v2", answer(clone)),
        maybe("cgroup.freeze", "5.2", "pause on cgroup v2", file("cgroup.freeze")),
        maybe("cgroup.kill", "5.14", "kill --all in one write; else one by one", file("cgroup.kill")),
        maybe("bpf(2)", "4.15", "device rules on cgroup v2", answer(bpf())),
        maybe(
            "memory files to execute",
            "3.17",
            "init; else a file on a tmpfs",
            answer(program::memory_file().map(drop)),
        ),
        maybe("STATX_ATTR_MOUNT_ROOT", "5.8", "containers without a mount namespace", mount_root()),
        maybe("keyctl(2)", "2.6", "session keyrings; else the caller's", answer(keyctl())),
    ]
}

fn answer(answer: Result<(), Errno>) -> Found {
    match answer {
        Ok(()) => Found::Yes,
        // The call is there, but not what was asked of it.
        Err(Errno::NOSYS | Errno::INVAL | Errno::TOOBIG) => Found::No,
        Err(_) => Found::Forbidden,
    }
}

fn pidfd() -> Found {
    answer(pidfd_open(getpid(), PidfdFlags::empty()).map(drop))
}

fn openat_in_root() -> Found {
    let how = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    answer(openat2(CWD, "/", OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), how).map(drop))
}

fn mount_root() -> Found {
    let known = |stat: rustix::fs::Statx| stat.stx_attributes_mask.contains(StatxAttributes::MOUNT_ROOT);
    match statx(CWD, "/", AtFlags::empty(), StatxFlags::empty()).map(known) {
        Ok(true) => Found::Yes,
        Ok(false) => Found::No,
        Err(errno) => answer(Err(errno)),
    }
}

/// Whether cgroups have the file `name`. The root of a hierarchy has not, so another is looked at: ours, or any.
fn interface(v2: &rt_cgroup::Hierarchy, name: &str) -> Found {
    let own = format!("{}{}", v2.mount, v2.own);
    let cgroup = if v2.own == "/" || !Path::new(&own).exists() { child(&v2.mount) } else { Some(own) };
    match cgroup {
        None => Found::Unknown,
        Some(cgroup) if Path::new(&format!("{cgroup}/{name}")).exists() => Found::Yes,
        Some(_) => Found::No,
    }
}

fn child(directory: &str) -> Option<String> {
    let mut entries = fs::read_dir(directory).ok()?.flatten();
    let child = entries.find(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))?;
    child.path().into_os_string().into_string().ok()
}

/// A file with one number in it.
fn number<N: std::str::FromStr>(path: &str) -> Option<N> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Yes => "yes",
            Self::No => "no",
            Self::Forbidden => "forbidden",
            Self::Unknown => "unknown",
        })
    }
}

impl fmt::Display for Info {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let yes = |yes| if yes { "yes" } else { "no" };
        let line = |f: &mut fmt::Formatter<'_>, name: &str, text: &dyn fmt::Display| writeln!(f, "{name:17}{text}");
        line(f, "kernel", &format_args!("Linux {} on {}", self.kernel.release, self.kernel.machine))?;
        let inside = if self.user.all_ids == Some(false) { ", in a user namespace" } else { "" };
        line(f, "user", &format_args!("{}, group {}{inside}", self.user.uid, self.user.gid))?;
        let lacks = EVERY_CAPABILITY & !self.user.effective;
        match (lacks.count_ones(), self.user.effective.count_ones()) {
            (0, _) => line(f, "capabilities", &"all")?,
            (few, many) if few < many => line(f, "capabilities", &format_args!("all but {}", CapabilityNames(lacks)))?,
            _ => line(f, "capabilities", &CapabilityNames(self.user.effective))?,
        }
        line(f, "cgroups", &self.cgroups.layout)?;
        for hierarchy in &self.cgroups.hierarchies {
            let Hierarchy { version, mount, own, controllers } = hierarchy;
            let none = if controllers.is_empty() { "no controllers" } else { "" };
            let controllers = controllers.join(" ");
            line(f, "", &format_args!("v{version} on {mount}, in {own}: {controllers}{none}"))?;
        }
        line(f, "namespaces", &self.namespaces.join(" "))?;
        let whose = if self.user_namespaces.everybody { "everybody" } else { "root" };
        match self.user_namespaces.max {
            0 => line(f, "user namespaces", &"none")?,
            max => line(f, "user namespaces", &format_args!("{max} at most, for {whose}"))?,
        }
        line(f, "AppArmor", &yes(self.apparmor))?;
        line(f, "SELinux", &yes(self.selinux))?;
        match self.memfd_noexec {
            Some(policy) => line(f, "vm.memfd_noexec", &policy)?,
            None => line(f, "vm.memfd_noexec", &"not there")?,
        }
        for (title, needed) in [("needed always", true), ("needed for some things", false)] {
            writeln!(f, "{title}")?;
            for Feature { name, since, purpose, found, .. } in self.features.iter().filter(|one| one.needed == needed) {
                writeln!(f, "  {found:9}  {name:23}  Linux {since:4}  {purpose}")?;
            }
        }
        if self.problems.is_empty() {
            return writeln!(f, "nothing hinders create and run");
        }
        writeln!(f, "create and run can't work here")?;
        self.problems.iter().try_for_each(|problem| writeln!(f, "  {problem}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lacking(found: Found, effective: u64) -> Vec<String> {
        let feature = Feature { name: "openat2(2)", since: "5.6", needed: true, purpose: "paths", found };
        let other = Feature { needed: false, found: Found::No, name: "keyctl(2)", ..feature };
        let user = User { uid: 0, gid: 0, capabilities: Vec::new(), all_ids: None, effective };
        problems(&[feature, other], &user)
    }

    #[test]
    fn what_is_needed_and_not_there_is_a_problem() {
        assert_eq!(lacking(Found::Yes, u64::MAX), [""; 0]);
        assert_eq!(lacking(Found::No, u64::MAX), ["the kernel lacks openat2(2), which Linux 5.6 has"]);
        assert_eq!(lacking(Found::Forbidden, u64::MAX), ["openat2(2) is forbidden to this process"]);
        assert_eq!(lacking(Found::Yes, 0), ["this user lacks CAP_SYS_ADMIN"]);
    }

    #[test]
    fn answers_tell_a_missing_call_from_a_forbidden_one() {
        assert_eq!(answer(Err(Errno::NOSYS)), Found::No);
        assert_eq!(answer(Err(Errno::TOOBIG)), Found::No);
        assert_eq!(answer(Err(Errno::PERM)), Found::Forbidden);
        assert_eq!(answer(Err(Errno::ACCESS)), Found::Forbidden);
    }
}
