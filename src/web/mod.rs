//! The pages people see: the landing page behind a registration link, and the few around it.
//!
//! Knows of a link only what `service::landing` says, of a password only what `service::login` says. What always holds: GET
//! and HEAD change nothing; a form is answered by a redirect, so Back and Reload do no harm (R002); every answer, whatever
//! went wrong, is a page of ours in the reader's language, without scripts and with the same strict headers; what a browser
//! is told comes from `texts`, the cause goes to our log, and no link, password or cookie goes there.
//!
//! A request passes `dress`, which finds out who asks and in which language; the handler answers with a `Reply`, a value;
//! `dress` makes the page of it.

mod account;
mod again;
mod backup;
mod code;
mod contact;
mod cookie;
mod doubt;
mod draft;
mod fault;
mod form;
mod frame;
mod help;
mod home;
mod login;
mod note;
mod notice;
mod outbox;
mod page;
mod password;
mod profile;
mod register;
mod reply;
mod standing;
mod texts;
mod turn;
mod two_factor;
mod visit;
mod wire;

use self::page::{Pages, SendTo};
use self::reply::{Reply, Trouble};
use crate::clock::Clock;
use crate::keys::Keychain;
use crate::model::{Domain, EmailAddress, Manual, Network, OrgCode, Secret, Timestamp, mac};
use crate::net::http::{self, Site};
use crate::net::tls::identity::Identity;
use crate::random::{NoChance, Random};
use crate::service::backup_code::BackupCode;
use crate::service::contact_test::{self, ContactTests};
use crate::service::draft::Drafts;
use crate::service::hasher::Hasher;
use crate::service::landing::Landing;
use crate::service::login::Login;
use crate::service::notice::Notices;
use crate::service::otp::Otp;
use crate::service::profile::Profile;
use crate::service::reach::Reach;
use crate::service::second_factor::SecondFactor;
use crate::store::Store;
use axum::Router;
use axum::http::StatusCode;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::net::TcpListener;

/// What the pages are told of the service.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where the pages are reached, without a slash at the end; cookies insist on https where this does.
    pub public_url: String,
    /// Where `/` sends the browser, where that is somewhere else.
    pub system_url: Option<String>,
    /// The name of the service in Japanese.
    pub title: String,
    /// The name of the service in English.
    pub title_en: String,
    /// The address our mail comes from, for people to allow.
    pub sender: EmailAddress,
    /// The address that takes empty mails.
    pub registration: EmailAddress,
    /// The receiving domains where our mail carries the mark of an official account.
    pub official_at: Vec<Domain>,
    /// Documents elsewhere that each page leads to.
    pub manuals: Vec<Manual>,
    /// How tests of addresses are sent.
    pub contact_test: contact_test::Settings,
    /// What tells members of what was done to their account.
    pub notices: Notices,
    /// The folder of captured mails, where they are captured and may be read.
    pub outbox: Option<PathBuf>,
    /// The proxies whose word is taken for where a request comes from.
    pub trusted_proxies: Vec<Network>,
}

impl Settings {
    fn is_secure(&self) -> bool {
        self.public_url.starts_with("https://")
    }

    /// The host at which the pages are published: the name of this service in an authenticator app (R033).
    fn host(&self) -> &str {
        let place = self.public_url.split_once("://").map_or(self.public_url.as_str(), |(_, place)| place);
        place.split(['/', ':']).next().unwrap_or(place)
    }
}

/// What the pages work with.
#[derive(Clone)]
pub struct Parts {
    /// The database.
    pub store: Store,
    /// The keys: of links, and of what is sealed.
    pub keys: Keychain,
    /// Argon2.
    pub hasher: Hasher,
    /// The time.
    pub clock: Clock,
    /// Chance.
    pub random: Random,
}

/// A template is broken: the program was built wrong.
#[derive(Debug, thiserror::Error)]
#[error("the templates of the pages cannot be read: {0}")]
pub struct WebError(#[from] tera::Error);

/// The pages; clones share them.
#[derive(Clone)]
pub struct Web(Arc<Inner>);

struct Inner {
    settings: Settings,
    parts: Parts,
    pages: Pages,
    login: Login,
    landing: Landing,
    contact_tests: ContactTests,
    profile: Profile,
    reach: Reach,
    otp: Otp,
    second_factor: SecondFactor,
    backup_code: BackupCode,
    drafts: Drafts,
}

/// Makes the key of form tokens and device cookies from one that seals; it is of one purpose.
fn key_of(sealing: &[u8; 32]) -> Secret<[u8; 32]> {
    Secret::new(mac(sealing, "karamail web", &[]))
}

/// Serves the pages on `listeners`, by HTTPS where there is something to show, until `stop` is done; then finishes what is
/// under way.
pub async fn serve(web: Web, tls: Option<Identity>, listeners: Vec<TcpListener>, stop: impl Future<Output = ()>) {
    let trusted = web.0.settings.trusted_proxies.clone();
    let site = Site { name: "web", router: web.router(), tls, clock: web.clock().clone(), trusted };
    http::serve(site, listeners, stop).await;
}

impl Web {
    /// Makes the pages.
    ///
    /// # Errors
    /// A template is broken.
    pub fn new(settings: Settings, parts: Parts) -> Result<Self, WebError> {
        let pages = Pages::new(&settings, parts.keys.clone())?;
        let notices = settings.notices;
        let login =
            Login::new(parts.store.clone(), parts.keys.clone(), parts.hasher.clone(), parts.random.clone(), notices);
        let landing = Landing::new(parts.store.clone(), parts.keys.clone(), notices);
        let otp = Otp::new(parts.store.clone(), parts.keys.clone(), parts.random.clone());
        let drafts = Drafts::new(parts.store.clone(), parts.keys.clone(), parts.random.clone());
        let second_factor = SecondFactor::new(
            parts.store.clone(),
            parts.keys.clone(),
            parts.random.clone(),
            notices,
            settings.host().to_owned(),
        );
        let backup_code = BackupCode::new(
            parts.store.clone(),
            parts.keys.clone(),
            parts.hasher.clone(),
            parts.random.clone(),
            notices,
        );
        let contact_tests = ContactTests::new(parts.store.clone(), parts.keys.clone(), settings.contact_test);
        let (profile, reach) = (Profile::new(parts.store.clone(), notices), Reach::new(parts.store.clone()));
        let inner = Inner {
            settings,
            parts,
            pages,
            login,
            landing,
            otp,
            second_factor,
            backup_code,
            drafts,
            contact_tests,
            profile,
            reach,
        };
        Ok(Self(Arc::new(inner)))
    }

    fn router(&self) -> Router {
        Router::new()
            .merge(account::routes())
            .merge(again::routes())
            .merge(backup::routes())
            .merge(code::routes())
            .merge(contact::routes())
            .merge(doubt::routes())
            .merge(help::routes())
            .merge(home::routes())
            .merge(login::routes())
            .merge(outbox::routes())
            .merge(password::routes())
            .merge(profile::routes())
            .merge(register::routes())
            .merge(two_factor::routes())
            .fallback(|| async { Reply::missing(StatusCode::NOT_FOUND) })
            .method_not_allowed_fallback(|| async { Reply::missing(StatusCode::METHOD_NOT_ALLOWED) })
            .layer(axum::middleware::from_fn_with_state(self.clone(), reply::dress))
            .with_state(self.clone())
    }

    fn store(&self) -> &Store {
        &self.0.parts.store
    }

    fn clock(&self) -> &Clock {
        &self.0.parts.clock
    }

    fn now(&self) -> Timestamp {
        self.0.parts.clock.now()
    }

    fn random<const N: usize>(&self) -> Result<[u8; N], NoChance> {
        self.0.parts.random.bytes()
    }

    fn pages(&self) -> &Pages {
        &self.0.pages
    }

    fn login(&self) -> &Login {
        &self.0.login
    }

    fn settings(&self) -> &Settings {
        &self.0.settings
    }

    fn contact_tests(&self) -> &ContactTests {
        &self.0.contact_tests
    }

    fn profile(&self) -> &Profile {
        &self.0.profile
    }

    fn reach(&self) -> &Reach {
        &self.0.reach
    }

    fn links(&self) -> &Landing {
        &self.0.landing
    }

    /// Gives the service that sends one-time passwords.
    #[must_use]
    pub fn otp(&self) -> &Otp {
        &self.0.otp
    }

    fn second_factor(&self) -> &SecondFactor {
        &self.0.second_factor
    }

    fn backup_code(&self) -> &BackupCode {
        &self.0.backup_code
    }

    fn drafts(&self) -> &Drafts {
        &self.0.drafts
    }

    /// Gives the key of device cookies, and of what tries are counted under: it is the same while a new key takes its place.
    fn key(&self) -> Secret<[u8; 32]> {
        key_of(self.0.parts.keys.now().seal().oldest().1)
    }

    /// Gives the keys whose form tokens are taken: a page may have been shown before a new key came.
    fn form_keys(&self) -> Vec<Secret<[u8; 32]>> {
        let keys = self.0.parts.keys.now();
        keys.seal().ids().filter_map(|id| keys.seal().find(id)).map(key_of).collect()
    }

    fn is_secure(&self) -> bool {
        self.0.settings.is_secure()
    }

    fn host(&self) -> &str {
        self.0.settings.host()
    }

    fn trusts(&self, peer: IpAddr) -> bool {
        self.0.settings.trusted_proxies.iter().any(|network| network.contains(peer))
    }

    fn public_url(&self) -> &str {
        &self.0.settings.public_url
    }

    fn system_url(&self) -> Option<&str> {
        self.0.settings.system_url.as_deref()
    }

    fn outbox(&self) -> Option<&Path> {
        self.0.settings.outbox.as_deref()
    }

    fn send_to(&self, org: Option<&OrgCode>) -> SendTo {
        SendTo::new(&self.0.settings.registration, org)
    }
}
