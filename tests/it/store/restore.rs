//! A backup that is taken while mail comes in, put back as README says after the machine is lost.

use crate::daemon::{Daemon, PROGRAM, settings};
use crate::mailbox::{Client, Mailbox};
use crate::place::{Place, until};
use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

const SESSIONS: usize = 16;
/// So many mails are taken before the backup, and so many more while it is made or after it.
const SOME: usize = 600;

/// Settings that hand every answer to the mailbox on host 10, however many there are.
fn to_mailbox(place: &Place) -> String {
    let route = format!("route = \"smarthost\"\nsmarthost = \"{}:2525\"\ntls = \"off\"", place.host(10));
    settings(place, &route, "").replace(
        "[registration]",
        "[registration]\nreply_limit_domain = \"1000000/1m\"\nreply_limit_network = \"1000000/1m\"",
    )
}

/// Sessions that hand in mails of ever new senders until they are told to stop, or the daemon dies.
struct Crowd {
    taken: Arc<Mutex<Vec<String>>>,
    enough: Arc<AtomicBool>,
    sessions: Vec<std::thread::JoinHandle<()>>,
}

impl Crowd {
    fn come(daemon: &Daemon) -> Self {
        let (taken, enough, numbers) =
            (Arc::<Mutex<Vec<String>>>::default(), Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let session = |_| {
            let (taken, enough, numbers) = (Arc::clone(&taken), Arc::clone(&enough), Arc::clone(&numbers));
            let smtp = daemon.smtp;
            std::thread::spawn(move || {
                let mut client = Client::connect(smtp).unwrap();
                while !enough.load(Ordering::Relaxed) {
                    let sender = format!("s{}@docomo.ne.jp", numbers.fetch_add(1, Ordering::Relaxed));
                    match client.send(&sender, "bizanpi@mc-anpi.com", "Subject: x\r\n\r\n") {
                        Ok(reply) if reply.starts_with("250 ") => taken.lock().unwrap().push(sender),
                        Ok(reply) => panic!("{sender}: {reply}"),
                        Err(_) => return,
                    }
                }
            })
        };
        let sessions = (0..SESSIONS).map(session).collect();
        Self { taken, enough, sessions }
    }

    /// Waits until so many mails got their 250; gives their senders.
    fn until(&self, many: usize) -> Vec<String> {
        until(&format!("{many} mails are taken"), || {
            Some(self.taken.lock().unwrap().clone()).filter(|taken| taken.len() >= many)
        })
    }

    fn leave(self) {
        self.enough.store(true, Ordering::Relaxed);
        self.sessions.into_iter().for_each(|session| session.join().unwrap());
    }
}

/// Runs lines as README has them.
fn shell(folder: &Path, lines: &str) {
    let done = Command::new("sh").args(["-ec", lines]).current_dir(folder).output().unwrap();
    assert!(done.status.success(), "{lines}: {}", String::from_utf8_lossy(&done.stderr));
}

/// The senders of mails that a database holds, by whether their answers were accepted or are still to go.
fn senders(file: &Path, table: &str, state: &str) -> HashMap<String, i64> {
    let connection = rusqlite::Connection::open(file).unwrap();
    let mut statement = connection
        .prepare(&format!("SELECT recipient, count(*) FROM {table} WHERE {state} GROUP BY recipient"))
        .unwrap();
    statement.query_map((), |row| Ok((row.get(0)?, row.get(1)?))).unwrap().map(Result::unwrap).collect()
}

#[test]
fn a_backup_taken_under_load_restores_every_mail_that_was_taken_before_it_and_each_is_answered_once() {
    let place = Place::take();
    let mailbox = Mailbox::open(place.host(10));
    let settings = to_mailbox(&place);
    let mut daemon = Daemon::start(&place, &settings);
    let crowd = Crowd::come(&daemon);
    let before = crowd.until(SOME);
    let backup = place.path("backup.db");
    let facts = daemon.tells(&["store", "backup", &backup.display().to_string()]);
    assert_eq!(facts["keys"][0], place.path("data/keys").display().to_string());
    crowd.until(before.len() + SOME);
    // The machine is lost; what is left is the backup, the keys and the settings.
    daemon.kill();
    crowd.leave();
    let data = place.path("data");
    shell(data.parent().unwrap(), "cp -a data/keys keys.kept && rm -r data");
    let seen = mailbox.taken().len();

    let (open, done) = (senders(&backup, "jobs", "true"), senders(&backup, "history", "state = 'accepted'"));
    assert!(!done.is_empty(), "none was answered before the backup");
    for sender in &before {
        let times = open.get(sender).copied().unwrap_or(0) + done.get(sender).copied().unwrap_or(0);
        assert_eq!(times, 1, "{sender}");
    }
    let lines = "install -d -m 700 data && install -m 600 backup.db data/karamail.db && cp -a keys.kept data/keys";
    shell(data.parent().unwrap(), lines);
    for command in [&["check"][..], &["store", "migrate"]] {
        let said = Command::new(PROGRAM).args(command).arg("-c").arg(place.path("karamail.toml")).output().unwrap();
        assert!(said.status.success(), "{command:?}: {}", String::from_utf8_lossy(&said.stderr));
    }
    let daemon = Daemon::start(&place, &settings);
    until("nothing waits", || (daemon.tells(&["queue", "list"]) == serde_json::json!([])).then_some(()));
    // What was open in the backup is answered once, and what was answered by then is not answered again.
    let mut answered: HashMap<String, i64> = HashMap::new();
    mailbox.taken()[seen..].iter().for_each(|mail| *answered.entry(mail.recipient.clone()).or_default() += 1);
    assert_eq!(answered, open);
    let history = senders(&data.join("karamail.db"), "history", "state = 'accepted'");
    assert!(history.values().all(|times| *times == 1));
    let everybody: HashSet<&String> = open.keys().chain(done.keys()).collect();
    assert_eq!(history.keys().collect::<HashSet<_>>(), everybody);
    assert!(before.iter().all(|sender| history.contains_key(sender)));
    // The links that are under way still lead somewhere: the keys are the same.
    assert!(daemon.says(&["trace", &before[0]]).contains("accepted"));
}
