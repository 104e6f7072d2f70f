//! What the DNS has to say about us, and what it does say.
//!
//! `records` turns what is known of an installation (`plan`) into the records to publish, `judge` compares what was found with them,
//! `ask` looks them up in between. All but the last are pure.
//!
//! Does not know the settings' file, nor how anything is shown. What always holds: a record that could not be looked up is
//! called neither right nor missing; an existing record that serves its purpose is right, however it is written.

mod ask;
mod judge;
mod plan;
mod records;

pub use ask::verify;
pub use judge::{State, Verdict};
pub use plan::{DkimHalf, Plan, Standing, Way};
pub use records::{Kind, Record, records};
