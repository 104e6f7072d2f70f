//! Our signatures, verified as a receiver verifies them: with the public keys asked of a name server.

use crate::names::Names;
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{NameServerConfig, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use karamail::keys::{DkimKey, DkimSigner, Keys};
use karamail::outbound::sign::Signer;
use karamail::random::Random;
use mail_auth::common::crypto::Algorithm;
use mail_auth::{AuthenticatedMessage, DkimResult, MessageAuthenticator};

const MESSAGE: &str = "From: Anpi <anpi@example.jp>\r\nTo: \"a..b.\"@docomo.ne.jp\r\nSubject: =?UTF-8?B?44GC?=\r\n\
    Date: Sun, 22 Nov 2026 07:00:00 +0900\r\nMessage-ID: <1@example.jp>\r\nAuto-Submitted: auto-replied\r\n\
    MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n.\r\nhello\r\n..\r\n";

/// The keys of a first start, with a name server that publishes them.
async fn keys() -> (Vec<DkimSigner>, Names) {
    let folder = tempfile::tempdir().unwrap();
    let keys = Keys::open(folder.path(), &Random::system()).unwrap();
    let domain = "example.jp".parse().unwrap();
    let signers = keys.signers(&[], &domain).unwrap();
    let record = |key: &DkimKey| format!("{} TXT {}", key.record_name(&domain), key.record());
    let zone: Vec<String> = keys.dkim().iter().map(record).collect();
    (signers, Names::serve(&zone.join("\n")).await)
}

/// What a receiver finds: each signature's algorithm, and whether it passes.
pub async fn verified(names: &Names, message: &[u8]) -> Vec<(Algorithm, bool)> {
    let mut server = NameServerConfig::udp(names.address.ip());
    server.connections[0].port = names.address.port();
    let config = ResolverConfig::from_parts(None, Vec::new(), vec![server]);
    let resolver = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default()).build().unwrap();
    let message = AuthenticatedMessage::parse(message).unwrap();
    let results = MessageAuthenticator(resolver).verify_dkim(&message).await;
    results.iter().map(|seen| (seen.signature().unwrap().a, *seen.result() == DkimResult::Pass)).collect()
}

#[tokio::test]
async fn both_signatures_verify_and_rsa_stands_first() {
    let (keys, names) = keys().await;
    let signed = Signer::new(&keys).unwrap().sign(MESSAGE.as_bytes().to_vec()).await.unwrap();
    assert!(signed.ends_with(MESSAGE.as_bytes()));
    assert_eq!(verified(&names, &signed).await, [(Algorithm::RsaSha256, true), (Algorithm::Ed25519Sha256, true)]);
    let header = String::from_utf8(signed).unwrap();
    assert_eq!(header.matches("d=example.jp;").count(), 2, "{header}");
    assert_eq!(header.matches("c=relaxed/relaxed;").count(), 2, "{header}");
    assert!(header.lines().all(|line| line.len() <= 78), "{header}");
}

/// Some verifiers stumble over white space behind the value of `b=`.
#[tokio::test]
async fn no_signature_ends_on_a_line_of_its_own_however_long_the_names_are() {
    let (mut keys, _names) = keys().await;
    let selectors: Vec<String> = keys.iter().map(|signer| signer.key.selector.clone()).collect();
    for length in 0..60 {
        for (signer, selector) in keys.iter_mut().zip(&selectors) {
            signer.key.selector = format!("{selector}{}", "x".repeat(length));
        }
        let signed = Signer::new(&keys).unwrap().sign(MESSAGE.as_bytes().to_vec()).await.unwrap();
        let header = String::from_utf8(signed).unwrap();
        assert!(header.lines().all(|line| line.trim() != ";"), "{header}");
    }
}

#[tokio::test]
async fn a_field_added_or_a_word_changed_on_the_way_breaks_both() {
    let (keys, names) = keys().await;
    let signed = Signer::new(&keys).unwrap().sign(MESSAGE.as_bytes().to_vec()).await.unwrap();
    let signed = String::from_utf8(signed).unwrap();
    let at = signed.find("From: ").unwrap();
    for field in ["From: x@evil.example", "To: x@evil.example", "Subject: x", "Date: x", "Reply-To: x@evil.example"] {
        let mut forged = signed.clone();
        forged.insert_str(at, &format!("{field}\r\n"));
        let seen = verified(&names, forged.as_bytes()).await;
        assert_eq!(seen.iter().map(|(_, passes)| *passes).collect::<Vec<_>>(), [false, false], "{field}");
    }
    let seen = verified(&names, signed.replace("hello", "hallo").as_bytes()).await;
    assert_eq!(seen.iter().map(|(_, passes)| *passes).collect::<Vec<_>>(), [false, false]);
    // A relay that adds its trace on top, or refolds white space, changes nothing.
    let relayed = format!(
        "Received: from x by y; Sun, 22 Nov 2026 07:00:01 +0900\r\n{}",
        signed.replace("Subject: ", "Subject:  ")
    );
    assert_eq!(verified(&names, relayed.as_bytes()).await.iter().filter(|(_, passes)| *passes).count(), 2);
}

#[tokio::test]
async fn what_is_signed_is_what_goes_on_the_wire() {
    let (keys, names) = keys().await;
    let bare = MESSAGE.replace("\r\n", "\n");
    let signed = Signer::new(&keys).unwrap().sign(bare.into_bytes()).await.unwrap();
    assert!(signed.ends_with(MESSAGE.as_bytes()));
    assert!(verified(&names, &signed).await.iter().all(|(_, passes)| *passes));
}

#[tokio::test]
async fn a_key_that_cannot_sign_is_named() {
    let (mut keys, _names) = keys().await;
    keys[0].key.private = karamail::model::Secret::new(vec![1, 2, 3]);
    let complaint = Signer::new(&keys).err().unwrap().to_string();
    assert!(complaint.contains(&keys[0].key.selector), "{complaint}");
}
