//! One request, as the pages see it: who, in which language, with which cookies.
//!
//! Knows nothing of what is asked for. What always holds: reading a visit changes nothing but the moment at which a session
//! was last used; the address of the other side is believed from a header only when a proxy of ours wrote it.

use super::cookie::{Crumb, Jar};
use super::form::Fields;
use super::note::{Late, Note};
use super::turn;
use super::wire;
use super::{Trouble, Web};
use crate::link;
use crate::model::{Language, MemberId, Network, mac};
use crate::net::http::Peer;
use crate::service::login::Device;
use crate::service::session::{self, Standing, Visitor};
use axum::http::{HeaderMap, Method, Uri, header, request};
use data_encoding::BASE64URL_NOPAD;
use sha2::{Digest, Sha256};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

/// How many random bytes a session's cookie has.
const SESSION_BYTES: usize = 32;
/// Of how many accounts a browser keeps that it is known, and how long what it keeps of each is at most.
const ACCOUNTS: usize = 4;
const PART: usize = 80;
/// The names of a query that a link to the same page in the other language keeps.
const KEPT: &[&str] = &["show", "priority", "r", "c", "back"];

/// What stands behind a language that was chosen and has not become a member's yet.
const FRESH: &str = "-chosen";

/// One request; clones share it.
#[derive(Debug, Clone)]
pub(super) struct Visit(Arc<Facts>);

#[derive(Debug)]
struct Facts {
    method: Method,
    path: String,
    query: Fields,
    jar: Jar,
    visit: (String, bool),
    peer: IpAddr,
    language: Language,
    gzip: bool,
    asked: Option<Language>,
    chosen: Option<Language>,
    standing: Standing,
}

impl Visit {
    /// Reads a request and finds out who is logged in.
    pub(super) async fn read(web: &Web, parts: &request::Parts) -> Result<Self, Trouble> {
        let jar = Jar::read(&parts.headers, web.is_secure());
        let standing = match jar.get(Crumb::Session).and_then(session_hash) {
            Some(hash) => session::standing(web.store(), hash, web.now()).await?,
            None => Standing::Out,
        };
        Self::new(web, parts, jar, standing)
    }

    /// Reads a request, whoever is logged in; for a page that says what went wrong.
    pub(super) fn of_nobody(web: &Web, parts: &request::Parts) -> Result<Self, Trouble> {
        Self::new(web, parts, Jar::read(&parts.headers, web.is_secure()), Standing::Out)
    }

    fn new(web: &Web, parts: &request::Parts, jar: Jar, standing: Standing) -> Result<Self, Trouble> {
        let query = Fields::read(parts.uri.query().unwrap_or_default().as_bytes());
        let asked: Option<Language> = query.get("lang").parse().ok();
        let kept = jar.get(Crumb::Language).unwrap_or_default();
        let fresh = kept.strip_suffix(FRESH).and_then(|name| name.parse().ok());
        let chosen = asked.filter(|_| !is_from_elsewhere(&parts.headers)).or(fresh);
        let member = match &standing {
            Standing::In(visitor) => Some(visitor.member.language),
            Standing::Lapsed(_) | Standing::Out => None,
        };
        let language = asked.or(chosen).or(member).or_else(|| kept.parse().ok());
        let visit = match jar.get(Crumb::Visit).filter(|value| is_visit(value)) {
            Some(known) => (known.to_owned(), false),
            None => (BASE64URL_NOPAD.encode(&web.random::<16>()?), true),
        };
        Ok(Self(Arc::new(Facts {
            method: parts.method.clone(),
            path: path_of(&parts.uri),
            query,
            jar,
            visit,
            peer: peer(web, parts),
            language: language.unwrap_or_else(|| accepted(&parts.headers)),
            gzip: wire::is_taken(&parts.headers),
            asked,
            chosen,
            standing,
        })))
    }

    /// Says whether a person may be looking: a GET, not a HEAD.
    pub(super) fn is_get(&self) -> bool {
        self.0.method == Method::GET
    }

    /// Gives the path of this page.
    pub(super) fn path(&self) -> &str {
        &self.0.path
    }

    /// Gives the address of this page, to come back to.
    pub(super) fn here(&self) -> String {
        match self.0.query.write(KEPT, &[]) {
            query if query.is_empty() => self.0.path.clone(),
            query => format!("{}?{query}", self.0.path),
        }
    }

    /// Gives what stands behind `?`.
    pub(super) fn query(&self) -> &Fields {
        &self.0.query
    }

    /// Gives the address of a page, with what travels along through a login.
    pub(super) fn along(&self, page: &str) -> String {
        match (self.registration(), self.back()) {
            (Some(token), _) => format!("{page}?r={token}"),
            (None, Some(back)) => format!("{page}?back={back}"),
            (None, None) => page.to_owned(),
        }
    }

    /// Gives the query of a link to this page in another language.
    pub(super) fn in_language(&self, language: Language) -> String {
        format!("?{}", self.0.query.write(KEPT, &[("lang", language.as_str())]))
    }

    /// Gives the query of a link to this page with another value of one name.
    pub(super) fn beside(&self, name: &str, value: &str) -> String {
        let kept: Vec<&str> = KEPT.iter().copied().filter(|kept| *kept != name).collect();
        format!("?{}", self.0.query.write(&kept, &[(name, value)]))
    }

    /// Gives the language to answer in.
    pub(super) fn language(&self) -> Language {
        self.0.language
    }

    /// Says whether the browser takes gzip.
    pub(super) fn takes_gzip(&self) -> bool {
        self.0.gzip
    }

    /// Gives the language that was chosen at the top of a page, if one was and it has not become a member's yet.
    pub(super) fn chosen(&self) -> Option<Language> {
        self.0.chosen
    }

    /// Gives what the browser is to keep of languages, if that changes: what is chosen, until it has become that of whoever logs
    /// in; then that member's. The next member at this browser has another one.
    pub(super) fn kept_language(&self) -> Option<String> {
        if let Some(asked) = self.0.asked {
            let mark = if self.0.chosen == Some(asked) { FRESH } else { "" };
            return Some(format!("{}{mark}", asked.as_str()));
        }
        let member = self.visitor()?.member.language;
        let kept = self.0.jar.get(Crumb::Language)?;
        let is_due = self.0.chosen.is_none_or(|chosen| chosen == member);
        (is_due && kept != member.as_str()).then(|| member.as_str().to_owned())
    }

    /// Gives who is logged in.
    pub(super) fn visitor(&self) -> Option<&Visitor> {
        match &self.0.standing {
            Standing::In(visitor) => Some(visitor),
            Standing::Lapsed(_) | Standing::Out => None,
        }
    }

    /// Says whether the browser holds a session whose time is over.
    pub(super) fn has_lapsed(&self) -> bool {
        matches!(self.0.standing, Standing::Lapsed(_))
    }

    /// Gives who was logged in when the time of the browser's session ran out.
    pub(super) fn lapsed(&self) -> Option<MemberId> {
        match self.0.standing {
            Standing::Lapsed(member) => member,
            Standing::In(_) | Standing::Out => None,
        }
    }

    /// Says what a page that needs a login has to say to whoever comes without: that the time was over, and whether a form
    /// that came too late was kept.
    pub(super) fn late(&self) -> Option<Late> {
        let said = self.note().and_then(|note| note.remarks().next());
        said.or_else(|| self.has_lapsed().then_some(Late::Lapsed))
    }

    /// Gives the page of a member's that was asked for before the login.
    pub(super) fn back(&self) -> Option<&str> {
        Some(self.0.query.get("back")).filter(|path| turn::is_own(path))
    }

    /// Gives the hash of the session the browser holds, good or not.
    pub(super) fn session_hash(&self) -> Option<[u8; 32]> {
        self.0.jar.get(Crumb::Session).and_then(session_hash)
    }

    /// Gives the cookies.
    pub(super) fn jar(&self) -> &Jar {
        &self.0.jar
    }

    /// Gives what the page before left to say.
    pub(super) fn note(&self) -> Option<Note> {
        self.0.jar.get(Crumb::Note).and_then(Note::read)
    }

    /// Gives the value that ties forms to this browser.
    pub(super) fn tie(&self) -> &str {
        &self.0.visit.0
    }

    /// Says whether the browser did not have that value yet.
    pub(super) fn is_new(&self) -> bool {
        self.0.visit.1
    }

    /// Gives the token of the registration that this page belongs to, or that its query names.
    pub(super) fn registration(&self) -> Option<&str> {
        let behind = self.0.path.strip_prefix("/r/").and_then(|rest| rest.split('/').next());
        behind.into_iter().chain([self.0.query.get("r")]).find(|token| is_token(token))
    }

    /// Gives the token of the test mail that this page belongs to, or that its query names.
    pub(super) fn test(&self) -> Option<&str> {
        let behind = self.0.path.strip_prefix("/c/").and_then(|rest| rest.split('/').next());
        behind.into_iter().chain([self.0.query.get("c")]).find(|token| is_token(token))
    }

    /// Gives the fingerprint of the device for counting failed logins: a device that logged in to this account before
    /// counts for itself, all others of a network together (OWASP, device cookies).
    pub(super) fn device(&self, key: &[u8; 32], account: &[u8; 32]) -> Device {
        match self.0.jar.get(Crumb::Device).and_then(|value| known(value, key, account)) {
            Some(known) => Device::Known(mac(key, "karamail known device", known.as_bytes())),
            None => {
                let network = Network::around(self.0.peer).to_string();
                Device::Network(mac(key, "karamail network", network.as_bytes()))
            }
        }
    }

    /// Gives the fingerprint of the device, if a second factor of this account passed on it before.
    pub(super) fn passed(&self, key: &[u8; 32], account: &[u8; 32]) -> Option<[u8; 32]> {
        let known = self.0.jar.get(Crumb::Passed).and_then(|value| known(value, key, account))?;
        Some(mac(key, "karamail passed device", known.as_bytes()))
    }
}

/// Gives the address of the page that says that cookies are needed.
pub(super) fn cookies_page(visit: &Visit) -> String {
    match visit.test() {
        Some(token) => format!("/cookies?c={token}"),
        None => beside("/cookies", visit),
    }
}

/// Gives the address of a page, with the registration to come back to from there.
pub(super) fn beside(page: &str, visit: &Visit) -> String {
    visit.registration().map_or_else(|| page.to_owned(), |token| format!("{page}?r={token}"))
}

/// Makes the cookie of a device that has just logged in to an account, with what `kept` says of a few other accounts: a family
/// shares a browser.
pub(super) fn device_cookie(key: &[u8; 32], account: &[u8; 32], chance: [u8; 16], kept: Option<&str>) -> String {
    let nonce = BASE64URL_NOPAD.encode(&chance);
    let own = format!("{nonce}.{}", proof(key, account, &nonce));
    let others = kept.into_iter().flat_map(parts).filter(|part| !is_device(part, key, account));
    [own.as_str()].into_iter().chain(others).take(ACCOUNTS).collect::<Vec<_>>().join("~")
}

/// Finds what the cookie says of that account.
fn known<'a>(value: &'a str, key: &[u8; 32], account: &[u8; 32]) -> Option<&'a str> {
    parts(value).find(|part| is_device(part, key, account))
}

fn parts(value: &str) -> impl Iterator<Item = &str> {
    value.split('~').take(ACCOUNTS).filter(|part| part.len() <= PART)
}

fn is_device(value: &str, key: &[u8; 32], account: &[u8; 32]) -> bool {
    value.split_once('.').is_some_and(|(nonce, claimed)| {
        subtle::ConstantTimeEq::ct_eq(proof(key, account, nonce).as_bytes(), claimed.as_bytes()).into()
    })
}

fn proof(key: &[u8; 32], account: &[u8; 32], nonce: &str) -> String {
    BASE64URL_NOPAD.encode(&mac(key, "karamail device", &[account, nonce.as_bytes()].concat()))
}

/// Makes the value of a session's cookie, and the hash under which the store knows it.
pub(super) fn new_session(chance: [u8; SESSION_BYTES]) -> (String, [u8; 32]) {
    (BASE64URL_NOPAD.encode(&chance), Sha256::digest(chance).into())
}

fn session_hash(value: &str) -> Option<[u8; 32]> {
    let bytes = BASE64URL_NOPAD.decode(value.as_bytes()).ok()?;
    (bytes.len() == SESSION_BYTES).then(|| Sha256::digest(bytes).into())
}

fn is_visit(value: &str) -> bool {
    BASE64URL_NOPAD.decode(value.as_bytes()).is_ok_and(|bytes| bytes.len() == 16)
}

/// Says whether a text has the form of a link's token, so that it may stand in an address of ours.
pub(super) fn is_token(text: &str) -> bool {
    text.len() == link::TOKEN_LEN && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
}

/// Gives the path, without the second slash that would make a browser read a host name from it.
fn path_of(uri: &Uri) -> String {
    format!("/{}", uri.path().trim_start_matches('/'))
}

/// Finds out where the request comes from: behind proxies of ours, the last address that none of them has.
fn peer(web: &Web, parts: &request::Parts) -> IpAddr {
    let unknown = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
    let peer = parts.extensions.get::<Peer>().map_or(unknown, |peer| peer.0);
    forwarded(peer, &parts.headers, |address| web.trusts(address))
}

/// Walks back over what each proxy wrote behind what it was sent. What cannot be read ends the walk: before it stands what the
/// other side wrote itself.
fn forwarded(peer: IpAddr, headers: &HeaderMap, trusts: impl Fn(IpAddr) -> bool) -> IpAddr {
    if !trusts(peer) {
        return peer;
    }
    let lines = headers.get_all("x-forwarded-for").iter().rev().map(|line| line.to_str().unwrap_or_default());
    let mut named = lines.flat_map(|line| line.rsplit(',')).map_while(|address| address.trim().parse().ok());
    named.find(|address| !trusts(*address)).unwrap_or(peer)
}

/// Says whether a link on another site led here, as far as the browser tells.
fn is_from_elsewhere(headers: &HeaderMap) -> bool {
    headers.get("sec-fetch-site").is_some_and(|site| site.as_bytes() == b"cross-site")
}

/// Finds the language that the browser prefers (RFC 9110 12.5.4); Japanese where it says nothing we speak.
fn accepted(headers: &HeaderMap) -> Language {
    let line = headers.get(header::ACCEPT_LANGUAGE).and_then(|line| line.to_str().ok()).unwrap_or_default();
    let mut best: Option<(f32, Language)> = None;
    for range in line.split(',') {
        let (tag, weight) = range.split_once(';').unwrap_or((range, "q=1"));
        let weight: f32 = weight.trim().strip_prefix("q=").and_then(|weight| weight.parse().ok()).unwrap_or(0.0);
        let primary = tag.trim().split('-').next().unwrap_or_default().to_ascii_lowercase();
        if let Ok(language) = primary.parse::<Language>()
            && weight > best.map_or(0.0, |(heavier, _)| heavier)
        {
            best = Some((weight, language));
        }
    }
    best.map_or(Language::Ja, |(_, language)| language)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_language_a_browser_prefers_is_found() {
        for (line, language) in [
            ("en-US,en;q=0.9,ja;q=0.8", Language::En),
            ("ja,en-US;q=0.9", Language::Ja),
            ("en;q=0.2, ja;q=0.7", Language::Ja),
            ("fr, EN-gb;q=0.5", Language::En),
            ("fr, de", Language::Ja),
            ("en;q=0", Language::Ja),
            ("en;q=nan", Language::Ja),
            ("", Language::Ja),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT_LANGUAGE, line.parse().unwrap());
            assert_eq!(accepted(&headers), language, "{line}");
        }
        assert_eq!(accepted(&HeaderMap::new()), Language::Ja);
    }

    #[test]
    fn a_device_is_known_for_its_account_only() {
        let cookie = device_cookie(&[7; 32], &[1; 32], [3; 16], None);
        assert!(is_device(&cookie, &[7; 32], &[1; 32]));
        assert!(!is_device(&cookie, &[7; 32], &[2; 32]));
        assert!(!is_device(&cookie, &[8; 32], &[1; 32]));
        for forged in ["", ".", "x", &cookie[1..], &cookie[..cookie.len() - 1]] {
            assert!(!is_device(forged, &[7; 32], &[1; 32]), "{forged}");
        }
    }

    #[test]
    fn what_stands_before_an_entry_that_cannot_be_read_is_not_believed() {
        let peer: IpAddr = "10.0.0.9".parse().unwrap();
        let ours = |address: IpAddr| address.to_string().starts_with("10.");
        for (lines, found) in [
            (&["192.0.2.1, 198.51.100.7, 10.0.0.1"][..], "198.51.100.7"),
            (&["192.0.2.1", "198.51.100.7", "10.0.0.1 , 10.0.0.2"], "198.51.100.7"),
            (&["192.0.2.1, 198.51.100.7:5678"], "10.0.0.9"),
            (&["192.0.2.1, unknown, 10.0.0.1"], "10.0.0.9"),
            (&["192.0.2.1", "", "10.0.0.1"], "10.0.0.9"),
            (&["192.0.2.1", "198.51.100.7\u{e9}"], "10.0.0.9"),
            (&["192.0.2.1,"], "10.0.0.9"),
            (&["10.0.0.3, 10.0.0.1"], "10.0.0.9"),
            (&["2001:db8::7"], "2001:db8::7"),
            (&[], "10.0.0.9"),
        ] {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append("x-forwarded-for", axum::http::HeaderValue::from_bytes(line.as_bytes()).unwrap());
            }
            assert_eq!(forwarded(peer, &headers, ours).to_string(), found, "{lines:?}");
            let stranger: IpAddr = "203.0.113.5".parse().unwrap();
            assert_eq!(forwarded(stranger, &headers, ours), stranger, "{lines:?}");
        }
    }

    #[test]
    fn a_browser_is_known_for_a_few_accounts_the_last_ones() {
        let mut cookie = String::new();
        for account in [1, 2, 3, 2, 4, 5] {
            cookie = device_cookie(&[7; 32], &[account; 32], [account + 10; 16], Some(&cookie));
            assert!(known(&cookie, &[7; 32], &[account; 32]).is_some());
        }
        let is_known = |account| known(&cookie, &[7; 32], &[account; 32]).is_some();
        assert_eq!([1, 2, 3, 4, 5, 6].map(is_known), [false, true, true, true, true, false]);
        // What strangers write there is neither kept for long nor looked at for long.
        let junk =
            device_cookie(&[7; 32], &[1; 32], [3; 16], Some(&format!("{}~{}", "x".repeat(999), "~".repeat(999))));
        assert!(junk.len() < 80, "{junk}");
    }

    #[test]
    fn a_path_never_names_a_host() {
        for (asked, path) in [("/r/x", "/r/x"), ("//evil.example/", "/evil.example/"), ("///x", "/x")] {
            assert_eq!(path_of(&asked.parse().unwrap()), path);
        }
    }

    #[test]
    fn only_what_looks_like_a_token_goes_into_an_address() {
        assert!(is_token(&"aZ0-_".repeat(14)[..67]));
        for text in ["", "a", &"a".repeat(66), &"a".repeat(68), &format!("{}/", "a".repeat(66)), &"あ".repeat(67)] {
            assert!(!is_token(text), "{text}");
        }
    }
}
