//! The mirror of a document into a definition.

use std::sync::Arc;

use http::Method;
use serde_json::Value;

use super::{
    Definition, ListenPath, SecurityScheme,
    claim_headers::ClaimHeadersParser,
    context::Context,
    fields::SCHEME,
    raw::{self, OpenApi, Tyk},
    scheme::SchemeParser,
    transform,
};
use crate::{
    auth::Security,
    document::FieldPath,
    middleware::{CorsPolicy, Operation, Operations, PathTemplate, ResourceMetadata},
    proxy::Upstream,
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
        let schemes = Schemes {
            openapi: components.security_schemes,
            security,
            refined: refined.authentication.security_schemes,
            org_id: &tyk.info.org_id,
            paths: &paths,
        };
        let security = self.authentication(&at, &tyk.server.authentication, schemes);
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
        Some(Definition {
            file: self.document.path().to_owned(),
            id: id?,
            name: tyk.info.name,
            served: tyk.info.state.active.unwrap_or(true) && !tyk.info.state.internal,
            domain,
            listen_path: listen_path?,
            upstream: upstream?,
            security: security?,
            strip_authorization_data: tyk.server.authentication.strip_authorization_data,
            context_variables,
            request_headers,
            response_headers,
            claim_headers,
            metadata: metadata(&tyk.server.authentication.protected_resource_metadata),
            cors: global.cors.enabled.then(|| cors(&global.cors)),
            operations,
        })
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

    /// The scheme that callers must pass, or that there is none; nothing after an error.
    fn authentication(
        &mut self,
        at: &FieldPath,
        authentication: &raw::Authentication,
        schemes: Schemes<'_>,
    ) -> Option<Option<Security<Arc<SecurityScheme>>>> {
        let at = at.members(&["server", "authentication"]);
        if authentication.enabled != Some(true) {
            let is_off = |scheme: &Value| scheme.get("enabled") == Some(&Value::Bool(false));
            let configured = authentication.security_schemes.iter().any(|(_, scheme)| !is_off(scheme));
            let required = schemes.is_required();
            if !configured && !required {
                if authentication.enabled.is_none() && !schemes.openapi.is_empty() {
                    let message = "schemes are declared, but neither required nor configured: everybody may use this API";
                    self.warning(&FieldPath::top().members(&["components", "securitySchemes"]), message);
                }
                return Some(None);
            }
            if authentication.enabled.is_none() {
                let message = "a scheme is required or configured, but authentication is not: everybody could use this API; write enabled: true here with the scheme, or enabled: false if that is meant";
                self.error(&at, message);
                return None;
            }
            let message = "authentication is off: everybody may use this API, although a scheme is required or configured";
            self.warning(&at.member("enabled"), message);
            return Some(None);
        }
        if !matches!(authentication.base_identity_provider.as_str(), "" | "jwt_claim") {
            self.error(&at.member("baseIdentityProvider"), "only jwt_claim can give the session; write that");
        }
        let at_schemes = at.member("securitySchemes");
        let name = self.required_scheme(&at, authentication, &schemes)?;
        self.refuse_other_schemes(&at_schemes, authentication, &schemes, &name);
        let at_scheme = at_schemes.member(&name);
        let Some((_, value)) = authentication.security_schemes.iter().find(|(own, _)| *own == name) else {
            let message =
                format!("security requires the scheme {name}, which is not configured here; add it");
            self.error(&at_schemes, message);
            return None;
        };
        let mut value = value.clone();
        SCHEME.check(self.document, &at_scheme, &mut value, self.findings);
        let scheme: raw::Scheme = serde_json::from_value(value).unwrap_or_default();
        if !scheme.enabled {
            self.error(
                &at_scheme.member("enabled"),
                "security requires this scheme, but it is off; set it to true",
            );
            return None;
        }
        let org_id = schemes.org_id;
        let (at_claimgate, refined) = schemes.refined(&name);
        let parser = SchemeParser { context: self, at: at_scheme, at_claimgate, org_id };
        let jwt = parser.parse(&scheme, &refined)?;
        Some(Some(Arc::new(SecurityScheme::Jwt(jwt)).into()))
    }

    /// The name of the one scheme that `security` requires.
    fn required_scheme(
        &mut self,
        at: &FieldPath,
        authentication: &raw::Authentication,
        schemes: &Schemes<'_>,
    ) -> Option<String> {
        let compliant = authentication.security_processing_mode == "compliant";
        if !matches!(authentication.security_processing_mode.as_str(), "" | "legacy" | "compliant") {
            self.error(&at.member("securityProcessingMode"), "write legacy or compliant");
        }
        let at = FieldPath::top().member("security");
        let requirements = schemes.security.as_deref().unwrap_or_default();
        // In legacy mode the first requirement counts alone.
        let several = requirements.iter().skip(1).any(|_| compliant);
        let Some([(name, _), others @ ..]) = requirements.first().map(Vec::as_slice) else {
            self.error(&at, "authentication is on, but no scheme is required; name one, such as security: [{jwtAuth: []}]");
            return None;
        };
        if several || !others.is_empty() || authentication.security.is_some() {
            self.error(&at, "several schemes for one API are not supported yet; require one");
            return None;
        }
        let Some((_, scheme)) = schemes.openapi.iter().find(|(own, _)| own == name) else {
            let message = format!(
                "the scheme {name} is not in components.securitySchemes; add it there, or correct its name"
            );
            self.error(&at.element(0).member(name), message);
            return None;
        };
        if !is_jwt(scheme) {
            let message = "only JWT schemes are supported yet: type http, scheme bearer, bearerFormat JWT";
            self.error(&FieldPath::top().members(&["components", "securitySchemes", name]), message);
            return None;
        }
        Some(name.clone())
    }

    fn refuse_other_schemes(
        &mut self,
        at: &FieldPath,
        authentication: &raw::Authentication,
        schemes: &Schemes<'_>,
        required: &str,
    ) {
        for (name, scheme) in &authentication.security_schemes {
            let on = scheme.get("enabled") == Some(&Value::Bool(true));
            let jwt = schemes.openapi.iter().any(|(own, scheme)| own == name && is_jwt(scheme));
            if name == required || !on {
                continue;
            }
            if jwt {
                self.warning(
                    &at.member(name),
                    "this scheme is configured, but not required by security, and has no effect",
                );
            } else {
                let message = "this authentication method is not supported; use a JWT scheme, or keep this API where it is";
                self.error(&at.member(name), message);
            }
        }
        for (name, _) in &schemes.refined {
            if name != required {
                let at = FieldPath::top().members(&[
                    "x-claimgate",
                    "server",
                    "authentication",
                    "securitySchemes",
                    name,
                ]);
                self.error(
                    &at,
                    format!("this refines no scheme that is in use; the one in use is {required}"),
                );
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

/// What the OpenAPI part and our extension say of schemes.
struct Schemes<'s> {
    openapi: raw::Members<raw::OpenApiScheme>,
    security: Option<Vec<raw::Members<Value>>>,
    /// What our extension refines.
    refined: raw::Members<raw::ClaimgateScheme>,
    org_id: &'s str,
    paths: &'s serde_json::Map<String, Value>,
}

impl Schemes<'_> {
    /// Whether the document requires one, for the whole API or for one of its operations.
    fn is_required(&self) -> bool {
        let of_operation = |operation: &Value| {
            operation.get("security").and_then(Value::as_array).is_some_and(|list| {
                list.iter().any(|requirement| requirement.as_object().is_some_and(|r| !r.is_empty()))
            })
        };
        self.security.iter().flatten().any(|requirement| !requirement.is_empty())
            || self
                .paths
                .values()
                .filter_map(Value::as_object)
                .flat_map(|item| item.values())
                .any(of_operation)
    }

    /// The refinement of a scheme, and where it stands.
    fn refined(self, name: &str) -> (FieldPath, raw::ClaimgateScheme) {
        let at =
            FieldPath::top().members(&["x-claimgate", "server", "authentication", "securitySchemes", name]);
        let refined = self.refined.into_iter().find(|(own, _)| own == name).map(|(_, refined)| refined);
        (at, refined.unwrap_or_default())
    }
}

/// Names of schemes are compared without letter case (RFC 9110 section 11.1).
fn is_jwt(scheme: &raw::OpenApiScheme) -> bool {
    scheme.r#type.eq_ignore_ascii_case("http")
        && scheme.scheme.eq_ignore_ascii_case("bearer")
        && scheme.bearer_format.eq_ignore_ascii_case("jwt")
}

fn operation_path<'p>(paths: &'p serde_json::Map<String, Value>, id: &str) -> Option<(Method, &'p str)> {
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
