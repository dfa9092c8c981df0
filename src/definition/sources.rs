//! The key sources of a JWT scheme, and which tokens each of them counts for.

use std::{sync::Arc, time::Duration};

use serde_json::{Map, Value};
use url::Url;

use super::{
    FetchSettings, KeySource, duration, raw,
    scheme::SchemeParser,
    source::{self, Described},
};
use crate::{
    document::FieldPath,
    jwks::{Binding, FetchOptions, RemoteSource, UrlError},
    jwt::{AlgorithmSet, Family, TokenType},
};

/// One of `keySources`.
struct Entry {
    at: FieldPath,
    names: Names,
    binding: Binding,
    /// How it is fetched, if it says so.
    options: Option<Arc<FetchOptions>>,
    time_to_live: Option<Duration>,
}

/// What an entry is about.
enum Names {
    /// A URL in Tyk's fields.
    Url(String),
    /// One more source, in any form of Tyk's `source`.
    Source(String),
    /// An issuer whose metadata says where its keys are.
    Issuer(String),
}

/// A source in Tyk's fields.
struct Own {
    at: FieldPath,
    described: Described,
    time_to_live: Duration,
}

impl SchemeParser<'_, '_> {
    /// The key sources: `jwksURIs` if there are any, else `source`, whose keys must be able to do one of
    /// the algorithms; then those of our extension, which also says more about the others.
    pub(super) fn sources(
        &mut self,
        scheme: &raw::Scheme,
        refined: &raw::ClaimgateScheme,
        algorithms: Option<AlgorithmSet>,
    ) -> Option<Vec<(KeySource, Binding)>> {
        let entries = self.entries(refined, &scheme.allowed_issuers, algorithms);
        let own = if scheme.jwks_uris.is_empty() {
            self.own_source(&scheme.source, algorithms)
        } else {
            self.jwks_uris(&scheme.jwks_uris)
        };
        let (own, entries) = (own?, entries?);
        self.match_entries(&entries, &own);
        let mut sources = Vec::with_capacity(own.len() + entries.len());
        for own in own {
            sources.push(self.refined(own, &entries)?);
        }
        for entry in entries {
            sources.extend(self.added(entry, algorithms)?);
        }
        if algorithms.is_some_and(|algorithms| algorithms.only(Family::Hmac))
            && sources.iter().any(|(source, _)| matches!(source, KeySource::Remote(_)))
        {
            let message = "hmac takes shared secrets, and whoever can fetch a key set has what it holds and could sign tokens; write rsa or ecdsa, or put the secret into source";
            let at = match &refined.algorithms {
                Some(_) => self.at_claimgate.member("algorithms"),
                None => self.at.member("signingMethod"),
            };
            self.context.warning(&at, message);
        }
        let is_said =
            ["jwksURIs", "source"].iter().any(|field| self.context.is_broken(&self.at.member(field)));
        if sources.is_empty() && !is_said {
            let message = "there are neither jwksURIs nor a source: each token is verified with the secret of the stored key that it names; add one of them if that is not meant";
            self.context.warning(&self.at, message);
        }
        if sources.len() > 1 && sources.iter().any(|(_, binding)| binding.issuers.is_empty()) {
            let message = "the keys of several sources count for every issuer, so each of their owners can speak for the others; bind them to issuers in x-claimgate (keySources)";
            self.context.warning(&self.at, message);
        }
        Some(sources)
    }

    /// What `source` says, if it says anything.
    fn own_source(&mut self, text: &str, algorithms: Option<AlgorithmSet>) -> Option<Vec<Own>> {
        if text.trim().is_empty() {
            return Some(Vec::new());
        }
        let at = self.at.member("source");
        let described = self.describe(text, &at, algorithms?)?;
        Some(vec![Own { at, described, time_to_live: self.context.given.fetching.time_to_live }])
    }

    fn describe(&mut self, text: &str, at: &FieldPath, algorithms: AlgorithmSet) -> Option<Described> {
        let described = source::parse(text, algorithms, self.context.lookup, self.context.keys);
        described.map_err(|message| self.context.error(at, message)).ok()
    }

    fn jwks_uris(&mut self, uris: &[raw::JwksUri]) -> Option<Vec<Own>> {
        let mut own = Vec::with_capacity(uris.len());
        for (n, uri) in uris.iter().enumerate() {
            let at = self.at.member("jwksURIs").element(n);
            if let Some(time) = self.time_to_live(&at, uri.cache_timeout.as_deref()) {
                let time_to_live = time.unwrap_or(self.context.given.fetching.time_to_live);
                let described = Described::Url(uri.url.clone());
                own.push(Own { at: at.member("url"), described, time_to_live });
            }
        }
        (own.len() == uris.len()).then_some(own)
    }

    /// What `cacheTimeout` says, if it says anything; nothing at all if it is no duration.
    fn time_to_live(&mut self, at: &FieldPath, text: Option<&str>) -> Option<Option<Duration>> {
        let Some(text) = text.filter(|text| !text.is_empty()) else { return Some(None) };
        let time = duration::parse(text);
        if time.is_none() {
            let message = "a cacheTimeout is a duration such as 5m or 90s; correct it";
            self.context.error(&at.member("cacheTimeout"), message);
        }
        time.map(Some)
    }

    /// The sources of our extension.
    fn entries(
        &mut self,
        refined: &raw::ClaimgateScheme,
        allowed_issuers: &[String],
        algorithms: Option<AlgorithmSet>,
    ) -> Option<Vec<Entry>> {
        let mut entries = Vec::with_capacity(refined.key_sources.len());
        for (n, bound) in refined.key_sources.iter().enumerate() {
            let at = self.at_claimgate.member("keySources").element(n);
            let names = self.names_of(&at, bound);
            let binding = self.binding(&at, bound, allowed_issuers, algorithms);
            let options = match &bound.fetch {
                Some(fetch) => self.options(&at.member("fetch"), fetch).map(Some),
                None => Some(None),
            };
            let time_to_live = self.time_to_live(&at, bound.cache_timeout.as_deref());
            if let (Some(names), Some(options), Some(time_to_live)) = (names, options, time_to_live) {
                entries.push(Entry { at, names, binding, options, time_to_live });
            }
        }
        (entries.len() == refined.key_sources.len()).then_some(entries)
    }

    fn names_of(&mut self, at: &FieldPath, bound: &raw::BoundSource) -> Option<Names> {
        match (&*bound.url, bound.source.trim(), &*bound.issuer) {
            (url, "", "") if !url.is_empty() => {
                if bound.cache_timeout.is_some() {
                    let message = "the cacheTimeout of a URL of jwksURIs stands there; move it";
                    self.context.error(&at.member("cacheTimeout"), message);
                }
                Some(Names::Url(url.to_owned()))
            }
            ("", text, "") if !text.is_empty() => Some(Names::Source(text.to_owned())),
            ("", "", issuer) if !issuer.is_empty() => {
                if !bound.issuers.is_empty() {
                    let message = "keys that are discovered count for their issuer alone; remove this";
                    self.context.error(&at.member("issuers"), message);
                }
                Some(Names::Issuer(issuer.to_owned()))
            }
            ("", "", "") => {
                let message = "write one of url, to say more of one of jwksURIs; source, for one more key source; or issuer, whose metadata says where its keys are";
                self.context.error(at, message);
                None
            }
            (_, _, "") => {
                let message = "url is about one of jwksURIs, and source is one more key source; write an entry for each";
                self.context.error(at, message);
                None
            }
            (_, _, issuer) => {
                let message = format!(
                    "issuer stands alone, and has the keys discovered that its metadata names; to bind the keys of this entry to it, write issuers: [{issuer}]"
                );
                self.context.error(&at.member("issuer"), message);
                None
            }
        }
    }

    fn binding(
        &mut self,
        at: &FieldPath,
        bound: &raw::BoundSource,
        allowed_issuers: &[String],
        algorithms: Option<AlgorithmSet>,
    ) -> Binding {
        for (field, texts) in
            [("issuers", &bound.issuers), ("audiences", &bound.audiences), ("types", &bound.types)]
        {
            self.texts(&at.member(field), texts);
        }
        let discovered = Some(&bound.issuer).filter(|issuer| !issuer.is_empty());
        let binding = Binding {
            issuers: bound.issuers.iter().chain(discovered).cloned().collect(),
            audiences: bound.audiences.clone(),
            algorithms: self.algorithm_list(&at.member("algorithms"), &bound.algorithms),
            token_types: bound.types.iter().map(|text| TokenType::new(text)).collect(),
        };
        let is_broken = self.context.is_broken(&self.at.member("allowedIssuers"));
        let is_allowed =
            |issuer: &&String| is_broken || allowed_issuers.is_empty() || allowed_issuers.contains(issuer);
        if let Some(issuer) = binding.issuers.iter().find(|issuer| !is_allowed(issuer)) {
            let message =
                format!("{issuer} is none of allowedIssuers, so none of its tokens gets in; name it there");
            let field = if discovered.is_some() { "issuer" } else { "issuers" };
            self.context.warning(&at.member(field), message);
        }
        let unused = |allowed: AlgorithmSet| binding.algorithms.iter().find(|own| !allowed.contains(*own));
        if let Some(algorithm) = algorithms.and_then(unused) {
            let message = format!(
                "the scheme does not allow {algorithm}, so it never counts here; name it in the scheme's algorithms as well, or remove it"
            );
            self.context.error(&at.member("algorithms"), message);
        }
        let says_how = bound.fetch.is_some() && !bound.url.is_empty();
        if binding.is_open() && !says_how {
            let message = "this binds the keys to nobody; name their issuers, audiences, algorithms or types";
            self.context.error(at, message);
        }
        binding
    }

    /// How a source is fetched: as the gateway says, but for what stands here.
    fn options(&mut self, at: &FieldPath, fetch: &Map<String, Value>) -> Option<Arc<FetchOptions>> {
        let mut settings = FetchSettings::new((*self.context.given.fetching.options).clone());
        let mut bad = Vec::new();
        let mut note =
            |at: FieldPath, result: Result<(), String>| bad.extend(result.err().map(|why| (at, why)));
        for (field, value) in fetch {
            let at = at.member(field);
            match value {
                Value::Object(headers) => {
                    for (name, value) in headers {
                        let value = value.as_str().unwrap_or_default();
                        let added = settings.add_header(name, value, self.context.lookup);
                        note(at.member(name), added);
                    }
                }
                Value::String(text) => note(at, settings.set(field, text)),
                // The tables let nothing but numbers through.
                number => note(at, settings.set(field, &number.to_string())),
            }
        }
        let options = settings.finish(self.context.lookup);
        let options = options.map_err(|setting| bad.push((at.member(setting.field), setting.message))).ok();
        let is_good = bad.is_empty();
        bad.into_iter().for_each(|(at, message)| self.context.error(&at, message));
        options.filter(|_| is_good).map(Arc::new)
    }

    /// Tells of entries that name no URL of Tyk's fields, or one that another entry names.
    fn match_entries(&mut self, entries: &[Entry], own: &[Own]) {
        for (n, entry) in entries.iter().enumerate() {
            let Names::Url(url) = &entry.names else { continue };
            let is_known = own.iter().any(|own| own.is_at(url));
            let is_named_before = entries.iter().take(n).any(|earlier| earlier.is_about(url));
            if !is_known && !self.context.is_broken(&self.at.member("jwksURIs")) {
                let message = "this is none of jwksURIs; name one of them";
                self.context.error(&entry.at.member("url"), message);
            } else if is_named_before {
                let message = "this URL is bound twice; bind it once, to all of its issuers";
                self.context.error(&entry.at.member("url"), message);
            }
        }
    }

    /// A source in Tyk's fields, with what our extension says about it.
    fn refined(&mut self, own: Own, entries: &[Entry]) -> Option<(KeySource, Binding)> {
        let url = match own.described {
            Described::Keys(keys) => return Some((KeySource::Fixed(keys), Binding::default())),
            Described::Url(url) => url,
        };
        let entry = entries.iter().find(|entry| entry.is_about(&url));
        let options = entry.and_then(|entry| entry.options.clone());
        let options = options.unwrap_or_else(|| Arc::clone(&self.context.given.fetching.options));
        let remote = self.remote(&own.at, &url, RemoteSource::key_set(&url, options))?;
        let binding = entry.map(|entry| entry.binding.clone()).unwrap_or_default();
        Some((KeySource::Remote(remote.with_time_to_live(own.time_to_live)), binding))
    }

    /// A source that stands in our extension alone; none, if the entry is about another one.
    fn added(
        &mut self,
        entry: Entry,
        algorithms: Option<AlgorithmSet>,
    ) -> Option<Option<(KeySource, Binding)>> {
        let Entry { at, names, binding, options, time_to_live } = entry;
        let is_fetched = options.is_some() || time_to_live.is_some();
        let options = options.unwrap_or_else(|| Arc::clone(&self.context.given.fetching.options));
        let remote = match names {
            Names::Url(_) => return Some(None),
            Names::Issuer(issuer) => {
                self.remote(&at.member("issuer"), &issuer, RemoteSource::issuer(&issuer, options))?
            }
            Names::Source(text) => {
                let at_source = at.member("source");
                let allowed = match binding.algorithms {
                    AlgorithmSet::EMPTY => algorithms?,
                    own => own.intersection(algorithms?),
                };
                match self.describe(&text, &at_source, allowed)? {
                    Described::Keys(keys) => {
                        if is_fetched {
                            let message = "these keys are not fetched; remove fetch and cacheTimeout";
                            self.context.error(&at, message);
                        }
                        return Some(Some((KeySource::Fixed(keys), binding)));
                    }
                    Described::Url(url) => {
                        self.remote(&at_source, &url, RemoteSource::key_set(&url, options))?
                    }
                }
            }
        };
        let time_to_live = time_to_live.unwrap_or(self.context.given.fetching.time_to_live);
        Some(Some((KeySource::Remote(remote.with_time_to_live(time_to_live)), binding)))
    }

    /// A source at this URL. One that holds the value of a reference is called by the reference: logs and
    /// metrics show what a source is called.
    fn remote(
        &mut self,
        at: &FieldPath,
        url: &str,
        remote: Result<RemoteSource, UrlError>,
    ) -> Option<RemoteSource> {
        match &remote {
            Ok(remote) if remote.is_exposed() => {
                let message =
                    "keys are fetched in the clear: whoever is on the way can replace them; use https";
                self.context.warning(at, message);
            }
            Ok(_) => {}
            Err(UrlError::Exposed) => {
                let message = "keys would be fetched in the clear, and whoever is on the way could replace them: use https; or set plainHttp to allow, for this source in x-claimgate (keySources, fetch) or for all in claimgate.yaml (jwks)";
                self.context.error(at, message);
            }
            Err(reason) => self.context.error(at, reason.to_string()),
        }
        let shown = self.context.lookup.hide_in(url);
        if shown == url {
            return remote.ok();
        }
        let alias = shown.split(['?', '#']).next().unwrap_or_default();
        // Of a URL that is a value as a whole the origin is shown, but not where the value is what names the server.
        let origin = url.split_inclusive('/').take(3).collect::<String>();
        let is_shown = self.context.lookup.hide_in(&origin) == origin;
        remote.ok().map(|remote| remote.called(alias, is_shown))
    }
}

impl Own {
    fn is_at(&self, url: &str) -> bool {
        matches!(&self.described, Described::Url(own) if is_same(own, url))
    }
}

impl Entry {
    fn is_about(&self, url: &str) -> bool {
        matches!(&self.names, Names::Url(own) if is_same(own, url))
    }
}

/// Whether two texts write one URL.
fn is_same(a: &str, b: &str) -> bool {
    a == b || matches!((Url::parse(a), Url::parse(b)), (Ok(a), Ok(b)) if a == b)
}
