//! The operator's hand on the queue: every command with and without a daemon, and what it leaves in the mail log.

use crate::machine::{Daemon, Machine, beside, errors, keys, text};
use karamail::control::{Live, Recalled};
use karamail::model::{Domain, JobId, MailId, Reply, Span, Stage, Timestamp};
use karamail::queue::destination::{Limits, Rate};
use karamail::queue::view::{DestinationView, JobView, KeptBack, Shut, Standing, View, Wait};
use karamail::queue::{Cause, Class, Content, NewJob, Selection};
use karamail::store::{AddressRow, AddressState, Settlement, Store, StoreError, Tx};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};

/// In an hour when nothing keeps off anything: 2026-11-22 07:20 in Japan.
const NOW: i64 = 1_795_299_600_000;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millis(NOW + seconds * 1_000)
}

fn order(class: Class, to: &str) -> NewJob {
    NewJob {
        class,
        to: to.parse().unwrap(),
        content: Content::Forward { mail: MailId::new(1) },
        language: None,
        cause: None,
        queued_at: at(0),
        due: at(0),
        // Long after any clock on a wall that this test meets.
        give_up: Timestamp::from_millis(i64::MAX / 2),
    }
}

async fn write<T: Send + 'static>(
    store: &Store,
    work: impl FnMut(&mut Tx<'_>) -> Result<T, StoreError> + Send + 'static,
) -> T {
    store.write(work).await.unwrap()
}

/// Orders an alert and a notice to docomo, and an alert to au.
async fn three(store: &Store) -> [JobId; 3] {
    write(store, |tx| {
        Ok([
            tx.enqueue(&order(Class::Alert, "a@docomo.ne.jp"))?,
            tx.enqueue(&order(Class::Notice, "b@docomo.ne.jp"))?,
            tx.enqueue(&order(Class::Alert, "c@ezweb.ne.jp"))?,
        ])
    })
    .await
}

/// Where the commands are typed: beside a daemon, or on a machine where none runs.
enum Bench {
    Up { machine: Machine, _daemon: Daemon },
    Down(Machine),
}

impl Bench {
    /// Makes both, each with what `fill` puts into the store.
    async fn both<T, F: Future<Output = T>>(fill: impl Fn(Store) -> F) -> [(Self, T); 2] {
        let (machine, other) = (Machine::new(), Machine::new());
        machine.say(&["org", "list"]);
        let daemon = Daemon::start(&machine).await;
        let filled = fill(daemon.store.clone()).await;
        other.say(&["org", "list"]);
        let store = other.store().await;
        let others = fill(store.clone()).await;
        store.close().await;
        [(Self::Up { machine, _daemon: daemon }, filled), (Self::Down(other), others)]
    }

    /// Runs a command that succeeds; gives what it prints, and what it says on standard error.
    async fn run(&self, arguments: &[&str]) -> (String, String) {
        let output = match self {
            Self::Up { machine, .. } => beside(machine, arguments).await,
            Self::Down(machine) => machine.run(arguments),
        };
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", errors(&output));
        (text(&output), errors(&output))
    }

    async fn say(&self, arguments: &[&str]) -> String {
        self.run(arguments).await.0
    }

    async fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.say(&[arguments, &["--json"]].concat()).await).unwrap()
    }

    async fn state(&self, job: JobId) -> Value {
        self.json(&["queue", "show", &job.to_string()]).await["state"].clone()
    }
}

#[tokio::test]
async fn mails_are_held_released_tried_and_dropped_with_a_daemon_and_without() {
    for (bench, [a, b, c]) in Bench::both(|store| async move { three(&store).await }).await {
        assert_eq!(bench.say(&["queue", "hold", "--to", "docomo.ne.jp"]).await, "held: 2\n");
        assert_eq!(bench.json(&["queue", "why", &a.to_string()]).await["cause"], "held");
        assert_eq!(bench.state(c).await, "queued");
        let released = bench.json(&["queue", "release", "--to", "docomo.ne.jp", "--class", "alert"]).await;
        assert_eq!(released, json!({"touched": 1, "under_way": 0}));
        assert_eq!((bench.state(a).await, bench.state(b).await), ("queued".into(), "held".into()));
        assert_eq!(bench.say(&["queue", "release", &a.to_string()]).await, "released: 0\n");
        // Due already.
        assert_eq!(bench.say(&["queue", "retry", "--class", "alert"]).await, "due now: 0\n");
        let (said, warned) = bench.run(&["queue", "drop", &b.to_string(), &c.to_string()]).await;
        assert_eq!(said, "dropped: 2\n");
        assert!(warned.starts_with("karamail: about to drop 2 mails for good: 1 alert, 1 notice, "), "{warned}");
        assert_eq!((bench.state(b).await, bench.state(c).await), ("cancelled".into(), "cancelled".into()));
        assert_eq!(bench.run(&["queue", "drop", "--class", "notice"]).await.0, "dropped: 0\n");
        let log = bench.say(&["log"]).await;
        for (job, line) in [
            (a, "held      job={} class=alert to=<a***@docomo.ne.jp>"),
            (b, "held      job={} class=notice to=<b***@docomo.ne.jp>"),
            (a, "released  job={} held="),
            (b, "cancelled job={} reason=operator"),
            (c, "cancelled job={} reason=operator"),
        ] {
            let line = line.replace("{}", &job.to_string());
            assert_eq!(log.lines().filter(|logged| logged.contains(&line)).count(), 1, "{line}: {log}");
        }
    }
}

#[tokio::test]
async fn a_mail_that_waits_for_another_try_is_tried_at_once() {
    let fill = |store: Store| async move {
        write(&store, |tx| {
            let job = tx.enqueue(&order(Class::Alert, "a@docomo.ne.jp"))?;
            tx.claim("w", at(1), at(60), 10)?;
            let later = Settlement::Defer {
                due: Timestamp::from_millis(i64::MAX / 4),
                stage: Stage::Rcpt,
                reply: Reply::new(450, "4.2.0 greylisted"),
                cause: Cause::Greylisted,
                at: at(2),
            };
            assert!(tx.settle(job, "w", 1, &later)?);
            Ok(job)
        })
        .await
    };
    for (bench, job) in Bench::both(fill).await {
        let why = bench.json(&["queue", "why", &job.to_string()]).await;
        assert_eq!(keys(&why), ["job", "class", "to", "state", "cause", "why", "until", "destination"]);
        assert_eq!(why["cause"], "greylisted");
        let said = bench.say(&["queue", "why", &job.to_string()]).await;
        assert!(said.starts_with(&format!("{job} (deferred): the server wants to see us come back; ")), "{said}");
        assert_eq!(bench.say(&["queue", "retry", &job.to_string()]).await, "due now: 1\n");
        assert_ne!(bench.json(&["queue", "why", &job.to_string()]).await["cause"], "greylisted");
    }
}

#[test]
fn nothing_given_is_a_wrong_command_line() {
    let machine = Machine::new();
    for action in ["hold", "release", "retry", "drop"] {
        assert!(machine.fail(2, &["queue", action]).contains("--to"), "{action}");
        assert!(machine.fail(2, &["queue", action, "--class", "bulk"]).contains("no class"), "{action}");
        assert!(machine.fail(2, &["queue", action, "m1"]).contains("m1"), "{action}");
    }
    assert!(machine.fail(1, &["queue", "why", "jbb"]).contains("no job jbb"));
}

#[tokio::test]
async fn addresses_that_are_not_written_to_are_listed_and_cleared() {
    let fill = |store: Store| async move {
        write(&store, |tx| {
            let row = AddressRow {
                address: "Gone@docomo.ne.jp".parse().unwrap(),
                state: AddressState::Suppressed,
                verdict: None,
                stage: Some(Stage::Rcpt),
                reply: Some("550 5.1.1 no such user".to_owned()),
                at: Some(at(0)),
                verified_at: None,
                unknown_day: Some(20_000),
            };
            tx.note_address(&row)
        })
        .await;
    };
    for (bench, ()) in Bench::both(fill).await {
        let listed = bench.json(&["address", "suppressions"]).await;
        assert_eq!((&listed[0]["address"], &listed[0]["state"]), (&"Gone@docomo.ne.jp".into(), &"suppressed".into()));
        let table = bench.say(&["address", "suppressions"]).await;
        assert!(table.contains("Gone@docomo.ne.jp") && table.contains("550 5.1.1 no such user"), "{table}");
        let cleared = bench.json(&["address", "clear", "gone@docomo.ne.jp"]).await;
        assert_eq!((&cleared["state"], &cleared["reply"]), (&"new".into(), &Value::Null));
        assert_eq!(bench.say(&["address", "suppressions"]).await, "every address is written to\n");
        assert_eq!(bench.json(&["address", "suppressions"]).await, json!([]));
        assert!(bench.say(&["log"]).await.contains("marked    to=<g***@docomo.ne.jp> state=new"));
    }
    let machine = Machine::new();
    assert!(machine.fail(1, &["address", "clear", "a@b.jp"]).contains("nothing is held against a@b.jp"));
}

/// Delivery as a test wants it: what it has claimed, and how the one destination stands.
struct Lanes {
    claims: Mutex<Vec<(JobId, i64)>>,
    wait: Wait,
    woken: Mutex<usize>,
}

impl Lanes {
    fn new(wait: Wait, claims: Vec<(JobId, i64)>) -> Arc<Self> {
        Arc::new(Self { claims: Mutex::new(claims), wait, woken: Mutex::default() })
    }
}

impl Live for Lanes {
    fn view(&self) -> View {
        let until = at(50 * 365 * 86_400);
        let docomo = DestinationView {
            name: "docomo".to_owned(),
            domains: vec!["docomo.ne.jp".parse().unwrap()],
            standing: Standing::Shut { why: Shut::UnknownUsers, until },
            limits: Limits { rate: Rate::new(50, "1s".parse().unwrap()), ..Limits::default() },
            allowed: 5,
            rate: Some(25.0),
            connections: 3,
            sending: 2,
            waiting: [0, 1, 0, 0, 0, 0],
            last_minute: 120,
            unknown: (30, 100),
        };
        let kept = [("docomo.ne.jp".parse().unwrap(), KeptBack { cause: Cause::Dns, until: at(60) })].into();
        View { destinations: vec![docomo], connections: 3, connections_max: 200, kept }
    }

    fn job(&self, job: JobId) -> Option<JobView> {
        self.claims.lock().unwrap().iter().find(|(id, _)| *id == job)?;
        let destination = Some("docomo".to_owned());
        Some(JobView { job, class: Class::Alert, destination, wait: self.wait, ahead: 4 })
    }

    fn destination(&self, domain: &Domain) -> String {
        domain.as_str().replace("docomo.ne.jp", "docomo")
    }

    fn recall(&self, _: &Selection) -> Recalled {
        Recalled { owner: "w".to_owned(), claims: std::mem::take(&mut self.claims.lock().unwrap()) }
    }

    fn wake(&self) {
        *self.woken.lock().unwrap() += 1;
    }
}

#[tokio::test]
async fn what_delivery_has_claimed_and_not_begun_is_held_and_dropped_too() {
    for (action, state) in [("hold", "held"), ("drop", "cancelled")] {
        let machine = Machine::new();
        machine.say(&["org", "list"]);
        let store = machine.store().await;
        let [a, b, _] = three(&store).await;
        // Both are claimed; of the second a server has heard.
        let claimed = write(&store, |tx| tx.claim("w", at(1), Timestamp::from_millis(i64::MAX / 4), 10)).await;
        assert_eq!(claimed.len(), 3);
        store.close().await;
        let limit = Rate::new(50, "1s".parse().unwrap()).unwrap();
        let lanes = Lanes::new(Wait::Rate { next: at(9), limit }, vec![(a, 1)]);
        let daemon = Daemon::start_with(&machine, Some(lanes.clone())).await;
        let why = beside(&machine, &["queue", "why", &a.to_string()]).await;
        assert!(
            text(&why).contains("docomo gets no more than 50/s; 4 mails of its class go before it"),
            "{}",
            text(&why)
        );
        let done = beside(&machine, &["queue", action, "--to", "docomo.ne.jp"]).await;
        assert!(text(&done).ends_with(": 1; 1 being sent, left alone\n"), "{}{}", text(&done), errors(&done));
        for (job, state) in [(a, state), (b, "sending")] {
            let shown = beside(&machine, &["queue", "show", &job.to_string(), "--json"]).await;
            assert_eq!(serde_json::from_str::<Value>(&text(&shown)).unwrap()["state"], state);
        }
        assert_eq!(*lanes.woken.lock().unwrap(), 0);
        if action == "hold" {
            beside(&machine, &["queue", "release", &a.to_string()]).await;
            assert_eq!(*lanes.woken.lock().unwrap(), 1);
        }
        drop(daemon);
    }
}

#[tokio::test]
async fn the_queue_is_summed_up_by_destination_and_age_with_a_daemon_and_without() {
    for (bench, _) in Bench::both(|store| async move { three(&store).await }).await {
        let facts = bench.json(&["queue", "summary"]).await;
        let classes: Vec<&str> =
            facts["by_class"].as_array().unwrap().iter().map(|facts| facts["class"].as_str().unwrap()).collect();
        assert_eq!(classes, ["otp", "alert", "registration", "contact_test", "notice", "report"]);
        assert_eq!(keys(&facts["by_class"][1]), ["class", "waiting", "sending", "oldest"]);
        assert_eq!((&facts["by_class"][1]["waiting"], &facts["by_class"][4]["waiting"]), (&2.into(), &1.into()));
        assert_eq!(facts["by_class"][1]["oldest"], at(0).to_string());
        assert_eq!(facts["by_state"][0], json!({"state": "queued", "count": 3}));
        let [docomo, au] = [&facts["by_destination"][0], &facts["by_destination"][1]];
        for key in ["name", "waiting", "sending", "rate", "limit", "state", "drained_at"] {
            assert!(keys(docomo).contains(&key), "{key}");
        }
        assert_eq!(
            (&docomo["name"], &docomo["waiting"], &docomo["state"]),
            (&"docomo".into(), &2.into(), &Value::Null)
        );
        assert_eq!((&au["name"], &au["waiting"]), (&"au".into(), &1.into()));
        assert_eq!(docomo["ages"].as_array().unwrap().len(), 10);
        let text = bench.say(&["queue", "summary"]).await;
        assert!(text.starts_with("3 queued; no daemon is running\n"), "{text}");
    }
}

#[tokio::test]
async fn a_summary_for_people_fits_a_terminal_and_shows_how_destinations_stand() {
    let machine = Machine::new();
    machine.say(&["org", "list"]);
    assert_eq!(machine.say(&["queue", "summary"]), "no mails; no daemon is running\n");
    let limit = Rate::new(50, "1s".parse().unwrap()).unwrap();
    let daemon = Daemon::start_with(&machine, Some(Lanes::new(Wait::Rate { next: at(9), limit }, Vec::new()))).await;
    write(&daemon.store, |tx| {
        (0..30).try_for_each(|number| {
            let to = format!("a@a-very-long-name-{number}.example.co.jp");
            tx.enqueue(&order(Class::Notice, &to)).map(drop)
        })?;
        (0..2).try_for_each(|_| tx.enqueue(&order(Class::Alert, "a@docomo.ne.jp")).map(drop))
    })
    .await;
    let said = text(&beside(&machine, &["queue", "summary"]).await);
    assert!(said.lines().all(|line| line.chars().count() <= 80), "{said}");
    let lines: Vec<String> = said.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    for line in [
        "32 queued; 3 of 200 connections",
        "MINUTES BELOW TOTAL 5 10 20 40 80 160 320 640 1280 1280+",
        "CLASS WAITING SENDING OLDEST",
        &format!("notice 30 0 {}", &at(0).to_string()[..19].replace('T', " ")),
        "DESTINATION STATE CONN MAILS/S AT MOST DRAINED",
    ] {
        assert!(lines.iter().any(|found| found == line), "{line} is not in\n{said}");
    }
    let row = |name: &str| lines.iter().filter(|line| line.starts_with(name)).collect::<Vec<_>>();
    assert_eq!(row("docomo 2 ").len(), 1, "{said}");
    assert!(row("docomo breaker until ")[0].contains(" 3/5 of 10 2 25 of 50/s 11-"), "{said}");
    let kept = format!("docomo.ne.jp docomo 2 dns {}", &at(60).to_string()[..19].replace('T', " "));
    assert_eq!(row("KEPT BACK OF WAITING WHY TRIES AGAIN").len() + row(&kept).len(), 2, "{said}");
    assert_eq!(row("11 more 11").len(), 1, "{said}");
    assert_eq!(row("…").len(), 19, "{said}");
}

#[tokio::test]
async fn domains_whose_tls_is_gone_are_shown_while_it_was_seen_lately() {
    // Long after any clock on a wall that this test meets.
    let far = Timestamp::from_millis(200_000_000_000_000);
    let lose = |domain: &'static str, seen: Timestamp, missed: Timestamp| {
        move |tx: &mut Tx<'_>| {
            let domain: Domain = domain.parse().unwrap();
            tx.note_tls(&domain, true, seen)?;
            tx.note_tls(&domain, false, missed)
        }
    };
    let fill = |store: Store| async move {
        write(&store, lose("lost.example", far, far.plus(Span::from_secs(60)))).await;
        write(&store, lose("long-ago.example", Timestamp::from_millis(0), far)).await;
        write(&store, move |tx| tx.note_tls(&"secured.example".parse().unwrap(), true, far)).await;
        write(&store, move |tx| tx.note_tls(&"never.example".parse().unwrap(), false, far)).await;
    };
    for (bench, ()) in Bench::both(fill).await {
        let facts = bench.json(&["queue", "summary"]).await;
        let missed = far.plus(Span::from_secs(60)).to_string();
        assert_eq!(facts["tls_lost"], json!([{"domain": "lost.example", "seen": far.to_string(), "missed": missed}]));
        let text = bench.say(&["queue", "summary"]).await;
        let row =
            text.lines().map(str::trim).skip_while(|line| !line.starts_with("TLS IS GONE")).nth(1).unwrap_or_default();
        assert!(row.starts_with("lost.example ") && row.contains(&missed[..10]), "{text}");
    }
}
