//! `/c/TOKEN`: the page behind the link of a test mail (R110).
//!
//! What always holds: looking proves nothing, as scanners do that; only the pressed button counts, once; it needs no login.

use super::Web;
use super::notice::{Notice, TestLink};
use super::reply::{Answer, Entry, Reply, Trouble};
use super::texts::moment;
use super::turn;
use super::visit::Visit;
use crate::link;
use crate::service::contact_test::Sight;
use crate::store::ContactTest;
use axum::extract::{Path, State};
use axum::routing::get;
use axum::{Extension, Router};
use serde::Serialize;

#[derive(Serialize)]
struct ContactPage {
    address: String,
    until: String,
    action: String,
}

#[derive(Serialize)]
struct ArrivedPage {
    address: String,
}

/// The pages of this file.
pub(super) fn routes() -> Router<Web> {
    Router::new()
        .route("/c/{token}", get(look).post(press))
        .route("/c/{token}/done", get(done))
        .route("/c", get(cut))
        .route("/c/", get(cut))
        .route("/c/{token}/", get(cut))
}

/// A link without a token, or with something behind it.
async fn cut() -> Reply {
    Reply::notice(Notice::Test(TestLink::Cut))
}

/// Looks behind the link; where no test is open, gives the page that says so.
async fn open(web: &Web, token: &str) -> Result<Result<Box<ContactTest>, Reply>, Trouble> {
    Ok(match web.contact_tests().look(token, web.now()).await? {
        Sight::Open(test) => Ok(test),
        Sight::Arrived(_, at) => Err(Reply::notice(Notice::Test(TestLink::Arrived { at }))),
        Sight::Expired { until } => Err(Reply::notice(Notice::Test(TestLink::Expired { until }))),
        Sight::Cut => Err(Reply::notice(Notice::Test(TestLink::Cut))),
        Sight::Forged => Err(Reply::notice(Notice::Test(TestLink::Forged))),
    })
}

/// GET `/c/TOKEN`: shows the address and the button.
async fn look(State(web): State<Web>, Extension(visit): Extension<Visit>, Path(token): Path<String>) -> Answer {
    let token = link::tidied(&token);
    let test = match open(&web, token).await? {
        Ok(test) => test,
        Err(reply) => return Ok(reply),
    };
    if visit.is_get()
        && let Err(cause) = web.contact_tests().note_opened(&test, web.now()).await
    {
        tracing::warn!(%cause, "that a page was opened could not be noted");
    }
    Ok(Reply::page(
        "contact.html",
        &ContactPage { address: test.address.to_string(), until: moment(test.expires), action: format!("/c/{token}") },
    ))
}

/// POST `/c/TOKEN`: takes the proof.
async fn press(State(web): State<Web>, Path(token): Path<String>, _: Entry) -> Answer {
    let token = link::tidied(&token);
    let Ok(test) = open(&web, token).await? else {
        return Ok(turn::of_token("/c", token));
    };
    // Where another tab was faster, the link says so.
    let is_first = web.contact_tests().arrive(&test, web.now()).await?;
    Ok(Reply::see(format!("/c/{token}{}", if is_first { "/done" } else { "" })))
}

/// GET `/c/TOKEN/done`: says that the mail arrived.
async fn done(State(web): State<Web>, Path(token): Path<String>) -> Answer {
    let token = link::tidied(&token);
    match web.contact_tests().look(token, web.now()).await? {
        Sight::Arrived(test, _) => {
            Ok(Reply::page("contact_done.html", &ArrivedPage { address: test.address.to_string() }))
        }
        Sight::Open(_) | Sight::Expired { .. } | Sight::Cut | Sight::Forged => Ok(turn::of_token("/c", token)),
    }
}
