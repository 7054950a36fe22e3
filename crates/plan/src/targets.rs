//! Where a path is looked up from. File systems whose names only the kernel makes, and the tmpfs that init has just
//! mounted itself, are held: below them no image and no shared volume can put a link in the way.

use rt_wire::{HELD, Likely, Target};

/// What has been mounted so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Targets {
    mounted: Vec<Mounted>,
    held: u8,
    /// The held procfs that can be written to, if there is one.
    pub(crate) proc: Option<u8>,
}

#[derive(Clone, Debug)]
struct Mounted {
    at: String,
    /// Its number, and what it is.
    held: Option<(u8, Kind)>,
}

/// Kinds of file system that are held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Proc,
    Sysfs,
    /// A tmpfs without content from elsewhere.
    Tmpfs,
}

impl Targets {
    /// A number for one more; `None` if init could not hold it and, later, a procfs of its own.
    pub(crate) fn next(&mut self) -> Option<u8> {
        (usize::from(self.held) + 1 < HELD).then(|| self.last())
    }

    /// A number for the last that is held.
    pub(crate) fn last(&mut self) -> u8 {
        self.held += 1;
        self.held
    }

    /// Something is mounted at `at`.
    pub(crate) fn mounted(&mut self, at: &str, held: Option<(u8, Kind)>) {
        self.mounted.push(Mounted { at: clean(at), held });
    }

    /// Where `path` is looked up from. `path` must outlive the step.
    pub(crate) fn find<'a>(&self, path: &'a str) -> Target<'a> {
        let target = Target::in_root(path);
        // `..` and doubled slashes are for the kernel to resolve.
        if !is_plain(path) {
            return target;
        }
        // The deepest mount above it; of several at one place the last, which covers the others.
        let above =
            self.mounted.iter().filter(|mounted| is_below(path, &mounted.at)).max_by_key(|mounted| mounted.at.len());
        let Some(Mounted { at, held: Some((number, kind)) }) = above else { return target };
        let skip = at.len() + 1;
        let rest = &path[skip..];
        if !is_kernels(*kind, rest) {
            return target;
        }
        let Ok(skip) = u16::try_from(skip) else { return target };
        Target { held: *number, skip, fresh: *kind == Kind::Tmpfs, ..target }
    }

    /// Whether something other than what is held at `at` is mounted there or below.
    pub(crate) fn is_covered(&self, at: &str) -> bool {
        self.mounted.iter().any(|mounted| mounted.held.is_none() && (mounted.at == at || is_below(&mounted.at, at)))
    }
}

/// Names that lead nowhere else. In procfs the directories of processes have magic links, and `net`, `mounts` and
/// `self` are links into them.
fn is_kernels(kind: Kind, rest: &str) -> bool {
    let first = rest.split('/').next().unwrap_or_default();
    match kind {
        Kind::Proc => {
            !first.starts_with(|c: char| c.is_ascii_digit())
                && !matches!(first, "self" | "thread-self" | "net" | "mounts")
        }
        Kind::Sysfs => {
            matches!(first, "fs" | "firmware" | "kernel" | "power")
                || rest == "dev/block"
                || rest == "devices/virtual/powercap"
        }
        Kind::Tmpfs => true,
    }
}

/// What is usually masked. Only init's first attempt depends on it.
pub(crate) fn likely(target: Target<'_>) -> Likely {
    if target.held == 0 {
        return Likely::Unknown;
    }
    match target.path.bytes() {
        b"/proc/acpi"
        | b"/proc/asound"
        | b"/proc/scsi"
        | b"/sys/dev/block"
        | b"/sys/devices/virtual/powercap"
        | b"/sys/firmware"
        | b"/sys/fs/selinux" => Likely::Directory,
        b"/proc/interrupts"
        | b"/proc/kcore"
        | b"/proc/keys"
        | b"/proc/latency_stats"
        | b"/proc/sched_debug"
        | b"/proc/timer_list"
        | b"/proc/timer_stats" => Likely::File,
        _ => Likely::Unknown,
    }
}

/// Absolute, and a name between any two slashes.
fn is_plain(path: &str) -> bool {
    path.strip_prefix('/').is_some_and(|rest| !rest.split('/').any(|part| matches!(part, "" | "." | "..")))
}

fn is_below(path: &str, directory: &str) -> bool {
    path.strip_prefix(directory).is_some_and(|rest| rest.starts_with('/') && rest.len() > 1)
}

/// Without doubled slashes, dots and a slash at the end. `..` stays: only the kernel knows where it leads.
pub(crate) fn clean(path: &str) -> String {
    join(path.split('/').filter(|part| !matches!(*part, "" | ".")))
}

/// The same with every `..` resolved in the text, as runc does with a mount's destination.
pub(crate) fn resolve(path: &str) -> String {
    let mut parts = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    join(parts.into_iter())
}

fn join<'a>(parts: impl Iterator<Item = &'a str>) -> String {
    let mut path = String::new();
    for part in parts {
        path.push('/');
        path.push_str(part);
    }
    if path.is_empty() { "/".to_owned() } else { path }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_below_a_held_file_system_start_there() {
        let mut targets = Targets::default();
        targets.mounted("/dev/", Some((1, Kind::Tmpfs)));
        let target = targets.find("/dev/pts");
        assert_eq!((target.held, target.skip, target.fresh), (1, 5, true));
        assert_eq!(targets.find("/device").held, 0);
        assert_eq!(targets.find("/dev").held, 0);
        assert_eq!(targets.find("/dev/../etc").held, 0);
    }

    #[test]
    fn what_covers_a_held_one_is_not_trusted() {
        let mut targets = Targets::default();
        targets.mounted("/proc", Some((1, Kind::Proc)));
        assert_eq!(targets.find("/proc/kcore").held, 1);
        targets.mounted("/proc", None);
        assert_eq!(targets.find("/proc/kcore").held, 0);
        targets.mounted("/dev", Some((2, Kind::Tmpfs)));
        targets.mounted("/dev/shared", None);
        assert_eq!(targets.find("/dev/shared/x").held, 0);
        assert!(targets.is_covered("/proc"));
        assert!(targets.is_covered("/dev"));
    }

    #[test]
    fn dots_in_a_destination_are_resolved() {
        for (path, resolved) in [("/tmp/../proc", "/proc"), ("/../..", "/"), ("/a/./b/../c/", "/a/c"), ("//x", "/x")] {
            assert_eq!(resolve(path), resolved, "{path}");
        }
    }

    #[test]
    fn links_of_procfs_are_not_kernel_names() {
        let mut targets = Targets::default();
        targets.mounted("/proc", Some((1, Kind::Proc)));
        for path in ["/proc/self/root/etc", "/proc/1/root", "/proc/net/tcp", "/proc/mounts"] {
            assert_eq!(targets.find(path).held, 0, "{path}");
        }
    }

    #[test]
    fn only_names_of_the_kernel_are_guessed_at() {
        let mut targets = Targets::default();
        assert_eq!(likely(targets.find("/proc/kcore")), Likely::Unknown);
        targets.mounted("/proc", Some((1, Kind::Proc)));
        assert_eq!(likely(targets.find("/proc/kcore")), Likely::File);
        assert_eq!(likely(targets.find("/proc/acpi")), Likely::Directory);
        assert_eq!(likely(targets.find("/proc/acpi/x")), Likely::Unknown);
    }
}
