//! An answer, as it comes from the upstream.

use std::{
    collections::VecDeque,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use tokio::time::Instant;

use super::{BodyError, client_body::ClientBody, connection::Connection};
use crate::http1::{Decoded, Decoder, Length};

/// An answer whose head has come, and what is left of its request.
#[derive(Debug)]
pub(super) struct Download {
    /// Nothing when the answer has ended.
    pub(super) connection: Option<Box<Connection>>,
    pub(super) decoder: Decoder,
    /// How long the connection may wait for another request; not at all if it ends with this answer.
    pub(super) idle_time: Option<Duration>,
    /// What the client may still be sending.
    pub(super) request: ClientBody,
    pub(super) request_length: Length,
    /// The client broke it off.
    pub(super) is_request_broken: bool,
    pub(super) patience: Patience,
}

/// How long the upstream may be silent. Most answers come with their head, and no clock is read.
#[derive(Debug)]
pub(super) struct Patience {
    limit: Duration,
    /// When the whole answer must have come.
    end: Option<Instant>,
    /// Since when nothing has come, while nothing comes.
    since: Option<Instant>,
}

impl Patience {
    /// At most `limit` at a time, and at most until `end`.
    pub(super) const fn new(limit: Duration, end: Option<Instant>) -> Self {
        Self { limit, end, since: None }
    }

    /// Whether the time for the whole answer is over, whatever still comes.
    fn is_over(&self) -> bool {
        self.end.is_some_and(|end| end <= Instant::now())
    }

    /// When the silence ends. It is none as long as the `request` moves.
    fn end_of_silence(&mut self, request: &ClientBody) -> Option<Instant> {
        let since = *self.since.get_or_insert_with(Instant::now);
        let since = if request.has_ended() { since } else { since.max(request.moved()) };
        since.checked_add(self.limit).into_iter().chain(self.end).min()
    }
}

impl Download {
    /// The whole answer, if it has come; else what there is of it.
    pub(super) fn take_whole(&mut self) -> Result<Bytes, VecDeque<Bytes>> {
        let mut begin = VecDeque::new();
        while self.request.has_ended() && begin.len() < 2 {
            match self.decode() {
                Ok(Decoded::Data(data)) => begin.push_back(data),
                Ok(Decoded::End) => {
                    self.finish();
                    break;
                }
                // What is wrong is found again, behind what has come.
                Ok(Decoded::More) | Err(_) => break,
            }
        }
        if self.is_at_end() && begin.len() < 2 {
            Ok(begin.pop_front().unwrap_or_default())
        } else {
            Err(begin)
        }
    }

    /// Reads on, and sends on. Ready with nothing at the end.
    pub(super) fn poll_data(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        let result = self.try_poll_data(context);
        if matches!(result, Poll::Ready(Some(Err(_)))) {
            // Whatever is still on its way belongs to nobody.
            self.connection = None;
        }
        result
    }

    fn try_poll_data(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        if self.connection.is_some() && self.patience.is_over() {
            return Poll::Ready(Some(Err(BodyError::Late)));
        }
        loop {
            if self.connection.is_none() {
                return Poll::Ready(None);
            }
            self.poll_send(context);
            if self.is_request_broken {
                return Poll::Ready(Some(Err(BodyError::Request)));
            }
            match self.decode() {
                Err(error) => return Poll::Ready(Some(Err(error))),
                Ok(Decoded::Data(data)) => {
                    self.patience.since = None;
                    if self.decoder.is_at_end() {
                        self.finish();
                    }
                    return Poll::Ready(Some(Ok(data)));
                }
                Ok(Decoded::End) => self.finish(),
                Ok(Decoded::More) => match self.poll_fill(context) {
                    Poll::Ready(true) => {}
                    Poll::Ready(false) => return Poll::Ready(Some(Err(BodyError::Broken))),
                    Poll::Pending => return self.poll_silence(context).map(|()| Some(Err(BodyError::Late))),
                },
            }
        }
    }

    /// Sends on what is left of the request.
    pub(super) fn poll_send(&mut self, context: &mut Context<'_>) {
        let Some(connection) = &mut self.connection else { return };
        let is_sent = self.request.has_ended() && connection.output.is_done();
        if !is_sent && !self.is_request_broken {
            self.is_request_broken =
                connection.poll_send(&mut self.request, self.request_length, context).is_err();
        }
    }

    fn decode(&mut self) -> Result<Decoded, BodyError> {
        let Some(connection) = &mut self.connection else { return Ok(Decoded::End) };
        let is_all = connection.wire.is_at_end();
        self.decoder.decode(&mut connection.wire.input, is_all).map_err(|_| BodyError::Broken)
    }

    /// Reads more; whether the connection still stands. Its end may be that of the answer.
    fn poll_fill(&mut self, context: &mut Context<'_>) -> Poll<bool> {
        match &mut self.connection {
            Some(connection) => connection.wire.poll_fill(context).map(|read| read.is_ok()),
            None => Poll::Ready(false),
        }
    }

    /// Nothing has come. Ready when that has lasted for too long.
    fn poll_silence(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let Some(connection) = &mut self.connection else { return Poll::Ready(()) };
        connection.alarm.set(self.patience.end_of_silence(&self.request));
        connection.alarm.poll(context)
    }

    /// The answer has ended. A connection on which the request is still being sent cannot take another one, and
    /// is closed.
    fn finish(&mut self) {
        if let (Some(connection), Some(idle_time)) = (self.connection.take(), self.idle_time)
            && self.request.has_ended()
        {
            connection.give_back(idle_time);
        }
    }

    pub(super) const fn is_at_end(&self) -> bool {
        self.connection.is_none()
    }

    /// How many octets are still to come, if that is known.
    pub(super) const fn left(&self) -> Option<u64> {
        if self.is_at_end() { Some(0) } else { self.decoder.left() }
    }
}
