//! The operations of a document: what Tyk's extension and ours say of each, and what it asks itself.

use std::collections::{HashMap, HashSet};

use http::Method;
use serde_json::{Map, Value};

use super::{
    context::Context,
    limits, mock, raw,
    rewrite::RewriteParser,
    scopes::Demands,
    security::not_declared,
    transform,
    upstream::{self, Servers},
};
use crate::{
    api_address::ApiName,
    document::FieldPath,
    limits::SharedRate,
    middleware::{
        NeedsToken, Operation, Operations, PathTemplate,
        rewrite::{RewriteTarget, Server, UrlRewrite},
    },
};

/// Preflights pass without a token, so they do not become other requests.
pub(super) const PREFLIGHTS_KEEP_THEIR_METHOD: &str = "preflights, which cors.optionsPassthrough lets through without a token, keep their method; only other requests go on with this one";

/// An operation as the OpenAPI part declares it.
pub(super) struct Declared<'d> {
    method: Method,
    path: &'d str,
    id: Option<&'d str>,
    /// The requirements of its own.
    pub(super) security: Option<&'d Value>,
    /// What it answers.
    responses: Option<&'d Value>,
    /// Where it stands.
    pub(super) at: FieldPath,
}

/// The operations of these paths, in their order.
pub(super) fn declared(paths: &Map<String, Value>) -> Vec<Declared<'_>> {
    const METHODS: [&str; 8] = ["get", "put", "post", "delete", "options", "head", "patch", "trace"];
    let operations = paths.iter().flat_map(|(path, item)| {
        let of_method = move |name: &&'static str| Some((path, *name, item.get(*name)?.as_object()?));
        METHODS.iter().filter_map(of_method)
    });
    operations
        .filter_map(|(path, name, operation)| {
            Some(Declared {
                method: Method::from_bytes(name.to_ascii_uppercase().as_bytes()).ok()?,
                path,
                id: operation.get("operationId").and_then(Value::as_str),
                security: operation.get("security"),
                responses: operation.get("responses"),
                at: FieldPath::top().members(&["paths", path, name]),
            })
        })
        .collect()
}

/// Method and path of each operation of the document, by its id.
pub(super) type DeclaredById<'d> = HashMap<&'d str, (Method, &'d str)>;

/// The operations with an id, of those that share one the first.
pub(super) fn by_id(paths: &Map<String, Value>) -> DeclaredById<'_> {
    let mut by_id = HashMap::new();
    for Declared { method, path, id, .. } in declared(paths) {
        if let Some(id) = id {
            by_id.entry(id).or_insert((method, path));
        }
    }
    by_id
}

impl Declared<'_> {
    /// Whether its own requirements let requests without a token pass (OpenAPI 3.0, Operation Object and
    /// Security Requirement Object).
    fn needs_no_token(&self) -> bool {
        let is_empty = |requirement: &Value| requirement.as_object().is_some_and(Map::is_empty);
        let list = self.security.and_then(Value::as_array);
        list.is_some_and(|list| list.is_empty() || list.iter().any(is_empty))
    }
}

pub(super) struct OperationsParser<'o, 'p> {
    pub(super) context: &'o mut Context<'p>,
    pub(super) paths: &'o Map<String, Value>,
    pub(super) context_variables: bool,
    /// Letter case does not matter (`ignoreCase`).
    pub(super) ignore_case: bool,
    /// Paths are looked for anywhere in those of requests (`unanchoredPaths`).
    pub(super) unanchored: bool,
    /// Whether callers must pass a scheme at all.
    pub(super) is_protected: bool,
    /// Requirements that ask for nothing let requests without a token pass (`optionalSecurity`).
    pub(super) optional_security: bool,
    pub(super) demands: &'o Demands<'o>,
    /// The schemes that the document declares.
    pub(super) schemes: &'o raw::Members<raw::OpenApiScheme>,
    /// Preflights pass without a token (`optionsPassthrough`).
    pub(super) preflights_pass: bool,
    /// Of the API.
    pub(super) info: &'o raw::Info,
    /// How other servers are spoken to.
    pub(super) servers: &'o Servers,
    /// Takes the other APIs that requests are led to, each with its place in the document.
    pub(super) leads_to: &'o mut Vec<(ApiName, FieldPath)>,
}

/// What is said of one operation, and where.
struct Blocks<'b> {
    tyk: Option<(FieldPath, &'b raw::Operation)>,
    refined: Option<(FieldPath, &'b raw::ClaimgateOperation)>,
}

impl OperationsParser<'_, '_> {
    pub(super) fn parse(
        mut self,
        tyk: &[(String, raw::Operation)],
        refined: &[(String, raw::ClaimgateOperation)],
    ) -> Operations {
        let scopes = self.demands.of_api(self.context);
        let declared = declared(self.paths);
        self.tell_of_twins(&declared, tyk, refined);
        self.tell_of_unknown_schemes(&declared);
        let mut blocks = self.blocks(&declared, tyk, refined);
        let mut parsed = Vec::new();
        for operation in &declared {
            let blocks = operation.id.and_then(|id| blocks.remove(id));
            parsed.extend(self.operation(operation, blocks.as_ref()));
        }
        if parsed.is_empty() {
            return Operations::new(parsed, &[], scopes);
        }
        let declared: Vec<_> = self.paths.keys().filter_map(|path| PathTemplate::new(path).ok()).collect();
        self.matching(Operations::new(parsed, &declared, scopes))
    }

    /// The operations, as this API finds them.
    fn matching(&mut self, operations: Operations) -> Operations {
        let operations = if self.ignore_case { operations.ignoring_case() } else { operations };
        if !self.unanchored {
            return operations;
        }
        operations.anywhere().unwrap_or_else(|reason| {
            let at = FieldPath::top().members(&["x-claimgate", "middleware", "global", "unanchoredPaths"]);
            self.context
                .error(&at, format!("the paths of the operations cannot be looked for at once: {reason}"));
            Operations::default()
        })
    }

    /// Tells of ids that come twice (OpenAPI 3.0, Operation Object). Where one is configured, nobody could
    /// tell which of the two is meant, and that may decide who needs a token.
    fn tell_of_twins(
        &mut self,
        declared: &[Declared<'_>],
        tyk: &[(String, raw::Operation)],
        refined: &[(String, raw::ClaimgateOperation)],
    ) {
        let configured: HashSet<&str> =
            tyk.iter().map(|(id, _)| &**id).chain(refined.iter().map(|(id, _)| &**id)).collect();
        let mut earlier: HashMap<&str, &Declared<'_>> = HashMap::new();
        for operation in declared {
            let Some(id) = operation.id else { continue };
            let Some(first) = earlier.get(id) else {
                earlier.insert(id, operation);
                continue;
            };
            let at = operation.at.member("operationId");
            let message = format!("{} {} has the id {id} as well", first.method, first.path);
            if configured.contains(id) {
                let message = format!(
                    "{message}, so nobody can tell which of the two is configured by it; give each an id of its own"
                );
                self.context.error(&at, message);
            } else {
                let message =
                    format!("{message}; give each an id of its own (OpenAPI 3.0, Operation Object)");
                self.context.warning(&at, message);
            }
        }
    }

    /// Tells of schemes that requirements of operations name and the document does not declare, where these
    /// requirements count.
    fn tell_of_unknown_schemes(&mut self, declared: &[Declared<'_>]) {
        if !self.optional_security && !self.demands.check_scopes() {
            return;
        }
        for operation in declared {
            let requirements = operation.security.and_then(Value::as_array).map(Vec::as_slice);
            for (n, requirement) in requirements.unwrap_or_default().iter().enumerate() {
                let names = requirement.as_object().into_iter().flat_map(Map::keys);
                for name in names.filter(|name| !self.schemes.iter().any(|(known, _)| known == *name)) {
                    let at = operation.at.member("security").element(n).member(name);
                    self.context.error(&at, not_declared(name));
                }
            }
        }
    }

    /// The blocks by operation id. One that the document does not declare is a mistake.
    fn blocks<'b>(
        &mut self,
        declared: &[Declared<'b>],
        tyk: &'b [(String, raw::Operation)],
        refined: &'b [(String, raw::ClaimgateOperation)],
    ) -> HashMap<&'b str, Blocks<'b>> {
        let ids = declared.iter().filter_map(|operation| operation.id);
        let mut blocks: HashMap<&str, Blocks<'_>> =
            ids.map(|id| (id, Blocks { tyk: None, refined: None })).collect();
        let at = FieldPath::top().members(&["x-tyk-api-gateway", "middleware", "operations"]);
        for (id, block) in tyk {
            match blocks.get_mut(&**id) {
                Some(own) => own.tyk = Some((at.member(id), block)),
                None if restricts(block) => {
                    let message = "no path of this document has an operation with this id, so nothing is restricted by it; correct the id";
                    self.context.error(&at.member(id), message);
                }
                None => {
                    let message =
                        "no path of this document has an operation with this id; the block has no effect";
                    self.context.warning(&at.member(id), message);
                }
            }
        }
        let at = FieldPath::top().members(&["x-claimgate", "middleware", "operations"]);
        for (id, block) in refined {
            match blocks.get_mut(&**id) {
                Some(own) => own.refined = Some((at.member(id), block)),
                None => {
                    let message = "no path of this document has an operation with this id; correct it";
                    self.context.error(&at.member(id), message);
                }
            }
        }
        blocks
    }

    /// The operation; nothing if it is like all others.
    fn operation(&mut self, declared: &Declared<'_>, blocks: Option<&Blocks<'_>>) -> Option<Operation> {
        let authentication = self.authentication(declared, blocks);
        let scopes = self.demands.of_operation(self.context, declared);
        if authentication != NeedsToken::Never {
            self.demands.warn_about_other_schemes(self.context, declared);
        }
        let tyk = blocks.and_then(|blocks| blocks.tyk.as_ref());
        if tyk.is_none() && scopes.is_none() && authentication == NeedsToken::Always {
            return None;
        }
        let path = match PathTemplate::new(declared.path) {
            Ok(path) => path,
            Err(reason) => {
                let at = FieldPath::top().members(&["paths", declared.path]);
                self.context.error(&at, reason.to_string());
                return None;
            }
        };
        let mut operation =
            Operation { authentication, scopes, ..Operation::new(declared.method.clone(), path) };
        operation.authentication_ignores_case = tyk.is_some_and(|(_, block)| {
            block.ignore_authentication.enabled && block.ignore_authentication.ignore_case
        });
        if let Some((at, block)) = tyk {
            self.shape(&mut operation, at, block, declared);
            self.lead(&mut operation, at, block);
            let allowance = limits::allowance(self.context, &at.member("rateLimit"), &block.rate_limit);
            let (org_id, api) = (&self.info.org_id, &self.info.id);
            let named = (&declared.method, declared.path);
            operation.rate =
                allowance.map(|allowance| SharedRate::of_operation(org_id, api, named, allowance));
        }
        Some(operation)
    }

    /// What is changed in its requests and answers.
    fn shape(
        &mut self,
        operation: &mut Operation,
        at: &FieldPath,
        block: &raw::Operation,
        declared: &Declared<'_>,
    ) {
        let mut headers = |field: &str, raw| {
            transform::headers(self.context, &at.member(field), raw, self.context_variables)
        };
        operation.request_headers = headers("transformRequestHeaders", &block.transform_request_headers);
        operation.response_headers = headers("transformResponseHeaders", &block.transform_response_headers);
        let at_method = at.member("transformRequestMethod");
        operation.to_method = transform::method(self.context, &at_method, &block.transform_request_method);
        let at_mock = at.member("mockResponse");
        operation.mock = mock::mock(self.context, &at_mock, &block.mock_response, declared.responses);
    }

    /// Where its requests go, and how long that may take.
    fn lead(&mut self, operation: &mut Operation, at: &FieldPath, block: &raw::Operation) {
        let rewrites = RewriteParser {
            context: self.context,
            servers: self.servers,
            context_variables: self.context_variables,
            leads_to: self.leads_to,
        };
        operation.rewrite = rewrites.parse(&at.member("urlRewrite"), &block.url_rewrite);
        if self.preflights_pass && operation.method == Method::OPTIONS {
            self.preflights_keep_their_method(operation, at);
        }
        operation.time_limit =
            upstream::time_limit(self.context, &at.member("enforceTimeout"), &block.enforce_timeout);
    }

    fn preflights_keep_their_method(&mut self, operation: &Operation, at: &FieldPath) {
        let targets = operation.rewrite.iter().flat_map(UrlRewrite::targets);
        let has_method = |server: &Server| matches!(server, Server::Api(address) if address.method.is_some());
        for (is_changed, field) in [
            (operation.to_method.is_some(), "transformRequestMethod"),
            (targets.map(RewriteTarget::server).any(has_method), "urlRewrite"),
        ] {
            if is_changed {
                self.context.warning(&at.member(field), PREFLIGHTS_KEEP_THEIR_METHOD);
            }
        }
    }

    /// Whether its requests need a token. Only an extension says that they do not: what the document
    /// itself says of it opens nothing in Tyk.
    fn authentication(&mut self, declared: &Declared<'_>, blocks: Option<&Blocks<'_>>) -> NeedsToken {
        let tyk = blocks.and_then(|blocks| blocks.tyk.as_ref());
        let refined = blocks.and_then(|blocks| blocks.refined.as_ref());
        let is_ignored = tyk.is_some_and(|(_, block)| block.ignore_authentication.enabled);
        let optional = refined.filter(|(_, block)| block.optional_authentication.enabled);
        if let Some((at, _)) = optional {
            let at = at.member("optionalAuthentication");
            if is_ignored {
                let message = "ignoreAuthentication is on for this operation, so nobody would look at its tokens; switch one of the two off";
                self.context.error(&at, message);
            } else if !self.is_protected {
                let message =
                    "everybody may use this API, and nobody looks at its tokens; this has no effect";
                self.context.warning(&at, message);
            }
        }
        let needs_none = declared.needs_no_token();
        if is_ignored
            && self.unanchored
            && let Some((at, _)) = tyk
        {
            let message = "unanchoredPaths is on, so this opens every path of this method that has this one anywhere in it, and that the document does not declare; declare those that need a token, or switch it off";
            self.context.warning(&at.member("ignoreAuthentication"), message);
        }
        if is_ignored {
            NeedsToken::Never
        } else if optional.is_some() || (needs_none && self.optional_security) {
            NeedsToken::IfThereIsOne
        } else {
            if needs_none && self.is_protected {
                let message = "the document asks for no token here, and the gateway does, as Tyk would; if requests without one are meant to pass, write optionalAuthentication for this operation in x-claimgate, or optionalSecurity for all that say so";
                self.context.warning(&declared.at.member("security"), message);
            }
            NeedsToken::Always
        }
    }
}

/// Whether something in a block is a check that would be skipped without it.
const fn restricts(block: &raw::Operation) -> bool {
    block.allow.enabled || block.block.enabled || block.internal.enabled || block.request_size_limit.enabled
}
