//! What can be done to a running gateway.

use std::{
    collections::BTreeSet,
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use arc_swap::ArcSwap;
use tokio::{runtime::Handle, task::spawn_blocking, time::sleep};
use tracing::{error, info, warn};

use super::{
    compile::{KeySourceInUse, Snapshot},
    documents::{Documents, Parsed},
    explain::{Explanation, Scene},
    key_figures,
    limit::Gate,
    peers::{Errand, Peers, Untold},
    question::{Question, QuestionError},
    redis_figures,
    references::References,
    reload::Told,
    watched::Files,
};
use crate::{
    api_keys::{ApiKeys, SharedSecret, Sharing},
    auth::VerifiedTokens,
    config::{Config, KeyStore},
    document::{Finding, Findings, Severity},
    jwks::Registry,
    limits::{Ledger, Limiter},
    redis::{Link, Redis},
    secrets::Values,
    telemetry::{Counters, Exposition, Metrics},
};

/// How long the first requests wait for keys that are not there yet.
const PREFETCH: Duration = Duration::from_secs(3);
/// How often it is looked whether an old snapshot is used still.
const RETIRING: Duration = Duration::from_secs(1);
/// How long the control API waits for keys that it was told to fetch again.
const REFETCH: Duration = Duration::from_secs(10);

/// The shared state of a gateway.
#[derive(Debug)]
pub struct Control {
    config: ArcSwap<Config>,
    registry: Registry,
    verified: Arc<VerifiedTokens>,
    /// What has been counted; it does not change with the documents.
    ledger: Arc<Ledger>,
    redis: Option<Arc<Redis>>,
    /// What leads to Redis from the thread that serves no requests.
    link: Option<Arc<Link>>,
    pub(super) peers: Option<Peers>,
    api_keys: Arc<ApiKeys>,
    published: Arc<ArcSwap<Snapshot>>,
    metrics: Arc<Metrics>,
    ready: AtomicBool,
    /// Held while documents are read or compiled, so that an older state of them cannot replace a newer one.
    loaded: Mutex<Loaded>,
    pub(super) references: References,
    /// What is served, as it is written.
    served: ArcSwap<Documents>,
    pub(super) reloads: Told,
    /// The files that were read last.
    watched: Mutex<Files>,
}

/// What the snapshot that is served was compiled from.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) documents: Arc<Documents>,
    pub(super) values: Values,
    /// Newer values that could not be used.
    pub(super) refused: Option<Values>,
    /// The APIs that the control API has taken away since; they are served still.
    pub(super) removed: BTreeSet<String>,
}

impl Control {
    /// Compiles the documents for the first time; waits a moment for their keys.
    pub(crate) async fn new(config: Config, registry: Registry) -> (Option<Self>, Findings) {
        let verified = Arc::new(VerifiedTokens::default());
        let ledger = Arc::new(Ledger::new(Instant::now(), config.on_redis_failure));
        let (time, began) = (SystemTime::now(), Instant::now());
        let files = Files::now(&config, &[]);
        let documents = Documents::read(&config);
        let values = config.secrets.values();
        let (mut parsed, mut findings) = documents.resolve(&config, &values).await;
        let redis = config.redis.clone().zip(parsed.as_ref()).map(|(settings, parsed)| {
            let redis = Redis::new(settings, parsed.redis_passwords.clone());
            Arc::new(redis)
        });
        let link = redis.as_ref().map(Redis::link);
        let peers = link.clone().map(Peers::new);
        let secret = parsed.as_mut().and_then(|parsed| parsed.keys_secret.take());
        let api_keys = api_keys(&config, secret, peers.as_ref(), &mut findings).map(Arc::new);
        let (Some(api_keys), Some(parsed)) = (api_keys, parsed) else { return (None, findings) };
        let snapshot = Snapshot::compile(parsed, &config, &registry, &verified, &api_keys);
        Registry::prefetch(snapshot.sources(None), PREFETCH).await;
        info!(apis = snapshot.len(), "definitions loaded");
        let published = Arc::new(ArcSwap::from_pointee(snapshot));
        let references = References::default();
        references.replace(values.written());
        let values_files = values.files();
        let documents = Arc::new(documents);
        let served = ArcSwap::new(Arc::clone(&documents));
        let loaded = Mutex::new(Loaded { documents, values, refused: None, removed: BTreeSet::new() });
        let ready = AtomicBool::new(false);
        let watched = Mutex::new(files.with_references(&values_files));
        let reloads = Told::started(time, began.elapsed(), findings.clone().sorted());
        let control = Self {
            config: ArcSwap::from_pointee(config),
            registry,
            verified,
            ledger,
            redis,
            link,
            peers,
            api_keys,
            published,
            metrics: Arc::default(),
            ready,
            loaded,
            references,
            served,
            reloads,
            watched,
        };
        (Some(control), findings)
    }

    /// The configuration.
    #[must_use]
    pub fn config(&self) -> Arc<Config> {
        self.config.load_full()
    }

    pub(super) fn configure(&self, config: Arc<Config>) {
        self.config.store(config);
    }

    /// The API keys that are stored.
    #[must_use]
    pub fn api_keys(&self) -> &Arc<ApiKeys> {
        &self.api_keys
    }

    /// What is served, as it is written.
    #[must_use]
    pub fn served(&self) -> Arc<Documents> {
        self.served.load_full()
    }

    pub(super) fn serve_documents(&self, documents: Arc<Documents>) {
        self.served.store(documents);
    }

    pub(super) fn watched(&self) -> MutexGuard<'_, Files> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The folders in which something happens when a file becomes another one that was loaded.
    pub(crate) fn watched_folders(&self) -> BTreeSet<PathBuf> {
        self.watched().folders(&self.config())
    }

    pub(crate) fn published(&self) -> Arc<ArcSwap<Snapshot>> {
        Arc::clone(&self.published)
    }

    /// The limiter of a thread with this link. All count together.
    pub(crate) fn limiter(&self, link: Option<Arc<Link>>) -> Limiter {
        Limiter::new(Arc::clone(&self.ledger), link)
    }

    /// What leads to Redis from the thread that serves no requests.
    pub(crate) fn link(&self) -> Option<Arc<Link>> {
        self.link.clone()
    }

    /// What this node shares with others, if it does.
    #[must_use]
    pub const fn redis(&self) -> Option<&Arc<Redis>> {
        self.redis.as_ref()
    }

    /// Reads what nodes share for the first time, if there is anything and it can be had soon: the first requests
    /// are answered like all others.
    pub(crate) async fn join(&self) {
        let Some(link) = self.link() else { return };
        let own = Arc::clone(&link);
        tokio::spawn(async move { own.keep().await });
        link.tried().await;
        self.api_keys.read_again().await;
    }

    /// Asks all other nodes to do something; there are none without Redis.
    ///
    /// # Errors
    /// [`Untold`].
    pub async fn ask_others(&self, errand: &Errand) -> Result<(), Untold> {
        match &self.peers {
            Some(peers) => peers.ask(errand).await,
            None => Ok(()),
        }
    }

    /// The counters of one more worker.
    pub(crate) fn counters(&self) -> Counters {
        Counters::new(Arc::clone(&self.metrics))
    }

    /// What was counted, and how the keys are doing, as text for Prometheus.
    #[must_use]
    pub fn exposition(&self) -> String {
        let mut exposition = Exposition::default();
        self.metrics.write(&mut exposition);
        self.reloads.write(&mut exposition);
        key_figures::write(&self.published.load().sources(None), &mut exposition);
        if let Some(redis) = &self.redis {
            redis_figures::write(redis, &self.limiter(None).shared_figures(), &mut exposition);
        }
        if let Some(peers) = &self.peers {
            peers.write(&mut exposition);
        }
        exposition.into_text()
    }

    /// What would become of a request, and why, as things are now. Nothing is counted.
    ///
    /// # Errors
    /// [`QuestionError`] when the question is about no API that is served.
    pub async fn explain(&self, question: &Question) -> Result<Explanation, QuestionError> {
        let snapshot = self.published.load_full();
        let (gate, config) = (Gate::new(self.limiter(self.link())), self.config());
        let trusted_proxies = &config.trusted_proxies;
        Scene { snapshot: &snapshot, gate, trusted_proxies }.explain(question).await
    }

    /// Whether requests are served.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Acquire)
    }

    pub(crate) fn set_ready(&self, ready: bool) {
        self.ready.store(ready, Ordering::Release);
    }

    /// Serves what the documents say, once their keys are there or a moment has passed; tells how many
    /// APIs that are.
    pub(super) fn publish(&self, parsed: Parsed, tasks: &Handle) -> usize {
        if let Some(redis) = &self.redis {
            redis.set_passwords(parsed.redis_passwords.clone());
        }
        let snapshot =
            Snapshot::compile(parsed, &self.config(), &self.registry, &self.verified, &self.api_keys);
        tasks.block_on(Registry::prefetch(snapshot.sources(None), PREFETCH));
        let apis = snapshot.len();
        let old = self.published.swap(Arc::new(snapshot));
        tasks.spawn(retire(old));
        apis
    }

    pub(super) fn loaded(&self) -> MutexGuard<'_, Loaded> {
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The key sources of one API, or of all; nothing if no such API is served.
    #[must_use]
    pub fn key_sources(&self, api: Option<&str>) -> Option<Vec<KeySourceInUse>> {
        self.published.load().key_sources(api)
    }

    /// Fetches the keys of one API, or of all, again, and waits a moment for them.
    pub async fn refetch_keys(&self, api: Option<&str>) {
        let sources = self.published.load().sources(api);
        Registry::refetch(&sources, REFETCH).await;
    }
}

/// The API keys of the configuration.
fn api_keys(
    config: &Config,
    secret: Option<SharedSecret>,
    peers: Option<&Peers>,
    findings: &mut Findings,
) -> Option<ApiKeys> {
    match &config.keys {
        KeyStore::File(file) => ApiKeys::load(file.as_deref(), findings),
        KeyStore::Redis { max_stale, .. } => Some(ApiKeys::shared(Sharing {
            channel: Arc::clone(&peers?.channel),
            secret: secret?,
            max_stale: *max_stale,
            tasks: Handle::current(),
        })),
    }
}

/// Drops a snapshot when nobody else uses it any more. That takes a while where there are many APIs, in which no
/// worker may stand still.
async fn retire(snapshot: Arc<Snapshot>) {
    while Arc::strong_count(&snapshot) > 1 {
        sleep(RETIRING).await;
    }
    spawn_blocking(move || drop(snapshot));
}

/// Writes findings to the log.
pub(crate) fn tell(findings: &[Finding]) {
    for finding in findings {
        let text = finding.to_string();
        match finding.severity {
            Severity::Error => error!("{}", text.trim_start_matches("error: ")),
            Severity::Warning => warn!("{}", text.trim_start_matches("warning: ")),
        }
    }
}
