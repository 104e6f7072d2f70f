//! What a connection must have before a domain's mail goes over it.
//!
//! Knows nothing of where a demand comes from. What always holds: a demand is asked of what the server showed, not of how
//! the connection came about, so it can be asked again for another domain's mail.

use crate::config::TlsPolicy;
use crate::model::Timestamp;
use crate::net::dane::{Dane, Mismatch};
use crate::net::tls::{Authorities, Chain};

/// What is asked of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Demand {
    /// No TLS, though it be offered.
    Plain,
    /// TLS where it is offered and works, whatever the certificate (RFC 7435).
    Any,
    /// TLS, whatever the certificate: the domain publishes records for DANE of which none is usable (RFC 7672 2.2).
    Encrypted,
    /// A certificate for the server's name by a known authority.
    Verified,
    /// The certificate that the server's domain publishes.
    Dane(Dane),
}

/// Why a connection is not good enough.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Unmet {
    /// It is in plain text.
    #[error("TLS is required and not to be had")]
    Plain,
    /// No known authority vouches for the server's name.
    #[error("its certificate cannot be believed: {0}")]
    Certificate(#[from] rustls::Error),
    /// The certificate is not the one published.
    #[error("its certificate is not the one published (DANE): {0}")]
    Dane(#[from] Mismatch),
}

impl Demand {
    /// Says whether TLS is begun where it is offered.
    #[must_use]
    pub const fn takes_tls(&self) -> bool {
        !matches!(self, Self::Plain)
    }

    /// Says whether the mail waits rather than going in plain text.
    #[must_use]
    pub const fn insists(&self) -> bool {
        match self {
            Self::Plain | Self::Any => false,
            Self::Encrypted | Self::Verified | Self::Dane(_) => true,
        }
    }

    /// Says whether a password may go over a connection opened for it: the server is known, or the operator wants no TLS.
    #[must_use]
    pub const fn lets_log_in(&self) -> bool {
        match self {
            Self::Plain | Self::Verified | Self::Dane(_) => true,
            Self::Any | Self::Encrypted => false,
        }
    }

    /// Says whether a connection to `server` that showed these certificates, or none in plain text, is good enough.
    ///
    /// # Errors
    /// Why it is not.
    pub fn is_met_by(
        &self,
        shown: Option<&Chain>,
        server: &str,
        authorities: &Authorities,
        now: Timestamp,
    ) -> Result<(), Unmet> {
        match (self, shown) {
            (Self::Plain | Self::Any, _) | (Self::Encrypted, Some(_)) => Ok(()),
            (Self::Encrypted | Self::Verified | Self::Dane(_), None) => Err(Unmet::Plain),
            (Self::Verified, Some(shown)) => Ok(shown.is_for(server, authorities, now)?),
            (Self::Dane(dane), Some(shown)) => Ok(dane.is_met_by(shown, now)?),
        }
    }
}

/// What the operator's policy alone asks for.
impl From<TlsPolicy> for Demand {
    fn from(policy: TlsPolicy) -> Self {
        match policy {
            TlsPolicy::Off => Self::Plain,
            TlsPolicy::Opportunistic => Self::Any,
            TlsPolicy::Require => Self::Verified,
        }
    }
}
