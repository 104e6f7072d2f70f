//! An installation, as far as the DNS is concerned.
//!
//! Knows nothing of records. What always holds: the addresses that mail leaves from are among those of the installation.

use crate::config::Host;
use crate::keys::DkimAlgorithm;
use crate::model::{Domain, EmailAddress};
use std::net::IpAddr;

/// What is known of an installation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Its name in the greeting and in EHLO.
    pub hostname: Domain,
    /// Where empty mails go.
    pub registration: Vec<EmailAddress>,
    /// The address in From.
    pub from: EmailAddress,
    /// Where return addresses lie.
    pub bounce: Domain,
    /// Which way its mail leaves.
    pub way: Way,
    /// Its addresses; empty where they are not known.
    pub addresses: Vec<IpAddr>,
    /// Those of them that mail leaves from.
    pub senders: Vec<IpAddr>,
    /// Whether the addresses are only what the DNS says they are.
    pub assumed: bool,
    /// The hosts of its pages.
    pub pages: Vec<Domain>,
    /// The public halves of its DKIM keys.
    pub dkim: Vec<DkimHalf>,
}

/// Which way mail leaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Way {
    /// From our own addresses.
    Direct,
    /// Through a server that takes all of it.
    Relay(Host),
}

/// The public half of a DKIM key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DkimHalf {
    /// `d=`.
    pub domain: Domain,
    /// `s=`.
    pub selector: String,
    /// How it signs.
    pub algorithm: DkimAlgorithm,
    /// What is published; nothing where the key is still to be made.
    pub text: Option<String>,
    /// Whether it signs.
    pub standing: Standing,
}

/// Whether a key signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It does.
    Signs,
    /// It waits for its record.
    Waits,
}
