//! Mails, fingerprints, budgets, registrations, links, events.

use super::{Place, address, at, event, mail, order, read, taro, write};
use karamail::model::{Budget, Priority};
use karamail::queue::Class;
use karamail::store::{Event, EventFilter, LinkUse, NewMail, RegistrationState, StoreError, Tail};
use tokio::task::JoinSet;

pub async fn a_mail_is_found_again(place: Place) {
    let store = place.open().await;
    let new = NewMail {
        decision: "kept",
        reason: Some("postmaster"),
        peer: "2001:db8::1".parse().unwrap(),
        raw: Some(b"\x00\xff raw".to_vec()),
        ..mail()
    };
    let id = write(&store, move |tx| tx.remember_mail(&new)).await;
    let row = read(&store, move |tx| tx.mail(id)).await.unwrap();
    assert_eq!(row.sender, mail().sender);
    assert_eq!((row.to, row.size, row.at), (mail().to, 512, at(1_000)));
    assert_eq!((row.helo.as_str(), row.peer.to_string().as_str()), ("phone.example", "2001:db8::1"));
    assert_eq!((row.decision.as_str(), row.reason.as_deref()), ("kept", Some("postmaster")));
    assert_eq!(row.message_id.as_deref(), Some("1@phone"));
    assert_eq!(read(&store, move |tx| tx.mail_raw(id)).await.as_deref(), Some(&b"\x00\xff raw"[..]));

    let bounce = NewMail { sender: None, message_id: None, decision: "ignored", ..mail() };
    let id = write(&store, move |tx| tx.remember_mail(&bounce)).await;
    let row = read(&store, move |tx| tx.mail(id)).await.unwrap();
    assert_eq!((row.sender, row.message_id, row.reason), (None, None, None));
    assert_eq!(read(&store, move |tx| tx.mail_raw(id)).await, None);
    assert_eq!(read(&store, |tx| tx.mail(karamail::model::MailId::new(999))).await, None);
}

pub async fn the_same_mail_comes_for_the_first_time_once(place: Place) {
    let store = place.open().await;
    let mut tasks = JoinSet::new();
    for _ in 0..30 {
        let store = store.clone();
        tasks.spawn(async move { write(&store, |tx| tx.first_time(&[7; 32], at(1))).await });
    }
    assert_eq!(tasks.join_all().await.into_iter().filter(|first| *first).count(), 1);
    assert!(write(&store, |tx| tx.first_time(&[8; 32], at(1))).await);
}

pub async fn fingerprints_are_forgotten_oldest_first_in_steps(place: Place) {
    let store = place.open().await;
    write(&store, |tx| (0..5u8).try_for_each(|n| tx.first_time(&[n; 32], at(i64::from(n))).map(drop))).await;
    for expected in [2, 2, 0] {
        assert_eq!(write(&store, |tx| tx.trim_seen_mails(at(4), 2)).await, expected);
    }
    assert!(write(&store, |tx| tx.first_time(&[0; 32], at(9))).await);
    assert!(!write(&store, |tx| tx.first_time(&[4; 32], at(9))).await);
}

pub async fn the_log_is_read_on_page_by_page(place: Place) {
    let store = place.open().await;
    let mut tail = Tail::behind(0);
    let steps: [(&[&'static str], &[&str]); 4] =
        [(&["a", "b", "c"], &["a", "b"]), (&[], &["c"]), (&[], &[]), (&["d"], &["d"])];
    for (news, expected) in steps {
        for name in news {
            write(&store, move |tx| tx.record(event(name))).await;
        }
        let from = tail.clone();
        let (events, on) = read(&store, move |tx| tx.read_on(&from, at(1), 2)).await;
        assert_eq!(events.iter().map(|event| event.name.as_ref()).collect::<Vec<_>>(), expected);
        tail = on;
    }
}

pub async fn events_are_forgotten_oldest_first_in_steps(place: Place) {
    let store = place.open().await;
    for (name, millis) in [("a", 1), ("b", 2), ("c", 3), ("d", 4), ("e", 3)] {
        write(&store, move |tx| tx.record(Event { at: at(millis), ..event(name) })).await;
    }
    for expected in [2, 1, 1, 0] {
        assert_eq!(write(&store, |tx| tx.trim_events(at(4), 2)).await, expected);
    }
    let left = read(&store, |tx| tx.events(&EventFilter::default())).await;
    assert_eq!(left.iter().map(|(_, event)| event.name.as_ref()).collect::<Vec<_>>(), ["d"]);
}

pub async fn kept_mails_lose_their_bytes_oldest_first_in_steps(place: Place) {
    let store = place.open().await;
    let mut ids = Vec::new();
    for (millis, raw) in [(1, true), (2, false), (2, true), (3, true), (4, true)] {
        let raw = raw.then(|| b"raw".to_vec());
        let mail = NewMail { at: at(millis), decision: "kept", raw, ..mail() };
        ids.push(write(&store, move |tx| tx.remember_mail(&mail)).await);
    }
    for expected in [2, 1, 0] {
        assert_eq!(write(&store, |tx| tx.trim_kept_mails(at(4), 2)).await, expected);
    }
    let raw: Vec<bool> = read(&store, {
        let ids = ids.clone();
        move |tx| ids.iter().map(|id| Ok(tx.mail_raw(*id)?.is_some())).collect()
    })
    .await;
    assert_eq!(raw, [false, false, false, false, true]);
    assert!(read(&store, move |tx| tx.mail(ids[0])).await.is_some());
}

pub async fn used_links_are_forgotten_oldest_first_in_steps(place: Place) {
    let store = place.open().await;
    for (purpose, row, millis) in [("registration", 1, 3), ("otp", 1, 1), ("registration", 2, 2), ("otp", 2, 4)] {
        assert!(write(&store, move |tx| tx.use_link(purpose, row, b"n", at(millis), &[1; 32])).await);
    }
    assert_eq!(write(&store, |tx| tx.trim_used_links(at(4), 2)).await, 2);
    let used = async |purpose, row| read(&store, move |tx| tx.link_use(purpose, row)).await.is_some();
    assert!(!used("otp", 1).await && !used("registration", 2).await);
    assert!(used("registration", 1).await && used("otp", 2).await);
    assert_eq!(write(&store, |tx| tx.trim_used_links(at(4), 2)).await, 1);
    assert_eq!(write(&store, |tx| tx.trim_used_links(at(4), 2)).await, 0);
    assert!(used("otp", 2).await);
}

pub async fn a_budget_is_remembered_for_its_scope_and_key(place: Place) {
    let store = place.open().await;
    write(&store, |tx| {
        tx.set_budget("address", "a", at(5))?;
        tx.set_budget("domain", "a", at(6))?;
        tx.set_budget("address", "a", at(7))
    })
    .await;
    assert_eq!(read(&store, |tx| tx.budget("address", "a")).await, Some(at(7)));
    assert_eq!(read(&store, |tx| tx.budget("domain", "a")).await, Some(at(6)));
    assert_eq!(read(&store, |tx| tx.budget("domain", "b")).await, None);
    assert_eq!(write(&store, |tx| tx.trim_budgets(at(6), 10)).await, 1);
    assert_eq!(read(&store, |tx| tx.budget("domain", "a")).await, None);
}

pub async fn a_budget_is_not_overdrawn_by_mails_side_by_side(place: Place) {
    let store = place.open().await;
    let mut tasks = JoinSet::new();
    for _ in 0..40 {
        let store = store.clone();
        tasks.spawn(async move {
            let three: Budget = "3/1h".parse().unwrap();
            write(&store, move |tx| match three.admit(tx.budget("address", "a")?, at(1_000)) {
                Some(until) => tx.set_budget("address", "a", until).map(|()| true),
                None => Ok(false),
            })
            .await
        });
    }
    assert_eq!(tasks.join_all().await.into_iter().filter(|admitted| *admitted).count(), 3);
}

pub async fn a_registration_is_open_once_per_address(place: Place) {
    let store = place.open().await;
    let demo = "DEMO".parse().unwrap();
    let id =
        write(&store, move |tx| tx.begin_registration(&address("A@docomo.ne.jp"), Some(&demo), at(1), at(100))).await;
    let second = store.write(|tx| tx.begin_registration(&address("a@docomo.ne.jp"), None, at(99), at(200))).await;
    assert!(matches!(second, Err(StoreError::Constraint(_))), "{second:?}");
    let open = read(&store, |tx| tx.open_registration(&address("a@DOCOMO.ne.jp"))).await.unwrap();
    assert_eq!((open.id, open.state, open.address), (id, RegistrationState::Open, address("A@docomo.ne.jp")));
    assert_eq!((open.opened_at, open.expires, open.finished_at), (at(1), at(100), None));
    assert_eq!(open.org, Some("DEMO".parse().unwrap()));
    assert_eq!(read(&store, |tx| tx.open_registration(&address("b@docomo.ne.jp"))).await, None);
}

pub async fn mails_side_by_side_open_one_registration(place: Place) {
    let store = place.open().await;
    let mut tasks = JoinSet::new();
    for _ in 0..30 {
        let store = store.clone();
        tasks.spawn(async move {
            write(&store, |tx| match tx.open_registration(&address("a@docomo.ne.jp"))? {
                Some(open) => tx.renew_registration(open.id, None, at(300)).map(|()| open.id),
                None => tx.begin_registration(&address("a@docomo.ne.jp"), None, at(1), at(200)),
            })
            .await
        });
    }
    let mut ids = tasks.join_all().await;
    ids.dedup();
    assert_eq!(ids.len(), 1, "{ids:?}");
}

pub async fn an_expired_registration_makes_room(place: Place) {
    let store = place.open().await;
    let who = || address("a@docomo.ne.jp");
    let first = write(&store, move |tx| tx.begin_registration(&who(), None, at(1), at(100))).await;
    let second = write(&store, move |tx| tx.begin_registration(&who(), None, at(100), at(200))).await;
    assert_ne!(first, second);
    let old = read(&store, move |tx| tx.registration(first)).await.unwrap();
    assert_eq!((old.state, old.finished_at, old.member), (RegistrationState::Expired, Some(at(100)), None));
    assert_eq!(read(&store, move |tx| tx.open_registration(&who())).await.map(|open| open.id), Some(second));
}

pub async fn a_renewed_registration_lives_longer(place: Place) {
    let store = place.open().await;
    let id = write(&store, |tx| tx.begin_registration(&address("a@docomo.ne.jp"), None, at(1), at(100))).await;
    let demo = "DEMO".parse().unwrap();
    write(&store, move |tx| tx.renew_registration(id, Some(&demo), at(500))).await;
    let open = read(&store, move |tx| tx.registration(id)).await.unwrap();
    assert_eq!((open.expires, open.org), (at(500), Some("DEMO".parse().unwrap())));
}

pub async fn a_registration_is_finished_once(place: Place) {
    let store = place.open().await;
    let taro = taro(&store).await;
    let id = write(&store, |tx| tx.begin_registration(&address("a@docomo.ne.jp"), None, at(1), at(100))).await;
    let mut tasks = JoinSet::new();
    for _ in 0..10 {
        let store = store.clone();
        let finish = move |tx: &mut karamail::store::Tx<'_>| tx.finish_registration(id, taro, Priority::Second, at(9));
        tasks.spawn(async move { write(&store, finish).await });
    }
    assert_eq!(tasks.join_all().await.into_iter().filter(|finished| *finished).count(), 1);
    let done = read(&store, move |tx| tx.registration(id)).await.unwrap();
    assert_eq!((done.state, done.finished_at), (RegistrationState::Done, Some(at(9))));
    assert_eq!((done.member, done.priority), (Some(taro), Some(Priority::Second)));
    write(&store, move |tx| tx.renew_registration(id, None, at(900))).await;
    assert_eq!(read(&store, move |tx| tx.registration(id)).await, Some(done));
    write(&store, |tx| tx.begin_registration(&address("a@docomo.ne.jp"), None, at(10), at(100))).await;
}

pub async fn a_link_is_used_once_however_many_press_it(place: Place) {
    let store = place.open().await;
    let mut tasks = JoinSet::new();
    for number in 0..50u8 {
        let store = store.clone();
        tasks.spawn(async move {
            let used = write(&store, move |tx| tx.use_link("r", 7, &[number; 16], at(5), &[number; 32])).await;
            used.then_some(number)
        });
    }
    let winners: Vec<u8> = tasks.join_all().await.into_iter().flatten().collect();
    assert_eq!(winners.len(), 1);
    let by = [winners[0]; 32];
    assert_eq!(read(&store, |tx| tx.link_use("r", 7)).await, Some(LinkUse { at: at(5), by }));
    assert_eq!(read(&store, |tx| tx.link_use("r", 8)).await, None);
    assert!(write(&store, |tx| tx.use_link("c", 7, &[0; 16], at(6), &[0; 32])).await);
}

pub async fn events_are_found_by_what_they_happened_to(place: Place) {
    let store = place.open().await;
    let (mail, job) = write(&store, |tx| {
        let mail = tx.remember_mail(&mail())?;
        let job = tx.enqueue(&order(Class::Registration, 1))?;
        let mut received = Event { mail: Some(mail), address: Some(address("A@docomo.ne.jp")), ..event("received") };
        for (key, value) in [("z", 1.into()), ("a", "あ\0\"".into()), ("m", serde_json::Value::Null)] {
            received.fields.insert(key.into(), value);
        }
        tx.record(received)?;
        tx.record(Event { mail: Some(mail), job: Some(job), ..event("queued") })?;
        tx.record(Event { job: Some(job), address: Some(address("a@docomo.ne.jp")), ..event("accepted") })?;
        Ok((mail, job))
    })
    .await;
    let found = |filter: EventFilter| async {
        read(&store, move |tx| tx.events(&filter)).await.into_iter().map(|(_, event)| event.name).collect::<Vec<_>>()
    };
    let any = EventFilter::default;
    assert_eq!(found(any()).await, ["received", "queued", "accepted"]);
    assert_eq!(found(EventFilter { mail: Some(mail), ..any() }).await, ["received", "queued"]);
    assert_eq!(found(EventFilter { job: Some(job), ..any() }).await, ["queued", "accepted"]);
    let who = Some(address("a@docomo.ne.jp"));
    assert_eq!(found(EventFilter { address: who.clone(), ..any() }).await, ["received", "accepted"]);
    assert_eq!(found(EventFilter { address: who, job: Some(job), ..any() }).await, ["accepted"]);
    assert_eq!(found(EventFilter { newest: true, limit: 2, ..any() }).await, ["queued", "accepted"]);
    let all = read(&store, |tx| tx.events(&EventFilter::default())).await;
    assert_eq!(found(EventFilter { after: Some(all[0].0), limit: 1, ..any() }).await, ["queued"]);
    assert_eq!(all[0].1.fields.keys().collect::<Vec<_>>(), ["z", "a", "m"]);
    assert_eq!((&all[0].1.fields["a"], &all[0].1.address), (&"あ\0\"".into(), &Some(address("A@docomo.ne.jp"))));
}

pub async fn what_strangers_send_is_kept_as_text(place: Place) {
    let store = place.open().await;
    let new = NewMail { helo: "a'b\"c\\d?1$1".into(), message_id: Some("x\0y".into()), ..mail() };
    let id = write(&store, move |tx| tx.remember_mail(&new)).await;
    let row = read(&store, move |tx| tx.mail(id)).await.unwrap();
    assert_eq!(row.helo, "a'b\"c\\d?1$1");
    // PostgreSQL has no NUL in texts; it is shown, not refused.
    assert!(["x\0y", "x\u{fffd}y"].contains(&row.message_id.unwrap().as_str()));
}
