//! One container: its bundle, its config, and the calls of the runtime about it.

use std::{
    env,
    fs::{self, Permissions},
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::{Path, PathBuf},
    process,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::{
    Output, Running,
    call::{Call, wait_until},
    config, leaks,
    pty::Terminal,
    rootfs,
};

/// A container in the making, then a container. Dropping it deletes it, and checks that nothing of it is left.
pub struct Container {
    /// The name it is given to the runtime by; no other container has it.
    pub id: String,
    /// The config, written to the bundle whenever the container is created or run.
    pub config: Value,
    home: PathBuf,
    state: PathBuf,
    written: Option<String>,
    globals: Vec<String>,
    options: Vec<String>,
    shell: Option<String>,
    stdin: Option<PathBuf>,
    terminal: Option<Terminal>,
    environment: Vec<(String, String)>,
    detached: bool,
    may_leak: bool,
}

impl Container {
    /// A bundle with the base config and a busybox rootfs.
    pub fn new(name: &str) -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        assert!(
            env::var_os("RT_TEST_VIEW").is_some(),
            "these tests handle mounts, cgroups and processes as root: run them by runtime-tests/in-view"
        );
        // Of one length, so that no name begins with another: what is left of a container is found by its name.
        let id = format!("{name}-{}-{:04}", process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let home = env::temp_dir().join(format!("rt-{id}"));
        let builder = fs::DirBuilder::new();
        for directory in [home.clone(), home.join("bundle"), home.join("bundle/rootfs"), home.join("calls")] {
            builder.create(directory).expect("the bundle can be made");
        }
        rootfs::make(&home.join("bundle/rootfs"));
        let state = home.join("state");
        fs::DirBuilder::new().mode(0o700).create(&state).expect("the state directory can be made");
        Self {
            id,
            config: config::base_config(),
            home,
            state,
            written: None,
            globals: Vec::new(),
            options: Vec::new(),
            shell: None,
            stdin: None,
            terminal: None,
            environment: Vec::new(),
            detached: false,
            may_leak: false,
        }
    }

    // ---- what it shall be ----

    /// The program it runs.
    pub fn args<'a>(self, args: impl IntoIterator<Item = &'a str>) -> Self {
        let args: Vec<_> = args.into_iter().collect();
        self.edit(|config| config["process"]["args"] = json!(args))
    }

    /// A program for its shell.
    pub fn script(self, text: &str) -> Self {
        self.args(["sh", "-c", text])
    }

    /// Change the config.
    pub fn edit(mut self, change: impl FnOnce(&mut Value)) -> Self {
        change(&mut self.config);
        self
    }

    /// Add a mount.
    pub fn mount(self, kind: &str, source: impl AsRef<Path>, destination: &str, options: &[&str]) -> Self {
        let source = source.as_ref().to_owned();
        self.edit(|config| {
            let mount = json!({ "type": kind, "source": source, "destination": destination, "options": options });
            config::push(&mut config["mounts"], mount);
        })
    }

    /// Take the mount at a destination out of the config.
    pub fn without_mount(self, destination: &str) -> Self {
        self.edit(|config| config::remove(&mut config["mounts"], |mount| mount["destination"] == destination))
    }

    /// Its process gets a terminal.
    pub fn with_terminal(self) -> Self {
        self.edit(|config| config["process"]["terminal"] = json!(true))
    }

    /// A root filesystem that can be written to.
    pub fn writable(self) -> Self {
        self.edit(|config| config["root"]["readonly"] = json!(false))
    }

    /// Add a capability to the bounding, effective and permitted sets.
    pub fn capability(self, name: &str) -> Self {
        self.edit(|config| {
            for set in ["bounding", "effective", "permitted"] {
                config::push(&mut config["process"]["capabilities"][set], json!(name));
            }
        })
    }

    /// Add a variable to the environment of its process.
    pub fn env(self, variable: &str) -> Self {
        self.edit(|config| config::push(&mut config["process"]["env"], json!(variable)))
    }

    /// Run as this user and group.
    pub fn user(self, uid: u32, gid: u32) -> Self {
        self.edit(|config| config["process"]["user"] = json!({ "uid": uid, "gid": gid }))
    }

    /// Add a new namespace.
    pub fn namespace(self, kind: &str) -> Self {
        self.edit(|config| config::push(&mut config["linux"]["namespaces"], json!({ "type": kind })))
    }

    /// Share the namespace of the caller.
    pub fn without_namespace(self, kind: &str) -> Self {
        self.edit(|config| config::remove(&mut config["linux"]["namespaces"], |namespace| namespace["type"] == kind))
    }

    /// Join the namespace that is found at a path.
    pub fn join(self, kind: &str, path: &str) -> Self {
        self.without_namespace(kind)
            .edit(|config| config::push(&mut config["linux"]["namespaces"], json!({ "type": kind, "path": path })))
    }

    /// Nothing masked, nothing made read-only below /proc and /sys.
    pub fn unmasked(self) -> Self {
        self.edit(|config| {
            config["linux"]["maskedPaths"] = json!([]);
            config["linux"]["readonlyPaths"] = json!([]);
        })
    }

    /// Write a file into its root filesystem.
    pub fn file(self, path: &str, content: &str) -> Self {
        self.write(path, content);
        self
    }

    /// Write a program into its root filesystem.
    pub fn program(self, path: &str, content: &str) -> Self {
        self.write(path, content);
        self.mode(path, 0o755)
    }

    /// Copy a program of the machine into its root filesystem.
    pub fn program_from(self, path: &str, program: impl AsRef<Path>) -> Self {
        let target = self.rootfs().join(path);
        // By another process: see the root filesystem's programs.
        let copied = process::Command::new("cp").arg(program.as_ref()).arg(target).status().expect("cp runs").success();
        assert!(copied, "{} can be copied", program.as_ref().display());
        self
    }

    /// Set the mode of a file of its root filesystem.
    pub fn mode(self, path: &str, mode: u32) -> Self {
        fs::set_permissions(self.rootfs().join(path), Permissions::from_mode(mode)).expect("the mode can be set");
        self
    }

    /// Make a directory in its root filesystem.
    pub fn directory(self, path: &str) -> Self {
        fs::create_dir_all(self.rootfs().join(path)).expect("a directory can be made");
        self
    }

    /// Replace whatever is at a path of its root filesystem by a symbolic link.
    pub fn link(self, path: &str, target: impl AsRef<Path>) -> Self {
        let path = self.rootfs().join(path);
        leaks::remove(path.clone());
        std::os::unix::fs::symlink(target, path).expect("a link can be made");
        self
    }

    /// Give this text, and no other, as config.json.
    pub fn config_text(mut self, text: &str) -> Self {
        self.written = Some(text.to_owned());
        self
    }

    /// An option of the runtime itself, before the command.
    pub fn global(mut self, option: &str) -> Self {
        self.globals.push(option.to_owned());
        self
    }

    /// An option of `create` and `run`.
    pub fn option(mut self, option: &str) -> Self {
        self.options.push(option.to_owned());
        self
    }

    /// `run` is to come back at once, and the container to live on.
    pub fn detached(mut self) -> Self {
        self.detached = true;
        self.option("--detach")
    }

    /// Call `create` and `run` from a shell, which finds them in `"$@"`.
    pub fn through(mut self, text: &str) -> Self {
        self.shell = Some(text.to_owned());
        self
    }

    /// What `create` and `run` read from standard input.
    pub fn stdin(mut self, text: &str) -> Self {
        let file = self.home.join("stdin");
        fs::write(&file, text).expect("the file can be written");
        self.stdin = Some(file);
        self
    }

    /// Call `create` and `run` in a terminal.
    pub fn in_terminal(mut self, terminal: &Terminal) -> Self {
        self.terminal = Some(terminal.clone());
        self
    }

    /// A variable in the environment of the runtime.
    pub fn caller_env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    // ---- where it is ----

    /// The bundle.
    pub fn bundle(&self) -> PathBuf {
        self.home.join("bundle")
    }

    /// The root filesystem, seen from outside.
    pub fn rootfs(&self) -> PathBuf {
        self.bundle().join("rootfs")
    }

    /// A place for the files of the test itself, outside of the bundle.
    pub fn outside(&self, name: &str) -> PathBuf {
        self.home.join(name)
    }

    /// What the runtime is given as `--root`.
    pub fn state_root(&self) -> &Path {
        &self.state
    }

    /// Write a file of its root filesystem.
    pub fn write(&self, path: &str, content: &str) {
        let path = self.rootfs().join(path);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).expect("a directory can be made");
        }
        fs::write(path, content).expect("a file can be written");
    }

    /// A cgroupsPath below the cgroup of the view, for this container alone. It starts at the root of the hierarchy.
    pub fn absolute_cgroup(&self) -> String {
        format!("{}/{}", env::var("RT_TEST_CGROUP").expect("in-view sets it"), self.id)
    }

    // ---- what the runtime is asked ----

    /// A call of the runtime with this container's state directory.
    pub fn call<'a>(&'a self, arguments: impl IntoIterator<Item = &'a str>) -> Call {
        self.bare_call().args(["--root".as_ref(), self.state.as_os_str()]).args(&self.globals).args(arguments)
    }

    /// A call of the runtime with nothing said yet.
    pub fn bare_call(&self) -> Call {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        Call::runtime(self.home.join(format!("calls/{}", COUNT.fetch_add(1, Ordering::Relaxed))))
    }

    /// `run`, to its end. Unless it is detached, nothing may be left of the container.
    #[must_use]
    #[track_caller]
    pub fn run(&self) -> Output {
        let output = self.spawn().wait();
        if !self.detached && !self.options.iter().any(|option| option == "--keep") {
            self.leaves_nothing();
        }
        output
    }

    /// `run`, without waiting for its end.
    pub fn spawn(&self) -> Running {
        self.creating("run").spawn()
    }

    /// `create`. If it fails, nothing may be left of the container.
    #[must_use]
    #[track_caller]
    pub fn create(&self) -> Output {
        let output = self.creating("create").output();
        if output.code != 0 {
            self.leaves_nothing();
        }
        output
    }

    /// `create` or `run` as they will be called; the config is written.
    pub fn creating(&self, command: &str) -> Call {
        let text = self.written.clone().unwrap_or_else(|| self.config.to_string());
        fs::write(self.bundle().join("config.json"), text).expect("the config can be written");
        let bundle = self.bundle();
        let mut call = self.call([command, "--bundle"]).args([bundle]).args(&self.options).args([&self.id]);
        if let Some(text) = &self.shell {
            call = call.through(text);
        }
        if let Some(file) = &self.stdin {
            call = call.stdin(file);
        }
        if let Some(terminal) = &self.terminal {
            call = call.in_terminal(terminal);
        }
        for (name, value) in &self.environment {
            call = call.env(name, value);
        }
        call
    }

    /// `start`.
    #[must_use]
    pub fn start(&self) -> Output {
        self.call(["start", &self.id]).output()
    }

    /// `create` and `start`: the container as it runs.
    #[track_caller]
    pub fn started(self) -> Self {
        self.create().quietly();
        self.start().quietly();
        self
    }

    /// `exec` of a program in the container, to its end.
    #[must_use]
    pub fn exec<'a>(&'a self, words: impl IntoIterator<Item = &'a str>) -> Output {
        self.executing([], words).output()
    }

    /// `exec` with options, as it will be called.
    pub fn executing<'a>(
        &'a self,
        options: impl IntoIterator<Item = &'a str>,
        words: impl IntoIterator<Item = &'a str>,
    ) -> Call {
        self.call(["exec"]).args(options).args([&self.id]).args(words)
    }

    /// `exec` of a program for the shell of the container, to its end.
    #[must_use]
    pub fn exec_script(&self, text: &str) -> Output {
        self.exec(["sh", "-c", text])
    }

    /// `exec --process` with this process.json, as it will be called.
    pub fn executing_process(&self, process: &Value) -> Call {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let file = self.home.join(format!("process-{}.json", COUNT.fetch_add(1, Ordering::Relaxed)));
        fs::write(&file, process.to_string()).expect("the file can be written");
        self.call(["exec", "--process"]).arg(file).args([&self.id])
    }

    /// `exec --detach`, which must succeed; gives the pid that the pid file has.
    #[track_caller]
    pub fn detached_exec<'a>(&'a self, words: impl IntoIterator<Item = &'a str>) -> i32 {
        let file = self.home.join("detached.pid");
        let call = self.call(["exec", "--detach", "--pid-file"]).arg(&file).args([&self.id]).args(words);
        call.output().quietly();
        let text = fs::read_to_string(&file).expect("it is written");
        text.parse().unwrap_or_else(|_| panic!("no number: {text:?}"))
    }

    /// `kill`.
    #[must_use]
    pub fn kill(&self, signal: &str) -> Output {
        self.call(["kill", &self.id, signal]).output()
    }

    /// `delete`.
    #[must_use]
    pub fn delete(&self) -> Output {
        self.call(["delete", &self.id]).output()
    }

    /// `delete --force`.
    #[must_use]
    pub fn delete_by_force(&self) -> Output {
        self.call(["delete", "--force", &self.id]).output()
    }

    /// What `state` prints.
    #[track_caller]
    pub fn state(&self) -> Value {
        let text = self.call(["state", &self.id]).output().ok();
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("state is not JSON: {error}: {text}"))
    }

    /// The status in `state`.
    #[track_caller]
    pub fn status(&self) -> String {
        self.state()["status"].as_str().expect("status is a string").to_owned()
    }

    /// The pid in `state`.
    #[track_caller]
    pub fn pid(&self) -> i32 {
        self.state()["pid"].as_i64().and_then(|pid| i32::try_from(pid).ok()).expect("pid is a number")
    }

    /// Wait until `state` says so.
    #[track_caller]
    pub fn wait_for(&self, status: &str) {
        wait_until(&format!("{} is {status}", self.id), || self.status() == status);
    }

    /// A file of its root filesystem, as soon as it has something in it.
    #[track_caller]
    pub fn wait_for_file(&self, path: &str) -> String {
        let path = self.rootfs().join(path);
        let read = || fs::read_to_string(&path).unwrap_or_default();
        wait_until(&format!("{} is written", path.display()), || read().ends_with('\n'));
        read()
    }

    /// The processes that belong to it.
    pub fn processes(&self) -> Vec<i32> {
        leaks::processes_of(&self.id, &self.home).into_iter().map(|(pid, _)| pid).collect()
    }

    /// Fail if there is a process, a mount, a cgroup or a state directory.
    #[track_caller]
    pub fn leaves_nothing(&self) {
        if self.may_leak {
            return;
        }
        let left = leaks::of(&self.id, &self.home, &self.state);
        assert!(left.is_empty(), "left behind by {}: {left:#?}", self.id);
    }

    /// Do not check what is left: for a runtime which is known to leave something.
    pub fn may_leave_something(mut self) -> Self {
        self.may_leak = true;
        self
    }

    /// Get rid of everything by hand, where the runtime could not or must not be asked.
    fn destroy(&self) {
        for (pid, _) in leaks::processes_of(&self.id, &self.home) {
            if let Some(pid) = Pid::from_raw(pid) {
                let _ = kill_process(pid, Signal::KILL);
            }
        }
        for point in leaks::mounts_below(&self.home) {
            let _ = process::Command::new("umount").args(["-l", &point]).status();
        }
        leaks::remove_cgroups(&self.id);
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        let deleted = self.delete_by_force().code == 0;
        let left = if thread::panicking() || self.may_leak {
            Vec::new()
        } else {
            leaks::of(&self.id, &self.home, &self.state)
        };
        self.destroy();
        leaks::remove(self.home.clone());
        if !thread::panicking() {
            assert!(deleted, "delete --force of {} fails", self.id);
            assert!(left.is_empty(), "left behind by {}: {left:#?}", self.id);
        }
    }
}
