//! What goes out over a connection.

use std::{
    io::{self, IoSlice, Write as _},
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf as _, Bytes};
use http::{
    HeaderMap, HeaderName, HeaderValue, StatusCode,
    header::{CONNECTION, CONTENT_LENGTH, DATE, TRANSFER_ENCODING},
    request, response,
};
use tokio::io::AsyncWrite;

use super::{Date, Length};

/// Data that is longer is not copied.
const COPIED: usize = 16 * 1024;
/// Room for a head of the usual size, so that it is not moved about while it grows.
const HEAD: usize = 1024;
/// So much waits to be written before anything more is asked for.
const FULL: usize = 32 * 1024;

/// Octets that wait to be written.
#[derive(Debug, Default)]
pub struct Output {
    /// Heads and short data.
    octets: Vec<u8>,
    /// So many of them are written.
    written: usize,
    /// Long data, which comes behind them.
    data: Bytes,
    /// What comes behind the data.
    tail: &'static [u8],
    /// Something was written.
    has_begun: bool,
    /// Something of it may be held back by what encrypts.
    is_held: bool,
    /// What was written is kept, to be written again.
    is_kept: bool,
}

impl Output {
    /// Whether all is on its way.
    #[must_use]
    pub const fn is_done(&self) -> bool {
        self.is_empty() && !self.is_held
    }

    const fn is_empty(&self) -> bool {
        self.written == self.octets.len() && self.data.is_empty()
    }

    /// Whether more should wait.
    #[must_use]
    pub const fn is_full(&self) -> bool {
        !self.data.is_empty() || self.octets.len().saturating_sub(self.written) >= FULL
    }

    /// Whether anything was written since it was [cleared](Self::clear).
    #[must_use]
    pub const fn has_begun(&self) -> bool {
        self.has_begun
    }

    /// Begins anew with what was written already: a request without a body, or one of which nothing was.
    pub const fn rewind(&mut self) {
        self.written = 0;
        self.has_begun = false;
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.octets.clear();
        self.written = 0;
        self.data = Bytes::new();
        self.tail = &[];
        self.has_begun = false;
        self.is_held = false;
        self.is_kept = false;
    }

    /// Gives memory back.
    pub fn rest(&mut self) {
        if self.is_done() {
            *self = Self::default();
        }
    }

    /// The head of a request whose body has this length.
    pub fn request(&mut self, head: &request::Parts, length: Length, connection: Option<&'static str>) {
        self.settle();
        self.octets.reserve(HEAD);
        let target = head.uri.path_and_query().map_or("/", |target| target.as_str());
        for text in [head.method.as_str(), " ", target, " HTTP/1.1\r\n"] {
            self.octets.extend_from_slice(text.as_bytes());
        }
        self.is_kept = length == Length::NONE;
        let tells_length = length != Length::NONE || head.headers.contains_key(CONTENT_LENGTH);
        self.fields(&head.headers);
        self.length(tells_length.then_some(length));
        self.connection(connection);
        self.octets.extend_from_slice(b"\r\n");
    }

    /// The head of an answer. Without a `length` its headers say what there is to say of the body.
    pub fn answer(
        &mut self,
        head: &response::Parts,
        length: Option<Length>,
        connection: Option<&'static str>,
        date: &Date,
    ) {
        self.settle();
        self.octets.reserve(HEAD);
        self.status(head.status);
        if !head.headers.contains_key(DATE) {
            self.field(&DATE, &date.now());
        }
        self.fields(&head.headers);
        match (length, head.headers.get(CONTENT_LENGTH)) {
            (None, Some(told)) => self.field(&CONTENT_LENGTH, told),
            (length, _) => self.length(length),
        }
        self.connection(connection);
        self.octets.extend_from_slice(b"\r\n");
    }

    /// An answer with nothing but its status, after which the connection ends.
    pub fn last_word(&mut self, status: StatusCode) {
        self.settle();
        self.status(status);
        self.octets.extend_from_slice(b"content-length: 0\r\nconnection: close\r\n\r\n");
    }

    /// Tells the client to go on.
    pub fn go_on(&mut self) {
        self.settle();
        self.octets.extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
    }

    /// A part of a body of this length.
    pub fn data(&mut self, data: Bytes, length: Length) {
        self.settle();
        // An empty chunk would be the last one.
        if data.is_empty() {
            return;
        }
        let is_chunk = length == Length::Chunked;
        if is_chunk {
            // Writing to memory does not fail.
            let _ = write!(self.octets, "{:x}\r\n", data.len());
        }
        let tail: &[u8] = if is_chunk { b"\r\n" } else { b"" };
        if data.len() > COPIED {
            (self.data, self.tail) = (data, tail);
        } else {
            self.octets.extend_from_slice(&data);
            self.octets.extend_from_slice(tail);
        }
    }

    /// The end of a body of this length.
    pub fn end(&mut self, length: Length) {
        if length == Length::Chunked {
            match self.tail {
                [] => self.octets.extend_from_slice(b"0\r\n\r\n"),
                _ => self.tail = b"\r\n0\r\n\r\n",
            }
        }
    }

    /// What waits.
    #[cfg(any(fuzzing, test))]
    pub(crate) fn into_octets(mut self) -> Vec<u8> {
        self.settle();
        self.octets
    }

    /// Writes as much as is taken; ready when all is written.
    pub(super) fn poll_write_to<W>(&mut self, to: &mut W, context: &mut Context<'_>) -> Poll<io::Result<()>>
    where
        W: AsyncWrite + Unpin,
    {
        loop {
            if self.data.is_empty() && !self.tail.is_empty() {
                self.octets.extend_from_slice(std::mem::take(&mut self.tail));
            }
            if self.is_empty() {
                ready!(Pin::new(to).poll_flush(context))?;
                self.is_held = false;
                return Poll::Ready(Ok(()));
            }
            let octets = self.octets.get(self.written..).unwrap_or_default();
            let length = if self.data.is_empty() {
                ready!(Pin::new(&mut *to).poll_write(context, octets))?
            } else {
                let slices = [IoSlice::new(octets), IoSlice::new(&self.data)];
                ready!(Pin::new(&mut *to).poll_write_vectored(context, &slices))?
            };
            if length == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            (self.has_begun, self.is_held) = (true, true);
            let of_octets = length.min(octets.len());
            self.written = self.written.saturating_add(of_octets);
            self.data.advance(length.saturating_sub(of_octets).min(self.data.len()));
            if !self.is_kept && (self.written >= FULL || self.written == self.octets.len()) {
                self.octets.drain(..self.written);
                self.written = 0;
            }
        }
    }

    /// Long data that still waits has to stay before what comes next.
    fn settle(&mut self) {
        let (data, tail) = (std::mem::take(&mut self.data), std::mem::take(&mut self.tail));
        self.octets.extend_from_slice(&data);
        self.octets.extend_from_slice(tail);
    }

    fn status(&mut self, status: StatusCode) {
        self.octets.extend_from_slice(b"HTTP/1.1 ");
        self.octets.extend_from_slice(status.as_str().as_bytes());
        self.octets.extend_from_slice(b" ");
        self.octets.extend_from_slice(status.canonical_reason().unwrap_or_default().as_bytes());
        self.octets.extend_from_slice(b"\r\n");
    }

    /// All fields but those about the connection and the length of the body.
    fn fields(&mut self, headers: &HeaderMap) {
        for (name, value) in headers {
            if *name != CONTENT_LENGTH && *name != TRANSFER_ENCODING && *name != CONNECTION {
                self.field(name, value);
            }
        }
    }

    fn field(&mut self, name: &HeaderName, value: &HeaderValue) {
        for text in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
            self.octets.extend_from_slice(text);
        }
    }

    fn connection(&mut self, option: Option<&'static str>) {
        if let Some(option) = option {
            self.field(&CONNECTION, &HeaderValue::from_static(option));
        }
    }

    fn length(&mut self, length: Option<Length>) {
        match length {
            Some(Length::Exact(length)) => {
                let _ = write!(self.octets, "content-length: {length}\r\n");
            }
            Some(Length::Chunked) => self.octets.extend_from_slice(b"transfer-encoding: chunked\r\n"),
            Some(Length::UntilClose) | None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes a few octets at a time, or none.
    #[derive(Default)]
    struct Slow {
        taken: Vec<u8>,
        at_once: usize,
        /// How often, if not always.
        times: Option<usize>,
        /// It keeps what it has taken for itself.
        holds: bool,
    }

    impl AsyncWrite for Slow {
        fn poll_write(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            octets: &[u8],
        ) -> Poll<io::Result<usize>> {
            if let Some(times) = &mut self.times {
                if *times == 0 {
                    return Poll::Pending;
                }
                *times -= 1;
            }
            let length = octets.len().min(self.at_once);
            self.taken.extend_from_slice(&octets[..length]);
            Poll::Ready(Ok(length))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            if self.holds { Poll::Pending } else { Poll::Ready(Ok(())) }
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    fn written(output: &mut Output, at_once: usize) -> Vec<u8> {
        let mut slow = Slow { at_once, ..Slow::default() };
        let mut context = Context::from_waker(std::task::Waker::noop());
        assert!(matches!(output.poll_write_to(&mut slow, &mut context), Poll::Ready(Ok(()))));
        assert!(output.is_done());
        slow.taken
    }

    fn head(headers: &[(&'static str, &'static str)]) -> response::Parts {
        let mut head = http::Response::new(()).into_parts().0;
        for (name, value) in headers {
            head.headers.append(*name, HeaderValue::from_static(value));
        }
        head
    }

    #[test]
    fn an_answer_tells_one_length() {
        let date = Date::new();
        let wrong =
            [("content-length", "7"), ("transfer-encoding", "gzip"), ("connection", "x"), ("date", "D")];
        for (length, connection, expected) in [
            (Some(Length::Exact(3)), None, "date: D\r\ncontent-length: 3\r\n"),
            (Some(Length::Chunked), None, "date: D\r\ntransfer-encoding: chunked\r\n"),
            (Some(Length::UntilClose), Some("close"), "date: D\r\nconnection: close\r\n"),
            (None, None, "date: D\r\ncontent-length: 7\r\n"),
        ] {
            let mut output = Output::default();
            output.answer(&head(&wrong), length, connection, &date);
            let text = String::from_utf8(written(&mut output, 1000)).unwrap();
            assert_eq!(text, format!("HTTP/1.1 200 OK\r\n{expected}\r\n"));
        }
    }

    #[test]
    fn data_long_and_short_stays_in_order() {
        let long = Bytes::from(vec![b'x'; COPIED + 1]);
        for at_once in [1, 7, 5000, usize::MAX] {
            let mut output = Output::default();
            output.data(Bytes::from_static(b"ab"), Length::Chunked);
            output.data(Bytes::new(), Length::Chunked);
            output.data(long.clone(), Length::Chunked);
            assert!(output.is_full());
            output.data(Bytes::from_static(b"cd"), Length::Chunked);
            output.data(long.clone(), Length::Chunked);
            output.end(Length::Chunked);
            let x = "x".repeat(COPIED + 1);
            let expected = format!("2\r\nab\r\n4001\r\n{x}\r\n2\r\ncd\r\n4001\r\n{x}\r\n0\r\n\r\n");
            assert!(written(&mut output, at_once) == expected.as_bytes(), "{at_once} at once");
        }
        let mut output = Output::default();
        output.data(Bytes::from_static(b"ab"), Length::Exact(2));
        output.end(Length::Exact(2));
        assert_eq!(written(&mut output, 1), b"ab");
    }

    #[test]
    fn what_was_written_can_be_written_again() {
        let mut output = Output::default();
        output.request(&http::Request::get("/a").body(()).unwrap().into_parts().0, Length::NONE, None);
        assert!(!output.has_begun());
        let first = written(&mut output, 3);
        assert!(output.has_begun());
        output.rewind();
        assert!(!output.has_begun());
        assert_eq!(written(&mut output, 1000), first);
    }

    #[test]
    fn what_was_written_of_the_rest_is_forgotten() {
        let mut output = Output::default();
        let mut context = Context::from_waker(std::task::Waker::noop());
        for _ in 0..1000 {
            // A taker that never quite catches up.
            let mut slow = Slow { at_once: 10_000, times: Some(1), ..Slow::default() };
            while !output.is_full() {
                output.data(Bytes::from(vec![b'x'; 10_000]), Length::Exact(1 << 40));
            }
            assert!(output.poll_write_to(&mut slow, &mut context).is_pending());
        }
        assert!(output.octets.len() < 2 * FULL + 10_000, "{}", output.octets.len());
    }

    #[test]
    fn what_is_held_back_is_not_done() {
        let mut output = Output::default();
        output.go_on();
        let mut context = Context::from_waker(std::task::Waker::noop());
        let mut slow = Slow { at_once: 1000, holds: true, ..Slow::default() };
        assert!(output.poll_write_to(&mut slow, &mut context).is_pending() && !output.is_done());
        slow.holds = false;
        assert!(output.poll_write_to(&mut slow, &mut context).is_ready() && output.is_done());
    }

    #[test]
    fn who_takes_nothing_is_gone() {
        let mut output = Output::default();
        output.last_word(StatusCode::BAD_REQUEST);
        let mut context = Context::from_waker(std::task::Waker::noop());
        let result = output.poll_write_to(&mut Slow::default(), &mut context);
        assert!(matches!(result, Poll::Ready(Err(_))));
    }
}
