//! The threads that serve requests.

use std::{
    net::{SocketAddr, TcpListener},
    rc::Rc,
    sync::Arc,
    thread::{self, JoinHandle},
    time::Duration,
};

use tokio::{runtime::Builder, sync::watch, task::LocalSet, time::interval};
use tracing::debug;

use super::StartError;
use crate::{
    gateway::{Control, Worker},
    proxy::{Connector, Sender},
    server::{self, Limits},
    telemetry::{AccessLog, Lines},
};

/// How often idle upstream connections are looked through.
const SWEEP: Duration = Duration::from_secs(10);

/// Starts a thread for each worker; returns the addresses that they listen on.
pub(super) fn start(
    control: &Arc<Control>,
    stopped: &watch::Receiver<bool>,
) -> Result<(Vec<SocketAddr>, Vec<JoinHandle<()>>), StartError> {
    let config = control.config();
    let log = if config.access_log { AccessLog::stdout()? } else { AccessLog::off() };
    let connector = Connector::new(config.upstream_timeouts.connect)
        .map_err(|e| StartError::Setup(format!("TLS to upstreams: {e}")))?;
    let trusted = Arc::new(config.trusted_proxies.clone());
    let limits = Limits { header: config.header_timeout, shutdown: config.shutdown_timeout };
    let (mut addresses, mut sockets) = (Vec::new(), Vec::new());
    sockets.resize_with(config.workers, Vec::new);
    for address in &config.listen {
        let bound = server::bind(*address, config.workers);
        let (address, bound) = bound.map_err(|source| StartError::Listen { address: *address, source })?;
        addresses.push(address);
        sockets.iter_mut().zip(bound).for_each(|(own, socket)| own.push(socket));
    }
    let mut workers = Vec::with_capacity(sockets.len());
    for (n, sockets) in sockets.into_iter().enumerate() {
        let (published, stopped) = (control.published(), stopped.clone());
        let (connector, log, trusted) = (connector.clone(), log.clone(), Arc::clone(&trusted));
        let response = config.upstream_timeouts.response;
        let run = move || {
            let sender = Sender::new(connector, response);
            let worker = Rc::new(Worker::new(published, sender, trusted, Lines::new(log)));
            run_worker(&worker, sockets, limits, &stopped);
        };
        workers.push(thread::Builder::new().name(format!("claimgate-{n}")).spawn(run)?);
    }
    Ok((addresses, workers))
}

fn run_worker(
    worker: &Rc<Worker>,
    sockets: Vec<TcpListener>,
    limits: Limits,
    stopped: &watch::Receiver<bool>,
) {
    let runtime = match Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return tracing::error!(%error, "a worker cannot run"),
    };
    let tasks = LocalSet::new();
    tasks.block_on(&runtime, async {
        let sweeper = tokio::task::spawn_local(sweep(Rc::clone(worker)));
        let mut listeners = tokio::task::JoinSet::new();
        for socket in sockets {
            match tokio::net::TcpListener::from_std(socket) {
                Ok(listener) => {
                    let worker = Rc::clone(worker);
                    let service = move |peer, request| Rc::clone(&worker).serve(peer, request);
                    listeners.spawn_local(server::serve(listener, service, limits, stopped.clone()));
                }
                Err(error) => tracing::error!(%error, "a worker cannot listen"),
            }
        }
        while listeners.join_next().await.is_some() {}
        sweeper.abort();
        worker.lines().flush();
    });
    debug!("worker stopped");
}

async fn sweep(worker: Rc<Worker>) {
    let mut ticks = interval(SWEEP);
    loop {
        ticks.tick().await;
        worker.sender().sweep();
    }
}
