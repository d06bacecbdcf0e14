//! Limits for each client address: its connections, its TLS handshakes in progress, its requests in flight.
//!
//! An address is an IPv4 address or an IPv6 network of 64 bits, of which a client has all addresses. It is looked up once
//! for a connection, and known while it has one; so there are no more of them than connections. A request is counted by
//! one relaxed increment and one decrement of a number that its connection holds, and not at all if its client is exempt.
//!
//! ```text
//! let place = addresses.enter(peer)?;   // at accept: too many connections
//! let handshake = place.handshake()?;   // too many handshakes
//! if place.begin_request() { ... place.end_request() }
//! ```

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::fmt;
use std::hash::BuildHasher;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use onion::{AddressRange, Trouble};

use crate::Config;
use crate::metrics::{Incident, Incidents};

/// The client addresses of one server, and what each may hold.
#[derive(Debug)]
pub(crate) struct Addresses {
    limits: Limits,
    exempt: Vec<AddressRange>,
    shards: [Mutex<HashMap<IpAddr, Arc<Address>>>; SHARDS],
    hasher: RandomState,
    incidents: Arc<Incidents>,
    /// One line of the log a minute for each limit.
    troubles: [Trouble; 3],
}

/// So many maps, for several threads that accept.
const SHARDS: usize = 16;

/// How many TLS handshakes of an address may be in progress by default.
const HANDSHAKES: u32 = 1024;

/// At most this many of each; `u32::MAX` is no limit.
#[derive(Clone, Copy, Debug)]
struct Limits {
    connections: u32,
    handshakes: u32,
    requests: u32,
}

/// What an address holds now.
#[derive(Debug)]
struct Address {
    network: IpAddr,
    /// Changed while the map is locked.
    connections: AtomicU32,
    handshakes: AtomicU32,
    requests: AtomicU32,
}

/// The client's address has as many connections as it may have.
#[derive(Debug)]
pub(crate) struct TooMany;

impl Addresses {
    /// The limits of a server that accepts `most` connections; `None` if there are no limits.
    pub(crate) fn new(config: &Config, most: usize, incidents: &Arc<Incidents>) -> Option<Arc<Self>> {
        let half = u32::try_from(most / 2).unwrap_or(u32::MAX);
        let limits = Limits {
            connections: config.address_connections.number(half),
            handshakes: config.address_handshakes.number(HANDSHAKES),
            requests: config.address_requests.number(half),
        };
        let has_limits = [limits.connections, limits.handshakes, limits.requests] != [u32::MAX; 3];
        has_limits.then(|| {
            Arc::new(Addresses {
                limits,
                exempt: config.address_exempt.clone(),
                shards: Default::default(),
                hasher: RandomState::new(),
                incidents: Arc::clone(incidents),
                troubles: [const { Trouble::new() }; 3],
            })
        })
    }

    /// The place of a new connection of `peer`; `None` if it is exempt.
    pub(crate) fn enter(self: &Arc<Self>, peer: IpAddr) -> Result<Option<Place>, TooMany> {
        if self.exempt.iter().any(|range| range.contains(peer)) {
            return Ok(None);
        }
        let network = network(peer);
        let mut shard = self.shard(network);
        let address = shard.entry(network).or_insert_with(|| Arc::new(Address::new(network)));
        if address.connections.load(Relaxed) >= self.limits.connections {
            drop(shard);
            self.refuse(Limit::Connections, network);
            return Err(TooMany);
        }
        address.connections.fetch_add(1, Relaxed);
        Ok(Some(Place { address: Arc::clone(address), addresses: Arc::clone(self) }))
    }

    fn shard(&self, network: IpAddr) -> MutexGuard<'_, HashMap<IpAddr, Arc<Address>>> {
        let shard = usize::try_from(self.hasher.hash_one(network) % SHARDS as u64).unwrap_or_default();
        // Nothing panics under this lock.
        self.shards[shard].lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cold]
    fn refuse(&self, limit: Limit, network: IpAddr) {
        let (incident, most, what, option) = match limit {
            Limit::Connections => (
                Incident::AddressConnections,
                self.limits.connections,
                "connections open: further ones are closed",
                "address_connections",
            ),
            Limit::Handshakes => (
                Incident::AddressHandshakes,
                self.limits.handshakes,
                "TLS handshakes in progress: further ones are dropped",
                "address_handshakes",
            ),
            Limit::Requests => (
                Incident::AddressRequests,
                self.limits.requests,
                "requests in flight: further ones are rejected",
                "address_requests",
            ),
        };
        self.incidents.count(incident);
        self.troubles[limit as usize].report(|| format!("{} has {most} {what} ({option})", Shown(network)));
    }

    /// How many addresses have connections.
    #[cfg(test)]
    fn known(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().map_or(0, |shard| shard.len())).sum()
    }
}

/// One that was reached.
#[derive(Clone, Copy, Debug)]
enum Limit {
    Connections,
    Handshakes,
    Requests,
}

impl Address {
    fn new(network: IpAddr) -> Self {
        Address {
            network,
            connections: AtomicU32::new(0),
            handshakes: AtomicU32::new(0),
            requests: AtomicU32::new(0),
        }
    }
}

/// One connection of an address, which ends when it is dropped.
pub(crate) struct Place {
    address: Arc<Address>,
    addresses: Arc<Addresses>,
}

impl Place {
    /// A TLS handshake, in progress until what is returned is dropped; `None` if it is one too many.
    pub(crate) fn handshake(&self) -> Option<Handshake> {
        let handshake = Handshake(Arc::clone(&self.address));
        if self.address.handshakes.fetch_add(1, Relaxed) < self.addresses.limits.handshakes {
            return Some(handshake);
        }
        self.addresses.refuse(Limit::Handshakes, self.address.network);
        None
    }

    /// A request has come. Returns false if it is one too many; otherwise [`end_request`](Self::end_request) follows.
    #[inline]
    pub(crate) fn begin_request(&self) -> bool {
        if self.address.requests.fetch_add(1, Relaxed) < self.addresses.limits.requests {
            return true;
        }
        self.end_request();
        self.addresses.refuse(Limit::Requests, self.address.network);
        false
    }

    /// A request that was begun has ended.
    #[inline]
    pub(crate) fn end_request(&self) {
        self.address.requests.fetch_sub(1, Relaxed);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut shard = self.addresses.shard(self.address.network);
        if self.address.connections.fetch_sub(1, Relaxed) == 1 {
            shard.remove(&self.address.network);
        }
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.address.fmt(formatter)
    }
}

/// A TLS handshake in progress.
pub(crate) struct Handshake(Arc<Address>);

impl Drop for Handshake {
    fn drop(&mut self) {
        self.0.handshakes.fetch_sub(1, Relaxed);
    }
}

/// What counts as one client: an IPv4 address, or the first 64 bits of an IPv6 address, which is what a subscriber is given
/// at least (RFC 6177).
fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64))),
    }
}

/// `192.0.2.1` or `2001:db8::/64`.
struct Shown(IpAddr);

impl fmt::Display for Shown {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            IpAddr::V4(address) => address.fmt(formatter),
            IpAddr::V6(network) => write!(formatter, "{network}/64"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::AddressLimit;

    fn addresses(most: u32) -> Arc<Addresses> {
        let limit = AddressLimit::Number(most);
        let config = Config {
            address_connections: limit,
            address_handshakes: limit,
            address_requests: limit,
            ..Config::default()
        };
        Addresses::new(&config, 100, &Arc::default()).expect("there are limits")
    }

    fn enter(addresses: &Arc<Addresses>, address: &str) -> Option<Place> {
        let place = addresses.enter(address.parse().expect("an address")).ok()?;
        Some(place.expect("it is not exempt"))
    }

    #[test]
    fn an_address_has_its_connections_and_others_have_theirs() {
        let addresses = addresses(2);
        let held = [enter(&addresses, "192.0.2.1"), enter(&addresses, "192.0.2.1")];

        assert!(held.iter().all(Option::is_some));
        assert!(enter(&addresses, "192.0.2.1").is_none());
        assert!(enter(&addresses, "192.0.2.2").is_some());
        drop(held);
        assert!(enter(&addresses, "192.0.2.1").is_some());
        assert_eq!(addresses.incidents.get(Incident::AddressConnections), 1);
    }

    #[test]
    fn an_ipv6_network_of_64_bits_is_one_address() {
        let addresses = addresses(1);
        let _held = enter(&addresses, "2001:db8::1").expect("the first");

        assert!(enter(&addresses, "2001:db8::ffff:0:0:2").is_none());
        assert!(enter(&addresses, "2001:db8:0:1::1").is_some());
        assert_eq!(Shown(network("2001:db8::1".parse().expect("an address"))).to_string(), "2001:db8::/64");
    }

    #[test]
    fn only_addresses_with_connections_are_known() {
        let addresses = addresses(9);
        let held: Vec<_> = (0..200).map(|number| enter(&addresses, &format!("192.0.2.{number}"))).collect();

        assert_eq!(addresses.known(), 200);
        drop(held);
        assert_eq!(addresses.known(), 0);
    }

    #[test]
    fn handshakes_and_requests_are_counted_over_all_connections_of_an_address() {
        let addresses = addresses(2);
        let (one, other) = (enter(&addresses, "192.0.2.1"), enter(&addresses, "192.0.2.1"));
        let (one, other) = (one.expect("the first"), other.expect("the second"));

        let handshakes = [one.handshake(), other.handshake()];
        assert!(handshakes.iter().all(Option::is_some) && one.handshake().is_none());
        drop(handshakes);
        assert!(other.handshake().is_some());

        assert!(one.begin_request() && other.begin_request() && !one.begin_request());
        other.end_request();
        assert!(one.begin_request() && !one.begin_request());
    }

    #[test]
    fn half_of_the_connections_are_the_default_and_private_networks_are_exempt() {
        let addresses = Addresses::new(&Config::default(), 4, &Arc::default()).expect("there are limits");
        let held = [enter(&addresses, "192.0.2.1"), enter(&addresses, "192.0.2.1")];

        assert!(held.iter().all(Option::is_some) && enter(&addresses, "192.0.2.1").is_none());
        for exempt in ["127.0.0.1", "::1", "10.1.2.3"] {
            assert!(matches!(addresses.enter(exempt.parse().expect("an address")), Ok(None)), "{exempt}");
        }
    }

    #[test]
    fn without_limits_nothing_is_counted() {
        let off = AddressLimit::Off;
        let config = Config {
            address_connections: off,
            address_handshakes: off,
            address_requests: off,
            ..Config::default()
        };
        assert!(Addresses::new(&config, 4, &Arc::default()).is_none());
    }
}
