//! Where requests go, and how long that may take.

use std::time::Duration;

use super::{Destination, context::Context, operations::DeclaredById, raw};
use crate::{
    api_address::{ApiUpstream, is_api_address},
    document::FieldPath,
    middleware::ByPath,
    proxy::{Upstream, Upstreams},
};

/// Reads the block `upstream`, which stands at `at`; nothing if requests could not go anywhere.
pub(super) fn destination(
    context: &mut Context<'_>,
    at: &FieldPath,
    raw: &raw::Upstream,
) -> Option<Destination> {
    if !is_api_address(&raw.url) {
        return upstreams(context, at, raw).map(Destination::Upstreams);
    }
    if raw.load_balancing.enabled && !raw.load_balancing.targets.is_empty() {
        let message = "requests go to another API (upstream.url), so nothing takes turns; remove this, or write the URL of a server there";
        context.error(&at.member("loadBalancing"), message);
    }
    match ApiUpstream::parse(&raw.url) {
        Ok(api) => Some(Destination::Api(api)),
        Err(reason) => {
            context.error(&at.member("url"), reason.to_string());
            None
        }
    }
}

fn upstreams(context: &mut Context<'_>, at: &FieldPath, raw: &raw::Upstream) -> Option<Upstreams> {
    let only = upstream(context, &at.member("url"), &raw.url, raw);
    let balancing = &raw.load_balancing;
    if !balancing.enabled {
        return only.map(Upstreams::from);
    }
    let at = at.members(&["loadBalancing", "targets"]);
    if balancing.targets.is_empty() {
        context.warning(
            &at,
            "there is none, so every request goes to upstream.url; list them, or switch loadBalancing off",
        );
        return only.map(Upstreams::from);
    }
    let mut weighted = Vec::new();
    for (n, target) in balancing.targets.iter().enumerate() {
        let at = at.element(n);
        let upstream = upstream(context, &at.member("url"), &target.url, raw);
        match u32::try_from(target.weight) {
            Ok(weight) => weighted.extend(upstream.map(|upstream| (upstream, weight))),
            Err(_) => {
                context.error(&at.member("weight"), "a weight is at most 4294967295; write a smaller one");
            }
        }
    }
    let balanced = Upstreams::new(weighted);
    if balanced.is_empty() && !context.is_broken(&at) {
        context.error(&at, "every weight is 0, so no request could go anywhere; give one target a weight");
    }
    only.and(Some(balanced).filter(|balanced| !balanced.is_empty()))
}

fn upstream(context: &mut Context<'_>, at: &FieldPath, url: &str, raw: &raw::Upstream) -> Option<Upstream> {
    match Upstream::new(url) {
        Ok(mut parsed) => {
            configure(&mut parsed, raw);
            Some(parsed)
        }
        Err(reason) => {
            context.error(at, reason.to_string());
            None
        }
    }
}

/// What the block says of every upstream.
pub(super) const fn configure(upstream: &mut Upstream, raw: &raw::Upstream) {
    upstream.preserve_host = raw.preserve_host_header.enabled;
    upstream.preserve_trailing_slash = raw.preserve_trailing_slash.enabled;
}

/// Reads how long operations may take (`enforceTimeout`), which stand at `at`; `declared` has method and path
/// of each operation of the document.
pub(super) fn time_limits(
    context: &mut Context<'_>,
    at: &FieldPath,
    operations: &[(String, raw::Operation)],
    declared: &DeclaredById<'_>,
) -> ByPath<Duration> {
    let mut limits = ByPath::default();
    for (id, operation) in operations.iter().filter(|(_, operation)| operation.enforce_timeout.enabled) {
        let at = at.members(&[id, "enforceTimeout"]);
        let seconds = operation.enforce_timeout.value;
        if seconds == 0 {
            let message = "0 seconds is no limit, as in Tyk: the gateway's own time limits apply; write a number of seconds, or switch it off";
            context.warning(&at.member("value"), message);
            continue;
        }
        // An id without a path has been told of with the operation.
        let Some((method, path)) = declared.get(&**id) else { continue };
        if let Err(reason) = limits.add(method.clone(), path, Duration::from_secs(seconds)) {
            context.error(&at, reason.to_string());
        }
    }
    limits
}
