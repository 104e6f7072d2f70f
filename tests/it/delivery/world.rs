//! A worker with a store, a name server and mail servers of its own, on a clock that is turned by hand.

use crate::names::Names;
use crate::peer::{Peer, Setup, network, patiently};
use data_encoding::HEXLOWER;
use karamail::clock::Clock;
use karamail::config::{Delivery, Destinations, Resolver, Route, TlsPolicy};
use karamail::keys::{DkimSigner, Keychain, Keys};
use karamail::mail::template::Templates;
use karamail::maillog;
use karamail::model::{Domain, EmailAddress, JobId, KeyRing, Policy, Secret, Span, Timestamp};
use karamail::outbound::sign::Signer;
use karamail::outbound::worker::{Parts, Settings, Worker};
use karamail::outbound::{Board, Limits};
use karamail::queue::retry::Schedule;
use karamail::queue::view::{DestinationView, Shut, Standing, Wait};
use karamail::queue::{Cause, Class, Content, Job, NewJob, State};
use karamail::random::Random;
use karamail::service::compose::{self, Composer};
use karamail::service::session::{Stage, Visitor};
use karamail::store::{Event, EventFilter, Location, Member, Options, Store, StoreError, Tx};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use tokio::sync::{Notify, watch};
use tokio::task::{AbortHandle, JoinSet};

/// A quarter past an hour: at the full one some mail keeps away.
pub const START: Timestamp = Timestamp::from_millis(1_795_299_300_000);

/// How a world is set up before its worker starts.
#[derive(Clone)]
pub struct Plan {
    pub zone: String,
    pub delivery: Delivery,
    pub destinations: Destinations,
    pub policy_port: u16,
    pub limits: Limits,
    pub alone: bool,
    /// What mails are signed with.
    pub keys: Vec<DkimSigner>,
    /// What signs links and return paths, and opens codes.
    pub keychain: Keychain,
}

impl Plan {
    /// A zone whose servers listen on `port`.
    pub fn new(zone: &str, port: u16) -> Self {
        let waits = Schedule { give_up: Span::from_secs(3_600), waits: vec![Span::from_secs(100)] };
        let delivery = Delivery {
            route: Route::Mx,
            port,
            resolver: Resolver::System,
            tls: TlsPolicy::Opportunistic,
            tls_ca_file: None,
            trust_anchor: None,
            bind: Vec::new(),
            private_addresses: true,
            classes: Class::ALL.into_iter().map(|class| (class, waits.clone())).collect(),
        };
        Self {
            zone: zone.to_owned(),
            delivery,
            destinations: Destinations::shipped(),
            policy_port: 443,
            limits: Limits::default(),
            alone: true,
            keys: keys().to_vec(),
            keychain: keychain(),
        }
    }

    /// One connection to each destination, so that what happens happens in order.
    pub fn in_order(mut self) -> Self {
        self.limits.per_destination = 1;
        self
    }
}

pub struct World {
    pub store: Store,
    pub clock: Clock,
    pub names: Names,
    pub folder: tempfile::TempDir,
    /// What operators see of the worker.
    pub board: Option<Board>,
    wake: Arc<Notify>,
    stop: watch::Sender<bool>,
    worker: JoinSet<()>,
    /// By which each worker is broken off.
    handles: Vec<AbortHandle>,
    heard: watch::Receiver<Vec<(String, Option<JobId>)>>,
}

/// Two servers on one port, `127.a.b.1` and `127.a.b.2`; gives them, their addresses' beginning and the port.
pub async fn two_peers(first: Setup, second: Setup) -> (Peer, Peer, String, u16) {
    let network = network();
    let first = Peer::listen(format!("{network}1:0").parse().unwrap(), first).await;
    let port = first.address.port();
    let second = Peer::listen(format!("{network}2:{port}").parse().unwrap(), second).await;
    (first, second, network, port)
}

/// One server, and the zone of a domain `carrier.example` that has it as its MX.
pub async fn one_peer(setup: Setup) -> (Peer, Plan) {
    let peer = Peer::listen(format!("{}1:0", network()).parse().unwrap(), setup).await;
    let zone = format!("carrier.example MX 10 mx.carrier.example\nmx.carrier.example A {}", peer.address.ip());
    let plan = Plan::new(&zone, peer.address.port());
    (peer, plan)
}

/// A member whose login has come as far as the page that asks for a code, in session `number`.
pub fn before_the_code(member: Member, number: u8, now: Timestamp) -> Visitor {
    Visitor {
        session: [number; 32],
        member,
        org: "DEMO".parse().unwrap(),
        titles: ("デモ".to_owned(), None),
        policy: Policy::default(),
        stage: Stage::Code,
        begun: now,
        password_at: now,
        code_at: None,
        last_login: None,
    }
}

pub fn ring() -> KeyRing {
    KeyRing::new(1, [(1, Secret::new([7; 32]))].into()).unwrap()
}

/// The same ring for everything.
pub fn keychain() -> Keychain {
    Keychain::of(Keys::apart(ring(), ring(), ring()))
}

/// RSA keys take a moment to make, so all worlds sign with the same.
fn keys() -> &'static [DkimSigner] {
    static KEYS: OnceLock<Vec<DkimSigner>> = OnceLock::new();
    KEYS.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let keys = Keys::open(folder.path(), &Random::system()).unwrap();
        keys.signers(&[], &"mob-connect.example".parse().unwrap()).unwrap()
    })
}

fn composer(store: &Store, keys: Keychain) -> Composer {
    let settings = compose::Settings {
        address: "anpi@mob-connect.example".parse().unwrap(),
        title: "安否確認".to_owned(),
        title_en: "Emergency Service".to_owned(),
        bounce_domain: "bounce.mob-connect.example".parse().unwrap(),
        public_url: "https://www.mc-anpi.example".to_owned(),
    };
    Composer::new(store.clone(), Templates::new([]).unwrap(), keys, settings)
}

impl World {
    pub async fn start(plan: Plan) -> Self {
        let mut world = Self::prepare(&plan.zone).await;
        world.run(plan);
        world
    }

    /// Everything but the worker.
    pub async fn prepare(zone: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (tell, heard) = watch::channel(Vec::new());
        let wake = Arc::new(Notify::new());
        let queued = Arc::clone(&wake);
        let observer = Arc::new(move |events: &[Event]| {
            // As the daemon does: whatever puts a mail into the queue needs no bell.
            if events.iter().any(|event| event.name == maillog::QUEUED) {
                queued.notify_one();
            }
            tell.send_modify(|all| all.extend(events.iter().map(|event| (event.name.to_string(), event.job))));
        });
        let location = Location::Sqlite(folder.path().join("karamail.db"));
        let store = Store::open(Options::new(location).observed_by(observer)).await.unwrap();
        Self {
            store,
            clock: Clock::turned_by_hand(START),
            names: Names::serve(zone).await,
            folder,
            board: None,
            wake,
            stop: watch::channel(false).0,
            worker: JoinSet::new(),
            handles: Vec::new(),
            heard,
        }
    }

    pub fn run(&mut self, mut plan: Plan) {
        if plan.delivery.resolver == Resolver::System {
            plan.delivery.resolver = Resolver::Server(self.names.address);
        }
        let settings = Settings {
            hostname: "mx.mob-connect.example".parse().unwrap(),
            delivery: plan.delivery,
            destinations: plan.destinations,
            policy_port: plan.policy_port,
            outbox: self.outbox(),
            alone: plan.alone,
            limits: plan.limits,
            grace: Span::from_secs(30),
        };
        let parts = Parts {
            store: self.store.clone(),
            composer: composer(&self.store, plan.keychain),
            signer: Signer::new(&plan.keys).unwrap(),
            clock: self.clock.clone(),
            random: Random::repeating(5),
            wake: self.wake.clone(),
        };
        let worker = Worker::new(settings, parts).unwrap();
        self.board = Some(worker.board());
        self.stop.send_replace(false);
        self.handles.push(self.worker.spawn(worker.run(self.stop.subscribe())));
    }

    /// Has a worker crash, counted as they were started.
    pub async fn crash(&mut self, number: usize) {
        self.handles[number].abort();
        assert!(self.worker.join_next().await.unwrap().unwrap_err().is_cancelled());
    }

    pub fn outbox(&self) -> PathBuf {
        self.folder.path().join("outbox")
    }

    /// Puts a job into the queue and tells the worker.
    pub async fn order(&self, class: Class, to: &str) -> JobId {
        let job = self.enqueue(class, to, self.clock.now()).await;
        self.wake.notify_one();
        job
    }

    /// Puts a job into the queue that is due at `due`.
    pub async fn enqueue(&self, class: Class, to: &str, due: Timestamp) -> JobId {
        let to: EmailAddress = to.parse().unwrap();
        let now = self.clock.now();
        self.store.write(move |tx| enqueue(tx, class, &to, now, due)).await.unwrap()
    }

    /// Puts that many jobs into the queue in one go, to `CLASS0@carrier.example` and so on.
    pub async fn enqueue_many(&self, class: Class, count: usize) {
        let now = self.clock.now();
        let work = move |tx: &mut Tx<'_>| {
            (0..count).try_for_each(|number| {
                let to = format!("{class}{number}@carrier.example").parse().unwrap();
                enqueue(tx, class, &to, now, now).map(drop)
            })
        };
        self.store.write::<_, StoreError, _>(work).await.unwrap();
    }

    pub async fn job(&self, id: JobId) -> Job {
        self.store.read(move |tx| tx.job(id)).await.unwrap().unwrap()
    }

    /// Waits until an event of this name has happened to the job for the `count`-th time.
    pub async fn wait_for_nth(&self, count: usize, name: &str, job: JobId) -> Job {
        let happened = |heard: &Vec<(String, Option<JobId>)>| {
            heard.iter().filter(|(event, of)| event == name && *of == Some(job)).count() >= count
        };
        let mut heard = self.heard.clone();
        let waited = patiently(async { heard.wait_for(happened).await.is_ok() }).await;
        let found = self.job(job).await;
        assert_eq!(waited, Some(true), "no {name} of {found:?}");
        found
    }

    /// Shows a destination as operators see it.
    pub fn destination(&self, name: &str) -> Option<DestinationView> {
        let view = self.board.as_ref().unwrap().view();
        view.destinations.into_iter().find(|destination| destination.name == name)
    }

    /// Waits until a destination is shut; gives why.
    pub async fn wait_for_shut(&self, name: &str) -> Shut {
        let shut = async {
            loop {
                match self.destination(name).map(|destination| destination.standing) {
                    Some(Standing::Shut { why, .. }) => return why,
                    _ => tokio::task::yield_now().await,
                }
            }
        };
        patiently(shut).await.unwrap_or_else(|| panic!("{:?}", self.destination(name)))
    }

    /// Waits until the mail of a domain is kept back for this reason; gives until when.
    pub async fn wait_for_kept(&self, domain: &str, cause: Cause) -> Timestamp {
        let domain: Domain = domain.parse().unwrap();
        let kept = async {
            loop {
                match self.board.as_ref().unwrap().view().kept.get(&domain) {
                    Some(kept) if kept.cause == cause => return kept.until,
                    _ => tokio::task::yield_now().await,
                }
            }
        };
        patiently(kept).await.unwrap_or_else(|| panic!("{domain} is not kept back"))
    }

    /// Says why a job that was claimed does not move.
    pub fn wait_of(&self, job: JobId) -> Option<Wait> {
        self.board.as_ref().unwrap().job(job).map(|view| view.wait)
    }

    /// Waits until that is so for a reason that fits: a claim is in the store before it is in memory.
    pub async fn wait_for_reason(&self, job: JobId, fits: impl Fn(Wait) -> bool) {
        let reached = async {
            while !self.wait_of(job).is_some_and(&fits) {
                tokio::task::yield_now().await;
            }
        };
        assert!(patiently(reached).await.is_some(), "{:?} keeps {:?}", self.wait_of(job), self.job(job).await);
    }

    /// Gives the jobs to which an event of this name happened, in order.
    pub fn heard(&self, name: &str) -> Vec<JobId> {
        self.heard.borrow().iter().filter(|(event, _)| event == name).filter_map(|(_, job)| *job).collect()
    }

    /// Waits until an event of this name has happened to any job; gives that.
    pub async fn wait_for_first(&self, name: &str) -> JobId {
        let mut heard = self.heard.clone();
        let waited =
            patiently(async { heard.wait_for(|heard| heard.iter().any(|(event, _)| event == name)).await.is_ok() });
        assert_eq!(waited.await, Some(true), "no {name}");
        self.heard(name)[0]
    }

    pub async fn wait_for(&self, name: &str, job: JobId) -> Job {
        self.wait_for_nth(1, name, job).await
    }

    /// Waits until the job stands where it is expected to.
    pub async fn wait_for_state(&self, job: JobId, state: State) -> Job {
        let reached = async {
            loop {
                let found = self.job(job).await;
                if found.state == state {
                    return found;
                }
                tokio::task::yield_now().await;
            }
        };
        match patiently(reached).await {
            Some(found) => found,
            None => panic!("not {state}: {:?}", self.job(job).await),
        }
    }

    /// Turns the clock by `seconds` again and again until the job stands where it is expected to. Between two turns there
    /// is time for several commits: time that ran away from the worker would cost it its claims.
    pub async fn turn_until(&self, job: JobId, state: State, seconds: i64) {
        let turning = async {
            while self.job(job).await.state != state {
                self.turn_slowly(seconds).await;
            }
        };
        assert!(patiently(turning).await.is_some(), "not {state}: {:?}", self.job(job).await);
    }

    /// Turns the clock and leaves time for what that set off.
    pub async fn turn_slowly(&self, seconds: i64) {
        self.turn(seconds);
        let now = self.clock.now();
        for _ in 0..30 {
            self.store.write(move |tx| tx.set_budget("test", "turn", now)).await.unwrap();
        }
    }

    pub async fn events(&self, job: JobId) -> Vec<Event> {
        let filter = EventFilter { job: Some(job), ..EventFilter::default() };
        let events = self.store.read(move |tx| tx.events(&filter)).await.unwrap();
        events.into_iter().map(|(_, event)| event).collect()
    }

    /// Turns the clock.
    pub fn turn(&self, seconds: i64) {
        self.clock.turn(Span::from_secs(seconds));
    }

    /// Tells the worker that something was ordered.
    pub fn ring(&self) {
        self.wake.notify_one();
    }

    /// Tells the worker to stop.
    pub fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// Waits until it has.
    pub async fn stopped(&mut self) {
        self.worker.join_next().await.unwrap().unwrap();
    }

    /// Asks for a number past the store.
    pub fn count(&self, query: &str) -> i64 {
        let store = rusqlite::Connection::open(self.folder.path().join("karamail.db")).unwrap();
        store.query_row(query, [], |row| row.get(0)).unwrap()
    }

    /// Runs a statement past the store.
    pub fn sql(&self, text: &str) {
        rusqlite::Connection::open(self.folder.path().join("karamail.db")).unwrap().execute_batch(text).unwrap();
    }
}

fn enqueue(
    tx: &mut Tx<'_>,
    class: Class,
    to: &EmailAddress,
    now: Timestamp,
    due: Timestamp,
) -> Result<JobId, StoreError> {
    let expires = now.plus(Span::from_secs(86_400));
    let registration = tx.begin_registration(to, None, now, expires)?;
    let content = Content::RegistrationReply {
        registration,
        key: 1,
        expires: expires.seconds(),
        nonce: HEXLOWER.encode(&[9; 16]),
    };
    let give_up = now.plus(Span::from_secs(3_600));
    tx.enqueue(&NewJob { class, to: to.clone(), content, language: None, cause: None, queued_at: now, due, give_up })
}

/// The value of a header field of a message.
pub fn field(message: &[u8], name: &str) -> String {
    let message = mail_parser::MessageParser::default().parse(message).unwrap();
    message.header_raw(name).unwrap().trim().to_owned()
}

/// The one-time password in a mail, as its reader types it.
pub fn code(message: &[u8]) -> String {
    let message = mail_parser::MessageParser::default().parse(message).unwrap();
    let text = message.body_text(0).unwrap().into_owned();
    let is_code = |line: &&str| !line.is_empty() && line.chars().all(|c| c.is_ascii_digit() || c == ' ');
    text.lines().find(is_code).unwrap_or_else(|| panic!("{text}")).to_owned()
}
