//! What the gateway knows of a request's caller after authentication.
//!
//! A session is derived from the verified claims, or from a stored key, and the policies in force,
//! never stored: what a token cannot do now it cannot do because of an earlier token either.

use std::{
    fmt,
    sync::{Arc, OnceLock},
};

use serde_json::Value;

use crate::{
    access::Rights,
    jwt::{Claims, ScopeClaims, json::Object},
    limits::{ApiLimits, Caller, Callers, Plan},
    policy::{Grant, Policy},
};

/// The caller of one request. Services behind [`auth::Auth`](crate::auth::Auth) find it in the
/// request's extensions. Cloning is cheap.
#[derive(Clone)]
pub struct Session(Arc<Inner>, Warnings);

/// The names of checks; nothing for most sessions.
type Warnings = Option<Arc<[Arc<str>]>>;

struct Inner {
    owner: Owner,
    header: Object,
    claims: Claims,
    /// Whether header and claims are those of a token; without one there are none.
    has_token: bool,
    grant: Arc<Grant>,
    payload: Option<Box<str>>,
    scope_check: Option<Arc<ScopeCheck>>,
    counted: Counted,
    /// The second after which it is over, whatever the claims say.
    expires: Option<i64>,
}

/// What limits ask for, each made when they first do.
#[derive(Default)]
struct Counted {
    caller: OnceLock<Caller>,
    /// For whom limits are counted by claims. A token is verified for one API, so there is one of each.
    callers: OnceLock<Callers>,
    among: OnceLock<Caller>,
}

/// How the scopes of a token are checked.
#[derive(Debug)]
pub struct ScopeCheck {
    /// The scheme that the token passed, by its name in the document.
    pub scheme: Box<str>,
    /// Where its scopes are.
    pub claims: ScopeClaims,
}

/// Whose session it is.
#[derive(Clone)]
enum Owner {
    /// Of the subject of a token.
    Subject(Box<str>),
    /// Of a stored key.
    Key { name: Box<str>, epoch: u64 },
}

/// Who the caller is: nobody who is another one has an equal identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Identity<'s> {
    /// The subject of a token. It is unique only within its issuer (OpenID Connect Core section 5.7).
    Subject {
        /// Who says so (`iss`), if the token tells.
        issuer: Option<&'s str>,
        /// Who it is.
        subject: &'s str,
    },
    /// The owner of a stored key: the key's name, which is a hash and opens nothing.
    Key(&'s str),
}

impl Session {
    /// The session of a caller with this name, JOSE header, claims and grant; with the payload of the
    /// token where somebody wants it, and the check of its scopes where there is one.
    #[must_use]
    pub(crate) fn new(
        subject: &str,
        header: Object,
        claims: Claims,
        grant: Arc<Grant>,
        payload: Option<&str>,
        scope_check: Option<Arc<ScopeCheck>>,
    ) -> Self {
        let (owner, payload) = (Owner::Subject(subject.into()), payload.map(Into::into));
        let (counted, has_token, expires) = (Counted::default(), true, None);
        let inner = Inner { owner, header, claims, has_token, grant, payload, scope_check, counted, expires };
        Self(Arc::new(inner), None)
    }

    /// The session of whoever has the stored key of this name, until this second. With another epoch its
    /// limits are counted anew.
    #[must_use]
    pub(crate) fn of_key(name: &str, epoch: u64, expires: Option<i64>, grant: Arc<Grant>) -> Self {
        let owner = Owner::Key { name: name.into(), epoch };
        let (header, claims, counted) = (Object::default(), Claims::none(), Counted::default());
        let (has_token, payload, scope_check) = (false, None, None);
        let inner = Inner { owner, header, claims, has_token, grant, payload, scope_check, counted, expires };
        Self(Arc::new(inner), None)
    }

    /// The same session, of a caller who showed a token with this header, these claims and payload.
    #[must_use]
    pub(crate) fn with_token(
        &self,
        header: Object,
        claims: Claims,
        payload: Option<&str>,
        scope_check: Option<Arc<ScopeCheck>>,
    ) -> Self {
        let Inner { owner, grant, expires, .. } = &*self.0;
        let (owner, grant, counted) = (owner.clone(), Arc::clone(grant), Counted::default());
        let payload = payload.map(Into::into);
        let (has_token, expires) = (true, *expires);
        let inner = Inner { owner, header, claims, has_token, grant, payload, scope_check, counted, expires };
        Self(Arc::new(inner), self.1.clone())
    }

    /// Who the caller is.
    #[must_use]
    pub fn identity(&self) -> Identity<'_> {
        match &self.0.owner {
            Owner::Subject(subject) => Identity::Subject { issuer: self.0.claims.issuer(), subject },
            Owner::Key { name, .. } => Identity::Key(name),
        }
    }

    /// The same for limits.
    pub(crate) fn caller(&self) -> Caller {
        *self.0.counted.caller.get_or_init(|| match &self.0.owner {
            Owner::Subject(subject) => Caller::new(self.0.claims.issuer(), subject),
            Owner::Key { name, epoch } => Caller::of_key(name, *epoch),
        })
    }

    /// What limits the caller on this API, and for whom that is counted.
    pub(crate) fn limited(&self, api: &str) -> Option<(Callers, &Plan)> {
        let plan = self.plan(api)?;
        if plan.by().is_none() || !self.0.has_token {
            return Some((self.caller().into(), plan));
        }
        let callers = || plan.callers(self.caller(), self.claims());
        Some((*self.0.counted.callers.get_or_init(callers), plan))
    }

    /// For whom the limits of the API count that its callers share, where it is the one of this session.
    pub(crate) fn among(&self, api: &ApiLimits) -> Caller {
        if api.by().is_none() || !self.0.has_token {
            return Caller::EVERYBODY;
        }
        *self.0.counted.among.get_or_init(|| api.caller(self.caller(), self.claims()))
    }

    /// What limits the caller on this API, whoever is counted.
    pub(crate) fn plan(&self, api: &str) -> Option<&Plan> {
        self.0.grant.plans.get(api)
    }

    /// The caller's name: within its issuer, or among the stored keys.
    #[must_use]
    pub fn subject(&self) -> &str {
        match &self.0.owner {
            Owner::Subject(name) | Owner::Key { name, .. } => name,
        }
    }

    /// The JOSE header of the token; empty without one.
    #[must_use]
    pub fn header(&self) -> &Object {
        &self.0.header
    }

    /// The verified claims; none without a token.
    #[must_use]
    pub fn claims(&self) -> &Claims {
        &self.0.claims
    }

    /// The same, or nothing where the caller came without a token: then no claim is missing.
    pub(crate) fn claims_of_token(&self) -> Option<&Claims> {
        self.0.has_token.then_some(&self.0.claims)
    }

    /// The payload of the token as it was signed, in base64url, if the authenticator
    /// [keeps it](crate::auth::Authenticator::keeping_payloads).
    #[must_use]
    pub fn payload(&self) -> Option<&str> {
        self.0.payload.as_deref()
    }

    /// How the scopes of the token are checked, if they are.
    #[must_use]
    pub fn scope_check(&self) -> Option<&ScopeCheck> {
        self.0.scope_check.as_deref()
    }

    /// The end of the session, in seconds since the epoch: that of the token, or of the key if it comes
    /// before.
    #[must_use]
    pub fn expires(&self) -> Option<i64> {
        let of_token = self.0.claims.expires();
        of_token.into_iter().chain(self.0.expires).min()
    }

    /// The policies that apply.
    pub fn policies(&self) -> impl Iterator<Item = &Policy> {
        self.0.grant.policies.iter().map(AsRef::as_ref)
    }

    /// The same with these warnings behind its own.
    #[must_use]
    pub(crate) fn with_warnings(self, more: &[Arc<str>]) -> Self {
        if more.is_empty() {
            return self;
        }
        let warnings = [self.warnings(), more].concat();
        Self(self.0, Some(warnings.into()))
    }

    /// The names of the checks that the token failed, and that only
    /// [`warn`](crate::jwt::Mode::Warn).
    #[must_use]
    pub fn warnings(&self) -> &[Arc<str>] {
        self.1.as_deref().unwrap_or_default()
    }

    /// What the caller may do.
    #[must_use]
    pub fn rights(&self) -> &Rights {
        &self.0.grant.rights
    }

    /// What this session takes of the memory of its grant, which others may share.
    pub(crate) fn octets_of_grant(&self) -> usize {
        self.0.grant.octets.checked_div(Arc::strong_count(&self.0.grant)).unwrap_or_default()
    }

    /// The labels of the policies.
    #[must_use]
    pub fn tags(&self) -> &[String] {
        &self.0.grant.tags
    }

    /// The values of the policies.
    #[must_use]
    pub fn meta_data(&self) -> &serde_json::Map<String, Value> {
        &self.0.grant.meta_data
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("identity", &self.identity())
            .field("policies", &self.policies().map(|policy| &policy.id).collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}
