//! Requests that confuse gateways: where the credential is, how a message ends, who is who.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpStream,
    path::Path,
    thread,
    time::Duration,
};

use claimgate::jwt::Algorithm;
use serde_json::{Value, json};

use crate::support::{Gateway, Recorded, Server, Setup, api, claims, exchange, key, merge, scheme};

fn cases(name: &str) -> Vec<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name);
    let file: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    file["cases"].as_array().unwrap().clone()
}

fn secret() -> String {
    key(Algorithm::HS256).to_text().unwrap().trim().to_owned()
}

fn sign(changes: Value) -> String {
    key(Algorithm::HS256).sign(&json!({}), &claims(changes)).unwrap()
}

/// The placeholders of the cases.
struct Tokens {
    good: String,
    bad: String,
    other: String,
}

impl Tokens {
    fn new() -> Self {
        let good = sign(json!({ "sub": "user-1", "scope": "read write" }));
        let (input, signature) = good.rsplit_once('.').unwrap();
        let bad = format!("{input}.{}", signature.chars().rev().collect::<String>());
        Self { bad, other: sign(json!({ "sub": "user-2" })), good }
    }

    fn fill(&self, text: &str) -> Vec<u8> {
        let text = text
            .replace("{{GOOD}}", &self.good)
            .replace("{{BAD}}", &self.bad)
            .replace("{{OTHER}}", &self.other)
            .replace("{{HOST}}", "api.test");
        let mut octets = Vec::new();
        let mut rest = &*text;
        while let Some((before, after)) = rest.split_once("{{REP:") {
            let (repetition, after) = after.split_once("}}").unwrap();
            let (hex, count) = repetition.split_once(':').unwrap();
            octets.extend(latin1(before));
            octets.extend(vec![u8::from_str_radix(hex, 16).unwrap(); count.parse().unwrap()]);
            rest = after;
        }
        octets.extend(latin1(rest));
        octets
    }
}

/// One octet for each character: the files write octets that way.
fn latin1(text: &str) -> Vec<u8> {
    text.chars().map(|c| u8::try_from(u32::from(c)).unwrap_or(b'?')).collect()
}

/// An API at `/api/` that takes tokens from these places and tells the upstream who called.
fn definition(upstream: &Server, places: Value) -> Value {
    let mut scheme = scheme(json!({ "source": "env://SECRET", "signingMethod": "hmac" }));
    merge(&mut scheme, places);
    let mut document = api("api", upstream, scheme);
    merge(
        &mut document,
        json!({ "x-tyk-api-gateway": {
            "server": {
                "listenPath": { "strip": false },
                "authentication": { "stripAuthorizationData": true },
            },
            "middleware": { "global": {
                "contextVariables": { "enabled": true },
                "transformRequestHeaders": { "enabled": true, "add": [
                    { "name": "X-User-Id", "value": "$tyk_context.jwt_claims_sub" },
                    { "name": "X-Scopes", "value": "$tyk_context.jwt_claims_scope" },
                    { "name": "X-User-Email", "value": "$tyk_context.jwt_claims_email" },
                ] },
            } },
        } }),
    );
    document
}

fn start(upstream: &Server, places: Value) -> Gateway {
    Setup::new().env("SECRET", &secret()).api(&definition(upstream, places)).start()
}

/// The places of a case as a scheme writes them.
fn places(case: &Value) -> Value {
    let Some(names) = case["request"]["places"].as_array() else { return json!({}) };
    let mut places = json!({ "header": { "enabled": false } });
    for name in names {
        let place = match name.as_str().unwrap() {
            "header" => json!({ "header": { "enabled": true, "name": "Authorization" } }),
            "query" => json!({ "query": { "enabled": true, "name": "access_token" } }),
            "cookie" => json!({ "cookie": { "enabled": true, "name": "access_token" } }),
            other => json!({ "header": { "enabled": true, "name": other.strip_prefix("header:").unwrap() } }),
        };
        merge(&mut places, place);
    }
    places
}

fn raw(case: &Value, tokens: &Tokens) -> Vec<u8> {
    let request = &case["request"];
    let body = tokens.fill(request["body"].as_str().unwrap_or_default());
    let query = request["query"].as_str().map(|query| format!("?{query}")).unwrap_or_default();
    let method = request["method"].as_str().unwrap_or("GET");
    let mut raw = format!("{method} /api/x{query} HTTP/1.1\r\nHost: api.test\r\nConnection: close\r\n");
    if !body.is_empty() {
        raw.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    for field in request["headers"].as_array().into_iter().flatten() {
        raw.push_str(&format!("{}: {}\r\n", field[0].as_str().unwrap(), field[1].as_str().unwrap()));
    }
    [tokens.fill(&(raw + "\r\n")), body].concat()
}

#[test]
fn credentials() {
    let tokens = Tokens::new();
    for case in cases("gateway-credentials.json") {
        let upstream = Server::up();
        let gateway = start(&upstream, places(&case));
        let answer = exchange(gateway.address(), &raw(&case, &tokens));
        let (id, seen) = (case["id"].as_str().unwrap(), upstream.recorded());
        match case["expect"].as_str().unwrap() {
            "accept" => assert_eq!(answer.status, 200, "{id}"),
            "reject" => assert!((400..500).contains(&answer.status), "{id}: {}", answer.status),
            _ => assert!(answer.status < 500, "{id}: {}", answer.status),
        }
        assert_eq!(seen.len(), usize::from(answer.status == 200), "{id}");
        for request in seen {
            assert_eq!(request.values("x-user-id"), ["user-1"], "{id}");
            let dot = request.head.matches("eyJ").count();
            assert_eq!(dot, 0, "{id}: no token is left for the upstream: {}", request.head);
        }
    }
}

#[test]
fn identity_headers() {
    let upstream = Server::up();
    identity_headers_of(&upstream, &definition(&upstream, json!({})));
}

/// The same by claims as headers, where a token may also be left out.
#[test]
fn identity_headers_by_claims() {
    let upstream = Server::up();
    let mut document = definition(&upstream, json!({}));
    let header = |name: &str, claim: &str| json!({ "name": name, "claim": claim });
    merge(
        &mut document,
        json!({
            "paths": { "/x": { "get": { "operationId": "x", "responses": {} } } },
            "x-tyk-api-gateway": { "middleware": { "global": { "transformRequestHeaders": null } } },
            "x-claimgate": { "middleware": {
                "global": { "claimHeaders": [
                    header("X-User-Id", "sub"), header("X-Scopes", "scope"), header("X-User-Email", "email"),
                ] },
                "operations": { "x": { "optionalAuthentication": { "enabled": true } } },
            } },
        }),
    );
    identity_headers_of(&upstream, &document);
}

fn identity_headers_of(upstream: &Server, document: &Value) {
    let tokens = Tokens::new();
    let gateway = Setup::new().env("SECRET", &secret()).api(document).start();
    let is_optional = document.get("x-claimgate").is_some();
    for case in cases("gateway-identity-headers.json") {
        let id = case["id"].as_str().unwrap();
        let mut raw = String::from("GET /api/x HTTP/1.1\r\nHost: api.test\r\nConnection: close\r\n");
        let given = case["headers"].as_array().unwrap();
        let authorized = given.iter().any(|field| field[0] == "Authorization") || id == "anonymous";
        if !authorized {
            raw.push_str("Authorization: Bearer {{GOOD}}\r\n");
        }
        for field in given {
            raw.push_str(&format!("{}: {}\r\n", field[0].as_str().unwrap(), field[1].as_str().unwrap()));
        }
        let answer = exchange(gateway.address(), &tokens.fill(&(raw + "\r\n")));
        let is_malformed = id.contains('\t') || id.contains("\\t");
        if is_malformed || (id == "anonymous" && !is_optional) {
            assert!((400..500).contains(&answer.status), "{id}: {}", answer.status);
            continue;
        }
        assert_eq!(answer.status, 200, "{id}");
        let seen = upstream.recorded().pop().unwrap();
        let (user, scopes) = if id == "anonymous" { ("", "") } else { ("user-1", "read write") };
        assert_eq!(seen.values("x-user-id"), [user], "{id}");
        assert_eq!(seen.values("x-scopes"), [scopes], "{id}");
        // What a CGI upstream would take for one of these fields is not there either.
        for name in ["x_user_id", "x-user.id", "x.user.id", "x_scopes", "x_user_email"] {
            assert!(seen.values(name).is_empty(), "{id}: {name}");
        }
    }
}

/// Sends octets, then nothing more, until the gateway has waited long enough; returns the statuses that came, and
/// whether the gateway wanted to hear nothing more.
fn converse(gateway: &Gateway, octets: &[u8]) -> (Vec<u16>, bool) {
    let mut stream = TcpStream::connect(gateway.address()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    // The gateway may close before everything is sent.
    let _ = stream.write_all(octets);
    let mut received = Vec::new();
    match stream.read_to_end(&mut received) {
        Err(error) if error.kind() != std::io::ErrorKind::ConnectionReset => {
            panic!("the connection stays: {error}")
        }
        _ => {}
    }
    let text = String::from_utf8_lossy(&received);
    let closed = received.is_empty() || text.to_ascii_lowercase().contains("\r\nconnection: close\r\n");
    let statuses = text.split("HTTP/1.").skip(1).filter_map(|rest| rest.get(2..5)?.parse().ok());
    (statuses.filter(|status| *status != 100).collect(), closed)
}

/// A message that nobody can read in two ways.
fn is_strict(request: &Recorded) -> bool {
    let lengths = request.values("content-length").len();
    let codings = request.values("transfer-encoding");
    let lines: Vec<&str> = request.head.split("\r\n").collect();
    let control = |line: &&str| line.bytes().any(|b| b == 0 || b == b'\n' || b == b'\r');
    lengths + codings.len() <= 1
        && codings.iter().all(|coding| *coding == "chunked")
        && !lines.iter().any(control)
        && !lines.iter().skip(1).any(|line| line.starts_with([' ', '\t']))
}

const NOT_REJECTED: &str = "not rejected";
const WRONG_NUMBER: &str = "the wrong number of requests";

#[test]
fn framing() {
    let tokens = Tokens::new();
    let cases = cases("gateway-framing.json");
    // Several at once: to see that nothing more comes takes its time.
    let wrong: Vec<String> = thread::scope(|scope| {
        let threads: Vec<_> = cases
            .chunks(cases.len().div_ceil(16))
            .map(|cases| scope.spawn(|| framing_faults(cases, &tokens)))
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    assert!(wrong.is_empty(), "{} of them\n{}", wrong.len(), wrong.join("\n"));
}

fn framing_faults(cases: &[Value], tokens: &Tokens) -> Vec<String> {
    let upstream = Server::up();
    let gateway = Setup::new()
        .config(&json!({ "timeouts": { "header": "2s", "response": "2s" } }))
        .env("SECRET", &secret())
        .api(&definition(&upstream, json!({})))
        .start();
    let mut wrong = Vec::new();
    for case in cases {
        let id = case["id"].as_str().unwrap();
        let before = upstream.recorded().len();
        let (statuses, closed) = converse(&gateway, &tokens.fill(case["raw"].as_str().unwrap()));
        let seen: Vec<Recorded> = upstream.recorded().split_off(before);
        let allowed: Vec<u64> =
            case["status"].as_array().into_iter().flatten().filter_map(Value::as_u64).collect();
        let first = statuses.first().copied();
        let mut fault =
            |what: &str| wrong.push(format!("{id}: {what}; {statuses:?}, {} upstream", seen.len()));
        if seen.iter().any(|request| request.target().contains("smuggled")) {
            fault("a request was smuggled");
        }
        if !seen.iter().all(is_strict) {
            fault("the upstream got something loose");
        }
        if statuses.iter().any(|status| *status >= 500 && !allowed.contains(&u64::from(*status))) {
            fault("5xx");
        }
        if case["upstream_requests"].as_u64().is_some_and(|n| n != seen.len() as u64) {
            fault(WRONG_NUMBER);
        }
        match case["expect"].as_str().unwrap() {
            "accept" if first != Some(200) => fault("not accepted"),
            "reject" if first.is_some_and(|status| !allowed.contains(&u64::from(status))) => {
                fault(NOT_REJECTED);
            }
            "reject" if !closed => fault("the connection stays open"),
            _ => {}
        }
    }
    wrong
}
