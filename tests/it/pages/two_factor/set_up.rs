//! Setting factors up, adding another, and taking one away.

use super::*;
use crate::pages::frame::check;

#[tokio::test]
async fn r022_where_the_organisation_asks_for_it_the_set_up_comes_after_the_first_password_and_before_all_else() {
    let house = house().await;
    let mut phone = first_login(&house).await;
    for page in ["/account", "/account/password", "/account/two-factor/done", "/account/two-factor/remove/app"] {
        phone.get(page).await.has("どちらかを設定してください");
        assert_eq!(path(&phone), "/account/two-factor", "{page}");
    }
    // The arrow of each page leads only to where the login has got.
    phone.page.has_not("class=\"back\"");
    phone.get("/account/two-factor/mail").await.has("二要素認証設定へ戻る");
    set_up_app(&house, &mut phone).await;
    phone.page.has_not("class=\"back\"");
    phone.get("/account").await.has("メニュー").has("二要素認証");
    phone.get("/account/two-factor").await.has("メニューへ戻る");
    house.close().await;
}

#[tokio::test]
async fn r023_where_it_does_not_there_is_none() {
    let house = House::open().await;
    let mut phone = house.browser();
    log_in(&mut phone, START).await;
    send(&mut phone, "/login/password", &[("new", OWN), ("again", OWN)]).await.has("メニュー").has_not("二要素認証");
    for page in ["/account/two-factor", "/account/two-factor/app", "/account/two-factor/mail"] {
        phone.get(page).await.has("<h1>メニュー</h1>").has_not("二要素認証");
    }
    policy(&house, Policy { two_factor: true, ..Policy::default() }).await;
    log_in(&mut house.browser(), OWN).await;
    assert_eq!(phone.get("/account/two-factor").await.status, 200);
    house.close().await;
}

#[tokio::test]
async fn r026_to_r030_the_page_leads_through_three_steps() {
    let house = house().await;
    let mut phone = first_login(&house).await;
    phone.get("/account/two-factor/app").await;
    let page = &phone.page;
    page.has("STEP1").has("Google Authenticator").has("Microsoft Authenticator").has("すでにお使いのアプリ");
    for store in ["https://play.google.com", "https://apps.apple.com"] {
        assert_eq!(page.body.matches(store).count(), 2, "{store}");
    }
    page.has("STEP2").has("<svg class=\"qr\" role=\"img\"").has("手動で入力する場合").has("複数の端末");
    page.has("表示するたびに変わります");
    let address = page.between("href=\"otpauth:", "\"").replace("&amp;", "&");
    let key = data_encoding::BASE32.encode(&secret(page));
    assert_eq!(key.len(), 32);
    assert_eq!(address, format!("//totp/www.mc-anpi.com:DEMO%2F0001?secret={key}&issuer=www.mc-anpi.com"));
    page.has("STEP3").has("「www.mc-anpi.com」に表示された6桁").has("autocomplete=\"one-time-code\"");
    page.has("inputmode=\"numeric\"").has("メールアドレスで二要素認証を設定する場合はこちら");
    assert_eq!(page.header("cache-control"), "no-store");
    house.close().await;
}

#[tokio::test]
async fn r031_an_app_that_added_one_of_the_last_three_secrets_is_set_up_with_its_code() {
    let house = house().await;
    let mut phone = first_login(&house).await;
    let mut added = Vec::new();
    // The browser showed the page anew each time the app had taken over.
    for _ in 0..4 {
        phone.get("/account/two-factor/app").await;
        added.push(secret(&phone.page));
    }
    let form = "/account/two-factor/app";
    send(&mut phone, form, &[("otp", &shown(&house, &added[0]))]).await.has("もう使われています");
    // Another session of the same member cannot use what this browser carries.
    house.clock.turn(Span::from_secs(1));
    let mut stranger = before_the_step(&house).await;
    stranger.cookies.insert("karamail-offers".to_owned(), phone.cookies["karamail-offers"].clone());
    stranger.get(form).await;
    send(&mut stranger, form, &[("otp", &shown(&house, &added[2]))]).await.has("もう使われています");
    send(&mut phone, form, &[("otp", &shown(&house, &added[2]))]).await.has("登録が完了しました");
    assert!(!phone.cookies.contains_key("karamail-offers"));
    // It is the one that the app holds.
    house.clock.turn(Span::from_secs(60));
    let mut later = before_the_step(&house).await;
    type_code(&mut later, FactorKind::App, &shown(&house, &added[2])).await.has("<h1>メニュー</h1>");
    house.close().await;
}

#[tokio::test]
async fn r031_a_code_of_a_secret_whose_half_hour_is_over_is_met_with_what_to_do_in_the_app() {
    let house = house().await;
    let mut phone = first_login(&house).await;
    phone.get("/account/two-factor/app").await;
    let old = secret(&phone.page);
    house.clock.turn(Span::from_secs(31 * 60));
    let form = "/account/two-factor/app";
    send(&mut phone, form, &[("otp", &shown(&house, &old))]).await.has("QRコードが新しくなりました");
    let new = secret(&phone.page);
    send(&mut phone, form, &[("otp", &shown(&house, &new))]).await.has("登録が完了しました");
    house.close().await;
}

#[tokio::test]
async fn r027_r031_each_visit_shows_another_secret_and_each_is_good_for_its_own_form() {
    let house = house().await;
    let mut one = first_login(&house).await;
    let mut two = one.clone();
    one.get("/account/two-factor/app").await;
    two.get("/account/two-factor/app").await;
    let (first, second) = (secret(&one.page), secret(&two.page));
    assert_ne!(first, second);
    assert_ne!(one.page.between("stroke=\"#000\" d=\"", "\""), two.page.between("stroke=\"#000\" d=\"", "\""));
    // A mistyped code shows the same secret once more, as the app holds it already.
    send(&mut one, "/account/two-factor/app", &[("otp", &shown(&house, &second))]).await.has("もう使われています");
    assert_eq!(secret(&one.page), first);
    let code = shown(&house, &first);
    send(&mut one, "/account/two-factor/app", &[("otp", &code)]).await.has("登録が完了しました");
    house.close().await;
}

#[tokio::test]
async fn r032_a_wrong_code_registers_nothing() {
    let house = house().await;
    let mut phone = first_login(&house).await;
    phone.get("/account/two-factor/app").await;
    let key = secret(&phone.page);
    let old = shown(&house, &key);
    let form = "/account/two-factor/app";
    send(&mut phone, form, &[("otp", "")]).await.has("ワンタイムパスワードを入力してください").has("エラー：");
    send(&mut phone, form, &[("otp", &other_than(&old))]).await.has("aria-invalid=\"true\"");
    house.clock.turn(Span::from_secs(90));
    send(&mut phone, form, &[("otp", &old)]).await.has("もう使われています");
    phone.get("/account").await.has("どちらかを設定してください");
    phone.get("/account/two-factor").await.has("設定していません").has_not("に設定しました");
    house.close().await;
}

#[tokio::test]
async fn r035_r044_r045_the_backup_code_is_shown_until_it_is_kept_and_never_again() {
    let house = house().await;
    let mut phone = first_login(&house).await;
    let (_, backup) = set_up_app(&house, &mut phone).await;
    let backup = backup.unwrap();
    assert!(backup.len() == 9 && backup.replace(' ', "").bytes().all(|digit| digit.is_ascii_digit()), "{backup}");
    phone.page.has("保存してください").has("メインメニューへ").has("続けてメールアドレスの登録も行う場合はこちら");
    assert_eq!(path(&phone), "/account/two-factor/done");
    send(&mut phone, "/account/two-factor/done", &[]).await.has("メニュー");
    for page in ["/account/two-factor/done", "/account/two-factor", "/account/two-factor/done?lang=ja"] {
        phone.get(page).await.has_not(&backup).has_not(&backup.replace(' ', "")).has("もう一度表示すること");
    }
    house.close().await;
}

#[tokio::test]
async fn r002_r045_r060_the_backup_code_is_there_in_the_other_language_and_after_a_reload_for_half_an_hour() {
    let house = house().await;
    let mut phone = first_login(&house).await;
    let (_, backup) = set_up_app(&house, &mut phone).await;
    let backup = backup.unwrap();
    for (page, title) in [
        ("/account/two-factor/done", "登録が完了しました"),
        ("/account/two-factor/done?lang=en", "Two-factor login is set up"),
        ("/account/two-factor/done", "I have kept it"),
        ("/account/two-factor/done?lang=ja", "保存しました"),
    ] {
        let page = phone.get(page).await;
        page.has(&backup).has(title);
        assert_eq!(page.header("cache-control"), "no-store");
        assert!(phone.cookies.values().all(|value| !value.contains(&backup.replace(' ', ""))));
        // Another page does not show it, and does not lose it.
        phone.get("/account/two-factor").await.has_not(&backup);
    }
    house.clock.turn(Span::from_secs(28 * 60));
    phone.get("/account/two-factor/done").await.has(&backup);
    house.clock.turn(Span::from_secs(60));
    phone.get("/account/two-factor/done").await.has_not(&backup).has("もう一度表示すること");
    house.close().await;
}

#[tokio::test]
async fn r024_r034_r036_r043_mail_is_set_up_beside_the_app_with_an_address_of_its_own() {
    let house = house().await;
    let member = house.store.read::<_, StoreError, _>(|tx| {
        let org = tx.org(&"DEMO".parse().unwrap())?.unwrap();
        Ok(tx.member(org.id, &"0001".parse().unwrap())?.unwrap().id)
    });
    let member = member.await.unwrap();
    let mut phone = first_login(&house).await;
    phone.get("/account/two-factor/mail").await.has("二段階目の確認です").has("認証アプリをおすすめします");
    let form = "/account/two-factor/mail/send";
    send(&mut phone, form, &[("email", "nobody")]).await.has("メールアドレスを正しく入力").has("value=\"nobody\"");
    // A phone's keyboard stands on full width, and adds a blank.
    send(&mut phone, form, &[("email", "ｈａｎａｋｏ＠docomo.ne.jp ")]).await.has("有効期限はメール送信後60分です");
    phone.page.has("hanako@docomo.ne.jp").has("2026/11/22 08:00 まで");
    let (code, _) = mailed(&house).await;
    send(&mut phone, "/account/two-factor/mail", &[("otp", &other_than(&code))]).await.has("ちがいます");
    send(&mut phone, "/account/two-factor/mail", &[("otp", &code)]).await.has("登録が完了しました");
    phone.page.has("続けてスマホアプリの登録も行う場合はこちら").has("バックアップコード");
    assert_eq!(house.addresses(member).await, "", "it is no contact address");

    // The other one, too; there is no second backup code.
    let (_, backup) = set_up_app(&house, &mut phone).await;
    assert_eq!(backup, None);
    phone.page.has("前にお渡ししたもの");
    phone.get("/account/two-factor").await.has("hanako@docomo.ne.jp");
    assert_eq!(phone.page.body.matches("に設定しました").count(), 2);
    house.close().await;
}

#[tokio::test]
async fn r144_r146_one_of_two_is_removed_against_a_code_and_can_be_set_up_again() {
    let house = house().await;
    let mut phone = first_login(&house).await;
    let (key, _) = set_up_app(&house, &mut phone).await;
    set_up_mail(&house, &mut phone, "hanako@docomo.ne.jp").await;
    phone.get("/account/two-factor/remove/mail").await.has("解除してもよろしいですか").has("キャンセル");
    phone.page.has_not("これ一つだけです");
    let form = "/account/two-factor/remove/mail/app";
    send(&mut phone, form, &[("otp", &other_than(&shown(&house, &key)))]).await.has("ワンタイムパスワードがちがう");
    house.clock.turn(Span::from_secs(30));
    send(&mut phone, form, &[("otp", &shown(&house, &key))]).await.has("メールでの二要素認証を解除しました");
    phone.page.has_not("hanako@docomo.ne.jp").has("設定していません");
    phone.get("/account").await.has("メニュー");
    house.close().await;
}

#[tokio::test]
async fn r144_the_last_one_is_exchanged_and_the_set_up_comes_at_once() {
    let house = house().await;
    let mut phone = first_login(&house).await;
    let (key, _) = set_up_app(&house, &mut phone).await;
    phone.get("/account/two-factor/remove/app").await.has("これ一つだけです");
    let form = "/account/two-factor/remove/app/app";
    send(&mut phone, form, &[("otp", &shown(&house, &key))]).await.has("続けて、二要素認証を設定し直してください");
    phone.page.has("今までの方法は、新しい方法を設定したとき");
    phone.get("/account").await.has("どちらかを設定してください");
    // Whoever logs in meanwhile is still asked for the old one.
    house.clock.turn(Span::from_secs(60));
    let mut other = house.browser();
    log_in(&mut other, OWN).await;
    other.page.has("認証アプリに表示されている6桁");
    set_up_mail(&house, &mut phone, "hanako@docomo.ne.jp").await;
    phone.get("/account/two-factor").await.has("hanako@docomo.ne.jp").has("設定していません");
    house.close().await;
}

#[tokio::test]
async fn r145_every_page_of_a_member_leads_to_it() {
    let house = house().await;
    let mut phone = first_login(&house).await;
    set_up_app(&house, &mut phone).await;
    for page in ["/account", "/account/password", "/account/two-factor", "/account/two-factor/done", "/logout"] {
        phone
            .get(page)
            .await
            .has("<a class=\"icon\" href=\"/account/two-factor\" title=\"二要素認証\" aria-label=\"二要素認証\"");
    }
    house.close().await;
}

#[tokio::test]
async fn a_change_after_a_while_asks_for_the_password_first() {
    let house = house().await;
    let mut phone = first_login(&house).await;
    set_up_app(&house, &mut phone).await;
    house.clock.turn(Span::from_secs(300));
    for page in ["app", "mail", "remove/app"] {
        phone.get(&format!("/account/two-factor/{page}")).await.has("autocomplete=\"current-password\"");
        assert_eq!(path(&phone), "/login/again");
    }
    send(&mut phone, "/login/again", &[("password", OWN)]).await.has("認証アプリの解除");
    house.close().await;
}

#[tokio::test]
async fn r024_r031_setting_one_up_after_a_while_asks_for_a_code_of_the_one_there_is() {
    let house = house().await;
    let mut phone = first_login(&house).await;
    let (key, _) = set_up_app(&house, &mut phone).await;
    house.clock.turn(Span::from_secs(300));
    phone.get("/account/two-factor/mail").await;
    // Whoever knows the password alone gets no further than this.
    send(&mut phone, "/login/again", &[("password", OWN)]).await.has("設定を変える前に").has("キャンセル");
    for page in ["app", "mail"] {
        phone.get(&format!("/account/two-factor/{page}")).await.has("設定を変える前に").has_not("STEP");
        assert_eq!(path(&phone), "/account/two-factor/confirm", "{page}");
    }
    let form = "/account/two-factor/confirm/app";
    send(&mut phone, form, &[("otp", "")]).await.has("ワンタイムパスワードを入力してください").has("エラー：");
    send(&mut phone, form, &[("otp", &other_than(&shown(&house, &key)))]).await.has("ワンタイムパスワードがちがう");
    house.clock.turn(Span::from_secs(30));
    send(&mut phone, form, &[("otp", &shown(&house, &key))]).await.has("メールアドレスを用いて");
    assert_eq!(path(&phone), "/account/two-factor/mail");
    house.clock.turn(Span::from_secs(60));
    set_up_mail(&house, &mut phone, "hanako@docomo.ne.jp").await;

    // By mail, too.
    house.clock.turn(Span::from_secs(300));
    phone.get("/account/two-factor/app").await;
    send(&mut phone, "/login/again", &[("password", OWN)]).await;
    phone.get("/account/two-factor/confirm/mail?back=/account/two-factor/app").await.has("メール送信");
    send(&mut phone, "/account/two-factor/confirm/mail/send", &[]).await.has("有効期限はメール送信後60分です");
    check(&phone.page, "ja", &[]);
    house.clock.turn(Span::from_secs(301));
    let (code, _) = mailed(&house).await;
    send(&mut phone, "/account/two-factor/confirm/mail", &[("otp", &code)]).await.has("current-password");
    send(&mut phone, "/login/again", &[("password", OWN)]).await.has("STEP1");
    house.close().await;
}

#[tokio::test]
async fn r031_r040_what_takes_longer_than_the_password_counts_is_not_lost() {
    let house = house().await;
    let mut phone = first_login(&house).await;
    set_up_mail(&house, &mut phone, "hanako@docomo.ne.jp").await;
    let wait = || house.clock.turn(Span::from_secs(400));

    // A secret that is in the app already.
    phone.get("/account/two-factor/app").await;
    let key = secret(&phone.page);
    wait();
    let form = "/account/two-factor/app";
    send(&mut phone, form, &[("otp", &other_than(&shown(&house, &key)))]).await.has("もう使われています");
    assert_eq!(secret(&phone.page), key);
    send(&mut phone, form, &[("otp", &shown(&house, &key))]).await.has("登録が完了しました");

    // A code for another address, mistyped once.
    phone.get("/account/two-factor/mail").await;
    send(&mut phone, "/login/again", &[("password", OWN)]).await.has("メールアドレスを用いて");
    send(&mut phone, "/account/two-factor/mail/send", &[("email", "ｈａｎａｋｏ＠au.com")]).await.has("hanako@au.com");
    wait();
    let (code, _) = mailed(&house).await;
    send(&mut phone, "/account/two-factor/mail", &[("otp", &other_than(&code))]).await.has("ちがいます");
    send(&mut phone, "/account/two-factor/mail", &[("otp", &code)]).await.has("登録が完了しました");

    // A code for removing.
    house.clock.turn(Span::from_secs(61));
    phone.get("/account/two-factor/remove/mail/mail").await;
    send(&mut phone, "/login/again", &[("password", OWN)]).await.has("メールの解除");
    send(&mut phone, "/account/two-factor/remove/mail/mail/send", &[]).await.has("送りました");
    wait();
    let (code, _) = mailed(&house).await;
    send(&mut phone, "/account/two-factor/remove/mail/mail", &[("otp", &code)]).await.has("解除しました");
    house.close().await;
}

#[tokio::test]
async fn every_page_of_it_has_both_languages_and_fits_the_budget() {
    let house = house().await;
    let mut phone = first_login(&house).await;
    let look = |page: &Page, language: &str| check(page, language, &["見本", "花子", "デモ団体"]);
    for (language, name) in
        [("en", "two-factor"), ("ja", "two-factor"), ("en", "two-factor/app"), ("ja", "two-factor/app")]
    {
        look(phone.get(&format!("/account/{name}?lang={language}")).await, language);
    }
    phone.get("/account/two-factor/mail").await;
    let form = "/account/two-factor/mail/send";
    look(send(&mut phone, form, &[("email", "x")]).await, "ja");
    look(send(&mut phone, form, &[("email", "hanako@docomo.ne.jp")]).await, "ja");
    let (code, _) = mailed(&house).await;
    look(phone.get("/account/two-factor/mail?lang=en").await, "en");
    look(send(&mut phone, "/account/two-factor/mail", &[("otp", "0")]).await, "en");
    look(send(&mut phone, "/account/two-factor/mail", &[("otp", &code)]).await, "en");
    for page in ["", "/done", "/remove/mail"] {
        look(phone.get(&format!("/account/two-factor{page}?lang=ja")).await, "ja");
        look(phone.get(&format!("/account/two-factor{page}?lang=en")).await, "en");
    }
    let mut other = house.browser();
    log_in(&mut other, OWN).await;
    for page in ["code", "backup"] {
        look(other.get(&format!("/login/{page}?lang=ja")).await, "ja");
        look(other.get(&format!("/login/{page}?lang=en")).await, "en");
    }
    look(send(&mut other, "/login/backup", &[("code", "1")]).await, "en");
    house.close().await;
}

#[tokio::test]
async fn r044_where_the_organisation_wants_it_ten_codes_are_shown_and_the_number_left() {
    let house = house().await;
    let ten = Policy { two_factor: true, backup_code: BackupKind::TenCodes, ..Policy::default() };
    policy(&house, ten).await;
    let mut phone = first_login(&house).await;
    set_up_app(&house, &mut phone).await;
    phone.page.has("次の10個のバックアップコード");
    let shown = phone.page.body.clone();
    let codes = shown.split("<li class=\"mailbox\">").skip(1).map(|rest| rest.split_once('<').unwrap().0);
    let codes: Vec<&str> = codes.collect();
    assert_eq!(codes.len(), 10);
    assert!(codes.iter().all(|code| code.len() == 14), "{codes:?}");
    send(&mut phone, "/account/two-factor/done", &[]).await;
    phone.get("/account/two-factor").await.has("残りは10個です").has_not(codes[3]);

    let mut lost = before_the_step(&house).await;
    lost.get("/login/backup").await;
    send(&mut lost, "/login/backup", &[("code", codes[3])]).await.has("設定し直してください");
    set_up_app(&house, &mut lost).await;
    lost.page.has("前にお渡ししたもの");
    lost.get("/account/two-factor").await.has("残りは9個です").has_not("発行する");
    house.close().await;
}

/// Sets the app up in a browser that never sees the page behind it.
async fn set_up_unseen(house: &House, phone: &mut Browser) -> Vec<u8> {
    phone.get("/account/two-factor/app").await.has("STEP1");
    let secret = secret(&phone.page);
    let (path, body) = form(phone, "/account/two-factor/app", &[("otp", &shown(house, &secret))]);
    phone.send("POST", &path, Some(&body)).await;
    assert_eq!(phone.page.header("location"), "/account/two-factor/done");
    phone.cookies.remove("karamail-once");
    house.clock.turn(Span::from_secs(60));
    secret
}

#[tokio::test]
async fn a_backup_code_whose_page_never_arrived_is_made_anew_at_the_next_login_and_shown_before_all_else() {
    let house = house().await;
    let mut phone = first_login(&house).await;
    let secret = set_up_unseen(&house, &mut phone).await;
    phone.get("/account/two-factor").await.has("まだ画面に表示されていません").has("バックアップコードを発行する");
    for seen in [true, false] {
        let mut again = before_the_step(&house).await;
        let page = type_code(&mut again, FactorKind::App, &shown(&house, &secret)).await;
        assert_eq!(page.body.contains("class=\"mailbox large\">"), seen, "{}", page.body);
        if seen {
            send(&mut again, "/account/two-factor/done", &[]).await;
        }
        again.page.has("<h1>メニュー</h1>");
        again.get("/account/two-factor").await.has("お渡ししています").has_not("バックアップコードを発行する");
        house.clock.turn(Span::from_secs(60));
    }
    house.close().await;
}

#[tokio::test]
async fn a_backup_code_whose_page_never_arrived_is_made_anew_with_the_second_factor_and_one_that_did_is_not() {
    for seen in [false, true] {
        let house = house().await;
        let mut phone = first_login(&house).await;
        set_up_unseen(&house, &mut phone).await;
        if seen {
            phone.get("/account/two-factor").await;
            send(&mut phone, "/account/two-factor/backup", &[]).await.has("class=\"mailbox large\">");
        }
        set_up_mail(&house, &mut phone, "codes@example.jp").await;
        assert_eq!(phone.page.body.contains("class=\"mailbox large\">"), !seen, "{}", phone.page.body);
        // It was shown, but nobody said that it is kept: another one is there for the asking.
        phone.get("/account/two-factor").await.has("保存したというボタンがまだ押されていません");
        house.close().await;
    }
}
