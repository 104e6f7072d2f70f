//! What `karamail dns` prints, published by knot: looked up by `--verify`, and believed by dkimpy.

use super::knot;
use crate::machine::{Machine, PROGRAM, errors, text};
use crate::names::Names;
use crate::place::{DNS_PORT, Place, Program};
use serde_json::Value;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};

const VERIFY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/real/verify_published.py");
const PYTHON: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/tests/venv/bin/python");
/// Mail comes in under one name and goes out under another, as in the manual.
const SETTINGS: &str = r#"
hostname = "mx.mc-anpi.example"
data_dir = "data"
[registration]
addresses = ["bizanpi@mc-anpi.example"]
[sender]
address = "anpi@mob-connect.example"
bounce_domain = "bounce.mob-connect.example"
[web]
public_url = "https://www.mc-anpi.example"
[delivery]
resolver = "RESOLVER"
"#;
const ADDRESSES: [&str; 4] = ["--address", "203.0.113.9", "--address", "2001:db8::9"];

/// An operator's machine with keys, whose name server is this one.
fn machine(resolver: &str) -> Machine {
    let machine = Machine::new();
    fs::write(machine.settings(), SETTINGS.replace("RESOLVER", resolver)).unwrap();
    machine.say(&["org", "list"]);
    machine
}

/// What the command prints, as whoever pastes it has it.
fn printed(machine: &Machine) -> String {
    machine.say(&[&["dns"][..], &ADDRESSES].concat())
}

/// Looks everything up; gives the exit code and the lines.
fn verified(machine: &Machine) -> (Option<i32>, Vec<Value>) {
    let output = machine.run(&[&["dns", "--verify", "--json"][..], &ADDRESSES].concat());
    assert_eq!(errors(&output), "");
    let lines: Value = serde_json::from_slice(&output.stdout).unwrap();
    (output.status.code(), lines.as_array().unwrap().clone())
}

/// The records that are not right: type, name, state and hint.
fn faults(lines: &[Value]) -> Vec<(String, &str, &str)> {
    let wrong = lines.iter().filter(|line| line["state"] != "right");
    let word = |line: &'_ Value, key: &str| line[key].as_str().unwrap_or_default().to_owned();
    wrong
        .map(|line| {
            let record = format!("{} {}", word(line, "type"), word(line, "name"));
            (record, line["state"].as_str().unwrap(), line["hint"].as_str().unwrap_or_default())
        })
        .collect()
}

/// A place where knot serves what one machine printed.
struct Published {
    place: Place,
    machine: Machine,
    fragment: String,
    _knot: Program,
}

impl Published {
    fn start() -> Self {
        let place = Place::take();
        let machine = machine(&format!("{}:{DNS_PORT}", place.host(2)));
        let fragment = printed(&machine);
        let _knot = knot::start_plain(&place, &fragment);
        Self { place, machine, fragment, _knot }
    }

    /// Changes the zone, which was right.
    fn change(&self, from: &str, to: &str) {
        assert!(self.fragment.contains(from), "{from} is not in {}", self.fragment);
        knot::change_plain(&self.place, &self.fragment.replace(from, to));
    }

    /// Adds to the zone, which was right.
    fn add(&self, lines: &str) {
        knot::change_plain(&self.place, &format!("{}{lines}\n", self.fragment));
    }
}

/// The whole line, or lines, of a record.
fn entry<'a>(fragment: &'a str, head: &str) -> &'a str {
    let start = fragment.find(&format!("\n{head}")).unwrap_or_else(|| panic!("{head} is not in {fragment}")) + 1;
    let rest = &fragment[start..];
    let first = rest.find('\n').unwrap();
    let end = if rest[..first].ends_with('(') { rest.find(" )\n").unwrap() + 2 } else { first };
    &rest[..end]
}

#[test]
fn what_is_printed_can_be_published_as_it_is_and_is_then_right() {
    let published = Published::start();
    let (code, lines) = verified(&published.machine);
    assert_eq!((code, faults(&lines)), (Some(0), Vec::new()));
    assert_eq!(lines.len(), 23);
    let report = published.machine.say(&[&["dns", "--verify"][..], &ADDRESSES].concat());
    assert!(report.starts_with("NEEDED: 14 right\n") && report.contains("\nADVISED: 9 right\n"), "{report}");
    assert!(report.ends_with("\nWhat is needed is there.\n"), "{report}");
    // Without an address of our own, what the DNS says is taken for it.
    let output = published.machine.run(&["dns", "--verify"]);
    assert_eq!((output.status.code(), errors(&output)), (Some(0), String::new()));
    assert!(text(&output).contains("only you can say"), "{}", text(&output));
    let wide: Vec<&str> = published
        .fragment
        .lines()
        .chain(report.lines())
        .filter(|line| line.chars().count() > 80 && !line.contains("ip6.arpa"))
        .collect();
    assert!(wide.is_empty(), "{wide:?}");
}

#[test]
fn each_record_that_is_not_there_is_missed_by_name() {
    let published = Published::start();
    let (_, lines) = verified(&published.machine);
    for line in lines {
        let (name, kind) = (line["name"].as_str().unwrap(), line["type"].as_str().unwrap());
        let ttl = if line["name"] == "www.mc-anpi.example" || name.starts_with("mta-sts.") { 300 } else { 3_600 };
        let gone = entry(&published.fragment, &format!("{name}. {ttl} IN {kind}"));
        published.change(&format!("\n{gone}\n"), "\n");
        let (code, after) = verified(&published.machine);
        let found = faults(&after);
        let record = format!("{kind} {name}");
        let site = ttl == 300;
        if site {
            // Another address is as good.
            assert!(found.is_empty(), "{found:?}");
            continue;
        }
        let itself =
            found.iter().find(|(other, _, _)| *other == record).unwrap_or_else(|| panic!("{record}: {found:?}"));
        assert_eq!(itself.1, "missing", "{record}");
        assert_eq!(code, Some(i32::from(line["needed"] == true)), "{record}");
        // An address that is gone takes with it what rests on it: its own name's confirmation, and SPF.
        let expected = if ["A", "AAAA"].contains(&kind) { 5 } else { 1 };
        assert_eq!(found.len(), expected, "{record}: {found:?}");
    }
}

#[test]
fn each_record_that_says_something_else_is_wrong_with_the_reason() {
    let published = Published::start();
    let fragment = &published.fragment;
    let dkim = entry(fragment, "k1._domainkey.mob-connect.example. 3600 IN TXT");
    let other_key = entry(fragment, "e1._domainkey.mob-connect.example. 3600 IN TXT");
    let spf = "mob-connect.example. 3600 IN TXT \"v=spf1 a:mx.mc-anpi.example ~all\"";
    let bounce = format!("bounce.{spf}");
    let alone = format!("\n{spf}");
    let dmarc = entry(fragment, "_dmarc.mob-connect.example. 3600 IN TXT");
    let mx = "\nmc-anpi.example. 3600 IN MX 10 mx.mc-anpi.example.";
    let k1 = "k1._domainkey.mob-connect.example. 3600 IN TXT";
    let v4 = "mx.mc-anpi.example. 3600 IN A 203.0.113.9";
    let answer = "\nmob-connect.example. 3600 IN MX 10 mx.mc-anpi.example.";
    let ptr = "9.113.0.203.in-addr.arpa. 3600 IN PTR mx.mc-anpi.example.";
    let with_spf = |record: &str| format!("mob-connect.example. 3600 IN TXT \"{record}\"");
    let loops: String = (0..12)
        .map(|number| format!("\nl{number}.example. 3600 IN TXT \"v=spf1 include:l{}.example -all\"", number + 1))
        .collect();
    for (from, to, record, hint) in [
        (
            mx,
            "\nmc-anpi.example. 3600 IN MX 10 mx.other.example.".to_owned(),
            "MX mc-anpi.example",
            "mail goes elsewhere",
        ),
        (mx, "\nmc-anpi.example. 3600 IN MX 0 .".to_owned(), "MX mc-anpi.example", "null MX"),
        (answer, "\nmob-connect.example. 3600 IN MX 0 .".to_owned(), "MX mob-connect.example", "null MX"),
        (ptr, ptr.replace("mx.mc-anpi", "host9.provider"), "PTR 9.113.0.203.in-addr.arpa", "say in EHLO"),
        (
            bounce.as_str(),
            bounce.replace("a:mx.mc-anpi.example", "ip4:203.0.113.9"),
            "TXT bounce.mob-connect.example",
            "2001:db8::9 does not pass",
        ),
        (
            bounce.as_str(),
            bounce.replace("a:mx", "foo:mx"),
            "TXT bounce.mob-connect.example",
            "“foo:mx.mc-anpi.example”",
        ),
        (
            bounce.as_str(),
            format!("{bounce}\n{bounce}").replacen("~all", "-all", 1),
            "TXT bounce.mob-connect.example",
            "2 SPF records",
        ),
        (
            alone.as_str(),
            format!("\n{}{loops}", with_spf("v=spf1 include:l0.example -all")),
            "TXT mob-connect.example",
            "more than 10 names",
        ),
        (
            alone.as_str(),
            format!("\n{}", with_spf("v=spf1 include:nobody.example -all")),
            "TXT mob-connect.example",
            "leads to no SPF record",
        ),
        (alone.as_str(), format!("\n{}", with_spf("v=spf1 +all")), "TXT mob-connect.example", "+all"),
        (
            dkim,
            other_key.replace("e1._", "k1._"),
            "TXT k1._domainkey.mob-connect.example",
            "of type ed25519, and ours is rsa",
        ),
        (dkim, format!("{k1} \"v=DKIM1; k=rsa; p=\""), "TXT k1._domainkey.mob-connect.example", "revoked"),
        (dkim, format!("{k1} \"v=DKIM1; k=rsa; p=MIIB\""), "TXT k1._domainkey.mob-connect.example", "another key"),
        (dkim, dkim.replace("k=rsa;", "k=rsa; t=y;"), "TXT k1._domainkey.mob-connect.example", "t=y"),
        (dkim, format!("{dkim}\n{k1} \"v=DKIM1; p=\""), "TXT k1._domainkey.mob-connect.example", "several"),
        (dmarc, dmarc.replace("p=none", "p=nothing"), "TXT _dmarc.mob-connect.example", "cannot be read"),
        (dmarc, dmarc.replace("v=DMARC1; ", ""), "TXT _dmarc.mob-connect.example", "v=DMARC1"),
        (
            dmarc,
            format!("{dmarc}\n_dmarc.mob-connect.example. 3600 IN TXT \"v=DMARC1; p=reject\""),
            "TXT _dmarc.mob-connect.example",
            "several",
        ),
    ] {
        published.change(from, &to);
        let (code, lines) = verified(&published.machine);
        let found = faults(&lines);
        assert_eq!(found.len(), 1, "{to}: {found:?}");
        let (name, state, said) = &found[0];
        assert_eq!((name.as_str(), *state, code), (record, "wrong", Some(1)), "{to}");
        assert!(said.contains(hint), "{to}: {said}");
    }
    // Our own name is an alias, or another machine's: SPF and the address's name fall with it.
    let alias = "mx.mc-anpi.example. 3600 IN CNAME host.example.\nhost.example. 3600 IN A 203.0.113.9\nhost.example. 3600 IN AAAA 2001:db8::9";
    let without = fragment
        .replace("mx.mc-anpi.example. 3600 IN AAAA 2001:db8::9\n", "")
        .replace(&format!("{}\n", entry(fragment, "mx.mc-anpi.example. 3600 IN TXT")), "");
    knot::change_plain(&published.place, &without.replace(v4, alias));
    let (code, lines) = verified(&published.machine);
    let found = faults(&lines);
    assert_eq!(code, Some(1));
    assert!(
        found.iter().filter(|(_, state, hint)| *state == "wrong" && hint.contains("alias of host.example")).count()
            == 2,
        "{found:?}"
    );
    published.change(v4, "mx.mc-anpi.example. 3600 IN A 203.0.113.10");
    let (_, lines) = verified(&published.machine);
    let wrong: Vec<String> = faults(&lines).into_iter().map(|(record, _, _)| record).collect();
    for record in ["A mx.mc-anpi.example", "PTR 9.113.0.203.in-addr.arpa", "TXT mob-connect.example"] {
        assert!(wrong.iter().any(|other| other == record), "{record}: {wrong:?}");
    }
}

#[test]
fn what_serves_the_same_purpose_in_another_way_is_right() {
    let published = Published::start();
    let fragment = &published.fragment;
    let spf = "\nmob-connect.example. 3600 IN TXT \"v=spf1 a:mx.mc-anpi.example ~all\"";
    let answer = "\nmob-connect.example. 3600 IN MX 10 mx.mc-anpi.example.";
    let dkim = entry(fragment, "k1._domainkey.mob-connect.example. 3600 IN TXT");
    let dmarc = entry(fragment, "_dmarc.mob-connect.example. 3600 IN TXT");
    let page = entry(fragment, "www.mc-anpi.example. 300 IN A");
    let with_spf = |record: &str| format!("\nmob-connect.example. 3600 IN TXT \"{record}\"");
    let one_string = dkim.replace("\"\n    \"", "");
    assert_ne!(one_string, dkim);
    let halves = format!("{}\" \"{}", &one_string[..200].replace("(\n    ", "( "), &one_string[200..]);
    for (from, to) in [
        (
            spf,
            with_spf("v=spf1 include:_spf.example -all")
                + "\n_spf.example. 3600 IN TXT \"v=spf1 mx:mc-anpi.example -all\"",
        ),
        (spf, with_spf("v=spf1 redirect=bounce.mob-connect.example")),
        (
            spf,
            with_spf("v=spf1 ip4:203.0.113.0/24 ip6:2001:db8::/32 -all")
                + "\nmob-connect.example. 3600 IN TXT \"verification=1\"",
        ),
        (answer, "\nmob-connect.example. 3600 IN A 198.51.100.80".to_owned()),
        (answer, "\nmob-connect.example. 3600 IN MX 10 mail.provider.example.".to_owned()),
        (dkim, halves),
        (dmarc, "_dmarc.mob-connect.example. 3600 IN TXT \"v=DMARC1;p=reject\"".to_owned()),
        (page, "www.mc-anpi.example. 300 IN A 198.51.100.81".to_owned()),
    ] {
        published.change(from, &to);
        let (code, lines) = verified(&published.machine);
        assert_eq!((code, faults(&lines)), (Some(0), Vec::new()), "{to}");
    }
    published.add("mc-anpi.example. 3600 IN MX 20 old.example.");
    let (code, lines) = verified(&published.machine);
    let hint = lines[0]["hint"].as_str().unwrap();
    assert!(code == Some(0) && lines[0]["state"] == "right" && hint.contains("also goes to old.example"), "{hint}");
}

#[test]
fn a_key_that_waits_is_published_first_and_then_ready() {
    let published = Published::start();
    let key = |name: &str| published.machine.data_dir().join("keys").join(name);
    fs::copy(key("dkim-k1"), key("dkim-k2.new")).unwrap();
    fs::set_permissions(key("dkim-k2.new"), fs::Permissions::from_mode(0o600)).unwrap();
    let (code, lines) = verified(&published.machine);
    let found = faults(&lines);
    assert_eq!((code, found.len()), (Some(0), 1));
    assert_eq!((found[0].0.as_str(), found[0].1), ("TXT k2._domainkey.mob-connect.example", "missing"));
    knot::change_plain(&published.place, &printed(&published.machine));
    let (_, lines) = verified(&published.machine);
    let waiting = lines.iter().find(|line| line["name"] == "k2._domainkey.mob-connect.example").unwrap();
    assert_eq!((&waiting["state"], &waiting["needed"]), (&"right".into(), &false.into()));
    assert!(waiting["hint"].as_str().unwrap().contains("karamail key use k2"));
}

#[tokio::test]
async fn what_cannot_be_asked_is_neither_right_nor_missing() {
    let place = Place::take();
    // Nobody is there at all.
    let machine = machine(&format!("{}:{DNS_PORT}", place.host(2)));
    let (code, lines) = verified(&machine);
    assert_eq!(code, Some(1));
    assert!(lines.iter().all(|line| line["state"] == "unanswered"), "{lines:?}");

    let names = Names::serve("_dmarc.mob-connect.example SERVFAIL\nmx.mc-anpi.example A 203.0.113.9").await;
    fs::write(machine.settings(), SETTINGS.replace("RESOLVER", &names.address.to_string())).unwrap();
    let (code, lines) = tokio::task::spawn_blocking(move || verified(&machine)).await.unwrap();
    assert_eq!(code, Some(1));
    let state = |name: &str, kind: &str| {
        lines.iter().find(|line| line["name"] == name && line["type"] == kind).unwrap()["state"].clone()
    };
    assert_eq!(state("_dmarc.mob-connect.example", "TXT"), "unanswered");
    assert_eq!(state("mx.mc-anpi.example", "A"), "right");
    assert_eq!(state("mc-anpi.example", "MX"), "missing");
}

/// The mail that a demonstration sends is believed by who finds its keys where the command says.
#[test]
fn a_mail_verifies_with_the_keys_that_were_published_as_printed() {
    let place = Place::take();
    let kept = place.path("demo");
    assert!(Command::new(PROGRAM).args(["demo", "--once", "--keep"]).arg(&kept).output().unwrap().status.success());
    let settings = kept.join("karamail.toml");
    let printed = Command::new(PROGRAM).args(["dns", "-c"]).arg(&settings).output().unwrap();
    let printed = String::from_utf8(printed.stdout).unwrap();
    let _knot = knot::start_plain(&place, &printed);
    let mail = fs::read_dir(kept.join("outbox")).unwrap().next().unwrap().unwrap().path();
    let mut child = Command::new(PYTHON)
        .arg(VERIFY)
        .args([place.host(2).to_string(), DNS_PORT.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("tests/run makes target/tests/venv");
    child.stdin.take().unwrap().write_all(&fs::read(mail).unwrap()).unwrap();
    let said = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
    assert_eq!(said.lines().collect::<Vec<_>>(), ["k1 rsa-sha256 pass", "e1 ed25519-sha256 pass"]);

    // And openssl makes the same of the private key.
    let key = kept.join("keys/dkim-k1");
    let public = Command::new("openssl").args(["pkey", "-pubout", "-outform", "DER", "-in"]).arg(key).output().unwrap();
    let public = data_encoding::BASE64.encode(&public.stdout);
    let record = entry(&printed, "k1._domainkey.").replace("\"\n    \"", "");
    assert!(record.contains(&format!("p={public}\"")), "{record}");
}
