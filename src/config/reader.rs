//! Reads a table of the file key by key and notes what is wrong, without stopping at the first.
//!
//! Does not know which settings there are: whoever reads asks for them by name, and what nobody asked for is unknown. What
//! always holds: each complaint carries the path of its key and, where there is one, its line; a value that cannot be believed
//! yields nothing, so that reading goes on.

use super::problem::{Problem, Problems};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A word shorter than this is not looked for in other tables unless it is there letter by letter.
const SHORT: usize = 5;
/// Of a file that is not TOML so many lines are named: one forgotten quote can spoil all that follow.
const TOLD: usize = 5;

/// What is learned while the file is read.
pub(super) struct Book<'a> {
    text: &'a str,
    notes: RefCell<Notes>,
}

#[derive(Default)]
struct Notes {
    problems: Vec<Problem>,
    /// What is no fault, and unwise.
    advice: Vec<Problem>,
    /// The line of each key that was there.
    lines: BTreeMap<String, usize>,
    /// The paths that were asked for: the settings there are.
    known: Vec<String>,
    /// The tables that were opened.
    tables: Vec<String>,
    /// Keys nobody asked for, with their tables.
    unknown: Vec<(String, String)>,
}

impl<'a> Book<'a> {
    /// Opens the book on the text of a file.
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, notes: RefCell::default() }
    }

    /// Parses the text into its outermost table.
    ///
    /// # Errors
    /// It is not TOML: every place where it is not.
    pub(super) fn root(&self) -> Result<Section<'_>, Problems> {
        let (table, errors) = DeTable::parse_recoverable(self.text);
        if errors.is_empty() {
            return Ok(Section::new(self, String::new(), table.into_inner()));
        }
        let mut problems = Problems::new(errors.iter().map(|error| self.no_toml(error)).collect());
        problems.keep_first(TOLD, "what follows is not TOML either, which may all come of the lines above");
        Err(problems)
    }

    fn no_toml(&self, error: &toml::de::Error) -> Problem {
        let span = error.span();
        let place = span.clone().and_then(|span| self.text.get(span)).filter(|text| !text.contains('\n'));
        let message = match (error.message(), place) {
            // The parser leaves out which, and points there.
            ("duplicate key", Some(key)) => format!("“{key}” is there twice"),
            (message, _) => message.replace('\n', ", "),
        };
        let what = format!("this is not TOML: {message}");
        Problem { line: span.map(|span| self.line_at(span.start)), ..Problem::of_file(what) }
    }

    /// Notes a problem with a key, at its line if it was in the file, else at that of its table.
    pub(super) fn complain(&self, key: &str, what: impl Into<String>, hint: Option<String>) {
        let problem = self.of(key, what.into(), hint);
        self.notes.borrow_mut().problems.push(problem);
    }

    /// Notes what works and is unwise.
    pub(super) fn advise(&self, key: &str, what: impl Into<String>, hint: &str) {
        let advice = self.of(key, what.into(), Some(hint.to_owned()));
        self.notes.borrow_mut().advice.push(advice);
    }

    fn of(&self, key: &str, what: String, hint: Option<String>) -> Problem {
        let lines = &self.notes.borrow().lines;
        let tables = key.rmatch_indices('.').filter_map(|(dot, _)| key.get(..dot));
        let line = std::iter::once(key).chain(tables).find_map(|path| lines.get(path).copied());
        Problem { key: key.to_owned(), line, what, hint }
    }

    /// Gives what was noted that works and is unwise.
    pub(super) fn advice(&self) -> Vec<Problem> {
        self.notes.borrow().advice.clone()
    }

    /// Closes the book: gives the paths of all settings that were asked for, and everything that is wrong. `all` gives those
    /// of tables too that are not in the file.
    pub(super) fn close(self, all: impl FnOnce() -> Vec<String>) -> (Vec<String>, Vec<Problem>) {
        let Notes { mut problems, lines, known, tables, unknown, advice: _ } = self.notes.into_inner();
        let all = if unknown.is_empty() { Vec::new() } else { all() };
        for (table, key) in unknown {
            let path = join(&table, &key);
            let hint = suggestion(&known, &tables, &all, &table, &key);
            let line = lines.get(&path).copied();
            problems.push(Problem { key: path, line, what: "there is no such setting".to_owned(), hint });
        }
        (known, problems)
    }

    fn line_at(&self, offset: usize) -> usize {
        1 + self.text.bytes().take(offset).filter(|byte| *byte == b'\n').count()
    }
}

fn join(table: &str, key: &str) -> String {
    if table.is_empty() { key.to_owned() } else { format!("{table}.{key}") }
}

/// Looks for what was probably meant: a similar name in the same table, or the same or a similar name in another.
fn suggestion(known: &[String], tables: &[String], all: &[String], table: &str, key: &str) -> Option<String> {
    let here = known.iter().chain(tables).filter_map(|path| {
        let (above, name) = path.rsplit_once('.').unwrap_or(("", path));
        (above == table).then_some(name)
    });
    if let Some(name) = nearest(key, here) {
        return Some(format!("did you mean “{name}”?"));
    }
    let elsewhere = || all.iter().map(|path| path.rsplit_once('.').unwrap_or(("", path)));
    // Every short word is like some other one.
    let name = match key.len() {
        0..SHORT => elsewhere().map(|(_, name)| name).find(|name| *name == key),
        _ => nearest(key, elsewhere().map(|(_, name)| name)),
    }?;
    let place = elsewhere().find(|(_, found)| *found == name).map(|(above, _)| above)?;
    Some(match (place, place.strip_suffix("[1]")) {
        ("", _) => format!("did you mean “{name}”? It belongs before the first [table]"),
        (_, Some(list)) => format!("did you mean “{name}”? It belongs to [[{list}]]"),
        (table, None) => format!("did you mean “{name}”? It belongs to [{table}]"),
    })
}

/// Gives the known name that is most like `name`, if one is alike enough for a slip of the fingers.
pub(super) fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let limit = (name.chars().count() / 3).clamp(1, 3);
    known
        .map(|candidate| (strsim::damerau_levenshtein(&name.to_lowercase(), candidate), candidate))
        .filter(|(distance, _)| *distance <= limit)
        .min()
        .map(|(_, candidate)| candidate)
}

/// A table of the file. When it is dropped, the keys that nobody asked for are noted as unknown.
pub(super) struct Section<'a> {
    book: &'a Book<'a>,
    path: String,
    left: BTreeMap<String, Spanned<DeValue<'a>>>,
}

impl<'a> Section<'a> {
    fn new(book: &'a Book<'a>, path: String, table: DeTable<'a>) -> Self {
        let mut left = BTreeMap::new();
        for (key, value) in table {
            let line = book.line_at(key.span().start);
            let key = key.into_inner().into_owned();
            book.notes.borrow_mut().lines.insert(join(&path, &key), line);
            left.insert(key, value);
        }
        Self { book, path, left }
    }

    /// Gives the path of a key in this table.
    pub(super) fn path(&self, key: &str) -> String {
        join(&self.path, key)
    }

    /// Says whether the file has that key in this table, and nobody has asked for it yet.
    pub(super) fn has(&self, key: &str) -> bool {
        self.left.contains_key(key)
    }

    /// Says whether something is known to be wrong with a key of this table.
    pub(super) fn complained(&self, key: &str) -> bool {
        let path = self.path(key);
        self.book.notes.borrow().problems.iter().any(|problem| problem.key == path)
    }

    /// Notes a problem with a key of this table.
    pub(super) fn complain(&self, key: &str, what: impl Into<String>, hint: Option<String>) {
        self.book.complain(&self.path(key), what, hint);
    }

    fn take(&mut self, key: &str) -> Option<DeValue<'a>> {
        self.book.notes.borrow_mut().known.push(self.path(key));
        self.left.remove(key).map(Spanned::into_inner)
    }

    fn mistyped(&self, key: &str, value: &DeValue<'_>, wanted: &str) {
        self.complain(key, format!("must be {wanted}, not {}", kind_of(value)), None);
    }

    fn parse<T: FromStr<Err: Display>>(&self, key: &str, value: &DeValue<'_>, wanted: &str) -> Option<T> {
        let Some(text) = value.as_str() else {
            self.mistyped(key, value, wanted);
            return None;
        };
        let complain = |wrong: T::Err| {
            let what = wrong.to_string();
            let named = if what.contains(text) { what } else { format!("“{text}”: {what}") };
            self.complain(key, named, None);
        };
        text.parse().map_err(complain).ok()
    }

    /// Reads a text into a type.
    pub(super) fn value<T: FromStr<Err: Display>>(&mut self, key: &str) -> Option<T> {
        let value = self.take(key)?;
        self.parse(key, &value, "a text in quotes")
    }

    /// Reads a text into a type, and misses it where it is not there.
    pub(super) fn required<T: FromStr<Err: Display>>(&mut self, key: &str, example: &str) -> Option<T> {
        self.miss(key, example);
        self.value(key)
    }

    fn miss(&self, key: &str, example: &str) {
        if !self.has(key) {
            self.complain(key, "is missing", Some(format!("for example {key} = {example}")));
        }
    }

    /// Reads a list of texts into a type; elements that cannot be believed are left out.
    pub(super) fn list<T: FromStr<Err: Display>>(&mut self, key: &str) -> Option<Vec<T>> {
        let value = self.take(key)?;
        let Some(elements) = value.as_array() else {
            self.mistyped(key, &value, "a list of texts, [\"…\", \"…\"]");
            return None;
        };
        let read = elements.iter().map(|element| self.parse(key, element.as_ref(), "a list of texts in quotes"));
        Some(read.collect::<Vec<_>>().into_iter().flatten().collect())
    }

    /// Reads a list, and misses it where it is not there.
    pub(super) fn required_list<T: FromStr<Err: Display>>(&mut self, key: &str, example: &str) -> Option<Vec<T>> {
        self.miss(key, example);
        self.list(key)
    }

    /// Reads `true` or `false`.
    pub(super) fn flag(&mut self, key: &str) -> Option<bool> {
        let value = self.take(key)?;
        let read = value.as_bool();
        if read.is_none() {
            self.mistyped(key, &value, "true or false, without quotes");
        }
        read
    }

    /// Reads a whole number.
    pub(super) fn number(&mut self, key: &str, within: RangeInclusive<u16>) -> Option<u16> {
        let value = self.take(key)?;
        let DeValue::Integer(number) = &value else {
            self.mistyped(key, &value, "a whole number, without quotes");
            return None;
        };
        let read = u16::from_str_radix(number.as_str(), number.radix()).ok().filter(|number| within.contains(number));
        if read.is_none() {
            let what = format!("must be between {} and {}, not {}", within.start(), within.end(), number.as_str());
            self.complain(key, what, None);
        }
        read
    }

    /// Reads one of several words.
    pub(super) fn word<T: Copy>(&mut self, key: &str, words: &[(&'static str, T)]) -> Option<T> {
        let given: String = self.value(key)?;
        let found = words.iter().find(|(word, _)| *word == given).map(|(_, meaning)| *meaning);
        if found.is_none() {
            let all: Vec<String> = words.iter().map(|(word, _)| format!("\"{word}\"")).collect();
            self.complain(key, format!("“{given}” is not one of {}", all.join(", ")), None);
        }
        found
    }

    /// Opens a table below; an empty one where it is not there.
    pub(super) fn section(&mut self, key: &str) -> Self {
        let path = self.path(key);
        self.book.notes.borrow_mut().tables.push(path.clone());
        match self.left.remove(key).map(Spanned::into_inner) {
            Some(DeValue::Table(table)) => Self::new(self.book, path, table),
            Some(other) => {
                self.mistyped(key, &other, &format!("a table: [{path}]"));
                Self::new(self.book, path, DeTable::new())
            }
            None => Self::new(self.book, path, DeTable::new()),
        }
    }

    /// Opens the tables of a list, `[[key]]`.
    pub(super) fn sections(&mut self, key: &str) -> Vec<Self> {
        let path = self.path(key);
        self.book.notes.borrow_mut().tables.push(path.clone());
        let wanted = format!("a list of tables: [[{path}]]");
        let elements = match self.left.remove(key).map(Spanned::into_inner) {
            Some(DeValue::Array(elements)) => elements,
            Some(other) => {
                self.mistyped(key, &other, &wanted);
                return Vec::new();
            }
            None => return Vec::new(),
        };
        let mut sections = Vec::new();
        for (place, element) in elements.into_iter().enumerate() {
            // Counted from 1, as people do.
            let path = format!("{path}[{}]", place + 1);
            let line = self.book.line_at(element.span().start);
            self.book.notes.borrow_mut().lines.insert(path.clone(), line);
            match element.into_inner() {
                DeValue::Table(table) => sections.push(Self::new(self.book, path, table)),
                other => self.mistyped(key, &other, &wanted),
            }
        }
        sections
    }

    /// Refuses a setting whose feature does not exist yet: taken silently, it would promise what nobody does.
    pub(super) fn not_yet(&mut self, key: &str, instead: &str) {
        if self.left.remove(key).is_some() {
            self.complain(key, "this version cannot do that yet", Some(instead.to_owned()));
        }
    }
}

impl Drop for Section<'_> {
    fn drop(&mut self) {
        let keys = std::mem::take(&mut self.left).into_keys().map(|key| (self.path.clone(), key));
        self.book.notes.borrow_mut().unknown.extend(keys);
    }
}

const fn kind_of(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) | DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_fingers_is_recognised_and_another_word_is_not() {
        let known = ["listen", "max_message", "operator"];
        for (name, meant) in
            [("lisen", "listen"), ("Listen", "listen"), ("max_mesage", "max_message"), ("opreator", "operator")]
        {
            assert_eq!(nearest(name, known.into_iter()), Some(meant), "{name}");
        }
        for name in ["port", "x", "message", "listening_on"] {
            assert_eq!(nearest(name, known.into_iter()), None, "{name}");
        }
    }
}
