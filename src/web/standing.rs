//! How an address stands, as pages say it: a sentence, the way out, the moments, the words of servers.
//!
//! Knows nothing of where it is shown. What always holds: every reading has its own sentence, and each that is not good has
//! a way out; the words of a server are shown as such, below our own.

use super::Web;
use super::texts::{Texts, moment};
use crate::service::reach::{Reading, Said, Standing};
use serde::Serialize;

/// What a page shows of it.
#[derive(Debug, Serialize)]
pub(super) struct StandingView {
    /// `good`, `bad` or `open`.
    mood: &'static str,
    text: &'static str,
    way: Option<String>,
    read_at: Option<String>,
    taken_at: Option<String>,
    quotes: Vec<Quote>,
}

#[derive(Debug, Serialize)]
struct Quote {
    at: String,
    words: String,
}

impl StandingView {
    /// Fills in what the page shows.
    pub(super) fn of(web: &Web, t: &Texts, standing: &Standing) -> Self {
        let (mood, text, way) = words(t, standing.reading);
        let settings = web.settings();
        let filled = |way: &str| {
            let domain = settings.sender.domain().as_str();
            way.replace("{domain}", domain).replace("{registration}", &settings.registration.to_string())
        };
        let quote = |said: &Said| Quote {
            at: moment(said.at),
            words: said.quote.clone().unwrap_or_else(|| t.reach.no_quote.to_owned()),
        };
        Self {
            mood,
            text,
            way: way.map(filled),
            read_at: standing.read_at.map(moment),
            taken_at: standing.taken_at.map(moment),
            quotes: standing.said.iter().map(quote).collect(),
        }
    }
}

fn words(t: &Texts, reading: Reading) -> (&'static str, &'static str, Option<&'static str>) {
    match reading {
        Reading::Nothing => ("open", t.reach.nothing, Some(t.reach.nothing_way)),
        Reading::Underway => ("open", t.reach.underway, Some(t.reach.underway_way)),
        Reading::Read => ("good", t.reach.read, None),
        Reading::Taken => ("open", t.reach.taken, Some(t.reach.taken_way)),
        Reading::Unknown => ("bad", t.reach.unknown, Some(t.reach.unknown_way)),
        Reading::Filtered => ("bad", t.reach.filtered, Some(t.reach.filtered_way)),
        Reading::Full => ("bad", t.reach.full, Some(t.reach.full_way)),
        Reading::Closed => ("bad", t.reach.closed, Some(t.reach.closed_way)),
        Reading::Waiting => ("open", t.reach.waiting, Some(t.reach.waiting_way)),
        Reading::Missed => ("bad", t.reach.missed, Some(t.reach.missed_way)),
        Reading::Ours => ("bad", t.reach.ours, Some(t.reach.ours_way)),
        Reading::Unclear => ("bad", t.reach.unclear, Some(t.reach.unclear_way)),
        Reading::Unsure => ("open", t.reach.unsure, Some(t.reach.unsure_way)),
        Reading::Stopped => ("bad", t.reach.stopped, Some(t.reach.stopped_way)),
    }
}
