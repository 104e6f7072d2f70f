//! `[log]`: what standard error, and so the journal, is told.

use super::reader::Section;

/// `[log]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Log {
    /// `format`.
    pub format: Format,
}

/// How a line of the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `key=value`, for people.
    Text,
    /// One JSON object a line, for collectors.
    Json,
}

impl Log {
    pub(super) fn read(mut section: Section<'_>) -> Self {
        let format = section.word("format", &[("text", Format::Text), ("json", Format::Json)]).unwrap_or(Format::Text);
        Self { format }
    }
}
