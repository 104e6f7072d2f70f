//! Plays the dialogues of `tests/transcripts/sending`; its README says how they are written.

use karamail::model::{LocalForm, ReversePath, Timestamp};
use karamail::smtp::client::{Conversation, Ending, Envelope, Letter, NotAhead, Offers, Step, Upshot};
use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;

const GIVE_UP: Timestamp = Timestamp::from_millis(100);

fn letter(name: &str) -> Arc<Letter> {
    let recipient = format!("{name}@docomo.ne.jp").parse().unwrap();
    let envelope = Envelope { sender: ReversePath::Null, recipient };
    Arc::new(Letter {
        envelope,
        form: LocalForm::Quoted,
        message: format!("{name}\r\n").into_bytes(),
        give_up: GIVE_UP,
    })
}

fn shown(ending: &Ending) -> String {
    let upshot = match &ending.upshot {
        Upshot::Accepted(reply) => format!("accepted {} {reply}", reply.code),
        Upshot::Refused { stage, reply } => format!("refused {stage} {} {reply}", reply.code),
        Upshot::Broken { stage, .. } => format!("broken {stage}"),
        Upshot::Unknown(_) => "unknown".to_owned(),
        Upshot::Expired => "expired".to_owned(),
        Upshot::Unfit(_) => "unfit".to_owned(),
    };
    format!("{upshot}, {:?}", ending.after).to_lowercase()
}

/// One connection, fed in pieces of a given length.
struct Play {
    talk: Conversation,
    piece: usize,
    now: Timestamp,
    names: VecDeque<String>,
    ahead: Option<String>,
    /// What came of it, in order, and was not compared yet.
    came: VecDeque<String>,
}

impl Play {
    fn new(piece: usize, offers: &str) -> Self {
        let offers = Offers { pipelining: offers.contains("PIPELINING"), ..Offers::default() };
        let now = Timestamp::from_millis(0);
        let (names, came) = (VecDeque::new(), VecDeque::new());
        Self { talk: Conversation::new(offers), piece, now, names, ahead: None, came }
    }

    fn begin(&mut self, name: &str) {
        self.names.push_back(name.to_owned());
        match self.talk.begin(letter(name), self.now) {
            Ok(bytes) => self.wrote(&bytes),
            Err(ending) => self.over(&ending),
        }
    }

    fn wrote(&mut self, bytes: &[u8]) {
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        self.came.extend(text.strip_suffix("\r\n").unwrap().split("\r\n").map(|line| format!("C: {line}")));
    }

    fn over(&mut self, ending: &Ending) {
        let name = self.names.pop_front().unwrap();
        self.came.push_back(format!("E: {name} {}", shown(ending)));
    }

    fn go_ahead(&mut self) {
        let Some(name) = self.ahead.take() else { return };
        match self.talk.ahead(letter(&name), self.now) {
            Ok(()) => self.names.push_back(name),
            Err(NotAhead::Alone) => self.came.push_back(format!("E: {name} alone")),
            Err(NotAhead::Over(ending)) => self.came.push_back(format!("E: {name} {}", shown(&ending))),
        }
    }

    fn hear(&mut self, bytes: &[u8]) {
        for piece in bytes.chunks(self.piece) {
            self.talk.on_bytes(piece);
            loop {
                match self.talk.step() {
                    Step::Read => break,
                    Step::Write(bytes) => self.wrote(&bytes),
                    Step::Body => {
                        self.go_ahead();
                        match self.talk.body(self.now) {
                            Ok(bytes) => self.wrote(&bytes),
                            Err(ending) => self.over(&ending),
                        }
                    }
                    Step::Over(ending) => self.over(&ending),
                }
            }
        }
    }
}

fn play(name: &Path, text: &str, piece: usize) {
    for session in text.split("\n---\n") {
        let mut lines = session.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).peekable();
        let offers = lines.next().and_then(|line| line.strip_prefix("O:")).expect("a dialogue begins with O:");
        let mut play = Play::new(piece, offers);
        while let Some(line) = lines.next() {
            let (kind, rest) = line.split_at(line.len().min(2));
            let rest = rest.trim_start();
            match kind {
                "M:" => play.begin(rest),
                "A:" => play.ahead = Some(rest.to_owned()),
                "S:" => {
                    let mut bytes = format!("{rest}\r\n");
                    while let Some(more) = lines.next_if(|line| line.starts_with("S:")) {
                        bytes.push_str(&format!("{}\r\n", more[2..].trim_start()));
                    }
                    play.hear(bytes.as_bytes());
                }
                "X" => {
                    let ending = play.talk.on_break("lost");
                    play.over(&ending);
                }
                "! " => play.now = GIVE_UP,
                "C:" | "E:" => {
                    assert_eq!(play.came.pop_front().as_deref(), Some(line), "{} in pieces of {piece}", name.display());
                }
                _ => panic!("a transcript has no line like {line:?}"),
            }
        }
        assert!(play.came.is_empty(), "{} in pieces of {piece}: {:?}", name.display(), play.came);
    }
}

#[test]
fn every_transcript_is_how_mails_are_sent_however_the_replies_are_cut() {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/transcripts/sending"));
    let paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    let paths: Vec<_> = paths.iter().filter(|path| path.extension().is_some_and(|ending| ending == "txt")).collect();
    assert!(!paths.is_empty());
    for path in paths {
        let text = std::fs::read_to_string(path).unwrap();
        for piece in [usize::MAX, 1, 2, 7] {
            play(path, &text, piece);
        }
    }
}
