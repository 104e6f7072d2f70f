//! Which of the waiting mails an operator means.
//!
//! Knows nothing of what is to be done with them. What always holds: everything that is given has to fit, and a selection
//! in which nothing is given fits no mail at all, so that a slip never means the whole queue.

use crate::model::{Domain, JobId};
use crate::queue::{Class, Job};

/// Which mails are meant; what is given holds for all of them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Selection {
    /// To addresses of this domain.
    pub to: Option<Domain>,
    /// Of this class.
    pub class: Option<Class>,
    /// Only these; empty: whatever their numbers.
    pub ids: Vec<JobId>,
}

impl Selection {
    /// Says whether nothing is given.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.to.is_none() && self.class.is_none() && self.ids.is_empty()
    }

    /// Says whether a mail is meant.
    #[must_use]
    pub fn fits(&self, job: &Job) -> bool {
        let to = self.to.as_ref().is_none_or(|domain| domain == job.order.to.domain());
        let class = self.class.is_none_or(|class| class == job.order.class);
        let id = self.ids.is_empty() || self.ids.contains(&job.id);
        !self.is_empty() && to && class && id
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{MailId, Span, Timestamp};
    use crate::queue::{Content, NewJob, State};

    fn job() -> Job {
        let at = Timestamp::from_millis(0);
        let order = NewJob {
            class: Class::Alert,
            to: "hanako@docomo.ne.jp".parse().unwrap(),
            content: Content::Forward { mail: MailId::new(1) },
            language: None,
            cause: None,
            queued_at: at,
            due: at,
            give_up: at,
        };
        Job {
            id: JobId::new(7),
            order,
            state: State::Queued,
            due: at,
            attempts: 0,
            lease: None,
            last: None,
            last_cause: None,
            held_since: None,
            held: Span::default(),
        }
    }

    #[test]
    fn whatever_is_given_has_to_fit_and_nothing_given_fits_nothing() {
        let of = |to: &str, class, ids: &[i64]| Selection {
            to: (!to.is_empty()).then(|| to.parse().unwrap()),
            class,
            ids: ids.iter().copied().map(JobId::new).collect(),
        };
        for (selection, fits) in [
            (of("", None, &[]), false),
            (of("docomo.ne.jp", None, &[]), true),
            (of("ne.jp", None, &[]), false),
            (of("", Some(Class::Alert), &[]), true),
            (of("", Some(Class::Otp), &[]), false),
            (of("", None, &[6, 7]), true),
            (of("", None, &[6]), false),
            (of("docomo.ne.jp", Some(Class::Otp), &[7]), false),
            (of("docomo.ne.jp", Some(Class::Alert), &[7]), true),
        ] {
            assert_eq!(selection.fits(&job()), fits, "{selection:?}");
        }
    }
}
