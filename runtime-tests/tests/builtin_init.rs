//! `--init`: process 1 is the runtime's own small init, and the program is its child. runc has no such thing.

use std::{
    fs, thread,
    time::{Duration, Instant},
};

use runtime_tests::{Console, ConsoleSocket, Container, Terminal, is_runc, require, runtime_path, wait_until};
use rustix::process::Signal;
use serde_json::json;

/// Leave the test if the runtime has no init of its own.
macro_rules! has_init {
    () => {
        require!(!is_runc(), "runc has no init of its own");
    };
}

fn with_init(name: &str) -> Container {
    Container::new(name).writable().option("--init")
}

fn lingering(name: &str, milliseconds: u32) -> Container {
    Container::new(name).writable().option(&format!("--init=linger={milliseconds}"))
}

fn annotated(name: &str, value: &str) -> Container {
    Container::new(name).writable().edit(|config| config["annotations"] = json!({ "run.rt.init": value }))
}

/// It has been started; its program waits.
fn started(container: Container) -> Container {
    container.create().quietly();
    container.start().quietly();
    container
}

/// State, parent, process group, session, terminal and foreground group of a process, as its stat has them.
fn stat(pid: i32) -> Vec<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("it lives");
    let (_, rest) = stat.rsplit_once(") ").expect("it has a name");
    rest.split(' ').take(6).map(str::to_owned).collect()
}

/// The one child of process 1 of a container.
fn program_of(container: &Container) -> i32 {
    let init = container.pid();
    let children = || fs::read_to_string(format!("/proc/{init}/task/{init}/children")).expect("it lives");
    wait_until("the program has been started", || !children().is_empty());
    children().trim().parse().expect("one child")
}

// ---- who is who ----

// S3-12
#[test]
fn program_is_a_child_of_process_1() {
    has_init!();
    let script = "echo $$ $PPID";
    for option in ["--init", "--init=true", "--init=linger=100", "--init=linger=0", "-init"] {
        Container::new("child").option(option).script(script).run().prints("2 1\n");
    }
    for value in ["true", "linger=100"] {
        annotated("child", value).script(script).run().prints("2 1\n");
    }
    for container in
        [Container::new("child").option("--init=false"), annotated("child", "false"), Container::new("child")]
    {
        container.script(script).run().prints("1 0\n");
    }
}

#[test]
fn program_can_not_read_what_init_was_told() {
    has_init!();
    let script = "cat /proc/1/exe /proc/1/mem /proc/1/maps > /tmp/seen 2> /tmp/refused; wc -c < /tmp/seen";
    let hook = json!({ "createContainer": [{ "path": "/bin/true", "env": ["TOKEN=of-the-host"] }] });
    with_init("plan").edit(|config| config["hooks"] = hook.clone()).script(script).run().prints("0\n");
}

#[test]
fn create_takes_it_too() {
    has_init!();
    for container in [with_init("create"), annotated("create", "true")] {
        let container = started(container.script("echo $$ $PPID > /tmp/said; sleep 1000"));
        assert_eq!(container.wait_for_file("tmp/said"), "2 1\n");
        assert_eq!(container.status(), "running");
        // Its pid is that of process 1.
        let status = fs::read_to_string(format!("/proc/{}/status", container.pid())).expect("it lives");
        assert!(status.lines().any(|line| line.starts_with("NSpid:") && line.ends_with("\t1")), "{status}");
    }
}

#[test]
fn unknown_value_is_refused() {
    has_init!();
    for value in
        ["maybe", "linger", "linger=", "linger=abc", "linger=-1", "linger=1.5", "linger=4294967296", "linger=1 "]
    {
        let option = format!("--init={value}");
        Container::new("value").option(&option).args(["true"]).create().refused().says("init");
        annotated("value", value).args(["true"]).create().refused().says("run.rt.init");
    }
}

#[test]
fn program_is_as_it_would_be_without() {
    has_init!();
    let script = "id -u; id -g; pwd; echo $HOME; ulimit -n; hostname; env | sort; grep -E '^(Cap|NoNew|Sig|Groups|Umask|Seccomp:)' \
                  /proc/self/status; for fd in /proc/$$/fd/*; do echo ${fd##*/}; done; cat /proc/self/oom_score_adj";
    let container = |init: bool| {
        let container = Container::new("same").user(1000, 1000).env("ONE=1").script(script);
        let container = container.edit(|config| {
            config["process"]["cwd"] = json!("/home/app");
            config["process"]["user"]["umask"] = json!(0o027);
            config["process"]["user"]["additionalGids"] = json!([2000]);
            config["process"]["oomScoreAdj"] = json!(100);
        });
        if init { container.option("--init") } else { container }
    };
    let without = container(false).run().ok();
    assert!(without.starts_with("1000\n1000\n/home/app\n/home/app\n1024\n"), "{without}");
    assert_eq!(container(true).run().ok(), without);
}

#[test]
fn process_1_is_not_a_file_of_the_host() {
    has_init!();
    let container = started(with_init("exe").args(["sleep", "1000"]));
    let exe = fs::read_link(format!("/proc/{}/exe", container.pid())).expect("root may look");
    assert_ne!(exe, runtime_path());
    assert!(!exe.exists(), "{}", exe.display());
    let size = fs::metadata(format!("/proc/{}/exe", container.pid())).expect("root may look").len();
    assert!(size < fs::metadata(runtime_path()).expect("it is there").len() / 2, "{size} bytes");
}

// S3-14
#[test]
fn process_1_holds_no_stream() {
    has_init!();
    // Whoever reads what the program says would wait for its end.
    let container = lingering("streams", 20_000).script("sleep 1000 </dev/null >/dev/null 2>&1 & echo ready; exit 3");
    let foreground = container.spawn();
    foreground.wait_for("ready");
    wait_until("it lingers", || container.call(["state", &container.id]).output().stdout.contains("running"));
    let open = fs::read_dir(format!("/proc/{}/fd", container.pid())).expect("it lives");
    let open: Vec<_> = open.flatten().filter_map(|entry| fs::read_link(entry.path()).ok()).collect();
    assert!(open.iter().all(|link| link.to_string_lossy().starts_with("anon_inode:")), "{open:?}");
    container.kill("KILL").quietly();
    foreground.wait().exits(137);
}

#[test]
fn process_1_is_small() {
    has_init!();
    let container = started(with_init("small").args(["sleep", "1000"]));
    let _ = program_of(&container);
    let pid = container.pid();
    let resident = || -> u64 {
        let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).expect("it lives");
        let line = rollup.lines().find_map(|line| line.strip_prefix("Rss:")).expect("it is there");
        line.trim().trim_end_matches(" kB").parse().expect("a number")
    };
    // It may still be about to let go of what it started with.
    wait_until("it is at rest", || stat(pid)[0] == "S");
    thread::sleep(Duration::from_millis(50));
    assert!(resident() <= 64, "{} KiB", resident());
}

#[test]
fn process_1_sleeps() {
    has_init!();
    let container = started(with_init("sleeps").args(["sleep", "1000"]));
    let _ = program_of(&container);
    let pid = container.pid();
    let switches = || -> u64 {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("it lives");
        let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:")).expect("it is there");
        line.trim().parse().expect("a number")
    };
    thread::sleep(Duration::from_millis(50));
    let before = switches();
    thread::sleep(Duration::from_millis(500));
    assert_eq!(switches(), before, "it wakes up although nothing happens");
}

#[test]
fn process_1_can_not_be_killed_from_inside() {
    has_init!();
    with_init("inside").script("kill -9 1; kill -STOP 1; sleep 0.1; echo alive; exit 4").run().exits(4);
}

// ---- the end ----

// S3-12, S0-12
#[test]
fn status_of_the_program_is_that_of_the_container() {
    has_init!();
    for code in [0, 1, 2, 7, 127, 255] {
        let output = with_init("status").script(&format!("exit {code}")).run().exits(code);
        assert_eq!((output.stdout, output.stderr), (String::new(), String::new()));
    }
    for (signal, number) in [("TERM", 15), ("KILL", 9), ("SEGV", 11), ("USR1", 10), ("ABRT", 6)] {
        with_init("status").script(&format!("kill -{signal} $$; sleep 1000")).run().exits(128 + number);
    }
}

#[test]
fn stopped_container_is_seen_to_be() {
    has_init!();
    let container = started(with_init("stopped").args(["true"]));
    container.wait_for("stopped");
    container.delete().quietly();
    container.leaves_nothing();
    let detached = with_init("stopped").args(["true"]).detached();
    detached.run().quietly();
    detached.wait_for("stopped");
}

#[test]
fn program_that_is_missing_is_reported_as_without() {
    has_init!();
    let missing = || with_init("missing").args(["/no/such/program"]);
    missing().create().refused().says("/no/such/program").says("no such file or directory");
    missing().run().refused().says("/no/such/program").says("no such file or directory");
    missing().detached().run().refused().says("/no/such/program").says("no such file or directory");
    with_init("missing")
        .args(["no-such-name"])
        .create()
        .refused()
        .says("no-such-name")
        .says("executable file not found");
    with_init("missing").args(["/etc/passwd"]).create().refused().says("permission denied");

    // What only the kernel knows, start learns.
    let broken = || with_init("broken").program("bin/broken", "\x7fELF nonsense").args(["/bin/broken"]);
    let container = broken();
    container.create().quietly();
    container.start().refused().says("/bin/broken").says("exec format error");
    container.wait_for("stopped");
    broken().run().refused().says("/bin/broken").says("exec format error");
}

// ---- reaping ----

// S3-11
#[test]
fn orphans_are_adopted_and_reaped() {
    has_init!();
    let script = "for i in 1 2 3 4 5 6 7 8 9 10; do sh -c 'sleep 0.2 & sleep 0.01 &'; done; sleep 0.1; \
                  grep -l '^PPid:.1$' /proc/[0-9]*/status | wc -l; sleep 0.4; grep -l '^State:.Z' /proc/[0-9]*/status | wc -l; \
                  grep -h '^Name' /proc/[0-9]*/status | wc -l";
    // The program and the ten that sleep; later no zombie, and nobody but process 1, the shell, and the grep.
    let output = with_init("reap").script(script).run().ok();
    let numbers: Vec<u32> = output.lines().map(|line| line.trim().parse().expect("a number")).collect();
    assert_eq!(numbers[..2], [11, 0], "{output}");
    assert!(numbers[2] <= 4, "{output}");
}

// S3-11
#[test]
fn a_thousand_orphans_at_once_are_reaped() {
    has_init!();
    let script = "i=0; while [ $i -lt 1000 ]; do sh -c 'true &'; i=$((i+1)); done; sleep 0.2; \
                  grep -l '^State:.Z' /proc/[0-9]*/status | wc -l; exit 6";
    let output = with_init("storm").script(script).run().exits(6);
    assert_eq!(output.stdout.trim(), "0");
}

// S3-11
#[test]
fn orphan_with_the_status_of_the_program_does_not_end_the_container() {
    has_init!();
    with_init("orphan").script("sh -c '(sleep 0.05; exit 9) &'; sleep 0.2; echo alive; exit 4").run().exits(4);
}

// ---- signals ----

// S3-13
#[test]
fn signals_reach_the_program() {
    has_init!();
    for (signal, number) in [
        ("TERM", 15),
        ("INT", 2),
        ("HUP", 1),
        ("QUIT", 3),
        ("USR1", 10),
        ("USR2", 12),
        ("WINCH", 28),
        ("ALRM", 14),
        ("CONT", 18),
        ("URG", 23),
        ("PWR", 30),
        ("35", 35),
        ("64", 64),
    ] {
        let script = format!("trap 'echo got {number}; exit 42' {number}; echo ready; while :; do sleep 0.02; done");
        let container = with_init("signals").script(&script);
        let foreground = container.spawn();
        foreground.wait_for("ready\n");
        container.kill(signal).quietly();
        let output = foreground.wait().exits(42);
        assert_eq!(output.stdout, format!("ready\ngot {number}\n"));
        container.leaves_nothing();
    }
}

// S3-13
#[test]
fn signals_that_run_forwards_reach_the_program() {
    has_init!();
    for (signal, name) in [(Signal::TERM, "TERM"), (Signal::INT, "INT"), (Signal::HUP, "HUP"), (Signal::USR2, "USR2")] {
        let script = format!("trap 'echo got {name}; exit 42' {name}; echo ready; while :; do sleep 0.02; done");
        let container = with_init("forward").script(&script);
        let foreground = container.spawn();
        foreground.wait_for("ready\n");
        foreground.signal(signal);
        let output = foreground.wait().exits(42);
        assert_eq!(output.stdout, format!("ready\ngot {name}\n"));
    }
}

#[test]
fn program_that_does_not_expect_a_signal_dies_of_it() {
    has_init!();
    // As process 1 it would not even notice.
    for (signal, number) in [("TERM", 15), ("INT", 2), ("HUP", 1), ("USR1", 10), ("35", 35)] {
        let container = with_init("unexpected").script("echo ready; exec sleep 1000");
        let foreground = container.spawn();
        foreground.wait_for("ready\n");
        wait_until("it sleeps", || {
            let name = fs::read_to_string(format!("/proc/{}/comm", program_of(&container)));
            name.is_ok_and(|name| name == "sleep\n")
        });
        container.kill(signal).quietly();
        foreground.wait().exits(128 + number);
        container.leaves_nothing();
    }
}

#[test]
fn signals_reach_a_program_of_another_user() {
    has_init!();
    let script = "trap 'exit 42' TERM; echo ready; while :; do sleep 0.02; done";
    let container = with_init("user").user(1000, 1000).script(script);
    let foreground = container.spawn();
    foreground.wait_for("ready\n");
    container.kill("TERM").quietly();
    foreground.wait().exits(42);
}

#[test]
fn signals_reach_the_program_and_nobody_else() {
    has_init!();
    let script = "sh -c \"trap 'echo wrong' USR1; while :; do sleep 0.02; done\" & trap 'echo got USR1' USR1; \
                  trap 'kill -9 $!; exit 3' TERM; sleep 0.1; echo ready; while :; do sleep 0.02; done";
    let container = with_init("nobody").script(script);
    let foreground = container.spawn();
    foreground.wait_for("ready\n");
    container.kill("USR1").quietly();
    foreground.wait_for("got USR1\n");
    thread::sleep(Duration::from_millis(100));
    container.kill("TERM").quietly();
    assert_eq!(foreground.wait().exits(3).stdout, "ready\ngot USR1\n");
}

#[test]
fn many_signals_in_a_row_do_no_harm() {
    has_init!();
    let script = "n=0; trap 'n=$((n+1))' 35; trap 'echo $n; exit 3' TERM; echo ready; while :; do sleep 0.01; done";
    let container = with_init("many").script(script);
    let foreground = container.spawn();
    foreground.wait_for("ready\n");
    for _ in 0..20 {
        container.kill("35").quietly();
    }
    thread::sleep(Duration::from_millis(100));
    container.kill("TERM").quietly();
    let output = foreground.wait().exits(3);
    let count: u32 = output.stdout.lines().last().expect("a line").parse().expect("a number");
    // A shell counts those that come while it handles one as one.
    assert!((1..=20).contains(&count), "{count}");
}

#[test]
fn kill_ends_everything() {
    has_init!();
    let container = with_init("kill").script("sleep 1000 & echo ready; wait");
    let foreground = container.spawn();
    foreground.wait_for("ready\n");
    container.kill("KILL").quietly();
    foreground.wait().exits(137);
    container.leaves_nothing();
}

// ---- lingering ----

// S3-12
#[test]
fn others_end_with_the_program_if_they_may_not_linger() {
    has_init!();
    let container = with_init("end").script("trap '' TERM HUP; sleep 1000 & setsid sleep 1000 & exit 7");
    let began = Instant::now();
    container.run().exits(7);
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
}

// S3-12
#[test]
fn others_may_come_to_their_end_while_it_lingers() {
    has_init!();
    let script = "sh -c 'sleep 0.3; echo late > /tmp/late' & exit 7";
    for container in [lingering("late", 20_000), annotated("late", "linger=20000")] {
        let container = container.script(script);
        let began = Instant::now();
        container.run().exits(7);
        assert_eq!(fs::read_to_string(container.rootfs().join("tmp/late")).expect("it is written"), "late\n");
        // Not longer than it has to.
        assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
    }
    let container = with_init("late").script(script);
    container.run().exits(7);
    assert!(!container.rootfs().join("tmp/late").exists(), "it may not linger");
}

// S3-12
#[test]
fn it_lingers_no_longer_than_chosen() {
    has_init!();
    let container = lingering("limit", 500).script("trap '' TERM HUP; sleep 1000 & setsid sleep 1000 & exit 7");
    let began = Instant::now();
    container.run().exits(7);
    let took = began.elapsed();
    assert!(took >= Duration::from_millis(500) && took < Duration::from_secs(5), "{took:?}");
}

// S3-12
#[test]
fn what_happens_meanwhile_does_not_make_it_linger_longer() {
    has_init!();
    // Every 20 ms a child ends.
    let script = "sh -c 'while :; do sh -c \"true &\"; sleep 0.02; done' & exit 7";
    let container = lingering("busy", 400).script(script);
    let began = Instant::now();
    container.run().exits(7);
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}

// S3-13
#[test]
fn signal_ends_the_lingering() {
    has_init!();
    let container = lingering("enough", 60_000).script("sleep 1000 & echo ready; exit 7");
    let foreground = container.spawn();
    foreground.wait_for("ready\n");
    thread::sleep(Duration::from_millis(200));
    assert_eq!(container.status(), "running");
    container.kill("TERM").quietly();
    foreground.wait().exits(7);
    container.leaves_nothing();
}

// ---- beside others ----

#[test]
fn exec_works_beside() {
    has_init!();
    let container = started(with_init("exec").args(["sleep", "1000"]));
    let exec = |script: &str| container.call(["exec", &container.id, "sh", "-c", script]).output();
    exec("exit 9").exits(9);
    let comm = fs::read_to_string(format!("/proc/{}/comm", program_of(&container))).expect("it lives");
    assert_eq!(comm, "sleep\n");
    // It sees both of them, and itself.
    exec("set -- /proc/[0-9]*; echo $#").prints("3\n");
    // Whom it leaves behind is adopted and reaped.
    exec("sleep 0.1 & exit 0").ok();
    thread::sleep(Duration::from_millis(300));
    let left = exec("grep -l '^State:.Z' /proc/[0-9]*/status | wc -l").ok();
    assert_eq!(left.trim(), "0");
    assert_eq!(container.status(), "running");
}

#[test]
fn container_ends_with_its_program_although_exec_runs() {
    has_init!();
    let container = started(with_init("exec").script("while ! test -e /tmp/end; do sleep 0.02; done; exit 3"));
    let exec = container.call(["exec", &container.id, "sh", "-c", "echo ready; sleep 1000"]).spawn();
    exec.wait_for("ready\n");
    container.write("tmp/end", "");
    exec.wait().exits(137);
    container.wait_for("stopped");
}

#[test]
fn hooks_and_init_go_together() {
    has_init!();
    let hook = json!([{ "path": "/bin/sh", "args": ["sh", "-c", "echo $$ > /tmp/hook"], "env": ["PATH=/bin"] }]);
    let container = with_init("hooks").edit(|config| config["hooks"] = json!({ "startContainer": hook }));
    container.script("cat /tmp/hook; echo $PPID").run().prints("2\n1\n");
}

// ---- with a terminal ----

fn console(container: Container) -> (Container, Console) {
    let socket = ConsoleSocket::at(container.outside("console.sock"));
    let path = socket.path().to_string_lossy().into_owned();
    let container = container.with_terminal().option("--console-socket").option(&path);
    container.create().quietly();
    let console = socket.receive();
    container.start().quietly();
    (container, console)
}

// S0-16
#[test]
fn program_is_in_the_foreground_of_its_terminal() {
    has_init!();
    let (container, console) = console(with_init("terminal").script("echo by tty > /dev/tty; echo ready; sleep 1000"));
    console.wait_for("ready");
    assert!(console.text().starts_with("by tty\r\n"), "{}", console.text());
    let [_, _, group, session, terminal, foreground] = &stat(program_of(&container))[..] else { panic!("six") };
    assert_ne!(terminal, "0");
    assert_eq!(group, foreground, "the program is not in the foreground");
    assert_ne!(session, "0");
    // What is typed for the program is not for process 1.
    assert_ne!(&stat(container.pid())[2], foreground);
}

#[test]
fn control_c_reaches_the_program_behind_init() {
    has_init!();
    let terminal = Terminal::new(24, 80);
    let container = with_init("interrupt").with_terminal().in_terminal(&terminal);
    let container = container.script("trap 'echo interrupted; exit 9' INT; echo ready; while :; do sleep 0.02; done");
    let running = container.spawn();
    running.wait_for("ready");
    wait_until("it is raw", || terminal.is_raw());
    terminal.send("\x03");
    let output = running.wait().exits(9);
    assert_eq!(output.stdout, "ready\r\n^Cinterrupted\r\n");
    container.leaves_nothing();

    // Once, not once by the terminal and once by init.
    let container = with_init("interrupt").with_terminal().in_terminal(&terminal);
    let container = container
        .script("n=0; trap 'n=$((n+1)); echo $n' INT; trap 'exit 3' TERM; echo ready; while :; do sleep 0.02; done");
    let running = container.spawn();
    running.wait_for("ready");
    wait_until("it is raw", || terminal.is_raw());
    terminal.send("\x03");
    running.wait_for("1\r\n");
    thread::sleep(Duration::from_millis(100));
    running.signal(Signal::TERM);
    assert!(!running.wait().exits(3).stdout.contains("2\r\n"));
}

#[test]
fn interactive_shell_behind_init_has_job_control() {
    has_init!();
    let terminal = Terminal::new(24, 80);
    let container = with_init("jobs").with_terminal().in_terminal(&terminal).args(["sh", "-i"]);
    let running = container.spawn();
    terminal.wait_for_prompt(1);
    terminal.send("sleep 1000 &\n");
    terminal.wait_for_prompt(2);
    terminal.send("kill %1; wait; echo the end $((20+3))\n");
    running.wait_for("the end 23");
    terminal.wait_for_prompt(3);
    terminal.send("exit 4\n");
    let output = running.wait().exits(4);
    assert!(!output.stdout.contains("can't access tty") && !output.stdout.contains("job control"), "{output:?}");
}

#[test]
fn size_of_the_window_reaches_the_program_behind_init() {
    has_init!();
    let terminal = Terminal::new(31, 97);
    let container = with_init("size").with_terminal().in_terminal(&terminal);
    let container = container
        .script("trap 'stty size' WINCH; trap 'exit 3' TERM; stty size; echo ready; while :; do sleep 0.02; done");
    let running = container.spawn();
    running.wait_for("31 97\r\nready\r\n");
    terminal.resize(40, 120);
    running.wait_for("40 120\r\n");
    running.signal(Signal::TERM);
    running.wait().exits(3);
}

#[test]
fn last_words_behind_init_are_not_lost() {
    has_init!();
    let terminal = Terminal::new(24, 80);
    let container = with_init("last").with_terminal().in_terminal(&terminal).args(["echo", "the last words"]);
    for _ in 0..30 {
        container.spawn().wait().prints("the last words\r\n");
    }
    container.leaves_nothing();
}

#[test]
fn end_of_the_window_reaches_the_program_behind_init() {
    has_init!();
    let container = with_init("hangup")
        .script("trap 'echo hung up > /tmp/said; exit' HUP; echo ready; while :; do sleep 0.05; done");
    let (container, console) = console(container);
    console.wait_for("ready");
    console.hang_up();
    container.wait_for_file("tmp/said");
    container.wait_for("stopped");
}

// ---- without a pid namespace ----

// S3-11
#[test]
fn without_a_pid_namespace_it_is_a_subreaper() {
    has_init!();
    let script = "sh -c 'sleep 1000 & echo $! > /tmp/orphan'; sleep 0.05; echo $PPID > /tmp/parent; sleep 1000";
    let container = started(with_init("subreaper").without_namespace("pid").script(script));
    let parent = container.wait_for_file("tmp/parent");
    let orphan: i32 = container.wait_for_file("tmp/orphan").trim().parse().expect("a number");
    let init = container.pid();
    assert_eq!(parent.trim(), init.to_string());
    assert_eq!(stat(orphan)[1], init.to_string(), "the orphan has another parent");
    // And it is reaped.
    rustix::process::kill_process(rustix::process::Pid::from_raw(orphan).expect("above zero"), Signal::KILL)
        .expect("it lives");
    wait_until("the orphan is gone", || !fs::exists(format!("/proc/{orphan}")).expect("it can be asked"));
    container.delete_by_force().quietly();
    container.leaves_nothing();
}

// S3-12
#[test]
fn without_a_pid_namespace_it_relays_and_lingers_all_the_same() {
    has_init!();
    with_init("shared").without_namespace("pid").script("sleep 1000 & exit 7").run().exits(7);
    with_init("shared").without_namespace("pid").script("kill -TERM $$; sleep 1000").run().exits(143);
    let container = lingering("shared", 20_000).without_namespace("pid");
    let container = container.script("sh -c 'sleep 0.3; echo late > /tmp/late' & exit 7");
    container.run().exits(7);
    assert_eq!(fs::read_to_string(container.rootfs().join("tmp/late")).expect("it is written"), "late\n");
    let script = "trap 'exit 42' TERM; echo ready; while :; do sleep 0.02; done";
    let container = with_init("shared").without_namespace("pid").script(script);
    let foreground = container.spawn();
    foreground.wait_for("ready\n");
    container.kill("TERM").quietly();
    foreground.wait().exits(42);
}
