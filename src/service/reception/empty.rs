//! Empty mails: the decision, and what follows from a yes.

use super::Arrival;
use crate::mail::MessageId;
use crate::maillog;
use crate::model::{Budget, EmailAddress, MailId, Network, OrgCode, RegistrationId, Timestamp};
use crate::queue::{Class, Content, NewJob};
use crate::service::audit;
use crate::service::landing;
use crate::service::registration::{Decision, Memory, decide};
use crate::store::{AddressState, StoreError, Tx};
use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

/// One more answer, as three limits see it.
struct Room {
    limits: [(&'static str, String, Option<Timestamp>); 3],
}

impl Room {
    const fn memory(&self, seen: bool) -> Memory {
        let [(.., address), (.., domain), (.., network)] = &self.limits;
        Memory {
            seen,
            address_has_room: address.is_some(),
            domain_has_room: domain.is_some(),
            network_has_room: network.is_some(),
        }
    }

    fn use_up(&self, tx: &mut Tx<'_>) -> Result<(), StoreError> {
        for (scope, key, until) in &self.limits {
            if let Some(until) = until {
                tx.set_budget(scope, key, *until)?;
            }
        }
        Ok(())
    }
}

impl Arrival {
    /// Takes an empty mail and orders the answer, if it gets one.
    pub(super) fn take_empty(
        &self,
        tx: &mut Tx<'_>,
        to: &EmailAddress,
        org: Option<&OrgCode>,
    ) -> Result<MailId, StoreError> {
        // Asked without memory first: mail of machines leaves no traces but its row.
        match decide(&self.facts(Memory::NONE)) {
            Decision::Stay(reason) => self.stay(tx, to, reason.as_str()),
            Decision::Answer(address) => {
                let room = self.room(tx, &address)?;
                let memory = room.memory(self.was_seen(tx, &address)?);
                match decide(&self.facts(memory)) {
                    Decision::Stay(reason) => self.stay(tx, to, reason.as_str()),
                    Decision::Answer(address) => {
                        room.use_up(tx)?;
                        self.answer(tx, to, &address, org)
                    }
                }
            }
        }
    }

    /// Records that a mail is not answered.
    pub(super) fn stay(&self, tx: &mut Tx<'_>, to: &EmailAddress, reason: &'static str) -> Result<MailId, StoreError> {
        let mail = tx.remember_mail(&self.row(to, "ignored", Some(reason)))?;
        maillog::received(tx, mail, &self.received, to)?;
        maillog::ignored(tx, mail, self.received.at, self.received.envelope_sender.address(), reason)?;
        Ok(mail)
    }

    /// Orders the answer.
    fn answer(
        &self,
        tx: &mut Tx<'_>,
        to: &EmailAddress,
        address: &EmailAddress,
        org: Option<&OrgCode>,
    ) -> Result<MailId, StoreError> {
        let at = self.received.at;
        let mail = tx.remember_mail(&self.row(to, "answered", None))?;
        maillog::received(tx, mail, &self.received, to)?;
        revive(tx, address, at)?;
        // A link ends with a whole second, and so does what it opens.
        let seconds = at.plus(self.settings.link_lifetime).seconds();
        let expires = Timestamp::from_millis(seconds.saturating_mul(1_000));
        let registration = open(tx, address, org, at, expires)?;
        let order = NewJob {
            class: Class::Registration,
            to: address.clone(),
            content: Content::RegistrationReply {
                registration,
                key: self.key,
                expires: seconds,
                nonce: HEXLOWER.encode(&self.nonce),
            },
            language: None,
            cause: Some(mail),
            queued_at: at,
            due: at,
            give_up: at.plus(self.settings.answer_give_up).min(expires),
        };
        let job = tx.enqueue(&order)?;
        maillog::queued(tx, job, &order)?;
        audit::record(tx, landing::link(audit::LINK_ISSUED, registration, address), at)?;
        Ok(mail)
    }

    fn room(&self, tx: &mut Tx<'_>, address: &EmailAddress) -> Result<Room, StoreError> {
        let settings = &self.settings;
        let network = Network::around(self.received.peer).to_string();
        let mut limit = |budget: Budget, scope: &'static str, key: String| {
            let until = budget.admit(tx.budget(scope, &key)?, self.received.at);
            Ok::<_, StoreError>((scope, key, until))
        };
        let limits = [
            limit(settings.address_limit, "reply-address", address.folded())?,
            limit(settings.domain_limit, "reply-domain", address.domain().to_string())?,
            limit(settings.network_limit, "reply-network", network)?,
        ];
        Ok(Room { limits })
    }

    /// Whether this very mail came before: handed over twice as our 250 was lost, or to two addresses of ours. A mail
    /// without a Message-ID cannot be told from the next.
    fn was_seen(&self, tx: &mut Tx<'_>, sender: &EmailAddress) -> Result<bool, StoreError> {
        let Some(id) = &self.reading.message_id else { return Ok(false) };
        Ok(!tx.first_time(&fingerprint(sender, id), self.received.at)?)
    }
}

fn fingerprint(sender: &EmailAddress, id: &MessageId) -> [u8; 32] {
    let mut digest = Sha256::new();
    digest.update(sender.folded());
    // No address has a NUL, so that no two pairs give the same text.
    digest.update([0]);
    digest.update(id.as_str());
    digest.finalize().into()
}

/// Writes to an address again that was given up: its owner has just shown that it is alive.
fn revive(tx: &mut Tx<'_>, address: &EmailAddress, at: Timestamp) -> Result<(), StoreError> {
    let state = tx.address(address)?.map(|row| row.state);
    let given_up = matches!(state, Some(AddressState::Unreachable | AddressState::Suppressed));
    if given_up && tx.clear_address(address, at)? {
        maillog::marked(tx, address, AddressState::New.as_str(), at)?;
    }
    Ok(())
}

/// Opens a registration of the address, or gives the open one more time. An organisation that does not exist counts as
/// none; one that an earlier mail named stays until another is named.
fn open(
    tx: &mut Tx<'_>,
    address: &EmailAddress,
    org: Option<&OrgCode>,
    at: Timestamp,
    expires: Timestamp,
) -> Result<RegistrationId, StoreError> {
    let org = match org {
        Some(code) => tx.org(code)?.map(|org| org.code),
        None => None,
    };
    match tx.open_registration(address)?.filter(|open| open.expires > at) {
        Some(open) => {
            tx.renew_registration(open.id, org.or(open.org).as_ref(), expires.max(open.expires))?;
            Ok(open.id)
        }
        None => tx.begin_registration(address, org.as_ref(), at, expires),
    }
}
