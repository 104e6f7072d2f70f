//! Everything we ever say to a client, in one list.
//!
//! Does not know when to say it. What always holds: no text of a stranger and no cause of a failure is in a reply, a line
//! is at most 512 octets (RFC 5321 4.5.3.1.5), and every reply but those to EHLO, HELO and DATA and the greeting begins with
//! an enhanced code of its class (RFC 2034 4).

use super::Settings;
use crate::model::{Domain, MailId};
use std::borrow::Cow;

/// A reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reply {
    /// The first line of a session.
    Greeting,
    /// To HELO.
    Hello,
    /// To EHLO: what we offer.
    Extensions {
        /// Whether STARTTLS is among it.
        starttls: bool,
    },
    /// To MAIL.
    Sender,
    /// To RCPT.
    Recipient,
    /// To DATA: go ahead.
    Data,
    /// To the end of data: the mail is ours now.
    Queued(MailId),
    /// To RSET and NOOP.
    Done,
    /// To HELP.
    Help,
    /// To STARTTLS: shake hands.
    StartTls,
    /// There is no certificate to show.
    NoTlsNow,
    /// STARTTLS behind a handshake.
    TlsAlready,
    /// Octets in plain between STARTTLS and the handshake; nothing behind them can be trusted to be the client's.
    BehindStartTls,
    /// To VRFY, which would tell strangers whom they can write to (RFC 5321 7.3).
    CannotVerify,
    /// To QUIT.
    Bye,
    /// The line begins with no command.
    Unknown,
    /// A command we know and do not offer.
    NotOffered,
    /// The arguments do not have this command's form.
    Arguments,
    /// A parameter with a value it cannot have, or given twice.
    Parameter,
    /// A parameter of an extension we do not offer.
    UnknownParameter,
    /// No address behind MAIL FROM.
    BadSender,
    /// No address behind RCPT TO.
    BadRecipient,
    /// An address beyond ASCII without SMTPUTF8.
    NeedsUtf8,
    /// EHLO or HELO must come first.
    HelloFirst,
    /// MAIL must come first.
    MailFirst,
    /// A transaction is under way already.
    NestedMail,
    /// DATA, and nobody to give the mail to.
    NoRecipients,
    /// The recipient's domain is ours and the mailbox does not exist.
    NoSuchMailbox,
    /// The recipient's domain is not ours.
    NoRelay,
    /// One recipient too many for this transaction; the client shall send the rest in another (RFC 5321 4.5.3.1.10).
    TooManyRecipients,
    /// The message is larger than what EHLO said.
    TooLarge,
    /// Too many mails are coming in at this moment.
    NoRoom,
    /// The mail could not be stored.
    NotStored,
    /// A bare CR or LF in a command line.
    BareLineEnd,
    /// A command line without end.
    LineTooLong,
    /// Too many commands that were none, or recipients that were none.
    TooManyErrors,
    /// A deadline has passed.
    TooSlow,
    /// The server is being stopped.
    Stopping,
    /// Too many connections, of all or of this network.
    TooManyConnections,
}

impl Reply {
    /// Writes the reply as it goes over the wire.
    pub fn write(self, settings: &Settings, out: &mut Vec<u8>) {
        out.extend_from_slice(self.text(settings).as_bytes());
        out.extend_from_slice(b"\r\n");
    }

    fn text(self, Settings { hostname, max_message, .. }: &Settings) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::Greeting => return format!("220 {hostname} ESMTP karamail").into(),
            Self::Hello => return format!("250 {hostname}").into(),
            Self::Extensions { starttls } => return extensions(hostname, *max_message, starttls).into(),
            Self::Sender => "250 2.1.0 Ok",
            Self::Recipient => "250 2.1.5 Ok",
            Self::Data => "354 End data with <CR><LF>.<CR><LF>",
            Self::Queued(id) => return format!("250 2.0.0 Ok: queued as {id}").into(),
            Self::Done => "250 2.0.0 Ok",
            Self::Help => "214 2.0.0 EHLO HELO MAIL RCPT DATA RSET NOOP VRFY HELP QUIT",
            Self::StartTls => "220 2.0.0 Ready to start TLS",
            Self::NoTlsNow => "454 4.7.0 TLS not available at this moment",
            Self::TlsAlready => "503 5.5.1 TLS is in use already",
            Self::BehindStartTls => "554 5.5.1 Octets behind STARTTLS, closing connection",
            Self::CannotVerify => "252 2.5.2 Cannot verify, but will take a mail and try",
            Self::Bye => return format!("221 2.0.0 {hostname} Bye").into(),
            Self::Unknown => "500 5.5.2 Command not recognized",
            Self::NotOffered => "502 5.5.1 Command not implemented",
            Self::Arguments => "501 5.5.4 Syntax error in the arguments",
            Self::Parameter => "501 5.5.4 Syntax error in a parameter",
            Self::UnknownParameter => "555 5.5.4 Parameter not recognized",
            Self::BadSender => "501 5.1.7 Bad sender address syntax",
            Self::BadRecipient => "501 5.1.3 Bad recipient address syntax",
            Self::NeedsUtf8 => "553 5.6.7 Addresses beyond ASCII need SMTPUTF8",
            Self::HelloFirst => "503 5.5.1 Send EHLO or HELO first",
            Self::MailFirst => "503 5.5.1 Send MAIL first",
            Self::NestedMail => "503 5.5.1 Nested MAIL command",
            Self::NoRecipients => "554 5.5.1 No valid recipients",
            Self::NoSuchMailbox => "550 5.1.1 No such mailbox here",
            Self::NoRelay => "550 5.7.1 Relay access denied",
            Self::TooManyRecipients => "452 4.5.3 Too many recipients",
            Self::TooLarge => "552 5.3.4 Message too large",
            Self::NoRoom => "452 4.3.1 Too many mails at this moment, try again later",
            Self::NotStored => "451 4.3.0 Could not store the mail, try again later",
            Self::BareLineEnd => "500 5.5.2 Bare CR or LF in a command line, closing connection",
            Self::LineTooLong => "500 5.5.2 Line too long, closing connection",
            Self::TooManyErrors => return format!("421 4.7.0 {hostname} Too many errors, closing connection").into(),
            Self::TooSlow => return format!("421 4.4.2 {hostname} Timeout, closing connection").into(),
            Self::Stopping => return format!("421 4.3.2 {hostname} Server is stopping, try again later").into(),
            Self::TooManyConnections => {
                return format!("421 4.7.0 {hostname} Too many connections, try again later").into();
            }
        })
    }
}

/// The name, then a line for each extension (RFC 5321 4.1.1.1, 2920, 1870, 3207, 6152, 2034, 6531).
fn extensions(hostname: &Domain, max_message: usize, starttls: bool) -> String {
    let starttls = if starttls { "250-STARTTLS\r\n" } else { "" };
    format!(
        "250-{hostname}\r\n250-PIPELINING\r\n250-SIZE {max_message}\r\n{starttls}250-8BITMIME\r\n\
         250-ENHANCEDSTATUSCODES\r\n250 SMTPUTF8"
    )
}
