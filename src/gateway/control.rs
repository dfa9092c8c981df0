//! What can be done to a running gateway.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use arc_swap::ArcSwap;
use tokio::runtime::Handle;
use tracing::{error, info, warn};

use super::{
    compile::{KeySourceInUse, Snapshot},
    documents::{Documents, Parsed},
    explain::{Explanation, Scene},
    key_figures,
    limit::Gate,
    loaded::{PREFETCH, Served, Source},
    peers::{Errand, Peers, Untold},
    question::{Question, QuestionError},
    redis_figures,
    references::References,
    reload::Told,
    turns::Turns,
    watched::Files,
};
use crate::{
    api_keys::{ApiKeys, SharedSecret, Sharing},
    auth::VerifiedTokens,
    config::{Config, KeyStore},
    document::{Finding, Findings, Severity},
    jwks::Registry,
    limits::{Ledger, Limiter},
    redis::{Credentials, Link, Redis, Settings},
    telemetry::{Counters, Exposition, Metrics},
};

/// How long the control API waits for keys that it was told to fetch again.
const REFETCH: Duration = Duration::from_secs(10);

/// The shared state of a gateway.
#[derive(Debug)]
pub struct Control {
    pub(super) shared: Shared,
    /// Nothing without Redis.
    nodes: Option<Nodes>,
    ready: AtomicBool,
    pub(super) served: Served,
    pub(super) references: References,
    pub(super) reloads: Told,
    pub(super) turns: Turns,
}

/// What lives as long as the process, whatever is loaded.
#[derive(Debug)]
pub(super) struct Shared {
    registry: Registry,
    verified: Arc<VerifiedTokens>,
    api_keys: Arc<ApiKeys>,
    /// What has been counted of limits.
    ledger: Arc<Ledger>,
    metrics: Arc<Metrics>,
}

/// What this node has in common with others.
#[derive(Debug)]
struct Nodes {
    redis: Arc<Redis>,
    /// What leads there from the thread that serves no requests.
    link: Arc<Link>,
    peers: Peers,
}

impl Shared {
    pub(super) fn compile(&self, parsed: Parsed, config: &Config) -> Snapshot {
        Snapshot::compile(parsed, config, &self.registry, &self.verified, &self.api_keys)
    }
}

impl Nodes {
    fn new(settings: Settings, credentials: Credentials) -> Self {
        let redis = Arc::new(Redis::new(settings, credentials));
        let link = redis.link();
        let peers = Peers::new(Arc::clone(&link));
        Self { redis, link, peers }
    }
}

impl Control {
    /// Compiles the documents for the first time; waits a moment for their keys.
    pub(crate) async fn new(config: Config, registry: Registry) -> (Option<Self>, Findings) {
        let (time, began) = (SystemTime::now(), Instant::now());
        let files = Files::now(&config, &[]);
        let documents = Documents::read(&config, None);
        let values = config.secrets.values();
        let (mut parsed, mut findings) = documents.resolve(&config, &values).await;
        let nodes = config.redis.clone().zip(parsed.as_ref());
        let nodes = nodes.map(|(settings, parsed)| Nodes::new(settings, parsed.redis_credentials.clone()));
        let secret = parsed.as_mut().and_then(|parsed| parsed.keys_secret.take());
        let peers = nodes.as_ref().map(|nodes| &nodes.peers);
        let api_keys = api_keys(&config, secret, peers, &mut findings).map(Arc::new);
        let (Some(api_keys), Some(parsed)) = (api_keys, parsed) else { return (None, findings) };
        let shared = Shared {
            registry,
            verified: Arc::default(),
            api_keys,
            ledger: Arc::new(Ledger::new(Instant::now(), config.on_redis_failure)),
            metrics: Arc::default(),
        };
        let snapshot = shared.compile(parsed, &config);
        Registry::prefetch(snapshot.sources(None), PREFETCH).await;
        info!(apis = snapshot.len(), "definitions loaded");
        let references = References::default();
        references.replace(values.written());
        let files = files.with_references(&values.files());
        let source = Source { config: Arc::new(config), documents: Arc::new(documents) };
        let control = Self {
            shared,
            nodes,
            ready: AtomicBool::new(false),
            served: Served::first(source, values, files, snapshot),
            references,
            reloads: Told::started(time, began.elapsed(), findings.clone().sorted()),
            turns: Turns::default(),
        };
        (Some(control), findings)
    }

    /// The configuration.
    #[must_use]
    pub fn config(&self) -> Arc<Config> {
        Arc::clone(&self.served.source().config)
    }

    /// The API keys that are stored.
    #[must_use]
    pub fn api_keys(&self) -> &Arc<ApiKeys> {
        &self.shared.api_keys
    }

    /// What is served, as it is written.
    #[must_use]
    pub fn served(&self) -> Arc<Documents> {
        Arc::clone(&self.served.source().documents)
    }

    pub(crate) fn published(&self) -> Arc<ArcSwap<Snapshot>> {
        Arc::clone(self.served.published())
    }

    /// The limiter of a thread with this link. All count together.
    pub(crate) fn limiter(&self, link: Option<Arc<Link>>) -> Limiter {
        Limiter::new(Arc::clone(&self.shared.ledger), link)
    }

    /// What leads to Redis from the thread that serves no requests.
    pub(crate) fn link(&self) -> Option<Arc<Link>> {
        self.nodes.as_ref().map(|nodes| Arc::clone(&nodes.link))
    }

    /// What this node shares with others, if it does.
    #[must_use]
    pub fn redis(&self) -> Option<&Arc<Redis>> {
        self.nodes.as_ref().map(|nodes| &nodes.redis)
    }

    pub(super) fn peers(&self) -> Option<&Peers> {
        self.nodes.as_ref().map(|nodes| &nodes.peers)
    }

    /// Reads what nodes share for the first time, if there is anything and it can be had soon: the first requests
    /// are answered like all others.
    pub(crate) async fn join(&self) {
        let Some(link) = self.link() else { return };
        let own = Arc::clone(&link);
        tokio::spawn(async move { own.keep().await });
        link.tried().await;
        self.shared.api_keys.read_again().await;
    }

    /// Asks all other nodes to do something; there are none without Redis.
    ///
    /// # Errors
    /// [`Untold`].
    pub async fn ask_others(&self, errand: &Errand) -> Result<(), Untold> {
        match self.peers() {
            Some(peers) => peers.ask(errand).await,
            None => Ok(()),
        }
    }

    /// The counters of one more worker.
    pub(crate) fn counters(&self) -> Counters {
        Counters::new(Arc::clone(&self.shared.metrics))
    }

    /// What was counted, and how the keys are doing, as text for Prometheus.
    #[must_use]
    pub fn exposition(&self) -> String {
        let mut exposition = Exposition::default();
        self.shared.metrics.write(&mut exposition);
        self.reloads.write(&mut exposition);
        key_figures::write(&self.served.published().load().sources(None), &mut exposition);
        if let Some(Nodes { redis, peers, .. }) = &self.nodes {
            redis_figures::write(redis, &self.limiter(None).shared_figures(), &mut exposition);
            peers.write(&mut exposition);
        }
        exposition.into_text()
    }

    /// What would become of a request, and why, as things are now. Nothing is counted.
    ///
    /// # Errors
    /// [`QuestionError`] when the question is about no API that is served.
    pub async fn explain(&self, question: &Question) -> Result<Explanation, QuestionError> {
        let snapshot = self.served.published().load_full();
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

    /// Whether there is an API with this id.
    #[must_use]
    pub fn serves(&self, api: &str) -> bool {
        self.served.published().load().api(api).is_some()
    }

    /// The key sources of one API, or of all; nothing if no such API is served.
    #[must_use]
    pub fn key_sources(&self, api: Option<&str>) -> Option<Vec<KeySourceInUse>> {
        self.served.published().load().key_sources(api)
    }

    /// Fetches the keys of one API, or of all, again, and waits a moment for them.
    pub async fn refetch_keys(&self, api: Option<&str>) {
        let sources = self.served.published().load().sources(api);
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
