//! Delivery at work, as the operator's desk and the metrics ask for it.

use crate::control::{Live, Recalled};
use crate::model::{Domain, JobId};
use crate::outbound::Board;
use crate::queue::Selection;
use crate::queue::view::{JobView, View};

/// Hands the board of the deliveries on.
pub(super) struct Deliveries(pub(super) Board);

impl Live for Deliveries {
    fn view(&self) -> View {
        self.0.view()
    }

    fn job(&self, job: JobId) -> Option<JobView> {
        self.0.job(job)
    }

    fn destination(&self, domain: &Domain) -> String {
        self.0.destination(domain)
    }

    fn recall(&self, which: &Selection) -> Recalled {
        let (owner, claims) = self.0.recall(which);
        Recalled { owner, claims }
    }

    fn wake(&self) {
        self.0.wake();
    }
}
