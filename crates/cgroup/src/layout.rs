//! The cgroup file systems that this host shows us, and where in them a container goes.

use crate::error::Error;
use crate::files;
use crate::place::{Place, join, parts};
use rustix::fs::{Access, CWD, access, statfs};
use rustix::io::Errno;
use std::borrow::Cow;

/// Which hierarchies there are: what `/sys/fs/cgroup` looks like from here. Data only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Layout {
    /// None at all.
    None,
    /// Cgroup v2 alone.
    Unified(Hierarchy),
    /// Cgroup v1; with a v2 hierarchy beside it the host is called hybrid.
    Legacy {
        /// One per mount; controllers that are mounted together share one.
        v1: Vec<Hierarchy>,
        /// The v2 hierarchy of a hybrid host.
        unified: Option<Hierarchy>,
    },
}

/// One cgroup file system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hierarchy {
    /// Where it is mounted.
    pub mount: String,
    /// Its v1 controllers (`name=systemd` is one without limits). Empty for v2.
    pub controllers: Vec<String>,
    /// The cgroup of this process below `mount`, starting with a slash: what a container's relative path counts from.
    pub own: String,
}

/// The controllers of v1 that a container joins. `name=systemd` is how systemd follows its services' processes.
const JOINED: [&str; 14] = [
    "cpuset",
    "cpu",
    "cpuacct",
    "blkio",
    "memory",
    "devices",
    "freezer",
    "net_cls",
    "perf_event",
    "net_prio",
    "hugetlb",
    "pids",
    "rdma",
    "misc",
];
const SYSTEMD: &str = "name=systemd";

const ROOT: &str = "/sys/fs/cgroup";
const UNIFIED: &str = "/sys/fs/cgroup/unified";
const OWN: &str = "/proc/self/cgroup";

/// `linux/magic.h`.
const CGROUP2_SUPER_MAGIC: u64 = 0x6367_7270;
const CGROUP_SUPER_MAGIC: u64 = 0x0027_e0eb;

impl Layout {
    /// Look. On pure v2 that is one statfs(2) and one read of `/proc/self/cgroup`; on v1 one statfs more for each
    /// hierarchy; mountinfo is read only where something is not mounted where everybody mounts it.
    pub fn probe() -> Result<Self, Error> {
        Self::probe_for(None)
    }

    /// The same for a container at `cgroups_path`. An absolute one does not depend on our own cgroup, which on pure v2 is
    /// not looked up then, and taken for the root.
    pub fn probe_for(cgroups_path: Option<&str>) -> Result<Self, Error> {
        if is_mounted(ROOT, CGROUP2_SUPER_MAGIC)? {
            let absolute = cgroups_path.is_some_and(|path| path.starts_with('/'));
            let own = if absolute { String::new() } else { read(OWN)? };
            return Ok(Self::Unified(Hierarchy::unified(ROOT, &own)));
        }
        let own = read(OWN)?;
        let mut mounts = Mounts(None);
        let mut v1 = Vec::new();
        for (controllers, own) in own.lines().filter_map(v1_line) {
            v1.extend(find(controllers, own, &mut mounts)?);
        }
        let unified = match is_mounted(UNIFIED, CGROUP2_SUPER_MAGIC)? {
            true => Some(UNIFIED.to_owned()),
            false if v1.is_empty() => mounts.read()?.iter().find(|m| m.v2).map(|m| m.point.clone()),
            false => None,
        };
        let unified = unified.map(|mount| Hierarchy::unified(&mount, &own));
        Ok(match (v1.is_empty(), unified) {
            (true, None) => Self::None,
            (true, Some(unified)) => Self::Unified(unified),
            (false, unified) => Self::Legacy { v1, unified },
        })
    }

    /// Where a container goes: pure. A path that starts with a slash is below each hierarchy's mount point, any
    /// other (and the id, without one) below our own cgroup on v1 and beside it on v2, as runc has it: on v2 a
    /// cgroup that holds processes, such as ours, can't give controllers to its children. On a hybrid host the v2
    /// hierarchy counts from its mount point. `..` never climbs out.
    ///
    /// # Errors
    /// [`Error::Config`] for a path that names the root of a hierarchy, which no container can have for itself.
    pub fn place(&self, cgroups_path: Option<&str>, id: &str) -> Result<Place, Error> {
        let path = cgroups_path.filter(|path| !path.is_empty()).unwrap_or(id);
        if parts(path).is_empty() {
            return Err(Error::config(
                "linux.cgroupsPath",
                format!(
                    "{path:?} is the root of the hierarchy, which a container can't have for itself: name a cgroup below it"
                ),
            ));
        }
        let at = |hierarchy: &Hierarchy, base: &str| match path.starts_with('/') {
            true => join(&hierarchy.mount, &[path]),
            false => join(&hierarchy.mount, &[base, path]),
        };
        let mut place = Place::default();
        match self {
            Self::None => {}
            Self::Unified(v2) => place.insert("", at(v2, &above(&v2.own))),
            Self::Legacy { v1, unified } => {
                for hierarchy in v1 {
                    for controller in &hierarchy.controllers {
                        place.insert(controller, at(hierarchy, &hierarchy.own));
                    }
                }
                if let Some(v2) = unified {
                    place.insert("", at(v2, "/"));
                }
            }
        }
        Ok(place)
    }

    /// Whether a v1 hierarchy here has this controller.
    pub(crate) fn has_v1(&self, controller: &str) -> bool {
        match self {
            Self::Legacy { v1, .. } => v1.iter().any(|hierarchy| hierarchy.has(controller)),
            _ => false,
        }
    }

    /// The v2 hierarchy, if there is one.
    pub(crate) fn unified(&self) -> Option<&Hierarchy> {
        match self {
            Self::None => None,
            Self::Unified(v2) => Some(v2),
            Self::Legacy { unified, .. } => unified.as_ref(),
        }
    }
}

impl Hierarchy {
    fn unified(mount: &str, own: &str) -> Self {
        let own = own.lines().find_map(|line| line.strip_prefix("0::")).unwrap_or("/");
        Self { mount: mount.to_owned(), controllers: Vec::new(), own: own.to_owned() }
    }

    pub(crate) fn has(&self, controller: &str) -> bool {
        self.controllers.iter().any(|own| own == controller)
    }
}

/// The controllers and the path of a line of `/proc/self/cgroup` about a v1 hierarchy that a container joins.
fn v1_line(line: &str) -> Option<(&str, &str)> {
    let mut fields = line.splitn(3, ':').skip(1);
    let controllers = fields.next()?;
    let own = fields.next()?;
    let joined = controllers == SYSTEMD || controllers.split(',').any(|name| JOINED.contains(&name));
    joined.then_some((controllers, own))
}

/// Where the hierarchy of these controllers is mounted, and where we are in it. `None` if it is not.
fn find(controllers: &str, own: &str, mounts: &mut Mounts) -> Result<Option<Hierarchy>, Error> {
    let found = |mount: String, own: &str| {
        Some(Hierarchy { mount, controllers: controllers.split(',').map(str::to_owned).collect(), own: own.to_owned() })
    };
    let name = controllers.strip_prefix("name=").unwrap_or(controllers);
    // Controllers mounted together have a directory `cpu,cpuacct` and a link for each; some orders differ.
    let first = name.split(',').next().unwrap_or(name);
    for name in [name, first] {
        let mount = format!("{ROOT}/{name}");
        if is_mounted(&mount, CGROUP_SUPER_MAGIC)? {
            // In a container without a cgroup namespace `own` is a path of the host that the mount does not show.
            if own == "/" || access(format!("{mount}{own}"), Access::EXISTS).is_ok() {
                return Ok(found(mount, own));
            }
            break;
        }
    }
    let wanted = controllers.split(',').next().unwrap_or(controllers);
    let mount = mounts.read()?.iter().find(|mount| mount.options.split(',').any(|option| option == wanted));
    Ok(mount.and_then(|mount| found(mount.point.clone(), below(own, &mount.root))))
}

/// `own` as seen from a mount whose root is the cgroup `root`.
fn below<'a>(own: &'a str, root: &str) -> &'a str {
    match own.strip_prefix(root) {
        _ if root == "/" => own,
        Some(rest) if rest.starts_with('/') => rest,
        _ => "/",
    }
}

/// The parent of an absolute path; the root's is itself.
fn above(path: &str) -> String {
    match parts(path).split_last() {
        Some((_, parents)) => format!("/{}", parents.join("/")),
        None => "/".to_owned(),
    }
}

fn is_mounted(path: &str, magic: u64) -> Result<bool, Error> {
    match statfs(path) {
        Ok(found) => Ok(u64::try_from(found.f_type) == Ok(magic)),
        Err(Errno::NOENT | Errno::NOTDIR | Errno::ACCESS) => Ok(false),
        Err(errno) => Err(Error::file("statfs", path, errno)),
    }
}

fn read(path: &str) -> Result<String, Error> {
    files::read(CWD, path).map_err(|errno| Error::file("read", path, errno))
}

/// The cgroup mounts of `/proc/self/mountinfo`, read when first asked for.
struct Mounts(Option<Vec<Mount>>);

#[derive(Debug, PartialEq, Eq)]
struct Mount {
    point: String,
    root: String,
    options: String,
    v2: bool,
}

impl Mounts {
    fn read(&mut self) -> Result<&[Mount], Error> {
        if self.0.is_none() {
            self.0 = Some(read("/proc/self/mountinfo")?.lines().filter_map(mount).collect());
        }
        Ok(self.0.as_deref().unwrap_or_default())
    }
}

/// One line of mountinfo, proc_pid_mountinfo(5): `36 35 98:0 /root /point rw,noatime master:1 - cgroup cgroup rw,memory`.
fn mount(line: &str) -> Option<Mount> {
    let (left, right) = line.split_once(" - ")?;
    let mut left = left.split(' ').skip(3);
    let (root, point) = (left.next()?, left.next()?);
    let mut right = right.split(' ');
    let kind = right.next()?;
    let options = right.nth(1)?;
    matches!(kind, "cgroup" | "cgroup2").then(|| Mount {
        point: unescape(point).into_owned(),
        root: unescape(root).into_owned(),
        options: options.to_owned(),
        v2: kind == "cgroup2",
    })
}

/// The kernel writes space, tab, newline and backslash as three octal digits.
fn unescape(field: &str) -> Cow<'_, str> {
    match field.contains('\\') {
        false => Cow::Borrowed(field),
        true => {
            Cow::Owned(field.replace("\\040", " ").replace("\\011", "\t").replace("\\012", "\n").replace("\\134", "\\"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v1(name: &str, own: &str) -> Hierarchy {
        let controllers = name.split(',').map(str::to_owned).collect();
        Hierarchy { mount: format!("/sys/fs/cgroup/{name}"), controllers, own: own.to_owned() }
    }

    fn v2(mount: &str, own: &str) -> Hierarchy {
        Hierarchy { mount: mount.to_owned(), controllers: Vec::new(), own: own.to_owned() }
    }

    fn hybrid() -> Layout {
        Layout::Legacy {
            v1: vec![v1("cpu,cpuacct", "/"), v1("memory", "/ours")],
            unified: Some(v2("/sys/fs/cgroup/unified", "/ours")),
        }
    }

    fn paths(layout: &Layout, cgroups_path: Option<&str>) -> Vec<(String, String)> {
        let place = layout.place(cgroups_path, "web").expect("a place");
        place.paths().iter().map(|(name, dir)| (name.clone(), dir.clone())).collect()
    }

    #[test]
    fn on_v2_a_container_is_beside_us_unless_its_path_is_absolute() {
        let layout = Layout::Unified(v2("/sys/fs/cgroup", "/user.slice/session.scope"));
        for (path, dir) in [
            (None, "/sys/fs/cgroup/user.slice/web"),
            (Some(""), "/sys/fs/cgroup/user.slice/web"),
            (Some("rel/x"), "/sys/fs/cgroup/user.slice/rel/x"),
            (Some("../../x"), "/sys/fs/cgroup/user.slice/x"),
            (Some("/abs/x"), "/sys/fs/cgroup/abs/x"),
            (Some("/../../y"), "/sys/fs/cgroup/y"),
            (Some("a//b/./c/../d"), "/sys/fs/cgroup/user.slice/a/b/d"),
        ] {
            assert_eq!(paths(&layout, path), [(String::new(), dir.to_owned())], "{path:?}");
        }
    }

    #[test]
    fn own_cgroup_outside_the_namespace_does_not_lead_out_of_the_mount() {
        let layout = Layout::Unified(v2("/sys/fs/cgroup", "/../../other"));
        assert_eq!(paths(&layout, None)[0].1, "/sys/fs/cgroup/web");
    }

    #[test]
    fn on_v1_a_container_is_below_us_unless_its_path_is_absolute() {
        for (path, cpu, memory, unified) in [
            (None, "/web", "/ours/web", "/web"),
            (Some("rel/x"), "/rel/x", "/ours/rel/x", "/rel/x"),
            (Some("../../x"), "/x", "/ours/x", "/x"),
            (Some("/abs/x"), "/abs/x", "/abs/x", "/abs/x"),
            (Some("/../y"), "/y", "/y", "/y"),
        ] {
            let expected = [
                (String::new(), format!("/sys/fs/cgroup/unified{unified}")),
                ("cpu".to_owned(), format!("/sys/fs/cgroup/cpu,cpuacct{cpu}")),
                ("cpuacct".to_owned(), format!("/sys/fs/cgroup/cpu,cpuacct{cpu}")),
                ("memory".to_owned(), format!("/sys/fs/cgroup/memory{memory}")),
            ];
            assert_eq!(paths(&hybrid(), path), expected, "{path:?}");
        }
    }

    #[test]
    fn root_of_the_hierarchy_is_nobody_s_own() {
        for path in ["/", "//", "/..", "..", ".", "a/.."] {
            let error = hybrid().place(Some(path), "web").expect_err(path);
            assert!(error.to_string().starts_with("linux.cgroupsPath: "), "{error}");
        }
    }

    #[test]
    fn without_hierarchies_there_is_no_place() {
        assert!(Layout::None.place(None, "web").expect("a place").paths().is_empty());
    }

    #[test]
    fn hierarchies_that_runc_does_not_join_are_left_alone() {
        assert_eq!(v1_line("4:memory:/a:b"), Some(("memory", "/a:b")));
        assert_eq!(v1_line("9:name=systemd:/"), Some(("name=systemd", "/")));
        assert_eq!(v1_line("3:cpu,cpuacct:/"), Some(("cpu,cpuacct", "/")));
        assert_eq!(v1_line("9:name=elogind:/"), None);
        assert_eq!(v1_line("0::/x"), None);
    }

    #[test]
    fn mountinfo_names_root_point_and_controllers() {
        let line = r"35 31 0:32 /docker/ab /sys/fs/my\040cgroup/memory rw,relatime shared:9 master:2 - cgroup cgroup rw,memory";
        let expected = Mount {
            point: "/sys/fs/my cgroup/memory".to_owned(),
            root: "/docker/ab".to_owned(),
            options: "rw,memory".to_owned(),
            v2: false,
        };
        assert_eq!(mount(line), Some(expected));
        assert_eq!(mount("22 1 0:20 / /proc rw - proc proc rw"), None);
    }

    #[test]
    fn own_cgroup_is_seen_from_the_root_of_the_mount() {
        assert_eq!(below("/docker/ab/x", "/docker/ab"), "/x");
        assert_eq!(below("/docker/ab", "/docker/ab"), "/");
        assert_eq!(below("/docker/abc", "/docker/ab"), "/");
        assert_eq!(below("/a", "/"), "/a");
    }
}
