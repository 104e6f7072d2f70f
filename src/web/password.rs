//! The form in which a password is chosen, wherever it stands: what is said of it.
//!
//! Knows nothing of the page around it; what a password may be says `service::password`.

use super::fault::Fault;
use super::note::{Note, Remark};
use super::texts::Texts;
use crate::service::password::Refusal;

impl Remark for Refusal {
    const AREA: &'static str = "password";
    const ALL: &'static [Self] = &Self::ALL;

    fn code(self) -> &'static str {
        self.as_str()
    }
}

/// Says what is wrong.
pub(super) fn faults(note: &Note, t: &Texts) -> Vec<Fault> {
    let said = note.remarks().map(|refusal| {
        let (field, text) = match refusal {
            Refusal::Empty => ("new", t.password.empty),
            Refusal::Character => ("new", t.password.character),
            Refusal::TooLong => ("new", t.password.too_long),
            Refusal::OrgCode => ("new", t.password.org_code),
            Refusal::LoginId => ("new", t.password.login_id),
            Refusal::Start => ("new", t.password.start),
            Refusal::KnownBad => ("new", t.password.known_bad),
            Refusal::Mismatch => ("again", t.password.mismatch),
        };
        Fault::in_field(field, text)
    });
    Fault::late(note, t).into_iter().chain(said).collect()
}
