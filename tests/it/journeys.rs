//! Requests that one API leads to another (`tyk://`).

use claimgate::jwt::Algorithm;
use serde_json::{Value, json};

use crate::support::{Gateway, Request, Server, Setup, api, claims, key, keyless, merge, scheme};

fn token(changes: Value) -> String {
    key(Algorithm::HS256).sign(&json!({}), &claims(changes)).unwrap()
}

fn protected(id: &str, upstream: &Server) -> Value {
    let selecting = json!({ "source": "env://SECRET", "signingMethod": "hmac", "policyFieldName": "pol" });
    api(id, upstream, scheme(selecting))
}

fn changed(mut document: Value, changes: Value) -> Value {
    merge(&mut document, json!({ "x-tyk-api-gateway": changes }));
    document
}

/// The same, led to an address.
fn led(document: Value, address: &str) -> Value {
    changed(document, json!({ "upstream": { "url": address } }))
}

/// The same, for other APIs alone.
fn internal(document: Value) -> Value {
    changed(document, json!({ "info": { "state": { "internal": true } } }))
}

fn setup() -> Setup {
    Setup::new().env("SECRET", key(Algorithm::HS256).to_text().unwrap().trim())
}

fn steps(gateway: &Gateway, request: &Request) -> Vec<String> {
    let explained = gateway.explain(&request.described());
    let steps = explained["steps"].as_array().unwrap().iter();
    steps
        .map(|step| format!("{}: {}", step["step"].as_str().unwrap(), step["found"].as_str().unwrap()))
        .collect()
}

#[test]
fn a_request_goes_on_at_an_api_that_nobody_reaches_otherwise() {
    let (up, inner) = (Server::up(), Server::up());
    let gateway = setup()
        .api(&led(keyless("front", &up), "tyk://inner/base?k=v"))
        .api(&internal(keyless("inner", &inner)))
        .start();
    let body = b"a body that passes untouched";
    let answer = gateway.send(&Request::new("POST", "/front/x%20y?q=%zz").body(body));
    assert_eq!(answer.status, 200);
    let seen = inner.take_one();
    assert_eq!((seen.target(), &*seen.body), ("/base/x%20y?k=v&q=%zz", &body[..]));
    assert_eq!(seen.values("x-forwarded-for"), ["127.0.0.1"]);
    assert!(gateway.last_line().contains("\"api\":\"inner\""), "{}", gateway.last_line());
    for path in ["/inner/", "/inner/x", "/front/../inner/", "/front//inner/x", "/front/%2e%2e/inner/x"] {
        let answer = gateway.send(&Request::get(path));
        assert!([301, 404].contains(&answer.status), "{path}");
        if let Some(location) = answer.header("location") {
            assert_eq!(inner.recorded().len(), 0, "{path}");
            assert!(["/inner/", "/inner/x", "/front/inner/x"].contains(&location), "{path}: {location}");
        }
    }
    for path in ["/front/..%2finner/x", "/front/..;/inner/x", "/front/%252e%252e/inner/x"] {
        assert!([301, 400].contains(&gateway.send(&Request::get(path)).status), "{path}");
    }
    assert!(up.recorded().is_empty() && inner.recorded().is_empty());
    let steps = steps(&gateway, &Request::get("/front/x"));
    assert!(steps.iter().any(|step| step == "api: inner, with /base/x"), "{steps:#?}");
}

#[test]
fn each_api_asks_for_itself_and_what_one_strips_no_upstream_gets() {
    let inner = Server::up();
    let stripping = json!({ "server": { "authentication": { "stripAuthorizationData": true } } });
    let gateway = setup()
        .api(&changed(led(protected("front", &inner), "tyk://inner"), stripping.clone()))
        .api(&led(keyless("open", &inner), "tyk://inner"))
        .api(&internal(protected("inner", &inner)))
        .api(&changed(led(protected("onto-open", &inner), "tyk://bare"), stripping))
        .api(&internal(keyless("bare", &inner)))
        .policy(&json!({ "id": "outer", "access_rights": { "front": { "api_id": "front" } } }))
        .start();
    let both = token(json!({}));
    for (path, stripped) in [("/front/", true), ("/open/", false), ("/onto-open/", true)] {
        assert_eq!(gateway.send(&Request::get(path)).status, 401, "{path}");
        assert_eq!(gateway.send(&Request::get(path).bearer(&both)).status, 200, "{path}");
        assert_eq!(inner.take_one().values("authorization").is_empty(), stripped, "{path}");
    }
    // Whoever may use the first may not use the second.
    let answer = gateway.send(&Request::get("/front/").bearer(&token(json!({ "pol": "outer" }))));
    assert_eq!(answer.status, 403);
    assert!(gateway.last_line().contains("\"api\":\"inner\""));
    assert!(inner.recorded().is_empty());
}

#[test]
fn headers_are_set_on_the_way_and_no_connection_takes_them_away() {
    let inner = Server::up();
    let adding = |name: &str, value: &str| {
        let rules = json!({ "enabled": true, "add": [{ "name": name, "value": value }] });
        json!({ "middleware": { "global": {
            "contextVariables": { "enabled": true }, "transformRequestHeaders": rules,
        } } })
    };
    let front = changed(protected("front", &inner), adding("X-User", "$tyk_context.jwt_claims_sub"));
    let stripping = json!({ "server": { "authentication": { "stripAuthorizationData": true } } });
    let gateway = setup()
        .api(&changed(led(front, "tyk://inner"), stripping))
        .api(&changed(keyless("inner", &inner), adding("Authorization", "Basic inner")))
        .start();
    let request = Request::get("/front/").bearer(&token(json!({})));
    let request = request.header("Connection", "close, X-User").header("X-User", "mallory");
    assert_eq!(gateway.send(&request).status, 200);
    let seen = inner.take_one();
    assert_eq!(seen.values("x-user"), ["alice"]);
    assert_eq!(seen.values("authorization"), ["Basic inner"]);
}

#[test]
fn a_request_counts_once_for_each_limit() {
    let inner = Server::up();
    let gateway = setup()
        .api(&led(protected("front", &inner), "tyk://inner"))
        .api(&internal(changed(
            protected("inner", &inner),
            json!({ "upstream": { "rateLimit": { "enabled": true, "rate": 2, "per": "1h" } } }),
        )))
        .policy(&json!({ "id": "p", "quota_max": 5, "quota_renewal_rate": 3600, "access_rights": {
            "front": { "api_id": "front" }, "inner": { "api_id": "inner" },
        } }))
        .start();
    let request = Request::get("/front/").bearer(&token(json!({ "pol": "p" })));
    let answers = [(); 3].map(|()| gateway.send(&request));
    assert_eq!(answers.each_ref().map(|answer| answer.status), [200, 200, 429]);
    let left = |n: usize| answers[n].header("ratelimit").unwrap().split(";t=").next().unwrap().to_owned();
    assert_eq!([left(0), left(1)], ["\"quota\";r=4", "\"quota\";r=3"]);
}

#[test]
fn circles_end() {
    let up = Server::up();
    for (profile, status, text) in [
        ("rfc", 508, "loop_detected"),
        ("tyk", 500, "Loop level too deep. Found more than 5 loops in single request"),
    ] {
        let gateway = setup()
            .config(&json!({ "errors": profile }))
            .api(&led(keyless("a", &up), "tyk://b"))
            .api(&led(keyless("b", &up), "tyk://a"))
            .api(&led(keyless("itself", &up), "tyk://self"))
            .api(&led(keyless("short", &up), "tyk://c?loop_limit=1"))
            .api(&led(keyless("c", &up), "tyk://d"))
            .api(&keyless("d", &up))
            .start();
        for path in ["/a/", "/b/x", "/itself/"] {
            let answer = gateway.send(&Request::get(path));
            assert_eq!(answer.status, status, "{path}");
            assert!(answer.text().contains(text), "{}", answer.text());
        }
        assert_eq!(gateway.send(&Request::get("/c/")).status, 200);
        assert_eq!(gateway.send(&Request::get("/short/")).status, status);
    }
}

#[test]
fn an_address_may_name_the_api_and_another_method() {
    let (up, inner) = (Server::up(), Server::up());
    let gateway = setup()
        .api(&led(keyless("front", &up), "tyk://my-inner-api/x?method=PUT"))
        .api(&changed(keyless("inner", &inner), json!({ "info": { "name": "My Inner API #eu" } })))
        .start();
    assert_eq!(gateway.send(&Request::new("POST", "/front/y").body(b"body")).status, 200);
    let seen = inner.take_one();
    assert_eq!((seen.head.split(' ').next().unwrap(), seen.target()), ("PUT", "/x/y"));
}

#[test]
fn what_leads_nowhere_is_told_and_refused() {
    let up = Server::up();
    let inactive = json!({ "info": { "state": { "active": false } } });
    let setup = setup()
        .config(&json!({ "errors": "tyk" }))
        .api(&led(keyless("astray", &up), "tyk://nobody/x"))
        .api(&led(keyless("asleep", &up), "tyk://off"))
        .api(&changed(keyless("off", &up), inactive));
    let output = setup.check();
    let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert!(output.status.success(), "{text}");
    for part in ["the API nobody does not exist", "the API off is not active here", "upstream.url"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let gateway = setup.start();
    for path in ["/astray/", "/asleep/"] {
        let answer = gateway.send(&Request::get(path));
        assert_eq!(answer.status, 500, "{path}");
        assert!(answer.text().contains("Couldn't detect target"), "{}", answer.text());
    }
    let bad = Setup::new().api(&led(keyless("bad", &up), "tyk://?x"));
    let output = bad.check();
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stdout).contains("name the API"), "{output:?}");
}

#[test]
fn what_one_api_skips_the_next_one_counts() {
    let up = Server::up();
    let skip = |what: &str| json!({ "middleware": { "global": { what: true } } });
    for (limit, skipping) in [
        (json!({ "rate": 2, "per": 3600 }), skip("skipRateLimit")),
        (json!({ "quota_max": 2, "quota_renewal_rate": 3600 }), skip("skipQuota")),
        // Neither skips, and the limit of both counts once.
        (json!({ "rate": 2, "per": 3600, "quota_max": 2, "quota_renewal_rate": 3600 }), json!({})),
    ] {
        let mut policy = json!({ "id": "limited", "access_rights": {
            "outer": { "api_id": "outer" }, "inner": { "api_id": "inner" } } });
        merge(&mut policy, limit.clone());
        let gateway = setup()
            .api(&changed(led(protected("outer", &up), "tyk://inner"), skipping))
            .api(&internal(protected("inner", &up)))
            .policy(&policy)
            .start();
        let request = Request::get("/outer/").bearer(&token(json!({ "pol": "limited" })));
        let statuses = [0; 3].map(|_| gateway.send(&request).status);
        assert_eq!(statuses, [200, 200, 429], "{limit}");
    }
}

#[test]
fn a_preflight_stays_one_wherever_it_is_led() {
    let operations = json!({
        "paths": {
            "/made": { "options": { "operationId": "made", "responses": {} } },
            "/hidden": { "options": { "operationId": "hidden", "responses": {} } },
        },
        "x-tyk-api-gateway": { "middleware": { "operations": {
            "made": { "transformRequestMethod": { "enabled": true, "toMethod": "DELETE" } },
            "hidden": { "internal": { "enabled": true } },
        } } }
    });
    let passing =
        json!({ "middleware": { "global": { "cors": { "enabled": true, "optionsPassthrough": true } } } });
    for profile in ["rfc", "tyk"] {
        let upstream = Server::up();
        let mut inner = internal(keyless("inner", &upstream));
        merge(&mut inner, operations.clone());
        let front = led(changed(protected("front", &upstream), passing.clone()), "tyk://inner?method=POST");
        let gateway = setup().config(&json!({ "errors": profile })).api(&front).api(&inner).start();
        gateway.log_with(
            "preflights, which cors.optionsPassthrough lets through without a token, keep their method",
        );
        let asking = |method: &'static str, path: &str| {
            Request::new(method, path)
                .header("Origin", "https://page.example")
                .header("Access-Control-Request-Method", "PUT")
        };
        for path in ["/front/", "/front/made"] {
            assert_eq!(gateway.send(&asking("OPTIONS", path)).status, 200, "{path}");
            assert!(upstream.take_one().head.starts_with("OPTIONS "), "{path}");
        }
        assert_eq!(gateway.send(&asking("OPTIONS", "/front/hidden")).status, 403);
        assert!(upstream.recorded().is_empty());
        // Whoever has shown a token goes on as the address says, and where others may not.
        let get = asking("GET", "/front/").bearer(&token(json!({})));
        assert_eq!(gateway.send(&get).status, 200);
        assert!(upstream.take_one().head.starts_with("POST "));
    }
}

#[test]
fn a_request_has_one_number_wherever_it_is_used() {
    let upstream = Server::up();
    let numbering = |upstream: &str| {
        let rules =
            json!({ "enabled": true, "add": [{ "name": upstream, "value": "$tyk_context.request_id" }] });
        json!({ "middleware": { "global": {
            "contextVariables": { "enabled": true }, "transformRequestHeaders": rules,
        } } })
    };
    let front = changed(led(keyless("front", &upstream), "tyk://inner"), numbering("X-First"));
    let mut inner = changed(keyless("inner", &upstream), numbering("X-Second"));
    merge(
        &mut inner,
        json!({
            "paths": { "/x": { "get": { "operationId": "x", "responses": {} } } },
            "x-tyk-api-gateway": { "middleware": {
                "operations": { "x": { "urlRewrite": {
                    "enabled": true, "pattern": "/x", "rewriteTo": "/y/$tyk_context.request_id",
                } } },
            } },
        }),
    );
    let gateway = setup().api(&front).api(&inner).start();
    let numbers = [(); 2].map(|()| {
        let answer = gateway.send(&Request::get("/front/x"));
        assert_eq!(answer.status, 200);
        let seen = upstream.take_one();
        let number = seen.values("x-first").concat();
        assert_eq!(
            (seen.values("x-second").concat(), seen.target()),
            (number.clone(), &*format!("/y/{number}"))
        );
        number
    });
    assert_ne!(numbers[0], numbers[1]);
}

#[test]
fn operations_that_would_change_the_method_of_preflights_are_told() {
    let upstream = Server::up();
    let operation = |id: &str| json!({ "operationId": id, "responses": {} });
    let mut document = keyless("front", &upstream);
    merge(
        &mut document,
        json!({
            "paths": {
                "/led": { "options": operation("led"), "get": operation("get") },
                "/made": { "options": operation("made") },
                "/kept": { "options": operation("kept") },
            },
            "x-tyk-api-gateway": { "middleware": {
                "global": { "cors": { "enabled": true, "optionsPassthrough": true } },
                "operations": {
                    "led": { "urlRewrite": { "enabled": true, "pattern": "/led", "rewriteTo": "/x", "triggers": [
                        { "condition": "any", "rules": [], "rewriteTo": "tyk://self/y?method=POST" },
                    ] } },
                    "made": { "transformRequestMethod": { "enabled": true, "toMethod": "DELETE" } },
                    "get": { "urlRewrite": { "enabled": true, "pattern": "/x", "rewriteTo": "tyk://self/y?method=POST" } },
                    "kept": { "urlRewrite": { "enabled": true, "pattern": "/x", "rewriteTo": "tyk://self/y" } },
                },
            } }
        }),
    );
    let told = String::from_utf8(setup().api(&document).check().stdout).unwrap();
    for (place, expected) in [
        ("led.urlRewrite", true),
        ("made.transformRequestMethod", true),
        ("get.urlRewrite", false),
        ("kept.urlRewrite", false),
    ] {
        let message = format!("operations.{place}: preflights, which cors.optionsPassthrough lets through");
        assert_eq!(told.contains(&message), expected, "{place}: {told}");
    }
}
