//! Values as people write them, in GVariant's text format: `'text'`, `5`, `uint64 5`, `true`, `['a', 'b']`, `@as []`.
//! <https://docs.gtk.org/glib/gvariant-text-format.html>
//!
//! A number without a type is an int32, as there; one beside a typed one has that one's type. What no property of a
//! scope is made of (dictionaries, tuples, byte strings, maybes) is refused.

use super::value::{DEEPEST, Value, first_type};

/// Read one value. Otherwise what is wrong with the text.
pub(super) fn parse(text: &str) -> Result<Value, String> {
    let mut parser = Parser { rest: text.trim_ascii() };
    let node = parser.node(0)?;
    match parser.rest.trim_ascii_start() {
        "" => node.value(None),
        more => Err(format!("{more:?} follows the value")),
    }
}

/// A value whose type may not be known yet.
enum Node<'a> {
    Number(&'a str),
    Text(String),
    Bool(bool),
    Array(Vec<Self>),
    Variant(Box<Self>),
    /// With a type before it.
    Typed(&'a str, Box<Self>),
}

impl Node<'_> {
    /// The type that it was given, or can only have.
    fn given(&self) -> Option<String> {
        match self {
            Self::Typed(kind, _) => Some((*kind).to_owned()),
            Self::Bool(_) => Some("b".to_owned()),
            Self::Variant(_) => Some("v".to_owned()),
            Self::Number(number) if is_decimal(number) => Some("d".to_owned()),
            Self::Array(items) => Some(format!("a{}", items.iter().find_map(Self::given)?)),
            Self::Number(_) | Self::Text(_) => None,
        }
    }

    /// The type that it has where nothing says otherwise.
    fn usual(&self) -> Option<String> {
        self.given().or_else(|| match self {
            Self::Number(_) => Some("i".to_owned()),
            Self::Text(_) => Some("s".to_owned()),
            Self::Array(items) => Some(format!("a{}", items.first()?.usual()?)),
            _ => None,
        })
    }

    fn value(self, wanted: Option<&str>) -> Result<Value, String> {
        let kind = match (wanted, self.usual()) {
            (Some(wanted), _) => wanted.to_owned(),
            (None, Some(usual)) => usual,
            (None, None) => return Err("an empty array needs a type before it, as in `@as []`".to_owned()),
        };
        let mismatch = |what: &str| Err(format!("{what} is not of type {kind}"));
        match self {
            Self::Typed(own, _) if own != kind => mismatch(&format!("a value of type {own}")),
            Self::Typed(_, node) => node.value(Some(&kind)),
            Self::Number(text) => number(text, &kind),
            Self::Bool(bool) if kind == "b" => Ok(Value::Bool(bool)),
            Self::Bool(bool) => mismatch(&bool.to_string()),
            Self::Text(text) => match &*kind {
                "s" => Ok(Value::Text(text)),
                "o" if is_path(&text) => Ok(Value::Path(text)),
                "g" if text.len() < 256 && is_signature(&text) => Ok(Value::Signature(text)),
                _ => mismatch(&format!("{text:?}")),
            },
            Self::Variant(node) if kind == "v" => Ok(Value::Variant(Box::new(node.value(None)?))),
            Self::Variant(_) => mismatch("a variant"),
            Self::Array(items) => match kind.strip_prefix('a') {
                Some(of) => {
                    let items: Result<_, _> = items.into_iter().map(|item| item.value(Some(of))).collect();
                    Ok(Value::Array(of.to_owned(), items?))
                }
                None => mismatch("an array"),
            },
        }
    }
}

fn is_decimal(number: &str) -> bool {
    !number.contains('x') && number.contains(['.', 'e', 'E'])
}

/// Decimal, or hexadecimal behind `0x`, or octal behind `0`.
fn number(text: &str, kind: &str) -> Result<Value, String> {
    let bad = || format!("{text:?} is no number of type {kind}");
    if kind == "d" {
        return text.parse().map(Value::F64).map_err(|_| bad());
    }
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let magnitude = match (digits.strip_prefix("0x"), digits.strip_prefix('0')) {
        (Some(digits), _) => u64::from_str_radix(digits, 16),
        (None, Some(digits)) if !digits.is_empty() => u64::from_str_radix(digits, 8),
        _ => digits.parse(),
    };
    let whole = i128::from(magnitude.map_err(|_| bad())?) * if negative { -1 } else { 1 };
    fn of<T: TryFrom<i128>>(whole: i128, make: fn(T) -> Value) -> Option<Value> {
        T::try_from(whole).ok().map(make)
    }
    let value = match kind {
        "y" => of(whole, Value::Byte),
        "n" => of(whole, Value::I16),
        "q" => of(whole, Value::U16),
        "i" => of(whole, Value::I32),
        "u" => of(whole, Value::U32),
        "x" => of(whole, Value::I64),
        "t" => of(whole, Value::U64),
        _ => None,
    };
    value.ok_or_else(bad)
}

fn is_path(text: &str) -> bool {
    let part = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    text == "/" || text.strip_prefix('/').is_some_and(|rest| rest.split('/').all(part))
}

fn is_signature(text: &str) -> bool {
    let mut rest = text;
    while !rest.is_empty() {
        let Some(kind) = first_type(rest) else { return false };
        rest = rest.get(kind.len()..).unwrap_or_default();
    }
    true
}

const KEYWORDS: [(&str, &str); 12] = [
    ("boolean", "b"),
    ("byte", "y"),
    ("int16", "n"),
    ("uint16", "q"),
    ("int32", "i"),
    ("uint32", "u"),
    ("int64", "x"),
    ("uint64", "t"),
    ("double", "d"),
    ("string", "s"),
    ("objectpath", "o"),
    ("signature", "g"),
];

struct Parser<'a> {
    rest: &'a str,
}

impl<'a> Parser<'a> {
    fn node(&mut self, depth: usize) -> Result<Node<'a>, String> {
        if depth > DEEPEST {
            return Err("too many brackets".to_owned());
        }
        self.rest = self.rest.trim_ascii_start();
        let Some(first) = self.rest.chars().next() else { return Err("the value is missing".to_owned()) };
        match first {
            '[' => {
                self.rest = &self.rest[1..];
                self.array(depth).map(Node::Array)
            }
            '<' => {
                self.rest = &self.rest[1..];
                let node = self.node(depth + 1)?;
                self.expect('>')?;
                Ok(Node::Variant(Box::new(node)))
            }
            '\'' | '"' => self.text(first).map(Node::Text),
            '0'..='9' | '+' | '-' => {
                let number = self.word(|letter| letter.is_ascii_alphanumeric() || "+-.".contains(letter));
                Ok(Node::Number(number))
            }
            '@' => {
                self.rest = &self.rest[1..];
                let kind = self.word(|letter| !letter.is_ascii_whitespace() && !"['\"<".contains(letter));
                if first_type(kind) != Some(kind) || kind.contains(['(', '{', 'h']) {
                    return Err(format!("\"@{kind}\" is no type that a property has"));
                }
                Ok(Node::Typed(kind, Box::new(self.node(depth + 1)?)))
            }
            _ => {
                let word = self.word(|letter| letter.is_ascii_alphanumeric());
                match (word, KEYWORDS.iter().find(|(name, _)| *name == word)) {
                    ("true", _) => Ok(Node::Bool(true)),
                    ("false", _) => Ok(Node::Bool(false)),
                    (_, Some((_, kind))) => Ok(Node::Typed(kind, Box::new(self.node(depth + 1)?))),
                    ("", None) => Err(format!("{:?} begins no value that a property has", self.rest)),
                    (word, None) => Err(format!("{word:?} is neither a type nor a value: text is put in quotes")),
                }
            }
        }
    }

    fn array(&mut self, depth: usize) -> Result<Vec<Node<'a>>, String> {
        let mut items = Vec::new();
        loop {
            self.rest = self.rest.trim_ascii_start();
            // Also behind a last comma.
            if let Some(rest) = self.rest.strip_prefix(']') {
                self.rest = rest;
                return Ok(items);
            }
            items.push(self.node(depth + 1)?);
            self.rest = self.rest.trim_ascii_start();
            if !self.rest.starts_with(']') {
                self.expect(',')?;
            }
        }
    }

    fn expect(&mut self, letter: char) -> Result<(), String> {
        let rest = self.rest.trim_ascii_start();
        self.rest = rest.strip_prefix(letter).ok_or_else(|| format!("{letter:?} is missing before {rest:?}"))?;
        Ok(())
    }

    fn word(&mut self, belongs: impl Fn(char) -> bool) -> &'a str {
        let end = self.rest.find(|letter| !belongs(letter)).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word
    }

    fn text(&mut self, quote: char) -> Result<String, String> {
        let mut text = String::new();
        let mut letters = self.rest.char_indices().skip(1);
        while let Some((at, letter)) = letters.next() {
            if letter == quote {
                self.rest = &self.rest[at + 1..];
                return match text.contains('\0') {
                    true => Err("text has no NUL".to_owned()),
                    false => Ok(text),
                };
            }
            if letter != '\\' {
                text.push(letter);
                continue;
            }
            let escaped = letters.next().map(|(_, letter)| letter).unwrap_or_default();
            let digits = match escaped {
                'u' => 4,
                'U' => 8,
                _ => 0,
            };
            match escaped {
                'a' => text.push('\x07'),
                'b' => text.push('\x08'),
                'f' => text.push('\x0c'),
                'n' => text.push('\n'),
                'r' => text.push('\r'),
                't' => text.push('\t'),
                'v' => text.push('\x0b'),
                '\n' => {}
                'u' | 'U' => {
                    let number: String = letters.by_ref().take(digits).map(|(_, digit)| digit).collect();
                    let code = Some(number.as_str()).filter(|number| number.bytes().all(|b| b.is_ascii_hexdigit()));
                    let code = code.filter(|number| number.len() == digits);
                    let letter = code.and_then(|number| char::from_u32(u32::from_str_radix(number, 16).ok()?));
                    text.push(letter.ok_or_else(|| format!("\"\\{escaped}{number}\" is no character"))?);
                }
                other => text.push(other),
            }
        }
        Err(format!("{} has no end", self.rest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Value {
        Value::Text(text.to_owned())
    }

    #[test]
    fn values_are_read() {
        let array = |of: &str, items: Vec<Value>| Value::Array(of.to_owned(), items);
        for (written, value) in [
            ("5", Value::I32(5)),
            (" -5 ", Value::I32(-5)),
            ("+0x1f", Value::I32(31)),
            ("010", Value::I32(8)),
            ("0", Value::I32(0)),
            ("1.5", Value::F64(1.5)),
            ("1e3", Value::F64(1000.0)),
            ("double 2", Value::F64(2.0)),
            ("byte 0xff", Value::Byte(255)),
            ("int16 -32768", Value::I16(i16::MIN)),
            ("uint16 65535", Value::U16(u16::MAX)),
            ("uint32 4294967295", Value::U32(u32::MAX)),
            ("int64 -9223372036854775808", Value::I64(i64::MIN)),
            ("uint64 18446744073709551615", Value::U64(u64::MAX)),
            ("@t 7", Value::U64(7)),
            ("true", Value::Bool(true)),
            ("boolean false", Value::Bool(false)),
            ("'inactive-or-failed'", text("inactive-or-failed")),
            (r#""a'b\"c\\\n\u00fc\U0001f600""#, text("a'b\"c\\\nü😀")),
            ("string 'x'", text("x")),
            ("objectpath '/a/b_1'", Value::Path("/a/b_1".to_owned())),
            ("signature 'a(sv)'", Value::Signature("a(sv)".to_owned())),
            ("['a', 'b']", array("s", vec![text("a"), text("b")])),
            ("[1, uint64 2, 3,]", array("t", vec![Value::U64(1), Value::U64(2), Value::U64(3)])),
            ("@ay [0x03]", array("y", vec![Value::Byte(3)])),
            ("@as []", array("s", Vec::new())),
            ("@aas[[],['x']]", array("as", vec![array("s", Vec::new()), array("s", vec![text("x")])])),
            ("[[1], [2]]", array("ai", vec![array("i", vec![Value::I32(1)]), array("i", vec![Value::I32(2)])])),
            ("<5>", Value::Variant(Box::new(Value::I32(5)))),
        ] {
            assert_eq!(parse(written), Ok(value), "{written}");
        }
    }

    #[test]
    fn what_is_no_value_is_refused() {
        for (written, words) in [
            ("", "missing"),
            ("invalid-value", "text is put in quotes"),
            ("5 6", "follows"),
            ("5x", "no number"),
            ("2147483648", "no number of type i"),
            ("byte 256", "no number of type y"),
            ("uint64 -1", "no number of type t"),
            ("uint64 1.5", "no number of type t"),
            ("uint64 'x'", "is not of type t"),
            ("uint64 true", "is not of type t"),
            ("uint64 uint32 5", "is not of type t"),
            ("'x", "has no end"),
            ("'x\\", "has no end"),
            ("'\\u00g0'", "no character"),
            ("'\\ud800'", "no character"),
            ("'\\u0000'", "no NUL"),
            ("[", "missing"),
            ("[1", "missing"),
            ("[1 2]", "',' is missing"),
            ("[1, 'a']", "is not of type i"),
            ("[]", "needs a type"),
            ("<5", "'>' is missing"),
            ("('a', 1)", "begins no value"),
            ("{'a': 1}", "begins no value"),
            ("@a{sv} []", "no type"),
            ("@ss 'x'", "no type"),
            ("@", "no type"),
            ("objectpath 'x'", "is not of type o"),
            ("signature '('", "is not of type g"),
            ("ü", "begins no value"),
        ] {
            let refusal = parse(written).expect_err(written);
            assert!(refusal.contains(words), "{written}: {refusal}");
        }
        assert!(parse(&"[".repeat(100_000)).is_err());
        assert!(parse(&"byte ".repeat(100_000)).is_err());
    }
}
