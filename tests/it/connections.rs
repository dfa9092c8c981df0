//! What happens on a connection: of clients, and to upstreams.

use std::{
    io::{BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex, mpsc::channel},
    thread,
    time::Duration,
};

use serde_json::json;

use crate::support::{
    Gateway, Request, Server, Setup, exchange, keyless, keyless_at, merge, read_answer, read_chunked,
    read_head, respond,
};

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
        .config(&json!({ "timeouts": { "header": "1s" } }))
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
    let gateway = before(&listener);
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let mut reader = BufReader::new(stream);
            read_head(&mut reader);
            // Closed with most of the body unread: whoever still sends meets a reset.
            let answer = b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 8\r\n\r\ntoo much";
            reader.get_mut().write_all(answer).unwrap();
        }
    });
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

/// An upstream of one's own, and a gateway before it.
fn before(listener: &TcpListener) -> Gateway {
    let url = format!("http://{}", listener.local_addr().unwrap());
    Setup::new().api(&keyless_at("a", &url)).start()
}

/// The data of a chunked body.
fn chunked(data: &[u8]) -> Vec<u8> {
    let chunks = data
        .chunks(10_000)
        .map(|chunk| [format!("{:x}\r\n", chunk.len()).as_bytes(), chunk, b"\r\n"].concat());
    chunks.flatten().chain(*b"0\r\n\r\n").collect()
}

#[test]
fn an_upload_arrives_whole_behind_an_early_answer() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let gateway = before(&listener);
    let (is_stuck, go_on) = channel::<()>();
    let upstream = thread::spawn(move || {
        let mut reader = BufReader::new(listener.accept().unwrap().0);
        read_head(&mut reader).unwrap();
        go_on.recv().unwrap();
        let begin = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nup\r\n";
        reader.get_mut().write_all(begin).unwrap();
        go_on.recv().unwrap();
        let body = read_chunked(&mut reader).unwrap();
        reader.get_mut().write_all(b"0\r\n\r\n").unwrap();
        body
    });
    // More than all buffers on the way.
    let data: Vec<u8> = (0..64_000_000_u32).map(|n| u8::try_from(n % 251).unwrap()).collect();
    let body = chunked(&data);
    let mut stream = send(&gateway, "POST /a/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
    // Until nobody takes more.
    stream.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
    let mut sent = 0;
    while let Ok(length) = stream.write(&body[sent..]) {
        sent += length;
    }
    assert!(sent < body.len());
    is_stuck.send(()).unwrap();
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    assert!(read_head(&mut reader).unwrap().starts_with("HTTP/1.1 200 "));
    is_stuck.send(()).unwrap();
    stream.set_write_timeout(None).unwrap();
    stream.write_all(&body[sent..]).unwrap();
    assert!(upstream.join().unwrap() == data);
    assert_eq!(read_chunked(&mut reader).unwrap(), b"up");
}

#[test]
fn an_upload_goes_on_while_the_client_reads_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let gateway = before(&listener);
    let upstream = thread::spawn(move || {
        let mut reader = BufReader::new(listener.accept().unwrap().0);
        read_head(&mut reader).unwrap();
        let mut writer = reader.get_ref().try_clone().unwrap();
        let answer = thread::spawn(move || {
            writer.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 20000000\r\n\r\n").unwrap();
            writer.write_all(&vec![b'x'; 20_000_000]).unwrap();
        });
        let mut body = vec![0; 20_000_000];
        reader.read_exact(&mut body).unwrap();
        answer.join().unwrap();
    });
    let mut stream = send(&gateway, "POST /a/ HTTP/1.1\r\nHost: x\r\nContent-Length: 20000000\r\n\r\n");
    stream.set_write_timeout(Some(Duration::from_secs(30))).unwrap();
    stream.write_all(&vec![b'y'; 20_000_000]).unwrap();
    let answer = read_answer(&mut BufReader::new(stream), false).unwrap();
    assert_eq!((answer.status, answer.body.len()), (200, 20_000_000));
    upstream.join().unwrap();
}

#[test]
fn a_connection_that_was_spoken_on_takes_no_request() {
    // However much was read for the same client before: at some point the runtime has a task pause.
    for before in [0, 1, 126, 127, 128] {
        let kept = Arc::new(Mutex::new(None::<TcpStream>));
        let last = Arc::clone(&kept);
        let upstream = Server::start(move |_, stream| {
            *last.lock().unwrap() = Some(stream.try_clone().unwrap());
            respond(stream, "200 OK", "text/plain", b"up")
        });
        let gateway = Setup::new().config(&json!({ "workers": 1 })).api(&keyless("a", &upstream)).start();
        assert_eq!(gateway.send(&Request::get("/a/")).text(), "up");
        let mut stream = kept.lock().unwrap().take().unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nEVIL").unwrap();
        let nowhere = "GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n".repeat(before);
        let last = "GET /a/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        let answers = rest(&mut send(&gateway, &format!("{nowhere}{last}")));
        assert!(answers.ends_with("\r\n\r\nup"), "{before} before: {answers:.300}");
    }
}

#[test]
fn a_time_limit_is_about_connecting_as_well() {
    // Takes connections and never says anything: not even a word of TLS.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}", silent.local_addr().unwrap());
    let mut document = keyless_at("a", &url);
    merge(
        &mut document,
        json!({
            "paths": { "/slow": { "get": { "operationId": "slow" } } },
            "x-tyk-api-gateway": {
                "middleware": { "operations": { "slow": { "enforceTimeout": { "enabled": true, "value": 1 } } } },
            },
        }),
    );
    let gateway = Setup::new().config(&json!({ "timeouts": { "connect": "60s" } })).api(&document).start();
    let mut stream = send(&gateway, "GET /a/slow HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    assert!(rest(&mut stream).starts_with("HTTP/1.1 504 "));
}
