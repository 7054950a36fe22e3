//! The process: who it is, what it may do, and the last steps that make it.

use crate::capabilities::number;
use crate::error::invalid;
use crate::hooks::Files;
use crate::mounts::NOTIFY;
use crate::plan::{Join, Request, Spawn, Wait};
use crate::seccomp::{self, Filter, Place};
use crate::spec::{Personality, Process, Spec, Str};
use crate::targets::Targets;
use crate::{Error, Host, Steps};
use rt_wire::{Bytes, Capabilities, LIMITS, LabelKind, Rlimit, Scheduler, Step, Target, Texts};
use std::borrow::Cow;
use std::collections::BTreeSet;

/// A session keyring of the container's own, or its keys would be the caller's.
pub(crate) fn keyring(request: &Request, steps: &mut Steps) {
    if !request.keep_keyring {
        let name = format!("_ses.{}", request.id);
        steps.push(Step::SessionKeyring { name: name.as_str().into() });
    }
}

/// What needs the right to write to the root and to procfs: before either is closed.
pub(crate) fn prepare(
    spec: &Spec<'_>,
    process: &Process<'_>,
    host: &Host,
    targets: &mut Targets,
    steps: &mut Steps,
) -> Result<(), Error> {
    if &*process.cwd != "/" {
        steps.push(Step::MakeDirectory { path: (&*process.cwd).into() });
    }
    labels(host, process)?;
    if !spec.linux.mount_label.is_empty() && !host.selinux {
        return Err(lack("linux.mountLabel", NO_SELINUX));
    }
    let writes = writes_to_proc(process) || !spec.linux.sysctl.is_empty();
    let proc = match targets.proc.filter(|_| !targets.is_covered("/proc")) {
        Some(proc) => proc,
        None if !writes => return Ok(()),
        None => {
            let hold = targets.last();
            steps.push(Step::OpenProc { hold });
            targets.proc = Some(hold);
            hold
        }
    };
    for (name, value) in &spec.linux.sysctl {
        // A dotted name's slash is a dot in a file name, and the other way round.
        let file: String = crate::spec::dotted(name).chars().map(swap).collect();
        steps.push(Step::Sysctl { proc, file: file.as_str().into(), value: (&**value).into() });
    }
    Ok(())
}

fn writes_to_proc(process: &Process<'_>) -> bool {
    !process.apparmor_profile.is_empty() || !process.selinux_label.is_empty()
}

/// The same for `exec`: a procfs of its own, if it has something to write there.
pub(crate) fn write_to_proc(process: &Process<'_>, host: &Host, steps: &mut Steps) -> Result<Option<u8>, Error> {
    labels(host, process)?;
    if !writes_to_proc(process) {
        return Ok(None);
    }
    let hold = 1;
    steps.push(Step::OpenProc { hold });
    Ok(Some(hold))
}

/// Standard input, output and error of the container's own, where the process asks for a terminal. /dev/console is the
/// container's first process's alone.
pub(crate) fn terminal(
    process: &Process<'_>,
    request: &Request,
    targets: Option<&Targets>,
    spawn: &mut Spawn,
    steps: &mut Steps,
) -> Result<(), Error> {
    if !process.terminal {
        return Ok(());
    }
    // A size with a zero in it is none.
    let asked = process.console_size.map(|size| (size.height, size.width)).filter(|size| size.0 > 0 && size.1 > 0);
    let (rows, columns) = asked.or(request.shown).unwrap_or_default();
    let find = |path| targets.map_or(Target::in_root(path), |targets| targets.find(path));
    let socket = spawn.inherit(Join::Terminal)?;
    let (ptmx, plain, uid) = (find("/dev/pts/ptmx"), request.shown.is_some(), process.user.uid);
    steps.push(Step::Terminal { ptmx, socket, rows, columns, plain, uid });
    if targets.is_some() {
        steps.push(Step::Console { target: find("/dev/console") });
    }
    Ok(())
}

fn swap(c: char) -> char {
    match c {
        '.' => '/',
        '/' => '.',
        c => c,
    }
}

const NO_SELINUX: &str =
    "selinux label is specified in config, but selinux is disabled or not supported on this host; remove the field";

fn lack(field: &str, lack: &str) -> Error {
    Error::Host { field: field.to_owned(), lack: lack.to_owned() }
}

/// A label that nobody enforces is no confinement: refuse, as runc does.
fn labels(host: &Host, process: &Process<'_>) -> Result<(), Error> {
    if !process.apparmor_profile.is_empty() && !host.apparmor {
        return Err(lack(
            "process.apparmorProfile",
            "apparmor: config provided but apparmor not supported on this host; remove the field",
        ));
    }
    if !process.selinux_label.is_empty() && !host.selinux {
        return Err(lack("process.selinuxLabel", NO_SELINUX));
    }
    Ok(())
}

/// Who it becomes.
pub(crate) struct Becoming<'a> {
    pub(crate) process: &'a Process<'a>,
    pub(crate) personality: Option<&'a Personality<'a>>,
    pub(crate) processors: Processors,
    pub(crate) filter: Option<&'a Filter<'a>>,
    /// The held procfs for labels.
    pub(crate) proc: Option<u8>,
}

/// From root to the process that was asked for. The one place that knows this order, for `create` and for `exec`.
pub(crate) fn become_it(
    whom: &Becoming<'_>,
    host: &Host,
    steps: &mut Steps,
    warnings: &mut Vec<String>,
) -> Result<(), Error> {
    let Becoming { process, filter, .. } = *whom;
    if let Some(proc) = whom.proc {
        if !process.apparmor_profile.is_empty() {
            let label = (&*process.apparmor_profile).into();
            steps.push(Step::ExecLabel { proc, kind: LabelKind::AppArmor, label });
        }
        if !process.selinux_label.is_empty() {
            let label = (&*process.selinux_label).into();
            steps.push(Step::ExecLabel { proc, kind: LabelKind::Selinux, label });
        }
    }
    personality(whom.personality, steps)?;
    match &whom.processors {
        Processors::All => steps.push(Step::ResetAffinity {}),
        Processors::These(mask) => steps.push(Step::Affinity { mask: Bytes(mask) }),
        Processors::AsTheyAre => {}
    }
    scheduler(process, steps)?;
    io_priority(process, steps)?;
    // While it still may: raising a limit needs CAP_SYS_RESOURCE.
    limits(process, steps)?;
    if process.no_new_privileges {
        steps.push(Step::NoNewPrivileges {});
    }
    if process.user.uid != host.uid {
        steps.push(Step::OwnStdio { uid: process.user.uid });
    }
    steps.push(Step::EnterDirectory { path: (&*process.cwd).into() });
    identity(process, host, filter, steps, warnings);
    if &*process.cwd != "/" {
        steps.push(Step::VerifyDirectory { path: (&*process.cwd).into() });
    }
    steps.push(Step::Umask { mask: process.user.umask.unwrap_or(0o022) & 0o777 });
    Ok(())
}

/// Bounding set first, while CAP_SETPCAP is there; groups before the user, while CAP_SETGID is; the sets last.
fn identity(
    process: &Process<'_>,
    host: &Host,
    filter: Option<&Filter<'_>>,
    steps: &mut Steps,
    warnings: &mut Vec<String>,
) {
    let (bounding, sets) = capabilities(process, host, warnings);
    // What is not in the runtime's own set can't come into the container's.
    steps.push(Step::BoundingSet { keep: bounding, lose: host.bounding & !bounding });
    let groups: Vec<u8> = process.user.additional_gids.iter().flat_map(|gid| format!("{gid}\0").into_bytes()).collect();
    steps.push(Step::Groups { ids: Texts::new(&groups) });
    seccomp::load(filter, process.no_new_privileges, Place::Privileged, steps);
    let (uid, gid) = (process.user.uid, process.user.gid);
    if (uid, gid) != (host.uid, host.gid) {
        steps.push(Step::User { uid, gid });
    }
    steps.push(Step::CapabilitySets { sets });
}

/// The config's names as sets, without what is unknown or can't be had: each a warning, as the specification asks.
fn capabilities(process: &Process<'_>, host: &Host, warnings: &mut Vec<String>) -> (u64, Capabilities) {
    let none = Default::default();
    let names = process.capabilities.as_ref().unwrap_or(&none);
    let mut set = |field: &str, names: &[Str<'_>], possible: u64| {
        let mut set = 0u64;
        for name in names {
            match number(name) {
                None => warnings.push(format!("process.capabilities.{field}: there is no capability {name}; ignored")),
                Some(number) if possible >> number & 1 == 0 => {
                    warnings.push(format!("process.capabilities.{field}: {name} can't be granted here; ignored"));
                }
                Some(number) => set |= 1 << number,
            }
        }
        set
    };
    let bounding = set("bounding", &names.bounding, host.bounding);
    let permitted = set("permitted", &names.permitted, host.permitted);
    let effective = set("effective", &names.effective, permitted);
    // capset(2): nothing outside of the bounding set can become inheritable.
    let inheritable = set("inheritable", &names.inheritable, bounding);
    // The kernel takes only what is permitted and inheritable. Not worth a word: `runc spec` wrote sets for years that
    // ask for more, and everybody's config began as one of those.
    let ambient = set("ambient", &names.ambient, u64::MAX) & permitted & inheritable;
    (bounding, Capabilities { effective, permitted, inheritable, ambient })
}

fn limits(process: &Process<'_>, steps: &mut Steps) -> Result<(), Error> {
    let mut seen = Vec::new();
    for (index, limit) in process.rlimits.iter().enumerate() {
        let upper = limit.kind.to_ascii_uppercase();
        let bare = upper.strip_prefix("RLIMIT_").unwrap_or(&upper);
        let Some(resource) = LIMITS.iter().position(|name| *name == bare) else {
            return Err(invalid(
                format!("process.rlimits[{index}].type"),
                format!("invalid rlimit type: {}", limit.kind),
            ));
        };
        if seen.contains(&resource) {
            return Err(invalid(format!("process.rlimits[{index}]"), format!("a second {}", limit.kind)));
        }
        if limit.soft > limit.hard {
            let problem =
                format!("{}: the soft limit {} is above the hard limit {}", limit.kind, limit.soft, limit.hard);
            return Err(invalid(format!("process.rlimits[{index}]"), problem));
        }
        seen.push(resource);
        let resource = u32::try_from(resource).unwrap_or(u32::MAX);
        steps.push(Step::Limit { limit: Rlimit { resource, soft: limit.soft, hard: limit.hard } });
    }
    Ok(())
}

fn personality(personality: Option<&Personality<'_>>, steps: &mut Steps) -> Result<(), Error> {
    let Some(personality) = personality else { return Ok(()) };
    if let Some(flag) = personality.flags.first() {
        return Err(invalid("linux.personality.flags", format!("there is no flag \"{flag}\": none is defined")));
    }
    let persona = match &*personality.domain {
        "LINUX" => 0,
        "LINUX32" => 8,
        other => return Err(invalid("linux.personality.domain", format!("\"{other}\" is neither LINUX nor LINUX32"))),
    };
    steps.push(Step::Personality { persona });
    Ok(())
}

/// Which processors the process may use.
pub(crate) enum Processors {
    /// All that the cgroup allows: no container inherits what its engine happens to be bound to.
    All,
    /// Those of this mask.
    These(Vec<u8>),
    /// Whatever entering the cgroup has made of those it began with.
    AsTheyAre,
}

/// process.execCPUAffinity, for `exec`: what it begins with is the parent's to set, what it ends with init's.
pub(crate) fn processors(process: &Process<'_>, spawn: &mut Spawn) -> Result<Processors, Error> {
    let Some(affinity) = &process.exec_cpu_affinity else { return Ok(Processors::All) };
    let mask = |list: &str, name| {
        let problem =
            || invalid(format!("process.execCPUAffinity.{name}"), format!("\"{list}\" is no list of processors"));
        (!list.is_empty()).then(|| mask(list).ok_or_else(problem)).transpose()
    };
    spawn.processors = mask(&affinity.initial, "initial")?;
    let last = mask(&affinity.last, "final")?;
    Ok(match (&spawn.processors, last) {
        (_, Some(last)) => Processors::These(last),
        (Some(_), None) => Processors::AsTheyAre,
        (None, None) => Processors::All,
    })
}

/// A list as cpuset(7) has it, `0-3,7`, as a bit for each: whole words, as the kernel wants them.
fn mask(list: &str) -> Option<Vec<u8>> {
    // As many as Linux can be built for.
    const MOST: usize = 8192;
    let mut mask = Vec::new();
    for range in list.split(',').map(str::trim).filter(|range| !range.is_empty()) {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last): (usize, usize) = (first.parse().ok()?, last.parse().ok()?);
        if first > last || last >= MOST {
            return None;
        }
        mask.resize(mask.len().max((last / 64 + 1) * 8), 0u8);
        (first..=last).for_each(|number| mask[number / 8] |= 1 << (number % 8));
    }
    (!mask.is_empty()).then_some(mask)
}

const POLICIES: [(&str, u32); 7] = [
    ("SCHED_OTHER", 0),
    ("SCHED_FIFO", 1),
    ("SCHED_RR", 2),
    ("SCHED_BATCH", 3),
    ("SCHED_ISO", 4),
    ("SCHED_IDLE", 5),
    ("SCHED_DEADLINE", 6),
];

const SCHEDULER_FLAGS: [(&str, u64); 7] = [
    ("SCHED_FLAG_RESET_ON_FORK", 0x01),
    ("SCHED_FLAG_RECLAIM", 0x02),
    ("SCHED_FLAG_DL_OVERRUN", 0x04),
    ("SCHED_FLAG_KEEP_POLICY", 0x08),
    ("SCHED_FLAG_KEEP_PARAMS", 0x10),
    ("SCHED_FLAG_UTIL_CLAMP_MIN", 0x20),
    ("SCHED_FLAG_UTIL_CLAMP_MAX", 0x40),
];

fn scheduler(process: &Process<'_>, steps: &mut Steps) -> Result<(), Error> {
    let Some(scheduler) = &process.scheduler else { return Ok(()) };
    let find =
        |table: &[(&str, u32)], name: &str| table.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
    let Some(policy) = find(&POLICIES, &scheduler.policy) else {
        return Err(invalid("process.scheduler.policy", format!("there is no policy \"{}\"", scheduler.policy)));
    };
    let mut flags = 0;
    for flag in &scheduler.flags {
        match SCHEDULER_FLAGS.iter().find(|(known, _)| *known == &**flag) {
            Some((_, bit)) => flags |= bit,
            None => return Err(invalid("process.scheduler.flags", format!("there is no flag \"{flag}\""))),
        }
    }
    let realtime = matches!(&*scheduler.policy, "SCHED_FIFO" | "SCHED_RR");
    let deadline = &*scheduler.policy == "SCHED_DEADLINE";
    let refuse = |field: &str, problem: &str| Err(invalid(format!("process.scheduler.{field}"), problem));
    if !(-20..=19).contains(&scheduler.nice) {
        return refuse("nice", "not between -20 and 19");
    }
    if scheduler.priority != 0 && !realtime {
        return refuse("priority", "scheduler.priority can only be specified for SchedFIFO or SchedRR policy");
    }
    if (scheduler.runtime, scheduler.deadline, scheduler.period) != (0, 0, 0) && !deadline {
        return refuse("runtime", "scheduler runtime/deadline/period can only be specified for SchedDeadline policy");
    }
    let Ok(priority) = u32::try_from(scheduler.priority) else {
        return refuse("priority", "a priority is not negative");
    };
    steps.push(Step::Schedule {
        scheduler: Scheduler {
            policy,
            flags,
            nice: scheduler.nice,
            priority,
            runtime: scheduler.runtime,
            deadline: scheduler.deadline,
            period: scheduler.period,
        },
    });
    Ok(())
}

fn io_priority(process: &Process<'_>, steps: &mut Steps) -> Result<(), Error> {
    let Some(priority) = &process.io_priority else { return Ok(()) };
    let class = match &*priority.class {
        "IOPRIO_CLASS_RT" => 1u32,
        "IOPRIO_CLASS_BE" => 2,
        "IOPRIO_CLASS_IDLE" => 3,
        other => return Err(invalid("process.ioPriority.class", format!("invalid ioPriority.Class: \"{other}\""))),
    };
    match u32::try_from(priority.priority) {
        Ok(level @ 0..=7) => steps.push(Step::IoPriority { value: class << 13 | level }),
        _ => {
            return Err(invalid(
                "process.ioPriority.priority",
                format!("{} is not between 0 and 7", priority.priority),
            ));
        }
    }
    Ok(())
}

/// Report, and perhaps wait.
pub(crate) fn wait(
    process: &Process<'_>,
    request: &Request,
    files: Files,
    filter: Option<&Filter<'_>>,
    steps: &mut Steps,
) {
    if request.wait == Wait::Start {
        // `create` can still say that it is missing. `run` hears it from exec itself.
        let name = process.args.first().map_or("", |name| name).into();
        let variables = environment(process, request);
        steps.push(Step::FindProgram { name, path: search_path(&variables).into() });
    }
    seccomp::load(filter, process.no_new_privileges, Place::BeforeReady, steps);
    steps.push(Step::Ready {});
    if request.wait == Wait::Start {
        let Files { state, output, errors } = files;
        steps.push(Step::AwaitStart { first: first(request), state, output, errors });
    }
}

/// Become the program, or with `serve` its parent.
pub(crate) fn exec(process: &Process<'_>, request: &Request, serve: Option<u32>, steps: &mut Steps) {
    let all = environment(process, request);
    let path = search_path(&all).into();
    steps.push(Step::CloseDescriptors { first: first(request) });
    let (env, home) = variables(process, request);
    let args: Vec<u8> = process.args.iter().flat_map(|word| words(word)).collect();
    let (args, env, home) = (Texts::new(&args), Texts::new(&env), home.as_str().into());
    steps.push(match serve {
        None => Step::Exec { args, env, path, home },
        Some(linger) => Step::Serve { args, env, path, home, linger },
    });
}

/// The process's variables, each with its NUL, and the number of the user whose HOME init has to look up; none if it is
/// among them.
pub(crate) fn variables(process: &Process<'_>, request: &Request) -> (Vec<u8>, String) {
    let all = environment(process, request);
    let has_home = all.iter().any(|variable| variable.starts_with("HOME=") && variable.len() > 5);
    // An empty one is none.
    let kept = all.iter().filter(|variable| *variable != "HOME=");
    let home = if has_home { String::new() } else { process.user.uid.to_string() };
    (kept.flat_map(|variable| words(variable)).collect(), home)
}

/// The first descriptor that is not the process's.
fn first(request: &Request) -> u32 {
    request.preserved.saturating_add(3)
}

fn search_path<'a>(variables: &'a [Cow<'_, str>]) -> &'a str {
    variables.iter().find_map(|variable| variable.strip_prefix("PATH=")).unwrap_or_default()
}

fn words(text: &str) -> impl Iterator<Item = u8> {
    text.bytes().chain([0])
}

/// The variables in order, of several with one name the last (execve(2) would pass on both, and shells differ in which
/// they take).
fn environment<'a>(process: &'a Process<'_>, request: &Request) -> Vec<Cow<'a, str>> {
    let mut variables: Vec<Cow<'a, str>> = Vec::with_capacity(process.env.len() + 2);
    let mut seen = BTreeSet::new();
    let listen = (request.listen > 0).then(|| [format!("LISTEN_FDS={}", request.listen), "LISTEN_PID=1".to_owned()]);
    let notify = request.notify.as_ref().map(|_| format!("NOTIFY_SOCKET={NOTIFY}/notify.sock"));
    let listen = notify.into_iter().chain(listen.into_iter().flatten().rev()).map(Cow::Owned);
    let given = process.env.iter().rev().map(|variable| Cow::Borrowed(&**variable));
    for variable in listen.chain(given) {
        let name = variable.split('=').next().unwrap_or_default().to_owned();
        if seen.insert(name) {
            variables.push(variable);
        }
    }
    variables.reverse();
    variables
}

#[cfg(test)]
mod tests {
    use super::mask;

    #[test]
    fn a_list_of_processors_is_a_mask_of_whole_words() {
        assert_eq!(mask("0-1,3"), Some(vec![0b1011, 0, 0, 0, 0, 0, 0, 0]));
        assert_eq!(mask("64").map(|mask| (mask.len(), mask[8])), Some((16, 1)));
        for list in ["", "a", "1-", "3-1", "-1", "8192", "0-99999999999"] {
            assert_eq!(mask(list), None, "{list:?}");
        }
    }
}
