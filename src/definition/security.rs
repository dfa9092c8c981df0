//! Who may come in: the security requirements of a document, and the schemes that they name.

use std::sync::Arc;

use serde_json::Value;

use super::{
    SecurityScheme, api_key::is_api_key, context::Context, fields::SCHEME, places::RawPlaces, raw,
    scheme::SchemeParser,
};
use crate::{
    auth::{Place, Requirement, Security},
    document::FieldPath,
};

/// The schemes of a document and what it says of them, in its several places.
pub(super) struct SecurityParser<'s, 'p> {
    pub(super) context: &'s mut Context<'p>,
    /// Where `authentication` stands.
    pub(super) at: FieldPath,
    pub(super) authentication: &'s raw::Authentication,
    pub(super) openapi: &'s raw::Members<raw::OpenApiScheme>,
    pub(super) security: Option<&'s [raw::Members<Value>]>,
    pub(super) refined: &'s raw::Members<raw::ClaimgateScheme>,
    pub(super) org_id: &'s str,
    pub(super) paths: &'s serde_json::Map<String, Value>,
}

/// Who may come in.
#[derive(Debug, Default)]
pub(super) struct Admission {
    /// What must be met; nothing for everybody.
    pub(super) security: Option<Security<Arc<SecurityScheme>>>,
    /// Where credentials of schemes may be that are configured, and not required.
    pub(super) unused_places: Vec<Place>,
}

/// How `security` is read (`securityProcessingMode`).
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// The first requirement counts alone.
    Legacy,
    /// One of the requirements must be met.
    Compliant,
}

/// What is presented. The order is that in which Tyk checks in legacy mode.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Jwt,
    ApiKey,
}

impl Kind {
    const fn of(scheme: &SecurityScheme) -> Self {
        match scheme {
            SecurityScheme::Jwt(_) => Self::Jwt,
            SecurityScheme::ApiKey(_) => Self::ApiKey,
        }
    }
}

/// A requirement as it is written: where, and the names of its schemes.
type Named<'s> = (FieldPath, Vec<&'s str>);

/// A scheme that is named in requirements; nothing if it has an error.
type Parsed<'s> = (&'s str, Option<Arc<SecurityScheme>>);

impl<'s> SecurityParser<'s, '_> {
    fn error(&mut self, at: &FieldPath, message: impl Into<String>) {
        self.context.error(at, message);
    }

    /// What must be met; nothing after an error.
    pub(super) fn parse(mut self) -> Option<Admission> {
        if self.authentication.enabled != Some(true) {
            return self.is_switched_off().then(Admission::default);
        }
        let mode = self.mode();
        let named = self.requirements(mode)?;
        let mut parsed: Vec<Parsed<'_>> = Vec::new();
        for (at, names) in &named {
            for name in names {
                if !parsed.iter().any(|(known, _)| known == name) {
                    let scheme = self.scheme(at, name);
                    parsed.push((name, scheme.map(Arc::new)));
                }
            }
        }
        let unused_places = self.unused(&parsed);
        self.refuse_refinements_of_others(&parsed);
        let base = self.base(&parsed)?;
        let mut requirements = Vec::with_capacity(named.len());
        for (_, names) in &named {
            let scheme = |name: &&str| parsed.iter().find(|(known, _)| known == name)?.1.clone();
            let mut schemes = names.iter().map(scheme).collect::<Option<Vec<_>>>()?;
            if mode == Mode::Legacy {
                // Tyk's fixed order. A stable sort: schemes of one kind stay in theirs.
                schemes.sort_by_key(|scheme| Kind::of(scheme));
            }
            requirements.push(requirement(schemes, base)?);
        }
        Some(Admission { security: Some(Security::new(requirements)?), unused_places })
    }

    /// Whose session counts (`baseIdentityProvider`), if it is said; nothing after an error.
    fn base(&mut self, parsed: &[Parsed<'_>]) -> Option<Option<Kind>> {
        let at = self.at.member("baseIdentityProvider");
        let kind = match self.authentication.base_identity_provider.as_str() {
            "" => return Some(None),
            "jwt_claim" => Kind::Jwt,
            "auth_token" => Kind::ApiKey,
            _ => {
                self.error(&at, "only jwt_claim or auth_token can give the session; write one of these");
                return None;
            }
        };
        let mut schemes = parsed.iter().map(|(_, scheme)| scheme);
        if schemes.all(|scheme| scheme.as_ref().is_some_and(|scheme| Kind::of(scheme) != kind)) {
            self.error(&at, "no scheme of this kind is required, so it cannot give the session; correct it");
            return None;
        }
        Some(Some(kind))
    }

    /// Whether authentication is off, and may be.
    fn is_switched_off(&mut self) -> bool {
        let is_off = |scheme: &Value| scheme.get("enabled") == Some(&Value::Bool(false));
        let configured = self.authentication.security_schemes.iter().any(|(_, scheme)| !is_off(scheme));
        if !configured && !self.is_required() {
            if self.authentication.enabled.is_none() && !self.openapi.is_empty() {
                let message =
                    "schemes are declared, but neither required nor configured: everybody may use this API";
                self.context.warning(&FieldPath::top().members(&["components", "securitySchemes"]), message);
            }
            return true;
        }
        if self.authentication.enabled.is_none() {
            let message = "a scheme is required or configured, but authentication is not: everybody could use this API; write enabled: true here with the scheme, or enabled: false if that is meant";
            let at = self.at.clone();
            self.error(&at, message);
            return false;
        }
        let message =
            "authentication is off: everybody may use this API, although a scheme is required or configured";
        self.context.warning(&self.at.member("enabled"), message);
        true
    }

    /// Whether the document requires a scheme, for the whole API or for one of its operations.
    fn is_required(&self) -> bool {
        let of_operation = |operation: &Value| {
            operation.get("security").and_then(Value::as_array).is_some_and(|list| {
                list.iter().any(|requirement| requirement.as_object().is_some_and(|r| !r.is_empty()))
            })
        };
        self.security.unwrap_or_default().iter().any(|requirement| !requirement.is_empty())
            || self
                .paths
                .values()
                .filter_map(Value::as_object)
                .flat_map(|item| item.values())
                .any(of_operation)
    }

    fn mode(&mut self) -> Mode {
        match self.authentication.security_processing_mode.as_str() {
            "compliant" => Mode::Compliant,
            "" | "legacy" => Mode::Legacy,
            _ => {
                let at = self.at.member("securityProcessingMode");
                self.error(&at, "write legacy or compliant");
                Mode::Legacy
            }
        }
    }

    /// The requirements that count, in order: those of the document, then those of the extension.
    fn requirements(&mut self, mode: Mode) -> Option<Vec<Named<'s>>> {
        let at = FieldPath::top().member("security");
        let declared = self.security.unwrap_or_default();
        let extended = self.authentication.security.as_slice();
        let (declared, extended) = match mode {
            Mode::Compliant => (declared, extended),
            Mode::Legacy => {
                self.warn_about_more_than_one(&at, declared, extended);
                (declared.get(..1).unwrap_or_default(), Default::default())
            }
        };
        let declared = declared.iter().enumerate().map(|(n, requirement)| {
            (at.element(n), requirement.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>())
        });
        let at_extended = self.at.member("security");
        let extended = extended
            .iter()
            .enumerate()
            .map(|(n, names)| (at_extended.element(n), names.iter().map(String::as_str).collect::<Vec<_>>()));
        let named: Vec<Named<'s>> = declared.chain(extended).collect();
        if named.is_empty() {
            let message = "authentication is on, but no scheme is required; name one, such as security: [{jwtAuth: []}]";
            self.error(&at, message);
            return None;
        }
        for (at, _) in named.iter().filter(|(_, names)| names.is_empty()) {
            let message = "authentication is on, but a requirement without a scheme would let everybody in; name a scheme, or remove it";
            self.error(at, message);
        }
        named.iter().all(|(_, names)| !names.is_empty()).then_some(named)
    }

    fn warn_about_more_than_one(
        &mut self,
        at: &FieldPath,
        declared: &[raw::Members<Value>],
        extended: &[Vec<String>],
    ) {
        let message = "only the first requirement of the document counts, and callers must meet it; write securityProcessingMode: compliant if any one of them is to do";
        if declared.len() > 1 {
            self.context.warning(&at.element(1), message);
        } else if !extended.is_empty() {
            self.context.warning(&self.at.member("security"), message);
        }
    }

    /// The scheme of this name, which the requirement at `at` names.
    fn scheme(&mut self, at: &FieldPath, name: &'s str) -> Option<SecurityScheme> {
        let Some((_, openapi)) = self.openapi.iter().find(|(own, _)| own == name) else {
            self.error(&at.member(name), not_declared(name));
            return None;
        };
        let (is_jwt, is_api_key) = (is_jwt(openapi), is_api_key(openapi));
        if !is_jwt && !is_api_key {
            let message = "this authentication method is not supported; require a JWT scheme (type http, scheme bearer, bearerFormat JWT) or an API key (type apiKey)";
            self.error(&FieldPath::top().members(&["components", "securitySchemes", name]), message);
            return None;
        }
        let at_schemes = self.at.member("securitySchemes");
        let Some((_, value)) = self.authentication.security_schemes.iter().find(|(own, _)| own == name)
        else {
            let message =
                format!("security requires the scheme {name}, which is not configured here; add it");
            self.error(&at_schemes, message);
            return None;
        };
        let at = at_schemes.member(name);
        if is_jwt {
            return self.jwt(&at, name, value).map(|jwt| SecurityScheme::Jwt(Box::new(jwt)));
        }
        if self.refined.iter().any(|(own, _)| own == name) {
            self.error(&at_refined(name), "only JWT schemes are refined here; remove this");
        }
        let scheme = self.context.api_key_scheme(&at, name, (openapi, value), self.org_id);
        scheme.map(SecurityScheme::ApiKey)
    }

    fn jwt(&mut self, at: &FieldPath, name: &str, value: &Value) -> Option<super::JwtScheme> {
        self.warn_about_empty_lists(at, value);
        let mut value = value.clone();
        SCHEME.check(self.context.document, at, &mut value, self.context.findings);
        let scheme: raw::Scheme = serde_json::from_value(value).unwrap_or_default();
        if !scheme.enabled {
            let message = "security requires this scheme, but it is off; set it to true";
            self.error(&at.member("enabled"), message);
            return None;
        }
        let unrefined = raw::ClaimgateScheme::default();
        let refined = self.refined.iter().find(|(own, _)| own == name).map(|(_, refined)| refined);
        let parser = SchemeParser {
            context: self.context,
            name,
            at: at.clone(),
            at_claimgate: at_refined(name),
            org_id: self.org_id,
        };
        parser.parse(&scheme, refined.unwrap_or(&unrefined))
    }

    /// Tells of lists of what is allowed that are there and empty. As in Tyk they allow everything.
    fn warn_about_empty_lists(&mut self, at: &FieldPath, scheme: &Value) {
        for (field, passes) in [
            ("allowedIssuers", "tokens of every issuer"),
            ("allowedAudiences", "tokens for every audience"),
            ("allowedSubjects", "every subject"),
        ] {
            if scheme.get(field).and_then(Value::as_array).is_some_and(Vec::is_empty) {
                let message = format!(
                    "an empty list switches this check off: {passes} may pass; list those that may, or remove this"
                );
                self.context.warning(&at.member(field), message);
            }
        }
    }

    /// Tells of the schemes that are configured and not required: nobody needs them, but their
    /// credentials are taken out of requests as well.
    fn unused(&mut self, required: &[Parsed<'_>]) -> Vec<Place> {
        let mut places = Vec::new();
        for (name, value) in &self.authentication.security_schemes {
            let is_on = value.get("enabled") == Some(&Value::Bool(true));
            if !is_on || required.iter().any(|(own, _)| own == name) {
                continue;
            }
            let message = "this scheme is configured, but no requirement that counts names it: nobody needs it to come in";
            self.context.warning(&self.at.member("securitySchemes").member(name), message);
            places.extend(unused_places(value));
        }
        places
    }

    fn refuse_refinements_of_others(&mut self, required: &[Parsed<'_>]) {
        let names = required.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
        for (name, _) in self.refined {
            if !required.iter().any(|(own, _)| own == name) {
                let message = format!("this refines no scheme that is in use; in use: {names}");
                self.error(&at_refined(name), message);
            }
        }
    }
}

/// What is said of a scheme that a requirement names and the document does not declare.
pub(super) fn not_declared(name: &str) -> String {
    format!("the scheme {name} is not in components.securitySchemes; add it there, or correct its name")
}

/// These schemes as one requirement. The first of the kind that is said gives the session, else an API
/// key, else the last, as in Tyk.
fn requirement(
    mut schemes: Vec<Arc<SecurityScheme>>,
    base: Option<Kind>,
) -> Option<Requirement<Arc<SecurityScheme>>> {
    let of_kind = |kind| schemes.iter().position(|scheme| Kind::of(scheme) == kind);
    let session = base.and_then(of_kind).or_else(|| of_kind(Kind::ApiKey));
    let after = session.map(|session| schemes.split_off(session.saturating_add(1))).unwrap_or_default();
    let session = schemes.pop()?;
    Some(Requirement { before: schemes, session, after })
}

/// Where the credential of a scheme may be that is not used.
fn unused_places(scheme: &Value) -> Vec<Place> {
    let place = |kind: &str| -> Option<raw::Place> { serde_json::from_value(scheme.get(kind)?.clone()).ok() };
    let (header, query, cookie) = (place("header"), place("query"), place("cookie"));
    let places = RawPlaces { header: header.as_ref(), query: query.as_ref(), cookie: cookie.as_ref() };
    places.parse().unwrap_or_default()
}

fn at_refined(name: &str) -> FieldPath {
    FieldPath::top().members(&["x-claimgate", "server", "authentication", "securitySchemes", name])
}

/// Names of schemes are compared without letter case (RFC 9110 section 11.1).
fn is_jwt(scheme: &raw::OpenApiScheme) -> bool {
    scheme.r#type.eq_ignore_ascii_case("http")
        && scheme.scheme.eq_ignore_ascii_case("bearer")
        && scheme.bearer_format.eq_ignore_ascii_case("jwt")
}
