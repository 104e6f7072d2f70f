//! `[api]`: where machines ask: health and metrics.

use super::reader::Section;
use super::value::Listen;
use std::net::{Ipv4Addr, SocketAddr};

/// `[api]`.
#[derive(Debug, Clone)]
pub struct Api {
    /// Where monitoring connects (`listen`); empty: nowhere.
    pub listen: Vec<SocketAddr>,
}

impl Api {
    pub(super) fn read(mut section: Section<'_>) -> Self {
        let usual = vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 8081))];
        let given = section.list::<Listen>("listen");
        let listen = given.map_or(usual, |list| list.into_iter().map(|Listen(address)| address).collect());
        Self { listen }
    }
}
