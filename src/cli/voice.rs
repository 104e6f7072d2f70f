//! Standard error: under systemd it is the journal.

use super::place;
use crate::config::Format;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt, reload};

type Lines = Box<dyn Layer<Registry> + Send + Sync>;

/// The log of the program itself.
pub(super) struct Voice(reload::Handle<Lines, Registry>);

/// What others say too loudly: the library that follows DNSSEC shows whole answers of strangers' name servers as warnings.
/// What comes of them we say ourselves.
const QUIET: &str = "hickory_net::dnssec=off";

/// Starts it. `usual` is what it holds unless `$KARAMAIL_LOG` says otherwise.
pub(super) fn start(format: Format, usual: &str) -> Voice {
    let filter = place::log_filter().unwrap_or_else(|| format!("{usual},{QUIET}"));
    let (lines, voice) = reload::Layer::new(lines(format));
    if let Err(cause) = tracing_subscriber::registry().with(lines).with(EnvFilter::new(filter)).try_init() {
        tracing::debug!(%cause, "the log was started before");
    }
    Voice(voice)
}

impl Voice {
    /// Goes on in another format.
    pub(super) fn change(&self, format: Format) {
        if let Err(cause) = self.0.reload(lines(format)) {
            tracing::debug!(%cause, "the log keeps its format");
        }
    }
}

fn lines(format: Format) -> Lines {
    let lines = fmt::layer().with_writer(std::io::stderr);
    match format {
        Format::Text => lines.with_ansi(false).with_target(false).boxed(),
        Format::Json => lines.json().flatten_event(true).boxed(),
    }
}
