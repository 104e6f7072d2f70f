//! Our own messages: words and addresses in, bytes out.
//!
//! Knows nothing of rows, keys or the time: what a message says and carries is handed in, and the same draft gives the same
//! bytes. What always holds: one part of plain text in UTF-8 and base64 (a second one only where a mail is handed on), every
//! line ends in CRLF and is far below 998 bytes, all is ASCII unless an address is not, and no value can start a header
//! field or part of its own.

use super::MessageId;
use crate::model::{EmailAddress, Timestamp};
use data_encoding::{BASE64_MIME, HEXLOWER};
use mail_builder::MessageBuilder;
use mail_builder::headers::address::Address;
use mail_builder::headers::content_type::ContentType;
use mail_builder::headers::raw::Raw;
use mail_builder::mime::{BodyPart, MimePart};
use sha2::{Digest, Sha256};

/// The longest line that may be sent, without CRLF (RFC 5322 2.1.1).
const LINE_MAX: usize = 998;

/// Why a message was written by a machine (RFC 3834 5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AutoSubmitted {
    /// In answer to a mail.
    Replied,
    /// For another reason.
    Generated,
}

impl AutoSubmitted {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Replied => "auto-replied",
            Self::Generated => "auto-generated",
        }
    }
}

/// A message to be written.
#[derive(Debug, Clone)]
pub struct Draft<'a> {
    /// The name shown as the sender's.
    pub from_name: &'a str,
    /// The sender's address.
    pub from: &'a EmailAddress,
    /// The one recipient.
    pub to: &'a EmailAddress,
    /// One line.
    pub subject: &'a str,
    /// Lines ending in LF or CRLF.
    pub body: &'a str,
    /// When it was ordered; the same at every attempt.
    pub date: Timestamp,
    /// Its name; the same at every attempt.
    pub message_id: &'a MessageId,
    /// Why it was written.
    pub auto_submitted: AutoSubmitted,
    /// The mail it answers.
    pub in_reply_to: Option<&'a MessageId>,
    /// A mail handed on as it came.
    pub attached: Option<&'a [u8]>,
}

impl Draft<'_> {
    /// Writes the message, unsigned.
    #[must_use]
    pub fn build(&self) -> Vec<u8> {
        let mut message = MessageBuilder::new()
            .from(Address::new_address(Some(one_line(self.from_name)), self.from.to_wire()))
            .to(Address::new_address(None::<&str>, self.to.to_wire()))
            .subject(one_line(self.subject))
            .date(self.date.seconds())
            .message_id(self.message_id.as_str());
        // RFC 3834 3.1.5: an answer names the mail it answers, in both fields.
        if let Some(answered) = self.in_reply_to.filter(|id| id.is_repeatable()) {
            message = message.in_reply_to(answered.as_str()).references(answered.as_str());
        }
        let message = message
            .header("Auto-Submitted", Raw::new(self.auto_submitted.as_str()))
            .header("MIME-Version", Raw::new("1.0"));
        let text = text_part(self.body);
        let body = match self.attached {
            None => text,
            Some(raw) => with_attached(self.message_id, text, raw),
        };
        let mut bytes = Vec::new();
        message.body(body).serialize(&mut bytes);
        bytes
    }
}

/// Drops what could end a header field.
fn one_line(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).collect()
}

/// Text as base64 in lines of 76: no line is ever too long for a carrier, whatever the wording.
fn text_part(body: &str) -> MimePart<'static> {
    let mut text = String::with_capacity(body.len() + 32);
    for line in body.lines() {
        text.extend(line.chars().filter(|c| !c.is_control() || *c == '\t'));
        // RFC 2045 6.8: text is encoded with CRLF at its line ends.
        text.push_str("\r\n");
    }
    MimePart::new(
        ContentType::new("text/plain").attribute("charset", "UTF-8"),
        BodyPart::Text(BASE64_MIME.encode(text.as_bytes()).into()),
    )
    .transfer_encoding("base64")
}

fn with_attached(id: &MessageId, text: MimePart<'static>, raw: &[u8]) -> MimePart<'static> {
    // Drawn from the mail's name and the content: the same at every attempt, and nobody can write a mail that contains it.
    let mut digest = Sha256::new();
    digest.update(id.as_str());
    digest.update(raw);
    let digest: [u8; 32] = digest.finalize().into();
    let boundary = format!("={}", HEXLOWER.encode(&digest[..16]));
    let mixed = ContentType::new("multipart/mixed").attribute("boundary", boundary);
    MimePart::new(mixed, BodyPart::Multipart(vec![text, attachment(raw)]))
}

/// A mail as an attachment: as `message/rfc822` where every server on the way takes it as it is; else, as that type may not
/// be encoded (RFC 2046 5.2.1), as a file.
fn attachment(raw: &[u8]) -> MimePart<'static> {
    match seven_bit(raw) {
        Some(message) => {
            MimePart::new("message/rfc822", BodyPart::Binary(message.into_bytes().into())).transfer_encoding("7bit")
        }
        None => MimePart::new("application/octet-stream", BodyPart::Binary(raw.to_vec().into())),
    }
    .attachment("mail.eml")
}

/// Gives the mail with CRLF at every line end, if it is ASCII without NUL and no line is too long (RFC 2045 2.7).
fn seven_bit(raw: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(raw).ok().filter(|text| text.is_ascii() && !text.contains('\0'))?;
    let mut out = String::with_capacity(text.len() + 64);
    for line in text.lines() {
        if line.len() > LINE_MAX || line.contains('\r') {
            return None;
        }
        out.push_str(line);
        out.push_str("\r\n");
    }
    Some(out)
}

#[cfg(test)]
mod tests;
