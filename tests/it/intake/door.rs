//! The intake in a box: the listener on a port of its own, a shelf for what comes in, a clock turned by hand.

use karamail::clock::Clock;
use karamail::inbound::route::{self, Route};
use karamail::inbound::smtp::{Deadlines, Intake, Limits, NotStored, Settings, Take};
use karamail::keys::{Keychain, Keys};
use karamail::mail::verp;
use karamail::model::{Domain, EmailAddress, JobId, KeyRing, MailId, Received, Secret, Span, Timestamp};
use karamail::net::tls::identity::Identity;
use karamail::service::reception::Destination;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

pub const MAX_MESSAGE: usize = 4_096;

pub fn hostname() -> Domain {
    "mx.mc-anpi.example".parse().unwrap()
}

fn keys() -> KeyRing {
    KeyRing::new(1, [(1, Secret::new([7; 32]))].into()).unwrap()
}

pub fn return_path() -> EmailAddress {
    verp::address(&keys(), JobId::new(16), 20_000, &"bounce.mob-connect.example".parse().unwrap())
}

pub fn route() -> Route {
    Route::new(route::Settings {
        hostname: hostname(),
        registration: vec!["bizanpi@mc-anpi.example".parse().unwrap()],
        bounce_domain: "bounce.mob-connect.example".parse().unwrap(),
        keys: Keychain::of(Keys::apart(keys(), keys(), keys())),
    })
}

pub fn clock() -> Clock {
    Clock::turned_by_hand(Timestamp::from_millis(1_795_298_400_000))
}

/// Keeps what comes in, or fails, or lets wait.
pub struct Shelf {
    mails: Mutex<Vec<(Received, Vec<Destination>)>>,
    works: Mutex<bool>,
    /// Each mail takes one; none are left while a test wants the store to be slow.
    hands: Semaphore,
    waiting: watch::Sender<usize>,
}

impl Default for Shelf {
    fn default() -> Self {
        Self {
            mails: Mutex::default(),
            works: Mutex::new(true),
            hands: Semaphore::new(Semaphore::MAX_PERMITS),
            waiting: watch::channel(0).0,
        }
    }
}

impl Shelf {
    pub fn works(&self, works: bool) {
        *self.works.lock().unwrap() = works;
    }

    pub fn mails(&self) -> MutexGuard<'_, Vec<(Received, Vec<Destination>)>> {
        self.mails.lock().unwrap()
    }

    /// Puts a mail away under the next id, if the shelf works.
    pub fn store(&self, received: Received, to: Vec<Destination>) -> Result<MailId, NotStored> {
        if !*self.works.lock().unwrap() {
            return Err(NotStored);
        }
        let mut mails = self.mails();
        mails.push((received, to));
        Ok(MailId::new(i64::try_from(mails.len()).unwrap()))
    }

    /// From here on mails wait until [`Shelf::go_on`].
    pub fn hold_up(&self) {
        self.hands.forget_permits(Semaphore::MAX_PERMITS);
    }

    pub fn go_on(&self, mails: usize) {
        self.hands.add_permits(mails);
    }

    /// Waits until so many mails have been handed over, stored or not.
    pub async fn handed_over(&self, mails: usize) {
        self.waiting.subscribe().wait_for(|waiting| *waiting >= mails).await.unwrap();
    }
}

struct Keep(Arc<Shelf>);

impl Take for Keep {
    async fn take(&self, received: Received, to: Vec<Destination>) -> Result<MailId, NotStored> {
        self.0.waiting.send_modify(|waiting| *waiting += 1);
        self.0.hands.acquire().await.unwrap().forget();
        self.0.store(received, to)
    }
}

/// A running intake.
pub struct Door {
    pub clock: Clock,
    pub shelf: Arc<Shelf>,
    pub address: SocketAddr,
    stop: watch::Sender<bool>,
    serving: JoinSet<()>,
}

impl Door {
    pub async fn open() -> Self {
        Self::open_with(|_| {}).await
    }

    /// Opens with other settings than a test usually wants.
    pub async fn open_with(change: impl FnOnce(&mut Settings)) -> Self {
        Self::open_showing(None, clock(), change).await
    }

    /// The same, with something to show to those who say STARTTLS.
    pub async fn open_showing(tls: Option<Identity>, clock: Clock, change: impl FnOnce(&mut Settings)) -> Self {
        let shelf = Arc::new(Shelf::default());
        let (limits, deadlines) = (Limits::default(), Deadlines::default());
        let mut settings = Settings { hostname: hostname(), max_message: MAX_MESSAGE, limits, deadlines };
        change(&mut settings);
        let intake = Intake::new(settings, tls, route(), Keep(Arc::clone(&shelf)), clock.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopping) = watch::channel(false);
        let mut serving = JoinSet::new();
        serving.spawn(async move { intake.serve(listener, stopping).await });
        Self { clock, shelf, address, stop, serving }
    }

    /// Connects, without waiting for the greeting.
    pub async fn knock(&self) -> Client {
        let (reader, writer) = TcpStream::connect(self.address).await.unwrap().into_split();
        Client { reader: BufReader::new(reader), writer }
    }

    /// Connects and says EHLO.
    pub async fn enter(&self) -> Client {
        let mut client = self.knock().await;
        assert_eq!(client.line().await, "220 mx.mc-anpi.example ESMTP karamail");
        client.send(b"HELO b.example\r\n").await;
        assert_eq!(client.line().await, "250 mx.mc-anpi.example");
        client
    }

    /// Connects and goes as far as 354.
    pub async fn enter_data(&self) -> Client {
        let mut client = self.enter().await;
        client.begin().await;
        client
    }

    pub fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// Waits until the intake has returned.
    pub async fn stopped(mut self) {
        patiently(self.serving.join_next()).await.unwrap().unwrap();
    }
}

/// The other side.
pub struct Client {
    reader: BufReader<OwnedReadHalf>,
    writer: OwnedWriteHalf,
}

impl Client {
    /// Gives the bare connection; what was read ahead is gone.
    pub fn into_stream(self) -> TcpStream {
        self.reader.into_inner().reunite(self.writer).unwrap()
    }

    pub async fn send(&mut self, octets: &[u8]) {
        self.writer.write_all(octets).await.unwrap();
    }

    /// Sends what the server will no longer take, sooner or later.
    pub async fn try_send(&mut self, octets: &[u8]) -> bool {
        self.writer.write_all(octets).await.is_ok()
    }

    pub async fn line(&mut self) -> String {
        let mut line = String::new();
        patiently(self.reader.read_line(&mut line)).await.unwrap();
        line.strip_suffix("\r\n").unwrap_or_else(|| panic!("no line: {line:?}")).to_owned()
    }

    /// Says NOOP and hears the answer. What others sent before that has been read by then: all sessions of a test run on one
    /// thread, in the order in which their octets arrived.
    pub async fn round_trip(&mut self) {
        self.says("NOOP\r\n", &["250 2.0.0 Ok"]).await;
    }

    pub fn has_heard_nothing(&self) -> bool {
        let unread = self.reader.get_ref().try_read(&mut [0]);
        self.reader.buffer().is_empty() && unread.is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
    }

    /// Sends, and never reads, until the server takes no more although it had time to: `other` was served three times.
    pub async fn send_until_blocked(&mut self, octets: &[u8], other: &mut Self) {
        let mut refused = 0;
        while refused < 3 {
            match self.writer.try_write(octets) {
                Ok(_) => refused = 0,
                Err(_) => {
                    refused += 1;
                    other.round_trip().await;
                }
            }
        }
    }

    /// Sends commands and compares the replies, a line each.
    pub async fn says(&mut self, commands: &str, replies: &[&str]) {
        self.send(commands.as_bytes()).await;
        for reply in replies {
            assert_eq!(self.line().await, *reply, "to {:?}", commands.get(..80).unwrap_or(commands));
        }
    }

    /// Goes from EHLO to 354.
    pub async fn begin(&mut self) {
        let commands = "MAIL FROM:<a@b.example>\r\nRCPT TO:<bizanpi@mc-anpi.example>\r\nDATA\r\n";
        self.says(commands, &["250 2.1.0 Ok", "250 2.1.5 Ok", "354 End data with <CR><LF>.<CR><LF>"]).await;
    }

    /// Says nothing more, and expects the server to say nothing more either.
    pub async fn leave(mut self) {
        self.writer.shutdown().await.unwrap();
        self.expect_end().await;
    }

    /// Expects the connection to end, whatever comes before.
    pub async fn expect_reset(&mut self) {
        let mut piece = vec![0; 64 * 1024];
        while let Ok(1..) = patiently(self.reader.read(&mut piece)).await {}
    }

    pub async fn expect_end(&mut self) {
        let mut rest = Vec::new();
        patiently(self.reader.read_to_end(&mut rest)).await.unwrap();
        assert_eq!(rest.escape_ascii().to_string(), "");
    }
}

/// Gives up after half a minute of real time, so that what never comes fails a test rather than hang it.
pub async fn patiently<F: Future>(work: F) -> F::Output {
    let clock = Clock::system();
    let deadline = clock.now().plus(Span::from_secs(30));
    clock.within(deadline, work).await.unwrap_or_else(|_| panic!("nothing came for half a minute"))
}
