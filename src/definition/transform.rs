//! Headers and methods.

use http::{Method, header::HOST};

use super::{context::Context, raw, variables};
use crate::{document::FieldPath, middleware::HeaderRules};

/// Reads header rules; `context_variables` says whether `$tyk_context` has values.
pub(super) fn headers(
    context: &mut Context<'_>,
    at: &FieldPath,
    raw: &raw::TransformHeaders,
    context_variables: bool,
) -> HeaderRules {
    let mut rules = HeaderRules::default();
    if !raw.enabled {
        return rules;
    }
    for (n, name) in raw.remove.iter().enumerate() {
        if let Err(reason) = rules.remove(name) {
            context.error(&at.member("remove").element(n), reason.to_string());
        }
    }
    for (n, header) in raw.add.iter().enumerate() {
        if header.name.eq_ignore_ascii_case(HOST.as_str()) {
            let message = "the host is that of the upstream's URL, or with preserveHostHeader the client's, and this has no effect, as in Tyk; remove it";
            context.warning(&at.member("add").element(n), message);
            continue;
        }
        if let Err(reason) = rules.set(&header.name, &header.value) {
            context.error(&at.member("add").element(n), reason.to_string());
        }
    }
    for (name, template) in rules.templates() {
        let what = format!("the value of {name}");
        variables::check(context, &at.member("add"), &what, template, context_variables);
    }
    rules
}

/// Reads the method that the upstream gets.
pub(super) fn method(
    context: &mut Context<'_>,
    at: &FieldPath,
    raw: &raw::TransformMethod,
) -> Option<Method> {
    const KNOWN: [Method; 8] = [
        Method::GET,
        Method::HEAD,
        Method::POST,
        Method::PUT,
        Method::PATCH,
        Method::DELETE,
        Method::OPTIONS,
        Method::TRACE,
    ];
    if !raw.enabled {
        return None;
    }
    let method = KNOWN.into_iter().find(|method| method.as_str().eq_ignore_ascii_case(&raw.to_method));
    if method.is_none() {
        let message =
            "an upstream gets GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS or TRACE; write one of them";
        context.error(&at.member("toMethod"), message);
    }
    method
}
