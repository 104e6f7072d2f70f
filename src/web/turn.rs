//! Whose turn it is: the one place that knows which page comes next for somebody who has got so far with a login.
//!
//! Knows nothing of what the pages do. What always holds: no page of a member opens before the login is through, but for the
//! one whose turn it is (R017, R022, R025); wherever a login leads is a page of ours; the registration that a login is for,
//! or else the page that was asked for, travels along.

use super::note::{Late, Note};
use super::reply::Reply;
use super::visit::{Visit, is_token};
use crate::model::Timestamp;
use crate::service::session::{Stage, Visitor};
use axum::Extension;

/// The page of whoever is logged in and wants nothing in particular.
pub(super) const MENU: &str = "/account";
/// The overview of second factors.
pub(super) const TWO_FACTOR: &str = "/account/two-factor";
/// The pages that set one up, and the one that follows on them.
pub(super) const SET_UP_APP: &str = "/account/two-factor/app";
pub(super) const SET_UP_MAIL: &str = "/account/two-factor/mail";
pub(super) const SET_UP_DONE: &str = "/account/two-factor/done";

/// Gives the page whose turn it is for somebody who has got that far.
pub(super) fn next(visit: &Visit, stage: Stage) -> String {
    match visit.registration() {
        Some(token) => registering(token, stage),
        None => asked(visit.back(), stage),
    }
}

/// Gives the page that followed on a form that has come a second time, for somebody who has got that far since.
pub(super) fn already(visit: &Visit, stage: Stage) -> String {
    match stage {
        Stage::Full if [SET_UP_APP, SET_UP_MAIL].contains(&visit.path()) => visit.along(SET_UP_DONE),
        Stage::Code | Stage::Doubt | Stage::Password | Stage::Enrol | Stage::Full => next(visit, stage),
    }
}

/// Gives the page whose turn it is on the way to a registration.
pub(super) fn registering(token: &str, stage: Stage) -> String {
    match stage {
        Stage::Code => format!("/login/code?r={token}"),
        Stage::Doubt => format!("/login/confirm?r={token}"),
        Stage::Password => format!("/r/{token}/password"),
        Stage::Enrol => format!("/account/two-factor?r={token}"),
        Stage::Full => format!("/r/{token}/priority"),
    }
}

fn asked(back: Option<&str>, stage: Stage) -> String {
    let page = match stage {
        Stage::Code => "/login/code",
        Stage::Doubt => "/login/confirm",
        Stage::Password => "/login/password",
        Stage::Enrol => "/account/two-factor",
        Stage::Full => return back.unwrap_or(MENU).to_owned(),
    };
    back.map_or_else(|| page.to_owned(), |back| format!("{page}?back={back}"))
}

/// Sends the browser to the page of a token; what is none can hold anything, and there is a page that says so.
pub(super) fn of_token(page: &str, token: &str) -> Reply {
    Reply::see(if is_token(token) { format!("{page}/{token}") } else { page.to_owned() })
}

/// Says whether the pages of second factors open to somebody.
pub(super) fn opens_two_factor(visitor: &Visitor) -> bool {
    visitor.policy.two_factor && matches!(visitor.stage, Stage::Enrol | Stage::Full)
}

/// GET of what a button sends to, such as `/login/code/send`, as when its form came too late: leads to the page of the button.
pub(super) async fn to_its_page(Extension(visit): Extension<Visit>) -> Reply {
    let page = visit.path().rsplit_once('/').map_or(MENU, |(page, _)| page);
    Reply::see(visit.here().replacen(visit.path(), page, 1))
}

/// Gives who is logged in, all through; others are sent to the page whose turn it is.
pub(super) fn full(visit: &Visit) -> Result<&Visitor, Reply> {
    at(visit, &[Stage::Full])
}

/// Gives who is logged in, all through, and typed the password lately; others are asked for it first (ASVS 7.5.1).
pub(super) fn fresh(visit: &Visit, now: Timestamp) -> Result<&Visitor, Reply> {
    fresh_since(visit, now, visit.path())
}

/// The same for what was begun at that moment, and goes on at `page`: what took its time is not asked about twice.
pub(super) fn fresh_since<'a>(visit: &'a Visit, begun: Timestamp, page: &str) -> Result<&'a Visitor, Reply> {
    let visitor = full(visit)?;
    if visitor.is_stale(begun) { Err(again(page)) } else { Ok(visitor) }
}

/// Asks for the password, to come back to `page`.
pub(super) fn again(page: &str) -> Reply {
    Reply::see(format!("/login/again?back={page}"))
}

/// Gives who has got as far as one of `stages`; others are sent to the page whose turn it is.
pub(super) fn at<'a>(visit: &'a Visit, stages: &[Stage]) -> Result<&'a Visitor, Reply> {
    match visit.visitor() {
        Some(visitor) if stages.contains(&visitor.stage) => Ok(visitor),
        Some(visitor) => Err(Reply::see(next(visit, visitor.stage))),
        None => Err(begin(visit)),
    }
}

/// Sends somebody to log in, and back to this page afterwards.
fn begin(visit: &Visit) -> Reply {
    let own = || Some(visit.path()).filter(|path| is_own(path));
    let page = match (visit.registration(), visit.back().or_else(own)) {
        (Some(token), _) => format!("/r/{token}"),
        (None, Some(back)) => format!("/login?back={back}"),
        (None, None) => "/login".to_owned(),
    };
    match visit.late() {
        Some(late) => Reply::see(page).noting(&Note::of(late)),
        None => Reply::see(page),
    }
}

/// Sends somebody whose session ended in the middle of what they did to log in again.
pub(super) fn over(visit: &Visit) -> Reply {
    begin(visit).noting(&Note::of(Late::Lapsed))
}

/// Says whether a path is one of a member's pages, so that a login may lead back to it. No host fits: the path is written
/// out in letters that no address of another site can do with.
pub(super) fn is_own(path: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'/';
    let below = path.strip_prefix(MENU).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    below && path.len() <= 64 && path.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_stage_has_its_page_and_what_was_asked_for_travels_along() {
        for (stage, plain, back, link) in [
            (Stage::Code, "/login/code", "/login/code?back=/account/profile", "/login/code?r=TOKEN"),
            (Stage::Doubt, "/login/confirm", "/login/confirm?back=/account/profile", "/login/confirm?r=TOKEN"),
            (Stage::Password, "/login/password", "/login/password?back=/account/profile", "/r/TOKEN/password"),
            (
                Stage::Enrol,
                "/account/two-factor",
                "/account/two-factor?back=/account/profile",
                "/account/two-factor?r=TOKEN",
            ),
            (Stage::Full, "/account", "/account/profile", "/r/TOKEN/priority"),
        ] {
            assert_eq!(asked(None, stage), plain);
            assert_eq!(asked(Some("/account/profile"), stage), back);
            assert_eq!(registering("TOKEN", stage), link);
        }
    }

    #[test]
    fn a_login_leads_back_to_pages_of_members_only() {
        for own in ["/account", "/account/profile", "/account/two-factor"] {
            assert!(is_own(own), "{own}");
        }
        let long = format!("/account/{}", "a".repeat(60));
        for other in [
            "",
            "/",
            "//",
            "account",
            "//evil.example/account",
            "/account.evil.example",
            "/accounts",
            "/login",
            "/logout",
            "/account/../logout",
            "/account/%2e",
            "/account?x=//evil",
            "/account\\evil",
            "https://evil.example/account",
            "/account\r\nx",
            "/Account",
            "/account/あ",
            long.as_str(),
        ] {
            assert!(!is_own(other), "{other:?}");
        }
    }
}
