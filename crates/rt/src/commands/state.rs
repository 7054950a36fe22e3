//! `rt state`, and the form in which `list` prints the same.

use super::store;
use crate::args::{Global, One};
use crate::output::print;
use rt_runtime::{Error, Id, Record, Status, Store, observe};
use serde::Serialize;
use std::collections::BTreeMap;

/// runtime.md, "State", with runc's additions; in runc's order.
#[derive(Serialize)]
pub(super) struct State {
    #[serde(rename = "ociVersion")]
    oci_version: String,
    pub(super) id: String,
    /// 0 once it has stopped.
    pub(super) pid: i32,
    pub(super) status: &'static str,
    pub(super) bundle: String,
    rootfs: String,
    pub(super) created: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    annotations: BTreeMap<String, String>,
    pub(super) owner: String,
}

pub(super) fn state(global: &Global, args: &One) -> Result<(), Error> {
    let store = store(global)?;
    let id = Id::parse(&args.id)?;
    let state = look(&store, &id, String::new())?;
    // Without a newline at the end, as runc.
    print(&serde_json::to_string_pretty(&state).unwrap_or_default());
    Ok(())
}

pub(super) fn look(store: &Store, id: &Id, owner: String) -> Result<State, Error> {
    let container = store.find(id)?;
    let status = observe(&container)?.status;
    let record: Record = container.record;
    Ok(State {
        oci_version: record.rt.oci_version,
        id: record.id,
        pid: if status == Status::Stopped { 0 } else { record.init_process_pid },
        status: status.words(),
        bundle: record.rt.bundle,
        rootfs: record.rt.rootfs,
        created: record.created,
        annotations: record.rt.annotations,
        owner,
    })
}
