//! A certificate and its private key, read from their two files.
//!
//! Knows nothing of who shows it, nor of whom it convinces: authorities are for the other side to judge. What always holds:
//! the key is that of the certificate, and not everybody on the machine could read it.

use super::Time;
use crate::clock::Clock;
use crate::config::TlsFiles;
use crate::model::{Span, Timestamp};
use rustls::client::verify_server_name;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::ParsedCertificate;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{Error, InconsistentKeys, ServerConfig};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use x509_cert::der::Decode;
use zeroize::Zeroizing;

/// The longest file read: a chain of certificates has under 20 KB.
const LONGEST: u64 = 256 * 1024;
/// From when on it is told that a certificate ends: what renews it should have done so a week ago.
const SOON: Span = Span::from_secs(21 * 86_400);
/// From when on somebody has to act.
const AT_ONCE: Span = Span::from_secs(3 * 86_400);

/// Why two files are not a certificate that can be shown; each names the file.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// The system refused to read it.
    #[error("{}: cannot be read: {cause}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// It is no file of this kind.
    #[error("{}: is far too long", path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
    },
    /// The key is nobody's secret.
    #[error("{}: everybody on this machine can read it", path.display())]
    TooOpen {
        /// The file of the key.
        path: PathBuf,
    },
    /// There is no certificate in it, or one is cut.
    #[error("{}: holds no whole certificate in PEM", path.display())]
    NoCertificate {
        /// The file of the certificate.
        path: PathBuf,
    },
    /// There is no private key in it.
    #[error("{}: holds no private key in PEM", path.display())]
    NoKey {
        /// The file of the key.
        path: PathBuf,
    },
    /// One has been exchanged without the other.
    #[error("{}: is not the key of the certificate in {}", key.display(), cert.display())]
    Mismatch {
        /// The file of the key.
        key: PathBuf,
        /// The file of the certificate.
        cert: PathBuf,
    },
    /// It is in PEM, and yet of no use.
    #[error("{}: cannot be used: {cause}", path.display())]
    Unusable {
        /// The file to blame.
        path: PathBuf,
        /// What is wrong with it.
        cause: String,
    },
}

impl CertificateError {
    /// Gives the file to blame.
    #[must_use]
    pub fn path(&self) -> &Path {
        match self {
            Self::Io { path, .. }
            | Self::TooLong { path }
            | Self::TooOpen { path }
            | Self::NoCertificate { path }
            | Self::NoKey { path }
            | Self::Mismatch { key: path, .. }
            | Self::Unusable { path, .. } => path,
        }
    }

    /// Says what to do about it.
    #[must_use]
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::Io { .. } => {
                "the user that the daemon runs as must be able to read it, and to enter the folders above it: \
                 chgrp and chmod 640, or have what renews it put a copy where that user can"
            }
            Self::TooLong { .. } | Self::NoCertificate { .. } => {
                "it begins with the server's own certificate, and those that lead to an authority follow (fullchain.pem)"
            }
            Self::TooOpen { .. } => "run: chmod o= on it; its group may read it",
            Self::NoKey { .. } => "it is a key without a password, in PKCS#8, PKCS#1 or SEC1 (privkey.pem)",
            Self::Mismatch { .. } => "name the two files that were made together",
            Self::Unusable { .. } => "have it issued anew: RSA from 2048 bits, or ECDSA with P-256 or P-384",
        }
    }
}

/// How near the end of a certificate is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Urgency {
    /// Within three weeks.
    Soon,
    /// Within three days.
    AtOnce,
    /// It has come.
    Over,
}

impl Urgency {
    /// Says how near the end is; nothing where it is far.
    #[must_use]
    pub fn of(ends: Timestamp, now: Timestamp) -> Option<Self> {
        if ends <= now {
            Some(Self::Over)
        } else if ends <= now.plus(AT_ONCE) {
            Some(Self::AtOnce)
        } else if ends <= now.plus(SOON) {
            Some(Self::Soon)
        } else {
            None
        }
    }
}

/// What stands in the two files, before anybody has understood it.
pub(super) struct Content {
    files: TlsFiles,
    cert: Vec<u8>,
    key: Zeroizing<Vec<u8>>,
}

impl Content {
    pub(super) fn read(files: &TlsFiles) -> Result<Self, CertificateError> {
        let cert = read(&files.cert, |_| Ok(()))?.to_vec();
        let key = read(&files.key, |mode| {
            // Its group may: that is how ACME clients and orchestrators hand keys over.
            if mode & 0o007 == 0 { Ok(()) } else { Err(CertificateError::TooOpen { path: files.key.clone() }) }
        })?;
        Ok(Self { files: files.clone(), cert, key })
    }

    /// Gives what is the same exactly where both files say the same.
    pub(super) fn mark(&self) -> [u8; 32] {
        Sha256::new()
            .chain_update(Sha256::digest(&self.cert))
            .chain_update(Sha256::digest(&*self.key))
            .finalize()
            .into()
    }
}

fn read(
    path: &Path,
    judge: impl FnOnce(u32) -> Result<(), CertificateError>,
) -> Result<Zeroizing<Vec<u8>>, CertificateError> {
    let failed = |cause| CertificateError::Io { path: path.to_owned(), cause };
    let file = File::open(path).map_err(failed)?;
    judge(file.metadata().map_err(failed)?.permissions().mode())?;
    let mut bytes = Zeroizing::new(Vec::with_capacity(16 * 1024));
    file.take(LONGEST + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > LONGEST {
        return Err(CertificateError::TooLong { path: path.to_owned() });
    }
    Ok(bytes)
}

/// A certificate that can be shown, and those that lead from it to an authority.
#[derive(Debug, Clone)]
pub struct Certificate {
    key: Arc<CertifiedKey>,
    /// From when on it is believed.
    pub begins: Timestamp,
    /// Until when it is believed.
    pub ends: Timestamp,
}

impl Certificate {
    /// Reads the two files.
    ///
    /// # Errors
    /// One cannot be read or used, or they do not belong together.
    pub fn read(files: &TlsFiles) -> Result<Self, CertificateError> {
        Self::understand(&Content::read(files)?)
    }

    pub(super) fn understand(content: &Content) -> Result<Self, CertificateError> {
        let Content { files: TlsFiles { cert, key }, cert: cert_pem, key: key_pem } = content;
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(cert_pem).collect();
        let chain = chain.ok().filter(|chain| !chain.is_empty());
        let chain = chain.ok_or_else(|| CertificateError::NoCertificate { path: cert.clone() })?;
        let private = PrivateKeyDer::from_pem_slice(key_pem).ok();
        let private = private.ok_or_else(|| CertificateError::NoKey { path: key.clone() })?;
        let unusable = |path: &PathBuf, cause: String| CertificateError::Unusable { path: path.clone(), cause };
        let (begins, ends) = validity(&chain).map_err(|error| unusable(cert, error.to_string()))?;
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        let key = CertifiedKey::from_der(chain, private, &provider).map_err(|error| match error {
            Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
                CertificateError::Mismatch { key: key.clone(), cert: cert.clone() }
            }
            Error::InvalidCertificate(_) => unusable(cert, error.to_string()),
            other => unusable(key, other.to_string()),
        })?;
        Ok(Self { key: Arc::new(key), begins, ends })
    }

    /// Says whether it is for the server of that name, or address.
    ///
    /// # Errors
    /// Why it is not, with the names that it is for.
    pub fn is_for(&self, name: &str) -> Result<(), Error> {
        let own = ParsedCertificate::try_from(self.key.end_entity_cert()?)?;
        let name = ServerName::try_from(name).map_err(|error| Error::General(error.to_string()))?;
        verify_server_name(&own, &name)
    }

    /// Sets up the server's side of TLS with it; `protocols` are those of ALPN.
    pub(super) fn shown(&self, protocols: &[&[u8]], clock: &Clock) -> Result<ServerConfig, Error> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_details(provider, Arc::new(Time(clock.clone())))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(SingleCertAndKey::from(Arc::clone(&self.key))));
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        Ok(config)
    }
}

/// Reads from when until when the server's own certificate is believed.
fn validity(chain: &[CertificateDer<'_>]) -> Result<(Timestamp, Timestamp), x509_cert::der::Error> {
    let own = chain.first().map(AsRef::as_ref).unwrap_or_default();
    let validity = x509_cert::Certificate::from_der(own)?.tbs_certificate.validity;
    let moment = |since: Duration| Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX));
    Ok((moment(validity.not_before.to_unix_duration()), moment(validity.not_after.to_unix_duration())))
}

#[cfg(test)]
mod tests;
