use super::*;
use crate::model::{Language, Span};
use crate::queue::{Class, Content, Notice};
use crate::service::audit;
use crate::service::session::Stage;
use crate::store::{EventFilter, FactorKind, JobFilter, Location, NewMember, Options};

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
        let visitor = Visitor::just_in(member.await.unwrap(), 1, Stage::Full, NOON);
        Self { profile: Profile::new(store, Notices { give_up: Span::from_secs(7_200) }), visitor, _folder: folder }
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
    let events = world.events().await;
    assert_eq!(events[..4], ["withdrawn", "registered", "registered", "withdrawn"]);
    assert!(events[4..].iter().all(|name| name == "queued"), "{events:?}");
}

#[tokio::test]
async fn r082_each_place_that_differs_is_in_the_audit_log_without_a_whole_address() {
    let world = World::open().await;
    world.save(["a@b.jp", "", "c@d.jp"], ["c@d.jp", "e@f.jp", ""]).await;
    assert_eq!(
        audit::told(&world.profile.store).await,
        [
            r#"user_address_changed member {"place":1,"address":"c***@d.jp","before":"a***@b.jp"}"#,
            r#"user_address_added member {"place":2,"address":"e***@f.jp"}"#,
            r#"user_address_removed member {"place":3,"address":"c***@d.jp"}"#,
        ]
    );
    let (member, store) = (world.visitor.member.id, &world.profile.store);
    let rows = store.read::<_, StoreError, _>(move |tx| tx.audit(Some(member), 0, 9)).await.unwrap();
    assert_eq!(rows.len(), 3);
}

#[tokio::test]
async fn r082_whoever_had_the_account_hears_of_a_lost_or_another_address_at_the_old_ones_and_at_that_for_codes() {
    for (wanted, told) in [
        (["x@y.jp", "", "c@d.jp"], &["a@b.jp", "c@d.jp", "codes@b.jp"][..]),
        (["", "", ""], &["a@b.jp", "c@d.jp", "codes@b.jp"]),
        // One more: it could be a stranger's.
        (["a@b.jp", "x@y.jp", "c@d.jp"], &["a@b.jp", "c@d.jp", "codes@b.jp"]),
        // None is lost and none comes: another order, another spelling of the same.
        (["c@d.jp", "A@b.jp", ""], &[]),
    ] {
        let world = World::open().await;
        let member = world.visitor.member.id;
        let codes = "codes@b.jp".parse().unwrap();
        let put = move |tx: &mut Tx<'_>| tx.put_factor(member, FactorKind::Mail, Some(&codes), None, NOON);
        world.profile.store.write::<_, StoreError, _>(put).await.unwrap();
        world.save(["a@b.jp", "", "c@d.jp"], wanted).await;
        let jobs = world.profile.store.read(|tx| tx.list_jobs(&JobFilter::default())).await.unwrap();
        let mut to: Vec<String> = jobs.iter().map(|job| job.order.to.to_string()).collect();
        to.sort();
        assert_eq!(to, told, "{wanted:?}");
        for order in jobs.into_iter().map(|job| job.order) {
            assert_eq!((order.class, order.language), (Class::Notice, Some(Language::Ja)));
            assert_eq!(order.content, Content::Security { member, what: Notice::AddressChanged });
            assert_eq!(order.give_up, NOON.plus(Span::from_secs(7_200)));
        }
    }
}

#[test]
fn what_a_page_showed_is_read_as_it_was() {
    assert_eq!(shown(["a@b.jp", "", "A@b.jp"]), Some(addresses(["a@b.jp", "", "A@b.jp"])));
    assert_eq!(shown(["a@b.jp", "x", ""]), None);
}

#[tokio::test]
async fn what_changed_meanwhile_is_not_overwritten() {
    let world = World::open().await;
    assert_eq!(world.save(["a@b.jp", "", ""], ["x@y.jp", "", ""]).await, Saved::Moved);
    assert_eq!(world.present().await, addresses(["a@b.jp", "", "c@d.jp"]));
    assert_eq!(world.events().await, Vec::<String>::new());
}
