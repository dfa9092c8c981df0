//! All policies of a gateway: a folder of documents, or one file.

use std::{
    collections::{HashMap, hash_map},
    sync::Arc,
};

use super::{
    Policy, PolicySet,
    document::{Patterns, PolicyDocument},
};
use crate::{
    document::{Document, FieldPath, File, Findings, Kept},
    parallel,
    secrets::{Asked, DocumentValues},
};

/// What a document says, as long as its references stand for the same.
#[derive(Debug, Default)]
pub struct Read {
    asked: Asked,
    policies: Vec<Arc<Policy>>,
    findings: Findings,
}

/// Parses the policies of these documents, as far as that was not done before.
#[must_use]
pub fn load(files: &[Arc<Kept<Read>>], values: &DocumentValues<'_>) -> (PolicySet, Findings) {
    let patterns = Patterns::default();
    let reads = parallel::map(files, |file| {
        file.make(|last| values.agree_with(&last.asked), |file| Read::new(file, values, &patterns))
    });
    let (mut policies, mut findings) = (Vec::with_capacity(files.len()), Findings::default());
    // Where each policy came from, by organisation and id.
    let mut origins: HashMap<(&str, &str), &File> = HashMap::with_capacity(files.len());
    for (file, read) in files.iter().zip(&reads) {
        findings.append(read.findings.clone());
        for policy in &read.policies {
            match origins.entry((&policy.org_id, &policy.id)) {
                hash_map::Entry::Vacant(entry) => {
                    entry.insert(file);
                    policies.push(Arc::clone(policy));
                }
                hash_map::Entry::Occupied(earlier) => {
                    let message = format!(
                        "a policy with the id {} is in {} as well; remove one, or give it another id",
                        policy.id,
                        earlier.get().path().display()
                    );
                    findings.error(file, &policy.at.member("id"), message);
                }
            }
        }
    }
    (PolicySet::new(policies), findings)
}

impl Read {
    /// What it asked for.
    #[must_use]
    pub const fn asked(&self) -> &Asked {
        &self.asked
    }

    fn new(file: &Arc<File>, values: &DocumentValues<'_>, patterns: &Patterns) -> Self {
        let mut findings = Findings::default();
        let mut document = match Document::of(file) {
            Ok(document) => document,
            Err(finding) => {
                findings.push(finding);
                return Self { findings, ..Self::default() };
            }
        };
        let (mut root, lookup) = (document.take_root(), values.lookup());
        lookup.expand_all(&document, &FieldPath::top(), &mut root, &[], &mut findings);
        let reader = PolicyDocument { document: &document, findings: &mut findings, patterns };
        let policies = reader.policies(root).into_iter().map(Arc::new).collect();
        let findings = lookup.hide_in_all(findings);
        Self { policies, findings, asked: lookup.into_asked() }
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, fs};

    use super::*;
    use crate::{access::ApiRight, document::read_all, secrets::Secrets};

    fn load_files(files: &[(&str, &str)]) -> (PolicySet, Vec<String>) {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(folder.path().join(name), text).unwrap();
        }
        let (documents, mut findings) = read_all(folder.path(), &[]);
        let values = Secrets::new("", |_| None, BTreeMap::new()).unwrap().values();
        let (set, found) = load(&documents, &values.for_documents(&[], None));
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
        let (set, findings) = load_files(&[(
            "p.json",
            r#"{"a":{"access_rights":{"x":{}}},"b":{"id":"c","access_rights":{"x":{}}}}"#,
        )]);
        assert!(set.get("", "a").is_some() && set.get("", "b").is_some());
        assert_eq!(
            findings,
            ["warning: p.json:1: b.id: the policy is called b by its key and c here; the key counts"]
        );
    }

    #[test]
    fn a_list_of_policies() {
        let (set, findings) = load_files(&[
            ("p.json", r#"[{"id":"a","access_rights":{"x":{}}},{"id":"b","access_rights":{"x":{}}},7]"#),
            ("q.yaml", "- id: c\n  access_rights: {x: {}}\n- id: a\n  access_rights: {x: {}}\n"),
        ]);
        assert!(["a", "b", "c"].iter().all(|id| set.get("", id).is_some()));
        assert_eq!(
            findings,
            [
                "error: p.json:1: [2]: an object is expected here, not a number",
                "error: q.yaml:3: [1].id: a policy with the id a is in p.json as well; remove one, or give it another id"
            ]
        );
    }

    #[test]
    fn what_grants_nothing_or_less_than_it_seems() {
        let warnings = |fields: &str| load_files(&[("p.json", &format!(r#"{{"id":"a",{fields}}}"#))]).1;
        for (fields, expected) in [
            (r#""access_rights":{}"#, "access_rights: without access rights it grants nothing"),
            (r#""partitions":{"acl":true,"quota":true}"#, "access_rights: without access rights"),
            (
                r#""access_rights":{"x":{"versions":["Default","v2"]}}"#,
                "access_rights.x.versions[1]: versions of an API are APIs of their own",
            ),
        ] {
            let [warning] = &*warnings(fields) else { panic!("{fields}") };
            assert!(warning.starts_with(&format!("warning: p.json:1: {expected}")), "{warning}");
        }
        for fine in [r#""partitions":{"quota":true}"#, r#""access_rights":{"x":{"versions":["Default",""]}}"#]
        {
            assert_eq!(warnings(fine), [""; 0]);
        }
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
    fn limits_and_methods_that_hardly_mean_what_they_say() {
        let right = r#""access_rights":{"x":{"allowed_urls":[{"url":"/","methods":["GET","GTE"]}],
"endpoints":[{"path":"/","methods":[{"name":"PSOT","limit":{"rate":1,"per":1}}]}]}}"#;
        for (fields, expected) in [
            (r#""access_rights":{"x":{}},"rate":5"#, vec!["rate: without a positive per"]),
            (
                r#""access_rights":{"x":{}},"quota_max":5"#,
                vec!["quota_max: without a positive quota_renewal_rate"],
            ),
            (
                r#""access_rights":{"x":{}},"quota_max":-5,"quota_renewal_rate":60"#,
                vec!["quota_max: a number below 0 is no limit"],
            ),
            (r#""access_rights":{"x":{}},"quota_max":-1"#, vec![]),
            (r#""access_rights":{"x":{}},"rate":5,"per":60,"quota_max":5,"quota_renewal_rate":60"#, vec![]),
            (
                right,
                vec![
                    "access_rights.x.allowed_urls[0].methods[1]: GTE is no method that is registered",
                    "access_rights.x.endpoints[0].methods[0].name: PSOT is no method that is registered",
                ],
            ),
        ] {
            let (_, findings) = load_files(&[("p.json", &format!(r#"{{"id":"a",{fields}}}"#))]);
            assert_eq!(findings.len(), expected.len(), "{fields}: {findings:?}");
            for (finding, expected) in findings.iter().zip(expected) {
                assert!(finding.starts_with("warning: p.json:"), "{finding}");
                assert!(finding.contains(&format!(": {expected}")), "{finding}");
            }
        }
    }

    #[test]
    fn what_is_wrong_is_told() {
        let (_, findings) = load_files(&[
            (
                "1.json",
                r#"{"id":"a","rate":"x","access_rights":{"x":{"allowed_urls":[{"url":"[","methods":["GET"]}]}}}"#,
            ),
            ("2.json", r#"{"id":"a","access_rights":{"x":{}}}"#),
            ("3.json", r#"{"id":"b b"}"#),
            ("4.json", r#"{"access_rights":{}}"#),
            ("5.json", r#"{"id":"c","partitions":{"per_api":true,"quota":true},"state":"x"}"#),
            ("6.json", "7"),
            (
                "7.json",
                r#"{"id":"d","rate":3,"per":60,"access_rights":{"x":{"disable_introspection":true}}}"#,
            ),
        ]);
        assert_eq!(findings.len(), 9, "{findings:#?}");
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
