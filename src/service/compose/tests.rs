use super::*;
use crate::keys::Keys;
use crate::model::{KeyRing, LoginId, Priority, Secret, Span};
use crate::queue::{Class, NewJob, Notice, State};
use crate::random::Random;
use crate::service::notice::Notices;
use crate::service::otp::{Ordered, Otp};
use crate::service::session::{Stage, Visitor};
use crate::store::{AddressRow, AddressState, FactorKind, JobFilter, Location, NewMail, NewMember, Options};
use data_encoding::BASE64_MIME;

mod contact_test;

const NOON: Timestamp = Timestamp::from_millis(1_795_316_400_123);
/// 2026-11-23 12:00:59 in Japan.
const EXPIRES: i64 = 1_795_402_859;

fn ring(active: u16, ids: &[u16]) -> KeyRing {
    let key = |id: &u16| (*id, Secret::new([u8::try_from(*id).unwrap(); 32]));
    KeyRing::new(active, ids.iter().map(key).collect()).unwrap()
}

/// A store with an open registration, and the job that answers its mail.
struct World {
    store: Store,
    registration: RegistrationId,
    job: Job,
    _folder: tempfile::TempDir,
}

fn mail_row() -> NewMail {
    NewMail {
        via: crate::model::Via::Smtp,
        peer: "203.0.113.9".parse().unwrap(),
        helo: "docomo.ne.jp".to_owned(),
        sender: "a..b.@docomo.ne.jp".parse().ok(),
        to: "bizanpi+demo@mc-anpi.example".parse().unwrap(),
        message_id: Some("IMT$0ltE1323eb6905kK@docomo.ne.jp".to_owned()),
        size: 3,
        at: NOON,
        decision: "answered",
        reason: None,
        raw: None,
    }
}

fn job(content: Content, to: &str, cause: Option<MailId>) -> Job {
    let order = NewJob {
        class: Class::Registration,
        to: to.parse().unwrap(),
        content,
        language: None,
        cause,
        queued_at: NOON,
        due: NOON,
        give_up: NOON.plus(Span::from_secs(86_400)),
    };
    Job {
        id: JobId::new(16),
        order,
        state: State::Queued,
        due: NOON,
        attempts: 0,
        lease: None,
        last: None,
        last_cause: None,
        held_since: None,
        held: Span::default(),
    }
}

async fn world(org: Option<&str>) -> World {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(Options::new(Location::Sqlite(folder.path().join("test.db")))).await.unwrap();
    let code = org.map(|code| code.parse().unwrap());
    let made = store.write(move |tx| {
        let cause = tx.remember_mail(&mail_row())?;
        let address = "a..b.@docomo.ne.jp".parse().unwrap();
        let expires = Timestamp::from_millis(EXPIRES * 1_000);
        Ok::<_, StoreError>((cause, tx.begin_registration(&address, code.as_ref(), NOON, expires)?))
    });
    let (cause, registration) = made.await.unwrap();
    let nonce = HEXLOWER.encode(&[9; 16]);
    let content = Content::RegistrationReply { registration, key: 1, expires: EXPIRES, nonce };
    let job = job(content, "a..b.@docomo.ne.jp", Some(cause));
    World { store, registration, job, _folder: folder }
}

impl World {
    fn composer(&self, links: KeyRing) -> Composer {
        let settings = Settings {
            address: "anpi@mob-connect.example".parse().unwrap(),
            title: "安否確認/一斉通報サービス".to_owned(),
            title_en: "Emergency Service".to_owned(),
            bounce_domain: "bounce.mob-connect.example".parse().unwrap(),
            public_url: "https://www.mc-anpi.example/".to_owned(),
        };
        let keys = Keychain::of(Keys::apart(links, ring(5, &[5]), ring(3, &[3])));
        Composer::new(self.store.clone(), Templates::new([]).unwrap(), keys, settings)
    }

    async fn composed(&self) -> Composed {
        self.composer(ring(1, &[1])).compose(&self.job).await.unwrap()
    }

    async fn mail(&self) -> Outgoing {
        match self.composed().await {
            Composed::Mail(mail) => mail,
            Composed::Unwanted(why) => panic!("{why:?}"),
        }
    }
}

/// The header and the text of a mail of one part.
fn parts(mail: &Outgoing) -> (String, String) {
    let message = String::from_utf8(mail.message.clone()).unwrap();
    let (header, body) = message.split_once("\r\n\r\n").unwrap();
    let text = String::from_utf8(BASE64_MIME.decode(body.as_bytes()).unwrap()).unwrap();
    (header.to_owned(), text.replace("\r\n", "\n"))
}

/// The token of the only URL in a text.
fn token(text: &str) -> String {
    let urls: Vec<&str> = text.lines().filter(|line| line.contains("://")).collect();
    let [url] = urls.as_slice() else { panic!("{text}") };
    url.strip_prefix("https://www.mc-anpi.example/r/").unwrap().to_owned()
}

#[tokio::test]
async fn r113_to_r116_the_answer_carries_one_link_that_opens_the_registration() {
    let world = world(None).await;
    let mail = world.mail().await;
    assert_eq!(mail.to.to_wire(), "\"a..b.\"@docomo.ne.jp");
    let day = verp::read(&ring(3, &[3]), &mail.sender, &"bounce.mob-connect.example".parse().unwrap());
    assert_eq!(day, Ok((JobId::new(16), 20_779)));

    let (header, text) = parts(&mail);
    for field in [
        " <anpi@mob-connect.example>\r\n",
        "To: <\"a..b.\"@docomo.ne.jp>\r\n",
        "Date: Sun, 22 Nov 2026 03:00:00 +0000\r\n",
        "Message-ID: <jq.1795316400123@mob-connect.example>\r\n",
        "In-Reply-To: <IMT$0ltE1323eb6905kK@docomo.ne.jp>\r\n",
        "Auto-Submitted: auto-replied\r\n",
    ] {
        assert!(header.contains(field), "{field} in {header}");
    }
    assert!(text.starts_with("安否確認/一斉通報サービスより"), "{text}");
    assert!(text.contains("2026/11/23 12:00（日本時間）"), "{text}");

    let link = Link::verify(&token(&text), Purpose::Registration, &ring(1, &[1]), NOON).unwrap();
    assert_eq!((link.row, link.expires, link.nonce), (world.registration.number(), EXPIRES, [9; 16]));
}

#[tokio::test]
async fn the_same_job_gives_the_same_mail_at_every_attempt() {
    let world = world(None).await;
    assert_eq!(world.mail().await, world.mail().await);
}

#[tokio::test]
async fn r116_an_organisations_answer_has_its_title() {
    let world = world(Some("DEMO")).await;
    let add = |title_en: Option<&'static str>| {
        world.store.write(move |tx| {
            let code = "DEMO".parse().unwrap();
            tx.add_org(&code, "デモ商事", None, NOON)?;
            tx.set_org(&code, None, title_en)
        })
    };
    assert!(parts(&world.mail().await).1.starts_with("安否確認"));
    for (title_en, expected) in [(None, "for デモ商事)"), (Some("Demo Trading"), "for Demo Trading)")] {
        assert!(add(title_en).await.unwrap());
        let (header, text) = parts(&world.mail().await);
        assert!(header.starts_with("From: =?utf-8?B?44OH44Oi5ZWG5LqL?= <anpi@mob-connect.example>"), "{header}");
        assert!(text.starts_with("デモ商事より"), "{text}");
        assert!(text.contains(expected), "{text}");
    }
}

#[tokio::test]
async fn an_answer_ordered_with_an_older_key_still_opens() {
    let world = world(None).await;
    for (links, same) in [(ring(2, &[1, 2]), true), (ring(2, &[2]), false)] {
        let Composed::Mail(mail) = world.composer(links.clone()).compose(&world.job).await.unwrap() else { panic!() };
        let token = token(&parts(&mail).1);
        assert!(Link::verify(&token, Purpose::Registration, &links, NOON).is_ok());
        assert_eq!(Link::verify(&token, Purpose::Registration, &ring(1, &[1]), NOON).is_ok(), same);
    }
}

#[tokio::test]
async fn nobody_is_asked_to_register_an_address_that_is_registered() {
    let world = world(None).await;
    let id = world.registration;
    let member = NewMember::plain("0001");
    let done = world.store.write(move |tx| {
        let org = tx.add_org(&"DEMO".parse().unwrap(), "デモ", None, NOON)?.unwrap();
        let (member, _) = tx.put_member(org, &member, NOON)?;
        tx.finish_registration(id, member, Priority::First, NOON)
    });
    assert!(done.await.unwrap());
    assert_eq!(world.composed().await, pointless("the address is registered"));
}

#[tokio::test]
async fn an_answer_to_a_registration_that_is_over_or_gone_is_pointless() {
    let mut world = world(None).await;
    let closed = world.store.write(|tx| {
        let late = Timestamp::from_millis((EXPIRES + 1) * 1_000);
        let address = "a..b.@docomo.ne.jp".parse().unwrap();
        tx.begin_registration(&address, None, late, late.plus(Span::from_secs(1)))
    });
    closed.await.unwrap();
    assert_eq!(world.composed().await, pointless("the registration is over"));
    let Content::RegistrationReply { registration, .. } = &mut world.job.order.content else { panic!() };
    *registration = RegistrationId::new(4_711);
    assert_eq!(world.composed().await, pointless("the registration is forgotten"));
}

#[tokio::test]
async fn nothing_is_written_to_an_address_that_was_struck_off() {
    let mut world = world(None).await;
    for (state, written) in [(AddressState::Unreachable, true), (AddressState::Suppressed, false)] {
        let row = AddressRow {
            address: "A..B.@docomo.ne.jp".parse().unwrap(),
            state,
            verdict: None,
            stage: None,
            reply: None,
            at: None,
            verified_at: None,
            unknown_day: Some(1),
        };
        world.store.write(move |tx| tx.note_address(&row)).await.unwrap();
        let wanted = world.composed().await != Composed::Unwanted(Unwanted::Suppressed);
        assert_eq!(wanted, written, "{state}");
    }
    world.job = job(Content::Forward { mail: MailId::new(4_711) }, "a..b.@docomo.ne.jp", None);
    assert_eq!(world.composed().await, Composed::Unwanted(Unwanted::Suppressed));
}

#[tokio::test]
async fn a_damaged_order_is_an_error_and_no_link() {
    let mut world = world(None).await;
    let Content::RegistrationReply { nonce, .. } = &mut world.job.order.content else { panic!() };
    nonce.truncate(30);
    let answer = world.composer(ring(1, &[1])).compose(&world.job).await;
    assert!(matches!(answer, Err(ComposeError::Nonce(_))), "{answer:?}");
}

/// A member of DEMO, and the mail of a code that was ordered for them in that language.
async fn ordered(world: &mut World, language: Language) -> String {
    let made = world.store.write(move |tx| {
        let org = match tx.org(&"DEMO".parse().unwrap())? {
            Some(org) => org.id,
            None => tx
                .add_org(&"DEMO".parse().unwrap(), "デモ商事\r\nBcc: x@y.jp", Some("Demo\nTo: z@y.jp"), NOON)?
                .unwrap(),
        };
        let member = NewMember {
            login: "0001".parse::<LoginId>().unwrap(),
            name: "花子".to_owned(),
            kana: None,
            department: None,
            language,
            password_hash: None,
            addresses: [None, None, None],
        };
        let (id, _) = tx.put_member(org, &member, NOON)?;
        tx.member_by_id(id)
    });
    let visitor = Visitor::just_in(made.await.unwrap().unwrap(), 1, Stage::Code, NOON);
    let otp = Otp::new(
        world.store.clone(),
        Keychain::of(Keys::apart(ring(1, &[1]), ring(5, &[5]), ring(3, &[3]))),
        Random::repeating(4),
    );
    let to = "\"a b\"@docomo.ne.jp".parse().unwrap();
    let at = if language == Language::Ja { NOON } else { NOON.plus(Span::from_secs(60)) };
    let sent = otp.order(&visitor, otp::Purpose::Login, &to, language, at).await.unwrap();
    assert!(matches!(sent, Ordered::Sent { .. }), "{sent:?}");
    let jobs = world.store.read(|tx| tx.list_jobs(&JobFilter::default())).await.unwrap();
    world.job = jobs.into_iter().max_by_key(|job| job.id).unwrap();
    let id = world.job.id;
    let sealed = world.store.read(move |tx| tx.secret(OTP_CODE, id.number())).await.unwrap().unwrap();
    otp::open(&ring(5, &[5]), id, &sealed).unwrap().reveal().clone()
}

#[tokio::test]
async fn r037_r038_r039_a_one_time_password_comes_from_the_published_address_with_its_title_and_no_url() {
    let mut world = world(None).await;
    for (language, title, subject, first, until) in [
        (
            Language::Ja,
            "デモ商事Bcc: x@y.jp",
            "二要素認証ワンタイムパスワード デモ商事Bcc: x@y.jp",
            "デモ商事Bcc: x@y.jpからのお知らせです。",
            // Ordered 123 milliseconds after noon.
            "2026/11/22 13:00",
        ),
        (
            Language::En,
            "DemoTo: z@y.jp",
            "One-time password for two-factor authentication DemoTo: z@y.jp",
            "A notice from DemoTo: z@y.jp",
            "2026/11/22 13:01",
        ),
    ] {
        let code = ordered(&mut world, language).await;
        let mail = world.mail().await;
        let (header, text) = parts(&mail);
        assert!(!header.contains("\r\nBcc:") && header.matches("\r\nTo: ").count() == 1, "{header}");
        let read = mail_parser::MessageParser::default().parse(&mail.message).unwrap();
        assert_eq!(read.subject(), Some(subject));
        let from =
            |field: &mail_parser::Addr<'_>| (field.name().map(str::to_owned), field.address().map(str::to_owned));
        let published = (Some(title.to_owned()), Some("anpi@mob-connect.example".to_owned()));
        assert_eq!(read.from().and_then(|from| from.first()).map(from), Some(published));
        assert!(text.starts_with(first) && text.contains(until), "{text}");
        let shown = format!("\n{} {}\n", &code[..3], &code[3..]);
        assert!(text.find(&shown).is_some_and(|at| at < 300), "{text}");
        assert!(!text.contains("://"), "{text}");
        assert!(!header.contains(&code) && !header.contains(shown.trim()), "{header}");
    }
}

#[tokio::test]
async fn a_code_that_is_over_is_not_sent() {
    let mut world = world(None).await;
    ordered(&mut world, Language::Ja).await;
    let Content::Otp { challenge } = world.job.order.content else { panic!("{:?}", world.job) };
    world.store.write::<_, StoreError, _>(move |tx| tx.end_challenge(challenge, NOON)).await.unwrap();
    assert_eq!(world.composed().await, pointless("the code is over"));
    ordered(&mut world, Language::En).await;
    let id = world.job.id;
    world.store.write::<_, StoreError, _>(move |tx| tx.wipe_secret(OTP_CODE, id.number())).await.unwrap();
    assert_eq!(world.composed().await, pointless("the code is over"));
}

#[tokio::test]
async fn a_code_that_stays_closed_is_an_error_that_does_not_show_it() {
    let mut world = world(None).await;
    ordered(&mut world, Language::Ja).await;
    let id = world.job.id.number();
    let move_it = move |tx: &mut Tx<'_>| {
        let sealed = tx.secret(OTP_CODE, id)?.unwrap();
        tx.put_secret(OTP_CODE, id, &sealed[..sealed.len() - 1])
    };
    world.store.write::<_, StoreError, _>(move_it).await.unwrap();
    let composed = world.composer(ring(1, &[1])).compose(&world.job).await;
    assert!(matches!(composed, Err(ComposeError::Sealed(_, SealError::Broken))), "{composed:?}");
}

#[tokio::test]
async fn a_notice_goes_to_every_address_of_the_member_and_to_the_one_that_receives_codes() {
    let mut world = world(None).await;
    ordered(&mut world, Language::En).await;
    let notices = Notices { give_up: Span::from_secs(7_200) };
    let queued = world.store.write::<_, StoreError, _>(move |tx| {
        let org = tx.org(&"DEMO".parse().unwrap())?.unwrap();
        let member = tx.member(org.id, &"0001".parse().unwrap())?.unwrap();
        for (priority, address) in [(Priority::First, "a@docomo.ne.jp"), (Priority::Third, "b@ezweb.ne.jp")] {
            tx.put_address(member.id, priority, &address.parse().unwrap(), "import", NOON)?;
        }
        tx.put_factor(member.id, FactorKind::Mail, Some(&"A@docomo.ne.jp".parse().unwrap()), None, NOON)?;
        notices.tell(tx, member.id, Notice::TwoFactorSet, NOON)?;
        tx.put_factor(member.id, FactorKind::Mail, Some(&"c@i.softbank.jp".parse().unwrap()), None, NOON)?;
        notices.tell(tx, member.id, Notice::TwoFactorRemoved, NOON)?;
        tx.list_jobs(&JobFilter { class: Some(Class::Notice), ..JobFilter::default() })
    });
    let mut told = Vec::new();
    for job in queued.await.unwrap() {
        world.job = job;
        let mail = world.mail().await;
        let (header, text) = parts(&mail);
        assert!(header.contains("Auto-Submitted: auto-generated\r\n"), "{header}");
        assert!(text.contains("Time: 2026/11/22 12:00 (Japan time)") && !text.contains("://"), "{text}");
        told.push((mail.to.to_string(), text.contains("was set up"), text.contains("was removed")));
    }
    let told_of = |to: &str, set: bool| (to.to_owned(), set, !set);
    let expected = [
        told_of("a@docomo.ne.jp", true),
        told_of("b@ezweb.ne.jp", true),
        told_of("a@docomo.ne.jp", false),
        told_of("b@ezweb.ne.jp", false),
        told_of("c@i.softbank.jp", false),
    ];
    assert_eq!(told, expected);
}

#[tokio::test]
async fn a_mail_to_the_postmaster_reaches_the_operator_as_it_came() {
    let mut world = world(None).await;
    let kept = NewMail {
        to: "postmaster@mc-anpi.example".parse().unwrap(),
        sender: None,
        decision: "kept",
        raw: Some(b"Subject: hi\r\n\r\nhello\r\n".to_vec()),
        ..mail_row()
    };
    let mail = world.store.write(move |tx| tx.remember_mail(&kept)).await.unwrap();
    world.job = job(Content::Forward { mail }, "ops@operator.example", Some(mail));
    let message = String::from_utf8(world.mail().await.message).unwrap();
    assert!(message.contains("\r\nAuto-Submitted: auto-generated\r\n"), "{message}");
    assert!(!message.contains("In-Reply-To"), "{message}");
    assert!(message.contains("\r\n\r\nSubject: hi\r\n\r\nhello\r\n"), "{message}");
    let (_, rest) = message.split_once("Content-Transfer-Encoding: base64\r\n\r\n").unwrap();
    let text = BASE64_MIME.decode(rest.split_inclusive("\r\n\r\n").next().unwrap().trim_end().as_bytes());
    let text = String::from_utf8(text.unwrap()).unwrap();
    assert!(text.contains("postmaster@mc-anpi.example") && text.contains(&format!("(id): {mail}")), "{text}");
    assert!(text.contains("(sender): <>"), "{text}");

    world.job = job(Content::Forward { mail: MailId::new(4_711) }, "ops@operator.example", None);
    assert_eq!(world.composed().await, pointless("the mail is forgotten"));
}
