//! `/account`: the member's menu (R062, R063), and the page to bookmark (R139).
//!
//! What always holds: the menu has what the organisation's contract has, and nothing that leads nowhere; the page to bookmark
//! stands at the published login address and needs no login, so that it works from a bookmark.

use super::Web;
use super::home;
use super::note::Note;
use super::password;
use super::reply::Reply;
use super::texts::{Texts, texts};
use super::turn;
use super::visit::Visit;
use crate::service::session::Visitor;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::routing::get;
use axum::{Extension, Router};
use serde::Serialize;

/// Where the page to bookmark is.
const BOOKMARK: &str = "/account/bookmark";

/// The pages of this file.
pub(super) fn routes() -> Router<Web> {
    Router::new().route("/account", get(menu)).route("/account/bookmark", get(bookmark))
}

#[derive(Serialize)]
struct MenuPage {
    said: Vec<String>,
    entries: Vec<Entry>,
}

#[derive(Serialize)]
struct Entry {
    href: String,
    label: &'static str,
}

#[derive(Serialize)]
struct BookmarkPage {
    address: String,
    menu: String,
}

/// GET `/account`: the menu.
async fn menu(State(web): State<Web>, Extension(visit): Extension<Visit>) -> Reply {
    let visitor = match turn::full(&visit) {
        Ok(visitor) => visitor,
        Err(reply) => return reply,
    };
    let t = texts(visit.language());
    let said = visit.note().map_or_else(Vec::new, |note: Note| password::said(&note, t));
    Reply::page("account.html", &MenuPage { said, entries: entries(&web, visitor, t) })
}

/// What the menu has for this member.
fn entries(web: &Web, visitor: &Visitor, t: &Texts) -> Vec<Entry> {
    let here = |href: &str, label| Entry { href: href.to_owned(), label };
    // The page to bookmark is shown where it is to be bookmarked.
    let bookmark = match web.system_url() {
        Some(_) => format!("{}{BOOKMARK}", web.public_url()),
        None => BOOKMARK.to_owned(),
    };
    let two_factor = turn::opens_two_factor(visitor).then(|| here(turn::TWO_FACTOR, t.two_factor.link));
    let password = here("/account/password", t.account.password);
    let bookmark = Entry { href: bookmark, label: t.account.bookmark };
    let profile = here("/account/profile", t.account.profile);
    [profile, password].into_iter().chain(two_factor).chain([bookmark]).collect()
}

/// GET `/account/bookmark`: the page to bookmark; asked for at the system address, sends on to the published one.
async fn bookmark(State(web): State<Web>, headers: HeaderMap) -> Reply {
    let (published, system) = (web.public_url(), web.system_url());
    if system.is_some_and(|url| home::is_at(url, &headers)) {
        return Reply::found(format!("{published}{BOOKMARK}"));
    }
    let menu = format!("{}{}", system.unwrap_or_default(), turn::MENU);
    Reply::page("bookmark.html", &BookmarkPage { address: format!("{published}{BOOKMARK}"), menu })
}
