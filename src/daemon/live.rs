//! Delivery at work, as the operator's desk and the metrics ask for it.

use crate::control::{Live, Recalled};
use crate::model::{Domain, JobId};
use crate::outbound::Board;
use crate::queue::Selection;
use crate::queue::view::{JobView, View};

impl Live for Board {
    fn view(&self) -> View {
        Self::view(self)
    }

    fn job(&self, job: JobId) -> Option<JobView> {
        Self::job(self, job)
    }

    fn destination(&self, domain: &Domain) -> String {
        Self::destination(self, domain)
    }

    fn recall(&self, which: &Selection) -> Recalled {
        let (owner, claims) = Self::recall(self, which);
        Recalled { owner, claims }
    }

    fn wake(&self) {
        Self::wake(self);
    }
}
