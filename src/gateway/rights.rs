//! What definitions and policies say about each other, and hardly mean.

use std::{
    collections::{HashMap, HashSet},
    path::Path,
    sync::Arc,
};

use crate::{
    access::{ApiRight, Together},
    definition::{self, Definition, JwtScheme, NamedPolicy},
    document::{FieldPath, File, Findings, Kept},
    limits::Quota,
    parallel,
    policy::{self, Partitions, Policy, PolicySet},
};

/// Tells of policies that an API selects and that lead nowhere, so that callers who depend on them get no
/// rights, or that one caller can have together and that do not agree.
pub(super) fn warn_about_selected(
    files: &[Arc<Kept<definition::Read>>],
    definitions: &[Arc<Definition>],
    policies: &PolicySet,
    findings: &mut Findings,
) {
    let files = by_path(files);
    let told = parallel::map(definitions, |definition| {
        let mut findings = Findings::default();
        let Some(file) = files.get(&*definition.file) else { return findings };
        for scheme in definition.jwt_schemes() {
            let mut tell = |at: &FieldPath, message: String| findings.warning(file, at, message);
            tell_of_lost(definition, scheme, policies, &mut tell);
            tell_of_disagreement(definition, scheme, policies, &mut tell);
        }
        findings
    });
    told.into_iter().for_each(|told| findings.append(told));
}

/// Tells of APIs that a policy grants and that do not exist.
pub(super) fn warn_about_lost_apis(
    files: &[Arc<Kept<policy::Read>>],
    definitions: &[Arc<Definition>],
    policies: &PolicySet,
    findings: &mut Findings,
) {
    let files = by_path(files);
    let known: HashSet<&str> = definitions.iter().map(|definition| &*definition.id).collect();
    for policy in policies.iter() {
        let Some(file) = files.get(&*policy.file) else { continue };
        for (api, _) in policy.rights.iter().filter(|(api, _)| !known.contains(&**api)) {
            let message = format!("the policy {} grants the API {api}, which does not exist", policy.id);
            findings.warning(file, &policy.at.members(&["access_rights", api]), message);
        }
    }
}

/// The files, by where they were read.
pub(super) fn by_path<T>(files: &[Arc<Kept<T>>]) -> HashMap<&Path, &File> {
    files.iter().map(|file| (file.path(), &**file.file())).collect()
}

/// What a policy grants on an API.
fn right_on<'p>(policy: &'p Policy, api: &str) -> Option<&'p ApiRight> {
    policy.rights.iter().find(|(own, _)| **own == *api).map(|(_, right)| right)
}

fn tell_of_lost(
    definition: &Definition,
    scheme: &JwtScheme,
    policies: &PolicySet,
    tell: &mut impl FnMut(&FieldPath, String),
) {
    let org_id = &*scheme.selection.org_id;
    let named = || scheme.named_policies();
    let grants = |policy: &Policy| right_on(policy, &definition.id).is_some();
    let nothing_grants =
        !named().filter_map(|named| policies.get(org_id, named.id)).any(|policy| grants(policy));
    for named_policy in named() {
        let id = named_policy.id;
        let why = match policies.get(org_id, id) {
            None => unknown(policies.organisations(id).next(), org_id),
            Some(policy) if !policy.active => "is not active".into(),
            Some(_) if nothing_grants => "does not grant it, and neither does another one".into(),
            Some(_) => continue,
        };
        tell(
            &named_policy.at(),
            format!("the policy {id}, which this API selects, {why}; callers who depend on it get 403"),
        );
    }
}

/// Why an API of this organisation has no policy with an id that a policy of another one may have.
fn unknown(elsewhere: Option<&str>, org_id: &str) -> String {
    match (elsewhere, org_id) {
        (None, _) => "does not exist".into(),
        (Some(""), own) => format!("has no organisation (org_id), and the API is of {own}"),
        (Some(other), "") => format!("is of the organisation {other}, and the API has none (orgId)"),
        (Some(other), own) => format!("is of the organisation {other}, and the API of {own}"),
    }
}

/// Tells of two policies that one token can have together and of which one takes from what the other one
/// says. The defaults apply together; so may all that tokens select.
fn tell_of_disagreement(
    definition: &Definition,
    scheme: &JwtScheme,
    policies: &PolicySet,
    tell: &mut impl FnMut(&FieldPath, String),
) {
    for is_default in [true, false] {
        let named = scheme.named_policies().filter(|named| named.is_default == is_default);
        let together: Vec<Chosen<'_>> = named
            .filter_map(|named| {
                let policy = policies.get(&scheme.selection.org_id, named.id)?;
                Some(Chosen { policy, named, right: right_on(policy, &definition.id)? })
            })
            .collect();
        if policies.together() == Together::Listed {
            tell_of_mixed_partitions(definition, scheme, policies, is_default, tell);
        }
        let narrows = (policies.together() == Together::Listed).then_some(&NARROWED);
        for (is_one, is_other, what) in narrows.into_iter().chain(&DISAGREEMENTS) {
            let one = together.iter().find(|chosen| is_one(chosen));
            let other = together.iter().find(|chosen| is_other(chosen));
            if let (Some(one), Some(other)) = (one, other) {
                let (one_id, other_id) = (&one.policy.id, &other.policy.id);
                let message =
                    format!("a caller can have the policies {one_id} and {other_id} together: {what}");
                tell(&one.named.at(), message);
            }
        }
    }
}

/// Tells of two policies with partitions that Tyk takes no caller with, whatever they grant.
fn tell_of_mixed_partitions(
    definition: &Definition,
    scheme: &JwtScheme,
    policies: &PolicySet,
    is_default: bool,
    tell: &mut impl FnMut(&FieldPath, String),
) {
    let named = || scheme.named_policies().filter(|named| named.is_default == is_default);
    let find = |has: fn(&Partitions) -> bool| {
        named().find_map(|named| {
            let policy = policies.get(&scheme.selection.org_id, named.id)?;
            has(&policy.partitions).then_some((named, policy))
        })
    };
    let (one, other) = (find(|own| own.per_api), find(|own| own.others));
    if let (Some((named, one)), Some((_, other))) = (one, other)
        && !Arc::ptr_eq(one, other)
    {
        let message = format!(
            "a caller can have the policies {} and {} together: one has the partition per_api, and one another, so in profile tyk that caller gets nothing from any policy on {}",
            one.id, other.id, definition.id
        );
        tell(&named.at(), message);
    }
}

/// A policy that an API selects and that grants it.
struct Chosen<'d> {
    policy: &'d Policy,
    named: NamedPolicy<'d>,
    right: &'d ApiRight,
}

fn counts_a_rate(chosen: &Chosen<'_>) -> bool {
    chosen.policy.limits.rate.is_some_and(|rate| rate.allowance.is_some())
}

/// What one policy may be, what another one, and what follows from both.
type Disagreement = (fn(&Chosen<'_>) -> bool, fn(&Chosen<'_>) -> bool, &'static str);

/// Where a list is all that is left of both.
const NARROWED: Disagreement = (
    |chosen| matches!(chosen.right, ApiRight::Whole),
    |chosen| matches!(chosen.right, ApiRight::Urls(_)),
    "the first grants the whole API, the second some URLs of it, and together they grant those URLs alone, as in Tyk (in profile rfc the whole API); let the first list the URL / with its methods, which means the same in both",
);

const DISAGREEMENTS: [Disagreement; 3] = [
    (
        |chosen| counts_a_rate(chosen) && chosen.policy.limits.rate_key.is_some(),
        |chosen| counts_a_rate(chosen) && chosen.policy.limits.rate_key.is_none(),
        "the first counts its rate by claims (rateKey), the second by caller, and the rate that lets more through counts, as its policy says; give both the same rateKey, if that is not meant",
    ),
    (
        |chosen| chosen.policy.limits.per_api,
        |chosen| !chosen.policy.limits.per_api,
        "the first counts each API on its own (per_api), the second does not, and which of them counts in Tyk is chance; here each API is counted on its own, with the more generous limits; let both have per_api, or none",
    ),
    (
        |chosen| chosen.policy.limits.quota == Some(Quota::Unlimited),
        |chosen| matches!(chosen.policy.limits.quota, Some(Quota::Limited(_))),
        "the first has no quota (quota_max: -1), which lifts that of the second; leave quota_max out of the first, or write 0, if it is not meant to",
    ),
];
