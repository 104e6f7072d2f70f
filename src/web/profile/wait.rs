//! `/account/profile/test`: how the last test goes on.
//!
//! What always holds: the page renews itself for two minutes at most, and not any more once there is nothing to wait for or
//! the reader stopped it (WCAG 2.2.2); nothing is typed here, so nothing typed is lost by it.

use super::super::Web;
use super::super::reply::{Answer, Reply};
use super::super::standing::StandingView;
use super::super::texts::{moment, texts};
use super::super::turn;
use super::super::visit::Visit;
use super::{PAGE, WAIT};
use crate::model::{Span, Timestamp};
use crate::service::reach::Reading;
use crate::store::ContactTest;
use axum::Extension;
use axum::extract::State;
use serde::Serialize;

/// How long the page renews itself after a test was ordered.
const RENEWED: Span = Span::from_secs(120);

#[derive(Serialize)]
struct WaitPage {
    address: String,
    at: String,
    standing: StandingView,
    /// Whether somebody showed that the mail arrived.
    arrived: bool,
    /// Whether the page renews itself.
    renew: bool,
    here: &'static str,
    back: &'static str,
}

/// GET `/account/profile/test`.
pub(super) async fn show(State(web): State<Web>, Extension(visit): Extension<Visit>) -> Answer {
    let visitor = match turn::full(&visit) {
        Ok(visitor) => visitor,
        Err(reply) => return Ok(reply),
    };
    let Some(test) = web.contact_tests().last(visitor.member.id).await? else {
        return Ok(Reply::see(PAGE.to_owned()));
    };
    let standing = web.reach().of_test(test.clone()).await?;
    let renew = visit.query().get("still") != "1" && is_under_way(&test, standing.reading, web.now());
    Ok(Reply::page(
        "profile_test.html",
        &WaitPage {
            address: test.address.to_string(),
            at: moment(test.ordered_at),
            standing: StandingView::of(&web, texts(visit.language()), &standing),
            arrived: test.arrived_at.is_some(),
            renew,
            here: WAIT,
            back: PAGE,
        },
    ))
}

/// Says whether there may be news soon.
fn is_under_way(test: &ContactTest, reading: Reading, now: Timestamp) -> bool {
    let waits = match reading {
        Reading::Nothing | Reading::Underway | Reading::Taken | Reading::Waiting | Reading::Unsure | Reading::Full => {
            true
        }
        Reading::Read
        | Reading::Unknown
        | Reading::Filtered
        | Reading::Closed
        | Reading::Missed
        | Reading::Ours
        | Reading::Unclear
        | Reading::Stopped => false,
    };
    waits && now < test.ordered_at.plus(RENEWED)
}
