//! The definitions in `api-definitions/` and the policies in `policies/`, served as they are but for
//! the addresses of their peers.

use std::{
    fs,
    path::Path,
    sync::{Arc, LazyLock},
};

use claimgate::jwt::{
    Algorithm,
    jwe::{
        AesSize, ContentEncryption, KeyManagement,
        encrypt::{EncryptionKey, generate},
    },
    sign::SigningKey,
};
use serde_json::{Value, json};

use crate::support::{
    Answer, Gateway, Request, Server, Setup, binary, key, key_named, now, provider, respond,
};

fn checkout(path: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn secret() -> String {
    key(Algorithm::HS256).to_text().unwrap().trim().to_owned()
}

/// The key that the tokens of the example are encrypted for.
fn statements_key() -> &'static str {
    static KEY: LazyLock<String> = LazyLock::new(|| generate(KeyManagement::RsaOaep256).unwrap());
    &KEY
}

#[test]
fn they_are_without_a_finding() {
    let output = binary()
        .arg("check")
        .current_dir(checkout(""))
        .env("WEBHOOKS_SECRET", secret())
        .env("STATEMENTS_KEY", statements_key())
        .output()
        .unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "0 errors, 0 warnings\n");
}

/// The world of the examples.
struct World {
    gateway: Gateway,
    upstream: Server,
    login: Provider,
    staff: Provider,
    supplier: Server,
    _servers: [Server; 2],
}

/// An identity provider with metadata, whose issuer has the path `/b2b`.
fn supplier() -> Server {
    let keys = json!({ "keys": [key(Algorithm::ES256).public_jwk(Some("es256"))] });
    Server::start(move |request, stream| {
        let own = format!("http://{}", request.values("host").concat());
        let body = match request.target() {
            "/b2b/.well-known/openid-configuration" => {
                json!({ "issuer": format!("{own}/b2b"), "jwks_uri": format!("{own}/b2b/keys") })
            }
            "/b2b/keys" => keys.clone(),
            _ => return respond(stream, "404 Not Found", "text/plain", b"nothing here"),
        };
        respond(stream, "200 OK", "application/json", body.to_string().as_bytes())
    })
}

/// An identity provider of the examples: its issuer, and its keys by `kid`.
struct Provider {
    issuer: &'static str,
    keys: Vec<(&'static str, Arc<SigningKey>)>,
}

impl Provider {
    fn token(&self, kid: &str, audience: &str, changes: Value) -> String {
        self.token_with(json!({ "kid": kid }), json!(audience), changes)
    }

    fn token_with(&self, header: Value, audience: Value, changes: Value) -> String {
        let kid = header["kid"].as_str().unwrap();
        let (_, key) = self.keys.iter().find(|(own, _)| *own == kid).unwrap();
        let mut claims = json!({
            "iss": self.issuer, "aud": audience, "sub": "alice", "iat": now(), "exp": now() + 60,
        });
        crate::support::merge(&mut claims, changes);
        key.sign(&header, &claims).unwrap()
    }
}

impl World {
    fn new() -> Self {
        let login = Provider {
            issuer: "https://login.example.com",
            keys: vec![
                ("rs256", key(Algorithm::RS256)),
                ("ps256", key(Algorithm::PS256)),
                ("es256", key(Algorithm::ES256)),
            ],
        };
        let staff = Provider {
            issuer: "https://staff.example.com",
            keys: vec![
                ("staff-rs256", key_named("staff", Algorithm::RS256)),
                ("staff-ed", key(Algorithm::EdDSA)),
            ],
        };
        let servers = [provider(&login.keys), provider(&staff.keys)];
        let supplier = supplier();
        let upstream = Server::up();
        let mut setup =
            Setup::new().env("WEBHOOKS_SECRET", &secret()).env("STATEMENTS_KEY", statements_key());
        for entry in fs::read_dir(checkout("api-definitions")).unwrap() {
            let path = entry.unwrap().path();
            let text = fs::read_to_string(&path)
                .unwrap()
                .replace("https://login.example.com/.well-known/jwks.json", &servers[0].url())
                .replace("https://staff.example.com/oauth2/keys", &servers[1].url())
                .replace("https://id.suppliers.example", &supplier.url());
            // Each example has an upstream port of its own.
            let text = (9001..=9007)
                .fold(text, |text, port| text.replace(&format!("http://127.0.0.1:{port}"), &upstream.url()));
            setup = setup.file(&format!("api-definitions/{}", path.file_name().unwrap().display()), &text);
        }
        for entry in fs::read_dir(checkout("policies")).unwrap() {
            let path = entry.unwrap().path();
            let name = format!("policies/{}", path.file_name().unwrap().display());
            setup = setup.file(&name, &fs::read_to_string(&path).unwrap());
        }
        Self { gateway: setup.start(), upstream, login, staff, supplier, _servers: servers }
    }

    fn get(&self, path: &str, token: &str) -> Answer {
        self.gateway.send(&Request::get(path).bearer(token))
    }

    #[track_caller]
    fn gets_in(&self, path: &str, token: &str) -> String {
        let answer = self.get(path, token);
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        self.upstream.take_one().head
    }

    #[track_caller]
    fn is_refused(&self, path: &str, token: &str, status: u16) {
        let answer = self.get(path, token);
        assert_eq!(answer.status, status, "{path}: {}", answer.text());
        assert!(self.upstream.recorded().is_empty());
    }
}

#[test]
fn one_key_set() {
    let world = World::new();
    for kid in ["rs256", "ps256"] {
        let head = world.gets_in("/orders/42?x=1", &world.login.token(kid, "orders", json!({})));
        assert!(head.starts_with("GET /42?x=1 HTTP/1.1\r\n") && !head.contains("authorization"), "{head}");
    }
    // Within the skew, and outside of it.
    world.gets_in("/orders/", &world.login.token("rs256", "orders", json!({ "exp": now() - 5 })));
    world.is_refused("/orders/", &world.login.token("rs256", "orders", json!({ "exp": now() - 30 })), 401);
    world.is_refused("/orders/", &world.login.token("es256", "orders", json!({})), 401);
    world.is_refused("/orders/", &world.login.token("rs256", "catalog", json!({})), 401);
    world.is_refused("/orders/", &world.staff.token("staff-rs256", "orders", json!({})), 401);
}

#[test]
fn two_providers() {
    let world = World::new();
    for token in [
        world.login.token("rs256", "catalog", json!({})),
        world.login.token("es256", "catalog", json!({})),
        world.staff.token("staff-rs256", "catalog", json!({})),
        world.staff.token("staff-ed", "catalog", json!({})),
    ] {
        let head = world.gets_in("/catalog/shoes", &token);
        assert!(head.starts_with("GET /catalog/shoes "), "{head}");
    }
    world.is_refused("/catalog/", &world.login.token("ps256", "catalog", json!({})), 401);
    world.is_refused("/catalog/", &world.login.token("rs256", "catalog", json!({ "exp": null })), 401);
    world.is_refused(
        "/catalog/",
        &world.login.token("rs256", "catalog", json!({ "fill": "x".repeat(8000) })),
        401,
    );
}

#[test]
fn keys_by_issuer() {
    let world = World::new();
    let sign = |issuer: &str, typ: &str| {
        let claims = json!({ "iss": issuer, "aud": "suppliers", "sub": "acme", "exp": now() + 60 });
        key(Algorithm::ES256).sign(&json!({ "kid": "es256", "typ": typ }), &claims).unwrap()
    };
    let issuer = format!("{}/b2b", world.supplier.url());
    world.gets_in("/suppliers/offers", &sign(&issuer, "at+jwt"));
    world.is_refused("/suppliers/offers", &sign(&issuer, "JWT"), 401);
    world.is_refused("/suppliers/offers", &sign(&world.supplier.url(), "at+jwt"), 401);
}

#[test]
fn a_shared_secret() {
    let world = World::new();
    let sign = |claims: Value| key(Algorithm::HS256).sign(&json!({}), &claims).unwrap();
    world.gets_in("/webhooks/", &sign(json!({ "sub": "billing", "jti": "1", "exp": now() + 9 })));
    world.is_refused("/webhooks/", &sign(json!({ "sub": "billing", "exp": now() + 9 })), 401);
    world.is_refused("/webhooks/", &sign(json!({ "sub": "mallory", "jti": "1", "exp": now() + 9 })), 401);
}

#[test]
fn a_public_key_in_the_file() {
    let world = World::new();
    let partner = SigningKey::from_text(include_str!("../data/partner-private.pem"), None).unwrap();
    let sign = |state: &str, regions: Value| {
        let claims = json!({
            "partner_id": "acme", "aud": "partners", "exp": now() + 60,
            "contract": { "state": state }, "regions": regions,
        });
        partner.sign(&json!({}), &claims).unwrap()
    };
    world.gets_in("/partners/", &sign("signed", json!(["eu"])));
    world.is_refused("/partners/", &sign("draft", json!(["eu"])), 401);
    world.is_refused("/partners/", &sign("signed", json!(["moon"])), 401);
}

#[test]
fn a_token_or_an_api_key() {
    let world = World::new();
    let token = |audience| world.staff.token("staff-rs256", audience, json!({}));
    world.gets_in("/exports/may.csv", &token("exports"));
    world.is_refused("/exports/may.csv", &token("catalog"), 401);
    let body = json!({ "org_id": "example", "access_rights": { "exports": { "api_id": "exports" } } });
    let made =
        world.gateway.admin(Request::new("POST", "/tyk/keys/create").body(body.to_string().as_bytes()));
    let made: Value = serde_json::from_slice(&made.body).unwrap();
    let with_key = |key: &str| world.gateway.send(&Request::get("/exports/may.csv").header("X-Api-Key", key));
    assert_eq!(with_key("another").status, 401);
    assert_eq!(with_key(made["key"].as_str().unwrap()).status, 200);
    assert!(!world.upstream.take_one().head.contains("x-api-key"));
}

#[test]
fn everything_at_once() {
    let world = World::new();
    let send = |method, path, (name, value): (&str, &str)| {
        let request = Request::new(method, path).header(name, value);
        let status = world.gateway.send(&request.header("X-User", "root").header("X-Roles", "root")).status;
        let seen = world.upstream.recorded().pop().filter(|_| status == 200);
        (status, seen.map(|seen| [seen.values("x-user").join("+"), seen.values("x-roles").join("+")]))
    };
    let told = |roles: &str| (200, Some(["alice".to_owned(), roles.to_owned()]));
    let no = |status| (status, None);
    let claims = |role: &str, scope: &str| json!({ "realm_access": { "roles": [role] }, "scope": scope });
    let mut pretending = claims("manager", "items:remove");
    crate::support::merge(&mut pretending, json!({ "iss": "https://staff.example.com" }));
    for (provider, kid, claims, get, delete) in [
        (&world.login, "es256", claims("clerk", "items:remove"), told("clerk"), no(403)),
        (&world.staff, "staff-rs256", claims("manager", "items"), told("manager"), no(403)),
        (&world.staff, "staff-rs256", claims("manager", "items:remove"), told("manager"), told("manager")),
        (&world.login, "es256", claims("guest", "items:remove"), no(403), no(403)),
        // A key of one provider signs nothing in the name of the other.
        (&world.login, "es256", pretending, no(401), no(401)),
    ] {
        let token = format!("Bearer {}", provider.token(kid, "warehouse", claims.clone()));
        for (method, expected) in [("GET", get), ("DELETE", delete)] {
            let sent = send(method, "/warehouse/items/7", ("Authorization", &token));
            assert_eq!(sent, expected, "{method} {claims}");
        }
    }

    let body = json!({ "org_id": "example", "apply_policies": ["warehouse-scanner"] });
    let made =
        world.gateway.admin(Request::new("POST", "/tyk/keys/create").body(body.to_string().as_bytes()));
    let made: Value = serde_json::from_slice(&made.body).unwrap();
    let key = made["key"].as_str().unwrap();
    for (method, path, key, status) in [
        ("GET", "/scanners/items/7", key, 200),
        ("DELETE", "/scanners/items/7", key, 403),
        ("GET", "/scanners/items/7", "another", 401),
        ("GET", "/warehouse/items/7", key, 401),
    ] {
        assert_eq!(send(method, path, ("X-Api-Key", key)).0, status, "{method} {path}");
    }
}

#[test]
fn three_places() {
    let world = World::new();
    let token = world.login.token("es256", "downloads", json!({}));
    let requests = [
        Request::get("/downloads/a.pdf?page=2").bearer(&token),
        Request::get(format!("/downloads/a.pdf?access_token={token}&page=2")),
        Request::get("/downloads/a.pdf?page=2").header("Cookie", &format!("lang=en; session={token}")),
    ];
    for request in requests {
        assert_eq!(world.gateway.send(&request).status, 200);
        let head = world.upstream.take_one().head;
        assert!(head.starts_with("GET /a.pdf?page=2 HTTP/1.1\r\n") && !head.contains(&token), "{head}");
    }
    let other = world.login.token("es256", "downloads", json!({ "sub": "bob" }));
    let both = Request::get(format!("/downloads/a.pdf?access_token={other}")).bearer(&token);
    assert_eq!(world.gateway.send(&both).status, 400);
}

#[test]
fn scopes_choose_policies() {
    let world = World::new();
    let token = |scope: Value| world.staff.token("staff-rs256", "reports", scope);
    let send = |method, path: &str, token: &str| {
        world.gateway.send(&Request::new(method, path).bearer(token)).status
    };
    let (reader, both) =
        (token(json!({ "scp": "reports:read" })), token(json!({ "scp": ["reports:read", "reports:write"] })));
    assert_eq!(send("GET", "/reports/2026", &reader), 200);
    assert_eq!(send("POST", "/reports/drafts", &reader), 403);
    assert_eq!(send("POST", "/reports/drafts/1", &both), 200);
    assert_eq!(send("GET", "/reports/2026", &both), 200);
    assert_eq!(send("POST", "/reports/2026", &both), 403);
    for scope in [json!({}), json!({ "scp": "openid" })] {
        let answer = world.get("/reports/2026", &token(scope));
        assert!(
            answer.status == 403 && answer.header("www-authenticate").unwrap().contains("insufficient_scope")
        );
    }
}

#[test]
fn claims_become_headers() {
    let world = World::new();
    let send = |changes| {
        let token = world.login.token("rs256", "profile", changes);
        let request =
            Request::get("/profile/").bearer(&token).header("X-User", "root").header("X-Email", "root");
        assert_eq!(world.gateway.send(&request).status, 200);
        world.upstream.take_one()
    };
    let seen = send(json!({ "email": "alice@example.com" }));
    assert_eq!((seen.values("x-user"), seen.values("x-email")), (vec!["alice"], vec!["alice@example.com"]));
    assert_eq!(seen.values("x-tier"), ["standard"]);
    let seen = send(json!({ "plan": "gold" }));
    assert_eq!((seen.values("x-tier"), seen.values("x-email")), (vec!["gold"], vec![""]));
}

#[test]
fn operations_say_what_they_demand() {
    let world = World::new();
    let token = |changes| world.login.token("rs256", "library", changes);
    let send = |method, path: &str, token: Option<&str>| {
        let request = Request::new(method, path).header("X-User", "root").header("X_Groups", "librarians");
        let request = token.iter().fold(request, |request, token| request.bearer(token));
        let status = world.gateway.send(&request).status;
        let seen = world.upstream.recorded().pop().filter(|_| status == 200);
        (status, seen.map(|seen| [seen.values("x-user").join("+"), seen.values("x-groups").join("+")]))
    };
    let told = |user: &str, groups: &str| (200, Some([user.to_owned(), groups.to_owned()]));
    assert_eq!(send("GET", "/library/books", None), told("", ""));
    assert_eq!(send("GET", "/library/books", Some("nonsense")).0, 401);
    let member = token(json!({ "library": { "member": true }, "scope": "books:read books:write" }));
    assert_eq!(send("GET", "/library/books", Some(&member)), told("alice", "none"));
    assert_eq!(send("PUT", "/library/books/7", Some(&member)).0, 403);
    let librarian = |scope| token(json!({ "groups": ["staff", "librarians"], "scope": scope }));
    assert_eq!(send("PUT", "/library/books/7", Some(&librarian("books:write"))).0, 403);
    for scope in ["books:read books:write", "library:admin"] {
        let changed = send("PUT", "/library/books/7", Some(&librarian(scope)));
        assert_eq!(changed, told("alice", "staff librarians"));
    }
    assert_eq!(send("GET", "/library/shelves", Some(&librarian("library:admin"))).0, 403);
    assert_eq!(send("GET", "/library/books", Some(&token(json!({ "scope": "books:read" })))).0, 403);
}

#[test]
fn a_better_plan_allows_more() {
    let world = World::new();
    let limits = |changes| {
        let answer = world.get("/profile/", &world.login.token("rs256", "profile", changes));
        assert_eq!(answer.status, 200);
        answer.header("ratelimit-policy").unwrap().to_owned()
    };
    assert_eq!(limits(json!({})), "\"rate\";q=600;w=60");
    assert_eq!(limits(json!({ "plan": "gold" })), "\"rate\";q=6000;w=60, \"quota\";q=1000000;w=2592000");
}

#[test]
fn encrypted_tokens() {
    let world = World::new();
    let signed = world.login.token("rs256", "statements", json!({}));
    let key = EncryptionKey::from_text(statements_key(), Some("2026-11"), None).unwrap();
    let encrypt =
        |inside: &str| key.encrypt(ContentEncryption::Gcm(AesSize::A256), &json!({}), inside).unwrap();
    world.gets_in("/statements/1", &encrypt(&signed));
    world.is_refused("/statements/1", &signed, 401);
    world.is_refused("/statements/1", &encrypt(&world.login.token("rs256", "orders", json!({}))), 401);
    world.is_refused("/orders/1", &encrypt(&world.login.token("rs256", "orders", json!({}))), 401);
}

#[test]
fn strict_about_tokens() {
    let world = World::new();
    let token = |typ: &str, changes| {
        let mut claims = json!({
            "client_id": "web-shop", "jti": "1", "scope": "openid payments:write", "acr": "mfa", "status": "active",
            "realm_access": { "roles": ["treasurer"] },
        });
        crate::support::merge(&mut claims, changes);
        world.login.token_with(json!({ "kid": "rs256", "typ": typ }), json!(["payments", "ledger"]), claims)
    };
    world.gets_in("/payments/1", &token("at+jwt", json!({})));
    world.gets_in("/payments/1", &token("at+jwt", json!({ "email": "alice@example.com" })));
    world.is_refused("/payments/1", &token("JWT", json!({})), 401);
    for changes in [
        json!({ "aud": "payments" }),
        json!({ "iat": now() - 1000 }),
        json!({ "exp": now() + 4000 }),
        json!({ "jti": null }),
        json!({ "client_id": "other" }),
        json!({ "scope": "payments:writes" }),
        json!({ "realm_access": { "roles": ["intern"] } }),
        json!({ "acr": "pwd" }),
        json!({ "email": "alice@example.com.evil.example" }),
        json!({ "status": "suspended" }),
    ] {
        world.is_refused("/payments/1", &token("at+jwt", changes), 401);
    }
}

#[test]
fn an_api_for_everybody() {
    let world = World::new();
    assert_eq!(world.gateway.send(&Request::get("/status/")).status, 200);
    world.upstream.take_one();
    let answer = world.gateway.send(&Request::get("/status/robots.txt"));
    assert_eq!((answer.status, &*answer.text()), (200, "User-agent: *\nDisallow: /\n"));
    assert!(world.upstream.recorded().is_empty());
}
