//! One running gateway: its threads, from the first listener to the last request in flight.
//!
//! Requests are served by workers, one thread each, that share nothing they write to. One more thread
//! does everything else: the control API and the refreshing of keys and values.

mod explain;
mod watching;
mod workers;

use std::{
    fmt, io,
    net::{SocketAddr, TcpListener},
    sync::Arc,
    thread::{self, JoinHandle},
    time::Duration,
};

use tokio::{
    runtime::{Builder, Handle, Runtime},
    sync::watch,
    task::{LocalSet, spawn_blocking},
    time::{sleep, timeout},
};
use tracing::{error, info};

pub use explain::{ExplainError, explain};
use workers::Workers;

use crate::{
    admin,
    config::Config,
    document::Finding,
    gateway::{Cause, Control, follow, tell},
    jwks::{FetchError, HttpFetch, Registry},
    server::Limits,
};

/// How long calls of the control API may take at the end.
const CONTROL_SHUTDOWN: Duration = Duration::from_secs(1);

/// How long giving back what was counted ahead may take at the end.
const LAST_CALLS: Duration = Duration::from_secs(1);

/// A running gateway.
#[derive(Debug)]
pub struct Node {
    workers: Workers,
    admin: Option<SocketAddr>,
    control: Arc<Control>,
    stop: watch::Sender<bool>,
    /// Where what is asynchronous runs that is not a request.
    tasks: Handle,
    control_thread: (watch::Sender<bool>, JoinHandle<()>),
}

/// Why a gateway does not start.
#[derive(Debug)]
pub enum StartError {
    /// The documents have errors.
    Findings(Vec<Finding>),
    /// An address cannot be listened on.
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The system does not give what is needed.
    Setup(String),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Findings(_) => f.write_str("the documents have errors"),
            Self::Listen { address, source } => write!(f, "{address} cannot be listened on: {source}"),
            Self::Setup(reason) => write!(f, "the gateway cannot be set up: {reason}"),
        }
    }
}

impl std::error::Error for StartError {}

impl From<io::Error> for StartError {
    fn from(error: io::Error) -> Self {
        Self::Setup(error.to_string())
    }
}

impl From<FetchError> for StartError {
    fn from(error: FetchError) -> Self {
        Self::Setup(error.to_string())
    }
}

impl Node {
    /// Loads the documents and serves. Warnings go to the log.
    ///
    /// # Errors
    /// [`StartError`]; nothing is served then.
    pub fn start(config: Config) -> Result<Self, StartError> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let registry = Registry::new(Arc::new(HttpFetch::new()?), runtime.handle().clone());
        let (control, findings) = runtime.block_on(Control::new(config, registry));
        let control = Arc::new(control.ok_or_else(|| StartError::Findings(findings.clone().sorted()))?);
        tell(&findings.sorted());
        let (stop, stopped) = watch::channel(false);
        let admin = control.config().admin_listen.map(bind_admin).transpose()?;
        runtime.block_on(control.join());
        let workers = workers::start(&control, &stopped)?;
        runtime.block_on(workers.tried());
        let admin_address = admin.as_ref().map(TcpListener::local_addr).transpose()?;
        let tasks = runtime.handle().clone();
        let control_thread = start_control(runtime, &control, admin)?;
        control.set_ready(true);
        for address in &workers.addresses {
            info!("listening on http://{address}");
        }
        if let Some(address) = admin_address {
            let scheme = if control.published().load().admin_tls().is_some() { "https" } else { "http" };
            info!("control API on {scheme}://{address}");
        }
        Ok(Self { workers, admin: admin_address, control, stop, tasks, control_thread })
    }

    /// The addresses that requests come to.
    #[must_use]
    pub fn listen(&self) -> &[SocketAddr] {
        &self.workers.addresses
    }

    /// The address of the control API.
    #[must_use]
    pub const fn admin(&self) -> Option<SocketAddr> {
        self.admin
    }

    /// Reads the documents again, and serves them if they are without error. Must not be called on a
    /// thread that runs asynchronous tasks.
    ///
    /// # Errors
    /// The problems of the documents.
    pub fn reload(&self) -> Result<(), Vec<Finding>> {
        self.control.reload(Cause::Signal, &self.tasks)
    }

    /// Accepts no more, finishes what is in flight, and ends.
    pub fn stop(self) {
        self.control.set_ready(false);
        self.stop.send_replace(true);
        self.workers.join();
        let (stop, thread) = self.control_thread;
        stop.send_replace(true);
        let _ = thread.join();
    }
}

fn bind_admin(address: SocketAddr) -> Result<TcpListener, StartError> {
    let listener = TcpListener::bind(address).map_err(|source| StartError::Listen { address, source })?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// The thread of everything that is not a request: the control API, the watching of files, and the refreshing
/// of keys and values.
fn start_control(
    runtime: Runtime,
    control: &Arc<Control>,
    listener: Option<TcpListener>,
) -> io::Result<(watch::Sender<bool>, JoinHandle<()>)> {
    let (stop, mut stopped) = watch::channel(false);
    let control = Arc::clone(control);
    let run = move || {
        LocalSet::new().block_on(&runtime, async {
            if let Some(interval) = control.config().refresh_interval {
                tokio::spawn(keep_values_fresh(Arc::clone(&control), interval));
            }
            if let Some(link) = control.link() {
                let limiter = control.limiter(Some(link));
                tokio::spawn(async move { limiter.tend().await });
                tokio::spawn(follow(Arc::clone(&control)));
            }
            if let Some(interval) = control.config().watch {
                tokio::spawn(watching::files(Arc::clone(&control), interval));
            }
            if let Some(listener) = listener {
                // It ends after the last request; nobody waits as long again for it.
                let limits = Limits { shutdown: CONTROL_SHUTDOWN, ..workers::limits(&control.config()) };
                admin::serve(listener, Arc::clone(&control), Handle::current(), limits, stopped.clone())
                    .await;
            }
            // An error means that the gateway is gone: stop as well.
            let _ = stopped.wait_for(|stop| *stop).await;
            let _ = timeout(LAST_CALLS, control.limiter(control.link()).give_everything_back()).await;
        });
        runtime.shutdown_timeout(Duration::from_millis(100));
    };
    Ok((stop, thread::Builder::new().name("claimgate-control".into()).spawn(run)?))
}

/// Resolves references again and again, off the path of requests.
async fn keep_values_fresh(control: Arc<Control>, interval: Duration) {
    loop {
        // Not all nodes at once.
        sleep(interval.mul_f64(0.9 + 0.1 * fastrand::f64())).await;
        let (control, tasks) = (Arc::clone(&control), Handle::current());
        let refreshed = spawn_blocking(move || control.refresh_references(&tasks)).await;
        if let Err(error) = refreshed {
            error!(%error, "references could not be resolved again");
        }
    }
}
