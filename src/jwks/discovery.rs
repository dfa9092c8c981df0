//! From an issuer to its key set: RFC 8414 and OpenID Connect Discovery 1.0.

use serde::Deserialize;
use url::Url;

use super::{
    FetchOptions,
    address::NamedBy,
    fetch::{Document, Fetch, FetchError, Wanted},
    remote::{self, Issuer},
};

/// The part of an issuer's metadata that matters here.
#[derive(Deserialize)]
struct Metadata {
    issuer: String,
    jwks_uri: String,
}

/// Where the metadata of an issuer says that its keys are, and who thereby says so.
pub(super) async fn key_set_of(
    issuer: &Issuer,
    fetch: &dyn Fetch,
    options: &FetchOptions,
) -> Result<(Url, NamedBy), FetchError> {
    let mut last = None;
    for url in well_known(&issuer.url) {
        let wanted = Wanted { url: &url, named_by: NamedBy::Operator, options };
        let error = match fetch.fetch(wanted).await {
            Ok(document) => match serde_json::from_slice(&document.body) {
                Ok(metadata) => return key_set_in(&metadata, issuer, options),
                // Some servers answer every path with a page.
                Err(_) => not_metadata(&document),
            },
            Err(error) if error.is_absent() => error,
            Err(error) => return Err(FetchError::new(format!("the metadata of the issuer: {error}"))),
        };
        last.get_or_insert(error);
    }
    let why = last.map_or_else(String::new, |error| format!(": {error}"));
    Err(FetchError::new(format!(
        "the issuer has no metadata at .well-known/openid-configuration or .well-known/oauth-authorization-server{why}"
    )))
}

fn not_metadata(document: &Document) -> FetchError {
    let octets = document.body.len();
    FetchError::absent(format!("answered with {octets} octets that are no metadata with issuer and jwks_uri"))
}

fn key_set_in(
    metadata: &Metadata,
    issuer: &Issuer,
    options: &FetchOptions,
) -> Result<(Url, NamedBy), FetchError> {
    // Octet by octet (RFC 8414 section 3.3): else one provider could pose as another.
    if metadata.issuer != issuer.text {
        let other: String = metadata.issuer.chars().take(256).collect();
        return Err(FetchError::new(format!(
            "the metadata is that of another issuer, {other:?}; configure the issuer as its metadata and its tokens write it"
        )));
    }
    let url = remote::parse(&metadata.jwks_uri)
        .map_err(|_| FetchError::new("the jwks_uri in the metadata is no absolute http or https URL"))?;
    if remote::is_exposed(&url) && !options.plain_http {
        return Err(FetchError::new(
            "the jwks_uri in the metadata leads to keys in the clear; the provider must name an https URL",
        ));
    }
    let named_by = if url.origin() == issuer.url.origin() { NamedBy::Operator } else { NamedBy::Provider };
    Ok((url, named_by))
}

/// Where the metadata of an issuer may be: behind the issuer (OpenID Connect Discovery section 4.1), or
/// between its host and its path (RFC 8414 sections 3.1 and 5).
fn well_known(issuer: &Url) -> Vec<Url> {
    const OPENID: &str = "/.well-known/openid-configuration";
    const OAUTH: &str = "/.well-known/oauth-authorization-server";
    let path = issuer.path().trim_end_matches('/');
    let mut paths = vec![format!("{path}{OPENID}"), format!("{OAUTH}{path}")];
    if !path.is_empty() {
        paths.push(format!("{OPENID}{path}"));
    }
    let at = |path: String| {
        let mut url = issuer.clone();
        url.set_path(&path);
        url
    };
    paths.into_iter().map(at).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_metadata_is() {
        for (issuer, urls) in [
            (
                "https://idp.test",
                &[
                    "https://idp.test/.well-known/openid-configuration",
                    "https://idp.test/.well-known/oauth-authorization-server",
                ][..],
            ),
            (
                "https://idp.test:8443/realms/a/",
                &[
                    "https://idp.test:8443/realms/a/.well-known/openid-configuration",
                    "https://idp.test:8443/.well-known/oauth-authorization-server/realms/a",
                    "https://idp.test:8443/.well-known/openid-configuration/realms/a",
                ],
            ),
        ] {
            let found: Vec<String> =
                well_known(&Url::parse(issuer).unwrap()).into_iter().map(Into::into).collect();
            assert_eq!(found, urls, "{issuer}");
        }
    }

    #[test]
    fn what_metadata_says() {
        let of = |issuer: &str, own: &str, jwks_uri: &str| {
            let issuer = Issuer { text: issuer.into(), url: Url::parse(issuer).unwrap() };
            let metadata = Metadata { issuer: own.into(), jwks_uri: jwks_uri.into() };
            key_set_in(&metadata, &issuer, &FetchOptions::default()).map(|(_, named_by)| named_by).ok()
        };
        let idp = "https://idp.test/a";
        for (own, jwks_uri, expected) in [
            (idp, "https://idp.test/keys", Some(NamedBy::Operator)),
            (idp, "https://keys.test/keys", Some(NamedBy::Provider)),
            (idp, "https://idp.test:8443/keys", Some(NamedBy::Provider)),
            (idp, "http://idp.test/keys", None),
            (idp, "https://user:pass@idp.test/keys", None),
            (idp, "/keys", None),
            (idp, "file:///etc/passwd", None),
            ("https://idp.test/a/", "https://idp.test/keys", None),
            ("https://IDP.test/a", "https://idp.test/keys", None),
            ("https://other.test", "https://idp.test/keys", None),
        ] {
            assert_eq!(of(idp, own, jwks_uri), expected, "{own} {jwks_uri}");
        }
        assert_eq!(
            of("http://127.0.0.1:1", "http://127.0.0.1:1", "http://127.0.0.1:1/"),
            Some(NamedBy::Operator)
        );
    }
}
