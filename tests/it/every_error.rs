//! `docs/errors.md`, row by row: every reason is met from outside, in both profiles, and the answer
//! is the one that its row promises. Who adds a reason adds how it is met to [`WAYS`].

use std::{
    collections::HashMap,
    fs,
    io::Write as _,
    net::TcpStream,
    path::Path,
    sync::{Mutex, mpsc::Receiver},
};

use claimgate::{
    jwt::{
        Algorithm,
        jwe::{
            AesSize, ContentEncryption, KeyManagement,
            encrypt::{EncryptionKey, generate},
        },
    },
    refusal::{Flag, Reason},
};
use serde_json::{Value, json};

use crate::api_keys;
use crate::support::{
    Answer, Gateway, Request, Server, Setup, api, claims, exchange, key, key_named, keyless, merge, now,
    provider, scheme,
};

/// How an error is met.
struct Way {
    code: &'static str,
    meet: fn(&Stage) -> Met<'_>,
    /// The profile that has no such answer, if one has none, and why.
    missing_in: Option<(&'static str, &'static str)>,
}

/// What came of it.
struct Met<'s> {
    gateway: &'s Gateway,
    /// Nothing, if nobody was left to be answered.
    answer: Option<Answer>,
    /// What the gateway said would become of the request, if it was asked before.
    explained: Option<Value>,
}

impl<'s> Met<'s> {
    const fn answered(gateway: &'s Gateway, answer: Answer) -> Self {
        Self { gateway, answer: Some(answer), explained: None }
    }

    /// What was said before must be what was met, but for what only the upstream can tell.
    #[track_caller]
    fn was_foretold(&self, code: &str) {
        let (Some(explained), Some(answer)) = (&self.explained, &self.answer) else { return };
        if code.starts_with("upstream_") {
            assert_eq!((&explained["allowed"], &explained["answer"]), (&json!(true), &Value::Null), "{code}");
            return;
        }
        let foretold = json!({ "status": answer.status, "reason": code, "body": answer.text() });
        assert_eq!(explained["answer"], foretold, "{explained:#}");
        let steps = explained["steps"].as_array().unwrap();
        let deciding: Vec<&Value> = steps.iter().filter(|step| step["decides"] == true).collect();
        assert_eq!(deciding.len(), 1, "{explained:#}");
        assert_eq!((&deciding[0]["reason"], &deciding[0]["outcome"]), (&json!(code), &json!("fail")));
    }
}

const fn way(code: &'static str, meet: fn(&Stage) -> Met<'_>) -> Way {
    Way { code, meet, missing_in: None }
}

const fn way_in_rfc(code: &'static str, why_not: &'static str, meet: fn(&Stage) -> Met<'_>) -> Way {
    Way { code, meet, missing_in: Some(("tyk", why_not)) }
}

const fn way_in_tyk(code: &'static str, why_not: &'static str, meet: fn(&Stage) -> Met<'_>) -> Way {
    Way { code, meet, missing_in: Some(("rfc", why_not)) }
}

/// The ways of a profile.
fn ways_in(profile: &str) -> impl Iterator<Item = &Way> {
    WAYS.iter().filter(move |way| way.missing_in.is_none_or(|(missing, _)| missing != profile))
}

const WAYS: &[Way] = &[
    way("bad_request", |stage| stage.send(Request::get("/orders/..;/x"))),
    way("body_broken", |stage| {
        let request = b"POST /open/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n";
        Met::answered(&stage.gateway, exchange(stage.gateway.address(), request))
    }),
    way("body_timeout", |stage| {
        let request = b"POST /open/ HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhalf";
        Met::answered(&stage.hasty, exchange(stage.hasty.address(), request))
    }),
    way("not_found", |stage| stage.send(Request::get("/nowhere"))),
    way("version_missing", |stage| stage.send(Request::get("/versions/"))),
    way_in_rfc("version_ambiguous", "the first one counts", |stage| {
        stage.send(Request::get("/versions/").header("X-Version", "v1").header("X-Version", "v2"))
    }),
    way("version_unknown", |stage| stage.send(Request::get("/versions/").header("X-Version", "v9"))),
    way("api_expired", |stage| stage.send(Request::get("/ended/"))),
    way("address_denied", |stage| stage.send(Request::get("/fenced/"))),
    way("request_too_large", |stage| stage.send(Request::new("POST", "/sized/").body(b"more than ten"))),
    way_in_tyk("length_missing", "a body without a length is counted on its way", |stage| {
        stage.send(Request::new("POST", "/sized/"))
    }),
    way("operation_forbidden", |stage| stage.send(Request::get("/sized/blocked"))),
    way("mock_unmatched", |stage| {
        stage.send(Request::get("/sized/example").header("X-Tyk-Accept-Example-Code", "404"))
    }),
    way("token_missing", |stage| stage.send(Request::get("/orders/"))),
    way_in_rfc("token_ambiguous", "the first place in Tyk's order counts", |stage| {
        let (one, other) = (good(json!({})), good(json!({ "jti": "other" })));
        stage.send(Request::get("/orders/").bearer(&one).bearer(&other))
    }),
    way("api_key_missing", |stage| stage.send(Request::get("/keyed/"))),
    way_in_rfc("api_key_ambiguous", "the first place in Tyk's order counts", |stage| {
        let request = Request::get("/keyed/").header("X-Api-Key", "one-key").header("X-Api-Key", "another");
        stage.send(request)
    }),
    way("api_key_unknown", |stage| stage.with_key("nobodys-key", None)),
    way("api_keys_unavailable", |stage| {
        let request = Request::get("/keyed/").header("X-Api-Key", "anybodys-key");
        Met::answered(&stage.lonely, stage.lonely.send(&request))
    }),
    way("api_key_inactive", |stage| stage.with_key("switched-off", Some(json!({ "is_inactive": true })))),
    way("api_key_expired", |stage| stage.with_key("long-gone", Some(json!({ "expires": 1 })))),
    way("token_too_large", |stage| stage.send(Request::get("/small/").bearer(&good(json!({}))))),
    way("token_malformed", |stage| stage.send(Request::get("/orders/").bearer("not.a.token"))),
    way("token_critical", |stage| {
        let token =
            key(Algorithm::HS256).sign(&json!({ "crit": ["x"], "x": 1 }), &claims(json!({}))).unwrap();
        stage.send(Request::get("/orders/").bearer(&token))
    }),
    way("token_not_encrypted", |stage| stage.send(Request::get("/encrypted/").bearer(&good(json!({}))))),
    way("token_compressed", |stage| stage.encrypted(&stage.secret_key, json!({ "zip": "DEF" }))),
    way("token_not_nested", |stage| stage.encrypted(&stage.secret_key, json!({ "cty": "JSON" }))),
    way("decryption_failed", |stage| stage.encrypted(&generate(WRAP).unwrap(), json!({}))),
    way("header_claim_differs", |stage| stage.encrypted(&stage.secret_key, json!({ "iss": "other" }))),
    way("algorithm_unknown", |stage| {
        let token = key(Algorithm::HS256).sign(&json!({ "alg": "XS256" }), &claims(json!({}))).unwrap();
        stage.send(Request::get("/orders/").bearer(&token))
    }),
    way("algorithm_not_allowed", |stage| {
        let token = key(Algorithm::RS256).sign(&json!({}), &claims(json!({}))).unwrap();
        stage.send(Request::get("/orders/").bearer(&token))
    }),
    way("key_unknown", |stage| {
        let token = key(Algorithm::ES256).sign(&json!({ "kid": "z" }), &claims(json!({}))).unwrap();
        stage.send(Request::get("/remote/").bearer(&token))
    }),
    way("keys_unavailable", |stage| {
        let token = key(Algorithm::ES256).sign(&json!({ "kid": "a" }), &claims(json!({}))).unwrap();
        stage.send(Request::get("/keyless/").bearer(&token))
    }),
    way("signature_invalid", |stage| {
        let token = key_named("other", Algorithm::HS256).sign(&json!({}), &claims(json!({}))).unwrap();
        stage.send(Request::get("/orders/").bearer(&token))
    }),
    way("claims_malformed", |stage| stage.signed(&json!(["no", "object"]))),
    way("claims_null", |stage| stage.signed(&Value::Null)),
    way("token_expired", |stage| stage.orders(json!({ "exp": now() - 10 }))),
    way("token_issued_in_future", |stage| stage.orders(json!({ "iat": now() + 100 }))),
    way("token_not_yet_valid", |stage| stage.orders(json!({ "nbf": now() + 100 }))),
    way("required_claim_missing", |stage| stage.orders(json!({ "tenant": null }))),
    way("type_not_allowed", |stage| {
        let token = key(Algorithm::HS256).sign(&json!({ "typ": "at+jwt" }), &good_claims(json!({}))).unwrap();
        stage.send(Request::get("/strict/").bearer(&token))
    }),
    way("token_too_old", |stage| stage.strict(json!({ "iat": now() - 4000 }))),
    way("token_lives_too_long", |stage| stage.strict(json!({ "exp": now() + 10_000 }))),
    way("issuer_missing", |stage| stage.orders(json!({ "iss": null }))),
    way("issuer_not_text", |stage| stage.orders(json!({ "iss": 5 }))),
    way("issuer_not_allowed", |stage| stage.orders(json!({ "iss": "https://mallory.test" }))),
    way("audience_missing", |stage| stage.orders(json!({ "aud": null }))),
    way("audience_malformed", |stage| stage.orders(json!({ "aud": 5 }))),
    way("audience_not_allowed", |stage| stage.orders(json!({ "aud": ["a", "b"] }))),
    way("party_missing", |stage| stage.strict(json!({ "azp": null }))),
    way("party_not_allowed", |stage| stage.strict(json!({ "azp": "mallory" }))),
    way("jti_missing", |stage| stage.orders(json!({ "jti": null }))),
    way("subject_missing", |stage| stage.orders(json!({ "sub": null }))),
    way("subject_empty", |stage| stage.orders(json!({ "sub": "" }))),
    way("subject_not_allowed", |stage| stage.orders(json!({ "sub": "mallory" }))),
    way("claim_missing", |stage| stage.orders(json!({ "dept": null }))),
    way("claim_present", |stage| stage.strict(json!({ "nonce": "n" }))),
    way("claim_null", |stage| {
        // `null` in the token itself, not a claim that is taken out.
        let Value::Object(mut claims) = good_claims(json!({})) else { unreachable!() };
        claims.insert("dept".into(), Value::Null);
        stage.signed(&claims.into())
    }),
    way("claim_not_containing", |stage| stage.orders(json!({ "groups": ["guests"] }))),
    way("claim_not_matching", |stage| stage.orders(json!({ "role": "user" }))),
    way("identity_missing", |stage| stage.policies(json!({ "sub": null }))),
    way("identity_empty", |stage| stage.policies(json!({ "sub": "" }))),
    way("policy_unknown", |stage| stage.policies(json!({ "pol": "nobodys" }))),
    way("default_policy_unknown", |stage| stage.send(Request::get("/lost/").bearer(&good(json!({}))))),
    way("policy_rule_unmatched", |stage| stage.send(Request::get("/ruled/").bearer(&good(json!({}))))),
    way("scope_insufficient", |stage| {
        stage.send(Request::get("/scoped/").bearer(&good(json!({ "scope": "other" }))))
    }),
    way("policy_none", |stage| stage.send(Request::get("/none/").bearer(&good(json!({}))))),
    way("scope_missing", |stage| stage.policies(json!({ "sub": "a-stranger" }))),
    way_in_tyk("scope_missing_again", "whoever lacks a scope is told so in the same words", |stage| {
        stage.policies(json!({ "sub": "a-known-one", "pol": "all" }));
        stage.policies(json!({ "sub": "a-known-one" }))
    }),
    way("scope_unmapped", |stage| stage.policies(json!({ "scope": "other" }))),
    way("scope_policy_unknown", |stage| stage.policies(json!({ "scope": "lost" }))),
    way("policy_without_rights", |stage| stage.policies(json!({ "pol": "empty" }))),
    way("policy_inactive", |stage| stage.policies(json!({ "pol": "off" }))),
    way("api_not_granted", |stage| stage.policies(json!({ "pol": "elsewhere" }))),
    way("path_not_granted", |stage| stage.policies(json!({ "pol": "narrow" }))),
    way("rate_exceeded", |stage| {
        stage.policies(json!({ "pol": "slow" }));
        stage.policies(json!({ "pol": "slow" }))
    }),
    way("quota_exceeded", |stage| {
        stage.policies(json!({ "pol": "spent" }));
        stage.policies(json!({ "pol": "spent" }))
    }),
    way("limits_unavailable", |stage| {
        Met::answered(&stage.lonely, stage.lonely.send(&Request::get("/busy/")))
    }),
    way("api_rate_exceeded", |stage| {
        stage.send(Request::get("/busy/"));
        stage.send(Request::get("/busy/"))
    }),
    way("claim_not_forwardable", |stage| {
        stage.send(Request::get("/named/").bearer(&good(json!({ "name": "a\r\nX-Admin: 1" }))))
    }),
    way("loop_too_deep", |stage| stage.send(Request::get("/circle/"))),
    way("api_unknown", |stage| stage.send(Request::get("/astray/"))),
    way("upstream_lookup_failed", |stage| stage.send(Request::get("/unknown/"))),
    way("upstream_unreachable", |stage| stage.send(Request::get("/closed/"))),
    way("upstream_timeout", |stage| {
        let answer = stage.hasty.send(&Request::get("/silent/"));
        Met::answered(&stage.hasty, answer)
    }),
    way("upstream_broken", |stage| stage.send(Request::get("/broken/"))),
    way("client_closed", |stage| {
        let arrived = stage.arrived.lock().unwrap();
        // The request that was not waited for has arrived as well; leaving before ours does tells nothing.
        while arrived.try_recv().is_ok() {}
        let mut stream = TcpStream::connect(stage.gateway.address()).unwrap();
        stream.write_all(&Request::new("POST", "/silent/").to_bytes()).unwrap();
        arrived.recv().unwrap();
        Met { gateway: &stage.gateway, answer: None, explained: None }
    }),
];

const WRAP: KeyManagement = KeyManagement::EcdhEsKw(AesSize::A256);

/// Gateways and peers with which every error can be met.
struct Stage {
    gateway: Gateway,
    /// One that waits for nobody for long.
    hasty: Gateway,
    /// One whose Redis cannot be reached.
    lonely: Gateway,
    /// What the API of encrypted tokens decrypts with.
    secret_key: String,
    /// A request has reached the silent upstream.
    arrived: Mutex<Receiver<()>>,
    /// They answer for as long as the stage is there.
    _peers: Vec<Server>,
}

impl Stage {
    /// Gateways whose answers name the flag of what was met, and are otherwise as ever.
    fn new(profile: &str) -> Self {
        let (silent, arrived) = Server::silent();
        let broken = Server::start(|_, stream| {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n");
            false
        });
        let up = Server::up();
        let idp = provider(&[("a", key(Algorithm::ES256))]);
        let secret_key = generate(WRAP).unwrap();
        let flags = Flag::ALL.iter().map(|flag| flag.code());
        let naming =
            |flag| json!({ "match": { "flag": flag }, "response": { "headers": { "X-Flag": flag } } });
        let naming: Vec<Value> = flags.map(naming).collect();
        let config = json!({ "errors": profile, "error_overrides": { "4xx": naming, "5xx": naming } });
        let hasty = Setup::new()
            .config(&merged(&config, json!({ "timeouts": { "response": "200ms" } })))
            .api(&keyless("open", &up))
            .api(&keyless("silent", &silent))
            .start();
        let nowhere = closed().replacen("http", "redis", 1);
        let redis = json!({ "url": nowhere, "onFailure": { "apiRate": "closed" } });
        let keys = json!({ "store": "redis", "secret": "what keys would be sealed with, if they were" });
        let lonely = merged(&config, json!({ "redis": redis, "keys": keys }));
        let to = |id: &str, upstream: Value| {
            merged(&keyless(id, &up), json!({ "x-tyk-api-gateway": { "upstream": upstream } }))
        };
        let of = |id: &str, info: Value| {
            merged(&keyless(id, &up), json!({ "x-tyk-api-gateway": { "info": info } }))
        };
        let versions = json!({ "versioning": {
            "enabled": true, "name": "v1", "location": "header", "key": "X-Version", "versions": [],
        } });
        let gateway = protected(Setup::new().config(&config), &up, &idp)
            .env("SECRET", key(Algorithm::HS256).to_text().unwrap().trim())
            .env("ENCRYPTION", &secret_key)
            .api(&keyless("open", &up))
            .api(&keyless("silent", &silent))
            .api(&keyless("broken", &broken))
            .api(&merged(
                &keyless("fenced", &up),
                json!({ "x-tyk-api-gateway": { "server": {
                "ipAccessControl": { "enabled": true, "block": ["127.0.0.1"] } } } }),
            ))
            .api(&merged(
                &keyless("sized", &up),
                json!({
                "paths": {
                    "/blocked": { "get": { "operationId": "blocked", "responses": {} } },
                    "/example": { "get": { "operationId": "example", "responses": {
                        "200": { "content": { "application/json": { "example": 1 } } } } } },
                },
                "x-tyk-api-gateway": { "middleware": {
                    "global": { "requestSizeLimit": { "enabled": true, "value": 10 } },
                    "operations": {
                        "blocked": { "block": { "enabled": true } },
                        "example": { "mockResponse": { "enabled": true, "fromOASExamples": { "enabled": true } } },
                    } } } }),
            ))
            .api(&to("busy", json!({ "rateLimit": { "enabled": true, "rate": 1, "per": "1h" } })))
            .api(&of("versions", versions))
            .api(&of("ended", json!({ "expiration": "2020-01-01 00:00" })))
            .api(&to("circle", json!({ "url": "tyk://circle" })))
            .api(&to("astray", json!({ "url": "tyk://nobody" })))
            .api(&to("unknown", json!({ "url": "http://upstream.invalid" })))
            .api(&to("closed", json!({ "url": closed() })))
            .start();
        let lonely = Setup::new()
            .config(&lonely)
            .api(&api_keys::keyed("keyed", &up))
            .api(&to("busy", json!({ "rateLimit": { "enabled": true, "rate": 1, "per": "1h" } })))
            .start();
        Self {
            gateway,
            hasty,
            lonely,
            secret_key,
            arrived: Mutex::new(arrived),
            _peers: vec![silent, broken, up, idp],
        }
    }

    #[track_caller]
    fn send(&self, request: Request) -> Met<'_> {
        let explained = Some(self.gateway.explain(&request.described()));
        Met { explained, ..Met::answered(&self.gateway, self.gateway.send(&request)) }
    }

    /// To the API with all rules about claims: a good token but for these changes.
    fn orders(&self, changes: Value) -> Met<'_> {
        self.signed(&good_claims(changes))
    }

    /// To the same API: exactly these claims.
    fn signed(&self, claims: &Value) -> Met<'_> {
        let token = key(Algorithm::HS256).sign(&json!({}), claims).unwrap();
        self.send(Request::get("/orders/").bearer(&token))
    }

    /// To the API with the stricter rules: a good token but for these changes.
    fn strict(&self, changes: Value) -> Met<'_> {
        let claims = merged(&good_claims(json!({ "azp": "web" })), changes);
        let token = key(Algorithm::HS256).sign(&json!({}), &claims).unwrap();
        self.send(Request::get("/strict/").bearer(&token))
    }

    /// To the API where policies come from claims and scopes.
    fn policies(&self, changes: Value) -> Met<'_> {
        self.send(Request::get("/policies/x").bearer(&good(changes)))
    }

    /// To the API that wants a key, with one that is made with these changes to a good one.
    fn with_key(&self, key: &str, changes: Option<Value>) -> Met<'_> {
        if let Some(changes) = changes {
            let body = merged(&json!({ "access_rights": { "keyed": { "api_id": "keyed" } } }), changes);
            let request = Request::new("POST", format!("/tyk/keys/{key}")).body(body.to_string().as_bytes());
            assert_eq!(self.gateway.admin(request).status, 200);
        }
        self.send(Request::get("/keyed/").header("X-Api-Key", key))
    }

    /// To the API of encrypted tokens.
    fn encrypted(&self, key: &str, header: Value) -> Met<'_> {
        let key = EncryptionKey::from_text(key, None, Some(WRAP)).unwrap();
        let content = ContentEncryption::Gcm(AesSize::A256);
        let token = key.encrypt(content, &header, &good(json!({}))).unwrap();
        self.send(Request::get("/encrypted/").bearer(&token))
    }
}

fn merged(value: &Value, changes: Value) -> Value {
    let mut merged = value.clone();
    merge(&mut merged, changes);
    merged
}

/// Where nobody listens.
fn closed() -> String {
    let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    format!("http://{address}")
}

fn good_claims(changes: Value) -> Value {
    let more = json!({ "jti": "1", "tenant": "t", "dept": "d", "groups": ["staff"], "role": "admin" });
    merged(&claims(more), changes)
}

fn good(changes: Value) -> String {
    key(Algorithm::HS256).sign(&json!({}), &good_claims(changes)).unwrap()
}

/// The APIs that want a token, and their policies.
fn protected(setup: Setup, up: &Server, idp: &Server) -> Setup {
    let hmac = |changes: Value| {
        merged(&scheme(json!({ "source": "env://SECRET", "signingMethod": "hmac" })), changes)
    };
    let remote = |url: &str| scheme(json!({ "signingMethod": "ecdsa", "jwksURIs": [{ "url": url }] }));
    let refined = |id: &str, scheme: Value, refined: Value| {
        let mut document = api(id, up, scheme);
        let schemes = json!({ "securitySchemes": { "jwt": refined } });
        merge(&mut document, json!({ "x-claimgate": { "server": { "authentication": schemes } } }));
        document
    };
    let rules = hmac(json!({
        "allowedIssuers": ["https://idp.test"],
        "allowedAudiences": ["orders"],
        "allowedSubjects": ["alice"],
        "jtiValidation": { "enabled": true },
        "customClaimValidation": {
            "dept": { "type": "required" },
            "groups": { "type": "contains", "allowedValues": ["staff"] },
            "role": { "type": "exact_match", "allowedValues": ["admin"] },
        },
    }));
    let strict = json!({
        "types": ["JWT"],
        "maxAge": "1h",
        "maxLifetime": "2h",
        "authorizedParties": ["web"],
        "claims": [{ "claim": "nonce", "exists": false }],
    });
    let policies = hmac(json!({
        "basePolicyClaims": ["pol"],
        "defaultPolicies": [],
        "scopes": { "scopeToPolicyMapping": [{ "scope": "lost", "policyId": "nobodys" }] },
    }));
    let limited = |id: &str, limits: Value| {
        merged(&json!({ "id": id, "access_rights": { "policies": { "api_id": "policies" } } }), limits)
    };
    let mut named = api("named", up, hmac(json!({})));
    let header =
        json!({ "enabled": true, "add": [{ "name": "X-Name", "value": "$tyk_context.jwt_claims_name" }] });
    merge(
        &mut named,
        json!({ "x-tyk-api-gateway": { "middleware": { "global": {
            "contextVariables": { "enabled": true }, "transformRequestHeaders": header,
        } } } }),
    );
    let rule = json!({ "claim": "role", "values": ["boss"], "policies": ["all"] });
    let ruled = json!({ "claimsToPolicies": { "rules": [rule] } });
    let mut scoped = refined("scoped", hmac(json!({})), json!({ "scopeCheck": { "enabled": true } }));
    scoped["security"] = json!([{ "jwt": ["needed"] }]);
    let keyed = json!({
        "components": { "securitySchemes": { "key": { "type": "apiKey", "in": "header", "name": "X-Api-Key" } } },
        "security": [{ "key": [] }],
        "x-tyk-api-gateway": { "server": { "authentication": {
            "enabled": true, "securitySchemes": { "key": { "enabled": true } },
        } } },
    });
    setup
        .api(&merged(&keyless("keyed", up), keyed))
        .api(&refined("ruled", hmac(json!({})), ruled))
        .api(&scoped)
        .api(&refined("orders", rules, json!({ "requiredClaims": ["tenant"] })))
        .api(&refined("strict", hmac(json!({})), strict))
        .api(&refined("small", hmac(json!({})), json!({ "maxTokenSize": 256 })))
        .api(&refined("encrypted", hmac(json!({})), json!({ "decryption": { "keys": [{ "source": "env://ENCRYPTION" }] } })))
        .api(&api("remote", up, remote(&idp.url())))
        .api(&api("keyless", up, remote(&closed())))
        .api(&api("policies", up, policies))
        .api(&api("lost", up, hmac(json!({ "defaultPolicies": ["nobodys"] }))))
        .api(&api("none", up, hmac(json!({ "defaultPolicies": [] }))))
        .api(&named)
        .policy(&json!({ "id": "empty", "access_rights": {} }))
        .policy(&json!({ "id": "off", "is_inactive": true, "access_rights": { "policies": { "api_id": "policies" } } }))
        .policy(&json!({ "id": "elsewhere", "access_rights": { "orders": { "api_id": "orders" } } }))
        .policy(&limited("slow", json!({ "rate": 1, "per": 3600 })))
        .policy(&limited("spent", json!({ "quota_max": 1, "quota_renewal_rate": 3600 })))
        .policy(&json!({ "id": "narrow", "access_rights": { "policies": {
            "api_id": "policies", "allowed_urls": [{ "url": "/y", "methods": ["GET"] }],
        } } }))
}

/// A row of the page.
struct Row {
    rfc: String,
    error: String,
    description: String,
    tyk: u16,
    text: String,
    flag: Option<String>,
}

/// The page, by reason code.
fn page() -> HashMap<String, Row> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/errors.md");
    let text = fs::read_to_string(path).unwrap();
    let rows = text.lines().filter(|line| line.starts_with("| `"));
    let rows = rows.map(|line| line.split('|').map(str::trim).collect::<Vec<&str>>());
    // The other table says what to do.
    let answers = rows.filter(|cells| cells.len() > 4);
    answers
        .map(|cells| {
            let cell = |n: usize| cells[n].trim_matches('`').to_owned();
            let row = Row {
                rfc: cells[2].to_owned(),
                error: cell(3),
                description: cell(4),
                tyk: cells[5].parse().unwrap(),
                text: cell(6),
                flag: Some(cell(7)).filter(|flag| !flag.is_empty()),
            };
            (cell(1), row)
        })
        .collect()
}

#[test]
fn every_reason_has_its_way_and_its_row() {
    let page = page();
    for reason in Reason::ALL {
        let code = reason.code();
        assert!(
            WAYS.iter().any(|way| way.code == code),
            "nothing shows what {code} looks like from outside; say how it is met in WAYS of tests/it/every_error.rs"
        );
        assert!(
            page.contains_key(code),
            "docs/errors.md has no row for {code}; write it anew with UPDATE_DOCS=1"
        );
    }
    assert_eq!(
        (WAYS.len(), page.len()),
        (Reason::ALL.len(), Reason::ALL.len()),
        "something is there twice, or too much"
    );
}

/// Meets every error of a profile, looks at its traces, and hands on its answer, if the client got one.
fn each_answer(profile: &'static str, check: impl Fn(&str, &Row, &Answer)) {
    let stage = Stage::new(profile);
    let page = page();
    for way in ways_in(profile) {
        let (code, row) = (way.code, &page[way.code]);
        let met = (way.meet)(&stage);
        met.gateway.requests_with(&format!("\"reason\":\"{code}\""));
        met.was_foretold(code);
        let Some(answer) = met.answer else { continue };
        assert_eq!(answer.header("x-flag"), row.flag.as_deref(), "{code}");
        check(code, row, &answer);
    }
}

#[test]
fn in_rfc_they_are_answered_as_their_rows_say() {
    each_answer("rfc", |code, row, answer| {
        let status = row.rfc.split(' ').next().unwrap();
        let body = format!("{{\"error\":\"{}\",\"error_description\":\"{}\"}}\n", row.error, row.description);
        assert_eq!((answer.status.to_string(), answer.text()), (status.to_owned(), body), "{code}");
        assert_eq!(answer.header("content-type"), Some("application/json"), "{code}");
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{code}");
        // How many seconds depends on the clock. A limit has them if to come back is of use.
        let seconds = answer.header("retry-after");
        assert!(seconds.is_none_or(|seconds| seconds.parse::<u32>().is_ok_and(|n| n > 0)), "{code}");
        if answer.status != 429 {
            assert_eq!(seconds.is_some(), row.rfc.contains("`Retry-After`"), "{code}");
        }
        let challenge = answer.header("www-authenticate");
        if !row.rfc.contains("challenge") {
            assert_eq!(challenge, None, "{code}");
        } else if code.starts_with("api_key_") {
            let wanted = "ApiKey realm=\"keyed\", in=\"header\", name=\"x-api-key\"";
            assert_eq!(challenge, Some(wanted), "{code}");
        } else if code == "token_missing" {
            assert_eq!(challenge, Some("Bearer realm=\"orders\""), "{code}");
        } else {
            let description = row.description.trim_end_matches('.');
            let parameters = format!(", error=\"{}\", error_description=\"{description}\"", row.error);
            let challenge = challenge.unwrap_or_else(|| panic!("{code} has no challenge"));
            // Which scope is needed stands behind them (RFC 6750 section 3).
            let challenge = challenge.strip_suffix(", scope=\"needed\"").unwrap_or(challenge);
            assert!(challenge.starts_with("Bearer realm=\"") && challenge.ends_with(&parameters), "{code}");
        }
        assert!(!answer.text().contains(code) || row.error == code, "the code of the log is not for callers");
    });
}

#[test]
fn in_tyk_they_are_answered_as_their_rows_say() {
    each_answer("tyk", |code, row, answer| {
        // Tyk answers a lack of scopes in a form of its own.
        let is_of_scopes = code == "scope_insufficient";
        let member = if is_of_scopes { "error_description" } else { "error" };
        let said = serde_json::from_slice(&answer.body)
            .map_or_else(|_| answer.text(), |body: Value| body[member].as_str().unwrap().to_owned());
        assert_eq!(answer.status, row.tyk, "{code}: {said}");
        // What stands for the detail is at most once in a text, and never nothing.
        match row.text.split_once("{}") {
            None => assert_eq!(said, row.text, "{code}"),
            Some((before, after)) => {
                let detail = said.strip_prefix(before).and_then(|rest| rest.strip_suffix(after));
                assert!(detail.is_some_and(|detail| !detail.is_empty()), "{code}: {said}");
            }
        }
        assert_eq!(answer.header("www-authenticate").is_some(), is_of_scopes, "{code}");
    });
}
