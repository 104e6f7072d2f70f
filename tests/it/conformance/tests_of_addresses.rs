//! Tests of addresses.

use super::{Place, address, at, read, taro, write};
use karamail::model::{ContactTestId, JobId};
use karamail::store::ContactTest;
use tokio::task::JoinSet;

pub async fn a_test_is_found_as_it_was_ordered(place: Place) {
    let store = place.open().await;
    let taro = taro(&store).await;
    let id = write(&store, move |tx| {
        let id = tx.begin_contact_test(taro, &address("A..b.@docomo.ne.jp"), at(5), at(900))?;
        tx.send_contact_test(id, JobId::new(7))?;
        Ok(id)
    })
    .await;
    let expected = ContactTest {
        id,
        member: taro,
        address: address("A..b.@docomo.ne.jp"),
        job: Some(JobId::new(7)),
        ordered_at: at(5),
        expires: at(900),
        opened_at: None,
        arrived_at: None,
    };
    assert_eq!(read(&store, move |tx| tx.contact_test(id)).await, Some(expected));
    assert_eq!(read(&store, |tx| tx.contact_test(ContactTestId::new(4_711))).await, None);
}

pub async fn a_members_tests_are_given_the_last_one_first(place: Place) {
    let store = place.open().await;
    let taro = taro(&store).await;
    let ids = write(&store, move |tx| {
        let mut order = |to: &str, moment| tx.begin_contact_test(taro, &address(to), at(moment), at(900));
        Ok([order("a@example.jp", 1)?, order("A@example.jp", 2)?, order("b@example.jp", 3)?, order("a@example.jp", 3)?])
    })
    .await;
    let [first, second, _, last] = ids;
    let found = |limit| {
        let store = store.clone();
        async move {
            let tests = read(&store, move |tx| tx.contact_tests_of(taro, &address("a@Example.jp"), limit)).await;
            tests.into_iter().map(|test| test.id).collect::<Vec<_>>()
        }
    };
    assert_eq!(found(9).await, [last, second, first]);
    assert_eq!(found(2).await, [last, second]);
    assert_eq!(read(&store, move |tx| tx.last_contact_test(taro)).await.map(|test| test.id), Some(last));
}

pub async fn tests_are_counted_by_member_and_by_address_whoever_ordered_them(place: Place) {
    let store = place.open().await;
    let taro = taro(&store).await;
    let jiro = write(&store, move |tx| {
        let org = tx.org(&"DEMO".parse().unwrap())?.unwrap().id;
        tx.put_member(org, &super::new_member("jiro"), at(1))
    })
    .await
    .0;
    write(&store, move |tx| {
        tx.begin_contact_test(taro, &address("a@example.jp"), at(10), at(900))?;
        tx.begin_contact_test(jiro, &address("A@example.jp"), at(20), at(900))?;
        tx.begin_contact_test(taro, &address("b@example.jp"), at(30), at(900)).map(drop)
    })
    .await;
    assert_eq!(read(&store, move |tx| tx.contact_tests_by(taro, at(0))).await, [at(30), at(10)]);
    assert_eq!(read(&store, move |tx| tx.contact_tests_by(taro, at(10))).await, [at(30)]);
    let to = |after| {
        let store = store.clone();
        async move { read(&store, move |tx| tx.contact_tests_to(&address("a@example.jp"), at(after))).await }
    };
    assert_eq!(to(0).await, [at(20), at(10)]);
    assert_eq!(to(19).await, [at(20)]);
    assert_eq!(to(20).await, []);
}

pub async fn tests_ordered_side_by_side_are_counted_one_by_one(place: Place) {
    let store = place.open().await;
    let taro = taro(&store).await;
    let mut orders = JoinSet::new();
    for _ in 0..20 {
        let store = store.clone();
        orders.spawn(async move {
            write(&store, move |tx| {
                let room = tx.contact_tests_to(&address("a@example.jp"), at(0))?.len() < 3;
                if room {
                    tx.begin_contact_test(taro, &address("a@example.jp"), at(5), at(900))?;
                }
                Ok(room)
            })
            .await
        });
    }
    assert_eq!(orders.join_all().await.into_iter().filter(|sent| *sent).count(), 3);
}

pub async fn a_test_is_opened_and_arrives_once(place: Place) {
    let store = place.open().await;
    let taro = taro(&store).await;
    let id = write(&store, move |tx| tx.begin_contact_test(taro, &address("a@example.jp"), at(1), at(900))).await;
    assert!(write(&store, move |tx| tx.note_test_opened(id, at(2))).await);
    assert!(!write(&store, move |tx| tx.note_test_opened(id, at(3))).await);
    let mut presses = JoinSet::new();
    for _ in 0..10 {
        let store = store.clone();
        presses.spawn(async move { write(&store, move |tx| tx.note_test_arrived(id, at(4))).await });
    }
    assert_eq!(presses.join_all().await.into_iter().filter(|first| *first).count(), 1);
    let test = read(&store, move |tx| tx.contact_test(id)).await.unwrap();
    assert_eq!((test.opened_at, test.arrived_at), (Some(at(2)), Some(at(4))));
}

pub async fn tests_are_forgotten_oldest_first_in_steps(place: Place) {
    let store = place.open().await;
    let taro = taro(&store).await;
    let ids = write(&store, move |tx| {
        let mut order = |expires| tx.begin_contact_test(taro, &address("a@example.jp"), at(1), at(expires));
        Ok([order(30)?, order(10)?, order(20)?, order(40)?])
    })
    .await;
    assert_eq!(write(&store, |tx| tx.trim_contact_tests(at(40), 2)).await, 2);
    let mut left = Vec::new();
    for (index, id) in ids.into_iter().enumerate() {
        if read(&store, move |tx| tx.contact_test(id)).await.is_some() {
            left.push(index);
        }
    }
    assert_eq!(left, [0, 3]);
    assert_eq!(write(&store, |tx| tx.trim_contact_tests(at(40), 2)).await, 1);
}

pub async fn the_last_registration_of_a_members_address_is_found(place: Place) {
    let store = place.open().await;
    let taro = taro(&store).await;
    let registered = move || {
        let store = store.clone();
        async move { read(&store, move |tx| tx.registered_at(taro, &address("a@EXAMPLE.jp"))).await }
    };
    let store = place.open().await;
    assert_eq!(registered().await, None);
    for moment in [5, 9] {
        write(&store, move |tx| {
            let id = tx.begin_registration(&address("A@example.jp"), None, at(moment), at(900))?;
            tx.finish_registration(id, taro, karamail::model::Priority::First, at(moment + 1)).map(drop)
        })
        .await;
    }
    assert_eq!(registered().await, Some(at(10)));
}
