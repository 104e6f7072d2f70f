//! A database file in the making: `FILE.partial`, for its owner only, until it is whole.
//!
//! Knows nothing of what is in it. What always holds: FILE is as it was before, or whole and on the disk; of two who make the
//! same file one does; what is not finished is taken away, and where the process was killed by whoever makes the file next.

use nix::fcntl::OFlag;
use nix::unistd::geteuid;
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// What SQLite may leave beside a file.
const BESIDE: [&str; 3] = ["-wal", "-shm", "-journal"];

/// What a new file may take the place of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Over {
    /// Of nothing.
    Nothing,
    /// Of a file that has its name.
    AFile,
}

/// Why a file was not made.
#[derive(Debug, thiserror::Error)]
pub enum NewFileError {
    /// There is one already.
    #[error("{}: is there already", .0.display())]
    Exists(PathBuf),
    /// What has the name is not ours to write over.
    #[error("{}: is no file of ours to write over", .0.display())]
    NotOurs(PathBuf),
    /// Somebody else is making the same file.
    #[error("{}: another command is writing it", .0.display())]
    Busy(PathBuf),
    /// The system refused.
    #[error("{}: {cause}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
}

impl NewFileError {
    fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |cause| Self::Io { path, cause }
    }
}

/// A file in the making.
#[derive(Debug)]
pub(super) struct NewFile {
    path: PathBuf,
    partial: PathBuf,
    over: Over,
    /// Locked while it is being made.
    file: File,
    finished: bool,
}

impl NewFile {
    /// Makes `FILE.partial`, empty.
    ///
    /// # Errors
    /// See [`NewFileError`].
    pub(super) fn begin(path: &Path, over: Over) -> Result<Self, NewFileError> {
        if path.file_name().is_none() {
            return Err(NewFileError::NotOurs(path.to_owned()));
        }
        make_room(path, over)?;
        let partial = with_ending(path, ".partial");
        let file = open_locked(&partial)?;
        let new = Self { path: path.to_owned(), partial, over, file, finished: false };
        new.file.set_len(0).map_err(NewFileError::io(&new.partial))?;
        BESIDE.iter().for_each(|ending| take_away(&with_ending(&new.partial, ending)));
        Ok(new)
    }

    /// Where it is written.
    pub(super) fn partial(&self) -> &Path {
        &self.partial
    }

    /// Has the disk take what was written so far.
    ///
    /// # Errors
    /// The disk failed, or is full.
    pub(super) fn flush(&self) -> Result<(), NewFileError> {
        self.file.sync_data().map_err(NewFileError::io(&self.partial))
    }

    /// Gives the file its name, once the disk has it; gives its size.
    ///
    /// # Errors
    /// The disk failed, or somebody else gave a file that name meanwhile.
    pub(super) fn finish(mut self) -> Result<u64, NewFileError> {
        self.file.sync_all().map_err(NewFileError::io(&self.partial))?;
        let bytes = self.file.metadata().map_err(NewFileError::io(&self.partial))?.len();
        make_room(&self.path, self.over)?;
        fs::rename(&self.partial, &self.path).map_err(NewFileError::io(&self.path))?;
        self.finished = true;
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let flushed = File::open(folder).and_then(|folder| folder.sync_all());
        flushed.map_err(NewFileError::io(folder))?;
        Ok(bytes)
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if !self.finished {
            take_away(&self.partial);
            BESIDE.iter().for_each(|ending| take_away(&with_ending(&self.partial, ending)));
        }
    }
}

/// Says whether the file may take its name. A log that SQLite left beside a file that had it would be read as the new one's.
fn make_room(path: &Path, over: Over) -> Result<(), NewFileError> {
    for ending in BESIDE {
        let left = with_ending(path, ending);
        if fs::symlink_metadata(&left).is_ok() {
            return Err(NewFileError::Exists(left));
        }
    }
    match (fs::symlink_metadata(path), over) {
        (Err(cause), _) if cause.kind() == io::ErrorKind::NotFound => Ok(()),
        (Err(cause), _) => Err(NewFileError::Io { path: path.to_owned(), cause }),
        (Ok(_), Over::Nothing) => Err(NewFileError::Exists(path.to_owned())),
        (Ok(there), Over::AFile) if there.is_file() => Ok(()),
        (Ok(_), Over::AFile) => Err(NewFileError::NotOurs(path.to_owned())),
    }
}

/// Opens the partial file for us alone; one that a killed process left behind is taken over.
fn open_locked(partial: &Path) -> Result<File, NewFileError> {
    loop {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        // Not through a link that somebody else laid.
        let opened = options.custom_flags(OFlag::O_NOFOLLOW.bits()).open(partial);
        let file = opened.map_err(NewFileError::io(partial))?;
        let ours = file.metadata().map_err(NewFileError::io(partial))?;
        if !ours.is_file() || ours.nlink() > 1 || ours.uid() != geteuid().as_raw() || ours.mode() & 0o077 != 0 {
            return Err(NewFileError::NotOurs(partial.to_owned()));
        }
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(NewFileError::Busy(partial.to_owned())),
            Err(TryLockError::Error(cause)) => return Err(NewFileError::Io { path: partial.to_owned(), cause }),
        }
        // Whoever had the lock before may have finished: then what we hold has another name by now.
        let there = fs::symlink_metadata(partial);
        if there.is_ok_and(|there| (there.dev(), there.ino()) == (ours.dev(), ours.ino())) {
            return Ok(file);
        }
    }
}

fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(ending);
    name.into()
}

fn take_away(path: &Path) {
    match fs::remove_file(path) {
        Err(cause) if cause.kind() != io::ErrorKind::NotFound => {
            tracing::warn!(path = %path.display(), %cause, "an unfinished file is left behind");
        }
        Ok(()) | Err(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_has_its_name_only_when_it_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f.db");
        let new = NewFile::begin(&path, Over::Nothing).unwrap();
        fs::write(new.partial(), "half").unwrap();
        assert_eq!(names(folder.path()), ["f.db.partial"]);
        drop(new);
        assert_eq!(names(folder.path()), [""; 0]);
        let new = NewFile::begin(&path, Over::Nothing).unwrap();
        fs::write(new.partial(), "whole").unwrap();
        assert_eq!(new.finish().unwrap(), 5);
        assert_eq!((names(folder.path()), fs::metadata(&path).unwrap().mode() & 0o777), (vec!["f.db".into()], 0o600));
        assert!(matches!(NewFile::begin(&path, Over::Nothing), Err(NewFileError::Exists(there)) if there == path));
        fs::write(NewFile::begin(&path, Over::AFile).unwrap().partial(), "never finished").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"whole");
    }

    #[test]
    fn of_two_who_make_the_same_file_one_does_and_what_a_killed_one_left_is_taken_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f.db");
        let mut left = OpenOptions::new()
            .create_new(true)
            .write(true)
            .mode(0o600)
            .open(folder.path().join("f.db.partial"))
            .unwrap();
        left.write_all(b"left by a killed one").unwrap();
        fs::write(folder.path().join("f.db.partial-wal"), "its log").unwrap();
        let first = NewFile::begin(&path, Over::Nothing).unwrap();
        assert_eq!((names(folder.path()), fs::read(first.partial()).unwrap()), (vec!["f.db.partial".into()], vec![]));
        assert!(matches!(NewFile::begin(&path, Over::Nothing), Err(NewFileError::Busy(_))));
        first.finish().unwrap();
        // Whoever began before another finished may not write over it unasked.
        let late = NewFile::begin(&path, Over::AFile).unwrap();
        fs::remove_file(&path).unwrap();
        late.finish().unwrap();
    }

    #[test]
    fn what_is_not_ours_alone_is_not_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f.db");
        fs::write(folder.path().join("other"), "theirs").unwrap();
        fs::set_permissions(folder.path().join("other"), std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        let partial = folder.path().join("f.db.partial");
        std::os::unix::fs::symlink("other", &partial).unwrap();
        assert!(matches!(NewFile::begin(&path, Over::Nothing), Err(NewFileError::Io { .. })));
        fs::remove_file(&partial).unwrap();
        fs::hard_link(folder.path().join("other"), &partial).unwrap();
        assert!(matches!(NewFile::begin(&path, Over::Nothing), Err(NewFileError::NotOurs(_))));
        fs::remove_file(&partial).unwrap();
        assert_eq!(fs::read(folder.path().join("other")).unwrap(), b"theirs");
        fs::write(folder.path().join("f.db-wal"), "left").unwrap();
        assert!(matches!(NewFile::begin(&path, Over::AFile), Err(NewFileError::Exists(_))));
        assert!(matches!(NewFile::begin(Path::new("/"), Over::AFile), Err(NewFileError::NotOurs(_))));
    }
}
