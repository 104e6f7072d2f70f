use super::*;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

mod rotation;

fn first_start() -> (tempfile::TempDir, Keys) {
    let data = tempfile::tempdir().unwrap();
    let keys = Keys::open(data.path(), &Random::repeating(1)).unwrap();
    (data, keys)
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// Writes a file that only its owner reaches.
fn put(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    set_mode(path, 0o600);
}

#[test]
fn the_first_start_makes_private_files_and_the_next_reads_the_same_keys() {
    let (data, made) = first_start();
    let folder = data.path().join("keys");
    assert_eq!(mode(&folder), 0o700);
    assert_eq!(disk::names(&folder).unwrap(), ["dkim-e1", "dkim-k1", "link-1", "seal-1", "verp-1"]);
    for name in disk::names(&folder).unwrap() {
        assert_eq!(mode(&folder.join(name)), 0o600);
    }
    let read = Keys::open(data.path(), &Random::repeating(2)).unwrap();
    for (one, other) in [(made.link(), read.link()), (made.seal(), read.seal()), (made.verp(), read.verp())] {
        assert_eq!(one.active(), other.active());
        assert_eq!(one.active().0, 1);
    }
    let kinds: Vec<_> = read.dkim().iter().map(|key| (key.selector.as_str(), key.algorithm)).collect();
    assert_eq!(kinds, [("e1", DkimAlgorithm::Ed25519), ("k1", DkimAlgorithm::Rsa)]);
    assert!(!data.path().join("keys.making").exists());
    assert!(Keys::load(data.path()).unwrap().is_some());
}

#[test]
fn the_three_rings_are_made_of_different_bytes() {
    let (_data, keys) = first_start();
    assert_ne!(keys.link().active(), keys.seal().active());
    assert_ne!(keys.seal().active(), keys.verp().active());
}

#[test]
fn a_start_that_was_cut_short_leaves_nothing_half_made() {
    let data = tempfile::tempdir().unwrap();
    fs::create_dir(data.path().join("keys.making")).unwrap();
    put(&data.path().join("keys.making/link-1"), "half");
    Keys::open(data.path(), &Random::repeating(1)).unwrap();
    assert!(Keys::load(data.path()).unwrap().is_some());
}

#[test]
fn an_empty_folder_that_a_package_made_is_filled_by_the_first_start_only() {
    let data = tempfile::tempdir().unwrap();
    assert!(Keys::load(data.path()).unwrap().is_none());
    fs::create_dir(data.path().join("keys")).unwrap();
    assert!(Keys::load(data.path()).unwrap().is_none());
    Keys::open(data.path(), &Random::repeating(1)).unwrap();
}

#[test]
fn a_key_that_others_can_reach_is_refused_with_the_command_that_helps() {
    let (data, _keys) = first_start();
    let path = data.path().join("keys/link-1");
    for mode in [0o640, 0o604, 0o620, 0o602] {
        set_mode(&path, mode);
        let said = Keys::open(data.path(), &Random::repeating(1)).unwrap_err().to_string();
        assert!(said.contains(&format!("(mode {mode:04o}); run: chmod 600 ")) && said.contains("link-1"), "{said}");
    }
    set_mode(&path, 0o400);
    Keys::open(data.path(), &Random::repeating(1)).unwrap();
    set_mode(&data.path().join("keys"), 0o755);
    assert!(Keys::open(data.path(), &Random::repeating(1)).unwrap_err().to_string().contains("chmod 700"));
}

#[test]
fn a_kind_that_vanished_is_reported_and_not_made_anew() {
    let (data, _keys) = first_start();
    fs::remove_file(data.path().join("keys/seal-1")).unwrap();
    assert!(matches!(Keys::open(data.path(), &Random::repeating(1)), Err(KeyError::Missing { kind: Kind::Seal, .. })));
    assert_eq!(Keys::load(data.path()).unwrap_err().len(), 1);
    assert!(!data.path().join("keys/seal-1").exists());
}

#[test]
fn the_highest_number_signs_the_others_are_believed_and_the_retired_are_gone() {
    let (data, first) = first_start();
    let folder = data.path().join("keys");
    for (id, byte) in [(2u16, 2u8), (10, 10)] {
        let name = format!("link-{id}");
        put(&folder.join(&name), &key_text(&name, &[byte; 32]));
    }
    let keys = Keys::open(data.path(), &Random::repeating(1)).unwrap();
    assert_eq!(keys.link().active(), (10, &[10; 32]));
    assert_eq!(keys.link().find(1), Some(first.link().active().1));
    fs::rename(folder.join("link-10"), folder.join("link-10.retired")).unwrap();
    let keys = Keys::open(data.path(), &Random::repeating(1)).unwrap();
    assert_eq!(keys.link().active().0, 2);
    assert_eq!(keys.link().find(10), None);
}

#[test]
fn a_dkim_key_that_waits_for_its_record_does_not_sign() {
    let (data, _keys) = first_start();
    let folder = data.path().join("keys");
    fs::rename(folder.join("dkim-e1"), folder.join("dkim-e1.new")).unwrap();
    let keys = Keys::open(data.path(), &Random::repeating(1)).unwrap();
    assert_eq!(keys.dkim().len(), 1);
}

#[test]
fn every_broken_file_is_named_with_what_is_wrong() {
    let (data, _keys) = first_start();
    let folder = data.path().join("keys");
    let good = fs::read_to_string(folder.join("verp-1")).unwrap();
    put(&folder.join("link-1"), "");
    put(&folder.join("link-2"), &good);
    put(&folder.join("link-03"), &good);
    put(&folder.join("seal-1"), "karamail-key v1 seal-1 AAAA\n");
    put(&folder.join("seal-2"), "karamail-key v1 seal-2 ****\n");
    put(&folder.join("dkim-k1"), "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n");
    put(&folder.join("dkim-e1"), &good);
    put(&folder.join("dkim-k1.pem"), &good);
    put(&folder.join("verp-1"), &"x".repeat(20_000));
    put(&folder.join("README"), "not ours");
    let said: Vec<String> = Keys::load(data.path()).unwrap_err().iter().map(ToString::to_string).collect();
    let expected = [
        ("dkim-e1:", "holds no private key in PEM"),
        ("dkim-k1:", "must be RSA of 2048 bits or more"),
        ("dkim-k1.pem:", "named as key_file"),
        ("link-03:", "is not the name of a key"),
        ("link-1:", "karamail-key v1"),
        ("link-2:", "written under another name"),
        ("seal-1:", "no 32 bytes"),
        ("seal-2:", "no 32 bytes"),
        ("verp-1:", "far too long"),
    ];
    assert_eq!(said.len(), expected.len(), "{said:#?}");
    for (said, (file, why)) in said.iter().zip(expected) {
        assert!(said.contains(file) && said.contains(why), "{said}");
    }
}

#[test]
fn no_error_shows_a_key() {
    let (data, keys) = first_start();
    let encoded = data_encoding::BASE64.encode(keys.link().active().1);
    let path = data.path().join("keys/link-1");
    put(&path, &format!("karamail-key v1 link-7 {encoded}\n"));
    let error = Keys::open(data.path(), &Random::repeating(1)).unwrap_err();
    assert!(!format!("{error} {error:?} {keys:?}").contains(&encoded));
    assert!(format!("{keys:?}").contains("•••"));
}

#[test]
fn without_entries_all_keys_in_use_sign_for_the_sender() {
    let (data, keys) = first_start();
    let from: Domain = "mob-connect.com".parse().unwrap();
    let signers = keys.signers(&[], &from).unwrap();
    assert_eq!(signers.len(), 2);
    assert!(signers.iter().all(|signer| signer.domain == from));
    fs::remove_file(data.path().join("keys/dkim-k1")).unwrap();
    fs::remove_file(data.path().join("keys/dkim-e1")).unwrap();
    let keys = Keys::open(data.path(), &Random::repeating(1)).unwrap();
    assert!(keys.signers(&[], &from).unwrap_err().to_string().contains("there are: none"));
}

#[test]
fn an_entry_takes_our_key_of_that_selector_or_an_own_file() {
    let (data, keys) = first_start();
    let entry = |selector: &str, key_file: Option<PathBuf>| DkimEntry {
        domain: "mob-connect.com".parse().unwrap(),
        selector: selector.to_owned(),
        key_file,
    };
    let own = data.path().join("own.pem");
    put(&own, &dkim::make_ed25519(&Random::repeating(9)).unwrap());
    let signers = keys.signers(&[entry("k1", None), entry("mine", Some(own))], &"x.jp".parse().unwrap()).unwrap();
    let seen: Vec<_> = signers.iter().map(|signer| (signer.key.selector.as_str(), signer.key.algorithm)).collect();
    assert_eq!(seen, [("k1", DkimAlgorithm::Rsa), ("mine", DkimAlgorithm::Ed25519)]);
    let said = keys.signer(&entry("k9", None)).unwrap_err().to_string();
    assert!(said.contains("no DKIM key “k9”") && said.contains("e1, k1"), "{said}");
    let said = keys.signer(&entry("k9", Some(data.path().join("none.pem")))).unwrap_err().to_string();
    assert!(said.contains("none.pem: cannot be read"), "{said}");
}

/// What the signer makes of a key.
fn signs(key: &DkimKey) -> bool {
    use mail_auth::common::crypto::{Ed25519Key, RsaKey, Sha256};
    let der = key.private.reveal().as_slice();
    match key.algorithm {
        DkimAlgorithm::Rsa => {
            RsaKey::<Sha256>::from_key_der(rustls::pki_types::PrivatePkcs8KeyDer::from(der).into()).is_ok()
        }
        DkimAlgorithm::Ed25519 => Ed25519Key::from_pkcs8_der(der).is_ok(),
    }
}

#[test]
fn what_is_made_can_sign() {
    let (_data, keys) = first_start();
    assert!(keys.dkim().iter().all(signs));
}

#[test]
fn an_own_rsa_key_in_the_older_form_is_taken_and_a_short_one_or_an_ecdsa_one_is_not() {
    let (data, keys) = first_start();
    let path = data.path().join("own.pem");
    // PKCS#8 of RSA-2048 is PKCS#1 behind a header of 26 bytes.
    let rsa = keys.dkim().iter().find(|key| key.algorithm == DkimAlgorithm::Rsa).unwrap();
    let older = dkim::pem(&rsa.private.reveal()[26..]).replace("PRIVATE KEY", "RSA PRIVATE KEY");
    put(&path, &older);
    assert!(signs(&dkim::read(&path, "s").unwrap()));
    for text in [include_str!("tests/rsa1024.pem"), &rcgen::KeyPair::generate().unwrap().serialize_pem()] {
        put(&path, text);
        let said = dkim::read(&path, "s").unwrap_err().to_string();
        assert!(said.contains("must be RSA of 2048 bits or more, or Ed25519"), "{said}");
    }
}

#[test]
fn what_will_be_wrong_after_the_first_start_is_known_before() {
    let data = tempfile::tempdir().unwrap();
    let entry = |selector: &str, key_file: Option<PathBuf>| DkimEntry {
        domain: "mob-connect.com".parse().unwrap(),
        selector: selector.to_owned(),
        key_file,
    };
    let entries = [entry("k1", None), entry("e1", None), entry("k9", None), entry("mine", Some("/none.pem".into()))];
    let before: Vec<String> =
        Keys::before_the_first_start(data.path(), &entries).iter().map(ToString::to_string).collect();
    let keys = Keys::open(data.path(), &Random::repeating(1)).unwrap();
    let after: Vec<String> =
        entries.iter().filter_map(|entry| keys.signer(entry).err()).map(|error| error.to_string()).collect();
    assert_eq!(before, after);
    assert_eq!(before.len(), 2);
}

#[test]
fn a_record_publishes_the_public_half_of_its_key() {
    // RFC 8463 A.1: the private key there is the seed.
    let seed = data_encoding::BASE64.decode(b"nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=").unwrap();
    let pkcs8 = [b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20".as_slice(), &seed].concat();
    let data = tempfile::tempdir().unwrap();
    let path = data.path().join("brisbane.pem");
    put(&path, &dkim::pem(&pkcs8));
    let key = dkim::read(&path, "brisbane").unwrap();
    assert_eq!(key.record(), "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=");
    assert_eq!(key.record_name(&"football.example.com".parse().unwrap()), "brisbane._domainkey.football.example.com");
}

#[test]
fn a_key_that_waits_is_read_when_asked_for_and_signs_nothing() {
    let (data, keys) = first_start();
    assert!(keys.waiting().unwrap().is_empty());
    let path = data.path().join("keys/dkim-k2.new");
    put(&path, &dkim::make_ed25519(&Random::repeating(9)).unwrap());
    let keys = Keys::open(data.path(), &Random::repeating(1)).unwrap();
    assert_eq!(keys.dkim().len(), 2);
    let waiting = keys.waiting().unwrap();
    assert_eq!(waiting.iter().map(|key| key.selector.as_str()).collect::<Vec<_>>(), ["k2"]);
    put(&path, "half");
    assert!(keys.waiting().unwrap_err().to_string().contains("dkim-k2.new: holds no private key in PEM"));
    Keys::open(data.path(), &Random::repeating(1)).unwrap();
}

#[test]
fn before_the_first_start_only_keys_that_are_brought_along_are_known_whole() {
    let (data, keys) = first_start();
    let from: Domain = "example.jp".parse().unwrap();
    let shown = |entries: &[DkimEntry]| {
        let known = |key: ToCome| format!("{} {} {} {}", key.selector, key.algorithm, key.domain, key.key.is_some());
        Keys::to_come(entries, &from).map(|keys| keys.into_iter().map(known).collect::<Vec<_>>())
    };
    assert_eq!(shown(&[]).unwrap(), ["k1 rsa example.jp false", "e1 ed25519 example.jp false"]);
    let entry = |selector: &str, key_file| DkimEntry {
        domain: "mail.example.jp".parse().unwrap(),
        selector: selector.to_owned(),
        key_file,
    };
    let brought = entry("own", Some(data.path().join("keys/dkim-e1")));
    assert_eq!(
        shown(&[brought.clone(), entry("k1", None)]).unwrap(),
        ["own ed25519 mail.example.jp true", "k1 rsa mail.example.jp false"]
    );
    let read = Keys::to_come(&[brought], &from).unwrap().remove(0).key.unwrap();
    assert_eq!(read.record(), keys.dkim().iter().find(|key| key.selector == "e1").unwrap().record());
    assert!(shown(&[entry("own", Some(data.path().join("none")))]).is_err());
}
