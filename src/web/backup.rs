//! `/login/backup`: the backup code of somebody who has lost the second factor (R147, R148); and how a new one is handed out.
//!
//! Knows nothing of how a code is judged. What always holds: the page opens to nobody whose password was not right; a new code
//! is shown by one page, to the session that it was made in: it gets there sealed, in a cookie, and is there in the other
//! language and after a reload, too, until its owner says that it is kept or half an hour is over (R002, R045).

use super::Web;
use super::cookie::Crumb;
use super::fault::Fault;
use super::note::{Note, remarks};
use super::reply::{Answer, Entry, Reply, Trouble};
use super::texts::{Texts, moment, texts};
use super::turn;
use super::visit::{self, Visit};
use crate::model::Span;
use crate::service::backup_code::{BackupError, Handed, Tried};
use crate::service::hasher::HashError;
use crate::service::session::{Stage, Visitor};
use crate::store::Handover;
use axum::extract::State;
use axum::routing::get;
use axum::{Extension, Router};
use serde::Serialize;

/// What is waited for longer than this is not an hour's limit any more.
const HOUR: Span = Span::from_secs(3_600);

/// The pages of this file.
pub(super) fn routes() -> Router<Web> {
    Router::new().route("/login/backup", get(ask).post(judge))
}

remarks! {
    /// What is said of a backup code.
    enum Remark in "backup" {
        /// Nothing was typed.
        Empty = "empty",
        /// It is another one.
        Wrong = "wrong",
        /// Five were tried within an hour.
        Wait = "wait",
        /// Twenty were tried within a day.
        Paused = "paused",
    }
}

#[derive(Serialize)]
struct BackupPage {
    action: String,
    back: String,
    ending: Option<String>,
    errors: Vec<Fault>,
}

/// GET `/login/backup`: asks for the backup code.
async fn ask(State(web): State<Web>, Extension(visit): Extension<Visit>) -> Answer {
    let visitor = match turn::at(&visit, &[Stage::Code]) {
        Ok(visitor) => visitor,
        Err(reply) => return Ok(reply),
    };
    let has = web.second_factor().overview(visitor.member.id, web.now()).await?;
    let t = texts(visit.language());
    let errors = visit.note().map_or_else(Vec::new, |note| faults(&note, t));
    let page = BackupPage {
        action: visit.along("/login/backup"),
        back: visit.along("/login/code"),
        ending: has.ending().map(moment),
        errors,
    };
    Ok(Reply::page("backup.html", &page))
}

fn faults(note: &Note, t: &Texts) -> Vec<Fault> {
    let said = note.remarks().map(|remark| match remark {
        Remark::Empty => Fault::in_field("code", t.code.backup_empty),
        Remark::Wrong => Fault::in_field("code", t.code.backup_wrong),
        Remark::Wait => Fault::plain(t.code.backup_wait),
        Remark::Paused => Fault::plain(t.code.backup_paused),
    });
    Fault::late(note, t).into_iter().chain(said).collect()
}

/// POST `/login/backup`: judges it; a right one leads to setting up another factor.
async fn judge(State(web): State<Web>, Extension(visit): Extension<Visit>, Entry(fields): Entry) -> Answer {
    let visitor = match turn::at(&visit, &[Stage::Code]) {
        Ok(visitor) => visitor,
        Err(reply) => return Ok(reply),
    };
    let again = |remark: Remark| Ok(Reply::see(visit.here()).noting(&Note::of(remark)));
    let typed = fields.get("code");
    if typed.trim().is_empty() {
        return again(Remark::Empty);
    }
    let (cookie, session) = visit::new_session(web.random()?);
    let now = web.now();
    match web.backup_code().attempt(visitor, typed, session, now).await? {
        Tried::Right(stage) => {
            let note = Note::of(super::two_factor::Remark::BackupUsed);
            Ok(Reply::see(turn::next(&visit, stage)).with(Crumb::Session, Some(cookie)).noting(&note))
        }
        Tried::Wrong => again(Remark::Wrong),
        Tried::Wait { until } if until > now.plus(HOUR) => again(Remark::Paused),
        Tried::Wait { .. } => again(Remark::Wait),
        Tried::Gone => Ok(turn::over(&visit)),
    }
}

/// Makes a backup code, unless the member has one that has come as far as `stay`; gives it as a browser carries it to the page
/// that shows it. Where that fails everything else goes on all the same, and the page of the factors offers to make one.
pub(super) async fn made(web: &Web, visitor: &Visitor, session: [u8; 32], stay: Handover) -> Option<String> {
    let made = web.backup_code().make(visitor, session, stay, web.now()).await;
    let made = made.inspect_err(|cause| {
        tracing::warn!(member = %visitor.member.id, %cause, "no backup code could be made");
    });
    made.ok()?.map(|handed| handed.sealed)
}

/// Gives the backup code that this page is to show, if it is.
pub(super) async fn handed(web: &Web, visit: &Visit, visitor: &Visitor) -> Result<Option<Handed>, Trouble> {
    let Some(sealed) = visit.jar().get(Crumb::Once) else { return Ok(None) };
    Ok(web.backup_code().handed(visitor, sealed, web.now()).await?)
}

impl From<BackupError> for Trouble {
    fn from(cause: BackupError) -> Self {
        match cause {
            BackupError::Store(cause) => cause.into(),
            BackupError::Chance(cause) => cause.into(),
            BackupError::Hash(HashError::Busy) => {
                tracing::warn!("backup codes wait longer than allowed");
                Self::Busy
            }
            BackupError::Hash(_) | BackupError::Broken => {
                tracing::error!(%cause, "a backup code could not be judged");
                Self::Broken
            }
        }
    }
}
