//! Hooks: those that init runs are steps, and where it waits for those of the host's side is one too.

use crate::error::invalid;
use crate::plan::{Join, Request, Spawn};
use crate::process::variables;
use crate::spec::{Hook, Process, Spec, Str};
use crate::{Error, Steps};
use rt_wire::{HookKind, NONE, Step, Texts};

/// Places of what the hooks of the container's side read and write, or [`NONE`].
#[derive(Clone, Copy)]
pub(crate) struct Files {
    /// The state that startContainer hooks read.
    pub(crate) state: u8,
    /// Standard output, where it has a name.
    pub(crate) output: u8,
    /// Standard error, where it has a name.
    pub(crate) errors: u8,
}

/// Annotations that name those files (crun's).
pub const OUTPUTS: [&str; 2] = ["run.oci.hooks.stdout", "run.oci.hooks.stderr"];

/// Wait for the hooks of the host's side, then run those of the container's that find their program on the host: all
/// before its root is entered. Returns what those after it need.
pub(crate) fn before_entering(spec: &Spec<'_>, spawn: &mut Spawn, steps: &mut Steps) -> Result<Files, Error> {
    let hooks = &spec.hooks;
    let mut files = Files { state: NONE, output: NONE, errors: NONE };
    if !(hooks.create_container.is_empty() && hooks.start_container.is_empty()) {
        files = Files { output: output(spec, OUTPUTS[0], spawn)?, errors: output(spec, OUTPUTS[1], spawn)?, ..files };
    }
    if !(hooks.prestart.is_empty() && hooks.create_runtime.is_empty() && hooks.create_container.is_empty()) {
        steps.push(Step::AwaitHooks {});
    }
    if !hooks.create_container.is_empty() {
        let state = spawn.inherit(Join::State { status: "creating" })?;
        let own = |hook: &Hook<'_>| (lines(&hook.env), String::new());
        run(HookKind::CreateContainer, &hooks.create_container, Files { state, ..files }, own, steps);
    }
    if !hooks.start_container.is_empty() {
        files.state = spawn.inherit(Join::State { status: "created" })?;
    }
    Ok(files)
}

/// In the container, as its user, when everything else is done. One without an environment has the process's, as with
/// runc: it is the container's program.
pub(crate) fn before_the_program(
    spec: &Spec<'_>,
    process: &Process<'_>,
    request: &Request,
    files: Files,
    steps: &mut Steps,
) {
    let environment = |hook: &Hook<'_>| match hook.env.is_empty() {
        true => variables(process, request),
        false => (lines(&hook.env), String::new()),
    };
    run(HookKind::StartContainer, &spec.hooks.start_container, files, environment, steps);
}

fn output(spec: &Spec<'_>, annotation: &'static str, spawn: &mut Spawn) -> Result<u8, Error> {
    let path = spec.annotations.iter().find(|(key, _)| &***key == annotation);
    match path {
        None => Ok(NONE),
        Some((_, path)) => spawn.inherit(Join::Output { path: path.to_string(), annotation }),
    }
}

/// A step each. `environment` has its variables, and whose HOME is to be looked up.
fn run(
    kind: HookKind,
    hooks: &[Hook<'_>],
    files: Files,
    environment: impl Fn(&Hook<'_>) -> (Vec<u8>, String),
    steps: &mut Steps,
) {
    for (number, hook) in hooks.iter().enumerate() {
        let args = match hook.args.is_empty() {
            true => hook.path.bytes().chain([0]).collect(),
            false => lines(&hook.args),
        };
        let (env, home) = environment(hook);
        steps.push(Step::RunHook {
            kind,
            number: u16::try_from(number).unwrap_or(u16::MAX),
            path: (&*hook.path).into(),
            args: Texts::new(&args),
            env: Texts::new(&env),
            home: home.as_str().into(),
            seconds: hook.timeout.and_then(|seconds| u32::try_from(seconds).ok()).unwrap_or(0),
            state: files.state,
            output: files.output,
            errors: files.errors,
        });
    }
}

/// Each with its NUL.
fn lines(lines: &[Str<'_>]) -> Vec<u8> {
    lines.iter().flat_map(|line| line.bytes().chain([0])).collect()
}

/// The annotation `run.rt.init`: `true`, or `linger=` and how many milliseconds others may outlive the program.
pub(crate) fn serve(spec: &Spec<'_>) -> Result<Option<u32>, Error> {
    const NAME: &str = "run.rt.init";
    let Some((_, value)) = spec.annotations.iter().find(|(key, _)| &***key == NAME) else { return Ok(None) };
    linger(value).map_err(|problem| invalid(format!("annotations[\"{NAME}\"]"), problem))
}

/// `true`, `false`, or `linger=MILLISECONDS`: whether init stays, and how long others may outlive the program.
///
/// # Errors
/// What is wrong with the text.
pub fn linger(text: &str) -> Result<Option<u32>, String> {
    match text.split_once('=') {
        None if matches!(text, "true" | "1") => Ok(Some(0)),
        None if matches!(text, "false" | "0" | "") => Ok(None),
        Some(("linger", milliseconds)) if milliseconds.bytes().all(|byte| byte.is_ascii_digit()) => {
            milliseconds.parse().map(Some).map_err(|_| format!("\"{milliseconds}\" is no number of milliseconds"))
        }
        _ => Err(format!("\"{text}\" is not true, false or linger=MILLISECONDS")),
    }
}
