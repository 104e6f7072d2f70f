//! `/account/two-factor/confirm`: a code once more, before a factor is set up where there is one (ASVS 7.5.1).
//!
//! What always holds: it comes after a password typed lately, so codes are not guessed or ordered by whoever found a session
//! open; a right code leads on to the page that asked for it.

use super::super::code::{self, Pause, Sent, faults_of_mail, said};
use super::super::fault::Fault;
use super::super::note::Note;
use super::super::reply::{Answer, Entry, Reply, Trouble};
use super::super::texts::texts;
use super::super::visit::Visit;
use super::super::{Web, turn};
use super::{PAGE, setter};
use crate::service::otp::{Purpose, Waiting};
use crate::service::second_factor::{Overview, Proof, Verdict};
use crate::service::session::Visitor;
use crate::store::FactorKind;
use axum::extract::{Path, State};
use axum::routing::get;
use axum::{Extension, Router};
use serde::Serialize;

const HERE: &str = "/account/two-factor/confirm";

pub(super) fn routes() -> Router<Web> {
    Router::new()
        .route("/account/two-factor/confirm", get(ask))
        .route("/account/two-factor/confirm/{kind}", get(ask_by).post(judge))
        .route("/account/two-factor/confirm/mail/send", get(turn::to_its_page).post(send))
}

/// Asks for a code, to go on at `page`.
pub(super) fn first(page: &str) -> Reply {
    Reply::see(format!("{HERE}?back={page}"))
}

#[derive(Serialize)]
struct ConfirmPage {
    kind: &'static str,
    action: String,
    send: String,
    other: Option<String>,
    back: &'static str,
    waiting: Option<Sent>,
    said: Vec<&'static str>,
    errors: Vec<Fault>,
}

/// Who is to show a code, of which factors, and what is under way.
struct Asked<'a> {
    visitor: &'a Visitor,
    has: Overview,
    waiting: Option<Waiting>,
}

impl<'a> Asked<'a> {
    /// Reads it; others are sent where it is their turn. A code that was sent after the password had been typed is not kept
    /// waiting for another password.
    async fn read(web: &Web, visit: &'a Visit) -> Result<Result<Self, Reply>, Trouble> {
        let waiting = match setter(visit) {
            Ok(visitor) => web.otp().waiting(visitor, Purpose::Confirm, web.now()).await?,
            Err(reply) => return Ok(Err(reply)),
        };
        let begun = waiting.as_ref().map_or(web.now(), |waiting| waiting.sent);
        let visitor = match turn::fresh_since(visit, begun, after(visit)) {
            Ok(visitor) => visitor,
            Err(reply) => return Ok(Err(reply)),
        };
        let has = web.second_factor().overview(visitor.member.id, web.now()).await?;
        let is_asked = !has.factors.is_empty();
        Ok(if is_asked { Ok(Self { visitor, has, waiting }) } else { Err(Reply::see(PAGE.to_owned())) })
    }
}

/// Where it goes on.
fn after(visit: &Visit) -> &str {
    visit.back().unwrap_or(PAGE)
}

fn page(visit: &Visit, kind: FactorKind) -> String {
    visit.along(&format!("{HERE}/{}", kind.as_str()))
}

/// GET: asks for a code of the app, where there is one, else for one by mail.
async fn ask(State(web): State<Web>, Extension(visit): Extension<Visit>) -> Answer {
    show(&web, &visit, None).await
}

/// GET: asks for a code of that kind.
async fn ask_by(State(web): State<Web>, Extension(visit): Extension<Visit>, Path(kind): Path<String>) -> Answer {
    show(&web, &visit, FactorKind::named(&kind)).await
}

async fn show(web: &Web, visit: &Visit, wanted: Option<FactorKind>) -> Answer {
    let Asked { visitor, has, waiting } = match Asked::read(web, visit).await? {
        Ok(asked) => asked,
        Err(reply) => return Ok(reply),
    };
    let present = |kind: &FactorKind| has.factor(*kind).is_some();
    let default = FactorKind::ALL.into_iter().find(present).unwrap_or(FactorKind::App);
    let kind = wanted.filter(present).unwrap_or(default);
    let other = FactorKind::ALL.into_iter().find(|other| *other != kind && present(other));
    let to = has.factor(FactorKind::Mail).and_then(|factor| factor.address.as_ref());
    let pause = Pause::find(web, visit, (visitor, Purpose::Confirm), to, waiting.is_some()).await?;
    let (note, t) = (visit.note(), texts(visit.language()));
    let page = ConfirmPage {
        kind: kind.as_str(),
        action: page(visit, kind),
        send: visit.along(&format!("{HERE}/mail/send")),
        other: other.map(|other| page(visit, other)),
        back: PAGE,
        waiting: waiting
            .filter(|_| kind == FactorKind::Mail)
            .map(|waiting| Sent::new(&waiting, false, &visitor.policy)),
        said: note.as_ref().map_or_else(Vec::new, |note| said(note, t)),
        errors: note.as_ref().map_or_else(Vec::new, |note| faults_of_mail(note, t, pause)),
    };
    Ok(Reply::page("two_factor_confirm.html", &page))
}

/// POST: sends a code to the address that was set up.
async fn send(State(web): State<Web>, Extension(visit): Extension<Visit>, _: Entry) -> Answer {
    let Asked { visitor, has, .. } = match Asked::read(&web, &visit).await? {
        Ok(asked) if asked.visitor.is_stale(web.now()) => return Ok(turn::again(after(&visit))),
        Ok(asked) => asked,
        Err(reply) => return Ok(reply),
    };
    let Some(address) = has.factor(FactorKind::Mail).and_then(|factor| factor.address.as_ref()) else {
        return Ok(Reply::see(visit.along(HERE)));
    };
    let remark = code::order(&web, &visit, visitor, Purpose::Confirm, address).await?;
    Ok(Reply::see(page(&visit, FactorKind::Mail)).noting(&Note::of(remark)))
}

/// POST: judges a code, and goes on.
async fn judge(
    State(web): State<Web>,
    Extension(visit): Extension<Visit>,
    Path(kind): Path<String>,
    Entry(fields): Entry,
) -> Answer {
    let Asked { visitor, .. } = match Asked::read(&web, &visit).await? {
        Ok(asked) => asked,
        Err(reply) => return Ok(reply),
    };
    let Some(kind) = FactorKind::named(&kind) else {
        return Ok(Reply::see(visit.along(HERE)));
    };
    let again = |remark: code::Remark| Ok(Reply::see(visit.here()).noting(&Note::of(remark)));
    let typed = fields.get("otp").to_owned();
    if typed.trim().is_empty() {
        return again(code::Remark::Empty);
    }
    let member = visitor.member.id;
    let (cookie, step) = code::step(&web, &visit, member)?;
    match web.second_factor().confirm(visitor, Proof { kind, typed }, step).await? {
        Verdict::Right(_) => code::passed(&web, &visit, member, cookie, Reply::see(after(&visit).to_owned())),
        Verdict::Gone => Ok(turn::over(&visit)),
        refusal => again(code::remark(&refusal, kind, step.now).unwrap_or(code::Remark::Over)),
    }
}
