//! Every combination of API keys and tokens that a definition can ask for: who gets in, as whom, and why not.

use std::collections::HashMap;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use claimgate::jwt::{Algorithm, sign::SigningKey};
use serde_json::{Value, json};

use crate::{
    api_keys::{body, make, secret},
    support::{Gateway, Request, Server, Setup, api, claims, key, key_named, merge, scheme},
};

/// What one credential is worth to an API.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Worth {
    /// It is good.
    Good,
    /// It is good, and grants nothing on this API.
    Elsewhere,
    /// It is refused for this.
    Bad(&'static str),
}

/// The schemes of a requirement in the order in which they are asked, and the one that gives the session.
type Asked = (&'static [&'static str], &'static str);

/// What an API asks for.
struct Door {
    id: &'static str,
    security: Value,
    /// `securityProcessingMode`, `baseIdentityProvider`; nothing if they are empty.
    mode: &'static str,
    base: &'static str,
    /// Where the key is.
    place: &'static str,
    /// What verifies tokens: the key of the scheme, or the secret of the stored key that a token names, by
    /// `kid` or by its subject.
    verified_by: &'static str,
    asks: &'static [Asked],
}

/// A credential: what it is called here, what is presented, and what it is worth.
type Shown<T> = (&'static str, Option<T>, Worth);

const TOKEN: Asked = (&["jwt"], "jwt");
const KEY: Asked = (&["key"], "key");

fn doors() -> Vec<Door> {
    let door = |id, security, asks| Door {
        id,
        security,
        mode: "compliant",
        base: "",
        place: "header",
        verified_by: "source",
        asks,
    };
    let legacy = |id, security, asks| Door { mode: "legacy", ..door(id, security, asks) };
    let both = || json!([{ "jwt": [], "key": [] }]);
    let turned = || json!([{ "key": [], "jwt": [] }]);
    let (alone, either) = (|| json!([{ "key": [] }]), || json!([{ "jwt": [] }, { "key": [] }]));
    vec![
        door("key-header", alone(), &[KEY]),
        Door { place: "query", ..door("key-query", alone(), &[KEY]) },
        Door { place: "cookie", ..door("key-cookie", alone(), &[KEY]) },
        Door { mode: "", ..door("key-legacy", alone(), &[KEY]) },
        door("token", json!([{ "jwt": [] }]), &[TOKEN]),
        // Legacy: the first requirement alone, tokens first, the key gives the session.
        legacy("list", either(), &[TOKEN]),
        legacy("list-turned", json!([{ "key": [] }, { "jwt": [] }]), &[KEY]),
        legacy("and", both(), &[(&["jwt", "key"], "key")]),
        Door { mode: "", ..legacy("and-turned", turned(), &[(&["jwt", "key"], "key")]) },
        Door { base: "jwt_claim", ..legacy("and-by-token", both(), &[(&["jwt", "key"], "jwt")]) },
        Door { base: "auth_token", ..legacy("and-by-key", both(), &[(&["jwt", "key"], "key")]) },
        Door { place: "query", ..legacy("and-query", both(), &[(&["jwt", "key"], "key")]) },
        // Compliant: one of the requirements, in order, each in its own order.
        door("or", either(), &[TOKEN, KEY]),
        door("or-turned", json!([{ "key": [] }, { "jwt": [] }]), &[KEY, TOKEN]),
        Door { place: "cookie", ..door("or-cookie", either(), &[TOKEN, KEY]) },
        door("group", both(), &[(&["jwt", "key"], "key")]),
        door("group-turned", turned(), &[(&["key", "jwt"], "key")]),
        Door { base: "jwt_claim", ..door("group-by-token", turned(), &[(&["key", "jwt"], "jwt")]) },
        Door { base: "auth_token", ..door("group-by-key", both(), &[(&["jwt", "key"], "key")]) },
        door(
            "both-or-key",
            json!([{ "jwt": [], "key": [] }, { "key": [] }]),
            &[(&["jwt", "key"], "key"), KEY],
        ),
        Door {
            base: "jwt_claim",
            ..door(
                "key-or-both",
                json!([{ "key": [] }, { "jwt": [], "key": [] }]),
                &[KEY, (&["jwt", "key"], "jwt")],
            )
        },
        // Tokens that the secret of a stored key verifies.
        Door { verified_by: "kid", ..door("secrets-or", either(), &[TOKEN, KEY]) },
        Door { verified_by: "kid", ..legacy("secrets-and", both(), &[(&["jwt", "key"], "key")]) },
        Door {
            base: "jwt_claim",
            verified_by: "subject",
            ..legacy("secrets-by-token", both(), &[(&["jwt", "key"], "jwt")])
        },
    ]
}

impl Door {
    fn definition(&self, upstream: &Server) -> Value {
        let mut jwt = scheme(json!({
            "defaultPolicies": ["users"],
            "policyFieldName": "pol",
            "signingMethod": if self.verified_by == "source" { "ecdsa" } else { "hmac" },
            "skipKid": self.verified_by == "subject",
        }));
        if self.verified_by == "source" {
            let public = key(Algorithm::ES256).public_jwk(Some("usual")).unwrap();
            merge(&mut jwt, json!({ "source": STANDARD.encode(public.to_string()) }));
        }
        let mut document = api(self.id, upstream, jwt);
        merge(
            &mut document,
            json!({
                "components": { "securitySchemes": {
                    "key": { "type": "apiKey", "in": self.place, "name": "X-Api-Key" },
                } },
                "security": self.security,
                "x-tyk-api-gateway": {
                    "info": { "orgId": "org" },
                    "server": { "authentication": {
                        "securitySchemes": { "key": { "enabled": true } },
                        "securityProcessingMode": self.mode,
                        "baseIdentityProvider": self.base,
                    } },
                    "middleware": { "global": { "transformRequestHeaders": {
                        "enabled": true, "add": [{ "name": "X-Who", "value": "$tyk_meta.who" }],
                    } } },
                },
            }),
        );
        document
    }

    /// Who gets in with these two, or why nobody does.
    fn expected(&self, token: Worth, key: Worth, profile: &str) -> Result<&'static str, &'static str> {
        let worth = |scheme: &str| if scheme == "jwt" { token } else { key };
        let mut refused = Vec::new();
        for (schemes, session) in self.asks {
            let bad = schemes.iter().find_map(|scheme| match worth(scheme) {
                Worth::Bad(reason) => Some(reason),
                // Tyk looks at the rights of the one that gives the session alone.
                Worth::Elsewhere if scheme != session && profile == "rfc" => Some("api_not_granted"),
                _ => None,
            });
            match (bad, worth(session)) {
                (Some(reason), _) => refused.push(reason),
                (None, Worth::Elsewhere) => return Err("api_not_granted"),
                (None, _) => return Ok(if *session == "jwt" { "token" } else { "key" }),
            }
        }
        let progress = |reason: &str| match reason {
            "token_missing" | "api_key_missing" => 0,
            "signature_invalid" | "key_unknown" | "api_key_unknown" => 1,
            _ => 2,
        };
        let furthest = refused.iter().map(|reason| progress(reason)).max().unwrap();
        let told = if profile == "tyk" {
            refused.last()
        } else {
            refused.iter().find(|reason| progress(reason) == furthest)
        };
        Err(told.unwrap())
    }

    /// What is presented as a token.
    fn tokens(&self) -> Vec<Shown<String>> {
        let mut tokens = vec![("no token", None, Worth::Bad("token_missing"))];
        let (usual, other) = (key(Algorithm::ES256), key_named("other", Algorithm::ES256));
        let ((_, of_owner), (_, of_another)) = (owner(), another());
        let mut add = |name, by: &SigningKey, owner: &str, changes: Value, worth| {
            let (kid, sub) = match self.verified_by {
                "source" => ("usual", "alice"),
                "kid" => (owner, "alice"),
                _ => ("usual", owner),
            };
            let mut own = json!({ "sub": sub });
            merge(&mut own, changes);
            tokens.push((name, Some(by.sign(&json!({ "kid": kid }), &claims(own)).unwrap()), worth));
        };
        let none = || json!({});
        if self.verified_by == "source" {
            add("good token", &usual, "", none(), Worth::Good);
            add("forged token", &other, "", none(), Worth::Bad("signature_invalid"));
            add("expired token", &usual, "", json!({ "exp": 1 }), Worth::Bad("token_expired"));
            add("token for another API", &usual, "", json!({ "pol": "elsewhere" }), Worth::Elsewhere);
            add("token without rights", &usual, "", json!({ "pol": "no" }), Worth::Bad("policy_unknown"));
        } else {
            add("good token", &of_owner, "owner", none(), Worth::Good);
            add("forged token", &of_another, "owner", none(), Worth::Bad("signature_invalid"));
            add("expired token", &of_owner, "owner", json!({ "exp": 1 }), Worth::Bad("token_expired"));
            add("token of nobody", &of_owner, "nobody", none(), Worth::Bad("key_unknown"));
            add("token of a plain key", &of_owner, "good-key", none(), Worth::Bad("key_unknown"));
            add("token for another API", &of_owner, "owner-elsewhere", none(), Worth::Elsewhere);
            add("token of one who left", &of_owner, "owner-off", none(), Worth::Bad("api_key_inactive"));
            add("token of one before", &of_owner, "owner-past", none(), Worth::Bad("api_key_expired"));
        }
        tokens
    }

    fn request(&self, path: &str, token: Option<&String>, key: Option<&str>) -> Request {
        let target = match (key, self.place) {
            (Some(key), "query") => format!("{path}?X-Api-Key={key}"),
            _ => path.to_owned(),
        };
        let mut request = Request::get(target);
        match (key, self.place) {
            (Some(key), "header") => request = request.header("X-Api-Key", key),
            (Some(key), "cookie") => request = request.header("Cookie", &format!("X-Api-Key={key}")),
            _ => {}
        }
        match token {
            Some(token) => request.bearer(token),
            None => request,
        }
    }
}

/// What is presented as an API key.
const KEYS: [Shown<&str>; 9] = [
    ("no key", None, Worth::Bad("api_key_missing")),
    ("good key", Some("good-key"), Worth::Good),
    ("unknown key", Some("no-such-key"), Worth::Bad("api_key_unknown")),
    ("expired key", Some("past-key"), Worth::Bad("api_key_expired")),
    ("inactive key", Some("off-key"), Worth::Bad("api_key_inactive")),
    ("key for another API", Some("key-elsewhere"), Worth::Elsewhere),
    ("key of another organisation", Some("foreign-key"), Worth::Bad("api_key_unknown")),
    ("key of a policy that is gone", Some("key-of-no-policy"), Worth::Bad("policy_unknown")),
    // It verifies tokens, and its name stands in each of them.
    ("key for tokens", Some("owner"), Worth::Bad("api_key_unknown")),
];

fn owner() -> (Value, SigningKey) {
    secret("the secret of the owner of tokens, long enough")
}

fn another() -> (Value, SigningKey) {
    secret("a secret that nobody has been given, long enough")
}

fn make_keys(gateway: &Gateway, apis: &[&str]) {
    let who = |who: &str| json!({ "meta_data": { "who": who } });
    let of = |apis: &[&str], name: &str, changes: Value| {
        let mut told = who(name);
        merge(&mut told, changes);
        body(apis, told)
    };
    make(gateway, "good-key", &of(apis, "key", json!({})));
    make(gateway, "past-key", &of(apis, "key", json!({ "expires": 1 })));
    make(gateway, "off-key", &of(apis, "key", json!({ "is_inactive": true })));
    make(gateway, "key-elsewhere", &of(&["another-api"], "key", json!({})));
    make(gateway, "foreign-key", &of(apis, "key", json!({ "org_id": "another" })));
    make(gateway, "key-of-no-policy", &of(apis, "key", json!({ "apply_policies": ["gone"] })));
    let (secret, _) = owner();
    let of_tokens = |apis: &[&str], changes: Value| {
        let mut told = secret.clone();
        merge(&mut told, changes);
        of(apis, "token", told)
    };
    make(gateway, "owner", &of_tokens(apis, json!({})));
    make(gateway, "owner-elsewhere", &of_tokens(&["another-api"], json!({})));
    make(gateway, "owner-off", &of_tokens(apis, json!({ "is_inactive": true })));
    make(gateway, "owner-past", &of_tokens(apis, json!({ "expires": 1 })));
}

fn everything(profile: &str) {
    let (upstream, doors) = (Server::up(), doors());
    let apis: Vec<&str> = doors.iter().map(|door| door.id).collect();
    let rights = |apis: &[&str]| body(apis, json!({}))["access_rights"].clone();
    let policy = |id: &str, apis: &[&str]| json!({ "id": id, "org_id": "org", "access_rights": rights(apis), "meta_data": { "who": "token" } });
    let mut setup = Setup::new().config(&json!({ "errors": profile }));
    for door in &doors {
        setup = setup.api(&door.definition(&upstream));
    }
    let gateway =
        setup.policy(&policy("users", &apis)).policy(&policy("elsewhere", &["another-api"])).start();
    make_keys(&gateway, &apis);
    // The access log has the reasons; each request has a path of its own there.
    let mut refused = HashMap::new();
    let mut sent = 0;
    for door in &doors {
        for (token_name, token, token_worth) in &door.tokens() {
            for (key_name, key, key_worth) in KEYS {
                sent += 1;
                let path = format!("/{}/{sent}", door.id);
                let answer = gateway.send(&door.request(&path, token.as_ref(), key));
                let case = format!("{profile}, {}: {token_name}, {key_name}", door.id);
                match door.expected(*token_worth, key_worth, profile) {
                    Ok(who) => {
                        assert_eq!(answer.status, 200, "{case}: {}", answer.text());
                        let head = upstream.take_one().head;
                        assert!(head.contains(&format!("x-who: {who}\r\n")), "{case}: {head}");
                    }
                    Err(reason) => {
                        assert!((400..500).contains(&answer.status), "{case}: {}", answer.status);
                        refused.insert(path, (reason, case));
                    }
                }
            }
        }
    }
    for line in gateway.requests_until(sent).lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        match refused.remove(line["path"].as_str().unwrap()) {
            Some((reason, case)) => assert_eq!(line["reason"], reason, "{case}"),
            None => assert_eq!(line["status"], 200, "{line}"),
        }
    }
    assert!(refused.is_empty(), "{refused:?}");
}

#[test]
fn in_the_words_of_the_rfcs() {
    everything("rfc");
}

#[test]
fn in_the_words_of_tyk() {
    everything("tyk");
}
