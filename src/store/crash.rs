//! Crashes on purpose: the process kills itself after a given commit, so that a test can walk a crash over a journey.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counts commits up to the one after which the process dies; clones share the count.
#[derive(Clone)]
pub(super) struct Crash {
    after: Option<u64>,
    commits: Arc<AtomicU64>,
}

impl Crash {
    /// Dies after the `after`-th commit; never, where nothing is given.
    pub(super) fn new(after: Option<u64>) -> Self {
        Self { after, commits: Arc::default() }
    }

    /// Notes that a commit returned; nobody has been told of it yet.
    pub(super) fn committed(&self) {
        let commits = self.commits.fetch_add(1, Ordering::SeqCst) + 1;
        if self.after == Some(commits)
            && let Err(error) = kill(Pid::this(), Signal::SIGKILL)
        {
            tracing::error!(%error, "the process could not kill itself");
        }
    }
}
