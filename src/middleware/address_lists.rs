//! Which clients an API answers at all, by their addresses (`ipAccessControl`).

use std::{fmt, net::IpAddr};

use ipnet::{IpNet, Ipv4Net};

/// The addresses from which an API may be asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AddressLists {
    /// Those that may, if there are any.
    allowed: Networks,
    /// Those that may not, allowed or not.
    blocked: Networks,
}

/// Addresses, and networks of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Networks(Box<[IpNet]>);

/// Why an address may not ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denied {
    /// Others may.
    NotAllowed,
    /// It is blocked.
    Blocked,
    /// Nobody can tell what it is.
    Unknown,
}

/// Why a text is neither an address nor a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NetworkError;

impl fmt::Display for NetworkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("this is neither an address such as 192.0.2.7 or 2001:db8::7, nor a network such as 192.0.2.0/24; correct it")
    }
}

impl AddressLists {
    /// These lists.
    #[must_use]
    pub const fn new(allowed: Networks, blocked: Networks) -> Self {
        Self { allowed, blocked }
    }

    /// Whether everybody may.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.allowed.is_empty() && self.blocked.is_empty()
    }

    /// Whether this address may ask; nothing is one that cannot be told. An IPv4 address is the same one in its IPv6 form (RFC 4291 section
    /// 2.5.5.2), which is how connections to a listener for both show it.
    ///
    /// # Errors
    /// [`Denied`] says which list is in the way.
    pub fn check(&self, address: Option<IpAddr>) -> Result<(), Denied> {
        let address = address.ok_or(Denied::Unknown)?.to_canonical();
        if self.blocked.contains(address) {
            Err(Denied::Blocked)
        } else if self.allowed.is_empty() || self.allowed.contains(address) {
            Ok(())
        } else {
            Err(Denied::NotAllowed)
        }
    }
}

impl Networks {
    /// Reads one network, or an address as the network of that alone.
    ///
    /// # Errors
    /// [`NetworkError`] when it is neither.
    pub fn read(text: &str) -> Result<IpNet, NetworkError> {
        let address = || text.parse::<IpAddr>().map(IpNet::from);
        let network = text.parse::<IpNet>().or_else(|_| address()).map_err(|_| NetworkError)?;
        Ok(canonical(network.trunc()))
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn contains(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&address))
    }
}

impl FromIterator<IpNet> for Networks {
    fn from_iter<I: IntoIterator<Item = IpNet>>(networks: I) -> Self {
        Self(networks.into_iter().collect())
    }
}

/// A network of IPv4 addresses in their IPv6 form as what it is.
fn canonical(network: IpNet) -> IpNet {
    let IpNet::V6(v6) = network else { return network };
    let length = v6.prefix_len().checked_sub(96);
    let v4 = v6.addr().to_ipv4_mapped().zip(length).and_then(|(v4, length)| Ipv4Net::new(v4, length).ok());
    v4.map_or(network, IpNet::V4)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn networks(texts: &[&str]) -> Networks {
        texts.iter().map(|text| Networks::read(text).unwrap()).collect()
    }

    #[test]
    fn lists() {
        for (allowed, blocked, address, expected) in [
            (&[][..], &[][..], "192.0.2.1", Ok(())),
            (&["192.0.2.1"], &[], "192.0.2.1", Ok(())),
            (&["192.0.2.1"], &[], "192.0.2.10", Err(Denied::NotAllowed)),
            (&["192.0.2.1"], &[], "::ffff:192.0.2.1", Ok(())),
            (&["::ffff:192.0.2.1"], &[], "192.0.2.1", Ok(())),
            (&[], &["::ffff:10.0.0.0/104"], "10.9.9.9", Err(Denied::Blocked)),
            (&["10.0.0.0/8"], &["10.1.0.0/16"], "10.2.0.1", Ok(())),
            (&["10.0.0.0/8"], &["10.1.0.0/16"], "10.1.0.1", Err(Denied::Blocked)),
            (&["10.1.2.3/8"], &[], "10.9.9.9", Ok(())),
            (&["0.0.0.0/0"], &[], "2001:db8::1", Err(Denied::NotAllowed)),
            (&["2001:db8::/32"], &[], "2001:DB8:1::7", Ok(())),
            (&[], &["2001:db8::7"], "2001:db8::8", Ok(())),
            (&[], &["::/0"], "192.0.2.1", Ok(())),
        ] {
            let lists = AddressLists::new(networks(allowed), networks(blocked));
            assert_eq!(lists.check(address.parse().ok()), expected, "{allowed:?} {blocked:?} {address}");
        }
    }

    #[test]
    fn an_address_that_cannot_be_told_is_on_no_list() {
        for (allowed, blocked) in [(&["0.0.0.0/0", "::/0"][..], &[][..]), (&[], &["10.0.0.1"])] {
            let lists = AddressLists::new(networks(allowed), networks(blocked));
            assert_eq!(lists.check(None), Err(Denied::Unknown));
        }
    }

    #[test]
    fn what_is_no_network() {
        for bad in
            ["", "*", "10.0.0", "10.0.0.0/33", "10.0.0.1-10.0.0.9", "localhost", "fe80::1%eth0", " 10.0.0.1"]
        {
            assert_eq!(Networks::read(bad), Err(NetworkError), "{bad}");
        }
    }
}
