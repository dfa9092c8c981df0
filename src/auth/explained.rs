//! The steps of an authentication in words, for [`explain`](crate::explain).

use std::borrow::Cow;

use super::{Place, Places, refused::without_identity};
use crate::{
    explain::{Outcome, Step},
    jwks::{Found, KeySources, Missing, Source, SourceState},
    jwt::{
        Algorithm, Checked, Claims, Error, Kid, Outcome as CheckOutcome, Rules, SubjectError, Token,
        json::{Object, Value},
    },
    policy::{By, Choice, Grant, Policy},
    refusal::{Reason, Refusal},
    session::Session,
};

fn reason(error: &Error) -> Reason {
    Refusal::from(error.clone()).reason()
}

/// What came of a step: what it gave in words, or why it refuses.
fn step<T>(name: &str, result: &Result<T, Error>, found: impl FnOnce(&T) -> String) -> Step {
    match result {
        Ok(value) => Step::new(name, Outcome::Passed, found(value)),
        Err(error) => Step::new(name, Outcome::Failed(reason(error)), error.to_string()),
    }
}

/// Looking for the token.
pub(super) fn token(places: &Places, found: &Result<&str, Reason>) -> Step {
    credential("token", places, found)
}

/// Looking for the API key.
pub(super) fn api_key(places: &Places, found: &Result<&str, Reason>) -> Step {
    credential("api_key", places, found)
}

/// Whose API key it is. The key itself opens doors; its name does not.
pub(super) fn owner(session: &Result<Session, Refusal>) -> Step {
    let reason = session.as_ref().err().map(Refusal::reason);
    let found = match session {
        Ok(session) => {
            let policies: Vec<&str> = session.policies().map(|policy| &*policy.id).collect();
            format!("the stored key {}, with {}", session.subject(), policies.join(", "))
        }
        Err(refusal) => refusal.reason().code().to_owned(),
    };
    Step::new("stored_key", Outcome::of(reason), found).expecting("a key that is stored, and good")
}

fn credential(name: &str, places: &Places, found: &Result<&str, Reason>) -> Step {
    let place = |place: &Place| match place {
        Place::Header(name) => format!("header {name}"),
        Place::Query(name) => format!("query parameter {name}"),
        Place::Cookie(name) => format!("cookie {name}"),
    };
    let wanted: Vec<String> = places.as_slice().iter().map(place).collect();
    let (outcome, found) = match found {
        Ok(token) => (Outcome::Passed, format!("one, of {} octets", token.len())),
        Err(reason) => (
            Outcome::Failed(*reason),
            match reason {
                Reason::TokenMissing | Reason::ApiKeyMissing => "none".to_owned(),
                Reason::TokenAmbiguous | Reason::ApiKeyAmbiguous => "more than one".to_owned(),
                _ => "something else".to_owned(),
            },
        ),
    };
    Step::new(name, outcome, found).expecting(format!("one, in {}", wanted.join(", ")))
}

/// Decrypting the token.
pub(super) fn decryption(text: &str, opened: &Result<Cow<'_, str>, Error>) -> Step {
    let found = |signed: &Cow<'_, str>| {
        if **signed == *text {
            "a token that is only signed, which is taken too".to_owned()
        } else {
            format!("a signed token of {} octets inside", signed.len())
        }
    };
    step("decryption", opened, found).expecting("a signed token, encrypted for a key of this API")
}

/// Reading the token.
pub(super) fn header(rules: &Rules, parsed: &Result<Token<'_>, Error>) -> Step {
    step("header", parsed, |token| object(token.header()))
        .expecting(format!("a compact JWS of at most {} octets", rules.max_bytes))
}

/// Whether the algorithm may be used.
pub(super) fn algorithm(rules: &Rules, token: &Token<'_>, result: &Result<Algorithm, Error>) -> Step {
    let allowed: Vec<&str> = rules.algorithms.iter().map(|algorithm| algorithm.name()).collect();
    let found = token.header().get("alg").map_or_else(|| "absent".to_owned(), Value::to_string);
    let outcome = Outcome::of(result.as_ref().err().map(reason));
    Step::new("algorithm", outcome, found).expecting(format!("one of {}", allowed.join(", ")))
}

/// Which key checks the signature.
pub(super) fn key(
    keys: &KeySources,
    token: &Token<'_>,
    algorithm: Algorithm,
    found: Result<Found, Missing>,
) -> Step {
    let kid = match token.kid() {
        Kid::Absent => "without kid".to_owned(),
        Kid::NotText => "with a kid that is no text".to_owned(),
        Kid::Text(kid) => format!("with kid {}", Value::String(kid.to_owned())),
    };
    let all = || keys.iter().map(|source| described(source)).collect::<Vec<_>>().join("; ");
    let (outcome, found) = match found {
        Ok(found) => {
            let source = keys.source(found).map(described).unwrap_or_default();
            (Outcome::Passed, format!("found in {source}"))
        }
        Err(missing) => {
            let (reason, why) = match missing {
                Missing::Unfit => (Reason::KeyUnknown, "none that fits, or more than one"),
                Missing::Unknown => (Reason::KeyUnknown, "none of that name"),
                Missing::Unavailable => (Reason::KeysUnavailable, "there are no keys yet"),
            };
            (Outcome::Failed(reason), format!("{why} in {}", all()))
        }
    };
    Step::new("key", outcome, found).expecting(format!("one key for {}, for a token {kid}", algorithm.name()))
}

/// The token says too little to choose where its key is looked for.
pub(super) fn no_parties(error: &Error) -> Step {
    let found = "the claims by which a source is chosen cannot be read: iss must be a text";
    Step::new("key", Outcome::Failed(reason(error)), found)
        .expecting("claims that name the source of the key")
}

/// A source, what it holds, and how old that is.
fn described(source: &Source) -> String {
    let keys = source.keys();
    let names: Vec<String> = keys.as_ref().map_or_else(Vec::new, |keys| {
        let name = |kid: Option<&str>| {
            kid.map_or_else(|| "a key without kid".to_owned(), |kid| format!("kid {kid}"))
        };
        keys.keys().iter().map(|key| name(key.kid())).collect()
    });
    let names = if names.is_empty() { "no keys".to_owned() } else { names.join(", ") };
    let Some(status) = source.status() else { return format!("{} ({names})", source.name()) };
    let age = status
        .age
        .map_or_else(|| "never fetched".to_owned(), |age| format!("fetched {} s ago", age.as_secs()));
    let state = match status.state {
        SourceState::Fresh => String::new(),
        state => format!(", {}", state.name()),
    };
    let fault = status.last_fault.filter(|_| status.state != SourceState::Fresh);
    let fault = fault.map(|(_, why)| format!(", last fault: {why}")).unwrap_or_default();
    format!("{} ({names}; {age}{state}{fault})", source.name())
}

/// The stored key whose secret checks the signature.
pub(super) fn stored_secret<T>(holder: &Result<T, Error>) -> Step {
    step("key", holder, |_| "there is one".to_owned()).expecting("a stored key that the token names")
}

/// The signature.
pub(super) fn signature(algorithm: Algorithm, claims: &Result<Claims, Error>) -> Step {
    let error = claims.as_ref().err().filter(|error| is_about_signature(error));
    let found = match error {
        None => "it verifies".to_owned(),
        Some(Error::KeyUnknown) => "the stored key has no secret for this algorithm".to_owned(),
        Some(error) => error.to_string(),
    };
    Step::new("signature", Outcome::of(error.map(reason)), found)
        .expecting(format!("one of that key, by {}", algorithm.name()))
}

/// Whether it is the signature that is wrong; what comes behind a good one is a step of its own.
const fn is_about_signature(error: &Error) -> bool {
    matches!(error, Error::Signature | Error::KeyUnknown)
}

/// What a token claims.
pub(super) fn claims(token: &Token<'_>, claims: &Result<Claims, Error>) -> Step {
    match claims {
        Err(error) if is_about_signature(error) => unverified(token),
        claims => step("claims", claims, |claims| object(claims.members())).expecting("a JSON object"),
    }
}

/// What a token claims that nobody has verified.
pub(super) fn unverified(token: &Token<'_>) -> Step {
    let found = token.unverified_claims().map_or_else(|error| error.to_string(), |claims| object(&claims));
    Step::new("claims", Outcome::Skipped, format!("not verified: {found}"))
}

/// One check of the claims.
pub(super) fn check(checked: &Checked<'_>) -> Step {
    let outcome = match checked.outcome() {
        CheckOutcome::Passed => Outcome::Passed,
        CheckOutcome::Warned(_) => Outcome::Warned,
        CheckOutcome::Refused(error) => Outcome::Failed(reason(error)),
        CheckOutcome::Off => Outcome::Skipped,
    };
    let name = format!("check {}", checked.check().name());
    Step::new(name, outcome, checked.found()).expecting(checked.expected())
}

/// Who the caller is.
pub(super) fn subject(subject: &Result<&str, SubjectError>) -> Step {
    let (outcome, found) = match subject {
        Ok(subject) => (Outcome::Passed, Value::String((*subject).to_owned()).to_string()),
        Err(error) => (Outcome::Failed(without_identity(error.clone()).reason()), error.to_string()),
    };
    Step::new("subject", outcome, found).expecting("a claim that names the caller")
}

/// Which policies apply, and why.
pub(super) fn policies(choices: &[Choice<'_>], granted: &Result<impl AsRef<Grant>, Refusal>) -> Step {
    let chosen: Vec<String> = choices.iter().map(chosen).collect();
    let chosen = if chosen.is_empty() { "nothing selects a policy".to_owned() } else { chosen.join("; ") };
    let (outcome, found) = match granted {
        Ok(grant) => {
            let ids: Vec<&str> = grant.as_ref().policies.iter().map(|policy| &*policy.id).collect();
            (Outcome::Passed, format!("{} ({chosen})", ids.join(", ")))
        }
        Err(refusal) => (Outcome::Failed(refusal.reason()), chosen),
    };
    Step::new("policies", outcome, found).expecting("policies that are there, active, and grant something")
}

fn chosen(choice: &Choice<'_>) -> String {
    let ids = if choice.ids.is_empty() { "nothing".to_owned() } else { choice.ids.join(", ") };
    match &choice.by {
        By::Claim(claim) => format!("claim {claim} names {ids}"),
        By::Client => format!("the client that the token names has {ids}"),
        By::Rules => format!("rules about claims select {ids}"),
        By::Scopes(scopes) => format!("scopes {} select {ids}", scopes.join(" ")),
        By::Default => format!("by default {ids}"),
    }
}

/// A requirement that nobody had to meet.
pub(super) fn not_needed() -> Step {
    Step::new("requirement", Outcome::Skipped, "not looked at: one before it is met")
}

/// One of several requirements.
pub(super) fn requirement<T>(met: &Result<T, Refusal>) -> Step {
    let reason = met.as_ref().err().map(Refusal::reason);
    let found = reason.map_or_else(|| "met".to_owned(), |reason| format!("not met: {}", reason.code()));
    Step::new("requirement", Outcome::of(reason), found)
}

/// As JSON.
fn object(members: &Object) -> String {
    Value::Object(members.clone()).to_string()
}

/// Whether the caller may use the API at all.
pub(crate) fn api_right(api: &str, session: &Session) -> Step {
    let reason = session.rights().on(api).err();
    let found = if reason.is_some() { "not granted" } else { "granted" };
    let policies: Vec<&str> = session.policies().map(|policy: &Policy| &*policy.id).collect();
    Step::new("api_right", Outcome::of(reason), format!("{found} by {}", policies.join(", ")))
        .expecting(format!("the API {api}"))
}
