//! The one reason a job is not moving now, and when it will.
//!
//! Decides on what is stored with the job and, while a daemon runs, on a picture of its lanes; never on a text. What always
//! holds: there is one reason, the one that has to go first for the job to move; its name never changes meaning.

use super::Live;
use crate::model::{Span, Timestamp};
use crate::queue::turn::is_urgent;
use crate::queue::view::{DestinationView, JobView, KeptBack, Shut, Standing, View, Wait};
use crate::queue::{Cause, Job, State, retry};

/// Why a job is not moving.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reason {
    /// Its name, for scripts.
    pub(super) cause: &'static str,
    /// The same as a sentence.
    pub(super) text: String,
    /// When it moves, or is looked at again; nothing where no moment can be named.
    pub(super) until: Option<Timestamp>,
    /// The destination it goes to, where that plays a part.
    pub(super) destination: Option<String>,
}

impl Reason {
    fn new(cause: &'static str, text: impl Into<String>) -> Self {
        Self { cause, text: text.into(), until: None, destination: None }
    }

    fn until(self, until: Timestamp) -> Self {
        Self { until: Some(until), ..self }
    }

    fn at(self, destination: &str) -> Self {
        Self { destination: Some(destination.to_owned()), ..self }
    }
}

/// Delivery at work, and the picture of it that all answers to one request share.
pub(super) struct Sight<'a> {
    live: &'a dyn Live,
    view: View,
}

impl<'a> Sight<'a> {
    /// Looks once.
    pub(super) fn of(live: &'a dyn Live) -> Self {
        Self { live, view: live.view() }
    }

    fn destination(&self, name: &str) -> Option<&DestinationView> {
        self.view.destinations.iter().find(|view| view.name == name)
    }

    /// Says why a job's domain is kept back, where the job waits for that to end; what somebody waits for is tried by its own
    /// schedule.
    fn kept(&self, job: &Job, now: Timestamp) -> Option<KeptBack> {
        let waits = job.due <= now || matches!(job.last_cause, Some(Cause::Dns | Cause::Tls));
        let kept = self.view.kept.get(job.order.to.domain())?;
        (waits && !is_urgent(job.order.class)).then_some(*kept)
    }
}

/// Finds the reason. `sight` is nothing while no daemon runs.
pub(super) fn reason(job: &Job, sight: Option<&Sight<'_>>, now: Timestamp) -> Reason {
    match job.state {
        State::Queued | State::Deferred | State::Unknown => waiting(job, sight, now),
        State::Sending => claimed(job, sight, now),
        State::Held => held(job),
        State::Accepted => Reason::new("ended", format!("the receiving server took it{}", after(job))),
        State::Refused => Reason::new("ended", format!("the receiving server refused it for good{}", after(job))),
        State::Expired => Reason::new("ended", format!("its time was over at {}{}", job.order.give_up, after(job))),
        State::Suppressed => Reason::new("ended", "the address is not written to any more"),
        State::Cancelled => Reason::new("ended", "called back"),
    }
}

/// What was said last.
fn after(job: &Job) -> String {
    let said = job.last.as_ref().map(|(stage, reply)| match reply.code {
        0 => format!(" after: {reply} ({stage})"),
        code => format!(" after: {code} {reply} ({stage})"),
    });
    said.unwrap_or_default()
}

fn held(job: &Job) -> Reason {
    let since = job.held_since.map(|since| format!(" since {since}")).unwrap_or_default();
    Reason::new("held", format!("held by the operator{since}, until: karamail queue release {}", job.id))
}

fn waiting(job: &Job, sight: Option<&Sight<'_>>, now: Timestamp) -> Reason {
    if job.state == State::Unknown && job.due >= job.order.give_up {
        let text = format!("the connection was lost when it may have been taken; not sent again{}", after(job));
        return Reason::new("lost", text);
    }
    if job.order.give_up <= now {
        let text = format!("its time was over at {}: it ends at the next look{}", job.order.give_up, after(job));
        return Reason::new("over", text);
    }
    let Some(sight) = sight else {
        return if job.due > now {
            not_due(job)
        } else {
            Reason::new("daemon-down", "due now, but no daemon is running")
        };
    };
    if let Some(view) = sight.live.job(job.id) {
        return in_memory(job, &view, now);
    }
    let name = sight.live.destination(job.order.to.domain());
    let found = sight.destination(&name);
    let standing = found.map(|view| view.standing);
    if let Some(kept) = sight.kept(job, now).filter(|kept| !is_shut_for_longer(standing, kept.until)) {
        return kept_back(kept, job);
    }
    match standing {
        // The destination has them tried again as soon as it is there.
        Some(Standing::Shut { why, until }) if job.due <= now || waits_for_destination(job) => {
            shut(why, until.max(job.due), &name, job)
        }
        _ if job.due > now => not_due(job),
        _ => unclaimed(job, found, now).at(&name),
    }
}

/// Says whether a destination is shut, and nothing will probe it before a domain's mail is tried.
fn is_shut_for_longer(standing: Option<Standing>, than: Timestamp) -> bool {
    matches!(standing, Some(Standing::Shut { until, .. }) if until > than)
}

/// Says whether a deferred job is woken when its destination is there again.
fn waits_for_destination(job: &Job) -> bool {
    match job.last_cause {
        Some(Cause::Unreachable | Cause::Throttled | Cause::Tls | Cause::Lost) => true,
        Some(Cause::Dns | Cause::NoKey | Cause::Ours | Cause::Greylisted | Cause::Full | Cause::Said) | None => false,
    }
}

/// A job whose moment has not come.
fn not_due(job: &Job) -> Reason {
    let due = job.due;
    if job.state == State::Unknown {
        let text = format!("the connection was lost when it may have been taken; one more try at {due}{}", after(job));
        return Reason::new("lost", text).until(due);
    }
    let (class, queued_at) = (job.order.class, job.order.queued_at);
    if job.attempts == 0 && !retry::may_start(class, queued_at) && job.order.due > queued_at {
        return Reason::new("full-hour", format!("mails of its class keep off the full hour; due at {due}")).until(due);
    }
    let (cause, what) = match job.last_cause {
        Some(Cause::Greylisted) => ("greylisted", "the server wants to see us come back"),
        Some(Cause::NoKey) => ("no-key", "a key that signs or seals it is missing"),
        Some(Cause::Dns) => ("dns", "the name servers do not say where to"),
        Some(Cause::Unreachable) => ("retry", "no server could be reached"),
        Some(Cause::Throttled) => ("retry", "the server asked to slow down"),
        Some(Cause::Tls) => ("tls", "the connection was not as secure as it has to be"),
        Some(Cause::Full) => ("retry", "the mailbox was full"),
        Some(Cause::Lost) => ("retry", "the connection was lost on the way"),
        Some(Cause::Ours) => ("retry", "we could not send it ourselves"),
        Some(Cause::Said) => ("retry", "the server said not now"),
        None if job.attempts > 0 => ("retry", "it could not be sent"),
        None => return Reason::new("not-due", format!("not due before {due}")).until(due),
    };
    Reason::new(cause, format!("{what}; another try at {due}{}", after(job))).until(due)
}

/// A job that is due, and that no worker has claimed yet.
fn unclaimed(job: &Job, destination: Option<&DestinationView>, now: Timestamp) -> Reason {
    let class = job.order.class;
    if !retry::may_start(class, now) {
        let until = retry::polite(class, now, 0.0);
        return Reason::new("full-hour", format!("mails of its class keep off the full hour until {until}"))
            .until(until);
    }
    let rank = usize::try_from(class.rank()).unwrap_or(usize::MAX);
    match destination.and_then(|view| view.waiting.get(rank)) {
        Some(waiting @ 1..) => {
            Reason::new("queue", format!("at least {waiting} mails of its class go before it to the same destination"))
        }
        Some(0) | None => Reason::new("next", format!("due now: about to be claimed{}", after(job))),
    }
}

fn claimed(job: &Job, sight: Option<&Sight<'_>>, now: Timestamp) -> Reason {
    if let Some(view) = sight.and_then(|sight| sight.live.job(job.id)) {
        return in_memory(job, &view, now);
    }
    match &job.lease {
        Some(lease) if lease.until <= now => {
            Reason::new("worker-lost", format!("its worker was lost at {}: about to be queued again", lease.until))
        }
        Some(lease) if sight.is_none() => {
            let text = format!("no daemon is running; queued again at its start, or at {}", lease.until);
            Reason::new("daemon-down", text)
        }
        Some(lease) => {
            let text = format!("being sent; if its worker is lost, queued again at {}", lease.until);
            Reason::new("sending", text)
        }
        None => Reason::new("sending", "being sent"),
    }
}

/// A job that waits for its turn in memory.
fn in_memory(job: &Job, view: &JobView, now: Timestamp) -> Reason {
    let name = view.destination.as_deref().unwrap_or_default();
    let ahead = match view.ahead {
        0 => String::new(),
        1 => "; one mail of its class goes before it".to_owned(),
        more => format!("; {more} mails of its class go before it"),
    };
    let reason = match view.wait {
        Wait::Sending => Reason::new("sending", "being given to a server"),
        Wait::Shut { why, until } => return shut(why, until, name, job),
        Wait::Rate { next, limit } => {
            let behind = i64::try_from(view.ahead).unwrap_or(i64::MAX).saturating_mul(limit.spacing_micros()) / 1_000;
            let turn = next.max(now).plus(Span::from_millis(behind));
            Reason::new("rate", format!("{name} gets no more than {limit}{ahead}; its turn comes at {turn}"))
                .until(turn)
        }
        Wait::Connections { connections, allowed } if connections >= allowed => {
            let text = format!("all {connections} connections that {name} gets are busy{ahead}");
            Reason::new("connections", text)
        }
        Wait::Connections { connections, .. } => {
            let text =
                format!("as many connections are open as there may be in all, {connections} of them to {name}{ahead}");
            Reason::new("connections", text)
        }
        Wait::FullHour { until } => {
            Reason::new("full-hour", format!("mails of its class keep off the full hour until {until}{ahead}"))
                .until(until)
        }
        Wait::Resolving => Reason::new("resolving", "the servers of its domain are being looked up"),
        Wait::Next => Reason::new("next", format!("goes with the next free connection{ahead}")),
    };
    if name.is_empty() { reason } else { reason.at(name) }
}

fn shut(why: Shut, until: Timestamp, name: &str, job: &Job) -> Reason {
    let what = match why {
        Shut::Down => "is suspended: no server of it could be reached",
        Shut::Throttled => "is suspended: it asked to slow down",
        Shut::UnknownUsers => "is paused: too many of its last recipients were unknown",
    };
    let text = format!("{name} {what}; one mail tries again at {until} at the latest{}", after(job));
    Reason::new(why.as_str(), text).until(until).at(name)
}

/// The names or the demands of the domain keep its mail from servers that may be there.
fn kept_back(kept: KeptBack, job: &Job) -> Reason {
    let what = match kept.cause {
        Cause::Tls => "no connection was as secure as it has to be",
        _ => "the name servers do not say where to",
    };
    let (domain, until) = (job.order.to.domain(), kept.until.max(job.due));
    let text = format!(
        "all mail to {domain} is kept back: {what}; one mail tries again at {until} at the latest{}",
        after(job)
    );
    Reason::new(kept.cause.as_str(), text).until(until)
}

#[cfg(test)]
mod tests;
