//! Delivery as it works at this moment, as far as an operator asks for it.
//!
//! The daemon has it; a command that works alone has not, and says so where it matters.

use crate::model::{Domain, JobId};
use crate::queue::Selection;
use crate::queue::view::{JobView, View};

/// Delivery at work.
pub trait Live: Send + Sync {
    /// Gives a picture of all destinations.
    fn view(&self) -> View;

    /// Gives what is known of one job's way, where it has been claimed here.
    fn job(&self, job: JobId) -> Option<JobView>;

    /// Names the destination that takes the mail of a domain, as far as that is known without asking anybody.
    fn destination(&self, domain: &Domain) -> String;

    /// Takes out of memory the mails that are meant and of which no server has heard. They stay claimed until whoever asked
    /// gives the claims back.
    fn recall(&self, which: &Selection) -> Recalled;

    /// Something waits in the store that may go now.
    fn wake(&self);
}

/// Claims that nobody works on any more.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Recalled {
    /// Whose they are.
    pub owner: String,
    /// The jobs, and the number of each claim.
    pub claims: Vec<(JobId, i64)>,
}
