//! Header fields that an upstream may take for others: servers that turn names into variables
//! (CGI, WSGI and their kin) read `X_User`, `X.User` or even `X!User` as `X-User`.

use http::{HeaderMap, HeaderName};

/// Removes these fields and whatever may be taken for them.
pub(crate) fn remove_all(headers: &mut HeaderMap, names: &[HeaderName]) {
    let found: Vec<HeaderName> = headers.keys().filter(|name| are_taken_for(names, name)).cloned().collect();
    for name in found {
        headers.remove(name);
    }
}

/// Whether a server may take this name for one of those.
pub(crate) fn are_taken_for(names: &[HeaderName], name: &HeaderName) -> bool {
    names.iter().any(|own| is_read_alike(own.as_str(), name.as_str()))
}

/// Whether a server may take one of these names for the other.
pub(crate) fn is_read_alike(a: &str, b: &str) -> bool {
    let folded = |c: u8| if c.is_ascii_alphanumeric() { c } else { b'-' };
    a.len() == b.len() && a.bytes().map(folded).eq(b.bytes().map(folded))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn what_is_read_alike_goes_too() {
        let mut headers = HeaderMap::new();
        for name in ["x-user", "x_user", "x.user", "x!user", "x~user", "x-user_id", "xuser", "x_other"] {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static("1"));
        }
        remove_all(&mut headers, &[HeaderName::from_static("x-user")]);
        let mut left: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["x-user_id", "x_other", "xuser"]);
    }
}
