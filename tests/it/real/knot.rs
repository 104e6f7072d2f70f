//! knot as the name server of a place: a root of the place's own, signed, and zones below it.

use crate::place::{DNS_PORT, Place, Program, until};
use std::fmt::Write;
use std::fs;
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What is served below the root.
pub struct Zones {
    /// Records of `example.`, signed.
    pub signed: String,
    /// Records of `plain.`, which is not.
    pub unsigned: String,
    /// Records of `stripped.`, which the root says is signed, and is not.
    pub stripped: String,
    /// What is changed in `example.` when it has been signed.
    pub tampering: Vec<(String, String)>,
}

const SIGNED: [&str; 2] = [".", "example."];

/// Starts it on host 2 of the place and waits until it answers; gives the file with the root's keys beside it.
pub fn start(place: &Place, zones: &Zones) -> (Program, PathBuf) {
    let folder = place.path("knot");
    for name in ["keys", "zones", "run"] {
        fs::create_dir_all(folder.join(name)).unwrap();
    }
    let conf = folder.join("knot.conf");
    fs::write(&conf, configuration(place, true)).unwrap();
    for zone in SIGNED {
        keymgr(&conf, zone, &["generate", "algorithm=ECDSAP256SHA256", "ksk=yes", "zsk=yes"]);
    }
    let key = folder.join("root.key");
    fs::write(&key, keymgr(&conf, ".", &["dnskey"]).replacen(". DNSKEY", ". 60 IN DNSKEY", 1)).unwrap();
    write_zones(place, zones, &keymgr(&conf, "example.", &["ds"]));
    sign(&conf, &folder.join("zones"));
    let path = folder.join("zones/example.zone");
    let mut example = fs::read_to_string(&path).unwrap();
    for (from, to) in &zones.tampering {
        assert!(example.contains(from), "{from} is not in {example}");
        example = example.replacen(from, to, 1);
    }
    fs::write(&path, example).unwrap();
    fs::write(&conf, configuration(place, false)).unwrap();
    (serve(&conf, place), key)
}

/// Starts it on host 2 of the place with these lines in a root zone, unsigned, and waits until it answers.
pub fn start_plain(place: &Place, lines: &str) -> Program {
    let folder = place.path("knot");
    fs::create_dir_all(folder.join("run")).unwrap();
    let conf = folder.join("knot.conf");
    let (path, address) = (folder.display(), place.host(2));
    let settings = format!(
        "server:
    rundir: \"{path}/run\"
    listen: {address}@{DNS_PORT}
database:
    storage: \"{path}/run\"
zone:
  - domain: .
    storage: \"{path}\"
    file: root.zone
    zonefile-sync: -1
    zonefile-load: whole
    journal-content: none
"
    );
    fs::write(&conf, settings).unwrap();
    write_plain(&folder, lines, 1);
    serve(&conf, place)
}

/// Puts other lines in place of the ones before, and waits until they are served.
pub fn change_plain(place: &Place, lines: &str) {
    let folder = place.path("knot");
    let before = fs::read_to_string(folder.join("root.zone")).unwrap();
    let serial: u32 = before.split_whitespace().nth(6).unwrap().parse().unwrap();
    write_plain(&folder, lines, serial + 1);
    let conf = folder.join("knot.conf");
    let done = Command::new("knotc").arg("-c").arg(&conf).args(["-b", "zone-reload", "."]).output().unwrap();
    assert!(done.status.success(), "{}\n{lines}", String::from_utf8_lossy(&done.stdout));
}

fn write_plain(folder: &Path, lines: &str, serial: u32) {
    let head = format!(". 60 IN SOA ns. host. {serial} 3600 600 86400 60\n. 60 IN NS ns.\nns. 60 IN A 127.0.0.1\n");
    fs::write(folder.join("root.zone"), head + lines).unwrap();
}

fn configuration(place: &Place, signs: bool) -> String {
    let folder = place.path("knot");
    let folder = folder.display();
    let (address, signing) = (place.host(2), if signs { "on" } else { "off" });
    format!(
        "server:
    rundir: \"{folder}/run\"
    listen: {address}@{DNS_PORT}
database:
    storage: \"{folder}/keys\"
policy:
  - id: by-hand
    manual: on
    single-type-signing: on
    algorithm: ecdsap256sha256
template:
  - id: default
    storage: \"{folder}/zones\"
    semantic-checks: off
    zonefile-sync: 0
    journal-content: none
zone:
  - domain: .
    file: root.zone
    dnssec-signing: {signing}
    dnssec-policy: by-hand
  - domain: example.
    file: example.zone
    dnssec-signing: {signing}
    dnssec-policy: by-hand
  - domain: plain.
    file: plain.zone
  - domain: stripped.
    file: stripped.zone
"
    )
}

fn write_zones(place: &Place, zones: &Zones, ds: &str) {
    let head = |zone: &str| format!("{zone} 60 IN SOA ns. host. 1 3600 600 86400 60\n{zone} 60 IN NS ns.\n");
    let mut root = head(".");
    writeln!(root, "ns. 60 IN A {}", place.host(2)).unwrap();
    for zone in ["example.", "plain.", "stripped."] {
        writeln!(root, "{zone} 60 IN NS ns.").unwrap();
    }
    let ds = ds.lines().next().unwrap();
    writeln!(root, "{ds}\n{}", ds.replacen("example.", "stripped.", 1)).unwrap();
    let folder = place.path("knot").join("zones");
    fs::write(folder.join("root.zone"), root).unwrap();
    for (name, records) in [("example", &zones.signed), ("plain", &zones.unsigned), ("stripped", &zones.stripped)] {
        fs::write(folder.join(format!("{name}.zone")), head(&format!("{name}.")) + records).unwrap();
    }
}

/// Lets it sign the zones once: what it made is then in their files.
fn sign(conf: &Path, zones: &Path) {
    let _signing = run(conf);
    for name in ["root.zone", "example.zone"] {
        until("knot has signed", || fs::read_to_string(zones.join(name)).ok()?.contains(";; Written").then_some(()));
    }
}

fn serve(conf: &Path, place: &Place) -> Program {
    let program = run(conf);
    let socket = UdpSocket::bind((place.host(1), 0)).unwrap();
    socket.set_read_timeout(Some(std::time::Duration::from_millis(50))).unwrap();
    // A question for the root's name server: any answer will do.
    let question = [0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 1];
    until("knot answers", || {
        drop(socket.send_to(&question, (place.host(2), DNS_PORT)));
        socket.recv(&mut [0; 512]).ok()
    });
    program
}

fn run(conf: &Path) -> Program {
    Program::start(Command::new("knotd").arg("-c").arg(conf).stdout(Stdio::null()).stderr(Stdio::null()))
}

fn keymgr(conf: &Path, zone: &str, args: &[&str]) -> String {
    let output = Command::new("keymgr").arg("-c").arg(conf).arg(zone).args(args).output().unwrap();
    assert!(output.status.success(), "keymgr {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
