//! Records as a fragment of a zone file (RFC 1035 5.1), with what each is for in comments.
//!
//! Knows nothing of what the records should be. What always holds: the fragment can be loaded as it is; a record whose value is
//! not known stands in a comment.

use super::super::print::{Out, wrapped};
use crate::config::registered;
use crate::model::Domain;
use crate::net::publication::{Kind, Record};
use std::io;
use std::path::Path;

/// The longest piece of a text that stands on a line of its own; a string has at most 255 (RFC 1035 3.3).
const PIECE: usize = 72;
const COLUMNS: usize = 80;

/// Prints the records, those of one zone together.
pub(super) fn print(records: &[Record], hostname: &Domain, file: &Path, out: &mut Out) -> io::Result<()> {
    let head = format!(
        "DNS records for {hostname}, as {} has it. Names are absolute: paste each part into the zone that it is headed by. \
         What is advised can wait; mail suffers without the rest. Look whether they are there: karamail dns --verify",
        file.display()
    );
    comment(&head, out)?;
    for zone in zones(records) {
        out.line("")?;
        out.line(&format!("; ==== {zone}"))?;
        let mut said = None;
        let part = || records.iter().filter(|record| zone_of(record) == zone);
        for record in part().filter(|record| record.needed).chain(part().filter(|record| !record.needed)) {
            let remarks = (&record.why, record.note.as_ref());
            if said != Some(remarks) {
                out.line("")?;
                explain(record, out)?;
            }
            said = Some(remarks);
            entry(record).iter().try_for_each(|line| out.line(line))?;
        }
    }
    Ok(())
}

/// Lists the zones in the order of their first records.
fn zones(records: &[Record]) -> Vec<String> {
    records.iter().map(zone_of).fold(Vec::new(), |mut seen, zone| {
        if !seen.contains(&zone) {
            seen.push(zone);
        }
        seen
    })
}

/// Guesses the zone that a record lies in: what was registered, or what the address is a part of.
fn zone_of(record: &Record) -> String {
    match record.kind {
        Kind::Ptr => "the reverse zone".to_owned(),
        Kind::A | Kind::Aaaa | Kind::Mx | Kind::Txt => {
            registered(&record.name).unwrap_or_else(|| record.name.as_str()).to_owned()
        }
    }
}

fn explain(record: &Record, out: &mut Out) -> io::Result<()> {
    comment(&format!("{}{}", if record.needed { "" } else { "(advised) " }, record.why), out)?;
    record.note.as_ref().map_or(Ok(()), |note| comment(note, out))
}

fn comment(text: &str, out: &mut Out) -> io::Result<()> {
    let mut lines = text.lines().flat_map(|line| wrapped(line, COLUMNS - 2));
    lines.try_for_each(|line| out.line(&format!("; {line}")))
}

/// Writes one record; more lines than one where it is long.
fn entry(record: &Record) -> Vec<String> {
    let head = format!("{}. {} IN {}", record.name, record.ttl, record.kind);
    let Some(value) = &record.value else { return vec![format!("; {head} …")] };
    let data = match record.kind {
        Kind::A | Kind::Aaaa => value.clone(),
        Kind::Mx | Kind::Ptr => format!("{value}."),
        Kind::Txt => quoted(value),
    };
    let line = format!("{head} {data}");
    if record.kind != Kind::Txt || line.len() <= COLUMNS {
        return vec![line];
    }
    let strings = pieces(value).into_iter().map(|piece| format!("    {}", quoted(piece)));
    let mut lines: Vec<String> = [format!("{head} (")].into_iter().chain(strings).collect();
    if let Some(last) = lines.last_mut() {
        last.push_str(" )");
    }
    lines
}

/// Cuts a text where it may be cut: readers join the strings without anything between them.
fn pieces(text: &str) -> Vec<&str> {
    let mut rest = text;
    let mut all = Vec::new();
    while let Some((piece, behind)) = rest.split_at_checked(PIECE).filter(|(_, behind)| !behind.is_empty()) {
        all.push(piece);
        rest = behind;
    }
    all.push(rest);
    all
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_cut_into_strings_that_make_the_same_text() {
        for length in [0, 1, 71, 72, 73, 144, 145, 410] {
            let text: String = ('a'..='z').cycle().take(length).collect();
            let pieces = pieces(&text);
            assert_eq!(pieces.concat(), text);
            assert!(pieces.iter().all(|piece| piece.len() <= PIECE) && pieces.len() == length.div_ceil(PIECE).max(1));
        }
    }

    #[test]
    fn what_ends_a_string_is_escaped() {
        assert_eq!(quoted("a\"b\\c;d"), "\"a\\\"b\\\\c;d\"");
    }
}
