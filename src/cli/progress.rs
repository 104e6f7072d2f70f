//! How far a long command has come: a bar on standard error, where a terminal watches it.

use crate::store::Progress;
use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal as _;

/// The bar; it is taken away when this is dropped.
pub(super) struct Bar(ProgressBar);

impl Bar {
    /// Begins one for work of this name, which is counted in `units`.
    pub(super) fn new(what: &'static str, units: &str) -> Self {
        if !watched() {
            return Self(ProgressBar::hidden());
        }
        let bar = ProgressBar::new(0).with_message(what);
        let looks = format!("{{msg}} [{{bar:40}}] {{pos}}/{{len}} {units}, {{eta}} left");
        match ProgressStyle::with_template(&looks) {
            Ok(style) => Self(bar.with_style(style.progress_chars("=> "))),
            Err(_) => Self(bar),
        }
    }

    /// Shows how far it is.
    pub(super) fn show(&self, now: Progress) {
        self.0.set_length(now.all);
        self.0.set_position(now.done);
    }

    /// Says what is done now, of which nobody knows how long it takes.
    pub(super) fn say(&self, what: &'static str) {
        self.0.set_message(what);
        self.0.tick();
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// Whether somebody sees it.
pub(super) fn watched() -> bool {
    std::io::stderr().is_terminal()
}
