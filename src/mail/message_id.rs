//! The name a message carries, ours and strangers'.

use crate::model::{Domain, JobId, Timestamp};
use std::fmt;

/// The longest one that is taken; with the field's name it still fits a line (RFC 5322 2.1.1).
const LEN_MAX: usize = 900;

/// A message's `Message-ID`, without its angle brackets. Not a [`JobId`]: one is a header field, the other a row of ours.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct MessageId(String);

impl MessageId {
    /// Makes the one of a mail of ours: the same at every attempt, and different for every job, also after the numbers of
    /// the rows began anew in another store.
    #[must_use]
    pub fn of_job(job: JobId, queued_at: Timestamp, domain: &Domain) -> Self {
        Self(format!("{job}.{}@{domain}", queued_at.millis()))
    }

    /// Reads what a stranger wrote, brackets or not, however odd (`<IMT$0@docomo.ne.jp>`, `<22@-22>`, `<4b30@ab12>`); nothing
    /// where it is empty or longer than a line.
    #[must_use]
    pub fn read(value: &str) -> Option<Self> {
        let inside = value.split_once('<').map_or(value, |(_, rest)| rest.split('>').next().unwrap_or(rest));
        let id = inside.trim();
        (1..=LEN_MAX).contains(&id.len()).then(|| Self(id.to_owned()))
    }

    /// Gives the text between the brackets.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Gives the domain behind the last `@`, where it is one.
    #[must_use]
    pub fn domain(&self) -> Option<Domain> {
        self.0.rsplit_once('@')?.1.parse().ok()
    }

    /// Says whether it may be repeated in a header field of ours: visible ASCII, one word, no brackets inside
    /// (RFC 5322 3.6.4, without its finer points, as other programs do not keep to them either).
    #[must_use]
    pub fn is_repeatable(&self) -> bool {
        self.0.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'<' && byte != b'>') && self.0.contains('@')
    }
}

/// With its brackets.
impl fmt::Display for MessageId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "<{}>", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(value: &str) -> Option<String> {
        MessageId::read(value).map(|id| id.as_str().to_owned())
    }

    #[test]
    fn what_phones_write_is_read() {
        for (value, id) in [
            (" <IMT$0ltE1323eb6905kK@docomo.ne.jp>", "IMT$0ltE1323eb6905kK@docomo.ne.jp"),
            ("<21225@-21225>", "21225@-21225"),
            ("no-brackets@example.jp ", "no-brackets@example.jp"),
            ("<first@example.jp> <second@example.jp>", "first@example.jp"),
            ("<open@example.jp", "open@example.jp"),
        ] {
            assert_eq!(read(value).as_deref(), Some(id));
        }
        for value in ["", "  ", "<>", "< >", &"x".repeat(901)] {
            assert_eq!(read(value), None, "{value}");
        }
    }

    #[test]
    fn only_what_cannot_break_a_header_is_repeated() {
        assert!(MessageId::read("<IMT$0@docomo.ne.jp>").unwrap().is_repeatable());
        for value in ["<a b@c.jp>", "<あ@c.jp>", "<a\r\nBcc: x@c.jp>", "<no-at>", "a>b@c.jp", "\u{7f}@c.jp"] {
            assert!(!MessageId::read(value).unwrap().is_repeatable(), "{value}");
        }
    }

    #[test]
    fn ours_names_the_job_and_its_moment() {
        let id = MessageId::of_job(
            JobId::new(16),
            Timestamp::from_millis(1_795_298_400_123),
            &"example.jp".parse().unwrap(),
        );
        assert_eq!(id.to_string(), "<jq.1795298400123@example.jp>");
        assert_eq!(id.domain(), "example.jp".parse().ok());
        assert!(id.is_repeatable());
    }
}
