//! `/account/profile`: addresses tested, confirmed and saved.

use super::contact::signed_in;
use super::house::{Browser, House, OWN};
use karamail::model::{Language, MemberId, Plan, Policy, Priority, Secret, Span};
use karamail::queue::{Class, Job};
use karamail::store::{AddressRow, AddressState, JobFilter, StoreError, Tx};

/// A house with a member who has an address, and her browser on the page.
async fn at_page(house: &House) -> (MemberId, Browser) {
    let hanako = house.member("0301", "見本 花子", Language::Ja, None).await;
    house.put(hanako, Priority::First, "hanako@docomo.ne.jp").await;
    let mut phone = signed_in(house, hanako).await;
    phone.get("/account/profile").await.has("<h1>個人情報メンテナンス</h1>");
    (hanako, phone)
}

async fn jobs(house: &House) -> Vec<Job> {
    let filter = JobFilter::default();
    house.store.read::<_, StoreError, _>(move |tx| tx.list_jobs(&filter)).await.unwrap()
}

fn typed<'a>(first: &'a str, second: &'a str, third: &'a str) -> [(&'a str, &'a str); 3] {
    [("mail1", first), ("mail2", second), ("mail3", third)]
}

/// Sends the form with the button of a place.
async fn test_of(phone: &mut Browser, place: &str, mails: [(&str, &str); 3]) {
    phone.get("/account/profile").await;
    let fields: Vec<(&str, &str)> = mails.into_iter().chain([("test", place)]).collect();
    phone.submit(&fields).await;
}

#[tokio::test]
async fn r065_r069_r070_the_page_shows_who_it_is_and_advises_on_the_order() {
    let house = House::open().await;
    let (_, phone) = at_page(&house).await;
    let card = phone.page.between("id=\"person\"", "</section>");
    assert!(card.contains("<dd>0301</dd>") && card.contains("<dd>見本 花子</dd>"), "{card}");
    assert!(!card.contains("<input"), "{card}");
    phone.page.has("早く気がつくアドレスから順に").has("メールを1番目に").has("届く順番が前後することがあります");
    house.close().await;
}

#[tokio::test]
async fn r071_r104_each_address_has_its_button_and_a_test_goes_to_what_stands_in_the_field() {
    let house = House::open().await;
    let (hanako, mut phone) = at_page(&house).await;
    for place in ["1", "2", "3"] {
        phone.page.has(&format!("name=\"test\" value=\"{place}\""));
    }
    let unsaved = "ｎｅｗ..one.@docomo.ne.jp";
    test_of(&mut phone, "2", typed("hanako@docomo.ne.jp", unsaved, "")).await;
    phone.page.has("テストメールの状況").has("new..one.@docomo.ne.jp").has("テストメールを送っています");
    assert_eq!(phone.path, "/account/profile/test");
    let sent = jobs(&house).await;
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].order.to.to_string(), "new..one.@docomo.ne.jp");
    assert_eq!((sent[0].order.class, sent[0].order.language), (Class::ContactTest, Some(Language::Ja)));
    // Nothing is saved, and what was typed stays in the fields.
    assert_eq!(house.addresses(hanako).await, "1=hanako@docomo.ne.jp");
    phone.get("/account/profile").await.has(&format!("value=\"{unsaved}\"")).has("まだ登録していない入力があります");
    house.close().await;
}

#[tokio::test]
async fn r107_a_test_speaks_the_language_of_the_page() {
    let house = House::open().await;
    let (_, mut phone) = at_page(&house).await;
    phone.get("/account/profile?lang=en").await.has("Personal information");
    phone.submit(&[("mail1", "a@example.jp"), ("test", "1")]).await.has("The test mail");
    assert_eq!(jobs(&house).await[0].order.language, Some(Language::En));
    house.close().await;
}

#[tokio::test]
async fn r108_a_wrong_address_is_overwritten_tested_again_and_saved_after_a_question() {
    let house = House::open().await;
    let (hanako, mut phone) = at_page(&house).await;
    test_of(&mut phone, "1", typed("hanako@docomo.co.jp", "", "")).await;
    test_of(&mut phone, "1", typed("hanako@example.jp", "", "")).await;
    phone.page.has("hanako@example.jp").has_not("hanako@docomo.co.jp");
    phone.get("/account/profile").await;
    phone.submit(&typed("hanako@example.jp", "", "")).await;
    phone.page.has("登録の確認").has("変更します").has("hanako@docomo.ne.jp").has("hanako@example.jp");
    assert_eq!(house.addresses(hanako).await, "1=hanako@docomo.ne.jp");
    phone.submit(&[]).await.has("role=\"status\"><p>登録しました。").has("value=\"hanako@example.jp\"");
    assert_eq!(phone.path, "/account/profile");
    assert_eq!(house.addresses(hanako).await, "1=hanako@example.jp");
    assert_eq!(house.events("withdrawn").await.len(), 1);
    phone.get("/account/profile").await.has_not("まだ登録していない入力").has_not("登録しました。");
    house.close().await;
}

#[tokio::test]
async fn r072_r082_addresses_are_added_and_removed_only_after_the_ok() {
    let house = House::open().await;
    let (hanako, mut phone) = at_page(&house).await;
    phone.submit(&typed("", "a..b.@docomo.ne.jp", "\"a b\"@example.jp")).await;
    phone.page.has("新しく登録します").has("登録から外します").has("連絡が届かなくなります");
    // Cancelling keeps what was typed and saves nothing.
    phone.get("/account/profile").await.has("value=\"a..b.@docomo.ne.jp\"");
    assert_eq!(house.addresses(hanako).await, "1=hanako@docomo.ne.jp");
    phone.submit(&typed("", "a..b.@docomo.ne.jp", "")).await;
    phone.submit(&[]).await.has("登録しました。");
    assert_eq!(house.addresses(hanako).await, "2=a..b.@docomo.ne.jp");
    phone.submit(&typed("", "", "")).await.has("アドレスがひとつもなくなります");
    phone.submit(&[]).await.has("登録しました。");
    assert_eq!(house.addresses(hanako).await, "");
    phone.submit(&typed("", "", "")).await.has("変更はありませんでした");
    house.close().await;
}

#[tokio::test]
async fn r082_what_is_no_address_or_stands_there_twice_is_said_at_its_field() {
    let house = House::open().await;
    let (hanako, mut phone) = at_page(&house).await;
    phone.submit(&typed("hanako@docomo.ne.jp", "x\r\nBcc: y@z.jp", "HANAKO@docomo.ne.jp")).await;
    phone.page.has("href=\"#mail2\"").has("id=\"mail2-error\">優先順位2：メールアドレスの形になっていません");
    phone.page.has("href=\"#mail3\"").has("id=\"mail3-error\">優先順位3：同じアドレスが、上の欄にも");
    phone.page.has("value=\"HANAKO@docomo.ne.jp\"").has("aria-invalid=\"true\"");
    assert_eq!(house.addresses(hanako).await, "1=hanako@docomo.ne.jp");
    // Two members may have one address.
    let taro = house.member("0302", "見本 太郎", Language::Ja, None).await;
    let mut other = signed_in(&house, taro).await;
    other.get("/account/profile").await;
    other.submit(&typed("hanako@docomo.ne.jp", "", "")).await;
    other.submit(&[]).await.has("登録しました。");
    assert_eq!(house.addresses(taro).await, "1=hanako@docomo.ne.jp");
    house.close().await;
}

#[tokio::test]
async fn r104_what_cannot_be_tested_is_said_in_plain_words() {
    let house = House::open().await;
    let (_, mut phone) = at_page(&house).await;
    for (mails, text) in [
        (typed("", "", ""), "テストするアドレスを入力してください"),
        (typed("x", "", ""), "メールアドレスの形になっていません"),
        (typed("a@b.jp\r\nBcc: c@d.jp", "", ""), "メールアドレスの形になっていません"),
    ] {
        test_of(&mut phone, "1", mails).await;
        phone.page.has(text).has("href=\"#mail1\"");
    }
    assert_eq!(jobs(&house).await.len(), 0);
    for _ in 0..3 {
        test_of(&mut phone, "3", typed("", "", "a@example.jp")).await;
        phone.page.has("テストメールの状況");
    }
    test_of(&mut phone, "3", typed("", "", "a@example.jp")).await;
    phone.page.has("1時間に3回まで").has("href=\"#mail3\"").has("value=\"a@example.jp\"");
    assert_eq!(jobs(&house).await.len(), 3);
    house.close().await;
}

#[tokio::test]
async fn an_address_that_is_not_written_to_is_explained_with_the_way_out() {
    let house = House::open().await;
    let (_, mut phone) = at_page(&house).await;
    let row = AddressRow {
        address: "gone@docomo.ne.jp".parse().unwrap(),
        state: AddressState::Suppressed,
        verdict: None,
        stage: None,
        reply: None,
        at: None,
        verified_at: None,
        unknown_day: Some(1),
    };
    house.store.write::<_, StoreError, _>(move |tx| tx.note_address(&row)).await.unwrap();
    test_of(&mut phone, "2", typed("", "gone@docomo.ne.jp", "")).await;
    phone.page.has("このアドレスへは送っていません").has("空メールを送ってください").has("href=\"#mail2\"");
    assert_eq!(jobs(&house).await.len(), 0);
    house.close().await;
}

#[tokio::test]
async fn r004_r109_in_the_smartphone_plan_there_is_no_button_and_no_mail() {
    let house = House::open().await;
    let policy = Policy { plan: Plan::Smartphone, ..Policy::default() };
    let set = move |tx: &mut Tx<'_>| tx.set_policy(&"DEMO".parse().unwrap(), &policy);
    assert!(house.store.write::<_, StoreError, _>(set).await.unwrap());
    let (_, mut phone) = at_page(&house).await;
    phone.page.has("スマホプランでは").has_not("name=\"test\"");
    phone.submit(&[("mail1", "a@example.jp"), ("test", "1")]).await.has("スマホプランでは");
    assert_eq!(jobs(&house).await, Vec::<Job>::new());
    house.close().await;
}

#[tokio::test]
async fn r108_the_page_of_a_test_renews_itself_for_two_minutes_and_stops_when_asked_or_done() {
    const RENEWS: &str = "<noscript><meta http-equiv=\"refresh\" content=\"5\"></noscript>";
    let house = House::open().await;
    let (hanako, mut phone) = at_page(&house).await;
    test_of(&mut phone, "1", typed("a@example.jp", "", "")).await;
    phone.page.has(RENEWS).has(" data-again>").has("自動の更新を止める");
    phone.get("/account/profile/test?still=1").await.has_not("http-equiv=\"refresh\"").has_not(" data-again>");
    house.clock.turn(Span::from_secs(119));
    phone.get("/account/profile/test").await.has(RENEWS);
    house.clock.turn(Span::from_secs(1));
    phone.get("/account/profile/test").await.has_not("http-equiv=\"refresh\"").has("最新の状況を見る");

    test_of(&mut phone, "1", typed("a@example.jp", "", "")).await;
    phone.page.has(RENEWS);
    let now = house.clock.now();
    let arrive = move |tx: &mut Tx<'_>| {
        let test = tx.last_contact_test(hanako)?.unwrap();
        tx.note_test_arrived(test.id, now)
    };
    assert!(house.store.write::<_, StoreError, _>(arrive).await.unwrap());
    let page = phone.get("/account/profile/test").await;
    page.has("届くことを確認できています").has("2026/11/22 07:02").has_not("http-equiv=\"refresh\"");
    house.close().await;
}

#[tokio::test]
async fn nothing_is_saved_over_a_change_that_was_made_elsewhere() {
    let house = House::open().await;
    let (hanako, mut phone) = at_page(&house).await;
    phone.submit(&typed("mine@example.jp", "", "")).await.has("登録の確認");
    house.put(hanako, Priority::First, "other@example.jp").await;
    phone.submit(&[]).await.has("別の画面でアドレスが変更されていた").has("value=\"mine@example.jp\"");
    assert_eq!(house.addresses(hanako).await, "1=other@example.jp");
    // What was typed is taken back on request.
    phone.submit(&[("reset", "1")]).await.has("value=\"other@example.jp\"").has_not("mine@example.jp");
    house.close().await;
}

#[tokio::test]
async fn r082_an_address_that_stands_there_twice_can_be_saved_away() {
    let house = House::open().await;
    let (hanako, mut phone) = at_page(&house).await;
    house.put(hanako, Priority::Second, "Hanako@docomo.ne.jp").await;
    phone.get("/account/profile").await;
    phone.submit(&typed("hanako@docomo.ne.jp", "", "")).await.has("登録の確認");
    phone.submit(&[]).await.has("登録しました");
    assert_eq!(house.addresses(hanako).await, "1=hanako@docomo.ne.jp");
    // A form that does not tell what it showed saves nothing, and says so.
    phone.submit(&typed("hanako@docomo.ne.jp", "b@example.jp", "")).await.has("登録の確認");
    phone.submit(&[("was1", "x")]).await.has("別の画面でアドレスが変更されていた");
    house.close().await;
}

#[tokio::test]
async fn marks_of_html_in_names_and_addresses_are_shown_and_not_obeyed() {
    let house = House::open().await;
    let member = house.member("0303", "<script>alert(1)</script>", Language::Ja, None).await;
    let mut phone = signed_in(&house, member).await;
    phone.get("/account/profile").await.has("&lt;script&gt;alert(1)").has_not("<script>alert");
    phone.submit(&typed("\"<img>\"@example.jp", "\"><img>", "")).await.has_not("<img>").has("&lt;img&gt;");
    phone.submit(&typed("\"<img>\"@example.jp", "", "")).await.has("登録の確認").has_not("<img>");
    house.close().await;
}

#[tokio::test]
async fn a_stranger_reaches_none_of_the_pages() {
    let house = House::open().await;
    for path in ["/account/profile", "/account/profile/confirm", "/account/profile/test"] {
        let mut stranger = house.browser();
        stranger.get(path).await.has("ログイン").has_not("mail1");
        assert!(stranger.path.starts_with("/login"), "{path} led to {}", stranger.path);
    }
    house.close().await;
}

#[tokio::test]
async fn what_was_typed_survives_a_session_that_goes_on_under_another_name_in_another_tab() {
    let house = House::open().await;
    let (hanako, mut phone) = at_page(&house).await;
    let hasher = house.hasher.clone().unwrap();
    let hash = hasher.hash(Secret::new(OWN.to_owned()), [7; 16]).await.unwrap();
    let now = house.clock.now();
    let set = move |tx: &mut Tx<'_>| tx.set_password(hanako, &hash, now);
    house.store.write::<_, StoreError, _>(set).await.unwrap();
    let new = typed("hanako@docomo.ne.jp", "new@ezweb.ne.jp", "");
    // Twice, and once by a login: the first name is long forgotten.
    let mut tab = phone.clone();
    for _ in 0..2 {
        tab.get("/login/again?back=/account").await;
        tab.submit(&[("password", OWN)]).await.has("<h1>メニュー</h1>");
    }
    tab.sign_in("0301", OWN).await.has("<h1>メニュー</h1>");
    phone.cookies.insert("karamail".to_owned(), tab.cookies["karamail"].clone());
    phone.submit(&new).await.has("ほかの画面で").has("残してあります").has("value=\"new@ezweb.ne.jp\"");
    assert_eq!(phone.path, "/account/profile");
    assert_eq!(house.addresses(hanako).await, "1=hanako@docomo.ne.jp");
    phone.submit(&new).await.has("<h1>").has("new@ezweb.ne.jp");
    phone.submit(&[]).await;
    assert_eq!(house.addresses(hanako).await, "1=hanako@docomo.ne.jp 2=new@ezweb.ne.jp");
    house.close().await;
}

#[tokio::test]
async fn nothing_is_kept_of_a_form_that_was_not_shown_to_this_member_in_this_browser() {
    let house = House::open().await;
    let (_, phone) = at_page(&house).await;
    let other = house.member("0302", "二号", Language::Ja, None).await;
    let mut neighbour = signed_in(&house, other).await;
    let keep = |browser: &Browser| browser.page.between("name=\"keep\" value=\"", "\"").to_owned();
    neighbour.get("/account/profile").await;
    for stolen in ["", "AAAA", &keep(&neighbour)] {
        let mut tricked = phone.clone();
        let body = format!("keep={stolen}&mail1=thief@example.jp&typed=addresses");
        tricked.send("POST", "/account/profile", Some(&body)).await;
        tricked.get("/account/profile").await.has("もう一度お願いします").has_not("thief@example.jp");
    }
    // The next member at the same browser does not get what the one before had typed either.
    let mut shared = phone.clone();
    shared.cookies.insert("karamail".to_owned(), neighbour.cookies["karamail"].clone());
    shared.submit(&typed("hanako@docomo.ne.jp", "secret@example.jp", "")).await.has_not("secret@example.jp");
    house.close().await;
}
