//! A connection that is ready for MAIL, and the mails that go over it one after another.
//!
//! Drives an [`smtp::client`](crate::smtp::client) transaction: writes, reads, and keeps the deadline of each stage.
//!
//! Knows nothing of jobs, and how the connection was opened only by name. What always holds: a stage's deadline counts
//! from its beginning, so a peer that sends a byte now and then wins no time; a connection that broke is not used again.

use crate::clock::Clock;
use crate::model::{Reply, Span, Stage, Timestamp};
use crate::smtp::client::{After, Ending, Envelope, Offers, Step, Transaction, Upshot};
use std::future::poll_fn;
use std::pin::{Pin, pin};
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
/// Said of a transaction that the end of the daemon broke off.
const ENDED: &str = "the daemon stopped before the server answered";
/// How long we stay polite.
const QUIT: Span = Span::from_secs(5);

/// Both directions of a connection, plain or secured.
pub(super) trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

/// An open connection.
pub struct Session {
    wire: Box<dyn Wire>,
    clock: Clock,
    offers: Offers,
    server: String,
    tls: Option<String>,
    /// What may be done with it.
    state: After,
    sent: u32,
    /// When transactions are broken off, once that is known.
    end: watch::Receiver<Option<Timestamp>>,
}

impl Session {
    pub(super) fn new(wire: Box<dyn Wire>, clock: Clock, offers: Offers, server: String, tls: Option<String>) -> Self {
        Self { wire, clock, offers, server, tls, state: After::Ready, sent: 0, end: watch::channel(None).1 }
    }

    /// Takes from whom to hear when transactions are to be broken off.
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
        self.tls.as_deref()
    }

    /// Says how many transactions were opened on it.
    #[must_use]
    pub const fn sent(&self) -> u32 {
        self.sent
    }

    /// Says whether another mail may be tried on it: it did not break, and the other side has neither closed it nor said
    /// anything unasked meanwhile (such as 421 before it does).
    pub async fn is_usable(&mut self) -> bool {
        if self.state == After::Gone {
            return false;
        }
        let mut byte = [0];
        let heard = poll_fn(|context| {
            let mut buffer = ReadBuf::new(&mut byte);
            Poll::Ready(Pin::new(&mut self.wire).poll_read(context, &mut buffer).is_ready())
        });
        !heard.await
    }

    /// Sends one mail, unless its time is over; ends with what came of it.
    pub async fn deliver(&mut self, envelope: &Envelope, message: &[u8], give_up: Timestamp) -> Ending {
        let opened = Transaction::open(envelope, message, self.offers, give_up, self.clock.now());
        let (transaction, first) = match opened {
            Ok(opened) => opened,
            Err(ending) => return ending,
        };
        self.sent = self.sent.saturating_add(1);
        let ending = match self.reset().await {
            Ok(()) => self.drive(transaction, first).await,
            Err(why) => {
                let upshot = Upshot::Broken { stage: Stage::Mail, reply: Reply::none(&why) };
                Ending { upshot, after: After::Gone }
            }
        };
        self.state = ending.after;
        ending
    }

    /// Says goodbye, where the connection is still fit for it.
    pub async fn quit(mut self) {
        if self.state == After::Gone {
            return;
        }
        let goodbye = async {
            self.wire.write_all(b"QUIT\r\n").await?;
            self.wire.flush().await?;
            self.wire.read_u8().await?;
            self.wire.shutdown().await
        };
        if let Ok(Err(error)) = self.clock.within(self.clock.now().plus(QUIT), goodbye).await {
            tracing::debug!(server = %self.server, %error, "the connection ended before QUIT was answered");
        }
    }

    async fn drive(&mut self, mut transaction: Transaction<'_>, first: Vec<u8>) -> Ending {
        let mut step = Step::Write(first);
        let mut wait = Wait::begin(&transaction, self.clock.now());
        let mut ended = pin!(end_of(self.end.clone(), self.clock.clone()));
        loop {
            match step {
                Step::Over(ending) => return ending,
                Step::Write(bytes) => {
                    let written = tokio::select! {
                        biased;
                        written = self.write(&bytes) => written,
                        () = &mut ended => Err(ENDED.to_owned()),
                    };
                    if let Err(why) = written {
                        return transaction.on_silence(&why);
                    }
                }
                Step::Read => {}
            }
            wait = wait.follow(&transaction, self.clock.now());
            let heard = tokio::select! {
                biased;
                heard = self.read(wait.deadline) => heard,
                () = &mut ended => Err(ENDED.to_owned()),
            };
            step = match heard {
                Ok(bytes) => transaction.on_bytes(&bytes, self.clock.now()),
                Err(why) => Step::Over(transaction.on_break(&why)),
            };
        }
    }

    /// Takes the last transaction back where the server may still be in it (RFC 5321 4.1.1.5).
    async fn reset(&mut self) -> Result<(), String> {
        if self.state != After::Reset {
            return Ok(());
        }
        self.write(b"RSET\r\n").await?;
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

    async fn write(&mut self, bytes: &[u8]) -> Result<(), String> {
        let writing = async {
            self.wire.write_all(bytes).await?;
            self.wire.flush().await
        };
        match self.clock.within(self.clock.now().plus(WRITE), writing).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(format!("the connection was lost: {error}")),
            Err(late) => Err(format!("the server takes nothing: {late}")),
        }
    }

    async fn read(&mut self, deadline: Timestamp) -> Result<Vec<u8>, String> {
        let mut bytes = vec![0; 2_048];
        match self.clock.within(deadline, self.wire.read(&mut bytes)).await {
            Ok(Ok(0)) => Err("the server closed the connection".to_owned()),
            Ok(Ok(length)) => {
                bytes.truncate(length);
                Ok(bytes)
            }
            Ok(Err(error)) => Err(format!("the connection was lost: {error}")),
            Err(late) => Err(format!("the server does not answer: {late}")),
        }
    }
}

/// Waits until transactions are to be broken off.
async fn end_of(mut end: watch::Receiver<Option<Timestamp>>, clock: Clock) {
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
    fn begin(transaction: &Transaction<'_>, now: Timestamp) -> Self {
        let (stage, verdict) = (transaction.stage(), transaction.awaits_verdict());
        let allowed = match stage {
            _ if verdict => VERDICT,
            Stage::Data => DATA,
            _ => COMMAND,
        };
        Self { stage, verdict, deadline: now.plus(allowed) }
    }

    /// Begins anew where the transaction has gone on to another stage.
    fn follow(self, transaction: &Transaction<'_>, now: Timestamp) -> Self {
        if (self.stage, self.verdict) == (transaction.stage(), transaction.awaits_verdict()) {
            self
        } else {
            Self::begin(transaction, now)
        }
    }
}
