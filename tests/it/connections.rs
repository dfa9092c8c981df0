//! What happens on a connection: of clients, and to upstreams.

use std::{
    io::{BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    thread,
};

use serde_json::json;

use crate::support::{Gateway, Request, Server, Setup, exchange, keyless, merge, read_answer, read_head};

fn start(upstream: &Server) -> Gateway {
    Setup::new().api(&keyless("a", upstream)).start()
}

/// An upstream that says this to every request, and stays.
fn saying(answer: &'static str) -> Server {
    Server::start(move |_, stream| stream.write_all(answer.as_bytes()).is_ok())
}

/// Everything that comes until the gateway ends the connection.
fn rest(stream: &mut TcpStream) -> String {
    let mut octets = Vec::new();
    // A reset ends it as well, behind what came before.
    let _ = stream.read_to_end(&mut octets);
    String::from_utf8_lossy(&octets).into_owned()
}

fn send(gateway: &Gateway, text: &str) -> TcpStream {
    let mut stream = TcpStream::connect(gateway.address()).unwrap();
    stream.write_all(text.as_bytes()).unwrap();
    stream
}

#[test]
fn what_is_no_request_is_the_last_thing_on_its_connection() {
    let upstream = Server::up();
    let gateway = start(&upstream);
    for (text, status) in [
        ("nonsense\r\n\r\n", 400),
        ("GET /a/ HTTP/1.1\nHost: x\n\n", 400),
        ("GET /a/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 501),
        ("GET /a/ HTTP/1.1\r\nHost: x\r\nExpect: tea\r\n\r\n", 417),
        (&format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(70_000)), 414),
        (&format!("GET /a/ HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n", "a".repeat(70_000)), 431),
        (&format!("GET /a/ HTTP/1.1\r\nHost: x\r\n{}\r\n", "X: a\r\n".repeat(100)), 431),
    ] {
        let answer = rest(&mut send(&gateway, &format!("{text}GET /a/ HTTP/1.1\r\nHost: x\r\n\r\n")));
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{text:.60}: {answer}");
        assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{text:.60}: {answer}");
    }
    assert_eq!(upstream.recorded().len(), 0);
}

#[test]
fn a_head_that_does_not_come_is_not_waited_for() {
    let gateway = Setup::new()
        .config(&json!({ "timeouts": { "header": "100ms" } }))
        .api(&keyless("a", &Server::up()))
        .start();
    assert!(rest(&mut send(&gateway, "GET /a/ HTTP/1.1\r\nHos")).starts_with("HTTP/1.1 408 "));
    assert_eq!(rest(&mut send(&gateway, "")), "");
    // Nor is the next one.
    let answer = rest(&mut send(&gateway, "GET /a/ HTTP/1.1\r\nHost: x\r\n\r\n"));
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.matches("HTTP/1.1").count() == 1, "{answer}");
}

#[test]
fn a_client_is_told_to_go_on_when_somebody_wants_the_body() {
    let upstream = Server::up();
    let gateway = start(&upstream);
    let head = |path| {
        format!("POST {path} HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n")
    };
    let mut reader = BufReader::new(send(&gateway, &head("/a/")));
    assert_eq!(read_head(&mut reader).unwrap(), "HTTP/1.1 100 Continue\r\n\r\n");
    reader.get_mut().write_all(b"abc").unwrap();
    assert_eq!(read_answer(&mut reader, false).unwrap().status, 200);
    assert_eq!(upstream.take_one().body, b"abc");
    // Nobody wants this one, and nobody knows whether it will come.
    let answer = rest(&mut send(&gateway, &head("/nowhere")));
    assert!(answer.starts_with("HTTP/1.1 404 ") && answer.contains("connection: close\r\n"), "{answer}");
}

#[test]
fn an_old_client_has_its_connection_kept_if_it_asks() {
    let gateway = start(&Server::up());
    let request = |path: &str| format!("GET {path} HTTP/1.0\r\nHost: x\r\nConnection: keep-alive\r\n\r\n");
    let mut reader = BufReader::new(send(&gateway, &request("/a/1")));
    let answer = read_answer(&mut reader, false).unwrap();
    assert_eq!((answer.status, answer.header("connection")), (200, Some("keep-alive")));
    reader.get_mut().write_all(request("/a/2").as_bytes()).unwrap();
    assert_eq!(read_answer(&mut reader, false).unwrap().status, 200);
    let answer = rest(&mut send(&gateway, "GET /a/ HTTP/1.0\r\nHost: x\r\n\r\n"));
    assert!(answer.contains("connection: close\r\n") && answer.ends_with("up"), "{answer}");
}

#[test]
fn a_chunked_answer_ends_with_the_connection_of_an_old_client() {
    // Too large to have come whole with its head.
    let upstream = Server::start(|_, stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").unwrap();
        (0..100).all(|_| stream.write_all(format!("2710\r\n{}\r\n", "x".repeat(10_000)).as_bytes()).is_ok())
            && stream.write_all(b"0\r\n\r\n").is_ok()
    });
    let answer = exchange(start(&upstream).address(), b"GET /a/ HTTP/1.0\r\nHost: x\r\n\r\n");
    assert_eq!((answer.header("transfer-encoding"), answer.header("content-length")), (None, None));
    assert_eq!(answer.body.len(), 1_000_000);
}

#[test]
fn an_answer_is_not_lost_where_the_upload_is_not_taken() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let mut reader = BufReader::new(stream);
            read_head(&mut reader);
            // Closed with most of the body unread: whoever still sends meets a reset.
            let answer = b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 8\r\n\r\ntoo much";
            reader.get_mut().write_all(answer).unwrap();
        }
    });
    let mut document = keyless("a", &Server::up());
    merge(&mut document, json!({ "x-tyk-api-gateway": { "upstream": { "url": url } } }));
    let gateway = Setup::new().api(&document).start();
    for _ in 0..10 {
        let mut stream =
            send(&gateway, "POST /a/ HTTP/1.1\r\nHost: x\r\nContent-Length: 50000000\r\n\r\n0123456789");
        let mut writer = stream.try_clone().unwrap();
        thread::spawn(move || while writer.write_all(&[b'x'; 65_536]).is_ok() {});
        let answer = rest(&mut stream);
        assert!(answer.starts_with("HTTP/1.1 413 ") && answer.ends_with("too much"), "{answer}");
    }
}

#[test]
fn what_follows_an_answer_is_nobodys() {
    let upstream = saying(
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nupHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison",
    );
    let gateway = start(&upstream);
    for _ in 0..5 {
        assert_eq!(gateway.send(&Request::get("/a/")).text(), "up");
    }
}

#[test]
fn interim_answers_stay_between_us_and_the_upstream() {
    let hints = saying(
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nup",
    );
    let answer = rest(&mut send(&start(&hints), "GET /a/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"));
    assert!(answer.starts_with("HTTP/1.1 200 ") && !answer.contains("Link"), "{answer}");
    let flood = Server::start(|_, stream| {
        // Until nobody listens any more.
        while stream.write_all(b"HTTP/1.1 102 Processing\r\n\r\n").is_ok() {}
        false
    });
    assert_eq!(start(&flood).send(&Request::get("/a/")).status, 502);
    let unasked =
        saying("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n");
    assert_eq!(start(&unasked).send(&Request::get("/a/")).status, 502);
}
