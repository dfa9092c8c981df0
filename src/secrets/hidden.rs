//! Messages without values.

use std::cmp::Reverse;

use super::{Secret, values::Known};

/// Shorter values are not looked for in messages: they stand everywhere, and protect nothing.
const MIN_HIDDEN: usize = 4;

/// Values that stand in no message.
pub(super) struct Hidden<'k>(Vec<(&'k Secret, &'k str)>);

impl<'k> Hidden<'k> {
    /// The values of these references.
    pub(super) fn new(known: impl Iterator<Item = &'k Known>) -> Self {
        let values = known.filter_map(|known| Some((known.value.as_ref().ok()?, known.written.as_str())));
        let mut values: Vec<_> = values.filter(|(value, _)| value.len() >= MIN_HIDDEN).collect();
        // A value may be a part of another one.
        values.sort_by_key(|(value, _)| Reverse(value.len()));
        Self(values)
    }

    /// A message without them: where one stands in it, the reference does instead.
    pub(super) fn hide_in(&self, message: &str) -> String {
        let values = self.0.iter();
        values.fold(message.to_owned(), |message, (value, written)| {
            if message.contains(&***value) { message.replace(&***value, written) } else { message }
        })
    }
}
