//! The other nodes that share a Redis: what they are asked, and what is done when they ask.
//!
//! A message asks every node to read something again, each for itself; nothing else comes of one, whoever sent
//! it. Nodes look at the number of the last message again and again, so that one that is lost acts all the
//! same, a moment later: then everything is done that could have been asked.

use std::{
    collections::BTreeSet,
    fmt, mem,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{
    runtime::Handle,
    sync::{Notify, mpsc},
    task::spawn_blocking,
    time::{MissedTickBehavior, interval, sleep},
};
use tracing::{info, warn};

use super::{control::Control, reload::Cause};
use crate::{
    api_keys::{self, ApiKeys},
    redis::{Channel, Failure, Heard, Link, Message},
    telemetry::Exposition,
};

/// How often the number of the last message is looked at.
const BEAT: Duration = Duration::from_millis(400);
/// How long it takes at least from one errand to the next of its kind, whoever asks and how often.
const PAUSE: Duration = Duration::from_secs(1);
/// So many APIs are remembered one by one; of more all are meant.
const MAX_APIS: usize = 32;
/// Key sets of a process that is younger were just fetched.
const YOUNG: Duration = Duration::from_secs(10);

const RELOAD: &str = "reload";
const JWKS: &str = "jwks";

/// What nodes ask each other for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Errand {
    /// To read the documents again.
    Reload,
    /// To fetch the key sets of one API, or of all, again.
    Jwks {
        /// Its id.
        api: Option<String>,
    },
}

/// The other nodes could not be asked, or nobody knows.
#[derive(Debug)]
pub struct Untold(Failure);

impl fmt::Display for Untold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Failure::Down => f.write_str("the other nodes could not be told: Redis cannot be reached"),
            Failure::TimedOut => {
                f.write_str("the other nodes may not have been told: Redis did not answer in time")
            }
            Failure::Unsayable => {
                f.write_str("the other nodes were not told: the id of the API is too long for a message; ask for all APIs")
            }
            Failure::Error(_) => {
                f.write_str("the other nodes may not have been told: Redis answers with an error")
            }
        }
    }
}

impl std::error::Error for Untold {}

/// The other nodes, as this one sees them.
#[derive(Debug)]
pub(super) struct Peers {
    pub(super) channel: Arc<Channel>,
    started: Instant,
    reload: Notify,
    jwks: Notify,
    wanted: Mutex<Wanted>,
    figures: Figures,
}

/// Whose key sets are to be fetched again.
#[derive(Debug, PartialEq, Eq)]
enum Wanted {
    Of(BTreeSet<String>),
    All,
}

#[derive(Debug, Default)]
struct Figures {
    acted: AtomicU64,
    ignored: AtomicU64,
    missed: AtomicU64,
    untold: AtomicU64,
}

impl Errand {
    fn parts(&self) -> (&'static str, &str) {
        match self {
            Self::Reload => (RELOAD, ""),
            Self::Jwks { api } => (JWKS, api.as_deref().unwrap_or_default()),
        }
    }

    /// What a message asks for; nothing if this node does not know that.
    fn of(message: &Message) -> Option<Self> {
        match &*message.topic {
            RELOAD if message.about.is_empty() => Some(Self::Reload),
            JWKS => Some(Self::Jwks { api: Some(message.about.clone()).filter(|api| !api.is_empty()) }),
            _ => None,
        }
    }
}

impl Default for Wanted {
    fn default() -> Self {
        Self::Of(BTreeSet::new())
    }
}

impl Wanted {
    fn add(&mut self, api: Option<String>) {
        match (&mut *self, api) {
            (Self::Of(apis), Some(api)) if apis.len() < MAX_APIS || apis.contains(&api) => {
                apis.insert(api);
            }
            _ => *self = Self::All,
        }
    }
}

impl Peers {
    pub(super) fn new(link: Arc<Link>) -> Self {
        let node = format!("{:016x}", fastrand::u64(..));
        Self {
            channel: Arc::new(Channel::new(link, &node)),
            started: Instant::now(),
            reload: Notify::new(),
            jwks: Notify::new(),
            wanted: Mutex::default(),
            figures: Figures::default(),
        }
    }

    pub(super) async fn ask(&self, errand: &Errand) -> Result<(), Untold> {
        let (topic, about) = errand.parts();
        self.channel.say(topic, about).await.map_err(|failure| {
            add(&self.figures.untold);
            let untold = Untold(failure);
            warn!(topic, about, "{untold}");
            untold
        })
    }

    /// Has something done. What is asked for while it waits for its turn is done once.
    fn run(&self, errand: Errand) {
        match errand {
            Errand::Reload => self.reload.notify_one(),
            Errand::Jwks { api } => {
                self.wanted.lock().unwrap_or_else(PoisonError::into_inner).add(api);
                self.jwks.notify_one();
            }
        }
    }

    fn take_wanted(&self) -> Wanted {
        mem::take(&mut *self.wanted.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn write(&self, exposition: &mut Exposition) {
        let get = |figure: &AtomicU64| figure.load(Ordering::Relaxed);
        let mut family = exposition
            .counter("claimgate_node_messages_total", "Messages of other nodes, by what became of them.");
        family.sample(&[("outcome", "acted")], get(&self.figures.acted));
        family.sample(&[("outcome", "ignored")], get(&self.figures.ignored));
        exposition
            .counter("claimgate_node_catch_ups_total", "How often messages were missed, and made good for.")
            .sample(&[], get(&self.figures.missed));
        exposition
            .counter("claimgate_node_untold_total", "How often other nodes could not be told something.")
            .sample(&[], get(&self.figures.untold));
    }
}

fn add(figure: &AtomicU64) {
    figure.fetch_add(1, Ordering::Relaxed);
}

/// Does what other nodes ask for, for ever; ends at once where there are none.
pub(crate) async fn follow(control: Arc<Control>) {
    let Some(peers) = control.peers() else { return };
    let (ears, mut heard) = mpsc::channel(1);
    let channel = Arc::clone(&peers.channel);
    tokio::spawn(async move { channel.listen(ears).await });
    tokio::spawn(reload_when_asked(Arc::clone(&control)));
    tokio::spawn(refetch_when_asked(Arc::clone(&control)));
    let mut follower =
        Follower { peers, keys: control.api_keys(), last: None, is_suspect: false, retry: None };
    let mut beats = interval(BEAT);
    beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            heard = heard.recv() => match heard {
                Some(Heard::Message(message)) => follower.hear(&message).await,
                Some(Heard::Garbage) => add(&peers.figures.ignored),
                Some(Heard::Gap) => {
                    follower.is_suspect = true;
                    follower.look().await;
                }
                None => return,
            },
            _ = beats.tick() => follower.look().await,
        }
    }
}

/// Where a node is in what is said.
struct Follower<'p> {
    peers: &'p Peers,
    keys: &'p ApiKeys,
    /// The number of the last message that was acted upon, with all before it.
    last: Option<u64>,
    /// There was a later one the last time, which may have been on its way.
    is_suspect: bool,
    /// When keys that could not be read are tried again.
    retry: Option<Instant>,
}

impl Follower<'_> {
    async fn hear(&mut self, message: &Message) {
        // Any other number is looked into by the next look: somebody else may have written it.
        if self.last.is_some_and(|last| last.checked_add(1) == Some(message.number)) {
            self.last = Some(message.number);
        }
        if self.peers.channel.is_own(message) {
            return;
        }
        match Errand::of(message) {
            Some(errand) => self.peers.run(errand),
            None if message.topic == api_keys::TOPIC => self.keys.read_named(&message.about).await,
            None => return add(&self.peers.figures.ignored),
        }
        add(&self.peers.figures.acted);
    }

    /// Sees whether anything was missed.
    async fn look(&mut self) {
        // While nobody answers, nothing can be made good.
        let Ok(last) = self.peers.channel.last().await else { return self.keys.lose_touch().await };
        let is_later = self.last.is_some_and(|own| own < last);
        if self.last == Some(last) {
            self.is_suspect = false;
            let now = Instant::now();
            if self.keys.are_whole() {
                self.keys.keep_touch();
            } else if self.retry.is_none_or(|retry| retry <= now) {
                self.retry = now.checked_add(PAUSE);
                self.keys.read_again().await;
            }
        } else if is_later && !self.is_suspect {
            self.is_suspect = true;
        } else {
            self.catch_up(last).await;
        }
    }

    /// Does everything that could have been asked for.
    async fn catch_up(&mut self, last: u64) {
        let is_first = self.last.is_none();
        self.last = Some(last);
        self.is_suspect = false;
        self.peers.run(Errand::Reload);
        if !is_first || self.peers.started.elapsed() > YOUNG {
            self.peers.run(Errand::Jwks { api: None });
        }
        if !is_first {
            add(&self.peers.figures.missed);
            info!("something that other nodes said was missed; everything is read again");
        }
        self.keys.read_again().await;
    }
}

/// Reloads when that was asked for. An error is in the log; what was loaded goes on.
async fn reload_when_asked(control: Arc<Control>) {
    let Some(peers) = control.peers() else { return };
    loop {
        peers.reload.notified().await;
        let (own, tasks) = (Arc::clone(&control), Handle::current());
        let _ = spawn_blocking(move || own.reload(Cause::Group, &tasks)).await;
        sleep(PAUSE).await;
    }
}

/// Fetches key sets again when that was asked for.
async fn refetch_when_asked(control: Arc<Control>) {
    let Some(peers) = control.peers() else { return };
    loop {
        peers.jwks.notified().await;
        match peers.take_wanted() {
            Wanted::All => control.refetch_keys(None).await,
            Wanted::Of(apis) => {
                for api in &apis {
                    control.refetch_keys(Some(api)).await;
                }
            }
        }
        sleep(PAUSE).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_comes_over_as_it_is() {
        let message = |topic: &str, about: &str| Message {
            number: 1,
            node: "n".into(),
            topic: topic.into(),
            about: about.into(),
        };
        for errand in
            [Errand::Reload, Errand::Jwks { api: None }, Errand::Jwks { api: Some("an api".into()) }]
        {
            let (topic, about) = errand.parts();
            assert_eq!(Errand::of(&message(topic, about)), Some(errand));
        }
        for (topic, about) in [("", ""), ("reload", "x"), ("Reload", ""), ("exec", "rm"), ("jwksx", "")] {
            assert_eq!(Errand::of(&message(topic, about)), None, "{topic}");
        }
    }

    #[test]
    fn what_waits_is_bounded() {
        let mut wanted = Wanted::default();
        for n in 0..MAX_APIS {
            wanted.add(Some(n.to_string()));
            wanted.add(Some(n.to_string()));
        }
        assert!(matches!(&wanted, Wanted::Of(apis) if apis.len() == MAX_APIS));
        wanted.add(Some("one more".into()));
        assert_eq!(wanted, Wanted::All);
        wanted.add(Some("another".into()));
        assert_eq!(wanted, Wanted::All);
    }
}
