//! `/account/profile`: a member's mail addresses, tested, confirmed, saved (R065, R069–R072, R082, R104, R108).
//!
//! What always holds: a test goes to what stands in the field, saved or not, and saves nothing; nothing is saved that was not
//! shown for confirmation; what was typed stays in the fields until it is saved or taken back, and is kept sealed meanwhile.

mod wait;

use super::Web;
use super::draft;
use super::fault::Fault;
use super::form::{self, Fields};
use super::note::{Note, Remark as _, remarks};
use super::reply::{Answer, Entry, Reply, Trouble};
use super::standing::StandingView;
use super::texts::{Texts, texts};
use super::turn;
use super::visit::Visit;
use crate::model::{EmailAddress, Plan, Priority};
use crate::service::contact_test::Ordered;
use crate::service::profile::{self, Addresses, Change, Saved};
use crate::service::session::Visitor;
use axum::extract::State;
use axum::routing::get;
use axum::{Extension, Router};
use serde::Serialize;

/// The page.
const PAGE: &str = "/account/profile";
/// Its question before anything is saved.
const CONFIRM: &str = "/account/profile/confirm";
/// How a test goes on.
const WAIT: &str = "/account/profile/test";
/// The inputs, first first.
const INPUTS: [&str; 3] = ["mail1", "mail2", "mail3"];
/// What the confirmation says that the member was shown, first first.
const SHOWN: [&str; 3] = ["was1", "was2", "was3"];

remarks! {
    /// What the page has to say; a digit names the place.
    enum Say in "profile" {
        /// It is saved.
        Saved = "saved",
        /// Nothing was changed.
        Same = "same",
        /// The addresses were changed elsewhere.
        Moved = "moved",
        /// No mail address.
        Bad1 = "bad1",
        /// No mail address.
        Bad2 = "bad2",
        /// No mail address.
        Bad3 = "bad3",
        /// The same as the one above.
        Twice2 = "twice2",
        /// The same as one above.
        Twice3 = "twice3",
        /// Nothing to test.
        Empty1 = "empty1",
        /// Nothing to test.
        Empty2 = "empty2",
        /// Nothing to test.
        Empty3 = "empty3",
        /// Tested too often.
        Often1 = "often1",
        /// Tested too often.
        Often2 = "often2",
        /// Tested too often.
        Often3 = "often3",
        /// Not written to.
        Stopped1 = "stopped1",
        /// Not written to.
        Stopped2 = "stopped2",
        /// Not written to.
        Stopped3 = "stopped3",
        /// The member tested too often.
        Many = "many",
        /// The plan has no mail.
        NoMail = "no-mail",
    }
}

impl Say {
    /// Finds the remark of that kind about a place.
    fn about(kind: &str, place: Priority) -> Option<Self> {
        let code = format!("{kind}{place}");
        Self::ALL.iter().copied().find(|say| say.code() == code)
    }
}

#[derive(Serialize)]
struct ProfilePage {
    person: Person,
    action: &'static str,
    /// Has what was typed kept where the session goes on under another name.
    keep: String,
    /// Whether tests may be sent.
    mail: bool,
    saved: bool,
    same: bool,
    unsaved: bool,
    slots: Vec<Slot>,
    errors: Vec<Fault>,
}

/// What is registered about the member, not to be changed here (R065).
#[derive(Serialize)]
struct Person {
    id: String,
    department: Option<String>,
    kana: Option<String>,
    name: String,
}

#[derive(Serialize)]
struct Slot {
    number: String,
    input: &'static str,
    value: String,
    standing: Option<StandingView>,
}

#[derive(Serialize)]
struct ConfirmPage {
    action: &'static str,
    back: &'static str,
    changes: Vec<Line>,
    /// An address goes.
    lost: bool,
    /// The last one goes.
    none: bool,
    /// What is sent back with the OK: names and values.
    sent: Vec<(&'static str, String)>,
}

#[derive(Serialize)]
struct Line {
    number: String,
    what: &'static str,
    old: Option<String>,
    new: Option<String>,
}

/// The pages of this file.
pub(super) fn routes() -> Router<Web> {
    Router::new()
        .route("/account/profile", get(show).post(take))
        .route("/account/profile/confirm", get(confirm).post(save))
        .route("/account/profile/test", get(wait::show))
}

/// What stands in the inputs, first first.
fn typed(fields: &Fields) -> [&str; 3] {
    INPUTS.map(|name| fields.get(name))
}

fn written(addresses: &Addresses) -> [String; 3] {
    addresses.each_ref().map(|address| address.as_ref().map(ToString::to_string).unwrap_or_default())
}

/// GET `/account/profile`.
async fn show(State(web): State<Web>, Extension(visit): Extension<Visit>) -> Answer {
    let visitor = match turn::full(&visit) {
        Ok(visitor) => visitor,
        Err(reply) => return Ok(reply),
    };
    let t = texts(visit.language());
    let present = web.profile().addresses(visitor.member.id).await?;
    let kept = draft::find(&web, &visit).await?.map(|kept| typed(&kept).map(str::to_owned));
    let unsaved = kept.as_ref().is_some_and(|kept| *kept != written(&present));
    let slots = slots(&web, t, visitor, &present, kept).await?;
    let note = visit.note();
    let says: Vec<Say> = note.iter().flat_map(Note::remarks).collect();
    Ok(Reply::page(
        "profile.html",
        &ProfilePage {
            person: Person {
                id: visitor.member.login.to_string(),
                department: visitor.member.department.clone(),
                kana: visitor.member.kana.clone(),
                name: visitor.member.name.clone(),
            },
            action: PAGE,
            keep: form::keeper(web.key().reveal(), visit.tie(), visitor.member.id),
            mail: visitor.policy.plan != Plan::Smartphone,
            saved: says.contains(&Say::Saved),
            same: says.contains(&Say::Same),
            unsaved,
            slots,
            errors: says
                .iter()
                .filter_map(|say| fault(*say, t))
                .chain(note.iter().filter_map(|note| Fault::late(note, t)))
                .collect(),
        },
    ))
}

async fn slots(
    web: &Web,
    t: &Texts,
    visitor: &Visitor,
    present: &Addresses,
    kept: Option<[String; 3]>,
) -> Result<Vec<Slot>, Trouble> {
    let standings = web.reach().of_member(visitor.member.id).await?;
    let values = kept.unwrap_or_else(|| written(present));
    let slot = |((place, input), value): ((Priority, &'static str), String)| {
        // What is known belongs to the address that is saved, not to another one that was typed.
        let known = standings.iter().find(|(taken, address, _)| *taken == place && address.to_string() == value);
        let standing = known.map(|(.., standing)| StandingView::of(web, t, standing));
        Slot { number: place.to_string(), input, value, standing }
    };
    Ok(Priority::ALL.into_iter().zip(INPUTS).zip(values).map(slot).collect())
}

/// Says what is to be put right, and where; each by its number, as the same may be said of several.
fn fault(say: Say, t: &Texts) -> Option<Fault> {
    let [first, second, third] = INPUTS.map(|input| {
        let number = input.trim_start_matches("mail");
        move |text: &str| Fault::in_field(input, t.profile.at.replace("{number}", number).replace("{fault}", text))
    });
    Some(match say {
        Say::Saved | Say::Same => return None,
        Say::Moved => Fault::plain(t.profile.moved),
        Say::Many => Fault::plain(t.profile.many),
        Say::NoMail => Fault::plain(t.profile.phone_plan),
        Say::Bad1 => first(t.profile.bad),
        Say::Bad2 => second(t.profile.bad),
        Say::Bad3 => third(t.profile.bad),
        Say::Twice2 => second(t.profile.twice),
        Say::Twice3 => third(t.profile.twice),
        Say::Empty1 => first(t.profile.empty),
        Say::Empty2 => second(t.profile.empty),
        Say::Empty3 => third(t.profile.empty),
        Say::Often1 => first(t.profile.often),
        Say::Often2 => second(t.profile.often),
        Say::Often3 => third(t.profile.often),
        Say::Stopped1 => first(t.profile.stopped),
        Say::Stopped2 => second(t.profile.stopped),
        Say::Stopped3 => third(t.profile.stopped),
    })
}

/// POST `/account/profile`: orders a test, takes back what was typed, or goes on to the question.
async fn take(State(web): State<Web>, Extension(visit): Extension<Visit>, Entry(fields): Entry) -> Answer {
    let visitor = match turn::full(&visit) {
        Ok(visitor) => visitor,
        Err(reply) => return Ok(reply),
    };
    let member = visitor.member.id;
    if !fields.get("reset").is_empty() {
        return Ok(Reply::see(PAGE.to_owned()));
    }
    web.drafts().keep(member, PAGE, fields.pairs(), web.now()).await?;
    if let Ok(place) = fields.get("test").parse::<Priority>() {
        return test(&web, &visit, visitor, &fields, place).await;
    }
    Ok(match profile::read(typed(&fields)) {
        Err(faults) => again(faults.into_iter().filter_map(|(place, fault)| Say::about(kind(fault), place))),
        Ok(wanted) if wanted == web.profile().addresses(member).await? => {
            web.drafts().forget(member, PAGE).await?;
            again([Say::Same])
        }
        Ok(_) => Reply::see(CONFIRM.to_owned()),
    })
}

const fn kind(fault: profile::Fault) -> &'static str {
    match fault {
        profile::Fault::Form => "bad",
        profile::Fault::Twice => "twice",
    }
}

/// Sends the browser to the page, with something to say.
fn again(says: impl IntoIterator<Item = Say>) -> Reply {
    let says: Vec<Say> = says.into_iter().collect();
    Reply::see(PAGE.to_owned()).noting(&Note::all(&says))
}

/// Orders a test of what stands in the field of a place (R104), in the language of this page (R107).
async fn test(web: &Web, visit: &Visit, visitor: &Visitor, fields: &Fields, place: Priority) -> Answer {
    let [first, second, third] = typed(fields);
    let text = match place {
        Priority::First => first,
        Priority::Second => second,
        Priority::Third => third,
    };
    let about = |kind| Ok(again(Say::about(kind, place)));
    if text.trim().is_empty() {
        return about("empty");
    }
    let Ok(to) = EmailAddress::typed(text) else { return about("bad") };
    match web.contact_tests().order(visitor, to, visit.language(), web.random()?, web.now()).await? {
        Ordered::Sent(_) => Ok(Reply::see(WAIT.to_owned())),
        Ordered::TooOften { .. } => about("often"),
        Ordered::Suppressed => about("stopped"),
        Ordered::TooMany { .. } => Ok(again([Say::Many])),
        Ordered::NoMail => Ok(again([Say::NoMail])),
    }
}

/// GET `/account/profile/confirm`: shows what would change (R072).
async fn confirm(State(web): State<Web>, Extension(visit): Extension<Visit>) -> Answer {
    let visitor = match turn::full(&visit) {
        Ok(visitor) => visitor,
        Err(reply) => return Ok(reply),
    };
    let member = visitor.member.id;
    let back = || Ok(Reply::see(PAGE.to_owned()));
    let Some(kept) = web.drafts().find(member, PAGE, web.now()).await?.map(Fields::from) else { return back() };
    let Ok(wanted) = profile::read(typed(&kept)) else { return back() };
    let present = web.profile().addresses(member).await?;
    let changes = profile::changes(&present, &wanted);
    if changes.is_empty() {
        return back();
    }
    let t = texts(visit.language());
    Ok(Reply::page(
        "profile_confirm.html",
        &ConfirmPage {
            action: CONFIRM,
            back: PAGE,
            lost: present.iter().flatten().any(|old| !wanted.iter().flatten().any(|new| new.folded() == old.folded())),
            none: wanted.iter().all(Option::is_none),
            changes: changes.iter().map(|(place, change)| line(*place, change, t)).collect(),
            sent: INPUTS.into_iter().zip(written(&wanted)).chain(SHOWN.into_iter().zip(written(&present))).collect(),
        },
    ))
}

fn line(place: Priority, change: &Change, t: &Texts) -> Line {
    let number = place.to_string();
    match change {
        Change::Add(new) => Line { number, what: t.profile.confirm_add, old: None, new: Some(new.to_string()) },
        Change::Replace(old, new) => {
            let (old, new) = (Some(old.to_string()), Some(new.to_string()));
            Line { number, what: t.profile.confirm_replace, old, new }
        }
        Change::Remove(old) => Line { number, what: t.profile.confirm_remove, old: Some(old.to_string()), new: None },
    }
}

/// POST `/account/profile/confirm`: saves what was shown.
async fn save(State(web): State<Web>, Extension(visit): Extension<Visit>, Entry(fields): Entry) -> Answer {
    let visitor = match turn::full(&visit) {
        Ok(visitor) => visitor,
        Err(reply) => return Ok(reply),
    };
    let Ok(wanted) = profile::read(typed(&fields)) else { return Ok(Reply::see(PAGE.to_owned())) };
    let Some(shown) = profile::shown(SHOWN.map(|name| fields.get(name))) else { return Ok(again([Say::Moved])) };
    Ok(match web.profile().save(visitor, shown, wanted, web.now()).await? {
        Saved::Saved => {
            web.drafts().forget(visitor.member.id, PAGE).await?;
            again([Say::Saved])
        }
        Saved::Moved => again([Say::Moved]),
    })
}
