//! Where the token is found, and what the upstream gets of it: recorded octets.

use claimgate::jwt::Algorithm;
use serde_json::{Value, json};

use crate::support::{Gateway, Request, Server, Setup, api, claims, key, merge, scheme};

fn source() -> Value {
    json!({ "source": "env://SECRET", "signingMethod": "hmac" })
}

fn token() -> String {
    key(Algorithm::HS256).sign(&json!({}), &claims(json!({}))).unwrap()
}

/// Two APIs with the token in these places: `keep` forwards it, `strip` takes it out.
fn start(upstream: &Server, places: Value) -> Gateway {
    let mut scheme = scheme(source());
    merge(&mut scheme, places);
    let keep = api("keep", upstream, scheme.clone());
    let mut strip = api("strip", upstream, scheme);
    merge(
        &mut strip,
        json!({ "x-tyk-api-gateway": { "server": { "authentication": { "stripAuthorizationData": true } } } }),
    );
    Setup::new().env("SECRET", key(Algorithm::HS256).to_text().unwrap().trim()).api(&keep).api(&strip).start()
}

/// What the gateway writes for a plain GET of this target with these fields.
fn forwarded(upstream: &Server, target: &str, fields: &str) -> String {
    let address = upstream.address();
    format!(
        "GET {target} HTTP/1.1\r\n{fields}x-forwarded-for: 127.0.0.1\r\nx-forwarded-proto: http\r\nx-forwarded-host: gateway.test\r\nhost: {address}\r\n\r\n"
    )
}

/// The fields of a head in one order, whatever the order of the map they were in.
fn sorted(head: &str) -> Vec<String> {
    let mut lines: Vec<String> = head.split("\r\n").map(String::from).collect();
    lines[1..].sort();
    lines
}

#[track_caller]
fn upstream_sees(gateway: &Gateway, upstream: &Server, request: Request, target: &str, fields: &str) {
    let answer = gateway.send(&request);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let expected = forwarded(upstream, target, fields);
    assert_eq!(sorted(&upstream.take_one().head), sorted(&expected));
}

#[test]
fn header() {
    let (upstream, token) = (Server::up(), token());
    let gateway = start(&upstream, json!({}));
    let sees = |request, target, fields: &str| upstream_sees(&gateway, &upstream, request, target, fields);
    let bearer = format!("authorization: Bearer {token}\r\n");
    sees(Request::get("/keep/a%2Fb?x=%20&y").bearer(&token), "/a%2Fb?x=%20&y", &bearer);
    sees(
        Request::get("/strip/a?x").bearer(&token).header("X-Other", token.as_str()),
        "/a?x",
        &format!("x-other: {token}\r\n"),
    );
    for spelling in ["bearer", "BEARER", "BeArEr"] {
        let request = Request::get("/strip/").header("authorization", &format!("{spelling} {token}"));
        sees(request, "/", "");
    }
}

#[test]
fn query() {
    let (upstream, token) = (Server::up(), token());
    let places =
        json!({ "header": { "enabled": false }, "query": { "enabled": true, "name": "access_token" } });
    let gateway = start(&upstream, places);
    let sees = |request, target: &str, fields| upstream_sees(&gateway, &upstream, request, target, fields);
    let with = |api: &str, before: &str, after: &str| {
        Request::get(format!("/{api}/p?{before}access_token={token}{after}"))
    };
    sees(with("keep", "a=1&", "&b=%2B"), &format!("/p?a=1&access_token={token}&b=%2B"), "");
    sees(with("strip", "a=1&", "&b=%2B&c"), "/p?a=1&b=%2B&c", "");
    sees(with("strip", "", "&b="), "/p?b=", "");
    sees(with("strip", "", ""), "/p", "");
    sees(with("strip", "access_tokens=1&", ""), "/p?access_tokens=1", "");
}

#[test]
fn cookie() {
    let (upstream, token) = (Server::up(), token());
    let places = json!({ "header": { "enabled": false }, "cookie": { "enabled": true, "name": "session" } });
    let gateway = start(&upstream, places);
    let sees = |request, fields: &str| upstream_sees(&gateway, &upstream, request, "/p", fields);
    let with = |api: &str, before: &str, after: &str| {
        Request::get(format!("/{api}/p")).header("Cookie", &format!("{before}session={token}{after}"))
    };
    sees(with("keep", "a=1; ", ""), &format!("cookie: a=1; session={token}\r\n"));
    sees(with("strip", "a=1; ", "; b=\"2\""), "cookie: a=1; b=\"2\"\r\n");
    sees(with("strip", "", ""), "");
    sees(with("strip", "sessions=1; ", ""), "cookie: sessions=1\r\n");
}

#[test]
fn several_places_in_the_order_of_tyk() {
    let (upstream, good) = (Server::up(), token());
    let places = json!({
        "query": { "enabled": true, "name": "access_token" },
        "cookie": { "enabled": true, "name": "session" },
    });
    let gateway = start(&upstream, places);
    let bad = "x.y.z";
    let send = |header: Option<&str>, query: Option<&str>, cookie: Option<&str>| {
        let mut request = Request::get(match query {
            Some(token) => format!("/strip/?access_token={token}"),
            None => "/strip/".into(),
        });
        if let Some(token) = header {
            request = request.bearer(token);
        }
        if let Some(token) = cookie {
            request = request.header("Cookie", &format!("session={token}"));
        }
        gateway.send(&request).status
    };
    assert_eq!(send(Some(&good), None, None), 200);
    assert_eq!(send(None, Some(&good), None), 200);
    assert_eq!(send(None, None, Some(&good)), 200);
    let before = upstream.recorded().len();
    // Two credentials that differ are two callers: nobody can say who is meant (RFC 6750 section 2).
    assert_eq!(send(Some(&good), Some(bad), None), 400);
    assert_eq!(send(Some(bad), Some(&good), None), 400);
    assert_eq!(upstream.recorded().len(), before);
}

#[test]
fn a_header_of_its_own() {
    let (upstream, token) = (Server::up(), token());
    let gateway = start(&upstream, json!({ "header": { "enabled": true, "name": "X-Access-Token" } }));
    let sees = |request, fields: &str| upstream_sees(&gateway, &upstream, request, "/", fields);
    sees(Request::get("/strip/").header("X-Access-Token", &token), "");
    sees(Request::get("/strip/").header("x-access-token", &format!("Bearer {token}")), "");
    sees(
        Request::get("/strip/").header("X-Access-Token", &token).header("Authorization", "Basic abc"),
        "authorization: Basic abc\r\n",
    );
    assert_eq!(gateway.send(&Request::get("/strip/").bearer(&token)).status, 401);
}

#[test]
fn a_stripped_header_goes_whatever_is_in_it() {
    let (upstream, token) = (Server::up(), token());
    let gateway = start(&upstream, json!({ "cookie": { "enabled": true, "name": "session" } }));
    for other in [token.clone(), format!("JWT {token}"), format!("Bearer,{token}"), "Basic abc".into()] {
        let request = |path: &'static str| {
            let request = Request::get(path).header("Cookie", &format!("session={token}"));
            request.header("Authorization", &other)
        };
        upstream_sees(&gateway, &upstream, request("/strip/"), "/", "");
        let kept = format!("authorization: {other}\r\ncookie: session={token}\r\n");
        upstream_sees(&gateway, &upstream, request("/keep/"), "/", &kept);
    }
}
