//! Calling a program: with a time limit, known standard streams, and its whole answer in one value.

use std::{
    ffi::{OsStr, OsString},
    fmt,
    fs::{self, File},
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

use crate::{oracle, pty::Terminal};

/// Nothing here takes longer, unless it hangs.
const PATIENCE: Duration = Duration::from_secs(20);

/// A program about to be run.
pub struct Call {
    arguments: Vec<OsString>,
    shell: Option<String>,
    environment: Vec<(OsString, OsString)>,
    directory: Option<PathBuf>,
    stdin: Option<PathBuf>,
    terminal: Option<Terminal>,
    streams: PathBuf,
}

impl Call {
    /// A call of the runtime under test. Its streams go to `streams`.stdout and `streams`.stderr: files, not pipes,
    /// because a detached container keeps them open.
    pub(crate) fn runtime(streams: impl Into<PathBuf>) -> Self {
        Self {
            arguments: vec![oracle::runtime_path().into()],
            shell: None,
            environment: Vec::new(),
            directory: None,
            stdin: None,
            terminal: None,
            streams: streams.into(),
        }
    }

    /// Use another program than the runtime: a link to it, for instance.
    pub fn program(mut self, path: impl Into<OsString>) -> Self {
        self.arguments[0] = path.into();
        self
    }

    /// Add an argument.
    pub fn arg(mut self, argument: impl Into<OsString>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// Add arguments.
    pub fn args<A: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.arguments.extend(arguments.into_iter().map(|argument| argument.as_ref().to_owned()));
        self
    }

    /// Set a variable of the environment.
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// Run in another directory.
    pub fn in_dir(mut self, directory: impl Into<PathBuf>) -> Self {
        self.directory = Some(directory.into());
        self
    }

    /// Read standard input from a file instead of /dev/null.
    pub fn stdin(mut self, file: impl Into<PathBuf>) -> Self {
        self.stdin = Some(file.into());
        self
    }

    /// Run it as a person does: in a session of its own whose controlling terminal is this one, with all three streams on it.
    /// What comes out of the terminal is the call's standard output then. To redirect a stream, use `through`.
    pub fn in_terminal(mut self, terminal: &Terminal) -> Self {
        self.terminal = Some(terminal.clone());
        self
    }

    /// Run `bash -c text` which finds the call in `"$@"`, to set up what a `Command` can't: `exec 5<file; exec "$@"`.
    pub fn through(mut self, text: &str) -> Self {
        self.shell = Some(text.to_owned());
        self
    }

    /// Start the program and come back at once.
    pub fn spawn(self) -> Running {
        let mut words = self.arguments.clone();
        if let Some(text) = &self.shell {
            words.splice(0..0, ["bash".into(), "-c".into(), text.into(), "bash".into()]);
        }
        if self.terminal.is_some() {
            words.splice(0..0, ["setsid".into(), "--ctty".into()]);
        }
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).envs(self.environment.iter().map(|(name, value)| (name, value)));
        if let Some(directory) = &self.directory {
            command.current_dir(directory);
        }
        let stdin = match &self.stdin {
            Some(file) => open(file).into(),
            None => Stdio::null(),
        };
        let (stdout, stderr) = (self.streams.with_extension("stdout"), self.streams.with_extension("stderr"));
        match &self.terminal {
            Some(terminal) => command.stdin(terminal.end()).stdout(terminal.end()).stderr(terminal.end()),
            None => command.stdin(stdin).stdout(create(&stdout)).stderr(create(&stderr)),
        };
        let terminal = self.terminal.map(|terminal| (terminal.text().len(), terminal));
        let child = command.spawn().unwrap_or_else(|error| panic!("{words:?}: {error}"));
        Running { child, words, stdout, stderr, terminal }
    }

    /// Run the program to its end.
    #[must_use]
    pub fn output(self) -> Output {
        self.spawn().wait()
    }
}

fn open(path: &Path) -> File {
    File::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn create(path: &Path) -> File {
    File::create(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A program that runs.
pub struct Running {
    child: Child,
    words: Vec<OsString>,
    stdout: PathBuf,
    stderr: PathBuf,
    /// Where it runs, and how much had come out of that before.
    terminal: Option<(usize, Terminal)>,
}

impl Running {
    /// What it has written to standard output so far.
    pub fn stdout(&self) -> String {
        match &self.terminal {
            Some((before, terminal)) => {
                let text = terminal.text().split_off(*before);
                // The first lines of a program can come before its terminal has been told to leave line ends alone.
                if oracle::differs("terminal-is-set-up-late") { text.replace("\r\r\n", "\r\n") } else { text }
            }
            None => text(&self.stdout),
        }
    }

    /// Has it come to its end?
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("the child can be waited for").is_some()
    }

    /// Wait until it has written `line`.
    #[track_caller]
    pub fn wait_for(&self, line: &str) {
        let said = in_time(|| self.stdout().contains(line));
        assert!(
            said,
            "waited too long: {line:?} on standard output of {:?}, which has {:?}",
            self.words,
            self.stdout()
        );
    }

    /// Its number.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Send it a signal.
    pub fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).expect("a child has a pid");
        kill_process(pid, signal).expect("the child can be signalled");
    }

    /// Wait for its end.
    #[must_use]
    pub fn wait(mut self) -> Output {
        let started = Instant::now();
        let status = loop {
            match self.child.try_wait().expect("the child can be waited for") {
                Some(status) => break status,
                None if started.elapsed() > PATIENCE => {
                    let _ = self.child.kill();
                    let _ = self.child.wait();
                    panic!("{:?} hangs\nstdout: {}\nstderr: {}", self.words, self.stdout(), text(&self.stderr));
                }
                None => thread::sleep(Duration::from_millis(2)),
            }
        };
        if let Some((_, terminal)) = &self.terminal {
            terminal.settle();
        }
        Output { code: code(status), stdout: self.stdout(), stderr: text(&self.stderr), words: self.words }
    }
}

/// As a shell counts: 128+N for signal N.
fn code(status: ExitStatus) -> i32 {
    status.code().or_else(|| status.signal().map(|signal| 128 + signal)).expect("it exited or was killed")
}

fn text(file: &Path) -> String {
    String::from_utf8_lossy(&fs::read(file).unwrap_or_default()).into_owned()
}

/// How a call ended.
pub struct Output {
    /// The exit status, or 128+N when signal N ended it.
    pub code: i32,
    /// All of standard output.
    pub stdout: String,
    /// All of standard error.
    pub stderr: String,
    words: Vec<OsString>,
}

impl Output {
    /// It exits with 0; gives its standard output.
    #[track_caller]
    pub fn ok(self) -> String {
        assert_eq!(self.code, 0, "{self:#?}");
        self.stdout
    }

    /// It exits with 0 and says nothing at all.
    #[track_caller]
    pub fn quietly(self) {
        assert!(self.stdout.is_empty() && self.stderr.is_empty(), "not silent: {self:#?}");
        assert_eq!(self.code, 0, "{self:#?}");
    }

    /// It exits with 0 and prints exactly this.
    #[track_caller]
    pub fn prints(self, expected: &str) {
        assert_eq!(self.stdout, expected, "{self:#?}");
        assert_eq!(self.code, 0, "{self:#?}");
    }

    /// It exits with this status.
    #[track_caller]
    pub fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{self:#?}");
        self
    }

    /// The runtime refuses: status 1, nothing on standard output, one line on standard error.
    #[track_caller]
    pub fn refused(self) -> Self {
        self.refused_with(1)
    }

    /// The runtime refuses with this status: `exec` has one of its own, 255.
    #[track_caller]
    pub fn refused_with(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{self:#?}");
        // runc prints a usage text there.
        assert!(oracle::is_runc() || self.stdout.is_empty(), "on standard output: {self:#?}");
        assert!(!self.stderr.trim().is_empty(), "no word on standard error: {self:#?}");
        // runc adds lines of its first stages.
        assert!(oracle::is_runc() || self.stderr.trim_end().lines().count() == 1, "not one line: {self:#?}");
        self
    }

    /// Standard error has this word, in large letters or small ones.
    #[track_caller]
    pub fn names(self, word: &str) -> Self {
        assert!(self.stderr.to_lowercase().contains(&word.to_lowercase()), "no {word:?} in {self:#?}");
        self
    }

    /// Standard error has these words.
    #[track_caller]
    pub fn says(self, words: &str) -> Self {
        assert!(self.stderr.contains(words), "no {words:?} in {self:#?}");
        self
    }
}

impl fmt::Debug for Output {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<_> = self.words.iter().map(|word| word.to_string_lossy()).collect();
        write!(out, "{}\nstatus: {}\nstdout: {}\nstderr: {}", words.join(" "), self.code, self.stdout, self.stderr)
    }
}

/// Wait for something that takes a moment, and fail when it takes too long.
#[track_caller]
pub fn wait_until(what: &str, happens: impl FnMut() -> bool) {
    assert!(in_time(happens), "waited too long: {what}");
}

/// Does it happen before it takes too long?
pub(crate) fn in_time(mut happens: impl FnMut() -> bool) -> bool {
    let started = Instant::now();
    while !happens() {
        if started.elapsed() > PATIENCE / 2 {
            return false;
        }
        thread::sleep(Duration::from_millis(5));
    }
    true
}
