//! The server's side of an SMTP session, as a state machine that is fed octets and answers.
//!
//! ```text
//!   Fresh -- EHLO, HELO --> Greeted -- MAIL --> Envelope -- RCPT --> Asking -- on_answer --> Envelope
//!                             ^  ^                 |  |
//!                             |  +-- RSET, EHLO ---+  +-- DATA, with a recipient --> Data -- its end --> Taking
//!                             +------------------------------- on_taken ---------------------------------+
//!   Greeted, Envelope -- STARTTLS --> Securing -- on_handshake --> Fresh, or back where it was not to be had
//!   any -- QUIT, a bare line end, an endless line, octets behind STARTTLS, too many errors --> Closed
//! ```
//!
//! STARTTLS (RFC 3207) is the last that is heard in plain. A client has to wait for our 220 before it shakes hands, so octets that
//! came with the command are none of its: somebody between us put them there, to have them obeyed as if they had been secured
//! (CVE-2011-0411). They are not passed over: the session is closed, which the client can see. Behind the handshake everything
//! begins anew, and nothing that was said in plain is known any more.
//!
//! Does not know which addresses are ours ([`Step::Ask`]), what becomes of a mail ([`Step::Take`]), how long anything takes or
//! who is connected. What always holds: a mail is handed over at most once, behind its true end; the client hears 250 only
//! after [`Session::on_taken`] was told so; what was heard in plain is forgotten behind a handshake; and one session holds at
//! most a command line, the recipients it may name and one message.

mod line;
mod reply;

use self::line::{Cut, Lines};
pub use self::reply::Reply;
use crate::model::{Domain, EmailAddress, MailId, Received, Timestamp, Via};
use crate::smtp::command::{self, Command, Hello, Mail, Rcpt, Recipient, Refusal};
use crate::smtp::data::{Dropped, Reader};
use std::net::IpAddr;
use std::sync::Arc;

/// What all sessions share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The name we greet with; `<postmaster>` is the postmaster of it.
    pub hostname: Domain,
    /// The largest message taken, in octets.
    pub max_message: usize,
    /// How many recipients a transaction may have; RFC 5321 4.5.3.1.8 asks for at least 100.
    pub max_recipients: usize,
    /// How many lines that are no command, or come out of order, end a session.
    pub max_mistakes: u32,
    /// How many recipients that are not ours end a session.
    pub max_refused: u32,
    /// Whether STARTTLS is offered.
    pub starttls: bool,
}

/// What the driver is to do next.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// All octets were used: bring more.
    More,
    /// Send this, and go on with the octets that are left.
    Say(Reply),
    /// Find out whether this recipient is ours, and call [`Session::on_answer`].
    Ask(EmailAddress),
    /// Bring this mail to safety, and call [`Session::on_taken`].
    Take(Received),
    /// Send this, shake hands, and call [`Session::on_handshake`]; all octets were used. Where there is no certificate to show,
    /// call it at once, and this is not sent.
    StartTls(Reply),
    /// Send this and close the connection.
    Close(Reply),
}

/// The answer to [`Step::Ask`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// One of our addresses.
    Ours,
    /// In a domain of ours, and nobody.
    Unknown,
    /// In a domain that is not ours.
    Foreign,
}

/// The answer to [`Step::Take`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// It is committed and flushed under this id.
    Queued(MailId),
    /// It is not, for now.
    NotStored,
}

/// The answer to [`Step::StartTls`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Handshake {
    /// It succeeded, with this version of TLS, as the mail log shows it.
    Done(String),
    /// It was not begun: for now there is no certificate to show.
    Unavailable,
}

/// What a session is in the middle of, for whoever sets its deadlines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Between transactions: nothing is lost if it ends.
    Idle,
    /// Between MAIL and DATA.
    Envelope,
    /// Between DATA and the reply to its end.
    Data,
}

/// One session.
#[derive(Debug)]
pub struct Session {
    settings: Arc<Settings>,
    peer: IpAddr,
    lines: Lines,
    state: State,
    /// The version of TLS, behind a handshake.
    tls: Option<String>,
    mistakes: u32,
    refused: u32,
}

#[derive(Debug)]
enum State {
    Listening(Listening),
    Asking(Envelope, EmailAddress),
    Data(Envelope, Reader),
    Taking(String),
    Securing(Listening),
    Closed,
}

/// The states in which a command may come.
#[derive(Debug)]
enum Listening {
    Fresh,
    Greeted(String),
    Envelope(Envelope),
}

#[derive(Debug)]
struct Envelope {
    helo: String,
    mail: Mail,
    recipients: Vec<EmailAddress>,
}

impl Session {
    /// Starts a session that has been greeted with [`Reply::Greeting`].
    #[must_use]
    pub fn new(settings: Arc<Settings>, peer: IpAddr) -> Self {
        let state = State::Listening(Listening::Fresh);
        Self { settings, peer, lines: Lines::default(), state, tls: None, mistakes: 0, refused: 0 }
    }

    /// Takes octets as they arrive. Gives how many were used and what to do; while an answer is awaited, none are used.
    pub fn on_bytes(&mut self, input: &[u8], now: Timestamp) -> (usize, Step) {
        match std::mem::replace(&mut self.state, State::Closed) {
            State::Listening(at) => self.on_commands(at, input),
            State::Data(envelope, reader) => self.on_data(envelope, reader, input, now),
            State::Asking(envelope, recipient) => {
                let question = Step::Ask(recipient.clone());
                self.state = State::Asking(envelope, recipient);
                (0, question)
            }
            State::Taking(helo) => {
                self.state = State::Taking(helo);
                (0, Step::More)
            }
            State::Securing(at) if input.is_empty() => {
                self.state = State::Securing(at);
                (0, Step::More)
            }
            State::Securing(_) => (input.len(), self.close(Reply::BehindStartTls)),
            State::Closed => (input.len(), Step::More),
        }
    }

    /// Takes the answer to [`Step::Ask`]; without a question it does nothing.
    pub fn on_answer(&mut self, answer: Answer) -> Step {
        let (mut envelope, recipient) = match std::mem::replace(&mut self.state, State::Closed) {
            State::Asking(envelope, recipient) => (envelope, recipient),
            other @ (State::Listening(_) | State::Data(..) | State::Taking(_) | State::Securing(_) | State::Closed) => {
                self.state = other;
                return Step::More;
            }
        };
        let reply = match answer {
            Answer::Ours => {
                envelope.recipients.push(recipient);
                Reply::Recipient
            }
            Answer::Unknown => self.refuse(Reply::NoSuchMailbox),
            Answer::Foreign => self.refuse(Reply::NoRelay),
        };
        self.say(Listening::Envelope(envelope), reply)
    }

    /// Takes the answer to [`Step::Take`]; without a question it does nothing.
    pub fn on_taken(&mut self, taken: Taken) -> Step {
        let helo = match std::mem::replace(&mut self.state, State::Closed) {
            State::Taking(helo) => helo,
            other
            @ (State::Listening(_) | State::Asking(..) | State::Data(..) | State::Securing(_) | State::Closed) => {
                self.state = other;
                return Step::More;
            }
        };
        let reply = match taken {
            Taken::Queued(id) => {
                (self.mistakes, self.refused) = (0, 0);
                Reply::Queued(id)
            }
            Taken::NotStored => Reply::NotStored,
        };
        self.say(Listening::Greeted(helo), reply)
    }

    /// Takes the answer to [`Step::StartTls`]; without a question it does nothing.
    pub fn on_handshake(&mut self, handshake: Handshake) -> Step {
        let at = match std::mem::replace(&mut self.state, State::Closed) {
            State::Securing(at) => at,
            other @ (State::Listening(_) | State::Asking(..) | State::Data(..) | State::Taking(_) | State::Closed) => {
                self.state = other;
                return Step::More;
            }
        };
        match handshake {
            // RFC 3207 4.2: what the client said before, its name too, is not to be known any more.
            Handshake::Done(version) => {
                self.lines = Lines::default();
                self.state = State::Listening(Listening::Fresh);
                self.tls = Some(version);
                Step::More
            }
            Handshake::Unavailable => self.say(at, Reply::NoTlsNow),
        }
    }

    /// Says what the session is in the middle of.
    #[must_use]
    pub const fn phase(&self) -> Phase {
        match &self.state {
            State::Listening(Listening::Envelope(_)) | State::Asking(..) => Phase::Envelope,
            State::Data(..) | State::Taking(_) => Phase::Data,
            State::Listening(Listening::Fresh | Listening::Greeted(_)) | State::Securing(_) | State::Closed => {
                Phase::Idle
            }
        }
    }

    /// Gives the memory a message under way takes, in octets.
    #[must_use]
    pub const fn held(&self) -> usize {
        match &self.state {
            State::Data(_, reader) => reader.held(),
            State::Listening(_) | State::Asking(..) | State::Taking(_) | State::Securing(_) | State::Closed => 0,
        }
    }

    /// Lets go of the message under way for want of memory; its end will be answered with a temporary refusal.
    pub fn shed(&mut self) {
        if let State::Data(_, reader) = &mut self.state {
            reader.shed();
        }
    }

    /// Goes on listening after this reply, unless there were too many errors.
    fn say(&mut self, at: Listening, reply: Reply) -> Step {
        if self.mistakes >= self.settings.max_mistakes || self.refused >= self.settings.max_refused {
            return self.close(Reply::TooManyErrors);
        }
        self.state = State::Listening(at);
        Step::Say(reply)
    }

    fn close(&mut self, reply: Reply) -> Step {
        self.state = State::Closed;
        Step::Close(reply)
    }

    /// Counts a line that was no command or came out of order.
    const fn mistake(&mut self, reply: Reply) -> Reply {
        self.mistakes += 1;
        reply
    }

    /// Counts a recipient that is not ours.
    const fn refuse(&mut self, reply: Reply) -> Reply {
        self.refused += 1;
        reply
    }

    fn on_commands(&mut self, at: Listening, input: &[u8]) -> (usize, Step) {
        let (used, cut) = self.lines.cut(input);
        let step = match cut {
            Cut::More => {
                self.state = State::Listening(at);
                Step::More
            }
            Cut::Line(line) => {
                let is_last = used == input.len();
                self.on_line(at, &line, is_last)
            }
            Cut::BareEnd => self.close(Reply::BareLineEnd),
            Cut::TooLong => self.close(Reply::LineTooLong),
        };
        (used, step)
    }

    /// Obeys a command; `is_last`: no octet has come behind it yet.
    fn on_line(&mut self, at: Listening, line: &[u8], is_last: bool) -> Step {
        let command = match command::parse(line) {
            Ok(command) => command,
            Err(refusal) => {
                let reply = self.mistake(words_for(refusal));
                return self.say(at, reply);
            }
        };
        match command {
            // RFC 5321 4.1.4: EHLO in mid-session is also RSET.
            Command::Hello(Hello { extended, name }) => {
                let starttls = self.settings.starttls && self.tls.is_none();
                let reply = if extended { Reply::Extensions { starttls } } else { Reply::Hello };
                self.say(Listening::Greeted(name), reply)
            }
            Command::Mail(mail) => self.on_mail(at, mail),
            Command::Rcpt(rcpt) => self.on_rcpt(at, rcpt),
            Command::Data => self.on_data_command(at),
            Command::StartTls => self.on_start_tls(at, is_last),
            Command::Rset => self.say(reset(at), Reply::Done),
            Command::Noop => self.say(at, Reply::Done),
            Command::Vrfy => self.say(at, Reply::CannotVerify),
            Command::Help => self.say(at, Reply::Help),
            Command::Quit => self.close(Reply::Bye),
        }
    }

    fn on_mail(&mut self, at: Listening, mail: Mail) -> Step {
        match at {
            Listening::Fresh => self.out_of_order(at, Reply::HelloFirst),
            Listening::Envelope(_) => self.out_of_order(at, Reply::NestedMail),
            // RFC 1870 6.1: refused before it is sent, where it announces too much.
            Listening::Greeted(_) if mail.size.is_some_and(|size| size > self.settings.max_message as u64) => {
                self.say(at, Reply::TooLarge)
            }
            Listening::Greeted(helo) => {
                self.say(Listening::Envelope(Envelope { helo, mail, recipients: Vec::new() }), Reply::Sender)
            }
        }
    }

    fn on_rcpt(&mut self, at: Listening, rcpt: Rcpt) -> Step {
        let envelope = match at {
            Listening::Fresh => return self.out_of_order(at, Reply::HelloFirst),
            Listening::Greeted(_) => return self.out_of_order(at, Reply::MailFirst),
            Listening::Envelope(envelope) => envelope,
        };
        if rcpt.utf8 && !envelope.mail.utf8 {
            let reply = self.mistake(Reply::NeedsUtf8);
            return self.say(Listening::Envelope(envelope), reply);
        }
        if envelope.recipients.len() >= self.settings.max_recipients {
            return self.say(Listening::Envelope(envelope), Reply::TooManyRecipients);
        }
        let Some(recipient) = self.whole(rcpt.to) else {
            return self.say(Listening::Envelope(envelope), Reply::BadRecipient);
        };
        if envelope.recipients.contains(&recipient) {
            return self.say(Listening::Envelope(envelope), Reply::Recipient);
        }
        let question = Step::Ask(recipient.clone());
        self.state = State::Asking(envelope, recipient);
        question
    }

    /// `<postmaster>` is ours, whoever we are (RFC 5321 4.5.1).
    fn whole(&self, to: Recipient) -> Option<EmailAddress> {
        match to {
            Recipient::Address(address) => Some(address),
            Recipient::Postmaster => EmailAddress::new("postmaster", self.settings.hostname.clone()).ok(),
        }
    }

    fn on_data_command(&mut self, at: Listening) -> Step {
        match at {
            Listening::Fresh => self.out_of_order(at, Reply::HelloFirst),
            Listening::Greeted(_) => self.out_of_order(at, Reply::MailFirst),
            // RFC 5321 3.3; a pipelining client sends DATA behind recipients that were all refused (RFC 2920 3.1).
            Listening::Envelope(envelope) if envelope.recipients.is_empty() => {
                self.say(Listening::Envelope(envelope), Reply::NoRecipients)
            }
            Listening::Envelope(envelope) => {
                let reader = Reader::new(self.settings.max_message, envelope.mail.size);
                self.state = State::Data(envelope, reader);
                Step::Say(Reply::Data)
            }
        }
    }

    fn on_start_tls(&mut self, at: Listening, is_last: bool) -> Step {
        if !self.settings.starttls {
            return self.out_of_order(at, Reply::NotOffered);
        }
        if self.tls.is_some() {
            return self.out_of_order(at, Reply::TlsAlready);
        }
        match at {
            Listening::Fresh => self.out_of_order(at, Reply::HelloFirst),
            Listening::Greeted(_) | Listening::Envelope(_) if !is_last => self.close(Reply::BehindStartTls),
            Listening::Greeted(_) | Listening::Envelope(_) => {
                self.state = State::Securing(at);
                Step::StartTls(Reply::StartTls)
            }
        }
    }

    fn out_of_order(&mut self, at: Listening, reply: Reply) -> Step {
        let reply = self.mistake(reply);
        self.say(at, reply)
    }

    fn on_data(&mut self, envelope: Envelope, mut reader: Reader, input: &[u8], now: Timestamp) -> (usize, Step) {
        let Some(used) = reader.read(input) else {
            self.state = State::Data(envelope, reader);
            return (input.len(), Step::More);
        };
        let step = match reader.finish() {
            Ok(message) => self.take(envelope, message, now),
            Err(Dropped::TooLarge) => self.say(Listening::Greeted(envelope.helo), Reply::TooLarge),
            Err(Dropped::NoRoom) => self.say(Listening::Greeted(envelope.helo), Reply::NoRoom),
        };
        (used, step)
    }

    fn take(&mut self, envelope: Envelope, message: Vec<u8>, now: Timestamp) -> Step {
        let Envelope { helo, mail: Mail { sender, .. }, recipients } = envelope;
        self.state = State::Taking(helo.clone());
        Step::Take(Received {
            via: Via::Smtp,
            peer: self.peer,
            tls: self.tls.clone(),
            helo,
            envelope_sender: sender,
            recipients,
            message,
            at: now,
        })
    }
}

/// Ends the transaction, if there is one.
fn reset(at: Listening) -> Listening {
    match at {
        Listening::Envelope(envelope) => Listening::Greeted(envelope.helo),
        Listening::Fresh | Listening::Greeted(_) => at,
    }
}

const fn words_for(refusal: Refusal) -> Reply {
    match refusal {
        Refusal::Unknown => Reply::Unknown,
        Refusal::NotOffered => Reply::NotOffered,
        Refusal::Arguments => Reply::Arguments,
        Refusal::Sender => Reply::BadSender,
        Refusal::Recipient => Reply::BadRecipient,
        Refusal::NeedsUtf8 => Reply::NeedsUtf8,
        Refusal::UnknownParameter => Reply::UnknownParameter,
        Refusal::Parameter => Reply::Parameter,
    }
}

#[cfg(test)]
mod tests;
