//! The pages in a box: a store, one organisation, a clock turned by hand, a real socket, and a browser without a screen.

use karamail::clock::Clock;
use karamail::config::Config;
use karamail::daemon::{Daemon, Doors, World};
use karamail::keys::{Keychain, Keys};
use karamail::link::{Link, Purpose};
use karamail::model::{EmailAddress, Language, MemberId, OrgCode, Priority, RegistrationId, Span, Timestamp};
use karamail::random::Random;
use karamail::service::contact_test;
use karamail::service::hasher::Hasher;
use karamail::service::notice::Notices;
use karamail::service::start_password;
use karamail::store::{EventFilter, Location, NewMember, Options, Store, StoreError};
use karamail::web::{Parts, Settings, Web, serve};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

pub const ADDRESS: &str = "hanako@docomo.ne.jp";
pub const START: &str = "hajime-kite7";
pub const OWN: &str = "umi-to-yama-9";
pub const NOTICES: Notices = Notices { give_up: Span::from_secs(3 * 86_400) };

/// What the clock shows at first.
const NOW: Timestamp = Timestamp::from_millis(1_795_298_400_000);

/// The pages, served.
pub struct House {
    pub store: Store,
    pub keys: Arc<Keys>,
    /// The same, as the services hold them.
    pub chain: Keychain,
    pub clock: Clock,
    /// What hashes its passwords; a whole daemon does not show its own.
    pub hasher: Option<Hasher>,
    pub at: SocketAddr,
    pub folder: tempfile::TempDir,
    stop: Option<oneshot::Sender<()>>,
    tasks: JoinSet<()>,
}

pub fn settings(folder: &std::path::Path) -> Settings {
    Settings {
        public_url: "http://www.mc-anpi.com".to_owned(),
        system_url: None,
        title: "安否確認サービス".to_owned(),
        title_en: "Emergency Service".to_owned(),
        sender: "anpi@mob-connect.com".parse().unwrap(),
        manuals: Vec::new(),
        registration: "bizanpi@mc-anpi.com".parse().unwrap(),
        official_at: Vec::new(),
        contact_test: contact_test::Settings {
            link_lifetime: Span::from_secs(86_400),
            give_up: Span::from_secs(7_200),
        },
        notices: NOTICES,
        outbox: Some(folder.join("outbox")),
        trusted_proxies: Vec::new(),
    }
}

/// The settings of a whole daemon whose pages are at that address.
fn whole_settings(folder: &std::path::Path, at: SocketAddr) -> String {
    format!(
        r#"hostname = "mx.mc-anpi.com"
data_dir = "{folder}"

[smtp]
listen = ["127.0.0.1:2525"]

[registration]
addresses = ["bizanpi@mc-anpi.com"]

[sender]
address = "anpi@mob-connect.com"
title = "安否確認サービス"
title_en = "Emergency Service"
bounce_domain = "bounce.mob-connect.com"

[delivery]
route = "capture"

[web]
listen = ["{at}"]
public_url = "http://{at}"

[api]
listen = []
"#,
        folder = folder.display()
    )
}

impl House {
    /// Opens a house with the organisation DEMO and two members: 0001 with a start password, 0002 with none.
    pub async fn open() -> Self {
        Self::open_with(|_| ()).await
    }

    pub async fn open_with(change: impl FnOnce(&mut Settings)) -> Self {
        let clock = Clock::turned_by_hand(NOW);
        Self::open_at(clock, change).await
    }

    pub async fn open_at(clock: Clock, change: impl FnOnce(&mut Settings)) -> Self {
        let house = Self::build(tempfile::tempdir().unwrap(), clock, change).await;
        house.furnish().await;
        house
    }

    /// Opens another house with the keys of `first` and a copy of its database.
    pub async fn open_copy(first: &Self, change: impl FnOnce(&mut Settings)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let keys = folder.path().join("keys");
        std::fs::create_dir(&keys).unwrap();
        std::fs::set_permissions(&keys, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
        for entry in std::fs::read_dir(first.folder.path().join("keys")).unwrap() {
            let path = entry.unwrap().path();
            std::fs::copy(&path, keys.join(path.file_name().unwrap())).unwrap();
        }
        let copy = folder.path().join("karamail.db");
        let database = rusqlite::Connection::open(first.folder.path().join("karamail.db")).unwrap();
        database.execute("VACUUM INTO ?1", [copy.to_str().unwrap()]).unwrap();
        Self::build(folder, Clock::turned_by_hand(first.clock.now()), change).await
    }

    /// Opens a house whose pages stand before a store that others work with, too.
    pub async fn open_over(store: &Store, clock: &Clock) -> Self {
        let house = Self::serve(tempfile::tempdir().unwrap(), store.clone(), clock.clone(), |_| ()).await;
        house.furnish().await;
        house
    }

    async fn build(folder: tempfile::TempDir, clock: Clock, change: impl FnOnce(&mut Settings)) -> Self {
        let store = Store::open(Options::new(Location::Sqlite(folder.path().join("karamail.db")))).await.unwrap();
        Self::serve(folder, store, clock, change).await
    }

    async fn serve(folder: tempfile::TempDir, store: Store, clock: Clock, change: impl FnOnce(&mut Settings)) -> Self {
        let random = Random::system();
        let chain = Keychain::open(folder.path(), &random).unwrap();
        let mut settings = settings(folder.path());
        change(&mut settings);
        let hasher = Hasher::new(2, clock.clone());
        let parts =
            Parts { store: store.clone(), keys: chain.clone(), hasher: hasher.clone(), clock: clock.clone(), random };
        let web = Web::new(settings, parts).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let mut tasks = JoinSet::new();
        let closing = store.clone();
        tasks.spawn(async move {
            let asked = async { assert!(stopped.await.is_ok(), "the house was dropped, not closed") };
            serve(web, None, vec![listener], asked).await;
            closing.close().await;
        });
        Self { store, keys: chain.now(), chain, clock, hasher: Some(hasher), at, folder, stop: Some(stop), tasks }
    }

    /// Opens the same pages in a whole daemon: the mails that they order are captured, and lie on `/outbox`.
    pub async fn whole() -> Self {
        let clock = Clock::turned_by_hand(NOW);
        let folder = tempfile::tempdir().unwrap();
        let doors = Doors::open(&[], &["127.0.0.1:0".parse().unwrap()], &[]).unwrap();
        let at = doors.web[0].local_addr().unwrap();
        let file = folder.path().join("karamail.toml");
        std::fs::write(&file, whole_settings(folder.path(), at)).unwrap();
        let world = World { clock: clock.clone(), ..World::real() };
        let daemon = Daemon::start(Config::load(&file).unwrap(), doors, world).await.unwrap();
        let (store, chain) = (daemon.store.clone(), Keychain::open(folder.path(), &Random::system()).unwrap());
        let (stop, stopped) = oneshot::channel();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            assert!(stopped.await.is_ok(), "the house was dropped, not closed");
            daemon.stop().await;
        });
        let house = Self { store, keys: chain.now(), chain, clock, hasher: None, at, folder, stop: Some(stop), tasks };
        house.furnish().await;
        house
    }

    async fn furnish(&self) {
        let now = self.clock.now();
        self.store
            .write::<_, StoreError, _>(move |tx| {
                let org = tx.add_org(&"DEMO".parse().unwrap(), "デモ団体", Some("Demo Organisation"), now)?;
                assert!(org.is_some());
                Ok(())
            })
            .await
            .unwrap();
        self.member("0001", "見本 花子", Language::Ja, Some(START)).await;
        self.member("0002", "見本 太郎", Language::En, None).await;
    }

    /// Adds a member of DEMO.
    pub async fn member(&self, login: &str, name: &str, language: Language, start: Option<&str>) -> MemberId {
        self.member_with(login, name, language, start, None).await
    }

    pub async fn member_with(
        &self,
        login: &str,
        name: &str,
        language: Language,
        start: Option<&str>,
        hash: Option<String>,
    ) -> MemberId {
        let new = NewMember {
            login: login.parse().unwrap(),
            name: name.to_owned(),
            kana: None,
            department: None,
            language,
            password_hash: hash,
            addresses: [None, None, None],
        };
        let (now, keys, start) = (self.clock.now(), Arc::clone(&self.keys), start.map(str::to_owned));
        self.store
            .write::<_, StoreError, _>(move |tx| {
                let org = tx.org(&"DEMO".parse().unwrap())?.unwrap();
                let (id, _) = tx.put_member(org.id, &new, now)?;
                if let Some(start) = &start {
                    let sealed = start_password::seal(keys.seal(), id, Random::system().bytes().unwrap(), start);
                    tx.put_secret(start_password::PURPOSE, id.number(), &sealed)?;
                }
                Ok(id)
            })
            .await
            .unwrap()
    }

    /// Gives a member an address.
    pub async fn put(&self, member: MemberId, place: Priority, address: &str) {
        let (address, now): (EmailAddress, _) = (address.parse().unwrap(), self.clock.now());
        let put = move |tx: &mut karamail::store::Tx<'_>| tx.put_address(member, place, &address, "import", now);
        self.store.write::<_, StoreError, _>(put).await.unwrap();
    }

    /// The addresses of a member, as `1=a@b 3=c@d`.
    pub async fn addresses(&self, member: MemberId) -> String {
        let rows = self.store.read::<_, StoreError, _>(move |tx| tx.addresses_of(member)).await.unwrap();
        rows.iter().map(|(place, address)| format!("{place}={address}")).collect::<Vec<_>>().join(" ")
    }

    /// Opens a registration for an address that wrote to us; gives its link's token.
    pub async fn registration(&self, address: &str, org: Option<&str>) -> String {
        let (now, address): (_, EmailAddress) = (self.clock.now(), address.parse().unwrap());
        let org: Option<OrgCode> = org.map(|org| org.parse().unwrap());
        let expires = now.plus(Span::from_secs(86_400));
        let begin = move |tx: &mut karamail::store::Tx<'_>| tx.begin_registration(&address, org.as_ref(), now, expires);
        let id = self.store.write::<_, StoreError, _>(begin).await.unwrap();
        self.token(id, expires)
    }

    pub fn token(&self, id: RegistrationId, expires: Timestamp) -> String {
        let nonce = Random::system().bytes().unwrap();
        let link = Link { purpose: Purpose::Registration, row: id.number(), expires: expires.seconds(), nonce };
        link.mint(self.keys.link())
    }

    /// The mail log so far: names of events, or one event's fields.
    pub async fn events(&self, name: &str) -> Vec<String> {
        let all = EventFilter { limit: 10_000, ..EventFilter::default() };
        let rows = self.store.read::<_, StoreError, _>(move |tx| tx.events(&all)).await.unwrap();
        let found = rows.into_iter().filter(|(_, event)| event.name == name);
        found.map(|(_, event)| serde_json::Value::Object(event.fields).to_string()).collect()
    }

    /// Everything in the database, a line a row, but for the moments at which sessions were last used.
    pub fn contents(&self) -> BTreeSet<String> {
        let file = rusqlite::Connection::open(self.folder.path().join("karamail.db")).unwrap();
        let mut tables = file.prepare("SELECT name FROM sqlite_master WHERE type = 'table'").unwrap();
        let tables: Vec<String> = tables.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
        let mut lines = BTreeSet::new();
        for table in tables {
            let mut rows = file.prepare(&format!("SELECT * FROM {table}")).unwrap();
            let names: Vec<String> = rows.column_names().map(str::to_owned).collect();
            let mut rows = rows.query([]).unwrap();
            while let Some(row) = rows.next().unwrap() {
                let values = names.iter().enumerate().filter(|(_, name)| table != "sessions" || *name != "seen");
                let values = values.map(|(place, name)| format!("{name}={:?}", row.get_ref(place).unwrap()));
                lines.insert(format!("{table}: {}", values.collect::<Vec<_>>().join(", ")));
            }
        }
        assert!(lines.len() > 5, "{lines:?}");
        lines
    }

    pub fn browser(&self) -> Browser {
        Browser {
            at: self.at,
            host: None,
            cookies: BTreeMap::new(),
            headers: vec![("accept-encoding".to_owned(), "gzip, deflate, br".to_owned())],
            page: Page::default(),
            path: String::new(),
        }
    }

    /// Stops serving, gracefully.
    pub async fn close(mut self) {
        self.stop.take().unwrap().send(()).unwrap();
        // The mail log of a whole daemon is printed to its end once nobody holds the store any more.
        drop(self.store);
        while let Some(ended) = self.tasks.join_next().await {
            ended.unwrap();
        }
    }

    pub fn outbox(&self) -> PathBuf {
        self.folder.path().join("outbox")
    }
}

/// What came back.
#[derive(Debug, Clone, Default)]
pub struct Page {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: String,
    /// How many bytes it took to get here, headers and all.
    pub wire: usize,
}

impl Page {
    pub fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }

    /// What stands between two texts.
    pub fn between(&self, before: &str, after: &str) -> &str {
        let from = self.body.split_once(before).unwrap_or_else(|| panic!("no {before} in {}", self.body)).1;
        from.split_once(after).unwrap().0
    }

    /// Looks for a text, whether a line may end at its blanks or not.
    #[track_caller]
    pub fn has(&self, text: &str) -> &Self {
        assert!(self.body.replace('\u{a0}', " ").contains(text), "no “{text}” on the page:\n{}", self.body);
        self
    }

    #[track_caller]
    pub fn has_not(&self, text: &str) -> &Self {
        assert!(!self.body.contains(text), "“{text}” is on the page:\n{}", self.body);
        self
    }
}

/// A browser: keeps cookies, knows the form of the page it is on, follows redirects only when told.
#[derive(Debug, Clone)]
pub struct Browser {
    pub at: SocketAddr,
    /// The name it asks for; the address where there is none.
    pub host: Option<String>,
    pub cookies: BTreeMap<String, String>,
    pub headers: Vec<(String, String)>,
    pub page: Page,
    pub path: String,
}

impl Browser {
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.retain(|(known, _)| known != name);
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Asks for a name, wherever it leads.
    pub fn named(mut self, host: &str) -> Self {
        self.host = Some(host.to_owned());
        self
    }

    /// Opens a page, following redirects.
    pub async fn get(&mut self, path: &str) -> &Page {
        let mut path = path.to_owned();
        for _ in 0..5 {
            self.send("GET", &path, None).await;
            if !(300..400).contains(&self.page.status) {
                break;
            }
            self.page.header("location").clone_into(&mut path);
        }
        self.path = path;
        &self.page
    }

    /// Fills in and sends the form of the page it is on, then follows the redirect.
    pub async fn submit(&mut self, fields: &[(&str, &str)]) -> &Page {
        let (path, body) = self.form(fields);
        self.send("POST", &path, Some(&body)).await;
        assert_eq!(self.page.status, 303, "{}", self.page.body);
        let next = self.page.header("location").to_owned();
        self.get(&next).await
    }

    /// The form of the page it is on: where it goes, and its fields with the hidden ones that are not among them.
    pub fn form(&self, fields: &[(&str, &str)]) -> (String, String) {
        let form = self.page.between("<form method=\"post\"", "</form>");
        let action = form.split_once("action=\"").unwrap().1.split_once('"').unwrap().0;
        let mut out = form_urlencoded::Serializer::new(String::new());
        for input in form.split("<input").skip(1) {
            let value = |name: &str| {
                let from = input.split_once(&format!("{name}=\""))?.1;
                Some(from.split_once('"')?.0.to_owned())
            };
            let is_given = |name: &str| fields.iter().any(|(given, _)| *given == name);
            let hidden = value("name").filter(|name| value("type").as_deref() == Some("hidden") && !is_given(name));
            if let Some(name) = hidden {
                out.append_pair(&name, &value("value").unwrap());
            }
        }
        out.extend_pairs(fields);
        (action.to_owned(), out.finish())
    }

    pub async fn send(&mut self, method: &str, path: &str, body: Option<&str>) -> &Page {
        let host = self.host.clone().unwrap_or_else(|| self.at.to_string());
        let mut head = format!("{method} {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n");
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if !self.cookies.is_empty() {
            let all: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
            head.push_str(&format!("cookie: {}\r\n", all.join("; ")));
        }
        if let Some(body) = body {
            head.push_str("content-type: application/x-www-form-urlencoded\r\n");
            head.push_str(&format!("content-length: {}\r\n", body.len()));
        }
        let request = format!("{head}\r\n{}", body.unwrap_or_default());
        self.page = read(&exchange(self.at, request.as_bytes()).await);
        for (name, value) in &self.page.headers {
            if name == "set-cookie" {
                let (name, rest) = value.split_once('=').unwrap();
                let value = rest.split(';').next().unwrap();
                if rest.contains("Max-Age=0") {
                    self.cookies.remove(name);
                } else {
                    self.cookies.insert(name.to_owned(), value.to_owned());
                }
            }
        }
        &self.page
    }

    /// Logs in on the login page.
    pub async fn sign_in(&mut self, id: &str, password: &str) -> &Page {
        self.cookies.remove("karamail");
        self.get("/login").await;
        self.submit(&[("org", "DEMO"), ("id", id), ("password", password)]).await
    }

    /// Logs in on the page of a registration.
    pub async fn log_in(&mut self, token: &str, id: &str, password: &str) -> &Page {
        self.get(&format!("/r/{token}")).await;
        self.submit(&[("org", "DEMO"), ("id", id), ("password", password)]).await
    }
}

/// Sends bytes and reads until the other side closes.
pub async fn exchange(at: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(at).await.unwrap();
    let (mut from, mut to) = stream.split();
    let mut answer = Vec::new();
    // The other side may close before it has read everything; what it said still counts.
    let (_, read) = tokio::join!(to.write_all(bytes), from.read_to_end(&mut answer));
    if let Err(cause) = read {
        assert!(!answer.is_empty(), "no answer: {cause}");
    }
    answer
}

pub fn read(bytes: &[u8]) -> Page {
    let gap = bytes.windows(4).position(|bytes| bytes == b"\r\n\r\n");
    let gap = gap.unwrap_or_else(|| panic!("no answer: {}", String::from_utf8_lossy(bytes)));
    let (head, body) = (std::str::from_utf8(&bytes[..gap]).unwrap(), &bytes[gap + 4..]);
    let mut lines = head.lines();
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let headers = lines.map(|line| line.split_once(": ").unwrap());
    let headers: Vec<_> = headers.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).collect();
    let is_packed = headers.contains(&("content-encoding".to_owned(), "gzip".to_owned()));
    let body = match is_packed && !body.is_empty() {
        true => std::io::read_to_string(flate2::read::GzDecoder::new(body)).unwrap(),
        false => String::from_utf8_lossy(body).into_owned(),
    };
    Page { status, headers, body, wire: bytes.len() }
}
