//! What nodes tell each other: short messages on one channel, each with a number.
//!
//! A message is `NUMBER:NODE TOPIC ABOUT`. The number of the last one stands in Redis, and goes up in one step
//! with its being sent. Redis keeps no message: whoever was away, hung, or was sent more than it could take sees
//! by the number that something was missed, and makes good as if everything had been said.
//!
//! **Invariant:** a message is only ever a reason to read something again. Whoever can write to Redis can say
//! anything here.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use ::redis::{Cmd, PushInfo, PushKind, Value};
use tokio::{
    sync::mpsc,
    time::{MissedTickBehavior, interval, sleep, timeout},
};
use tracing::debug;

use super::{
    Failure, Link, Redis,
    connect::{Connection, reason},
    link::{HEARTBEAT, pause},
};

/// How long saying something, or asking for the last number, may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(2);
/// Longer messages are not even looked at.
const MAX_MESSAGE: usize = 1024;
/// So many messages wait to be looked at.
const MAX_WAITING: usize = 1024;
/// Where numbers begin is random below this, so that a server that has lost its data is not taken for one
/// where nothing was said.
const FIRST_BELOW: u64 = 1 << 48;

/// Says something, and gives its number.
const SAY: &str = "local n = redis.call('INCR', KEYS[1]); redis.call('PUBLISH', ARGV[1], string.format('%d', n) .. ':' .. ARGV[2]); return n";
const LAST: &str = "redis.call('SET', KEYS[1], ARGV[1], 'NX'); return tonumber(redis.call('GET', KEYS[1]))";

/// The channel of the nodes that share a Redis and a prefix.
#[derive(Debug)]
pub struct Channel {
    link: Arc<Link>,
    /// What this node is called in its messages, so that it does not act upon them itself.
    node: String,
    name: String,
    /// Where the number of the last message is.
    numbers: String,
}

/// What comes of listening.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// A node says something.
    Message(Message),
    /// Something that is nothing of the kind.
    Garbage,
    /// Something may have been missed.
    Gap,
}

/// What a node says, or seems to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Its number.
    pub number: u64,
    /// Who says it.
    pub node: String,
    /// What it is about, in one word.
    pub topic: String,
    /// Which one of these; the empty text for all of them.
    pub about: String,
}

impl Channel {
    /// The channel that this link leads to, for the node of this name, which has no space in it.
    #[must_use]
    pub fn new(link: Arc<Link>, node: &str) -> Self {
        let prefix = &link.redis().settings().prefix;
        let (name, numbers) = (format!("{prefix}{{nodes}}"), format!("{prefix}{{nodes}}:said"));
        Self { link, node: node.to_owned(), name, numbers }
    }

    /// What it leads over.
    pub(crate) const fn link(&self) -> &Arc<Link> {
        &self.link
    }

    /// The name of something that is changed together with saying so: on the same node of a cluster.
    pub(crate) fn place(&self, what: &str) -> String {
        format!("{}:{what}", self.name)
    }

    /// Whether this node said it.
    #[must_use]
    pub fn is_own(&self, message: &Message) -> bool {
        message.node == self.node
    }

    /// What this node says, without its number.
    fn text(&self, topic: &str, about: &str) -> Result<String, Failure> {
        let text = format!("{} {topic} {about}", self.node);
        // Who hears what cannot be read has missed something, and reads everything again.
        let is_readable = parse(format!("{}:{text}", u64::MAX).as_bytes()).is_some();
        if is_readable { Ok(text) } else { Err(Failure::Unsayable) }
    }

    /// Tells everybody who listens.
    ///
    /// # Errors
    /// [`Failure`]; unless it is [`Failure::Down`] it may have been said all the same.
    pub async fn say(&self, topic: &str, about: &str) -> Result<(), Failure> {
        let mut say = Cmd::new();
        say.arg("EVAL").arg(SAY).arg(1).arg(&self.numbers).arg(&self.name).arg(self.text(topic, about)?);
        self.number(&say).await.map(|_| ())
    }

    /// Runs a script, and tells everybody about it in the same step, unless it returns a number. `KEYS[2]` of the
    /// script is `place`, and its arguments begin with `ARGV[3]`. Gives what it returned, or the number of the message.
    ///
    /// # Errors
    /// [`Failure`]; unless it is [`Failure::Down`] all of it may have happened all the same.
    pub(crate) async fn say_after(
        &self,
        script: &str,
        place: &str,
        arguments: &[&[u8]],
        (topic, about): (&str, &str),
    ) -> Result<i64, Failure> {
        let mut change = Cmd::new();
        change.arg("EVAL").arg(format!("{script}{SAY}")).arg(2).arg(&self.numbers).arg(place);
        change.arg(&self.name).arg(self.text(topic, about)?).arg(arguments);
        match self.link.call_within(&change, PATIENCE).await? {
            Value::Int(number) => Ok(number),
            _ => Ok(0),
        }
    }

    /// The number of the last message.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn last(&self) -> Result<u64, Failure> {
        let mut last = Cmd::new();
        last.arg("EVAL").arg(LAST).arg(1).arg(&self.numbers).arg(fastrand::u64(..FIRST_BELOW));
        self.number(&last).await
    }

    async fn number(&self, command: &Cmd) -> Result<u64, Failure> {
        match self.link.call_within(command, PATIENCE).await? {
            Value::Int(number) => Ok(u64::try_from(number).unwrap_or_default()),
            // Somebody else has written there.
            _ => Ok(0),
        }
    }

    /// Listens, for ever; ends when nobody wants to hear it any more.
    pub async fn listen(&self, ears: mpsc::Sender<Heard>) {
        let mut failures: u32 = 0;
        while !ears.is_closed() {
            let attempt = usize::try_from(failures).unwrap_or_default();
            match Subscription::open(self.link.redis(), &self.name, attempt).await {
                Ok(subscription) => {
                    failures = 0;
                    if ears.send(Heard::Gap).await.is_err() {
                        return;
                    }
                    subscription.pass_on(&ears).await;
                }
                Err(why) => debug!(why, "cannot listen to other nodes"),
            }
            failures = failures.saturating_add(1);
            sleep(pause(failures, fastrand::f64())).await;
        }
    }
}

/// A connection that hears the channel.
struct Subscription {
    connection: Connection,
    /// Nothing when the connection has ended.
    pushed: mpsc::Receiver<Option<Heard>>,
    /// There was more than could wait.
    overflowed: Arc<AtomicBool>,
}

impl Subscription {
    async fn open(redis: &Redis, channel: &str, attempt: usize) -> Result<Self, String> {
        let (sender, pushed) = mpsc::channel(MAX_WAITING);
        let overflowed = Arc::new(AtomicBool::new(false));
        let (name, flag) = (channel.to_owned(), Arc::clone(&overflowed));
        let push = move |push: PushInfo| {
            if let Some(heard) = heard(&push, &name)
                && sender.try_send(heard).is_err()
            {
                flag.store(true, Ordering::Relaxed);
            }
        };
        let credentials = redis.credentials();
        let opening = Connection::subscribe(redis.settings(), &credentials, attempt, channel, push);
        match timeout(redis.settings().connect_timeout, opening).await {
            Ok(Ok(connection)) => Ok(Self { connection, pushed, overflowed }),
            Ok(Err(error)) => Err(reason(&error)),
            Err(_) => Err("did not answer in time".into()),
        }
    }

    /// Passes on what comes, until the connection ends.
    async fn pass_on(mut self, ears: &mpsc::Sender<Heard>) {
        let mut beats = interval(HEARTBEAT);
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let heard = tokio::select! {
                pushed = self.pushed.recv() => match pushed {
                    Some(Some(heard)) => heard,
                    Some(None) | None => return,
                },
                _ = beats.tick() => {
                    let pinged = timeout(PATIENCE, self.connection.ping()).await;
                    if !matches!(pinged, Ok(Ok(()))) {
                        return;
                    }
                    continue;
                }
            };
            let gap = self.overflowed.swap(false, Ordering::Relaxed).then_some(Heard::Gap);
            for heard in std::iter::once(heard).chain(gap) {
                if ears.send(heard).await.is_err() {
                    return;
                }
            }
        }
    }
}

/// What a push of the server means; nothing for what is none of ours. The end of the connection is
/// nothing to be heard.
fn heard(push: &PushInfo, channel: &str) -> Option<Option<Heard>> {
    match push.kind {
        PushKind::Disconnection => Some(None),
        PushKind::Message => match &*push.data {
            [Value::BulkString(of), Value::BulkString(octets)] if of == channel.as_bytes() => {
                Some(Some(parse(octets).map_or(Heard::Garbage, Heard::Message)))
            }
            _ => Some(Some(Heard::Garbage)),
        },
        _ => None,
    }
}

/// `NUMBER:NODE TOPIC ABOUT`.
fn parse(octets: &[u8]) -> Option<Message> {
    let text = std::str::from_utf8(octets).ok().filter(|text| text.len() <= MAX_MESSAGE)?;
    let (number, text) = text.split_once(':')?;
    let (node, text) = text.split_once(' ')?;
    let (topic, about) = text.split_once(' ')?;
    if node.is_empty() || topic.is_empty() || !number.bytes().all(|octet| octet.is_ascii_digit()) {
        return None;
    }
    let [node, topic, about] = [node, topic, about].map(str::to_owned);
    Some(Message { number: number.parse().ok()?, node, topic, about })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_and_garbage() {
        let parts = |said: &str| {
            let message = parse(said.as_bytes())?;
            Some((message.number, format!("{}|{}|{}", message.node, message.topic, message.about)))
        };
        for (said, expected) in [
            ("1:n reload ", Some((1, "n|reload|"))),
            ("0:n jwks my api", Some((0, "n|jwks|my api"))),
            ("18446744073709551615:a:b t :", Some((u64::MAX, "a:b|t|:"))),
            ("18446744073709551616:n reload ", None),
            ("+1:n reload ", None),
            ("-1:n reload ", None),
            (":n reload ", None),
            ("1:n reload", None),
            ("1:n", None),
            ("1: reload ", None),
            ("1:n  x", None),
            ("n reload ", None),
            ("", None),
        ] {
            assert_eq!(parts(said), expected.map(|(number, text)| (number, text.to_owned())), "{said}");
        }
        assert_eq!(parse(b"1:n t \xff"), None);
        let long = |octets: usize| parse(format!("1:n t {}", "x".repeat(octets)).as_bytes());
        assert_eq!(long(MAX_MESSAGE), None);
        assert!(long(MAX_MESSAGE - 6).is_some());
    }
}
