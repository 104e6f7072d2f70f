//! The form in which a password is chosen, wherever it stands: behind a link, at the first login, and from the menu (R017–R019,
//! R073, R090).
//!
//! What a password may be says `service::password`. What always holds: neither an answer nor a note has the password in it;
//! whoever has not typed the present one lately is asked for it.

use super::Web;
use super::cookie::Crumb;
use super::fault::{Fault, Typing};
use super::form::Fields;
use super::note::{Late, Note, Remark};
use super::reply::{Answer, Entry, Reply};
use super::texts::{Texts, texts};
use super::turn;
use super::visit::{self, Visit};
use crate::model::{Blocklist, Policy, Secret, Strength};
use crate::service::login::{Choice, Chosen, Login, Looks};
use crate::service::password::Refusal;
use crate::service::session::{Stage, Visitor};
use axum::extract::State;
use axum::routing::{get, post};
use axum::{Extension, Router};
use serde::Serialize;

/// What there is to say of a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Say {
    /// It is refused.
    Refused(Refusal),
    /// It is set; no error.
    Changed,
    /// How strong it looks.
    Looks(Strength),
    /// It is known-bad, and taken all the same.
    Common,
}

impl Remark for Say {
    const AREA: &'static str = "password";
    const ALL: &'static [Self] = &[
        Self::Refused(Refusal::Empty),
        Self::Refused(Refusal::Character),
        Self::Refused(Refusal::TooShort),
        Self::Refused(Refusal::TooLong),
        Self::Refused(Refusal::OrgCode),
        Self::Refused(Refusal::LoginId),
        Self::Refused(Refusal::Start),
        Self::Refused(Refusal::KnownBad),
        Self::Refused(Refusal::TooWeak),
        Self::Refused(Refusal::Mismatch),
        Self::Changed,
        Self::Looks(Strength::Weak),
        Self::Looks(Strength::Medium),
        Self::Looks(Strength::Strong),
        Self::Common,
    ];

    fn code(self) -> &'static str {
        match self {
            Self::Refused(refusal) => refusal.as_str(),
            Self::Changed => "changed",
            Self::Looks(strength) => strength.as_str(),
            Self::Common => "common",
        }
    }
}

#[derive(Serialize)]
struct PasswordPage {
    action: String,
    /// It is the first one of the member's own.
    first: bool,
    /// It is a step of a registration.
    steps: bool,
    rules: Rules,
    strength: String,
    errors: Vec<Fault>,
    #[serde(flatten)]
    typing: Typing,
}

/// The pages of this file.
pub(super) fn routes() -> Router<Web> {
    Router::new()
        .route("/login/password", get(first).post(set_first))
        .route("/login/strength", post(gauge))
        .route("/account/password", get(change).post(set_another))
}

/// GET `/login/password`: asks for the first password of one's own (R017).
async fn first(Extension(visit): Extension<Visit>) -> Reply {
    turn::at(&visit, &[Stage::Password]).map_or_else(|reply| reply, |visitor| page(&visit, visitor))
}

/// POST `/login/password`: sets it.
async fn set_first(State(web): State<Web>, Extension(visit): Extension<Visit>, Entry(fields): Entry) -> Answer {
    match turn::at(&visit, &[Stage::Password]) {
        Ok(visitor) => set(&web, &visit, visitor, &fields, |stage| turn::next(&visit, stage)).await,
        Err(reply) => Ok(reply),
    }
}

/// GET `/account/password`: asks for another one (R073).
async fn change(State(web): State<Web>, Extension(visit): Extension<Visit>) -> Reply {
    turn::fresh(&visit, web.now()).map_or_else(|reply| reply, |visitor| page(&visit, visitor))
}

/// POST `/account/password`: sets it.
async fn set_another(State(web): State<Web>, Extension(visit): Extension<Visit>, Entry(fields): Entry) -> Answer {
    match turn::fresh(&visit, web.now()) {
        Ok(visitor) => set(&web, &visit, visitor, &fields, |stage| turn::next(&visit, stage)).await,
        // The present one is asked for first, and what was typed is nowhere kept.
        Err(reply) if turn::full(&visit).is_ok() => Ok(reply.noting(&Note::of(Late::Unproven))),
        Err(reply) => Ok(reply),
    }
}

/// POST `/login/strength`: says how strong the password looks that is being typed, or why it will be refused (R019).
async fn gauge(Extension(visit): Extension<Visit>, Entry(fields): Entry) -> Reply {
    let visitor = match turn::at(&visit, &[Stage::Password, Stage::Full]) {
        Ok(visitor) => visitor,
        Err(reply) => return reply,
    };
    let t = texts(visit.language());
    let typed = Secret::new(fields.get("new").to_owned());
    Reply::text(match Login::preview(visitor, &typed) {
        Ok(seen) => impression(seen, t),
        Err(refusal) => reason(refusal, t, &visitor.policy),
    })
}

/// Shows the form.
pub(super) fn page(visit: &Visit, visitor: &Visitor) -> Reply {
    let t = texts(visit.language());
    let note = visit.note();
    let seen = note.as_ref().and_then(seen);
    Reply::page(
        "password.html",
        &PasswordPage {
            action: visit.here(),
            first: visitor.stage == Stage::Password,
            steps: visit.registration().is_some(),
            rules: Rules::of(&visitor.policy),
            strength: seen.map(|seen| impression(seen, t)).unwrap_or_default(),
            errors: note.map_or_else(Vec::new, |note| faults(&note, t, &visitor.policy)),
            typing: Typing::of(visit),
        },
    )
}

/// Sets what was typed: leads on to `next`, or back to the form with what is to be said.
pub(super) async fn set(
    web: &Web,
    visit: &Visit,
    visitor: &Visitor,
    fields: &Fields,
    next: impl Fn(Stage) -> String,
) -> Answer {
    let (cookie, session) = visit::new_session(web.random()?);
    let typed = typed(fields);
    let looks = Login::preview(visitor, &typed.new).ok();
    let looks = looks
        .into_iter()
        .flat_map(|seen| std::iter::once(Say::Looks(seen.strength)).chain(seen.known_bad.then_some(Say::Common)));
    let chosen = web.login().choose(visitor, typed, session, web.now()).await?;
    let note = |said: Say| Note::all(&[said].into_iter().chain(looks.clone()).collect::<Vec<_>>());
    Ok(match chosen {
        Chosen::Changed(stage) => {
            Reply::see(next(stage)).with(Crumb::Session, Some(cookie)).noting(&note(Say::Changed))
        }
        Chosen::Refused(refusal) => Reply::see(visit.here()).noting(&note(Say::Refused(refusal))),
        Chosen::Gone => turn::over(visit),
    })
}

impl Say {
    const fn strength(self) -> Option<Strength> {
        match self {
            Self::Looks(strength) => Some(strength),
            Self::Refused(_) | Self::Changed | Self::Common => None,
        }
    }
}

/// Says that the password was changed, and how strong the new one looks, if the page before did that.
pub(super) fn said(note: &Note, t: &Texts) -> Vec<String> {
    if !note.remarks::<Say>().any(|said| said == Say::Changed) {
        return Vec::new();
    }
    let seen = seen(note);
    let is_weak = seen.is_some_and(|seen| seen.strength == Strength::Weak && !seen.known_bad);
    let advice = is_weak.then(|| t.password.advice.to_owned());
    let seen = seen.map(|seen| impression(seen, t));
    [t.password.done.to_owned()].into_iter().chain(seen).chain(advice).collect()
}

/// Reads what the page before saw of a password.
fn seen(note: &Note) -> Option<Looks> {
    let strength = note.remarks().find_map(Say::strength)?;
    Some(Looks { strength, known_bad: note.remarks::<Say>().any(|said| said == Say::Common) })
}

/// Says how a password looks, with a warning where everybody tries it first.
fn impression(seen: Looks, t: &Texts) -> String {
    let strong = t.password.strength.replace("{strength}", strength(seen.strength, t));
    if seen.known_bad { format!("{strong} {}", t.password.common) } else { strong }
}

/// Names a strength (R019).
const fn strength(strength: Strength, t: &Texts) -> &'static str {
    match strength {
        Strength::Weak => t.password.weak,
        Strength::Medium => t.password.medium,
        Strength::Strong => t.password.strong,
    }
}

/// What a password has to be, as the organisation wants it.
#[derive(Debug, Serialize)]
struct Rules {
    least: String,
    most: String,
    /// What everybody tries first is warned of, not refused.
    warns: bool,
}

impl Rules {
    /// Reads them from what the organisation asks for.
    fn of(policy: &Policy) -> Self {
        Self {
            least: policy.password_min_length.to_string(),
            most: policy.password_max_length.to_string(),
            warns: policy.blocklist == Blocklist::Warn,
        }
    }
}

/// Says what is wrong.
fn faults(note: &Note, t: &Texts, policy: &Policy) -> Vec<Fault> {
    let refused = |said| match said {
        Say::Refused(refusal) => Some(Fault::in_field(place(refusal), reason(refusal, t, policy))),
        Say::Changed | Say::Looks(_) | Say::Common => None,
    };
    let said = note.remarks().filter_map(refused);
    Fault::late(note, t).into_iter().chain(said).collect()
}

/// The input that has to be put right.
const fn place(refusal: Refusal) -> &'static str {
    match refusal {
        Refusal::Mismatch => "again",
        Refusal::Empty
        | Refusal::Character
        | Refusal::TooShort
        | Refusal::TooLong
        | Refusal::OrgCode
        | Refusal::LoginId
        | Refusal::Start
        | Refusal::KnownBad
        | Refusal::TooWeak => "new",
    }
}

fn reason(refusal: Refusal, t: &Texts, policy: &Policy) -> String {
    let Rules { least, most, .. } = Rules::of(policy);
    let text = match refusal {
        Refusal::Empty => t.password.empty,
        Refusal::Character => t.password.character,
        Refusal::TooShort => t.password.too_short,
        Refusal::TooLong => t.password.too_long,
        Refusal::OrgCode => t.password.org_code,
        Refusal::LoginId => t.password.login_id,
        Refusal::Start => t.password.start,
        Refusal::KnownBad => t.password.known_bad,
        Refusal::TooWeak => t.password.too_weak,
        Refusal::Mismatch => t.password.mismatch,
    };
    let least_strong = strength(policy.password_min_strength, t);
    text.replace("{least}", &least).replace("{most}", &most).replace("{strength}", least_strong)
}

/// Gives what was typed, to be judged.
fn typed(fields: &Fields) -> Choice {
    let secret = |name: &str| Secret::new(fields.get(name).to_owned());
    Choice { new: secret("new"), again: secret("again") }
}
