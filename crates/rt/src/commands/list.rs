//! `rt list`.

use super::state::{State, look};
use super::store;
use crate::args::{Global, ListArgs, ListFormat};
use crate::output::{print, table};
use rt_runtime::{Error, Store};
use std::collections::HashMap;

pub(super) fn list(global: &Global, args: &ListArgs) -> Result<(), Error> {
    let store = store(global)?;
    let states = states(&store)?;
    if args.quiet {
        let names: String = states.iter().map(|state| format!("{}\n", state.id)).collect();
        print(&names);
        return Ok(());
    }
    match args.format {
        // Nothing is `null`, as Go has it.
        ListFormat::Json if states.is_empty() => print("null\n"),
        ListFormat::Json => print(&format!("{}\n", serde_json::to_string(&states).unwrap_or_default())),
        ListFormat::Table => print(&rows(&states)),
    }
    Ok(())
}

/// All that can be read. One that can't is named on standard error, and does not hide the others.
fn states(store: &Store) -> Result<Vec<State>, Error> {
    let mut names = Names::default();
    let mut states = Vec::new();
    for id in store.ids()? {
        let owner = store.owner(&id).map(|uid| names.of(uid)).unwrap_or_default();
        match look(store, &id, owner) {
            Ok(state) => states.push(state),
            // Being made, or being deleted, this very moment.
            Err(Error::NoSuchContainer { .. }) => {}
            Err(error) => eprintln!("load container {id}: {error}"),
        }
    }
    Ok(states)
}

fn rows(states: &[State]) -> String {
    let header = ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"].map(str::to_owned);
    let row = |state: &State| {
        [
            state.id.clone(),
            state.pid.to_string(),
            state.status.to_owned(),
            state.bundle.clone(),
            state.created.clone(),
            state.owner.clone(),
        ]
    };
    let rows: Vec<[String; 6]> = std::iter::once(header).chain(states.iter().map(row)).collect();
    table(&rows)
}

/// Users by number, from /etc/passwd: a static program must not ask the name service.
#[derive(Default)]
struct Names {
    passwd: Option<HashMap<u32, String>>,
}

impl Names {
    fn of(&mut self, uid: u32) -> String {
        let passwd =
            self.passwd.get_or_insert_with(|| parse(&std::fs::read_to_string("/etc/passwd").unwrap_or_default()));
        passwd.get(&uid).cloned().unwrap_or_else(|| format!("#{uid}"))
    }
}

fn parse(passwd: &str) -> HashMap<u32, String> {
    let user = |line: &str| {
        let mut fields = line.split(':');
        let name = fields.next()?.to_owned();
        let uid = fields.nth(1)?.parse().ok()?;
        Some((uid, name))
    };
    // Of two lines with one number the first counts, as for getpwuid(3).
    passwd.lines().rev().filter_map(user).collect()
}
