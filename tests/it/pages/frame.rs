//! What holds for every page: languages, headers, size, sessions, the socket.

use super::house::{ADDRESS, Browser, House, OWN, Page, START, read};
use data_encoding::BASE64;
use karamail::model::{Language, Manual, Span};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Walks to every page there is, and calls `seen` on each.
async fn every_page(house: &House, language: &str, mut seen: impl FnMut(&Browser)) {
    let with = |path: String| {
        if path.contains('?') { format!("{path}&lang={language}") } else { format!("{path}?lang={language}") }
    };
    let mut phone = house.browser();
    let token = house.registration(&format!("{language}@example.jp"), Some("DEMO")).await;
    let mut stranger = house.browser();
    for path in ["/", "/nothing", "/cookies", "/logout", "/outbox", "/r/cut", "/favicon.ico/x"] {
        stranger.get(&with(path.to_owned())).await;
        seen(&stranger);
    }
    stranger.get(&with(format!("/r/{}", "A".repeat(67)))).await;
    seen(&stranger);
    stranger.send("POST", &with("/".to_owned()), Some("x=y")).await;
    seen(&stranger);
    stranger.get(&with(format!("/r/{token}?show=1"))).await;
    seen(&stranger);
    let mut foreign = stranger.clone().with("sec-fetch-site", "cross-site");
    foreign.send("POST", &format!("/r/{token}"), Some("x=y")).await;
    seen(&foreign);
    foreign = stranger.clone();
    foreign.send("POST", &format!("/r/{token}"), Some(&"x".repeat(70_000))).await;
    seen(&foreign);

    let login = format!("page-{language}");
    let member = house.member(&login, "見本", Language::Ja, Some(START)).await;
    phone.get(&with(format!("/r/{token}"))).await;
    seen(&phone);
    phone.submit(&[("org", ""), ("id", ""), ("password", "")]).await;
    seen(&phone);
    phone.submit(&[("org", "DEMO"), ("id", &login), ("password", START)]).await;
    seen(&phone);
    phone.submit(&[("new", ""), ("again", "")]).await;
    seen(&phone);
    phone.get(&format!("/r/{token}/password?show=1")).await;
    phone.submit(&[("new", OWN), ("again", OWN)]).await;
    seen(&phone);
    phone.submit(&[]).await;
    seen(&phone);
    house.put(member, karamail::model::Priority::First, "old@example.jp").await;
    phone.submit(&[("priority", "1")]).await;
    seen(&phone);
    phone.submit(&[]).await;
    seen(&phone);
    stranger.get(&format!("/r/{token}")).await;
    seen(&stranger);
    phone.get(&format!("/logout?r={token}")).await;
    seen(&phone);
    phone.submit(&[]).await;
    seen(&phone);
    house.clock.turn(Span::from_secs(30));
}

fn check_headers(page: &Page) {
    for (name, value) in [
        ("cache-control", "no-store"),
        ("referrer-policy", "no-referrer"),
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("cross-origin-opener-policy", "same-origin"),
        ("content-type", "text/html; charset=utf-8"),
    ] {
        assert_eq!(page.header(name), value);
    }
    let hash = |from: &str, to: &str| format!("'sha256-{}'", BASE64.encode(&Sha256::digest(page.between(from, to))));
    let style = hash("<style>", "</style>");
    // The script is there where a password is typed or a session may end, and nowhere else.
    let needed = page.body.contains("data-eye=\"") || page.body.contains("class=\"bar member\"");
    let script = match page.body.matches("<script").count() {
        0 => String::new(),
        _ => format!("script-src {}; connect-src 'self'; ", hash("<script>", "</script>")),
    };
    assert_eq!(page.body.matches("<script").count(), usize::from(needed));
    assert_eq!(
        page.header("content-security-policy"),
        format!(
            "default-src 'none'; style-src {style}; {script}form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
        )
    );
}

/// What holds for every page, whatever is on it; `names` are Japanese in both languages.
pub fn check(page: &Page, language: &str, names: &[&str]) {
    check_headers(page);
    assert!(page.body.len() <= 30 * 1024, "{} bytes", page.body.len());
    // What a server may send before it hears back from the phone: ten segments.
    // The longest pages of members come later and may take another.
    let burst = if page.body.contains("class=\"bar member\"") { 15 } else { 14 };
    assert!(page.wire <= burst * 1024, "{} bytes on the wire", page.wire);
    for loaded in [" src=", "<link", "<img", "<iframe", "@import", "url("] {
        page.has_not(loaded);
    }
    page.has_not(" style=").has_not(" onclick=");
    assert_eq!(page.header("content-language"), language, "{}", page.body);
    let (here, there) = if language == "ja" { ("日本語", "English") } else { ("English", "日本語") };
    page.has(&format!("<html lang=\"{language}\">")).has("<main id=\"main\"").has("<h1>");
    page.has(&format!("aria-current=\"true\">{here}</span>")).has(&format!(">{there}</a>"));
    page.has(if language == "ja" { "お困りのとき" } else { "Need help?" }).has("anpi@mob-connect.com");
    page.has(if language == "ja" { "メールが届かない" } else { "The mail does not arrive" });
    page.has(if language == "ja" { "ログインできない" } else { "I cannot log in" });
    let text = words(page);
    assert!(!text.contains(['{', '}']), "a place was not filled:\n{text}");
    if language == "en" {
        let text = names.iter().chain(&["日本語"]).fold(text, |text, name| text.replace(name, ""));
        assert_eq!(text.chars().filter(|c| ('ぁ'..='龥').contains(c)).collect::<String>(), "");
    }
    if page.body.contains("class=\"bar member\"") {
        page.has("href=\"/logout").has("id=\"idle\"").has("<dialog id=\"ask\"");
    }
}

/// A page without its style and its script.
fn words(page: &Page) -> String {
    let mut text = page.body.clone();
    for (from, to) in [("<style>", "</style>"), ("<script>", "</script>")] {
        if let Some((before, rest)) = page.body.split_once(from).and_then(|_| text.split_once(from)) {
            text = format!("{before}{}", rest.split_once(to).unwrap().1);
        }
    }
    // What is marked as Japanese may be Japanese (WCAG 3.1.2).
    while let Some((before, rest)) = text.split_once("<span lang=\"ja\">") {
        text = format!("{before}{}", rest.split_once("</span>").unwrap().1);
    }
    text
}

#[tokio::test]
async fn r058_r059_r060_every_page_has_both_languages_safe_headers_and_fits_the_budget() {
    let house = House::open().await;
    let mut pages = 0;
    for language in ["ja", "en"] {
        every_page(&house, language, |browser| {
            pages += 1;
            check(&browser.page, language, &["見本", "デモ団体"]);
        })
        .await;
    }
    assert_eq!(pages, 2 * 23);
    house.close().await;
}

#[tokio::test]
async fn a_page_is_packed_for_browsers_that_take_it_and_the_same_for_those_that_do_not() {
    let house = House::open().await;
    let mut phone = house.browser();
    // The second visit, so that both have the same cookies and the same token in the form.
    phone.get("/login").await;
    let packed = phone.get("/login").await.clone();
    let mut old = phone.clone().with("accept-encoding", "identity");
    let plain = old.get("/login").await.clone();
    assert_eq!(packed.body, plain.body);
    assert_eq!((packed.header("content-encoding"), plain.header("content-encoding")), ("gzip", ""));
    for page in [&packed, &plain] {
        assert_eq!(page.header("vary"), "accept-encoding");
    }
    assert!(packed.wire * 5 < plain.wire * 3, "{} of {} bytes", packed.wire, plain.wire);
    // Looking at the head alone tells the same of it.
    let head = phone.send("HEAD", "/login", None).await;
    assert_eq!((head.header("content-length"), head.body.as_str()), (packed.header("content-length"), ""));
    house.close().await;
}

#[tokio::test]
async fn r005_r143_every_page_leads_to_the_manuals_of_the_settings_in_its_language() {
    let manual = Manual {
        title: "スマホアプリのインストール".to_owned(),
        title_en: "Install the phone app".to_owned(),
        url: "https://www.example.jp/app?os=\"1\"&to=<2>#here".to_owned(),
    };
    let house = House::open_with(|settings| settings.manuals = vec![manual]).await;
    let href = "href=\"https://www.example.jp/app?os=&quot;1&quot;&amp;to=&lt;2&gt;#here\"";
    for (language, called, title) in [
        ("ja", "<summary>利用規約・マニュアル等</summary>", ">スマホアプリのインストール</a>"),
        ("en", "<summary>Terms and manuals</summary>", ">Install the phone app</a>"),
    ] {
        let mut pages = 0;
        every_page(&house, language, |phone| {
            let footer = phone.page.between("<footer>", "</footer>").replace("&#x2F;", "/");
            for part in [called, href, title] {
                assert!(footer.contains(part), "no {part} at {}: {footer}", phone.path);
            }
            pages += 1;
        })
        .await;
        assert!(pages >= 20, "{pages}");
    }
    house.close().await;
    // Where there is none, nothing is announced.
    let house = House::open().await;
    house.browser().get("/login").await.has_not("マニュアル");
    house.close().await;
}

#[tokio::test]
async fn r046_the_head_names_the_product_the_id_the_name_and_the_last_login() {
    let house = House::open().await;
    let token = house.registration(ADDRESS, None).await;
    let mut phone = house.browser();
    phone.log_in(&token, "0001", START).await.has("安否確認サービス").has("ID: <strong>0001</strong> (見本 花子)");
    phone.submit(&[("new", OWN), ("again", OWN)]).await.has_not("前回のログイン");
    house.clock.turn(Span::from_secs(3_600));
    let mut later = house.browser();
    later.log_in(&token, "0001", OWN).await.has("前回のログイン：2026/11/22 07:00");
    later.get(&format!("/r/{token}/priority?lang=en")).await.has("Last login: 2026/11/22 07:00");
    house.close().await;
}

#[tokio::test]
async fn r020_a_password_can_be_read_while_it_is_typed() {
    let house = House::open().await;
    let token = house.registration(ADDRESS, None).await;
    let mut phone = house.browser();
    let field = "id=\"password\" name=\"password\" type=";
    // The script makes the eye, and says with it what the page says.
    phone.get(&format!("/r/{token}")).await.has(&format!("{field}\"password\"")).has("data-eye=\"パスワードを表示\"");
    // Without scripts a link does the same, and the form stays like that.
    phone.page.has("<p data-plain><a class=\"side\" href=\"?show=1\">文字を見ながら入力する</a>");
    phone.get(&format!("/r/{token}?show=1")).await.has(&format!("{field}\"text\"")).has("文字を隠して入力する");
    phone.submit(&[("org", "DEMO"), ("id", "0001"), ("password", "wrong")]).await.has(&format!("{field}\"text\""));
    phone.page.has_not("value=\"wrong\"");
    house.close().await;
}

#[tokio::test]
async fn r061_the_language_chosen_on_the_page_becomes_the_members() {
    let house = House::open().await;
    let member = house.member("0009", "見本", Language::Ja, Some(START)).await;
    let token = house.registration(ADDRESS, None).await;
    let mut phone = house.browser().with("accept-language", "en-US,en;q=0.9");
    phone.log_in(&token, "0009", START).await.has("新しいパスワードを決める");
    phone.submit(&[("new", OWN), ("again", OWN)]).await.has("優先順位を選ぶ");
    phone.get(&format!("/r/{token}/priority?lang=en")).await.has("Choose the priority");
    let language = || async {
        let row = house.store.read(move |tx| tx.member_by_id(member)).await;
        row.unwrap().unwrap().language
    };
    assert_eq!(language().await, Language::Ja);
    phone.submit(&[("priority", "2")]).await.has("Your address is registered");
    assert_eq!(language().await, Language::En);
    house.close().await;
}

#[tokio::test]
async fn the_language_switch_stays_on_the_page() {
    let house = House::open().await;
    let member = house.member("0010", "見本", Language::Ja, Some(START)).await;
    house.put(member, karamail::model::Priority::Second, "old@example.jp").await;
    let token = house.registration(ADDRESS, None).await;
    let mut phone = house.browser().with("accept-language", "en");
    phone
        .get(&format!("/r/{token}?show=1"))
        .await
        .has("Register your email address")
        .has("href=\"?show=1&amp;lang=ja\"");
    phone.log_in(&token, "0010", START).await;
    phone.submit(&[("new", OWN), ("again", OWN)]).await;
    phone.submit(&[("priority", "2")]).await.has("href=\"?priority=2&amp;lang=en\"");
    phone.get(&format!("/r/{token}/confirm?priority=2&lang=en")).await.has("Please confirm").has("old@example.jp");
    house.close().await;
}

#[tokio::test]
async fn where_the_pages_are_reached_by_https_cookies_insist_on_it() {
    let house = House::open_with(|settings| "https://www.mc-anpi.com".clone_into(&mut settings.public_url)).await;
    let token = house.registration(ADDRESS, None).await;
    let mut phone = house.browser();
    phone.log_in(&token, "0001", START).await.has("新しいパスワードを決める");
    phone.get("/?lang=en").await;
    assert!(phone.page.header("strict-transport-security").starts_with("max-age="));
    phone.get(&format!("/r/{token}")).await;
    phone.submit(&[("new", OWN), ("again", OWN)]).await;
    assert!(phone.cookies.len() >= 4, "{:?}", phone.cookies);
    assert!(phone.cookies.keys().all(|name| name.starts_with("__Host-karamail")), "{:?}", phone.cookies);
    house.close().await;
}

#[tokio::test]
async fn every_cookie_is_kept_from_scripts_and_from_other_sites() {
    let house = House::open().await;
    let token = house.registration(ADDRESS, None).await;
    let mut lines = Vec::new();
    let mut phone = house.browser();
    phone.get(&format!("/r/{token}?lang=ja")).await;
    lines.extend(phone.page.headers.clone());
    let (path, body) = phone.form(&[("org", "DEMO"), ("id", "0001"), ("password", START)]);
    phone.send("POST", &path, Some(&body)).await;
    lines.extend(phone.page.headers.clone());
    let set: Vec<_> = lines.iter().filter(|(name, _)| name == "set-cookie").map(|(_, value)| value).collect();
    assert_eq!(set.len(), 4, "{set:?}");
    for line in set {
        assert!(line.contains("; Path=/; HttpOnly; SameSite=Lax"), "{line}");
    }
    house.close().await;
}

#[tokio::test]
async fn r057_after_thirty_idle_minutes_the_login_is_asked_again_and_says_why() {
    let house = House::open().await;
    let token = house.registration(ADDRESS, None).await;
    let mut phone = house.browser();
    phone.log_in(&token, "0001", START).await;
    phone.submit(&[("new", OWN), ("again", OWN)]).await;
    house.clock.turn(Span::from_secs(1_799));
    phone.get(&format!("/r/{token}/priority")).await.has("優先順位を選ぶ");
    house.clock.turn(Span::from_secs(1_800));
    let mut get = phone.clone();
    get.get(&format!("/r/{token}/priority")).await.has("しばらく操作がなかったため").has("パスワード");
    phone.submit(&[("priority", "1")]).await.has("しばらく操作がなかったため");
    assert!(house.events("registered").await.is_empty());
    phone.log_in(&token, "0001", OWN).await.has("優先順位を選ぶ");
    for _ in 0..25 {
        house.clock.turn(Span::from_secs(1_799));
        phone.get("/").await;
    }
    phone.get("/").await.has_not("見本 花子");
    house.close().await;
}

#[tokio::test]
async fn the_start_page_sends_on_to_the_system_address_for_now() {
    let house = House::open_with(|settings| settings.system_url = Some("https://sys1.mc-anpi.com".to_owned())).await;
    let mut phone = house.browser();
    phone.send("GET", "/?x=y", None).await;
    assert_eq!((phone.page.status, phone.page.header("location")), (302, "https://sys1.mc-anpi.com/"));
    let request = "GET / HTTP/1.1\r\nhost: sys1.mc-anpi.com\r\nconnection: close\r\n\r\n";
    let page = read(&super::house::exchange(house.at, request.as_bytes()).await);
    page.has("空メールの送り方").has("href=\"mailto:bizanpi@mc-anpi.com\"");
    house.close().await;
}

#[tokio::test]
async fn what_a_button_sends_to_leads_to_the_page_of_the_button_when_it_is_only_looked_at() {
    let house = House::open().await;
    let mut phone = house.browser();
    for (path, page) in [
        ("/login/code/send", "/login/code"),
        ("/login/confirm/send?back=/account/profile", "/login/confirm?back=%2Faccount%2Fprofile"),
        ("/account/two-factor/backup", "/account/two-factor"),
        ("/account/two-factor/confirm/mail/send", "/account/two-factor/confirm/mail"),
        ("/account/two-factor/mail/send", "/account/two-factor/mail"),
        ("/account/two-factor/remove/app/mail/send", "/account/two-factor/remove/app/mail"),
    ] {
        let sent = phone.send("GET", path, None).await;
        assert_eq!((sent.status, sent.header("location")), (303, page));
    }
    house.close().await;
}

#[tokio::test]
async fn another_method_is_refused_with_a_page_that_names_the_right_ones() {
    let house = House::open().await;
    let token = house.registration(ADDRESS, None).await;
    let mut phone = house.browser();
    for (method, path, allowed) in
        [("PUT", format!("/r/{token}"), "GET,HEAD,POST"), ("POST", format!("/r/{token}/done"), "GET,HEAD")]
    {
        phone.send(method, &path, Some("x=y")).await.has("ページが見つかりません");
        assert_eq!((phone.page.status, phone.page.header("allow")), (405, allowed));
    }
    house.close().await;
}

#[tokio::test]
async fn captured_mails_are_listed_newest_first_with_links_to_press() {
    let house = House::open().await;
    let mut phone = house.browser();
    phone.get("/outbox").await.has("まだメールはありません");
    std::fs::create_dir(house.outbox()).unwrap();
    for (name, subject) in [("1.eml", "一通目"), ("2.eml", "<b>二通目</b>")] {
        let mail = format!(
            "From: anpi@mob-connect.com\r\nTo: Hanako <{ADDRESS}>\r\nSubject: {subject}\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n次へ\r\nhttp://www.mc-anpi.com/r/abc\r\n"
        );
        std::fs::write(house.outbox().join(name), mail).unwrap();
        let later =
            std::time::UNIX_EPOCH + std::time::Duration::from_secs(name.len() as u64 + u64::from(name.as_bytes()[0]));
        std::fs::File::options().write(true).open(house.outbox().join(name)).unwrap().set_modified(later).unwrap();
    }
    std::fs::write(house.outbox().join("3.tmp"), "half").unwrap();
    let page = phone.get("/outbox").await;
    page.has("<a href=\"http://www.mc-anpi.com/r/abc\">http://www.mc-anpi.com/r/abc</a>").has("&lt;b&gt;二通目");
    assert!(page.body.find("二通目") < page.body.find("一通目"));
    page.has("Hanako &lt;hanako@docomo.ne.jp&gt;").has_not("half");
    house.close().await;

    let closed = House::open_with(|settings| settings.outbox = None).await;
    assert_eq!(closed.browser().get("/outbox").await.status, 404);
    closed.close().await;
}

#[tokio::test]
async fn when_the_database_is_gone_the_page_says_to_try_again() {
    let house = House::open().await;
    let token = house.registration(ADDRESS, None).await;
    let mut phone = house.browser();
    phone.log_in(&token, "0001", START).await;
    house.store.clone().close().await;
    for path in [format!("/r/{token}"), "/".to_owned()] {
        phone.get(&path).await.has("ただいま混み合っています");
        assert_eq!(phone.page.status, 503);
        check_headers(&phone.page);
    }
    house.close().await;
}

/// Turns the clock until the other side has closed; gives what it said.
async fn turn_until_closed(house: &House, stream: &mut TcpStream) -> String {
    let mut said = Vec::new();
    let mut buffer = vec![0; 65_536];
    loop {
        tokio::select! {
            biased;
            read = stream.read(&mut buffer) => match read {
                Ok(0) | Err(_) => return String::from_utf8_lossy(&said).into_owned(),
                Ok(count) => said.extend_from_slice(&buffer[..count]),
            },
            () = tokio::task::yield_now() => house.clock.turn(Span::from_millis(500)),
        }
    }
}

#[tokio::test]
async fn a_client_that_sends_slowly_or_nothing_loses_its_connection() {
    let house = House::open().await;
    for half in ["", "GET / HTT", "GET / HTTP/1.1\r\nhost: x\r\n"] {
        let mut stream = TcpStream::connect(house.at).await.unwrap();
        stream.write_all(half.as_bytes()).await.unwrap();
        turn_until_closed(&house, &mut stream).await;
    }
    // A form that never ends is answered, and then the connection is over.
    let mut stream = TcpStream::connect(house.at).await.unwrap();
    stream.write_all(b"POST /logout HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\nform=").await.unwrap();
    let said = turn_until_closed(&house, &mut stream).await;
    assert!(said.starts_with("HTTP/1.1 503"), "{said}");
    // An idle connection ends too.
    let mut stream = TcpStream::connect(house.at).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let said = turn_until_closed(&house, &mut stream).await;
    assert!(said.starts_with("HTTP/1.1 200"), "{said}");
    house.close().await;
}

#[tokio::test]
async fn a_head_that_is_too_long_or_no_http_is_refused() {
    let house = House::open().await;
    for request in [
        format!("GET / HTTP/1.1\r\nhost: x\r\ncookie: {}\r\n\r\n", "x".repeat(1 << 20)),
        format!("GET /{} HTTP/1.1\r\nhost: x\r\n\r\n", "x".repeat(1 << 20)),
        "\u{0}\u{1}\u{2}\r\n\r\n".to_owned(),
    ] {
        let mut stream = TcpStream::connect(house.at).await.unwrap();
        let (mut from, mut to) = stream.split();
        let mut said = Vec::new();
        // The other side closes while we still write; both ends of that are fine.
        let (_, _) = tokio::join!(to.write_all(request.as_bytes()), from.read_to_end(&mut said));
        let said = String::from_utf8_lossy(&said);
        assert!(said.is_empty() || said.starts_with("HTTP/1.1 4"), "{said}");
    }
    assert_eq!(house.browser().get("/").await.status, 200);
    house.close().await;
}

#[tokio::test]
async fn an_answer_under_way_is_finished_when_the_pages_close() {
    let house = House::open().await;
    let at = house.at;
    let mut stream = TcpStream::connect(at).await.unwrap();
    stream
        .write_all(b"POST /logout HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 6\r\n\r\n")
        .await
        .unwrap();
    // The handler asks for the body: from now on an answer is under way.
    let mut asked = [0; 25];
    stream.read_exact(&mut asked).await.unwrap();
    assert_eq!(&asked, b"HTTP/1.1 100 Continue\r\n\r\n");
    let finish = async {
        while TcpStream::connect(at).await.is_ok() {
            tokio::task::yield_now().await;
        }
        stream.write_all(b"form=x").await.unwrap();
        let mut said = Vec::new();
        stream.read_to_end(&mut said).await.unwrap();
        read(&said)
    };
    let ((), page) = tokio::join!(house.close(), finish);
    assert_eq!((page.status, page.header("location")), (303, "/cookies"));
}
