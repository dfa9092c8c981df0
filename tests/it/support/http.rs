//! Raw requests and their answers.

use std::{
    io::{BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use serde_json::{Map, Value, json};

use super::server::{fields, read_chunked, read_head};

/// How long an answer may take before a test fails rather than hangs.
const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
    /// Whether the body came to the end that its framing promised.
    pub(crate) complete: bool,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        fields(&self.head).find(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// A request that closes its connection.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    method: &'static str,
    target: String,
    fields: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Request {
    pub(crate) fn get(target: impl Into<String>) -> Self {
        Self::new("GET", target)
    }

    pub(crate) fn new(method: &'static str, target: impl Into<String>) -> Self {
        Self { method, target: target.into(), fields: Vec::new(), body: Vec::new() }
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.fields.push((name.into(), value.into()));
        self
    }

    pub(crate) fn bearer(self, token: &str) -> Self {
        self.header("Authorization", &format!("Bearer {token}"))
    }

    pub(crate) fn body(mut self, body: &[u8]) -> Self {
        self.body = body.to_vec();
        self.header("Content-Length", &body.len().to_string())
    }

    /// The request as `POST /tyk/jwt/explain` takes it.
    pub(crate) fn described(&self) -> Value {
        let mut headers: Map<String, Value> = Map::new();
        for (name, value) in &self.fields {
            let values = headers.entry(name).or_insert_with(|| json!([]));
            values.as_array_mut().unwrap().push(value.as_str().into());
        }
        headers.entry("Host").or_insert_with(|| json!("gateway.test"));
        json!({ "method": self.method, "url": self.target, "headers": headers })
    }

    /// The octets of the request. `Host` comes first unless a test sets one.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut text = format!("{} {} HTTP/1.1\r\n", self.method, self.target);
        if !self.fields.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
            text.push_str("Host: gateway.test\r\n");
        }
        for (name, value) in &self.fields {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        if !self.fields.iter().any(|(name, _)| name.eq_ignore_ascii_case("connection")) {
            text.push_str("Connection: close\r\n");
        }
        text.push_str("\r\n");
        [text.as_bytes(), &self.body].concat()
    }

    #[track_caller]
    pub(crate) fn send(&self, address: SocketAddr) -> Answer {
        exchange(address, &self.to_bytes())
    }
}

/// Sends octets on a new connection and reads one answer.
#[track_caller]
pub(crate) fn exchange(address: SocketAddr, request: &[u8]) -> Answer {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    // A gateway that refuses early may close before it has read everything.
    let _ = stream.write_all(request);
    let head_only = request.starts_with(b"HEAD ");
    read_answer(&mut BufReader::new(stream), head_only).expect("no answer")
}

/// Reads one answer; nothing if the connection ended before it.
pub(crate) fn read_answer(reader: &mut BufReader<TcpStream>, head_only: bool) -> Option<Answer> {
    let head = read_head(reader)?;
    let status: u16 = head.split(' ').nth(1)?.parse().ok()?;
    if status == 100 {
        return read_answer(reader, head_only);
    }
    let field = |name: &str| fields(&head).find(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, v)| v);
    let (body, complete) = if head_only || status == 204 || status == 304 {
        (Vec::new(), true)
    } else if field("transfer-encoding").is_some() {
        read_chunked(reader).map_or((Vec::new(), false), |body| (body, true))
    } else if let Some(length) = field("content-length") {
        let length: usize = length.parse().ok()?;
        let mut body = Vec::with_capacity(length);
        let read = reader.take(u64::try_from(length).ok()?).read_to_end(&mut body);
        let complete = read.is_ok() && body.len() == length;
        (body, complete)
    } else {
        let mut body = Vec::new();
        let complete = reader.read_to_end(&mut body).is_ok();
        (body, complete)
    };
    Some(Answer { status, head, body, complete })
}
