//! A store that holds up whoever asks it: what the gateway does meanwhile stands still.

use std::{
    sync::{
        Mutex,
        mpsc::{Receiver, Sender, channel},
    },
    time::Duration,
};

use serde_json::{Value, json};

use super::{Gateway, Server, Setup, keyless, respond};

/// How long somebody may take to ask before a test fails rather than hangs.
const PATIENCE: Duration = Duration::from_secs(30);

/// A Consul that answers each request when it is told to.
pub(crate) struct Holding {
    is_asked: Mutex<Receiver<()>>,
    release: Mutex<Sender<()>>,
}

impl Holding {
    /// With a gateway that has the API `a`, and is held up by documents of [`Holding::asking`].
    pub(crate) fn gateway(upstream: &Server) -> (Self, Gateway) {
        let (asked, is_asked) = channel();
        let (release, released) = channel();
        let (asked, released) = (Mutex::new(asked), Mutex::new(released));
        let consul = Server::start(move |_, stream| {
            // Nobody waits for the last ones of a test.
            let _ = asked.lock().unwrap().send(());
            let _ = released.lock().unwrap().recv();
            respond(stream, "200 OK", "text/plain", b"of consul")
        });
        let gateway = Setup::new()
            .config(&json!({
                "admin": { "audit": "audit.log" },
                "kv": { "consul": { "address": consul.address().to_string(), "timeout": "30s" } },
            }))
            .api(&keyless("a", upstream))
            .start();
        (Self { is_asked: Mutex::new(is_asked), release: Mutex::new(release) }, gateway)
    }

    /// A definition that names it.
    pub(crate) fn asking(id: &str, upstream: &Server) -> Value {
        let mut document = keyless(id, upstream);
        document["x-tyk-api-gateway"]["info"]["orgId"] = json!("consul://org");
        document
    }

    /// Waits until somebody asks.
    pub(crate) fn wait(&self) {
        self.is_asked.lock().unwrap().recv_timeout(PATIENCE).unwrap();
    }

    /// Answers one who has asked, or will.
    pub(crate) fn release(&self) {
        self.release.lock().unwrap().send(()).unwrap();
    }
}
