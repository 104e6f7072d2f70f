//! The envelope sender of each mail we send, signed, so that a bounce tells us which mail it is about.
//!
//! Knows nothing of bounces: a job's number and a day go in, an address comes out, and back. What always holds: an address
//! that is read back was made by us with a key that is not retired. It shows no part of the recipient, so that an odd
//! local part cannot break it.
//!
//! `b+JOB-DAY-MAC@bounce_domain`: the job as people write it (`jaq`), the day in days since 1970, and 80 bits of
//! HMAC-SHA-256 in lower-case base32. Some systems change the case on the way back, so none counts.

use crate::model::{Domain, EmailAddress, JobId, KeyRing, mac};
use data_encoding::BASE32_NOPAD;
use subtle::ConstantTimeEq;

/// What `mac` is told, so that no other use of a key gives a valid tag.
const MAC_PURPOSE: &str = "karamail verp v1";
const PREFIX: &str = "b+";

/// The address was not made by us, or its key was retired.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is no return path of ours")]
pub struct Forged;

/// Makes the envelope sender of a job's mail; `day` is when it is sent, in days since the epoch.
#[must_use]
#[expect(clippy::expect_used, reason = "52 letters, digits and signs at most, as a test shows for the longest numbers")]
pub fn address(keys: &KeyRing, job: JobId, day: i64, domain: &Domain) -> EmailAddress {
    let local = local(keys.active().1, job, day.max(0));
    EmailAddress::new(&local, domain.clone()).expect("letters, digits and signs, shorter than a local part may be")
}

/// Reads back which job's mail the address belongs to, and the day it was sent.
///
/// # Errors
/// The address is not one of ours.
pub fn read(keys: &KeyRing, address: &EmailAddress, domain: &Domain) -> Result<(JobId, i64), Forged> {
    let claimed = address.local().to_ascii_lowercase();
    let mut parts = claimed.strip_prefix(PREFIX).ok_or(Forged)?.splitn(3, '-');
    let job: JobId = parts.next().and_then(|part| part.parse().ok()).ok_or(Forged)?;
    let day: i64 = parts.next().and_then(|part| part.parse().ok()).ok_or(Forged)?;
    let ours = keys.ids().filter_map(|id| keys.find(id)).any(|key| {
        let genuine: bool = local(key, job, day).as_bytes().ct_eq(claimed.as_bytes()).into();
        genuine
    });
    if ours && address.domain() == domain { Ok((job, day)) } else { Err(Forged) }
}

fn local(key: &[u8; 32], job: JobId, day: i64) -> String {
    let tag = mac(key, MAC_PURPOSE, &[job.number().to_be_bytes(), day.to_be_bytes()].concat());
    format!("{PREFIX}{job}-{day}-{}", BASE32_NOPAD.encode(&tag[..10]).to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Secret;
    use proptest::prelude::{any, prop_assert_eq, proptest};
    use std::collections::BTreeMap;

    fn ring(active: u16, ids: &[u16]) -> KeyRing {
        let key = |id: &u16| (*id, Secret::new([u8::try_from(*id).unwrap(); 32]));
        KeyRing::new(active, ids.iter().map(key).collect::<BTreeMap<_, _>>()).unwrap()
    }

    fn domain() -> Domain {
        "bounce.example.jp".parse().unwrap()
    }

    proptest! {
        #[test]
        fn what_was_made_is_read_back(job in 0..=i64::MAX, day in 0..=i64::MAX) {
            let made = address(&ring(1, &[1]), JobId::new(job), day, &domain());
            prop_assert_eq!(read(&ring(2, &[1, 2]), &made, &domain()), Ok((JobId::new(job), day)));
        }

        #[test]
        fn strangers_addresses_are_not_ours(local in "b\\+[a-z2-7+-]{0,40}", any in any::<String>()) {
            for local in [local, any] {
                if let Ok(address) = EmailAddress::new(&local, domain()) {
                    prop_assert_eq!(read(&ring(1, &[1]), &address, &domain()), Err(Forged));
                }
            }
        }
    }

    #[test]
    fn a_return_path_shows_the_job_and_stays_the_same_over_the_years() {
        let made = address(&ring(1, &[1]), JobId::new(16), 20_779, &domain());
        assert_eq!(made.to_wire(), "b+jq-20779-jtaoyq2g7d5xmery@bounce.example.jp");
        assert!(address(&ring(1, &[1]), JobId::new(i64::MAX), i64::MAX, &domain()).local().len() <= 64);
    }

    #[test]
    fn its_case_does_not_count() {
        let made = address(&ring(1, &[1]), JobId::new(16), 20_779, &domain());
        let shouted: EmailAddress = made.to_string().to_uppercase().parse().unwrap();
        assert_eq!(read(&ring(1, &[1]), &shouted, &domain()), Ok((JobId::new(16), 20_779)));
    }

    #[test]
    fn another_job_day_domain_or_a_retired_key_is_a_forgery() {
        let made = address(&ring(1, &[1]), JobId::new(16), 20_779, &domain());
        for changed in [made.to_string().replace("jq-", "jr-"), made.to_string().replace("20779", "20780")] {
            assert_eq!(read(&ring(1, &[1]), &changed.parse().unwrap(), &domain()), Err(Forged));
        }
        assert_eq!(read(&ring(1, &[1]), &made, &"example.jp".parse().unwrap()), Err(Forged));
        assert_eq!(read(&ring(2, &[2]), &made, &domain()), Err(Forged));
    }
}
