//! A refusal as an HTTP response.

use std::{borrow::Cow, time::Duration};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Method, Response, StatusCode,
    header::{CACHE_CONTROL, CONNECTION, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE},
};

use super::{Challenge, Overrides, Profile, Reason, overrides::Original};

/// A request is turned away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    reason: Reason,
    /// What profile `tyk` repeats in its text; never shown in profile `rfc`.
    detail: Option<Box<str>>,
    /// What the answer says besides.
    fields: Option<Box<HeaderMap>>,
    /// When to come again, in seconds; for profile `rfc`.
    retry_after: Option<u64>,
    /// The scopes that would do, for challenges (RFC 6750 section 3).
    scope: Option<Box<str>>,
    /// Why Tyk would refuse, where it would for another reason.
    tyk_reason: Option<Reason>,
}

/// The protection space of an API, as challenges name it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Space<'s> {
    /// Its name (RFC 9110 section 11.5).
    pub realm: &'s str,
    /// The URL of its metadata (RFC 9728 section 5.1).
    pub metadata: Option<&'s str>,
    /// Whether a bearer token is one of the things that may help.
    pub bearer: bool,
    /// The challenges of the places where an API key may help: see [`api_key_challenge`].
    pub api_keys: &'s [Box<str>],
}

/// The challenge that asks for an API key. No RFC has one; this one says in the words of OpenAPI where
/// the key belongs: `ApiKey realm="orders", in="header", name="X-Api-Key"`.
#[must_use]
pub fn api_key_challenge(realm: &str, place: &str, name: &str) -> Box<str> {
    let (realm, name) = (quotable(realm), quotable(name));
    format!("ApiKey realm=\"{realm}\", in=\"{place}\", name=\"{name}\"").into()
}

/// What of the request matters for the form of the answer.
#[derive(Clone, Copy, Debug, Default)]
pub struct Asked {
    head: bool,
    xml: Option<&'static str>,
}

impl Asked {
    /// A request with this method and these headers: HEAD gets no body, and Tyk answers in XML to
    /// requests with an XML body, and names its type as the request did.
    #[must_use]
    pub fn new(method: &Method, headers: &HeaderMap) -> Self {
        Self { head: method == Method::HEAD, xml: xml_type(headers) }
    }

    /// Whether the answer has no body, whatever it is.
    #[must_use]
    pub const fn is_head(self) -> bool {
        self.head
    }
}

impl From<Reason> for Refusal {
    fn from(reason: Reason) -> Self {
        Self { reason, detail: None, scope: None, fields: None, retry_after: None, tyk_reason: None }
    }
}

/// How answers are given: what they depend on besides what they say.
#[derive(Clone, Copy, Debug)]
pub struct Manner<'m> {
    /// In whose words.
    pub profile: Profile,
    /// To whom.
    pub asked: Asked,
    /// For which protection space.
    pub space: Space<'m>,
    /// Which rules change them.
    pub overrides: &'m Overrides,
}

impl Manner<'_> {
    /// The XML type that is answered with, if it is XML.
    pub(super) fn xml(&self) -> Option<&'static str> {
        self.asked.xml.filter(|_| self.profile == Profile::Tyk)
    }

    /// An error as a body, and its type.
    pub(super) fn worded(&self, error: &str, message: &str) -> (&'static str, String) {
        match (self.profile, self.xml()) {
            (Profile::Rfc, _) => {
                let (error, message) = (json_escaped(error), json_escaped(message));
                (
                    "application/json",
                    format!("{{\"error\":\"{error}\",\"error_description\":\"{message}\"}}\n"),
                )
            }
            (Profile::Tyk, Some(xml)) => {
                let message = xml_escaped(message);
                (xml, format!("<?xml version = \"1.0\" encoding = \"UTF-8\"?>\n<error>{message}</error>\n"))
            }
            (Profile::Tyk, None) => {
                ("application/json", format!("{{\n    \"error\": \"{}\"\n}}", json_escaped(message)))
            }
        }
    }
}

impl Refusal {
    /// A refusal whose text in profile `tyk` repeats `detail`.
    #[must_use]
    pub fn with_detail(reason: Reason, detail: impl Into<Box<str>>) -> Self {
        Self { detail: Some(detail.into()), ..Self::from(reason) }
    }

    /// A refusal whose answer has these fields as well.
    #[must_use]
    pub fn with_fields(reason: Reason, fields: HeaderMap) -> Self {
        Self { fields: Some(Box::new(fields)), ..Self::from(reason) }
    }

    /// The token lacks some of the scopes that are needed; both with spaces between.
    #[must_use]
    pub fn insufficient_scope(required: impl Into<Box<str>>, missing: impl Into<Box<str>>) -> Self {
        Self { scope: Some(required.into()), ..Self::with_detail(Reason::ScopeInsufficient, missing) }
    }

    /// The same, with the time after which it makes sense to come again, in whole seconds and at least
    /// one (RFC 9110 section 10.2.3). Told in profile `rfc`.
    #[must_use]
    pub fn retry_after(mut self, time: Duration) -> Self {
        let started = u64::from(time.subsec_nanos() > 0);
        let seconds = time.as_secs().saturating_add(started).max(1);
        self.retry_after = Some(seconds);
        self
    }

    /// The same in the words for this reason in profile `tyk`: Tyk would have come to another end.
    #[must_use]
    pub fn with_tyk_reason(self, reason: Reason) -> Self {
        Self { tyk_reason: Some(reason), ..self }
    }

    /// Why.
    #[must_use]
    pub const fn reason(&self) -> Reason {
        self.reason
    }

    /// The answer.
    #[must_use]
    pub fn response(&self, manner: &Manner<'_>) -> Response<Bytes> {
        let row = match (manner.profile, self.tyk_reason) {
            (Profile::Tyk, Some(reason)) => reason.row(),
            (Profile::Tyk | Profile::Rfc, _) => self.reason.row(),
        };
        let message: Cow<'_, str> = match manner.profile {
            Profile::Rfc => row.description.into(),
            Profile::Tyk => row.tyk_message.replace("{}", self.detail.as_deref().unwrap_or_default()).into(),
        };
        let response = match manner.profile {
            Profile::Rfc => self.rfc(manner, &message),
            Profile::Tyk => self.tyk(manner, row.tyk_status, &message),
        };
        let (mut head, mut body) = response.into_parts();
        if let Some(fields) = &self.fields {
            head.headers.extend(HeaderMap::clone(fields));
        }
        let original = Original { flag: row.flag, error: row.error, message: &message };
        if let Some(new) = manner.overrides.of_refusal(manner, &mut head, &body, &original) {
            body = new;
        }
        if manner.asked.head {
            body = Bytes::new();
        }
        // What follows such a request on its connection may be anything.
        if matches!(self.reason, Reason::BadRequest | Reason::BodyBroken) {
            head.headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        Response::from_parts(head, body)
    }

    fn rfc(&self, manner: &Manner<'_>, message: &str) -> Response<Bytes> {
        let row = self.reason.row();
        let mut response = answer(row.status, manner.worded(row.error, message));
        let headers = response.headers_mut();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(seconds) = self.retry_after.or_else(|| row.retry_after.map(Into::into)) {
            headers.insert(RETRY_AFTER, seconds.into());
        }
        match row.challenge {
            Challenge::None => {}
            Challenge::Plain => add_challenges(manner.space, "", headers),
            Challenge::Error => {
                let error = row.error;
                let description = row.description.trim_end_matches('.');
                let scope = self.scope.as_deref().map(scope).unwrap_or_default();
                let parameters = format!(", error=\"{error}\", error_description=\"{description}\"{scope}");
                // Another credential helps where this one is missing or wrong, not where it may too little.
                let space =
                    if row.status == 401 { manner.space } else { Space { api_keys: &[], ..manner.space } };
                add_challenges(space, &parameters, headers);
            }
        }
        response
    }

    fn tyk(&self, manner: &Manner<'_>, status: u16, message: &str) -> Response<Bytes> {
        if let Some(required) = &self.scope {
            return self.tyk_of_scopes(manner.space, message, required);
        }
        let mut response = match self.reason {
            Reason::NotFound | Reason::BadRequest | Reason::BodyBroken => {
                answer(status, ("text/plain; charset=utf-8", message.to_owned()))
            }
            _ => answer(status, manner.worded("", message)),
        };
        if manner.space.metadata.is_some()
            && self.reason.is_about_the_token()
            && let Some(challenge) = bearer_challenge(Space { realm: "tyk", ..manner.space }, "")
        {
            response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
        }
        response
    }

    /// The one answer of Tyk with members and a challenge of its own (5.14, `scopeCheck`).
    fn tyk_of_scopes(&self, space: Space<'_>, message: &str, required: &str) -> Response<Bytes> {
        let row = self.reason.row();
        let error = row.error;
        let body = serde_json::json!({ "error": error, "error_description": message, "scope": required });
        let mut response = answer(row.tyk_status, ("application/json", format!("{body}\n")));
        let (description, scope) = (quotable(message), scope(required));
        let metadata = space.metadata.map(resource_metadata).unwrap_or_default();
        let challenge =
            format!("Bearer error=\"{error}\", error_description=\"{description}\"{scope}{metadata}");
        if let Ok(challenge) = HeaderValue::try_from(challenge) {
            response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
        }
        response
    }
}

/// The parameter of a challenge (RFC 6750 section 3); nothing where no scopes would do.
fn scope(required: &str) -> String {
    if required.is_empty() { String::new() } else { format!(", scope=\"{}\"", quotable(required)) }
}

/// Adds the challenges of everything that may help (RFC 9110 section 11.6.1), without an error.
pub(super) fn add_plain_challenges(space: Space<'_>, headers: &mut HeaderMap) {
    add_challenges(space, "", headers);
}

/// The same, with these parameters in that for tokens.
fn add_challenges(space: Space<'_>, parameters: &str, headers: &mut HeaderMap) {
    if (space.bearer || space.api_keys.is_empty())
        && let Some(challenge) = bearer_challenge(space, parameters)
    {
        headers.append(WWW_AUTHENTICATE, challenge);
    }
    for challenge in space.api_keys {
        if let Ok(challenge) = HeaderValue::try_from(&**challenge) {
            headers.append(WWW_AUTHENTICATE, challenge);
        }
    }
}

/// A challenge (RFC 6750 section 3) with these parameters between realm and metadata.
fn bearer_challenge(space: Space<'_>, parameters: &str) -> Option<HeaderValue> {
    let metadata = space.metadata.map(resource_metadata).unwrap_or_default();
    let realm = quotable(space.realm);
    HeaderValue::try_from(format!("Bearer realm=\"{realm}\"{parameters}{metadata}")).ok()
}

/// The parameter of a challenge (RFC 9728 section 5.1).
fn resource_metadata(url: &str) -> String {
    format!(", resource_metadata=\"{}\"", quotable(url))
}

fn answer(status: u16, (content_type, body): (&'static str, String)) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(body));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// A name as the content of a quoted string (RFC 9110 section 5.6.4).
fn quotable(name: &str) -> String {
    name.chars().filter(|c| matches!(c, ' '..='~') && !matches!(c, '"' | '\\')).collect()
}

fn xml_type(headers: &HeaderMap) -> Option<&'static str> {
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    ["application/xml", "text/xml", "application/soap+xml"].into_iter().find(|xml| *xml == media_type)
}

/// The content of a JSON string (RFC 8259 section 7).
pub(super) fn json_escaped(text: &str) -> Cow<'_, str> {
    if !text.contains(|c| matches!(c, '"' | '\\' | '\0'..='\u{1F}')) {
        return text.into();
    }
    let quoted = serde_json::Value::from(text).to_string();
    let bare = quoted.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
    bare.unwrap_or_default().to_owned().into()
}

pub(super) fn xml_escaped(text: &str) -> Cow<'_, str> {
    if !text.contains(['<', '>', '&', '"', '\'']) {
        return text.into();
    }
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&#34;")
        .replace('\'', "&#39;")
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(refusal: &Refusal, profile: Profile, content_type: Option<&'static str>) -> Response<Bytes> {
        let mut headers = HeaderMap::new();
        if let Some(content_type) = content_type {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        }
        refusal.response(&Manner {
            profile,
            asked: Asked::new(&Method::GET, &headers),
            space: Space { realm: "or\"ders\n", bearer: true, ..Space::default() },
            overrides: &Overrides::default(),
        })
    }

    #[test]
    fn rfc() {
        let response = response(&Reason::TokenExpired.into(), Profile::Rfc, None);
        assert_eq!(response.status(), 401);
        assert_eq!(
            response.headers()[WWW_AUTHENTICATE],
            "Bearer realm=\"orders\", error=\"invalid_token\", error_description=\"The access token has expired\""
        );
        assert_eq!(
            response.body(),
            "{\"error\":\"invalid_token\",\"error_description\":\"The access token has expired.\"}\n"
        );
    }

    #[test]
    fn rfc_without_a_token_and_without_keys() {
        let missing = response(&Reason::TokenMissing.into(), Profile::Rfc, None);
        assert_eq!(missing.headers()[WWW_AUTHENTICATE], "Bearer realm=\"orders\"");
        let unavailable = response(&Reason::KeysUnavailable.into(), Profile::Rfc, None);
        assert_eq!(
            (unavailable.status(), unavailable.headers()[RETRY_AFTER].to_str().unwrap()),
            (StatusCode::SERVICE_UNAVAILABLE, "5")
        );
        assert!(!unavailable.headers().contains_key(WWW_AUTHENTICATE));
        for (millis, seconds) in [(0, "1"), (1, "1"), (1000, "1"), (1001, "2"), (59_500, "60")] {
            let refusal = Refusal::from(Reason::KeysUnavailable).retry_after(Duration::from_millis(millis));
            assert_eq!(response(&refusal, Profile::Rfc, None).headers()[RETRY_AFTER], seconds);
        }
    }

    #[test]
    fn a_detail_is_never_shown_in_rfc() {
        let refusal = Refusal::with_detail(Reason::IssuerNotAllowed, "https://evil.example");
        let shown =
            |profile| String::from_utf8(response(&refusal, profile, None).into_body().to_vec()).unwrap();
        assert!(!shown(Profile::Rfc).contains("evil"));
        assert_eq!(
            shown(Profile::Tyk),
            "{\n    \"error\": \"Key not authorized: invalid issuer claim: https://evil.example\"\n}"
        );
    }

    #[test]
    fn scopes_that_are_missing() {
        let refusal = Refusal::insufficient_scope("orders:read orders:write", "orders:write");
        let rfc = response(&refusal, Profile::Rfc, None);
        assert_eq!(rfc.status(), 403);
        assert_eq!(
            rfc.headers()[WWW_AUTHENTICATE],
            "Bearer realm=\"orders\", error=\"insufficient_scope\", error_description=\"The access token lacks a \
             scope that is needed here\", scope=\"orders:read orders:write\""
        );
        let tyk = response(&refusal, Profile::Tyk, Some("text/xml"));
        assert_eq!(tyk.status(), 403);
        assert_eq!(tyk.headers()[CONTENT_TYPE], "application/json");
        assert_eq!(
            tyk.headers()[WWW_AUTHENTICATE],
            "Bearer error=\"insufficient_scope\", error_description=\"missing required scope: orders:write\", \
             scope=\"orders:read orders:write\""
        );
        assert_eq!(
            tyk.body(),
            "{\"error\":\"insufficient_scope\",\"error_description\":\"missing required scope: orders:write\",\
             \"scope\":\"orders:read orders:write\"}\n"
        );
    }

    #[test]
    fn tyk_in_xml() {
        let refusal = Refusal::with_detail(Reason::IssuerNotAllowed, "<a&b>");
        let xml = response(&refusal, Profile::Tyk, Some("text/xml; charset=utf-8"));
        assert_eq!(xml.headers()[CONTENT_TYPE], "text/xml");
        assert!(String::from_utf8_lossy(xml.body()).contains("claim: &lt;a&amp;b&gt;</error>"));
        let json = response(&refusal, Profile::Tyk, Some("TEXT/XML"));
        assert_eq!(json.headers()[CONTENT_TYPE], "application/json");
    }

    #[test]
    fn head_gets_no_body() {
        let manner = Manner {
            profile: Profile::Tyk,
            asked: Asked::new(&Method::HEAD, &HeaderMap::new()),
            space: Space::default(),
            overrides: &Overrides::default(),
        };
        assert!(Refusal::from(Reason::NotFound).response(&manner).body().is_empty());
    }
}
