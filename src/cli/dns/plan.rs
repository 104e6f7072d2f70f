//! What is known of this installation: from the settings, the key files and the command line.
//!
//! Asks nobody. What always holds: an address counts where it was named on the command line, or where the settings name one that
//! others can reach.

use crate::config::{Config, Route};
use crate::keys::{DkimKey, KeyError, Keys, ToCome};
use crate::model::Domain;
use crate::net::publication::{DkimHalf, Plan, Standing, Way};
use crate::net::resolver::Reach;
use std::net::IpAddr;

/// Puts it together; `given` are the addresses of the command line, and without `keys` there are none yet.
pub(super) fn of(config: &Config, keys: Option<&Keys>, given: &[IpAddr]) -> Result<Plan, KeyError> {
    let reach = Reach::of(config.delivery.private_addresses);
    let known = |address: &IpAddr| !address.is_unspecified() && reach.allows(*address);
    let bound = each_once(config.delivery.bind.iter().copied().filter(known));
    let listening = config.smtp.listen.iter().map(|socket| socket.ip()).filter(known);
    let addresses = if given.is_empty() {
        each_once(bound.iter().copied().chain(listening))
    } else {
        each_once(given.iter().copied())
    };
    let senders = if given.is_empty() && !bound.is_empty() { bound } else { addresses.clone() };
    let pages = [&config.web.public_url, &config.web.system_url].into_iter().filter_map(|url| published(url.host()));
    Ok(Plan {
        hostname: config.hostname.clone(),
        registration: config.registration.addresses.clone(),
        from: config.sender.address.clone(),
        bounce: config.sender.bounce_domain.clone(),
        way: match &config.delivery.route {
            Route::Mx | Route::Capture => Way::Direct,
            Route::Smarthost(smarthost) => Way::Relay(smarthost.server.host.clone()),
        },
        addresses,
        senders,
        assumed: false,
        pages: each_once(pages),
        dkim: match keys {
            Some(keys) => halves(config, keys)?,
            None => before_the_first_start(config)?,
        },
    })
}

/// A name with a dot can be published; `localhost` and addresses are not.
fn published(host: &str) -> Option<Domain> {
    host.parse().ok().filter(|name: &Domain| name.as_str().contains('.'))
}

fn each_once<T: PartialEq>(all: impl Iterator<Item = T>) -> Vec<T> {
    all.fold(Vec::new(), |mut seen, one| {
        if !seen.contains(&one) {
            seen.push(one);
        }
        seen
    })
}

/// The keys that sign, and behind them those that wait.
fn halves(config: &Config, keys: &Keys) -> Result<Vec<DkimHalf>, KeyError> {
    let from = config.sender.address.domain();
    let signing = keys.signers(&config.dkim, from)?;
    let mut all: Vec<DkimHalf> =
        signing.iter().map(|signer| half(&signer.key, signer.domain.clone(), Standing::Signs)).collect();
    for key in keys.waiting()? {
        all.extend(domains_of(config, &key.selector).into_iter().map(|domain| half(&key, domain, Standing::Waits)));
    }
    Ok(all)
}

fn half(key: &DkimKey, domain: Domain, standing: Standing) -> DkimHalf {
    let (selector, text) = (key.selector.clone(), Some(key.record()));
    DkimHalf { domain, selector, algorithm: key.algorithm, text, standing }
}

/// Where a key that waits will sign: where the settings say so already, else in the sender's own name.
fn domains_of(config: &Config, selector: &str) -> Vec<Domain> {
    let named = config.dkim.iter().filter(|entry| entry.selector == selector && entry.key_file.is_none());
    let named: Vec<Domain> = named.map(|entry| entry.domain.clone()).collect();
    if named.is_empty() { vec![config.sender.address.domain().clone()] } else { named }
}

/// Keys that the first start will make are known by their names, those that the settings bring along whole.
fn before_the_first_start(config: &Config) -> Result<Vec<DkimHalf>, KeyError> {
    let to_come = Keys::to_come(&config.dkim, config.sender.address.domain())?;
    let half = |key: ToCome| DkimHalf {
        domain: key.domain,
        selector: key.selector,
        algorithm: key.algorithm,
        text: key.key.map(|key| key.record()),
        standing: Standing::Signs,
    };
    Ok(to_come.into_iter().map(half).collect())
}
