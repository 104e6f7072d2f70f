//! `/login/confirm`: what a stranger's right password takes after very many wrong ones.

use super::frame::check;
use super::house::{Browser, House, NOTICES, OWN, START};
use super::two_factor::{mailed, other_than, send};
use karamail::model::{MemberId, Priority, Span};
use karamail::random::Random;
use karamail::service::login::{Login, MANY};
use karamail::store::{StoreError, Tx};

const PAGE: &str = "/login/confirm";

/// A house whose member 0001 has chosen a password and has two addresses; and the browser in which that was.
async fn house() -> (House, Browser, MemberId) {
    let house = House::open().await;
    let mut phone = house.browser();
    phone.sign_in("0001", START).await;
    phone.submit(&[("new", OWN), ("again", OWN)]).await.has("<h1>メニュー</h1>");
    let find = |tx: &mut Tx<'_>| {
        let org = tx.org(&"DEMO".parse().unwrap())?.unwrap();
        Ok(tx.member(org.id, &"0001".parse().unwrap())?.unwrap().id)
    };
    let member = house.store.read::<_, StoreError, _>(find).await.unwrap();
    house.put(member, Priority::First, "hanako@docomo.ne.jp").await;
    house.put(member, Priority::Third, "hanako@ezweb.ne.jp").await;
    (house, phone, member)
}

/// So many tries for the account have failed, from anywhere.
async fn failed(house: &House, id: &str, tries: u32) {
    let (keys, hasher, now) = (house.chain.clone(), house.hasher.clone().unwrap(), house.clock.now());
    let login = Login::new(house.store.clone(), keys, hasher, Random::system(), NOTICES);
    let account = login.account("DEMO", id);
    let quiet = now.minus(Span::from_secs(60));
    let count = move |tx: &mut Tx<'_>| (0..tries).try_for_each(|_| tx.count_try(&account, quiet, now).map(drop));
    house.store.write::<_, StoreError, _>(count).await.unwrap();
}

#[tokio::test]
async fn after_a_hundred_failures_a_new_phone_is_asked_for_a_code_that_comes_by_mail() {
    let (house, mut known, _) = house().await;
    failed(&house, "0001", MANY).await;
    let mut phone = house.browser();
    phone.get("/account/profile").await;
    let typed = [("org", "DEMO"), ("id", "0001"), ("password", OWN)];
    phone.submit(&typed).await.has("<h1>ログインの確認</h1>").has("まちがったパスワードが何度も入力されています");
    assert_eq!(phone.path, format!("{PAGE}?back=/account/profile"));
    check(&phone.page, "ja", &[]);
    phone.page.has(">h***@docomo.ne.jp に送る</button>").has(">h***@ezweb.ne.jp に送る</button>");
    phone.page.has_not("hanako@").has_not("name=\"otp\"");
    // No other page opens, and the phone is not a known one yet.
    for page in ["/account", "/account/profile", "/login", "/login/code", "/login/again"] {
        phone.get(page).await.has("<h1>ログインの確認</h1>");
    }
    assert!(!phone.cookies.contains_key("karamail-device"));

    phone.get(&format!("{PAGE}?back=/account/profile")).await;
    send(&mut phone, "/login/confirm/send", &[("priority", "3")]).await.has("ワンタイムパスワードをメールで送りました");
    phone.page.has("h***@ezweb.ne.jp に送りました").has("autocomplete=\"one-time-code\"");
    check(&phone.page, "ja", &[]);
    let (code, to) = mailed(&house).await;
    assert_eq!(to, "hanako@ezweb.ne.jp");
    send(&mut phone, "/login/confirm/send", &[("priority", "1")]).await.has("続けて送れる回数を超えました");
    send(&mut phone, PAGE, &[("otp", "")]).await.has("ワンタイムパスワードを入力してください");
    send(&mut phone, PAGE, &[("otp", &other_than(&code))]).await.has("ワンタイムパスワードがちがいます");
    let session = phone.cookies["karamail"].clone();
    send(&mut phone, PAGE, &[("otp", &code)]).await.has("連絡先");
    assert_eq!(phone.path, "/account/profile");
    assert!(phone.cookies["karamail"] != session && phone.cookies.contains_key("karamail-device"));

    // Failures that come after that ask neither this phone nor the one from before.
    failed(&house, "0001", MANY).await;
    phone.sign_in("0001", OWN).await.has("<h1>メニュー</h1>");
    failed(&house, "0001", MANY).await;
    known.sign_in("0001", OWN).await.has("<h1>メニュー</h1>");
    house.close().await;
}

#[tokio::test]
async fn the_page_of_the_confirmation_speaks_english_and_burns_a_code_after_five_wrong_ones() {
    let (house, _, member) = house().await;
    let set = move |tx: &mut Tx<'_>| tx.set_language(member, karamail::model::Language::En);
    house.store.write::<_, StoreError, _>(set).await.unwrap();
    failed(&house, "0001", MANY).await;
    let mut phone = house.browser();
    phone.sign_in("0001", OWN).await.has("<h1>Confirm your login</h1>").has("Send it to h***@docomo.ne.jp");
    check(&phone.page, "en", &["見本", "花子", "デモ団体"]);
    send(&mut phone, "/login/confirm/send", &[("priority", "1")]).await.has("on its way by mail");
    let (code, _) = mailed(&house).await;
    for _ in 0..4 {
        send(&mut phone, PAGE, &[("otp", &other_than(&code))]).await.has("The one-time password is wrong.");
    }
    send(&mut phone, PAGE, &[("otp", &other_than(&code))]).await.has("After five wrong tries");
    send_if_there(&mut phone, &code).await;
    check(&phone.page, "en", &["見本", "花子", "デモ団体"]);
    house.clock.turn(Span::from_secs(61));
    send(&mut phone, "/login/confirm/send", &[("priority", "1")]).await.has("on its way by mail");
    let (code, _) = mailed(&house).await;
    send(&mut phone, PAGE, &[("otp", &code)]).await.has("<h1>Menu</h1>");
    house.close().await;
}

/// Sends a code although the page does not ask for one any more.
async fn send_if_there(phone: &mut Browser, code: &str) {
    phone.page.has_not("name=\"otp\"");
    let (_, body) = phone.form(&[("otp", code)]);
    phone.send("POST", PAGE, Some(&body)).await;
    phone.get(PAGE).await.has("This one-time password cannot be used");
}

#[tokio::test]
async fn a_wrong_password_looks_the_same_however_many_failed_before() {
    let (house, ..) = house().await;
    let mut seen = Vec::new();
    for (id, tries) in [("0001", 0), ("0001", MANY), ("9999", 0), ("9999", MANY)] {
        failed(&house, id, tries).await;
        let mut stranger = house.browser();
        stranger.sign_in(id, "wrong").await.has("ログインできませんでした");
        // The ways on are there for everybody.
        stranger.page.has("登録してあるアドレスから空メールを送り").has("空メールを送れないときは、管理者に");
        assert_eq!(stranger.path, "/login");
        assert!(!stranger.cookies.contains_key("karamail"));
        // But for what was typed and the form's token, it is the same page to the letter.
        let page = stranger.page.between("role=\"alert\"", "</form>").to_owned();
        seen.push(
            page.split(" value=\"").map(|part| part.split_once('"').map_or(part, |(_, rest)| rest)).collect::<String>(),
        );
        house.clock.turn(Span::from_secs(61));
    }
    seen.dedup();
    assert_eq!(seen.len(), 1, "{seen:#?}");
    house.close().await;
}

#[tokio::test]
async fn a_link_that_was_mailed_to_the_member_is_the_confirmation_and_one_to_a_new_address_is_not() {
    let (house, ..) = house().await;
    failed(&house, "0001", MANY).await;
    let token = house.registration("new@example.jp", Some("DEMO")).await;
    let mut phone = house.browser();
    phone.log_in(&token, "0001", OWN).await.has("<h1>ログインの確認</h1>");
    assert_eq!(phone.path, format!("{PAGE}?r={token}"));
    send(&mut phone, "/login/confirm/send", &[("priority", "1")]).await;
    let (code, _) = mailed(&house).await;
    send(&mut phone, PAGE, &[("otp", &code)]).await.has("優先順位を選ぶ");
    failed(&house, "0001", MANY).await;
    let token = house.registration("hanako@docomo.ne.jp", Some("DEMO")).await;
    house.browser().log_in(&token, "0001", OWN).await.has("優先順位を選ぶ");
    house.close().await;
}

#[tokio::test]
async fn without_an_address_the_wait_alone_holds_and_nobody_is_locked_out() {
    let house = House::open().await;
    failed(&house, "0001", MANY).await;
    house.browser().sign_in("0001", START).await.has("新しいパスワードを決める");
    house.close().await;
}

#[tokio::test]
async fn a_start_password_is_confirmed_before_another_one_is_chosen() {
    let house = House::open().await;
    let member = house.member("0404", "見本 花子", karamail::model::Language::Ja, Some(START)).await;
    house.put(member, Priority::First, "hanako@docomo.ne.jp").await;
    failed(&house, "0404", MANY).await;
    let mut phone = house.browser();
    phone.sign_in("0404", START).await.has("<h1>ログインの確認</h1>");
    phone.get("/login/password").await.has("<h1>ログインの確認</h1>");
    send(&mut phone, "/login/confirm/send", &[("priority", "1")]).await;
    let (code, _) = mailed(&house).await;
    send(&mut phone, PAGE, &[("otp", &code)]).await.has("新しいパスワードを決める");
    house.close().await;
}
