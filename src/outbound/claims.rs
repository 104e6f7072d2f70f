//! What is to be claimed next.
//!
//! Of a class for which every destination has room, whatever is at the front of the queue. Of any other, what its domains
//! have waiting that belong to destinations with room, and are not kept back themselves; which domains these are is looked up once in a while and remembered.
//!
//! Knows nothing of connections. What always holds: never more is asked for than there is room, in all and in each lane but for
//! one batch of the first; finding out costs as much as there are domains, however much waits.

use super::atlas::Atlas;
use super::pool::Pool;
use crate::model::{Domain, Span, Timestamp};
use crate::queue::destination::Name;
use crate::queue::turn::is_urgent;
use crate::queue::{Class, Job};
use crate::store::{Store, StoreError, Wish};
use std::collections::{HashMap, HashSet};

/// The most jobs of one claim that somebody waits for, and of one that can wait: while the store is at it, it does nothing else.
const BATCH: (usize, usize) = (500, 50);
/// The most jobs of one claim from the front of a class: those of a lane that turns out to be full are given back.
const FRONT: usize = 250;
/// Domains of a class that are looked at.
const DOMAINS: usize = 20_000;
/// How long it is remembered which domains have something waiting, for mail that can wait and for mail that cannot.
const REMEMBERED: (Span, Span) = (Span::from_secs(1), Span::from_millis(100));
/// The most wishes of a class in one claim: each may cost a look at the database.
const ASKED: usize = 50;

/// Knows which domains have something waiting that cannot be had from the front.
#[derive(Default)]
pub(super) struct Claims {
    backlog: HashMap<Class, (Timestamp, Vec<Domain>)>,
}

/// What is to be claimed.
pub(super) struct Wanted {
    pub(super) wishes: Vec<Wish>,
    /// Something is left out because there is no room for it.
    pub(super) left_out: bool,
    /// Something is left for the next claim, which is to follow at once.
    pub(super) cut_short: bool,
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
        let mut wanted = Wanted { wishes: Vec::new(), left_out: false, cut_short: false };
        pool.make_room();
        for class in Class::ALL.into_iter().filter(|class| is_urgent(*class) == urgent) {
            let room = pool.room_for(class);
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
            let (mut wishes, is_all) = by_destination(domains, pool, atlas, class);
            if room < batch(urgent) {
                fit(&mut wishes, room);
            }
            wanted.cut_short |= wishes.len() > ASKED || !wishes.is_empty() && !is_all;
            wanted.wishes.extend(wishes.into_iter().take(ASKED));
        }
        Ok(wanted)
    }

    /// These were claimed, and more might have been: destinations of which there was less than wished have nothing more waiting.
    pub(super) fn claimed(&mut self, wishes: &[Wish], jobs: &[Job]) {
        let mut counts: HashMap<(Class, &Domain), usize> = HashMap::new();
        for job in jobs {
            *counts.entry((job.order.class, job.order.to.domain())).or_default() += 1;
        }
        let count = |class, domain| counts.get(&(class, domain)).copied().unwrap_or_default();
        for (class, (_, waiting)) in &mut self.backlog {
            let theirs = wishes.iter().filter(|wish| wish.class == *class);
            let named = theirs.filter_map(|wish| wish.only.as_ref().map(|domains| (wish.limit, domains)));
            let drained = named.filter(|(limit, domains)| {
                let found: usize = domains.iter().map(|domain| count(*class, domain)).sum();
                found < *limit
            });
            let drained: HashSet<&Domain> = drained.flat_map(|(_, domains)| domains).collect();
            waiting.retain(|domain| !drained.contains(domain));
        }
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

/// Says what there is room for of a class, destination by destination, those first whose mail has been due the longest; and
/// whether that is all: each domain that is to be looked up is asked for more than it may have, at the others' cost.
fn by_destination(domains: &[Domain], pool: &Pool, atlas: &Atlas, class: Class) -> (Vec<Wish>, bool) {
    let mut wishes: Vec<(usize, Vec<Domain>)> = Vec::new();
    let mut known: HashMap<Name, usize> = HashMap::new();
    let (mut looked_up, mut is_all) = (pool.room_unplaced(class), true);
    for domain in domains {
        let most = pool.room_of(domain, class);
        let Some(name) = atlas.find(domain) else {
            let room = pool.room_unplaced_at(domain, class).min(most.unwrap_or(usize::MAX));
            let limit = room.min(looked_up);
            looked_up -= limit;
            is_all &= limit == room;
            wishes.push((limit, vec![domain.clone()]));
            continue;
        };
        if let Some(most) = most {
            wishes.push((pool.room_at(&name, class).min(most), vec![domain.clone()]));
            continue;
        }
        let wish = *known.entry(name).or_insert_with_key(|name| {
            wishes.push((pool.room_at(name, class), Vec::new()));
            wishes.len() - 1
        });
        if let Some((_, theirs)) = wishes.get_mut(wish) {
            theirs.push(domain.clone());
        }
    }
    wishes.retain(|(limit, _)| *limit > 0);
    let wishes = wishes.into_iter().map(|(limit, theirs)| Wish { class, limit, only: Some(theirs) });
    (wishes.collect(), is_all)
}

/// Cuts wishes down to what there is room for in all.
fn fit(wishes: &mut Vec<Wish>, room: usize) {
    let mut left = room;
    wishes.retain_mut(|wish| {
        wish.limit = wish.limit.min(left);
        left -= wish.limit;
        wish.limit > 0
    });
}
