//! Header values with variables: `$tyk_context.jwt_claims_sub`, `$tyk_meta.plan`.
//!
//! **Invariant:** what a variable stands for is data. It is never read as a template again, and a
//! value that would break a header field (CR, LF, NUL) is refused, not mended.

use std::{
    borrow::Cow,
    fmt::{self, Write as _},
    net::IpAddr,
};

use http::{HeaderMap, HeaderValue, header::COOKIE};

use crate::{jwt::json, percent, query, session::Session};

/// What variables can stand for.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'r> {
    /// The caller, where the request was authenticated.
    pub session: Option<&'r Session>,
    /// The decoded path as it was asked for.
    pub path: &'r str,
    /// The client's address.
    pub client: IpAddr,
    /// The request's headers.
    pub headers: &'r HeaderMap,
    /// Its query.
    pub query: Option<&'r str>,
    /// What tells this request from all others: a random number.
    pub request_id: u128,
    /// Whether `$tyk_context` has values (`contextVariables`).
    pub context: bool,
    /// As in Tyk, a claim hides the member of the JOSE header of its name.
    pub claims_hide_header: bool,
}

/// A value that cannot stand in a header field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotForwardable;

/// A text with variables.
#[derive(Clone, PartialEq, Eq)]
pub struct Template(Vec<Part>);

/// Without the text, which may be a secret.
impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Template").finish_non_exhaustive()
    }
}

#[derive(Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Claim(String),
    Meta(String),
    Path,
    PathParts,
    RemoteAddress,
    RequestId,
    RequestData(String),
    Header(String),
    Cookie(String),
    /// A stored session, of which there is none.
    StoredSession,
    /// A variable that nothing stands behind: an empty text, as in Tyk.
    Empty,
}

impl Template {
    /// Reads a template. A name ends before the first character outside `A-Za-z0-9_.-`.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = next_variable(rest) {
            if !before.is_empty() {
                parts.push(Part::Text(before.into()));
            }
            let (kind, after) = after;
            let in_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
            let end = after.find(|c| !in_name(c)).unwrap_or(after.len());
            let (name, after) = after.split_at(end);
            parts.push(match kind {
                Kind::Context => context_variable(name),
                Kind::Meta => Part::Meta(name.into()),
            });
            rest = after;
        }
        if !rest.is_empty() || parts.is_empty() {
            parts.push(Part::Text(rest.into()));
        }
        Self(parts)
    }

    /// Whether the value depends on the request.
    #[must_use]
    pub fn has_variables(&self) -> bool {
        self.0.iter().any(|part| !matches!(part, Part::Text(_)))
    }

    /// Whether a variable is in it that nothing can stand behind.
    #[must_use]
    pub fn has_unknown_variables(&self) -> bool {
        self.0.contains(&Part::Empty)
    }

    /// Whether a variable is in it that names the session which Tyk has stored (`$tyk_context.token`).
    #[must_use]
    pub fn names_stored_session(&self) -> bool {
        self.0.contains(&Part::StoredSession)
    }

    /// Whether the value is told by whoever issued the token and wrote the policies, and not by the request.
    #[must_use]
    pub fn is_of_caller(&self) -> bool {
        self.0.iter().all(|part| matches!(part, Part::Text(_) | Part::Claim(_) | Part::Meta(_) | Part::Empty))
    }

    /// Whether the value needs `$tyk_context` (`contextVariables`).
    #[must_use]
    pub fn needs_context(&self) -> bool {
        self.0.iter().any(|part| !matches!(part, Part::Text(_) | Part::Meta(_) | Part::Empty))
    }

    /// Whether the value depends on the headers of the request.
    #[must_use]
    pub fn reads_headers(&self) -> bool {
        self.0.iter().any(|part| matches!(part, Part::Header(_) | Part::Cookie(_)))
    }

    /// The text for one request, whatever is in it.
    #[must_use]
    pub fn text(&self, facts: &Facts<'_>) -> String {
        let mut text = String::new();
        self.0.iter().for_each(|part| part.render(facts, &mut text));
        text
    }

    /// The value for one request.
    ///
    /// # Errors
    /// [`NotForwardable`] when it cannot stand in a header field.
    pub fn render(&self, facts: &Facts<'_>) -> Result<HeaderValue, NotForwardable> {
        let mut value = String::new();
        for part in &self.0 {
            let start = value.len();
            part.render(facts, &mut value);
            let claim = value.get(start..).filter(|_| matches!(part, Part::Claim(_)));
            if claim.is_some_and(|claim| claim.trim_matches([' ', '\t']) != claim) {
                // Without its spaces it would be another value, perhaps somebody else's.
                return Err(NotForwardable);
            }
        }
        HeaderValue::try_from(value.trim_matches([' ', '\t'])).map_err(|_| NotForwardable)
    }
}

enum Kind {
    Context,
    Meta,
}

fn next_variable(text: &str) -> Option<(&str, (Kind, &str))> {
    let mut from = 0;
    loop {
        let (skipped, here) = text.split_at_checked(from)?;
        let (before, after) = here.split_once('$')?;
        let start = skipped.len().checked_add(before.len())?;
        if let Some(name) = after.strip_prefix("tyk_context.") {
            return Some((text.get(..start)?, (Kind::Context, name)));
        }
        if let Some(name) = after.strip_prefix("tyk_meta.") {
            return Some((text.get(..start)?, (Kind::Meta, name)));
        }
        from = start.checked_add(1)?;
    }
}

fn context_variable(name: &str) -> Part {
    if let Some(claim) = name.strip_prefix("jwt_claims_") {
        return Part::Claim(claim.into());
    }
    if let Some(header) = name.strip_prefix("headers_") {
        return Part::Header(header.replace('_', "-"));
    }
    if let Some(cookie) = name.strip_prefix("cookies_") {
        return Part::Cookie(cookie.into());
    }
    if let Some(parameter) = name.strip_prefix("request_data_") {
        return Part::RequestData(parameter.into());
    }
    match name {
        "path" => Part::Path,
        "path_parts" => Part::PathParts,
        "request_id" => Part::RequestId,
        "remote_addr" => Part::RemoteAddress,
        "token" => Part::StoredSession,
        _ => Part::Empty,
    }
}

impl Part {
    fn render(&self, facts: &Facts<'_>, value: &mut String) {
        match self {
            Self::Text(text) => value.push_str(text),
            Self::Meta(name) => {
                if let Some(meta) = facts.session.and_then(|session| session.meta_data().get(name)) {
                    render_meta(meta, value);
                }
            }
            _ if !facts.context => {}
            Self::Claim(name) => {
                if let Some(claim) =
                    facts.session.and_then(|session| claim(session, name, facts.claims_hide_header))
                {
                    render_claim(claim, value);
                }
            }
            Self::Path => value.push_str(facts.path),
            Self::PathParts => value.push_str(&facts.path.replace('/', ",")),
            Self::RequestId => value.push_str(&uuid(facts.request_id)),
            Self::RequestData(name) => value.push_str(&parameter(facts.query.unwrap_or_default(), name)),
            Self::RemoteAddress => {
                let _ = write!(value, "{}", facts.client);
            }
            Self::Header(name) => {
                value.push_str(facts.headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default());
            }
            Self::Cookie(name) => value.push_str(&cookie(facts.headers, name)),
            Self::StoredSession | Self::Empty => {}
        }
    }
}

/// The claim of this name, else the member of the JOSE header. A registered claim (RFC 7519 section
/// 4.1) is looked for among the claims alone; a registered member of the header (RFC 7515 section 4.1)
/// in the header alone, or whoever chooses claims would say which key has signed.
fn claim<'s>(session: &'s Session, name: &str, claims_hide_header: bool) -> Option<&'s json::Value> {
    const CLAIMS: [&str; 7] = ["iss", "sub", "aud", "exp", "nbf", "iat", "jti"];
    const HEADER: [&str; 11] =
        ["alg", "jku", "jwk", "kid", "x5u", "x5c", "x5t", "x5t#S256", "typ", "cty", "crit"];
    let of_header = || session.header().get(name).filter(|_| !CLAIMS.contains(&name));
    if !claims_hide_header && HEADER.contains(&name) {
        return of_header();
    }
    session.claims().get(name).or_else(of_header)
}

/// Texts and numbers as they are, lists joined with commas, each element escaped as in a query;
/// truth values and objects are empty, as in Tyk.
fn render_claim(claim: &json::Value, value: &mut String) {
    match claim {
        json::Value::String(text) => value.push_str(text),
        json::Value::Number(number) => {
            let _ = write!(value, "{number}");
        }
        json::Value::Array(elements) => {
            let element = |element: &json::Value| {
                let mut text = String::new();
                render_claim(element, &mut text);
                percent::encode_form(&text)
            };
            value.push_str(&elements.iter().map(element).collect::<Vec<_>>().join(","));
        }
        json::Value::Null | json::Value::Bool(_) | json::Value::Object(_) => {}
    }
}

fn render_meta(meta: &serde_json::Value, value: &mut String) {
    match meta {
        serde_json::Value::String(text) => value.push_str(text),
        serde_json::Value::Number(number) => {
            let _ = write!(value, "{number}");
        }
        serde_json::Value::Array(elements) => {
            let element = |element: &serde_json::Value| {
                let mut text = String::new();
                render_meta(element, &mut text);
                percent::encode_form(&text)
            };
            value.push_str(&elements.iter().map(element).collect::<Vec<_>>().join(","));
        }
        serde_json::Value::Null | serde_json::Value::Bool(_) | serde_json::Value::Object(_) => {}
    }
}

fn cookie<'r>(headers: &'r HeaderMap, name: &str) -> Cow<'r, str> {
    let fields = headers.get_all(COOKIE).iter().filter_map(|field| field.to_str().ok());
    fields
        .flat_map(|field| field.split(';'))
        .filter_map(|cookie| cookie.trim().split_once('='))
        .find(|(own, _)| is_called(own, name))
        .map(|(_, value)| value.into())
        .unwrap_or_default()
}

/// The first value of a parameter of the query. What is not percent-encoded properly is none.
fn parameter(query: &str, name: &str) -> String {
    let mut values = query::parameters_called(|own| is_called(own, name), query);
    values.find_map(|value| value).unwrap_or_default().into_owned()
}

/// Whether a variable names this: Tyk writes `_` for each `-` of a name.
fn is_called(own: &str, name: &str) -> bool {
    own == name || (own.contains('-') && own.replace('-', "_") == name)
}

/// A random number as a UUID (RFC 9562 section 5.4).
fn uuid(random: u128) -> String {
    const VERSION: u128 = 0xF << 76;
    const VARIANT: u128 = 0b11 << 62;
    let id = (random & !VERSION & !VARIANT) | (4 << 76) | (0b10 << 62);
    let digits = format!("{id:032x}");
    let mut uuid = String::with_capacity(36);
    for (n, digit) in digits.chars().enumerate() {
        if matches!(n, 8 | 12 | 16 | 20) {
            uuid.push('-');
        }
        uuid.push(digit);
    }
    uuid
}

#[cfg(test)]
mod tests {
    use std::{net::Ipv4Addr, sync::Arc};

    use serde_json::json;

    use super::*;
    use crate::{
        jwt::{Algorithm, Token, import_key, sign::SigningKey},
        policy::Grant,
    };

    fn session(header: &serde_json::Value, claims: &serde_json::Value) -> Session {
        let secret = [7; 64];
        let token = SigningKey::from_secret(Algorithm::HS256, &secret).unwrap().sign(header, claims).unwrap();
        let token = Token::parse(&token, 1 << 20).unwrap();
        let keys = import_key(&secret, Algorithm::HS256.into()).unwrap();
        let claims = token.verify(&keys.keys()[0]).unwrap();
        let serde_json::Value::Object(meta_data) =
            json!({ "plan": "gold", "n": 5, "l": ["a b", "c"], "o": {} })
        else {
            panic!()
        };
        let grant = Grant { meta_data, ..Grant::default() };
        Session::new("alice", token.header().clone(), claims, Arc::new(grant), None, None)
    }

    fn render(template: &str, claims: &serde_json::Value, context: bool) -> Result<String, NotForwardable> {
        render_as(template, claims, context, false)
    }

    fn render_as(
        template: &str,
        claims: &serde_json::Value,
        context: bool,
        claims_hide_header: bool,
    ) -> Result<String, NotForwardable> {
        let session = session(&json!({ "kid": "k1" }), claims);
        let headers = [("x-real-name", "r"), ("cookie", "a=1; b=2; s-id=3")];
        let headers: HeaderMap =
            headers.into_iter().map(|(n, v)| (n.parse().unwrap(), HeaderValue::from_static(v))).collect();
        let client = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let session = Some(&session);
        let query = Some("a-b=x+y&q=%C3%A9&q=2&bad=%zz&bad=3&flag");
        let facts = Facts {
            session,
            path: "/p/q",
            client,
            headers: &headers,
            query,
            request_id: u128::MAX,
            context,
            claims_hide_header,
        };
        let value = Template::new(template).render(&facts)?;
        Ok(String::from_utf8(value.as_bytes().to_vec()).unwrap())
    }

    #[test]
    fn variables() {
        let claims = json!({
            "sub": "alice", "list": ["a", "b c"], "num": 5, "float": 1.5, "flag": true, "obj": {}, "alg": "ES999",
            "tpl": "$tyk_meta.plan", "url": "http://x y",
        });
        for (template, value) in [
            ("$tyk_context.jwt_claims_sub", "alice"),
            ("<$tyk_context.jwt_claims_sub>", "<alice>"),
            ("$tyk_context.jwt_claims_list", "a,b+c"),
            ("$tyk_context.jwt_claims_num/$tyk_context.jwt_claims_float", "5/1.5"),
            ("$tyk_context.jwt_claims_flag$tyk_context.jwt_claims_obj$tyk_context.jwt_claims_none", ""),
            ("$tyk_context.jwt_claims_kid", "k1"),
            ("$tyk_context.jwt_claims_alg", "HS256"),
            ("$tyk_context.jwt_claims_tpl", "$tyk_meta.plan"),
            ("$tyk_context.jwt_claims_url", "http://x y"),
            ("a-$tyk_context.jwt_claims_sub-b", "a-"),
            ("$tyk_meta.plan $tyk_meta.n $tyk_meta.l$tyk_meta.o", "gold 5 a+b,c"),
            ("$tyk_context.path $tyk_context.remote_addr", "/p/q 127.0.0.1"),
            ("$tyk_context.headers_X_Real_Name $tyk_context.cookies_b", "r 2"),
            ("$tyk_context.cookies_s_id$tyk_context.cookies_none", "3"),
            ("$tyk_context.request_data_a_b/$tyk_context.request_data_q", "x y/é"),
            (
                "<$tyk_context.request_data_bad$tyk_context.request_data_flag$tyk_context.request_data_no>",
                "<3>",
            ),
            ("$tyk_context.path_parts", ",p,q"),
            ("$tyk_context.request_id", "ffffffff-ffff-4fff-bfff-ffffffffffff"),
            ("costs $5 $tyk_other.x", "costs $5 $tyk_other.x"),
            ("", ""),
        ] {
            assert_eq!(render(template, &claims, true).as_deref(), Ok(value), "{template}");
        }
        assert_eq!(
            render("<$tyk_context.jwt_claims_sub>$tyk_meta.plan", &claims, false).as_deref(),
            Ok("<>gold")
        );
    }

    #[test]
    fn claims_hide_the_header_as_in_tyk() {
        let claims = json!({ "alg": "ES999" });
        for (name, value) in [("alg", "ES999"), ("kid", "k1")] {
            let template = format!("$tyk_context.jwt_claims_{name}");
            assert_eq!(render_as(&template, &claims, true, true).as_deref(), Ok(value));
        }
    }

    #[test]
    fn values_that_break_a_header_field() {
        for bad in ["a\r\nX-Evil: 1", "a\nb", "a\u{0}b", "\u{7f}"] {
            assert_eq!(
                render("$tyk_context.jwt_claims_role", &json!({ "role": bad }), true),
                Err(NotForwardable)
            );
        }
        assert_eq!(render("$tyk_context.jwt_claims_role", &json!({ "role": "é" }), true).as_deref(), Ok("é"));
    }
}
