//! `/account/two-factor/app`: setting an authenticator app up (R026–R034).
//!
//! What always holds: each visit shows another secret, and nothing is kept here of one that nobody confirms (R031); after a code
//! that was mistyped the same one stands there once more, and a code of one of the last three is right, as the app may hold it.

use super::super::code::{self, faults};
use super::super::cookie::Crumb;
use super::super::fault::Fault;
use super::super::note::Note;
use super::super::reply::{Answer, Entry, Reply};
use super::super::texts::{Texts, texts};
use super::super::visit::Visit;
use super::super::{Web, turn};
use super::qr::Qr;
use super::{fresh_setter, set_up, setter};
use crate::service::second_factor::{FactorError, Offer, Verdict};
use crate::service::session::{Stage, Visitor};
use crate::store::FactorKind;
use axum::extract::State;
use axum::routing::get;
use axum::{Extension, Router};
use serde::Serialize;

const HERE: &str = turn::SET_UP_APP;
/// Of how many secrets that were shown a browser keeps what it takes to confirm one.
const OFFERS: usize = 3;

pub(super) fn routes() -> Router<Web> {
    Router::new().route("/account/two-factor/app", get(show).post(confirm))
}

/// Where an app is found (R026).
#[derive(Serialize)]
struct Shop {
    app: &'static str,
    phone: &'static str,
    href: &'static str,
}

impl Shop {
    const fn new(app: &'static str, phone: &'static str, href: &'static str) -> Self {
        Self { app, phone, href }
    }
}

const GOOGLE: &str = "Google Authenticator";
const MICROSOFT: &str = "Microsoft Authenticator";
const SHOPS: &[Shop] = &[
    Shop::new(
        GOOGLE,
        "Android",
        "https://play.google.com/store/apps/details?id=com.google.android.apps.authenticator2",
    ),
    Shop::new(GOOGLE, "iPhone", "https://apps.apple.com/jp/app/google-authenticator/id388497605"),
    Shop::new(MICROSOFT, "Android", "https://play.google.com/store/apps/details?id=com.azure.authenticator"),
    Shop::new(MICROSOFT, "iPhone", "https://apps.apple.com/jp/app/microsoft-authenticator/id983156458"),
];

#[derive(Serialize)]
struct AppPage {
    action: String,
    mail: String,
    stores: &'static [Shop],
    qr: Option<Qr>,
    address: String,
    key: String,
    issuer: String,
    sealed: String,
    replaces: bool,
    errors: Vec<Fault>,
}

/// GET: shows a secret.
async fn show(State(web): State<Web>, Extension(visit): Extension<Visit>) -> Answer {
    let before = setter(&visit).map(|visitor| shown_before(&web, &visit, visitor));
    let before = before.unwrap_or(Ok(None))?;
    let (visitor, has) = match fresh_setter(&web, &visit, HERE, before.as_ref().map(|offer| offer.shown)).await? {
        Ok(found) => found,
        Err(reply) => return Ok(reply),
    };
    let offer = before.map_or_else(|| web.second_factor().offer(visitor, web.now()), Ok)?;
    let kept = kept_offers(&offer.sealed, &visit);
    let t = texts(visit.language());
    let page = AppPage {
        action: visit.along(HERE),
        mail: visit.along("/account/two-factor/mail"),
        stores: SHOPS,
        qr: Qr::of(offer.address.reveal()),
        address: offer.address.reveal().clone(),
        key: offer.key.reveal().clone(),
        issuer: web.host().to_owned(),
        sealed: offer.sealed,
        replaces: visitor.stage == Stage::Full && has.factor(FactorKind::App).is_some(),
        errors: visit.note().map_or_else(Vec::new, |note| said(&note, t)),
    };
    Ok(Reply::page("two_factor_app.html", &page).with(Crumb::Offer, None).with(Crumb::Offers, Some(kept)))
}

/// Gives the sealed secrets that this browser was shown last, without those that cannot be any.
fn offers(visit: &Visit) -> impl Iterator<Item = &str> {
    let kept = visit.jar().get(Crumb::Offers).unwrap_or_default();
    kept.split('.').filter(|sealed| !sealed.is_empty() && is_sealed(sealed))
}

/// Puts the one that is shown now before them: a phone that is short of memory shows the page anew while its app takes over.
fn kept_offers(shown: &str, visit: &Visit) -> String {
    let earlier = offers(visit).filter(|sealed| *sealed != shown);
    std::iter::once(shown).chain(earlier).take(OFFERS).collect::<Vec<_>>().join(".")
}

fn is_sealed(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
}

/// Says what is wrong; where the secret's time was over, that another one is shown now.
fn said(note: &Note, t: &Texts) -> Vec<Fault> {
    match note.remarks().any(|remark: code::Remark| remark == code::Remark::Over) {
        true => vec![Fault::plain(t.two_factor.app_over)],
        false => faults(note, t),
    }
}

/// After a mistyped code the secret that was shown.
fn shown_before(web: &Web, visit: &Visit, visitor: &Visitor) -> Result<Option<Offer>, FactorError> {
    let shown = visit.jar().get(Crumb::Offer);
    Ok(shown.map(|sealed| web.second_factor().offer_again(visitor, sealed, web.now())).transpose()?.flatten())
}

/// POST: sets the app up, if the code is right. The secret was shown to somebody who had just shown who they are, so nothing is
/// asked for again while an app is being installed.
async fn confirm(State(web): State<Web>, Extension(visit): Extension<Visit>, Entry(fields): Entry) -> Answer {
    let visitor = match setter(&visit) {
        Ok(visitor) => visitor,
        Err(reply) => return Ok(reply),
    };
    let sealed = fields.get("offer");
    let again = |remark: code::Remark| {
        Ok(Reply::see(visit.here()).noting(&Note::of(remark)).with(Crumb::Offer, Some(sealed.to_owned())))
    };
    if !is_sealed(sealed) {
        return Ok(Reply::see(visit.here()).noting(&Note::of(code::Remark::Over)));
    }
    if fields.get("otp").trim().is_empty() {
        return again(code::Remark::Empty);
    }
    let member = visitor.member.id;
    let (cookie, step) = code::step(&web, &visit, member)?;
    let offered: Vec<&str> = std::iter::once(sealed).chain(offers(&visit)).take(OFFERS + 1).collect();
    match web.second_factor().set_up_app(visitor, &offered, fields.get("otp"), step).await? {
        Verdict::Right(_) => {
            let done = set_up(&web, &visit, visitor, step.session).await.with(Crumb::Offers, None);
            code::passed(&web, &visit, member, cookie, done)
        }
        Verdict::Gone => Ok(turn::over(&visit)),
        // The page asks for what is missing.
        Verdict::Unproven => Ok(Reply::see(visit.here())),
        refusal => again(code::remark(&refusal, FactorKind::App, step.now).unwrap_or(code::Remark::Over)),
    }
}
