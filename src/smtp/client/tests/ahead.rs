//! Mails whose commands go right behind the final dot of the one before (RFC 2920 3.1).

use super::{BODY, DATA, FULL, MAIL, MESSAGE, PIPELINED, PLAIN, at, hear, letter, open, refused};
use crate::model::{LocalForm, Reply, ReversePath, Stage};
use crate::smtp::client::{After, Conversation, Ending, Envelope, Letter, NotAhead, Offers, Step, Unfit, Upshot};
use proptest::prelude::*;
use std::collections::VecDeque;
use std::sync::Arc;

const READY: &[u8] = b"250 a\r\n250 b\r\n354 go\r\n";

/// A conversation whose first mail's body is written, with the commands of `b@docomo.ne.jp` behind it.
fn chained() -> Conversation {
    let (mut talk, _) = open(PIPELINED);
    talk.on_bytes(READY);
    assert_eq!(talk.step(), Step::Body);
    talk.ahead(letter("b@docomo.ne.jp", MESSAGE), at(1)).unwrap();
    let written = String::from_utf8(talk.body(at(1)).unwrap()).unwrap();
    assert_eq!(written, [BODY, MAIL, "RCPT TO:<b@docomo.ne.jp>\r\n", DATA].concat());
    talk
}

fn accepted(text: &str) -> Ending {
    Ending { upshot: Upshot::Accepted(Reply::new(250, text)), after: After::Ready }
}

#[test]
fn the_next_group_goes_in_the_same_write_and_its_replies_are_its_own() {
    let mut talk = chained();
    assert!(talk.awaits_verdict());
    talk.on_bytes(b"250 first\r\n250 a\r\n550 no such user\r\n554 no recipients\r\n");
    assert_eq!(talk.step(), Step::Over(accepted("first")));
    assert_eq!((talk.stage(), talk.awaits_verdict()), (Stage::Mail, false));
    let second = Ending { upshot: refused(Stage::Rcpt, 550, "no such user"), after: After::Reset };
    assert_eq!(talk.step(), Step::Over(second));
}

#[test]
fn the_body_of_the_next_is_not_written_before_it_is_asked_for() {
    let mut talk = chained();
    talk.on_bytes(b"250 first\r\n250 a\r\n250 b\r\n354 go\r\n");
    assert_eq!(talk.step(), Step::Over(accepted("first")));
    assert_eq!(talk.step(), Step::Body);
    assert_eq!(talk.step(), Step::Body);
    assert_eq!(talk.body(at(1)).unwrap(), BODY.as_bytes());
    assert_eq!(hear(&mut talk, b"250 second\r\n", at(1)).1, Some(accepted("second")));
}

#[test]
fn a_mail_refused_behind_its_dot_does_not_touch_the_one_behind_it() {
    let mut talk = chained();
    let ending = hear(&mut talk, b"550 filtered\r\n", at(1)).1;
    assert_eq!(ending, Some(Ending { upshot: refused(Stage::Data, 550, "filtered"), after: After::Ready }));
    let (written, ending) = hear(&mut talk, READY, at(1));
    assert_eq!((written.as_slice(), ending), (BODY.as_bytes(), None));
}

#[test]
fn of_a_mail_behind_a_lost_one_nothing_is_left_to_go_on() {
    for (reply, upshot) in [
        (&b"421 4.3.2 going down\r\n"[..], refused(Stage::Data, 421, "4.3.2 going down")),
        (b"", Upshot::Unknown(Reply::none("lost"))),
    ] {
        let mut talk = chained();
        let ending = hear(&mut talk, reply, at(1)).1.unwrap_or_else(|| talk.on_break("lost"));
        assert_eq!(ending, Ending { upshot, after: After::Gone });
        assert_eq!(hear(&mut talk, READY, at(1)), (Vec::new(), None), "it speaks for no mail");
    }
    let mut talk = chained();
    let ending = hear(&mut talk, b"354 go on\r\n250 a\r\n", at(1)).1.unwrap();
    assert!(matches!(ending, Ending { upshot: Upshot::Unknown(_), after: After::Gone }), "{ending:?}");
}

#[test]
fn a_connection_lost_between_two_mails_leaves_the_first_accepted_and_the_second_not_begun() {
    let mut talk = chained();
    assert_eq!(hear(&mut talk, b"250 first\r\n", at(1)).1, Some(accepted("first")));
    let upshot = Upshot::Broken { stage: Stage::Mail, reply: Reply::none("lost") };
    assert_eq!(talk.on_break("lost"), Ending { upshot, after: After::Gone });
}

#[test]
fn a_server_that_gives_up_while_the_body_is_held_back_is_not_given_it() {
    let mut talk = chained();
    talk.on_bytes(b"250 first\r\n250 a\r\n250 b\r\n354 go\r\n");
    assert_eq!(talk.step(), Step::Over(accepted("first")));
    assert_eq!(talk.step(), Step::Body);
    talk.on_bytes(b"421 4.4.2 too slow\r\n");
    let ending = talk.body(at(1)).unwrap_err();
    assert!(matches!(ending, Ending { upshot: Upshot::Broken { stage: Stage::Data, .. }, after: After::Gone }));
}

#[test]
fn a_time_that_ends_is_seen_before_the_commands_and_before_each_body() {
    let (mut talk, _) = open(PIPELINED);
    talk.on_bytes(READY);
    assert_eq!(talk.step(), Step::Body);
    let expired = Ending { upshot: Upshot::Expired, after: After::Ready };
    assert_eq!(talk.ahead(letter("b@docomo.ne.jp", MESSAGE), at(100)), Err(NotAhead::Over(expired)));
    // The first goes alone: nothing was written of the one that came too late.
    assert_eq!(talk.body(at(99)).unwrap(), BODY.as_bytes());
    let mut talk = chained();
    talk.on_bytes(b"250 first\r\n250 a\r\n250 b\r\n354 go\r\n");
    assert_eq!(talk.step(), Step::Over(accepted("first")));
    assert_eq!(talk.step(), Step::Body);
    assert_eq!(talk.body(at(100)), Err(Ending { upshot: Upshot::Expired, after: After::Gone }));
    // Where the first one's time is over, the connection ends before the commands of the next are written.
    let (mut talk, _) = open(PIPELINED);
    talk.on_bytes(READY);
    assert_eq!(talk.step(), Step::Body);
    talk.ahead(letter("b@docomo.ne.jp", MESSAGE), at(1)).unwrap();
    assert_eq!(talk.body(at(100)), Err(Ending { upshot: Upshot::Expired, after: After::Gone }));
    assert_eq!(talk.step(), Step::Read);
}

#[test]
fn only_a_server_that_pipelines_is_sent_ahead_to_and_only_behind_a_body_and_one_at_a_time() {
    let next = || letter("b@docomo.ne.jp", MESSAGE);
    let mut talk = Conversation::new(PIPELINED);
    assert_eq!(talk.ahead(next(), at(1)), Err(NotAhead::Alone));
    for offers in [PIPELINED, PLAIN] {
        let (mut talk, _) = open(offers);
        assert_eq!(talk.ahead(next(), at(1)), Err(NotAhead::Alone));
        assert_eq!(hear(&mut talk, b"250 a\r\n", at(1)).1, None);
        assert_eq!(hear(&mut talk, b"250 b\r\n", at(1)).1, None);
        talk.on_bytes(b"354 go\r\n");
        assert_eq!(talk.step(), Step::Body);
        assert_eq!(talk.takes_ahead(), offers.pipelining);
        assert_eq!(talk.ahead(next(), at(1)).is_ok(), offers.pipelining);
        assert_eq!(talk.ahead(next(), at(1)), Err(NotAhead::Alone));
    }
}

#[test]
fn a_mail_that_the_server_cannot_be_given_does_not_go_ahead() {
    let (mut talk, _) = open(Offers { eight_bit: false, ..FULL });
    talk.on_bytes(READY);
    assert_eq!(talk.step(), Step::Body);
    let unfit = Ending { upshot: Upshot::Unfit(Unfit::EightBit), after: After::Ready };
    let ahead = talk.ahead(letter("b@docomo.ne.jp", "A: b\r\n\r\nあ".as_bytes()), at(1));
    assert_eq!(ahead, Err(NotAhead::Over(unfit)));
    assert!(talk.takes_ahead());
}

/// A server that answers what it is asked, each command by the next choice, and remembers what it took.
struct Server {
    choices: VecDeque<u8>,
    /// Gives 354 to whoever asks.
    careless: bool,
    heard: Vec<u8>,
    said: Vec<u8>,
    closed: bool,
    in_data: bool,
    /// The mail it is in, and whether its sender and its recipient were taken.
    mail: (String, bool, bool),
    taken: Vec<String>,
}

impl Server {
    fn new(choices: &[u8], careless: bool) -> Self {
        let mail = (String::new(), false, false);
        let (heard, said) = (Vec::new(), Vec::new());
        Self {
            choices: choices.to_vec().into(),
            careless,
            heard,
            said,
            closed: false,
            in_data: false,
            mail,
            taken: Vec::new(),
        }
    }

    fn hear(&mut self, bytes: &[u8]) {
        self.heard.extend_from_slice(bytes);
        while let Some(end) = self.heard.windows(2).position(|pair| pair == b"\r\n") {
            let line: Vec<u8> = self.heard.drain(..end + 2).collect();
            let line = String::from_utf8(line.strip_suffix(b"\r\n").unwrap().to_vec()).unwrap();
            if !self.closed {
                self.on_line(&line);
            }
        }
    }

    fn on_line(&mut self, line: &str) {
        if self.in_data {
            if line == "." {
                self.in_data = false;
                let wanted = self.mail.1 && self.mail.2;
                if self.say("data", 250) && wanted {
                    self.taken.push(self.mail.0.clone());
                }
                self.mail = (String::new(), false, false);
            }
        } else if let Some(rest) = line.strip_prefix("MAIL FROM:<") {
            let (name, _) = rest.split_once('@').unwrap();
            self.mail = (name.to_owned(), false, false);
            self.mail.1 = self.say("mail", 250);
        } else if line.starts_with("RCPT TO:<") {
            self.mail.2 = self.mail.1 && self.say("rcpt", 250) || (!self.mail.1 && self.refuse("rcpt"));
        } else if line == "DATA" {
            let wanted = self.mail.1 && self.mail.2;
            self.in_data = if wanted || self.careless { self.say("data", 354) } else { self.refuse("data") };
        } else {
            assert_eq!(line, "RSET");
            self.mail = (String::new(), false, false);
        }
    }

    /// Answers by the next choice; says whether it agreed.
    fn say(&mut self, stage: &str, agreed: u16) -> bool {
        let code = match self.choices.pop_front().unwrap_or(0) {
            0..=199 => agreed,
            200..=219 => 421,
            220..=239 => 451,
            _ => 550,
        };
        self.closed = code == 421;
        let name = &self.mail.0;
        let reply = format!("{code}-{name} {stage}\r\n{code} end\r\n");
        self.said.extend(reply.into_bytes());
        code == agreed
    }

    fn refuse(&mut self, stage: &str) -> bool {
        self.said.extend(format!("503 {} {stage} out of order\r\n", self.mail.0).into_bytes());
        false
    }
}

/// What came of it all.
#[derive(Debug, PartialEq, Eq)]
struct Came {
    endings: Vec<(String, Ending)>,
    unsent: Vec<String>,
    taken: Vec<String>,
}

fn numbered(number: usize) -> Arc<Letter> {
    let sender = ReversePath::Address(format!("m{number}@bounce.example.jp").parse().unwrap());
    let envelope = Envelope { sender, recipient: "a@docomo.ne.jp".parse().unwrap() };
    Arc::new(Letter {
        envelope,
        form: LocalForm::Quoted,
        message: format!("Subject: {number}\r\n\r\n.\r\n").into_bytes(),
        give_up: at(100),
    })
}

/// Gives mails to a server until the connection is gone: what it says arrives in pieces of `cut`, and after `lost` octets
/// no more.
fn play(mails: usize, mut server: Server, cut: usize, lost: usize, ahead: &[bool]) -> Came {
    let (mut talk, mut left) = (Conversation::new(PIPELINED), lost);
    let mut came = Came { endings: Vec::new(), unsent: Vec::new(), taken: Vec::new() };
    let (mut next, mut under_way, mut behind) = (0, None, None);
    loop {
        if under_way.is_none() {
            if next == mails {
                break;
            }
            server.hear(&talk.begin(numbered(next), at(1)).unwrap());
            (under_way, next) = (Some(next), next + 1);
        }
        let ending = match talk.step() {
            Step::Write(bytes) => {
                server.hear(&bytes);
                continue;
            }
            Step::Body => {
                if next < mails && ahead.get(next).copied().unwrap_or(true) {
                    talk.ahead(numbered(next), at(1)).unwrap();
                    (behind, next) = (Some(next), next + 1);
                }
                server.hear(&talk.body(at(1)).unwrap());
                continue;
            }
            Step::Read if server.said.is_empty() || left == 0 => talk.on_break("lost"),
            Step::Read => {
                let length = cut.min(server.said.len()).min(left);
                left -= length;
                let piece: Vec<u8> = server.said.drain(..length).collect();
                talk.on_bytes(&piece);
                continue;
            }
            Step::Over(ending) => ending,
        };
        let after = ending.after;
        came.endings.push((format!("m{}", under_way.take().unwrap()), ending));
        match after {
            After::Ready => under_way = behind.take(),
            After::Reset => {
                assert_eq!(behind, None);
                server.hear(b"RSET\r\n");
            }
            After::Gone => {
                came.unsent.extend(behind.take().map(|number: usize| format!("m{number}")));
                break;
            }
        }
    }
    came.taken = server.taken;
    came
}

fn is_matched(name: &str, ending: &Ending) -> bool {
    let text = |stage: &str, reply: &Reply| reply.text.starts_with(&format!("{name} {stage}"));
    match &ending.upshot {
        Upshot::Accepted(reply) => text("data", reply),
        Upshot::Refused { stage, reply } => text(stage.as_str(), reply),
        Upshot::Broken { .. } | Upshot::Unknown(_) => true,
        Upshot::Expired | Upshot::Unfit(_) => false,
    }
}

proptest! {
    #[test]
    fn every_reply_finds_its_mail_and_nothing_is_lost_or_given_away_twice(
        choices in proptest::collection::vec(any::<u8>(), 0..30),
        ahead in proptest::collection::vec(any::<bool>(), 8),
        careless: bool,
        cut in 1usize..60,
        lost in prop_oneof![Just(usize::MAX), 0usize..900],
    ) {
        let came = play(8, Server::new(&choices, careless), cut, lost, &ahead);
        let at_once = play(8, Server::new(&choices, careless), usize::MAX, lost, &ahead);
        prop_assert_eq!(&came, &at_once);
        let mut names: Vec<&String> = came.endings.iter().map(|(name, _)| name).chain(&came.unsent).collect();
        let expected: Vec<String> = (0..names.len()).map(|number| format!("m{number}")).collect();
        names.sort();
        prop_assert_eq!(names, expected.iter().collect::<Vec<_>>());
        for (name, ending) in &came.endings {
            prop_assert!(is_matched(name, ending), "{} {:?}", name, ending);
            let taken = came.taken.iter().filter(|taken| *taken == name).count();
            match ending.upshot {
                Upshot::Accepted(_) => prop_assert_eq!(taken, 1),
                Upshot::Unknown(_) => prop_assert!(taken <= 1),
                Upshot::Refused { .. } | Upshot::Broken { .. } | Upshot::Expired | Upshot::Unfit(_) => {
                    prop_assert_eq!(taken, 0, "{} {:?}", name, ending);
                }
            }
        }
        prop_assert!(came.unsent.iter().all(|name| !came.taken.contains(name)));
    }
}
