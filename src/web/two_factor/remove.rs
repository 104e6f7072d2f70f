//! `/account/two-factor/remove/KIND`: taking a factor away (R144, R146).
//!
//! What always holds: it takes a confirmation, a password typed lately, and a code of any factor the member has; the last
//! factor is not taken away but replaced, and the pages of the set-up come next.

use super::super::code::{self, Pause, Sent, faults_of_mail, said};
use super::super::cookie::Crumb;
use super::super::fault::Fault;
use super::super::note::Note;
use super::super::reply::{Answer, Entry, Reply, Trouble};
use super::super::texts::texts;
use super::super::visit::Visit;
use super::super::{Web, turn};
use super::{PAGE, Remark, setter};
use crate::service::otp::{Purpose, Waiting};
use crate::service::second_factor::{Overview, Proof, Verdict};
use crate::service::session::{Stage, Visitor};
use crate::store::FactorKind;
use axum::extract::{Path, State};
use axum::routing::get;
use axum::{Extension, Router};
use serde::Serialize;

pub(super) fn routes() -> Router<Web> {
    Router::new()
        .route("/account/two-factor/remove/{kind}", get(ask))
        .route("/account/two-factor/remove/{kind}/{proof}", get(ask_by).post(remove))
        .route("/account/two-factor/remove/{kind}/mail/send", get(turn::to_its_page).post(send))
}

#[derive(Serialize)]
struct RemovePage {
    kind: &'static str,
    proof: &'static str,
    /// It is the only one.
    last: bool,
    action: String,
    send: String,
    other: Option<String>,
    back: String,
    waiting: Option<Sent>,
    said: Vec<&'static str>,
    errors: Vec<Fault>,
}

/// Who asks, what for, and what there is.
struct Wish<'a> {
    visitor: &'a Visitor,
    kind: FactorKind,
    has: Overview,
    /// A code that was sent, and can be typed.
    waiting: Option<Waiting>,
}

impl<'a> Wish<'a> {
    /// Reads it. A code that was sent after the password had been typed is not kept waiting for another password.
    async fn read(web: &Web, visit: &'a Visit, kind: &str) -> Result<Result<Self, Reply>, Trouble> {
        let waiting = match setter(visit) {
            Ok(visitor) => web.otp().waiting(visitor, Purpose::Confirm, web.now()).await?,
            Err(reply) => return Ok(Err(reply)),
        };
        let begun = waiting.as_ref().map_or(web.now(), |waiting| waiting.sent);
        let visitor = match turn::fresh_since(visit, begun, visit.path()) {
            Ok(visitor) => visitor,
            Err(reply) => return Ok(Err(reply)),
        };
        let has = web.second_factor().overview(visitor.member.id, web.now()).await?;
        Ok(match FactorKind::named(kind).filter(|kind| has.factor(*kind).is_some()) {
            Some(kind) => Ok(Self { visitor, kind, has, waiting }),
            None => Err(Reply::see(visit.along(PAGE))),
        })
    }

    fn page(&self, proof: FactorKind) -> String {
        format!("{PAGE}/remove/{}/{}", self.kind.as_str(), proof.as_str())
    }
}

/// GET: asks whether to, with a code of the app where there is one.
async fn ask(State(web): State<Web>, Extension(visit): Extension<Visit>, Path(kind): Path<String>) -> Answer {
    show(&web, &visit, &kind, None).await
}

/// GET: asks whether to, with a code of that kind.
async fn ask_by(
    State(web): State<Web>,
    Extension(visit): Extension<Visit>,
    Path((kind, proof)): Path<(String, String)>,
) -> Answer {
    show(&web, &visit, &kind, FactorKind::named(&proof)).await
}

async fn show(web: &Web, visit: &Visit, kind: &str, wanted: Option<FactorKind>) -> Answer {
    let wish = match Wish::read(web, visit, kind).await? {
        Ok(wish) => wish,
        Err(reply) => return Ok(reply),
    };
    let present = |kind: &FactorKind| wish.has.factor(*kind).is_some();
    let proof = wanted.filter(present).or_else(|| FactorKind::ALL.into_iter().find(present)).unwrap_or(wish.kind);
    let other = FactorKind::ALL.into_iter().find(|other| *other != proof && present(other));
    let to = wish.has.factor(FactorKind::Mail).and_then(|factor| factor.address.as_ref());
    let pause = Pause::find(web, visit, (wish.visitor, Purpose::Confirm), to, wish.waiting.is_some()).await?;
    let (note, t) = (visit.note(), texts(visit.language()));
    let page = RemovePage {
        kind: wish.kind.as_str(),
        proof: proof.as_str(),
        last: wish.has.factors.len() == 1,
        action: visit.along(&wish.page(proof)),
        send: visit.along(&format!("{}/send", wish.page(FactorKind::Mail))),
        other: other.map(|other| visit.along(&wish.page(other))),
        back: visit.along(PAGE),
        waiting: wish
            .waiting
            .as_ref()
            .filter(|_| proof == FactorKind::Mail)
            .map(|waiting| Sent::new(waiting, false, &wish.visitor.policy)),
        said: note.as_ref().map_or_else(Vec::new, |note| said(note, t)),
        errors: note.as_ref().map_or_else(Vec::new, |note| faults_of_mail(note, t, pause)),
    };
    Ok(Reply::page("two_factor_remove.html", &page))
}

/// POST: sends a code to the address that was set up.
async fn send(
    State(web): State<Web>,
    Extension(visit): Extension<Visit>,
    Path(kind): Path<String>,
    _: Entry,
) -> Answer {
    let wish = match Wish::read(&web, &visit, &kind).await? {
        Ok(wish) if wish.visitor.is_stale(web.now()) => return Ok(turn::again(&wish.page(FactorKind::Mail))),
        Ok(wish) => wish,
        Err(_) => {
            // The page before this form asks for what is missing.
            let page = FactorKind::named(&kind).map(|kind| format!("{PAGE}/remove/{}/mail", kind.as_str()));
            return Ok(Reply::see(visit.along(page.as_deref().unwrap_or(PAGE))));
        }
    };
    let Some(address) = wish.has.factor(FactorKind::Mail).and_then(|factor| factor.address.as_ref()) else {
        return Ok(Reply::see(visit.along(PAGE)));
    };
    let remark = code::order(&web, &visit, wish.visitor, Purpose::Confirm, address).await?;
    Ok(Reply::see(visit.along(&wish.page(FactorKind::Mail))).noting(&Note::of(remark)))
}

/// POST: takes it away, if the code is right.
async fn remove(
    State(web): State<Web>,
    Extension(visit): Extension<Visit>,
    Path((kind, proof)): Path<(String, String)>,
    Entry(fields): Entry,
) -> Answer {
    let wish = match Wish::read(&web, &visit, &kind).await? {
        Ok(wish) => wish,
        Err(reply) => return Ok(reply),
    };
    let Some(by) = FactorKind::named(&proof) else {
        return Ok(Reply::see(visit.along(PAGE)));
    };
    let again = |remark: code::Remark| Ok(Reply::see(visit.here()).noting(&Note::of(remark)));
    let typed = fields.get("otp").to_owned();
    if typed.trim().is_empty() {
        return again(code::Remark::Empty);
    }
    let (cookie, step) = code::step(&web, &visit, wish.visitor.member.id)?;
    let proof = Proof { kind: by, typed };
    Ok(match web.second_factor().remove(wish.visitor, wish.kind, proof, step).await? {
        Verdict::Right(stage) => {
            let done = match (stage, wish.kind) {
                (Stage::Enrol, _) => Remark::Replace,
                (_, FactorKind::App) => Remark::AppRemoved,
                (_, FactorKind::Mail) => Remark::MailRemoved,
            };
            Reply::see(visit.along(PAGE)).with(Crumb::Session, Some(cookie)).noting(&Note::of(done))
        }
        Verdict::Gone => turn::over(&visit),
        refusal => return again(code::remark(&refusal, by, step.now).unwrap_or(code::Remark::Over)),
    })
}
