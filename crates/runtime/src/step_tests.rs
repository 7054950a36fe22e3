//! Steps against the real kernel: init, as it is embedded, walks a few of them in namespaces of its own, and what it has done
//! is looked at from outside through /proc. No root is needed, but where a test says so.

use crate::program;
use rt_plan::Steps;
use rt_sys::clone::{Child, Group, Program, Spawn, spawn};
use rt_sys::exec::Words;
use rt_wire::{
    Capabilities, Change, Device, DeviceKind, Enter, Follow, Likely, NONE, Namespace, Order, Parent, Part, Propagate,
    Report, Rlimit, Step, Target, Texts, Tree,
};
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use rustix::fs::{MemfdFlags, memfd_create};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketFlags, SocketType, bind, connect, listen, recv, send,
    socket_with, socketpair,
};
use rustix::process::{WaitId, WaitIdOptions, getegid, geteuid, waitid};
use std::ffi::CString;
use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::{env, fs};

const NULL: Device = Device { kind: DeviceKind::Character, major: 1, minor: 3, mode: 0o666, uid: 0, gid: 0 };

#[test]
fn a_plan_of_another_build_is_refused() {
    let init = Init::reading(|message| message[0] ^= 1, &[Step::NewSession {}]);
    assert_eq!(init.hear(), None);
    assert_eq!(init.exit_status(), Some(1));
}

#[test]
fn a_plan_that_is_cut_off_is_refused() {
    for left in [0, 1, 27, 28, 29] {
        let init = Init::reading(|message| message.truncate(left), &[Step::Hostname { name: "a-name".into() }]);
        assert_eq!(init.hear(), None, "{left} bytes");
        assert_eq!(init.exit_status(), Some(1), "{left} bytes");
    }
}

#[test]
fn a_plan_that_promises_more_steps_than_it_has_is_refused_where_it_ends() {
    // The number of steps, behind the mark and the length.
    let init = Init::reading(|message| message[12] = 9, &[Step::NewSession {}]);
    assert_eq!(init.hear(), Some(failed(1, Part::Message, Errno::BADMSG)));
    assert_eq!(init.exit_status(), Some(1));
}

#[test]
fn a_plan_without_an_end_is_refused() {
    let init = Init::reading(|_| {}, &[Step::NewSession {}]);
    assert_eq!(init.hear(), Some(failed(0, Part::Message, Errno::BADMSG)));
}

#[test]
fn a_plan_of_many_pages_is_walked() {
    let mut steps = vec![Step::Hostname { name: "a-name".into() }; 3000];
    steps.push(Step::Ready {});
    let init = Init::born(Namespace::User.flag() | Namespace::Uts.flag(), None, &steps);
    assert_eq!(init.hear(), Some(Report::Ready));
}

#[test]
fn a_root_is_filled_and_entered() {
    let root = Root::new();
    let steps = [
        Step::Mount {
            fstype: "tmpfs".into(),
            source: "the-source".into(),
            target: Target::in_root("/a/new/dir"),
            flags: 1 << 1 | 1 << 3,
            data: "size=64k,mode=751".into(),
            hold: 0,
            copy_up: false,
        },
        Step::Symlink { target: Target::in_root("/a/new/dir/link"), text: "where".into(), replace: false },
        Step::EnterRoot { how: Enter::Pivot },
        Step::ReadOnlyRoot {},
        Step::EnterDirectory { path: "/a/new".into() },
        Step::Ready {},
    ];
    let init = Init::in_root(&root, &steps);
    assert_eq!(init.hear(), Some(Report::Ready));

    let mounts = init.proc("mountinfo");
    let find = |at: &str| {
        mounts.lines().find(|line| line.split(' ').nth(4) == Some(at)).unwrap_or_else(|| panic!("{at}:\n{mounts}"))
    };
    assert_eq!(mounts.lines().count(), 2, "nothing of the host's is left:\n{mounts}");
    assert!(find("/").split(' ').nth(5).is_some_and(|options| options.starts_with("ro")), "{mounts}");
    assert!(find("/a/new/dir").contains("rw,nosuid,noexec"), "{mounts}");
    assert!(find("/a/new/dir").contains("- tmpfs the-source rw,size=64k"), "{mounts}");
    assert_eq!(fs::read_link(init.path("root/a/new/dir/link")).expect("made"), PathBuf::from("where"));
    assert_eq!(fs::read_link(init.path("cwd")).expect("init is there"), PathBuf::from("/a/new"));
    assert!(!root.path.join("a/new/dir/link").exists(), "the host sees what was mounted");
}

#[test]
fn links_of_the_root_do_not_lead_out_of_it() {
    let (root, outside) = (Root::new(), Root::new());
    for (name, text) in [("absolute", outside.path.to_str().expect("UTF-8")), ("climbing", "../../../../../../tmp")] {
        symlink(text, root.path.join(name)).expect("a link can be made");
    }
    for (target, hold, seen) in [
        ("/absolute/here", 0, outside.path.join("here")),
        ("/climbing/here", 0, PathBuf::from("/tmp/here")),
        ("/absolute", 1, outside.path.clone()),
        ("/climbing", 1, PathBuf::from("/tmp")),
    ] {
        let steps = [
            Step::Mount {
                fstype: "tmpfs".into(),
                source: "".into(),
                target: Target::in_root(target),
                flags: 0,
                data: "".into(),
                hold,
                copy_up: false,
            },
            Step::Ready {},
        ];
        let init = Init::in_root(&root, &steps);
        assert_eq!(init.hear(), Some(Report::Ready), "{target}");
        let inside = format!("{}{}", root.path.display(), seen.display());
        assert!(init.proc("mountinfo").contains(&format!(" {inside} ")), "{target}: {}", init.proc("mountinfo"));
        assert!(!outside.path.join("here").exists(), "{target}");
    }
}

#[test]
fn masked_paths_are_empty_and_read_only_ones_refuse() {
    let root = Root::new();
    for directory in ["dev", "hidden/inside", "closed"] {
        fs::create_dir_all(root.path.join(directory)).expect("a directory can be made");
    }
    fs::write(root.path.join("secret"), "secret").expect("a file can be written");
    let null = Target::in_root("/dev/null");
    let mask = |path| Step::MaskPath { target: Target::in_root(path), likely: Likely::Unknown, null };
    let steps = [
        Step::BindDevice { target: null, device: NULL },
        Step::EnterRoot { how: Enter::Pivot },
        Step::ReadOnlyPath { target: Target::in_root("/closed") },
        Step::ReadOnlyPath { target: Target::in_root("/missing") },
        mask("/secret"),
        mask("/hidden"),
        mask("/missing/too"),
        Step::Ready {},
    ];
    let init = Init::in_root(&root, &steps);
    assert_eq!(init.hear(), Some(Report::Ready));
    assert_eq!(fs::read_to_string(init.path("root/secret")).expect("readable"), "");
    assert_eq!(fs::read_dir(init.path("root/hidden")).expect("readable").count(), 0);
    for path in ["root/hidden/file", "root/closed/file"] {
        let error = fs::write(init.path(path), "").expect_err("must be refused");
        assert_eq!(error.raw_os_error(), Some(Errno::ROFS.raw_os_error()), "{path}");
    }
    fs::write(init.path("root/file"), "").expect("the rest can be written to");
}

/// In a procfs of the test's own pid namespace. A wrong guess costs a call, not the mask.
#[test]
fn masks_below_a_held_procfs_do_not_depend_on_the_guess() {
    let root = Root::new();
    for directory in ["dev", "proc"] {
        fs::create_dir_all(root.path.join(directory)).expect("a directory can be made");
    }
    let (null, proc) = (Target::in_root("/dev/null"), Target::in_root("/proc"));
    let mask = |path: &'static str, likely| {
        let target = Target { path: path.into(), held: 1, skip: 6, fresh: false };
        Step::MaskPath { target, likely, null }
    };
    let steps = [
        Step::BindDevice { target: null, device: NULL },
        Step::Mount {
            fstype: "proc".into(),
            source: "".into(),
            target: proc,
            flags: 0,
            data: "".into(),
            hold: 1,
            copy_up: false,
        },
        Step::EnterRoot { how: Enter::Pivot },
        Step::MaskPath {
            target: Target { path: "/proc/missing".into(), held: 1, skip: 6, fresh: false },
            likely: Likely::File,
            null: Target::in_root("/missing"),
        },
        mask("/proc/missing", Likely::File),
        mask("/proc/tty", Likely::File),
        mask("/proc/version", Likely::File),
        mask("/proc/missing", Likely::File),
        mask("/proc/uptime", Likely::File),
        mask("/proc/driver", Likely::File),
        mask("/proc/missing", Likely::Directory),
        mask("/proc/fs", Likely::Directory),
        mask("/proc/loadavg", Likely::Directory),
        mask("/proc/missing", Likely::Unknown),
        mask("/proc/bus", Likely::Unknown),
        mask("/proc/stat", Likely::Unknown),
        Step::Ready {},
    ];
    let open = [
        Step::Propagation { change: Propagate::Private, tree: Tree::Whole },
        Step::OpenRoot { path: root.text().into(), change: Propagate::Private, parent: Parent::Keep },
    ];
    let steps: Vec<Step<'_>> = open.into_iter().chain(steps).collect();
    let init = Init::mapped(Namespace::Pid.flag(), &steps);
    assert_eq!(init.hear(), Some(Report::Ready));
    for file in ["version", "uptime", "loadavg", "stat"] {
        assert_eq!(fs::read_to_string(init.path(&format!("root/proc/{file}"))).expect("readable"), "", "{file}");
    }
    let mounts = init.proc("mountinfo");
    for directory in ["tty", "driver", "fs", "bus"] {
        let path = init.path(&format!("root/proc/{directory}"));
        assert_eq!(fs::read_dir(path).expect("readable").count(), 0, "{directory}");
        let mask = format!(" /proc/{directory} ro,nosuid,nodev,noexec");
        assert!(mounts.contains(&mask), "{directory}:\n{mounts}");
    }
    assert!(!fs::read_to_string(init.path("root/proc/meminfo")).expect("readable").is_empty(), "the rest is there");
    assert_eq!(mounts.lines().count(), 3 + 8, "one mount for each mask:\n{mounts}");
}

#[test]
fn a_mask_with_a_null_that_is_none_is_refused() {
    let root = Root::new();
    fs::write(root.path.join("secret"), "secret").expect("a file can be written");
    fs::write(root.path.join("null"), "anything").expect("a file can be written");
    let steps = [
        Step::EnterRoot { how: Enter::Pivot },
        Step::MaskPath { target: Target::in_root("/secret"), likely: Likely::Unknown, null: Target::in_root("/null") },
    ];
    let Some(Report::Failed { step: 4, part: Part::Verify, .. }) = Init::in_root(&root, &steps).hear() else {
        panic!("CVE-2025-31133");
    };
}

#[test]
fn a_process_becomes_what_it_was_told_to_be() {
    let sets = Capabilities { effective: 1 << 5, permitted: 1 << 5 | 1 << 10, inheritable: 0, ambient: 0 };
    let lose = u64::MAX >> 23 & !(1 << 5 | 1 << 10);
    let steps = [
        Step::NewSession {},
        Step::Limit { limit: Rlimit { resource: 7, soft: 63, hard: 64 } },
        Step::NoNewPrivileges {},
        Step::Hostname { name: "a-name".into() },
        Step::BoundingSet { keep: 1 << 5 | 1 << 10, lose },
        Step::CapabilitySets { sets },
        Step::Umask { mask: 0o27 },
        Step::Ready {},
    ];
    let init = Init::mapped(Namespace::Uts.flag(), &steps);
    assert_eq!(init.hear(), Some(Report::Ready));
    let status = init.proc("status");
    let value =
        |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().trim().to_owned();
    let bits = |name: &str| u64::from_str_radix(&value(name), 16).expect("a number");
    assert_eq!((bits("CapEff:"), bits("CapPrm:"), bits("CapInh:"), bits("CapAmb:")), (1 << 5, 1 << 5 | 1 << 10, 0, 0));
    assert_eq!(bits("CapBnd:") & (u64::MAX >> 23), 1 << 5 | 1 << 10);
    assert_eq!((value("NoNewPrivs:"), value("Umask:")), ("1".to_owned(), "0027".to_owned()));
    let limits = init.proc("limits");
    let files = limits.lines().find(|line| line.starts_with("Max open files")).expect("a line");
    assert_eq!(files.split_whitespace().skip(3).take(2).collect::<Vec<_>>(), ["63", "64"]);
    let stat = init.proc("stat");
    let session = stat.rsplit(") ").next().and_then(|rest| rest.split(' ').nth(3)).expect("a field");
    assert_eq!(session, init.child.pid.as_raw_nonzero().to_string(), "a session of its own");
}

#[test]
fn a_failed_step_is_named_with_its_part_and_the_kernels_answer() {
    let root = Root::new();
    fs::write(root.path.join("file"), "").expect("a file can be written");
    let mount = |fstype: &'static str, path: &'static str| Step::Mount {
        fstype: fstype.into(),
        source: "none".into(),
        target: Target::in_root(path),
        flags: 0,
        data: "".into(),
        hold: 0,
        copy_up: false,
    };
    let bind = |source: &'static str, path: &'static str| Step::Bind {
        source: source.into(),
        target: Target::in_root(path),
        tree: Tree::Top,
        follow: Follow::Both,
        top: Change::NONE,
        whole: Change::NONE,
    };
    let text = |words: &'static [u8]| Texts::new(words);
    let cases = [
        (mount("no-such-fs", "/a"), Part::Attach, Errno::NODEV),
        (mount("tmpfs", "/file/below"), Part::Target, Errno::NOTDIR),
        (bind("/no/such/source", "/a"), Part::Source, Errno::NOENT),
        (
            Step::Reattribute { target: Target::in_root("/missing"), tree: Tree::Top, change: Change::NONE },
            Part::Target,
            Errno::NOENT,
        ),
        (
            Step::ReopenNull { target: Target { held: 3, skip: 1, ..Target::in_root("/dev/null") } },
            Part::Whole,
            Errno::BADF,
        ),
        (Step::JoinNamespace { kind: Namespace::Ipc, path: "".into(), namespace: 9 }, Part::Whole, Errno::BADF),
        (Step::Hostname { name: "a-name".into() }, Part::Whole, Errno::PERM),
        (Step::Groups { ids: text(b"1\0") }, Part::Whole, Errno::PERM),
        (Step::User { uid: 7, gid: 0 }, Part::Whole, Errno::INVAL),
        (Step::EnterDirectory { path: "/missing".into() }, Part::Target, Errno::NOENT),
        (Step::FindProgram { name: "nothing".into(), path: "/file:/missing".into() }, Part::NotInPath, Errno::NOENT),
        (Step::Sysctl { proc: 1, file: "kernel/hostname".into(), value: "a".into() }, Part::Target, Errno::BADF),
        (
            Step::Exec { args: text(b"/missing\0"), env: text(b""), path: "".into(), home: "".into() },
            Part::Whole,
            Errno::NOENT,
        ),
    ];
    for (step, part, errno) in cases {
        let init = Init::in_root(&root, &[Step::NewSession {}, step]);
        // Behind the three that lead into the root.
        assert_eq!(init.hear(), Some(failed(4, part, errno)), "{step}");
        assert_eq!(init.hear(), None, "{step}: it has said all");
        assert_eq!(init.exit_status(), Some(1), "{step}");
    }
    let missing = [Step::OpenRoot { path: "/no/such/root".into(), change: Propagate::Private, parent: Parent::Keep }];
    assert_eq!(Init::mapped(0, &missing).hear(), Some(failed(1, Part::Source, Errno::NOENT)));
}

#[test]
fn init_leaves_when_its_parent_does() {
    let mut init = Init::mapped(0, &[Step::Ready {}]);
    assert_eq!(init.hear(), Some(Report::Ready));
    init.socket = None;
    assert_eq!(init.exit_status(), Some(1));
    // Even before it has been told to begin.
    let mut init = Init::born(0, None, &[Step::AwaitParent {}, Step::Ready {}]);
    init.socket = None;
    assert_eq!(init.exit_status(), Some(1));
}

#[test]
fn start_hears_why_the_program_can_not_be_executed() {
    let exec = |path: &'static str| {
        [
            Step::Ready {},
            Step::AwaitStart { first: 3, state: NONE, output: NONE, errors: NONE },
            Step::CloseDescriptors { first: 3 },
            Step::Exec { args: Texts::new(path.as_bytes()), env: Texts::new(b""), path: "".into(), home: "".into() },
        ]
    };
    for (path, answer) in [("/etc/\0", Some(failed(3, Part::Whole, Errno::ACCESS))), ("/bin/true\0", None)] {
        let directory = Root::new();
        let (listener, address) = directory.listen();
        let mut init = Init::born(0, Some(&listener), &exec(path));
        assert_eq!(init.hear(), Some(Report::Ready));
        init.proceed();
        // Whoever made it may leave now.
        init.socket = None;
        let start =
            socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).expect("a socket");
        connect(&start, &address).expect("init listens");
        assert_eq!(hear(start.as_fd()), answer, "{path:?}");
        assert_eq!(init.exit_status(), Some(i32::from(answer.is_some())), "{path:?}");
    }
}

#[test]
fn sigterm_ends_a_container_that_was_never_started() {
    let directory = Root::new();
    let (listener, _) = directory.listen();
    // Process 1 of a pid namespace, whom signals do not end by themselves.
    let init = Init::born(
        Namespace::User.flag() | Namespace::Pid.flag(),
        Some(&listener),
        &[Step::Ready {}, Step::AwaitStart { first: 3, state: NONE, output: NONE, errors: NONE }],
    );
    assert_eq!(init.hear(), Some(Report::Ready));
    init.proceed();
    init.until_it_waits();
    rustix::process::pidfd_send_signal(&init.child.pidfd, rustix::process::Signal::TERM).expect("it is there");
    assert_eq!(init.exit_status(), Some(128 + 15));
}

/// vm.memfd_noexec is a pid namespace's own: the test runs itself again in a new one, where no executable memory file can be
/// made. Only root may set it.
#[test]
fn without_memory_files_a_container_runs_from_a_tmpfs() {
    const INSIDE: &str = "RT_STEP_TESTS_NOEXEC";
    const NAME: &str = "step_tests::without_memory_files_a_container_runs_from_a_tmpfs";
    if env::var_os(INSIDE).is_none() {
        if !geteuid().is_root() || !fs::exists("/proc/sys/vm/memfd_noexec").unwrap_or(false) {
            // Past the capture of the test runner.
            let line =
                format!("skipped: {NAME}: only root can forbid executable memory files, and only since Linux 6.3\n");
            let _ = std::io::stderr().write_all(line.as_bytes());
            return;
        }
        let script = r#"echo 2 > /proc/sys/vm/memfd_noexec && exec "$0" --exact "$1" --nocapture"#;
        let own = env::current_exe().expect("a program knows where it is");
        let mut command = Command::new("unshare");
        command
            .args(["--pid", "--fork", "--kill-child", "--mount-proc", "--", "sh", "-c", script])
            .arg(own)
            .arg(NAME)
            .env(INSIDE, "1");
        let output = command.output().expect("unshare (util-linux) runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"), "{output:?}");
        return;
    }
    let refused = memfd_create(c"x", MemfdFlags::CLOEXEC | MemfdFlags::EXEC);
    assert_eq!(refused.err(), Some(Errno::ACCESS), "the kernel was told to refuse");

    let root = Root::new();
    // A static program, which every test is.
    let own = env::current_exe().expect("a program knows where it is");
    let steps = [
        Step::NewSession {},
        Step::Propagation { change: Propagate::Private, tree: Tree::Whole },
        Step::OpenRoot { path: root.text().into(), change: Propagate::Private, parent: Parent::Keep },
        Step::Bind {
            source: own.to_str().expect("UTF-8").into(),
            target: Target::in_root("/program"),
            tree: Tree::Top,
            follow: Follow::Both,
            top: Change::NONE,
            whole: Change::NONE,
        },
        Step::EnterRoot { how: Enter::Pivot },
        Step::Ready {},
        Step::CloseDescriptors { first: 3 },
        Step::Exec {
            args: Texts::new(b"/program\0--exact\0none\0-q\0"),
            env: Texts::new(b""),
            path: "".into(),
            home: "/".into(),
        },
    ];
    let init = Init::born(Namespace::Mount.flag() | Namespace::Pid.flag(), None, &steps);
    assert_eq!(init.hear(), Some(Report::Ready));
    let exe = fs::read_link(init.path("exe")).expect("init is there");
    assert_eq!(exe, PathBuf::from("/rt-init"), "not a memory file");
    let written = fs::OpenOptions::new().write(true).open(init.path("exe")).expect_err("CVE-2019-5736");
    assert!(
        matches!(written.raw_os_error().map(Errno::from_raw_os_error), Some(Errno::ROFS | Errno::TXTBSY)),
        "{written}"
    );
    init.proceed();
    assert_eq!(init.hear(), None, "it runs");
    assert_eq!(init.exit_status(), Some(0));
}

fn failed(step: u16, part: Part, errno: Errno) -> Report {
    Report::Failed { step, part, errno: errno.raw_os_error() }
}

/// A directory of the test's own.
struct Root {
    path: PathBuf,
}

impl Root {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = env::temp_dir().join(format!("rt-steps-{}-{number}", std::process::id()));
        fs::create_dir_all(&path).expect("a directory can be made");
        Self { path }
    }

    fn text(&self) -> &str {
        self.path.to_str().expect("UTF-8")
    }

    /// A socket here that `start` could connect to.
    fn listen(&self) -> (OwnedFd, SocketAddrUnix) {
        let listener =
            socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).expect("a socket");
        let address = SocketAddrUnix::new(self.path.join("start")).expect("a short path");
        bind(&listener, &address).expect("a free name");
        listen(&listener, 1).expect("it is bound");
        (listener, address)
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// Init, walking. Killed when the test is over.
struct Init {
    child: Child,
    /// To it.
    socket: Option<OwnedFd>,
}

impl Init {
    /// With a message that `change` has been at.
    fn reading(change: impl FnOnce(&mut Vec<u8>), steps: &[Step<'_>]) -> Self {
        Self::new(0, None, steps, change)
    }

    /// In new namespaces, without an id map if there is a user namespace.
    fn born(namespaces: u32, listener: Option<&OwnedFd>, steps: &[Step<'_>]) -> Self {
        Self::new(namespaces, listener, steps, |_| {})
    }

    /// As root of a user namespace with a mount namespace, behind `AwaitParent`.
    fn mapped(namespaces: u32, steps: &[Step<'_>]) -> Self {
        let steps: Vec<Step<'_>> = [Step::AwaitParent {}].into_iter().chain(steps.iter().copied()).collect();
        let init = Self::born(namespaces | Namespace::User.flag() | Namespace::Mount.flag(), None, &steps);
        for (file, text) in [
            ("setgroups", "deny".to_owned()),
            ("gid_map", format!("0 {} 1", getegid().as_raw())),
            ("uid_map", format!("0 {} 1", geteuid().as_raw())),
        ] {
            fs::write(init.path(file), text).unwrap_or_else(|error| panic!("{file}: {error}"));
        }
        init.proceed();
        init
    }

    /// The same, with `root` opened: behind `AwaitParent`, `Propagation` and `OpenRoot`.
    fn in_root(root: &Root, steps: &[Step<'_>]) -> Self {
        let open = [
            Step::Propagation { change: Propagate::Private, tree: Tree::Whole },
            Step::OpenRoot { path: root.text().into(), change: Propagate::Private, parent: Parent::Keep },
        ];
        Self::mapped(0, &open.into_iter().chain(steps.iter().copied()).collect::<Vec<_>>())
    }

    fn new(namespaces: u32, listener: Option<&OwnedFd>, steps: &[Step<'_>], change: impl FnOnce(&mut Vec<u8>)) -> Self {
        let (ours, theirs) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).expect("a pair");
        let mut list = Steps::new();
        steps.iter().for_each(|step| list.push(*step));
        let mut message = list.message(theirs.as_raw_fd(), listener.map_or(-1, AsRawFd::as_raw_fd), &[]);
        change(&mut message);
        let exe = program::with_plan(&message).expect("init's file can be made");
        let len = CString::new(message.len().to_string()).expect("digits");
        let mut table = [0; 3];
        let args = Words::new(&mut table, [c"rt-init", &len].into_iter()).expect("room for two");
        let mut keep: Vec<BorrowedFd<'_>> = vec![theirs.as_fd()];
        keep.extend(listener.map(AsFd::as_fd));
        let child = spawn(&Spawn {
            namespaces,
            cgroup: None,
            program: Program::File(exe.as_fd()),
            args: &args,
            env: &Words::none(),
            directory: None,
            group: Group::Same,
            stdio: None,
            keep: &keep,
            ignored: 0,
            filter: None,
            oom_score: &[],
            carry_capabilities: namespaces & Namespace::User.flag() != 0,
        });
        let child = child.unwrap_or_else(|failure| panic!("init can't be born: {failure:?}"));
        Self { child, socket: Some(ours) }
    }

    fn hear(&self) -> Option<Report> {
        hear(self.socket.as_ref().expect("still there").as_fd())
    }

    fn proceed(&self) {
        send(self.socket.as_ref().expect("still there"), &Order::Proceed.encode(), SendFlags::NOSIGNAL)
            .expect("it listens");
    }

    /// A path below its directory in /proc.
    fn path(&self, below: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/{below}", self.child.pid.as_raw_nonzero()))
    }

    fn proc(&self, file: &str) -> String {
        fs::read_to_string(self.path(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
    }

    /// Until it sleeps for `start`, with its signals blocked.
    fn until_it_waits(&self) {
        let waits = |_: &u32| {
            std::thread::sleep(std::time::Duration::from_millis(10));
            self.proc("status").contains("SigBlk:\t0000000000004007")
        };
        (0..500).find(waits).expect("init waits for start");
    }

    fn exit_status(&self) -> Option<i32> {
        let status = waitid(WaitId::PidFd(self.child.pidfd.as_fd()), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT);
        status.expect("our child").and_then(|status| status.exit_status())
    }
}

impl Drop for Init {
    fn drop(&mut self) {
        let _ = rustix::process::pidfd_send_signal(&self.child.pidfd, rustix::process::Signal::KILL);
        let _ = waitid(WaitId::PidFd(self.child.pidfd.as_fd()), WaitIdOptions::EXITED);
    }
}

fn hear(socket: BorrowedFd<'_>) -> Option<Report> {
    let mut bytes = [0; Report::LEN + 4];
    let len = match recv(socket, &mut bytes, RecvFlags::empty()) {
        Ok((_, len)) => len,
        Err(Errno::CONNRESET) => 0,
        Err(errno) => panic!("recv: {errno}"),
    };
    (len > 0).then(|| Report::decode(&bytes[..len]).expect("a report"))
}
