//! What is true of every program, whatever the profile.

use crate::random::{self, Dice};
use crate::{ENGINES, engine};
use rt_seccomp::{
    Action, Arch, Attempt, Condition, Error, Insn, MOST, Operator, Profile, Rule, compile, names, verdict,
};
use std::time::{Duration, Instant};

fn profiles(count: u64) -> impl Iterator<Item = (Profile, Arch)> {
    let names: Vec<&str> = names().chain(["no_such_call"]).collect();
    (0..count).map(move |seed| {
        let mut dice = Dice(!seed);
        let native = dice.pick(Arch::ALL);
        (random::profile(&mut dice, &names, Arch::ALL), native)
    })
}

#[test]
fn every_program_is_one_that_the_kernel_loads() {
    let mut compiled = 0;
    for (profile, native) in profiles(3000) {
        let Ok(filter) = compile(&profile, native, u32::MAX) else { continue };
        check(&filter.instructions);
        let mut dice = Dice(1);
        for _ in 0..20 {
            let attempt = Attempt {
                arch: dice.pick(Arch::ALL),
                number: dice.pick(&[0, 1, 41, 1 << 30, u32::MAX]),
                args: [dice.next(); 6],
            };
            verdict(&filter.instructions, &attempt).expect("a verdict");
        }
        compiled += 1;
    }
    assert!(compiled > 2000, "{compiled}");
}

/// What bpf_check_classic() and seccomp_check_filter() of the kernel ask for.
fn check(program: &[Insn]) {
    assert!((1..=MOST).contains(&program.len()));
    for (at, instruction) in program.iter().enumerate() {
        let left = program.len() - at - 1;
        let skips = match instruction.code {
            0x20 => {
                assert!(instruction.k < 64 && instruction.k.is_multiple_of(4), "{instruction}");
                0
            }
            0x54 => 0,
            0x05 => usize::try_from(instruction.k).expect("small"),
            0x15 | 0x25 | 0x35 => usize::from(instruction.jt.max(instruction.jf)),
            0x06 => continue,
            code => panic!("{code:#x}"),
        };
        assert!(skips < left, "{at}: {instruction}");
    }
}

#[test]
fn a_profile_compiles_to_one_program() {
    for (profile, native) in profiles(300) {
        assert_eq!(compile(&profile, native, 0), compile(&profile, native, 0));
    }
}

#[test]
fn a_profile_survives_the_state_file() {
    for (profile, _) in profiles(300).chain(ENGINES.map(|name| (engine(name), Arch::NATIVE))) {
        let text = serde_json::to_string(&profile).expect("JSON");
        assert_eq!(serde_json::from_str::<Profile>(&text).expect("a profile"), profile, "{text}");
    }
}

#[test]
fn programs_of_engines_are_short() {
    for name in ENGINES {
        let length = compile(&engine(name), Arch::X86_64, 0).expect("a filter").instructions.len();
        assert!(length <= 320, "{name}: {length}");
    }
}

/// Jumps over more than 255 instructions go by way of others.
#[test]
fn far_jumps_arrive() {
    let rule = |number: u64| Rule {
        names: vec!["ioctl".to_owned(), "fcntl".to_owned()],
        action: Action::Errno,
        errno_ret: Some(u32::try_from(number % 4000 + 1).expect("small")),
        args: vec![Condition { index: 1, value: number << 20, value_two: 0, op: Operator::Equal }],
    };
    let profile =
        Profile { default_action: Some(Action::Allow), syscalls: (0..500).map(rule).collect(), ..Profile::default() };
    let program = compile(&profile, Arch::X86_64, 0).expect("a filter").instructions;
    assert!(program.len() > 2000);
    check(&program);
    for number in 0..501_u64 {
        for call in ["ioctl", "fcntl"] {
            let attempt = Attempt {
                arch: Arch::X86_64,
                number: rt_seccomp::number(Arch::X86_64, call).expect("a call"),
                args: [0, number << 20, 0, 0, 0, 0],
            };
            let errno = verdict(&program, &attempt).expect("a verdict").bits();
            let expected = if number < 500 { 0x0005_0001 + u32::try_from(number).expect("small") } else { 0x7fff_0000 };
            assert_eq!(errno, expected, "{call} {number}");
        }
    }
}

#[test]
fn what_the_kernel_would_not_load_is_refused_soon() {
    let values = |count: u64, args: &dyn Fn(u64) -> Vec<Condition>| Profile {
        default_action: Some(Action::Errno),
        syscalls: (0..count)
            .map(|number| Rule {
                names: vec!["ioctl".to_owned()],
                action: Action::Allow,
                errno_ret: None,
                args: args(number),
            })
            .collect(),
        ..Profile::default()
    };
    let condition = |index, value, op| Condition { index, value, value_two: 0, op };
    let many = values(100_000, &|number| vec![condition(1, number, Operator::Equal)]);
    let bounds =
        values(5_000, &|number| (0..6).map(|index| condition(index, number << 31, Operator::Greater)).collect());
    let unequal =
        values(5_000, &|number| (0..6).map(|index| condition(index, number * 7, Operator::NotEqual)).collect());
    for profile in [many, bounds, unequal] {
        let began = Instant::now();
        assert_eq!(compile(&profile, Arch::X86_64, 0), Err(Error::TooLong { most: MOST }));
        assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    }
}

#[test]
fn repetition_costs_nothing() {
    let rule =
        Rule { names: vec!["ioctl".to_owned(); 100_000], action: Action::Allow, errno_ret: None, args: Vec::new() };
    let profile = Profile { default_action: Some(Action::Errno), syscalls: vec![rule], ..Profile::default() };
    let filter = compile(&profile, Arch::X86_64, 0).expect("a filter");
    assert!(filter.instructions.len() < 20);
}
