//! Connections that are secured, or are not though they should be: policies of the operator and of domains, against TLS
//! servers with all sorts of certificates.

mod leaks;
mod memory;
mod phases;
pub mod pki;
pub mod publisher;
mod sts;
pub mod table;
