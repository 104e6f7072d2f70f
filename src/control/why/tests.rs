use super::*;
use crate::control::Recalled;
use crate::model::{Domain, JobId, MailId, Reply, Stage};
use crate::queue::destination::{Limits, Rate};
use crate::queue::{Class, Content, Lease, NewJob, Selection};

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millis(seconds * 1_000)
}

/// Ten past the full hour, when nothing keeps off it.
const NOW: i64 = 4_200;

fn job() -> Job {
    Job {
        id: JobId::new(1),
        order: NewJob {
            class: Class::Alert,
            to: "hanako@docomo.ne.jp".parse().unwrap(),
            content: Content::Forward { mail: MailId::new(1) },
            language: None,
            cause: None,
            queued_at: at(NOW - 100),
            due: at(NOW - 100),
            give_up: at(90_000),
        },
        state: State::Queued,
        due: at(NOW - 50),
        attempts: 0,
        lease: None,
        last: None,
        last_cause: None,
        held_since: None,
        held: Span::default(),
    }
}

fn deferred(cause: Option<Cause>) -> Job {
    let last = Some((Stage::Rcpt, Reply::new(451, "4.7.1 come back")));
    Job { state: State::Deferred, due: at(NOW + 50), attempts: 1, last, last_cause: cause, ..job() }
}

fn sending(until: i64) -> Job {
    let lease = Some(Lease { owner: "w".to_owned(), until: at(until), fence: 1 });
    Job { state: State::Sending, lease, ..job() }
}

/// Delivery as a test wants it to be.
#[derive(Clone)]
struct Picture {
    standing: Standing,
    waiting: [usize; 6],
    wait: Option<(Wait, usize)>,
    /// What is said of the domain.
    kept: Option<KeptBack>,
}

const OPEN: Picture = Picture { standing: Standing::Open, waiting: [0; 6], wait: None, kept: None };

impl Live for Picture {
    fn view(&self) -> View {
        let docomo = DestinationView {
            name: "docomo".to_owned(),
            domains: Vec::new(),
            standing: self.standing,
            limits: Limits::default(),
            allowed: 8,
            rate: None,
            connections: 8,
            sending: 8,
            waiting: self.waiting,
            last_minute: 0,
            unknown: (0, 0),
        };
        let kept = self.kept.into_iter().map(|kept| ("docomo.ne.jp".parse().unwrap(), kept)).collect();
        View { destinations: vec![docomo], connections: 8, connections_max: 200, kept }
    }

    fn job(&self, job: JobId) -> Option<JobView> {
        let (wait, ahead) = self.wait?;
        Some(JobView { job, class: Class::Alert, destination: Some("docomo".to_owned()), wait, ahead })
    }

    fn destination(&self, domain: &Domain) -> String {
        domain.as_str().replace("docomo.ne.jp", "docomo")
    }

    fn recall(&self, _: &Selection) -> Recalled {
        Recalled::default()
    }

    fn wake(&self) {}
}

fn find(job: &Job, live: Option<&Picture>) -> Reason {
    let sight = live.map(|live| Sight::of(live));
    reason(job, sight.as_ref(), at(NOW))
}

fn shut(why: Shut) -> Picture {
    Picture { standing: Standing::Shut { why, until: at(NOW + 80) }, ..OPEN }
}

fn waits(wait: Wait, ahead: usize) -> Picture {
    Picture { wait: Some((wait, ahead)), ..OPEN }
}

#[test]
fn a_job_that_was_tried_names_why_it_was_put_off_and_until_when() {
    for (cause, name, words) in [
        (Some(Cause::Greylisted), "greylisted", "the server wants to see us come back"),
        (Some(Cause::NoKey), "no-key", "a key that signs or seals it is missing"),
        (Some(Cause::Dns), "dns", "the name servers do not say where to"),
        (Some(Cause::Unreachable), "retry", "no server could be reached"),
        (Some(Cause::Throttled), "retry", "the server asked to slow down"),
        (Some(Cause::Tls), "tls", "the connection was not as secure"),
        (Some(Cause::Full), "retry", "the mailbox was full"),
        (Some(Cause::Lost), "retry", "the connection was lost"),
        (Some(Cause::Ours), "retry", "we could not send it"),
        (Some(Cause::Said), "retry", "the server said not now"),
        (None, "retry", "it could not be sent"),
    ] {
        // It is the same whether a daemon runs or not.
        for live in [None, Some(&OPEN)] {
            let reason = find(&deferred(cause), live);
            assert_eq!((reason.cause, reason.until), (name, Some(at(NOW + 50))), "{cause:?}");
            let tail = format!("; another try at {} after: 451 4.7.1 come back (rcpt)", at(NOW + 50));
            assert!(reason.text.starts_with(words) && reason.text.ends_with(&tail), "{}", reason.text);
        }
    }
}

#[test]
fn a_shut_destination_is_the_reason_for_what_is_due_and_for_what_it_would_wake() {
    for (why, name) in [(Shut::Down, "suspended"), (Shut::Throttled, "throttled"), (Shut::UnknownUsers, "breaker")] {
        for job in [
            job(),
            deferred(Some(Cause::Unreachable)),
            deferred(Some(Cause::Throttled)),
            deferred(Some(Cause::Tls)),
            deferred(Some(Cause::Lost)),
        ] {
            let reason = find(&job, Some(&shut(why)));
            assert_eq!((reason.cause, reason.until), (name, Some(at(NOW + 80))), "{job:?}");
            assert_eq!(reason.destination.as_deref(), Some("docomo"));
        }
        let in_memory = waits(Wait::Shut { why, until: at(NOW + 80) }, 3);
        assert_eq!(find(&sending(NOW + 60), Some(&in_memory)).cause, name);
        // Nothing of its own that passes with the destination.
        for cause in [Cause::Greylisted, Cause::Full, Cause::Said, Cause::NoKey, Cause::Ours, Cause::Dns] {
            assert_ne!(find(&deferred(Some(cause)), Some(&shut(why))).cause, name, "{cause:?}");
        }
    }
}

#[test]
fn a_domain_that_is_kept_back_is_the_reason_for_what_can_wait_and_would_be_woken() {
    for (cause, words) in [(Cause::Dns, "the name servers do not say"), (Cause::Tls, "no connection was as secure")] {
        let until = at(NOW + 80);
        let kept = Picture { kept: Some(KeptBack { cause, until }), ..OPEN };
        for job in [job(), deferred(Some(Cause::Dns)), deferred(Some(Cause::Tls))] {
            let reason = find(&job, Some(&kept));
            assert_eq!((reason.cause, reason.until), (cause.as_str(), Some(until)), "{job:?}");
            let head = format!("all mail to docomo.ne.jp is kept back: {words}");
            assert!(reason.text.starts_with(&head), "{}", reason.text);
            assert!(reason.text.contains(&format!("one mail tries again at {until} at the latest")), "{}", reason.text);
        }
        // Nothing is said of it by a probe that is to come before its own next try.
        let later = Job { due: at(NOW + 500), ..deferred(Some(cause)) };
        assert_eq!(find(&later, Some(&kept)).until, Some(later.due));
        // What passes by itself, what somebody waits for, and other domains.
        let order = |class, to: &str| NewJob { class, to: to.parse().unwrap(), ..job().order };
        assert_eq!(find(&deferred(Some(Cause::Greylisted)), Some(&kept)).cause, "greylisted");
        for order in [order(Class::Otp, "a@docomo.ne.jp"), order(Class::Alert, "a@mopera.net")] {
            assert_eq!(find(&Job { order, ..job() }, Some(&kept)).cause, "next");
        }
        // Whoever is shut for longer has to be there first.
        for (seconds, name) in [(79, cause.as_str()), (81, "suspended")] {
            let standing = Standing::Shut { why: Shut::Down, until: at(NOW + seconds) };
            assert_eq!(find(&job(), Some(&Picture { standing, ..kept.clone() })).cause, name);
        }
    }
}

#[test]
fn a_job_in_memory_names_what_it_waits_for_and_how_many_go_before_it() {
    let limit: Rate = "2/s".parse().unwrap();
    let (next, until) = (at(NOW + 1), Some(at(NOW + 6)));
    for (wait, ahead, cause, until, words) in [
        (Wait::Sending, 0, "sending", None, "being given to a server"),
        (Wait::Rate { next, limit }, 10, "rate", until, "docomo gets no more than 2/s; 10 mails of its class"),
        (
            Wait::Connections { connections: 8, allowed: 8 },
            1,
            "connections",
            None,
            "all 8 connections that docomo gets",
        ),
        (Wait::Connections { connections: 3, allowed: 8 }, 0, "connections", None, "as many connections are open as"),
        (Wait::FullHour { until: at(NOW + 9) }, 0, "full-hour", Some(at(NOW + 9)), "mails of its class keep off"),
        (Wait::Resolving, 0, "resolving", None, "the servers of its domain are being looked up"),
        (Wait::Next, 2, "next", None, "goes with the next free connection; 2 mails of its class"),
    ] {
        let reason = find(&sending(NOW + 60), Some(&waits(wait, ahead)));
        assert_eq!((reason.cause, reason.until), (cause, until), "{wait:?}");
        assert!(reason.text.starts_with(words), "{}", reason.text);
        assert_eq!(reason.text.contains("go before it") || reason.text.contains("goes before it"), ahead > 0);
    }
}

#[test]
fn a_job_that_is_due_waits_for_the_hour_for_those_before_it_or_for_nothing() {
    let notice = |now: i64| {
        let order = NewJob { class: Class::Notice, queued_at: at(now), due: at(now), ..job().order };
        Job { order, due: at(now), ..job() }
    };
    let behind = Picture { waiting: [0, 500, 0, 0, 0, 0], ..OPEN };
    let crowded = find(&job(), Some(&behind));
    assert_eq!((crowded.cause, crowded.destination.as_deref()), ("queue", Some("docomo")));
    assert!(crowded.text.starts_with("at least 500 mails of its class"), "{}", crowded.text);
    assert_eq!(find(&job(), Some(&OPEN)).cause, "next");
    assert_eq!(find(&job(), None).cause, "daemon-down");
    // A minute after the full hour, and ordered then.
    let sight = Sight::of(&OPEN);
    let hour = reason(&notice(3_660), Some(&sight), at(3_660));
    assert_eq!((hour.cause, hour.until), ("full-hour", Some(at(3_900))));
    let put_off = Job { due: at(3_950), order: NewJob { due: at(3_950), ..notice(3_660).order }, ..notice(3_660) };
    assert_eq!(reason(&put_off, None, at(3_700)).cause, "full-hour");
    assert_eq!(find(&Job { due: at(NOW + 9), ..job() }, None).cause, "not-due");
}

#[test]
fn every_other_state_has_its_reason() {
    let said = Some((Stage::Data, Reply::none("connection lost")));
    let order = |give_up| NewJob { give_up: at(give_up), ..job().order };
    let unknown = |due| Job { state: State::Unknown, due: at(due), last: said.clone(), ..job() };
    let ended = |state| Job { state, ..job() };
    for (job, cause, words) in [
        (Job { order: order(NOW - 10), ..job() }, "over", "its time was over"),
        (sending(NOW + 60), "daemon-down", "no daemon is running; queued again at its start"),
        (sending(NOW - 60), "worker-lost", "its worker was lost"),
        (Job { state: State::Held, held_since: Some(at(NOW)), ..job() }, "held", "held by the operator since 1970-"),
        (unknown(NOW + 100), "lost", "the connection was lost when it may have been taken; one more try"),
        (unknown(90_000), "lost", "the connection was lost when it may have been taken; not sent again after: conn"),
        (ended(State::Accepted), "ended", "the receiving server took it"),
        (ended(State::Refused), "ended", "the receiving server refused it"),
        (ended(State::Expired), "ended", "its time was over"),
        (ended(State::Suppressed), "ended", "the address is not written to"),
        (ended(State::Cancelled), "ended", "called back"),
    ] {
        let reason = find(&job, None);
        assert_eq!(reason.cause, cause, "{:?}", job.state);
        assert!(reason.text.starts_with(words), "{}", reason.text);
    }
    assert!(find(&sending(NOW + 60), Some(&OPEN)).text.starts_with("being sent; if its worker"));
}
