//! Configuration documents: YAML and JSON in, a tree of values and findings out; and back into files, where
//! the control API changes them.
//!
//! Definitions, policies and the gateway's own configuration are read here, so that all of them
//! report their problems in one form: every problem of every file, each with its file, line and
//! field, and a sentence that says how to mend it.
//!
//! A [`File`] is one that was read, and a [`Document`] has what stands in it; [`Kept`] is a file with what was made of
//! it last, so that a reload costs what has changed. A [`Section`] is the table of the fields that may stand
//! in it and of what becomes of each; [`Section::check`] walks the document along that table and
//! takes out what cannot be used, so that the typed mirror which is read afterwards cannot fail.
//!
//! This is the only module that knows the YAML library.

mod finding;
mod kept;
mod lines;
mod read;
mod schema;
mod write;

pub use finding::{Finding, Findings, Severity};
pub use kept::{Kept, read_all};
pub use lines::{FieldPath, Step, Way};
pub use read::{Document, File, MAX_FILE, files};
pub use schema::{Field, Plan, Section, Shape, Unknown};
pub use write::{Durability, Readers, WriteError, create, exchange, must_hold, remove, replace};
