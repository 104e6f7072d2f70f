//! Tokens and return paths that are not ours, and ours tampered with.
//!
//! Reading must not panic; what was minted comes back as it was; and no other spelling of the signed part is believed.

#![no_main]

use karamail::link::{Link, LinkError, Purpose};
use karamail::mail::verp;
use karamail::model::{Domain, EmailAddress, JobId, KeyRing, Secret, Timestamp};
use libfuzzer_sys::fuzz_target;

fn keys() -> KeyRing {
    KeyRing::new(2, [(1, Secret::new([1; 32])), (2, Secret::new([2; 32]))].into()).expect("key 2 is there")
}

fn domain() -> Domain {
    "bounce.example.jp".parse().expect("a domain")
}

/// Replaces one octet of `text` by a printable one; nothing where that changes nothing.
fn tampered(text: &str, at: u8, with: u8) -> Option<String> {
    let mut octets = text.as_bytes().to_vec();
    let at = usize::from(at) % octets.len();
    let with = b'!' + with % 94;
    let changes = !octets[at].eq_ignore_ascii_case(&with);
    octets[at] = with;
    changes.then(|| String::from_utf8(octets).expect("ASCII"))
}

fn try_links(row: i64, expires: i64, nonce: [u8; 16], at: u8, with: u8) {
    let link = Link { purpose: Purpose::Registration, row, expires, nonce };
    let token = link.mint(&keys());
    let now = Timestamp::from_millis((expires - 1) * 1_000);
    assert_eq!(Link::verify(&token, Purpose::Registration, &keys(), now), Ok(link));
    assert_eq!(Link::verify(&token, Purpose::ContactTest, &keys(), now), Err(LinkError::Forged));
    if let Some(token) = tampered(&token, at, with) {
        assert!(Link::verify(&token, Purpose::Registration, &keys(), now).is_err(), "{token}");
    }
}

fn try_return_paths(job: i64, day: i64, at: u8, with: u8) {
    let address = verp::address(&keys(), JobId::new(job), day, &domain());
    assert_eq!(verp::read(&keys(), &address, &domain()), Ok((JobId::new(job), day)));
    if let Some(local) = tampered(address.local(), at, with) {
        let forged = EmailAddress::new(&local, domain()).expect("printable");
        assert!(verp::read(&keys(), &forged, &domain()).is_err(), "{forged}");
    }
}

fuzz_target!(|input: (&str, i64, i64, [u8; 16], u8, u8)| {
    let (text, row, moment, nonce, at, with) = input;
    let verdict = Link::verify(text, Purpose::Registration, &keys(), Timestamp::from_millis(moment));
    assert!(verdict.is_err(), "nobody guesses a token");
    if let Ok(address) = EmailAddress::new(text, domain()) {
        assert!(verp::read(&keys(), &address, &domain()).is_err(), "nobody guesses a return path");
    }
    let (row, moment) = (row & i64::MAX, moment & 0xffff_ffff);
    try_links(row, moment.max(1), nonce, at, with);
    try_return_paths(row, moment / 86_400, at, with);
});
