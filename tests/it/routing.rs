//! Which API answers: listen paths and hosts, plain and with patterns.

use serde_json::{Value, json};

use crate::support::{Gateway, Request, Server, Setup, keyless, merge};

fn changed(mut document: Value, server: Value) -> Value {
    merge(&mut document, json!({ "x-tyk-api-gateway": { "server": server } }));
    document
}

fn at(id: &str, path: &str, upstream: &Server) -> Value {
    changed(keyless(id, upstream), json!({ "listenPath": { "value": path } }))
}

fn on(id: &str, domain: &str, path: &str, upstream: &Server) -> Value {
    changed(at(id, path, upstream), json!({ "customDomain": { "enabled": true, "name": domain } }))
}

/// The API that answered and what its upstream was asked for; the status, if none did.
fn answered(gateway: &Gateway, upstream: &Server, request: &Request) -> Result<(String, String), u16> {
    let answer = gateway.send(request);
    if answer.status != 200 {
        return Err(answer.status);
    }
    let line: Value = serde_json::from_str(&gateway.last_line()).unwrap();
    Ok((line["api"].as_str().unwrap().to_owned(), upstream.take_one().target().to_owned()))
}

#[track_caller]
fn check(gateway: &Gateway, upstream: &Server, request: &Request, expected: Result<(&str, &str), u16>) {
    let expected = expected.map(|(api, target)| (api.to_owned(), target.to_owned()));
    assert_eq!(answered(gateway, upstream, request), expected, "{request:?}");
}

/// What `claimgate check` says of these APIs.
fn checked(apis: &[Value]) -> (bool, String) {
    let setup = apis.iter().fold(Setup::new(), |setup, api| setup.api(api));
    let output = setup.check();
    (output.status.success(), String::from_utf8(output.stdout).unwrap())
}

#[test]
fn names_in_listen_paths() {
    let up = Server::up();
    let gateway = Setup::new()
        .api(&at("orders", "/t/{tenant}/orders/", &up))
        .api(&at("numbered", "/t/{tenant:[0-9]+}/orders/", &up))
        .api(&at("own", "/t/acme/", &up))
        .api(&at("open", "/n/{id:[0-9]{2,3}}", &up))
        .api(&changed(at("kept", "/k/{id}/", &up), json!({ "listenPath": { "strip": false } })))
        .start();
    for (path, expected) in [
        ("/t/x/orders/7?q", Ok(("orders", "/7?q"))),
        ("/t/12/orders/7", Ok(("numbered", "/7"))),
        // More of the path is taken by the pattern.
        ("/t/acme/orders/7", Ok(("orders", "/7"))),
        ("/t/acme/x", Ok(("own", "/x"))),
        ("/t/a%20b/orders/c%2fd", Ok(("orders", "/c%2fd"))),
        ("/t/%C3%A9/orders/", Ok(("orders", "/"))),
        ("/t/x/orders", Err(404)),
        ("/t/x/y/orders/", Err(404)),
        ("/t/a%2fb/orders/", Err(404)),
        ("/t//orders/", Err(301)),
        ("/n/12", Ok(("open", "/"))),
        ("/n/123/z", Ok(("open", "/z"))),
        ("/n/1", Err(404)),
        ("/n/1234/z", Err(404)),
        ("/n/12x", Err(404)),
        ("/k/1/x", Ok(("kept", "/k/1/x"))),
    ] {
        check(&gateway, &up, &Request::get(path), expected);
    }
}

#[test]
fn hosts_by_name_and_by_pattern() {
    let up = Server::up();
    let gateway = Setup::new()
        .api(&on("one", "Api.Example.com.", "/a/", &up))
        .api(&on("two", "b2b.example.com", "/a/", &up))
        .api(&on("labels", "{x:[a-z]+}.example.com", "/a/", &up))
        .api(&on("labels-too", "{x:[a-z]+}.example.com", "/b/", &up))
        .api(&at("any", "/a/", &up))
        .start();
    for (host, path, expected) in [
        ("api.example.com", "/a/x", Ok(("one", "/x"))),
        ("API.EXAMPLE.COM.:8443", "/a/x", Ok(("one", "/x"))),
        ("b2b.example.com", "/a/x", Ok(("two", "/x"))),
        ("shop.example.com", "/a/x", Ok(("labels", "/x"))),
        ("SHOP.Example.COM.", "/b/x", Ok(("labels-too", "/x"))),
        ("b2b.example.com", "/b/x", Err(404)),
        ("shop1.example.com", "/a/x", Ok(("any", "/x"))),
        ("a.b.example.com", "/a/x", Ok(("any", "/x"))),
        ("shop.example.com.evil.test", "/b/x", Err(404)),
        ("xshop-example.com", "/b/x", Err(404)),
        ("other.test", "/a/x", Ok(("any", "/x"))),
    ] {
        check(&gateway, &up, &Request::get(path).header("Host", host), expected);
    }
}

#[test]
fn two_that_could_not_be_told_apart() {
    let up = Server::up();
    for (apis, part) in [
        (vec![at("a", "/x/", &up), at("b", "/x/", &up)], "listens on /x/ as well"),
        (vec![at("a", "/x/{one}/", &up), at("b", "/x/{two}/", &up)], "listens on /x/{two}/ as well"),
        (vec![on("a", "A.test", "/x/", &up), on("b", "a.test.", "/x/", &up)], "listens on /x/ as well"),
        (vec![on("a", "{x}.test", "/x/", &up), on("b", "{y}.Test", "/x/", &up)], "listens on /x/ as well"),
    ] {
        let (is_good, text) = checked(&apis);
        assert!(
            !is_good && text.contains(part) && text.contains("a.json") && text.contains("b.json"),
            "{text}"
        );
    }
    let fine = [
        at("a", "/x/{one}/", &up),
        at("b", "/x/{one:[0-9]+}/", &up),
        on("c", "a.test", "/x/{one}/", &up),
        on("d", "{x}.test", "/x/{one}/", &up),
    ];
    let (is_good, text) = checked(&fine);
    assert!(is_good, "{text}");
}

#[test]
fn patterns_that_are_none() {
    let up = Server::up();
    for path in ["/x/{", "/x/{}/", "/x/{a:(}/", "/x/{a:x)|(y}/", "/x/}/", "/x/{a}/../", "/x y/{a}/"] {
        let (is_good, text) = checked(&[at("a", path, &up)]);
        assert!(!is_good && text.contains("listenPath.value"), "{path}: {text}");
    }
    for domain in ["", "*.example.com", "{.example.com", "{x:(}.example.com", "a b", "a.test/x"] {
        let (is_good, text) = checked(&[on("a", domain, "/x/", &up)]);
        assert!(!is_good && text.contains("customDomain.name"), "{domain}: {text}");
    }
    let mut document = on("a", "a.test", "/x/", &up);
    let certificates = json!({ "customDomain": { "certificates": ["id"] } });
    merge(&mut document, json!({ "x-tyk-api-gateway": { "server": certificates } }));
    let (is_good, text) = checked(&[document]);
    assert!(!is_good && text.contains("customDomain.certificates"), "{text}");
}

#[test]
fn a_gateway_with_tags_serves_what_has_one_of_them() {
    let up = Server::up();
    let tagged = |id: &str, path: &str, enabled: bool, tags: &[&str]| {
        changed(at(id, path, &up), json!({ "gatewayTags": { "enabled": enabled, "tags": tags } }))
    };
    let setup = || {
        Setup::new()
            .api(&tagged("eu", "/x/", true, &["eu", "all"]))
            .api(&tagged("off", "/off/", false, &["eu"]))
            .api(&at("untagged", "/untagged/", &up))
    };
    let everything = setup().start();
    let eu = setup()
        .api(&tagged("us", "/x/", true, &["us"]))
        .config(&json!({ "tags": ["eu", "internal"] }))
        .start();
    let us = setup().api(&tagged("us", "/x/", true, &["us"])).env("CLAIMGATE_TAGS", "us").start();
    for (gateway, path, expected) in [
        (&everything, "/x/", Ok(("eu", "/"))),
        (&everything, "/off/", Ok(("off", "/"))),
        (&everything, "/untagged/", Ok(("untagged", "/"))),
        (&eu, "/x/", Ok(("eu", "/"))),
        (&eu, "/off/", Err(404)),
        (&eu, "/untagged/", Err(404)),
        (&us, "/x/", Ok(("us", "/"))),
    ] {
        check(gateway, &up, &Request::get(path), expected);
    }
}

#[test]
fn what_is_told_of_a_pattern() {
    let up = Server::up();
    let gateway = Setup::new().api(&at("orders", "/t/{tenant}/orders/", &up)).start();
    let explained = gateway.explain(&Request::get("/t/x/orders/7").described());
    let steps = explained["steps"].as_array().unwrap();
    let step = steps.iter().find(|step| step["step"] == "api").unwrap();
    assert_eq!(step["found"], "orders, which listens at /t/{tenant}/orders/");
}
