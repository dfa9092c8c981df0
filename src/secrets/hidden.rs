//! Messages without values.

use std::{borrow::Cow, cmp::Reverse};

use super::{Secret, values::Known};
use crate::lenient_base64;

/// Shorter values are not looked for in messages: they stand everywhere, and protect nothing.
const MIN_HIDDEN: usize = 4;
/// Shorter parts of a value are not looked for: `orders` of a URL is in the paths that callers ask for as well.
const MIN_PART: usize = 8;

/// Values that stand in no message.
pub(super) struct Hidden<'k>(Vec<(Cow<'k, str>, &'k str)>);

/// The values of everything that was compiled, which stand in nothing that is told about it.
#[derive(Debug, Default)]
pub struct Withheld(Vec<Known>);

impl<'k> Hidden<'k> {
    /// The values of these references.
    pub(super) fn new(known: impl Iterator<Item = &'k Known>) -> Self {
        Self::of(known, |value| Some(Cow::Borrowed(value)).into_iter())
    }

    /// The same, and what they are made of: of a URL only a part is in the head of a request, and of a URL with
    /// variables no request has all of it.
    fn with_parts(known: impl Iterator<Item = &'k Known>) -> Self {
        Self::of(known, |value| {
            let parts = value.split(['/', '?', '#', '&', '=', '$']).filter(|part| part.len() >= MIN_PART);
            [value].into_iter().chain(parts.filter(move |part| *part != value)).map(Cow::Borrowed)
        })
    }

    fn of<T: Iterator<Item = Cow<'k, str>>>(
        known: impl Iterator<Item = &'k Known>,
        texts: impl Fn(&'k str) -> T,
    ) -> Self {
        let values = known.filter_map(|known| Some((known.value.as_ref().ok()?, known.written.as_str())));
        let texts = |(value, written): (&'k Secret, &'k str)| {
            let each = texts(value.trim()).chain(encoded_url(value).map(Cow::Owned));
            each.map(move |text| (text, written))
        };
        let mut values: Vec<_> =
            values.flat_map(texts).filter(|(text, _)| text.len() >= MIN_HIDDEN).collect();
        // A value may be a part of another one.
        values.sort_by_key(|(value, _)| Reverse(value.len()));
        Self(values)
    }

    /// A message without them: where one stands in it, the reference does instead.
    pub(super) fn hide_in(&self, message: &str) -> String {
        let values = self.0.iter();
        values.fold(message.to_owned(), |message, (value, written)| {
            if message.contains(&**value) { message.replace(&**value, written) } else { message }
        })
    }
}

/// The URL that a value is in base64, as the `source` of a scheme may be.
fn encoded_url(value: &str) -> Option<String> {
    // Nothing else begins like this.
    let is_http = value.trim_start().get(..4).is_some_and(|begin| begin.eq_ignore_ascii_case("aHR0"));
    let decoded = lenient_base64::decode(value).filter(|_| is_http)?;
    Some(std::str::from_utf8(&decoded).ok()?.trim().to_owned())
}

impl Withheld {
    pub(super) const fn new(known: Vec<Known>) -> Self {
        Self(known)
    }

    /// Takes the values, and what they are made of, out of these texts: where one stood, the reference does.
    pub fn hide_in_all<'t, T: Iterator<Item = &'t mut String>>(&self, texts: T) {
        let hidden = Hidden::with_parts(self.0.iter());
        for text in texts {
            *text = hidden.hide_in(text);
        }
    }
}
