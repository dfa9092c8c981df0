//! The `Date` of answers (RFC 9110 section 6.6.1).

use std::{
    cell::{Cell, Ref, RefCell},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use http::HeaderValue;

/// The date, written once a second.
#[derive(Debug)]
pub struct Date {
    second: Cell<u64>,
    text: RefCell<HeaderValue>,
}

impl Date {
    /// No date yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { second: Cell::new(u64::MAX), text: RefCell::new(HeaderValue::from_static("")) }
    }

    /// The date of now.
    #[must_use]
    pub fn now(&self) -> Ref<'_, HeaderValue> {
        self.at(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs())
    }

    fn at(&self, second: u64) -> Ref<'_, HeaderValue> {
        if self.second.replace(second) != second {
            let now = UNIX_EPOCH.checked_add(Duration::from_secs(second)).unwrap_or(UNIX_EPOCH);
            if let Ok(text) = HeaderValue::from_str(&httpdate::fmt_http_date(now)) {
                self.text.replace(text);
            }
        }
        self.text.borrow()
    }
}

impl Default for Date {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_follows_the_clock() {
        let date = Date::new();
        assert_eq!(*date.at(0), "Thu, 01 Jan 1970 00:00:00 GMT");
        assert_eq!(*date.at(0), "Thu, 01 Jan 1970 00:00:00 GMT");
        assert_eq!(*date.at(784_111_777), "Sun, 06 Nov 1994 08:49:37 GMT");
    }
}
