//! A connection that is ready for MAIL, and the mails that go over it one after another.
//!
//! Drives an [`smtp::client`](crate::smtp::client) conversation: writes, reads, and keeps the deadline of each stage. A mail
//! goes in steps, so that its owner can do something meanwhile and decide when its body is written: [`Session::begin`],
//! [`Session::ready`], [`Session::body`], [`Session::verdict`]; where the commands of another went ahead behind the body,
//! that one goes on with `ready`.
//!
//! Knows nothing of jobs, and how the connection was opened only by name. What always holds: a stage's deadline counts
//! from its beginning, so a peer that sends a byte now and then wins no time; whatever happens, a mail has an end within
//! `MAIL`; a connection that broke is not used again.

use crate::clock::Clock;
use crate::model::{LocalForm, Span, Stage, Timestamp};
use crate::net::tls::Chain;
use crate::smtp::client::{After, Conversation, Ending, Envelope, Letter, NotAhead, Offers, Step};
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::sync::watch;

/// RFC 5321 4.5.3.2.2 and 4.5.3.2.3: MAIL and RCPT.
const COMMAND: Span = Span::from_secs(300);
/// RFC 5321 4.5.3.2.4: from DATA to 354.
const DATA: Span = Span::from_secs(120);
/// RFC 5321 4.5.3.2.5: until what we write has been taken.
const WRITE: Span = Span::from_secs(180);
/// RFC 5321 4.5.3.2.6: from the final dot to its reply; giving up earlier would make duplicates.
const VERDICT: Span = Span::from_secs(600);
/// All that one mail may take once it is its turn: MAIL, RCPT, DATA, body and verdict at their slowest.
const MAIL: Span = Span::from_secs(1_500);
/// Said of a mail that the end of the daemon broke off.
const ENDED: &str = "the daemon stopped before the server answered";
/// Said of a mail that kept every deadline and came to no end.
const WEDGED: &str = "the mail took too long";
/// How long we stay polite.
const QUIT: Span = Span::from_secs(5);
/// How much is read at a time.
const PIECE: usize = 2_048;

/// Both directions of a connection, plain or secured.
pub(super) trait Wire: AsyncRead + AsyncWrite + Send + Sync + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Sync + Unpin> Wire for T {}

/// How a connection is secured.
pub(super) struct Secured {
    /// The TLS version, as the mail log shows it.
    pub(super) version: String,
    /// The certificates the server showed.
    pub(super) shown: Chain,
}

/// An open connection.
pub struct Session {
    wire: Box<dyn Wire>,
    clock: Clock,
    talk: Conversation,
    server: String,
    tls: Option<Secured>,
    /// What may be done with it.
    state: After,
    sent: u32,
    wait: Wait,
    /// When the mail under way is broken off, whatever it is doing.
    mail_ends: Timestamp,
    /// When all mails are, once that is known.
    end: watch::Receiver<Option<Timestamp>>,
}

impl Session {
    pub(super) fn new(wire: Box<dyn Wire>, clock: Clock, offers: Offers, server: String, tls: Option<Secured>) -> Self {
        let now = clock.now();
        let talk = Conversation::new(offers);
        let wait = Wait::begin(&talk, now);
        let end = watch::channel(None).1;
        Self { wire, clock, talk, server, tls, state: After::Ready, sent: 0, wait, mail_ends: now.plus(MAIL), end }
    }

    /// Takes from whom to hear when mails are to be broken off.
    pub(super) fn ends_with(&mut self, end: watch::Receiver<Option<Timestamp>>) {
        self.end = end;
    }

    /// Gives the server's name and address, `name[address]`.
    #[must_use]
    pub fn server(&self) -> &str {
        &self.server
    }

    /// Gives the server's name alone.
    #[must_use]
    pub fn host(&self) -> &str {
        self.server.split_once('[').map_or(self.server.as_str(), |(name, _)| name)
    }

    /// Gives the TLS version, or nothing for plain text.
    #[must_use]
    pub fn tls(&self) -> Option<&str> {
        self.tls.as_ref().map(|secured| secured.version.as_str())
    }

    /// Gives the certificates the server showed, or nothing for plain text.
    #[must_use]
    pub fn shown(&self) -> Option<&Chain> {
        self.tls.as_ref().map(|secured| &secured.shown)
    }

    /// Says how many mails were begun on it.
    #[must_use]
    pub const fn sent(&self) -> u32 {
        self.sent
    }

    /// Says whether another mail may be tried on it: it did not break, and the other side has neither closed it nor said
    /// anything unasked meanwhile (such as 421 before it does).
    pub async fn is_usable(&mut self) -> bool {
        self.state != After::Gone && self.listen().await.is_none()
    }

    /// Sends one mail, with none behind it; ends with what came of it.
    pub async fn deliver(&mut self, envelope: &Envelope, message: &[u8], give_up: Timestamp) -> Ending {
        let letter = Letter { envelope: envelope.clone(), form: LocalForm::Quoted, message: message.to_vec(), give_up };
        let sent = async {
            self.begin(&Arc::new(letter)).await?;
            self.ready().await?;
            self.body().await
        };
        match sent.await {
            Ok(()) => self.verdict().await,
            Err(ending) => ending,
        }
    }

    /// Begins a mail, unless its time is over.
    ///
    /// # Errors
    /// The mail is over already: how it ended.
    pub async fn begin(&mut self, letter: &Arc<Letter>) -> Result<(), Ending> {
        let now = self.clock.now();
        let first = self.talk.begin(Arc::clone(letter), now)?;
        self.sent = self.sent.saturating_add(1);
        self.mail_ends = now.plus(MAIL);
        self.reset().await?;
        self.wait = Wait::begin(&self.talk, self.clock.now());
        self.write(&first).await.map_err(|ending| self.ended(ending))
    }

    /// Waits until the server is ready for the body of the mail under way.
    ///
    /// # Errors
    /// The mail is over: how it ended.
    pub async fn ready(&mut self) -> Result<(), Ending> {
        self.follow().await.map_or(Ok(()), |ending| Err(self.ended(ending)))
    }

    /// Says whether the server takes the commands of another mail right behind a body.
    #[must_use]
    pub const fn sends_ahead(&self) -> bool {
        self.talk.sends_ahead()
    }

    /// Lets the commands of another mail go right behind the body that is to be written next.
    ///
    /// # Errors
    /// They do not go ahead.
    pub fn ahead(&mut self, letter: &Arc<Letter>) -> Result<(), NotAhead> {
        self.talk.ahead(Arc::clone(letter), self.clock.now())?;
        self.sent = self.sent.saturating_add(1);
        Ok(())
    }

    /// Writes the body, and what goes ahead behind it.
    ///
    /// # Errors
    /// The mail is over: how it ended.
    pub async fn body(&mut self) -> Result<(), Ending> {
        let written = match self.held_back().await {
            Ok(octets) => self.write(&octets).await,
            Err(ending) => Err(ending),
        };
        written.map_err(|ending| self.ended(ending))
    }

    /// Waits for what the server says to the final dot.
    pub async fn verdict(&mut self) -> Ending {
        let ending = self.follow().await.unwrap_or_else(|| self.talk.on_break("its body was not written"));
        self.ended(ending)
    }

    /// Says goodbye, where the connection is still fit for it, and waits until the server has closed its side, so that it
    /// does not count this connection beside the next one.
    pub async fn quit(mut self) {
        if self.state == After::Gone {
            return;
        }
        let goodbye = async {
            self.wire.write_all(b"QUIT\r\n").await?;
            self.wire.flush().await?;
            let mut bytes = [0; 512];
            while self.wire.read(&mut bytes).await? > 0 {}
            self.wire.shutdown().await
        };
        if let Ok(Err(error)) = self.clock.within(self.clock.now().plus(QUIT), goodbye).await {
            tracing::debug!(server = %self.server, %error, "the connection ended before QUIT was answered");
        }
    }

    /// Notes what may be done with the connection; a mail that went ahead is the one under way from here.
    fn ended(&mut self, ending: Ending) -> Ending {
        self.state = ending.after;
        self.mail_ends = self.clock.now().plus(MAIL);
        ending
    }

    /// Gives what is to be written, unless the server has lost its patience while it was held back, or we have.
    async fn held_back(&mut self) -> Result<Vec<u8>, Ending> {
        match self.listen().await {
            None => {}
            Some(Ok(bytes)) => self.talk.on_bytes(&bytes),
            Some(Err(why)) => return Err(self.talk.on_break(&why)),
        }
        let now = self.clock.now();
        match *self.end.borrow() {
            Some(end) if end <= now => Err(self.talk.on_break(ENDED)),
            _ if self.mail_ends <= now => Err(self.talk.on_break(WEDGED)),
            _ => self.talk.body(now),
        }
    }

    /// Follows the conversation until the server waits for a body (nothing), or the mail under way is over.
    async fn follow(&mut self) -> Option<Ending> {
        loop {
            match self.talk.step() {
                Step::Body => return None,
                Step::Over(ending) => return Some(ending),
                Step::Write(bytes) => {
                    if let Err(ending) = self.write(&bytes).await {
                        return Some(ending);
                    }
                }
                Step::Read => {
                    self.wait = self.wait.follow(&self.talk, self.clock.now());
                    if let Err(why) = self.hear().await {
                        return Some(self.talk.on_break(&why));
                    }
                }
            }
        }
    }

    /// Takes the last mail back where the server may still be in it (RFC 5321 4.1.1.5).
    async fn reset(&mut self) -> Result<(), Ending> {
        if self.state != After::Reset {
            return Ok(());
        }
        let reset = match self.write(b"RSET\r\n").await {
            Ok(()) => self.reset_reply().await,
            Err(ending) => return Err(self.ended(ending)),
        };
        reset.map_err(|why| {
            let ending = self.talk.on_break(&why);
            self.ended(ending)
        })
    }

    async fn reset_reply(&mut self) -> Result<(), String> {
        let deadline = self.clock.now().plus(COMMAND);
        let mut heard = Vec::new();
        while !heard.ends_with(b"\n") {
            heard.extend(self.read(deadline).await?);
            if heard.len() > 4_096 {
                return Err("the reply to RSET does not end".to_owned());
            }
        }
        if heard.starts_with(b"250") { Ok(()) } else { Err("the server refused RSET".to_owned()) }
    }

    /// Takes what is there to be read, without waiting; nothing where the other side keeps quiet.
    async fn listen(&mut self) -> Option<Result<Vec<u8>, String>> {
        let mut bytes = vec![0; PIECE];
        let mut buffer = ReadBuf::new(&mut bytes);
        let heard = poll_fn(|context| {
            Poll::Ready(match Pin::new(&mut self.wire).poll_read(context, &mut buffer) {
                Poll::Ready(heard) => Some(heard),
                Poll::Pending => None,
            })
        });
        let heard = heard.await?;
        let length = buffer.filled().len();
        Some(heard_of(heard.map(|()| length), bytes))
    }

    /// Waits for the next bytes and tells them to the conversation.
    async fn hear(&mut self) -> Result<(), String> {
        let bytes = self.read(self.wait.deadline).await?;
        self.talk.on_bytes(&bytes);
        Ok(())
    }

    async fn read(&mut self, deadline: Timestamp) -> Result<Vec<u8>, String> {
        let mut bytes = vec![0; PIECE];
        let bounds = self.bounds(deadline);
        let heard = bounds.keep("the server does not answer", self.wire.read(&mut bytes)).await?;
        heard_of(heard, bytes)
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), Ending> {
        let mut written = 0;
        let bounds = self.bounds(self.clock.now().plus(WRITE));
        let writing = write_all(&mut self.wire, bytes, &mut written);
        let why = match bounds.keep("the server takes nothing", writing).await {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(error)) => format!("the connection was lost: {error}"),
            Err(why) => why,
        };
        Err(self.talk.on_silence(written, &why))
    }

    fn bounds(&self, deadline: Timestamp) -> Bounds {
        Bounds { clock: self.clock.clone(), deadline, mail_ends: self.mail_ends, end: self.end.clone() }
    }
}

/// Writes all bytes, counting those that went out whatever becomes of the rest.
async fn write_all(wire: &mut Box<dyn Wire>, bytes: &[u8], written: &mut usize) -> io::Result<()> {
    while let Some(rest) = bytes.get(*written..).filter(|rest| !rest.is_empty()) {
        match wire.write(rest).await? {
            0 => return Err(io::ErrorKind::WriteZero.into()),
            length => *written += length,
        }
    }
    wire.flush().await
}

fn heard_of(heard: io::Result<usize>, mut bytes: Vec<u8>) -> Result<Vec<u8>, String> {
    match heard {
        Ok(0) => Err("the server closed the connection".to_owned()),
        Ok(length) => {
            bytes.truncate(length);
            Ok(bytes)
        }
        Err(error) => Err(format!("the connection was lost: {error}")),
    }
}

/// How long something may take.
struct Bounds {
    clock: Clock,
    deadline: Timestamp,
    mail_ends: Timestamp,
    end: watch::Receiver<Option<Timestamp>>,
}

impl Bounds {
    /// Waits for `work`; says what cut it short.
    async fn keep<T>(self, late: &str, work: impl Future<Output = T>) -> Result<T, String> {
        tokio::select! {
            biased;
            done = self.clock.within(self.deadline, work) => done.map_err(|why| format!("{late}: {why}")),
            () = self.clock.sleep_until(self.mail_ends) => Err(WEDGED.to_owned()),
            () = end_of(self.end, &self.clock) => Err(ENDED.to_owned()),
        }
    }
}

/// Waits until mails are to be broken off.
async fn end_of(mut end: watch::Receiver<Option<Timestamp>>, clock: &Clock) {
    let known = end.wait_for(Option::is_some).await.ok().and_then(|at| *at);
    match known {
        Some(at) => clock.sleep_until(at).await,
        // Nobody is left to say so.
        None => std::future::pending().await,
    }
}

/// What is being waited for, and until when.
#[derive(Clone, Copy)]
struct Wait {
    stage: Stage,
    verdict: bool,
    deadline: Timestamp,
}

impl Wait {
    fn begin(talk: &Conversation, now: Timestamp) -> Self {
        let (stage, verdict) = (talk.stage(), talk.awaits_verdict());
        let allowed = match stage {
            _ if verdict => VERDICT,
            Stage::Data => DATA,
            _ => COMMAND,
        };
        Self { stage, verdict, deadline: now.plus(allowed) }
    }

    /// Begins anew where the conversation has gone on to another stage.
    fn follow(self, talk: &Conversation, now: Timestamp) -> Self {
        if (self.stage, self.verdict) == (talk.stage(), talk.awaits_verdict()) { self } else { Self::begin(talk, now) }
    }
}
