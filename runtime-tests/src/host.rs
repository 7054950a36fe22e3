//! What the machine has, and what a test does to the view itself: mounts, and processes that are no containers.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use crate::wait_until;

/// Is there a systemd that can be asked for a cgroup? In the view `systemd` on a machine that it has booted.
pub fn has_systemd() -> bool {
    Path::new("/run/systemd/system").is_dir() && Path::new("/run/dbus/system_bus_socket").exists()
}

/// Does the kernel enforce AppArmor's profiles, and can a test load one?
pub fn has_apparmor() -> bool {
    fs::read_to_string("/sys/module/apparmor/parameters/enabled").is_ok_and(|text| text.starts_with('Y'))
        && Path::new("/sys/kernel/security/apparmor/profiles").exists()
}

/// Does the kernel have a policy of SELinux?
pub fn has_selinux() -> bool {
    Path::new("/sys/fs/selinux/enforce").exists()
}

/// A mount in the mount namespace of the test, which ends with this value.
pub struct HostMount(PathBuf);

impl HostMount {
    /// `mount ARGUMENTS... POINT`; the point is made.
    #[track_caller]
    pub fn new(arguments: &[&str], point: &Path) -> Self {
        fs::create_dir_all(point).expect("the mount point can be made");
        let done = Command::new("mount").args(arguments).arg(point).status().expect("mount runs").success();
        assert!(done, "mount {arguments:?} {}", point.display());
        Self(point.to_owned())
    }

    /// Change how mounts propagate: `--make-shared` and its like.
    #[track_caller]
    pub fn make(self, propagation: &str) -> Self {
        let done = Command::new("mount").arg(propagation).arg(&self.0).status().expect("mount runs").success();
        assert!(done, "mount {propagation} {}", self.0.display());
        self
    }
}

impl Drop for HostMount {
    fn drop(&mut self) {
        let _ = Command::new("umount").args(["-R", "-l"]).arg(&self.0).stderr(Stdio::null()).status();
    }
}

/// A sleeping process in namespaces of its own, which ends with this value.
pub struct Sleeper(Child);

impl Sleeper {
    /// `unshare ARGUMENTS... sleep`.
    #[track_caller]
    pub fn unshared(arguments: &[&str]) -> Self {
        let child = Command::new("unshare").args(arguments).args(["sleep", "1000"]).stdin(Stdio::null()).spawn();
        let sleeper = Self(child.expect("unshare runs"));
        let name = || fs::read_to_string(format!("/proc/{}/comm", sleeper.pid())).unwrap_or_default();
        wait_until("it has unshared", || name() == "sleep\n");
        sleeper
    }

    /// Its pid.
    pub fn pid(&self) -> u32 {
        self.0.id()
    }

    /// The path of one of its namespaces.
    pub fn namespace(&self, name: &str) -> String {
        format!("/proc/{}/ns/{name}", self.pid())
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
