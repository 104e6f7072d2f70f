//! Opens connections: TCP, greeting, EHLO, STARTTLS, AUTH, each with a deadline of its own.
//!
//! The words are spoken by `mail-send`, one of its functions a phase, so that whatever goes wrong is known with its
//! [`Stage`]; the deadlines are ours.
//!
//! Knows nothing of jobs, of which server to take or why it must show what is demanded. What always holds: a password goes
//! only over a verified connection, or where TLS was switched off by the operator; a connection that does not meet the
//! demand is never handed out, nor is a word said on it after the handshake; where TLS is opportunistic a failing handshake
//! costs a second connection, not the mail (RFC 7435).

use super::demand::Demand;
use super::session::{Secured, Session};
use crate::clock::Clock;
use crate::config::Login;
use crate::model::{Reply, Span, Stage};
use crate::net::tls::{self, Chain, Connectors};
use crate::smtp::client::Offers;
use mail_send::{Credentials, Error, SmtpClient};
use smtp_proto::{
    AUTH_LOGIN, AUTH_PLAIN, EXT_8BIT_MIME, EXT_PIPELINING, EXT_SIZE, EXT_SMTP_UTF8, EXT_START_TLS, EhloResponse,
    Response,
};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

/// RFC 5321 names no time for this one; a host that is up answers within a round trip or two.
const CONNECT: Span = Span::from_secs(30);
/// RFC 5321 4.5.3.2.1.
const GREETING: Span = Span::from_secs(300);
/// Like MAIL (RFC 5321 4.5.3.2.2).
const COMMAND: Span = Span::from_secs(300);
/// STARTTLS, a command like others that asks for no work.
const STARTTLS: Span = Span::from_secs(120);
/// The handshake: two round trips, and some thought on a busy server.
const HANDSHAKE: Span = Span::from_secs(120);
/// The library's own clock, which must not strike before ours.
const NEVER: Duration = Duration::from_secs(86_400);

/// A server to be dialled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Its name, which its certificate is to bear.
    pub name: String,
    /// One of its addresses.
    pub address: SocketAddr,
}

/// `name[address]`, as the mail log shows it.
impl fmt::Display for Peer {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}[{}]", self.name, self.address.ip())
    }
}

/// Why a connection could not be opened: to what, and what was said (code 0 where nothing was).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// Where it ended.
    pub stage: Stage,
    /// What was said.
    pub reply: Reply,
}

impl Trouble {
    fn new(stage: Stage, reply: Reply) -> Self {
        Self { stage, reply }
    }

    fn none(stage: Stage, why: &str) -> Self {
        Self::new(stage, Reply::none(why))
    }
}

/// The addresses connections go out from, each in its turn. Clones share the turn.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    addresses: Vec<IpAddr>,
    turn: Arc<AtomicUsize>,
}

impl Sources {
    /// Takes the addresses; without any of a family the system chooses.
    #[must_use]
    pub fn new(addresses: Vec<IpAddr>) -> Self {
        Self { addresses, turn: Arc::default() }
    }

    fn next_for(&self, peer: IpAddr) -> Option<IpAddr> {
        let fitting = || self.addresses.iter().filter(|address| address.is_ipv4() == peer.is_ipv4());
        let count = fitting().count();
        let turn = self.turn.fetch_add(1, Ordering::Relaxed).checked_rem(count)?;
        fitting().nth(turn).copied()
    }
}

/// Opens connections, all in the same manner.
#[derive(Clone)]
pub struct Dialer {
    clock: Clock,
    /// Our name, said in EHLO.
    hostname: String,
    tls: Connectors,
    /// The addresses we come from.
    sources: Sources,
    login: Option<Login>,
}

/// What the server said to EHLO.
type Hello = EhloResponse<String>;

/// A connection that has been secured, or is not to be.
enum Shaken {
    Plain(SmtpClient<TcpStream>, Hello),
    Tls(Box<SmtpClient<TlsStream<TcpStream>>>, Chain),
}

impl Dialer {
    /// Takes the manner in which connections are opened; `login` is sent where the server is one that asks for it.
    #[must_use]
    pub const fn new(clock: Clock, hostname: String, tls: Connectors, sources: Sources, login: Option<Login>) -> Self {
        Self { clock, hostname, tls, sources, login }
    }

    /// Opens a connection that is ready for MAIL.
    ///
    /// # Errors
    /// The server is not to be reached, turned us away, or does not show what is demanded.
    pub async fn open(&self, peer: &Peer, demand: &Demand) -> Result<Session, Trouble> {
        match Box::pin(self.open_as(peer, demand, demand)).await {
            Err(trouble) if trouble.stage == Stage::StartTls && !demand.insists() => {
                tracing::warn!(server = %peer.name, why = %trouble.reply, "TLS failed, the mail goes in plain text");
                Box::pin(self.open_as(peer, &Demand::Plain, demand)).await
            }
            opened => opened,
        }
    }

    /// Says whether a connection that is open would have been handed out for this demand.
    #[must_use]
    pub fn meets(&self, session: &Session, peer: &Peer, demand: &Demand) -> bool {
        demand.is_met_by(session.shown(), &peer.name, &self.tls.authorities, self.clock.now()).is_ok()
    }

    /// Opens it by what is demanded of the connection; whether a password may be sent follows from what was at first.
    async fn open_as(&self, peer: &Peer, demand: &Demand, at_first: &Demand) -> Result<Session, Trouble> {
        let mut client = self.connect(peer).await?;
        self.greeting(&mut client).await?;
        let hello = self.hello(&mut client).await?;
        match self.secure(client, hello, peer, demand).await? {
            Shaken::Plain(mut client, hello) => {
                self.log_in(&mut client, &hello, at_first).await?;
                Ok(self.session(client.stream, &hello, peer, None))
            }
            Shaken::Tls(mut client, shown) => {
                // RFC 3207 4.2: what was offered before TLS counts for nothing.
                let hello = self.hello(&mut *client).await?;
                self.log_in(&mut *client, &hello, at_first).await?;
                let secured = Secured { version: tls::version(client.stream.get_ref().1), shown };
                Ok(self.session(client.stream, &hello, peer, Some(secured)))
            }
        }
    }

    async fn connect(&self, peer: &Peer) -> Result<SmtpClient<TcpStream>, Trouble> {
        let client = match self.sources.next_for(peer.address.ip()) {
            None => self.phase(Stage::Connect, CONNECT, SmtpClient::connect(peer.address, NEVER)).await?,
            Some(source) => {
                let connecting = SmtpClient::connect_using(source, peer.address, NEVER);
                self.phase(Stage::Connect, CONNECT, connecting).await?
            }
        };
        // Commands are short and wait for answers: Nagle's algorithm would hold each back for the one before.
        client.stream.set_nodelay(true).map_err(|error| Trouble::none(Stage::Connect, &error.to_string()))?;
        Ok(client)
    }

    async fn greeting(&self, client: &mut SmtpClient<TcpStream>) -> Result<(), Trouble> {
        let reply = reply_of(&self.phase(Stage::Greeting, GREETING, client.read()).await?);
        if reply.code == 220 { Ok(()) } else { Err(Trouble::new(Stage::Greeting, reply)) }
    }

    async fn hello<T: AsyncRead + AsyncWrite + Unpin>(&self, client: &mut SmtpClient<T>) -> Result<Hello, Trouble> {
        match self.phase(Stage::Ehlo, COMMAND, client.ehlo(&self.hostname)).await {
            // RFC 5321 3.2: a server that does not know EHLO may know HELO.
            Err(Trouble { reply, .. }) if matches!(reply.code, 500..=504) => {
                let command = format!("HELO {}\r\n", self.hostname);
                let reply = reply_of(&self.phase(Stage::Ehlo, COMMAND, client.cmd(command)).await?);
                if reply.code == 250 { Ok(Hello::default()) } else { Err(Trouble::new(Stage::Ehlo, reply)) }
            }
            answered => answered,
        }
    }

    async fn secure(
        &self,
        mut client: SmtpClient<TcpStream>,
        hello: Hello,
        peer: &Peer,
        demand: &Demand,
    ) -> Result<Shaken, Trouble> {
        if !demand.takes_tls() || !hello.has_capability(EXT_START_TLS) {
            self.judge(None, peer, demand)?;
            return Ok(Shaken::Plain(client, hello));
        }
        let reply = reply_of(&self.phase(Stage::StartTls, STARTTLS, client.cmd(b"STARTTLS\r\n")).await?);
        if reply.code != 220 {
            return Err(Trouble::new(Stage::StartTls, reply));
        }
        let shaking = Box::pin(client.into_tls(&self.tls.any, &peer.name));
        let client = self.phase(Stage::StartTls, HANDSHAKE, shaking).await?;
        let shown = Chain::shown_on(client.stream.get_ref().1);
        self.judge(Some(&shown), peer, demand)?;
        Ok(Shaken::Tls(Box::new(client), shown))
    }

    fn judge(&self, shown: Option<&Chain>, peer: &Peer, demand: &Demand) -> Result<(), Trouble> {
        demand
            .is_met_by(shown, &peer.name, &self.tls.authorities, self.clock.now())
            .map_err(|unmet| Trouble::none(Stage::StartTls, &unmet.to_string()))
    }

    async fn log_in<T: AsyncRead + AsyncWrite + Unpin>(
        &self,
        client: &mut SmtpClient<T>,
        hello: &Hello,
        demand: &Demand,
    ) -> Result<(), Trouble> {
        // Opportunistic TLS keeps no password from who answers in the server's place.
        let Some(login) = self.login.as_ref().filter(|_| demand.lets_log_in()) else {
            return Ok(());
        };
        // Of what the library may choose from only these two are built in; another would be begun and not finished.
        let known = Hello { auth_mechanisms: hello.auth_mechanisms & (AUTH_PLAIN | AUTH_LOGIN), ..hello.clone() };
        let credentials = Credentials::new(login.user.as_str(), login.password.reveal().as_str());
        self.phase(Stage::Auth, COMMAND, Box::pin(client.authenticate(&credentials, &known))).await.map(drop)
    }

    fn session<T>(&self, stream: T, hello: &Hello, peer: &Peer, tls: Option<Secured>) -> Session
    where
        T: AsyncRead + AsyncWrite + Send + Sync + Unpin + 'static,
    {
        Session::new(Box::new(stream), self.clock.clone(), offers_of(hello), peer.to_string(), tls)
    }

    async fn phase<T>(
        &self,
        stage: Stage,
        allowed: Span,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Trouble> {
        settled(stage, self.clock.within(self.clock.now().plus(allowed), work).await)
    }
}

/// Names the stage at which a phase failed, by its deadline or otherwise.
fn settled<T>(stage: Stage, phase: Result<Result<T, Error>, crate::clock::TooLate>) -> Result<T, Trouble> {
    match phase {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(Error::UnexpectedReply(reply) | Error::AuthenticationFailed(reply))) => {
            Err(Trouble::new(stage, reply_of(&reply)))
        }
        Ok(Err(Error::UnparseableReply)) => {
            Err(Trouble::none(stage, "the connection was closed, or what came was no reply"))
        }
        Ok(Err(error)) => Err(Trouble::none(stage, &error.to_string())),
        Err(late) => Err(Trouble::none(stage, &late.to_string())),
    }
}

fn reply_of(response: &Response<String>) -> Reply {
    let [class, subject, detail] = response.esc;
    let text = response.message.trim();
    if class == 0 {
        Reply::new(response.code, text)
    } else {
        Reply::new(response.code, &format!("{class}.{subject}.{detail} {text}"))
    }
}

fn offers_of(hello: &Hello) -> Offers {
    Offers {
        pipelining: hello.has_capability(EXT_PIPELINING),
        size: hello.has_capability(EXT_SIZE).then_some(hello.size as u64),
        eight_bit: hello.has_capability(EXT_8BIT_MIME),
        smtputf8: hello.has_capability(EXT_SMTP_UTF8),
    }
}
