//! Configs, hosts and requests at random: the same ones every time.

use crate::hosts;
use rt_plan::{Host, Request, Wait};
use serde_json::{Map, Value, json};

/// One container to plan.
pub(crate) struct Case {
    /// config.json.
    pub(crate) config: String,
    /// Where.
    pub(crate) host: Host,
    /// How.
    pub(crate) request: Request,
}

/// Case number `seed`.
pub(crate) fn case(seed: u64) -> Case {
    let mut dice = Dice(seed);
    Case { config: config(&mut dice).to_string(), host: host(&mut dice), request: request(&mut dice) }
}

/// SplitMix64: small, and good enough to be surprised by.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, count: usize) -> usize {
        usize::try_from(self.next() % count as u64).expect("small")
    }

    fn yes(&mut self) -> bool {
        self.below(2) == 0
    }

    /// Once in `often`.
    fn rarely(&mut self, often: usize) -> bool {
        self.below(often) == 0
    }

    fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }

    /// Some, in order.
    fn some<T: Copy>(&mut self, of: &[T]) -> Vec<T> {
        of.iter().copied().filter(|_| self.yes()).collect()
    }

    /// Up to `most`, any of them, perhaps twice.
    fn list<T: Copy>(&mut self, most: usize, of: &[T]) -> Vec<T> {
        (0..self.below(most + 1)).map(|_| self.one(of)).collect()
    }
}

const NAMESPACES: [(&str, &str); 7] = [
    ("pid", "/proc/7/ns/pid"),
    ("network", "/run/netns/web"),
    ("ipc", "/proc/7/ns/ipc"),
    ("uts", "/proc/7/ns/uts"),
    ("mount", "/proc/7/ns/mnt"),
    ("cgroup", "/proc/7/ns/cgroup"),
    ("time", "/proc/7/ns/time"),
];

const PATHS: [&str; 14] = [
    "/proc/kcore",
    "/proc/sys",
    "/proc/self/net",
    "/proc/1/environ",
    "/sys/firmware",
    "/sys/dev/block",
    "/dev/shm",
    "/dev",
    "/etc/passwd",
    "/srv/../etc",
    "//srv//data/",
    "/",
    "/a path",
    "/tmp",
];

const OPTIONS: [&str; 30] = [
    "ro",
    "rw",
    "nosuid",
    "nodev",
    "noexec",
    "suid",
    "sync",
    "noatime",
    "strictatime",
    "relatime",
    "nosymfollow",
    "rro",
    "rnosuid",
    "rnoatime",
    "rstrictatime",
    "private",
    "rprivate",
    "slave",
    "rslave",
    "shared",
    "rshared",
    "unbindable",
    "tmpcopyup",
    "copy-symlink",
    "src-nofollow",
    "dest-nofollow",
    "mode=755",
    "size=1m",
    "defaults",
    "remount",
];

const CAPABILITIES: [&str; 6] = ["CAP_CHOWN", "CAP_MKNOD", "CAP_SYS_ADMIN", "cap_kill", "NET_RAW", "CAP_NO_SUCH"];

fn config(dice: &mut Dice) -> Value {
    let mut names = Vec::new();
    let mut namespaces = Vec::new();
    for (name, path) in NAMESPACES {
        if dice.rarely(4) {
            continue;
        }
        names.push(name);
        namespaces.push(if dice.rarely(5) { json!({ "type": name, "path": path }) } else { json!({ "type": name }) });
    }
    let has = |name: &str| names.contains(&name);

    let mut linux = Map::new();
    linux.insert("namespaces".into(), json!(namespaces));
    if has("mount") {
        linux.insert("maskedPaths".into(), json!(dice.list(6, &PATHS)));
        linux.insert("readonlyPaths".into(), json!(dice.list(6, &PATHS)));
    }
    let propagation =
        ["", "", "", "", "private", "rprivate", "slave", "rslave", "shared", "rshared", "unbindable", "runbindable"];
    linux.insert("rootfsPropagation".into(), json!(dice.one(&propagation)));
    let mut sysctl = Map::new();
    if has("network") && dice.yes() {
        sysctl.insert("net.ipv4.ip_forward".into(), json!("1"));
    }
    if has("ipc") && dice.yes() {
        sysctl.insert("kernel/shm_rmid_forced".into(), json!("1"));
    }
    linux.insert("sysctl".into(), Value::Object(sysctl));
    if has("time") && dice.yes() {
        linux.insert("timeOffsets".into(), json!({ "monotonic": { "secs": 3600 }, "boottime": { "nanosecs": 5 } }));
    }
    if dice.rarely(4) {
        linux.insert("personality".into(), json!({ "domain": dice.one(&["LINUX", "LINUX32"]) }));
    }
    linux.insert("devices".into(), devices(dice));
    if dice.rarely(3) {
        linux.insert("seccomp".into(), profile(dice));
    }

    let mut config = json!({
        "ociVersion": "1.3.0",
        "process": process(dice),
        "root": { "path": dice.one(&["rootfs", "/srv/rootfs", "./root/../fs/"]), "readonly": dice.yes() },
        "mounts": mounts(dice),
        "linux": linux,
    });
    if has("uts") && dice.yes() {
        config["hostname"] = json!("web");
        config["domainname"] = json!(dice.one(&["", "example.org"]));
    }
    if dice.rarely(3) {
        config["hooks"] = hooks(dice);
    }
    if dice.rarely(4) {
        config["annotations"] = json!({ "run.oci.hooks.stderr": "/var/log/hooks", "run.rt.init": "linger=100" });
    }
    config
}

fn profile(dice: &mut Dice) -> Value {
    let actions = ["SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO", "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_LOG", "SCMP_ACT_NOTIFY"];
    let rules: Vec<_> = dice
        .some(&["mkdir", "openat", "close", "execve", "no_such_call"])
        .into_iter()
        .map(|name| json!({ "names": [name], "action": dice.one(&actions) }))
        .collect();
    json!({
        "defaultAction": dice.one(&actions[..4]),
        "architectures": dice.some(&["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_AARCH64"]),
        "listenerPath": "/run/agent.sock",
        "syscalls": rules,
    })
}

fn hooks(dice: &mut Dice) -> Value {
    let kinds = ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"];
    let mut hooks = Map::new();
    for kind in dice.some(&kinds) {
        let path = dice.one(&["/bin/hook", "/srv/a hook"]);
        let one = json!({ "path": path, "args": dice.some(&["hook", "--set"]), "env": dice.some(&["A=1", "B="]) });
        hooks.insert(kind.into(), json!(vec![one; dice.below(3)]));
    }
    Value::Object(hooks)
}

fn process(dice: &mut Dice) -> Value {
    let mut process = json!({
        "user": {
            "uid": dice.one(&[0, 0, 1000]),
            "gid": dice.one(&[0, 0, 1000]),
            "additionalGids": dice.some(&[5, 10, 44]),
        },
        "args": dice.one(&[&["sh"] as &[_], &["/bin/echo", "a b", ""], &["./run", "\n"]]),
        "env": dice.some(&["PATH=/bin:", "HOME=/root", "HOME=", "A=1", "A=2=3", "LISTEN_FDS=9"]),
        "cwd": dice.one(&["/", "/", "/home/app", "/new/../dir"]),
        "noNewPrivileges": dice.yes(),
        "capabilities": {
            "bounding": dice.some(&CAPABILITIES),
            "permitted": dice.some(&CAPABILITIES),
            "effective": dice.some(&CAPABILITIES),
            "inheritable": dice.some(&CAPABILITIES),
            "ambient": dice.some(&CAPABILITIES),
        },
        "rlimits": dice.some(&["RLIMIT_NOFILE", "RLIMIT_CORE"]).iter().map(|kind| json!({ "type": kind, "soft": 1, "hard": 2 })).collect::<Vec<_>>(),
    });
    if dice.rarely(3) {
        process["user"]["umask"] = json!(0o077);
    }
    if dice.rarely(3) {
        process["oomScoreAdj"] = json!(dice.one(&[-1000, 0, 1000]));
    }
    if dice.rarely(4) {
        process["scheduler"] = json!({ "policy": "SCHED_FIFO", "priority": 5 });
        process["ioPriority"] = json!({ "class": "IOPRIO_CLASS_IDLE", "priority": 0 });
    }
    if dice.rarely(3) {
        process["terminal"] = json!(true);
        process["consoleSize"] = dice.one(&[&Value::Null, &json!({ "height": 50, "width": 132 })]).clone();
    }
    if dice.rarely(6) {
        process["execCPUAffinity"] = json!({ "initial": "0-3", "final": dice.one(&["", "1,5-6"]) });
    }
    if dice.rarely(6) {
        process["apparmorProfile"] = json!("rt-default");
    }
    if dice.rarely(6) {
        process["selinuxLabel"] = json!("u:r:t:s0");
    }
    process
}

/// The ones that everybody has, in a strange order and with strange options, and some that nobody has.
fn mounts(dice: &mut Dice) -> Value {
    let usual = [
        ("/proc", "proc"),
        ("/dev", "tmpfs"),
        ("/dev/pts", "devpts"),
        ("/dev/shm", "tmpfs"),
        ("/sys", "sysfs"),
        ("/sys/fs/cgroup", "cgroup"),
        ("/sys/fs/cgroup", "cgroup2"),
    ];
    let unusual = [
        ("/proc", "proc"),
        ("/proc/", "proc"),
        ("/proc/cpuinfo", "bind"),
        ("/dev", "bind"),
        ("/dev", "tmpfs"),
        ("/sys", "bind"),
        ("/srv/data", "bind"),
        ("tmp", "tmpfs"),
        ("/", "tmpfs"),
        ("/srv//x/../y", "ramfs"),
        ("/proc/1/fd", "tmpfs"),
    ];
    let mut mounts: Vec<(&str, &str)> = usual.iter().copied().filter(|_| !dice.rarely(4)).collect();
    for _ in 0..dice.below(3) {
        let at = dice.below(mounts.len() + 1);
        mounts.insert(at, dice.one(&unusual));
    }
    let one = |(destination, kind)| {
        let mut options = if dice.yes() { Vec::new() } else { dice.list(3, &OPTIONS) };
        if kind == "bind" && dice.yes() {
            options.push("rbind");
        }
        json!({ "destination": destination, "type": kind, "source": "/srv/source", "options": options })
    };
    mounts.into_iter().map(one).collect()
}

fn devices(dice: &mut Dice) -> Value {
    let known = [("/dev/fuse", "c"), ("/dev/null", "c"), ("/dev/sda", "b"), ("/run/pipe", "p")];
    let some = dice.some(&known);
    some.into_iter()
        .filter(|_| dice.rarely(3))
        .map(|(path, kind)| json!({ "path": path, "type": kind, "major": 1, "minor": 3 }))
        .collect()
}

fn host(dice: &mut Dice) -> Host {
    let hosts =
        [hosts::root_on_v2, hosts::root_on_v1, hosts::without_cgroups, hosts::without_mknod, hosts::with_kernel_mounts];
    let host = dice.one(&hosts)();
    let apparmor = !dice.rarely(4);
    Host { apparmor, selinux: !apparmor || dice.yes(), kcore: dice.yes(), ..host }
}

fn request(dice: &mut Dice) -> Request {
    let listen = dice.one(&[0, 0, 2]);
    Request {
        id: "web".into(),
        bundle: "/run/bundle".into(),
        wait: if dice.yes() { Wait::Start } else { Wait::Nobody },
        root_by_move: dice.rarely(4),
        keep_keyring: dice.rarely(4),
        preserved: listen + dice.one(&[0, 0, 1]),
        listen,
        shown: dice.one(&[None, Some((24, 80))]),
        serve: dice.one(&[None, None, None, Some(500)]),
        notify: dice.rarely(4).then(|| "/run/rt/web/notify".to_owned()),
    }
}
