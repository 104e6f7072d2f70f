//! `/account/two-factor`: what a member has beside the password, and changing it (R022–R036, R043–R045, R144–R146).
//!
//! Knows nothing of how factors are kept. What always holds: the pages open to whoever is logged in, or has to set a factor up
//! and cannot go on without; where the organisation does not ask for a second factor they lead on (R023); a change is
//! preceded by a password typed lately and, where a factor is there to stay, by a code of one; it is followed by another name
//! of the session.

mod app;
mod confirm;
mod mail;
mod qr;
mod remove;

use super::cookie::Crumb;
use super::note::{Note, remarks};
use super::reply::{Answer, Entry, Reply, Trouble};
use super::texts::{Texts, moment, texts};
use super::visit::Visit;
use super::{Web, backup, turn};
use crate::model::Timestamp;
use crate::service::backup_code::grouped;
use crate::service::second_factor::{Backup, FactorError, Overview};
use crate::service::session::{Stage, Visitor};
use crate::store::{Factor, FactorKind, Handover};
use axum::extract::State;
use axum::routing::get;
use axum::{Extension, Router};
use serde::Serialize;

/// Where the overview is.
const PAGE: &str = turn::TWO_FACTOR;
/// What follows on a factor that was set up.
const DONE: &str = turn::SET_UP_DONE;
/// What that page is to show (`show`), where a backup code was made and nothing else.
const CODE: &str = "code";

/// The pages of this area.
pub(super) fn routes() -> Router<Web> {
    Router::new()
        .route("/account/two-factor", get(overview))
        .route("/account/two-factor/done", get(done).post(kept))
        .route("/account/two-factor/backup", get(turn::to_its_page).post(make_backup_code))
        .merge(app::routes())
        .merge(confirm::routes())
        .merge(mail::routes())
        .merge(remove::routes())
}

remarks! {
    /// What is said on the overview.
    pub(super) enum Remark in "two-factor" {
        /// The app is not asked for any more.
        AppRemoved = "app-removed",
        /// The address gets no codes any more.
        MailRemoved = "mail-removed",
        /// The last one is to be replaced now.
        Replace = "replace",
        /// The backup code was right.
        BackupUsed = "backup-used",
    }
}

#[derive(Serialize)]
struct OverviewPage {
    /// Nothing else opens before one is set up.
    needed: bool,
    methods: Vec<Method>,
    ending: Option<String>,
    backup: String,
    make: Option<String>,
    said: Vec<&'static str>,
}

#[derive(Serialize)]
struct Method {
    kind: &'static str,
    address: Option<String>,
    since: Option<String>,
    set_up: String,
    remove: String,
}

#[derive(Serialize)]
struct DonePage {
    codes: Vec<String>,
    action: String,
    next: String,
    /// A registration is waiting.
    goes_on: bool,
    /// A backup code alone was made.
    made: bool,
    /// Where one is made, where there is none.
    make: Option<String>,
    other: Option<Other>,
}

/// The way that is not set up yet.
#[derive(Serialize)]
struct Other {
    kind: &'static str,
    href: String,
}

/// Gives who may set a factor up; others are sent where it is their turn.
fn setter(visit: &Visit) -> Result<&Visitor, Reply> {
    let visitor = turn::at(visit, &[Stage::Enrol, Stage::Full])?;
    // Where it was switched off a moment ago, a page may still be open.
    if turn::opens_two_factor(visitor) { Ok(visitor) } else { Err(Reply::see(turn::next(visit, visitor.stage))) }
}

/// The same, with what they have, and who they are shown lately: at the end of a login it was, before a change it is asked for.
/// It goes on at `page`; what was begun before, and when, is not asked about twice.
async fn fresh_setter<'a>(
    web: &Web,
    visit: &'a Visit,
    page: &str,
    begun: Option<Timestamp>,
) -> Result<Result<(&'a Visitor, Overview), Reply>, Trouble> {
    let visitor = match setter(visit) {
        Ok(visitor) => visitor,
        Err(reply) => return Ok(Err(reply)),
    };
    let (has, begun) = (web.second_factor().overview(visitor.member.id, web.now()).await?, begun.unwrap_or(web.now()));
    Ok(match visitor.stage {
        Stage::Full if visitor.is_stale(begun) => Err(turn::again(page)),
        Stage::Full if has.has_lasting() && !visitor.had_passed(begun) => Err(confirm::first(page)),
        Stage::Full | Stage::Code | Stage::Doubt | Stage::Password | Stage::Enrol => Ok((visitor, has)),
    })
}

/// GET `/account/two-factor`: says what there is, and what can be done.
async fn overview(State(web): State<Web>, Extension(visit): Extension<Visit>) -> Answer {
    let visitor = match setter(&visit) {
        Ok(visitor) => visitor,
        Err(reply) => return Ok(reply),
    };
    let has = web.second_factor().overview(visitor.member.id, web.now()).await?;
    let needed = visitor.stage == Stage::Enrol;
    let page = OverviewPage {
        needed,
        methods: FactorKind::ALL.into_iter().map(|kind| method(&visit, kind, has.factor(kind))).collect(),
        ending: has.ending().map(moment),
        backup: backup_text(&has, texts(visit.language())),
        make: (!needed && has.handover != Some(Handover::Kept) && !has.factors.is_empty())
            .then(|| visit.along("/account/two-factor/backup")),
        said: visit.note().map_or_else(Vec::new, |note| said(&note, texts(visit.language()))),
    };
    Ok(Reply::page("two_factor.html", &page))
}

fn method(visit: &Visit, kind: FactorKind, factor: Option<&Factor>) -> Method {
    // What is to be replaced is as good as gone: it is set up anew.
    let factor = factor.filter(|factor| factor.ends.is_none());
    Method {
        kind: kind.as_str(),
        address: factor.and_then(|factor| factor.address.as_ref()).map(ToString::to_string),
        since: factor.map(|factor| moment(factor.enrolled_at)),
        set_up: visit.along(&format!("{PAGE}/{}", kind.as_str())),
        remove: visit.along(&format!("{PAGE}/remove/{}", kind.as_str())),
    }
}

fn backup_text(has: &Overview, t: &Texts) -> String {
    match (has.handover, has.backup) {
        (None, _) | (_, Backup::None) => t.two_factor.backup_none.to_owned(),
        (Some(Handover::Made), _) => t.two_factor.backup_unseen.to_owned(),
        (Some(Handover::Shown), _) => t.two_factor.backup_unsure.to_owned(),
        (Some(Handover::Kept), Backup::One) => t.two_factor.backup_there.to_owned(),
        (Some(Handover::Kept), Backup::OfTen(left)) => t.two_factor.backup_left.replace("{left}", &left.to_string()),
    }
}

fn said(note: &Note, t: &Texts) -> Vec<&'static str> {
    let text = |remark| match remark {
        Remark::AppRemoved => t.two_factor.app_removed,
        Remark::MailRemoved => t.two_factor.mail_removed,
        Remark::Replace => t.two_factor.replace,
        Remark::BackupUsed => t.two_factor.backup_used,
    };
    note.remarks().map(text).collect()
}

/// What follows on a factor that was set up: the page that says so, and shows the backup code where one was made.
async fn set_up(web: &Web, visit: &Visit, visitor: &Visitor, session: [u8; 32]) -> Reply {
    done_with(backup::made(web, visitor, session, Handover::Shown).await, visit.along(DONE))
}

/// Gives the address of that page where it says that a backup code was made, and nothing else.
fn code_page(visit: &Visit) -> String {
    let page = visit.along(DONE);
    format!("{page}{}show={CODE}", if page.contains('?') { '&' } else { '?' })
}

/// Leads to the page that says so, with the backup code for it where one was made.
fn done_with(code: Option<String>, page: String) -> Reply {
    let done = Reply::see(page);
    match code {
        Some(sealed) => done.with(Crumb::Once, Some(sealed)),
        None => done,
    }
}

/// What follows on a login that a code has brought as far as `stage`, in the session of that name: where a backup code was
/// made whose page never arrived, the page that shows a new one comes first.
pub(super) async fn logged_in(
    web: &Web,
    visit: &Visit,
    visitor: &Visitor,
    session: [u8; 32],
    stage: Stage,
) -> Result<Reply, Trouble> {
    if stage == Stage::Full && web.backup_code().is_unseen(visitor).await? {
        let code = backup::made(web, visitor, session, Handover::Shown).await;
        if code.is_some() {
            return Ok(done_with(code, code_page(visit)));
        }
    }
    Ok(Reply::see(turn::next(visit, stage)))
}

/// GET `/account/two-factor/done`: says that it is set up, and shows the backup code, until it is kept (R035, R044, R045); that
/// it did is noted.
async fn done(State(web): State<Web>, Extension(visit): Extension<Visit>) -> Answer {
    let visitor = match setter(&visit).and_then(|_| turn::full(&visit)) {
        Ok(visitor) => visitor,
        Err(reply) => return Ok(reply),
    };
    let has = web.second_factor().overview(visitor.member.id, web.now()).await?;
    let handed = backup::handed(&web, &visit, visitor).await?;
    let missing = FactorKind::ALL.into_iter().find(|kind| has.factor(*kind).is_none());
    let page = DonePage {
        codes: handed.iter().flat_map(|handed| &handed.codes).map(|code| grouped(code.reveal())).collect(),
        action: visit.along(DONE),
        next: turn::next(&visit, Stage::Full),
        goes_on: visit.registration().is_some(),
        made: visit.query().get("show") == CODE,
        make: has.handover.is_none().then(|| visit.along("/account/two-factor/backup")),
        other: missing
            .map(|kind| Other { kind: kind.as_str(), href: visit.along(&format!("{PAGE}/{}", kind.as_str())) }),
    };
    Ok(Reply::page("two_factor_done.html", &page))
}

/// POST `/account/two-factor/done`: takes the word that the backup code is kept, and goes on without it.
async fn kept(State(web): State<Web>, Extension(visit): Extension<Visit>, _: Entry) -> Answer {
    let visitor = match setter(&visit).and_then(|_| turn::full(&visit)) {
        Ok(visitor) => visitor,
        Err(reply) => return Ok(reply),
    };
    web.backup_code().kept(visitor, web.now()).await?;
    Ok(Reply::see(turn::next(&visit, Stage::Full)).with(Crumb::Once, None))
}

/// POST `/account/two-factor/backup`: makes a backup code for somebody who has none, or never said that it is kept.
async fn make_backup_code(State(web): State<Web>, Extension(visit): Extension<Visit>, _: Entry) -> Answer {
    if let Err(reply) = setter(&visit).and_then(|_| turn::full(&visit)) {
        return Ok(reply);
    }
    let (visitor, has) = match fresh_setter(&web, &visit, PAGE, None).await? {
        Ok(found) => found,
        Err(reply) => return Ok(reply),
    };
    if has.factors.is_empty() {
        return Ok(Reply::see(visit.along(PAGE)));
    }
    let made = backup::made(&web, visitor, visitor.session, Handover::Kept).await;
    Ok(done_with(made, code_page(&visit)))
}

impl From<FactorError> for Trouble {
    fn from(cause: FactorError) -> Self {
        match cause {
            FactorError::Store(cause) => cause.into(),
            FactorError::Chance(cause) => cause.into(),
            FactorError::Name => {
                tracing::error!(%cause, "a second factor could not be shown");
                Self::Broken
            }
        }
    }
}
