//! The login form, wherever it stands: what it sends, and what is said of it.
//!
//! Knows nothing of the page around it. What always holds: why a login failed is not said, as `service::login` does not tell.

use super::fault::Fault;
use super::form::Fields;
use super::note::{Note, remarks};
use super::texts::Texts;
use crate::model::Secret;
use crate::service::login::Typed;

remarks! {
    /// What is said of a login.
    pub(super) enum Remark in "login" {
        /// Organisation, ID and password do not go together, or not now.
        Wrong = "wrong",
        /// No organisation.
        NoOrg = "no-org",
        /// No ID.
        NoId = "no-id",
        /// No password.
        NoPassword = "no-password",
    }
}

/// Gives the remarks on what was left empty.
pub(super) fn missing(fields: &Fields) -> Vec<Remark> {
    [("org", Remark::NoOrg), ("id", Remark::NoId), ("password", Remark::NoPassword)]
        .into_iter()
        .filter(|(name, _)| fields.get(name).trim().is_empty())
        .map(|(_, remark)| remark)
        .collect()
}

/// Gives what was typed, to be judged.
pub(super) fn typed(fields: &Fields) -> Typed {
    Typed {
        org: fields.get("org").to_owned(),
        id: fields.get("id").to_owned(),
        password: Secret::new(fields.get("password").to_owned()),
    }
}

/// Says what is wrong.
pub(super) fn faults(note: &Note, t: &Texts) -> Vec<Fault> {
    let said = note.remarks().flat_map(|remark| match remark {
        Remark::Wrong => vec![Fault::from("org", t.login.wrong), Fault::plain(t.login.wait)],
        Remark::NoOrg => vec![Fault::in_field("org", t.login.org_empty)],
        Remark::NoId => vec![Fault::in_field("id", t.login.id_empty)],
        Remark::NoPassword => vec![Fault::in_field("password", t.login.password_empty)],
    });
    Fault::late(note, t).into_iter().chain(said).collect()
}
