//! What is remembered of domains: their servers' habits and their policies.

use super::{Place, at, read, write};
use karamail::model::{Domain, Span, Timestamp};
use karamail::store::{DomainMemory, Store, StsMode, StsPolicy};

const DAY: i64 = 86_400_000;

fn domain(name: &str) -> Domain {
    name.parse().unwrap()
}

async fn memory(store: &Store, name: &'static str) -> DomainMemory {
    read(store, move |tx| tx.domain_memory(&domain(name))).await
}

async fn tls(store: &Store, seen: bool, now: Timestamp) -> (Option<Timestamp>, Option<Timestamp>) {
    write(store, move |tx| tx.note_tls(&domain("docomo.ne.jp"), seen, now)).await;
    let memory = memory(store, "docomo.ne.jp").await;
    (memory.tls_seen_at, memory.tls_missed_at)
}

pub async fn the_working_form_of_odd_local_parts_is_remembered(place: Place) {
    let store = place.open().await;
    for raw in [true, true, false, true] {
        write(&store, move |tx| tx.note_raw_local(&domain("docomo.ne.jp"), raw)).await;
        assert_eq!(memory(&store, "docomo.ne.jp").await.raw_local, raw);
    }
    tls(&store, true, at(5)).await;
    let expected = DomainMemory { raw_local: true, tls_seen_at: Some(at(5)), tls_missed_at: None };
    assert_eq!(memory(&store, "docomo.ne.jp").await, expected);
    assert_eq!(memory(&store, "ezweb.ne.jp").await, DomainMemory::default());
}

pub async fn tls_is_remembered_when_it_was_seen_and_since_when_it_is_missing(place: Place) {
    let store = place.open().await;
    assert_eq!(tls(&store, true, at(1)).await, (Some(at(1)), None));
    // What is exact to a day is not written more often.
    assert_eq!(tls(&store, true, at(DAY)).await, (Some(at(1)), None));
    assert_eq!(tls(&store, true, at(DAY + 1)).await, (Some(at(DAY + 1)), None));
    let gone = (Some(at(DAY + 1)), Some(at(DAY + 2)));
    assert_eq!(tls(&store, false, at(DAY + 2)).await, gone);
    assert_eq!(tls(&store, false, at(9 * DAY)).await, gone);
    assert_eq!(tls(&store, true, at(9 * DAY)).await, (Some(at(9 * DAY)), None));
}

pub async fn domains_that_lost_tls_lately_are_listed_the_oldest_loss_first(place: Place) {
    let store = place.open().await;
    for (name, seen, missed) in [
        ("b.example", Some(10), Some(30)),
        ("a.example", Some(12), Some(20)),
        ("old.example", Some(9), Some(15)),
        ("never.example", None, Some(15)),
        ("secured.example", Some(15), None),
        ("c.example", Some(10), Some(30)),
    ] {
        for (had, moment) in [(true, seen), (false, missed)] {
            if let Some(moment) = moment {
                write(&store, move |tx| tx.note_tls(&domain(name), had, at(moment))).await;
            }
        }
    }
    let listed = |limit| {
        let store = store.clone();
        async move { read(&store, move |tx| tx.tls_losses(at(10), limit)).await }
    };
    let found = listed(9).await;
    let names: Vec<&str> = found.iter().map(|loss| loss.domain.as_str()).collect();
    assert_eq!(names, ["a.example", "b.example", "c.example"]);
    assert_eq!((found[0].seen_at, found[0].missed_at), (at(12), at(20)));
    assert_eq!(listed(1).await, found[..1]);
}

pub async fn a_policy_is_kept_until_its_time_is_over(place: Place) {
    let store = place.open().await;
    let policy = |id: &str, mode, expires| StsPolicy {
        id: id.to_owned(),
        mode,
        mx: vec!["mx.docomo.ne.jp".to_owned(), "*.docomo.ne.jp".to_owned()],
        max_age: Span::from_secs(86_400),
        fetched_at: at(1),
        expires_at: at(expires),
    };
    for (name, policy) in [
        ("a.example", policy("1", StsMode::Testing, 5)),
        ("a.example", policy("2", StsMode::Enforce, 30)),
        ("b.example", policy("1", StsMode::None, 10)),
        ("c.example", policy("1", StsMode::Enforce, 20)),
        ("d.example", policy("1", StsMode::Enforce, 40)),
    ] {
        write(&store, move |tx| tx.put_sts_policy(&domain(name), &policy)).await;
    }
    let find = async |name| read(&store, move |tx| tx.sts_policy(&domain(name))).await;
    assert_eq!(find("a.example").await, Some(policy("2", StsMode::Enforce, 30)));
    assert_eq!(find("b.example").await, Some(policy("1", StsMode::None, 10)));
    assert_eq!(find("x.example").await, None);
    for expected in [2, 1, 0] {
        assert_eq!(write(&store, |tx| tx.trim_sts_policies(at(30), 2)).await, expected);
    }
    assert_eq!(find("a.example").await, None);
    assert!(find("d.example").await.is_some());
    write(&store, |tx| tx.drop_sts_policy(&domain("d.example"))).await;
    assert_eq!(find("d.example").await, None);
}
