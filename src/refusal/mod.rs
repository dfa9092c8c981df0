//! Every answer that Claimgate gives on its own: one table for both error profiles.
//!
//! A part of the gateway that turns a request away names a [`Reason`]; what the client sees follows
//! from the table in [`Reason::row`] and from the [`Profile`]. The reason's code is stable, appears
//! in the access log, and is never sent to the client: what a caller learns is in the table too, and
//! all faults that can be met without a good signature look the same.

mod advice;
mod answer;
mod flag;
mod overrides;
mod table;

pub use answer::{Asked, Manner, Refusal, Space, api_key_challenge};
pub use flag::Flag;
pub use overrides::{BodyTemplate, BodyTemplates, Condition, Member, Overrides, Replacement, Rule, Statuses};
pub use table::{Challenge, Profile, Reason, Row};
