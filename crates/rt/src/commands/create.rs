//! `rt create`.

use super::{refuse_what_comes_later, store};
use crate::args::{CgroupManager, CreateArgs, Global, Passed, Served, Source};
use crate::report::Report;
use rt_plan::hooks::linger;
use rt_runtime::{Create, Error, Id, Manager};

pub(super) fn create(global: &Global, args: &CreateArgs, report: &Report) -> Result<(), Error> {
    refuse_what_comes_later(global)?;
    let request = request(global, &args.id, &args.source, Some((&args.passed, &args.served)))?;
    for warning in rt_runtime::create(&store(global)?, &request)? {
        report.warning(&warning);
    }
    Ok(())
}

/// The request that `create`, `run` and `explain` have in common.
pub(super) fn request(
    global: &Global,
    id: &str,
    source: &Source,
    made: Option<(&Passed, &Served)>,
) -> Result<Create, Error> {
    let passed = made.map(|(passed, _)| passed);
    Ok(Create {
        id: Id::parse(id)?,
        bundle: source.bundle.clone(),
        config: source.config.clone(),
        pid_file: passed.and_then(|passed| passed.pid_file.clone()),
        root_by_move: source.no_pivot,
        keep_keyring: source.no_new_keyring,
        preserve: passed.map_or(0, |passed| passed.preserve_fds),
        cgroups: match global.cgroup_manager {
            _ if global.systemd_cgroup => Manager::Systemd,
            CgroupManager::Cgroupfs => Manager::Files,
            CgroupManager::Systemd => Manager::Systemd,
            CgroupManager::Disabled => Manager::Nobody,
        },
        console_socket: passed.and_then(|passed| passed.console_socket.clone()),
        pidfd_socket: passed.and_then(|passed| passed.pidfd_socket.clone()),
        serve: match made.and_then(|(_, served)| served.init.as_deref()) {
            Some(text) => linger(text).map_err(|problem| Error::Usage(format!("--init: {problem}")))?,
            None => None,
        },
    })
}
