//! Which letters the bytes of a file mean: UTF-8, or Shift_JIS as Japanese spreadsheets write it.

use encoding_rs::{DecoderResult, EUC_JP, SHIFT_JIS};
use std::fmt;

/// How a file was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// UTF-8, with or without a mark at its beginning.
    Utf8,
    /// Shift_JIS with the letters of Windows (cp932), 髙 and 﨑 among them.
    ShiftJis,
}

impl fmt::Display for Encoding {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Utf8 => "UTF-8",
            Self::ShiftJis => "Shift_JIS",
        })
    }
}

/// The bytes are in no encoding we read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wrong {
    /// Where reading stopped, counted from 1.
    pub(super) line: u64,
    /// What the file seems to be, and what to do.
    pub(super) what: String,
}

/// Decodes a whole file.
pub(super) fn decode(bytes: &[u8]) -> Result<(String, Encoding), Wrong> {
    let save_as = |what: &str| Wrong { line: 1, what: format!("the file is {what}; save it as CSV in UTF-8") };
    if bytes.starts_with(&[0xFF, 0xFE]) || bytes.starts_with(&[0xFE, 0xFF]) {
        return Err(save_as("UTF-16"));
    }
    if bytes.windows(3).any(|three| three == b"\x1b$B" || three == b"\x1b$@") {
        return Err(save_as("ISO-2022-JP (JIS)"));
    }
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    let not_utf8 = match std::str::from_utf8(bytes) {
        Ok(text) => return Ok((text.to_owned(), Encoding::Utf8)),
        Err(error) => error.valid_up_to(),
    };
    if seems_euc(bytes) {
        return Err(save_as("EUC-JP"));
    }
    shift_jis(bytes).map(|text| (text, Encoding::ShiftJis)).map_err(|not_shift_jis| {
        let line = line_at(bytes, not_utf8);
        let (other, of) = (line_at(bytes, not_shift_jis), bytes.len());
        let what = format!(
            "the file is neither UTF-8 (byte {} of {of}, line {line}) nor Shift_JIS (byte {}, line {other}); save it as CSV in UTF-8",
            not_utf8 + 1,
            not_shift_jis + 1
        );
        Wrong { line, what }
    })
}

/// Decodes Shift_JIS, or says at which byte it is none.
fn shift_jis(bytes: &[u8]) -> Result<String, usize> {
    let mut decoder = SHIFT_JIS.new_decoder_without_bom_handling();
    let room = decoder.max_utf8_buffer_length_without_replacement(bytes.len()).unwrap_or(bytes.len() * 3 + 16);
    let mut text = String::with_capacity(room);
    match decoder.decode_to_string_without_replacement(bytes, &mut text, true) {
        (DecoderResult::InputEmpty, _) => Ok(text),
        (DecoderResult::Malformed(length, behind), read) => {
            Err(read.saturating_sub(usize::from(length) + usize::from(behind)))
        }
        (DecoderResult::OutputFull, read) => Err(read),
    }
}

/// Says whether bytes that would also pass as Shift_JIS (of half-width kana alone) are EUC-JP: Shift_JIS of Japanese names has
/// lead bytes that EUC-JP never has.
fn seems_euc(bytes: &[u8]) -> bool {
    let shift_jis_leads = bytes.iter().any(|byte| matches!(byte, 0x81..=0x8D | 0x90..=0x9F));
    !shift_jis_leads && EUC_JP.decode_without_bom_handling_and_without_replacement(bytes).is_some()
}

fn line_at(bytes: &[u8], offset: usize) -> u64 {
    1 + bytes.iter().take(offset).filter(|byte| **byte == b'\n').count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(text: &str, encoding: &'static encoding_rs::Encoding) -> Vec<u8> {
        let (bytes, _, lossy) = encoding.encode(text);
        assert!(!lossy);
        bytes.into_owned()
    }

    #[test]
    fn utf8_is_read_with_and_without_its_mark() {
        assert_eq!(decode("髙﨑".as_bytes()), Ok(("髙﨑".to_owned(), Encoding::Utf8)));
        assert_eq!(decode("\u{FEFF}髙﨑".as_bytes()), Ok(("髙﨑".to_owned(), Encoding::Utf8)));
        assert_eq!(decode(b""), Ok((String::new(), Encoding::Utf8)));
    }

    #[test]
    fn shift_jis_of_windows_is_read_letters_of_vendors_included() {
        for text in ["id,name\n0001,髙﨑 花子\n", "①㈱,表示ソ能", "ﾀｶｻｷ,高崎"] {
            assert_eq!(decode(&encoded(text, SHIFT_JIS)), Ok((text.to_owned(), Encoding::ShiftJis)));
        }
    }

    #[test]
    fn other_encodings_are_named() {
        let utf16: Vec<u8> = "\u{FEFF}id,name".encode_utf16().flat_map(u16::to_le_bytes).collect();
        let cases = [
            (utf16, "UTF-16"),
            (encoded("id,name\n1,花子\n", encoding_rs::ISO_2022_JP), "ISO-2022-JP"),
            (encoded("id,name\n1,花子\n", EUC_JP), "EUC-JP"),
        ];
        for (bytes, name) in cases {
            assert!(decode(&bytes).unwrap_err().what.contains(name), "{name}");
        }
    }

    #[test]
    fn bytes_of_no_encoding_are_named_with_their_places() {
        let wrong = decode(b"id,name\n1,\x82\xa0\n2,\xff\xff\n").unwrap_err();
        assert_eq!(wrong.line, 2);
        assert!(wrong.what.contains("UTF-8 (byte 11 of 18, line 2)"), "{}", wrong.what);
        assert!(wrong.what.contains("Shift_JIS (byte 16, line 3)"), "{}", wrong.what);
    }
}
