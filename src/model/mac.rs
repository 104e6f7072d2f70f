//! The keyed fingerprint behind links, return paths and tokens.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// Makes the HMAC-SHA-256 (RFC 2104) of `data` under `key`.
///
/// `purpose` keeps uses of one key apart: what was made for one never fits another. It is a fixed word of ours without
/// a NUL, as a NUL ends it.
#[must_use]
pub fn mac(key: &[u8; 32], purpose: &'static str, data: &[u8]) -> [u8; 32] {
    // RFC 2104 2: a key shorter than the hash's block is filled up with zeros.
    let mut block = [0; 64];
    block[..key.len()].copy_from_slice(key);
    let mut hmac = <Hmac<Sha256> as KeyInit>::new(&block.into());
    zeroize::Zeroize::zeroize(&mut block);
    hmac.update(purpose.as_bytes());
    hmac.update(&[0]);
    hmac.update(data);
    hmac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use data_encoding::HEXLOWER;

    #[test]
    fn it_is_the_hmac_that_others_compute() {
        // printf 'link\0hello' | openssl dgst -sha256 -mac HMAC -macopt hexkey:0707…07
        let expected = "6cdf1b0ec2235806e407cb8d59e6a53331cd1ea56a771ce3222e5905e615968a";
        assert_eq!(HEXLOWER.encode(&mac(&[7; 32], "link", b"hello")), expected);
    }

    #[test]
    fn another_purpose_key_or_text_gives_another_one() {
        let first = mac(&[7; 32], "link", b"hello");
        assert_ne!(first, mac(&[7; 32], "lin", b"khello"));
        assert_ne!(first, mac(&[8; 32], "link", b"hello"));
        assert_ne!(first, mac(&[7; 32], "link", b"hellO"));
    }
}
