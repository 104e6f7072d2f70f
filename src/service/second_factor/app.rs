//! What an authenticator app and this service share: a secret, and the codes made of it and the time (RFC 6238).
//!
//! Knows nothing of members, sessions or pages: a secret, names and a moment come in, texts and a step come out. What always
//! holds: the secret has 160 bits (RFC 4226 4); codes are what every app makes: SHA-1, six digits, thirty seconds; one of the
//! step before, now or after is right, and no other.

use crate::model::{Secret, Timestamp};
use totp_rs::{Builder, Totp};

/// How long the secret is, in bytes.
pub(super) const SECRET_LEN: usize = 20;

/// What stands for a colon in a name, as the address of an account has its own use for that.
const NO_COLON: &str = ".";

fn totp(secret: &[u8; SECRET_LEN], issuer: &str, account: &str) -> Option<Totp> {
    // The builder's own settings are SHA-1, six digits, thirty seconds and one step either way.
    Builder::new()
        .with_secret(totp_rs::Secret::new_stack(*secret))
        .with_issuer(Some(issuer.replace(':', NO_COLON)))
        .with_account_name(account.replace(':', NO_COLON))
        .build()
        .ok()
}

/// Gives the step whose code was typed, if it is one that is right at `now`.
pub(super) fn step(secret: &[u8; SECRET_LEN], digits: &str, now: Timestamp) -> Option<i64> {
    let seconds = u64::try_from(now.seconds()).ok()?;
    let step = totp(secret, "", "")?.check(digits, seconds)?;
    i64::try_from(step).ok()
}

/// Gives the address that adds the account to an app (otpauth), under the name of this service (R028, R033).
pub(super) fn address(secret: &[u8; SECRET_LEN], issuer: &str, account: &str) -> Option<Secret<String>> {
    totp(secret, issuer, account)?.to_url().ok().map(Secret::new)
}

/// Gives the secret as it is typed by hand: 32 characters of base32, in groups of four (R029).
pub(super) fn key(secret: &[u8; SECRET_LEN]) -> Secret<String> {
    let text = Secret::new(data_encoding::BASE32.encode(secret));
    let mut grouped = String::with_capacity(40);
    for (at, letter) in text.reveal().chars().enumerate() {
        if at > 0 && at % 4 == 0 {
            grouped.push(' ');
        }
        grouped.push(letter);
    }
    Secret::new(grouped)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The secret of RFC 6238, appendix B.
    const RFC: &[u8; SECRET_LEN] = b"12345678901234567890";

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1_000)
    }

    #[test]
    fn the_codes_are_those_of_the_rfc() {
        // The last six digits of the table's eight.
        for (seconds, code) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ] {
            assert_eq!(step(RFC, code, at(seconds)), Some(seconds / 30), "{seconds}");
        }
    }

    #[test]
    fn r032_one_step_either_way_is_right_and_the_step_before_last_is_not() {
        // 287082 is the code of step 1, from second 30 to 59.
        for (seconds, right) in [(0, true), (29, true), (30, true), (59, true), (60, true), (89, true), (90, false)] {
            assert_eq!(step(RFC, "287082", at(seconds)).is_some(), right, "{seconds}");
        }
        for typed in ["", "28708", "2870820", "287083", "+87082", "２８７０８２"] {
            assert_eq!(step(RFC, typed, at(59)), None, "{typed}");
        }
    }

    #[test]
    fn r028_r033_the_address_names_this_service_and_the_account() {
        let address = address(RFC, "www.mc-anpi.com", "DEMO/a:b").unwrap();
        assert_eq!(
            address.reveal(),
            "otpauth://totp/www.mc-anpi.com:DEMO%2Fa.b?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=www.mc-anpi.com"
        );
    }

    #[test]
    fn r029_the_key_has_160_bits_in_groups_of_four() {
        let shown = key(RFC);
        assert_eq!(shown.reveal(), "GEZD GNBV GY3T QOJQ GEZD GNBV GY3T QOJQ");
        assert_eq!(shown.reveal().replace(' ', "").len() * 5, 160);
    }
}
