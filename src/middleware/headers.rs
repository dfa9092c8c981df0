//! Header fields that are removed and set on the way (`transformRequestHeaders`,
//! `transformResponseHeaders`).

use std::fmt;

use http::{HeaderMap, HeaderName, HeaderValue, header::HOST};

use super::{Facts, NotForwardable, Template};

/// Fields to remove, then fields to set. A field that is set replaces what was there, also with an
/// empty value, so that nobody else's value passes under its name.
#[derive(Clone, Debug, Default)]
pub struct HeaderRules {
    remove: Vec<HeaderName>,
    set: Vec<(HeaderName, Template)>,
    /// Fields that tell the upstream about the caller. Servers that turn names into variables take
    /// `X_User` and `X.User` for `X-User`, so fields of such names are removed as well.
    about_caller: Vec<HeaderName>,
}

/// Why a rule cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameError {
    /// The name is not one of a header field.
    Name,
    /// The value cannot stand in a header field.
    Value,
    /// The field belongs to the connection.
    Reserved,
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Name => "this is not a header name (RFC 9110 section 5.1); correct it",
            Self::Value => "this value cannot stand in a header field; remove control characters",
            Self::Reserved => "this field belongs to the connection and cannot be set; remove it",
        })
    }
}

impl HeaderRules {
    /// Removes this field.
    ///
    /// # Errors
    /// [`NameError`] when the name is not one of a header field.
    pub fn remove(&mut self, name: &str) -> Result<(), NameError> {
        self.remove.push(name.parse().map_err(|_| NameError::Name)?);
        Ok(())
    }

    /// Sets this field to the value of a template.
    ///
    /// # Errors
    /// [`NameError`] when the field cannot be set, or not to that.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), NameError> {
        let name: HeaderName = name.parse().map_err(|_| NameError::Name)?;
        let reserved =
            ["connection", "content-length", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"];
        if name == HOST || reserved.contains(&name.as_str()) {
            return Err(NameError::Reserved);
        }
        HeaderValue::try_from(value).map_err(|_| NameError::Value)?;
        let template = Template::new(value);
        if template.has_variables() {
            self.about_caller.push(name.clone());
        }
        self.set.push((name, template));
        Ok(())
    }

    /// Whether there is nothing to do.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.remove.is_empty() && self.set.is_empty()
    }

    /// Whether a value depends on the headers of the request.
    #[must_use]
    pub fn read_headers(&self) -> bool {
        self.set.iter().any(|(_, template)| template.reads_headers())
    }

    /// Applies the rules to `headers`. The facts are those of the request, as it came.
    ///
    /// # Errors
    /// [`NotForwardable`] when a value cannot stand in a header field.
    pub fn apply(&self, headers: &mut HeaderMap, facts: &Facts<'_>) -> Result<(), NotForwardable> {
        for name in &self.remove {
            headers.remove(name);
        }
        if !self.about_caller.is_empty() {
            self.remove_lookalikes(headers);
        }
        for (name, template) in &self.set {
            let value = template.render(facts)?;
            headers.insert(name, value);
        }
        Ok(())
    }

    fn remove_lookalikes(&self, headers: &mut HeaderMap) {
        let same = |a: &str, b: &str| {
            let folded = |c: u8| if matches!(c, b'_' | b'.') { b'-' } else { c };
            a.len() == b.len() && a.bytes().map(folded).eq(b.bytes().map(folded))
        };
        let lookalike = |name: &&HeaderName| {
            name.as_str().contains(['_', '.'])
                && self.about_caller.iter().any(|own| same(own.as_str(), name.as_str()))
        };
        let lookalikes: Vec<HeaderName> = headers.keys().filter(lookalike).cloned().collect();
        for name in lookalikes {
            headers.remove(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::*;

    fn headers(fields: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    #[test]
    fn what_is_set_replaces_what_the_client_sent() {
        let mut rules = HeaderRules::default();
        rules.remove("X-Drop").unwrap();
        rules.set("X-User", "$tyk_context.jwt_claims_sub").unwrap();
        rules.set("X-Fixed", "1").unwrap();
        let mut fields = headers(&[
            ("x-user", "admin"),
            ("x-user", "root"),
            ("x_user", "admin"),
            ("x.user", "admin"),
            ("x_fixed", "stays"),
            ("x-drop", "1"),
            ("x-fixed", "0"),
        ]);
        let before = fields.clone();
        let client = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let facts = Facts { session: None, path: "/", client, headers: &before, context: true };
        rules.apply(&mut fields, &facts).unwrap();
        assert_eq!(fields, headers(&[("x_fixed", "stays"), ("x-fixed", "1"), ("x-user", "")]));
    }

    #[test]
    fn fields_that_cannot_be_set() {
        let mut rules = HeaderRules::default();
        assert_eq!(rules.set("X User", "1"), Err(NameError::Name));
        assert_eq!(rules.set("X-User", "a\nb"), Err(NameError::Value));
        assert_eq!(rules.set("Transfer-Encoding", "chunked"), Err(NameError::Reserved));
        assert_eq!(rules.remove(""), Err(NameError::Name));
    }
}
