//! `tls_cert` and `tls_key`: the certificate that a service shows, and its key.
//!
//! Only where they lie is read here: what they hold changes while the daemon runs, and `net::tls` looks after that.

use super::reader::Section;
use std::path::{Path, PathBuf};

/// Where a certificate and its key lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate, and those that lead from it to an authority, in PEM (`tls_cert`).
    pub cert: PathBuf,
    /// Its private key, in PEM (`tls_key`).
    pub key: PathBuf,
}

impl TlsFiles {
    /// Reads both keys; nothing where neither is there, and a complaint where one is missing.
    pub(super) fn read(section: &mut Section<'_>, data_dir: &Path) -> Option<Self> {
        let (cert, key) = (section.value::<PathBuf>("tls_cert"), section.value::<PathBuf>("tls_key"));
        match (cert, key) {
            (Some(cert), Some(key)) => Some(Self { cert: data_dir.join(cert), key: data_dir.join(key) }),
            (Some(_), None) => {
                miss(section, "tls_key", "tls_cert", "the file of its private key");
                None
            }
            (None, Some(_)) => {
                miss(section, "tls_cert", "tls_key", "the file of the certificate");
                None
            }
            (None, None) => None,
        }
    }
}

/// Complains about one of the two where nothing is known to be wrong with it yet.
fn miss(section: &Section<'_>, missing: &str, given: &str, which: &str) {
    if !section.complained(missing) {
        let hint = format!("name {which}, or remove {given}");
        section.complain(missing, format!("is missing beside {given}"), Some(hint));
    }
}
