//! DANE: certificates compared with what a domain publishes about them, signed, in DNS (RFC 6698, RFC 7671, RFC 7672).
//!
//! Knows nothing of look-ups: who hands records in has seen that DNSSEC holds for them. What always holds: only the usages
//! DANE-TA(2) and DANE-EE(3) authenticate a mail server (RFC 7672 3.1.3), and a record that cannot be understood
//! authenticates nobody.

use super::tls::Chain;
use crate::model::Timestamp;
use hickory_resolver::proto::rr::rdata::TLSA;
use hickory_resolver::proto::rr::rdata::tlsa::{CertUsage, Matching, Selector};
use rustls::pki_types::CertificateDer;
use rustls::server::ParsedCertificate;
use rustls::{Error, RootCertStore};
use sha2::{Digest, Sha256, Sha512};

/// What a server's name says about its certificate, and which names that may bear.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dane {
    associations: Vec<Association>,
    /// RFC 7672 3.2.3: the name the records were found for, and the domain whose mail it is.
    names: Vec<String>,
}

/// Why a certificate is not the one that is published.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Mismatch {
    /// No record is about it.
    #[error("no TLSA record matches its certificate")]
    None,
    /// A record names an authority of the chain, which does not hold.
    #[error("the authority that its TLSA record names does not vouch for it: {0}")]
    Chain(Error),
}

/// One usable TLSA record.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Association {
    usage: Usage,
    part: Part,
    form: Form,
    data: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Usage {
    /// DANE-TA(2): an authority that the server shows.
    Authority,
    /// DANE-EE(3): the server's own.
    Own,
}

/// Which part of a certificate is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Whole,
    Key,
}

/// In which form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Full,
    Sha256,
    Sha512,
}

impl Dane {
    /// Takes the records found for `base`, a server of `domain`; nothing where none of them is usable, which asks for TLS
    /// without authentication (RFC 7672 2.2).
    #[must_use]
    pub fn of<'a>(records: impl IntoIterator<Item = &'a TLSA>, base: &str, domain: &str) -> Option<Self> {
        let associations: Vec<Association> = records.into_iter().filter_map(Association::of).collect();
        let names = vec![base.to_owned(), domain.to_owned()];
        (!associations.is_empty()).then_some(Self { associations, names })
    }

    /// Says whether the certificates shown are the ones published.
    ///
    /// # Errors
    /// They are not.
    pub fn is_met_by(&self, chain: &Chain, now: Timestamp) -> Result<(), Mismatch> {
        let (own, others) = chain.parts().ok_or(Mismatch::None)?;
        // RFC 7672 3.1.1: neither the names in it nor its dates count.
        if self.of_usage(Usage::Own).any(|association| association.matches(own)) {
            return Ok(());
        }
        let anchors = self.anchors(others);
        if anchors.is_empty() {
            return Err(Mismatch::None);
        }
        // RFC 7672 3.1.2: from there on all is as with any authority.
        chain.is_vouched_for(&anchors, now, &self.names).map_err(Mismatch::Chain)
    }

    fn of_usage(&self, usage: Usage) -> impl Iterator<Item = &Association> {
        self.associations.iter().filter(move |association| association.usage == usage)
    }

    /// Gives the authorities that records name: shown in the chain, or whole in the record (RFC 7671 5.2.2).
    fn anchors(&self, shown: &[CertificateDer<'static>]) -> RootCertStore {
        let mut anchors = RootCertStore::empty();
        for association in self.of_usage(Usage::Authority) {
            let named = shown.iter().filter(|certificate| association.matches(certificate)).cloned();
            let published = association.whole().map(|data| CertificateDer::from(data.to_vec()));
            // What is no certificate is no anchor.
            anchors.add_parsable_certificates(named.chain(published));
        }
        anchors
    }
}

impl Association {
    fn of(record: &TLSA) -> Option<Self> {
        let usage = match record.cert_usage {
            CertUsage::DaneTa => Usage::Authority,
            CertUsage::DaneEe => Usage::Own,
            // RFC 7672 3.1.3: mail servers cannot be known to be certified by an authority we know.
            CertUsage::PkixTa | CertUsage::PkixEe | CertUsage::Unassigned(_) | CertUsage::Private => return None,
        };
        let part = match record.selector {
            Selector::Full => Part::Whole,
            Selector::Spki => Part::Key,
            Selector::Unassigned(_) | Selector::Private => return None,
        };
        let form = match record.matching {
            Matching::Raw => Form::Full,
            Matching::Sha256 => Form::Sha256,
            Matching::Sha512 => Form::Sha512,
            Matching::Unassigned(_) | Matching::Private => return None,
        };
        let data = record.cert_data.clone();
        let fits = match form {
            Form::Full => !data.is_empty(),
            Form::Sha256 => data.len() == 32,
            Form::Sha512 => data.len() == 64,
        };
        fits.then_some(Self { usage, part, form, data })
    }

    fn matches(&self, certificate: &CertificateDer<'_>) -> bool {
        match self.part {
            Part::Whole => self.is(certificate),
            Part::Key => ParsedCertificate::try_from(certificate)
                .is_ok_and(|certificate| self.is(&certificate.subject_public_key_info())),
        }
    }

    fn is(&self, part: &[u8]) -> bool {
        match self.form {
            Form::Full => self.data == part,
            Form::Sha256 => self.data == Sha256::digest(part).as_slice(),
            Form::Sha512 => self.data == Sha512::digest(part).as_slice(),
        }
    }

    /// Gives the certificate where the record holds all of it.
    fn whole(&self) -> Option<&[u8]> {
        (self.part == Part::Whole && self.form == Form::Full).then_some(self.data.as_slice())
    }
}

#[cfg(test)]
mod tests;
