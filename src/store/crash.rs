//! Crashes on purpose: the process kills itself after a given commit, so that a test can walk a crash over a journey.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Counts commits down to the one after which the process dies.
pub(super) struct Crash(Option<u64>);

impl Crash {
    /// Dies after the `after`-th commit; never, where nothing is given.
    pub(super) const fn new(after: Option<u64>) -> Self {
        Self(after)
    }

    /// Notes that a commit returned; nobody has been told of it yet.
    pub(super) fn committed(&mut self) {
        let Some(left) = &mut self.0 else { return };
        *left = left.saturating_sub(1);
        if *left == 0
            && let Err(error) = kill(Pid::this(), Signal::SIGKILL)
        {
            tracing::error!(%error, "the process could not kill itself");
        }
    }
}
