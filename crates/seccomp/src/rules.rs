//! The rules of a profile one by one: a system call, what becomes of it, and under which conditions.

use crate::arch::Arch;
use crate::error::Error;
use crate::mux::Behind;
use crate::profile::{Action, Condition, Operator, Profile};
use crate::table::Call;
use crate::verdict::Verdict;
use std::ops::Deref;

/// What a profile says, with all that can be refused about it refused.
pub(crate) struct Rules<'a> {
    /// What becomes of calls that no rule is about.
    pub(crate) default: Verdict,
    /// In the order of the profile.
    pub(crate) rules: Vec<Rule<'a>>,
    /// Names that no architecture has.
    pub(crate) unknown: Vec<&'a str>,
}

/// One call of one rule.
pub(crate) struct Rule<'a> {
    pub(crate) name: &'a str,
    pub(crate) call: Call,
    pub(crate) verdict: Verdict,
    /// All of them have to hold. In the order of the arguments, one each.
    pub(crate) conditions: Vec<Test>,
    /// Which of `linux.seccomp.syscalls` it came from.
    pub(crate) index: usize,
    /// It only repeats the default: known, but not judged.
    pub(crate) idle: bool,
    behind: Option<Behind>,
}

impl Rule<'_> {
    /// Where else the call is found on this architecture.
    pub(crate) fn behind(&self, arch: Arch) -> Option<Behind> {
        self.behind.filter(|_| arch.multiplexes())
    }
}

/// A condition.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Test {
    pub(crate) arg: u8,
    pub(crate) operator: Operator,
    /// All ones, but for `MaskedEqual`.
    pub(crate) mask: u64,
    /// Within the mask.
    pub(crate) value: u64,
}

impl<'a> Rules<'a> {
    pub(crate) fn new<S: Deref<Target = str>>(profile: &'a Profile<S>) -> Result<Self, Error> {
        let action = profile.default_action.ok_or(Error::NoDefault)?;
        if action == Action::Notify {
            return Err(Error::NotifyByDefault);
        }
        let default = verdict(action, profile.default_errno_ret, || "defaultErrnoRet".to_owned())?;
        let mut all = Self { default, rules: Vec::with_capacity(512), unknown: Vec::new() };
        for (index, rule) in profile.syscalls.iter().enumerate() {
            let verdict = verdict(rule.action, rule.errno_ret, || format!("syscalls[{index}].errnoRet"))?;
            let conditions = conditions(&rule.args, index)?;
            for name in &rule.names {
                match &**name {
                    "" => return Err(Error::EmptyName { rule: index }),
                    "write" if rule.action == Action::Notify => return Err(Error::NotifyWrite),
                    name => all.add(name, index, verdict, &conditions),
                }
            }
        }
        Ok(all)
    }

    fn add(&mut self, name: &'a str, index: usize, verdict: Verdict, conditions: &Conditions) {
        let Some(call) = Call::named(name) else {
            self.unknown.push(name);
            return;
        };
        let idle = verdict == self.default;
        let behind = Behind::of(name);
        let rule = |conditions| Rule { name, call, verdict, conditions, index, idle, behind };
        match conditions {
            Conditions::All(tests) => self.rules.push(rule(tests.clone())),
            Conditions::Any(tests) => self.rules.extend(tests.iter().map(|test| rule(vec![*test]))),
        }
    }
}

fn verdict(action: Action, errno: Option<u32>, field: impl Fn() -> String) -> Result<Verdict, Error> {
    match (action, errno) {
        (Action::Errno | Action::Trace, _) | (_, None) => {
            let range = || Error::ErrnoRange { field: field(), errno: errno.unwrap_or_default() };
            Verdict::new(action, errno).ok_or_else(range)
        }
        (_, Some(_)) => Err(Error::ErrnoUnused { field: field(), action }),
    }
}

/// As runc reads `args`: if two of them are about one argument, each is a rule of its own.
enum Conditions {
    All(Vec<Test>),
    Any(Vec<Test>),
}

fn conditions(args: &[Condition], rule: usize) -> Result<Conditions, Error> {
    let mut tests = Vec::with_capacity(args.len());
    let mut seen = [false; 6];
    let mut any = false;
    for &Condition { index, value, value_two, op } in args {
        let slot = usize::try_from(index).ok().and_then(|index| seen.get_mut(index));
        let slot = slot.ok_or(Error::Argument { rule, index })?;
        any |= std::mem::replace(slot, true);
        let [arg, ..] = index.to_le_bytes();
        let (mask, value) = if op == Operator::MaskedEqual { (value, value_two & value) } else { (u64::MAX, value) };
        tests.push(Test { arg, operator: op, mask, value });
    }
    if any {
        return Ok(Conditions::Any(tests));
    }
    tests.sort_by_key(|test| test.arg);
    Ok(Conditions::All(tests))
}
