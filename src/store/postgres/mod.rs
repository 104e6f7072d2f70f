//! PostgreSQL, for several nodes: a few connections that write in groups, a few that read.
//!
//! Each writing connection does what the one writer of SQLite does: takes what waits, runs each piece of work in a savepoint,
//! commits once, then answers all. A group that met a deadlock or another node's change is undone and its work run again, one
//! by one; a connection that was lost is opened anew and its work run again, unless it was lost during the commit: then
//! nobody knows, and those who wait are told so.
//!
//! Knows nothing of the tables. What always holds: nobody is answered before the server has flushed; work that refuses is
//! undone alone; work runs again only where it is certain that nothing of it was kept.

mod session;

pub(super) use session::{Purpose, Server, Session, describe, show};

use crate::store::tx::Link;
use crate::store::work::{Queue, Waiting, observe};
use crate::store::{Event, Observer, StoreError, Tx};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

/// The most work committed at once: the server keeps up to 64 savepoints of a transaction at hand.
const GROUP: usize = 60;
/// How often work is run before whoever waits is told that it does not succeed.
const TRIES: u32 = 5;

/// A place for a connection, opened when it is needed.
pub(super) struct Line {
    server: Server,
    purpose: Purpose,
    session: Option<Session>,
}

impl Line {
    pub(super) const fn new(server: Server, purpose: Purpose) -> Self {
        Self { server, purpose, session: None }
    }

    /// Gives the connection; opens it where there is none or it was lost.
    pub(super) fn session(&mut self) -> Result<&mut Session, StoreError> {
        if self.session.as_ref().is_none_or(Session::is_lost) {
            self.session = None;
            let session = self.server.connect(self.purpose)?;
            return Ok(self.session.insert(session));
        }
        self.session.as_mut().ok_or_else(|| StoreError::Unavailable(String::from("no connection")))
    }

    /// Leaves what is left of a transaction; a connection that cannot even do that is dropped.
    fn recover(&mut self) {
        if let Some(session) = &mut self.session
            && (session.is_lost() || session.say("ROLLBACK").is_err())
        {
            self.session = None;
        }
    }
}

/// Why a group was not committed.
enum Failure {
    /// Nothing was kept, and another try may succeed.
    Again(StoreError),
    /// Another try would not help, or must not be made.
    Final(StoreError),
}

/// A thread that writes.
pub(super) struct Writer {
    pub(super) line: Line,
    pub(super) observer: Observer,
    pub(super) coming: Arc<AtomicU64>,
    #[cfg(feature = "crash-test")]
    pub(super) crash: crate::store::crash::Crash,
}

impl Writer {
    /// Works until nobody can hand in more and nothing waits.
    pub(super) fn run(mut self, queue: &Queue) {
        while let Some(group) = queue.group(GROUP) {
            self.commit(group);
        }
    }

    fn commit(&mut self, mut group: Vec<Waiting>) {
        let mut tries = 0;
        loop {
            tries += 1;
            match self.attempt(&mut group) {
                Ok(events) => return self.committed(group, &events),
                Err(Failure::Again(error)) if tries < TRIES => {
                    tracing::debug!(%error, tries, transactions = group.len(), "a transaction is run again");
                    self.line.recover();
                    if group.len() > 1 {
                        return group.into_iter().for_each(|work| self.commit(vec![work]));
                    }
                }
                Err(Failure::Again(error) | Failure::Final(error)) => {
                    tracing::error!(%error, transactions = group.len(), "nothing could be recorded");
                    self.line.recover();
                    return group.into_iter().for_each(|work| work.fail(error.clone()));
                }
            }
        }
    }

    fn committed(&mut self, group: Vec<Waiting>, events: &[Event]) {
        #[cfg(feature = "crash-test")]
        self.crash.committed();
        observe(&self.observer, events);
        group.into_iter().for_each(|work| work.answer());
    }

    /// Runs a group in one transaction; gives the events of what was kept.
    fn attempt(&mut self, group: &mut [Waiting]) -> Result<Vec<Event>, Failure> {
        let session = self.line.session().map_err(Failure::Final)?;
        session.begin().map_err(|error| failed(error, session))?;
        let mut events = Vec::new();
        let last = group.len().saturating_sub(1);
        for (index, work) in group.iter_mut().enumerate() {
            let (keep, mut told) = run(session, work, &self.coming)?;
            let next = match keep {
                true if index == last => Ok(()),
                true => session.keep_work(),
                false => session.undo_work(),
            };
            next.map_err(|error| failed(error, session))?;
            if keep {
                events.append(&mut told);
            }
        }
        session.say("COMMIT").map_err(|error| commit_failed(error, session))?;
        Ok(events)
    }
}

/// Runs one piece of work; says whether what it wrote is to be kept, and gives its events.
fn run(session: &mut Session, work: &mut Waiting, coming: &AtomicU64) -> Result<(bool, Vec<Event>), Failure> {
    let mut tx = Tx::writing(Link::Postgres(session), coming);
    let keep = work.run(&mut tx);
    let (trouble, events) = tx.into_parts();
    match trouble {
        Some(error @ (StoreError::Busy(_) | StoreError::Unavailable(_))) => Err(Failure::Again(error)),
        _ => Ok((keep, events)),
    }
}

/// Before the commit nothing is kept, so all may be run again.
fn failed(error: StoreError, session: &Session) -> Failure {
    if session.is_lost() || matches!(error, StoreError::Busy(_) | StoreError::Unavailable(_)) {
        Failure::Again(error)
    } else {
        Failure::Final(error)
    }
}

/// A server that refuses a commit has undone it; one that went away may have kept it.
fn commit_failed(error: StoreError, session: &Session) -> Failure {
    if !session.is_lost() && matches!(error, StoreError::Busy(_)) {
        Failure::Again(error)
    } else {
        Failure::Final(error)
    }
}

/// Reads until nobody can ask for more.
pub(super) fn read(line: &mut Line, queue: &Queue) {
    while let Some(mut work) = queue.next() {
        let mut done = read_one(line, &mut work);
        if matches!(done, Err(StoreError::Unavailable(_) | StoreError::Busy(_))) {
            line.recover();
            done = read_one(line, &mut work);
        }
        match done {
            Ok(()) => work.answer(),
            Err(error) => {
                line.recover();
                work.fail(error);
            }
        }
    }
}

fn read_one(line: &mut Line, work: &mut Waiting) -> Result<(), StoreError> {
    let session = line.session()?;
    session.begin()?;
    let mut tx = Tx::new(Link::Postgres(session));
    work.run(&mut tx);
    let (trouble, _) = tx.into_parts();
    match trouble {
        Some(error @ (StoreError::Unavailable(_) | StoreError::Busy(_))) => Err(error),
        Some(_) => session.say("ROLLBACK"),
        None => session.say("COMMIT"),
    }
}
