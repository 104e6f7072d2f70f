//! karamail (空メール) takes in empty mails and answers with signed registration links; it is the mail daemon of a
//! safety-confirmation service.
//!
//! # Where to start reading
//!
//! A mail walks through the modules in one direction, carried by five nouns:
//!
//! > [`model::Received`] → [`service::registration::Decision`] → [`queue::Job`] → [`queue::Attempt`] → [`queue::Outcome`]
//!
//! Follow an empty mail and you have seen the building: `inbound::smtp` drives a `smtp::server` session and ends up with a
//! `Received`; `inbound::route` reads the recipient; `service::reception` loads facts, asks `registration::decide`, and in one
//! transaction remembers the mail and enqueues the answer; the peer hears 250 after the commit. `outbound::worker` claims the
//! job, `service::compose` builds the mail, `outbound::sign` signs it, a `smtp::client` session sends it, `service::settle`
//! records what came of it. `web` serves the page behind the link.
//!
//! # Who may use whom
//!
//! | level | modules | may use |
//! | --- | --- | --- |
//! | assembly | `cli`, `daemon` | everything below; `cli` uses `daemon` |
//! | edges | `inbound`, `outbound`, `web`, `api`, `control` | all below; of `config` only their own section; not one another |
//! | network | `net` | values, records |
//! | decisions | `service` | values, pure, `store`, `maillog`, `keys` |
//! | records | `config`, `store`, `keys`, `maillog` | values and `queue`; `config` also `mail::template`; `maillog` also `store::Tx` |
//! | pure | `link`, `seal`, `mail`, `smtp`, `queue` | values, and not one another |
//! | values | `model`, `clock`, `random` | nothing of ours |
//!
//! Pure means: no async, no socket, no file, no clock, no randomness. `tests/it/layers.rs` holds this table.

pub mod api;
pub mod cli;
pub mod clock;
pub mod config;
pub mod control;
pub mod daemon;
pub mod inbound;
pub mod keys;
pub mod link;
pub mod mail;
pub mod maillog;
pub mod model;
pub mod net;
pub mod outbound;
pub mod queue;
pub mod random;
pub mod seal;
pub mod service;
pub mod smtp;
pub mod store;
pub mod web;
