//! Run by root, a command becomes the owner of the data folder, so that no file in it changes hands.

use super::failure::Failure;
use nix::unistd::{Gid, Uid, User, geteuid, initgroups, setgid, setgroups, setuid};
use std::ffi::CString;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Gives the owner of a folder, where we are root and it is somebody else's.
pub(super) fn other_owner(data_dir: &Path) -> Result<Option<(Uid, Gid)>, Failure> {
    if !geteuid().is_root() {
        return Ok(None);
    }
    match fs::metadata(data_dir) {
        Ok(folder) if folder.uid() != 0 => Ok(Some((Uid::from_raw(folder.uid()), Gid::from_raw(folder.gid())))),
        Ok(_) => Ok(None),
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(cause) => Err(Failure::Refused(format!("{}: {cause}", data_dir.display()))),
    }
}

/// Becomes the owner of the data folder for the rest of the process.
pub(super) fn become_owner(data_dir: &Path) -> Result<(), Failure> {
    let Some((user, group)) = other_owner(data_dir)? else { return Ok(()) };
    change(user, group).map_err(|cause| {
        Failure::Refused(format!("cannot become the owner of {} ({user}): {cause}", data_dir.display()))
    })
}

/// Takes on the groups first: without root there is no way to.
fn change(user: Uid, group: Gid) -> nix::Result<()> {
    let known = User::from_uid(user)?;
    match known.and_then(|known| Some((CString::new(known.name).ok()?, known.gid))) {
        Some((name, own_group)) => {
            initgroups(&name, own_group)?;
            setgid(own_group)?;
        }
        None => {
            setgroups(&[group])?;
            setgid(group)?;
        }
    }
    setuid(user)
}
