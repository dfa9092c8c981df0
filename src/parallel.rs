//! Work on many things that have nothing to do with each other, on all cores.

use std::{
    panic::resume_unwind,
    thread::{Builder, available_parallelism, scope},
};

/// For fewer things than this another thread is not worth its while.
const LEAST: usize = 64;

/// What becomes of each of these things, in their order. Returns when all is done; the thread that asks works
/// as well, and must be one that may be busy for a while. Where the system gives no other threads it does it alone.
pub(crate) fn map<T: Sync, R: Send>(things: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let threads = available_parallelism().map_or(1, usize::from).min(things.len() / LEAST).max(1);
    share(threads, Builder::new, things, work)
}

fn share<T: Sync, R: Send>(
    threads: usize,
    thread: impl Fn() -> Builder,
    things: &[T],
    work: impl Fn(&T) -> R + Sync,
) -> Vec<R> {
    let mut shares = things.chunks(things.len().div_ceil(threads).max(1));
    let own = shares.next().unwrap_or_default();
    let do_share = &|share: &[T]| share.iter().map(&work).collect::<Vec<R>>();
    scope(|scope| {
        let begin = |share| thread().spawn_scoped(scope, move || do_share(share)).map_err(|_| share);
        let others: Vec<_> = shares.map(begin).collect();
        let mut done = do_share(own);
        done.reserve(things.len().saturating_sub(done.len()));
        for other in others {
            done.extend(match other {
                Ok(thread) => thread.join().unwrap_or_else(|panic| resume_unwind(panic)),
                Err(share) => do_share(share),
            });
        }
        done
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_done_in_order() {
        for many in [0, 1, LEAST - 1, LEAST, 2 * LEAST, 1000 * LEAST + 1] {
            let things: Vec<usize> = (0..many).collect();
            assert_eq!(map(&things, |n| n * 2), things.iter().map(|n| n * 2).collect::<Vec<_>>(), "{many}");
        }
    }

    #[test]
    fn without_threads_it_is_done_all_the_same() {
        let things: Vec<usize> = (0..10).collect();
        // No machine has so much memory for the stack of a thread.
        let thread = || Builder::new().stack_size(1 << 60);
        assert!(thread().spawn(|| ()).is_err());
        assert_eq!(share(4, thread, &things, |n| n * 2), things.iter().map(|n| n * 2).collect::<Vec<_>>());
    }
}
