//! What is to be claimed next.
//!
//! Of a class for which every destination has room, whatever is at the front of the queue. Of any other, what its domains
//! have waiting that belong to destinations with room; which domains these are is looked up once in a while and remembered.
//!
//! Knows nothing of connections. What always holds: never more is asked for than there is room, in all and in each lane but for
//! one batch of the first; finding out costs as much as there are domains, however much waits.

use super::atlas::Atlas;
use super::pool::Pool;
use crate::model::{Domain, Span, Timestamp};
use crate::queue::Class;
use crate::queue::destination::Name;
use crate::queue::turn::is_urgent;
use crate::store::{Store, StoreError, Wish};
use std::collections::HashMap;

/// The most jobs of one claim that somebody waits for, and of one that can wait: while the store is at it, it does nothing else.
const BATCH: (usize, usize) = (500, 50);
/// The most jobs of one claim from the front of a class: those of a lane that turns out to be full are given back.
const FRONT: usize = 250;
/// Domains of a class that are looked at.
const DOMAINS: usize = 20_000;
/// How long it is remembered which domains have something waiting, for mail that can wait and for mail that cannot.
const REMEMBERED: (Span, Span) = (Span::from_secs(1), Span::from_millis(100));
/// Claimed jobs of a domain whose servers are being looked up.
const UNPLACED: usize = 20;

/// Knows which domains have something waiting that cannot be had from the front.
#[derive(Default)]
pub(super) struct Claims {
    backlog: HashMap<Class, (Timestamp, Vec<Domain>)>,
}

/// What is to be claimed, and whether anything is left out because there is no room for it.
pub(super) struct Wanted {
    pub(super) wishes: Vec<Wish>,
    pub(super) left_out: bool,
}

impl Claims {
    /// Something was ordered: what is remembered may be out of date.
    pub(super) fn forget(&mut self) {
        self.backlog.clear();
    }

    /// Says what is to be claimed now of mail that somebody waits for, or of the rest.
    ///
    /// # Errors
    /// The database failed.
    pub(super) async fn wanted(
        &mut self,
        urgent: bool,
        pool: &Pool,
        atlas: &Atlas,
        store: &Store,
        now: Timestamp,
    ) -> Result<Wanted, StoreError> {
        let mut wanted = Wanted { wishes: Vec::new(), left_out: false };
        let mut left = batch(urgent);
        for class in Class::ALL.into_iter().filter(|class| is_urgent(*class) == urgent) {
            let room = pool.room_for(class).min(left);
            if room == 0 {
                wanted.left_out = true;
                continue;
            }
            if !pool.is_any_full(class) {
                wanted.wishes.push(Wish { class, limit: room.min(FRONT), only: None });
                continue;
            }
            wanted.left_out = true;
            let domains = self.domains(store, class, now).await?;
            let wishes = by_destination(domains, pool, atlas, class, room);
            left = left.saturating_sub(wishes.iter().map(|wish| wish.limit).sum());
            wanted.wishes.extend(wishes);
        }
        Ok(wanted)
    }

    /// Lists the domains that have something of a class waiting that is due.
    async fn domains(&mut self, store: &Store, class: Class, now: Timestamp) -> Result<&[Domain], StoreError> {
        let age = if is_urgent(class) { REMEMBERED.1 } else { REMEMBERED.0 };
        let known = self.backlog.get(&class).is_some_and(|(at, _)| now.since(*at) < age && *at <= now);
        if !known {
            let found = store.read::<_, StoreError, _>(move |tx| tx.backlog(class, now, DOMAINS)).await?;
            self.backlog.insert(class, (now, found.into_iter().map(|(domain, _)| domain).collect()));
        }
        Ok(self.backlog.get(&class).map_or(&[], |(_, domains)| domains))
    }
}

/// Says how many jobs are claimed at a time.
pub(super) const fn batch(urgent: bool) -> usize {
    if urgent { BATCH.0 } else { BATCH.1 }
}

fn by_destination(domains: &[Domain], pool: &Pool, atlas: &Atlas, class: Class, room: usize) -> Vec<Wish> {
    let mut places: HashMap<Name, (usize, Vec<Domain>)> = HashMap::new();
    let mut wishes = Vec::new();
    for domain in domains {
        match atlas.find(domain) {
            Some(name) => {
                let (_, theirs) =
                    places.entry(name.clone()).or_insert_with(|| (pool.room_at(&name, class), Vec::new()));
                theirs.push(domain.clone());
            }
            None => {
                let limit = UNPLACED.saturating_sub(pool.unplaced(domain));
                wishes.push(Wish { class, limit, only: Some(vec![domain.clone()]) });
            }
        }
    }
    wishes.extend(places.into_values().map(|(limit, theirs)| Wish { class, limit, only: Some(theirs) }));
    let mut left = room;
    wishes.retain_mut(|wish| {
        wish.limit = wish.limit.min(left);
        left -= wish.limit;
        wish.limit > 0
    });
    wishes
}
