//! Every form that the sources name, sent by those who mean harm: a new one comes in by itself.

use super::contact::signed_in_at;
use super::crawl::{filled, posts, routes};
use super::house::{Browser, House, OWN, START};
use karamail::model::{Language, MemberId, Policy, Priority, Span};
use karamail::service::session::Stage;
use karamail::store::{FactorKind, JobFilter, StoreError, Tx};
use std::collections::BTreeSet;

const HANAKO: &str = "hanako@docomo.ne.jp";

/// A house that asks for second factors, and a member who has one by mail.
async fn furnished() -> (House, MemberId) {
    let house = House::open().await;
    let member = house.member("0401", "見本 花子", Language::Ja, None).await;
    house.put(member, Priority::First, HANAKO).await;
    let now = house.clock.now();
    let set = move |tx: &mut Tx<'_>| {
        tx.set_policy(&"DEMO".parse().unwrap(), &Policy { two_factor: true, ..Policy::default() })?;
        tx.put_factor(member, FactorKind::Mail, Some(&HANAKO.parse().unwrap()), None, now)
    };
    house.store.write::<_, StoreError, _>(set).await.unwrap();
    (house, member)
}

/// A browser in which a member has got that far, and what makes any form of it one of ours.
async fn ready(house: &House, member: MemberId, stage: Stage) -> (Browser, String) {
    let mut browser = signed_in_at(house, member, stage).await;
    browser.get("/logout").await;
    let (_, body) = browser.form(&[]);
    (browser, body)
}

async fn token(house: &House) -> String {
    house.registration("new@example.jp", Some("DEMO")).await
}

/// Sends a form as it is; gives the status.
async fn press(browser: &Browser, path: &str, body: &str) -> (u16, Browser) {
    let mut browser = browser.clone();
    browser.send("POST", path, Some(body)).await;
    (browser.page.status, browser)
}

#[tokio::test]
async fn no_form_is_taken_from_another_site_and_every_one_from_a_phone_that_says_nothing_of_sites() {
    let (house, member) = furnished().await;
    let token = token(&house).await;
    let (browser, body) = ready(&house, member, Stage::Full).await;
    let own = format!("http://{}", house.at);
    let before = house.contents();
    for route in posts() {
        let path = filled(&route, &token);
        for (name, value) in [
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-site", "same-site"),
            ("sec-fetch-site", "none"),
            ("origin", "https://evil.example"),
            ("origin", "http://127.0.0.1:1"),
        ] {
            let (status, tricked) = press(&browser.clone().with(name, value), &path, &body).await;
            assert_eq!(status, 403, "{path} with {name}: {value}");
            tricked.page.has("この操作は受け付けられません");
        }
    }
    assert_eq!(house.contents(), before);
    for route in posts() {
        let path = filled(&route, &token);
        // Browsers of before 2020 send no Sec-Fetch-Site, and many no Origin either; the form's own token is there.
        for headers in
            [&[][..], &[("origin", own.as_str())], &[("origin", "null")], &[("sec-fetch-site", "same-origin")]]
        {
            let (browser, body) = ready(&house, member, Stage::Full).await;
            let browser = headers.iter().fold(browser, |browser, (name, value)| browser.with(name, value));
            let (status, sent) = press(&browser, &path, &body).await;
            assert!([200, 303, 404].contains(&status), "{path} with {headers:?}: {status}");
            sent.page.has_not("この操作は受け付けられません");
        }
    }
    house.close().await;
}

#[tokio::test]
async fn no_form_is_taken_without_the_token_that_was_shown_in_it_nor_without_cookies() {
    let (house, member) = furnished().await;
    let token = token(&house).await;
    let (browser, body) = ready(&house, member, Stage::Full).await;
    let (_, of_another) = ready(&house, member, Stage::Full).await;
    let mut stranger = house.browser();
    stranger.get("/login").await;
    let (_, of_nobody) = stranger.form(&[]);
    let fields =
        format!("org=DEMO&id=0001&password={START}&new={OWN}&again={OWN}&mail1=x@example.jp&test=1&priority=1");
    let before = house.contents();
    for route in posts() {
        let path = filled(&route, &token);
        for form in ["", "form=", "form=AAAA", &of_another, &of_nobody] {
            let (status, sent) = press(&browser, &path, &format!("{form}&{fields}")).await;
            assert_eq!((status, sent.page.header("location")), (303, path.as_str()), "{form}");
        }
        let mut bare = browser.clone();
        bare.cookies.clear();
        let (status, sent) = press(&bare, &path, &format!("{body}&{fields}")).await;
        assert!(status == 303 && sent.page.header("location").starts_with("/cookies"), "{path}");
    }
    assert_eq!(house.contents(), before);
    house.close().await;
}

#[tokio::test]
async fn r003_a_login_page_without_cookies_says_so_and_leads_back() {
    let house = House::open().await;
    let mut phone = house.browser();
    phone.get("/login").await;
    let (path, body) = phone.form(&[("org", "DEMO"), ("id", "0001"), ("password", START)]);
    phone.cookies.clear();
    phone.send("POST", &path, Some(&body)).await;
    let to = phone.page.header("location").to_owned();
    phone.cookies.clear();
    phone.get(&to).await.has("Cookie（クッキー）を許可してください").has("もう一度お試しください");
    assert!(
        phone.page.body.contains("href=\"/login\"") || phone.page.body.contains("href=\"/\""),
        "{}",
        phone.page.body
    );
    phone.get(&format!("{to}?lang=en")).await.has("Please allow cookies");
    house.close().await;
}

#[tokio::test]
async fn a_megabyte_in_any_form_is_answered_with_a_page_and_changes_nothing() {
    let (house, member) = furnished().await;
    let token = token(&house).await;
    let (browser, body) = ready(&house, member, Stage::Full).await;
    let long = "x".repeat(1 << 20);
    let before = house.contents();
    for route in posts() {
        for field in ["password", "new", "otp", "code", "email", "mail1"] {
            let (status, sent) = press(&browser, &filled(&route, &token), &format!("{body}&{field}={long}")).await;
            assert_eq!(status, 413, "{route}");
            sent.page.has("送られた内容が大きすぎます");
        }
    }
    assert_eq!(house.contents(), before);
    house.close().await;
}

#[tokio::test]
async fn what_fits_into_a_form_is_refused_like_anything_wrong_however_long_it_is() {
    let (house, member) = furnished().await;
    let long = "x".repeat(60_000);
    for (stage, path, fields) in [
        (Stage::Full, "/account/password", &["new", "again"][..]),
        (Stage::Full, "/login/strength", &["new"]),
        (Stage::Password, "/login/password", &["new", "again"]),
        (Stage::Code, "/login/code/mail", &["otp"]),
        (Stage::Code, "/login/backup", &["code"]),
        (Stage::Doubt, "/login/confirm", &["otp"]),
        (Stage::Full, "/account/two-factor/mail/send", &["email"]),
        (Stage::Full, "/account/two-factor/mail", &["otp"]),
        (Stage::Full, "/account/two-factor/app", &["otp"]),
        (Stage::Full, "/account/two-factor/remove/mail/mail", &["otp"]),
        (Stage::Full, "/login/again", &["password"]),
    ] {
        let (browser, mut body) = ready(&house, member, stage).await;
        for field in fields {
            body.push_str(&format!("&{field}={}", &long[..60_000 / fields.len()]));
        }
        let (status, mut sent) = press(&browser, path, &body).await;
        if status == 303 {
            let next = sent.page.header("location").to_owned();
            sent.get(&next).await;
        }
        assert_eq!(sent.page.status, 200, "{path}: {}", sent.page.body);
        sent.page.has_not(&long[..1_000]);
        assert!(sent.page.header("content-type").starts_with("text/"), "{path}");
    }
    let mut stranger = house.browser();
    stranger.get("/login").await;
    stranger.submit(&[("org", "DEMO"), ("id", "0401"), ("password", &long)]).await.has("ログインできませんでした");
    let passwords = house.store.read::<_, StoreError, _>(move |tx| tx.member_by_id(member)).await.unwrap();
    assert_eq!(passwords.unwrap().password_hash, None);
    house.close().await;
}

/// What opens to somebody who has got that far: routes that begin so.
const fn open_at(stage: Stage) -> &'static [&'static str] {
    match stage {
        Stage::Code => &["/login/code", "/login/backup"],
        Stage::Doubt => &["/login/confirm"],
        Stage::Password => &["/login/password", "/login/strength", "/r/{token}/password"],
        Stage::Enrol => &["/account/two-factor"],
        Stage::Full => &["/"],
    }
}

#[tokio::test]
async fn r017_r022_r025_no_form_but_those_of_its_turn_does_anything_before_a_login_is_through() {
    let (house, member) = furnished().await;
    let token = token(&house).await;
    let fields = [
        "new=umi-to-yama-9&again=umi-to-yama-9&password=umi-to-yama-9&otp=123456&code=12345678&email=thief@example.jp",
        "mail1=thief@example.jp&mail2=&mail3=&test=1&priority=1&was1=hanako@docomo.ne.jp&was2=&was3=&next=1",
    ]
    .join("&");
    for stage in [Stage::Code, Stage::Doubt, Stage::Password, Stage::Enrol] {
        if stage == Stage::Enrol {
            // Whoever has one is asked for its code.
            assert!(house.store.write::<_, StoreError, _>(move |tx| tx.reset_factors(member)).await.unwrap());
        }
        let (browser, body) = ready(&house, member, stage).await;
        let before = house.contents();
        // Whoever wants out, or has the mail with the link, needs no login.
        let others = ["/logout", "/c/{token}"];
        let shut = |route: &String| {
            !others.contains(&route.as_str()) && !open_at(stage).iter().any(|open| route.starts_with(open))
        };
        let shut: Vec<String> = posts().into_iter().filter(shut).collect();
        assert!(shut.len() >= 10, "{shut:?}");
        for route in shut {
            let path = filled(&route, &token);
            let (status, sent) = press(&browser, &path, &format!("{body}&{fields}")).await;
            assert_eq!(status, 303, "{path} at {stage:?}: {}", sent.page.body);
            assert_eq!(house.contents(), before, "{path} at {stage:?}");
        }
    }
    house.close().await;
}

/// Texts with marks of HTML, each of its own; pages have no such element of their own.
const MARKED: [&str; 8] = ["title", "english", "login", "name", "kana", "department", "address", "codes"];

fn marked(what: &str) -> String {
    assert!(MARKED.contains(&what));
    format!("\"'&<u>{what}</u>")
}

/// A member everything about whom was written by somebody who means harm.
async fn evil(house: &House) -> MemberId {
    let now = house.clock.now();
    let set = move |tx: &mut Tx<'_>| {
        let code = "DEMO".parse().unwrap();
        tx.set_org(&code, Some(&marked("title")), Some(&marked("english")))?;
        let org = tx.org(&code)?.unwrap().id;
        let member = karamail::store::NewMember {
            login: marked("login").parse().unwrap(),
            name: marked("name"),
            kana: Some(marked("kana")),
            department: Some(marked("department")),
            language: Language::Ja,
            password_hash: None,
            addresses: [None, None, None],
        };
        let (id, _) = tx.put_member(org, &member, now)?;
        let address = "\"<u>address\"@example.jp".parse().unwrap();
        tx.put_address(id, Priority::First, &address, "import", now)?;
        tx.put_factor(id, FactorKind::Mail, Some(&"\"<u>codes\"@example.jp".parse().unwrap()), None, now)?;
        Ok(id)
    };
    house.store.write::<_, StoreError, _>(set).await.unwrap()
}

#[tokio::test]
async fn marks_of_html_in_whatever_strangers_wrote_are_shown_on_every_page_and_nowhere_obeyed() {
    let (house, _) = furnished().await;
    let member = evil(&house).await;
    let token = house.registration("\"<u>address\"@example.jp", Some("DEMO")).await;
    let mut shown = BTreeSet::new();
    for stage in [Stage::Code, Stage::Doubt, Stage::Password, Stage::Enrol, Stage::Full] {
        let mut browser = signed_in_at(&house, member, stage).await;
        for route in routes() {
            let path = filled(&route, &token);
            for query in
                ["?lang=ja", "?lang=en", "?priority=1", "?r=%22%3E%3Cu%3E&back=%22%3E%3Cu%3E&show=%22%3E%3Cu%3E"]
            {
                browser.get(&format!("{path}{query}")).await.has_not("<u>").has_not("</u>");
                let body = &browser.page.body;
                shown.extend(MARKED.iter().filter(|what| body.contains(&format!("&lt;u&gt;{what}"))));
            }
        }
    }
    // What was typed comes back to whoever typed it, too.
    let mut stranger = house.browser();
    stranger.get("/login").await;
    let typed = marked("name");
    stranger.submit(&[("org", &typed), ("id", &typed), ("password", "x")]).await.has_not("<u>").has("&lt;u&gt;name");
    let mut browser = signed_in_at(&house, member, Stage::Full).await;
    browser.get("/account/two-factor/mail").await;
    let (path, body) = ("/account/two-factor/mail/send", format!("{}&email=%22%3E%3Cu%3Ename", browser.form(&[]).1));
    browser.send("POST", path, Some(&body)).await;
    browser.get("/account/two-factor/mail").await.has_not("<u>").has("&lt;u&gt;name");
    browser.get("/account/profile").await;
    browser.submit(&[("mail1", "\"><u>name"), ("mail2", ""), ("mail3", "")]).await.has_not("<u>").has("&lt;u&gt;name");
    assert_eq!(shown, MARKED.iter().collect());
    house.close().await;
}

/// Where a browser may be sent: to a page of ours, whatever stands behind its `?`.
fn is_ours(location: &str) -> bool {
    let path = location.split(['?', '#']).next().unwrap();
    path.starts_with('/') && !path.starts_with("//") && !path.contains(['\\', '%', ':']) && !path.contains("evil")
}

#[tokio::test]
async fn no_page_and_no_form_leads_to_another_site_or_lets_a_header_in_whatever_its_address_says() {
    let (house, member) = furnished().await;
    let token = token(&house).await;
    let evil = [
        "//evil.example/",
        "https://evil.example/",
        "/\\evil.example",
        "\\\\evil.example",
        "/account//evil.example",
        "javascript:alert(1)",
        "/account\r\nX-Evil: 1\r\nLocation: https://evil.example/",
    ];
    let names = ["back", "next", "r", "c", "lang", "show", "priority", "still", "proof", "url", "return"];
    let every = posts().into_iter().map(|route| ("POST", route));
    let every: Vec<_> = every.chain(routes().into_iter().map(|route| ("GET", route))).collect();
    for (method, route) in every {
        for value in evil {
            let query: Vec<(&str, &str)> = names.iter().map(|name| (*name, value)).collect();
            let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(query).finish();
            let path = format!("{}?{query}", filled(&route, &token));
            let (member, body) = ready(&house, member, Stage::Full).await;
            let mut stranger = house.browser();
            stranger.get("/login").await;
            let of_stranger = stranger.form(&[]).1;
            for (mut browser, form) in [(member, body), (stranger, of_stranger)] {
                let body = format!("{form}&{query}");
                browser.send(method, &path, Some(&body).filter(|_| method == "POST").map(String::as_str)).await;
                let page = &browser.page;
                assert!(page.header("location").is_empty() || is_ours(page.header("location")), "{path}: {page:?}");
                assert_eq!(page.header("x-evil"), "", "{path}");
                page.has_not("href=\"//")
                    .has_not("href=\"https://evil")
                    .has_not("href=\"/\\")
                    .has_not("href=\"javascript");
                page.has_not("action=\"//").has_not("action=\"https:");
            }
        }
    }
    house.close().await;
}

#[tokio::test]
async fn no_field_of_any_form_adds_a_recipient_or_a_header_to_a_mail() {
    let (house, member) = furnished().await;
    let token = token(&house).await;
    let evil = "evil@evil.example%0D%0ABcc:%20evil@evil.example%0D%0A%0D%0Ahello";
    let names =
        ["org", "id", "family", "password", "new", "again", "otp", "code", "mail1", "mail2", "mail3", "priority"];
    let all: Vec<String> = names.iter().map(|name| format!("{name}={evil}")).collect();
    for route in posts() {
        for stage in [Stage::Code, Stage::Password, Stage::Enrol, Stage::Full] {
            for email in [evil, "evil@evil.example%00"] {
                let (browser, body) = ready(&house, member, stage).await;
                let body = format!("{body}&{}&email={email}&test=1", all.join("&"));
                let (status, _) = press(&browser, &filled(&route, &token), &body).await;
                // The link of the registration is over by tomorrow.
                assert!([200, 303, 404, 410].contains(&status), "{route}: {status}");
            }
        }
        house.clock.turn(Span::from_secs(86_400));
    }
    let jobs = house.store.read::<_, StoreError, _>(|tx| tx.list_jobs(&JobFilter::default())).await.unwrap();
    let to: BTreeSet<String> = jobs.iter().map(|job| job.order.to.to_string()).collect();
    // The address for codes got some, as their order needs no field at all.
    assert_eq!(to, [HANAKO.to_owned()].into());
    house.close().await;
}
