//! `/login/code`: the code of a second factor, after a right password (R025); and what is said of codes wherever they are typed.
//!
//! Knows nothing of how a code is judged. What always holds: the page opens to nobody whose password was not right, and shows
//! an address only in part; a right code gives the session another name, and the device a cookie by which it is known.

use super::Web;
use super::cookie::Crumb;
use super::fault::Fault;
use super::note::{Note, remarks};
use super::reply::{Answer, Entry, Reply, Trouble};
use super::texts::{Texts, moment, texts};
use super::turn;
use super::two_factor;
use super::visit::{self, Visit, device_cookie};
use crate::model::{EmailAddress, MemberId, Policy, Span, Timestamp, mac};
use crate::service::otp::{Ordered, OtpError, Purpose, Waiting};
use crate::service::second_factor::{Proof, Step, Verdict};
use crate::service::session::{Stage, Visitor};
use crate::store::FactorKind;
use axum::extract::{Path, State};
use axum::routing::get;
use axum::{Extension, Router};
use serde::Serialize;

/// The page, where the way is still to be chosen.
const PAGE: &str = "/login/code";
/// What is waited for longer than this is said to be a pause.
const SHORT: Span = Span::from_secs(120);

/// The pages of this file.
pub(super) fn routes() -> Router<Web> {
    Router::new()
        .route("/login/code", get(choose))
        .route("/login/code/send", get(turn::to_its_page).post(send))
        .route("/login/code/{kind}", get(ask).post(judge))
}

remarks! {
    /// What is said of a code.
    pub(super) enum Remark in "code" {
        /// Nothing was typed.
        Empty = "empty",
        /// It is not the code of an app.
        WrongApp = "wrong-app",
        /// It is not the code that was sent.
        WrongMail = "wrong-mail",
        /// It was tried too often.
        Burnt = "burnt",
        /// There is no code to compare with any more.
        Over = "over",
        /// Too many wrong ones came one after another.
        Wait = "wait",
        /// Too many wrong ones came in a day.
        Paused = "paused",
        /// No address was typed, or none that a mail could go to.
        NoAddress = "no-address",
        /// A code was sent; no error.
        Sent = "sent",
        /// Another code may not be sent yet.
        TooSoon = "too-soon",
        /// Nothing is sent to the address that was set up.
        Stopped = "stopped",
        /// Nothing is sent to the address that was typed.
        StoppedThere = "stopped-there",
    }
}

#[derive(Serialize)]
struct CodePage {
    kind: &'static str,
    action: String,
    send: String,
    other: Option<String>,
    backup: String,
    ending: Option<String>,
    waiting: Option<Sent>,
    said: Vec<&'static str>,
    errors: Vec<Fault>,
}

/// A code that is under way, as a page tells of it.
#[derive(Debug, Serialize)]
pub(super) struct Sent {
    address: String,
    until: String,
    /// How long it lives.
    minutes: String,
}

impl Sent {
    /// Tells of it; the address only in part where its owner has not shown yet to be the one.
    pub(super) fn new(waiting: &Waiting, in_part: bool, policy: &Policy) -> Self {
        let address = &waiting.address;
        let address = if in_part { address.masked() } else { address.to_string() };
        let minutes = (policy.otp_lifetime / 60).to_string();
        Self { address, until: moment(waiting.expires), minutes }
    }
}

/// Gives the name a device has that this member passed a second factor on.
fn passed_account(web: &Web, member: MemberId) -> [u8; 32] {
    mac(web.key().reveal(), "karamail passed", &member.number().to_be_bytes())
}

/// Puts together what goes with a code, and the cookie of the session that goes on.
pub(super) fn step(web: &Web, visit: &Visit, member: MemberId) -> Result<(String, Step), Trouble> {
    let (cookie, session) = visit::new_session(web.random()?);
    let device = visit.passed(web.key().reveal(), &passed_account(web, member));
    Ok((cookie, Step { device, session, now: web.now() }))
}

/// Gives a reply the cookies of somebody who has just passed.
pub(super) fn passed(web: &Web, visit: &Visit, member: MemberId, cookie: String, reply: Reply) -> Answer {
    let kept = visit.jar().get(Crumb::Passed);
    let device = device_cookie(web.key().reveal(), &passed_account(web, member), web.random()?, kept);
    Ok(reply.with(Crumb::Session, Some(cookie)).with(Crumb::Passed, Some(device)))
}

/// Gives what is to be said of a code that did not pass; nothing where it did, or it was no matter of the code.
pub(super) fn remark<T>(verdict: &Verdict<T>, kind: FactorKind, now: Timestamp) -> Option<Remark> {
    match verdict {
        Verdict::Right(_) | Verdict::Unproven | Verdict::Gone => None,
        Verdict::Wrong { left: Some(0) } => Some(Remark::Burnt),
        Verdict::Wrong { .. } => Some(match kind {
            FactorKind::App => Remark::WrongApp,
            FactorKind::Mail => Remark::WrongMail,
        }),
        Verdict::Over => Some(Remark::Over),
        Verdict::Wait { until } if *until > now.plus(SHORT) => Some(Remark::Paused),
        Verdict::Wait { .. } => Some(Remark::Wait),
    }
}

/// Until when a page that sends codes has to put somebody off, and with what.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pause {
    until: Timestamp,
    /// A code that can be typed is under way.
    waiting: bool,
    purpose: Purpose,
}

impl Pause {
    /// Finds it out, where the page has to say so.
    pub(super) async fn find(
        web: &Web,
        visit: &Visit,
        (visitor, purpose): (&Visitor, Purpose),
        to: Option<&EmailAddress>,
        waiting: bool,
    ) -> Result<Option<Self>, Trouble> {
        let is_asked = visit.note().is_some_and(|note| note.remarks().any(|said: Remark| said == Remark::TooSoon));
        let Some(to) = to.filter(|_| is_asked) else { return Ok(None) };
        let until = web.otp().again_at(visitor, purpose, to, web.now()).await?.unwrap_or(web.now());
        Ok(Some(Self { until, waiting, purpose }))
    }

    fn say(self, t: &Texts) -> String {
        // Said to the minute: the one in which it is over counts whole.
        let until = moment(self.until.plus(Span::from_millis(59_999)));
        let more = match (self.waiting, self.purpose) {
            (true, _) => t.code.too_soon_waiting,
            (false, Purpose::Login | Purpose::Confirm) => t.code.too_soon_else,
            (false, Purpose::Doubt) => t.doubt.too_soon_else,
            (false, Purpose::Enrol) => "",
        };
        format!("{}{more}", t.code.too_soon.replace("{time}", &until))
    }
}

/// Says what is wrong where codes are typed, and sent.
pub(super) fn faults_of_mail(note: &Note, t: &Texts, pause: Option<Pause>) -> Vec<Fault> {
    let until = pause.map(|pause| Fault::plain(pause.say(t)));
    faults(note, t).into_iter().chain(until).collect()
}

/// Says what is wrong.
pub(super) fn faults(note: &Note, t: &Texts) -> Vec<Fault> {
    let said = note.remarks().filter_map(|remark| {
        Some(match remark {
            Remark::Empty => Fault::in_field("otp", t.code.empty),
            Remark::WrongApp => Fault::in_field("otp", t.code.wrong_app),
            Remark::WrongMail => Fault::in_field("otp", t.code.wrong_mail),
            Remark::Burnt => Fault::plain(t.code.burnt),
            Remark::Over => Fault::plain(t.code.over),
            Remark::Wait => Fault::in_field("otp", t.code.wait),
            Remark::Paused => Fault::plain(t.code.paused),
            Remark::NoAddress => Fault::in_field("email", t.code.no_address),
            Remark::Stopped => Fault::plain(t.code.stopped),
            Remark::StoppedThere => Fault::in_field("email", t.code.stopped_there),
            // When it is over is known to the page, see `Pause`.
            Remark::TooSoon | Remark::Sent => return None,
        })
    });
    Fault::late(note, t).into_iter().chain(said).collect()
}

/// Says what went well.
pub(super) fn said(note: &Note, t: &Texts) -> Vec<&'static str> {
    note.remarks().filter(|remark: &Remark| *remark == Remark::Sent).map(|_| t.code.sent).collect()
}

/// Orders a code by mail; gives what is to be said.
pub(super) async fn order(
    web: &Web,
    visit: &Visit,
    visitor: &Visitor,
    purpose: Purpose,
    to: &EmailAddress,
) -> Result<Remark, Trouble> {
    Ok(match web.otp().order(visitor, purpose, to, visit.language(), web.now()).await? {
        Ordered::Sent { .. } => Remark::Sent,
        Ordered::Wait { .. } => Remark::TooSoon,
        Ordered::Suppressed if purpose == Purpose::Enrol => Remark::StoppedThere,
        Ordered::Suppressed => Remark::Stopped,
    })
}

impl From<OtpError> for Trouble {
    fn from(cause: OtpError) -> Self {
        match cause {
            OtpError::Store(cause) => cause.into(),
            OtpError::Chance(cause) => cause.into(),
        }
    }
}

/// GET `/login/code`: asks for a code of the app, where there is one, else for one by mail.
async fn choose(State(web): State<Web>, Extension(visit): Extension<Visit>) -> Answer {
    show(&web, &visit, None).await
}

/// GET `/login/code/KIND`: asks for a code of that kind.
async fn ask(State(web): State<Web>, Extension(visit): Extension<Visit>, Path(kind): Path<String>) -> Answer {
    show(&web, &visit, FactorKind::named(&kind)).await
}

async fn show(web: &Web, visit: &Visit, wanted: Option<FactorKind>) -> Answer {
    let visitor = match turn::at(visit, &[Stage::Code]) {
        Ok(visitor) => visitor,
        Err(reply) => return Ok(reply),
    };
    let now = web.now();
    let has = web.second_factor().overview(visitor.member.id, now).await?;
    let present = |kind: &FactorKind| has.factor(*kind).is_some();
    let default = FactorKind::ALL.into_iter().find(present).unwrap_or(FactorKind::App);
    let kind = wanted.filter(present).unwrap_or(default);
    let other = FactorKind::ALL.into_iter().find(|other| *other != kind && present(other));
    let waiting = web.otp().waiting(visitor, Purpose::Login, now).await?;
    let to = has.factor(FactorKind::Mail).and_then(|factor| factor.address.as_ref());
    let pause = Pause::find(web, visit, (visitor, Purpose::Login), to, waiting.is_some()).await?;
    let (note, t) = (visit.note(), texts(visit.language()));
    Ok(Reply::page(
        "code.html",
        &CodePage {
            kind: kind.as_str(),
            action: visit.along(&format!("{PAGE}/{}", kind.as_str())),
            send: visit.along("/login/code/send"),
            other: other.map(|other| visit.along(&format!("{PAGE}/{}", other.as_str()))),
            backup: visit.along("/login/backup"),
            ending: has.ending().map(moment),
            waiting: waiting
                .filter(|_| kind == FactorKind::Mail)
                .map(|waiting| Sent::new(&waiting, true, &visitor.policy)),
            said: note.as_ref().map_or_else(Vec::new, |note| said(note, t)),
            errors: note.as_ref().map_or_else(Vec::new, |note| faults_of_mail(note, t, pause)),
        },
    ))
}

/// POST `/login/code/send`: sends a code to the address that was set up.
async fn send(State(web): State<Web>, Extension(visit): Extension<Visit>, _: Entry) -> Answer {
    let visitor = match turn::at(&visit, &[Stage::Code]) {
        Ok(visitor) => visitor,
        Err(reply) => return Ok(reply),
    };
    let has = web.second_factor().overview(visitor.member.id, web.now()).await?;
    let Some(address) = has.factor(FactorKind::Mail).and_then(|factor| factor.address.as_ref()) else {
        return Ok(Reply::see(visit.along(PAGE)));
    };
    let remark = order(&web, &visit, visitor, Purpose::Login, address).await?;
    Ok(Reply::see(visit.along("/login/code/mail")).noting(&Note::of(remark)))
}

/// POST `/login/code/KIND`: judges a code.
async fn judge(
    State(web): State<Web>,
    Extension(visit): Extension<Visit>,
    Path(kind): Path<String>,
    Entry(fields): Entry,
) -> Answer {
    let visitor = match turn::at(&visit, &[Stage::Code]) {
        Ok(visitor) => visitor,
        Err(reply) => return Ok(reply),
    };
    let Some(kind) = FactorKind::named(&kind) else {
        return Ok(Reply::see(visit.along(PAGE)));
    };
    let again = |remark: Remark| Ok(Reply::see(visit.here()).noting(&Note::of(remark)));
    let typed = fields.get("otp").to_owned();
    if typed.trim().is_empty() {
        return again(Remark::Empty);
    }
    let member = visitor.member.id;
    let (cookie, step) = step(&web, &visit, member)?;
    match web.second_factor().pass(visitor, Proof { kind, typed }, step).await? {
        Verdict::Right(stage) => {
            let reply = two_factor::logged_in(&web, &visit, visitor, step.session, stage).await?;
            passed(&web, &visit, member, cookie, reply)
        }
        Verdict::Gone => Ok(turn::over(&visit)),
        refusal => again(remark(&refusal, kind, step.now).unwrap_or(Remark::Over)),
    }
}
