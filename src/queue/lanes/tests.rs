use super::*;
use crate::model::MailId;
use crate::queue::view::Shut;
use crate::queue::{Content, NewJob};

/// A quarter past an hour, when everything may be begun.
const NOW: Timestamp = Timestamp::from_millis(15 * 60_000);

fn bounds(connections: usize, per_destination: usize, window: usize) -> Bounds {
    let usual = Limits { connections: per_destination, messages_per_connection: 100, rate: None };
    Bounds { connections, window, usual }
}

fn name(text: &str) -> Name {
    Name::new(text)
}

pub(super) fn job(id: i64, class: Class) -> Job {
    let order = NewJob {
        class,
        to: "a@docomo.ne.jp".parse().unwrap(),
        content: Content::Forward { mail: MailId::new(1) },
        language: None,
        cause: None,
        queued_at: Timestamp::from_millis(id),
        due: Timestamp::from_millis(id),
        give_up: Timestamp::from_millis(i64::MAX),
    };
    Job::just_claimed(id, order)
}

/// Lanes with one destination that has taken us in on `connections` connections, each of which sends a mail with the
/// number of its place, counted down from -1.
fn busy(bounds: Bounds, limits: Option<Limits>, to: &Name, connections: usize) -> Lanes {
    let mut lanes = Lanes::new(bounds);
    let early = Timestamp::from_millis(0);
    for place in 1..=connections {
        lanes.offer(to, limits, job(-i64::try_from(place).unwrap(), Class::Alert), early);
        let (_, reason) = lanes.open(early).unwrap();
        lanes.opened(to, early);
        lanes.stands(to, &reason, early);
        assert!(matches!(lanes.take(to, early), Take::Job(..) | Take::At(_)));
    }
    lanes
}

fn offer(lanes: &mut Lanes, to: &Name, id: i64, class: Class) {
    assert_eq!(lanes.offer(to, None, job(id, class), NOW), None);
}

fn taken(lanes: &mut Lanes, to: &Name) -> Option<i64> {
    match lanes.take(to, NOW) {
        Take::Job(job, _) => Some(job.id.number()),
        Take::At(_) | Take::Nothing | Take::Leave => None,
    }
}

fn opens(lanes: &mut Lanes) -> Option<(String, i64)> {
    lanes.open(NOW).map(|(name, job)| (name.to_string(), job.id.number()))
}

#[test]
fn connections_are_opened_up_to_the_limit_of_the_destination_and_of_all() {
    let (docomo, au) = (name("docomo"), name("au"));
    let mut lanes = Lanes::new(bounds(3, 2, 9));
    for id in 1..=3 {
        offer(&mut lanes, &docomo, id, Class::Otp);
        offer(&mut lanes, &au, 10 + id, Class::Otp);
    }
    let opened: Vec<_> = std::iter::from_fn(|| opens(&mut lanes)).collect();
    // One each, then a second one where there is room for it in all.
    assert_eq!(opened.iter().map(|(_, id)| id % 10).collect::<Vec<_>>(), [1, 1, 2]);
    lanes.closed(&docomo, false, NOW);
    lanes.closed(&au, false, NOW);
    assert_eq!(std::iter::from_fn(|| opens(&mut lanes)).count(), 2);
}

#[test]
fn a_destination_has_few_connections_until_one_is_taken_in() {
    let docomo = name("docomo");
    let mut lanes = Lanes::new(bounds(99, 4, 9));
    for id in 1..=6 {
        offer(&mut lanes, &docomo, id, Class::Alert);
    }
    assert_eq!(std::iter::from_fn(|| opens(&mut lanes)).count(), 2);
    lanes.opened(&docomo, NOW);
    assert_eq!(std::iter::from_fn(|| opens(&mut lanes)).count(), 2);
}

#[test]
fn the_last_connections_of_all_are_for_urgent_mail() {
    let mut lanes = Lanes::new(bounds(20, 2, 99));
    for place in 0..20 {
        offer(&mut lanes, &name(&format!("company{place}")), 100 + place, Class::Alert);
    }
    assert_eq!(std::iter::from_fn(|| opens(&mut lanes)).count(), 18);
    assert!(lanes.is_crowded_out());
    offer(&mut lanes, &name("docomo"), 1, Class::Otp);
    offer(&mut lanes, &name("au"), 2, Class::Registration);
    assert_eq!(std::iter::from_fn(|| opens(&mut lanes)).map(|(_, id)| id).collect::<Vec<_>>(), [1, 2]);
}

#[test]
fn a_place_that_is_given_back_goes_to_a_destination_that_has_none_before_one_that_has() {
    let (docomo, au) = (name("docomo"), name("au"));
    let mut lanes = Lanes::new(bounds(2, 2, 9));
    for id in 1..=3 {
        offer(&mut lanes, &docomo, id, Class::Alert);
    }
    assert_eq!(std::iter::from_fn(|| opens(&mut lanes)).count(), 2);
    offer(&mut lanes, &au, 4, Class::Alert);
    lanes.closed(&docomo, false, NOW);
    assert_eq!(opens(&mut lanes), Some(("au".to_owned(), 4)));
    // The more urgent class goes before it all the same.
    offer(&mut lanes, &name("softbank"), 5, Class::Alert);
    offer(&mut lanes, &docomo, 6, Class::Otp);
    lanes.closed(&au, false, NOW);
    assert_eq!(opens(&mut lanes), Some(("docomo".to_owned(), 6)));
}

#[test]
fn idle_connections_are_counted_on_before_another_is_opened() {
    let docomo = name("docomo");
    let mut lanes = busy(bounds(9, 4, 9), None, &docomo, 1);
    lanes.idles(&docomo, true, NOW);
    offer(&mut lanes, &docomo, 1, Class::Alert);
    assert_eq!(opens(&mut lanes), None);
    offer(&mut lanes, &docomo, 2, Class::Otp);
    assert_eq!(opens(&mut lanes), Some(("docomo".to_owned(), 2)));
    lanes.idles(&docomo, false, NOW);
    assert_eq!([taken(&mut lanes, &docomo), taken(&mut lanes, &docomo)], [Some(2), Some(1)]);
}

#[test]
fn a_job_for_which_a_connection_is_opened_goes_with_whichever_is_free_first() {
    let docomo = name("docomo");
    for is_refused in [true, false] {
        let mut lanes = busy(bounds(9, 3, 9), None, &docomo, 2);
        offer(&mut lanes, &docomo, 1, Class::Otp);
        let (_, reason) = lanes.open(NOW).unwrap();
        assert_eq!(reason.id, JobId::new(1));
        offer(&mut lanes, &docomo, 2, Class::Alert);
        // It waits all the while, so nothing is sent ahead.
        assert_eq!(lanes.ahead(&docomo, false, NOW), None);
        assert_eq!(taken(&mut lanes, &docomo), Some(1));
        // What becomes of the connection is no matter of it any more.
        let left = if is_refused {
            lanes.refused(&docomo, reason, Part::Reason, NOW, 0.5).0
        } else {
            lanes.withdraw(&docomo, reason, Part::Reason, NOW).into_iter().collect()
        };
        assert_eq!(left, []);
        lanes.closed(&docomo, false, NOW);
        assert_eq!([Class::Otp, Class::Alert].map(|class| lanes.waiting(&docomo, class)), [0, 1]);
    }
}

#[test]
fn a_connection_that_ends_without_a_word_leaves_its_job_to_the_next_one() {
    let docomo = name("docomo");
    let mut lanes = Lanes::new(bounds(9, 1, 9));
    offer(&mut lanes, &docomo, 1, Class::Alert);
    assert_eq!(opens(&mut lanes), Some(("docomo".to_owned(), 1)));
    lanes.closed(&docomo, false, NOW);
    assert_eq!(opens(&mut lanes), Some(("docomo".to_owned(), 1)));
}

#[test]
fn where_there_is_a_rate_few_connections_are_opened_at_a_time() {
    let docomo = name("docomo");
    let limits = Limits { connections: 8, messages_per_connection: 100, rate: "10/s".parse().ok() };
    let mut lanes = busy(bounds(99, 8, 99), Some(limits), &docomo, 1);
    for id in 1..=9 {
        offer(&mut lanes, &docomo, id, Class::Alert);
    }
    assert_eq!(std::iter::from_fn(|| opens(&mut lanes)).map(|(_, id)| id).collect::<Vec<_>>(), [1, 2]);
    // The first one that stands takes the token.
    lanes.opened(&docomo, NOW);
    lanes.stands(&docomo, &job(1, Class::Alert), NOW);
    assert_eq!((taken(&mut lanes, &docomo), opens(&mut lanes)), (Some(1), None));
    let token = NOW.plus(Span::from_millis(100));
    assert_eq!(lanes.next_moment(), Some(token));
    assert!(lanes.open(token).is_some() && lanes.open(token).is_none());
}

#[test]
fn a_mail_that_is_begun_once_more_takes_the_next_token_or_none() {
    let docomo = name("docomo");
    let limits = Limits { connections: 8, messages_per_connection: 100, rate: "1/10s".parse().ok() };
    let mut lanes = busy(bounds(99, 8, 99), Some(limits), &docomo, 1);
    offer(&mut lanes, &docomo, 1, Class::Alert);
    assert_eq!(taken(&mut lanes, &docomo), Some(1));
    let [soon, later] = [10, 20].map(|seconds| NOW.plus(Span::from_secs(seconds)));
    assert_eq!(lanes.again(&docomo, NOW.plus(Span::from_millis(9_999)), NOW), None);
    assert_eq!(lanes.again(&docomo, soon, NOW), Some((soon, 0)));
    offer(&mut lanes, &docomo, 2, Class::Otp);
    assert_eq!(lanes.take(&docomo, NOW), Take::At(later));
}

#[test]
fn what_came_into_the_full_hour_is_looked_at_again_behind_it() {
    let (docomo, au) = (name("docomo"), name("au"));
    let [early, hour, late] = [57, 58, 65].map(|minute| Timestamp::from_millis(minute * 60_000));
    let mut lanes = Lanes::new(bounds(1, 1, 9));
    lanes.offer(&docomo, None, job(1, Class::Alert), early);
    assert!(lanes.open(early).is_some());
    lanes.offer(&au, None, job(2, Class::Notice), early);
    assert!(lanes.open(early).is_none());
    assert_eq!(
        lanes.withdraw(&docomo, job(1, Class::Alert), Part::Reason, early).map(|job| job.id),
        Some(JobId::new(1))
    );
    lanes.closed(&docomo, false, hour);
    assert_eq!((lanes.open(hour), lanes.next_moment()), (None, Some(late)));
    assert_eq!(lanes.open(late).map(|(name, _)| name), Some(au));
}

#[test]
fn a_connection_that_stands_goes_to_the_most_urgent_whoever_was_the_reason() {
    let docomo = name("docomo");
    let mut lanes = Lanes::new(bounds(9, 1, 9));
    offer(&mut lanes, &docomo, 1, Class::Alert);
    let (_, reason) = lanes.open(NOW).unwrap();
    offer(&mut lanes, &docomo, 2, Class::Otp);
    lanes.opened(&docomo, NOW);
    lanes.stands(&docomo, &reason, NOW);
    assert_eq!((taken(&mut lanes, &docomo), taken(&mut lanes, &docomo)), (Some(2), Some(1)));
}

#[test]
fn a_full_lane_turns_away_the_last_of_it_and_has_no_room() {
    let docomo = name("docomo");
    let mut lanes = Lanes::new(bounds(9, 1, 3));
    for id in 2..=4 {
        offer(&mut lanes, &docomo, id, Class::Registration);
    }
    assert!(lanes.is_any_full(Class::Registration, NOW));
    assert_eq!(lanes.room(&docomo, Class::Registration, NOW), 0);
    assert_eq!(lanes.room(&docomo, Class::Otp, NOW), 3);
    let turned_away = lanes.offer(&docomo, None, job(1, Class::Registration), NOW);
    assert_eq!(turned_away.map(|job| job.id.number()), Some(4));
    assert_eq!(lanes.room(&name("au"), Class::Registration, NOW), 3);
}

#[test]
fn a_rate_is_kept_over_all_connections_and_classes() {
    let docomo = name("docomo");
    let limits = Limits { connections: 4, messages_per_connection: 100, rate: "10/s".parse().ok() };
    let mut lanes = Lanes::new(bounds(9, 4, 9));
    for id in 1..=3 {
        lanes.offer(&docomo, Some(limits), job(id, Class::Alert), NOW);
    }
    assert!(lanes.open(NOW).is_some());
    lanes.opened(&docomo, NOW);
    assert_eq!(taken(&mut lanes, &docomo), Some(1));
    // The next token is a tenth of a second away: for a one-time password as well, and then it goes first.
    offer(&mut lanes, &docomo, 9, Class::Otp);
    let token = NOW.plus(Span::from_millis(100));
    assert_eq!(lanes.take(&docomo, NOW), Take::At(token));
    assert_eq!(opens(&mut lanes), None);
    assert_eq!(lanes.next_moment(), Some(token));
    assert!(matches!(lanes.take(&docomo, token), Take::Job(job, _) if job.id.number() == 9));
    assert_eq!(lanes.held(&docomo, NOW, token).throttled, Span::from_millis(100));
}

#[test]
fn a_refused_connection_beside_open_ones_costs_no_job_an_attempt() {
    let docomo = name("docomo");
    let mut lanes = busy(bounds(9, 4, 9), None, &docomo, 2);
    offer(&mut lanes, &docomo, 1, Class::Alert);
    let (_, reason) = lanes.open(NOW).unwrap();
    let (shared, learned) = lanes.refused(&docomo, reason, Part::Reason, NOW, 0.5);
    assert_eq!((shared, learned.change, learned.back), (Vec::new(), Change::Slowed(2), Vec::new()));
    lanes.closed(&docomo, false, NOW);
    assert_eq!(lanes.waiting(&docomo, Class::Alert), 1);
    assert_eq!(opens(&mut lanes), None);
    assert_eq!(taken(&mut lanes, &docomo), Some(1));
}

#[test]
fn a_destination_that_is_not_to_be_reached_is_shut_and_what_can_wait_is_given_back() {
    let docomo = name("docomo");
    let mut lanes = Lanes::new(bounds(9, 4, 9));
    for (id, class) in [(1, Class::Otp), (2, Class::Otp), (3, Class::Alert), (4, Class::Report)] {
        offer(&mut lanes, &docomo, id, class);
    }
    let (_, reason) = lanes.open(NOW).unwrap();
    let (shared, learned) = lanes.refused(&docomo, reason, Part::Reason, NOW, 0.5);
    let ids = |jobs: &[Job]| jobs.iter().map(|job| job.id.number()).collect::<Vec<_>>();
    assert_eq!((ids(&shared), ids(&learned.back)), (vec![1, 2], vec![3, 4]));
    lanes.closed(&docomo, false, NOW);
    let until = NOW.plus(Span::from_secs(15));
    assert_eq!(learned.change, Change::Shut { why: Shut::Down, until });
    // Nothing that can wait is taken in before the probe is due, then one; what is urgent probes at any time, one at a time.
    assert_eq!([NOW, until].map(|at| lanes.room(&docomo, Class::Alert, at)), [0, 1]);
    assert_eq!(lanes.room(&docomo, Class::Otp, NOW), 9);
    // One that was on its way here is turned away.
    assert_eq!(lanes.offer(&docomo, None, job(5, Class::Alert), NOW).map(|job| job.id.number()), Some(5));
    assert_eq!(opens(&mut lanes), None);
    offer(&mut lanes, &docomo, 6, Class::Otp);
    offer(&mut lanes, &docomo, 7, Class::Otp);
    assert_eq!(opens(&mut lanes), Some(("docomo".to_owned(), 6)));
    assert_eq!(opens(&mut lanes), None);
}

#[test]
fn each_mail_for_which_a_connection_was_tried_in_vain_has_been_tried() {
    let docomo = name("docomo");
    let mut lanes = Lanes::new(bounds(9, 4, 9));
    for id in 1..=4 {
        offer(&mut lanes, &docomo, id, Class::Alert);
    }
    let [first, second] = [(); 2].map(|()| lanes.open(NOW).unwrap().1);
    let ids = |jobs: &[Job]| jobs.iter().map(|job| job.id.number()).collect::<Vec<_>>();
    let (shared, learned) = lanes.refused(&docomo, second, Part::Reason, NOW, 0.5);
    assert_eq!((ids(&shared), ids(&learned.back)), (vec![2, 1], vec![3, 4]));
    let (shared, learned) = lanes.refused(&docomo, first, Part::Reason, NOW, 0.5);
    assert_eq!((ids(&shared), learned.change), (Vec::new(), Change::None));
}

#[test]
fn a_shut_destination_is_probed_by_one_mail_and_open_again_with_one_connection() {
    let docomo = name("docomo");
    let mut lanes = Lanes::new(bounds(9, 4, 9));
    offer(&mut lanes, &docomo, 1, Class::Alert);
    let (_, reason) = lanes.open(NOW).unwrap();
    drop(lanes.refused(&docomo, reason, Part::Reason, NOW, 0.5));
    lanes.closed(&docomo, false, NOW);
    let until = NOW.plus(Span::from_secs(15));
    assert_eq!(lanes.offer(&docomo, None, job(2, Class::Alert), until), None);
    let (_, reason) = lanes.open(until).unwrap();
    assert!(lanes.open(until).is_none());
    lanes.opened(&docomo, until);
    lanes.stands(&docomo, &reason, until);
    let Take::Job(_, epoch) = lanes.take(&docomo, until) else { panic!() };
    assert_eq!(lanes.room(&docomo, Class::Alert, until), 0);
    assert_eq!(lanes.ended(&docomo, Some((Signal::Accepted, epoch)), until, 0.5).change, Change::Resumed);
    for id in 3..=5 {
        assert_eq!(lanes.offer(&docomo, None, job(id, Class::Alert), until), None);
    }
    assert!(lanes.open(until).is_none());
    for _ in 0..20 {
        lanes.ended(&docomo, Some((Signal::Accepted, epoch + 9)), until, 0.5);
    }
    assert!(lanes.open(until).is_some());
    assert!(lanes.open(until).is_none());
}

#[test]
fn connections_over_the_limit_are_to_close() {
    let docomo = name("docomo");
    let mut lanes = busy(bounds(9, 4, 9), None, &docomo, 4);
    offer(&mut lanes, &docomo, 1, Class::Alert);
    drop(lanes.ended(&docomo, Some((Signal::Throttled, 0)), NOW, 0.5));
    // Two are too many: whoever asks first is told, however long it takes to close.
    assert_eq!([lanes.take(&docomo, NOW), lanes.take(&docomo, NOW)], [Take::Leave, Take::Leave]);
    lanes.closed(&docomo, true, NOW);
    assert_eq!(taken(&mut lanes, &docomo), Some(1));
    lanes.limit(|_| Some(Limits { connections: 1, messages_per_connection: 5, rate: None }), NOW);
    assert_eq!((lanes.take(&docomo, NOW), lanes.messages(&docomo)), (Take::Leave, 5));
}

#[test]
fn only_what_can_wait_is_sent_ahead_and_never_on_all_connections() {
    let docomo = name("docomo");
    let mut lanes = busy(bounds(9, 3, 9), None, &docomo, 3);
    for id in 1..=4 {
        offer(&mut lanes, &docomo, id, Class::Alert);
    }
    let mut ahead = |already| lanes.ahead(&docomo, already, NOW).map(|(job, _)| job.id.number());
    assert_eq!([ahead(false), ahead(false), ahead(false), ahead(true)], [Some(1), Some(2), None, Some(3)]);
    lanes.ahead_ended(&docomo);
    offer(&mut lanes, &docomo, 9, Class::Registration);
    assert_eq!(lanes.ahead(&docomo, false, NOW), None);
    assert_eq!(taken(&mut lanes, &docomo), Some(9));
    assert_eq!(lanes.ahead(&docomo, false, NOW).map(|(job, _)| job.id.number()), Some(4));
}

#[test]
fn what_is_urgent_takes_the_place_and_the_token_of_what_can_wait() {
    let docomo = name("docomo");
    let limits = Limits { connections: 1, messages_per_connection: 100, rate: "1/s".parse().ok() };
    let mut lanes = Lanes::new(bounds(9, 1, 9));
    assert_eq!(lanes.offer(&docomo, Some(limits), job(1, Class::Alert), NOW), None);
    let (_, reason) = lanes.open(NOW).unwrap();
    lanes.opened(&docomo, NOW);
    lanes.stands(&docomo, &reason, NOW);
    let Take::Job(alert, _) = lanes.take(&docomo, NOW) else { panic!() };
    offer(&mut lanes, &docomo, 2, Class::Otp);
    let code = lanes.exchange(&docomo, *alert, NOW);
    offer(&mut lanes, &docomo, 3, Class::Otp);
    assert_eq!((code.id.number(), lanes.waiting(&docomo, Class::Alert)), (2, 1));
    assert_eq!(lanes.exchange(&docomo, code, NOW).id.number(), 2);
    assert_eq!(lanes.view(NOW)[0].sending, 1);
    // Two mails of which one went cost one token.
    assert_eq!(lanes.take(&docomo, NOW), Take::At(NOW.plus(Span::from_secs(1))));
}

#[test]
fn a_share_is_not_taken_away_before_it_is_sent() {
    let docomo = name("docomo");
    let mut lanes = busy(bounds(9, 1, 99), None, &docomo, 1);
    let mut went = Vec::new();
    (1..=40).for_each(|id| offer(&mut lanes, &docomo, id, Class::Registration));
    (41..=60).for_each(|id| offer(&mut lanes, &docomo, id, Class::Alert));
    for _ in 0..40 {
        let Take::Job(job, _) = lanes.take(&docomo, NOW) else { panic!() };
        went.push(lanes.exchange(&docomo, *job, NOW).order.class);
    }
    assert_eq!(went.iter().filter(|class| **class == Class::Alert).count(), 10);
    // One that was taken while nothing urgent waited makes way, and that counts as passed by.
    let mut lanes = busy(bounds(9, 1, 99), None, &docomo, 1);
    let mut alerts = 0;
    offer(&mut lanes, &docomo, 1, Class::Alert);
    for id in 2..=20 {
        let Take::Job(job, _) = lanes.take(&docomo, NOW) else { panic!() };
        offer(&mut lanes, &docomo, id, Class::Registration);
        alerts += usize::from(lanes.exchange(&docomo, *job, NOW).order.class == Class::Alert);
    }
    assert_eq!(alerts, 1);
}

#[test]
fn the_only_connection_never_sends_ahead() {
    let docomo = name("docomo");
    let mut lanes = busy(bounds(9, 1, 9), None, &docomo, 1);
    offer(&mut lanes, &docomo, 1, Class::Alert);
    assert_eq!(lanes.ahead(&docomo, false, NOW), None);
}

#[test]
fn notices_and_reports_keep_away_from_the_full_hour() {
    let (docomo, hour) = (name("docomo"), Timestamp::from_millis(0));
    let mut lanes = Lanes::new(bounds(9, 1, 9));
    lanes.offer(&docomo, None, job(1, Class::Notice), hour);
    assert!(lanes.open(hour).is_none());
    assert_eq!(lanes.next_moment(), Some(Timestamp::from_millis(5 * 60_000)));
    assert_eq!(
        lanes.job(JobId::new(1), hour).map(|view| view.wait),
        Some(Wait::FullHour { until: Timestamp::from_millis(5 * 60_000) })
    );
    lanes.offer(&docomo, None, job(2, Class::Alert), hour);
    let (_, reason) = lanes.open(hour).unwrap();
    assert_eq!(lanes.withdraw(&docomo, reason, Part::Reason, hour).map(|job| job.id.number()), Some(2));
    lanes.closed(&docomo, false, hour);
    assert_eq!(lanes.open(Timestamp::from_millis(5 * 60_000)).map(|(_, job)| job.id.number()), Some(1));
}

#[test]
fn a_view_says_why_a_job_does_not_move() {
    let docomo = name("docomo");
    let limits = Limits { connections: 2, messages_per_connection: 100, rate: "1/s".parse().ok() };
    let mut lanes = Lanes::new(bounds(9, 1, 9));
    let wait = |lanes: &Lanes| lanes.job(JobId::new(2), NOW).map(|view| (view.wait, view.ahead));
    lanes.offer(&docomo, None, job(1, Class::Alert), NOW);
    lanes.offer(&docomo, None, job(2, Class::Alert), NOW);
    assert_eq!(wait(&lanes), Some((Wait::Next, 1)));
    assert!(lanes.open(NOW).is_some());
    assert_eq!(wait(&lanes), Some((Wait::Connections { connections: 1, allowed: 1 }, 1)));
    lanes.limit(|_| Some(limits), NOW);
    lanes.opened(&docomo, NOW);
    lanes.stands(&docomo, &job(1, Class::Alert), NOW);
    assert_eq!(taken(&mut lanes, &docomo), Some(1));
    let rate = Wait::Rate { next: NOW.plus(Span::from_secs(1)), limit: "1/s".parse().unwrap() };
    assert_eq!(wait(&lanes), Some((rate, 0)));
    drop(lanes.ended(&docomo, Some((Signal::Unreached, 0)), NOW, 0.5));
    assert_eq!(wait(&lanes), None);
    lanes.offer(&docomo, None, job(2, Class::Otp), NOW);
    assert!(matches!(wait(&lanes), Some((Wait::Shut { why: Shut::Down, .. }, 0))));
    let view = lanes.view(NOW);
    assert_eq!(
        (view.len(), view[0].name.as_str(), view[0].waiting, view[0].last_minute),
        (1, "docomo", [1, 0, 0, 0, 0, 0], 1)
    );
    assert_eq!(lanes.job(JobId::new(7), NOW), None);
}

#[test]
fn what_waits_can_be_taken_back() {
    let (docomo, au) = (name("docomo"), name("au"));
    let mut lanes = Lanes::new(bounds(9, 1, 9));
    for id in 1..=4 {
        offer(&mut lanes, if id < 3 { &docomo } else { &au }, id, Class::Alert);
    }
    let ids = |jobs: Vec<Job>| jobs.iter().map(|job| job.id.number()).collect::<BTreeSet<_>>();
    assert_eq!(ids(lanes.remove(|job| job.id.number() % 2 == 0, NOW)), [2, 4].into());
    assert_eq!(ids(lanes.empty(NOW)), [1, 3].into());
}

#[test]
fn destinations_of_which_nothing_was_learned_are_forgotten_at_once_and_others_later() {
    let (docomo, au) = (name("docomo"), name("au"));
    let mut lanes = busy(bounds(9, 2, 9), None, &docomo, 1);
    drop(lanes.ended(&docomo, Some((Signal::Accepted, 0)), NOW, 0.5));
    assert!(lanes.closed(&docomo, false, NOW));
    offer(&mut lanes, &au, 1, Class::Alert);
    let (_, reason) = lanes.open(NOW).unwrap();
    assert!(lanes.withdraw(&au, reason, Part::Reason, NOW).is_some());
    drop(lanes.ended(&au, Some((Signal::UnknownUser, 0)), NOW, 0.5));
    assert!(!lanes.closed(&au, false, NOW));
    lanes.forget(NOW.plus(Span::from_secs(599)));
    assert_eq!(lanes.view(NOW).len(), 1);
    lanes.forget(NOW.plus(Span::from_secs(600)));
    assert!(lanes.view(NOW).is_empty());
}

#[test]
fn a_destination_that_is_shut_is_remembered_until_its_probe_is_due() {
    let docomo = name("docomo");
    let mut lanes = Lanes::new(bounds(9, 1, 9));
    let mut until = NOW;
    while until.since(NOW) <= REMEMBERED {
        lanes.offer(&docomo, None, job(1, Class::Alert), until);
        let (_, reason) = lanes.open(until).unwrap();
        let Change::Shut { until: next, .. } = lanes.refused(&docomo, reason, Part::Reason, until, 1.0).1.change else {
            panic!()
        };
        lanes.closed(&docomo, false, until);
        until = next;
    }
    lanes.forget(until.minus(Span::from_millis(1)));
    assert_eq!(lanes.view(NOW).len(), 1);
    lanes.forget(until);
    assert!(lanes.view(NOW).is_empty());
}

#[test]
fn a_mail_that_was_taken_and_met_trouble_is_told_of_once_whatever_becomes_of_the_connection_it_was_the_reason_for() {
    for opens in [false, true] {
        let mut lanes = Lanes::new(Bounds { connections: 10, window: 10, usual: Limits::default() });
        let to = name("docomo");
        offer(&mut lanes, &to, 1, Class::Otp);
        let (_, first) = lanes.open(NOW).unwrap();
        lanes.opened(&to, NOW);
        lanes.stands(&to, &first, NOW);
        assert_eq!(taken(&mut lanes, &to), Some(1));
        // Another connection is opened for the second, and the first one takes it.
        offer(&mut lanes, &to, 2, Class::Otp);
        let (_, reason) = lanes.open(NOW).unwrap();
        assert_eq!(reason.id.number(), 2);
        assert_eq!(taken(&mut lanes, &to), Some(2));
        let mut told = lanes.withdraw(&to, job(2, Class::Otp), Part::Taken, NOW).iter().len();
        if opens {
            lanes.opened(&to, NOW);
            lanes.stands(&to, &reason, NOW);
        } else {
            told += lanes.withdraw(&to, reason, Part::Reason, NOW).iter().len();
        }
        assert_eq!(told, 1, "opens: {opens}");
    }
}
