//! How many of something in how long, over windows that slide.
//!
//! Knows nothing of what is counted. What always holds: within any stretch of the length of a window there are no more than it
//! allows, to the millisecond.

use crate::model::{Span, Timestamp};

/// So many in any stretch of this length.
#[derive(Debug, Clone, Copy)]
pub(super) struct Window {
    pub(super) most: usize,
    pub(super) length: Span,
}

pub(super) const MINUTE: Span = Span::from_secs(60);
pub(super) const HOUR: Span = Span::from_secs(60 * 60);
pub(super) const DAY: Span = Span::from_secs(24 * 60 * 60);

/// Says when the next one fits into all windows; nothing, where it does at `now`. `times` has the earlier ones, the last
/// one first.
pub(super) fn next(windows: &[Window], times: &[Timestamp], now: Timestamp) -> Option<Timestamp> {
    // The one that has to leave the window before another fits in.
    let until = |window: &Window| Some(times.get(window.most.checked_sub(1)?)?.plus(window.length));
    windows.iter().filter_map(until).filter(|until| *until > now).max()
}
