//! The log.

use std::{
    io::{self, IsTerminal as _, Write},
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    thread,
    time::Duration,
};

use tracing_subscriber::{EnvFilter, fmt, fmt::MakeWriter};

/// Lines that may wait for the writer; more are dropped, for nobody reads them.
const WAITING: usize = 4096;
/// How long the end waits for the last lines.
const LAST_LINES: Duration = Duration::from_secs(1);

/// Writes the log to standard error, on a thread of its own: whoever does not read it holds up no
/// request. `RUST_LOG` says what is written; warnings and what operators want to know, if it does not.
///
/// What is returned waits for the last lines when it is dropped.
#[must_use = "the last lines are lost without it"]
pub fn init_log() -> LogGuard {
    let filter = EnvFilter::try_from_default_env();
    let misread = std::env::var_os("RUST_LOG").is_some_and(|text| !text.is_empty()) && filter.is_err();
    let filter = filter.unwrap_or_else(|_| EnvFilter::new("warn,claimgate=info"));
    let (lines, received) = sync_channel(WAITING);
    // Without a thread the log is lost, and nothing else.
    let _ = thread::Builder::new().name("claimgate-stderr".into()).spawn(move || write_all(&received));
    let colours = io::stderr().is_terminal();
    // A program that embeds this one has its own log.
    let _ = fmt()
        .with_env_filter(filter)
        .with_writer(Stderr(lines.clone()))
        .with_ansi(colours)
        .with_target(false)
        .try_init();
    if misread {
        tracing::warn!("RUST_LOG cannot be read and is not used; write it like claimgate=debug");
    }
    LogGuard(lines)
}

enum Message {
    Line(Vec<u8>),
    Flush(SyncSender<()>),
}

/// Waits for the last lines of the log.
#[derive(Debug)]
pub struct LogGuard(SyncSender<Message>);

impl Drop for LogGuard {
    fn drop(&mut self) {
        let (done, written) = sync_channel(1);
        // Errors mean that nobody writes any more.
        if self.0.try_send(Message::Flush(done)).is_ok() {
            let _ = written.recv_timeout(LAST_LINES);
        }
    }
}

fn write_all(received: &Receiver<Message>) {
    for message in received {
        match message {
            // Somebody closed standard error: there is nobody to tell.
            Message::Line(line) => _ = io::stderr().lock().write_all(&line),
            Message::Flush(done) => _ = done.try_send(()),
        }
    }
}

#[derive(Clone, Debug)]
struct Stderr(SyncSender<Message>);

impl Write for Stderr {
    /// Takes one whole line, as the formatter hands it over.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let _ = self.0.try_send(Message::Line(line.to_vec()));
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'w> MakeWriter<'w> for Stderr {
    type Writer = Self;

    fn make_writer(&'w self) -> Self {
        self.clone()
    }
}
