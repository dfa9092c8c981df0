//! One connection to an upstream.

use std::{
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};

use super::{ProxyError, client_body::ClientBody, pool::Shelf, transport::Transport};
use crate::http1::{Alarm, Length, Output, Wire};

/// A connection. It ends when this is dropped, whatever is still on its way over it: an upstream that takes
/// nothing more must not keep it, and with it the client's connection.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) wire: Wire<Transport>,
    pub(super) output: Output,
    pub(super) alarm: Alarm,
    /// The upstream takes nothing more.
    is_refused: bool,
    /// Where it waits for the next request.
    shelf: Rc<Shelf>,
}

impl Connection {
    pub(super) fn new(transport: Transport, shelf: Rc<Shelf>) -> Self {
        Self {
            wire: Wire::new(transport),
            output: Output::default(),
            alarm: Alarm::default(),
            is_refused: false,
            shelf,
        }
    }

    /// Waits for the next request, for so long. One that did not take all of this one takes no other.
    pub(super) fn give_back(self: Box<Self>, limit: Duration) {
        if self.output.is_done() && !self.is_refused {
            Rc::clone(&self.shelf).put(self, limit);
        }
    }

    /// Sends on, as far as the client and the upstream go along. An upstream that takes nothing more may have
    /// answered already.
    ///
    /// # Errors
    /// What is wrong with the body.
    pub(super) fn poll_send(
        &mut self,
        body: &mut ClientBody,
        length: Length,
        context: &mut Context<'_>,
    ) -> Result<(), ProxyError> {
        while !self.is_refused {
            let is_awaited = self.poll_body(body, length, context)?.is_pending();
            match self.wire.poll_write(&mut self.output, context) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(_)) => self.is_refused = true,
                Poll::Pending => break,
            }
            if is_awaited || body.has_ended() {
                break;
            }
        }
        Ok(())
    }

    /// Takes as much of the body as there is room for; pending when the client takes its time.
    fn poll_body(
        &mut self,
        body: &mut ClientBody,
        length: Length,
        context: &mut Context<'_>,
    ) -> Result<Poll<()>, ProxyError> {
        while !self.output.is_full() && !body.has_ended() {
            match body.poll_data(context) {
                Poll::Ready(Some(data)) => self.output.data(data?, length),
                Poll::Ready(None) => self.output.end(length),
                Poll::Pending => return Ok(Poll::Pending),
            }
        }
        Ok(Poll::Ready(()))
    }
}
