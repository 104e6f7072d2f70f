//! `/login/again`: the password once more, before something that matters (ASVS 7.5.1).
//!
//! What always holds: a right password gives the session another name, and leads back to a page of ours; a wrong one counts as
//! a failed login.

use super::Web;
use super::cookie::Crumb;
use super::fault::{Fault, Typing};
use super::note::{Note, remarks};
use super::reply::{Answer, Entry, Reply};
use super::texts::{Texts, texts};
use super::turn;
use super::visit::{self, Visit};
use crate::model::Secret;
use crate::service::login::Again;
use axum::extract::State;
use axum::routing::get;
use axum::{Extension, Router};
use serde::Serialize;

/// The pages of this file.
pub(super) fn routes() -> Router<Web> {
    Router::new().route("/login/again", get(ask).post(judge))
}

remarks! {
    /// What is said of a password typed once more.
    enum Remark in "again" {
        /// It is another one, or not now.
        Wrong = "wrong",
        /// Nothing was typed.
        Empty = "empty",
    }
}

#[derive(Serialize)]
struct AgainPage {
    action: String,
    errors: Vec<Fault>,
    #[serde(flatten)]
    typing: Typing,
}

/// GET `/login/again`: asks for the password.
async fn ask(Extension(visit): Extension<Visit>) -> Reply {
    if let Err(reply) = turn::full(&visit) {
        return reply;
    }
    let t = texts(visit.language());
    let errors = visit.note().map_or_else(Vec::new, |note| faults(&note, t));
    Reply::page("again.html", &AgainPage { action: visit.here(), errors, typing: Typing::of(&visit) })
}

fn faults(note: &Note, t: &Texts) -> Vec<Fault> {
    let said = note.remarks().flat_map(|remark| match remark {
        Remark::Wrong => vec![Fault::in_field("password", t.login.again_wrong), Fault::plain(t.login.wait)],
        Remark::Empty => vec![Fault::in_field("password", t.login.password_empty)],
    });
    Fault::late(note, t).into_iter().chain(said).collect()
}

/// POST `/login/again`: judges it, and leads back.
async fn judge(State(web): State<Web>, Extension(visit): Extension<Visit>, Entry(fields): Entry) -> Answer {
    let visitor = match turn::full(&visit) {
        Ok(visitor) => visitor,
        Err(reply) => return Ok(reply),
    };
    let once_more = |remark| Ok(Reply::see(visit.here()).noting(&Note::of::<Remark>(remark)));
    if fields.get("password").is_empty() {
        return once_more(Remark::Empty);
    }
    let typed = Secret::new(fields.get("password").to_owned());
    let account = web.login().account(visitor.org.as_str(), visitor.member.login.as_str());
    let device = visit.device(web.key().reveal(), &account);
    let (cookie, session) = visit::new_session(web.random()?);
    match web.login().again(visitor, &typed, device, session, web.now()).await? {
        Again::In(stage) => Ok(Reply::see(turn::next(&visit, stage)).with(Crumb::Session, Some(cookie))),
        Again::Refused => once_more(Remark::Wrong),
        Again::Gone => Ok(turn::over(&visit)),
    }
}
