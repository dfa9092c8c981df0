//! The JSON of tokens and key sets, read strictly.
//!
//! A general JSON library keeps the last of two members with one name, so that a gateway and the
//! service behind it can see two different users in one token. This reader refuses such a text
//! (RFC 7515 section 4, RFC 7519 section 4), as it does everything that RFC 8259 does not allow,
//! nesting deeper than [`MAX_DEPTH`] and numbers that no IEEE double can hold.

use std::{
    cmp::Ordering,
    collections::HashSet,
    fmt::{self, Write as _},
};

use zeroize::Zeroize;

/// How deep arrays and objects may nest.
pub const MAX_DEPTH: usize = 256;

/// Above this many members an object is checked for duplicates with a hash set.
const MANY_MEMBERS: usize = 24;

/// A JSON value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number.
    Number(Number),
    /// A text.
    String(String),
    /// A list.
    Array(Vec<Self>),
    /// An object.
    Object(Object),
}

impl Value {
    /// About what the value takes in memory, in octets.
    #[must_use]
    pub fn octets(&self) -> usize {
        let inside = match self {
            Self::Null | Self::Bool(_) | Self::Number(_) => 0,
            Self::String(text) => text.capacity(),
            // Places that are kept free count as well.
            Self::Array(elements) => elements.iter().map(Self::octets).fold(
                elements.capacity().saturating_sub(elements.len()).saturating_mul(size_of::<Self>()),
                usize::saturating_add,
            ),
            Self::Object(object) => object.octets(),
        };
        inside.saturating_add(size_of::<Self>())
    }

    /// The text, if this is one.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        if let Self::String(text) = self { Some(text) } else { None }
    }

    /// The elements, if this is an array.
    #[must_use]
    pub fn as_array(&self) -> Option<&[Self]> {
        if let Self::Array(elements) = self { Some(elements) } else { None }
    }

    /// The members, if this is an object.
    #[must_use]
    pub const fn as_object(&self) -> Option<&Object> {
        if let Self::Object(object) = self { Some(object) } else { None }
    }
}

/// The value as JSON.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(value) => value.fmt(f),
            Self::Number(number) => number.fmt(f),
            Self::String(text) => write_text(text, f),
            Self::Array(elements) => {
                f.write_str("[")?;
                for (n, element) in elements.iter().enumerate() {
                    f.write_str(if n == 0 { "" } else { "," })?;
                    element.fmt(f)?;
                }
                f.write_str("]")
            }
            Self::Object(object) => {
                f.write_str("{")?;
                for (n, (name, value)) in object.iter().enumerate() {
                    f.write_str(if n == 0 { "" } else { "," })?;
                    write_text(name, f)?;
                    write!(f, ":{value}")?;
                }
                f.write_str("}")
            }
        }
    }
}

/// A private key may come as JSON; its texts are wiped.
impl Zeroize for Value {
    fn zeroize(&mut self) {
        match self {
            Self::Null | Self::Bool(_) | Self::Number(_) => {}
            Self::String(text) => text.zeroize(),
            Self::Array(elements) => elements.iter_mut().for_each(Self::zeroize),
            Self::Object(object) => object.members.iter_mut().for_each(|(_, value)| value.zeroize()),
        }
    }
}

/// A text in quotes. Control characters are escaped, so that a terminal shows what there is.
fn write_text(text: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_str("\"")?;
    for c in text.chars() {
        match c {
            '"' => f.write_str("\\\"")?,
            '\\' => f.write_str("\\\\")?,
            c if c.is_control() => write!(f, "\\u{:04x}", u32::from(c))?,
            c => f.write_char(c)?,
        }
    }
    f.write_str("\"")
}

/// A number: an integer as far as 64 bits go, else the nearest double.
#[derive(Clone, Copy, Debug)]
pub enum Number {
    /// A whole number without fraction and exponent that fits 64 bits.
    Integer(i64),
    /// The same, too large for a sign.
    Unsigned(u64),
    /// Any other finite number.
    Float(f64),
}

impl Number {
    /// The number as a double.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "comparing claims with doubles is what JSON does")]
    pub const fn as_f64(self) -> f64 {
        match self {
            Self::Integer(n) => n as f64,
            Self::Unsigned(n) => n as f64,
            Self::Float(n) => n,
        }
    }
}

impl Number {
    /// Which of two numbers is larger, exactly.
    #[must_use]
    pub fn compare(self, other: Self) -> Ordering {
        match (self.whole(), other.whole()) {
            (Ok(a), Ok(b)) => a.cmp(&b),
            (Ok(whole), Err(float)) => compare_whole(whole, float),
            (Err(float), Ok(whole)) => compare_whole(whole, float).reverse(),
            // No number of JSON is NaN.
            (Err(a), Err(b)) => a.partial_cmp(&b).unwrap_or(Ordering::Equal),
        }
    }

    fn whole(self) -> Result<i128, f64> {
        match self {
            Self::Integer(n) => Ok(n.into()),
            Self::Unsigned(n) => Ok(n.into()),
            Self::Float(n) => Err(n),
        }
    }
}

#[expect(clippy::as_conversions, clippy::cast_possible_truncation, reason = "a cast to i128 saturates")]
fn compare_whole(whole: i128, float: f64) -> Ordering {
    let by_fraction = 0.0_f64.partial_cmp(&float.fract()).unwrap_or(Ordering::Equal);
    whole.cmp(&(float as i128)).then(by_fraction)
}

impl PartialEq for Number {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Integer(a), Self::Integer(b)) => a == b,
            (Self::Unsigned(a), Self::Unsigned(b)) => a == b,
            // What fits a sign is never `Unsigned`.
            (Self::Integer(_), Self::Unsigned(_)) | (Self::Unsigned(_), Self::Integer(_)) => false,
            (Self::Float(a), Self::Float(b)) => a == b,
            (Self::Float(float), whole) | (whole, Self::Float(float)) => is_exactly(*float, *whole),
        }
    }
}

/// Whether a double is this whole number, not only near it.
fn is_exactly(float: f64, whole: Number) -> bool {
    let whole = match whole {
        Number::Integer(n) => i128::from(n),
        Number::Unsigned(n) => i128::from(n),
        Number::Float(_) => return false,
    };
    as_whole(float) == Some(whole)
}

/// The whole number that a double is, if it is one that 128 bits hold.
#[expect(clippy::as_conversions, clippy::cast_possible_truncation, reason = "the number fits")]
fn as_whole(float: f64) -> Option<i128> {
    (float.fract() == 0.0 && float.abs() < 1e38).then_some(float as i128)
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Integer(n) => n.fmt(f),
            Self::Unsigned(n) => n.fmt(f),
            // The shortest digits of a large double are another whole number; these are its own.
            Self::Float(n) => match as_whole(*n) {
                Some(whole) => whole.fmt(f),
                None => n.fmt(f),
            },
        }
    }
}

/// An object: its members in the order of the text, which plays no part in comparisons.
#[derive(Clone, Debug, Default)]
pub struct Object {
    members: Vec<(String, Value)>,
    ambiguous: bool,
}

impl PartialEq for Object {
    fn eq(&self, other: &Self) -> bool {
        // Names are unique: what is not ambiguous on both sides is equal if one is in the other.
        !self.ambiguous
            && !other.ambiguous
            && self.members.len() == other.members.len()
            && self.members.iter().all(|(name, value)| other.get(name) == Some(value))
    }
}

impl Object {
    /// The member with this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.members.iter().find(|(member, _)| member == name).map(|(_, value)| value)
    }

    /// About what the members take in memory, in octets.
    #[must_use]
    pub fn octets(&self) -> usize {
        let free = self.members.capacity().saturating_sub(self.members.len());
        let of_member = |(name, value): &(String, Value)| {
            size_of::<String>().saturating_add(name.capacity()).saturating_add(value.octets())
        };
        let all = self.members.iter().map(of_member).fold(0, usize::saturating_add);
        all.saturating_add(free.saturating_mul(size_of::<(String, Value)>()))
    }

    /// The members in the order of the text.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.members.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// Whether a name comes twice. Only [`parse_tolerant`] gives such an object.
    #[must_use]
    pub const fn is_ambiguous(&self) -> bool {
        self.ambiguous
    }
}

/// Why a text is not the JSON that is accepted here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JsonError {
    /// The text breaks RFC 8259, or is no UTF-8.
    Syntax,
    /// An object has two members with one name.
    Duplicate,
    /// The nesting is deeper than [`MAX_DEPTH`].
    Depth,
    /// A number is too large for a double.
    Number,
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Syntax => "it is not valid JSON (RFC 8259)",
            Self::Duplicate => "an object has two members with one name",
            Self::Depth => "it is nested too deep",
            Self::Number => "a number is too large",
        })
    }
}

impl std::error::Error for JsonError {}

/// What was read, and whether reading lost something.
#[derive(Debug)]
pub struct Parsed {
    /// The value.
    pub value: Value,
    /// A text held half of a surrogate pair; U+FFFD stands in its place. Different texts may
    /// have become one.
    pub replaced_surrogate: bool,
}

/// Reads one JSON text in which every name is unique within its object.
///
/// # Errors
/// [`JsonError`] when the octets are not exactly one acceptable JSON text.
pub fn parse(octets: &[u8]) -> Result<Parsed, JsonError> {
    let (parsed, ambiguous) = read(octets)?;
    if ambiguous { Err(JsonError::Duplicate) } else { Ok(parsed) }
}

/// Reads one JSON text and lets the caller decide about objects that
/// [`are ambiguous`](Object::is_ambiguous): in a key set such a key costs only itself.
///
/// # Errors
/// [`JsonError`], except for duplicate names.
pub fn parse_tolerant(octets: &[u8]) -> Result<Value, JsonError> {
    read(octets).map(|(parsed, _)| parsed.value)
}

fn read(octets: &[u8]) -> Result<(Parsed, bool), JsonError> {
    let text = std::str::from_utf8(octets).map_err(|_| JsonError::Syntax)?;
    let mut reader = Reader { rest: text, replaced_surrogate: false, ambiguous: false };
    reader.skip_space();
    let value = reader.value(0)?;
    reader.skip_space();
    if !reader.rest.is_empty() {
        return Err(JsonError::Syntax);
    }
    Ok((Parsed { value, replaced_surrogate: reader.replaced_surrogate }, reader.ambiguous))
}

struct Reader<'a> {
    rest: &'a str,
    replaced_surrogate: bool,
    ambiguous: bool,
}

impl<'a> Reader<'a> {
    fn skip_space(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\n', '\r']);
    }

    fn peek(&self) -> Option<u8> {
        self.rest.as_bytes().first().copied()
    }

    fn take(&mut self, word: &str) -> Result<(), JsonError> {
        self.rest = self.rest.strip_prefix(word).ok_or(JsonError::Syntax)?;
        Ok(())
    }

    /// Takes the first `n` octets; `n` is a place where the text was just found to divide.
    fn split(&mut self, n: usize) -> Result<&'a str, JsonError> {
        let (head, rest) = self.rest.split_at_checked(n).ok_or(JsonError::Syntax)?;
        self.rest = rest;
        Ok(head)
    }

    fn value(&mut self, depth: usize) -> Result<Value, JsonError> {
        if depth > MAX_DEPTH {
            return Err(JsonError::Depth);
        }
        match self.peek() {
            Some(b'{') => self.object(depth).map(Value::Object),
            Some(b'[') => self.array(depth).map(Value::Array),
            Some(b'"') => self.string().map(Value::String),
            Some(b't') => self.take("true").map(|()| Value::Bool(true)),
            Some(b'f') => self.take("false").map(|()| Value::Bool(false)),
            Some(b'n') => self.take("null").map(|()| Value::Null),
            _ => self.number().map(Value::Number),
        }
    }

    fn array(&mut self, depth: usize) -> Result<Vec<Value>, JsonError> {
        self.take("[")?;
        let mut elements = Vec::new();
        self.skip_space();
        if self.peek() == Some(b']') {
            self.take("]")?;
            return Ok(elements);
        }
        loop {
            self.skip_space();
            elements.push(self.value(depth.saturating_add(1))?);
            if !self.another("]")? {
                return Ok(elements);
            }
        }
    }

    fn object(&mut self, depth: usize) -> Result<Object, JsonError> {
        self.take("{")?;
        let mut members = Vec::new();
        self.skip_space();
        if self.peek() == Some(b'}') {
            self.take("}")?;
            return Ok(Object::default());
        }
        loop {
            self.skip_space();
            let name = self.string()?;
            self.skip_space();
            self.take(":")?;
            self.skip_space();
            let value = self.value(depth.saturating_add(1))?;
            members.push((name, value));
            if !self.another("}")? {
                break;
            }
        }
        let ambiguous = has_duplicates(&members);
        self.ambiguous |= ambiguous;
        Ok(Object { members, ambiguous })
    }

    /// After an element: true for a comma, false for the closing bracket.
    fn another(&mut self, close: &str) -> Result<bool, JsonError> {
        self.skip_space();
        if self.peek() == Some(b',') {
            return self.take(",").map(|()| true);
        }
        self.take(close).map(|()| false)
    }

    fn string(&mut self) -> Result<String, JsonError> {
        self.take("\"")?;
        let mut text = String::new();
        loop {
            let end = self
                .rest
                .bytes()
                .position(|b| b == b'"' || b == b'\\' || b < 0x20)
                .ok_or(JsonError::Syntax)?;
            let plain = self.split(end)?;
            text.push_str(plain);
            match self.peek() {
                Some(b'"') => {
                    self.take("\"")?;
                    return Ok(text);
                }
                Some(b'\\') => text.push(self.escape()?),
                _ => return Err(JsonError::Syntax),
            }
        }
    }

    fn escape(&mut self) -> Result<char, JsonError> {
        let escape = self.split(2)?;
        Ok(match escape {
            "\\\"" => '"',
            "\\\\" => '\\',
            "\\/" => '/',
            "\\b" => '\u{8}',
            "\\f" => '\u{c}',
            "\\n" => '\n',
            "\\r" => '\r',
            "\\t" => '\t',
            "\\u" => return self.unicode(),
            _ => return Err(JsonError::Syntax),
        })
    }

    /// After `\u`: four digits, and for a surrogate pair the second `\uXXXX`.
    fn unicode(&mut self) -> Result<char, JsonError> {
        let unit = self.hex4()?;
        if let Some(c) = char::from_u32(u32::from(unit)) {
            return Ok(c);
        }
        let before = self.rest;
        if (0xD800..0xDC00).contains(&unit) && self.rest.starts_with("\\u") {
            self.take("\\u")?;
            let low = self.hex4()?;
            if let Some(Ok(c)) = char::decode_utf16([unit, low]).next() {
                return Ok(c);
            }
            self.rest = before;
        }
        self.replaced_surrogate = true;
        Ok(char::REPLACEMENT_CHARACTER)
    }

    fn hex4(&mut self) -> Result<u16, JsonError> {
        let digits = self.split(4)?;
        if !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(JsonError::Syntax);
        }
        u16::from_str_radix(digits, 16).map_err(|_| JsonError::Syntax)
    }

    fn number(&mut self) -> Result<Number, JsonError> {
        let start = self.rest;
        if self.peek() == Some(b'-') {
            self.take("-")?;
        }
        if self.peek() == Some(b'0') {
            self.take("0")?;
        } else {
            self.digits()?;
        }
        let mut whole = true;
        if self.peek() == Some(b'.') {
            self.take(".")?;
            self.digits()?;
            whole = false;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.split(1)?;
            if let Some(b'+' | b'-') = self.peek() {
                self.split(1)?;
            }
            self.digits()?;
            whole = false;
        }
        let length = start.len().saturating_sub(self.rest.len());
        number(start.get(..length).ok_or(JsonError::Syntax)?, whole)
    }

    fn digits(&mut self) -> Result<(), JsonError> {
        let rest = self.rest.trim_start_matches(|c: char| c.is_ascii_digit());
        if rest.len() == self.rest.len() {
            return Err(JsonError::Syntax);
        }
        self.rest = rest;
        Ok(())
    }
}

fn number(text: &str, whole: bool) -> Result<Number, JsonError> {
    if whole && let Ok(integer) = text.parse() {
        return Ok(Number::Integer(integer));
    }
    if whole && let Ok(integer) = text.parse() {
        return Ok(Number::Unsigned(integer));
    }
    let float: f64 = text.parse().map_err(|_| JsonError::Syntax)?;
    if float.is_finite() { Ok(Number::Float(float)) } else { Err(JsonError::Number) }
}

fn has_duplicates(members: &[(String, Value)]) -> bool {
    let mut names = members.iter().map(|(name, _)| name.as_str());
    if members.len() > MANY_MEMBERS {
        let mut seen = HashSet::with_capacity(members.len());
        return names.any(|name| !seen.insert(name));
    }
    while let Some(name) = names.next() {
        if names.clone().any(|later| later == name) {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ok(text: &str) -> Value {
        parse(text.as_bytes()).unwrap_or_else(|e| panic!("{text}: {e}")).value
    }

    fn fails(text: impl AsRef<[u8]>) -> JsonError {
        parse(text.as_ref()).expect_err("must be refused")
    }

    #[test]
    fn values() {
        let value = ok(r#" {"a": [1, -2.5, 1e3, true, false, null], "b": {"c": "x\u00e9\n\ud83d\ude00"}} "#);
        let object = value.as_object().unwrap();
        let a = object.get("a").unwrap().as_array().unwrap();
        assert_eq!(a[0], Value::Number(Number::Integer(1)));
        assert_eq!(a[2], Value::Number(Number::Integer(1000)), "1e3 is 1000");
        assert_eq!(a[5], Value::Null);
        let b = object.get("b").unwrap().as_object().unwrap();
        assert_eq!(b.get("c").unwrap().as_str(), Some("x\u{e9}\n\u{1f600}"));
    }

    #[test]
    fn integers_keep_their_digits() {
        assert_eq!(ok("9007199254740993"), Value::Number(Number::Integer(9_007_199_254_740_993)));
        assert_eq!(ok("18446744073709551616"), Value::Number(Number::Float(18_446_744_073_709_551_616.0)));
    }

    #[test]
    fn a_number_that_is_written_is_read_alike() {
        for (text, written) in [
            ("4749932423479823246.27864", "4749932423479823360"),
            ("-1e18", "-1000000000000000000"),
            ("1e40", "10000000000000000000000000000000000000000"),
            ("0.1", "0.1"),
            ("18446744073709551616", "18446744073709551616"),
        ] {
            assert_eq!(ok(text).to_string(), written);
            assert_eq!(ok(written), ok(text));
        }
    }

    #[test]
    fn what_rfc_8259_does_not_allow() {
        for text in [
            "",
            " ",
            "{",
            "[",
            "[1,]",
            "{\"a\":1,}",
            "{'a':1}",
            "{a:1}",
            "01",
            "+1",
            "1.",
            ".5",
            "0x10",
            "NaN",
            "Infinity",
            "-",
            "1e",
            "\"a",
            "\"\\x\"",
            "\"\\u12g4\"",
            "\"\\u+123\"",
            "nul",
            "truex",
            "1 2",
            "{}{}",
            "[1 2]",
            "{\"a\" 1}",
            "// x\n1",
            "\u{feff}1",
            "\"\t\"",
            "\"\u{0}\"",
            "\u{a0}1",
        ] {
            assert_eq!(fails(text), JsonError::Syntax, "{text:?}");
        }
        assert_eq!(fails(b"\"\xff\""), JsonError::Syntax);
        assert_eq!(fails(b"\"\xc0\xaf\""), JsonError::Syntax);
    }

    #[test]
    fn two_members_with_one_name() {
        assert_eq!(fails(r#"{"a":1,"a":1}"#), JsonError::Duplicate);
        assert_eq!(fails(r#"{"a":1,"\u0061":1}"#), JsonError::Duplicate);
        assert_eq!(fails(r#"{"x":{"a":1,"a":1}}"#), JsonError::Duplicate);
        let many: Vec<String> = (0..5000).map(|n| format!("\"m{n}\":0")).collect();
        assert_eq!(fails(format!("{{{},\"m7\":1}}", many.join(","))), JsonError::Duplicate);
        ok(&format!("{{{}}}", many.join(",")));
    }

    #[test]
    fn bounded_depth_and_numbers() {
        let nested = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
        ok(&nested(MAX_DEPTH));
        assert_eq!(fails(nested(MAX_DEPTH + 2)), JsonError::Depth);
        assert_eq!(fails("[".repeat(1_000_000)), JsonError::Depth);
        assert_eq!(fails("1e400"), JsonError::Number);
        assert_eq!(ok("1e-400"), Value::Number(Number::Float(0.0)));
    }

    #[test]
    fn half_a_surrogate_pair_is_told() {
        for text in [r#""\ud800""#, r#""\ud800x""#, r#""\udc00\ud800""#, r#""\ud800\n""#] {
            let parsed = parse(text.as_bytes()).unwrap();
            assert!(parsed.replaced_surrogate, "{text}");
        }
        assert!(!parse(r#""\ud83d\ude00""#.as_bytes()).unwrap().replaced_surrogate);
        assert_eq!(ok(r#""\ud800\u0041""#).as_str(), Some("\u{fffd}A"));
    }
}
