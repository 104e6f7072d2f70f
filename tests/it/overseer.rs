//! What a service manager has of the program, without one: sockets handed over, and an ear for what it says.

use crate::daemon::{Daemon, PROGRAM, settings};
use crate::mailbox::Client;
use crate::place::{Place, SMTP_PORT, until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::ffi::OsString;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr as Name, UnixDatagram};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// `EX_CONFIG` of sysexits.h.
const WRONG_SETTINGS: i32 = 78;

/// Hears what the program says of itself.
pub struct Ear {
    name: OsString,
    heard: Arc<Mutex<Vec<(Instant, String)>>>,
}

impl Ear {
    /// Listens at a file of the place.
    pub fn open(place: &Place) -> Self {
        let path = place.path("notify");
        Self::listen(path.clone().into(), UnixDatagram::bind(path).unwrap())
    }

    /// Listens at a name that no file has, as in a container.
    fn abstract_one(place: &Place) -> Self {
        let name = place.path("notify").display().to_string();
        let socket = UnixDatagram::bind_addr(&Name::from_abstract_name(&name).unwrap()).unwrap();
        Self::listen(format!("@{name}").into(), socket)
    }

    fn listen(name: OsString, socket: UnixDatagram) -> Self {
        let ear = Self { name, heard: Arc::default() };
        let heard = Arc::clone(&ear.heard);
        std::thread::spawn(move || {
            let mut message = [0; 4_096];
            while let Ok(octets) = socket.recv(&mut message) {
                let words = String::from_utf8(message[..octets].to_vec()).unwrap();
                heard.lock().unwrap().push((Instant::now(), words));
            }
        });
        ear
    }

    /// Has a command speak to it; signs of life are due within `watchdog`.
    pub fn lend(&self, command: &mut Command, watchdog: Option<Duration>) {
        command.env("NOTIFY_SOCKET", &self.name).env_remove("WATCHDOG_PID");
        match watchdog {
            Some(watchdog) => command.env("WATCHDOG_USEC", watchdog.as_micros().to_string()),
            None => command.env_remove("WATCHDOG_USEC"),
        };
    }

    /// The messages with a line that begins like this.
    pub fn heard(&self, line: &str) -> Vec<String> {
        let heard = self.heard.lock().unwrap();
        let has = |message: &&String| message.lines().any(|said| said.starts_with(line));
        heard.iter().map(|(_, message)| message).filter(has).cloned().collect()
    }

    /// Waits until so many messages have a line that begins like this; gives the last of them.
    pub fn until(&self, line: &str, number: usize) -> String {
        until(&format!("{number} times {line}"), || self.heard(line).get(number - 1).cloned())
    }

    /// Waits until nothing was said for so long.
    pub fn until_silent(&self, for_so_long: Duration) {
        until("silence", || {
            let last = self.heard.lock().unwrap().last().map(|(at, _)| *at);
            (last.is_none_or(|at| at.elapsed() >= for_so_long)).then_some(())
        });
    }
}

/// Gives a process a signal.
pub fn signal(daemon: &Daemon, signal: Signal) {
    kill(Pid::from_raw(daemon.id().try_into().unwrap()), signal).unwrap();
}

/// Has the daemon inherit two sockets, as file descriptors 3 and 4.
fn hand_over(place: &Place, sockets: [&TcpListener; 2]) -> (PathBuf, Command) {
    let config = place.path("karamail.toml");
    let script = "exec 3<&0 4<&1 0</dev/null 1>/dev/null; export LISTEN_PID=$$; exec \"$0\" serve -c \"$1\"";
    let mut command = Command::new("sh");
    command.args(["-c", script, PROGRAM]).arg(&config).env("LISTEN_FDS", "2");
    let [first, second] = sockets.map(|socket| OwnedFd::from(socket.try_clone().unwrap()));
    command.stdin(Stdio::from(first)).stdout(Stdio::from(second));
    (config, command)
}

fn bind(place: &Place, port: u16) -> TcpListener {
    TcpListener::bind((place.host(3), port)).unwrap()
}

/// What the pages answer.
fn page(web: SocketAddr) -> String {
    let mut stream = TcpStream::connect(web).unwrap();
    stream.write_all(b"GET /help/mail HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.lines().next().unwrap_or_default().to_owned()
}

#[test]
fn sockets_handed_over_serve_their_entries_and_keep_whoever_knocks_between_two_starts() {
    let place = Place::take();
    let (mail, pages) = (bind(&place, SMTP_PORT), bind(&place, 8080));
    let text = settings(&place, "route = \"capture\"", "");
    let start = || {
        let (config, mut command) = hand_over(&place, [&pages, &mail]);
        std::fs::write(&config, &text).unwrap();
        Daemon::run(&place, config, &mut command).unwrap()
    };
    // Nobody else could have bound them: the test has them open.
    let mut daemon = start();
    let ear_of_machines = SocketAddr::new(place.host(3), 8081);
    assert_eq!(page(daemon.web), "HTTP/1.1 200 OK");
    assert!(Client::connect(daemon.smtp).unwrap().say("NOOP\r\n").unwrap().starts_with("250"));
    until("the third door was opened by the program", || TcpStream::connect(ear_of_machines).ok());
    signal(&daemon, Signal::SIGTERM);
    assert_eq!(daemon.wait().code(), Some(0));
    assert!(TcpStream::connect(ear_of_machines).is_err());

    let early = TcpStream::connect(daemon.smtp).unwrap();
    let _daemon = start();
    let mut greeting = [0; 3];
    (&early).read_exact(&mut greeting).unwrap();
    assert_eq!(&greeting, b"220");
}

#[test]
fn a_socket_that_no_entry_wants_or_that_is_none_of_tcp_keeps_the_daemon_from_starting() {
    let place = Place::take();
    let (mail, other) = (bind(&place, SMTP_PORT), bind(&place, 9_999));
    let (config, mut command) = hand_over(&place, [&mail, &other]);
    std::fs::write(config, settings(&place, "route = \"capture\"", "")).unwrap();
    let refused = command.output().unwrap();
    assert_eq!(refused.status.code(), Some(WRONG_SETTINGS));
    let (said, host) = (String::from_utf8(refused.stderr).unwrap(), place.host(3));
    assert!(said.contains(&format!("a socket at {host}:9999")), "{said}");
    assert!(said.contains(&format!("smtp.listen has {host}:2525, web.listen has {host}:8080")), "{said}");

    let datagrams = UnixDatagram::unbound().unwrap();
    let refused = command.stdin(Stdio::from(OwnedFd::from(datagrams))).output().unwrap();
    assert_eq!(refused.status.code(), Some(WRONG_SETTINGS));
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(said.contains("only TCP sockets are of use: fd 3 is not a valid tcp socket"), "{said}");
}

#[test]
fn wrong_settings_leave_a_code_of_their_own_so_that_nobody_tries_again_in_vain() {
    let place = Place::take();
    let config = place.path("karamail.toml");
    std::fs::write(&config, "hostname = 5\n").unwrap();
    let refused = Command::new(PROGRAM).arg("serve").arg("-c").arg(&config).output().unwrap();
    assert_eq!(refused.status.code(), Some(WRONG_SETTINGS));
    assert!(String::from_utf8(refused.stderr).unwrap().contains("hostname"));
}

/// Starts the daemon with another connection in the middle of writing, so that its database cannot be opened yet.
fn ready_comes_last(place: &Place, ear: &Ear) {
    let data = place.path("data");
    std::fs::create_dir_all(&data).unwrap();
    let other = rusqlite::Connection::open(data.join("karamail.db")).unwrap();
    other.execute_batch("PRAGMA journal_mode = WAL; BEGIN IMMEDIATE; CREATE TABLE unrelated (x)").unwrap();
    let text = settings(place, "route = \"capture\"", "");
    let daemon = Daemon::start_with(place, &text, |command| ear.lend(command, None));
    assert_eq!(ear.heard(""), Vec::<String>::new());
    other.execute_batch("ROLLBACK").unwrap();
    let ready = ear.until("READY=1", 1);
    let (host, state) = (place.host(3), ready.lines().nth(1).unwrap());
    assert_eq!(
        state,
        format!("STATUS=mail at {host}:2525, pages at {host}:8080; 0 connections out, 0 mails wait for one")
    );
    assert!(Client::connect(daemon.smtp).unwrap().say("NOOP\r\n").unwrap().starts_with("250"));
    assert_eq!(page(daemon.web), "HTTP/1.1 200 OK");
}

#[test]
fn it_says_that_it_is_ready_once_its_database_is_open_and_everybody_is_answered() {
    let place = Place::take();
    ready_comes_last(&place, &Ear::open(&place));
    let place = Place::take();
    ready_comes_last(&place, &Ear::abstract_one(&place));
}

#[test]
fn an_ear_that_is_not_there_keeps_nobody_from_working() {
    let place = Place::take();
    let text = settings(&place, "route = \"capture\"", "");
    let daemon = Daemon::start_with(&place, &text, |command| {
        command.env("NOTIFY_SOCKET", "/nowhere/notify");
    });
    daemon.until_logged(&["nobody listens at $NOTIFY_SOCKET"], 1);
    daemon.until_logged(&["karamail is up"], 1);
}

#[test]
fn it_gives_signs_of_life_and_says_when_it_reads_the_settings_again_and_when_it_stops() {
    let place = Place::take();
    let ear = Ear::open(&place);
    let text = settings(&place, "route = \"capture\"", "");
    let watchdog = Some(Duration::from_millis(300));
    let mut daemon = Daemon::start_with(&place, &text, |command| ear.lend(command, watchdog));
    assert!(ear.until("WATCHDOG=1", 3).contains("\nSTATUS=mail at "));

    let mut session = Client::connect(daemon.smtp).unwrap();
    assert!(session.say("MAIL FROM:<hanako@docomo.ne.jp>\r\n").unwrap().starts_with("250"));
    daemon.reload(&text.replace("capture\"", "capture\"\n[delivery.class.alert]\nretry = [\"9s\"]"));
    assert!(ear.until("RELOADING=1", 1).contains("\nMONOTONIC_USEC="));
    ear.until("READY=1", 2);
    daemon.reads_again("hostname = 5", "the settings are wrong");
    ear.until("RELOADING=1", 2);
    ear.until("STATUS=the settings are wrong and wait to be mended; mail at ", 2);
    daemon.reload(&text);
    ear.until("READY=1", 4);
    let said = ear.heard("");
    let order: Vec<&str> =
        said.iter().filter_map(|said| said.lines().next()).filter(|said| *said != "WATCHDOG=1").collect();
    let again = ["RELOADING=1", "READY=1"];
    assert_eq!(order, [&["READY=1"][..], &again, &again, &again].concat());
    // The session has lived through all of it.
    for (command, reply) in
        [("RCPT TO:<bizanpi@mc-anpi.com>", "250"), ("DATA", "354"), ("\r\n.", "250"), ("QUIT", "221")]
    {
        assert!(session.say(&format!("{command}\r\n")).unwrap().starts_with(reply), "{command}");
    }

    signal(&daemon, Signal::SIGTERM);
    assert!(ear.until("STOPPING=1", 1).contains("\nWATCHDOG=1\n"));
    assert_eq!(daemon.wait().code(), Some(0));
}
