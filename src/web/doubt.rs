//! `/login/confirm`: the code by mail that confirms a stranger's right password after very many wrong ones (requirements,
//! chapter 2).
//!
//! Knows nothing of when a login is in doubt, nor of how a code is judged. What always holds: the page opens to nobody whose
//! password was not right, and shows addresses only in part; a device is known by its cookie only once a code was right on it.

use super::Web;
use super::code::{self, Pause, Sent, faults_of_mail, said};
use super::cookie::Crumb;
use super::fault::Fault;
use super::login;
use super::note::{Note, remarks};
use super::reply::{Answer, Entry, Reply};
use super::texts::{Texts, texts};
use super::turn;
use super::visit::{self, Visit};
use crate::model::{EmailAddress, Priority};
use crate::service::otp::{Ordered, Purpose};
use crate::service::second_factor::Verdict;
use crate::service::session::Stage;
use crate::store::FactorKind;
use axum::extract::State;
use axum::routing::get;
use axum::{Extension, Router};
use serde::Serialize;

/// The page.
const PAGE: &str = "/login/confirm";

/// The pages of this file.
pub(super) fn routes() -> Router<Web> {
    Router::new()
        .route("/login/confirm", get(ask).post(judge))
        .route("/login/confirm/send", get(turn::to_its_page).post(send))
}

remarks! {
    /// What is said on this page alone.
    enum Remark in "doubt" {
        /// Too many wrong codes came in a day.
        Paused = "paused",
    }
}

#[derive(Serialize)]
struct DoubtPage {
    action: String,
    send: String,
    waiting: Option<Sent>,
    places: Vec<Place>,
    said: Vec<&'static str>,
    errors: Vec<Fault>,
}

/// An address that the code can go to.
#[derive(Serialize)]
struct Place {
    number: String,
    address: String,
}

impl Place {
    fn new((place, address): &(Priority, EmailAddress)) -> Self {
        Self { number: place.to_string(), address: address.masked() }
    }
}

/// GET `/login/confirm`: says what is asked for and why, and takes the code once one was sent.
async fn ask(State(web): State<Web>, Extension(visit): Extension<Visit>) -> Answer {
    let visitor = match turn::at(&visit, &[Stage::Doubt]) {
        Ok(visitor) => visitor,
        Err(reply) => return Ok(reply),
    };
    let places = web.login().confirmed_at(visitor).await?;
    let waiting = web.otp().waiting(visitor, Purpose::Doubt, web.now()).await?;
    // It is as good as always the member's own orders that have to wait, wherever they go.
    let to = waiting.as_ref().map(|waiting| &waiting.address).or(places.first().map(|(_, address)| address));
    let pause = Pause::find(&web, &visit, (visitor, Purpose::Doubt), to, waiting.is_some()).await?;
    let (note, t) = (visit.note(), texts(visit.language()));
    let page = DoubtPage {
        action: visit.along(PAGE),
        send: visit.along("/login/confirm/send"),
        waiting: waiting.map(|waiting| Sent::new(&waiting, true, &visitor.policy)),
        places: places.iter().map(Place::new).collect(),
        said: note.as_ref().map_or_else(Vec::new, |note| said(note, t)),
        errors: note.as_ref().map_or_else(Vec::new, |note| faults(note, t, pause)),
    };
    Ok(Reply::page("doubt.html", &page))
}

fn faults(note: &Note, t: &Texts, pause: Option<Pause>) -> Vec<Fault> {
    let own = note.remarks().map(|remark| match remark {
        Remark::Paused => Fault::plain(t.doubt.paused),
    });
    own.chain(faults_of_mail(note, t, pause)).collect()
}

/// POST `/login/confirm/send`: sends a code to the address that was chosen.
async fn send(State(web): State<Web>, Extension(visit): Extension<Visit>, Entry(fields): Entry) -> Answer {
    let visitor = match turn::at(&visit, &[Stage::Doubt]) {
        Ok(visitor) => visitor,
        Err(reply) => return Ok(reply),
    };
    let back = Reply::see(visit.along(PAGE));
    let chosen: Option<Priority> = fields.get("priority").parse().ok();
    let places = web.login().confirmed_at(visitor).await?;
    let Some((_, address)) = places.into_iter().find(|(place, _)| Some(*place) == chosen) else { return Ok(back) };
    let ordered = web.otp().order(visitor, Purpose::Doubt, &address, visit.language(), web.now()).await?;
    Ok(match ordered {
        Ordered::Sent { .. } => back.noting(&Note::of(code::Remark::Sent)),
        Ordered::Wait { .. } => back.noting(&Note::of(code::Remark::TooSoon)),
        // It was there a moment before; the page does not offer it any more.
        Ordered::Suppressed => back,
    })
}

/// POST `/login/confirm`: judges the code; a right one leads on, and makes the device known.
async fn judge(State(web): State<Web>, Extension(visit): Extension<Visit>, Entry(fields): Entry) -> Answer {
    let visitor = match turn::at(&visit, &[Stage::Doubt]) {
        Ok(visitor) => visitor,
        Err(reply) => return Ok(reply),
    };
    let again = |note: Note| Ok(Reply::see(visit.here()).noting(&note));
    let typed = fields.get("otp");
    if typed.trim().is_empty() {
        return again(Note::of(code::Remark::Empty));
    }
    let account = web.login().account(visitor.org.as_str(), visitor.member.login.as_str());
    let ((cookie, session), now) = (visit::new_session(web.random()?), web.now());
    match web.login().confirm(visitor, typed, session, now).await? {
        Verdict::Right(stage) => {
            let reply = Reply::see(turn::next(&visit, stage)).with(Crumb::Session, Some(cookie));
            login::known_from_now_on(&web, &visit, &account, reply)
        }
        Verdict::Gone => Ok(turn::over(&visit)),
        Verdict::Wait { .. } => again(Note::of(Remark::Paused)),
        refusal => again(Note::of(code::remark(&refusal, FactorKind::Mail, now).unwrap_or(code::Remark::Over))),
    }
}
