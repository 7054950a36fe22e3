//! Values of D-Bus, with their types, as bytes and as text.
//! <https://dbus.freedesktop.org/doc/dbus-specification.html>, "Type System" and "Marshaling". Little-endian only: all
//! that we talk to is on this machine.

use std::fmt;

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `y`.
    Byte(u8),
    /// `b`.
    Bool(bool),
    /// `n`.
    I16(i16),
    /// `q`.
    U16(u16),
    /// `i`.
    I32(i32),
    /// `u`.
    U32(u32),
    /// `x`.
    I64(i64),
    /// `t`.
    U64(u64),
    /// `d`.
    F64(f64),
    /// `s`.
    Text(String),
    /// `o`.
    Path(String),
    /// `g`.
    Signature(String),
    /// `a` and the type of its elements, which an empty one has as well.
    Array(String, Vec<Self>),
    /// Between parentheses.
    Struct(Vec<Self>),
    /// `v`.
    Variant(Box<Self>),
}

/// How deep arrays, structures and variants may lie in each other. What we send and understand needs five.
pub(super) const DEEPEST: usize = 16;

impl Value {
    pub(super) fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// Its type, in D-Bus's letters.
    pub fn signature(&self) -> String {
        match self {
            Self::Byte(_) => "y".to_owned(),
            Self::Bool(_) => "b".to_owned(),
            Self::I16(_) => "n".to_owned(),
            Self::U16(_) => "q".to_owned(),
            Self::I32(_) => "i".to_owned(),
            Self::U32(_) => "u".to_owned(),
            Self::I64(_) => "x".to_owned(),
            Self::U64(_) => "t".to_owned(),
            Self::F64(_) => "d".to_owned(),
            Self::Text(_) => "s".to_owned(),
            Self::Path(_) => "o".to_owned(),
            Self::Signature(_) => "g".to_owned(),
            Self::Array(of, _) => format!("a{of}"),
            Self::Struct(fields) => format!("({})", fields.iter().map(Self::signature).collect::<String>()),
            Self::Variant(_) => "v".to_owned(),
        }
    }

    /// Its bytes behind what is there: `out` is aligned as the message is.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Byte(byte) => out.push(*byte),
            Self::Bool(bool) => number(out, &u32::from(*bool).to_le_bytes()),
            Self::I16(number_) => number(out, &number_.to_le_bytes()),
            Self::U16(number_) => number(out, &number_.to_le_bytes()),
            Self::I32(number_) => number(out, &number_.to_le_bytes()),
            Self::U32(number_) => number(out, &number_.to_le_bytes()),
            Self::I64(number_) => number(out, &number_.to_le_bytes()),
            Self::U64(number_) => number(out, &number_.to_le_bytes()),
            Self::F64(number_) => number(out, &number_.to_le_bytes()),
            Self::Text(text) | Self::Path(text) => {
                number(out, &length(text.len()));
                out.extend_from_slice(text.as_bytes());
                out.push(0);
            }
            Self::Signature(text) => signature(out, text),
            Self::Array(of, values) => {
                number(out, &length(0));
                let at = out.len() - 4;
                pad(out, alignment(of.as_bytes().first().copied().unwrap_or_default()));
                let start = out.len();
                values.iter().for_each(|value| value.write(out));
                let written = length(out.len() - start);
                out[at..at + 4].copy_from_slice(&written);
            }
            Self::Struct(fields) => {
                pad(out, 8);
                fields.iter().for_each(|field| field.write(out));
            }
            Self::Variant(value) => {
                signature(out, &value.signature());
                value.write(out);
            }
        }
    }
}

/// As long as its alignment.
fn number(out: &mut Vec<u8>, bytes: &[u8]) {
    pad(out, bytes.len());
    out.extend_from_slice(bytes);
}

fn signature(out: &mut Vec<u8>, text: &str) {
    // 255 at most; a longer one could only be ours, and none is.
    out.push(u8::try_from(text.len()).unwrap_or(u8::MAX));
    out.extend_from_slice(text.as_bytes());
    out.push(0);
}

fn length(bytes: usize) -> [u8; 4] {
    u32::try_from(bytes).unwrap_or(u32::MAX).to_le_bytes()
}

pub(super) fn pad(out: &mut Vec<u8>, to: usize) {
    out.resize(out.len().next_multiple_of(to), 0);
}

/// Of a type that begins with this letter.
fn alignment(letter: u8) -> usize {
    match letter {
        b'n' | b'q' => 2,
        b'b' | b'i' | b'u' | b's' | b'o' | b'a' => 4,
        b'x' | b't' | b'd' | b'(' | b'{' => 8,
        _ => 1,
    }
}

/// The length of the first complete type of a signature.
pub(super) fn first_type(signature: &str) -> Option<&str> {
    let len = type_len(signature.as_bytes(), 0)?;
    signature.get(..len)
}

fn type_len(signature: &[u8], depth: usize) -> Option<usize> {
    if depth > DEEPEST {
        return None;
    }
    match signature.first()? {
        b'a' if signature.get(1) == Some(&b'{') => {
            let key = type_len(signature.get(2..)?, depth + 1)?;
            let value = type_len(signature.get(2 + key..)?, depth + 1)?;
            (signature.get(2 + key + value) == Some(&b'}')).then_some(3 + key + value)
        }
        b'a' => Some(1 + type_len(signature.get(1..)?, depth + 1)?),
        b'(' => {
            let mut len = 1;
            while *signature.get(len)? != b')' {
                len += type_len(signature.get(len..)?, depth + 1)?;
            }
            (len > 1).then_some(len + 1)
        }
        b'y' | b'b' | b'n' | b'q' | b'i' | b'u' | b'x' | b't' | b'd' | b's' | b'o' | b'g' | b'v' | b'h' => Some(1),
        _ => None,
    }
}

/// Values out of the bytes of a message. `None` for bytes that are not what the type says, whoever sent them.
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    /// From `at` on. `bytes` begin where the message does, or on a multiple of 8 of it.
    pub(super) fn from(bytes: &'a [u8], at: usize) -> Self {
        Self { bytes, at }
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.at >= self.bytes.len()
    }

    /// A value of the one complete type that `signature` is.
    pub(super) fn value(&mut self, signature: &str) -> Option<Value> {
        self.nested(signature, 0)
    }

    fn nested(&mut self, signature: &str, depth: usize) -> Option<Value> {
        if depth > DEEPEST {
            return None;
        }
        Some(match signature.bytes().next()? {
            b'y' => Value::Byte(self.number::<1>()?[0]),
            b'b' => match u32::from_le_bytes(self.number()?) {
                0 => Value::Bool(false),
                1 => Value::Bool(true),
                _ => return None,
            },
            b'n' => Value::I16(i16::from_le_bytes(self.number()?)),
            b'q' => Value::U16(u16::from_le_bytes(self.number()?)),
            b'i' => Value::I32(i32::from_le_bytes(self.number()?)),
            // A descriptor's number; we never ask for descriptors.
            b'u' | b'h' => Value::U32(u32::from_le_bytes(self.number()?)),
            b'x' => Value::I64(i64::from_le_bytes(self.number()?)),
            b't' => Value::U64(u64::from_le_bytes(self.number()?)),
            b'd' => Value::F64(f64::from_le_bytes(self.number()?)),
            b's' => Value::Text(self.string()?),
            b'o' => Value::Path(self.string()?),
            b'g' => Value::Signature(self.signature()?),
            b'v' => {
                let of = self.signature()?;
                if first_type(&of)? != of {
                    return None;
                }
                Value::Variant(Box::new(self.nested(&of, depth + 1)?))
            }
            b'a' => self.array(signature.get(1..)?, depth + 1)?,
            b'(' | b'{' => {
                self.align(8)?;
                let mut rest = signature.get(1..signature.len() - 1)?;
                let mut fields = Vec::new();
                while !rest.is_empty() {
                    let of = first_type(rest)?;
                    fields.push(self.nested(of, depth + 1)?);
                    rest = rest.get(of.len()..)?;
                }
                Value::Struct(fields)
            }
            _ => return None,
        })
    }

    fn array(&mut self, of: &str, depth: usize) -> Option<Value> {
        let len = usize::try_from(u32::from_le_bytes(self.number()?)).ok()?;
        self.align(alignment(*of.as_bytes().first()?))?;
        let end = self.at.checked_add(len).filter(|end| *end <= self.bytes.len())?;
        let mut values = Vec::new();
        while self.at < end {
            let before = self.at;
            values.push(self.nested(of, depth)?);
            if self.at == before {
                return None;
            }
        }
        (self.at == end).then(|| Value::Array(of.to_owned(), values))
    }

    fn align(&mut self, to: usize) -> Option<()> {
        let next = self.at.next_multiple_of(to);
        self.bytes.get(self.at..next)?;
        self.at = next;
        Some(())
    }

    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let end = self.at.checked_add(len)?;
        let bytes = self.bytes.get(self.at..end)?;
        self.at = end;
        Some(bytes)
    }

    fn number<const LEN: usize>(&mut self) -> Option<[u8; LEN]> {
        self.align(LEN)?;
        self.take(LEN)?.try_into().ok()
    }

    fn string(&mut self) -> Option<String> {
        let len = usize::try_from(u32::from_le_bytes(self.number()?)).ok()?;
        self.terminated(len)
    }

    fn signature(&mut self) -> Option<String> {
        let len = usize::from(self.number::<1>()?[0]);
        self.terminated(len)
    }

    fn terminated(&mut self, len: usize) -> Option<String> {
        let text = self.take(len)?;
        let ends = self.take(1)? == [0] && !text.contains(&0);
        ends.then(|| std::str::from_utf8(text).ok().map(str::to_owned))?
    }
}

impl fmt::Display for Value {
    /// For people: numbers plain, but for the one that systemd takes for infinity.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |f: &mut fmt::Formatter<'_>, values: &[Self]| {
            values.iter().enumerate().try_for_each(|(index, value)| {
                let comma = if index == 0 { "" } else { ", " };
                write!(f, "{comma}{value}")
            })
        };
        match self {
            Self::Byte(number) => write!(f, "{number:#04x}"),
            Self::Bool(bool) => write!(f, "{bool}"),
            Self::I16(number) => write!(f, "{number}"),
            Self::U16(number) => write!(f, "{number}"),
            Self::I32(number) => write!(f, "{number}"),
            Self::U32(number) => write!(f, "{number}"),
            Self::I64(number) => write!(f, "{number}"),
            Self::U64(u64::MAX) => f.write_str("infinity"),
            Self::U64(number) => write!(f, "{number}"),
            Self::F64(number) => write!(f, "{number}"),
            Self::Text(text) | Self::Path(text) | Self::Signature(text) => f.write_str(text),
            Self::Array(_, values) => {
                f.write_str("[")?;
                list(f, values)?;
                f.write_str("]")
            }
            Self::Struct(fields) => fields.iter().enumerate().try_for_each(|(index, field)| {
                let space = if index == 0 { "" } else { " " };
                write!(f, "{space}{field}")
            }),
            Self::Variant(value) => value.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn there_and_back(value: &Value) -> Vec<u8> {
        let mut bytes = Vec::new();
        value.write(&mut bytes);
        let mut reader = Reader::from(&bytes, 0);
        assert_eq!(reader.value(&value.signature()).as_ref(), Some(value), "{bytes:?}");
        assert!(reader.is_at_end());
        bytes
    }

    #[test]
    fn every_type_comes_back_as_it_was() {
        let device = |path: &str| Value::Struct(vec![Value::text(path), Value::text("rw")]);
        for value in [
            Value::Byte(7),
            Value::Bool(true),
            Value::I16(-3),
            Value::U16(3),
            Value::I32(-9),
            Value::U32(9),
            Value::I64(-1),
            Value::U64(u64::MAX),
            Value::F64(0.5),
            Value::text("über"),
            Value::Path("/a/b".to_owned()),
            Value::Signature("a(sv)".to_owned()),
            Value::Array("s".to_owned(), Vec::new()),
            Value::Array("(ss)".to_owned(), vec![device("/dev/a"), device("/dev/bb")]),
            Value::Array("(ss)".to_owned(), Vec::new()),
            Value::Struct(vec![Value::Byte(1), Value::Variant(Box::new(Value::U64(2)))]),
        ] {
            there_and_back(&value);
            there_and_back(&Value::Struct(vec![Value::Byte(1), value.clone(), Value::text("x"), value.clone()]));
            there_and_back(&Value::Array("v".to_owned(), vec![Value::Variant(Box::new(value))]));
        }
    }

    #[test]
    fn bytes_are_the_specification_s() {
        // "Marshaling", example of an array of 64-bit numbers: the padding is not part of its length.
        let array = Value::Array("x".to_owned(), vec![Value::I64(5)]);
        assert_eq!(there_and_back(&array), [8, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(there_and_back(&Value::text("foo")), *b"\x03\0\0\0foo\0");
        assert_eq!(there_and_back(&Value::Variant(Box::new(Value::U32(9)))), *b"\x01u\0\0\x09\0\0\0");
        assert_eq!(there_and_back(&Value::Bool(true)), [1, 0, 0, 0]);
    }

    #[test]
    fn bytes_that_are_no_value_are_none() {
        for (signature, bytes) in [
            ("u", &[1u8, 0, 0][..]),
            ("b", &[2, 0, 0, 0]),
            ("s", b"\x05\0\0\0foo\0"),
            ("s", b"\xff\xff\xff\xfffoo\0"),
            ("s", b"\x03\0\0\0foox"),
            ("s", b"\x03\0\0\0f\0o\0"),
            ("s", b"\x03\0\0\0\xff\xfeo\0"),
            ("au", &[4, 0, 0, 0]),
            ("au", &[3, 0, 0, 0, 1, 2, 3, 4]),
            ("au", &[0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4]),
            ("v", b"\x02uu\0\x01\0\0\0"),
            ("v", b"\0\0"),
            ("v", b"\x01(\0\0"),
            ("a", &[4, 0, 0, 0, 1, 2, 3, 4]),
            ("", &[1]),
            ("z", &[1]),
        ] {
            assert_eq!(Reader::from(bytes, 0).value(signature), None, "{signature} {bytes:?}");
        }
        // Variants in variants, as deep as one likes.
        let deep: Vec<u8> = b"\x01v\0".repeat(1000);
        assert_eq!(Reader::from(&deep, 0).value("v"), None);
        assert_eq!(first_type(&"a".repeat(1000)), None);
        assert_eq!(first_type(&"(".repeat(1000)), None);
        assert_eq!(first_type("a{sv}u"), Some("a{sv}"));
        assert_eq!(first_type("(a(ss)b)t"), Some("(a(ss)b)"));
        assert_eq!(first_type("()"), None);
    }
}
