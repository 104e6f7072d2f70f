//! Very many failures, and what a right password takes after them.

use super::*;
use crate::model::{EmailAddress, Language, Priority};
use crate::service::otp::{self, Ordered, Otp, Purpose};
use crate::service::second_factor;
use crate::service::start_password;
use crate::store::{AddressRow, AddressState, OTP_CODE};

const MINE: &str = "taro@docomo.ne.jp";
const STRANGER: Device = Device::Network([7; 32]);
const KNOWN: Device = Device::Known([8; 32]);

impl Door {
    /// The same, with addresses of taro's, first first.
    async fn with_addresses(addresses: &'static [&'static str]) -> Self {
        let door = Self::open().await;
        let id = door.world.visitor(51, NOON).await.unwrap().member.id;
        let put = move |tx: &mut Tx<'_>| {
            for (place, address) in Priority::ALL.into_iter().zip(addresses) {
                tx.put_address(id, place, &address.parse().unwrap(), "import", NOON)?;
            }
            Ok(())
        };
        door.world.store.write::<_, StoreError, _>(put).await.unwrap();
        door
    }

    /// So many tries for the account failed, from anywhere.
    async fn failed(&self, tries: u32) {
        let account = self.login.account("DEMO", "taro");
        let quiet = NOON.minus(QUIET);
        let count = move |tx: &mut Tx<'_>| (0..tries).try_for_each(|_| tx.count_try(&account, quiet, NOON).map(drop));
        self.world.store.write::<_, StoreError, _>(count).await.unwrap();
    }

    /// How far the right password leads on a device, in a session named like it.
    async fn reached(&self, device: Device, at: Timestamp) -> Stage {
        let entrance = Entrance { device, session: *device.fingerprint(), ..ENTRANCE };
        match self.login.attempt(typed(OWN), entrance, at).await.unwrap() {
            Verdict::In(_, stage) => stage,
            refused @ (Verdict::Refused | Verdict::Expired) => panic!("{refused:?}"),
        }
    }

    /// Somebody whose right password is in doubt.
    async fn doubted(&self) -> Visitor {
        self.failed(MANY).await;
        assert_eq!(self.reached(STRANGER, NOON).await, Stage::Doubt);
        self.world.visitor(7, NOON).await.unwrap()
    }

    /// Orders the code that confirms a login; gives it.
    async fn mailed(&self, visitor: &Visitor, at: Timestamp) -> String {
        let otp = Otp::new(self.world.store.clone(), self.world.keys.clone(), Random::system());
        let to: EmailAddress = MINE.parse().unwrap();
        let ordered = otp.order(visitor, Purpose::Doubt, &to, Language::Ja, at).await.unwrap();
        assert!(matches!(ordered, Ordered::Sent { .. }), "{ordered:?}");
        let session = visitor.session;
        let find = move |tx: &mut Tx<'_>| {
            let job = tx.waiting_challenge(&session, Purpose::Doubt.as_str(), at)?.unwrap().job;
            Ok((job, tx.secret(OTP_CODE, job.number())?.unwrap()))
        };
        let (job, sealed) = self.world.store.read::<_, StoreError, _>(find).await.unwrap();
        otp::open(self.world.keys.now().seal(), job, &sealed).unwrap().reveal().clone()
    }

    async fn confirm(&self, visitor: &Visitor, code: &str, at: Timestamp) -> second_factor::Verdict<Stage> {
        self.login.confirm(visitor, code, [9; 32], at).await.unwrap()
    }
}

/// Another code.
fn other(code: &str) -> String {
    format!("{:06}", (code.parse::<u32>().unwrap() + 1) % 1_000_000)
}

#[tokio::test]
async fn after_a_hundred_failures_a_code_by_mail_confirms_a_strangers_right_password() {
    let door = Door::with_addresses(&[MINE]).await;
    door.failed(MANY - 1).await;
    assert_eq!(door.attempt("wrong").await.unwrap(), Verdict::Refused);
    assert_eq!(door.reached(STRANGER, NOON).await, Stage::Doubt);
    let visitor = door.world.visitor(7, NOON).await.unwrap();
    assert_eq!((visitor.stage, visitor.member.last_login), (Stage::Doubt, None));
    let code = door.mailed(&visitor, NOON).await;
    let wrong = second_factor::Verdict::Wrong { left: Some(4) };
    assert_eq!(door.confirm(&visitor, &other(&code), NOON).await, wrong);
    assert_eq!(door.confirm(&visitor, &code, NOON).await, second_factor::Verdict::Right(Stage::Enrol));
    assert_eq!(door.confirm(&visitor, &code, NOON).await, second_factor::Verdict::Gone);
    assert!(door.world.visitor(7, NOON).await.is_none());
    assert_eq!(door.world.visitor(9, NOON).await.unwrap().stage, Stage::Enrol);
    // Somebody is in who may be: the next stranger is not asked.
    assert_eq!(door.reached(Device::Network([6; 32]), NOON).await, Stage::Enrol);
    let names = [
        audit::LOGIN_FAIL,
        audit::LOGIN_FAIL_MAX,
        audit::LOGIN_DOUBTED,
        audit::LOGIN_PASSWORD,
        audit::LOGIN_CONFIRM_FAIL,
        audit::LOGIN_CONFIRMED,
        audit::LOGIN_PASSWORD,
    ];
    assert_eq!(door.names().await, names);
}

#[tokio::test]
async fn a_code_of_another_purpose_or_session_confirms_no_login() {
    let door = Door::with_addresses(&[MINE]).await;
    let visitor = door.doubted().await;
    let code = door.mailed(&visitor, NOON).await;
    let elsewhere = Visitor { session: [51; 32], ..visitor.clone() };
    assert_eq!(door.confirm(&elsewhere, &code, NOON).await, second_factor::Verdict::Gone);
    let (keys, session, id) = (door.world.keys.now().seal().clone(), visitor.session, visitor.member.id);
    for purpose in [Purpose::Login, Purpose::Enrol, Purpose::Confirm] {
        let (keys, code) = (keys.clone(), code.clone());
        let judge = move |tx: &mut Tx<'_>| otp::try_code(tx, &keys, &session, id, purpose, &code, NOON);
        assert_eq!(door.world.store.write::<_, StoreError, _>(judge).await.unwrap(), otp::Tried::Over);
    }
    assert_eq!(door.confirm(&visitor, &code, NOON).await, second_factor::Verdict::Right(Stage::Enrol));
}

#[tokio::test]
async fn thirty_wrong_codes_pause_the_confirmation_for_a_day() {
    let door = Door::with_addresses(&[MINE]).await;
    let visitor = door.doubted().await;
    let code = door.mailed(&visitor, NOON).await;
    let id = visitor.member.id;
    let wrong = move |tx: &mut Tx<'_>| (0..30).try_for_each(|_| otp::note_wrong(tx, id, NOON));
    door.world.store.write::<_, StoreError, _>(wrong).await.unwrap();
    let until = NOON.plus(Span::from_secs(86_400));
    assert_eq!(door.confirm(&visitor, &code, NOON).await, second_factor::Verdict::Wait { until });
}

#[tokio::test]
async fn a_known_device_is_not_asked_and_ends_the_failures() {
    let door = Door::with_addresses(&[MINE]).await;
    door.failed(MANY).await;
    assert_eq!(door.reached(KNOWN, NOON).await, Stage::Enrol);
    assert_eq!(door.reached(STRANGER, NOON).await, Stage::Enrol);
    // The password typed once more on it ends them, too.
    let visitor = door.world.visitor(8, NOON).await.unwrap();
    door.failed(MANY).await;
    let again = door.login.again(&visitor, &Secret::new(OWN.to_owned()), KNOWN, [9; 32], NOON).await.unwrap();
    assert_eq!(again, Again::In(Stage::Enrol));
    assert_eq!(door.reached(Device::Network([6; 32]), NOON).await, Stage::Enrol);
}

#[tokio::test]
async fn a_day_without_tries_ends_the_doubt_and_a_try_that_only_got_so_far_does_not() {
    let door = Door::with_addresses(&[MINE]).await;
    door.doubted().await;
    let later = NOON.plus(QUIET).minus(Span::from_millis(1));
    assert_eq!(door.reached(Device::Network([5; 32]), later).await, Stage::Doubt);
    door.login.attempt(typed("wrong"), Entrance { device: KNOWN, ..ENTRANCE }, later).await.unwrap();
    assert_eq!(door.reached(Device::Network([6; 32]), later.plus(QUIET)).await, Stage::Enrol);
}

#[tokio::test]
async fn whoever_has_no_address_that_is_written_to_is_let_in() {
    let door = Door::open().await;
    door.failed(MANY).await;
    assert_eq!(door.reached(STRANGER, NOON).await, Stage::Enrol);
    let door = Door::with_addresses(&[MINE, "taro@ezweb.ne.jp"]).await;
    let suppress = |address: &'static str| {
        let row = AddressRow {
            address: address.parse().unwrap(),
            state: AddressState::Suppressed,
            verdict: None,
            stage: None,
            reply: None,
            at: Some(NOON),
            verified_at: None,
            unknown_day: None,
        };
        move |tx: &mut Tx<'_>| tx.note_address(&row)
    };
    door.world.store.write::<_, StoreError, _>(suppress(MINE)).await.unwrap();
    let visitor = door.doubted().await;
    let open = door.login.confirmed_at(&visitor).await.unwrap();
    assert_eq!(open, [(Priority::Second, "taro@ezweb.ne.jp".parse().unwrap())]);
    door.world.store.write::<_, StoreError, _>(suppress("taro@ezweb.ne.jp")).await.unwrap();
    assert_eq!(door.reached(Device::Network([6; 32]), NOON).await, Stage::Enrol);
}

#[tokio::test]
async fn where_a_second_factor_is_asked_for_its_code_is_enough() {
    let door = Door::with_addresses(&[MINE]).await;
    door.world.with_app().await;
    door.failed(MANY).await;
    assert_eq!(door.reached(STRANGER, NOON).await, Stage::Code);
}

#[tokio::test]
async fn a_new_start_password_opens_at_once_however_many_were_wrong_before() {
    let door = Door::with_addresses(&[MINE]).await;
    let visitor = door.doubted().await;
    let keys = door.world.keys.now().seal().clone();
    let start = Secret::new(OWN.to_owned());
    let give = move |tx: &mut Tx<'_>| {
        crate::service::reset::password(tx, NOTICES, &keys, &visitor.member, &start, [3; 24], NOON)
    };
    door.world.store.write::<_, StoreError, _>(give).await.unwrap();
    assert!(door.world.visitor(7, NOON).await.is_none(), "whoever had the old one is out");
    assert_eq!(door.reached(Device::Network([6; 32]), NOON).await, Stage::Password);
    let later = NOON.plus(start_password::LIFE);
    assert_eq!(door.login.attempt(typed(OWN), ENTRANCE, later).await.unwrap(), Verdict::Expired);
}

#[tokio::test]
async fn a_session_in_doubt_is_moved_by_nothing_but_the_code() {
    let door = Door::with_addresses(&[MINE]).await;
    let visitor = door.doubted().await;
    door.world.set_up_again(NOON).await;
    assert_eq!(door.world.visitor(7, NOON).await.unwrap().stage, Stage::Doubt);
    let choice = Choice { new: Secret::new("kaze-7-tori".into()), again: Secret::new("kaze-7-tori".into()) };
    assert_eq!(door.login.choose(&visitor, choice, [9; 32], NOON).await.unwrap(), Chosen::Gone);
    let code = door.mailed(&visitor, NOON).await;
    // The factor that came meanwhile is asked for, too.
    assert_eq!(door.confirm(&visitor, &code, NOON).await, second_factor::Verdict::Right(Stage::Code));
    assert_eq!(door.names().await.last().unwrap(), audit::LOGIN_CONFIRMED);
}
