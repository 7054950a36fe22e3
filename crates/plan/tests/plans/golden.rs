//! Golden plans: a config, and the plan that is made of it, to be read as a diff in a review.
//!
//! A file has one section for each host or request. The first is the whole plan; the others say what differs from it, so
//! that `what if I were on v1?` is answered by a few lines.
//!
//!     UPDATE_GOLDEN=1 cargo test -p rt-plan --test plans golden     # after a change on purpose

use crate::hosts;
use rt_plan::{Error, Host, Join, Kept, Pids, Plan, Request, Spec, Wait, create, exec};
use rt_wire::Namespace;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

#[test]
fn example() {
    let file = Golden::new("example");
    let config = || read("../../config.example.json");
    file.section("rt create, root on cgroup v2", &config(), &hosts::root_on_v2(), &request())
        .section("rt run", &config(), &hosts::root_on_v2(), &Request { wait: Wait::Nobody, ..request() })
        .section("root on cgroup v1", &config(), &hosts::root_on_v1(), &request())
        .section("without CAP_MKNOD", &config(), &hosts::without_mknod(), &request())
        .section("without cgroups", &config(), &hosts::without_cgroups(), &request())
        .section("--no-pivot", &config(), &hosts::with_kernel_mounts(), &Request { root_by_move: true, ..request() })
        .section("--no-new-keyring", &config(), &hosts::root_on_v2(), &Request { keep_keyring: true, ..request() })
        .section("no /proc/kcore", &config(), &Host { kcore: false, ..hosts::root_on_v2() }, &request())
        .compare();
}

#[test]
fn engine() {
    let config = || read("tests/golden/engine.json");
    Golden::new("engine")
        .section("root on cgroup v2", &config(), &hosts::root_on_v2(), &request())
        .section("root on cgroup v1", &config(), &hosts::root_on_v1(), &request())
        .section("without CAP_MKNOD", &config(), &hosts::without_mknod(), &request())
        .compare();
}

#[test]
fn no_mount_namespace() {
    let config = || read("tests/golden/no-mount-namespace.json");
    let by_move = Request { root_by_move: true, ..request() };
    Golden::new("no-mount-namespace")
        .section("root on cgroup v2", &config(), &hosts::root_on_v2(), &request())
        .section("--no-pivot", &config(), &hosts::with_kernel_mounts(), &by_move)
        .compare();
}

#[test]
fn joined() {
    let config = || read("tests/golden/joined.json");
    Golden::new("joined")
        .section("root on cgroup v2", &config(), &hosts::root_on_v2(), &request())
        .section("root on cgroup v1", &config(), &hosts::root_on_v1(), &request())
        .compare();
}

#[test]
fn propagation() {
    let mut file = Golden::new("propagation");
    let config = |value: &str| {
        let mut config = read("tests/golden/propagation.json");
        config["linux"]["rootfsPropagation"] = json!(value);
        config
    };
    for value in
        ["", "private", "rprivate", "slave", "rslave", "shared", "rshared", "unbindable", "runbindable", "sharde"]
    {
        file =
            file.section(&format!("rootfsPropagation \"{value}\""), &config(value), &hosts::root_on_v2(), &request());
    }
    // A mount that stays a slave keeps the host's mounts arriving, so the binds have to say private themselves.
    let mut slave = config("");
    slave["mounts"][2]["options"] = json!(["rbind", "rslave"]);
    file.section("a bind that asks for slave", &slave, &hosts::root_on_v2(), &request()).compare();
}

#[test]
fn user() {
    let config = || read("tests/golden/user.json");
    Golden::new("user")
        .section("root on cgroup v2", &config(), &hosts::root_on_v2(), &request())
        .section("without CAP_MKNOD", &config(), &hosts::without_mknod(), &request())
        .section("rt run, as that user", &config(), &Host { uid: 1000, gid: 1000, ..hosts::root_on_v2() }, &request())
        .compare();
}

#[test]
fn cgroup_mounts() {
    let config = || read("tests/golden/cgroup-mounts.json");
    let shared = || {
        let mut config = config();
        let namespaces = config["linux"]["namespaces"].as_array_mut().expect("a list");
        namespaces.retain(|namespace| namespace["type"] != "cgroup");
        config
    };
    Golden::new("cgroup-mounts")
        .section("v2, cgroup namespace", &config(), &hosts::root_on_v2(), &request())
        .section("v2, the host's cgroup namespace", &shared(), &hosts::root_on_v2(), &request())
        .section("v1, cgroup namespace", &config(), &hosts::root_on_v1(), &request())
        .section("v1, the host's cgroup namespace", &shared(), &hosts::root_on_v1(), &request())
        .section("no cgroups, cgroup namespace", &config(), &hosts::without_cgroups(), &request())
        .compare();
}

#[test]
fn process() {
    let config = || read("tests/golden/process.json");
    Golden::new("process")
        .section("root on cgroup v2", &config(), &hosts::root_on_v2(), &request())
        .section(
            "sockets from systemd",
            &config(),
            &hosts::root_on_v2(),
            &Request { preserved: 3, listen: 2, ..request() },
        )
        .compare();
}

#[test]
fn labels() {
    let config = |field: &str, label: &str| {
        let mut config = read("tests/golden/propagation.json");
        config["process"][field] = json!(label);
        config
    };
    let apparmor = || config("apparmorProfile", "rt-default");
    let selinux = || config("selinuxLabel", "system_u:system_r:container_t:s0:c1,c2");
    let mut both = selinux();
    both["linux"]["mountLabel"] = json!("system_u:object_r:container_file_t:s0:c1,c2");
    Golden::new("labels")
        .section("AppArmor", &apparmor(), &hosts::with_apparmor(), &request())
        .section("AppArmor, on a host without", &apparmor(), &hosts::root_on_v2(), &request())
        .section("SELinux", &selinux(), &hosts::with_selinux(), &request())
        .section("SELinux, mounts too", &both, &hosts::with_selinux(), &request())
        .section("SELinux, on a host without", &selinux(), &hosts::with_apparmor(), &request())
        .compare();
}

#[test]
fn mounts() {
    let config = || read("tests/golden/mounts.json");
    Golden::new("mounts").section("root on cgroup v2", &config(), &hosts::root_on_v2(), &request()).compare();
}

#[test]
fn devices() {
    let config = || read("tests/golden/devices.json");
    let mut bound = config();
    bound["mounts"] = json!([{ "destination": "/dev", "type": "bind", "source": "/dev", "options": ["rbind"] }]);
    Golden::new("devices")
        .section("root on cgroup v2", &config(), &hosts::root_on_v2(), &request())
        .section("without CAP_MKNOD", &config(), &hosts::without_mknod(), &request())
        .section("the host's /dev", &bound, &hosts::root_on_v2(), &request())
        .compare();
}

#[test]
fn hooks_and_terminal() {
    let mut config = read("../../config.example.json");
    config["process"]["terminal"] = json!(true);
    config["process"]["consoleSize"] = json!({ "height": 24, "width": 80 });
    let hook = |path: &str, timeout: Value| json!({ "path": path, "args": ["hook", "-v"], "env": ["A=1"], "timeout": timeout });
    config["hooks"] = json!({
        "prestart": [hook("/usr/bin/prestart", json!(5))],
        "createRuntime": [hook("/usr/bin/create-runtime", Value::Null)],
        "createContainer": [hook("/usr/bin/one", json!(1)), hook("/usr/bin/two", Value::Null)],
        "startContainer": [hook("/bin/inside", Value::Null)],
        "poststart": [hook("/usr/bin/poststart", Value::Null)],
        "poststop": [hook("/usr/bin/poststop", Value::Null)],
    });
    let mut named = config.clone();
    named["annotations"] = json!({ "run.oci.hooks.stdout": "/var/log/out", "run.oci.hooks.stderr": "/var/log/err" });
    let serve = Request { serve: Some(500), ..request() };
    Golden::new("hooks")
        .section("every kind of hook, and a terminal", &config, &hosts::root_on_v2(), &request())
        .section("hooks with files for what they say", &named, &hosts::root_on_v2(), &request())
        .section("a built-in init", &read("../../config.example.json"), &hosts::root_on_v2(), &serve)
        .compare();
}

#[test]
fn exec_plans() {
    let config = read("../../config.example.json");
    let mut other = config.clone();
    other["process"] = json!({
        "terminal": true, "args": ["sh"], "cwd": "/tmp", "env": ["PATH=/bin"], "user": { "uid": 1000, "gid": 1000 },
        "oomScoreAdj": 100, "apparmorProfile": "rt-default", "execCPUAffinity": { "initial": "0", "final": "0-1" },
    });
    let mut shared = config.clone();
    shared["linux"] = json!({ "namespaces": [{ "type": "uts" }] });
    let wait = Request { wait: Wait::Nobody, ..request() };
    let apparmor = Host { apparmor: true, ..hosts::root_on_v1() };
    Golden::new("exec")
        .exec("as the container's own process", &config, &hosts::root_on_v2(), &wait)
        .exec("another one, on v1", &other, &apparmor, &wait)
        .exec("into a container that has little of its own", &shared, &hosts::root_on_v2(), &wait)
        .compare();
}

#[test]
#[cfg(target_arch = "x86_64")] // Elsewhere the programs have other lengths.
fn seccomp() {
    let profiled = |rules: Value| {
        let mut config = read("tests/golden/user.json");
        config["linux"]["seccomp"] = json!({ "defaultAction": "SCMP_ACT_ALLOW", "syscalls": rules });
        config["linux"]["seccomp"]["listenerPath"] = json!("/run/agent.sock");
        config["process"]["noNewPrivileges"] = json!(true);
        config["hooks"] = json!({ "startContainer": [{ "path": "/bin/hook" }] });
        config
    };
    let without = |mut config: Value| {
        config["process"]["noNewPrivileges"] = json!(false);
        config
    };
    let refusing = || profiled(json!([{ "names": ["mkdir"], "action": "SCMP_ACT_ERRNO" }]));
    let notifying = || profiled(json!([{ "names": ["mkdir"], "action": "SCMP_ACT_NOTIFY" }]));
    let unheard = || {
        let mut config = notifying();
        config["linux"]["seccomp"]["listenerPath"] = Value::Null;
        config
    };
    let mut receiver = unheard();
    receiver["annotations"] = json!({ "run.oci.seccomp.receiver": "/run/other.sock" });
    let mut program = refusing();
    program["annotations"] = json!({ "run.oci.seccomp_bpf_data": "BgAAAAAA/38=" });
    let host = || Host { seccomp_flags: 0x7, ..hosts::root_on_v2() };
    let serve = Request { serve: Some(500), ..request() };
    let wait = Request { wait: Wait::Nobody, ..request() };
    Golden::new("seccomp")
        .section("with no_new_privs", &refusing(), &host(), &request())
        .section("without", &without(refusing()), &host(), &request())
        .section("a built-in init", &refusing(), &host(), &serve)
        .section("somebody is notified", &notifying(), &host(), &request())
        .section("somebody is notified, without no_new_privs", &without(notifying()), &host(), &request())
        .section("nobody to notify", &unheard(), &host(), &request())
        .section("who is notified is in an annotation", &receiver, &host(), &request())
        .section("a program in an annotation", &program, &host(), &request())
        .compare();
    Golden::new("seccomp-exec")
        .exec("exec, with no_new_privs", &refusing(), &host(), &wait)
        .exec("without", &without(refusing()), &host(), &wait)
        .exec("somebody is notified", &notifying(), &host(), &wait)
        .compare();
}

#[test]
fn every_golden_file_is_compared() {
    let source = include_str!("golden.rs");
    for entry in fs::read_dir(directory()).expect("the directory of golden files") {
        let path = entry.expect("an entry").path();
        let name = path.file_stem().and_then(|name| name.to_str()).expect("a name").to_owned();
        let used = match path.extension().and_then(|extension| extension.to_str()) {
            Some("txt") => source.contains(&format!("Golden::new(\"{name}\")")),
            Some("json") => source.contains(&format!("golden/{name}.json")),
            _ => false,
        };
        assert!(used, "{} is used by no test", path.display());
    }
}

/// A container called `web`, which waits for start.
fn request() -> Request {
    Request { id: "web".into(), bundle: "/run/bundle".into(), ..Request::default() }
}

fn read(path: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    let text = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_slice(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

/// A golden file, as it would be written now.
struct Golden {
    path: PathBuf,
    text: String,
    /// The first section's lines, which the others are compared with.
    first: Vec<String>,
}

impl Golden {
    fn new(name: &str) -> Self {
        Self { path: directory().join(name).with_extension("txt"), text: String::new(), first: Vec::new() }
    }

    fn section(self, title: &str, config: &Value, host: &Host, request: &Request) -> Self {
        self.lines(title, print(&config.to_string(), host, request))
    }

    /// The process of `config`, started in a container of `config`.
    fn exec(self, title: &str, config: &Value, host: &Host, request: &Request) -> Self {
        self.lines(title, print_exec(&config.to_string(), host, request))
    }

    fn lines(mut self, title: &str, lines: Vec<String>) -> Self {
        let refused = lines.len() == 1;
        if refused {
            let _ = writeln!(self.text, "\n== {title}\n{}", lines.join("\n"));
        } else if self.first.is_empty() {
            let _ = writeln!(self.text, "== {title}\n{}", lines.join("\n"));
            self.first = lines;
        } else {
            let _ =
                writeln!(self.text, "\n== {title}: what differs from the first\n{}", difference(&self.first, &lines));
        }
        self
    }

    fn compare(&self) {
        if env::var_os("UPDATE_GOLDEN").is_some_and(|value| value == "1") {
            fs::write(&self.path, &self.text).unwrap_or_else(|error| panic!("{}: {error}", self.path.display()));
            return;
        }
        let golden = fs::read_to_string(&self.path).unwrap_or_default();
        if golden == self.text {
            return;
        }
        let split = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
        panic!(
            "{} is not the plan any more:\n{}\nif that is meant: UPDATE_GOLDEN=1 cargo test -p rt-plan --test plans golden",
            self.path.display(),
            difference(&split(&golden), &split(&self.text)),
        );
    }
}

/// How init is born, what the user is told, and the steps with their numbers.
fn print(config: &str, host: &Host, request: &Request) -> Vec<String> {
    written(Spec::parse(config.as_bytes()).and_then(|spec| create(&spec, host, request)))
}

fn print_exec(config: &str, host: &Host, request: &Request) -> Vec<String> {
    let spec = Spec::parse(config.as_bytes()).expect("a config");
    let filter = create(&spec, host, request).expect("a plan").filter;
    let kept = Kept::of(&spec, request, filter.as_ref());
    written(exec(&kept, spec.process.as_ref().expect("one"), filter, host, request))
}

fn written(planned: Result<Plan, Error>) -> Vec<String> {
    let plan = match planned {
        Ok(plan) => plan,
        Err(error) => return vec![format!("refused: {error}")],
    };
    let mut lines = spawn(&plan);
    lines.extend(plan.warnings.iter().map(|warning| format!("warning: {warning}")));
    lines.extend(plan.steps.iter().enumerate().map(|(index, step)| format!("{:4}  {step}", index + 1)));
    lines
}

fn spawn(plan: &Plan) -> Vec<String> {
    const KINDS: [Namespace; 8] = [
        Namespace::User,
        Namespace::Pid,
        Namespace::Network,
        Namespace::Ipc,
        Namespace::Uts,
        Namespace::Mount,
        Namespace::Cgroup,
        Namespace::Time,
    ];
    let new: Vec<&str> =
        KINDS.iter().filter(|kind| plan.spawn.namespaces & kind.flag() != 0).map(|kind| kind.words()).collect();
    let known = KINDS.iter().fold(0, |bits, kind| bits | kind.flag());
    assert_eq!(plan.spawn.namespaces & !known, 0, "only namespaces are made");
    let mut lines = vec![format!("clone: new {}", if new.is_empty() { "nothing".into() } else { new.join(" ") })];
    lines.extend(plan.spawn.pid.iter().map(|pids| match pids {
        Pids::Path(path) => format!("around the clone: in the pid namespace {path}"),
        Pids::Container => "around the clone: in the container's pid namespace".to_owned(),
    }));
    lines.extend(plan.spawn.oom_score_adj.iter().map(|score| format!("born with oom_score_adj {score}")));
    lines.extend(plan.spawn.processors.iter().map(|mask| format!("around the clone: on the processors {mask:?}")));
    lines.extend(
        plan.spawn.time.iter().map(|offsets| format!("around the clone: in a new time namespace, offsets {offsets:?}")),
    );
    lines.extend(plan.spawn.inherited.iter().enumerate().map(|(place, join)| match join {
        Join::Namespace { kind, path } => format!("inherits {place}: the {kind} namespace {path}"),
        Join::Cgroup { controllers } => format!("inherits {place}: the tasks file of the {controllers} cgroup"),
        Join::Terminal => format!("inherits {place}: the socket that gets the terminal"),
        Join::State { status } => format!("inherits {place}: the state, {status}"),
        Join::Output { path, annotation } => format!("inherits {place}: {path}, by {annotation}"),
        Join::Process => format!("inherits {place}: the container's process"),
        Join::Root => format!("inherits {place}: its root"),
    }));
    if plan.mounts_stay {
        lines.push(format!("mounts stay below {}", plan.rootfs));
    }
    lines
}

/// Lines that only one of both has, in order. Steps are compared without their numbers, and shown with them.
fn difference(old: &[String], new: &[String]) -> String {
    let bare = |line: &str| line.trim_start().trim_start_matches(|c: char| c.is_ascii_digit()).trim_start().to_owned();
    let (left, right): (Vec<_>, Vec<_>) =
        (old.iter().map(|line| bare(line)).collect(), new.iter().map(|line| bare(line)).collect());
    // common[i][j]: the longest common subsequence of what comes after i and j.
    let mut common = vec![vec![0u32; right.len() + 1]; left.len() + 1];
    for i in (0..left.len()).rev() {
        for j in (0..right.len()).rev() {
            common[i][j] =
                if left[i] == right[j] { common[i + 1][j + 1] + 1 } else { common[i + 1][j].max(common[i][j + 1]) };
        }
    }
    let mut lines = Vec::new();
    let (mut i, mut j) = (0, 0);
    while i < left.len() || j < right.len() {
        if i < left.len() && j < right.len() && left[i] == right[j] {
            (i, j) = (i + 1, j + 1);
        } else if j == right.len() || i < left.len() && common[i + 1][j] >= common[i][j + 1] {
            lines.push(format!("- {}", old[i]));
            i += 1;
        } else {
            lines.push(format!("+ {}", new[j]));
            j += 1;
        }
    }
    if lines.is_empty() { "nothing".into() } else { lines.join("\n") }
}
