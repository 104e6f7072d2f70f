use super::*;
use crate::model::MailId;
use crate::queue::{Content, NewJob};
use std::collections::BTreeSet;

/// Ten past the full hour, when nothing keeps off it.
const NOW: Timestamp = Timestamp::from_millis(4_200_000);

fn domain() -> Domain {
    "docomo.ne.jp".parse().unwrap()
}

const fn after(seconds: i64) -> Timestamp {
    NOW.plus(Span::from_secs(seconds))
}

fn job(id: i64, class: Class) -> Job {
    let order = NewJob {
        class,
        to: "a@docomo.ne.jp".parse().unwrap(),
        content: Content::Forward { mail: MailId::new(1) },
        language: None,
        cause: None,
        queued_at: NOW,
        due: NOW,
        give_up: Timestamp::from_millis(i64::MAX),
    };
    Job::just_claimed(id, order)
}

fn kept_by(cause: Cause) -> Kept {
    let mut kept = Kept::default();
    assert_eq!(kept.failed(&domain(), cause, NOW, 0.5), Some(after(15)));
    kept
}

#[test]
fn a_domain_is_probed_by_one_mail_ever_less_often() {
    let mut kept = kept_by(Cause::Dns);
    // Mails that were on their way say nothing new.
    assert_eq!(kept.failed(&domain(), Cause::Tls, after(1), 0.5), None);
    let [first, second] = [1, 2].map(|id| job(id, Class::Alert));
    let room = |kept: &Kept, at: i64, held: bool| kept.room(&domain(), Class::Alert, after(at), |_| held);
    assert_eq!((room(&kept, 14, false), room(&kept, 15, false)), (Some(0), Some(1)));
    assert!(!kept.admits(&first, after(14), |_| false));
    assert!(kept.admits(&first, after(15), |_| false));
    assert!(kept.admits(&first, after(15), |_| true), "the probe itself is not turned away");
    assert!(!kept.admits(&second, after(15), |_| true));
    assert_eq!(room(&kept, 15, true), Some(0));
    // It meets the same, and later the next ones.
    let mut now = after(15);
    for wait in [30, 60, 120, 240, 480, 600, 600] {
        let until = now.plus(Span::from_secs(wait));
        assert_eq!(kept.failed(&domain(), Cause::Tls, now, 0.5), Some(until));
        assert_eq!(kept.view()[&domain()], KeptBack { cause: Cause::Tls, until });
        now = until;
    }
}

#[test]
fn what_is_kept_back_is_probed_again_whatever_became_of_the_probe() {
    let mut kept = kept_by(Cause::Dns);
    for id in 1..5 {
        // The one before was dropped, held, expired or given back: it is not under way any more.
        let is_held = |other: JobId| other == JobId::new(id);
        assert_eq!(kept.room(&domain(), Class::Alert, after(15), is_held), Some(1));
        assert!(kept.admits(&job(id, Class::Alert), after(15), is_held));
        assert_eq!(kept.room(&domain(), Class::Alert, after(15), is_held), Some(0));
    }
}

#[test]
fn a_success_ends_it_unless_its_way_was_found_before_the_trouble() {
    let mut kept = kept_by(Cause::Dns);
    // Over a connection that was there before.
    assert!(!kept.reached(&domain(), NOW.minus(Span::from_secs(1)), after(5)));
    // A mail somebody waits for found a way.
    assert!(kept.reached(&domain(), after(5), after(6)) && !kept.reached(&domain(), after(5), after(6)));
    assert_eq!(kept.room(&domain(), Class::Alert, after(6), |_| true), None);
    // It begins with the shortest wait again; the probe may find a connection that was there before.
    assert_eq!(kept.failed(&domain(), Cause::Dns, after(50), 0.5), Some(after(65)));
    assert_eq!(kept.failed(&domain(), Cause::Dns, after(60), 0.5), None);
    assert!(!kept.reached(&domain(), after(55), after(64)));
    assert!(kept.reached(&domain(), after(55), after(65)));
    assert!(kept.view().is_empty());
}

#[test]
fn what_somebody_waits_for_is_always_let_through_and_does_not_put_the_probe_off() {
    let mut kept = kept_by(Cause::Dns);
    for class in [Class::Otp, Class::Registration, Class::ContactTest] {
        assert!(kept.admits(&job(1, class), NOW, |_| true));
        assert_eq!(kept.room(&domain(), class, NOW, |_| true), None);
        assert!(!kept.keeps_any(class, NOW, |_| true));
        assert_eq!(kept.failed(&domain(), Cause::Dns, after(14), 0.5), None);
    }
    for class in [Class::Alert, Class::Notice, Class::Report] {
        assert!(kept.keeps_any(class, NOW, |_| false));
    }
    assert_eq!(kept.view()[&domain()].until, after(15));
}

#[test]
fn a_mail_that_keeps_off_the_full_hour_does_not_probe_in_it() {
    let hour = Timestamp::from_millis(7_200_000);
    let mut kept = kept_by(Cause::Dns);
    for (class, room) in [(Class::Notice, 0), (Class::Alert, 1)] {
        assert_eq!(kept.room(&domain(), class, hour, |_| false), Some(room));
        assert_eq!(kept.keeps_any(class, hour, |_| false), room == 0);
        assert_eq!(kept.admits(&job(1, class), hour, |_| false), room == 1);
    }
}

#[test]
fn other_domains_are_not_touched() {
    let mut kept = kept_by(Cause::Dns);
    let other: Domain = "mopera.net".parse().unwrap();
    assert_eq!(kept.room(&other, Class::Alert, NOW, |_| true), None);
    let order = NewJob { to: "a@mopera.net".parse().unwrap(), ..job(1, Class::Alert).order };
    assert!(kept.admits(&Job { order, ..job(1, Class::Alert) }, NOW, |_| true));
    assert!(!kept.reached(&other, NOW, NOW));
}

#[test]
fn a_clock_that_is_put_back_is_not_waited_for_and_a_domain_nobody_writes_to_is_forgotten() {
    let mut kept = Kept::default();
    kept.failed(&domain(), Cause::Dns, after(36_000), 0.5);
    kept.clock_was_put_back(NOW);
    assert_eq!(kept.room(&domain(), Class::Alert, NOW, |_| false), Some(1));
    // A way found by the clock that is right ends it, though the trouble was met by the one that was not.
    assert!(kept.reached(&domain(), NOW, NOW));
    let mut kept = kept_by(Cause::Dns);
    kept.forget(after(15 + 5 * 3_600 - 1));
    assert_eq!(kept.view().len(), 1);
    kept.forget(after(15 + 5 * 3_600));
    assert!(kept.view().is_empty());
}

#[test]
fn no_more_domains_are_remembered_than_there_may_be() {
    let mut kept = Kept::default();
    let numbered = |number: usize| format!("d{number}.example").parse::<Domain>().unwrap();
    for number in 0..DOMAINS {
        kept.failed(&numbered(number), Cause::Dns, after(i64::try_from(number % 2).unwrap() * 20), 0.5);
    }
    // Those for which a probe is due make room first.
    assert!(kept.failed(&numbered(DOMAINS), Cause::Dns, after(20), 0.5).is_some());
    assert_eq!(kept.view().len(), DOMAINS / 2 + 1);
    for number in 0..2 * DOMAINS {
        kept.failed(&format!("e{number}.example").parse().unwrap(), Cause::Dns, after(20), 0.5);
        assert!(kept.0.len() <= DOMAINS);
    }
}

/// What becomes of a backlog as the worker treats it: claims as there is room, tries, gives back.
#[test]
fn a_backlog_is_never_claimed_over_and_over_and_ends_when_the_trouble_does() {
    let mut kept = kept_by(Cause::Dns);
    let mut waiting: BTreeSet<i64> = (1..=200).collect();
    let (mut claims, mut tries) = (0, 0);
    for second in 0..3_600 {
        let (now, mended) = (after(second), second >= 3_000);
        // The front of the queue where nothing is said against it, else as many as there is room for.
        let most = match kept.room(&domain(), Class::Alert, now, |_| false) {
            _ if !kept.keeps_any(Class::Alert, now, |_| false) => 50,
            room => room.unwrap_or(50),
        };
        let claimed: Vec<i64> = waiting.iter().copied().take(most).collect();
        claims += claimed.len();
        for id in &claimed {
            let is_held = |other: JobId| claimed.iter().any(|id| other == JobId::new(*id));
            if !kept.admits(&job(*id, Class::Alert), now, is_held) {
                continue;
            }
            tries += 1;
            if mended {
                waiting.remove(id);
                kept.reached(&domain(), now, now);
            } else {
                kept.failed(&domain(), Cause::Dns, now, 0.5);
            }
        }
    }
    assert!(waiting.is_empty(), "{} wait", waiting.len());
    // 30 s, 60 s, … 600 s, and then all of them.
    assert!(tries < 200 + 12 && claims < 200 + 12 * 50, "{tries} tries, {claims} claims");
}
