//! What holds for every set of policies, whatever they say and in whatever order they come.
//!
//! Policies are made at random from a seed, in the form of their documents, and read as those are. What
//! several of them grant together is compared with what each of them says in its document, read here a
//! second time and in the plainest way, and with what all their orders give.

use std::{collections::BTreeMap, fs, sync::Arc};

use http::Method;
use serde_json::{Value, json};

use super::{Grant, Policy, load};
use crate::{
    access::{Together, Wanted},
    document::read_all,
    limits::{Allowance, PlanFacts, Quota},
    secrets::Secrets,
};

const POOL: usize = 200;
const SETS: usize = 2000;
const APIS: [&str; 3] = ["a", "b", "c"];
const PATHS: [&str; 3] = ["/x", "/y", "/z"];

/// SplitMix64: the same numbers for the same seed, everywhere.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut number = self.0;
        number = (number ^ (number >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        number = (number ^ (number >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        usize::try_from((number ^ (number >> 31)) % u64::try_from(sides).unwrap()).unwrap()
    }

    fn once_in(&mut self, sides: usize) -> bool {
        self.roll(sides) == 0
    }

    fn pick<'t, T: ?Sized>(&mut self, from: &[&'t T]) -> &'t T {
        from[self.roll(from.len())]
    }

    /// Numbers in some order.
    fn order(&mut self, length: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..length).collect();
        (1..length).rev().for_each(|n| order.swap(n, self.roll(n + 1)));
        order
    }
}

fn limit(dice: &mut Dice) -> Value {
    let (rate, per) = [(0, 0), (1, 60), (2, 60), (5, 60), (10, 1), (3, 0)][dice.roll(6)];
    let (max, renewal) = [(0, 0), (-1, 0), (3, 3600), (10, 60), (10, 7200), (7, 0)][dice.roll(6)];
    let (interval, retries) = [(0, 0), (1, 3), (2, 1)][dice.roll(3)];
    json!({ "rate": rate, "per": per, "quota_max": max, "quota_renewal_rate": renewal,
        "throttle_interval": interval, "throttle_retry_limit": retries })
}

fn right(dice: &mut Dice) -> Value {
    let mut urls = Vec::new();
    for _ in 0..dice.roll(3) {
        let methods: &[&str] = dice.pick(&[&["GET"][..], &["POST"], &["GET", "POST"], &[]]);
        urls.push(json!({ "url": dice.pick(&["/x", "/y", "^/(x|z)$"]), "methods": methods }));
    }
    let mut endpoints = Vec::new();
    for _ in 0..dice.roll(3) {
        let limit = json!({ "rate": 1 + dice.roll(4), "per": 60 });
        let method = json!({ "name": dice.pick(&["GET", "POST"]), "limit": limit });
        endpoints.push(json!({ "path": dice.pick(&["/x", "/{id}", "/x/y"]), "methods": [method] }));
    }
    let mut right = json!({ "allowed_urls": urls, "endpoints": endpoints });
    if dice.once_in(2) {
        right["limit"] = limit(dice);
    }
    right
}

fn document(dice: &mut Dice) -> Value {
    let mut policy = limit(dice);
    let rights: BTreeMap<&str, Value> = (0..dice.roll(4)).map(|_| (dice.pick(&APIS), right(dice))).collect();
    policy["access_rights"] = json!(rights);
    policy["partitions"] = match dice.roll(4) {
        0 => json!({}),
        1 => json!({ "per_api": true }),
        2 => json!({ "acl": true, "rate_limit": dice.once_in(2), "quota": dice.once_in(2) }),
        _ => json!({ "acl": dice.once_in(3), "rate_limit": dice.once_in(2), "quota": dice.once_in(2),
            "complexity": true, "per_api": dice.once_in(6) }),
    };
    policy["is_inactive"] = json!(dice.once_in(8));
    let key = |dice: &mut Dice| Some(vec![dice.pick(&["tenant", "client"])]).filter(|_| dice.once_in(2));
    let (rate_key, quota_key) = (key(dice), key(dice));
    let choice = |dice: &mut Dice| Some(dice.pick(&["open", "closed", "local"])).filter(|_| dice.once_in(2));
    let (rate, quota) = (choice(dice), choice(dice));
    policy["x-claimgate"] = json!({
        "rateKey": rate_key, "quotaKey": quota_key, "rateOnFailure": rate, "quotaOnFailure": quota,
    });
    policy["tags"] = json!([dice.pick(&["red", "green"]), dice.pick(&["blue", "green"])]);
    policy["meta_data"] = json!({ dice.pick(&["plan", "team"]): dice.roll(3) });
    policy
}

/// Policies, each with its document.
fn pool(dice: &mut Dice) -> Vec<(Value, Arc<Policy>)> {
    let documents: BTreeMap<String, Value> =
        (0..POOL).map(|n| (format!("p{n:03}"), document(dice))).collect();
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("policies.json"), json!(documents).to_string()).unwrap();
    let (read, _) = read_all(folder.path(), &[]);
    let values = Secrets::new("", |_| None, BTreeMap::new()).unwrap().values();
    let (set, findings) = load(&read, &values.for_documents(&[], None));
    assert!(!findings.has_errors());
    let of = |(id, document): (String, Value)| (document, Arc::clone(set.get("", &id).unwrap()));
    documents.into_iter().map(of).collect()
}

/// Everything that decides about requests, but for the values.
#[derive(Debug, PartialEq)]
struct Facts {
    granted: Vec<String>,
    active: bool,
    tags: Vec<String>,
    plans: BTreeMap<String, PlanFacts>,
}

/// What may be asked for.
fn requests() -> impl Iterator<Item = (&'static str, Method, &'static str)> {
    let of_path = |api, path| [Method::GET, Method::POST].map(|method| (api, method, path));
    APIS.into_iter().flat_map(move |api| PATHS.into_iter().flat_map(move |path| of_path(api, path)))
}

fn may(grant: &Grant, api: &str, method: &Method, path: &str) -> bool {
    grant
        .rights
        .check(&Wanted { api, method, paths: [path, path], ambiguous: false, unanchored: false })
        .is_ok()
}

fn facts(grant: &Grant) -> Facts {
    let granted = requests().filter(|(api, method, path)| may(grant, api, method, path));
    Facts {
        granted: granted.map(|(api, method, path)| format!("{api} {method} {path}")).collect(),
        active: grant.active,
        tags: grant.tags.clone(),
        plans: grant.plans.iter().map(|(api, plan)| (api.to_string(), plan.facts())).collect(),
    }
}

/// Which parts of a policy count, by its document.
fn has(document: &Value, part: &str) -> bool {
    let on = |name: &str| document["partitions"][name] == json!(true);
    let any = ["acl", "rate_limit", "quota", "complexity"].iter().any(|name| on(name));
    let contradicts = any && on("per_api");
    match part {
        "per_api" => on("per_api") && !contradicts,
        part => !contradicts && (on(part) || !any),
    }
}

/// Whether a policy lists URLs of an API, and one of them is about this request; nothing without a list.
fn listed(document: &Value, api: &str, method: &Method, path: &str) -> Option<bool> {
    let urls = document["access_rights"][api]["allowed_urls"].as_array().filter(|urls| !urls.is_empty())?;
    let fits = |url: &Value| match url["url"].as_str().unwrap() {
        "^/(x|z)$" => path != "/y",
        plain => plain == path,
    };
    let named = |url: &Value| url["methods"].as_array().unwrap().contains(&json!(method.as_str()));
    Some(urls.iter().any(|url| fits(url) && named(url)))
}

fn expected_right(documents: &[&Value], together: Together, api: &str, method: &Method, path: &str) -> bool {
    let names = |part: &str| documents.iter().any(|document| document["partitions"][part] == json!(true));
    let is_in_parts = ["acl", "rate_limit", "quota", "complexity"].into_iter().any(names);
    if together == Together::Listed && names("per_api") && is_in_parts {
        return false;
    }
    let words: Vec<Option<bool>> = documents
        .iter()
        .filter(|document| has(document, "acl") && document["access_rights"].get(api).is_some())
        .map(|document| listed(document, api, method, path))
        .collect();
    let by_list = words.contains(&Some(true));
    let lists = words.iter().any(Option::is_some);
    match together {
        Together::Everything => by_list || words.contains(&None),
        Together::Listed => by_list || (!lists && !words.is_empty()),
    }
}

/// The numbers of the limits that count on an API: of those who name it, else of the others.
fn limits_on<'d>(documents: &[&'d Value], api: &str, part: &str) -> (Vec<&'d Value>, Vec<&'d Value>) {
    let with_part = || documents.iter().filter(move |document| has(document, part));
    let naming = documents.iter().filter_map(|document| {
        let right = document["access_rights"].get(api)?;
        let own = right.get("limit").filter(|own| {
            has(document, "per_api") && own.as_object().unwrap().values().any(|number| *number != json!(0))
        });
        own.or_else(|| has(document, part).then_some(*document))
    });
    (naming.collect(), with_part().filter(|document| !has(document, "per_api")).copied().collect())
}

fn expected_rate(documents: &[&Value], api: &str) -> Option<Allowance> {
    let number = |limit: &Value, name: &str| limit[name].as_f64().unwrap();
    let best = |limits: Vec<&Value>| {
        let rates = limits.into_iter().map(|limit| (number(limit, "rate"), number(limit, "per")));
        let rates = rates.filter(|(rate, per)| *rate > 0.0 && *per > 0.0);
        rates.max_by(|(a, b), (c, d)| (a / b).total_cmp(&(c / d)))
    };
    let (naming, others) = limits_on(documents, api, "rate_limit");
    let (rate, per) = best(naming).or_else(|| best(others))?;
    Allowance::rate(rate, per)
}

fn expected_quota(documents: &[&Value], api: &str) -> Quota {
    let number = |limit: &Value, name: &str| limit[name].as_i64().unwrap();
    let best = |limits: Vec<&Value>| {
        let maxima: Vec<i64> = limits.iter().map(|limit| number(limit, "quota_max")).collect();
        if maxima.contains(&-1) {
            return Some(Quota::new(-1, 0));
        }
        let counting = limits.iter().filter(|limit| number(limit, "quota_max") > 0);
        let longest = counting.map(|limit| number(limit, "quota_renewal_rate")).max()?;
        Some(Quota::new(*maxima.iter().max()?, longest))
    };
    let (naming, others) = limits_on(documents, api, "quota");
    best(naming).or_else(|| best(others)).unwrap_or_default()
}

/// Some orders, and the reversed one; of a few policies about all.
fn orders(length: usize, dice: &mut Dice) -> Vec<Vec<usize>> {
    let reversed = (0..length).rev().collect();
    (0..10).map(|_| dice.order(length)).chain([reversed]).collect()
}

#[test]
fn the_order_decides_nothing_and_everything_is_as_the_documents_say() {
    let mut dice = Dice(2026);
    let pool = pool(&mut dice);
    let (mut limited, mut refused) = (0, 0);
    for _ in 0..SETS {
        let size = 1 + dice.roll(6);
        let chosen: Vec<&(Value, Arc<Policy>)> = dice.order(POOL)[..size].iter().map(|n| &pool[*n]).collect();
        let documents: Vec<&Value> = chosen.iter().map(|(document, _)| document).collect();
        for together in [Together::Everything, Together::Listed] {
            let merged = |order: &[usize]| {
                let policies = order.iter().map(|n| Arc::clone(&chosen[*n].1)).collect();
                Grant::merge(policies, together)
            };
            let grant = merged(&(0..size).collect::<Vec<_>>());
            let first = facts(&grant);
            for order in orders(size, &mut dice) {
                let grant = merged(&order);
                assert_eq!(facts(&grant), first, "{order:?} of {documents:#?}");
                // Of two values of one name the later one counts, which is what the order is for.
                for (name, value) in &grant.meta_data {
                    let says = |n: &&usize| documents[**n]["meta_data"].get(name).is_some();
                    let last = *order.iter().rev().find(says).unwrap();
                    assert_eq!(*value, documents[last]["meta_data"][name]);
                }
            }
            for (api, method, path) in requests() {
                let expected = expected_right(&documents, together, api, &method, path);
                assert_eq!(may(&grant, api, &method, path), expected, "{api} {method} {path} {documents:#?}");
                refused += usize::from(!expected);
            }
            assert_eq!(
                grant.active,
                documents.iter().all(|document| document["is_inactive"] == json!(false))
            );
            for (api, plan) in &grant.plans {
                let limits = plan.limits();
                assert_eq!(limits.rate.allowance, expected_rate(&documents, api), "{api} {documents:#?}");
                assert_eq!(limits.quota, expected_quota(&documents, api), "{api} {documents:#?}");
                limited += 1;
            }
        }
    }
    assert!(limited > SETS && refused > SETS, "the sets say something: {limited}, {refused}");
}
