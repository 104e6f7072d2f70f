//! Shows facts: tables that fit 80 columns for people, JSON for scripts.

use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;
use std::io::{self, BufWriter, Write};

/// The width that every terminal has.
const COLUMNS: u16 = 80;

/// Standard output, buffered; an error means that nobody reads on.
pub(super) struct Out(BufWriter<io::Stdout>);

impl Out {
    pub(super) fn new() -> Self {
        Self(BufWriter::new(io::stdout()))
    }

    /// Prints one line.
    pub(super) fn line(&mut self, line: &str) -> io::Result<()> {
        writeln!(self.0, "{line}")
    }

    /// Prints what another library wrote.
    pub(super) fn bytes(&mut self, text: &[u8]) -> io::Result<()> {
        self.0.write_all(text)
    }

    /// Prints one value as JSON.
    pub(super) fn json(&mut self, facts: &impl Serialize) -> io::Result<()> {
        serde_json::to_writer_pretty(&mut self.0, facts)?;
        writeln!(self.0)
    }

    /// Prints a list with a head of its own; an empty one as `nothing`.
    pub(super) fn table<const N: usize>(
        &mut self,
        head: [&str; N],
        rows: Vec<[String; N]>,
        nothing: &str,
    ) -> io::Result<()> {
        if rows.is_empty() {
            return self.line(nothing);
        }
        let mut table = bare();
        table.set_header(head);
        table.add_rows(rows);
        self.lines(&table)
    }

    /// Prints what is known of one thing, a line each; what is not known is left out.
    pub(super) fn sheet<'a>(&mut self, rows: impl IntoIterator<Item = (&'a str, Option<String>)>) -> io::Result<()> {
        let mut table = bare();
        table.add_rows(rows.into_iter().filter_map(|(name, value)| Some([name.to_owned(), value?])));
        self.lines(&table)
    }

    fn lines(&mut self, table: &Table) -> io::Result<()> {
        table.lines().try_for_each(|line| self.line(line.trim_end()))
    }

    /// Hands everything on to whoever reads.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

fn bare() -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic).set_width(COLUMNS);
    table
}

/// Breaks a text into lines of at most so many characters, between words; a longer word is cut.
pub(super) fn wrapped(text: &str, columns: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        let letters: Vec<char> = word.chars().collect();
        for piece in letters.chunks(columns) {
            let piece = piece.iter();
            match lines.last_mut() {
                Some(line) if line.chars().count() + 1 + piece.len() <= columns => {
                    line.push(' ');
                    line.extend(piece);
                }
                _ => lines.push(piece.collect()),
            }
        }
    }
    lines
}

/// Shortens a moment for a column of a table: `2026-11-22 07:00:00`, in Japan's time.
pub(super) fn moment(rfc3339: &str) -> String {
    rfc3339.get(..19).unwrap_or(rfc3339).replace('T', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_in_a_table_is_short() {
        assert_eq!(moment("2026-11-22T07:00:00+09:00"), "2026-11-22 07:00:00");
        assert_eq!(moment("never"), "never");
    }

    #[test]
    fn a_text_is_broken_between_words_and_only_a_longer_word_is_cut() {
        let lines = |text: &str| wrapped(text, 5);
        assert_eq!(lines("a bc def ghijk lm"), ["a bc", "def", "ghijk", "lm"]);
        assert_eq!(lines("abcdefg hi jkl"), ["abcde", "fg hi", "jkl"]);
        assert_eq!(lines(" ああ  いい "), ["ああ いい"]);
        assert!(lines("").is_empty());
    }

    #[test]
    fn wide_letters_and_long_texts_stay_within_the_width() {
        let mut table = bare();
        table.set_header(["A", "B"]);
        table.add_row(["株式会社".repeat(20), "x ".repeat(100)]);
        let widest = table.lines().map(|line| unicode_width(&line)).max().unwrap();
        assert!(widest <= 80, "{table}");
    }

    /// The columns a terminal needs: two for each letter outside Latin.
    fn unicode_width(line: &str) -> usize {
        line.trim_end().chars().map(|c| if c.is_ascii() { 1 } else { 2 }).sum()
    }
}
