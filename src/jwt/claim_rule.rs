//! Rules about single claims.

use std::mem::discriminant;

use regex::{Regex, RegexBuilder};

use super::{
    Claims, Error, Locator,
    json::{Number, Value},
};

/// A rule about one claim. A claim that is `null` counts as absent.
#[derive(Clone, Debug)]
pub struct ClaimRule {
    /// Where the claim is.
    pub claim: Locator,
    /// A token without the claim passes.
    pub optional: bool,
    /// What the claim must be.
    pub expect: Expect,
}

/// What a rule wants of its claim. A value of another type than the rule speaks of fails it, also where
/// the rule says what must not be.
#[derive(Clone, Debug)]
pub enum Expect {
    /// It is there.
    Present,
    /// It is not there.
    Absent,
    /// It equals one of these, types and order included.
    OneOf(Vec<Value>),
    /// It has the type of one of these and equals none.
    NoneOf(Vec<Value>),
    /// The elements of a list, or the words of a text between spaces, as `scope` has them
    /// (RFC 6749 section 3.3), are such. A text as a whole is one of its own words.
    Elements(Quantifier, Vec<Value>),
    /// It is a text that starts with this.
    StartsWith(String),
    /// It is a text that ends with this.
    EndsWith(String),
    /// It is a text of this pattern.
    Matches(Pattern),
    /// It is a number on this side of another.
    Compare(Comparison, Number),
    /// As Tyk's `contains`: a text holds one of the texts, a list has one of the values, anything else
    /// equals one.
    TykContains(Vec<Value>),
}

/// How many elements must be among the values of a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quantifier {
    /// One of the values is an element.
    Any,
    /// Every value is an element.
    All,
    /// Every element is one of the values; an empty list passes.
    Only,
    /// No value is an element.
    None,
}

/// On which side of a number another is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// `>`
    GreaterThan,
    /// `>=`
    AtLeast,
    /// `<`
    LessThan,
    /// `<=`
    AtMost,
}

/// A regular expression for the whole of a text. Matching takes time in proportion to the text,
/// whatever the expression.
#[derive(Clone, Debug)]
pub struct Pattern {
    text: Box<str>,
    regex: Regex,
}

impl Pattern {
    /// The largest compiled expression in octets.
    const MAX_COMPILED: usize = 1024 * 1024;

    /// The pattern that `text` writes, in the syntax of the [`regex`] crate.
    ///
    /// # Errors
    /// When it is no regular expression, or too large a one.
    pub fn new(text: &str) -> Result<Self, regex::Error> {
        // Alone first, so that an odd bracket cannot reach beyond its end.
        let build = |text: &str| RegexBuilder::new(text).size_limit(Self::MAX_COMPILED).build();
        build(text)?;
        Ok(Self { text: text.into(), regex: build(&format!(r"\A(?:{text})\z"))? })
    }

    /// The text that was parsed.
    #[must_use]
    pub const fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it matches the whole of a text.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }
}

impl ClaimRule {
    pub(super) fn check(&self, claims: &Claims) -> Result<(), Error> {
        let claim = || self.claim.as_str().into();
        match (&self.expect, self.claim.find(claims)) {
            (Expect::Absent, None | Some(Value::Null)) => Ok(()),
            (Expect::Absent, Some(_)) => Err(Error::ClaimPresent { claim: claim() }),
            (_, None | Some(Value::Null)) if self.optional => Ok(()),
            (_, None) => Err(Error::ClaimMissing { claim: claim() }),
            (Expect::Present, Some(Value::Null)) => Err(Error::ClaimNull { claim: claim() }),
            (expect, Some(value)) if expect.admits(value) => Ok(()),
            (Expect::TykContains(_) | Expect::Elements(Quantifier::Any | Quantifier::All, _), Some(_)) => {
                Err(Error::ClaimNotContaining { claim: claim() })
            }
            (_, Some(_)) => Err(Error::ClaimNotMatching { claim: claim() }),
        }
    }
}

impl Expect {
    /// Whether a claim with this value is as it should be.
    pub(super) fn admits(&self, value: &Value) -> bool {
        let text = |is: &dyn Fn(&str) -> bool| value.as_str().is_some_and(is);
        match self {
            Self::Present => *value != Value::Null,
            Self::Absent => *value == Value::Null,
            Self::OneOf(allowed) => allowed.contains(value),
            Self::NoneOf(refused) => {
                let comparable = |refused: &Value| discriminant(refused) == discriminant(value);
                refused.iter().any(comparable) && !refused.contains(value)
            }
            Self::Elements(quantifier, values) => quantifier.admits(value, values),
            Self::StartsWith(start) => text(&|text| text.starts_with(start)),
            Self::EndsWith(end) => text(&|text| text.ends_with(end)),
            Self::Matches(pattern) => text(&|text| pattern.matches(text)),
            Self::Compare(comparison, bound) => {
                matches!(value, Value::Number(number) if comparison.holds(*number, *bound))
            }
            Self::TykContains(allowed) => match value {
                Value::String(text) => {
                    allowed.iter().filter_map(Value::as_str).any(|part| text.contains(part))
                }
                Value::Array(elements) => elements.iter().any(|element| allowed.contains(element)),
                other => allowed.contains(other),
            },
        }
    }
}

impl Quantifier {
    fn admits(self, claim: &Value, values: &[Value]) -> bool {
        if !matches!(claim, Value::Array(_) | Value::String(_)) {
            return false;
        }
        match self {
            Self::Any => values.iter().any(|value| has(claim, value)),
            Self::All => values.iter().all(|value| has(claim, value)),
            Self::None => !values.iter().any(|value| has(claim, value)),
            Self::Only => match claim {
                Value::Array(elements) => elements.iter().all(|element| values.contains(element)),
                _ => values.contains(claim) || words(claim).all(|word| is_among(word, values)),
            },
        }
    }
}

/// Whether a list has this element, or a text this word.
fn has(claim: &Value, wanted: &Value) -> bool {
    match claim {
        Value::Array(elements) => elements.contains(wanted),
        _ => claim == wanted || wanted.as_str().is_some_and(|wanted| words(claim).any(|word| word == wanted)),
    }
}

fn words(claim: &Value) -> impl Iterator<Item = &str> {
    claim.as_str().unwrap_or_default().split(' ').filter(|word| !word.is_empty())
}

fn is_among(word: &str, values: &[Value]) -> bool {
    values.iter().any(|value| value.as_str() == Some(word))
}

impl Comparison {
    pub(super) fn holds(self, number: Number, bound: Number) -> bool {
        let order = number.compare(bound);
        match self {
            Self::GreaterThan => order.is_gt(),
            Self::AtLeast => order.is_ge(),
            Self::LessThan => order.is_lt(),
            Self::AtMost => order.is_le(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jwt::json;

    fn value(text: &str) -> Value {
        json::parse(text.as_bytes()).unwrap().value
    }

    fn values(text: &str) -> Vec<Value> {
        value(text).as_array().unwrap().to_vec()
    }

    #[track_caller]
    fn table(expect: &Expect, passing: &[&str], failing: &[&str]) {
        for (texts, passes) in [(passing, true), (failing, false)] {
            for text in texts {
                assert_eq!(expect.admits(&value(text)), passes, "{expect:?} {text}");
            }
        }
    }

    #[test]
    fn equality_knows_types() {
        let one_of = Expect::OneOf(values(r#"["gold",5,true,["a","b"]]"#));
        table(
            &one_of,
            &["\"gold\"", "5", "5.0", "true", "[\"a\",\"b\"]"],
            &["\"Gold\"", "\"5\"", "5.1", "false", "[\"b\",\"a\"]", "[\"gold\"]", "null", "{}"],
        );
        let none_of = Expect::NoneOf(values(r#"["suspended","left"]"#));
        // A list or an object could hide what is refused.
        table(
            &none_of,
            &["\"active\"", "\"\"", "\"Suspended\""],
            &["\"suspended\"", "\"left\"", "[\"suspended\"]", "[]", "5", "{}", "true"],
        );
    }

    #[test]
    fn elements_of_lists_and_words_of_texts() {
        let elements = |quantifier| Expect::Elements(quantifier, values(r#"["read","write",7]"#));
        table(
            &elements(Quantifier::Any),
            &["[\"x\",\"read\"]", "[7.0]", "\"write other\"", "\"read\""],
            &["[]", "\"\"", "\"unread\"", "[\"READ\"]", "[[\"read\"]]", "7", "null", "{\"read\":1}"],
        );
        table(
            &elements(Quantifier::All),
            &["[7,\"write\",\"read\",\"x\"]"],
            &["[\"read\",\"write\"]", "\"read write 7\"", "[]"],
        );
        table(
            &elements(Quantifier::Only),
            &["[]", "[\"read\",7]", "\"read\"", "\"write  read\"", "\"\""],
            &["[\"read\",\"admin\"]", "\"read admin\"", "7", "{}", "null"],
        );
        table(
            &elements(Quantifier::None),
            &["[]", "[\"admin\"]", "\"unread\"", "\"\""],
            &["[\"read\"]", "\"x read\"", "[7]", "7", "{}", "null"],
        );
        let team = Expect::Elements(Quantifier::Any, values(r#"["sales team"]"#));
        table(&team, &["\"sales team\"", "[\"sales team\"]"], &["\"the sales team\"", "\"sales\""]);
    }

    #[test]
    fn texts() {
        table(
            &Expect::StartsWith("a/".into()),
            &["\"a/\"", "\"a/b\""],
            &["\"a\"", "\"A/\"", "[\"a/\"]", "1"],
        );
        table(&Expect::EndsWith("@x.test".into()), &["\"a@x.test\""], &["\"a@x.test.evil\"", "\"x.test\""]);
        let matches = |pattern: &str| Expect::Matches(Pattern::new(pattern).unwrap());
        table(
            &matches("eu|us"),
            &["\"eu\"", "\"us\""],
            &["\"museum\"", "\"eu-1\"", "\"eu\\n\"", "\"\\neu\"", "1"],
        );
        table(&matches("(?m)^eu$"), &["\"eu\""], &["\"x\\neu\"", "\"eu\\nx\""]);
        table(&matches("(?x) eu # Europe\n"), &["\"eu\""], &["\"us\""]);
        for bad in ["(", "a)|(b", "[", "(?x)a # b)(", r"\1", "(?=a)", "(a{1000}){1000}"] {
            assert!(Pattern::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn numbers() {
        let bound = |text: &str| match value(text) {
            Value::Number(number) => number,
            _ => panic!("{text}"),
        };
        let compare = |comparison, text: &str| Expect::Compare(comparison, bound(text));
        table(
            &compare(Comparison::GreaterThan, "2"),
            &["3", "2.5", "1e300"],
            &["2", "2.0", "-3", "\"3\"", "[3]"],
        );
        table(&compare(Comparison::AtLeast, "2"), &["2", "2.0", "3"], &["1.999", "null", "true"]);
        table(&compare(Comparison::LessThan, "2.5"), &["2", "2.4"], &["2.5", "3"]);
        table(&compare(Comparison::AtMost, "2.5"), &["2.5", "-9"], &["2.6"]);
        // Beyond what a double can tell apart.
        table(
            &compare(Comparison::GreaterThan, "9007199254740992.0"),
            &["9007199254740993"],
            &["9007199254740992"],
        );
        table(&compare(Comparison::LessThan, "18446744073709551615"), &["9223372036854775807"], &["1e20"]);
        table(&compare(Comparison::AtLeast, "-0.5"), &["0", "-0.0", "-0.5"], &["-1"]);
    }

    #[test]
    fn claims_that_are_not_there() {
        let check = |optional, expect, text: &str| {
            let Value::Object(members) = value(text) else { panic!("{text}") };
            ClaimRule { claim: Locator::parse("a").unwrap(), optional, expect }
                .check(&Claims::new(members, false))
        };
        let claim = || "a".into();
        let (missing, null) =
            (Err(Error::ClaimMissing { claim: claim() }), Err(Error::ClaimNull { claim: claim() }));
        let not_matching = || Err(Error::ClaimNotMatching { claim: claim() });
        assert_eq!(check(false, Expect::Present, "{}"), missing.clone());
        assert_eq!(check(false, Expect::Present, r#"{"a":null}"#), null);
        assert_eq!(check(false, Expect::Present, r#"{"a":false}"#), Ok(()));
        assert_eq!(check(false, Expect::Absent, "{}"), Ok(()));
        assert_eq!(check(false, Expect::Absent, r#"{"a":null}"#), Ok(()));
        assert_eq!(check(false, Expect::Absent, r#"{"a":""}"#), Err(Error::ClaimPresent { claim: claim() }));
        let none_of = || Expect::NoneOf(values(r#"["x"]"#));
        assert_eq!(check(false, none_of(), "{}"), missing, "a rule without its claim is not kept");
        assert_eq!(check(false, none_of(), r#"{"a":null}"#), not_matching());
        for absent in ["{}", r#"{"a":null}"#] {
            assert_eq!(check(true, none_of(), absent), Ok(()));
        }
        assert_eq!(check(true, none_of(), r#"{"a":"x"}"#), not_matching());
    }
}
