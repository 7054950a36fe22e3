//! Hooks: those that init runs are steps, and where it waits for those of the host's side is one too.

use crate::error::invalid;
use crate::plan::{Join, Spawn};
use crate::spec::{Hook, Spec};
use crate::{Error, Steps};
use rt_wire::{HookKind, NONE, Step, Texts};

/// Places of the files that hooks write to, or [`NONE`].
#[derive(Clone, Copy)]
pub(crate) struct Outputs {
    output: u8,
    errors: u8,
}

/// Annotations that name those files (crun's).
pub const OUTPUTS: [&str; 2] = ["run.oci.hooks.stdout", "run.oci.hooks.stderr"];

/// Wait for the hooks of the host's side, then run those of the container's that find their program on the host: all
/// before its root is entered.
pub(crate) fn before_entering(spec: &Spec<'_>, spawn: &mut Spawn, steps: &mut Steps) -> Result<Outputs, Error> {
    let hooks = &spec.hooks;
    let mut outputs = Outputs { output: NONE, errors: NONE };
    if !(hooks.create_container.is_empty() && hooks.start_container.is_empty()) {
        outputs = Outputs { output: output(spec, OUTPUTS[0], spawn)?, errors: output(spec, OUTPUTS[1], spawn)? };
    }
    if !(hooks.prestart.is_empty() && hooks.create_runtime.is_empty() && hooks.create_container.is_empty()) {
        steps.push(Step::AwaitHooks {});
    }
    run(HookKind::CreateContainer, &hooks.create_container, outputs, "creating", spawn, steps)?;
    Ok(outputs)
}

/// In the container, as its user, when everything else is done.
pub(crate) fn before_the_program(
    spec: &Spec<'_>,
    outputs: Outputs,
    spawn: &mut Spawn,
    steps: &mut Steps,
) -> Result<(), Error> {
    run(HookKind::StartContainer, &spec.hooks.start_container, outputs, "created", spawn, steps)
}

fn output(spec: &Spec<'_>, annotation: &'static str, spawn: &mut Spawn) -> Result<u8, Error> {
    let path = spec.annotations.iter().find(|(key, _)| &***key == annotation);
    match path {
        None => Ok(NONE),
        Some((_, path)) => spawn.inherit(Join::Output { path: path.to_string(), annotation }),
    }
}

fn run(
    kind: HookKind,
    hooks: &[Hook<'_>],
    outputs: Outputs,
    status: &'static str,
    spawn: &mut Spawn,
    steps: &mut Steps,
) -> Result<(), Error> {
    if hooks.is_empty() {
        return Ok(());
    }
    let state = spawn.inherit(Join::State { status })?;
    for (number, hook) in hooks.iter().enumerate() {
        let lines =
            |lines: &[crate::spec::Str<'_>]| lines.iter().flat_map(|line| line.bytes().chain([0])).collect::<Vec<u8>>();
        let args = match hook.args.is_empty() {
            true => hook.path.bytes().chain([0]).collect(),
            false => lines(&hook.args),
        };
        let env = lines(&hook.env);
        steps.push(Step::RunHook {
            kind,
            number: u16::try_from(number).unwrap_or(u16::MAX),
            path: (&*hook.path).into(),
            args: Texts::new(&args),
            env: Texts::new(&env),
            seconds: hook.timeout.and_then(|seconds| u32::try_from(seconds).ok()).unwrap_or(0),
            state,
            output: outputs.output,
            errors: outputs.errors,
        });
    }
    Ok(())
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
