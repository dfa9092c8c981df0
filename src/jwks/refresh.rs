//! The task that keeps one remote source fresh.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use tokio::time::timeout;
use tracing::{info, warn};

use super::{
    address::NamedBy,
    discovery,
    fetch::{Document, Fetch, FetchError, Wanted},
    remote::{Endpoint, Location},
    source::{Remote, Source},
};
use crate::jwt::{KeySet, parse_jwks};

/// The longest pause between tries of a source that has no keys, and of one that has.
const MAX_BACK_OFF: Duration = Duration::from_secs(10);
const MAX_BACK_OFF_WITH_KEYS: Duration = Duration::from_secs(60);
const FIRST_BACK_OFF: Duration = Duration::from_millis(500);
/// A set is used at least this long, however soon its server calls it stale.
const MIN_TIME_TO_LIVE: Duration = Duration::from_secs(30);

/// Fetches what is at `endpoint` again and again until the source is gone.
pub(super) async fn keep_fresh(source: Weak<Source>, fetch: Arc<dyn Fetch>, endpoint: Endpoint) {
    let Some(wake) = source.upgrade().and_then(|source| Some(source.as_remote()?.wake.clone())) else {
        return;
    };
    // An older source may have left its set.
    let mut history = History { was_good: has_keys(&source), failures: 0, told: None };
    while let Some(strong) = source.upgrade() {
        let Some(remote) = strong.as_remote() else { return };
        let number = remote.begin();
        let pause = refresh(&strong, remote, &*fetch, &endpoint, &mut history).await;
        remote.end(number, pause);
        drop(strong);
        // Either the pause ends or somebody wants the source now.
        let _ = timeout(pause, wake.notified()).await;
    }
}

struct History {
    was_good: bool,
    failures: u32,
    /// The reason of the last failure: one that goes on is told once, another one anew.
    told: Option<String>,
}

fn has_keys(source: &Weak<Source>) -> bool {
    source.upgrade().is_some_and(|source| source.keys().is_some())
}

/// One fetch; gives the pause before the next.
async fn refresh(
    source: &Source,
    remote: &Remote,
    fetch: &dyn Fetch,
    endpoint: &Endpoint,
    history: &mut History,
) -> Duration {
    let options = &endpoint.options;
    let document = timeout(options.timeout, document(endpoint, fetch)).await;
    let result = match document.unwrap_or_else(|_| Err(FetchError::new("did not answer in time"))) {
        Ok(Document { body, max_age }) => usable(&body, options.max_keys).map(|keys| (keys, max_age)),
        Err(error) => Err(error.into()),
    };
    match result {
        Ok((keys, max_age)) => {
            good(source, keys, history);
            remote.note_success();
            pause_after(remote.time_to_live(), max_age)
        }
        Err(fault) => {
            let failing = remote.note_fault(fault.error.to_string());
            let left = options.max_stale.saturating_sub(failing);
            failed(source, fault, left, history)
        }
    }
}

/// What is at the place of a source.
async fn document(endpoint: &Endpoint, fetch: &dyn Fetch) -> Result<Document, FetchError> {
    let options = &endpoint.options;
    match &endpoint.location {
        Location::KeySet(url) => fetch.fetch(Wanted { url, named_by: NamedBy::Operator, options }).await,
        Location::Issuer(issuer) => {
            let (url, named_by) = discovery::key_set_of(issuer, fetch, options).await?;
            fetch.fetch(Wanted { url: &url, named_by, options }).await
        }
    }
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

fn usable(body: &[u8], max_keys: usize) -> Result<KeySet, Fault> {
    let keys = parse_jwks(body, max_keys)
        .map_err(|e| FetchError::new(format!("the answer is not a key set: {e}")))?;
    if !keys.keys().is_empty() {
        return Ok(keys);
    }
    Err(match keys.rejected().first() {
        Some(first) => {
            let error = FetchError::new(format!("the key set has no usable key ({first})"));
            Fault { error, unusable: Some(Box::new(keys)) }
        }
        None => FetchError::new("the key set is empty").into(),
    })
}

fn good(source: &Source, keys: KeySet, history: &mut History) {
    let is_known = source.keys().as_ref().is_some_and(|old| old.same_keys(&keys));
    if history.failures > 0 || !history.was_good {
        info!(source = source.name(), keys = keys.keys().len(), "key set in use");
    } else if !is_known {
        info!(source = source.name(), keys = keys.keys().len(), "key set has changed");
    }
    if let Some(first) = keys.rejected().first()
        && !is_known
    {
        let (rejected, usable) = (keys.rejected().len(), keys.keys().len());
        warn!(source = source.name(), rejected, usable, %first, "keys of the set cannot be used and are left out");
    }
    source.replace(Some(keys));
    *history = History { was_good: true, failures: 0, told: None };
}

/// How long a good set is used before the next one is fetched: what the server says, but neither so
/// short that it is flooded nor longer than what is configured, for a key that was withdrawn must end.
fn pause_after(time_to_live: Duration, max_age: Option<Duration>) -> Duration {
    let shortest = MIN_TIME_TO_LIVE.min(time_to_live);
    let time = max_age.map_or(time_to_live, |max_age| max_age.clamp(shortest, time_to_live));
    // Ahead of its end, and not all sources at once.
    time.mul_f64(0.9 - 0.1 * fastrand::f64())
}

/// `left` is how much longer a good set is kept.
fn failed(
    source: &Source,
    Fault { error, unusable }: Fault,
    left: Duration,
    history: &mut History,
) -> Duration {
    let is_too_old = left.is_zero();
    let keys_kept = history.was_good && source.keys().is_some() && !is_too_old;
    let reason = error.to_string();
    if history.told.as_ref() != Some(&reason) {
        warn!(source = source.name(), error = %reason, keys_kept, "key set cannot be used");
        history.told = Some(reason);
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
    let longest = if keys_kept { MAX_BACK_OFF_WITH_KEYS } else { MAX_BACK_OFF };
    let doubled = FIRST_BACK_OFF.saturating_mul(1 << history.failures.min(7));
    let pause = doubled.min(longest).mul_f64(0.5 + 0.5 * fastrand::f64());
    // The end of a set that is kept is not put off by a pause.
    if keys_kept { pause.min(left.max(FIRST_BACK_OFF)) } else { pause }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_may_ask_for_fresher_sets() {
        let secs = Duration::from_secs;
        for (time_to_live, max_age, expected) in [
            (secs(240), None, secs(240)),
            (secs(240), Some(secs(60)), secs(60)),
            (secs(240), Some(secs(86_400)), secs(240)),
            (secs(240), Some(secs(0)), secs(30)),
            (secs(240), Some(Duration::MAX), secs(240)),
            (secs(10), Some(secs(0)), secs(10)),
            (secs(10), Some(secs(60)), secs(10)),
        ] {
            let pause = pause_after(time_to_live, max_age);
            let range = expected.mul_f64(0.8)..=expected.mul_f64(0.9);
            assert!(range.contains(&pause), "{time_to_live:?} {max_age:?} {pause:?}");
        }
    }
}
