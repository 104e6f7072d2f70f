//! The backup site: a second daemon with the same keys and a copy of the database takes over under the published name
//! (R140–R142).

use super::house::{ADDRESS, Browser, House, OWN, START};
use karamail::model::Span;

pub const PUBLISHED: &str = "www.mc-anpi.com";

pub async fn primary() -> House {
    House::open_with(|settings| settings.system_url = Some("http://sys1.mc-anpi.com".to_owned())).await
}

/// The backup site: its own system address, everything else as the first one had it.
pub async fn backup(first: &House) -> House {
    House::open_copy(first, |settings| settings.system_url = Some("http://sys2.mc-anpi.com".to_owned())).await
}

/// Lets the published name lead to another site: what DNS does on the day.
pub fn switched(mut browser: Browser, to: &House) -> Browser {
    browser.at = to.at;
    browser
}

#[tokio::test]
async fn r140_r142_the_login_address_sends_on_for_now_to_the_system_of_the_site_it_leads_to() {
    let first = primary().await;
    let second = backup(&first).await;
    let mut phone = first.browser().named(PUBLISHED);
    for (house, system) in [(&first, "http://sys1.mc-anpi.com/"), (&second, "http://sys2.mc-anpi.com/")] {
        phone = switched(phone, house);
        phone.send("GET", "/", None).await;
        // Not for good: a browser that remembered it would never find the backup site.
        assert_eq!((phone.page.status, phone.page.header("location")), (302, system));
        assert_eq!(phone.page.header("cache-control"), "no-store");
        let mut there = house.browser().named(system.trim_start_matches("http://").trim_end_matches('/'));
        there.get("/").await.has("action=\"/login\"").has("空メールの送り方");
    }
    first.close().await;
    second.close().await;
}

#[tokio::test]
async fn r139_r141_the_bookmark_page_stands_at_the_login_address_and_works_on_the_backup_site() {
    let first = primary().await;
    let mut phone = first.browser().named("sys1.mc-anpi.com");
    phone.sign_in("0001", START).await;
    phone.submit(&[("new", OWN), ("again", OWN)]).await;
    let bookmark = "http://www.mc-anpi.com/account/bookmark";
    phone.page.has(&format!("href=\"{bookmark}\"")).has("ログイン画面ブックマーク");
    // Whoever finds it at the system address is sent to where it is to be bookmarked.
    phone.send("GET", "/account/bookmark", None).await;
    assert_eq!((phone.page.status, phone.page.header("location")), (302, bookmark));

    let mut later = first.browser().named(PUBLISHED);
    let page = later.get("/account/bookmark").await;
    page.has("この画面をブックマークしてください")
        .has(">http://www.mc-anpi.com<")
        .has(">/account/bookmark<")
        .has("メニューへ戻る");
    page.has("href=\"http://sys1.mc-anpi.com/account\"");

    let second = backup(&first).await;
    let mut bookmarked = switched(later, &second);
    bookmarked.get("/account/bookmark").await.has("href=\"http://sys2.mc-anpi.com/account\"").has("href=\"/\"");
    bookmarked.send("GET", "/", None).await;
    assert_eq!(bookmarked.page.header("location"), "http://sys2.mc-anpi.com/");
    let mut there = second.browser().named("sys2.mc-anpi.com");
    there.sign_in("0001", OWN).await.has("<h1>メニュー</h1>");
    first.close().await;
    second.close().await;
}

#[tokio::test]
async fn r139_without_a_system_address_the_bookmark_page_leads_back_to_the_menu_beside_it() {
    let house = House::open().await;
    let mut phone = house.browser();
    phone.sign_in("0001", START).await;
    phone.submit(&[("new", OWN), ("again", OWN)]).await.has("href=\"/account/bookmark\"");
    phone
        .get("/account/bookmark")
        .await
        .has("href=\"/account\"")
        .has(">http://www.mc-anpi.com<")
        .has(">/account/bookmark<");
    assert_eq!(phone.page.status, 200);
    house.close().await;
}

#[tokio::test]
async fn r142_links_and_sessions_of_the_first_site_are_good_on_the_backup_site() {
    let first = primary().await;
    let token = first.registration(ADDRESS, None).await;
    let mut phone = first.browser().named(PUBLISHED);
    phone.log_in(&token, "0001", START).await;
    phone.submit(&[("new", OWN), ("again", OWN)]).await.has("優先順位を選ぶ");
    let mut waiting = first.browser().named(PUBLISHED);
    waiting.get(&format!("/r/{token}")).await;

    let second = backup(&first).await;
    first.close().await;
    second.clock.turn(Span::from_secs(60));
    // The session goes on in the middle of the journey, with the form that the first site had shown.
    let mut phone = switched(phone, &second);
    phone.submit(&[("priority", "1")]).await.has("登録が完了しました").has("見本 花子");
    // The link says so to somebody else, and the login form shown before the switch is taken.
    let mut waiting = switched(waiting, &second);
    waiting.submit(&[("org", "DEMO"), ("id", "0001"), ("password", OWN)]).await.has("もう済んでいます");
    second.close().await;
}
