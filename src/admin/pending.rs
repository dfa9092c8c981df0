//! Calls that change something and have not been written down yet: the gateway does not end before they are.

use std::{sync::Arc, time::Duration};

use tokio::{sync::watch, time::timeout};

/// How long they are waited for at the end.
const LAST_CHANGES: Duration = Duration::from_secs(10);

/// How many there are.
#[derive(Clone, Debug, Default)]
pub(super) struct Pending(Arc<watch::Sender<usize>>);

/// One of them.
#[derive(Debug)]
pub(super) struct Begun(Pending);

impl Pending {
    /// One more, until what is returned is dropped.
    pub(super) fn begin(&self) -> Begun {
        self.0.send_modify(|number| *number = number.saturating_add(1));
        Begun(self.clone())
    }

    /// Waits until there are none, or it takes too long.
    pub(super) async fn ended(&self) {
        let ended = timeout(LAST_CHANGES, self.0.subscribe().wait_for(|number| *number == 0)).await.is_ok();
        if !ended {
            tracing::warn!("a change of the control API has not ended; the gateway ends all the same");
        }
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        self.0.0.send_modify(|number| *number = number.saturating_sub(1));
    }
}
