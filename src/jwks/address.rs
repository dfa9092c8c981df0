//! Where a fetch may lead: which addresses the host of a URL may have.

use std::{
    error::Error,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

use super::{PrivateNetworks, fetch::FetchError};
use crate::fetch::is_loopback;

/// Who wrote a host name down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NamedBy {
    /// Whoever configures the gateway.
    Operator,
    /// A document that was fetched.
    Provider,
}

/// What an address is, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reach {
    Public,
    Private,
    Loopback,
    /// Where no key set ever is: link-local addresses, which hold the metadata services of clouds,
    /// those services elsewhere, groups, and what is no address of a host.
    Never,
}

/// Metadata services of clouds that are not at a link-local address.
const METADATA: [IpAddr; 5] = [
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
    IpAddr::V4(Ipv4Addr::new(192, 0, 0, 192)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
    IpAddr::V6(Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254)),
];

fn reach(address: IpAddr) -> Reach {
    if METADATA.contains(&address) {
        return Reach::Never;
    }
    match address.to_canonical() {
        IpAddr::V4(address) => reach_v4(address),
        IpAddr::V6(address) => reach_v6(address),
    }
}

const fn reach_v4(address: Ipv4Addr) -> Reach {
    match address.octets() {
        [127, ..] => Reach::Loopback,
        [0 | 224..=255, ..] | [169, 254, ..] => Reach::Never,
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] | [100, 64..=127, ..] => Reach::Private,
        // Benchmarks, and IETF protocol assignments (RFC 6890).
        [198, 18 | 19, ..] | [192, 0, 0, _] => Reach::Private,
        _ => Reach::Public,
    }
}

fn reach_v6(address: Ipv6Addr) -> Reach {
    let within = |high: u16, low: u16| {
        let [a, b, c, d] = [high.to_be_bytes(), low.to_be_bytes()].concat()[..] else { return Reach::Never };
        reach(IpAddr::V4(Ipv4Addr::new(a, b, c, d)))
    };
    match address.segments() {
        _ if address.is_loopback() => Reach::Loopback,
        _ if address.is_unspecified() || address.is_multicast() => Reach::Never,
        // NAT64 (RFC 6052), 6to4 (RFC 3056), the first form of IPv4 in IPv6 (RFC 4291 section 2.5.5.1) and
        // the translated one (RFC 2765 section 2.1) lead to the IPv4 address within.
        [0x64, 0xff9b, 0, 0, 0, 0, high, low]
        | [0x2002, high, low, ..]
        | [0, 0, 0, 0, 0 | 0xffff, 0, high, low] => within(high, low),
        // NAT64 of the local network (RFC 8215): where the IPv4 address is, only that network knows.
        [0x64, 0xff9b, 1, ..] => Reach::Private,
        [0xfe80..=0xfebf, ..] => Reach::Never,
        [0xfc00..=0xfdff | 0xfec0..=0xfeff, ..] => Reach::Private,
        _ => Reach::Public,
    }
}

/// Which addresses the host of one URL may have.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rule {
    networks: PrivateNetworks,
    named_by: NamedBy,
    /// The URL itself says that it leads to this machine.
    is_loopback: bool,
}

impl Rule {
    pub(super) fn new(url: &Url, named_by: NamedBy, networks: PrivateNetworks) -> Self {
        Self { networks, named_by, is_loopback: is_loopback(url) }
    }

    /// Looks at a host that says where it is: one that is written as an address, and this machine. Other
    /// names are looked at when they are resolved.
    pub(super) fn check(self, url: &Url) -> Result<(), FetchError> {
        let address = match url.host() {
            Some(Host::Ipv4(address)) => IpAddr::V4(address),
            Some(Host::Ipv6(address)) => IpAddr::V6(address),
            Some(Host::Domain(_)) if self.is_loopback => IpAddr::V4(Ipv4Addr::LOCALHOST),
            Some(Host::Domain(_)) | None => return Ok(()),
        };
        self.permits(address).map_err(|reason| FetchError::new(format!("{address} is {reason}")))
    }

    fn permits(self, address: IpAddr) -> Result<(), &'static str> {
        const PRIVATE: &str =
            "a private address, which privateNetworks does not allow; allow it there, or name another host";
        const DISCOVERED: &str = "a private address that a discovery document names; if it is right, set privateNetworks to allow for this source";
        match reach(address) {
            Reach::Never => Err("an address that key sets are never fetched from"),
            // `localhost` is this machine, whatever a resolver says.
            reach if self.is_loopback && self.named_by == NamedBy::Operator => match reach {
                Reach::Loopback => Ok(()),
                _ => Err("not this machine, although the URL says so"),
            },
            Reach::Public => Ok(()),
            Reach::Private | Reach::Loopback => match (self.networks, self.named_by) {
                (PrivateNetworks::Allow, _) | (PrivateNetworks::Configured, NamedBy::Operator) => Ok(()),
                (PrivateNetworks::Configured, NamedBy::Provider) => Err(DISCOVERED),
                (PrivateNetworks::Refuse, _) => Err(PRIVATE),
            },
        }
    }

    /// Those of the addresses of a host that may be connected to.
    fn pick(self, name: &str, found: Vec<SocketAddr>) -> Result<Vec<SocketAddr>, FetchError> {
        let mut refused = None;
        let mut permitted = Vec::with_capacity(found.len());
        for address in found {
            match self.permits(address.ip()) {
                Ok(()) => permitted.push(address),
                Err(reason) => {
                    refused.get_or_insert_with(|| format!("{name} leads to {}, {reason}", address.ip()));
                }
            }
        }
        match refused {
            Some(reason) if permitted.is_empty() => Err(FetchError::new(reason)),
            _ => Ok(permitted),
        }
    }
}

/// Looks names up. What it gives is what is connected to, so that no second look can differ.
impl Resolve for Rule {
    fn resolve(&self, name: Name) -> Resolving {
        let rule = *self;
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let permitted =
                rule.pick(name.as_str(), found).map_err(|e| Box::new(e) as Box<dyn Error + Send + Sync>)?;
            Ok(Box::new(permitted.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{NamedBy::*, PrivateNetworks::*, *};

    #[test]
    fn what_addresses_are() {
        for (address, expected) in [
            ("1.1.1.1", Reach::Public),
            ("2606:4700::1", Reach::Public),
            ("127.0.0.1", Reach::Loopback),
            ("127.8.8.8", Reach::Loopback),
            ("::1", Reach::Loopback),
            ("::ffff:127.0.0.1", Reach::Loopback),
            ("10.0.0.1", Reach::Private),
            ("172.16.0.1", Reach::Private),
            ("172.31.255.255", Reach::Private),
            ("172.32.0.1", Reach::Public),
            ("192.168.1.1", Reach::Private),
            ("100.64.0.1", Reach::Private),
            ("fd12::1", Reach::Private),
            ("::ffff:10.0.0.1", Reach::Private),
            ("64:ff9b::a00:1", Reach::Private),
            ("64:ff9b::101:101", Reach::Public),
            ("64:ff9b:1::a00:1", Reach::Private),
            ("::10.0.0.1", Reach::Private),
            ("::169.254.169.254", Reach::Never),
            ("2002:a00:1::", Reach::Private),
            ("2002:a9fe:a9fe::", Reach::Never),
            ("169.254.169.254", Reach::Never),
            ("::ffff:169.254.169.254", Reach::Never),
            ("fe80::1", Reach::Never),
            ("fd00:ec2::254", Reach::Never),
            ("fd20:ce::254", Reach::Never),
            ("192.0.0.192", Reach::Never),
            ("::ffff:0:169.254.169.254", Reach::Never),
            ("::ffff:0:10.0.0.1", Reach::Private),
            ("100.100.100.200", Reach::Never),
            ("168.63.129.16", Reach::Never),
            ("0.0.0.0", Reach::Never),
            ("::", Reach::Never),
            ("224.0.0.1", Reach::Never),
            ("255.255.255.255", Reach::Never),
            ("ff02::1", Reach::Never),
        ] {
            assert_eq!(reach(address.parse().unwrap()), expected, "{address}");
        }
    }

    #[test]
    fn where_hosts_may_be() {
        let named = "https://idp.test/";
        for (url, named_by, networks, address, permitted) in [
            (named, Operator, Configured, "1.1.1.1", true),
            (named, Operator, Configured, "10.0.0.1", true),
            (named, Operator, Allow, "10.0.0.1", true),
            (named, Operator, Refuse, "10.0.0.1", false),
            (named, Operator, Refuse, "1.1.1.1", true),
            // A name that leads to this machine is as one that leads inside.
            (named, Operator, Refuse, "127.0.0.1", false),
            (named, Provider, Configured, "127.0.0.1", false),
            (named, Provider, Configured, "10.0.0.1", false),
            (named, Provider, Configured, "1.1.1.1", true),
            (named, Provider, Allow, "10.0.0.1", true),
            ("http://localhost/", Operator, Refuse, "127.0.0.1", true),
            ("http://localhost/", Operator, Allow, "10.0.0.1", false),
            ("http://localhost/", Operator, Allow, "1.1.1.1", false),
            ("http://localhost/", Provider, Configured, "127.0.0.1", false),
            (named, Operator, Allow, "169.254.169.254", false),
        ] {
            let rule = Rule::new(&Url::parse(url).unwrap(), named_by, networks);
            let found = SocketAddr::new(address.parse().unwrap(), 0);
            let picked = rule.pick("host", vec![found]);
            assert_eq!(picked.is_ok(), permitted, "{url} {named_by:?} {networks:?} {address}");
        }
    }

    #[test]
    fn of_several_addresses_the_permitted_ones_count() {
        let rule = Rule::new(&Url::parse("https://idp.test/").unwrap(), Operator, Refuse);
        let of = |texts: &[&str]| -> Vec<SocketAddr> {
            texts.iter().map(|text| SocketAddr::new(text.parse().unwrap(), 0)).collect()
        };
        assert_eq!(rule.pick("x", of(&["10.0.0.1", "1.1.1.1"])), Ok(of(&["1.1.1.1"])));
        assert!(
            rule.pick("x", of(&["10.0.0.1"])).unwrap_err().to_string().starts_with("x leads to 10.0.0.1")
        );
    }

    #[test]
    fn hosts_that_are_addresses() {
        let check_by = |url: &str, named_by| {
            let url = Url::parse(url).unwrap();
            Rule::new(&url, named_by, Configured).check(&url)
        };
        let check = |url| check_by(url, Operator);
        // Other spellings of addresses are addresses for a URL (WHATWG).
        for bad in ["http://169.254.169.254/", "http://0xa9fea9fe/", "http://[fe80::1]/", "http://0/"] {
            assert!(check(bad).is_err(), "{bad}");
        }
        for inside in ["http://localhost/", "http://127.0.0.1/", "http://10.1.2.3/", "https://[fd12::1]/"] {
            assert!(check_by(inside, Provider).is_err(), "{inside}");
        }
        for good in [
            "http://localhost/",
            "http://127.0.0.1/",
            "http://10.1.2.3/",
            "https://idp.test/",
            "http://[::1]/",
        ] {
            assert!(check(good).is_ok(), "{good}");
        }
    }
}
