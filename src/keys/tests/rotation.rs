//! Keys that come, take the place of others and go, while a chain of them is in use.

use super::*;

struct House {
    data: tempfile::TempDir,
    chain: Keychain,
    random: Random,
}

impl House {
    fn open() -> Self {
        let data = tempfile::tempdir().unwrap();
        let random = Random::repeating(1);
        let chain = Keychain::open(data.path(), &random).unwrap();
        chain.sign_as(signing(&[])).unwrap();
        Self { data, chain, random }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.data.path().join("keys").join(name)
    }

    fn names(&self) -> Vec<String> {
        disk::names(&self.data.path().join("keys")).unwrap()
    }

    fn state(&self, id: &str) -> State {
        let entries = self.chain.list().unwrap();
        self.chain.state(entries.iter().find(|entry| entry.id == id.parse().unwrap()).unwrap())
    }

    fn dkim(&self, selector: &str) {
        self.chain.add_dkim(DkimAlgorithm::Ed25519, selector, &self.random).unwrap();
    }

    fn signers(&self) -> Vec<String> {
        self.chain.signers().borrow().iter().map(|signer| signer.key.selector.clone()).collect()
    }

    fn refused(&self, done: Result<impl std::fmt::Debug, RotateError>) -> String {
        let before = self.names();
        let said = done.unwrap_err().to_string();
        assert_eq!(self.names(), before);
        said
    }
}

fn id(text: &str) -> KeyId {
    text.parse().unwrap()
}

fn entry(selector: &str) -> DkimEntry {
    DkimEntry { domain: "mob-connect.com".parse().unwrap(), selector: selector.to_owned(), key_file: None }
}

fn signing(selectors: &[&str]) -> Signing {
    let entries = selectors.iter().map(|selector| entry(selector)).collect();
    Signing { entries, from: "mob-connect.com".parse().unwrap() }
}

#[test]
fn a_new_key_makes_new_things_at_once_for_everybody_and_the_old_one_is_believed() {
    let house = House::open();
    let (holder, before) = (house.chain.clone(), house.chain.now());
    let mut changes = holder.changes();
    for kind in Kind::ALL {
        assert_eq!(house.chain.add(kind, Standing::InUse, &house.random).unwrap(), KeyId::Numbered(kind, 2));
        let (now, old) = (holder.now(), before.ring(kind).active());
        assert_eq!((old.0, now.ring(kind).active().0), (1, 2));
        assert_ne!(now.ring(kind).active().1, old.1);
        assert_eq!(now.ring(kind).find(1), Some(old.1));
        assert_eq!(mode(&house.path(&format!("{kind}-2"))), 0o600);
    }
    assert!(changes.has_changed().unwrap());
    assert_eq!(changes.borrow_and_update().link().active().0, 2);
    assert_eq!((house.state("link-1"), house.state("link-2")), (State::Verifies, State::InUse));
    // And after a start.
    assert_eq!(Keys::open(house.data.path(), &house.random).unwrap().seal().active(), holder.now().seal().active());
}

#[test]
fn a_key_that_waits_is_believed_and_makes_nothing_before_it_is_used() {
    let house = House::open();
    let made = house.chain.add(Kind::Link, Standing::Waiting, &house.random).unwrap();
    assert_eq!(house.state("link-2"), State::Waiting);
    let now = house.chain.now();
    assert_eq!((now.link().active().0, now.link().find(2).is_some()), (1, true));
    assert_eq!(house.chain.bring_into_use(&made).unwrap(), []);
    assert_eq!((house.state("link-1"), house.state("link-2")), (State::Verifies, State::InUse));
    assert_eq!(house.chain.now().link().active(), (2, now.link().find(2).unwrap()));
    assert!(!house.path("link-2.new").exists());
    // Once more, as the operator may not be sure.
    house.chain.bring_into_use(&made).unwrap();
    assert!(house.refused(house.chain.bring_into_use(&id("link-1"))).contains("link-1 is older than link-2"));
}

#[test]
fn a_retired_key_is_believed_no_more_and_its_number_never_comes_again() {
    let house = House::open();
    assert!(house.refused(house.chain.retire(&id("seal-1"))).contains("seal-1 is in use; make another first"));
    house.chain.add(Kind::Seal, Standing::InUse, &house.random).unwrap();
    house.chain.retire(&id("seal-1")).unwrap();
    assert_eq!((house.state("seal-1"), house.chain.now().seal().find(1)), (State::Retired, None));
    house.chain.retire(&id("seal-1")).unwrap();
    assert!(house.refused(house.chain.bring_into_use(&id("seal-1"))).contains("was retired"));
    let waiting = house.chain.add(Kind::Seal, Standing::Waiting, &house.random).unwrap();
    assert_eq!(waiting, id("seal-3"));
    house.chain.retire(&waiting).unwrap();
    assert_eq!(house.chain.add(Kind::Seal, Standing::InUse, &house.random).unwrap(), id("seal-4"));
    assert!(house.refused(house.chain.retire(&id("seal-9"))).contains("there is no key seal-9"));
    assert!(house.names().contains(&"seal-1.retired".to_owned()), "{:?}", house.names());
}

#[test]
fn a_dkim_key_waits_and_then_takes_the_place_of_those_of_its_algorithm() {
    let house = House::open();
    house.dkim("e2");
    assert_eq!((house.state("e2"), house.signers()), (State::Waiting, vec!["e1".to_owned(), "k1".into()]));
    assert_eq!(house.chain.bring_into_use(&id("e2")).unwrap(), [id("e1")]);
    assert_eq!(house.signers(), ["e2", "k1"]);
    assert_eq!((house.state("e1"), house.state("e2")), (State::Verifies, State::InUse));
    // Back, as the record was wrong.
    assert_eq!(house.chain.bring_into_use(&id("e1")).unwrap(), [id("e2")]);
    assert_eq!(house.signers(), ["e1", "k1"]);
    house.chain.retire(&id("dkim-e2")).unwrap();
    assert_eq!(house.names(), ["dkim-e1", "dkim-e2.retired", "dkim-k1", "link-1", "seal-1", "verp-1"]);
    assert!(house.refused(house.chain.retire(&id("k1"))).contains("k1 signs the mail, and no other rsa key does"));
}

#[test]
fn a_selector_is_given_once() {
    let house = House::open();
    house.dkim("e2");
    house.chain.retire(&id("e2")).unwrap();
    for selector in ["e2", "E1", "k1"] {
        let done = house.chain.add_dkim(DkimAlgorithm::Rsa, selector, &house.random);
        assert!(house.refused(done).contains("a selector is given once"), "{selector}");
    }
    for selector in ["link-2", "dkim-k3", "k_3", ""] {
        let done = house.chain.add_dkim(DkimAlgorithm::Rsa, selector, &house.random);
        assert!(house.refused(done).contains("cannot be a selector"), "{selector}");
    }
}

#[test]
fn where_the_settings_name_selectors_they_say_what_signs() {
    let house = House::open();
    house.chain.reread(&[entry("k1")]).unwrap();
    assert_eq!((house.signers(), house.state("e1")), (vec!["k1".to_owned()], State::Verifies));
    house.dkim("e2");
    assert_eq!(house.chain.bring_into_use(&id("e2")).unwrap(), []);
    assert_eq!((house.signers(), house.state("e2")), (vec!["k1".to_owned()], State::Verifies));
    assert!(house.refused(house.chain.retire(&id("k1"))).contains("k1 is named by [[dkim]]"));
    house.chain.reread(&[entry("k1"), entry("e2")]).unwrap();
    assert_eq!((house.signers(), house.state("e2")), (vec!["k1".to_owned(), "e2".into()], State::InUse));
    house.chain.retire(&id("e1")).unwrap();
}

#[test]
fn a_selector_that_has_no_key_changes_nothing() {
    let house = House::open();
    let problems = house.chain.reread(&[entry("k9")]).unwrap_err();
    assert!(problems[0].to_string().contains("no DKIM key “k9” is in use"), "{problems:?}");
    assert_eq!(house.signers(), ["e1", "k1"]);
    house.dkim("e2");
    assert_eq!(house.chain.bring_into_use(&id("e2")).unwrap(), [id("e1")]);
}

#[test]
fn a_folder_with_faults_is_not_taken_and_every_fault_is_told() {
    let house = House::open();
    let before = house.chain.now();
    put(&house.path("link-2"), "half");
    put(&house.path("seal-x"), "half");
    let said: Vec<String> = house.chain.reread(&[]).unwrap_err().iter().map(ToString::to_string).collect();
    assert!(said.len() == 2 && said[0].contains("link-2: is not one line") && said[1].contains("seal-x"), "{said:?}");
    assert!(Arc::ptr_eq(&house.chain.now(), &before));
    let said = house.refused(house.chain.add(Kind::Verp, Standing::InUse, &house.random));
    assert!(said.contains("link-2: is not one line"), "{said}");
    fs::remove_file(house.path("link-2")).unwrap();
    fs::remove_file(house.path("seal-x")).unwrap();
    house.chain.reread(&[]).unwrap();
}

#[test]
fn keys_that_were_copied_into_the_folder_are_taken_when_it_is_read_again() {
    let house = House::open();
    put(&house.path("verp-2.new"), &key_text("verp-2", &[2; 32]));
    assert_eq!(house.chain.now().verp().find(2), None);
    house.chain.reread(&[]).unwrap();
    assert_eq!((house.chain.now().verp().active().0, house.chain.now().verp().find(2)), (1, Some(&[2; 32])));
    // Beside a copy that waits, the one in use is the one that counts.
    put(&house.path("verp-2"), &key_text("verp-2", &[2; 32]));
    house.chain.reread(&[]).unwrap();
    assert_eq!(house.chain.now().verp().active(), (2, &[2; 32]));
}

#[test]
fn what_a_crash_left_of_a_new_key_is_passed_over_and_written_anew() {
    let house = House::open();
    put(&house.path("link-2.making"), "half");
    house.chain.reread(&[]).unwrap();
    assert_eq!(house.chain.list().unwrap().len(), 5);
    house.chain.add(Kind::Link, Standing::InUse, &house.random).unwrap();
    assert_eq!(house.chain.now().link().active().0, 2);
    assert!(!house.path("link-2.making").exists());
}

#[test]
fn of_several_that_make_keys_at_once_each_gets_a_number_of_its_own() {
    let house = House::open();
    let mut made: Vec<KeyId> = std::thread::scope(|scope| {
        let make = || house.chain.add(Kind::Link, Standing::InUse, &house.random).unwrap();
        let makers: Vec<_> = (0..8).map(|_| scope.spawn(make)).collect();
        makers.into_iter().map(|maker| maker.join().unwrap()).collect()
    });
    made.sort();
    assert_eq!(made, (2..10).map(|number| KeyId::Numbered(Kind::Link, number)).collect::<Vec<_>>());
    assert_eq!(house.chain.now().link().active().0, 9);
}

#[test]
fn the_list_has_when_a_key_was_made_and_what_publishes_it() {
    let house = House::open();
    house.dkim("e2");
    let entries = house.chain.list().unwrap();
    let ids: Vec<String> = entries.iter().map(|entry| entry.id.to_string()).collect();
    assert_eq!(ids, ["link-1", "seal-1", "verp-1", "e1", "e2", "k1"]);
    assert!(entries.iter().all(|entry| entry.made.millis() > 0 && entry.since >= entry.made));
    let records = entries.iter().filter_map(|entry| entry.dkim.as_ref()).filter(|key| key.record().contains("p="));
    assert_eq!(records.count(), 3);
    let from: Domain = "mob-connect.com".parse().unwrap();
    assert_eq!(house.chain.domains("e2"), [from]);
}
