//! The crate against the real kernel, in whatever view of the cgroups the tests are run: hybrid, or pure v2 as
//! `runtime-tests/in-view v2` shows it. Root is needed; without it each test says so and does nothing.

use rt_cgroup::devices::Policy;
use rt_cgroup::{Asked, Cgroup, Error, Existing, Layout, Place};
use rt_plan::spec::resources::Resources;
use rustix::fs::{Mode, OFlags};
use rustix::process::Signal;
use std::fs;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

/// A view of the host, and a name for a container that nobody else has.
struct Bed {
    layout: Layout,
    name: String,
}

impl Bed {
    fn new() -> Option<Self> {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        if !rustix::process::geteuid().is_root() {
            eprintln!("skipped: needs root");
            return None;
        }
        let layout = Layout::probe().expect("a layout");
        if layout == Layout::None {
            eprintln!("skipped: no cgroup file system here");
            return None;
        }
        let name = format!("rt-cgroup-test-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        Some(Self { layout, name })
    }

    fn place(&self) -> Place {
        self.layout.place(None, &self.name).expect("a place")
    }

    fn create(&self, resources: &str) -> Result<Cgroup, Error> {
        Cgroup::create(&self.layout, &self.place(), &parse(resources))
    }

    fn has_v1(&self, controller: &str) -> bool {
        matches!(&self.layout, Layout::Legacy { v1, .. } if v1.iter().any(|h| h.controllers.iter().any(|c| c == controller)))
    }

    fn is_v2(&self) -> bool {
        matches!(self.layout, Layout::Unified(_))
    }
}

fn parse(resources: &str) -> Resources {
    serde_json::from_str(resources).expect("valid resources")
}

/// Everything that a cgroup of ours left behind.
fn left(place: &Place) -> Vec<&str> {
    place.dirs().into_iter().map(|(dir, _)| dir).filter(|dir| fs::exists(dir).unwrap_or(true)).collect()
}

/// A shell that waits for a line, is moved into the cgroup, and then runs `script`. A test has no clone3; moving is
/// slower and comes to the same.
struct Shell(Child);

impl Shell {
    fn start(cgroup: &Cgroup, script: &str) -> Self {
        let child = Command::new("/bin/sh")
            .args(["-c", &format!("read go; {script}")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("a shell");
        let pid = child.id().to_string();
        if let Some(into) = &cgroup.birth().into {
            let procs = rustix::fs::openat(into, "cgroup.procs", OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty());
            rustix::io::write(procs.expect("cgroup.procs"), pid.as_bytes()).expect("moved");
        }
        for (name, tasks) in &cgroup.birth().tasks {
            rustix::io::write(tasks.as_fd(), pid.as_bytes()).unwrap_or_else(|errno| panic!("join {name}: {errno}"));
        }
        let mut shell = Self(child);
        shell.0.stdin.as_mut().expect("stdin").write_all(b"go\n").expect("told to go");
        shell
    }

    /// Its output, when the script ends.
    fn output(mut self) -> String {
        let mut text = String::new();
        self.0.stdout.take().expect("stdout").read_to_string(&mut text).expect("output");
        self.0.stderr.take().expect("stderr").read_to_string(&mut text).expect("output");
        self.0.wait().expect("ended");
        text
    }

    /// A line of output, so that we know that the script has come this far.
    fn line(&mut self) -> String {
        let mut line = String::new();
        let mut byte = [0];
        let out = self.0.stdout.as_mut().expect("stdout");
        while out.read(&mut byte).expect("output") == 1 && byte != *b"\n" {
            line.push(char::from(byte[0]));
        }
        line
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn container_lives_in_every_hierarchy_and_nothing_stays() {
    let Some(bed) = Bed::new() else { return };
    let cgroup = bed.create("{}").expect("created");
    let place = cgroup.place().clone();
    assert_eq!(left(&place).len(), place.dirs().len());
    let seen = Shell::start(&cgroup, "cat /proc/self/cgroup").output();
    let there = seen.lines().filter(|line| line.ends_with(&format!("/{}", bed.name))).count();
    assert_eq!(there, place.dirs().len(), "{seen}");
    cgroup.commit();
    Existing::open(&place).remove().expect("removed");
    assert_eq!(left(&place), [""; 0]);
}

#[test]
fn dropped_before_commit_leaves_nothing_parents_included() {
    let Some(bed) = Bed::new() else { return };
    let path = format!("/{}/a/b", bed.name);
    let place = bed.layout.place(Some(&path), "x").expect("a place");
    let cgroup = Cgroup::create(&bed.layout, &place, &Resources::default()).expect("created");
    assert_eq!(left(&place).len(), place.dirs().len());
    drop(cgroup);
    for (dir, _) in place.dirs() {
        assert!(!fs::exists(dir.trim_end_matches("/a/b")).expect("known"), "{dir}");
    }
}

#[test]
fn empty_cgroup_of_somebody_else_is_used_and_not_removed_on_failure() {
    let Some(bed) = Bed::new() else { return };
    let place = bed.place();
    for (dir, _) in place.dirs() {
        fs::create_dir(dir).expect("made");
    }
    drop(bed.create("{}").expect("created"));
    assert_eq!(left(&place).len(), place.dirs().len());
    bed.create("{}").expect("created").commit();
    Existing::open(&place).remove().expect("removed");
    assert_eq!(left(&place), [""; 0]);
}

#[test]
fn device_program_does_not_outlive_a_failed_create() {
    let Some(bed) = Bed::new() else { return };
    let place = bed.place();
    if !bed.is_v2() {
        eprintln!("skipped: needs pure v2");
        return;
    }
    fs::create_dir(place.dir("").expect("a directory")).expect("made");
    // 64 is what the kernel takes.
    for _ in 0..70 {
        drop(bed.create("{}").expect("created"));
    }
    Existing::open(&place).remove().expect("removed");
}

#[test]
fn parent_that_others_use_is_left_alone_when_we_fail() {
    let Some(bed) = Bed::new() else { return };
    let [ours, theirs] = ["ours", "theirs"].map(|name| {
        let place = bed.layout.place(Some(&format!("/{}/{name}", bed.name)), "x").expect("a place");
        (Cgroup::create(&bed.layout, &place, &Resources::default()).expect("created"), place)
    });
    drop(ours);
    assert_eq!(left(&theirs.1).len(), theirs.1.dirs().len());
    drop(theirs);
    for (dir, _) in bed.layout.place(Some(&format!("/{}", bed.name)), "x").expect("a place").dirs() {
        fs::remove_dir(dir).expect("empty parent");
    }
}

#[test]
fn cgroup_with_processes_is_refused_and_untouched() {
    let Some(bed) = Bed::new() else { return };
    let cgroup = bed.create("{}").expect("created");
    let mut shell = Shell::start(&cgroup, "echo in; read stop");
    assert_eq!(shell.line(), "in");
    let error = bed.create(r#"{"pids": {"limit": 7}}"#).expect_err("in use");
    assert_eq!(error.to_string(), "container's cgroup is not empty: 1 process(es) found");
    assert_eq!(left(cgroup.place()).len(), cgroup.place().dirs().len());
    drop(shell);
    drop(cgroup);
    assert_eq!(left(&bed.place()), [""; 0]);
}

#[test]
fn frozen_cgroup_is_refused() {
    let Some(bed) = Bed::new() else { return };
    let cgroup = bed.create("{}").expect("created");
    let existing = Existing::open(cgroup.place());
    existing.freeze().expect("frozen");
    let error = bed.create("{}").expect_err("frozen");
    assert_eq!(error.to_string(), "container's cgroup unexpectedly frozen");
    existing.thaw().expect("thawed");
    bed.create("{}").expect("created");
}

/// A node of /dev/kmsg, which is on no list, where this machine lets us open it at all.
fn kmsg(bed: &Bed) -> Option<String> {
    // Below /dev: elsewhere a mount may forbid devices.
    let node = format!("/dev/{}-kmsg", bed.name);
    let made = Command::new("mknod").args([&node, "c", "1", "11"]).status().expect("mknod");
    let opened = fs::File::open(&node).is_ok();
    fs::remove_file(&node).expect("removed");
    if !(made.success() && opened) {
        eprintln!("skipped: this machine does not let us open a device that is on no list");
        return None;
    }
    Some(node)
}

#[test]
fn device_can_be_opened_as_its_rule_says() {
    let Some(bed) = Bed::new() else { return };
    let Some(node) = kmsg(&bed) else { return };
    let rules = r#"{"devices": [{"allow": false, "access": "rwm"}, {"allow": true, "type": "c", "major": 1, "minor": 11, "access": "r"}]}"#;
    let script = format!(
        "echo > /dev/null && echo null; mknod {node} c 1 11 && echo mknod; (: < {node}) && echo read; (: > {node}) && echo write; \
         (: <> {node}) && echo both; rm {node}"
    );
    let seen = Shell::start(&bed.create(rules).expect("created"), &script).output();
    let done: Vec<&str> = seen.lines().filter(|line| !line.contains(':')).collect();
    assert_eq!(done, ["null", "mknod", "read"], "{seen}");
}

#[test]
fn without_rules_only_the_default_devices_can_be_opened() {
    let Some(bed) = Bed::new() else { return };
    let Some(node) = kmsg(&bed) else { return };
    let script =
        format!("echo > /dev/null && echo null; mknod {node} c 1 11; (: < {node}) && echo open; rm {node}; echo end");
    for resources in ["{}", r#"{"devices": []}"#, r#"{"devices": null}"#] {
        let seen = Shell::start(&bed.create(resources).expect("created"), &script).output();
        assert!(seen.starts_with("null\nend\n"), "{resources}: {seen}");
    }
    let all = bed.create(r#"{"devices": [{"allow": true, "access": "rwm"}]}"#).expect("created");
    assert_eq!(Shell::start(&all, &script).output(), "null\nopen\nend\n");
}

#[test]
fn v1_list_is_the_rules_and_the_defaults() {
    let Some(bed) = Bed::new() else { return };
    let rules = r#"{"devices": [{"allow": true, "type": "b", "major": 8, "access": "r"}]}"#;
    let cgroup = bed.create(rules).expect("created");
    let Some(dir) = cgroup.place().dir("devices") else {
        eprintln!("skipped: devices are not v1's here");
        return;
    };
    let list = fs::read_to_string(format!("{dir}/devices.list")).expect("list");
    let mut list: Vec<&str> = list.lines().collect();
    list.sort_unstable();
    let expected = [
        "b *:* m",
        "b 8:* r",
        "c *:* m",
        "c 10:200 rwm",
        "c 136:* rwm",
        "c 1:3 rwm",
        "c 1:5 rwm",
        "c 1:7 rwm",
        "c 1:8 rwm",
        "c 1:9 rwm",
        "c 5:0 rwm",
        "c 5:2 rwm",
    ];
    assert_eq!(list, expected);
}

/// The kernel takes the program, and does what the interpreter of the unit tests does.
#[test]
fn program_is_enforced() {
    let Some(bed) = Bed::new() else { return };
    let cgroup = bed.create("{}").expect("created");
    let Some(into) = &cgroup.birth().into else {
        eprintln!("skipped: no v2 here");
        return;
    };
    let rules = r#"{"devices": [{"allow": true, "type": "c", "major": 1, "minor": 3, "access": "rw"},
        {"allow": true, "type": "c", "major": 1, "access": "r"}, {"allow": false, "minor": 9, "access": "r"}]}"#;
    let policy = Policy { allow: false, rules: parse(rules).devices };
    let program = policy.v2_program().expect("a program");
    let program = rt_sys::bpf::load_device_program(program.code()).expect("loaded");
    rt_sys::bpf::attach_device_program(into.as_fd(), program.as_fd()).expect("attached");
    drop(program);
    let script = "for node in null zero urandom tty; do (: < /dev/$node) && echo $node; done; \
        for node in null zero; do (: <> /dev/$node) && echo $node both; done";
    let seen = Shell::start(&cgroup, script).output();
    let done: Vec<&str> = seen.lines().filter(|line| !line.contains(':')).collect();
    assert_eq!(done, ["null", "zero", "null both"], "{seen}");
}

/// A cgroup with limits, where this view has the controllers.
fn limited(bed: &Bed, limits: &str) -> Option<Cgroup> {
    match bed.create(limits) {
        Err(Error::NoController { controller, .. }) => {
            eprintln!("skipped: no {controller} controller in this view");
            None
        }
        other => Some(other.expect("created")),
    }
}

#[test]
fn pids_limit_stops_a_fork() {
    let Some(bed) = Bed::new() else { return };
    let Some(cgroup) = limited(&bed, r#"{"pids": {"limit": 1}}"#) else { return };
    let seen = Shell::start(&cgroup, "echo before; /bin/true; echo after").output();
    assert!(seen.starts_with("before\n") && seen.contains("fork") && !seen.contains("\nafter"), "{seen}");
}

#[test]
fn memory_limit_kills_who_takes_more() {
    let Some(bed) = Bed::new() else { return };
    let Some(cgroup) = limited(&bed, r#"{"memory": {"limit": 16777216, "swap": 16777216}}"#) else { return };
    let mut shell = Shell::start(&cgroup, "ulimit -v 1000000; exec tail /dev/zero");
    assert_eq!(shell.0.wait().expect("ended").signal(), Some(9));
}

#[test]
fn limits_on_v1_are_what_was_asked_for() {
    let Some(bed) = Bed::new() else { return };
    if !["memory", "cpu", "cpuset", "pids"].iter().all(|controller| bed.has_v1(controller)) {
        eprintln!("skipped: not all of these controllers are v1's here");
        return;
    }
    let limits = r#"{"memory": {"limit": 33554432, "swap": 67108864, "reservation": 16777216, "swappiness": 10, "disableOOMKiller": true},
        "cpu": {"shares": 512, "quota": 50000, "period": 100000, "burst": 1000, "cpus": "0", "mems": "0"},
        "pids": {"limit": 42}}"#;
    let cgroup = bed.create(limits).expect("created");
    let expected = [
        ("memory", "memory.limit_in_bytes", "33554432"),
        ("memory", "memory.memsw.limit_in_bytes", "67108864"),
        ("memory", "memory.soft_limit_in_bytes", "16777216"),
        ("memory", "memory.swappiness", "10"),
        ("cpu", "cpu.shares", "512"),
        ("cpu", "cpu.cfs_quota_us", "50000"),
        ("cpu", "cpu.cfs_burst_us", "1000"),
        ("cpuset", "cpuset.cpus", "0"),
        ("cpuset", "cpuset.mems", "0"),
        ("pids", "pids.max", "42"),
    ];
    let found = |controller: &str, file: &str| {
        let dir = cgroup.place().dir(controller).expect("a directory");
        fs::read_to_string(format!("{dir}/{file}")).expect(file).trim().to_owned()
    };
    for (controller, file, value) in expected {
        assert_eq!(found(controller, file), value, "{file}");
    }

    // Higher than the old limit with swap, then lower again: whichever has to come first.
    let existing = Existing::open(cgroup.place());
    for bytes in ["134217728", "8388608", "-1"] {
        let update = format!(
            r#"{{"memory": {{"limit": {bytes}, "swap": {bytes}}}, "cpu": {{"period": 10000, "quota": 2000}}}}"#
        );
        existing.update(&bed.layout, &parse(&update), Asked::default(), None).expect(bytes);
        let shown = if bytes == "-1" { "9223372036854771712" } else { bytes };
        assert_eq!(found("memory", "memory.limit_in_bytes"), shown);
        assert_eq!(found("memory", "memory.memsw.limit_in_bytes"), shown);
        assert_eq!(found("cpu", "cpu.cfs_quota_us"), "2000");
    }
}

#[test]
fn limits_on_v2_are_what_was_asked_for() {
    let Some(bed) = Bed::new() else { return };
    if ["memory", "cpu", "cpuset", "pids"].iter().any(|controller| bed.has_v1(controller)) {
        eprintln!("skipped: not all of these controllers are v2's here");
        return;
    }
    let path = format!("/{}/deeper/down", bed.name);
    let place = bed.layout.place(Some(&path), "x").expect("a place");
    let limits = r#"{"memory": {"limit": 33554432, "swap": 67108864, "reservation": 16777216},
        "cpu": {"shares": 512, "quota": 50000, "period": 100000, "burst": 5000, "cpus": "0", "mems": "0"},
        "pids": {"limit": 42}, "unified": {"memory.high": "20971520"}}"#;
    let cgroup = match Cgroup::create(&bed.layout, &place, &parse(limits)) {
        Err(Error::NoController { .. }) => {
            eprintln!("skipped: not all of these controllers are v2's here");
            return;
        }
        other => other.expect("created"),
    };
    let dir = cgroup.place().dir("").expect("a v2 directory").to_owned();
    let found = |file: &str| fs::read_to_string(format!("{dir}/{file}")).expect(file).trim().to_owned();
    for (file, value) in [
        ("memory.max", "33554432"),
        ("memory.swap.max", "33554432"),
        ("memory.low", "16777216"),
        ("memory.high", "20971520"),
        ("cpu.weight", "59"),
        ("cpu.max", "50000 100000"),
        ("cpu.max.burst", "5000"),
        ("cpuset.cpus", "0"),
        ("pids.max", "42"),
    ] {
        assert_eq!(found(file), value, "{file}");
    }
    // What the host has is handed down to a parent of our making, asked for or not.
    assert!(fs::exists(format!("{dir}/io.stat")).expect("known"));

    let existing = Existing::open(cgroup.place());
    let update =
        r#"{"memory": {"limit": -1}, "cpu": {"quota": 2000, "burst": 1500, "period": 10000}, "pids": {"limit": 0}}"#;
    existing.update(&bed.layout, &parse(update), Asked::default(), None).expect("updated");
    for (file, value) in [
        ("memory.max", "max"),
        ("memory.swap.max", "max"),
        ("cpu.max", "2000 10000"),
        ("cpu.max.burst", "1500"),
        ("pids.max", "1"),
    ] {
        assert_eq!(found(file), value, "{file}");
    }

    let mut shell = Shell::start(&cgroup, "echo in; read stop");
    assert_eq!(shell.line(), "in");
    let update = parse(r#"{"memory": {"limit": 4096, "checkBeforeUpdate": true}}"#);
    let error =
        existing.update(&bed.layout, &update, Asked::default(), None).expect_err("less than is used").to_string();
    assert!(error.starts_with("linux.resources.memory: rejecting memory limit 4096 <= usage "), "{error}");
}

#[test]
fn device_program_is_replaced_and_not_added_to() {
    let Some(bed) = Bed::new() else { return };
    if bed.has_v1("devices") {
        eprintln!("skipped: devices are v1's here");
        return;
    }
    let cgroup = bed.create("{}").expect("created");
    let existing = Existing::open(cgroup.place());
    let programs = || {
        let mut ids = [0; 8];
        let dir = cgroup.birth().into.as_ref().expect("a v2 directory");
        let count = rt_sys::bpf::device_programs(dir.as_fd(), &mut ids).expect("they can be listed");
        ids[..count].to_vec()
    };
    let first = programs();
    assert_eq!(first.len(), 1);
    let mut asked = Asked::new(&parse("{}"));
    let kmsg = r#"{"devices": [{"allow": true, "type": "c", "major": 1, "minor": 11, "access": "rwm"}]}"#;
    asked = existing.update(&bed.layout, &parse(kmsg), asked, None).expect("updated");
    let second = programs();
    assert!(second.len() == 1 && second != first, "{first:?} {second:?}");
    assert_eq!(existing.update(&bed.layout, &parse(kmsg), asked, None).expect("updated"), asked);
    assert_eq!(programs(), second, "the same rules are left alone");
    let all = r#"{"devices": [{"allow": true, "access": "rwm"}]}"#;
    asked = existing.update(&bed.layout, &parse(all), asked, None).expect("updated");
    assert_eq!(programs(), [0; 0], "what allows everything needs none");
    existing.update(&bed.layout, &parse(kmsg), asked, None).expect("updated");
    assert_eq!(programs().len(), 1);
}

#[test]
fn device_list_of_v1_is_changed_line_by_line() {
    let Some(bed) = Bed::new() else { return };
    if !bed.has_v1("devices") {
        eprintln!("skipped: devices are not v1's here");
        return;
    }
    let fuse = r#"{"allow": true, "type": "c", "major": 10, "minor": 229, "access": "rw"}"#;
    let cgroup = bed.create(&format!(r#"{{"devices": [{fuse}]}}"#)).expect("created");
    let dir = cgroup.place().dir("devices").expect("a v1 directory").to_owned();
    let list = || {
        let text = fs::read_to_string(format!("{dir}/devices.list")).expect("readable");
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    let before = list();
    let existing = Existing::open(cgroup.place());
    // With one below, the kernel takes no line about everything.
    fs::create_dir(format!("{dir}/below")).expect("made");
    let asked = Asked::new(&parse(&format!(r#"{{"devices": [{fuse}]}}"#)));
    let loops = r#"{"allow": true, "type": "b", "major": 7, "access": "r"}"#;
    existing.update(&bed.layout, &parse(&format!(r#"{{"devices": [{loops}]}}"#)), asked, None).expect("updated");
    let mut expected: Vec<String> = before.iter().filter(|line| *line != "c 10:229 rw").cloned().collect();
    expected.push("b 7:* r".to_owned());
    expected.sort();
    assert_eq!(list(), expected);
    // What can't be had leaves the list as it was, and the limits.
    let everything = r#"{"devices": [{"allow": true, "access": "rwm"}], "pids": {"limit": 5}}"#;
    let error = existing.update(&bed.layout, &parse(everything), asked, None).expect_err("there is one below");
    assert!(error.to_string().starts_with("linux.resources.devices: write \"a *:* rwm\""), "{error}");
    assert_eq!(list(), expected);
    if let Some(pids) = cgroup.place().dir("pids") {
        assert_eq!(fs::read_to_string(format!("{pids}/pids.max")).expect("readable"), "max\n");
    }
    fs::remove_dir(format!("{dir}/below")).expect("removed");
}

#[test]
fn controller_of_v2_is_enabled_when_it_is_asked_for() {
    let Some(bed) = Bed::new() else { return };
    let path = format!("/{}/deeper/down", bed.name);
    let place = bed.layout.place(Some(&path), "x").expect("a place");
    let limits = parse(r#"{"hugepageLimits": [{"pageSize": "2MB", "limit": 4194304}]}"#);
    let cgroup = match Cgroup::create(&bed.layout, &place, &limits) {
        Err(Error::NoController { .. }) => {
            eprintln!("skipped: no hugetlb controller here");
            return;
        }
        other => other.expect("created"),
    };
    let Some(dir) = cgroup.place().dir("").filter(|_| !bed.has_v1("hugetlb")) else { return };
    for file in ["hugetlb.2MB.max", "hugetlb.2MB.rsvd.max"] {
        assert_eq!(fs::read_to_string(format!("{dir}/{file}")).expect(file), "4194304\n");
    }
}

#[test]
fn controller_that_is_not_here_is_named_with_its_field() {
    let Some(bed) = Bed::new() else { return };
    match bed.create(r#"{"rdma": {"mlx5_1": {"hcaHandles": 3}}}"#) {
        Err(error @ Error::NoController { .. }) => {
            let text = error.to_string();
            assert!(
                text.starts_with("linux.resources.rdma.mlx5_1: the rdma controller is not available here ("),
                "{text}"
            );
        }
        // The controller is here; the device is not.
        Err(error) => assert!(error.to_string().ends_with(": no such device"), "{error}"),
        Ok(_) => eprintln!("skipped: this host has rdma"),
    }
    assert_eq!(left(&bed.place()), [""; 0]);
    // Unlimited is how it is without the controller.
    bed.create(r#"{"pids": {"limit": -1}, "memory": {"limit": -1}}"#).expect("nothing limited");
}

#[test]
fn unified_key_is_written_where_v2_is() {
    let Some(bed) = Bed::new() else { return };
    if matches!(bed.layout, Layout::Legacy { unified: None, .. }) {
        eprintln!("skipped: no v2 here");
        return;
    }
    let cgroup = bed.create(r#"{"unified": {"cgroup.max.depth": "3"}}"#).expect("created");
    let Some(dir) = cgroup.place().dir("") else { return };
    assert_eq!(fs::read_to_string(format!("{dir}/cgroup.max.depth")).expect("read"), "3\n");
    let error = bed.create(r#"{"unified": {"cgroup.no.such": "3"}}"#).expect_err("no such file").to_string();
    assert!(error.starts_with("linux.resources.unified.cgroup.no.such: this kernel has no "), "{error}");
    let error = bed.create(r#"{"unified": {"nothing.max": "3"}}"#).expect_err("no such controller").to_string();
    assert!(error.contains("the nothing controller is not available here"), "{error}");
}

#[test]
fn everybody_is_found_frozen_thawed_signalled_and_killed() {
    let Some(bed) = Bed::new() else { return };
    let cgroup = bed.create("{}").expect("created");
    let existing = Existing::open(cgroup.place());
    assert!(existing.is_empty().expect("known"));
    let mut shell = Shell::start(&cgroup, "trap 'echo told; exit 3' TERM; echo in; while :; do read more; done");
    assert_eq!(shell.line(), "in");
    let mut other = Shell::start(&cgroup, "echo in; read stop");
    assert_eq!(other.line(), "in");
    assert!(!existing.is_empty().expect("known"));
    assert_eq!(existing.pids().expect("pids").len(), 2);

    existing.freeze().expect("frozen");
    assert!(existing.is_frozen().expect("known"));
    existing.thaw().expect("thawed");
    assert!(!existing.is_frozen().expect("known"));

    existing.signal_all(Signal::TERM).expect("signalled");
    assert_eq!(shell.line(), "told");
    assert_eq!(shell.0.wait().expect("ended").code(), Some(3));
    assert_eq!(other.0.wait().expect("ended").signal(), Some(15));
    cgroup.commit();
    existing.remove().expect("removed");
    assert_eq!(left(&bed.place()), [""; 0]);
    assert!(existing.is_empty().expect("known") && !existing.is_frozen().expect("known"));
    existing.remove().expect("removed twice");
    existing.kill_all().expect("nobody to kill");
}

#[test]
fn frozen_container_dies_when_killed() {
    let Some(bed) = Bed::new() else { return };
    let cgroup = bed.create("{}").expect("created");
    let existing = Existing::open(cgroup.place());
    let mut shell = Shell::start(&cgroup, "sleep 1000 & echo in; wait");
    assert_eq!(shell.line(), "in");
    existing.freeze().expect("frozen");
    if let Some(dir) = cgroup.place().dir("freezer") {
        fs::write(format!("{dir}/freezer.state"), "FROZEN").expect("frozen by v1 too");
    }
    existing.kill_all().expect("killed");
    assert_eq!(shell.0.wait().expect("ended").signal(), Some(9));
    cgroup.commit();
    existing.remove().expect("removed");
    assert_eq!(left(&bed.place()), [""; 0]);
}

/// As on a v1 host: neither `cgroup.kill` nor events.
#[test]
fn container_without_v2_dies_when_killed() {
    let Some(mut bed) = Bed::new() else { return };
    let Layout::Legacy { unified, .. } = &mut bed.layout else {
        eprintln!("skipped: no v1 here");
        return;
    };
    *unified = None;
    let cgroup = bed.create("{}").expect("created");
    let existing = Existing::open(cgroup.place());
    let mut shell = Shell::start(&cgroup, "sleep 1000 & echo in; wait");
    assert_eq!(shell.line(), "in");
    existing.freeze().expect("frozen");
    assert!(existing.is_frozen().expect("known"));
    let error = bed.create("{}").expect_err("in use");
    assert!(matches!(error, Error::NotEmpty(2)), "{error}");
    existing.kill_all().expect("killed");
    cgroup.commit();
    existing.remove().expect("removed while they leave");
    assert_eq!(shell.0.wait().expect("ended").signal(), Some(9));
    assert_eq!(left(&bed.place()), [""; 0]);
}

#[test]
fn cgroups_made_inside_are_removed_however_deep() {
    let Some(bed) = Bed::new() else { return };
    let cgroup = bed.create("{}").expect("created");
    let place = cgroup.place().clone();
    // Deeper than PATH_MAX in one hierarchy, wide in another.
    let dirs = place.dirs();
    let (deep, _) = dirs.first().expect("a directory");
    let mut here = rustix::fs::open(*deep, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty()).expect("open");
    let name = "n".repeat(200);
    for _ in 0..40 {
        rustix::fs::mkdirat(&here, &*name, Mode::from_raw_mode(0o755)).expect("mkdir");
        here = rustix::fs::openat(&here, &*name, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty()).expect("open");
    }
    let (wide, _) = dirs.last().expect("a directory");
    for number in 0..20 {
        fs::create_dir_all(format!("{wide}/{number}/x")).expect("mkdir");
    }
    let nested = bed.is_v2().then(|| {
        let script = format!("mkdir {wide}/in && echo 0 > {wide}/in/cgroup.procs && echo in; read stop");
        let mut shell = Shell::start(&cgroup, &script);
        assert_eq!(shell.line(), "in");
        shell
    });
    cgroup.commit();
    let existing = Existing::open(&place);
    assert_eq!(existing.pids().expect("pids").len(), usize::from(nested.is_some()));
    existing.kill_all().expect("killed");
    existing.remove().expect("removed");
    assert_eq!(left(&place), [""; 0]);
}

#[test]
fn cgroup_that_does_not_empty_is_reported_in_bounded_time() {
    let Some(bed) = Bed::new() else { return };
    let cgroup = bed.create("{}").expect("created");
    let existing = Existing::open(cgroup.place());
    let mut shell = Shell::start(&cgroup, "echo in; read stop");
    assert_eq!(shell.line(), "in");
    let start = std::time::Instant::now();
    let error = existing.remove().expect_err("somebody is there");
    assert!(matches!(error, Error::Busy { count: 1, .. }), "{error}");
    assert!(start.elapsed().as_secs() < 5);
    drop(shell);
    drop(cgroup);
}

#[test]
fn cgroup_below_a_threaded_one_is_a_clear_error() {
    let Some(bed) = Bed::new() else { return };
    if !bed.is_v2() {
        eprintln!("skipped: needs pure v2");
        return;
    }
    let place = bed.place();
    let (threaded, _) = place.dirs()[0];
    fs::create_dir_all(format!("{threaded}/t")).expect("mkdir");
    fs::write(format!("{threaded}/t/cgroup.type"), "threaded").expect("threaded");
    let below = bed.layout.place(Some(&format!("{}/t/web", bed.name)), "x").expect("a place");
    let cgroup = Cgroup::create(&bed.layout, &below, &Resources::default()).expect("created");
    let error = cgroup.unborn(rustix::io::Errno::OPNOTSUPP).to_string();
    assert!(error.contains("a cgroup below a threaded one can hold threads only"), "{error}");
    drop(cgroup);
    let limited =
        Cgroup::create(&bed.layout, &below, &parse(r#"{"hugepageLimits": [{"pageSize": "2MB", "limit": 1}]}"#));
    let error = limited.expect_err("no domain controllers").to_string();
    assert!(error.contains("a cgroup below a threaded one") || error.contains("not available"), "{error}");
    fs::remove_dir(format!("{threaded}/t")).expect("rmdir");
    fs::remove_dir(threaded).expect("rmdir");
}

#[test]
fn descriptors_do_not_leak_into_children() {
    let Some(bed) = Bed::new() else { return };
    let cgroup = bed.create("{}").expect("created");
    let fds = cgroup.birth().into.iter().chain(cgroup.birth().tasks.iter().map(|(_, fd)| fd));
    for fd in fds {
        assert!(rustix::io::fcntl_getfd(fd).expect("flags").contains(rustix::io::FdFlags::CLOEXEC));
    }
}
