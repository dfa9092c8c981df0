//! The gateway stops: nothing in flight is lost, nothing new is taken.

use std::{
    io::{BufReader, Read as _, Write as _},
    net::TcpStream,
    sync::{Mutex, mpsc::channel},
};

use rustix::process::Signal;

use crate::support::{Request, Server, Setup, keyless, read_answer, respond};

#[test]
fn requests_in_flight_are_finished() {
    let (arrived, is_there) = channel::<()>();
    let (go_on, wait) = channel::<()>();
    let (arrived, wait) = (Mutex::new(arrived), Mutex::new(wait));
    let upstream = Server::start(move |_, stream| {
        arrived.lock().unwrap().send(()).unwrap();
        wait.lock().unwrap().recv().unwrap();
        respond(stream, "200 OK", "text/plain", b"late but whole")
    });
    let gateway = Setup::new().api(&keyless("a", &upstream)).start();
    let address = gateway.address();
    let mut idle = TcpStream::connect(address).unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(b"GET /a/ HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    is_there.recv().unwrap();
    gateway.signal(Signal::TERM);
    // An idle connection is closed: the worker has heard of the end.
    assert_eq!(idle.read(&mut [0]).unwrap(), 0);
    go_on.send(()).unwrap();
    let answer = read_answer(&mut BufReader::new(stream), false).unwrap();
    assert_eq!((answer.status, &*answer.text(), answer.complete), (200, "late but whole", true));
    let (status, log, requests) = gateway.wait();
    assert!(status.success(), "{log}");
    assert_eq!(requests.lines().count(), 1, "{requests}");
    assert!(TcpStream::connect(address).is_err());
}

#[test]
fn what_does_not_end_is_cut_off_in_time() {
    let (upstream, is_there) = Server::silent();
    let gateway = Setup::new()
        .config(&serde_json::json!({ "timeouts": { "shutdown": "100ms" } }))
        .api(&keyless("a", &upstream))
        .start();
    let mut stream = TcpStream::connect(gateway.address()).unwrap();
    stream.write_all(&Request::get("/a/").to_bytes()).unwrap();
    is_there.recv().unwrap();
    let (status, log, _) = gateway.stop();
    assert!(status.success());
    assert!(log.contains("did not finish in time"), "{log}");
}

#[test]
fn what_is_with_the_kernel_already_is_answered() {
    let upstream = Server::up();
    let gateway = Setup::new().api(&keyless("a", &upstream)).start();
    let mut kept = TcpStream::connect(gateway.address()).unwrap();
    kept.write_all(b"GET /a/ HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut kept = BufReader::new(kept);
    assert_eq!(crate::support::read_head(&mut kept).unwrap().split(' ').nth(1), Some("200"));
    kept.read_exact(&mut [0; 2]).unwrap();
    // The gateway is held while requests and the signal arrive.
    gateway.signal(Signal::STOP);
    kept.get_mut().write_all(b"GET /a/ HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut new: Vec<TcpStream> = (0..4).map(|_| TcpStream::connect(gateway.address()).unwrap()).collect();
    new.iter_mut().for_each(|stream| stream.write_all(&Request::get("/a/").to_bytes()).unwrap());
    gateway.signal(Signal::TERM);
    gateway.signal(Signal::CONT);
    for stream in std::iter::once(kept.into_inner()).chain(new) {
        let answer = read_answer(&mut BufReader::new(stream), false).expect("an answer");
        assert_eq!((answer.status, &*answer.text()), (200, "up"));
    }
    assert!(gateway.wait().0.success());
}

#[test]
fn whoever_asks_twice_does_not_wait() {
    let (upstream, is_there) = Server::silent();
    let mut gateway = Setup::new().api(&keyless("a", &upstream)).start();
    let mut stream = TcpStream::connect(gateway.address()).unwrap();
    stream.write_all(&Request::get("/a/").to_bytes()).unwrap();
    is_there.recv().unwrap();
    gateway.signal(Signal::TERM);
    gateway.log_with("told to end");
    // Within a second it is the same wish; later it is another.
    let (_never, clock) = channel::<()>();
    while gateway.is_running() {
        gateway.signal(Signal::INT);
        let _ = clock.recv_timeout(std::time::Duration::from_millis(100));
    }
    let (status, log, _) = gateway.wait();
    assert_eq!(status.code(), Some(1), "{log}");
}
