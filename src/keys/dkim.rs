//! DKIM key pairs: made here, or brought along by the operator in PEM; and the DNS records that publish them.
//!
//! Does not know which keys sign, nor how a record is looked up. What always holds: a key that was read can sign, and its record
//! names the public half of just that key.

use super::{KeyError, disk};
use crate::model::{Domain, Secret};
use crate::random::Random;
use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair, RsaKeyPair};
use rustls::pki_types::{PrivateKeyDer, pem::PemObject};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::Path;
use std::str::FromStr;
use zeroize::Zeroizing;

/// How a DKIM key signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DkimAlgorithm {
    /// `rsa-sha256`, which everybody verifies (RFC 6376).
    Rsa,
    /// `ed25519-sha256` (RFC 8463): short, and not yet verified everywhere, so it signs beside RSA.
    Ed25519,
}

impl DkimAlgorithm {
    /// Gives its name in a record (`k=`, RFC 6376 3.6.1 and RFC 8463 4.1), which commands use too.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rsa => "rsa",
            Self::Ed25519 => "ed25519",
        }
    }
}

/// The text names no algorithm.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("“{0}” is neither rsa nor ed25519")]
pub struct AlgorithmError(String);

impl FromStr for DkimAlgorithm {
    type Err = AlgorithmError;

    fn from_str(text: &str) -> Result<Self, AlgorithmError> {
        let found = [Self::Rsa, Self::Ed25519].into_iter().find(|algorithm| algorithm.as_str() == text);
        found.ok_or_else(|| AlgorithmError(text.to_owned()))
    }
}

impl fmt::Display for DkimAlgorithm {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

/// A private DKIM key.
#[derive(Debug, Clone)]
pub struct DkimKey {
    /// The selector its public half is published under.
    pub selector: String,
    /// How it signs.
    pub algorithm: DkimAlgorithm,
    /// The private key as PKCS#8 in DER.
    pub private: Secret<Vec<u8>>,
    /// The public half as it is published: SubjectPublicKeyInfo in DER of RSA, the 32 bytes alone of Ed25519.
    pub public: Vec<u8>,
}

impl DkimKey {
    /// Gives the name that the record stands under in the DNS of a domain, without a dot at its end.
    #[must_use]
    pub fn record_name(&self, domain: &Domain) -> String {
        Self::name_of_record(&self.selector, domain)
    }

    /// Gives that name for a key of which only the selector is known.
    #[must_use]
    pub fn name_of_record(selector: &str, domain: &Domain) -> String {
        format!("{selector}._domainkey.{domain}")
    }

    /// Gives the text of the TXT record that publishes the public half (RFC 6376 3.6.1).
    ///
    /// That of RSA is longer than the 255 bytes of one string of a record: whoever writes it into a zone splits it, and whoever
    /// reads it joins the strings without anything between (RFC 6376 3.6.2.2).
    #[must_use]
    pub fn record(&self) -> String {
        format!("v=DKIM1; k={}; p={}", self.algorithm, data_encoding::BASE64.encode(&self.public))
    }
}

/// A DKIM key and the domain it signs for.
#[derive(Debug, Clone)]
pub struct DkimSigner {
    /// `d=`.
    pub domain: Domain,
    /// The key and its selector.
    pub key: DkimKey,
}

/// Reads a private key in PEM: PKCS#8 of RSA or Ed25519, or RSA as `openssl genrsa` and `opendkim-genkey` once wrote it
/// (PKCS#1).
pub(super) fn read(path: &Path, selector: &str) -> Result<DkimKey, KeyError> {
    let text = disk::read_private(path)?;
    let der = PrivateKeyDer::from_pem_slice(text.as_bytes())
        .ok()
        .ok_or_else(|| KeyError::content(path, "holds no private key in PEM"))?;
    let (algorithm, private, public) = normal(&der).ok_or_else(|| {
        KeyError::content(
            path,
            "holds a private key that cannot sign DKIM: it must be RSA of 2048 bits or more, or Ed25519",
        )
    })?;
    Ok(DkimKey { selector: selector.to_owned(), algorithm, private, public })
}

/// Checks a key, brings it into the one form that the signer takes, and gives its public half.
fn normal(der: &PrivateKeyDer<'_>) -> Option<(DkimAlgorithm, Secret<Vec<u8>>, Vec<u8>)> {
    let rsa = match der {
        PrivateKeyDer::Pkcs1(key) => RsaKeyPair::from_der(key.secret_pkcs1_der()).ok(),
        PrivateKeyDer::Pkcs8(key) => RsaKeyPair::from_pkcs8(key.secret_pkcs8_der()).ok(),
        _ => None,
    };
    if let Some(rsa) = rsa {
        let private = AsDer::<Pkcs8V1Der<'_>>::as_der(&rsa).ok()?;
        let public: PublicKeyX509Der<'_> = rsa.public_key().as_der().ok()?;
        return Some((DkimAlgorithm::Rsa, Secret::new(private.as_ref().to_vec()), public.as_ref().to_vec()));
    }
    let PrivateKeyDer::Pkcs8(key) = der else { return None };
    let pair = Ed25519KeyPair::from_pkcs8(key.secret_pkcs8_der()).ok()?;
    let private = Secret::new(pair.to_pkcs8().ok()?.as_ref().to_vec());
    Some((DkimAlgorithm::Ed25519, private, pair.public_key().as_ref().to_vec()))
}

/// Makes an RSA key of 2048 bits (RFC 8301 3.2), in PEM.
pub(super) fn make_rsa() -> Result<Zeroizing<String>, KeyError> {
    let pair = RsaKeyPair::generate(KeySize::Rsa2048).ok().ok_or(KeyError::Making)?;
    let der = AsDer::<Pkcs8V1Der<'_>>::as_der(&pair).ok().ok_or(KeyError::Making)?;
    Ok(pem(der.as_ref()))
}

/// Makes an Ed25519 key, in PEM.
pub(super) fn make_ed25519(random: &Random) -> Result<Zeroizing<String>, KeyError> {
    let seed = Zeroizing::new(random.bytes::<32>()?);
    let pair = Ed25519KeyPair::from_seed_unchecked(seed.as_slice()).ok().ok_or(KeyError::Making)?;
    // Version 1, without the public half: the version that OpenSSL reads too.
    Ok(pem(pair.to_pkcs8v1().ok().ok_or(KeyError::Making)?.as_ref()))
}

/// Writes PKCS#8 in PEM (RFC 7468).
pub(super) fn pem(der: &[u8]) -> Zeroizing<String> {
    let encoded = Zeroizing::new(data_encoding::BASE64.encode(der));
    let mut out = Zeroizing::new(String::with_capacity(encoded.len() + encoded.len() / 64 + 80));
    out.push_str("-----BEGIN PRIVATE KEY-----\n");
    let mut rest = encoded.as_str();
    while let Some((line, behind)) = rest.split_at_checked(64) {
        out.push_str(line);
        out.push('\n');
        rest = behind;
    }
    if !rest.is_empty() {
        out.push_str(rest);
        out.push('\n');
    }
    out.push_str("-----END PRIVATE KEY-----\n");
    out
}
