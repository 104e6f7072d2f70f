//! The first of the five nouns: a mail that came in, before anybody has judged it.

use super::{EmailAddress, ReversePath, Timestamp};
use std::net::IpAddr;

/// The way a mail came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Via {
    /// By SMTP, from the sender's own system.
    Smtp,
}

impl Via {
    /// Gives the name used in the mail log.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Smtp => "smtp",
        }
    }
}

/// A mail as it came in: the envelope, who handed it over, and every byte.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// How it came.
    pub via: Via,
    /// The other side of the connection.
    pub peer: IpAddr,
    /// The version of TLS it came over, such as `TLSv1.3`; nothing: in plain.
    pub tls: Option<String>,
    /// The name it gave in EHLO or HELO; a claim.
    pub helo: String,
    /// MAIL FROM.
    pub envelope_sender: ReversePath,
    /// RCPT TO: those we took, at least one.
    pub recipients: Vec<EmailAddress>,
    /// The message, dots unstuffed, lines as they came.
    pub message: Vec<u8>,
    /// When its end was read.
    pub at: Timestamp,
}
