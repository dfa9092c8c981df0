//! The steps of an admission in words, for [`explain`](crate::explain).

use std::borrow::Cow;

use bytes::Bytes;
use http::{
    HeaderMap, Response,
    header::{CONTENT_LENGTH, HOST},
    request::Parts,
};

use super::{
    admission::Found,
    api::Api,
    compile::Route,
    target::{BadTarget, Target},
};
use crate::{
    access::{MissingScopes, Wanted},
    explain::{Outcome, Step},
    limits::{CountKey, Pass, Plan, Standing},
    middleware::{
        Closed, Denied, Forbidden, NeedsToken, NoExample, Said, Verdict,
        rewrite::{Rewritten, Server},
    },
    proxy::Client,
    refusal::{Reason, Refusal},
    session::{ScopeCheck, Session},
    versioning::{Version, Versions},
};

/// What is asked for, if it can be read.
pub(super) fn target(target: &Result<Target<'_>, BadTarget>) -> Step {
    let (outcome, found) = match target {
        Ok(target) if target.ambiguous => {
            let found = format!("{}, which servers may read in more than one way", target.path);
            (Outcome::Passed, found)
        }
        Ok(target) => (Outcome::Passed, target.path.to_string()),
        Err(BadTarget::Unclean(clean)) => (Outcome::Passed, format!("a path that is cleaned first: {clean}")),
        Err(BadTarget::Invalid) => {
            let found = "none: the method, the path, the host or the framing is not acceptable";
            (Outcome::Failed(Reason::BadRequest), found.to_owned())
        }
    };
    Step::new("request", outcome, found).expecting("one that can be forwarded")
}

/// Who answers.
pub(super) fn route(route: Option<&Route>, target: &Target<'_>) -> Step {
    let place = if target.host_name.is_empty() { "any host" } else { &target.host_name };
    let (outcome, found) = match route {
        Some(Route::Api(api)) => (
            Outcome::Passed,
            format!("{}, which listens at {}", api.id(), api.definition.listen_path.at.as_str()),
        ),
        Some(Route::Metadata(api)) => (Outcome::Passed, format!("the metadata of {}", api.id())),
        None => (Outcome::Failed(Reason::NotFound), "none".to_owned()),
    };
    Step::new("api", outcome, found).expecting(format!("one that listens for {} on {place}", target.path))
}

/// Which version of the API is meant.
pub(super) fn version(
    named: &Result<Option<Cow<'_, str>>, Reason>,
    chosen: &Result<Version<'_>, Reason>,
    versions: &Versions,
) -> Step {
    let named = match named {
        Ok(Some(name)) => format!("{name:?} is named"),
        Ok(None) => "none is named".to_owned(),
        Err(_) => "more than one is named".to_owned(),
    };
    let found = match chosen {
        Ok(Version::Itself) => format!("{named}: the API itself"),
        Ok(Version::Api(api)) => format!("{named}: the API {api}"),
        Err(_) => named,
    };
    Step::new("version", Outcome::of(chosen.as_ref().err().copied()), found)
        .expecting(format!("one of {}", versions.names().join(", ")))
}

/// The API has ended.
pub(super) fn expired() -> Step {
    Step::new("expiration", Outcome::Failed(Reason::ApiExpired), "it has passed, or cannot be read")
}

/// What CORS makes of it.
pub(super) fn cors(verdict: &Verdict) -> Step {
    let found = match verdict {
        Verdict::GoOn => "no preflight that is answered here",
        Verdict::PassThrough => "a preflight, which the upstream answers without a token",
        Verdict::Answer(_) => "a preflight, which is answered here",
    };
    Step::new("cors", Outcome::Passed, found)
}

/// The metadata of the API is asked for.
pub(super) fn metadata() -> Step {
    Step::new("metadata", Outcome::Passed, "the protected resource metadata, which is for everybody")
}

/// The caller asks for its limits.
pub(super) fn rate_limits() -> Step {
    Step::new("rate_limits", Outcome::Passed, "the limits of the caller are told, and nothing is counted")
}

/// Which operation is meant.
pub(super) fn operation(said: &Said<'_>, target: &Target<'_>) -> Step {
    let found = match said.operation {
        Some(operation) if said.exact.is_none() => {
            format!("{} {}, which this path is below", operation.method, operation.path)
        }
        Some(operation) => format!("{} {}", operation.method, operation.path),
        None if target.ambiguous => "none: the path could be read in more than one way".to_owned(),
        None => "none that is configured on its own".to_owned(),
    };
    Step::new("operation", Outcome::Passed, found)
}

/// Whether the API answers the client's address.
pub(super) fn address(client: Client, checked: Result<(), Denied>) -> Step {
    let why = match checked {
        Ok(()) => "which nothing speaks against",
        Err(Denied::NotAllowed) => "which is not in the list allow",
        Err(Denied::Blocked) => "which is in the list block",
        Err(Denied::Unknown) => "a trusted proxy whose X-Forwarded-For does not tell the client",
    };
    let outcome = Outcome::of(checked.err().map(|_| Reason::AddressDenied));
    Step::new("client_address", outcome, format!("{}, {why}", client.nearest()))
        .expecting("an address that ipAccessControl lets in")
}

/// How large its body is.
pub(super) fn size(limit: u64, headers: &HeaderMap, checked: Result<(), Reason>) -> Step {
    let announced = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok());
    let found = match (announced, checked) {
        (Some(length), _) => format!("{length} octets, as Content-Length says"),
        (None, Ok(())) => "no Content-Length: the body would be counted on its way".to_owned(),
        (None, Err(_)) => "no Content-Length, which profile tyk asks for here".to_owned(),
    };
    Step::new("body_size", Outcome::of(checked.err()), found)
        .expecting(format!("at most {limit} octets (requestSizeLimit)"))
}

/// Whether the operation is open to callers at all.
pub(super) fn path_lists(checked: Result<(), Forbidden>) -> Step {
    let found = match checked {
        Ok(()) => "open to callers",
        Err(Forbidden::Closed(Closed::Block)) => "the path has one in it that is blocked for this method",
        Err(Forbidden::Closed(Closed::Internal)) => "the path has one in it that is internal for this method",
        Err(Forbidden::NotAllowed) => "none that is allowed: other operations are",
    };
    Step::new("operation_lists", Outcome::of(checked.err().map(|_| Reason::OperationForbidden)), found)
        .expecting("an operation that allow, block and internal leave open")
}

/// Nobody has to show who they are.
pub(super) fn open_api() -> Step {
    Step::new("authentication", Outcome::Passed, "none: the API is open to everybody")
}

/// Whether somebody has to.
pub(super) fn demand(needs: NeedsToken, is_due: bool) -> Step {
    let found = match (needs, is_due) {
        (NeedsToken::Always, _) => "a credential is needed",
        (NeedsToken::IfThereIsOne, true) => "a credential is optional here; there is one, which must be good",
        (NeedsToken::IfThereIsOne, false) => "a credential is optional here, and there is none",
        (NeedsToken::Never, _) => "the operation ignores credentials",
    };
    let outcome = if is_due { Outcome::Passed } else { Outcome::Skipped };
    Step::new("authentication", outcome, found)
}

/// Whether the caller may use this path with this method.
pub(super) fn path_right(wanted: &Wanted<'_>, granted: Result<(), Reason>) -> Step {
    let found = match granted {
        Ok(()) => "granted",
        Err(_) if wanted.ambiguous => "not granted: servers may read the path in more than one way",
        Err(_) => "not granted: no allowed_urls entry covers it",
    };
    let [whole, below] = wanted.paths;
    Step::new("path_right", Outcome::of(granted.err()), found)
        .expecting(format!("{} {whole}, or {below} below the listen path", wanted.method))
}

/// Only the token was asked about.
pub(super) fn path_not_asked() -> Step {
    let found = "not asked: describe a request to see its operation, path, scopes and limits";
    Step::new("path_right", Outcome::Skipped, found)
}

/// Whether the scopes of the token are enough for the operation.
pub(super) fn scopes(check: &ScopeCheck, session: &Session, result: &Result<(), MissingScopes>) -> Step {
    let own = check.claims.of(session.claims()).join(" ");
    let step = |outcome, found| Step::new("scopes", outcome, found);
    match result {
        Ok(()) => step(Outcome::Passed, own).expecting("the scopes that the operation asks for"),
        Err(MissingScopes { required, missing }) => {
            let failed = Outcome::Failed(Reason::ScopeInsufficient);
            step(failed, format!("{own} (lacking: {missing})")).expecting(required.clone())
        }
    }
}

/// For whom limits count the request, where claims decide that.
pub(super) fn counted(session: Option<&Session>, api: &Api) -> String {
    let Some(session) = session.filter(|session| session.claims_of_token().is_some()) else {
        return String::new();
    };
    let by = session.plan(api.id()).and_then(Plan::by).cloned().unwrap_or_default();
    let keys = [
        ("rate", by.rate.map(|by| by.key)),
        ("endpoint", by.endpoints.map(|by| by.key)),
        ("quota", by.quota.map(|by| by.key)),
        ("api", api.definition.limits.by().cloned()),
    ];
    let told = |(name, key): (&str, Option<CountKey>)| {
        key.map(|key| format!("; {name} counted for {}", key.told(session.claims())))
    };
    keys.into_iter().filter_map(told).collect()
}

/// What is left of the limits. Nothing was counted.
pub(super) fn limits(seen: &Result<Pass, Refusal>, counted: &str) -> Step {
    let left = |standing: &Standing| {
        let time = standing.renewed_in.map(|time| format!(", renewed in {} s", time.as_secs()));
        let (remaining, all) = (standing.remaining, standing.allowance.requests());
        format!("{}: {remaining} of {all} left{}", standing.name, time.unwrap_or_default())
    };
    match seen {
        Ok(pass) => {
            let left: Vec<String> = [&pass.rate, &pass.quota_left].into_iter().flatten().map(left).collect();
            let found = if left.is_empty() { "none of this caller".to_owned() } else { left.join("; ") };
            Step::new("limits", Outcome::Passed, format!("{found}{counted}"))
        }
        Err(refusal) => {
            let reason = refusal.reason();
            let what = if reason == Reason::LimitsUnavailable { "not to be asked" } else { "used up" };
            Step::new("limits", Outcome::Failed(reason), format!("{what}: {}{counted}", reason.code()))
        }
    }
    .expecting("one more request; none is counted for this explanation")
}

/// The operation has an answer of its own.
pub(super) fn mock(made: &Result<Response<Bytes>, NoExample>) -> Step {
    let (outcome, found) = match made {
        Ok(_) => (Outcome::Passed, "the operation is answered here, as it is mocked".to_owned()),
        Err(none) => (Outcome::Failed(Reason::MockUnmatched), none.to_string()),
    };
    Step::new("mock", outcome, found).expecting("an example of the document that the request accepts")
}

/// Which API the request goes on at.
pub(super) fn led_on(next: &Result<Found<'_>, Refusal>) -> Step {
    let (outcome, found) = match next {
        Ok(next) => (Outcome::Passed, format!("{}, with {}", next.api.id(), next.target.raw)),
        Err(refusal) => (Outcome::Failed(refusal.reason()), format!("none: {}", refusal.reason().code())),
    };
    Step::new("api", outcome, found).expecting("another API, to which this one leads")
}

/// Which URL the request gets, where the operation has a rewrite. Neither query is shown: there may be a
/// secret of the definition in it.
pub(super) fn rewritten(rewritten: Option<&Rewritten<'_>>, reason: Option<Reason>) -> Step {
    let found = match rewritten {
        None => "the pattern is not found, so the URL stays as it is".to_owned(),
        Some(Rewritten { to, path, query, .. }) => {
            let whose = match to {
                Server::Same => String::new(),
                Server::Other(upstreams) => {
                    let host = upstreams.next_turn().next().map(|upstream| &upstream.host);
                    let host = host.and_then(|host| host.to_str().ok()).unwrap_or_default();
                    format!(" at {host}")
                }
                Server::Api(address) => match address.api.name() {
                    Some(name) => format!(" at the API {name}"),
                    None => " at this API".to_owned(),
                },
            };
            let with_query = if query.is_some() { ", with a query" } else { "" };
            format!("{path}{whose}{with_query}")
        }
    };
    Step::new("rewrite", Outcome::of(reason), found)
        .expecting("a path without dot segments, and no empty variable")
}

/// What the upstream would get.
pub(super) fn forwarded<T>(prepared: &Result<T, Refusal>, head: &Parts) -> Step {
    let reason = prepared.as_ref().err().map(Refusal::reason);
    let found = match reason {
        None => {
            let host = head.headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
            format!("nothing stands in the way: {} {} at {host}", head.method, head.uri.path())
        }
        Some(Reason::ClaimNotForwardable) => {
            "a claim that a header field would carry cannot stand in one".to_owned()
        }
        Some(_) => "the request cannot be made one for the upstream".to_owned(),
    };
    Step::new("upstream", Outcome::of(reason), found)
        .expecting("a request that can go to the upstream; none is sent")
}
