//! Both sides of SMTP are fed arbitrary octets in arbitrary pieces.
//!
//! Our server must not panic; its replies are lines of at most 512 octets; how the octets are cut makes no difference; and a
//! mail is what a naive reader, who sees the whole at once, takes for it. Our client must not panic either, and a mail whose
//! body was never written is neither accepted nor perhaps accepted.

#![no_main]

use karamail::model::{LocalForm, MailId, ReversePath, Timestamp};
use karamail::smtp::client::{self, After, Conversation, Ending, Envelope, Letter, Offers, Upshot};
use karamail::smtp::server::{Answer, Handshake, Reply, Session, Settings, Step, Taken};
use libfuzzer_sys::fuzz_target;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

const MAX_MESSAGE: usize = 256;

/// What a session said, with how many octets it had used by then.
#[derive(Debug, PartialEq, Eq)]
struct Heard {
    replies: Vec<(usize, Reply)>,
    mails: Vec<(usize, Vec<u8>)>,
}

fn settings() -> Arc<Settings> {
    Arc::new(Settings {
        hostname: "mx.example.jp".parse().expect("a domain"),
        max_message: MAX_MESSAGE,
        max_recipients: 3,
        max_mistakes: 20,
        max_refused: 20,
        starttls: true,
    })
}

/// A session as a client begins it, or as it is behind a handshake.
fn begin(secured: bool) -> Session {
    let mut session = Session::new(settings(), IpAddr::V4(Ipv4Addr::LOCALHOST));
    if secured {
        session.on_bytes(b"EHLO x\r\n", Timestamp::default());
        assert_eq!(session.on_bytes(b"STARTTLS\r\n", Timestamp::default()).1, Step::StartTls(Reply::StartTls));
        assert_eq!(session.on_handshake(Handshake::Done("TLSv1.3".to_owned())), Step::More);
    }
    session
}

fn hold(mut session: Session, stream: &[u8], lengths: impl Iterator<Item = usize>) -> Heard {
    let mut heard = Heard { replies: Vec::new(), mails: Vec::new() };
    let (mut at, mut end, mut lengths) = (0, 0, lengths);
    while at < stream.len() {
        if at == end {
            end = stream.len().min(end + lengths.next().unwrap_or(1).max(1));
        }
        let (used, mut step) = session.on_bytes(&stream[at..end], Timestamp::default());
        at += used;
        if let Step::Ask(to) = &step {
            step = session.on_answer(match to.local().len() % 3 {
                0 => Answer::Foreign,
                1 => Answer::Ours,
                _ => Answer::Unknown,
            });
        }
        if let Step::Take(mail) = step {
            assert!(!mail.recipients.is_empty() && mail.recipients.len() <= 3);
            heard.mails.push((at, mail.message));
            step = session.on_taken(Taken::Queued(MailId::new(1)));
        }
        match step {
            Step::More => assert_eq!(at, end, "octets were left, and nothing was said"),
            Step::Say(reply) => heard.replies.push((at, reply)),
            // Here nobody shakes hands: whatever comes behind it closes the session, in one piece with it or later.
            Step::StartTls(reply) => {
                assert_eq!(at, end, "octets were left for the handshake");
                heard.replies.push((at, reply));
            }
            Step::Close(reply) => {
                heard.replies.push((at, reply));
                return heard;
            }
            Step::Ask(_) | Step::Take(_) => panic!("an answer was answered with a question"),
        }
    }
    heard
}

/// Gives the message behind DATA and where its end ends, by looking at the whole.
fn naive(data: &[u8]) -> Option<(Vec<u8>, usize)> {
    let whole = [b"\r\n", data].concat();
    let end = find(&whole, b"\r\n.\r\n")?;
    let (mut text, mut message) = (&whole[..end + 2], Vec::new());
    while let Some(dot) = find(text, b"\r\n.") {
        message.extend_from_slice(&text[..dot + 2]);
        text = &text[dot + 3..];
    }
    message.extend_from_slice(text);
    Some((message.split_off(2), end + 3))
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|window| window == what)
}

/// Behind each 354 stands a mail that the naive reader finds too, unless it is too large.
fn compare_mails(stream: &[u8], heard: &Heard) {
    let mut mails = heard.mails.iter();
    for (begin, _) in heard.replies.iter().filter(|(_, reply)| *reply == Reply::Data) {
        let Some((message, length)) = naive(&stream[*begin..]) else { continue };
        let end = begin + length;
        if message.len() <= MAX_MESSAGE {
            assert_eq!(mails.next(), Some(&(end, message)));
        } else {
            assert!(heard.replies.contains(&(end, Reply::TooLarge)));
        }
    }
    assert_eq!(mails.next(), None, "a mail came out of nowhere");
}

fn compare_replies(heard: &Heard) {
    for (_, reply) in &heard.replies {
        let mut octets = Vec::new();
        reply.write(&settings(), &mut octets);
        let text = std::str::from_utf8(&octets).expect("ASCII");
        assert!(text.ends_with("\r\n") && text.lines().all(|line| line.len() <= 510 && !line.contains('\r')));
    }
}

/// Lets our client hear `stream` as a server's replies, until it has heard enough or nothing more comes; where the server
/// pipelines, each mail has another go ahead behind it.
fn talk_to_our_client(stream: &[u8], piece: usize, pipelining: bool) {
    let envelope = Envelope { sender: ReversePath::Null, recipient: "hanako@example.jp".parse().expect("an address") };
    let (now, give_up) = (Timestamp::default(), Timestamp::from_millis(1));
    let letter = Arc::new(Letter { envelope, form: LocalForm::Quoted, message: b"body\r\n".to_vec(), give_up });
    let mut talk = Conversation::new(Offers { pipelining, ..Offers::default() });
    talk.begin(Arc::clone(&letter), now).expect("nothing about this mail is out of the ordinary");
    let (mut pieces, mut written) = (stream.chunks(piece.max(1)), false);
    loop {
        let ending = match talk.step() {
            client::Step::Write(_) => continue,
            client::Step::Body => {
                let ahead = talk.ahead(Arc::clone(&letter), now);
                assert_eq!(ahead.is_ok(), pipelining, "a second mail ahead, or none where one may go");
                match talk.body(now) {
                    Ok(_) => {
                        written = true;
                        continue;
                    }
                    Err(ending) => ending,
                }
            }
            client::Step::Read => match pieces.next() {
                Some(piece) => {
                    talk.on_bytes(piece);
                    continue;
                }
                None => talk.on_break("the connection was lost"),
            },
            client::Step::Over(ending) => ending,
        };
        let Ending { upshot, after } = ending;
        assert!(written || !matches!(upshot, Upshot::Accepted(_) | Upshot::Unknown(_)), "{upshot:?}");
        if !(written && pipelining && after == After::Ready) {
            break;
        }
        written = false;
    }
}

fuzz_target!(|input: &[u8]| {
    let Some((&cut, rest)) = input.split_first() else { return };
    talk_to_our_client(rest, usize::from(cut), cut % 2 == 0);
    // Half of the inputs begin where it becomes interesting.
    let begun: &[u8] = match cut % 4 {
        0 => b"EHLO x\r\nMAIL FROM:<a@b.jp>\r\nRCPT TO:<a@x.jp>\r\nDATA\r\n",
        1 => b"EHLO x\r\nMAIL FROM:<a@b.jp> SMTPUTF8\r\n",
        _ => b"",
    };
    let stream = [begun, rest].concat();
    let secured = cut & 0x40 != 0;
    let whole = hold(begin(secured), &stream, std::iter::once(stream.len()));
    compare_replies(&whole);
    compare_mails(&stream, &whole);
    let lengths = rest.iter().map(|octet| usize::from(octet.wrapping_add(cut) % 16));
    let mut pieces = hold(begin(secured), &stream, lengths);
    // Cut behind the command, it is answered before it is known that something comes behind it.
    if whole.replies.last().is_some_and(|(_, reply)| *reply == Reply::BehindStartTls) {
        pieces.replies.retain(|(_, reply)| *reply != Reply::StartTls);
        assert_eq!(pieces.mails, whole.mails);
        assert_eq!(pieces.replies.len(), whole.replies.len());
        return;
    }
    // A session that closes has looked no further than the piece at hand; all else is the same.
    if whole.replies.last().is_some_and(|(_, reply)| matches!(reply, Reply::BareLineEnd | Reply::LineTooLong)) {
        assert_eq!(pieces.mails, whole.mails);
        assert_eq!(pieces.replies.len(), whole.replies.len());
    } else {
        assert_eq!(pieces, whole);
    }
});
