//! The sending side of the mail transactions on one connection that is ready for MAIL: one sender, one recipient each.
//!
//! Bytes that the server sent go in, bytes to write come out, and for each mail an [`Ending`]: what was said, at which
//! stage, and what may be done with the connection afterwards. Where the server offers PIPELINING (RFC 2920), MAIL, RCPT and
//! DATA go out in one write, and the three of another mail may go right behind the final dot of the one before (3.1): one
//! round trip a mail.
//!
//! Knows nothing of sockets, TLS, EHLO, retries or what a reply means for the recipient. The driver reads and writes, keeps
//! the deadline of the [`Stage`] that [`Conversation::stage`] names, and reports what went wrong below.
//!
//! What always holds: a reply is judged with the mail and the stage it belongs to; what follows a refused MAIL or RCPT is
//! read but not judged; no body is written to a server that refused, nor after the mail's time is over, nor before the
//! driver asked for it; only a connection lost after the final dot of a mail ends in [`Upshot::Unknown`], and of a mail
//! that went ahead behind a lost one the server has nothing but commands.

mod body;
mod reader;
#[cfg(test)]
mod tests;
mod transaction;

pub use body::with_crlf;

use crate::model::{EmailAddress, LocalForm, Reply, ReversePath, Stage, Timestamp};
use reader::ReplyReader;
use std::sync::Arc;
use transaction::Transaction;

/// Why a conversation is out of step.
const UNASKED: &str = "the server sent more than asked";

/// What the server offered in answer to EHLO, as far as a transaction asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Offers {
    /// PIPELINING (RFC 2920).
    pub pipelining: bool,
    /// SIZE (RFC 1870): the largest message in octets, 0 where no limit was named; nothing where SIZE is not offered.
    pub size: Option<u64>,
    /// 8BITMIME (RFC 6152).
    pub eight_bit: bool,
    /// SMTPUTF8 (RFC 6531).
    pub smtputf8: bool,
}

/// From whom to whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// MAIL FROM.
    pub sender: ReversePath,
    /// RCPT TO: one, so that a reply after DATA is this recipient's.
    pub recipient: EmailAddress,
}

/// A mail as it is to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// From whom to whom.
    pub envelope: Envelope,
    /// How the recipient's local part is written.
    pub form: LocalForm,
    /// The message.
    pub message: Vec<u8>,
    /// When its time is over: from then on no command and no body of it is written.
    pub give_up: Timestamp,
}

/// What the driver is to do next.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// Read on.
    Read,
    /// Write these bytes, then go on.
    Write(Vec<u8>),
    /// The server waits for the body: write what [`Conversation::body`] gives, once the mail may be given away.
    Body,
    /// The mail is over. Where another went ahead behind it and the connection is still good, the next steps are that one's.
    Over(Ending),
}

/// Why a mail does not go ahead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotAhead {
    /// The server takes no commands behind a body, or no body is about to be written.
    Alone,
    /// The mail is over before it began: its time, or the server cannot be given it.
    Over(Ending),
}

/// How a mail ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ending {
    /// What came of the mail.
    pub upshot: Upshot,
    /// What may be done with the connection.
    pub after: After,
}

/// What came of the mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Upshot {
    /// The server took responsibility (2yz after the final dot).
    Accepted(Reply),
    /// The server said no (4yz or 5yz).
    Refused {
        /// To what it said no.
        stage: Stage,
        /// What it said.
        reply: Reply,
    },
    /// The conversation broke before the final dot was written: the server does not have the mail.
    Broken {
        /// What was being waited for.
        stage: Stage,
        /// What went wrong, with code 0.
        reply: Reply,
    },
    /// The conversation broke after the final dot: perhaps the server has the mail, perhaps not.
    Unknown(Reply),
    /// The mail's time was over before a body was written.
    Expired,
    /// Nothing was written: this server cannot be given this mail.
    Unfit(Unfit),
}

/// Why a server cannot be given a mail, by its own answer to EHLO.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// The message is larger than SIZE allows.
    #[error("the message has {octets} octets and the server takes {limit}")]
    TooLarge {
        /// The size of the message.
        octets: u64,
        /// What the server takes.
        limit: u64,
    },
    /// The message has 8-bit text and the server does not offer 8BITMIME.
    #[error("the message is 8-bit and the server does not offer 8BITMIME")]
    EightBit,
    /// An address or a header is internationalised and the server does not offer SMTPUTF8.
    #[error("the mail has an internationalised address or header and the server does not offer SMTPUTF8")]
    Internationalised,
}

/// What may be done with the connection after a mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum After {
    /// The next transaction may begin at once.
    Ready,
    /// The next transaction may begin after RSET.
    Reset,
    /// Nothing: close it without another word.
    Gone,
}

/// The mails on one connection, one after another.
#[derive(Debug)]
pub struct Conversation {
    offers: Offers,
    replies: ReplyReader,
    /// What the server sent and nobody has looked at yet.
    unread: Vec<u8>,
    /// The mail under way.
    mail: Option<Transaction>,
    /// The mail whose commands go, or went, behind the final dot of the one under way.
    behind: Option<Transaction>,
    /// Its commands, until they are written.
    ahead: Vec<u8>,
}

impl Conversation {
    /// Begins with a server that is ready for MAIL.
    #[must_use]
    pub fn new(offers: Offers) -> Self {
        let (replies, unread, ahead) = (ReplyReader::default(), Vec::new(), Vec::new());
        Self { offers, replies, unread, mail: None, behind: None, ahead }
    }

    /// Begins a mail, the last one being over; gives the bytes to write first.
    ///
    /// # Errors
    /// The mail's time is over, or the server cannot be given this mail; nothing is to be written.
    pub fn begin(&mut self, letter: Arc<Letter>, now: Timestamp) -> Result<Vec<u8>, Ending> {
        let (mail, first) = Transaction::open(letter, self.offers, now)?;
        self.mail = Some(mail);
        Ok(first)
    }

    /// Lets the commands of another mail go right behind the body that is to be written next.
    ///
    /// # Errors
    /// It does not go ahead, and nothing of it is written.
    pub fn ahead(&mut self, letter: Arc<Letter>, now: Timestamp) -> Result<(), NotAhead> {
        if !self.takes_ahead() {
            return Err(NotAhead::Alone);
        }
        let (mail, commands) = Transaction::open(letter, self.offers, now).map_err(NotAhead::Over)?;
        (self.behind, self.ahead) = (Some(mail), commands);
        Ok(())
    }

    /// Says whether the server takes commands behind a body.
    #[must_use]
    pub const fn sends_ahead(&self) -> bool {
        self.offers.pipelining
    }

    fn takes_ahead(&self) -> bool {
        self.sends_ahead() && self.behind.is_none() && self.mail.as_ref().is_some_and(Transaction::expects_body)
    }

    /// Gives the bytes to write after [`Step::Body`]: the body, its final dot, and what goes ahead behind it.
    ///
    /// # Errors
    /// The mail's time is over, or the server said something instead of waiting; nothing is to be written.
    pub fn body(&mut self, now: Timestamp) -> Result<Vec<u8>, Ending> {
        if !self.unread.is_empty() {
            return Err(self.on_break(UNASKED));
        }
        match self.mail.as_mut().and_then(|mail| mail.body(now)) {
            Some(mut octets) => {
                octets.append(&mut self.ahead);
                Ok(octets)
            }
            // The only way to take a DATA back is to leave: whatever is written next would be the body.
            None => Err(self.over(Ending { upshot: Upshot::Expired, after: After::Gone })),
        }
    }

    /// Says what is being waited for; the driver keeps the deadline of that stage.
    #[must_use]
    pub fn stage(&self) -> Stage {
        self.mail.as_ref().map_or(Stage::Mail, Transaction::stage)
    }

    /// Says whether a final dot was written and its reply is being waited for, which may take longer than any other.
    #[must_use]
    pub fn awaits_verdict(&self) -> bool {
        self.mail.as_ref().is_some_and(Transaction::awaits_verdict)
    }

    /// Takes bytes that the server sent.
    pub fn on_bytes(&mut self, bytes: &[u8]) {
        self.unread.extend_from_slice(bytes);
    }

    /// Says what to do next.
    pub fn step(&mut self) -> Step {
        loop {
            let Some(mail) = &mut self.mail else { return Step::Read };
            if mail.expects_body() {
                return Step::Body;
            }
            let mut rest = self.unread.as_slice();
            let read = self.replies.read(&mut rest);
            self.unread.drain(..self.unread.len() - rest.len());
            let step = match read {
                Ok(Some(reply)) => mail.on_reply(reply),
                Ok(None) => return Step::Read,
                Err(garbled) => return Step::Over(self.on_break(&garbled.to_string())),
            };
            match step {
                Step::Read | Step::Body => {}
                // Whoever answers before being asked is out of step: the next reply would be taken for another's.
                Step::Write(_) if !self.unread.is_empty() => return Step::Over(self.on_break(UNASKED)),
                Step::Write(bytes) => return Step::Write(bytes),
                Step::Over(ending) => return Step::Over(self.over(ending)),
            }
        }
    }

    /// Ends the mail under way because no reply will come: the connection was lost, the deadline came, or what came was no
    /// reply.
    #[must_use]
    pub fn on_break(&mut self, why: &str) -> Ending {
        let ending = self.mail.take().map_or_else(|| lost(why), |mail| mail.on_break(why));
        self.over(ending)
    }

    /// Ends the mail under way because of the bytes to be written last only the first `written` went out.
    #[must_use]
    pub fn on_silence(&mut self, written: usize, why: &str) -> Ending {
        let ending = self.mail.take().map_or_else(|| lost(why), |mail| mail.on_silence(written, why));
        self.over(ending)
    }

    /// Lets what went ahead follow, or, where it cannot, leaves nothing to be taken for another mail's.
    fn over(&mut self, ending: Ending) -> Ending {
        let behind = self.behind.take();
        self.ahead.clear();
        self.mail = behind.filter(|_| ending.after == After::Ready);
        let unasked = self.mail.is_none() && !self.unread.is_empty();
        if unasked { Ending { after: After::Gone, ..ending } } else { ending }
    }
}

/// The end of a connection on which no mail is under way.
fn lost(why: &str) -> Ending {
    Ending { upshot: Upshot::Broken { stage: Stage::Mail, reply: Reply::none(why) }, after: After::Gone }
}
