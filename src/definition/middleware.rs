//! What the extension says under `middleware`, and ours beside it.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::{
    SecurityScheme,
    claim_headers::ClaimHeadersParser,
    context::Context,
    operations::{self, OperationsParser},
    raw::{self, Tyk},
    restrictions::RestrictionsParser,
    scopes::Demands,
    transform,
    upstream::Servers,
};
use crate::{
    api_address::ApiName,
    auth::Security,
    document::FieldPath,
    middleware::{ClaimHeaders, HeaderRules, Operations, Restrictions},
};

/// What happens to requests and answers besides authentication and forwarding.
pub(super) struct Middleware {
    pub(super) context_variables: bool,
    pub(super) unanchored_paths: bool,
    pub(super) request_headers: HeaderRules,
    pub(super) response_headers: HeaderRules,
    pub(super) claim_headers: ClaimHeaders,
    pub(super) operations: Operations,
    pub(super) restrictions: Restrictions,
}

pub(super) struct MiddlewareParser<'m, 'p> {
    pub(super) context: &'m mut Context<'p>,
    /// Of the extension.
    pub(super) at: &'m FieldPath,
    pub(super) tyk: &'m Tyk,
    pub(super) refined: &'m raw::Claimgate,
    /// Of the document.
    pub(super) paths: &'m Map<String, Value>,
    /// The schemes that the document declares.
    pub(super) schemes: &'m raw::Members<raw::OpenApiScheme>,
    /// What callers must pass, if they must.
    pub(super) required: Option<&'m Security<Arc<SecurityScheme>>>,
    pub(super) demands: &'m Demands<'m>,
    /// How other servers are spoken to.
    pub(super) servers: &'m Servers,
    /// Takes the other APIs that requests are led to, each with its place in the document.
    pub(super) leads_to: &'m mut Vec<(ApiName, FieldPath)>,
}

impl MiddlewareParser<'_, '_> {
    pub(super) fn parse(mut self) -> Middleware {
        let global = &self.tyk.middleware.global;
        let (context_variables, unanchored_paths) = (self.context_variables(), self.unanchored_paths());
        let at_global = self.at.members(&["middleware", "global"]);
        let mut headers =
            |name, raw| transform::headers(self.context, &at_global.member(name), raw, context_variables);
        let request_headers = headers("transformRequestHeaders", &global.transform_request_headers);
        let response_headers = headers("transformResponseHeaders", &global.transform_response_headers);
        let operations = self.operations(context_variables, unanchored_paths);
        let at_refined = FieldPath::top().members(&["x-claimgate", "middleware", "global"]);
        let claim_headers = ClaimHeadersParser { context: self.context, at: at_refined }.parse(
            &self.refined.middleware.global,
            &request_headers,
            &operations,
            self.required,
        );
        let restrictions = RestrictionsParser {
            context: self.context,
            at: self.at,
            tyk: self.tyk,
            operations: &operations::by_id(self.paths),
            unanchored: unanchored_paths,
        }
        .parse();
        Middleware {
            context_variables,
            unanchored_paths,
            request_headers,
            response_headers,
            claim_headers,
            operations,
            restrictions,
        }
    }

    fn operations(&mut self, context_variables: bool, unanchored: bool) -> Operations {
        let global = &self.tyk.middleware.global;
        OperationsParser {
            context: self.context,
            paths: self.paths,
            context_variables,
            ignore_case: global.ignore_case.enabled,
            unanchored,
            is_protected: self.required.is_some(),
            optional_security: self.refined.server.authentication.optional_security.enabled,
            demands: self.demands,
            schemes: self.schemes,
            preflights_pass: global.cors.enabled && global.cors.options_passthrough,
            info: &self.tyk.info,
            servers: self.servers,
            leads_to: self.leads_to,
        }
        .parse(&self.tyk.middleware.operations, &self.refined.middleware.operations)
    }

    /// Whether templates may use `$tyk_context`.
    fn context_variables(&self) -> bool {
        let global = self.tyk.middleware.global.context_variables.as_ref();
        global.map_or(self.tyk.server.context_variables.enabled, |switch| switch.enabled)
    }

    /// Whether paths are looked for anywhere in those of requests (`unanchoredPaths`).
    fn unanchored_paths(&mut self) -> bool {
        let is_on = self.refined.middleware.global.unanchored_paths.enabled;
        if is_on {
            let at = FieldPath::top().members(&["x-claimgate", "middleware", "global", "unanchoredPaths"]);
            let message = "operations and allowed_urls of this API are about every path that has theirs anywhere in it, as in Tyk: /x is about /xx and /secret/x as well; switch it off when callers do not depend on that";
            self.context.warning(&at, message);
        }
        is_on
    }
}
