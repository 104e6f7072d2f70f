//! A machine of an operator: settings in a folder of its own, the built program, and a daemon's desk where one is wanted.

use karamail::clock::Clock;
use karamail::config::Destinations;
use karamail::control::{Desk, Live, Lock, Socket};
use karamail::keys::Keychain;
use karamail::model::Span;
use karamail::random::Random;
use karamail::service::notice::Notices;
use karamail::store::{Location, Options, Store};
use serde_json::Value;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use tokio::sync::watch;

pub const PROGRAM: &str = env!("CARGO_BIN_EXE_karamail");
pub const SETTINGS: &str = r#"
hostname = "mx.example.jp"
data_dir = "data"
[registration]
addresses = ["bizanpi@example.jp"]
[sender]
address = "anpi@example.jp"
bounce_domain = "bounce.example.jp"
[smtp]
listen = ["127.0.0.1:0"]
[web]
listen = ["127.0.0.1:0"]
public_url = "https://www.example.jp"
[api]
listen = ["127.0.0.1:0"]
"#;
/// A machine with settings and nothing else.
pub struct Machine {
    pub folder: tempfile::TempDir,
}

impl Machine {
    pub fn new() -> Self {
        let machine = Self { folder: tempfile::tempdir().unwrap() };
        std::fs::write(machine.settings(), SETTINGS).unwrap();
        machine
    }

    pub fn settings(&self) -> PathBuf {
        self.folder.path().join("karamail.toml")
    }

    pub fn data_dir(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(PROGRAM);
        command.arg("-c").arg(self.settings()).args(arguments).current_dir(self.folder.path());
        command.env_remove("KARAMAIL_CONFIG").env_remove("KARAMAIL_LOG").stdin(Stdio::null());
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Runs a command that succeeds without a word on standard error; gives what it prints.
    pub fn say(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert_eq!(errors(&output), "", "{arguments:?}");
        assert_eq!(output.status.code(), Some(0), "{arguments:?}");
        text(&output)
    }

    pub fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.say(&[arguments, &["--json"]].concat())).unwrap()
    }

    /// Runs a command that fails with `code`; gives what it says on standard error.
    pub fn fail(&self, code: i32, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}{}", text(&output), errors(&output));
        assert_eq!(text(&output), "", "{arguments:?}");
        errors(&output)
    }

    pub fn write(&self, name: &str, bytes: &[u8]) -> String {
        let path = self.folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path.to_string_lossy().into_owned()
    }

    pub async fn store(&self) -> Store {
        Store::open(Options::new(Location::Sqlite(self.data_dir().join("karamail.db")))).await.unwrap()
    }
}

pub fn text(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

pub fn errors(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

pub fn keys(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

/// What of a daemon a command sees: the lock, the door, and a desk behind it.
pub struct Daemon {
    pub store: Store,
    pub tasks: tokio::task::JoinSet<()>,
    _lock: Lock,
}

impl Daemon {
    pub async fn start(machine: &Machine) -> Self {
        Self::start_with(machine, None).await
    }

    /// The same, with delivery as a test wants it.
    pub async fn start_with(machine: &Machine, live: Option<Arc<dyn Live>>) -> Self {
        let data_dir = machine.data_dir();
        let lock = Lock::take(&data_dir).unwrap();
        let random = Random::system();
        let keys = Keychain::open(&data_dir, &random).unwrap();
        let (sender, commits) = watch::channel(0);
        let observer = Arc::new(move |_: &[karamail::store::Event]| sender.send_modify(|count| *count += 1));
        let location = Location::Sqlite(data_dir.join("karamail.db"));
        let store = Store::open(Options::new(location).observed_by(observer)).await.unwrap();
        let groups = Destinations::shipped().groups;
        let desk = Desk {
            doors: Vec::new(),
            store: store.clone(),
            keys,
            link_lifetime: Span::from_secs(86_400),
            random,
            notices: Notices { give_up: Span::from_secs(86_400) },
            clock: Clock::system(),
            commits,
            live,
            groups,
        };
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(Socket::open(&data_dir).unwrap().serve(desk));
        Self { store, tasks, _lock: lock }
    }
}

/// Runs a command beside the daemon of this very process.
pub async fn beside(machine: &Machine, arguments: &[&str]) -> Output {
    tokio::process::Command::from(machine.command(arguments)).output().await.unwrap()
}
