//! The requests that the demo makes, and what must come back.

use std::time::{SystemTime, UNIX_EPOCH};

use claimgate::jwt::Algorithm;
use serde_json::{Value, json};

use super::peers::{Provider, Providers};

/// A request to try.
pub(super) struct Trial {
    pub(super) what: &'static str,
    pub(super) path: &'static str,
    pub(super) place: Place,
    pub(super) token: Option<String>,
    pub(super) expected: u16,
    /// A part of the challenge that must come with a refusal.
    pub(super) challenge: &'static str,
}

/// Where the token is put.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Header,
    Query,
    Cookie,
}

impl Trial {
    fn new(what: &'static str, token: Option<String>, expected: u16) -> Self {
        Self { what, path: "/orders/42", place: Place::Header, token, expected, challenge: "" }
    }

    fn at(self, path: &'static str) -> Self {
        Self { path, ..self }
    }

    /// A refusal that says this.
    fn saying(self, challenge: &'static str) -> Self {
        Self { challenge, ..self }
    }

    fn by(self, place: Place) -> Self {
        Self { place, ..self }
    }

    /// The target of the request: its path, and the token if it belongs there.
    pub(super) fn target(&self) -> String {
        match (&self.token, self.place) {
            (Some(token), Place::Query) => format!("{}?access_token={token}", self.path),
            _ => self.path.into(),
        }
    }

    /// The header with the token, if it belongs there.
    pub(super) fn header(&self) -> Option<(&'static str, String)> {
        let token = self.token.as_ref()?;
        match self.place {
            Place::Header => Some(("Authorization", format!("Bearer {token}"))),
            Place::Cookie => Some(("Cookie", format!("session={token}"))),
            Place::Query => None,
        }
    }
}

/// All of them; nothing if a token cannot be signed.
pub(super) fn trials(providers: &Providers, now: SystemTime) -> Option<Vec<Trial>> {
    let mut trials = good(providers, now)?;
    trials.extend(bad(&providers.globex, now)?);
    trials.extend(scopes(&providers.acme, now)?);
    trials.push(Trial::new("An API for everybody, without a token", None, 200).at("/status/"));
    Some(trials)
}

fn good(Providers { acme, globex }: &Providers, now: SystemTime) -> Option<Vec<Trial>> {
    let (by_acme, by_globex) = (claims(acme, now), claims(globex, now));
    let rs256 = acme.sign(Algorithm::RS256, &by_acme)?;
    let ps256 = acme.sign(Algorithm::PS256, &by_acme)?;
    let es256 = globex.sign(Algorithm::ES256, &by_globex)?;
    let eddsa = globex.sign(Algorithm::EdDSA, &by_globex)?;
    Some(vec![
        Trial::new("A good token of Acme, RS256", Some(rs256), 200),
        Trial::new("A good token of Acme, PS256, in a cookie", Some(ps256), 200).by(Place::Cookie),
        Trial::new("A good token of Globex, ES256", Some(es256), 200),
        Trial::new("A good token of Globex, EdDSA, in the query", Some(eddsa), 200).by(Place::Query),
    ])
}

fn bad(provider: &Provider, now: SystemTime) -> Option<Vec<Trial>> {
    let with = |name: &str, value: Value| {
        let mut claims = claims(provider, now);
        claims.as_object_mut()?.insert(name.into(), value);
        provider.sign(Algorithm::ES256, &claims)
    };
    let expired = with("exp", seconds(now).saturating_sub(60).into())?;
    let audience = with("aud", "invoices".into())?;
    let issuer = with("iss", "https://acme.example".into())?;
    let tampered = tampered(&provider.sign(Algorithm::ES256, &claims(provider, now))?)?;
    Some(vec![
        Trial::new("No token", None, 401).saying("Bearer realm=\"Orders\""),
        Trial::new("An expired token", Some(expired), 401).saying("has expired"),
        Trial::new("A tampered token: another subject under the same signature", Some(tampered), 401)
            .saying("could not be verified"),
        Trial::new("A token for another audience", Some(audience), 401).saying("not meant for this API"),
        Trial::new("A token that Globex signed in the name of Acme", Some(issuer), 401)
            .saying("could not be verified"),
    ])
}

fn scopes(provider: &Provider, now: SystemTime) -> Option<Vec<Trial>> {
    let mut claims = claims(provider, now);
    let without = provider.sign(Algorithm::RS256, &claims)?;
    claims.as_object_mut()?.insert("scope".into(), "reports:read".into());
    let with = provider.sign(Algorithm::RS256, &claims)?;
    Some(vec![
        Trial::new("A good token without a scope, for an API that needs one", Some(without), 403)
            .at("/reports/2026"),
        Trial::new("The same with the scope reports:read", Some(with.clone()), 200).at("/reports/2026"),
        Trial::new("An export, of which its policy grants one a minute", Some(with.clone()), 200)
            .at("/reports/export"),
        Trial::new("Another one in the same minute", Some(with), 429).at("/reports/export"),
    ])
}

fn claims(provider: &Provider, now: SystemTime) -> Value {
    let now = seconds(now);
    let expires = now.saturating_add(24 * 60 * 60);
    json!({ "iss": provider.issuer, "sub": "alice", "aud": "orders", "iat": now, "exp": expires })
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// The token with other claims under the same signature.
fn tampered(token: &str) -> Option<String> {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
    let mut parts = token.split('.');
    let (header, payload, signature) = (parts.next()?, parts.next()?, parts.next()?);
    let mut claims: Value = serde_json::from_slice(&BASE64.decode(payload).ok()?).ok()?;
    claims.as_object_mut()?.insert("sub".into(), "admin".into());
    Some(format!("{header}.{}.{signature}", BASE64.encode(claims.to_string())))
}
