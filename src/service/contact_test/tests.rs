use super::*;
use crate::model::JobId;
use crate::queue::{Job, State};
use crate::random::Random;
use crate::service::session::Stage;
use crate::store::{AddressRow, AddressState, EventFilter, Location, NewMember, Options};

const NOON: Timestamp = Timestamp::from_millis(1_795_316_400_123);

fn address(text: &str) -> EmailAddress {
    text.parse().unwrap()
}

/// A store with the organisation DEMO and two members.
struct World {
    tests: ContactTests,
    visitors: [Visitor; 2],
    folder: tempfile::TempDir,
}

async fn visitor(store: &Store, login: &'static str) -> Visitor {
    let made = store.write(move |tx| {
        let code = "DEMO".parse().unwrap();
        tx.add_org(&code, "デモ団体", None, NOON)?;
        let org = tx.org(&code)?.unwrap();
        let member = NewMember::plain(login);
        let (id, _) = tx.put_member(org.id, &member, NOON)?;
        Ok::<_, StoreError>(tx.member_by_id(id)?.unwrap())
    });
    Visitor::just_in(made.await.unwrap(), 1, Stage::Full, NOON)
}

impl World {
    async fn open() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let keys = Keychain::open(folder.path(), &Random::system()).unwrap();
        let store = Store::open(Options::new(Location::Sqlite(folder.path().join("test.db")))).await.unwrap();
        let visitors = [visitor(&store, "0001").await, visitor(&store, "0002").await];
        let settings = Settings { link_lifetime: Span::from_secs(86_400), give_up: Span::from_secs(7_200) };
        Self { tests: ContactTests::new(store, keys, settings), visitors, folder }
    }

    async fn order(&self, who: usize, to: &str, at: Timestamp) -> Ordered {
        self.tests.order(&self.visitors[who], address(to), Language::En, [9; 16], at).await.unwrap()
    }

    async fn sent(&self, to: &str) -> ContactTest {
        let Ordered::Sent(id) = self.order(0, to, NOON).await else { panic!() };
        self.test(id).await
    }

    async fn test(&self, id: ContactTestId) -> ContactTest {
        self.tests.store.read::<_, StoreError, _>(move |tx| tx.contact_test(id)).await.unwrap().unwrap()
    }

    async fn job(&self, id: JobId) -> Job {
        self.tests.store.read::<_, StoreError, _>(move |tx| tx.job(id)).await.unwrap().unwrap()
    }

    async fn note(&self, to: &str, state: AddressState) {
        let row = AddressRow {
            address: address(to),
            state,
            verdict: None,
            stage: None,
            reply: None,
            at: None,
            verified_at: None,
            unknown_day: None,
        };
        self.tests.store.write(move |tx| tx.note_address(&row)).await.unwrap();
    }

    async fn state(&self, to: &str) -> Option<AddressState> {
        let to = address(to);
        let row = self.tests.store.read::<_, StoreError, _>(move |tx| tx.address(&to)).await.unwrap();
        row.map(|row| row.state)
    }

    async fn events(&self) -> Vec<String> {
        let all = EventFilter::default();
        let rows = self.tests.store.read::<_, StoreError, _>(move |tx| tx.events(&all)).await.unwrap();
        rows.into_iter().map(|(_, event)| event.name.into_owned()).collect()
    }

    fn token(&self, test: &ContactTest, purpose: Purpose) -> String {
        let link = Link { purpose, row: test.id.number(), expires: test.expires.seconds(), nonce: [9; 16] };
        link.mint(self.tests.keys.now().link())
    }

    async fn look(&self, token: &str, at: Timestamp) -> Sight {
        self.tests.look(token, at).await.unwrap()
    }
}

#[tokio::test]
async fn r104_a_test_goes_to_the_address_that_was_typed_in_the_language_of_the_page() {
    let world = World::open().await;
    let test = world.sent("A..b.@docomo.ne.jp").await;
    let job = world.job(test.job.unwrap()).await;
    assert_eq!(job.order.to, address("A..b.@docomo.ne.jp"));
    assert_eq!((job.order.class, job.order.language), (Class::ContactTest, Some(Language::En)));
    assert_eq!((job.order.queued_at, job.order.due), (NOON, NOON));
    assert_eq!(job.order.give_up, NOON.plus(Span::from_secs(7_200)));
    assert_eq!(job.state, State::Queued);
    let day = NOON.plus(Span::from_secs(86_400));
    assert_eq!(test.expires, Timestamp::from_millis(day.seconds() * 1_000));
    // Nothing was saved by it.
    let member = world.visitors[0].member.id;
    let own = world.tests.store.read::<_, StoreError, _>(move |tx| tx.addresses_of(member)).await.unwrap();
    assert_eq!(own, []);
    assert_eq!(world.tests.last(member).await.unwrap(), Some(test));
}

#[tokio::test]
async fn r104_an_address_gets_three_tests_an_hour_from_all_members_together() {
    let world = World::open().await;
    let minutes = |minutes: i64| NOON.plus(Span::from_secs(minutes * 60));
    for (who, to, at) in [(0, "a@example.jp", 0), (1, "A@example.jp", 10), (0, "a@EXAMPLE.jp", 20)] {
        assert!(matches!(world.order(who, to, minutes(at)).await, Ordered::Sent(_)), "{who} {to}");
    }
    let until = minutes(60);
    assert_eq!(world.order(1, "a@example.jp", minutes(59)).await, Ordered::TooOften { until });
    assert!(matches!(world.order(1, "b@example.jp", minutes(59)).await, Ordered::Sent(_)));
    assert!(matches!(world.order(1, "a@example.jp", until).await, Ordered::Sent(_)));
}

#[tokio::test]
async fn r104_a_member_orders_ten_tests_an_hour_whatever_the_addresses() {
    let world = World::open().await;
    for number in 0..10 {
        assert!(matches!(world.order(0, &format!("a{number}@example.jp"), NOON).await, Ordered::Sent(_)));
    }
    let until = NOON.plus(Span::from_secs(3_600));
    assert_eq!(world.order(0, "b@example.jp", NOON).await, Ordered::TooMany { until });
    assert!(matches!(world.order(1, "b@example.jp", NOON).await, Ordered::Sent(_)));
}

#[tokio::test]
async fn r104_orders_made_side_by_side_do_not_outrun_the_limits() {
    let world = World::open().await;
    let mut orders = tokio::task::JoinSet::new();
    for number in 0..30 {
        let (tests, visitor) = (world.tests.clone(), world.visitors[number % 2].clone());
        orders.spawn(async move {
            let to = address("a@example.jp");
            tests.order(&visitor, to, Language::Ja, [9; 16], NOON).await.unwrap()
        });
    }
    let sent = orders.join_all().await.into_iter().filter(|ordered| matches!(ordered, Ordered::Sent(_))).count();
    assert_eq!(sent, 3);
}

#[tokio::test]
async fn an_address_that_is_not_written_to_gets_no_test_and_the_order_counts() {
    let world = World::open().await;
    world.note("a@example.jp", AddressState::Suppressed).await;
    for _ in 0..3 {
        assert_eq!(world.order(0, "A@example.jp", NOON).await, Ordered::Suppressed);
    }
    assert!(matches!(world.order(1, "a@example.jp", NOON).await, Ordered::TooOften { .. }));
    assert_eq!(world.events().await, Vec::<String>::new());
    let told = audit::told(&world.tests.store).await;
    assert!(told.len() == 3 && told.iter().all(|entry| entry.starts_with("user_address_tested ")), "{told:?}");
}

#[tokio::test]
async fn r004_r109_the_smartphone_plan_sends_no_test() {
    let mut world = World::open().await;
    world.visitors[0].policy.plan = Plan::Smartphone;
    assert_eq!(world.order(0, "a@example.jp", NOON).await, Ordered::NoMail);
    world.visitors[0].policy.plan = Plan::Academic;
    assert!(matches!(world.order(0, "a@example.jp", NOON).await, Ordered::Sent(_)));
}

#[tokio::test]
async fn r110_only_the_pressed_button_proves_that_an_address_is_read() {
    let world = World::open().await;
    let test = world.sent("a@example.jp").await;
    let token = world.token(&test, Purpose::ContactTest);
    let later = NOON.plus(Span::from_secs(60));
    for _ in 0..10 {
        let Sight::Open(seen) = world.look(&token, later).await else { panic!() };
        world.tests.note_opened(&seen, later).await.unwrap();
    }
    let opened = world.test(test.id).await;
    assert_eq!((opened.opened_at, opened.arrived_at), (Some(later), None));
    assert_eq!(world.state("a@example.jp").await, None);

    let pressed = NOON.plus(Span::from_secs(90));
    assert!(world.tests.arrive(&test, pressed).await.unwrap());
    assert_eq!(world.state("a@example.jp").await, Some(AddressState::Verified));
    assert!(!world.tests.arrive(&test, NOON.plus(Span::from_secs(99))).await.unwrap());
    let Sight::Arrived(seen, at) = world.look(&token, later).await else { panic!() };
    assert_eq!((seen.arrived_at, at), (Some(pressed), pressed));
    assert_eq!(world.events().await, ["queued", "opened", "arrived", "marked"]);
    let told = |name: &str, by: &str| format!(r#"{name} {by} {{"test":"{}","address":"a***@example.jp"}}"#, test.id);
    let expected = [
        told("user_address_tested", "member"),
        told("link_issued", "member"),
        told("link_opened", "anybody"),
        told("link_finished", "anybody"),
        told("user_address_verified", "anybody"),
    ];
    assert_eq!(audit::told(&world.tests.store).await, expected);
}

#[tokio::test]
async fn r110_each_state_of_a_link_has_its_own_sight() {
    let world = World::open().await;
    let test = world.sent("a@example.jp").await;
    let token = world.token(&test, Purpose::ContactTest);
    let over = test.expires;
    assert!(matches!(world.look(&token, over.minus(Span::from_millis(1))).await, Sight::Open(_)));
    assert_eq!(world.look(&token, over).await, Sight::Expired { until: over });
    assert_eq!(world.look(&token[..66], NOON).await, Sight::Cut);
    assert_eq!(world.look(&world.token(&test, Purpose::Registration), NOON).await, Sight::Forged);
    let forgotten = ContactTest { id: ContactTestId::new(4_711), ..test.clone() };
    let token_of_none = world.token(&forgotten, Purpose::ContactTest);
    assert_eq!(world.look(&token_of_none, NOON).await, Sight::Expired { until: over });
    // What arrived in time has arrived, however late somebody looks.
    assert!(world.tests.arrive(&test, NOON).await.unwrap());
    assert!(matches!(world.look(&token, over).await, Sight::Arrived(_, NOON)));
}

#[tokio::test]
async fn no_row_holds_a_link_that_opens() {
    let world = World::open().await;
    let test = world.sent("a@example.jp").await;
    let token = world.token(&test, Purpose::ContactTest);
    world.tests.arrive(&test, NOON).await.unwrap();
    let signature = &token[45..];
    for entry in std::fs::read_dir(world.folder.path()).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            let bytes = std::fs::read(&path).unwrap();
            assert!(!bytes.windows(signature.len()).any(|part| part == signature.as_bytes()), "{}", path.display());
        }
    }
}
