//! Second factors and backup codes.

use super::{Place, address, at, read, taro, write};
use karamail::store::{APP_SECRET, BackupCodeRow, Factor, FactorKind, Handover, Tx};
use tokio::task::JoinSet;

pub async fn both_second_factors_stand_beside_each_other(place: Place) {
    let store = place.open().await;
    let taro = taro(&store).await;
    write(&store, move |tx| {
        tx.put_factor(taro, FactorKind::Mail, Some(&address("taro@example.jp")), None, at(5))?;
        tx.put_factor(taro, FactorKind::App, None, Some(7), at(6))
    })
    .await;
    let app = Factor { kind: FactorKind::App, address: None, enrolled_at: at(6), ends: None };
    let mail =
        Factor { kind: FactorKind::Mail, address: Some(address("taro@example.jp")), enrolled_at: at(5), ends: None };
    assert_eq!(read(&store, move |tx| tx.factors(taro, at(9))).await, [app, mail.clone()]);
    write(&store, move |tx| tx.put_secret(APP_SECRET, taro.number(), b"sealed")).await;
    assert!(write(&store, move |tx| tx.drop_factor(taro, FactorKind::App)).await);
    assert!(!write(&store, move |tx| tx.drop_factor(taro, FactorKind::App)).await);
    assert_eq!(read(&store, move |tx| tx.secret(APP_SECRET, taro.number())).await, None);
    assert_eq!(read(&store, move |tx| tx.factors(taro, at(9))).await, [mail]);
}

pub async fn a_step_of_the_app_counts_once_however_many_ask(place: Place) {
    let store = place.open().await;
    let taro = taro(&store).await;
    assert!(!write(&store, move |tx| tx.use_step(taro, 8)).await);
    write(&store, move |tx| tx.put_factor(taro, FactorKind::App, None, Some(7), at(6))).await;
    assert!(!write(&store, move |tx| tx.use_step(taro, 7)).await);
    let mut guesses = JoinSet::new();
    for _ in 0..20 {
        let store = store.clone();
        guesses.spawn(async move { write(&store, move |tx| tx.use_step(taro, 9)).await });
    }
    let passed = guesses.join_all().await.into_iter().filter(|passed| *passed).count();
    assert_eq!(passed, 1);
    assert!(!write(&store, move |tx| tx.use_step(taro, 8)).await);
    assert!(write(&store, move |tx| tx.use_step(taro, 10)).await);
}

pub async fn second_factors_end_at_their_moment_and_a_new_one_stays(place: Place) {
    let store = place.open().await;
    let taro = taro(&store).await;
    write(&store, move |tx| {
        tx.put_factor(taro, FactorKind::App, None, None, at(1))?;
        tx.end_factors(taro, at(50))?;
        tx.end_factors(taro, at(90))
    })
    .await;
    let kinds = |moment| {
        let store = store.clone();
        async move {
            let factors = read(&store, move |tx| tx.factors(taro, at(moment))).await;
            factors.into_iter().map(|factor| (factor.kind, factor.ends)).collect::<Vec<_>>()
        }
    };
    assert_eq!(kinds(49).await, [(FactorKind::App, Some(at(50)))]);
    assert_eq!(kinds(50).await, []);
    write(&store, move |tx| tx.put_factor(taro, FactorKind::App, None, None, at(60))).await;
    assert_eq!(kinds(99).await, [(FactorKind::App, None)]);
}

/// One backup code.
fn codes(hash: &str) -> [BackupCodeRow; 1] {
    [BackupCodeRow { place: 0, hash: hash.to_owned() }]
}

pub async fn a_member_has_one_backup_code_which_is_used_once(place: Place) {
    let store = place.open().await;
    let taro = taro(&store).await;
    let mut makers = JoinSet::new();
    for number in 0..10 {
        let store = store.clone();
        makers.spawn(async move {
            write(&store, move |tx| tx.put_backup_codes(taro, &codes(&number.to_string()), at(1))).await
        });
    }
    let made = makers.join_all().await.into_iter().filter(|made| *made).count();
    assert_eq!(made, 1);
    let kept = read(&store, move |tx| tx.backup_codes(taro)).await.remove(0).hash;
    assert!(!write(&store, move |tx| tx.use_backup_code(taro, "another")).await);
    let used = kept.clone();
    assert!(write(&store, move |tx| tx.use_backup_code(taro, &used)).await);
    assert!(!write(&store, move |tx| tx.use_backup_code(taro, &kept)).await);
    assert_eq!(read(&store, move |tx| tx.backup_codes(taro)).await, []);
    assert!(write(&store, move |tx| tx.put_backup_codes(taro, &codes("next"), at(2))).await);
}

pub async fn of_ten_backup_codes_each_is_used_once_and_none_comes_while_one_is_left(place: Place) {
    let store = place.open().await;
    let taro = taro(&store).await;
    let ten = |from: i64| (1..=10).map(move |place| BackupCodeRow { place, hash: (from + place).to_string() });
    let mut makers = JoinSet::new();
    for number in 0..10 {
        let (store, codes) = (store.clone(), ten(number * 100).collect::<Vec<_>>());
        makers.spawn(async move { write(&store, move |tx| tx.put_backup_codes(taro, &codes, at(1))).await });
    }
    assert_eq!(makers.join_all().await.into_iter().filter(|made| *made).count(), 1);
    let kept = read(&store, move |tx| tx.backup_codes(taro)).await;
    assert_eq!(kept.iter().map(|code| code.place).collect::<Vec<_>>(), (1..=10).collect::<Vec<_>>());
    for (used, code) in kept.into_iter().enumerate() {
        assert!(!write(&store, move |tx| tx.put_backup_codes(taro, &codes("one"), at(2))).await);
        let hash = code.hash.clone();
        assert!(write(&store, move |tx| tx.use_backup_code(taro, &hash)).await);
        assert!(!write(&store, move |tx| tx.use_backup_code(taro, &code.hash)).await);
        assert_eq!(read(&store, move |tx| tx.backup_codes(taro)).await.len(), 9 - used);
    }
    assert!(write(&store, move |tx| tx.put_backup_codes(taro, &codes("one"), at(3))).await);
}

pub async fn backup_codes_give_way_to_one_of_many_until_they_have_come_so_far(place: Place) {
    let store = place.open().await;
    let taro = taro(&store).await;
    let handover = || read(&store, move |tx| tx.handover(taro));
    assert_eq!(handover().await, None);
    write(&store, move |tx| tx.put_backup_codes(taro, &codes("first"), at(1))).await;
    let mut makers = JoinSet::new();
    for number in 0..10 {
        let store = store.clone();
        let replace = move |tx: &mut Tx<'_>| {
            let made = at(2 + number);
            Ok(tx.drop_backup_codes(taro, at(1), Handover::Shown)?
                && tx.put_backup_codes(taro, &codes(&number.to_string()), made)?)
        };
        makers.spawn(async move { write(&store, replace).await });
    }
    assert_eq!(makers.join_all().await.into_iter().filter(|made| *made).count(), 1);
    let (made, come) = handover().await.unwrap();
    assert!(made > at(1) && come == Handover::Made);
    // What was not shown is not kept, and what is gone is not shown.
    write(&store, move |tx| tx.keep_backup_codes(taro, at(20))).await;
    assert!(!write(&store, move |tx| tx.show_backup_codes(taro, at(1), at(20))).await);
    assert_eq!(handover().await, Some((made, Handover::Made)));
    assert!(write(&store, move |tx| tx.show_backup_codes(taro, made, at(20))).await);
    assert!(write(&store, move |tx| tx.show_backup_codes(taro, made, at(21))).await);
    assert!(!write(&store, move |tx| tx.drop_backup_codes(taro, made, Handover::Shown)).await);
    assert_eq!(handover().await, Some((made, Handover::Shown)));
    write(&store, move |tx| tx.keep_backup_codes(taro, at(22))).await;
    assert!(!write(&store, move |tx| tx.drop_backup_codes(taro, made, Handover::Kept)).await);
    assert_eq!(handover().await, Some((made, Handover::Kept)));
}

pub async fn a_reset_leaves_nothing_of_the_second_factors(place: Place) {
    let store = place.open().await;
    let taro = taro(&store).await;
    assert!(!write(&store, move |tx| tx.reset_factors(taro)).await);
    write(&store, move |tx| {
        tx.put_factor(taro, FactorKind::App, None, None, at(1))?;
        tx.put_factor(taro, FactorKind::Mail, Some(&address("taro@example.jp")), None, at(1))?;
        tx.put_secret(APP_SECRET, taro.number(), b"sealed")?;
        tx.put_backup_codes(taro, &codes("code"), at(1))
    })
    .await;
    assert!(write(&store, move |tx| tx.reset_factors(taro)).await);
    assert_eq!(read(&store, move |tx| tx.factors(taro, at(2))).await, []);
    assert_eq!(read(&store, move |tx| tx.secret(APP_SECRET, taro.number())).await, None);
    assert_eq!(read(&store, move |tx| tx.backup_codes(taro)).await, []);
}
