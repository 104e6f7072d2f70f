//! One mail on its way to a server, and what a server's word means for it.
//!
//! Knows nothing of connections or of other mails. What always holds: the other form of an odd local part is tried once, and
//! only after a server has refused the syntax of the first.

use super::line::Trip;
use crate::model::{Carrier, Reply, ReversePath, Stage, Timestamp};
use crate::queue::{Blame, Cause, Job, Outcome, Verdict, verdict};
use crate::service::compose::Outgoing;
use crate::smtp::client::{After, Ending, Envelope, Letter, Unfit, Upshot};
use std::sync::Arc;

/// A mail that is written and to be sent.
pub(super) struct Errand {
    pub(super) job: Job,
    pub(super) trip: Trip,
    pub(super) letter: Arc<Letter>,
    /// Since when it is being sent.
    pub(super) began: Timestamp,
    /// The local part is written in the form that is not the remembered one.
    otherwise: bool,
}

impl Errand {
    pub(super) fn new(job: Job, trip: Trip, mail: Outgoing, now: Timestamp) -> Self {
        let Outgoing { sender, to, form, message } = mail;
        let envelope = Envelope { sender: ReversePath::Address(sender), recipient: to };
        let letter = Letter { envelope, form, message, give_up: job.order.give_up };
        Self { job, trip, letter: Arc::new(letter), began: now, otherwise: false }
    }

    /// Writes the recipient's local part in its other form, where the server refused the syntax of the first; says whether
    /// the mail is to be tried again so.
    pub(super) fn turn_over(&mut self, ending: &Ending) -> bool {
        let recipient = &self.letter.envelope.recipient;
        let turns = !self.otherwise
            && ending.after != After::Gone
            && refuses_syntax(&ending.upshot)
            && recipient.to_wire_raw().is_some();
        if turns {
            let letter = Letter::clone(&self.letter);
            self.letter = Arc::new(Letter { form: letter.form.other(), ..letter });
            self.otherwise = true;
        }
        turns
    }

    /// Ends the errand; gives what is told of it.
    pub(super) fn end(self, server: Option<&str>, upshot: Upshot, now: Timestamp) -> (Job, Trip, Outcome) {
        let Self { job, mut trip, letter, began, otherwise } = self;
        trip.delays.send = now.since(began);
        trip.form = (otherwise && is_read(&upshot)).then_some(letter.form);
        let outcome = outcome_of(Carrier::of(job.order.to.domain(), server), upshot);
        (job, trip, outcome)
    }
}

fn refuses_syntax(upshot: &Upshot) -> bool {
    matches!(upshot, Upshot::Refused { stage, reply } if verdict::wants_raw(*stage, reply))
}

/// Says whether the server has read the recipient's address, whatever it thought of it.
fn is_read(upshot: &Upshot) -> bool {
    match upshot {
        Upshot::Accepted(_) | Upshot::Unknown(_) => true,
        Upshot::Refused { stage, .. } => *stage >= Stage::Rcpt && !refuses_syntax(upshot),
        Upshot::Broken { .. } | Upshot::Expired | Upshot::Unfit(_) => false,
    }
}

/// Says whether the next server may be asked: this one broke off before the final dot, or said that it closes.
pub(super) const fn goes_on(ending: &Ending) -> bool {
    match &ending.upshot {
        Upshot::Broken { .. } => true,
        Upshot::Refused { reply, .. } => reply.code == 421,
        Upshot::Accepted(_) | Upshot::Unknown(_) | Upshot::Expired | Upshot::Unfit(_) => false,
    }
}

pub(super) const fn is_before_rcpt(upshot: &Upshot) -> bool {
    match upshot {
        Upshot::Broken { stage, .. } | Upshot::Refused { stage, .. } => matches!(stage, Stage::Mail),
        Upshot::Accepted(_) | Upshot::Unknown(_) | Upshot::Expired | Upshot::Unfit(_) => false,
    }
}

fn outcome_of(carrier: Option<Carrier>, upshot: Upshot) -> Outcome {
    match upshot {
        Upshot::Accepted(reply) => Outcome::Accepted(reply),
        Upshot::Refused { stage, reply } | Upshot::Broken { stage, reply } => verdict::judge(carrier, stage, reply),
        Upshot::Unknown(reply) => Outcome::Unknown(reply),
        Upshot::Expired => Outcome::Expired,
        Upshot::Unfit(unfit) => Outcome::Refused {
            stage: Stage::Mail,
            reply: Reply::none(&unfit.to_string()),
            verdict: match unfit {
                Unfit::TooLarge { .. } => Verdict::TooLarge,
                Unfit::EightBit | Unfit::Internationalised => Verdict::OurFault,
            },
        },
    }
}

/// Trouble of our own, before a server was given anything: the mail waits.
pub(super) fn ours(cause: Cause, why: &str) -> Outcome {
    Outcome::Deferred { stage: Stage::Data, reply: Reply::none(why), blame: Blame::Message, cause }
}
