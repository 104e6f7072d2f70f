//! Reads replies off the bytes of a connection, one at a time.
//!
//! Knows nothing of which command a reply belongs to. What always holds: memory stays bounded whatever the server sends,
//! and the lines of one reply carry one code.

use crate::model::{EnhancedCode, Reply};
use smtp_proto::response::parser::ResponseReceiver;

/// The longest part of a line that is looked at; RFC 5321 4.5.3.1.5 allows 512 octets, what is longer is cut.
const LINE_MAX: usize = 512;
/// The most lines and octets of one reply.
const LINES_MAX: usize = 100;
const OCTETS_MAX: usize = 64 * 1024;
/// How much text of a reply is handed to the parser, which itself stops at 4,096 octets; the log keeps far less.
const TEXT_MAX: usize = 2_048;

/// What the server sent is no reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Garbled {
    #[error("the server sent something that is no reply")]
    Form,
    #[error("the server sent a reply whose lines carry different codes")]
    Codes,
    #[error("the server sent a reply that does not end")]
    TooLong,
}

#[derive(Default)]
pub(super) struct ReplyReader {
    parser: ResponseReceiver,
    /// The line being read, at most `LINE_MAX` of it.
    line: Vec<u8>,
    /// The code of the first line, as digits.
    code: Vec<u8>,
    text: String,
    enhanced: Option<EnhancedCode>,
    lines: usize,
    octets: usize,
}

impl std::fmt::Debug for ReplyReader {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("ReplyReader")
            .field("lines", &self.lines)
            .field("octets", &self.octets)
            .finish_non_exhaustive()
    }
}

impl ReplyReader {
    /// Takes bytes up to the end of one reply and leaves the rest; nothing while the reply is not complete.
    pub(super) fn read(&mut self, bytes: &mut &[u8]) -> Result<Option<Reply>, Garbled> {
        while let Some((&byte, rest)) = bytes.split_first() {
            *bytes = rest;
            self.octets += 1;
            if self.octets > OCTETS_MAX {
                return Err(Garbled::TooLong);
            }
            if byte != b'\n' {
                if self.line.len() < LINE_MAX {
                    self.line.push(byte);
                }
                continue;
            }
            if let Some(reply) = self.end_line()? {
                return Ok(Some(reply));
            }
        }
        Ok(None)
    }

    fn end_line(&mut self) -> Result<Option<Reply>, Garbled> {
        let line = std::mem::take(&mut self.line);
        let line = line.strip_suffix(b"\r").unwrap_or(&line);
        self.lines += 1;
        if self.lines > LINES_MAX {
            return Err(Garbled::TooLong);
        }
        let (code, rest) = line.split_at_checked(3).ok_or(Garbled::Form)?;
        if self.code.is_empty() {
            self.code = code.to_vec();
        } else if self.code != code {
            return Err(Garbled::Codes);
        }
        let room = TEXT_MAX.saturating_sub(self.text.len());
        self.keep(String::from_utf8_lossy(rest.get(1..).unwrap_or_default()).trim());
        self.parse(line.get(..line.len().min(room + 4)).unwrap_or(line))
    }

    /// Adds a line's text to the reply's; an enhanced code repeated on each line (RFC 2034 4) is kept once.
    fn keep(&mut self, text: &str) {
        let (enhanced, rest) = EnhancedCode::split(text);
        if self.lines == 1 {
            self.enhanced = enhanced;
        }
        let text = if self.lines > 1 && enhanced.is_some() && enhanced == self.enhanced { rest } else { text };
        if self.text.len() < TEXT_MAX && !text.is_empty() {
            if !self.text.is_empty() {
                self.text.push(' ');
            }
            self.text.push_str(text);
        }
    }

    fn parse(&mut self, line: &[u8]) -> Result<Option<Reply>, Garbled> {
        let ended: Vec<u8> = line.iter().chain(b"\r\n").copied().collect();
        match self.parser.parse(&mut ended.iter()) {
            Ok(response) => {
                // The text is ours: the parser keeps of an enhanced code what fits one octet, and 5.7.515 does not.
                let reply = Reply::new(response.code, &self.text);
                *self = Self::default();
                Ok(Some(reply))
            }
            Err(smtp_proto::Error::NeedsMoreData { .. }) => Ok(None),
            Err(_) => Err(Garbled::Form),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_all(bytes: &[u8], chunk: usize) -> Result<Vec<Reply>, Garbled> {
        let (mut reader, mut replies) = (ReplyReader::default(), Vec::new());
        for mut part in bytes.chunks(chunk) {
            while !part.is_empty() {
                replies.extend(reader.read(&mut part)?);
            }
        }
        Ok(replies)
    }

    #[test]
    fn replies_are_read_whole_however_the_bytes_arrive() {
        let bytes = b"250 2.1.0 Ok\r\n550-5.7.515 Access denied,\r\n550 5.7.515 see policy\r\n354\r\n250-a\n250 b\n";
        let expected = [
            Reply::new(250, "2.1.0 Ok"),
            Reply::new(550, "5.7.515 Access denied, see policy"),
            Reply::new(354, ""),
            Reply::new(250, "a b"),
        ];
        for chunk in 1..bytes.len() {
            assert_eq!(read_all(bytes, chunk).unwrap(), expected, "{chunk}");
        }
        assert_eq!(expected[1].enhanced, Some(EnhancedCode(5, 7, 515)));
    }

    #[test]
    fn what_is_no_reply_is_told() {
        for bytes in ["hello\r\n", "\r\n", "25\r\n", "2500 x\r\n", "25x y\r\n", "HTTP/1.1 400 Bad Request\r\n"] {
            assert_eq!(read_all(bytes.as_bytes(), 7), Err(Garbled::Form), "{bytes:?}");
        }
        assert_eq!(read_all(b"250-a\r\n550 b\r\n", 7), Err(Garbled::Codes));
    }

    #[test]
    fn a_reply_is_bounded_in_lines_and_octets_and_a_long_line_is_cut() {
        assert_eq!(read_all(&b"250-x\r\n".repeat(101), 999), Err(Garbled::TooLong));
        assert_eq!(read_all(&[b'2'; 10_000_000], 4_096), Err(Garbled::TooLong));
        let mut long = b"550-".to_vec();
        long.extend_from_slice(&[b'x'; 9_000]);
        long.extend_from_slice(b"\r\n");
        let mut reply = long.repeat(6);
        reply.extend_from_slice(b"550 end\r\n");
        let seen: Vec<_> =
            read_all(&reply, 1_000).unwrap().iter().map(|reply| (reply.code, reply.text.len())).collect();
        assert_eq!(seen, [(550, 512)]);
    }
}
