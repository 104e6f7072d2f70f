//! A file of members as rows: every cell read into its type, every fault noted with its line and column.

use super::encoding::{Encoding, decode};
use crate::model::{EmailAddress, Language, LoginId, Secret};
use crate::service::{hasher, password, start_password};
use crate::store::NewMember;
use csv::StringRecord;
use std::collections::HashMap;
use std::fmt;

/// The columns there are; `id` and `name` have to be in the file.
const COLUMNS: [&str; 9] = ["id", "password", "name", "kana", "department", "language", "mail1", "mail2", "mail3"];
const REQUIRED: [&str; 2] = ["id", "name"];
/// How many faults are shown; who made more will look at the file anyway.
const SHOWN: usize = 50;
/// The longest text in a cell, in characters.
const TEXT_MAX: usize = 200;
/// What passwords hashed by other means begin with.
const OTHER_HASHES: [&str; 8] = ["$2a$", "$2b$", "$2y$", "$1$", "$5$", "$6$", "$argon2", "$pbkdf2"];

/// One thing that is wrong with a file.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Fault {
    /// The line, counted from 1 with the header.
    pub line: u64,
    /// The column by its name, where one cell is to blame.
    pub column: Option<String>,
    /// What is wrong with it.
    pub problem: String,
}

/// `line 3, mail1: …`.
impl fmt::Display for Fault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.column {
            Some(column) => write!(out, "line {}, {column}: {}", self.line, self.problem),
            None => write!(out, "line {}: {}", self.line, self.problem),
        }
    }
}

/// What is wrong with a file: the first faults, and how many more there are.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Faults {
    shown: Vec<Fault>,
    more: usize,
}

impl Faults {
    pub(super) fn add(&mut self, line: u64, column: &str, problem: impl Into<String>) {
        self.push(Fault { line, column: Some(column.to_owned()), problem: problem.into() });
    }

    fn add_line(&mut self, line: u64, problem: impl Into<String>) {
        self.push(Fault { line, column: None, problem: problem.into() });
    }

    fn push(&mut self, fault: Fault) {
        if self.shown.len() < SHOWN {
            self.shown.push(fault);
        } else {
            self.more += 1;
        }
    }

    pub(super) fn append(&mut self, other: Self) {
        other.shown.into_iter().for_each(|fault| self.push(fault));
        self.more += other.more;
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.shown.is_empty()
    }

    /// Lends the faults that are shown, in the order of the file.
    #[must_use]
    pub fn shown(&self) -> &[Fault] {
        &self.shown
    }

    /// Says how many more there are.
    #[must_use]
    pub const fn more(&self) -> usize {
        self.more
    }
}

/// Which of the columns that may be left out are there.
#[derive(Debug, Clone, Copy)]
pub(super) struct Columns {
    pub(super) kana: bool,
    pub(super) department: bool,
}

/// A member as one line has it.
#[derive(Debug)]
pub struct Row {
    /// The line, counted from 1 with the header.
    pub line: u64,
    /// What the line says; a blank language is Japanese.
    pub member: NewMember,
    /// A plain start password.
    pub password: Option<Secret<String>>,
    /// Whether the line names a language.
    pub has_language: bool,
}

impl Row {
    /// Says whether the line gives a password, plain or hashed.
    #[must_use]
    pub const fn has_password(&self) -> bool {
        self.password.is_some() || self.member.password_hash.is_some()
    }
}

/// A file of members without a fault of its own.
#[derive(Debug)]
pub struct MemberFile {
    rows: Vec<Row>,
    columns: Columns,
    encoding: Encoding,
}

impl MemberFile {
    /// Reads a file.
    ///
    /// # Errors
    /// Everything that is wrong with it: encoding, header, cells, IDs that stand there twice.
    pub fn read(bytes: &[u8]) -> Result<Self, Faults> {
        let mut faults = Faults::default();
        let (text, encoding) = match decode(bytes) {
            Ok(decoded) => decoded,
            Err(wrong) => {
                faults.add_line(wrong.line, wrong.what);
                return Err(faults);
            }
        };
        let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(text.as_bytes());
        let header = match reader.headers() {
            Ok(header) => Header::read(header, &mut faults),
            Err(cause) => {
                faults.add_line(1, cause.to_string());
                None
            }
        };
        let Some(header) = header else { return Err(faults) };
        let rows = read_rows(&mut reader, &header, &mut faults);
        if rows.is_empty() && faults.is_empty() {
            faults.add_line(1, "there is no member below the header");
        }
        let columns = Columns { kana: header.has("kana"), department: header.has("department") };
        if faults.is_empty() { Ok(Self { rows, columns, encoding }) } else { Err(faults) }
    }

    /// Lends the members, in the order of the file.
    #[must_use]
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// Says how the file was written.
    #[must_use]
    pub const fn encoding(&self) -> Encoding {
        self.encoding
    }

    pub(super) const fn columns(&self) -> Columns {
        self.columns
    }
}

/// Where each column stands.
struct Header {
    places: HashMap<&'static str, usize>,
    width: usize,
}

impl Header {
    /// Reads the first line; nothing where cells below it could not be told apart.
    fn read(line: &StringRecord, faults: &mut Faults) -> Option<Self> {
        let mut places = HashMap::new();
        for (place, cell) in line.iter().enumerate() {
            let name = cell.trim().to_lowercase();
            match COLUMNS.into_iter().find(|known| *known == name) {
                None => faults.add_line(1, unknown(cell, place)),
                Some(known) => {
                    if let Some(first) = places.insert(known, place) {
                        let problem = format!("stands there twice, at places {} and {}", first + 1, place + 1);
                        faults.add(1, known, problem);
                    }
                }
            }
        }
        for missing in REQUIRED.into_iter().filter(|name| !places.contains_key(name)) {
            faults.add(1, missing, "is missing from the header");
        }
        faults.is_empty().then_some(Self { places, width: line.len() })
    }

    fn has(&self, column: &str) -> bool {
        self.places.contains_key(column)
    }

    /// Gives a cell without the blanks around it; nothing where it is blank or there is no such column.
    fn cell<'a>(&self, line: &'a StringRecord, column: &str) -> Option<&'a str> {
        let cell = line.get(*self.places.get(column)?)?.trim();
        (!cell.is_empty()).then_some(cell)
    }
}

fn unknown(cell: &str, place: usize) -> String {
    let name = cell.trim();
    if name.is_empty() {
        return format!("column {} has no name", place + 1);
    }
    let near = COLUMNS
        .into_iter()
        .map(|known| (strsim::damerau_levenshtein(known, &name.to_lowercase()), known))
        .filter(|(distance, _)| *distance <= (name.chars().count() / 3).clamp(1, 2))
        .min();
    match near {
        Some((_, known)) => format!("there is no column “{name}”; did you mean “{known}”?"),
        None => format!("there is no column “{name}”; the columns are {}", COLUMNS.join(", ")),
    }
}

fn read_rows(reader: &mut csv::Reader<&[u8]>, header: &Header, faults: &mut Faults) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut seen: HashMap<String, u64> = HashMap::new();
    for record in reader.records() {
        let record = match record {
            Ok(record) => record,
            Err(cause) => {
                faults.add_line(cause.position().map_or(0, csv::Position::line), cause.to_string());
                continue;
            }
        };
        // A spreadsheet leaves lines of nothing but commas where rows were cleared.
        if record.iter().all(|cell| cell.trim().is_empty()) {
            continue;
        }
        let line = record.position().map_or(0, csv::Position::line);
        if record.len() != header.width {
            let problem =
                format!("has {} cells and the header {}; is a quote or a comma astray?", record.len(), header.width);
            faults.add_line(line, problem);
            continue;
        }
        let Some(row) = (Cells { header, record: &record, line, faults }).row() else { continue };
        if let Some(first) = seen.insert(row.member.login.folded(), line) {
            faults.add(line, "id", format!("“{}” stands in line {first} already", row.member.login));
        }
        rows.push(row);
    }
    rows
}

/// The cells of one line.
struct Cells<'a> {
    header: &'a Header,
    record: &'a StringRecord,
    line: u64,
    faults: &'a mut Faults,
}

impl<'a> Cells<'a> {
    /// Reads the line; nothing where it has no ID or name. All faults of the line are noted.
    fn row(mut self) -> Option<Row> {
        let login = self.login();
        let name = self.text("name");
        if name.is_none() && self.cell("name").is_none() {
            self.fault("name", "is empty");
        }
        let (password, password_hash) = self.password();
        let (kana, department) = (self.text("kana"), self.text("department"));
        let language = self.language();
        let addresses = self.addresses();
        let member = NewMember {
            login: login?,
            name: name?,
            kana,
            department,
            language: language.unwrap_or_default(),
            password_hash,
            addresses,
        };
        Some(Row { line: self.line, member, password, has_language: language.is_some() })
    }

    fn cell(&self, column: &str) -> Option<&'a str> {
        self.header.cell(self.record, column)
    }

    fn fault(&mut self, column: &str, problem: impl Into<String>) {
        self.faults.add(self.line, column, problem);
    }

    fn login(&mut self) -> Option<LoginId> {
        let Some(cell) = self.cell("id") else {
            self.fault("id", "is empty");
            return None;
        };
        cell.parse::<LoginId>().map_err(|wrong| self.fault("id", wrong.to_string())).ok()
    }

    fn text(&mut self, column: &str) -> Option<String> {
        let cell = self.cell(column)?;
        if cell.chars().any(char::is_control) {
            self.fault(column, "has a line break or another control character; is a quote astray?");
            return None;
        }
        if cell.chars().count() > TEXT_MAX {
            self.fault(column, format!("is longer than {TEXT_MAX} characters"));
            return None;
        }
        Some(cell.to_owned())
    }

    /// Reads a start password: plain, or hashed already. It is never repeated in a fault.
    fn password(&mut self) -> (Option<Secret<String>>, Option<String>) {
        let Some(cell) = self.cell("password") else { return (None, None) };
        if hasher::acceptable(cell).is_some() {
            return (None, Some(cell.to_owned()));
        }
        if OTHER_HASHES.iter().any(|begin| cell.starts_with(begin)) {
            let problem = "is a hash that cannot be used: give an Argon2id string ($argon2id$…) of usual costs, or the plain password";
            self.fault("password", problem);
            return (None, None);
        }
        let plain = password::narrow(cell);
        if !plain.bytes().all(|byte| byte.is_ascii_graphic()) || plain.len() > start_password::LONGEST {
            let problem = format!(
                "cannot be typed at login: it has 1 to {} half-width letters, digits and marks",
                start_password::LONGEST
            );
            self.fault("password", problem);
            return (None, None);
        }
        (Some(Secret::new(plain)), None)
    }

    fn language(&mut self) -> Option<Language> {
        let cell = self.cell("language")?;
        cell.to_lowercase().parse::<Language>().map_err(|wrong| self.fault("language", wrong.to_string())).ok()
    }

    fn addresses(&mut self) -> [Option<EmailAddress>; 3] {
        let columns = ["mail1", "mail2", "mail3"];
        let addresses = columns.map(|column| {
            let cell = self.cell(column)?;
            let read = cell.parse::<EmailAddress>();
            read.map_err(|wrong| self.fault(column, format!("“{cell}”: {wrong}"))).ok()
        });
        let folded = addresses.each_ref().map(|address| address.as_ref().map(EmailAddress::folded));
        for (later, column) in columns.into_iter().enumerate().skip(1) {
            let twice =
                folded.iter().take(later).flatten().any(|earlier| folded.get(later) == Some(&Some(earlier.clone())));
            if twice {
                self.fault(column, "is the same address as in a column before");
            }
        }
        addresses
    }
}
