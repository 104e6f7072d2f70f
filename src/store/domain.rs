//! What deliveries to a domain have shown about its servers.
//!
//! Knows nothing of connections or policies. What always holds: noting what is known already writes nothing, so that a mail
//! costs no write of its own.

use crate::model::{Domain, Span, Timestamp};
use crate::store::sql::params;
use crate::store::{StoreError, Tx};

/// How exact it is known when TLS was had last.
const EXACT: Span = Span::from_secs(86_400);

/// What is remembered of a domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DomainMemory {
    /// Its servers take an odd local part as it is, and not in quotes.
    pub raw_local: bool,
    /// When TLS was had with one of its servers last, exact to a day.
    pub tls_seen_at: Option<Timestamp>,
    /// Since when it is missing.
    pub tls_missed_at: Option<Timestamp>,
}

/// A domain whose servers spoke TLS, and do not any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsLoss {
    /// The domain.
    pub domain: Domain,
    /// When TLS was had last, exact to a day.
    pub seen_at: Timestamp,
    /// Since when it is missing.
    pub missed_at: Timestamp,
}

impl DomainMemory {
    /// Says what is known once TLS was seen, or missed, at a moment; nothing, where that is known already.
    fn with_tls(self, seen: bool, at: Timestamp) -> Option<Self> {
        if !seen {
            return self.tls_missed_at.is_none().then_some(Self { tls_missed_at: Some(at), ..self });
        }
        let old = self.tls_seen_at.is_none_or(|last| last.plus(EXACT) <= at);
        (old || self.tls_missed_at.is_some()).then_some(Self { tls_seen_at: Some(at), tls_missed_at: None, ..self })
    }
}

impl Tx<'_> {
    /// Says what is remembered of a domain.
    ///
    /// # Errors
    /// The database failed.
    pub fn domain_memory(&mut self, domain: &Domain) -> Result<DomainMemory, StoreError> {
        let sql = "SELECT raw_local, tls_seen_at, tls_missed_at FROM domains WHERE domain = ?1";
        let found = self.one(sql, params![domain], |row| {
            Ok(DomainMemory { raw_local: row.get(0)?, tls_seen_at: row.find(1)?, tls_missed_at: row.find(2)? })
        });
        found.map(Option::unwrap_or_default)
    }

    /// Remembers whether a domain's servers take an odd local part as it is.
    ///
    /// # Errors
    /// The database failed.
    pub fn note_raw_local(&mut self, domain: &Domain, raw_local: bool) -> Result<(), StoreError> {
        let known = self.domain_memory(domain)?;
        if known.raw_local == raw_local { Ok(()) } else { self.remember(domain, DomainMemory { raw_local, ..known }) }
    }

    /// Remembers that TLS was had with a domain's servers, or that it was missing.
    ///
    /// # Errors
    /// The database failed.
    pub fn note_tls(&mut self, domain: &Domain, seen: bool, at: Timestamp) -> Result<(), StoreError> {
        let news = self.domain_memory(domain)?.with_tls(seen, at);
        news.map_or(Ok(()), |memory| self.remember(domain, memory))
    }

    /// Lists domains whose TLS is missing, last had at `since` or later, those first that miss it for longest.
    ///
    /// # Errors
    /// The database failed.
    pub fn tls_losses(&mut self, since: Timestamp, limit: usize) -> Result<Vec<TlsLoss>, StoreError> {
        let sql = "SELECT domain, tls_seen_at, tls_missed_at FROM domains \
                   WHERE tls_missed_at IS NOT NULL AND tls_seen_at >= ?1 ORDER BY tls_missed_at, domain LIMIT ?2";
        self.query(sql, params![since, limit], |row| {
            Ok(TlsLoss { domain: row.get(0)?, seen_at: row.get(1)?, missed_at: row.get(2)? })
        })
    }

    fn remember(&mut self, domain: &Domain, memory: DomainMemory) -> Result<(), StoreError> {
        let sql = "INSERT INTO domains (domain, raw_local, tls_seen_at, tls_missed_at) VALUES (?1, ?2, ?3, ?4) \
                   ON CONFLICT (domain) DO UPDATE SET raw_local = excluded.raw_local, \
                   tls_seen_at = excluded.tls_seen_at, tls_missed_at = excluded.tls_missed_at";
        self.execute(sql, params![domain, memory.raw_local, memory.tls_seen_at, memory.tls_missed_at]).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(day: i64) -> Timestamp {
        Timestamp::from_millis(day * 86_400_000)
    }

    #[test]
    fn what_is_known_already_is_not_written_again() {
        let never = DomainMemory::default();
        let missed = never.with_tls(false, at(1)).unwrap();
        assert_eq!((missed.tls_seen_at, missed.tls_missed_at), (None, Some(at(1))));
        assert_eq!(missed.with_tls(false, at(9)), None);
        let seen = missed.with_tls(true, at(2)).unwrap();
        assert_eq!((seen.tls_seen_at, seen.tls_missed_at), (Some(at(2)), None));
        assert_eq!(seen.with_tls(true, at(3).minus(Span::from_millis(1))), None);
        assert_eq!(seen.with_tls(true, at(3)).and_then(|memory| memory.tls_seen_at), Some(at(3)));
        let gone = seen.with_tls(false, at(2)).unwrap();
        assert_eq!((gone.tls_seen_at, gone.tls_missed_at), (Some(at(2)), Some(at(2))));
    }
}
