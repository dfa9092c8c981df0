//! TLS towards upstreams.

use std::{io::Write as _, net::TcpListener, sync::Arc, thread};

use rustls::{
    ServerConfig, ServerConnection, StreamOwned, SupportedProtocolVersion,
    crypto::aws_lc_rs::default_provider,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    version::{TLS12, TLS13},
};
use serde_json::{Value, json};

use crate::support::{Gateway, Request, Server, Setup, keyless, merge};

/// Nobody trusts it.
const CERTIFICATE: &[u8] = include_bytes!("../data/tls/server.pem");
const KEY: &[u8] = include_bytes!("../data/tls/server.key");

/// The URL of a server that speaks these versions, and answers with the version and cipher suite that were
/// agreed on.
fn server(versions: &[&'static SupportedProtocolVersion]) -> String {
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_protocol_versions(versions)
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![CertificateDer::from_pem_slice(CERTIFICATE).unwrap()],
            PrivateKeyDer::from_pem_slice(KEY).unwrap(),
        )
        .unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut stream = StreamOwned::new(connection, stream);
            // A client that does not go on has said why.
            let Ok(_) = std::io::Read::read(&mut stream, &mut [0; 4096]) else { continue };
            let agreed = (stream.conn.protocol_version(), stream.conn.negotiated_cipher_suite());
            let body = format!("{:?} {:?}", agreed.0.unwrap(), agreed.1.unwrap().suite());
            let length = body.len();
            let head = format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n");
            let _ = stream.write_all((head + &body).as_bytes());
            stream.conn.send_close_notify();
            let _ = stream.flush();
        }
    });
    url
}

fn document(url: &str, tls: Value) -> Value {
    let mut document = keyless("a", &Server::up());
    merge(&mut document, json!({ "x-tyk-api-gateway": { "upstream": { "url": url, "tlsTransport": tls } } }));
    document
}

fn start(url: &str, tls: Value) -> Gateway {
    Setup::new().api(&document(url, tls)).start()
}

#[test]
fn certificates_are_checked_unless_somebody_says_otherwise() {
    let url = server(&[&TLS13, &TLS12]);
    let gateway = start(&url, json!({}));
    assert_eq!(gateway.send(&Request::get("/a/")).status, 502);
    let gateway = start(&url, json!({ "insecureSkipVerify": true }));
    let answer = gateway.send(&Request::get("/a/"));
    assert_eq!((answer.status, answer.text().starts_with("TLSv1_3 ")), (200, true), "{}", answer.text());
    gateway.log_with("the certificates of upstreams are not checked");
}

#[test]
fn one_api_that_checks_nothing_changes_nothing_for_another() {
    let url = server(&[&TLS13]);
    let mut strict = document(&url, json!({}));
    let other = json!({ "info": { "id": "b", "name": "b" }, "server": { "listenPath": { "value": "/b/" } } });
    merge(&mut strict, json!({ "x-tyk-api-gateway": other }));
    let gateway =
        Setup::new().api(&document(&url, json!({ "insecureSkipVerify": true }))).api(&strict).start();
    assert_eq!(gateway.send(&Request::get("/a/")).status, 200);
    assert_eq!(gateway.send(&Request::get("/b/")).status, 502);
}

#[test]
fn versions_and_ciphers_are_those_that_are_written() {
    let url = server(&[&TLS13, &TLS12]);
    let with = |changes: Value| {
        let mut tls = json!({ "insecureSkipVerify": true });
        merge(&mut tls, changes);
        start(&url, tls).send(&Request::get("/a/")).text()
    };
    assert!(with(json!({ "maxVersion": "1.2" })).starts_with("TLSv1_2 "));
    assert!(with(json!({ "minVersion": "1.0" })).starts_with("TLSv1_3 "));
    let cipher = "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256";
    assert_eq!(with(json!({ "maxVersion": "1.2", "ciphers": [cipher] })), format!("TLSv1_2 {cipher}"));
    let cipher = json!({ "ciphers": ["TLS_CHACHA20_POLY1305_SHA256"] });
    assert_eq!(with(cipher), "TLSv1_3 TLS13_CHACHA20_POLY1305_SHA256");
    let old = server(&[&TLS12]);
    let gateway = start(&old, json!({ "insecureSkipVerify": true, "minVersion": "1.3" }));
    assert_eq!(gateway.send(&Request::get("/a/")).status, 502);
}

#[test]
fn what_cannot_be_is_told_at_load() {
    let check = |tls: Value| {
        let output = Setup::new().api(&document("https://x.test", tls)).check();
        let text = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
        (output.status.success(), text)
    };
    for (tls, message) in [
        (json!({ "minVersion": "1.3", "maxVersion": "1.2" }), "leave nothing that can be spoken"),
        (json!({ "maxVersion": "1.1" }), "TLS 1.0 and 1.1 are not spoken"),
        (json!({ "maxVersion": "1.4" }), "a version of TLS is 1.2 or 1.3"),
        (json!({ "minVersion": "SSLv3" }), "tlsTransport.minVersion: "),
        (
            json!({ "ciphers": ["TLS_RSA_WITH_RC4_128_SHA"] }),
            "tlsTransport.ciphers[0]: this cipher suite cannot be used",
        ),
        (
            json!({ "maxVersion": "1.2", "ciphers": ["TLS_AES_128_GCM_SHA256"] }),
            "leave nothing that can be spoken",
        ),
        (json!({ "insecureSkipVerfy": true }), "insecureSkipVerfy"),
    ] {
        let (is_good, text) = check(tls);
        assert!(!is_good && text.contains(message), "{message}: {text}");
    }
    let (is_good, text) = check(json!({ "minVersion": "1.1" }));
    assert!(is_good && text.contains("the lowest version is 1.2"), "{text}");
}
