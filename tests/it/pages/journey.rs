//! From the link to the registered address, and what may come between.

use super::house::{ADDRESS, House, NOTICES, OWN, START};
use karamail::model::{Language, Priority, Span};
use karamail::queue::{Content, Notice};
use karamail::service::hasher::Hasher;
use karamail::store::{AddressState, JobFilter, StoreError};

#[tokio::test]
async fn r117_r118_r119_a_first_login_ends_with_a_registered_address() {
    let house = House::open().await;
    let token = house.registration(ADDRESS, Some("DEMO")).await;
    let mut phone = house.browser();
    phone.get(&format!("/r/{token}")).await.has("メールアドレスの登録").has(ADDRESS).has("value=\"DEMO\"");
    phone.page.has("autocomplete=\"organization\"").has("autocomplete=\"username\"");
    phone.page.has("autocomplete=\"current-password\"").has("2026/11/23 07:00");

    phone.submit(&[("org", "ｄｅｍｏ"), ("id", "０００１"), ("password", START)]).await.has("新しいパスワードを決める");
    assert!(phone.path.ends_with("/password"));
    phone.page.has("autocomplete=\"new-password\"").has("見本 花子").has("デモ団体");

    phone.submit(&[("new", OWN), ("again", OWN)]).await.has("パスワードを変更しました").has("優先順位を選ぶ");
    phone.submit(&[("priority", "1")]).await.has("登録が完了しました").has(ADDRESS);
    assert!(phone.path.ends_with("/done"));

    assert_eq!(
        house.events("registered").await,
        [r#"{"org":"DEMO","id":"0001","priority":1,"address":"<h***@docomo.ne.jp>"}"#]
    );
    let address = ADDRESS.parse().unwrap();
    let row = house.store.read(move |tx| tx.address(&address)).await.unwrap().unwrap();
    assert_eq!(row.state, AddressState::Verified);
    assert_eq!(row.verified_at, Some(house.clock.now()));
    house.close().await;
}

#[tokio::test]
async fn the_next_login_needs_the_new_password_and_no_change() {
    let house = House::open().await;
    let token = house.registration(ADDRESS, None).await;
    let mut phone = house.browser();
    phone.log_in(&token, "0001", START).await;
    phone.submit(&[("new", OWN), ("again", OWN)]).await.has("優先順位を選ぶ");
    let mut other = house.browser();
    other.log_in(&token, "0001", START).await.has("ログインできませんでした");
    other.log_in(&token, "0001", OWN).await.has("優先順位を選ぶ").has_not("パスワードを変更しました");
    house.close().await;
}

#[tokio::test]
async fn an_imported_argon2id_string_is_taken_as_it_is() {
    let house = House::open().await;
    let hash = Hasher::new(1, house.clock.clone()).hash(secret("kaze-no-machi"), [3; 16]).await.unwrap();
    house.member_with("0003", "三号", Language::Ja, None, Some(hash)).await;
    let token = house.registration(ADDRESS, None).await;
    let mut phone = house.browser();
    phone.log_in(&token, "0003", "kaze-no-machI").await.has("ログインできませんでした");
    phone.log_in(&token, "0003", " kaze-no-machi ").await.has("新しいパスワードを決める");
    phone.submit(&[("new", "kaze-no-machi"), ("again", "kaze-no-machi")]).await.has("最初のパスワードは使えません");
    phone.submit(&[("new", OWN), ("again", OWN)]).await.has("優先順位を選ぶ");
    house.close().await;
}

fn secret(text: &str) -> karamail::model::Secret<String> {
    karamail::model::Secret::new(text.to_owned())
}

#[tokio::test]
async fn a_member_without_any_password_cannot_log_in() {
    let house = House::open().await;
    let token = house.registration(ADDRESS, None).await;
    let mut phone = house.browser();
    for password in ["x", "0002", "DEMO", START] {
        phone.log_in(&token, "0002", password).await.has("ログインできませんでした");
        house.clock.turn(Span::from_secs(61));
    }
    house.close().await;
}

#[tokio::test]
async fn r018_a_refused_password_is_explained_and_the_start_password_still_stands() {
    let house = House::open().await;
    let token = house.registration(ADDRESS, None).await;
    let mut phone = house.browser();
    phone.log_in(&token, "0001", START).await;
    let too_long = "kumo-ni-noru-saru-to-ame-no-yoru!";
    for (new, again, reason) in [
        ("", "", "新しいパスワードを入力してください"),
        (OWN, "umi-to-yama-8", "2回の入力がちがっています"),
        ("123456", "123456", "多くの人が使っているか"),
        ("demo", "demo", "団体コードと同じパスワード"),
        ("0001", "0001", "IDと同じパスワード"),
        ("HAJIME-kite7", "HAJIME-kite7", "最初のパスワードは使えません"),
        ("ｕｍｉ", "ｕｍｉ", "半角の英字、数字、記号だけ"),
        (too_long, too_long, "32文字までにしてください"),
    ] {
        phone.submit(&[("new", new), ("again", again)]).await.has(reason).has("エラー：").has("aria-invalid=\"true\"");
        let field = if reason.starts_with('2') { "again" } else { "new" };
        phone.page.has(&format!("href=\"#{field}\"")).has(&format!("id=\"{field}-error\""));
        if new.len() > 4 {
            phone.page.has_not(&format!("value=\"{new}\""));
        }
    }
    house.browser().log_in(&token, "0001", START).await.has("新しいパスワードを決める");
    house.close().await;
}

#[tokio::test]
async fn r017_no_other_page_is_reached_before_the_password_is_changed() {
    let house = House::open().await;
    let token = house.registration(ADDRESS, None).await;
    let mut phone = house.browser();
    phone.log_in(&token, "0001", START).await;
    for page in ["", "/priority", "/confirm?priority=1", "/done"] {
        phone.get(&format!("/r/{token}{page}")).await.has("新しいパスワードを決める");
    }
    let (_, body) = phone.form(&[("priority", "1")]);
    for page in ["/priority", "/confirm"] {
        phone.send("POST", &format!("/r/{token}{page}"), Some(&body)).await;
        assert_eq!(phone.page.header("location"), format!("/r/{token}/password"));
    }
    assert!(house.events("registered").await.is_empty());
    house.close().await;
}

#[tokio::test]
async fn r120_a_taken_place_is_shown_and_asked_about() {
    let house = House::open().await;
    let member = house.member("0004", "四号", Language::Ja, Some(START)).await;
    house.put(member, Priority::First, "old@example.jp").await;
    house.put(member, Priority::Third, "third@example.jp").await;
    let token = house.registration(ADDRESS, None).await;
    let mut phone = house.browser();
    phone.log_in(&token, "0004", START).await;
    phone.submit(&[("new", OWN), ("again", OWN)]).await.has("old@example.jp").has("third@example.jp");
    // The free place is chosen beforehand.
    phone.page.has("value=\"2\" required checked");

    phone.submit(&[("priority", "1")]).await.has("登録の確認").has("old@example.jp").has(ADDRESS);
    phone.page.has("連絡が届かなくなります");
    assert_eq!(house.addresses(member).await, "1=old@example.jp 3=third@example.jp");
    assert!(house.events("registered").await.is_empty());

    // The address in that place changes while the member reads: it is shown again.
    house.put(member, Priority::First, "newer@example.jp").await;
    phone.submit(&[]).await.has("登録の確認").has("newer@example.jp");
    phone.submit(&[]).await.has("登録が完了しました");
    assert_eq!(house.addresses(member).await, format!("1={ADDRESS} 3=third@example.jp"));
    house.close().await;
}

#[tokio::test]
async fn r119_r120_a_registration_is_in_the_audit_log_and_the_address_that_gave_way_is_told() {
    let house = House::open().await;
    let member = house.member("0004", "四号", Language::Ja, Some(START)).await;
    house.put(member, Priority::First, "old@example.jp").await;
    let token = house.registration(ADDRESS, None).await;
    let mut phone = house.browser();
    phone.log_in(&token, "0004", START).await;
    phone.submit(&[("new", OWN), ("again", OWN)]).await;
    phone.submit(&[("priority", "1")]).await;
    phone.submit(&[]).await.has("登録が完了しました");
    let rows = house.store.read::<_, StoreError, _>(|tx| tx.audit(None, 0, 99)).await.unwrap();
    let told: Vec<(&str, &str, bool)> =
        rows.iter().map(|row| (row.name.as_str(), row.by.as_str(), row.member.is_some())).collect();
    assert_eq!(
        told,
        [
            ("link_opened", "anybody", false),
            ("authn_login_password", "member", true),
            ("authn_password_change", "member", true),
            ("authn_login_success", "member", true),
            ("link_finished", "member", true),
            ("user_address_verified", "member", true),
            ("user_address_changed", "member", true),
        ]
    );
    let fields = r#"{"place":1,"address":"h***@docomo.ne.jp","before":"o***@example.jp"}"#;
    assert_eq!(rows.last().unwrap().fields, fields);
    let jobs = house.store.read::<_, StoreError, _>(|tx| tx.list_jobs(&JobFilter::default())).await.unwrap();
    let to: Vec<String> = jobs.iter().map(|job| job.order.to.to_string()).collect();
    assert_eq!(to, ["old@example.jp"]);
    assert_eq!(jobs[0].order.content, Content::Security { member, what: Notice::AddressChanged });
    assert_eq!(jobs[0].order.give_up, house.clock.now().plus(NOTICES.give_up));
    house.close().await;
}

#[tokio::test]
async fn an_address_the_member_has_already_moves_or_changes_places() {
    let house = House::open().await;
    for (login, chosen, asked, after) in [
        ("0005", "2", None, format!("2={ADDRESS} 3=third@example.jp")),
        ("0006", "3", Some("優先順位1に移ります"), format!("1=third@example.jp 3={ADDRESS}")),
        ("0007", "1", None, format!("1={ADDRESS} 3=third@example.jp")),
    ] {
        let member = house.member(login, "号", Language::Ja, Some(START)).await;
        house.put(member, Priority::First, "HANAKO@docomo.ne.jp").await;
        house.put(member, Priority::Third, "third@example.jp").await;
        let token = house.registration(ADDRESS, None).await;
        let mut phone = house.browser();
        phone.log_in(&token, login, START).await;
        phone.submit(&[("new", OWN), ("again", OWN)]).await.has("優先順位1に登録されています");
        phone.page.has("value=\"1\" required checked");
        phone.submit(&[("priority", chosen)]).await;
        if let Some(asked) = asked {
            phone.page.has(asked);
            phone.submit(&[]).await;
        }
        phone.page.has("登録が完了しました");
        assert_eq!(house.addresses(member).await, after);
    }
    house.close().await;
}

#[tokio::test]
async fn without_a_choice_the_page_asks_for_one() {
    let house = House::open().await;
    let token = house.registration(ADDRESS, None).await;
    let mut phone = house.browser();
    phone.log_in(&token, "0001", START).await;
    phone.submit(&[("new", OWN), ("again", OWN)]).await;
    for wrong in [&[][..], &[("priority", "4")], &[("priority", "")]] {
        phone.submit(wrong).await.has("優先順位を1つ選んでください").has("href=\"#priority\"");
    }
    phone.get(&format!("/r/{token}/confirm?priority=9")).await.has("優先順位を選ぶ");
    phone.get(&format!("/r/{token}/confirm?priority=1")).await.has("優先順位を選ぶ");
    house.close().await;
}

#[tokio::test]
async fn empty_fields_are_named_and_nothing_is_counted_as_a_failure() {
    let house = House::open().await;
    let token = house.registration(ADDRESS, None).await;
    let mut phone = house.browser();
    phone.get(&format!("/r/{token}")).await;
    for _ in 0..5 {
        phone.submit(&[("org", "DEMO"), ("id", " "), ("password", "")]).await;
        phone.page.has("IDを入力してください").has("パスワードを入力してください").has("value=\"DEMO\"");
        phone.page.has_not("団体コードを入力してください");
    }
    phone.submit(&[("org", "DEMO"), ("id", "0001"), ("password", START)]).await.has("新しいパスワードを決める");
    house.close().await;
}

#[tokio::test]
async fn r121_a_second_use_explains_itself_and_the_same_person_sees_that_it_is_done() {
    let house = House::open().await;
    let token = house.registration(ADDRESS, Some("DEMO")).await;
    let mut phone = house.browser();
    phone.log_in(&token, "0001", START).await;
    phone.submit(&[("new", OWN), ("again", OWN)]).await;
    let mut tab = phone.clone();
    phone.submit(&[("priority", "1")]).await.has("登録が完了しました");
    // The other tab, the link once more, Back: all lead to what was done.
    tab.submit(&[("priority", "2")]).await.has("登録が完了しました");
    for page in ["", "/priority", "/password", "/confirm?priority=2", "/done"] {
        phone.get(&format!("/r/{token}{page}")).await.has("登録が完了しました");
    }
    let mut stranger = house.browser();
    for page in ["", "/priority", "/done"] {
        stranger.get(&format!("/r/{token}{page}")).await.has("もう済んでいます").has("h***@docomo.ne.jp");
        assert_eq!(stranger.page.status, 410);
        stranger.page.has_not(ADDRESS).has("mailto:bizanpi+DEMO@mc-anpi.com");
    }
    assert_eq!(house.events("registered").await.len(), 1);
    house.close().await;
}

#[tokio::test]
async fn r121_cut_forged_and_expired_links_each_say_what_they_are_and_how_to_go_on() {
    let house = House::open().await;
    let token = house.registration(ADDRESS, Some("ACME")).await;
    let mut phone = house.browser();
    for cut in [&token[..66], &token[..10], "", "%ff", "a/b/c"] {
        phone.get(&format!("/r/{cut}")).await;
        if cut == "a/b/c" {
            phone.page.has("ページが見つかりません");
        } else if cut != "%ff" {
            phone.page.has("リンクが途中で切れています");
        }
        phone.page.has("mailto:bizanpi@mc-anpi.com");
        assert_eq!(phone.page.status, 404);
    }
    phone.get(&format!("/r/{token}%E3%80%82")).await.has(ADDRESS);
    phone.get(&format!("/r/{token}/")).await.has("リンクが途中で切れています");

    let flipped = if token.starts_with("AQ") { token.replacen("AQ", "Aw", 1) } else { "A".repeat(67) };
    let mut changed = token.clone().into_bytes();
    changed[30] = if changed[30] == b'A' { b'B' } else { b'A' };
    for forged in [flipped, String::from_utf8(changed).unwrap()] {
        phone.get(&format!("/r/{forged}")).await.has("このリンクは使えません").has("mailto:bizanpi@mc-anpi.com");
        assert_eq!(phone.page.status, 404);
    }

    house.clock.turn(Span::from_secs(86_399));
    phone.get(&format!("/r/{token}")).await.has(ADDRESS);
    house.clock.turn(Span::from_secs(1));
    phone.submit(&[("org", "DEMO"), ("id", "0001"), ("password", START)]).await;
    phone.page.has("リンクの期限が過ぎました").has("2026/11/23 07:00");
    phone.page.has("mailto:bizanpi+ACME@mc-anpi.com").has_not(ADDRESS);
    assert_eq!(phone.page.status, 410);
    house.close().await;
}

#[tokio::test]
async fn r121_ten_visits_of_a_scanner_leave_the_link_usable_and_one_line_in_the_log() {
    let house = House::open().await;
    let token = house.registration(ADDRESS, None).await;
    for _ in 0..10 {
        let mut scanner = house.browser();
        assert_eq!(scanner.send("HEAD", &format!("/r/{token}"), None).await.status, 200);
        assert_eq!(scanner.page.body, "");
    }
    assert!(house.events("visited").await.is_empty());
    for _ in 0..10 {
        let mut scanner = house.browser();
        for page in ["", "/priority", "/password", "/confirm?priority=1", "/done"] {
            scanner.get(&format!("/r/{token}{page}")).await.has(ADDRESS);
        }
    }
    assert_eq!(house.events("visited").await.len(), 1);
    house.clock.turn(Span::from_secs(3_600));
    let mut phone = house.browser();
    phone.log_in(&token, "0001", START).await;
    let visits = house.events("visited").await.len();
    assert_eq!(visits, 3, "two looks an hour apart, and the login");
    phone.submit(&[("new", OWN), ("again", OWN)]).await;
    phone.submit(&[("priority", "3")]).await.has("登録が完了しました");
    house.close().await;
}

#[tokio::test]
async fn whoever_is_logged_in_is_not_asked_again_and_can_log_out_for_another() {
    let house = House::open().await;
    let first = house.registration(ADDRESS, None).await;
    let mut phone = house.browser();
    phone.log_in(&first, "0001", START).await;
    phone.submit(&[("new", OWN), ("again", OWN)]).await;
    phone.submit(&[("priority", "1")]).await.has("登録が完了しました");
    let second = house.registration("hanako@example.jp", None).await;
    phone.get(&format!("/r/{second}")).await.has("優先順位を選ぶ").has("hanako@example.jp").has("0001");

    phone.get(&format!("/logout?r={second}")).await.has("ログアウトの確認").has(&format!("/r/{second}"));
    phone.submit(&[]).await.has("ログアウトしました").has("ログインし直す");
    phone.get(&format!("/r/{second}")).await.has("パスワード").has_not("見本 花子");
    house.close().await;
}
