//! The process: who it is, what it may do, and the last steps that make it.

use crate::capabilities::number;
use crate::error::invalid;
use crate::plan::{Request, Wait};
use crate::spec::{Process, Spec, Str};
use crate::targets::Targets;
use crate::{Error, Host, Steps};
use rt_wire::{Capabilities, LIMITS, LabelKind, Rlimit, Scheduler, Step, Texts};

/// A session keyring of the container's own, or its keys would be the caller's.
pub(crate) fn keyring(request: &Request, steps: &mut Steps) {
    if !request.keep_keyring {
        let name = format!("_ses.{}", request.id);
        steps.push(Step::SessionKeyring { name: name.as_str().into() });
    }
}

/// What needs the right to write to the root and to procfs: before either is closed.
pub(crate) fn prepare(spec: &Spec<'_>, host: &Host, targets: &mut Targets, steps: &mut Steps) -> Result<(), Error> {
    let Some(process) = &spec.process else { return Ok(()) };
    if &*process.cwd != "/" {
        steps.push(Step::MakeDirectory { path: (&*process.cwd).into() });
    }
    labels(spec, host, process)?;
    let writes = process.oom_score_adj.is_some()
        || !spec.linux.sysctl.is_empty()
        || !process.apparmor_profile.is_empty()
        || !process.selinux_label.is_empty();
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
    if let Some(value) = process.oom_score_adj {
        steps.push(Step::OomScore { proc, value });
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

/// A label that nobody enforces is no confinement: refuse, as runc does.
fn labels(spec: &Spec<'_>, host: &Host, process: &Process<'_>) -> Result<(), Error> {
    let refuse = |field: &str, lack: &str| Err(Error::Host { field: field.to_owned(), lack: lack.to_owned() });
    if !process.apparmor_profile.is_empty() && !host.apparmor {
        return refuse(
            "process.apparmorProfile",
            "apparmor: config provided but apparmor not supported on this host; remove the field",
        );
    }
    if !process.selinux_label.is_empty() && !host.selinux {
        return refuse(
            "process.selinuxLabel",
            "selinux label is specified in config, but selinux is disabled or not supported on this host; remove the field",
        );
    }
    if !spec.linux.mount_label.is_empty() && !host.selinux {
        return refuse(
            "linux.mountLabel",
            "selinux label is specified in config, but selinux is disabled or not supported on this host; remove the field",
        );
    }
    Ok(())
}

/// From root to the process that was asked for. The one place that knows this order, for `create` and for `exec`.
pub(crate) fn become_it(
    spec: &Spec<'_>,
    host: &Host,
    targets: &mut Targets,
    steps: &mut Steps,
    warnings: &mut Vec<String>,
) -> Result<(), Error> {
    let Some(process) = &spec.process else { return Ok(()) };
    if let Some(proc) = targets.proc {
        if !process.apparmor_profile.is_empty() {
            let label = (&*process.apparmor_profile).into();
            steps.push(Step::ExecLabel { proc, kind: LabelKind::AppArmor, label });
        }
        if !process.selinux_label.is_empty() {
            let label = (&*process.selinux_label).into();
            steps.push(Step::ExecLabel { proc, kind: LabelKind::Selinux, label });
        }
    }
    personality(spec, steps)?;
    steps.push(Step::ResetAffinity {});
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
    identity(process, host, steps, warnings);
    if &*process.cwd != "/" {
        steps.push(Step::VerifyDirectory { path: (&*process.cwd).into() });
    }
    steps.push(Step::Umask { mask: process.user.umask.unwrap_or(0o022) & 0o777 });
    Ok(())
}

/// Bounding set first, while CAP_SETPCAP is there; groups before the user, while CAP_SETGID is; the sets last.
fn identity(process: &Process<'_>, host: &Host, steps: &mut Steps, warnings: &mut Vec<String>) {
    let (bounding, sets) = capabilities(process, host, warnings);
    // What is not in the runtime's own set can't come into the container's.
    steps.push(Step::BoundingSet { keep: bounding, lose: host.bounding & !bounding });
    let groups: Vec<u8> = process.user.additional_gids.iter().flat_map(|gid| format!("{gid}\0").into_bytes()).collect();
    steps.push(Step::Groups { ids: Texts::new(&groups) });
    let (uid, gid) = (process.user.uid, process.user.gid);
    if (uid, gid) != (host.uid, host.gid) {
        steps.push(Step::User { uid, gid });
    }
    steps.push(Step::CapabilitySets { sets });
}

/// The config's names as sets, without what is unknown or can't be had: each a warning, as the specification asks.
fn capabilities(process: &Process<'_>, host: &Host, warnings: &mut Vec<String>) -> (u64, Capabilities) {
    let names = &process.capabilities;
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

fn personality(spec: &Spec<'_>, steps: &mut Steps) -> Result<(), Error> {
    let Some(personality) = &spec.linux.personality else { return Ok(()) };
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

/// Report, perhaps wait, and become the program.
pub(crate) fn wait_and_exec(spec: &Spec<'_>, request: &Request, steps: &mut Steps) {
    let Some(process) = &spec.process else { return };
    let variables = environment(process, request);
    let path = variables.iter().find_map(|variable| variable.strip_prefix("PATH=")).unwrap_or_default();
    if request.wait == Wait::Start {
        // `create` can still say that it is missing. `run` hears it from exec itself.
        steps.push(Step::FindProgram { name: process.args.first().map_or("", |name| name).into(), path: path.into() });
    }
    let first = request.preserved.saturating_add(3);
    steps.push(Step::Ready {});
    if request.wait == Wait::Start {
        steps.push(Step::AwaitStart { first });
    }
    steps.push(Step::CloseDescriptors { first });
    let home = match variables.iter().any(|variable| variable.starts_with("HOME=") && variable.len() > 5) {
        true => String::new(),
        false => process.user.uid.to_string(),
    };
    let variables = variables.iter().filter(|variable| home.is_empty() || !variable.starts_with("HOME="));
    let env: Vec<u8> = variables.flat_map(|variable| words(variable)).collect();
    let args: Vec<u8> = process.args.iter().flat_map(|word| words(word)).collect();
    steps.push(Step::Exec {
        args: Texts::new(&args),
        env: Texts::new(&env),
        path: path.into(),
        home: home.as_str().into(),
    });
}

fn words(text: &str) -> impl Iterator<Item = u8> {
    text.bytes().chain([0])
}

/// The variables in order, of several with one name the last (execve(2) would pass on both, and shells differ in which
/// they take).
fn environment<'a>(process: &'a Process<'_>, request: &Request) -> Vec<std::borrow::Cow<'a, str>> {
    use std::borrow::Cow;
    use std::collections::BTreeSet;
    let mut variables: Vec<Cow<'a, str>> = Vec::with_capacity(process.env.len() + 2);
    let mut seen = BTreeSet::new();
    let listen = (request.listen > 0).then(|| [format!("LISTEN_FDS={}", request.listen), "LISTEN_PID=1".to_owned()]);
    let listen = listen.into_iter().flatten().rev().map(Cow::Owned);
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
