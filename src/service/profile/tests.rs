use super::*;
use crate::model::{Language, Policy};
use crate::service::session::Stage;
use crate::store::{EventFilter, Location, NewMember, Options};

const NOON: Timestamp = Timestamp::from_millis(1_795_316_400_123);

fn addresses(texts: [&str; 3]) -> Addresses {
    texts.map(|text| text.parse().ok())
}

#[test]
fn r082_what_is_typed_is_read_by_place() {
    let typed = [" ａ..b.＠docomo.ne.jp", "", "X@Example.jp"];
    assert_eq!(read(typed), Ok(addresses(["a..b.@docomo.ne.jp", "", "X@example.jp"])));
    assert_eq!(read(["", " ", "　"]), Ok(addresses(["", "", ""])));
}

#[test]
fn r082_what_is_no_address_or_stands_there_twice_is_named_by_its_place() {
    use Priority::{First, Second, Third};
    for (typed, faults) in [
        (["x", "", ""], vec![(First, Fault::Form)]),
        (["a@b.jp", "x@", "a@b.jp\r\nBcc: c@d.jp"], vec![(Second, Fault::Form), (Third, Fault::Form)]),
        (["a@b.jp", "", "A@B.jp"], vec![(Third, Fault::Twice)]),
        (["a@b.jp", "\"a\"@b.jp", "a@b.jp"], vec![(Second, Fault::Twice), (Third, Fault::Twice)]),
        (["a@b.jp, c@d.jp", "", ""], vec![(First, Fault::Form)]),
    ] {
        assert_eq!(read(typed), Err(faults), "{typed:?}");
    }
}

#[test]
fn what_saving_changes_is_told_by_place() {
    let address = |text: &str| text.parse::<EmailAddress>().unwrap();
    let present = addresses(["a@b.jp", "", "c@d.jp"]);
    assert_eq!(changes(&present, &present), []);
    let wanted = addresses(["A@b.jp", "e@f.jp", ""]);
    assert_eq!(
        changes(&present, &wanted),
        [
            (Priority::First, Change::Replace(address("a@b.jp"), address("A@b.jp"))),
            (Priority::Second, Change::Add(address("e@f.jp"))),
            (Priority::Third, Change::Remove(address("c@d.jp"))),
        ]
    );
}

struct World {
    profile: Profile,
    visitor: Visitor,
    _folder: tempfile::TempDir,
}

impl World {
    async fn open() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(Options::new(Location::Sqlite(folder.path().join("test.db")))).await.unwrap();
        let member = store.write::<_, StoreError, _>(|tx| {
            let org = tx.add_org(&"DEMO".parse().unwrap(), "デモ", None, NOON)?.unwrap();
            let member = NewMember {
                login: "0001".parse().unwrap(),
                name: "花子".to_owned(),
                kana: None,
                department: None,
                language: Language::Ja,
                password_hash: None,
                addresses: addresses(["a@b.jp", "", "c@d.jp"]),
            };
            let (id, _) = tx.put_member(org, &member, NOON)?;
            Ok(tx.member_by_id(id)?.unwrap())
        });
        let visitor = Visitor {
            session: [1; 32],
            member: member.await.unwrap(),
            org: "DEMO".parse().unwrap(),
            titles: ("デモ".to_owned(), None),
            policy: Policy::default(),
            stage: Stage::Full,
            password_at: NOON,
            code_at: None,
            last_login: None,
        };
        Self { profile: Profile::new(store), visitor, _folder: folder }
    }

    async fn save(&self, shown: [&str; 3], wanted: [&str; 3]) -> Saved {
        self.profile.save(&self.visitor, addresses(shown), addresses(wanted), NOON).await.unwrap()
    }

    async fn present(&self) -> Addresses {
        self.profile.addresses(self.visitor.member.id).await.unwrap()
    }

    async fn events(&self) -> Vec<String> {
        let all = EventFilter::default();
        let rows = self.profile.store.read::<_, StoreError, _>(move |tx| tx.events(&all)).await.unwrap();
        rows.into_iter().map(|(_, event)| event.name.into_owned()).collect()
    }
}

#[tokio::test]
async fn r082_addresses_are_saved_changed_and_removed_at_once() {
    let world = World::open().await;
    let wanted = ["c@d.jp", "e@f.jp", ""];
    assert_eq!(world.save(["a@b.jp", "", "c@d.jp"], wanted).await, Saved::Saved);
    assert_eq!(world.present().await, addresses(wanted));
    assert_eq!(world.events().await, ["withdrawn", "registered", "registered", "withdrawn"]);
}

#[tokio::test]
async fn what_changed_meanwhile_is_not_overwritten() {
    let world = World::open().await;
    assert_eq!(world.save(["a@b.jp", "", ""], ["x@y.jp", "", ""]).await, Saved::Moved);
    assert_eq!(world.present().await, addresses(["a@b.jp", "", "c@d.jp"]));
    assert_eq!(world.events().await, Vec::<String>::new());
}
