//! One mail between MAIL and the reply to its final dot.
//!
//! Knows nothing of bytes that come in: whole replies are told to it, in order, its own only. What always holds: a reply is
//! judged with the stage it belongs to; what follows a refused MAIL or RCPT is read but not judged; the mail is perhaps with
//! the server only once its final dot was written.

use super::{After, Ending, Letter, Offers, Step, Unfit, Upshot, body};
use crate::model::{EmailAddress, Reply, Stage, Timestamp};
use std::sync::Arc;

/// One mail on its way.
#[derive(Debug)]
pub(super) struct Transaction {
    letter: Arc<Letter>,
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
    /// The server waits for the body.
    Body,
    /// The reply to the final dot comes next, which ended this many octets.
    Dot(usize),
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

impl Transaction {
    /// Opens the transaction; gives it and the commands to write first.
    pub(super) fn open(letter: Arc<Letter>, offers: Offers, now: Timestamp) -> Result<(Self, Vec<u8>), Ending> {
        let ready = |upshot| Ending { upshot, after: After::Ready };
        if letter.give_up <= now {
            return Err(ready(Upshot::Expired));
        }
        let parameters = parameters(&letter, offers).map_err(|unfit| ready(Upshot::Unfit(unfit)))?;
        let sender = letter.envelope.sender.address().map(EmailAddress::to_wire).unwrap_or_default();
        let mut commands = vec![
            format!("MAIL FROM:<{sender}>{parameters}\r\n").into_bytes(),
            format!("RCPT TO:<{}>\r\n", letter.envelope.recipient.to_wire_as(letter.form)).into_bytes(),
            b"DATA\r\n".to_vec(),
        ];
        let first = if offers.pipelining { commands.drain(..).flatten().collect() } else { commands.remove(0) };
        commands.reverse();
        Ok((Self { letter, unsent: commands, state: State::Mail }, first))
    }

    /// Says what is being waited for.
    pub(super) const fn stage(&self) -> Stage {
        match self.state {
            State::Mail => Stage::Mail,
            State::Rcpt | State::Owed(Owed::Rcpt, _) => Stage::Rcpt,
            State::Data | State::Body | State::Dot(_) | State::Owed(Owed::Data | Owed::Dot, _) => Stage::Data,
        }
    }

    /// Says whether a final dot was written and its reply is being waited for.
    pub(super) const fn awaits_verdict(&self) -> bool {
        matches!(self.state, State::Dot(_) | State::Owed(Owed::Dot, _))
    }

    /// Says whether the server waits for the body.
    pub(super) const fn expects_body(&self) -> bool {
        matches!(self.state, State::Body)
    }

    /// Gives the body with its final dot, from which moment on the server may have the mail; nothing once its time is over.
    pub(super) fn body(&mut self, now: Timestamp) -> Option<Vec<u8>> {
        if self.letter.give_up <= now {
            return None;
        }
        let octets = body::stuffed(&self.letter.message);
        self.state = State::Dot(octets.len());
        Some(octets)
    }

    /// Ends the transaction because no reply will come.
    pub(super) fn on_break(self, why: &str) -> Ending {
        let stage = self.stage();
        let upshot = match self.state {
            State::Owed(_, upshot) => upshot,
            State::Dot(_) => Upshot::Unknown(Reply::none(why)),
            State::Mail | State::Rcpt | State::Data | State::Body => Upshot::Broken { stage, reply: Reply::none(why) },
        };
        Ending { upshot, after: After::Gone }
    }

    /// Ends the transaction because of what it gave to be written last no more than `written` octets went out.
    pub(super) fn on_silence(mut self, written: usize, why: &str) -> Ending {
        if matches!(self.state, State::Dot(end) if written < end) {
            // The server cannot have seen the end of the mail.
            self.state = State::Body;
        }
        self.on_break(why)
    }

    /// Takes the next reply.
    pub(super) fn on_reply(&mut self, reply: Reply) -> Step {
        match std::mem::replace(&mut self.state, State::Mail) {
            State::Mail => self.on_mail(reply),
            State::Rcpt => self.on_rcpt(reply),
            State::Data => self.on_data(reply),
            State::Body => broken(Stage::Data, &Kind::Nonsense, reply),
            State::Dot(_) => on_dot(reply),
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

    fn on_data(&mut self, reply: Reply) -> Step {
        match kind_of(&reply) {
            Kind::GoOn => {
                self.state = State::Body;
                Step::Body
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
fn parameters(letter: &Letter, offers: Offers) -> Result<String, Unfit> {
    let Letter { envelope, message, .. } = letter;
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
