//! The journeys: what is decided about a mail, a login, a link, and what is recorded with it.
//!
//! Knows nothing of sockets, pages or settings as written: values come in, a decision comes out, and what belongs together
//! is recorded in one transaction. What always holds: a decision is a pure function of facts, so that a table can test it;
//! nothing waits, hashes or signs inside a transaction.

mod address_change;
pub mod audit;
pub mod backup_code;
pub mod compose;
pub mod contact_test;
pub mod draft;
pub mod errand;
pub mod hasher;
pub mod landing;
pub mod login;
pub mod members;
pub mod notice;
pub mod otp;
pub mod password;
pub mod profile;
pub mod reach;
pub mod reception;
pub mod registration;
pub mod reseal;
pub mod reset;
pub mod second_factor;
pub mod session;
pub mod settle;
pub mod start_password;
mod window;
