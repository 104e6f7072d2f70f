//! The login form, wherever it stands, and `/login`, the page that is all about it (R014–R016).
//!
//! What always holds: why a login failed is not said to anybody without a right password, as `service::login` does not tell; a login leads to the page whose turn it
//! is, or back to the form.

use super::Web;
use super::cookie::Crumb;
use super::fault::{Fault, Typing};
use super::form::Fields;
use super::note::{Note, remarks};
use super::reply::{Answer, Entry, Reply, Trouble};
use super::texts::{Texts, texts};
use super::turn;
use super::visit::{self, Visit, device_cookie};
use crate::model::{Secret, mac};
use crate::service::hasher::HashError;
use crate::service::login::{Device, Entrance, LoginError, Typed, Verdict};
use crate::service::session::Stage;
use axum::extract::State;
use axum::routing::get;
use axum::{Extension, Router};
use serde::Serialize;

remarks! {
    /// What is said of a login.
    pub(super) enum Remark in "login" {
        /// Organisation, ID and password do not go together, or not now.
        Wrong = "wrong",
        /// The start password was right once.
        Expired = "expired",
        /// No turn to hash came in time.
        Busy = "busy",
        /// No organisation.
        NoOrg = "no-org",
        /// No ID.
        NoId = "no-id",
        /// No password.
        NoPassword = "no-password",
    }
}

#[derive(Serialize)]
struct LoginPage {
    action: String,
    org: String,
    id: String,
    errors: Vec<Fault>,
    #[serde(flatten)]
    typing: Typing,
}

/// The pages of this file.
pub(super) fn routes() -> Router<Web> {
    Router::new().route("/login", get(ask).post(log_in))
}

/// GET `/login`: asks for the login; whoever is logged in goes on.
async fn ask(Extension(visit): Extension<Visit>) -> Reply {
    if let Some(visitor) = visit.visitor() {
        return Reply::see(turn::next(&visit, visitor.stage));
    }
    let note = visit.note();
    let typed = |name: &str| note.as_ref().map_or("", |note| note.typed(name)).to_owned();
    let page = LoginPage {
        action: visit.here(),
        org: typed("org"),
        id: typed("id"),
        errors: note.as_ref().map_or_else(Vec::new, |note| faults(note, texts(visit.language()))),
        typing: Typing::of(&visit),
    };
    Reply::scripted("login.html", &page)
}

/// POST `/login`: logs in.
async fn log_in(State(web): State<Web>, Extension(visit): Extension<Visit>, Entry(fields): Entry) -> Answer {
    judge(&web, &visit, &fields, |stage| turn::next(&visit, stage)).await
}

/// Judges what was typed: leads on to `next`, or back to the form with what is to be said.
pub(super) async fn judge(web: &Web, visit: &Visit, fields: &Fields, next: impl Fn(Stage) -> String) -> Answer {
    let again = |remarks: &[Remark]| Ok(Reply::see(visit.here()).noting(&Note::all(remarks).keeping(fields)));
    let missing = missing(fields);
    if !missing.is_empty() {
        return again(&missing);
    }
    let account = web.login().account(fields.get("org"), fields.get("id"));
    let device = device(web, visit, fields, &account).await?;
    let (cookie, session) = visit::new_session(web.random()?);
    let entrance = Entrance { device, old: visit.session_hash(), session, language: visit.chosen() };
    let verdict = match web.login().attempt(typed(fields), entrance, web.now()).await {
        Err(LoginError::Hash(HashError::Busy)) => return again(&[Remark::Busy]),
        judged => judged?,
    };
    match verdict {
        Verdict::Refused => again(&[Remark::Wrong]),
        Verdict::Expired => again(&[Remark::Expired]),
        // It is still to show that it is the member's.
        Verdict::In(_, stage @ Stage::Doubt) => Ok(Reply::see(next(stage)).with(Crumb::Session, Some(cookie))),
        Verdict::In(_, stage) => {
            note_login(web, visit).await;
            known_from_now_on(web, visit, &account, Reply::see(next(stage)).with(Crumb::Session, Some(cookie)))
        }
    }
}

/// Notes a login behind a link; where that fails, the login goes on.
async fn note_login(web: &Web, visit: &Visit) {
    if let Some(token) = visit.registration()
        && let Err(cause) = web.links().note_login(token, web.now()).await
    {
        tracing::warn!(%cause, "a login behind a link could not be noted");
    }
}

/// Gives a reply the cookie by which the tries of this browser for an account are counted for themselves.
pub(super) fn known_from_now_on(web: &Web, visit: &Visit, account: &[u8; 32], reply: Reply) -> Answer {
    let device = device_cookie(web.key().reveal(), account, web.random()?, visit.jar().get(Crumb::Device));
    Ok(reply.with(Crumb::Device, Some(device)))
}

/// Finds out what the tries of this browser are counted under. One that opened a link which was mailed to an address of the
/// member is no stranger, and is not kept out by those of its network: this is the way in for a new phone.
async fn device(web: &Web, visit: &Visit, fields: &Fields, account: &[u8; 32]) -> Result<Device, Trouble> {
    let device = visit.device(web.key().reveal(), account);
    let Some(token) = visit.registration().filter(|_| matches!(device, Device::Network(_))) else {
        return Ok(device);
    };
    let mailed = web.links().mailed_to(token, fields.get("org"), fields.get("id"), web.now()).await?;
    Ok(mailed.map_or(device, |link| {
        Device::Known(mac(web.key().reveal(), "karamail mailed link", &link.number().to_be_bytes()))
    }))
}

/// Gives the remarks on what was left empty.
fn missing(fields: &Fields) -> Vec<Remark> {
    [("org", Remark::NoOrg), ("id", Remark::NoId), ("password", Remark::NoPassword)]
        .into_iter()
        .filter(|(name, _)| fields.get(name).trim().is_empty())
        .map(|(_, remark)| remark)
        .collect()
}

/// Gives what was typed, to be judged.
fn typed(fields: &Fields) -> Typed {
    Typed {
        org: fields.get("org").to_owned(),
        id: fields.get("id").to_owned(),
        family: fields.get("family").to_owned(),
        password: Secret::new(fields.get("password").to_owned()),
    }
}

/// Says what is wrong.
pub(super) fn faults(note: &Note, t: &Texts) -> Vec<Fault> {
    let said = note.remarks().flat_map(|remark| match remark {
        Remark::Wrong => {
            vec![Fault::from("org", t.login.wrong), Fault::plain(t.login.wait), Fault::plain(t.login.mailed)]
        }
        Remark::Expired => vec![Fault::plain(t.login.expired)],
        Remark::Busy => vec![Fault::plain(t.login.busy)],
        Remark::NoOrg => vec![Fault::in_field("org", t.login.org_empty)],
        Remark::NoId => vec![Fault::in_field("id", t.login.id_empty)],
        Remark::NoPassword => vec![Fault::in_field("password", t.login.password_empty)],
    });
    Fault::late(note, t).into_iter().chain(said).collect()
}
