//! `[storage]`: where the database is.

use super::reader::Section;
use super::secret;
use crate::model::Secret;
use std::path::{Path, PathBuf};

/// `[storage]`.
#[derive(Debug, Clone)]
pub enum Storage {
    /// `sqlite:FILE`: a file of our own.
    Sqlite(PathBuf),
    /// `postgres://…`: a server; the address may hold a password.
    Postgres(Secret<String>),
}

const WANTED: &str = "write \"sqlite:FILE\" or \"postgres://USER@HOST/DATABASE\"";

impl Storage {
    /// The database unless the file says otherwise.
    pub const URL: &str = "sqlite:karamail.db";

    pub(super) fn read(mut section: Section<'_>, data_dir: &Path) -> Option<Self> {
        let (key, url) = match secret::read(&mut section, "url", data_dir).ok()? {
            Some(found) => (found.key, found.secret),
            None => ("url".to_owned(), Secret::new(Self::URL.to_owned())),
        };
        Self::of(url, data_dir).map_err(|wrong| section.complain(&key, wrong, Some(WANTED.to_owned()))).ok()
    }

    /// Reads an address as `storage.url` is written.
    ///
    /// # Errors
    /// It names no database; says why, and what to write.
    pub fn parse(url: &str, data_dir: &Path) -> Result<Self, String> {
        Self::of(Secret::new(url.to_owned()), data_dir).map_err(hinted)
    }

    /// Reads an address out of a file, as `storage.url_file` is.
    ///
    /// # Errors
    /// The file yields none; says why, and what to write.
    pub fn in_file(file: &Path, data_dir: &Path) -> Result<Self, String> {
        let url = secret::of_file(file).map_err(|why| why.to_string())?;
        Self::of(url, data_dir).map_err(hinted)
    }

    fn of(url: Secret<String>, data_dir: &Path) -> Result<Self, &'static str> {
        if let Some(file) = url.reveal().strip_prefix("sqlite:") {
            // `sqlite::memory:` and `sqlite:file?mode=…` mean something to SQLite that we do not want.
            let plain = !file.is_empty() && !file.starts_with(':') && !file.contains('?');
            return if plain {
                Ok(Self::Sqlite(data_dir.join(file)))
            } else {
                Err("“sqlite:” wants the name of a file behind it")
            };
        }
        if !["postgres://", "postgresql://"].iter().any(|scheme| url.reveal().starts_with(scheme)) {
            return Err("this kind of database is not known");
        }
        // The parser's own words could repeat the password.
        if url.reveal().parse::<postgres::Config>().is_err() {
            return Err("is no address of a PostgreSQL database");
        }
        Ok(Self::Postgres(url))
    }
}

fn hinted(wrong: &str) -> String {
    format!("{wrong}: {WANTED}")
}
