//! Time limits that are nearly always met.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use tokio::time::{Instant, Sleep, sleep_until};

/// A moment by which something must have happened.
///
/// To move it costs nothing: the timer behind it is only touched when it rings, or must ring earlier than it
/// would. One of a connection therefore rings once in the time of a limit, however many requests there are.
#[derive(Debug, Default)]
pub struct Alarm {
    end: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Alarm {
    /// Moves the end; nothing for none.
    pub const fn set(&mut self, end: Option<Instant>) {
        self.end = end;
    }

    /// Ready when the time is over.
    pub fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let Some(end) = self.end else { return Poll::Pending };
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(end)));
        if end < timer.deadline() {
            timer.as_mut().reset(end);
        }
        while timer.as_mut().poll(context).is_ready() {
            if end <= Instant::now() {
                return Poll::Ready(());
            }
            timer.as_mut().reset(end);
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use std::{future::poll_fn, time::Duration};

    use tokio::time::timeout;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_rings_at_the_last_end_that_was_set() {
        let begin = Instant::now();
        let after = |seconds| Some(begin + Duration::from_secs(seconds));
        let mut alarm = Alarm::default();
        for (ends, rings) in [(&[5][..], 5), (&[20, 10], 10), (&[15, 40, 30], 30)] {
            for end in ends {
                alarm.set(after(*end));
                let once = timeout(Duration::ZERO, poll_fn(|context| alarm.poll(context))).await;
                assert!(once.is_err());
            }
            poll_fn(|context| alarm.poll(context)).await;
            assert_eq!(begin.elapsed().as_secs(), rings);
        }
        alarm.set(None);
        let never = timeout(Duration::from_secs(1000), poll_fn(|context| alarm.poll(context))).await;
        assert!(never.is_err());
    }
}
