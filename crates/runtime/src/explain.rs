//! `explain`: the plan, printed. Looks at the host, touches nothing.

use crate::bundle::Bundle;
use crate::create::facts;
use crate::create::{Facts, scope};
use crate::{Create, Error};
use rt_cgroup::systemd::{Property, Unit, properties};
use rt_cgroup::{Layout, Settings};
use rt_plan::ruling::{Answer, Question, ask};
use rt_plan::{Pids, Plan, Spec, Wait, seccomp};
use rt_wire::Namespace;
use serde::Serialize;
use std::fmt;

/// What would be done, in words and in order.
#[derive(Debug, Serialize)]
pub struct Explanation {
    /// What could not be done as asked.
    pub warnings: Vec<String>,
    /// The container's cgroup directories.
    pub cgroup: Vec<String>,
    /// What systemd is told of it, where it is left to systemd.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unit: Vec<String>,
    /// What is written there.
    pub limits: Vec<String>,
    /// Namespaces that the clone makes.
    pub namespaces: Vec<String>,
    /// Its seccomp filter, if it has one.
    pub seccomp: Option<String>,
    /// What the parent does around the clone.
    pub around: Vec<String>,
    /// What init does.
    pub steps: Vec<String>,
}

/// Plan as `create` would.
///
/// # Errors
/// As `create`, as far as it gets without touching anything.
pub fn explain(request: &Create) -> Result<Explanation, Error> {
    let bundle = Bundle::open(&request.bundle, request.config.as_deref())?;
    let spec = Spec::parse(&bundle.config)?;
    let Facts { host, layout, place, unit } = facts(&spec, request)?;
    let asked = request.of_plan(&bundle, Wait::Start);
    let plan = rt_plan::create(&spec, &host, &asked)?;
    let limits = if layout == Layout::None {
        Vec::new()
    } else {
        let mut settings = Settings::new(&layout, &spec.linux.resources)?;
        if unit.is_some() {
            properties::round(&mut settings.v2);
        }
        settings.to_string().lines().map(str::to_owned).collect()
    };
    Ok(Explanation {
        warnings: plan.warnings.clone(),
        cgroup: place.dirs().into_iter().map(|(directory, _)| directory.to_owned()).collect(),
        unit: unit.map_or(Ok(Vec::new()), |unit| told(&unit, &spec, request))?,
        limits,
        namespaces: namespaces(&plan),
        seccomp: plan.filter.as_ref().map(|filter| seccomp::summary(&spec, filter)),
        around: around(&plan),
        steps: plan.steps.iter().map(|step| step.to_string()).collect(),
    })
}

/// What a systemd of today is told. It is not asked which one it is.
fn told(unit: &Unit, spec: &Spec<'_>, request: &Create) -> Result<Vec<String>, Error> {
    let mut told = vec![format!("start {}", unit.name)];
    let mut properties = scope(unit, spec, &request.id)?;
    properties.extend(properties::properties(&spec.linux.resources, u32::MAX)?);
    told.extend(properties.iter().map(Property::to_string));
    Ok(told)
}

/// What becomes of one system call in the container, and by which part of its config.
///
/// # Errors
/// As `create`, as far as the config and its profile go.
pub fn rule(request: &Create, question: &Question) -> Result<Answer, Error> {
    let bundle = Bundle::open(&request.bundle, request.config.as_deref())?;
    Ok(ask(&Spec::parse(&bundle.config)?, question)?)
}

fn namespaces(plan: &Plan) -> Vec<String> {
    let kinds = [
        Namespace::User,
        Namespace::Pid,
        Namespace::Network,
        Namespace::Ipc,
        Namespace::Uts,
        Namespace::Mount,
        Namespace::Cgroup,
    ];
    kinds.iter().filter(|kind| plan.spawn.namespaces & kind.flag() != 0).map(ToString::to_string).collect()
}

fn around(plan: &Plan) -> Vec<String> {
    let mut around = Vec::new();
    if let Some(Pids::Path(path)) = &plan.spawn.pid {
        around.push(format!("enter the pid namespace {path} for the clone, and come back"));
    }
    if let Some(offsets) = &plan.spawn.time {
        let offsets = offsets.trim_end().replace('\n', ", ");
        let with = if offsets.is_empty() { String::new() } else { format!(" with offsets {offsets}") };
        around.push(format!("make a time namespace{with} for the clone, and come back"));
    }
    if let Some(score) = plan.spawn.oom_score_adj {
        around.push(format!("the child sets its oom_score_adj to {score} before it executes init"));
    }
    if plan.mounts_stay {
        around.push(format!("unmount {} when the container is deleted: it has no mount namespace", plan.rootfs));
    }
    around
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let section = |f: &mut fmt::Formatter<'_>, title: &str, lines: &[String]| {
            if lines.is_empty() {
                return Ok(());
            }
            writeln!(f, "{title}")?;
            lines.iter().try_for_each(|line| writeln!(f, "      {line}"))
        };
        section(f, "warnings", &self.warnings)?;
        section(f, "cgroup", &self.cgroup)?;
        section(f, "systemd is told", &self.unit)?;
        section(f, "limits, before anything is born there", &self.limits)?;
        if !self.namespaces.is_empty() {
            writeln!(f, "new namespaces\n      {}", self.namespaces.join(" "))?;
        }
        section(f, "seccomp filter", self.seccomp.as_slice())?;
        section(f, "around the clone", &self.around)?;
        writeln!(f, "init")?;
        for (index, step) in self.steps.iter().enumerate() {
            writeln!(f, "{:4}  {step}", index + 1)?;
        }
        Ok(())
    }
}
