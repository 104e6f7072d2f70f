//! TLS as we speak it to other mail servers.
//!
//! Knows nothing of SMTP or of which server gets which policy. What always holds: the provider is aws-lc-rs, named
//! explicitly; a handshake is always signed by the key of the certificate shown, verified or not; where verification is
//! asked for, nothing skips it.

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use std::path::{Path, PathBuf};
use std::sync::Arc;
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
    /// Takes whatever certificate is shown: hides the mail from who only listens (RFC 7435).
    pub opportunistic: TlsConnector,
    /// Takes only a certificate for the server's name by a known authority.
    pub verified: TlsConnector,
}

impl Connectors {
    /// Sets both up; `authorities` is a PEM file of certificates trusted beside the public ones.
    ///
    /// # Errors
    /// The file cannot be read, or holds no certificate.
    pub fn new(authorities: Option<&Path>) -> Result<Self, TlsError> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = || ClientConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions();
        let unverified = builder()?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Unverified(provider.clone())))
            .with_no_client_auth();
        let verified = builder()?.with_root_certificates(roots(authorities)?).with_no_client_auth();
        Ok(Self { opportunistic: Arc::new(unverified).into(), verified: Arc::new(verified).into() })
    }
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
        let authority = rcgen::generate_simple_self_signed(["authority.example".to_owned()]).unwrap().cert.pem();
        assert!(Connectors::new(None).is_ok());
        assert_eq!(roots(Some(file(&authority).path())).unwrap().len(), roots(None).unwrap().len() + 1);
    }

    #[test]
    fn a_file_without_a_certificate_is_refused_by_its_name() {
        for content in ["", "hello", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
            let file = file(content);
            let complaint = roots(Some(file.path())).unwrap_err().to_string();
            assert!(complaint.starts_with(&file.path().display().to_string()), "{complaint}");
        }
        assert!(Connectors::new(Some(Path::new("/nowhere/at/all.pem"))).is_err());
    }
}
