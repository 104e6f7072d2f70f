//! `[log]`: what standard error, and so the journal, is told; and how long the audit log is kept.

use super::reader::Section;
use crate::model::Span;

/// `[log]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Log {
    /// `format`.
    pub format: Format,
    /// How long an entry of the audit log is kept (`audit_kept`).
    pub audit_kept: Span,
}

/// How a line of the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `key=value`, for people.
    Text,
    /// One JSON object a line, for collectors.
    Json,
}

/// The least and the most that `audit_kept` may be: a month to a hundred years.
const AUDIT: [Span; 2] = [Span::from_secs(30 * 86_400), Span::from_secs(36_525 * 86_400)];

impl Log {
    /// How long the audit log is kept unless the file says otherwise: five years.
    pub const AUDIT_KEPT: Span = Span::from_secs(1_826 * 86_400);

    pub(super) fn read(mut section: Section<'_>) -> Self {
        let format = section.word("format", &[("text", Format::Text), ("json", Format::Json)]).unwrap_or(Format::Text);
        let audit_kept = section.value("audit_kept").unwrap_or(Self::AUDIT_KEPT);
        let [least, most] = AUDIT;
        if !(least..=most).contains(&audit_kept) {
            section.complain("audit_kept", format!("must be between {least} and {most}, not {audit_kept}"), None);
        }
        Self { format, audit_kept }
    }
}
