//! What an SMTP server said, and at which point of the conversation.

use std::fmt;
use std::str::FromStr;

/// The point of an SMTP conversation a reply belongs to; the same code means different things at different ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Stage {
    /// Opening the TCP connection.
    Connect,
    /// The server's greeting.
    Greeting,
    /// EHLO or HELO.
    Ehlo,
    /// STARTTLS and the handshake.
    StartTls,
    /// AUTH.
    Auth,
    /// MAIL FROM.
    Mail,
    /// RCPT TO.
    Rcpt,
    /// DATA, or the final dot.
    Data,
}

impl Stage {
    const ALL: [Self; 8] =
        [Self::Connect, Self::Greeting, Self::Ehlo, Self::StartTls, Self::Auth, Self::Mail, Self::Rcpt, Self::Data];

    /// Gives the name used in the mail log.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Greeting => "greeting",
            Self::Ehlo => "ehlo",
            Self::StartTls => "starttls",
            Self::Auth => "auth",
            Self::Mail => "mail",
            Self::Rcpt => "rcpt",
            Self::Data => "data",
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

/// The text names no stage.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("“{0}” is no stage of an SMTP conversation")]
pub struct StageError(String);

impl FromStr for Stage {
    type Err = StageError;

    fn from_str(text: &str) -> Result<Self, StageError> {
        Self::ALL.into_iter().find(|stage| stage.as_str() == text).ok_or_else(|| StageError(text.to_owned()))
    }
}

/// An enhanced status code (RFC 3463), such as 5.1.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct EnhancedCode(pub u8, pub u16, pub u16);

impl EnhancedCode {
    /// Reads the code a reply's text begins with, if it does; gives it and the rest of the text.
    #[must_use]
    pub fn split(text: &str) -> (Option<Self>, &str) {
        let (first, rest) = text.split_once(' ').unwrap_or((text, ""));
        let mut parts = first.split('.').map(str::parse::<u16>);
        match (parts.next(), parts.next(), parts.next(), parts.next()) {
            (Some(Ok(class @ (2 | 4 | 5))), Some(Ok(subject @ 0..=999)), Some(Ok(detail @ 0..=999)), None) => {
                (Some(Self(u8::try_from(class).unwrap_or(5), subject, detail)), rest)
            }
            _ => (None, text),
        }
    }
}

impl fmt::Display for EnhancedCode {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}.{}.{}", self.0, self.1, self.2)
    }
}

/// A reply of a mail server, its lines joined by blanks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The three digits; 0 where no reply came.
    pub code: u16,
    /// The enhanced code the text began with.
    pub enhanced: Option<EnhancedCode>,
    /// The text behind the codes, on one line, at most 512 characters, control characters replaced.
    pub text: String,
}

impl Reply {
    const TEXT_MAX: usize = 512;

    /// Takes a code and the text a stranger sent with it.
    #[must_use]
    pub fn new(code: u16, text: &str) -> Self {
        let clean: String =
            text.trim().chars().take(Self::TEXT_MAX).map(|c| if c.is_control() { ' ' } else { c }).collect();
        let (enhanced, rest) = EnhancedCode::split(&clean);
        Self { code, enhanced, text: rest.to_owned() }
    }

    /// Describes why no reply came.
    #[must_use]
    pub fn none(why: &str) -> Self {
        Self { code: 0, ..Self::new(0, why) }
    }

    /// Says whether the server agreed (2yz, 3yz).
    #[must_use]
    pub const fn is_positive(&self) -> bool {
        matches!(self.code, 200..=399)
    }

    /// Says whether the server refused for good (5yz).
    #[must_use]
    pub const fn is_permanent(&self) -> bool {
        matches!(self.code, 500..=599)
    }
}

/// The enhanced code and the text, as the server sent them.
impl fmt::Display for Reply {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(enhanced) = self.enhanced {
            write!(out, "{enhanced} ")?;
        }
        out.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_enhanced_code_is_read_where_there_is_one() {
        let reply = Reply::new(550, "5.1.1 <a@b.jp> User\r\nunknown");
        assert_eq!(reply.enhanced, Some(EnhancedCode(5, 1, 1)));
        assert_eq!(reply.text, "<a@b.jp> User  unknown");
        for text in ["Unknown user", "5.1 x", "3.1.1 x", "5.1.1.1 x", "127.0.0.1 x", ""] {
            assert_eq!(Reply::new(550, text).enhanced, None, "{text}");
        }
    }

    #[test]
    fn a_reply_is_shown_as_it_came_and_never_longer_than_a_line() {
        assert_eq!(Reply::new(250, "2.0.0 Ok").to_string(), "2.0.0 Ok");
        assert!(Reply::new(550, &"あ".repeat(10_000)).text.chars().count() <= 512);
    }

    #[test]
    fn stages_are_read_back_from_their_names() {
        for stage in Stage::ALL {
            assert_eq!(stage.as_str().parse(), Ok(stage));
        }
    }
}
