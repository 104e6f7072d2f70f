//! The few things a browser keeps for us.
//!
//! Knows nothing of what is in them. What always holds: none is readable by scripts or sent along with another site's form,
//! and where the pages are reached by https, none travels without it or can be set by a neighbouring host (`__Host-`).

use crate::model::Span;
use crate::service::backup_code::HANDED;
use crate::service::second_factor::OFFERED;
use axum::http::{HeaderMap, header};

/// A cookie of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Crumb {
    /// The session of somebody who is logged in.
    Session,
    /// Ties a form to the browser it was shown in, before anybody is logged in.
    Visit,
    /// Says that somebody logged in to this account on this device before.
    Device,
    /// Says that this member passed a second factor on this device before.
    Passed,
    /// The secret of an app that was shown and whose code was mistyped, sealed.
    Offer,
    /// The secrets of an app that were shown last, sealed: an app may hold one of them.
    Offers,
    /// A backup code for the page that shows it until its owner has kept it, sealed.
    Once,
    /// What the next page is to say, such as why a login failed.
    Note,
    /// The language chosen at the top of the page.
    Language,
}

impl Crumb {
    const fn name(self) -> &'static str {
        match self {
            Self::Session => "karamail",
            Self::Visit => "karamail-visit",
            Self::Device => "karamail-device",
            Self::Passed => "karamail-passed",
            Self::Offer => "karamail-offer",
            Self::Offers => "karamail-offers",
            Self::Once => "karamail-once",
            Self::Note => "karamail-note",
            Self::Language => "karamail-lang",
        }
    }

    /// How long the browser keeps it; nothing: until it is closed.
    const fn life(self) -> Option<Span> {
        match self {
            Self::Session | Self::Visit => None,
            Self::Note | Self::Offer => Some(Span::from_secs(60)),
            Self::Once => Some(HANDED),
            Self::Offers => Some(OFFERED),
            // Browsers keep none longer (RFC 6265bis 5.5).
            Self::Device | Self::Passed | Self::Language => Some(Span::from_secs(400 * 86_400)),
        }
    }
}

/// The cookies a browser sent.
#[derive(Debug, Clone)]
pub(super) struct Jar {
    secure: bool,
    pairs: Vec<(String, String)>,
}

impl Jar {
    /// Reads the cookies of a request; `secure` says whether the pages are reached by https.
    pub(super) fn read(headers: &HeaderMap, secure: bool) -> Self {
        let lines = headers.get_all(header::COOKIE).into_iter().filter_map(|line| line.to_str().ok());
        let pairs = lines
            .flat_map(|line| line.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        Self { secure, pairs }
    }

    /// Gives the value of a cookie.
    pub(super) fn get(&self, crumb: Crumb) -> Option<&str> {
        let name = self.name(crumb);
        self.pairs.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
    }

    /// Writes the header that sets a cookie, or takes it away where there is no value.
    pub(super) fn set(&self, crumb: Crumb, value: Option<&str>) -> String {
        let mut line = format!("{}={}; Path=/; HttpOnly; SameSite=Lax", self.name(crumb), value.unwrap_or_default());
        let life = if value.is_some() { crumb.life() } else { Some(Span::from_millis(0)) };
        if let Some(life) = life {
            line.push_str(&format!("; Max-Age={}", life.millis() / 1_000));
        }
        if self.secure {
            line.push_str("; Secure");
        }
        line
    }

    fn name(&self, crumb: Crumb) -> String {
        // RFC 6265bis 4.1.3.2: such a cookie is taken only with Secure, Path=/ and no Domain.
        if self.secure { format!("__Host-{}", crumb.name()) } else { crumb.name().to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jar(lines: &[&str], secure: bool) -> Jar {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(header::COOKIE, line.parse().unwrap());
        }
        Jar::read(&headers, secure)
    }

    #[test]
    fn a_cookie_is_found_by_its_whole_name() {
        let plain = jar(&["a=b; karamail=one ; karamail-visit=two", "karamail-lang=en"], false);
        assert_eq!(plain.get(Crumb::Session), Some("one"));
        assert_eq!(plain.get(Crumb::Visit), Some("two"));
        assert_eq!(plain.get(Crumb::Language), Some("en"));
        assert_eq!(plain.get(Crumb::Device), None);
        assert_eq!(jar(&["karamail=one"], true).get(Crumb::Session), None);
        assert_eq!(jar(&["__Host-karamail=one"], true).get(Crumb::Session), Some("one"));
        assert_eq!(jar(&["nonsense", "=x", ";;"], true).get(Crumb::Session), None);
    }

    #[test]
    fn a_cookie_is_set_as_safely_as_the_address_allows() {
        assert_eq!(jar(&[], false).set(Crumb::Session, Some("x")), "karamail=x; Path=/; HttpOnly; SameSite=Lax");
        assert_eq!(
            jar(&[], true).set(Crumb::Session, Some("x")),
            "__Host-karamail=x; Path=/; HttpOnly; SameSite=Lax; Secure"
        );
        assert_eq!(jar(&[], false).set(Crumb::Note, None), "karamail-note=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0");
        assert!(jar(&[], false).set(Crumb::Language, Some("ja")).ends_with("; Max-Age=34560000"));
    }
}
