//! What can be done to a running gateway.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
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
    peers::{Errand, Peers, Untold},
    question::{Question, QuestionError},
    redis_figures,
    references::References,
};
use crate::{
    api_keys::ApiKeys,
    auth::VerifiedTokens,
    config::Config,
    document::{Finding, Findings, Severity},
    jwks::Registry,
    limits::{Ledger, Limiter},
    redis::{Link, Redis},
    secrets::Values,
    telemetry::{Counters, Exposition, Metrics},
};

/// How long the first requests wait for keys that are not there yet.
const PREFETCH: Duration = Duration::from_secs(3);
/// How long the control API waits for keys that it was told to fetch again.
const REFETCH: Duration = Duration::from_secs(10);

/// The shared state of a gateway.
#[derive(Debug)]
pub struct Control {
    pub(super) config: Config,
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
}

/// What the snapshot that is served was compiled from.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) documents: Arc<Documents>,
    pub(super) values: Values,
    /// Newer values that could not be used.
    pub(super) refused: Option<Values>,
    /// The last API was taken away on purpose.
    pub(super) is_meant_empty: bool,
}

impl Control {
    /// Compiles the documents for the first time; waits a moment for their keys.
    pub(crate) async fn new(config: Config, registry: Registry) -> (Option<Self>, Findings) {
        let verified = Arc::new(VerifiedTokens::default());
        let ledger = Arc::new(Ledger::new(Instant::now(), config.on_redis_failure));
        let documents = Documents::read(&config);
        let values = config.secrets.values();
        let (parsed, mut findings) = documents.resolve(&config, &values).await;
        let api_keys = ApiKeys::load(config.keys_file.as_deref(), &mut findings).map(Arc::new);
        let (Some(api_keys), Some(parsed)) = (api_keys, parsed) else { return (None, findings) };
        let redis = config.redis.clone().map(|settings| {
            let redis = Redis::new(settings, parsed.redis_passwords.clone());
            Arc::new(redis)
        });
        let link = redis.as_ref().map(Redis::link);
        let peers = link.clone().map(Peers::new);
        let snapshot = Snapshot::compile(parsed, &config, &registry, &verified, &api_keys);
        Registry::prefetch(snapshot.sources(None), PREFETCH).await;
        info!(apis = snapshot.len(), "definitions loaded");
        let published = Arc::new(ArcSwap::from_pointee(snapshot));
        let references = References::default();
        references.replace(values.written());
        let documents = Arc::new(documents);
        let served = ArcSwap::new(Arc::clone(&documents));
        let loaded = Mutex::new(Loaded { documents, values, refused: None, is_meant_empty: false });
        let ready = AtomicBool::new(false);
        let control = Self {
            config,
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
        };
        (Some(control), findings)
    }

    /// The configuration.
    #[must_use]
    pub const fn config(&self) -> &Config {
        &self.config
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
        let (gate, trusted_proxies) = (Gate::new(self.limiter(self.link())), &self.config.trusted_proxies);
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

    /// Reads the documents again. The new snapshot serves when this returns; after an error the old
    /// one goes on. Must be called on a thread that may block.
    ///
    /// # Errors
    /// The problems of the documents, when one is an error.
    pub fn reload(&self, tasks: &Handle) -> Result<(), Vec<Finding>> {
        let mut loaded = self.loaded();
        let documents = Documents::read(&self.config);
        let values = self.config.secrets.values();
        let (parsed, findings) = tasks.block_on(documents.resolve(&self.config, &values));
        let findings = findings.sorted();
        tell(&findings);
        let Some(parsed) = parsed else {
            error!("the documents have errors; what was loaded before goes on");
            return Err(findings);
        };
        if !parsed.serves_any() && !self.published.load().is_empty() && !loaded.is_meant_empty {
            // A folder that could not be mounted looks like this. Whoever means it starts anew.
            let message = "there are no definitions here any more; what was loaded before goes on";
            error!("{}: {message}", self.config.definitions.display());
            return Err(vec![Finding::of_file(&self.config.definitions, message)]);
        }
        let apis = self.publish(parsed, tasks);
        self.references.replace(values.written());
        let documents = Arc::new(documents);
        self.served.store(Arc::clone(&documents));
        *loaded = Loaded { documents, values, refused: None, is_meant_empty: loaded.is_meant_empty };
        info!(apis, "definitions loaded again");
        Ok(())
    }

    /// Serves what the documents say, once their keys are there or a moment has passed; tells how many
    /// APIs that are.
    pub(super) fn publish(&self, parsed: Parsed, tasks: &Handle) -> usize {
        if let Some(redis) = &self.redis {
            redis.set_passwords(parsed.redis_passwords.clone());
        }
        let snapshot =
            Snapshot::compile(parsed, &self.config, &self.registry, &self.verified, &self.api_keys);
        tasks.block_on(Registry::prefetch(snapshot.sources(None), PREFETCH));
        let apis = snapshot.len();
        self.published.store(Arc::new(snapshot));
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
