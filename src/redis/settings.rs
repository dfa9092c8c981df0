//! Where Redis is, and how it is spoken to.

use std::{fmt, time::Duration};

use crate::{
    secrets::Secret,
    tls::{ClientCertificate, PemError, TrustedAuthorities},
};

/// Where Redis is, and how it is spoken to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Where.
    pub servers: Servers,
    /// Whether over TLS; else it is in the clear.
    pub is_secure: bool,
    /// The user of Redis' access control lists; nothing for the default one.
    pub username: Option<String>,
    /// The password as it is written: it may be a reference.
    pub password: Option<Secret>,
    /// The number of the database; a cluster has 0 only.
    pub database: u32,
    /// What the names of all keys begin with.
    pub prefix: String,
    /// How long a request may wait for one answer.
    pub timeout: Duration,
    /// How long connecting may take, with everything that belongs to it.
    pub connect_timeout: Duration,
}

/// Which servers there are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Servers {
    /// One.
    Single(Address),
    /// Whichever these sentinels call the primary of a name.
    Sentinel(Sentinel),
    /// A cluster, some of whose nodes these are.
    Cluster(Vec<Address>),
}

/// Those who know which server is the primary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sentinel {
    /// The name of what they watch.
    pub master: String,
    /// Where they are.
    pub nodes: Vec<Address>,
    /// Their user.
    pub username: Option<String>,
    /// Their password as it is written: it may be a reference.
    pub password: Option<Secret>,
}

/// A host and its port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// A name or an IP address; of version 6 without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
}

/// What connections are opened with. It may change while the gateway runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Credentials {
    /// The password of the servers, with references resolved.
    pub servers: Option<Secret>,
    /// That of the sentinels.
    pub sentinels: Option<Secret>,
    /// The certificates, as far as TLS is spoken.
    pub tls: Tls,
}

/// The certificates of TLS; by default whom the system trusts, and none of our own.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Tls {
    pub(super) authorities: Option<String>,
    pub(super) certificate: Option<(String, Secret)>,
}

impl Settings {
    /// How long a request waits for an answer unless something else is said.
    pub const DEFAULT_TIMEOUT: Duration = Duration::from_millis(50);
    /// How long connecting takes at most unless something else is said.
    pub const DEFAULT_CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
    /// What names of keys begin with unless something else is said.
    pub const DEFAULT_PREFIX: &'static str = "claimgate:";
}

impl Tls {
    /// Trusts the authorities of the first PEM text instead of those of the system, and shows the
    /// certificate of the second one with its key.
    ///
    /// # Errors
    /// [`PemError`], and whether it is about the certificate that is shown.
    pub fn new(
        authorities: Option<String>,
        certificate: Option<(String, Secret)>,
    ) -> Result<Self, (PemError, bool)> {
        if let Some(pem) = &authorities {
            TrustedAuthorities::from_pem(pem).map_err(|error| (error, false))?;
        }
        if let Some((chain, key)) = &certificate {
            ClientCertificate::from_pem(chain, key).map_err(|error| (error, true))?;
        }
        Ok(Self { authorities, certificate })
    }
}

impl Servers {
    /// Where they are, as far as that is configured.
    #[must_use]
    pub fn addresses(&self) -> &[Address] {
        match self {
            Self::Single(address) => std::slice::from_ref(address),
            Self::Sentinel(sentinel) => &sentinel.nodes,
            Self::Cluster(nodes) => nodes,
        }
    }
}

impl fmt::Display for Servers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Single(_) => f.write_str("redis at ")?,
            Self::Sentinel(sentinel) => write!(f, "redis {} by the sentinels at ", sentinel.master)?,
            Self::Cluster(_) => f.write_str("redis cluster at ")?,
        }
        for (n, Address { host, port }) in self.addresses().iter().enumerate() {
            write!(f, "{}{host}:{port}", if n == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").finish_non_exhaustive()
    }
}
