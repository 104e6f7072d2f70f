//! What an operator does with keys.

use super::*;
use crate::keys::{DkimAlgorithm, KeyId, Kind, Signing};
use crate::service::reseal;
use crate::service::start_password;

fn id(text: &str) -> KeyId {
    text.parse().unwrap()
}

fn retire(text: &str, now: bool) -> Request {
    Request::RetireKey { id: id(text), now }
}

const fn new_key(kind: Kind) -> Request {
    Request::NewKey { kind, wait: false }
}

impl Office {
    /// An office whose clock goes from what the disk says of its keys.
    async fn with_keys() -> Self {
        let mut office = Self::with_demo().await;
        office.desk.keys = Keychain::open(office.folder.path(), &Random::repeating(1)).unwrap();
        let from = "example.jp".parse().unwrap();
        office.desk.keys.sign_as(Signing { entries: Vec::new(), from }).unwrap();
        office.desk.clock = Clock::turned_by_hand(office.since("link-1"));
        office
    }

    fn since(&self, key: &str) -> Timestamp {
        self.desk.keys.list().unwrap().iter().find(|entry| entry.id == id(key)).unwrap().since
    }

    async fn key(&self, key: &str) -> Value {
        let all = self.facts(Request::ListKeys).await;
        all.as_array().unwrap().iter().find(|facts| facts["id"] == key).unwrap().clone()
    }
}

#[tokio::test]
async fn keys_are_listed_with_what_scripts_rely_on() {
    let office = Office::with_keys().await;
    let all = office.facts(Request::ListKeys).await;
    let ids: Vec<&str> = all.as_array().unwrap().iter().map(|key| key["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["link-1", "seal-1", "verp-1", "e1", "k1"]);
    let seal = office.key("seal-1").await;
    assert_eq!((&seal["kind"], &seal["state"], &seal["values"]), (&json!("seal"), &json!("in-use"), &json!(0)));
    let dkim = office.key("k1").await;
    assert_eq!((&dkim["algorithm"], &dkim["values"]), (&json!("rsa"), &Value::Null));
    assert_eq!(dkim["records"][0]["name"], "k1._domainkey.example.jp");
    assert!(dkim["records"][0]["text"].as_str().unwrap().starts_with("v=DKIM1; k=rsa; p=MII"));
    let made = office.desk.keys.list().unwrap().iter().find(|entry| entry.id == id("k1")).unwrap().made;
    assert_eq!(dkim["made_at"], made.to_string());
}

#[tokio::test]
async fn a_key_whose_things_are_still_under_way_is_retired_only_on_demand_or_in_time() {
    for (kind, old, wait, what) in [
        (Kind::Link, "link-1", Span::from_secs(86_400), "links in mails from before"),
        (Kind::Verp, "verp-1", Span::from_secs(7 * 86_400), "bounces of mails from before"),
        (Kind::Seal, "seal-1", Span::from_secs(12 * 3_600), "half-filled forms from before"),
    ] {
        let mut office = Office::with_keys().await;
        let made = office.facts(new_key(kind)).await;
        assert_eq!(made["state"], "in-use");
        let until = office.since(made["id"].as_str().unwrap()).plus(wait);
        let why = office.refusal(retire(old, false)).await;
        assert!(why.contains(what) && why.contains(&format!("{until}")) && why.contains("--yes"), "{why}");
        assert_eq!(office.key(old).await["state"], "verifies");
        office.desk.clock = Clock::turned_by_hand(until.minus(Span::from_millis(1)));
        office.refusal(retire(old, false)).await;
        office.desk.clock = Clock::turned_by_hand(until);
        assert_eq!(office.facts(retire(old, false)).await["state"], "retired");
        let office = Office::with_keys().await;
        office.facts(new_key(kind)).await;
        assert_eq!(office.facts(retire(old, true)).await["state"], "retired");
    }
}

#[tokio::test]
async fn a_key_in_use_is_not_retired_whatever_is_said() {
    let office = Office::with_keys().await;
    for (key, why) in [("link-1", "is in use"), ("seal-1", "is in use"), ("k1", "no other rsa key does")] {
        let said = office.refusal(retire(key, true)).await;
        assert!(said.contains(why), "{said}");
    }
    assert!(office.refusal(retire("k9", true)).await.contains("there is no key k9; all there are: key list"));
}

#[tokio::test]
async fn a_key_that_values_hang_on_is_not_retired_before_they_are_sealed_anew() {
    let office = Office::with_keys().await;
    office.facts(import("id,password,name,language\n0001,hajime-kite7,花子,ja\n", false)).await;
    office.facts(new_key(Kind::Seal)).await;
    // What comes from now on hangs on the new key.
    office.facts(import("id,password,name,language\n0002,hajime-kite7,葉子,ja\n", false)).await;
    assert_eq!(office.key("seal-1").await["values"], 1);
    assert_eq!(office.key("seal-2").await["values"], 1);
    let why = office.refusal(retire("seal-1", true)).await;
    assert!(why.contains("values that are still sealed with seal-1: 1;") && why.contains("key list"), "{why}");
    reseal::round(&office.desk.store, &office.desk.keys.now(), &Random::system()).await.unwrap();
    assert_eq!(office.key("seal-1").await["values"], 0);
    assert_eq!(office.facts(retire("seal-1", true)).await["state"], "retired");
    let sealed = office.write(|tx| tx.secret(start_password::PURPOSE, 1)).await.unwrap();
    let member = crate::model::MemberId::new(1);
    let opened = start_password::open(office.desk.keys.now().seal(), member, &sealed).unwrap();
    assert_eq!(opened.reveal(), "hajime-kite7");
}

#[tokio::test]
async fn a_dkim_key_is_made_with_its_record_and_used_when_that_is_published() {
    let office = Office::with_keys().await;
    let algorithm = DkimAlgorithm::Ed25519;
    let made = office.facts(Request::NewDkimKey { algorithm, selector: "e2".into() }).await;
    assert_eq!((&made["state"], &made["algorithm"]), (&json!("waiting"), &json!("ed25519")));
    assert_eq!(made["records"][0]["name"], "e2._domainkey.example.jp");
    assert!(made["notes"][0].as_str().unwrap().contains("key use e2"));
    let used = office.facts(Request::UseKey { id: id("dkim-e2") }).await;
    assert_eq!(used["state"], "in-use");
    assert!(used["notes"][0].as_str().unwrap().starts_with("e1 signs no more"), "{used}");
    assert_eq!(office.key("e1").await["state"], "verifies");
    let gone = office.facts(retire("e1", false)).await;
    assert!(gone["notes"][0].as_str().unwrap().contains("take its record out of the DNS a week after"), "{gone}");
}

#[tokio::test]
async fn requests_about_keys_survive_the_socket() {
    for request in [
        Request::ListKeys,
        Request::NewKey { kind: Kind::Verp, wait: true },
        Request::NewDkimKey { algorithm: DkimAlgorithm::Rsa, selector: "k2".into() },
        Request::UseKey { id: id("link-2") },
        retire("k1", true),
    ] {
        let line = serde_json::to_string(&request).unwrap();
        assert_eq!(serde_json::from_str::<Request>(&line).unwrap(), request, "{line}");
    }
}
