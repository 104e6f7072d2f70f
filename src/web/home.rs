//! The pages around the registration: the start, logging out, what to do without cookies.

use super::Web;
use super::cookie::Crumb;
use super::fault::{Fault, Typing};
use super::notice::Notice;
use super::page::SendTo;
use super::reply::{Answer, Entry, Reply};
use super::turn;
use super::visit::Visit;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::routing::get;
use axum::{Extension, Router};
use serde::Serialize;

#[derive(Serialize)]
struct Home {
    send: SendTo,
    errors: Vec<Fault>,
    #[serde(flatten)]
    typing: Typing,
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

/// `/`: sends the browser on to the system address, or asks for the login and says how to register (R014, R140).
async fn home(State(web): State<Web>, Extension(visit): Extension<Visit>, headers: HeaderMap) -> Reply {
    // Where both names lead here, only the published one sends on.
    match web.system_url().filter(|url| !is_at(url, &headers)) {
        Some(url) => Reply::found(format!("{url}/")),
        None => Reply::scripted(
            "home.html",
            &Home { send: web.send_to(None), errors: Vec::new(), typing: Typing::of(&visit) },
        ),
    }
}

/// Says whether the browser asked at that address of ours.
pub(super) fn is_at(url: &str, headers: &HeaderMap) -> bool {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    url.split_once("://").is_some_and(|(_, place)| Some(place) == host)
}

/// Browsers ask for an icon by themselves; there is none.
async fn icon() -> Reply {
    Reply::nothing()
}

/// Says that cookies are needed (R003).
async fn cookies(Extension(visit): Extension<Visit>) -> Reply {
    let registration = visit.registration().map(|token| format!("/r/{token}"));
    Reply::notice(Notice::Cookies { back: registration.or_else(|| visit.test().map(|token| format!("/c/{token}"))) })
}

/// Asks whether to log out (R056), or says that nobody is logged in any more.
async fn ask_to_log_out(Extension(visit): Extension<Visit>) -> Reply {
    let token = visit.registration();
    match visit.visitor() {
        Some(visitor) => {
            Reply::page("logout.html", &LogOut { action: visit.here(), back: turn::next(&visit, visitor.stage) })
        }
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
