//! The access log: one line of JSON for each request.
//!
//! Lines are written by hand into a buffer of the worker, which goes to a writing thread in batches.
//! When standard output does not keep up, batches are dropped and counted: the log must not hold up
//! requests.

use std::{
    cell::RefCell,
    fmt::Write as _,
    io::{self, Write as _},
    net::IpAddr,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, SyncSender, channel, sync_channel},
    },
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use http::{Method, StatusCode};
use tokio::{
    sync::Notify,
    time::{Instant, sleep},
};
use tracing::warn;

use crate::refusal::Reason;

/// Octets after which a buffer goes to the writer at once.
const BATCH: usize = 16 * 1024;
/// How long a line waits for others.
const PATIENCE: Duration = Duration::from_millis(50);
/// Batches that may wait for the writer.
const WAITING: usize = 256;

/// The writer of the access log.
#[derive(Clone, Debug)]
pub struct AccessLog {
    batches: Option<SyncSender<String>>,
    dropped: Arc<AtomicU64>,
}

/// The thread that writes the lines.
#[derive(Debug)]
pub struct Writer {
    ended: Receiver<()>,
}

impl Writer {
    /// Waits until everything is written, or for this long: nobody may be reading any more.
    pub fn wait(&self, limit: Duration) {
        // Nothing is ever sent: an error is the end of the thread, or of our patience.
        let _ = self.ended.recv_timeout(limit);
    }
}

/// One request.
#[derive(Debug)]
struct Record {
    /// When it came.
    time: SystemTime,
    /// Who asked.
    client: IpAddr,
    /// What for.
    method: Method,
    /// The path that was asked for, without its query.
    path: String,
    /// The id of the API that answered.
    api: Option<Arc<str>>,
    /// The status of the answer.
    status: u16,
    /// Why it was refused.
    refused: Option<Reason>,
    /// From the head of the request to the head of the answer; to its end, if it became a WebSocket.
    duration: Duration,
    /// What has gone through it then, in octets: from the client, and to it.
    carried: Option<(u64, u64)>,
}

impl AccessLog {
    /// Writes to standard output, on a thread that ends after the last line of the last clone.
    ///
    /// # Errors
    /// When the writing thread cannot be started.
    pub fn stdout() -> io::Result<(Self, Writer)> {
        let (batches, received) = sync_channel(WAITING);
        let (ending, ended) = channel::<()>();
        let dropped = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&dropped);
        thread::Builder::new().name("claimgate-log".into()).spawn(move || {
            write_all(&received, &counter);
            drop(ending);
        })?;
        Ok((Self { batches: Some(batches), dropped }, Writer { ended }))
    }

    /// Writes nothing.
    #[must_use]
    pub fn off() -> Self {
        Self { batches: None, dropped: Arc::default() }
    }

    /// Whether lines are written.
    #[must_use]
    pub const fn is_on(&self) -> bool {
        self.batches.is_some()
    }

    fn send(&self, batch: String) {
        if let Some(batches) = &self.batches
            && batches.try_send(batch).is_err()
        {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn write_all(batches: &Receiver<String>, dropped: &AtomicU64) {
    let mut told = 0;
    for batch in batches {
        // Somebody closed standard output: there is nobody to tell.
        let _ = io::stdout().lock().write_all(batch.as_bytes());
        let dropped = dropped.load(Ordering::Relaxed);
        if dropped > told {
            warn!(
                batches = dropped - told,
                "standard output does not keep up, lines of the access log were dropped"
            );
            told = dropped;
        }
    }
}

/// The buffer of one worker.
#[derive(Clone, Debug)]
pub struct Lines(Rc<Buffer>);

#[derive(Debug)]
struct Buffer {
    log: AccessLog,
    text: RefCell<String>,
    /// There are lines that wait for others.
    waiting: Notify,
}

/// The line of one request. It is written when it is dropped, whatever became of the request: with
/// what it was told, else as that of a client that left.
#[derive(Debug)]
pub struct Line {
    lines: Lines,
    record: Record,
    began: Instant,
}

impl Lines {
    /// An empty buffer before this writer.
    #[must_use]
    pub fn new(log: AccessLog) -> Self {
        Self(Rc::new(Buffer { log, text: RefCell::default(), waiting: Notify::new() }))
    }

    /// Begins the line of a request; nothing if none are written.
    #[must_use]
    pub fn begin(&self, client: IpAddr, method: &Method, path: &str) -> Option<Line> {
        self.0.log.is_on().then(|| Line {
            lines: self.clone(),
            record: Record {
                time: SystemTime::now(),
                client,
                method: method.clone(),
                path: path.to_owned(),
                api: None,
                status: Reason::ClientClosed.row().status,
                refused: Some(Reason::ClientClosed),
                duration: Duration::ZERO,
                carried: None,
            },
            began: Instant::now(),
        })
    }

    fn write(&self, record: &Record) {
        let mut text = self.0.text.borrow_mut();
        record.write(&mut text);
        if text.len() >= BATCH {
            self.0.log.send(std::mem::take(&mut text));
        } else {
            self.0.waiting.notify_one();
        }
    }

    /// Hands lines on that have waited for others long enough. Never ends.
    pub async fn flush_in_time(&self) {
        loop {
            self.0.waiting.notified().await;
            sleep(PATIENCE).await;
            self.flush();
        }
    }

    /// Hands what is there to the writer.
    pub fn flush(&self) {
        let text = std::mem::take(&mut *self.0.text.borrow_mut());
        if !text.is_empty() {
            self.0.log.send(text);
        }
    }
}

impl Line {
    /// Which API answers.
    pub fn is_of(&mut self, api: &Arc<str>) {
        self.record.api = Some(Arc::clone(api));
    }

    /// The answer has begun, be it a refusal or not.
    pub const fn is_answered(&mut self, status: StatusCode, refused: Option<Reason>) {
        self.record.status = status.as_u16();
        self.record.refused = refused;
    }

    /// The request became a WebSocket, through which so many octets have come from the client and gone to
    /// it.
    pub const fn has_carried(&mut self, received: u64, sent: u64) {
        self.record.carried = Some((received, sent));
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.record.duration = self.began.elapsed();
        self.lines.write(&self.record);
    }
}

impl Record {
    fn write(&self, line: &mut String) {
        line.push_str("{\"time\":\"");
        write_time(self.time, line);
        // Writing to a text cannot fail.
        let _ = write!(line, "\",\"client\":\"{}\",\"method\":", self.client);
        write_text(self.method.as_str(), line);
        line.push_str(",\"path\":");
        write_text(&self.path, line);
        if let Some(api) = &self.api {
            line.push_str(",\"api\":");
            write_text(api, line);
        }
        let _ = write!(line, ",\"status\":{}", self.status);
        if let Some(reason) = self.refused {
            let _ = write!(line, ",\"reason\":\"{}\"", reason.code());
        }
        let _ = write!(line, ",\"duration_us\":{}", self.duration.as_micros());
        if let Some((received, sent)) = self.carried {
            let _ = write!(line, ",\"bytes_received\":{received},\"bytes_sent\":{sent}");
        }
        line.push_str("}\n");
    }
}

/// A text in JSON; everything outside visible ASCII is escaped, so that a line stays a line and a
/// terminal shows what there is.
fn write_text(text: &str, line: &mut String) {
    line.push('"');
    for c in text.chars() {
        match c {
            '"' => line.push_str("\\\""),
            '\\' => line.push_str("\\\\"),
            ' '..='~' => line.push(c),
            _ => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    let _ = write!(line, "\\u{unit:04x}");
                }
            }
        }
    }
    line.push('"');
}

/// A time as RFC 3339 writes it, in UTC with milliseconds.
pub(super) fn write_time(time: SystemTime, line: &mut String) {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (days, second) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    // Days to a date, after Howard Hinnant's algorithm: years begin in March, so that the odd day is
    // the last of its year.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    let millis = since.subsec_millis();
    let _ = write!(line, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z");
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn a_line() {
        let record = Record {
            time: UNIX_EPOCH + Duration::from_millis(1_795_219_200_007),
            client: Ipv4Addr::LOCALHOST.into(),
            method: Method::GET,
            path: "/a\"b\\\n\u{1b}[31mé😀".into(),
            api: Some("orders".into()),
            status: 401,
            refused: Some(Reason::TokenExpired),
            duration: Duration::from_micros(1234),
            carried: Some((5, 6)),
        };
        let mut line = String::new();
        record.write(&mut line);
        assert_eq!(
            line,
            "{\"time\":\"2026-11-21T00:00:00.007Z\",\"client\":\"127.0.0.1\",\"method\":\"GET\",\
             \"path\":\"/a\\\"b\\\\\\u000a\\u001b[31m\\u00e9\\ud83d\\ude00\",\"api\":\"orders\",\"status\":401,\
             \"reason\":\"token_expired\",\"duration_us\":1234,\"bytes_received\":5,\"bytes_sent\":6}\n"
        );
        let parsed: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(parsed["path"], record.path);
    }

    #[test]
    fn dates() {
        for (seconds, date) in [
            (0, "1970-01-01T00:00:00"),
            (951_782_400, "2000-02-29T00:00:00"),
            (4_102_444_799, "2099-12-31T23:59:59"),
        ] {
            let mut text = String::new();
            write_time(UNIX_EPOCH + Duration::from_secs(seconds), &mut text);
            assert_eq!(text, format!("{date}.000Z"));
        }
    }
}
