//! What `karamail check` says of the certificates that are to be shown.

use crate::machine::{Machine, SETTINGS, keys, text};
use crate::tls::pki::{Authority, HELD, HOLDS, Identity};
use serde_json::Value;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

/// A machine that shows one certificate by STARTTLS and another one by HTTPS.
struct Shop {
    machine: Machine,
    authority: Authority,
}

impl Shop {
    fn new() -> Self {
        let shop = Self { machine: Machine::new(), authority: Authority::new("ours") };
        let [mx, www] = ["mx", "www"].map(|service| shop.folder(service));
        let pair =
            |folder: &PathBuf| format!("tls_cert = \"{0}/cert.pem\"\ntls_key = \"{0}/key.pem\"\n", folder.display());
        let settings = SETTINGS
            .replace("[smtp]\n", &format!("[smtp]\n{}", pair(&mx)))
            .replace("[web]\n", &format!("[web]\n{}", pair(&www)));
        std::fs::write(shop.machine.settings(), settings).unwrap();
        shop.show("mx", &shop.of("mx.example.jp"));
        shop.show("www", &shop.of("www.example.jp"));
        shop
    }

    fn folder(&self, service: &str) -> PathBuf {
        let folder = self.machine.folder.path().join(service);
        std::fs::create_dir_all(&folder).unwrap();
        folder
    }

    fn of(&self, name: &str) -> Identity {
        self.authority.identity(&[name.to_owned()], HOLDS)
    }

    fn show(&self, service: &str, identity: &Identity) {
        identity.lay(&self.folder(service));
    }

    /// Its exit code, and what it says is wrong, and what is going to be: each key and the problem.
    fn check(&self) -> (Option<i32>, Vec<String>, Vec<String>) {
        let output = self.machine.run(&["check", "--json"]);
        let verdict: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(keys(&verdict), ["config", "ok", "problems", "warnings"]);
        let lines = |list: &str| {
            let line = |found: &Value| {
                assert!(found["place"] == "certificates" && found["hint"].is_string(), "{found}");
                let problem = found["problem"].as_str().unwrap();
                let folder = format!("{}/", self.machine.folder.path().display());
                format!("{}: {}", found["key"].as_str().unwrap(), problem.replace(&folder, ""))
            };
            verdict[list].as_array().unwrap().iter().map(line).collect()
        };
        (output.status.code(), lines("problems"), lines("warnings"))
    }
}

#[test]
fn certificates_in_order_are_not_spoken_of() {
    assert_eq!(Shop::new().check(), (Some(0), Vec::new(), Vec::new()));
}

#[test]
fn what_is_missing_or_does_not_fit_is_named_with_its_key() {
    let shop = Shop::new();
    let (mx, www) = (shop.folder("mx"), shop.folder("www"));
    std::fs::remove_file(mx.join("cert.pem")).unwrap();
    std::fs::copy(shop.of("a.example").lay(&shop.folder("other")).key, www.join("key.pem")).unwrap();
    let (code, problems, warnings) = shop.check();
    assert_eq!((code, problems.len(), warnings.len()), (Some(1), 2, 0));
    assert!(problems[0].starts_with("smtp.tls_cert: mx/cert.pem: cannot be read: No such file"), "{problems:?}");
    assert_eq!(problems[1], "web.tls_key: www/key.pem: is not the key of the certificate in www/cert.pem");
    shop.show("mx", &shop.of("mx.example.jp"));
    std::fs::set_permissions(mx.join("key.pem"), PermissionsExt::from_mode(0o644)).unwrap();
    assert_eq!(shop.check().1[0], "smtp.tls_key: mx/key.pem: everybody on this machine can read it");
}

#[test]
fn one_that_has_expired_is_wrong_and_one_that_ends_soon_is_a_warning() {
    let shop = Shop::new();
    shop.show("mx", &shop.authority.identity(&["mx.example.jp".to_owned()], HELD));
    shop.show("www", &shop.authority.identity_for_days(&["www.example.jp".to_owned()], 20));
    let (code, problems, warnings) = shop.check();
    assert_eq!(code, Some(1));
    assert_eq!(problems, ["smtp.tls_cert: mx/cert.pem: has expired, on 2020-01-01T09:00:00+09:00"]);
    assert_eq!(warnings.len(), 1);
    assert!(warnings[0].starts_with("web.tls_cert: www/cert.pem: ends on 20"), "{warnings:?}");
    // A warning alone is nothing to fail over.
    shop.show("mx", &shop.authority.identity_for_days(&["mx.example.jp".to_owned()], 23));
    assert_eq!((shop.check().0, shop.check().2.len()), (Some(0), 1));
    let said = text(&shop.machine.run(&["check"]));
    assert!(said.contains("certificates: warning: web.tls_cert: ") && said.contains("are in order"), "{said}");
}

#[test]
fn one_for_another_name_is_wrong_on_the_pages_and_a_warning_at_the_intake() {
    let shop = Shop::new();
    shop.show("mx", &shop.of("mail.example.jp"));
    shop.show("www", &shop.of("*.example.com"));
    let (code, problems, warnings) = shop.check();
    assert_eq!((code, problems.len(), warnings.len()), (Some(1), 1, 1));
    for (line, begins, names) in [
        (&problems[0], "web.tls_cert: www/cert.pem: ", ["www.example.jp", "*.example.com"]),
        (&warnings[0], "smtp.tls_cert: mx/cert.pem: ", ["mx.example.jp", "mail.example.jp"]),
    ] {
        assert!(line.starts_with(begins) && names.iter().all(|name| line.contains(name)), "{line}");
    }
    shop.show("www", &shop.of("*.example.jp"));
    assert_eq!(shop.check().0, Some(0));
}
