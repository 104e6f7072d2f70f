//! The page on mail that does not arrive.

use super::contact::signed_in;
use super::house::{House, Page};
use karamail::maillog;
use karamail::model::{EmailAddress, Language, MemberId, Priority, Reply, Stage};
use karamail::queue::{Cause, Class, Content, NewJob, Verdict};
use karamail::store::{StoreError, Tx};

#[tokio::test]
async fn r008_the_address_and_the_domain_to_allow_are_those_of_the_settings() {
    for (sender, domain) in [("anpi@mob-connect.com", "mob-connect.com"), ("info@anpi.example.jp", "anpi.example.jp")] {
        let house = House::open_with(|settings| settings.sender = sender.parse().unwrap()).await;
        let mut phone = house.browser();
        let page = phone.get("/help/mail").await;
        assert_eq!(page.status, 200);
        page.has(&format!("<dd class=\"mailbox large\">{sender}</dd>"));
        page.has(&format!("<dd class=\"mailbox large\">{domain}</dd>"));
        house.close().await;
    }
}

#[tokio::test]
async fn r009_r011_it_says_how_to_let_mails_with_links_and_long_mails_through() {
    let house = House::open().await;
    let mut phone = house.browser();
    let page = phone.get("/help/mail").await;
    page.has("URL付きメールを許可する").has("「URL付きメール拒否設定」→「設定解除」");
    page.has("「自動受信」").has("メール設定」→「メール受信設定」");
    for service in ["docomo.ne.jp", "UQ mobile", "ワイモバイル", "rakumail.jp", "Gmail", "iCloud", "Yahoo!メール"]
    {
        page.has(service);
    }
    phone
        .get("/help/mail?lang=en")
        .await
        .has("Allow mail with links")
        .has("My SoftBank")
        .has("Not spam")
        .has("<span lang=\"ja\">「受信許可リスト」</span>");
    house.close().await;
}

#[tokio::test]
async fn r013_the_domains_with_the_official_mark_are_those_of_the_settings() {
    let house = House::open().await;
    house.browser().get("/help/mail").await.has_not("公式アカウントのマーク");
    house.close().await;
    let house = House::open_with(|settings| settings.official_at = vec!["docomo.ne.jp".parse().unwrap()]).await;
    house
        .browser()
        .get("/help/mail")
        .await
        .has("ドコモメール公式アカウント")
        .has("<li class=\"mailbox\">docomo.ne.jp</li>");
    house.close().await;
}

#[tokio::test]
async fn r005_every_page_leads_to_the_help_at_the_same_place() {
    let house = House::open().await;
    for path in ["/", "/cookies", "/nowhere", "/help/mail"] {
        let mut phone = house.browser();
        let footer = phone.get(path).await.between("<footer>", "</footer>").to_owned();
        assert!(footer.contains("href=\"/help/mail\""), "{path}: {footer}");
    }
    house.close().await;
}

/// The words of a page that stand in paragraphs and lists.
fn sentences(page: &Page) -> Vec<String> {
    let main = page.between("<main", "</main>").replace("<span lang=\"ja\">", "").replace("</span>", "");
    let text = main.split('<').filter_map(|piece| piece.split_once('>')).map(|(_, text)| text.trim());
    text.flat_map(|text| text.split_inclusive('。')).map(str::to_owned).collect()
}

#[tokio::test]
async fn no_sentence_of_the_help_is_longer_than_sixty_characters() {
    let house = House::open().await;
    let mut phone = house.browser();
    let found = sentences(phone.get("/help/mail").await);
    assert!(found.len() > 40, "{found:?}");
    for sentence in found.iter().filter(|sentence| !sentence.contains('→')) {
        assert!(sentence.chars().count() <= 60, "{sentence}");
    }
    house.close().await;
}

/// Tells in the mail log what came of a test of an address.
async fn told(
    house: &House,
    member: MemberId,
    to: &'static str,
    tell: impl Fn(&mut Tx<'_>, &karamail::queue::Job) -> Result<(), StoreError> + Send + 'static,
) {
    let now = house.clock.now();
    house
        .store
        .write::<_, StoreError, _>(move |tx| {
            let to: EmailAddress = to.parse().unwrap();
            let test = tx.begin_contact_test(member, &to, now, now)?;
            let content = Content::ContactTest { test, key: 1, expires: 0, nonce: String::new() };
            let order = NewJob {
                class: Class::ContactTest,
                to,
                content,
                language: None,
                cause: None,
                queued_at: now,
                due: now,
                give_up: now,
            };
            let job = tx.enqueue(&order)?;
            tx.send_contact_test(test, job)?;
            let job = tx.job(job)?.unwrap();
            tell(tx, &job)
        })
        .await
        .unwrap();
}

#[tokio::test]
async fn a_member_sees_what_servers_said_of_the_own_addresses_and_the_way_out() {
    let house = House::open().await;
    let hanako = house.member("0201", "見本 花子", Language::Ja, None).await;
    let taro = house.member("0202", "見本 太郎", Language::Ja, None).await;
    house.put(hanako, Priority::First, "hanako@docomo.ne.jp").await;
    house.put(hanako, Priority::Third, "hanako@example.jp").await;
    house.put(taro, Priority::First, "hanako@docomo.ne.jp").await;
    let now = house.clock.now();
    told(&house, hanako, "hanako@docomo.ne.jp", move |tx, job| {
        let reply = Reply::new(550, "Unknown user <hanako@docomo.ne.jp>");
        maillog::refused(tx, job, Stage::Data, &reply, Verdict::Filtered, now)
    })
    .await;
    told(&house, hanako, "hanako@example.jp", move |tx, job| {
        maillog::deferred(tx, job, Stage::Rcpt, &Reply::new(451, "greylisted"), Cause::Greylisted, now, now)
    })
    .await;
    let mut phone = signed_in(&house, hanako).await;
    let page = phone.get("/help/mail").await;
    page.has("受け取る側の設定により、拒否されました").has("mob-connect.com を加えて");
    page.has("<q>550 Unknown user &lt;hanako@docomo.ne.jp&gt;</q>");
    page.has("宛先のメールサーバーが、今は受け取れません").has("<q>451 greylisted</q>");
    // The same address, and nothing of the other member's mail.
    let mut other = signed_in(&house, taro).await;
    let page = other.get("/help/mail").await;
    page.has("hanako@docomo.ne.jp").has("まだ、確認をしていません").has_not("550").has_not("拒否されました");
    page.has_not("hanako@example.jp");
    // A stranger sees nobody's.
    house.browser().get("/help/mail").await.has_not("hanako@").has_not("あなたのアドレス");
    house.close().await;
}

#[tokio::test]
async fn nothing_is_told_before_a_login_is_through() {
    let house = House::open().await;
    let hanako = house.member("0201", "見本 花子", Language::Ja, None).await;
    house.put(hanako, Priority::First, "hanako@docomo.ne.jp").await;
    let mut phone = signed_in(&house, hanako).await;
    phone.get("/help/mail").await.has("hanako@docomo.ne.jp");
    let session = phone.cookies["karamail"].clone();
    let bytes = data_encoding::BASE64URL_NOPAD.decode(session.as_bytes()).unwrap();
    let hash: [u8; 32] = <sha2::Sha256 as sha2::Digest>::digest(bytes).into();
    let unfinished = move |tx: &mut Tx<'_>| {
        let mut session = tx.session(&hash)?.unwrap();
        session.stage = "code".to_owned();
        tx.end_session(&hash)?;
        tx.open_session(&hash, &session)
    };
    house.store.write::<_, StoreError, _>(unfinished).await.unwrap();
    phone.get("/help/mail").await.has_not("hanako@docomo.ne.jp");
    house.close().await;
}
