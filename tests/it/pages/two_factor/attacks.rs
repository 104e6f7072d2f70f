//! Attacks on the second step.

use super::*;
use tokio::task::JoinSet;

#[tokio::test]
async fn a_code_that_passed_does_not_pass_again_and_neither_does_the_step_before_last() {
    let house = house().await;
    let mut phone = first_login(&house).await;
    let (key, _) = set_up_app(&house, &mut phone).await;
    let used = shown(&house, &key);
    type_code(&mut before_the_step(&house).await, FactorKind::App, &used).await.has("メニュー");
    let mut replay = before_the_step(&house).await;
    type_code(&mut replay, FactorKind::App, &used).await.has("もう使われています");
    house.clock.turn(Span::from_secs(30));
    let late = shown(&house, &key);
    house.clock.turn(Span::from_secs(60));
    type_code(&mut replay, FactorKind::App, &late).await.has("もう使われています");
    house.clock.turn(Span::from_secs(60));
    type_code(&mut replay, FactorKind::App, &shown(&house, &key)).await.has("メニュー");
    house.close().await;
}

#[tokio::test]
async fn wrong_codes_have_to_wait_longer_and_longer() {
    let house = house().await;
    let mut phone = first_login(&house).await;
    let (key, _) = set_up_app(&house, &mut phone).await;
    let mut thief = before_the_step(&house).await;
    type_code(&mut thief, FactorKind::App, &other_than(&shown(&house, &key))).await.has("もう使われています");
    type_code(&mut thief, FactorKind::App, &other_than(&shown(&house, &key))).await.has("もう使われています");
    type_code(&mut thief, FactorKind::App, &shown(&house, &key)).await.has("しばらく受け付けません");
    // The member's own device is not shut out with the thief.
    let mut own = phone.clone();
    own.cookies.remove("karamail");
    log_in(&mut own, OWN).await;
    type_code(&mut own, FactorKind::App, &shown(&house, &key)).await.has("メニュー");
    house.close().await;
}

#[tokio::test]
async fn a_code_by_mail_is_burnt_by_five_wrong_tries_and_over_after_an_hour_or_another_session() {
    let house = house().await;
    let mut phone = first_login(&house).await;
    set_up_mail(&house, &mut phone, "hanako@docomo.ne.jp").await;
    let mut browser = before_the_step(&house).await;
    send(&mut browser, "/login/code/send", &[]).await.has("送りました");
    let (code, _) = mailed(&house).await;
    for left in (0..5).rev() {
        house.clock.turn(Span::from_secs(61));
        let said = if left == 0 { "5回続いたため" } else { "ワンタイムパスワードがちがいます" };
        type_code(&mut browser, FactorKind::Mail, &other_than(&code)).await.has(said);
    }
    house.clock.turn(Span::from_secs(61));
    browser.page.has_not("name=\"otp\"");
    send(&mut browser, "/login/code/send", &[]).await;
    let (code, _) = mailed(&house).await;
    // A code belongs to the session that ordered it.
    let mut thief = before_the_step(&house).await;
    thief.get("/login/code/mail").await.has_not("name=\"otp\"");
    let (_, body) = form(&thief, "/login/code/send", &[("otp", &code)]);
    thief.send("POST", "/login/code/mail", Some(&body)).await;
    thief.get("/login/code/mail").await.has("このワンタイムパスワードは使えません");
    house.clock.turn(Span::from_secs(25 * 60));
    browser.get("/login/code/mail").await;
    house.clock.turn(Span::from_secs(25 * 60));
    browser.get("/login/code/mail").await;
    house.clock.turn(Span::from_secs(10 * 60));
    browser.get("/login/code/mail").await.has_not("name=\"otp\"");
    let (_, body) = form(&browser, "/login/code/send", &[("otp", &code)]);
    browser.send("POST", "/login/code/mail", Some(&body)).await;
    browser.get("/login/code/mail").await.has("このワンタイムパスワードは使えません");
    house.close().await;
}

#[tokio::test]
async fn r040_a_mailed_code_is_good_for_its_hour_however_late_the_carrier_brings_it() {
    let house = house().await;
    let mut phone = first_login(&house).await;
    set_up_mail(&house, &mut phone, "hanako@docomo.ne.jp").await;
    let mut browser = before_the_step(&house).await;
    send(&mut browser, "/login/code/send", &[]).await.has("送りました").has("メール送信後60分");
    let (code, _) = mailed(&house).await;
    // Nothing is pressed until it arrives.
    house.clock.turn(Span::from_secs(59 * 60));
    type_code(&mut browser, FactorKind::Mail, &code).await.has("<h1>メニュー</h1>");
    // Whoever is in is logged out after half an hour, as always.
    house.clock.turn(Span::from_secs(30 * 60));
    browser.get("/account").await.has("しばらく操作がなかったため、ログアウトしました");
    house.close().await;
}

#[tokio::test]
async fn of_guesses_of_the_backup_code_side_by_side_five_are_judged() {
    let house = house().await;
    let mut phone = first_login(&house).await;
    let (_, backup) = set_up_app(&house, &mut phone).await;
    let backup = backup.unwrap();
    let mut thief = before_the_step(&house).await;
    thief.get("/login/backup").await;
    let (action, body) = form(&thief, "/login/backup", &[("code", &other_than(&backup))]);
    let mut guesses = JoinSet::new();
    for _ in 0..20 {
        let (mut browser, action, body) = (thief.clone(), action.clone(), body.clone());
        guesses.spawn(async move {
            browser.send("POST", &action, Some(&body)).await;
            browser.get("/login/backup").await.body.contains("5回までです")
        });
    }
    let waits = guesses.join_all().await.into_iter().filter(|waits| *waits).count();
    assert_eq!(waits, 15);
    send(&mut thief, "/login/backup", &[("code", &backup)]).await.has("5回までです");
    house.clock.turn(Span::from_secs(3_600));
    let mut own = before_the_step(&house).await;
    own.get("/login/backup").await;
    send(&mut own, "/login/backup", &[("code", &backup)]).await.has("設定し直してください");
    house.close().await;
}

#[tokio::test]
async fn what_a_browser_carries_is_no_use_to_another_session() {
    let house = house().await;
    let mut phone = first_login(&house).await;
    phone.get("/account/two-factor/app").await;
    let key = secret(&phone.page);
    let (action, body) = form(&phone, "/account/two-factor/app", &[("otp", &shown(&house, &key))]);
    phone.send("POST", &action, Some(&body)).await;
    let once = phone.cookies.get("karamail-once").unwrap().clone();
    let backup = phone.get("/account/two-factor/done").await.between("class=\"mailbox large\">", "<").to_owned();
    send(&mut phone, "/account/two-factor/done", &[]).await;
    assert!(!phone.cookies.contains_key("karamail-once"));

    // The same member, later: neither the secret that was shown before nor the backup code opens.
    house.clock.turn(Span::from_secs(60));
    let mut later = before_the_step(&house).await;
    type_code(&mut later, FactorKind::App, &shown(&house, &key)).await.has("メニュー");
    later.cookies.insert("karamail-once".to_owned(), once);
    later.get("/account/two-factor/done").await.has_not(&backup).has("もう一度表示すること");
    let offer = phone_offer(&body);
    later.get("/account/two-factor/app").await;
    let (action, own) = form(&later, "/account/two-factor/app", &[("otp", &shown(&house, &key))]);
    let forged: String = own.split('&').filter(|pair| !pair.starts_with("offer=")).collect::<Vec<_>>().join("&");
    later.send("POST", &action, Some(&format!("{forged}&{offer}"))).await;
    later.get("/account/two-factor/app").await.has("ワンタイムパスワードがちがうか、もう使われています");
    house.close().await;
}

fn phone_offer(body: &str) -> &str {
    body.split('&').find(|pair| pair.starts_with("offer=")).unwrap()
}

#[tokio::test]
async fn a_get_changes_nothing() {
    let house = house().await;
    let mut phone = first_login(&house).await;
    for page in ["app", "mail", "remove/app", "done", "mail/send", "backup"] {
        phone.get(&format!("/account/two-factor/{page}")).await;
    }
    phone.get("/account/two-factor").await.has_not("に設定しました");
    assert!(house.store.read::<_, StoreError, _>(|tx| tx.list_jobs(&JobFilter::default())).await.unwrap().is_empty());
    house.close().await;
}

/// Digits as a phone's keyboard gives them that stands on full width.
fn wide(digits: &str) -> String {
    let wide = |c: char| c.to_digit(10).and_then(|digit| char::from_u32('０' as u32 + digit)).unwrap_or('　');
    digits.chars().map(wide).collect()
}

#[tokio::test]
async fn codes_typed_in_full_width_and_with_gaps_pass_like_any_others() {
    let house = house().await;
    let mut phone = first_login(&house).await;
    let (key, backup) = set_up_app(&house, &mut phone).await;
    set_up_mail(&house, &mut phone, "hanako@docomo.ne.jp").await;
    let code = wide(&shown(&house, &key));
    assert!(code.starts_with(|c: char| ('０'..='９').contains(&c)), "{code}");
    type_code(&mut before_the_step(&house).await, FactorKind::App, &format!(" {code}　"))
        .await
        .has("<h1>メニュー</h1>");

    let mut browser = before_the_step(&house).await;
    browser.get("/login/code/mail").await;
    send(&mut browser, "/login/code/send", &[]).await.has("送りました");
    let (code, _) = mailed(&house).await;
    let typed = format!("{}　－ {}", wide(&code[..2]), wide(&code[2..]));
    type_code(&mut browser, FactorKind::Mail, &typed).await.has("<h1>メニュー</h1>");

    let mut browser = before_the_step(&house).await;
    browser.get("/login/backup").await;
    send(&mut browser, "/login/backup", &[("code", &wide(&backup.unwrap()))]).await.has("設定し直してください");
    house.close().await;
}

#[tokio::test]
async fn each_step_of_a_login_has_a_session_of_its_own_and_the_one_before_opens_nothing() {
    let house = house().await;
    let mut phone = house.browser();
    // Whoever plants a session in the browser does not get to know the one that is logged in.
    let planted = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    phone.cookies.insert("karamail".to_owned(), planted.to_owned());
    let mut held = vec![phone.clone()];
    log_in(&mut phone, START).await;
    held.push(phone.clone());
    send(&mut phone, "/login/password", &[("new", OWN), ("again", OWN)]).await.has("二要素認証設定");
    held.push(phone.clone());
    let (key, _) = set_up_app(&house, &mut phone).await;
    held.push(phone.clone());
    let mut phone = before_the_step(&house).await;
    held.push(phone.clone());
    type_code(&mut phone, FactorKind::App, &shown(&house, &key)).await.has("<h1>メニュー</h1>");
    let names: Vec<&String> = held.iter().chain([&phone]).map(|browser| &browser.cookies["karamail"]).collect();
    let different: std::collections::BTreeSet<&&String> = names.iter().collect();
    assert_eq!(different.len(), 6, "{names:?}");
    // The one of the set-up is through, and stays; those that were left behind are not.
    held.remove(3);
    for mut thief in held {
        for page in ["/account", "/login/code", "/login/password", "/account/two-factor"] {
            thief.get(page).await.has("name=\"password\"").has_not("見本 花子");
        }
    }
    phone.get("/account").await.has("<h1>メニュー</h1>");
    house.close().await;
}

#[tokio::test]
async fn two_tabs_at_the_second_step_do_each_other_no_harm() {
    let house = house().await;
    let mut phone = first_login(&house).await;
    set_up_mail(&house, &mut phone, "hanako@docomo.ne.jp").await;
    let mut one = before_the_step(&house).await;
    let mut two = one.clone();
    send(&mut one, "/login/code/send", &[]).await.has("送りました");
    let (code, _) = mailed(&house).await;
    // The other tab shows the code that is under way, and asking for another one at once leaves it good.
    two.get("/login/code/mail").await.has("name=\"otp\"");
    send(&mut two, "/login/code/send", &[]).await.has("続けて送れる回数を超えました");
    type_code(&mut two, FactorKind::Mail, &code).await.has("<h1>メニュー</h1>");
    one.cookies.clone_from(&two.cookies);
    let (action, body) = form(&one, "/login/code/mail", &[("otp", &code)]);
    one.send("POST", &action, Some(&body)).await;
    let next = one.page.header("location").to_owned();
    one.get(&next).await.has("<h1>メニュー</h1>");
    house.close().await;
}
