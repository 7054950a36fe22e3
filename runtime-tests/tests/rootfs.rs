//! The root filesystem: what is seen in it, what is hidden, what is read-only, and how it is entered.

use std::fs;

use runtime_tests::{Container, HostMount, differs, is_runc, mount_at, mounts};
use serde_json::json;

const MOUNTINFO: [&str; 2] = ["cat", "/proc/self/mountinfo"];

// ---- root ----

#[test]
fn read_only_root_can_not_be_written() {
    let output = Container::new("root").script("touch /new 2>&1; mkdir /tmp/new 2>&1; rm /etc/passwd 2>&1").run();
    assert_eq!(output.stdout.matches("Read-only file system").count(), 3, "{output:?}");
    let info = Container::new("root").args(MOUNTINFO).run().ok();
    assert!(mount_at(&info, "/").has("ro"), "{info}");
}

#[test]
fn writable_root_can_be_written() {
    let container = Container::new("root").writable().script("echo hello > /new; cat /new");
    container.run().prints("hello\n");
    assert_eq!(fs::read_to_string(container.rootfs().join("new")).expect("it is there"), "hello\n");
}

#[test]
fn root_is_read_only_for_the_container_alone() {
    let container = Container::new("root").args(["sleep", "1000"]);
    container.create().quietly();
    container.write("from-outside", "fine");
}

#[test]
fn rootfs_may_be_anywhere() {
    let container = Container::new("root").args(["cat", "/etc/motd"]).file("etc/motd", "fine\n");
    let elsewhere = container.outside("elsewhere");
    fs::rename(container.rootfs(), &elsewhere).expect("it can be moved");
    container.edit(|config| config["root"]["path"] = json!(elsewhere)).run().prints("fine\n");

    let container = Container::new("root").args(["cat", "/etc/motd"]).file("etc/motd", "fine\n");
    fs::rename(container.rootfs(), container.outside("elsewhere")).expect("it can be moved");
    container.edit(|config| config["root"]["path"] = json!("../elsewhere/.")).run().prints("fine\n");
}

#[test]
fn nothing_of_the_host_is_seen() {
    let info = Container::new("pivot").args(MOUNTINFO).run().ok();
    for mount in mounts(&info) {
        let expected = ["/", "/dev", "/proc", "/sys"];
        let known = mount.point == "/" || expected[1..].iter().any(|top| mount.point.starts_with(top));
        assert!(known, "a mount of somebody else at {}: {info}", mount.point);
    }
    let text = Container::new("pivot").script("ls /; ls -d /..; cd /; cd ..; pwd").run().ok();
    assert_eq!(text, "bin\ndev\netc\nhome\nproc\nroot\nsys\ntmp\nusr\nvar\n/..\n/\n");
}

#[test]
fn root_and_working_directory_of_the_process_are_in_the_container() {
    Container::new("pivot").script("readlink /proc/1/root; readlink /proc/1/cwd").run().prints("/\n/\n");
}

#[test]
fn old_root_is_not_reachable_by_climbing() {
    // What a process with CAP_SYS_CHROOT could do if it were only chrooted: leave a directory by a second chroot.
    let container = Container::new("climb").writable().capability("CAP_SYS_CHROOT").script(
        "mkdir -p /a; cd /; chroot /a true 2>/dev/null; chroot ../../../../../.. /bin/ls -d /boot /opt /srv; true",
    );
    let output = container.run();
    assert_eq!(output.stdout, "", "{output:?}");
}

// ---- ways to enter ----

#[test]
fn root_can_be_entered_without_pivot() {
    let container = Container::new("nopivot").option("--no-pivot").script("ls /; readlink /proc/1/root");
    container.run().prints("bin\ndev\netc\nhome\nproc\nroot\nsys\ntmp\nusr\nvar\n/\n");
}

#[test]
fn root_is_read_only_without_pivot_too() {
    let output = Container::new("nopivot").option("--no-pivot").script("touch /new 2>&1").run();
    assert!(output.stdout.contains("Read-only file system"), "{output:?}");
}

#[test]
fn no_other_proc_or_sysfs_is_left_without_pivot() {
    // A proc or sysfs of the host that can still be reached would show what is masked in the container's own.
    let info = Container::new("nopivot").option("--no-pivot").args(MOUNTINFO).run().ok();
    let full: Vec<_> = mounts(&info).into_iter().filter(|mount| mount.kind == "proc" && mount.root == "/").collect();
    assert_eq!(full.len(), 1, "{info}");
    assert_eq!(full[0].point, "/proc");
}

#[test]
fn container_without_a_mount_namespace_leaves_no_mount() {
    // It mounts where its caller stands: let that be a namespace which no other test sees.
    let container = Container::new("nomount")
        .without_namespace("mount")
        .unmasked()
        .writable()
        .edit(|config| config["mounts"] = json!([{ "destination": "/proc", "type": "proc", "source": "proc" }]))
        .through(
            r#"exec unshare --mount bash -c '
                readlink /proc/self/ns/mnt; "$@"; code=$?; grep -o " [^ ]*/bundle/[^ ]*" /proc/self/mountinfo; exit $code
            ' bash "$@""#,
        )
        .script("ls /; readlink /proc/self/ns/mnt");
    let text = container.run().ok();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines[1..4], ["bin", "dev", "etc"], "{text}");
    assert_eq!(lines[11], lines[0], "another namespace: {text}");
    if !differs("no-mount-namespace") {
        assert_eq!(lines.len(), 12, "mounts are left: {text}");
    }
}

#[test]
fn masked_paths_need_a_mount_namespace() {
    Container::new("nomount").without_namespace("mount").create().refused();
}

// ---- masked and read-only paths ----

#[test]
fn masked_file_reads_as_empty() {
    Container::new("mask")
        .file("secret", "secret\n")
        .edit(|config| config["linux"]["maskedPaths"] = json!(["/secret"]))
        .script("cat /secret; stat -c %F /secret; echo overwritten > /secret; cat /secret")
        .run()
        .prints("character special file\n");
}

#[test]
fn masked_directory_is_empty_and_read_only() {
    let output = Container::new("mask")
        .writable()
        .file("secrets/one", "1")
        .edit(|config| config["linux"]["maskedPaths"] = json!(["/secrets"]))
        .script("ls -A /secrets; touch /secrets/new")
        .run();
    assert_eq!(output.stdout, "");
    assert!(output.stderr.contains("Read-only file system"), "{output:?}");
}

#[test]
fn masked_path_that_is_missing_is_passed_over() {
    let missing = if differs("masked-path-below-a-file") {
        json!(["/no/such/path"])
    } else {
        json!(["/no/such/path", "/etc/passwd/not-a-directory"])
    };
    let container =
        Container::new("mask").writable().args(["true"]).edit(|config| config["linux"]["maskedPaths"] = missing);
    container.run().quietly();
    assert!(!container.rootfs().join("no").exists());
}

#[test]
fn masked_link_hides_what_it_points_to() {
    Container::new("mask")
        .file("real/secret", "secret\n")
        .link("alias", "/real/secret")
        .edit(|config| config["linux"]["maskedPaths"] = json!(["/alias"]))
        .script("cat /real/secret; cat /alias")
        .run()
        .prints("");
}

#[test]
fn mask_can_not_be_taken_off() {
    let output = Container::new("mask")
        .file("secret", "secret\n")
        .edit(|config| config["linux"]["maskedPaths"] = json!(["/secret"]))
        .script("umount /secret; cat /secret")
        .run();
    assert_eq!(output.stdout, "", "{output:?}");
}

#[test]
fn usual_paths_of_proc_are_masked() {
    let text = Container::new("mask").script("cat /proc/keys /proc/timer_list 2>/dev/null; ls -A /proc/scsi /proc/acpi /sys/firmware 2>/dev/null | grep -v : ").run();
    assert_eq!(text.stdout.trim(), "", "{text:?}");
}

#[test]
fn read_only_path_can_not_be_written() {
    let output = Container::new("readonly")
        .writable()
        .file("data/file", "old\n")
        .edit(|config| config["linux"]["readonlyPaths"] = json!(["/data", "/no/such/path"]))
        .script("echo new > /data/file; touch /data/other; cat /data/file; echo fine > /elsewhere; cat /elsewhere")
        .run();
    assert_eq!(output.stderr.matches("Read-only file system").count(), 2, "{output:?}");
    output.prints("old\nfine\n");
}

#[test]
fn read_only_file_can_not_be_written() {
    let output = Container::new("readonly")
        .writable()
        .file("data/file", "old\n")
        .edit(|config| config["linux"]["readonlyPaths"] = json!(["/data/file"]))
        .script("echo new > /data/file; echo fine > /data/other; cat /data/file")
        .run();
    assert!(output.stderr.contains("Read-only file system"), "{output:?}");
    output.prints("old\n");
}

#[test]
fn sysctls_can_not_be_written_from_inside() {
    let output = Container::new("readonly").script("echo 1 > /proc/sys/net/ipv4/ip_forward").run();
    assert!(output.stderr.contains("Read-only file system"), "{output:?}");
}

#[test]
fn read_only_path_keeps_the_flags_of_its_mount() {
    let info = Container::new("readonly")
        .mount("tmpfs", "tmpfs", "/data", &["nosuid", "nodev", "noexec"])
        .edit(|config| config["linux"]["readonlyPaths"] = json!(["/data"]))
        .args(MOUNTINFO)
        .run()
        .ok();
    let mount = mount_at(&info, "/data");
    for option in ["ro", "nosuid", "nodev", "noexec"] {
        assert!(mount.has(option), "{option} is lost: {mount:?}");
    }
}

// ---- propagation ----

/// The propagation of the root mount in a container whose rootfs lies on a shared mount.
fn propagation_of_root(value: &str) -> Vec<String> {
    let container = Container::new("propagation").args(MOUNTINFO);
    let shared = container.outside("shared");
    let _mount = HostMount::new(&["-t", "tmpfs", "tmpfs"], &shared).make("--make-shared");
    let copied = std::process::Command::new("cp").arg("-a").arg(container.rootfs()).arg(&shared).status();
    assert!(copied.expect("cp runs").success());
    let container = container.edit(|config| {
        config["root"]["path"] = json!(shared.join("rootfs"));
        if !value.is_empty() {
            config["linux"]["rootfsPropagation"] = json!(value);
        }
    });
    let info = container.run().ok();
    let root = mount_at(&info, "/");
    // The number of a peer group says nothing.
    root.propagation.iter().map(|tag| tag.split(':').next().unwrap_or_default().to_owned()).collect()
}

#[test]
fn root_may_be_private() {
    assert!(propagation_of_root("private").is_empty());
    assert!(propagation_of_root("rprivate").is_empty());
}

#[test]
fn root_may_be_a_slave() {
    if differs("root-propagation") {
        return;
    }
    assert_eq!(propagation_of_root("slave"), ["master"]);
    assert_eq!(propagation_of_root("rslave"), ["master"]);
}

#[test]
fn root_may_be_shared() {
    if differs("root-propagation") {
        return;
    }
    assert!(propagation_of_root("shared").contains(&"shared".into()));
    assert!(propagation_of_root("rshared").contains(&"shared".into()));
}

#[test]
fn root_may_be_unbindable() {
    if differs("root-propagation") {
        return;
    }
    assert_eq!(propagation_of_root("unbindable"), ["unbindable"]);
    assert_eq!(propagation_of_root("runbindable"), ["unbindable"]);
}

#[test]
fn root_is_no_peer_of_the_host_by_default() {
    assert!(!propagation_of_root("").contains(&"shared".into()));
}

#[test]
fn mount_of_the_container_does_not_reach_the_host() {
    for value in ["", "private", "slave", "shared"] {
        let container = Container::new("propagation")
            .writable()
            .capability("CAP_SYS_ADMIN")
            .edit(|config| {
                if !value.is_empty() {
                    config["linux"]["rootfsPropagation"] = json!(value);
                }
            })
            .script("mount -t tmpfs tmpfs /tmp && echo > /tmp/mounted && echo ready && sleep 1000");
        let foreground = container.spawn();
        foreground.wait_for("ready\n");
        assert!(!container.rootfs().join("tmp/mounted").exists(), "rootfsPropagation {value:?}");
        container.kill("KILL").quietly();
        let _ = foreground.wait();
    }
}

#[test]
fn mount_of_the_host_reaches_a_slave() {
    let container = Container::new("propagation")
        .script("echo ready; while ! [ -e /shared/below/late ]; do sleep 0.02; done; echo seen");
    let shared = container.outside("shared");
    let mount = HostMount::new(&["-t", "tmpfs", "tmpfs"], &shared).make("--make-shared");
    fs::create_dir(shared.join("below")).expect("it can be made");
    let container = container.edit(|config| config["linux"]["rootfsPropagation"] = json!("rslave")).mount(
        "bind",
        &shared,
        "/shared",
        &["rbind", "rslave"],
    );
    let foreground = container.spawn();
    foreground.wait_for("ready\n");
    let late = HostMount::new(&["-t", "tmpfs", "tmpfs"], &shared.join("below"));
    fs::write(shared.join("below/late"), "").expect("it can be written");
    foreground.wait_for("seen\n");
    drop((late, mount));
    let _ = foreground.wait();
}

#[test]
fn bundle_may_be_reached_through_a_link() {
    let container = Container::new("link").args(["echo", "fine"]);
    let _ = container.creating("run");
    let link = container.outside("link");
    std::os::unix::fs::symlink(container.bundle(), &link).expect("a link can be made");
    container.call(["run", "--bundle"]).args([&link]).args([&container.id]).output().prints("fine\n");
    container.leaves_nothing();
}

#[test]
fn rootfs_may_be_a_mount_of_its_own() {
    let container = Container::new("mounted").args(["echo", "fine"]);
    let root = container.outside("own");
    let _mount = HostMount::new(&["-t", "tmpfs", "-o", "nosuid,nodev", "tmpfs"], &root);
    let copied = std::process::Command::new("cp").arg("-a").arg(container.rootfs().join(".")).arg(&root).status();
    assert!(copied.expect("cp runs").success());
    container.edit(|config| config["root"]["path"] = json!(root)).run().prints("fine\n");
}

#[test]
fn missing_directories_of_the_rootfs_are_made() {
    let container = Container::new("bare").args(["echo", "fine"]);
    for directory in ["proc", "sys", "dev"] {
        fs::remove_dir(container.rootfs().join(directory)).expect("it is empty");
    }
    container.run().prints("fine\n");
    for directory in ["proc", "sys", "dev"] {
        assert!(container.rootfs().join(directory).is_dir(), "{directory}");
    }
    assert!(is_runc() || !container.rootfs().join("dev/null").exists(), "devices belong into the tmpfs");
}
