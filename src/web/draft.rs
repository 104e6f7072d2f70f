//! Forms that were half filled when the session was over, given back after the next login (WCAG 2.2.1).
//!
//! Which fields are kept says `service::draft`. What always holds: a form is kept only if it was shown to this very browser, in
//! the session that lapsed or to the member who is logged in; it is forgotten as soon as the page's form is sent again.

use super::Web;
use super::form::{self, Fields, KEEPER_FIELD};
use super::reply::Trouble;
use super::visit::Visit;
use crate::service::session::Stage;

/// Says whether the page's form is given back.
fn is_kept(path: &str) -> bool {
    path == "/account/profile" || path.starts_with("/r/") && path.ends_with("/priority")
}

/// Keeps a form that came after the session's time was over; says whether it was kept.
pub(super) async fn keep(web: &Web, visit: &Visit, fields: &Fields) -> Result<bool, Trouble> {
    let Some(member) = visit.lapsed().filter(|_| is_kept(visit.path())) else { return Ok(false) };
    Ok(web.drafts().keep(member, visit.path(), fields.pairs(), web.now()).await?)
}

/// Keeps a form whose session went on under another name while it was open, as by a login in another tab; says whether it was
/// kept. It was shown to the same member in this browser, as nobody else knows what it carries to prove that.
pub(super) async fn rescue(web: &Web, visit: &Visit, fields: &Fields) -> Result<bool, Trouble> {
    let Some(visitor) = visit.visitor().filter(|_| is_kept(visit.path())) else { return Ok(false) };
    let member = visitor.member.id;
    if !form::is_kept(fields.get(KEEPER_FIELD), web.key().reveal(), visit.tie(), member) {
        return Ok(false);
    }
    Ok(web.drafts().keep(member, visit.path(), fields.pairs(), web.now()).await?)
}

/// Gives what was typed into this page when the session was over.
pub(super) async fn find(web: &Web, visit: &Visit) -> Result<Option<Fields>, Trouble> {
    let member = visit.visitor().filter(|visitor| visitor.stage == Stage::Full).map(|visitor| visitor.member.id);
    let Some(member) = member else { return Ok(None) };
    Ok(web.drafts().find(member, visit.path(), web.now()).await?.map(Fields::from))
}

/// Forgets what was kept for this page: its form has come again.
pub(super) async fn forget(web: &Web, visit: &Visit) -> Result<(), Trouble> {
    let Some(visitor) = visit.visitor().filter(|_| is_kept(visit.path())) else { return Ok(()) };
    Ok(web.drafts().forget(visitor.member.id, visit.path()).await?)
}
