//! The mirror of a document into a definition.

use std::sync::Arc;

use http::Method;
use serde_json::Value;

use super::{
    Definition, ListenPath,
    claim_headers::ClaimHeadersParser,
    context::Context,
    limits,
    overrides::{self, RuleParser},
    raw::{self, OpenApi, Tyk},
    security::SecurityParser,
    transform,
};
use crate::{
    document::FieldPath,
    middleware::{CorsPolicy, Operation, Operations, PathTemplate, ResourceMetadata},
    proxy::Upstream,
    refusal::Overrides,
};

/// Every default and refusal is in here and in the parsers that this calls.
impl Context<'_> {
    /// The definition; nothing if it cannot be one. The findings say whether it may be served.
    pub(super) fn parse(mut self, raw: OpenApi) -> Option<Definition> {
        let OpenApi { paths, components, security, tyk, claimgate, .. } = raw;
        let raw::Claimgate { server: refined, middleware: raw::ClaimgateMiddleware { global: of_claims } } =
            claimgate;
        let tyk = tyk?;
        let at = FieldPath::top().member("x-tyk-api-gateway");
        let id = self.id(&at, &tyk.info);
        let listen_path = self.listen_path(&at, &tyk.server.listen_path);
        let domain = self.domain(&at, &tyk.server.custom_domain);
        let upstream = self.upstream(&at, &tyk.upstream);
        let authentication = &tyk.server.authentication;
        let admission = SecurityParser {
            context: &mut self,
            at: at.members(&["server", "authentication"]),
            authentication,
            openapi: &components.security_schemes,
            security: security.as_deref(),
            refined: &refined.authentication.security_schemes,
            org_id: &tyk.info.org_id,
            paths: &paths,
        }
        .parse();
        let context_variables = context_variables(&tyk);
        let at_middleware = at.member("middleware");
        let at_global = at_middleware.member("global");
        let global = &tyk.middleware.global;
        let request_headers = transform::headers(
            &mut self,
            &at_global.member("transformRequestHeaders"),
            &global.transform_request_headers,
            context_variables,
        );
        let response_headers = transform::headers(
            &mut self,
            &at_global.member("transformResponseHeaders"),
            &global.transform_response_headers,
            context_variables,
        );
        let operations = self.operations(
            &at_middleware.member("operations"),
            &tyk.middleware.operations,
            &paths,
            context_variables,
        );
        let at_claimgate = FieldPath::top().member("x-claimgate");
        let claim_headers =
            ClaimHeadersParser { context: &mut self, at: at_claimgate.members(&["middleware", "global"]) }
                .parse(&of_claims, &request_headers, &operations);
        let admission = admission?;
        let limits = limits::limits(&mut self, &at, &tyk, &paths);
        Some(Definition {
            file: self.document.path().to_owned(),
            id: id?,
            name: tyk.info.name,
            served: tyk.info.state.active.unwrap_or(true) && !tyk.info.state.internal,
            domain,
            listen_path: listen_path?,
            upstream: upstream?,
            security: admission.security,
            strip_authorization_data: authentication.strip_authorization_data,
            unused_places: admission.unused_places,
            context_variables,
            request_headers,
            response_headers,
            claim_headers,
            metadata: metadata(&authentication.protected_resource_metadata),
            cors: global.cors.enabled.then(|| cors(&global.cors)),
            operations,
            overrides: self.error_overrides(&at.member("errorOverrides"), &tyk.error_overrides),
            limits,
        })
    }

    fn error_overrides(&mut self, at: &FieldPath, raw: &raw::ErrorOverrides) -> Overrides {
        if !raw.enabled {
            return Overrides::default();
        }
        let parser = RuleParser {
            document: self.document,
            findings: self.findings,
            templates: self.templates,
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
        if value.contains(['{', '}']) {
            self.error(&at, "patterns in listen paths are not supported yet; write the path out");
            return None;
        }
        let value = if value.starts_with('/') { value.to_owned() } else { format!("/{value}") };
        let odd = value.contains(['?', '#', '%', '\\', ' ', '*']) || value.contains("//");
        let dots = value.split('/').any(|segment| matches!(segment, "." | ".."));
        if odd || dots || value.chars().any(char::is_control) {
            self.error(
                &at,
                "a listen path is a plain path: no query, escapes, spaces, dot segments or empty segments",
            );
            return None;
        }
        Some(ListenPath { value, strip: listen_path.strip })
    }

    fn domain(&mut self, at: &FieldPath, domain: &raw::CustomDomain) -> Option<String> {
        if !domain.enabled {
            return None;
        }
        let at = at.members(&["server", "customDomain", "name"]);
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
        if domain.name.is_empty() || !domain.name.chars().all(plain) {
            self.error(
                &at,
                "a custom domain is a host name such as api.example.com; patterns are not supported yet",
            );
        }
        Some(domain.name.trim_end_matches('.').to_ascii_lowercase())
    }

    fn upstream(&mut self, at: &FieldPath, upstream: &raw::Upstream) -> Option<Upstream> {
        match Upstream::new(&upstream.url) {
            Ok(mut parsed) => {
                parsed.preserve_host = upstream.preserve_host_header.enabled;
                parsed.preserve_trailing_slash = upstream.preserve_trailing_slash.enabled;
                Some(parsed)
            }
            Err(reason) => {
                self.error(&at.members(&["upstream", "url"]), reason.to_string());
                None
            }
        }
    }

    fn operations(
        &mut self,
        at: &FieldPath,
        operations: &[(String, raw::Operation)],
        paths: &serde_json::Map<String, Value>,
        context_variables: bool,
    ) -> Operations {
        let mut parsed = Vec::with_capacity(operations.len());
        for (id, operation) in operations {
            let at = at.member(id);
            let Some((method, path)) = operation_path(paths, id) else {
                self.warning(
                    &at,
                    "no path of this document has an operation with this id; the block has no effect",
                );
                continue;
            };
            let path = match PathTemplate::new(path) {
                Ok(path) => path,
                Err(reason) => {
                    self.error(&FieldPath::top().members(&["paths", path]), reason.to_string());
                    continue;
                }
            };
            let mut headers =
                |field: &str, raw| transform::headers(self, &at.member(field), raw, context_variables);
            let request_headers = headers("transformRequestHeaders", &operation.transform_request_headers);
            let response_headers = headers("transformResponseHeaders", &operation.transform_response_headers);
            parsed.push(Operation {
                method,
                path,
                ignore_authentication: operation.ignore_authentication.enabled,
                request_headers,
                response_headers,
                mock: transform::mock(self, &at.member("mockResponse"), &operation.mock_response),
            });
        }
        if parsed.is_empty() {
            return Operations::default();
        }
        let declared: Vec<_> = paths.keys().filter_map(|path| PathTemplate::new(path).ok()).collect();
        Operations::new(parsed, &declared)
    }
}

/// The method and path of the operation with this id.
pub(super) fn operation_path<'p>(
    paths: &'p serde_json::Map<String, Value>,
    id: &str,
) -> Option<(Method, &'p str)> {
    const METHODS: [&str; 8] = ["get", "put", "post", "delete", "options", "head", "patch", "trace"];
    paths.iter().find_map(|(path, item)| {
        let has_id = |method: &&&str| {
            item.get(**method).and_then(|operation| operation.get("operationId")).and_then(Value::as_str)
                == Some(id)
        };
        let method = METHODS.iter().find(has_id)?;
        Some((Method::from_bytes(method.to_ascii_uppercase().as_bytes()).ok()?, path.as_str()))
    })
}

fn metadata(raw: &raw::ProtectedResourceMetadata) -> Option<ResourceMetadata> {
    raw.enabled.then(|| {
        ResourceMetadata::new(
            &raw.well_known_path,
            &raw.resource,
            &raw.authorization_servers,
            &raw.scopes_supported,
        )
    })
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

fn context_variables(tyk: &Tyk) -> bool {
    let global = tyk.middleware.global.context_variables.as_ref();
    global.map_or(tyk.server.context_variables.enabled, |switch| switch.enabled)
}
