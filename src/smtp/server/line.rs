//! Cuts what arrives into command lines, whatever the pieces it arrives in.
//!
//! What always holds: only CR LF ends a line, and no more than [`LINE_MAX`] octets wait for their end.

use std::borrow::Cow;

/// The longest command line without its CR LF: RFC 5321 4.5.3.1.4 asks for 512 octets, what SIZE, BODY and SMTPUTF8 add to
/// MAIL for some more (RFC 1870 3, RFC 6152 2, RFC 6531 3.4).
pub(super) const LINE_MAX: usize = 2_046;

/// The beginning of a line whose end has not come.
#[derive(Debug, Default)]
pub(super) struct Lines {
    begun: Vec<u8>,
}

/// What a piece of input brought.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Cut<'a> {
    /// All of it was used, and the line goes on.
    More,
    /// A line, without its CR LF.
    Line(Cow<'a, [u8]>),
    /// A CR without LF or a LF without CR; nothing behind it can be trusted to be a command.
    BareEnd,
    /// A line of more than [`LINE_MAX`] octets.
    TooLong,
}

impl Lines {
    /// Looks for the first line in `input`; gives how much of it was used.
    pub(super) fn cut<'a>(&mut self, input: &'a [u8]) -> (usize, Cut<'a>) {
        if self.begun.ends_with(b"\r") {
            return self.behind_cr(input);
        }
        let text = input.iter().position(|byte| matches!(byte, b'\r' | b'\n')).unwrap_or(input.len());
        if self.begun.len() + text > LINE_MAX {
            return (input.len(), Cut::TooLong);
        }
        let (text, end) = input.split_at(text);
        match end {
            [b'\r', b'\n', ..] => (text.len() + 2, Cut::Line(self.with_beginning(text))),
            [] | [b'\r'] => {
                self.begun.extend_from_slice(input);
                (input.len(), Cut::More)
            }
            _ => (input.len(), Cut::BareEnd),
        }
    }

    fn behind_cr<'a>(&mut self, input: &[u8]) -> (usize, Cut<'a>) {
        match input {
            [] => (0, Cut::More),
            [b'\n', ..] => {
                self.begun.pop();
                (1, Cut::Line(Cow::Owned(std::mem::take(&mut self.begun))))
            }
            _ => (input.len(), Cut::BareEnd),
        }
    }

    fn with_beginning<'a>(&mut self, text: &'a [u8]) -> Cow<'a, [u8]> {
        if self.begun.is_empty() {
            return Cow::Borrowed(text);
        }
        self.begun.extend_from_slice(text);
        Cow::Owned(std::mem::take(&mut self.begun))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(pieces: &[&[u8]]) -> Vec<String> {
        let mut lines = Lines::default();
        let mut found = Vec::new();
        for piece in pieces {
            let mut rest = *piece;
            while !rest.is_empty() {
                let (used, cut) = lines.cut(rest);
                rest = rest.get(used..).unwrap();
                match cut {
                    Cut::More => assert_eq!(rest, b""),
                    Cut::Line(line) => found.push(line.escape_ascii().to_string()),
                    Cut::BareEnd => found.push("BARE".to_owned()),
                    Cut::TooLong => found.push("LONG".to_owned()),
                }
            }
        }
        found
    }

    #[test]
    fn lines_are_the_same_however_the_input_is_cut() {
        let input = b"EHLO a\r\n\r\nNOOP\r\nQU";
        for length in 1..=input.len() {
            assert_eq!(lines(&input.chunks(length).collect::<Vec<_>>()), ["EHLO a", "", "NOOP"], "{length}");
        }
    }

    #[test]
    fn a_bare_line_end_is_found_however_the_input_is_cut() {
        for input in [b"NOOP\nQUIT\r\n".as_slice(), b"NOOP\rQUIT\r\n", b"\n", b"NOOP\r\rQUIT\r\n", b"\r\0\n"] {
            for length in 1..=input.len() {
                let found = lines(&input.chunks(length).collect::<Vec<_>>());
                assert_eq!(found.first().map(String::as_str), Some("BARE"), "{} {length}", input.escape_ascii());
            }
        }
    }

    #[test]
    fn the_longest_line_is_taken_and_one_octet_more_is_not() {
        for length in [1, 7, 1_000, LINE_MAX + 3] {
            let fits = [vec![b'x'; LINE_MAX], b"\r\n".to_vec()].concat();
            assert_eq!(lines(&fits.chunks(length).collect::<Vec<_>>()), ["x".repeat(LINE_MAX)]);
            let long = vec![b'x'; LINE_MAX + 1];
            assert_eq!(lines(&long.chunks(length).collect::<Vec<_>>()).first().map(String::as_str), Some("LONG"));
        }
    }
}
