//! Dialogues against the bare state machine.

mod ahead;

use super::{After, Conversation, Ending, Envelope, Letter, Offers, Step, Unfit, Upshot};
use crate::model::{LocalForm, Reply, ReversePath, Stage, Timestamp};
use proptest::prelude::*;
use std::sync::Arc;

const PIPELINED: Offers = Offers { pipelining: true, size: None, eight_bit: false, smtputf8: false };
const PLAIN: Offers = Offers { pipelining: false, ..PIPELINED };
const FULL: Offers = Offers { pipelining: true, size: Some(10_000), eight_bit: true, smtputf8: true };
const MAIL: &str = "MAIL FROM:<b+1@bounce.example.jp>\r\n";
const RCPT: &str = "RCPT TO:<\"a..b.\"@docomo.ne.jp>\r\n";
const DATA: &str = "DATA\r\n";
const BODY: &str = "Subject: x\r\n\r\n..\r\n.\r\n";
const MESSAGE: &[u8] = b"Subject: x\r\n\r\n.\r\n";

fn envelope() -> Envelope {
    Envelope {
        sender: ReversePath::Address("b+1@bounce.example.jp".parse().unwrap()),
        recipient: "a..b.@docomo.ne.jp".parse().unwrap(),
    }
}

const fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn letter(recipient: &str, message: &[u8]) -> Arc<Letter> {
    let envelope = Envelope { recipient: recipient.parse().unwrap(), ..envelope() };
    Arc::new(Letter { envelope, form: LocalForm::Quoted, message: message.to_vec(), give_up: at(100) })
}

fn open(offers: Offers) -> (Conversation, String) {
    let mut talk = Conversation::new(offers);
    let first = talk.begin(letter("a..b.@docomo.ne.jp", MESSAGE), at(0)).unwrap();
    (talk, String::from_utf8(first).unwrap())
}

/// What the conversation comes to with these bytes of the server: what it writes, up to an end.
fn hear(talk: &mut Conversation, bytes: &[u8], now: Timestamp) -> (Vec<u8>, Option<Ending>) {
    let mut written = Vec::new();
    talk.on_bytes(bytes);
    loop {
        match talk.step() {
            Step::Read => return (written, None),
            Step::Write(more) => written.extend(more),
            Step::Body => match talk.body(now) {
                Ok(more) => written.extend(more),
                Err(ending) => return (written, Some(ending)),
            },
            Step::Over(ending) => return (written, Some(ending)),
        }
    }
}

/// Answers each write with the next reply (several lines where several commands went out); gives what was written and how
/// it ended.
fn talk(offers: Offers, replies: &[&str]) -> (Vec<String>, Ending) {
    let (mut talk, first) = open(offers);
    let mut written = vec![first];
    for reply in replies {
        let (more, ending) = hear(&mut talk, reply.as_bytes(), at(1));
        if !more.is_empty() {
            written.push(String::from_utf8(more).unwrap());
        }
        if let Some(ending) = ending {
            return (written, ending);
        }
    }
    (written, talk.on_break("lost"))
}

fn refused(stage: Stage, code: u16, text: &str) -> Upshot {
    Upshot::Refused { stage, reply: Reply::new(code, text) }
}

#[test]
fn commands_go_out_together_where_pipelining_is_offered() {
    let (written, ending) = talk(PIPELINED, &["250 a\r\n250 b\r\n354 go\r\n", "250 2.0.0 queued\r\n"]);
    assert_eq!(written, [[MAIL, RCPT, DATA].concat(), BODY.to_owned()]);
    assert_eq!(ending, Ending { upshot: Upshot::Accepted(Reply::new(250, "2.0.0 queued")), after: After::Ready });
}

#[test]
fn commands_wait_for_one_another_where_it_is_not() {
    let (written, ending) = talk(PLAIN, &["250 a\r\n", "251 will forward\r\n", "354 go\r\n", "250 queued\r\n"]);
    assert_eq!(written, [MAIL, RCPT, DATA, BODY]);
    assert_eq!(ending.upshot, Upshot::Accepted(Reply::new(250, "queued")));
}

#[test]
fn a_refusal_carries_its_stage_and_nothing_behind_it_is_judged() {
    let mail = "550 5.7.1 no";
    let rcpt = "550 5.1.1 Unknown user";
    let no = |line: &str| format!("{line}\r\n");
    for (offers, replies, writes, expected, after) in [
        (PLAIN, vec![no(mail)], 1, refused(Stage::Mail, 550, "5.7.1 no"), After::Reset),
        (PLAIN, vec![no("250 a"), no(rcpt)], 2, refused(Stage::Rcpt, 550, "5.1.1 Unknown user"), After::Reset),
        (
            PIPELINED,
            vec![no(mail), no("503 no MAIL"), no("503 no RCPT")],
            1,
            refused(Stage::Mail, 550, "5.7.1 no"),
            After::Reset,
        ),
        (
            PIPELINED,
            vec![no("250 a"), no(rcpt), no("554 no valid recipients")],
            1,
            refused(Stage::Rcpt, 550, "5.1.1 Unknown user"),
            After::Reset,
        ),
        (PLAIN, vec![no("250 a"), no("250 b"), no("451 later")], 3, refused(Stage::Data, 451, "later"), After::Reset),
        (
            PLAIN,
            vec![no("250 a"), no("250 b"), no("354 go"), no(rcpt)],
            4,
            refused(Stage::Data, 550, "5.1.1 Unknown user"),
            After::Ready,
        ),
    ] {
        let replies: Vec<&str> = replies.iter().map(String::as_str).collect();
        let (written, ending) = talk(offers, &replies);
        assert_eq!((written.len(), ending), (writes, Ending { upshot: expected, after }), "{replies:?}");
    }
}

#[test]
fn a_server_that_takes_data_behind_a_refused_recipient_is_given_only_a_dot() {
    let (written, ending) = talk(PIPELINED, &["250 a\r\n550 no\r\n354 go\r\n", "554 nothing to do\r\n"]);
    assert_eq!(written, [[MAIL, RCPT, DATA].concat(), ".\r\n".to_owned()]);
    assert_eq!(ending, Ending { upshot: refused(Stage::Rcpt, 550, "no"), after: After::Ready });
    let (_, ending) = talk(PIPELINED, &["550 no\r\n503 no\r\n354 go\r\n", "250 took nothing\r\n"]);
    assert_eq!(ending, Ending { upshot: refused(Stage::Mail, 550, "no"), after: After::Ready });
}

#[test]
fn a_refusal_stands_though_the_connection_breaks_while_the_rest_is_read() {
    for replies in
        [&["250 a\r\n550 no\r\n"][..], &["250 a\r\n550 no\r\n354 go\r\n"], &["250 a\r\n550 no\r\n421 bye\r\n"]]
    {
        let (_, ending) = talk(PIPELINED, replies);
        assert_eq!(ending, Ending { upshot: refused(Stage::Rcpt, 550, "no"), after: After::Gone }, "{replies:?}");
    }
}

#[test]
fn a_421_ends_the_connection_whatever_it_answers() {
    for (replies, stage) in [
        (&["421 busy\r\n"][..], Stage::Mail),
        (&["250 a\r\n421 busy\r\n"], Stage::Rcpt),
        (&["250 a\r\n250 b\r\n421 busy\r\n"], Stage::Data),
        (&["250 a\r\n250 b\r\n354 go\r\n", "421 busy\r\n"], Stage::Data),
    ] {
        let (_, ending) = talk(PIPELINED, replies);
        assert_eq!(ending, Ending { upshot: refused(stage, 421, "busy"), after: After::Gone });
    }
}

#[test]
fn a_break_is_unknown_only_behind_the_final_dot() {
    for (replies, stage) in
        [(&[][..], Stage::Mail), (&["250 a\r\n"], Stage::Rcpt), (&["250 a\r\n250 b\r\n"], Stage::Data)]
    {
        let (_, ending) = talk(PIPELINED, replies);
        let upshot = Upshot::Broken { stage, reply: Reply::none("lost") };
        assert_eq!(ending, Ending { upshot, after: After::Gone });
    }
    let (_, ending) = talk(PIPELINED, &["250 a\r\n250 b\r\n354 go\r\n"]);
    assert_eq!(ending, Ending { upshot: Upshot::Unknown(Reply::none("lost")), after: After::Gone });
}

#[test]
fn a_body_that_could_not_be_written_to_its_end_is_not_unknown() {
    for (written, unknown) in [(0, false), (BODY.len() - 1, false), (BODY.len(), true), (BODY.len() + 9, true)] {
        let (mut talk, _) = open(PIPELINED);
        talk.on_bytes(b"250 a\r\n250 b\r\n354 go\r\n");
        assert_eq!(talk.step(), Step::Body);
        talk.ahead(letter("b@docomo.ne.jp", MESSAGE), at(1)).unwrap();
        assert!(talk.body(at(1)).unwrap().len() > BODY.len() + 9);
        let expected = if unknown {
            Upshot::Unknown(Reply::none("reset"))
        } else {
            Upshot::Broken { stage: Stage::Data, reply: Reply::none("reset") }
        };
        assert_eq!(talk.on_silence(written, "reset"), Ending { upshot: expected, after: After::Gone }, "{written}");
        assert_eq!(talk.step(), Step::Read, "nothing goes on behind a lost one");
    }
}

#[test]
fn a_mail_whose_time_is_over_writes_no_command_and_no_body() {
    let mut talk = Conversation::new(PLAIN);
    let ended = talk.begin(letter("a@b.jp", MESSAGE), at(100)).unwrap_err();
    assert_eq!(ended, Ending { upshot: Upshot::Expired, after: After::Ready });
    let (mut talk, _) = open(PIPELINED);
    let (written, ending) = hear(&mut talk, b"250 a\r\n250 b\r\n354 go\r\n", at(100));
    assert_eq!((written.len(), ending), (0, Some(Ending { upshot: Upshot::Expired, after: After::Gone })));
}

#[test]
fn a_server_that_answers_out_of_turn_is_not_given_the_body() {
    let (written, ending) = talk(PIPELINED, &["250 a\r\n250 b\r\n354 go\r\n250 thanks\r\n"]);
    assert_eq!(written.len(), 1);
    assert!(matches!(ending, Ending { upshot: Upshot::Broken { stage: Stage::Data, .. }, after: After::Gone }));
    let (_, ending) = talk(PLAIN, &["250 a\r\n250 b\r\n"]);
    assert!(matches!(ending, Ending { upshot: Upshot::Broken { .. }, after: After::Gone }));
    let (_, ending) = talk(PIPELINED, &["250 a\r\n250 b\r\n354 go\r\n", "250 ok\r\n421 bye\r\n"]);
    assert_eq!(ending, Ending { upshot: Upshot::Accepted(Reply::new(250, "ok")), after: After::Gone });
}

#[test]
fn an_answer_to_nothing_breaks_the_conversation() {
    for (replies, stage) in [
        (&["354 go\r\n"][..], Stage::Mail),
        (&["250 a\r\n354 go\r\n"], Stage::Rcpt),
        (&["250 a\r\n250 b\r\n250 c\r\n"], Stage::Data),
        (&["199 x\r\n"], Stage::Mail),
        (&["hello\r\n"], Stage::Mail),
    ] {
        let (written, ending) = talk(PIPELINED, replies);
        assert_eq!(written.len(), 1, "{replies:?}");
        assert!(
            matches!(ending, Ending { upshot: Upshot::Broken { stage: at, .. }, after: After::Gone } if at == stage)
        );
    }
    let (_, ending) = talk(PIPELINED, &["250 a\r\n250 b\r\n354 go\r\n", "354 go on\r\n"]);
    assert!(matches!(ending, Ending { upshot: Upshot::Unknown(_), after: After::Gone }));
}

fn first_line(recipient: &str, message: &[u8], offers: Offers) -> Result<String, Upshot> {
    let envelope = Envelope { sender: ReversePath::Null, recipient: recipient.parse().unwrap() };
    let letter = Letter { envelope, form: LocalForm::Quoted, message: message.to_vec(), give_up: at(100) };
    let mut talk = Conversation::new(offers);
    let bytes = talk.begin(Arc::new(letter), at(0)).map_err(|ending| ending.upshot)?;
    Ok(String::from_utf8(bytes).unwrap().lines().next().unwrap().to_owned())
}

#[test]
fn extensions_are_declared_only_where_needed_and_offered() {
    let (ascii, eight_bit, utf8_header) = (&b"A: b\n\nc"[..], "A: b\r\n\r\nあ".as_bytes(), "A: あ\r\n\r\nc".as_bytes());
    let unfit = |why| Err(Upshot::Unfit(why));
    for (recipient, message, offers, expected) in [
        ("a@b.jp", ascii, PLAIN, Ok("MAIL FROM:<>")),
        ("a@b.jp", ascii, FULL, Ok("MAIL FROM:<> SIZE=11")),
        ("a@b.jp", ascii, Offers { size: Some(0), ..PLAIN }, Ok("MAIL FROM:<> SIZE=11")),
        ("a@b.jp", ascii, Offers { size: Some(10), ..PLAIN }, unfit(Unfit::TooLarge { octets: 11, limit: 10 })),
        ("a@b.jp", eight_bit, FULL, Ok("MAIL FROM:<> SIZE=13 BODY=8BITMIME")),
        ("a@b.jp", eight_bit, Offers { eight_bit: false, ..FULL }, unfit(Unfit::EightBit)),
        ("花@b.jp", ascii, FULL, Ok("MAIL FROM:<> SIZE=11 SMTPUTF8")),
        ("花@b.jp", ascii, Offers { smtputf8: false, ..FULL }, unfit(Unfit::Internationalised)),
        ("a@b.jp", utf8_header, FULL, Ok("MAIL FROM:<> SIZE=13 BODY=8BITMIME SMTPUTF8")),
        ("a@b.jp", utf8_header, Offers { smtputf8: false, ..FULL }, unfit(Unfit::Internationalised)),
    ] {
        assert_eq!(first_line(recipient, message, offers), expected.map(str::to_owned), "{recipient} {offers:?}");
    }
}

proptest! {
    #[test]
    fn a_dialogue_goes_the_same_way_however_its_bytes_are_cut(
        codes in proptest::collection::vec(prop::sample::select(vec![250, 354, 421, 451, 503, 550]), 1..6),
        cut in 1usize..20,
        pipelining: bool,
    ) {
        let offers = Offers { pipelining, ..PLAIN };
        let run = |chunk: usize| {
            let (mut talk, first) = open(offers);
            let mut written = vec![first.into_bytes()];
            for code in &codes {
                let reply = format!("{code}-first\r\n{code} second\r\n");
                for part in reply.as_bytes().chunks(chunk) {
                    let (more, ending) = hear(&mut talk, part, at(1));
                    if !more.is_empty() {
                        written.push(more);
                    }
                    if let Some(ending) = ending {
                        return (written, ending);
                    }
                }
            }
            (written, talk.on_break("lost"))
        };
        prop_assert_eq!(run(cut), run(usize::MAX));
    }

    #[test]
    fn strangers_bytes_never_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let (mut talk, _) = open(PIPELINED);
        for part in bytes.chunks(7) {
            if hear(&mut talk, part, at(1)).1.is_some() {
                break;
            }
        }
    }
}
