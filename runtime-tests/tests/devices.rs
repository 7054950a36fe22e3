//! Devices: those every container has, those of the config, and which may be opened.

use std::{
    fs,
    os::unix::fs::{FileTypeExt, MetadataExt},
    path::Path,
    process::Command,
};

use runtime_tests::{Container, controller, require};
use serde_json::{Value, json};

/// A number for experiments, which has no driver: to open it is ENXIO if the cgroup allows it, and EPERM if not.
const NOBODY: (u64, u64) = (240, 11);
const ALLOWED: &str = "No such device or address";
const DENIED: &str = "Operation not permitted";

fn device(kind: &str, path: &str, (major, minor): (u64, u64)) -> Value {
    json!({ "type": kind, "path": path, "major": major, "minor": minor, "fileMode": 0o666, "uid": 0, "gid": 0 })
}

/// A container with these devices.
fn with_devices(devices: &[Value]) -> Container {
    Container::new("device").edit(|config| config["linux"]["devices"] = json!(devices))
}

/// A container with these rules after the one which denies everything.
fn with_rules(rules: &[Value]) -> Container {
    let mut all = vec![json!({ "allow": false, "access": "rwm" })];
    all.extend_from_slice(rules);
    with_devices(&[device("c", "/dev/nobody", NOBODY)])
        .edit(|config| config["linux"]["resources"]["devices"] = json!(all))
}

/// May anybody open a device here? What is denied above us, no rule of ours can allow.
fn openable() -> bool {
    let probe = Container::new("probe");
    let node = probe.outside("node");
    let (major, minor) = (NOBODY.0.to_string(), NOBODY.1.to_string());
    let made = Command::new("mknod").arg(&node).args(["c", &major, &minor]).status();
    assert!(made.expect("mknod runs").success());
    fs::File::open(&node).is_err_and(|error| error.raw_os_error() == Some(rustix::io::Errno::NXIO.raw_os_error()))
}

// ---- what every container has ----

#[test]
fn usual_devices_are_there() {
    Container::new("device")
        .script("for name in null zero full random urandom tty; do stat -c '%n %F %t:%T %a %u:%g' /dev/$name; done")
        .run()
        .prints(
            "/dev/null character special file 1:3 666 0:0\n\
             /dev/zero character special file 1:5 666 0:0\n\
             /dev/full character special file 1:7 666 0:0\n\
             /dev/random character special file 1:8 666 0:0\n\
             /dev/urandom character special file 1:9 666 0:0\n\
             /dev/tty character special file 5:0 666 0:0\n",
        );
}

#[test]
fn usual_devices_work() {
    Container::new("device")
        .script("echo x > /dev/null; head -c 4 /dev/zero | wc -c; head -c 4 /dev/urandom | wc -c; echo x 2>/dev/null > /dev/full || echo full")
        .run()
        .prints("4\n4\nfull\n");
}

#[test]
fn usual_links_are_there() {
    Container::new("device")
        .script("for name in fd stdin stdout stderr ptmx; do readlink /dev/$name; done; readlink /dev/core || [ ! -e /proc/kcore ] && echo core is right")
        .run()
        .ok()
        .strip_prefix("/proc/self/fd\n/proc/self/fd/0\n/proc/self/fd/1\n/proc/self/fd/2\npts/ptmx\n")
        .expect("the links come first");
}

#[test]
fn nothing_else_is_there() {
    let text = Container::new("device").args(["ls", "/dev"]).run().ok();
    let expected = [
        "core", "fd", "full", "mqueue", "null", "ptmx", "pts", "random", "shm", "stderr", "stdin", "stdout", "tty",
        "urandom", "zero",
    ];
    for name in text.lines() {
        assert!(expected.contains(&name), "{name} in {text}");
    }
}

#[test]
fn terminals_can_be_made() {
    // Opening ptmx makes one in the container's own devpts.
    Container::new("device").script("exec 3<>/dev/ptmx && ls /dev/pts").run().prints("0\nptmx\n");
}

#[test]
fn devices_go_into_the_rootfs_if_nothing_is_mounted_on_dev() {
    let container = Container::new("device").edit(|config| {
        config["mounts"]
            .as_array_mut()
            .expect("a list")
            .retain(|mount| !mount["destination"].as_str().is_some_and(|path| path.starts_with("/dev")));
    });
    let container = container.writable().script("echo x > /dev/null; [ -c /dev/zero ] && readlink /dev/ptmx");
    container.run().prints("pts/ptmx\n");
    let null = fs::metadata(container.rootfs().join("dev/null")).expect("it is made");
    assert!(null.file_type().is_char_device() && null.rdev() == 0x103, "{null:?}");
}

#[test]
fn dev_that_is_bound_is_left_as_it_is() {
    let container = Container::new("device").edit(|config| {
        config["mounts"]
            .as_array_mut()
            .expect("a list")
            .retain(|mount| !mount["destination"].as_str().is_some_and(|path| path.starts_with("/dev")));
    });
    let source = container.outside("dev");
    fs::create_dir(&source).expect("it can be made");
    for name in ["null", "own"] {
        fs::write(source.join(name), "").expect("it can be written");
    }
    let container = container.unmasked().mount("bind", &source, "/dev", &["bind"]).args(["ls", "/dev"]);
    container.run().prints("null\nown\n");
    assert_eq!(fs::read_dir(&source).expect("it is there").count(), 2);
}

// ---- what the config adds ----

#[test]
fn devices_of_the_config_are_made() {
    let devices = [
        json!({ "type": "c", "path": "/dev/one", "major": 10, "minor": 229, "fileMode": 0o640, "uid": 1000, "gid": 2000 }),
        json!({ "type": "b", "path": "/dev/two", "major": 7, "minor": 3, "fileMode": 0o600, "uid": 0, "gid": 6 }),
        json!({ "type": "p", "path": "/dev/three", "fileMode": 0o666, "uid": 0, "gid": 0 }),
        json!({ "type": "u", "path": "/dev/four", "major": 10, "minor": 200, "fileMode": 0o444, "uid": 0, "gid": 0 }),
    ];
    with_devices(&devices)
        .script("for name in one two three four; do stat -c '%n %F %t:%T %a %u:%g' /dev/$name; done")
        .run()
        .prints(
            "/dev/one character special file a:e5 640 1000:2000\n\
         /dev/two block special file 7:3 600 0:6\n\
         /dev/three fifo 0:0 666 0:0\n\
         /dev/four character special file a:c8 444 0:0\n",
        );
}

#[test]
fn mode_and_owner_have_defaults() {
    with_devices(&[json!({ "type": "c", "path": "/dev/x", "major": 1, "minor": 3 })])
        .script("stat -c '%a %u:%g' /dev/x")
        .run()
        .prints("666 0:0\n");
}

#[test]
fn mode_does_not_depend_on_the_umask() {
    with_devices(&[device("c", "/dev/x", NOBODY)])
        .through("umask 077; exec \"$@\"")
        .script("stat -c %a /dev/x /dev/null")
        .run()
        .prints("666\n666\n");
}

#[test]
fn directories_for_a_device_are_made() {
    with_devices(&[json!({ "type": "c", "path": "/dev/net/deep/tun", "major": 10, "minor": 200, "fileMode": 0o666 })])
        .script("[ -c /dev/net/deep/tun ] && stat -c %a /dev/net")
        .run()
        .prints("755\n");
}

#[test]
fn device_may_be_anywhere() {
    with_devices(&[device("c", "/tmp/zero", (1, 5))])
        .writable()
        .script("stat -c '%t:%T' /tmp/zero")
        .run()
        .prints("1:5\n");
}

#[test]
fn device_of_the_config_replaces_a_usual_one() {
    with_devices(&[json!({ "type": "c", "path": "/dev/full", "major": 1, "minor": 7, "fileMode": 0o600, "uid": 1000, "gid": 1000 })])
        .script("stat -c '%a %u:%g' /dev/full")
        .run()
        .prints("600 1000:1000\n");
}

#[test]
fn device_that_the_rootfs_has_already_is_used() {
    let container = with_devices(&[device("c", "/there", (1, 5))]).writable();
    let made = Command::new("mknod").arg(container.rootfs().join("there")).args(["c", "1", "5"]).status();
    assert!(made.expect("mknod runs").success());
    container.script("stat -c '%t:%T' /there").run().prints("1:5\n");
}

// ---- which may be opened ----

#[test]
fn device_that_no_rule_allows_can_not_be_opened() {
    require!(controller("devices").is_some(), "no device controller");
    let output = with_rules(&[]).script("true > /dev/nobody").run();
    assert!(output.stderr.contains(DENIED), "{output:?}");
}

#[test]
fn device_that_a_rule_allows_can_be_opened() {
    require!(controller("devices").is_some(), "no device controller");
    require!(openable(), "a cgroup above this view denies devices");
    for rule in [
        json!({ "allow": true, "type": "c", "major": 240, "minor": 11, "access": "rwm" }),
        json!({ "allow": true, "type": "c", "major": 240, "access": "w" }),
        json!({ "allow": true, "type": "a", "access": "rwm" }),
        json!({ "allow": true, "access": "rwm" }),
    ] {
        let output = with_rules(&[rule]).script("true > /dev/nobody").run();
        assert!(output.stderr.contains(ALLOWED), "{output:?}");
    }
}

#[test]
fn rule_for_another_device_does_not_matter() {
    require!(controller("devices").is_some(), "no device controller");
    for rule in [
        json!({ "allow": true, "type": "b", "major": 240, "minor": 11, "access": "rwm" }),
        json!({ "allow": true, "type": "c", "major": 240, "minor": 12, "access": "rwm" }),
        json!({ "allow": true, "type": "c", "major": 241, "access": "rwm" }),
        json!({ "allow": true, "type": "c", "major": 240, "minor": 11, "access": "m" }),
    ] {
        let output = with_rules(&[rule]).script("true > /dev/nobody").run();
        assert!(output.stderr.contains(DENIED), "{output:?}");
    }
}

#[test]
fn device_can_be_opened_only_as_its_rule_says() {
    require!(controller("devices").is_some(), "no device controller");
    require!(openable(), "a cgroup above this view denies devices");
    let rule = json!({ "allow": true, "type": "c", "major": 240, "minor": 11, "access": "w" });
    let output = with_rules(&[rule]).script("true > /dev/nobody; true < /dev/nobody").run();
    let lines: Vec<_> = output.stderr.lines().collect();
    assert!(lines[0].contains(ALLOWED) && lines[1].contains(DENIED), "{output:?}");
}

#[test]
fn later_rule_wins() {
    require!(controller("devices").is_some(), "no device controller");
    require!(openable(), "a cgroup above this view denies devices");
    let allow = json!({ "allow": true, "type": "c", "major": 240, "minor": 11, "access": "rwm" });
    let deny = json!({ "allow": false, "type": "c", "major": 240, "minor": 11, "access": "rwm" });
    let output = with_rules(&[allow.clone(), deny.clone()]).script("true > /dev/nobody").run();
    assert!(output.stderr.contains(DENIED), "{output:?}");
    let output = with_rules(&[deny, allow]).script("true > /dev/nobody").run();
    assert!(output.stderr.contains(ALLOWED), "{output:?}");
}

#[test]
fn empty_list_of_rules_does_not_allow_everything() {
    // GO-2022-0396: an empty list was once taken for "nothing is forbidden".
    require!(controller("devices").is_some(), "no device controller");
    for devices in [json!([]), Value::Null] {
        let container = with_devices(&[device("c", "/dev/nobody", NOBODY)])
            .edit(|config| config["linux"]["resources"] = json!({ "devices": devices }));
        let output = container.script("true > /dev/nobody").run();
        assert!(output.stderr.contains(DENIED), "{output:?}");
    }
}

#[test]
fn no_resources_at_all_do_not_allow_everything() {
    require!(controller("devices").is_some(), "no device controller");
    let container = with_devices(&[device("c", "/dev/nobody", NOBODY)]).edit(|config| {
        config["linux"].as_object_mut().expect("an object").remove("resources");
    });
    let output = container.script("true > /dev/nobody; echo x > /dev/null && echo fine").run();
    assert!(output.stderr.contains(DENIED), "{output:?}");
    output.prints("fine\n");
}

#[test]
fn usual_devices_can_be_opened_although_everything_is_denied() {
    require!(controller("devices").is_some(), "no device controller");
    with_rules(&[])
        .script("for name in null zero full random urandom; do true < /dev/$name || echo no $name; done; exec 3<>/dev/ptmx && echo fine")
        .run()
        .prints("fine\n");
}

#[test]
fn node_can_be_made_but_not_opened() {
    // The default rules allow mknod of every device: an image may carry nodes that it does not use.
    require!(controller("devices").is_some(), "no device controller");
    let output = with_rules(&[]).capability("CAP_MKNOD").script("mknod /dev/mine c 240 11 && true > /dev/mine").run();
    assert!(output.stderr.contains("/dev/mine: Operation not permitted"), "{output:?}");
}

#[test]
fn devices_of_the_host_keep_their_owner() {
    let owner = |name: &str| {
        let metadata = fs::metadata(Path::new("/dev").join(name)).expect("it is there");
        (metadata.uid(), metadata.gid(), metadata.mode())
    };
    let names = ["null", "zero", "full", "random", "urandom", "tty"];
    let before = names.map(owner);
    Container::new("device")
        .user(1000, 1000)
        .script("exec </dev/null; true")
        .through("exec \"$@\" </dev/null >/dev/null 2>/dev/zero")
        .run()
        .quietly();
    assert_eq!(names.map(owner), before);
}
