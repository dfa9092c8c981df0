//! Other URLs for requests (`urlRewrite`), and what callers cannot make of them.

use serde_json::{Value, json};

use crate::support::{Answer, Gateway, Request, Server, Setup, api, claims, key, keyless, merge, scheme};
use claimgate::jwt::Algorithm;

/// An API `a` whose operations have these rewrites: `(method, path, block)`.
fn document(mut document: Value, rewrites: &[(&str, &str, Value)]) -> Value {
    for (n, (method, path, block)) in rewrites.iter().enumerate() {
        let id = format!("o{n}");
        let mut block = block.clone();
        merge(&mut block, json!({ "enabled": true }));
        let changes = json!({
            "paths": { (*path): { (*method): { "operationId": id, "responses": {} } } },
            "x-tyk-api-gateway": { "middleware": {
                "global": { "contextVariables": { "enabled": true } },
                "operations": { id: { "urlRewrite": block } },
            } }
        });
        merge(&mut document, changes);
    }
    document
}

fn start(upstream: &Server, rewrites: &[(&str, &str, Value)]) -> Gateway {
    Setup::new().api(&document(keyless("a", upstream), rewrites)).start()
}

fn to(pattern: &str, target: &str) -> Value {
    json!({ "pattern": pattern, "rewriteTo": target })
}

/// A gateway whose API `a` asks for tokens, in this profile, with metadata from the policy.
fn protected(upstream: &Server, profile: &str, rewrites: &[(&str, &str, Value)]) -> Gateway {
    let scheme = scheme(json!({ "signingMethod": "hmac", "source": "env://SECRET" }));
    let meta = json!({ "meta_data": { "plan": "gold", "odd": "../x", "list": ["a", "b"] } });
    let mut policy = json!({ "id": "all", "access_rights": { "a": { "api_id": "a" } } });
    merge(&mut policy, meta);
    Setup::new()
        .config(&json!({ "errors": profile }))
        .env("SECRET", key(Algorithm::HS256).to_text().unwrap().trim())
        .api(&document(api("a", upstream, scheme), rewrites))
        .policy(&policy)
        .start()
}

fn with_claims(gateway: &Gateway, path: &str, changes: Value) -> Answer {
    let token = key(Algorithm::HS256).sign(&json!({}), &claims(changes)).unwrap();
    gateway.send(&Request::get(path).bearer(&token))
}

#[test]
fn groups_and_queries() {
    let up = Server::up();
    let gateway = start(
        &up,
        &[
            ("get", "/x", to("/x(.*)", "/new$1?k=v")),
            ("get", "/c/{id}", to("/c/([^/]+)/(.*)", "/items/$2/$1")),
            ("get", "/begin", to("^/begin/(.*)$", "other/$1")),
            ("get", "/whole", to("(.*)", "$1&more=1")),
            ("get", "/slash", to("/slash(/.*)", "/$1")),
            ("get", "/deep", to("/deep", "")),
            ("get", "/space", to("/space", "/a b/\u{e9}")),
            ("get", "/named", to("/named/(?P<n>.*)", "/$1$0")),
            ("get", "/enc", to("^/enc/a b/(.*)$", "/plain/$1")),
        ],
    );
    for (asked, seen) in [
        ("/a/x", "/new?k=v"),
        ("/a/x/y", "/new/y?k=v"),
        ("/a/x/y?a=b", "/new/y?a=b?k=v"),
        ("/a/x?a=b", "/new?a=b?k=v"),
        ("/a/c/1/y%2Fz", "/items/y%2Fz/1"),
        ("/a/c/a%20b/%C3%A9", "/items/%C3%A9/a%20b"),
        ("/a/begin/x?y", "/other/x?y"),
        ("/a/whole/x?y=z", "/whole/x?y=z&more=1"),
        ("/a/slash/evil.test/x", "/evil.test/x"),
        ("/a/deep?x=1", "/"),
        ("/a/space", "/a%20b/%C3%A9"),
        ("/a/named/q", "/q/named/q"),
        ("/a/enc/a%20b/c/%C3%A9", "/plain/c/%C3%A9"),
        ("/a/plain/x?y=1", "/plain/x?y=1"),
        ("/a/xylophone", "/xylophone"),
    ] {
        assert_eq!(gateway.send(&Request::get(asked)).status, 200, "{asked}");
        assert_eq!(up.take_one().target(), seen, "{asked}");
    }
    gateway.send(&Request::new("POST", "/a/x/y").body(b""));
    assert_eq!(up.take_one().target(), "/x/y");
    // What HEAD is about is what GET would give.
    gateway.send(&Request::new("HEAD", "/a/x/y"));
    assert_eq!(up.take_one().target(), "/new/y?k=v");
}

#[test]
fn a_base_path_comes_before_and_another_server_has_none() {
    let (up, other) = (Server::up(), Server::up());
    let mut document = document(
        keyless("a", &up),
        &[
            ("get", "/x", to("/x(.*)", "/new$1")),
            ("get", "/other", to("/other/(.*)", &format!("{}/$1?o=1", other.url()))),
        ],
    );
    let base = json!({ "x-tyk-api-gateway": { "upstream": { "url": format!("{}/base?k=v", up.url()) } } });
    merge(&mut document, base);
    let gateway = Setup::new().api(&document).start();
    gateway.send(&Request::get("/a/x/y?a=b"));
    assert_eq!(up.take_one().target(), "/base/new/y?k=v&a=b");
    gateway.send(&Request::get("/a/other/y"));
    let seen = other.take_one();
    assert_eq!(seen.target(), "/y?o=1");
    assert_eq!(seen.values("host"), [other.address().to_string()]);
    assert!(up.recorded().is_empty());
}

#[test]
fn the_listen_path_stays_where_it_is_not_taken_off() {
    let up = Server::up();
    let mut document = document(keyless("a", &up), &[("get", "/x", to("^/a/x(.*)$", "/new$1"))]);
    merge(&mut document, json!({ "x-tyk-api-gateway": { "server": { "listenPath": { "strip": false } } } }));
    let gateway = Setup::new().api(&document).start();
    gateway.send(&Request::get("/a/x/y"));
    assert_eq!(up.take_one().target(), "/new/y");
}

#[test]
fn triggers_choose_other_targets() {
    let up = Server::up();
    let trigger = |condition: &str, target: &str, rules: Value| json!({ "condition": condition, "rewriteTo": target, "rules": rules });
    let rewrite = json!({
        "pattern": "/t/?(.*)",
        "rewriteTo": "/default/$1",
        "triggers": [
            trigger("all", "/both/$tyk_context.trigger-0-k-0-0/$tyk_context.trigger-0-X-Kind-0", json!([
                { "in": "query", "name": "k", "pattern": "^v(.*)$" },
                { "in": "header", "name": "x-kind", "pattern": "^go" },
            ])),
            trigger("any", "/part/$tyk_context.trigger-1-n-0-0", json!([
                { "in": "path", "name": "n", "pattern": "^id-([0-9]+)$" },
                { "in": "header", "name": "X-Force", "pattern": "yes" },
            ])),
            trigger("any", "/not", json!([{ "in": "header", "name": "X-Level", "pattern": "^low$", "negate": true }])),
            trigger("all", "/lines/$tyk_context.trigger-3-X-Many-1", json!([
                { "in": "header", "name": "X-Many", "pattern": "^b" },
            ])),
        ]
    });
    let gateway = start(&up, &[("get", "/t", rewrite)]);
    let seen = |request: Request| {
        assert_eq!(gateway.send(&request).status, 200);
        up.take_one().target().to_owned()
    };
    assert_eq!(seen(Request::get("/a/t/x")), "/default/x");
    assert_eq!(seen(Request::get("/a/t/x?k=v1").header("X-Kind", "goat")), "/both/1/go");
    assert_eq!(seen(Request::get("/a/t/x?k=v1")), "/default/x?k=v1");
    assert_eq!(seen(Request::get("/a/t/id-7/y")), "/part/7");
    assert_eq!(seen(Request::get("/a/t").header("X-Force", "yes")), "/part/");
    assert_eq!(seen(Request::get("/a/t").header("X-Level", "high")), "/not");
    assert_eq!(seen(Request::get("/a/t").header("X-Level", "low")), "/default/");
    assert_eq!(seen(Request::get("/a/t").header("X-Many", "a").header("X-Many", "bc")), "/lines/b");
    // What a rule finds is data.
    let odd = Request::get("/a/t?k=v..%2F..%2Fadmin%3Fx%23").header("X-Kind", "go");
    assert_eq!(gateway.send(&odd).status, 400);
    assert_eq!(seen(Request::get("/a/t?k=vx%26y%20%25").header("X-Kind", "go")), "/both/x%26y+%25/go");
}

#[test]
fn triggers_see_the_caller() {
    let up = Server::up();
    let rewrite = json!({
        "pattern": "/t",
        "rewriteTo": "/default",
        "triggers": [
            { "condition": "all", "rewriteTo": "/$tyk_context.trigger-0-plan/$tyk_context.trigger-0-jwt_claims_sub-0", "rules": [
                { "in": "sessionMetadata", "name": "plan", "pattern": "^gold$" },
                { "in": "requestContext", "name": "jwt_claims_sub", "pattern": "^al(.*)$" },
            ] },
            { "condition": "any", "rewriteTo": "/set", "rules": [{ "in": "header", "name": "X-Who", "pattern": "^bob$" }] },
        ]
    });
    let mut api = document(
        api("a", &up, scheme(json!({ "signingMethod": "hmac", "source": "env://SECRET" }))),
        &[("get", "/t", rewrite)],
    );
    let headers =
        json!({ "enabled": true, "add": [{ "name": "X-Who", "value": "$tyk_context.jwt_claims_sub" }] });
    merge(
        &mut api,
        json!({ "x-tyk-api-gateway": { "middleware": { "global": { "transformRequestHeaders": headers } } } }),
    );
    let policy =
        json!({ "id": "all", "access_rights": { "a": { "api_id": "a" } }, "meta_data": { "plan": "gold" } });
    let gateway = Setup::new()
        .env("SECRET", key(Algorithm::HS256).to_text().unwrap().trim())
        .api(&api)
        .policy(&policy)
        .start();
    for (subject, seen) in [("alice", "/gold/ice"), ("bob", "/set"), ("carol", "/default")] {
        assert_eq!(with_claims(&gateway, "/a/t", json!({ "sub": subject })).status, 200, "{subject}");
        assert_eq!(up.take_one().target(), seen, "{subject}");
    }
}

#[test]
fn claims_are_data() {
    for (profile, refused) in [("rfc", 403), ("tyk", 500)] {
        let up = Server::up();
        let target = "/u/$tyk_context.jwt_claims_tenant/z?t=$tyk_context.jwt_claims_tenant&p=$tyk_meta.plan";
        let rewrites = [
            ("get", "/x", to("/x", target)),
            ("get", "/meta", to("/meta", "/m/$tyk_meta.odd")),
            ("get", "/list", to("/list", "/l/$tyk_meta.list")),
            ("get", "/first", to("/first", "/$tyk_context.jwt_claims_tenant")),
        ];
        let gateway = protected(&up, profile, &rewrites);
        for (tenant, seen) in [
            (json!("acme"), "acme"),
            (json!("a b"), "a+b"),
            (json!("a&admin=1"), "a%26admin%3D1"),
            (json!("a?x#y"), "a%3Fx%23y"),
            (json!("a\r\nX-Admin: 1"), "a%0D%0AX-Admin%3A+1"),
            (json!("$tyk_meta.plan $1"), "%24tyk_meta.plan+%241"),
            (json!("user@evil.test:80"), "user%40evil.test%3A80"),
            (json!("http:evil"), "http%3Aevil"),
            (json!("\u{e9}\u{0}"), "%C3%A9%00"),
            (json!(7), "7"),
        ] {
            let answer = with_claims(&gateway, "/a/x", json!({ "tenant": tenant }));
            if profile == "rfc" && answer.status != 200 {
                // What some server could take for something else is not sent at all.
                assert_eq!((answer.status, up.recorded().len()), (refused, 0), "{tenant}");
                continue;
            }
            assert_eq!(answer.status, 200, "{tenant}: {}", answer.text());
            assert_eq!(up.take_one().target(), format!("/u/{seen}/z?t={seen}&p=gold"), "{tenant}");
        }
        for tenant in ["..", ".", "%2e%2e", "..\\"] {
            let answer = with_claims(&gateway, "/a/x", json!({ "tenant": tenant }));
            let harmless = profile == "tyk" && !matches!(tenant, "." | "..");
            assert_eq!(answer.status, if harmless { 200 } else { refused }, "{profile} {tenant}");
            assert_eq!(up.recorded().len(), usize::from(harmless), "{profile} {tenant}");
            if harmless {
                up.take_one();
            }
        }
        let nobody = with_claims(&gateway, "/a/x", json!({})).status;
        assert_eq!(nobody, if profile == "rfc" { 403 } else { 200 });
        if profile == "tyk" {
            assert_eq!(up.take_one().target(), "/u//z?t=&p=gold");
        }
        with_claims(&gateway, "/a/first", json!({ "tenant": "/evil.test/x" }));
        for seen in up.recorded() {
            assert_eq!(seen.target(), "/%2Fevil.test%2Fx");
            up.take_one();
        }
        with_claims(&gateway, "/a/list", json!({}));
        assert_eq!(up.take_one().target(), "/l/a%2Cb");
        let meta = with_claims(&gateway, "/a/meta", json!({}));
        assert_eq!(meta.status, if profile == "rfc" { refused } else { 200 }, "{}", meta.text());
    }
}

#[test]
fn no_group_leaves_the_path_or_adds_a_parameter() {
    for profile in ["rfc", "tyk"] {
        groups_stay(profile);
    }
}

fn groups_stay(profile: &str) {
    let up = Server::up();
    let rewrites = [
        ("get", "/q", to("/q/([^?]*)", "/search?id=$1")),
        ("get", "/t", to("/t\\?to=(.*)", "/new/$1")),
        ("get", "/split", to("/split/(..)(.*)", "/new/$1e$2")),
        ("get", "/go", to("/go\\?u=(.*)", "$1")),
    ];
    let document = document(keyless("a", &up), &rewrites);
    let gateway = Setup::new().config(&json!({ "errors": profile })).api(&document).start();
    for (asked, seen) in [
        ("/a/q/5&admin=true;x+y", "/search?id=5%26admin%3Dtrue%3Bx%2By"),
        ("/a/t?to=x?admin=1", "/new/x%3Fadmin=1"),
        ("/a/t?to=a/b&c", "/new/a/b&c"),
        ("/a/go?u=http://evil.test/x", "/http://evil.test/x"),
        ("/a/go?u=//evil.test/x", "/evil.test/x"),
        ("/a/go?u=@evil.test", "/@evil.test"),
    ] {
        assert_eq!(gateway.send(&Request::get(asked)).status, 200, "{asked}");
        assert_eq!(up.take_one().target(), seen, "{asked}");
    }
    for asked in [
        "/a/t?to=../../admin",
        "/a/t?to=%2e%2e/admin",
        "/a/t?to=%252e%252e/x",
        "/a/t?to=..%5cadmin",
        "/a/t?to=%zz",
        "/a/split/%2",
        "/a/go?u=..",
    ] {
        assert_eq!(gateway.send(&Request::get(asked)).status, 400, "{asked}");
        assert!(up.recorded().is_empty(), "{asked}: {:?}", up.recorded());
    }
}

#[test]
fn a_token_in_the_query_does_not_travel_on() {
    let up = Server::up();
    let scheme = scheme(json!({
        "signingMethod": "hmac", "source": "env://SECRET", "query": { "enabled": true, "name": "token" }
    }));
    let mut api = document(api("a", &up, scheme), &[("get", "/x", to("/x(.*)", "/new$1"))]);
    merge(
        &mut api,
        json!({ "x-tyk-api-gateway": { "server": { "authentication": { "stripAuthorizationData": true } } } }),
    );
    let gateway =
        Setup::new().env("SECRET", key(Algorithm::HS256).to_text().unwrap().trim()).api(&api).start();
    let token = key(Algorithm::HS256).sign(&json!({}), &claims(json!({}))).unwrap();
    assert_eq!(gateway.send(&Request::get(format!("/a/x/y?a=1&token={token}&b=2"))).status, 200);
    assert_eq!(up.take_one().target(), "/new/y?a=1&b=2");
}

#[test]
fn other_apis_are_led_to_and_none_is_chosen_by_a_request() {
    let (up, inner) = (Server::up(), Server::up());
    let mut internal = keyless("inner", &inner);
    merge(&mut internal, json!({ "x-tyk-api-gateway": { "info": { "state": { "internal": true } } } }));
    let front = document(keyless("a", &up), &[("get", "/go", to("/go/(.*)", "tyk://inner/x/$1?y=1"))]);
    let gateway = Setup::new().api(&front).api(&internal).start();
    assert_eq!(gateway.send(&Request::get("/a/go/z")).status, 200);
    assert_eq!(inner.take_one().target(), "/x/z?y=1");
    let lost = document(keyless("a", &up), &[("get", "/go", to("/go", "tyk://lost/x"))]);
    let output = Setup::new().api(&lost).check();
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("lost")
            || String::from_utf8_lossy(&output.stdout).contains("lost")
    );
}

#[test]
fn what_a_group_puts_into_a_value_stays_one_value() {
    for profile in ["rfc", "tyk"] {
        let up = Server::up();
        let rewrites = [
            ("get", "/one", to("/one\\?q=(.*)", "/search?a=b&id=$1")),
            ("get", "/two", to("/two\\?(q=.*)", "/search?a=b&$1")),
            ("get", "/all", to("/all(.*)", "/new$1")),
            ("get", "/both", to("/both\\?(.*)&s=(.*)", "/x?u=$1$2&y=$2")),
        ];
        let document = document(keyless("a", &up), &rewrites);
        let gateway = Setup::new().config(&json!({ "errors": profile })).api(&document).start();
        for (asked, seen, in_tyk) in [
            ("/a/one?q=7", "/search?a=b&id=7", None),
            // A plus is a space, and what was escaped stays so.
            ("/a/one?q=a+b%26c", "/search?a=b&id=a+b%26c", None),
            ("/a/one?q=7&admin=1;x", "/search?a=b&id=7%26admin%3D1%3Bx", Some("/search?a=b&id=7&admin=1;x")),
            ("/a/both?r=1&s=2&t", "/x?u=r%3D12%26t&y=2%26t", Some("/x?u=r=12&t&y=2&t")),
            ("/a/two?q=7&r=8", "/search?a=b&q=7&r=8", None),
            ("/a/all?q=7&r=8", "/new?q=7&r=8", None),
        ] {
            assert_eq!(gateway.send(&Request::get(asked)).status, 200, "{asked}");
            let expected = in_tyk.filter(|_| profile == "tyk").unwrap_or(seen);
            assert_eq!(up.take_one().target(), expected, "{profile} {asked}");
        }
    }
}

#[test]
fn a_rule_reads_the_query_as_everybody_here() {
    let up = Server::up();
    let rewrite = json!({
        "pattern": "/t",
        "rewriteTo": "/default",
        "triggers": [{ "condition": "any", "rewriteTo": "/found/$tyk_context.trigger-0-a b-0", "rules": [
            { "in": "query", "name": "a b", "pattern": ".*" },
        ] }]
    });
    let gateway = start(&up, &[("get", "/t", rewrite)]);
    for (query, seen) in [
        ("a+b=1", "/found/"),
        ("a%20b", "/found/"),
        // What cannot be decoded is no value.
        ("a+b=%zz", "/default"),
        ("a+b=%ff", "/default"),
        ("%zz=1&c=d", "/default"),
    ] {
        gateway.send(&Request::get(format!("/a/t?{query}")));
        assert!(up.take_one().target().starts_with(seen), "{query}");
    }
}

#[test]
fn bad_rewrites_are_told_at_load() {
    let up = Server::up();
    let rule = |rule: Value| json!({ "pattern": "/x", "rewriteTo": "/y", "triggers": [{ "condition": "any", "rewriteTo": "/z", "rules": [rule] }] });
    for (block, message) in [
        (to("/x(", "/y"), "urlRewrite.pattern: this is no regular expression"),
        (to("/x", "http://$tyk_context.jwt_claims_host/"), "must not depend on a variable"),
        (to("/x(.*)", "http://a$1/"), "must not depend on a variable"),
        (to("/x", "tyk://$tyk_meta.api/"), "must not depend on a variable"),
        (to("/x", "$tyk_meta.url"), "must not depend on a variable"),
        (to("/x", "ftp://x/"), "urlRewrite.rewriteTo: "),
        (to("/x", "/y#z"), "a fragment is never sent"),
        (to("/x", "/y/../z"), "must not have the segments"),
        (rule(json!({ "in": "requestBody", "pattern": "x" })), "bodies are not looked at"),
        (rule(json!({ "in": "moon", "name": "x", "pattern": "x" })), "write one of them"),
        (rule(json!({ "in": "header", "name": "a b", "pattern": "x" })), "this is not a header name"),
        (rule(json!({ "in": "header", "pattern": "x" })), "needs the name"),
        (rule(json!({ "in": "query", "name": "x", "pattern": "(" })), "rules[0].pattern: "),
        (
            json!({ "pattern": "/x", "rewriteTo": "/y", "triggers": [{ "condition": "some", "rewriteTo": "/z", "rules": [] }] }),
            "a condition is any or all",
        ),
        (json!({ "pattern": "/x", "rewriteTo": "/y", "trigger": [] }), "urlRewrite.trigger: "),
        (to("/x", "/$tyk_context.token"), "urlRewrite.rewriteTo: $tyk_context.token in it is the API key"),
        (
            rule(json!({ "in": "requestContext", "name": "token", "pattern": "x" })),
            "rules[0].name: $tyk_context.token",
        ),
    ] {
        let output = Setup::new().api(&document(keyless("a", &up), &[("get", "/x", block)])).check();
        let text = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && text.contains(message), "{message}: {text}");
    }
    for (block, message) in [
        (to("/x(.*)", "/y/$2"), "the pattern has no group 2"),
        (to("/x", "/$tyk_context.nonsense"), "a variable in it is not known"),
        (
            rule(json!({ "in": "requestContext", "name": "moon", "pattern": "x" })),
            "rules[0].name: a variable",
        ),
    ] {
        let output = Setup::new().api(&document(keyless("a", &up), &[("get", "/x", block)])).check();
        let text = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success() && text.contains(message), "{message}: {text}");
    }
}

#[test]
fn secrets_of_the_gateway_can_be_in_a_target_and_stay_there() {
    let up = Server::up();
    let gateway = Setup::new()
        .env("TYK_SECRET_BACKEND", &up.url())
        .env("TYK_SECRET_KEY", "a-hidden-key")
        .api(&document(
            keyless("a", &Server::up()),
            &[("get", "/x", to("/x", "$secret_env.BACKEND/y?key=$secret_env.KEY"))],
        ))
        .start();
    assert_eq!(gateway.send(&Request::get("/a/x")).status, 200);
    assert_eq!(up.take_one().target(), "/y?key=a-hidden-key");
    let explained = gateway.explain(&Request::get("/a/x").described()).to_string();
    assert!(explained.contains("\"rewrite\"") && !explained.contains("a-hidden-key"), "{explained}");
}
