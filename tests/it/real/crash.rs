//! The process dies after each commit of the journey in turn; whoever walks the journey must not lose anything.

use super::durability::to_mailbox;
use crate::daemon::{Daemon, PROGRAM};
use crate::mailbox::{Client, Mailbox};
use crate::place::{Place, until};
use crate::visitor::Visitor;
use std::collections::HashSet;
use std::io::Result;
use std::process::Command;

const SENDER: &str = "hanako@docomo.ne.jp";
const START: &str = "kariPass7";
const PASSWORD: &str = "tsunami-kobune-42";

/// A daemon that dies after a commit, and is started again, without that, by whoever finds it dead.
struct Mortal<'a> {
    place: &'a Place,
    settings: String,
    daemon: Daemon,
    died: bool,
}

impl<'a> Mortal<'a> {
    fn start(place: &'a Place, commit: u64) -> Self {
        let settings = to_mailbox(place);
        prepare(place, &settings);
        let daemon = Daemon::try_start(place, &settings, |command| {
            command.env("KARAMAIL_CRASH_AFTER_COMMIT", commit.to_string());
        });
        let died = daemon.is_none();
        let daemon = daemon.unwrap_or_else(|| Daemon::start(place, &settings));
        Self { place, settings, daemon, died }
    }

    /// Does `step` until it succeeds; each time the daemon is found dead it is started again.
    fn persist<T>(&mut self, mut step: impl FnMut(&Daemon) -> Result<T>) -> T {
        loop {
            match step(&self.daemon) {
                Ok(done) => return done,
                Err(error) => {
                    // The kernel closes its sockets before the process is gone for good.
                    until(&format!("the daemon ended, as {error}"), || self.daemon.has_ended().then_some(()));
                    self.rise();
                }
            }
        }
    }

    /// Waits for something to come; a daemon that dies meanwhile is started again.
    fn persist_until<T>(&mut self, mut look: impl FnMut() -> Option<T>) -> T {
        until("it comes", || {
            if let Some(found) = look() {
                return Some(found);
            }
            if self.daemon.has_ended() {
                self.rise();
            }
            None
        })
    }

    fn rise(&mut self) {
        assert!(!self.died, "it was to die once");
        self.died = true;
        self.daemon = Daemon::start(self.place, &self.settings);
    }
}

/// The path of the link in the first answer that has come.
fn link_in(mailbox: &Mailbox) -> Option<String> {
    let mail = mailbox.taken().into_iter().find(|mail| mail.recipient == SENDER)?;
    let message = mail_parser::MessageParser::default().parse(&mail.message)?;
    let body = message.body_text(0)?;
    let at = body.find("/r/")?;
    Some(body[at..].lines().next()?.trim().to_owned())
}

/// An organisation and a member, put in while no daemon runs.
fn prepare(place: &Place, settings: &str) {
    let config = place.path("karamail.toml");
    std::fs::write(&config, settings).unwrap();
    let members = place.path("members.csv");
    std::fs::write(&members, format!("id,password,name\n0001,{START},防災花子\n")).unwrap();
    let members = members.display().to_string();
    for arguments in [vec!["org", "add", "DEMO", "--title", "試験"], vec!["member", "import", "DEMO", &members]] {
        let done = Command::new(PROGRAM).args(&arguments).arg("-c").arg(&config).output().unwrap();
        assert!(done.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
    }
}

/// The whole journey; gives whether the daemon died on the way.
fn journey(commit: u64) -> bool {
    let place = Place::take();
    let mailbox = Mailbox::open(place.host(10));
    let mut mortal = Mortal::start(&place, commit);
    let mut tries = 0;
    mortal.persist(|daemon| {
        tries += 1;
        let message = format!("From: <{SENDER}>\r\nMessage-ID: <{tries}@phone.test>\r\n\r\n");
        let reply = Client::connect(daemon.smtp)?.send(SENDER, "bizanpi@mc-anpi.com", &message)?;
        assert!(reply.starts_with("250 2.0.0"), "{reply}");
        Ok(())
    });
    let path = mortal.persist_until(|| link_in(&mailbox));
    mortal.persist(|daemon| register(daemon, &path));
    let shown = mortal.persist(|daemon| Ok(daemon.tells(&["member", "show", "DEMO", "0001"])));
    assert_eq!(shown["addresses"][0]["address"], SENDER);
    assert_eq!(shown["addresses"][0]["priority"], 1);
    let answers: Vec<_> = mailbox.taken().into_iter().filter(|mail| mail.recipient == SENDER).collect();
    assert!((1..=2).contains(&answers.len()), "{} answers", answers.len());
    let ids: HashSet<&str> = answers.iter().map(|mail| header(&mail.message, "Message-ID: ")).collect();
    assert!(ids.len() <= tries, "an answer that was sent again keeps its Message-ID: {ids:?}");
    mortal.died
}

fn header<'a>(message: &'a [u8], name: &str) -> &'a str {
    let text = std::str::from_utf8(message).unwrap();
    text.lines().find_map(|line| line.strip_prefix(name)).unwrap()
}

/// From the link to "registered", as a person does it who starts anew at the link whenever something fails.
fn register(daemon: &Daemon, path: &str) -> Result<()> {
    let mut visitor = Visitor::new(daemon.web);
    let landing = visitor.get(path)?;
    if !landing.asks("password") {
        return Ok(()); // used: the last step was kept although its answer was lost
    }
    let login = |password| [("org", "DEMO"), ("id", "0001"), ("password", password)];
    let mut page = visitor.submit(&landing, &login(START))?;
    if page.asks("password") {
        page = visitor.submit(&page, &login(PASSWORD))?; // it was changed before the daemon died
    }
    if page.asks("new") {
        page = visitor.submit(&page, &[("new", PASSWORD), ("again", PASSWORD)])?;
    }
    assert!(page.asks("priority"), "{page:?}");
    let done = visitor.submit(&page, &[("priority", "1")])?;
    assert!(done.status == 200 && done.path.ends_with("/done"), "{done:?}");
    Ok(())
}

#[test]
fn killed_after_each_commit_of_the_journey_nothing_is_lost() {
    let mut commit = 1;
    while journey(commit) {
        commit += 1;
        assert!(commit < 60, "the journey has an end");
    }
    assert!(commit > 5, "the daemon was to die on the way: {commit}");
}
