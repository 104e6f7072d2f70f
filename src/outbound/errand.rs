//! One mail on its way to a server, and what a server's word means for it.
//!
//! Where a server breaks off before it has judged the mail, or closes for a reason of its own (421 4.3.z and 4.4.z: it shuts
//! down, it is full), RFC 5321 5.1 lets the next server of the domain have it: one of them, once. Any other 421 asks us to slow
//! down, as Yahoo! JAPAN's `421 [TSS04]` does; the system says it, not one of its servers, so the mail waits for another try.
//! A connection that has carried a mail and is closed without a word before the next MAIL is answered was idle for too long for
//! the server: that says nothing, and the way begins anew, as it does for a mail whose commands went behind the body of another
//! that was the last one the server would have.
//!
//! Knows nothing of connections or of other mails. What always holds: the other form of an odd local part is tried once, and
//! only after a server has refused the syntax of the first; two servers at most break off on one mail in one attempt.

use super::line::Trip;
use crate::model::{Carrier, Reply, ReversePath, Stage, Timestamp};
use crate::queue::pace::Signal;
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
    /// A server has broken off on it in this attempt.
    moved_on: bool,
}

/// How a mail is tried once more that no server has judged.
pub(super) enum Detour {
    /// The recipient written otherwise.
    Otherwise,
    /// By a new connection, as the last one was over before this mail; what that said, if anything.
    Anew(Option<Signal>),
    /// By the next server; what the one before has said about the destination.
    Sibling(Signal),
}

impl Detour {
    /// Gives what was learned about the destination.
    pub(super) const fn signal(&self) -> Option<Signal> {
        match self {
            Self::Otherwise => None,
            Self::Anew(signal) => *signal,
            Self::Sibling(signal) => Some(*signal),
        }
    }
}

impl Errand {
    pub(super) fn new(job: Job, trip: Trip, mail: Outgoing, now: Timestamp) -> Self {
        let Outgoing { sender, to, form, message } = mail;
        let envelope = Envelope { sender: ReversePath::Address(sender), recipient: to };
        let letter = Letter { envelope, form, message, give_up: job.order.give_up };
        Self { job, trip, letter: Arc::new(letter), began: now, otherwise: false, moved_on: false }
    }

    /// Says how the mail is tried once more, where this was not its end; `served`: the connection had carried a mail before,
    /// `went_ahead`: behind whose body its commands had gone.
    pub(super) fn detour(&mut self, ending: &Ending, served: bool, went_ahead: bool) -> Option<Detour> {
        if self.turn_over(ending) {
            return Some(Detour::Otherwise);
        }
        let detour = match &ending.upshot {
            Upshot::Broken { stage: Stage::Mail, .. } if served => return Some(Detour::Anew(None)),
            Upshot::Broken { .. } => Detour::Sibling(Signal::Broken),
            Upshot::Refused { stage: Stage::Mail, reply } if went_ahead && reply.code == 421 => {
                Detour::Anew(Some(Signal::Throttled))
            }
            Upshot::Refused { reply, .. } if verdict::is_of_one_server(reply) => Detour::Sibling(Signal::Throttled),
            Upshot::Refused { .. } | Upshot::Accepted(_) | Upshot::Unknown(_) | Upshot::Expired | Upshot::Unfit(_) => {
                return None;
            }
        };
        let moved_on = std::mem::replace(&mut self.moved_on, true);
        (!moved_on).then_some(detour)
    }

    /// Writes the recipient's local part in its other form, where the server refused the syntax of the first; says whether
    /// the mail is to be tried again so.
    fn turn_over(&mut self, ending: &Ending) -> bool {
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
        let Self { job, mut trip, letter, began, otherwise, .. } = self;
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
