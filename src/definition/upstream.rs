//! Where requests go, and how long that may take.

use std::time::Duration;

use super::{Destination, context::Context, raw};
use crate::{
    api_address::{ApiUpstream, is_api_address},
    document::FieldPath,
    proxy::{TlsError, TlsSettings, TlsVersion, Upstream, UpstreamTls, Upstreams},
};

/// Reads the block `upstream` of the extension that stands at `at`; nothing if requests could not go anywhere.
pub(super) fn destination(
    context: &mut Context<'_>,
    at: &FieldPath,
    raw: &raw::Upstream,
    servers: &Servers,
) -> Option<Destination> {
    let at = &at.member("upstream");
    if !is_api_address(&raw.url) {
        return upstreams(context, at, raw, servers).map(Destination::Upstreams);
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

fn upstreams(
    context: &mut Context<'_>,
    at: &FieldPath,
    raw: &raw::Upstream,
    servers: &Servers,
) -> Option<Upstreams> {
    let only = upstream(context, &at.member("url"), &raw.url, servers);
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
        let upstream = upstream(context, &at.member("url"), &target.url, servers);
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

fn upstream(context: &mut Context<'_>, at: &FieldPath, url: &str, servers: &Servers) -> Option<Upstream> {
    match Upstream::new(url) {
        Ok(mut parsed) => {
            servers.configure(&mut parsed);
            Some(parsed)
        }
        Err(reason) => {
            context.error(at, reason.to_string());
            None
        }
    }
}

/// What the block `upstream` says of every server, also of those that rewrites lead to.
pub(super) struct Servers {
    preserve_host: bool,
    preserve_trailing_slash: bool,
    tls: Option<UpstreamTls>,
}

impl Servers {
    /// Reads what the block says, of the extension that stands at `at`.
    pub(super) fn new(context: &mut Context<'_>, at: &FieldPath, raw: &raw::Upstream) -> Self {
        Self {
            preserve_host: raw.preserve_host_header.enabled,
            preserve_trailing_slash: raw.preserve_trailing_slash.enabled,
            tls: tls(context, &at.members(&["upstream", "tlsTransport"]), &raw.tls_transport),
        }
    }

    /// Makes a server one of these.
    pub(super) fn configure(&self, upstream: &mut Upstream) {
        upstream.preserve_host = self.preserve_host;
        upstream.preserve_trailing_slash = self.preserve_trailing_slash;
        upstream.endpoint.tls.clone_from(&self.tls);
    }
}

fn tls(context: &mut Context<'_>, at: &FieldPath, raw: &raw::TlsTransport) -> Option<UpstreamTls> {
    if raw.insecure_skip_verify {
        let message = "the certificates of upstreams are not checked, so whoever is on the way can read and change what is sent, tokens as well; make the system trust their authority, and remove this";
        context.warning(&at.member("insecureSkipVerify"), message);
        // Otherwise names are always checked, against those that count today (RFC 9525 section 6.3).
        if raw.force_common_name_check {
            let message = "insecureSkipVerify is on, so nothing of a certificate is checked, its name neither; switch one of the two off";
            context.error(&at.member("forceCommonNameCheck"), message);
        }
    }
    let lowest = match &*raw.min_version {
        "" | "1.2" => TlsVersion::Tls12,
        "1.3" => TlsVersion::Tls13,
        "1.0" | "1.1" => {
            let message = "TLS 1.0 and 1.1 are not spoken (RFC 8996); the lowest version is 1.2: write that, and update upstreams that have no better";
            context.warning(&at.member("minVersion"), message);
            TlsVersion::Tls12
        }
        _ => {
            context.error(&at.member("minVersion"), "a version of TLS is 1.2 or 1.3; write one of them");
            return None;
        }
    };
    let highest = match &*raw.max_version {
        "" | "1.3" => TlsVersion::Tls13,
        "1.2" => TlsVersion::Tls12,
        "1.0" | "1.1" => {
            let message =
                "TLS 1.0 and 1.1 are not spoken (RFC 8996), so nothing would be left; write 1.2 or 1.3";
            context.error(&at.member("maxVersion"), message);
            return None;
        }
        _ => {
            context.error(&at.member("maxVersion"), "a version of TLS is 1.2 or 1.3; write one of them");
            return None;
        }
    };
    let settings =
        TlsSettings { verify: !raw.insecure_skip_verify, lowest, highest, ciphers: raw.ciphers.clone() };
    UpstreamTls::new(settings).unwrap_or_else(|reason| {
        let at = match reason {
            TlsError::Cipher(n) => at.member("ciphers").element(n),
            TlsError::Nothing => at.clone(),
        };
        context.error(&at, reason.to_string());
        None
    })
}

/// Reads how long everything may take of an operation (`enforceTimeout`, which stands at `at`).
pub(super) fn time_limit(
    context: &mut Context<'_>,
    at: &FieldPath,
    raw: &raw::EnforceTimeout,
) -> Option<Duration> {
    if !raw.enabled {
        return None;
    }
    if raw.value == 0 {
        let message = "0 seconds is no limit, as in Tyk: the gateway's own time limits apply; write a number of seconds, or switch it off";
        context.warning(&at.member("value"), message);
    }
    Some(Duration::from_secs(raw.value)).filter(|limit| !limit.is_zero())
}
