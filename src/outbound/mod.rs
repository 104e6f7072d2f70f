//! Sockets out: from a due job to what its receiver's server said.
//!
//! Knows nothing of pages or of mail that comes in. What always holds: one recipient a transaction; whatever waits has a
//! deadline; nothing is sent whose outcome could not be recorded.

pub mod dial;
pub mod session;
pub mod sign;
pub mod way;
