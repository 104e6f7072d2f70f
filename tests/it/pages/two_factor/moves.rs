//! What the organisation asks for changes, or factors end, while somebody is logged in or about to be.

use super::*;

#[tokio::test]
async fn r022_r023_a_session_follows_what_the_organisation_asks_for_with_the_next_page() {
    let house = House::open().await;
    let mut phone = house.browser();
    log_in(&mut phone, START).await;
    send(&mut phone, "/login/password", &[("new", OWN), ("again", OWN)]).await.has("メニュー");
    policy(&house, Policy { two_factor: true, ..Policy::default() }).await;
    for page in ["/account", "/account/profile", "/login"] {
        phone.get(page).await.has("どちらかを設定してください");
    }
    phone.get("/account/two-factor/app").await.has("STEP1");
    let (action, body) = form(&phone, "/account/two-factor/app", &[("otp", "000000")]);
    policy(&house, Policy::default()).await;
    phone.send("POST", &action, Some(&body)).await;
    assert_eq!((phone.page.status, phone.page.header("location")), (303, "/account"));
    for page in ["/account", "/account/two-factor", "/account/two-factor/app", "/login", "/login/code"] {
        phone.get(page).await.has("<h1>メニュー</h1>");
    }
    house.close().await;
}

#[tokio::test]
async fn r025_somebody_who_is_asked_for_a_code_is_let_in_where_none_is_asked_for_any_more() {
    let house = house().await;
    let mut phone = first_login(&house).await;
    set_up_app(&house, &mut phone).await;
    let mut other = house.browser();
    log_in(&mut other, OWN).await;
    other.page.has("name=\"otp\"");
    policy(&house, Policy::default()).await;
    other.get("/login/code").await.has("<h1>メニュー</h1>");
    // Switched on again: whoever has shown a code goes on, whoever has not is asked.
    policy(&house, Policy { two_factor: true, ..Policy::default() }).await;
    other.get("/account").await.has("name=\"otp\"");
    phone.get("/account").await.has("<h1>メニュー</h1>");
    house.close().await;
}

#[tokio::test]
async fn whoever_is_asked_for_a_code_when_the_factors_end_sets_another_one_up() {
    let house = house().await;
    let mut phone = first_login(&house).await;
    set_up_app(&house, &mut phone).await;
    let mut other = house.browser();
    log_in(&mut other, OWN).await;
    let (action, body) = form(&other, "/login/code/app", &[("otp", "000000")]);
    let ends = house.clock.now().plus(Span::from_secs(60));
    let end = move |tx: &mut karamail::store::Tx<'_>| {
        let org = tx.org(&"DEMO".parse().unwrap())?.unwrap();
        let member = tx.member(org.id, &"0001".parse().unwrap())?.unwrap();
        tx.end_factors(member.id, ends)
    };
    house.store.write::<_, StoreError, _>(end).await.unwrap();
    other.get("/login/code").await.has("name=\"otp\"");
    house.clock.turn(Span::from_secs(60));
    other.send("POST", &action, Some(&body)).await;
    assert_eq!((other.page.status, other.page.header("location")), (303, "/account/two-factor"));
    for page in ["/login", "/login/code", "/login/backup", "/account"] {
        other.get(page).await.has("どちらかを設定してください");
    }
    set_up_app(&house, &mut other).await;
    other.get("/account").await.has("<h1>メニュー</h1>");
    house.close().await;
}
