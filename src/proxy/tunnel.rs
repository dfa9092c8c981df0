//! Connections that speak another protocol than HTTP, after both sides have agreed on it.

use std::{cell::Cell, cell::RefCell, fmt, io, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, ReadHalf, WriteHalf, split},
    sync::watch,
    task::JoinSet,
    time::{Instant, sleep_until, timeout},
};

use super::websocket::Handshake;
use crate::http1::{OnUpgrade, Upgraded};

/// What is read from one side before the other side has taken it: 16 KiB for both.
const BUFFER: usize = 8 * 1024;
/// How long a side may take to hear that the connection ends.
const GOODBYE: Duration = Duration::from_secs(1);

/// Two connections that are joined once the client has heard that the upstream agrees.
pub struct Tunnel {
    client: OnUpgrade,
    upstream: Upgraded,
}

/// How much has gone through a tunnel, in octets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// From the client.
    pub received: u64,
    /// To the client.
    pub sent: u64,
}

/// The open tunnels of one worker.
#[derive(Debug)]
pub struct Tunnels {
    open: RefCell<JoinSet<()>>,
    stop: watch::Receiver<bool>,
    idle: Duration,
}

/// What both directions share.
struct Watch {
    /// When something went through last.
    moved: Cell<Instant>,
    received: Cell<u64>,
    sent: Cell<u64>,
}

impl fmt::Debug for Tunnel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tunnel").finish_non_exhaustive()
    }
}

impl Tunnel {
    pub(super) fn new(handshake: Handshake, upstream: Upgraded) -> Self {
        Self { client: handshake.client, upstream }
    }
}

impl Tunnels {
    /// Tunnels that end when nothing went through for `idle`, and when `stop` turns true.
    #[must_use]
    pub fn new(stop: watch::Receiver<bool>, idle: Duration) -> Self {
        Self { open: RefCell::default(), stop, idle }
    }

    /// Joins both sides, until one of them ends, or `end` has come; tells how much has gone through then.
    pub fn open(&self, tunnel: Tunnel, end: Option<Instant>, told: impl FnOnce(Traffic) + 'static) {
        let mut open = self.open.borrow_mut();
        // Those that have ended need not be remembered.
        while open.try_join_next().is_some() {}
        let (stop, idle) = (self.stop.clone(), self.idle);
        open.spawn_local(async move { told(run(tunnel, idle, end, stop).await) });
    }

    /// Waits until all have ended, once they were told to stop.
    pub async fn closed(&self) {
        let mut open = std::mem::take(&mut *self.open.borrow_mut());
        while open.join_next().await.is_some() {}
    }
}

async fn run(
    tunnel: Tunnel,
    idle: Duration,
    end: Option<Instant>,
    mut stop: watch::Receiver<bool>,
) -> Traffic {
    let watch = Watch { moved: Cell::new(Instant::now()), received: Cell::default(), sent: Cell::default() };
    let Tunnel { client, upstream } = tunnel;
    // A client that left before it heard of it leaves nothing to join.
    let Some(client) = client.wait().await else { return Traffic::default() };
    let (mut from_client, mut to_client) = split(client);
    let (mut from_upstream, mut to_upstream) = split(upstream);
    let both = async {
        tokio::try_join!(
            pump(&mut from_client, &mut to_upstream, &watch, &watch.received),
            pump(&mut from_upstream, &mut to_client, &watch, &watch.sent),
        )
    };
    tokio::select! {
        _ = both => {}
        () = silence(&watch, idle) => {}
        () = at(end) => {}
        _ = stop.wait_for(|stop| *stop) => {}
    }
    // Whoever still listens hears that it is over.
    let _ = timeout(GOODBYE, async { tokio::join!(to_client.shutdown(), to_upstream.shutdown()) }).await;
    Traffic { received: watch.received.get(), sent: watch.sent.get() }
}

/// Hands on what one side sends, as fast as the other one takes it; its end as well.
async fn pump(
    from: &mut ReadHalf<Upgraded>,
    to: &mut WriteHalf<Upgraded>,
    watch: &Watch,
    count: &Cell<u64>,
) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    loop {
        let length = from.read(&mut buffer).await?;
        let Some(read) = buffer.get(..length).filter(|read| !read.is_empty()) else {
            return to.shutdown().await;
        };
        watch.moved.set(Instant::now());
        to.write_all(read).await?;
        to.flush().await?;
        watch.moved.set(Instant::now());
        count.set(count.get().saturating_add(read.len() as u64));
    }
}

/// Ends when nothing went through for so long.
async fn silence(watch: &Watch, idle: Duration) {
    while let Some(end) = watch.moved.get().checked_add(idle) {
        if end <= Instant::now() {
            return;
        }
        sleep_until(end).await;
    }
    // So far away that it never comes.
    std::future::pending::<()>().await;
}

async fn at(end: Option<Instant>) {
    match end {
        Some(end) => sleep_until(end).await,
        None => std::future::pending().await,
    }
}
