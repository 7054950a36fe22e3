//! What can be typed. Flags and their spellings are runc's; docs/architecture.md says where rt has more.

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{ArgAction, Args, FromArgMatches, ValueEnum};
use std::ffi::OsString;
use std::path::PathBuf;

/// A command line, understood.
pub(crate) struct Invocation {
    pub(crate) global: Global,
    pub(crate) command: Command,
}

// Options of every command, before or after it. (Not a doc comment, here and below: clap would take it for the command's.)
#[derive(Args, Clone, Debug)]
pub(crate) struct Global {
    /// Directory for the state of containers [default: /run/rt, or $XDG_RUNTIME_DIR/rt for an ordinary user]
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) root: Option<PathBuf>,
    /// File to append errors to, beside standard error
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) log: Option<PathBuf>,
    /// Format of the log
    #[arg(long, global = true, value_enum, default_value = "text", value_name = "FORMAT")]
    pub(crate) log_format: LogFormat,
    /// What goes into the log [default: error; warning without a log]
    #[arg(long, global = true, value_enum, value_name = "LEVEL")]
    pub(crate) log_level: Option<Level>,
    /// The same as --log-level debug
    #[arg(long, global = true, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false", hide_possible_values = true, hide_default_value = true, value_name = "BOOL")]
    pub(crate) debug: bool,
    /// Leave cgroups to systemd, as --cgroup-manager systemd does
    #[arg(long, global = true, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false", hide_possible_values = true, hide_default_value = true, value_name = "BOOL")]
    pub(crate) systemd_cgroup: bool,
    /// Who manages cgroups
    #[arg(long, global = true, value_enum, default_value = "cgroupfs", value_name = "WHO")]
    pub(crate) cgroup_manager: CgroupManager,
    /// Whether to go without root's rights: true is refused by create and run in this version
    #[arg(long, global = true, value_enum, default_value = "auto", value_name = "WHEN")]
    pub(crate) rootless: Rootless,
    /// Print the version
    #[arg(short = 'v', long)]
    version: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    Text,
    Json,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Level {
    Error,
    #[value(alias = "warn")]
    Warning,
    #[value(alias = "info")]
    Debug,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum CgroupManager {
    /// rt, in the cgroup file systems
    Cgroupfs,
    /// systemd
    Systemd,
    /// Nobody: the container stays in the caller's cgroup
    Disabled,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Rootless {
    #[value(alias = "1", alias = "True", alias = "TRUE", alias = "t")]
    True,
    #[value(alias = "0", alias = "False", alias = "FALSE", alias = "f")]
    False,
    Auto,
}

/// A command and its arguments.
pub(crate) enum Command {
    Create(CreateArgs),
    Start(One),
    Run(RunArgs),
    Exec(ExecArgs),
    State(One),
    Kill(KillArgs),
    Delete(DeleteArgs),
    List(ListArgs),
    Spec(SpecArgs),
    Explain(ExplainArgs),
    Features,
    Info(InfoArgs),
    Completion(CompletionArgs),
    Pause(One),
    Resume(One),
    Ps(PsArgs),
    Events(EventsArgs),
    Update(Box<UpdateArgs>),
}

/// A command, its summary, and what it takes.
type Entry = (&'static str, &'static str, fn(clap::Command) -> clap::Command);

const COMMANDS: [Entry; 18] = [
    ("create", "Make a container: everything but its program, which waits for start", CreateArgs::augment_args),
    ("start", "Let the program of a created container run", One::augment_args),
    ("run", "Create a container, run its program, wait for its end", RunArgs::augment_args),
    ("exec", "Run one more process in a container", ExecArgs::augment_args),
    ("state", "Print the state of a container as JSON", One::augment_args),
    ("kill", "Send a signal to a container", KillArgs::augment_args),
    ("delete", "Remove a container that has stopped", DeleteArgs::augment_args),
    ("list", "List containers", ListArgs::augment_args),
    ("spec", "Write an example config.json", SpecArgs::augment_args),
    ("explain", "Print what create would do, step by step, without doing it", ExplainArgs::augment_args),
    ("features", "Print what this rt can do, as JSON", |command| command),
    ("info", "Print what this machine has of what rt needs", InfoArgs::augment_args),
    ("completion", "Print a script that completes rt's command line", CompletionArgs::augment_args),
    ("pause", "Stop all processes of a container", One::augment_args),
    ("resume", "Let the processes of a paused container go on", One::augment_args),
    ("ps", "List the processes of a container", PsArgs::augment_args),
    ("events", "Print the statistics of a container, and when it runs out of memory", EventsArgs::augment_args),
    ("update", "Change the limits of a container", UpdateArgs::augment_args),
];

/// The whole command line.
pub(crate) fn command_line() -> clap::Command {
    line_with(&COMMANDS)
}

/// The command line with these commands, or the one that was typed: clap's objects for all of them would be a tenth of
/// rt's memory, and of its time.
fn line_with(commands: &'static [Entry]) -> clap::Command {
    let rt = clap::Command::new("rt")
        .about("Create and run containers from OCI bundles")
        .subcommand_required(true)
        .disable_version_flag(true)
        .args_override_self(true);
    Global::augment_args(rt).subcommands(commands.iter().map(|(name, about, arguments)| {
        clap::Command::new(*name).about(*about).args_override_self(true).defer(*arguments)
    }))
}

/// The command among the words, and where it stands: the first that is no option and no option's value.
fn typed(words: &[OsString]) -> Option<(usize, &'static [Entry])> {
    let mut at = 1;
    loop {
        let word = words.get(at)?.to_str()?;
        if word == "--" {
            return None;
        }
        if !word.starts_with('-') {
            let index = COMMANDS.iter().position(|(name, _, _)| *name == word)?;
            return Some((at, COMMANDS.get(index..=index)?));
        }
        at += if takes_next(word) { 2 } else { 1 };
    }
}

impl Command {
    fn from_matches(matches: &clap::ArgMatches) -> Result<Self, clap::Error> {
        let (name, matches) = matches.subcommand().ok_or_else(|| clap::Error::new(ErrorKind::MissingSubcommand))?;
        Ok(match name {
            "create" => Self::Create(FromArgMatches::from_arg_matches(matches)?),
            "start" => Self::Start(FromArgMatches::from_arg_matches(matches)?),
            "run" => Self::Run(FromArgMatches::from_arg_matches(matches)?),
            "exec" => Self::Exec(FromArgMatches::from_arg_matches(matches)?),
            "state" => Self::State(FromArgMatches::from_arg_matches(matches)?),
            "kill" => Self::Kill(FromArgMatches::from_arg_matches(matches)?),
            "delete" => Self::Delete(FromArgMatches::from_arg_matches(matches)?),
            "list" => Self::List(FromArgMatches::from_arg_matches(matches)?),
            "spec" => Self::Spec(FromArgMatches::from_arg_matches(matches)?),
            "explain" => Self::Explain(FromArgMatches::from_arg_matches(matches)?),
            "features" => Self::Features,
            "info" => Self::Info(FromArgMatches::from_arg_matches(matches)?),
            "completion" => Self::Completion(FromArgMatches::from_arg_matches(matches)?),
            "pause" => Self::Pause(FromArgMatches::from_arg_matches(matches)?),
            "resume" => Self::Resume(FromArgMatches::from_arg_matches(matches)?),
            "ps" => Self::Ps(FromArgMatches::from_arg_matches(matches)?),
            "events" => Self::Events(FromArgMatches::from_arg_matches(matches)?),
            "update" => Self::Update(FromArgMatches::from_arg_matches(matches)?),
            _ => return Err(clap::Error::new(ErrorKind::InvalidSubcommand)),
        })
    }
}

// A container.
#[derive(Args)]
pub(crate) struct One {
    /// The container's name
    #[arg(value_name = "ID")]
    pub(crate) id: String,
}

// What a container is made of.
#[derive(Args)]
pub(crate) struct Source {
    /// The bundle: a directory with a config.json
    #[arg(short, long, value_name = "DIR", default_value = ".")]
    pub(crate) bundle: PathBuf,
    /// Another file instead of the bundle's config.json
    #[arg(short = 'f', long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Enter the root file system by moving it onto /: for hosts that run from an initramfs
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false", hide_possible_values = true, hide_default_value = true, value_name = "BOOL")]
    pub(crate) no_pivot: bool,
    /// Let the container use the caller's session keyring
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false", hide_possible_values = true, hide_default_value = true, value_name = "BOOL")]
    pub(crate) no_new_keyring: bool,
}

#[derive(Args)]
pub(crate) struct CreateArgs {
    #[command(flatten)]
    pub(crate) source: Source,
    #[command(flatten)]
    pub(crate) passed: Passed,
    #[command(flatten)]
    pub(crate) served: Served,
    /// The container's name
    #[arg(value_name = "ID")]
    pub(crate) id: String,
}

// Who is the container's first process.
#[derive(Args)]
pub(crate) struct Served {
    /// Stay in the container as its first process: adopt, reap, pass signals on. With linger=MS, other processes have so many milliseconds after the program's end
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "linger=MS")]
    pub(crate) init: Option<String>,
}

// What goes into and comes out of a process that is made.
#[derive(Args)]
pub(crate) struct Passed {
    /// Socket to send the terminal's master to
    #[arg(long, value_name = "SOCKET")]
    pub(crate) console_socket: Option<PathBuf>,
    /// Socket to send a descriptor of the process to
    #[arg(long, value_name = "SOCKET")]
    pub(crate) pidfd_socket: Option<PathBuf>,
    /// File to write the number of the container's process to
    #[arg(long, value_name = "FILE")]
    pub(crate) pid_file: Option<PathBuf>,
    /// Pass on this many descriptors beside standard input, output and error (and those of LISTEN_FDS)
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    pub(crate) preserve_fds: u32,
}

#[derive(Args)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    pub(crate) source: Source,
    #[command(flatten)]
    pub(crate) passed: Passed,
    #[command(flatten)]
    pub(crate) served: Served,
    /// Do not wait for the end of the program
    #[arg(short, long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false", hide_possible_values = true, hide_default_value = true, value_name = "BOOL")]
    pub(crate) detach: bool,
    /// Do not delete the container when its program has ended
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false", hide_possible_values = true, hide_default_value = true, value_name = "BOOL")]
    pub(crate) keep: bool,
    /// Do not adopt the container's orphans
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false", hide_possible_values = true, hide_default_value = true, value_name = "BOOL")]
    pub(crate) no_subreaper: bool,
    /// The container's name
    #[arg(value_name = "ID")]
    pub(crate) id: String,
}

#[derive(Args)]
pub(crate) struct ExecArgs {
    #[command(flatten)]
    pub(crate) passed: Passed,
    /// File with the process as in a config.json, or - for standard input
    #[arg(short, long, value_name = "FILE")]
    pub(crate) process: Option<PathBuf>,
    /// Working directory [default: the container's]
    #[arg(long, value_name = "DIR")]
    pub(crate) cwd: Option<String>,
    /// One more variable
    #[arg(short, long, value_name = "NAME=VALUE", action = ArgAction::Append)]
    pub(crate) env: Vec<String>,
    /// Give it a terminal
    #[arg(short, long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false", hide_possible_values = true, hide_default_value = true, value_name = "BOOL")]
    pub(crate) tty: bool,
    /// User and group, as numbers
    #[arg(short, long, value_name = "UID[:GID]", allow_hyphen_values = true)]
    pub(crate) user: Option<String>,
    /// One more group, as a number
    #[arg(short = 'g', long, value_name = "GID", action = ArgAction::Append)]
    pub(crate) additional_gids: Vec<u32>,
    /// One more capability
    #[arg(short, long, value_name = "CAP", action = ArgAction::Append)]
    pub(crate) cap: Vec<String>,
    /// Whether no program can give it more privileges
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    pub(crate) no_new_privs: Option<bool>,
    /// AppArmor profile
    #[arg(long, value_name = "PROFILE")]
    pub(crate) apparmor: Option<String>,
    /// SELinux label
    #[arg(long, value_name = "LABEL")]
    pub(crate) process_label: Option<String>,
    /// Do not wait for its end
    #[arg(short, long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false", hide_possible_values = true, hide_default_value = true, value_name = "BOOL")]
    pub(crate) detach: bool,
    /// Also in a container that is paused: it runs when that is resumed
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false", hide_possible_values = true, hide_default_value = true, value_name = "BOOL")]
    pub(crate) ignore_paused: bool,
    /// A cgroup below the container's, which has to be there
    #[arg(long, value_name = "[CONTROLLER:]PATH", action = ArgAction::Append)]
    pub(crate) cgroup: Vec<String>,
    /// The container's name
    #[arg(value_name = "ID")]
    pub(crate) id: String,
    /// The program and its arguments
    #[arg(value_name = "COMMAND", num_args = 0.., trailing_var_arg = true, allow_hyphen_values = true)]
    pub(crate) words: Vec<OsString>,
}

#[derive(Args)]
pub(crate) struct KillArgs {
    /// Signal all processes of the container
    #[arg(short, long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false", hide_possible_values = true, hide_default_value = true, value_name = "BOOL")]
    pub(crate) all: bool,
    /// The container's name
    #[arg(value_name = "ID")]
    pub(crate) id: String,
    /// The signal: TERM, SIGTERM, 15, RTMIN+1
    #[arg(value_name = "SIGNAL", default_value = "SIGTERM")]
    pub(crate) signal: String,
}

#[derive(Args)]
pub(crate) struct DeleteArgs {
    /// Kill the container first if it runs; one that does not exist is fine
    #[arg(short, long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false", hide_possible_values = true, hide_default_value = true, value_name = "BOOL")]
    pub(crate) force: bool,
    /// The container's name
    #[arg(value_name = "ID")]
    pub(crate) id: String,
}

#[derive(Args)]
pub(crate) struct ListArgs {
    /// Format of the list
    #[arg(short, long, value_enum, default_value = "table", value_name = "FORMAT")]
    pub(crate) format: ListFormat,
    /// Print names only
    #[arg(short, long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false", hide_possible_values = true, hide_default_value = true, value_name = "BOOL")]
    pub(crate) quiet: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ListFormat {
    Table,
    Json,
}

#[derive(Args)]
pub(crate) struct SpecArgs {
    /// The directory to write config.json to
    #[arg(short, long, value_name = "DIR", default_value = ".")]
    pub(crate) bundle: PathBuf,
}

#[derive(Args)]
pub(crate) struct ExplainArgs {
    #[command(flatten)]
    pub(crate) source: Source,
    /// Format of the plan
    #[arg(long, value_enum, default_value = "text", value_name = "FORMAT")]
    pub(crate) format: ExplainFormat,
    /// Instead of the plan, what the seccomp profile does with one system call
    #[arg(long, value_name = "CALL[:ARG,...]")]
    pub(crate) seccomp: Option<String>,
    /// The name that the container would have
    #[arg(value_name = "ID", default_value = "example")]
    pub(crate) id: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ExplainFormat {
    Text,
    Json,
}

#[derive(Args)]
pub(crate) struct InfoArgs {
    /// Format of the facts
    #[arg(long, value_enum, default_value = "text", value_name = "FORMAT")]
    pub(crate) format: InfoFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum InfoFormat {
    Text,
    Json,
}

#[derive(Args)]
pub(crate) struct CompletionArgs {
    /// The shell
    #[arg(value_enum, value_name = "SHELL")]
    pub(crate) shell: Shell,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Shell {
    Bash,
    Zsh,
    Fish,
}

#[derive(Args)]
pub(crate) struct PsArgs {
    /// Format of the list
    #[arg(short, long, value_enum, default_value = "table", value_name = "FORMAT")]
    pub(crate) format: ListFormat,
    /// The container's name
    #[arg(value_name = "ID")]
    pub(crate) id: String,
    /// What ps(1) is asked with, its options as well [default: -ef]
    #[arg(value_name = "WORDS")]
    pub(crate) words: Vec<OsString>,
}

#[derive(Args)]
pub(crate) struct EventsArgs {
    /// How often to print statistics: 5s, 500ms, 1m30s
    #[arg(long, default_value = "5s", value_name = "DURATION", allow_hyphen_values = true)]
    pub(crate) interval: String,
    /// Print the statistics of this moment, once
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false", hide_possible_values = true, hide_default_value = true, value_name = "BOOL")]
    pub(crate) stats: bool,
    /// The container's name
    #[arg(value_name = "ID")]
    pub(crate) id: String,
}

#[derive(Args)]
pub(crate) struct UpdateArgs {
    /// A file with linux.resources as JSON, or - for standard input: the other options are then ignored
    #[arg(short, long, value_name = "FILE")]
    pub(crate) resources: Option<PathBuf>,
    /// Share of block I/O, 10 to 1000
    #[arg(long, value_name = "WEIGHT", allow_hyphen_values = true)]
    pub(crate) blkio_weight: Option<String>,
    /// Microseconds that the quota of processor time is for
    #[arg(long, value_name = "US", allow_hyphen_values = true)]
    pub(crate) cpu_period: Option<String>,
    /// Microseconds of processor time in each period; -1 is unlimited
    #[arg(long, value_name = "US", allow_hyphen_values = true)]
    pub(crate) cpu_quota: Option<String>,
    /// Microseconds of processor time that may be saved up
    #[arg(long, value_name = "US", allow_hyphen_values = true)]
    pub(crate) cpu_burst: Option<String>,
    /// Share of processor time, 2 to 262144
    #[arg(long, value_name = "SHARES", allow_hyphen_values = true)]
    pub(crate) cpu_share: Option<String>,
    /// Microseconds that the quota of real-time scheduling is for
    #[arg(long, value_name = "US", allow_hyphen_values = true)]
    pub(crate) cpu_rt_period: Option<String>,
    /// Microseconds of real-time scheduling in each period
    #[arg(long, value_name = "US", allow_hyphen_values = true)]
    pub(crate) cpu_rt_runtime: Option<String>,
    /// 1: run only when nobody else wants to (SCHED_IDLE)
    #[arg(long, value_name = "0|1", allow_hyphen_values = true)]
    pub(crate) cpu_idle: Option<String>,
    /// Processors to use: 0-2,4
    #[arg(long, value_name = "LIST")]
    pub(crate) cpuset_cpus: Option<String>,
    /// Memory nodes to use: 0-2,4
    #[arg(long, value_name = "LIST")]
    pub(crate) cpuset_mems: Option<String>,
    /// Bytes of memory, or 100k, 64M, 1.5g; -1 is unlimited
    #[arg(long, value_name = "BYTES", allow_hyphen_values = true)]
    pub(crate) memory: Option<String>,
    /// Bytes of memory that are kept for it
    #[arg(long, value_name = "BYTES", allow_hyphen_values = true)]
    pub(crate) memory_reservation: Option<String>,
    /// Bytes of memory and swap together; -1 is unlimited
    #[arg(long, value_name = "BYTES", allow_hyphen_values = true)]
    pub(crate) memory_swap: Option<String>,
    /// No effect: the kernel has no such limit any more
    #[arg(long, value_name = "BYTES", allow_hyphen_values = true, hide = true)]
    pub(crate) kernel_memory: Option<String>,
    /// No effect: the kernel has no such limit any more
    #[arg(long, value_name = "BYTES", allow_hyphen_values = true, hide = true)]
    pub(crate) kernel_memory_tcp: Option<String>,
    /// Tasks at most; -1 is unlimited
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    pub(crate) pids_limit: Option<String>,
    /// Intel RDT: refused, because this version of rt has no cache allocation
    #[arg(long, value_name = "SCHEMA")]
    pub(crate) l3_cache_schema: Option<String>,
    /// Intel RDT: refused, because this version of rt has no bandwidth allocation
    #[arg(long, value_name = "SCHEMA")]
    pub(crate) mem_bw_schema: Option<String>,
    /// The container's name
    #[arg(value_name = "ID")]
    pub(crate) id: String,
}

impl Command {
    /// As it is typed.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Create(_) => "create",
            Self::Start(_) => "start",
            Self::Run(_) => "run",
            Self::Exec(_) => "exec",
            Self::State(_) => "state",
            Self::Kill(_) => "kill",
            Self::Delete(_) => "delete",
            Self::List(_) => "list",
            Self::Spec(_) => "spec",
            Self::Explain(_) => "explain",
            Self::Features => "features",
            Self::Info(_) => "info",
            Self::Completion(_) => "completion",
            Self::Pause(_) => "pause",
            Self::Resume(_) => "resume",
            Self::Ps(_) => "ps",
            Self::Events(_) => "events",
            Self::Update(_) => "update",
        }
    }

    /// The container it is about.
    pub(crate) fn container(&self) -> Option<&str> {
        match self {
            Self::Create(args) => Some(&args.id),
            Self::Run(args) => Some(&args.id),
            Self::Exec(args) => Some(&args.id),
            Self::Start(args) | Self::State(args) | Self::Pause(args) | Self::Resume(args) => Some(&args.id),
            Self::Ps(args) => Some(&args.id),
            Self::Events(args) => Some(&args.id),
            Self::Update(args) => Some(&args.id),
            Self::Kill(args) => Some(&args.id),
            Self::Delete(args) => Some(&args.id),
            Self::List(_) | Self::Spec(_) | Self::Explain(_) => None,
            Self::Features | Self::Info(_) | Self::Completion(_) => None,
        }
    }
}

/// A command line that is no command.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// It asked for help or the version: this.
    Answer(String),
    /// What is wrong with it, in one line.
    Mistake(String),
}

/// In one line, and in runc's words where callers look for them.
fn refusal(error: &clap::Error, command: Option<&str>) -> Refusal {
    let rendered = error.render().to_string();
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => return Refusal::Answer(rendered),
        ErrorKind::MissingSubcommand => return Refusal::Answer(command_line().render_help().to_string()),
        _ => {}
    }
    let surplus =
        matches!(error.get(ContextKind::InvalidArg), Some(ContextValue::String(word)) if !word.starts_with('-'));
    let count = match error.kind() {
        ErrorKind::MissingRequiredArgument => true,
        ErrorKind::UnknownArgument => surplus,
        _ => false,
    };
    if let (true, Some(command)) = (count, command) {
        let wanted = match command {
            "kill" if surplus => "a maximum of 2",
            "kill" | "exec" | "ps" => "a minimum of 1",
            "list" | "spec" | "features" | "info" => "exactly 0",
            _ => "exactly 1",
        };
        return Refusal::Mistake(format!("\"{command}\" requires {wanted} argument(s): see rt {command} --help"));
    }
    let words: Vec<&str> = rendered
        .lines()
        .take_while(|line| !line.starts_with("Usage") && !line.starts_with("For more"))
        .flat_map(str::split_whitespace)
        .collect();
    let text = words.join(" ");
    let text = text.strip_prefix("error: ").unwrap_or(&text);
    let runcs = if text.contains("for '--format") { "invalid format option: " } else { "" };
    Refusal::Mistake(format!("{runcs}{text} (see rt --help)"))
}

/// Parse a command line.
pub(crate) fn parse(words: impl Iterator<Item = OsString>) -> Result<Invocation, Refusal> {
    let mut words: Vec<OsString> = words.collect();
    let typed = typed(&words);
    if wants_version(&words, typed.map(|(at, _)| at)) {
        return Err(Refusal::Answer(version(words.first())));
    }
    let mut command = typed.map_or_else(command_line, |(_, command)| line_with(command));
    let named = typed.and_then(|(_, command)| command.first()).map(|(name, _, _)| *name);
    let program = typed.filter(|_| matches!(named, Some("exec" | "ps"))).and_then(|(at, _)| program(&words, at));
    let rest = program.map(|at| words.split_off(at)).unwrap_or_default();
    // After `--` there is no option either.
    let options = program.or_else(|| words.iter().position(|word| word == "--")).unwrap_or(words.len());
    for word in words.iter_mut().take(options).skip(1) {
        if let Some(long) = single_dash(word) {
            *word = long;
        }
    }
    let matches = command.try_get_matches_from_mut(words).map_err(|error| refusal(&error, named))?;
    let understood = Global::from_arg_matches(&matches)
        .and_then(|global| Ok(Invocation { global, command: Command::from_matches(&matches)? }))
        .map(|mut invocation| {
            match &mut invocation.command {
                Command::Ps(args) => args.words.extend(rest),
                // As shells and people write it: nobody's program has that name.
                Command::Exec(args) => args.words.extend(rest.into_iter().skip_while(|word| word == "--")),
                _ => {}
            }
            invocation
        });
    understood.map_err(|error| refusal(&error, named))
}

/// Where words begin that are another program's: behind the container's name, the next that is no option and no
/// option's value after the command.
fn program(words: &[OsString], command: usize) -> Option<usize> {
    let mut at = command + 1;
    loop {
        let word = words.get(at)?.to_str().unwrap_or_default();
        if word == "--" {
            return None;
        }
        if !word.starts_with('-') || word == "-" {
            return Some(at + 1);
        }
        at += if takes_next(word) { 2 } else { 1 };
    }
}

/// Options of exec, of ps, and of every command, that have a value in the next word. A test compares it with the definitions, which
/// take longer to make than exec takes for all the rest.
const WITH_A_VALUE: [&str; 26] = [
    "additional-gids",
    "apparmor",
    "c",
    "cap",
    "cgroup",
    "cgroup-manager",
    "console-socket",
    "cwd",
    "e",
    "env",
    "f",
    "format",
    "g",
    "log",
    "log-format",
    "log-level",
    "p",
    "pid-file",
    "pidfd-socket",
    "preserve-fds",
    "process",
    "process-label",
    "root",
    "rootless",
    "u",
    "user",
];

fn takes_next(word: &str) -> bool {
    WITH_A_VALUE.contains(&word.trim_start_matches('-'))
}

/// Callers written in Go spell long options with one dash: go-runc passes `-no-subreaper`. No option of one letter takes
/// its value without a space or `=`, so more than one letter is always a long name.
fn single_dash(word: &OsString) -> Option<OsString> {
    let text = word.to_str()?;
    let name = text.strip_prefix('-')?.split('=').next()?;
    let long = name.len() > 1 && name.starts_with(|c: char| c.is_ascii_alphabetic());
    long.then(|| format!("-{text}").into())
}

/// `-v` before any command: after one it is the command's to refuse.
fn wants_version(words: &[OsString], command: Option<usize>) -> bool {
    let version = |word: &OsString| matches!(word.to_str(), Some("-v" | "--version" | "-version"));
    words.iter().take(command.unwrap_or(words.len())).skip(1).take_while(|word| *word != "--").any(version)
}

/// Engines read the first line, and some take only runc's name: so that is what rt says where it stands in for it.
fn version(program: Option<&OsString>) -> String {
    let name = program.and_then(|path| std::path::Path::new(path).file_name()).and_then(|name| name.to_str());
    let name = if name == Some("runc") { "runc" } else { "rt" };
    format!("{name} version {}\ncommit: {}\nspec: {}\n", env!("CARGO_PKG_VERSION"), commit(), SPEC)
}

/// What rt was built from: `make build` asks git.
pub(crate) fn commit() -> &'static str {
    option_env!("RT_COMMIT").filter(|commit| !commit.is_empty()).unwrap_or("unknown")
}

/// The runtime-spec that rt follows.
pub(crate) const SPEC: &str = "1.3.0";

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_words(words: &[&str]) -> Result<Invocation, Refusal> {
        parse(words.iter().map(OsString::from))
    }

    #[test]
    fn the_command_line_is_consistent() {
        command_line().debug_assert();
    }

    #[test]
    fn options_stand_before_or_after_the_id() {
        for words in [
            &["rt", "--root", "/x", "run", "-b", "/b", "-no-subreaper", "-detach", "web"][..],
            &["rt", "run", "web", "--bundle=/b", "--root=/x", "--no-subreaper=true", "-d"],
        ] {
            let parsed = parse_words(words).unwrap_or_else(|error| panic!("{error:?}"));
            assert_eq!(parsed.global.root.as_deref(), Some(std::path::Path::new("/x")));
            let Command::Run(run) = parsed.command else { panic!("not run") };
            assert!(run.no_subreaper && run.detach && run.id == "web" && run.source.bundle.as_os_str() == "/b");
        }
    }

    #[test]
    fn what_follows_the_container_of_exec_is_not_rts() {
        let words =
            ["rt", "--root", "/x", "exec", "-user", "1:2", "-tty", "--cwd", "/y", "web", "ls", "-la", "--", "-tty"];
        let parsed = parse_words(&words).unwrap_or_else(|error| panic!("{error:?}"));
        let Command::Exec(exec) = parsed.command else { panic!("not exec") };
        assert_eq!((&*exec.id, exec.user.as_deref()), ("web", Some("1:2")));
        assert_eq!(exec.words, ["ls", "-la", "--", "-tty"]);
        assert!(exec.tty);
        assert_eq!(exec.cwd.as_deref(), Some("/y"));
    }

    #[test]
    fn options_of_exec_with_a_value_are_known() {
        let of =
            |arguments: fn(clap::Command) -> clap::Command| arguments(Global::augment_args(clap::Command::new("rt")));
        let (exec, ps) = (of(ExecArgs::augment_args), of(PsArgs::augment_args));
        for argument in exec.get_arguments().chain(ps.get_arguments()).filter(|argument| !argument.is_positional()) {
            let value = argument.get_action().takes_values() && !argument.is_require_equals_set();
            let names =
                argument.get_long().map(str::to_owned).into_iter().chain(argument.get_short().map(String::from));
            for name in names {
                assert_eq!(takes_next(&format!("--{name}")), value, "{name}");
            }
        }
    }

    #[test]
    fn what_follows_the_container_of_ps_is_not_rts() {
        for (words, format, rest) in [
            (&["rt", "--root", "ps", "ps", "--format", "json", "web"][..], ListFormat::Json, &[][..]),
            (&["rt", "ps", "-f", "json", "web", "-ef"], ListFormat::Json, &["-ef"]),
            (&["rt", "ps", "-f=json", "web", "-v"], ListFormat::Json, &["-v"]),
            (
                &["rt", "ps", "web", "-o", "pid", "-format", "-f", "json"],
                ListFormat::Table,
                &["-o", "pid", "-format", "-f", "json"],
            ),
            (
                &["rt", "-root=/x", "ps", "-format=table", "web", "aux", "--", "-v"],
                ListFormat::Table,
                &["aux", "--", "-v"],
            ),
            (&["rt", "ps", "--", "web", "-ef"], ListFormat::Table, &["-ef"]),
        ] {
            let parsed = parse_words(words).unwrap_or_else(|error| panic!("{error:?}"));
            let Command::Ps(ps) = parsed.command else { panic!("not ps") };
            assert!(ps.id == "web" && ps.format == format && ps.words == rest, "{words:?}: {:?}", ps.words);
        }
        assert!(matches!(parse_words(&["rt", "ps"]), Err(Refusal::Mistake(text)) if text.contains("a minimum of 1")));
        assert!(parse_words(&["rt", "list", "ps", "x"]).is_err());
    }

    #[test]
    fn what_runc_is_asked_rt_answers_as_runc() {
        for (words, start) in [(["/usr/bin/runc", "--version"], "runc version "), (["rt", "-v"], "rt version ")] {
            assert!(matches!(parse_words(&words), Err(Refusal::Answer(text)) if text.starts_with(start)));
        }
    }
}
