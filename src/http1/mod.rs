//! HTTP/1.1 as it comes over a connection, to the letter (RFC 9112).
//!
//! What two parties could read in two ways is refused: a line that does not end with CR and LF, a length that
//! is told twice, a coding nobody knows. A [`Wire`] is a connection of either side; what has come over it is
//! read by [`RequestHead`] and [`AnswerHead`], and behind the head by a [`Decoder`]; [`Output`] is what goes out.

mod alarm;
mod answer_body;
mod chunks;
mod date;
mod decoder;
mod head;
mod incoming;
mod length;
mod output;
mod upgrade;
mod wire;

pub use alarm::Alarm;
pub use answer_body::AnswerBody;
pub use date::Date;
pub use decoder::{Broken, Decoded, Decoder};
#[cfg(any(fuzzing, test))]
pub(crate) use head::Search;
pub use head::{AnswerHead, HeadError, RequestHead};
pub use incoming::{Incoming, Upload, UploadError};
pub use length::{Length, is_last};
pub use output::Output;
pub use upgrade::{OnUpgrade, Stream, Upgraded, upgrade};
pub use wire::Wire;
