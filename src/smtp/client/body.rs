//! A message as DATA carries it.
//!
//! Knows nothing of replies or of what the lines say. What always holds: each line ends in CRLF, and only the final dot
//! stands alone on a line.

use std::borrow::Cow;

/// Splits off the first line; gives it without its end, and what follows. CRLF, a bare LF and a bare CR end a line alike:
/// RFC 5321 2.3.8 allows neither of the latter two on the wire.
fn split_line(text: &[u8]) -> (&[u8], &[u8]) {
    let Some(at) = text.iter().position(|byte| matches!(byte, b'\r' | b'\n')) else {
        return (text, &[]);
    };
    let (line, end) = text.split_at(at);
    let rest = end.strip_prefix(b"\r\n").or_else(|| end.get(1..)).unwrap_or_default();
    (line, rest)
}

fn lines(message: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = message;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let (line, next) = split_line(rest);
        rest = next;
        Some(line)
    })
}

/// Gives the message with every line ended by CRLF, the last one included.
#[must_use]
pub fn with_crlf(message: &[u8]) -> Cow<'_, [u8]> {
    if is_regular(message) {
        return Cow::Borrowed(message);
    }
    let mut out = Vec::with_capacity(message.len() + 64);
    for line in lines(message) {
        out.extend_from_slice(line);
        out.extend_from_slice(b"\r\n");
    }
    Cow::Owned(out)
}

fn is_regular(message: &[u8]) -> bool {
    let mut before = 0;
    let paired = message.iter().all(|&byte| {
        let fits = (before == b'\r') == (byte == b'\n');
        before = byte;
        fits
    });
    message.is_empty() || (paired && before == b'\n')
}

/// Counts the octets of the message with CRLF line ends, as SIZE declares them (RFC 1870 3: without dots doubled).
pub(super) fn octets(message: &[u8]) -> u64 {
    lines(message).map(|line| line.len() as u64 + 2).sum()
}

/// Gives the header section: everything before the first empty line.
pub(super) fn header(message: &[u8]) -> &[u8] {
    let mut rest = message;
    while !rest.is_empty() {
        let (line, next) = split_line(rest);
        if line.is_empty() {
            return message.get(..message.len() - rest.len()).unwrap_or(message);
        }
        rest = next;
    }
    message
}

/// Gives what is written after 354: lines ended by CRLF, a dot at the start of any line doubled (RFC 5321 4.5.2), the very
/// first line included, and the final dot.
pub(super) fn stuffed(message: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(message.len() + message.len() / 32 + 64);
    for line in lines(message) {
        if line.starts_with(b".") {
            out.push(b'.');
        }
        out.extend_from_slice(line);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b".\r\n");
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_line_end_becomes_crlf_and_leading_dots_are_doubled() {
        for (message, wire) in [
            ("", ".\r\n"),
            ("a", "a\r\n.\r\n"),
            ("a\r\n", "a\r\n.\r\n"),
            (".", "..\r\n.\r\n"),
            (".a\r\n", "..a\r\n.\r\n"),
            ("a\n.\nb\r.\rc", "a\r\n..\r\nb\r\n..\r\nc\r\n.\r\n"),
            ("a\r\n.\r\n", "a\r\n..\r\n.\r\n"),
            ("a\r\n..b", "a\r\n...b\r\n.\r\n"),
            ("a\r\r\n", "a\r\n\r\n.\r\n"),
            ("a\n\r.\n", "a\r\n\r\n..\r\n.\r\n"),
        ] {
            assert_eq!(String::from_utf8(stuffed(message.as_bytes())).unwrap(), wire, "{message:?}");
        }
    }

    #[test]
    fn the_header_ends_at_the_first_empty_line() {
        for (message, expected) in [
            ("A: 1\r\nB: 2\r\n\r\nbody", "A: 1\r\nB: 2\r\n"),
            ("A: 1\n\nbody", "A: 1\n"),
            ("A: 1", "A: 1"),
            ("\r\nbody", ""),
            ("", ""),
        ] {
            assert_eq!(header(message.as_bytes()), expected.as_bytes(), "{message:?}");
        }
    }

    /// What a receiving server makes of the bytes behind 354 (RFC 5321 4.5.2), and what is left behind the final dot.
    fn received(wire: &[u8]) -> (Vec<u8>, &[u8]) {
        let (mut out, mut rest) = (Vec::new(), wire);
        while let Some(at) = rest.windows(2).position(|pair| pair == b"\r\n") {
            let (line, next) = rest.split_at(at + 2);
            rest = next;
            if line == b".\r\n" {
                return (out, rest);
            }
            out.extend_from_slice(line.strip_prefix(b".").unwrap_or(line));
        }
        panic!("no final dot");
    }

    proptest! {
        #[test]
        fn a_server_reads_back_the_very_lines_and_nothing_behind_them(
            message in proptest::collection::vec(prop::sample::select(b".\r\nab\0\xff".to_vec()), 0..60)
        ) {
            let wire = stuffed(&message);
            let (read, behind) = received(&wire);
            prop_assert_eq!(behind, b"");
            let regular = with_crlf(&message).into_owned();
            prop_assert_eq!(read.len() as u64, octets(&message));
            prop_assert_eq!(&read, &regular);
            prop_assert!(matches!(with_crlf(&regular), Cow::Borrowed(_)));
        }
    }
}
