//! What goes through: recorded octets, connections, streams, and upstreams that fail.

use std::{
    fs,
    io::{BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc::channel,
    },
    thread,
};

use serde_json::{Value, json};
use socket2::{Domain, Socket, Type};

use crate::support::{
    Gateway, Request, Server, Setup, exchange, keyless, keyless_at, merge, read_answer, read_head, respond,
};

fn start(upstream: &Server) -> Gateway {
    Setup::new().api(&keyless("a", upstream)).start()
}

fn start_with(upstream: &Server, changes: Value) -> Gateway {
    let mut document = keyless("a", upstream);
    merge(&mut document, json!({ "x-tyk-api-gateway": changes }));
    Setup::new().api(&document).start()
}

#[test]
fn the_target_stays_as_it_was_sent() {
    let upstream = Server::up();
    let gateway = start(&upstream);
    for (asked, seen) in [
        ("/a/", "/"),
        ("/a/x", "/x"),
        ("/a/x?", "/x?"),
        ("/a/%7Euser/a%20b+c?q=%2F&&x=y=z", "/%7Euser/a%20b+c?q=%2F&&x=y=z"),
        ("/a/caf%C3%A9?%", "/caf%C3%A9?%"),
        ("/a/x;v=1,2(3)'!*$@:", "/x;v=1,2(3)'!*$@:"),
        ("/%61/x", "/x"),
    ] {
        assert_eq!(gateway.send(&Request::get(asked)).status, 200, "{asked}");
        assert_eq!(upstream.take_one().target(), seen, "{asked}");
    }
}

#[test]
fn the_listen_path_can_stay_and_the_upstream_have_a_path() {
    let upstream = Server::up();
    let kept = start_with(&upstream, json!({ "server": { "listenPath": { "strip": false } } }));
    kept.send(&Request::get("/a/x?y"));
    assert_eq!(upstream.take_one().target(), "/a/x?y");
    let below = json!({ "upstream": { "url": format!("{}/base/", upstream.url()) } });
    start_with(&upstream, below).send(&Request::get("/a/x?y"));
    assert_eq!(upstream.take_one().target(), "/base/x?y");
}

#[test]
fn the_host_is_the_upstreams_or_preserved() {
    let upstream = Server::up();
    let request = Request::get("/a/").header("Host", "shop.example:8080");
    start(&upstream).send(&request);
    let seen = upstream.take_one();
    assert_eq!(seen.values("host"), [upstream.address().to_string()]);
    assert_eq!(seen.values("x-forwarded-host"), ["shop.example:8080"]);
    let preserve = json!({ "upstream": { "preserveHostHeader": { "enabled": true } } });
    start_with(&upstream, preserve).send(&request);
    assert_eq!(upstream.take_one().values("host"), ["shop.example:8080"]);
}

#[test]
fn what_belongs_to_a_connection_ends_there() {
    let upstream = Server::start(|_, stream| {
        let head = "HTTP/1.1 200 OK\r\nConnection: X-Secret\r\nX-Secret: 1\r\nKeep-Alive: timeout=5\r\n\
                    Proxy-Authenticate: Basic\r\nX-Kept: 1\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n\
                    Content-Length: 2\r\n\r\nup";
        stream.write_all(head.as_bytes()).is_ok()
    });
    let gateway = start(&upstream);
    let answer = gateway.send(
        &Request::get("/a/")
            .header("Connection", "close, X-Hop")
            .header("X-Hop", "1")
            .header("Keep-Alive", "timeout=5")
            .header("TE", "gzip")
            .header("Proxy-Authorization", "Basic x")
            .header("Upgrade", "h2c")
            .header("X-Forwarded-For", "6.6.6.6")
            .header("X-Kept", "1"),
    );
    let seen = upstream.take_one();
    for name in ["connection", "x-hop", "keep-alive", "te", "proxy-authorization", "upgrade"] {
        assert_eq!(seen.values(name), Vec::<&str>::new(), "{name}");
    }
    assert_eq!(seen.values("x-kept"), ["1"]);
    assert_eq!(seen.values("x-forwarded-for"), ["127.0.0.1"]);
    assert_eq!(answer.status, 200);
    for name in ["x-secret", "keep-alive", "proxy-authenticate"] {
        assert_eq!(answer.header(name), None, "{name}");
    }
    assert_eq!(answer.header("x-kept"), Some("1"));
    assert_eq!(answer.head.matches("set-cookie:").count(), 2);
}

#[test]
fn bodies_keep_their_framing() {
    let upstream = Server::up();
    let gateway = start(&upstream);
    assert_eq!(gateway.send(&Request::new("PUT", "/a/").body(b"four")).status, 200);
    let seen = upstream.take_one();
    assert_eq!((&*seen.body, seen.values("content-length")), (&b"four"[..], vec!["4"]));
    let chunked = b"POST /a/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n\
                    3\r\nabc\r\n2;ext=1\r\nde\r\n0\r\n\r\n";
    assert_eq!(exchange(gateway.address(), chunked).status, 200);
    let seen = upstream.take_one();
    assert_eq!((&*seen.body, seen.values("transfer-encoding")), (&b"abcde"[..], vec!["chunked"]));
    assert_eq!(seen.values("content-length"), Vec::<&str>::new());
    let empty = gateway.send(&Request::new("DELETE", "/a/"));
    assert_eq!(empty.status, 200);
    assert_eq!(upstream.take_one().values("content-length"), Vec::<&str>::new());
}

#[test]
fn answers_keep_theirs() {
    let upstream = Server::start(|request, stream| {
        let answer: &[u8] = match request.target() {
            "/length" => b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc",
            "/chunked" => b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n2\r\nbc\r\n0\r\n\r\n",
            "/none" => b"HTTP/1.1 204 No Content\r\n\r\n",
            "/not-modified" => b"HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\n\r\n",
            "/early" => b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc",
            "/until-the-end" => {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\nabc");
                return false;
            }
            _ => unreachable!(),
        };
        stream.write_all(answer).is_ok()
    });
    let gateway = start(&upstream);
    for (path, status, body) in [
        ("/a/length", 200, "abc"),
        ("/a/chunked", 200, "abc"),
        ("/a/none", 204, ""),
        ("/a/not-modified", 304, ""),
        ("/a/early", 200, "abc"),
        ("/a/until-the-end", 200, "abc"),
    ] {
        let answer = gateway.send(&Request::get(path));
        assert_eq!((answer.status, &*answer.text(), answer.complete), (status, body, true), "{path}");
    }
    assert_eq!(gateway.send(&Request::new("HEAD", "/a/length")).header("content-length"), Some("3"));
}

#[test]
fn an_old_upstream_does_not_make_the_gateway_old() {
    let upstream = Server::start(|_, stream| {
        let _ = stream.write_all(b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nup");
        false
    });
    let gateway = start(&upstream);
    let answer = gateway.send(&Request::get("/a/"));
    assert!(answer.head.starts_with("HTTP/1.1 200 OK\r\n"), "{}", answer.head);
    let old = exchange(gateway.address(), b"GET /a/ HTTP/1.0\r\nHost: x\r\n\r\n");
    assert_eq!((old.status, &*old.text(), old.complete), (200, "up", true));
    assert!(upstream.recorded().iter().all(|request| request.head.starts_with("GET / HTTP/1.1\r\n")));
}

#[test]
fn a_cut_answer_is_never_made_to_look_complete() {
    let upstream = Server::start(|request, stream| {
        let answer: &[u8] = match request.target() {
            "/length" => b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc",
            "/chunked" => b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
            "/in-a-chunk" => b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nabc",
            "/not-a-chunk" => b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nzz\r\n",
            _ => unreachable!(),
        };
        let _ = stream.write_all(answer);
        false
    });
    let gateway = start(&upstream);
    for path in ["/a/length", "/a/chunked", "/a/in-a-chunk", "/a/not-a-chunk"] {
        let answer = gateway.send(&Request::get(path));
        assert_eq!((answer.status, answer.complete), (200, false), "{path}");
    }
}

#[test]
fn upstreams_that_fail() {
    // A port that is held, so that no other test gets it, and that nobody listens on.
    let held = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    held.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    let refusing = held.local_addr().unwrap().as_socket().unwrap();
    let odd = Server::start(|request, stream| match request.target() {
        "/closes" => false,
        "/nonsense" => {
            let _ = stream.write_all(b"SSH-2.0-OpenSSH_9.2\r\n");
            false
        }
        "/both" => {
            let _ =
                stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd");
            false
        }
        "/switches" => {
            let _ = stream
                .write_all(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n");
            false
        }
        _ => {
            // Never answers: the gateway gives up and closes.
            let _ = stream.read(&mut [0]);
            false
        }
    });
    let dead = keyless_at("dead", &format!("http://{refusing}"));
    let unknown = keyless_at("unknown", "http://upstream.invalid");
    let gateway = Setup::new()
        .config(&json!({ "timeouts": { "response": "300ms" } }))
        .api(&dead)
        .api(&unknown)
        .api(&keyless("odd", &odd))
        .start();
    for (path, status, reason) in [
        ("/dead/", 502, "upstream_unreachable"),
        ("/unknown/", 502, "upstream_lookup_failed"),
        ("/odd/closes", 502, "upstream_broken"),
        ("/odd/nonsense", 502, "upstream_broken"),
        ("/odd/both", 502, "upstream_broken"),
        ("/odd/switches", 502, "upstream_broken"),
        ("/odd/hangs", 504, "upstream_timeout"),
    ] {
        let answer = gateway.send(&Request::get(path));
        assert_eq!(answer.status, status, "{path}");
        assert!(!answer.text().contains("127.0.0.1") && !answer.text().contains("invalid"), "{path}");
        gateway.requests_with(&format!("\"reason\":\"{reason}\""));
    }
}

#[test]
fn connections_to_the_upstream_are_kept() {
    let connections = Arc::new(AtomicUsize::new(0));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let counter = Arc::clone(&connections);
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            counter.fetch_add(1, Ordering::SeqCst);
            thread::spawn(move || {
                let mut octets = [0; 4096];
                // Requests of these tests come whole.
                while stream.read(&mut octets).is_ok_and(|n| n > 0) {
                    respond(&mut stream, "200 OK", "text/plain", b"up");
                }
            });
        }
    });
    let document = keyless_at("a", &format!("http://{address}"));
    let gateway = Setup::new().api(&document).start();
    for _ in 0..10 {
        assert_eq!(gateway.send(&Request::get("/a/")).status, 200);
    }
    assert_eq!(connections.load(Ordering::SeqCst), 1);
}

#[test]
fn a_connection_that_the_upstream_closed_costs_no_request() {
    // Answers one request on each connection, says nothing of closing, and closes.
    let upstream = Server::start(|_, stream| {
        respond(stream, "200 OK", "text/plain", b"up");
        false
    });
    let gateway = start(&upstream);
    for n in 0..50 {
        assert_eq!(gateway.send(&Request::get("/a/")).status, 200, "request {n}");
    }
}

#[test]
fn several_requests_on_one_connection() {
    let upstream = Server::up();
    let gateway = start(&upstream);
    let mut stream = TcpStream::connect(gateway.address()).unwrap();
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let request = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n");
    // Two at once, then one more, with a refusal in between.
    stream.write_all((request("/a/1") + &request("/nowhere") + &request("/a/2")).as_bytes()).unwrap();
    let statuses: Vec<u16> = (0..3).map(|_| read_answer(&mut reader, false).unwrap().status).collect();
    assert_eq!(statuses, [200, 404, 200]);
    stream.write_all(request("/a/3").as_bytes()).unwrap();
    assert_eq!(read_answer(&mut reader, false).unwrap().status, 200);
    let targets: Vec<String> = upstream.recorded().iter().map(|r| r.target().to_owned()).collect();
    assert_eq!(targets, ["/1", "/2", "/3"]);
}

#[test]
fn answers_stream_while_they_come() {
    let (go_on, wait) = channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let upstream = Server::start(move |_, stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n").unwrap();
        wait.lock().unwrap().recv().unwrap();
        stream.write_all(b"6\r\nsecond\r\n0\r\n\r\n").is_ok()
    });
    let gateway = start(&upstream);
    let mut stream = TcpStream::connect(gateway.address()).unwrap();
    stream.write_all(&Request::get("/a/").to_bytes()).unwrap();
    let mut seen = Vec::new();
    while !String::from_utf8_lossy(&seen).contains("first") {
        let mut octets = [0; 1024];
        let n = stream.read(&mut octets).unwrap();
        assert!(n > 0);
        seen.extend_from_slice(&octets[..n]);
    }
    go_on.send(()).unwrap();
    stream.read_to_end(&mut seen).unwrap();
    assert!(String::from_utf8_lossy(&seen).contains("second"));
}

/// The most memory that a process ever had, in octets.
fn peak_memory(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

#[test]
fn large_bodies_do_not_stay_in_memory() {
    const SIZE: usize = 128 << 20;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        read_head(&mut reader).unwrap();
        let mut octets = vec![0; 1 << 20];
        for _ in 0..SIZE / octets.len() {
            reader.read_exact(&mut octets).unwrap();
        }
        stream.write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: {SIZE}\r\n\r\n").as_bytes()).unwrap();
        for _ in 0..SIZE / octets.len() {
            stream.write_all(&octets).unwrap();
        }
    });
    let document = keyless_at("a", &format!("http://{address}"));
    let gateway = Setup::new().api(&document).start();
    let before = peak_memory(gateway.pid());
    let mut stream = TcpStream::connect(gateway.address()).unwrap();
    let head = format!("POST /a/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {SIZE}\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    let octets = vec![0; 1 << 20];
    for _ in 0..SIZE / octets.len() {
        stream.write_all(&octets).unwrap();
    }
    let answer = read_answer(&mut BufReader::new(stream), false).unwrap();
    assert_eq!((answer.status, answer.body.len()), (200, SIZE));
    let grown = peak_memory(gateway.pid()) - before;
    assert!(grown < 16 << 20, "{grown} octets more than before");
}

#[test]
fn a_body_of_unknown_length_arrives_with_every_method() {
    let upstream = Server::up();
    let gateway = start(&upstream);
    for method in ["GET", "HEAD", "DELETE", "POST", "OPTIONS"] {
        let request = format!(
            "{method} /a/s HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
        );
        assert_eq!(exchange(gateway.address(), request.as_bytes()).status, 200, "{method}");
        let seen = upstream.take_one();
        assert_eq!(
            (&*seen.body, seen.values("transfer-encoding")),
            (&b"hello"[..], vec!["chunked"]),
            "{method}"
        );
    }
}

#[test]
fn clients_and_upstreams_that_stall() {
    let (go_on, stalled) = channel::<()>();
    let stalled = std::sync::Mutex::new(stalled);
    let upstream = Server::start(move |request, stream| {
        if request.target() == "/part" {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc");
        }
        let _ = stalled.lock().unwrap().recv();
        false
    });
    let gateway = Setup::new()
        .config(&json!({ "timeouts": { "response": "300ms", "idle": "300ms" } }))
        .api(&keyless("a", &upstream))
        .start();
    let silent = gateway.send(&Request::get("/a/never"));
    assert_eq!(silent.status, 504);
    let cut = gateway.send(&Request::get("/a/part"));
    assert_eq!((cut.status, cut.complete), (200, false));
    let stalled = b"POST /a/ HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc";
    assert_eq!(exchange(gateway.address(), stalled).status, 408);
    drop(go_on);
    let (_, _, requests) = gateway.stop();
    assert!(requests.contains("\"upstream_timeout\"") && requests.contains("\"body_timeout\""), "{requests}");
}

#[test]
fn an_upload_may_take_as_long_as_it_moves() {
    let upstream = Server::up();
    let gateway = Setup::new()
        .config(&json!({ "timeouts": { "response": "1s" } }))
        .api(&keyless("a", &upstream))
        .start();
    let mut stream = TcpStream::connect(gateway.address()).unwrap();
    stream
        .write_all(b"POST /a/ HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nConnection: close\r\n\r\n")
        .unwrap();
    let (_never, clock) = channel::<()>();
    for _ in 0..5 {
        // Time itself is what this is about: five parts, each in time, all together not.
        let _ = clock.recv_timeout(std::time::Duration::from_millis(300));
        stream.write_all(b"x").unwrap();
    }
    assert_eq!(read_answer(&mut BufReader::new(stream), false).unwrap().status, 200);
}

#[test]
fn a_client_that_leaves_has_its_line_in_the_log() {
    let (upstream, is_there) = Server::silent();
    let gateway = start(&upstream);
    let mut stream = TcpStream::connect(gateway.address()).unwrap();
    stream.write_all(&Request::new("POST", "/a/pay").to_bytes()).unwrap();
    is_there.recv().unwrap();
    drop(stream);
    let line = gateway.requests_with("/a/pay");
    assert!(line.contains("\"status\":499,\"reason\":\"client_closed\""), "{line}");
}

#[test]
fn a_connection_is_kept_no_longer_than_the_upstream_promises() {
    for (keep_alive, connections) in [("timeout=1", 2), ("timeout=60, max=100", 1)] {
        let opened = Arc::new(AtomicUsize::new(0));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let counter = Arc::clone(&opened);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                counter.fetch_add(1, Ordering::SeqCst);
                thread::spawn(move || {
                    let mut reader = BufReader::new(stream);
                    while read_head(&mut reader).is_some() {
                        let answer = format!(
                            "HTTP/1.1 200 OK\r\nKeep-Alive: {keep_alive}\r\nContent-Length: 0\r\n\r\n"
                        );
                        reader.get_mut().write_all(answer.as_bytes()).unwrap();
                    }
                });
            }
        });
        let document = keyless_at("a", &format!("http://{address}"));
        let gateway = Setup::new().api(&document).start();
        for _ in 0..2 {
            assert_eq!(gateway.send(&Request::get("/a/")).status, 200);
        }
        assert_eq!(opened.load(Ordering::SeqCst), connections, "{keep_alive}");
    }
}

#[test]
fn strangers_say_nothing_about_the_way_of_a_request() {
    let upstream = Server::up();
    let gateway = start(&upstream);
    let mut request = Request::get("/a/");
    for name in ["X_Forwarded_For", "X.Real.IP", "X-Original-URL", "X-Rewrite-URL", "Proxy"] {
        request = request.header(name, "1.2.3.4");
    }
    gateway.send(&request);
    let seen = upstream.take_one();
    assert!(!seen.head.to_ascii_lowercase().replace('.', "-").contains("1-2-3-4"), "{}", seen.head);
}

/// Servers that make variables of fields read `Transfer_Encoding` as `Transfer-Encoding`.
#[test]
fn no_field_looks_like_framing() {
    let upstream = Server::up();
    let gateway = start(&upstream);
    let request = Request::new("POST", "/a/").body(b"abc");
    gateway.send(&request.header("Transfer_Encoding", "chunked").header("Content_Length", "1"));
    let seen = upstream.take_one();
    for name in ["transfer_encoding", "content_length", "transfer-encoding"] {
        assert_eq!(seen.values(name), Vec::<&str>::new(), "{name}");
    }
    assert_eq!((seen.values("content-length"), &*seen.body), (vec!["3"], &b"abc"[..]));
}

#[test]
fn an_answer_has_one_length() {
    for lengths in [
        "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n",
        "Content-Length: 2, 2\r\n\r\nab",
        "Content-Length: 2\r\nContent-Length: 2\r\n\r\nab",
    ] {
        let upstream = Server::start(move |_, stream| {
            stream.write_all(format!("HTTP/1.1 200 OK\r\n{lengths}").as_bytes()).is_ok()
        });
        assert_eq!(start(&upstream).send(&Request::get("/a/")).status, 502, "{lengths}");
    }
}

/// How many descriptors a process has open.
fn descriptors(pid: u32) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count()
}

#[test]
fn an_upload_that_nobody_takes_leaves_nothing_behind() {
    // An upstream that takes connections and reads nothing.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let document = keyless_at("silent", &format!("http://{}", silent.local_addr().unwrap()));
    let gateway = Setup::new()
        .config(&json!({ "timeouts": { "response": "300ms", "idle": "300ms", "header": "300ms" } }))
        .api(&document)
        .start();
    // A worker that answers has opened what it needs.
    assert_eq!(gateway.send(&Request::get("/nowhere")).status, 404);
    let before = descriptors(gateway.pid());
    let mut streams = Vec::new();
    for _ in 0..3 {
        let mut stream = TcpStream::connect(gateway.address()).unwrap();
        stream.write_all(b"POST /silent/ HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000\r\n\r\n").unwrap();
        let mut writer = stream.try_clone().unwrap();
        thread::spawn(move || while writer.write_all(&[b'x'; 65_536]).is_ok() {});
        streams.push(BufReader::new(stream));
    }
    for stream in &mut streams {
        assert_eq!(read_head(stream).unwrap().split(' ').nth(1), Some("504"));
        // The rest is nothing but the end of the connection.
        let _ = stream.read_to_end(&mut Vec::new());
    }
    drop(streams);
    let (_never, clock) = channel::<()>();
    for _ in 0..100 {
        if descriptors(gateway.pid()) <= before {
            return;
        }
        let _ = clock.recv_timeout(std::time::Duration::from_millis(50));
    }
    panic!("{} descriptors more", descriptors(gateway.pid()) - before);
}

#[test]
fn an_early_answer_ends_an_upload_that_goes_on() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        let mut kept = Vec::new();
        for stream in listener.incoming().map_while(Result::ok) {
            let mut reader = BufReader::new(stream);
            read_head(&mut reader);
            reader.get_mut().write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").unwrap();
            kept.push(reader);
        }
    });
    let gateway = Setup::new().api(&keyless_at("a", &url)).start();
    let mut stream = TcpStream::connect(gateway.address()).unwrap();
    stream.set_read_timeout(Some(std::time::Duration::from_secs(10))).unwrap();
    stream.write_all(b"POST /a/ HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n0123456789").unwrap();
    let mut stream = BufReader::new(stream);
    assert_eq!(read_head(&mut stream).unwrap().split(' ').nth(1), Some("200"));
    // The connection ends: what would come on it is the rest of a body that nobody takes.
    assert_eq!(stream.read(&mut [0]).unwrap_or(0), 0);
    assert!(gateway.stop().0.success());
}
