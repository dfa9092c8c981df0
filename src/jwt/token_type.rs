//! What kind of token a token says it is.

/// The `typ` of a token: a media type, whose letter case does not matter, and whose `application/` may
/// be left out where there is no other slash (RFC 7515 section 4.1.9).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenType(Box<str>);

impl TokenType {
    /// The `typ` of JWT access tokens (RFC 9068 section 2.1).
    pub const ACCESS_TOKEN: &str = "at+jwt";

    /// The type that this text writes: `JWT`, `at+jwt`, `application/at+jwt`.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(subtype(text).to_ascii_lowercase().into())
    }

    /// Whether a `typ` means this type.
    #[must_use]
    pub fn is(&self, typ: &str) -> bool {
        subtype(typ).eq_ignore_ascii_case(&self.0)
    }

    /// Whether a `typ` is that of a JWT access token (RFC 9068 section 2.1).
    #[must_use]
    pub fn is_access_token(typ: &str) -> bool {
        subtype(typ).eq_ignore_ascii_case(Self::ACCESS_TOKEN)
    }

    /// The type in lower case, without the `application/` that may be left out.
    #[must_use]
    pub const fn as_str(&self) -> &str {
        &self.0
    }
}

fn subtype(typ: &str) -> &str {
    let (start, rest) = typ.split_at_checked("application/".len()).unwrap_or((typ, ""));
    let is_short = start.eq_ignore_ascii_case("application/") && !rest.is_empty() && !rest.contains('/');
    if is_short { rest } else { typ }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_type() {
        let access = TokenType::new("at+jwt");
        for same in ["at+jwt", "AT+JWT", "application/at+jwt", "Application/At+Jwt"] {
            assert!(TokenType::is_access_token(same));
            assert!(access.is(same) && TokenType::new(same) == access, "{same}");
        }
        for other in ["", "jwt", "at+jwt ", "text/at+jwt", "application/", "application/application/at+jwt"] {
            assert!(!access.is(other) && TokenType::new(other) != access, "{other}");
        }
    }
}
