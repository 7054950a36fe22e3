//! What a plan is made of. A step is named for what it achieves and carries everything it needs; it is made in
//! `rt-plan`, printed here, and applied in `rt-init`.

use crate::message::{closed, message, record};
use crate::text::{Text, Texts};
use core::fmt::{self, Display};

message! {
    /// One thing init does. Doc comments name the system calls and, where it matters, the reason for the place.
    pub enum Step {
        /// Wait for the parent's `Proceed`: id maps are the parent's to write. recvfrom(2).
        AwaitParent {},
        /// Keep other processes of the container out of init's memory and descriptors: prctl(2), PR_SET_DUMPABLE.
        /// First where init enters a pid namespace that others live in (CVE-2016-9962).
        Undumpable {},
        /// Enter a cgroup v1: write `0` to its `tasks`, opened by the parent. Before a cgroup namespace is made.
        JoinCgroup { controllers: Text<'a>, tasks: u8, },
        /// setns(2) into a namespace that the parent has opened and verified.
        JoinNamespace { kind: Namespace, path: Text<'a>, namespace: u8, },
        /// unshare(2), for the cgroup namespace on v1: its root is the cgroup one is in.
        Unshare { kind: Namespace, },
        /// setsid(2): the caller's terminal is not the container's.
        NewSession {},
        /// A session keyring of the container's own: keyctl(2). ENOSYS and a full quota are fine, as for runc.
        SessionKeyring { name: Text<'a>, },
        /// Cut the mount namespace off from the host's: mount(2) on /, recursively. Before any mount.
        Propagation { change: Propagate, tree: Tree, },
        /// Clone the root file system's tree, make it private (unless it is to stay a slave), lay it over itself and hold
        /// it: open_tree(2), mount_setattr(2), move_mount(2). Every later path is resolved below this descriptor.
        OpenRoot { path: Text<'a>, change: Propagate, parent: Parent, },
        /// Mount a file system: mount(2) on a descriptor of its target, or fsopen(2) and fsmount(2) where the plan
        /// `hold`s it (a number from 1) for later steps to start from.
        Mount { fstype: Text<'a>, source: Text<'a>, target: Target<'a>, flags: u32, data: Text<'a>, hold: u8, copy_up: bool, },
        /// A cloned tree of the host's, made ready while nobody sees it, then laid on its target: open_tree(2),
        /// mount_setattr(2), move_mount(2). Options for the mount itself and for all below it.
        Bind { source: Text<'a>, target: Target<'a>, tree: Tree, follow: Follow, top: Change, whole: Change, },
        /// Change a mount that is there: mount_setattr(2).
        Reattribute { target: Target<'a>, tree: Tree, change: Change, },
        /// The option `remount`: mount(2) with MS_REMOUNT.
        Remount { target: Target<'a>, flags: u32, data: Text<'a>, },
        /// symlink(2). What is there stays, as for runc, unless the container can't do without the link: `replace`.
        Symlink { target: Target<'a>, text: Text<'a>, replace: bool, },
        /// mknod(2), chown(2). What is there stays; where mknod is refused the host's node is bound.
        MakeDevice { target: Target<'a>, device: Device, },
        /// The host's device over an empty file, where mknod is refused.
        BindDevice { target: Target<'a>, device: Device, },
        /// Reopen descriptors 0 to 2 that are the host's /dev/null as the container's, so that the host's /dev is not
        /// kept busy and a checkpoint can be restored.
        ReopenNull { target: Target<'a>, },
        /// --no-pivot: cover a proc or sysfs of the host, which MS_MOVE would leave reachable with nothing masked.
        HideMount { path: Text<'a>, },
        /// Make the held tree the root: pivot_root(2), or mount(2) MS_MOVE and chroot(2), or chroot(2) alone.
        /// From here on no path of the host can be named.
        EnterRoot { how: Enter, },
        /// rootfsPropagation, on the new root. After `EnterRoot`, or the host's namespace would see it, and after what is
        /// bound on itself, which an unbindable mount can't be.
        RootPropagation { change: Propagate, tree: Tree, },
        /// A procfs of our own that nothing in the container can have mounted over, held: fsopen(2), fsmount(2).
        /// Where the plan has none that is writable and someone writes to one (CVE-2019-16884).
        OpenProc { hold: u8, },
        /// Write to /proc/sys through the held procfs, never through a path (CVE-2025-52881).
        Sysctl { proc: u8, file: Text<'a>, value: Text<'a>, },
        /// Make a path read-only: bind it on itself. A missing path is fine.
        ReadOnlyPath { target: Target<'a>, },
        /// Hide a path: the container's own /dev/null, verified, over a file (CVE-2025-31133), an empty read-only
        /// tmpfs over a directory. A missing path is fine.
        MaskPath { target: Target<'a>, null: Target<'a>, },
        /// Make the working directory where it is missing. Before the root is read-only.
        MakeDirectory { path: Text<'a>, },
        /// Make the root read-only. After everything that writes to it.
        ReadOnlyRoot {},
        /// sethostname(2).
        Hostname { name: Text<'a>, },
        /// setdomainname(2).
        Domainname { name: Text<'a>, },
        /// Loopback up: ioctl(2) SIOCSIFFLAGS.
        LoopbackUp {},
        /// setrlimit(2). What can't be raised gets the nearest value and a warning. Before the user changes.
        Limit { limit: Rlimit, },
        /// oom_score_adj through the held procfs. What may not be lowered is a warning.
        OomScore { proc: u8, value: i32, },
        /// The label for the next exec: AppArmor's or SELinux's, through the held procfs.
        ExecLabel { proc: u8, kind: LabelKind, label: Text<'a>, },
        /// personality(2).
        Personality { persona: u32, },
        /// sched_setattr(2).
        Schedule { scheduler: Scheduler, },
        /// ioprio_set(2): class and level as the kernel packs them.
        IoPriority { value: u32, },
        /// umask(2). After everything that creates.
        Umask { mask: u32, },
        /// Descriptors 0 to 2 that are pipes, sockets or files become the user's. Never a device.
        OwnStdio { uid: u32, },
        /// The working directory, resolved below the root and without magic links
        /// (CVE-2024-21626). One that root can't enter (a squashed NFS) is left to `VerifyDirectory`. After
        /// `ReadOnlyPath` and `MaskPath`, or it could lie beneath what they cover.
        EnterDirectory { path: Text<'a>, },
        /// As `EnterDirectory` for the user, where root could not; then getcwd(2) must lie inside.
        VerifyDirectory { path: Text<'a>, },
        /// Use every processor that the cgroup allows, whatever the caller was bound to: sched_setaffinity(2).
        ResetAffinity {},
        /// prctl(2), PR_CAPBSET_DROP of each capability in `lose`; `keep` is what stays. While CAP_SETPCAP is there.
        BoundingSet { keep: u64, lose: u64, },
        /// setgroups(2).
        Groups { ids: Texts<'a>, },
        /// setresgid(2), setresuid(2), keeping capabilities until `Capabilities` sets them.
        User { uid: u32, gid: u32, },
        /// capset(2), and the ambient set by prctl(2).
        CapabilitySets { sets: Capabilities, },
        /// prctl(2), PR_SET_NO_NEW_PRIVS.
        NoNewPrivileges {},
        /// Find the program before anybody waits, so that `create` can say it is missing. As the user.
        FindProgram { name: Text<'a>, path: Text<'a>, },
        /// Tell the parent that all is done, and wait for its `Proceed`: state is written in between.
        Ready {},
        /// Close every descriptor from `first` on that the walk has used, close_range(2), and wait for `start` to connect,
        /// accept4(2). What fails from here on is `start`'s to tell.
        AwaitStart { first: u32, },
        /// Close everything past stdio and what the caller preserves: close_range(2). The second lock: every
        /// descriptor is close-on-exec from birth.
        CloseDescriptors { first: u32, },
        /// execve(2). `path` is searched for a name without a slash; HOME comes from the container's passwd for
        /// `home` (a user's number, as text; empty: it is in `env`).
        Exec { args: Texts<'a>, env: Texts<'a>, path: Text<'a>, home: Text<'a>, },
    }
}

record! {
    /// A path in the container, absolute. Where it lies below a file system that init holds, its rest after
    /// `skip` bytes is looked up from there, where only the kernel makes names; else below the root.
    pub struct Target<'a> {
        /// The whole path.
        pub path: Text<'a>,
        /// Which held file system, from 1; 0 for the root.
        pub held: u8,
        /// Bytes of `path` that name the held one.
        pub skip: u16,
        /// On a tmpfs that this plan has just mounted: nothing is there yet, so it is made without a look first.
        pub fresh: bool,
    }
}

impl<'a> Target<'a> {
    /// Below the root.
    pub fn in_root(path: &'a str) -> Self {
        Self { path: path.into(), held: 0, skip: 0, fresh: false }
    }
}

record! {
    /// `MOUNT_ATTR_*` and propagation, mount_setattr(2).
    pub struct Change {
        /// To set.
        pub set: u64,
        /// To clear.
        pub clear: u64,
        /// How events travel.
        pub propagation: Propagate,
    }
}

impl Change {
    /// Nothing.
    pub const NONE: Self = Self { set: 0, clear: 0, propagation: Propagate::Keep };
}

record! {
    /// A device node.
    pub struct Device {
        /// Character, block or FIFO.
        pub kind: DeviceKind,
        /// Its major number.
        pub major: u32,
        /// Its minor number.
        pub minor: u32,
        /// Permission bits.
        pub mode: u32,
        /// Its owner.
        pub uid: u32,
        /// Its group.
        pub gid: u32,
    }
}

record! {
    /// setrlimit(2). `u64::MAX` is no limit.
    pub struct Rlimit {
        /// `RLIMIT_*`.
        pub resource: u32,
        /// The soft limit.
        pub soft: u64,
        /// The hard limit.
        pub hard: u64,
    }
}

record! {
    /// sched_setattr(2).
    pub struct Scheduler {
        /// `SCHED_*`.
        pub policy: u32,
        /// `SCHED_FLAG_*`.
        pub flags: u64,
        /// Nice value.
        pub nice: i32,
        /// Static priority.
        pub priority: u32,
        /// Nanoseconds.
        pub runtime: u64,
        /// Nanoseconds.
        pub deadline: u64,
        /// Nanoseconds.
        pub period: u64,
    }
}

record! {
    /// Capability sets but the bounding one; bit `n` is capability `n`.
    pub struct Capabilities {
        /// CapEff.
        pub effective: u64,
        /// CapPrm.
        pub permitted: u64,
        /// CapInh.
        pub inheritable: u64,
        /// CapAmb.
        pub ambient: u64,
    }
}

closed! {
    /// The kinds of namespace, namespaces(7).
    pub enum Namespace {
        /// CLONE_NEWUSER.
        User = 0 => "user",
        /// CLONE_NEWPID.
        Pid = 1 => "pid",
        /// CLONE_NEWNET.
        Network = 2 => "network",
        /// CLONE_NEWIPC.
        Ipc = 3 => "ipc",
        /// CLONE_NEWUTS.
        Uts = 4 => "uts",
        /// CLONE_NEWNS.
        Mount = 5 => "mount",
        /// CLONE_NEWCGROUP.
        Cgroup = 6 => "cgroup",
        /// CLONE_NEWTIME.
        Time = 7 => "time",
    }
}

impl Namespace {
    /// Its `CLONE_NEW*` bit.
    pub fn flag(self) -> u32 {
        match self {
            Self::User => 0x1000_0000,
            Self::Pid => 0x2000_0000,
            Self::Network => 0x4000_0000,
            Self::Ipc => 0x0800_0000,
            Self::Uts => 0x0400_0000,
            Self::Mount => 0x0002_0000,
            Self::Cgroup => 0x0200_0000,
            Self::Time => 0x0000_0080,
        }
    }

    /// Its name under /proc/PID/ns.
    pub fn file(self) -> &'static str {
        match self {
            Self::Network => "net",
            Self::Mount => "mnt",
            other => other.words(),
        }
    }
}

closed! {
    /// How mount events travel, mount_namespaces(7).
    pub enum Propagate {
        /// As it is.
        Keep = 0 => "as it is",
        /// MS_PRIVATE.
        Private = 1 => "private",
        /// MS_SLAVE.
        Slave = 2 => "slave",
        /// MS_SHARED.
        Shared = 3 => "shared",
        /// MS_UNBINDABLE.
        Unbindable = 4 => "unbindable",
    }
}

impl Propagate {
    /// Its `MS_*` bit.
    pub fn flag(self) -> u32 {
        match self {
            Self::Keep => 0,
            Self::Private => 1 << 18,
            Self::Slave => 1 << 19,
            Self::Shared => 1 << 20,
            Self::Unbindable => 1 << 17,
        }
    }
}

closed! {
    /// How much of a tree of mounts a step concerns.
    pub enum Tree {
        /// The mount itself.
        Top = 0 => "",
        /// And all that is mounted below.
        Whole = 1 => "recursively",
    }
}

closed! {
    /// Which symbolic links a bind follows in its last component.
    pub enum Follow {
        /// At both ends.
        Both = 0 => "",
        /// Not at the source: the link itself is bound.
        NotSource = 1 => "src-nofollow",
        /// Not at the target.
        NotTarget = 2 => "dest-nofollow",
        /// At neither end.
        Neither = 3 => "src-nofollow, dest-nofollow",
        /// A source that is a link is made anew at the target instead.
        CopySymlink = 4 => "copy-symlink",
    }
}

closed! {
    /// What becomes of the mount that the root file system lies in.
    pub enum Parent {
        /// Already cut off.
        Keep = 0 => "",
        /// Made private first: pivot_root(2) refuses a shared one, and the host would see our mounts.
        MakePrivate = 1 => "after making its parent private",
    }
}

closed! {
    /// The way into the root.
    pub enum Enter {
        /// pivot_root(2).
        Pivot = 0 => "pivot",
        /// The same, cutting the old root off first so that the host does not see it go.
        PivotShared = 1 => "pivot (cutting the old root off)",
        /// mount(2) MS_MOVE: on an initramfs there is nothing to pivot.
        Move = 2 => "move",
        /// chroot(2): a config without a mount namespace.
        Chroot = 3 => "chroot",
    }
}

closed! {
    /// Kinds of device node.
    pub enum DeviceKind {
        /// `c` or `u`.
        Character = 0 => "character device",
        /// `b`.
        Block = 1 => "block device",
        /// `p`.
        Fifo = 2 => "fifo",
    }
}

closed! {
    /// Whose label.
    pub enum LabelKind {
        /// process.apparmorProfile.
        AppArmor = 0 => "AppArmor profile",
        /// process.selinuxLabel.
        Selinux = 1 => "SELinux label",
    }
}

closed! {
    /// Which part of a step failed: the words of its error.
    pub enum Part {
        /// The step as such.
        Whole = 0 => "",
        /// Resolving the target inside the root.
        Target = 1 => "find the target",
        /// Making what is missing of the target.
        MakeTarget = 2 => "make the target",
        /// Opening the source.
        Source = 3 => "open the source",
        /// fsconfig(2).
        Option = 4 => "set its options",
        /// mount_setattr(2).
        Attributes = 5 => "set its flags",
        /// move_mount(2) or mount(2).
        Attach = 6 => "attach it",
        /// tmpcopyup.
        CopyUp = 7 => "copy the directory's content up",
        /// The thing found is not what it has to be.
        Verify = 8 => "it is not what it should be",
        /// Detaching the old root.
        Detach = 9 => "detach the old root",
        /// chroot(2).
        Chroot = 10 => "chroot",
        /// chdir(2), fchdir(2).
        Chdir = 11 => "enter it",
        /// getcwd(2) outside.
        Outside = 12 => "current working directory outside of container mount namespace root",
        /// chown(2).
        Owner = 13 => "set its owner",
        /// The message itself could not be read.
        Message = 14 => "read the plan",
        /// A name without a slash is in no directory of PATH.
        NotInPath = 15 => "executable file not found in $PATH",
        /// Init's own mistake: it panicked; the number is the line.
        Panic = 16 => "init panicked",
        /// Reading what `start` or the parent says.
        Talk = 17 => "talk to rt",
        /// A symbolic link where there must be none (CVE-2023-27561).
        Link = 18 => "it must be a real directory",
        /// A link that leads into procfs (CVE-2019-16884).
        OverProc = 19 => "a link leads it into a procfs, which must not be mounted over",
    }
}

/// As `rt explain` shows it and as an error names it.
impl Display for Step<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::AwaitParent {} => f.write_str("wait for the parent"),
            Self::Undumpable {} => f.write_str("keep others out of init's memory"),
            Self::JoinCgroup { controllers, .. } => write!(f, "join the {controllers} cgroup"),
            Self::JoinNamespace { kind, path, .. } => write!(f, "join the {kind} namespace {path}"),
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
            Self::OomScore { value, .. } => write!(f, "set oom_score_adj to {value}"),
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
            Self::BoundingSet { keep, .. } => write!(f, "keep {} in the bounding set", CapabilityNames(keep)),
            Self::Groups { ids } if ids.is_empty() => f.write_str("drop all additional groups"),
            Self::Groups { ids } => write!(f, "set the additional groups {ids}"),
            Self::User { uid, gid } => write!(f, "become user {uid}, group {gid}"),
            Self::CapabilitySets { sets } => write!(f, "set the capabilities {sets}"),
            Self::NoNewPrivileges {} => f.write_str("set no_new_privs"),
            Self::FindProgram { name, .. } => write!(f, "exec: \"{name}\""),
            Self::Ready {} => f.write_str("report, and wait for the state to be written"),
            Self::AwaitStart { .. } => f.write_str("wait for start"),
            Self::CloseDescriptors { first } => write!(f, "close the descriptors from {first} on"),
            Self::Exec { args, .. } => match args.iter().next() {
                Some(name) => write!(f, "exec {}", Text::from(name)),
                None => f.write_str("exec nothing"),
            },
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
