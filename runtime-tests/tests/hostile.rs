//! A root filesystem, a state directory or a config made to reach outside: the runtime resolves it inside, or refuses.
//! A decoy outside of the root filesystem stands for the machine; it must be the same afterwards.

use std::{
    fs,
    os::unix::fs::{FileTypeExt, MetadataExt, symlink},
    path::{Path, PathBuf},
    process::Command,
};

use runtime_tests::{Container, Output, differs, runtime_path};
use serde_json::json;

/// A directory outside of the root filesystem which nobody may touch.
struct Decoy {
    path: PathBuf,
    before: Vec<String>,
}

impl Decoy {
    fn beside(container: &Container) -> Self {
        let path = container.outside("decoy");
        for directory in ["", "attr", "self", "pts", "shm", "mqueue", "fs", "fs/cgroup"] {
            fs::create_dir(path.join(directory)).expect("it can be made");
        }
        for file in ["null", "ptmx", "secret", "kcore", "passwd"] {
            fs::write(path.join(file), "of the host\n").expect("it can be written");
        }
        let before = listing(&path);
        Self { path, before }
    }

    #[track_caller]
    fn is_untouched(&self) {
        assert_eq!(listing(&self.path), self.before, "the host was changed");
        let info = fs::read_to_string("/proc/self/mountinfo").expect("proc is mounted");
        assert!(!info.contains(&*self.path.to_string_lossy()), "a mount on the host: {info}");
    }
}

/// Everything below a directory: name, kind, mode, owner, content.
fn listing(directory: &Path) -> Vec<String> {
    let mut lines = Vec::new();
    for entry in fs::read_dir(directory).expect("it can be read").flatten() {
        let metadata = entry.path().symlink_metadata().expect("it is there");
        let content =
            if metadata.is_file() { fs::read_to_string(entry.path()).unwrap_or_default() } else { String::new() };
        let kind = metadata.file_type();
        let special = kind.is_char_device() || kind.is_block_device() || kind.is_fifo();
        let (mode, owner) = (metadata.mode(), metadata.uid());
        lines.push(format!("{} {mode:o} {owner} {special} {content:?}", entry.path().display()));
        if metadata.is_dir() {
            lines.extend(listing(&entry.path()));
        }
    }
    lines.sort();
    lines
}

/// Ways to write a link from inside the root filesystem to the decoy.
fn links(decoy: &Decoy) -> Vec<(&'static str, PathBuf)> {
    let path = &decoy.path;
    vec![
        ("absolute", path.clone()),
        ("climbing", PathBuf::from("../../../../../../../../..").join(path.strip_prefix("/").expect("absolute"))),
        ("short climb", "../../decoy".into()),
        ("magic", Path::new("/proc/self/root").join(path.strip_prefix("/").expect("absolute"))),
        ("magic parent", Path::new("/proc/1/root").join(path.strip_prefix("/").expect("absolute"))),
        ("magic directory", "/proc/self/cwd/../../decoy".into()),
        ("looping", "loop".into()),
        ("nowhere", "/no/such/place".into()),
    ]
}

/// Run a container whose root filesystem has a link at `place`; success or refusal, but the decoy stays.
#[track_caller]
fn with_link(place: &str, prepare: impl Fn(Container, &Decoy) -> Container) -> Vec<(&'static str, Output)> {
    let mut outputs = Vec::new();
    let count = links(&Decoy::beside(&Container::new("count"))).len();
    for number in 0..count {
        let container = Container::new("hostile").writable().args(["true"]);
        let decoy = Decoy::beside(&container);
        let (kind, target) = links(&decoy).swap_remove(number);
        let container = prepare(container, &decoy);
        let container = if target == Path::new("loop") {
            container.link(place, Path::new(place).file_name().expect("it has one"))
        } else {
            container.link(place, target)
        };
        let output = container.run();
        decoy.is_untouched();
        assert!(output.code == 0 || output.code == 1, "{kind}: {output:?}");
        outputs.push((kind, output));
    }
    outputs
}

// ---- links where the runtime mounts ----

#[test]
fn proc_may_be_a_link() {
    // CVE-2023-27561, CVE-2019-19921: a /proc that is a link leads masks and labels astray.
    for (kind, output) in with_link("proc", |container, _| container) {
        assert_eq!(output.code, 1, "it runs with {kind}: {output:?}");
    }
}

#[test]
fn sys_may_be_a_link() {
    with_link("sys", |container, _| container);
}

#[test]
fn dev_may_be_a_link() {
    if differs("dev-is-a-link") {
        return;
    }
    with_link("dev", |container, _| container);
}

#[test]
fn dev_may_be_a_link_where_nothing_is_mounted_on_it() {
    // CVE-2026-41579: devices and links are made, and an old ptmx is deleted, in a directory of the host.
    if differs("dev-is-a-link") {
        return;
    }
    with_link("dev", |container, _| {
        container.without_mount("/dev").without_mount("/dev/pts").without_mount("/dev/shm").without_mount("/dev/mqueue")
    });
}

#[test]
fn target_of_a_mount_may_be_a_link() {
    with_link("mnt", |container, _| container.mount("tmpfs", "tmpfs", "/mnt", &[]));
}

#[test]
fn parent_of_the_target_may_be_a_link() {
    with_link("mnt", |container, _| container.mount("tmpfs", "tmpfs", "/mnt/made/here", &[]));
}

#[test]
fn target_of_a_bound_file_may_be_a_link() {
    with_link("etc/conf", |container, _| {
        let source = container.outside("source");
        fs::write(&source, "of the container\n").expect("it can be written");
        container.mount("bind", source, "/etc/conf", &["bind"])
    });
}

#[test]
fn file_of_the_host_is_not_bound_over() {
    let container = Container::new("hostile");
    let decoy = Decoy::beside(&container);
    let source = container.outside("source");
    fs::write(&source, "of the container\n").expect("it can be written");
    let container = container
        .writable()
        .link("conf", decoy.path.join("secret"))
        .mount("bind", source, "/conf", &["bind"])
        .args(["cat", "/conf"]);
    container.run().prints("of the container\n");
    decoy.is_untouched();
}

#[test]
fn target_that_climbs_stays_inside() {
    let container = Container::new("hostile").writable();
    let decoy = Decoy::beside(&container);
    let container = container
        .mount("tmpfs", "tmpfs", "/../../decoy/attr", &[])
        .mount("tmpfs", "tmpfs", "/x/../../../decoy/self", &[])
        .args(["true"]);
    let _ = container.run();
    decoy.is_untouched();
}

#[test]
fn copied_up_directory_may_be_a_link() {
    for (kind, output) in with_link("data", |container, _| {
        container.mount("tmpfs", "tmpfs", "/data", &["tmpcopyup"]).args(["cat", "/data/secret"])
    }) {
        assert!(!output.stdout.contains("of the host"), "{kind}: {output:?}");
    }
}

#[test]
fn working_directory_may_be_a_link() {
    with_link("jobs", |container, _| container.edit(|config| config["process"]["cwd"] = json!("/jobs/made/here")));
}

#[test]
fn cgroup_directory_may_be_a_link() {
    with_link("sys", |container, _| container.without_mount("/sys"));
}

#[test]
fn device_may_go_where_a_link_points() {
    with_link("links", |container, _| {
        container.edit(|config| {
            config["linux"]["devices"] = json!([
                { "path": "/links/null", "type": "c", "major": 1, "minor": 3 },
                { "path": "/links/new", "type": "c", "major": 1, "minor": 5 },
            ]);
        })
    });
}

// ---- what is hidden ----

#[test]
fn masked_link_does_not_lead_outside() {
    with_link("mask", |container, _| {
        container.edit(|config| config["linux"]["maskedPaths"] = json!(["/mask", "/mask/secret"]))
    });
}

#[test]
fn read_only_link_does_not_lead_outside() {
    with_link("mask", |container, _| {
        container.edit(|config| config["linux"]["readonlyPaths"] = json!(["/mask", "/mask/secret"]))
    });
}

#[test]
fn null_device_that_is_a_link_is_no_mask() {
    // CVE-2025-31133: what lies at the container's /dev/null is bound over a masked file.
    let container = Container::new("hostile").writable();
    let decoy = Decoy::beside(&container);
    let container = container
        .without_mount("/dev")
        .without_mount("/dev/pts")
        .without_mount("/dev/shm")
        .without_mount("/dev/mqueue")
        .file("secret", "of the container\n")
        .file("other", "something else\n")
        .link("dev/null", "/other")
        .edit(|config| config["linux"]["maskedPaths"] = json!(["/secret"]))
        .args(["cat", "/secret"]);
    let output = container.run();
    assert_eq!(output.stdout, "", "{output:?}");
    decoy.is_untouched();
}

#[test]
fn null_device_of_the_host_is_not_reached_by_a_link() {
    // Standard streams are opened anew, and given to the user, through the container's /dev/null.
    let container = Container::new("hostile").writable().user(1000, 1000);
    let decoy = Decoy::beside(&container);
    let container = container
        .without_mount("/dev")
        .without_mount("/dev/pts")
        .without_mount("/dev/shm")
        .without_mount("/dev/mqueue")
        .link("dev/null", decoy.path.join("null"))
        .through("exec \"$@\" </dev/null >/dev/null 2>/dev/null")
        .args(["true"]);
    let _ = container.run();
    decoy.is_untouched();
}

#[test]
fn fake_proc_is_refused() {
    // CVE-2019-16884: a volume over /proc takes the labels and limits that the runtime writes there.
    for destination in ["/proc", "/proc/self", "/proc/self/attr", "/proc/sys", "/proc/sys/kernel", "/proc/1"] {
        let container = Container::new("hostile").args(["true"]);
        let decoy = Decoy::beside(&container);
        let container = container.mount("bind", &decoy.path, destination, &["bind"]);
        container.run().refused().says(destination);
        decoy.is_untouched();
    }
    let container = Container::new("hostile").args(["true"]).mount("tmpfs", "tmpfs", "/proc/self", &[]);
    container.run().refused().says("/proc/self");
}

#[test]
fn some_files_of_proc_may_be_covered() {
    // lxcfs gives a container its own numbers this way.
    for name in ["cpuinfo", "meminfo", "stat", "swaps", "uptime", "loadavg", "diskstats"] {
        let path = format!("/proc/{name}");
        if !Path::new(&path).exists() {
            continue;
        }
        let container = Container::new("lxcfs");
        let source = container.outside("source");
        fs::write(&source, "my own\n").expect("it can be written");
        container.mount("bind", source, &path, &["bind"]).args(["cat", &path]).run().prints("my own\n");
    }
}

// ---- files that the runtime reads or writes ----

#[test]
fn passwd_may_be_anything() {
    let container = Container::new("passwd").args(["true"]).link("etc/passwd", "/no/such/file");
    let _ = container.run();
    let container = Container::new("passwd").args(["true"]).link("etc/passwd", "passwd");
    let _ = container.run();
    if differs("passwd-that-never-ends") {
        return;
    }
    // A pipe that nobody writes to, a device that never ends, a directory: HOME is / and the container runs.
    for kind in ["mkfifo", "mkdir"] {
        let container = Container::new("passwd").script("echo $HOME");
        let passwd = container.rootfs().join("etc/passwd");
        fs::remove_file(&passwd).expect("it is there");
        assert!(Command::new(kind).arg(&passwd).status().expect("it runs").success());
        container.run().prints("/\n");
    }
    let container = Container::new("passwd").script("echo $HOME").link("etc/passwd", "/dev/zero");
    container.run().prints("/\n");
}

#[test]
fn passwd_of_the_host_is_not_read() {
    let container = Container::new("passwd");
    let file = container.outside("passwd");
    fs::write(&file, "root:x:0:0:root:/home/of/the/host:/bin/sh\n").expect("it can be written");
    for target in [file.clone(), Path::new("../../..").join("passwd")] {
        let container = Container::new("passwd").script("echo $HOME").link("etc/passwd", target);
        let output = container.run();
        assert!(!output.stdout.contains("host"), "{output:?}");
    }
}

#[test]
fn passwd_with_one_endless_line_takes_no_memory() {
    if differs("passwd-that-never-ends") {
        return;
    }
    let line = "x".repeat(8 << 20);
    Container::new("passwd").file("etc/passwd", &line).script("echo fine").run().prints("fine\n");
}

#[test]
fn state_that_is_a_link_is_not_followed() {
    let container = Container::new("planted").args(["sleep", "1000"]);
    let decoy = Decoy::beside(&container);
    let planted = container.state_root().join(&container.id);
    symlink(&decoy.path, &planted).expect("a link can be made");
    if differs("planted-state") {
        fs::remove_file(planted).expect("it is there");
        return;
    }
    container.creating("create").output().refused();
    container.delete_by_force().exits(0);
    decoy.is_untouched();
    let _ = fs::remove_file(planted);
}

#[test]
fn pid_file_that_is_a_link_is_replaced() {
    let container = Container::new("planted").args(["sleep", "1000"]);
    let decoy = Decoy::beside(&container);
    let file = container.outside("the.pid");
    symlink(decoy.path.join("secret"), &file).expect("a link can be made");
    let container = container.option("--pid-file").option(&file.to_string_lossy());
    container.create().quietly();
    assert_eq!(fs::read_to_string(&file).expect("it is written"), container.pid().to_string());
    decoy.is_untouched();
}

#[test]
fn state_can_not_be_read_by_others() {
    let container = Container::new("private").args(["sleep", "1000"]);
    container.create().quietly();
    let directory = container.state_root().join(&container.id);
    for entry in fs::read_dir(&directory).expect("it is there").flatten() {
        let mode = entry.metadata().expect("it is there").mode();
        let socket = entry.file_type().is_ok_and(|kind| kind.is_fifo() || kind.is_socket());
        assert!(socket || mode & 0o022 == 0, "{}: {mode:o}", entry.path().display());
    }
    let mode = fs::metadata(&directory).expect("it is there").mode();
    assert_eq!(mode & 0o022, 0, "{mode:o}");
}

// ---- what the container can reach of the runtime ----

#[test]
fn container_sees_no_descriptor_of_the_runtime() {
    // 3 is the directory that ls reads.
    Container::new("descriptors").args(["ls", "/proc/1/fd"]).run().prints("0\n1\n2\n3\n");
}

#[test]
fn waiting_process_shows_nothing_of_the_runtime() {
    let container = Container::new("waiting").args(["sleep", "1000"]).caller_env("SECRET_OF_THE_CALLER", "1");
    container.create().quietly();
    let environment = fs::read(format!("/proc/{}/environ", container.pid())).expect("it lives");
    assert!(!String::from_utf8_lossy(&environment).contains("SECRET_OF_THE_CALLER"));
}

#[test]
fn program_of_the_runtime_can_not_be_overwritten_from_inside() {
    // CVE-2019-5736: what waits in the container for `start` must not be the runtime's own file on the host.
    let container = Container::new("overwrite").args(["sleep", "1000"]);
    container.create().quietly();
    let exe = format!("/proc/{}/exe", container.pid());
    let opened = fs::OpenOptions::new().write(true).open(&exe);
    assert!(opened.is_err(), "it can be opened for writing");
    let (inside, ours) = (fs::metadata(&exe).expect("it lives"), fs::metadata(runtime_path()).expect("it is there"));
    if !differs("runtime-in-the-container") {
        assert!((inside.dev(), inside.ino()) != (ours.dev(), ours.ino()), "it is the runtime itself");
    }
}

#[test]
fn interpreter_that_is_the_process_itself_does_no_harm() {
    let before = fs::read(runtime_path()).expect("it can be read");
    let container = Container::new("overwrite").writable().program("entry", "#!/proc/self/exe\n").args(["/entry"]);
    let output = container.run();
    assert_ne!(output.code, 0, "{output:?}");
    assert_eq!(fs::read(runtime_path()).expect("it can be read"), before);
}

// ---- size ----

#[test]
fn huge_config_is_no_trouble() {
    let many: Vec<String> = (0..50_000).map(|number| format!("VARIABLE_{number}=value")).collect();
    let container = Container::new("huge").edit(|config| {
        config["annotations"] = json!({ "a": "x".repeat(4 << 20) });
        config["process"]["env"] = json!(["PATH=/bin"]);
        config["linux"]["unheardOf"] = json!(many);
    });
    container.args(["echo", "fine"]).run().prints("fine\n");
}

#[test]
fn numbers_out_of_range_are_refused() {
    for (pointer, value) in [
        ("/process/user/gid", json!(-5)),
        ("/process/rlimits/0/soft", json!(-1)),
        ("/process/user/additionalGids", json!([4_294_967_296_u64])),
        ("/process/oomScoreAdj", json!(9_999_999_999_u64)),
    ] {
        let container = Container::new("range").args(["true"]).edit(|config| {
            let (parent, last) = pointer.rsplit_once('/').expect("a path has parts");
            config.pointer_mut(parent).expect("the base config has it")[last] = value;
        });
        container.create().refused();
    }
}
