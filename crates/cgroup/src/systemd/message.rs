//! Messages of D-Bus. <https://dbus.freedesktop.org/doc/dbus-specification.html>, "Message Format".

use super::value::{Reader, Value, first_type, pad};

/// A call of a method.
pub(super) struct Call<'a> {
    /// Whom.
    pub(super) destination: &'a str,
    /// Which of its objects.
    pub(super) path: &'a str,
    /// The method's interface.
    pub(super) interface: &'a str,
    /// The method.
    pub(super) member: &'a str,
    /// Its arguments.
    pub(super) body: &'a [Value],
}

/// What came in, as far as we look at it.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Message {
    pub(super) kind: u8,
    pub(super) interface: String,
    pub(super) member: String,
    pub(super) error: String,
    /// The serial number that this is the reply to; 0 is none.
    pub(super) reply_to: u32,
    /// The bus writes it: nobody can pretend to be somebody else.
    pub(super) sender: String,
    signature: String,
    body: Vec<u8>,
}

pub(super) const CALL: u8 = 1;
pub(super) const RETURN: u8 = 2;
#[cfg(test)]
pub(super) const ERROR: u8 = 3;
pub(super) const SIGNAL: u8 = 4;

/// Bytes of a header without its fields.
pub(super) const FIXED: usize = 16;
/// Bytes of fields, and of a whole message: far more than any that is for us.
const LONGEST_FIELDS: usize = 64 << 10;
const LONGEST: usize = 1 << 20;
/// Bytes of a body that we look into.
const LONGEST_READ: usize = 64 << 10;

impl Call<'_> {
    /// Its bytes, with a number that its reply will have.
    pub(super) fn write(&self, serial: u32) -> Vec<u8> {
        let mut body = Vec::new();
        self.body.iter().for_each(|value| value.write(&mut body));
        message(CALL, serial, &self.fields(), &body)
    }

    fn fields(&self) -> Vec<(u8, Value)> {
        let signature: String = self.body.iter().map(Value::signature).collect();
        vec![
            (1, Value::Path(self.path.to_owned())),
            (2, Value::text(self.interface)),
            (3, Value::text(self.member)),
            (6, Value::text(self.destination)),
            (8, Value::Signature(signature)),
        ]
    }
}

pub(super) fn message(kind: u8, serial: u32, fields: &[(u8, Value)], body: &[u8]) -> Vec<u8> {
    // Nobody is to be started for our sake.
    const NO_AUTO_START: u8 = 2;
    let mut out = vec![b'l', kind, NO_AUTO_START, 1];
    Value::U32(u32::try_from(body.len()).unwrap_or(u32::MAX)).write(&mut out);
    Value::U32(serial).write(&mut out);
    let field =
        |(code, value): &(u8, Value)| Value::Struct(vec![Value::Byte(*code), Value::Variant(Box::new(value.clone()))]);
    Value::Array("(yv)".to_owned(), fields.iter().map(field).collect()).write(&mut out);
    pad(&mut out, 8);
    out.extend_from_slice(body);
    out
}

/// How many bytes the message has that begins so.
pub(super) fn length(fixed: &[u8; FIXED]) -> Result<usize, &'static str> {
    let word = |at: usize| {
        let bytes = fixed.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).unwrap_or_default();
        usize::try_from(u32::from_le_bytes(bytes)).unwrap_or(usize::MAX)
    };
    if fixed[0] != b'l' || fixed[3] != 1 {
        return Err("no message of version 1, little-endian");
    }
    let (body, fields) = (word(4), word(12));
    if fields > LONGEST_FIELDS || body > LONGEST {
        return Err("a message that is too long");
    }
    Ok((FIXED + fields).next_multiple_of(8) + body)
}

impl Message {
    /// `bytes` are as many as [`length`] says.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let fixed: &[u8; FIXED] = bytes.first_chunk()?;
        let body = usize::try_from(u32::from_le_bytes(*fixed.get(4..)?.first_chunk()?)).ok()?;
        let (head, body) = bytes.split_at_checked(bytes.len().checked_sub(body)?)?;
        let mut message = Self { kind: fixed[1], body: body.to_vec(), ..Self::default() };
        let Value::Array(_, fields) = Reader::from(head, FIXED - 4).value("a(yv)")? else { return None };
        for field in fields {
            let Value::Struct(mut pair) = field else { return None };
            let (Some(Value::Variant(value)), Some(Value::Byte(code))) = (pair.pop(), pair.pop()) else { return None };
            match (code, *value) {
                (2, Value::Text(text)) => message.interface = text,
                (3, Value::Text(text)) => message.member = text,
                (4, Value::Text(text)) => message.error = text,
                (5, Value::U32(serial)) => message.reply_to = serial,
                (7, Value::Text(text)) => message.sender = text,
                (8, Value::Signature(text)) => message.signature = text,
                (2..=5 | 7 | 8, _) => return None,
                _ => {}
            }
        }
        Some(message)
    }

    /// What it brings, if it is of these types.
    pub(super) fn body(&self, signature: &str) -> Option<Vec<Value>> {
        if self.signature != signature || self.body.len() > LONGEST_READ {
            return None;
        }
        let mut reader = Reader::from(&self.body, 0);
        let mut rest = signature;
        let mut values = Vec::new();
        while !rest.is_empty() {
            let kind = first_type(rest)?;
            values.push(reader.value(kind)?);
            rest = rest.get(kind.len()..)?;
        }
        reader.is_at_end().then_some(values)
    }

    /// What an error says.
    pub(super) fn words(&self) -> String {
        let text = match self.body("s").as_deref() {
            Some([Value::Text(text)]) if !text.is_empty() => text.clone(),
            _ => self.error.clone(),
        };
        text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).take(400).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(body: &[Value]) -> Vec<u8> {
        Call { destination: "a.b", path: "/a", interface: "a.b.C", member: "Do", body }.write(7)
    }

    fn whole(bytes: &[u8]) -> Option<Message> {
        let len = length(bytes.first_chunk()?).ok()?;
        (len == bytes.len()).then(|| Message::read(bytes))?
    }

    #[test]
    fn a_call_is_laid_out_as_specified() {
        let bytes = call(&[Value::U32(5)]);
        assert_eq!(bytes[..12], [b'l', 1, 2, 1, 4, 0, 0, 0, 7, 0, 0, 0]);
        assert_eq!(bytes[16..28], *b"\x01\x01o\0\x02\0\0\0/a\0\0");
        assert_eq!(bytes[bytes.len() - 4..], [5, 0, 0, 0]);
        assert_eq!(bytes.len() % 8, 4);
    }

    #[test]
    fn a_message_is_read_as_it_was_written() {
        let read = whole(&call(&[Value::text("x"), Value::U32(5)])).expect("a message");
        assert_eq!((read.kind, &*read.member, &*read.interface), (CALL, "Do", "a.b.C"));
        assert_eq!(read.body("su"), Some(vec![Value::text("x"), Value::U32(5)]));
        assert_eq!(read.body("us"), None);
        assert_eq!(whole(&call(&[])).and_then(|read| read.body("")), Some(Vec::new()));
        let fields = [
            (5, Value::U32(9)),
            (4, Value::text("a.b.Err")),
            (7, Value::text(":1.2")),
            (8, Value::Signature("s".to_owned())),
        ];
        let mut body = Vec::new();
        Value::text("no\nway").write(&mut body);
        let error = whole(&message(ERROR, 1, &fields, &body)).expect("a message");
        assert_eq!((error.reply_to, &*error.error, &*error.sender), (9, "a.b.Err", ":1.2"));
        assert_eq!(error.words(), "no way");
        let silent = whole(&message(ERROR, 1, &fields[..3], &[])).expect("a message");
        assert_eq!(silent.words(), "a.b.Err");
    }

    #[test]
    fn no_byte_that_is_changed_or_missing_is_a_panic() {
        let bytes = call(&[Value::text("x"), Value::Array("s".to_owned(), vec![Value::text("y")])]);
        for at in 0..bytes.len() {
            for byte in [0, 1, 0x7f, 0xff] {
                let mut changed = bytes.clone();
                changed[at] = byte;
                let _ = Message::read(&changed).map(|message| (message.body("sas"), message.words()));
                let _ = whole(&changed);
            }
            let _ = Message::read(&bytes[..at]);
        }
    }

    #[test]
    fn a_header_that_is_none_or_too_long_is_refused() {
        let bytes = call(&[]);
        let fixed: [u8; FIXED] = *bytes.first_chunk().expect("a header");
        assert_eq!(length(&fixed), Ok(bytes.len()));
        for (at, byte) in [(0, b'B'), (0, b'H'), (3, 2), (7, 0xff), (6, 0x20), (15, 1), (14, 2)] {
            let mut fixed = fixed;
            fixed[at] = byte;
            assert!(length(&fixed).is_err(), "{at}");
        }
    }
}
