//! The sending side of one mail transaction: one mail, one sender, one recipient, on a connection that is ready for MAIL.
//!
//! Bytes that the server sent go in, bytes to write come out, and at the end an [`Ending`]: what was said, at which stage,
//! and what may be done with the connection afterwards. MAIL, RCPT and DATA go out in one write where the server offers
//! PIPELINING (RFC 2920).
//!
//! Knows nothing of sockets, TLS, EHLO, retries or what a reply means for the recipient. The driver reads and writes, keeps
//! the deadline of the [`Stage`] that [`Transaction::stage`] names, and reports what went wrong below.
//!
//! What always holds: a reply is judged with the stage it belongs to; what follows a refused MAIL or RCPT is read but not
//! judged; no body is written to a server that refused, nor after the mail's time is over; only a connection lost after
//! the final dot ends in [`Upshot::Unknown`].

mod body;
mod reader;
#[cfg(test)]
mod tests;

pub use body::with_crlf;

use crate::model::{EmailAddress, Reply, ReversePath, Stage, Timestamp};
use reader::ReplyReader;

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

/// What the driver is to do next.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// Read on.
    Read,
    /// Write these bytes, then read on.
    Write(Vec<u8>),
    /// The transaction is over.
    Over(Ending),
}

/// How a transaction ended.
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

/// What may be done with the connection after a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum After {
    /// The next transaction may begin at once.
    Ready,
    /// The next transaction may begin after RSET.
    Reset,
    /// Nothing: close it without another word.
    Gone,
}

/// One mail on its way.
#[derive(Debug)]
pub struct Transaction<'m> {
    message: &'m [u8],
    give_up: Timestamp,
    replies: ReplyReader,
    /// The commands that wait for the reply to the one before, next one last; empty where all went out in one write.
    unsent: Vec<Vec<u8>>,
    state: State,
}

#[derive(Debug)]
enum State {
    /// The reply to MAIL comes next.
    Mail,
    /// The reply to RCPT comes next.
    Rcpt,
    /// The reply to DATA comes next.
    Data,
    /// The reply to the final dot comes next.
    Dot,
    /// The upshot is known; the replies to commands that were sent ahead are still owed, this one first.
    Owed(Owed, Upshot),
}

#[derive(Debug, Clone, Copy)]
enum Owed {
    Rcpt,
    Data,
    Dot,
}

/// The kinds of replies (RFC 5321 4.2.1).
enum Kind {
    /// 2yz.
    Done,
    /// 3yz.
    GoOn,
    /// 4yz, 5yz.
    No,
    /// 421: no, and the server closes the connection (RFC 5321 3.8).
    Closing,
    /// Anything else.
    Nonsense,
}

const fn kind_of(reply: &Reply) -> Kind {
    match reply.code {
        200..=299 => Kind::Done,
        300..=399 => Kind::GoOn,
        421 => Kind::Closing,
        400..=599 => Kind::No,
        _ => Kind::Nonsense,
    }
}

impl<'m> Transaction<'m> {
    /// Opens the transaction; gives it and the bytes to write first.
    ///
    /// # Errors
    /// The mail's time is over, or the server cannot be given this mail; nothing is to be written.
    pub fn open(
        envelope: &Envelope,
        message: &'m [u8],
        offers: Offers,
        give_up: Timestamp,
        now: Timestamp,
    ) -> Result<(Self, Vec<u8>), Ending> {
        let ready = |upshot| Ending { upshot, after: After::Ready };
        if give_up <= now {
            return Err(ready(Upshot::Expired));
        }
        let parameters = parameters(envelope, message, offers).map_err(|unfit| ready(Upshot::Unfit(unfit)))?;
        let sender = envelope.sender.address().map(EmailAddress::to_wire).unwrap_or_default();
        let mut commands = vec![
            format!("MAIL FROM:<{sender}>{parameters}\r\n").into_bytes(),
            format!("RCPT TO:<{}>\r\n", envelope.recipient.to_wire()).into_bytes(),
            b"DATA\r\n".to_vec(),
        ];
        let first = if offers.pipelining { commands.drain(..).flatten().collect() } else { commands.remove(0) };
        commands.reverse();
        Ok((Self { message, give_up, replies: ReplyReader::default(), unsent: commands, state: State::Mail }, first))
    }

    /// Says what is being waited for; the driver keeps the deadline of that stage.
    #[must_use]
    pub const fn stage(&self) -> Stage {
        match self.state {
            State::Mail => Stage::Mail,
            State::Rcpt | State::Owed(Owed::Rcpt, _) => Stage::Rcpt,
            State::Data | State::Dot | State::Owed(Owed::Data | Owed::Dot, _) => Stage::Data,
        }
    }

    /// Says whether the final dot was written and its reply is being waited for, which may take longer than any other.
    #[must_use]
    pub const fn awaits_verdict(&self) -> bool {
        matches!(self.state, State::Dot | State::Owed(Owed::Dot, _))
    }

    /// Takes bytes that the server sent.
    pub fn on_bytes(&mut self, bytes: &[u8], now: Timestamp) -> Step {
        let mut rest = bytes;
        loop {
            let reply = match self.replies.read(&mut rest) {
                Ok(Some(reply)) => reply,
                Ok(None) => return Step::Read,
                Err(garbled) => return Step::Over(self.on_break(&garbled.to_string())),
            };
            match self.on_reply(reply, now) {
                Step::Read => {}
                // Whoever answers before being asked is out of step: the next reply would be taken for another's.
                Step::Write(_) if !rest.is_empty() => {
                    return Step::Over(self.on_silence("the server sent more than asked"));
                }
                Step::Over(ending) if !rest.is_empty() => return Step::Over(Ending { after: After::Gone, ..ending }),
                step @ (Step::Write(_) | Step::Over(_)) => return step,
            }
        }
    }

    /// Ends the transaction because no reply will come: the connection was lost, the deadline came, or what came was
    /// no reply.
    #[must_use]
    pub fn on_break(&mut self, why: &str) -> Ending {
        let stage = self.stage();
        let upshot = match std::mem::replace(&mut self.state, State::Mail) {
            State::Owed(_, upshot) => upshot,
            State::Dot => Upshot::Unknown(Reply::none(why)),
            State::Mail | State::Rcpt | State::Data => Upshot::Broken { stage, reply: Reply::none(why) },
        };
        Ending { upshot, after: After::Gone }
    }

    /// Ends the transaction because the bytes of the last [`Step::Write`] could not all be written.
    #[must_use]
    pub fn on_silence(&mut self, why: &str) -> Ending {
        if matches!(self.state, State::Dot) {
            // The final dot is the last of those bytes: the server cannot have seen the end of the mail.
            self.state = State::Data;
        }
        self.on_break(why)
    }

    fn on_reply(&mut self, reply: Reply, now: Timestamp) -> Step {
        match std::mem::replace(&mut self.state, State::Mail) {
            State::Mail => self.on_mail(reply),
            State::Rcpt => self.on_rcpt(reply),
            State::Data => self.on_data(reply, now),
            State::Dot => on_dot(reply),
            State::Owed(owed, upshot) => self.on_owed(owed, upshot, &reply),
        }
    }

    fn on_mail(&mut self, reply: Reply) -> Step {
        match kind_of(&reply) {
            Kind::Done => {
                self.state = State::Rcpt;
                self.next_command()
            }
            Kind::No => self.refused(Stage::Mail, reply, Owed::Rcpt),
            kind @ (Kind::Closing | Kind::GoOn | Kind::Nonsense) => broken(Stage::Mail, &kind, reply),
        }
    }

    fn on_rcpt(&mut self, reply: Reply) -> Step {
        match kind_of(&reply) {
            Kind::Done => {
                self.state = State::Data;
                self.next_command()
            }
            Kind::No => self.refused(Stage::Rcpt, reply, Owed::Data),
            kind @ (Kind::Closing | Kind::GoOn | Kind::Nonsense) => broken(Stage::Rcpt, &kind, reply),
        }
    }

    fn on_data(&mut self, reply: Reply, now: Timestamp) -> Step {
        match kind_of(&reply) {
            // The only way to take a DATA back is to leave: whatever is written next would be the body.
            Kind::GoOn if self.give_up <= now => over(Upshot::Expired, After::Gone),
            Kind::GoOn => {
                self.state = State::Dot;
                Step::Write(body::stuffed(self.message))
            }
            Kind::No => over(Upshot::Refused { stage: Stage::Data, reply }, After::Reset),
            kind @ (Kind::Closing | Kind::Done | Kind::Nonsense) => broken(Stage::Data, &kind, reply),
        }
    }

    /// Reads the replies to commands sent ahead of a refusal; none of them is judged.
    fn on_owed(&mut self, owed: Owed, upshot: Upshot, reply: &Reply) -> Step {
        match (owed, kind_of(reply)) {
            (_, Kind::Closing | Kind::Nonsense) => over(upshot, After::Gone),
            (Owed::Rcpt, Kind::Done | Kind::GoOn | Kind::No) => {
                self.state = State::Owed(Owed::Data, upshot);
                Step::Read
            }
            // RFC 2920 3.1: a server that takes DATA all the same is given a dot and nothing else.
            (Owed::Data, Kind::GoOn) => {
                self.state = State::Owed(Owed::Dot, upshot);
                Step::Write(b".\r\n".to_vec())
            }
            (Owed::Data, Kind::Done | Kind::No) => over(upshot, After::Reset),
            (Owed::Dot, Kind::Done | Kind::GoOn | Kind::No) => over(upshot, After::Ready),
        }
    }

    fn refused(&mut self, stage: Stage, reply: Reply, owed: Owed) -> Step {
        let upshot = Upshot::Refused { stage, reply };
        if self.unsent.is_empty() {
            self.state = State::Owed(owed, upshot);
            Step::Read
        } else {
            over(upshot, After::Reset)
        }
    }

    fn next_command(&mut self) -> Step {
        self.unsent.pop().map_or(Step::Read, Step::Write)
    }
}

fn on_dot(reply: Reply) -> Step {
    match kind_of(&reply) {
        Kind::Done => over(Upshot::Accepted(reply), After::Ready),
        Kind::No => over(Upshot::Refused { stage: Stage::Data, reply }, After::Ready),
        Kind::Closing => over(Upshot::Refused { stage: Stage::Data, reply }, After::Gone),
        Kind::GoOn | Kind::Nonsense => over(Upshot::Unknown(nonsense(&reply)), After::Gone),
    }
}

/// Ends a conversation before the final dot: by the server's 421, or by a reply that answers nothing.
fn broken(stage: Stage, kind: &Kind, reply: Reply) -> Step {
    let upshot = match kind {
        Kind::Closing | Kind::No => Upshot::Refused { stage, reply },
        Kind::Done | Kind::GoOn | Kind::Nonsense => Upshot::Broken { stage, reply: nonsense(&reply) },
    };
    over(upshot, After::Gone)
}

fn nonsense(reply: &Reply) -> Reply {
    Reply::none(&format!("the server answered {}, which answers nothing: {reply}", reply.code))
}

const fn over(upshot: Upshot, after: After) -> Step {
    Step::Over(Ending { upshot, after })
}

/// Decides what MAIL declares: SIZE where offered, BODY and SMTPUTF8 where the mail needs them.
fn parameters(envelope: &Envelope, message: &[u8], offers: Offers) -> Result<String, Unfit> {
    let mut out = String::new();
    if let Some(limit) = offers.size {
        let octets = body::octets(message);
        // RFC 1870 4: a limit of 0 means that none is in force.
        if limit > 0 && octets > limit {
            return Err(Unfit::TooLarge { octets, limit });
        }
        out.push_str(&format!(" SIZE={octets}"));
    }
    let addresses = envelope.sender.address().into_iter().chain([&envelope.recipient]);
    // RFC 6531 3.4: for internationalised headers as well as for addresses.
    let internationalised =
        addresses.into_iter().any(EmailAddress::needs_smtputf8) || !body::header(message).is_ascii();
    if internationalised && !offers.smtputf8 {
        return Err(Unfit::Internationalised);
    }
    if !message.is_ascii() {
        if !offers.eight_bit {
            return Err(Unfit::EightBit);
        }
        out.push_str(" BODY=8BITMIME");
    }
    if internationalised {
        out.push_str(" SMTPUTF8");
    }
    Ok(out)
}
