//! Signs mail with DKIM (RFC 6376), by RSA and Ed25519 (RFC 8463) beside each other.
//!
//! Signing is CPU time, so it runs beside the sockets, on as many threads as there are cores.
//!
//! Knows nothing of what a mail says, nor how keys change. What always holds: every mail is signed by all keys that sign when its
//! turn comes, and without a key none leaves; the bytes signed are the bytes that go on the wire, and nobody can add a second
//! From, To, Subject or Date to a signed mail. The moment of signing (`t=`) is read from the system's clock by the library.

use crate::keys::{DkimAlgorithm, DkimSigner};
use crate::smtp::client::with_crlf;
use mail_auth::common::crypto::{DkimKey, Ed25519Key, RsaKey, Sha256};
use mail_auth::common::headers::HeaderWriter;
use mail_auth::dkim::{Canonicalization, DkimSigner as Pen, Done};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::available_parallelism;
use tokio::sync::{Semaphore, watch};

/// What is signed. A name that stands here once more than in the mail is signed as absent (RFC 6376 5.4.2), so adding
/// one breaks the signature.
const FIELDS: [&str; 19] = [
    "From",
    "From",
    "To",
    "To",
    "Subject",
    "Subject",
    "Date",
    "Date",
    "Message-ID",
    "Message-ID",
    "Reply-To",
    "Cc",
    "Auto-Submitted",
    "In-Reply-To",
    "References",
    "MIME-Version",
    "Content-Type",
    "Content-Type",
    "Content-Transfer-Encoding",
];

/// Why a mail could not be signed.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// A key is of no use to the library.
    #[error("the DKIM key “{selector}” cannot be used: {cause}")]
    Key {
        /// The key's selector.
        selector: String,
        /// What the library said.
        cause: String,
    },
    /// There is none.
    #[error("there is no DKIM key to sign it with")]
    Missing,
    /// The library could not sign.
    #[error("a mail could not be signed: {0}")]
    Signing(String),
    /// The threads that sign have been stopped.
    #[error("signing was stopped")]
    Stopped,
}

/// The keys in the form that the library signs with.
type Pens = Arc<[Pen<DkimKey, Done>]>;

/// Signs mail. Clones share the keys and the threads.
#[derive(Clone)]
pub struct Signer {
    keys: watch::Receiver<Arc<[DkimSigner]>>,
    /// The keys that were there last, and what was made of them.
    held: Arc<Mutex<(Arc<[DkimSigner]>, Pens)>>,
    cores: Arc<Semaphore>,
}

impl Signer {
    /// Takes the keys that sign.
    ///
    /// # Errors
    /// A key is of no use to the library.
    pub fn new(keys: &[DkimSigner]) -> Result<Self, SignError> {
        Self::following(watch::Sender::new(keys.into()).subscribe())
    }

    /// Takes the keys that sign now, and with each mail those that sign then.
    ///
    /// # Errors
    /// A key is of no use to the library.
    pub fn following(keys: watch::Receiver<Arc<[DkimSigner]>>) -> Result<Self, SignError> {
        let first = Arc::clone(&keys.borrow());
        let pens = pens(&first)?;
        let cores = available_parallelism().map_or(1, usize::from);
        Ok(Self { keys, held: Arc::new(Mutex::new((first, pens))), cores: Arc::new(Semaphore::new(cores)) })
    }

    /// Gives the pens of the keys that sign now.
    fn pens(&self) -> Result<Pens, SignError> {
        let now = Arc::clone(&self.keys.borrow());
        // Whoever held it before left whole pens behind.
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if !Arc::ptr_eq(&held.0, &now) {
            *held = (Arc::clone(&now), pens(&now)?);
        }
        Ok(Arc::clone(&held.1))
    }

    /// Gives the message with a signature of each key on top and every line ended by CRLF.
    ///
    /// # Errors
    /// There is no key, the library refused, or the program is stopping.
    pub async fn sign(&self, message: Vec<u8>) -> Result<Vec<u8>, SignError> {
        let turn = self.cores.clone().acquire_owned().await.ok().ok_or(SignError::Stopped)?;
        let pens = self.pens()?;
        if pens.is_empty() {
            return Err(SignError::Missing);
        }
        let signing = tokio::task::spawn_blocking(move || {
            let signed = signed(&pens, &message);
            drop(turn);
            signed
        });
        signing.await.ok().ok_or(SignError::Stopped)?
    }
}

fn pens(keys: &[DkimSigner]) -> Result<Pens, SignError> {
    let mut keys: Vec<&DkimSigner> = keys.iter().collect();
    // RSA on top: some receivers look only at the first signature, and not all know Ed25519.
    keys.sort_by_key(|signer| signer.key.algorithm == DkimAlgorithm::Ed25519);
    keys.into_iter().map(pen).collect()
}

fn pen(signer: &DkimSigner) -> Result<Pen<DkimKey, Done>, SignError> {
    let der = signer.key.private.reveal();
    let key = match signer.key.algorithm {
        DkimAlgorithm::Rsa => {
            RsaKey::<Sha256>::from_key_der(PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(der.as_slice())))
                .map(DkimKey::Rsa)
        }
        // Version 1 of the format is without the public half, which the strict reading asks for.
        DkimAlgorithm::Ed25519 => Ed25519Key::from_pkcs8_maybe_unchecked_der(der).map(DkimKey::Ed25519),
    };
    let wrong =
        |cause: mail_auth::Error| SignError::Key { selector: signer.key.selector.clone(), cause: cause.to_string() };
    Ok(Pen::from_key(key.map_err(wrong)?)
        .domain(signer.domain.as_str())
        .selector(&signer.key.selector)
        .headers(FIELDS)
        .header_canonicalization(Canonicalization::Relaxed)
        .body_canonicalization(Canonicalization::Relaxed))
}

/// Takes the semicolon behind a signature back to the end of its line, where folding gave it a line of its own. The space around
/// the value of `b=` is not signed (RFC 6376 3.7), but dkimpy leaves it in place behind the value and then finds another header
/// than was signed.
fn rejoin(header: &mut Vec<u8>) {
    const ALONE: &[u8] = b"\r\n\t;\r\n";
    if header.ends_with(ALONE) {
        header.truncate(header.len() - ALONE.len());
        header.extend_from_slice(b";\r\n");
    }
}

fn signed(pens: &[Pen<DkimKey, Done>], message: &[u8]) -> Result<Vec<u8>, SignError> {
    let message = with_crlf(message);
    let mut out = Vec::with_capacity(message.len() + 1_024 * pens.len());
    for pen in pens {
        let signature = pen.sign(&message).map_err(|cause| SignError::Signing(cause.to_string()))?;
        signature.write_header(&mut out);
        rejoin(&mut out);
    }
    out.extend_from_slice(&message);
    Ok(out)
}
