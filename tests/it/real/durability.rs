//! What a 250 promises, seen from outside: the order of system calls, and what is left after a kill.

use crate::daemon::{Daemon, PROGRAM, settings};
use crate::mailbox::{Client, Mailbox};
use crate::place::{Place, until};
use std::collections::HashMap;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

/// Settings that hand every answer to the mailbox on host 10.
pub fn to_mailbox(place: &Place) -> String {
    let route = format!("route = \"smarthost\"\nsmarthost = \"{}:2525\"\ntls = \"off\"", place.host(10));
    settings(place, &route, "").replace(
        "addresses = [\"bizanpi@mc-anpi.com\"]",
        "addresses = [\"bizanpi@mc-anpi.com\"]\nreply_limit_domain = \"1000000/1m\"\nreply_limit_network = \"1000000/1m\"",
    )
}

/// What one line of strace tells us.
#[derive(Debug, PartialEq)]
enum Call {
    /// Something was written to the write-ahead log.
    Write,
    /// A flush of the write-ahead log returned.
    Flushed,
    /// The peer is told that its mail is taken.
    Taken,
}

/// Reads strace's lines; a call that another thread interrupted counts where it began (a write, a reply) or returned (a
/// flush).
fn calls(trace: &str) -> Vec<Call> {
    let mut flushing: HashMap<&str, bool> = HashMap::new();
    let mut calls = Vec::new();
    for line in trace.lines() {
        let Some((thread, call)) = line.trim_start().split_once(char::is_whitespace) else { continue };
        let call = call.trim_start();
        let on_log = call.contains("karamail.db-wal>");
        let flush = call.starts_with("fdatasync(") || call.starts_with("fsync(");
        let resumed = call.starts_with("<... fdatasync resumed>") || call.starts_with("<... fsync resumed>");
        if call.starts_with("pwrite64(") && on_log {
            calls.push(Call::Write);
        } else if flush && call.contains("<unfinished") {
            flushing.insert(thread, on_log);
        } else if (flush && on_log && call.ends_with("= 0"))
            || (resumed && call.ends_with("= 0") && flushing.remove(thread) == Some(true))
        {
            calls.push(Call::Flushed);
        } else if call.contains("\"250 2.0.0 ") && call.contains("queued") {
            calls.push(Call::Taken);
        }
    }
    calls
}

#[test]
fn strace_is_read_as_it_writes() {
    let trace = "\
7 pwrite64(9</d/karamail.db-wal>, \"x\"..., 4096, 0) = 4096
7 fdatasync(9</d/karamail.db-wal> <unfinished ...>
8 sendto(11<TCP:[1->2]>, \"250 2.0.0 Ok: queued as maa\"..., 30, MSG_NOSIGNAL, NULL, 0) = 30
7 <... fdatasync resumed>) = 0
7 fdatasync(9</d/karamail.db-wal>) = 0
7 fdatasync(9</d/karamail.db>) = 0";
    assert_eq!(calls(trace), [Call::Write, Call::Taken, Call::Flushed, Call::Flushed]);
}

#[test]
fn a_flush_of_the_log_returns_between_the_last_write_to_it_and_each_250() {
    let place = Place::take();
    let config = place.path("karamail.toml");
    std::fs::write(&config, settings(&place, "route = \"capture\"", "")).unwrap();
    let trace = place.path("trace");
    let mut strace = Command::new("strace");
    strace
        .args(["-f", "-y", "-s", "64", "-e", "trace=pwrite64,fdatasync,fsync,write,writev,sendto,sendmsg", "-o"])
        .arg(&trace)
        .arg(PROGRAM)
        .args(["serve", "-c"])
        .arg(&config);
    let mut daemon = Daemon::run(&place, config, &mut strace).expect("the daemon stays up");
    let mut client = Client::connect(daemon.smtp).unwrap();
    // Mails that cause no answer: each is one commit, and nothing else writes meanwhile.
    for number in 0..20 {
        let message = format!("From: a@docomo.ne.jp\r\nPrecedence: bulk\r\nMessage-ID: <{number}@x.test>\r\n\r\n");
        let reply = client.send("a@docomo.ne.jp", "bizanpi@mc-anpi.com", &message).unwrap();
        assert!(reply.starts_with("250 2.0.0"), "{reply}");
    }
    stop_child_of(daemon.id());
    daemon.wait();
    let calls = calls(&std::fs::read_to_string(trace).unwrap());
    let taken: Vec<usize> =
        calls.iter().enumerate().filter(|(_, call)| **call == Call::Taken).map(|(at, _)| at).collect();
    assert_eq!(taken.len(), 20);
    let mut from = 0;
    for at in taken {
        let between = &calls[from..at];
        let written = between.iter().rposition(|call| *call == Call::Write).expect("each mail is written down");
        assert!(between[written..].contains(&Call::Flushed), "a 250 without a flush: {between:?}");
        from = at + 1;
    }
}

/// Asks the program that strace runs to stop; strace ends with it.
fn stop_child_of(strace: u32) {
    let status = Command::new("pkill").args(["-TERM", "-P", &strace.to_string()]).status().unwrap();
    assert!(status.success());
}

#[test]
fn after_kill_9_under_eight_clients_every_mail_that_got_250_is_answered_once() {
    const CLIENTS: usize = 8;
    let place = Place::take();
    let mailbox = Mailbox::open(place.host(10));
    let mut daemon = Daemon::start(&place, &to_mailbox(&place));
    let taken: Arc<Mutex<Vec<String>>> = Arc::default();
    let stop = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|client| {
            let (taken, stop, server) = (Arc::clone(&taken), Arc::clone(&stop), daemon.smtp);
            std::thread::spawn(move || hand_in(server, client, &taken, &stop))
        })
        .collect();
    for round in 1..=3 {
        until("mails are taken", || (taken.lock().unwrap().len() > round * 200).then_some(()));
        until("answers go out", || (mailbox.taken().len() > round * 50).then_some(()));
        daemon.kill();
        daemon = Daemon::start(&place, &to_mailbox(&place));
    }
    stop.store(true, Ordering::SeqCst);
    clients.into_iter().for_each(|client| client.join().unwrap());
    let taken = taken.lock().unwrap().clone();
    until("every mail taken is answered", || {
        let answered: Vec<String> = mailbox.taken().into_iter().map(|mail| mail.recipient).collect();
        taken.iter().all(|sender| answered.contains(sender)).then_some(())
    });
    let mut answers: HashMap<String, usize> = HashMap::new();
    for mail in mailbox.taken() {
        assert!(mail.sender.starts_with("b+") && mail.sender.ends_with("@bounce.mob-connect.com"), "{}", mail.sender);
        *answers.entry(mail.recipient).or_default() += 1;
    }
    // One mail may be in flight on each connection when the daemon dies; ten connections go to one destination.
    let again: usize = answers.values().map(|number| number - 1).sum();
    assert!(again <= 3 * 10, "{again} answers were sent twice");
}

/// Hands in mails, each from a sender of its own, until told to stop; the server may vanish at any time.
fn hand_in(server: std::net::SocketAddr, client: usize, taken: &Mutex<Vec<String>>, stop: &AtomicBool) {
    let mut number = 0;
    while !stop.load(Ordering::SeqCst) {
        let Ok(mut connection) = Client::connect(server) else {
            std::thread::yield_now();
            continue;
        };
        while !stop.load(Ordering::SeqCst) {
            number += 1;
            let sender = format!("c{client}n{number}@docomo.ne.jp");
            let message = format!("From: <{sender}>\r\nMessage-ID: <{client}.{number}@x.test>\r\n\r\n");
            match connection.send(&sender, "bizanpi@mc-anpi.com", &message) {
                Ok(reply) if reply.starts_with("250 2.0.0") => taken.lock().unwrap().push(sender),
                Ok(reply) => assert!(reply.starts_with('4'), "{reply}"),
                Err(_) => break,
            }
        }
    }
}
