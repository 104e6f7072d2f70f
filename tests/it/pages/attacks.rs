//! Those who mean harm, and machines that do it without meaning to.

use super::house::{ADDRESS, Browser, House, OWN, START, exchange, read};
use karamail::model::{Language, Secret, Span};
use karamail::random::Random;
use karamail::service::hasher::{HashError, Hasher};
use karamail::service::login::{Device, Entrance, Login, LoginError, Typed, Verdict};
use tokio::task::JoinSet;

/// A browser that has got as far as choosing the priority.
async fn logged_in(house: &House, token: &str) -> Browser {
    let mut phone = house.browser();
    phone.log_in(token, "0001", START).await;
    phone.submit(&[("new", OWN), ("again", OWN)]).await.has("優先順位を選ぶ");
    phone
}

#[tokio::test]
async fn a_form_from_another_site_is_refused_and_changes_nothing() {
    let house = House::open().await;
    let token = house.registration(ADDRESS, None).await;
    let phone = logged_in(&house, &token).await;
    let (path, body) = phone.form(&[("priority", "1")]);
    for (name, value) in [
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
        ("origin", "https://evil.example"),
        ("origin", "http://127.0.0.1:1"),
    ] {
        let mut tricked = phone.clone().with(name, value);
        tricked.send("POST", &path, Some(&body)).await.has("この操作は受け付けられません");
        assert_eq!(tricked.page.status, 403);
    }
    assert!(house.events("registered").await.is_empty());
    let mut own = phone.with("sec-fetch-site", "same-origin").with("origin", "null");
    own.submit(&[("priority", "1")]).await.has("登録が完了しました");
    house.close().await;
}

#[tokio::test]
async fn a_form_without_its_own_token_is_not_taken() {
    let house = House::open().await;
    let token = house.registration(ADDRESS, None).await;
    let phone = logged_in(&house, &token).await;
    let (path, _) = phone.form(&[]);

    let mut stranger = house.browser();
    stranger.get(&format!("/r/{token}")).await;
    let (_, of_stranger) = stranger.form(&[("priority", "1")]);
    let before_login = stranger.clone();
    for body in ["priority=1", "form=&priority=1", "form=AAAA&priority=1", &of_stranger] {
        let mut tricked = phone.clone();
        tricked.send("POST", &path, Some(body)).await;
        assert_eq!(tricked.page.header("location"), path);
        tricked.get(&path).await.has("もう一度お願いします");
    }
    assert!(house.events("registered").await.is_empty());

    // Logging a victim in to the attacker's account takes a token of the victim's browser.
    let mut victim = house.browser();
    victim.get(&format!("/r/{token}")).await;
    let (path, body) = before_login.form(&[("org", "DEMO"), ("id", "0001"), ("password", OWN)]);
    victim.send("POST", &path, Some(&body)).await;
    assert!(!victim.cookies.contains_key("karamail"));
    victim.get(&path).await.has("もう一度お願いします").has("value=\"0001\"");
    house.close().await;
}

#[tokio::test]
async fn r003_a_browser_without_cookies_is_told_so() {
    let house = House::open().await;
    let token = house.registration(ADDRESS, None).await;
    let mut phone = house.browser();
    phone.get(&format!("/r/{token}")).await;
    let (path, body) = phone.form(&[("org", "DEMO"), ("id", "0001"), ("password", START)]);
    phone.cookies.clear();
    phone.send("POST", &path, Some(&body)).await;
    assert_eq!((phone.page.status, phone.page.header("location")), (303, format!("/cookies?r={token}").as_str()));
    phone.cookies.clear();
    phone
        .get(&format!("/cookies?r={token}"))
        .await
        .has("Cookie（クッキー）を許可してください")
        .has(&format!("href=\"/r/{token}\""));
    assert_eq!(phone.page.status, 200);
    house.close().await;
}

#[tokio::test]
async fn two_tabs_that_finish_at_once_register_once() {
    let house = House::open().await;
    let token = house.registration(ADDRESS, None).await;
    let phone = logged_in(&house, &token).await;
    let mut tabs = JoinSet::new();
    for number in ["1", "2", "3", "1", "2", "3", "1", "2"] {
        let mut tab = phone.clone();
        tabs.spawn(async move {
            tab.submit(&[("priority", number)]).await.has("登録が完了しました");
        });
    }
    while let Some(done) = tabs.join_next().await {
        done.unwrap();
    }
    assert_eq!(house.events("registered").await.len(), 1);
    house.close().await;
}

#[tokio::test]
async fn every_reason_to_refuse_a_login_looks_the_same() {
    let house = House::open().await;
    let token = house.registration(ADDRESS, None).await;
    let mut seen = Vec::new();
    for (org, id, password) in [
        ("DEMO", "0001", "wrong"),
        ("DEMO", "9999", START),
        ("NONE", "0001", START),
        ("DEMO", "0002", START),
        ("団体", "花子", START),
        ("DEMO", "0001", "wrong"),
        ("DEMO", "0001", "wrong"),
        // By now the account has to wait: even the right one is refused, in the same words.
        ("DEMO", "0001", START),
    ] {
        let mut phone = house.browser();
        phone.get(&format!("/r/{token}")).await;
        let page = phone.submit(&[("org", org), ("id", id), ("password", password)]).await;
        let form = page.between("role=\"alert\"", "</form>");
        // But for what was typed and the form's token, it is the same page to the letter.
        let mut shown = String::new();
        for piece in form.split(" value=\"") {
            shown.push_str(piece.split_once('"').filter(|_| !shown.is_empty()).map_or(piece, |(_, rest)| rest));
        }
        seen.push(shown);
        assert!(!phone.cookies.contains_key("karamail"));
        assert!(!phone.cookies.contains_key("karamail-device"));
    }
    seen.dedup();
    assert_eq!(seen.len(), 1, "{seen:#?}");
    house.close().await;
}

#[tokio::test]
async fn the_wait_grows_to_a_minute_and_never_locks_anybody_out() {
    let house = House::open().await;
    let token = house.registration(ADDRESS, None).await;
    for wait in [0, 0, 1, 2, 4, 8, 16, 32, 60, 60, 60] {
        house.clock.turn(Span::from_secs(wait));
        house.browser().log_in(&token, "0001", "wrong").await.has("ログインできませんでした");
    }
    house.clock.turn(Span::from_secs(59));
    house.browser().log_in(&token, "0001", START).await.has("ログインできませんでした");
    house.clock.turn(Span::from_secs(1));
    house.browser().log_in(&token, "0001", START).await.has("新しいパスワードを決める");
    house.close().await;
}

#[tokio::test]
async fn a_device_that_logged_in_before_does_not_wait_for_the_guesses_of_others() {
    let house = House::open().await;
    let token = house.registration(ADDRESS, None).await;
    let mut phone = logged_in(&house, &token).await;
    phone.get("/logout").await;
    phone.submit(&[]).await;
    for _ in 0..5 {
        house.browser().log_in(&token, "0001", "wrong").await;
    }
    house.browser().log_in(&token, "0001", OWN).await.has("ログインできませんでした");
    // A cookie made up by the guesser gives no fresh start.
    let mut guesser = house.browser();
    guesser.cookies.insert("karamail-device".to_owned(), "AAAAAAAAAAAAAAAAAAAAAA.AAAA".to_owned());
    guesser.log_in(&token, "0001", OWN).await.has("ログインできませんでした");
    phone.log_in(&token, "0001", OWN).await.has("優先順位を選ぶ");
    house.close().await;
}

#[tokio::test]
async fn where_a_guess_comes_from_is_believed_of_our_own_proxies_only() {
    for (proxies, counted_apart) in [(vec![], false), (vec!["127.0.0.0/8", "10.0.0.0/8"], true)] {
        let proxies = proxies.into_iter().map(|network| network.parse().unwrap()).collect();
        let house = House::open_with(|settings| settings.trusted_proxies = proxies).await;
        let token = house.registration(ADDRESS, None).await;
        let from = |chain: &str| house.browser().with("x-forwarded-for", chain);
        for _ in 0..4 {
            // The first address is the guesser's own invention, the last one that of our second proxy.
            let chain = "192.0.2.77, 198.51.100.7, 10.0.0.1";
            from(chain).log_in(&token, "0001", "wrong").await.has("ログインできませんでした");
        }
        let mut elsewhere = from("198.51.100.7, 203.0.113.9, 10.9.9.9");
        elsewhere.log_in(&token, "0001", START).await;
        elsewhere.page.has(if counted_apart {
            "新しいパスワードを決める"
        } else {
            "ログインできませんでした"
        });
        house.close().await;
    }
}

#[tokio::test]
async fn of_ten_thousand_guesses_at_once_two_are_judged() {
    let house = House::open().await;
    let hasher = Hasher::new(2, house.clock.clone());
    let login = Login::new(house.store.clone(), house.chain.clone(), hasher, Random::system(), super::house::NOTICES);
    let now = house.clock.now();
    let mut guesses = JoinSet::new();
    for number in 0..10_000_u32 {
        let login = login.clone();
        // The right one is among them, but for the two that are judged.
        let password = if number > 100 { START.to_owned() } else { format!("guess{number}") };
        let (org, id, family) = ("DEMO".to_owned(), "0001".to_owned(), String::new());
        let typed = Typed { org, id, family, password: Secret::new(password) };
        let session = [u8::try_from(number % 251).unwrap(); 32];
        let entrance = Entrance { device: Device::Network([7; 32]), old: None, session, language: None };
        guesses.spawn(async move { login.attempt(typed, entrance, now).await });
    }
    while let Some(verdict) = guesses.join_next().await {
        // One network has so many places in the line for Argon2, and no more.
        let verdict = verdict.unwrap();
        assert!(matches!(verdict, Ok(Verdict::Refused) | Err(LoginError::Hash(HashError::Busy))), "{verdict:?}");
    }
    let database = rusqlite::Connection::open(house.folder.path().join("karamail.db")).unwrap();
    let judged: i64 = database.query_row("SELECT sum(failures) FROM login_failures", [], |row| row.get(0)).unwrap();
    assert_eq!(judged, 2);
    house.close().await;
}

#[tokio::test]
async fn what_strangers_wrote_is_shown_as_text() {
    let house = House::open().await;
    let evil = "<script>alert('x')</script>\"&";
    house.member("0008", evil, Language::Ja, Some(START)).await;
    let now = house.clock.now();
    let title = move |tx: &mut karamail::store::Tx<'_>| {
        tx.set_org(&"DEMO".parse().unwrap(), Some("<b>団体</b>"), Some("\"><i>"))?;
        tx.add_org(&"X".parse().unwrap(), "x", None, now)
    };
    house.store.write::<_, karamail::store::StoreError, _>(title).await.unwrap();
    let token = house.registration("\"<img src=x>\"@example.jp", None).await;
    let mut phone = house.browser();
    phone.get(&format!("/r/{token}")).await.has("&lt;img src=x&gt;").has_not("<img");
    phone.submit(&[("org", "\"><script>1</script>"), ("id", "'\"><svg>"), ("password", "x")]).await;
    phone.page.has("ログインできませんでした").has_not("\"><script").has_not("<svg>").has("&lt;svg&gt;");
    phone
        .log_in(&token, "0008", START)
        .await
        .has("&lt;script&gt;")
        .has("&lt;b&gt;団体")
        .has_not("<script>alert")
        .has_not("<b>");
    phone.get(&format!("/r/{token}?lang=en&show=%22%3E%3Cscript%3E")).await.has_not("\"><script").has_not("<i>");
    phone.get(&format!("/logout?r={}", "%22%3E".repeat(20))).await.has_not("\">\">");
    house.close().await;
}

#[tokio::test]
async fn a_password_of_a_megabyte_is_answered_with_a_page() {
    let house = House::open().await;
    let token = house.registration(ADDRESS, None).await;
    let mut phone = house.browser();
    phone.get(&format!("/r/{token}")).await;
    let long = "x".repeat(1 << 20);
    let (path, body) = phone.form(&[("org", "DEMO"), ("id", "0001"), ("password", &long)]);
    phone.send("POST", &path, Some(&body)).await.has("送られた内容が大きすぎます");
    assert_eq!(phone.page.status, 413);
    // Up to the limit it is a password like any other, and wrong.
    phone.get(&format!("/r/{token}")).await;
    phone.submit(&[("org", "DEMO"), ("id", "0001"), ("password", &long[..60_000])]).await;
    phone.page.has("ログインできませんでした");
    house.close().await;
}

#[tokio::test]
async fn no_address_leads_the_browser_to_another_site() {
    let house = House::open().await;
    let token = house.registration(ADDRESS, None).await;
    for path in [
        "//evil.example/?lang=en".to_owned(),
        "//evil.example/r/x".to_owned(),
        "/r//evil.example".to_owned(),
        "/\\evil.example".to_owned(),
        "/cookies?r=//evil.example".to_owned(),
        "/logout?r=https://evil.example".to_owned(),
        format!("/r/{token}/confirm?priority=//evil.example"),
        format!("/r/{token}/priority?r=//evil.example"),
        "/%0d%0aLocation:%20https://evil.example".to_owned(),
    ] {
        let mut phone = house.browser();
        phone.send("GET", &path, None).await.has_not("href=\"//").has_not("href=\"https://evil");
        let next = phone.page.header("location").to_owned();
        assert!(next.is_empty() || next.starts_with("/r/"), "{path} -> {next}");
        phone.send("POST", &path, Some("form=x")).await;
        let next = phone.page.header("location");
        assert!(!next.starts_with("//") && !next.contains("://"), "{path} -> {next}");
    }
    // Nor does the name by which we were called.
    let request = format!("GET /r/{token}/priority HTTP/1.1\r\nhost: evil.example\r\nconnection: close\r\n\r\n");
    let page = read(&exchange(house.at, request.as_bytes()).await);
    assert_eq!(page.header("location"), format!("/r/{token}"));
    house.close().await;
}

#[tokio::test]
async fn a_session_taken_before_the_change_of_the_password_is_worth_nothing_after_it() {
    let house = House::open().await;
    let token = house.registration(ADDRESS, None).await;
    let mut phone = house.browser();
    phone.log_in(&token, "0001", START).await;
    let mut thief = phone.clone();
    let mut second_tab = phone.clone();
    phone.submit(&[("new", OWN), ("again", OWN)]).await.has("優先順位を選ぶ");
    assert_ne!(phone.cookies["karamail"], thief.cookies["karamail"]);
    thief.get(&format!("/r/{token}/priority")).await.has("パスワード").has_not("見本 花子");
    second_tab.submit(&[("new", "another-one-5"), ("again", "another-one-5")]).await.has_not("優先順位を選ぶ");
    house.browser().log_in(&token, "0001", OWN).await.has("優先順位を選ぶ");
    house.close().await;
}

#[tokio::test]
async fn a_session_handed_to_the_victim_is_not_the_one_that_gets_logged_in() {
    let house = House::open().await;
    let token = house.registration(ADDRESS, None).await;
    let planted = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    let mut victim = house.browser();
    victim.cookies.insert("karamail".to_owned(), planted.to_owned());
    victim.log_in(&token, "0001", START).await.has("新しいパスワードを決める");
    assert_ne!(victim.cookies["karamail"], planted);
    house.close().await;
}

#[tokio::test]
async fn of_two_tabs_that_change_the_password_the_first_one_counts() {
    let house = House::open().await;
    let mut one = house.browser();
    one.sign_in("0001", START).await;
    one.submit(&[("new", OWN), ("again", OWN)]).await.has("<h1>メニュー</h1>");
    one.get("/account/password").await;
    let mut two = one.clone();
    one.submit(&[("new", "umi-to-yama-10"), ("again", "umi-to-yama-10")]).await.has("パスワードを変更しました");
    two.cookies.clone_from(&one.cookies);
    two.submit(&[("new", "umi-to-yama-11"), ("again", "umi-to-yama-11")]).await.has("もう一度お願いします");
    house.browser().sign_in("0001", "umi-to-yama-11").await.has("ログインできませんでした");
    house.browser().sign_in("0001", "umi-to-yama-10").await.has("<h1>メニュー</h1>");
    house.close().await;
}

/// What an answer says besides the moment and the values of its cookies.
fn said(phone: &Browser) -> String {
    let value = |name: &str, value: &str| match name {
        "date" => String::new(),
        "set-cookie" => value.split('=').next().unwrap().to_owned(),
        _ => value.to_owned(),
    };
    let headers: Vec<String> =
        phone.page.headers.iter().map(|(name, text)| format!("{name}: {}", value(name, text))).collect();
    format!("{} {headers:?} {}", phone.page.status, phone.page.body)
}

#[tokio::test]
async fn who_is_a_member_is_told_neither_by_an_answer_nor_by_the_work_it_took() {
    let house = House::open().await;
    let hash = house.hasher.as_ref().unwrap().hash(Secret::new(OWN.to_owned()), [3; 16]).await.unwrap();
    for login in ["0101", "0102", "0103"] {
        house.member_with(login, "号", Language::Ja, None, Some(hash.clone())).await;
    }
    house.member("0104", "四号", Language::Ja, Some(START)).await;
    let mut refused = Vec::new();
    for (org, id, password, lets_in) in [
        ("NONE", "0101", OWN, false),
        ("DEMO", "9999", OWN, false),
        ("DEMO", "0101", "wrong", false),
        ("DEMO", "0104", "wrong", false),
        ("DEMO", "0002", "wrong", false),
        ("団体", "花子", "wrong", false),
        ("DEMO", "0103", &"x".repeat(60_000), false),
        ("DEMO", "0102", OWN, true),
        ("DEMO", "0104", START, true),
    ] {
        let mut phone = house.browser();
        phone.get("/login").await;
        let (path, body) = phone.form(&[("org", org), ("id", id), ("password", password)]);
        let before = house.hasher.as_ref().unwrap().computed();
        phone.send("POST", &path, Some(&body)).await;
        assert_eq!(house.hasher.as_ref().unwrap().computed() - before, 1, "{org} {id}");
        assert_eq!(phone.page.status, 303);
        assert_eq!(phone.cookies.contains_key("karamail"), lets_in, "{org} {id}");
        if !lets_in {
            refused.push(said(&phone));
        }
    }
    refused.dedup();
    assert_eq!(refused.len(), 1, "{refused:#?}");
    house.close().await;
}
