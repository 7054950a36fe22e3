//! Profiles at random, the same ones every time.

use rt_seccomp::{Action, Arch, Condition, Operator, Profile, Rule};

/// SplitMix64: small, and good enough to be surprised by.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, count: usize) -> usize {
        usize::try_from(self.next() % count as u64).expect("small")
    }

    pub(crate) fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    pub(crate) fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())].clone()
    }
}

/// Where rules meet each other, and where the architectures differ.
const CROWDED: &[&str] =
    &["socket", "socketcall", "ipc", "semop", "shmget", "accept4", "personality", "clone", "read", "setuid", "mmap"];

/// What comparisons trip over.
pub(crate) const VALUES: &[u64] = &[
    0,
    1,
    2,
    5,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    1 << 32,
    (1 << 32) | 5,
    (2 << 32) | 1,
    0x8000_0000_0000_0000,
    u64::MAX,
];

const MASKS: &[u64] = &[0, 1, 6, 0xffff_ffff, 0xffff_ffff_0000_0000, (1 << 32) | 1, 0x7e02_0000, u64::MAX];

/// A profile about calls of these names, for `native` and perhaps others of the same byte order.
pub(crate) fn profile(dice: &mut Dice, names: &[&str], others: &[Arch]) -> Profile {
    let default = dice.pick(&[
        Action::Errno,
        Action::Errno,
        Action::Allow,
        Action::Kill,
        Action::Trap,
        Action::Log,
        Action::Trace,
    ]);
    let mut values: Vec<u64> = (0..1 + dice.below(3)).map(|_| dice.pick(VALUES)).collect();
    if dice.one_in(3) {
        values.push(dice.next());
    }
    let mut crowd: Vec<&str> = (0..2).map(|_| dice.pick(CROWDED)).collect();
    crowd.push(dice.pick(names));
    let usual = action(dice);
    let rules = (0..1 + dice.below(30)).map(|_| {
        let (action, errno_ret) = if dice.one_in(8) { action(dice) } else { usual };
        let names = if dice.one_in(2) {
            vec![dice.pick(&crowd).to_owned()]
        } else {
            (0..1 + dice.below(4)).map(|_| dice.pick(names).to_owned()).collect()
        };
        let args = if dice.one_in(3) { Vec::new() } else { conditions(dice, &values) };
        Rule { names, action, errno_ret, args }
    });
    Profile {
        default_action: Some(default),
        default_errno_ret: if default == Action::Errno && usual.0 != Action::Trap { Some(1) } else { None },
        syscalls: rules.collect(),
        architectures: others.iter().copied().filter(|_| dice.one_in(2)).collect(),
        ..Profile::default()
    }
}

fn action(dice: &mut Dice) -> (Action, Option<u32>) {
    match dice.below(8) {
        0 => (Action::Errno, None),
        1 => (Action::Errno, Some(38)),
        2 => (Action::Trace, Some(7)),
        3 => (Action::KillProcess, None),
        4 => (Action::Log, None),
        5 => (Action::Notify, None),
        _ => (Action::Allow, None),
    }
}

fn conditions(dice: &mut Dice, values: &[u64]) -> Vec<Condition> {
    let args = [0, 1, 5];
    let count = 1 + dice.below(3).min(dice.below(4));
    let distinct = !dice.one_in(6);
    let mut conditions: Vec<Condition> = Vec::new();
    for _ in 0..count {
        let index = dice.pick(&args);
        if distinct && conditions.iter().any(|condition| condition.index == index) {
            continue;
        }
        let op = dice.pick(Operator::ALL);
        let masked = op == Operator::MaskedEqual;
        let value = if masked { dice.pick(MASKS) } else { dice.pick(values) };
        conditions.push(Condition { index, value, value_two: if masked { dice.pick(values) } else { 0 }, op });
    }
    conditions
}
