//! `/login` and what follows it: the first password, the menu, logging out, and coming back.

use super::house::{ADDRESS, Browser, House, OWN, START};
use karamail::model::{Blocklist, Language, MemberId, Policy, Priority, Span};
use karamail::queue::{Content, Notice};
use karamail::store::{JobFilter, StoreError};

/// What the page at `path` asks for, with the `autocomplete` of each field.
fn fields(page: &super::house::Page) -> Vec<(String, String)> {
    let value = |input: &str, name: &str| {
        let from = input.split_once(&format!(" {name}=\""))?.1;
        Some(from.split_once('"')?.0.to_owned())
    };
    let inputs = page.body.split("<input").skip(1).filter(|input| !input.contains("type=\"hidden\""));
    inputs.filter_map(|input| Some((value(input, "name")?, value(input, "autocomplete")?))).collect()
}

/// Somebody who has chosen a password and is logged in.
async fn at_home(house: &House) -> Browser {
    let mut phone = house.browser();
    phone.sign_in("0001", START).await;
    phone.submit(&[("new", OWN), ("again", OWN)]).await.has("<h1>メニュー</h1>");
    phone
}

async fn policy(house: &House, change: impl FnOnce(&mut Policy)) {
    let mut policy = Policy::default();
    change(&mut policy);
    let set = move |tx: &mut karamail::store::Tx<'_>| tx.set_policy(&"DEMO".parse().unwrap(), &policy);
    assert!(house.store.write::<_, StoreError, _>(set).await.unwrap());
}

async fn language(house: &House, member: MemberId) -> Language {
    house.store.read::<_, StoreError, _>(move |tx| tx.member_by_id(member)).await.unwrap().unwrap().language
}

#[tokio::test]
async fn r014_r015_r016_the_login_page_asks_for_what_the_administrator_gave_out() {
    let house = House::open().await;
    let mut phone = house.browser();
    for path in ["/", "/login"] {
        let page = phone.get(path).await;
        let expected =
            [("org", "organization"), ("id", "username"), ("family", "off"), ("password", "current-password")];
        let asked = fields(page);
        assert_eq!(asked.iter().map(|(name, auto)| (name.as_str(), auto.as_str())).collect::<Vec<_>>(), expected);
        // The family code may stay empty, and nothing else.
        let required = |name: &str| page.between(&format!(" name=\"{name}\""), ">").contains(" required");
        assert_eq!(["org", "id", "family", "password"].map(required), [true, true, false, true]);
        page.has("action=\"/login\"").has("ログインできない").has("管理者におたずねください");
    }
    phone.get("/").await;
    phone.submit(&[("org", "ｄｅｍｏ"), ("id", "０００１"), ("family", ""), ("password", START)]).await;
    phone.page.has("新しいパスワードを決める");
    assert_eq!(phone.path, "/login/password");
    house.close().await;
}

#[tokio::test]
async fn r001_r015_a_family_code_is_refused_like_any_wrong_login() {
    let house = House::open().await;
    let mut phone = house.browser();
    phone.get("/login").await;
    let typed = [("org", "DEMO"), ("id", "0001"), ("family", "k1"), ("password", START)];
    phone.submit(&typed).await.has("ログインできませんでした").has("value=\"0001\"");
    assert!(!phone.cookies.contains_key("karamail"));
    phone.submit(&[("org", "DEMO"), ("id", "0001"), ("family", " "), ("password", START)]).await;
    phone.page.has("新しいパスワードを決める");
    house.close().await;
}

#[tokio::test]
async fn r017_r021_after_the_first_login_comes_the_password_and_then_the_menu() {
    let house = House::open().await;
    let token = house.registration(ADDRESS, None).await;
    let mut phone = house.browser();
    phone.sign_in("0001", START).await.has("新しいパスワードを決める").has_not("href=\"/account\"");
    for page in ["/account", "/account/password", "/login", "/login/again", "/login/password"] {
        phone.get(page).await.has("新しいパスワードを決める");
        assert!(phone.path.starts_with("/login/password"), "{page} led to {}", phone.path);
    }
    phone.get(&format!("/r/{token}")).await.has("新しいパスワードを決める");
    phone.get("/login/password").await;
    let (_, body) = phone.form(&[("new", OWN), ("again", OWN)]);
    for page in ["/account/password", "/login/again"] {
        phone.send("POST", page, Some(&body)).await;
        assert!(phone.page.header("location").starts_with("/login/password"), "{}", phone.page.header("location"));
    }
    phone.get("/login/password").await;
    phone.submit(&[("new", OWN), ("again", OWN)]).await.has("<h1>メニュー</h1>").has("パスワードを変更しました");
    // Now it is nobody's turn any more.
    phone.get("/login/password").await.has("<h1>メニュー</h1>");
    house.browser().sign_in("0001", OWN).await.has("<h1>メニュー</h1>").has_not("パスワードを変更しました");
    house.close().await;
}

#[tokio::test]
async fn a_login_leads_back_to_the_page_that_was_asked_for() {
    let house = House::open().await;
    let mut phone = house.browser();
    phone.get("/account/password").await;
    assert_eq!(phone.path, "/login?back=/account/password");
    // Neither the wrong password, nor the shown one, nor the other language loses the way.
    phone.get("/login?back=/account/password&show=1&lang=en").await;
    phone.page.has("href=\"?back=%2Faccount%2Fpassword&amp;show=1&amp;lang=ja\"");
    phone.page.has("href=\"?back=%2Faccount%2Fpassword&amp;show=0\"");
    phone.submit(&[("org", "DEMO"), ("id", "0001"), ("password", "wrong")]).await.has("could not be logged in");
    phone.submit(&[("org", "DEMO"), ("id", "0001"), ("password", START)]).await.has("Choose a new password");
    assert_eq!(phone.path, "/login/password?back=/account/password");
    phone.submit(&[("new", "1"), ("again", "1")]).await.has("Many people use");
    phone.submit(&[("new", OWN), ("again", OWN)]).await.has("<h1>Change the password</h1>");
    assert_eq!(phone.path, "/account/password");
    house.close().await;
}

#[tokio::test]
async fn r018_r019_the_gauge_is_shown_with_what_was_typed_and_weak_is_taken() {
    let house = House::open().await;
    let mut phone = house.browser();
    phone.sign_in("0001", START).await;
    phone.page.has("data-ask=\"/login/strength\" data-answer=\"strength\"").has("<p class=\"gauge\" id=\"strength\"");
    for (new, again, said, strength) in [
        ("neko3tama", "neko3tamA", "2回の入力がちがっています", "中（■■□）"),
        ("19580312", "", "2回の入力がちがっています", "弱（■□□）"),
        ("kumo-ni-noru-saru", "kumo", "2回の入力がちがっています", "強（■■■）"),
        ("demo", "demo", "団体コードと同じ", ""),
    ] {
        phone.submit(&[("new", new), ("again", again)]).await.has(said);
        let shown = phone.page.between("id=\"strength\" role=\"status\">", "</p>");
        assert!(if strength.is_empty() { shown.is_empty() } else { shown.contains(strength) }, "{new}: {shown}");
        phone.page.has_not(&format!("value=\"{new}\""));
    }
    // With scripts it is asked for while typing; nothing changes by it.
    for (new, answer) in [
        ("19580312", "パスワードの強さ：弱（■□□）"),
        ("kumo-ni-noru-saru", "パスワードの強さ：強（■■■）"),
        ("0001", "IDと同じパスワードは使えません。ほかの人にすぐわかってしまいます。"),
    ] {
        let (_, body) = phone.form(&[("new", new)]);
        let mut asking = phone.clone();
        let page = asking.send("POST", "/login/strength", Some(&body)).await;
        assert_eq!((page.status, page.body.as_str()), (200, answer));
        assert!(page.header("content-type").starts_with("text/plain"));
        assert_eq!(page.header("cache-control"), "no-store");
    }
    phone.submit(&[("new", "19580312"), ("again", "19580312")]).await.has("パスワードを変更しました");
    phone.page.has("パスワードの強さ：弱（■□□）").has("もっと長くすると");
    house.close().await;
}

#[tokio::test]
async fn the_gauge_answers_nobody_who_is_not_choosing_a_password() {
    let house = House::open().await;
    let mut stranger = house.browser();
    stranger.get("/login").await;
    let (_, body) = stranger.form(&[("new", "19580312")]);
    stranger.send("POST", "/login/strength", Some(&body)).await;
    assert_eq!((stranger.page.status, stranger.page.header("location")), (303, "/login"));
    let mut phone = at_home(&house).await;
    phone.get("/account/password").await;
    let long = "kumo-ni-noru-saru".repeat(3_000);
    let (_, body) = phone.form(&[("new", &long)]);
    phone.send("POST", "/login/strength", Some(&body)).await.has("32文字まで");
    phone.send("POST", "/login/strength", Some("new=19580312")).await;
    assert_eq!(phone.page.status, 303);
    house.close().await;
}

#[tokio::test]
async fn what_the_organisation_asks_of_passwords_is_said_and_held() {
    let house = House::open().await;
    policy(&house, |policy| {
        policy.set("password_min_length", "10").unwrap();
        policy.set("password_max_length", "64").unwrap();
        policy.set("password_min_strength", "strong").unwrap();
    })
    .await;
    let mut phone = house.browser();
    phone.sign_in("0001", START).await.has("10文字から64文字まで");
    for (new, said) in
        [("neko3tama", "10文字以上にしてください"), ("neko3tama9", "「強（■■■）」以上のパスワードが必要です")]
    {
        phone.submit(&[("new", new), ("again", new)]).await.has(said);
    }
    let long = "kumo-ni-noru-saru-to-ame-no-yoru-no-tsuki-ga-miru-yume-no-naka-5";
    assert_eq!(long.len(), 64);
    phone.submit(&[("new", long), ("again", long)]).await.has("<h1>メニュー</h1>");
    house.browser().sign_in("0001", long).await.has("<h1>メニュー</h1>");
    house.close().await;
}

#[tokio::test]
async fn r020_passwords_are_shown_on_request_with_and_without_scripts() {
    let house = House::open().await;
    let mut phone = house.browser();
    for page in ["/", "/login"] {
        phone.get(page).await.has("name=\"password\" type=\"password\"").has("data-eye=\"").has("<script>");
        phone.get(&format!("{page}?show=1")).await.has("name=\"password\" type=\"text\"").has("show=0");
    }
    phone.sign_in("0001", START).await.has("name=\"new\" type=\"password\"").has("data-eye=\"");
    phone.get("/login/password?show=1").await.has("name=\"new\" type=\"text\"").has("name=\"again\" type=\"text\"");
    house.close().await;
}

#[tokio::test]
async fn r046_the_head_of_each_page_says_who_is_logged_in_and_when_that_was_before() {
    let house = House::open().await;
    let mut phone = at_home(&house).await;
    phone.page.has("ID: <strong>0001</strong> (見本 花子)").has_not("前回のログイン");
    house.clock.turn(Span::from_secs(90 * 60));
    phone.sign_in("0001", OWN).await.has("前回のログイン：2026/11/22 07:00");
    for page in ["/account/password", "/account/bookmark", "/logout"] {
        phone.get(page).await.has("前回のログイン：2026/11/22 07:00").has("安否確認サービス").has("0001");
    }
    phone.get("/account?lang=en").await.has("Last login: 2026/11/22 07:00");
    house.close().await;
}

#[tokio::test]
async fn r055_r056_every_page_lets_one_log_out_and_asks_before_it_does() {
    let house = House::open().await;
    let phone = at_home(&house).await;
    for page in ["/account", "/account/password", "/account/bookmark", "/", "/nothing", "/cookies"] {
        let mut phone = phone.clone();
        phone.get(page).await.has("href=\"/logout\"").has("data-confirm=\"ログアウトします。よろしいですか。\"");
    }
    let mut other = phone.clone();
    other.get("/logout").await.has("ログアウトの確認").has("href=\"/account\"");
    other.get("/account").await.has("<h1>メニュー</h1>");
    other.get("/logout").await;
    other.submit(&[]).await.has("ログアウトしました").has("この画面を閉じてください").has_not("見本 花子");
    // The session is over on our side, whatever the browser kept.
    let mut kept = phone;
    kept.get("/account").await.has("name=\"password\"").has_not("見本 花子");
    house.close().await;
}

#[tokio::test]
async fn r057_what_was_half_filled_is_there_again_after_the_next_login() {
    let house = House::open().await;
    let token = house.registration(ADDRESS, None).await;
    let page = format!("/r/{token}/priority");
    at_home(&house).await;
    house.member("0003", "三号", Language::Ja, Some(START)).await;
    let mut phone = house.browser();
    phone.log_in(&token, "0001", OWN).await.has("value=\"1\" required checked");
    house.clock.turn(Span::from_secs(6 * 3_600));
    phone.submit(&[("priority", "3")]).await.has("入力の途中だった内容は残してあります").has("name=\"password\"");
    assert!(house.events("registered").await.is_empty());
    // Somebody else at the same browser does not get to see it.
    let mut neighbour = phone.clone();
    neighbour.log_in(&token, "0003", START).await;
    neighbour.submit(&[("new", OWN), ("again", OWN)]).await.has("value=\"1\" required checked").has_not("元どおり");
    phone.log_in(&token, "0001", OWN).await.has("元どおりにしました").has("value=\"3\" required checked");
    // Looking changes nothing; sending the form does.
    phone.get(&page).await.has("元どおりにしました");
    let mut tab = phone.clone();
    phone.submit(&[]).await.has("優先順位を1つ選んでください").has_not("元どおり").has("value=\"1\" required checked");
    tab.get(&page).await.has_not("元どおり");
    house.close().await;
}

#[tokio::test]
async fn a_form_that_was_not_shown_in_the_lapsed_session_is_not_kept() {
    let house = House::open().await;
    let token = house.registration(ADDRESS, None).await;
    let page = format!("/r/{token}/priority");
    at_home(&house).await;
    let mut phone = house.browser();
    phone.log_in(&token, "0001", OWN).await;
    house.clock.turn(Span::from_secs(31 * 60));
    for body in ["priority=3", "form=AAAA&priority=3"] {
        let mut tricked = phone.clone();
        tricked.send("POST", &page, Some(body)).await;
        tricked.get(&page).await.has("もう一度ログインしてください").has_not("残してあります");
        tricked.log_in(&token, "0001", OWN).await.has_not("元どおり");
    }
    // Nor is one kept of a session that was ended, by a change of the password elsewhere.
    let mut second = house.browser();
    second.log_in(&token, "0001", OWN).await;
    let mut elsewhere = house.browser();
    elsewhere.sign_in("0001", OWN).await;
    elsewhere.get("/account/password").await;
    elsewhere.submit(&[("new", "another-one-5"), ("again", "another-one-5")]).await.has("パスワードを変更しました");
    second.submit(&[("priority", "3")]).await.has("もう一度ログインしてください").has_not("残してあります");
    house.close().await;
}

#[tokio::test]
async fn r057_after_thirty_idle_minutes_the_menu_asks_for_the_login_and_leads_back() {
    let house = House::open().await;
    let mut phone = at_home(&house).await;
    house.clock.turn(Span::from_secs(1_800));
    phone.get("/account/password").await.has("しばらく操作がなかったため");
    assert_eq!(phone.path, "/login?back=/account/password");
    phone.submit(&[("org", "DEMO"), ("id", "0001"), ("password", OWN)]).await.has("<h1>パスワードの変更</h1>");
    house.close().await;
}

#[tokio::test]
async fn r061_the_language_switched_to_becomes_the_members_with_the_next_form_and_the_next_login() {
    let house = House::open().await;
    let member = house.member("0009", "見本", Language::Ja, Some(START)).await;
    let mut phone = house.browser();
    phone.sign_in("0009", START).await.has("新しいパスワードを決める");
    phone.get("/login/password?lang=en").await.has("Choose a new password");
    assert_eq!(language(&house, member).await, Language::Ja);
    phone.submit(&[("new", OWN), ("again", "x")]).await.has("The two entries differ");
    assert_eq!(language(&house, member).await, Language::En);
    phone.submit(&[("new", OWN), ("again", OWN)]).await.has("<h1>Menu</h1>");
    // Another browser, without a word about languages, speaks the member's.
    house.browser().sign_in("0009", OWN).await.has("<h1>Menu</h1>");
    let mut other = house.browser();
    other.get("/login?lang=ja").await;
    other.sign_in("0009", "wrong").await;
    assert_eq!(language(&house, member).await, Language::En);
    other.sign_in("0009", OWN).await.has("<h1>メニュー</h1>");
    assert_eq!(language(&house, member).await, Language::Ja);
    house.close().await;
}

#[tokio::test]
async fn r061_a_language_chosen_at_a_shared_browser_does_not_become_the_next_members() {
    let house = House::open().await;
    let (english, japanese) = ("0003", "0004");
    house.member(english, "三号", Language::Ja, Some(START)).await;
    let next = house.member(japanese, "四号", Language::Ja, Some(START)).await;
    let mut shared = house.browser();
    shared.get("/login?lang=en").await.has("Log in");
    shared.sign_in(english, START).await;
    shared.submit(&[("new", OWN), ("again", OWN)]).await.has("<h1>Menu</h1>");
    shared.get("/logout").await;
    shared.submit(&[]).await.has("logged out");
    shared.get("/login").await.has("Log in");
    shared.sign_in(japanese, START).await.has("新しいパスワードを決める");
    shared.submit(&[("new", OWN), ("again", OWN)]).await.has("<h1>メニュー</h1>");
    assert_eq!(language(&house, next).await, Language::Ja);
    // Nor does what a link on another site asks for.
    let mut led = house.browser().with("sec-fetch-site", "cross-site");
    led.get("/login?lang=en").await.has("Log in");
    led.headers.clear();
    led.sign_in(japanese, OWN).await.has("<h1>メニュー</h1>");
    assert_eq!(language(&house, next).await, Language::Ja);
    house.close().await;
}

#[tokio::test]
async fn a_link_mailed_to_the_member_is_a_way_in_past_a_stranger_of_the_same_network() {
    let house = House::open().await;
    let mut phone = at_home(&house).await;
    let member = house.member("0003", "三号", Language::Ja, Some(START)).await;
    house.put(member, Priority::Second, ADDRESS).await;
    phone.get("/logout").await;
    let mut guess = house.browser();
    for _ in 0..5 {
        guess.sign_in("0003", "wrong").await.has("空メール").has("それでもログインできないとき");
    }
    house.browser().sign_in("0003", START).await.has("ログインできませんでした");
    // The address of somebody else is no way in, nor is a link that is none.
    let stranger = house.registration("stranger@docomo.ne.jp", None).await;
    house.browser().log_in(&stranger, "0003", START).await.has("ログインできませんでした");
    let token = house.registration(ADDRESS, None).await;
    // Behind the link wrong ones are counted, too.
    let mut new = house.browser();
    for _ in 0..2 {
        new.log_in(&token, "0003", "wrong").await.has("ログインできませんでした");
    }
    new.log_in(&token, "0003", START).await.has("ログインできませんでした");
    house.clock.turn(Span::from_secs(1));
    for _ in 0..5 {
        guess.sign_in("0003", "wrong").await;
    }
    new.log_in(&token, "0003", START).await.has("新しいパスワードを決める");
    house.close().await;
}

#[tokio::test]
async fn two_members_at_one_browser_are_both_known_there() {
    let house = House::open().await;
    let mut shared = at_home(&house).await;
    house.member("0003", "三号", Language::Ja, Some(START)).await;
    shared.sign_in("0003", START).await.has("新しいパスワードを決める");
    for id in ["0001", "0003"] {
        for _ in 0..5 {
            house.browser().sign_in(id, "wrong").await;
        }
    }
    house.browser().sign_in("0001", OWN).await.has("ログインできませんでした");
    shared.sign_in("0001", OWN).await.has("<h1>メニュー</h1>");
    shared.sign_in("0003", START).await.has("新しいパスワードを決める");
    house.close().await;
}

#[tokio::test]
async fn r062_r063_the_menu_has_what_the_organisation_has() {
    let house = House::open().await;
    let mut phone = at_home(&house).await;
    phone.get("/account").await.has("href=\"/account/password\"").has("href=\"/account/bookmark\"");
    // Every entry leads somewhere.
    let menu = phone.page.between("<ul class=\"menu\">", "</ul>").to_owned();
    for entry in menu.split("href=\"").skip(1) {
        let path = entry.split_once('"').unwrap().0;
        assert_eq!(phone.get(path).await.status, 200, "{path}");
        phone.page.has("href=\"/account\"");
    }
    house.close().await;
}

#[tokio::test]
async fn r073_r090_a_new_password_ends_all_other_sessions_and_keeps_this_one() {
    let house = House::open().await;
    let mut phone = at_home(&house).await;
    let mut other = house.browser();
    other.sign_in("0001", OWN).await.has("<h1>メニュー</h1>");
    let thief = phone.clone();
    phone.get("/account/password").await.has("<h1>パスワードの変更</h1>").has("autocomplete=\"new-password\"");
    phone.page.has_not("autocomplete=\"current-password\"").has_not(OWN);
    for (new, again, said) in [
        ("", "", "新しいパスワードを入力してください"),
        ("umi-to-yama-10", "umi-to-yama-11", "2回の入力がちがっています"),
        ("password1", "password1", "多くの人が使っているか"),
        ("DEMO", "DEMO", "団体コードと同じ"),
        ("うみとやま", "うみとやま", "半角の英字、数字、記号だけ"),
    ] {
        phone.submit(&[("new", new), ("again", again)]).await.has(said);
    }
    phone.submit(&[("new", "umi-to-yama-10"), ("again", "umi-to-yama-10")]).await.has("パスワードを変更しました");
    assert_ne!(phone.cookies["karamail"], thief.cookies["karamail"]);
    for mut gone in [other, thief] {
        gone.get("/account").await.has("name=\"password\"").has_not("見本 花子");
    }
    phone.get("/account").await.has("<h1>メニュー</h1>");
    house.browser().sign_in("0001", OWN).await.has("ログインできませんでした");
    house.browser().sign_in("0001", "umi-to-yama-10").await.has("<h1>メニュー</h1>");
    house.close().await;
}

#[tokio::test]
async fn r073_the_present_password_is_asked_for_where_it_was_typed_long_ago() {
    let house = House::open().await;
    let mut phone = at_home(&house).await;
    phone.get("/account/password").await;
    let form = phone.clone();
    house.clock.turn(Span::from_secs(300));
    let mut late = form.clone();
    late.submit(&[("new", "umi-to-yama-10"), ("again", "umi-to-yama-10")]).await.has("パスワードの確認");
    late.page.has("まだ変更していません");
    phone.get("/account/password").await.has("パスワードの確認").has("autocomplete=\"current-password\"");
    assert_eq!(phone.path, "/login/again?back=/account/password");
    phone.submit(&[("password", "")]).await.has("パスワードを入力してください");
    phone.submit(&[("password", "wrong")]).await.has("パスワードがちがっています");
    let before = phone.cookies["karamail"].clone();
    phone.submit(&[("password", OWN)]).await.has("<h1>パスワードの変更</h1>");
    assert_ne!(phone.cookies["karamail"], before);
    phone.submit(&[("new", "umi-to-yama-10"), ("again", "umi-to-yama-10")]).await.has("パスワードを変更しました");
    // A new password is a password typed just now.
    house.clock.turn(Span::from_secs(299));
    phone.get("/account/password").await.has("<h1>パスワードの変更</h1>");
    house.close().await;
}

#[tokio::test]
async fn guessing_the_present_password_in_a_stolen_session_waits_like_any_login() {
    let house = House::open().await;
    let mut thief = at_home(&house).await;
    house.clock.turn(Span::from_secs(300));
    thief.get("/login/again").await;
    for guess in ["one", "two", "three"] {
        thief.submit(&[("password", guess)]).await.has("パスワードがちがっています");
    }
    thief.submit(&[("password", OWN)]).await.has("パスワードがちがっています");
    house.clock.turn(Span::from_secs(60));
    thief.submit(&[("password", OWN)]).await.has("<h1>メニュー</h1>");
    house.close().await;
}

#[tokio::test]
async fn a_start_password_lets_nobody_in_after_fourteen_days() {
    let house = House::open().await;
    house.clock.turn(Span::from_secs(14 * 86_400 - 1));
    house.browser().sign_in("0001", START).await.has("新しいパスワードを決める");
    house.clock.turn(Span::from_secs(1));
    let expired = "最初のパスワードの有効期限（14日）が過ぎている";
    house.browser().sign_in("0001", START).await.has(expired).has("管理者に").has_not("新しいパスワードを決める");
    let token = house.registration(ADDRESS, None).await;
    house.browser().log_in(&token, "0001", START).await.has(expired);
    // Whoever does not have the right one hears nothing of it.
    house.clock.turn(Span::from_secs(60));
    house.browser().sign_in("0001", "wrong").await.has("ログインできませんでした").has_not("有効期限（14日）");
    // One's own has no such end.
    let member = house.member("0003", "三号", Language::Ja, Some(START)).await;
    let mut phone = house.browser();
    phone.sign_in("0003", START).await;
    phone.submit(&[("new", OWN), ("again", OWN)]).await;
    house.clock.turn(Span::from_secs(400 * 86_400));
    house.browser().sign_in("0003", OWN).await.has("<h1>メニュー</h1>");
    assert_eq!(language(&house, member).await, Language::Ja);
    house.close().await;
}

#[tokio::test]
async fn r002_back_and_reload_do_no_harm() {
    let house = House::open().await;
    let mut phone = house.browser();
    phone.get("/login").await;
    let (path, login) = phone.form(&[("org", "DEMO"), ("id", "0001"), ("password", START)]);
    phone.submit(&[("org", "DEMO"), ("id", "0001"), ("password", START)]).await.has("新しいパスワードを決める");
    // Back to the login page, and its form sent once more: the login stands.
    phone.get("/login").await.has("新しいパスワードを決める");
    phone.send("POST", &path, Some(&login)).await;
    assert_eq!((phone.page.status, phone.page.header("location")), (303, "/login"));
    phone.get("/login").await.has("新しいパスワードを決める");
    let (path, change) = phone.form(&[("new", OWN), ("again", OWN)]);
    phone.submit(&[("new", OWN), ("again", OWN)]).await.has("<h1>メニュー</h1>");
    phone.send("POST", &path, Some(&change)).await;
    assert_eq!((phone.page.status, phone.page.header("location")), (303, "/login/password"));
    phone.get("/login/password").await.has("<h1>メニュー</h1>");
    phone.get("/account").await;
    phone.get("/account").await.has("<h1>メニュー</h1>");
    house.close().await;
}

#[tokio::test]
async fn a_changed_password_is_told_to_every_address_and_what_happens_at_the_door_is_recorded() {
    let house = House::open().await;
    let member = house.member("0003", "三号", Language::Ja, Some(START)).await;
    house.put(member, Priority::First, "first@example.jp").await;
    house.put(member, Priority::Third, "third@example.jp").await;
    let told = || async {
        let jobs = house.store.read::<_, StoreError, _>(|tx| tx.list_jobs(&JobFilter::default())).await.unwrap();
        let mut told: Vec<String> = jobs
            .iter()
            .filter(|job| job.order.content == Content::Security { member, what: Notice::PasswordChanged })
            .map(|job| job.order.to.to_string())
            .collect();
        told.sort();
        told
    };
    let mut phone = house.browser();
    phone.sign_in("9999", START).await;
    phone.sign_in("0003", "wrong").await;
    phone.sign_in("0003", START).await;
    phone.submit(&[("new", OWN), ("again", OWN)]).await.has("<h1>メニュー</h1>");
    assert!(told().await.is_empty());
    phone.get("/account/password").await;
    phone.submit(&[("new", "umi-to-yama-10"), ("again", "umi-to-yama-10")]).await.has("パスワードを変更しました");
    assert_eq!(told().await, ["first@example.jp", "third@example.jp"]);
    let rows = house.store.read::<_, StoreError, _>(|tx| tx.audit(None, 0, 99)).await.unwrap();
    let said: Vec<(&str, bool, &str)> =
        rows.iter().map(|row| (row.name.as_str(), row.member == Some(member), row.fields.as_str())).collect();
    assert_eq!(
        said,
        [
            ("authn_login_fail", true, r#"{"why":"password"}"#),
            ("authn_login_password", true, "{}"),
            ("authn_password_change", true, r#"{"first":true}"#),
            ("authn_login_success", true, "{}"),
            ("authn_password_change", true, r#"{"first":false}"#),
        ]
    );
    house.close().await;
}

#[tokio::test]
async fn r019_where_the_organisation_only_warns_a_known_bad_password_is_taken_with_a_warning() {
    let house = House::open().await;
    let policy = Policy { blocklist: Blocklist::Warn, ..Policy::default() };
    let set = move |tx: &mut karamail::store::Tx<'_>| tx.set_policy(&"DEMO".parse().unwrap(), &policy);
    assert!(house.store.write::<_, StoreError, _>(set).await.unwrap());
    let mut phone = house.browser();
    phone.sign_in("0001", START).await.has("おすすめしません").has_not("よく使われるものは選べません");
    let (_, body) = phone.form(&[("new", "123456")]);
    phone.clone().send("POST", "/login/strength", Some(&body)).await.has("弱").has("別のものをおすすめします");
    for (bad, why) in [("demo", "団体コードと同じ"), ("0001", "IDと同じ"), (START, "最初のパスワードは使えません")]
    {
        phone.submit(&[("new", bad), ("again", bad)]).await.has(why);
    }
    phone.submit(&[("new", "123456"), ("again", "12345")]).await.has("2回の入力が").has("別のものをおすすめします");
    phone.submit(&[("new", "123456"), ("again", "123456")]).await.has("パスワードを変更しました");
    phone.page.has("別のものをおすすめします");
    house.close().await;
}
