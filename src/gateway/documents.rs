//! The definitions and policies of a gateway: as they were read, and as they were parsed.

use std::{collections::HashSet, path::Path};

use crate::{
    config::Config,
    definition::{self, Definition, Templates},
    document::{Document, Finding, Findings, Severity, read_all},
    policy::{self, Policy, PolicySet},
};

/// The documents of a gateway, as they were read. A running gateway keeps them: what it serves can be
/// compiled anew from them, whatever the files hold by then.
#[derive(Debug)]
pub(super) struct Documents {
    definitions: Vec<Document>,
    policies: Vec<Document>,
    templates: Templates,
    /// Which of them could not be read.
    unread: Findings,
}

/// What they say.
pub(super) struct Parsed {
    pub(super) definitions: Vec<Definition>,
    pub(super) policies: PolicySet,
}

/// Reads everything that a gateway with this configuration would, and starts nothing.
pub fn check(config: &Config, findings: &mut Findings) {
    Documents::read(config).parse(config, findings);
}

impl Documents {
    pub(super) fn read(config: &Config) -> Self {
        let (definitions, mut unread) = read_all(&config.definitions);
        let (policies, more) = config.policies.as_deref().map(read_all).unwrap_or_default();
        unread.append(more);
        let templates = Templates::read(&config.template_path);
        Self { definitions, policies, templates, unread }
    }

    /// What they say; nothing if one of them has an error.
    pub(super) fn parse(&self, config: &Config, findings: &mut Findings) -> Option<Parsed> {
        findings.append(self.unread.clone());
        let (secrets, fetching) = (&config.secrets, &config.fetching);
        let loaded = definition::load(&self.definitions, secrets, &self.templates, fetching);
        findings.append(loaded.findings);
        let (policies, found) = policy::load(&self.policies);
        findings.append(found);
        // What has an error is missing below, and must not be called unknown on top of that.
        if findings.has_errors() {
            return None;
        }
        if loaded.definitions.is_empty() {
            let message =
                "there are no definitions here (.yaml, .yml or .json), so every request is answered with 404";
            findings.push(warning(&config.definitions, message.into()));
        }
        warn_about_references(&loaded.definitions, &policies, findings);
        Some(Parsed { definitions: loaded.definitions, policies })
    }
}

/// Ids that lead nowhere: callers who depend on them get no rights.
fn warn_about_references(definitions: &[Definition], policies: &PolicySet, findings: &mut Findings) {
    let schemes =
        definitions.iter().flat_map(|definition| definition.jwt_schemes().map(move |jwt| (definition, jwt)));
    for (definition, jwt) in schemes {
        let scopes = || jwt.selection.scopes.iter().flat_map(policy::Scopes::policies);
        let rules = || jwt.selection.rules.iter().flat_map(policy::PolicyRules::policies);
        let ids = || jwt.selection.defaults.iter().chain(scopes()).chain(rules());
        let grants = |policy: &Policy| policy.rights.iter().any(|(api, _)| *api == definition.id);
        let org_id = &jwt.selection.org_id;
        let nothing_grants = !ids().filter_map(|id| policies.get(org_id, id)).any(|policy| grants(policy));
        for id in ids() {
            let why = match policies.get(org_id, id) {
                None if policies.knows(id) => "belongs to another organisation",
                None => "does not exist",
                Some(policy) if !policy.active => "is not active",
                Some(_) if nothing_grants => "does not grant it, and neither does another one",
                Some(_) => continue,
            };
            let message =
                format!("the policy {id}, which this API selects, {why}; callers who depend on it get 403");
            findings.push(warning(&definition.file, message));
        }
    }
    let known: HashSet<&str> = definitions.iter().map(|definition| &*definition.id).collect();
    for policy in policies.iter() {
        for (api, _) in policy.rights.iter().filter(|(api, _)| !known.contains(&**api)) {
            let message = format!("the policy {} grants the API {api}, which does not exist", policy.id);
            findings.push(warning(&policy.file, message));
        }
    }
}

fn warning(file: &Path, message: String) -> Finding {
    Finding { severity: Severity::Warning, ..Finding::of_file(file, message) }
}
