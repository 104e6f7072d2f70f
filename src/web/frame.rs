//! The frame around every page: languages, who is logged in, the tabs, the way back, help (R046, R055, R058, R059).
//!
//! Knows nothing of what is inside. A page that is to be reached from everywhere stands in one of the lists below; the
//! templates show what is in them. What always holds: the same things stand at the same places of every page (WCAG 3.2.6);
//! who is logged in can log out; a page that the login has not got to yet is not linked.

use super::texts::{Texts, moment, texts};
use super::turn;
use super::visit::{self, Visit};
use crate::model::{Language, Manual, Span};
use crate::service::session::{Stage, Visitor};
use serde::Serialize;

/// A page of ours and what it is called.
type Place = (&'static str, fn(&Texts) -> &'static str);
/// A page of the members, and which of them have it.
type MemberPlace = (Place, fn(&Visitor) -> bool);

/// The tabs at the top, before the one that logs out.
const TABS: &[MemberPlace] = &[((turn::MENU, |t| t.account.tab), |_| true)];
/// What stands beside the own name.
const BESIDE: &[MemberPlace] = &[((turn::TWO_FACTOR, |t| t.two_factor.link), |visitor| visitor.policy.two_factor)];
/// The menu, as the arrow of the pages below it names it.
const MENU: Place = (turn::MENU, |t| t.account.to_menu);
/// The addresses, as the arrow names them.
const PROFILE: Place = ("/account/profile", |t| t.profile.title);
/// What is asked for beside the password, as the arrow names it.
const TWO_FACTOR: Place = (turn::TWO_FACTOR, |t| t.two_factor.back);
/// Pages below another (everything behind the address, too), and the one to which the arrow leads back; none leads back from
/// what is shown only once.
const BELOW: &[(&str, Option<Place>)] = &[
    ("/login/again", Some(MENU)),
    ("/account/password", Some(MENU)),
    ("/account/profile", Some(MENU)),
    ("/account/profile/test", Some(PROFILE)),
    ("/account/profile/confirm", Some(PROFILE)),
    (turn::TWO_FACTOR, Some(MENU)),
    ("/account/two-factor/app", Some(TWO_FACTOR)),
    ("/account/two-factor/mail", Some(TWO_FACTOR)),
    ("/account/two-factor/remove", Some(TWO_FACTOR)),
    ("/account/two-factor/done", None),
];
/// Where more is said about mail that does not arrive.
const HELP: &[Place] = &[("/help/mail", |t| t.help_mail_more)];

/// How long before its end a session's end is announced (WCAG 2.2.1).
const NOTICE: Span = Span::from_secs(5 * 60);

/// The frame of one page.
#[derive(Serialize)]
pub(super) struct Frame<'a> {
    lang: &'static str,
    languages: Vec<Choice>,
    product: &'a str,
    sender: &'a str,
    form: String,
    here: String,
    member: Option<Member<'a>>,
    back: Option<Anchor>,
    help: Vec<Anchor>,
    manuals: Vec<Elsewhere<'a>>,
}

/// A link that leads to somebody else.
#[derive(Serialize)]
struct Elsewhere<'a> {
    href: &'a str,
    label: &'a str,
}

#[derive(Serialize)]
struct Choice {
    code: &'static str,
    label: &'static str,
    href: String,
    current: bool,
}

/// A link.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Anchor {
    href: String,
    label: &'static str,
    current: bool,
}

#[derive(Serialize)]
struct Member<'a> {
    org: &'a str,
    id: &'a str,
    name: &'a str,
    last_login: Option<String>,
    beside: Vec<Anchor>,
    tabs: Vec<Anchor>,
    leave: String,
    /// After how many seconds without use the page says that the session ends soon.
    idle: i64,
}

impl<'a> Frame<'a> {
    /// Makes the frame of a visit's page: of the product's name and the address it writes from, of what is to be read
    /// elsewhere, and of the token that its forms carry.
    pub(super) fn new(
        visit: &'a Visit,
        (product, sender): (&'a str, &'a str),
        manuals: &'a [Manual],
        form: String,
    ) -> Self {
        let language = visit.language();
        let choice = |(other, label): (Language, &'static str)| Choice {
            code: other.as_str(),
            label,
            href: visit.in_language(other),
            current: other == language,
        };
        let t = texts(language);
        Self {
            lang: language.as_str(),
            languages: [(Language::Ja, "日本語"), (Language::En, "English")].map(choice).into(),
            product,
            sender,
            form,
            here: visit.here(),
            member: visit.visitor().map(|visitor| Member::new(visitor, visit, t)),
            back: Anchor::back(visit, t),
            help: HELP.iter().map(|place| Anchor::new(place, visit.path(), t)).collect(),
            manuals: manuals.iter().map(|at| Elsewhere { href: &at.url, label: at.title(language) }).collect(),
        }
    }
}

impl Anchor {
    fn new(&(href, label): &Place, path: &str, t: &Texts) -> Self {
        Self { href: href.to_owned(), label: label(t), current: is_below(path, href) }
    }

    /// The arrow: takes along through a login what its pages have in their addresses.
    fn back(visit: &Visit, t: &Texts) -> Option<Self> {
        let visitor = visit.visitor()?;
        let (href, label) = above(BELOW, visit.path()).filter(|(href, _)| is_open(href, visitor))?;
        Some(Self { href: visit.along(href), label: label(t), current: false })
    }
}

impl<'a> Member<'a> {
    fn new(visitor: &'a Visitor, visit: &Visit, t: &Texts) -> Self {
        let open = |places: &[MemberPlace]| {
            let open = places.iter().filter(|(_, is_open)| visitor.stage == Stage::Full && is_open(visitor));
            open.map(|(place, _)| Anchor::new(place, visit.path(), t)).collect()
        };
        Self {
            org: match (&visitor.titles, visit.language()) {
                ((_, Some(english)), Language::En) => english,
                ((japanese, _), _) => japanese,
            },
            id: visitor.member.login.as_str(),
            name: &visitor.member.name,
            last_login: visitor.last_login.map(|at| t.last_login.replace("{time}", &moment(at))),
            beside: open(BESIDE),
            tabs: open(TABS),
            leave: visit::beside("/logout", visit),
            idle: (visitor.stage.idle().millis() - NOTICE.millis()) / 1_000,
        }
    }
}

/// Finds where the arrow of a page leads: of the pages it is below, the nearest.
fn above(below: &[(&str, Option<Place>)], path: &str) -> Option<Place> {
    let nearest = below.iter().filter(|(page, _)| is_below(path, page)).max_by_key(|(page, _)| page.len());
    nearest.and_then(|(_, place)| *place)
}

/// Says whether the member has the page, and the login has got to it.
fn is_open(page: &str, visitor: &Visitor) -> bool {
    if page == turn::TWO_FACTOR { turn::opens_two_factor(visitor) } else { visitor.stage == Stage::Full }
}

fn is_below(path: &str, page: &str) -> bool {
    path.strip_prefix(page).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arrow_leads_to_the_nearest_page_above() {
        let below: &[(&str, Option<Place>)] =
            &[("/a/b", Some(("/a", |t| t.help))), ("/a/b/c", Some(("/a/b", |t| t.cancel))), ("/a/b/e", None)];
        let to = |path| above(below, path).map(|(href, label)| (href, label(texts(Language::En))));
        assert_eq!(to("/a"), None);
        assert_eq!(to("/a/b"), Some(("/a", "Need help?")));
        assert_eq!(to("/a/bc"), None);
        assert_eq!(to("/a/b/d"), Some(("/a", "Need help?")));
        assert_eq!(to("/a/b/c"), Some(("/a/b", "Cancel")));
        assert_eq!(to("/a/b/e"), None);
    }
}
