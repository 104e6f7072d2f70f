//! Where PostgreSQL wants other words than SQLite.
//!
//! Statements are written once, for SQLite: parameters are `?1`, `?2`, …, and what only PostgreSQL needs stands in a comment,
//! which SQLite skips. What always holds: a statement means the same on both.

use std::borrow::Cow;

/// What is said in comments, and what PostgreSQL reads instead.
const SPOKEN: [(&str, &str); 4] = [
    // Jobs that another node is claiming are left to it.
    ("/* skip locked */", "FOR UPDATE SKIP LOCKED"),
    // Nobody else changes the row, or takes it away, until the transaction ends.
    ("/* held */", "FOR UPDATE"),
    // Branches of a UNION ALL are merged in order only where each is in order by itself; SQLite sees to that unasked.
    ("/* in order */", "ORDER BY due, id LIMIT $5"),
    // Texts in the order of their bytes, whatever the language of the database; SQLite knows no other.
    ("/* by bytes */", "COLLATE \"C\""),
];

/// Opens a transaction that writes, and a savepoint for the first piece of work. Each statement sees what others have committed by then; what a decision rests on is
/// guarded ([`GUARD`]) or written by one statement.
pub(super) const BEGIN_WRITE: &str = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; SAVEPOINT work";
/// Opens a transaction that reads one snapshot, as a reader of SQLite does.
pub(super) const BEGIN_READ: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
/// Takes the one lock under which decisions are made that rest on several rows, until the transaction ends. It is the same
/// for all: locks for each key, taken in any order by transactions of many mails, would end in deadlocks.
pub(super) const GUARD: &str = "SELECT pg_advisory_xact_lock(7161681990)";
/// Takes the lock under which one node at a time brings the schema up to date.
pub(super) const MIGRATING: &str = "SELECT pg_advisory_xact_lock(7161681991)";
/// What every connection is told. Committed means flushed, whatever the server's default; and nothing waits for ever. Each
/// statement has an index made for it and is planned once, for that: statistics lag behind a queue that grows by a million
/// within a minute, and planning anew costs more than a claim.
pub(super) const SETTINGS: &str = "
    SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off';
    SET lock_timeout = '10s';
    SET statement_timeout = '30s';
    SET idle_in_transaction_session_timeout = '60s';
    SET plan_cache_mode = force_generic_plan;
    SET enable_seqscan = off;
    SET enable_bitmapscan = off;
    SET enable_hashjoin = off;
    SET enable_mergejoin = off;
";

/// Opens the transaction in which a whole store is written.
pub(super) const BEGIN_COPY: &str = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE";
/// What a connection that copies or reads a whole store is told besides: nobody waits behind it, and its statements may take
/// longer than those of a mail.
pub(super) const UNHURRIED: &str = "
    SET statement_timeout = '30min';
    SET idle_in_transaction_session_timeout = '30min';
";

/// Rewrites a statement for PostgreSQL.
pub(super) fn for_postgres(sql: &str) -> String {
    let mut out = String::with_capacity(sql.len() + 16);
    let mut quoted = false;
    let mut rest = sql.chars().peekable();
    while let Some(c) = rest.next() {
        quoted ^= c == '\'';
        let parameter = c == '?' && !quoted && rest.peek().is_some_and(char::is_ascii_digit);
        out.push(if parameter { '$' } else { c });
    }
    SPOKEN.iter().fold(out, |sql, (comment, words)| sql.replace(comment, words))
}

/// Gives a text as PostgreSQL can keep it: it has no NUL, which strangers do send; SQLite has.
pub(super) fn without_nul(text: &str) -> Cow<'_, str> {
    if text.contains('\0') { Cow::Owned(text.replace('\0', "\u{fffd}")) } else { Cow::Borrowed(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbered_parameters_are_rewritten_and_texts_are_not() {
        assert_eq!(for_postgres("SELECT ?1, '?2 isn''t ?3', ?12 ?"), "SELECT $1, '?2 isn''t ?3', $12 ?");
    }

    #[test]
    fn what_only_postgresql_needs_comes_out_of_its_comment() {
        assert_eq!(for_postgres("SELECT 1 LIMIT ?1 /* skip locked */"), "SELECT 1 LIMIT $1 FOR UPDATE SKIP LOCKED");
    }

    #[test]
    fn a_nul_in_a_text_is_shown_rather_than_refused() {
        assert_eq!(without_nul("a\0b"), "a\u{fffd}b");
        assert_eq!(without_nul("ab"), "ab");
    }
}
