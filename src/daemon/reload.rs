//! What of other settings is taken while the daemon runs.
//!
//! Knows which settings need a new start. What always holds: no session is dropped; what is not taken is named.

use super::Daemon;
use crate::config::{Config, Format};
use crate::net::tls::identity::Identity;
use std::sync::atomic::Ordering;

impl Daemon {
    /// Takes other settings as far as that goes without a new start: `[[destination]]`, the waits of each class, `[[dkim]]` and
    /// `log.format`; and the keys as they lie in their folder; the certificates are looked at too. Says in the log which others
    /// differ from those it was started with, and what is wrong with the keys, which then stay as they were.
    pub fn reload(&self, config: &Config) {
        self.board.regroup(config.destinations.groups.clone());
        self.board.reschedule(config.delivery.classes.clone());
        for problem in self.keys.reread(&config.dkim).err().into_iter().flatten() {
            tracing::error!(%problem, "the keys are wrong; they stay as they were, and so does [[dkim]]");
        }
        self.json.store(config.log.format == Format::Json, Ordering::Relaxed);
        self.identities.iter().for_each(Identity::look_again);
        for setting in standing(&self.started, config) {
            tracing::warn!(%setting, "takes effect with the next start");
        }
        tracing::info!("the settings were read again");
    }
}

/// Lists the settings that differ and are not taken.
fn standing(started: &Config, now: &Config) -> Vec<String> {
    let differences = started.written.differences(&now.written).into_iter();
    let mut standing: Vec<String> = differences.filter(|key| !is_taken(key)).collect();
    if started.destinations.tls != now.destinations.tls {
        standing.push("destination.tls".to_owned());
    }
    standing
}

fn is_taken(key: &str) -> bool {
    let waits = key.strip_prefix("delivery.class.").is_some_and(|rest| rest.ends_with(".retry"));
    waits || ["destination", "dkim", "log.format"].contains(&key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    const LEAST: &str = "hostname = 'mx.example.jp'\n[registration]\naddresses = ['bizanpi@example.jp']\n[sender]\n\
                         address = 'anpi@example.jp'\nbounce_domain = 'bounce.example.jp'\n[web]\n\
                         public_url = 'https://www.example.jp'\n";

    fn config(more: &str) -> Config {
        Config::read(&format!("{LEAST}{more}"), Path::new(".")).unwrap()
    }

    #[test]
    fn what_is_not_taken_while_it_runs_is_named() {
        for (more, named) in [
            ("", vec![]),
            ("[[destination]]\nname = 'docomo'\nconnections = 3", vec![]),
            ("[[destination]]\nname = 'docomo'\ntls = 'require'", vec!["destination.tls"]),
            ("[delivery.class.alert]\nretry = ['9s']", vec![]),
            ("[delivery.class.alert]\ngive_up = '9h'", vec!["delivery.class.alert.give_up"]),
            ("[[dkim]]\ndomain = 'example.jp'\nselector = 'k2'", vec![]),
            ("[log]\nformat = 'json'", vec![]),
            ("[api]\nlisten = []\n[smtp]\nmax_message = '2 MiB'", vec!["api.listen", "smtp.max_message"]),
        ] {
            assert_eq!(standing(&config(""), &config(more)), named, "{more}");
            assert_eq!(standing(&config(more), &config("")), named, "{more}");
        }
    }
}
