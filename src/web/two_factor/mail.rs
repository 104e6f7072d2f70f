//! `/account/two-factor/mail`: setting up the mail address that receives codes (R036, R043).
//!
//! What always holds: the address is typed for this purpose alone, and is not one of the member's contact addresses unless it
//! happens to be the same; it is set up only by a code that was sent to it.

use super::super::code::{self, Pause, Sent, faults_of_mail, said};
use super::super::fault::Fault;
use super::super::note::Note;
use super::super::reply::{Answer, Entry, Reply};
use super::super::texts::texts;
use super::super::visit::Visit;
use super::super::{Web, turn};
use super::{fresh_setter, set_up, setter};
use crate::model::EmailAddress;
use crate::service::otp::Purpose;
use crate::service::second_factor::Verdict;
use crate::store::FactorKind;
use axum::extract::State;
use axum::routing::get;
use axum::{Extension, Router};
use serde::Serialize;

const HERE: &str = turn::SET_UP_MAIL;

pub(super) fn routes() -> Router<Web> {
    Router::new()
        .route("/account/two-factor/mail", get(show).post(confirm))
        .route("/account/two-factor/mail/send", get(turn::to_its_page).post(send))
}

#[derive(Serialize)]
struct MailPage {
    action: String,
    send: String,
    app: String,
    present: Option<String>,
    waiting: Option<Sent>,
    typed: String,
    said: Vec<&'static str>,
    errors: Vec<Fault>,
}

/// GET: asks for the address, and for the code once one is under way.
async fn show(State(web): State<Web>, Extension(visit): Extension<Visit>) -> Answer {
    let waiting = match setter(&visit) {
        Ok(visitor) => web.otp().waiting(visitor, Purpose::Enrol, web.now()).await?,
        Err(reply) => return Ok(reply),
    };
    let begun = waiting.as_ref().map(|waiting| waiting.sent);
    let (visitor, has) = match fresh_setter(&web, &visit, HERE, begun).await? {
        Ok(found) => found,
        Err(reply) => return Ok(reply),
    };
    let (note, t) = (visit.note(), texts(visit.language()));
    let typed = note.as_ref().map_or("", |note| note.typed("email"));
    let to = EmailAddress::typed(typed).ok();
    let pause = Pause::find(&web, &visit, (visitor, Purpose::Enrol), to.as_ref(), waiting.is_some()).await?;
    let page = MailPage {
        action: visit.along(HERE),
        send: visit.along("/account/two-factor/mail/send"),
        app: visit.along("/account/two-factor/app"),
        present: has.factor(FactorKind::Mail).and_then(|factor| factor.address.as_ref()).map(ToString::to_string),
        typed: if typed.is_empty() { waiting.as_ref().map(|waiting| waiting.address.to_string()) } else { None }
            .unwrap_or_else(|| typed.to_owned()),
        waiting: waiting.map(|waiting| Sent::new(&waiting, false, &visitor.policy)),
        said: note.as_ref().map_or_else(Vec::new, |note| said(note, t)),
        errors: note.as_ref().map_or_else(Vec::new, |note| faults_of_mail(note, t, pause)),
    };
    Ok(Reply::page("two_factor_mail.html", &page))
}

/// POST: sends a code to the address that was typed.
async fn send(State(web): State<Web>, Extension(visit): Extension<Visit>, Entry(fields): Entry) -> Answer {
    let back = Reply::see(visit.along(HERE));
    let (visitor, _) = match fresh_setter(&web, &visit, HERE, None).await? {
        Ok(found) => found,
        Err(reply) => return Ok(reply),
    };
    let remark = match EmailAddress::typed(fields.get("email")) {
        Ok(address) => code::order(&web, &visit, visitor, Purpose::Enrol, &address).await?,
        Err(_) => code::Remark::NoAddress,
    };
    Ok(back.noting(&Note::of(remark).keeping(&fields)))
}

/// POST: sets the address up, if the code is right.
async fn confirm(State(web): State<Web>, Extension(visit): Extension<Visit>, Entry(fields): Entry) -> Answer {
    let visitor = match setter(&visit) {
        Ok(visitor) => visitor,
        Err(reply) => return Ok(reply),
    };
    let again = |remark: code::Remark| Ok(Reply::see(visit.here()).noting(&Note::of(remark)));
    if fields.get("otp").trim().is_empty() {
        return again(code::Remark::Empty);
    }
    let member = visitor.member.id;
    let (cookie, step) = code::step(&web, &visit, member)?;
    match web.second_factor().set_up_mail(visitor, fields.get("otp"), step).await? {
        Verdict::Right(_) => {
            code::passed(&web, &visit, member, cookie, set_up(&web, &visit, visitor, step.session).await)
        }
        Verdict::Gone => Ok(turn::over(&visit)),
        // The page asks for what is missing.
        Verdict::Unproven => Ok(Reply::see(visit.here())),
        refusal => again(code::remark(&refusal, FactorKind::Mail, step.now).unwrap_or(code::Remark::Over)),
    }
}
