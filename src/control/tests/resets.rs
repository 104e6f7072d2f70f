//! What an administrator does for a member who is locked out, and what is written down of it.

use super::*;
use crate::service::otp::{Otp, Purpose};
use crate::service::session::{self, Standing};
use crate::service::{otp, start_password};
use crate::store::{APP_SECRET, BackupCodeRow, FactorKind, JobFilter, Member, OTP_CODE};

/// Taro of DEMO, who has logged in and has all there is of second factors.
async fn taro(office: &Office) -> Member {
    let file = "id,password,name,mail1,mail2\ntaro,kite7,山田,a@b.jp,c@d.jp\n";
    office.facts(import(file, false)).await;
    let work = |tx: &mut Tx<'_>| {
        let org = tx.org(&"DEMO".parse().unwrap())?.unwrap();
        let member = tx.member(org.id, &"taro".parse().unwrap())?.unwrap();
        tx.set_policy(&org.code, &crate::model::Policy { two_factor: true, ..org.policy })?;
        tx.set_password(member.id, "$argon2id$x", at(50))?;
        tx.put_factor(member.id, FactorKind::App, None, Some(1), at(60))?;
        tx.put_secret(APP_SECRET, member.id.number(), b"sealed")?;
        tx.put_factor(member.id, FactorKind::Mail, Some(&address("codes@d.jp")), None, at(60))?;
        tx.put_backup_codes(member.id, &[BackupCodeRow { place: 0, hash: "$argon2id$y".into() }], at(60))?;
        let member = tx.member_by_id(member.id)?.unwrap();
        session::begin(tx, &[1; 32], &member, at(90))?;
        Ok(member)
    };
    office.write(work).await
}

fn member(org: &str, id: &str, request: fn(OrgCode, LoginId) -> Request) -> Request {
    request(org.parse().unwrap(), id.parse().unwrap())
}

fn reset_2fa(org: OrgCode, id: LoginId) -> Request {
    Request::ResetTwoFactor { org, id }
}

fn reset_password(org: OrgCode, id: LoginId) -> Request {
    Request::ResetPassword { org, id }
}

fn history(org: OrgCode, id: LoginId) -> Request {
    Request::MemberHistory { org, id }
}

fn show(org: OrgCode, id: LoginId) -> Request {
    Request::ShowMember { org, id }
}

/// Who is told what, sorted.
async fn notices(office: &Office) -> Vec<(String, String)> {
    let filter = JobFilter { class: Some(Class::Notice), ..JobFilter::default() };
    let jobs = office.write(move |tx| tx.list_jobs(&filter)).await;
    let told = jobs.into_iter().map(|job| match job.order.content {
        Content::Security { what, .. } => (job.order.to.to_string(), what.as_str().to_owned()),
        other => panic!("{other:?}"),
    });
    let mut told: Vec<_> = told.collect();
    told.sort();
    told
}

/// The entries of Taro's history by name and doer, and where the chain is broken.
async fn entries(office: &Office) -> (Vec<(String, String)>, Option<String>) {
    let (mut entries, mut broken) = (Vec::new(), None);
    for answer in office.ask(member("DEMO", "taro", history)).await {
        match answer {
            Response::Audit(page) => entries.extend(page.into_iter().map(|entry| (entry.event, entry.by))),
            Response::Chain(chain) => broken = chain.broken_at,
            other => panic!("{other:?}"),
        }
    }
    (entries, broken)
}

async fn standing(office: &Office) -> Standing {
    session::standing(&office.desk.store, [1; 32], at(100)).await.unwrap()
}

#[tokio::test]
async fn r149_a_reset_clears_second_factors_and_backup_code_and_tells_everybody() {
    let office = Office::with_demo().await;
    let taro = taro(&office).await;
    let before = office.facts(member("DEMO", "taro", show)).await;
    assert_eq!(before["two_factor"], json!({"app": true, "mail": true, "backup_code": true}));
    let Standing::In(visitor) = standing(&office).await else { panic!() };
    let ordering = Otp::new(office.desk.store.clone(), office.desk.keys.clone(), Random::repeating(2));
    let to = address("codes@d.jp");
    ordering.order(&visitor, Purpose::Login, &to, Language::Ja, at(95)).await.unwrap();
    let id = taro.id;
    office.write(move |tx| (0..30).try_for_each(|_| otp::note_wrong(tx, id, at(96)))).await;

    let shown = office.facts(member("DEMO", "taro", reset_2fa)).await;
    assert_eq!(shown["two_factor"], json!({"app": false, "mail": false, "backup_code": false}));
    assert_eq!(office.facts(member("DEMO", "taro", show)).await, shown);
    assert!(!matches!(standing(&office).await, Standing::In(_)));
    let jobs = office.write(|tx| tx.list_jobs(&JobFilter { class: Some(Class::Otp), ..JobFilter::default() })).await;
    let job = jobs[0].id.number();
    assert_eq!(office.write(move |tx| tx.secret(OTP_CODE, job)).await, None);
    assert_eq!(office.write(move |tx| tx.secret(APP_SECRET, id.number())).await, None);
    assert_eq!(office.write(move |tx| otp::paused(tx, id, at(100))).await, None);
    let told = ["a@b.jp", "c@d.jp", "codes@d.jp"].map(|to| (to.to_owned(), "two_factor_reset".to_owned()));
    assert_eq!(notices(&office).await, told);
    let jobs = office.write(|tx| tx.list_jobs(&JobFilter { class: Some(Class::Notice), ..JobFilter::default() })).await;
    let give_up = at(100).plus(office.desk.notices.give_up);
    assert!(jobs.iter().all(|job| job.order.give_up == give_up), "{jobs:?}");
    let entry = ("authn_two_factor_reset".to_owned(), "operator".to_owned());
    assert_eq!(entries(&office).await, (vec![entry], None));
}

#[tokio::test]
async fn r149_a_new_start_password_is_said_once_and_takes_the_place_of_the_members_own() {
    let office = Office::with_demo().await;
    let taro = taro(&office).await;
    let said = office.facts(member("DEMO", "taro", reset_password)).await;
    let password = said["password"].as_str().unwrap().to_owned();
    assert_eq!(said["expires"], at(100 + 14 * 86_400).to_string());
    let id = taro.id;
    let sealed = office.write(move |tx| tx.secret(start_password::PURPOSE, id.number())).await.unwrap();
    assert_eq!(start_password::open(office.desk.keys.now().seal(), id, &sealed).unwrap().reveal(), &password);
    let now = office.write(move |tx| tx.member_by_id(id)).await.unwrap();
    assert_eq!((now.password_hash, now.must_change_password, now.start_at), (None, true, Some(at(100))));
    assert!(!matches!(standing(&office).await, Standing::In(_)));
    // A second factor is cleared by a reset of its own.
    let shown = office.facts(member("DEMO", "taro", show)).await;
    assert_eq!((&shown["two_factor"]["app"], &shown["start_password_expires"]), (&json!(true), &said["expires"]));
    let told = ["a@b.jp", "c@d.jp", "codes@d.jp"].map(|to| (to.to_owned(), "password_reset".to_owned()));
    assert_eq!(notices(&office).await, told);
    let entry = ("authn_password_reset".to_owned(), "operator".to_owned());
    assert_eq!(entries(&office).await, (vec![entry], None));
    let everything = office.write(|tx| tx.audit(None, 0, 9)).await;
    assert!(
        !format!("{everything:?} {:?}", office.ask(member("DEMO", "taro", reset_password)).await).contains(&password)
    );

    office.write(move |tx| tx.set_password(id, "$argon2id$z", at(120))).await;
    let own = office.write(move |tx| tx.member_by_id(id)).await.unwrap();
    assert_eq!(own.start_at, None);
}

#[tokio::test]
async fn a_history_says_where_the_chain_is_broken() {
    let office = Office::with_demo().await;
    taro(&office).await;
    office.facts(member("DEMO", "taro", reset_2fa)).await;
    office.desk.clock.turn(Span::from_secs(7));
    office.facts(member("DEMO", "taro", reset_password)).await;
    assert_eq!(entries(&office).await.1, None);
    let file = office.folder.path().join("store.db");
    rusqlite::Connection::open(file)
        .unwrap()
        .execute("UPDATE audit SET by = 'member' WHERE name = 'authn_password_reset'", ())
        .unwrap();
    let (entries, broken) = entries(&office).await;
    assert_eq!((entries.len(), broken), (2, Some(at(107).to_string())));
}

#[tokio::test]
async fn nobody_is_reset_who_is_not_there() {
    let office = Office::with_demo().await;
    for request in [reset_2fa, reset_password, history] {
        assert_eq!(office.refusal(member("DEMO", "x", request)).await, "DEMO has no member x");
        assert!(office.refusal(member("NONE", "x", request)).await.contains("no organisation NONE"));
    }
}
