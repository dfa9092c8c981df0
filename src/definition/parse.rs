//! The mirror of a document into a definition.

use std::sync::Arc;

use super::{
    Definition, Destination, Expiration, ListenPath, State,
    context::Context,
    limits,
    middleware::MiddlewareParser,
    operations::PREFLIGHTS_KEEP_THEIR_METHOD,
    overrides::{self, RuleParser},
    raw::{self, OpenApi, Tyk},
    scopes::Demands,
    security::SecurityParser,
    upstream::{self, Servers},
    versions,
};
use crate::{
    api_address::{ApiName, ApiUpstream},
    calendar,
    document::FieldPath,
    listen::{ListenAt, ListenHost},
    middleware::{CorsPolicy, ResourceMetadata},
    refusal::Overrides,
};

/// Every default and refusal is in here and in the parsers that this calls.
impl Context<'_> {
    /// The definition; nothing if it cannot be one. The findings say whether it may be served.
    pub(super) fn parse(mut self, raw: OpenApi) -> Option<Definition> {
        let OpenApi { paths, components, security, tyk, claimgate, .. } = raw;
        let tyk = tyk?;
        let at = FieldPath::top().member("x-tyk-api-gateway");
        let id = self.id(&at, &tyk.info);
        let listen_path = self.listen_path(&at, &tyk.server.listen_path);
        let domain = self.domain(&at, &tyk.server.custom_domain);
        let servers = Servers::new(&mut self, &at, &tyk.upstream);
        let destination = upstream::destination(&mut self, &at, &tyk.upstream, &servers);
        let mut leads_to = addressed(&at, destination.as_ref());
        let at_versions = at.members(&["info", "versioning"]);
        let versions = versions::versions(&mut self, &at_versions, &tyk.info.versioning, &mut leads_to);
        let authentication = &tyk.server.authentication;
        let admission = SecurityParser {
            context: &mut self,
            at: at.members(&["server", "authentication"]),
            authentication,
            openapi: &components.security_schemes,
            security: security.as_deref(),
            refined: &claimgate.server.authentication.security_schemes,
            org_id: &tyk.info.org_id,
            paths: &paths,
        }
        .parse();
        let required = admission.as_ref().and_then(|admission| admission.security.as_ref());
        let demands = Demands::new(security.as_deref(), &paths, required);
        let middleware = MiddlewareParser {
            context: &mut self,
            at: &at,
            tyk: &tyk,
            refined: &claimgate,
            paths: &paths,
            schemes: &components.security_schemes,
            required,
            demands: &demands,
            servers: &servers,
            leads_to: &mut leads_to,
        }
        .parse();
        let metadata = self.resource_metadata(&at, &authentication.protected_resource_metadata, &demands);
        let refined_rate = &claimgate.upstream.rate_limit;
        let limits = limits::limits(&mut self, &at, &tyk, refined_rate, &middleware.operations);
        let cors = self.cors(&at, &tyk.middleware.global.cors, destination.as_ref());
        let admission = admission?;
        Some(Definition {
            file: self.document.path().to_owned(),
            id: id?,
            state: state(&tyk, &self.given.tags),
            expiration: expiration(&tyk.info.expiration),
            versions,
            domain,
            listen_path: listen_path?,
            destination: destination?,
            leads_to,
            security: admission.security,
            strip_authorization_data: authentication.strip_authorization_data,
            unused_places: admission.unused_places,
            context_variables: middleware.context_variables,
            request_headers: middleware.request_headers,
            response_headers: middleware.response_headers,
            claim_headers: middleware.claim_headers,
            metadata,
            cors,
            operations: middleware.operations,
            unanchored_paths: middleware.unanchored_paths,
            restrictions: middleware.restrictions,
            overrides: self.error_overrides(&at.member("errorOverrides"), &tyk.error_overrides),
            limits,
            name: tyk.info.name,
        })
    }

    /// What pages of other origins may do. Preflights that pass without a token keep their method.
    fn cors(
        &mut self,
        at: &FieldPath,
        raw: &raw::Cors,
        destination: Option<&Destination>,
    ) -> Option<CorsPolicy> {
        if let Some(Destination::Api(ApiUpstream { address, .. })) = destination
            && raw.enabled
            && raw.options_passthrough
            && address.method.is_some()
        {
            self.warning(&at.members(&["upstream", "url"]), PREFLIGHTS_KEEP_THEIR_METHOD);
        }
        raw.enabled.then(|| cors(raw))
    }

    /// What the API tells about who issues its tokens.
    fn resource_metadata(
        &mut self,
        at: &FieldPath,
        told: &raw::ProtectedResourceMetadata,
        demands: &Demands<'_>,
    ) -> Option<ResourceMetadata> {
        if told.enabled && told.resource.is_empty() {
            let at = at.members(&["server", "authentication", "protectedResourceMetadata", "resource"]);
            let message = "clients refuse metadata that does not name its resource (RFC 9728 section 3.3); write the URL of this API, as they know it";
            self.warning(&at, message);
        }
        let derived = if told.auto_derive_scopes { demands.derived() } else { Vec::new() };
        told.enabled.then(|| metadata(told, derived))
    }

    fn error_overrides(&mut self, at: &FieldPath, raw: &raw::ErrorOverrides) -> Overrides {
        if !raw.enabled {
            return Overrides::default();
        }
        let parser = RuleParser {
            document: self.document,
            findings: self.findings,
            templates: &self.given.templates,
            names: &overrides::OF_DEFINITION,
        };
        parser.parse(&at.member("value"), &raw.value)
    }

    fn id(&mut self, at: &FieldPath, info: &raw::Info) -> Option<Arc<str>> {
        if info.name.is_empty() {
            self.error(&at.members(&["info", "name"]), "an API needs a name; add one");
        }
        let at = at.members(&["info", "id"]);
        if info.id.is_empty() {
            self.error(&at, "an API needs an id, for that is what policies grant; add one");
            return None;
        }
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '~');
        if !info.id.chars().all(allowed) || info.id.contains("..") {
            self.error(&at, "an API id may hold letters, digits, `.`, `_`, `-` and `~`; change it");
            return None;
        }
        Some(info.id.as_str().into())
    }

    fn listen_path(&mut self, at: &FieldPath, listen_path: &raw::ListenPath) -> Option<ListenPath> {
        let at = at.members(&["server", "listenPath", "value"]);
        let value = listen_path.value.trim();
        if value.is_empty() {
            self.error(&at, "an API needs a listen path; write one such as /orders/");
            return None;
        }
        let value = if value.starts_with('/') { value.to_owned() } else { format!("/{value}") };
        // In braces there is a regular expression, and these mean something else.
        let plain: String = outside_braces(&value);
        let odd = plain.contains(['?', '#', '%', '\\', ' ', '*']) || plain.contains("//");
        let dots = plain.split('/').any(|segment| matches!(segment, "." | ".."));
        if odd || dots || value.chars().any(char::is_control) {
            let message = "a listen path is a plain path, but for {name} and {name:regex}: no query, escapes, spaces, dot segments or empty segments";
            self.error(&at, message);
            return None;
        }
        match ListenAt::new(&value) {
            Ok(listen) => Some(ListenPath { at: listen, strip: listen_path.strip }),
            Err(reason) => {
                self.error(&at, reason.to_string());
                None
            }
        }
    }

    fn domain(&mut self, at: &FieldPath, domain: &raw::CustomDomain) -> Option<ListenHost> {
        if !domain.enabled {
            return None;
        }
        let at = at.members(&["server", "customDomain", "name"]);
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
        let outside = outside_braces(&domain.name);
        if domain.name.is_empty() || !outside.chars().all(plain) {
            let message = "a custom domain is a host name such as api.example.com, or a pattern of one such as {name:[a-z]+}.example.com; correct it";
            self.error(&at, message);
            return None;
        }
        ListenHost::new(&domain.name).map_err(|reason| self.error(&at, reason.to_string())).ok()
    }
}

/// A text with an `x` in the place of each `{name}`.
fn outside_braces(text: &str) -> String {
    let mut depth = 0_usize;
    let mut outside = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '{' => depth = depth.saturating_add(1),
            '}' => {
                depth = depth.saturating_sub(1);
                outside.push('x');
            }
            c if depth == 0 => outside.push(c),
            _ => {}
        }
    }
    outside
}

/// An unreadable time is told where it is known what becomes of it.
fn expiration(text: &str) -> Option<Expiration> {
    let text = Some(text.trim()).filter(|text| !text.is_empty())?;
    Some(calendar::parse_minute(text).map_or(Expiration::Unreadable, Expiration::At))
}

/// A gateway without tags serves every API, one with tags those that have one of them, as in Tyk.
fn state(tyk: &Tyk, tags: &[String]) -> State {
    let own = &tyk.server.gateway_tags;
    let is_here = tags.is_empty() || (own.enabled && own.tags.iter().any(|tag| tags.contains(tag)));
    let state = &tyk.info.state;
    match (is_here && state.active.unwrap_or(true), state.internal) {
        (false, _) => State::Inactive,
        (true, true) => State::Internal,
        (true, false) => State::Public,
    }
}

/// The API that requests go to instead of an upstream.
fn addressed(at: &FieldPath, destination: Option<&Destination>) -> Vec<(ApiName, FieldPath)> {
    let Some(Destination::Api(ApiUpstream { address, .. })) = destination else { return Vec::new() };
    address.api.name().map(|name| (name.clone(), at.members(&["upstream", "url"]))).into_iter().collect()
}

/// The scopes that are listed come before those that are derived from the document.
fn metadata(raw: &raw::ProtectedResourceMetadata, derived: Vec<String>) -> ResourceMetadata {
    let mut scopes = raw.scopes_supported.clone();
    scopes.extend(derived.into_iter().filter(|scope| !raw.scopes_supported.contains(scope)));
    ResourceMetadata::new(&raw.well_known_path, &raw.resource, &raw.authorization_servers, &scopes)
}

fn cors(cors: &raw::Cors) -> CorsPolicy {
    CorsPolicy {
        allowed_origins: cors.allowed_origins.clone(),
        allowed_methods: cors.allowed_methods.clone(),
        allowed_headers: cors.allowed_headers.clone(),
        exposed_headers: cors.exposed_headers.clone(),
        allow_credentials: cors.allow_credentials,
        max_age: cors.max_age,
        options_passthrough: cors.options_passthrough,
    }
}
