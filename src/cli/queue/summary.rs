//! `queue summary`, for people: who waits for which destination and since when, as Postfix's `qshape` shows it.

use super::super::print::{Out, moment};
use crate::control::{ClassFacts, DestinationFacts, KeptFacts, SummaryFacts};
use crate::store::AGES;
use std::io;

/// The most destinations that are shown; the rest is counted.
const SHOWN: usize = 20;
/// The place of the last age.
const LAST: usize = AGES.len();
/// How wide a destination's name may be.
const NAME: usize = 18;

/// Shows it within 80 columns.
pub(super) fn show(out: &mut Out, facts: &SummaryFacts) -> io::Result<()> {
    let all: u64 = facts.by_class.iter().map(|facts| facts.waiting + facts.sending).sum();
    out.line(&heading(facts, all))?;
    if all > 0 {
        out.line("")?;
        ages(out, facts)?;
        out.line("")?;
        let rows = facts.by_class.iter().filter(|facts| facts.waiting + facts.sending > 0).map(class).collect();
        out.table(["CLASS", "WAITING", "SENDING", "OLDEST"], rows, "")?;
    }
    let known: Vec<_> = facts.by_destination.iter().take(SHOWN).filter(|facts| facts.state.is_some()).collect();
    if !known.is_empty() {
        out.line("")?;
        let rows = known.into_iter().map(standing).collect();
        out.table(["DESTINATION", "STATE", "CONN", "MAILS/S", "AT MOST", "DRAINED"], rows, "")?;
    }
    if !facts.kept_back.is_empty() {
        out.line("")?;
        let rows = facts.kept_back.iter().take(SHOWN).map(kept).collect();
        out.table(["KEPT BACK", "OF", "WAITING", "WHY", "TRIES AGAIN"], rows, "")?;
    }
    if facts.tls_lost.is_empty() {
        return Ok(());
    }
    out.line("")?;
    let rows = facts.tls_lost.iter().map(|loss| [loss.domain.clone(), moment(&loss.seen), moment(&loss.missed)]);
    out.table(["TLS IS GONE", "LAST SEEN", "MISSED SINCE"], rows.collect(), "")
}

fn heading(facts: &SummaryFacts, all: u64) -> String {
    let states = facts.by_state.iter().filter(|facts| facts.count > 0);
    let states: Vec<String> = states.map(|facts| format!("{} {}", facts.count, facts.state)).collect();
    let what = match all {
        0 => "no mails".to_owned(),
        _ => states.join(", "),
    };
    match (facts.running, facts.connections, facts.connections_max) {
        (true, Some(connections), Some(most)) => format!("{what}; {connections} of {most} connections"),
        _ => format!("{what}; no daemon is running"),
    }
}

/// The table of destinations and ages.
fn ages(out: &mut Out, facts: &SummaryFacts) -> io::Result<()> {
    let bounds = facts.by_destination.first().map(|facts| facts.ages.as_slice()).unwrap_or_default();
    let last = bounds.iter().rev().find_map(|age| age.below_minutes).unwrap_or_default();
    let heads =
        bounds.iter().map(|age| age.below_minutes.map_or_else(|| format!("{last}+"), |bound| bound.to_string()));
    out.line(&row("MINUTES BELOW", "TOTAL", heads))?;
    let waits = facts.by_destination.iter().filter(|facts| facts.waiting + facts.sending > 0);
    for facts in waits.clone().take(SHOWN) {
        out.line(&counts(&facts.name, facts.ages.iter().map(|age| age.count)))?;
    }
    let rest: Vec<&DestinationFacts> = waits.skip(SHOWN).collect();
    if rest.is_empty() {
        return Ok(());
    }
    let at = |index: usize| rest.iter().filter_map(|facts| facts.ages.get(index)).map(|age| age.count).sum();
    out.line(&counts(&format!("{} more", rest.len()), (0..bounds.len()).map(at)))
}

fn counts(name: &str, ages: impl Iterator<Item = u64> + Clone) -> String {
    row(name, &short(ages.clone().sum()), ages.map(short))
}

fn row(name: &str, total: &str, cells: impl Iterator<Item = String>) -> String {
    let mut line = format!("{:<NAME$}{total:>7}", cut(name));
    for (place, cell) in cells.enumerate() {
        // The last head is wider than the others.
        let width = if place == LAST { 6 } else { 5 };
        line.push_str(&format!("{cell:>width$}"));
    }
    line
}

/// Shortens a name that is too long, at its beginning: its end says more.
fn cut(name: &str) -> String {
    let long = name.chars().count();
    if long <= NAME {
        name.to_owned()
    } else {
        format!("…{}", name.chars().skip(long - NAME + 1).collect::<String>())
    }
}

/// Four digits at most: 9999, 12k, 3M.
fn short(count: u64) -> String {
    match count {
        0..10_000 => count.to_string(),
        10_000..1_000_000 => format!("{}k", count / 1_000),
        _ => format!("{}M", count / 1_000_000),
    }
}

fn class(facts: &ClassFacts) -> [String; 4] {
    let oldest = facts.oldest.as_deref().map(moment).unwrap_or_default();
    [facts.class.clone(), facts.waiting.to_string(), facts.sending.to_string(), oldest]
}

fn kept(facts: &KeptFacts) -> [String; 5] {
    let KeptFacts { domain, destination, waiting, cause, until } = facts;
    [cut(domain), cut(destination), waiting.to_string(), cause.clone(), moment(until)]
}

fn standing(facts: &DestinationFacts) -> [String; 6] {
    let number = |count: Option<usize>| count.map_or_else(|| "-".to_owned(), |count| count.to_string());
    let rate = |rate: Option<f64>| rate.map(|rate| format!("{rate:.1}").trim_end_matches(".0").to_owned());
    let state = facts.state.clone().unwrap_or_default();
    let state = match facts.until.as_deref().map(moment) {
        Some(until) => format!("{state} until {}", until.get(11..16).unwrap_or(&until)),
        None => state,
    };
    let (open, allowed, limit) =
        (number(facts.connections), number(facts.connections_allowed), number(facts.connections_limit));
    let most = match (rate(facts.rate_allowed), facts.limit.clone()) {
        (Some(allowed), Some(limit)) => format!("{allowed} of {limit}"),
        (_, limit) => limit.unwrap_or_else(|| "-".to_owned()),
    };
    [
        cut(&facts.name),
        state,
        if allowed == limit { format!("{open}/{limit}") } else { format!("{open}/{allowed} of {limit}") },
        rate(facts.rate).unwrap_or_default(),
        most,
        // Month, day and minute: it is an estimate.
        facts
            .drained_at
            .as_deref()
            .map(moment)
            .map_or_else(|| "-".to_owned(), |at| at.get(5..16).unwrap_or(&at).to_owned()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_names_keep_to_their_columns() {
        for (count, shown) in [(0, "0"), (9_999, "9999"), (10_000, "10k"), (999_999, "999k"), (1_500_000, "1M")] {
            assert_eq!(short(count), shown);
        }
        assert_eq!(cut("mx1.hosting.example.co.jp"), "…ing.example.co.jp");
        assert_eq!(cut("docomo"), "docomo");
        let full = counts("mx1.hosting.example.co.jp", std::iter::repeat_n(999_999, 10));
        assert!(full.chars().count() <= 80, "{full}");
    }
}
