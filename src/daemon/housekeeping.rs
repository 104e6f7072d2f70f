//! Clears away, in small steps, what has outlived its use, and seals anew what lies sealed with an older key.
//!
//! Knows nothing of what the rows mean beyond how long they are kept. What always holds: a step is short, so that no mail
//! waits behind it, and trouble is told and tried again at the next round.

use crate::clock::Clock;
use crate::keys::Keychain;
use crate::model::{Span, Timestamp};
use crate::random::Random;
use crate::service::reseal::{self, Resealed};
use crate::service::{audit, draft, login, session};
use crate::store::{Store, StoreError, Tx};
use std::sync::Arc;
use tokio::sync::watch;

/// How often it is looked.
const ROUND: Span = Span::from_secs(600);
/// Rows of a step.
const STEP: usize = 500;
/// Ended jobs can be looked up for this long.
const HISTORY: Span = Span::from_secs(90 * 86_400);
/// A mail is recognised as seen before for this long: longer than any server tries (RFC 5321 4.5.4.1: four to five days).
const SEEN: Span = Span::from_secs(10 * 86_400);
/// What happened can be looked up for as long as the jobs it happened to.
const EVENTS: Span = HISTORY;
/// A mail to the operator, or one that was refused, can be looked at for this long.
const KEPT: Span = Span::from_secs(30 * 86_400);
/// Whoever comes back to a used link is told so for this long, which is longer than any link lives.
const LINKS: Span = Span::from_secs(90 * 86_400);
/// Failed logins count for this long after the wait they brought was over.
const FAILURES: Span = Span::from_secs(86_400);
/// Codes that are over, and wrong ones: those of a day may pause the step for another.
const CODES: Span = Span::from_secs(2 * 86_400);

/// Removes up to a number of rows of one kind that are too old at a moment; gives how many it were.
type Sweep = fn(&mut Tx<'_>, Timestamp, usize) -> Result<u64, StoreError>;

const SWEEPS: [Sweep; 15] = [
    |tx, now, limit| tx.trim_history(now.minus(HISTORY), limit),
    |tx, now, limit| tx.trim_seen_mails(now.minus(SEEN), limit),
    |tx, now, limit| tx.trim_events(now.minus(EVENTS), limit),
    |tx, now, limit| tx.trim_kept_mails(now.minus(KEPT), limit),
    |tx, now, limit| tx.trim_used_links(now.minus(LINKS), limit),
    |tx, now, limit| tx.trim_contact_tests(now.minus(LINKS), limit),
    |tx, now, limit| tx.trim_sts_policies(now, limit),
    |tx, now, limit| tx.trim_budgets(now, limit),
    |tx, now, limit| tx.trim_login_failures(now.minus(FAILURES), limit),
    |tx, now, limit| tx.trim_streaks(now.minus(login::QUIET), limit),
    |tx, now, limit| tx.trim_challenges(now.minus(CODES), limit),
    |tx, now, limit| tx.trim_wrong_codes(now.minus(CODES), limit),
    session::trim,
    |tx, now, limit| tx.trim_drafts(now.minus(draft::KEPT), limit),
    |tx, now, _| login::tell_unknown(tx, now),
];

/// Clears away until `stop` turns true; the audit log is kept for `audit_kept`.
pub(super) async fn run(store: Store, clock: Clock, audit_kept: Span, mut stop: watch::Receiver<bool>) {
    loop {
        for sweep in SWEEPS {
            tell(whole(&store, sweep, clock.now()).await);
        }
        let sweep = move |tx: &mut Tx<'_>, now: Timestamp, limit| audit::trim(tx, now.minus(audit_kept), now, limit);
        tell(whole(&store, sweep, clock.now()).await);
        tokio::select! {
            _ = stop.wait_for(|stopping| *stopping) => return,
            () = clock.sleep(ROUND) => {}
        }
    }
}

/// Seals anew until `stop` turns true: at the start, as soon as there are other keys, and at each round what other nodes went on
/// sealing with an older one.
pub(super) async fn reseal(
    store: Store,
    keys: Keychain,
    random: Random,
    clock: Clock,
    mut stop: watch::Receiver<bool>,
) {
    let mut changes = keys.changes();
    loop {
        let now = Arc::clone(&changes.borrow_and_update());
        let sealed = tokio::select! {
            _ = stop.wait_for(|stopping| *stopping) => return,
            sealed = reseal::round(&store, &now, &random) => sealed,
        };
        match sealed {
            Ok(Resealed { done: 0, .. }) => {}
            Ok(Resealed { done, closed }) => tracing::info!(done, closed, "what an older key sealed was sealed anew"),
            Err(error) => tracing::warn!(%error, "not all could be sealed anew; next try in ten minutes"),
        }
        tokio::select! {
            _ = stop.wait_for(|stopping| *stopping) => return,
            _ = changes.changed() => {}
            () = clock.sleep(ROUND) => {}
        }
    }
}

fn tell(swept: Result<(), StoreError>) {
    if let Err(error) = swept {
        tracing::warn!(%error, "what is too old could not be cleared away; next try in ten minutes");
    }
}

/// Repeats a sweep until it finds less than a whole step.
async fn whole(
    store: &Store,
    sweep: impl Fn(&mut Tx<'_>, Timestamp, usize) -> Result<u64, StoreError> + Copy + Send + 'static,
    now: Timestamp,
) -> Result<(), StoreError> {
    while store.write::<_, StoreError, _>(move |tx| sweep(tx, now, STEP)).await? == STEP as u64 {}
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ChallengeId, ContactTestId, Language, MailId, MemberId, OrgCode, Via};
    use crate::queue::{Class, Content, NewJob, State};
    use crate::service::audit::{By, Entry};
    use crate::store::{Event, EventFilter, Location, NewChallenge, NewMail, NewMember, Options, Session, Settlement};
    use crate::store::{StsMode, StsPolicy};
    use std::collections::BTreeSet;

    const START: Timestamp = Timestamp::from_millis(1_000_000_000_000);
    const DAY: i64 = 86_400;

    /// Looks for a row, perhaps by doing what shows it.
    type Look = fn(&mut Tx<'_>) -> Result<bool, StoreError>;

    /// How long each is kept, in seconds after `START`, and how to see that it is there.
    const KEPT_FOR: [(i64, Look); 15] = [
        (12 * 3_600, |tx| Ok(tx.draft(MemberId::new(1), &[5; 32])?.is_some())),
        (12 * 3_600 + 60 * 60, |tx| Ok(tx.session(&[1; 32])?.is_some())),
        (DAY, |tx| Ok(tx.budget("address", "a")?.is_some())),
        (DAY, |tx| Ok(tx.trim_login_failures(Timestamp::from_millis(i64::MAX), 9)? == 1)),
        (DAY, |tx| Ok(tx.trim_streaks(Timestamp::from_millis(i64::MAX), 9)? == 1)),
        (2 * DAY, |tx| Ok(tx.challenge(ChallengeId::new(1))?.is_some())),
        (2 * DAY, |tx| Ok(tx.last_of_wrong_codes(MemberId::new(1), 1, Span::from_secs(1))?.is_some())),
        (2 * DAY, |tx| Ok(tx.sts_policy(&"b.jp".parse().unwrap())?.is_some())),
        (10 * DAY, |tx| Ok(!tx.first_time(&[3; 32], START)?)),
        (30 * DAY, |tx| Ok(tx.mail_raw(MailId::new(1))?.is_some())),
        (90 * DAY, |tx| Ok(tx.contact_test(ContactTestId::new(1))?.is_some())),
        (90 * DAY, |tx| Ok(tx.link_use("registration", 1)?.is_some())),
        (90 * DAY, |tx| Ok(!tx.events(&EventFilter::default())?.is_empty())),
        (90 * DAY, |tx| Ok(tx.job(crate::model::JobId::new(1))?.is_some())),
        (AUDIT_DAYS * DAY, |tx| Ok(tx.audit(None, 0, 99)?.iter().any(|row| row.name == audit::LOGIN_FAIL))),
    ];
    /// As long as the settings of these tests say.
    const AUDIT_DAYS: i64 = 100;

    async fn store(folder: &tempfile::TempDir) -> Store {
        let location = Location::Sqlite(folder.path().join("karamail.db"));
        let store = Store::open(Options::new(location)).await.unwrap();
        store
            .write::<_, StoreError, _>(|tx| {
                let member = member(tx)?;
                fill(tx, member)
            })
            .await
            .unwrap();
        store
    }

    fn member(tx: &mut Tx<'_>) -> Result<MemberId, StoreError> {
        let demo: OrgCode = "DEMO".parse().unwrap();
        let org = tx.add_org(&demo, "デモ", None, START)?.unwrap();
        let new = NewMember {
            login: "taro".parse().unwrap(),
            name: "太郎".into(),
            kana: None,
            department: None,
            language: Language::Ja,
            password_hash: None,
            addresses: [None, None, None],
        };
        Ok(tx.put_member(org, &new, START)?.0)
    }

    /// Puts in one of each.
    fn fill(tx: &mut Tx<'_>, member: MemberId) -> Result<(), StoreError> {
        let session = Session {
            member,
            created: START,
            seen: START,
            password_at: START,
            code_at: None,
            last_login: None,
            stage: "password".into(),
            language: Language::Ja,
        };
        tx.open_session(&[1; 32], &session)?;
        tx.keep_draft(member, &[5; 32], b"sealed", START)?;
        tx.try_login(&[1; 32], &[2; 32], START)?;
        tx.count_try(&[1; 32], START, START)?;
        tx.open_challenge(&NewChallenge {
            member,
            session: [1; 32],
            purpose: "login",
            address: "a@b.jp".parse().unwrap(),
            at: START,
            expires: START,
        })?;
        tx.note_wrong_code(member, START)?;
        tx.first_time(&[3; 32], START)?;
        tx.set_budget("address", "a", START.plus(Span::from_millis(DAY * 1_000 + 1)))?;
        let policy = StsPolicy {
            id: "1".into(),
            mode: StsMode::Enforce,
            mx: Vec::new(),
            max_age: Span::from_secs(2 * DAY),
            fetched_at: START,
            expires_at: START.plus(Span::from_millis(2 * DAY * 1_000 + 1)),
        };
        tx.put_sts_policy(&"b.jp".parse().unwrap(), &policy)?;
        tx.remember_mail(&mail())?;
        tx.begin_contact_test(member, &"a@b.jp".parse().unwrap(), START, START)?;
        tx.use_link("registration", 1, b"nonce", START, &[4; 32])?;
        end_a_job(tx)?;
        audit::record(tx, Entry::at_large(audit::LOGIN_FAIL, By::Anybody), START)?;
        tx.record(Event {
            at: START,
            name: "kept".into(),
            mail: None,
            job: None,
            address: None,
            fields: serde_json::Map::new(),
            ordered: None,
        })
    }

    fn mail() -> NewMail {
        NewMail {
            via: Via::Smtp,
            peer: "203.0.113.9".parse().unwrap(),
            helo: "phone.example".into(),
            sender: None,
            to: "postmaster@mc-anpi.com".parse().unwrap(),
            message_id: None,
            size: 3,
            at: START,
            decision: "kept",
            reason: None,
            raw: Some(b"raw".to_vec()),
        }
    }

    fn end_a_job(tx: &mut Tx<'_>) -> Result<(), StoreError> {
        let order = NewJob {
            class: Class::Notice,
            to: "a@b.jp".parse().unwrap(),
            content: Content::Forward { mail: MailId::new(1) },
            language: None,
            cause: None,
            queued_at: START,
            due: START,
            give_up: START,
        };
        let job = tx.enqueue(&order)?;
        tx.claim("w", START, START, 1)?;
        let end = Settlement::End { state: State::Expired, stage: None, reply: None, at: START };
        assert!(tx.settle(job, "w", 1, &end)?);
        Ok(())
    }

    /// Clears away once, as the first round does.
    async fn round(store: &Store, after: Span) {
        let (_stopped, stop) = watch::channel(true);
        let audit_kept = Span::from_secs(AUDIT_DAYS * DAY);
        run(store.clone(), Clock::turned_by_hand(START.plus(after)), audit_kept, stop).await;
    }

    /// What a transaction that only looks ends with, so that nothing of it is kept.
    enum Seen {
        There(bool),
        Trouble(StoreError),
    }

    impl From<StoreError> for Seen {
        fn from(error: StoreError) -> Self {
            Self::Trouble(error)
        }
    }

    async fn is_there(store: &Store, look: Look) -> bool {
        let seen = store
            .write(move |tx| look(tx).map_or_else(|error| Err(error.into()), |there| Err::<(), _>(Seen::There(there))));
        match seen.await {
            Err(Seen::There(there)) => there,
            Err(Seen::Trouble(error)) => panic!("{error}"),
            Ok(()) => panic!("it only looks"),
        }
    }

    #[tokio::test]
    async fn everything_is_kept_for_its_time_and_no_longer() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(&folder).await;
        for seconds in BTreeSet::from(KEPT_FOR.map(|(seconds, _)| seconds)) {
            let last = Span::from_secs(seconds);
            for (after, over) in [(last, false), (last.plus(Span::from_millis(1)), true)] {
                round(&store, after).await;
                for (index, (kept_for, look)) in KEPT_FOR.into_iter().enumerate() {
                    let expected = kept_for > seconds || (kept_for == seconds && !over);
                    assert_eq!(is_there(&store, look).await, expected, "{index} after {seconds} s, over: {over}");
                }
            }
        }
    }
}
