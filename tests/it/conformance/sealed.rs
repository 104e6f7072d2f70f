//! What lies sealed, and how it goes over to another key.

use super::{Place, at, read, taro, write};
use karamail::keys::Keys;
use karamail::model::{KeyRing, MemberId, Secret};
use karamail::random::Random;
use karamail::service::reseal::{self, Resealed};
use karamail::service::start_password;
use karamail::store::{BackupCodeRow, Sealed, SealedPlace, Store, Tx};
use tokio::task::JoinSet;

/// A value as [`seal`] begins it.
fn value(key: u16, text: &str) -> Vec<u8> {
    let [high, low] = key.to_be_bytes();
    [&[1, high, low], text.as_bytes()].concat()
}

/// Puts in one value of each place for each of two keys.
async fn filled(store: &Store) -> MemberId {
    let taro = taro(store).await;
    write(store, move |tx| {
        tx.put_secret("app-secret", 7, &value(1, "app"))?;
        tx.put_secret("otp-code", 3, &value(2, "code"))?;
        tx.put_secret("start-password", 7, &value(1, "start"))?;
        tx.keep_draft(taro, &[5; 32], &value(1, "draft"), at(1))?;
        let code = |place, key| BackupCodeRow {
            place,
            hash: data_encoding::BASE64.encode(&value(key, &format!("hash {place}"))),
        };
        tx.put_backup_codes(taro, &[code(1, 1), code(2, 258), code(3, 1)], at(1)).map(drop)
    })
    .await;
    taro
}

/// Everything sealed with a key, so many at a time.
async fn all_with(store: &Store, key: u16, limit: usize) -> Vec<Sealed> {
    let mut all: Vec<Sealed> = Vec::new();
    loop {
        let after = all.last().map(|value| value.place.clone());
        let page = read(store, move |tx| tx.sealed_with(key, after.as_ref(), limit)).await;
        assert!(page.len() <= limit);
        if page.is_empty() {
            return all;
        }
        all.extend(page);
    }
}

pub async fn what_lies_sealed_is_found_by_its_key_page_by_page(place: Place) {
    let store = place.open().await;
    let taro = filled(&store).await;
    assert_eq!(read(&store, |tx| tx.count_sealed()).await, [(1, 5), (2, 1), (258, 1)].into());
    for limit in 1..7 {
        let found: Vec<String> = all_with(&store, 1, limit)
            .await
            .iter()
            .map(|value| String::from_utf8_lossy(&value.bytes[3..]).into())
            .collect();
        assert_eq!(found, ["app", "start", "draft", "hash 1", "hash 3"], "{limit}");
    }
    let found = all_with(&store, 258, 9).await;
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].place, SealedPlace::BackupCode { member: taro, place: 2 });
    assert_eq!(all_with(&store, 3, 9).await, []);
}

pub async fn a_value_is_replaced_only_where_it_is_still_the_one_that_was_read(place: Place) {
    let store = place.open().await;
    let taro = filled(&store).await;
    let read_before = all_with(&store, 1, 9).await;
    // Meanwhile a password is given out anew, a draft typed over, and a code used up.
    write(&store, move |tx| {
        tx.put_secret("start-password", 7, &value(1, "newer"))?;
        tx.keep_draft(taro, &[6; 32], &value(1, "newer"), at(2))?;
        let used = tx.backup_codes(taro)?.remove(0).hash;
        tx.use_backup_code(taro, &used).map(drop)
    })
    .await;
    let done = write(&store, move |tx| {
        read_before.iter().map(|old| tx.reseal(old, &value(9, "anew"))).collect::<Result<Vec<_>, _>>()
    })
    .await;
    assert_eq!(done, [true, false, false, false, true]);
    assert_eq!(read(&store, |tx| tx.secret("start-password", 7)).await, Some(value(1, "newer")));
    assert_eq!(read(&store, move |tx| tx.draft(taro, &[6; 32])).await, Some((value(1, "newer"), at(2))));
    assert_eq!(read(&store, |tx| tx.count_sealed()).await, [(1, 2), (2, 1), (9, 2), (258, 1)].into());
}

pub async fn whatever_happens_while_values_are_sealed_anew_the_last_word_stays(place: Place) {
    const MEMBERS: i64 = 300;
    let ring = |active: u16| {
        let keys = (1..=2).map(|id| (id, Secret::new([u8::try_from(id).unwrap(); 32])));
        KeyRing::new(active, keys.collect()).unwrap()
    };
    let store = place.open().await;
    let put = move |tx: &mut Tx<'_>, number: i64, ring: &KeyRing, text: &str| {
        let nonce = [u8::try_from(text.len()).unwrap(); 24];
        let sealed = start_password::seal(ring, MemberId::new(number), nonce, text);
        tx.put_secret(start_password::PURPOSE, number, &sealed)
    };
    write(&store, move |tx| (1..=MEMBERS).try_for_each(|number| put(tx, number, &ring(1), "first"))).await;
    let mut writers = JoinSet::new();
    for writer in 0..3 {
        let store = store.clone();
        writers.spawn(async move {
            for number in (1..=MEMBERS).filter(|number| number % 3 == writer) {
                // Some still seal with the old key, as another node may.
                let ring = ring(if number % 2 == 0 { 1 } else { 2 });
                write(&store, move |tx| put(tx, number, &ring, "the last word")).await;
            }
        });
    }
    let keys = Keys::apart(ring(1), ring(2), ring(1));
    reseal::round(&store, &keys, &Random::system()).await.unwrap();
    writers.join_all().await;
    reseal::round(&store, &keys, &Random::system()).await.unwrap();
    let counted = u64::try_from(MEMBERS).unwrap();
    assert_eq!(read(&store, |tx| tx.count_sealed()).await, [(2, counted)].into());
    for number in 1..=MEMBERS {
        let sealed = read(&store, move |tx| tx.secret(start_password::PURPOSE, number)).await.unwrap();
        let opened = start_password::open(&ring(2), MemberId::new(number), &sealed).unwrap();
        assert_eq!(opened.reveal(), "the last word", "{number}");
    }
    assert_eq!(reseal::round(&store, &keys, &Random::system()).await.unwrap(), Resealed::default());
}
