use super::*;
use crate::keys::Keys;
use crate::model::{KeyRing, LoginId, Priority, ReversePath, Secret, Timestamp, Via};
use crate::queue::{Class, Content, Job, NewJob};
use crate::store::{
    AddressRow, AddressState, Event, EventFilter, JobFilter, Location, MailRow, NewMember, Options, Registration,
    RegistrationState,
};

const NOON: Timestamp = Timestamp::from_millis(1_795_316_400_123);
const HOUR: Span = Span::from_secs(3_600);

/// A reception with a store of its own.
struct World {
    store: Store,
    reception: Reception,
    _folder: tempfile::TempDir,
}

async fn world() -> World {
    world_with(|settings| settings).await
}

async fn world_with(change: impl FnOnce(Settings) -> Settings) -> World {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(Options::new(Location::Sqlite(folder.path().join("test.db")))).await.unwrap();
    let settings = change(Settings {
        own: Own { domains: vec!["mc-anpi.example".parse().unwrap(), "mob-connect.example".parse().unwrap()] },
        link_lifetime: Span::from_secs(86_400),
        address_limit: "3/1h".parse().unwrap(),
        domain_limit: "100/1h".parse().unwrap(),
        network_limit: "100/1h".parse().unwrap(),
        answer_give_up: Span::from_secs(86_400),
        operator: Some("ops@operator.example".parse().unwrap()),
        forward_give_up: Span::from_secs(5 * 86_400),
    });
    let ring = || KeyRing::new(7, [(7, Secret::new([7; 32]))].into()).unwrap();
    let keys = Keychain::of(Keys::apart(ring(), ring(), ring()));
    let reception = Reception::new(store.clone(), keys, Random::repeating(1), settings);
    World { store, reception, _folder: folder }
}

fn address(text: &str) -> EmailAddress {
    text.parse().unwrap()
}

/// A mail from a phone, to the registration address.
fn mail(from: &str, header: &str) -> Received {
    Received {
        via: Via::Smtp,
        peer: "203.0.113.9".parse().unwrap(),
        tls: None,
        helo: "docomo.ne.jp".to_owned(),
        envelope_sender: from.parse().map_or(ReversePath::Null, ReversePath::Address),
        recipients: vec![address("bizanpi@mc-anpi.example")],
        message: format!("{header}\r\n\r\n").into_bytes(),
        at: NOON,
    }
}

fn named(id: &str) -> Received {
    mail("hanako@docomo.ne.jp", &format!("From: hanako@docomo.ne.jp\r\nMessage-ID: <{id}@docomo.ne.jp>"))
}

fn later(mail: Received, span: Span) -> Received {
    Received { at: mail.at.plus(span), ..mail }
}

fn registration(org: Option<&str>) -> Destination {
    Destination::Registration {
        address: address("bizanpi@mc-anpi.example"),
        org: org.map(|code| code.parse().unwrap()),
    }
}

impl World {
    async fn receive(&self, received: Received, to: Vec<Destination>) -> MailRow {
        let id = self.reception.receive(received, to).await.unwrap();
        self.read(move |tx| tx.mail(id)).await.unwrap()
    }

    /// Takes an empty mail; gives `answered` or the reason.
    async fn empty(&self, received: Received) -> String {
        let row = self.receive(received, vec![registration(None)]).await;
        row.reason.unwrap_or(row.decision)
    }

    async fn read<T: Send + 'static>(
        &self,
        work: impl FnMut(&mut Tx<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> T {
        self.store.read(work).await.unwrap()
    }

    async fn write<T: Send + 'static>(
        &self,
        work: impl FnMut(&mut Tx<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> T {
        self.store.write(work).await.unwrap()
    }

    async fn jobs(&self) -> Vec<Job> {
        self.read(|tx| tx.list_jobs(&JobFilter::default())).await
    }

    async fn events(&self) -> Vec<Event> {
        let events = self.read(|tx| tx.events(&EventFilter::default())).await;
        events.into_iter().map(|(_, event)| event).collect()
    }

    async fn event_names(&self) -> Vec<String> {
        self.events().await.into_iter().map(|event| event.name.into_owned()).collect()
    }

    async fn registration_of(&self, job: &NewJob) -> Registration {
        let Content::RegistrationReply { registration, .. } = job.content else { panic!("{job:?}") };
        self.read(move |tx| tx.registration(registration)).await.unwrap()
    }
}

#[tokio::test]
async fn r111_an_empty_mail_opens_a_registration_and_orders_one_answer() {
    let world = world().await;
    let row = world.receive(named("1"), vec![registration(None)]).await;
    assert_eq!((row.decision.as_str(), row.reason.as_deref()), ("answered", None));
    assert_eq!(row.message_id.as_deref(), Some("1@docomo.ne.jp"));

    let jobs = world.jobs().await;
    let [Job { order, .. }] = jobs.as_slice() else { panic!("{jobs:?}") };
    assert_eq!((order.class, order.language, order.cause), (Class::Registration, None, Some(row.id)));
    assert_eq!(order.to, address("hanako@docomo.ne.jp"));
    assert_eq!((order.queued_at, order.due), (NOON, NOON));
    assert_eq!(order.give_up, Timestamp::from_millis((NOON.seconds() + 86_400) * 1_000));
    let Content::RegistrationReply { key, expires, nonce, .. } = &order.content else { panic!("{order:?}") };
    assert_eq!((*key, *expires, nonce.len()), (7, NOON.seconds() + 86_400, 32));

    let registration = world.registration_of(order).await;
    assert_eq!(registration.address, address("hanako@docomo.ne.jp"));
    assert_eq!(registration.expires, Timestamp::from_millis(expires * 1_000));
    assert_eq!(world.event_names().await, ["received", "queued"]);
}

#[tokio::test]
async fn second_empty_mail_gets_a_link_to_the_same_registration_and_more_time() {
    let world = world().await;
    assert_eq!(world.empty(named("1")).await, "answered");
    assert_eq!(world.empty(later(named("2"), HOUR)).await, "answered");
    let jobs = world.jobs().await;
    let [first, second] = jobs.as_slice() else { panic!("{jobs:?}") };
    let registration = world.registration_of(&first.order).await;
    assert_eq!(registration, world.registration_of(&second.order).await);
    assert_eq!(registration.expires.seconds(), NOON.plus(HOUR).seconds() + 86_400);
    assert_ne!(first.order.content, second.order.content);
}

#[tokio::test]
async fn a_mail_after_the_registration_was_over_or_done_opens_another() {
    let world = world().await;
    assert_eq!(world.empty(named("1")).await, "answered");
    assert_eq!(world.empty(later(named("2"), Span::from_secs(86_401))).await, "answered");
    let registration = world.registration_of(&world.jobs().await[1].order).await;
    let id = registration.id;
    let code = "DEMO".parse().unwrap();
    let member = NewMember {
        login: "0001".parse::<LoginId>().unwrap(),
        name: "花子".to_owned(),
        kana: None,
        department: None,
        language: crate::model::Language::Ja,
        password_hash: None,
        addresses: [None, None, None],
    };
    let done = world
        .write(move |tx| {
            let org = tx.add_org(&code, "デモ", None, NOON)?.unwrap();
            let (member, _) = tx.put_member(org, &member, NOON)?;
            tx.finish_registration(id, member, Priority::First, NOON)
        })
        .await;
    assert!(done);
    assert_eq!(world.empty(later(named("3"), Span::from_secs(86_402))).await, "answered");
    let jobs = world.jobs().await;
    let mut states = Vec::new();
    for job in &jobs {
        states.push(world.registration_of(&job.order).await.state);
    }
    assert_eq!(states, [RegistrationState::Expired, RegistrationState::Done, RegistrationState::Open]);
}

#[tokio::test]
async fn the_same_mail_twice_is_answered_once_and_two_without_a_name_are_two() {
    let world = world().await;
    assert_eq!(world.empty(named("1")).await, "answered");
    assert_eq!(world.empty(later(named("1"), HOUR)).await, "duplicate");
    let shouted = mail("HANAKO@docomo.ne.jp", "Message-ID: <1@docomo.ne.jp>");
    assert_eq!(world.empty(shouted).await, "duplicate");
    assert_eq!(world.empty(mail("taro@docomo.ne.jp", "Message-ID: <1@docomo.ne.jp>")).await, "answered");
    assert_eq!(world.empty(mail("taro@docomo.ne.jp", "")).await, "answered");
    assert_eq!(world.empty(mail("taro@docomo.ne.jp", "")).await, "answered");
    assert_eq!(world.jobs().await.len(), 4);
}

#[tokio::test]
async fn an_address_has_three_answers_an_hour() {
    let world = world().await;
    for id in ["1", "2", "3"] {
        assert_eq!(world.empty(named(id)).await, "answered");
    }
    assert_eq!(world.empty(named("4")).await, "budget-address");
    assert_eq!(world.empty(mail("HANAKO@docomo.ne.jp", "")).await, "budget-address");
    assert_eq!(world.empty(mail("taro@docomo.ne.jp", "")).await, "answered");
    // A third of the hour brings one back.
    assert_eq!(world.empty(later(named("5"), Span::from_secs(1_200))).await, "answered");
    assert_eq!(world.empty(later(named("6"), Span::from_secs(1_200))).await, "budget-address");
    assert_eq!(world.event_names().await.iter().filter(|name| *name == "ignored").count(), 3);
}

#[tokio::test]
async fn a_domain_and_a_network_have_their_answers_too() {
    let two: Budget = "2/1h".parse().unwrap();
    let by_domain = world_with(|settings| Settings { domain_limit: two, ..settings }).await;
    let by_network = world_with(|settings| Settings { network_limit: two, ..settings }).await;
    for (local, domain, network) in
        [("a", "answered", "answered"), ("b", "answered", "answered"), ("c", "budget-domain", "budget-network")]
    {
        let received = mail(&format!("{local}@docomo.ne.jp"), "");
        assert_eq!(by_domain.empty(received.clone()).await, domain);
        assert_eq!(by_network.empty(received).await, network);
    }
    assert_eq!(by_domain.empty(mail("a@ezweb.ne.jp", "")).await, "answered");
    assert_eq!(by_network.empty(mail("a@ezweb.ne.jp", "")).await, "budget-network");
    let elsewhere = Received { peer: "203.0.114.9".parse().unwrap(), ..mail("a@ezweb.ne.jp", "") };
    assert_eq!(by_network.empty(elsewhere).await, "answered");
}

#[tokio::test]
async fn a_mail_that_is_not_answered_costs_nobody_an_answer() {
    let world = world_with(|settings| Settings { address_limit: "1/1h".parse().unwrap(), ..settings }).await;
    let header = "From: hanako@docomo.ne.jp\r\nMessage-ID: <1@docomo.ne.jp>";
    let automatic = mail("hanako@docomo.ne.jp", &format!("{header}\r\nAuto-Submitted: auto-replied"));
    assert_eq!(world.empty(automatic).await, "auto-submitted");
    assert_eq!(world.empty(mail("", header)).await, "null-sender");
    assert_eq!(world.empty(mail("hanako@docomo.ne.jp", "From: x@y.jp")).await, "sender-mismatch");
    assert_eq!(world.jobs().await, []);
    assert_eq!(world.empty(named("1")).await, "answered");
    assert_eq!(world.empty(named("2")).await, "budget-address");
}

#[tokio::test]
async fn an_address_that_was_given_up_is_written_to_again_when_its_owner_writes() {
    for (state, after, marked) in [
        (AddressState::Suppressed, AddressState::New, true),
        (AddressState::Unreachable, AddressState::New, true),
        (AddressState::Filtered, AddressState::Filtered, false),
        (AddressState::Verified, AddressState::Verified, false),
    ] {
        let world = world().await;
        let row = AddressRow {
            address: address("hanako@docomo.ne.jp"),
            state,
            verdict: None,
            stage: None,
            reply: None,
            at: Some(NOON),
            verified_at: None,
            unknown_day: marked.then_some(1),
        };
        world.write(move |tx| tx.note_address(&row)).await;
        // A mail that is not answered proves nothing.
        assert_eq!(world.empty(mail("hanako@docomo.ne.jp", "From: x@y.jp")).await, "sender-mismatch");
        let known = || world.read(|tx| tx.address(&address("hanako@docomo.ne.jp")));
        assert_eq!(known().await.unwrap().state, state);
        assert_eq!(world.empty(named("1")).await, "answered");
        let row = known().await.unwrap();
        assert_eq!((row.state, row.unknown_day), (after, None), "{state}");
        assert_eq!(world.event_names().await.contains(&"marked".to_owned()), marked, "{state}");
    }
}

#[tokio::test]
async fn an_organisation_that_exists_is_remembered_and_another_is_not() {
    let world = world().await;
    let code: OrgCode = "DEMO".parse().unwrap();
    world.write(move |tx| tx.add_org(&code, "デモ", None, NOON)).await;
    let mut orgs = Vec::new();
    for (id, org) in [("1", Some("NOBODY")), ("2", Some("demo")), ("3", None)] {
        world.receive(named(id), vec![registration(org)]).await;
        let jobs = world.jobs().await;
        orgs.push(world.registration_of(&jobs[0].order).await.org.map(|code| code.to_string()));
    }
    assert_eq!(orgs, [None, Some("DEMO".to_owned()), Some("DEMO".to_owned())]);
}

#[tokio::test]
async fn a_mail_to_several_addresses_of_ours_is_answered_once() {
    let world = world().await;
    let code: OrgCode = "DEMO".parse().unwrap();
    world.write(move |tx| tx.add_org(&code, "デモ", None, NOON)).await;
    let to = ["bizanpi@mc-anpi.example", "bizanpi+demo@mc-anpi.example", "postmaster@mc-anpi.example"].map(address);
    let destinations =
        vec![registration(None), registration(Some("DEMO")), Destination::Postmaster { address: to[2].clone() }];
    let row = world.receive(Received { recipients: to.to_vec(), ..named("1") }, destinations).await;
    assert_eq!((row.decision.as_str(), row.to), ("answered", to[1].clone()));
    let classes: Vec<Class> = world.jobs().await.iter().map(|job| job.order.class).collect();
    assert_eq!(classes, [Class::Registration, Class::Notice]);
    assert_eq!(world.event_names().await, ["received", "queued", "received", "kept", "queued"]);
}

#[tokio::test]
async fn a_mail_to_the_postmaster_is_kept_whole_and_handed_on() {
    let world = world().await;
    let to = address("postmaster@mc-anpi.example");
    let received = Received { recipients: vec![to.clone()], ..named("1") };
    let row = world.receive(received.clone(), vec![Destination::Postmaster { address: to }]).await;
    assert_eq!((row.decision.as_str(), row.reason.as_deref()), ("kept", Some("postmaster")));
    let jobs = world.jobs().await;
    assert_eq!(jobs[0].order.to, address("ops@operator.example"));
    assert_eq!(jobs[0].order.content, Content::Forward { mail: row.id });
    assert_eq!(world.read(move |tx| tx.mail_raw(row.id)).await, Some(received.message));
    assert_eq!(world.event_names().await, ["received", "kept", "queued"]);
}

#[tokio::test]
async fn what_could_come_back_for_ever_is_kept_and_not_handed_on() {
    let world = world().await;
    for (from, header, handed_on) in [
        ("", "", 0),
        ("a@docomo.ne.jp", "Return-Path: <>", 0),
        ("a@docomo.ne.jp", "Auto-Submitted: auto-replied", 0),
        ("a@docomo.ne.jp", "X-Loop: x", 0),
        ("anpi@mob-connect.example", "", 0),
        ("a@docomo.ne.jp", "Message-ID: <j1.1@mob-connect.example>\r\nList-Id: x", 0),
        ("a@docomo.ne.jp", "Content-Type: multipart/report", 1),
        ("postmaster@docomo.ne.jp", "Precedence: bulk", 2),
        ("a@docomo.ne.jp", "From: somebody else", 3),
    ] {
        let destination = Destination::Postmaster { address: address("abuse@mc-anpi.example") };
        let row = world.receive(mail(from, header), vec![destination]).await;
        assert_eq!(row.decision, "kept");
        assert_eq!(world.jobs().await.len(), handed_on, "{from} {header}");
    }
}

#[tokio::test]
async fn what_is_handed_on_to_the_operator_keeps_off_the_full_hour() {
    let world = world().await;
    let destination = Destination::Postmaster { address: address("abuse@mc-anpi.example") };
    world.receive(named("1"), vec![destination.clone()]).await;
    let waits = world.jobs().await[0].due.since(NOON);
    assert!((Span::from_secs(299)..=Span::from_secs(900)).contains(&waits), "{waits:?}");
    world.receive(later(named("2"), Span::from_secs(1_800)), vec![destination]).await;
    assert_eq!(world.jobs().await[1].due, NOON.plus(Span::from_secs(1_800)));
    // Somebody looks at the phone.
    assert_eq!(world.empty(named("3")).await, "answered");
    assert_eq!(world.jobs().await[0].due, NOON);
}

#[tokio::test]
async fn without_an_operator_a_mail_to_the_postmaster_is_kept() {
    let world = world_with(|settings| Settings { operator: None, ..settings }).await;
    let destination = Destination::Postmaster { address: address("abuse@mc-anpi.example") };
    assert_eq!(world.receive(named("1"), vec![destination]).await.decision, "kept");
    assert_eq!(world.jobs().await, []);
}

#[tokio::test]
async fn what_comes_back_to_a_mail_of_ours_is_kept_with_that_mail() {
    let world = world().await;
    let job = JobId::new(33);
    let row = world.receive(mail("", "Subject: Undelivered"), vec![Destination::ReturnPath { job }]).await;
    assert_eq!((row.decision.as_str(), row.reason.as_deref(), row.sender), ("kept", Some("return-path"), None));
    assert!(world.read(move |tx| tx.mail_raw(row.id)).await.is_some());
    assert_eq!(world.jobs().await, []);
    let events = world.read(move |tx| tx.events(&EventFilter { job: Some(job), ..EventFilter::default() })).await;
    let [(_, kept)] = events.as_slice() else { panic!("{events:?}") };
    assert_eq!((kept.name.as_ref(), kept.mail), ("kept", Some(row.id)));
}

#[tokio::test]
async fn nobody_fills_the_disk_with_mails_that_are_kept() {
    let world = world().await;
    let returned = Destination::ReturnPath { job: JobId::new(33) };
    let operator = Destination::Postmaster { address: address("abuse@mc-anpi.example") };
    for (destination, limit) in [(returned, 10), (operator, 100)] {
        for _ in 0..limit {
            assert_eq!(world.receive(named("1"), vec![destination.clone()]).await.decision, "kept");
        }
        let row = world.receive(named("1"), vec![destination]).await;
        assert_eq!((row.decision.as_str(), row.reason.as_deref()), ("ignored", Some("too-many")));
        assert_eq!(world.read(move |tx| tx.mail_raw(row.id)).await, None);
    }
}

#[tokio::test]
async fn an_answer_is_never_tried_longer_than_its_link_lives() {
    let world = world_with(|settings| Settings { link_lifetime: HOUR, ..settings }).await;
    assert_eq!(world.empty(named("1")).await, "answered");
    assert_eq!(world.jobs().await[0].order.give_up, Timestamp::from_millis((NOON.seconds() + 3_600) * 1_000));
}

#[tokio::test]
async fn a_mail_that_cannot_be_recorded_is_an_error() {
    let world = world().await;
    world.store.clone().close().await;
    let answer = world.reception.receive(named("1"), vec![registration(None)]).await;
    assert!(matches!(answer, Err(ReceiveError::Store(_))), "{answer:?}");
}

#[tokio::test]
async fn a_link_that_goes_out_is_in_the_audit_log_and_a_mail_that_is_not_answered_is_not() {
    let world = world().await;
    assert_eq!(world.empty(named("1")).await, "answered");
    assert_eq!(world.empty(named("1")).await, "duplicate");
    let Content::RegistrationReply { registration, .. } = world.jobs().await.remove(0).order.content else { panic!() };
    let issued = format!(r#"link_issued anybody {{"registration":"{registration}","address":"h***@docomo.ne.jp"}}"#);
    assert_eq!(crate::service::audit::told(&world.store).await, [issued]);
}
