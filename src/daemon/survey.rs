//! Walks through a start without making one, and says everything that would keep the daemon from it.
//!
//! Tries what [`super::Daemon::start`] does with the same parts, so that each complaint is the one that a start would end with.
//! Does not know how complaints are shown. What always holds: nothing but the lock is made or changed, and a daemon at work is
//! not disturbed.

use super::{doors, location};
use crate::clock::Clock;
use crate::config::{Config, Route, Storage};
use crate::control::{self, AskError, Lock, LockError, Request, Response, Socket};
use crate::keys::{KeyError, Keys};
use crate::model::Span;
use crate::outbound::sign::Signer;
use crate::outbound::worker;
use crate::random::Random;
use crate::store::{Store, StoreError};
use nix::sys::statvfs::statvfs;
use nix::unistd::{AccessFlags, access};
use std::fmt::Display;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// What a first start writes: keys, an empty database and its log.
const FIRST: u64 = 4 << 20;
/// Below this the day of an alert may fill the disk.
const ROOM: u64 = 256 << 20;

/// How often a daemon that has the folder and does not answer is asked, and the wait between: five seconds.
const TRIES: usize = 50;
const WAIT: Span = Span::from_millis(100);

/// One thing that would keep the daemon from starting, or that an operator may not have meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The setting that leads there, where one does.
    pub key: Option<&'static str>,
    /// What is wrong, in the words of a start.
    pub what: String,
    /// What to do, where the words do not say it.
    pub hint: Option<&'static str>,
}

impl Fault {
    fn of(key: &'static str, what: impl Display) -> Self {
        Self { key: Some(key), ..Self::plain(what) }
    }

    fn plain(what: impl Display) -> Self {
        Self { key: None, what: what.to_string(), hint: None }
    }

    /// Makes the fault of a door that cannot be opened.
    fn of_door(key: &'static str, address: SocketAddr, cause: &io::Error) -> Self {
        let hint = match cause.kind() {
            io::ErrorKind::AddrInUse => Some("another program has it: ss -ltnp shows which"),
            io::ErrorKind::PermissionDenied => Some(
                "start the daemon as root, let systemd open the port, or: setcap cap_net_bind_service=+ep karamail",
            ),
            io::ErrorKind::AddrNotAvailable => Some("it is no address of this machine: ip address shows those"),
            _ => None,
        };
        Self { hint, ..Self::of(key, format!("{}: {cause}", doors::closed(address))) }
    }

    /// Makes the fault of a data folder that is not ours.
    fn of_folder(error: &LockError) -> Self {
        let denied = matches!(error, LockError::Io { cause, .. } if cause.kind() == io::ErrorKind::PermissionDenied);
        let hint = denied.then_some("run it as the user that the daemon runs as, or as root");
        Self { hint, ..Self::of("data_dir", error) }
    }
}

/// Whether a daemon works on the data folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Presence {
    /// One answers; these doors are its own.
    Up(Vec<SocketAddr>),
    /// One answers, or has the folder, and something is wrong.
    Trouble(String),
    /// None answers.
    Down,
}

/// Asks for the daemon of these settings. One that has just begun has the folder before it answers.
pub async fn presence(config: &Config) -> Presence {
    let mut tries = 0;
    let mut answers = loop {
        match control::ask(&config.data_dir, &Request::Ping).await {
            Ok(answers) => break answers,
            Err(AskError::Down) if tries < TRIES && Lock::is_held(&config.data_dir) => tries += 1,
            Err(AskError::Down) => return Presence::Down,
            Err(other) => return Presence::Trouble(other.to_string()),
        }
        Clock::system().sleep(WAIT).await;
    };
    match answers.next().await {
        Ok(Some(Response::Up { doors })) => Presence::Up(doors),
        Ok(Some(Response::Refused { why })) => Presence::Trouble(why),
        Ok(_) => Presence::Trouble("the daemon answered something else than was asked".to_owned()),
        Err(error) => Presence::Trouble(error.to_string()),
    }
}

/// Lists the doors that could not be opened now. To be asked while we may still be root, as a start opens them then.
#[must_use]
pub fn closed_doors(config: &Config, presence: &Presence) -> Vec<Fault> {
    let ours = match presence {
        Presence::Up(doors) => doors.as_slice(),
        Presence::Trouble(_) | Presence::Down => &[],
    };
    let doors =
        [("smtp.listen", &config.smtp.listen), ("web.listen", &config.web.listen), ("api.listen", &config.api.listen)];
    let closed = |(key, addresses): (&'static str, &Vec<SocketAddr>)| {
        let fault = |address: &SocketAddr| Some(Fault::of_door(key, *address, &doors::trouble(*address, ours)?));
        addresses.iter().filter_map(fault).collect::<Vec<_>>()
    };
    doors.into_iter().flat_map(closed).collect()
}

/// Says whether the first start is still to come, which makes keys and database.
#[must_use]
pub fn is_new(config: &Config) -> bool {
    matches!(Keys::load(&config.data_dir), Ok(None))
}

/// Lists everything else that would keep the daemon from starting.
pub async fn survey(config: &Config, presence: &Presence) -> Vec<Fault> {
    let inside: Vec<Fault> = match take_folder(config, presence) {
        Ok(lock) => {
            let storage = look_at_storage(config, presence).await.err().map(|what| Fault::of("storage.url", what));
            drop(lock);
            look_at_keys(config).into_iter().chain(storage).collect()
        }
        // Without their folder keys and database cannot be there either.
        Err(fault) => vec![fault],
    };
    let socket = Socket::fits(&config.data_dir).err();
    let socket = socket.map(|cause| Fault::of("data_dir", format!("the operator's socket, control.sock: {cause}")));
    let ways = worker::rehearse(&config.delivery, config.outbox(), &Clock::system(), &Random::system());
    let ways = ways.into_iter().map(Fault::plain);
    inside.into_iter().chain(socket).chain(ways).collect()
}

/// Takes the folder for as long as we look, where it is there and no daemon has it. It must be ours, or there must be one that
/// it can be made in.
fn take_folder(config: &Config, presence: &Presence) -> Result<Option<Lock>, Fault> {
    let data_dir = &config.data_dir;
    let taken = match presence {
        Presence::Up(_) => return Ok(None),
        Presence::Trouble(why) => return Err(Fault::of("data_dir", why)),
        Presence::Down if data_dir.is_dir() => Lock::take(data_dir).map(Some),
        Presence::Down => can_be_made(data_dir).map(|()| None),
    };
    taken.map_err(|error| Fault::of_folder(&error))
}

fn can_be_made(data_dir: &Path) -> Result<(), LockError> {
    let refused = |errno: nix::Error| LockError::Io { path: data_dir.to_owned(), doing: "made", cause: errno.into() };
    let Some(there) = data_dir.ancestors().find(|folder| folder.symlink_metadata().is_ok()) else { return Ok(()) };
    if !there.is_dir() {
        return Err(refused(if there == data_dir { nix::Error::EEXIST } else { nix::Error::ENOTDIR }));
    }
    access(there, AccessFlags::W_OK | AccessFlags::X_OK).map_err(refused)?;
    match room(there) {
        Some(left) if left < FIRST => Err(LockError::without_room(data_dir)),
        Some(_) | None => Ok(()),
    }
}

/// Says how many bytes the file system has left for us.
fn room(folder: &Path) -> Option<u64> {
    let system = statvfs(folder).ok()?;
    system.blocks_available().checked_mul(system.fragment_size())
}

/// Keys of a first start are made by it; those that the settings bring along must be there before.
fn look_at_keys(config: &Config) -> Vec<Fault> {
    let said = |wrong: Vec<KeyError>| wrong.into_iter().map(Fault::plain).collect();
    let keys = match Keys::load(&config.data_dir) {
        Err(wrong) => return said(wrong),
        Ok(None) => return said(Keys::before_the_first_start(&config.data_dir, &config.dkim)),
        Ok(Some(keys)) => keys,
    };
    let from = config.sender.address.domain();
    match keys.signers(&config.dkim, from) {
        Ok(signers) => Signer::new(&signers).err().map(Fault::plain).into_iter().collect(),
        Err(_) if !config.dkim.is_empty() => {
            said(config.dkim.iter().filter_map(|entry| keys.signer(entry).err()).collect())
        }
        Err(wrong) => said(vec![wrong]),
    }
}

/// A daemon at work answered out of its database. Otherwise what a start does to it is done and taken back.
async fn look_at_storage(config: &Config, presence: &Presence) -> Result<(), StoreError> {
    match (&config.storage, presence) {
        (Storage::Sqlite(_), Presence::Up(_)) => Ok(()),
        // A start makes it, and its folder where that is the data folder.
        (Storage::Sqlite(file), _) if !file.exists() => match file.parent() {
            Some(folder) if folder == config.data_dir => Ok(()),
            Some(folder) => access(folder, AccessFlags::W_OK | AccessFlags::X_OK)
                .map_err(|errno| StoreError::Io(format!("{}: {}", file.display(), io::Error::from(errno)))),
            None => Ok(()),
        },
        _ => Store::rehearse(location(&config.storage)).await,
    }
}

/// Lists what works on this machine as it stands, and is unwise.
#[must_use]
pub fn advice(config: &Config, file: &Path) -> Vec<Fault> {
    let data_dir = &config.data_dir;
    let mut advice = Vec::new();
    if let Some(mode) = mode(data_dir).filter(|mode| mode & 0o007 != 0) {
        let what = format!(
            "{}: everybody on this machine can look into it (mode {mode:04o}): chmod o= {}",
            data_dir.display(),
            data_dir.display()
        );
        advice.push(Fault::of("data_dir", what));
    }
    let there = data_dir.ancestors().find(|folder| folder.is_dir());
    if let Some(left) = there.and_then(room).filter(|left| *left < ROOM) {
        let what = format!("{}: the file system has {} MiB left", data_dir.display(), left >> 20);
        advice.push(Fault::of("data_dir", what));
    }
    if let Some(key) = has_password(config).filter(|_| mode(file).is_some_and(|mode| mode & 0o004 != 0)) {
        let what =
            format!("everybody on this machine can read {} and the password in it: chmod o= on it", file.display());
        advice.push(Fault::of(key, what));
    }
    advice
}

fn mode(path: &Path) -> Option<u32> {
    path.metadata().ok().map(|found| found.permissions().mode() & 0o7777)
}

/// Gives the setting that holds a password in the file itself.
fn has_password(config: &Config) -> Option<&'static str> {
    let in_file = |key: &str| config.written.has(key);
    let login = matches!(&config.delivery.route, Route::Smarthost(smarthost) if smarthost.login.is_some());
    let database = matches!(&config.storage, Storage::Postgres(url)
        if url.reveal().parse().is_ok_and(|url: postgres::Config| url.get_password().is_some()));
    match () {
        () if login && in_file("delivery.password") => Some("delivery.password"),
        () if database && in_file("storage.url") => Some("storage.url"),
        () => None,
    }
}
