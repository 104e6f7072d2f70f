//! What a stranger's mail says about who sent it and whether a machine did.
//!
//! Knows nothing of the envelope, of our own addresses or of what is decided: bytes come in, a [`Reading`] comes out. The
//! body is never looked at: phones add signatures, and an empty mail need not be empty (requirement R112). What always
//! holds: any bytes give a reading, and never more than the first 64 KiB are looked at.
//!
//! Fields are found by `mail-parser`; addresses are read here, as that parser loses the local part of `"a..b."@d` and takes
//! a display name in raw Shift_JIS or ISO-2022-JP for syntax.

use super::MessageId;
use crate::model::EmailAddress;
use mail_parser::{Header, HeaderName, Message, MessageParser};
use std::collections::BTreeSet;
use std::sync::LazyLock;

/// How much of a mail is looked at. Phones' headers are below 4 KiB, and SoftBank takes 12 KiB at most.
const HEADER_MAX: usize = 64 << 10;
/// More stations than any mail passes that does not go round in circles (RFC 5321 6.3; Postfix stops at 50 too).
const HOPS_MAX: usize = 50;

/// Something in the header that tells a mail of a machine, or for many, from one that a person sent to us. The order is the
/// one in which they are named as the reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Mark {
    /// `Return-Path: <>`: it was a bounce before somebody forwarded it.
    NullReturnPath,
    /// A report of a mail system: delivery status, disposition, feedback.
    Report,
    /// Sent by a program, or not to be answered by one (RFC 3834 5, and what came before it).
    AutoSubmitted,
    /// By way of a mailing list (RFC 2919, RFC 2369, and what Japanese list managers write).
    List,
    /// To many.
    Bulk,
    /// Going round in circles.
    Loop,
}

/// What the From field says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum FromField {
    /// There is none; a truly empty mail may have no header at all.
    #[default]
    Missing,
    /// It names one mailbox.
    One(EmailAddress),
    /// It names several, or there are several fields.
    Several,
    /// It names nobody that could be written to.
    Unusable,
}

/// What was read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reading {
    /// Who says to have written it.
    pub from: FromField,
    /// What it is called.
    pub message_id: Option<MessageId>,
    /// What tells it from a person's mail to us.
    pub marks: BTreeSet<Mark>,
}

/// Finds the fields and interprets none. Without one named field it would interpret them all.
static PARSER: LazyLock<MessageParser> =
    LazyLock::new(|| MessageParser::new().ignore_header(HeaderName::Received).default_header_ignore());

/// Reads a mail's header.
#[must_use]
pub fn read(message: &[u8]) -> Reading {
    let head = message.get(..HEADER_MAX).unwrap_or(message);
    let mut notes = Notes::default();
    if head.len() < message.len() && !has_blank_line(head) {
        // Only station after station makes a header that long; and whatever mark there is may lie behind our limit.
        notes.marks.insert(Mark::Loop);
    }
    // No field at all: a truly empty mail.
    let parsed = PARSER.parse_headers(head);
    for field in parsed.as_ref().map(Message::headers).unwrap_or_default() {
        notes.take(field, head);
    }
    notes.finish()
}

fn has_blank_line(head: &[u8]) -> bool {
    let mut lines = head.split(|byte| *byte == b'\n');
    // What follows the last line end is a line that was cut, not a blank one.
    lines.next_back();
    lines.any(|line| line.is_empty() || line == b"\r")
}

/// What was seen so far, field by field.
#[derive(Default)]
struct Notes {
    marks: BTreeSet<Mark>,
    message_id: Option<MessageId>,
    has_from: bool,
    senders: Vec<EmailAddress>,
    hops: usize,
}

impl Notes {
    fn take(&mut self, field: &Header<'_>, head: &[u8]) {
        let start = usize::try_from(field.offset_start).unwrap_or(usize::MAX);
        let end = usize::try_from(field.offset_end).unwrap_or(usize::MAX);
        let raw = head.get(start..end).unwrap_or_default();
        match field.name.as_str().to_ascii_lowercase().as_str() {
            "from" => self.take_from(raw),
            "message-id" => {
                self.message_id = self.message_id.take().or_else(|| MessageId::read(&text(raw)));
            }
            "received" => self.hops += 1,
            name => self.marks.extend(mark(name, &text(raw).trim().to_ascii_lowercase())),
        }
    }

    fn take_from(&mut self, raw: &[u8]) {
        self.has_from = true;
        for sender in mailboxes(raw) {
            // Two are as many as need to be known: a field may hold thousands.
            if self.senders.len() < 2 && self.senders.iter().all(|known| known.folded() != sender.folded()) {
                self.senders.push(sender);
            }
        }
    }

    fn finish(mut self) -> Reading {
        if self.hops > HOPS_MAX {
            self.marks.insert(Mark::Loop);
        }
        let from = match (self.senders.pop(), self.senders.is_empty(), self.has_from) {
            (Some(sender), true, _) => FromField::One(sender),
            (Some(_), false, _) => FromField::Several,
            (None, _, true) => FromField::Unusable,
            (None, _, false) => FromField::Missing,
        };
        Reading { from, message_id: self.message_id, marks: self.marks }
    }
}

fn text(raw: &[u8]) -> String {
    String::from_utf8_lossy(raw).chars().filter(|c| !c.is_control()).collect()
}

/// Says what a field means; `name` and `value` are in lower case.
///
/// `Feedback-ID` is not looked at: relays such as Amazon's add it to a person's mail too.
fn mark(name: &str, value: &str) -> Option<Mark> {
    let word = value.split([' ', '\t', ';', '(', ',']).next().unwrap_or_default();
    match name {
        // RFC 3834 5: everything but "no".
        "auto-submitted" => (word != "no").then_some(Mark::AutoSubmitted),
        "x-auto-response-suppress" => (word != "none").then_some(Mark::AutoSubmitted),
        "x-autoreply" | "x-autoreply-from" | "x-autorespond" | "x-autoresponder" | "x-autogenerated"
        | "x-mail-autoreply" => (word != "no").then_some(Mark::AutoSubmitted),
        "precedence" => match word {
            "bulk" | "junk" => Some(Mark::Bulk),
            "list" => Some(Mark::List),
            "auto_reply" => Some(Mark::AutoSubmitted),
            _ => None,
        },
        "mailing-list" | "x-mailing-list" | "x-ml-name" | "x-ml-info" | "x-mlserver" => Some(Mark::List),
        "return-path" => (value.split_whitespace().collect::<String>() == "<>").then_some(Mark::NullReturnPath),
        "content-type" => is_report(value).then_some(Mark::Report),
        "x-failed-recipients" => Some(Mark::Report),
        "x-loop" => Some(Mark::Loop),
        _ => name.starts_with("list-").then_some(Mark::List),
    }
}

fn is_report(content_type: &str) -> bool {
    let kind: String = content_type.split(';').take(1).flat_map(str::split_whitespace).collect();
    match kind.split_once('/') {
        // RFC 6522.
        Some(("multipart", subtype)) => subtype == "report",
        // RFC 3464, RFC 8098, RFC 5965, and their forms of RFC 6533.
        Some(("message", subtype)) => {
            let subtype = subtype.strip_prefix("global-").unwrap_or(subtype);
            matches!(subtype, "delivery-status" | "disposition-notification" | "feedback-report")
        }
        _ => false,
    }
}

/// Finds the mailboxes that an address field names; what is no address is left out.
fn mailboxes(raw: &[u8]) -> Vec<EmailAddress> {
    let found: Vec<EmailAddress> = Splitter::default().split(raw).iter().filter_map(|text| address(text)).collect();
    if found.is_empty() { last_in_brackets(raw).and_then(address).into_iter().collect() } else { found }
}

fn address(text: &[u8]) -> Option<EmailAddress> {
    std::str::from_utf8(text).ok()?.trim().parse().ok()
}

/// What stands in the last angle brackets, for a display name whose bytes look like syntax: `"表" <a@b>` in Shift_JIS ends
/// in a backslash and a quote.
fn last_in_brackets(raw: &[u8]) -> Option<&[u8]> {
    let open = raw.iter().rposition(|byte| *byte == b'<')?;
    let inside = raw.get(open + 1..)?;
    inside.get(..inside.iter().position(|byte| *byte == b'>')?)
}

/// Takes an address list apart (RFC 5322 3.4): commas between mailboxes, `name: … ;` around a group, comments, quoted
/// strings, and what counts of a mailbox between angle brackets.
#[derive(Default)]
struct Splitter {
    place: Place,
    mailboxes: Vec<Vec<u8>>,
    current: Vec<u8>,
    in_brackets: Option<Vec<u8>>,
}

#[derive(Default, Clone, Copy)]
enum Place {
    #[default]
    Plain,
    Quoted,
    QuotedPair,
    Comment(usize),
    CommentPair(usize),
}

impl Splitter {
    fn split(mut self, raw: &[u8]) -> Vec<Vec<u8>> {
        for byte in raw.iter().copied().filter(|byte| !matches!(byte, b'\r' | b'\n')) {
            self.place = self.step(byte);
        }
        self.end_mailbox();
        self.mailboxes
    }

    fn step(&mut self, byte: u8) -> Place {
        match (self.place, byte) {
            (Place::Comment(depth), b'(') => Place::Comment(depth + 1),
            (Place::Comment(1), b')') => Place::Plain,
            (Place::Comment(depth), b')') => Place::Comment(depth - 1),
            (Place::Comment(depth), b'\\') => Place::CommentPair(depth),
            (Place::Comment(depth) | Place::CommentPair(depth), _) => Place::Comment(depth),
            (Place::Quoted, b'\\') => self.keep(byte, Place::QuotedPair),
            (Place::Quoted, b'"') => self.keep(byte, Place::Plain),
            (Place::Quoted | Place::QuotedPair, _) => self.keep(byte, Place::Quoted),
            (Place::Plain, b'"') => self.keep(byte, Place::Quoted),
            (Place::Plain, b'(') => Place::Comment(1),
            (Place::Plain, _) => self.plain(byte),
        }
    }

    fn plain(&mut self, byte: u8) -> Place {
        match byte {
            // What came before was the display name, or the name of a group.
            b'<' | b':' => self.current.clear(),
            b'>' => {
                let inside = std::mem::take(&mut self.current);
                self.in_brackets.get_or_insert(inside);
            }
            b',' | b';' => self.end_mailbox(),
            _ => self.current.push(byte),
        }
        Place::Plain
    }

    fn keep(&mut self, byte: u8, next: Place) -> Place {
        self.current.push(byte);
        next
    }

    fn end_mailbox(&mut self) {
        let bare = std::mem::take(&mut self.current);
        self.mailboxes.push(self.in_brackets.take().unwrap_or(bare));
    }
}

/// Says whether an address is that of a program: a mail system's own, a list's, or one that says not to be answered.
#[must_use]
pub fn is_automatic_sender(address: &EmailAddress) -> bool {
    const NAMES: [&str; 15] = [
        "mailer-daemon",
        "mailerdaemon",
        "postmaster",
        "noreply",
        "no-reply",
        "no_reply",
        "donotreply",
        "do-not-reply",
        "do_not_reply",
        "bounce",
        "bounces",
        "autoreply",
        "auto-reply",
        "listserv",
        "majordomo",
    ];
    let local = address.local().to_ascii_lowercase();
    // Tags behind a name belong to it: bounces+4711-hanako=docomo.ne.jp.
    let name = local.split_once('+').map_or(local.as_str(), |(name, _)| name);
    // RFC 3834 2 names the first two.
    NAMES.contains(&name)
        || name.starts_with("owner-")
        || name.ends_with("-request")
        || name.ends_with("-owner")
        || name.ends_with("-bounces")
}

#[cfg(test)]
mod tests;
