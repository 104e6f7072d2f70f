//! What was found, for people.
//!
//! Decides nothing. What always holds: what is needed stands before what is advised, and every word is there without colours.

use super::super::print::{Out, wrapped};
use crate::net::publication::{Record, State, Verdict};
use std::io;

/// The column that everything behind a state begins at.
const INDENT: usize = 12;
const COLUMNS: usize = 80;
/// The longest content shown whole.
const SHOWN: usize = 136;

/// Prints every record with what it was found to be.
pub(super) fn print(found: &[(Record, Verdict)], out: &mut Out) -> io::Result<()> {
    for (needed, title) in [(true, "NEEDED"), (false, "ADVISED")] {
        let part: Vec<_> = found.iter().filter(|(record, _)| record.needed == needed).collect();
        if part.is_empty() {
            continue;
        }
        out.line(&format!("{title}: {}", counts(part.iter().map(|(_, verdict)| verdict.state))))?;
        out.line("")?;
        part.into_iter().try_for_each(|(record, verdict)| one(record, verdict, out))?;
        out.line("")?;
    }
    out.line(if found.iter().all(|(record, verdict)| super::is_fine(record, verdict)) {
        "What is needed is there."
    } else {
        "Something needed is not there: karamail dns prints what to publish."
    })
}

fn one(record: &Record, verdict: &Verdict, out: &mut Out) -> io::Result<()> {
    out.line(&format!("{:INDENT$}{:5}{}", word(verdict.state), record.kind, record.name))?;
    let settled = verdict.state == State::Right;
    if !settled {
        for found in &verdict.found {
            labelled("is", found, out)?;
        }
        let wanted = record.value.as_deref().unwrap_or("…");
        if verdict.state != State::Unanswered && !verdict.found.iter().any(|found| found == wanted) {
            labelled("should be", wanted, out)?;
        }
        paragraph(&record.why, out)?;
    }
    match &verdict.hint {
        Some(hint) => paragraph(&format!("→ {hint}"), out),
        None => Ok(()),
    }
}

fn labelled(label: &str, value: &str, out: &mut Out) -> io::Result<()> {
    paragraph(&format!("{label}: {}", shortened(value)), out)
}

fn paragraph(text: &str, out: &mut Out) -> io::Result<()> {
    wrapped(text, COLUMNS - INDENT).iter().try_for_each(|line| out.line(&format!("{:INDENT$}{line}", "")))
}

/// Leaves the middle of a key out, which nobody reads.
fn shortened(text: &str) -> String {
    let length = text.chars().count();
    if length <= SHOWN {
        return text.to_owned();
    }
    let head = SHOWN * 2 / 3;
    let tail = SHOWN - head - 1;
    text.chars().take(head).chain(['…']).chain(text.chars().skip(length - tail)).collect()
}

const fn word(state: State) -> &'static str {
    match state {
        State::Right => "right",
        State::Wrong => "WRONG",
        State::Missing => "MISSING",
        State::Unanswered => "NOT ASKED",
        State::Unclear => "unclear",
    }
}

/// Says how many there are of each: `8 right, 1 wrong`.
fn counts(states: impl Iterator<Item = State> + Clone) -> String {
    let all = [
        (State::Right, "right"),
        (State::Wrong, "wrong"),
        (State::Missing, "missing"),
        (State::Unanswered, "could not be asked"),
        (State::Unclear, "unclear"),
    ];
    let count = |state: State| states.clone().filter(|other| *other == state).count();
    let some = all.into_iter().map(|(state, word)| (count(state), word)).filter(|(count, _)| *count > 0);
    some.map(|(count, word)| format!("{count} {word}")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_key_is_shown_by_its_ends() {
        let key: String = ('a'..='z').cycle().take(400).collect();
        let shown = shortened(&key);
        assert_eq!(shown.chars().count(), SHOWN);
        assert!(shown.starts_with("abc") && key.ends_with(shown.split('…').nth(1).unwrap()));
        assert_eq!(shortened("v=spf1 -all"), "v=spf1 -all");
    }

    #[test]
    fn states_are_counted_in_the_order_of_the_words() {
        let states = [State::Missing, State::Right, State::Right, State::Unanswered];
        assert_eq!(counts(states.into_iter()), "2 right, 1 missing, 1 could not be asked");
    }
}
