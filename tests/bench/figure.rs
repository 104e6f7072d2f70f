//! One line of the table that a run prints.

use crate::disk::Ground;
use std::time::Duration;

/// The head of the table.
pub const HEAD: &str = "| what | who | mails | time | figure | raw fdatasync/s | load before |\n\
                        | --- | --- | --- | --- | --- | --- | --- |";

/// One measured figure.
pub struct Figure {
    pub what: &'static str,
    pub who: &'static str,
    pub mails: usize,
    pub seconds: f64,
    /// What counts, where that is not the rate.
    pub result: Option<String>,
    pub ground: Ground,
}

impl Figure {
    pub fn print(&self) {
        let rate = || format!("{:.0}/s", self.mails as f64 / self.seconds);
        println!(
            "| {} | {} | {} | {:.1} s | **{}** | {:.0} | {:.2} |",
            self.what,
            self.who,
            self.mails,
            self.seconds,
            self.result.clone().unwrap_or_else(rate),
            self.ground.flushes,
            self.ground.load
        );
    }
}

/// Waits, in order of their length.
pub struct Waits(Vec<Duration>);

impl Waits {
    pub fn new(mut waits: Vec<Duration>) -> Self {
        assert!(!waits.is_empty(), "something was to be measured");
        waits.sort_unstable();
        Self(waits)
    }

    /// The wait that `share` of all do not exceed.
    pub fn share(&self, share: f64) -> Duration {
        let last = self.0.len() - 1;
        self.0[(share * last as f64).round() as usize]
    }

    pub fn text(&self) -> String {
        let [p50, p99, max] = [0.5, 0.99, 1.0].map(|share| self.share(share).as_secs_f64() * 1_000.0);
        format!("{} OTPs: p50 {p50:.1} ms, p99 {p99:.1} ms, max {max:.1} ms", self.0.len())
    }
}
