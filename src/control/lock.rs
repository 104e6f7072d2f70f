//! The lock on a data folder: one daemon or one command works on it at a time.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The data folder is ours until this is dropped, or the process ends in whatever way.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

/// Why the data folder is not ours.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Somebody has it.
    #[error("{}: another karamail ({holder}) is at work there", data_dir.display())]
    Held {
        /// The data folder.
        data_dir: PathBuf,
        /// Its process, as far as known.
        holder: String,
    },
    /// The system refused.
    #[error("{}: cannot be {doing}: {cause}", path.display())]
    Io {
        /// The folder or the lock in it.
        path: PathBuf,
        /// What was tried.
        doing: &'static str,
        /// What the system said.
        cause: io::Error,
    },
}

impl LockError {
    /// Says that there is no room for the lock.
    pub(crate) fn without_room(data_dir: &Path) -> Self {
        Self::Io { path: place(data_dir), doing: "written", cause: nix::Error::ENOSPC.into() }
    }
}

impl Lock {
    /// Says whether somebody works on the data folder; makes nothing.
    #[must_use]
    pub fn is_held(data_dir: &Path) -> bool {
        File::open(place(data_dir)).is_ok_and(|file| matches!(file.try_lock(), Err(TryLockError::WouldBlock)))
    }

    /// Takes the lock; makes the data folder where it is missing, for its owner only.
    ///
    /// # Errors
    /// Somebody has the lock, or the system refused.
    pub fn take(data_dir: &Path) -> Result<Self, LockError> {
        let io = |path: &Path, doing: &'static str| {
            let path = path.to_owned();
            move |cause| LockError::Io { path, doing, cause }
        };
        if !data_dir.is_dir() {
            DirBuilder::new().recursive(true).mode(0o700).create(data_dir).map_err(io(data_dir, "made"))?;
        }
        let path = place(data_dir);
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let mut file = options.open(&path).map_err(io(&path, "opened"))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(LockError::Held { data_dir: data_dir.to_owned(), holder: holder(&mut file) });
            }
            Err(TryLockError::Error(cause)) => return Err(io(&path, "locked")(cause)),
        }
        sign(&mut file).map_err(io(&path, "written"))?;
        Ok(Self { _file: file })
    }
}

/// Where the lock of a data folder is.
fn place(data_dir: &Path) -> PathBuf {
    data_dir.join("karamail.lock")
}

/// Writes our process number into the lock, for those who come in vain.
fn sign(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", std::process::id())
}

fn holder(file: &mut File) -> String {
    let mut text = String::new();
    match file.take(32).read_to_string(&mut text) {
        Ok(_) if !text.trim().is_empty() => format!("process {}", text.trim()),
        Ok(_) | Err(_) => "an unknown process".to_owned(),
    }
}
