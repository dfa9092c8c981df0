//! When an API ends.

use std::time::SystemTime;

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::{definition::Expiration, refusal::Profile};

/// The end of an API, and what answers say of it before.
#[derive(Debug)]
pub(super) struct Expiry {
    /// Nothing for what has always passed: nobody can tell when it would.
    at: Option<SystemTime>,
    announcement: Option<(HeaderName, HeaderValue)>,
}

impl Expiry {
    pub(super) fn new(expiration: Expiration, profile: Profile) -> Self {
        let Expiration::At(time) = expiration else { return Self { at: None, announcement: None } };
        let date = httpdate::fmt_http_date(time);
        let (name, date) = match profile {
            Profile::Rfc => (HeaderName::from_static("sunset"), date),
            Profile::Tyk => (HeaderName::from_static("x-tyk-api-expires"), date.replace("GMT", "UTC")),
        };
        Self { at: Some(time), announcement: HeaderValue::try_from(date).ok().map(|date| (name, date)) }
    }

    pub(super) fn has_passed(&self, now: SystemTime) -> bool {
        self.at.is_none_or(|at| at <= now)
    }

    /// Says when the API ends: `Sunset` (RFC 8594), or Tyk's own field.
    pub(super) fn announce(&self, headers: &mut HeaderMap) {
        if let Some((name, date)) = &self.announcement {
            headers.insert(name, date.clone());
        }
    }
}
