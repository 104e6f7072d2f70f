//! Takes a mail in: remembers it, decides about it and orders the answer, all in one transaction.
//!
//! Knows nothing of sockets, and which of our addresses a recipient is was found out before ([`Destination`]). What always
//! holds: when [`Reception::receive`] returns an id, the mail and everything that follows from it are committed and
//! flushed, and whoever handed the mail over may be told 250; after an error nothing of it was kept. A mail with several
//! recipients is answered once.

mod empty;
mod kept;
#[cfg(test)]
mod tests;

use crate::keys::Keychain;
use crate::mail::read::{Reading, read};
use crate::model::{Budget, EmailAddress, JobId, MailId, OrgCode, Received, Span};
use crate::random::{NoChance, Random};
use crate::service::registration::{Facts, Memory, Own};
use crate::store::{NewMail, Store, StoreError, Tx};
use std::sync::Arc;

/// An address of ours, as what it is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// Empty mails go here.
    Registration {
        /// The address as configured.
        address: EmailAddress,
        /// The organisation that `bizanpi+CODE@…` names; whether there is such a one is not known yet.
        org: Option<OrgCode>,
    },
    /// The return path of a mail of ours.
    ReturnPath {
        /// That mail.
        job: JobId,
    },
    /// `postmaster@` or `abuse@` one of our domains (RFC 5321 4.5.1, RFC 2142 4).
    Postmaster {
        /// The address as received.
        address: EmailAddress,
    },
}

/// How mails are taken in.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What is ours.
    pub own: Own,
    /// How long a link lives.
    pub link_lifetime: Span,
    /// How many answers one address gets.
    pub address_limit: Budget,
    /// How many answers the addresses of one domain get together.
    pub domain_limit: Budget,
    /// How many answers the peers of one network get together.
    pub network_limit: Budget,
    /// How long an answer is tried to be delivered; never longer than its link lives.
    pub answer_give_up: Span,
    /// Who is sent what comes to `postmaster@` and `abuse@`.
    pub operator: Option<EmailAddress>,
    /// How long that is tried.
    pub forward_give_up: Span,
}

/// A mail could not be taken in; its sender is to try again later.
#[derive(Debug, thiserror::Error)]
pub enum ReceiveError {
    /// Nothing could be recorded.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No link can be made.
    #[error(transparent)]
    Chance(#[from] NoChance),
    /// There is no recipient.
    #[error("the mail is for nobody")]
    Nobody,
}

/// Takes mails in.
#[derive(Clone)]
pub struct Reception {
    store: Store,
    keys: Keychain,
    random: Random,
    settings: Arc<Settings>,
}

impl Reception {
    /// Puts a reception together.
    #[must_use]
    pub fn new(store: Store, keys: Keychain, random: Random, settings: Settings) -> Self {
        Self { store, keys, random, settings: Arc::new(settings) }
    }

    /// Takes a mail in; `to` says, in the order of its recipients, which of our addresses they are. Gives the id of the
    /// mail (with several destinations: of the first).
    ///
    /// # Errors
    /// Nothing was kept, see [`ReceiveError`].
    pub async fn receive(&self, received: Received, to: Vec<Destination>) -> Result<MailId, ReceiveError> {
        let destinations = distinct(received.recipients.iter().cloned().zip(to));
        let arrival = Arrival {
            reading: read(&received.message),
            received,
            key: self.keys.now().link().active().0,
            nonce: self.random.bytes()?,
            chance: self.random.fraction(),
            settings: Arc::clone(&self.settings),
        };
        self.store
            .write(move |tx| {
                let mut first = None;
                for (address, destination) in &destinations {
                    let id = arrival.take(tx, address, destination)?;
                    first.get_or_insert(id);
                }
                first.ok_or(ReceiveError::Nobody)
            })
            .await
    }
}

/// One of each kind: one registration address, the one that names an organisation first; one operator; each return path.
fn distinct(to: impl Iterator<Item = (EmailAddress, Destination)>) -> Vec<(EmailAddress, Destination)> {
    let mut kept: Vec<(EmailAddress, Destination)> = Vec::new();
    for (address, destination) in to {
        match kept.iter_mut().find(|(_, known)| is_same(known, &destination)) {
            Some(known) if names_org(&destination) && !names_org(&known.1) => *known = (address, destination),
            Some(_) => {}
            None => kept.push((address, destination)),
        }
    }
    kept
}

fn is_same(one: &Destination, other: &Destination) -> bool {
    match (one, other) {
        (Destination::Registration { .. }, Destination::Registration { .. })
        | (Destination::Postmaster { .. }, Destination::Postmaster { .. }) => true,
        (Destination::ReturnPath { job: one }, Destination::ReturnPath { job: other }) => one == other,
        (
            Destination::Registration { .. } | Destination::Postmaster { .. } | Destination::ReturnPath { .. },
            Destination::Registration { .. } | Destination::Postmaster { .. } | Destination::ReturnPath { .. },
        ) => false,
    }
}

const fn names_org(destination: &Destination) -> bool {
    matches!(destination, Destination::Registration { org: Some(_), .. })
}

/// A mail that has arrived, with all that is needed to record it; the transaction may have to run more than once.
struct Arrival {
    received: Received,
    reading: Reading,
    key: u16,
    nonce: [u8; 16],
    /// Spreads what can wait.
    chance: f64,
    settings: Arc<Settings>,
}

impl Arrival {
    fn take(&self, tx: &mut Tx<'_>, address: &EmailAddress, destination: &Destination) -> Result<MailId, StoreError> {
        match destination {
            Destination::Registration { org, .. } => self.take_empty(tx, address, org.as_ref()),
            Destination::ReturnPath { job } => self.take_returned(tx, address, *job),
            Destination::Postmaster { .. } => self.take_for_operator(tx, address),
        }
    }

    fn facts(&self, memory: Memory) -> Facts<'_> {
        Facts { sender: &self.received.envelope_sender, reading: &self.reading, own: &self.settings.own, memory }
    }

    /// The mail as it is remembered.
    fn row(&self, to: &EmailAddress, decision: &'static str, reason: Option<&'static str>) -> NewMail {
        let received = &self.received;
        NewMail {
            via: received.via,
            peer: received.peer,
            helo: received.helo.clone(),
            sender: received.envelope_sender.address().cloned(),
            to: to.clone(),
            message_id: self.reading.message_id.as_ref().map(|id| id.as_str().to_owned()),
            size: u64::try_from(received.message.len()).unwrap_or(u64::MAX),
            at: received.at,
            decision,
            reason,
            raw: None,
        }
    }
}
