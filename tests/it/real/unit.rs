//! The units of systemd, held against systemd's own tools and against what the program does; PID 1 itself is not needed.

use super::durability::to_mailbox;
use super::faults::Faults;
use crate::daemon::{Daemon, PROGRAM, settings};
use crate::mailbox::{Client, Mailbox};
use crate::overseer::{Ear, signal};
use crate::place::{Place, SMTP_PORT, until};
use nix::sys::signal::Signal;
use std::collections::BTreeSet;
use std::fs::Permissions;
use std::net::TcpStream;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

const SERVICE: &str = include_str!("../../../systemd/karamail.service");
const SOCKET: &str = include_str!("../../../systemd/karamail.socket");
/// A user with no right to anything.
const NOBODY: u32 = 65_534;
const ENOSPC: i32 = 28;

/// The values of a setting in a unit, in order.
fn values<'a>(unit: &'a str, key: &str) -> Vec<&'a str> {
    unit.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix('=')).collect()
}

fn said(output: &Output) -> String {
    [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text)).concat()
}

/// Lays the units into the place, with the program that is there instead of the one that a package installs.
fn units(place: &Place) -> [PathBuf; 2] {
    [("karamail.service", SERVICE), ("karamail.socket", SOCKET)].map(|(name, text)| {
        let path = place.path(name);
        std::fs::write(&path, text.replace("/usr/bin/karamail", PROGRAM)).unwrap();
        path
    })
}

#[test]
fn systemd_finds_no_fault_in_the_units() {
    let place = Place::take();
    let verified = Command::new("systemd-analyze").args(["verify", "--man=no"]).args(units(&place)).output().unwrap();
    assert!(verified.status.success(), "{}", said(&verified));
    assert_eq!(said(&verified), "");
    // A fault would have been found.
    let [service, _] = units(&place);
    std::fs::write(&service, SERVICE.replace("Type=notify", "Type=notified")).unwrap();
    let verified = Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(service).output().unwrap();
    assert!(said(&verified).contains("notified"), "{}", said(&verified));
}

#[test]
fn the_unit_is_exposed_to_no_more_than_two_of_ten() {
    let place = Place::take();
    let [service, _] = units(&place);
    let judge = |file: &Path| {
        Command::new("systemd-analyze")
            .args(["security", "--offline=true", "--threshold=20"])
            .arg(file)
            .output()
            .unwrap()
    };
    let judged = judge(&service);
    assert!(judged.status.success(), "{}", said(&judged));
    std::fs::write(&service, SERVICE.replace("CapabilityBoundingSet=\n", "").replace("PrivateUsers=yes\n", ""))
        .unwrap();
    assert!(!judge(&service).status.success());
}

#[test]
fn the_sockets_of_the_unit_are_those_of_the_settings_as_they_are_shipped() {
    let shipped = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/config/karamail.toml"));
    let config = karamail::config::Config::load(shipped).unwrap();
    let wanted: Vec<String> = config.smtp.listen.iter().chain(&config.web.listen).map(ToString::to_string).collect();
    assert_eq!(values(SOCKET, "ListenStream"), wanted);
}

/// What a group of system calls of systemd's holds.
fn group(name: &str) -> BTreeSet<String> {
    let listed = Command::new("systemd-analyze").args(["syscall-filter", name]).output().unwrap();
    assert!(listed.status.success(), "{}", said(&listed));
    let text = String::from_utf8(listed.stdout).unwrap();
    let names = text.lines().skip(1).map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    names.flat_map(|name| if name.starts_with('@') { group(name) } else { BTreeSet::from([name.to_owned()]) }).collect()
}

/// The system calls that the unit lets through.
fn allowed() -> BTreeSet<String> {
    let mut allowed = BTreeSet::new();
    for line in values(SERVICE, "SystemCallFilter") {
        let (takes_away, names) = line.strip_prefix('~').map_or((false, line), |names| (true, names));
        for name in names.split(' ').flat_map(group) {
            if takes_away {
                allowed.remove(&name);
            } else {
                allowed.insert(name);
            }
        }
    }
    allowed
}

#[test]
fn the_program_makes_no_system_call_that_the_unit_refuses() {
    let place = Place::take();
    let mailbox = Mailbox::open(place.host(10));
    let (config, trace) = (place.path("karamail.toml"), place.path("trace"));
    std::fs::write(&config, to_mailbox(&place)).unwrap();
    std::fs::create_dir(place.path("data")).unwrap();
    chown(place.path("data"), Some(NOBODY), Some(NOBODY)).unwrap();
    let program = place.path("karamail");
    std::fs::copy(PROGRAM, &program).unwrap();
    let mut strace = Command::new("strace");
    // Without a privilege, as under the unit.
    strace.args(["-f", "-qq", "-o"]).arg(&trace).args(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]);
    strace.args(["--bounding-set=-all", "--no-new-privs"]).arg(program).args(["serve", "-c"]).arg(&config);
    let ear = Ear::open(&place);
    std::fs::set_permissions(place.path("notify"), Permissions::from_mode(0o777)).unwrap();
    ear.lend(&mut strace, Some(Duration::from_millis(300)));
    let mut daemon = Daemon::run(&place, config, &mut strace).unwrap();
    let mut client = Client::connect(daemon.smtp).unwrap();
    let mail = "From: <hanako@docomo.ne.jp>\r\nTo: <bizanpi@mc-anpi.com>\r\n\r\n";
    assert!(client.send("hanako@docomo.ne.jp", "bizanpi@mc-anpi.com", mail).unwrap().starts_with("250"));
    until("the answer is sent", || (mailbox.taken().len() == 1).then_some(()));
    drop(TcpStream::connect(daemon.web).unwrap());
    daemon.says(&["queue", "summary"]);
    ear.until("WATCHDOG=1", 2);
    let strace_of = |line: &str| line.split_whitespace().next().map(str::to_owned);
    let text = std::fs::read_to_string(&trace).unwrap();
    let pid: i32 = text.lines().next().and_then(strace_of).unwrap().parse().unwrap();
    for each in [Signal::SIGHUP, Signal::SIGTERM] {
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), each).unwrap();
        ear.until(if each == Signal::SIGHUP { "RELOADING=1" } else { "STOPPING=1" }, 1);
    }
    assert_eq!(daemon.wait().code(), Some(0));

    let text = std::fs::read_to_string(&trace).unwrap();
    let own = text.split_once(&format!("execve(\"{}\"", place.path("karamail").display())).unwrap().1;
    let name = |line: &str| {
        let call = line.split_once(' ')?.1.trim_start().split_once('(')?.0;
        call.chars().all(|c| c.is_ascii_alphanumeric() || c == '_').then(|| call.to_owned())
    };
    let made: BTreeSet<String> = own.lines().skip(1).filter_map(name).collect();
    assert!(["accept4", "connect", "pwrite64", "exit_group"].iter().all(|call| made.contains(*call)), "{made:?}");
    let allowed = allowed();
    let refused: Vec<&String> = made.difference(&allowed).collect();
    assert!(refused.is_empty(), "{refused:?}");
}

#[test]
fn systemds_own_way_of_handing_sockets_over_is_understood() {
    let place = Place::take();
    let config = place.path("karamail.toml");
    std::fs::write(&config, settings(&place, "route = \"capture\"", "")).unwrap();
    let mut activate = Command::new("systemd-socket-activate");
    for port in [SMTP_PORT, 8080] {
        activate.arg(format!("--listen={}:{port}", place.host(3)));
    }
    activate.arg("--fdname=mail:pages").arg(PROGRAM).args(["serve", "-c"]).arg(&config);
    // It binds, waits for the first connection, and becomes the daemon.
    let daemon = Daemon::run(&place, config, &mut activate).unwrap();
    assert!(Client::connect(daemon.smtp).unwrap().say("NOOP\r\n").unwrap().starts_with("250"));
    daemon.until_logged(&["listening", &format!("{}:8080", place.host(3))], 1);
}

#[test]
fn signs_of_life_stop_while_the_disk_hangs_and_not_while_it_is_full() {
    let place = Place::take();
    let (faults, ear) = (Faults::build(&place), Ear::open(&place));
    let watchdog = Duration::from_millis(300);
    let mut daemon = Daemon::start_with(&place, &settings(&place, "route = \"capture\"", ""), |command| {
        faults.preload(command);
        ear.lend(command, Some(watchdog));
    });
    ear.until("WATCHDOG=1", 2);
    // Another start would not make room: the daemon lives, and says what is wrong.
    faults.arm("flush", "karamail.db-wal", ENOSPC);
    let complaint = "STATUS=nothing can be recorded, so no mail is taken or sent: ";
    assert!(ear.until(complaint, 2).contains("WATCHDOG=1"));
    faults.disarm();
    let well = ear.heard("STATUS=mail at ").len();
    ear.until("STATUS=mail at ", well + 1);

    faults.hang("flush", "karamail.db-wal");
    ear.until_silent(watchdog * 5);
    assert!(!daemon.has_ended());
    let signs = ear.heard("WATCHDOG=1").len();
    faults.disarm();
    ear.until("WATCHDOG=1", signs + 2);
    signal(&daemon, Signal::SIGTERM);
    assert_eq!(daemon.wait().code(), Some(0));
}
