use super::*;
use crate::config::TlsFiles;
use crate::maillog;
use crate::model::{MailId, Received, Reply, ReversePath, Stage, Via};
use crate::net::tls::identity::Keeper;
use crate::queue::destination::{Limits, Rate};
use crate::queue::view::{DestinationView, KeptBack, Shut, Standing};
use crate::queue::{Cause, Class, Content, Job, NewJob, Verdict};
use crate::service::hasher::Hasher;
use crate::store::{Location, Options};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

const README: &str = include_str!("../../README.md");

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millis(seconds * 1_000)
}

fn order(class: Class, to: &str) -> NewJob {
    NewJob {
        class,
        to: to.parse().unwrap(),
        content: Content::Forward { mail: MailId::new(1) },
        language: None,
        cause: None,
        queued_at: at(10),
        due: at(10),
        give_up: at(1_000),
    }
}

fn received() -> Received {
    Received {
        via: Via::Smtp,
        peer: "203.0.113.9".parse().unwrap(),
        tls: None,
        helo: "gw".to_owned(),
        envelope_sender: ReversePath::Null,
        recipients: vec!["bizanpi@example.jp".parse().unwrap()],
        message: Vec::new(),
        at: at(10),
    }
}

fn destination(name: &str, standing: Standing) -> DestinationView {
    DestinationView {
        name: name.to_owned(),
        domains: Vec::new(),
        standing,
        limits: Limits { connections: 8, rate: Rate::new(50, Span::from_secs(1)), ..Limits::default() },
        allowed: 4,
        rate: Some(12.5),
        connections: 3,
        sending: 2,
        waiting: [1, 7, 0, 0, 0, 0],
        last_minute: 60,
        unknown: (2, 100),
    }
}

/// What a service shows, with a certificate that ends in 2099.
fn identity(folder: &Path) -> Identity {
    let files = TlsFiles { cert: folder.join("cert.pem"), key: folder.join("key.pem") };
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(["mx.example.jp".to_owned()]).unwrap();
    params.not_after = rcgen::date_time_ymd(2099, 1, 1);
    std::fs::write(&files.cert, params.self_signed(&key).unwrap().pem()).unwrap();
    std::fs::write(&files.key, key.serialize_pem()).unwrap();
    std::fs::set_permissions(&files.key, PermissionsExt::from_mode(0o600)).unwrap();
    Keeper::open("smtp", files, &[], Clock::turned_by_hand(at(100))).identity()
}

/// The answers over a store of their own, at a socket of their own.
struct Booth {
    api: Api,
    address: std::net::SocketAddr,
    ledger: Arc<Ledger>,
    delivering: Option<Arc<()>>,
    keys: Arc<AtomicBool>,
    stop: watch::Sender<bool>,
    _tasks: JoinSet<()>,
    _folder: tempfile::TempDir,
}

impl Booth {
    async fn open(view: View) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Arc::new(Ledger::default());
        let counting = Arc::clone(&ledger);
        let location = Location::Sqlite(folder.path().join("store.db"));
        let options = Options::new(location).observed_by(Arc::new(move |events| counting.note(events)));
        let delivering = Arc::new(());
        let keys = Arc::new(AtomicBool::new(true));
        let readable = Arc::clone(&keys);
        let (stop, stopping) = watch::channel(false);
        let parts = Parts {
            store: Store::open(options).await.unwrap(),
            clock: Clock::turned_by_hand(at(100)),
            ledger: Arc::clone(&ledger),
            hasher: Hasher::new(1, Clock::turned_by_hand(at(100))),
            look: Arc::new(move || view.clone()),
            identities: vec![identity(folder.path())],
            vital: vec![(Arc::downgrade(&delivering), "no mail is delivered")],
            keys: Arc::new(move || readable.load(Ordering::Relaxed)),
            stopping,
        };
        let api = Api::new(parts);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut tasks = JoinSet::new();
        tasks.spawn(serve(api.clone(), vec![listener], std::future::pending()));
        Self { api, address, ledger, delivering: Some(delivering), keys, stop, _tasks: tasks, _folder: folder }
    }

    /// The status and the body of an answer.
    async fn get(&self, path: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.contains("cache-control: no-store"), "{head}");
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    }

    /// The lines of the metrics.
    async fn numbers(&self) -> Vec<String> {
        let (status, body) = self.get("/metrics").await;
        assert_eq!(status, 200, "{body}");
        assert!(body.ends_with("# EOF\n"), "{body}");
        body.lines().map(str::to_owned).collect()
    }

    async fn work(&self, work: impl FnMut(&mut crate::store::Tx<'_>) -> Result<(), StoreError> + Send + 'static) {
        self.api.0.parts.store.write(work).await.unwrap();
    }

    /// A job that was ordered, as its events know it.
    async fn order(&self, class: Class, to: &str) -> Job {
        let order = order(class, to);
        let work = move |tx: &mut crate::store::Tx<'_>| {
            let id = tx.enqueue(&order)?;
            maillog::queued(tx, id, &order)?;
            tx.job(id)
        };
        self.api.0.parts.store.write::<_, StoreError, _>(work).await.unwrap().unwrap()
    }
}

#[tokio::test]
async fn who_is_up_is_well_and_who_can_work_is_ready() {
    let mut booth = Booth::open(View::default()).await;
    assert_eq!(booth.get("/healthz").await, (200, "ok\n".to_owned()));
    assert_eq!(booth.get("/readyz").await, (200, "ready\n".to_owned()));
    assert_eq!(booth.get("/").await.0, 404);
    booth.keys.store(false, Ordering::Relaxed);
    assert_eq!(booth.get("/readyz").await, (503, "the keys cannot be read\n".to_owned()));
    booth.keys.store(true, Ordering::Relaxed);
    booth.delivering = None;
    assert_eq!(booth.get("/readyz").await, (503, "no mail is delivered\n".to_owned()));
    booth.stop.send_replace(true);
    assert_eq!(booth.get("/readyz").await, (503, "the daemon is stopping\n".to_owned()));
    assert_eq!(booth.get("/healthz").await.0, 200);
}

#[tokio::test]
async fn a_store_that_refuses_to_write_is_not_ready_and_is_asked_once_a_second() {
    let booth = Booth::open(View::default()).await;
    assert_eq!(booth.get("/readyz").await.0, 200);
    booth.api.0.parts.store.clone().close().await;
    assert_eq!(booth.get("/readyz").await.0, 200);
    booth.api.0.parts.clock.turn(FRESH);
    assert_eq!(booth.get("/readyz").await, (503, "the store cannot be written\n".to_owned()));
    assert_eq!(booth.get("/metrics").await, (503, "the store cannot be read\n".to_owned()));
}

#[tokio::test]
async fn what_happened_is_counted_by_class_and_destination() {
    let booth = Booth::open(View::default()).await;
    booth.ledger.learn(Arc::new(|domain| domain.as_str().replace("docomo.ne.jp", "docomo")));
    let otp = booth.order(Class::Otp, "a@docomo.ne.jp").await;
    let alert = booth.order(Class::Alert, "b@docomo.ne.jp").await;
    booth
        .work(move |tx| {
            maillog::accepted(tx, &otp, &Reply::new(250, "ok"), Timestamp::from_millis(10_040))?;
            let no = Reply::new(550, "5.1.1 no such user");
            maillog::refused(tx, &alert, Stage::Rcpt, &no, Verdict::UnknownUser, at(20))?;
            maillog::expired(tx, &alert, at(20))
        })
        .await;
    let numbers = booth.numbers().await;
    for line in [
        r#"karamail_queued_total{class="otp"} 1"#,
        r#"karamail_outcomes_total{class="otp",destination="docomo",outcome="accepted"} 1"#,
        r#"karamail_outcomes_total{class="alert",destination="docomo",outcome="refused"} 1"#,
        r#"karamail_outcomes_total{class="alert",destination="docomo",outcome="expired"} 1"#,
        r#"karamail_verdicts_total{class="alert",destination="docomo",verdict="unknown-user"} 1"#,
        r#"karamail_accepted_after_seconds_bucket{le="0.025",class="otp"} 0"#,
        r#"karamail_accepted_after_seconds_bucket{le="0.05",class="otp"} 1"#,
        r#"karamail_accepted_after_seconds_sum{class="otp"} 0.04"#,
        "karamail_store_commits_total 3",
        r#"karamail_jobs{class="otp",destination="docomo",state="queued"} 1.0"#,
        r#"karamail_oldest_seconds{class="alert",destination="docomo"} 90.0"#,
    ] {
        assert!(numbers.iter().any(|number| number == line), "{line} is not in {numbers:#?}");
    }
}

#[tokio::test]
async fn each_destination_shows_how_it_stands() {
    let shut = Standing::Shut { why: Shut::UnknownUsers, until: at(200) };
    let destinations = vec![destination("docomo", Standing::Open), destination("mx.example.jp", shut)];
    let booth = Booth::open(View { destinations, connections: 6, connections_max: 200, ..View::default() }).await;
    let numbers = booth.numbers().await;
    for line in [
        "karamail_connections 6.0",
        r#"karamail_certificate_not_after_timestamp_seconds{service="smtp"} 4070908800.0"#,
        "karamail_connections_max 200.0",
        r#"karamail_destination_connections{destination="docomo"} 3.0"#,
        r#"karamail_destination_connections_allowed{destination="docomo"} 4.0"#,
        r#"karamail_destination_connections_limit{destination="docomo"} 8.0"#,
        r#"karamail_destination_sending{destination="docomo"} 2.0"#,
        r#"karamail_destination_rate{destination="docomo"} 12.5"#,
        r#"karamail_destination_last_minute{destination="docomo"} 60.0"#,
        r#"karamail_destination_unknown_users{destination="docomo"} 2.0"#,
        r#"karamail_destination_claimed{destination="docomo",class="alert"} 7.0"#,
        r#"karamail_destination_state{destination="docomo",state="open"} 1.0"#,
        r#"karamail_destination_state{destination="mx.example.jp",state="breaker"} 1.0"#,
    ] {
        assert!(numbers.iter().any(|number| number == line), "{line} is not in {numbers:#?}");
    }
}

#[tokio::test]
async fn domains_that_are_kept_back_are_counted_while_something_waits_for_them() {
    let kept = |cause| KeptBack { cause, until: at(200) };
    let domains =
        [("docomo.ne.jp", kept(Cause::Dns)), ("ezweb.ne.jp", kept(Cause::Tls)), ("nobody.example", kept(Cause::Tls))];
    let kept = domains.map(|(domain, kept)| (domain.parse().unwrap(), kept)).into();
    let booth = Booth::open(View { kept, ..View::default() }).await;
    booth.order(Class::Alert, "a@docomo.ne.jp").await;
    booth.order(Class::Alert, "a@softbank.ne.jp").await;
    let numbers = booth.numbers().await;
    for line in [r#"karamail_domains_kept_back{cause="dns"} 1.0"#, r#"karamail_domains_kept_back{cause="tls"} 0.0"#] {
        assert!(numbers.iter().any(|number| number == line), "{line} is not in {numbers:#?}");
    }
}

#[test]
fn destinations_beyond_a_bound_share_one_name() {
    let ledger = Ledger::default();
    let labels: std::collections::BTreeSet<String> =
        (0..ledger::DESTINATIONS * 2).map(|number| ledger.label(&format!("d{number}.example"))).collect();
    assert_eq!(labels.len(), ledger::DESTINATIONS + 1);
    assert_eq!((ledger.label("d0.example").as_str(), ledger.label("new.example").as_str()), ("d0.example", "other"));
}

/// The names of a family's labels.
fn labels_of(series: &str) -> Vec<&str> {
    let labels = series.split_once('{').map(|(_, rest)| rest.split('}').next().unwrap_or_default());
    let names = labels.into_iter().flat_map(|labels| labels.split(',')).filter_map(|label| label.split('=').next());
    names.filter(|name| *name != "le").collect()
}

#[tokio::test]
async fn the_metrics_are_the_ones_that_readme_names() {
    let destinations = vec![destination("docomo", Standing::Slowed)];
    let booth = Booth::open(View { destinations, connections: 1, connections_max: 200, ..View::default() }).await;
    let job = booth.order(Class::Otp, "a@docomo.ne.jp").await;
    booth
        .work(move |tx| {
            let mail = MailId::new(1);
            let received = received();
            maillog::received(tx, mail, &received, &received.recipients[0])?;
            maillog::ignored(tx, mail, at(20), None, "auto-submitted")?;
            let (later, no) = (Reply::new(450, "4.2.0 later"), Reply::new(550, "5.1.1 no such user"));
            maillog::deferred(tx, &job, Stage::Rcpt, &later, Cause::Greylisted, at(30), at(20))?;
            maillog::refused(tx, &job, Stage::Rcpt, &no, Verdict::UnknownUser, at(20))?;
            maillog::accepted(tx, &job, &Reply::new(250, "ok"), at(20))
        })
        .await;
    let numbers = booth.numbers().await;
    let shown: Vec<(String, Vec<&str>)> = numbers
        .iter()
        .enumerate()
        .filter_map(|(place, line)| {
            let (name, kind) = line.strip_prefix("# TYPE ")?.split_once(' ')?;
            let total = if kind == "counter" { "_total" } else { "" };
            Some((format!("{name}{total}"), labels_of(&numbers[place + 1])))
        })
        .collect();
    let named: Vec<(String, Vec<&str>)> = README
        .lines()
        .filter_map(|line| line.strip_prefix("| `karamail_")?.split('`').next())
        .map(|name| (format!("karamail_{}", name.split('{').next().unwrap_or_default()), labels_of(name)))
        .collect();
    assert_eq!(shown, named);
}
