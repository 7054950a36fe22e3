//! What a plan is made of. A step is named for what it achieves and carries everything it needs; it is made in
//! `rt-plan`, printed in `print.rs`, and applied in `rt-init`.

use crate::message::{closed, message, record};
use crate::text::{Bytes, Text, Texts};

message! {
    /// One thing init does. Doc comments name the system calls and, where it matters, the reason for the place.
    pub enum Step {
        /// Wait for the parent's `Proceed`: id maps are the parent's to write. recvfrom(2).
        AwaitParent {},
        /// Keep other processes of the container out of init's memory and descriptors: prctl(2), PR_SET_DUMPABLE.
        /// First where others live in the pid namespace (CVE-2016-9962), or a program of the container's will run while init has
        /// its plan: startContainer hooks, and what `Serve` serves.
        Undumpable {},
        /// Enter a cgroup v1: write `0` to its `tasks`, opened by the parent. Before a cgroup namespace is made.
        JoinCgroup { controllers: Text<'a>, tasks: u8, },
        /// setns(2) into a namespace that the parent has opened and verified.
        JoinNamespace { kind: Namespace, path: Text<'a>, namespace: u8, },
        /// setns(2) into the namespaces of the container's process, through a pidfd, and its root where that is not the mount
        /// namespace's (`root` is a place, or 255 for none): `exec`. The root is held from here on.
        JoinContainer { namespaces: u32, process: u8, root: u8, },
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
        /// The container stands, but for its root: the parent runs the prestart and createRuntime hooks and writes the
        /// state that later hooks read.
        AwaitHooks {},
        /// A hook of the container's side, to its end: clone3(2), execve(2), poll(2). createContainer before `EnterRoot`,
        /// so that its path is the host's; startContainer right before the program. `state` is the place of what it reads;
        /// `output` and `errors` are places, or 255 for none; `seconds` is its time limit, 0 for none; `home` as for `Exec`.
        RunHook { kind: HookKind, number: u16, path: Text<'a>, args: Texts<'a>, env: Texts<'a>, home: Text<'a>, seconds: u32, state: u8, output: u8, errors: u8, },
        /// A terminal of the container's own devpts, as standard input, output and error, and the controlling one:
        /// TIOCGPTPEER (never a path), dup2(2), TIOCSCTTY. `plain`: it leaves a line's end as it is, which the caller's own
        /// terminal takes care of. Its master goes to the socket at place `socket`. After the session is
        /// the container's own, and after the mounts.
        Terminal { ptmx: Target<'a>, socket: u8, rows: u16, columns: u16, plain: bool, uid: u32, },
        /// The terminal bound on /dev/console: open_tree(2) of its descriptor, move_mount(2) (CVE-2025-52565).
        Console { target: Target<'a>, },
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
        MaskPath { target: Target<'a>, likely: Likely, null: Target<'a>, },
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
        /// Use the processors of this mask and no others: sched_setaffinity(2). process.execCPUAffinity.
        Affinity { mask: Bytes<'a>, },
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
        /// seccomp(2). Without no_new_privs it takes CAP_SYS_ADMIN, so `Now`, before `User`; with it `WithTheProgram`, so that
        /// the filter need not allow what init itself still does. One that notifies is loaded `Now`, while the parent
        /// is there to pass the listener on. `filter` is instructions as the kernel has them, `flags` its second argument.
        Seccomp { filter: Bytes<'a>, flags: u32, when: Load, },
        /// Find the program before anybody waits, so that `create` can say it is missing. As the user.
        FindProgram { name: Text<'a>, path: Text<'a>, },
        /// Tell the parent that all is done, and wait for its `Proceed`: state is written in between.
        Ready {},
        /// Close every descriptor from `first` on that the walk has used, close_range(2), but for what hooks are still to read
        /// and write (places, or 255), and wait for `start` to connect, accept4(2). What fails from here on is `start`'s to
        /// tell.
        AwaitStart { first: u32, state: u8, output: u8, errors: u8, },
        /// Close everything past stdio and what the caller preserves: close_range(2). The second lock: every
        /// descriptor is close-on-exec from birth.
        CloseDescriptors { first: u32, },
        /// execve(2). `path` is searched for a name without a slash; HOME comes from the container's passwd for
        /// `home` (a user's number, as text; empty: it is in `env`).
        Exec { args: Texts<'a>, env: Texts<'a>, path: Text<'a>, home: Text<'a>, },
        /// The same in a child, and stay as what adopts, reaps, and passes signals on (`--init`). When the program has
        /// ended, others have `linger` milliseconds to end too.
        Serve { args: Texts<'a>, env: Texts<'a>, path: Text<'a>, home: Text<'a>, linger: u32, },
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
    /// What a path of the kernel's is, where there is one. Which mount is tried without a look: it decides nothing else.
    pub enum Likely {
        /// Nobody knows.
        Unknown = 0 => "",
        /// A file at the top of a procfs.
        File = 1 => "file",
        /// A directory.
        Directory = 2 => "directory",
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
    /// When a filter is loaded.
    pub enum Load {
        /// In its place among the steps.
        Now = 0 => "",
        /// By `Exec` or `Serve`, when nothing but the program is left, and with each startContainer hook, whose program is the
        /// image's too.
        WithTheProgram = 1 => " with the program",
    }
}

closed! {
    /// The hooks that init runs.
    pub enum HookKind {
        /// Before `EnterRoot`.
        CreateContainer = 0 => "createContainer",
        /// Before the program.
        StartContainer = 1 => "startContainer",
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
        /// A hook left with a status that is not 0; the number is the status.
        Status = 20 => "exit status",
        /// A hook was ended by a signal; the number is the signal.
        Signal = 21 => "ended by signal",
        /// A hook took longer than it may.
        Late = 22 => "it was killed when its time limit had passed",
        /// The terminal's master could not be handed over.
        Send = 23 => "send its master",
        /// TIOCSCTTY.
        Control = 24 => "make it the controlling terminal",
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
