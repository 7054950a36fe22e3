//! A root filesystem made from busybox: built once in a process, then linked for each container.

use std::{
    env,
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{self, Command},
    sync::OnceLock,
};

const DIRECTORIES: [&str; 10] = ["bin", "dev", "etc", "home/app", "proc", "root", "sys", "tmp", "usr", "var/tmp"];

const PASSWD: &str = "\
root:x:0:0:root:/root:/bin/sh
app:x:1000:1000:App:/home/app:/bin/sh
nobody:x:65534:65534:nobody:/nonexistent:/bin/false
";

const GROUP: &str = "\
root:x:0:
tty:x:5:
app:x:1000:
extra:x:2000:app
nogroup:x:65534:
";

/// Make a root filesystem at `root`. The programs are links to one shared inode; everything else is the container's own.
pub(crate) fn make(root: &Path) {
    for directory in DIRECTORIES {
        fs::create_dir_all(root.join(directory)).expect("the rootfs can be made");
    }
    fs::set_permissions(root.join("tmp"), Permissions::from_mode(0o1777)).expect("the mode can be set");
    fs::write(root.join("etc/passwd"), PASSWD).expect("the rootfs can be written");
    fs::write(root.join("etc/group"), GROUP).expect("the rootfs can be written");
    for (name, program) in programs() {
        fs::hard_link(program, root.join("bin").join(name)).expect("a program can be linked");
    }
}

/// Every applet of busybox: its name and the file to link.
fn programs() -> &'static [(String, PathBuf)] {
    static PROGRAMS: OnceLock<Vec<(String, PathBuf)>> = OnceLock::new();
    PROGRAMS.get_or_init(|| {
        let busybox = env::var("BUSYBOX").unwrap_or_else(|_| "busybox".into());
        // By its name it knows what it is: it must begin with "busybox".
        let copy = env::temp_dir().join(format!("busybox-{}", process::id()));
        // By another process: had we ever had it open for writing, a test that clones at that moment would keep it so, and
        // to execute it would fail with ETXTBSY.
        let made = Command::new("sh")
            .args(["-c", r#"cp "$(command -v "$0")" "$1" && chmod 755 "$1""#, &busybox])
            .arg(&copy)
            .status()
            .expect("sh runs");
        assert!(made.success(), "no busybox: install busybox-static, or set BUSYBOX to a static one");
        let list = Command::new(&copy).arg("--list").output().expect("busybox runs").stdout;
        String::from_utf8_lossy(&list).lines().map(|name| (name.to_owned(), copy.clone())).collect()
    })
}
