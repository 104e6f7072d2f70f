//! Mails that are kept whole: to `postmaster@` and `abuse@`, and to the return paths of our own mails.

use super::Arrival;
use crate::mail::read::Mark;
use crate::maillog;
use crate::model::{Budget, EmailAddress, JobId, MailId, Network, Span};
use crate::queue::retry::polite;
use crate::queue::{Class, Content, NewJob};
use crate::service::registration::{Memory, is_own_mail};
use crate::store::{NewMail, StoreError, Tx};

impl Arrival {
    /// Keeps what came back to a mail of ours.
    pub(super) fn take_returned(&self, tx: &mut Tx<'_>, to: &EmailAddress, job: JobId) -> Result<MailId, StoreError> {
        // One mail of ours comes back once or twice; only the recipient's system knows its return path.
        let limit = Limit { budget: Budget::new(10, Span::from_secs(86_400)), scope: "kept-job", key: job.to_string() };
        match self.keep(tx, to, "return-path", &limit)? {
            Kept::Yes(mail) => {
                maillog::kept(tx, mail, Some(job), "return-path", self.received.at)?;
                Ok(mail)
            }
            Kept::No(mail) => Ok(mail),
        }
    }

    /// Keeps a mail to `postmaster@` or `abuse@` and hands it on to the operator, if there is one.
    pub(super) fn take_for_operator(&self, tx: &mut Tx<'_>, to: &EmailAddress) -> Result<MailId, StoreError> {
        let limit = Limit {
            budget: Budget::new(100, Span::from_secs(3_600)),
            scope: "kept-network",
            key: Network::around(self.received.peer).to_string(),
        };
        let mail = match self.keep(tx, to, "postmaster", &limit)? {
            Kept::Yes(mail) => mail,
            Kept::No(mail) => return Ok(mail),
        };
        maillog::kept(tx, mail, None, "postmaster", self.received.at)?;
        if let Some(operator) = self.settings.operator.as_ref().filter(|_| self.may_be_forwarded()) {
            let at = self.received.at;
            let order = NewJob {
                class: Class::Notice,
                to: operator.clone(),
                content: Content::Forward { mail },
                language: None,
                cause: Some(mail),
                queued_at: at,
                due: polite(Class::Notice, at, self.chance),
                give_up: at.plus(self.settings.forward_give_up),
            };
            let job = tx.enqueue(&order)?;
            maillog::queued(tx, job, &order)?;
        }
        Ok(mail)
    }

    /// What an answering machine of the operator's, a bounce or a program of ours sent would come back for ever. Reports
    /// and lists go through: complaints come as reports.
    fn may_be_forwarded(&self) -> bool {
        let answering = [Mark::NullReturnPath, Mark::AutoSubmitted, Mark::Loop];
        self.received.envelope_sender.address().is_some()
            && self.reading.marks.is_disjoint(&answering.into())
            && !is_own_mail(&self.facts(Memory::NONE))
    }

    fn keep(
        &self,
        tx: &mut Tx<'_>,
        to: &EmailAddress,
        reason: &'static str,
        limit: &Limit,
    ) -> Result<Kept, StoreError> {
        let Some(until) = limit.budget.admit(tx.budget(limit.scope, &limit.key)?, self.received.at) else {
            return self.stay(tx, to, "too-many").map(Kept::No);
        };
        tx.set_budget(limit.scope, &limit.key, until)?;
        let row = NewMail { raw: Some(self.received.message.clone()), ..self.row(to, "kept", Some(reason)) };
        let mail = tx.remember_mail(&row)?;
        maillog::received(tx, mail, &self.received, to)?;
        Ok(Kept::Yes(mail))
    }
}

/// How many mails are kept whole, so that nobody can fill the disk with them.
struct Limit {
    budget: Budget,
    scope: &'static str,
    key: String,
}

enum Kept {
    Yes(MailId),
    /// There were too many; the mail is remembered, its text is not.
    No(MailId),
}
