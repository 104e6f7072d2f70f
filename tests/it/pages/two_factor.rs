//! Second factors over real HTTP: set up, asked for, changed, lost.

mod attacks;
mod door;
mod moves;
mod queue;
mod set_up;

use super::house::{Browser, House, OWN, Page, START};
use karamail::model::{BackupKind, Policy, Span};
use karamail::service::otp;
use karamail::store::{FactorKind, JobFilter, StoreError};

/// Has the organisation ask for a second factor.
async fn house() -> House {
    let house = House::open().await;
    policy(&house, Policy { two_factor: true, ..Policy::default() }).await;
    house
}

async fn policy(house: &House, policy: Policy) {
    let set = move |tx: &mut karamail::store::Tx<'_>| tx.set_policy(&"DEMO".parse().unwrap(), &policy);
    assert!(house.store.write::<_, StoreError, _>(set).await.unwrap());
}

/// Logs in with the password, on the login page.
async fn log_in(browser: &mut Browser, password: &str) {
    browser.get("/login").await;
    send(browser, "/login", &[("org", "DEMO"), ("id", "0001"), ("password", password)]).await;
}

/// Logs in for the first time, chooses a password, and comes to the set-up.
async fn first_login(house: &House) -> Browser {
    let mut phone = house.browser();
    log_in(&mut phone, START).await;
    send(&mut phone, "/login/password", &[("new", OWN), ("again", OWN)]).await.has("二要素認証設定");
    assert_eq!(path(&phone), "/account/two-factor");
    phone
}

/// A browser whose password was right, and which is asked for a code.
async fn before_the_step(house: &House) -> Browser {
    let mut browser = house.browser();
    log_in(&mut browser, OWN).await;
    browser
}

/// The page it is on, without what stands behind `?`.
fn path(browser: &Browser) -> &str {
    browser.path.split('?').next().unwrap()
}

/// Fills in and sends the form of the page that goes to that place, and follows the redirect.
pub async fn send<'a>(browser: &'a mut Browser, place: &str, fields: &[(&str, &str)]) -> &'a Page {
    let (action, body) = form(browser, place, fields);
    browser.send("POST", &action, Some(&body)).await;
    assert_eq!(browser.page.status, 303, "{}", browser.page.body);
    let next = browser.page.header("location").to_owned();
    browser.get(&next).await
}

/// The form of the page that goes to that place: where it goes, and its fields with the hidden ones.
pub fn form(browser: &Browser, place: &str, fields: &[(&str, &str)]) -> (String, String) {
    let forms: Vec<&str> = browser.page.body.split("<form method=\"post\"").skip(1).collect();
    let fits = |form: &&&str| {
        let action = form.split_once("action=\"").unwrap().1.split_once('"').unwrap().0;
        action.split('?').next() == Some(place)
    };
    let form = forms.iter().find(fits).unwrap_or_else(|| panic!("no form to {place} in {}", browser.page.body));
    let alone = format!("<form method=\"post\"{form}");
    let page = Page { body: alone, ..browser.page.clone() };
    let (action, body) = Browser { page, ..browser.clone() }.form(fields);
    (action, body)
}

/// The secret that the page shows, as it is typed by hand.
fn secret(page: &Page) -> Vec<u8> {
    let key = page.body.split("<dd><strong>").nth(2).unwrap().split_once('<').unwrap().0;
    assert_eq!(key.len(), 39, "{key}");
    data_encoding::BASE32.decode(key.replace(' ', "").as_bytes()).unwrap()
}

/// What an app shows now.
fn shown(house: &House, secret: &[u8]) -> String {
    let secret = totp_rs::Secret::new(secret.to_vec().into_boxed_slice());
    let totp = totp_rs::Builder::new().with_secret(secret).build().unwrap();
    totp.generate(house.clock.now().seconds().try_into().unwrap()).to_string()
}

/// The code of the mail that was ordered last.
pub async fn mailed(house: &House) -> (String, String) {
    let keys = house.keys.seal().clone();
    let read = move |tx: &mut karamail::store::Tx<'_>| {
        let job = tx.list_jobs(&JobFilter::default())?.into_iter().max_by_key(|job| job.id).unwrap();
        let sealed = tx.secret(karamail::store::OTP_CODE, job.id.number())?.unwrap();
        Ok((otp::open(&keys, job.id, &sealed).unwrap().reveal().clone(), job.order.to.to_string()))
    };
    house.store.read::<_, StoreError, _>(read).await.unwrap()
}

pub fn other_than(code: &str) -> String {
    code.chars().map(|c| if c == '1' { '2' } else { '1' }).collect()
}

/// Sets the app up from the overview; gives its secret and the backup code that was shown.
async fn set_up_app(house: &House, phone: &mut Browser) -> (Vec<u8>, Option<String>) {
    phone.get("/account/two-factor/app").await.has("STEP1");
    let secret = secret(&phone.page);
    let code = shown(house, &secret);
    send(phone, "/account/two-factor/app", &[("otp", &code)]).await.has("二要素認証の登録が完了しました");
    house.clock.turn(Span::from_secs(60));
    let backup =
        phone.page.body.split_once("class=\"mailbox large\">").map(|(_, rest)| rest.split_once('<').unwrap().0);
    (secret, backup.map(str::to_owned))
}

/// Sets a mail address up.
async fn set_up_mail(house: &House, phone: &mut Browser, address: &str) {
    phone.get("/account/two-factor/mail").await.has("メールアドレスを用いて");
    send(phone, "/account/two-factor/mail/send", &[("email", address)]).await.has("メールで送りました");
    let (code, to) = mailed(house).await;
    assert_eq!(to, address);
    send(phone, "/account/two-factor/mail", &[("otp", &code)]).await.has("二要素認証の登録が完了しました");
    house.clock.turn(Span::from_secs(61));
}

/// Types a code at the second step of a login.
async fn type_code<'a>(browser: &'a mut Browser, kind: FactorKind, code: &str) -> &'a Page {
    let place = format!("/login/code/{}", kind.as_str());
    send(browser, &place, &[("otp", code)]).await
}
