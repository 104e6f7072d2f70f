//! One registration as an operator sees it: followed live in the mail log, and told afterwards by `trace`.

use crate::daemon::{Daemon, PROGRAM, settings};
use crate::mailbox::Client;
use crate::place::{Place, until};
use crate::visitor::Visitor;
use serde_json::Value;
use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

const MEMBERS: &str = "id,password,name,language,mail1\n0001,hajime-kite7,髙﨑 花子,ja,\n";
const SENDER: &str = "hanako@docomo.ne.jp";
const PASSWORD: &str = "ashita-no-tenki-9";

/// `karamail log -f --json`, and its lines as they come.
struct Follower {
    child: Child,
    lines: Receiver<String>,
    seen: Vec<Value>,
}

impl Follower {
    fn start(place: &Place) -> Self {
        let mut command = Command::new(PROGRAM);
        command.args(["log", "-f", "--json", "-c"]).arg(place.path("karamail.toml"));
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (to, lines) = channel();
        let out = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || out.lines().map_while(Result::ok).all(|line| to.send(line).is_ok()));
        Self { child, lines, seen: Vec::new() }
    }

    /// Waits for an event of that name; gives it.
    fn until(&mut self, name: &str) -> Value {
        loop {
            let line = self.lines.recv_timeout(Duration::from_secs(120)).unwrap_or_else(|_| panic!("no {name} came"));
            let event: Value = serde_json::from_str(&line).unwrap();
            self.seen.push(event.clone());
            if event["event"] == name {
                return event;
            }
        }
    }

    /// Waits until it ends by itself; gives its exit code and what it says.
    fn end(mut self) -> (Option<i32>, String) {
        let status = self.child.wait().unwrap();
        let mut said = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        (status.code(), said)
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        drop(self.child.kill());
    }
}

/// The path behind the link in the captured answer.
fn link_in(daemon: &Daemon, job: &str) -> String {
    let message = std::fs::read(daemon.data.join("outbox").join(format!("{job}.eml"))).unwrap();
    let body = mail_parser::MessageParser::default().parse(&message).unwrap().body_text(0).unwrap().into_owned();
    let link = body.lines().map(str::trim).find(|line| line.starts_with("http")).unwrap();
    format!("/r/{}", link.split("/r/").nth(1).unwrap())
}

/// From the page behind the link to the end, each step of it once.
fn register(daemon: &Daemon, path: &str) {
    let mut phone = Visitor::new(daemon.web);
    let landing = phone.get(path).unwrap();
    let login = [("org", "DEMO"), ("id", "0001"), ("password", "hajime-kite7")];
    let page = phone.submit(&landing, &login).unwrap();
    let page = phone.submit(&page, &[("new", PASSWORD), ("again", PASSWORD)]).unwrap();
    let done = phone.submit(&page, &[("priority", "1")]).unwrap();
    assert!(done.path.ends_with("/done"), "{done:?}");
}

#[test]
fn each_event_of_a_registration_is_followed_live_and_told_as_one_story() {
    let place = Place::take();
    let daemon = Daemon::start(&place, &settings(&place, "route = \"capture\"", ""));
    daemon.says(&["org", "add", "DEMO", "--title", "デモ"]);
    std::fs::write(place.path("members.csv"), MEMBERS).unwrap();
    daemon.says(&["member", "import", "DEMO", place.path("members.csv").to_str().unwrap()]);
    let mut log = Follower::start(&place);

    let mut phone = Client::connect(daemon.smtp).unwrap();
    phone.send(SENDER, "bizanpi@mc-anpi.com", "From: hanako@docomo.ne.jp\r\n\r\n").unwrap();
    let received = log.until("received");
    let queued = log.until("queued");
    let attempted = log.until("attempted");
    let accepted = log.until("accepted");
    let path = link_in(&daemon, accepted["job"].as_str().unwrap());
    register(&daemon, &path);
    let opened = log.until("visited");
    let logged_in = log.until("visited");
    let registered = log.until("registered");

    // The ids lead from the mail that came in to the page.
    assert_eq!((&received["id"], &queued["job"]), (&queued["cause"], &attempted["job"]));
    assert_eq!(queued["job"], accepted["job"]);
    assert_eq!((&opened["what"], &logged_in["what"]), (&"landing".into(), &"login".into()));
    assert_eq!(opened["registration"], logged_in["registration"]);
    assert_eq!(
        (&registered["org"], &registered["id"], &registered["priority"]),
        (&"DEMO".into(), &"0001".into(), &1.into())
    );
    let masked = "<h***@docomo.ne.jp>";
    for (event, key) in [(&received, "from"), (&queued, "to"), (&opened, "address"), (&registered, "address")] {
        assert_eq!(event[key], masked, "{event}");
    }
    let token = path.trim_start_matches("/r/");
    for text in log.seen.iter().map(Value::to_string).chain(daemon.log()) {
        for secret in ["hanako@", token, "hajime-kite7", PASSWORD] {
            assert!(!text.contains(secret), "{text}");
        }
    }

    let trace = daemon.tells(&["trace", SENDER]);
    let told: Vec<&str> =
        trace["events"].as_array().unwrap().iter().map(|event| event["event"].as_str().unwrap()).collect();
    let story = ["received", "queued", "attempted", "accepted", "visited", "visited", "marked", "registered"];
    let mut rest = told.iter();
    assert!(story.iter().all(|event| rest.any(|found| found == event)), "{told:?}");
    let shown = daemon.says(&["trace", SENDER]);
    for words in ["wrote to", "put into the queue", "was opened", "logged in", "is registered for DEMO 0001"] {
        assert!(shown.split_whitespace().collect::<Vec<_>>().join(" ").contains(words), "{words}: {shown}");
    }
    // By the id of the mail the same is told.
    let by_id = daemon.tells(&["trace", received["id"].as_str().unwrap()]);
    assert_eq!(by_id["events"][0]["event"], "received");
    assert!(by_id["events"].as_array().unwrap().iter().any(|event| event["event"] == "registered"), "{by_id}");

    drop(daemon);
    let (code, said) = log.end();
    assert_eq!(code, Some(1));
    assert!(said.contains("the daemon ended"), "{said}");
}

#[test]
fn a_mail_that_was_put_off_and_taken_later_is_told_with_every_reply() {
    use std::io::Write as _;
    let place = Place::take();
    let relay = std::net::TcpListener::bind((place.host(4), 0)).unwrap();
    let way = format!(
        "route = \"smarthost\"\nsmarthost = \"{}\"\n[delivery.class.registration]\nretry = [\"1s\"]",
        relay.local_addr().unwrap()
    );
    // Puts the first recipient off, takes the next.
    std::thread::spawn(move || {
        let mut asked = 0;
        for stream in relay.incoming().map(Result::unwrap) {
            let mut out = stream.try_clone().unwrap();
            let mut say = |reply: &str| drop(out.write_all(format!("{reply}\r\n").as_bytes()));
            say("220 relay");
            let mut in_data = false;
            for line in BufReader::new(stream).lines().map_while(Result::ok) {
                match (in_data, line.as_str()) {
                    (true, ".") => (in_data, _) = (false, say("250 2.0.0 taken")),
                    (true, _) => {}
                    (false, "DATA") => (in_data, _) = (true, say("354 go on")),
                    (false, rcpt) if rcpt.starts_with("RCPT") => {
                        asked += 1;
                        say(if asked == 1 { "450 4.7.1 come back later" } else { "250 ok" });
                    }
                    (false, _) => say("250 ok"),
                }
            }
        }
    });
    let daemon = Daemon::start(&place, &settings(&place, &way, ""));
    let mut phone = Client::connect(daemon.smtp).unwrap();
    phone.send(SENDER, "bizanpi@mc-anpi.com", "From: hanako@docomo.ne.jp\r\n\r\n").unwrap();
    let job = daemon.until_logged(&["deferred "], 1).remove(0);
    let job = job.split("job=").nth(1).unwrap().split(' ').next().unwrap().to_owned();
    daemon.until_logged(&["accepted "], 1);
    let trace = until("the story is whole", || {
        let trace = daemon.tells(&["trace", &job]);
        let whole = trace["events"].as_array().unwrap().iter().any(|event| event["event"] == "accepted");
        whole.then_some(trace)
    });
    let events: Vec<&str> =
        trace["events"].as_array().unwrap().iter().map(|event| event["event"].as_str().unwrap()).collect();
    let expected = ["received", "queued", "attempted", "deferred", "attempted", "accepted"];
    let of_mail: Vec<&str> = events.iter().copied().filter(|event| *event != "marked").collect();
    assert_eq!(of_mail, expected);
    let shown = daemon.says(&["trace", &job]);
    let flat = shown.split_whitespace().collect::<Vec<_>>().join(" ");
    for words in ["450 4.7.1 come back later (at rcpt); next try 20", "250 2.0.0 taken (at data)"] {
        assert!(flat.contains(words), "{words}: {shown}");
    }
}
