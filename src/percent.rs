//! Percent-encoding, read strictly: a `%` without two digits is no text (RFC 3986 section 2.1).

use std::fmt::Write as _;

/// A text in which every octet that is not unreserved is escaped (RFC 3986 section 2.3).
pub(crate) fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for octet in text.bytes() {
        match octet {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                encoded.push(char::from(octet));
            }
            octet => {
                let _ = write!(encoded, "%{octet:02X}");
            }
        }
    }
    encoded
}

/// A raw path in which what cannot stand in one is escaped; what is escaped stays (RFC 3986 section 3.3).
pub(crate) fn encode_rest(path: &str) -> String {
    let mut encoded = String::with_capacity(path.len());
    for octet in path.bytes() {
        if octet.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/%".contains(&octet) {
            encoded.push(char::from(octet));
        } else {
            let _ = write!(encoded, "%{octet:02X}");
        }
    }
    encoded
}

/// The same as [`encode`] for a name or value of a query, where a space is a plus.
pub(crate) fn encode_form(text: &str) -> String {
    encode(text).replace("%20", "+")
}

/// The octets of a path.
pub(crate) fn decode_path(text: &str) -> Option<Vec<u8>> {
    decode(text, b'+')
}

/// The octets of a name or value of `application/x-www-form-urlencoded`, where `+` is a space.
pub(crate) fn decode_form(text: &str) -> Option<Vec<u8>> {
    decode(text, b' ')
}

fn decode(text: &str, plus: u8) -> Option<Vec<u8>> {
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(octet) = rest.next() {
        octets.push(match octet {
            b'%' => self::octet(rest.next()?, rest.next()?)?,
            b'+' => plus,
            octet => octet,
        });
    }
    Some(octets)
}

/// The octet that two digits write.
pub(crate) fn octet(high: u8, low: u8) -> Option<u8> {
    Some(digit(high)? << 4 | digit(low)?)
}

fn digit(octet: u8) -> Option<u8> {
    u8::try_from(char::from(octet).to_digit(16)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_two_digits_of_either_case() {
        for (text, path, form) in [
            ("a+b", Some("a+b"), Some("a b")),
            ("%2f%2F%2b", Some("//+"), Some("//+")),
            ("%", None, None),
            ("%2", None, None),
            ("%zz", None, None),
            ("%+1", None, None),
        ] {
            assert_eq!(decode_path(text).as_deref(), path.map(str::as_bytes), "{text}");
            assert_eq!(decode_form(text).as_deref(), form.map(str::as_bytes), "{text}");
        }
    }
}
