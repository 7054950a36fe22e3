//! Which devices a container may use: the rules of the config as v1's list or as a program for v2. Pure.
//!
//! Rules apply in order from "nothing is allowed", and the defaults of [`DEFAULTS`] come after the config's, as in
//! runc, so that an absent or empty list never means that everything is allowed (GO-2022-0396).

use crate::error::Error;
use crate::program::compile;
use crate::write::Write;
use rt_plan::spec::resources::{Access, DeviceKind, DeviceRule};
use std::fmt;

const fn char(major: u32, minor: Option<u32>) -> DeviceRule {
    DeviceRule { allow: true, kind: DeviceKind::Char, major: Some(major), minor, access: Access::ALL }
}

const fn mknod(kind: DeviceKind) -> DeviceRule {
    DeviceRule { allow: true, kind, major: None, minor: None, access: Access::MKNOD }
}

/// What every container may use: runc's list. A node may be made of any device; that it may be opened is another
/// matter. `/dev/console` is a pseudo terminal here; tun is on the list because containers came to rely on it.
pub const DEFAULTS: [DeviceRule; 11] = [
    mknod(DeviceKind::Char),
    mknod(DeviceKind::Block),
    char(1, Some(3)),    // null
    char(1, Some(8)),    // random
    char(1, Some(7)),    // full
    char(5, Some(0)),    // tty
    char(1, Some(5)),    // zero
    char(1, Some(9)),    // urandom
    char(136, None),     // pts/*
    char(5, Some(2)),    // ptmx
    char(10, Some(200)), // net/tun
];

/// Rules brought down to those that make a difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Whether what no rule matches is allowed.
    pub allow: bool,
    /// In order: of two that match, the later one decides, for each kind of access by itself.
    pub rules: Vec<DeviceRule>,
}

impl Policy {
    /// The config's rules, then the defaults.
    pub fn new(rules: &[DeviceRule]) -> Self {
        let mut policy = Self { allow: false, rules: Vec::new() };
        for rule in rules.iter().chain(&DEFAULTS) {
            policy.add(*rule);
        }
        // Some made a difference only until a later one came.
        for rule in std::mem::take(&mut policy.rules) {
            if !policy.already_says(&rule) {
                policy.rules.push(rule);
            }
        }
        policy
    }

    fn add(&mut self, rule: DeviceRule) {
        if self.already_says(&rule) {
            return;
        }
        // What this rule decides is no longer decided by an earlier one that matches no more than it does.
        self.rules.retain_mut(|earlier| {
            let left = earlier.access.difference(rule.access);
            if matches_all_of(&rule, earlier) && (left.is_empty() || earlier.allow != rule.allow) {
                earlier.access = left;
            }
            !earlier.access.is_empty()
        });
        if rule.access == Access::ALL && matches_everything(&rule) {
            self.allow = rule.allow;
        } else if !self.already_says(&rule) {
            self.rules.push(rule);
        }
    }

    /// Whether the rule changes nothing: looking back, one that says the same about at least as much comes before
    /// any that says otherwise about some of it.
    fn already_says(&self, rule: &DeviceRule) -> bool {
        for earlier in self.rules.iter().rev() {
            if earlier.allow != rule.allow && overlap(earlier, rule) {
                return false;
            }
            let covers = rule.access.difference(earlier.access).is_empty();
            if earlier.allow == rule.allow && covers && matches_all_of(earlier, rule) {
                return true;
            }
        }
        self.allow == rule.allow
    }

    /// As v1 takes it: one write that forgets the parent's list, then the exceptions.
    ///
    /// # Errors
    /// [`Error::Config`] for rules that v1 can't express: it would silently ignore a rule that takes something out of
    /// a wider one.
    pub fn v1_writes(&self) -> Result<Vec<Write>, Error> {
        let write = |allow: bool, value: String| {
            let file = if allow { "devices.allow" } else { "devices.deny" };
            Write::new("devices", file, value, "linux.resources.devices")
        };
        let mut writes = vec![write(self.allow, "a *:* rwm".to_owned())];
        for rule in &self.rules {
            if rule.allow == self.allow {
                let why = format!("\"{}\" takes something out of a wider rule, which cgroup v1 can't do", Shown(rule));
                return Err(Error::config("linux.resources.devices", why));
            }
            // To the kernel `a` is everything, whatever numbers follow.
            let kinds: &[DeviceKind] = match rule.kind {
                DeviceKind::All => &[DeviceKind::Block, DeviceKind::Char],
                DeviceKind::Char => &[DeviceKind::Char],
                DeviceKind::Block => &[DeviceKind::Block],
            };
            for kind in kinds {
                writes.push(write(rule.allow, Line(&DeviceRule { kind: *kind, ..*rule }).to_string()));
            }
        }
        Ok(writes)
    }

    /// As v2 takes it: a program for BPF_CGROUP_DEVICE. `None` where everything is allowed, which needs no program.
    pub fn v2_program(&self) -> Option<Program> {
        let all = self.allow && self.rules.is_empty();
        (!all).then(|| Program { code: compile(self), policy: self.clone() })
    }
}

/// A device program, and what it was made from, for those who read it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    code: Vec<u64>,
    policy: Policy,
}

impl Program {
    /// Instructions as the kernel lays them out, on the little-endian machines that we build for.
    pub fn code(&self) -> &[u64] {
        &self.code
    }
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.policy.fmt(f)
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "devices: {} all", if self.allow { "allow" } else { "deny" })?;
        self.rules.iter().try_for_each(|rule| write!(f, ", {}", Shown(rule)))
    }
}

/// A rule with its verdict, and without.
struct Shown<'a>(&'a DeviceRule);
struct Line<'a>(&'a DeviceRule);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", if self.0.allow { "allow" } else { "deny" }, Line(self.0))
    }
}

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.0.kind {
            DeviceKind::All => 'a',
            DeviceKind::Char => 'c',
            DeviceKind::Block => 'b',
        };
        let number = |number: Option<u32>| number.map_or_else(|| "*".to_owned(), |number| number.to_string());
        write!(f, "{kind} {}:{} {}", number(self.0.major), number(self.0.minor), self.0.access)
    }
}

fn matches_everything(rule: &DeviceRule) -> bool {
    rule.kind == DeviceKind::All && rule.major.is_none() && rule.minor.is_none()
}

/// Whether every device that `narrow` matches is one that `wide` matches.
fn matches_all_of(wide: &DeviceRule, narrow: &DeviceRule) -> bool {
    let number = |wide: Option<u32>, narrow: Option<u32>| wide.is_none() || wide == narrow;
    (wide.kind == DeviceKind::All || wide.kind == narrow.kind)
        && number(wide.major, narrow.major)
        && number(wide.minor, narrow.minor)
}

/// Whether some access to some device is a matter of both.
fn overlap(one: &DeviceRule, other: &DeviceRule) -> bool {
    let number = |one: Option<u32>, other: Option<u32>| one.is_none() || other.is_none() || one == other;
    let kind = one.kind == DeviceKind::All || other.kind == DeviceKind::All || one.kind == other.kind;
    let access = !one.access.intersection(other.access).is_empty();
    kind && access && number(one.major, other.major) && number(one.minor, other.minor)
}

#[cfg(test)]
#[allow(clippy::cast_possible_truncation)]
mod tests {
    use super::*;
    use rt_plan::spec::resources::Resources;

    /// `allow c 10:229 rw; deny b *:* w`
    fn rules(text: &str) -> Vec<DeviceRule> {
        let rule = |line: &str| {
            let words: Vec<&str> = line.trim().split([' ', ':']).collect();
            let [allow, kind, major, minor, access] = words[..] else { panic!("a rule: {line}") };
            DeviceRule {
                allow: allow == "allow",
                kind: match kind {
                    "a" => DeviceKind::All,
                    "b" => DeviceKind::Block,
                    _ => DeviceKind::Char,
                },
                major: major.parse().ok(),
                minor: minor.parse().ok(),
                access: Access::parse(access).expect("access"),
            }
        };
        text.split(';').filter(|line| !line.trim().is_empty()).map(rule).collect()
    }

    fn v1(text: &str) -> Vec<String> {
        let writes = Policy::new(&rules(text)).v1_writes().expect("expressible");
        writes.iter().map(|write| format!("{} {}", write.file.trim_start_matches("devices."), write.value)).collect()
    }

    /// The spec's words, one rule after the other: the reference that the program is held against.
    fn verdict(rules: &[DeviceRule], kind: DeviceKind, major: u32, minor: u32, access: Access) -> bool {
        let mut allowed = Access::NONE;
        for rule in rules.iter().chain(&DEFAULTS) {
            let number = |rule: Option<u32>, number: u32| rule.is_none_or(|wanted| wanted == number);
            if (rule.kind == DeviceKind::All || rule.kind == kind)
                && number(rule.major, major)
                && number(rule.minor, minor)
            {
                allowed = match rule.allow {
                    true => allowed.union(rule.access),
                    false => allowed.difference(rule.access),
                };
            }
        }
        access.difference(allowed).is_empty()
    }

    /// A machine for the handful of instructions above. A jump backwards or out of the program is a panic.
    fn run(code: &[u64], context: [u32; 3]) -> u64 {
        let mut registers = [0u64; 11];
        let mut at = 0;
        for _ in 0..=code.len() {
            let word = code[at];
            let (destination, source) = ((word >> 8 & 15) as usize, (word >> 12 & 15) as usize);
            let offset = (word >> 16) as u16 as i16;
            let value = i64::from((word >> 32) as u32 as i32) as u64;
            at += 1;
            match word as u8 {
                0x61 => registers[destination] = u64::from(context[offset as usize / 4]),
                0xb7 => registers[destination] = value,
                0xbf => registers[destination] = registers[source],
                0x57 => registers[destination] &= value,
                0x77 => registers[destination] >>= value,
                0x05 => at += forward(offset),
                0x15 => at += if registers[destination] == value { forward(offset) } else { 0 },
                0x55 => at += if registers[destination] != value { forward(offset) } else { 0 },
                0x95 => return registers[0],
                other => panic!("unknown instruction {other:#x}"),
            }
        }
        panic!("the program does not end")
    }

    fn forward(offset: i16) -> usize {
        usize::try_from(offset).expect("forward only")
    }

    const CASES: [&str; 12] = [
        "",
        "deny a *:* rwm",
        "deny a *:* rwm; allow c 10:229 rw; allow b 8:0 r",
        "allow a *:* rwm",
        "allow a *:* rwm; deny c 10:229 w; deny b 8:* rwm",
        "allow a *:* rwm; deny c 10:* rwm; allow c 10:229 r",
        "allow c 10:* rwm; deny c 10:229 rwm",
        "allow c *:3 r; deny c 1:* rw",
        "allow a 8:0 r",
        "allow a *:* r; deny b *:* r",
        "deny c *:* m; allow b 8:1 rwm; deny b 8:1 w",
        "allow c 4294967295:1 rwm; allow a *:* rwm; deny a *:4294967295 rwm",
    ];

    #[test]
    fn program_says_what_the_rules_say() {
        for text in CASES {
            let rules = rules(text);
            let program = Policy::new(&rules).v2_program();
            for kind in [DeviceKind::Block, DeviceKind::Char] {
                for (major, minor) in
                    [(1, 3), (1, 8), (5, 0), (5, 1), (8, 0), (8, 1), (10, 200), (10, 229), (10, 3), (136, 7), (9, 9)]
                {
                    for letters in ["r", "w", "m", "rw"] {
                        let access = Access::parse(letters).expect("access");
                        let number = if kind == DeviceKind::Block { 1 } else { 2 };
                        let context = [u32::from(access.bits()) << 16 | number, major, minor];
                        let says = program.as_ref().is_none_or(|program| run(program.code(), context) == 1);
                        let expected = verdict(&rules, kind, major, minor, access);
                        assert_eq!(says, expected, "{text}: {kind:?} {major}:{minor} {letters}");
                    }
                }
            }
        }
    }

    #[test]
    fn access_that_nobody_has_heard_of_is_denied() {
        let program = Policy::new(&rules("allow a *:* rwm; deny c 1:4 w")).v2_program().expect("a program");
        assert_eq!(run(program.code(), [8 << 16 | 2, 1, 4]), 0);
        assert_eq!(run(program.code(), [2 << 16 | 2, 1, 4]), 1);
    }

    #[test]
    fn empty_list_is_the_defaults_and_nothing_else() {
        let expected = [
            "deny a *:* rwm",
            "allow c *:* m",
            "allow b *:* m",
            "allow c 1:3 rwm",
            "allow c 1:8 rwm",
            "allow c 1:7 rwm",
            "allow c 5:0 rwm",
            "allow c 1:5 rwm",
            "allow c 1:9 rwm",
            "allow c 136:* rwm",
            "allow c 5:2 rwm",
            "allow c 10:200 rwm",
        ];
        assert_eq!(v1(""), expected);
        assert_eq!(v1("deny a *:* rwm"), expected);
        assert_eq!(Policy::new(&Resources::default().devices), Policy::new(&[]));
    }

    #[test]
    fn rules_that_the_defaults_repeat_are_written_once() {
        let docker =
            "deny a *:* rwm; allow c 1:5 rwm; allow c 1:3 rwm; allow c 1:9 rwm; allow c 1:8 rwm; allow c 5:0 rwm;
            allow c 5:1 rwm; allow c *:* m; allow b *:* m; allow c 136:* rwm; allow c 5:2 rwm; deny c 10:229 rwm";
        let writes = v1(docker);
        assert_eq!(writes.len(), 13, "{writes:?}");
        assert!(writes.contains(&"allow c 5:1 rwm".to_owned()));
        let program = Policy::new(&rules(docker)).v2_program().expect("a program");
        assert_eq!(program.code().len(), 34);
    }

    #[test]
    fn all_allowed_needs_no_program_and_one_write() {
        assert_eq!(Policy::new(&rules("allow a *:* rwm")).v2_program(), None);
        assert_eq!(v1("allow a *:* rwm"), ["allow a *:* rwm"]);
    }

    #[test]
    fn rule_for_all_types_but_not_all_numbers_is_two_writes() {
        let writes = v1("allow a 8:0 r");
        assert_eq!(writes[..3], ["deny a *:* rwm", "allow b 8:0 r", "allow c 8:0 r"]);
    }

    #[test]
    fn v1_is_told_the_outcome_of_rules_that_take_back() {
        assert_eq!(v1("allow b 8:1 rwm; deny b 8:1 w")[1], "allow b 8:1 rm");
        assert_eq!(
            v1("allow a *:* rwm; deny b 8:1 w; deny c 9:* m; allow c 9:* m"),
            ["allow a *:* rwm", "deny b 8:1 w"]
        );
        assert_eq!(v1("deny b 8:1 rwm").len(), 12);
    }

    #[test]
    fn hole_in_a_wider_rule_is_refused_on_v1() {
        for text in ["allow c 10:* rwm; deny c 10:229 rwm", "allow a *:* rwm; deny c 10:* rwm; allow c 10:229 r"] {
            let error = Policy::new(&rules(text)).v1_writes().expect_err(text).to_string();
            assert!(error.contains("takes something out of a wider rule"), "{error}");
        }
    }

    #[test]
    fn program_is_shown_as_its_rules() {
        let program =
            Policy::new(&rules("allow a *:* rwm; deny c 10:229 w; deny b *:7 rwm")).v2_program().expect("a program");
        assert_eq!(program.to_string(), "devices: allow all, deny c 10:229 w, deny b *:7 rw");
    }
}
