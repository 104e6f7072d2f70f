//! Tests of addresses that members type: the order, and what the link in the mail proves (R104, R109, R110).
//!
//! Knows nothing of pages or of how a mail is written. What always holds: a test goes to the address that was typed, saved
//! or not, and never more often than the limits say, however many ask at once (requirements, chapter 2); an address that is
//! not written to stays so; opening the link proves nothing, as scanners do that; pressing the button behind it proves once
//! that somebody reads mail there.

mod limit;
#[cfg(test)]
mod tests;

use super::audit::{self, By, Entry};
use super::landing::note_verified;
use super::session::Visitor;
use super::window;
use crate::keys::Keychain;
use crate::link::{Link, LinkError, Purpose};
use crate::maillog;
use crate::model::{ContactTestId, EmailAddress, Language, MemberId, Plan, Span, Timestamp};
use crate::queue::{Class, Content, NewJob};
use crate::store::{ContactTest, Member, Store, StoreError, Tx};
use data_encoding::HEXLOWER;

/// How tests are sent.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// How long a link lives.
    pub link_lifetime: Span,
    /// How long a mail is tried to be delivered; never longer than its link lives.
    pub give_up: Span,
}

/// What came of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ordered {
    /// The mail is on its way.
    Sent(ContactTestId),
    /// The member ordered as many as anybody may; the next one may be ordered then.
    TooMany {
        /// When.
        until: Timestamp,
    },
    /// That address got as many as any address may, whoever ordered them; the next one may be ordered then.
    TooOften {
        /// When.
        until: Timestamp,
    },
    /// The address is not written to.
    Suppressed,
    /// The organisation's plan has no mail (R109).
    NoMail,
}

/// What stands behind a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sight {
    /// A test that waits for somebody to press the button.
    Open(Box<ContactTest>),
    /// A test that arrived, and when somebody said so.
    Arrived(Box<ContactTest>, Timestamp),
    /// A link whose time is over.
    Expired {
        /// When it ended.
        until: Timestamp,
    },
    /// The link was cut on its way.
    Cut,
    /// The link is not ours.
    Forged,
}

/// Judges what a link leads to. `test` is the row it names.
#[must_use]
pub fn judge(link: Result<Link, LinkError>, test: Option<ContactTest>) -> Sight {
    let (link, over) = match link {
        Ok(link) => (link, false),
        Err(LinkError::Expired(link)) => (link, true),
        Err(LinkError::Incomplete) => return Sight::Cut,
        Err(LinkError::Forged) => return Sight::Forged,
    };
    match test.map(Box::new) {
        Some(test) => match test.arrived_at {
            Some(at) => Sight::Arrived(test, at),
            None if over => Sight::Expired { until: ends(&link) },
            None => Sight::Open(test),
        },
        None => Sight::Expired { until: ends(&link) },
    }
}

const fn ends(link: &Link) -> Timestamp {
    Timestamp::from_millis(link.expires.saturating_mul(1_000))
}

/// Orders tests, and takes what comes back.
#[derive(Clone)]
pub struct ContactTests {
    store: Store,
    keys: Keychain,
    settings: Settings,
}

/// An order, with all that is needed to record it; the transaction may have to run more than once.
struct Order {
    member: Member,
    to: EmailAddress,
    language: Language,
    key: u16,
    nonce: [u8; 16],
    at: Timestamp,
    settings: Settings,
}

impl ContactTests {
    /// Makes the service.
    #[must_use]
    pub const fn new(store: Store, keys: Keychain, settings: Settings) -> Self {
        Self { store, keys, settings }
    }

    /// Orders a test of the address `to` in the language of the page (R107); `nonce` is random.
    ///
    /// # Errors
    /// The database failed.
    pub async fn order(
        &self,
        visitor: &Visitor,
        to: EmailAddress,
        language: Language,
        nonce: [u8; 16],
        now: Timestamp,
    ) -> Result<Ordered, StoreError> {
        if visitor.policy.plan == Plan::Smartphone {
            return Ok(Ordered::NoMail);
        }
        let (key, _) = self.keys.now().link().active();
        let member = visitor.member.clone();
        let order = Order { member, to, language, key, nonce, at: now, settings: self.settings };
        self.store.write(move |tx| order.take(tx)).await
    }

    /// Gives the test that a member ordered last.
    ///
    /// # Errors
    /// The database failed.
    pub async fn last(&self, member: MemberId) -> Result<Option<ContactTest>, StoreError> {
        self.store.read(move |tx| tx.last_contact_test(member)).await
    }

    /// Looks behind a link.
    ///
    /// # Errors
    /// The database failed.
    pub async fn look(&self, token: &str, now: Timestamp) -> Result<Sight, StoreError> {
        let link = Link::verify(token, Purpose::ContactTest, self.keys.now().link(), now);
        let row = match &link {
            Ok(link) | Err(LinkError::Expired(link)) => Some(ContactTestId::new(link.row)),
            Err(LinkError::Incomplete | LinkError::Forged) => None,
        };
        let test = match row {
            Some(row) => self.store.read(move |tx| tx.contact_test(row)).await?,
            None => None,
        };
        Ok(judge(link, test))
    }

    /// Notes that somebody, or something, opened the page; the first time counts.
    ///
    /// # Errors
    /// The database failed.
    pub async fn note_opened(&self, test: &ContactTest, now: Timestamp) -> Result<(), StoreError> {
        if test.opened_at.is_some() {
            return Ok(());
        }
        let test = test.clone();
        self.store
            .write(move |tx| {
                if tx.note_test_opened(test.id, now)? {
                    maillog::opened(tx, test.id, test.job, &test.address, now)?;
                    record(tx, &test, audit::LINK_OPENED, By::Anybody, now)?;
                }
                Ok(())
            })
            .await
    }

    /// Takes the proof that somebody reads mail at the address; false where it came before.
    ///
    /// # Errors
    /// The database failed.
    pub async fn arrive(&self, test: &ContactTest, now: Timestamp) -> Result<bool, StoreError> {
        let test = test.clone();
        self.store
            .write(move |tx| {
                if !tx.note_test_arrived(test.id, now)? {
                    return Ok(false);
                }
                maillog::arrived(tx, test.id, test.job, &test.address, now)?;
                note_verified(tx, &test.address, now)?;
                // The button is pressed by whoever has the mail; nobody logs in for it.
                record(tx, &test, audit::LINK_FINISHED, By::Anybody, now)?;
                record(tx, &test, audit::ADDRESS_VERIFIED, By::Anybody, now)?;
                Ok(true)
            })
            .await
    }
}

/// Records what came of a test, under the member who ordered it.
fn record(tx: &mut Tx<'_>, test: &ContactTest, name: &'static str, by: By, now: Timestamp) -> Result<(), StoreError> {
    let Some(member) = tx.member_by_id(test.member)? else { return Ok(()) };
    let entry = Entry::of(name, &member, by).field("test", test.id.to_string()).address(&test.address);
    audit::record(tx, entry, now)
}

impl Order {
    /// Counts, judges and orders. What is not sent as its address is not written to counts all the same, so that nobody
    /// can ask for the state of many addresses.
    fn take(&self, tx: &mut Tx<'_>) -> Result<Ordered, StoreError> {
        let earliest = self.at.minus(limit::LONGEST);
        if let Some(until) = window::next(&limit::OF_A_MEMBER, &tx.contact_tests_by(self.member.id, earliest)?, self.at)
        {
            return Ok(Ordered::TooMany { until });
        }
        if let Some(until) = window::next(&limit::OF_AN_ADDRESS, &tx.contact_tests_to(&self.to, earliest)?, self.at) {
            return Ok(Ordered::TooOften { until });
        }
        // A link ends with a whole second, and so does what it opens.
        let seconds = self.at.plus(self.settings.link_lifetime).seconds();
        let expires = Timestamp::from_millis(seconds.saturating_mul(1_000));
        let test = tx.begin_contact_test(self.member.id, &self.to, self.at, expires)?;
        self.record(tx, test, audit::ADDRESS_TESTED)?;
        if tx.is_suppressed(&self.to)? {
            return Ok(Ordered::Suppressed);
        }
        let order = self.job(test, seconds, expires);
        let job = tx.enqueue(&order)?;
        tx.send_contact_test(test, job)?;
        maillog::queued(tx, job, &order)?;
        self.record(tx, test, audit::LINK_ISSUED)?;
        Ok(Ordered::Sent(test))
    }

    fn record(&self, tx: &mut Tx<'_>, test: ContactTestId, name: &'static str) -> Result<(), StoreError> {
        let entry = Entry::of(name, &self.member, By::Member).field("test", test.to_string()).address(&self.to);
        audit::record(tx, entry, self.at)
    }

    fn job(&self, test: ContactTestId, seconds: i64, expires: Timestamp) -> NewJob {
        let nonce = HEXLOWER.encode(&self.nonce);
        NewJob {
            class: Class::ContactTest,
            to: self.to.clone(),
            content: Content::ContactTest { test, key: self.key, expires: seconds, nonce },
            language: Some(self.language),
            cause: None,
            queued_at: self.at,
            due: self.at,
            give_up: self.at.plus(self.settings.give_up).min(expires),
        }
    }
}
