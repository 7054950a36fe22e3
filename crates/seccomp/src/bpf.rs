//! Classic BPF, as far as seccomp filters here go: instructions, what they print as, and what they do.

use crate::arch::{Arch, Endian};
use crate::verdict::Verdict;
use std::fmt;

/// `ld [k]`: the word at `k` of the call's description.
pub(crate) const LOAD: u16 = 0x20;
/// `and #k`
pub(crate) const AND: u16 = 0x54;
/// `ja k`: skip `k` instructions.
pub(crate) const JUMP: u16 = 0x05;
/// `jeq #k`
pub(crate) const EQUAL: u16 = 0x15;
/// `jgt #k`
pub(crate) const GREATER: u16 = 0x25;
/// `jge #k`
pub(crate) const GREATER_EQUAL: u16 = 0x35;
/// `jset #k`
const SET: u16 = 0x45;
/// `ret #k`
pub(crate) const RETURN: u16 = 0x06;

/// `struct seccomp_data` of linux/seccomp.h: where its words are.
pub(crate) const NUMBER: u32 = 0;
/// See [`NUMBER`].
pub(crate) const ARCH: u32 = 4;
/// The first of six arguments, eight bytes each.
pub(crate) const ARGS: u32 = 16;
const DATA_LENGTH: usize = 64;

/// `struct sock_filter` of linux/filter.h: one instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Insn {
    /// What.
    pub code: u16,
    /// Instructions to skip where the comparison holds.
    pub jt: u8,
    /// Instructions to skip where it does not.
    pub jf: u8,
    /// The number that it is about.
    pub k: u32,
}

impl Insn {
    pub(crate) const fn plain(code: u16, k: u32) -> Self {
        Self { code, jt: 0, jf: 0, k }
    }

    /// As the kernel of this machine reads it.
    pub fn to_bytes(self) -> [u8; 8] {
        let [a, b] = self.code.to_ne_bytes();
        let [e, f, g, h] = self.k.to_ne_bytes();
        [a, b, self.jt, self.jf, e, f, g, h]
    }

    /// [`Self::to_bytes`] backwards.
    pub fn from_bytes([a, b, jt, jf, e, f, g, h]: [u8; 8]) -> Self {
        Self { code: u16::from_ne_bytes([a, b]), jt, jf, k: u32::from_ne_bytes([e, f, g, h]) }
    }
}

impl fmt::Display for Insn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { code, jt, jf, k } = *self;
        let compare = match code {
            LOAD => match k {
                NUMBER => return f.write_str("ld number"),
                ARCH => return f.write_str("ld arch"),
                ARGS.. if k.is_multiple_of(4) => {
                    return write!(f, "ld arg{}[{}]", (k - ARGS) / 8, (k - ARGS) % 8);
                }
                _ => return write!(f, "ld [{k}]"),
            },
            AND => return write!(f, "and {k:#x}"),
            JUMP => return write!(f, "ja +{k}"),
            RETURN => return write!(f, "ret {}", Verdict::from_bits(k)),
            EQUAL => "jeq",
            GREATER => "jgt",
            GREATER_EQUAL => "jge",
            SET => "jset",
            _ => return write!(f, "{code:#06x} {jt} {jf} {k:#x}"),
        };
        write!(f, "{compare} {k:#x} +{jt} else +{jf}")
    }
}

/// A program that does what the kernel would have refused to load.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Not an instruction of those above.
    #[error("instruction {0} is none that is known here")]
    Unknown(usize),
    /// A load from outside of the description, or one that is not aligned.
    #[error("instruction {0} loads what is not there")]
    Load(usize),
    /// It went past the last instruction.
    #[error("it does not end with a verdict")]
    Endless,
}

/// One system call, as a filter sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// The ABI.
    pub arch: Arch,
    /// The call's number.
    pub number: u32,
    /// Its arguments.
    pub args: [u64; 6],
}

impl Attempt {
    fn data(&self) -> [u8; DATA_LENGTH] {
        let little = self.arch.endian() == Endian::Little;
        let word = |word: u32| if little { word.to_le_bytes() } else { word.to_be_bytes() };
        let mut data = [0; DATA_LENGTH];
        data[..4].copy_from_slice(&word(self.number));
        data[4..8].copy_from_slice(&word(self.arch.audit()));
        for (place, arg) in data[16..].chunks_exact_mut(8).zip(self.args) {
            place.copy_from_slice(&if little { arg.to_le_bytes() } else { arg.to_be_bytes() });
        }
        data
    }
}

/// What a program says of a system call, found as the kernel finds it.
///
/// # Errors
/// The program is none that the kernel would have loaded, or uses what this crate never does.
pub fn verdict(program: &[Insn], attempt: &Attempt) -> Result<Verdict, Fault> {
    run(program, attempt).map(Verdict::from_bits)
}

/// [`verdict`], as the number that is returned.
fn run(program: &[Insn], attempt: &Attempt) -> Result<u32, Fault> {
    let data = attempt.data();
    let little = attempt.arch.endian() == Endian::Little;
    let mut a = 0u32;
    let mut at = 0usize;
    while let Some(&Insn { code, jt, jf, k }) = program.get(at) {
        let holds = match code {
            LOAD => {
                let from = usize::try_from(k).ok().filter(|from| from.is_multiple_of(4));
                let word = from.and_then(|from| data.get(from..)?.first_chunk()).ok_or(Fault::Load(at))?;
                a = if little { u32::from_le_bytes(*word) } else { u32::from_be_bytes(*word) };
                at += 1;
                continue;
            }
            AND => {
                a &= k;
                at += 1;
                continue;
            }
            JUMP => {
                at = usize::try_from(k).ok().and_then(|skip| (at + 1).checked_add(skip)).ok_or(Fault::Endless)?;
                continue;
            }
            RETURN => return Ok(k),
            EQUAL => a == k,
            GREATER => a > k,
            GREATER_EQUAL => a >= k,
            SET => a & k != 0,
            _ => return Err(Fault::Unknown(at)),
        };
        at += 1 + usize::from(if holds { jt } else { jf });
    }
    Err(Fault::Endless)
}
