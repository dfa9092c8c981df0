//! How key sets are fetched, in the words of `claimgate.yaml` (`jwks`) and of `x-claimgate` (`fetch`).
//!
//! Both have the same fields, each with one setter that takes a text; what one key source says
//! replaces what the gateway says, field by field.

use std::{fmt, time::Duration};

use http::{HeaderName, HeaderValue, header};
use url::Url;

use super::duration;
use crate::{
    jwks::{ClientCertificate, FetchOptions, PrivateNetworks, Proxy, TrustedAuthorities},
    secrets::{Expand, Secret},
};

/// The longest time that a fetch may take: a reload waits for it.
const MAX_TIMEOUT: Duration = Duration::from_secs(60);
/// The longest time that keys may be used that nobody confirms.
const MAX_STALE: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// Options in the making.
#[derive(Clone, Default)]
pub struct FetchSettings {
    options: FetchOptions,
    /// Texts that may be references, and what is made of them only together.
    ca: Option<Secret>,
    certificate: Option<Secret>,
    key: Option<Secret>,
    proxy: Option<Secret>,
}

/// Without texts that may be secrets.
impl fmt::Debug for FetchSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FetchSettings").field("options", &self.options).finish_non_exhaustive()
    }
}

/// A setting that cannot be used, and why.
#[derive(Debug, PartialEq, Eq)]
pub struct BadSetting {
    /// The field.
    pub field: &'static str,
    /// A sentence that says how to mend it.
    pub message: String,
}

impl FetchSettings {
    /// Begins with these.
    #[must_use]
    pub fn new(options: FetchOptions) -> Self {
        Self { options, ..Self::default() }
    }

    /// Sets one field from a text.
    ///
    /// # Errors
    /// A sentence that says how to mend it.
    pub fn set(&mut self, field: &str, text: &str) -> Result<(), String> {
        let secret = || Some(Secret::from(text));
        match field {
            "ca" => self.ca = secret(),
            "clientCertificate" => self.certificate = secret(),
            "clientKey" => self.key = secret(),
            "proxy" => self.proxy = secret(),
            "plainHttp" => self.options.plain_http = allowed(text)?,
            "privateNetworks" => self.options.private_networks = private_networks(text)?,
            "timeout" => self.options.timeout = time(text, MAX_TIMEOUT, "1m")?,
            "maxStale" => self.options.max_stale = time(text, MAX_STALE, "720h")?,
            "maxBytes" => self.options.max_bytes = count(text, 1024, 16 * 1024 * 1024)?,
            "maxKeys" => self.options.max_keys = count(text, 1, 10_000)?,
            _ => return Err("there is no such field; remove it".into()),
        }
        Ok(())
    }

    /// What the key is written as, if there is one.
    #[must_use]
    pub const fn key(&self) -> Option<&Secret> {
        self.key.as_ref()
    }

    /// Adds a field to each request.
    ///
    /// # Errors
    /// A sentence that says how to mend it, without the value.
    pub fn add_header(&mut self, name: &str, value: &str, values: &dyn Expand) -> Result<(), String> {
        let name: HeaderName = name.parse().map_err(|_| "this is not a header name; correct it")?;
        if FRAMING.contains(&name) {
            return Err("this field is about the connection and is set by the gateway; remove it".into());
        }
        let value = resolve(value, values)?;
        let mut value = HeaderValue::from_str(&value)
            .map_err(|_| "the value has characters that no header field may hold; correct it")?;
        value.set_sensitive(true);
        self.options.headers.push((name, value));
        Ok(())
    }

    /// The options, once references are resolved.
    ///
    /// # Errors
    /// [`BadSetting`] names the field that cannot be used.
    pub fn finish(self, values: &dyn Expand) -> Result<FetchOptions, BadSetting> {
        let Self { mut options, ca, certificate, key, proxy } = self;
        let resolved = |field, text: Option<Secret>| {
            let text = text.map(|text| resolve(&text, values)).transpose();
            text.map_err(|message| BadSetting { field, message })
        };
        if let Some(pem) = resolved("ca", ca)? {
            let trusted = TrustedAuthorities::from_pem(&pem);
            options.trusted = Some(trusted.map_err(|e| bad("ca", &format!("{e}; {WRITE_PEM}")))?);
        }
        match (resolved("clientCertificate", certificate)?, resolved("clientKey", key)?) {
            (Some(chain), Some(key)) => {
                let certificate = ClientCertificate::from_pem(&chain, &key)
                    .map_err(|e| bad("clientCertificate", &format!("{e}; {WRITE_PEM}")))?;
                options.certificate = Some(certificate);
            }
            (None, None) => {}
            (Some(_), None) => return Err(bad("clientCertificate", "its key is missing; add clientKey")),
            (None, Some(_)) => {
                return Err(bad("clientKey", "its certificate is missing; add clientCertificate"));
            }
        }
        if let Some(text) = resolved("proxy", proxy)? {
            options.proxy = proxy_of(&text).map_err(|message| bad("proxy", message))?;
        }
        Ok(options)
    }
}

const WRITE_PEM: &str = "write PEM, or a reference to it such as file://idp.pem";

/// Fields that say how a message travels, or where to.
const FRAMING: [HeaderName; 10] = [
    header::HOST,
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::TRANSFER_ENCODING,
    header::TE,
    header::TRAILER,
    header::UPGRADE,
    header::EXPECT,
    header::PROXY_AUTHORIZATION,
    header::ACCEPT_ENCODING,
];

fn bad(field: &'static str, message: &str) -> BadSetting {
    BadSetting { field, message: message.to_owned() }
}

/// What is written, or what it refers to.
fn resolve(text: &str, values: &dyn Expand) -> Result<Secret, String> {
    values.expand(text).map_err(|e| e.to_string()).map(|expanded| expanded.unwrap_or_else(|| text.into()))
}

fn allowed(text: &str) -> Result<bool, String> {
    match text {
        "allow" => Ok(true),
        "refuse" => Ok(false),
        _ => Err("write allow or refuse".into()),
    }
}

fn private_networks(text: &str) -> Result<PrivateNetworks, String> {
    match text {
        "configured" => Ok(PrivateNetworks::Configured),
        "allow" => Ok(PrivateNetworks::Allow),
        "refuse" => Ok(PrivateNetworks::Refuse),
        _ => Err("write configured, allow or refuse".into()),
    }
}

fn proxy_of(text: &str) -> Result<Proxy, &'static str> {
    match text {
        "environment" => return Ok(Proxy::Environment),
        "none" => return Ok(Proxy::None),
        _ => {}
    }
    let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    url.map(Proxy::Url).ok_or("write environment, none, or a URL such as http://proxy.example:3128")
}

fn time(text: &str, longest: Duration, name: &str) -> Result<Duration, String> {
    duration::parse(text).filter(|time| !time.is_zero() && *time <= longest).ok_or_else(|| {
        format!("a time is written like 30s or 1m30s, is not zero, and at most {name} here; correct it")
    })
}

fn count(text: &str, least: usize, most: usize) -> Result<usize, String> {
    let count = text.parse().ok().filter(|count| (least..=most).contains(count));
    count.ok_or_else(|| format!("this is a number from {least} to {most}; correct it"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::secrets::Secrets;

    fn values() -> impl Expand {
        Secrets::new("", env, BTreeMap::new()).unwrap().values()
    }

    fn env(name: &str) -> Option<String> {
        (name == "KEY").then(|| "hush\n".into())
    }

    fn finish(set: &[(&str, &str)]) -> Result<FetchOptions, String> {
        let mut settings = FetchSettings::default();
        for (field, text) in set {
            settings.set(field, text)?;
        }
        settings.finish(&values()).map_err(|bad| format!("{}: {}", bad.field, bad.message))
    }

    #[test]
    fn what_is_set() {
        let options = finish(&[
            ("plainHttp", "allow"),
            ("privateNetworks", "refuse"),
            ("timeout", "2s"),
            ("maxStale", "48h"),
            ("maxBytes", "65536"),
            ("maxKeys", "50"),
            ("proxy", "http://proxy.test:3128"),
        ]);
        let options = options.unwrap();
        assert_eq!(
            options,
            FetchOptions {
                plain_http: true,
                private_networks: PrivateNetworks::Refuse,
                timeout: Duration::from_secs(2),
                max_stale: Duration::from_secs(48 * 60 * 60),
                max_bytes: 65_536,
                max_keys: 50,
                proxy: Proxy::Url(Url::parse("http://proxy.test:3128").unwrap()),
                ..FetchOptions::default()
            }
        );
        let mut over = FetchSettings::new(options);
        over.set("proxy", "none").unwrap();
        let over = over.finish(&values()).unwrap();
        assert_eq!((over.proxy, over.max_keys), (Proxy::None, 50));
    }

    #[test]
    fn what_is_wrong_is_said() {
        let pem = include_str!("../../tests/data/partner-certificate.pem");
        let key = include_str!("../../tests/data/partner-private.pem");
        for (set, said) in [
            (&[("plainHttp", "yes")][..], "allow or refuse"),
            (&[("privateNetworks", "yes")], "configured, allow or refuse"),
            (&[("timeout", "0")], "at most 1m"),
            (&[("timeout", "2m")], "at most 1m"),
            (&[("maxStale", "soon")], "at most 720h"),
            (&[("maxBytes", "1")], "from 1024"),
            (&[("maxKeys", "0")], "from 1"),
            (&[("unknown", "0")], "no such field"),
            (&[("ca", "x")], "ca: there is no certificate"),
            (&[("ca", "env://NONE")], "ca: the environment variable NONE is not set"),
            (&[("clientCertificate", pem)], "its key is missing"),
            (&[("clientKey", key)], "its certificate is missing"),
            (&[("clientCertificate", pem), ("clientKey", pem)], "no private key"),
            (&[("proxy", "socks5://proxy.test")], "proxy: write environment"),
            (&[("proxy", "proxy.test:3128")], "proxy: write environment"),
        ] {
            let error = finish(set).unwrap_err();
            assert!(error.contains(said), "{set:?}: {error}");
        }
    }

    #[test]
    fn header_fields() {
        let values = values();
        let mut settings = FetchSettings::default();
        settings.add_header("X-Key", "env://KEY", &values).unwrap();
        for (name, value) in [("Host", "x"), ("content-length", "1"), ("a b", "x"), ("X-A", "a\nb")] {
            assert!(settings.add_header(name, value, &values).is_err(), "{name}");
        }
        assert!(settings.add_header("X-A", "env://NONE", &values).is_err());
        settings.set("clientKey", "hush").unwrap();
        assert!(!format!("{settings:?}").contains("hush"));
        settings.key = None;
        let options = settings.finish(&values).unwrap();
        assert_eq!(options.headers, [(HeaderName::from_static("x-key"), HeaderValue::from_static("hush"))]);
        assert!(!format!("{options:?}").contains("hush"));
    }
}
