//! `store`: the database as a whole: its schema, copies of it, backups.
//!
//! Nothing here goes through the daemon: a backup reads the database beside it, and what changes a whole database needs the
//! daemon stopped.

use super::ask::{alone, block_on};
use super::failure::Failure;
use super::org::Form;
use super::print::{Out, moment};
use super::progress::Bar;
use super::{owner, place, voice};
use crate::clock::Clock;
use crate::config::{Config, Format, Storage};
use crate::control::Lock;
use crate::daemon::location;
use crate::store::{
    Backup, BackupError, Compared, CopyError, Kept, Location, NewFileError, Over, Schema, Sum, compare, copy, migrate,
};
use clap::Subcommand;
use serde_json::{Value, json};
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

const MIGRATE_HELP: &str = "\
The daemon does the same when it starts; this is for doing it before, and for seeing it done. It
wants the daemon stopped, and of a PostgreSQL database the daemons of all nodes. A schema never goes
back: before a new version is tried, take a backup.

Example:
  karamail store migrate";

const COPY_HELP: &str = "\
FROM and TO are written as storage.url is: sqlite:FILE (below data_dir) or postgres://USER@HOST/DB,
or @FILE, where the address stands in a file, as one with a password should. TO has to be
empty: a file that is not there yet, or a database without rows. Everything is copied, read again
and compared by checksums, or nothing is kept. Where the database of the settings is copied, the
daemon has to be stopped, and of PostgreSQL those of all nodes. PostgreSQL keeps no NUL in a text,
which strangers do send: it becomes U+FFFD, as when the daemon itself writes it there.

Examples:
  systemctl stop karamail
  karamail store copy sqlite:karamail.db postgres://karamail@db.example.jp/karamail
  karamail store copy @old-url sqlite:karamail.db
  karamail store copy sqlite:/root/backup.db @url --compare    are both the same?

Afterwards: storage.url in the settings, karamail check, systemctl start karamail.";

const BACKUP_HELP: &str = "\
Works while the daemon runs: nothing waits for it. FILE is the whole database as it was when the
command began, in one file (of SQLite, also where the store is a PostgreSQL database), for whoever
runs the command alone, and has been read back and found sound. The keys are not in it.

Examples:
  karamail store backup /var/backups/karamail.db
  karamail store backup --force /var/backups/karamail-$(date +%a).db

To put it back: README, “Backup and restore”.";

/// The database as a whole
#[derive(Debug, Subcommand)]
pub(super) enum Store {
    /// Brings the schema up to date
    #[command(after_help = MIGRATE_HELP)]
    Migrate {
        #[command(flatten)]
        form: Form,
    },
    /// Copies everything into another, empty database
    #[command(after_help = COPY_HELP)]
    Copy {
        /// Where it is
        from: String,
        /// Where it goes
        to: String,
        /// Copies nothing: says whether both hold the same
        #[arg(long)]
        compare: bool,
        #[command(flatten)]
        form: Form,
    },
    /// Writes everything into a file
    #[command(after_help = BACKUP_HELP)]
    Backup {
        /// The file
        file: PathBuf,
        /// Writes over a file that is there
        #[arg(long)]
        force: bool,
        #[command(flatten)]
        form: Form,
    },
}

impl Store {
    pub(super) fn run(self, config: Option<PathBuf>, out: &mut Out) -> Result<(), Failure> {
        let config = place::load(config)?;
        match self {
            Self::Migrate { form } => bring_up_to_date(&config, form, out),
            Self::Copy { from, to, compare, form } => {
                // Before we become the owner of the data folder: the files of addresses may be the administrator's own.
                let (from, to) = (named(&from, &config)?, named(&to, &config)?);
                move_all(&config, &from, &to, compare, form, out)
            }
            Self::Backup { file, force, form } => back_up(&config, &file, force, form, out),
        }
    }
}

fn bring_up_to_date(config: &Config, form: Form, out: &mut Out) -> Result<(), Failure> {
    owner::become_owner(&config.data_dir)?;
    voice::start(Format::Text, "warn");
    let (lock, place): (Lock, _) = (block_on(alone(&config.data_dir))??, location(&config.storage));
    let migrated = migrate(&place).map_err(|cause| Failure::Refused(format!("{place}: {cause}")));
    drop(lock);
    let Schema { found, known } = migrated?;
    if form.json {
        return Ok(out.json(&json!({"database": place.to_string(), "from": found, "to": known}))?);
    }
    Ok(out.line(&match found {
        0 => format!("{place}: made, with schema {known}"),
        _ if found == known => format!("{place}: has schema {known}, which is the newest"),
        _ => format!("{place}: brought from schema {found} to schema {known}"),
    })?)
}

/// Reads an address from the command line, or from the file it names.
fn named(written: &str, config: &Config) -> Result<Location, Failure> {
    let read = match written.strip_prefix('@') {
        Some(file) => Storage::in_file(Path::new(file), &config.data_dir).map_err(|why| format!("{file}: {why}")),
        None => Storage::parse(written, &config.data_dir).map_err(|why| format!("FROM and TO: {why}")),
    };
    read.map(|storage| location(&storage)).map_err(Failure::Usage)
}

fn move_all(
    config: &Config,
    from: &Location,
    to: &Location,
    only_compare: bool,
    form: Form,
    out: &mut Out,
) -> Result<(), Failure> {
    owner::become_owner(&config.data_dir)?;
    voice::start(Format::Text, "warn");
    let ours = location(&config.storage);
    let lock = [from, to].contains(&&ours).then(|| block_on(alone(&config.data_dir))).transpose()?.transpose()?;
    let bar = Bar::new(if only_compare { "comparing" } else { "copying" }, "rows");
    let mut watch = |now| bar.show(now);
    let done = if only_compare { compare(from, to, &mut watch) } else { copy(from, to, &mut watch) };
    drop((bar, lock));
    let compared = match done {
        Ok(compared) | Err(CopyError::Differs(compared)) => compared,
        Err(CopyError::File(error)) => return Err(in_the_way(&error, "move it away, or name another file")),
        Err(other) => return Err(Failure::refused(other)),
    };
    report(&compared, [from, to], form, out)?;
    out.flush()?;
    let differing: Vec<&str> = compared.iter().filter(|table| !table.is_same()).map(|table| &*table.table).collect();
    match (differing.is_empty(), only_compare) {
        (true, _) => Ok(()),
        (false, true) => Err(Failure::Refused(format!("not the same: {}", differing.join(", ")))),
        (false, false) => Err(Failure::Refused(format!(
            "the copy is not what was copied, so nothing was kept; not the same: {}",
            differing.join(", ")
        ))),
    }
}

fn report(compared: &[Compared], [from, to]: [&Location; 2], form: Form, out: &mut Out) -> Result<(), Failure> {
    if form.json {
        let tables: Vec<Value> = compared.iter().map(facts).collect();
        let same = compared.iter().all(Compared::is_same);
        let facts = json!({"from": from.to_string(), "to": to.to_string(), "same": same, "tables": tables});
        return Ok(out.json(&facts)?);
    }
    let rows = compared.iter().map(|table| {
        let Compared { from, to, .. } = table;
        let there = if table.is_same() { "the same".to_owned() } else { difference(from, to) };
        [table.table.clone(), from.rows.to_string(), short(from), there]
    });
    Ok(out.table(["TABLE", "ROWS", "SHA-256", "AT THE OTHER END"], rows.collect(), "no tables")?)
}

fn facts(table: &Compared) -> Value {
    let Compared { table: name, from, to } = table;
    let sum = |sum: &Sum| json!({"rows": sum.rows, "sha256": sum.sha256, "last_number": sum.last_number});
    json!({"table": name, "same": table.is_same(), "from": sum(from), "to": sum(to)})
}

/// The beginning of a checksum: enough for eyes.
fn short(sum: &Sum) -> String {
    sum.sha256.chars().take(16).collect()
}

fn difference(from: &Sum, to: &Sum) -> String {
    match (from.rows == to.rows, from.sha256 == to.sha256) {
        (false, _) => format!("{} rows", to.rows),
        (true, false) => format!("other rows: {}", short(to)),
        (true, true) => "goes on behind another number".to_owned(),
    }
}

fn back_up(config: &Config, file: &Path, force: bool, form: Form, out: &mut Out) -> Result<(), Failure> {
    voice::start(Format::Text, "warn");
    let from = location(&config.storage);
    keep_off(file, &from)?;
    let refused = |error: BackupError| match error {
        BackupError::File(error) => in_the_way(&error, "name another file, or write over it with --force"),
        BackupError::Copy(CopyError::Store { place, cause }) => Failure::Refused(format!(
            "{place}: {cause}; run the command as the owner of {}, or as root",
            config.data_dir.display()
        )),
        other => Failure::refused(other),
    };
    let over = if force { Over::AFile } else { Over::Nothing };
    let mut backup = Backup::begin(file, over).map_err(refused)?;
    let (at, bar) = (Clock::system().now(), Bar::new("backup", "pages"));
    let taken = owner::as_owner(&config.data_dir, || backup.take(&from, &mut |now| bar.show(now)))?;
    taken.map_err(refused)?;
    bar.say("reading it back");
    let kept = backup.finish().map_err(refused)?;
    drop(bar);
    let keys = keys_of(config);
    if form.json {
        let tables: Vec<Value> =
            kept.tables.iter().map(|(table, rows)| json!({"table": table, "rows": rows})).collect();
        return Ok(out.json(&json!({
            "file": file, "database": from.to_string(), "at": at.to_string(), "schema": kept.schema, "bytes": kept.bytes,
            "tables": tables, "keys": keys,
        }))?);
    }
    let Kept { bytes, schema, tables } = kept;
    let rows: u64 = tables.iter().map(|(_, rows)| rows).sum();
    out.line(&format!(
        "{}: {rows} rows in {} tables, schema {schema}, {bytes} bytes, as of {}; read back and found sound",
        file.display(),
        tables.len(),
        moment(&at.to_string())
    ))?;
    Ok(out.line(&format!(
        "The keys are not in it. Keep a copy of them apart from it: {}.\nWithout them nobody can read what is sealed in it, \
         and links and return paths under way are lost.",
        keys.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
    ))?)
}

/// Where the keys are: our own, and those the settings bring along.
fn keys_of(config: &Config) -> Vec<PathBuf> {
    let own = config.data_dir.join("keys");
    let brought = config.dkim.iter().filter_map(|entry| entry.key_file.as_ref());
    [own].into_iter().chain(brought.map(|file| config.data_dir.join(file))).collect()
}

/// What cannot be written is named with what to do about it.
fn in_the_way(error: &NewFileError, instead: &str) -> Failure {
    match error {
        NewFileError::Exists(_) => Failure::Refused(format!("{error}: {instead}")),
        NewFileError::Io { cause, .. } if cause.kind() == io::ErrorKind::PermissionDenied => {
            Failure::Refused(format!("{error}: name a folder in which {} may write", owner::ourselves()))
        }
        NewFileError::NotOurs(_) | NewFileError::Busy(_) | NewFileError::Io { .. } => Failure::refused(error),
    }
}

/// A backup is never written over the database, nor into what SQLite would take for a part of it.
fn keep_off(file: &Path, from: &Location) -> Result<(), Failure> {
    let Location::Sqlite(database) = from else { return Ok(()) };
    let place = |path: &Path| {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        Some((fs::canonicalize(folder).ok()?, path.file_name()?.to_owned()))
    };
    let is_one = |ending: &str| {
        let mut part = database.as_os_str().to_owned();
        part.push(ending);
        let part = Path::new(&part);
        let node = |path| fs::metadata(path).ok().map(|there| (there.dev(), there.ino()));
        place(part).is_some_and(|part| place(file) == Some(part))
            || node(part).is_some_and(|part| node(file) == Some(part))
    };
    if ["", "-wal", "-shm", "-journal"].into_iter().any(is_one) {
        return Err(Failure::Refused(format!("{}: is the database itself, or a part of it", file.display())));
    }
    Ok(())
}
