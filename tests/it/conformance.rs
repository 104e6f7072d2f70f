//! What the store promises, asked of each database: one list of tests, run on all of them.

use karamail::model::{EmailAddress, Language, MailId, Priority, Reply, Stage, Timestamp, Via};
use karamail::queue::{Class, Content, NewJob, State};
use karamail::store::{
    Event, EventFilter, Gate, Location, NewMail, NewMember, Options, Reclaim, Settlement, Store, StoreError,
};
use std::sync::{Arc, Mutex};

/// A database of one test's own.
struct Place {
    location: Location,
    _folder: tempfile::TempDir,
}

impl Place {
    fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { location: Location::Sqlite(folder.path().join("karamail.db")), _folder: folder }
    }

    async fn open(&self) -> Store {
        Store::open(Options::new(self.location.clone())).await.unwrap()
    }
}

macro_rules! conformance {
    ($($name:ident),* $(,)?) => {
        mod sqlite {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    super::$name(super::Place::sqlite()).await;
                }
            )*
        }
    };
}

conformance![
    a_mail_is_remembered_and_found,
    a_job_is_claimed_by_class_and_then_by_due,
    a_lost_claim_is_not_settled,
    an_ended_job_is_history,
    a_registration_is_finished_once,
    a_login_gate_opens_for_one_at_a_time,
    a_member_imported_again_keeps_the_password,
    the_observer_hears_of_what_was_kept,
    a_closed_store_refuses,
];

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn address(text: &str) -> EmailAddress {
    text.parse().unwrap()
}

fn mail() -> NewMail {
    NewMail {
        via: Via::Smtp,
        peer: "203.0.113.9".parse().unwrap(),
        helo: "phone.example".into(),
        sender: Some(address("A..b.@docomo.ne.jp")),
        to: address("bizanpi@mc-anpi.com"),
        message_id: Some("1@phone".into()),
        size: 512,
        at: at(1_000),
        decision: "kept",
        reason: Some("auto-submitted"),
        raw: Some(b"\x00raw\xff".to_vec()),
    }
}

fn order(class: Class, due: i64) -> NewJob {
    NewJob {
        class,
        to: address("a@docomo.ne.jp"),
        content: Content::Forward { mail: MailId::new(1) },
        language: Some(Language::En),
        cause: None,
        queued_at: at(1),
        due: at(due),
        give_up: at(1_000_000),
    }
}

async fn a_mail_is_remembered_and_found(place: Place) {
    let store = place.open().await;
    let id = store.write(|tx| tx.remember_mail(&mail())).await.unwrap();
    let (row, raw, from) = store
        .read(move |tx| {
            Ok::<_, StoreError>((tx.mail(id)?, tx.mail_raw(id)?, tx.mails_from(&address("a..B.@DOCOMO.ne.jp"), 5)?))
        })
        .await
        .unwrap();
    let row = row.unwrap();
    assert_eq!((row.sender.clone(), row.size, row.decision.as_str()), (mail().sender, 512, "kept"));
    assert_eq!(raw, mail().raw);
    assert_eq!(from, [row]);
    assert!(store.write(|tx| tx.first_time(&[7; 32], at(1))).await.unwrap());
    assert!(!store.write(|tx| tx.first_time(&[7; 32], at(2))).await.unwrap());
}

async fn a_job_is_claimed_by_class_and_then_by_due(place: Place) {
    let store = place.open().await;
    let jobs = [(Class::Report, 10), (Class::Otp, 60), (Class::Otp, 50), (Class::Alert, 101), (Class::Otp, 900)];
    store
        .write(move |tx| jobs.iter().try_for_each(|(class, due)| tx.enqueue(&order(*class, *due)).map(drop)))
        .await
        .unwrap();
    let claimed = store.write(|tx| tx.claim("w", at(100), at(200), 10)).await.unwrap();
    let got: Vec<_> = claimed.iter().map(|job| (job.order.class, job.due.millis())).collect();
    assert_eq!(got, [(Class::Otp, 50), (Class::Otp, 60), (Class::Report, 10)]);
    assert_eq!(store.read(|tx| tx.next_due()).await.unwrap(), Some(at(101)));
}

async fn a_lost_claim_is_not_settled(place: Place) {
    let store = place.open().await;
    store.write(|tx| tx.enqueue(&order(Class::Otp, 1))).await.unwrap();
    let first = store.write(|tx| tx.claim("w", at(1), at(2), 1)).await.unwrap().remove(0);
    assert_eq!(store.write(|tx| tx.reclaim(at(2), Reclaim::Expired)).await.unwrap(), [first.id]);
    let second = store.write(|tx| tx.claim("w", at(3), at(9), 1)).await.unwrap().remove(0);
    let end = Settlement::End { state: State::Accepted, stage: None, reply: None, at: at(4) };
    let late = end.clone();
    let fence = first.lease.unwrap().fence;
    assert!(!store.write(move |tx| tx.settle(first.id, "w", fence, &late)).await.unwrap());
    let fence = second.lease.unwrap().fence;
    assert!(store.write(move |tx| tx.settle(second.id, "w", fence, &end)).await.unwrap());
}

async fn an_ended_job_is_history(place: Place) {
    let store = place.open().await;
    store.write(|tx| tx.enqueue(&order(Class::Otp, 1))).await.unwrap();
    let job = store.write(|tx| tx.claim("w", at(1), at(2), 1)).await.unwrap().remove(0);
    let end = Settlement::End {
        state: State::Accepted,
        stage: Some(Stage::Data),
        reply: Some(Reply::new(250, "2.0.0 Ok")),
        at: at(4),
    };
    let fence = job.lease.clone().unwrap().fence;
    assert!(store.write(move |tx| tx.settle(job.id, "w", fence, &end)).await.unwrap());
    let ended = store.read(move |tx| tx.job(job.id)).await.unwrap().unwrap();
    assert_eq!((ended.state, ended.attempts, ended.order), (State::Accepted, 1, job.order));
    assert_eq!(ended.last, Some((Stage::Data, Reply::new(250, "2.0.0 Ok"))));
    assert_eq!(store.write(|tx| tx.trim_history(at(5), 10)).await.unwrap(), 1);
}

async fn a_registration_is_finished_once(place: Place) {
    let store = place.open().await;
    let member = member(&store).await;
    let who = address("A@docomo.ne.jp");
    let id = store.write(move |tx| tx.begin_registration(&who, None, at(1), at(100))).await.unwrap();
    let again = store.write(|tx| tx.begin_registration(&address("a@docomo.ne.jp"), None, at(99), at(200))).await;
    assert!(matches!(again, Err(StoreError::Constraint(_))), "{again:?}");
    for expected in [true, false] {
        let done = store.write(move |tx| tx.finish_registration(id, member, Priority::First, at(9))).await;
        assert_eq!(done.unwrap(), expected);
    }
}

async fn member(store: &Store) -> karamail::model::MemberId {
    store
        .write(|tx| {
            let org = tx.add_org(&"DEMO".parse().unwrap(), "題", None, at(1))?.unwrap();
            tx.put_member(org, &new_member(None), at(1)).map(|(id, _)| id)
        })
        .await
        .unwrap()
}

fn new_member(hash: Option<&str>) -> NewMember {
    NewMember {
        login: "Taro".parse().unwrap(),
        name: "山田 太郎".into(),
        kana: None,
        department: None,
        language: Language::Ja,
        password_hash: hash.map(str::to_owned),
        addresses: [Some(address("a@docomo.ne.jp")), None, None],
    }
}

async fn a_login_gate_opens_for_one_at_a_time(place: Place) {
    let store = place.open().await;
    for (now, expected) in [
        (0, Gate::Open { failures: 0 }),
        (0, Gate::Open { failures: 1 }),
        (0, Gate::Wait { until: at(1_000) }),
        (1_000, Gate::Open { failures: 2 }),
        (1_000, Gate::Wait { until: at(3_000) }),
    ] {
        let gate = store.write(move |tx| tx.try_login(&[1; 32], &[2; 32], at(now))).await.unwrap();
        assert_eq!(gate, expected);
    }
}

async fn a_member_imported_again_keeps_the_password(place: Place) {
    let store = place.open().await;
    let id = member(&store).await;
    store.write(move |tx| tx.set_password(id, "chosen", at(2))).await.unwrap();
    let (again, new) = store
        .write(|tx| {
            let org = tx.org(&"demo".parse().unwrap())?.unwrap();
            tx.put_member(org.id, &new_member(Some("from the file")), at(3))
        })
        .await
        .unwrap();
    assert_eq!((again, new), (id, false));
    let member = store.read(move |tx| tx.member_by_id(id)).await.unwrap().unwrap();
    assert_eq!(member.password_hash.as_deref(), Some("chosen"));
    assert!(!member.must_change_password);
}

fn event(name: &'static str) -> Event {
    Event { at: at(1), name: name.into(), mail: None, job: None, address: None, fields: serde_json::Map::new() }
}

async fn the_observer_hears_of_what_was_kept(place: Place) {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let into = Arc::clone(&heard);
    let options = Options::new(place.location.clone()).observed_by(Arc::new(move |events: &[Event]| {
        into.lock().unwrap().extend(events.iter().map(|event| event.name.to_string()));
    }));
    let store = Store::open(options).await.unwrap();
    store.write(|tx| tx.record(event("kept"))).await.unwrap();
    let refused = store
        .write(|tx| {
            tx.record(event("undone"))?;
            Err::<(), _>(StoreError::Closed)
        })
        .await;
    assert_eq!(refused, Err(StoreError::Closed));
    assert_eq!(*heard.lock().unwrap(), ["kept"]);
    let events = store.read(|tx| tx.events(&EventFilter::default())).await.unwrap();
    assert_eq!(events, [(1, event("kept"))]);
}

async fn a_closed_store_refuses(place: Place) {
    let store = place.open().await;
    let other = store.clone();
    store.close().await;
    assert_eq!(other.write(|tx| tx.first_time(&[0; 32], at(1))).await, Err(StoreError::Closed));
    assert_eq!(other.read(|tx| tx.first_time(&[0; 32], at(1))).await, Err(StoreError::Closed));
}
