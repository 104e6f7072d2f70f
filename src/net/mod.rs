//! What both directions need of the network: where a domain's mail goes, and how connections are secured.
//!
//! Knows nothing of jobs, messages or replies. What always holds: every look-up has a deadline, and one crypto provider
//! serves all TLS.

pub mod resolver;
pub mod tls;
