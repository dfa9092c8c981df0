//! Values that are kept outside the documents and named in them: in the environment, in files, in
//! Consul and in Vault.
//!
//! [`Secrets`] knows the stores. [`Values`] is what the references of one load stand for: parsers ask it
//! while they read, what is in a store is fetched, each place once, and the documents are parsed again.
//! No request ever waits for a store.
//!
//! **Invariant:** the text of a reference is never a value. A reference that cannot be resolved is an
//! error with the file and the field that it stands in.
//!
//! **Invariant:** a value is in no log line, no finding and no `Debug` output. Values are wiped from
//! memory when they are dropped; what a library keeps of an answer while it reads it is beyond us, and
//! so is a field that is used as it is, such as a URL.

mod consul;
mod guard;
mod hidden;
mod http;
mod json;
mod local;
mod lookup;
mod reference;
mod secret;
mod values;
mod vault;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    path::PathBuf,
    sync::{Arc, OnceLock},
    time::Duration,
};

use tokio::{
    sync::{Mutex, Semaphore},
    task::JoinSet,
    time::{Instant, timeout_at},
};

use self::{consul::Consul, http::Fault, local::Local, reference::Place, vault::Vault};

pub use self::{
    consul::ConsulSettings,
    guard::{AllowedReferences, DocumentValues, OwnSecret, OwnSecretKind},
    hidden::Withheld,
    http::Connection,
    local::{Credential, LocalStore},
    lookup::{Asked, Lookup},
    reference::is_like_reference,
    secret::{Secret, Unresolved},
    values::Values,
    vault::{KvVersion, VaultLogin, VaultSettings},
};
pub use crate::tls::{ClientCertificate, TrustedAuthorities};

/// How many values are fetched at once.
const CONCURRENT: usize = 8;
/// How long the values of one load may take together.
const MAX_FETCH: Duration = Duration::from_secs(30);

/// A named store.
#[derive(Clone, Debug)]
pub enum Store {
    /// One on this machine.
    Local(LocalStore),
    /// Consul.
    Consul(ConsulSettings),
    /// Vault.
    Vault(VaultSettings),
}

/// Knows what references stand for.
pub trait Expand {
    /// A text with its references replaced; nothing if it has none.
    ///
    /// # Errors
    /// [`Unresolved`] when one of them has no value, or none yet, or is not for whoever wrote the text.
    fn expand(&self, text: &str) -> Result<Option<Secret>, Unresolved>;
}

/// Where values are.
#[derive(Clone)]
pub struct Secrets(Arc<Stores>);

struct Stores {
    local: Local,
    remote: BTreeMap<String, Remote>,
}

enum Remote {
    Consul(Consul),
    Vault(Vault),
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.0.local.stores.keys().chain(self.0.remote.keys());
        f.debug_struct("Secrets").field("stores", &names.collect::<Vec<_>>()).finish()
    }
}

impl Secrets {
    /// Files of `file://` are looked up below `base`, an empty one being the working directory; `env`
    /// reads the environment; `stores` are those of the configuration by name.
    ///
    /// # Errors
    /// The store whose settings are not good, the field of them if it is one, and a sentence.
    pub fn new(
        base: impl Into<PathBuf>,
        env: fn(&str) -> Option<String>,
        stores: BTreeMap<String, Store>,
    ) -> Result<Self, (String, String)> {
        let base = base.into();
        let base = if base.as_os_str().is_empty() { PathBuf::from(".") } else { base };
        let built_in = [
            ("env", LocalStore::Variables { prefix: "TYK_SECRET_".into(), uppercase: true }),
            ("file", LocalStore::Files(base)),
        ];
        let built_in = built_in.map(|(name, store)| (name.to_owned(), store));
        let mut local = Local { env, stores: built_in.into() };
        let mut remote = BTreeMap::new();
        for (name, store) in stores {
            let opened = match store {
                Store::Local(store) => {
                    local.stores.insert(name, store);
                    continue;
                }
                Store::Consul(settings) => Consul::new(settings).map(Remote::Consul),
                Store::Vault(settings) => Vault::new(settings).map(Remote::Vault),
            };
            let opened = opened.map_err(|reason| (name.clone(), reason))?;
            remote.insert(name, opened);
        }
        for (name, store) in &remote {
            for (field, credential) in store.credentials() {
                credential
                    .resolve(&local)
                    .map_err(|reason| (format!("{name}.{field}"), reason.to_string()))?;
            }
        }
        Ok(Self(Arc::new(Stores { local, remote })))
    }

    /// The values of one load, of which none is known yet.
    #[must_use]
    pub fn values(&self) -> Values {
        Values::new(self.clone())
    }

    /// The stores whose values come in the clear from another machine: their names, and where they are.
    pub fn exposed(&self) -> impl Iterator<Item = (&str, &str)> {
        let exposed = self.0.remote.iter().filter(|(_, store)| store.http().is_exposed());
        exposed.map(|(name, store)| (name.as_str(), store.http().name.as_str()))
    }

    /// Whether there is a store of this name.
    #[must_use]
    pub fn has_store(&self, name: &str) -> bool {
        self.0.local.stores.contains_key(name) || self.0.remote.contains_key(name)
    }

    /// What opens the stores.
    #[must_use]
    pub fn own_secrets(&self) -> Vec<OwnSecret> {
        let mut own = Vec::new();
        for (name, store) in &self.0.remote {
            let place = if matches!(&**name, "consul" | "vault") { "kv" } else { "kv.stores" };
            for (field, credential) in store.credentials() {
                let kind = OwnSecretKind::Text(credential.written().clone());
                own.push(OwnSecret { setting: format!("{place}.{name}.{field}"), kind });
            }
            own.extend(store.connection().key_file.as_ref().map(|file| OwnSecret {
                setting: format!("{place}.{name}.tls_config.key_file"),
                kind: OwnSecretKind::File(file.clone()),
            }));
        }
        own
    }

    fn local(&self) -> &Local {
        &self.0.local
    }

    fn has_remote(&self, place: &Place) -> bool {
        matches!(place, Place::Stored { store, .. } if self.0.remote.contains_key(store))
    }

    /// Why there is nothing at a place of a store that is not known.
    fn no_store(place: &Place) -> Unresolved {
        let Place::Stored { store, .. } = place else { return Unresolved::new("this place is not known") };
        Unresolved::new(match store.as_str() {
            "consul" | "vault" => {
                format!("there is no {store} to ask; configure kv.{store} in claimgate.yaml")
            }
            "secrets" => "there are no secrets in claimgate.yaml; add them there".to_owned(),
            _ => format!("there is no store {store}; configure kv.stores.{store} in claimgate.yaml"),
        })
    }

    /// What is at these places; those that were not fetched in time are missing. A store that is down is
    /// waited for once.
    async fn fetch(&self, places: BTreeSet<Place>) -> BTreeMap<Place, Result<Secret, Unresolved>> {
        let deadline = Instant::now() + MAX_FETCH;
        let turns = Arc::new(Semaphore::new(CONCURRENT));
        let conditions: Arc<BTreeMap<String, Condition>> =
            Arc::new(self.0.remote.keys().map(|name| (name.clone(), Condition::default())).collect());
        let mut tasks = JoinSet::new();
        for place in places {
            let (secrets, turns, conditions) = (self.clone(), Arc::clone(&turns), Arc::clone(&conditions));
            tasks.spawn(async move {
                let turn = turns.acquire().await;
                let value = secrets.fetch_one(&place, &conditions).await;
                drop(turn);
                (place, value)
            });
        }
        let mut values = BTreeMap::new();
        while let Ok(Some(done)) = timeout_at(deadline, tasks.join_next()).await {
            values.extend(done);
        }
        values
    }

    async fn fetch_one(
        &self,
        place: &Place,
        conditions: &BTreeMap<String, Condition>,
    ) -> Result<Secret, Unresolved> {
        let Place::Stored { store: name, path } = place else { return Err(Self::no_store(place)) };
        let (Some(store), Some(condition)) = (self.0.remote.get(name), conditions.get(name)) else {
            return Err(Self::no_store(place));
        };
        let was_asked = condition.was_asked.lock().await;
        let first = if *was_asked { None } else { Some(was_asked) };
        if let Some(reason) = condition.down.get() {
            return Err(reason.clone());
        }
        let value = store.read(path, &self.0.local).await.map_err(|fault| match fault {
            Fault::Refused(reason) => reason,
            Fault::Down(reason) => condition.down.get_or_init(|| reason).clone(),
        });
        if let Some(mut was_asked) = first {
            *was_asked = true;
        }
        value
    }
}

/// What is known of a store during one fetch.
#[derive(Default)]
struct Condition {
    /// Whether somebody has asked it. Held by the first, so that the others know by then if it is down.
    was_asked: Mutex<bool>,
    down: OnceLock<Unresolved>,
}

impl Remote {
    async fn read(&self, path: &str, local: &Local) -> Result<Secret, Fault> {
        match self {
            Self::Consul(consul) => consul.read(path, local).await,
            Self::Vault(vault) => vault.read(path, local).await,
        }
    }

    const fn http(&self) -> &http::Http {
        match self {
            Self::Consul(consul) => consul.http(),
            Self::Vault(vault) => vault.http(),
        }
    }

    const fn connection(&self) -> &Connection {
        match self {
            Self::Consul(consul) => consul.connection(),
            Self::Vault(vault) => vault.connection(),
        }
    }

    fn credentials(&self) -> Vec<(&'static str, &Credential)> {
        match self {
            Self::Consul(consul) => consul.credentials().collect(),
            Self::Vault(vault) => vault.credentials(),
        }
    }
}

#[cfg(test)]
mod tests;
