//! What becomes of one system call on one architecture, where that depends on its arguments.
//!
//! The rules for a call are kept as a tree of comparisons of 32 bits. Which of two rules that both hold decides is
//! libseccomp's order, because profiles were written for it:
//!
//! - The comparisons on a level are tried by argument, the higher first, then by operator: equality before less before
//!   greater, then by value, so that of two bounds the tighter one comes first.
//! - What two rules have in common at their beginning is one comparison.
//! - Where a rule ends, no longer one goes on.

use crate::arch::Width;
use crate::compile::MOST;
use crate::profile::Operator;
use crate::rules::Test;
use crate::verdict::Verdict;

/// A verdict and whose it is. Two are the same if the verdicts are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Decision {
    pub(crate) verdict: Verdict,
    /// Which of `linux.seccomp.syscalls`.
    pub(crate) rule: usize,
}

impl PartialEq for Decision {
    fn eq(&self, other: &Self) -> bool {
        self.verdict == other.verdict
    }
}

/// What becomes of a call.
#[derive(Clone, Debug)]
pub(crate) enum Outcome {
    /// This, whatever the arguments.
    Always(Decision),
    /// What these say; the default where none of them holds.
    Depends(Vec<Node>),
}

/// One comparison.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Node {
    pub(crate) compare: Compare,
    order: Order,
    pub(crate) yes: Next,
    pub(crate) no: Next,
}

/// Where a comparison leads.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Next {
    /// To the next one of the level; after the last one, to where the level above goes on.
    Fall,
    /// To an end.
    Decide(Decision),
    /// To more comparisons. If they lead nowhere, on as `Fall`.
    Descend(Vec<Node>),
}

/// What is compared with what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Compare {
    pub(crate) arg: u8,
    pub(crate) half: Half,
    pub(crate) relation: Relation,
    pub(crate) mask: u32,
    pub(crate) value: u32,
}

/// Of an argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Half {
    Low,
    High,
}

/// What the kernel's machine can find out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Relation {
    Equal,
    MaskedEqual,
    Greater,
    GreaterEqual,
}

/// What the condition was from which a comparison was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Order {
    operator: Operator,
    whole: u64,
}

/// Why a rule can't be added.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// Another one is there, and only one of them can be in force.
    Conflict,
    /// No program will ever be as long.
    TooLong,
}

impl Outcome {
    /// Of the only rule for a call.
    pub(crate) fn new(conditions: &[Test], decision: Decision, width: Width) -> Self {
        match chain(conditions, decision, width) {
            Next::Descend(nodes) => Self::Depends(nodes),
            Next::Decide(_) | Next::Fall => Self::Always(decision),
        }
    }

    /// Add that of a later rule.
    pub(crate) fn add(&mut self, later: Self) -> Result<(), Refusal> {
        match (&mut *self, later) {
            (Self::Always(_), _) => {}
            (Self::Depends(_), always @ Self::Always(_)) => *self = always,
            (Self::Depends(level), Self::Depends(new)) => merge(level, new)?,
        }
        Ok(())
    }

    /// What it says of these arguments, without a program. None: the default.
    pub(crate) fn decide(&self, args: &[u64; 6]) -> Option<Decision> {
        match self {
            Self::Always(decision) => Some(*decision),
            Self::Depends(level) => decide(level, args),
        }
    }

    /// Comparisons in it.
    pub(crate) fn size(&self) -> usize {
        match self {
            Self::Always(_) => 0,
            Self::Depends(level) => size(level),
        }
    }
}

fn decide(level: &[Node], args: &[u64; 6]) -> Option<Decision> {
    level.iter().find_map(|node| match if node.compare.holds(args) { &node.yes } else { &node.no } {
        Next::Fall => None,
        Next::Decide(decision) => Some(*decision),
        Next::Descend(level) => decide(level, args),
    })
}

fn size(level: &[Node]) -> usize {
    let below = |next: &Next| if let Next::Descend(level) = next { size(level) } else { 0 };
    level.iter().map(|node| 1 + below(&node.yes) + below(&node.no)).sum()
}

impl Compare {
    fn holds(&self, args: &[u64; 6]) -> bool {
        let (low, high) = halves(args[usize::from(self.arg)]);
        let word = self.mask & if self.half == Half::High { high } else { low };
        match self.relation {
            Relation::Equal | Relation::MaskedEqual => word == self.value,
            Relation::Greater => word > self.value,
            Relation::GreaterEqual => word >= self.value,
        }
    }

    /// What it is of every argument, if it is.
    pub(crate) fn always(&self) -> Option<bool> {
        match self.relation {
            Relation::Equal | Relation::MaskedEqual if self.mask == 0 => Some(true),
            Relation::GreaterEqual if self.value == 0 => Some(true),
            Relation::Greater if self.value == u32::MAX => Some(false),
            _ => None,
        }
    }
}

/// The comparisons of one rule: all of its conditions, then its decision.
fn chain(conditions: &[Test], decision: Decision, width: Width) -> Next {
    let Some((test, rest)) = conditions.split_first() else { return Next::Decide(decision) };
    let (low_mask, high_mask) = halves(test.mask);
    if low_mask == 0 && (width == Width::Bits32 || high_mask == 0) {
        return chain(rest, decision, width);
    }
    let then = || chain(rest, decision, width);
    let node = |half, relation, yes, no| {
        let (mask, value) = match half {
            Half::Low => (low_mask, halves(test.value).0),
            Half::High => (high_mask, halves(test.value).1),
        };
        let compare = Compare { arg: test.arg, half, relation, mask, value };
        Next::Descend(vec![Node { compare, order: Order { operator: test.operator, whole: test.value }, yes, no }])
    };
    let low = |relation, yes, no| node(Half::Low, relation, yes, no);
    let high = |relation, yes, no| node(Half::High, relation, yes, no);
    let wide = width == Width::Bits64;
    match test.operator {
        Operator::Equal | Operator::MaskedEqual => {
            let relation = if test.operator == Operator::Equal { Relation::Equal } else { Relation::MaskedEqual };
            let last = low(relation, then(), Next::Fall);
            if wide { high(relation, last, Next::Fall) } else { last }
        }
        Operator::NotEqual => {
            let last = low(Relation::Equal, Next::Fall, then());
            if wide { high(Relation::Equal, last, then()) } else { last }
        }
        Operator::Greater | Operator::GreaterEqual => {
            let relation = if test.operator == Operator::Greater { Relation::Greater } else { Relation::GreaterEqual };
            let last = low(relation, then(), Next::Fall);
            if wide { high(Relation::Greater, then(), high(Relation::Equal, last, Next::Fall)) } else { last }
        }
        Operator::Less | Operator::LessEqual => {
            let relation = if test.operator == Operator::Less { Relation::GreaterEqual } else { Relation::Greater };
            let last = low(relation, Next::Fall, then());
            if wide { high(Relation::Greater, Next::Fall, high(Relation::Equal, last, then())) } else { last }
        }
    }
}

/// Add the comparisons of one rule to a level.
fn merge(level: &mut Vec<Node>, new: Vec<Node>) -> Result<(), Refusal> {
    for new in new {
        match level.iter().position(|old| old.compare == new.compare || old.comes_after(&new)) {
            _ if level.len() > MOST => return Err(Refusal::TooLong),
            None => level.push(new),
            Some(at) if level[at].compare == new.compare => level[at].absorb(new)?,
            Some(at) => level.insert(at, new),
        }
    }
    Ok(())
}

impl Node {
    fn comes_after(&self, new: &Self) -> bool {
        let rank = |node: &Self| {
            let operator = match node.order.operator {
                Operator::MaskedEqual | Operator::Equal | Operator::NotEqual => 2,
                Operator::LessEqual | Operator::Less => 1,
                Operator::GreaterEqual | Operator::Greater => 0,
            };
            (node.compare.arg, node.compare.half, operator)
        };
        let (old, value) = (self.compare.value, new.compare.value);
        let looser = match self.order.operator {
            Operator::LessEqual | Operator::Less => old > value,
            _ => old < value,
        };
        rank(self) < rank(new) || rank(self) == rank(new) && looser
    }

    fn is_last(&self) -> bool {
        !matches!((&self.yes, &self.no), (Next::Descend(_), _) | (_, Next::Descend(_)))
    }

    /// Take in a rule that begins with the same comparison.
    fn absorb(&mut self, new: Self) -> Result<(), Refusal> {
        let last = new.is_last();
        // Above a bound in the high half, the rule with the higher bound decides, as it does in the low half.
        let tighter = new.compare.half == Half::High && new.order.whole > self.order.whole;
        if let Next::Decide(decision) = new.yes {
            let differs = self.yes.end(decision)?;
            if differs && tighter {
                self.yes = Next::Decide(decision);
            }
            if differs && (last || self.is_last()) {
                return Err(Refusal::Conflict);
            }
        }
        if let Next::Decide(decision) = new.no
            && self.no.end(decision)?
            && (last || self.is_last())
        {
            return Err(Refusal::Conflict);
        }
        if let Next::Descend(nodes) = new.yes
            && !self.yes.extend(nodes)?
        {
            return Ok(());
        }
        if let Next::Descend(nodes) = new.no {
            self.no.extend(nodes)?;
        }
        Ok(())
    }
}

impl Next {
    /// A rule ends here. Whether another one, which decides otherwise, did so before.
    fn end(&mut self, decision: Decision) -> Result<bool, Refusal> {
        match self {
            Self::Decide(before) => return Ok(*before != decision),
            Self::Descend(level) if !agrees(level, decision) => return Err(Refusal::Conflict),
            Self::Descend(_) | Self::Fall => *self = Self::Decide(decision),
        }
        Ok(false)
    }

    /// A rule goes on here. False: another one ended before.
    fn extend(&mut self, nodes: Vec<Node>) -> Result<bool, Refusal> {
        match self {
            Self::Decide(_) => return Ok(false),
            Self::Descend(level) => merge(level, nodes)?,
            Self::Fall => *self = Self::Descend(nodes),
        }
        Ok(true)
    }
}

/// Whether all that is decided here is this.
fn agrees(level: &[Node], decision: Decision) -> bool {
    level.iter().flat_map(|node| [&node.yes, &node.no]).all(|next| match next {
        Next::Fall => true,
        Next::Decide(other) => *other == decision,
        Next::Descend(level) => agrees(level, decision),
    })
}

/// Low and high.
#[allow(clippy::cast_possible_truncation)] // meant
fn halves(number: u64) -> (u32, u32) {
    (number as u32, (number >> 32) as u32)
}
