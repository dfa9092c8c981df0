//! Whose requests are counted together.

use std::{fmt, time::Duration};

use aws_lc_rs::digest::{Context, Digest, SHA256};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use super::Allowance;

/// Who a counter is about: an identity, as a digest. Two callers never share one, whatever their
/// issuers and subjects contain, and its size is not theirs to choose.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Caller([u8; 32]);

/// For whom the limits of a policy are counted: one caller, or all who share a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Callers {
    /// The rate.
    pub rate: Caller,
    /// The rates of endpoints.
    pub endpoints: Caller,
    /// The quota.
    pub quota: Caller,
}

/// What a counter is about: a session, an API, an endpoint.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Scope([u8; 32]);

/// Names one counter. Windows of different length are different counters: else a caller with a token
/// for each of two policies could end the long window by asking with the short one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    caller: Caller,
    scope: Scope,
    period: Option<Duration>,
}

impl Caller {
    /// All callers together.
    pub const EVERYBODY: Self = Self([0; 32]);

    /// The caller with this issuer, if the token names one, and this subject.
    #[must_use]
    pub fn new(issuer: Option<&str>, subject: &str) -> Self {
        // The number of texts tells no issuer from an empty one.
        Self(octets(match issuer {
            Some(issuer) => digest(&[issuer, subject]),
            None => digest(&[subject]),
        }))
    }

    /// The owner of the stored key of this name, counted anew in each epoch.
    #[must_use]
    pub fn of_key(name: &str, epoch: u64) -> Self {
        // As many texts as no subject has.
        Self(octets(digest(&["key", name, &epoch.to_string()])))
    }

    /// Everybody with this issuer and these names and values of claims.
    pub(super) fn of_claims(issuer: Option<&str>, claims: &[String]) -> Self {
        // At least as many texts as neither subjects nor keys have.
        let mut texts = vec!["claims", if issuer.is_some() { "of" } else { "" }, issuer.unwrap_or_default()];
        texts.extend(claims.iter().map(String::as_str));
        Self(octets(digest(&texts)))
    }
}

impl From<Caller> for Callers {
    /// Everything is counted for one caller.
    fn from(caller: Caller) -> Self {
        Self { rate: caller, endpoints: caller, quota: caller }
    }
}

impl Scope {
    /// The scope that these names lead to.
    #[must_use]
    pub fn new(names: &[&str]) -> Self {
        Self(octets(digest(names)))
    }
}

impl Key {
    /// Its name in Redis. What stands in braces decides which node of a cluster has it: all counters
    /// of a caller are on one, and those that everybody shares are spread. Half of each digest is enough.
    pub(super) fn name(&self, prefix: &str) -> String {
        let text = |octets: &[u8; 32]| URL_SAFE_NO_PAD.encode(octets.first_chunk::<16>().unwrap_or(&[0; 16]));
        let (scope, tag) = (text(&self.scope.0), text(self.tag()));
        let period = self.period.map_or(0, |period| period.as_nanos());
        if self.caller == Caller::EVERYBODY {
            return format!("{prefix}limit:{{{tag}}}:{period}");
        }
        format!("{prefix}limit:{{{tag}}}{scope}:{period}")
    }

    /// What stands in braces there.
    pub(super) fn tag(&self) -> &[u8; 32] {
        if self.caller == Caller::EVERYBODY { &self.scope.0 } else { &self.caller.0 }
    }

    pub(super) const fn new(caller: Caller, scope: Scope, allowance: Allowance) -> Self {
        Self { caller, scope, period: allowance.period() }
    }

    /// When a window that begins then ends.
    pub(super) fn end(&self, start: u64) -> u64 {
        self.period.map_or(u64::MAX, |period| start.saturating_add(nanos(period)))
    }
}

/// A time as counters measure it.
pub(super) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// A digest of texts that no other texts have: each goes with its length.
fn digest(texts: &[&str]) -> Digest {
    let mut context = Context::new(&SHA256);
    for text in texts {
        context.update(&text.len().to_be_bytes());
        context.update(text.as_bytes());
    }
    context.finish()
}

fn octets(digest: Digest) -> [u8; 32] {
    let mut octets = [0; 32];
    octets.iter_mut().zip(digest.as_ref()).for_each(|(own, octet)| *own = *octet);
    octets
}

impl fmt::Debug for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Caller")
    }
}

impl fmt::Debug for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Scope")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn names_in_redis() {
        let key = |caller| Key::new(caller, Scope::new(&["rate"]), Allowance::rate(1.0, 0.5).unwrap());
        let alice = key(Caller::new(None, "alice")).name("cg:");
        let everybody = key(Caller::EVERYBODY).name("cg:");
        let (tag, scope) = alice.strip_prefix("cg:limit:{").unwrap().split_once('}').unwrap();
        assert_eq!((tag.len(), scope.len()), (22, "0123456789012345678901:500000000".len()));
        assert!(!alice.contains("alice"));
        assert_eq!(everybody, format!("cg:limit:{{{}}}:500000000", scope.split_once(':').unwrap().0));
    }

    #[test]
    fn no_two_identities_are_one() {
        let identities = [
            (None, "a"),
            (Some(""), "a"),
            (Some("a"), ""),
            (Some("a"), "b"),
            (Some("b"), "a"),
            (Some("a|b"), "c"),
            (Some("a"), "b|c"),
            (Some("ab"), "c"),
            (Some("a"), "bc"),
            (None, "abc"),
            (None, ""),
        ];
        let keys = [("a", 0), ("a", 1), ("b", 0), ("", 0)];
        let subjects = identities.iter().map(|(issuer, subject)| Caller::new(*issuer, subject));
        let callers: HashSet<Caller> =
            subjects.chain(keys.iter().map(|(name, epoch)| Caller::of_key(name, *epoch))).collect();
        assert_eq!(callers.len(), identities.len() + keys.len());
        assert_eq!(Caller::new(Some("a"), "b"), Caller::new(Some("a"), "b"));
    }
}
