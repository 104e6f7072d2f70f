//! Makes each part of the daemon from its section of the settings.
//!
//! Nothing is decided here: a setting is handed to the part that believes it.

use super::World;
use crate::config::{Config, Route, Storage, TlsFiles};
use crate::inbound::route::{self, Settings as RouteSettings};
use crate::inbound::smtp::{Deadlines, Intake, Limits, Settings as IntakeSettings};
use crate::keys::Keychain;
use crate::model::{Domain, Span};
use crate::net::tls::identity::{Identity, Keeper};
use crate::outbound::sign::Signer;
use crate::outbound::worker::{Parts as WorkerParts, Settings as WorkerSettings, Worker};
use crate::queue::Class;
use crate::service::compose::{Composer, Settings as ComposeSettings};
use crate::service::contact_test;
use crate::service::hasher::Hasher;
use crate::service::notice::Notices;
use crate::service::reception::{Reception, Settings as ReceptionSettings};
use crate::service::registration::Own;
use crate::store::Store;
use crate::web::{Parts, Settings as WebSettings, Web};
use anyhow::Context as _;
use std::collections::BTreeSet;
use std::sync::Arc;
use tokio::sync::Notify;

/// The port of HTTPS.
const HTTPS: u16 = 443;
/// What we speak over HTTPS (RFC 7301).
const HTTP: &[&[u8]] = &[b"http/1.1"];
/// How long deliveries under way may take when the daemon stops.
const GRACE: Span = Span::from_secs(20);

/// What the services show, and who keeps it up to date.
pub(super) struct Certificates {
    pub(super) smtp: Option<Identity>,
    pub(super) web: Option<Identity>,
    pub(super) keepers: Vec<Keeper>,
}

impl Certificates {
    /// Reads those that the settings name.
    pub(super) fn open(config: &Config, world: &World) -> Self {
        let keeper = |service, files: &Option<TlsFiles>, protocols| {
            files.clone().map(|files| Keeper::open(service, files, protocols, world.clock.clone()))
        };
        let smtp = keeper("smtp", &config.smtp.tls, &[]);
        let web = keeper("web", &config.web.tls, HTTP);
        Self {
            smtp: smtp.as_ref().map(Keeper::identity),
            web: web.as_ref().map(Keeper::identity),
            keepers: smtp.into_iter().chain(web).collect(),
        }
    }

    /// Gives all that is shown.
    pub(super) fn identities(&self) -> Vec<Identity> {
        self.smtp.iter().chain(&self.web).cloned().collect()
    }
}

pub(super) fn intake(
    config: &Config,
    tls: Option<Identity>,
    store: &Store,
    keys: &Keychain,
    world: &World,
) -> Intake<Reception> {
    let settings = IntakeSettings {
        hostname: config.hostname.clone(),
        max_message: usize::try_from(config.smtp.max_message.bytes()).unwrap_or(usize::MAX),
        limits: Limits::default(),
        deadlines: Deadlines::default(),
    };
    let route = route::Route::new(RouteSettings {
        hostname: config.hostname.clone(),
        registration: config.registration.addresses.clone(),
        bounce_domain: config.sender.bounce_domain.clone(),
        keys: keys.clone(),
    });
    let reception = Reception::new(store.clone(), keys.clone(), world.random.clone(), reception(config));
    Intake::new(settings, tls, route, reception, world.clock.clone())
}

fn reception(config: &Config) -> ReceptionSettings {
    let registration = &config.registration;
    ReceptionSettings {
        own: Own { domains: own_domains(config) },
        link_lifetime: registration.link_lifetime,
        address_limit: registration.reply_limit,
        domain_limit: registration.reply_limit_domain,
        network_limit: registration.reply_limit_network,
        answer_give_up: config.delivery.schedule(Class::Registration).give_up,
        operator: config.smtp.operator.clone(),
        forward_give_up: config.delivery.schedule(Class::Notice).give_up,
    }
}

/// What tells members of what was done to their account, in the daemon and in a command.
#[must_use]
pub fn notices(config: &Config) -> Notices {
    Notices { give_up: config.delivery.schedule(Class::Notice).give_up }
}

fn own_domains(config: &Config) -> Vec<Domain> {
    let registration = config.registration.addresses.iter().map(|address| address.domain());
    let others = [config.sender.address.domain(), &config.sender.bounce_domain, &config.hostname];
    let distinct: BTreeSet<Domain> = registration.chain(others).cloned().collect();
    distinct.into_iter().collect()
}

/// Hashes as many passwords at once as there are cores.
pub(super) fn hasher(world: &World) -> Hasher {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    Hasher::new(cores, world.clock.clone())
}

pub(super) fn pages(
    config: &Config,
    store: &Store,
    keys: &Keychain,
    hasher: Hasher,
    world: &World,
) -> anyhow::Result<Web> {
    let registration = config.registration.addresses.first().context("registration.addresses is empty")?;
    let (public_url, system_url) = (&config.web.public_url, &config.web.system_url);
    let elsewhere = (system_url.as_str() != public_url.as_str()).then(|| system_url.as_str().to_owned());
    let captures = matches!(config.delivery.route, Route::Capture).then(|| config.outbox());
    let settings = WebSettings {
        public_url: public_url.as_str().to_owned(),
        system_url: elsewhere,
        title: config.sender.title.clone(),
        title_en: config.sender.title_en.clone(),
        sender: config.sender.address.clone(),
        registration: registration.clone(),
        official_at: config.sender.official_at.clone(),
        manuals: config.manuals.clone(),
        contact_test: contact_test::Settings {
            link_lifetime: config.registration.link_lifetime,
            give_up: config.delivery.schedule(Class::ContactTest).give_up,
        },
        notices: notices(config),
        outbox: captures,
        trusted_proxies: config.web.trusted_proxies.clone(),
    };
    let parts = Parts {
        store: store.clone(),
        keys: keys.clone(),
        hasher,
        clock: world.clock.clone(),
        random: world.random.clone(),
    };
    Ok(Web::new(settings, parts)?)
}

pub(super) fn worker(
    config: &Config,
    store: &Store,
    keys: &Keychain,
    world: &World,
    wake: Arc<Notify>,
) -> anyhow::Result<Worker> {
    let sender = &config.sender;
    let settings = WorkerSettings {
        hostname: config.hostname.clone(),
        delivery: config.delivery.clone(),
        destinations: config.destinations.clone(),
        policy_port: HTTPS,
        outbox: config.outbox(),
        // A file of ours has one process at a time; a server's database may have other nodes.
        alone: matches!(config.storage, Storage::Sqlite(_)),
        limits: Default::default(),
        grace: GRACE,
    };
    let composing = ComposeSettings {
        address: sender.address.clone(),
        title: sender.title.clone(),
        title_en: sender.title_en.clone(),
        bounce_domain: sender.bounce_domain.clone(),
        public_url: config.web.public_url.as_str().to_owned(),
    };
    let parts = WorkerParts {
        store: store.clone(),
        composer: Composer::new(store.clone(), config.templates.clone(), keys.clone(), composing),
        signer: Signer::following(keys.signers())?,
        clock: world.clock.clone(),
        random: world.random.clone(),
        wake,
    };
    Ok(Worker::new(settings, parts)?)
}
