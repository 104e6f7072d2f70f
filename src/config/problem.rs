//! What is wrong with a configuration, said so that it can be put right at once.

use std::fmt;

/// One thing that is wrong: where, what, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The path of the key, such as `delivery.class.otp.give_up`; empty where the file as a whole is meant.
    pub key: String,
    /// The line of the file, where one is to blame.
    pub line: Option<usize>,
    /// What is wrong.
    pub what: String,
    /// What to do, where that is not already said.
    pub hint: Option<String>,
}

impl Problem {
    /// Makes a problem of the file as a whole.
    #[must_use]
    pub const fn of_file(what: String) -> Self {
        Self { key: String::new(), line: None, what, hint: None }
    }
}

/// `line 12: smtp.listen: … (hint: …)`.
impl fmt::Display for Problem {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            write!(out, "line {line}: ")?;
        }
        if !self.key.is_empty() {
            write!(out, "{}: ", self.key)?;
        }
        out.write_str(&self.what)?;
        match &self.hint {
            Some(hint) => write!(out, " (hint: {hint})"),
            None => Ok(()),
        }
    }
}

/// Everything that is wrong with a configuration, in the order of the file; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// Puts problems into the order of the file; those without a line come last.
    pub(super) fn new(mut problems: Vec<Problem>) -> Self {
        problems.sort_by_key(|problem| problem.line.unwrap_or(usize::MAX));
        Self(problems)
    }

    /// Keeps the first problem of each line, and no more than `lines` lines; `rest` stands for those that are left out then.
    pub(super) fn keep_first(&mut self, lines: usize, rest: &str) {
        self.0.dedup_by_key(|problem| problem.line);
        if let Some(line) = self.0.get(lines).map(|problem| problem.line) {
            self.0.truncate(lines);
            self.0.push(Problem { line, ..Problem::of_file(rest.to_owned()) });
        }
    }

    /// Lends the problems one by one.
    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.0.iter()
    }
}

impl From<Problems> for Vec<Problem> {
    fn from(problems: Problems) -> Self {
        problems.0
    }
}

/// One problem a line.
impl fmt::Display for Problems {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, problem) in self.0.iter().enumerate() {
            if place > 0 {
                out.write_str("\n")?;
            }
            write!(out, "{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}
