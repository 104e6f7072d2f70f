use super::*;
use rcgen::{CertificateParams, KeyPair};
use std::fs;

/// A folder with a certificate for `name` that ends when `until` begins, and its key.
struct Pair {
    folder: tempfile::TempDir,
    files: TlsFiles,
}

fn pem(name: &str, until: i32) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new([name.to_owned()]).unwrap();
    params.not_before = rcgen::date_time_ymd(2000, 1, 1);
    params.not_after = rcgen::date_time_ymd(until, 1, 1);
    (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
}

impl Pair {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let files = TlsFiles { cert: folder.path().join("cert.pem"), key: folder.path().join("key.pem") };
        let (cert, key) = pem("mx.example.jp", 2099);
        let pair = Self { folder, files };
        pair.put(&cert, &key, 0o600);
        pair
    }

    fn put(&self, cert: &str, key: &str, mode: u32) {
        fs::write(&self.files.cert, cert).unwrap();
        fs::write(&self.files.key, key).unwrap();
        fs::set_permissions(&self.files.key, fs::Permissions::from_mode(mode)).unwrap();
    }

    fn refused(&self) -> String {
        let error = Certificate::read(&self.files).unwrap_err();
        assert!(!error.hint().is_empty() && error.path().starts_with(self.folder.path()), "{error:?}");
        error.to_string().replace(&format!("{}/", self.folder.path().display()), "")
    }
}

#[test]
fn a_pair_says_from_when_until_when_it_is_believed_and_for_whom() {
    let certificate = Certificate::read(&Pair::new().files).unwrap();
    assert_eq!(certificate.begins.millis(), 946_684_800_000);
    // Dates from 2050 on are written in another form (RFC 5280 4.1.2.5).
    assert_eq!(certificate.ends.millis(), 4_070_908_800_000);
    assert_eq!(certificate.is_for("mx.example.jp"), Ok(()));
    let other = certificate.is_for("www.example.jp").unwrap_err().to_string();
    assert!(other.contains("www.example.jp") && other.contains("mx.example.jp"), "{other}");
    assert!(certificate.is_for("192.0.2.1").is_err() && certificate.is_for("").is_err());
}

#[test]
fn its_group_may_read_the_key_and_others_may_not() {
    let pair = Pair::new();
    for mode in [0o600, 0o400, 0o640, 0o440] {
        fs::set_permissions(&pair.files.key, fs::Permissions::from_mode(mode)).unwrap();
        assert!(Certificate::read(&pair.files).is_ok(), "{mode:o}");
    }
    for mode in [0o644, 0o604, 0o602] {
        fs::set_permissions(&pair.files.key, fs::Permissions::from_mode(mode)).unwrap();
        assert_eq!(pair.refused(), "key.pem: everybody on this machine can read it", "{mode:o}");
    }
}

#[test]
fn what_is_wrong_with_a_pair_is_said_with_the_file_to_blame() {
    let pair = Pair::new();
    let ((cert, key), (_, other)) = (pem("a.example", 2099), pem("a.example", 2099));
    let half = &cert[..cert.len() / 2];
    let empty_certificate = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let empty_key = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    for (cert, key, said) in [
        ("", key.as_str(), "cert.pem: holds no whole certificate in PEM"),
        (half, &key, "cert.pem: holds no whole certificate in PEM"),
        (&format!("{cert}{half}"), &key, "cert.pem: holds no whole certificate in PEM"),
        (&key, &key, "cert.pem: holds no whole certificate in PEM"),
        (&cert, "", "key.pem: holds no private key in PEM"),
        (&cert, &key[..key.len() / 2], "key.pem: holds no private key in PEM"),
        (&cert, &cert, "key.pem: holds no private key in PEM"),
        (&cert, &other, "key.pem: is not the key of the certificate in "),
        (empty_certificate, &key, "cert.pem: cannot be used: "),
        (&cert, empty_key, "key.pem: cannot be used: "),
    ] {
        pair.put(cert, key, 0o600);
        assert!(pair.refused().starts_with(said), "{said}: {}", pair.refused());
    }
}

#[test]
fn a_file_that_is_not_there_and_one_without_end_are_refused() {
    let mut pair = Pair::new();
    fs::remove_file(&pair.files.key).unwrap();
    assert!(pair.refused().starts_with("key.pem: cannot be read: "));
    fs::write(&pair.files.key, "x".repeat(300 * 1024)).unwrap();
    fs::set_permissions(&pair.files.key, fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(pair.refused(), "key.pem: is far too long");
    pair.files.cert = pair.folder.path().join("none.pem");
    assert!(pair.refused().starts_with("none.pem: cannot be read: "));
}

#[test]
fn an_end_is_told_of_from_three_weeks_before_it() {
    let ends = Timestamp::from_millis(1_000 * 86_400_000);
    let days = |days: i64| Urgency::of(ends, ends.minus(Span::from_secs(days * 86_400)));
    assert_eq!(
        [22, 21, 4, 3, 1, 0, -1].map(days),
        [
            None,
            Some(Urgency::Soon),
            Some(Urgency::Soon),
            Some(Urgency::AtOnce),
            Some(Urgency::AtOnce),
            Some(Urgency::Over),
            Some(Urgency::Over)
        ]
    );
}
