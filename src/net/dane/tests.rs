use super::*;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

const HOST: &str = "mx.example";
const DOMAIN: &str = "domain.example";

/// An authority, and the chain of a server that it vouches for: a certificate for `name`, valid from 2000 to `until`.
struct Pki {
    authority: CertificateDer<'static>,
    own: CertificateDer<'static>,
}

impl Pki {
    fn new(name: &str, until: i32) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "authority");
        let authority = params.self_signed(&key).unwrap();
        let issuer = Issuer::new(params, key);
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(2000, 1, 1);
        params.not_after = rcgen::date_time_ymd(until, 1, 1);
        let own = params.signed_by(&KeyPair::generate().unwrap(), &issuer).unwrap();
        Self { authority: authority.der().clone(), own: own.der().clone() }
    }

    fn chain(&self) -> Chain {
        Chain::of(vec![self.own.clone(), self.authority.clone()])
    }
}

fn now() -> Timestamp {
    Timestamp::from_millis(1_795_298_400_000)
}

fn key_of(certificate: &CertificateDer<'_>) -> Vec<u8> {
    ParsedCertificate::try_from(certificate).unwrap().subject_public_key_info().to_vec()
}

fn record(usage: u8, selector: u8, matching: u8, certificate: &CertificateDer<'_>) -> TLSA {
    let part = if selector == 0 { certificate.to_vec() } else { key_of(certificate) };
    let data = match matching {
        0 => part,
        1 => Sha256::digest(&part).to_vec(),
        _ => Sha512::digest(&part).to_vec(),
    };
    TLSA::new(usage.into(), selector.into(), matching.into(), data)
}

fn check(records: &[TLSA], chain: &Chain) -> Result<(), Mismatch> {
    Dane::of(records, HOST, DOMAIN).expect("usable").is_met_by(chain, now())
}

#[test]
fn each_selector_and_matching_type_finds_the_right_certificate_and_not_another() {
    let (right, other) = (Pki::new(HOST, 2099), Pki::new(HOST, 2099));
    for selector in [0, 1] {
        for matching in [0, 1, 2] {
            for (usage, certificate) in [(3, &right.own), (2, &right.authority)] {
                let records = [record(usage, selector, matching, certificate)];
                assert_eq!(check(&records, &right.chain()), Ok(()), "{records:?}");
                assert!(check(&records, &other.chain()).is_err(), "{records:?}");
            }
        }
    }
}

#[test]
fn one_record_of_several_is_enough() {
    let (right, other) = (Pki::new(HOST, 2099), Pki::new(HOST, 2099));
    let records = [record(3, 1, 1, &other.own), record(2, 0, 1, &other.authority), record(3, 1, 1, &right.own)];
    assert_eq!(check(&records, &right.chain()), Ok(()));
    assert_eq!(check(&records[..2], &right.chain()), Err(Mismatch::None));
}

#[test]
fn names_and_dates_count_for_an_authority_and_not_for_an_own_certificate() {
    for (name, until, by_authority) in [
        (HOST, 2099, true),
        // RFC 7672 3.2.3: the domain whose mail it is will do as well.
        (DOMAIN, 2099, true),
        ("another.example", 2099, false),
        (HOST, 2020, false),
    ] {
        let pki = Pki::new(name, until);
        assert_eq!(check(&[record(3, 1, 1, &pki.own)], &pki.chain()), Ok(()), "{name} {until}");
        let found = check(&[record(2, 0, 1, &pki.authority)], &pki.chain());
        assert_eq!(found.is_ok(), by_authority, "{name} {until}: {found:?}");
        assert!(by_authority || matches!(found, Err(Mismatch::Chain(_))), "{found:?}");
    }
}

#[test]
fn an_authority_must_be_shown_or_stand_whole_in_the_record_and_really_have_signed() {
    let pki = Pki::new(HOST, 2099);
    let alone = Chain::of(vec![pki.own.clone()]);
    assert_eq!(check(&[record(2, 0, 1, &pki.authority)], &alone), Err(Mismatch::None));
    assert_eq!(check(&[record(2, 1, 0, &pki.authority)], &alone), Err(Mismatch::None));
    assert_eq!(check(&[record(2, 0, 0, &pki.authority)], &alone), Ok(()));
    // Showing the right authority beside a certificate it never saw is no proof.
    let stranger = Pki::new(HOST, 2099);
    let pasted = Chain::of(vec![stranger.own.clone(), pki.authority.clone()]);
    assert!(matches!(check(&[record(2, 0, 1, &pki.authority)], &pasted), Err(Mismatch::Chain(_))));
    assert_eq!(check(&[record(2, 0, 1, &pki.own)], &pki.chain()), Err(Mismatch::None));
}

#[test]
fn an_own_certificate_is_the_first_one_shown() {
    let pki = Pki::new(HOST, 2099);
    assert_eq!(check(&[record(3, 0, 1, &pki.authority)], &pki.chain()), Err(Mismatch::None));
    assert_eq!(check(&[record(3, 0, 1, &pki.own)], &Chain::of(Vec::new())), Err(Mismatch::None));
}

#[test]
fn records_that_cannot_be_understood_or_are_of_other_usages_are_not_usable() {
    let pki = Pki::new(HOST, 2099);
    let short = TLSA::new(CertUsage::DaneEe, Selector::Spki, Matching::Sha256, vec![1; 31]);
    let long = TLSA::new(CertUsage::DaneEe, Selector::Spki, Matching::Sha512, vec![1; 32]);
    let empty = TLSA::new(CertUsage::DaneEe, Selector::Spki, Matching::Raw, Vec::new());
    for record in [
        record(0, 0, 1, &pki.authority),
        record(1, 1, 1, &pki.own),
        record(4, 1, 1, &pki.own),
        record(3, 1, 3, &pki.own),
        record(255, 1, 1, &pki.own),
        TLSA::new(CertUsage::DaneEe, Selector::from(2), Matching::Sha256, vec![1; 32]),
        short,
        long,
        empty,
    ] {
        assert_eq!(Dane::of([&record], HOST, DOMAIN), None, "{record}");
        // Beside one that is usable it is as if it were not there.
        let usable = self::record(3, 1, 1, &pki.own);
        assert_eq!(check(&[record, usable], &pki.chain()), Ok(()));
    }
}
