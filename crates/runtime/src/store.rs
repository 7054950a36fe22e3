//! The state directory: one directory for each container, with its state.json and, until it is started, the socket on
//! which its init waits.

use crate::error::On;
use crate::read::read_all;
use crate::{Error, Id};
use rt_cgroup::systemd::Unit;
use rt_cgroup::{Asked, Place};
use rustix::fd::{AsRawFd, OwnedFd};
use rustix::fs::{AtFlags, CWD, Dir, Mode, OFlags, mkdirat, openat, renameat, unlinkat};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, connect, listen, socket_with};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Bytes of a state file: far more than any has.
const LONGEST: usize = 16 << 20;
const STATE: &str = "state.json";
const NEXT: &str = "state.json.next";
const SOCKET: &str = "start.sock";
const FILTER: &str = "seccomp.bpf";
const NOTIFY: &str = "notify";
const NOTIFY_SOCKET: &str = "notify/notify.sock";

/// All containers of one `--root`.
#[derive(Debug)]
pub struct Store {
    root: PathBuf,
}

/// What is known about a container: facts, never its status, which is observed. The keys at the top are runc's, which
/// other tools read.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Record {
    /// Its name.
    pub id: String,
    /// Its init, in the runtime's pid namespace. 0 while it is being created.
    pub init_process_pid: i32,
    /// When that process began, in clock ticks since boot: a number alone may by now be somebody else.
    pub init_process_start: u64,
    /// RFC 3339.
    pub created: String,
    /// Always false: in this version only root makes containers.
    pub rootless: bool,
    /// Controller to directory; the empty name is cgroup v2.
    pub cgroup_paths: Place,
    /// Kind, in runc's words, to path.
    pub namespace_paths: BTreeMap<String, String>,
    /// What standard input, output and error were when the container was made: for who restores a checkpoint of it.
    #[serde(default)]
    pub external_descriptors: Vec<String>,
    /// What runc does not have.
    pub rt: Extra,
}

/// The rest of a [`Record`].
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Extra {
    /// The version of this format.
    pub version: u32,
    /// `ociVersion` of the config.
    pub oci_version: String,
    /// The bundle.
    pub bundle: String,
    /// The root file system.
    pub rootfs: String,
    /// The config's annotations.
    pub annotations: BTreeMap<String, String>,
    /// Whether the container has a pid namespace of its own, whose processes leave with their first.
    pub own_pids: bool,
    /// Where mounts are made in the runtime's own namespace.
    pub mounts: Option<HostMounts>,
    /// What it is to systemd, where that has made its cgroup.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<Unit>,
    /// What the limits were asked to be, for `update` to count from.
    #[serde(default)]
    pub asked: Asked,
    /// The last steps of the plan, for `start` to name the one that fails.
    pub tail: Tail,
    /// What `exec` needs of the config: [`rt_plan::Kept`], read by it alone.
    #[serde(default)]
    pub exec: Option<Box<RawValue>>,
    /// Its hooks for the time after its creation: [`rt_plan::spec::Hooks`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hooks: Option<Box<RawValue>>,
}

/// What `delete` has to unmount.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostMounts {
    /// The id of the mount that was on the root file system before.
    pub before: Option<u64>,
    /// The id of the one that the container laid there; none while it is being created.
    pub own: Option<u64>,
}

/// The end of a plan, printed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tail {
    /// The number of the first, from 0.
    pub first: usize,
    /// How many steps the plan has.
    pub of: usize,
    /// Their words.
    pub steps: Vec<String>,
}

/// The version of the format that this program writes, and reads with all before it.
pub(crate) const VERSION: u32 = 1;

impl Store {
    /// The containers below `root`, which need not be there yet.
    ///
    /// # Errors
    /// [`Error::Usage`] for `/`, whose directories are not containers.
    pub fn new(root: &Path) -> Result<Self, Error> {
        let root = if root.is_absolute() {
            root.to_owned()
        } else {
            std::env::current_dir()
                .on("find the working directory, which a relative --root counts from:", ".")?
                .join(root)
        };
        if root.components().all(|part| !matches!(part, std::path::Component::Normal(_))) {
            return Err(Error::Usage("Option --root argument should not be set to /".to_owned()));
        }
        Ok(Self { root })
    }

    /// Take a name: its directory is removed again when the guard is dropped, unless it was committed.
    pub(crate) fn reserve(&self, id: &Id) -> Result<Reserved, Error> {
        let path = self.path(id);
        let mode = Mode::from_raw_mode(0o711);
        match mkdirat(CWD, &path, mode) {
            Err(Errno::NOENT) => {
                self.make_root()?;
                mkdirat(CWD, &path, mode)
            }
            answer => answer,
        }
        .map_err(|errno| match errno {
            Errno::EXIST => Error::Exists(id.to_string()),
            errno => {
                Error::File { attempt: "make the state directory", path: path.clone(), errno: errno.raw_os_error() }
            }
        })?;
        Ok(Reserved(Some(self.enter(id)?)))
    }

    fn make_root(&self) -> Result<(), Error> {
        use std::os::unix::fs::DirBuilderExt;
        let builder = &mut std::fs::DirBuilder::new();
        builder.recursive(true).mode(0o700).create(&self.root).on("make the directory", &self.root)
    }

    fn path(&self, id: &Id) -> PathBuf {
        self.root.join(id.as_str())
    }

    /// Where the directory is that the container will see at /run/notify.
    pub(crate) fn notify_path(&self, id: &Id) -> Result<String, Error> {
        let path = self.path(id).join(NOTIFY);
        path.to_str().map(str::to_owned).ok_or_else(|| {
            Error::Usage(format!("--root {} is not UTF-8, as what is mounted from it has to be", self.root.display()))
        })
    }

    /// The directory of a container that is there.
    pub(crate) fn enter(&self, id: &Id) -> Result<Directory, Error> {
        let path = self.path(id);
        // A link put in its place is not followed.
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match openat(CWD, &path, flags, Mode::empty()) {
            Ok(fd) => Ok(Directory { path, fd }),
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => {
                Err(Error::NoSuchContainer { id: id.to_string(), root: self.root.display().to_string() })
            }
            Err(errno) => Err(errno).on("open", path),
        }
    }

    /// A container and what is known about it.
    ///
    /// # Errors
    /// [`Error::NoSuchContainer`], [`Error::Damaged`], [`Error::File`].
    pub fn find(&self, id: &Id) -> Result<Container, Error> {
        let directory = self.enter(id)?;
        let record = directory.load(id)?;
        Ok(Container { directory, record })
    }

    /// All names, sorted. What is no container's name is passed over.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn ids(&self) -> Result<Vec<Id>, Error> {
        let directory = match std::fs::read_dir(&self.root) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            directory => directory.on("read the directory", &self.root)?,
        };
        let mut ids: Vec<Id> =
            directory.filter_map(|entry| Id::parse(entry.ok()?.file_name().to_str()?).ok()).collect();
        ids.sort();
        Ok(ids)
    }

    /// The user who made the container, as a number.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn owner(&self, id: &Id) -> Result<u32, Error> {
        let path = self.path(id);
        Ok(rustix::fs::lstat(&path).on("look at", &path)?.st_uid)
    }
}

/// A container that is there.
#[derive(Debug)]
pub struct Container {
    pub(crate) directory: Directory,
    /// What is known about it.
    pub record: Record,
}

/// One container's directory, open.
#[derive(Debug)]
pub(crate) struct Directory {
    path: PathBuf,
    fd: OwnedFd,
}

impl Directory {
    pub(crate) fn load(&self, id: &Id) -> Result<Record, Error> {
        let path = self.path.join(STATE);
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = match openat(&self.fd, STATE, flags, Mode::empty()) {
            // Between the directory and its first state, or after its last.
            Err(Errno::NOENT) => {
                let root = self.path.parent().unwrap_or(&self.path).display().to_string();
                return Err(Error::NoSuchContainer { id: id.to_string(), root });
            }
            file => file.on("open", &path)?,
        };
        let bytes = read_all(&file, 4 << 10, LONGEST).on("read", &path)?;
        let damaged = |problem: String| Error::Damaged { path: path.clone(), problem };
        let record: Record = serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string()))?;
        if record.id != id.as_str() {
            return Err(damaged(format!("it is the state of \"{}\"", record.id)));
        }
        if record.rt.version > VERSION {
            return Err(damaged(format!("it was written by a newer rt (format {})", record.rt.version)));
        }
        Ok(record)
    }

    /// Write the first state. A half of it means that nothing else was made yet: it stands before all else.
    pub(crate) fn begin(&self, record: &Record) -> Result<(), Error> {
        self.write(STATE, record)
    }

    /// Replace the state: whole, or not at all, whatever happens meanwhile. Without fsync: what a crash of the machine
    /// loses are containers that it has ended.
    pub(crate) fn save(&self, record: &Record) -> Result<(), Error> {
        self.write(NEXT, record)?;
        renameat(&self.fd, NEXT, &self.fd, STATE).on("rename", self.path.join(NEXT))
    }

    fn write(&self, name: &str, record: &Record) -> Result<(), Error> {
        let path = self.path.join(name);
        let bytes = serde_json::to_vec(record)
            .map_err(|error| Error::Damaged { path: path.clone(), problem: error.to_string() })?;
        self.write_bytes(name, &bytes)
    }

    fn write_bytes(&self, name: &str, bytes: &[u8]) -> Result<(), Error> {
        let path = self.path.join(name);
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = openat(&self.fd, name, flags, Mode::from_raw_mode(0o600)).on("make", &path)?;
        let mut rest = bytes;
        while !rest.is_empty() {
            let len = rustix::io::write(&file, rest).on("write", &path)?;
            rest = rest.get(len..).unwrap_or_default();
        }
        Ok(())
    }

    /// Keep the container's seccomp filter, for `exec`.
    pub(crate) fn save_filter(&self, program: &[u8]) -> Result<(), Error> {
        self.write_bytes(FILTER, program)
    }

    /// It.
    pub(crate) fn filter(&self) -> Result<Vec<u8>, Error> {
        let path = self.path.join(FILTER);
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = openat(&self.fd, FILTER, flags, Mode::empty()).on("open", &path)?;
        read_all(std::fs::File::from(file), 8 << 10, LONGEST).on("read", &path)
    }

    /// The socket on which init waits for `start`.
    pub(crate) fn listen(&self) -> Result<OwnedFd, Error> {
        let socket = seqpacket()?;
        let path = self.path.join(SOCKET);
        bind(&socket, &self.address()?).on("bind the socket", &path)?;
        listen(&socket, 1).on("listen on", &path)?;
        Ok(socket)
    }

    /// Make the directory that the container will see at /run/notify.
    pub(crate) fn make_notify(&self) -> Result<(), Error> {
        mkdirat(&self.fd, NOTIFY, Mode::from_raw_mode(0o755)).on("make", self.path.join(NOTIFY))
    }

    /// The socket in it, for anybody in the container to write to; none where the container was made without.
    pub(crate) fn notify_socket(&self) -> Result<Option<OwnedFd>, Error> {
        let path = self.path.join(NOTIFY_SOCKET);
        let socket = crate::notify::socket().map_err(Error::call("make a socket"))?;
        let address = SocketAddrUnix::new(format!("/proc/self/fd/{}/{NOTIFY_SOCKET}", self.fd.as_raw_fd()))
            .map_err(Error::call("name a socket"))?;
        match bind(&socket, &address) {
            Err(Errno::NOENT) => return Ok(None),
            answer => answer.on("bind the socket", &path)?,
        }
        rustix::fs::chmodat(&self.fd, NOTIFY_SOCKET, Mode::from_raw_mode(0o777), AtFlags::empty())
            .on("open up", &path)?;
        Ok(Some(socket))
    }

    /// To the init that waits. ENOENT and ECONNREFUSED mean that none does.
    pub(crate) fn connect(&self) -> Result<Result<OwnedFd, Errno>, Error> {
        let socket = seqpacket()?;
        let connected = connect(&socket, &self.address()?);
        Ok(connected.map(|()| socket))
    }

    /// Through the descriptor: a socket's path has 108 bytes at most, and --root may be longer.
    fn address(&self) -> Result<SocketAddrUnix, Error> {
        SocketAddrUnix::new(format!("/proc/self/fd/{}/{SOCKET}", self.fd.as_raw_fd()))
            .map_err(Error::call("name a socket"))
    }

    /// Whether init still waits for `start`.
    pub(crate) fn is_waiting(&self) -> bool {
        rustix::fs::accessat(&self.fd, SOCKET, rustix::fs::Access::EXISTS, AtFlags::empty()).is_ok()
    }

    /// Nobody waits any more.
    pub(crate) fn started(&self) -> Result<(), Error> {
        match unlinkat(&self.fd, SOCKET, AtFlags::empty()) {
            Err(Errno::NOENT) => Ok(()),
            answer => answer.on("remove", self.path.join(SOCKET)),
        }
    }

    /// Remove the directory with what is in it. The state is all there is of one that was started.
    pub(crate) fn remove(&self) -> Result<(), Error> {
        let gone = |answer: Result<(), Errno>, name: &str| match answer {
            Err(Errno::NOENT) => Ok(()),
            answer => answer.on("remove", self.path.join(name)),
        };
        gone(unlinkat(&self.fd, STATE, AtFlags::empty()), STATE)?;
        if rustix::fs::rmdir(&self.path).is_ok() {
            return Ok(());
        }
        gone(unlinkat(&self.fd, NOTIFY_SOCKET, AtFlags::empty()), NOTIFY_SOCKET)?;
        gone(unlinkat(&self.fd, NOTIFY, AtFlags::REMOVEDIR), NOTIFY)?;
        for entry in self.entries()? {
            gone(unlinkat(&self.fd, &*entry, AtFlags::empty()), &entry)?;
        }
        gone(rustix::fs::rmdir(&self.path), "")
    }

    fn entries(&self) -> Result<Vec<String>, Error> {
        let directory = openat(&self.fd, ".", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
        let directory = Dir::new(directory.on("open", &self.path)?).on("read", &self.path)?;
        let names = directory.filter_map(|entry| entry.ok()?.file_name().to_str().ok().map(str::to_owned));
        Ok(names.filter(|name| !matches!(&**name, "." | "..")).collect())
    }
}

/// A name that was taken: given back when this is dropped before it was committed.
#[derive(Debug)]
pub(crate) struct Reserved(Option<Directory>);

impl Reserved {
    /// The container's directory.
    pub(crate) fn directory(&self) -> &Directory {
        self.0.as_ref().unwrap_or_else(|| unreachable!("only `commit` takes it, and that ends this"))
    }

    /// The container is there: its directory stays.
    pub(crate) fn commit(mut self) -> Directory {
        self.0.take().unwrap_or_else(|| unreachable!("as in `directory`"))
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        let Some(directory) = &self.0 else { return };
        for name in [SOCKET, NEXT, STATE, FILTER, NOTIFY_SOCKET] {
            let _ = unlinkat(&directory.fd, name, AtFlags::empty());
        }
        let _ = unlinkat(&directory.fd, NOTIFY, AtFlags::REMOVEDIR);
        let _ = rustix::fs::rmdir(&directory.path);
    }
}

fn seqpacket() -> Result<OwnedFd, Error> {
    socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
        .map_err(Error::call("make a socket"))
}
