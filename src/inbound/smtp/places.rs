//! How many connections there may be, in all and from one network.
//!
//! What always holds: a place is given back when its [`Place`] is dropped, however the session ended.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Counts connections.
#[derive(Debug)]
pub(super) struct Places {
    in_all: usize,
    per_network: usize,
    taken: Mutex<HashMap<IpAddr, usize>>,
}

/// Why there is no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Full {
    #[error("as many connections as there may be")]
    InAll,
    #[error("as many connections as one network may have")]
    Network,
}

/// One connection's place.
#[derive(Debug)]
pub(super) struct Place {
    places: Arc<Places>,
    network: IpAddr,
}

impl Places {
    pub(super) fn new(in_all: usize, per_network: usize) -> Arc<Self> {
        Arc::new(Self { in_all, per_network, taken: Mutex::default() })
    }

    /// Takes a place for a connection from `peer`.
    pub(super) fn enter(self: &Arc<Self>, peer: IpAddr) -> Result<Place, Full> {
        let network = network_of(peer);
        let mut taken = self.taken();
        if taken.values().sum::<usize>() >= self.in_all {
            return Err(Full::InAll);
        }
        let of_network = taken.entry(network).or_default();
        if *of_network >= self.per_network {
            return Err(Full::Network);
        }
        *of_network += 1;
        drop(taken);
        Ok(Place { places: Arc::clone(self), network })
    }

    fn taken(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken();
        if let Some(of_network) = taken.get_mut(&self.network) {
            *of_network -= 1;
            if *of_network == 0 {
                taken.remove(&self.network);
            }
        }
    }
}

/// The /24 or /64: what one site usually has (RFC 6177 2).
fn network_of(peer: IpAddr) -> IpAddr {
    match peer {
        IpAddr::V4(v4) => Ipv4Addr::from_bits(v4.to_bits() & !0xff).into(),
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_network_has_so_many_places_and_another_its_own() {
        let places = Places::new(10, 2);
        let one = places.enter(peer("192.0.2.1")).unwrap();
        let _two = places.enter(peer("192.0.2.254")).unwrap();
        assert_eq!(places.enter(peer("192.0.2.3")).unwrap_err(), Full::Network);
        let _other = places.enter(peer("192.0.3.1")).unwrap();
        drop(one);
        places.enter(peer("192.0.2.3")).unwrap();
    }

    #[test]
    fn an_ipv6_network_is_a_64() {
        let places = Places::new(10, 1);
        let _one = places.enter(peer("2001:db8:0:1::1")).unwrap();
        assert_eq!(places.enter(peer("2001:db8:0:1:ffff::2")).unwrap_err(), Full::Network);
        places.enter(peer("2001:db8:0:2::1")).unwrap();
    }

    #[test]
    fn there_are_so_many_places_in_all_and_each_is_given_back() {
        let places = Places::new(3, 3);
        let held: Vec<_> = (1..=3).map(|n| places.enter(peer(&format!("192.0.{n}.1"))).unwrap()).collect();
        assert_eq!(places.enter(peer("192.0.9.1")).unwrap_err(), Full::InAll);
        drop(held);
        assert!(places.taken().is_empty());
    }
}
