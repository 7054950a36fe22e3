//! Which part of a profile decides about a system call: the question of whoever sees one fail.

use crate::arch::Arch;
use crate::bpf::Attempt;
use crate::compile::{Base, FOREIGN, Kind, base, calls, enosys, groups};
use crate::error::Error;
use crate::profile::Profile;
use crate::rules::Rules;
use crate::table::Call;
use crate::verdict::Verdict;
use std::ops::Deref;

/// What becomes of a system call, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// What.
    pub verdict: Verdict,
    /// Why.
    pub reason: Reason,
}

/// The part of a profile that decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// `linux.seccomp.syscalls[…]`.
    Rule(usize),
    /// No rule is about it, or none of its conditions holds: `defaultAction`.
    Default,
    /// It is newer than every call that the profile names, which the kernel is said not to have.
    Newer,
    /// `architectures` does not list its ABI, and it is not the machine's.
    Foreign,
}

/// What a profile does with a call, by name. None: the architecture has no such call, or only behind socketcall(2) or ipc(2),
/// by whose names it can be asked for.
///
/// # Errors
/// What is wrong with the profile.
pub fn rule_for<S: Deref<Target = str>>(
    profile: &Profile<S>,
    native: Arch,
    arch: Arch,
    name: &str,
    args: [u64; 6],
) -> Result<Option<Answer>, Error> {
    let Some(number) = Call::named(name).and_then(|call| call.number(arch)) else { return Ok(None) };
    answer(profile, native, &Attempt { arch, number, args }).map(Some)
}

/// What a profile does with a call, by number: found in the rules themselves, without a program.
///
/// # Errors
/// What is wrong with the profile.
pub fn answer<S: Deref<Target = str>>(profile: &Profile<S>, native: Arch, attempt: &Attempt) -> Result<Answer, Error> {
    let rules = Rules::new(profile)?;
    let groups = groups(native, &profile.architectures);
    let Some(group) = groups.iter().find(|group| group[0].audit() == attempt.arch.audit()) else {
        return Ok(Answer { verdict: FOREIGN, reason: Reason::Foreign });
    };
    let base = base(&rules, group, enosys(native, rules.default));
    let part = base.iter().rev().find(|part| part.start <= attempt.number);
    let calls = calls(&rules, group)?;
    let call = calls.iter().find(|call| call.number == attempt.number);
    let decision = match (part, call) {
        (Some(&Base { verdict, kind: Kind::Newer, .. }), _) => return Ok(Answer { verdict, reason: Reason::Newer }),
        (Some(&Base { verdict, kind: Kind::Foreign, .. }), None) => {
            return Ok(Answer { verdict, reason: Reason::Foreign });
        }
        (_, call) => call.and_then(|call| call.outcome.decide(&attempt.args)),
    };
    Ok(match decision {
        Some(decision) => Answer { verdict: decision.verdict, reason: Reason::Rule(decision.rule) },
        None => Answer { verdict: rules.default, reason: Reason::Default },
    })
}
