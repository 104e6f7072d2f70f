//! Standard error: under systemd it is the journal.

use super::place;
use crate::config::Format;
use tracing_subscriber::EnvFilter;

/// Starts the log of the program itself. `usual` is what it holds unless `$KARAMAIL_LOG` says otherwise.
pub(super) fn start(format: Format, usual: &str) {
    let filter = place::log_filter().unwrap_or_else(|| usual.to_owned());
    let log = tracing_subscriber::fmt().with_env_filter(EnvFilter::new(filter)).with_writer(std::io::stderr);
    let started = match format {
        Format::Text => log.with_ansi(false).with_target(false).try_init(),
        Format::Json => log.json().flatten_event(true).try_init(),
    };
    if let Err(cause) = started {
        tracing::debug!(%cause, "the log was started before");
    }
}
