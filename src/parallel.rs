//! Work on many things that have nothing to do with each other, on all cores.

use std::{
    panic::resume_unwind,
    thread::{available_parallelism, scope},
};

/// For fewer things than this another thread is not worth its while.
const LEAST: usize = 64;

/// What becomes of each of these things, in their order. Returns when all is done; the thread that asks works
/// as well, and must be one that may be busy for a while.
pub(crate) fn map<T: Sync, R: Send>(things: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let threads = available_parallelism().map_or(1, usize::from).min(things.len() / LEAST).max(1);
    let mut shares = things.chunks(things.len().div_ceil(threads).max(1));
    let own = shares.next().unwrap_or_default();
    let do_share = |share: &[T]| share.iter().map(&work).collect::<Vec<R>>();
    scope(|scope| {
        let others: Vec<_> = shares.map(|share| scope.spawn(|| do_share(share))).collect();
        let mut done = do_share(own);
        done.reserve(things.len().saturating_sub(done.len()));
        for other in others {
            done.extend(other.join().unwrap_or_else(|panic| resume_unwind(panic)));
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
}
