//! Terminals: the one a container gets, the socket it is sent to, and the relay between it and the caller's own.

use std::{
    fs,
    io::Write,
    thread,
    time::{Duration, Instant},
};

use runtime_tests::{
    Call, Console, ConsoleSocket, Container, Running, Terminal, differs, is_runc, mount_at, old_runc, require,
    wait_until,
};
use rustix::{
    process::Signal,
    termios::{LocalModes, OutputModes},
};
use serde_json::{Value, json};

const READY: &str = "ready";

/// A container whose terminal is sent to a socket of its own.
fn with_socket(name: &str) -> (Container, ConsoleSocket) {
    let container = Container::new(name).with_terminal().writable();
    let socket = ConsoleSocket::at(container.outside("console.sock"));
    let path = socket.path().to_string_lossy().into_owned();
    (container.option("--console-socket").option(&path), socket)
}

/// It runs this script, detached; the socket has received its terminal.
fn detached(name: &str, change: impl FnOnce(Container) -> Container, script: &str) -> (Container, Console) {
    let (container, socket) = with_socket(name);
    let container = change(container.script(script));
    container.create().quietly();
    let console = socket.receive();
    container.start().quietly();
    (container, console)
}

fn as_it_is(container: Container) -> Container {
    container
}

/// A container that sleeps, for `exec`.
fn sleeping(name: &str) -> Container {
    let container = Container::new(name).writable().args(["sleep", "1000"]);
    container.create().quietly();
    container.start().quietly();
    container
}

/// `exec` of a process that is described in a file.
fn exec_of(container: &Container, options: &[&str], process: &Value) -> Call {
    let file = container.outside("process.json");
    fs::write(&file, process.to_string()).expect("it can be written");
    container.call(["exec"]).args(options).arg("--process").arg(file).args([&container.id])
}

fn process(terminal: bool, script: &str) -> Value {
    json!({
        "terminal": terminal,
        "user": { "uid": 0, "gid": 0 },
        "args": ["sh", "-c", script],
        "env": ["PATH=/bin", "TERM=vt100"],
        "cwd": "/",
    })
}

/// The same script by `run` and by `exec --tty`, each in a terminal of 24 by 80.
fn by_run_and_exec(name: &str, script: &str, check: impl Fn(&Terminal, Running)) {
    let terminal = Terminal::new(24, 80);
    let container = Container::new(name).with_terminal().writable().script(script).in_terminal(&terminal);
    check(&terminal, container.spawn());
    container.leaves_nothing();

    let terminal = Terminal::new(24, 80);
    let container = sleeping(name);
    let exec = container.call(["exec", "--tty", &container.id, "sh", "-c", script]).in_terminal(&terminal);
    check(&terminal, exec.spawn());
    assert_eq!(container.status(), "running");
}

/// Seconds of CPU time that a process has used.
fn cpu_time(pid: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("it lives");
    let (_, rest) = stat.rsplit_once(") ").expect("it has a name");
    let fields: Vec<&str> = rest.split(' ').collect();
    let ticks = |at: usize| fields[at].parse::<f64>().expect("a number");
    // Fields 14 and 15, utime and stime, in ticks of 1/100 s.
    (ticks(11) + ticks(12)) / 100.0
}

/// How a terminal treats what goes through, to compare.
fn settings(terminal: &Terminal) -> String {
    format!("{:?}", terminal.settings())
}

// ---- sent to a socket ----

// S0-07, S0-08
#[test]
fn create_sends_the_terminal_to_the_console_socket() {
    let (container, socket) = with_socket("create");
    let container = container.script("tty; for fd in 0 1 2; do readlink /proc/$$/fd/$fd; done");
    container.create().quietly();
    // It is sent by create, not by start.
    let console = socket.receive();
    assert_eq!(console.text(), "");
    container.start().quietly();
    let text = console.wait_for_end();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 4, "{text:?}");
    assert!(lines[0].starts_with("/dev/pts/") && lines.iter().all(|line| line == &lines[0]), "{text:?}");
    assert!(socket.is_unused(), "more than one connection");
    container.wait_for("stopped");
}

#[test]
fn run_detached_sends_the_terminal_to_the_console_socket() {
    let (container, socket) = with_socket("run");
    let container = container.script("echo hello; sleep 1000").detached();
    container.run().quietly();
    socket.receive().wait_for("hello\r\n");
}

#[test]
fn exec_detached_sends_the_terminal_to_the_console_socket() {
    let container = sleeping("exec");
    let socket = ConsoleSocket::at(container.outside("console.sock"));
    let path = socket.path().to_string_lossy();
    let options = ["exec", "--detach", "--tty", "--console-socket", &path, &container.id];
    container.call(options).args(["sh", "-c", "tty; exec cat"]).output().quietly();
    let console = socket.receive();
    console.wait_for("/dev/pts/0\r\n");
    console.send("typed\n");
    console.wait_for("typed\r\ntyped\r\n");
    console.send("\x04");
    console.wait_for_end();
}

#[test]
fn message_is_the_name_of_a_terminal() {
    let (_container, console) = detached("name", as_it_is, "sleep 1000");
    assert!(console.name.starts_with("/dev/pt"), "{:?}", console.name);
    assert!(console.name.chars().all(|letter| letter.is_ascii_graphic()), "{:?}", console.name);
}

#[test]
fn what_is_typed_is_echoed_and_read() {
    let (container, console) = detached("typed", as_it_is, "read line; echo got $line");
    console.send("this\n");
    assert_eq!(console.wait_for_end(), "this\r\ngot this\r\n");
    container.wait_for("stopped");
}

#[test]
fn receiver_of_the_terminal_gets_it_as_the_kernel_made_it() {
    // ONLCR and its like are the business of whoever relays: conmon and containerd clear it themselves.
    let (_container, console) = detached("onlcr", as_it_is, "stty -a; sleep 1000");
    console.wait_for(" onlcr");
    let modes = console.settings();
    assert!(modes.output_modes.contains(OutputModes::ONLCR | OutputModes::OPOST));
    assert!(modes.local_modes.contains(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG));
}

#[test]
fn end_of_the_receiver_hangs_up_the_container() {
    // Nobody else may have the other side: not the runtime, not the container.
    let (container, console) =
        detached("hangup", as_it_is, "trap 'echo hung up > /tmp/said; exit' HUP; while :; do sleep 0.05; done");
    wait_until("it runs", || container.status() == "running");
    thread::sleep(Duration::from_millis(100));
    console.hang_up();
    container.wait_for_file("tmp/said");
    container.wait_for("stopped");
}

#[test]
fn program_has_no_other_descriptor_than_its_terminal() {
    let (container, console) = detached("open", as_it_is, "ls -l /proc/$$/fd; echo done; sleep 1000");
    console.wait_for("done");
    let text = console.text();
    let links: Vec<&str> = text.lines().filter_map(|line| line.split(" -> ").nth(1)).collect();
    assert_eq!(links, ["/dev/pts/0"; 3], "{text}");
    let outside = fs::read_dir(format!("/proc/{}/fd", container.pid())).expect("it lives").count();
    assert_eq!(outside, 3);
}

// ---- what the terminal is to the program ----

// S0-09
#[test]
fn window_has_the_size_of_the_config() {
    let sized = |container: Container| {
        container.edit(|config| config["process"]["consoleSize"] = json!({ "height": 33, "width": 101 }))
    };
    let (_container, console) = detached("size", sized, "stty size; sleep 1000");
    console.wait_for("33 101\r\n");
    assert_eq!(console.size(), (33, 101));
}

// S0-09
#[test]
fn window_without_a_size_has_none() {
    for size in [Value::Null, json!({ "height": 33, "width": 0 }), json!({ "height": 0, "width": 0 })] {
        let sized = |container: Container| container.edit(|config| config["process"]["consoleSize"] = size.clone());
        let (_container, console) = detached("size", sized, "echo ready; sleep 1000");
        console.wait_for(READY);
        assert_eq!(console.size(), (0, 0), "{size}");
    }
}

#[test]
fn receiver_may_change_the_size() {
    let (_container, console) =
        detached("resize", as_it_is, "trap 'stty size' WINCH; echo ready; while :; do sleep 0.02; done");
    console.wait_for(READY);
    console.resize(40, 120);
    console.wait_for("40 120\r\n");
}

#[test]
fn size_is_ignored_without_a_terminal() {
    Container::new("size")
        .edit(|config| config["process"]["consoleSize"] = json!({ "height": 33, "width": 101 }))
        .script("tty; test -t 1 || echo none")
        .run()
        .prints("not a tty\nnone\n");
}

#[test]
fn environment_is_that_of_the_config() {
    let vt100 = |container: Container| container.env("TERM=vt100");
    let (_container, console) = detached("term", vt100, "echo TERM=$TERM");
    assert_eq!(console.wait_for_end(), "TERM=vt100\r\n");
    let none = |container: Container| container.edit(|config| config["process"]["env"] = json!(["PATH=/bin"]));
    let (_container, console) = detached("term", none, "echo \"TERM=$TERM\"");
    assert_eq!(console.wait_for_end(), "TERM=\r\n");
}

// S0-16
#[test]
fn terminal_is_the_controlling_one() {
    // The fields of stat: session, terminal, its foreground process group.
    let script = "echo typed > /dev/tty; cut -d' ' -f1,5-8 /proc/self/stat; cat /proc/1/stat | cut -d' ' -f1,5-8; \
                  stat -L -c '%t %T' /dev/fd/0; sleep 1000";
    let (_container, console) = detached("control", as_it_is, script);
    console.wait_for("88 0\r\n");
    let text = console.text();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "typed");
    // Device 136:0; sh does not make groups for its children.
    assert!(lines[1].ends_with(" 1 1 34816 1"), "{text}");
    assert_eq!(lines[2], "1 1 1 34816 1", "process 1 is not what leads session and foreground group");
}

// S0-16, S4-03
#[test]
fn terminal_of_exec_is_its_controlling_one() {
    let script = "echo typed > /dev/tty; cut -d' ' -f1,5-8 /proc/$$/stat; echo $$";
    by_run_and_exec("control", script, |_, running| {
        let text = running.wait().ok();
        let lines: Vec<&str> = text.lines().collect();
        let shell = lines[2];
        assert_eq!(lines[0], "typed");
        assert_eq!(lines[1], format!("{shell} {shell} {shell} 34816 {shell}"), "{text}");
    });
}

// S0-16
#[test]
fn interactive_shell_has_job_control() {
    by_run_and_exec("jobs", "exec sh -i", |terminal, running| {
        terminal.wait_for_prompt(1);
        terminal.send("sleep 1000 &\n");
        terminal.wait_for_prompt(2);
        terminal.send("jobs; kill %1; wait; echo the end $((20+3))\n");
        running.wait_for("the end 23");
        terminal.wait_for_prompt(3);
        terminal.send("exit 4\n");
        let output = running.wait().exits(4);
        assert!(!output.stdout.contains("can't access tty") && !output.stdout.contains("job control"), "{output:?}");
        assert!(output.stdout.contains("[1]+ "), "{output:?}");
    });
}

#[test]
fn dev_console_is_the_terminal() {
    let script = "stat -c '%F %t:%T' /dev/console; echo by console > /dev/console; cat /proc/self/mountinfo; echo end";
    let (_container, console) = detached("console", as_it_is, script);
    let text = console.wait_for_end();
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some("character special file 88:0"));
    assert_eq!(lines.next(), Some("by console"));
    let mount = mount_at(&text.replace('\r', ""), "/dev/console");
    assert_eq!((mount.kind.as_str(), mount.root.as_str()), ("devpts", "/0"));
}

#[test]
fn there_is_no_dev_console_without_a_terminal() {
    Container::new("console").script("test -e /dev/console || echo none").run().prints("none\n");
}

// S4-03
#[test]
fn exec_leaves_dev_console_alone() {
    let terminal = Terminal::new(24, 80);
    let container = sleeping("console");
    let script = "test -e /dev/console || echo none; grep -c ' /dev/console ' /proc/self/mountinfo";
    let exec = container.call(["exec", "-t", &container.id, "sh", "-c", script]).in_terminal(&terminal);
    assert_eq!(exec.output().stdout, "none\r\n0\r\n");
}

// S0-07
#[test]
fn terminal_belongs_to_the_user_of_the_container() {
    for (uid, gid) in [(0, 0), (1000, 1000), (65534, 3)] {
        let user = |container: Container| container.user(uid, gid);
        let script = "stat -c '%u:%g %a' $(tty); stat -c '%u' /dev/console; echo can > /dev/tty; echo be > $(tty); \
                      echo opened > /dev/console";
        let (_container, console) = detached("owner", user, script);
        assert_eq!(console.wait_for_end(), format!("{uid}:5 620\r\n{uid}\r\ncan\r\nbe\r\nopened\r\n"));
    }
}

// S4-07
#[test]
fn terminal_of_exec_belongs_to_its_user() {
    let terminal = Terminal::new(24, 80);
    let container = sleeping("owner");
    let script = "stat -c '%u:%g %a' $(tty); echo opened > $(tty)";
    let exec = container.call(["exec", "-t", "--user", "1000:1000", &container.id, "sh", "-c", script]);
    assert_eq!(exec.in_terminal(&terminal).output().stdout, "1000:5 620\r\nopened\r\n");
}

// ---- exec and what is in process.json ----

#[test]
fn process_json_decides_about_the_terminal() {
    let terminal = Terminal::new(24, 80);
    let container = sleeping("json");
    let script = "if test -t 0; then tty; echo $TERM; else echo none; fi";
    let exec = |options: &[&str], wanted| {
        let call = exec_of(&container, options, &process(wanted, script)).in_terminal(&terminal);
        call.through("exec \"$@\" </dev/null")
    };
    assert_eq!(exec(&[], true).output().ok(), "/dev/pts/0\r\nvt100\r\n");
    assert_eq!(exec(&["--tty"], true).output().ok(), "/dev/pts/0\r\nvt100\r\n");
    assert_eq!(exec(&["--tty"], false).output().ok(), "none\r\n");
    assert_eq!(exec(&[], false).output().ok(), "none\r\n");
}

#[test]
fn exec_without_tty_has_none_although_the_container_has_one() {
    let (container, console) = detached("without", as_it_is, "echo ready; sleep 1000");
    console.wait_for(READY);
    container.call(["exec", &container.id, "sh", "-c", "test -t 1 || echo none"]).output().prints("none\n");
}

// S0-09
#[test]
fn size_in_process_json_counts() {
    let container = sleeping("json");
    let socket = ConsoleSocket::at(container.outside("console.sock"));
    let path = socket.path().to_string_lossy();
    let mut process = process(true, "stty size");
    process["consoleSize"] = json!({ "height": 10, "width": 110 });
    exec_of(&container, &["--detach", "--console-socket", &path], &process).output().quietly();
    assert_eq!(socket.receive().wait_for_end(), "10 110\r\n");
}

// ---- refused ----

/// The connection to the engine takes a number too, and must not be taken for the caller's.
#[test]
fn console_socket_is_not_a_descriptor_to_preserve() {
    let (container, _socket) = with_socket("preserve");
    let container = container.option("--preserve-fds=1").args(["true"]);
    require!(!old_runc(), "this runc does not look whether a preserved descriptor is open");
    container.create().refused().says("3");
}

#[test]
fn detached_without_a_console_socket_is_refused() {
    let words = "cannot allocate tty if runc will detach without setting console socket";
    let container = Container::new("nosocket").with_terminal().args(["true"]);
    container.create().refused().says(words);
    let container = container.option("--detach");
    container.creating("run").output().refused().says(words);
    container.leaves_nothing();
    let container = sleeping("nosocket");
    let exec = container.call(["exec", "--detach", "--tty", &container.id, "true"]);
    exec.output().exits(255).says(words);
    exec_of(&container, &["--detach"], &process(true, "true")).output().exits(255).says(words);
}

#[test]
fn console_socket_without_use_is_refused() {
    let words = "cannot use console socket if runc will not detach or allocate tty";
    let (container, socket) = with_socket("unused");
    // In the foreground, with a terminal.
    container.creating("run").output().refused().says(words);
    // Detached, without one.
    let container = container.edit(|config| config["process"]["terminal"] = json!(false)).args(["sleep", "1000"]);
    container.create().refused().says(words);
    container.run().refused().says(words);
    let container = container.option("--detach");
    container.creating("run").output().refused().says(words);
    container.leaves_nothing();
    assert!(socket.is_unused());

    let container = sleeping("unused");
    let path = socket.path().to_string_lossy();
    for options in [&["--tty"][..], &["--detach"], &[]] {
        let exec = container.call(["exec", "--console-socket", &path]).args(options).args([&container.id, "true"]);
        exec.output().exits(255).says(words);
    }
    assert!(socket.is_unused());
}

#[test]
fn console_socket_that_can_not_be_reached_is_named() {
    let container = Container::new("deaf").with_terminal().args(["true"]);
    let missing = container.outside("missing.sock");
    let plain = container.outside("plain");
    fs::write(&plain, "no socket").expect("it can be written");
    let left = container.outside("left.sock");
    // Whoever listened there has gone.
    drop(std::os::unix::net::UnixListener::bind(&left).expect("it can be bound"));
    let below_a_file = plain.join("below");
    let long = container.outside(&"x".repeat(120));
    for (path, answer) in [
        (&missing, "no such file or directory"),
        (&plain, "connection refused"),
        (&left, "connection refused"),
        (&below_a_file, "not a directory"),
        (&long, ""),
    ] {
        let path = path.to_string_lossy();
        let container = Container::new("deaf").with_terminal().args(["true"]);
        let container = container.option("--console-socket").option(&path);
        container.create().refused().says(&path).says(answer);
        let container = container.option("--detach");
        container.creating("run").output().refused().says(&path).says(answer);
        container.leaves_nothing();
    }
    let container = sleeping("deaf");
    let path = missing.to_string_lossy();
    let exec = container.call(["exec", "-d", "-t", "--console-socket", &path, &container.id, "touch", "/tmp/ran"]);
    exec.output().exits(255).says(&path).says("no such file or directory");
    assert!(!container.rootfs().join("tmp/ran").exists());
    assert_eq!(container.processes().len(), 1, "something is left of exec");
}

#[test]
fn program_that_is_missing_is_reported_with_a_terminal_too() {
    let terminal = Terminal::new(24, 80);
    let container = Container::new("missing").with_terminal().args(["/no/such/program"]).in_terminal(&terminal);
    let before = settings(&terminal);
    let output = container.run();
    assert_ne!(output.code, 0);
    assert!(output.stdout.contains("no such file or directory"), "{output:?}");
    assert_eq!(settings(&terminal), before);

    let (container, socket) = with_socket("missing");
    container.args(["/no/such/program"]).create().refused().says("no such file or directory");
    drop(socket);
}

#[test]
fn terminal_without_devpts_is_refused() {
    let (container, _socket) = with_socket("nopts");
    container.without_mount("/dev/pts").args(["true"]).create().refused();
}

// ---- in the foreground ----

// S0-04
#[test]
fn terminal_of_the_caller_is_raw_while_it_runs_and_as_before_afterwards() {
    by_run_and_exec("raw", "echo ready; read line; echo got $line; exit 6", |terminal, running| {
        running.wait_for(READY);
        wait_until("it is raw", || terminal.is_raw());
        // What is written to it by others still gets its line ends.
        assert!(terminal.settings().output_modes.contains(OutputModes::OPOST | OutputModes::ONLCR));
        terminal.send("this\r");
        let output = running.wait().exits(6);
        // The echo is the container's: once.
        assert_eq!(output.stdout, "ready\r\nthis\r\ngot this\r\n");
        assert!(!terminal.is_raw());
        assert_eq!(settings(terminal), settings(&Terminal::new(24, 80)));
    });
}

// S0-04
#[test]
fn terminal_of_the_caller_is_restored_after_a_signal() {
    for (signal, name) in [(Signal::TERM, "TERM"), (Signal::HUP, "HUP"), (Signal::INT, "INT"), (Signal::QUIT, "QUIT")] {
        if signal == Signal::INT && differs("interrupt-with-a-terminal") {
            continue;
        }
        let script = format!("trap 'echo by {name}; exit 3' {name}; echo ready; while :; do sleep 0.02; done");
        by_run_and_exec("signal", &script, |terminal, running| {
            running.wait_for(READY);
            wait_until("it is raw", || terminal.is_raw());
            running.signal(signal);
            let output = running.wait().exits(3);
            assert_eq!(output.stdout, format!("ready\r\nby {name}\r\n"));
            assert_eq!(settings(terminal), settings(&Terminal::new(24, 80)));
        });
    }
}

// S0-04, S0-12
#[test]
fn terminal_of_the_caller_is_restored_when_the_container_is_killed() {
    let terminal = Terminal::new(24, 80);
    let container = Container::new("killed").with_terminal().script("echo ready; sleep 1000").in_terminal(&terminal);
    let before = settings(&terminal);
    let running = container.spawn();
    running.wait_for(READY);
    container.kill("KILL").quietly();
    running.wait().exits(137);
    assert_eq!(settings(&terminal), before);
    container.leaves_nothing();
}

// S0-04
#[test]
fn terminal_of_the_caller_is_as_before_after_an_error() {
    let terminal = Terminal::new(24, 80);
    let before = settings(&terminal);
    let container = Container::new("error").with_terminal().in_terminal(&terminal);
    let taken = sleeping("taken");
    for (what, change) in [
        ("cwd", json!({ "process": { "cwd": "relative" } })),
        (
            "source",
            json!({ "mounts": [{ "destination": "/mnt", "type": "bind", "source": "/no/such/source", "options": ["bind"] }] }),
        ),
    ] {
        let mut container = Container::new("error").with_terminal().args(["true"]).in_terminal(&terminal);
        if what == "cwd" {
            container.config["process"]["cwd"] = change["process"]["cwd"].clone();
        } else {
            container.config["mounts"] = change["mounts"].clone();
        }
        assert_ne!(container.run().code, 0, "{what}");
        assert_eq!(settings(&terminal), before, "{what}");
    }
    drop(container);
    let exec = taken.call(["exec", "-t", &taken.id, "/no/such/program"]).in_terminal(&terminal);
    assert_ne!(exec.output().code, 0);
    assert_eq!(settings(&terminal), before);
}

// S0-04
#[test]
fn settings_that_the_caller_had_made_come_back() {
    let terminal = Terminal::new(24, 80);
    let container = Container::new("settings").with_terminal().args(["stty", "-a"]);
    let container =
        container.in_terminal(&terminal).through("stty -echo -onlcr intr ^X; stty -g >&2; \"$@\"; stty -g >&2");
    let output = container.run();
    let lines: Vec<&str> = output.stdout.lines().map(str::trim).collect();
    assert!(lines.len() > 3, "{output:?}");
    assert_eq!(lines.first(), lines.last());
    // The container's is its own.
    assert!(output.stdout.contains("intr = ^C"), "{output:?}");
}

// S0-09
#[test]
fn window_has_the_size_of_the_callers() {
    let terminal = Terminal::new(31, 97);
    let size = Container::new("size").with_terminal().script("sleep 0.1; stty size").in_terminal(&terminal);
    assert_eq!(size.run().stdout, "31 97\r\n");
    let container = sleeping("size");
    let exec = container.call(["exec", "-t", &container.id, "sh", "-c", "sleep 0.1; stty size"]).in_terminal(&terminal);
    assert_eq!(exec.output().stdout, "31 97\r\n");
}

// S0-09
#[test]
fn window_has_its_size_before_the_program_runs() {
    if differs("terminal-is-set-up-late") {
        return;
    }
    let terminal = Terminal::new(31, 97);
    for _ in 0..10 {
        let size = Container::new("size").with_terminal().args(["stty", "size"]).in_terminal(&terminal);
        assert_eq!(size.run().stdout, "31 97\r\n");
    }
}

// S0-09
#[test]
fn size_of_the_config_comes_before_the_callers() {
    let terminal = Terminal::new(31, 97);
    let container = Container::new("size")
        .with_terminal()
        .edit(|config| config["process"]["consoleSize"] = json!({ "height": 12, "width": 34 }))
        .script("sleep 0.1; stty size")
        .in_terminal(&terminal);
    let output = container.run();
    if !differs("size-of-the-config") {
        assert_eq!(output.stdout, "12 34\r\n");
    }
}

// S0-09
#[test]
fn size_comes_from_whichever_stream_is_a_terminal() {
    for streams in ["</dev/null", ">/dev/null", "</dev/null >/dev/null"] {
        let terminal = Terminal::new(31, 97);
        let container = Container::new("size")
            .with_terminal()
            .writable()
            .script("sleep 0.1; stty size > /tmp/size")
            .in_terminal(&terminal)
            .through(&format!("exec \"$@\" {streams}"));
        assert_eq!(container.run().code, 0, "{streams}");
        let size = fs::read_to_string(container.rootfs().join("tmp/size")).expect("it is written");
        assert_eq!(size, "31 97\n", "{streams}");
    }
}

// S0-09, S0-10
#[test]
fn program_that_draws_sees_every_change_of_the_size() {
    let script = "draw() { printf '\\033[H\\033[2J<%s>\\n' \"$(stty size)\"; }; trap draw WINCH; trap 'exit 5' TERM; \
                  echo ready; while :; do sleep 0.01; done";
    by_run_and_exec("draw", script, |terminal, running| {
        running.wait_for(READY);
        for step in 1..=20 {
            let (rows, columns) = (24 + step, 80 + 2 * step);
            terminal.resize(rows, columns);
            running.wait_for(&format!("\x1b[H\x1b[2J<{rows} {columns}>\r\n"));
        }
        running.signal(Signal::TERM);
        running.wait().exits(5);
    });
}

// S0-10
#[test]
fn nothing_of_a_megabyte_is_lost_when_it_is_read_slowly() {
    const LINES: u32 = 155_000;
    let script = format!("echo begin; seq 1 {LINES}; echo end");
    let expected: String =
        (1..=LINES).fold("begin\r\n".to_owned(), |text, number| text + &format!("{number}\r\n")) + "end\r\n";
    assert!(expected.len() > 1 << 20);
    by_run_and_exec("megabyte", &script, |terminal, running| {
        terminal.read_slowly(1 << 12, Duration::from_millis(2));
        // What is left when the program has ended is most of it, if the relay takes in more than it can pass on.
        terminal.wait_for("\r\n20000\r\n");
        terminal.hold();
        thread::sleep(Duration::from_millis(300));
        terminal.read_slowly(1 << 14, Duration::from_millis(1));
        let pid = running.pid();
        let mut running = running;
        let mut cpu = 0.0;
        wait_until("it has ended", || {
            // It can be asked until it is waited for.
            cpu = cpu_time(pid);
            running.has_ended()
        });
        let text = running.wait().ok();
        assert_eq!(text.len(), expected.len());
        assert!(text == expected, "the bytes differ");
        assert!(cpu < 2.0, "{cpu} s of CPU time for a megabyte");
    });
}

// S0-10
#[test]
fn bytes_of_every_value_pass_in_both_directions() {
    let script = "stty raw -echo -opost; echo ready; head -c 256 > /tmp/all; cat /tmp/all; echo; stty sane";
    by_run_and_exec("bytes", script, |terminal, running| {
        running.wait_for("ready");
        wait_until("it is raw", || terminal.is_raw());
        let all: Vec<u8> = (0..=255).collect();
        let before = terminal.bytes().len();
        terminal.send(&all);
        let output = running.wait();
        assert_eq!(output.code, 0, "{output:?}");
        // The caller's terminal makes \r\n of the \n among them.
        let mut expected = all.clone();
        expected.insert(10, b'\r');
        let bytes = terminal.bytes();
        assert!(bytes[before.min(bytes.len())..].windows(expected.len()).any(|part| part == expected), "{bytes:?}");
    });
}

// S0-10
#[test]
fn nothing_of_a_large_input_is_lost() {
    const SIZE: usize = 200_000;
    let script = format!("stty raw -echo; echo ready; sleep 0.3; head -c {SIZE} > /tmp/got; echo done; sleep 0.1");
    let sent: Vec<u8> = (0..SIZE).map(|at| b"abcdefghijklmnopqrstuvwxyz\n"[at % 27]).collect();
    let terminal = Terminal::new(24, 80);
    let container = Container::new("input").with_terminal().writable().script(&script).in_terminal(&terminal);
    let running = container.spawn();
    running.wait_for("ready");
    wait_until("it is raw", || terminal.is_raw());
    let mut keyboard = terminal.keyboard();
    let copy = sent.clone();
    // More than the buffers of two terminals: nobody takes it for a while.
    let typist = thread::spawn(move || keyboard.write_all(&copy));
    running.wait_for("done");
    typist.join().expect("it ends").expect("all can be typed");
    running.wait().exits(0);
    let got = fs::read(container.rootfs().join("tmp/got")).expect("it is written");
    assert_eq!(got.len(), sent.len());
    assert!(got == sent, "the bytes differ");
}

// S0-10
#[test]
fn last_words_are_never_lost() {
    // RT_TEST_ROUNDS=10000 for the long form.
    let rounds = std::env::var("RT_TEST_ROUNDS").map_or(150, |rounds| rounds.parse().expect("a number"));
    let terminal = Terminal::new(24, 80);
    let container = Container::new("last").with_terminal().in_terminal(&terminal).args(["echo", "the last words"]);
    for round in 0..rounds {
        let output = container.spawn().wait();
        assert_eq!((output.code, output.stdout.as_str()), (0, "the last words\r\n"), "round {round}: {output:?}");
    }
    container.leaves_nothing();
    let container = sleeping("last");
    for round in 0..rounds / 2 {
        let exec = container.call(["exec", "-t", &container.id, "echo", "the last words"]).in_terminal(&terminal);
        let output = exec.output();
        assert_eq!((output.code, output.stdout.as_str()), (0, "the last words\r\n"), "round {round}: {output:?}");
    }
}

// S0-10
#[test]
fn last_words_are_not_lost_although_much_came_before() {
    let script = "head -c 60000 /dev/zero | tr '\\0' x; echo; echo the last words";
    by_run_and_exec("last", script, |terminal, running| {
        terminal.hold();
        // The program can't write all of it, and the relay holds some of it; then it ends.
        thread::sleep(Duration::from_millis(200));
        terminal.release();
        let text = running.wait().ok();
        assert_eq!(text.len(), 60_000 + 2 + 16);
        assert!(text.ends_with("xxx\r\nthe last words\r\n"));
    });
}

// S0-10, S0-11
#[test]
fn end_of_the_input_is_passed_on() {
    if differs("end-of-input") {
        return;
    }
    for input in ["printf 'one\\ntwo\\n' |", "printf 'one\\ntwo\\n' | (sleep 0.2; cat) |"] {
        let terminal = Terminal::new(24, 80);
        let container = Container::new("eof")
            .with_terminal()
            .script("stty -echo; cat; echo end")
            .in_terminal(&terminal)
            .through(&format!("{input} \"$@\""));
        let output = container.run();
        // What came before echo was off may show.
        assert!(output.stdout.ends_with("one\r\ntwo\r\nend\r\n"), "{output:?}");
    }
}

// S0-11
#[test]
fn input_that_is_empty_does_no_harm() {
    for stdin in ["</dev/null", "<&-"] {
        let terminal = Terminal::new(24, 80);
        let container =
            Container::new("empty").with_terminal().script("sleep 0.2; echo fine; tty").in_terminal(&terminal);
        let container = container.through(&format!("exec \"$@\" {stdin}"));
        assert_eq!(container.run().ok(), "fine\r\n/dev/pts/0\r\n", "{stdin}");
    }
}

#[test]
fn callers_without_any_terminal_can_give_one() {
    if differs("no-terminal-at-all") {
        return;
    }
    Container::new("none").with_terminal().script("tty; echo fine").run().prints("/dev/pts/0\nfine\n");
    let container = sleeping("none");
    container.call(["exec", "-t", &container.id, "tty"]).output().prints("/dev/pts/0\n");
    let output = Container::new("none").with_terminal().script("read line; echo got $line").stdin("this\n").run();
    assert!(output.stdout.ends_with("got this\n"), "{output:?}");
}

// S0-10
#[test]
fn output_may_go_to_a_file() {
    let terminal = Terminal::new(24, 80);
    let container = Container::new("file").with_terminal().script("echo one; echo two >&2; seq 1 20000");
    let file = container.outside("output");
    let container = container.in_terminal(&terminal).through(&format!("exec \"$@\" > {}", file.display()));
    let before = settings(&terminal);
    assert_eq!(container.run().ok(), "");
    let expected = (1..=20_000).fold("one\ntwo\n".to_owned(), |text, number| text + &format!("{number}\n"));
    // ONLCR is cleared: nobody would take the \r away again.
    let text = fs::read_to_string(file).expect("it is written");
    let text = if differs("terminal-is-set-up-late") { text.replace('\r', "") } else { text };
    assert!(text == expected, "the bytes differ: {:?}", &text[..40.min(text.len())]);
    assert_eq!(settings(&terminal), before);
}

#[test]
fn control_c_reaches_the_program_through_its_terminal() {
    let script = "trap 'echo interrupted; exit 9' INT; trap 'echo quit' QUIT; echo ready; while :; do sleep 0.02; done";
    by_run_and_exec("interrupt", script, |terminal, running| {
        running.wait_for(READY);
        wait_until("it is raw", || terminal.is_raw());
        terminal.send("\x1c");
        running.wait_for("quit");
        terminal.send("\x03");
        let output = running.wait().exits(9);
        // Echoed by the terminal of the container.
        assert!(output.stdout.starts_with("ready\r\n^\\"), "{output:?}");
        assert!(output.stdout.ends_with("quit\r\n^Cinterrupted\r\n"), "{output:?}");
    });
}

#[test]
fn control_c_ends_a_program_in_the_foreground_only() {
    by_run_and_exec("interrupt", "exec sh -i", |terminal, running| {
        terminal.wait_for_prompt(1);
        terminal.send("sleep 1000\n");
        thread::sleep(Duration::from_millis(300));
        terminal.send("\x03");
        terminal.wait_for_prompt(2);
        terminal.send("echo status $?\n");
        running.wait_for("status 130");
        terminal.wait_for_prompt(3);
        terminal.send("exit 0\n");
        running.wait().ok();
    });
}

// S0-10
#[test]
fn relay_sleeps_while_one_side_is_slow() {
    by_run_and_exec("idle", "stty raw -echo; echo ready; trap 'exit 3' TERM; seq 1 100000", |terminal, running| {
        running.wait_for(READY);
        terminal.hold();
        // Both directions are full: nobody reads what is typed either.
        let mut keyboard = terminal.keyboard();
        // It ends with the test.
        thread::spawn(move || keyboard.write_all(&[b'x'; 100_000]));
        thread::sleep(Duration::from_millis(300));
        let before = cpu_time(running.pid());
        thread::sleep(Duration::from_secs(1));
        let used = cpu_time(running.pid()) - before;
        assert!(used < 0.1, "{used} s of CPU time in a second of waiting");
        terminal.release();
        running.signal(Signal::TERM);
        running.wait().exits(3);
    });
}

// S0-10
#[test]
fn relay_sleeps_while_nobody_has_the_terminal_open() {
    // It is closed by all, and the program goes on.
    let script = "echo ready; exec sleep 1.5 </dev/null >/dev/null 2>&1";
    by_run_and_exec("closed", script, |_, mut running| {
        running.wait_for(READY);
        thread::sleep(Duration::from_millis(200));
        let before = cpu_time(running.pid());
        thread::sleep(Duration::from_millis(700));
        let used = cpu_time(running.pid()) - before;
        assert!(!running.has_ended(), "the call has ended before the program");
        assert!(used < 0.1, "{used} s of CPU time in 0.7 s of waiting");
        running.wait().ok();
    });
}

// S0-10
#[test]
fn terminal_that_is_opened_again_is_relayed_again() {
    let script = "exec </dev/null >/dev/null 2>&1; sleep 0.3; echo back > /dev/console; sleep 0.1; exit 4";
    let terminal = Terminal::new(24, 80);
    let container = Container::new("again").with_terminal().script(script).in_terminal(&terminal);
    let output = container.run().exits(4);
    assert_eq!(output.stdout, "back\r\n");
}

#[test]
fn call_ends_with_the_program_although_somebody_holds_the_terminal() {
    let container = sleeping("held");
    let terminal = Terminal::new(24, 80);
    let script = "trap '' HUP; sleep 1000 & echo done";
    let started = Instant::now();
    let exec = container.call(["exec", "-t", &container.id, "sh", "-c", script]).in_terminal(&terminal);
    assert_eq!(exec.output().stdout, "done\r\n");
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[test]
fn window_that_is_closed_hangs_up_the_container() {
    let terminal = Terminal::new(24, 80);
    let script = "trap 'echo hung up > /tmp/said; exit 3' HUP; echo ready; while :; do sleep 0.02; done";
    let container = Container::new("window").with_terminal().writable().script(script).in_terminal(&terminal);
    let mut running = container.spawn();
    running.wait_for(READY);
    terminal.hang_up();
    assert_eq!(container.wait_for_file("tmp/said"), "hung up\n");
    wait_until("the call ends", || running.has_ended());
    container.leaves_nothing();
}

// S0-12
#[test]
fn status_of_the_program_is_that_of_the_call() {
    by_run_and_exec("status", "exit 7", |_, running| drop(running.wait().exits(7)));
    by_run_and_exec("status", "sh -c 'kill -9 $$'; exit $?", |_, running| drop(running.wait().exits(137)));
}

#[test]
fn pid_file_is_written_with_a_terminal_too() {
    let terminal = Terminal::new(24, 80);
    let container = Container::new("pid").with_terminal().script("echo ready; read line").in_terminal(&terminal);
    let file = container.outside("the.pid").to_string_lossy().into_owned();
    let container = container.option("--pid-file").option(&file);
    let running = container.spawn();
    running.wait_for(READY);
    wait_until("the pid file is written", || {
        fs::read_to_string(&file).is_ok_and(|pid| pid == container.pid().to_string())
    });
    wait_until("it is raw", || terminal.is_raw());
    terminal.send("\r");
    running.wait().ok();
}

#[test]
fn terminal_of_the_caller_is_out_of_reach() {
    // TIOCSTI and its like need a terminal of the caller: there is none to be had.
    let terminal = Terminal::new(24, 80);
    let script = "for fd in /proc/$$/fd/*; do readlink $fd; done; cat /proc/self/mountinfo | grep -c devpts";
    let container = Container::new("reach").with_terminal().script(script).in_terminal(&terminal);
    let text = container.run().ok();
    // Its own devpts, and /dev/console of it.
    assert_eq!(text.lines().last(), Some("2"), "{text}");
    assert!(text.lines().filter(|line| line.contains("/dev/pts")).all(|line| line == "/dev/pts/0"), "{text}");
    assert!(!is_runc() || text.contains("/dev/pts/0"));
}
