//! Plays the dialogues of `tests/transcripts`; its README says how they are written.

use super::door::{Client, Door, MAX_MESSAGE, Shelf, hostname, return_path, route};
use super::secured::{Secured, Shown};
use karamail::inbound::route::NotOurs;
use karamail::inbound::smtp::Limits;
use karamail::model::{Received, Timestamp};
use karamail::smtp::server::{Answer, Handshake, Reply, Session, Settings, Step, Taken};
use std::path::Path;
use std::sync::Arc;

/// Lines of the client that go out together, and what comes back.
#[derive(Debug, Default)]
struct Exchange {
    store: Option<bool>,
    /// Whether the client shakes hands before.
    handshake: bool,
    sent: Vec<u8>,
    expected: Vec<String>,
}

fn sessions(text: &str) -> Vec<Vec<Exchange>> {
    let text = text.replace("{return-path}", &return_path().to_string());
    text.split("\n---\n").map(exchanges).collect()
}

fn exchanges(text: &str) -> Vec<Exchange> {
    let mut all = vec![Exchange::default()];
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let (kind, rest) = line.split_at(line.len().min(2));
        let starts_anew = matches!(kind, "C:" | "! ") && !all.last().unwrap().expected.is_empty();
        if starts_anew {
            all.push(Exchange::default());
        }
        let current = all.last_mut().unwrap();
        match kind {
            "C:" => current.sent.extend(unescaped(rest.strip_prefix(' ').unwrap_or(rest))),
            "! " if rest == "handshake" => current.handshake = true,
            "! " => current.store = Some(rest == "store works"),
            "S:" | "T:" | "X" => current.expected.push(line.to_owned()),
            _ => panic!("a transcript has no line like {line:?}"),
        }
    }
    all
}

fn unescaped(line: &str) -> Vec<u8> {
    let mut octets = Vec::new();
    let mut rest = line;
    while let Some((text, escape)) = rest.split_once('\\') {
        octets.extend_from_slice(text.as_bytes());
        let (letter, after) = escape.split_at(1);
        rest = after;
        match letter {
            "r" => octets.push(b'\r'),
            "n" => octets.push(b'\n'),
            "t" => octets.push(b'\t'),
            "0" => octets.push(0),
            "\\" => octets.push(b'\\'),
            "c" => return octets,
            "x" => {
                let (digits, after) = after.split_at(2);
                octets.push(u8::from_str_radix(digits, 16).unwrap());
                rest = after;
            }
            other => panic!("no such escape: \\{other}"),
        }
    }
    octets.extend_from_slice(rest.as_bytes());
    octets.extend_from_slice(b"\r\n");
    octets
}

fn shown(mail: &Received) -> String {
    let sender = mail.envelope_sender.address().map_or_else(|| "<>".to_owned(), ToString::to_string);
    let to: Vec<String> = mail.recipients.iter().map(ToString::to_string).collect();
    format!("T: {sender} > {} | {}", to.join(","), mail.message.escape_ascii()).trim_end().to_owned()
}

/// A session without a socket, fed in pieces of a given length.
struct Bare {
    session: Session,
    settings: Arc<Settings>,
    shelf: Arc<Shelf>,
    piece: usize,
    said: Vec<String>,
}

impl Bare {
    fn new(starttls: bool, piece: usize, shelf: Arc<Shelf>) -> Self {
        let limits = Limits::default();
        let settings = Arc::new(Settings {
            hostname: hostname(),
            max_message: MAX_MESSAGE,
            max_recipients: limits.recipients,
            max_mistakes: limits.mistakes,
            max_refused: limits.refused,
            starttls,
        });
        let session = Session::new(Arc::clone(&settings), "192.0.2.1".parse().unwrap());
        let mut bare = Self { session, settings, shelf, piece, said: Vec::new() };
        bare.say(Reply::Greeting);
        bare
    }

    fn say(&mut self, reply: Reply) {
        let mut octets = Vec::new();
        reply.write(&self.settings, &mut octets);
        let text = String::from_utf8(octets).unwrap();
        self.said.extend(text.strip_suffix("\r\n").unwrap().split("\r\n").map(|line| format!("S: {line}")));
    }

    fn feed(&mut self, sent: &[u8]) {
        for piece in sent.chunks(self.piece) {
            let mut rest = piece;
            while !rest.is_empty() {
                let (used, step) = self.session.on_bytes(rest, Timestamp::from_millis(0));
                rest = &rest[used..];
                self.perform(step);
            }
        }
    }

    fn shake(&mut self) {
        let step = self.session.on_handshake(Handshake::Done("TLSv1.3".to_owned()));
        self.perform(step);
    }

    fn perform(&mut self, step: Step) {
        match step {
            Step::More => {}
            Step::Say(reply) => self.say(reply),
            Step::Close(reply) => {
                self.say(reply);
                self.said.push("X".to_owned());
            }
            Step::Ask(to) => {
                let next = self.session.on_answer(match route().judge(&to) {
                    Ok(_) => Answer::Ours,
                    Err(NotOurs::Unknown) => Answer::Unknown,
                    Err(NotOurs::Foreign) => Answer::Foreign,
                });
                self.perform(next);
            }
            Step::StartTls(reply) => self.say(reply),
            Step::Take(received) => {
                let mail = shown(&received);
                let next = match self.shelf.store(received, Vec::new()) {
                    Ok(id) => {
                        self.said.push(mail);
                        self.session.on_taken(Taken::Queued(id))
                    }
                    Err(_) => self.session.on_taken(Taken::NotStored),
                };
                self.perform(next);
            }
        }
    }
}

/// Whether STARTTLS is offered to whoever plays this.
fn offers_tls(name: &Path) -> bool {
    name.file_stem().is_some_and(|stem| stem == "starttls")
}

fn play_bare(name: &Path, text: &str, piece: usize) {
    let shelf = Arc::new(Shelf::default());
    for session in sessions(text) {
        let mut bare = Bare::new(offers_tls(name), piece, Arc::clone(&shelf));
        for exchange in session {
            if let Some(works) = exchange.store {
                shelf.works(works);
            }
            if exchange.handshake {
                bare.shake();
            }
            bare.feed(&exchange.sent);
            let sent = exchange.sent.escape_ascii();
            assert_eq!(bare.said, exchange.expected, "{} in pieces of {piece}: {sent}", name.display());
            bare.said.clear();
        }
    }
}

async fn play_through_a_socket(name: &Path, text: &str) {
    let ours = Shown::new();
    let door = if offers_tls(name) { ours.door().await } else { Door::open().await };
    let mut known = 0;
    for session in sessions(text) {
        let mut client = Side::Plain(door.knock().await);
        let mut closed = false;
        for exchange in session {
            if let Some(works) = exchange.store {
                door.shelf.works(works);
            }
            if exchange.handshake {
                client = client.shake(&ours).await;
            }
            client.send(&exchange.sent).await;
            let sent = exchange.sent.escape_ascii();
            for expected in exchange.expected.iter().filter_map(|line| line.strip_prefix("S: ")) {
                assert_eq!(client.line().await, expected, "{}: {sent}", name.display());
            }
            let taken: Vec<String> = door.shelf.mails()[known..].iter().map(|(mail, _)| shown(mail)).collect();
            known += taken.len();
            let expected: Vec<_> = exchange.expected.iter().filter(|line| line.starts_with("T: ")).collect();
            assert_eq!(taken.iter().collect::<Vec<_>>(), expected, "{}: {sent}", name.display());
            closed = exchange.expected.iter().any(|line| line == "X");
        }
        if closed {
            client.expect_end().await;
        } else {
            client.leave().await;
        }
    }
}

/// The client, in plain or behind a handshake.
enum Side {
    Plain(Client),
    Secured(Box<Secured>),
}

impl Side {
    async fn shake(self, shown: &Shown) -> Self {
        match self {
            Self::Plain(client) => Self::Secured(Box::new(shown.shake(client).await.unwrap())),
            Self::Secured(_) => panic!("a transcript shakes hands twice"),
        }
    }

    async fn send(&mut self, octets: &[u8]) {
        match self {
            Self::Plain(client) => client.send(octets).await,
            Self::Secured(client) => client.send(octets).await,
        }
    }

    async fn line(&mut self) -> String {
        match self {
            Self::Plain(client) => client.line().await,
            Self::Secured(client) => client.line().await,
        }
    }

    async fn expect_end(&mut self) {
        match self {
            Self::Plain(client) => client.expect_end().await,
            Self::Secured(client) => client.expect_end().await,
        }
    }

    async fn leave(self) {
        match self {
            Self::Plain(client) => client.leave().await,
            Self::Secured(client) => client.leave().await,
        }
    }
}

fn transcripts() -> Vec<(std::path::PathBuf, String)> {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/transcripts"));
    let paths = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut found: Vec<_> = paths
        .filter(|path| path.extension().is_some_and(|ending| ending == "txt"))
        .map(|path| (path.clone(), std::fs::read_to_string(&path).unwrap()))
        .collect();
    found.sort();
    assert!(!found.is_empty());
    found
}

#[test]
fn every_transcript_is_what_the_bare_session_says_however_the_octets_are_cut() {
    for (name, text) in transcripts() {
        for piece in [usize::MAX, 1, 2, 7] {
            play_bare(&name, &text, piece);
        }
    }
}

#[tokio::test]
async fn every_transcript_is_what_a_client_hears_through_a_socket() {
    for (name, text) in transcripts() {
        play_through_a_socket(&name, &text).await;
    }
}
