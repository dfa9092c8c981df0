//! The scopes that the `security` lists of a document ask for (`scopeCheck`, `autoDeriveScopes`).

use std::{collections::HashSet, sync::Arc};

use serde_json::{Map, Value};

use super::{
    SecurityScheme,
    context::Context,
    jwt_schemes,
    operations::{Declared, declared},
    raw,
};
use crate::{
    access::{RequiredScopes, SchemeScopes, is_scope},
    auth::Security,
    document::FieldPath,
};

/// What a document asks of the tokens of its schemes.
pub(super) struct Demands<'d> {
    security: Vec<Requirement<'d>>,
    paths: &'d Map<String, Value>,
    required: Option<&'d Security<Arc<SecurityScheme>>>,
    /// The names of the schemes whose scopes are checked.
    checked: Vec<&'d str>,
}

/// The schemes of a requirement and their scopes.
type Requirement<'d> = Vec<(&'d str, &'d Value)>;

impl<'d> Demands<'d> {
    /// What these requirements of the whole document, and those of the operations of these paths, ask of
    /// the schemes that are required.
    pub(super) fn new(
        security: Option<&'d [raw::Members<Value>]>,
        paths: &'d Map<String, Value>,
        required: Option<&'d Security<Arc<SecurityScheme>>>,
    ) -> Self {
        let requirement = |members: &'d raw::Members<Value>| {
            members.iter().map(|(name, scopes)| (name.as_str(), scopes)).collect()
        };
        let security = security.unwrap_or_default().iter().map(requirement).collect();
        let schemes = required.into_iter().flat_map(jwt_schemes);
        let checked = schemes.filter(|scheme| scheme.scope_check.is_some());
        Self { security, paths, required, checked: checked.map(|scheme| &*scheme.name).collect() }
    }

    /// Whether scopes of any scheme are checked.
    pub(super) const fn check_scopes(&self) -> bool {
        !self.checked.is_empty()
    }

    /// What is asked of requests whose operation asks for nothing itself.
    pub(super) fn of_api(&self, context: &mut Context<'_>) -> SchemeScopes {
        if !self.checked.is_empty() {
            self.warn_about_others(context);
            if self.asked_of(&self.checked).next().is_none() {
                let message = "scopeCheck is on, but no requirement names a scope, so none is asked for; name some, such as [{jwtAuth: [orders:read]}], here or for operations";
                context.warning(&FieldPath::top().member("security"), message);
            }
            for (path, _) in self.paths.iter().filter(|(_, item)| item.get("$ref").is_some()) {
                let message = "the operations behind a reference are not read, so their scopes would not be asked for; write them here";
                context.error(&FieldPath::top().members(&["paths", path]), message);
            }
        }
        self.demand(context, &FieldPath::top().member("security"), &self.security)
    }

    /// Whom the check does not reach. The scopes of a token count where it gives the session.
    fn warn_about_others(&self, context: &mut Context<'_>) {
        let at = FieldPath::top().member("security");
        for requirement in self.required.into_iter().flat_map(Security::requirements) {
            for scheme in requirement.schemes() {
                let gives_session = Arc::ptr_eq(scheme, &requirement.session);
                let SecurityScheme::Jwt(jwt) = &**scheme else {
                    if gives_session {
                        let message =
                            "an API key has no scopes, so none are asked of callers who come with one";
                        context.warning(&at, message);
                    }
                    continue;
                };
                match (jwt.scope_check.is_some(), gives_session) {
                    (true, false) => {
                        let message = format!(
                            "the scopes of {} cannot be checked where another scheme says who the caller is; let this one do so (the last one does, or see baseIdentityProvider), or switch its scopeCheck off",
                            jwt.name
                        );
                        context.error(&at, message);
                    }
                    (false, true) => {
                        let message = format!(
                            "the scopes of {} are not checked, so its callers need none; switch on its scopeCheck if they should",
                            jwt.name
                        );
                        context.warning(&at, message);
                    }
                    _ => {}
                }
            }
        }
    }

    /// All scopes that the document asks of its schemes, each where it comes first.
    pub(super) fn derived(&self) -> Vec<String> {
        let schemes: Vec<&str> =
            self.required.into_iter().flat_map(jwt_schemes).map(|scheme| &*scheme.name).collect();
        let mut seen = HashSet::new();
        self.asked_of(&schemes).filter(|scope| seen.insert(*scope)).map(String::from).collect()
    }

    /// The scopes that the document asks of these schemes, in its order.
    fn asked_of(&self, schemes: &[&str]) -> impl Iterator<Item = &'d str> {
        let operations = declared(self.paths).into_iter();
        let of_operations = operations.filter_map(|operation| requirements(operation.security?));
        let named = self.security.iter().cloned().chain(of_operations.flatten()).flatten();
        named
            .filter(|(name, _)| schemes.contains(name))
            .filter_map(|(_, scopes)| texts(scopes))
            .flatten()
            .filter(|scope| is_scope(scope))
    }

    /// Tells of what an operation asks and nobody enforces, as in Tyk: the requirements that count are those
    /// of the whole document.
    pub(super) fn warn_about_other_schemes(&self, context: &mut Context<'_>, operation: &Declared<'_>) {
        let Some(asked) = operation.security.and_then(requirements).filter(|asked| !asked.is_empty()) else {
            return;
        };
        for met in self.required.into_iter().flat_map(Security::requirements) {
            let names: Vec<&str> = met.schemes().map(|scheme| scheme.name()).collect();
            let is_enough = |asked: &Requirement<'_>| asked.iter().all(|(name, _)| names.contains(name));
            // The check of scopes refuses the tokens of a scheme that the operation does not name.
            let session = met.session.name();
            let is_refused =
                self.checked.contains(&session) && !asked.iter().flatten().any(|(name, _)| *name == session);
            if !is_refused && !asked.iter().any(is_enough) {
                let message = format!(
                    "this asks for other schemes than the whole document does, and callers who meet [{}] pass without them, as in Tyk; require them in the security of the document, in an API of its own if need be",
                    names.join(", ")
                );
                context.warning(&operation.at.member("security"), message);
                return;
            }
        }
    }

    /// What an operation asks for itself, if it does.
    pub(super) fn of_operation(
        &self,
        context: &mut Context<'_>,
        operation: &Declared<'_>,
    ) -> Option<SchemeScopes> {
        let security = operation.security.filter(|_| !self.checked.is_empty())?;
        let at = &operation.at.member("security");
        let Some(requirements) = requirements(security) else {
            context.error(at, "a list of requirements is expected here, such as [{jwtAuth: [orders:read]}]");
            return None;
        };
        Some(self.demand(context, at, &requirements))
    }

    fn demand(
        &self,
        context: &mut Context<'_>,
        at: &FieldPath,
        requirements: &[Requirement<'_>],
    ) -> SchemeScopes {
        for (n, requirement) in requirements.iter().enumerate() {
            self.check(context, &at.element(n), requirement);
        }
        let demand = |name: &&str| {
            let sets: Vec<Vec<String>> = match requirements {
                [] => vec![Vec::new()],
                some => some.iter().filter_map(|requirement| set_of(requirement, name)).collect(),
            };
            if sets.is_empty() && !context.is_broken(at) {
                let message =
                    format!("no requirement names the scheme {name}, so its tokens are refused here");
                context.warning(at, message);
            }
            (Box::from(*name), RequiredScopes::one_of(sets))
        };
        SchemeScopes::new(self.checked.iter().map(demand))
    }

    /// Scopes that could not be checked as they are written.
    fn check(&self, context: &mut Context<'_>, at: &FieldPath, requirement: &Requirement<'_>) {
        for (name, scopes) in requirement.iter().filter(|(name, _)| self.checked.contains(name)) {
            let at = at.member(name);
            match texts(scopes) {
                None => context.error(&at, "a list of scopes is expected here"),
                Some(scopes) => {
                    for (n, _) in scopes.iter().enumerate().filter(|(_, scope)| !is_scope(scope)) {
                        let message = "a scope is one word without quotes and backslashes (RFC 6749 section 3.3); write each as an element of its own";
                        context.error(&at.element(n), message);
                    }
                }
            }
        }
        let with_scopes =
            requirement.iter().filter(|(_, scopes)| scopes.as_array().is_none_or(|list| !list.is_empty()));
        if !self.checked.is_empty() && with_scopes.count() > 1 {
            let message = "scopes of several schemes in one requirement cannot be checked yet: only those of the token that gives the session are; name those of one scheme";
            context.error(at, message);
        }
    }
}

/// The requirements of a list; nothing if it is none.
fn requirements(security: &Value) -> Option<Vec<Requirement<'_>>> {
    security.as_array()?.iter().map(requirement).collect()
}

fn requirement(requirement: &Value) -> Option<Requirement<'_>> {
    let members = requirement.as_object()?.iter();
    Some(members.map(|(name, scopes)| (name.as_str(), scopes)).collect())
}

/// The scopes that a requirement asks of a scheme; nothing if it does not name it. One that names no
/// scheme asks for nothing.
fn set_of(requirement: &Requirement<'_>, name: &str) -> Option<Vec<String>> {
    if requirement.is_empty() {
        return Some(Vec::new());
    }
    let (_, scopes) = requirement.iter().find(|(own, _)| *own == name)?;
    // What is no list of texts is an error of its own.
    Some(texts(scopes).unwrap_or_default().into_iter().map(String::from).collect())
}

fn texts(scopes: &Value) -> Option<Vec<&str>> {
    scopes.as_array()?.iter().map(Value::as_str).collect()
}
