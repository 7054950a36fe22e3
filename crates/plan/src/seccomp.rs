//! The system calls that a process may make: the config's profile as a program, and when it is loaded.

use crate::error::invalid;
use crate::spec::{Annotations, Linux, Spec, Str};
use crate::{Error, Host, Steps};
use rt_seccomp::{Action, Arch, Flag};
use rt_wire::{Bytes, Load, Step};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// `linux.seccomp`.
pub type Profile<'a> = rt_seccomp::Profile<Str<'a>>;

/// A filter, ready to be loaded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter<'a> {
    /// Instructions of eight bytes, as the kernel has them.
    pub program: Cow<'a, [u8]>,
    /// How.
    pub terms: Terms,
}

/// What is to be known of a filter beside its program.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    /// `SECCOMP_FILTER_FLAG_*`.
    pub flags: u32,
    /// Who is notified, if a rule does.
    pub agent: Option<Agent>,
}

/// Who is notified.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agent {
    /// Its socket: `listenerPath`.
    pub path: String,
    /// What it is told beside: `listenerMetadata`.
    pub metadata: String,
}

/// crun's: the socket of the agent, where the profile has none.
const RECEIVER: &str = "run.oci.seccomp.receiver";
/// crun's: the program itself, in base64, instead of what the profile would become.
const PROGRAM: &str = "run.oci.seccomp_bpf_data";

/// What the config's profile comes to; none where there is none.
pub(crate) fn filter(
    linux: &Linux<'_>,
    annotations: &Annotations<'_>,
    host: &Host,
) -> Result<Option<Filter<'static>>, Error> {
    if let Some((_, program)) = annotated(annotations)? {
        return Ok(Some(Filter { program: program.into(), terms: Terms::default() }));
    }
    let Some(profile) = linux.seccomp.as_ref().filter(|profile| !profile.is_empty()) else { return Ok(None) };
    let compiled = rt_seccomp::compile(profile, Arch::NATIVE, host.seccomp_flags)
        .map_err(|error| invalid("linux.seccomp", error.to_string()))?;
    let agent = match compiled.notify {
        false => None,
        true => {
            let path = profile
                .listener_path
                .as_deref()
                .filter(|path| !path.is_empty())
                .or_else(|| find(annotations, RECEIVER));
            let path = path.ok_or_else(|| {
                invalid(
                    "linux.seccomp.listenerPath",
                    "it is missing, and a rule with SCMP_ACT_NOTIFY needs somebody to notify",
                )
            })?;
            let metadata = profile.listener_metadata.as_deref().unwrap_or_default();
            Some(Agent { path: path.to_owned(), metadata: metadata.to_owned() })
        }
    };
    let program = compiled.instructions.iter().flat_map(|instruction| instruction.to_bytes()).collect();
    Ok(Some(Filter { program: Cow::Owned(program), terms: Terms { flags: compiled.flags, agent } }))
}

/// The program that an annotation has, and which one.
pub(crate) fn annotated(annotations: &Annotations<'_>) -> Result<Option<(String, Vec<u8>)>, Error> {
    let Some(data) = find(annotations, PROGRAM) else { return Ok(None) };
    let field = format!("annotations[\"{PROGRAM}\"]");
    match base64(data).filter(|program| !program.is_empty() && program.len() % 8 == 0) {
        Some(program) => Ok(Some((field, program))),
        None => Err(invalid(field, "not a BPF program in base64")),
    }
}

fn find<'a>(annotations: &'a Annotations<'_>, wanted: &str) -> Option<&'a str> {
    annotations.iter().find(|(key, _)| &***key == wanted).map(|(_, value)| &**value)
}

/// What a container's filter is, for people.
pub fn summary(spec: &Spec<'_>, filter: &Filter<'_>) -> String {
    let mut parts = Vec::new();
    match spec.linux.seccomp.as_ref().filter(|_| find(&spec.annotations, PROGRAM).is_none()) {
        None => parts.push(format!("annotations[\"{PROGRAM}\"]")),
        Some(profile) => {
            let default = profile.default_action.map_or("", Action::name);
            let errno = profile.default_errno_ret.map(|errno| format!(" {errno}")).unwrap_or_default();
            parts.push(format!("{} rules, otherwise {default}{errno}", profile.syscalls.len()));
            parts.push(architectures(profile).map(Arch::name).collect::<Vec<_>>().join(", "));
        }
    }
    parts.push(format!("{} instructions", filter.program.len() / 8));
    let flags = Flag::ALL.iter().filter(|flag| filter.terms.flags & flag.bit() != 0);
    parts.extend(flags.map(|flag| flag.name().to_owned()));
    parts.extend(filter.terms.agent.iter().map(|agent| format!("the listener goes to {}", agent.path)));
    parts.join("; ")
}

/// Those whose calls a profile judges: the machine's own, and what it lists.
pub(crate) fn architectures(profile: &Profile<'_>) -> impl Iterator<Item = Arch> {
    let listed = profile.architectures.iter().copied().filter(|arch| *arch != Arch::NATIVE);
    std::iter::once(Arch::NATIVE).chain(listed)
}

/// Where in the list it is loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// While init still has CAP_SYS_ADMIN, which it takes without no_new_privs.
    Privileged,
    /// Before the parent writes the state: it passes the listener on.
    BeforeReady,
    /// With the program, so that it need not allow what init does; and with the hooks before it, which are the image's too.
    WithTheProgram,
}

impl Filter<'_> {
    fn place(&self, no_new_privileges: bool) -> Place {
        match (no_new_privileges, &self.terms.agent) {
            (false, _) => Place::Privileged,
            (true, Some(_)) => Place::BeforeReady,
            (true, None) => Place::WithTheProgram,
        }
    }
}

/// Load it, if this is the place.
pub(crate) fn load(filter: Option<&Filter<'_>>, no_new_privileges: bool, here: Place, steps: &mut Steps) {
    let Some(filter) = filter.filter(|filter| filter.place(no_new_privileges) == here) else { return };
    let when = if here == Place::WithTheProgram { Load::WithTheProgram } else { Load::Now };
    steps.push(Step::Seccomp { filter: Bytes(&filter.program), flags: filter.terms.flags, when });
}

/// RFC 4648, with or without padding.
fn base64(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let (mut held, mut bits) = (0u32, 0u32);
    for letter in text.trim().trim_end_matches('=').bytes() {
        let value = match letter {
            b'A'..=b'Z' => letter - b'A',
            b'a'..=b'z' => letter - b'a' + 26,
            b'0'..=b'9' => letter - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        held = held << 6 | u32::from(value);
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            let [.., byte] = (held >> bits).to_be_bytes();
            bytes.push(byte);
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::base64;

    #[test]
    fn base64_is_what_others_write() {
        assert_eq!(base64("aGVsbG8=").as_deref(), Some(&b"hello"[..]));
        assert_eq!(base64("BgAAAAAA/38").as_deref(), Some(&[6, 0, 0, 0, 0, 0, 0xff, 0x7f][..]));
        assert_eq!(base64("a b"), None);
    }
}
