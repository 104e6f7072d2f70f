//! The alerts and the dashboard that are shipped: what Prometheus thinks of them, and whether they ask for what there is.

use crate::daemon::{Daemon, settings};
use crate::mailbox::Client;
use crate::place::{Place, until};
use serde_json::Value;
use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{IpAddr, TcpListener, TcpStream};
use std::process::Command;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const ALERTS: &str = include_str!("../../../config/alerts.prometheus.yml");
const CASES: &str = include_str!("../../config/alerts.test.yml");
const DASHBOARD: &str = include_str!("../../../config/dashboard.grafana.json");

/// Has promtool judge a file; gives what it says.
fn promtool(arguments: &[&str]) -> String {
    let done = Command::new("promtool").args(arguments).current_dir(ROOT).output().unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success(), "promtool {arguments:?}: {said}");
    said
}

/// Takes mail to some, puts that to others off and refuses the rest, one connection at a time.
fn answer(listener: &TcpListener) {
    for stream in listener.incoming().map(Result::unwrap) {
        let mut out = stream.try_clone().unwrap();
        let mut say = |reply: &str| drop(out.write_all(format!("{reply}\r\n").as_bytes()));
        say("220 relay");
        let mut in_data = false;
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            match (in_data, line.as_str()) {
                (true, ".") => (in_data, _) = (false, say("250 2.0.0 ok")),
                (true, _) => {}
                (false, "DATA") => (in_data, _) = (true, say("354 go on")),
                (false, rcpt) if rcpt.starts_with("RCPT") && rcpt.contains("later@") => say("450 4.2.0 later"),
                (false, rcpt) if rcpt.starts_with("RCPT") && rcpt.contains("never@") => say("550 5.1.1 never"),
                (false, _) => say("250 ok"),
            }
        }
    }
}

/// The names of our metrics in a text.
fn metrics_in(text: &str) -> BTreeSet<String> {
    let is_name = |c: char| c.is_ascii_lowercase() || c == '_';
    let words = text.split(|c| !is_name(c)).filter(|word| word.starts_with("karamail_"));
    words.map(str::to_owned).collect()
}

/// The names of the alerts, in their order.
fn named<'a>(text: &'a str, key: &str) -> Vec<&'a str> {
    text.lines().filter_map(|line| line.trim().strip_prefix(key)).map(str::trim).collect()
}

/// The series that a daemon shows, by the names Prometheus knows them by.
fn exposed(host: IpAddr) -> BTreeSet<String> {
    let mut stream = TcpStream::connect((host, 8081)).unwrap();
    stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    let types = answer.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    let series = types.flat_map(|(name, kind)| match kind {
        "counter" => vec![format!("{name}_total")],
        "histogram" => ["bucket", "sum", "count"].map(|part| format!("{name}_{part}")).to_vec(),
        _ => vec![name.to_owned()],
    });
    series.collect()
}

#[test]
fn prometheus_takes_the_alerts_and_each_fires_when_it_should_and_not_before() {
    assert!(promtool(&["check", "rules", "config/alerts.prometheus.yml"]).contains("SUCCESS"));
    assert!(promtool(&["test", "rules", "tests/config/alerts.test.yml"]).contains("SUCCESS"));
    let alerts = named(ALERTS, "- alert:");
    assert!(alerts.len() >= 12, "{alerts:?}");
    assert_eq!(named(CASES, "alertname:"), alerts, "each alert has a case in which it fires");
    for alert in alerts {
        assert!(CASES.contains(&format!("alertname: {alert}, exp_alerts: []")), "{alert} is never silent");
    }
}

#[test]
fn the_alerts_and_the_dashboard_ask_for_metrics_that_a_daemon_shows() {
    let place = Place::take();
    let relay = TcpListener::bind((place.host(4), 0)).unwrap();
    let way = format!("route = \"smarthost\"\nsmarthost = \"{}\"", relay.local_addr().unwrap());
    std::thread::spawn(move || answer(&relay));
    let daemon = Daemon::start(&place, &settings(&place, &way, ""));
    let mut phone = Client::connect(daemon.smtp).unwrap();
    for name in ["yes", "later", "never"] {
        let message = format!("From: {name}@docomo.ne.jp\r\n\r\n");
        phone.send(&format!("{name}@docomo.ne.jp"), "bizanpi@mc-anpi.com", &message).unwrap();
    }
    let automatic = "From: robot@docomo.ne.jp\r\nAuto-Submitted: auto-replied\r\n\r\n";
    phone.send("robot@docomo.ne.jp", "bizanpi@mc-anpi.com", automatic).unwrap();
    for event in ["accepted ", "deferred ", "refused ", "ignored "] {
        daemon.until_logged(&[event], 1);
    }
    let mut shown = until("the metrics are there", || Some(exposed(place.host(3))).filter(|shown| !shown.is_empty()));
    // Is there where a certificate is shown; `api::tests` sees it.
    shown.insert("karamail_certificate_not_after_timestamp_seconds".to_owned());
    for (name, text) in [("alerts", ALERTS), ("dashboard", DASHBOARD)] {
        let asked = metrics_in(text);
        assert!(asked.len() >= 10, "{name}: {asked:?}");
        let unknown: Vec<_> = asked.difference(&shown).collect();
        assert!(unknown.is_empty(), "{name} asks for {unknown:?}, and there are {shown:#?}");
    }
}

#[test]
fn every_panel_of_the_dashboard_has_a_title_a_place_and_a_question_that_prometheus_understands() {
    let dashboard: Value = serde_json::from_str(DASHBOARD).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    assert!(panels.len() >= 10);
    let folder = tempfile::tempdir().unwrap();
    let mut rules = String::from("groups:\n  - name: panels\n    rules:\n");
    for panel in panels {
        assert!(panel["title"].is_string() && panel["gridPos"]["w"].is_u64(), "{panel}");
        for target in panel["targets"].as_array().unwrap() {
            let question = target["expr"].as_str().unwrap();
            rules.push_str(&format!("      - record: panel\n        expr: {}\n", Value::from(question)));
            rules.push_str(&format!(
                "        labels: {{panel: \"{}{}\"}}\n",
                panel["id"],
                target["refId"].as_str().unwrap()
            ));
        }
    }
    let file = folder.path().join("panels.yml");
    std::fs::write(&file, rules).unwrap();
    assert!(promtool(&["check", "rules", file.to_str().unwrap()]).contains("SUCCESS"));
}
