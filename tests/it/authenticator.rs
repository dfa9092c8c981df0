//! The check as a library: what it remembers, and how it is built.

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use claimgate::{
    auth::{Authenticator, BuildError, Credential},
    jwks::{FetchOptions, HttpFetch, PrivateNetworks, Registry, UrlError},
    jwt::{Algorithm, Check, ClaimRule, Expect, Locator, Mode, Pattern, Requirement, RulesError, Token},
    refusal::Reason,
    session::Identity,
};
use http::{HeaderMap, HeaderValue, header::AUTHORIZATION};
use serde_json::json;

use crate::support::{Server, claims, key, key_named, respond};

fn registry() -> Registry {
    Registry::start(Arc::new(HttpFetch::new().unwrap())).unwrap()
}

fn secret() -> Vec<u8> {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    STANDARD.decode(key(Algorithm::HS256).to_text().unwrap().trim()).unwrap()
}

fn bearer(claims: &serde_json::Value) -> HeaderMap {
    let token = key(Algorithm::HS256).sign(&json!({}), claims).unwrap();
    let mut headers = HeaderMap::new();
    headers.insert(AUTHORIZATION, HeaderValue::try_from(format!("Bearer {token}")).unwrap());
    headers
}

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

#[tokio::test]
async fn a_token_that_was_good_is_looked_at_again() {
    let authenticator = Authenticator::builder([Algorithm::HS256]).key(secret()).build(&registry()).unwrap();
    let headers = bearer(&claims(json!({ "iat": 1000, "nbf": 1000, "exp": 2000 })));
    let ask = async |seconds| {
        let result = authenticator.authenticate_at(at(seconds), &headers, None).await;
        result.map(|session| session.subject().to_owned()).map_err(|refusal| refusal.reason())
    };
    assert_eq!(ask(1999).await.as_deref(), Ok("alice"));
    assert_eq!(ask(1999).await.as_deref(), Ok("alice"));
    assert_eq!(ask(2000).await, Err(Reason::TokenExpired));
    // The clock may be set back.
    assert_eq!(ask(1000).await.as_deref(), Ok("alice"));
    assert_eq!(ask(999).await, Err(Reason::TokenNotYetValid));
}

#[tokio::test]
async fn tokens_end_unless_their_owner_says_otherwise() {
    let build = |change: fn(claimgate::auth::Builder) -> claimgate::auth::Builder| {
        change(Authenticator::builder([Algorithm::HS256]).key(secret())).build(&registry()).unwrap()
    };
    let endless = bearer(&claims(json!({ "exp": null })));
    let refusal = build(|b| b).authenticate(&endless, None).await.unwrap_err();
    assert_eq!(refusal.reason(), Reason::RequiredClaimMissing);
    let session = build(|b| b.required_claims(["sub"])).authenticate(&endless, None).await.unwrap();
    let identity = Identity::Subject { issuer: Some("https://idp.test"), subject: "alice" };
    assert_eq!((session.identity(), session.expires()), (identity, None));
}

#[tokio::test]
async fn keys_by_issuer() {
    let signing = key(Algorithm::ES256);
    let keys = json!({ "keys": [signing.public_jwk(Some("one"))] });
    let idp = Server::start(move |request, stream| {
        let own = format!("http://{}", request.values("host").concat());
        let body = match request.target() {
            "/.well-known/openid-configuration" => {
                json!({ "issuer": own, "jwks_uri": format!("{own}/keys") })
            }
            _ => keys.clone(),
        };
        respond(stream, "200 OK", "application/json", body.to_string().as_bytes())
    });
    let registry = registry();
    let options = FetchOptions { private_networks: PrivateNetworks::Refuse, ..FetchOptions::default() };
    let builder = Authenticator::builder([Algorithm::ES256]).discover(idp.url()).fetching(options);
    let authenticator = builder.build(&registry).unwrap();
    Registry::prefetch(authenticator.sources().cloned(), Duration::from_secs(10)).await;
    let ask = async |issuer: &str| {
        let token = signing.sign(&json!({ "kid": "one" }), &claims(json!({ "iss": issuer }))).unwrap();
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, format!("Bearer {token}").parse().unwrap());
        let result = authenticator.authenticate(&headers, None).await;
        result.map(drop).map_err(|refusal| refusal.reason())
    };
    assert_eq!(ask(&idp.url()).await, Ok(()));
    let fetches = idp.recorded().len();
    // A token of another issuer is not worth a question.
    assert_eq!(ask("https://other.test").await, Err(Reason::KeyUnknown));
    assert_eq!(idp.recorded().len(), fetches);
}

#[tokio::test]
async fn a_token_that_was_good_grows_too_old() {
    let headers = bearer(&claims(json!({ "iat": 1000, "exp": 9000 })));
    let old = Duration::from_secs(600);
    let builder = || Authenticator::builder([Algorithm::HS256]).key(secret());
    let authenticator = builder().max_age(old).build(&registry()).unwrap();
    for (seconds, refused) in [
        (1000, None),
        (1600, None),
        (1600, None),
        (1601, Some(Reason::TokenTooOld)),
        (1600, None),
        (9000, Some(Reason::TokenExpired)),
    ] {
        let result = authenticator.authenticate_at(at(seconds), &headers, None).await;
        assert_eq!(result.err().map(|refusal| refusal.reason()), refused, "{seconds}");
    }
    // A check that only warns begins to do so as well.
    let too_old = Check::new(Requirement::MaxAge(600)).in_mode(Mode::Warn);
    let authenticator = builder().check(too_old).build(&registry()).unwrap();
    for (seconds, warned) in [(1600, 0), (1600, 0), (1601, 1), (1601, 1), (1600, 0), (5000, 1)] {
        let session = authenticator.authenticate_at(at(seconds), &headers, None).await.unwrap();
        assert_eq!(session.warnings().len(), warned, "{seconds}");
        assert!(session.warnings().iter().all(|name| **name == *"maxAge"));
    }
}

#[tokio::test]
async fn an_authenticator_can_be_strict() {
    let rule = ClaimRule {
        claim: Locator::parse("/realm_access/roles").unwrap(),
        optional: false,
        expect: Expect::Matches(Pattern::new("admin").unwrap()),
    };
    let authenticator = Authenticator::builder([Algorithm::HS256])
        .key(secret())
        .audiences(["orders"])
        .types(["JWT", "at+jwt"])
        .max_lifetime(Duration::from_secs(3600))
        .authorized_parties(["web"])
        .claim("admins", rule)
        .build(&registry())
        .unwrap();
    let good = || json!({ "azp": "web", "realm_access": { "roles": "admin" } });
    for (changes, refused) in [
        (json!({}), None),
        (json!({ "aud": "other" }), Some(Reason::AudienceNotAllowed)),
        (json!({ "iat": 1 }), Some(Reason::TokenLivesTooLong)),
        (json!({ "azp": "other" }), Some(Reason::PartyNotAllowed)),
        (json!({ "realm_access": { "roles": "admins" } }), Some(Reason::ClaimNotMatching)),
    ] {
        let mut all = good();
        crate::support::merge(&mut all, changes.clone());
        let token = key(Algorithm::HS256).sign(&json!({ "typ": "JWT" }), &claims(all)).unwrap();
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, HeaderValue::try_from(format!("Bearer {token}")).unwrap());
        let result = authenticator.authenticate(&headers, None).await;
        assert_eq!(result.err().map(|refusal| refusal.reason()), refused, "{changes}");
    }
    let access = Authenticator::builder([Algorithm::HS256]).key(secret()).access_tokens();
    let refusal = access.build(&registry()).unwrap().authenticate(&bearer(&claims(json!({}))), None).await;
    assert_eq!(refusal.unwrap_err().reason(), Reason::TypeNotAllowed);
}

#[test]
fn what_cannot_be_built() {
    let fails = |builder: claimgate::auth::Builder| builder.build(&registry()).unwrap_err();
    assert_eq!(fails(Authenticator::builder([]).key(secret())), BuildError::NoAlgorithm);
    assert_eq!(fails(Authenticator::builder([Algorithm::HS256])), BuildError::NoKeySource);
    let hs = || Authenticator::builder([Algorithm::HS256]);
    assert_eq!(fails(hs().key(secret()).jwks_uri("idp.example/jwks")), BuildError::Url(0, UrlError::Shape));
    assert_eq!(fails(hs().discover("http://idp.example")), BuildError::Url(0, UrlError::Exposed));
    assert!(matches!(fails(hs().key(secret()).key("short")), BuildError::Key(1, _)));
    assert_eq!(fails(hs().key(secret()).key([7; 32])), BuildError::NamelessKeys);
    let none: [&str; 0] = [];
    for (builder, name) in [
        (hs().issuers(none), "iss"),
        (hs().audiences(none), "aud"),
        (hs().types(none), "typ"),
        (hs().max_age(Duration::from_millis(999)), "maxAge"),
    ] {
        let error = fails(builder.key(secret()));
        let BuildError::Rules(RulesError::Check { name: own, .. }) = &error else { panic!("{error}") };
        assert_eq!(**own, *name);
    }
    let rule = |expect| ClaimRule { claim: Locator::parse("a").unwrap(), optional: false, expect };
    let (there, not_there) = (rule(Expect::Present), rule(Expect::Absent));
    let same = hs().key(secret()).claim("a", there.clone()).claim("a", not_there.clone());
    assert_eq!(fails(same), BuildError::Rules(RulesError::SameName("a".into())));
    let never = hs().key(secret()).claim("a", there).claim("b", not_there);
    assert_eq!(fails(never), BuildError::Rules(RulesError::Contradiction(["a".into(), "b".into()])));
}

#[test]
fn nothing_shows_what_it_should_not() {
    let token = key(Algorithm::HS256).sign(&json!({}), &claims(json!({}))).unwrap();
    let builder = Authenticator::builder([Algorithm::HS256]).key("0123456789abcdef0123456789abcdef");
    let shown = [
        format!("{:?}", Token::parse(&token, 16_384).unwrap()),
        format!("{:?}", Credential::Token((&*token).into())),
        format!("{builder:?}"),
        format!("{:?}", builder.build(&registry()).unwrap()),
        format!("{:?}", key_named("other", Algorithm::RS256)),
    ];
    for text in shown {
        for part in token.split('.').chain(["0123456789", "48, 49, 50", "PRIVATE"]) {
            assert!(!text.contains(part), "{text}");
        }
    }
}
