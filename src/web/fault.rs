//! What forms have in common: what is wrong with one, and how passwords are typed into it.
//!
//! Knows nothing of any one page; `pages/parts.html` shows what is made here. What always holds: each fault is said at the top
//! of the page with a link to its input, and once more below that input.

use super::note::{Late, Note};
use super::texts::Texts;
use super::visit::Visit;
use serde::Serialize;
use std::borrow::Cow;

/// Something to put right.
#[derive(Debug, Serialize)]
pub(super) struct Fault {
    /// The id of the input under which it is said once more.
    field: Option<&'static str>,
    /// The id of the input to which the summary leads.
    place: Option<&'static str>,
    text: Cow<'static, str>,
}

impl Fault {
    /// Something wrong with one input.
    pub(super) fn in_field(field: &'static str, text: impl Into<Cow<'static, str>>) -> Self {
        Self { field: Some(field), place: Some(field), text: text.into() }
    }

    /// Something that concerns the whole form, to be put right from `place` on.
    pub(super) fn from(place: &'static str, text: impl Into<Cow<'static, str>>) -> Self {
        Self { field: None, place: Some(place), text: text.into() }
    }

    /// Something that nothing typed puts right.
    pub(super) fn plain(text: impl Into<Cow<'static, str>>) -> Self {
        Self { field: None, place: None, text: text.into() }
    }

    /// Says why a form came too late, if it did.
    pub(super) fn late(note: &Note, t: &Texts) -> Option<Self> {
        note.remarks().next().map(|late| match late {
            Late::Stale => Self::plain(t.stale),
            Late::Lapsed => Self::plain(t.lapsed),
            Late::Kept => Self::plain(t.kept),
            Late::Moved => Self::plain(t.moved),
            Late::Done => Self::plain(t.done_before),
            Late::Unproven => Self::plain(t.unproven),
        })
    }
}

/// Whether passwords are shown while they are typed (R020, without scripts).
#[derive(Debug, Serialize)]
pub(super) struct Typing {
    shown: bool,
    kind: &'static str,
    toggle: String,
}

impl Typing {
    /// Reads it from the address of the page.
    pub(super) fn of(visit: &Visit) -> Self {
        let shown = visit.query().get("show") == "1";
        let (kind, other) = if shown { ("text", "0") } else { ("password", "1") };
        Self { shown, kind, toggle: visit.beside("show", other) }
    }

    /// Gives what stands behind a form's address, so that it is answered with the same way of typing.
    pub(super) const fn query(&self) -> &'static str {
        if self.shown { "?show=1" } else { "" }
    }
}
