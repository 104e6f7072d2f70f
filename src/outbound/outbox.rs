//! The way out that leads nowhere: mails are kept as files and shown, for demonstrations and tests.
//!
//! Knows nothing of jobs but their numbers. What always holds: a file that is there is whole, and bears the name of its
//! job.

use crate::model::JobId;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// A folder of mails, one file a job: `JOB.eml`.
#[derive(Debug, Clone)]
pub struct Outbox(PathBuf);

impl Outbox {
    /// Opens the folder, making it where it is missing.
    ///
    /// # Errors
    /// The system refuses to make it.
    pub fn open(folder: PathBuf) -> io::Result<Self> {
        fs::create_dir_all(&folder)?;
        Ok(Self(folder))
    }

    /// Says why the folder could not be opened, as far as something else is in its place.
    ///
    /// # Errors
    /// Something that is no folder has its name.
    pub fn look(folder: &Path) -> io::Result<()> {
        match folder.symlink_metadata() {
            Ok(_) if !folder.is_dir() => Err(nix::Error::EEXIST.into()),
            Ok(_) | Err(_) => Ok(()),
        }
    }

    /// Gives the folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.0
    }

    /// Keeps the mail of a job, in place of an earlier one of the same job.
    ///
    /// # Errors
    /// The system refuses to write it, or the program is stopping.
    pub async fn put(&self, job: JobId, message: Vec<u8>) -> io::Result<()> {
        let (unfinished, finished) = (self.0.join(format!(".{job}")), self.0.join(format!("{job}.eml")));
        let folder = self.0.clone();
        let writing = tokio::task::spawn_blocking(move || {
            let mut file = fs::File::create(&unfinished)?;
            file.write_all(&message)?;
            // What is called accepted is on the disk, name and all.
            file.sync_all()?;
            fs::rename(&unfinished, finished)?;
            fs::File::open(folder)?.sync_all()
        });
        writing.await.map_err(io::Error::other)?
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_mail_is_kept_under_the_number_of_its_job_and_nothing_else_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let outbox = Outbox::open(folder.path().join("outbox")).unwrap();
        for text in ["first", "second"] {
            outbox.put(JobId::new(33), text.into()).await.unwrap();
        }
        let names: Vec<_> = fs::read_dir(outbox.folder()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["jbb.eml"]);
        assert_eq!(fs::read_to_string(outbox.folder().join("jbb.eml")).unwrap(), "second");
        fs::remove_dir_all(outbox.folder()).unwrap();
        assert!(outbox.put(JobId::new(33), Vec::new()).await.is_err());
    }
}
