//! The compiler against libseccomp, which runc uses: the same profile, and every call gets the same verdict.

mod oracle;
mod random;

use oracle::{Made, Oracle, Stub};
use random::Dice;
use rt_seccomp::{Action, Arch, Attempt, Error, Profile, Verdict, compile, names, number, verdict};
use std::collections::BTreeSet;

/// Newer than the libseccomp of Debian 12, which is of Linux 5.17: each has a number on every architecture.
const NEWEST_OF_2_5_4: u32 = 450;

fn is_known_difference(arch: Arch, name: &str) -> bool {
    let base = match arch {
        Arch::Mips | Arch::Mipsel => 4000,
        Arch::Mips64 | Arch::Mipsel64 => 5000,
        Arch::Mips64N32 | Arch::Mipsel64N32 => 6000,
        Arch::X32 => 1 << 30,
        _ => 0,
    };
    match (arch, name) {
        (_, name) if number(arch, name).is_some_and(|number| number - base > NEWEST_OF_2_5_4) => true,
        _ => false,
    }
}

#[test]
fn names_have_the_numbers_that_libseccomp_gives_them() {
    let Some(mut oracle) = Oracle::start() else { return };
    let known: Vec<Arch> = Arch::ALL.iter().copied().filter(|arch| oracle.knows(*arch)).collect();
    assert!(known.len() >= 17, "{known:?}");
    for arch in known {
        for name in names() {
            let same = agrees(&mut oracle, arch, name);
            assert!(
                same || is_known_difference(arch, name),
                "{name} on {arch}: {:?}",
                (number(arch, name), oracle.number(arch, name))
            );
        }
    }
}

/// Whether a name has the same number for both. What is found behind socketcall and ipc has a negative one for libseccomp, and
/// so has what an architecture lacks.
fn agrees(oracle: &mut Oracle, arch: Arch, name: &str) -> bool {
    let theirs = oracle.number(arch, name);
    let ours = number(arch, name).map(i64::from);
    theirs == ours && ours.is_some()
        || theirs.is_some_and(|theirs| theirs < 0) && (ours.is_none() || is_behind(arch, name))
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
    for name in ["docker", "containerd", "podman-4", "podman-5"] {
        let path = format!("{}/tests/profiles/{name}.json", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read(path).expect("a profile");
        let mut profile: Profile = serde_json::from_slice(&text).expect("a profile");
        forget_what_it_lacks(&mut oracle, &mut profile);
        compare(&mut oracle, &profile, Arch::NATIVE, name).expect("the same");
        for native in Arch::ALL.iter().copied().filter(|arch| *arch != Arch::X32) {
            if oracle.knows(native) {
                profile.architectures.clear();
                compare(&mut oracle, &profile, native, &format!("{name} on {native}")).expect("the same");
            }
        }
    }
}

#[test]
fn random_profiles_give_libseccomps_verdicts() {
    let Some(mut oracle) = Oracle::start() else { return };
    let known: Vec<Arch> = Arch::ALL.iter().copied().filter(|arch| oracle.knows(*arch)).collect();
    let mut names: Vec<&str> = names().collect();
    // The number that libseccomp 2.5 has for it where it is missing is another call's.
    names.retain(|name| *name != "sys_debug_setcontext" && known.iter().all(|arch| agrees(&mut oracle, *arch, name)));
    let first = std::env::var("FIRST").map_or(0, |first| first.parse().expect("a number"));
    let count = std::env::var("COUNT").map_or(2000, |count| count.parse().expect("a number"));
    let (mut same, mut refused, mut hung, mut contradicts) = (0, 0, 0, 0);
    let mut differ = Vec::new();
    for seed in first..first + count {
        let mut dice = Dice(seed);
        let (native, others) = if dice.one_in(2) {
            (Arch::NATIVE, vec![Arch::X86, Arch::X32, Arch::Aarch64])
        } else {
            let native = loop {
                let arch = dice.pick(&known);
                if arch != Arch::X32 {
                    break arch;
                }
            };
            (native, Vec::new())
        };
        let profile = random::profile(&mut dice, &names, &others);
        match compare(&mut oracle, &profile, native, &format!("profile {seed}")) {
            Ok(Outcome::Same) => same += 1,
            Ok(Outcome::Refused) => refused += 1,
            Ok(Outcome::Hung) => hung += 1,
            Ok(Outcome::Contradicts) => contradicts += 1,
            Err(difference) => differ.push(difference),
        }
    }
    eprintln!(
        "{same} the same, {refused} refused by both, libseccomp hung in {hung}, contradicts itself in {contradicts}, {} differ",
        differ.len()
    );
    assert!(differ.is_empty(), "{}", differ.join("\n"));
}

enum Outcome {
    Same,
    Refused,
    Hung,
    Contradicts,
}

fn forget_what_it_lacks(oracle: &mut Oracle, profile: &mut Profile) {
    for rule in &mut profile.syscalls {
        rule.names.retain(|name| oracle.number(Arch::NATIVE, name).is_some());
    }
}

/// Compile by both, and ask both for every call.
fn compare(oracle: &mut Oracle, profile: &Profile, native: Arch, what: &str) -> Result<Outcome, String> {
    let ours = compile(profile, native, u32::MAX);
    oracle.level = 2;
    let second = match oracle.make(profile, native) {
        Made::Program(second) => second,
        _ => Vec::new(),
    };
    oracle.level = 1;
    let mut contradicts = false;
    let mut pseudo = None;
    let (ours, theirs) = match (ours, oracle.make(profile, native)) {
        (Ok(ours), Made::Program(theirs)) => (ours.instructions, theirs),
        (_, Made::Hung) => return Ok(Outcome::Hung),
        // EEXIST
        (Err(Error::Conflict { .. }), Made::Refused(-17, _)) => return Ok(Outcome::Refused),
        (Err(Error::NotifyWrite), _) => return Ok(Outcome::Refused),
        (ours, theirs) => {
            return Err(format!(
                "{what}: {ours:?}, libseccomp {theirs:?}\n{}",
                serde_json::to_string(profile).expect("JSON")
            ));
        }
    };
    let stub = Stub::new(oracle, profile, native);
    let archs: BTreeSet<Arch> = profile.architectures.iter().copied().chain([native, Arch::Riscv64]).collect();
    let interesting = arguments(profile);
    for arch in archs {
        let chained: BTreeSet<u32> = profile
            .syscalls
            .iter()
            .filter(|rule| !rule.args.is_empty() || rule.action == Action::Notify)
            .flat_map(|rule| &rule.names)
            .map(String::as_str)
            .chain(["socketcall", "ipc"])
            .filter_map(|name| number(arch, name))
            .collect();
        for number in numbers(arch) {
            let few = if chained.contains(&number) { &interesting[..] } else { &interesting[..1] };
            for (nth, args) in few.iter().enumerate() {
                let attempt = Attempt { arch, number, args: *args };
                let theirs = stub.verdict(&theirs, &attempt);
                let ours: Verdict = verdict(&ours, &attempt).map_err(|fault| format!("{what}: {fault}"))?;
                if ours != theirs
                    && Some(ours)
                        == pseudo.get_or_insert_with(|| oracle.pseudo(profile, native)).verdict(&attempt).or_else(
                            || {
                                profile.default_action.and_then(|a| {
                                    Some(Verdict::from_bits(oracle::action(a, profile.default_errno_ret)))
                                })
                            },
                        )
                {
                    contradicts = true;
                } else if ours != theirs && !second.is_empty() && ours == stub.verdict(&second, &attempt) {
                    contradicts = true;
                } else if ours != theirs {
                    let about = about(profile, arch, number);
                    return Err(format!("{what}: {arch} {number} {args:x?}: {ours}, libseccomp {theirs}\n{about}"));
                }
                // It starts from the profile each time, so not too often.
                if few.len() > 1 && nth % 16 == 0 {
                    let explained = rt_seccomp::answer(profile, native, &attempt).map(|answer| answer.verdict);
                    if explained != Ok(ours) {
                        return Err(format!("{what}: {arch} {number} {args:x?}: {ours}, and {explained:?}"));
                    }
                }
            }
        }
    }
    Ok(if contradicts { Outcome::Contradicts } else { Outcome::Same })
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
    let base = match arch {
        Arch::Mips | Arch::Mipsel => 4000,
        Arch::Mips64 | Arch::Mipsel64 => 5000,
        Arch::Mips64N32 | Arch::Mipsel64N32 => 6000,
        Arch::X32 => 1 << 30,
        _ => 0,
    };
    let mut numbers: Vec<u32> = (base..base + 1000).chain(0xf_0000..0xf_0010).collect();
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
