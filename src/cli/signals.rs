//! What the process is told from outside.

use std::{io, process, thread};

use tokio::{
    runtime::{Builder, Runtime},
    signal::unix::{Signal, SignalKind, signal},
};

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// SIGTERM, SIGINT.
    End,
    /// SIGHUP.
    Reload,
}

/// The signals that are listened to, from its making on.
#[derive(Debug)]
pub(super) struct Signals {
    runtime: Runtime,
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    pub(super) fn new() -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_io().build()?;
        let entered = runtime.enter();
        let (terminate, interrupt, hangup) = (
            signal(SignalKind::terminate())?,
            signal(SignalKind::interrupt())?,
            signal(SignalKind::hangup())?,
        );
        drop(entered);
        Ok(Self { runtime, terminate, interrupt, hangup })
    }

    /// Waits for the next one.
    pub(super) fn next(&mut self) -> Wish {
        let Self { runtime, terminate, interrupt, hangup } = self;
        runtime.block_on(async {
            tokio::select! {
                _ = terminate.recv() => Wish::End,
                _ = interrupt.recv() => Wish::End,
                _ = hangup.recv() => Wish::Reload,
            }
        })
    }

    /// Waits until somebody wants the process to end.
    pub(super) fn wait_for_end(&mut self) {
        while self.next() != Wish::End {}
    }

    /// From here on a signal ends the process at once: somebody does not want to wait.
    pub(super) fn end_at_next(mut self) {
        thread::spawn(move || {
            self.wait_for_end();
            eprintln!("error: told to end again; requests in flight are cut off");
            process::exit(1);
        });
    }
}
