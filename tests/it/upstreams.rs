//! Where requests go: upstreams that take turns, that cannot be reached, and that take too long.

use std::{
    io::{BufReader, Write as _},
    net::TcpStream,
    thread,
    time::Duration,
};

use serde_json::{Value, json};

use crate::support::{Gateway, Recorded, Request, Server, Setup, keyless, merge, read_answer, respond};

/// How long a test waits for what should come.
const PATIENCE: Duration = Duration::from_secs(30);

/// An API `a` with this block `upstream`.
fn document(upstream: Value) -> Value {
    let mut document = keyless("a", &Server::up());
    merge(&mut document, json!({ "x-tyk-api-gateway": { "upstream": upstream } }));
    document
}

fn balanced(targets: &[(&str, u32)]) -> Value {
    let targets: Vec<Value> =
        targets.iter().map(|(url, weight)| json!({ "url": url, "weight": weight })).collect();
    document(json!({ "loadBalancing": { "enabled": true, "targets": targets } }))
}

fn start(document: &Value) -> Gateway {
    Setup::new().api(document).start()
}

/// An upstream that answers with its name.
fn named(name: &'static str) -> Server {
    Server::start(move |_, stream| respond(stream, "200 OK", "text/plain", name.as_bytes()))
}

/// A URL where nobody listens. The socket is kept, so that nobody else gets its port.
fn dead() -> (String, socket2::Socket) {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&"127.0.0.1:0".parse::<std::net::SocketAddr>().unwrap().into()).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    (format!("http://{address}"), socket)
}

/// An upstream that closes the connection instead of answering.
fn closing() -> Server {
    Server::start(|_, _| false)
}

#[test]
fn upstreams_take_turns_by_their_weight() {
    let (one, two, never) = (named("one"), named("two"), named("never"));
    let gateway =
        start(&balanced(&[(&one.url(), 2), (&never.url(), 0), (&format!("{}/base", two.url()), 1)]));
    let answers: Vec<String> = (0..6).map(|_| gateway.send(&Request::get("/a/x?y")).text()).collect();
    assert_eq!(answers, ["one", "one", "two", "one", "one", "two"]);
    assert!(never.recorded().is_empty());
    assert_eq!(two.recorded()[0].target(), "/base/x?y");
    assert_eq!(two.recorded()[0].values("host"), [two.address().to_string()]);
}

#[test]
fn turns_are_counted_over_all_workers() {
    let (one, two) = (named("one"), named("two"));
    let setup = Setup::new().config(&json!({ "workers": 3 }));
    let gateway = setup.api(&balanced(&[(&one.url(), 1), (&two.url(), 1)])).start();
    for _ in 0..20 {
        assert_eq!(gateway.send(&Request::get("/a/")).status, 200);
    }
    assert_eq!((one.recorded().len(), two.recorded().len()), (10, 10));
}

#[test]
fn without_targets_the_url_counts() {
    let up = named("url");
    let gateway = start(&document(json!({ "url": up.url(), "loadBalancing": { "enabled": true } })));
    assert_eq!(gateway.send(&Request::get("/a/")).text(), "url");
    let off = json!({ "enabled": false, "targets": [{ "url": dead().0, "weight": 1 }] });
    let gateway = start(&document(json!({ "url": up.url(), "loadBalancing": off })));
    assert_eq!(gateway.send(&Request::get("/a/")).text(), "url");
}

#[test]
fn who_cannot_be_reached_is_passed_over() {
    let (up, (dead, _kept)) = (named("up"), dead());
    let gateway = start(&balanced(&[(&dead, 1), (&format!("{}/base", up.url()), 1)]));
    for _ in 0..4 {
        // Nothing was sent yet, so whatever the method does it does once.
        let answer = gateway.send(&Request::new("POST", "/a/x").body(b"all of it"));
        assert_eq!((answer.status, &*answer.text()), (200, "up"));
    }
    let seen = up.recorded();
    let all: Vec<(&str, &[u8])> = seen.iter().map(|request| (request.target(), &*request.body)).collect();
    assert_eq!(all, [("/base/x", &b"all of it"[..]); 4]);
    assert!(seen.iter().all(|request| request.values("host") == [up.address().to_string()]));
}

#[test]
fn a_streamed_body_goes_to_the_next_one_whole() {
    let (up, (dead, _kept)) = (named("up"), dead());
    let gateway = start(&balanced(&[(&dead, 1), (&up.url(), 1)]));
    let chunked = b"POST /a/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n\
                    3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
    assert_eq!(crate::support::exchange(gateway.address(), chunked).text(), "up");
    assert_eq!(up.take_one().body, b"abcde");
}

#[test]
fn what_can_be_done_twice_goes_to_the_next_one_and_nothing_else() {
    let (up, closing) = (named("up"), closing());
    let gateway = start(&balanced(&[(&closing.url(), 1), (&up.url(), 1)]));
    assert_eq!(gateway.send(&Request::get("/a/")).text(), "up");
    assert_eq!(gateway.send(&Request::get("/a/")).text(), "up");
    let answer = gateway.send(&Request::new("POST", "/a/").body(b"x"));
    assert_eq!(answer.status, 502, "{}", answer.text());
    let methods = |all: Vec<Recorded>| -> Vec<String> {
        all.iter().map(|request| request.head.split(' ').next().unwrap().to_owned()).collect()
    };
    assert_eq!(methods(closing.recorded()), ["GET", "POST"]);
    assert_eq!(methods(up.recorded()), ["GET", "GET"]);
}

#[test]
fn when_nobody_can_be_reached_the_answer_says_so() {
    let (dead, _kept) = dead();
    let other = "http://upstream.invalid";
    for (targets, reason) in
        [([&*dead, other], "upstream_lookup_failed"), ([other, &*dead], "upstream_unreachable")]
    {
        let gateway = start(&balanced(&[(targets[0], 1), (targets[1], 1)]));
        let answer = gateway.send(&Request::get("/a/"));
        assert_eq!(answer.status, 502, "{}", answer.text());
        assert!(gateway.last_line().contains(reason), "{}", gateway.last_line());
    }
}

#[test]
fn odd_balancing_is_told_at_load() {
    for (targets, message) in [
        (json!([{ "url": "http://x", "weight": 0 }]), "every weight is 0"),
        (json!([{ "url": "ftp://x", "weight": 1 }]), "loadBalancing.targets[0].url: "),
        (json!([{ "url": "http://x", "weight": 4_294_967_296_u64 }]), "loadBalancing.targets[0].weight: "),
        (json!([{ "url": "http://x", "weight": -1 }]), "loadBalancing.targets[0].weight: "),
    ] {
        let block = json!({ "enabled": true, "targets": targets });
        let output = Setup::new().api(&document(json!({ "loadBalancing": block }))).check();
        let text = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && text.contains(message), "{text}");
    }
    for (block, message) in [
        (json!({ "enabled": true }), "every request goes to upstream.url"),
        (
            json!({ "enabled": true, "skipUnavailableHosts": true, "targets": [{ "url": "http://x", "weight": 1 }] }),
            "upstreams are not probed",
        ),
    ] {
        let output = Setup::new().api(&document(json!({ "loadBalancing": block }))).check();
        let text = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success() && text.contains(message), "{text}");
    }
}

/// An API `a` whose `GET /slow` may take a second, before this upstream.
fn limited(upstream: &Server, seconds: u64) -> Gateway {
    let mut document = keyless("a", upstream);
    let changes = json!({
        "paths": { "/slow": { "get": { "operationId": "slow", "responses": {} } } },
        "x-tyk-api-gateway": { "middleware": { "operations": {
            "slow": { "enforceTimeout": { "enabled": true, "value": seconds } }
        } } }
    });
    merge(&mut document, changes);
    Setup::new().config(&json!({ "timeouts": { "response": "30s" } })).api(&document).start()
}

#[test]
fn an_operation_has_a_time_limit_of_its_own() {
    let (silent, arrived) = Server::silent();
    let gateway = limited(&silent, 1);
    for path in ["/a/slow", "/a/slow/below"] {
        let answer = gateway.send(&Request::get(path));
        assert_eq!(answer.status, 504, "{path}: {}", answer.text());
        arrived.recv_timeout(PATIENCE).unwrap();
    }
}

#[test]
fn the_time_limit_is_about_slow_clients_as_well() {
    let mut document = keyless("a", &Server::up());
    let changes = json!({
        "paths": { "/slow": { "post": { "operationId": "slow", "responses": {} } } },
        "x-tyk-api-gateway": { "middleware": { "operations": {
            "slow": { "enforceTimeout": { "enabled": true, "value": 1 } }
        } } }
    });
    merge(&mut document, changes);
    let gateway = Setup::new().config(&json!({ "timeouts": { "response": "30s" } })).api(&document).start();
    // The rest of the body never comes.
    let half = Request::new("POST", "/a/slow").header("Content-Length", "9");
    let mut stream = TcpStream::connect(gateway.address()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(&[&half.to_bytes(), &b"half"[..]].concat()).unwrap();
    let answer = read_answer(&mut BufReader::new(stream), false).unwrap();
    assert_eq!(answer.status, 504, "{}", answer.text());
}

#[test]
fn a_limit_of_an_operation_replaces_that_of_the_gateway() {
    // The upstream answers when the other request, which has the gateway's limit, was given up.
    let (answered, is_over) = std::sync::mpsc::channel::<()>();
    let is_over = std::sync::Mutex::new(is_over);
    let up = Server::start(move |request, stream| {
        if request.target() == "/slow" {
            is_over.lock().unwrap().recv_timeout(PATIENCE).unwrap();
            return respond(stream, "200 OK", "text/plain", b"late");
        }
        let _ = std::io::Read::read(stream, &mut [0]);
        false
    });
    let mut document = keyless("a", &up);
    let changes = json!({
        "paths": { "/slow": { "get": { "operationId": "slow", "responses": {} } } },
        "x-tyk-api-gateway": { "middleware": { "operations": {
            "slow": { "enforceTimeout": { "enabled": true, "value": 60 } }
        } } }
    });
    merge(&mut document, changes);
    let gateway = Setup::new().config(&json!({ "timeouts": { "response": "200ms" } })).api(&document).start();
    let slow = thread::scope(|scope| {
        let slow = scope.spawn(|| gateway.send(&Request::get("/a/slow")));
        // One that was sent later, and is given up all the same.
        let others = [(); 2].map(|()| gateway.send(&Request::get("/a/other")).status);
        assert_eq!(others, [504; 2]);
        answered.send(()).unwrap();
        slow.join().unwrap()
    });
    assert_eq!((slow.status, &*slow.text()), (200, "late"));
}

#[test]
fn an_answer_that_takes_too_long_is_cut() {
    // Never silent for long, and never done.
    let endless = Server::start(|_, stream: &mut TcpStream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        while stream.write_all(b"1\r\nx\r\n").is_ok() {
            thread::sleep(Duration::from_millis(20));
        }
        false
    });
    let silent = Server::start(|_, stream: &mut TcpStream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf");
        let _ = std::io::Read::read(stream, &mut [0]);
        false
    });
    for upstream in [endless, silent] {
        let answer = limited(&upstream, 1).send(&Request::get("/a/slow"));
        assert_eq!((answer.status, answer.complete), (200, false), "{}", answer.text());
    }
}

#[test]
fn no_seconds_are_no_limit() {
    let up = Server::up();
    let gateway = limited(&up, 0);
    assert_eq!(gateway.send(&Request::get("/a/slow")).status, 200);
    gateway.log_with("0 seconds is no limit");
}
