//! A peer of the gateway: an upstream or an identity provider. It records what reaches it, octet by
//! octet.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        mpsc::{Receiver, channel},
    },
    thread,
};

/// A request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Recorded {
    /// From the request line to the empty line.
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Recorded {
    pub(crate) fn target(&self) -> &str {
        self.head.split(' ').nth(1).unwrap_or_default()
    }

    /// All values of a field, in order.
    pub(crate) fn values(&self, name: &str) -> Vec<&str> {
        fields(&self.head).filter(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value).collect()
    }
}

/// The fields of a head.
pub(super) fn fields(head: &str) -> impl Iterator<Item = (&str, &str)> {
    head.split("\r\n").skip(1).filter_map(|line| line.split_once(':')).map(|(n, v)| (n, v.trim()))
}

/// Answers one request on its connection; false closes it.
type Answering = dyn Fn(&Recorded, &mut TcpStream) -> bool + Send + Sync;

pub(crate) struct Server {
    address: SocketAddr,
    recorded: Arc<Mutex<Vec<Recorded>>>,
}

impl Server {
    /// Answers every request with 200 and `up`.
    pub(crate) fn up() -> Self {
        Self::start(|_, stream| respond(stream, "200 OK", "text/plain", b"up"))
    }

    /// Never answers; tells when a request has come.
    pub(crate) fn silent() -> (Self, Receiver<()>) {
        let (arrived, is_there) = channel();
        let arrived = Mutex::new(arrived);
        let server = Self::start(move |_, stream| {
            // Nobody may be waiting any more.
            let _ = arrived.lock().unwrap().send(());
            let _ = stream.read(&mut [0]);
            false
        });
        (server, is_there)
    }

    pub(crate) fn start(answer: impl Fn(&Recorded, &mut TcpStream) -> bool + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let recorded = Arc::new(Mutex::new(Vec::new()));
        let (log, answer): (_, Arc<Answering>) = (Arc::clone(&recorded), Arc::new(answer));
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (log, answer) = (Arc::clone(&log), Arc::clone(&answer));
                thread::spawn(move || converse(stream, &log, &*answer));
            }
        });
        Self { address, recorded }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn recorded(&self) -> Vec<Recorded> {
        self.recorded.lock().unwrap().clone()
    }

    /// The only request that came; forgets it.
    #[track_caller]
    pub(crate) fn take_one(&self) -> Recorded {
        let mut recorded = self.recorded.lock().unwrap();
        assert_eq!(recorded.len(), 1, "{recorded:?}");
        recorded.pop().unwrap()
    }
}

fn converse(mut stream: TcpStream, log: &Mutex<Vec<Recorded>>, answer: &Answering) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    while let Some(request) = read_request(&mut reader) {
        log.lock().unwrap().push(request.clone());
        if !answer(&request, &mut stream) {
            // The reader shares the socket: both directions end here.
            let _ = stream.shutdown(std::net::Shutdown::Both);
            return;
        }
    }
}

fn read_request(reader: &mut BufReader<TcpStream>) -> Option<Recorded> {
    let head = read_head(reader)?;
    let field = |name: &str| fields(&head).find(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, v)| v);
    let body = if field("transfer-encoding").is_some_and(|coding| coding.eq_ignore_ascii_case("chunked")) {
        read_chunked(reader)?
    } else {
        let mut body = vec![0; field("content-length").map_or(0, |length| length.parse().unwrap())];
        reader.read_exact(&mut body).ok()?;
        body
    };
    Some(Recorded { head, body })
}

/// A head with its empty line, if it comes whole.
pub(crate) fn read_head(reader: &mut BufReader<TcpStream>) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if reader.read_until(b'\n', &mut head).ok()? == 0 {
            return None;
        }
    }
    Some(String::from_utf8_lossy(&head).into_owned())
}

/// A chunked body without its trailers, if it comes whole.
pub(crate) fn read_chunked(reader: &mut BufReader<TcpStream>) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let mut size = String::new();
        reader.read_line(&mut size).ok()?;
        let size = usize::from_str_radix(size.trim().split(';').next()?, 16).ok()?;
        let mut chunk = vec![0; size];
        reader.read_exact(&mut chunk).ok()?;
        let mut end = String::new();
        reader.read_line(&mut end).ok()?;
        if size == 0 {
            return Some(body);
        }
        body.extend_from_slice(&chunk);
    }
}

/// Writes an answer with a length; the connection stays open.
pub(crate) fn respond(stream: &mut TcpStream, status: &str, content_type: &str, body: &[u8]) -> bool {
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    // One write, so that a test sees head and body together.
    stream.write_all(&[head.as_bytes(), body].concat()).is_ok()
}
