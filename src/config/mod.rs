//! The file as written becomes the settings as believed.
//!
//! `reader` walks the TOML and notes every complaint, one file for each section says what its keys mean, `contradiction` looks
//! at the sections together, `advice` at what works and is unwise. A setting whose feature does not exist yet is refused with a hint, never silently taken.
//!
//! Does not know what the settings are used for; each part of the daemon is handed its own section. What always holds: whoever
//! has a [`Config`] has one without a known fault, and whoever has not knows **all** that is wrong, each with its key and line.

mod advice;
mod api;
mod contradiction;
mod delivery;
mod destination;
mod intake;
mod log;
mod manual;
mod problem;
mod reader;
mod secret;
mod sender;
mod storage;
mod templates;
mod tls;
mod value;
mod web;
mod written;

pub use api::Api;
pub use contradiction::{registered, same_organisation};
pub use delivery::{Delivery, Login, Resolver, Route, Smarthost, TlsPolicy};
pub use destination::Destinations;
pub use intake::{Registration, Smtp};
pub use log::{Format, Log};
pub use problem::{Problem, Problems};
pub use sender::Sender;
pub use storage::Storage;
pub use tls::TlsFiles;
pub use value::{BaseUrl, Host, Server, Size, ValueError};
pub use web::Web;
pub use written::Written;

use crate::mail::template::Templates;
use crate::model::{DkimEntry, Domain, Manual};
use reader::{Book, Section};
use std::path::{Path, PathBuf};
use value::Name;

/// The settings, believed. Only `daemon` holds them all.
#[derive(Debug, Clone)]
pub struct Config {
    /// The name in our greeting and EHLO (`hostname`).
    pub hostname: Domain,
    /// Where the database, the keys and the operator's socket are (`data_dir`).
    pub data_dir: PathBuf,
    /// The wording of mails: the operator's (`templates_dir`), and where there is none the built-in one.
    pub templates: Templates,
    /// `[storage]`.
    pub storage: Storage,
    /// `[smtp]`.
    pub smtp: Smtp,
    /// `[registration]`.
    pub registration: Registration,
    /// `[sender]`.
    pub sender: Sender,
    /// `[[dkim]]`, in the order of the file; empty: the keys in use sign for the sender's domain.
    pub dkim: Vec<DkimEntry>,
    /// `[delivery]`.
    pub delivery: Delivery,
    /// `[[destination]]`.
    pub destinations: Destinations,
    /// `[web]`.
    pub web: Web,
    /// `[[manual]]`, in the order of the file.
    pub manuals: Vec<Manual>,
    /// `[api]`.
    pub api: Api,
    /// `[log]`.
    pub log: Log,
    /// The file itself.
    pub written: Written,
    /// What works as it is written and is unwise, in the order of the file.
    pub advice: Vec<Problem>,
}

impl Config {
    /// Where a system keeps the data unless told otherwise.
    pub const DATA_DIR: &str = "/var/lib/karamail";

    /// Reads the settings from a file.
    ///
    /// # Errors
    /// The file cannot be read, or everything that is wrong with it.
    pub fn load(file: &Path) -> Result<Self, Problems> {
        let text = std::fs::read_to_string(file)
            .map_err(|cause| Problems::new(vec![Problem::of_file(format!("cannot be read: {cause}"))]))?;
        // A bare file name lies in the current folder.
        let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        Self::read(&text, folder)
    }

    /// Reads the settings from the text of a file that lies in `folder`.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn read(text: &str, folder: &Path) -> Result<Self, Problems> {
        let book = Book::new(text);
        let config = Draft::read(book.root()?, folder).check(&book);
        let (_, problems) = book.close(Self::settings);
        match config {
            Some(config) if problems.is_empty() => Ok(Self { written: Written::of(text), ..config }),
            _ => Err(Problems::new(problems)),
        }
    }

    /// Where captured mails lie.
    #[must_use]
    pub fn outbox(&self) -> PathBuf {
        self.data_dir.join("outbox")
    }

    /// Lists the paths of all settings there are, such as `smtp.listen`.
    #[must_use]
    pub fn settings() -> Vec<String> {
        // Of a list of tables one has to be there to be asked for its keys.
        let book = Book::new("[[dkim]]\n[[destination]]\n[[manual]]");
        if let Ok(root) = book.root() {
            drop(Draft::read(root, Path::new(".")));
        }
        book.close(Vec::new).0
    }
}

/// The sections as far as they could be read.
struct Draft {
    hostname: Option<Domain>,
    data_dir: PathBuf,
    templates: Option<Templates>,
    storage: Option<Storage>,
    smtp: Smtp,
    registration: Option<Registration>,
    sender: Option<Sender>,
    dkim: Vec<DkimEntry>,
    delivery: Option<Delivery>,
    destinations: Destinations,
    web: Option<Web>,
    manuals: Vec<Manual>,
    api: Api,
    log: Log,
}

impl Draft {
    fn read(mut root: Section<'_>, folder: &Path) -> Self {
        let hostname = root.required("hostname", "\"mx.example.jp\"").map(|Name(name)| name);
        let data_dir = root.value("data_dir").unwrap_or_else(|| PathBuf::from(Config::DATA_DIR));
        let data_dir = folder.join(data_dir);
        let templates = templates::read(&mut root, folder);
        let storage = Storage::read(root.section("storage"), &data_dir);
        let smtp = Smtp::read(root.section("smtp"), &data_dir);
        let registration = Registration::read(root.section("registration"));
        let link_lifetime = registration.as_ref().map(|registration| registration.link_lifetime);
        for (key, instead) in [
            ("imap", "mail comes in by [smtp]; remove [[imap]]"),
            ("lmtp", "let your own mail server forward by SMTP to smtp.listen; remove [lmtp]"),
        ] {
            root.not_yet(key, instead);
        }
        Self {
            hostname,
            templates,
            storage,
            smtp,
            registration,
            sender: Sender::read(root.section("sender")),
            dkim: sender::read_dkim(root.sections("dkim"), &data_dir),
            delivery: Delivery::read(root.section("delivery"), &data_dir, link_lifetime),
            destinations: Destinations::read(root.sections("destination")),
            web: Web::read(root.section("web"), &data_dir),
            manuals: manual::read(root.sections("manual")),
            api: Api::read(root.section("api")),
            log: Log::read(root.section("log")),
            data_dir,
        }
    }

    /// Looks at the sections together, and puts them together where none is missing.
    fn check(self, book: &Book<'_>) -> Option<Config> {
        contradiction::look(&self, book);
        advice::look(&self, book);
        Some(Config {
            hostname: self.hostname?,
            data_dir: self.data_dir,
            templates: self.templates?,
            storage: self.storage?,
            smtp: self.smtp,
            registration: self.registration?,
            sender: self.sender?,
            dkim: self.dkim,
            delivery: self.delivery?,
            destinations: self.destinations,
            web: self.web?,
            manuals: self.manuals,
            api: self.api,
            log: self.log,
            written: Written::default(),
            advice: Problems::new(book.advice()).into(),
        })
    }
}

#[cfg(test)]
mod tests;
