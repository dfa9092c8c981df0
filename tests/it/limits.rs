//! Rates, quotas and throttles: who is counted together, what is refused, and what answers say.

use std::{io::Write as _, net::TcpStream};

use claimgate::jwt::Algorithm;
use serde_json::{Value, json};

use crate::support::{Answer, Gateway, Request, Server, Setup, api, claims, key, merge, now, scheme};

fn token(changes: Value) -> String {
    key(Algorithm::HS256).sign(&json!({}), &claims(changes)).unwrap()
}

/// Two APIs, `a` and `b`, whose policy is named by the claim `pol`.
fn setup(upstream: &Server, changes: Value) -> Setup {
    let selecting =
        || scheme(json!({ "source": "env://SECRET", "signingMethod": "hmac", "policyFieldName": "pol" }));
    let mut a = api("a", upstream, selecting());
    merge(&mut a, changes);
    Setup::new().env("SECRET", key(Algorithm::HS256).to_text().unwrap().trim()).api(&a).api(&api(
        "b",
        upstream,
        selecting(),
    ))
}

/// A policy of both APIs with these fields.
fn policy(id: &str, changes: Value) -> Value {
    let mut policy = json!({ "id": id, "access_rights": { "a": { "api_id": "a" }, "b": { "api_id": "b" } } });
    merge(&mut policy, changes);
    policy
}

fn send(gateway: &Gateway, path: &str, claims: Value) -> Answer {
    gateway.send(&Request::get(path).bearer(&token(claims)))
}

/// The statuses of requests that are sent one after the other.
fn statuses<const N: usize>(gateway: &Gateway, path: &str, claims: Value) -> [u16; N] {
    std::array::from_fn(|_| send(gateway, path, claims.clone()).status)
}

#[test]
fn a_rate_is_the_callers_on_all_apis() {
    let upstream = Server::up();
    let gateway = setup(&upstream, json!({})).policy(&policy("p", json!({ "rate": 3, "per": 3600 }))).start();
    let answer = send(&gateway, "/a/", json!({ "pol": "p" }));
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("ratelimit-policy"), Some("\"rate\";q=3;w=3600"));
    assert_eq!(answer.header("ratelimit"), Some("\"rate\";r=2;t=3600"));
    assert_eq!(answer.header("x-ratelimit-limit"), None);
    assert_eq!(statuses(&gateway, "/b/", json!({ "pol": "p", "jti": "another" })), [200, 200, 429]);
    let refused = send(&gateway, "/a/", json!({ "pol": "p" }));
    assert_eq!(refused.status, 429);
    let seconds: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((3500..=3600).contains(&seconds), "{seconds}");
    assert!(refused.header("ratelimit").unwrap().starts_with("\"rate\";r=0;t="));
    assert!(refused.text().contains("\"error\":\"rate_limit_exceeded\""), "{}", refused.text());
    assert!(gateway.last_line().contains("\"status\":429,\"reason\":\"rate_exceeded\""));
    // Another caller, and another issuer's caller of the same name.
    assert_eq!(send(&gateway, "/a/", json!({ "pol": "p", "sub": "bob" })).status, 200);
    assert_eq!(send(&gateway, "/a/", json!({ "pol": "p", "iss": "https://other.test" })).status, 200);
    assert_eq!(upstream.recorded().len(), 5);
}

#[test]
fn a_quota_is_used_by_what_is_let_through() {
    let upstream = Server::up();
    let day = policy("p", json!({ "quota_max": 2, "quota_renewal_rate": 86400 }));
    for (profile, status) in [("rfc", 429), ("tyk", 403)] {
        let gateway = setup(&upstream, json!({})).config(&json!({ "errors": profile })).policy(&day).start();
        // Neither a bad token nor a path that leads nowhere uses it.
        assert_eq!(gateway.send(&Request::get("/a/").bearer("bad")).status / 100, 4);
        assert_eq!(send(&gateway, "/c/", json!({ "pol": "p" })).status, 404);
        let first = send(&gateway, "/a/", json!({ "pol": "p" }));
        assert_eq!(statuses(&gateway, "/b/", json!({ "pol": "p" })), [200, status, status]);
        let refused = send(&gateway, "/a/", json!({ "pol": "p" }));
        assert!(gateway.last_line().contains("\"reason\":\"quota_exceeded\""));
        if profile == "rfc" {
            assert_eq!(first.header("ratelimit-policy"), Some("\"quota\";q=2;w=86400"));
            assert_eq!(first.header("ratelimit"), Some("\"quota\";r=1;t=86400"));
            assert!(refused.header("retry-after").is_some());
        } else {
            assert_eq!(refused.text(), "{\n    \"error\": \"Quota exceeded\"\n}");
            assert_eq!((refused.header("retry-after"), refused.header("ratelimit")), (None, None));
            let told = |name| first.header(&format!("x-ratelimit-{name}")).unwrap().to_owned();
            assert_eq!((told("limit"), told("remaining")), ("2".into(), "1".into()));
            let reset: u64 = told("reset").parse().unwrap();
            assert!((now() + 86_300..=now() + 86_400).contains(&reset), "{reset}");
        }
    }
}

#[test]
fn per_api_and_per_endpoint() {
    let upstream = Server::up();
    let gateway = setup(&upstream, json!({}))
        .policy(&policy(
            "per-api",
            json!({ "partitions": { "per_api": true }, "rate": 2, "per": 3600,
                "access_rights": { "a": { "limit": { "rate": 1, "per": 3600 } } } }),
        ))
        .policy(&policy(
            "endpoints",
            json!({ "access_rights": { "a": { "endpoints": [
                { "path": "/users/{id}", "methods": [{ "name": "get", "limit": { "rate": 1, "per": 3600 } }] },
            ] } } }),
        ))
        .start();
    assert_eq!(statuses(&gateway, "/a/", json!({ "pol": "per-api" })), [200, 429]);
    assert_eq!(statuses(&gateway, "/b/", json!({ "pol": "per-api" })), [200, 200, 429]);
    let endpoints = || json!({ "pol": "endpoints" });
    assert_eq!(statuses(&gateway, "/a/users/1", endpoints()), [200, 429]);
    assert_eq!(send(&gateway, "/a/users/2", endpoints()).status, 429, "one counter for the pattern");
    assert_eq!(statuses(&gateway, "/a/other", endpoints()), [200, 200]);
    let head = Request::new("HEAD", "/a/users/1").bearer(&token(endpoints()));
    assert_eq!(gateway.send(&head).status, 429);
    // Nobody knows which endpoint the upstream would find.
    for path in ["/a/users%2f1", "/a/users/1%3Fx", "/a/users/1%23x"] {
        assert_eq!(send(&gateway, path, endpoints()).status, 429, "{path}");
    }
    let get = Request::new("get", "/a/users/1").bearer(&token(endpoints()));
    assert_eq!(gateway.send(&get).status, 400);
}

#[test]
fn an_api_and_an_operation_are_everybodys() {
    let upstream = Server::up();
    let limit = |rate: u64| json!({ "enabled": true, "rate": rate, "per": "1h" });
    let gateway = setup(
        &upstream,
        json!({
            "paths": {
                "/reports": { "get": { "operationId": "reports" } },
                "/open": { "get": { "operationId": "open" } },
                "/mock": { "get": { "operationId": "mock" } },
            },
            "x-tyk-api-gateway": {
                "upstream": { "rateLimit": limit(2) },
                "middleware": { "operations": {
                    "reports": { "rateLimit": limit(1) },
                    "open": { "ignoreAuthentication": { "enabled": true }, "rateLimit": limit(1) },
                    "mock": { "mockResponse": { "enabled": true, "code": 203 }, "rateLimit": limit(1) },
                } },
            },
        }),
    )
    .start();
    let ask = |path: &str, sub: &str| send(&gateway, path, json!({ "sub": sub })).status;
    assert_eq!([ask("/a/", "alice"), ask("/a/", "bob"), ask("/a/", "carol")], [200, 200, 429]);
    let refused = send(&gateway, "/a/", json!({}));
    assert!(refused.header("retry-after").is_some());
    assert!(refused.text().contains("This API gets too many requests"));
    assert!(gateway.last_line().contains("\"reason\":\"api_rate_exceeded\""));
    assert_eq!([ask("/a/reports", "alice"), ask("/a/reports/7", "bob")], [200, 429]);
    let open = || gateway.send(&Request::get("/a/open")).status;
    assert_eq!([open(), open()], [200, 429]);
    assert_eq!([ask("/a/mock", "alice"), ask("/a/mock", "alice")], [203, 429]);
    assert_eq!(ask("/b/", "alice"), 200);
}

#[test]
fn a_reload_forgets_nothing() {
    let upstream = Server::up();
    let quota = |max: u64| policy("p", json!({ "quota_max": max, "quota_renewal_rate": 3600 }));
    let gateway = setup(&upstream, json!({})).policy(&quota(1)).start();
    assert_eq!(statuses(&gateway, "/a/", json!({ "pol": "p" })), [200, 429]);
    gateway.setup().write("policies/p.json", &quota(2).to_string());
    assert_eq!(gateway.reload().status, 200);
    assert_eq!(statuses(&gateway, "/a/", json!({ "pol": "p" })), [200, 429]);
}

#[test]
fn a_request_over_the_rate_is_held() {
    let upstream = Server::up();
    let held = json!({ "rate": 1, "per": 0.3, "throttle_interval": 0.1, "throttle_retry_limit": 1000 });
    let given_up = json!({ "rate": 1, "per": 3600, "throttle_interval": 0.01, "throttle_retry_limit": 2 });
    let gateway = setup(&upstream, json!({}))
        .policy(&policy("held", held))
        .policy(&policy("given-up", given_up))
        .start();
    assert_eq!(statuses(&gateway, "/a/", json!({ "pol": "held" })), [200, 200, 200]);
    assert_eq!(statuses(&gateway, "/a/", json!({ "pol": "given-up", "sub": "bob" })), [200, 429]);
}

#[test]
fn who_leaves_is_held_no_longer() {
    let upstream = Server::up();
    let held = json!({ "rate": 1, "per": 3600, "throttle_interval": 1800, "throttle_retry_limit": 9 });
    let gateway = setup(&upstream, json!({})).policy(&policy("p", held)).start();
    assert_eq!(send(&gateway, "/a/", json!({ "pol": "p" })).status, 200);
    let request = Request::get("/a/").bearer(&token(json!({ "pol": "p" }))).to_bytes();
    let mut client = TcpStream::connect(gateway.address()).unwrap();
    client.write_all(&request).unwrap();
    drop(client);
    gateway.requests_with("\"status\":499,\"reason\":\"client_closed\"");
    assert_eq!(upstream.recorded().len(), 1);
}

/// The gateway may see the end of the connection together with the request, before it looks at it.
#[test]
fn who_leaves_at_once_has_a_line_as_well() {
    let upstream = Server::up();
    let held = json!({ "rate": 1, "per": 3600, "throttle_interval": 1800, "throttle_retry_limit": 9 });
    let gateway = setup(&upstream, json!({})).policy(&policy("p", held)).start();
    assert_eq!(send(&gateway, "/a/", json!({ "pol": "p" })).status, 200);
    let request = Request::get("/a/").bearer(&token(json!({ "pol": "p" }))).to_bytes();
    for _ in 0..100 {
        TcpStream::connect(gateway.address()).unwrap().write_all(&request).unwrap();
    }
    let lines = gateway.requests_until(101);
    assert_eq!(lines.matches("\"status\":499,\"reason\":\"client_closed\"").count(), 100);
}

#[test]
fn what_limits_nothing_is_told() {
    let upstream = Server::up();
    let output = setup(
        &upstream,
        json!({
            "paths": { "/x": { "get": { "operationId": "x" } } },
            "x-tyk-api-gateway": {
                "upstream": { "rateLimit": { "enabled": true, "rate": 3, "per": "soon" } },
                "middleware": {
                    "global": { "skipRateLimit": true },
                    "operations": { "x": { "rateLimit": { "enabled": true, "rate": 0, "per": "1s" } } },
                },
            },
        }),
    )
    .policy(&policy(
        "p",
        json!({ "rate": 5, "access_rights": {
            "b": { "limit": { "rate": 1, "per": 0 } },
            "a": { "limit": { "rate": 1, "per": 60 }, "endpoints": [
                { "path": "[", "methods": [{ "name": "GET", "limit": { "rate": 1, "per": 60 } }] },
                { "path": "/x", "methods": [
                    { "name": "G T", "limit": { "rate": 1, "per": 60 } },
                    { "name": "GET", "limit": { "rate": 1 } },
                    { "name": "GET", "limit": { "rates": 1, "per": 60 } },
                ] },
            ] },
        } }),
    ))
    .check();
    let said = String::from_utf8(output.stdout).unwrap();
    let endpoints = "access_rights.a.endpoints";
    for expected in [
        "upstream.rateLimit.per: a time is written like".to_owned(),
        "operations.x.rateLimit: rate or per is not positive".to_owned(),
        ": rate: without a positive per this limits nothing".to_owned(),
        "access_rights.b.limit.rate: without a positive per this limits nothing".to_owned(),
        "access_rights.a.limit: without the partition per_api".to_owned(),
        format!("{endpoints}[0].path: the pattern cannot be used"),
        format!("{endpoints}[1].methods[0].name: this is no method"),
        format!("{endpoints}[1].methods[1].limit: rate or per is not positive"),
        format!("{endpoints}[1].methods[2].limit.rates: unknown field; did you mean rate?"),
    ] {
        assert!(said.contains(&expected), "{expected}\n{said}");
    }
}

#[test]
fn skipping_switches_the_apis_own_limit_off_as_well() {
    let upstream = Server::up();
    let setup = setup(
        &upstream,
        json!({ "x-tyk-api-gateway": {
            "upstream": { "rateLimit": { "enabled": true, "rate": 1, "per": "1h" } },
            "middleware": { "global": { "skipRateLimit": true, "skipQuota": true } },
        } }),
    )
    .policy(&policy("p", json!({ "rate": 1, "per": 3600, "quota_max": 1, "quota_renewal_rate": 0 })));
    let said = String::from_utf8(setup.check().stdout).unwrap();
    assert!(
        said.contains("global.skipRateLimit: this switches off the API's own rateLimit as well"),
        "{said}"
    );
    let gateway = setup.start();
    assert_eq!(statuses(&gateway, "/a/", json!({ "pol": "p" })), [200, 200, 200]);
    // The quota never renews, so nobody is told to come back.
    assert_eq!(statuses(&gateway, "/b/", json!({ "pol": "p" })), [200, 429]);
}

/// What `X-RateLimit-*` say: the limit, what is left, and in how many seconds it is renewed.
fn x_rate_limit(answer: &Answer) -> Option<(String, String, u64)> {
    let told = |name: &str| answer.header(&format!("x-ratelimit-{name}")).map(str::to_owned);
    let reset: u64 = told("reset")?.parse().unwrap();
    Some((told("limit")?, told("remaining")?, reset.saturating_sub(now())))
}

#[test]
fn the_rate_in_the_words_of_many_gateways() {
    let limits = || json!({ "rate": 2, "per": 3600, "quota_max": 9, "quota_renewal_rate": 86400 });
    let of = |profile: &str, about: Option<&str>, answers: Server| {
        let gateway = setup(&answers, json!({}))
            .config(&json!({ "errors": profile, "rate_limit_response_headers": about }))
            .policy(&policy("p", limits()))
            .policy(&policy("quota", json!({ "quota_max": 1, "quota_renewal_rate": -1 })))
            .start();
        let told: Vec<_> =
            (0..3).map(|_| x_rate_limit(&send(&gateway, "/a/", json!({ "pol": "p" })))).collect();
        let of_quota: Vec<_> =
            (0..2).map(|_| x_rate_limit(&send(&gateway, "/a/", json!({ "pol": "quota" })))).collect();
        (told, of_quota)
    };
    // The upstream has limits of its own, which are nobody's business here.
    let upstream = || {
        Server::start(|_, stream| {
            let answer = b"HTTP/1.1 200 OK\r\nX-RateLimit-Limit: 77\r\nX-RateLimit-Remaining: 7\r\nX-RateLimit-Reset: 7\r\nContent-Length: 0\r\n\r\n";
            stream.write_all(answer).is_ok()
        })
    };
    let is = |told: &Option<(String, String, u64)>, limit: &str, left: &str, seconds: u64| {
        let (own_limit, own_left, renewed) = told.as_ref().unwrap();
        assert_eq!((own_limit.as_str(), own_left.as_str()), (limit, left));
        assert!((seconds.saturating_sub(60)..=seconds).contains(renewed), "{renewed}");
    };
    for profile in ["tyk", "rfc"] {
        let (told, of_quota) = of(profile, Some("rate_limits"), upstream());
        is(&told[0], "2", "1", 3600);
        is(&told[1], "2", "0", 3600);
        // Also to who is over it.
        is(&told[2], "2", "0", 3600);
        assert_eq!(of_quota, [None, None], "there is no rate to tell of");
    }
    for about in [None, Some("quotas")] {
        let (told, of_quota) = of("tyk", about, upstream());
        is(&told[0], "9", "8", 86400);
        assert_eq!(told[2], None, "a refusal does not tell of the quota");
        is(&of_quota[0], "1", "0", 0);
        assert_eq!(of_quota[1], None);
    }
    let (told, of_quota) = of("rfc", Some("quotas"), upstream());
    is(&told[0], "9", "8", 86400);
    is(&of_quota[1], "1", "0", 0);
    let (told, _) = of("rfc", None, upstream());
    assert_eq!(told[0], Some(("77".into(), "7".into(), 0)), "who says nothing leaves the upstream's alone");

    let output =
        setup(&Server::up(), json!({})).config(&json!({ "rate_limit_response_headers": "both" })).check();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("rate_limit_response_headers: they tell of quotas or rate_limits"), "{text}");
}

#[test]
fn a_caller_asks_for_its_limits() {
    let upstream = Server::up();
    let changes = json!({ "x-tyk-api-gateway": {
        "upstream": { "rateLimit": { "enabled": true, "rate": 1, "per": "1h" } },
        "server": { "ipAccessControl": { "enabled": true, "block": ["192.0.2.1"] } },
    } });
    for profile in ["rfc", "tyk"] {
        let gateway = setup(&upstream, changes.clone())
            .config(&json!({ "errors": profile, "trustedProxies": ["127.0.0.1"] }))
            .policy(&policy("p", json!({ "rate": 2, "per": 60, "quota_max": 2, "quota_renewal_rate": 3600 })))
            .policy(&policy(
                "free",
                json!({ "quota_max": -1, "access_rights": { "a": {
                "api_id": "a", "allowed_urls": [{ "url": "/only", "methods": ["GET"] }],
            } } }),
            ))
            .policy(&json!({ "id": "elsewhere", "access_rights": { "b": { "api_id": "b" } } }))
            .start();
        let ask = |path: &str, pol: &str| send(&gateway, path, json!({ "pol": pol }));
        let told = |path: &str, pol: &str| -> Value {
            let answer = ask(path, pol);
            assert_eq!(answer.status, 200, "{}", answer.text());
            assert_eq!(answer.header("content-type"), Some("application/json"));
            let mut told: Value = serde_json::from_slice(&answer.body).unwrap();
            let renews = told["quota"]["quota_renews"].take().as_u64().unwrap();
            told["renewed_in"] = renews.saturating_sub(now()).into();
            told
        };
        let limits = |path: &str, pol: &str| {
            let told = told(path, pol);
            json!([told["quota"]["quota_max"], told["quota"]["quota_remaining"], told["rate_limit"]])
        };
        let rate = json!({ "requests": 2, "per_unit": 60 });
        // However often, it is not counted.
        for _ in 0..4 {
            assert_eq!(limits("/a/tyk/rate-limits/", "p"), json!([2, 2, rate]));
        }
        assert_eq!([ask("/b/", "p").status, ask("/b/", "p").status], [200, 200]);
        let over = ask("/b/", "p").status;
        assert_eq!(over, 429);
        // One over both is told as well, on each of its APIs.
        for path in ["/a/tyk/rate-limits/", "/b/tyk/rate-limits/"] {
            assert_eq!(limits(path, "p"), json!([2, 0, rate]));
        }
        assert!((3500..=3600).contains(&told("/a/tyk/rate-limits/", "p")["renewed_in"].as_u64().unwrap()));
        // Whatever paths are granted.
        let none = json!({ "requests": 0, "per_unit": 0 });
        assert_eq!(limits("/a/tyk/rate-limits/", "free"), json!([-1, 0, none]));
        // Who may not use the API learns nothing, and neither does who is nobody.
        assert_eq!(ask("/a/tyk/rate-limits/", "elsewhere").status, 403);
        assert_eq!(gateway.send(&Request::get("/a/tyk/rate-limits/")).status / 100, 4);
        let blocked = Request::get("/a/tyk/rate-limits/").header("X-Forwarded-For", "192.0.2.1");
        assert_eq!(gateway.send(&blocked.bearer(&token(json!({ "pol": "p" })))).status, 403);
        // It is not the upstream's path; its neighbours are.
        let sent = upstream.recorded().len();
        for (method, path) in
            [("POST", "/a/tyk/rate-limits/"), ("GET", "/b/tyk/rate-limits"), ("GET", "/b/x/tyk/rate-limits/")]
        {
            let token = token(json!({ "pol": "p", "sub": format!("another {method} {path}") }));
            assert_eq!(
                gateway.send(&Request::new(method, path).bearer(&token)).status,
                200,
                "{method} {path}"
            );
        }
        assert_eq!(upstream.recorded().len(), sent + 3);
        let described = Request::get("/a/tyk/rate-limits/").bearer(&token(json!({ "pol": "p" }))).described();
        let explained = gateway.explain(&described);
        assert!(explained.to_string().contains("the limits of the caller are told"), "{explained}");
    }
}

#[test]
fn a_caller_asks_for_its_limits_where_only_some_operations_are_allowed() {
    let upstream = Server::up();
    let of = |id: &str, method: &str, path: &str, block: &str| {
        json!({
            "paths": { path: { method: { "operationId": id, "responses": {} } } },
            "x-tyk-api-gateway": { "middleware": { "operations": { id: { block: { "enabled": true } } } } },
        })
    };
    let mut changes = of("get-x", "get", "/x", "allow");
    merge(&mut changes, of("limits", "get", "/tyk/rate-limits/", "mockResponse"));
    let optional = json!({ "limits": { "optionalAuthentication": { "enabled": true } } });
    merge(&mut changes, json!({ "x-claimgate": { "middleware": { "operations": optional } } }));
    let policy = policy("p", json!({ "rate": 2, "per": 3600 }));
    let gateway = setup(&upstream, changes.clone()).policy(&policy).start();
    let ask = |gateway: &Gateway| send(gateway, "/a/tyk/rate-limits/", json!({ "pol": "p" }));
    let told = ask(&gateway);
    assert_eq!(told.status, 200, "{}", told.text());
    assert!(told.text().contains("\"rate_limit\":{"), "{}", told.text());
    assert_eq!(send(&gateway, "/a/x", json!({ "pol": "p" })).status, 200);
    // All else is as closed as ever, also this very path to who shows nothing.
    assert_eq!(send(&gateway, "/a/y", json!({ "pol": "p" })).status, 403);
    assert_eq!(gateway.send(&Request::get("/a/tyk/rate-limits/")).status, 403);
    let post = Request::new("POST", "/a/tyk/rate-limits/").bearer(&token(json!({ "pol": "p" })));
    assert_eq!(gateway.send(&post).status, 403);
    // Who does not want to tell blocks it.
    merge(&mut changes, of("limits", "get", "/tyk/rate-limits/", "block"));
    let gateway = setup(&upstream, changes).policy(&policy).start();
    assert_eq!(ask(&gateway).status, 403);
}

#[test]
fn a_caller_does_not_ask_for_its_limits_without_end() {
    let upstream = Server::up();
    let gateway = setup(&upstream, json!({})).policy(&policy("p", json!({ "rate": 2, "per": 3600 }))).start();
    let ask = |caller: &str| send(&gateway, "/a/tyk/rate-limits/", json!({ "pol": "p", "sub": caller }));
    // 60 in a minute: however slow the machine is, some minute has so many of these.
    let refused = (0..2_000).map(|_| ask("busy")).find(|answer| answer.status != 200).unwrap();
    assert_eq!(refused.status, 429);
    let seconds: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=60).contains(&seconds), "{seconds}");
    assert_eq!(ask("calm").status, 200);
    // It is no request to the API, which has a limit of its own.
    let counted = || statuses(&gateway, "/b/", json!({ "pol": "p", "sub": "busy" }));
    assert_eq!(counted(), [200, 200, 429]);
    assert_eq!(upstream.recorded().len(), 2);
}
