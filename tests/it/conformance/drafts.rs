//! Forms that were half filled when a session ended.

use super::{Place, at, new_member, read, taro, write};

pub async fn a_member_has_one_draft_for_one_page(place: Place) {
    let store = place.open().await;
    let taro = taro(&store).await;
    let found = |page: u8| read(&store, move |tx| tx.draft(taro, &[page; 32]));
    assert_eq!(found(1).await, None);
    write(&store, move |tx| tx.keep_draft(taro, &[1; 32], b"first", at(1))).await;
    write(&store, move |tx| tx.keep_draft(taro, &[1; 32], b"second", at(2))).await;
    assert_eq!(found(1).await, Some((b"second".to_vec(), at(2))));
    write(&store, move |tx| tx.keep_draft(taro, &[2; 32], b"third", at(3))).await;
    assert_eq!((found(1).await, found(2).await), (None, Some((b"third".to_vec(), at(3)))));
    write(&store, move |tx| tx.drop_draft(taro, &[1; 32])).await;
    assert!(found(2).await.is_some());
    write(&store, move |tx| tx.drop_draft(taro, &[2; 32])).await;
    assert_eq!(found(2).await, None);
}

pub async fn old_drafts_are_trimmed_in_steps(place: Place) {
    let store = place.open().await;
    let taro = taro(&store).await;
    let others = ["jiro", "saburo", "shiro"];
    write(&store, move |tx| {
        let org = tx.org(&"DEMO".parse().unwrap())?.unwrap();
        tx.keep_draft(taro, &[1; 32], b"", at(9))?;
        others.iter().zip(1..).try_for_each(|(login, seconds)| {
            let (member, _) = tx.put_member(org.id, &new_member(login), at(1))?;
            tx.keep_draft(member, &[1; 32], b"", at(seconds))
        })
    })
    .await;
    for expected in [2, 1, 0] {
        assert_eq!(write(&store, |tx| tx.trim_drafts(at(9), 2)).await, expected);
    }
    assert!(read(&store, move |tx| tx.draft(taro, &[1; 32])).await.is_some());
}
