//! A mail server of the test's own: says what a script says, stage by stage and attempt by attempt, and remembers every
//! command and every byte.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;

/// What the server does at a stage.
#[derive(Debug, Clone)]
pub enum Act {
    /// Says this line, or these (CRLF is added at the end).
    Say(&'static str),
    /// Says this and closes.
    Leave(&'static str),
    /// Closes without a word.
    Close,
    /// Says nothing, ever.
    Hang,
    /// Says this once told to.
    When(Arc<Notify>, &'static str),
    /// Says this and closes once told to.
    LeaveWhen(Arc<Notify>, &'static str),
}

/// A mail that came in whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mail {
    /// Which connection it came by, from 1.
    pub connection: usize,
    pub tls: bool,
    /// The command lines as they came.
    pub mail: String,
    pub rcpt: String,
    /// The bytes behind 354, the final dot included.
    pub wire: Vec<u8>,
    /// The message, dots unstuffed.
    pub message: Vec<u8>,
}

impl Mail {
    fn recipient(&self) -> &str {
        self.rcpt.strip_prefix("RCPT TO:<").and_then(|rest| rest.strip_suffix('>')).unwrap()
    }
}

/// How the server is set up.
pub struct Setup {
    /// The lines of EHLO behind the first.
    pub offers: Vec<&'static str>,
    /// What is done at a stage, one act an occasion; then the usual answer.
    pub script: HashMap<&'static str, VecDeque<Act>>,
    pub tls: Option<TlsAcceptor>,
    /// How far away the server is: each reply leaves so long after its command came in. In real time, so for measurements.
    pub round_trip: Duration,
}

impl Default for Setup {
    fn default() -> Self {
        let offers = vec!["PIPELINING", "SIZE 1000000", "8BITMIME", "SMTPUTF8"];
        Self { offers, script: HashMap::new(), tls: None, round_trip: Duration::ZERO }
    }
}

impl Setup {
    pub fn plain() -> Self {
        Self { offers: Vec::new(), ..Self::default() }
    }

    pub fn at(mut self, stage: &'static str, acts: impl IntoIterator<Item = Act>) -> Self {
        self.script.entry(stage).or_default().extend(acts);
        self
    }

    pub fn says(self, stage: &'static str, lines: impl IntoIterator<Item = &'static str>) -> Self {
        self.at(stage, lines.into_iter().map(Act::Say))
    }

    /// Offers STARTTLS with a certificate for `name`; gives the certificate in PEM beside it.
    pub fn secured(mut self, name: &str) -> (Self, String) {
        let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
        let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
        self.tls = Some(TlsAcceptor::from(Arc::new(config)));
        self.offers.push("STARTTLS");
        (self, made.cert.pem())
    }
}

pub struct Peer {
    pub address: SocketAddr,
    state: Arc<State>,
    _task: JoinSet<()>,
}

struct State {
    setup: Mutex<Setup>,
    seen: watch::Sender<Seen>,
}

/// What the server saw.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    pub connections: usize,
    /// Connections that are open now, and the most there were at a time.
    pub open: usize,
    pub most: usize,
    /// Every command line as `CONNECTION LINE`; the end of a message is `.`, the end of a connection `closed`.
    pub lines: Vec<String>,
    /// What came in at a time, as `CONNECTION BYTES`: commands written together come in together.
    pub pieces: Vec<String>,
    pub mails: Vec<Mail>,
}

impl Seen {
    /// To whom mails came in, in order.
    pub fn recipients(&self) -> Vec<&str> {
        self.mails.iter().map(Mail::recipient).collect()
    }

    pub fn messages(&self) -> Vec<&[u8]> {
        self.mails.iter().map(|mail| mail.message.as_slice()).collect()
    }
}

/// Waits for what has to happen, and gives up long after it should have: a test that fails says so rather than hangs.
pub async fn patiently<T>(event: impl Future<Output = T>) -> Option<T> {
    tokio::time::timeout(Duration::from_secs(60), event).await.ok()
}

/// Gives `127.a.b.` of a network that no other test of this process has.
pub fn network() -> String {
    static NEXT: AtomicU16 = AtomicU16::new(1);
    let [low, high] = NEXT.fetch_add(1, Ordering::Relaxed).to_le_bytes();
    format!("127.{}.{}.", 100 + (std::process::id() % 100) + u32::from(high), low)
}

impl Peer {
    /// Listens on any port of `127.0.0.1`.
    pub async fn start(setup: Setup) -> Self {
        Self::listen("127.0.0.1:0".parse().unwrap(), setup).await
    }

    pub async fn listen(address: SocketAddr, setup: Setup) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State { setup: Mutex::new(setup), seen: watch::Sender::default() });
        let mut task = JoinSet::new();
        task.spawn(accept(listener, state.clone()));
        Self { address, state, _task: task }
    }

    pub fn seen(&self) -> Seen {
        self.state.seen.borrow().clone()
    }

    /// Adds to what is done at a stage.
    pub fn says(&self, stage: &'static str, acts: impl IntoIterator<Item = Act>) {
        self.state.setup.lock().unwrap().script.entry(stage).or_default().extend(acts);
    }

    /// Offers other extensions from the next EHLO on.
    pub fn offers(&self, offers: &[&'static str]) {
        self.state.setup.lock().unwrap().offers = offers.to_vec();
    }

    /// Waits until what was seen satisfies `enough`.
    pub async fn wait_for(&self, enough: impl FnMut(&Seen) -> bool) -> Seen {
        let mut seen = self.state.seen.subscribe();
        let found = seen.wait_for(enough);
        patiently(async { found.await.unwrap().clone() })
            .await
            .unwrap_or_else(|| panic!("only this: {:?} {:?}", self.seen().lines, self.seen().recipients()))
    }

    /// Waits until a line has been seen on connection `number`.
    pub async fn wait_for_line(&self, number: usize, line: &str) {
        let line = format!("{number} {line}");
        self.wait_for(|seen| seen.lines.iter().any(|one| one.starts_with(&line))).await;
    }
}

async fn accept(listener: TcpListener, state: Arc<State>) {
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        stream.set_nodelay(true).unwrap();
        let mut number = 0;
        state.seen.send_modify(|seen| {
            seen.connections += 1;
            seen.open += 1;
            seen.most = seen.most.max(seen.open);
            number = seen.connections;
        });
        let state = state.clone();
        connections.spawn(async move {
            serve(stream, number, &state).await;
            state.seen.send_modify(|seen| {
                seen.open -= 1;
                seen.lines.push(format!("{number} closed"));
            });
        });
    }
}

async fn serve(stream: TcpStream, number: usize, state: &Arc<State>) {
    let mut plain = Talk::new(stream, number, false, state);
    let Some(()) = plain.act("greeting", "220 peer.example ESMTP").await else { return };
    let Some(()) = plain.commands().await else { return };
    let acceptor = state.setup.lock().unwrap().tls.clone().unwrap();
    if let Ok(stream) = acceptor.accept(plain.stream).await {
        let mut secured = Talk::new(stream, number, true, state);
        assert!(secured.commands().await.is_none());
    }
}

struct Talk<S> {
    stream: S,
    number: usize,
    tls: bool,
    state: Arc<State>,
    buffer: Vec<u8>,
    /// When the last bytes came in.
    arrived: Instant,
    /// Replies on their way, with the moment they leave.
    replies: VecDeque<(Instant, Vec<u8>)>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Talk<S> {
    fn new(stream: S, number: usize, tls: bool, state: &Arc<State>) -> Self {
        let (buffer, replies) = (Vec::new(), VecDeque::new());
        Self { stream, number, tls, state: state.clone(), buffer, arrived: Instant::now(), replies }
    }

    /// Answers commands; comes back with something when TLS is to begin.
    async fn commands(&mut self) -> Option<()> {
        let (mut mail, mut rcpt) = (String::new(), String::new());
        loop {
            let line = self.line().await?;
            let verb = line.split([' ', ':']).next().unwrap().to_ascii_uppercase();
            match verb.as_str() {
                "EHLO" => {
                    let hello = self.hello();
                    self.act("ehlo", &hello).await?;
                }
                "HELO" => self.act("helo", "250 peer.example").await?,
                "STARTTLS" => {
                    if self.act("starttls", "220 go ahead").await.is_some_and(|()| true) {
                        return Some(());
                    }
                    return None;
                }
                "AUTH" => self.act("auth", "235 welcome").await?,
                "MAIL" => {
                    mail = line;
                    self.act("mail", "250 2.1.0 sender ok").await?;
                }
                "RCPT" => {
                    rcpt = line;
                    self.act("rcpt", "250 2.1.5 recipient ok").await?;
                }
                "DATA" => {
                    if self.acted("data", "354 go ahead").await? {
                        let (wire, message) = self.body().await?;
                        let mail = Mail {
                            connection: self.number,
                            tls: self.tls,
                            mail: std::mem::take(&mut mail),
                            rcpt: std::mem::take(&mut rcpt),
                            wire,
                            message,
                        };
                        self.state.seen.send_modify(|seen| seen.mails.push(mail));
                        self.act("dot", "250 2.0.0 taken").await?;
                    }
                }
                "RSET" => self.act("rset", "250 2.0.0 forgotten").await?,
                "QUIT" => {
                    self.act("quit", "221 2.0.0 bye").await?;
                    return self.all_said().await.and(None);
                }
                _ => self.act("other", "500 5.5.2 what").await?,
            }
        }
    }

    fn hello(&self) -> String {
        let setup = self.state.setup.lock().unwrap();
        let offers = setup.offers.iter().filter(|offer| !self.tls || **offer != "STARTTLS");
        let lines: Vec<&str> = std::iter::once("peer.example").chain(offers.copied()).collect();
        let last = lines.len() - 1;
        let line = |(index, line): (usize, &&str)| format!("250{}{line}", if index == last { ' ' } else { '-' });
        lines.iter().enumerate().map(line).collect::<Vec<_>>().join("\r\n")
    }

    async fn act(&mut self, stage: &'static str, usual: &str) -> Option<()> {
        self.acted(stage, usual).await.map(drop)
    }

    /// Does what the script says; nothing when the connection is over, else whether a 354 was said.
    async fn acted(&mut self, stage: &'static str, usual: &str) -> Option<bool> {
        let act = self.state.setup.lock().unwrap().script.get_mut(stage).and_then(VecDeque::pop_front);
        let (text, leave) = match &act {
            None => (usual, None),
            Some(Act::Say(text)) => (*text, None),
            Some(Act::Leave(text)) => (*text, Some(None)),
            Some(Act::LeaveWhen(told, text)) => (*text, Some(Some(told))),
            Some(Act::Close) => return None,
            Some(Act::Hang) => std::future::pending().await,
            Some(Act::When(told, text)) => {
                told.notified().await;
                (*text, None)
            }
        };
        self.reply(text).await?;
        if let Some(told) = leave {
            self.all_said().await?;
            if let Some(told) = told {
                told.notified().await;
            }
            return None;
        }
        Some(text.starts_with("354"))
    }

    async fn reply(&mut self, text: &str) -> Option<()> {
        let bytes = format!("{text}\r\n").into_bytes();
        let distance = self.state.setup.lock().unwrap().round_trip;
        if !distance.is_zero() {
            self.replies.push_back((self.arrived + distance, bytes));
            return Some(());
        }
        self.stream.write_all(&bytes).await.ok()?;
        self.stream.flush().await.ok()
    }

    /// Waits until the next reply is to leave, and says what leaves together with it.
    async fn say_next(&mut self) -> Option<()> {
        let (moment, mut bytes) = self.replies.pop_front()?;
        tokio::time::sleep_until(moment).await;
        while let Some((_, more)) = self.replies.pop_front_if(|(leaves, _)| *leaves <= moment) {
            bytes.extend(more);
        }
        self.stream.write_all(&bytes).await.ok()?;
        self.stream.flush().await.ok()
    }

    async fn all_said(&mut self) -> Option<()> {
        while !self.replies.is_empty() {
            self.say_next().await?;
        }
        Some(())
    }

    async fn line(&mut self) -> Option<String> {
        loop {
            if let Some(at) = self.buffer.windows(2).position(|pair| pair == b"\r\n") {
                let line: Vec<u8> = self.buffer.drain(..at + 2).collect();
                let line = String::from_utf8(line[..at].to_vec()).unwrap();
                self.note(&line);
                return Some(line);
            }
            self.fill().await?;
        }
    }

    async fn body(&mut self) -> Option<(Vec<u8>, Vec<u8>)> {
        loop {
            let end = if self.buffer.starts_with(b".\r\n") {
                Some(3)
            } else {
                self.buffer.windows(5).position(|five| five == b"\r\n.\r\n").map(|at| at + 5)
            };
            if let Some(end) = end {
                let wire: Vec<u8> = self.buffer.drain(..end).collect();
                self.note(".");
                return Some((wire.clone(), unstuffed(&wire[..end - 3])));
            }
            self.fill().await?;
        }
    }

    async fn fill(&mut self) -> Option<()> {
        let mut bytes = vec![0; 65_536];
        let length = loop {
            let Some((moment, _)) = self.replies.front() else { break self.stream.read(&mut bytes).await };
            tokio::select! {
                () = tokio::time::sleep_until(*moment) => self.say_next().await?,
                read = self.stream.read(&mut bytes) => break read,
            }
        };
        let length = length.ok().filter(|length| *length > 0)?;
        self.arrived = Instant::now();
        self.buffer.extend_from_slice(&bytes[..length]);
        let piece = format!("{} {}", self.number, String::from_utf8_lossy(&bytes[..length]));
        self.state.seen.send_modify(|seen| seen.pieces.push(piece));
        Some(())
    }

    fn note(&self, line: &str) {
        let line = format!("{} {line}", self.number);
        self.state.seen.send_modify(|seen| seen.lines.push(line));
    }
}

fn unstuffed(body: &[u8]) -> Vec<u8> {
    let mut message = Vec::new();
    for line in body.split_inclusive(|byte| *byte == b'\n') {
        message.extend_from_slice(line.strip_prefix(b".").unwrap_or(line));
    }
    message
}
