//! One client: its connection, and the request that is being answered.

use std::{
    cell::RefCell,
    error::Error,
    future::poll_fn,
    io,
    pin::pin,
    rc::Rc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http::{Response, StatusCode, response::Parts};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::Instant,
};

use crate::http1::{
    Alarm, AnswerBody, Date, Decoded, Decoder, Length, Output, RequestHead, Upgraded, Upload, UploadError,
    Wire,
};

/// The largest head of a request in octets: room for a token of 48 KiB.
const MAX_HEAD: usize = 64 * 1024;

/// How much of a body is read that nobody wanted, for the client to hear the answer before its connection ends.
const LINGER: usize = 1024 * 1024;
/// And for how long.
const LINGER_TIME: Duration = Duration::from_secs(2);

/// A connection, and how far the request on it has come.
pub(super) struct Client<S>(RefCell<Channel<S>>);

struct Channel<S> {
    wire: Wire<S>,
    output: Output,
    /// Reads the body of the request.
    decoder: Decoder,
    /// The client waits until it is told to send the body.
    must_go_on: bool,
    /// It is being told.
    is_told: bool,
    /// The body has come, to its end.
    is_over: bool,
    alarm: Alarm,
}

/// What comes next over a connection.
pub(super) enum Next {
    /// A request.
    Request(Box<RequestHead>),
    /// Nothing more.
    End,
    /// Something that is no request.
    Refused(StatusCode),
}

/// How an answer is written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Manner {
    /// How long its body is; nothing if it has none, whatever its headers say.
    pub(super) length: Option<Length>,
    /// What it says about the connection.
    pub(super) connection: Option<&'static str>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    pub(super) fn new(stream: S) -> Self {
        Self(RefCell::new(Channel {
            wire: Wire::new(stream),
            output: Output::default(),
            decoder: Decoder::new(Length::NONE),
            must_go_on: false,
            is_told: false,
            is_over: true,
            alarm: Alarm::default(),
        }))
    }

    /// Waits for a request, for `patience` at most, or less as soon as `hurry` says so.
    pub(super) async fn next(&self, patience: Duration, hurry: impl Fn() -> Option<Duration>) -> Next {
        self.0.borrow_mut().alarm.set(Instant::now().checked_add(patience));
        let mut is_hurried = false;
        poll_fn(|context| {
            let channel = &mut *self.0.borrow_mut();
            if !is_hurried && let Some(grace) = hurry() {
                is_hurried = true;
                channel.alarm.set(Instant::now().checked_add(grace.min(patience)));
            }
            channel.poll_next(context)
        })
        .await
    }

    /// Begins with a request.
    pub(super) fn begin(&self, length: Length, expects_continue: bool) {
        let channel = &mut *self.0.borrow_mut();
        channel.decoder = Decoder::new(length);
        channel.is_over = length == Length::NONE;
        channel.must_go_on = expects_continue && !channel.is_over;
    }

    /// Whether the whole request has come. What is there of it already is taken, if nobody else will.
    pub(super) fn has_come(self: &Rc<Self>) -> bool {
        let channel = &mut *self.0.borrow_mut();
        while !channel.is_over && Rc::strong_count(self) == 1 {
            match channel.decoder.decode(&mut channel.wire.input, false) {
                Ok(Decoded::Data(_)) => {}
                Ok(Decoded::End) => channel.is_over = true,
                Ok(Decoded::More) | Err(_) => return false,
            }
        }
        channel.is_over
    }

    /// Ready when the client has left, as far as that can be seen while its request is being answered.
    pub(super) fn poll_left(&self, context: &mut Context<'_>) -> Poll<()> {
        self.0.borrow_mut().poll_left(context)
    }

    /// Writes an answer.
    pub(super) async fn answer<B>(&self, answer: Response<B>, manner: Manner, date: &Date) -> io::Result<()>
    where
        B: AnswerBody,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let (head, body) = answer.into_parts();
        self.0.borrow_mut().begin_answer(&head, manner, date);
        drop(head);
        let mut body = pin!(body);
        let Some(length) = manner.length else { return self.flush().await };
        let mut end = None;
        poll_fn(|context| {
            loop {
                let was_full = self.0.borrow().output.is_full();
                if !was_full
                    && end.is_none()
                    && let Poll::Ready(frame) = body.as_mut().poll_frame(context)
                {
                    let output = &mut self.0.borrow_mut().output;
                    match frame {
                        Some(Ok(frame)) => {
                            if let Ok(data) = frame.into_data() {
                                output.data(data, length);
                            }
                        }
                        // What has come is worth something without its end.
                        Some(Err(error)) => end = Some(Err(io::Error::other(error))),
                        None => {
                            output.end(length);
                            end = Some(Ok(()));
                        }
                    }
                    continue;
                }
                if was_full {
                    body.as_mut().poll_aside(context);
                }
                let channel = &mut *self.0.borrow_mut();
                ready!(channel.poll_flush(context))?;
                if let Some(end) = end.take() {
                    return Poll::Ready(end);
                }
                if !was_full {
                    // More comes when it comes, if there is still somebody to take it.
                    return channel.poll_left(context).map(|()| Err(io::ErrorKind::BrokenPipe.into()));
                }
            }
        })
        .await
    }

    /// Writes a last answer to what is no request.
    pub(super) async fn refuse(&self, status: StatusCode) {
        self.0.borrow_mut().output.last_word(status);
        if self.flush().await.is_ok() {
            self.linger().await;
        }
    }

    async fn flush(&self) -> io::Result<()> {
        poll_fn(|context| self.0.borrow_mut().poll_flush(context)).await
    }

    /// Ends the connection. What still comes is read for a moment: if it were refused, the client might lose the
    /// answer (RFC 9112 section 9.6).
    pub(super) async fn linger(&self) {
        let mut read = 0_usize;
        self.0.borrow_mut().alarm.set(Instant::now().checked_add(LINGER_TIME));
        poll_fn(|context| {
            let Channel { wire, alarm, .. } = &mut *self.0.borrow_mut();
            if wire.poll_shutdown(context).is_pending() {
                return alarm.poll(context);
            }
            loop {
                wire.input.clear();
                match wire.poll_fill(context) {
                    Poll::Ready(Ok(length)) if length > 0 && read < LINGER => {
                        read = read.saturating_add(length);
                    }
                    Poll::Ready(_) => return Poll::Ready(()),
                    Poll::Pending => return alarm.poll(context),
                }
            }
        })
        .await;
    }

    /// The connection, once nobody else uses it.
    pub(super) fn into_upgraded(self: Rc<Self>) -> Option<Upgraded>
    where
        S: 'static,
    {
        Rc::into_inner(self).map(|client| client.0.into_inner().wire.into_upgraded())
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Channel<S> {
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Next> {
        loop {
            match self
                .wire
                .take_head(MAX_HEAD)
                .and_then(|head| head.as_ref().map(RequestHead::parse).transpose())
            {
                Ok(Some(head)) => return Poll::Ready(Next::Request(Box::new(head))),
                Err(error) => return Poll::Ready(Next::Refused(error.status())),
                Ok(None) => {}
            }
            match self.wire.poll_fill(context) {
                Poll::Ready(Ok(length)) if length > 0 => {}
                Poll::Ready(_) => return Poll::Ready(Next::End),
                Poll::Pending => break,
            }
        }
        self.wire.rest();
        self.output.rest();
        ready!(self.alarm.poll(context));
        Poll::Ready(if self.wire.input.is_empty() {
            Next::End
        } else {
            Next::Refused(StatusCode::REQUEST_TIMEOUT)
        })
    }

    fn begin_answer(&mut self, head: &Parts, manner: Manner, date: &Date) {
        // Behind an answer it would be taken for one.
        self.must_go_on = false;
        self.output.answer(head, manner.length, manner.connection, date);
    }

    fn poll_left(&mut self, context: &mut Context<'_>) -> Poll<()> {
        // As long as there is a body, or another request, somebody is there.
        while self.is_over && self.wire.input.is_empty() {
            match self.wire.poll_fill(context) {
                Poll::Ready(Ok(length)) if length > 0 => {}
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => break,
            }
        }
        Poll::Pending
    }

    fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.wire.poll_write(&mut self.output, context))?;
        self.output.clear();
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Upload for Client<S> {
    fn poll_data(&self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, UploadError>>> {
        let channel = &mut *self.0.borrow_mut();
        loop {
            let is_all = channel.wire.is_at_end();
            match channel.decoder.decode(&mut channel.wire.input, is_all) {
                Ok(Decoded::Data(data)) => {
                    channel.is_over = channel.decoder.is_at_end();
                    return Poll::Ready(Some(Ok(data)));
                }
                Ok(Decoded::End) => {
                    channel.is_over = true;
                    return Poll::Ready(None);
                }
                Ok(Decoded::More) => {}
                Err(_) if is_all => return Poll::Ready(Some(Err(UploadError::Left))),
                Err(_) => return Poll::Ready(Some(Err(UploadError::Malformed))),
            }
            if std::mem::take(&mut channel.must_go_on) {
                channel.output.go_on();
                channel.is_told = true;
            }
            let told = if channel.is_told { channel.poll_flush(context) } else { Poll::Ready(Ok(())) };
            if ready!(told).is_err() {
                return Poll::Ready(Some(Err(UploadError::Left)));
            }
            channel.is_told = false;
            if ready!(channel.wire.poll_fill(context)).is_err() {
                return Poll::Ready(Some(Err(UploadError::Left)));
            }
        }
    }

    fn is_at_end(&self) -> bool {
        let channel = self.0.borrow();
        channel.is_over || channel.decoder.is_at_end()
    }

    fn left(&self) -> Option<u64> {
        let channel = self.0.borrow();
        if channel.is_over { Some(0) } else { channel.decoder.left() }
    }
}
