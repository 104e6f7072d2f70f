use super::*;
use crate::queue::Cause;
use crate::queue::destination::{Group, Limits, Rate};
use crate::queue::view::{KeptBack, Shut};

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millis(seconds * 1_000)
}

fn crowd(domain: &str, class: Class, state: State, counts: [u64; 2], oldest: i64) -> Crowd {
    let [young, old] = counts;
    let mut ages = [0; 10];
    (ages[0], ages[9]) = (young, old);
    Crowd { domain: domain.parse().unwrap(), class, state, ages, oldest: at(oldest) }
}

fn view(name: &str, standing: Standing, last_minute: u32, rate: Option<f64>) -> DestinationView {
    DestinationView {
        name: name.to_owned(),
        domains: Vec::new(),
        standing,
        limits: Limits { connections: 8, rate: "50/s".parse().ok(), ..Limits::default() },
        allowed: 4,
        rate,
        connections: 3,
        sending: 2,
        waiting: [0; 6],
        last_minute,
        unknown: (1, 100),
    }
}

fn groups() -> Groups {
    let limits = Limits { rate: Rate::new(50, Span::from_secs(1)), ..Limits::default() };
    let domains = vec!["docomo.ne.jp".parse().unwrap(), "*.docomo.ne.jp".parse().unwrap()];
    Groups::new(vec![Group { name: "docomo".to_owned(), domains, mx: Vec::new(), limits }])
}

fn name_of(domain: &Domain) -> String {
    groups().of_domain(domain).map_or_else(|| domain.to_string(), |group| group.name.clone())
}

fn crowds() -> Vec<Crowd> {
    vec![
        crowd("docomo.ne.jp", Class::Otp, State::Sending, [1, 0], 90),
        crowd("docomo.ne.jp", Class::Alert, State::Queued, [100, 20], 10),
        crowd("x.docomo.ne.jp", Class::Alert, State::Held, [0, 7], 5),
        crowd("example.jp", Class::Notice, State::Deferred, [300, 0], 50),
    ]
}

fn facts(views: Option<Vec<DestinationView>>) -> SummaryFacts {
    let view = views.map(|destinations| View { destinations, connections: 3, connections_max: 200, ..View::default() });
    summarise(&crowds(), view.as_ref(), &groups(), name_of, at(100))
}

#[test]
fn mails_are_counted_by_class_by_state_and_by_destination_the_fullest_first() {
    let facts = facts(None);
    assert!(!facts.running);
    let classes: Vec<_> =
        facts.by_class.iter().map(|facts| (facts.class.as_str(), facts.waiting, facts.sending)).collect();
    let [otp, alert, notice] = [("otp", 0, 1), ("alert", 127, 0), ("notice", 300, 0)];
    assert_eq!(classes, [otp, alert, ("registration", 0, 0), ("contact_test", 0, 0), notice, ("report", 0, 0)]);
    assert_eq!(facts.by_class[1].oldest, Some(at(5).to_string()));
    assert_eq!(facts.by_class[5].oldest, None);
    let states: Vec<_> = facts.by_state.iter().map(|facts| (facts.state.as_str(), facts.count)).collect();
    assert_eq!(states, [("queued", 120), ("sending", 1), ("deferred", 300), ("held", 7), ("unknown", 0)]);
    let [first, second] = &facts.by_destination[..] else { panic!("{facts:?}") };
    assert_eq!((first.name.as_str(), first.waiting, first.sending, first.held), ("example.jp", 300, 0, 0));
    assert_eq!((second.name.as_str(), second.waiting, second.sending, second.held), ("docomo", 127, 1, 7));
    assert_eq!(second.oldest, Some(at(5).to_string()));
    let ages: Vec<_> = second.ages.iter().map(|age| (age.below_minutes, age.count)).collect();
    assert_eq!((ages[0], ages[8], ages[9]), ((Some(5), 101), (Some(1_280), 0), (None, 27)));
    // Nothing is known of how it stands while no daemon runs, but for what is set.
    assert_eq!((second.limit.as_deref(), &second.state, second.rate), (Some("50/s"), &None, None));
    assert_eq!(second.drained_at, None);
}

#[test]
fn a_destination_shows_what_was_learned_and_when_it_will_be_through() {
    let until = at(160);
    let shut = Standing::Shut { why: Shut::Down, until };
    for (seen, drained) in [
        // 121 mails that are not held, at two a second.
        (view("docomo", Standing::Open, 120, None), Some(at(100).plus(Span::from_millis(60_500)))),
        // Nothing went there lately, and the limit is one a second.
        (view("docomo", Standing::Slowed, 0, Some(1.0)), Some(at(221))),
        (view("docomo", shut, 0, Some(1.0)), Some(at(281))),
        (view("docomo", Standing::Open, 0, None), None),
    ] {
        let (state, rate) = (seen.standing.as_str(), f64::from(seen.last_minute) / 60.0);
        let facts = facts(Some(vec![seen, view("idle", Standing::Open, 60, None)]));
        assert!(facts.running);
        assert_eq!((facts.connections, facts.connections_max), (Some(3), Some(200)));
        let docomo = facts.by_destination.iter().find(|facts| facts.name == "docomo").unwrap();
        assert_eq!((docomo.state.as_deref(), docomo.rate), (Some(state), Some(rate)));
        assert_eq!(docomo.drained_at, drained.map(|at| at.to_string()), "{state}");
        assert_eq!(
            (docomo.connections, docomo.connections_allowed, docomo.connections_limit),
            (Some(3), Some(4), Some(8))
        );
        assert_eq!(docomo.until, (state == "suspended").then(|| until.to_string()));
        let idle = facts.by_destination.iter().find(|facts| facts.name == "idle").unwrap();
        assert_eq!((idle.waiting, &idle.drained_at), (0, &None));
    }
}

#[test]
fn domains_that_are_kept_back_are_shown_with_what_waits_for_them() {
    let kept = |cause, seconds| KeptBack { cause, until: at(seconds) };
    let domains = [
        ("docomo.ne.jp", kept(Cause::Tls, 200)),
        ("example.jp", kept(Cause::Dns, 150)),
        // All it has is held, and nothing goes there.
        ("x.docomo.ne.jp", kept(Cause::Dns, 160)),
        ("nobody.example", kept(Cause::Dns, 170)),
    ];
    let kept = domains.map(|(domain, kept)| (domain.parse().unwrap(), kept)).into();
    let view = View { kept, ..View::default() };
    let facts = summarise(&crowds(), Some(&view), &groups(), name_of, at(100)).kept_back;
    let facts =
        facts.iter().map(|facts| (&*facts.domain, &*facts.destination, facts.waiting, &*facts.cause, &*facts.until));
    let (soon, late) = (at(150).to_string(), at(200).to_string());
    let expected = [("example.jp", "example.jp", 300, "dns", &*soon), ("docomo.ne.jp", "docomo", 120, "tls", &*late)];
    assert_eq!(facts.collect::<Vec<_>>(), expected);
    assert_eq!(summarise(&crowds(), None, &groups(), name_of, at(100)).kept_back, []);
}
