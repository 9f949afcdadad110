//! Who counts as one: the share of a client is that of its network.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An IPv4 address, or an IPv6 network of /64: who has one address of it has them all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Neighbourhood {
    One(Ipv4Addr),
    Network([u16; 4]),
}

impl From<IpAddr> for Neighbourhood {
    fn from(address: IpAddr) -> Self {
        // A socket that listens on both shows IPv4 clients as ::ffff:a.b.c.d.
        match address.to_canonical() {
            IpAddr::V4(address) => Self::One(address),
            IpAddr::V6(address) => {
                let [a, b, c, d, ..] = address.segments();
                Self::Network([a, b, c, d])
            }
        }
    }
}

impl fmt::Display for Neighbourhood {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::One(address) => address.fmt(out),
            Self::Network([a, b, c, d]) => write!(out, "{}/64", Ipv6Addr::new(*a, *b, *c, *d, 0, 0, 0, 0)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv6_network_is_one_and_mapped_addresses_are_ipv4() {
        let of = |text: &str| Neighbourhood::from(text.parse::<IpAddr>().unwrap());
        assert_eq!(of("2001:db8:1:2::1"), of("2001:db8:1:2:ffff::9"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
        assert_eq!(of("2001:db8:1:2::1").to_string(), "2001:db8:1:2::/64");
        assert_eq!(of("192.0.2.1").to_string(), "192.0.2.1");
    }
}
