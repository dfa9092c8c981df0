//! The control API.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    sync::Arc,
};

use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};
use serde_json::{Value, json};

use crate::support::{Request, Server, Setup, keyless};

#[test]
fn health() {
    let gateway = Setup::new().api(&keyless("a", &Server::up())).start();
    for path in ["/hello", "/ready"] {
        let answer = gateway.admin_without_secret(&Request::get(path));
        assert_eq!(answer.status, 200);
        assert_eq!(serde_json::from_slice::<Value>(&answer.body).unwrap()["status"], "pass");
    }
}

#[test]
fn everything_else_needs_the_secret() {
    let gateway = Setup::new().api(&keyless("a", &Server::up())).start();
    for (method, path) in [
        ("GET", "/tyk/reload"),
        ("GET", "/tyk/reload/group"),
        ("DELETE", "/tyk/cache/jwks"),
        ("DELETE", "/tyk/cache/jwks/a"),
        ("GET", "/tyk/cache/jwks"),
        ("POST", "/tyk/cache/jwks/a"),
        ("POST", "/tyk/jwt/explain"),
        ("GET", "/tyk/kv/status"),
        ("GET", "/tyk/keys"),
        ("POST", "/tyk/keys/create"),
        ("DELETE", "/tyk/keys/abc"),
        ("GET", "/tyk/apis/"),
    ] {
        for secret in [None, Some(""), Some("a-secret-of-this-tes"), Some("a-secret-of-this-testx")] {
            let mut request = Request::new(method, path);
            if let Some(secret) = secret {
                request = request.header("x-tyk-authorization", secret);
            }
            let answer = gateway.admin_without_secret(&request);
            assert_eq!(answer.status, 403, "{method} {path} {secret:?}");
        }
    }
    assert_eq!(gateway.admin_without_secret(&Request::get("/tyk/../tyk/reload")).status, 403);
    assert_eq!(gateway.admin(Request::get("/tyk/reload/group?block=true")).status, 200);
    for query in ["", "?block=1", "?block=", "?block=no"] {
        assert_eq!(gateway.admin(Request::get(format!("/tyk/reload{query}"))).status, 200, "{query}");
    }
    assert_eq!(gateway.admin(Request::get("/tyk/nothing")).status, 404);
}

#[test]
fn without_a_secret_nobody_has_it() {
    let setup =
        Setup::new().config(&json!({ "admin": { "secret": null } })).api(&keyless("a", &Server::up()));
    let gateway = setup.start();
    assert_eq!(gateway.admin(Request::get("/tyk/reload")).status, 403);
    assert_eq!(gateway.admin_without_secret(&Request::get("/ready")).status, 200);
}

#[test]
fn what_it_says_about_itself_answers() {
    let gateway = Setup::new().api(&keyless("a", &Server::up())).start();
    let document: Value =
        serde_json::from_slice(&gateway.admin(Request::get("/tyk/openapi.json")).body).unwrap();
    let mut asked = 0;
    for (path, operations) in document["paths"].as_object().unwrap() {
        let url = path.replace("{id}", "none").replace("{api}", "none").replace("{key}", "none");
        for (method, operation) in operations.as_object().unwrap() {
            let method = ["GET", "POST", "PUT", "PATCH", "DELETE"]
                .into_iter()
                .find(|known| known.eq_ignore_ascii_case(method))
                .unwrap();
            let answer = gateway.admin(Request::new(method, &*url).body(b"{"));
            let code = answer.status.to_string();
            assert!(operation["responses"].get(&code).is_some(), "{method} {path}: {code} {}", answer.text());
            // What is no route answers otherwise.
            assert!(answer.text() != "Not Found" && answer.status != 405, "{method} {path}");
            asked += 1;
        }
    }
    assert!(asked > 40);
    assert_eq!(gateway.admin_without_secret(&Request::get("/tyk/openapi.json")).status, 403);
}

#[test]
fn health_is_asked_for_and_nothing_else() {
    let gateway = Setup::new().api(&keyless("a", &Server::up())).start();
    for path in ["/hello", "/ready"] {
        for method in ["HEAD", "POST", "DELETE", "OPTIONS"] {
            assert_eq!(
                gateway.admin_without_secret(&Request::new(method, path)).status,
                405,
                "{method} {path}"
            );
        }
    }
    let cleared = gateway.admin(Request::new("DELETE", "/tyk/cache/a/"));
    assert_eq!((cleared.status, cleared.text().contains("cache invalidated")), (200, true));
}

/// The answer over TLS to `GET /ready`, to a client that trusts the test authority and shows a certificate if it
/// has one.
fn over_tls(address: SocketAddr, certificate: Option<&str>) -> std::io::Result<String> {
    let data = |name: &str| std::fs::read(format!("tests/data/tls/{name}")).unwrap();
    let certificates =
        |name: &str| CertificateDer::pem_slice_iter(&data(name)).collect::<Result<Vec<_>, _>>().unwrap();
    let mut roots = RootCertStore::empty();
    certificates("ca.pem").into_iter().for_each(|authority| roots.add(authority).unwrap());
    let builder =
        ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
    let config = match certificate {
        None => builder.with_no_client_auth(),
        Some(name) => {
            let key = PrivateKeyDer::from_pem_slice(&data(&format!("{name}.key"))).unwrap();
            builder.with_client_auth_cert(certificates(&format!("{name}.pem")), key).unwrap()
        }
    };
    let connection = ClientConnection::new(Arc::new(config), "localhost".try_into().unwrap()).unwrap();
    let mut stream = StreamOwned::new(connection, TcpStream::connect(address)?);
    stream.write_all(b"GET /ready HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

#[test]
fn over_tls_with_certificates_of_both_sides() {
    let data = |name: &str| std::fs::read_to_string(format!("tests/data/tls/{name}")).unwrap();
    let setup = |tls: Value| {
        Setup::new()
            .config(&json!({ "admin": { "tls": tls }, "watch": "1h" }))
            .file("server.pem", &data("server.pem"))
            .file("server.key", &data("server.key"))
            .file("ca.pem", &data("ca.pem"))
            .api(&keyless("a", &Server::up()))
    };
    let gateway = setup(json!({ "certificate": "server.pem", "key": "server.key" })).start();
    let address = gateway.admin_address();
    assert!(over_tls(address, None).unwrap().starts_with("HTTP/1.1 200 "));
    // Nobody is answered in the clear.
    let mut plain = TcpStream::connect(address).unwrap();
    plain.write_all(b"GET /ready HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    let _ = plain.read_to_end(&mut answer);
    assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
    // A certificate that is no good keeps the one that is in use.
    gateway.setup().write("server.pem", "nothing");
    gateway.log_with("admin.tls.certificate");
    assert!(over_tls(address, None).is_ok());

    let both = json!({ "certificate": "server.pem", "key": "server.key", "clientCa": "ca.pem" });
    let gateway = setup(both).start();
    assert!(over_tls(gateway.admin_address(), None).is_err(), "a certificate is asked for");
    assert!(over_tls(gateway.admin_address(), Some("client")).unwrap().starts_with("HTTP/1.1 200 "));
}

#[test]
fn certificates_of_the_control_api_that_are_no_good() {
    let said = |config: Value| {
        let setup = Setup::new().config(&json!({ "admin": config })).api(&keyless("a", &Server::up()));
        let output = setup.check();
        String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
    };
    assert!(
        said(json!({ "tls": { "certificate": "x" } })).contains("admin.tls.key: a certificate and its key")
    );
    assert!(said(json!({ "tls": { "certificate": "x", "key": "y" } })).contains("admin.tls.certificate: "));
    assert!(
        said(json!({ "listen": "0.0.0.0:0" })).contains("warning: admin.listen: keys of the control API")
    );
}
