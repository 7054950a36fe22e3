//! Hooks of the host's side: prestart, createRuntime, poststart, poststop.

use crate::child::words_of;
use crate::error::On;
use crate::inherited::output;
use crate::{Error, Record};
use rt_plan::hooks::OUTPUTS;
use rt_plan::spec::{Hook, Hooks, Str};
use rt_sys::command::{self, Command, End, Tail};
use rt_sys::exec::Words;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{MemfdFlags, Mode, OFlags, SealFlags, fcntl_add_seals, memfd_create};
use rustix::io::Errno;
use serde::Serialize;
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::ffi::CString;

/// What a hook reads: runtime.md, "State".
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct State<'a> {
    oci_version: &'a str,
    id: &'a str,
    status: &'a str,
    #[serde(skip_serializing_if = "is_nobody")]
    pid: i32,
    bundle: &'a str,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    annotations: &'a BTreeMap<String, String>,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde's signature
fn is_nobody(pid: &i32) -> bool {
    *pid == 0
}

/// The state of a container as a hook reads it. `pid` is its process as the hook sees it; 0 is none.
pub(crate) fn state(record: &Record, status: &str, pid: i32) -> Vec<u8> {
    let state = State {
        oci_version: &record.rt.oci_version,
        id: &record.id,
        status,
        pid,
        bundle: &record.rt.bundle,
        annotations: &record.rt.annotations,
    };
    serde_json::to_vec(&state).unwrap_or_default()
}

/// Those that a container's state keeps.
pub(crate) fn parse(kept: &RawValue) -> Result<Hooks<'_>, Error> {
    serde_json::from_str(kept.get())
        .map_err(|error| Error::Damaged { path: "state.json".into(), problem: error.to_string() })
}

/// A file for a state that is not known yet.
pub(crate) fn blank() -> Result<OwnedFd, Error> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let file = match memfd_create(c"rt-state", flags | MemfdFlags::NOEXEC_SEAL) {
        // Before 6.3 there is no such flag. Where vm.memfd_noexec is 2 there is, and it is needed.
        Err(Errno::INVAL) => memfd_create(c"rt-state", flags),
        file => file,
    };
    file.map_err(Error::call("make a memory file for the state that hooks read"))
}

/// Write it, for good: a hook gets the descriptor, and could write what the next one reads.
pub(crate) fn fill(file: &OwnedFd, state: &[u8]) -> Result<(), Error> {
    let written =
        rustix::io::pwrite(file, state, 0).and_then(|len| if len == state.len() { Ok(()) } else { Err(Errno::IO) });
    let seals = SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL;
    let sealed = written.and_then(|()| fcntl_add_seals(file, seals));
    sealed.map_err(Error::call("write the state that hooks read"))
}

/// Run the hooks of one kind, in order, until one fails.
///
/// # Errors
/// [`Error::Hook`], which names it.
pub(crate) fn run(
    kind: &'static str,
    hooks: &[Hook<'_>],
    record: &Record,
    status: &str,
    pid: i32,
) -> Result<(), Error> {
    run_each(kind, hooks, record, &state(record, status, pid), Err)
}

/// Run all of them, whatever becomes of them: what fails goes to `warn`.
pub(crate) fn run_all(kind: &'static str, hooks: &[Hook<'_>], record: &Record, mut warn: impl FnMut(Error)) {
    let _ = run_each(kind, hooks, record, &state(record, "stopped", 0), |error| {
        warn(error);
        Ok(())
    });
}

fn run_each(
    kind: &'static str,
    hooks: &[Hook<'_>],
    record: &Record,
    state: &[u8],
    mut failed: impl FnMut(Error) -> Result<(), Error>,
) -> Result<(), Error> {
    if hooks.is_empty() {
        return Ok(());
    }
    let input = blank()?;
    fill(&input, state)?;
    let named = |name: &'static str| {
        let path = record.rt.annotations.get(name);
        path.map(|path| output(path, name)).transpose()
    };
    let (stdout, stderr) = (named(OUTPUTS[0])?, named(OUTPUTS[1])?);
    // As runc; a bundle that is gone by the time of poststop is no reason not to run them.
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = rustix::fs::open(&*record.rt.bundle, flags, Mode::empty())
        .or_else(|_| rustix::fs::open("/", flags, Mode::empty()))
        .on("open", "/")?;
    for (number, hook) in hooks.iter().enumerate() {
        log::debug!("run {kind} hook #{number}: {}", hook.path);
        let mut said = Tail::new();
        let (args, env) = (words(&hook.args), words(&hook.env));
        let path = CString::new(&*hook.path).unwrap_or_default();
        let args = if args.is_empty() { vec![path.clone()] } else { args };
        let (mut args_table, mut env_table) = (vec![0; args.len() + 1], vec![0; env.len() + 1]);
        let (Some(args), Some(env)) = (
            Words::new(&mut args_table, args.iter().map(CString::as_c_str)),
            Words::new(&mut env_table, env.iter().map(CString::as_c_str)),
        ) else {
            continue;
        };
        let end = command::run(
            &Command {
                path: &path,
                args: &args,
                env: &env,
                directory: Some(directory.as_fd()),
                input: input.as_fd(),
                output: stdout.as_ref().map(AsFd::as_fd),
                errors: stderr.as_ref().map(AsFd::as_fd),
                seconds: hook.timeout.and_then(|seconds| u32::try_from(seconds).ok()),
                // Whatever our caller has made of them.
                ignored: u64::MAX,
                filter: None,
            },
            &mut said,
        );
        let how = match end {
            Ok(End::Exited(0)) => continue,
            Ok(End::Exited(status)) => format!("exit status {status}"),
            Ok(End::Killed(signal)) => format!("ended by signal {signal}"),
            Ok(End::Late) => {
                format!("it was killed when its time limit of {} s had passed", hook.timeout.unwrap_or_default())
            }
            Err(errno) => rt_plan::words(errno.raw_os_error()),
        };
        let said = words_of(said.bytes());
        let said = if said.is_empty() { said } else { format!(": {said}") };
        failed(Error::Hook(format!("error running {kind} hook #{number}: {}: {how}{said}", hook.path)))?;
    }
    Ok(())
}

/// The config's strings as the kernel wants them: it has no NUL in any.
fn words(lines: &[Str<'_>]) -> Vec<CString> {
    lines.iter().filter_map(|line| CString::new(&**line).ok()).collect()
}
