//! How key sets are found and fetched: discovery, the way out, and what is never fetched.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

use claimgate::jwt::{Algorithm, sign::SigningKey};
use rustls::{
    RootCertStore, ServerConfig, ServerConnection, StreamOwned,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    server::WebPkiClientVerifier,
};
use serde_json::{Value, json};

use crate::support::{
    Gateway, Request, Server, Setup, api, claims, key, key_named, merge, provider, respond, scheme,
};

const JSON: &str = "application/json";

/// An API whose keys come from these sources of `x-claimgate` alone.
fn with_sources(id: &str, upstream: &Server, sources: Value) -> Value {
    refined(id, upstream, json!({ "source": null }), json!({ "keySources": sources }))
}

fn refined(id: &str, upstream: &Server, tyk: Value, own: Value) -> Value {
    let mut document = api(id, upstream, scheme(json!({ "signingMethod": "ecdsa" })));
    merge(
        &mut document,
        json!({
            "x-tyk-api-gateway": { "server": { "authentication": { "securitySchemes": { "jwt": tyk } } } },
            "x-claimgate": { "server": { "authentication": { "securitySchemes": { "jwt": own } } } },
        }),
    );
    document
}

fn sign(key: &SigningKey, header: Value, changes: Value) -> String {
    key.sign(&header, &claims(changes)).unwrap()
}

#[track_caller]
fn answers(gateway: &Gateway, path: &str, token: &str, expected: u16) {
    let answer = gateway.send(&Request::get(path).bearer(token));
    assert_eq!(answer.status, expected, "{path}: {}", answer.text());
}

fn set_of(keys: &[(&str, &SigningKey)]) -> String {
    let keys: Vec<Value> = keys.iter().filter_map(|(kid, key)| key.public_jwk(Some(kid))).collect();
    json!({ "keys": keys }).to_string()
}

/// Answers each path with a text; what is not there with 404. `{url}` in a text is the server's own.
struct Site {
    server: Server,
    pages: Arc<Mutex<Vec<(String, String)>>>,
}

impl Site {
    fn start(pages: &[(&str, &str)]) -> Self {
        let pages: Vec<(String, String)> =
            pages.iter().map(|(path, text)| ((*path).into(), (*text).into())).collect();
        let pages = Arc::new(Mutex::new(pages));
        let own = Arc::clone(&pages);
        let server = Server::start(move |request, stream| {
            let page = own.lock().unwrap().iter().find(|(path, _)| path == request.target()).cloned();
            match page {
                Some((_, text)) => {
                    let host = request.values("host").concat();
                    let text = text.replace("{url}", &format!("http://{host}"));
                    respond(stream, "200 OK", JSON, text.as_bytes())
                }
                None => respond(stream, "404 Not Found", "text/plain", b"nothing here"),
            }
        });
        Self { server, pages }
    }

    fn now(&self, path: &str, text: &str) {
        let mut pages = self.pages.lock().unwrap();
        pages.retain(|(own, _)| own != path);
        pages.push((path.into(), text.into()));
    }

    fn url(&self) -> String {
        self.server.url()
    }

    fn asked_for(&self) -> Vec<String> {
        self.server.recorded().iter().map(|request| request.target().to_owned()).collect()
    }
}

const OPENID: &str = "/.well-known/openid-configuration";
const OAUTH: &str = "/.well-known/oauth-authorization-server";

#[test]
fn keys_are_found_by_their_issuer_and_count_for_it_alone() {
    let upstream = Server::up();
    let (a, b) = (key_named("first", Algorithm::ES256), key_named("second", Algorithm::ES256));
    let (set_a, set_b) = (set_of(&[("same", &a)]), set_of(&[("same", &b)]));
    let metadata = |path: &str| format!(r#"{{"issuer":"{{url}}{path}","jwks_uri":"{{url}}/keys","x":1}}"#);
    let of_a = Site::start(&[(OPENID, &metadata("")), ("/keys", &set_a)]);
    // With a path, and only where RFC 8414 looks; another path answers with a page.
    let rfc = format!("{OAUTH}/realms/b");
    let page = format!("/realms/b{OPENID}");
    let of_b = Site::start(&[(&rfc, &metadata("/realms/b")), (&page, "<html>"), ("/keys", &set_b)]);
    let (issuer_a, issuer_b) = (of_a.url(), format!("{}/realms/b", of_b.url()));
    let sources = json!([{ "issuer": issuer_a, "audiences": ["orders"] }, { "issuer": issuer_b }]);
    let gateway = Setup::new().api(&with_sources("a", &upstream, sources)).start();
    let header = json!({ "kid": "same" });
    for (key, issuer, audience, expected) in [
        (&a, &issuer_a, "orders", 200),
        (&b, &issuer_b, "any", 200),
        (&b, &issuer_a, "orders", 401),
        (&a, &issuer_b, "orders", 401),
        (&a, &issuer_a, "other", 401),
        (&a, &format!("{issuer_a}/"), "orders", 401),
        (&a, &"https://unknown.test".to_owned(), "orders", 401),
    ] {
        let token = sign(key, header.clone(), json!({ "iss": issuer, "aud": audience }));
        answers(&gateway, "/a/", &token, expected);
    }
    assert_eq!(of_a.asked_for()[..2], [OPENID, "/keys"]);
    assert_eq!(of_b.asked_for()[..3], [page.as_str(), &rfc, "/keys"]);

    // The metadata is read again with each fetch, and another issuer's replaces nothing.
    let new = key_named("third", Algorithm::ES256);
    of_a.now("/new", &set_of(&[("new", &new)]));
    of_a.now(OPENID, r#"{"issuer":"{url}","jwks_uri":"{url}/new"}"#);
    let token = sign(&new, json!({ "kid": "new" }), json!({ "iss": issuer_a }));
    assert_eq!(gateway.admin(Request::new("DELETE", "/tyk/cache/jwks")).status, 200);
    answers(&gateway, "/a/", &token, 200);
    of_a.now(OPENID, r#"{"issuer":"https://attacker.test","jwks_uri":"{url}/keys"}"#);
    assert_eq!(gateway.admin(Request::new("DELETE", "/tyk/cache/jwks")).status, 200);
    answers(&gateway, "/a/", &token, 200);
    answers(&gateway, "/a/", &sign(&a, header, json!({ "iss": issuer_a })), 401);
    gateway.log_with("that of another issuer, \"https://attacker.test\"");
}

#[test]
fn metadata_that_leads_elsewhere_is_not_followed() {
    let upstream = Server::up();
    let key = key(Algorithm::ES256);
    let inside = provider(&[("one", Arc::clone(&key))]);
    let leads_inside = format!(r#"{{"issuer":"{{url}}","jwks_uri":"{}"}}"#, inside.url());
    let kinds = [
        ("inside", leads_inside.as_str(), "a private address that a discovery document names"),
        ("cloud", r#"{"issuer":"{url}","jwks_uri":"https://169.254.169.254/"}"#, "never fetched from"),
        ("clear", r#"{"issuer":"{url}","jwks_uri":"http://idp.test/"}"#, "keys in the clear"),
        ("file", r#"{"issuer":"{url}","jwks_uri":"file:///etc/passwd"}"#, "no absolute http or https URL"),
        ("slash", r#"{"issuer":"{url}/","jwks_uri":"{url}/keys"}"#, "that of another issuer"),
        ("twice", r#"{"issuer":"https://x.test","issuer":"{url}","jwks_uri":"{url}/"}"#, "has no metadata"),
        ("none", "{}", "has no metadata"),
    ];
    let sites: Vec<Site> = kinds.iter().map(|(_, text, _)| Site::start(&[(OPENID, text)])).collect();
    let mut setup = Setup::new();
    for ((kind, ..), site) in kinds.iter().zip(&sites) {
        setup = setup.api(&with_sources(kind, &upstream, json!([{ "issuer": site.url() }])));
    }
    let allowed = json!([{ "issuer": sites[0].url(), "fetch": { "privateNetworks": "allow" } }]);
    let gateway = setup.api(&with_sources("allowed", &upstream, allowed)).start();
    for ((kind, _, said), site) in kinds.iter().zip(&sites) {
        let token = sign(&key, json!({ "kid": "one" }), json!({ "iss": site.url() }));
        answers(&gateway, &format!("/{kind}/"), &token, 503);
        // Told of this source, once.
        let log = gateway.log_with(&format!("source=\"{}\"", site.url()));
        let mut told = log.lines().filter(|line| line.contains("WARN") && line.contains(&site.url()));
        assert!(
            told.next().is_some_and(|line| line.contains(said)) && told.next().is_none(),
            "{kind}: {log}"
        );
    }
    let token = sign(&key, json!({ "kid": "one" }), json!({ "iss": sites[0].url() }));
    answers(&gateway, "/allowed/", &token, 200);
    // Only where it is allowed.
    assert_eq!(inside.recorded().len(), 1);
}

#[test]
fn fields_of_a_request_go_to_the_configured_host_and_into_no_log() {
    let upstream = Server::up();
    let key = key(Algorithm::ES256);
    let elsewhere = provider(&[("one", Arc::clone(&key))]);
    let own = Site::start(&[("/keys?tenant=hush", &set_of(&[("one", &key)]))]);
    let metadata = format!(r#"{{"issuer":"{{url}}","jwks_uri":"{}"}}"#, elsewhere.url());
    let discovered = Site::start(&[(OPENID, &metadata)]);
    let headers = json!({ "X-Api-Key": "env://IDP_KEY", "Authorization": "Basic aHVzaA==" });
    let url = format!("{}/keys?tenant=hush", own.url());
    let tyk = json!({ "jwksURIs": [{ "url": url }] });
    let sources = json!([
        { "url": url, "fetch": { "headers": headers } },
        { "issuer": discovered.url(), "fetch": { "headers": headers, "privateNetworks": "allow" } },
    ]);
    let gateway = Setup::new()
        .env("IDP_KEY", "top-secret\n")
        .env("RUST_LOG", "claimgate=trace,hyper=trace,reqwest=trace")
        .api(&refined("a", &upstream, tyk, json!({ "keySources": sources })))
        .start();
    answers(&gateway, "/a/", &sign(&key, json!({ "kid": "one" }), json!({ "iss": "https://x" })), 200);
    let by_discovered = json!({ "iss": discovered.url() });
    answers(&gateway, "/a/", &sign(&key, json!({ "kid": "one" }), by_discovered), 200);
    for server in [&own.server, &discovered.server] {
        let request = &server.recorded()[0];
        assert_eq!(request.values("x-api-key"), ["top-secret"]);
        assert_eq!(request.values("authorization"), ["Basic aHVzaA=="]);
    }
    let request = &elsewhere.recorded()[0];
    assert!(request.values("x-api-key").is_empty() && request.values("authorization").is_empty());
    let (_, log, _) = gateway.stop();
    assert!(!log.contains("top-secret") && !log.contains("aHVzaA") && !log.contains("tenant=hush"), "{log}");
}

/// A proxy that answers for every host.
fn proxy(key: &SigningKey) -> Server {
    let body = set_of(&[("one", key)]);
    Server::start(move |_, stream| respond(stream, "200 OK", JSON, body.as_bytes()))
}

#[test]
fn the_way_out_is_that_of_the_source_or_of_the_gateway_or_of_the_environment() {
    let upstream = Server::up();
    let key = key(Algorithm::ES256);
    let (by_env, by_gateway, by_source) = (proxy(&key), proxy(&key), proxy(&key));
    let local = provider(&[("one", Arc::clone(&key))]);
    let uri = |host: &str| json!({ "jwksURIs": [{ "url": format!("http://{host}/keys") }] });
    let own = |host: &str, way: &str| json!({ "keySources": [{ "url": format!("http://{host}/keys"), "fetch": { "proxy": way } }] });
    let setup = |config: Value| {
        Setup::new()
            .env("HTTP_PROXY", &by_env.url())
            .env("NO_PROXY", "direct.test")
            .config(&json!({ "jwks": config }))
            .api(&refined("usual", &upstream, uri("usual.test"), json!({})))
            .api(&refined("own", &upstream, uri("own.test"), own("own.test", &by_source.url())))
            .api(&refined("direct", &upstream, uri("direct.test"), json!({})))
            .api(&refined("none", &upstream, uri("none.test"), own("none.test", "none")))
            .api(&refined("local", &upstream, uri(&local.address().to_string()), json!({})))
    };
    let targets = |server: &Server| -> Vec<String> {
        server.recorded().iter().map(|request| request.target().to_owned()).collect()
    };
    let token = sign(&key, json!({ "kid": "one" }), json!({}));
    let check = |gateway: &Gateway, direct: u16| {
        answers(gateway, "/usual/", &token, 200);
        answers(gateway, "/own/", &token, 200);
        answers(gateway, "/local/", &token, 200);
        // These hosts do not exist, and nobody stands in for them.
        answers(gateway, "/none/", &token, 503);
        answers(gateway, "/direct/", &token, direct);
    };
    check(&setup(json!({ "plainHttp": "allow" })).start(), 503);
    assert_eq!(targets(&by_env), ["http://usual.test/keys"]);
    assert_eq!(targets(&by_source), ["http://own.test/keys"]);
    assert_eq!(targets(&local), ["/keys"]);
    let secret = by_gateway.url().replace("http://", "http://user:hush@");
    let gateway = setup(json!({ "plainHttp": "allow", "proxy": "env://WAY_OUT" })).env("WAY_OUT", &secret);
    let gateway = gateway.env("RUST_LOG", "claimgate=trace").start();
    check(&gateway, 200);
    let mut through = targets(&by_gateway);
    let mut expected: Vec<String> = vec!["http://direct.test/keys".into(), "http://usual.test/keys".into()];
    expected.push(format!("{}/keys", local.url()));
    through.sort_unstable();
    expected.sort_unstable();
    assert_eq!(through, expected);
    assert_eq!(by_gateway.recorded()[0].values("proxy-authorization"), ["Basic dXNlcjpodXNo"]);
    assert!(!gateway.stop().1.contains("hush"));
}

#[test]
fn what_is_never_fetched_is_told() {
    let upstream = Server::up();
    let uri = |url: &str| json!({ "jwksURIs": [{ "url": url }] });
    let private = "https://10.255.255.1/keys";
    let refuse = json!({ "keySources": [{ "url": private, "fetch": { "privateNetworks": "refuse" } }] });
    let gateway = Setup::new()
        .api(&refined("cloud", &upstream, uri("https://169.254.169.254/keys"), json!({})))
        .api(&refined("mapped", &upstream, uri("https://[::ffff:169.254.169.254]/keys"), json!({})))
        .api(&refined("private", &upstream, uri(private), refuse))
        .start();
    let token = sign(&key(Algorithm::ES256), json!({ "kid": "one" }), json!({}));
    for (id, said) in [
        ("cloud", "169.254.169.254 is an address that key sets are never fetched from"),
        ("mapped", "::ffff:169.254.169.254 is an address that key sets are never fetched from"),
        ("private", "10.255.255.1 is a private address, which privateNetworks does not allow"),
    ] {
        answers(&gateway, &format!("/{id}/"), &token, 503);
        gateway.log_with(said);
    }
}

#[test]
fn keys_in_the_clear_are_for_the_operator_to_allow() {
    let upstream = Server::up();
    let url = "http://keycloak.internal:8080/keys";
    let uri = json!({ "jwksURIs": [{ "url": url }] });
    let own = json!({ "keySources": [{ "url": url, "fetch": { "plainHttp": "allow" } }] });
    let check = |config: Value, own: &Value| {
        let setup = Setup::new().config(&config).api(&refined("a", &upstream, uri.clone(), own.clone()));
        let output = setup.check();
        (output.status.success(), String::from_utf8(output.stdout).unwrap())
    };
    let (good, said) = check(json!({}), &json!({}));
    assert!(!good && said.contains("jwksURIs[0].url: keys would be fetched in the clear"), "{said}");
    assert!(said.contains("plainHttp"), "{said}");
    for (config, own) in [(json!({ "jwks": { "plainHttp": "allow" } }), json!({})), (json!({}), own)] {
        let (good, said) = check(config, &own);
        assert!(
            good && said.contains("warning: ") && said.contains("keys are fetched in the clear"),
            "{said}"
        );
    }
}

#[test]
fn a_source_has_bounds_of_its_own() {
    let upstream = Server::up();
    let key = key(Algorithm::ES256);
    let names = ["a", "b", "c"];
    let set = set_of(&names.map(|kid| (kid, &*key)));
    let long = format!("{set}{}", " ".repeat(2048));
    let sites = Site::start(&[("/keys", &set), ("/long", &long)]);
    let (silent, _) = Server::silent();
    let url = |path: &str| format!("{}{path}", sites.url());
    let bound = |id: &str, url: String, fetch: Value| {
        let tyk = json!({ "jwksURIs": [{ "url": url }] });
        refined(id, &upstream, tyk, json!({ "keySources": [{ "url": url, "fetch": fetch }] }))
    };
    let gateway = Setup::new()
        .api(&bound("two", url("/keys"), json!({ "maxKeys": 2 })))
        .api(&bound("long", url("/long"), json!({ "maxBytes": 2048 })))
        .api(&bound("enough", url("/long"), json!({ "maxBytes": 8192 })))
        .api(&bound("slow", silent.url(), json!({ "timeout": "200ms" })))
        .start();
    let token = |kid: &str| sign(&key, json!({ "kid": kid }), json!({}));
    answers(&gateway, "/two/", &token("b"), 200);
    answers(&gateway, "/two/", &token("c"), 401);
    answers(&gateway, "/enough/", &token("c"), 200);
    answers(&gateway, "/long/", &token("a"), 503);
    gateway.log_with("larger than 2 KiB");
    answers(&gateway, "/slow/", &token("a"), 503);
    gateway.log_with("did not answer in time");
}

#[test]
fn sources_are_bound_to_algorithms_and_types() {
    let upstream = Server::up();
    let (access, ids) = (key_named("first", Algorithm::ES256), key_named("second", Algorithm::ES256));
    let rsa = key(Algorithm::RS256);
    let of_access = provider(&[("same", Arc::clone(&access)), ("rsa", Arc::clone(&rsa))]);
    let of_ids = provider(&[("same", Arc::clone(&ids))]);
    let tyk = json!({ "jwksURIs": [{ "url": of_access.url() }, { "url": of_ids.url() }] });
    let own = json!({ "algorithms": ["ES256", "RS256"], "keySources": [
        { "url": of_access.url(), "algorithms": ["ES256"], "types": ["at+jwt"] },
        { "url": of_ids.url(), "types": ["JWT", "application/id+jwt"] },
    ] });
    let gateway = Setup::new().api(&refined("a", &upstream, tyk, own)).start();
    for (key, header, expected) in [
        (&access, json!({ "kid": "same", "typ": "at+jwt" }), 200),
        (&access, json!({ "kid": "same", "typ": "application/AT+JWT" }), 200),
        (&ids, json!({ "kid": "same", "typ": "jwt" }), 200),
        (&ids, json!({ "kid": "same", "typ": "id+jwt" }), 200),
        (&ids, json!({ "kid": "same", "typ": "at+jwt" }), 401),
        (&access, json!({ "kid": "same", "typ": "JWT" }), 401),
        (&access, json!({ "kid": "same" }), 401),
        (&access, json!({ "kid": "same", "typ": 1 }), 401),
        (&rsa, json!({ "kid": "rsa", "typ": "at+jwt" }), 401),
    ] {
        answers(&gateway, "/a/", &sign(key, header, json!({})), expected);
    }
}

/// A TLS server with the test certificate for `127.0.0.1`, which may ask for one of its clients.
fn tls_provider(body: String, asks_for_certificate: bool) -> SocketAddr {
    let data = |name: &str| std::fs::read(format!("tests/data/tls/{name}")).unwrap();
    let certificates =
        |name| CertificateDer::pem_slice_iter(&data(name)).collect::<Result<Vec<_>, _>>().unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap();
    let builder = if asks_for_certificate {
        let mut roots = RootCertStore::empty();
        certificates("ca.pem").into_iter().for_each(|authority| roots.add(authority).unwrap());
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
        builder.with_client_cert_verifier(verifier.build().unwrap())
    } else {
        builder.with_no_client_auth()
    };
    let key = PrivateKeyDer::from_pem_slice(&data("server.key")).unwrap();
    let config = Arc::new(builder.with_single_cert(certificates("server.pem"), key).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let (config, body) = (Arc::clone(&config), body.clone());
            // What a client does not trust ends here, and that is what is tested.
            thread::spawn(move || answer_over_tls(stream, config, &body));
        }
    });
    address
}

fn answer_over_tls(stream: TcpStream, config: Arc<ServerConfig>, body: &str) -> Option<()> {
    let mut stream = StreamOwned::new(ServerConnection::new(config).ok()?, stream);
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut octet = [0];
        stream.read_exact(&mut octet).ok()?;
        head.push(octet[0]);
    }
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
    stream.write_all(head.as_bytes()).ok()?;
    stream.write_all(body.as_bytes()).ok()?;
    stream.flush().ok()
}

#[test]
fn certificates_of_both_sides() {
    let upstream = Server::up();
    let key = key(Algorithm::ES256);
    let set = set_of(&[("one", &key)]);
    let (plain, mutual) = (tls_provider(set.clone(), false), tls_provider(set, true));
    let bound = |id: &str, address: SocketAddr, fetch: Value| {
        let url = format!("https://{address}/");
        let tyk = json!({ "jwksURIs": [{ "url": url }] });
        refined(id, &upstream, tyk, json!({ "keySources": [{ "url": url, "fetch": fetch }] }))
    };
    let data = |name: &str| std::fs::read_to_string(format!("tests/data/tls/{name}")).unwrap();
    let own = json!({
        "ca": "file://ca.pem", "clientCertificate": "file://client.pem", "clientKey": "env://CLIENT_KEY",
    });
    let other = json!({ "ca": include_str!("../data/partner-certificate.pem") });
    let setup = |config: Value| {
        Setup::new()
            .config(&config)
            .file("ca.pem", &data("ca.pem"))
            .file("client.pem", &data("client.pem"))
            .env("CLIENT_KEY", &data("client.key"))
            .api(&bound("nobody", plain, json!({})))
            .api(&bound("trusted", plain, json!({ "ca": "file://ca.pem" })))
            .api(&bound("unshown", mutual, json!({ "ca": "file://ca.pem" })))
    };
    let token = sign(&key, json!({ "kid": "one" }), json!({}));
    let gateway = setup(json!({})).api(&bound("mutual", mutual, own.clone())).start();
    for (id, expected) in [("nobody", 503), ("trusted", 200), ("mutual", 200), ("unshown", 503)] {
        answers(&gateway, &format!("/{id}/"), &token, expected);
    }
    gateway.log_with("certificate");
    // What the gateway says counts where a source says nothing.
    let gateway = setup(json!({ "jwks": own })).api(&bound("other", plain, other)).start();
    for (id, expected) in [("nobody", 200), ("trusted", 200), ("unshown", 200), ("other", 503)] {
        answers(&gateway, &format!("/{id}/"), &token, expected);
    }
}

#[test]
fn wrong_settings_are_told_with_their_place() {
    let upstream = Server::up();
    let setup =
        Setup::new().api(&refined("a", &upstream, json!({ "source": "https://idp.test/" }), json!({})));
    for (config, said) in [
        (json!({ "ca": "file://none.pem" }), "jwks.ca: "),
        (json!({ "clientKey": "x" }), "jwks.clientKey: its certificate is missing"),
        (json!({ "privateNetworks": "yes" }), "jwks.privateNetworks: write configured, allow or refuse"),
        (json!({ "maxKeys": 0 }), "jwks.maxKeys: this is a number from 1"),
        (json!({ "cacheTimeout": "0" }), "jwks.cacheTimeout: a time is written"),
        (json!({ "headers": {} }), "jwks.headers"),
    ] {
        setup.write("claimgate.yaml", &json!({ "jwks": config }).to_string());
        let output = setup.check();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(!output.status.success() && text.contains(said), "{config}: {text}");
    }
}
