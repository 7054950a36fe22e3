//! Hooks: when each runs, where, with what, and what becomes of the container when one fails.

use std::{
    fs,
    path::PathBuf,
    process::Command,
    time::{Duration, Instant},
};

use runtime_tests::{Container, HostMount, Output, controller, differs, is_runc, require, wait_until};
use serde_json::{Value, json};

/// All kinds, in the order in which they run.
const KINDS: [&str; 6] = ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"];
/// Those that are part of `create`.
const OF_CREATE: [&str; 3] = ["prestart", "createRuntime", "createContainer"];
/// Where the shell finds itself as `$me`: it may be in another pid namespace than its /proc is of.
const ITSELF: &str = "me=/proc/$(cut -d' ' -f4 /proc/self/stat)";
const PATH: &str = "PATH=/usr/sbin:/usr/bin:/sbin:/bin";

/// A hook that is a program for the shell, which finds the directory of the test in `$out`.
fn hook(kind: &str, container: &Container, script: &str) -> Value {
    let out = seen_by(kind, container);
    json!({ "path": "/bin/sh", "args": ["sh", "-c", script], "env": [PATH, format!("out={}", out.display())] })
}

/// The directory of the test, as a hook of this kind sees it.
fn seen_by(kind: &str, container: &Container) -> PathBuf {
    if kind == "startContainer" { "/out".into() } else { container.outside("out") }
}

/// A container with a directory that it, its hooks and the test share. It is /out inside.
fn sharing(name: &str) -> Container {
    let container = Container::new(name).writable();
    let out = container.outside("out");
    fs::create_dir(&out).expect("a directory can be made");
    // For hooks that run as the user of the container.
    Command::new("chmod").arg("777").arg(&out).status().expect("chmod runs");
    let container = container.mount("bind", out, "/out", &["bind"]);
    container.script("echo program >> /out/order")
}

/// Add a hook of this kind.
fn with(container: Container, kind: &str, script: &str) -> Container {
    let hook = hook(kind, &container, script);
    with_hook(container, kind, hook)
}

fn with_hook(container: Container, kind: &str, hook: Value) -> Container {
    container.edit(|config| match &mut config["hooks"][kind] {
        Value::Array(hooks) => hooks.push(hook),
        none => *none = json!([hook]),
    })
}

/// Change the last hook of this kind.
fn change_last(container: Container, kind: &str, key: &str, value: Value) -> Container {
    container.edit(|config| {
        let hooks = config["hooks"][kind].as_array_mut().expect("there are some");
        hooks.last_mut().expect("there is one")[key] = value;
    })
}

fn read(container: &Container, file: &str) -> String {
    fs::read_to_string(container.outside("out").join(file)).unwrap_or_default()
}

fn lines(container: &Container, file: &str) -> Vec<String> {
    read(container, file).lines().map(str::to_owned).collect()
}

/// What a hook of this kind failed with: its kind and its number.
#[track_caller]
fn names(output: Output, kind: &str, number: usize) -> Output {
    // runc 1.1 does not say which kind.
    let words =
        if differs("wording") { format!("hook #{number}: ") } else { format!("error running {kind} hook #{number}: ") };
    output.says(&words)
}

/// Run all hooks there are, by `create`, `start` and `delete`; the program ends by itself.
fn live(container: &Container) {
    container.create().quietly();
    container.start().quietly();
    container.wait_for("stopped");
    container.delete().quietly();
    container.leaves_nothing();
}

// ---- when ----

// S1-09
#[test]
fn hooks_run_in_their_order_and_at_their_point() {
    let mut container = sharing("order").script("echo program >> /out/order; sleep 1000");
    for kind in KINDS {
        for number in 0..2 {
            container = with(container, kind, &format!("echo {kind} {number} >> $out/order"));
        }
    }
    let both = |kinds: &[&str]| -> Vec<String> {
        kinds.iter().flat_map(|kind| (0..2).map(move |number| format!("{kind} {number}"))).collect()
    };
    let order = || lines(&container, "order");
    container.create().quietly();
    let mut expected = both(&OF_CREATE);
    if differs("poststart-at-start") {
        expected.extend(both(&["poststart"]));
    }
    assert_eq!(order(), expected, "after create");

    container.start().quietly();
    wait_until("the program runs", || order().contains(&"program".to_owned()));
    if differs("poststart-at-start") {
        expected.extend(both(&["startContainer"]));
        expected.push("program".into());
        assert_eq!(order(), expected, "after start");
    } else {
        // start has come back, so they have run; the program may write a little later or earlier.
        let so_far: Vec<String> = order().into_iter().filter(|line| line != "program").collect();
        expected.extend(both(&["startContainer", "poststart"]));
        assert_eq!(so_far, expected, "after start");
        let at = |what: &str| order().iter().position(|line| line == what);
        assert!(at("program") > at("startContainer 1"), "{:?}", order());
    }

    container.kill("KILL").quietly();
    container.wait_for("stopped");
    let before = order();
    assert!(!before.contains(&"poststop 0".to_owned()), "poststop is for delete");
    container.delete().quietly();
    assert_eq!(order()[before.len()..], both(&["poststop"])[..], "after delete");
    container.leaves_nothing();
}

#[test]
fn hooks_of_run_are_those_of_create_start_and_delete() {
    let mut container = sharing("run");
    for kind in KINDS {
        container = with(container, kind, &format!("echo {kind} >> $out/order"));
    }
    container.run().quietly();
    let order: Vec<String> = lines(&container, "order").into_iter().filter(|line| line != "poststart").collect();
    assert_eq!(order, ["prestart", "createRuntime", "createContainer", "startContainer", "program", "poststop"]);
    assert_eq!(lines(&container, "order").iter().filter(|&line| line == "poststart").count(), 1);
}

#[test]
fn hooks_do_not_run_when_nothing_is_deleted() {
    let container = with(sharing("keep"), "poststop", "echo poststop >> $out/order").option("--keep");
    container.run().quietly();
    assert_eq!(lines(&container, "order"), ["program"]);
    container.delete().quietly();
    assert_eq!(lines(&container, "order"), ["program", "poststop"]);
    container.delete_by_force().quietly();
    assert_eq!(lines(&container, "order"), ["program", "poststop"]);
}

#[test]
fn delete_by_force_runs_the_hooks_too() {
    // Running, only created, and long dead.
    let running = with(sharing("force"), "poststop", "echo poststop >> $out/order").args(["sleep", "1000"]);
    running.create().quietly();
    running.start().quietly();
    running.delete_by_force().quietly();
    assert_eq!(lines(&running, "order"), ["poststop"]);
    let created = with(sharing("force"), "poststop", "echo poststop >> $out/order").args(["sleep", "1000"]);
    created.create().quietly();
    created.delete_by_force().quietly();
    assert_eq!(lines(&created, "order"), ["poststop"]);
    let stopped = with(sharing("force"), "poststop", "echo poststop >> $out/order");
    stopped.create().quietly();
    stopped.start().quietly();
    stopped.wait_for("stopped");
    stopped.delete_by_force().quietly();
    assert_eq!(lines(&stopped, "order"), ["program", "poststop"]);
}

#[test]
fn hooks_are_those_of_the_config_at_create() {
    let container = with(sharing("config"), "poststop", "echo poststop >> $out/order").args(["sleep", "1000"]);
    container.create().quietly();
    fs::write(container.bundle().join("config.json"), "{}").expect("it can be written");
    container.delete_by_force().quietly();
    assert_eq!(lines(&container, "order"), ["poststop"]);
}

#[test]
fn container_waits_for_its_hooks() {
    for kind in OF_CREATE {
        let container = with(sharing("wait"), kind, "sleep 0.3; echo hook >> $out/order").args(["true"]);
        container.create().quietly();
        assert_eq!(lines(&container, "order"), ["hook"], "{kind}");
    }
    let container = with(sharing("wait"), "startContainer", "sleep 0.3; echo hook >> $out/order");
    container.run().quietly();
    assert_eq!(lines(&container, "order"), ["hook", "program"]);
}

#[test]
fn environment_is_complete_when_the_hooks_of_create_run() {
    let script = "pid=$(sed 's/.*\"pid\":\\([0-9]*\\).*/\\1/'); echo $pid > $out/pid; cat /proc/$pid/mountinfo > $out/mounts; \
                  readlink /proc/$pid/root > $out/root; cat /proc/$pid/cgroup > $out/cgroup; cat /proc/self/cgroup > $out/own; \
                  for kind in mnt pid net uts ipc; do readlink /proc/$pid/ns/$kind; done > $out/spaces";
    for kind in ["prestart", "createRuntime"] {
        let container = with(sharing("complete"), kind, script).args(["sleep", "1000"]);
        container.create().quietly();
        let pid = container.pid();
        assert_eq!(read(&container, "pid").trim(), pid.to_string());
        // The mounts are there, the root is not entered.
        let rootfs = container.rootfs();
        let mounts = read(&container, "mounts");
        for inside in ["", "/proc", "/dev/pts", "/out"] {
            assert!(mounts.contains(&format!(" {}{inside} ", rootfs.display())), "{kind}: no {inside:?} in {mounts}");
        }
        assert_eq!(read(&container, "root"), "/\n");
        // S1-05: limits and cgroup come before.
        assert!(read(&container, "cgroup").contains(&container.id), "{kind}: the container has no cgroup yet");
        assert!(!read(&container, "own").contains(&container.id), "{kind}: the hook is in the cgroup of the container");
        let spaces: Vec<String> =
            ["mnt", "pid", "net", "uts", "ipc"].map(|kind| namespace(&pid.to_string(), kind)).into();
        assert_eq!(lines(&container, "spaces"), spaces);
    }
}

#[test]
fn limits_are_set_before_the_first_hook() {
    let Some(_) = controller("pids") else {
        return runtime_tests::skip("no pids controller in this view");
    };
    let script = "pid=$(sed 's/.*\"pid\":\\([0-9]*\\).*/\\1/'); echo $pid > $out/pid; cat /proc/$pid/cgroup > $out/cgroup; \
                  find /sys/fs/cgroup -path \"*$name/pids.max\" -exec cat {} + > $out/limit";
    let container = sharing("limit").edit(|config| config["linux"]["resources"]["pids"] = json!({ "limit": 77 }));
    let container = with(container.args(["sleep", "1000"]), "prestart", script);
    let (id, out) = (container.id.clone(), container.outside("out").display().to_string());
    let env = json!([PATH, format!("name={id}"), format!("out={out}")]);
    let container = change_last(container, "prestart", "env", env);
    container.create().quietly();
    assert_eq!(read(&container, "limit"), "77\n");
}

// ---- where ----

fn namespace(pid: &str, kind: &str) -> String {
    let link = fs::read_link(format!("/proc/{pid}/ns/{kind}")).expect("the process lives");
    link.to_string_lossy().into_owned()
}

// S1-09
#[test]
fn hooks_run_in_their_namespaces() {
    const SPACES: [&str; 5] = ["mnt", "pid", "net", "uts", "ipc"];
    let mut container = sharing("spaces").args(["sleep", "1000"]);
    for kind in KINDS {
        container = with(
            container,
            kind,
            &format!("for kind in mnt pid net uts ipc; do readlink /proc/self/ns/$kind; done > $out/{kind}"),
        );
    }
    container.create().quietly();
    container.start().quietly();
    let inside = SPACES.map(|kind| namespace(&container.pid().to_string(), kind));
    let outside = SPACES.map(|kind| namespace("self", kind));
    container.delete_by_force().quietly();
    for kind in KINDS {
        let expected = if kind.ends_with("Container") { &inside } else { &outside };
        assert_eq!(lines(&container, kind), expected, "{kind}");
    }
}

#[test]
fn create_container_hook_is_found_outside_and_sees_the_mounts() {
    let container = sharing("found").args(["cat", "/tmp/added"]);
    // Not there in the root filesystem.
    let program = container.outside("hook");
    fs::write(
        &program,
        "#!/bin/bash\npwd > $out/pwd; cat /proc/self/mountinfo > $out/mounts; hostname > $out/host\n\
                         echo added by a hook > $out/file; touch tmp/added; mount --bind $out/file tmp/added\n",
    )
    .expect("it can be written");
    Command::new("chmod").arg("755").arg(&program).status().expect("chmod runs");
    let out = container.outside("out").display().to_string();
    let hook = json!({ "path": program, "env": [PATH, format!("out={out}")] });
    let container = with_hook(container, "createContainer", hook);
    let output = container.run();
    assert_eq!((output.stdout.as_str(), output.code), ("added by a hook\n", 0), "{output:?}");
    let rootfs = container.rootfs();
    assert_eq!(read(&container, "pwd").trim(), rootfs.to_string_lossy());
    let mounts = read(&container, "mounts");
    assert!(mounts.contains(&format!(" {}/proc ", rootfs.display())), "{mounts}");
    assert!(mounts.lines().any(|line| line.split(' ').nth(4) == Some("/")), "the old root is gone: {mounts}");
    // What it mounts is the container's alone.
    let own = fs::read_to_string("/proc/self/mountinfo").expect("it can be read");
    assert!(!own.contains("tmp/added"), "{own}");
}

#[test]
fn create_runtime_hook_can_mount_into_the_container() {
    let script = "pid=$(sed 's/.*\"pid\":\\([0-9]*\\).*/\\1/'); echo added by a hook > $out/file; touch $root/tmp/added; \
                  nsenter --mount --target $pid mount --bind $out/file $root/tmp/added";
    for kind in ["prestart", "createRuntime"] {
        let container = with(sharing("mount").args(["cat", "/tmp/added"]), kind, script);
        let (root, out) = (container.rootfs(), container.outside("out"));
        let env = json!([PATH, format!("out={}", out.display()), format!("root={}", root.display())]);
        change_last(container, kind, "env", env).run().prints("added by a hook\n");
    }
}

#[test]
fn create_runtime_hook_can_set_up_the_network() {
    let script = "pid=$(sed 's/.*\"pid\":\\([0-9]*\\).*/\\1/'); nsenter --net --target $pid sh -c 'echo 31 > /proc/sys/net/ipv4/ip_default_ttl'";
    let container =
        with(sharing("network").args(["cat", "/proc/sys/net/ipv4/ip_default_ttl"]), "createRuntime", script);
    container.run().prints("31\n");
    let own = fs::read_to_string("/proc/sys/net/ipv4/ip_default_ttl").expect("it can be read");
    assert_ne!(own, "31\n");
}

#[test]
fn start_container_hook_is_found_inside() {
    let container =
        sharing("inside").program("hook", "#!/bin/sh\npwd > /out/pwd; ls / > /out/root; hostname > /out/host\n");
    let container = container.directory("work").edit(|config| config["process"]["cwd"] = json!("/work"));
    let container = with_hook(container, "startContainer", json!({ "path": "/hook" }));
    container.run().quietly();
    assert_eq!(read(&container, "pwd"), "/work\n");
    assert_eq!(read(&container, "host"), "runc\n");
    assert!(lines(&container, "root").contains(&"hook".to_owned()));
    assert!(!lines(&container, "root").contains(&"run".to_owned()), "that is the root of the host");
}

#[test]
fn start_container_hook_has_the_rights_of_the_process() {
    let script = "id -u > $out/user; grep -E 'CapEff|NoNewPrivs' /proc/self/status > $out/rights";
    let container = with(sharing("rights").user(1000, 1000), "startContainer", script);
    let container = container.edit(|config| config["process"]["capabilities"]["ambient"] = json!([]));
    container.run().quietly();
    assert_eq!(read(&container, "user"), "1000\n");
    let rights: Vec<String> = lines(&container, "rights").iter().map(|line| line.replace('\t', "")).collect();
    assert_eq!(rights, ["CapEff:0000000000000000", "NoNewPrivs:1"]);
}

#[test]
fn hooks_outside_have_the_rights_of_the_runtime() {
    for kind in ["prestart", "createRuntime", "createContainer", "poststart", "poststop"] {
        let container = with(
            sharing("rights").user(1000, 1000),
            kind,
            "id -u > $out/user; grep CapEff /proc/self/status > $out/rights",
        );
        container.run().quietly();
        assert_eq!(read(&container, "user"), "0\n", "{kind}");
        let own = fs::read_to_string("/proc/self/status").expect("it can be read");
        let own = own.lines().find(|line| line.starts_with("CapEff")).expect("it is there");
        assert_eq!(read(&container, "rights").trim_end(), own, "{kind}");
    }
}

#[test]
fn hooks_run_once_without_a_mount_namespace() {
    let mut container = sharing("nomount").without_namespace("mount").unmasked();
    let rootfs = container.rootfs();
    for kind in OF_CREATE {
        container = with(container, kind, &format!("echo {kind} >> $out/order"));
    }
    let twice = differs("hooks-run-twice");
    // The mounts are those of everybody: runc leaves them there.
    let container = if differs("no-mount-namespace") { container.may_leave_something() } else { container };
    container.create().quietly();
    let mut order = lines(&container, "order");
    if twice {
        order.sort();
        order.dedup();
        order.sort_by_key(|kind| OF_CREATE.iter().position(|known| known == kind));
    }
    assert_eq!(order, OF_CREATE);
    container.delete_by_force().ok();
    drop(container);
    assert!(!rootfs.exists());
}

// ---- with what ----

/// The state that a hook of each kind has read, after a whole life.
fn states(container: Container, script: &str) -> (Container, Vec<(&'static str, Value)>) {
    let mut container = container;
    for kind in KINDS {
        container = with(container, kind, &script.replace("KIND", kind));
    }
    live(&container);
    let states = KINDS.map(|kind| {
        let text = read(&container, kind);
        (kind, serde_json::from_str(&text).unwrap_or_else(|error| panic!("{kind} read {text:?}: {error}")))
    });
    (container, states.into())
}

// S1-10
#[test]
fn hooks_read_the_state() {
    let container =
        sharing("state").edit(|config| config["annotations"] = json!({ "b.example/two": "2", "a.example": "ä\"\n" }));
    let (container, states) = states(container, "cat > $out/KIND");
    for (kind, state) in states {
        let version = state["ociVersion"].as_str().expect("a version");
        assert!(version.starts_with("1."), "{kind}: {version}");
        assert_eq!(state["id"], container.id.as_str(), "{kind}");
        assert_eq!(state["bundle"], container.bundle().to_string_lossy().as_ref(), "{kind}");
        assert_eq!(state["annotations"], json!({ "b.example/two": "2", "a.example": "ä\"\n" }), "{kind}");
        let status = match kind {
            "startContainer" => "created",
            "poststart" if differs("poststart-at-start") => "created",
            "poststart" => "running",
            "poststop" => "stopped",
            _ => "creating",
        };
        assert_eq!(state["status"], status, "{kind}");
        let pid = state["pid"].as_i64().unwrap_or(0);
        match kind {
            // As seen in the hook's pid namespace.
            "createContainer" | "startContainer" => assert_eq!(pid, 1, "{kind}"),
            "poststop" => assert_eq!(pid, 0, "{kind}"),
            _ => assert!(pid > 1, "{kind}: {pid}"),
        }
    }
}

#[test]
fn pid_in_the_state_is_that_of_the_container() {
    let script = "cat > $out/KIND; echo $$ >> $out/shells";
    let mut container = sharing("pid").args(["sleep", "1000"]);
    for kind in &KINDS[..5] {
        container = with(container, kind, &script.replace("KIND", kind));
    }
    container.create().quietly();
    let pid = container.pid();
    container.start().quietly();
    for kind in ["prestart", "createRuntime", "poststart"] {
        let state: Value = serde_json::from_str(&read(&container, kind)).expect("it is JSON");
        assert_eq!(state["pid"], pid, "{kind}");
    }
}

#[test]
fn pid_is_the_one_outside_when_the_pid_namespace_is_shared() {
    let container = sharing("shared").without_namespace("pid").args(["sleep", "1000"]);
    let container = with(container, "createContainer", "cat > $out/createContainer");
    let container = with(container, "startContainer", "cat > $out/startContainer");
    container.create().quietly();
    let pid = container.pid();
    container.start().quietly();
    wait_until("it runs", || container.status() == "running");
    for kind in ["createContainer", "startContainer"] {
        wait_until("the hook has run", || read(&container, kind).ends_with('}'));
        let state: Value = serde_json::from_str(&read(&container, kind)).expect("it is JSON");
        assert_eq!(state["pid"], pid, "{kind}");
    }
}

#[test]
fn state_may_be_larger_than_a_pipe() {
    let container = sharing("large").edit(|config| config["annotations"] = json!({ "large": "x".repeat(200_000) }));
    let (_container, states) = states(container, "cat > $out/KIND");
    for (kind, state) in states {
        assert_eq!(state["annotations"]["large"].as_str().map(str::len), Some(200_000), "{kind}");
    }
}

#[test]
fn hook_need_not_read_the_state() {
    let mut container =
        sharing("unread").edit(|config| config["annotations"] = json!({ "large": "x".repeat(200_000) }));
    for kind in KINDS {
        container = with(container, kind, &format!("exec 0<&-; sleep 0.05; echo {kind} >> $out/ran"));
        container = with(container, kind, "head -c 10 > /dev/null");
    }
    live(&container);
    assert_eq!(lines(&container, "ran").len(), 6);
}

#[test]
fn arguments_are_exactly_those_of_the_hook() {
    for kind in KINDS {
        let container = with(sharing("args"), kind, "");
        // Busybox, which is inside, goes by the end of its name.
        let name = "another name/sh";
        let script = format!("{ITSELF}; tr '\\0' '|' < $me/cmdline > {}/args; :", seen_by(kind, &container).display());
        let container = change_last(container, kind, "args", json!([name, "-c", script, "", "two words", "*"]));
        container.run().quietly();
        assert_eq!(read(&container, "args"), format!("{name}|-c|{script}||two words|*|"), "{kind}");
    }
}

#[test]
fn name_of_the_program_is_its_first_argument_if_there_are_none() {
    for kind in KINDS {
        let container = sharing("noargs").program("hook", "");
        let out = seen_by(kind, &container);
        let text = format!("#!/bin/sh\necho $# $0 > {}/args\n", out.display());
        let path = if kind == "startContainer" { "/hook".into() } else { container.rootfs().join("hook") };
        let container = with_hook(container.program("hook", &text), kind, json!({ "path": path }));
        container.run().quietly();
        assert_eq!(read(&container, "args"), format!("0 {}\n", path.display()), "{kind}");
    }
}

#[test]
fn environment_is_exactly_that_of_the_hook() {
    for kind in KINDS {
        let container = with(
            sharing("env").caller_env("SECRET", "of the caller"),
            kind,
            &format!("{ITSELF}; tr '\\0' '|' < $me/environ > $out/env; :"),
        );
        let out = seen_by(kind, &container).display().to_string();
        let env = json!(["ONE=1", format!("out={out}"), "TWO=two words", PATH, "EMPTY="]);
        let container = change_last(container, kind, "env", env);
        container.run().quietly();
        assert_eq!(read(&container, "env"), format!("ONE=1|out={out}|TWO=two words|{PATH}|EMPTY=|"), "{kind}");
    }
}

#[test]
fn hook_outside_without_an_environment_has_none() {
    for kind in ["prestart", "createRuntime", "createContainer", "poststart", "poststop"] {
        for env in [None, Some(json!([]))] {
            let container = sharing("noenv").caller_env("SECRET", "of the caller").env("INSIDE=1");
            let out = container.outside("out").display().to_string();
            let script = format!("{ITSELF}; tr '\\0' '|' < $me/environ > {out}/env; echo done > {out}/done");
            let mut hook = json!({ "path": "/bin/sh", "args": ["sh", "-c", script] });
            if let Some(env) = env {
                hook["env"] = env;
            }
            let container = with_hook(container, kind, hook);
            container.run().quietly();
            assert_eq!(read(&container, "done"), "done\n", "{kind}");
            if !differs("hook-environment") {
                assert_eq!(read(&container, "env"), "", "{kind}");
            }
        }
    }
}

#[test]
fn start_container_hook_without_an_environment_has_that_of_the_process() {
    // The specification does not say so; runc's tests do.
    let container = sharing("noenv").caller_env("SECRET", "of the caller").env("INSIDE=1");
    let hook = json!({ "path": "/bin/sh", "args": ["sh", "-c", "env > /out/env"] });
    let container = with_hook(container, "startContainer", hook);
    container.run().quietly();
    let env = lines(&container, "env");
    assert!(env.contains(&"INSIDE=1".to_owned()) && env.contains(&"TERM=xterm".to_owned()), "{env:?}");
    assert!(env.iter().any(|variable| variable.starts_with("HOME=")), "{env:?}");
    assert!(!env.iter().any(|variable| variable.starts_with("SECRET")), "{env:?}");
}

#[test]
fn hook_has_its_three_streams_and_nothing_else_open() {
    for kind in KINDS {
        let script = "for fd in /proc/$$/fd/*; do echo ${fd##*/}; done > $out/fds; grep -E 'Sig(Blk|Ign)' /proc/self/status > $out/signals";
        let container =
            with(sharing("open"), kind, script).through("trap '' USR1 PIPE; exec \"$@\" 7</dev/null 9>/dev/null");
        container.run().quietly();
        // The list is opened as well: 1 is redirected, and bash or dash may keep a copy above 9.
        let open: Vec<String> = lines(&container, "fds").into_iter().filter(|fd| fd.len() == 1).collect();
        assert!(open.iter().all(|fd| ["0", "1", "2", "3"].contains(&fd.as_str())), "{kind}: {open:?}");
        if !differs("ignored-signals-are-reset") {
            for line in lines(&container, "signals") {
                // USR1 and PIPE: the shell itself may ignore others.
                let set = line.split('\t').nth(1).and_then(|set| u64::from_str_radix(set, 16).ok());
                assert_eq!(set.expect("a set") & 0x1200, 0, "{kind}: {line}");
            }
        }
    }
}

#[test]
fn hook_may_write_a_lot() {
    for kind in KINDS {
        let script =
            "head -c 1048576 /dev/zero | tr '\\0' x; head -c 1048576 /dev/zero | tr '\\0' y >&2; echo done > $out/done";
        let container = with(sharing("lot"), kind, script);
        // It is nobody's business when the hook succeeds.
        container.run().quietly();
        assert_eq!(read(&container, "done"), "done\n", "{kind}");
    }
}

#[test]
fn hook_that_leaves_a_process_with_its_streams_is_not_waited_for() {
    for kind in KINDS {
        // In the pid namespace of the container it would be killed with it.
        let container = with(sharing("background"), kind, "sleep 5 & echo $! > $out/pid");
        let started = Instant::now();
        container.spawn().wait().quietly();
        let waited = started.elapsed();
        if !kind.ends_with("Container") {
            let pid = read(&container, "pid");
            let _ = Command::new("kill").arg("-9").arg(pid.trim()).status();
        }
        if !differs("hook-that-leaves-a-process") {
            assert!(waited < Duration::from_secs(3), "{kind}: {waited:?}");
        }
    }
}

#[test]
fn hook_may_ask_the_runtime() {
    let container = sharing("ask").args(["sleep", "1000"]);
    let runtime = runtime_tests::runtime_path().display().to_string();
    let root = container.state_root().display().to_string();
    let script = format!("timeout 5 {runtime} --root {root} list -q > $out/list; echo $? > $out/status");
    for kind in ["createRuntime", "poststart"] {
        let container = with(sharing("ask").args(["sleep", "1000"]), kind, &script);
        container.create().quietly();
        container.start().quietly();
        assert_eq!(read(&container, "status"), "0\n", "{kind}");
    }
    drop(container);
}

// ---- crun's annotations ----

#[test]
fn output_of_hooks_is_appended_to_the_files_of_the_annotations() {
    require!(!is_runc(), "runc does not know run.oci.hooks.stdout");
    let container = sharing("output");
    let (stdout, stderr) = (container.outside("hooks.stdout"), container.outside("hooks.stderr"));
    fs::write(&stdout, "before\n").expect("it can be written");
    let annotations = json!({ "run.oci.hooks.stdout": stdout, "run.oci.hooks.stderr": stderr });
    let mut container = container.edit(|config| config["annotations"] = annotations);
    for kind in KINDS {
        container = with(container, kind, &format!("echo out of {kind}; echo err of {kind} >&2"));
    }
    container.run().quietly();
    let sorted = |file: &PathBuf| {
        let text = fs::read_to_string(file).expect("it is there");
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    let expected = |what: &str| {
        let mut expected: Vec<String> = KINDS.iter().map(|kind| format!("{what} of {kind}")).collect();
        expected.sort();
        expected
    };
    assert_eq!(sorted(&stderr), expected("err"));
    assert_eq!(sorted(&stdout), [vec!["before".to_owned()], expected("out")].concat());
    assert!(fs::read_to_string(&stdout).expect("it is there").starts_with("before\nout of prestart\n"));
}

#[test]
fn file_of_the_annotation_that_can_not_be_opened_is_named() {
    require!(!is_runc(), "runc does not know run.oci.hooks.stdout");
    for stream in ["stdout", "stderr"] {
        let annotation = format!("run.oci.hooks.{stream}");
        let container =
            sharing("output").edit(|config| config["annotations"] = json!({ annotation: "/no/such/directory/file" }));
        let container = with(container, "createRuntime", "echo ran > $out/ran");
        container.create().refused().says("/no/such/directory/file");
        assert_eq!(read(&container, "ran"), "");
    }
}

// ---- failures ----

// S1-10
#[test]
fn failing_hook_of_create_ends_the_creation() {
    for kind in OF_CREATE {
        for command in ["create", "run"] {
            let container = with(sharing("fail"), kind, "echo first >> $out/order");
            let container = with(container, kind, "echo so far; echo the reason >&2; exit 3");
            let mut container = with(container, kind, "echo later >> $out/order");
            // Those that come after it.
            for later in KINDS.iter().skip_while(|&&known| known != kind).skip(1) {
                container = with(container, later, &format!("echo {later} >> $out/order"));
            }
            let output = container.creating(command).output().refused().says("exit status 3").says("the reason");
            names(output, kind, 1);
            container.leaves_nothing();
            // Step 12 of the lifecycle: it is destroyed, and that has hooks.
            assert_eq!(lines(&container, "order"), ["first", "poststop"], "{kind} {command}");
        }
    }
}

#[test]
fn failing_start_container_hook_stops_the_container() {
    let failing = || {
        let container = with(sharing("fail"), "startContainer", "echo first >> $out/order");
        let container = with(container, "startContainer", "echo the reason >&2; exit 3");
        let container = with(container, "startContainer", "echo later >> $out/order");
        with(container, "poststop", "echo poststop >> $out/order")
    };
    let container = failing();
    let output = container.run();
    assert_ne!(output.code, 0);
    names(output, "startContainer", 1).says("exit status 3").says("the reason");
    assert_eq!(lines(&container, "order"), ["first", "poststop"]);

    let container = failing();
    container.create().quietly();
    let pid = container.pid();
    let output = container.start();
    if !differs("start-learns-the-exec-error") {
        names(output.refused(), "startContainer", 1).says("exit status 3").says("the reason");
    }
    wait_until("the process is gone", || !is_alive(pid));
    container.delete_by_force().quietly();
    container.leaves_nothing();
    assert_eq!(lines(&container, "order"), ["first", "poststop"]);
}

#[test]
fn failing_poststart_hook_stops_the_container() {
    let failing = || {
        let container = with(sharing("fail").args(["sleep", "1000"]), "poststart", "echo first >> $out/order");
        let container = with(container, "poststart", "echo the reason >&2; exit 3");
        let container = with(container, "poststart", "echo later >> $out/order");
        with(container, "poststop", "echo poststop >> $out/order")
    };
    let container = failing();
    names(container.run().refused(), "poststart", 1).says("exit status 3").says("the reason");
    assert_eq!(lines(&container, "order"), ["first", "poststop"]);

    let container = failing();
    if differs("poststart-at-start") {
        names(container.create().refused(), "poststart", 1);
        return;
    }
    container.create().quietly();
    let pid = container.pid();
    names(container.start().refused(), "poststart", 1).says("exit status 3").says("the reason");
    wait_until("the process is gone", || !is_alive(pid));
    container.delete_by_force().quietly();
    container.leaves_nothing();
    assert_eq!(lines(&container, "order"), ["first", "poststop"]);
}

#[test]
fn failing_poststart_hook_of_run_detached_leaves_nothing() {
    let container = with(sharing("fail").args(["sleep", "1000"]), "poststart", "exit 3").detached();
    names(container.run().refused(), "poststart", 0);
    container.delete_by_force().quietly();
    container.leaves_nothing();
}

#[test]
fn failing_poststop_hook_is_a_warning() {
    let failing = || {
        let container = with(sharing("fail"), "poststop", "echo the reason >&2; exit 3");
        with(container, "poststop", "echo later >> $out/order")
    };
    let check = |container: &Container, output: Output| {
        assert_eq!(output.code, 0, "{output:?}");
        let output = names(output, "poststop", 0).says("exit status 3").says("the reason");
        assert_eq!(output.stdout, "");
        container.leaves_nothing();
        if !differs("hooks-after-a-failing-poststop-hook") {
            assert_eq!(lines(container, "order"), ["program", "later"]);
        }
    };
    let container = failing();
    check(&container, container.run());
    for force in [false, true] {
        let container = failing();
        container.create().quietly();
        container.start().quietly();
        container.wait_for("stopped");
        check(&container, if force { container.delete_by_force() } else { container.delete() });
    }
}

#[test]
fn hooks_of_delete_run_when_the_creation_fails_after_hooks() {
    // The hooks of create have done their part: somebody has to undo it.
    let container = with(sharing("undo").args(["/no/such/program"]), "createRuntime", "echo made >> $out/order");
    let container = with(container, "poststop", "cat > $out/state; echo undone >> $out/order");
    container.create().refused().says("no such file or directory");
    assert_eq!(lines(&container, "order"), ["made", "undone"]);
    let state: Value = serde_json::from_str(&read(&container, "state")).expect("it is JSON");
    assert_eq!(state["status"], "stopped");
}

#[test]
fn container_is_gone_when_the_hooks_of_delete_run() {
    let script = "ls $state > $out/states; find /sys/fs/cgroup -name \"*$name*\" > $out/cgroups; echo done > $out/done";
    let container = with(sharing("gone"), "poststop", script);
    let env = json!([
        PATH,
        format!("out={}", container.outside("out").display()),
        format!("state={}", container.state_root().display()),
        format!("name={}", container.id),
    ]);
    let container = change_last(container, "poststop", "env", env);
    live(&container);
    assert_eq!(read(&container, "done"), "done\n");
    assert_eq!(read(&container, "states"), "");
    assert_eq!(read(&container, "cgroups"), "");
}

#[test]
fn hook_that_is_killed_is_said_to_be() {
    for kind in OF_CREATE {
        let container = with(sharing("killed"), kind, "kill -9 $$");
        names(container.create().refused(), kind, 0).says("kill");
    }
}

#[test]
fn only_the_last_words_of_a_failing_hook_are_repeated() {
    require!(!is_runc(), "runc repeats all of it");
    for kind in OF_CREATE {
        let container = with(
            sharing("words"),
            kind,
            "i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i+1)); done >&2; echo the reason >&2; exit 3",
        );
        let output = names(container.create().refused(), kind, 0).says("the reason");
        assert!(output.stderr.len() < 8192, "{} bytes", output.stderr.len());
    }
}

#[test]
fn error_of_a_hook_is_in_the_log() {
    let container = with(sharing("log"), "createRuntime", "printf 'a \"quoted\"\\nreason\\n' >&2; exit 3");
    let log = container.outside("log.json");
    let container = container.global("--log").global(&log.to_string_lossy()).global("--log-format").global("json");
    container.create().refused();
    let text = fs::read_to_string(log).expect("it is written");
    let last: Value = serde_json::from_str(text.lines().last().expect("a line")).expect("it is JSON");
    let message = last["msg"].as_str().expect("a message");
    assert!(message.contains("hook #0") && message.contains("reason") && message.contains("\"quoted\""), "{message}");
    assert!(differs("one-line-in-the-log") || text.lines().count() == 1, "{text}");
}

#[test]
fn hook_that_can_not_be_run_is_named() {
    for kind in OF_CREATE {
        for (path, answer) in [
            ("/no/such/hook", "no such file or directory"),
            ("/etc/passwd", "permission denied"),
            ("/etc/passwd/hook", "not a directory"),
            ("/usr", "permission denied"),
        ] {
            let container = with_hook(sharing("path"), kind, json!({ "path": path }));
            names(container.create().refused(), kind, 0).says(path).says(answer);
        }
    }
    // These have a place of their own where they are looked up.
    let container = with_hook(sharing("path"), "startContainer", json!({ "path": "/no/such/hook" }));
    let output = container.run();
    assert_ne!(output.code, 0);
    names(output, "startContainer", 0).says("/no/such/hook").says("no such file or directory");
    let container = with_hook(sharing("path").args(["sleep", "1000"]), "poststart", json!({ "path": "/no/such/hook" }));
    names(container.run().refused(), "poststart", 0).says("/no/such/hook").says("no such file or directory");
    let container = with_hook(sharing("path"), "poststop", json!({ "path": "/no/such/hook" }));
    let output = container.run();
    assert_eq!(output.code, 0, "{output:?}");
    names(output, "poststop", 0).says("/no/such/hook").says("no such file or directory");
}

#[test]
fn hook_path_is_absolute() {
    for kind in KINDS {
        for path in ["hook", "./hook", ""] {
            let container = with_hook(sharing("relative"), kind, json!({ "path": path }));
            // It is there, from where the runtime stands, and inside too.
            for place in [container.bundle(), container.rootfs(), container.rootfs().join("bin")] {
                fs::copy("/bin/true", place.join("hook")).expect("it can be copied");
            }
            if differs("relative-hook-path") {
                continue;
            }
            container.create().refused().says("hooks").says(kind).says("absolute");
            container.run().refused();
            assert_eq!(read(&container, "order"), "");
        }
    }
}

#[test]
fn broken_hooks_are_refused() {
    for hooks in [
        json!({ "prestart": [{}] }),
        json!({ "prestart": [{ "path": 1 }] }),
        json!({ "prestart": [{ "path": "/bin/true", "args": "text" }] }),
        json!({ "prestart": [{ "path": "/bin/true", "env": { "A": "1" } }] }),
        json!({ "prestart": [{ "path": "/bin/true", "timeout": "1" }] }),
        json!({ "prestart": { "path": "/bin/true" } }),
        json!("text"),
    ] {
        sharing("broken").edit(|config| config["hooks"] = hooks.clone()).create().refused();
    }
    if !differs("nul-bytes") {
        for hook in [
            json!({ "path": "/bin/true\0" }),
            json!({ "path": "/bin/true", "args": ["true", "a\0b"] }),
            json!({ "path": "/bin/true", "env": ["A=\0"] }),
        ] {
            with_hook(sharing("nul"), "prestart", hook).create().refused();
        }
    }
}

// ---- timeouts ----

fn is_alive(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

/// How many processes live that hooks of this container have started: its name is in the path that they are given.
fn of_hooks(container: &Container) -> usize {
    let processes = fs::read_dir("/proc").expect("it can be read").flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let named = |pid: &i32| {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        String::from_utf8_lossy(&environment).contains(&container.id)
    };
    pids.filter(|&pid| is_alive(pid)).filter(named).count()
}

/// What is said of a hook that took longer than a second.
fn took_longer() -> &'static str {
    if is_runc() { "timeout of 1.0s" } else { "time limit" }
}

#[test]
fn hook_that_takes_too_long_is_killed() {
    for kind in ["prestart", "createRuntime", "createContainer", "startContainer", "poststart"] {
        let container = with(sharing("long").args(["sleep", "1000"]), kind, "exec sleep 1000");
        let container = change_last(container, kind, "timeout", json!(1));
        let started = Instant::now();
        let output = container.run();
        let took = started.elapsed();
        assert!(took > Duration::from_millis(900) && took < Duration::from_secs(8), "{kind}: {took:?}");
        assert_ne!(output.code, 0, "{kind}");
        names(output, kind, 0).says(took_longer());
    }
    let container = change_last(with(sharing("long"), "poststop", "exec sleep 1000"), "poststop", "timeout", json!(1));
    let output = container.run();
    assert_eq!(output.code, 0, "{output:?}");
    names(output, "poststop", 0).says(took_longer());
}

#[test]
fn processes_of_a_hook_that_takes_too_long_are_killed_too() {
    if differs("hook-that-leaves-a-process") {
        return;
    }
    for kind in OF_CREATE {
        // Two of them: one that holds the streams and one that does not.
        let script = "sleep 1000 & sleep 1001 >/dev/null 2>&1 </dev/null & echo ready; sleep 1002";
        let container = change_last(with(sharing("group"), kind, script), kind, "timeout", json!(1));
        let started = Instant::now();
        names(container.create().refused(), kind, 0).says(took_longer());
        assert!(started.elapsed() < Duration::from_secs(5), "{kind}");
        wait_until("all of the hook's processes are gone", || of_hooks(&container) == 0);
    }
}

#[test]
fn hook_in_time_is_let_live() {
    let mut container = sharing("intime");
    for kind in KINDS {
        container = change_last(
            with(container, kind, &format!("sleep 0.1; echo {kind} >> $out/ran")),
            kind,
            "timeout",
            json!(30),
        );
        let forever = with(container, kind, "true");
        container = change_last(forever, kind, "timeout", json!(4_000_000_000_u64));
    }
    live(&container);
    assert_eq!(lines(&container, "ran").len(), 6);
}

#[test]
fn timeout_is_above_zero() {
    for kind in KINDS {
        for timeout in [0, -1, i64::MIN] {
            let container = with(sharing("zero"), kind, "echo ran >> $out/order");
            let container = change_last(container, kind, "timeout", json!(timeout));
            if differs("hook-timeout-zero") {
                continue;
            }
            container.create().refused().says("hooks").says(kind).says("timeout");
            container.run().refused();
            assert_eq!(read(&container, "order"), "", "{kind} {timeout}");
        }
    }
}

// ---- somebody interferes ----

#[test]
fn container_that_a_hook_kills_is_an_error_and_leaves_nothing() {
    let script = "pid=$(sed 's/.*\"pid\":\\([0-9]*\\).*/\\1/'); kill -9 $pid";
    for kind in ["prestart", "createRuntime"] {
        let container = with(sharing("murder"), kind, script);
        let output = container.create();
        assert_ne!(output.code, 0, "{kind}: {output:?}");
    }
}

#[test]
fn runtime_that_is_killed_in_a_hook_leaves_nothing_that_force_does_not_remove() {
    use rustix::process::Signal;
    for kind in OF_CREATE {
        let container = with(sharing("torn"), kind, "echo $$ > $out/pid; exec sleep 1000");
        let container = with(container, "poststop", "echo poststop >> $out/order");
        let running = container.creating("create").spawn();
        wait_until("the hook runs", || read(&container, "pid").ends_with('\n'));
        running.signal(Signal::KILL);
        running.wait().exits(137);
        // Of the hooks inside, runc forgets that they are part of the container.
        let outside = !kind.ends_with("Container");
        if outside {
            let _ = Command::new("kill").arg("-9").arg(read(&container, "pid").trim()).status();
        }
        container.delete_by_force().exits(0);
        if differs("killed-while-creating") {
            drop(container.may_leave_something());
            continue;
        }
        container.leaves_nothing();
    }
}

#[test]
fn mount_of_the_host_that_a_hook_needs_is_there() {
    // createRuntime and poststop hooks run in the mount namespace of the runtime, not in a copy.
    let container = sharing("host");
    let point = container.outside("point");
    let mount = HostMount::new(&["-t", "tmpfs", "tmpfs"], &point);
    let script = "mount -t tmpfs tmpfs $point/below || exit 4";
    fs::create_dir(point.join("below")).expect("a directory can be made");
    let env = json!([PATH, format!("point={}", point.display())]);
    let container = change_last(with(container, "createRuntime", script), "createRuntime", "env", env.clone());
    let container = change_last(with(container, "poststop", "umount $point/below"), "poststop", "env", env);
    let mounted = || fs::read_to_string("/proc/self/mountinfo").expect("it can be read").contains("point/below");
    let container = container.args(["sleep", "1000"]);
    container.create().quietly();
    assert!(mounted());
    container.delete_by_force().quietly();
    assert!(!mounted());
    drop(mount);
}
