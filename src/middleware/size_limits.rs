//! How large the body of a request may be (`requestSizeLimit`).

use http::{HeaderMap, Method, header::CONTENT_LENGTH};

use super::{
    Place,
    wide_paths::{Case, WidePaths},
};
use crate::refusal::{Profile, Reason};

/// The largest bodies of an API's requests, in octets.
#[derive(Clone, Debug, Default)]
pub struct SizeLimits {
    /// Of all.
    pub of_api: Option<u64>,
    /// Of those of some operations, beside that.
    pub of_operations: WidePaths<u64>,
}

impl SizeLimits {
    /// Whether nothing is limited.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.of_api.is_none() && self.of_operations.is_empty()
    }

    /// The largest body of a request, if there is one: the smallest of all limits that could be meant.
    #[must_use]
    pub fn find(&self, place: &Place<'_>) -> Option<u64> {
        let of_operations = self.of_operations.find(place, Case::Any).copied();
        of_operations.chain(self.of_api).min()
    }
}

/// Whether a request may have the body that its head announces. One that it does not announce is counted
/// on its way, but in profile `tyk` some must announce theirs, as in Tyk.
///
/// # Errors
/// [`Reason::RequestTooLarge`] or [`Reason::LengthMissing`].
pub fn check_announced_size(
    limit: u64,
    method: &Method,
    headers: &HeaderMap,
    profile: Profile,
) -> Result<(), Reason> {
    let Some(length) = headers.get(CONTENT_LENGTH) else {
        let must_announce = matches!(*method, Method::POST | Method::PUT | Method::PATCH);
        return if must_announce && profile == Profile::Tyk { Err(Reason::LengthMissing) } else { Ok(()) };
    };
    let length = length.to_str().ok().and_then(|length| length.parse::<u64>().ok());
    if length.is_some_and(|length| length <= limit) { Ok(()) } else { Err(Reason::RequestTooLarge) }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;
    use crate::middleware::WidePath;

    #[test]
    fn the_smallest_counts() {
        let up = WidePath { method: Method::POST, path: "/up".into(), ignore_case: false, value: 5 };
        let limits = |of_api| SizeLimits { of_api, of_operations: WidePaths::new(vec![up.clone()]).unwrap() };
        let find = |of_api, method: Method, path| {
            limits(of_api).find(&Place { method: &method, path, ambiguous: false })
        };
        assert_eq!(find(Some(10), Method::POST, "/x"), Some(10));
        assert_eq!(find(Some(10), Method::POST, "/up/y"), Some(5));
        assert_eq!(find(Some(3), Method::POST, "/UP"), Some(3));
        assert_eq!(find(None, Method::PUT, "/up"), None);
    }

    #[test]
    fn what_is_announced() {
        let check = |method: Method, length: Option<&'static str>, profile| {
            let mut headers = HeaderMap::new();
            if let Some(length) = length {
                headers.insert(CONTENT_LENGTH, HeaderValue::from_static(length));
            }
            check_announced_size(10, &method, &headers, profile)
        };
        for (method, length, rfc, tyk) in [
            (Method::POST, Some("10"), Ok(()), Ok(())),
            (Method::POST, Some("11"), Err(Reason::RequestTooLarge), Err(Reason::RequestTooLarge)),
            (
                Method::POST,
                Some("18446744073709551616"),
                Err(Reason::RequestTooLarge),
                Err(Reason::RequestTooLarge),
            ),
            (Method::POST, None, Ok(()), Err(Reason::LengthMissing)),
            (Method::DELETE, Some("11"), Err(Reason::RequestTooLarge), Err(Reason::RequestTooLarge)),
            (Method::DELETE, None, Ok(()), Ok(())),
            (Method::GET, None, Ok(()), Ok(())),
        ] {
            assert_eq!(check(method.clone(), length, Profile::Rfc), rfc, "{method} {length:?}");
            assert_eq!(check(method.clone(), length, Profile::Tyk), tyk, "{method} {length:?}");
        }
    }
}
