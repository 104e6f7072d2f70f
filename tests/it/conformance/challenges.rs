//! One-time passwords sent by mail, and wrong codes.

use super::{Place, address, at, new_member, read, taro, write};
use karamail::keys::{Keychain, Keys};
use karamail::model::{ChallengeId, KeyRing, Language, MemberId, Policy, Secret, Span};
use karamail::random::Random;
use karamail::service::otp::{self, Ordered, Otp, Purpose, Tried};
use karamail::service::session::{Stage, Visitor};
use karamail::store::{JobFilter, NewChallenge, OTP_CODE, Store};
use tokio::task::JoinSet;

fn keys() -> KeyRing {
    KeyRing::new(1, [(1, Secret::new([7; 32]))].into()).unwrap()
}

async fn visitor(store: &Store) -> Visitor {
    let taro = taro(store).await;
    Visitor {
        session: [1; 32],
        member: read(store, move |tx| tx.member_by_id(taro)).await.unwrap(),
        org: "DEMO".parse().unwrap(),
        titles: ("株式会社デモ".to_owned(), None),
        policy: Policy::default(),
        stage: Stage::Code,
        begun: at(1),
        password_at: at(1),
        code_at: None,
        last_login: None,
    }
}

async fn typed(store: &Store, visitor: &Visitor, code: String) -> Tried {
    let (session, member, keys) = (visitor.session, visitor.member.id, keys());
    write(store, move |tx| otp::try_code(tx, &keys, &session, member, Purpose::Login, &code, at(9))).await
}

pub async fn r040_of_ten_thousand_guesses_at_once_exactly_five_are_judged(place: Place) {
    let store = place.open().await;
    let visitor = visitor(&store).await;
    let otp = Otp::new(store.clone(), Keychain::of(Keys::apart(keys(), keys(), keys())), Random::repeating(1));
    let to = address("taro@docomo.ne.jp");
    let sent = otp.order(&visitor, Purpose::Login, &to, Language::Ja, at(5)).await.unwrap();
    assert_eq!(sent, Ordered::Sent { expires: at(3_600_005), again_at: at(60_005) });
    let job = read(&store, |tx| tx.list_jobs(&JobFilter::default())).await[0].id;
    let sealed = read(&store, move |tx| tx.secret(OTP_CODE, job.number())).await.unwrap();
    let code = otp::open(&keys(), job, &sealed).unwrap().reveal().clone();

    let mut guesses = JoinSet::new();
    for number in 0..10_000 {
        let guess = format!("{number:06}");
        let (store, visitor) = (store.clone(), visitor.clone());
        assert_ne!(guess, code, "another seed");
        guesses.spawn(async move { typed(&store, &visitor, guess).await });
    }
    let mut left: Vec<u32> = Vec::new();
    for tried in guesses.join_all().await {
        match tried {
            Tried::Wrong { left: after } => left.push(after),
            Tried::Over => {}
            Tried::Right { .. } => panic!("guessed"),
        }
    }
    left.sort_unstable();
    assert_eq!(left, [0, 1, 2, 3, 4]);
    assert_eq!(typed(&store, &visitor, code).await, Tried::Over);
    assert_eq!(read(&store, move |tx| tx.secret(OTP_CODE, job.number())).await, None);
}

pub async fn r036_of_orders_at_once_one_is_sent_for_a_member_and_for_an_address(place: Place) {
    let store = place.open().await;
    let taro = visitor(&store).await;
    let otp = Otp::new(store.clone(), Keychain::of(Keys::apart(keys(), keys(), keys())), Random::repeating(1));
    let order = |visitor: Visitor, to: String, now| {
        let otp = otp.clone();
        async move { otp.order(&visitor, Purpose::Login, &address(&to), Language::Ja, at(now)).await.unwrap() }
    };
    let sent = |all: Vec<Ordered>| all.iter().filter(|one| matches!(one, Ordered::Sent { .. })).count();
    let mut orders = JoinSet::new();
    for number in 0..20u8 {
        let visitor = Visitor { session: [number; 32], ..taro.clone() };
        orders.spawn(order(visitor, format!("a{number}@docomo.ne.jp"), 5));
    }
    assert_eq!(sent(orders.join_all().await), 1);
    let mut orders = JoinSet::new();
    for number in 0..20u8 {
        let (org, new) = (taro.member.org, new_member(&format!("m{number}")));
        let id = write(&store, move |tx| tx.put_member(org, &new, at(1))).await.0;
        let member = read(&store, move |tx| tx.member_by_id(id)).await.unwrap();
        let visitor = Visitor { session: [100 + number; 32], member, ..taro.clone() };
        orders.spawn(order(visitor, "hanako@docomo.ne.jp".to_owned(), 60_005 + i64::from(number)));
    }
    assert_eq!(sent(orders.join_all().await), 1);
}

fn challenge(member: MemberId, session: u8, purpose: &'static str, expires: i64) -> NewChallenge {
    let address = address("taro@docomo.ne.jp");
    NewChallenge { member, session: [session; 32], purpose, address, at: at(5), expires: at(expires) }
}

pub async fn a_session_has_one_code_open_for_a_purpose(place: Place) {
    let store = place.open().await;
    let taro = taro(&store).await;
    let open = |session, purpose| {
        let new = challenge(taro, session, purpose, 100);
        let store = store.clone();
        async move {
            let id = write(&store, move |tx| tx.open_challenge(&new)).await;
            let job = karamail::model::JobId::new(id.number());
            write(&store, move |tx| tx.arm_challenge(id, &[9; 32], job)).await;
            id
        }
    };
    let first = open(1, "login").await;
    let others = [open(2, "login").await, open(1, "enrol").await];
    let again = open(1, "login").await;
    let ended = |id: ChallengeId| {
        let store = store.clone();
        async move { read(&store, move |tx| tx.challenge(id)).await.unwrap().ended }
    };
    assert!(ended(first).await);
    for other in others {
        assert!(!ended(other).await);
    }
    let tried = write(&store, |tx| tx.try_challenge(&[1; 32], "login", 5, at(99))).await.unwrap();
    assert_eq!((tried.id, tried.tries, tried.proof), (again, 1, [9; 32]));
    assert_eq!(write(&store, |tx| tx.try_challenge(&[1; 32], "login", 5, at(100))).await, None);
    assert_eq!(write(&store, |tx| tx.try_challenge(&[1; 32], "login", 1, at(99))).await, None);
}

pub async fn codes_and_wrong_tries_are_forgotten_oldest_first_in_steps(place: Place) {
    let store = place.open().await;
    let taro = taro(&store).await;
    for number in [3, 1, 2] {
        let new = challenge(taro, 1, "login", 10 * number);
        write(&store, move |tx| tx.open_challenge(&new)).await;
        write(&store, move |tx| tx.note_wrong_code(taro, at(10 * number))).await;
    }
    let last = |most| {
        let store = store.clone();
        async move { read(&store, move |tx| tx.last_of_wrong_codes(taro, most, Span::from_millis(21))).await }
    };
    assert_eq!((last(3).await, last(4).await), (Some(at(30)), None));
    assert_eq!(write(&store, |tx| tx.trim_wrong_codes(at(30), 1)).await, 1);
    assert_eq!((last(2).await, last(3).await), (Some(at(30)), None));
    assert_eq!(write(&store, |tx| tx.trim_wrong_codes(at(30), 9)).await, 1);
    assert_eq!((last(1).await, last(2).await), (Some(at(30)), None));
    assert_eq!(write(&store, |tx| tx.trim_challenges(at(30), 1)).await, 1);
    let kept = |id| {
        let store = store.clone();
        async move { read(&store, move |tx| tx.challenge(ChallengeId::new(id))).await.is_some() }
    };
    assert_eq!([kept(1).await, kept(2).await, kept(3).await], [true, false, true]);
    assert_eq!(write(&store, |tx| tx.trim_challenges(at(30), 9)).await, 1);
    assert_eq!([kept(1).await, kept(3).await], [true, false]);
}
