use super::*;
use proptest::prelude::{any, prop, prop_assert, prop_assert_eq, proptest};

fn one(text: &str) -> FromField {
    FromField::One(text.parse().unwrap())
}

fn marks(header: &str) -> Vec<Mark> {
    read(header.as_bytes()).marks.into_iter().collect()
}

#[test]
fn the_sender_is_read_however_a_phone_writes_it() {
    for (header, address) in [
        (&b"From: a@docomo.ne.jp\r\n\r\n"[..], "a@docomo.ne.jp"),
        (b"From:au@ezweb.ne.jp\r\nSubject:=?UTF-8?B?44GC?=\r\n\r\n", "au@ezweb.ne.jp"),
        (b"From: <a@softbank.ne.jp>\n\n", "a@softbank.ne.jp"),
        (b"FROM: \"jis@i.softbank.jp\" <jis@i.softbank.jp>\r\n\r\n", "jis@i.softbank.jp"),
        (b"From: =?UTF-8?B?6Iqx5a2Q?=\r\n\t<hanako@gmail.com>\r\n\r\n", "hanako@gmail.com"),
        (b"From: \"a..b.\"@docomo.ne.jp\r\n\r\n", "a..b.@docomo.ne.jp"),
        (b"From: a..b.@docomo.ne.jp\r\n\r\n", "a..b.@docomo.ne.jp"),
        (b"From: <a..b.@docomo.ne.jp>\r\n\r\n", "a..b.@docomo.ne.jp"),
        (b"From: \"x, <y@z.jp>\" <a@b.jp>\r\n\r\n", "a@b.jp"),
        (b"From: \"quote \\\" inside\" <a@b.jp>\r\n\r\n", "a@b.jp"),
        (b"From: a@b.jp (a comment (with another), and more)\r\n\r\n", "a@b.jp"),
        (b"From: (a comment \\) before) a@b.jp\r\n\r\n", "a@b.jp"),
        (b"From: Group: a@b.jp;\r\n\r\n", "a@b.jp"),
        (b"From: a@b.jp, A@B.JP\r\n\r\n", "a@b.jp"),
        (b"From: a@b.jp,\r\n\r\n", "a@b.jp"),
        (b"From: <a@b.jp> <c@d.jp>\r\n\r\n", "a@b.jp"),
        (b"From: <@relay.jp:a@b.jp>\r\n\r\n", "a@b.jp"),
        (b"Return-Path: <x@y.jp>\nFrom : a@b.jp\n", "a@b.jp"),
        (b"From a@b.jp Tue Dec 22 15:13:25 2009\nFrom: a@b.jp\n\n", "a@b.jp"),
    ] {
        assert_eq!(read(header).from, one(address), "{}", String::from_utf8_lossy(header));
    }
}

#[test]
fn a_name_in_a_raw_japanese_charset_hides_no_address() {
    for header in [
        // Shift_JIS, where 表 ends in a backslash and ソ too.
        &b"From: \"\x95\x5c\" <a@b.jp>\r\n\r\n"[..],
        b"From: \x83\x5c\x83t\x83g <a@b.jp>\r\n\r\n",
        // ISO-2022-JP: the way back to ASCII has a bracket, and 花 with others gives quotes and commas.
        b"From: \x1b$B2V;R\x1b(B <a@b.jp>\r\n\r\n",
        b"From: \x1b$B\"\"!,;<\x1b(B <a@b.jp>\r\n\r\n",
        b"From: \"unbalanced <a@b.jp>\r\n\r\n",
        b"From: \xe8\x8a\xb1\xe5\xad\x90 <a@b.jp>\r\n\r\n",
    ] {
        assert_eq!(read(header).from, one("a@b.jp"), "{}", String::from_utf8_lossy(header));
    }
}

#[test]
fn a_from_that_names_nobody_or_several_is_told_apart_from_none() {
    for (header, from) in [
        ("", FromField::Missing),
        ("Subject: x\r\n\r\nFrom: a@b.jp\r\n", FromField::Missing),
        ("\r\nFrom: a@b.jp\r\n", FromField::Missing),
        ("From: \r\n\r\n", FromField::Unusable),
        ("From: hanako\r\n\r\n", FromField::Unusable),
        ("From: undisclosed-senders:;\r\n\r\n", FromField::Unusable),
        ("From: a@[192.0.2.1]\r\n\r\n", FromField::Unusable),
        ("From: a@b.jp, c@d.jp\r\n\r\n", FromField::Several),
        ("From: a@b.jp\r\nFrom: c@d.jp\r\n\r\n", FromField::Several),
    ] {
        assert_eq!(read(header.as_bytes()).from, from, "{header}");
    }
}

#[test]
fn the_first_message_id_counts() {
    let id = |header: &str| read(header.as_bytes()).message_id.map(|id| id.as_str().to_owned());
    assert_eq!(id("Message-Id: <a@b>\r\nMessage-ID: <c@d>\r\n\r\n").as_deref(), Some("a@b"));
    assert_eq!(id("Message-ID:\r\n <2122@-2122>\r\n\r\n").as_deref(), Some("2122@-2122"));
    assert_eq!(id("Message-ID: <>\r\n\r\n"), None);
}

#[test]
fn each_mark_of_a_machine_is_seen() {
    for (header, mark) in [
        ("Auto-Submitted: auto-generated", Mark::AutoSubmitted),
        ("auto-submitted:AUTO-REPLIED; owner-email=\"x@y.jp\"", Mark::AutoSubmitted),
        ("Auto-Submitted: auto-notified", Mark::AutoSubmitted),
        ("X-Auto-Response-Suppress: All", Mark::AutoSubmitted),
        ("X-Autoreply: yes", Mark::AutoSubmitted),
        ("X-Autorespond: vacation", Mark::AutoSubmitted),
        ("Precedence: auto_reply", Mark::AutoSubmitted),
        ("Precedence: bulk", Mark::Bulk),
        ("Precedence:\r\n JUNK", Mark::Bulk),
        ("Precedence: list", Mark::List),
        ("List-Id: x <x.example.jp>", Mark::List),
        ("List-Unsubscribe: <mailto:x@y.jp>", Mark::List),
        ("Mailing-List: x", Mark::List),
        ("X-ML-Name: members", Mark::List),
        ("Content-Type: multipart/report; report-type=delivery-status; boundary=x", Mark::Report),
        ("Content-Type:Multipart/Report", Mark::Report),
        ("Content-Type: message/delivery-status", Mark::Report),
        ("Content-Type: message/global-disposition-notification", Mark::Report),
        ("X-Failed-Recipients: a@b.jp", Mark::Report),
        ("Return-Path: < >", Mark::NullReturnPath),
        ("X-Loop: a@b.jp", Mark::Loop),
    ] {
        assert_eq!(marks(&format!("From: a@b.jp\r\n{header}\r\n\r\n")), [mark], "{header}");
    }
}

#[test]
fn what_people_send_has_no_mark() {
    for header in [
        "Auto-Submitted: no",
        "auto-submitted:No (typed by hand)",
        "X-Auto-Response-Suppress: None",
        "X-Autoreply: no",
        "Precedence: first-class",
        "Return-Path: <a@b.jp>",
        "Feedback-ID: 1.ap-northeast-1.x:AmazonSES",
        "Content-Type: multipart/alternative; boundary=x",
        "Content-Type: message/rfc822",
        "X-Priority: 3",
        "X-SB-Service: Virus-Checked",
        "Subject: list-id: bulk",
    ] {
        assert_eq!(marks(&format!("{header}\r\n\r\nAuto-Submitted: auto-replied\r\n")), [], "{header}");
    }
}

#[test]
fn a_mail_that_went_through_more_stations_than_any_does_is_going_round() {
    let hops = |count| marks(&"Received: from a by b\r\n".repeat(count));
    assert_eq!(hops(50), []);
    assert_eq!(hops(51), [Mark::Loop]);
}

#[test]
fn a_header_beyond_what_is_looked_at_is_going_round_and_a_long_body_is_not() {
    let long = format!("X-A: {}\r\n", "x".repeat(1_000)).repeat(70);
    assert_eq!(marks(&long), [Mark::Loop]);
    assert_eq!(marks(&format!("From: a@b.jp\r\n\r\n{long}")), []);
    assert_eq!(marks(&format!("From: a@b.jp\n\n{long}")), []);
}

#[test]
fn a_programs_address_is_known_by_its_name() {
    for local in [
        "MAILER-DAEMON",
        "postmaster",
        "no-reply",
        "noreply+x",
        "bounces+4711-a=b.jp",
        "owner-members",
        "members-request",
        "members-bounces",
    ] {
        assert!(is_automatic_sender(&format!("{local}@example.jp").parse().unwrap()), "{local}");
    }
    for local in ["hanako", "bouncer", "replyno", "request", "post.master", "b", "\"\"\"+x"] {
        let address = EmailAddress::new(local, "example.jp".parse().unwrap()).unwrap();
        assert!(!is_automatic_sender(&address), "{local}");
    }
}

#[test]
fn thousands_of_senders_in_one_field_are_no_work() {
    let header = format!("From: {}\r\n\r\n", (0..9_000).map(|n| format!("{n}@b.jp,")).collect::<String>());
    assert_eq!(read(header.as_bytes()).from, FromField::Several);
}

proptest! {
    #[test]
    fn any_bytes_give_a_reading(bytes in any::<Vec<u8>>()) {
        prop_assert!(read(&bytes).marks.len() <= 6);
    }

    #[test]
    fn any_bytes_in_a_from_field_give_at_most_an_address(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
        let header = [b"From: ".as_slice(), &bytes, b" <a@b.jp>\r\n\r\n"].concat();
        prop_assert!(read(&header).from != FromField::Missing);
    }

    #[test]
    fn a_regular_field_is_read_among_any_garbage(
        before in "[^\0-\u{1f}:]{0,40}", name in "[a-z0-9.]{1,20}", after in any::<Vec<u8>>(),
    ) {
        let address = format!("{name}@docomo.ne.jp");
        let header = format!("x{before}\r\nX-{before}: x\r\nFrom: <{address}>\r\n\r\n");
        prop_assert_eq!(read(&[header.as_bytes(), &after].concat()).from, one(&address));
    }

    #[test]
    fn dots_in_odd_places_are_read_as_another_program_quotes_them(name in "[a-z.]{1,12}") {
        let address: EmailAddress = format!("{name}@docomo.ne.jp").parse().unwrap();
        for form in [address.to_wire(), address.to_string(), format!("<{address}>"), format!("x <{}>", address.to_wire())] {
            prop_assert_eq!(read(format!("From: {form}\r\n").as_bytes()).from, one(&address.to_string()));
        }
    }
}
