//! The page behind the link of a test mail.

use super::house::{Browser, House, Page};
use karamail::link::{Link, Purpose};
use karamail::model::{ContactTestId, EmailAddress, Language, MemberId, Span, Timestamp};
use karamail::random::Random;
use karamail::service::session::Stage;
use karamail::store::{AddressState, Session, StoreError};
use sha2::{Digest, Sha256};

const TYPED: &str = "hanako@docomo.ne.jp";

/// A browser in which a member is logged in.
pub async fn signed_in(house: &House, member: MemberId) -> Browser {
    signed_in_at(house, member, Stage::Full).await
}

/// A browser in which a member's login has got so far.
pub async fn signed_in_at(house: &House, member: MemberId, stage: Stage) -> Browser {
    let chance: [u8; 32] = Random::system().bytes().unwrap();
    let hash: [u8; 32] = Sha256::digest(chance).into();
    let now = house.clock.now();
    let session = Session {
        member,
        created: now,
        seen: now,
        password_at: now,
        code_at: (stage == Stage::Full).then_some(now),
        last_login: None,
        stage: stage.as_str().to_owned(),
        language: Language::Ja,
    };
    house.store.write::<_, StoreError, _>(move |tx| tx.open_session(&hash, &session)).await.unwrap();
    let mut browser = house.browser();
    browser.cookies.insert("karamail".to_owned(), data_encoding::BASE64URL_NOPAD.encode(&chance));
    browser
}

/// A test that a member ordered, and the token of its link.
async fn ordered(house: &House, to: &'static str) -> (ContactTestId, String) {
    let member = house.member("0101", "見本 花子", Language::Ja, None).await;
    let now = house.clock.now();
    let expires = Timestamp::from_millis(now.plus(Span::from_secs(86_400)).seconds() * 1_000);
    let begin =
        move |tx: &mut karamail::store::Tx<'_>| tx.begin_contact_test(member, &to.parse().unwrap(), now, expires);
    let test = house.store.write::<_, StoreError, _>(begin).await.unwrap();
    let link = Link { purpose: Purpose::ContactTest, row: test.number(), expires: expires.seconds(), nonce: [7; 16] };
    (test, link.mint(house.keys.link()))
}

async fn moments(house: &House, test: ContactTestId) -> (Option<Timestamp>, Option<Timestamp>) {
    let test = house.store.read::<_, StoreError, _>(move |tx| tx.contact_test(test)).await.unwrap().unwrap();
    (test.opened_at, test.arrived_at)
}

async fn state(house: &House, address: &str) -> Option<AddressState> {
    let address: EmailAddress = address.parse().unwrap();
    let row = house.store.read::<_, StoreError, _>(move |tx| tx.address(&address)).await.unwrap();
    row.map(|row| row.state)
}

#[tokio::test]
async fn r110_the_pressed_button_proves_that_the_mail_arrived_without_any_login() {
    let house = House::open().await;
    let (test, token) = ordered(&house, TYPED).await;
    let mut phone = house.browser();
    let page = phone.get(&format!("/c/{token}")).await;
    page.has(TYPED).has("メールが届きました").has("2026/11/23 07:00").has_not("http-equiv=\"refresh\"");
    assert_eq!(moments(&house, test).await, (Some(house.clock.now()), None));
    assert_eq!(state(&house, TYPED).await, None);

    phone.submit(&[]).await.has("届くことを確認しました").has(TYPED).has("role=\"status\"");
    assert_eq!(phone.path, format!("/c/{token}/done"));
    assert_eq!(moments(&house, test).await.1, Some(house.clock.now()));
    assert_eq!(state(&house, TYPED).await, Some(AddressState::Verified));
    assert_eq!(house.events("arrived").await.len(), 1);
    let event = house.events("arrived").await.pop().unwrap();
    assert!(event.contains("h***@docomo.ne.jp") && !event.contains(TYPED), "{event}");
    // The page stays where it is, however often it is looked at.
    phone.get(&format!("/c/{token}/done")).await.has("届くことを確認しました");
    house.close().await;
}

#[tokio::test]
async fn r110_a_second_press_says_that_it_is_done() {
    let house = House::open().await;
    let (_, token) = ordered(&house, TYPED).await;
    let (mut phone, mut tablet) = (house.browser(), house.browser());
    phone.get(&format!("/c/{token}")).await;
    tablet.get(&format!("/c/{token}")).await;
    phone.submit(&[]).await.has("届くことを確認しました");
    house.clock.turn(Span::from_secs(60));
    let page = tablet.submit(&[]).await;
    page.has("確認はもう済んでいます").has("2026/11/22 07:00 に").has_not("<form method=\"post\" action=\"/c/");
    assert_eq!(page.status, 200);
    assert_eq!(house.events("arrived").await.len(), 1);
    house.close().await;
}

#[tokio::test]
async fn r110_a_scanner_proves_nothing_and_leaves_the_link_usable() {
    let house = House::open().await;
    let (test, token) = ordered(&house, TYPED).await;
    let path = format!("/c/{token}");
    let mut scanner = house.browser();
    for _ in 0..10 {
        assert_eq!(scanner.send("HEAD", &path, None).await.status, 200);
    }
    assert_eq!(moments(&house, test).await, (None, None));
    let first = house.clock.now();
    for _ in 0..10 {
        assert_eq!(scanner.send("GET", &path, None).await.status, 200);
        assert_eq!(scanner.send("GET", &format!("{path}/done"), None).await.status, 303);
        house.clock.turn(Span::from_secs(1));
    }
    // A scanner that sends forms has no cookie of ours, or no token.
    let mut blunt = house.browser();
    blunt.send("POST", &path, Some("")).await;
    assert_eq!(blunt.page.header("location"), format!("/cookies?c={token}"));
    scanner.send("POST", &path, Some("form=x")).await;
    assert_eq!(moments(&house, test).await, (Some(first), None));
    assert_eq!(house.events("opened").await.len(), 1);
    assert_eq!(state(&house, TYPED).await, None);
    let mut phone = house.browser();
    phone.get(&path).await;
    phone.submit(&[]).await.has("届くことを確認しました");
    house.close().await;
}

/// What a link says that does not lead to a test.
fn says(page: &Page, status: u16, text: &str) {
    assert_eq!(page.status, status, "{}", page.body);
    page.has(text).has_not("<button type=\"submit\">メールが届きました");
}

#[tokio::test]
async fn r110_cut_forged_and_expired_links_are_explained() {
    let house = House::open().await;
    let (test, token) = ordered(&house, TYPED).await;
    let mut phone = house.browser();
    for cut in ["/c", "/c/", &format!("/c/{}", &token[..60]), &format!("/c/{token}/")] {
        says(phone.get(cut).await, 404, "リンクが途中で切れています");
    }
    let mut forged = token.clone().into_bytes();
    forged[30] = if forged[30] == b'A' { b'B' } else { b'A' };
    says(phone.get(&format!("/c/{}", String::from_utf8(forged).unwrap())).await, 404, "このリンクは使えません");
    // The link of a registration opens no test, and the other way round.
    let registration = house.registration("b@example.jp", None).await;
    says(phone.get(&format!("/c/{registration}")).await, 404, "このリンクは使えません");
    says(phone.get(&format!("/r/{token}")).await, 404, "このリンクは使えません");
    // What a mail program took for a part of the link is forgiven.
    phone.get(&format!("/c/{token}%3E")).await.has(TYPED);

    phone.get(&format!("/c/{token}")).await;
    house.clock.turn(Span::from_secs(86_400));
    says(phone.submit(&[]).await, 410, "2026/11/23 07:00 まで");
    says(phone.get(&format!("/c/{token}?lang=en")).await, 410, "This link was valid until");
    assert_eq!(moments(&house, test).await.1, None);
    house.close().await;
}

#[tokio::test]
async fn without_cookies_the_way_back_leads_to_the_test() {
    let house = House::open().await;
    let (_, token) = ordered(&house, TYPED).await;
    let mut phone = house.browser();
    phone.get(&format!("/c/{token}")).await;
    phone.cookies.clear();
    let (path, body) = phone.form(&[]);
    phone.send("POST", &path, Some(&body)).await;
    let to = phone.page.header("location").to_owned();
    phone.cookies.clear();
    phone.get(&to).await.has("Cookie").has(&format!("href=\"/c/{token}\""));
    house.close().await;
}

#[tokio::test]
async fn marks_of_html_in_an_address_are_shown_and_not_obeyed() {
    let house = House::open().await;
    let (_, token) = ordered(&house, "\"<b>'&x\"@example.jp").await;
    let mut phone = house.browser();
    for path in [format!("/c/{token}"), format!("/c/{token}/done")] {
        phone.get(&path).await.has("&lt;b&gt;").has_not("<b>");
        if path.ends_with(&token) {
            phone.submit(&[]).await;
        }
    }
    house.close().await;
}
