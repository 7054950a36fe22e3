//! Bad input: one clear line that names the file, the field or the path; exit status 1; nothing left behind.
//!
//! That nothing is left is checked by `create()` and `run()` themselves, and that it is one line by `refused()`.

use std::fs;

use runtime_tests::{Container, HostMount, differs, is_runc, newer_than_this_runc, require};
use serde_json::{Value, json};

/// A container that would run, but for an edit.
fn edited(change: impl FnOnce(&mut Value)) -> Container {
    Container::new("bad").args(["true"]).edit(change)
}

// ---- the shape of an error ----

#[test]
fn error_says_which_call_failed_and_at_which_step() {
    require!(!is_runc(), "runc has no steps");
    let container = Container::new("shape").mount("frobfs", "frob", "/mnt", &[]);
    let refusal = container.create().refused().says(&container.id).says("frobfs").says("/mnt").says("(step ");
    assert!(refusal.stderr.starts_with("rt create "), "{refusal:?}");
}

// ---- config.json ----

#[test]
fn missing_bundle_is_named() {
    let container = Container::new("bundle");
    container
        .call(["create", "--bundle", "/no/such/bundle", &container.id])
        .output()
        .refused()
        .says("/no/such/bundle")
        .says("no such file or directory");
    container.leaves_nothing();
}

#[test]
fn missing_config_is_named() {
    let container = Container::new("config");
    container
        .call(["create", "--bundle"])
        .args([container.bundle()])
        .args([&container.id])
        .output()
        .refused()
        .says("config.json");
    container.leaves_nothing();
}

#[test]
fn broken_json_is_refused_with_its_place() {
    for text in ["{", "{\n  \"process\": {,\n", "", "[1, 2", "nonsense", "{\"process\": \u{1}}"] {
        let refusal = Container::new("json").config_text(text).create().refused();
        if !differs("wording") {
            let place = refusal.stderr.contains("line") || refusal.stderr.contains("byte");
            assert!(place && refusal.stderr.contains("config.json"), "{text:?}: {refusal:?}");
        }
    }
}

#[test]
fn value_of_the_wrong_type_is_refused_with_its_field() {
    for (path, value) in [
        ("/process/args", json!("sh")),
        ("/process/cwd", json!(7)),
        ("/process/noNewPrivileges", json!("yes")),
        ("/process/user/uid", json!("root")),
        ("/process/capabilities/bounding", json!("CAP_KILL")),
        ("/process/rlimits/0/hard", json!("many")),
        ("/root/readonly", json!("yes")),
        ("/hostname", json!(["a"])),
        ("/linux/namespaces", json!({})),
        ("/linux/maskedPaths", json!("/proc/kcore")),
    ] {
        let refusal =
            edited(|config| *config.pointer_mut(path).expect("the base config has it") = value).create().refused();
        let last = path.rsplit('/').next().expect("a path has a last part");
        assert!(refusal.stderr.contains(last), "{path}: {refusal:?}");
        if !differs("wording") {
            let field = path.trim_start_matches('/').replace("/0/", "[0].").replace('/', ".");
            assert!(refusal.stderr.contains(&field), "{field}: {refusal:?}");
        }
    }
}

#[test]
fn config_that_is_no_object_is_refused() {
    for text in ["[]", "null", "\"config\"", "3"] {
        let create = Container::new("json").config_text(text).create();
        if text != "null" || !differs("null-config") {
            create.refused();
        }
    }
}

#[test]
fn config_that_is_a_directory_is_refused() {
    let container = Container::new("json");
    fs::create_dir(container.bundle().join("config.json")).expect("it can be made");
    container
        .call(["create", "--bundle"])
        .args([container.bundle()])
        .args([&container.id])
        .output()
        .refused()
        .says("directory");
    container.leaves_nothing();
}

#[test]
fn deeply_nested_json_does_not_overflow_the_stack() {
    let text = format!("{{\"x\": {}1{}}}", "[".repeat(200_000), "]".repeat(200_000));
    Container::new("deep").config_text(&text).create().refused();
}

#[test]
fn unknown_fields_are_passed_over() {
    let container = edited(|config| {
        config["unheardOf"] = json!({ "a": [1, 2, 3] });
        config["process"]["unheardOf"] = json!(true);
        config["linux"]["unheardOf"] = json!("yes");
        config["windows"] = json!({ "layerFolders": ["c:"] });
    });
    container.run().quietly();
}

#[test]
fn every_version_of_the_first_series_is_accepted() {
    for version in ["1.0.0", "1.0.2-dev", "1.1.0", "1.2.1", "1.3.0", "1.99.0"] {
        edited(|config| config["ociVersion"] = json!(version)).run().quietly();
    }
}

// ---- process ----

#[test]
fn process_is_needed() {
    edited(|config| {
        config.as_object_mut().expect("an object").remove("process");
    })
    .create()
    .refused()
    .says("process");
}

#[test]
fn arguments_are_needed() {
    edited(|config| config["process"]["args"] = json!([])).create().refused().says("args");
    edited(|config| {
        config["process"].as_object_mut().expect("an object").remove("args");
    })
    .create()
    .refused()
    .says("args");
}

#[test]
fn empty_program_is_not_found() {
    edited(|config| config["process"]["args"] = json!([""])).create().refused();
}

#[test]
fn working_directory_is_needed() {
    edited(|config| config["process"]["cwd"] = json!("")).create().refused().says(if differs("wording") {
        "Cwd"
    } else {
        "process.cwd"
    });
}

#[test]
fn working_directory_that_is_a_file_is_refused() {
    let refusal = edited(|config| config["process"]["cwd"] = json!("/etc/passwd")).create().refused();
    assert!(refusal.stderr.contains("not a directory"), "{refusal:?}");
}

#[test]
fn security_modules_that_the_machine_lacks_are_refused() {
    let modules = fs::read_to_string("/sys/kernel/security/lsm").unwrap_or_default();
    if !modules.contains("apparmor") {
        edited(|config| config["process"]["apparmorProfile"] = json!("some-profile"))
            .create()
            .refused()
            .says("apparmor");
    }
    if !modules.contains("selinux") {
        let refusal = edited(|config| config["process"]["selinuxLabel"] = json!("a:b:c:s0")).create().refused();
        assert!(refusal.stderr.to_lowercase().contains("selinux"), "{refusal:?}");
    }
}

// ---- root ----

#[test]
fn root_is_needed() {
    edited(|config| {
        config.as_object_mut().expect("an object").remove("root");
    })
    .create()
    .refused()
    .says("root");
}

#[test]
fn missing_rootfs_is_named() {
    edited(|config| config["root"]["path"] = json!("no-such-rootfs"))
        .create()
        .refused()
        .says("no-such-rootfs")
        .says("no such file or directory");
    edited(|config| config["root"]["path"] = json!("/no/such/rootfs")).create().refused().says("/no/such/rootfs");
}

#[test]
fn rootfs_that_is_a_file_is_refused() {
    edited(|config| config["root"]["path"] = json!("config.json")).create().refused().says("not a directory");
}

// ---- mounts ----

#[test]
fn unknown_filesystem_is_named() {
    Container::new("mount").mount("frobfs", "frob", "/mnt", &[]).create().refused().says("/mnt").says("no such device");
}

#[test]
fn missing_bind_source_is_named() {
    Container::new("mount")
        .mount("bind", "/no/such/source", "/mnt", &["bind"])
        .create()
        .refused()
        .says("/no/such/source")
        .says("no such file or directory");
}

#[test]
fn unknown_mount_option_is_named() {
    Container::new("mount").mount("tmpfs", "tmpfs", "/mnt", &["frobnicate"]).create().refused().says("/mnt").says(
        // The kernel is asked: it may be an option of the filesystem.
        if differs("wording") { "invalid argument" } else { "frobnicate" },
    );
}

#[test]
fn bad_value_of_a_mount_option_is_refused() {
    Container::new("mount").mount("tmpfs", "tmpfs", "/mnt", &["size=enormous"]).create().refused().says("/mnt");
}

#[test]
fn directory_can_not_be_bound_over_a_file() {
    let container = Container::new("mount").file("mnt/file", "");
    let source = container.outside("source");
    fs::create_dir(&source).expect("it can be made");
    container.mount("bind", &source, "/mnt/file", &["bind"]).create().refused().says("/mnt/file");
}

#[test]
fn file_can_not_be_bound_over_a_directory() {
    let container = Container::new("mount").directory("mnt/directory");
    let source = container.outside("source");
    fs::write(&source, "").expect("it can be written");
    container.mount("bind", &source, "/mnt/directory", &["bind"]).create().refused().says("/mnt/directory");
}

#[test]
fn mount_without_a_destination_is_refused() {
    let create = Container::new("mount").mount("tmpfs", "tmpfs", "", &[]).create().refused();
    if !differs("wording") {
        create.says("destination");
    }
}

#[test]
fn mount_below_a_file_is_refused() {
    Container::new("mount")
        .mount("tmpfs", "tmpfs", "/etc/passwd/deep", &[])
        .create()
        .refused()
        .says("/etc/passwd")
        .says("not a directory");
}

#[test]
fn nul_byte_in_a_path_is_refused() {
    for pointer in
        ["/process/cwd", "/hostname", "/mounts/0/destination", "/mounts/1/source", "/root/path", "/linux/maskedPaths/0"]
    {
        let create = edited(|config| {
            let place = config.pointer_mut(pointer).expect("the base config has it");
            *place = json!(format!("{}\0x", place.as_str().expect("a string")));
        })
        .create();
        if !differs("nul-bytes") {
            create.refused();
        }
    }
}

// ---- linux ----

#[test]
fn unknown_namespace_is_named() {
    Container::new("ns").namespace("astral").create().refused().says("astral");
}

#[test]
fn namespace_can_not_be_given_twice() {
    Container::new("ns").namespace("pid").create().refused().says("pid");
    Container::new("ns")
        .edit(|config| {
            config["linux"]["namespaces"]
                .as_array_mut()
                .expect("a list")
                .push(json!({ "type": "network", "path": "/proc/1/ns/net" }));
        })
        .create()
        .refused()
        .says("network");
}

#[test]
fn hostname_needs_a_uts_namespace() {
    Container::new("uts").without_namespace("uts").create().refused().says("hostname");
}

#[test]
fn domainname_needs_a_uts_namespace() {
    newer_than_this_runc!("domainname");
    Container::new("uts")
        .without_namespace("uts")
        .edit(|config| {
            config.as_object_mut().expect("an object").remove("hostname");
            config["domainname"] = json!("example.org");
        })
        .create()
        .refused()
        .says("domainname");
}

#[test]
fn hostname_that_is_too_long_is_refused() {
    edited(|config| config["hostname"] = json!("x".repeat(100))).create().refused().says("host");
}

#[test]
fn unknown_propagation_is_named() {
    edited(|config| config["linux"]["rootfsPropagation"] = json!("osmotic")).create().refused().says("osmotic");
}

#[test]
fn unknown_device_type_is_refused() {
    edited(|config| config["linux"]["devices"] = json!([{ "path": "/dev/x", "type": "z", "major": 1, "minor": 3 }]))
        .create()
        .refused()
        .says(if differs("wording") { "invalid device type" } else { "linux.devices" });
}

#[test]
fn limits_of_the_wrong_type_are_refused_with_their_field() {
    edited(|config| config["linux"]["resources"]["memory"] = json!({ "limit": "64M" }))
        .create()
        .refused()
        .says("memory.limit");
    edited(|config| config["linux"]["resources"]["pids"] = json!({ "limit": "few" }))
        .create()
        .refused()
        .says("pids.limit");
}

#[test]
fn cgroups_path_stays_inside_the_hierarchy() {
    let container = Container::new("climb").args(["cat", "/proc/self/cgroup"]);
    let path = format!("../../../../../../{}", container.id);
    let output = container.edit(|config| config["linux"]["cgroupsPath"] = json!(path)).run();
    if output.code == 0 {
        assert!(!output.stdout.contains("..") || output.stdout.contains(":/../"), "{output:?}");
    } else {
        output.refused().says("cgroup");
    }
}

// ---- the machine ----

#[test]
fn full_disk_is_an_error_and_nothing_is_left() {
    let container = Container::new("full").args(["true"]);
    let full = container.outside("full");
    let _disk = HostMount::new(&["-t", "tmpfs", "-o", "size=8k", "tmpfs"], &full);
    fs::create_dir(full.join("state")).expect("there is room");
    fs::write(full.join("filler"), [0; 4096]).expect("there is room");
    fs::write(full.join("filler-2"), [0; 4096]).expect("there is room");
    let _ = container.creating("create");
    let call = container.bare_call().arg("--root").arg(full.join("state")).args(["create", "--bundle"]);
    call.args([container.bundle()]).args([&container.id]).output().refused().says(if differs("wording") {
        "unable to store init state"
    } else {
        "no space left on device"
    });
    let left: Vec<_> =
        fs::read_dir(full.join("state")).expect("it is there").flatten().map(|entry| entry.path()).collect();
    assert!(left.is_empty(), "{left:?}");
    container.leaves_nothing();
}

#[test]
fn read_only_state_directory_is_an_error() {
    let container = Container::new("readonly").args(["true"]);
    let state = container.outside("readonly");
    let _disk = HostMount::new(&["-t", "tmpfs", "-o", "ro", "tmpfs"], &state);
    let _ = container.creating("create");
    let call = container.bare_call().arg("--root").arg(&state).args(["create", "--bundle"]).args([container.bundle()]);
    call.args([&container.id]).output().refused().says("read-only file system");
    container.leaves_nothing();
}

#[test]
fn missing_right_is_an_error() {
    let container = Container::new("right").args(["true"]);
    let container = container.through("exec setpriv --reuid 65534 --regid 65534 --clear-groups -- \"$@\"");
    container.create().refused();
}

#[test]
fn capability_to_mount_is_needed() {
    let container = Container::new("right").args(["true"]);
    let container = container.through("exec setpriv --bounding-set -sys_admin -- \"$@\"");
    let create = container.create().refused();
    if !differs("wording") {
        create.says("operation not permitted");
    }
}
