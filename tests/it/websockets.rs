//! WebSockets through the gateway, and requests that only pretend to open one.

use std::{
    io::{BufReader, Read as _, Write as _},
    net::{Shutdown, TcpStream},
    thread,
    time::Duration,
};

use claimgate::jwt::Algorithm;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::{
    Gateway, Recorded, Request, Server, Setup, api, claims, key, keyless, merge, now, read_answer, read_head,
    respond, scheme,
};

/// The key and what accepts it, of RFC 6455 section 1.3.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
const PATIENCE: Duration = Duration::from_secs(20);

fn accept(stream: &mut TcpStream, accept: &str) -> bool {
    let head = format!(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nX-Up: 1\r\n\
         Sec-WebSocket-Accept: {accept}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).is_ok()
}

/// Accepts every handshake and sends back what comes; answers everything else.
fn echo() -> Server {
    Server::start(|request: &Recorded, stream: &mut TcpStream| {
        if request.values("upgrade").is_empty() {
            return respond(stream, "200 OK", "text/plain", b"up");
        }
        accept(stream, ACCEPT);
        let mut back = stream.try_clone().unwrap();
        let _ = std::io::copy(stream, &mut back);
        let _ = back.shutdown(Shutdown::Write);
        false
    })
}

/// Accepts every handshake, says `x` with it, and is silent until the connection ends.
fn greeting() -> Server {
    Server::start(|_, stream: &mut TcpStream| {
        let head = format!(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Accept: {ACCEPT}\r\n\r\nx"
        );
        let _ = stream.write_all(head.as_bytes());
        let _ = stream.read(&mut [0]);
        false
    })
}

fn start(upstream: &Server, changes: Value) -> Gateway {
    Setup::new().config(&changes).api(&keyless("a", upstream)).start()
}

fn handshake(path: &str) -> Request {
    Request::get(path)
        .header("Connection", "Upgrade")
        .header("Upgrade", "websocket")
        .header("Sec-WebSocket-Version", "13")
        .header("Sec-WebSocket-Key", KEY)
}

/// Sends a handshake; gives the head of the answer and the connection.
fn open(gateway: &Gateway, request: &Request) -> (String, BufReader<TcpStream>) {
    let mut stream = TcpStream::connect(gateway.address()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(&request.to_bytes()).unwrap();
    let mut reader = BufReader::new(stream);
    (read_head(&mut reader).unwrap(), reader)
}

fn read(reader: &mut BufReader<TcpStream>, length: usize) -> Vec<u8> {
    let mut octets = vec![0; length];
    reader.read_exact(&mut octets).unwrap();
    octets
}

fn is_closed(reader: &mut BufReader<TcpStream>) -> bool {
    matches!(reader.read(&mut [0; 16]), Ok(0))
}

#[test]
fn octets_pass_both_ways_and_are_logged() {
    let up = echo();
    let gateway = start(&up, json!({}));
    let (head, mut reader) =
        open(&gateway, &handshake("/a/chat?room=1").header("Sec-WebSocket-Protocol", "soap"));
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    let lower = head.to_ascii_lowercase();
    for field in [
        "upgrade: websocket",
        "connection: upgrade",
        "x-up: 1",
        &format!("sec-websocket-accept: {ACCEPT}").to_ascii_lowercase(),
    ] {
        assert!(lower.contains(field), "{field}: {head}");
    }
    let seen = up.take_one();
    assert_eq!(seen.target(), "/chat?room=1");
    for (name, value) in [
        ("upgrade", "websocket"),
        ("connection", "Upgrade"),
        ("sec-websocket-key", KEY),
        ("sec-websocket-protocol", "soap"),
    ] {
        assert_eq!(seen.values(name), [value], "{name}");
    }
    reader.get_mut().write_all(b"hello").unwrap();
    assert_eq!(read(&mut reader, 5), b"hello");
    reader.get_mut().shutdown(Shutdown::Write).unwrap();
    assert!(is_closed(&mut reader));
    let line = gateway.requests_until(1);
    for part in ["\"status\":101", "\"bytes_received\":5", "\"bytes_sent\":5", "\"path\":\"/a/chat\""] {
        assert!(line.contains(part), "{part}: {line}");
    }
}

#[test]
fn a_side_that_takes_its_time_holds_the_other_one_up_and_loses_nothing() {
    const LENGTH: usize = 8 << 20;
    let gateway = start(&echo(), json!({}));
    let (_, mut reader) = open(&gateway, &handshake("/a/"));
    let mut writer = reader.get_ref().try_clone().unwrap();
    let sent: Vec<u8> = (0..LENGTH).map(|n| u8::try_from(n % 251).unwrap()).collect();
    let expected = sent.clone();
    // More than any buffer on the way holds is sent before a part of it is read.
    let sending = thread::spawn(move || writer.write_all(&sent).unwrap());
    assert!(read(&mut reader, LENGTH) == expected);
    sending.join().unwrap();
}

#[test]
fn what_the_upstream_refuses_stays_http() {
    let up =
        Server::start(|_, stream| respond(stream, "426 Upgrade Required", "text/plain", b"no upgrade here"));
    let gateway = start(&up, json!({}));
    let mut stream = TcpStream::connect(gateway.address()).unwrap();
    let two = [handshake("/a/one").to_bytes(), Request::get("/nowhere").to_bytes()].concat();
    stream.write_all(&two).unwrap();
    let mut reader = BufReader::new(stream);
    let refused = read_answer(&mut reader, false).unwrap();
    assert_eq!((refused.status, &*refused.text()), (426, "no upgrade here"));
    // What follows is for the gateway.
    assert_eq!(read_answer(&mut reader, false).unwrap().status, 404);
    assert_eq!(up.recorded().len(), 1);
}

#[test]
fn who_only_pretends_gets_no_tunnel() {
    // An upstream that agrees to everything, as one that is attacked might.
    let up = Server::start(|request, stream| {
        if request.values("upgrade").is_empty() {
            respond(stream, "200 OK", "text/plain", b"up")
        } else {
            accept(stream, ACCEPT)
        }
    });
    let gateway = start(&up, json!({}));
    let plain = |connection: &str, upgrade: &str| {
        Request::get("/a/").header("Connection", connection).header("Upgrade", upgrade)
    };
    let full = |connection: &str, upgrade: &str| {
        plain(connection, upgrade).header("Sec-WebSocket-Version", "13").header("Sec-WebSocket-Key", KEY)
    };
    for request in [
        full("Upgrade", "h2c"),
        full("Upgrade", "websocket, h2c"),
        full("Upgrade", "h2c").header("Upgrade", "websocket"),
        full("keep-alive", "websocket"),
        plain("Upgrade", "websocket"),
        plain("Upgrade", "websocket").header("Sec-WebSocket-Key", KEY),
        plain("Upgrade", "websocket").header("Sec-WebSocket-Version", "13"),
        plain("Upgrade", "websocket").header("Sec-WebSocket-Version", "12").header("Sec-WebSocket-Key", KEY),
        plain("Upgrade", "websocket")
            .header("Sec-WebSocket-Version", "13")
            .header("Sec-WebSocket-Key", "short"),
        full("Upgrade", "websocket").header("Content-Length", "4"),
    ] {
        let mut stream = TcpStream::connect(gateway.address()).unwrap();
        let body: &[u8] =
            if request.described()["headers"]["Content-Length"].is_null() { b"" } else { b"body" };
        let smuggled = b"GET /nowhere HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        stream.write_all(&[&request.to_bytes(), body, smuggled].concat()).unwrap();
        let mut reader = BufReader::new(stream);
        assert_eq!(read_answer(&mut reader, false).unwrap().status, 200, "{request:?}");
        assert_eq!(read_answer(&mut reader, false).unwrap().status, 404, "{request:?}");
        let seen = up.take_one();
        assert!(seen.values("upgrade").is_empty() && seen.values("connection").is_empty(), "{}", seen.head);
    }
}

#[test]
fn an_upstream_that_agrees_to_something_else_is_none() {
    for (upgrade, accept) in [("websocket", "AAAAAAAAAAAAAAAAAAAAAAAAAAA="), ("h2c", ACCEPT)] {
        let head = format!(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: {upgrade}\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
        );
        let up = Server::start(move |_, stream| stream.write_all(head.as_bytes()).is_ok());
        let gateway = start(&up, json!({}));
        let (head, _) = open(&gateway, &handshake("/a/"));
        assert!(head.starts_with("HTTP/1.1 502 "), "{head}");
        // Nor does one that was not asked.
        assert_eq!(gateway.send(&Request::get("/a/")).status, 502);
    }
}

#[test]
fn tokens_and_limits_hold() {
    let up = echo();
    let scheme = scheme(json!({ "signingMethod": "hmac", "source": "env://SECRET" }));
    let policy = json!({ "id": "all", "rate": 1, "per": 3600, "access_rights": { "a": { "api_id": "a" } } });
    let gateway = Setup::new()
        .env("SECRET", key(Algorithm::HS256).to_text().unwrap().trim())
        .api(&api("a", &up, scheme))
        .policy(&policy)
        .start();
    let token = |changes: Value| key(Algorithm::HS256).sign(&json!({}), &claims(changes)).unwrap();
    let status = |request: &Request| open(&gateway, request).0.split(' ').nth(1).unwrap().to_owned();
    assert_eq!(status(&handshake("/a/")), "401");
    assert_eq!(status(&handshake("/a/").bearer(&token(json!({ "exp": 1 })))), "401");
    let good = token(json!({}));
    let (head, mut reader) = open(&gateway, &handshake("/a/").bearer(&good));
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    reader.get_mut().write_all(b"x").unwrap();
    assert_eq!(read(&mut reader, 1), b"x");
    assert_eq!(status(&handshake("/a/").bearer(&good)), "429");
    assert_eq!(up.recorded().len(), 1);
}

#[test]
fn it_ends_a_minute_after_the_token_that_another_api_has_asked_for() {
    let (up, none) = (echo(), Server::up());
    // What has expired long ago is forgiven here, and lasts the minute that a difference of clocks may be.
    let skew = json!({ "signingMethod": "hmac", "source": "env://SECRET", "expiresAtValidationSkew": 7200 });
    let mut front = api("front", &none, scheme(skew));
    merge(&mut front, json!({ "x-tyk-api-gateway": { "upstream": { "url": "tyk://inner" } } }));
    let gateway = Setup::new()
        .config(&json!({ "timeouts": { "idle": "10m" } }))
        .env("SECRET", key(Algorithm::HS256).to_text().unwrap().trim())
        .api(&front)
        .api(&keyless("inner", &up))
        .start();
    let expired = claims(json!({ "exp": now() - 3600 }));
    let token = key(Algorithm::HS256).sign(&json!({}), &expired).unwrap();
    let (head, mut reader) = open(&gateway, &handshake("/front/").bearer(&token));
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    reader.get_mut().write_all(b"x").unwrap();
    assert_eq!(read(&mut reader, 1), b"x");
    reader.get_ref().set_read_timeout(Some(Duration::from_secs(60) + PATIENCE * 3)).unwrap();
    assert!(is_closed(&mut reader));
}

#[test]
fn silence_ends_it() {
    // What is sent at once is there before the silence has been long enough, however busy the machine is:
    // the side that speaks last is the upstream.
    let gateway = start(&greeting(), json!({ "timeouts": { "idle": "300ms" } }));
    let (_, mut reader) = open(&gateway, &handshake("/a/"));
    assert_eq!(read(&mut reader, 1), b"x");
    assert!(is_closed(&mut reader));
}

#[test]
fn it_ends_when_the_gateway_stops() {
    let up = echo();
    let gateway = start(&up, json!({}));
    let (_, mut reader) = open(&gateway, &handshake("/a/"));
    reader.get_mut().write_all(b"x").unwrap();
    assert_eq!(read(&mut reader, 1), b"x");
    gateway.signal(Signal::TERM);
    assert!(is_closed(&mut reader));
    let (status, _, requests) = gateway.wait();
    assert!(status.success() && requests.contains("\"bytes_sent\":1"), "{status} {requests}");
}

#[test]
fn it_ends_when_either_side_leaves() {
    let up = Server::start(|_, stream| {
        accept(stream, ACCEPT);
        let _ = stream.write_all(b"bye");
        false
    });
    let gateway = start(&up, json!({}));
    let (_, mut reader) = open(&gateway, &handshake("/a/"));
    assert_eq!(read(&mut reader, 3), b"bye");
    drop(reader);
    assert!(gateway.requests_until(1).contains("\"bytes_sent\":3"));
}

#[test]
fn upstreams_can_be_written_as_websockets() {
    let up = echo();
    let mut document = keyless("a", &up);
    let url = up.url().replace("http://", "ws://");
    merge(&mut document, json!({ "x-tyk-api-gateway": { "upstream": { "url": format!("{url}/base") } } }));
    let gateway = Setup::new().api(&document).start();
    assert!(open(&gateway, &handshake("/a/x")).0.starts_with("HTTP/1.1 101 "));
    assert_eq!(up.take_one().target(), "/base/x");
    // Other requests go there as well.
    assert_eq!(gateway.send(&Request::get("/a/x")).status, 200);
}
