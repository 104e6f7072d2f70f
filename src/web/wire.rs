//! How a page goes over the wire: packed as gzip (RFC 1952), within one burst of TCP (requirements 3.4).
//!
//! Knows nothing of what a page says. What always holds: only what is the same on every page is compressed, each part for
//! itself and once for all; the rest goes as it is. So the length of an answer tells no more than the length of its page, and
//! whoever can have a page say something cannot feel for its secrets with it (BREACH).

use axum::http::{HeaderMap, header};
use flate2::{Compress, Compression, Crc, FlushCompress};

/// Deflate, no name, no time, no remarks, from no system in particular (RFC 1952 2.3).
const HEAD: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 2, 255];
/// The longest block that goes as it is (RFC 1951 3.2.4).
const BLOCK: usize = 0xffff;

/// A part that is the same on every page that has it.
#[derive(Debug)]
pub(super) struct Fixed {
    text: &'static str,
    /// Whole blocks that end at the border of a byte and refer to nothing before them.
    packed: Vec<u8>,
}

impl Fixed {
    pub(super) fn new(text: &'static str) -> Self {
        let packed = blocks(text.as_bytes()).unwrap_or_else(|| {
            let mut plain = Vec::new();
            as_it_is(text.as_bytes(), &mut plain);
            plain
        });
        Self { text, packed }
    }
}

/// Compresses a part for itself.
fn blocks(part: &[u8]) -> Option<Vec<u8>> {
    let mut packer = Compress::new(Compression::best(), false);
    let mut packed = Vec::new();
    loop {
        packed.reserve(part.len().max(64));
        let taken = usize::try_from(packer.total_in()).ok()?;
        packer.compress_vec(part.get(taken..)?, &mut packed, FlushCompress::Full).ok()?;
        // Room that is left says that the flush has come to its end.
        if packer.total_in() == u64::try_from(part.len()).ok()? && packed.len() < packed.capacity() {
            return Some(packed);
        }
    }
}

fn as_it_is(part: &[u8], out: &mut Vec<u8>) {
    for block in part.chunks(BLOCK) {
        let length = u16::try_from(block.len()).unwrap_or(u16::MAX);
        out.push(0);
        out.extend(length.to_le_bytes());
        out.extend((!length).to_le_bytes());
        out.extend(block);
    }
}

/// Packs a page; of the fixed parts those are compressed that stand in it in this order.
pub(super) fn pack(page: &str, fixed: &[Fixed]) -> Vec<u8> {
    let mut out = Vec::with_capacity(page.len());
    out.extend(HEAD);
    let mut rest = page;
    for Fixed { text, packed } in fixed {
        if let Some((before, behind)) = rest.split_once(text) {
            as_it_is(before.as_bytes(), &mut out);
            out.extend(packed);
            rest = behind;
        }
    }
    as_it_is(rest.as_bytes(), &mut out);
    // The last block, an empty one.
    out.extend([1, 0, 0, 0xff, 0xff]);
    let mut crc = Crc::new();
    crc.update(page.as_bytes());
    out.extend(crc.sum().to_le_bytes());
    out.extend(crc.amount().to_le_bytes());
    out
}

/// Says whether a browser takes gzip (RFC 9110 12.5.3).
pub(super) fn is_taken(headers: &HeaderMap) -> bool {
    let lines = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|line| line.to_str().ok());
    let mut others = false;
    for coding in lines.flat_map(|line| line.split(',')) {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, "q=1"));
        let weight = weight.trim().strip_prefix(['q', 'Q']).and_then(|rest| rest.strip_prefix('='));
        let is_wanted = weight.and_then(|weight| weight.trim().parse().ok()).is_some_and(|weight: f32| weight > 0.0);
        match name.trim().to_ascii_lowercase().as_str() {
            "gzip" | "x-gzip" => return is_wanted,
            "*" => others = is_wanted,
            _ => {}
        }
    }
    others
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;
    use flate2::read::GzDecoder;
    use proptest::prelude::*;
    use std::io::Read;

    const STYLE: &str = include_str!("pages/style.css");
    const SCRIPT: &str = include_str!("pages/script.js");

    fn unpacked(packed: &[u8]) -> String {
        let mut text = String::new();
        GzDecoder::new(packed).read_to_string(&mut text).unwrap();
        text
    }

    fn fixed() -> [Fixed; 2] {
        [Fixed::new(STYLE), Fixed::new(SCRIPT)]
    }

    #[test]
    fn what_is_fixed_shrinks_to_less_than_half() {
        for text in [STYLE, SCRIPT] {
            assert!(
                Fixed::new(text).packed.len() * 2 < text.len(),
                "{} of {}",
                Fixed::new(text).packed.len(),
                text.len()
            );
        }
        let nothing = Fixed::new("");
        assert_eq!(unpacked(&pack("a page", &[nothing])), "a page");
    }

    #[test]
    fn a_page_longer_than_a_block_comes_out_whole() {
        let page = format!("{}{STYLE}{}{SCRIPT}", "漢".repeat(BLOCK), "x".repeat(3 * BLOCK));
        assert_eq!(unpacked(&pack(&page, &fixed())), page);
    }

    #[test]
    fn the_length_tells_nothing_of_what_a_page_says() {
        let secret = "kq7x3wzdm2f5";
        let page = |said: &str| format!("<input value=\"{secret}\"><p>{said}</p><style>{STYLE}</style><i>{said}</i>");
        let lengths: Vec<usize> = [secret, "kq7x3wzdm2f6", "aaaaaaaaaaaa", "*{box-sizing"]
            .map(|said| pack(&page(said), &fixed()).len())
            .into();
        assert!(lengths.iter().all(|length| *length == lengths[0]), "{lengths:?}");
    }

    #[test]
    fn gzip_is_for_those_who_take_it() {
        for (line, taken) in [
            ("gzip, deflate, br, zstd", true),
            ("GZIP", true),
            ("x-gzip", true),
            ("deflate, gzip;q=0.5", true),
            ("*", true),
            ("gzip; q=0", false),
            ("gzip;q=0.000, *", false),
            ("*;q=0", false),
            ("identity", false),
            ("gzip;level=9", false),
            ("gzipped", false),
            ("", false),
        ] {
            let headers = HeaderMap::from_iter([(header::ACCEPT_ENCODING, HeaderValue::from_str(line).unwrap())]);
            assert_eq!(is_taken(&headers), taken, "{line}");
        }
        assert!(!is_taken(&HeaderMap::new()));
    }

    proptest! {
        #[test]
        fn whatever_stands_around_the_fixed_parts_comes_out_as_it_went_in(
            before in "\\PC{0,200}", between in "\\PC{0,200}", behind in "\\PC{0,200}", styled: bool, scripted: bool,
        ) {
            let page = format!(
                "{before}{}{between}{}{behind}",
                if styled { STYLE } else { "" },
                if scripted { SCRIPT } else { "" }
            );
            prop_assert_eq!(unpacked(&pack(&page, &fixed())), page);
        }
    }
}
