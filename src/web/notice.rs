//! Pages that say one thing: what a link is, what went wrong, and the way on.
//!
//! Knows nothing of what led here. What always holds: each notice has a way on, and says whether anything changed.

use super::page::SendTo;
use super::texts::{Texts, moment};
use crate::model::{OrgCode, Timestamp};
use axum::http::StatusCode;
use serde::Serialize;

/// One thing to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Notice {
    /// A link was cut on its way.
    Cut,
    /// A link is too old.
    Expired {
        /// When it ended.
        until: Timestamp,
        /// The organisation its mail named.
        org: Option<OrgCode>,
    },
    /// What the link was for is done.
    Used {
        /// The address, masked.
        address: String,
        /// When it was registered.
        at: Timestamp,
        /// The organisation its mail named.
        org: Option<OrgCode>,
    },
    /// A link is not ours.
    Forged,
    /// The link of a test mail.
    Test(TestLink),
    /// The browser keeps no cookies.
    Cookies {
        /// The page to go back to.
        back: Option<String>,
    },
    /// Another site sent the form.
    Foreign,
    /// There is no such page, or it is not asked for like that.
    Missing(StatusCode),
    /// More was sent than a form of ours holds.
    TooLarge,
    /// Not now.
    Busy,
    /// Something of ours is broken.
    Broken,
    /// Logged out.
    LoggedOut {
        /// The token of the registration to go back to.
        back: Option<String>,
    },
}

/// What there is to say of the link of a test mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TestLink {
    /// It was cut on its way.
    Cut,
    /// It is too old.
    Expired {
        /// When it ended.
        until: Timestamp,
    },
    /// Somebody showed before that the mail arrived.
    Arrived {
        /// When.
        at: Timestamp,
    },
    /// It is not ours.
    Forged,
}

impl TestLink {
    const fn status(self) -> StatusCode {
        match self {
            Self::Cut | Self::Forged => StatusCode::NOT_FOUND,
            Self::Expired { .. } => StatusCode::GONE,
            Self::Arrived { .. } => StatusCode::OK,
        }
    }

    fn words(self, t: &Texts) -> (&'static str, Vec<String>) {
        let lines = |first: &str| vec![first.to_owned(), t.contact.again.to_owned()];
        match self {
            Self::Cut => (t.notice.cut_title, lines(t.notice.cut_1)),
            Self::Expired { until } => {
                (t.notice.expired_title, lines(&t.contact.expired_1.replace("{time}", &moment(until))))
            }
            Self::Arrived { at } => (t.contact.arrived_title, vec![t.contact.arrived_1.replace("{time}", &moment(at))]),
            Self::Forged => (t.notice.forged_title, lines(t.notice.forged_1)),
        }
    }
}

/// What the template shows.
#[derive(Serialize)]
pub(super) struct Shown {
    title: &'static str,
    lines: Vec<String>,
    send: Option<SendTo>,
    on: Option<On>,
}

#[derive(Serialize)]
struct On {
    href: String,
    label: &'static str,
}

impl Notice {
    /// Gives the status of the answer.
    pub(super) const fn status(&self) -> StatusCode {
        match self {
            Self::Cut | Self::Forged => StatusCode::NOT_FOUND,
            Self::Test(link) => link.status(),
            Self::Expired { .. } | Self::Used { .. } => StatusCode::GONE,
            Self::Cookies { .. } | Self::LoggedOut { .. } => StatusCode::OK,
            Self::Foreign => StatusCode::FORBIDDEN,
            Self::Missing(status) => *status,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Busy => StatusCode::SERVICE_UNAVAILABLE,
            Self::Broken => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// Fills in what the template shows; `send` tells how to send an empty mail.
    pub(super) fn shown(&self, t: &Texts, send: impl Fn(Option<&OrgCode>) -> SendTo) -> Shown {
        let (title, lines) = self.words(t);
        let send = match self {
            Self::Expired { org, .. } | Self::Used { org, .. } => Some(send(org.as_ref())),
            Self::Cut | Self::Forged | Self::Missing(_) => Some(send(None)),
            Self::Test(_)
            | Self::Cookies { .. }
            | Self::Foreign
            | Self::TooLarge
            | Self::Busy
            | Self::Broken
            | Self::LoggedOut { .. } => None,
        };
        Shown { title, lines, send, on: self.on(t) }
    }

    fn words(&self, t: &Texts) -> (&'static str, Vec<String>) {
        let plain = |lines: &[&str]| lines.iter().map(|line| (*line).to_owned()).collect();
        match self {
            Self::Cut => (t.notice.cut_title, plain(&[t.notice.cut_1, t.notice.cut_2])),
            Self::Expired { until, .. } => {
                let first = t.notice.expired_1.replace("{time}", &moment(*until));
                (t.notice.expired_title, vec![first, t.notice.expired_2.to_owned()])
            }
            Self::Used { address, at, .. } => {
                let first = t.notice.used_1.replace("{address}", address).replace("{time}", &moment(*at));
                (t.notice.used_title, vec![first, t.notice.used_2.to_owned()])
            }
            Self::Test(link) => link.words(t),
            Self::Forged => (t.notice.forged_title, plain(&[t.notice.forged_1, t.notice.forged_2])),
            Self::Cookies { .. } => (t.notice.cookies_title, plain(&[t.notice.cookies_1, t.notice.cookies_2])),
            Self::Foreign => (t.notice.foreign_title, plain(&[t.notice.foreign_1, t.notice.foreign_2])),
            Self::Missing(_) => (t.notice.missing_title, plain(&[t.notice.missing_1])),
            Self::TooLarge => (t.notice.too_large_title, plain(&[t.notice.too_large_1])),
            Self::Busy => (t.notice.busy_title, plain(&[t.notice.busy_1])),
            Self::Broken => (t.notice.broken_title, plain(&[t.notice.broken_1])),
            Self::LoggedOut { .. } => (t.notice.logged_out_title, plain(&[t.notice.logged_out_1])),
        }
    }

    fn on(&self, t: &Texts) -> Option<On> {
        let back =
            |token: &Option<String>| token.as_ref().map_or_else(|| "/".to_owned(), |token| format!("/r/{token}"));
        match self {
            Self::Cookies { back } => {
                Some(On { href: back.clone().unwrap_or_else(|| "/".to_owned()), label: t.notice.try_again })
            }
            Self::LoggedOut { back: token } => Some(On { href: back(token), label: t.notice.log_in_again }),
            // The same page once more, as it was asked for.
            Self::Busy | Self::Broken => Some(On { href: String::new(), label: t.notice.try_again }),
            Self::Foreign | Self::TooLarge | Self::Missing(_) | Self::Test(_) => {
                Some(On { href: "/".to_owned(), label: t.notice.start_page })
            }
            Self::Cut | Self::Expired { .. } | Self::Used { .. } | Self::Forged => None,
        }
    }
}
