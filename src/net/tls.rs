//! TLS as we speak it to other mail servers; below it, what we show to those who come to us.
//!
//! Mail servers are let show any certificate, and what it is worth is asked of its [`Chain`] when the handshake is over:
//! the same question can then be asked again, for another domain whose mail is to go over the connection.
//!
//! Knows nothing of SMTP or of which server gets which policy. What always holds: the provider is aws-lc-rs, named
//! explicitly; a handshake is always signed by the key of the certificate shown, verified or not; every connection shows
//! its certificates anew.

pub mod certificate;
pub mod identity;

use crate::clock::Clock;
use crate::model::Timestamp;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::time_provider::TimeProvider;
use rustls::{
    ClientConfig, ClientConnection, CommonState, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio_rustls::TlsConnector;

/// Why there is no TLS to be had.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The file of further authorities cannot be read.
    #[error("{}: cannot be read as certificates in PEM: {cause}", path.display())]
    Authorities {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        cause: String,
    },
    /// The library refused the settings.
    #[error("TLS cannot be set up: {0}")]
    Setup(#[from] Error),
}

/// The two ways to open a secured connection.
#[derive(Clone)]
pub struct Connectors {
    /// Takes whatever certificate is shown. What that is worth is asked afterwards, of its [`Chain`].
    pub any: TlsConnector,
    /// Takes only a certificate for the server's name by a known authority.
    pub verified: TlsConnector,
    /// Those authorities.
    pub authorities: Authorities,
}

impl Connectors {
    /// Sets both up; `authorities` is a PEM file of certificates trusted beside the public ones.
    ///
    /// # Errors
    /// The file cannot be read, or holds no certificate.
    pub fn new(authorities: Option<&Path>, clock: &Clock) -> Result<Self, TlsError> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = || {
            ClientConfig::builder_with_details(provider.clone(), Arc::new(Time(clock.clone())))
                .with_safe_default_protocol_versions()
        };
        let roots = Arc::new(roots(authorities)?);
        let mut any = builder()?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Unverified(provider.clone())))
            .with_no_client_auth();
        // A resumed session shows the certificate of an earlier one, which may have been replaced since.
        any.resumption = Resumption::disabled();
        let verified = builder()?.with_root_certificates(Arc::clone(&roots)).with_no_client_auth();
        let authorities = Authorities(roots);
        Ok(Self { any: Arc::new(any).into(), verified: Arc::new(verified).into(), authorities })
    }
}

/// The authorities whose word on certificates is taken.
#[derive(Clone)]
pub struct Authorities(Arc<RootCertStore>);

/// The certificates a server showed: its own, then those that lead to an authority.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain(Vec<CertificateDer<'static>>);

impl Chain {
    /// Takes what was shown when the connection was opened.
    #[must_use]
    pub fn shown_on(connection: &ClientConnection) -> Self {
        Self(connection.peer_certificates().map(<[_]>::to_vec).unwrap_or_default())
    }

    /// Takes certificates as if they had been shown.
    #[cfg(test)]
    pub(super) const fn of(certificates: Vec<CertificateDer<'static>>) -> Self {
        Self(certificates)
    }

    /// Gives the server's own certificate and those behind it.
    pub(super) fn parts(&self) -> Option<(&CertificateDer<'static>, &[CertificateDer<'static>])> {
        self.0.split_first()
    }

    /// Says whether a known authority vouches at `now` for this server having that name.
    ///
    /// # Errors
    /// Why it does not.
    pub fn is_for(&self, name: &str, authorities: &Authorities, now: Timestamp) -> Result<(), Error> {
        self.is_vouched_for(&authorities.0, now, &[name])
    }

    /// Says whether one of `anchors` vouches at `now` for this server having one of the names.
    pub(super) fn is_vouched_for(
        &self,
        anchors: &RootCertStore,
        now: Timestamp,
        names: &[impl AsRef<str>],
    ) -> Result<(), Error> {
        let (own, others) = self.parts().ok_or(Error::NoCertificatesPresented)?;
        let own = ParsedCertificate::try_from(own)?;
        let algorithms = rustls::crypto::aws_lc_rs::default_provider().signature_verification_algorithms;
        verify_server_cert_signed_by_trust_anchor(&own, anchors, others, unix(now), algorithms.all)?;
        let mut wrong = Error::General("there is no name to look for".to_owned());
        for name in names {
            let name = ServerName::try_from(name.as_ref().to_owned());
            match name
                .map_err(|error| Error::General(error.to_string()))
                .and_then(|name| verify_server_name(&own, &name))
            {
                Ok(()) => return Ok(()),
                Err(error) => wrong = error,
            }
        }
        Err(wrong)
    }
}

/// Gives the version of TLS that was agreed on: `TLSv1.3`, as the mail log shows it.
#[must_use]
pub fn version(connection: &CommonState) -> String {
    let version = connection.protocol_version().and_then(|version| version.as_str());
    version.map_or_else(|| "TLS".to_owned(), |name| name.replace('_', "."))
}

/// Our clock, as the library reads it.
#[derive(Debug)]
struct Time(Clock);

impl TimeProvider for Time {
    fn current_time(&self) -> Option<UnixTime> {
        Some(unix(self.0.now()))
    }
}

fn unix(now: Timestamp) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(now.seconds()).unwrap_or(0)))
}

fn roots(authorities: Option<&Path>) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    if let Some(path) = authorities {
        let wrong = |cause: String| TlsError::Authorities { path: path.to_owned(), cause };
        let certificates = CertificateDer::pem_file_iter(path).map_err(|error| wrong(error.to_string()))?;
        let before = roots.len();
        for certificate in certificates {
            let certificate = certificate.map_err(|error| wrong(error.to_string()))?;
            roots.add(certificate).map_err(|error| wrong(error.to_string()))?;
        }
        if roots.len() == before {
            return Err(wrong("it holds no certificate".to_owned()));
        }
    }
    Ok(roots)
}

/// Takes any certificate, and still has the handshake prove that its key is there.
#[derive(Debug)]
struct Unverified(Arc<CryptoProvider>);

impl ServerCertVerifier for Unverified {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn file(content: &str) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(content.as_bytes()).unwrap();
        file
    }

    #[test]
    fn further_authorities_are_read_from_a_file() {
        let clock = Clock::turned_by_hand(Timestamp::from_millis(0));
        let authority = rcgen::generate_simple_self_signed(["authority.example".to_owned()]).unwrap().cert.pem();
        assert!(Connectors::new(None, &clock).is_ok());
        assert_eq!(roots(Some(file(&authority).path())).unwrap().len(), roots(None).unwrap().len() + 1);
    }

    #[test]
    fn a_file_without_a_certificate_is_refused_by_its_name() {
        for content in ["", "hello", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
            let file = file(content);
            let complaint = roots(Some(file.path())).unwrap_err().to_string();
            assert!(complaint.starts_with(&file.path().display().to_string()), "{complaint}");
        }
        assert!(roots(Some(Path::new("/nowhere/at/all.pem"))).is_err());
    }
}
