//! The audit log and its chain.

use super::{Place, at, read, taro, write};
use karamail::service::audit::{self, By, Entry};
use karamail::store::{AUDIT_TRIMMED, AuditRow, Store};
use tokio::task::JoinSet;

/// Records so many entries, each in a transaction of its own, side by side; every third is about nobody.
async fn fill(store: &Store, count: i64) {
    let taro = taro(store).await;
    let member = read(store, move |tx| tx.member_by_id(taro)).await.unwrap();
    let mut entries = JoinSet::new();
    for number in 0..count {
        let (store, member) = (store.clone(), member.clone());
        entries.spawn(async move {
            write(&store, move |tx| {
                let entry = match number % 3 {
                    0 => Entry { member: None, ..Entry::of(audit::LOGIN_FAIL, &member, By::Member) },
                    _ => Entry::of(audit::LOGIN_SUCCESS, &member, By::Member).field("number", number),
                };
                audit::record(tx, entry, at(number))
            })
            .await;
        });
    }
    entries.join_all().await;
}

async fn all(store: &Store) -> Vec<AuditRow> {
    read(store, |tx| tx.audit(None, 0, 1_000)).await
}

async fn is_whole(store: &Store) -> bool {
    audit::broken(store).await.unwrap().is_none()
}

pub async fn entries_written_side_by_side_make_one_chain(place: Place) {
    let store = place.open().await;
    fill(&store, 40).await;
    let rows = all(&store).await;
    assert_eq!(rows.len(), 40);
    assert!(is_whole(&store).await);
    let again = place.open().await;
    write(&again, |tx| tx.end_of_audit().map(|end| assert_ne!(end, None))).await;
}

pub async fn an_entry_that_was_changed_or_taken_out_breaks_the_chain(place: Place) {
    for change in [
        "UPDATE audit SET fields = '{\"number\":99}' WHERE id = 2",
        "UPDATE audit SET at = at + 1 WHERE id = 1",
        "DELETE FROM audit WHERE id = 1",
        "DELETE FROM audit WHERE id = 3",
    ] {
        let store = place.open().await;
        if all(&store).await.is_empty() {
            fill(&store, 5).await;
        }
        assert!(is_whole(&store).await, "{change}");
        store.close().await;
        place.sql("CREATE TABLE kept AS SELECT * FROM audit");
        place.sql(change);
        let store = place.open().await;
        assert!(!is_whole(&store).await, "{change}");
        store.close().await;
        place.sql("DELETE FROM audit; INSERT INTO audit SELECT * FROM kept; DROP TABLE kept");
    }
}

pub async fn the_entries_of_a_member_are_listed_page_by_page(place: Place) {
    let store = place.open().await;
    fill(&store, 9).await;
    let taro = read(&store, |tx| tx.orgs()).await[0].id;
    let member = read(&store, move |tx| tx.member(taro, &"taro".parse().unwrap())).await.unwrap().id;
    let first = read(&store, move |tx| tx.audit(Some(member), 0, 4)).await;
    let last = first[3].id;
    let rest = read(&store, move |tx| tx.audit(Some(member), last, 4)).await;
    assert_eq!((first.len(), rest.len()), (4, 2));
    let rows = [first, rest].concat();
    assert!(rows.is_sorted_by_key(|row| row.id));
    assert!(rows.iter().all(|row| row.name == audit::LOGIN_SUCCESS && row.by == "member" && row.org.is_some()));
}

/// What is left, by when it was recorded, and `-` for each entry about what was taken away.
async fn left(store: &Store) -> String {
    let rows = all(store).await;
    rows.iter()
        .map(|row| if row.name == AUDIT_TRIMMED { "-".to_owned() } else { row.at.since(at(0)).millis().to_string() })
        .collect()
}

pub async fn the_oldest_entries_are_taken_away_step_by_step_and_what_is_left_proves_itself(place: Place) {
    let store = place.open().await;
    for number in 0..6 {
        let record = move |tx: &mut karamail::store::Tx<'_>| {
            audit::record(tx, Entry::at_large(audit::LOGIN_FAIL, By::Anybody), at(number))
        };
        write(&store, record).await;
    }
    let trim = async |before: i64, limit| write(&store, move |tx| audit::trim(tx, at(before), at(9), limit)).await;
    for (before, limit, count, after) in [
        (0, 9, 0, "012345"),
        (4, 2, 2, "2345-"),
        (4, 2, 2, "45--"),
        (4, 2, 0, "45--"),
        // The entries about what was taken away go when their time has come, and the last one stays.
        (10, 9, 4, "-"),
    ] {
        assert_eq!(trim(before, limit).await, count, "{before} {limit}");
        assert_eq!(left(&store).await, after, "{before} {limit}");
        assert!(is_whole(&store).await, "{before} {limit}");
    }
}

pub async fn what_was_taken_away_without_an_entry_about_it_is_seen(place: Place) {
    for change in [
        "DELETE FROM audit WHERE id = 4",
        "DELETE FROM audit WHERE id = 5",
        "UPDATE audit SET fields = '{\"until\":4}' WHERE name = 'audit_trimmed'",
        "DELETE FROM audit WHERE name = 'audit_trimmed'",
    ] {
        let store = place.open().await;
        if all(&store).await.is_empty() {
            fill(&store, 8).await;
            assert_eq!(write(&store, |tx| audit::trim(tx, at(100), at(200), 3)).await, 3);
        }
        assert!(is_whole(&store).await, "{change}");
        store.close().await;
        place.sql("CREATE TABLE kept AS SELECT * FROM audit");
        place.sql(change);
        let store = place.open().await;
        assert!(!is_whole(&store).await, "{change}");
        store.close().await;
        place.sql("DELETE FROM audit; INSERT INTO audit SELECT * FROM kept; DROP TABLE kept");
    }
}
