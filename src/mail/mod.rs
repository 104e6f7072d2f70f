//! Messages as values: reading strangers' mail, writing our own.
//!
//! Knows nothing of sockets, files, rows or the time: bytes, words and instants come in, values and bytes come out. What
//! always holds: no message of a stranger can make it panic or work longer than its length allows, and no value put into
//! a message of ours can start a header field of its own.

// A test may index: it stops at the unexpected and shows it.
#![cfg_attr(not(test), warn(clippy::indexing_slicing, clippy::string_slice, clippy::wildcard_enum_match_arm))]

pub mod build;
mod message_id;
pub mod read;
pub mod template;
pub mod verp;

pub use message_id::MessageId;
