//! The flat form of a plan: a header, then the steps one after the other, little-endian, strings with their NUL.
//! Hand-made: serde's smallest format made init half as large again and pulled a procedural macro into its build
//! (docs/decisions/0001).

use crate::text::{Bytes, Text, Texts};

/// Where the plan is in init's memory: a segment of its program, which the kernel maps with the rest. Init's own segments
/// begin at 2 MiB and lie below it.
pub const PLAN_ADDRESS: usize = 3 << 20;

/// As many file systems as init can hold: /proc, /dev, /sys and a procfs of its own, with room. A plan holds no more.
pub const HELD: usize = 8;

/// No place: a descriptor that a step does without.
pub const NONE: u8 = u8::MAX;

/// As many steps as a report can number.
pub const STEPS_MAX: usize = 1 << 16;

/// What stands before the steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Bytes of the whole message.
    pub len: u32,
    /// How many steps.
    pub steps: u32,
    /// The socket to the parent.
    pub socket: i32,
    /// The socket that `start` will connect to, or -1.
    pub listener: i32,
    /// How many descriptors follow the header: what the plan calls by their place in this list, from 0.
    pub inherited: u32,
}

impl Header {
    /// Bytes of an encoded header, the build's mark included.
    pub const LEN: usize = 28;

    /// The header at the beginning of `bytes`, unless another build wrote it.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        let build = u64::read(&mut reader)?;
        let header = Self {
            len: Field::read(&mut reader)?,
            steps: Field::read(&mut reader)?,
            socket: Field::read(&mut reader)?,
            listener: Field::read(&mut reader)?,
            inherited: Field::read(&mut reader)?,
        };
        (build == BUILD).then_some(header)
    }

    /// As bytes.
    #[cfg(feature = "alloc")]
    pub fn write(&self, out: &mut Writer) {
        BUILD.write(out);
        self.len.write(out);
        self.steps.write(out);
        self.socket.write(out);
        self.listener.write(out);
        self.inherited.write(out);
    }
}

/// FNV-1a over the source of this crate: init refuses the plan of another build.
const BUILD: u64 = {
    let hash = fnv(0xcbf2_9ce4_8422_2325, include_bytes!("step.rs"));
    let hash = fnv(hash, include_bytes!("message.rs"));
    fnv(hash, include_bytes!("text.rs"))
};

const fn fnv(mut hash: u64, source: &[u8]) -> u64 {
    let mut at = 0;
    while at < source.len() {
        hash = (hash ^ source[at] as u64).wrapping_mul(0x0100_0000_01b3);
        at += 1;
    }
    hash
}

/// Reads a message from its beginning. Every read that would pass its end is `None`.
#[derive(Clone, Debug)]
pub struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// At the beginning of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(crate) fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    /// The next value.
    pub fn value<T: Field<'a>>(&mut self) -> Option<T> {
        T::read(self)
    }
}

/// Where a message grows.
#[cfg(feature = "alloc")]
pub type Writer = alloc::vec::Vec<u8>;

/// Something that can stand in a message.
pub trait Field<'a>: Sized {
    /// From a message. `None` if it is not one of ours.
    fn read(from: &mut Reader<'a>) -> Option<Self>;
    /// Into a message.
    #[cfg(feature = "alloc")]
    fn write(&self, out: &mut Writer);
}

macro_rules! numbers {
    ($($number:ty)*) => {$(
        impl<'a> Field<'a> for $number {
            #[inline(never)]
            fn read(from: &mut Reader<'a>) -> Option<Self> {
                Some(Self::from_le_bytes(from.take(size_of::<Self>())?.try_into().ok()?))
            }
            #[cfg(feature = "alloc")]
            fn write(&self, out: &mut Writer) {
                out.extend_from_slice(&self.to_le_bytes());
            }
        }
    )*};
}
numbers!(u8 u16 u32 u64 i32 i64);

impl<'a> Field<'a> for bool {
    fn read(from: &mut Reader<'a>) -> Option<Self> {
        match u8::read(from)? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }
    #[cfg(feature = "alloc")]
    fn write(&self, out: &mut Writer) {
        u8::from(*self).write(out);
    }
}

impl<'a> Field<'a> for Text<'a> {
    #[inline(never)]
    fn read(from: &mut Reader<'a>) -> Option<Self> {
        let len = u32::read(from)?;
        let bytes = from.take(len as usize)?;
        bytes.ends_with(&[0]).then_some(Text(bytes))
    }
    #[cfg(feature = "alloc")]
    fn write(&self, out: &mut Writer) {
        let bytes = self.bytes();
        length(bytes.len().saturating_add(1)).write(out);
        out.extend_from_slice(bytes);
        out.push(0);
    }
}

impl<'a> Field<'a> for Bytes<'a> {
    #[inline(never)]
    fn read(from: &mut Reader<'a>) -> Option<Self> {
        let len = u32::read(from)?;
        Some(Bytes(from.take(len as usize)?))
    }
    #[cfg(feature = "alloc")]
    fn write(&self, out: &mut Writer) {
        length(self.0.len()).write(out);
        out.extend_from_slice(self.0);
    }
}

impl<'a> Field<'a> for Texts<'a> {
    #[inline(never)]
    fn read(from: &mut Reader<'a>) -> Option<Self> {
        let count = u32::read(from)?;
        let len = u32::read(from)?;
        Some(Texts { count, words: from.take(len as usize)? })
    }
    #[cfg(feature = "alloc")]
    fn write(&self, out: &mut Writer) {
        self.count.write(out);
        length(self.words.len()).write(out);
        out.extend_from_slice(self.words);
    }
}

/// A config is at most a few MiB (`rt_plan` refuses more): a length always fits.
#[cfg(feature = "alloc")]
fn length(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}

/// A closed set that travels as one byte.
macro_rules! closed {
    ($(#[$meta:meta])* $vis:vis enum $name:ident { $($(#[$doc:meta])* $variant:ident = $number:literal => $word:literal,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        $vis enum $name { $($(#[$doc])* $variant = $number,)* }

        impl $name {
            /// In words.
            pub fn words(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }

            /// The variant with this number.
            pub fn from_number(number: u8) -> Option<Self> {
                match number { $($number => Some(Self::$variant),)* _ => None }
            }
        }

        impl core::fmt::Display for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                f.write_str(self.words())
            }
        }

        impl<'a> $crate::message::Field<'a> for $name {
            fn read(from: &mut $crate::message::Reader<'a>) -> Option<Self> {
                Self::from_number(u8::read(from)?)
            }
            #[cfg(feature = "alloc")]
            fn write(&self, out: &mut $crate::message::Writer) {
                (*self as u8).write(out);
            }
        }
    };
}
pub(crate) use closed;

/// A group of fields, in the order written.
macro_rules! record {
    ($(#[$meta:meta])* $vis:vis struct $name:ident $(<$life:lifetime>)? { $($(#[$doc:meta])* $field_vis:vis $field:ident: $type:ty,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        $vis struct $name $(<$life>)? { $($(#[$doc])* $field_vis $field: $type,)* }

        impl<'a> $crate::message::Field<'a> for record!(@name $name $(<$life>)?) {
            #[inline(never)]
            fn read(from: &mut $crate::message::Reader<'a>) -> Option<Self> {
                Some(Self { $($field: $crate::message::Field::read(from)?,)* })
            }
            #[cfg(feature = "alloc")]
            fn write(&self, out: &mut $crate::message::Writer) {
                $(self.$field.write(out);)*
            }
        }
    };
    (@name $name:ident) => { $name };
    (@name $name:ident <$life:lifetime>) => { $name<'a> };
}
pub(crate) use record;

/// An enum whose variants carry fields: its reader and its writer, from one list.
macro_rules! message {
    ($(#[$meta:meta])* $vis:vis enum $name:ident { $($(#[$doc:meta])* $variant:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty,)* },)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        $vis enum $name<'a> { $($(#[$doc])* #[allow(missing_docs)] $variant { $($(#[$field_doc])* $field: $type,)* },)* }

        #[repr(u8)]
        enum Tag { $($variant,)* }

        impl<'a> $crate::message::Field<'a> for $name<'a> {
            fn read(from: &mut $crate::message::Reader<'a>) -> Option<Self> {
                let tag = u8::read(from)?;
                $(if tag == Tag::$variant as u8 {
                    return Some(Self::$variant { $($field: $crate::message::Field::read(from)?,)* });
                })*
                None
            }
            #[cfg(feature = "alloc")]
            fn write(&self, out: &mut $crate::message::Writer) {
                match self {
                    $(Self::$variant { $($field,)* } => {
                        (Tag::$variant as u8).write(out);
                        $($field.write(out);)*
                    })*
                }
            }
        }
    };
}
pub(crate) use message;
