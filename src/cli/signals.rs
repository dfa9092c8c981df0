//! What the process is told from outside.

use std::{
    io, process,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, Sender, channel},
    },
    thread,
    time::{Duration, Instant},
};

use tokio::{
    runtime::Builder,
    signal::unix::{SignalKind, signal},
};

/// Signals in this time are one wish: a process and its group may both be told.
const ONE_WISH: Duration = Duration::from_secs(1);

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// SIGTERM, SIGINT.
    End,
    /// SIGHUP.
    Reload,
}

/// The signals that are listened to, from its making on. Until something is served a wish to end is
/// granted at once, and so is a second one later: somebody does not want to wait.
#[derive(Debug)]
pub(super) struct Signals {
    wishes: Receiver<Wish>,
    is_serving: Arc<AtomicBool>,
}

impl Signals {
    pub(super) fn new() -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_io().build()?;
        let entered = runtime.enter();
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut hangup = signal(SignalKind::hangup())?;
        drop(entered);
        let (sender, wishes) = channel();
        let is_serving = Arc::new(AtomicBool::new(false));
        let serving = Arc::clone(&is_serving);
        thread::Builder::new().name("claimgate-signals".into()).spawn(move || {
            runtime.block_on(async {
                let mut ending = None;
                loop {
                    let wish = tokio::select! {
                        _ = terminate.recv() => Wish::End,
                        _ = interrupt.recv() => Wish::End,
                        _ = hangup.recv() => Wish::Reload,
                    };
                    heard(wish, &mut ending, &serving, &sender);
                }
            });
        })?;
        Ok(Self { wishes, is_serving })
    }

    /// From here on requests are served, which are finished before the end.
    pub(super) fn serving(&self) {
        self.is_serving.store(true, Ordering::Release);
    }

    /// Waits for the next one.
    pub(super) fn next(&self) -> Wish {
        // The thread that sends never ends.
        self.wishes.recv().unwrap_or(Wish::End)
    }

    /// Waits until somebody wants the process to end.
    pub(super) fn wait_for_end(&self) {
        while self.next() != Wish::End {}
    }
}

#[expect(clippy::exit, reason = "what holds the process up is what it is not to wait for")]
fn heard(wish: Wish, ending: &mut Option<Instant>, is_serving: &AtomicBool, wishes: &Sender<Wish>) {
    if wish == Wish::End {
        if !is_serving.load(Ordering::Acquire) {
            process::exit(0);
        }
        // Nothing is written: whoever reads no output would hold this up.
        if ending.get_or_insert_with(Instant::now).elapsed() > ONE_WISH {
            process::exit(1);
        }
    }
    // Nobody listens any more while the process ends.
    let _ = wishes.send(wish);
}
