//! What a form sends, and whether it was one of ours (OWASP, Cross-Site Request Forgery Prevention).
//!
//! Knows nothing of what the fields mean. What always holds: a form is taken only with the token that was shown in it, which
//! fits one browser and one session; and never when the browser says that another site sent it.

use crate::model::{MemberId, mac};
use axum::http::{HeaderMap, header};
use data_encoding::BASE64URL_NOPAD;
use subtle::ConstantTimeEq;

/// The field that carries the token.
pub(super) const TOKEN_FIELD: &str = "form";

/// Named values, as a form or the part of an address behind `?` has them.
#[derive(Debug, Clone, Default)]
pub(super) struct Fields(Vec<(String, String)>);

impl Fields {
    /// Reads `application/x-www-form-urlencoded`.
    pub(super) fn read(bytes: &[u8]) -> Self {
        Self(form_urlencoded::parse(bytes).into_owned().collect())
    }

    /// Gives the first value of that name; empty where there is none.
    pub(super) fn get(&self, name: &str) -> &str {
        self.0.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value.as_str())
    }

    /// Gives every value of that name.
    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Gives all of them.
    pub(super) fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Writes the values of `names` the way they came, with `more` behind them.
    pub(super) fn write(&self, names: &[&str], more: &[(&str, &str)]) -> String {
        let mut out = form_urlencoded::Serializer::new(String::new());
        out.extend_pairs(self.0.iter().filter(|(name, _)| names.contains(&name.as_str())));
        out.extend_pairs(more);
        out.finish()
    }
}

impl From<Vec<(String, String)>> for Fields {
    fn from(pairs: Vec<(String, String)>) -> Self {
        Self(pairs)
    }
}

/// Makes the token for a browser that holds the cookie `visit` and, where somebody is logged in, the session of that hash.
pub(super) fn token(key: &[u8; 32], visit: &str, session: Option<&[u8; 32]>) -> String {
    let session = session.map_or(&[][..], |hash| hash.as_slice());
    let bound = [session, visit.as_bytes()].concat();
    BASE64URL_NOPAD.encode(&mac(key, "karamail form", &bound))
}

/// Says whether a form carried the token that was made for that browser and session.
pub(super) fn fits(claimed: &str, key: &[u8; 32], visit: &str, session: Option<&[u8; 32]>) -> bool {
    token(key, visit, session).as_bytes().ct_eq(claimed.as_bytes()).into()
}

/// The field that carries the token of [`keeper`].
pub(super) const KEEPER_FIELD: &str = "keep";

/// Makes the token by which what a member typed in a browser is kept where the session of the form goes on under another name:
/// it saves nothing.
pub(super) fn keeper(key: &[u8; 32], visit: &str, member: MemberId) -> String {
    let bound = [&member.number().to_be_bytes(), visit.as_bytes()].concat();
    BASE64URL_NOPAD.encode(&mac(key, "karamail kept form", &bound))
}

/// Says whether a form carried the token that was made for that browser and member.
pub(super) fn is_kept(claimed: &str, key: &[u8; 32], visit: &str, member: MemberId) -> bool {
    keeper(key, visit, member).as_bytes().ct_eq(claimed.as_bytes()).into()
}

/// Says whether the browser tells us that another site sent this.
pub(super) fn is_foreign(headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    // Fetch Metadata: what every browser since 2023 says, and no page can forge.
    if let Some(site) = text("sec-fetch-site") {
        return site != "same-origin";
    }
    // Older ones say where they come from. Our own pages send no referrer, for which browsers write `null` here
    // (Fetch, "append a request Origin header"); then the token alone decides.
    let own = text(header::HOST.as_str());
    match text(header::ORIGIN.as_str()) {
        None | Some("null") => false,
        Some(origin) => origin.split_once("://").map(|(_, place)| place) != own,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_fits_one_browser_one_session_and_one_key() {
        let made = token(&[7; 32], "visit", Some(&[1; 32]));
        assert!(fits(&made, &[7; 32], "visit", Some(&[1; 32])));
        assert!(!fits(&made, &[8; 32], "visit", Some(&[1; 32])));
        assert!(!fits(&made, &[7; 32], "visiT", Some(&[1; 32])));
        assert!(!fits(&made, &[7; 32], "visit", Some(&[2; 32])));
        assert!(!fits(&made, &[7; 32], "visit", None));
        assert!(!fits("", &[7; 32], "visit", Some(&[1; 32])));
        assert!(!fits(&made[..42], &[7; 32], "visit", Some(&[1; 32])));
    }

    #[test]
    fn what_keeps_a_form_fits_one_browser_and_one_member_and_takes_no_form() {
        let (taro, jiro) = (MemberId::new(1), MemberId::new(2));
        let made = keeper(&[7; 32], "visit", taro);
        assert!(is_kept(&made, &[7; 32], "visit", taro));
        assert!(!is_kept(&made, &[8; 32], "visit", taro));
        assert!(!is_kept(&made, &[7; 32], "visiT", taro));
        assert!(!is_kept(&made, &[7; 32], "visit", jiro));
        assert!(!is_kept("", &[7; 32], "visit", taro));
        assert!(!fits(&made, &[7; 32], "visit", None));
    }

    #[test]
    fn a_form_from_another_site_is_known_by_what_the_browser_says() {
        for (headers, foreign) in [
            (&[("sec-fetch-site", "same-origin")][..], false),
            (&[("sec-fetch-site", "cross-site")], true),
            (&[("sec-fetch-site", "same-site")], true),
            (&[("sec-fetch-site", "none")], true),
            (&[("sec-fetch-site", "cross-site"), ("origin", "http://www.mc-anpi.com")], true),
            (&[("origin", "http://www.mc-anpi.com")], false),
            (&[("origin", "https://www.mc-anpi.com")], false),
            (&[("origin", "http://evil.example")], true),
            (&[("origin", "http://www.mc-anpi.com.evil.example")], true),
            (&[("origin", "null")], false),
            (&[("origin", "www.mc-anpi.com")], true),
            (&[], false),
        ] {
            let mut map = HeaderMap::new();
            map.insert("host", "www.mc-anpi.com".parse().unwrap());
            for (name, value) in headers {
                map.insert(*name, value.parse().unwrap());
            }
            assert_eq!(is_foreign(&map), foreign, "{headers:?}");
        }
    }

    #[test]
    fn fields_are_read_and_written_as_forms_have_them() {
        let fields = Fields::read("org=%E5%9B%A3&id=a+b&id=c&x=%zz&y".as_bytes());
        assert_eq!(fields.get("org"), "団");
        assert_eq!(fields.get("id"), "a b");
        assert_eq!(fields.all("id").collect::<Vec<_>>(), ["a b", "c"]);
        assert_eq!(fields.get("x"), "%zz");
        assert_eq!(fields.get("y"), "");
        assert_eq!(fields.get("none"), "");
        assert_eq!(fields.write(&["org"], &[("lang", "en")]), "org=%E5%9B%A3&lang=en");
    }
}
