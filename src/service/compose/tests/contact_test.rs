//! The test of an address.

use super::{EXPIRES, NOON, World, job, parts, ring, world};
use crate::link::{Link, Purpose};
use crate::model::{ContactTestId, Language, Span, Timestamp};
use crate::queue::Content;
use crate::service::compose::{Composed, Unwanted, pointless};
use crate::store::{AddressRow, AddressState, NewMember, StoreError};
use data_encoding::HEXLOWER;

/// A world with a test of an address by a member of DEMO, as its job.
async fn tested(language: Language, to: &'static str) -> (World, ContactTestId) {
    let mut world = world(None).await;
    let begun = world.store.write(move |tx| {
        let org = tx.add_org(&"DEMO".parse().unwrap(), "デモ<団体>", Some("Demo Trading"), NOON)?.unwrap();
        let member = NewMember {
            login: "0001".parse().unwrap(),
            name: "<b>花子</b>".to_owned(),
            kana: None,
            department: None,
            language: Language::Ja,
            password_hash: None,
            addresses: [None, None, None],
        };
        let (member, _) = tx.put_member(org, &member, NOON)?;
        tx.begin_contact_test(member, &to.parse().unwrap(), NOON, Timestamp::from_millis(EXPIRES * 1_000))
    });
    let test = begun.await.unwrap();
    let content = Content::ContactTest { test, key: 1, expires: EXPIRES, nonce: HEXLOWER.encode(&[9; 16]) };
    world.job = job(content, to, None);
    world.job.order.language = Some(language);
    (world, test)
}

#[tokio::test]
async fn r105_r106_a_test_says_what_it_is_and_carries_one_link() {
    let (world, test) = tested(Language::Ja, "a..b.@docomo.ne.jp").await;
    let mail = world.mail().await;
    assert_eq!(mail.to.to_wire(), "\"a..b.\"@docomo.ne.jp");
    let (header, text) = parts(&mail);
    for field in [
        "From: =?utf-8?B?44OH44OiPOWbo+S9kz4=?= <anpi@mob-connect.example>\r\n",
        "To: <\"a..b.\"@docomo.ne.jp>\r\n",
        "Subject: =?utf-8?B?6YCj57Wh5YWI56K66KqN?=\r\n",
        "Auto-Submitted: auto-generated\r\n",
    ] {
        assert!(header.contains(field), "{field} in {header}");
    }
    let token = text.lines().find_map(|line| line.strip_prefix("https://www.mc-anpi.example/c/")).unwrap();
    let expected = format!(
        "\
デモ<団体>より、連絡先メールアドレスの確認です。

次のURLを開き、画面のボタンを押すと、このアドレスに届くことを確認できます。

https://www.mc-anpi.example/c/{token}

このURLは 2026/11/23 12:00（日本時間）まで使えます。

このメールは、「個人情報メンテナンス」の画面で「連絡先（MAIL）」に入力されたアドレスへお送りしています。お心当たりがないときは、何もせずに削除してください。

--
このメールは送信専用のアドレスからお送りしています。ご返信には対応できません。
デモ<団体>
"
    );
    assert_eq!(text, expected);
    let link = Link::verify(token, Purpose::ContactTest, &ring(1, &[1]), NOON).unwrap();
    assert_eq!((link.row, link.expires, link.nonce), (test.number(), EXPIRES, [9; 16]));
    assert_eq!(mail, world.mail().await);
}

#[tokio::test]
async fn r107_a_test_ordered_on_an_english_page_is_english_but_for_the_title() {
    let (world, _) = tested(Language::En, "a@example.jp").await;
    let (header, text) = parts(&world.mail().await);
    assert!(header.contains("\r\nSubject: Confirmation of your contact address\r\n"), "{header}");
    let token = text.lines().find_map(|line| line.strip_prefix("https://www.mc-anpi.example/c/")).unwrap();
    let expected = format!(
        "\
This is a confirmation of a contact address by デモ<団体>.

Open this link and press the button there, to confirm that mail arrives at this address.

https://www.mc-anpi.example/c/{token}

The link works until 2026/11/23 12:00, Japan time.

This mail was sent to the address that was entered under “Contact (MAIL)” on the page “Personal information”. If you do not know why, just delete it.

--
This address only sends mail; nobody reads replies.
デモ<団体>
"
    );
    assert_eq!(text, expected);
}

#[tokio::test]
async fn nothing_a_member_typed_stands_in_a_test_but_the_address() {
    let (world, _) = tested(Language::Ja, "\"<script>\"@example.jp").await;
    let (header, text) = parts(&world.mail().await);
    assert!(header.contains("To: <\"<script>\"@example.jp>\r\n"), "{header}");
    assert!(!text.contains("script") && !text.contains("花子"), "{text}");
}

#[tokio::test]
async fn a_test_that_arrived_or_is_forgotten_is_not_sent_again() {
    let (mut world, test) = tested(Language::Ja, "a@example.jp").await;
    world.store.write::<_, StoreError, _>(move |tx| tx.note_test_arrived(test, NOON)).await.unwrap();
    assert_eq!(world.composed().await, pointless("the test has arrived"));
    let late = NOON.plus(Span::from_secs(10 * 86_400));
    world.store.write::<_, StoreError, _>(move |tx| tx.trim_contact_tests(late, 9)).await.unwrap();
    assert_eq!(world.composed().await, pointless("the test is forgotten"));
    let Content::ContactTest { nonce, .. } = &mut world.job.order.content else { panic!() };
    nonce.truncate(3);
    assert!(world.composer(ring(1, &[1])).compose(&world.job).await.is_err());
}

#[tokio::test]
async fn a_test_is_not_sent_to_an_address_that_was_struck_off_meanwhile() {
    let (world, _) = tested(Language::Ja, "a@example.jp").await;
    let row = AddressRow {
        address: "A@example.jp".parse().unwrap(),
        state: AddressState::Suppressed,
        verdict: None,
        stage: None,
        reply: None,
        at: None,
        verified_at: None,
        unknown_day: None,
    };
    world.store.write(move |tx| tx.note_address(&row)).await.unwrap();
    assert_eq!(world.composed().await, Composed::Unwanted(Unwanted::Suppressed));
}
