//! What this machine and this user can do. Data only: probed once by the runtime, written as a literal by a test, so that
//! `what would change if I were …` is a question one can ask.

/// The facts that a plan depends on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Host {
    /// Who rt runs as.
    pub uid: u32,
    /// And its group.
    pub gid: u32,
    /// Capabilities that it has, a bit each.
    pub permitted: u64,
    /// Capabilities that it and its children may ever have.
    pub bounding: u64,
    /// Signals that its caller ignores; bit 0 is signal 1.
    pub ignored_signals: u64,
    /// `SECCOMP_FILTER_FLAG_*` that the kernel knows.
    pub seccomp_flags: u32,
    /// AppArmor is enabled.
    pub apparmor: bool,
    /// SELinux is enabled.
    pub selinux: bool,
    /// /proc/kcore exists, so /dev/core gets a link to it.
    pub kcore: bool,
    /// Cgroup file systems, and where the container will be in them.
    pub cgroups: Cgroups,
    /// Mount points of procfs and sysfs, the deepest first. Only looked for with --no-pivot.
    pub kernel_mounts: Vec<String>,
}

/// The cgroup file systems of a host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Cgroups {
    /// None, or none wanted.
    #[default]
    None,
    /// Cgroup v2.
    Unified {
        /// Where it is mounted.
        mount: String,
    },
    /// Cgroup v1, perhaps with a v2 hierarchy beside it.
    Legacy {
        /// One for each mount.
        hierarchies: Vec<Hierarchy>,
    },
}

/// One cgroup v1 mount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hierarchy {
    /// Its controllers; `name=systemd` is a hierarchy without one.
    pub controllers: Vec<String>,
    /// The directory name below /sys/fs/cgroup: `cpu,cpuacct`.
    pub name: String,
    /// The container's directory.
    pub directory: String,
    /// Whether the container joins it.
    pub joined: bool,
}
