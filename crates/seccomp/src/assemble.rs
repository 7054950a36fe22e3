//! Instructions, written from the last to the first: a jump only ever leads to what is there already, so its length is
//! known.

use crate::arch::Endian;
use crate::bpf::{self, Insn};
use crate::chain::{Compare, Half, Next, Node, Relation};
use crate::verdict::Verdict;

/// How far a conditional jump is let reach. The kernel's limit is 255; an instruction or two may come in between.
const REACH: usize = 252;

/// Where a jump leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// To the end, with this verdict.
    Return(Verdict),
    /// To the instruction that so many come after.
    At(usize),
}

/// What numbers from here to the next range lead to.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Leaf<'a> {
    /// An end.
    Return(Verdict),
    /// A look at the arguments. It is about a single number.
    Chain(&'a [Node]),
}

/// Numbers from `start`, to the next range or the end of all numbers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Range<'a> {
    pub(crate) start: u32,
    pub(crate) leaf: Leaf<'a>,
}

/// The program so far.
#[derive(Debug, Default)]
pub(crate) struct Assembler<'a> {
    /// Backwards.
    program: Vec<Insn>,
    /// The nearest `ret` of each verdict.
    returns: Vec<(Verdict, usize)>,
    /// Jumps on the way to what is too far.
    relays: Vec<(usize, usize)>,
    entries: Vec<Entry>,
    /// Levels of the current call that were written: with where they fall to, and where they start.
    written: Vec<(&'a [Node], usize, usize)>,
}

/// Where a level starts, for those who come with its first word loaded, and for those who come without.
#[derive(Clone, Copy, Debug)]
struct Entry {
    /// What has to be loaded. None: nothing.
    word: Option<Word>,
    loaded: Target,
    /// Written when somebody asks for it.
    unloaded: Option<Target>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Word {
    offset: u32,
    mask: u32,
}

impl<'a> Assembler<'a> {
    /// Instructions so far.
    pub(crate) fn len(&self) -> usize {
        self.program.len()
    }

    /// The program, from its first instruction.
    pub(crate) fn finish(mut self) -> Vec<Insn> {
        self.program.reverse();
        self.program
    }

    /// Load a word, then go on there.
    pub(crate) fn load(&mut self, offset: u32, then: Target) -> Target {
        self.flow_into(then);
        self.push(Insn::plain(bpf::LOAD, offset))
    }

    /// Compare the loaded word.
    pub(crate) fn jump(&mut self, code: u16, k: u32, yes: Target, no: Target) -> Target {
        if yes == no {
            return yes;
        }
        let yes = self.near(yes);
        let no = self.near(no);
        let (jt, jf) = (self.distance(yes), self.distance(no));
        // `near` saw to it.
        let short = |distance: usize| u8::try_from(distance).unwrap_or(u8::MAX);
        self.push(Insn { code, jt: short(jt), jf: short(jf), k })
    }

    /// Find the range of the number that is loaded: a balanced tree.
    pub(crate) fn search(&mut self, ranges: &[Range<'a>], endian: Endian, default: Verdict) -> Target {
        match *ranges {
            [] => Target::Return(default),
            [Range { leaf: Leaf::Return(verdict), .. }] => Target::Return(verdict),
            [Range { leaf: Leaf::Chain(nodes), .. }] => self.call(nodes, endian, default),
            // One number with the same on both of its sides takes one comparison.
            [
                Range { leaf: Leaf::Return(before), .. },
                Range { start, leaf },
                Range { start: end, leaf: Leaf::Return(after) },
            ] if before == after && end - start == 1 => {
                let yes = match leaf {
                    Leaf::Return(verdict) => Target::Return(verdict),
                    Leaf::Chain(nodes) => self.call(nodes, endian, default),
                };
                self.jump(bpf::EQUAL, start, yes, Target::Return(before))
            }
            _ => {
                let (low, high) = ranges.split_at(ranges.len() / 2);
                let yes = self.search(high, endian, default);
                let no = self.search(low, endian, default);
                self.jump(bpf::GREATER_EQUAL, high[0].start, yes, no)
            }
        }
    }

    /// Look at the arguments of one call.
    fn call(&mut self, nodes: &'a [Node], endian: Endian, default: Verdict) -> Target {
        self.entries.clear();
        self.written.clear();
        let end = Target::Return(default);
        self.entries.push(Entry { word: None, loaded: end, unloaded: None });
        let entry = self.level(nodes, 0, endian);
        self.enter(entry, None)
    }

    /// A level, given the entry of where it falls to. Gives its own.
    fn level(&mut self, nodes: &'a [Node], fall: usize, endian: Endian) -> usize {
        nodes.iter().rev().fold(fall, |fall, node| self.node(node, fall, endian))
    }

    fn node(&mut self, node: &'a Node, fall: usize, endian: Endian) -> usize {
        let word = word(&node.compare, endian);
        match node.compare.always() {
            Some(true) => return self.follow(&node.yes, fall, endian),
            Some(false) => return self.follow(&node.no, fall, endian),
            None => {}
        }
        // What is below comes in between: whoever falls from there needs the entry while it is near.
        if falls_otherwise(node, self.entries[fall].word, endian) {
            self.enter(fall, None);
        }
        let yes = self.branch(&node.yes, fall, word, endian);
        let no = self.branch(&node.no, fall, word, endian);
        let code = match node.compare.relation {
            Relation::Equal | Relation::MaskedEqual => bpf::EQUAL,
            Relation::Greater => bpf::GREATER,
            Relation::GreaterEqual => bpf::GREATER_EQUAL,
        };
        let loaded = self.jump(code, node.compare.value, yes, no);
        // Where both lead to one place that place can still be one that needs the word.
        let word = if matches!(loaded, Target::Return(_)) { None } else { Some(word) };
        self.entries.push(Entry { word, loaded, unloaded: None });
        self.entries.len() - 1
    }

    /// Where a branch leads, for somebody who has loaded `word`.
    fn branch(&mut self, next: &'a Next, fall: usize, word: Word, endian: Endian) -> Target {
        if let Next::Decide(decision) = next {
            return Target::Return(decision.verdict);
        }
        let entry = self.follow(next, fall, endian);
        self.enter(entry, Some(word))
    }

    /// The entry that a branch leads to.
    fn follow(&mut self, next: &'a Next, fall: usize, endian: Endian) -> usize {
        match next {
            Next::Fall => fall,
            Next::Decide(decision) => {
                self.entries.push(Entry { word: None, loaded: Target::Return(decision.verdict), unloaded: None });
                self.entries.len() - 1
            }
            Next::Descend(nodes) => {
                let same = |(level, end, _): &&(&[Node], usize, usize)| *end == fall && level == nodes;
                if let Some((.., entry)) = self.written.iter().find(same) {
                    return *entry;
                }
                let entry = self.level(nodes, fall, endian);
                self.written.push((nodes, fall, entry));
                entry
            }
        }
    }

    /// Where to go in, for somebody who has loaded `word`.
    fn enter(&mut self, entry: usize, word: Option<Word>) -> Target {
        let Entry { word: wanted, loaded, unloaded } = self.entries[entry];
        let Some(wanted) = wanted else { return loaded };
        if word == Some(wanted) {
            return loaded;
        }
        if let Some(unloaded) = unloaded {
            return unloaded;
        }
        self.flow_into(loaded);
        if wanted.mask != u32::MAX {
            self.push(Insn::plain(bpf::AND, wanted.mask));
        }
        let target = self.push(Insn::plain(bpf::LOAD, wanted.offset));
        self.entries[entry].unloaded = Some(target);
        target
    }

    /// What is written next goes on there.
    fn flow_into(&mut self, target: Target) {
        match target {
            Target::At(at) if at + 1 == self.program.len() => {}
            Target::At(at) => {
                self.relay(at);
            }
            Target::Return(verdict) => {
                self.give(verdict);
            }
        }
    }

    /// A place to jump to that is in reach.
    fn near(&mut self, target: Target) -> usize {
        match target {
            Target::At(at) if self.distance(at) <= REACH => at,
            Target::At(at) => {
                let near = self.relays.iter().rev().find(|(to, relay)| *to == at && self.distance(*relay) <= REACH);
                match near {
                    Some((_, relay)) => *relay,
                    None => self.relay(at),
                }
            }
            Target::Return(verdict) => {
                let near = self.returns.iter().find(|(same, at)| *same == verdict && self.distance(*at) <= REACH);
                match near {
                    Some((_, at)) => *at,
                    None => self.give(verdict),
                }
            }
        }
    }

    fn relay(&mut self, to: usize) -> usize {
        // A program of more than 2^32 instructions is none.
        let skip = u32::try_from(self.distance(to)).unwrap_or(u32::MAX);
        self.push(Insn::plain(bpf::JUMP, skip));
        self.relays.push((to, self.program.len() - 1));
        self.program.len() - 1
    }

    fn give(&mut self, verdict: Verdict) -> usize {
        self.push(Insn::plain(bpf::RETURN, verdict.bits()));
        let at = self.program.len() - 1;
        match self.returns.iter_mut().find(|(same, _)| *same == verdict) {
            Some((_, nearest)) => *nearest = at,
            None => self.returns.push((verdict, at)),
        }
        at
    }

    /// Instructions that the next one would have to skip to get to this one.
    fn distance(&self, to: usize) -> usize {
        self.program.len() - 1 - to
    }

    fn push(&mut self, instruction: Insn) -> Target {
        self.program.push(instruction);
        Target::At(self.program.len() - 1)
    }
}

/// Whether somebody falls from this node, or from below it, with another word loaded than `wanted`.
fn falls_otherwise(node: &Node, wanted: Option<Word>, endian: Endian) -> bool {
    let Some(wanted) = wanted else { return false };
    [&node.yes, &node.no].into_iter().any(|next| match next {
        Next::Fall => word(&node.compare, endian) != wanted,
        Next::Decide(_) => false,
        Next::Descend(level) => level.last().is_some_and(|last| falls_otherwise(last, Some(wanted), endian)),
    })
}

fn word(compare: &Compare, endian: Endian) -> Word {
    let second = (compare.half == Half::High) == (endian == Endian::Little);
    Word { offset: bpf::ARGS + 8 * u32::from(compare.arg) + if second { 4 } else { 0 }, mask: compare.mask }
}
