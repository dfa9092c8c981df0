//! The key sources of a JWT scheme, and who may use them.

use std::time::Duration;

use super::{KeySource, duration, raw, scheme::SchemeParser, source};
use crate::{
    document::FieldPath,
    jwks::{Binding, RemoteSource},
    jwt::AlgorithmSet,
};

impl SchemeParser<'_, '_> {
    /// The key sources: `jwksURIs` if there are any, else `source`, whose keys must be able to do one of
    /// the algorithms; then those of our extension, which also binds the others.
    pub(super) fn sources(
        &mut self,
        scheme: &raw::Scheme,
        refined: &raw::ClaimgateScheme,
        algorithms: Option<AlgorithmSet>,
    ) -> Option<Vec<(KeySource, Binding)>> {
        let own = if scheme.jwks_uris.is_empty() {
            self.source(&scheme.source, &self.at.member("source"), algorithms)
        } else {
            self.jwks_uris(&scheme.jwks_uris)
        };
        let mut sources = own?;
        let added = self.bound_sources(&mut sources, refined, &scheme.allowed_issuers, algorithms)?;
        sources.extend(added);
        if sources.is_empty() {
            let message = "there are no keys: add jwksURIs or source; keys that are stored per credential are not supported yet";
            self.context.error(&self.at, message);
            return None;
        }
        if sources.len() > 1 && sources.iter().any(|(_, binding)| binding.issuers.is_empty()) {
            let message = "the keys of several sources count for every issuer, so each of their owners can speak for the others; bind them to issuers in x-claimgate (keySources)";
            self.context.warning(&self.at, message);
        }
        Some(sources)
    }

    /// The source that a text describes, if there is one.
    fn source(
        &mut self,
        text: &str,
        at: &FieldPath,
        algorithms: Option<AlgorithmSet>,
    ) -> Option<Vec<(KeySource, Binding)>> {
        if text.trim().is_empty() {
            return Some(Vec::new());
        }
        match source::parse(text, algorithms?, self.context.secrets, self.context.keys) {
            Ok(source) => {
                if let KeySource::Remote(remote) = &source {
                    self.warn_if_exposed(at, remote);
                }
                Some(vec![(source, Binding::default())])
            }
            Err(message) => {
                self.context.error(at, message);
                None
            }
        }
    }

    fn jwks_uris(&mut self, uris: &[raw::JwksUri]) -> Option<Vec<(KeySource, Binding)>> {
        let mut sources = Vec::with_capacity(uris.len());
        for (n, uri) in uris.iter().enumerate() {
            let at = self.at.member("jwksURIs").element(n);
            let remote = match RemoteSource::new(&uri.url) {
                Ok(remote) => remote,
                Err(reason) => {
                    self.context.error(&at.member("url"), reason.to_string());
                    continue;
                }
            };
            let Some(time) = time_to_live(uri.cache_timeout.as_deref()) else {
                let message = "a cacheTimeout is a duration such as 5m or 90s; correct it";
                self.context.error(&at.member("cacheTimeout"), message);
                continue;
            };
            self.warn_if_exposed(&at.member("url"), &remote);
            sources.push((KeySource::Remote(remote.with_time_to_live(time)), Binding::default()));
        }
        (sources.len() == uris.len()).then_some(sources)
    }

    /// The sources of our extension: `url` names one of `jwksURIs`, whose binding this is; `source` is
    /// one more.
    fn bound_sources(
        &mut self,
        own: &mut [(KeySource, Binding)],
        refined: &raw::ClaimgateScheme,
        allowed_issuers: &[String],
        algorithms: Option<AlgorithmSet>,
    ) -> Option<Vec<(KeySource, Binding)>> {
        let mut added = Vec::new();
        for (n, bound) in refined.key_sources.iter().enumerate() {
            let at = self.at_claimgate.member("keySources").element(n);
            let binding = Binding { issuers: bound.issuers.clone(), audiences: bound.audiences.clone() };
            self.texts(&at.member("issuers"), &binding.issuers);
            self.texts(&at.member("audiences"), &binding.audiences);
            let is_allowed =
                |issuer: &&String| allowed_issuers.is_empty() || allowed_issuers.contains(issuer);
            if let Some(issuer) = binding.issuers.iter().find(|issuer| !is_allowed(issuer)) {
                let message = format!(
                    "{issuer} is none of allowedIssuers, so none of its tokens gets in; name it there"
                );
                self.context.warning(&at.member("issuers"), message);
            }
            if binding.is_open() {
                self.context.error(&at, "this binds the keys to nobody; name their issuers or audiences");
            }
            match (&*bound.url, &*bound.source) {
                (url, "") if !url.is_empty() => self.bind(own, url, &binding, &at.member("url")),
                ("", text) if !text.is_empty() => {
                    let source = self.source(text, &at.member("source"), algorithms)?;
                    added.extend(source.into_iter().map(|(source, _)| (source, binding.clone())));
                }
                _ => self
                    .context
                    .error(&at, "write either url, one of jwksURIs, or source, one more key source"),
            }
        }
        Some(added)
    }

    /// Binds the key sets at a URL, which may be listed more than once.
    fn bind(&mut self, own: &mut [(KeySource, Binding)], url: &str, binding: &Binding, at: &FieldPath) {
        let mut message = Some("this is none of jwksURIs; name one of them");
        for (_, of_url) in own.iter_mut().filter(|(source, _)| source.is_at(url)) {
            if !of_url.is_open() && of_url != binding {
                message = Some("this URL is bound twice; bind it once, to all of its issuers");
                break;
            }
            *of_url = binding.clone();
            message = None;
        }
        if let Some(message) = message {
            self.context.error(at, message);
        }
    }

    fn warn_if_exposed(&mut self, at: &FieldPath, remote: &RemoteSource) {
        if remote.is_exposed() {
            let message = "keys are fetched in the clear: whoever is on the way can replace them; use https";
            self.context.warning(at, message);
        }
    }
}

/// What `cacheTimeout` says; nothing if it is no duration.
fn time_to_live(text: Option<&str>) -> Option<Duration> {
    match text {
        None | Some("") => Some(RemoteSource::DEFAULT_TIME_TO_LIVE),
        Some(text) => duration::parse(text),
    }
}
