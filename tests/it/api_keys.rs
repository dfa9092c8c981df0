//! API keys: made through the control API, presented by callers.

use std::{fs, os::unix::fs::PermissionsExt as _};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use claimgate::jwt::{Algorithm, sign::SigningKey};
use serde_json::{Value, json};

use crate::support::{Answer, Gateway, Request, Server, Setup, api, claims, key, keyless, merge, scheme};

/// An API of the organisation `org` that wants a key in `X-Api-Key`.
pub(crate) fn keyed(id: &str, upstream: &Server) -> Value {
    let mut document = keyless(id, upstream);
    merge(
        &mut document,
        json!({
            "components": { "securitySchemes": { "key": { "type": "apiKey", "in": "header", "name": "X-Api-Key" } } },
            "security": [{ "key": [] }],
            "x-tyk-api-gateway": {
                "info": { "orgId": "org" },
                "server": { "authentication": { "enabled": true, "securitySchemes": { "key": { "enabled": true } } } },
            },
        }),
    );
    document
}

/// The body of a key with a right to these APIs, with changes.
pub(crate) fn body(apis: &[&str], changes: Value) -> Value {
    let rights: serde_json::Map<String, Value> = apis
        .iter()
        .map(|api| ((*api).to_owned(), json!({ "api_id": api, "versions": ["Default"] })))
        .collect();
    let mut body = json!({ "org_id": "org", "access_rights": rights });
    merge(&mut body, changes);
    body
}

pub(crate) fn ask(gateway: &Gateway, method: &'static str, path: &str, body: &Value) -> Answer {
    gateway.admin(Request::new(method, path).body(body.to_string().as_bytes()))
}

#[track_caller]
fn json(answer: &Answer) -> Value {
    serde_json::from_slice(&answer.body).unwrap_or_else(|_| panic!("{}", answer.text()))
}

#[track_caller]
pub(crate) fn make(gateway: &Gateway, key: &str, body: &Value) -> Value {
    let answer = ask(gateway, "POST", &format!("/tyk/keys/{key}"), body);
    assert_eq!(answer.status, 200, "{}", answer.text());
    json(&answer)
}

pub(crate) fn with(gateway: &Gateway, path: &str, key: &str) -> u16 {
    gateway.send(&Request::get(path).header("X-Api-Key", key)).status
}

#[track_caller]
fn reason(gateway: &Gateway) -> Value {
    let line: Value = serde_json::from_str(&gateway.last_line()).unwrap();
    line["reason"].clone()
}

/// Claims that are told the upstream are those of a token: a caller with a key alone has none.
#[test]
fn a_key_has_no_claims_to_tell() {
    let upstream = Server::up();
    let both = |base: &str| {
        let mut document = keyed("a", &upstream);
        let secret = scheme(json!({ "source": "env://SECRET", "signingMethod": "hmac" }));
        let jwt = json!({ "type": "http", "scheme": "bearer", "bearerFormat": "JWT" });
        let headers = json!([{ "name": "X-Roles", "claim": "roles", "default": "none" }]);
        let authentication = json!({ "securitySchemes": { "jwt": secret }, "baseIdentityProvider": base });
        merge(
            &mut document,
            json!({
                "components": { "securitySchemes": { "jwt": jwt } },
                "security": [{ "jwt": [], "key": [] }],
                "x-tyk-api-gateway": { "server": { "authentication": authentication } },
                "x-claimgate": { "middleware": { "global": { "claimHeaders": headers } } },
            }),
        );
        document
    };
    let signer = key(Algorithm::HS256);
    let token = signer.sign(&json!({}), &claims(json!({}))).unwrap();
    let setup = || Setup::new().env("SECRET", signer.to_text().unwrap().trim());
    let all = json!({ "id": "all", "org_id": "org", "access_rights": { "a": {} } });
    for (base, roles) in [("", ""), ("jwt_claim", "none")] {
        let setup = setup().api(&both(base)).policy(&all);
        let said = String::from_utf8(setup.check().stdout).unwrap();
        let is_told = said.contains("claimHeaders[0]: an API key says who the caller is where jwt and a key");
        assert_eq!(is_told, base.is_empty(), "{said}");
        let gateway = setup.start();
        make(&gateway, "partner-1", &body(&["a"], json!({})));
        let request = Request::get("/a/").bearer(&token).header("X-Api-Key", "partner-1");
        assert_eq!(gateway.send(&request).status, 200, "{base}");
        assert_eq!(upstream.take_one().values("x-roles"), [roles], "{base}");
    }
}

#[test]
fn what_is_odd_about_a_key_is_told_with_the_answer() {
    let upstream = Server::up();
    let gateway = Setup::new().api(&keyed("a", &upstream)).start();
    let good = make(&gateway, "partner-1", &body(&["a"], json!({ "rate": 5, "per": 60 })));
    assert!(good.get("warnings").is_none(), "{good}");
    let odd = make(&gateway, "partner-1", &body(&["a"], json!({ "rate": 5, "quota_max": 3 })));
    let warnings: Vec<&str> = odd["warnings"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    let [of_quota, of_rate] = *warnings else { panic!("{odd}") };
    assert!(of_quota.starts_with("quota_max: ") && of_rate.starts_with("rate: "), "{odd}");
}

#[test]
fn a_key_opens_what_it_may_until_it_is_taken_away() {
    let upstream = Server::up();
    let gateway = Setup::new().api(&keyed("a", &upstream)).api(&keyed("b", &upstream)).start();
    assert_eq!(with(&gateway, "/a/", "partner-1"), 401);
    let made = make(&gateway, "partner-1", &body(&["a"], json!({})));
    let text = made["key"].as_str().unwrap().to_owned();
    assert_eq!((&made["status"], &made["action"]), (&json!("ok"), &json!("added")));
    for key in ["partner-1", &text] {
        assert_eq!([with(&gateway, "/a/", key), with(&gateway, "/b/", key)], [200, 403], "{key}");
    }
    assert_eq!(with(&gateway, "/a/", made["key_hash"].as_str().unwrap()), 401, "a hash opens nothing");
    assert_eq!(with(&gateway, "/a/", "partner-2"), 401);
    // From the next request on.
    let changed = ask(&gateway, "PUT", "/tyk/keys/partner-1", &body(&["b"], json!({})));
    assert_eq!((changed.status, &json(&changed)["action"]), (200, &json!("modified")));
    assert_eq!([with(&gateway, "/a/", &text), with(&gateway, "/b/", &text)], [403, 200]);
    let gone = gateway.admin(Request::new("DELETE", format!("/tyk/keys/{text}")));
    assert_eq!(
        (gone.status, json(&gone)),
        (200, json!({ "key": text, "status": "ok", "action": "deleted" }))
    );
    assert_eq!([with(&gateway, "/a/", &text), with(&gateway, "/b/", "partner-1")], [401, 401]);
}

#[test]
fn random_keys() {
    let upstream = Server::up();
    let gateway = Setup::new().api(&keyed("a", &upstream)).start();
    let mut keys = Vec::new();
    for path in ["/tyk/keys", "/tyk/keys/create", "/tyk/keys/create"] {
        let answer = ask(&gateway, "POST", path, &body(&["a"], json!({})));
        assert_eq!(answer.status, 200, "{}", answer.text());
        keys.push(json(&answer));
    }
    keys.sort_by_key(|key| key["key_hash"].to_string());
    keys.dedup();
    assert_eq!(keys.len(), 3);
    // Words of Tyk's routes are the ids of none.
    for path in ["/tyk/keys/preview", "/tyk/keys/policy"] {
        assert_eq!(ask(&gateway, "POST", path, &body(&["a"], json!({}))).status, 404, "{path}");
    }
    assert_eq!(json(&gateway.admin(Request::get("/tyk/keys")))["keys"].as_array().unwrap().len(), 3);
    for key in &keys {
        assert_eq!(with(&gateway, "/a/", key["key"].as_str().unwrap()), 200);
    }
    let hashes: Vec<&Value> = keys.iter().map(|key| &key["key_hash"]).collect();
    assert_eq!(json(&gateway.admin(Request::get("/tyk/keys"))), json!({ "keys": hashes }));
    let by_hash = format!("/tyk/keys/{}?hashed=true", hashes[0].as_str().unwrap());
    assert_eq!(json(&gateway.admin(Request::get(by_hash.clone())))["org_id"], "org");
    assert_eq!(gateway.admin(Request::new("DELETE", by_hash)).status, 200);
    assert_eq!(with(&gateway, "/a/", keys[0]["key"].as_str().unwrap()), 401);
}

#[test]
fn what_a_key_is_refused_for() {
    let upstream = Server::up();
    let setup = || {
        Setup::new()
            .api(&keyed("a", &upstream))
            .policy(&json!({ "id": "off", "org_id": "org", "active": false, "access_rights": { "a": {} } }))
    };
    let (gateway, tyk) = (setup().start(), setup().config(&json!({ "errors": "tyk" })).start());
    for gateway in [&gateway, &tyk] {
        for (key, changes) in [
            ("key-inactive", json!({ "is_inactive": true })),
            ("key-expired", json!({ "expires": 1_000_000_000 })),
            ("key-never-expires", json!({ "expires": 0 })),
            ("key-expires-late", json!({ "expires": 9_999_999_999_u64 })),
            ("key-no-policy", json!({ "apply_policies": ["nowhere"] })),
            ("key-policy-off", json!({ "apply_policies": ["off"] })),
        ] {
            make(gateway, key, &body(&["a"], changes));
        }
        make(gateway, "of-another", &body(&["a"], json!({ "org_id": "other" })));
    }
    for (key, status, tyks, why) in [
        (None, 401, 401, "api_key_missing"),
        (Some(""), 401, 401, "api_key_missing"),
        (Some("nobody"), 401, 403, "api_key_unknown"),
        (Some("ab"), 401, 403, "api_key_unknown"),
        (Some("of-another"), 401, 403, "api_key_unknown"),
        (Some("key-inactive"), 401, 403, "api_key_inactive"),
        (Some("key-expired"), 401, 401, "api_key_expired"),
        (Some("key-no-policy"), 403, 403, "policy_unknown"),
        (Some("key-policy-off"), 403, 403, "policy_inactive"),
    ] {
        for (gateway, expected) in [(&gateway, status), (&tyk, tyks)] {
            let mut request = Request::get("/a/");
            if let Some(key) = key {
                request = request.header("X-Api-Key", key);
            }
            let answer = gateway.send(&request);
            assert_eq!((answer.status, reason(gateway)), (expected, json!(why)), "{key:?}");
            assert!(
                key.is_none_or(|key| key.is_empty() || !answer.text().contains(key)),
                "{}",
                answer.text()
            );
        }
    }
    let text = |key: &str, org: &str| {
        json(&gateway.admin(Request::get(format!("/tyk/keys/{key}?org_id={org}"))))["org_id"].clone()
    };
    assert_eq!(text("of-another", "other"), "other");
    let foreign = make(&gateway, "of-another", &body(&["a"], json!({ "org_id": "other" })));
    assert_eq!(
        with(&gateway, "/a/", foreign["key"].as_str().unwrap()),
        401,
        "the text of another organisation"
    );
    for key in ["key-never-expires", "key-expires-late"] {
        assert_eq!(with(&gateway, "/a/", key), 200, "{key}");
    }
    let two =
        Request::get("/a/").header("X-Api-Key", "key-never-expires").header("X-Api-Key", "key-expires-late");
    assert_eq!(gateway.send(&two).status, 400);
}

#[test]
fn challenges_name_what_would_help() {
    let upstream = Server::up();
    let mut either =
        api("either", &upstream, scheme(json!({ "source": "env://SECRET", "signingMethod": "hmac" })));
    merge(&mut either, keyed("either", &upstream));
    merge(
        &mut either,
        json!({
            "security": [{ "jwt": [] }, { "key": [] }],
            "x-tyk-api-gateway": { "server": { "authentication": { "securityProcessingMode": "compliant" } } },
        }),
    );
    let gateway = Setup::new()
        .env("SECRET", key(Algorithm::HS256).to_text().unwrap().trim())
        .api(&keyed("a", &upstream))
        .api(&either)
        .start();
    let challenges = |request: Request| -> Vec<String> {
        let head = gateway.send(&request).head;
        let fields = head.lines().filter_map(|line| line.split_once(": "));
        let of_name = fields.filter(|(name, _)| name.eq_ignore_ascii_case("www-authenticate"));
        of_name.map(|(_, value)| value.to_owned()).collect()
    };
    let wants_key = |realm: &str| format!("ApiKey realm=\"{realm}\", in=\"header\", name=\"x-api-key\"");
    assert_eq!(challenges(Request::get("/a/")), [wants_key("a")]);
    assert_eq!(challenges(Request::get("/a/").header("X-Api-Key", "nobody")), [wants_key("a")]);
    assert_eq!(
        challenges(Request::get("/either/")),
        ["Bearer realm=\"either\"".to_owned(), wants_key("either")]
    );
    let expired = key(Algorithm::HS256).sign(&json!({}), &claims(json!({ "exp": 1 }))).unwrap();
    let said = challenges(Request::get("/either/").bearer(&expired));
    assert!(said[0].contains("error=\"invalid_token\"") && said[1] == wants_key("either"), "{said:?}");
}

#[test]
fn policies_of_a_key_give_its_rights_and_are_read_anew() {
    let upstream = Server::up();
    let mut document = keyed("a", &upstream);
    let add = json!([{ "name": "X-Plan", "value": "$tyk_meta.plan" }, { "name": "X-Team", "value": "$tyk_meta.team" }]);
    merge(
        &mut document,
        json!({ "x-tyk-api-gateway": { "middleware": { "global": {
            "transformRequestHeaders": { "enabled": true, "add": add }
        } } } }),
    );
    let policy = |apis: Value| json!({ "id": "gold", "org_id": "org", "access_rights": apis, "meta_data": { "plan": "gold" } });
    let gateway = Setup::new().api(&document).policy(&policy(json!({ "a": {} }))).start();
    let own = json!({ "apply_policies": ["gold"], "meta_data": { "plan": "none", "team": "x" } });
    make(&gateway, "with-policy", &body(&[], own));
    make(&gateway, "with-both", &body(&["a"], json!({ "apply_policies": ["gold"] })));
    assert_eq!(with(&gateway, "/a/", "with-policy"), 200);
    let head = upstream.take_one().head;
    assert!(head.contains("x-plan: gold\r\n") && head.contains("x-team: x\r\n"), "{head}");
    gateway.setup().write("policies/gold.json", &policy(json!({ "b": {} })).to_string());
    assert_eq!(gateway.reload().status, 200);
    // What the policies grant counts, not what the key was given before.
    assert_eq!([with(&gateway, "/a/", "with-policy"), with(&gateway, "/a/", "with-both")], [403, 403]);
}

#[test]
fn the_policies_of_a_key_are_changed_alone() {
    let upstream = Server::up();
    let policy = |id: &str, apis: &[&str]| {
        let rights = body(apis, json!({}))["access_rights"].clone();
        json!({ "id": id, "org_id": "org", "quota_max": 3, "quota_renewal_rate": -1, "access_rights": rights })
    };
    let gateway = Setup::new()
        .api(&keyed("a", &upstream))
        .api(&keyed("b", &upstream))
        .policy(&policy("of-a", &["a"]))
        .policy(&policy("of-both", &["a", "b"]))
        .start();
    let told = json!({ "org_id": "org", "alias": "a partner", "apply_policies": ["of-a"] });
    let hash = make(&gateway, "partner", &told)["key_hash"].as_str().unwrap().to_owned();
    let opens = || [with(&gateway, "/a/", "partner"), with(&gateway, "/b/", "partner")];
    assert_eq!(opens(), [200, 403]);
    let apply = |key: &str, body: Value| ask(&gateway, "POST", &format!("/tyk/keys/policy/{key}"), &body);
    let answer = apply(&hash, json!({ "policy": "of-both" }));
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(json(&answer), json!({ "key": hash, "status": "ok", "action": "updated" }));
    // What was counted goes on, and so does everything that was not spoken of.
    assert_eq!(opens(), [200, 200]);
    assert_eq!(opens(), [429, 429], "three in all");
    let stored = || json(&gateway.admin(Request::get("/tyk/keys/partner")));
    assert_eq!((&stored()["alias"], &stored()["apply_policies"]), (&json!("a partner"), &json!(["of-both"])));
    let answer = apply("partner", json!({ "policy": "of-both", "apply_policies": ["of-a"] }));
    assert_eq!(answer.status, 200, "{}", answer.text());
    for (key, body, status, said) in [
        ("nobody", json!({ "policy": "of-a" }), 404, "Key not found"),
        ("partner", json!({ "policy": 5 }), 400, "Couldn't decode instruction"),
        ("partner", json!({ "polcy": "of-a" }), 400, "Couldn't decode instruction: unknown field `polcy`"),
        ("partner", json!({}), 400, "keys must have at least one Access Rights record set"),
    ] {
        let answer = apply(key, body);
        assert_eq!(answer.status, status, "{}", answer.text());
        assert!(answer.text().contains(said), "{}", answer.text());
    }
    assert_eq!(stored()["apply_policies"], json!(["of-a", "of-both"]), "nothing has changed");
}

#[test]
fn a_key_is_limited_and_counted_anew_when_it_is_told_anew() {
    let upstream = Server::up();
    let gateway = Setup::new()
        .api(&keyed("a", &upstream))
        .policy(&json!({
            "id": "two", "org_id": "org", "quota_max": 2, "quota_renewal_rate": 3600,
            "access_rights": { "a": {} },
        }))
        // No rights: the key's own, within this quota.
        .policy(&json!({
            "id": "one", "org_id": "org", "quota_max": 1, "quota_renewal_rate": 3600,
            "partitions": { "quota": true }, "access_rights": { "a": {} },
        }))
        // Labels alone.
        .policy(&json!({ "id": "labels", "org_id": "org", "tags": ["x"], "access_rights": {} }))
        .start();
    let quota = json!({ "quota_max": 2, "quota_renewal_rate": 3600 });
    for (key, changes, passes) in [
        ("own-quota", body(&["a"], quota.clone()), 2),
        ("quota-of-policy", body(&[], json!({ "apply_policies": ["two"] })), 2),
        ("part-of-policy", body(&["a"], json!({ "apply_policies": ["one"], "quota_max": 9 })), 1),
        (
            "own-quota-beside-labels",
            body(&["a"], json!({ "apply_policies": ["labels"], "quota_max": 2, "quota_renewal_rate": 3600 })),
            2,
        ),
        (
            "own-rate-beside-labels",
            body(&["a"], json!({ "apply_policies": ["labels"], "rate": 2, "per": 3600 })),
            2,
        ),
        ("quota-of-the-api", body(&["a"], json!({ "access_rights": { "a": { "limit": quota } } })), 2),
        ("other-with-quota", body(&["a"], quota.clone()), 2),
    ] {
        make(&gateway, key, &changes);
        for n in 0..3 {
            let status = with(&gateway, "/a/", key);
            assert_eq!(status == 200, n < passes, "{key}, request {n}: {status}");
        }
    }
    let modify = |query: &str| {
        let path = format!("/tyk/keys/own-quota{query}");
        assert_eq!(ask(&gateway, "PUT", &path, &body(&["a"], quota.clone())).status, 200);
        with(&gateway, "/a/", "own-quota")
    };
    assert_eq!(modify("?suppress_reset=1"), 429);
    assert_eq!(modify(""), 200);
}

#[test]
fn keys_survive_a_restart_and_their_file_opens_nothing() {
    let upstream = Server::up();
    let mut setup = Setup::new().api(&keyed("a", &upstream));
    let gateway = setup.start();
    let made = make(&gateway, "a-rather-secret-key", &body(&["a"], json!({ "alias": "Ann" })));
    make(&gateway, "taken-away", &body(&["a"], json!({})));
    assert_eq!(gateway.admin(Request::new("DELETE", "/tyk/keys/taken-away")).status, 200);
    let file = gateway.setup().path("api-keys.json");
    let text = fs::read_to_string(&file).unwrap();
    assert!(!text.contains("a-rather-secret-key") && !text.contains(made["key"].as_str().unwrap()), "{text}");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    gateway.stop();
    // A new process in another folder, with the file of the old one.
    setup = Setup::new().api(&keyed("a", &upstream)).file("api-keys.json", &text);
    let gateway = setup.start();
    assert_eq!(with(&gateway, "/a/", "a-rather-secret-key"), 200);
    assert_eq!(with(&gateway, "/a/", made["key"].as_str().unwrap()), 200);
    assert_eq!(with(&gateway, "/a/", "taken-away"), 401);
    assert_eq!(json(&gateway.admin(Request::get("/tyk/keys/a-rather-secret-key")))["alias"], "Ann");
}

#[test]
fn a_file_that_is_broken_starts_nothing_and_one_that_cannot_be_written_changes_nothing() {
    let upstream = Server::up();
    let setup = || Setup::new().api(&keyed("a", &upstream));
    for text in [
        "{",
        "[]",
        "{\"version\":2,\"salt\":\"\",\"keys\":[]}",
        "{\"version\":1,\"salt\":\"AA==\",\"keys\":[]}",
        "{\"version\":1,\"salt\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\",\"keys\":[{\"id\":\"\",\"text\":\"\",\"key_hash\":\"\",\"session\":{}}]}",
    ] {
        let setup = setup().file("api-keys.json", text);
        let output = setup.check();
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.code() == Some(1) && said.contains("api-keys.json"), "{text}: {said}");
        let started = setup.command("run").output().unwrap();
        assert_eq!(started.status.code(), Some(2), "{text}");
    }
    // Whether there is one cannot be seen: what it may hold is not given up.
    let hidden = json!({ "keys": { "file": "in-the-way/keys.json" } });
    let output = setup().file("in-the-way", "").config(&hidden).check();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.contains("in-the-way/keys.json: the file cannot be read: "), "{said}");
    let gateway = setup().config(&json!({ "keys": { "file": "nowhere/keys.json" } })).start();
    let answer = ask(&gateway, "POST", "/tyk/keys/partner-1", &body(&["a"], json!({})));
    assert_eq!(answer.status, 500);
    assert!(answer.text().contains("nothing has changed"), "{}", answer.text());
    assert_eq!(with(&gateway, "/a/", "partner-1"), 401);
    let gateway = setup().config(&json!({ "keys": { "file": "none" } })).start();
    make(&gateway, "partner-1", &body(&["a"], json!({})));
    assert_eq!(with(&gateway, "/a/", "partner-1"), 200);
    assert!(!gateway.setup().path("api-keys.json").exists());
}

#[test]
fn bodies_that_are_no_keys() {
    let upstream = Server::up();
    let gateway = Setup::new().api(&keyed("a", &upstream)).start();
    for (text, said) in [
        ("".to_owned(), "Request malformed: "),
        ("{".to_owned(), "Request malformed: "),
        ("[]".to_owned(), "Request malformed: an object is expected"),
        ("{\"org_id\":\"org\",\"org_id\":\"org\"}".to_owned(), "comes twice"),
        (body(&[], json!({})).to_string(), "keys must have at least one Access Rights record set."),
        (
            body(&["a"], json!({ "is_inactiv": true })).to_string(),
            "is_inactiv: unknown field; did you mean is_inactive?",
        ),
        (body(&["a"], json!({ "expires": "soon" })).to_string(), "expires: a number is expected"),
        (body(&["a"], json!({ "certificate": "x" })).to_string(), "certificate: keys are not bound"),
        (body(&["a"], json!({ "jwt_data": { "secret": "short" } })).to_string(), "jwt_data.secret: "),
        (
            body(&["a"], json!({ "access_rights": { "a": { "allowed_url": [] } } })).to_string(),
            "access_rights.a.allowed_url: unknown field",
        ),
    ] {
        let answer = gateway.admin(Request::new("POST", "/tyk/keys/partner-1").body(text.as_bytes()));
        assert_eq!((answer.status, &json(&answer)["status"]), (400, &json!("error")), "{text}");
        let message = json(&answer)["message"].as_str().unwrap().to_owned();
        assert!(message.contains(said), "{said:?} is not in {message:?}");
        assert!(!message.contains("short"), "{message}");
    }
    for id in ["ab", "a%20b", &"x".repeat(1025)] {
        let answer = ask(&gateway, "POST", &format!("/tyk/keys/{id}"), &body(&["a"], json!({})));
        assert_eq!(answer.status, 400, "{id}");
    }
    make(&gateway, "partner-1", &body(&["a"], json!({})));
    let moved =
        ask(&gateway, "PUT", "/tyk/keys/partner-1?org_id=org", &body(&["a"], json!({ "org_id": "other" })));
    assert_eq!(moved.status, 400, "{}", moved.text());
    for (method, path) in [
        ("GET", "/tyk/keys/nobody"),
        ("PUT", "/tyk/keys/nobody"),
        ("DELETE", "/tyk/keys/nobody"),
        ("GET", "/tyk/keys/partner-1?org_id=other"),
        ("GET", "/tyk/keys/partner-1?hashed=true"),
    ] {
        assert_eq!(ask(&gateway, method, path, &body(&["a"], json!({}))).status, 404, "{method} {path}");
    }
    let unsecret =
        Request::new("POST", "/tyk/keys/partner-2").body(body(&["a"], json!({})).to_string().as_bytes());
    assert_eq!(gateway.admin_without_secret(&unsecret).status, 403);
}

#[test]
fn a_key_in_any_place_is_stripped() {
    let upstream = Server::up();
    let mut document = keyed("a", &upstream);
    merge(
        &mut document,
        json!({
            "components": { "securitySchemes": { "key": { "in": "header", "name": "Authorization" } } },
            "x-tyk-api-gateway": { "server": { "authentication": {
                "stripAuthorizationData": true,
                "securitySchemes": { "key": {
                    "query": { "enabled": true, "name": "api_key" },
                    "cookie": { "enabled": true, "name": "key" },
                } },
            } } },
        }),
    );
    let gateway = Setup::new().api(&document).start();
    make(&gateway, "partner-1", &body(&["a"], json!({})));
    for request in [
        Request::get("/a/?x=1").header("Authorization", "partner-1"),
        Request::get("/a/?x=1").header("Authorization", "Bearer partner-1"),
        Request::get("/a/?api_key=partner-1&x=1"),
        Request::get("/a/?x=1").header("Cookie", "a=b; key=partner-1"),
    ] {
        let answer = gateway.send(&request);
        assert_eq!(answer.status, 200, "{request:?}: {}", answer.text());
        let head = upstream.take_one().head;
        assert!(head.starts_with("GET /?x=1 ") && !head.contains("partner-1"), "{head}");
    }
}

/// A secret that is text, as `jwt_data` holds it, and a key that signs with it.
pub(crate) fn secret(text: &str) -> (Value, SigningKey) {
    let key = SigningKey::from_secret(Algorithm::HS256, text.as_bytes()).unwrap();
    (json!({ "jwt_data": { "secret": text } }), key)
}

/// An API without key sources, of the organisation `org`.
fn one_to_one(id: &str, upstream: &Server, changes: Value) -> Value {
    let mut scheme = scheme(json!({ "signingMethod": "hmac" }));
    merge(&mut scheme, changes);
    let mut document = api(id, upstream, scheme);
    merge(&mut document, json!({ "x-tyk-api-gateway": { "info": { "orgId": "org" } } }));
    document
}

#[test]
fn the_secret_of_the_stored_key_that_a_token_names_verifies_it() {
    let upstream = Server::up();
    let gateway = Setup::new()
        .api(&one_to_one("a", &upstream, json!({})))
        .api(&one_to_one("skip", &upstream, json!({ "skipKid": true, "subjectClaims": ["tenant"] })))
        .api(&keyed("keyed", &upstream))
        .start();
    let (of_one, one) = secret("the secret of the first partner, long enough");
    let (of_other, other) = secret("the secret of the other partner, long enough");
    let all = ["a", "skip", "keyed"];
    let made = make(&gateway, "partner-1", &body(&all, of_one.clone()));
    make(&gateway, "partner-2", &body(&["keyed"], of_other.clone()));
    make(&gateway, "without", &body(&all, json!({})));
    let text = made["key"].as_str().unwrap();
    let ask = |path: &str, key: &SigningKey, header: Value, changes: Value| {
        let token = key.sign(&header, &claims(changes)).unwrap();
        let ask = || gateway.send(&Request::get(path).bearer(&token)).status;
        let statuses = [ask(), ask()];
        assert_eq!(statuses[0], statuses[1], "the second time from what is remembered");
        statuses[0]
    };
    let by_kid = |key: &SigningKey, kid: &str| ask("/a/", key, json!({ "kid": kid }), json!({}));
    assert_eq!([by_kid(&one, "partner-1"), by_kid(&one, text), by_kid(&other, "partner-1")], [200, 200, 401]);
    assert_eq!(by_kid(&other, "partner-2"), 403, "its own rights");
    assert_eq!([by_kid(&one, "nobody"), by_kid(&one, ""), by_kid(&one, "without")], [401, 401, 401]);
    assert_eq!(ask("/a/", &one, json!({}), json!({ "sub": "partner-1" })), 200);
    assert_eq!(ask("/a/", &one, json!({ "kid": "nobody" }), json!({ "sub": "partner-1" })), 401);
    assert_eq!(ask("/a/", &one, json!({ "kid": 5 }), json!({ "sub": "partner-1" })), 401);
    assert_eq!(ask("/a/", &one, json!({ "kid": "partner-1" }), json!({ "exp": 1 })), 401);
    assert_eq!(ask("/skip/", &one, json!({ "kid": "nobody" }), json!({ "tenant": "partner-1" })), 200);
    assert_eq!(ask("/skip/", &one, json!({ "kid": "partner-1" }), json!({ "tenant": "" })), 401);
    // W3: nobody's secret is no secret.
    let guessed = SigningKey::from_secret(Algorithm::HS256, &[0; 64]).unwrap();
    assert_eq!(by_kid(&guessed, "without"), 401);
    // Whoever sees a token knows the key's id.
    assert_eq!([with(&gateway, "/keyed/", "partner-1"), with(&gateway, "/keyed/", "without")], [401, 200]);
    // From the next request on, also for what is remembered.
    let told = |changes: Value| {
        assert_eq!(ask_admin(&gateway, "PUT", "/tyk/keys/partner-1", &body(&all, changes)), 200);
        by_kid(&one, "partner-1")
    };
    assert_eq!(told(json!({})), 200, "the secret stays");
    assert_eq!(told(json!({ "is_inactive": true })), 401);
    assert_eq!(told(json!({ "expires": 1 })), 401);
    assert_eq!(told(of_other), 401);
    assert_eq!(told(of_one), 200);
    // It never becomes a key that its name opens.
    make(&gateway, "partner-1", &body(&all, json!({})));
    assert_eq!((by_kid(&one, "partner-1"), with(&gateway, "/keyed/", "partner-1")), (200, 401));
    let without = body(&all, json!({ "jwt_data": { "secret": "" } }));
    for method in ["POST", "PUT"] {
        let answer = self::ask(&gateway, method, "/tyk/keys/partner-1", &without);
        assert_eq!(answer.status, 400);
        assert!(answer.text().contains("jwt_data.secret: without a secret this key"), "{}", answer.text());
        assert_eq!((by_kid(&one, "partner-1"), with(&gateway, "/keyed/", "partner-1")), (200, 401));
    }
    assert_eq!(ask_admin(&gateway, "DELETE", "/tyk/keys/partner-1", &json!({})), 200);
    assert_eq!(by_kid(&one, "partner-1"), 401);
    make(&gateway, "partner-1", &without);
    assert_eq!(
        (by_kid(&one, "partner-1"), with(&gateway, "/keyed/", "partner-1")),
        (401, 200),
        "another key"
    );
}

#[test]
fn a_secret_that_everybody_may_know_verifies_nothing() {
    let upstream = Server::up();
    let setup = || Setup::new().api(&one_to_one("a", &upstream, json!({})));
    let pem = include_str!("../data/partner-public.pem");
    let gateway = setup().start();
    let good = "the secret of the first partner, long enough";
    make(&gateway, "partner-1", &body(&["a"], secret(good).0));
    let file = fs::read_to_string(gateway.setup().path("api-keys.json")).unwrap();
    let asks = |file: &str, signing: &SigningKey| {
        let gateway = setup().file("api-keys.json", file).start();
        let token = signing.sign(&json!({ "kid": "partner-1" }), &claims(json!({}))).unwrap();
        gateway.send(&Request::get("/a/").bearer(&token)).status
    };
    assert_eq!(asks(&file, &secret(good).1), 200);
    for (public, said) in [
        (STANDARD.encode(pem), "this is a public key"),
        ("https://idp.example/.well-known/jwks.json".into(), "a reference or URL"),
        (STANDARD.encode("env://THE_SECRET_OF_A_PARTNER"), "a reference or URL"),
    ] {
        let (changes, signing) = secret(&public);
        let answer = ask(&gateway, "POST", "/tyk/keys/partner-2", &body(&["a"], changes));
        assert_eq!(answer.status, 400, "{public}");
        let message = json(&answer)["message"].as_str().unwrap().to_owned();
        assert!(
            message.starts_with("Request malformed: jwt_data.secret: ") && message.contains(said),
            "{message}"
        );
        assert_eq!(
            asks(&file.replace(good, &public), &signing),
            401,
            "stored by an earlier version: {public}"
        );
    }
    make(&gateway, "partner-2", &body(&["a"], json!({ "jwt_data": { "secret": pem } })));
}

#[test]
fn keys_of_clients_that_would_be_api_keys_are_told() {
    let upstream = Server::up();
    let clients = json!({ "source": "env://SECRET", "clientBaseField": "azp", "defaultPolicies": ["all"] });
    let check = |org_id: &str| {
        let mut other = keyed("keyed", &upstream);
        merge(&mut other, json!({ "x-tyk-api-gateway": { "info": { "orgId": org_id } } }));
        let setup = Setup::new()
            .env("SECRET", key(Algorithm::HS256).to_text().unwrap().trim())
            .policy(&json!({ "id": "all", "org_id": "org", "access_rights": { "a": {} } }))
            .api(&one_to_one("a", &upstream, clients.clone()))
            .api(&other);
        String::from_utf8(setup.check().stdout).unwrap()
    };
    let said = check("org");
    assert!(said.contains("the API keyed accepts the stored keys of the organisation as API keys"), "{said}");
    assert!(said.ends_with("0 errors, 1 warning\n"), "{said}");
    assert_eq!(check("other"), "0 errors, 0 warnings\n");
}

fn ask_admin(gateway: &Gateway, method: &'static str, path: &str, body: &Value) -> u16 {
    ask(gateway, method, path, body).status
}

#[test]
fn a_stored_key_that_a_claim_names_selects_the_policy() {
    let upstream = Server::up();
    let changes = json!({ "source": "env://SECRET", "clientBaseField": "azp", "defaultPolicies": [] });
    let policy = |id: &str, apis: Value| json!({ "id": id, "org_id": "org", "access_rights": apis });
    let gateway = Setup::new()
        .env("SECRET", key(Algorithm::HS256).to_text().unwrap().trim())
        .api(&one_to_one("a", &upstream, changes))
        .policy(&policy("first", json!({ "a": {} })))
        .policy(&policy("second", json!({ "b": {} })))
        .start();
    make(&gateway, "client-1", &body(&[], json!({ "apply_policies": ["first", "second"] })));
    make(&gateway, "client-2", &body(&["a"], json!({})));
    let get = |client: Value| {
        let token = key(Algorithm::HS256).sign(&json!({}), &claims(json!({ "azp": client }))).unwrap();
        gateway.send(&Request::get("/a/").bearer(&token)).status
    };
    for (client, expected) in [
        (json!("client-1"), 200),
        // No policy of its own, nobody, no text, no claim.
        (json!("client-2"), 403),
        (json!("nobody"), 403),
        (json!(5), 403),
        (Value::Null, 403),
    ] {
        assert_eq!([get(client.clone()), get(client.clone())], [expected; 2], "{client}");
    }
    let other = body(&[], json!({ "apply_policies": ["second"] }));
    assert_eq!(ask_admin(&gateway, "PUT", "/tyk/keys/client-1", &other), 200);
    assert_eq!(get(json!("client-1")), 403);
}

#[test]
fn the_defaults_are_not_for_clients_that_are_switched_off_or_taken_away() {
    let upstream = Server::up();
    let changes = json!({ "source": "env://SECRET", "clientBaseField": "azp", "defaultPolicies": ["wide"] });
    let policy =
        |id: &str, right: Value| json!({ "id": id, "org_id": "org", "access_rights": { "a": right } });
    let only = json!({ "allowed_urls": [{ "url": "/only", "methods": ["GET"] }] });
    let setup = || {
        Setup::new()
            .env("SECRET", key(Algorithm::HS256).to_text().unwrap().trim())
            .api(&one_to_one("a", &upstream, changes.clone()))
            .policy(&policy("wide", json!({})))
            .policy(&policy("narrow", only.clone()))
    };
    // An unknown client and one without a policy have the defaults in Tyk, as it was recorded for claims
    // that select nothing.
    for (gateway, off, expired, nobody) in [
        (setup().start(), 401, 401, 403),
        (setup().config(&json!({ "errors": "tyk" })).start(), 403, 401, 200),
    ] {
        let get = |client: Value| {
            let token = key(Algorithm::HS256).sign(&json!({}), &claims(json!({ "azp": client }))).unwrap();
            let get = |path: &'static str| gateway.send(&Request::get(path).bearer(&token)).status;
            assert_eq!(
                [get("/a/x"), get("/a/only")],
                [get("/a/x"), get("/a/only")],
                "from what is remembered"
            );
            [get("/a/x"), get("/a/only")]
        };
        let narrow = |changes: Value| {
            let mut key = body(&[], json!({ "apply_policies": ["narrow"] }));
            merge(&mut key, changes);
            make(&gateway, "client-1", &key);
            get(json!("client-1"))
        };
        assert_eq!(get(json!("client-1")), [nobody; 2]);
        assert_eq!(narrow(json!({})), [403, 200]);
        assert_eq!(narrow(json!({ "is_inactive": true })), [off; 2]);
        assert_eq!(narrow(json!({ "expires": 1_000_000_000 })), [expired; 2]);
        assert_eq!(narrow(json!({ "expires": 9_999_999_999_u64 })), [403, 200]);
        make(&gateway, "client-1", &body(&["a"], json!({})));
        assert_eq!(get(json!("client-1")), [nobody; 2], "a key without a policy");
        assert_eq!(ask_admin(&gateway, "DELETE", "/tyk/keys/client-1?org_id=org", &json!({})), 200);
        assert_eq!(get(json!("client-1")), [nobody; 2]);
        assert_eq!(get(json!(5)), [nobody; 2]);
        assert_eq!(get(Value::Null), [200; 2], "whoever names no client");
    }
}
