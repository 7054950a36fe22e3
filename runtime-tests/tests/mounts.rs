//! The mounts of the config: every type, every option, and what is made for them in the root filesystem.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, chown, symlink},
    path::PathBuf,
};

use runtime_tests::{
    Container, HostMount, cgroup_v2, controller, differs, is_runc, mount_at, mounts, newer_than_this_runc, old_runc,
    require,
};
use serde_json::json;

const MOUNTINFO: [&str; 2] = ["cat", "/proc/self/mountinfo"];

/// A container and a directory outside of it with one file.
fn with_source(name: &str) -> (Container, PathBuf) {
    let container = Container::new(name);
    let source = container.outside("source");
    fs::create_dir(&source).expect("it can be made");
    fs::write(source.join("file"), "content\n").expect("it can be written");
    (container, source)
}

// ---- options ----

#[test]
fn options_of_mount_are_understood() {
    for (options, expected) in [
        (&["ro"][..], "ro,relatime"),
        (&["rw"], "rw,relatime"),
        (&["nosuid"], "rw,nosuid,relatime"),
        (&["nodev"], "rw,nodev,relatime"),
        (&["noexec"], "rw,noexec,relatime"),
        (&["noatime"], "rw,noatime"),
        (&["nodiratime"], "rw,nodiratime,relatime"),
        (&["strictatime"], "rw"),
        (&["relatime"], "rw,relatime"),
        (&["defaults"], "rw,relatime"),
        (&["ro", "nosuid", "nodev", "noexec", "noatime"], "ro,nosuid,nodev,noexec,noatime"),
        // The later one wins.
        (&["ro", "rw"], "rw,relatime"),
        (&["noexec", "exec"], "rw,relatime"),
        (&["nosuid", "suid"], "rw,relatime"),
        (&["nodev", "dev"], "rw,relatime"),
        (&["noatime", "atime"], "rw,relatime"),
        (&["nodiratime", "diratime"], "rw,relatime"),
        (&["strictatime", "nostrictatime"], "rw,relatime"),
    ] {
        if options == ["defaults"] && old_runc() {
            continue; // It takes the word for an option of the filesystem.
        }
        let info = Container::new("options").mount("tmpfs", "tmpfs", "/mnt", options).args(MOUNTINFO).run().ok();
        assert_eq!(mount_at(&info, "/mnt").options.join(","), expected, "{options:?}");
    }
}

#[test]
fn links_are_not_followed_on_a_mount_with_nosymfollow() {
    newer_than_this_runc!("nosymfollow");
    let info = Container::new("options").mount("tmpfs", "tmpfs", "/mnt", &["nosymfollow"]).args(MOUNTINFO).run().ok();
    assert!(mount_at(&info, "/mnt").has("nosymfollow"), "{info}");
    let info = Container::new("options")
        .mount("tmpfs", "tmpfs", "/mnt", &["nosymfollow", "symfollow"])
        .args(MOUNTINFO)
        .run()
        .ok();
    assert!(!mount_at(&info, "/mnt").has("nosymfollow"), "{info}");
}

#[test]
fn options_of_the_filesystem_itself_are_understood() {
    for (option, expected) in [("sync", "sync"), ("dirsync", "dirsync"), ("lazytime", "lazytime")] {
        let info = Container::new("options").mount("tmpfs", "tmpfs", "/mnt", &[option]).args(MOUNTINFO).run().ok();
        assert!(mount_at(&info, "/mnt").filesystem_has(expected), "{info}");
    }
    let info = Container::new("options").mount("tmpfs", "tmpfs", "/mnt", &["sync", "async"]).args(MOUNTINFO).run().ok();
    assert!(!mount_at(&info, "/mnt").filesystem_has("sync"), "{info}");
}

#[test]
fn options_that_only_the_filesystem_knows_are_handed_on() {
    let text = Container::new("tmpfs")
        .mount("tmpfs", "tmpfs", "/mnt", &["size=64k", "mode=1770", "uid=1000", "gid=2000", "nr_inodes=50"])
        .script("stat -c '%a %u %g' /mnt; grep /mnt /proc/self/mountinfo")
        .run()
        .ok();
    assert!(text.starts_with("1770 1000 2000\n"), "{text}");
    let mount = mount_at(&text, "/mnt");
    for option in ["size=64k", "nr_inodes=50"] {
        assert!(mount.filesystem_has(option), "{mount:?}");
    }
}

#[test]
fn tmpfs_is_limited_by_its_size() {
    let output = Container::new("tmpfs")
        .mount("tmpfs", "tmpfs", "/mnt", &["size=64k"])
        .script("dd if=/dev/zero of=/mnt/file bs=1k count=100")
        .run();
    assert!(output.stderr.contains("No space left on device"), "{output:?}");
}

#[test]
fn read_only_tmpfs_can_not_be_written() {
    let output =
        Container::new("tmpfs").mount("tmpfs", "tmpfs", "/mnt", &["ro", "mode=755"]).script("touch /mnt/file").run();
    assert!(output.stderr.contains("Read-only file system"), "{output:?}");
}

#[test]
fn source_of_a_mount_is_what_the_config_says() {
    let info = Container::new("source").mount("tmpfs", "my-name", "/mnt", &[]).args(MOUNTINFO).run().ok();
    assert_eq!(mount_at(&info, "/mnt").source, "my-name");
}

// ---- bind ----

#[test]
fn directory_is_bound() {
    let (container, source) = with_source("bind");
    let container = container.mount("bind", &source, "/mnt", &["bind"]).script("cat /mnt/file; echo new > /mnt/other");
    container.run().prints("content\n");
    assert_eq!(fs::read_to_string(source.join("other")).expect("it is written"), "new\n");
}

#[test]
fn type_of_a_bind_does_not_matter() {
    for kind in ["none", "bind", "", "ext4"] {
        let (container, source) = with_source("bind");
        container.mount(kind, &source, "/mnt", &["bind"]).args(["cat", "/mnt/file"]).run().prints("content\n");
    }
    let (container, source) = with_source("bind");
    container
        .edit(|config| {
            let mount = json!({ "destination": "/mnt", "source": source, "options": ["rbind"] });
            config["mounts"].as_array_mut().expect("a list").push(mount);
        })
        .args(["cat", "/mnt/file"])
        .run()
        .prints("content\n");
}

#[test]
fn file_is_bound() {
    let (container, source) = with_source("bind");
    container
        .file("etc/conf", "old\n")
        .mount("bind", source.join("file"), "/etc/conf", &["bind"])
        .args(["cat", "/etc/conf"])
        .run()
        .prints("content\n");
}

#[test]
fn missing_targets_are_made() {
    let (container, source) = with_source("bind");
    let container = container
        .mount("bind", &source, "/made/for/a/directory", &["bind"])
        .mount("bind", source.join("file"), "/made/for/a/file", &["bind"])
        .script("cat /made/for/a/directory/file /made/for/a/file; stat -c %a /made /made/for");
    container.run().prints("content\ncontent\n755\n755\n");
    assert!(container.rootfs().join("made/for/a/directory").is_dir());
    let file = fs::metadata(container.rootfs().join("made/for/a/file")).expect("it is made");
    assert!(file.is_file() && file.len() == 0);
}

#[test]
fn bind_may_be_read_only() {
    let (container, source) = with_source("bind");
    let container = container.mount("bind", &source, "/mnt", &["bind", "ro"]).script("cat /mnt/file; touch /mnt/new");
    let output = container.run();
    assert!(output.stderr.contains("Read-only file system"), "{output:?}");
    assert_eq!(output.stdout, "content\n");
    fs::write(source.join("new"), "the source is still writable").expect("it can be written");
}

#[test]
fn bound_file_may_be_read_only() {
    let (container, source) = with_source("bind");
    let output = container
        .mount("bind", source.join("file"), "/conf", &["bind", "ro"])
        .script("echo new > /conf; cat /conf")
        .run();
    assert!(output.stderr.contains("Read-only file system"), "{output:?}");
    assert_eq!(output.stdout, "content\n");
}

#[test]
fn bind_takes_the_options_of_mount() {
    let (container, source) = with_source("bind");
    let info = container
        .mount("bind", &source, "/mnt", &["bind", "nosuid", "nodev", "noexec", "noatime", "ro"])
        .args(MOUNTINFO)
        .run()
        .ok();
    let mount = mount_at(&info, "/mnt");
    for option in ["ro", "nosuid", "nodev", "noexec", "noatime"] {
        assert!(mount.has(option), "{mount:?}");
    }
}

#[test]
fn bind_without_options_changes_nothing() {
    let (container, source) = with_source("bind");
    let _mount = HostMount::new(&["-t", "tmpfs", "-o", "nosuid,nodev,noexec,noatime", "tmpfs"], &source);
    let info = container.mount("bind", &source, "/mnt", &["bind"]).args(MOUNTINFO).run().ok();
    assert_eq!(mount_at(&info, "/mnt").options.join(","), "rw,nosuid,nodev,noexec,noatime");
}

#[test]
fn bind_has_what_is_mounted_below_only_if_it_is_recursive() {
    for (option, expected) in [("bind", "no\n"), ("rbind", "yes\n")] {
        let (container, source) = with_source("bind");
        let _below = HostMount::new(&["-t", "tmpfs", "tmpfs"], &source.join("below"));
        fs::write(source.join("below/file"), "").expect("it can be written");
        let script = "if [ -e /mnt/below/file ]; then echo yes; else echo no; fi";
        container.mount("bind", &source, "/mnt", &[option]).script(script).run().prints(expected);
    }
}

#[test]
fn read_only_bind_is_not_recursive() {
    let (container, source) = with_source("bind");
    let _below = HostMount::new(&["-t", "tmpfs", "tmpfs"], &source.join("below"));
    let info = container.mount("bind", &source, "/mnt", &["rbind", "ro"]).args(MOUNTINFO).run().ok();
    assert!(mount_at(&info, "/mnt").has("ro"), "{info}");
    assert!(mount_at(&info, "/mnt/below").has("rw"), "{info}");
}

#[test]
fn recursive_attributes_reach_every_mount_below() {
    newer_than_this_runc!("recursive mount attributes");
    for (option, expected) in [
        ("rro", "ro"),
        ("rnosuid", "nosuid"),
        ("rnodev", "nodev"),
        ("rnoexec", "noexec"),
        ("rnoatime", "noatime"),
        ("rnodiratime", "nodiratime"),
        ("rnosymfollow", "nosymfollow"),
    ] {
        let (container, source) = with_source("recursive");
        let _below = HostMount::new(&["-t", "tmpfs", "tmpfs"], &source.join("below"));
        let info = container.mount("bind", &source, "/mnt", &["rbind", option]).args(MOUNTINFO).run().ok();
        for point in ["/mnt", "/mnt/below"] {
            assert!(mount_at(&info, point).has(expected), "{option} at {point}: {info}");
        }
    }
}

#[test]
fn recursive_attributes_can_be_cleared() {
    newer_than_this_runc!("recursive mount attributes");
    for (option, cleared) in
        [("rrw", "ro"), ("rsuid", "nosuid"), ("rdev", "nodev"), ("rexec", "noexec"), ("rdiratime", "nodiratime")]
    {
        let (container, source) = with_source("recursive");
        let _source = HostMount::new(&["-t", "tmpfs", "tmpfs"], &source);
        let below = source.join("below");
        fs::create_dir(&below).expect("it can be made");
        let _below = HostMount::new(&["-t", "tmpfs", "-o", "ro,nosuid,nodev,noexec,nodiratime", "tmpfs"], &below);
        let info = container.mount("bind", &source, "/mnt", &["rbind", option]).args(MOUNTINFO).run().ok();
        assert!(!mount_at(&info, "/mnt/below").has(cleared), "{option}: {info}");
    }
}

#[test]
fn recursive_attributes_work_on_other_filesystems() {
    newer_than_this_runc!("recursive mount attributes");
    let info =
        Container::new("recursive").mount("tmpfs", "tmpfs", "/mnt", &["rro", "rnoexec"]).args(MOUNTINFO).run().ok();
    let mount = mount_at(&info, "/mnt");
    assert!(mount.has("ro") && mount.has("noexec"), "{mount:?}");
}

#[test]
fn relative_source_starts_at_the_bundle() {
    let container = Container::new("relative").mount("bind", "data", "/mnt", &["bind"]).args(["cat", "/mnt/file"]);
    fs::create_dir(container.bundle().join("data")).expect("it can be made");
    fs::write(container.bundle().join("data/file"), "fine\n").expect("it can be written");
    container.run().prints("fine\n");
    container.creating("run").in_dir("/").output().prints("fine\n");
}

#[test]
fn source_that_is_a_link_is_followed() {
    let (container, source) = with_source("link");
    let link = container.outside("link");
    symlink(&source, &link).expect("a link can be made");
    container.mount("bind", &link, "/mnt", &["bind"]).args(["cat", "/mnt/file"]).run().prints("content\n");
}

#[test]
fn links_of_source_and_target_can_be_taken_as_they_are() {
    require!(!is_runc(), "runc has no copy-symlink, src-nofollow, dest-nofollow");

    // copy-symlink: the target becomes the same link.
    let (container, source) = with_source("nofollow");
    symlink("/etc/passwd", source.join("link")).expect("a link can be made");
    container
        .writable()
        .mount("bind", source.join("link"), "/copied", &["bind", "copy-symlink"])
        .args(["readlink", "/copied"])
        .run()
        .prints("/etc/passwd\n");

    // src-nofollow: the link itself is bound.
    let (container, source) = with_source("nofollow");
    symlink("/etc/passwd", source.join("link")).expect("a link can be made");
    let container = container.link("target", "nowhere").mount(
        "bind",
        source.join("link"),
        "/target",
        &["bind", "src-nofollow", "dest-nofollow"],
    );
    container.args(["readlink", "/target"]).run().prints("/etc/passwd\n");
}

// ---- where ----

#[test]
fn target_behind_a_link_is_resolved_in_the_container() {
    let (container, source) = with_source("link");
    let container =
        container.directory("run/real").link("var/run", "/run/real").mount("bind", &source, "/var/run/here", &["bind"]);
    let info = container.args(MOUNTINFO).run().ok();
    assert_eq!(mount_at(&info, "/run/real/here").root.rsplit('/').next(), Some("source"));
}

#[test]
fn target_that_is_a_dangling_link_is_made_in_the_container() {
    // /etc/resolv.conf -> /run/systemd/resolve/stub-resolv.conf, in an image that has no /run.
    let (container, source) = with_source("dangling");
    let container = container
        .link("etc/resolv.conf", "/run/resolve/stub")
        .mount("bind", source.join("file"), "/etc/resolv.conf", &["bind", "ro"])
        .script("cat /etc/resolv.conf /run/resolve/stub");
    container.run().prints("content\ncontent\n");
    assert!(container.rootfs().join("run/resolve/stub").is_file());
}

#[test]
fn mounts_are_made_in_order() {
    let (container, source) = with_source("order");
    container
        .mount("tmpfs", "tmpfs", "/mnt", &[])
        .mount("bind", &source, "/mnt/inner", &["bind"])
        .mount("tmpfs", "tmpfs", "/mnt/inner/deep", &[])
        .script("cat /mnt/inner/file; ls /mnt/inner")
        .run()
        .prints("content\ndeep\nfile\n");
}

#[test]
fn later_mount_covers_an_earlier_one() {
    let (container, source) = with_source("order");
    container
        .mount("bind", &source, "/mnt", &["bind"])
        .mount("tmpfs", "tmpfs", "/mnt", &[])
        .script("ls -A /mnt")
        .run()
        .prints("");
}

#[test]
fn relative_destination_starts_at_the_root_and_gives_a_warning() {
    let output = Container::new("relative").mount("tmpfs", "tmpfs", "mnt/here", &[]).args(MOUNTINFO).run();
    assert!(output.stderr.contains("mnt/here"), "{output:?}");
    mount_at(&output.ok(), "/mnt/here");
}

#[test]
fn destination_is_cleaned() {
    for destination in ["/mnt/./here/", "//mnt//here", "/mnt/x/../here", "/../../mnt/here"] {
        let container = Container::new("clean").directory("mnt/x");
        let info = container.mount("tmpfs", "tmpfs", destination, &[]).args(MOUNTINFO).run().ok();
        mount_at(&info, "/mnt/here");
    }
}

// ---- propagation ----

#[test]
fn propagation_of_a_bind_is_that_of_the_config() {
    for (option, shared, slave) in [
        ("private", false, false),
        ("rprivate", false, false),
        ("slave", false, true),
        ("rslave", false, true),
        ("shared", true, false),
        ("rshared", true, false),
    ] {
        let (container, source) = with_source("propagation");
        let _mount = HostMount::new(&["-t", "tmpfs", "tmpfs"], &source).make("--make-shared");
        let info = container.mount("bind", &source, "/mnt", &["rbind", option]).args(MOUNTINFO).run().ok();
        let mount = mount_at(&info, "/mnt");
        assert_eq!(mount.is_shared(), shared, "{option}: {mount:?}");
        // A shared mount of the container may at the same time receive from the host.
        assert!(shared || mount.is_slave() == slave, "{option}: {mount:?}");
    }
    let (container, source) = with_source("propagation");
    let info = container.mount("bind", &source, "/mnt", &["bind", "unbindable"]).args(MOUNTINFO).run().ok();
    assert_eq!(mount_at(&info, "/mnt").propagation, ["unbindable"]);
}

#[test]
fn recursive_propagation_reaches_every_mount_below() {
    let (container, source) = with_source("propagation");
    let _mount = HostMount::new(&["-t", "tmpfs", "tmpfs"], &source).make("--make-shared");
    let _below = HostMount::new(&["-t", "tmpfs", "tmpfs"], &source.join("below"));
    let info = container.mount("bind", &source, "/mnt", &["rbind", "rprivate"]).args(MOUNTINFO).run().ok();
    assert!(mount_at(&info, "/mnt/below").propagation.is_empty(), "{info}");
}

#[test]
fn mount_of_the_host_does_not_reach_a_private_bind() {
    let (container, source) = with_source("propagation");
    let _mount = HostMount::new(&["-t", "tmpfs", "tmpfs"], &source).make("--make-shared");
    fs::create_dir(source.join("below")).expect("it can be made");
    let script = "echo ready; read -t 1 x < /dev/zero; until [ -e /stop/now ]; do sleep 0.02; done; ls /mnt/below";
    let stop = container.outside("stop");
    fs::create_dir(&stop).expect("it can be made");
    let container = container
        .mount("bind", &source, "/mnt", &["rbind", "rprivate"])
        .mount("bind", &stop, "/stop", &["bind"])
        .script(script);
    let foreground = container.spawn();
    foreground.wait_for("ready\n");
    let _late = HostMount::new(&["-t", "tmpfs", "tmpfs"], &source.join("below"));
    fs::write(source.join("below/late"), "").expect("it can be written");
    fs::write(stop.join("now"), "").expect("it can be written");
    foreground.wait().prints("ready\n");
}

#[test]
fn mount_of_the_container_reaches_the_host_through_a_shared_bind() {
    let (container, source) = with_source("propagation");
    let _mount = HostMount::new(&["-t", "tmpfs", "tmpfs"], &source).make("--make-shared");
    fs::create_dir(source.join("below")).expect("it can be made");
    let container = container
        .capability("CAP_SYS_ADMIN")
        // Otherwise what is below the root only receives from the host.
        .edit(|config| config["linux"]["rootfsPropagation"] = json!("rshared"))
        .mount("bind", &source, "/mnt", &["rbind", "rshared"])
        .script("mount -t tmpfs tmpfs /mnt/below && echo > /mnt/below/inside && echo ready && sleep 1000");
    let foreground = container.spawn();
    foreground.wait_for("ready\n");
    assert!(source.join("below/inside").exists());
    container.kill("KILL").quietly();
    let _ = foreground.wait();
}

// ---- tmpcopyup ----

#[test]
fn tmpfs_can_begin_with_what_it_covers() {
    let container = Container::new("copyup")
        .file("data/file", "content\n")
        .file("data/deep/private", "secret\n")
        .mode("data/deep/private", 0o600);
    symlink("deep/private", container.rootfs().join("data/link")).expect("a link can be made");
    chown(container.rootfs().join("data/deep"), Some(1000), Some(2000)).expect("root may");
    let container = container
        .mode("data/deep", 0o750)
        .capability("CAP_DAC_OVERRIDE")
        .mount("tmpfs", "tmpfs", "/data", &["tmpcopyup"])
        .script("cat /data/file /data/link; readlink /data/link; stat -c '%a %u %g' /data/deep; stat -c %a /data/deep/private; echo new > /data/file; stat -f -c %T /data");
    container.run().prints("content\nsecret\ndeep/private\n750 1000 2000\n600\ntmpfs\n");
    assert_eq!(fs::read_to_string(container.rootfs().join("data/file")).expect("it is there"), "content\n");
}

#[test]
fn read_only_tmpfs_can_begin_with_what_it_covers() {
    let output = Container::new("copyup")
        .file("data/file", "content\n")
        .mount("tmpfs", "tmpfs", "/data", &["tmpcopyup", "ro"])
        .script("cat /data/file; touch /data/new")
        .run();
    assert_eq!(output.stdout, "content\n");
    assert!(output.stderr.contains("Read-only file system"), "{output:?}");
}

#[test]
fn mode_of_the_covered_directory_is_kept_by_tmpcopyup() {
    Container::new("copyup")
        .file("data/file", "")
        .mode("data", 0o711)
        .mount("tmpfs", "tmpfs", "/data", &["tmpcopyup"])
        .script("stat -c %a /data")
        .run()
        .prints("711\n");
}

// ---- the usual filesystems ----

#[test]
fn proc_is_that_of_the_container() {
    let text = Container::new("proc").script("cat /proc/1/comm; ls -d /proc/[0-9]* | wc -l").run().ok();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines[0], "sh");
    assert!(lines[1].parse::<usize>().is_ok_and(|count| count < 5), "{text}");
}

#[test]
fn sysfs_is_that_of_the_network_namespace() {
    let text = Container::new("sysfs").script("ls /sys/class/net").run().ok();
    assert!(text.lines().any(|line| line == "lo"), "{text}");
    assert!(!text.contains("eth"), "{text}");
    let output = Container::new("sysfs").script("echo 1 > /sys/kernel/profiling").run();
    assert!(output.stderr.contains("Read-only file system"), "{output:?}");
}

#[test]
fn devpts_is_a_new_instance() {
    let info = Container::new("devpts").script("cat /proc/self/mountinfo; ls /dev/pts").run().ok();
    let mount = mount_at(&info, "/dev/pts");
    assert_eq!(mount.kind, "devpts");
    for option in ["gid=5", "mode=620", "ptmxmode=666"] {
        assert!(mount.filesystem_has(option), "{mount:?}");
    }
    assert!(info.ends_with("\nptmx\n"), "{info}");
}

#[test]
fn shared_memory_and_message_queues_are_there() {
    let text = Container::new("ipc")
        .script("stat -f -c %T /dev/shm; stat -c %a /dev/shm; touch /dev/mqueue/q; ls /dev/mqueue")
        .run()
        .ok();
    assert_eq!(text, "tmpfs\n1777\nq\n");
    let info = Container::new("ipc").args(MOUNTINFO).run().ok();
    assert_eq!(mount_at(&info, "/dev/mqueue").kind, "mqueue");
    assert!(mount_at(&info, "/dev/shm").has("noexec"));
}

// ---- cgroup ----

#[test]
fn cgroup_mount_shows_the_cgroups_of_v1() {
    require!(!cgroup_v2(), "this view has no cgroup v1");
    let container = Container::new("cgroup").args(MOUNTINFO);
    let id = container.id.clone();
    let info = container.run().ok();
    assert_eq!(mount_at(&info, "/sys/fs/cgroup").kind, "tmpfs");
    for name in ["memory", "pids", "devices", "freezer"] {
        if controller(name).is_none() {
            continue;
        }
        let mount = mount_at(&info, &format!("/sys/fs/cgroup/{name}"));
        assert_eq!(mount.kind, "cgroup");
        assert!(mount.root.ends_with(&id), "not its own cgroup: {mount:?}");
        for option in ["ro", "nosuid", "nodev", "noexec"] {
            assert!(mount.has(option), "{mount:?}");
        }
    }
}

#[test]
fn cgroup_mount_with_a_cgroup_namespace_shows_the_cgroups_of_v1() {
    require!(!cgroup_v2(), "this view has no cgroup v1");
    let text = Container::new("cgroup")
        .namespace("cgroup")
        .script("cat /proc/self/cgroup; cat /sys/fs/cgroup/pids/cgroup.procs")
        .run()
        .ok();
    assert!(text.lines().any(|line| line.ends_with(":pids:/")), "{text}");
    assert!(text.lines().any(|line| line == "1"), "{text}");
}

#[test]
fn cgroup_mount_shows_the_hierarchy_of_v2() {
    require!(cgroup_v2(), "this view has cgroup v1");
    let container = Container::new("cgroup")
        .script("cat /proc/self/mountinfo; cat /sys/fs/cgroup/$(sed -n s/^0:://p /proc/self/cgroup)/cgroup.procs");
    let text = container.run().ok();
    let mount = mount_at(&text, "/sys/fs/cgroup");
    assert_eq!(mount.kind, "cgroup2");
    for option in ["ro", "nosuid", "nodev", "noexec"] {
        assert!(mount.has(option), "{mount:?}");
    }
    assert!(text.lines().any(|line| line == "1"), "{text}");
}

#[test]
fn cgroup_mount_with_a_cgroup_namespace_shows_its_own_cgroup_of_v2() {
    require!(cgroup_v2(), "this view has cgroup v1");
    let text = Container::new("cgroup")
        .namespace("cgroup")
        .script("cat /proc/self/cgroup; cat /sys/fs/cgroup/cgroup.procs")
        .run()
        .ok();
    assert!(text.lines().any(|line| line == "0::/"), "{text}");
    assert!(text.lines().any(|line| line == "1"), "{text}");
}

#[test]
fn read_only_cgroups_can_not_be_written() {
    for namespace in [false, true] {
        let container = Container::new("cgroup");
        let container = if namespace { container.namespace("cgroup") } else { container };
        let place = if cgroup_v2() { "/sys/fs/cgroup" } else { "/sys/fs/cgroup/pids" };
        let output = container.script(&format!("mkdir {place}/new")).run();
        assert!(output.stderr.contains("Read-only file system"), "{output:?}");
    }
}

#[test]
fn writable_cgroups_can_be_written() {
    let place = if cgroup_v2() { "/sys/fs/cgroup" } else { "/sys/fs/cgroup/pids" };
    Container::new("cgroup")
        .namespace("cgroup")
        .without_mount("/sys/fs/cgroup")
        .mount("cgroup", "cgroup", "/sys/fs/cgroup", &["rw", "nosuid", "noexec", "nodev"])
        .script(&format!("mkdir {place}/new && rmdir {place}/new && echo fine"))
        .run()
        .prints("fine\n");
}

#[test]
fn named_hierarchy_is_shown_too() {
    require!(!cgroup_v2(), "this view has no cgroup v1");
    require!(controller("name=systemd").is_some(), "no named hierarchy");
    let info = Container::new("cgroup").args(MOUNTINFO).run().ok();
    assert!(mounts(&info).iter().any(|mount| mount.point == "/sys/fs/cgroup/systemd"), "{info}");
}

#[test]
fn cgroup2_can_be_mounted_by_its_own_name() {
    require!(cgroup_v2(), "this view has cgroup v1");
    let info = Container::new("cgroup")
        .namespace("cgroup")
        .without_mount("/sys/fs/cgroup")
        .mount("cgroup2", "cgroup2", "/sys/fs/cgroup", &["ro"])
        .args(MOUNTINFO)
        .run()
        .ok();
    assert_eq!(mount_at(&info, "/sys/fs/cgroup").kind, "cgroup2");
}

#[test]
fn many_mounts_are_no_trouble() {
    let (mut container, source) = with_source("many");
    for number in 0..200 {
        container = container.mount("bind", &source, &format!("/mnt/{number}"), &["bind", "ro"]);
    }
    let info = container.args(MOUNTINFO).run().ok();
    assert_eq!(mounts(&info).iter().filter(|mount| mount.point.starts_with("/mnt/")).count(), 200);
}

#[test]
fn made_targets_have_the_usual_mode_whatever_the_umask() {
    let (container, source) = with_source("umask");
    let container =
        container.through("umask 077; exec \"$@\"").mount("bind", &source, "/made/here", &["bind"]).args(["true"]);
    container.run().quietly();
    let mode = fs::metadata(container.rootfs().join("made")).expect("it is made").permissions().mode();
    if !differs("umask-of-the-caller") {
        assert_eq!(mode & 0o7777, 0o755, "{mode:o}");
    }
}

// ---- what the table of mounts says ----

#[test]
fn source_in_the_mount_table_is_the_configs() {
    let script = "for m in /proc /dev /sys /dev/shm; do awk -v m=$m '$5 == m { sub(/.* - [^ ]+ /, \"\"); print $1 }' /proc/self/mountinfo; done";
    Container::new("source").script(script).run().prints("proc\ntmpfs\nsysfs\nshm\n");
}

#[test]
fn one_place_may_be_mounted_on_many_times() {
    let mut container = Container::new("many");
    for _ in 0..12 {
        container = container.edit(|config| {
            let proc = json!({ "destination": "/proc", "type": "proc", "source": "proc" });
            config["mounts"].as_array_mut().expect("a list").push(proc);
        });
    }
    container.script("grep -c ' /proc ' /proc/self/mountinfo").run().prints("13\n");
}

#[test]
fn dots_and_links_do_not_lead_a_mount_into_proc() {
    for destination in ["/tmp/../proc", "/data", "/data/sys", "/data/../data/self"] {
        let (container, source) = with_source("into-proc");
        let container = container.link("data", "/proc").mount("bind", &source, destination, &["bind"]);
        container.run().refused().says("proc");
    }
}

#[test]
fn second_proc_by_another_name_is_masked_too() {
    let script = "cat /proc/keys; touch /proc/sys/kernel/domainname 2>&1 | sed 's/.*: //'";
    let container = Container::new("second").mount("proc", "proc", "/tmp/../proc", &[]).script(script);
    container.run().prints("Read-only file system\n");
}
