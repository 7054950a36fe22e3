//! The compiler against libseccomp, which runc uses: the same profile, and every call gets the same verdict.

use crate::oracle::{self, EEXIST, Made, Oracle, Pseudo, Stub};
use crate::random::{self, Dice};
use crate::{ENGINES, engine};
use rt_seccomp::{Arch, Attempt, Error, Insn, Profile, Verdict, answer, compile, names, number, verdict};
use std::collections::{BTreeMap, BTreeSet};

/// The largest number of Linux 5.17, of which the libseccomp of Debian 12 is: newer ones it may not have.
const LAST_OF_DEBIAN_12: u32 = 450;

#[test]
fn names_have_the_numbers_that_libseccomp_gives_them() {
    let Some(mut oracle) = Oracle::start() else { return };
    let known: Vec<Arch> = Arch::ALL.iter().copied().filter(|arch| oracle.knows(*arch)).collect();
    assert!(known.len() >= 18, "{known:?}");
    for arch in known {
        for name in names() {
            let same = agrees(&mut oracle, arch, name);
            let numbers = (number(arch, name), oracle.number(arch, name));
            assert!(same || is_known_difference(arch, name), "{name} on {arch}: {numbers:?}");
        }
    }
}

fn is_known_difference(arch: Arch, name: &str) -> bool {
    let newer = number(arch, name).is_some_and(|number| number - first(arch) > LAST_OF_DEBIAN_12);
    match (arch, name) {
        _ if newer => true,
        // Younger than their numbers.
        (_, "uretprobe" | "uprobe" | "riscv_hwprobe") => true,
        // The kernel's header says that it is the same as arm_sync_file_range, which libseccomp has.
        (Arch::Arm, "sync_file_range2") => true,
        // In the kernel's table for 32-bit programs only.
        (Arch::Parisc64, "_llseek") => true,
        (Arch::Loongarch64, "memfd_secret") => true,
        _ => false,
    }
}

/// Where an architecture begins to count.
fn first(arch: Arch) -> u32 {
    match arch {
        Arch::Mips | Arch::Mipsel => 4000,
        Arch::Mips64 | Arch::Mipsel64 => 5000,
        Arch::Mips64N32 | Arch::Mipsel64N32 => 6000,
        Arch::X32 => 1 << 30,
        _ => 0,
    }
}

/// Whether a name has the same number for both. What is found behind socketcall and ipc has a negative one for libseccomp, and
/// so has what an architecture lacks.
fn agrees(oracle: &mut Oracle, arch: Arch, name: &str) -> bool {
    let theirs = oracle.number(arch, name);
    let ours = number(arch, name).map(i64::from);
    theirs == ours || theirs.is_some_and(|theirs| theirs < 0) && (ours.is_none() || is_behind(arch, name))
}

fn is_behind(arch: Arch, name: &str) -> bool {
    number(arch, "socketcall").is_some()
        && ["sock", "bind", "connect", "listen", "accept", "get", "send", "recv", "shut", "set", "sem", "msg", "shm"]
            .iter()
            .any(|start| name.starts_with(start))
}

#[test]
fn profiles_of_engines_give_libseccomps_verdicts() {
    let Some(mut oracle) = Oracle::start() else { return };
    for name in ENGINES {
        let profile = engine(name);
        for native in Arch::ALL.iter().copied().filter(|arch| *arch != Arch::X32) {
            if !oracle.knows(native) {
                continue;
            }
            let mut profile = profile.clone();
            if native != Arch::NATIVE {
                profile.architectures.clear();
            }
            // What one of them does not have, or not yet.
            for rule in &mut profile.syscalls {
                let archs: Vec<_> = profile.architectures.iter().copied().chain([native]).collect();
                rule.names.retain(|name| archs.iter().all(|arch| agrees(&mut oracle, *arch, name)));
            }
            oracle.level = 2;
            let outcome = compare(&mut oracle, &profile, native);
            // Made for the other byte order, copies of libseccomp's returns have their bytes swapped twice.
            let excused = oracle::is_big(native) && outcome == Ok(Outcome::Miscompiled);
            assert!(outcome == Ok(Outcome::Same) || excused, "{name} on {native}: {outcome:?}");
        }
    }
}

/// libseccomp 2.5 and 2.6 have faults that such profiles bring to light. One that it is excused by is proved by libseccomp itself,
/// and what is left of a profile is compared all the same.
#[test]
fn random_profiles_give_libseccomps_verdicts() {
    let Some(mut oracle) = Oracle::start() else { return };
    let known: Vec<Arch> = Arch::ALL.iter().copied().filter(|arch| oracle.knows(*arch)).collect();
    let mut names: Vec<&str> = names().collect();
    // For sys_debug_setcontext, where it is missing, libseccomp 2.5 has the number of another missing call.
    names.retain(|name| *name != "sys_debug_setcontext" && known.iter().all(|arch| agrees(&mut oracle, *arch, name)));
    let first = std::env::var("FIRST").map_or(0, |first| first.parse().expect("a number"));
    let count = std::env::var("COUNT").map_or(2000, |count| count.parse().expect("a number"));
    let mut outcomes: BTreeMap<Outcome, usize> = BTreeMap::new();
    let mut differ = Vec::new();
    for seed in first..first + count {
        let mut dice = Dice(seed);
        let (native, others) = if dice.one_in(2) {
            (Arch::NATIVE, vec![Arch::X86, Arch::X32, Arch::Aarch64])
        } else {
            (dice.pick(&known), Vec::new())
        };
        let native = if native == Arch::X32 { Arch::NATIVE } else { native };
        let profile = random::profile(&mut dice, &names, &others);
        match compare(&mut oracle, &profile, native) {
            Ok(outcome) => *outcomes.entry(outcome).or_default() += 1,
            Err(difference) => differ.push(format!("profile {seed}: {difference}")),
        }
    }
    eprintln!("{outcomes:?}, {} differ", differ.len());
    assert!(differ.is_empty(), "{}", differ.join("\n"));
    // What it can't be asked about is not to become the rule.
    assert!(outcomes.get(&Outcome::Same) >= Some(&(usize::try_from(count).expect("small") * 8 / 10)), "{outcomes:?}");
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    /// Every verdict is the same.
    Same,
    /// Rules contradict each other, for both.
    Refused,
    /// Its program differs from ours, but not from what it prints, or makes on its other level of optimization: it jumps to
    /// comparisons of one word with another one loaded, and misses to load the number before the first rule if that is for a call
    /// which the architecture lacks.
    Miscompiled,
    /// It gives a verdict that no rule gives, or none where a rule gives one, each of them told to it alone: it shares what two
    /// rules have in common in places where they differ, and drops a rule as covered by another one that only looks alike.
    Confused,
    /// As `Confused`, where several rules apply: told in another order, it agrees.
    Disordered,
    /// It refuses rules that contradict each other about a call that an architecture has not.
    RefusedForNothing,
    /// It does not end: two rules with a bound on the same argument, and more behind it.
    Hung,
}

/// Compile by both, and ask both about every call.
fn compare(oracle: &mut Oracle, profile: &Profile, native: Arch) -> Result<Outcome, String> {
    let ours = compile(profile, native, u32::MAX);
    let (ours, theirs) = match (ours, oracle.make(profile, native)) {
        (Ok(ours), Made::Program(theirs)) => (ours.instructions, theirs),
        (_, Made::Hung) => return Ok(Outcome::Hung),
        (Err(Error::Conflict { .. }), Made::Refused(EEXIST)) | (Err(Error::NotifyWrite), _) => {
            return Ok(Outcome::Refused);
        }
        (Ok(_), Made::Refused(EEXIST)) => {
            let mut present = profile.clone();
            for rule in &mut present.syscalls {
                rule.names.retain(|name| archs(profile, native).all(|arch| number(arch, name).is_some()));
            }
            if matches!(oracle.make(&present, native), Made::Program(_)) {
                compare(oracle, &present, native)?;
                return Ok(Outcome::RefusedForNothing);
            }
            return Err(format!("only libseccomp refuses it\n{}", json(profile)));
        }
        (ours, theirs) => return Err(format!("{:?}, libseccomp {theirs:?}\n{}", ours.map(drop), json(profile))),
    };
    let stub = Stub::new(oracle, profile, native);
    let interesting = arguments(profile);
    let mut excuses = Excuses::default();
    let mut outcome = Outcome::Same;
    for arch in archs(profile, native).chain([Arch::Riscv64]).collect::<BTreeSet<_>>() {
        let conditional = profile.syscalls.iter().filter(|rule| !rule.args.is_empty()).flat_map(|rule| &rule.names);
        let conditional = conditional.map(String::as_str).chain(["socketcall", "ipc"]);
        let conditional: BTreeSet<u32> = conditional.filter_map(|name| number(arch, name)).collect();
        for number in numbers(arch) {
            let few = if conditional.contains(&number) { &interesting[..] } else { &interesting[..1] };
            for (nth, args) in few.iter().enumerate() {
                let attempt = Attempt { arch, number, args: *args };
                let their_verdict = stub.verdict(&theirs, &attempt);
                let our_verdict = verdict(&ours, &attempt).map_err(|fault| fault.to_string())?;
                if our_verdict != their_verdict {
                    let excuse = excuses.find(oracle, profile, native, &stub, &attempt, our_verdict);
                    let about = about(profile, arch, number);
                    let difference =
                        format!("{arch} {number} {args:x?}: {our_verdict}, libseccomp {their_verdict}\n{about}");
                    outcome = outcome.max(excuse.ok_or(difference)?);
                }
                // It starts from the profile each time, so not too often.
                if few.len() > 1 && nth % 100 == 3 {
                    let explained = answer(profile, native, &attempt).map(|answer| answer.verdict);
                    if explained != Ok(our_verdict) {
                        return Err(format!("{arch} {number} {args:x?}: {our_verdict}, explained as {explained:?}"));
                    }
                }
            }
        }
    }
    Ok(outcome)
}

/// What else libseccomp says of a profile.
#[derive(Default)]
struct Excuses {
    /// Printed, and as a program of level 2.
    other: Option<(Pseudo, Vec<Insn>)>,
    /// Printed, each rule by itself.
    alone: Option<Vec<Pseudo>>,
    /// Printed, with the rules in other orders.
    orders: Option<Vec<Pseudo>>,
}

impl Excuses {
    fn find(
        &mut self,
        oracle: &mut Oracle,
        profile: &Profile,
        native: Arch,
        stub: &Stub,
        attempt: &Attempt,
        ours: Verdict,
    ) -> Option<Outcome> {
        let default = Verdict::from_bits(oracle::action(profile.default_action?, profile.default_errno_ret));
        let (printed, program) = self.other.get_or_insert_with(|| {
            let printed = oracle.pseudo(profile, native).expect("it was made before");
            oracle.level = 3 - oracle.level;
            let made = oracle.make(profile, native);
            oracle.level = 3 - oracle.level;
            (printed, if let Made::Program(program) = made { program } else { Vec::new() })
        });
        let agrees = |printed: &Pseudo| printed.verdict(attempt).unwrap_or(default) == ours;
        if agrees(printed) || !program.is_empty() && stub.verdict(program, attempt) == ours {
            return Some(Outcome::Miscompiled);
        }
        let alone = self.alone.get_or_insert_with(|| {
            let rules = profile.syscalls.iter().map(|rule| Profile { syscalls: vec![rule.clone()], ..profile.clone() });
            rules.filter_map(|profile| oracle.pseudo(&profile, native)).collect()
        });
        let verdicts: Vec<Verdict> = alone.iter().filter_map(|printed| printed.verdict(attempt)).collect();
        if verdicts.iter().all(|verdict| *verdict == ours) && (ours == default || !verdicts.is_empty()) {
            return Some(Outcome::Confused);
        }
        let orders = self.orders.get_or_insert_with(|| {
            let mut profile = profile.clone();
            let mut orders = Vec::new();
            for turn in 0..2 * profile.syscalls.len() {
                profile.syscalls.rotate_left(1);
                if turn + 1 == profile.syscalls.len() {
                    profile.syscalls.reverse();
                }
                orders.extend(oracle.pseudo(&profile, native));
            }
            orders
        });
        orders.iter().any(agrees).then_some(Outcome::Disordered)
    }
}

fn archs(profile: &Profile, native: Arch) -> impl Iterator<Item = Arch> {
    profile.architectures.iter().copied().chain([native])
}

fn json(profile: &Profile) -> String {
    serde_json::to_string(profile).expect("JSON")
}

/// The rules about a call, to print.
fn about(profile: &Profile, arch: Arch, call: u32) -> String {
    let behind = ["socketcall", "ipc"].iter().any(|name| number(arch, name) == Some(call));
    let lines = profile.syscalls.iter().filter_map(|rule| {
        let name =
            rule.names.iter().find(|name| number(arch, name) == Some(call) || behind && is_behind(arch, name))?;
        let args: Vec<_> = rule
            .args
            .iter()
            .map(|arg| format!("{} {} {:#x} {:#x}", arg.index, &arg.op.name()[9..], arg.value, arg.value_two))
            .collect();
        Some(format!("    {name} {:?} {:?} if {}\n", rule.action, rule.errno_ret, args.join(", ")))
    });
    lines.collect()
}

/// 0 to 1000 as the architecture counts, and the edges of the number space.
fn numbers(arch: Arch) -> Vec<u32> {
    let first = first(arch);
    let mut numbers: Vec<u32> = (first..first + 1000).chain(0xf_0000..0xf_0010).collect();
    for edge in [0, 1 << 30, 1 << 31, 3 << 30] {
        numbers.extend([edge, edge + 1, edge + 500, u32::wrapping_sub(edge, 1), u32::wrapping_sub(edge, 2)]);
    }
    numbers
}

/// Arguments around the values of a profile, alone and mixed.
fn arguments(profile: &Profile) -> Vec<[u64; 6]> {
    let mut values: BTreeSet<u64> = [0, 1, 13].into();
    for condition in profile.syscalls.iter().flat_map(|rule| &rule.args) {
        for value in [condition.value, condition.value_two] {
            values.extend([value, value.wrapping_add(1), value.wrapping_sub(1), value ^ 1 << 32, value & 0xffff_ffff]);
        }
    }
    let values: Vec<u64> = values.into_iter().collect();
    let mut dice = Dice(7);
    let mut all: Vec<[u64; 6]> = vec![[0; 6]];
    all.extend(values.iter().map(|value| [*value; 6]));
    all.extend((0..150).map(|_| [(); 6].map(|()| dice.pick(&values))));
    all
}
