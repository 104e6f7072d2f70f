//! Carries a request to the daemon, or does the work itself while none runs.

use super::failure::{Failure, complain};
use super::{owner, place, voice};
use crate::clock::Clock;
use crate::config::{Config, Format};
use crate::control::{self, AskError, Desk, Lock, LockError, Request, Response};
use crate::daemon::{location, notices, signing};
use crate::keys::Keychain;
use crate::model::Span;
use crate::random::Random;
use crate::store::{Options, Store};
use std::path::{Path, PathBuf};
use tokio::sync::{mpsc, watch};

/// How often the lock is asked for while somebody else has it and does not answer.
const TRIES: usize = 50;
/// The wait between two tries: with [`TRIES`] five seconds, in which a daemon starts or another command ends.
const WAIT: Span = Span::from_millis(100);

/// Asks, and hands each answer to `each`. What was refused ends the command.
pub(super) fn ask(
    config: Option<PathBuf>,
    request: &Request,
    each: impl FnMut(Response) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let config = place::load(config)?;
    owner::become_owner(&config.data_dir)?;
    voice::start(Format::Text, "warn");
    block_on(reach(&config, request, each))?
}

/// Runs work to its end on this thread.
pub(super) fn block_on<T>(work: impl Future<Output = T>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    Ok(runtime.map_err(Failure::refused)?.block_on(work))
}

/// Asks for the one answer that a request has.
pub(super) fn ask_one(config: Option<PathBuf>, request: &Request) -> Result<Response, Failure> {
    let mut found = None;
    ask(config, request, |answer| {
        found = Some(answer);
        Ok(())
    })?;
    found.ok_or_else(unexpected)
}

/// The daemon answers what was not asked: it must be another version.
pub(super) fn unexpected() -> Failure {
    Failure::Refused("the daemon answered something else than was asked; are both of one version?".to_owned())
}

async fn reach(
    config: &Config,
    request: &Request,
    mut each: impl FnMut(Response) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let clock = Clock::system();
    let mut tries = 0;
    loop {
        match control::ask(&config.data_dir, request).await {
            Ok(mut answers) => {
                while let Some(answer) = answers.next().await.map_err(Failure::refused)? {
                    take(answer, &mut each)?;
                }
                return Ok(());
            }
            Err(AskError::Down) => {}
            Err(other) => return Err(Failure::refused(other)),
        }
        match Lock::take(&config.data_dir) {
            Ok(lock) => {
                let done = work_alone(config, request, clock, each).await;
                drop(lock);
                return done;
            }
            // A daemon that starts or stops has the lock and no socket; so has another command.
            Err(LockError::Held { .. }) if tries < TRIES => {
                tries += 1;
                clock.sleep(WAIT).await;
            }
            Err(other) => return Err(Failure::refused(other)),
        }
    }
}

/// Takes the data folder for work that wants the daemon stopped.
pub(super) async fn alone(data_dir: &Path) -> Result<Lock, Failure> {
    let clock = Clock::system();
    let mut tries = 0;
    loop {
        match control::ask(data_dir, &Request::Ping).await {
            Err(AskError::Down) => {}
            Ok(_) => {
                let running = "the daemon is running: stop it first (systemctl stop karamail)";
                return Err(Failure::Refused(format!("{}: {running}", data_dir.display())));
            }
            Err(other) => return Err(Failure::refused(other)),
        }
        match Lock::take(data_dir) {
            Ok(lock) => return Ok(lock),
            Err(LockError::Held { .. }) if tries < TRIES => {
                tries += 1;
                clock.sleep(WAIT).await;
            }
            Err(other) => return Err(Failure::refused(other)),
        }
    }
}

/// Opens the database and answers the request here.
async fn work_alone(
    config: &Config,
    request: &Request,
    clock: Clock,
    mut each: impl FnMut(Response) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let random = Random::system();
    let keys = Keychain::open(&config.data_dir, &random).map_err(Failure::refused)?;
    if let Err(problem) = keys.sign_as(signing(config)) {
        // Nothing is sent here; a key that is missing may be just what is about to be brought into use.
        tracing::debug!(%problem, "no mail could be signed");
    }
    let store = Store::open(Options::new(location(&config.storage))).await.map_err(Failure::refused)?;
    // The sender is dropped at once: nobody but us writes, so there is nothing to follow.
    let (_, commits) = watch::channel(0);
    let groups = config.destinations.groups.clone();
    let desk = Desk {
        store: store.clone(),
        keys,
        link_lifetime: config.registration.link_lifetime,
        random,
        notices: notices(config),
        clock,
        commits,
        live: None,
        groups,
        doors: Vec::new(),
    };
    let (to, mut answers) = mpsc::channel(4);
    // What is shown may fail first; then nobody takes the answer any more and it ends too.
    let showing = async move {
        while let Some(answer) = answers.recv().await {
            take(answer, &mut each)?;
        }
        Ok(())
    };
    let ((), shown) = tokio::join!(desk.answer(request.clone(), to), showing);
    store.close().await;
    shown
}

fn take(answer: Response, each: &mut impl FnMut(Response) -> Result<(), Failure>) -> Result<(), Failure> {
    match answer {
        Response::Refused { why } => {
            complain(&why);
            Err(Failure::Said)
        }
        Response::End => Ok(()),
        other => each(other),
    }
}
