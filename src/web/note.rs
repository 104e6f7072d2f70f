//! What the next page is to say: the reason a form was not taken, carried by a cookie over the redirect (R002).
//!
//! Knows nothing of texts. What always holds: a note names one of our own reasons, and carries what was typed into the two
//! fields that are not secret; whatever a browser makes of it, the worst is a wrong hint.

use super::form::Fields;
use crate::service::password::Refusal;
use data_encoding::BASE64URL_NOPAD;

/// The longest text a note carries along, in characters.
const LONGEST: usize = 64;

/// Why the page is shown again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Why {
    /// Organisation, ID and password do not go together, or not now.
    Wrong,
    /// These fields were left empty.
    Empty(Vec<String>),
    /// The form was too old, or for another session.
    Stale,
    /// The session's time was over.
    Lapsed,
    /// The new password is refused.
    Refused(Refusal),
    /// The new password is set; no error.
    Changed,
    /// No priority was chosen.
    Unchosen,
}

/// What the next page is to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Note {
    /// Why the page is shown again.
    pub(super) why: Why,
    /// What was typed as the organisation's code.
    pub(super) org: String,
    /// What was typed as the ID.
    pub(super) id: String,
}

impl Note {
    /// Makes a note that carries nothing along.
    pub(super) const fn of(why: Why) -> Self {
        Self { why, org: String::new(), id: String::new() }
    }

    /// Makes a note that carries along what was typed into a login form.
    pub(super) fn with(why: Why, fields: &Fields) -> Self {
        let kept = |name: &str| fields.get(name).chars().take(LONGEST).collect();
        Self { why, org: kept("org"), id: kept("id") }
    }

    /// Writes the note as the value of a cookie.
    pub(super) fn write(&self) -> String {
        let mut out = form_urlencoded::Serializer::new(String::new());
        match &self.why {
            Why::Wrong => out.append_pair("why", "wrong"),
            Why::Empty(fields) => {
                out.append_pair("why", "empty").extend_pairs(fields.iter().map(|field| ("field", field)))
            }
            Why::Stale => out.append_pair("why", "stale"),
            Why::Lapsed => out.append_pair("why", "lapsed"),
            Why::Refused(refusal) => out.append_pair("why", "refused").append_pair("refusal", refusal.as_str()),
            Why::Changed => out.append_pair("why", "changed"),
            Why::Unchosen => out.append_pair("why", "unchosen"),
        };
        out.append_pair("org", &self.org).append_pair("id", &self.id);
        BASE64URL_NOPAD.encode(out.finish().as_bytes())
    }

    /// Reads the value of a cookie.
    pub(super) fn read(value: &str) -> Option<Self> {
        let fields = Fields::read(&BASE64URL_NOPAD.decode(value.as_bytes()).ok()?);
        let why = match fields.get("why") {
            "wrong" => Why::Wrong,
            "empty" => Why::Empty(fields.all("field").map(str::to_owned).collect()),
            "stale" => Why::Stale,
            "lapsed" => Why::Lapsed,
            "refused" => Why::Refused(Refusal::named(fields.get("refusal"))?),
            "changed" => Why::Changed,
            "unchosen" => Why::Unchosen,
            _ => return None,
        };
        Some(Self::with(why, &fields))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_read_as_it_was_written() {
        for why in [
            Why::Wrong,
            Why::Empty(vec!["org".to_owned(), "password".to_owned()]),
            Why::Stale,
            Why::Lapsed,
            Why::Refused(Refusal::KnownBad),
            Why::Changed,
            Why::Unchosen,
        ] {
            let note = Note { why, org: "団体&x".to_owned(), id: "a b".to_owned() };
            assert_eq!(Note::read(&note.write()), Some(note));
        }
    }

    #[test]
    fn what_is_no_note_of_ours_says_nothing() {
        for value in ["", "!", "d2h5PW90aGVy", &BASE64URL_NOPAD.encode(b"why=refused&refusal=x")] {
            assert_eq!(Note::read(value), None, "{value}");
        }
        let long = Note::read(&BASE64URL_NOPAD.encode(format!("why=wrong&org={}", "x".repeat(1_000)).as_bytes()));
        assert_eq!(long.map(|note| note.org.len()), Some(LONGEST));
    }
}
