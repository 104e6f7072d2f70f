//! Sockets out: from a due job to what its receiver's server said.
//!
//! [`worker`] claims what is due, `atlas` says to which destination it goes, `pool` keeps it until it is its turn (`unplaced` until that is known), a `courier` with
//! a `seat` carries it as an `errand`: [`way`] names the servers, [`guard`] knows what each must show ([`demand`]), [`dial`] opens a connection
//! (`line` is one found and opened), [`sign`] signs, a [`session`] sends. A [`Board`] shows all this to operators.
//!
//! Knows nothing of pages or of mail that comes in. What always holds: one recipient a transaction; whatever waits has a
//! deadline; nothing is sent whose outcome could not be recorded.

mod atlas;
mod board;
mod claims;
mod courier;
pub mod demand;
pub mod dial;
mod errand;
pub mod guard;
mod leases;
mod letters;
mod line;
mod memory;
mod office;
pub mod outbox;
mod pool;
mod seat;
pub mod session;
pub mod sign;
mod unplaced;
pub mod way;
pub mod worker;

pub use board::Board;

use crate::model::Span;

/// How many of everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Connections in all.
    pub connections: usize,
    /// Connections to one destination that nobody named.
    pub per_destination: usize,
    /// Mails on one connection to such a destination; docomo takes 100 recipients a session and loses all of them at the 101st.
    pub mails: u32,
    /// How long a connection waits for the next mail.
    pub idle: Span,
    /// Jobs that wait in one lane; the rest stays in the store.
    pub window: usize,
    /// Jobs claimed in all.
    pub held: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { connections: 200, per_destination: 10, mails: 100, idle: Span::from_secs(5), window: 200, held: 4_000 }
    }
}
