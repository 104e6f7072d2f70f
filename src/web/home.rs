//! The pages around the registration: the start, logging out, what to do without cookies.

use super::Web;
use super::cookie::Crumb;
use super::notice::Notice;
use super::page::SendTo;
use super::reply::{Answer, Entry, Reply};
use super::visit::Visit;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::routing::get;
use axum::{Extension, Router};
use serde::Serialize;

#[derive(Serialize)]
struct Home {
    send: SendTo,
}

#[derive(Serialize)]
struct LogOut {
    action: String,
    back: String,
}

/// The pages of this file.
pub(super) fn routes() -> Router<Web> {
    Router::new()
        .route("/", get(home))
        .route("/favicon.ico", get(icon))
        .route("/cookies", get(cookies))
        .route("/logout", get(ask_to_log_out).post(log_out))
}

/// `/`: sends the browser on to the system address, or says how to register.
async fn home(State(web): State<Web>, headers: HeaderMap) -> Reply {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let place = |url: &str| url.split_once("://").map(|(_, place)| place.to_owned());
    // Where both names lead here, only the published one sends on.
    match web.system_url().filter(|url| place(url).as_deref() != host) {
        Some(url) => Reply::found(format!("{url}/")),
        None => Reply::page("home.html", &Home { send: web.send_to(None) }),
    }
}

/// Browsers ask for an icon by themselves; there is none.
async fn icon() -> Reply {
    Reply::nothing()
}

/// Says that cookies are needed (R003).
async fn cookies(Extension(visit): Extension<Visit>) -> Reply {
    Reply::notice(Notice::Cookies { back: visit.registration().map(str::to_owned) })
}

/// Asks whether to log out (R056), or says that nobody is logged in any more.
async fn ask_to_log_out(Extension(visit): Extension<Visit>) -> Reply {
    let token = visit.registration();
    match visit.visitor() {
        Some(_) => Reply::page(
            "logout.html",
            &LogOut { action: visit.here(), back: token.map_or_else(|| "/".to_owned(), |token| format!("/r/{token}")) },
        ),
        None => Reply::notice(Notice::LoggedOut { back: token.map(str::to_owned) }),
    }
}

/// Logs out.
async fn log_out(State(web): State<Web>, Extension(visit): Extension<Visit>, _: Entry) -> Answer {
    if let Some(hash) = visit.session_hash() {
        web.store().write(move |tx| tx.end_session(&hash)).await?;
    }
    Ok(Reply::see(visit.here()).with(Crumb::Session, None))
}
