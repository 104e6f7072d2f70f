//! Delivery as a whole: from a job in the store over name servers and mail servers to its outcome in the store.

mod ahead;
mod clock;
mod crowds;
mod faults;
mod kept;
mod keys;
mod kinds;
mod lanes;
mod leases;
mod lies;
mod odd;
mod order;
mod passwords;
mod recovery;
mod routes;
mod slow;
mod suppression;
mod verdicts;
mod why;
pub mod world;
