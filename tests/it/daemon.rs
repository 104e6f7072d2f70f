//! The built program, run as an operator runs it: a settings file, a process, a log.

use crate::place::{Place, Program, SMTP_PORT, until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::io::{BufRead as _, BufReader};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};

/// The path of the program under test.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_karamail");

/// `karamail serve` on host 3 of a place.
pub struct Daemon {
    program: Program,
    log: Arc<Mutex<Vec<String>>>,
    config: PathBuf,
    pub smtp: SocketAddr,
    pub web: SocketAddr,
    pub data: PathBuf,
}

/// The settings every test starts from; `more` is appended and may open sections of its own.
pub fn settings(place: &Place, delivery: &str, more: &str) -> String {
    let host = place.host(3);
    let dns = place.host(2);
    format!(
        r#"hostname = "mx.mc-anpi.com"
data_dir = "{data}"

[smtp]
listen = ["{host}:{SMTP_PORT}"]

[registration]
addresses = ["bizanpi@mc-anpi.com"]

[sender]
address = "anpi@mob-connect.com"
title = "安否確認/一斉通報サービス"
title_en = "Emergency Service"
bounce_domain = "bounce.mob-connect.com"

[delivery]
port = {SMTP_PORT}
resolver = "{dns}:5353"
private_addresses = true
{delivery}

[web]
listen = ["{host}:8080"]
public_url = "http://{host}:8080"

[api]
listen = ["{host}:8081"]
{more}"#,
        data = place.path("data").display(),
    )
}

impl Daemon {
    /// Writes the settings, starts the daemon and waits until both its doors are open.
    pub fn start(place: &Place, settings: &str) -> Self {
        Self::start_with(place, settings, |_| {})
    }

    /// The same, with a chance to change the command: environment, a wrapper's arguments.
    pub fn start_with(place: &Place, settings: &str, change: impl FnOnce(&mut Command)) -> Self {
        Self::try_start(place, settings, change).expect("the daemon ended before its doors were open")
    }

    /// The same; nothing where the daemon ends before its doors are open.
    pub fn try_start(place: &Place, settings: &str, change: impl FnOnce(&mut Command)) -> Option<Self> {
        let config = place.path("karamail.toml");
        std::fs::write(&config, settings).unwrap();
        let mut command = Command::new(PROGRAM);
        command.arg("serve").arg("-c").arg(&config).stdin(Stdio::null()).stdout(Stdio::null());
        change(&mut command);
        Self::run(place, config, &mut command)
    }

    /// Starts `command`, which is to run the daemon with the settings in `config`.
    pub fn run(place: &Place, config: PathBuf, command: &mut Command) -> Option<Self> {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let log = Arc::new(Mutex::new(Vec::new()));
        let (lines, kept) = (BufReader::new(child.stderr.take().unwrap()).lines(), Arc::clone(&log));
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                kept.lock().unwrap().push(line);
            }
        });
        let mut daemon = Self {
            program: Program::from(child),
            log,
            config,
            smtp: SocketAddr::new(place.host(3), SMTP_PORT),
            web: SocketAddr::new(place.host(3), 8080),
            data: place.path("data"),
        };
        daemon.is_open().then_some(daemon)
    }

    /// Waits until both doors are open; false where it ends before that.
    fn is_open(&mut self) -> bool {
        [self.smtp, self.web].into_iter().all(|door| {
            until(&format!("{door} is open"), || {
                if self.program.has_ended() {
                    eprintln!("{:#?}", self.log());
                    return Some(false);
                }
                TcpStream::connect(door).ok().map(|_| true)
            })
        })
    }

    pub fn has_ended(&mut self) -> bool {
        self.program.has_ended()
    }

    /// What it has written to standard error so far.
    pub fn log(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }

    /// The lines of the log that have each of `words`.
    pub fn logged(&self, words: &[&str]) -> Vec<String> {
        self.log().into_iter().filter(|line| words.iter().all(|word| line.contains(word))).collect()
    }

    /// Waits until `number` lines of the log have each of `words`, and gives them.
    pub fn until_logged(&self, words: &[&str], number: usize) -> Vec<String> {
        let what = format!("{number} lines with {words:?}");
        until(&what, || Some(self.logged(words)).filter(|found| found.len() >= number))
    }

    /// Has it read other settings, and waits until it has taken them.
    pub fn reload(&self, settings: &str) {
        self.reads_again(settings, "the settings were read again");
    }

    /// Has it read other settings, and waits until it says this of them.
    pub fn reads_again(&self, settings: &str, says: &str) {
        let before = self.logged(&[says]).len();
        std::fs::write(&self.config, settings).unwrap();
        kill(Pid::from_raw(self.id().try_into().unwrap()), Signal::SIGHUP).unwrap();
        self.until_logged(&[says], before + 1);
    }

    /// Runs another command of the program with the same settings.
    pub fn command(&self, arguments: &[&str]) -> Output {
        Command::new(PROGRAM).args(arguments).arg("-c").arg(&self.config).output().unwrap()
    }

    /// Runs a command that must succeed and gives what it printed.
    pub fn says(&self, arguments: &[&str]) -> String {
        let done = self.command(arguments);
        let (out, err) = (String::from_utf8(done.stdout).unwrap(), String::from_utf8_lossy(&done.stderr));
        assert!(done.status.success(), "karamail {arguments:?}: {err}{out}");
        out
    }

    /// The same, read as JSON.
    pub fn tells(&self, arguments: &[&str]) -> serde_json::Value {
        let mut arguments = arguments.to_vec();
        arguments.push("--json");
        serde_json::from_str(&self.says(&arguments)).unwrap()
    }

    pub fn id(&self) -> u32 {
        self.program.id()
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        self.program.kill();
    }

    /// Waits for the process to end by itself.
    pub fn wait(&mut self) -> std::process::ExitStatus {
        self.program.wait()
    }
}
