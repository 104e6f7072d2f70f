//! What the next page is to say: why a form was not taken, or what came of it, carried by a cookie over the redirect (R002).
//!
//! Knows nothing of texts, nor of what there is to say: each area has an enum of its own remarks (`remarks!`), and a note
//! carries their names. What always holds: of what was typed a note carries the fields of [`KEPT`] and nothing else, so no
//! secret is ever in one; a name that the page does not know says nothing; whatever a browser makes of a note, the worst is
//! a wrong hint.

use super::form::Fields;
use data_encoding::BASE64URL_NOPAD;

/// The fields that are given back to whoever typed them, and how much of each, in characters. None of them is secret.
const KEPT: &[(&str, usize)] = &[("org", 64), ("id", 64), ("email", 128)];

/// Something that the pages of one area have to say to whoever comes back.
pub(super) trait Remark: Copy + 'static {
    /// The name of the area; no two have the same.
    const AREA: &'static str;
    /// Everything there is to say.
    const ALL: &'static [Self];

    /// Gives the name of the remark within its area.
    fn code(self) -> &'static str;
}

/// Makes the enum of an area's remarks: `remarks! { /// … pub(super) enum Say in "area" { /// … Variant = "code", } }`.
macro_rules! remarks {
    ($(#[$doc:meta])* $sight:vis enum $name:ident in $area:literal {
        $($(#[$about:meta])* $remark:ident = $code:literal,)*
    }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        $sight enum $name {
            $($(#[$about])* $remark,)*
        }

        impl $crate::web::note::Remark for $name {
            const AREA: &'static str = $area;
            const ALL: &'static [Self] = &[$(Self::$remark,)*];

            fn code(self) -> &'static str {
                match self {
                    $(Self::$remark => $code,)*
                }
            }
        }
    };
}
pub(super) use remarks;

remarks! {
    /// What may happen to any form.
    pub(super) enum Late in "late" {
        /// The form was too old, or for another session.
        Stale = "stale",
        /// The session's time was over.
        Lapsed = "lapsed",
        /// The session's time was over, and what was typed is kept.
        Kept = "kept",
        /// The session went on under another name, and what was typed is kept.
        Moved = "moved",
        /// It had been taken a moment before.
        Done = "done",
        /// The password had been typed too long ago; it is asked for first.
        Unproven = "unproven",
    }
}

/// What the next page is to say, and what was typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Note {
    area: String,
    codes: Vec<String>,
    typed: Vec<(&'static str, String)>,
}

impl Note {
    /// Makes a note of one remark.
    pub(super) fn of<R: Remark>(remark: R) -> Self {
        Self::all(&[remark])
    }

    /// Makes a note of several remarks of one area.
    pub(super) fn all<R: Remark>(remarks: &[R]) -> Self {
        let codes = remarks.iter().map(|remark| remark.code().to_owned()).collect();
        Self { area: R::AREA.to_owned(), codes, typed: Vec::new() }
    }

    /// Carries along what was typed into the fields that may be kept.
    pub(super) fn keeping(mut self, fields: &Fields) -> Self {
        let kept = |(name, longest): &(&'static str, usize)| {
            let text: String = fields.get(name).chars().take(*longest).collect();
            (!text.is_empty()).then_some((*name, text))
        };
        self.typed = KEPT.iter().filter_map(kept).collect();
        self
    }

    /// Gives the remarks of an area, if the note is of that area.
    pub(super) fn remarks<R: Remark>(&self) -> impl Iterator<Item = R> {
        let codes = if self.area == R::AREA { self.codes.as_slice() } else { &[] };
        codes.iter().filter_map(|code| R::ALL.iter().copied().find(|remark| remark.code() == code))
    }

    /// Gives what was typed into a field; empty where nothing is known of it.
    pub(super) fn typed(&self, name: &str) -> &str {
        self.typed.iter().find(|(known, _)| *known == name).map_or("", |(_, text)| text.as_str())
    }

    /// Writes the note as the value of a cookie.
    pub(super) fn write(&self) -> String {
        let mut out = form_urlencoded::Serializer::new(String::new());
        out.append_pair("area", &self.area);
        out.extend_pairs(self.codes.iter().map(|code| ("say", code)));
        out.extend_pairs(&self.typed);
        BASE64URL_NOPAD.encode(out.finish().as_bytes())
    }

    /// Reads the value of a cookie.
    pub(super) fn read(value: &str) -> Option<Self> {
        let fields = Fields::read(&BASE64URL_NOPAD.decode(value.as_bytes()).ok()?);
        let note = Self {
            area: fields.get("area").to_owned(),
            codes: fields.all("say").map(str::to_owned).collect(),
            typed: Vec::new(),
        };
        Some(note.keeping(&fields))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    remarks! {
        enum Weather in "weather" {
            Rain = "rain",
            Wind = "wind",
        }
    }

    fn cookie(text: &str) -> String {
        BASE64URL_NOPAD.encode(text.as_bytes())
    }

    #[test]
    fn a_note_is_read_as_it_was_written() {
        let fields = Fields::read("org=%E5%9B%A3%E4%BD%93%26x&id=a+b&password=secret".as_bytes());
        for remarks in [&[][..], &[Weather::Rain], &[Weather::Wind], &[Weather::Wind, Weather::Rain]] {
            let note = Note::all(remarks).keeping(&fields);
            let read = Note::read(&note.write()).unwrap();
            assert_eq!(read, note);
            assert_eq!(read.remarks::<Weather>().collect::<Vec<_>>(), remarks);
            assert_eq!((read.typed("org"), read.typed("id")), ("団体&x", "a b"));
        }
    }

    #[test]
    fn a_note_carries_no_field_but_those_that_may_be_kept() {
        let fields = Fields::read(b"org=x&password=secret&new=secret&otp=123456&form=token&area=late&say=stale");
        let note = Note::of(Weather::Rain).keeping(&fields);
        let written = String::from_utf8(BASE64URL_NOPAD.decode(note.write().as_bytes()).unwrap()).unwrap();
        assert_eq!(written, "area=weather&say=rain&org=x");
        for name in ["password", "new", "again", "otp", "code", "form", "area", "say"] {
            assert!(KEPT.iter().all(|(kept, _)| *kept != name), "{name}");
        }
    }

    #[test]
    fn a_note_says_nothing_to_another_area() {
        let note = Note::of(Weather::Rain);
        assert_eq!(note.remarks::<Late>().count(), 0);
        assert_eq!(Note::read(&cookie("area=late&say=rain&say=stale")).unwrap().remarks::<Weather>().count(), 0);
    }

    #[test]
    fn what_is_no_note_of_ours_says_nothing() {
        for value in ["!", "d2h5P W90", "=", "あ"] {
            assert_eq!(Note::read(value), None, "{value}");
        }
        for text in ["", "area=late", "area=late&say=", "area=late&say=x", "area=&say=stale", "say=stale", "\u{0}"] {
            assert_eq!(Note::read(&cookie(text)).unwrap().remarks::<Late>().count(), 0, "{text}");
        }
        let mixed = Note::read(&cookie("area=late&say=x&say=lapsed")).unwrap();
        assert_eq!(mixed.remarks::<Late>().collect::<Vec<_>>(), [Late::Lapsed]);
    }

    #[test]
    fn the_longest_note_still_fits_a_cookie() {
        let long = "災".repeat(1_000);
        let typed: Vec<(&str, &str)> = KEPT.iter().map(|(name, _)| (*name, long.as_str())).collect();
        let written = Note::all(Weather::ALL).keeping(&Fields::read(Fields::default().write(&[], &typed).as_bytes()));
        for (name, longest) in KEPT {
            assert_eq!(written.typed(name).chars().count(), *longest);
        }
        // RFC 6265 6.1: a browser takes 4096 bytes, name and attributes included.
        assert!(written.write().len() <= 3_900, "{}", written.write().len());
    }
}
