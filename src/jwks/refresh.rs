//! The task that keeps one remote source fresh.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use tokio::time::{Instant, timeout};
use tracing::{debug, info, warn};

use super::{
    RemoteSource,
    fetch::{Fetch, FetchError},
    source::{MAX_AGE, Remote, Source},
};
use crate::jwt::{KeySet, parse_jwks};

/// The longest pause between tries while a source fails.
const MAX_BACK_OFF: Duration = Duration::from_secs(10);
const FIRST_BACK_OFF: Duration = Duration::from_millis(500);

/// Fetches `url` again and again until the source is gone.
pub(super) async fn keep_fresh(source: Weak<Source>, fetch: Arc<dyn Fetch>, url: String) {
    let Some(wake) = source.upgrade().and_then(|source| Some(source.as_remote()?.wake.clone())) else {
        return;
    };
    let mut history = History::default();
    while let Some(strong) = source.upgrade() {
        let pause = refresh(&strong, &*fetch, &url, &mut history).await;
        drop(strong);
        // Either the pause ends or somebody wants the source now.
        let _ = timeout(pause, wake.notified()).await;
    }
}

#[derive(Default)]
struct History {
    was_good: bool,
    failing_since: Option<Instant>,
    failures: u32,
}

/// One fetch; gives the pause before the next.
async fn refresh(source: &Source, fetch: &dyn Fetch, url: &str, history: &mut History) -> Duration {
    let number = source.as_remote().map(Remote::begin);
    let result = match fetch.fetch(url).await {
        Ok(body) => usable(&body),
        Err(error) => Err(error.into()),
    };
    let pause = match result {
        Ok(keys) => good(source, keys, history),
        Err(fault) => failed(source, fault, history),
    };
    if let (Some(remote), Some(number)) = (source.as_remote(), number) {
        remote.end(number);
    }
    pause
}

/// Why a fetch brought no set that can be used.
struct Fault {
    error: FetchError,
    /// A set whose keys all cannot be used.
    unusable: Option<Box<KeySet>>,
}

impl From<FetchError> for Fault {
    fn from(error: FetchError) -> Self {
        Self { error, unusable: None }
    }
}

fn usable(body: &[u8]) -> Result<KeySet, Fault> {
    let keys = parse_jwks(body).map_err(|e| FetchError(format!("the answer is not a key set: {e}")))?;
    if !keys.keys().is_empty() {
        return Ok(keys);
    }
    Err(match keys.rejected().first() {
        Some(first) => {
            let error = FetchError(format!("the key set has no usable key ({first})"));
            Fault { error, unusable: Some(Box::new(keys)) }
        }
        None => FetchError("the key set is empty".into()).into(),
    })
}

fn good(source: &Source, keys: KeySet, history: &mut History) -> Duration {
    if history.failures > 0 || !history.was_good {
        info!(source = source.name(), keys = keys.keys().len(), "key set in use");
    }
    if let Some(first) = keys.rejected().first()
        && !source.keys().as_ref().is_some_and(|old| old.same_keys(&keys))
    {
        let (rejected, usable) = (keys.rejected().len(), keys.keys().len());
        warn!(source = source.name(), rejected, usable, %first, "keys of the set cannot be used and are left out");
    }
    source.replace(Some(keys));
    *history = History { was_good: true, ..History::default() };
    let time_to_live = source.as_remote().map_or(RemoteSource::DEFAULT_TIME_TO_LIVE, Remote::time_to_live);
    // Ahead of the end of the time to live, and not all sources at once.
    time_to_live.mul_f64(0.9 - 0.1 * fastrand::f64())
}

fn failed(source: &Source, Fault { error, unusable }: Fault, history: &mut History) -> Duration {
    let is_too_old = history.failing_since.get_or_insert_with(Instant::now).elapsed() >= MAX_AGE;
    let keys_kept = history.was_good && source.keys().is_some() && !is_too_old;
    if history.failures == 0 {
        warn!(source = source.name(), %error, keys_kept, "key set cannot be used");
    } else {
        debug!(source = source.name(), %error, failures = history.failures, "key set still cannot be used");
    }
    if history.was_good && is_too_old && source.keys().is_some() {
        warn!(source = source.name(), "the last good key set is too old and no longer used");
        source.replace(None);
    }
    // The provider has said what it signs with, and we can check none of it: its tokens are refused
    // for good, not put off.
    if !history.was_good && unusable.is_some() {
        source.replace(unusable.map(|set| *set));
    }
    history.failures = history.failures.saturating_add(1);
    let doubled = FIRST_BACK_OFF.saturating_mul(1 << history.failures.min(5));
    doubled.min(MAX_BACK_OFF).mul_f64(0.5 + 0.5 * fastrand::f64())
}
