//! What later commands need of the config. It goes into the container's state, so that nobody reads config.json a second
//! time: by then it may say something else.

use crate::Request;
use crate::namespaces::set;
use crate::seccomp::{Filter, Terms};
use crate::spec::{Personality, Process, Spec};
use rt_wire::Namespace;
use serde::{Deserialize, Serialize};

/// For `exec`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Kept<'a> {
    /// The container's own process: what one that `exec` starts has, unless it is told otherwise.
    #[serde(borrow)]
    pub process: Process<'a>,
    /// The execution domain, which all of the container's processes have.
    pub personality: Option<Personality<'a>>,
    /// The namespaces that are not the runtime's own, `CLONE_NEW*` bits.
    pub namespaces: u32,
    /// The caller's session keyring is the container's: `--no-new-keyring`.
    pub keep_keyring: bool,
    /// Its filter, whose program lies beside.
    pub filter: Option<Terms>,
}

impl<'a> Kept<'a> {
    /// Of a config, and of how the container was made.
    pub fn of(spec: &Spec<'a>, request: &Request, filter: Option<&Filter<'_>>) -> Self {
        Self {
            process: spec.process.clone().unwrap_or_default(),
            personality: spec.linux.personality.clone(),
            namespaces: set(spec),
            keep_keyring: request.keep_keyring,
            filter: filter.map(|filter| filter.terms.clone()),
        }
    }

    /// What a process has from the container's where its own description does not say: as with runc.
    pub fn complete(&self, process: &mut Process<'a>) {
        let own = &self.process;
        process.capabilities = process.capabilities.take().or_else(|| own.capabilities.clone());
        process.oom_score_adj = process.oom_score_adj.or(own.oom_score_adj);
        process.user.umask = process.user.umask.or(own.user.umask);
    }

    /// Whether its root is that of its mount namespace.
    pub fn has_root(&self) -> bool {
        self.namespaces & Namespace::Mount.flag() != 0
    }
}
