//! Bodies as they come.

use std::fmt;

use bytes::{Bytes, BytesMut};

use super::{
    Length,
    chunks::{self, Chunks},
};

/// Reads a body out of what has come over a connection.
#[derive(Debug)]
pub struct Decoder(State);

#[derive(Debug)]
enum State {
    Exact(u64),
    Chunked(Chunks),
    UntilClose,
}

/// What has come of a body.
#[derive(Debug)]
pub enum Decoded {
    /// So much.
    Data(Bytes),
    /// Nothing more yet.
    More,
    /// All of it.
    End,
}

/// A body that breaks its own rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Broken;

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the body does not say correctly where it ends")
    }
}

impl std::error::Error for Broken {}

impl Decoder {
    /// Reads a body of this length.
    #[must_use]
    pub fn new(length: Length) -> Self {
        Self(match length {
            Length::Exact(length) => State::Exact(length),
            Length::Chunked => State::Chunked(Chunks::default()),
            Length::UntilClose => State::UntilClose,
        })
    }

    /// Takes what has come; `is_all` if nothing more will.
    ///
    /// # Errors
    /// [`Broken`] where the body is malformed, or ends early.
    pub fn decode(&mut self, input: &mut BytesMut, is_all: bool) -> Result<Decoded, Broken> {
        let decoded = match &mut self.0 {
            State::Exact(0) => Decoded::End,
            State::Exact(left) => {
                let data = chunks::take(input, *left);
                *left = left.saturating_sub(data.len() as u64);
                if data.is_empty() { Decoded::More } else { Decoded::Data(data) }
            }
            State::Chunked(chunks) => chunks.decode(input)?,
            State::UntilClose if input.is_empty() && is_all => Decoded::End,
            State::UntilClose if input.is_empty() => Decoded::More,
            State::UntilClose => Decoded::Data(input.split().freeze()),
        };
        if is_all && matches!(decoded, Decoded::More) { Err(Broken) } else { Ok(decoded) }
    }

    /// Whether all has come, as far as that can be told without looking.
    #[must_use]
    pub const fn is_at_end(&self) -> bool {
        matches!(self.0, State::Exact(0))
    }

    /// How many octets are still to come, if that is known.
    #[must_use]
    pub const fn left(&self) -> Option<u64> {
        match self.0 {
            State::Exact(left) => Some(left),
            State::Chunked(_) | State::UntilClose => None,
        }
    }
}
