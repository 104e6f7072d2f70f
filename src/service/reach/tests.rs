use super::*;
use crate::model::{Language, Reply, Stage};
use crate::queue::{Class, Job, NewJob};
use crate::store::{AddressRow, AddressState, Location, NewMember, Options};

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn said(came: Came, moment: i64) -> Said {
    Said { at: at(moment), came, quote: None }
}

#[test]
fn every_cause_and_every_verdict_has_its_reading() {
    for (came, reading) in [
        (Came::Accepted, Reading::Taken),
        (Came::Expired, Reading::Missed),
        (Came::Lost, Reading::Unsure),
        (Came::Suppressed, Reading::Stopped),
        (Came::Deferred(Cause::Dns), Reading::Waiting),
        (Came::Deferred(Cause::Unreachable), Reading::Waiting),
        (Came::Deferred(Cause::Tls), Reading::Waiting),
        (Came::Deferred(Cause::Greylisted), Reading::Waiting),
        (Came::Deferred(Cause::Throttled), Reading::Waiting),
        (Came::Deferred(Cause::Said), Reading::Waiting),
        (Came::Deferred(Cause::Lost), Reading::Waiting),
        (Came::Deferred(Cause::NoKey), Reading::Ours),
        (Came::Deferred(Cause::Ours), Reading::Ours),
        (Came::Deferred(Cause::Full), Reading::Full),
        (Came::Refused(Verdict::UnknownUser), Reading::Unknown),
        (Came::Refused(Verdict::Filtered), Reading::Filtered),
        (Came::Refused(Verdict::Full), Reading::Full),
        (Came::Refused(Verdict::SuspendedUser), Reading::Closed),
        (Came::Refused(Verdict::Throttled), Reading::Missed),
        (Came::Refused(Verdict::Outage), Reading::Missed),
        (Came::Refused(Verdict::TooLarge), Reading::Ours),
        (Came::Refused(Verdict::Policy), Reading::Ours),
        (Came::Refused(Verdict::OurFault), Reading::Ours),
        (Came::Refused(Verdict::Unclear), Reading::Unclear),
    ] {
        assert_eq!(judge(&[said(came, 9)], None, false), reading, "{came:?}");
        assert_eq!(judge(&[said(came, 9)], Some(at(9)), false), Reading::Read, "{came:?}");
        assert_eq!(judge(&[said(came, 9)], Some(at(9)), true), Reading::Stopped, "{came:?}");
    }
}

#[test]
fn what_came_after_the_proof_counts_unless_it_was_taken() {
    let refused = said(Came::Refused(Verdict::Filtered), 9);
    let taken = said(Came::Accepted, 9);
    assert_eq!(judge(std::slice::from_ref(&refused), Some(at(8)), false), Reading::Filtered);
    assert_eq!(judge(std::slice::from_ref(&taken), Some(at(8)), false), Reading::Read);
    assert_eq!(judge(&[taken, refused], None, false), Reading::Taken);
    assert_eq!(judge(&[], None, false), Reading::Nothing);
    assert_eq!(judge(&[], Some(at(1)), false), Reading::Read);
}

/// A store with two members who hold one address.
struct World {
    store: Store,
    reach: Reach,
    members: [MemberId; 2],
    _folder: tempfile::TempDir,
}

fn address() -> EmailAddress {
    "hanako@docomo.ne.jp".parse().unwrap()
}

impl World {
    async fn open() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(Options::new(Location::Sqlite(folder.path().join("test.db")))).await.unwrap();
        let members = store.write::<_, StoreError, _>(|tx| {
            let org = tx.add_org(&"DEMO".parse().unwrap(), "デモ", None, at(1))?.unwrap();
            let mut add = |login: &str| {
                let member = NewMember {
                    login: login.parse().unwrap(),
                    name: "花子".to_owned(),
                    kana: None,
                    department: None,
                    language: Language::Ja,
                    password_hash: None,
                    addresses: [None, Some(address()), None],
                };
                Ok::<_, StoreError>(tx.put_member(org, &member, at(1))?.0)
            };
            Ok([add("0001")?, add("0002")?])
        });
        let members = members.await.unwrap();
        Self { reach: Reach::new(store.clone()), store, members, _folder: folder }
    }

    /// Has a member order a test, and tells what came of it.
    async fn test(&self, who: usize, tell: impl Fn(&mut Tx<'_>, &Job) -> Result<(), StoreError> + Send + 'static) {
        let member = self.members[who];
        self.store
            .write::<_, StoreError, _>(move |tx| {
                let test = tx.begin_contact_test(member, &address(), at(10), at(900))?;
                let content = Content::ContactTest { test, key: 1, expires: 9, nonce: "00".to_owned() };
                let order = NewJob {
                    class: Class::ContactTest,
                    to: address(),
                    content,
                    language: None,
                    cause: None,
                    queued_at: at(10),
                    due: at(10),
                    give_up: at(900),
                };
                let job = tx.enqueue(&order)?;
                tx.send_contact_test(test, job)?;
                maillog::queued(tx, job, &order)?;
                let job = tx.job(job)?.unwrap();
                tell(tx, &job)
            })
            .await
            .unwrap();
    }

    async fn standing(&self, who: usize) -> Standing {
        let mut all = self.reach.of_member(self.members[who]).await.unwrap();
        let (place, told, standing) = all.pop().unwrap();
        assert_eq!((place, told, all.len()), (Priority::Second, address(), 0));
        standing
    }
}

#[tokio::test]
async fn a_member_is_told_of_no_mail_but_their_own() {
    let world = World::open().await;
    world
        .test(0, |tx, job| {
            let reply = Reply::new(550, "Unknown user hanako@docomo.ne.jp");
            maillog::refused(tx, job, Stage::Data, &reply, Verdict::Filtered, at(20))
        })
        .await;
    let own = world.standing(0).await;
    assert_eq!(own.reading, Reading::Filtered);
    let quote = Some("550 Unknown user hanako@docomo.ne.jp".to_owned());
    assert_eq!(own.said, [Said { at: at(20), came: Came::Refused(Verdict::Filtered), quote }]);
    let other = world.standing(1).await;
    assert_eq!(other, Standing { reading: Reading::Nothing, read_at: None, taken_at: None, said: Vec::new() });
}

#[tokio::test]
async fn the_proof_of_one_member_is_not_that_of_another() {
    let world = World::open().await;
    world.test(0, |tx, job| maillog::accepted(tx, job, &Reply::new(250, "2.0.0 Ok"), at(20))).await;
    let taken = world.standing(0).await;
    assert_eq!((taken.reading, taken.taken_at), (Reading::Taken, Some(at(20))));
    let member = world.members[0];
    world
        .store
        .write::<_, StoreError, _>(move |tx| {
            let test = tx.last_contact_test(member)?.unwrap();
            tx.note_test_arrived(test.id, at(30))?;
            tx.note_address(&AddressRow {
                address: address(),
                state: AddressState::Verified,
                verdict: None,
                stage: None,
                reply: None,
                at: Some(at(30)),
                verified_at: Some(at(30)),
                unknown_day: None,
            })
        })
        .await
        .unwrap();
    let read = world.standing(0).await;
    assert_eq!((read.reading, read.read_at, read.taken_at), (Reading::Read, Some(at(30)), Some(at(20))));
    assert_eq!(world.standing(1).await.reading, Reading::Nothing);
}

#[tokio::test]
async fn the_last_tries_come_first_and_words_of_our_own_are_not_quoted() {
    let world = World::open().await;
    world
        .test(0, |tx, job| {
            let busy = Reply::new(451, "4.7.1 later");
            for moment in [20, 30, 40] {
                maillog::deferred(tx, job, Stage::Rcpt, &busy, Cause::Greylisted, at(900), at(moment))?;
            }
            let lost = Reply::new(0, "the connection to 203.0.113.9 was lost");
            maillog::deferred(tx, job, Stage::Connect, &lost, Cause::Unreachable, at(900), at(50))
        })
        .await;
    let standing = world.standing(0).await;
    assert_eq!(standing.reading, Reading::Waiting);
    let told: Vec<_> = standing.said.iter().map(|said| (said.at, said.quote.as_deref())).collect();
    assert_eq!(told, [(at(50), None), (at(40), Some("451 4.7.1 later")), (at(30), Some("451 4.7.1 later"))]);
}

#[tokio::test]
async fn a_test_stands_where_its_own_mail_stands() {
    let world = World::open().await;
    world.test(0, |tx, job| maillog::accepted(tx, job, &Reply::new(250, "Ok"), at(20))).await;
    world.test(0, |_, _| Ok(())).await;
    let member = world.members[0];
    let last = || async { world.store.read::<_, StoreError, _>(move |tx| tx.last_contact_test(member)).await.unwrap() };
    let test = last().await.unwrap();
    assert_eq!(world.reach.of_test(test.clone()).await.unwrap().reading, Reading::Underway);
    let unsent = ContactTest { job: None, ..test.clone() };
    assert_eq!(world.reach.of_test(unsent).await.unwrap().reading, Reading::Stopped);
    let arrived = ContactTest { arrived_at: Some(at(30)), ..test };
    assert_eq!(world.reach.of_test(arrived).await.unwrap().reading, Reading::Read);
}

#[tokio::test]
async fn a_registration_is_a_proof_and_a_struck_off_address_says_so() {
    let world = World::open().await;
    let member = world.members[0];
    world
        .store
        .write::<_, StoreError, _>(move |tx| {
            let id = tx.begin_registration(&address(), None, at(5), at(900))?;
            assert!(tx.finish_registration(id, member, Priority::Second, at(7))?);
            Ok(())
        })
        .await
        .unwrap();
    let standing = world.standing(0).await;
    assert_eq!((standing.reading, standing.read_at), (Reading::Read, Some(at(7))));
    let row = AddressRow {
        address: address(),
        state: AddressState::Suppressed,
        verdict: None,
        stage: None,
        reply: None,
        at: None,
        verified_at: None,
        unknown_day: Some(1),
    };
    world.store.write(move |tx| tx.note_address(&row)).await.unwrap();
    assert_eq!(world.standing(0).await.reading, Reading::Stopped);
}
