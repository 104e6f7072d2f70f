//! Private files: read only where nobody else can, and written so that a crash leaves all or nothing.
//!
//! Knows nothing of what a key is. What always holds: nothing of a key is left readable for others, not even for the moment
//! between making a file and setting its mode.

use super::KeyError;
use crate::model::Timestamp;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;
use zeroize::Zeroizing;

/// The longest key file read: an RSA key of 8192 bits in PEM has under 7 KB.
const LONGEST: u64 = 16 * 1024;

/// How the name of a file ends that is being written. One that a crash left is passed over, and written anew when wanted again.
pub(super) const MAKING: &str = ".making";

/// Says whether there is no folder yet, or an empty one that an operator or a package made.
pub(super) fn is_unused(folder: &Path) -> Result<bool, KeyError> {
    match fs::read_dir(folder) {
        Ok(mut entries) => Ok(entries.next().is_none()),
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(cause) => Err(KeyError::io(folder, "read", cause)),
    }
}

/// Lists the names in a folder, sorted; names that are not UTF-8 cannot be ours.
pub(super) fn names(folder: &Path) -> Result<Vec<String>, KeyError> {
    let failed = |cause| KeyError::io(folder, "read", cause);
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        if let Ok(name) = entry.map_err(failed)?.file_name().into_string() {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

/// Refuses a file or folder that its group or everybody can reach.
pub(super) fn private(path: &Path, wanted: u32) -> Result<(), KeyError> {
    let mode = fs::metadata(path).map_err(|cause| KeyError::io(path, "read", cause))?.permissions().mode() & 0o7777;
    if mode & 0o077 == 0 { Ok(()) } else { Err(KeyError::TooOpen { path: path.to_owned(), mode, wanted }) }
}

/// Reads a private file of text.
pub(super) fn read_private(path: &Path) -> Result<Zeroizing<String>, KeyError> {
    private(path, 0o600)?;
    let failed = |cause| KeyError::io(path, "read", cause);
    let mut text = Zeroizing::new(String::with_capacity(4096));
    let file = File::open(path).map_err(failed)?;
    let length = file.take(LONGEST + 1).read_to_string(&mut text).map_err(failed)?;
    if u64::try_from(length).unwrap_or(u64::MAX) > LONGEST {
        return Err(KeyError::content(path, "is far too long for a key"));
    }
    Ok(text)
}

/// Writes `files` beside `folder` and moves them into its place in one step. `folder` is absent or empty.
pub(super) fn publish(data_dir: &Path, folder: &Path, files: &[(String, Zeroizing<String>)]) -> Result<(), KeyError> {
    let making = data_dir.join("keys.making");
    match fs::remove_dir_all(&making) {
        Err(cause) if cause.kind() != io::ErrorKind::NotFound => return Err(KeyError::io(&making, "removed", cause)),
        Ok(()) | Err(_) => {}
    }
    DirBuilder::new().mode(0o700).create(&making).map_err(|cause| KeyError::io(&making, "made", cause))?;
    for (name, text) in files {
        let path = making.join(name);
        write(&path, text.as_bytes()).map_err(|cause| KeyError::io(&path, "written", cause))?;
    }
    flush(&making)?;
    fs::rename(&making, folder).map_err(|cause| KeyError::io(folder, "made", cause))?;
    flush(data_dir)
}

/// Writes one more file into `folder`: after a crash it is there as a whole or not at all.
pub(super) fn add(folder: &Path, name: &str, text: &str) -> Result<(), KeyError> {
    let making = folder.join(format!("{name}{MAKING}"));
    match fs::remove_file(&making) {
        Err(cause) if cause.kind() != io::ErrorKind::NotFound => return Err(KeyError::io(&making, "removed", cause)),
        Ok(()) | Err(_) => {}
    }
    write(&making, text.as_bytes()).map_err(|cause| KeyError::io(&making, "written", cause))?;
    rename(folder, &format!("{name}{MAKING}"), name)
}

/// Gives a file in `folder` another name.
pub(super) fn rename(folder: &Path, from: &str, to: &str) -> Result<(), KeyError> {
    let path = folder.join(from);
    fs::rename(&path, folder.join(to)).map_err(|cause| KeyError::io(&path, "renamed", cause))?;
    flush(folder)
}

/// Says when a file was written, and since when it has its name at the earliest: the system notes that by itself, and nobody
/// can set it back.
pub(super) fn times(path: &Path) -> Result<(Timestamp, Timestamp), KeyError> {
    let about = fs::metadata(path).map_err(|cause| KeyError::io(path, "read", cause))?;
    let moment = |seconds: i64| Timestamp::from_millis(seconds.saturating_mul(1_000));
    Ok((moment(about.mtime()), moment(about.ctime())))
}

fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Flushes a folder, so that the names in it are still there after a power cut.
fn flush(folder: &Path) -> Result<(), KeyError> {
    File::open(folder).and_then(|file| file.sync_all()).map_err(|cause| KeyError::io(folder, "flushed", cause))
}
