//! The second step of a login, and the way in for whoever has lost the factor.

use super::*;
use crate::pages::backup::{PUBLISHED, backup, primary, switched};
use crate::pages::house::ADDRESS;
use karamail::store::{AddressRow, AddressState};

#[tokio::test]
async fn r025_a_login_asks_for_a_code_after_the_password_and_the_member_chooses_which() {
    let house = house().await;
    let mut phone = first_login(&house).await;
    let (key, _) = set_up_app(&house, &mut phone).await;
    set_up_mail(&house, &mut phone, "hanako@docomo.ne.jp").await;

    let mut other = house.browser();
    log_in(&mut other, OWN).await;
    other.page.has("ワンタイムパスワードの入力").has("autocomplete=\"one-time-code\"").has("inputmode=\"numeric\"");
    other.page.has("ログインできない方はこちら").has("メールでワンタイムパスワードを受け取る");
    for page in ["/account", "/account/two-factor", "/account/two-factor/app"] {
        other.get(page).await.has("ワンタイムパスワードの入力");
    }
    type_code(&mut other, FactorKind::App, &shown(&house, &key)).await.has("メニュー");

    let mut third = house.browser();
    log_in(&mut third, OWN).await;
    third.get("/login/code/mail").await.has("メール送信").has_not("name=\"otp\"");
    send(&mut third, "/login/code/send", &[]).await.has("h***@docomo.ne.jp").has_not("hanako@docomo.ne.jp");
    third.page.has("有効期限はメール送信後60分です").has("1分に1回、1時間に5回、1日に10回");
    send(&mut third, "/login/code/send", &[]).await.has("続けて送れる回数を超えました");
    let (code, to) = mailed(&house).await;
    assert_eq!(to, "hanako@docomo.ne.jp");
    let spaced = format!("{} {}", &code[..3], &code[3..]);
    type_code(&mut third, FactorKind::Mail, &spaced).await.has("メニュー");
    house.close().await;
}

#[tokio::test]
async fn r122_a_registration_asks_for_it_too_and_goes_on_where_it_was() {
    let house = house().await;
    let token = house.registration(ADDRESS, Some("DEMO")).await;
    let mut phone = house.browser();
    phone.log_in(&token, "0001", START).await;
    phone.submit(&[("new", OWN), ("again", OWN)]).await.has("どちらかを設定してください");
    phone.get(&format!("/r/{token}/priority")).await.has("どちらかを設定してください");
    let here = phone.path.clone();
    assert_eq!(here, format!("/account/two-factor?r={token}"));
    phone.get(&format!("/account/two-factor/app?r={token}")).await;
    let key = secret(&phone.page);
    let code = shown(&house, &key);
    send(&mut phone, "/account/two-factor/app", &[("otp", &code)]).await.has("登録が完了しました");
    send(&mut phone, "/account/two-factor/done", &[]).await.has("優先順位を選ぶ");
    assert_eq!(phone.path, format!("/r/{token}/priority"));

    house.clock.turn(Span::from_secs(60));
    let mut other = house.browser();
    other.log_in(&token, "0001", OWN).await.has("ワンタイムパスワードの入力");
    other.get(&format!("/r/{token}/priority")).await.has("ワンタイムパスワードの入力");
    type_code(&mut other, FactorKind::App, &shown(&house, &key)).await.has("優先順位を選ぶ");
    other.submit(&[("priority", "1")]).await.has("登録が完了しました");
    house.close().await;
}

#[tokio::test]
async fn r148_whoever_lost_the_set_up_after_the_backup_code_is_told_when_there_is_another_way() {
    let house = house().await;
    let mut phone = first_login(&house).await;
    let (_, backup) = set_up_app(&house, &mut phone).await;
    let backup = backup.unwrap();
    let mut other = before_the_step(&house).await;
    other.page.has_not("設定し直す途中です");
    other.get("/login/backup").await.has_not("設定し直す途中です");
    send(&mut other, "/login/backup", &[("code", &backup)]).await.has("設定し直してください");
    let then = format!("{} を過ぎてから", house.clock.now().plus(Span::from_secs(30 * 60)).minute_jst());
    // The browser is closed, and nothing but the password is left.
    let mut later = before_the_step(&house).await;
    for page in ["/login/code", "/login/backup"] {
        later.get(page).await.has("二要素認証は、設定し直す途中です").has(&then);
    }
    house.clock.turn(Span::from_secs(30 * 60));
    before_the_step(&house).await.page.has("どちらかを設定してください");
    house.close().await;
}

#[tokio::test]
async fn r147_r148_the_backup_code_clears_the_settings_and_leads_to_the_set_up() {
    let house = house().await;
    let mut phone = first_login(&house).await;
    let (old, backup) = set_up_app(&house, &mut phone).await;
    let backup = backup.unwrap();
    let mut other = house.browser();
    log_in(&mut other, OWN).await;
    other.get("/login/backup").await.has("バックアップコードを入力してください").has("キャンセル").has("OK");
    other.page.has("href=\"/login/code\"");
    send(&mut other, "/login/backup", &[("code", "")]).await.has("エラー：");
    send(&mut other, "/login/backup", &[("code", &other_than(&backup.replace(' ', "")))]).await.has("ちがいます");
    send(&mut other, "/login/backup", &[("code", &backup)]).await.has("設定し直してください");
    assert_eq!(path(&other), "/account/two-factor");
    other.get("/account").await.has("どちらかを設定してください");
    phone.get("/account").await.has("ログイン").has_not("メニュー");

    // Set up again: what there was is gone, and there is a new backup code.
    let (new, next) = set_up_app(&house, &mut other).await;
    assert!(next.is_some_and(|next| next != backup));
    other.get("/account").await.has("メニュー");
    let mut third = house.browser();
    log_in(&mut third, OWN).await;
    type_code(&mut third, FactorKind::App, &shown(&house, &old)).await.has("もう使われています");
    house.clock.turn(Span::from_secs(30));
    type_code(&mut third, FactorKind::App, &shown(&house, &new)).await.has("メニュー");
    house.close().await;
}

#[tokio::test]
async fn the_backup_code_is_asked_of_nobody_without_a_right_password() {
    let house = house().await;
    let mut stranger = house.browser();
    for page in ["/login/backup", "/login/code", "/login/code/mail"] {
        stranger.get(page).await.has("name=\"password\"");
    }
    let mut phone = first_login(&house).await;
    set_up_app(&house, &mut phone).await;
    phone.get("/login/backup").await.has("メニュー").has_not("バックアップコードを入力");
    house.close().await;
}

#[tokio::test]
async fn both_steps_speak_english() {
    let house = house().await;
    let mut phone = first_login(&house).await;
    phone.get("/account/two-factor?lang=en").await.has("Two-factor login").has("Set up");
    set_english(&house, &mut phone).await;
    let mut other = house.browser();
    log_in(&mut other, OWN).await;
    other.get("/login/code?lang=en").await.has("Your one-time password").has("If you cannot log in");
    other.get("/login/backup").await.has("Enter your backup code").has("Cancel");
    house.close().await;
}

async fn set_english(house: &House, phone: &mut Browser) {
    phone.get("/account/two-factor/app").await.has("STEP 2").has("To type it by hand");
    let code = shown(house, &secret(&phone.page));
    send(phone, "/account/two-factor/app", &[("otp", &code)]).await.has("Please note down this backup code");
}

#[tokio::test]
async fn r142_a_code_ordered_on_the_first_site_is_good_on_the_backup_site_in_the_same_session() {
    let first = primary().await;
    policy(&first, Policy { two_factor: true, ..Policy::default() }).await;
    let mut phone = first_login(&first).await;
    set_up_mail(&first, &mut phone, "hanako@docomo.ne.jp").await;
    let mut phone = first.browser().named(PUBLISHED);
    log_in(&mut phone, OWN).await;
    send(&mut phone, "/login/code/send", &[]).await.has("有効期限はメール送信後60分です");
    let (code, _) = mailed(&first).await;
    let mut other = first.browser().named(PUBLISHED);
    log_in(&mut other, OWN).await;

    let second = backup(&first).await;
    first.close().await;
    second.clock.turn(Span::from_secs(60));
    // The code is in the mail, the form on the screen; only the name leads elsewhere by now.
    let (mut phone, mut other) = (switched(phone, &second), switched(other, &second));
    type_code(&mut phone, FactorKind::Mail, &other_than(&code)).await.has("ワンタイムパスワードがちがいます");
    let (_, body) = form(&other, "/login/code/send", &[("otp", &code)]);
    other.send("POST", "/login/code/mail", Some(&body)).await;
    other.get("/account").await.has_not("<h1>メニュー</h1>");
    second.clock.turn(Span::from_secs(60));
    type_code(&mut phone, FactorKind::Mail, &code).await.has("<h1>メニュー</h1>");
    second.close().await;
}

#[tokio::test]
async fn r002_a_code_sent_twice_is_taken_once_and_the_second_press_leads_where_the_first_one_did() {
    let house = house().await;
    let mut phone = first_login(&house).await;
    let (key, _) = set_up_app(&house, &mut phone).await;
    let mut other = house.browser();
    log_in(&mut other, OWN).await;
    let (action, body) = form(&other, "/login/code/app", &[("otp", &shown(&house, &key))]);
    let before = other.clone();
    type_code(&mut other, FactorKind::App, &shown(&house, &key)).await.has("メニュー");

    // The second press came with the name that the session had before.
    let mut second = before.clone();
    second.send("POST", &action, Some(&body)).await;
    assert_eq!((second.page.status, second.page.header("location")), (303, "/account"));
    assert_eq!(second.cookies.get("karamail"), before.cookies.get("karamail"), "it is given no other one");
    let mut with_answer = second.clone();
    with_answer.cookies.insert("karamail".to_owned(), other.cookies["karamail"].clone());
    with_answer.get("/account").await.has("メニュー");
    // Where the first answer got lost the login is asked for, and the page says why.
    second.get("/account").await.has("すでに受け付けています").has("name=\"password\"").has_not("操作がなかったため");

    // It is told to the browser that had the form and to no other, and for a moment.
    let mut thief = house.browser();
    thief.get("/login").await;
    thief.cookies.insert("karamail".to_owned(), before.cookies["karamail"].clone());
    thief.send("POST", &action, Some(&body)).await;
    assert_eq!(thief.page.header("location"), "/login/code/app");
    house.clock.turn(Span::from_secs(30));
    let mut late = before.clone();
    late.send("POST", &action, Some(&body)).await;
    assert_eq!(late.page.header("location"), "/login/code/app");
    house.close().await;
}

#[tokio::test]
async fn r002_r035_a_set_up_sent_twice_leads_to_the_page_with_the_backup_code() {
    let house = house().await;
    let mut phone = first_login(&house).await;
    phone.get("/account/two-factor/app").await;
    let code = shown(&house, &secret(&phone.page));
    let (action, body) = form(&phone, "/account/two-factor/app", &[("otp", &code)]);
    let mut second = phone.clone();
    phone.send("POST", &action, Some(&body)).await;
    second.send("POST", &action, Some(&body)).await;
    assert_eq!(second.page.header("location"), phone.page.header("location"));
    assert_eq!(second.page.header("location"), "/account/two-factor/done");
    house.close().await;
}

/// Has nothing sent to an address any more.
async fn suppress(house: &House, address: &str) {
    let row = AddressRow {
        address: address.parse().unwrap(),
        state: AddressState::Suppressed,
        verdict: None,
        stage: None,
        reply: None,
        at: None,
        verified_at: None,
        unknown_day: Some(1),
    };
    house.store.write::<_, StoreError, _>(move |tx| tx.note_address(&row)).await.unwrap();
}

#[tokio::test]
async fn r036_whoever_is_put_off_is_told_until_when_and_of_no_code_that_cannot_be_typed() {
    let house = house().await;
    let mut phone = first_login(&house).await;
    set_up_mail(&house, &mut phone, "hanako@docomo.ne.jp").await;
    let (mut one, mut two) = (house.browser(), house.browser());
    log_in(&mut one, OWN).await;
    log_in(&mut two, OWN).await;
    send(&mut one, "/login/code/send", &[]).await.has("送りました");
    send(&mut one, "/login/code/send", &[]).await.has("次は 2026/11/22 07:03 から送れます").has("期限まで使えます");
    send(&mut two, "/login/code/send", &[]).await.has("07:03 から送れます").has("バックアップコードを使うか");
    two.page.has_not("期限まで使えます").has_not("name=\"otp\"").has("エラー：");
    house.close().await;
}

#[tokio::test]
async fn r036_whoever_has_an_address_that_is_not_written_to_is_told_so_with_the_way_out() {
    let house = house().await;
    let mut phone = first_login(&house).await;
    phone.get("/account/two-factor/mail").await;
    suppress(&house, "gone@docomo.ne.jp").await;
    send(&mut phone, "/account/two-factor/mail/send", &[("email", "gone@docomo.ne.jp")]).await.has("ほかのアドレスを");
    phone.page.has("href=\"#email\"").has("value=\"gone@docomo.ne.jp\"").has_not("name=\"otp\"");
    house.clock.turn(Span::from_secs(60));
    set_up_mail(&house, &mut phone, "hanako@docomo.ne.jp").await;
    suppress(&house, "hanako@docomo.ne.jp").await;
    let mut other = house.browser();
    log_in(&mut other, OWN).await;
    send(&mut other, "/login/code/send", &[]).await.has("バックアップコードを使うか").has("エラー：");
    other.page.has_not("送りました").has("href=\"/login/backup\"");
    house.close().await;
}
