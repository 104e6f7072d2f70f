//! What others make of our STARTTLS and HTTPS: Postfix, swaks, OpenSSL, curl; and certificates exchanged under their eyes.

use super::dns::{self, Records};
use super::postfix::{Options, Postfix};
use crate::daemon::{Daemon, settings};
use crate::place::{Place, Program, SMTP_PORT};
use crate::tls::pki::{Authority, HOLDS};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

const MX: &str = "mx.mc-anpi.com";
const WWW: &str = "www.mc-anpi.com";

/// A place with an authority of its own, whose certificate lies in a file.
struct Town {
    place: Place,
    authority: Authority,
}

impl Town {
    fn new() -> Self {
        let town = Self { place: Place::take(), authority: Authority::new("ours") };
        town.certify();
        town
    }

    /// Issues certificates anew, for the intake and for the pages.
    fn certify(&self) {
        for (folder, name) in [("mx", MX), ("www", WWW)] {
            std::fs::create_dir_all(self.place.path(folder)).unwrap();
            self.authority.identity(&[name.to_owned()], HOLDS).lay(&self.place.path(folder));
        }
        std::fs::copy(self.authority.file().path(), self.ca()).unwrap();
        std::fs::set_permissions(self.ca(), std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    }

    fn ca(&self) -> PathBuf {
        self.place.path("ca.pem")
    }

    fn settings(&self) -> String {
        let pair = |folder: &str| {
            let folder = self.place.path(folder);
            format!("tls_cert = \"{0}/cert.pem\"\ntls_key = \"{0}/key.pem\"\n", folder.display())
        };
        settings(&self.place, "route = \"capture\"", "")
            .replace("[registration]", &format!("{}\n[registration]", pair("mx")))
            .replace("\n[api]", &format!("{}\n[api]", pair("www")))
            .replace(
                &format!("public_url = \"http://{}:8080\"", self.place.host(3)),
                &format!("public_url = \"https://{WWW}:8080\""),
            )
    }

    /// A carrier that hands its mail to us, and what it wants of TLS.
    fn carrier(&self, tls: &str) -> (Program, Postfix) {
        let (name, host) = ("mfsmax.docomo.ne.jp", self.place.host(10));
        let dns = dns::start(&self.place, &Records::default().address(name, host));
        let main = format!(
            "relayhost = [{}]:{SMTP_PORT}\nsmtp_tls_loglevel = 1\nsmtp_tls_CAfile = {}\n{tls}\n",
            self.place.host(3),
            self.ca().display()
        );
        (dns, Postfix::start(&self.place, name, host, &Options { main: &main, ..Options::default() }))
    }

    /// A handshake by OpenSSL, which ends with QUIT.
    fn openssl(&self, more: &[&str]) -> Output {
        let mut child = Command::new("openssl")
            .args(["s_client", "-starttls", "smtp", "-crlf", "-brief", "-verify_return_error", "-verify_hostname", MX])
            .arg("-CAfile")
            .arg(self.ca())
            .args(["-connect", &format!("{}:{SMTP_PORT}", self.place.host(3))])
            .args(more)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), b"QUIT\n").unwrap();
        child.wait_with_output().unwrap()
    }

    /// Asks for a page by its published name.
    fn curl(&self, url: &str) -> Output {
        let at = format!("{WWW}:8080:{}", self.place.host(3));
        let mut command = Command::new("curl");
        command.args(["--silent", "--show-error", "--dump-header", "-", "--resolve", &at, "--noproxy", "*"]);
        command.arg("--cacert").arg(self.ca()).arg(url).output().unwrap()
    }
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn postfix_that_insists_on_tls_hands_its_mail_in_with_and_without_a_look_at_our_certificate() {
    for (wants, says) in [
        ("smtp_tls_security_level = encrypt", "TLS connection established"),
        (
            "smtp_tls_security_level = secure\nsmtp_tls_secure_cert_match = mx.mc-anpi.com",
            "Verified TLS connection established",
        ),
    ] {
        let town = Town::new();
        let (_dns, postfix) = town.carrier(wants);
        let daemon = Daemon::start(&town.place, &town.settings());
        postfix.submit("hanako@docomo.ne.jp", "bizanpi@mc-anpi.com", b"From: hanako@docomo.ne.jp\n\n");
        postfix.until_logged(&["to=<bizanpi@mc-anpi.com>", "status=sent"]);
        postfix.until_logged(&[says, "TLSv1.3"]);
        assert_eq!(daemon.until_logged(&["received ", "tls=TLSv1.3"], 1).len(), 1);
        let traced = daemon.tells(&["trace", "hanako@docomo.ne.jp"]);
        let received = traced["events"].as_array().unwrap().iter().find(|event| event["event"] == "received").unwrap();
        assert_eq!(received["tls"], "TLSv1.3");
        let story = daemon.says(&["trace", "hanako@docomo.ne.jp"]);
        let words: Vec<&str> = story.split_whitespace().collect();
        assert!(words.windows(2).any(|pair| pair == ["over", "TLSv1.3:"]), "{story}");
    }
}

#[test]
fn postfix_that_wants_to_see_another_name_keeps_its_mail() {
    let town = Town::new();
    let wants = "smtp_tls_security_level = secure\nsmtp_tls_secure_cert_match = mx.example.org";
    let (_dns, postfix) = town.carrier(wants);
    let daemon = Daemon::start(&town.place, &town.settings());
    postfix.submit("hanako@docomo.ne.jp", "bizanpi@mc-anpi.com", b"From: hanako@docomo.ne.jp\n\n");
    postfix.until_logged(&["to=<bizanpi@mc-anpi.com>", "status=deferred", "Server certificate not verified"]);
    assert!(daemon.logged(&["received "]).is_empty());
}

#[test]
fn swaks_hands_a_mail_in_over_tls() {
    let town = Town::new();
    let daemon = Daemon::start(&town.place, &town.settings());
    for version in ["tlsv1_2", "tlsv1_3"] {
        let done = Command::new("swaks")
            .args(["--server", &daemon.smtp.to_string(), "--from", "taro@docomo.ne.jp", "--helo", "phone.test"])
            .args(["--to", "bizanpi@mc-anpi.com", "--tls", "--tls-protocol", version])
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let said = text(&done);
        assert!(
            done.status.success() && said.contains("=== TLS started") && said.contains("250 2.0.0 Ok: queued"),
            "{said}"
        );
    }
    daemon.until_logged(&["received ", "tls=TLSv1.2"], 1);
    daemon.until_logged(&["received ", "tls=TLSv1.3"], 1);
}

#[test]
fn a_certificate_exchanged_while_we_run_is_seen_by_whoever_comes_next() {
    let mut town = Town::new();
    let daemon = Daemon::start(&town.place, &town.settings());
    let said = text(&town.openssl(&[]));
    assert!(said.contains("Verification: OK") && said.contains("Protocol version: TLSv1.3"), "{said}");
    assert!(!town.openssl(&["-tls1_1"]).status.success());
    // Half of a pair changes nothing, and is told of once.
    let key = town.place.path("mx/key.pem");
    let kept = std::fs::read(&key).unwrap();
    std::fs::write(&key, std::fs::read(town.place.path("www/key.pem")).unwrap()).unwrap();
    daemon.reload(&town.settings());
    let told = daemon.until_logged(&["the new certificate cannot be used", "service=\"smtp\""], 1);
    assert!(told[0].contains("WARN") && told[0].contains("mx/key.pem: is not the key of"), "{told:?}");
    assert!(town.openssl(&[]).status.success());
    std::fs::write(&key, kept).unwrap();
    // Another authority: only who believes that one is content from now on.
    town.authority = Authority::new("another");
    let before = town.openssl(&[]);
    assert!(before.status.success(), "{}", text(&before));
    town.certify();
    assert!(!town.openssl(&[]).status.success(), "nobody has looked at the files yet");
    daemon.reload(&town.settings());
    daemon.until_logged(&["the certificate was exchanged"], 2);
    let after = town.openssl(&[]);
    assert!(after.status.success(), "{}", text(&after));
    assert!(town.curl(&format!("https://{WWW}:8080/login")).status.success());
    assert_eq!(daemon.logged(&["the new certificate cannot be used"]).len(), 1);
}

#[test]
fn curl_is_served_by_https_with_cookies_that_stay_there() {
    let town = Town::new();
    let _daemon = Daemon::start(&town.place, &town.settings());
    let done = town.curl(&format!("https://{WWW}:8080/login"));
    let said = text(&done);
    assert!(done.status.success() && said.starts_with("HTTP/1.1 200"), "{said}");
    assert!(said.contains("strict-transport-security: max-age="), "{said}");
    let cookies: Vec<&str> = said.lines().filter(|line| line.starts_with("set-cookie: ")).collect();
    let stays = |line: &&str| line.starts_with("set-cookie: __Host-") && line.contains("; Secure");
    assert!(!cookies.is_empty() && cookies.iter().all(stays), "{cookies:?}");
    // HTTP in plain has no answer there.
    assert!(!town.curl(&format!("http://{WWW}:8080/login")).status.success());
    let api = town.curl(&format!("http://{}:8081/metrics", town.place.host(3)));
    let metrics = text(&api);
    for service in ["smtp", "web"] {
        // 2099-01-01
        let line = format!("karamail_certificate_not_after_timestamp_seconds{{service=\"{service}\"}} 4070908800.0");
        assert!(metrics.contains(&line), "{metrics}");
    }
}
