//! `/r/TOKEN`: the address, the login, the first password, the priority, done (R117–R121, R017).
//!
//! What always holds: each page is reached only in its turn, and asked for out of turn it sends the browser to the one whose
//! turn it is; nothing but a form of ours changes anything.

use super::fault::{Fault, Typing};
use super::form::Fields;
use super::login;
use super::note::{Note, remarks};
use super::notice::Notice;
use super::password;
use super::reply::{Answer, Entry, Reply, Trouble};
use super::texts::{moment, texts};
use super::turn;
use super::visit::Visit;
use super::{Web, draft};
use crate::link::{self, Link};
use crate::model::{EmailAddress, Priority, Timestamp};
use crate::service::landing::{Outcome, Plan, Sight, Wish};
use crate::service::session::{Stage, Visitor};
use crate::store::Registration;
use axum::extract::{Path, State};
use axum::routing::get;
use axum::{Extension, Router};
use serde::Serialize;

/// The pages of this file.
pub(super) fn routes() -> Router<Web> {
    Router::new()
        .route("/r/{token}", get(landing).post(log_in))
        .route("/r/{token}/password", get(password).post(set_password))
        .route("/r/{token}/priority", get(priority).post(choose))
        .route("/r/{token}/confirm", get(confirm).post(replace))
        .route("/r/{token}/done", get(done))
        .route("/r", get(cut))
        .route("/r/", get(cut))
        .route("/r/{token}/", get(cut))
}

remarks! {
    /// What there is to say behind a link.
    enum Remark in "register" {
        /// No priority was chosen.
        Unchosen = "unchosen",
    }
}

#[derive(Serialize)]
struct LandingPage {
    address: String,
    until: String,
    action: String,
    org: String,
    id: String,
    errors: Vec<Fault>,
    #[serde(flatten)]
    typing: Typing,
}

#[derive(Serialize)]
struct PriorityPage {
    address: String,
    action: String,
    own: Option<String>,
    said: Vec<String>,
    unchosen: bool,
    slots: Vec<Slot>,
    errors: Vec<Fault>,
}

#[derive(Serialize)]
struct Slot {
    number: String,
    address: Option<String>,
    own: bool,
    chosen: bool,
}

#[derive(Serialize)]
struct ConfirmPage {
    number: String,
    old: String,
    new: String,
    moves_to: Option<String>,
    action: String,
    back: String,
}

#[derive(Serialize)]
struct DonePage {
    slots: Vec<Slot>,
}

/// An open registration, and where its pages are.
struct Place {
    token: String,
    link: Link,
    registration: Box<Registration>,
}

impl Place {
    /// Looks behind the link; where there is no open registration, gives the page that says so.
    async fn open(web: &Web, visit: &Visit, token: &str) -> Result<Result<Self, Reply>, Trouble> {
        let token = link::tidied(token);
        Ok(match web.links().look(token, web.now()).await? {
            Sight::Open(registration, link) => Ok(Self { token: token.to_owned(), link, registration }),
            Sight::Done(registration) if finished_by(visit, &registration) => {
                Err(Reply::see(format!("/r/{token}/done")))
            }
            Sight::Done(registration) => Err(Reply::notice(Notice::Used {
                address: registration.address.masked(),
                at: registration.finished_at.unwrap_or(registration.opened_at),
                org: registration.org,
            })),
            Sight::Expired { until, registration } => Err(Reply::notice(Notice::Expired {
                until,
                org: registration.and_then(|registration| registration.org),
            })),
            Sight::Cut => Err(Reply::notice(Notice::Cut)),
            Sight::Forged => Err(Reply::notice(Notice::Forged)),
        })
    }

    /// Looks behind the link for somebody who has got as far as `stage`; others are sent to the page whose turn it is.
    async fn at<'a>(
        web: &Web,
        visit: &'a Visit,
        token: &str,
        stage: Stage,
    ) -> Result<Result<(Self, &'a Visitor), Reply>, Trouble> {
        let place = match Self::open(web, visit, token).await? {
            Ok(place) => place,
            Err(reply) => return Ok(Err(reply)),
        };
        Ok(match visit.visitor() {
            Some(visitor) if visitor.stage == stage => Ok((place, visitor)),
            Some(visitor) => Err(Reply::see(place.turn(visitor.stage))),
            None => Err(match visit.late() {
                Some(late) => Reply::see(place.page("")).noting(&Note::of(late)),
                None => Reply::see(place.page("")),
            }),
        })
    }

    fn page(&self, name: &str) -> String {
        format!("/r/{}{name}", self.token)
    }

    /// The page whose turn it is for somebody who has got that far.
    fn turn(&self, stage: Stage) -> String {
        turn::registering(&self.token, stage)
    }
}

fn finished_by(visit: &Visit, registration: &Registration) -> bool {
    let member = visit.visitor().filter(|visitor| visitor.stage == Stage::Full).map(|visitor| visitor.member.id);
    member.is_some() && member == registration.member
}

/// A link without a token, or with something behind it.
async fn cut() -> Reply {
    Reply::notice(Notice::Cut)
}

/// GET `/r/TOKEN`: shows the address and asks for the login.
async fn landing(State(web): State<Web>, Extension(visit): Extension<Visit>, Path(token): Path<String>) -> Answer {
    let place = match Place::open(&web, &visit, &token).await? {
        Ok(place) => place,
        Err(reply) => return Ok(reply),
    };
    if visit.is_get()
        && let Err(cause) = web.links().note_visit(&place.registration, web.now()).await
    {
        tracing::warn!(%cause, "a visit could not be noted");
    }
    if let Some(visitor) = visit.visitor() {
        return Ok(Reply::see(place.turn(visitor.stage)));
    }
    let note = visit.note();
    let hint = place.registration.org.as_ref().map(ToString::to_string).unwrap_or_default();
    let (org, id) =
        note.as_ref().map_or((hint, String::new()), |note| (note.typed("org").to_owned(), note.typed("id").to_owned()));
    let typing = Typing::of(&visit);
    let until = Timestamp::from_millis(place.link.expires.saturating_mul(1_000));
    Ok(Reply::scripted(
        "landing.html",
        &LandingPage {
            address: place.registration.address.to_string(),
            until: moment(until),
            action: format!("{}{}", place.page(""), typing.query()),
            org,
            id,
            errors: note.map_or_else(Vec::new, |note| login::faults(&note, texts(visit.language()))),
            typing,
        },
    ))
}

/// POST `/r/TOKEN`: logs in.
async fn log_in(
    State(web): State<Web>,
    Extension(visit): Extension<Visit>,
    Path(token): Path<String>,
    Entry(fields): Entry,
) -> Answer {
    let Ok(place) = Place::open(&web, &visit, &token).await? else {
        return Ok(Reply::see(visit.here()));
    };
    login::judge(&web, &visit, &fields, |stage| place.turn(stage)).await
}

/// GET `/r/TOKEN/password`: asks for a password of one's own.
async fn password(State(web): State<Web>, Extension(visit): Extension<Visit>, Path(token): Path<String>) -> Answer {
    let (_, visitor) = match Place::at(&web, &visit, &token, Stage::Password).await? {
        Ok(found) => found,
        Err(reply) => return Ok(reply),
    };
    Ok(password::page(&visit, visitor))
}

/// POST `/r/TOKEN/password`: sets it.
async fn set_password(
    State(web): State<Web>,
    Extension(visit): Extension<Visit>,
    Path(token): Path<String>,
    Entry(fields): Entry,
) -> Answer {
    let (place, visitor) = match Place::at(&web, &visit, &token, Stage::Password).await? {
        Ok(found) => found,
        Err(reply) => return Ok(reply),
    };
    password::set(&web, &visit, visitor, &fields, |stage| place.turn(stage)).await
}

/// GET `/r/TOKEN/priority`: asks for the place of the address.
async fn priority(State(web): State<Web>, Extension(visit): Extension<Visit>, Path(token): Path<String>) -> Answer {
    let (place, visitor) = match Place::at(&web, &visit, &token, Stage::Full).await? {
        Ok(found) => found,
        Err(reply) => return Ok(reply),
    };
    let present = web.links().addresses(visitor.member.id).await?;
    let address = &place.registration.address;
    let own = present.iter().find(|(_, other)| other.folded() == address.folded()).map(|(number, _)| *number);
    let free = Priority::ALL.into_iter().find(|number| present.iter().all(|(taken, _)| taken != number));
    let note = visit.note();
    let says = |remark| note.as_ref().is_some_and(|note| note.remarks().any(|said: Remark| said == remark));
    let t = texts(visit.language());
    let unchosen = says(Remark::Unchosen).then(|| Fault::in_field("priority", t.register.priority_empty));
    let late = note.as_ref().and_then(|note| Fault::late(note, t));
    let draft = draft::find(&web, &visit).await?;
    let typed = draft.as_ref().and_then(|fields| fields.get("priority").parse().ok());
    let changed = note.as_ref().map_or_else(Vec::new, |note| password::said(note, t));
    let said = changed.into_iter().chain(draft.map(|_| t.restored.to_owned())).collect();
    Ok(Reply::page(
        "priority.html",
        &PriorityPage {
            address: address.to_string(),
            action: place.page("/priority"),
            own: own.map(|number| number.to_string()),
            said,
            unchosen: unchosen.is_some(),
            slots: slots(&present, own, typed.or(own).or(free)),
            errors: late.into_iter().chain(unchosen).collect(),
        },
    ))
}

fn slots(present: &[(Priority, EmailAddress)], own: Option<Priority>, chosen: Option<Priority>) -> Vec<Slot> {
    let slot = |number: Priority| Slot {
        number: number.to_string(),
        address: present.iter().find(|(taken, _)| *taken == number).map(|(_, address)| address.to_string()),
        own: own == Some(number),
        chosen: chosen == Some(number),
    };
    Priority::ALL.into_iter().map(slot).collect()
}

/// POST `/r/TOKEN/priority`: registers, if the place is free.
async fn choose(
    State(web): State<Web>,
    Extension(visit): Extension<Visit>,
    Path(token): Path<String>,
    Entry(fields): Entry,
) -> Answer {
    finish(&web, &visit, &token, &fields, None).await
}

/// POST `/r/TOKEN/confirm`: registers in a place whose address the member was shown.
async fn replace(
    State(web): State<Web>,
    Extension(visit): Extension<Visit>,
    Path(token): Path<String>,
    Entry(fields): Entry,
) -> Answer {
    finish(&web, &visit, &token, &fields, Some(fields.get("present").to_owned())).await
}

async fn finish(web: &Web, visit: &Visit, token: &str, fields: &Fields, present: Option<String>) -> Answer {
    let (place, visitor) = match Place::at(web, visit, token, Stage::Full).await? {
        Ok(found) => found,
        Err(reply) => return Ok(reply),
    };
    let Ok(number) = fields.get("priority").parse::<Priority>() else {
        return Ok(Reply::see(place.page("/priority")).noting(&Note::of(Remark::Unchosen)));
    };
    let wish = Wish { place: number, shown: present, language: visit.chosen() };
    Ok(match web.links().register(place.link, visitor, wish, web.now()).await? {
        Outcome::Registered => Reply::see(place.page("/done")),
        Outcome::Taken => Reply::see(place.page(&format!("/confirm?priority={number}"))),
        // Another tab was faster; the link says what became of it.
        Outcome::Closed => Reply::see(place.page("")),
    })
}

/// GET `/r/TOKEN/confirm`: shows the address that gives way, and asks (R120).
async fn confirm(State(web): State<Web>, Extension(visit): Extension<Visit>, Path(token): Path<String>) -> Answer {
    let (place, visitor) = match Place::at(&web, &visit, &token, Stage::Full).await? {
        Ok(found) => found,
        Err(reply) => return Ok(reply),
    };
    let back = place.page("/priority");
    let Ok(number) = visit.query().get("priority").parse::<Priority>() else {
        return Ok(Reply::see(back));
    };
    let new = &place.registration.address;
    let (old, to) = match Plan::of(&web.links().addresses(visitor.member.id).await?, new, number) {
        Plan::Replace { old } => (old, None),
        Plan::Swap { old, to } => (old, Some(to)),
        Plan::Put | Plan::Move { .. } => return Ok(Reply::see(back)),
    };
    Ok(Reply::page(
        "confirm.html",
        &ConfirmPage {
            number: number.to_string(),
            old: old.to_string(),
            new: new.to_string(),
            moves_to: to.map(|to| to.to_string()),
            action: place.page("/confirm"),
            back,
        },
    ))
}

/// GET `/r/TOKEN/done`: says that the address is registered, to whoever registered it.
async fn done(State(web): State<Web>, Extension(visit): Extension<Visit>, Path(token): Path<String>) -> Answer {
    let token = link::tidied(&token);
    let done = match web.links().look(token, web.now()).await? {
        Sight::Done(registration) if finished_by(&visit, &registration) => registration,
        Sight::Open(..) | Sight::Done(_) | Sight::Expired { .. } | Sight::Cut | Sight::Forged => {
            return Ok(turn::of_token("/r", token));
        }
    };
    let Some(member) = done.member else {
        return Ok(Reply::see(format!("/r/{token}")));
    };
    let present = web.links().addresses(member).await?;
    Ok(Reply::page("done.html", &DonePage { slots: slots(&present, None, done.priority) }))
}
