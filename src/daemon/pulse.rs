//! Whether the daemon lives: its database answers and delivery comes round.
//!
//! That the listeners are there needs no question: a task that ends by itself ends the daemon ([`super::Daemon::failed`]).
//! What always holds: trouble that another start would not mend, such as a full disk or a database server that is away, is an
//! answer and no death; what never answers has no pulse.

use crate::clock::Clock;
use crate::outbound::Board;
use crate::queue::view::{DestinationView, Standing, View};
use crate::store::{Store, StoreError};
use std::net::SocketAddr;

/// Feels whether the daemon lives.
pub struct Pulse {
    pub(super) store: Store,
    pub(super) board: Board,
    pub(super) clock: Clock,
    /// Where mail is taken in, and where the pages are.
    pub(super) doors: String,
}

impl Pulse {
    /// Waits until the database's writer has answered and delivery has come round once more, however long that takes; says in
    /// a line how the daemon is.
    pub async fn beat(&self) -> String {
        let now = self.clock.now();
        let written = self.store.write::<_, StoreError, _>(move |tx| tx.set_budget("pulse", "", now)).await;
        self.board.round().await;
        match written {
            Ok(()) => self.state(),
            Err(error) => format!("nothing can be recorded, so no mail is taken or sent: {error}"),
        }
    }

    /// Says in a line how the daemon is, as far as is known without asking the database.
    #[must_use]
    pub fn state(&self) -> String {
        format!("{}; {}", self.doors, deliveries(&self.board.view()))
    }
}

/// Says where mail and pages are.
pub(super) fn doors(smtp: &[SocketAddr], web: &[SocketAddr]) -> String {
    let places = |places: &[SocketAddr]| places.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    format!("mail at {}, pages at {}", places(smtp), places(web))
}

fn deliveries(view: &View) -> String {
    let is_shut = |destination: &&DestinationView| matches!(destination.standing, Standing::Shut { .. });
    let waiting: usize = view.destinations.iter().flat_map(|destination| destination.waiting).sum();
    let shut = view.destinations.iter().filter(is_shut).count();
    let mut said = format!("{} connections out, {waiting} mails wait for one", view.connections);
    if shut > 0 {
        said.push_str(&format!(", {shut} receiving systems are not to be reached"));
    }
    said
}
