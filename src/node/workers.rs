//! The threads that serve requests.

use std::{
    net::{SocketAddr, TcpListener},
    rc::Rc,
    sync::Arc,
    thread::{self, JoinHandle},
    time::Duration,
};

use tokio::{
    runtime::{Builder, LocalOptions},
    sync::watch,
    time::{interval, timeout},
};
use tracing::debug;

use super::StartError;
use crate::{
    config::Config,
    gateway::{Control, Worker},
    proxy::{Connector, Sender, Tunnels},
    redis::{Link, Redis},
    server::{self, Limits, Plain},
    telemetry::{AccessLog, Lines, Writer},
};

/// How often a worker looks for what it holds in vain: idle upstream connections, an old snapshot.
const SWEEP: Duration = Duration::from_secs(10);
/// How long the start waits for a worker.
const TRIED: Duration = Duration::from_secs(60);
/// How long the end waits for the last lines of the access log.
const LAST_LINES: Duration = Duration::from_secs(1);

/// The threads that serve requests, and where.
#[derive(Debug)]
pub(super) struct Workers {
    pub(super) addresses: Vec<SocketAddr>,
    links: Vec<Arc<Link>>,
    threads: Vec<JoinHandle<()>>,
    access_log: Option<Writer>,
}

impl Workers {
    /// Waits until all have tried to reach what nodes share: the first requests are counted like all others.
    pub(super) async fn tried(&self) {
        for link in &self.links {
            // A thread that could not begin tries nothing.
            let _ = timeout(TRIED, link.tried()).await;
        }
    }

    /// Waits until all have ended, once they were told to.
    pub(super) fn join(self) {
        for thread in self.threads {
            // A worker that panicked has told so itself.
            let _ = thread.join();
        }
        if let Some(writer) = self.access_log {
            writer.wait(LAST_LINES);
        }
    }
}

/// Starts a thread for each worker.
pub(super) fn start(control: &Arc<Control>, stopped: &watch::Receiver<bool>) -> Result<Workers, StartError> {
    let config = control.config();
    let (log, access_log) = if config.access_log {
        let (log, writer) = AccessLog::stdout()?;
        (log, Some(writer))
    } else {
        (AccessLog::off(), None)
    };
    let connector = Connector::new(config.upstream_timeouts.connect);
    let trusted = Arc::new(config.trusted_proxies.clone());
    let limits = limits(&config);
    let (mut addresses, mut sockets) = (Vec::new(), Vec::new());
    sockets.resize_with(config.workers, Vec::new);
    for address in &config.listen {
        let bound = server::bind(*address, config.workers);
        let (address, bound) = bound.map_err(|source| StartError::Listen { address: *address, source })?;
        addresses.push(address);
        sockets.iter_mut().zip(bound).for_each(|(own, socket)| own.push(socket));
    }
    let mut links = Vec::new();
    let mut threads = Vec::with_capacity(sockets.len());
    for (n, sockets) in sockets.into_iter().enumerate() {
        let (published, stopped) = (control.published(), stopped.clone());
        let (connector, log, trusted) = (connector.clone(), log.clone(), Arc::clone(&trusted));
        let link = control.redis().map(Redis::link);
        let limiter = control.limiter(link.clone());
        let (timeouts, counters) = (config.upstream_timeouts, control.counters());
        links.extend(link.clone());
        let run = move || {
            let proxy = (Sender::new(connector, timeouts), Tunnels::new(stopped.clone(), timeouts.idle));
            let worker = Rc::new(Worker::new(published, limiter, proxy, trusted, Lines::new(log), counters));
            run_worker(&worker, link, sockets, limits, &stopped);
        };
        threads.push(thread::Builder::new().name(format!("claimgate-{n}")).spawn(run)?);
    }
    Ok(Workers { addresses, links, threads, access_log })
}

/// How long clients may take.
pub(super) const fn limits(config: &Config) -> Limits {
    Limits {
        header: config.header_timeout,
        idle: config.upstream_timeouts.idle,
        shutdown: config.shutdown_timeout,
    }
}

fn run_worker(
    worker: &Rc<Worker>,
    link: Option<Arc<Link>>,
    sockets: Vec<TcpListener>,
    limits: Limits,
    stopped: &watch::Receiver<bool>,
) {
    let runtime = match Builder::new_current_thread().enable_all().build_local(LocalOptions::default()) {
        Ok(runtime) => runtime,
        Err(error) => return tracing::error!(%error, "a worker cannot run"),
    };
    runtime.block_on(async {
        if let Some(link) = link {
            let keeper = Arc::clone(&link);
            tokio::task::spawn_local(async move { keeper.keep().await });
            link.tried().await;
        }
        let sweeper = tokio::task::spawn_local(sweep(Rc::clone(worker)));
        let lines = worker.lines().clone();
        let flusher = tokio::task::spawn_local(async move { lines.flush_in_time().await });
        let mut listeners = tokio::task::JoinSet::new();
        for socket in sockets {
            match tokio::net::TcpListener::from_std(socket) {
                Ok(listener) => {
                    let worker = Rc::clone(worker);
                    let service = move |peer, request| Rc::clone(&worker).serve(peer, request);
                    listeners.spawn_local(server::serve(listener, Plain, service, limits, stopped.clone()));
                }
                Err(error) => tracing::error!(%error, "a worker cannot listen"),
            }
        }
        while listeners.join_next().await.is_some() {}
        worker.tunnels().closed().await;
        sweeper.abort();
        flusher.abort();
    });
    // What is left of connections writes its lines now.
    drop(runtime);
    worker.lines().flush();
    debug!("worker stopped");
}

async fn sweep(worker: Rc<Worker>) {
    let mut ticks = interval(SWEEP);
    loop {
        ticks.tick().await;
        worker.sender().sweep();
        worker.catch_up();
    }
}
