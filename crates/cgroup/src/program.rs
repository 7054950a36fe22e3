//! Device rules as a program for BPF_CGROUP_DEVICE (Linux 4.15). Pure.
//!
//! The kernel checks a program by following every way through it before it will load it, and that is where the time
//! goes: a program that adds up what each rule says takes 400 µs to load, one that leaves at the first rule that
//! matches 210 µs. So the rules are worked out here, and the program is a plain table look-up: the type, the
//! major number, the minor number, each looked at once; 80 µs.

use crate::devices::Policy;
use rt_plan::spec::resources::{Access, DeviceKind, DeviceRule};

/// What may be done with the devices of one type, by major number.
#[derive(PartialEq, Eq)]
struct Table {
    majors: Vec<(i32, Row)>,
    others: Row,
}

/// What may be done with the devices of one major number, by minor number.
#[derive(PartialEq, Eq)]
struct Row {
    minors: Vec<(i32, Access)>,
    others: Access,
}

/// The instructions, as the kernel lays them out on a little-endian machine.
pub(crate) fn compile(policy: &Policy) -> Vec<u64> {
    let mut code = Assembler::default();
    // struct bpf_cgroup_dev_ctx { u32 access << 16 | type; u32 major; u32 minor; }
    code.push(op::load(WANTED, CONTEXT, 0));
    code.push(op::copy(KIND, WANTED));
    code.push(op::and(KIND, 0xffff));
    code.push(op::shift_right(WANTED, 16));
    code.push(op::load(MAJOR, CONTEXT, 4));
    code.push(op::load(MINOR, CONTEXT, 8));

    let char = Table::new(policy, DeviceKind::Char);
    let block = Table::new(policy, DeviceKind::Block);
    if char != block {
        let blocks = code.label();
        code.jump(op::JUMP_UNLESS, KIND, KIND_CHAR, blocks);
        code.table(&char);
        code.place(blocks);
    }
    code.table(&block);
    code.leaves();
    code.finish()
}

impl Table {
    fn new(policy: &Policy, kind: DeviceKind) -> Self {
        let others = Row::new(policy, kind, None);
        let mut majors = Vec::new();
        for major in numbers(policy, |rule| rule.major.filter(|_| is_about(rule.kind, kind))) {
            let row = Row::new(policy, kind, Some(major));
            if row != others {
                majors.push((major, row));
            }
        }
        Self { majors, others }
    }
}

impl Row {
    /// `None` is every major number that no rule names.
    fn new(policy: &Policy, kind: DeviceKind, major: Option<i32>) -> Self {
        let about = |rule: &DeviceRule| is_about(rule.kind, kind) && is_number(rule.major, major);
        let access = |minor| {
            let start = if policy.allow { Access::ALL } else { Access::NONE };
            let rules = policy.rules.iter().filter(|rule| about(rule) && is_number(rule.minor, minor));
            rules.fold(start, |allowed, rule| match rule.allow {
                true => allowed.union(rule.access),
                false => allowed.difference(rule.access),
            })
        };
        let others = access(None);
        let minors = numbers(policy, |rule| rule.minor.filter(|_| about(rule)));
        let minors = minors.into_iter().map(|minor| (minor, access(Some(minor))));
        Self { minors: minors.filter(|(_, access)| *access != others).collect(), others }
    }
}

/// The numbers that rules name, each once. Larger ones than these (a device has 20 bits at most) match nothing.
fn numbers(policy: &Policy, named: impl Fn(&DeviceRule) -> Option<u32>) -> Vec<i32> {
    let mut numbers = Vec::new();
    for number in policy.rules.iter().filter_map(named).filter_map(|number| i32::try_from(number).ok()) {
        if !numbers.contains(&number) {
            numbers.push(number);
        }
    }
    numbers
}

fn is_about(rule: DeviceKind, kind: DeviceKind) -> bool {
    rule == DeviceKind::All || rule == kind
}

fn is_number(rule: Option<u32>, number: Option<i32>) -> bool {
    rule.is_none() || rule.map(i64::from) == number.map(i64::from)
}

/// Code with jumps to places that are not known yet.
#[derive(Default)]
struct Assembler {
    code: Vec<u64>,
    jumps: Vec<(usize, Label)>,
    /// Where each label is.
    places: Vec<usize>,
    /// The labels of the ends of the program, by what they allow.
    ends: Vec<(Access, Label)>,
}

type Label = usize;

impl Assembler {
    fn push(&mut self, instruction: u64) {
        self.code.push(instruction);
    }

    fn label(&mut self) -> Label {
        self.places.push(0);
        self.places.len() - 1
    }

    fn place(&mut self, label: Label) {
        self.places[label] = self.code.len();
    }

    fn jump(&mut self, code: u8, register: u8, value: i32, label: Label) {
        self.jumps.push((self.code.len(), label));
        self.push(op::instruction(code, register, 0, 0, value));
    }

    /// The end where this much is allowed.
    fn end(&mut self, access: Access) -> Label {
        if let Some((_, label)) = self.ends.iter().find(|(known, _)| *known == access) {
            return *label;
        }
        let label = self.label();
        self.ends.push((access, label));
        label
    }

    fn table(&mut self, table: &Table) {
        for (major, row) in &table.majors {
            if row.minors.is_empty() {
                let end = self.end(row.others);
                self.jump(op::JUMP_IF, MAJOR, *major, end);
                continue;
            }
            let next = self.label();
            self.jump(op::JUMP_UNLESS, MAJOR, *major, next);
            self.row(row);
            self.place(next);
        }
        self.row(&table.others);
    }

    fn row(&mut self, row: &Row) {
        for (minor, access) in &row.minors {
            let end = self.end(*access);
            self.jump(op::JUMP_IF, MINOR, *minor, end);
        }
        let end = self.end(row.others);
        self.jump(op::JUMP, 0, 0, end);
    }

    /// `return (wanted & !allowed) == 0`, for each set of what may be allowed.
    fn leaves(&mut self) {
        let check = self.label();
        for (access, label) in std::mem::take(&mut self.ends) {
            self.place(label);
            self.push(op::and(WANTED, !i32::from(access.bits())));
            self.jump(op::JUMP, 0, 0, check);
        }
        self.place(check);
        let deny = self.label();
        self.jump(op::JUMP_UNLESS, WANTED, 0, deny);
        self.push(op::set(RESULT, 1));
        self.push(op::exit());
        self.place(deny);
        self.push(op::set(RESULT, 0));
        self.push(op::exit());
    }

    fn finish(mut self) -> Vec<u64> {
        for (at, label) in self.jumps {
            self.code[at] |= op::over(self.places[label] - at - 1);
        }
        self.code
    }
}

const RESULT: u8 = 0;
const CONTEXT: u8 = 1;
const KIND: u8 = 2;
const WANTED: u8 = 3;
const MAJOR: u8 = 4;
const MINOR: u8 = 5;

/// BPF_DEVCG_DEV_CHAR.
const KIND_CHAR: i32 = 2;

/// The few instructions that are needed (Documentation/bpf/standardization/instruction-set.rst).
mod op {
    /// Leave out the next ones.
    pub(super) const JUMP: u8 = 0x05;
    /// The same if register == value.
    pub(super) const JUMP_IF: u8 = 0x15;
    /// The same if register != value.
    pub(super) const JUMP_UNLESS: u8 = 0x55;

    pub(super) const fn instruction(code: u8, destination: u8, source: u8, offset: i16, immediate: i32) -> u64 {
        code as u64
            | (destination as u64) << 8
            | (source as u64) << 12
            | (offset.cast_unsigned() as u64) << 16
            | (immediate.cast_unsigned() as u64) << 32
    }

    /// The bits of a jump over `count` instructions: 15 of them, so it is forward.
    pub(super) const fn over(count: usize) -> u64 {
        (count as u64 & 0x7fff) << 16
    }

    /// register = *(u32 *)(from + offset)
    pub(super) const fn load(register: u8, from: u8, offset: i16) -> u64 {
        instruction(0x61, register, from, offset, 0)
    }

    /// register = value
    pub(super) const fn set(register: u8, value: i32) -> u64 {
        instruction(0xb7, register, 0, 0, value)
    }

    /// register = from
    pub(super) const fn copy(register: u8, from: u8) -> u64 {
        instruction(0xbf, register, from, 0, 0)
    }

    /// register &= value
    pub(super) const fn and(register: u8, value: i32) -> u64 {
        instruction(0x57, register, 0, 0, value)
    }

    /// register >>= bits
    pub(super) const fn shift_right(register: u8, bits: i32) -> u64 {
        instruction(0x77, register, 0, 0, bits)
    }

    /// return r0
    pub(super) const fn exit() -> u64 {
        instruction(0x95, 0, 0, 0, 0)
    }
}
