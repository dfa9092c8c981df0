//! Header fields that are removed and set on the way (`transformRequestHeaders`,
//! `transformResponseHeaders`).

use std::fmt;

use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{CONNECTION, CONTENT_LENGTH, HOST, TE, TRAILER, TRANSFER_ENCODING, UPGRADE},
};

use super::{Facts, NotForwardable, Template};
use crate::lookalikes;

/// Fields that say how a message travels, or where to.
const OF_CONNECTION: [HeaderName; 9] = [
    HOST,
    CONNECTION,
    CONTENT_LENGTH,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// Fields to remove and fields to set. A field that is set replaces what was there, also with an
/// empty value, and what may be taken for either goes too.
#[derive(Clone, Debug, Default)]
pub struct HeaderRules {
    /// Those that are removed and those that are set.
    cleared: Vec<HeaderName>,
    set: Vec<(HeaderName, Template)>,
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
            Self::Reserved => "this field, or one that servers take for it, belongs to the connection and cannot be set; remove it",
        })
    }
}

impl HeaderRules {
    /// Removes this field.
    ///
    /// # Errors
    /// [`NameError`] when the name is not one of a header field.
    pub fn remove(&mut self, name: &str) -> Result<(), NameError> {
        self.cleared.push(name.parse().map_err(|_| NameError::Name)?);
        Ok(())
    }

    /// Sets this field to the value of a template.
    ///
    /// # Errors
    /// [`NameError`] when the field cannot be set, or not to that.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), NameError> {
        let (name, _) = field(name, value)?;
        self.cleared.push(name.clone());
        self.set.push((name, Template::new(value)));
        Ok(())
    }

    /// The fields that are set, and to what.
    pub fn templates(&self) -> impl Iterator<Item = (&HeaderName, &Template)> {
        self.set.iter().map(|(name, template)| (name, template))
    }

    /// Whether there is nothing to do.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.cleared.is_empty()
    }

    /// The fields whose values depend on the request: what they tell of a caller, nobody else may.
    pub fn about_caller(&self) -> impl Iterator<Item = &HeaderName> {
        self.set.iter().filter(|(_, template)| template.has_variables()).map(|(name, _)| name)
    }

    /// Whether a value depends on the headers of the request.
    #[must_use]
    pub fn read_headers(&self) -> bool {
        self.set.iter().any(|(_, template)| template.reads_headers())
    }

    /// The rules with the values of one request. The facts are those of the request, as it came.
    ///
    /// # Errors
    /// [`NotForwardable`] when a value cannot stand in a header field.
    pub fn render(&self, facts: &Facts<'_>) -> Result<Rendered<'_>, NotForwardable> {
        let values = self.set.iter().map(|(_, template)| template.render(facts)).collect::<Result<_, _>>()?;
        Ok(Rendered { rules: self, values })
    }

    /// Renders the rules and applies them to `headers`.
    ///
    /// # Errors
    /// [`NotForwardable`] when a value cannot stand in a header field.
    pub fn apply(&self, headers: &mut HeaderMap, facts: &Facts<'_>) -> Result<(), NotForwardable> {
        self.render(facts)?.apply(headers);
        Ok(())
    }
}

/// [`HeaderRules`] with the values of one request.
#[derive(Debug)]
pub struct Rendered<'r> {
    rules: &'r HeaderRules,
    /// In the order of the fields that are set.
    values: Vec<HeaderValue>,
}

impl Rendered<'_> {
    /// Applies the rules to `headers`.
    pub fn apply(self, headers: &mut HeaderMap) {
        if !self.rules.cleared.is_empty() {
            lookalikes::remove_all(headers, &self.rules.cleared);
        }
        for ((name, _), value) in self.rules.set.iter().zip(self.values) {
            headers.insert(name, value);
        }
    }
}

/// A field that may be set.
///
/// # Errors
/// [`NameError`] when the gateway cannot set it, or not to that.
pub fn field(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), NameError> {
    let name: HeaderName = name.parse().map_err(|_| NameError::Name)?;
    if lookalikes::are_taken_for(&OF_CONNECTION, &name) {
        return Err(NameError::Reserved);
    }
    let value = HeaderValue::try_from(value).map_err(|_| NameError::Value)?;
    Ok((name, value))
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
            ("x_fixed", "0"),
            ("x-drop", "1"),
            ("x_drop", "1"),
            ("x-fixed", "0"),
        ]);
        let before = fields.clone();
        let client = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let facts = Facts {
            session: None,
            path: "/",
            client,
            headers: &before,
            query: None,
            request_id: 0,
            context: true,
            claims_hide_header: false,
        };
        assert_eq!(rules.about_caller().map(HeaderName::as_str).collect::<Vec<_>>(), ["x-user"]);
        rules.apply(&mut fields, &facts).unwrap();
        assert_eq!(fields, headers(&[("x-fixed", "1"), ("x-user", "")]));
    }

    #[test]
    fn fields_that_cannot_be_set() {
        let mut rules = HeaderRules::default();
        assert_eq!(rules.set("X User", "1"), Err(NameError::Name));
        assert_eq!(rules.set("X-User", "a\nb"), Err(NameError::Value));
        for name in ["Transfer-Encoding", "Transfer_Encoding", "content.length", "Keep_Alive", "Host"] {
            assert_eq!(rules.set(name, "1"), Err(NameError::Reserved), "{name}");
        }
        assert_eq!(rules.remove(""), Err(NameError::Name));
    }
}
