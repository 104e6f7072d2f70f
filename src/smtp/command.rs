//! One command line becomes one [`Command`], or a [`Refusal`] that says what is wrong with it.
//!
//! The grammar is `samotop-parser`'s over the types of `samotop-core`; around it stand rules of our own for what real
//! clients send and the grammar does not take, each named and tested below. Does not know whether a command fits the moment,
//! nor who of the addresses is ours. What always holds: an address comes out dequoted, and no type of the two crates leaves
//! this file, so that they can be replaced here.

use crate::model::{EmailAddress, ReversePath};
use samotop_core::smtp::command::{SmtpCommand, SmtpMail};
use samotop_core::smtp::{SmtpContext, SmtpHost, SmtpPath};
use samotop_parser::{Parser, SmtpParserPeg};
use std::borrow::Cow;
use std::sync::LazyLock;

/// A command, with its arguments checked and read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// EHLO or HELO.
    Hello(Hello),
    /// MAIL FROM.
    Mail(Mail),
    /// RCPT TO.
    Rcpt(Rcpt),
    /// DATA.
    Data,
    /// RSET.
    Rset,
    /// STARTTLS (RFC 3207).
    StartTls,
    /// NOOP, with or without a text.
    Noop,
    /// VRFY of whatever.
    Vrfy,
    /// HELP, with or without a topic.
    Help,
    /// QUIT.
    Quit,
}

/// What a client says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello {
    /// EHLO (true), which asks for the list of extensions, or HELO.
    pub extended: bool,
    /// The name as sent, at most 255 octets; a claim.
    pub name: String,
}

/// Who sends, and how much.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mail {
    /// The envelope sender.
    pub sender: ReversePath,
    /// The size the client announces, in octets (RFC 1870).
    pub size: Option<u64>,
    /// SMTPUTF8 was asked for (RFC 6531).
    pub utf8: bool,
}

/// For whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rcpt {
    /// The recipient.
    pub to: Recipient,
    /// The path has characters beyond ASCII: fit for a transaction with SMTPUTF8 alone.
    pub utf8: bool,
}

/// A forward path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recipient {
    /// A whole address.
    Address(EmailAddress),
    /// `<postmaster>` without a domain: whoever runs this server (RFC 5321 4.5.1).
    Postmaster,
}

/// Why a line is not taken as a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The line begins with no command.
    #[error("no command of SMTP")]
    Unknown,
    /// A command of SMTP or of an extension that we do not offer.
    #[error("a command that is not offered")]
    NotOffered,
    /// The arguments do not have the form of this command's.
    #[error("arguments of the wrong form")]
    Arguments,
    /// The path behind MAIL FROM holds no address.
    #[error("no address to send from")]
    Sender,
    /// The path behind RCPT TO holds no address.
    #[error("no address to send to")]
    Recipient,
    /// An address beyond ASCII, in a transaction without SMTPUTF8.
    #[error("an address beyond ASCII without SMTPUTF8")]
    NeedsUtf8,
    /// A parameter we do not know (RFC 5321 4.1.1.11).
    #[error("an unknown parameter")]
    UnknownParameter,
    /// A parameter we know, with a value it cannot have, or given twice.
    #[error("a parameter of the wrong form")]
    Parameter,
}

const MAIL: &[u8] = b"MAIL FROM:";
const RCPT: &[u8] = b"RCPT TO:";
/// RFC 5321 4.5.3.1.2.
const NAME_MAX: usize = 255;

/// Reads one line, given without its CR LF.
///
/// # Errors
/// The line is no command we take; see [`Refusal`].
pub fn parse(line: &[u8]) -> Result<Command, Refusal> {
    let line = line.trim_ascii_end(); // RFC 5321 4.1.1: servers SHOULD take white space before the CR LF
    let (head, parameters) = tolerate(line);
    match grammar(&head) {
        Some(command) => translate(command, line, parameters),
        None => beyond_the_grammar(&head, parameters),
    }
}

/// Makes of the line what the grammar takes: no blank between `FROM:` and the path, and the parameters split off, as the
/// grammar's words have no dot, colon or bracket but theirs may (RFC 5321 4.1.2, `esmtp-value`).
fn tolerate(line: &[u8]) -> (Cow<'_, [u8]>, &[u8]) {
    for verb in [MAIL, RCPT] {
        if let Some(arguments) = after(line, verb) {
            let (path, parameters) = split_path(arguments.trim_ascii_start());
            return (Cow::Owned([verb, path].concat()), parameters);
        }
    }
    (Cow::Borrowed(line), &[])
}

/// Gives what follows `verb`, compared without case.
fn after<'a>(line: &'a [u8], verb: &[u8]) -> Option<&'a [u8]> {
    let (head, rest) = line.split_at_checked(verb.len())?;
    head.eq_ignore_ascii_case(verb).then_some(rest)
}

/// Splits behind the first `>` outside quotes.
fn split_path(arguments: &[u8]) -> (&[u8], &[u8]) {
    let (mut quoted, mut escaped) = (false, false);
    let end = arguments.iter().position(|byte| {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => quoted = !quoted,
            b'>' => return !quoted,
            _ => {}
        }
        false
    });
    end.and_then(|at| arguments.split_at_checked(at + 1)).unwrap_or((arguments, &[]))
}

/// Asks `samotop-parser`; `None` where its grammar does not take the line.
fn grammar(line: &[u8]) -> Option<SmtpCommand> {
    /// The parser wants a session and reads one thing of it: that no DATA is under way, which is so in an empty one.
    static COMMANDS: LazyLock<SmtpContext> = LazyLock::new(SmtpContext::default);
    let line = [line, b"\r\n"].concat();
    let (used, command) = SmtpParserPeg.parse(&line, &COMMANDS).ok()?;
    (used == line.len()).then_some(command)
}

fn translate(command: SmtpCommand, line: &[u8], parameters: &[u8]) -> Result<Command, Refusal> {
    match command {
        SmtpCommand::Helo(helo) if helo.verb == "LHLO" => Err(Refusal::Unknown), // LMTP alone (RFC 2033 4.1)
        SmtpCommand::Helo(_) => hello(line),
        SmtpCommand::Mail(SmtpMail::Mail(SmtpPath::Null, _)) => mail(ReversePath::Null, parameters, false),
        SmtpCommand::Mail(SmtpMail::Mail(path, _)) => {
            let sender = address(&path).ok_or(Refusal::Sender)?;
            mail(ReversePath::Address(sender), parameters, !line.is_ascii())
        }
        SmtpCommand::Rcpt(rcpt) if rcpt.0 == SmtpPath::Postmaster => {
            recipient(Recipient::Postmaster, parameters, false)
        }
        SmtpCommand::Rcpt(rcpt) => {
            let to = address(&rcpt.0).ok_or(Refusal::Recipient)?;
            recipient(Recipient::Address(to), parameters, !line.is_ascii())
        }
        SmtpCommand::Data => Ok(Command::Data),
        SmtpCommand::Rset => Ok(Command::Rset),
        SmtpCommand::Noop(_) => Ok(Command::Noop),
        SmtpCommand::Vrfy(_) => Ok(Command::Vrfy),
        SmtpCommand::Help(_) => Ok(Command::Help),
        SmtpCommand::Quit => Ok(Command::Quit),
        // RFC 5321 F.1, F.6 and 7.3: obsolete, or better not answered.
        SmtpCommand::Mail(SmtpMail::Send(..) | SmtpMail::Saml(..) | SmtpMail::Soml(..))
        | SmtpCommand::Expn(_)
        | SmtpCommand::Turn => Err(Refusal::NotOffered),
        SmtpCommand::Other(..) => Err(Refusal::Unknown),
    }
}

/// Takes the mailbox of a path; a source route in front of it is ignored (RFC 5321 C).
fn address(path: &SmtpPath) -> Option<EmailAddress> {
    match path {
        SmtpPath::Mailbox { name, host: SmtpHost::Domain(domain), .. } => {
            EmailAddress::new(name, domain.parse().ok()?).ok()
        }
        SmtpPath::Mailbox { .. } | SmtpPath::Postmaster | SmtpPath::Null => None,
    }
}

/// Judges what the grammar does not take.
fn beyond_the_grammar(line: &[u8], parameters: &[u8]) -> Result<Command, Refusal> {
    if let Some(path) = after(line, MAIL) {
        let sender = address_beyond_the_grammar(path).ok_or(Refusal::Sender)?;
        return mail(ReversePath::Address(sender), parameters, !line.is_ascii());
    }
    if let Some(path) = after(line, RCPT) {
        let to = address_beyond_the_grammar(path).ok_or(Refusal::Recipient)?;
        return recipient(Recipient::Address(to), parameters, !line.is_ascii());
    }
    let (verb, has_arguments) = match line.iter().position(|byte| *byte == b' ') {
        Some(blank) => (line.get(..blank).unwrap_or(line), true),
        None => (line, false),
    };
    match verb.to_ascii_uppercase().as_slice() {
        b"EHLO" | b"HELO" => hello(line),
        // Words with dots, brackets or colons in them are no strings to the grammar.
        b"NOOP" => Ok(Command::Noop),
        b"HELP" => Ok(Command::Help),
        b"VRFY" if has_arguments => Ok(Command::Vrfy),
        b"STARTTLS" if !has_arguments => Ok(Command::StartTls), // RFC 3207 4: no parameters
        b"MAIL" | b"RCPT" | b"DATA" | b"RSET" | b"STARTTLS" | b"VRFY" | b"QUIT" => Err(Refusal::Arguments),
        b"AUTH" | b"BDAT" | b"ETRN" | b"EXPN" | b"TURN" | b"ATRN" | b"BURL" | b"SEND" | b"SOML" | b"SAML" => {
            Err(Refusal::NotOffered)
        }
        _ => Err(Refusal::Unknown),
    }
}

/// Takes a domain beyond the grammar's letters, digits and hyphens: one in UTF-8, with an underscore or with a dot at its
/// end; and a source route with a name the grammar mistakes for an address literal.
fn address_beyond_the_grammar(path: &[u8]) -> Option<EmailAddress> {
    let path = std::str::from_utf8(path).ok()?.strip_prefix('<')?.strip_suffix('>')?;
    let mailbox = if path.starts_with('@') { path.split_once(':')?.1 } else { path };
    mailbox.parse().ok()
}

/// Takes any visible name: it is a claim and decides nothing, and clients say `my_host`, `[IPv6:::1]` or the computer's name
/// in Shift_JIS, although RFC 5321 4.1.1.1 wants a domain or an address literal.
fn hello(line: &[u8]) -> Result<Command, Refusal> {
    let extended = after(line, b"EHLO").is_some();
    let name = line.get(4..).unwrap_or_default().trim_ascii();
    if name.is_empty() || name.len() > NAME_MAX {
        return Err(Refusal::Arguments);
    }
    let name = String::from_utf8_lossy(name).into_owned();
    if name.contains(char::is_control) {
        return Err(Refusal::Arguments);
    }
    Ok(Command::Hello(Hello { extended, name }))
}

fn mail(sender: ReversePath, parameters: &[u8], beyond_ascii: bool) -> Result<Command, Refusal> {
    let mut mail = Mail { sender, size: None, utf8: false };
    let mut body = false;
    for (keyword, value) in words(parameters)? {
        match (keyword.to_ascii_uppercase().as_slice(), value) {
            (b"SIZE", Some(digits)) if mail.size.is_none() => mail.size = Some(size(digits)?),
            // Whatever the body is said to be, every octet of it is kept.
            (b"BODY", Some(kind)) if !body => {
                body = kind.eq_ignore_ascii_case(b"7BIT") || kind.eq_ignore_ascii_case(b"8BITMIME");
                if !body {
                    return Err(Refusal::Parameter);
                }
            }
            (b"SMTPUTF8", None) if !mail.utf8 => mail.utf8 = true,
            (b"SIZE" | b"BODY" | b"SMTPUTF8", _) => return Err(Refusal::Parameter),
            _ => return Err(Refusal::UnknownParameter),
        }
    }
    if beyond_ascii && !mail.utf8 { Err(Refusal::NeedsUtf8) } else { Ok(Command::Mail(mail)) }
}

fn recipient(to: Recipient, parameters: &[u8], utf8: bool) -> Result<Command, Refusal> {
    match words(parameters)?.next() {
        Some(_) => Err(Refusal::UnknownParameter),
        None => Ok(Command::Rcpt(Rcpt { to, utf8 })),
    }
}

/// Splits parameters at blanks, and each at its first `=`.
fn words(parameters: &[u8]) -> Result<impl Iterator<Item = (&[u8], Option<&[u8]>)>, Refusal> {
    if parameters.first().is_some_and(|byte| *byte != b' ') {
        return Err(Refusal::Arguments);
    }
    Ok(parameters.split(|byte| *byte == b' ').filter(|word| !word.is_empty()).map(|word| {
        let mut halves = word.splitn(2, |byte| *byte == b'=');
        (halves.next().unwrap_or_default(), halves.next())
    }))
}

/// Reads 1 to 20 digits (RFC 1870 5); a number beyond 64 bits is as good as the largest.
fn size(digits: &[u8]) -> Result<u64, Refusal> {
    if !(1..=20).contains(&digits.len()) || !digits.iter().all(u8::is_ascii_digit) {
        return Err(Refusal::Parameter);
    }
    let add = |size: u64, digit: &u8| size.saturating_mul(10).saturating_add(u64::from(digit - b'0'));
    Ok(digits.iter().fold(0, add))
}

#[cfg(test)]
mod tests;
