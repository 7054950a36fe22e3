//! Steps in words: what `rt explain` shows, and what an error names.

use crate::message::NONE;
use crate::step::{Capabilities, Change, Device, DeviceKind, Follow, Namespace, Propagate, Rlimit, Step, Target, Tree};
use crate::text::Text;
use core::fmt::{self, Display};

/// As `rt explain` shows it and as an error names it.
impl Display for Step<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::AwaitParent {} => f.write_str("wait for the parent"),
            Self::Undumpable {} => f.write_str("keep others out of init's memory"),
            Self::JoinCgroup { controllers, .. } => write!(f, "join the {controllers} cgroup"),
            Self::JoinNamespace { kind, path, .. } => write!(f, "join the {kind} namespace {path}"),
            Self::JoinContainer { namespaces, root, .. } => {
                write!(f, "join the container's namespaces ({})", NamespaceNames(namespaces))?;
                f.write_str(if root == NONE { "" } else { " and its root" })
            }
            Self::Unshare { kind } => write!(f, "unshare the {kind} namespace"),
            Self::NewSession {} => f.write_str("start a session"),
            Self::SessionKeyring { name } => write!(f, "join a new session keyring {name}"),
            Self::Propagation { change, tree } => write!(f, "make / {}{change}", r(tree)),
            Self::OpenRoot { path, parent, .. } => write!(f, "open the root {path}{}", spaced(parent.words())),
            Self::Mount { fstype, source, target, flags, data, hold, copy_up } => {
                write!(f, "mount {fstype} on {target}")?;
                if source != fstype && !source.is_empty() {
                    write!(f, " from {source}")?;
                }
                options(f, flags, data)?;
                if copy_up {
                    f.write_str(", copying its content up")?;
                }
                held(f, hold)
            }
            Self::Bind { source, target, tree, follow, top, whole } => {
                let verb = if tree == Tree::Whole { "rbind" } else { "bind" };
                write!(f, "{verb} {source} on {target}")?;
                if follow != Follow::Both {
                    write!(f, " ({follow})")?;
                }
                changes(f, top, whole)
            }
            Self::Reattribute { target, tree, change } => {
                write!(f, "change {target}")?;
                match tree {
                    Tree::Top => changes(f, change, Change::NONE),
                    Tree::Whole => changes(f, Change::NONE, change),
                }
            }
            Self::Remount { target, flags, data } => {
                write!(f, "remount {target}")?;
                options(f, flags, data)
            }
            Self::Symlink { target, text, .. } => write!(f, "link {target} to {text}"),
            Self::MakeDevice { target, device } => write!(f, "make {target}, {device}"),
            Self::BindDevice { target, device } => write!(f, "bind the host's {target}, {device}"),
            Self::ReopenNull { target } => write!(f, "reopen {target} where stdio is the host's"),
            Self::HideMount { path } => write!(f, "hide {path} of the host"),
            Self::AwaitHooks {} => f.write_str("wait for the hooks of the host's side"),
            Self::RunHook { kind, number, path, .. } => write!(f, "run {kind} hook #{number}: {path}"),
            Self::Terminal { rows: 0, columns: 0, .. } => f.write_str("make a terminal"),
            Self::Terminal { rows, columns, .. } => write!(f, "make a terminal of {columns} by {rows}"),
            Self::Console { target } => write!(f, "bind the terminal on {target}"),
            Self::EnterRoot { how } => write!(f, "{how} into the root"),
            Self::RootPropagation { change, tree } => write!(f, "make the root {}{change}", r(tree)),
            Self::OpenProc { hold } => {
                f.write_str("open a procfs of our own")?;
                held(f, hold)
            }
            Self::Sysctl { file, value, .. } => write!(f, "set /proc/sys/{file} to {value}"),
            Self::ReadOnlyPath { target } => write!(f, "make {target} read-only"),
            Self::MaskPath { target, .. } => write!(f, "mask {target}"),
            Self::MakeDirectory { path } => write!(f, "make the directory {path} if it is missing"),
            Self::ReadOnlyRoot {} => f.write_str("make the root read-only"),
            Self::Hostname { name } => write!(f, "set the host name {name}"),
            Self::Domainname { name } => write!(f, "set the domain name {name}"),
            Self::LoopbackUp {} => f.write_str("bring the loopback interface up"),
            Self::Limit { limit } => write!(f, "set {limit}"),
            Self::ExecLabel { kind, label, .. } => write!(f, "set the {kind} {label}"),
            Self::Personality { persona } => write!(f, "set the personality {persona:#x}"),
            Self::Schedule { scheduler } => write!(f, "set the scheduling policy {}", scheduler.policy),
            Self::IoPriority { value } => {
                write!(f, "set the I/O priority, class {} level {}", value >> 13, value & 0x1fff)
            }
            Self::Umask { mask } => write!(f, "set the umask {mask:04o}"),
            Self::OwnStdio { uid } => write!(f, "give stdio to user {uid}"),
            Self::EnterDirectory { path } => write!(f, "enter the working directory {path}"),
            Self::VerifyDirectory { path } => write!(f, "verify the working directory {path}"),
            Self::ResetAffinity {} => f.write_str("use every processor that the cgroup allows"),
            Self::Affinity { mask } => write!(f, "use the processors {}", Processors(mask.0)),
            Self::BoundingSet { keep, .. } => write!(f, "keep {} in the bounding set", CapabilityNames(keep)),
            Self::Groups { ids } if ids.is_empty() => f.write_str("drop all additional groups"),
            Self::Groups { ids } => write!(f, "set the additional groups {ids}"),
            Self::User { uid, gid } => write!(f, "become user {uid}, group {gid}"),
            Self::CapabilitySets { sets } => write!(f, "set the capabilities {sets}"),
            Self::NoNewPrivileges {} => f.write_str("set no_new_privs"),
            Self::Seccomp { filter, when, .. } => {
                write!(f, "load a seccomp filter of {} instructions{when}", filter.0.len() / 8)
            }
            Self::FindProgram { name, .. } => write!(f, "exec: \"{name}\""),
            Self::Ready {} => f.write_str("report, and wait for the state to be written"),
            Self::AwaitStart { .. } => f.write_str("wait for start"),
            Self::CloseDescriptors { first } => write!(f, "close the descriptors from {first} on"),
            Self::Exec { args, .. } => match args.iter().next() {
                Some(name) => write!(f, "exec {}", Text::from(name)),
                None => f.write_str("exec nothing"),
            },
            Self::Serve { args, linger, .. } => {
                let name = args.iter().next().map_or(Text::default(), Text::from);
                write!(f, "exec {name} as a child, and serve it; others may linger {linger} ms")
            }
        }
    }
}

impl Display for Target<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.path.fmt(f)
    }
}

impl Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.kind)?;
        if self.kind != DeviceKind::Fifo {
            write!(f, " {}:{}", self.major, self.minor)?;
        }
        write!(f, ", mode {:04o}", self.mode)?;
        if (self.uid, self.gid) != (0, 0) {
            write!(f, ", owner {}:{}", self.uid, self.gid)?;
        }
        Ok(())
    }
}

/// The names of `RLIMIT_*` by number, asm-generic/resource.h.
pub const LIMITS: [&str; 16] = [
    "CPU",
    "FSIZE",
    "DATA",
    "STACK",
    "CORE",
    "RSS",
    "NPROC",
    "NOFILE",
    "MEMLOCK",
    "AS",
    "LOCKS",
    "SIGPENDING",
    "MSGQUEUE",
    "NICE",
    "RTPRIO",
    "RTTIME",
];

impl Display for Rlimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = LIMITS.get(self.resource as usize).copied().unwrap_or("?");
        write!(f, "RLIMIT_{name} to {}:{}", Amount(self.soft), Amount(self.hard))
    }
}

/// A limit's value: all ones is none.
pub struct Amount(pub u64);

impl Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            u64::MAX => f.write_str("unlimited"),
            amount => write!(f, "{amount}"),
        }
    }
}

impl Display for Capabilities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "permitted {}", CapabilityNames(self.permitted))?;
        if self.effective != self.permitted {
            write!(f, "; effective {}", CapabilityNames(self.effective))?;
        }
        if self.inheritable != 0 {
            write!(f, "; inheritable {}", CapabilityNames(self.inheritable))?;
        }
        if self.ambient != 0 {
            write!(f, "; ambient {}", CapabilityNames(self.ambient))?;
        }
        Ok(())
    }
}

/// Capabilities by number, without `CAP_`: capabilities(7) up to Linux 5.9.
pub const CAPABILITIES: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

/// A set of capabilities by name.
pub struct CapabilityNames(pub u64);

impl Display for CapabilityNames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 {
            return f.write_str("none");
        }
        let named = CAPABILITIES.iter().enumerate().filter(|(number, _)| self.0 >> number & 1 == 1);
        for (index, (_, name)) in named.enumerate() {
            if index > 0 {
                f.write_str(" ")?;
            }
            f.write_str(name)?;
        }
        Ok(())
    }
}

fn r(tree: Tree) -> &'static str {
    match tree {
        Tree::Top => "",
        Tree::Whole => "r",
    }
}

/// The kinds of namespace in a set of `CLONE_NEW*` bits.
struct NamespaceNames(u32);

impl Display for NamespaceNames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut begun = false;
        for kind in (0..8).filter_map(Namespace::from_number).filter(|kind| self.0 & kind.flag() != 0) {
            write!(f, "{}{kind}", if begun { " " } else { "" })?;
            begun = true;
        }
        if begun { Ok(()) } else { f.write_str("none") }
    }
}

/// The processors of a mask, a bit each, as cpuset(7) lists them: `0-3,7`.
struct Processors<'a>(&'a [u8]);

impl Display for Processors<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let has = |number: usize| self.0.get(number / 8).is_some_and(|byte| byte >> (number % 8) & 1 == 1);
        let mut begun = false;
        let mut number = 0;
        while number < self.0.len() * 8 {
            let first = number;
            while has(number) {
                number += 1;
            }
            if number > first {
                write!(f, "{}{first}", if begun { "," } else { "" })?;
                if number > first + 1 {
                    write!(f, "-{}", number - 1)?;
                }
                begun = true;
            }
            number += 1;
        }
        Ok(())
    }
}

struct Spaced(&'static str);

fn spaced(words: &'static str) -> Spaced {
    Spaced(words)
}

impl Display for Spaced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() { Ok(()) } else { write!(f, " {}", self.0) }
    }
}

fn held(f: &mut fmt::Formatter<'_>, hold: u8) -> fmt::Result {
    if hold == 0 { Ok(()) } else { write!(f, " and hold it") }
}

/// Mount flags in mount(8)'s words, `MS_*` bit by bit.
const FLAGS: [(u32, &str); 13] = [
    (1, "ro"),
    (1 << 1, "nosuid"),
    (1 << 2, "nodev"),
    (1 << 3, "noexec"),
    (1 << 4, "sync"),
    (1 << 6, "mand"),
    (1 << 7, "dirsync"),
    (1 << 8, "nosymfollow"),
    (1 << 10, "noatime"),
    (1 << 11, "nodiratime"),
    (1 << 21, "relatime"),
    (1 << 24, "strictatime"),
    (1 << 25, "lazytime"),
];

fn options(f: &mut fmt::Formatter<'_>, flags: u32, data: Text<'_>) -> fmt::Result {
    let mut list = List { f, begun: false };
    for (_, name) in FLAGS.iter().filter(|(bit, _)| flags & bit != 0) {
        list.word(name)?;
    }
    if !data.is_empty() {
        list.word(data)?;
    }
    list.end()
}

/// Words in brackets, with commas; nothing at all for none.
struct List<'a, 'f> {
    f: &'a mut fmt::Formatter<'f>,
    begun: bool,
}

impl List<'_, '_> {
    fn word(&mut self, word: impl Display) -> fmt::Result {
        self.f.write_str(if self.begun { "," } else { " (" })?;
        self.begun = true;
        write!(self.f, "{word}")
    }

    fn end(self) -> fmt::Result {
        if self.begun { self.f.write_str(")") } else { Ok(()) }
    }
}

/// `MOUNT_ATTR_*` in mount(8)'s words: set, and cleared.
const ATTRIBUTES: [(u64, &str, &str); 6] = [
    (0x1, "ro", "rw"),
    (0x2, "nosuid", "suid"),
    (0x4, "nodev", "dev"),
    (0x8, "noexec", "exec"),
    (0x80, "nodiratime", "diratime"),
    (0x20_0000, "nosymfollow", "symfollow"),
];
const ATIME: u64 = 0x70;

/// What changes for the mount itself, and with an `r` before it what changes for all below it too.
fn changes(f: &mut fmt::Formatter<'_>, top: Change, whole: Change) -> fmt::Result {
    let mut list = List { f, begun: false };
    for (prefix, change) in [("", top), ("r", whole)] {
        for (bit, set, clear) in ATTRIBUTES {
            if change.set & bit != 0 {
                list.word(format_args!("{prefix}{set}"))?;
            } else if change.clear & bit != 0 {
                list.word(format_args!("{prefix}{clear}"))?;
            }
        }
        if change.clear & ATIME != 0 {
            let name = match change.set & ATIME {
                0x10 => "noatime",
                0x20 => "strictatime",
                _ => "relatime",
            };
            list.word(format_args!("{prefix}{name}"))?;
        }
        if change.propagation != Propagate::Keep {
            list.word(format_args!("{prefix}{}", change.propagation))?;
        }
    }
    list.end()
}
