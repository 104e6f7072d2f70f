use super::*;
use proptest::prelude::*;

fn settings() -> Settings {
    Settings {
        hostname: "mx.example.jp".parse().unwrap(),
        max_message: 64,
        max_recipients: 3,
        max_mistakes: 5,
        max_refused: 3,
        starttls: true,
    }
}

fn session() -> Session {
    Session::new(Arc::new(settings()), IpAddr::from([192, 0, 2, 1]))
}

/// What a session did.
#[derive(Debug, PartialEq, Eq)]
enum Done {
    Said(Reply),
    Took(Received),
    Closed(Reply),
    Shook(Reply),
}

/// Plays the driver: addresses that begin with `a` are ours, and everything is stored at once.
fn play(session: &mut Session, pieces: &[&[u8]]) -> Vec<Done> {
    let mut done = Vec::new();
    for piece in pieces {
        let mut rest = *piece;
        while !rest.is_empty() {
            let (used, mut step) = session.on_bytes(rest, Timestamp::default());
            rest = rest.get(used..).unwrap();
            if let Step::Ask(to) = &step {
                let ours = to.local().starts_with('a');
                step = session.on_answer(if ours { Answer::Ours } else { Answer::Unknown });
            }
            if let Step::Take(mail) = step {
                done.push(Done::Took(mail));
                step = session.on_taken(Taken::Queued(MailId::new(1)));
            }
            match step {
                Step::Say(reply) => done.push(Done::Said(reply)),
                Step::Close(reply) => done.push(Done::Closed(reply)),
                Step::StartTls(reply) => done.push(Done::Shook(reply)),
                Step::More | Step::Ask(_) | Step::Take(_) => assert_eq!(rest, b"", "{step:?}"),
            }
        }
    }
    done
}

fn replies(session: &mut Session, input: &str) -> Vec<Reply> {
    let reply = |done| match done {
        Done::Said(reply) | Done::Closed(reply) | Done::Shook(reply) => Some(reply),
        Done::Took(_) => None,
    };
    play(session, &[input.as_bytes()]).into_iter().filter_map(reply).collect()
}

#[test]
fn every_reply_is_of_one_class_and_no_line_is_too_long() {
    let longest = Settings {
        hostname: format!("{}.jp", ["x".repeat(60).as_str(); 4].join(".")).parse().unwrap(),
        max_message: usize::MAX,
        ..settings()
    };
    for reply in ALL {
        let mut octets = Vec::new();
        reply.write(&longest, &mut octets);
        let text = String::from_utf8(octets).unwrap();
        let lines: Vec<_> = text.strip_suffix("\r\n").unwrap().split("\r\n").collect();
        let bare = matches!(reply, Reply::Greeting | Reply::Hello | Reply::Extensions { .. } | Reply::Data);
        for (at, line) in lines.iter().enumerate() {
            assert!(line.len() <= 510 && line.is_ascii() && !line.contains(['\r', '\n']), "{line}");
            let (code, rest) = line.split_at(3);
            assert!((200..600).contains(&code.parse::<u16>().unwrap()), "{line}");
            assert!(rest.starts_with(if at + 1 < lines.len() { '-' } else { ' ' }), "{line}");
            let class = code.chars().next().unwrap();
            assert!(bare || rest.starts_with(&format!(" {class}.")), "{line}");
        }
    }
}

const ALL: [Reply; 39] = [
    Reply::Greeting,
    Reply::Hello,
    Reply::Extensions { starttls: true },
    Reply::StartTls,
    Reply::NoTlsNow,
    Reply::TlsAlready,
    Reply::BehindStartTls,
    Reply::Sender,
    Reply::Recipient,
    Reply::Data,
    Reply::Queued(MailId::new(i64::MAX)),
    Reply::Done,
    Reply::Help,
    Reply::CannotVerify,
    Reply::Bye,
    Reply::Unknown,
    Reply::NotOffered,
    Reply::Arguments,
    Reply::Parameter,
    Reply::UnknownParameter,
    Reply::BadSender,
    Reply::BadRecipient,
    Reply::NeedsUtf8,
    Reply::HelloFirst,
    Reply::MailFirst,
    Reply::NestedMail,
    Reply::NoRecipients,
    Reply::NoSuchMailbox,
    Reply::NoRelay,
    Reply::TooManyRecipients,
    Reply::TooLarge,
    Reply::NoRoom,
    Reply::NotStored,
    Reply::BareLineEnd,
    Reply::LineTooLong,
    Reply::TooManyErrors,
    Reply::TooSlow,
    Reply::Stopping,
    Reply::TooManyConnections,
];

#[test]
fn a_mail_taken_forgives_the_mistakes_before_it() {
    let mut session = session();
    let mail = "MAIL FROM:<>\r\nRCPT TO:<a@x.jp>\r\nDATA\r\n.\r\n";
    assert_eq!(replies(&mut session, "HELO x\r\nA\r\nB\r\nC\r\nD\r\n").last(), Some(&Reply::Unknown));
    assert_eq!(replies(&mut session, mail).last(), Some(&Reply::Queued(MailId::new(1))));
    assert_eq!(replies(&mut session, "A\r\nB\r\nC\r\nD\r\n").last(), Some(&Reply::Unknown));
    assert_eq!(replies(&mut session, "MAIL FROM:x\r\n"), [Reply::TooManyErrors]);
}

#[test]
fn commands_that_are_refused_for_good_reason_are_no_mistakes() {
    let mut session = session();
    replies(&mut session, "HELO x\r\n");
    for _ in 0..20 {
        assert_eq!(replies(&mut session, "MAIL FROM:<> SIZE=65\r\n"), [Reply::TooLarge]);
        let group = "MAIL FROM:<>\r\nDATA\r\nRSET\r\n";
        assert_eq!(replies(&mut session, group), [Reply::Sender, Reply::NoRecipients, Reply::Done]);
    }
}

#[test]
fn a_question_is_asked_again_until_it_is_answered() {
    let mut session = session();
    let (_, step) = session.on_bytes(b"HELO x\r\n", Timestamp::default());
    assert_eq!(step, Step::Say(Reply::Hello));
    session.on_bytes(b"MAIL FROM:<>\r\n", Timestamp::default());
    let question = Step::Ask("a@x.jp".parse().unwrap());
    let input = b"RCPT TO:<a@x.jp>\r\nQUIT\r\n";
    assert_eq!(session.on_bytes(input, Timestamp::default()), (18, question));
    let question = Step::Ask("a@x.jp".parse().unwrap());
    assert_eq!(session.on_bytes(b"QUIT\r\n", Timestamp::default()), (0, question));
    assert_eq!(session.on_taken(Taken::NotStored), Step::More, "that was not the question");
    assert_eq!(session.on_answer(Answer::Ours), Step::Say(Reply::Recipient));
    assert_eq!(session.on_answer(Answer::Ours), Step::More, "it was answered");
}

#[test]
fn nothing_is_read_while_a_mail_is_being_stored() {
    let mut session = session();
    replies(&mut session, "HELO x\r\nMAIL FROM:<>\r\nRCPT TO:<a@x.jp>\r\nDATA\r\n");
    assert_eq!(session.phase(), Phase::Data);
    let (used, step) = session.on_bytes(b".\r\nQUIT\r\n", Timestamp::default());
    assert!(matches!(step, Step::Take(_)));
    assert_eq!((used, session.on_bytes(b"QUIT\r\n", Timestamp::default())), (3, (0, Step::More)));
    assert_eq!(session.phase(), Phase::Data);
    assert_eq!(session.on_taken(Taken::NotStored), Step::Say(Reply::NotStored));
    assert_eq!(session.phase(), Phase::Idle);
}

#[test]
fn a_closed_session_obeys_nothing() {
    let mut session = session();
    assert_eq!(replies(&mut session, "QUIT\r\nHELO x\r\nNOOP\r\n"), [Reply::Bye]);
}

const STARTTLS: &str = "EHLO x\r\nSTARTTLS\r\n";

fn done() -> Handshake {
    Handshake::Done("TLSv1.3".to_owned())
}

#[test]
fn behind_a_handshake_everything_begins_anew() {
    for plain in ["EHLO x\r\n", "EHLO x\r\nMAIL FROM:<>\r\n", "EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<a@x.jp>\r\n"] {
        let mut session = session();
        assert_eq!(replies(&mut session, &format!("{plain}STARTTLS\r\n")).last(), Some(&Reply::StartTls));
        assert_eq!((session.phase(), session.on_handshake(done())), (Phase::Idle, Step::More));
        assert_eq!(session.on_handshake(done()), Step::More, "it was answered");
        let input = "MAIL FROM:<>\r\nDATA\r\nSTARTTLS\r\nEHLO y\r\nRCPT TO:<a@x.jp>\r\n";
        let expected = [Reply::HelloFirst, Reply::HelloFirst, Reply::TlsAlready, OFFERED, Reply::MailFirst];
        assert_eq!(replies(&mut session, input), expected, "{plain}");
        let mail = play(&mut session, &[b"MAIL FROM:<>\r\nRCPT TO:<a@x.jp>\r\nDATA\r\n.\r\n"]);
        let Some(Done::Took(mail)) = mail.get(3) else { panic!("{mail:?}") };
        assert_eq!((mail.helo.as_str(), mail.tls.as_deref()), ("y", Some("TLSv1.3")));
    }
}

/// To EHLO where STARTTLS is not offered.
const OFFERED: Reply = Reply::Extensions { starttls: false };

#[test]
fn octets_that_come_with_starttls_end_the_session() {
    for behind in ["N", "\r", "EHLO y\r\nMAIL FROM:<>\r\n", "\x16\x03\x01"] {
        let mut whole = session();
        let expected = [Reply::Extensions { starttls: true }, Reply::BehindStartTls];
        assert_eq!(replies(&mut whole, &format!("{STARTTLS}{behind}")), expected);
        // Those that come before the handshake is over are no better.
        let mut later = session();
        assert_eq!(replies(&mut later, STARTTLS).last(), Some(&Reply::StartTls));
        assert_eq!(replies(&mut later, behind), [Reply::BehindStartTls]);
        for session in [&mut whole, &mut later] {
            assert_eq!(session.on_handshake(done()), Step::More);
            assert_eq!(replies(session, "EHLO x\r\n"), []);
        }
    }
}

#[test]
fn starttls_has_its_place_behind_ehlo_and_costs_nothing_where_there_is_no_certificate() {
    let mut session = session();
    assert_eq!(replies(&mut session, "STARTTLS\r\nSTARTTLS now\r\n"), [Reply::HelloFirst, Reply::Arguments]);
    replies(&mut session, "EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<a@x.jp>\r\nSTARTTLS\r\n");
    assert_eq!(session.on_handshake(Handshake::Unavailable), Step::Say(Reply::NoTlsNow));
    assert_eq!(replies(&mut session, "DATA\r\n.\r\n"), [Reply::Data, Reply::Queued(MailId::new(1))]);
    let settings = Settings { starttls: false, ..settings() };
    let mut session = Session::new(Arc::new(settings), IpAddr::from([192, 0, 2, 1]));
    let input = "EHLO x\r\nSTARTTLS\r\nMAIL FROM:<>\r\n";
    assert_eq!(replies(&mut session, input), [OFFERED, Reply::NotOffered, Reply::Sender]);
}

/// Commands and line ends in likely and unlikely order.
fn dialogue() -> impl Strategy<Value = Vec<u8>> {
    let word = prop::sample::select(vec![
        "EHLO x\r\n",
        "MAIL FROM:<s@y.jp>\r\n",
        "MAIL FROM:<> SIZE=70\r\n",
        "RCPT TO:<a@x.jp>\r\n",
        "RCPT TO:<a+b@x.jp>\r\n",
        "RCPT TO:<nobody@x.jp>\r\n",
        "RCPT TO:<postmaster>\r\n",
        "DATA\r\n",
        "RSET\r\n",
        "NOOP\r\n",
        ".\r\n",
        "..\r\n",
        "Subject: x\r\n",
        "\r\n.\r\n",
        "\r\n",
        "\r",
        "\n",
        ".",
        "x",
        "QUIT\r\n",
    ]);
    let sound = Just("EHLO x\r\nMAIL FROM:<s@y.jp>\r\nRCPT TO:<a@x.jp>\r\nDATA\r\n");
    let words = prop::collection::vec(prop_oneof![6 => word, 1 => sound], 0..25);
    words.prop_map(|words| words.concat().into_bytes())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn however_the_octets_are_cut_a_session_does_the_same(input in dialogue(), lengths in prop::collection::vec(1usize..9, 1..60)) {
        let mut pieces: Vec<&[u8]> = Vec::new();
        let mut rest = input.as_slice();
        for length in lengths.iter().cycle() {
            let (piece, after) = rest.split_at((*length).min(rest.len()));
            pieces.push(piece);
            rest = after;
            if rest.is_empty() {
                break;
            }
        }
        prop_assert_eq!(play(&mut session(), &pieces), play(&mut session(), &[&input]));
    }

    #[test]
    fn whatever_was_said_in_plain_a_secured_session_does_as_if_it_had_not_been(plain in dialogue(), input in dialogue()) {
        let patient = Arc::new(Settings { max_mistakes: 1_000, max_refused: 1_000, ..settings() });
        let fresh = || Session::new(Arc::clone(&patient), IpAddr::from([192, 0, 2, 1]));
        let (mut one, mut other) = (fresh(), fresh());
        play(&mut one, &[&plain, b"\r\n.\r\nRSET\r\n"]);
        for session in [&mut one, &mut other] {
            play(session, &[STARTTLS.as_bytes()]);
            session.on_handshake(done());
        }
        // A session may be over before it comes to the handshake.
        if !matches!(one.state, State::Closed) {
            prop_assert_eq!(play(&mut one, &[&input]), play(&mut other, &[&input]));
        }
    }

    #[test]
    fn a_mail_that_is_taken_has_an_envelope_and_is_within_the_limits(input in dialogue()) {
        for done in play(&mut session(), &[&input]) {
            if let Done::Took(mail) = done {
                prop_assert!(mail.message.len() <= 64);
                prop_assert!((1..=3).contains(&mail.recipients.len()));
                prop_assert!(mail.recipients.iter().all(|to| to.local().starts_with('a')));
                prop_assert!(!mail.helo.is_empty());
            }
        }
    }
}
