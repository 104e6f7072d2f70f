use super::*;
use crate::clock::Clock;
use crate::model::Policy;
use crate::service::second_factor::tests::{NOON, NOTICES, World, after};
use crate::store::FactorKind;
use std::sync::Arc;
use tokio::task::JoinSet;

fn service(world: &World) -> BackupCode {
    let hasher = Hasher::new(2, Clock::turned_by_hand(NOON));
    BackupCode::new(world.store.clone(), world.keys.clone(), hasher, Random::system(), NOTICES)
}

/// A member with an app and a backup code, before the second step of a login in session 3.
async fn before_the_step(world: &World, service: &BackupCode) -> (Visitor, String) {
    world.with_app().await;
    let visitor = world.visitor(2, NOON).await.unwrap();
    let code = service.make(&visitor, [2; 32], Handover::Shown, NOON).await.unwrap().unwrap().codes[0].reveal().clone();
    (world.log_in(3, NOON).await, code)
}

fn other_than(code: &str) -> String {
    code.chars().map(|c| if c == '1' { '2' } else { '1' }).collect()
}

/// The first code that a page of the visitor's shows.
async fn handed(service: &BackupCode, visitor: &Visitor, made: &Handed, at: Timestamp) -> Option<String> {
    let handed = service.handed(visitor, &made.sealed, at).await.unwrap();
    handed.map(|handed| handed.codes[0].reveal().clone())
}

async fn factors(world: &World, visitor: &Visitor) -> Vec<(FactorKind, Option<Timestamp>)> {
    let member = visitor.member.id;
    let factors = world.store.read::<_, StoreError, _>(move |tx| tx.factors(member, NOON)).await.unwrap();
    factors.into_iter().map(|factor| (factor.kind, factor.ends)).collect()
}

#[tokio::test]
async fn r044_r045_a_code_has_eight_digits_and_is_made_and_shown_once() {
    let world = World::open().await;
    let service = service(&world);
    world.with_app().await;
    let visitor = world.visitor(2, NOON).await.unwrap();
    let made = service.make(&visitor, [2; 32], Handover::Shown, NOON).await.unwrap().unwrap();
    let code = made.codes[0].reveal().clone();
    assert_eq!(made.codes.len(), 1);
    assert!(code.len() == 8 && code.bytes().all(|digit| digit.is_ascii_digit()), "{code}");
    assert_eq!(handed(&service, &visitor, &made, after(1_799)).await, Some(code));
    assert_eq!(handed(&service, &visitor, &made, after(1_800)).await, None);
    assert!(service.make(&visitor, [2; 32], Handover::Shown, NOON).await.unwrap().is_none());
    let other = Visitor { session: [9; 32], ..visitor.clone() };
    assert_eq!(handed(&service, &other, &made, NOON).await, None);
    assert!(service.handed(&visitor, "x", NOON).await.unwrap().is_none());
}

#[tokio::test]
async fn an_organisation_may_ask_for_sixteen_letters_and_digits() {
    let world = World::open().await;
    let service = service(&world);
    world.with_app().await;
    let long = Policy { backup_code: BackupKind::Alnum16, ..Policy::default() };
    let visitor = Visitor { policy: long, ..world.visitor(2, NOON).await.unwrap() };
    let code = service.make(&visitor, [2; 32], Handover::Shown, NOON).await.unwrap().unwrap().codes[0].reveal().clone();
    assert!(code.len() == 16 && code.bytes().all(|letter| LETTERS.contains(&letter)), "{code}");
    let visitor = world.log_in(3, NOON).await;
    let typed = grouped(&code).to_lowercase();
    assert_eq!(typed.split(' ').count(), 4);
    assert_eq!(service.attempt(&visitor, &typed, [4; 32], NOON).await.unwrap(), Tried::Right(Stage::Enrol));
}

#[tokio::test]
async fn what_is_kept_does_not_tell_the_code_without_the_key() {
    let world = World::open().await;
    let service = service(&world);
    let (visitor, code) = before_the_step(&world, &service).await;
    let member = visitor.member.id;
    let kept = world.store.read::<_, StoreError, _>(move |tx| tx.backup_codes(member)).await.unwrap();
    assert!(!service.hasher.verify(Secret::new(code.clone()), Some(kept[0].hash.clone())).await.unwrap());
    let keys = world.keys.now();
    let strangers = KeyRing::new(1, [(1, Secret::new([7; 32]))].into()).unwrap();
    assert!(Kept::open(&strangers, member, kept[0].clone()).is_none());
    assert!(Kept::open(keys.seal(), MemberId::new(99), kept[0].clone()).is_none());
    assert!(Kept::open(keys.seal(), member, BackupCodeRow { place: 1, ..kept[0].clone() }).is_none());
    let phc = Kept::open(keys.seal(), member, kept[0].clone()).unwrap().phc;
    assert!(service.hasher.verify(Secret::new(code), Some(phc)).await.unwrap());
}

#[tokio::test]
async fn r148_a_right_code_ends_the_factors_and_leads_to_the_set_up_and_no_further() {
    let world = World::open().await;
    let service = service(&world);
    let (visitor, code) = before_the_step(&world, &service).await;
    let full_width: String = code.chars().map(|c| char::from_u32(u32::from(c) + 0xFEE0).unwrap()).collect();
    assert_eq!(service.attempt(&visitor, &full_width, [4; 32], NOON).await.unwrap(), Tried::Right(Stage::Enrol));
    assert_eq!(factors(&world, &visitor).await, [(FactorKind::App, Some(NOON.plus(REPLACED)))]);
    assert!(world.visitor(2, NOON).await.is_none(), "the member's other sessions end");
    assert!(world.visitor(3, NOON).await.is_none());
    assert_eq!(world.visitor(4, NOON).await.unwrap().stage, Stage::Enrol);
    let written = world.store.read::<_, StoreError, _>(|tx| tx.audit(None, 0, 100)).await.unwrap();
    let names: Vec<&str> = written.iter().map(|entry| entry.name.as_str()).collect();
    assert_eq!(names, [audit::TWO_FACTOR_SET, audit::LOGIN_SUCCESS, audit::BACKUP_CODE_MADE, audit::BACKUP_CODE_USED]);
    // It is used up, and the next one is made only now.
    let again = world.log_in(5, NOON).await;
    assert_eq!(service.attempt(&again, &code, [6; 32], NOON).await.unwrap(), Tried::Wrong);
    assert!(service.make(&again, [5; 32], Handover::Shown, NOON).await.unwrap().is_some());
}

#[tokio::test]
async fn only_somebody_whose_password_was_right_tries_one() {
    let world = World::open().await;
    let service = service(&world);
    let (visitor, code) = before_the_step(&world, &service).await;
    let full = world.visitor(2, NOON).await.unwrap();
    assert_eq!(service.attempt(&full, &code, [4; 32], NOON).await.unwrap(), Tried::Gone);
    let nobody = Visitor { session: [77; 32], ..visitor.clone() };
    assert_eq!(service.attempt(&nobody, &code, [4; 32], NOON).await.unwrap(), Tried::Gone);
    assert_eq!(service.attempt(&visitor, &code, [4; 32], NOON).await.unwrap(), Tried::Right(Stage::Enrol));
}

#[tokio::test]
async fn of_many_guesses_side_by_side_five_an_hour_are_judged() {
    let world = World::open().await;
    let service = Arc::new(service(&world));
    let (visitor, code) = before_the_step(&world, &service).await;
    let mut guesses = JoinSet::new();
    for number in 0..60u8 {
        let (service, visitor, guess) = (Arc::clone(&service), visitor.clone(), other_than(&code));
        guesses.spawn(async move { service.attempt(&visitor, &guess, [100 + number; 32], NOON).await.unwrap() });
    }
    let verdicts = guesses.join_all().await;
    assert_eq!(verdicts.iter().filter(|tried| **tried == Tried::Wrong).count(), 5);
    let hour = Tried::Wait { until: after(3_600) };
    assert_eq!(verdicts.iter().filter(|tried| **tried == hour).count(), 55);
    // Nothing comes back before the hour is over.
    let visitor = world.log_in(5, after(3_599)).await;
    assert_eq!(service.attempt(&visitor, &code, [6; 32], after(3_599)).await.unwrap(), hour);
    assert_eq!(service.attempt(&visitor, &code, [6; 32], after(3_600)).await.unwrap(), Tried::Right(Stage::Enrol));
}

#[tokio::test]
async fn twenty_a_day_are_judged() {
    let world = World::open().await;
    let service = service(&world);
    let (_, code) = before_the_step(&world, &service).await;
    let guess = other_than(&code);
    for hour in 0..4 {
        let at = after(hour * 3_600);
        let visitor = world.log_in(10 + u8::try_from(hour).unwrap(), at).await;
        for _ in 0..5 {
            assert_eq!(service.attempt(&visitor, &guess, [99; 32], at).await.unwrap(), Tried::Wrong);
        }
    }
    let fifth = world.log_in(20, after(4 * 3_600)).await;
    let tried = service.attempt(&fifth, &code, [21; 32], after(4 * 3_600)).await.unwrap();
    assert_eq!(tried, Tried::Wait { until: after(86_400) });
}

#[tokio::test]
async fn r044_r148_each_of_ten_codes_lets_in_once_and_none_comes_while_one_is_left() {
    let world = World::open().await;
    let service = service(&world);
    world.with_app().await;
    let ten = Policy { backup_code: BackupKind::TenCodes, ..Policy::default() };
    let visitor = Visitor { policy: ten.clone(), ..world.visitor(2, NOON).await.unwrap() };
    let made = service.make(&visitor, [2; 32], Handover::Shown, NOON).await.unwrap().unwrap();
    let codes: Vec<String> = made.codes.iter().map(|code| code.reveal().clone()).collect();
    assert!(codes.iter().all(|code| code.len() == 12 && code.bytes().all(|letter| LETTERS.contains(&letter))));
    assert_eq!(codes.iter().map(|code| &code[..1]).collect::<String>(), "ABCDEFGHJK");
    assert_eq!(codes.iter().map(|code| &code[1..]).collect::<std::collections::BTreeSet<_>>().len(), 10);
    let handed = service.handed(&visitor, &made.sealed, NOON).await.unwrap().unwrap();
    assert!(handed.codes.iter().map(|code| code.reveal()).eq(&codes));

    // Out of their order, one as it is shown, one typed carelessly.
    for (used, code) in [(0, &codes[9]), (1, &grouped(&codes[0])), (2, &codes[4].to_lowercase())] {
        let at = after(used * 3_600);
        let number = u8::try_from(used).unwrap() * 4;
        world.set_up_again(at).await;
        let login = world.log_in(50 + number, at).await;
        let tried = service.attempt(&login, code, [51 + number; 32], at).await.unwrap();
        assert_eq!(tried, Tried::Right(Stage::Enrol), "{code}");
        let again = world.log_in(52 + number, at).await;
        assert_eq!(service.attempt(&again, code, [53 + number; 32], at).await.unwrap(), Tried::Wrong, "{code}");
        let enrolled = Visitor { policy: ten.clone(), ..again };
        assert!(service.make(&enrolled, [1; 32], Handover::Shown, at).await.unwrap().is_none());
    }
    let member = visitor.member.id;
    let left = world.store.read::<_, StoreError, _>(move |tx| tx.backup_codes(member)).await.unwrap();
    assert_eq!(left.iter().map(|code| code.place).collect::<Vec<_>>(), [2, 3, 4, 6, 7, 8, 9]);
}

#[tokio::test]
async fn tries_of_ten_codes_are_counted_together() {
    let world = World::open().await;
    let service = service(&world);
    world.with_app().await;
    let ten = Policy { backup_code: BackupKind::TenCodes, ..Policy::default() };
    let visitor = Visitor { policy: ten, ..world.visitor(2, NOON).await.unwrap() };
    let codes = service.make(&visitor, [2; 32], Handover::Shown, NOON).await.unwrap().unwrap().codes;
    let login = world.log_in(3, NOON).await;
    for code in &codes[..5] {
        // Of another place: the letters of one behind the first letter of the next.
        let mixed = format!("K{}", &code.reveal()[1..]);
        assert_eq!(service.attempt(&login, &mixed, [4; 32], NOON).await.unwrap(), Tried::Wrong);
    }
    let right = codes[5].reveal();
    let tried = service.attempt(&login, right, [4; 32], NOON).await.unwrap();
    assert_eq!(tried, Tried::Wait { until: after(3_600) });
    assert_eq!(
        service.attempt(&login, right, [4; 32], after(1_799)).await.unwrap(),
        Tried::Wait { until: after(3_600) }
    );
}

#[tokio::test]
async fn a_code_typed_when_the_session_is_over_is_not_used_up() {
    let world = World::open().await;
    let service = service(&world);
    let (visitor, code) = before_the_step(&world, &service).await;
    let late = NOON.plus(session::AWAITING);
    assert_eq!(service.attempt(&visitor, &code, [4; 32], late).await.unwrap(), Tried::Gone);
    assert_eq!(factors(&world, &visitor).await, [(FactorKind::App, None)]);
    let again = world.log_in(5, late).await;
    assert_eq!(service.attempt(&again, &code, [6; 32], late).await.unwrap(), Tried::Right(Stage::Enrol));
}

#[tokio::test]
async fn a_code_that_got_no_turn_to_be_judged_is_no_try() {
    let world = World::open().await;
    let service = service(&world);
    let (visitor, code) = before_the_step(&world, &service).await;
    let clock = Clock::turned_by_hand(NOON);
    let hasher = Hasher::new(1, clock.clone());
    let crowded = BackupCode { hasher: hasher.clone(), ..service };
    let taken = [hasher.turn(Whose::Known).await.unwrap(), hasher.turn(Whose::Known).await.unwrap()];
    for _ in 0..6 {
        let mut attempt = Box::pin(crowded.attempt(&visitor, &code, [4; 32], NOON));
        // However late it begins to wait, its time runs out.
        let tried = loop {
            tokio::select! {
                biased;
                tried = &mut attempt => break tried,
                _ = factors(&world, &visitor) => clock.turn(Span::from_secs(10)),
            }
        };
        assert!(matches!(tried, Err(BackupError::Hash(HashError::Busy))), "{tried:?}");
    }
    drop(taken);
    assert_eq!(crowded.attempt(&visitor, &code, [4; 32], NOON).await.unwrap(), Tried::Right(Stage::Enrol));
}

#[tokio::test]
async fn a_code_that_no_page_has_shown_gives_way_to_a_new_one_and_there_are_never_two() {
    let world = World::open().await;
    let service = service(&world);
    world.with_app().await;
    let visitor = world.visitor(2, NOON).await.unwrap();
    assert!(!service.is_unseen(&visitor).await.unwrap());
    let make = |stay, at| service.make(&visitor, [2; 32], stay, at);
    let lost = make(Handover::Shown, NOON).await.unwrap().unwrap();
    assert!(service.is_unseen(&visitor).await.unwrap());
    let shown = make(Handover::Shown, after(1)).await.unwrap().unwrap();
    // The page of the first one arrives after all: it shows nothing that is not good.
    assert_eq!(handed(&service, &visitor, &lost, after(2)).await, None);
    assert!(handed(&service, &visitor, &shown, after(2)).await.is_some());
    assert!(!service.is_unseen(&visitor).await.unwrap());
    assert!(make(Handover::Shown, after(3)).await.unwrap().is_none());
    // Whoever never said that it is kept can have another one, once.
    let wanted = make(Handover::Kept, after(4)).await.unwrap().unwrap();
    let code = handed(&service, &visitor, &wanted, after(5)).await.unwrap();
    service.kept(&visitor, after(6)).await.unwrap();
    assert!(make(Handover::Kept, after(7)).await.unwrap().is_none());
    let login = world.log_in(3, after(8)).await;
    for old in [&lost, &shown] {
        let typed = old.codes[0].reveal();
        assert_eq!(service.attempt(&login, typed, [4; 32], after(8)).await.unwrap(), Tried::Wrong);
    }
    assert_eq!(service.attempt(&login, &code, [4; 32], after(8)).await.unwrap(), Tried::Right(Stage::Enrol));
}
