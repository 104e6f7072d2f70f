//! Run by root, a command becomes the owner of the data folder, so that no file in it changes hands. A backup acts as the owner
//! while it reads the database, and is root again where it writes.

use super::failure::Failure;
use nix::unistd::{
    Gid, Uid, User, getegid, geteuid, getgroups, initgroups, setegid, seteuid, setgid, setgroups, setuid,
};
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

/// Does work in the data folder as its owner, and is root again behind it: for work that also writes where only root may.
pub(super) fn as_owner<T>(data_dir: &Path, work: impl FnOnce() -> T) -> Result<T, Failure> {
    let Some((user, group)) = other_owner(data_dir)? else { return Ok(work()) };
    let wrong =
        |cause| Failure::Refused(format!("cannot act as the owner of {} ({user}): {cause}", data_dir.display()));
    let (own_group, own_groups) = (getegid(), getgroups().map_err(wrong)?);
    let lend = || {
        setegid(take_on_groups(user, group)?)?;
        seteuid(user)
    };
    let take_back = || {
        seteuid(Uid::from_raw(0))?;
        setegid(own_group)?;
        setgroups(&own_groups)
    };
    let done = lend().map(|()| work());
    take_back().and(done).map_err(wrong)
}

/// Says who we are now, for complaints about what that user may not.
pub(super) fn ourselves() -> String {
    let user = geteuid();
    User::from_uid(user).ok().flatten().map_or_else(|| format!("user {user}"), |known| known.name)
}

/// Takes on the groups first: without root there is no way to.
fn change(user: Uid, group: Gid) -> nix::Result<()> {
    setgid(take_on_groups(user, group)?)?;
    setuid(user)
}

/// Takes on the groups of a user, and gives its own; that of the folder where nobody knows the user.
fn take_on_groups(user: Uid, group: Gid) -> nix::Result<Gid> {
    let known = User::from_uid(user)?;
    match known.and_then(|known| Some((CString::new(known.name).ok()?, known.gid))) {
        Some((name, own_group)) => {
            initgroups(&name, own_group)?;
            Ok(own_group)
        }
        None => {
            setgroups(&[group])?;
            Ok(group)
        }
    }
}
