use super::*;
use crate::model::JobId;
use mail_parser::{MessageParser, MimeHeaders};
use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};

const QUEUED: Timestamp = Timestamp::from_millis(1_795_298_400_123);

fn address(text: &str) -> EmailAddress {
    text.parse().unwrap()
}

/// What a test changes of a message; the rest stands.
struct Given<'a> {
    name: &'a str,
    to: &'a str,
    subject: &'a str,
    body: &'a str,
    answered: Option<&'a str>,
    attached: Option<&'a [u8]>,
}

impl Default for Given<'_> {
    fn default() -> Self {
        Self {
            name: "安否確認/一斉通報サービス",
            to: "hanako@docomo.ne.jp",
            subject: "メールアドレス登録のご案内 (E-mail address registration)",
            body: "次のURLを開いてください。\n\nhttps://www.example.jp/r/x\n",
            answered: Some("<IMT$0ltE1323eb6905kK@docomo.ne.jp>"),
            attached: None,
        }
    }
}

fn build(given: &Given<'_>) -> String {
    let from = address("anpi@mob-connect.com");
    let answered = given.answered.and_then(MessageId::read);
    let draft = Draft {
        from_name: given.name,
        from: &from,
        to: &address(given.to),
        subject: given.subject,
        body: given.body,
        date: QUEUED,
        message_id: &MessageId::of_job(JobId::new(16), QUEUED, from.domain()),
        auto_submitted: AutoSubmitted::Replied,
        in_reply_to: answered.as_ref(),
        attached: given.attached,
    };
    String::from_utf8(draft.build()).unwrap()
}

/// The names of the header fields, in order.
fn field_names(message: &str) -> Vec<&str> {
    let header = message.split("\r\n\r\n").next().unwrap();
    header.lines().filter(|line| !line.starts_with([' ', '\t'])).map(|line| line.split(':').next().unwrap()).collect()
}

const FIELDS: [&str; 11] = [
    "From",
    "To",
    "Subject",
    "Date",
    "Message-ID",
    "In-Reply-To",
    "References",
    "Auto-Submitted",
    "MIME-Version",
    "Content-Type",
    "Content-Transfer-Encoding",
];

/// What RFC 5322 and the carriers ask of every line.
fn lines_are_sound(message: &str) -> bool {
    message.ends_with("\r\n")
        && !message.replace("\r\n", "").contains(['\r', '\n', '\0'])
        && message.lines().all(|line| line.len() <= 998)
}

#[test]
fn the_answer_to_an_empty_mail_looks_like_this_on_the_wire() {
    let expected = "\
From: =?utf-8?B?5a6J5ZCm56K66KqNL+S4gOaWiemAmuWgseOCteODvOODk+OCuQ==?=
 <anpi@mob-connect.com>
To: <hanako@docomo.ne.jp>
Subject: =?utf-8?B?44Oh44O844Or44Ki44OJ44Os44K555m76Yyy44Gu44GU5qGI5YaF?=
 =?utf-8?B?IChFLW1haWwgYWRkcmVzcyByZWdpc3RyYXRpb24p?=
Date: Sat, 21 Nov 2026 22:00:00 +0000
Message-ID: <jq.1795298400123@mob-connect.com>
In-Reply-To: <IMT$0ltE1323eb6905kK@docomo.ne.jp>
References: <IMT$0ltE1323eb6905kK@docomo.ne.jp>
Auto-Submitted: auto-replied
MIME-Version: 1.0
Content-Type: text/plain; charset=\"UTF-8\"
Content-Transfer-Encoding: base64

5qyh44GuVVJM44KS6ZaL44GE44Gm44GP44Gg44GV44GE44CCDQoNCmh0dHBzOi8vd3d3LmV4YW1w
bGUuanAvci94DQo=
";
    assert_eq!(build(&Given::default()), expected.replace('\n', "\r\n"));
}

#[test]
fn another_program_reads_what_was_written() {
    let message = build(&Given::default());
    let read = MessageParser::new().parse(message.as_bytes()).unwrap();
    let from = read.from().and_then(|from| from.first()).unwrap();
    assert_eq!((from.name(), from.address()), (Some("安否確認/一斉通報サービス"), Some("anpi@mob-connect.com")));
    assert_eq!(read.subject(), Some(Given::default().subject));
    assert_eq!(read.body_text(0).unwrap().replace("\r\n", "\n"), Given::default().body);
    assert_eq!(read.attachment_count(), 0);
}

#[test]
fn a_line_break_in_a_title_or_subject_is_dropped_before_it_is_encoded() {
    let message = build(&Given { name: "A\r\nBcc: x@y.jp", subject: "安否\r\nBcc: x@y.jp\u{0}", ..Given::default() });
    let read = MessageParser::new().parse(message.as_bytes()).unwrap();
    assert_eq!(read.from().and_then(|from| from.first()).and_then(|from| from.name()), Some("ABcc: x@y.jp"));
    assert_eq!(read.subject(), Some("安否Bcc: x@y.jp"));
}

#[test]
fn a_mail_without_a_message_id_that_can_be_repeated_is_answered_without_naming_it() {
    for answered in [None, Some("<>"), Some("<a b@c>"), Some("<a\u{1}@c.jp>"), Some("<あ@c.jp>")] {
        let message = build(&Given { answered, ..Given::default() });
        assert_eq!(field_names(&message), [&FIELDS[..5], &FIELDS[7..]].concat(), "{answered:?}");
    }
}

#[test]
fn an_irregular_recipient_is_quoted_and_a_long_one_fits_its_line() {
    let long = format!("{}@{}.ne.jp", "a".repeat(64), ["b".repeat(60).as_str(); 4].join("."));
    for (to, field) in [
        ("a..b.@docomo.ne.jp", "To: <\"a..b.\"@docomo.ne.jp>\r\n"),
        ("\"a b\\\"\"@example.jp", "To: <\"a b\\\"\"@example.jp>\r\n"),
        (&long, &format!("To: <{long}>\r\n")),
    ] {
        let message = build(&Given { to, ..Given::default() }).replace("\r\n ", " ").replace("To:  ", "To: ");
        assert!(message.contains(field), "{message}");
    }
}

#[test]
fn a_mail_of_plain_ascii_is_handed_on_as_it_came() {
    let raw = b"From: x@example.jp\nSubject: hi\r\n\r\n.hello\n";
    let message = build(&Given { attached: Some(raw), ..Given::default() });
    assert!(message.contains("Content-Type: message/rfc822\r\nContent-Transfer-Encoding: 7bit\r\n"), "{message}");
    assert!(message.contains("\r\n\r\nFrom: x@example.jp\r\nSubject: hi\r\n\r\n.hello\r\n"), "{message}");
    assert!(lines_are_sound(&message));
}

#[test]
fn a_mail_that_may_not_travel_as_it_is_becomes_a_file() {
    let long = "x".repeat(1_000);
    for raw in [&b"Subject: \x83\x65\n\n"[..], b"a\0b", b"a\rb", long.as_bytes()] {
        let message = build(&Given { attached: Some(raw), ..Given::default() });
        assert!(lines_are_sound(&message) && message.is_ascii(), "{message}");
        let read = MessageParser::new().parse(message.as_bytes()).unwrap();
        let attached = read.attachment(0).unwrap();
        assert_eq!(attached.contents(), raw);
        assert_eq!(attached.content_type().and_then(|kind| kind.subtype()), Some("octet-stream"));
    }
}

proptest! {
    #[test]
    fn no_value_starts_a_field_or_part_of_its_own(
        name in any::<String>(), subject in any::<String>(), body in any::<String>(), answered in any::<String>(),
        local in any::<String>(),
    ) {
        let to = EmailAddress::new(&local, "example.jp".parse().unwrap())
            .map_or_else(|_| "x@example.jp".to_owned(), |to| to.to_string());
        let given = Given { name: &name, to: &to, subject: &subject, body: &body, answered: Some(&answered), attached: None };
        let message = build(&given);
        prop_assert!(lines_are_sound(&message), "{}", message);
        let names = field_names(&message);
        let unanswered = [&FIELDS[..5], &FIELDS[7..]].concat();
        prop_assert!(names == FIELDS || names == unanswered, "{:?}", names);
        prop_assert_eq!(message.matches("\r\n\r\n").count(), 1);
        prop_assert!(message.is_ascii() || !to.is_ascii());
    }

    #[test]
    fn whatever_is_handed_on_comes_out_as_one_attachment(raw in any::<Vec<u8>>()) {
        let message = build(&Given { attached: Some(&raw), ..Given::default() });
        prop_assert!(lines_are_sound(&message));
        let read = MessageParser::new().parse(message.as_bytes()).unwrap();
        prop_assert_eq!(read.attachment_count(), 1);
    }
}

#[test]
fn the_same_draft_gives_the_same_bytes() {
    let attached = Some(&b"Subject: x\n\n"[..]);
    let build = || build(&Given { attached, ..Given::default() });
    assert_eq!(build(), build());
}
