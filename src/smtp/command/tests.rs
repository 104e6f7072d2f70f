use super::*;
use proptest::prelude::*;

fn sender(line: &str) -> Result<Mail, Refusal> {
    let command = parse(line.as_bytes())?;
    let Command::Mail(mail) = command else { panic!("{line}: {command:?}") };
    Ok(mail)
}

fn from(address: &str) -> Mail {
    Mail { sender: ReversePath::Address(address.parse().unwrap()), size: None, utf8: false }
}

fn to(line: &str) -> Result<String, Refusal> {
    let command = parse(line.as_bytes())?;
    let Command::Rcpt(rcpt) = command else { panic!("{line}: {command:?}") };
    Ok(match rcpt.to {
        Recipient::Address(address) => address.to_string(),
        Recipient::Postmaster => "postmaster".to_owned(),
    })
}

fn name(line: &[u8]) -> Result<Hello, Refusal> {
    let command = parse(line)?;
    let Command::Hello(hello) = command else { panic!("{command:?}") };
    Ok(hello)
}

#[test]
fn every_command_is_known_whatever_its_case() {
    for (line, command) in [
        ("DATA", Command::Data),
        ("data", Command::Data),
        ("Rset", Command::Rset),
        ("NOOP", Command::Noop),
        ("VRFY hanako", Command::Vrfy),
        ("HELP", Command::Help),
        ("help mail", Command::Help),
        ("QUIT", Command::Quit),
    ] {
        assert_eq!(parse(line.as_bytes()), Ok(command), "{line}");
    }
    assert_eq!(sender("mail from:<a@b.jp>"), Ok(from("a@b.jp")));
    assert_eq!(to("rcpt to:<a@b.jp>"), Ok("a@b.jp".to_owned()));
}

#[test]
fn blanks_before_the_line_end_are_ignored() {
    assert_eq!(parse(b"QUIT  "), Ok(Command::Quit));
    assert_eq!(parse(b"DATA\t"), Ok(Command::Data));
    assert_eq!(sender("MAIL FROM:<a@b.jp> "), Ok(from("a@b.jp")));
}

#[test]
fn a_blank_between_the_colon_and_the_path_is_ignored() {
    assert_eq!(sender("MAIL FROM: <a@b.jp>"), Ok(from("a@b.jp")));
    assert_eq!(sender("MAIL FROM:  <a@b.jp> SIZE=3").map(|mail| mail.size), Ok(Some(3)));
    assert_eq!(to("RCPT TO: <a@b.jp>"), Ok("a@b.jp".to_owned()));
}

#[test]
fn words_beyond_the_grammars_are_no_reason_to_refuse_a_harmless_command() {
    assert_eq!(parse(b"NOOP <a.b@c>"), Ok(Command::Noop));
    assert_eq!(parse(b"HELP me, please: now"), Ok(Command::Help));
    assert_eq!(parse(b"VRFY <a@b.jp>"), Ok(Command::Vrfy));
}

#[test]
fn any_visible_name_is_taken_as_it_was_sent() {
    for said in
        ["mail.example.jp", "my_host", "[192.0.2.1]", "[IPv6:::1]", "localhost", "host.", "#1234", "太郎のPC", "a:b"]
    {
        for (verb, extended) in [("EHLO", true), ("helo", false)] {
            let line = format!("{verb} {said}");
            assert_eq!(name(line.as_bytes()), Ok(Hello { extended, name: said.to_owned() }), "{line}");
        }
    }
    assert_eq!(name(b"EHLO \x91\xbe\x98Y").map(|hello| hello.name), Ok("\u{fffd}\u{fffd}\u{fffd}Y".to_owned()));
}

#[test]
fn a_name_that_is_missing_endless_or_invisible_is_refused() {
    let long = format!("EHLO {}", "a".repeat(256));
    for line in [b"EHLO".as_slice(), b"HELO ", b"EHLO \0", b"EHLO a\x1b[2J", b"EHLO a\xc2\x9b2J", long.as_bytes()] {
        assert_eq!(name(line), Err(Refusal::Arguments), "{}", line.escape_ascii());
    }
}

#[test]
fn parameters_of_mail_are_read() {
    assert_eq!(sender("MAIL FROM:<a@b.jp> SIZE=1024").map(|mail| mail.size), Ok(Some(1024)));
    assert_eq!(sender("MAIL FROM:<a@b.jp> size=0 BODY=8BITMIME").map(|mail| mail.size), Ok(Some(0)));
    assert_eq!(sender("MAIL FROM:<a@b.jp> BODY=7BIT"), Ok(from("a@b.jp")));
    assert_eq!(sender("MAIL FROM:<a@b.jp> body=8bitmime SMTPUTF8").map(|mail| mail.utf8), Ok(true));
    let endless = sender("MAIL FROM:<a@b.jp> SIZE=99999999999999999999");
    assert_eq!(endless.map(|mail| mail.size), Ok(Some(u64::MAX)));
}

#[test]
fn parameters_that_are_wrong_and_parameters_nobody_knows_are_told_apart() {
    for wrong in [
        "SIZE",
        "SIZE=",
        "SIZE=-1",
        "SIZE=1k",
        "SIZE=999999999999999999999",
        "SIZE=1 SIZE=2",
        "BODY=BINARYMIME",
        "BODY",
        "BODY=7BIT BODY=7BIT",
        "SMTPUTF8=1",
        "SMTPUTF8 SMTPUTF8",
    ] {
        assert_eq!(sender(&format!("MAIL FROM:<a@b.jp> {wrong}")), Err(Refusal::Parameter), "{wrong}");
    }
    for unknown in ["RET=HDRS", "ENVID=a.b:c", "AUTH=<>", "X", "=", "REQUIRETLS", "SIZE=1 FOO=1"] {
        assert_eq!(sender(&format!("MAIL FROM:<a@b.jp> {unknown}")), Err(Refusal::UnknownParameter), "{unknown}");
    }
    for unknown in ["NOTIFY=NEVER", "ORCPT=rfc822;a@b.jp", "SIZE=1"] {
        assert_eq!(to(&format!("RCPT TO:<a@b.jp> {unknown}")), Err(Refusal::UnknownParameter), "{unknown}");
    }
    assert_eq!(sender("MAIL FROM:<a@b.jp>SIZE=1"), Err(Refusal::Arguments));
}

#[test]
fn a_null_sender_is_nobody() {
    let nobody = Mail { sender: ReversePath::Null, size: None, utf8: false };
    assert_eq!(sender("MAIL FROM:<>"), Ok(nobody.clone()));
    assert_eq!(sender("MAIL FROM: <> BODY=7BIT"), Ok(nobody));
    assert_eq!(to("RCPT TO:<>"), Err(Refusal::Recipient));
}

#[test]
fn dots_in_odd_places_are_taken_raw_and_quoted_as_one_address() {
    for address in ["a..b.@docomo.ne.jp", ".a@ezweb.ne.jp", "a.@mail.ru", "...@docomo.ne.jp"] {
        let (local, domain) = address.split_once('@').unwrap();
        assert_eq!(sender(&format!("MAIL FROM:<{address}>")), Ok(from(address)));
        assert_eq!(sender(&format!("MAIL FROM:<\"{local}\"@{domain}>")), Ok(from(address)));
        assert_eq!(to(&format!("RCPT TO:<{address}>")), Ok(address.to_owned()));
        assert_eq!(to(&format!("RCPT TO:<\"{local}\"@{domain}>")), Ok(address.to_owned()));
    }
}

#[test]
fn what_stands_in_quotes_is_not_the_end_of_the_path() {
    assert_eq!(sender(r#"MAIL FROM:<"a>b"@c.jp> SIZE=1"#).map(|mail| mail.sender), Ok(from(r#""a>b"@c.jp"#).sender));
    assert_eq!(sender(r#"MAIL FROM:<"a\">b"@c.jp>"#), Ok(from(r#""a\">b"@c.jp"#)));
    assert_eq!(sender(r#"MAIL FROM:<"a b"@c.jp>"#), Ok(from(r#""a b"@c.jp"#)));
}

#[test]
fn postmaster_needs_no_domain() {
    assert_eq!(to("RCPT TO:<postmaster>"), Ok("postmaster".to_owned()));
    assert_eq!(to("RCPT TO: <PostMaster>"), Ok("postmaster".to_owned()));
    assert_eq!(sender("MAIL FROM:<postmaster>"), Err(Refusal::Sender));
    assert_eq!(to("RCPT TO:<abuse>"), Err(Refusal::Recipient));
}

#[test]
fn source_routes_are_ignored() {
    for route in ["@relay.jp:", "@one.jp,@two.jp:", "@localhost:"] {
        assert_eq!(to(&format!("RCPT TO:<{route}a@b.jp>")), Ok("a@b.jp".to_owned()), "{route}");
        assert_eq!(sender(&format!("MAIL FROM:<{route}a@b.jp>")), Ok(from("a@b.jp")), "{route}");
    }
}

#[test]
fn domains_beyond_letters_digits_and_hyphens_are_taken() {
    assert_eq!(to("RCPT TO:<a@my_host.jp>"), Ok("a@my_host.jp".to_owned()));
    assert_eq!(to("RCPT TO:<a@B.jp.>"), Ok("a@b.jp".to_owned()));
    assert_eq!(to("RCPT TO:<a@日本語.jp>"), Ok("a@xn--wgv71a119e.jp".to_owned()));
}

#[test]
fn addresses_beyond_ascii_need_smtputf8() {
    for path in ["花子@example.jp", "\"花子\"@example.jp", "a@日本語.jp"] {
        assert_eq!(sender(&format!("MAIL FROM:<{path}>")), Err(Refusal::NeedsUtf8), "{path}");
        let taken = sender(&format!("MAIL FROM:<{path}> SMTPUTF8"));
        assert_eq!(taken, Ok(Mail { utf8: true, ..from(path) }), "{path}");
        let line = format!("RCPT TO:<{path}>");
        assert!(matches!(parse(line.as_bytes()), Ok(Command::Rcpt(Rcpt { utf8: true, .. }))), "{path}");
    }
    assert_eq!(parse(b"MAIL FROM:<\x89\xd4@b.jp> SMTPUTF8"), Err(Refusal::Sender), "Shift_JIS is not UTF-8");
}

#[test]
fn what_is_no_address_is_told_apart_from_what_is_no_path() {
    let long = "a".repeat(65);
    for path in [
        "",
        "a@b.jp",
        "<a@b.jp",
        "<a>",
        "<@b.jp>",
        "<a@>",
        "<a@b@c.jp>",
        "<a b@c.jp>",
        "<a@[192.0.2.1]>",
        "<\"a\u{0}\"@b.jp>",
        "<a\\\u{1}@b.jp>",
        "<<a@b.jp>>",
        &format!("<{long}@b.jp>"),
    ] {
        assert_eq!(sender(&format!("MAIL FROM:{path}")), Err(Refusal::Sender), "{path}");
        assert_eq!(to(&format!("RCPT TO:{path}")), Err(Refusal::Recipient), "{path}");
    }
    for line in [
        "MAIL",
        "MAIL <a@b.jp>",
        "RCPT FROM:<a@b.jp>",
        "MAIL TO:<a@b.jp>",
        "DATA now",
        "RSET all",
        "STARTTLS 1",
        "QUIT!",
        "VRFY",
    ] {
        let expected = if line == "QUIT!" { Refusal::Unknown } else { Refusal::Arguments };
        assert_eq!(parse(line.as_bytes()), Err(expected), "{line}");
    }
}

#[test]
fn commands_that_are_not_offered_are_told_apart_from_noise() {
    for line in ["AUTH PLAIN AAAA", "BDAT 5 LAST", "ETRN x", "EXPN list", "TURN", "SEND FROM:<a@b.jp>"] {
        assert_eq!(parse(line.as_bytes()), Err(Refusal::NotOffered), "{line}");
    }
    for line in
        [b"".as_slice(), b" ", b"HELLO", b"LHLO a.jp", b"GET / HTTP/1.1", b"\0\0\0", b"\xff\xfe", b"MAIL\0FROM:<>"]
    {
        assert_eq!(parse(line), Err(Refusal::Unknown), "{}", line.escape_ascii());
    }
}

proptest! {
    #[test]
    fn no_line_makes_the_reader_fall_over(line in prop::collection::vec(any::<u8>(), 0..400)) {
        drop(parse(&line));
        drop(parse(&[MAIL, &line].concat()));
        drop(parse(&[RCPT, b"<", &line, b">"].concat()));
        drop(parse(&[b"EHLO ".as_slice(), &line].concat()));
    }

    #[test]
    fn an_address_is_read_back_from_the_wire(local in "[!-~]{1,20}", domain in "[a-z]{1,5}\\.jp") {
        let address = EmailAddress::new(&local, domain.parse().unwrap()).unwrap();
        prop_assert_eq!(to(&format!("RCPT TO:<{}>", address.to_wire())), Ok(address.to_string()));
    }
}
