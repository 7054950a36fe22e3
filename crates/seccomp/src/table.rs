//! Names and numbers of the system calls of every architecture.
//!
//! rows.rs is generated from the headers of linux-libc-dev; tests/filters/tables.rs says how, and compares.

mod rows;

use crate::arch::{Arch, X32_BIT};
use rows::{COLUMNS, ROWS};
use std::cmp::Ordering;

/// No such call on this architecture.
const NONE: u16 = 0xffff;
/// From here on the calls that 32-bit ARM has to itself, which the kernel numbers from 0xf0000.
const ARM_PRIVATE: u16 = 0xff00;

const COUNT: usize = ROWS.len();
const LENGTH: usize = {
    let mut length = 0;
    let mut row = 0;
    while row < COUNT {
        length += ROWS[row].0.len();
        row += 1;
    }
    length
};

// The rows are there to be read by people. What the program has of them is one string, where in it each name ends, and a
// list of numbers per architecture, so that a machine touches the memory of its own architectures only.
static TEXT: [u8; LENGTH] = {
    let mut text = [0; LENGTH];
    let (mut row, mut at) = (0, 0);
    while row < COUNT {
        let name = ROWS[row].0.as_bytes();
        let mut byte = 0;
        while byte < name.len() {
            text[at] = name[byte];
            at += 1;
            byte += 1;
        }
        row += 1;
    }
    text
};

static ENDS: [u16; COUNT] = {
    let mut ends = [0; COUNT];
    let (mut row, mut end) = (0, 0);
    while row < COUNT {
        end += ROWS[row].0.len();
        assert!(end <= u16::MAX as usize);
        #[allow(clippy::cast_possible_truncation)] // asserted
        {
            ends[row] = end as u16;
        }
        row += 1;
    }
    ends
};

static NUMBERS: [[u16; COUNT]; COLUMNS] = {
    let mut numbers = [[NONE; COUNT]; COLUMNS];
    let mut row = 0;
    while row < COUNT {
        let mut column = 0;
        while column < COLUMNS {
            numbers[column][row] = ROWS[row].1[column];
            column += 1;
        }
        row += 1;
    }
    numbers
};

/// A system call that some architecture has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Call(u16);

impl Call {
    pub(crate) fn named(name: &str) -> Option<Self> {
        let (mut low, mut high) = (0, COUNT);
        while low < high {
            let middle = low.midpoint(high);
            match text(middle).cmp(name.as_bytes()) {
                Ordering::Less => low = middle + 1,
                Ordering::Greater => high = middle,
                Ordering::Equal => return u16::try_from(middle).ok().map(Self),
            }
        }
        None
    }

    pub(crate) fn number(self, arch: Arch) -> Option<u32> {
        let number = NUMBERS[column(arch)][usize::from(self.0)];
        match number {
            NONE => None,
            ARM_PRIVATE.. => Some(0xf_0000 + u32::from(number - ARM_PRIVATE)),
            _ if arch == Arch::X32 => Some(u32::from(number) | X32_BIT),
            _ => Some(u32::from(number)),
        }
    }
}

/// The number of a system call, as programs of this architecture make it. None: it has no such call.
pub fn number(arch: Arch, name: &str) -> Option<u32> {
    Call::named(name)?.number(arch)
}

/// The names of all system calls that some architecture has, in the order of the alphabet.
pub fn names() -> impl Iterator<Item = &'static str> {
    (0..COUNT).map(|row| std::str::from_utf8(text(row)).unwrap_or_default())
}

fn text(row: usize) -> &'static [u8] {
    let start = row.checked_sub(1).map_or(0, |before| ENDS[before]);
    &TEXT[usize::from(start)..usize::from(ENDS[row])]
}

const fn column(arch: Arch) -> usize {
    match arch {
        Arch::X86 => 0,
        Arch::X86_64 => 1,
        Arch::X32 => 2,
        Arch::Arm => 3,
        Arch::Aarch64 => 4,
        Arch::Mips | Arch::Mipsel => 5,
        Arch::Mips64 | Arch::Mipsel64 => 6,
        Arch::Mips64N32 | Arch::Mipsel64N32 => 7,
        Arch::Ppc => 8,
        Arch::Ppc64 | Arch::Ppc64le => 9,
        Arch::S390 => 10,
        Arch::S390x => 11,
        Arch::Parisc => 12,
        Arch::Parisc64 => 13,
        Arch::Riscv64 => 14,
        Arch::Loongarch64 => 15,
        Arch::M68k => 16,
        Arch::Sh | Arch::Sheb => 17,
    }
}
