//! Policy documents: a folder of them, or one file. JSON as Tyk writes it, and the same in YAML.
//!
//! A document is one policy with its `id`, or an object of policies by id.

use std::{collections::HashMap, path::Path, path::PathBuf, sync::Arc};

use http::Method;
use serde_json::{Map, Value};

use super::{
    Limits, Policy, PolicySet,
    raw::{POLICY, RawPartitions, RawPolicy, RawRight, RawUrl},
};
use crate::{
    access::{ApiRight, UrlRule},
    document::{Document, FieldPath, Finding, Findings, Severity},
};

/// Parses the policies that were read at a path, a folder or file.
#[must_use]
pub fn load(path: &Path, documents: &[Document]) -> (PolicySet, Findings) {
    let mut loader = Loader::default();
    documents.iter().for_each(|document| loader.document(document));
    loader.warn_about_limits(path);
    (PolicySet::new(loader.policies), loader.findings)
}

#[derive(Default)]
struct Loader {
    policies: Vec<Policy>,
    /// Where each policy came from, by organisation and id.
    origins: HashMap<(Box<str>, Arc<str>), PathBuf>,
    /// The first policy with limits, and how many there are.
    limited: Option<(Arc<str>, usize)>,
    findings: Findings,
}

impl Loader {
    fn document(&mut self, document: &Document) {
        let top = FieldPath::top();
        match document.root().clone() {
            root @ Value::Object(_) if is_policy(&root) => self.policy(document, &top, root, None),
            Value::Object(by_id) => {
                for (id, policy) in by_id {
                    self.policy(document, &top.member(&id), policy, Some(&id));
                }
            }
            _ => self.findings.error(
                document,
                &top,
                "a policy document is one policy object, or an object of policies by id",
            ),
        }
    }

    fn policy(&mut self, document: &Document, at: &FieldPath, mut value: Value, key: Option<&str>) {
        POLICY.check(document, at, &mut value, &mut self.findings);
        // The table took out what the mirror cannot read.
        let raw: RawPolicy = serde_json::from_value(value).unwrap_or_default();
        let mut reader = Reader { document, at, findings: &mut self.findings };
        let Some(policy) = reader.policy(raw, key) else { return };
        let name = (policy.org_id.clone(), Arc::clone(&policy.id));
        if let Some(earlier) = self.origins.insert(name, document.path().to_owned()) {
            let message = format!(
                "a policy with the id {} is in {} as well; remove one, or give it another id",
                policy.id,
                earlier.display()
            );
            return self.findings.error(document, &at.member("id"), message);
        }
        if policy.limits.limit_anything() {
            let (_, count) = self.limited.get_or_insert_with(|| (Arc::clone(&policy.id), 0));
            *count += 1;
        }
        self.policies.push(policy);
    }

    fn warn_about_limits(&mut self, path: &Path) {
        let Some((first, count)) = &self.limited else { return };
        let message = format!(
            "{count} of the policies ({first}{}) limit rate, quota or throttle; these limits are read and kept, and not enforced yet",
            if *count > 1 { ", …" } else { "" }
        );
        self.findings.push(Finding { severity: Severity::Warning, ..Finding::of_file(path, message) });
    }
}

/// One policy, and not an object of policies by id: it has a field that only a policy has.
fn is_policy(root: &Value) -> bool {
    root.get("access_rights").is_some() || root.get("id").is_some_and(|id| !id.is_object())
}

struct Reader<'r> {
    document: &'r Document,
    at: &'r FieldPath,
    findings: &'r mut Findings,
}

impl Reader<'_> {
    fn error(&mut self, field: &str, message: impl Into<String>) {
        self.findings.error(self.document, &self.at.member(field), message);
    }

    fn policy(&mut self, raw: RawPolicy, key: Option<&str>) -> Option<Policy> {
        let id = self.id(raw.id, key)?;
        let partitions = raw.partitions;
        let rights =
            if self.grants(partitions) { self.rights(raw.access_rights, partitions) } else { Vec::new() };
        let active = self.is_active(raw.active, raw.is_inactive, raw.state.as_deref());
        if raw.key_expires_in > 0.0 {
            let message = "sessions end with their token, not after this time; let tokens have an exp";
            self.findings.warning(self.document, &self.at.member("key_expires_in"), message);
        }
        let limits = Limits {
            rate: raw.rate,
            per: raw.per,
            quota_max: whole(raw.quota_max),
            quota_renewal_rate: whole(raw.quota_renewal_rate),
            throttle_interval: raw.throttle_interval,
            throttle_retry_limit: whole(raw.throttle_retry_limit),
            key_expires_in: whole(raw.key_expires_in),
        };
        Some(Policy {
            file: self.document.path().to_owned(),
            id,
            org_id: raw.org_id.into(),
            active,
            rights,
            tags: raw.tags,
            meta_data: raw.meta_data,
            limits,
        })
    }

    fn id(&mut self, id: Option<String>, key: Option<&str>) -> Option<Arc<str>> {
        let id = match (key, id) {
            (Some(key), Some(id)) if key != id => {
                let message = format!("the policy is called {key} by its key and {id} here; the key counts");
                self.findings.warning(self.document, &self.at.member("id"), message);
                key.to_owned()
            }
            (Some(key), _) => key.to_owned(),
            (None, Some(id)) => id,
            (None, None) => {
                self.error("id", "a policy needs an id; add one");
                return None;
            }
        };
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '~');
        if id.is_empty() || !id.chars().all(allowed) {
            self.error("id", "a policy id may hold letters, digits, `.`, `_`, `-` and `~`; change it");
            return None;
        }
        Some(id.into())
    }

    /// Whether a policy with these partitions grants rights at all.
    fn grants(&mut self, partitions: RawPartitions) -> bool {
        let RawPartitions { quota, rate_limit, complexity, acl, per_api } = partitions;
        let any = quota || rate_limit || complexity || acl;
        if per_api && any {
            let message = "per_api and another partition contradict each other; callers with this policy get no rights from it";
            self.findings.warning(self.document, &self.at.member("partitions"), message);
            return false;
        }
        per_api || acl || !any
    }

    fn is_active(&mut self, active: Option<bool>, is_inactive: bool, state: Option<&str>) -> bool {
        let denied = match state {
            None | Some("" | "active" | "draft") => false,
            Some("deny") => true,
            Some(_) => {
                self.error("state", "a policy is active, draft or deny; write one of these");
                true
            }
        };
        active != Some(false) && !is_inactive && !denied
    }

    fn rights(&mut self, rights: Map<String, Value>, partitions: RawPartitions) -> Vec<(Arc<str>, ApiRight)> {
        let mut granted = Vec::with_capacity(rights.len());
        for (key, right) in rights {
            let at = self.at.member("access_rights").member(&key);
            let raw: RawRight = serde_json::from_value(right).unwrap_or_default();
            if raw.api_id.as_ref().is_some_and(|id| *id != key) {
                let message = format!(
                    "the right is for the API {key} by its key and for another one here; the key counts"
                );
                self.findings.warning(self.document, &at.member("api_id"), message);
            }
            if raw.limit.as_ref().is_some_and(limits_anything) {
                let message = if partitions.per_api {
                    "limits of an API are not enforced yet"
                } else {
                    "without the partition per_api the limit of an access right has no effect, as in Tyk"
                };
                self.findings.warning(self.document, &at.member("limit"), message);
            }
            if !raw.endpoints.is_empty() {
                let message = "limits of endpoints are not enforced yet";
                self.findings.warning(self.document, &at.member("endpoints"), message);
            }
            granted.push((key.as_str().into(), self.right(&at, &raw.allowed_urls)));
        }
        granted
    }

    /// The methods of a rule. They are compared by letter case (RFC 9110 section 9.1).
    fn methods(&mut self, at: &FieldPath, names: &[String]) -> Vec<Method> {
        if names.is_empty() {
            let message = "without methods this entry grants nothing; list them";
            self.findings.warning(self.document, at, message);
        }
        let mut methods = Vec::with_capacity(names.len());
        for (n, name) in names.iter().enumerate() {
            let upper = name.to_ascii_uppercase();
            match Method::from_bytes(name.as_bytes()) {
                Ok(method) => methods.push(method),
                Err(_) => {
                    let message = "this is no method, so nothing is granted for it; correct it";
                    self.findings.warning(self.document, &at.element(n), message);
                }
            }
            if *name != upper {
                let message = format!(
                    "methods are told apart by letter case, so this does not grant {upper}; write {upper}"
                );
                self.findings.warning(self.document, &at.element(n), message);
            }
        }
        methods
    }

    fn right(&mut self, at: &FieldPath, urls: &[RawUrl]) -> ApiRight {
        if urls.is_empty() {
            return ApiRight::Whole;
        }
        let mut rules = Vec::with_capacity(urls.len());
        for (n, url) in urls.iter().enumerate() {
            let at = at.member("allowed_urls").element(n);
            let methods = self.methods(&at.member("methods"), &url.methods);
            match UrlRule::new(&url.url, methods) {
                Ok(rule) => rules.push(rule),
                Err(reason) => {
                    let message =
                        format!("the pattern does not compile, this entry grants nothing: {reason}");
                    self.findings.warning(self.document, &at.member("url"), message);
                }
            }
        }
        ApiRight::urls(rules)
    }
}

/// Whether a limit of an access right limits anything: the numbers of one that does are positive.
fn limits_anything(limit: &Value) -> bool {
    let number = |name: &str| limit.get(name).and_then(Value::as_f64).unwrap_or_default();
    (number("rate") > 0.0 && number("per") > 0.0)
        || number("quota_max") > 0.0
        || number("throttle_retry_limit") > 0.0
}

/// Tyk writes whole numbers as floats now and then.
#[expect(clippy::cast_possible_truncation, clippy::as_conversions, reason = "a cast to i64 saturates")]
const fn whole(number: f64) -> i64 {
    number as i64
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::document::read_all;

    fn load_files(files: &[(&str, &str)]) -> (PolicySet, Vec<String>) {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(folder.path().join(name), text).unwrap();
        }
        let (documents, mut findings) = read_all(folder.path());
        let (set, found) = load(folder.path(), &documents);
        findings.append(found);
        let prefix = format!("{}/", folder.path().display());
        (set, findings.into_iter().map(|finding| finding.to_string().replace(&prefix, "")).collect())
    }

    #[test]
    fn one_policy_a_file_in_json_and_yaml() {
        let (set, findings) = load_files(&[
            (
                "a.json",
                r#"{"id":"gold","org_id":"o","access_rights":{"orders":{"api_id":"orders","versions":["Default"]}}}"#,
            ),
            (
                "b.yaml",
                "id: silver\norg_id: o\naccess_rights:\n  orders:\n    allowed_urls:\n      - {url: /x, methods: [GET]}\n",
            ),
            ("note.txt", "not a policy"),
        ]);
        assert_eq!(findings, [""; 0]);
        assert!(
            set.get("o", "gold").is_some()
                && set.get("o", "silver").is_some()
                && set.get("", "gold").is_none()
        );
        assert!(matches!(set.get("o", "silver").unwrap().rights[..], [(_, ApiRight::Urls(_))]));
    }

    #[test]
    fn policies_by_id() {
        let (set, findings) = load_files(&[("p.json", r#"{"a":{"access_rights":{}},"b":{"id":"c"}}"#)]);
        assert!(set.get("", "a").is_some() && set.get("", "b").is_some());
        assert_eq!(
            findings,
            ["warning: p.json:1: b.id: the policy is called b by its key and c here; the key counts"]
        );
    }

    #[test]
    fn states() {
        for (fields, active) in [
            ("", true),
            (r#","active":true,"state":"active""#, true),
            (r#","state":"draft""#, true),
            (r#","is_inactive":true"#, false),
            (r#","active":false"#, false),
            (r#","state":"deny""#, false),
        ] {
            let (set, _) = load_files(&[("p.json", &format!(r#"{{"id":"a"{fields}}}"#))]);
            assert_eq!(set.get("", "a").unwrap().active, active, "{fields}");
        }
    }

    #[test]
    fn what_is_wrong_is_told() {
        let (_, findings) = load_files(&[
            (
                "1.json",
                r#"{"id":"a","rate":"x","access_rights":{"x":{"allowed_urls":[{"url":"[","methods":["GET"]}]}}}"#,
            ),
            ("2.json", r#"{"id":"a"}"#),
            ("3.json", r#"{"id":"b b"}"#),
            ("4.json", r#"{"access_rights":{}}"#),
            ("5.json", r#"{"id":"c","partitions":{"per_api":true,"quota":true},"state":"x"}"#),
            ("6.json", "[]"),
            (
                "7.json",
                r#"{"id":"d","rate":3,"per":60,"access_rights":{"x":{"disable_introspection":true}}}"#,
            ),
        ]);
        assert_eq!(findings.len(), 10, "{findings:#?}");
        assert!(findings[0].contains("limit rate, quota or throttle"), "{findings:#?}");
        assert!(findings.iter().any(|f| f.starts_with("error: 1.json:1: rate: a number is expected")));
        assert!(
            findings
                .iter()
                .any(|f| f.starts_with("warning: 1.json:1: access_rights.x.allowed_urls[0].url: "))
        );
        assert!(findings.iter().any(|f| f.starts_with("error: 2.json:1: id: a policy with the id a is in ")));
        assert!(
            findings
                .iter()
                .any(|f| f.starts_with("error: 7.json:1: access_rights.x.disable_introspection: "))
        );
    }
}
