//! Every kind of mail that is composed, as the receiving server gets it: whom it is from, who vouches for it, how long it is,
//! and where in it the reader finds what matters.

use super::world::{World, before_the_code, keychain, one_peer};
use crate::peer::{Mail, Setup};
use crate::signing::verified;
use data_encoding::HEXLOWER;
use karamail::model::{Language, MemberId, Span, Via};
use karamail::queue::{Class, Content, NewJob, Notice};
use karamail::random::Random;
use karamail::service::otp::{Ordered, Otp, Purpose};
use karamail::store::{NewMail, NewMember, StoreError, Tx};
use mail_parser::MessageParser;

const FROM: &str = "anpi@mob-connect.example";
const NOTICES: [Notice; 6] = [
    Notice::PasswordChanged,
    Notice::PasswordReset,
    Notice::TwoFactorSet,
    Notice::TwoFactorRemoved,
    Notice::TwoFactorReset,
    Notice::BackupCodeUsed,
];
/// The longest title that an organisation may have.
const TITLE_MAX: usize = 64;

/// What a reader has to find near the top.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Point {
    Code,
    Link,
    Nothing,
}

/// A kind of mail: its name, which is that of its recipient, too.
const fn kind(content: &Content) -> (&'static str, Class, Point) {
    // No wildcard: whoever adds a kind comes by here.
    match content {
        Content::Otp { .. } => ("otp", Class::Otp, Point::Code),
        Content::RegistrationReply { .. } => ("registration", Class::Registration, Point::Link),
        Content::ContactTest { .. } => ("contact", Class::ContactTest, Point::Link),
        Content::Security { what, .. } => (what.as_str(), Class::Notice, Point::Nothing),
        Content::Forward { .. } => ("forward", Class::Notice, Point::Nothing),
    }
}

fn member(language: Language) -> NewMember {
    NewMember {
        login: language.as_str().parse().unwrap(),
        name: "花子".to_owned(),
        kana: None,
        department: None,
        language,
        password_hash: None,
        addresses: [None, None, None],
    }
}

fn kept(world: &World) -> NewMail {
    NewMail {
        via: Via::Smtp,
        peer: "203.0.113.9".parse().unwrap(),
        helo: "docomo.ne.jp".to_owned(),
        sender: None,
        to: "postmaster@mc-anpi.example".parse().unwrap(),
        message_id: None,
        size: 3,
        at: world.clock.now(),
        decision: "kept",
        reason: None,
        raw: Some(b"From: other@evil.example\r\nSubject: hi\r\n\r\nhttp://evil.example/\r\n".to_vec()),
    }
}

/// Puts one mail of each kind into the queue that can be put there directly; gives the members, one a language.
async fn lay(world: &World) -> Vec<(MemberId, Language)> {
    let (now, kept) = (world.clock.now(), kept(world));
    let expires = now.plus(Span::from_secs(86_400));
    let work = move |tx: &mut Tx<'_>| {
        let title = "団".repeat(TITLE_MAX);
        let code = "DEMO".parse().unwrap();
        let org = tx.add_org(&code, &title, None, now)?.unwrap();
        let mut orders = Vec::new();
        let (key, nonce) = (1, HEXLOWER.encode(&[9; 16]));
        let to = "someone@carrier.example".parse().unwrap();
        let registration = tx.begin_registration(&to, Some(&code), now, expires)?;
        let reply = Content::RegistrationReply { registration, key, expires: expires.seconds(), nonce: nonce.clone() };
        orders.push((reply, None));
        orders.push((Content::Forward { mail: tx.remember_mail(&kept)? }, None));
        let mut members = Vec::new();
        for language in Language::ALL {
            let (id, _) = tx.put_member(org, &member(language), now)?;
            let test = tx.begin_contact_test(id, &to, now, expires)?;
            let contact = Content::ContactTest { test, key, expires: expires.seconds(), nonce: nonce.clone() };
            orders.push((contact, Some(language)));
            orders.extend(NOTICES.map(|what| (Content::Security { member: id, what }, Some(language))));
            members.push((id, language));
        }
        for (content, language) in orders {
            let (name, class, _) = kind(&content);
            let to = format!("{name}@carrier.example").parse().unwrap();
            let give_up = now.plus(Span::from_secs(3_600));
            tx.enqueue(&NewJob { class, to, content, language, cause: None, queued_at: now, due: now, give_up })?;
        }
        Ok(members)
    };
    world.store.write::<_, StoreError, _>(work).await.unwrap()
}

/// Orders a code as the pages do.
async fn order(world: &World, member: MemberId, language: Language) {
    let found = world.store.read::<_, StoreError, _>(move |tx| tx.member_by_id(member)).await.unwrap().unwrap();
    let now = world.clock.now();
    let visitor = before_the_code(found, language.as_str().as_bytes()[0], now);
    let otp = Otp::new(world.store.clone(), keychain(), Random::repeating(8));
    let to = format!("otp{}@carrier.example", language.as_str()).parse().unwrap();
    let ordered = otp.order(&visitor, Purpose::Login, &to, language, now).await.unwrap();
    assert!(matches!(ordered, Ordered::Sent { .. }), "{ordered:?}");
}

/// One mail of each kind in each language it has, as a server took them, and the names that its signers publish.
async fn every_kind() -> (World, Vec<Mail>) {
    let (peer, plan) = one_peer(Setup::default()).await;
    let record = |signer: &karamail::keys::DkimSigner| {
        format!("{} TXT {}", signer.key.record_name(&signer.domain), signer.key.record())
    };
    let published: Vec<String> = plan.keys.iter().map(record).collect();
    let mut world = World::prepare(&format!("{}\n{}", plan.zone, published.join("\n"))).await;
    let members = lay(&world).await;
    for (member, language) in &members {
        order(&world, *member, *language).await;
    }
    world.run(plan);
    let number = 2 + members.len() * (2 + NOTICES.len());
    let seen = peer.wait_for(|seen| seen.mails.len() >= number).await;
    (world, seen.mails)
}

fn local(mail: &Mail) -> &str {
    mail.rcpt.strip_prefix("RCPT TO:<").unwrap().split('@').next().unwrap()
}

#[tokio::test]
async fn r006_r007_every_kind_of_mail_is_from_the_published_address_and_signed_by_its_domain() {
    let (world, mails) = every_kind().await;
    for mail in mails {
        let message = MessageParser::default().parse(&mail.message).unwrap();
        let from: Vec<&str> = message.from().unwrap().iter().filter_map(|from| from.address()).collect();
        assert_eq!(from, [FROM], "{}", local(&mail));
        // RFC 7489 3.1: the return address is of the organisation that From shows, and so is the signature.
        let bounces = mail.mail.strip_prefix("MAIL FROM:<b+").unwrap().split('>').next().unwrap();
        assert!(bounces.ends_with("@bounce.mob-connect.example"), "{}", mail.mail);
        let header = String::from_utf8_lossy(&mail.message);
        let header = header.split_once("\r\n\r\n").unwrap().0;
        for field in ["From", "To", "Subject", "Date", "Message-ID"] {
            assert_eq!(header.matches(&format!("\r\n{field}: ")).count(), 1, "{field} in {header}");
        }
        for field in ["Sender", "Reply-To", "Return-Path", "Bcc", "Cc"] {
            assert!(!header.contains(&format!("\r\n{field}:")), "{header}");
        }
        assert_eq!(header.matches("DKIM-Signature:").count(), 2, "{header}");
        assert_eq!(header.matches("d=mob-connect.example;").count(), 2, "{header}");
        let verdicts = verified(&world.names, &mail.message).await;
        assert!(verdicts.len() == 2 && verdicts.iter().all(|(_, passes)| *passes), "{}: {verdicts:?}", local(&mail));
    }
}

/// The last byte at which a code may begin, and a link: a phone that cuts a long mail shows a few hundred.
const CODE_WITHIN: usize = 300;
const LINK_WITHIN: usize = 640;

#[tokio::test]
async fn r010_r012_every_kind_of_mail_is_short_and_has_its_code_or_its_one_link_near_the_top() {
    let (_world, mails) = every_kind().await;
    for mail in mails {
        let (name, message) = (local(&mail), MessageParser::default().parse(&mail.message).unwrap());
        let text = message.body_text(0).unwrap().replace("\r\n", "\n");
        let point = match name {
            "otpja" | "otpen" => Point::Code,
            "registration" | "contact" => Point::Link,
            _ => Point::Nothing,
        };
        let is_code = |line: &str| line.len() == 7 && line.bytes().all(|byte| byte.is_ascii_digit() || byte == b' ');
        let at = |fits: &dyn Fn(&str) -> bool| {
            text.lines().filter(|line| fits(line)).map(|line| text.find(line).unwrap()).collect::<Vec<_>>()
        };
        let (codes, links) = (at(&is_code), at(&|line| line.contains("://")));
        match point {
            Point::Code => assert!(codes.len() == 1 && codes[0] <= CODE_WITHIN && links.is_empty(), "{text}"),
            Point::Link => assert!(links.len() == 1 && links[0] <= LINK_WITHIN && codes.is_empty(), "{text}"),
            Point::Nothing => assert!(links.is_empty() && codes.is_empty(), "{text}"),
        }
        assert_eq!(text.matches("://").count(), links.len(), "{text}");
        assert!(!message.subject().unwrap().contains("://"), "{name}");
        // The longest title stands in each of them.
        assert!(text.len() <= 2_048, "{name}: {}", text.len());
        assert!(mail.message.len() <= 8_192, "{name}: {}", mail.message.len());
    }
}
