//! Sockets out: from a due job to what its receiver's server said.
//!
//! [`worker`] claims what is due, `pool` keeps it until a connection is free, a `courier` carries it: [`way`] names the
//! servers, [`guard`] knows what each must show ([`demand`]), [`dial`] opens a connection (`line` is one found and opened), [`sign`] signs, a [`session`] sends.
//!
//! Knows nothing of pages or of mail that comes in. What always holds: one recipient a transaction; whatever waits has a
//! deadline; nothing is sent whose outcome could not be recorded.

mod courier;
pub mod demand;
pub mod dial;
pub mod guard;
mod lane;
mod line;
pub mod outbox;
mod pool;
pub mod session;
pub mod sign;
pub mod way;
pub mod worker;

pub use lane::Limits;
