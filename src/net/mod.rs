//! What all edges need of the network: where a domain's mail goes, how connections are secured, sockets for HTTP, and what the
//! DNS says about us.
//!
//! Knows nothing of jobs, messages or replies. What always holds: every look-up has a deadline, and one crypto provider
//! serves all TLS.

pub mod dane;
pub mod http;
pub mod publication;
pub mod resolver;
pub mod sts;
pub mod tls;
