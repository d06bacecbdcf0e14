//! An address or a CIDR range, as people write them in options: `10.0.0.0/8`, `127.0.0.1`, `::1`.

use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One IPv4 or IPv6 address, or a CIDR range of them.
///
/// An IPv4-mapped IPv6 address (`::ffff:10.0.0.1`, RFC 4291 section 2.5.5.2) is the IPv4 address that it maps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct AddressRange(IpNet);

impl AddressRange {
    /// Whether `address` lies in the range.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(&address.to_canonical())
    }
}

impl FromStr for AddressRange {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refused = || {
            format!("{text:?} is neither an IP address nor a CIDR range; write 192.0.2.7, 10.0.0.0/8 or ::1")
        };
        let network = match text.parse::<IpAddr>() {
            Ok(address) => IpNet::from(address.to_canonical()),
            Err(_) => text.parse::<IpNet>().map_err(|_| refused())?,
        };
        let mapped = match network {
            IpNet::V6(range) if range.prefix_len() >= 96 => range.network().to_ipv4_mapped(),
            _ => None,
        };
        if let Some(whole) = whole_range(network) {
            return Err(format!(
                "{text:?} cannot be a client's address; expected {whole:?} for every client"
            ));
        }
        match mapped {
            Some(address) => {
                let range = IpNet::new(address.into(), network.prefix_len() - 96).map_err(|_| refused())?;
                Ok(AddressRange(range))
            }
            None => Ok(AddressRange(network)),
        }
    }
}

/// The range that was probably meant by an address that only servers use, to listen on all of theirs.
fn whole_range(network: IpNet) -> Option<&'static str> {
    let is_one = network.prefix_len() == network.max_prefix_len() && network.addr().is_unspecified();
    is_one.then_some(if network.addr().is_ipv4() { "0.0.0.0/0" } else { "::/0" })
}

impl TryFrom<String> for AddressRange {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<AddressRange> for String {
    fn from(range: AddressRange) -> String {
        range.0.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contains(range: &str, address: &str) -> bool {
        range.parse::<AddressRange>().expect("a range").contains(address.parse().expect("an address"))
    }

    #[test]
    fn a_range_contains_its_addresses_and_no_others() {
        assert!(contains("10.0.0.0/8", "10.255.0.1"));
        assert!(!contains("10.0.0.0/8", "11.0.0.1"));
        assert!(contains("2001:db8::/32", "2001:db8:1::1"));
        assert!(!contains("2001:db8::/32", "2001:db9::1"));
    }

    #[test]
    fn an_ipv4_mapped_peer_matches_its_ipv4_rule_and_the_other_way_round() {
        assert!(contains("127.0.0.1", "::ffff:127.0.0.1"));
        assert!(contains("::ffff:127.0.0.0/104", "127.0.0.1"));
    }

    #[test]
    fn an_address_that_no_client_has_is_rejected() {
        for (text, expected) in [("0.0.0.0", "0.0.0.0/0"), ("0.0.0.0/32", "0.0.0.0/0"), ("::", "::/0")] {
            let error = text.parse::<AddressRange>().expect_err(text);
            assert!(error.contains(expected), "{error}");
        }
        assert!(contains("0.0.0.0/0", "192.0.2.1") && contains("::/0", "2001:db8::1"));
    }

    #[test]
    fn what_is_no_address_is_refused_with_the_way_out() {
        let error = "10.0.0".parse::<AddressRange>().expect_err("no address");

        assert!(error.contains("10.0.0.0/8"), "{error}");
    }
}
