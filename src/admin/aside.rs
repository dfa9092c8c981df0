//! Work that takes long or waits for somebody, aside from the one thread of the control API.
//!
//! That thread also fetches keys, follows Redis and gives back what was counted ahead, and must not stand still. The
//! threads that may are limited too, and looking up the name of a server takes one of them: so each sort of work
//! gets a few, and no more callers wait for these than will be answered soon.

use std::sync::Arc;

use axum::{
    http::{StatusCode, header::RETRY_AFTER},
    response::{IntoResponse, Response},
};
use tokio::{sync::Semaphore, task::spawn_blocking};

use super::answer::{ended, error};

/// How many callers wait for one sort of work at most.
const MAX_WAITING: usize = 64;
/// When the others are told to come again, in seconds.
const COME_AGAIN: u32 = 1;

/// One sort of work.
#[derive(Clone, Debug)]
pub(super) struct Aside {
    /// For all who work or wait.
    places: Arc<Semaphore>,
    /// For those who work. Who has waited longest is next.
    threads: Arc<Semaphore>,
}

/// Why work was not done.
#[derive(Debug)]
pub(super) enum Undone {
    /// Too many wait already; it was not begun.
    Busy,
    /// It came to grief.
    Ended,
}

impl Aside {
    /// Work that takes so many threads at once.
    pub(super) fn on(threads: usize) -> Self {
        let places = threads.saturating_add(MAX_WAITING);
        Self { places: Arc::new(Semaphore::new(places)), threads: Arc::new(Semaphore::new(threads)) }
    }

    /// Does this as soon as it is its turn.
    ///
    /// # Errors
    /// [`Undone`].
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Undone> {
        let _place = self.places.try_acquire().map_err(|_| Undone::Busy)?;
        let thread = Arc::clone(&self.threads).acquire_owned().await.map_err(|_| Undone::Ended)?;
        let work = move || {
            // Held until it is done, whoever waits for that.
            let _thread = thread;
            work()
        };
        spawn_blocking(work).await.map_err(|_| Undone::Ended)
    }
}

impl IntoResponse for Undone {
    fn into_response(self) -> Response {
        match self {
            Self::Busy => {
                let message = "too many such requests wait already; nothing was done: send this again";
                let fields = [(RETRY_AFTER, COME_AGAIN.to_string())];
                (fields, error(StatusCode::SERVICE_UNAVAILABLE, message)).into_response()
            }
            Self::Ended => ended(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Barrier,
        atomic::{AtomicUsize, Ordering},
    };

    use tokio::{runtime::Builder, task::JoinSet};

    use super::*;

    #[test]
    fn a_few_work_and_some_wait() {
        const THREADS: usize = 2;
        let runtime = Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let aside = Aside::on(THREADS);
            // Nobody is done before the test says so.
            let (end, working, most) = (
                Arc::new(Barrier::new(THREADS + 1)),
                Arc::new(AtomicUsize::new(0)),
                Arc::new(AtomicUsize::new(0)),
            );
            let mut callers = JoinSet::new();
            for caller in 0..THREADS + MAX_WAITING {
                let (aside, end) = (aside.clone(), Arc::clone(&end));
                let (working, most) = (Arc::clone(&working), Arc::clone(&most));
                let work = move || {
                    most.fetch_max(working.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    if caller < THREADS {
                        end.wait();
                    }
                    working.fetch_sub(1, Ordering::SeqCst);
                };
                callers.spawn(async move { aside.run(work).await.is_ok() });
            }
            // All of them have come by the time somebody else is refused.
            while aside.places.available_permits() > 0 {
                tokio::task::yield_now().await;
            }
            let refused = aside.run(|| ()).await.unwrap_err().into_response();
            assert_eq!(
                (refused.status(), &refused.headers()[RETRY_AFTER]),
                (StatusCode::SERVICE_UNAVAILABLE, &"1".parse().unwrap())
            );
            end.wait();
            assert!(callers.join_all().await.into_iter().all(|is_done| is_done));
            assert_eq!(most.load(Ordering::SeqCst), THREADS);
            assert!(aside.run(|| ()).await.is_ok(), "there is room again");
            let ended = aside.run(|| panic!("on purpose")).await.unwrap_err();
            assert!(matches!(ended, Undone::Ended));
            assert_eq!(aside.threads.available_permits(), THREADS, "also after one that came to grief");
        });
    }
}
