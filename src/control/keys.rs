//! What an operator does with keys: see them, make new ones, use and retire them.
//!
//! Knows how long an old key is still needed, and nothing of files. What always holds: a key is not retired while values are sealed
//! with it; where something else would stop to work, that is said first, and done only on demand.

use super::desk::{Desk, Stop, refused};
use super::{KeyDoneFacts, KeyFacts, Response};
use crate::keys::{DkimAlgorithm, Entry, KeyId, Keychain, Kind, RotateError, Standing, State};
use crate::model::{Span, Timestamp};
use crate::service::draft;
use std::collections::BTreeMap;

/// How long a bounce takes at most: so long servers try (RFC 5321 4.5.4.1: four to five days), and two days for their queues.
const BOUNCES: Span = Span::from_secs(7 * 86_400);

/// What a key does until it is retired.
struct Need {
    /// Until when.
    until: Timestamp,
    /// What stops before that.
    what: String,
}

impl Desk {
    pub(super) async fn list_keys(&self) -> Result<Response, Stop> {
        let entries = self.entries().await?;
        let sealed = self.sealed().await?;
        let facts = entries.iter().map(|entry| KeyFacts::new(entry, &self.keys, &sealed));
        Ok(Response::Keys(facts.collect()))
    }

    pub(super) async fn new_key(&self, kind: Kind, wait: bool) -> Result<Response, Stop> {
        let random = self.random.clone();
        let standing = if wait { Standing::Waiting } else { Standing::InUse };
        let id = self.rotate(move |keys| keys.add(kind, standing, &random)).await?;
        tracing::info!(key = %id, "a key was made");
        let note = if wait {
            format!(
                "it is believed and makes nothing yet: copy its file to every node, have each read it (SIGHUP), then: key use {id}"
            )
        } else {
            "it makes new things from now on; the older ones are believed until they are retired: key retire".to_owned()
        };
        self.done(&id, vec![note]).await
    }

    pub(super) async fn new_dkim_key(&self, algorithm: DkimAlgorithm, selector: String) -> Result<Response, Stop> {
        let random = self.random.clone();
        let id = self.rotate(move |keys| keys.add_dkim(algorithm, &selector, &random)).await?;
        tracing::info!(key = %id, "a DKIM key was made");
        let note = format!("publish the record and wait until every name server gives it; then: key use {id}");
        self.done(&id, vec![note]).await
    }

    pub(super) async fn use_key(&self, id: KeyId) -> Result<Response, Stop> {
        let which = id.clone();
        let replaced = self.rotate(move |keys| keys.bring_into_use(&which)).await?;
        tracing::info!(key = %id, "a key was brought into use");
        let mut notes: Vec<String> = replaced
            .iter()
            .map(|other| {
                format!(
                    "{other} signs no more (key use {other} takes it back); leave its record for a week, then: key retire {other}"
                )
            })
            .collect();
        if id.kind() == "dkim" && self.keys.are_named() {
            notes.push(format!(
                "[[dkim]] in the settings names the keys that sign: it signs as soon as the selector {id} stands there and the \
                 daemon has read them again (SIGHUP)"
            ));
        }
        self.done(&id, notes).await
    }

    /// Retires a key; `now`, even where something stops to work by that.
    pub(super) async fn retire_key(&self, id: KeyId, now: bool) -> Result<Response, Stop> {
        let entries = self.entries().await?;
        let entry = entries.iter().find(|entry| entry.id == id);
        // What is in use is refused in any case, for that reason.
        if let (Some(entry), KeyId::Numbered(kind, number)) = (entry, &id)
            && matches!(self.keys.state(entry), State::Verifies | State::Waiting)
        {
            self.nothing_hangs_on(&id, *kind, *number).await?;
            // One that still waits made nothing.
            let need = self.need(&entries, *kind, *number).filter(|_| entry.standing != Standing::Waiting);
            if let Some(Need { until, what }) = need.filter(|need| !now && self.clock.now() < need.until) {
                return Err(refused(format!("{what}; wait until {until}, or retire it now: key retire {id} --yes")));
            }
        }
        let which = id.clone();
        self.rotate(move |keys| keys.retire(&which)).await?;
        tracing::info!(key = %id, "a key was retired");
        let mut notes = Vec::new();
        if id.kind() == "dkim" {
            notes.push("take its record out of the DNS a week after it signed last, not before".to_owned());
        }
        notes.push("its file stays, with .retired behind its name: remove it when nobody can want it back".to_owned());
        self.done(&id, notes).await
    }

    /// Refuses to retire a key that values are sealed with.
    async fn nothing_hangs_on(&self, id: &KeyId, kind: Kind, number: u16) -> Result<(), Stop> {
        let left = match kind {
            Kind::Seal => self.sealed().await?.get(&number).copied().unwrap_or(0),
            Kind::Link | Kind::Verp => 0,
        };
        let how = match (left, &self.live) {
            (0, _) => return Ok(()),
            (_, Some(_)) => "they are being sealed anew in the background: key list says how many are left",
            (_, None) => "the daemon seals them anew while it runs: start it, and see key list",
        };
        Err(refused(format!("values that are still sealed with {id}: {left}; {how}")))
    }

    /// Says what still needs a key that makes nothing new, if a newer one ever took its place.
    fn need(&self, entries: &[Entry], kind: Kind, number: u16) -> Option<Need> {
        let newer = entries.iter().filter(|entry| {
            matches!(entry.id, KeyId::Numbered(of, other) if of == kind && other > number)
                && entry.standing != Standing::Waiting
        });
        let since = newer.map(|entry| entry.since).min()?;
        Some(match kind {
            Kind::Link => Need {
                until: since.plus(self.link_lifetime),
                what: format!("links in mails from before {since} would open nothing any more"),
            },
            Kind::Verp => Need {
                until: since.plus(BOUNCES),
                what: format!("bounces of mails from before {since} would be taken for forged ones"),
            },
            Kind::Seal => Need {
                until: since.plus(draft::KEPT),
                what: format!(
                    "codes, open pages and half-filled forms from before {since} would not be known any more"
                ),
            },
        })
    }

    async fn done(&self, id: &KeyId, notes: Vec<String>) -> Result<Response, Stop> {
        let entries = self.entries().await?;
        let entry = entries.iter().find(|entry| entry.id == *id).ok_or_else(|| refused(format!("{id} is gone")))?;
        let sealed = self.sealed().await?;
        Ok(Response::KeyDone(KeyDoneFacts { key: KeyFacts::new(entry, &self.keys, &sealed), notes }))
    }

    async fn entries(&self) -> Result<Vec<Entry>, Stop> {
        self.rotate(Keychain::list).await
    }

    /// Counts the values on each key that seals.
    async fn sealed(&self) -> Result<BTreeMap<u16, u64>, Stop> {
        Ok(self.store.read(|tx| tx.count_sealed()).await?)
    }

    /// Works on the keys where waiting for the disk keeps nobody.
    async fn rotate<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Keychain) -> Result<T, RotateError> + Send + 'static,
    ) -> Result<T, Stop> {
        let keys = self.keys.clone();
        tokio::task::spawn_blocking(move || work(&keys)).await.map_err(refused)?.map_err(refused)
    }
}
