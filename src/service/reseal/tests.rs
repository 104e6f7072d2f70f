use super::*;
use crate::model::{JobId, Language, MemberId, Secret, Timestamp};
use crate::service::{otp, start_password};
use crate::store::{APP_SECRET, BackupCodeRow, Location, NewMember, OTP_CODE, Options};
use data_encoding::BASE64;
use std::collections::BTreeMap;

const START: Timestamp = Timestamp::from_millis(1_795_298_400_000);

fn ring(active: u16, ids: &[u16]) -> KeyRing {
    let key = |id: &u16| (*id, Secret::new([id.to_be_bytes()[1]; 32]));
    KeyRing::new(active, ids.iter().map(key).collect()).unwrap()
}

/// Keys of which these seal.
fn keys(active: u16, ids: &[u16]) -> Keys {
    Keys::apart(ring(1, &[1]), ring(active, ids), ring(1, &[1]))
}

struct House {
    store: Store,
    member: MemberId,
    _folder: tempfile::TempDir,
}

impl House {
    /// One value of each kind, sealed with key 1.
    async fn open() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(Options::new(Location::Sqlite(folder.path().join("store.db")))).await.unwrap();
        let member = store.write::<_, StoreError, _>(fill).await.unwrap();
        Self { store, member, _folder: folder }
    }

    async fn round(&self, keys: &Keys) -> Resealed {
        round(&self.store, keys, &Random::system()).await.unwrap()
    }

    async fn counts(&self) -> BTreeMap<u16, u64> {
        self.store.read::<_, StoreError, _>(|tx| tx.count_sealed()).await.unwrap()
    }

    async fn secret(&self, purpose: &'static str, owner: i64) -> Vec<u8> {
        self.store.read::<_, StoreError, _>(move |tx| tx.secret(purpose, owner)).await.unwrap().unwrap()
    }
}

fn fill(tx: &mut Tx<'_>) -> Result<MemberId, StoreError> {
    let org = tx.add_org(&"DEMO".parse().unwrap(), "デモ", None, START)?.unwrap();
    let new = NewMember {
        login: "taro".parse().unwrap(),
        name: "太郎".into(),
        kana: None,
        department: None,
        language: Language::Ja,
        password_hash: None,
        addresses: [None, None, None],
    };
    let (member, _) = tx.put_member(org, &new, START)?;
    let sealed = |owner: &[u8], plain: &[u8]| seal::seal(&ring(1, &[1]), owner, [7; 24], plain);
    let number = member.number();
    let start = start_password::seal(&ring(1, &[1]), member, [7; 24], "hajime-kite7");
    tx.put_secret(start_password::PURPOSE, number, &start)?;
    tx.put_secret(APP_SECRET, number, &sealed(&owner_of_secret(APP_SECRET, number), b"app"))?;
    tx.put_secret(OTP_CODE, 5, &sealed(&owner_of_secret(OTP_CODE, 5), b"123456"))?;
    tx.keep_draft(member, &[5; 32], &sealed(&draft::owner(member, &[5; 32]), b"mail1=a"), START)?;
    let code = |place| BackupCodeRow {
        place,
        hash: BASE64.encode(&sealed(&backup_code::kept_for(member, place), format!("phc {place}").as_bytes())),
    };
    tx.put_backup_codes(member, &[code(1), code(2)], START)?;
    Ok(member)
}

#[tokio::test]
async fn everything_goes_over_to_the_new_key_and_says_the_same() {
    let house = House::open().await;
    assert_eq!(house.counts().await, [(1, 6)].into());
    assert_eq!(house.round(&keys(1, &[1])).await, Resealed::default());
    assert_eq!(house.round(&keys(2, &[1, 2])).await, Resealed { done: 6, closed: 0 });
    assert_eq!(house.counts().await, [(2, 6)].into());
    assert_eq!(house.round(&keys(2, &[1, 2])).await, Resealed::default());

    // The old key is not needed any more.
    let (new, member) = (ring(2, &[2]), house.member);
    let start = house.secret(start_password::PURPOSE, member.number()).await;
    assert_eq!(start_password::open(&new, member, &start).unwrap().reveal(), "hajime-kite7");
    let app = house.secret(APP_SECRET, member.number()).await;
    assert_eq!(seal::open(&new, &owner_of_secret(APP_SECRET, member.number()), &app).unwrap().reveal(), b"app");
    let code = house.secret(OTP_CODE, 5).await;
    assert_eq!(otp::open(&new, JobId::new(5), &code).unwrap().reveal(), "123456");
    let draft = house.store.read::<_, StoreError, _>(move |tx| tx.draft(member, &[5; 32])).await.unwrap().unwrap();
    assert_eq!(draft.1, START);
    assert_eq!(seal::open(&new, &draft::owner(member, &[5; 32]), &draft.0).unwrap().reveal(), b"mail1=a");
    let codes = house.store.read::<_, StoreError, _>(move |tx| tx.backup_codes(member)).await.unwrap();
    for code in codes {
        let sealed = BASE64.decode(code.hash.as_bytes()).unwrap();
        let opened = seal::open(&new, &backup_code::kept_for(member, code.place), &sealed).unwrap();
        assert_eq!(opened.reveal(), format!("phc {}", code.place).as_bytes());
    }
}

#[tokio::test]
async fn what_was_broken_off_between_two_steps_is_finished_by_the_next_round() {
    let house = House::open().await;
    let both = keys(2, &[1, 2]);
    let found = house.store.read::<_, StoreError, _>(|tx| tx.sealed_with(1, None, 2)).await.unwrap();
    let first = step(&house.store, both.seal(), &Random::system(), found).await.unwrap();
    assert_eq!((first, house.counts().await), (Resealed { done: 2, closed: 0 }, [(1, 4), (2, 2)].into()));
    let start = house.secret(start_password::PURPOSE, house.member.number()).await;
    assert_eq!(start_password::open(both.seal(), house.member, &start).unwrap().reveal(), "hajime-kite7");
    assert_eq!(house.round(&both).await, Resealed { done: 4, closed: 0 });
    assert_eq!(house.counts().await, [(2, 6)].into());
}

#[tokio::test]
async fn a_value_that_does_not_open_stays_and_keeps_nothing_else_back() {
    let house = House::open().await;
    let number = house.member.number();
    // It belongs to somebody else.
    let strange = seal::seal(&ring(1, &[1]), b"another", [9; 24], b"x");
    let put = strange.clone();
    house.store.write::<_, StoreError, _>(move |tx| tx.put_secret("a-first", number, &put)).await.unwrap();
    assert_eq!(house.round(&keys(2, &[1, 2])).await, Resealed { done: 6, closed: 1 });
    assert_eq!(house.counts().await, [(1, 1), (2, 6)].into());
    assert_eq!(house.secret("a-first", number).await, strange);
}

#[tokio::test]
async fn more_than_a_step_is_sealed_anew_from_several_old_keys_and_what_others_sealed_with_a_newer_one_stays() {
    let house = House::open().await;
    let count = i64::try_from(STEP).unwrap() * 2 + 1;
    let many = move |tx: &mut Tx<'_>| {
        for owner in 0..count {
            let key = u16::try_from(owner % 2).unwrap() + 1;
            let sealed = seal::seal(&ring(key, &[1, 2]), &owner_of_secret("many", owner), [9; 24], b"x");
            tx.put_secret("many", owner, &sealed)?;
        }
        let newer = seal::seal(&ring(4, &[4]), &owner_of_secret("newer", 1), [9; 24], b"x");
        tx.put_secret("newer", 1, &newer)
    };
    house.store.write::<_, StoreError, _>(many).await.unwrap();
    let done = u64::try_from(count).unwrap() + 6;
    // Key 4 waits here, and another node seals with it already.
    assert_eq!(house.round(&keys(3, &[1, 2, 3, 4])).await, Resealed { done, closed: 0 });
    assert_eq!(house.counts().await, [(3, done), (4, 1)].into());
}

#[test]
fn the_store_knows_how_a_sealed_value_begins() {
    let sealed = seal::seal(&ring(258, &[258]), b"", [7; 24], b"x");
    assert_eq!(sealed[..3], [1, 1, 2]);
}
