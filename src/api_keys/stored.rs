//! A key that is stored.

use std::{
    fmt,
    sync::{Arc, Weak},
};

use arc_swap::ArcSwapOption;
use serde_json::{Map, Value};

use super::{
    body::Body,
    digest::Digest,
    secret::{self, Secret},
};
use crate::{
    jwt::{AlgorithmSet, KeySet, Window},
    policy::{Grant, Policy, PolicySet},
    refusal::{Reason, Refusal},
    session::Session,
};

/// A key that is stored, and what it opens.
pub struct StoredKey {
    /// By which it is found: of its id, and of its text.
    pub(super) digests: [Digest; 2],
    /// Tyk's hash of it.
    pub(super) tyk_hash: Box<str>,
    pub(super) fields: Map<String, Value>,
    pub(super) secret: Option<Secret>,
    /// With another one its limits are counted anew.
    pub(super) epoch: u64,
    /// What identifies its owner in sessions, and tells nobody the key.
    name: Box<str>,
    own: Policy,
    policies: Vec<Arc<str>>,
    expires: Option<i64>,
    session: ArcSwapOption<Derived>,
}

/// A session, and the policies that it rests on.
struct Derived {
    policies: Weak<PolicySet>,
    session: Session,
}

/// Without what could be used.
impl fmt::Debug for StoredKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredKey").field("name", &self.name).finish_non_exhaustive()
    }
}

impl StoredKey {
    pub(super) fn new(digests: [Digest; 2], tyk_hash: &str, epoch: u64, body: Body) -> Self {
        let [of_id, _] = &digests;
        let name = of_id.0.iter().take(16).map(|octet| format!("{octet:02x}")).collect::<String>();
        Self {
            digests,
            tyk_hash: tyk_hash.into(),
            epoch,
            fields: body.fields,
            secret: body.secret.filter(|secret| !secret.is_empty()),
            name: name.into(),
            own: body.own,
            policies: body.policies,
            expires: body.expires,
            session: ArcSwapOption::empty(),
        }
    }

    /// The organisation it belongs to.
    #[must_use]
    pub fn org_id(&self) -> &str {
        &self.own.org_id
    }

    /// Tyk's hash of it.
    #[must_use]
    pub fn tyk_hash(&self) -> &str {
        &self.tyk_hash
    }

    /// What it was told to be, in Tyk's fields; without its secret.
    #[must_use]
    pub const fn fields(&self) -> &Map<String, Value> {
        &self.fields
    }

    /// Whether it is for tokens that name it, which its secret verifies. It is no API key then: its id
    /// stands in each of them.
    #[must_use]
    pub const fn is_for_tokens(&self) -> bool {
        self.secret.is_some()
    }

    /// What verifies tokens that name it, if anything does. A secret in the file may be older than the
    /// rules for secrets.
    #[must_use]
    pub fn token_keys(&self, allowed: AlgorithmSet) -> Option<KeySet> {
        secret::keys(self.secret.as_ref()?, allowed).ok()
    }

    /// The policies that it names.
    #[must_use]
    pub fn policies(&self) -> &[Arc<str>] {
        &self.policies
    }

    /// The time in which it is accepted, unless it is switched off.
    #[must_use]
    pub fn window(&self) -> Window {
        self.expires.map_or(Window::ALWAYS, |last| Window::before(last.saturating_add(1)))
    }

    /// Whether it is accepted at this second.
    ///
    /// # Errors
    /// [`Reason::ApiKeyInactive`] or [`Reason::ApiKeyExpired`].
    pub fn check(&self, now: i64) -> Result<(), Reason> {
        if !self.own.active {
            return Err(Reason::ApiKeyInactive);
        }
        if self.window().contains(now) { Ok(()) } else { Err(Reason::ApiKeyExpired) }
    }

    /// The session of whoever presents it. It is derived once for each state of the policies.
    ///
    /// # Errors
    /// The [`Refusal`] that says why nothing is granted.
    pub fn session(&self, policies: &Arc<PolicySet>) -> Result<Session, Refusal> {
        if let Some(derived) = &*self.session.load()
            && Weak::as_ptr(&derived.policies) == Arc::as_ptr(policies)
        {
            return Ok(derived.session.clone());
        }
        let session = Session::of_key(&self.name, self.epoch, self.expires, self.grant(policies)?);
        let derived = Derived { policies: Arc::downgrade(policies), session: session.clone() };
        self.session.store(Some(Arc::new(derived)));
        Ok(session)
    }

    /// What its policies grant, with its own labels and values; without policies what it has itself. A
    /// policy that does not exist, or is not active, refuses.
    fn grant(&self, set: &PolicySet) -> Result<Arc<Grant>, Refusal> {
        let policies = self.policies.iter().map(|id| set.get(self.org_id(), id).cloned());
        let policies = policies.collect::<Option<Vec<_>>>().ok_or(Reason::PolicyUnknown)?;
        let grant = Grant::of_key(&self.own, policies, set.together());
        match (grant.active, grant.rights.is_empty()) {
            (false, _) => Err(Reason::PolicyInactive.into()),
            (true, true) => Err(Reason::PolicyWithoutRights.into()),
            (true, false) => Ok(Arc::new(grant)),
        }
    }
}
