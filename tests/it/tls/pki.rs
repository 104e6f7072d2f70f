//! Authorities and certificates of a test's own.

use crate::peer::Setup;
use karamail::config::TlsFiles;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use tokio_rustls::TlsAcceptor;

/// The last year of a certificate that holds, and of one that does not.
pub const HOLDS: i32 = 2099;
pub const HELD: i32 = 2020;

pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub certificate: CertificateDer<'static>,
    pem: String,
}

/// What a server shows.
pub struct Identity {
    pub chain: Vec<CertificateDer<'static>>,
    key: Vec<u8>,
    /// The chain and the key as files hold them.
    pem: [String; 2],
}

impl Authority {
    pub fn new(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let certificate = params.self_signed(&key).unwrap();
        Self { pem: certificate.pem(), certificate: certificate.der().clone(), issuer: Issuer::new(params, key) }
    }

    /// Certifies a server with these names until a year begins.
    pub fn identity(&self, names: &[String], until: i32) -> Identity {
        self.certify(params(names, until))
    }

    /// The same, for so many days from now on.
    pub fn identity_for_days(&self, names: &[String], days: i64) -> Identity {
        let end = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(24 * days);
        let day = end.to_zoned(jiff::tz::TimeZone::UTC).date();
        let (month, day_of_month) = (day.month().try_into().unwrap(), day.day().try_into().unwrap());
        let mut params = params(names, HOLDS);
        params.not_after = rcgen::date_time_ymd(day.year().into(), month, day_of_month);
        self.certify(params)
    }

    fn certify(&self, params: CertificateParams) -> Identity {
        let key = KeyPair::generate().unwrap();
        let own = params.signed_by(&key, &self.issuer).unwrap();
        Identity {
            chain: vec![own.der().clone(), self.certificate.clone()],
            key: key.serialize_der(),
            pem: [own.pem() + &self.pem, key.serialize_pem()],
        }
    }

    /// A file that names it as one to be believed.
    pub fn file(&self) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(self.pem.as_bytes()).unwrap();
        file
    }
}

impl Identity {
    pub fn self_signed(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let own = params(&[name.to_owned()], HOLDS).self_signed(&key).unwrap();
        Self { chain: vec![own.der().clone()], key: key.serialize_der(), pem: [own.pem(), key.serialize_pem()] }
    }

    /// Puts it where a server of ours may read it.
    pub fn lay(&self, folder: &Path) -> TlsFiles {
        let files = TlsFiles { cert: folder.join("cert.pem"), key: folder.join("key.pem") };
        for (file, text) in [&files.cert, &files.key].into_iter().zip(&self.pem) {
            std::fs::write(file, text).unwrap();
            std::fs::set_permissions(file, PermissionsExt::from_mode(0o640)).unwrap();
        }
        files
    }

    pub fn acceptor(&self) -> TlsAcceptor {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(self.chain.clone(), PrivateKeyDer::try_from(self.key.clone()).unwrap())
            .unwrap();
        TlsAcceptor::from(Arc::new(config))
    }

    /// A mail server that offers STARTTLS and shows it.
    pub fn offered_by(&self, mut setup: Setup) -> Setup {
        setup.offers.push("STARTTLS");
        Setup { tls: Some(self.acceptor()), ..setup }
    }
}

fn params(names: &[String], until: i32) -> CertificateParams {
    let mut params = CertificateParams::new(names).unwrap();
    params.not_before = rcgen::date_time_ymd(2000, 1, 1);
    params.not_after = rcgen::date_time_ymd(until, 1, 1);
    params
}
