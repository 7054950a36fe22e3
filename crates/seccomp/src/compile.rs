//! From a profile to a program.

use crate::arch::{Arch, X32_BIT};
use crate::assemble::{Assembler, Leaf, Range, Target};
use crate::bpf::{self, Insn};
use crate::chain::{Decision, Outcome, Refusal};
use crate::error::Error;
use crate::profile::{Flag, Operator, Profile};
use crate::rules::{Rules, Test};
use crate::verdict::Verdict;
use std::ops::Deref;

/// `BPF_MAXINSNS` of linux/bpf_common.h.
pub const MOST: usize = 4096;
/// Comparisons beyond which no program gets below [`MOST`] any more, however much of them it shares.
const MOST_NODES: usize = 64 * MOST;
/// `SECCOMP_FILTER_FLAG_NEW_LISTENER`.
const NEW_LISTENER: u32 = 1 << 3;
/// Of calls of an architecture that the profile does not list: libseccomp's answer.
pub(crate) const FOREIGN: Verdict = Verdict::KillThread;

/// A program for seccomp(2), and how to install it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    /// The program.
    pub instructions: Vec<Insn>,
    /// `SECCOMP_FILTER_FLAG_*`.
    pub flags: u32,
    /// Whether loading it gives a descriptor for the listener.
    pub notify: bool,
    /// What of the profile has no effect: names that no architecture has. For a debug log; profiles are full of them.
    pub warnings: Vec<String>,
}

/// Compile a profile for a machine.
///
/// `supported` are the `SECCOMP_FILTER_FLAG_*` that its kernel knows.
///
/// # Errors
/// What is wrong with the profile, or that its program is longer than the kernel loads.
pub fn compile<S: Deref<Target = str>>(profile: &Profile<S>, native: Arch, supported: u32) -> Result<Filter, Error> {
    let rules = Rules::new(profile)?;
    let notify = profile.notifies();
    let flags = flags(profile.flags.as_deref(), notify, supported)?;
    let instructions = program(&rules, &groups(native, &profile.architectures), native)?;
    let warnings = rules.unknown.iter().map(|name| format!("unknown system call {name} is ignored")).collect();
    Ok(Filter { instructions, flags, notify, warnings })
}

fn flags(asked: Option<&[Flag]>, notify: bool, supported: u32) -> Result<u32, Error> {
    let listener = if notify { NEW_LISTENER } else { 0 };
    let Some(asked) = asked else {
        return Ok(listener | Flag::SpecAllow.bit() & supported);
    };
    asked.iter().try_fold(listener, |flags, flag| match flag {
        // There is one thread, and nothing to synchronize. Beside a listener the kernel would refuse it.
        Flag::Tsync => Ok(flags),
        flag if flag.bit() & supported == 0 => Err(Error::Flag(*flag)),
        Flag::WaitKillableRecv if !notify => Err(Error::WaitForNobody),
        flag => Ok(flags | flag.bit()),
    })
}

/// ABIs that the kernel calls by one name: one, or x86_64 and x32.
pub(crate) type Group = Vec<Arch>;

/// The native architecture first, whether listed or not, then the others as they come.
pub(crate) fn groups(native: Arch, listed: &[Arch]) -> Vec<Group> {
    let mut groups: Vec<Group> = vec![vec![native]];
    for arch in listed {
        match groups.iter_mut().find(|group| group[0].audit() == arch.audit()) {
            Some(group) if group.contains(arch) => {}
            Some(group) => group.push(*arch),
            None => groups.push(vec![*arch]),
        }
    }
    groups
}

fn program(rules: &Rules<'_>, groups: &[Group], native: Arch) -> Result<Vec<Insn>, Error> {
    let enosys = enosys(native, rules.default);
    let calls: Vec<Vec<Call>> = groups.iter().map(|group| calls(rules, group)).collect::<Result<_, _>>()?;
    let mut assembler = Assembler::default();
    let mut next = Target::Return(FOREIGN);
    for (group, calls) in groups.iter().zip(&calls).rev() {
        let ranges = ranges(&base(rules, group, enosys), calls);
        let search = assembler.search(&ranges, group[0].endian(), rules.default);
        let known = match search {
            Target::Return(_) => search,
            Target::At(_) => assembler.load(bpf::NUMBER, search),
        };
        next = assembler.jump(bpf::EQUAL, group[0].audit(), known, next);
        if assembler.len() > MOST {
            return Err(Error::TooLong { most: MOST });
        }
    }
    assembler.load(bpf::ARCH, next);
    let program = assembler.finish();
    if program.len() > MOST { Err(Error::TooLong { most: MOST }) } else { Ok(program) }
}

/// What becomes of a call.
pub(crate) struct Call {
    pub(crate) number: u32,
    pub(crate) outcome: Outcome,
}

/// The calls of these architectures that rules are about, by number.
pub(crate) fn calls(rules: &Rules<'_>, group: &[Arch]) -> Result<Vec<Call>, Error> {
    let mut placed: Vec<(u32, usize, Option<u32>, Arch)> = Vec::with_capacity(group.len() * rules.rules.len());
    for &arch in group {
        for (index, rule) in rules.rules.iter().enumerate().filter(|(_, rule)| !rule.idle) {
            if let Some(number) = rule.call.number(arch) {
                placed.push((number, index, None, arch));
            }
            if let Some(behind) = rule.behind(arch)
                && let Some(number) = behind.number(arch)
            {
                placed.push((number, index, Some(behind.selector), arch));
            }
        }
    }
    placed.sort_unstable_by_key(|(number, index, ..)| (*number, *index));
    let mut calls: Vec<Call> = Vec::with_capacity(placed.len());
    let mut nodes = 0;
    for (number, index, selector, arch) in placed {
        let rule = &rules.rules[index];
        let decision = Decision { verdict: rule.verdict, rule: rule.index };
        let selected = selector.map(|selector| select(selector, &rule.conditions));
        let conditions = selected.as_ref().unwrap_or(&rule.conditions);
        let outcome = Outcome::new(conditions, decision, arch.width());
        nodes += outcome.size();
        match calls.last_mut().filter(|call| call.number == number) {
            Some(call) => call.outcome.add(outcome).map_err(|refusal| match refusal {
                Refusal::Conflict => Error::Conflict { rule: rule.index, name: rule.name.to_owned(), arch },
                Refusal::TooLong => Error::TooLong { most: MOST },
            })?,
            None => calls.push(Call { number, outcome }),
        }
        if nodes > MOST_NODES {
            return Err(Error::TooLong { most: MOST });
        }
    }
    Ok(calls)
}

/// The conditions of a call behind another one: which call it is, in place of what the first argument would have been. The
/// others are compared with what stands there, as libseccomp does, whatever that is.
fn select(selector: u32, conditions: &[Test]) -> Vec<Test> {
    let first = Test { arg: 0, operator: Operator::Equal, mask: u64::MAX, value: selector.into() };
    std::iter::once(first).chain(conditions.iter().filter(|test| test.arg != 0).copied()).collect()
}

/// Numbers from `start`, and what becomes of them where no rule says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Base {
    pub(crate) start: u32,
    pub(crate) verdict: Verdict,
    pub(crate) kind: Kind,
}

/// Why numbers have the verdict that they have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It is the default.
    Default,
    /// They are another ABI's.
    Foreign,
    /// They are newer than the profile. No rule says otherwise.
    Newer,
}

/// The errno of a call that is newer than all that the profile knows; None where the default lets it through.
///
/// A C library that gets EPERM for a call which the kernel has since last year believes it, and fails; ENOSYS makes it try
/// the older one. runc has done so since 1.0.
pub(crate) fn enosys(native: Arch, default: Verdict) -> Option<Verdict> {
    let errno = match native {
        Arch::Mips | Arch::Mips64 | Arch::Mips64N32 | Arch::Mipsel | Arch::Mipsel64 | Arch::Mipsel64N32 => 89,
        Arch::Parisc | Arch::Parisc64 => 251,
        _ => 38,
    };
    match default {
        Verdict::Allow | Verdict::Log | Verdict::Trace(_) => None,
        _ => Some(Verdict::Errno(errno)),
    }
}

/// The newest call of an architecture that the profile names. Those that runc's library does not see as a number don't count.
pub(crate) fn newest(rules: &Rules<'_>, arch: Arch) -> Option<u32> {
    let seen = rules.rules.iter().filter(|rule| rule.behind(arch).is_none());
    seen.filter_map(|rule| rule.call.number(arch)).max().filter(|newest| *newest != 0)
}

/// What becomes of the numbers of a group, from 0 on.
pub(crate) fn base(rules: &Rules<'_>, group: &[Arch], enosys: Option<Verdict>) -> Vec<Base> {
    let default = |start| Base { start, verdict: rules.default, kind: Kind::Default };
    let newer = |arch, from: u32| {
        let start = from.max(newest(rules, arch)?.saturating_add(1));
        Some(Base { start, verdict: enosys?, kind: Kind::Newer })
    };
    if group[0].audit() != Arch::X86_64.audit() {
        let newer = newer(group[0], 0);
        // What number its kernel does not know it gives as 0. That was setup(2), which is ENOSYS for everybody.
        let zero =
            newer.filter(|_| matches!(group[0], Arch::S390 | Arch::S390x)).map(|newer| Base { start: 0, ..newer });
        return [zero, Some(default(u32::from(zero.is_some()))), newer].into_iter().flatten().collect();
    }
    // For libseccomp, and so for rules, x32 is all that starts with its first number; for runc's answer to what is newer, all
    // that has its bit.
    let mut base = Vec::with_capacity(9);
    for quarter in 0..4 {
        let start = quarter * X32_BIT;
        let member = if start < X32_BIT { Arch::X86_64 } else { Arch::X32 };
        let marked = if start & X32_BIT == 0 { Arch::X86_64 } else { Arch::X32 };
        let newer = if group.contains(&marked) { newer(marked, start) } else { None };
        if newer.is_none_or(|newer| newer.start > start) {
            let foreign = Base { start, verdict: FOREIGN, kind: Kind::Foreign };
            base.push(if group.contains(&member) { default(start) } else { foreign });
        }
        base.extend(newer);
    }
    // The number -1 is what a tracer makes of a call that it wants skipped.
    if !base.last().is_some_and(|last| last.kind == Kind::Newer) {
        base.push(default(u32::MAX));
    }
    base
}

/// Rules and base in one list of ranges, neighbours with the same verdict as one.
fn ranges<'a>(base: &[Base], calls: &'a [Call]) -> Vec<Range<'a>> {
    let mut ranges: Vec<Range<'a>> = Vec::with_capacity(2 * calls.len() + base.len());
    let mut push = |start, leaf| match (ranges.last().map(|last| last.leaf), leaf) {
        (Some(Leaf::Return(last)), Leaf::Return(verdict)) if last == verdict => {}
        _ => ranges.push(Range { start, leaf }),
    };
    let mut calls = calls.iter().peekable();
    for (at, part) in base.iter().enumerate() {
        let end = base.get(at + 1).map_or(1 << 32, |next| u64::from(next.start));
        let mut from = u64::from(part.start);
        while let Some(call) = calls.next_if(|call| u64::from(call.number) < end) {
            if part.kind == Kind::Newer {
                continue;
            }
            if u64::from(call.number) > from {
                push(u32::try_from(from).unwrap_or(u32::MAX), Leaf::Return(part.verdict));
            }
            push(
                call.number,
                match &call.outcome {
                    Outcome::Always(decision) => Leaf::Return(decision.verdict),
                    Outcome::Depends(nodes) => Leaf::Chain(nodes),
                },
            );
            from = u64::from(call.number) + 1;
        }
        if from < end {
            push(u32::try_from(from).unwrap_or(u32::MAX), Leaf::Return(part.verdict));
        }
    }
    ranges
}
