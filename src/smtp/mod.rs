//! SMTP without sockets: bytes and answers go in, replies and questions come out.
//!
//! Knows nothing of connections, deadlines, addresses of ours or what becomes of a mail. What always holds: whatever the
//! bytes, nothing here panics, and what is kept of a stranger's input has a bound.

#![warn(clippy::indexing_slicing, clippy::string_slice, clippy::wildcard_enum_match_arm)]

pub mod client;
pub mod command;
pub mod data;
pub mod server;
