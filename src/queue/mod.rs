//! What a mail that is to go out is, and what may happen to it, as values.
//!
//! Knows nothing of databases, sockets or the time passing: rows, replies and instants come in as arguments, the next
//! state comes out. What always holds: there is one transition function ([`state::next`]), an ended job stays ended, and an
//! unknown trouble counts as temporary.

pub mod destination;
pub mod job;
pub mod kept;
pub mod lanes;
pub mod outcome;
pub mod pace;
pub mod retry;
pub mod selection;
pub mod state;
pub mod turn;
pub mod verdict;
pub mod view;

pub use job::{Class, Content, Job, Lease, NewJob, Notice};
pub use outcome::{Attempt, Blame, Cause, Outcome, Verdict};
pub use selection::Selection;
pub use state::State;
