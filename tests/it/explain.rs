//! `claimgate explain` and `POST /tyk/jwt/explain`. That they say what requests meet, whatever the reason,
//! is shown in `every_error`.

use std::{
    io::Write as _,
    process::{Output, Stdio},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use claimgate::jwt::Algorithm;
use serde_json::{Value, json};

use crate::support::{
    Gateway, Request, Server, Setup, api, claims, key, key_named, keyless, keyless_at, merge, now, provider,
    scheme,
};

fn signed(changes: Value) -> String {
    key(Algorithm::ES256).sign(&json!({ "kid": "a" }), &claims(changes)).unwrap()
}

/// An API that takes tokens of a provider for `orders`, with changes.
fn orders(up: &Server, idp: &Server, changes: Value) -> Value {
    let mut own = json!({
        "signingMethod": "ecdsa",
        "jwksURIs": [{ "url": idp.url() }],
        "allowedIssuers": ["https://idp.test"],
        "allowedAudiences": ["orders"],
        "customClaimValidation": { "groups": { "type": "contains", "allowedValues": ["staff"] } },
    });
    merge(&mut own, changes);
    api("orders", up, scheme(own))
}

fn idp() -> Server {
    provider(&[("a", key(Algorithm::ES256))])
}

fn staff(changes: Value) -> String {
    let mut own = json!({ "groups": ["staff"] });
    merge(&mut own, changes);
    signed(own)
}

fn run(setup: &Setup, args: &[&str], input: &str) -> Output {
    let mut command = setup.command("explain");
    let mut child = command
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // What is not asked for may not be read.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8([&*output.stdout, &*output.stderr].concat()).unwrap()
}

/// The names, outcomes and reasons of the steps.
fn steps(explained: &Value) -> Vec<(&str, &str, Option<&str>)> {
    explained["steps"].as_array().unwrap().iter().map(outcome).collect()
}

fn outcome(step: &Value) -> (&str, &str, Option<&str>) {
    (step["step"].as_str().unwrap(), step["outcome"].as_str().unwrap(), step["reason"].as_str())
}

fn step<'e>(explained: &'e Value, name: &str) -> &'e Value {
    let mut all = explained["steps"].as_array().unwrap().iter();
    all.find(|step| step["step"] == name).unwrap_or_else(|| panic!("no {name} in {explained:#}"))
}

#[test]
fn the_command_line() {
    let (up, idp) = (Server::up(), idp());
    let setup = Setup::new().api(&orders(&up, &idp, json!({})));
    let good = staff(json!({}));
    setup.write("good", &format!("Bearer {good}\n"));
    for (args, input, code, part) in [
        (&["--api", "orders", "--token", &*good][..], "", 0, "let through"),
        (&["--api", "orders", "--token", "-"], &*good, 0, "let through"),
        (&["--api", "orders", "--token-file", "-"], &good, 0, "let through"),
        (&["--api", "orders", "--token-file", "good"], "", 0, "kid a; fetched 0 s ago"),
        (&["GET", "/orders/7", "--token-file", "good"], "", 0, "granted by all"),
        (&["http://any.test:8080/orders/7", "--token-file", "good"], "", 0, "let through"),
        (&["POST", "/orders/7", "-H", &format!("Authorization: Bearer {good}")], "", 0, "let through"),
        (&["/orders/7"], "", 1, "FAIL> token"),
        (&["/elsewhere"], "", 1, "refused: 404 Not Found, reason not_found"),
        (&["--api", "orders", "--token", "x.y.z"], "", 1, "reason token_malformed"),
        (&["--errors", "tyk", "/orders/7"], "", 1, "Authorization field missing"),
        (
            &["--api", "orders", "--token-file", "good", "--at", "2020-01-01T00:00:00Z"],
            "",
            1,
            "token_issued_in_future",
        ),
        (&["--api", "orders", "--token-file", "good", "--at", "4000000000"], "", 1, "token_expired"),
        (&["--api", "nothing", "--token", "x"], "", 2, "those that are served are orders"),
        (&["--api", "orders"], "", 2, "a token is needed"),
        (&["--api", "orders", "--token", "a\nb"], "", 2, "control characters"),
        (&["--api", "orders", "--token", "x", "--at", "yesterday"], "", 2, "--at is a time"),
        (&["--api", "orders", "--token-file", "missing"], "", 2, "missing cannot be read"),
        (&["/orders/", "-H", "nonsense"], "", 2, "'Name: value'"),
        (&["/orders/", "--config", "missing.yaml"], "", 2, "missing.yaml"),
        (&["G T", "/orders/"], "", 2, "the method is none"),
        (&["not a url"], "", 2, "the URL is none"),
        (&[], "", 2, "say what is asked"),
    ] {
        let output = run(&setup, args, input);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {}", said(&output));
        assert!(said(&output).contains(part), "{args:?}: {}", said(&output));
    }
    setup.write("api-definitions/broken.json", "{");
    let output = run(&setup, &["/orders/"], "");
    assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0));
    assert!(said(&output).contains("broken.json"), "{}", said(&output));
    assert_eq!(up.recorded().len(), 0, "nothing goes upstream");
}

#[test]
fn independent_checks_are_all_made_and_one_decides() {
    let (up, idp) = (Server::up(), idp());
    let setup = Setup::new().api(&orders(&up, &idp, json!({})));
    let wrong = signed(json!({ "exp": 1, "aud": ["a"], "groups": ["guests"] }));
    let output = run(&setup, &["--json", "--api", "orders", "--token", "-"], &wrong);
    let explained: Value = serde_json::from_slice(&output.stdout).unwrap();
    let failed: Vec<_> = steps(&explained).into_iter().filter(|(_, outcome, _)| *outcome == "fail").collect();
    assert_eq!(
        failed,
        [
            ("check exp", "fail", Some("token_expired")),
            ("check aud", "fail", Some("audience_not_allowed")),
            ("check claim:groups", "fail", Some("claim_not_containing")),
        ]
    );
    assert_eq!(step(&explained, "check exp")["decides"], true);
    assert_eq!(step(&explained, "check aud")["expected"], "one of orders");
    assert_eq!(step(&explained, "check aud")["found"], r#"["a"]"#);
    assert_eq!(explained["answer"]["status"], 401);
    assert_eq!((&explained["allowed"], &explained["api"]), (&json!(false), &json!("orders")));
    // The running gateway says the same, but for the age of its keys.
    let live = setup.start().explain(&json!({ "api": "orders", "token": wrong }));
    assert_eq!(steps(&live), steps(&explained));
    assert_eq!(live["answer"], explained["answer"]);
}

#[test]
fn what_a_terminal_would_obey_is_escaped() {
    let (up, idp) = (Server::up(), idp());
    let setup = Setup::new().api(&orders(&up, &idp, json!({})));
    let token = signed(json!({ "aud": "\u{1b}[2J\u{202e}evil\u{9b}", "iss": "\u{7}\r\n" }));
    let output = run(&setup, &["--api", "orders", "--token", "-"], &token);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("evil"), "{text}");
    assert!(text.chars().all(|c| c == '\n' || !(c.is_control() || c == '\u{202e}')), "{text:?}");
}

#[test]
fn nothing_that_could_be_used_is_shown() {
    let (up, idp) = (Server::up(), idp());
    let secret = key(Algorithm::HS256).to_text().unwrap();
    let hmac = scheme(json!({ "source": "env://SECRET", "signingMethod": "hmac" }));
    let setup = Setup::new()
        .env("SECRET", secret.trim())
        .api(&orders(&up, &idp, json!({})))
        .api(&api("shared", &up, hmac));
    let ours = key(Algorithm::HS256).sign(&json!({}), &claims(json!({}))).unwrap();
    let forged = key_named("other", Algorithm::HS256).sign(&json!({}), &claims(json!({}))).unwrap();
    let tokens = [
        staff(json!({})),
        staff(json!({ "exp": 1 })),
        ours,
        forged,
        "not.a.secret-token-of-nobody".to_owned(),
    ];
    let gateway = setup.start();
    for token in &tokens {
        for id in ["orders", "shared"] {
            let of_api = json!({ "api": id, "token": token });
            let of_request = Request::get(format!("/{id}/?x=1")).bearer(token).described();
            let mut text = gateway.explain(&of_api).to_string() + &gateway.explain(&of_request).to_string();
            for args in [&["--api", id, "--token", "-"][..], &["--json", "--api", id, "--token", "-"]] {
                text += &said(&run(gateway.setup(), args, token));
            }
            for segment in token.split('.').filter(|segment| segment.len() > 8) {
                assert!(!text.contains(segment), "{segment}: {text}");
            }
            assert!(!text.contains(secret.trim()) && !text.contains(crate::support::ADMIN_SECRET));
        }
    }
}

#[test]
fn bad_questions() {
    let (up, idp) = (Server::up(), idp());
    let gateway = Setup::new().api(&orders(&up, &idp, json!({}))).start();
    let ask = |body: &str| {
        let answer = gateway.admin(Request::new("POST", "/tyk/jwt/explain").body(body.as_bytes()));
        (answer.status, answer.text())
    };
    for (body, status, part) in [
        ("", 400, "the body is no question (line 1, column 0)"),
        ("[]", 400, "the body is no question"),
        (r#"{"tokn":"hunter2"}"#, 400, "the body is no question"),
        (r#"{"token":5}"#, 400, "the body is no question"),
        ("{}", 400, "say what is asked"),
        (r#"{"api":"orders"}"#, 400, "a token is needed"),
        (r#"{"api":"orders","url":"/x","token":"hunter2"}"#, 400, "say what is asked"),
        (r#"{"api":"nothing","token":"hunter2"}"#, 404, "API not found"),
        (r#"{"api":"orders","token":"hunter2\n."}"#, 400, "control characters"),
        (r#"{"url":"no path","token":"hunter2"}"#, 400, "the URL is none"),
        (r#"{"url":"/x","method":"A B"}"#, 400, "the method is none"),
        (r#"{"url":"/x","headers":{"a":5}}"#, 400, "the header \"a\" is no text"),
        (r#"{"url":"/x","headers":{"a b":"hunter2"}}"#, 400, "the header field \"a b\""),
        (r#"{"url":"/x","at":"soon"}"#, 400, "at is a time"),
        (r#"{"url":"/x","at":-1}"#, 400, "at is a time"),
    ] {
        let (got, text) = ask(body);
        let said = serde_json::from_str::<Value>(&text).unwrap();
        let message = said["message"].as_str().unwrap();
        assert_eq!((got, &said["status"]), (status, &json!("error")), "{body}: {text}");
        assert!(message.contains(part) && !message.contains("hunter2"), "{body}: {message}");
    }
    let (status, _) = ask(&json!({ "api": "orders", "token": "x".repeat(300 * 1024) }).to_string());
    assert_eq!(status, 413);
    assert_eq!(gateway.admin(Request::get("/tyk/jwt/explain")).status, 405);
}

#[test]
fn explaining_leaves_no_trace() {
    let (up, idp) = (Server::up(), idp());
    let policy = json!({ "id": "once", "quota_max": 1, "quota_renewal_rate": 3600, "rate": 1, "per": 3600,
        "access_rights": { "orders": { "api_id": "orders" } } });
    let document = orders(&up, &idp, json!({ "defaultPolicies": ["once"] }));
    let gateway = Setup::new().api(&document).policy(&policy).start();
    let token = staff(json!({ "exp": now() + 60 }));
    let request = || Request::get("/orders/").bearer(&token);
    for _ in 0..3 {
        let explained = gateway.explain(&request().described());
        assert_eq!(explained["allowed"], true, "{explained:#}");
        let left = step(&explained, "limits")["found"].as_str().unwrap();
        assert!(left.contains("rate: 1 of 1 left") && left.contains("quota: 1 of 1 left"), "{left}");
    }
    assert_eq!(up.recorded().len(), 0);
    assert_eq!(gateway.send(&request()).status, 200);
    let explained = gateway.explain(&request().described());
    assert_eq!(explained["answer"]["reason"], "rate_exceeded", "{explained:#}");
    assert_eq!(gateway.send(&request()).status, 429);
    // A time at which a token was good does not make it good now.
    let old = staff(json!({ "iat": 1000, "exp": 2000 }));
    let then = gateway.explain(&json!({ "api": "orders", "token": old, "at": 1500 }));
    assert_eq!(then["allowed"], true, "{then:#}");
    assert_eq!(gateway.send(&Request::get("/orders/").bearer(&old)).status, 401);
    // Nor does what is remembered of a good one hide that it will expire.
    let later = gateway.explain(&json!({ "api": "orders", "token": token, "at": now() + 3600 }));
    assert_eq!(later["answer"]["reason"], "token_expired");
}

/// Two schemes of which one must be met, and their gateway.
fn either(up: &Server, idp: &Server, profile: &str) -> Gateway {
    let bearer = json!({ "type": "http", "scheme": "bearer", "bearerFormat": "JWT" });
    let partner = scheme(json!({
        "signingMethod": "ecdsa", "jwksURIs": [{ "url": idp.url() }], "header": { "name": "X-Partner" },
        "allowedIssuers": ["https://partner.test"],
    }));
    let mut document = orders(up, idp, json!({}));
    merge(
        &mut document,
        json!({
            "components": { "securitySchemes": { "partner": bearer } },
            "security": [{ "jwt": [] }, { "partner": [] }],
            "x-tyk-api-gateway": { "server": { "authentication": {
                "securityProcessingMode": "compliant", "securitySchemes": { "partner": partner },
            } } },
        }),
    );
    Setup::new().config(&json!({ "errors": profile })).api(&document).start()
}

#[test]
fn each_requirement_is_shown_with_its_outcome() {
    let (up, idp) = (Server::up(), idp());
    let expired = staff(json!({ "exp": 1 }));
    let of_partner = |changes: Value| {
        let mut own = json!({ "iss": "https://partner.test" });
        merge(&mut own, changes);
        signed(own)
    };
    let (met, wrong) = (of_partner(json!({})), of_partner(json!({ "iss": "nobody" })));
    let expired_partner = of_partner(json!({ "exp": 1 }));
    for profile in ["rfc", "tyk"] {
        let gateway = either(&up, &idp, profile);
        let rfc = profile == "rfc";
        for (partner, first, second, settled) in [
            (Some(&met), "fail", "ok", None),
            (Some(&wrong), "fail", "fail", Some(if rfc { 1 } else { 2 })),
            (Some(&expired_partner), "fail", "fail", Some(if rfc { 1 } else { 2 })),
            (None, "fail", "fail", Some(if rfc { 1 } else { 2 })),
        ] {
            let mut request = Request::get("/orders/").bearer(&expired);
            if let Some(partner) = partner {
                request = request.header("X-Partner", partner);
            }
            let explained = gateway.explain(&request.described());
            let outcomes: Vec<(&str, &str)> = steps(&explained)
                .into_iter()
                .filter(|(name, ..)| *name == "requirement")
                .map(|(name, outcome, _)| (name, outcome))
                .collect();
            assert_eq!(outcomes, [("requirement", first), ("requirement", second)], "{explained:#}");
            let steps = explained["steps"].as_array().unwrap();
            let deciding = steps.iter().find(|step| step["decides"] == true);
            assert_eq!(deciding.and_then(|step| step["requirement"].as_u64()), settled, "{explained:#}");
            let answer = gateway.send(&request);
            match settled {
                None => assert_eq!((answer.status, &explained["answer"]), (200, &Value::Null)),
                Some(_) => {
                    assert_eq!(explained["answer"]["body"], answer.text(), "{profile}");
                    let reason = explained["answer"]["reason"].as_str().unwrap();
                    assert!(gateway.last_line().contains(&format!("\"reason\":\"{reason}\"")));
                }
            }
        }
        let good = gateway.explain(&Request::get("/orders/").bearer(&staff(json!({}))).described());
        let last = good["steps"].as_array().unwrap().iter().filter(|step| step["step"] == "requirement");
        let outcomes: Vec<&Value> = last.map(|step| &step["outcome"]).collect();
        assert_eq!(outcomes, ["ok", "skip"]);
    }
}

#[test]
fn operations_scopes_and_policies() {
    let (up, idp) = (Server::up(), idp());
    let mut document = orders(&up, &idp, json!({ "basePolicyClaims": ["pol"] }));
    let operation = |id: &str| json!({ "operationId": id, "responses": {} });
    merge(
        &mut document,
        json!({
            "paths": {
                "/free": { "get": operation("free") },
                "/news": { "get": operation("news") },
                "/items/{id}": { "get": { "operationId": "item", "responses": {}, "security": [{ "jwt": ["read"] }] } },
            },
            "x-tyk-api-gateway": { "middleware": { "operations": {
                "free": { "ignoreAuthentication": { "enabled": true } },
            } } },
            "x-claimgate": {
                "server": { "authentication": { "securitySchemes": { "jwt": { "scopeCheck": { "enabled": true } } } } },
                "middleware": { "operations": { "news": { "optionalAuthentication": { "enabled": true } } } },
            },
        }),
    );
    let setup = Setup::new().api(&document).api(&keyless("open", &up));
    let gateway = setup.start();
    let (good, bad) = (staff(json!({ "scope": "read" })), staff(json!({ "exp": 1 })));
    let poor = staff(json!({ "scope": "write", "pol": "all" }));
    let lost = staff(json!({ "pol": "nobodys" }));
    for (path, token, shown, found, reason) in [
        ("/orders/free", None, "authentication", "the operation ignores credentials", None),
        ("/orders/free", Some(&bad), "operation", "GET /free", None),
        ("/orders/news", None, "authentication", "optional here, and there is none", None),
        ("/orders/news", Some(&bad), "authentication", "which must be good", Some("token_expired")),
        ("/orders/items/7", Some(&good), "scopes", "read", None),
        ("/orders/items/7", Some(&poor), "scopes", "write (lacking: read)", Some("scope_insufficient")),
        ("/orders/items/7", Some(&poor), "policies", "all (claim pol names all)", Some("scope_insufficient")),
        ("/orders/x", Some(&lost), "policies", "claim pol names nobodys", Some("policy_unknown")),
        ("/orders/items/7", None, "operation", "GET /items/{}", Some("token_missing")),
        ("/open/x", None, "authentication", "the API is open to everybody", None),
        ("/orders//x", None, "request", "a path that is cleaned first: /orders/x", None),
    ] {
        let mut request = Request::get(path);
        if let Some(token) = token {
            request = request.bearer(token);
        }
        let explained = gateway.explain(&request.described());
        let text = step(&explained, shown)["found"].as_str().unwrap().to_owned();
        assert!(text.contains(found), "{path}: {text}");
        assert_eq!(explained["answer"]["reason"].as_str(), reason, "{explained:#}");
        let answer = gateway.send(&request);
        let status = explained["answer"]["status"].as_u64().unwrap_or(200);
        assert_eq!(u64::from(answer.status), status, "{path}");
    }
}

/// Tokens that are nearly none: the answer to each is the one that was foretold.
#[test]
fn garbage() {
    let (up, idp) = (Server::up(), idp());
    let gateway = Setup::new().api(&orders(&up, &idp, json!({}))).start();
    let good = staff(json!({}));
    let octets = good.as_bytes();
    let mut tokens: Vec<String> = [
        "",
        ".",
        "..",
        "....",
        "a",
        "e30.e30.",
        "bnVsbA.bnVsbA.x",
        "é.é.é",
        "\u{202e}",
        "\u{10ffff}",
        "%00",
        "a b",
    ]
    .map(Into::into)
    .into();
    // Cut short, and with one octet changed.
    for at in (0..octets.len()).step_by(11) {
        tokens.push(good.chars().take(at).collect());
        let mut changed = octets.to_vec();
        changed[at] = if changed[at] == b'A' { b'.' } else { b'A' };
        tokens.push(String::from_utf8(changed).unwrap());
    }
    for token in tokens {
        let request = Request::get("/orders/").bearer(&token);
        let answer = gateway.send(&request);
        let asked = [
            gateway.explain(
                &json!({ "url": "/orders/", "headers": { "Authorization": format!("Bearer {token}") } }),
            ),
            gateway.explain(&json!({ "url": "/orders/", "token": token })),
            gateway.explain(&json!({ "api": "orders", "token": token })),
        ];
        for explained in asked {
            let foretold = explained["answer"]["status"].as_u64().unwrap_or(200);
            assert_eq!(foretold, u64::from(answer.status), "{token:?} {explained:#}");
        }
    }
}

#[test]
fn no_value_of_a_reference_is_told() {
    let (up, idp) = (Server::up(), idp());
    let port = up.address().port();
    let values = [
        ("BASE", "T0-of-base".to_owned()),
        ("WHOLE", format!("http://127.0.0.1:{port}/services/T0-of-whole?key=T0-of-whole")),
        ("SEGMENT", "T0-of-segment".to_owned()),
        ("TARGET", "/services/T0-of-target/$1".to_owned()),
        ("LED", "tyk://whole/T0-of-address/x".to_owned()),
        ("AUDIENCE", "T0-of-audience".to_owned()),
        ("KEYS", "T0-of-keys".to_owned()),
        ("SERVER", format!("http://localhost:{}", idp.address().port())),
        ("ENCODED", STANDARD.encode("http://localhost:1/T0-of-encoded")),
    ];
    let with = |id: &str, url: &str, rewrite: Option<&str>| {
        let mut document = keyless_at(id, url);
        if let Some(to) = rewrite {
            let rewrite = json!({ "enabled": true, "pattern": "/(x)$", "rewriteTo": to });
            merge(
                &mut document,
                json!({
                    "paths": { "/x": { "get": { "operationId": "x" } } },
                    "x-tyk-api-gateway": { "middleware": { "operations": { "x": { "urlRewrite": rewrite } } } },
                }),
            );
        }
        document
    };
    let plain = format!("http://127.0.0.1:{port}");
    let jwks = |path: &str| json!([{ "url": format!("http://localhost:{}{path}", idp.address().port()) }]);
    let keyed = |id: &str, own: Value| {
        let mut fields = json!({ "signingMethod": "ecdsa", "allowedAudiences": ["$kv{any:AUDIENCE}"] });
        merge(&mut fields, own);
        api(id, &up, scheme(fields))
    };
    let mut setup = Setup::new().config(
        &json!({ "kv": { "stores": { "any": { "type": "env", "config": { "allow_no_prefix": true } } } } }),
    );
    for (name, value) in &values {
        setup = setup.env(name, value);
    }
    let gateway = setup
        .api(&with("base", &format!("{plain}/services/$kv{{any:BASE}}"), None))
        .api(&with("whole", "env://WHOLE", None))
        .api(&with("segment", &plain, Some("/to/$kv{any:SEGMENT}/$1")))
        .api(&with("target", &plain, Some("env://TARGET")))
        .api(&with("led", &plain, Some("env://LED")))
        .api(&keyed("keys", json!({ "jwksURIs": jwks("/$kv{any:KEYS}/jwks") })))
        .api(&keyed("server", json!({ "jwksURIs": [{ "url": "$kv{any:SERVER}/jwks" }] })))
        .api(&keyed("encoded", json!({ "source": "env://ENCODED" })))
        .start();
    let mut told = Vec::new();
    for id in ["base", "whole", "segment", "target", "led"] {
        let explained = gateway.explain(&json!({ "method": "GET", "url": format!("/{id}/x") }));
        assert_eq!(explained["allowed"], true, "{explained:#}");
        assert_eq!(step(&explained, "upstream")["outcome"], "ok");
        told.push(explained.to_string());
    }
    let token = signed(json!({ "aud": ["T0-of-nobody"] }));
    told.push(gateway.explain(&json!({ "api": "server", "token": token })).to_string());
    told.push(gateway.admin(Request::get("/tyk/cache/jwks")).text());
    told.push(gateway.metrics());
    told.push(gateway.log_with("key set"));
    for (n, told) in told.iter().enumerate() {
        for part in ["base", "whole", "segment", "target", "address", "audience", "keys", "encoded"] {
            assert!(!told.contains(&format!("T0-of-{part}")), "{n}: {part} in {told}");
        }
    }
    let [.., sources, metrics, _] = &*told else { panic!() };
    for part in ["/$kv{any:KEYS}/jwks", "$kv{any:SERVER}/jwks", "env://ENCODED"] {
        assert!(sources.contains(part) && metrics.contains(part), "{part}: {sources} {metrics}");
    }
    assert!(told.first().unwrap().contains("$kv{any:BASE}/x"), "{told:?}");
}
