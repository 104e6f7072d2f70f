//! Where the settings are: the only place that reads the environment.

use super::failure::{Failure, complain};
use crate::config::Config;
use crate::model::Span;
use listenfd::ListenFd;
use std::ffi::OsString;
use std::net::TcpListener;
use std::path::{Path, PathBuf};

/// Looked for where neither the command line nor the environment names a file.
const USUAL: [&str; 2] = ["config/karamail.toml", "/etc/karamail/karamail.toml"];

/// Finds the file with the settings.
pub(super) fn find(given: Option<PathBuf>) -> Result<PathBuf, Failure> {
    if let Some(file) = given.or_else(|| variable("KARAMAIL_CONFIG").map(PathBuf::from)) {
        return Ok(file);
    }
    let found = USUAL.into_iter().map(Path::new).find(|file| file.exists());
    found.map(Path::to_owned).ok_or_else(|| {
        Failure::Refused(format!("there are no settings: neither {} nor {}; name a file with -c", USUAL[0], USUAL[1]))
    })
}

/// Reads the settings; says on standard error everything that is wrong with them.
pub(super) fn load(given: Option<PathBuf>) -> Result<Config, Failure> {
    let file = find(given)?;
    Config::load(&file).map_err(|problems| {
        problems.iter().for_each(|problem| complain(&format!("{}: {problem}", file.display())));
        Failure::Said
    })
}

/// What the log on standard error is to hold, such as `karamail=debug`.
pub(super) fn log_filter() -> Option<String> {
    variable("KARAMAIL_LOG")?.into_string().ok()
}

/// Takes the sockets that the service manager opened for us (sd_listen_fds(3)), and takes their variables out of the
/// environment, so it is called before there is a second thread.
pub(super) fn inherited_sockets() -> Result<Vec<TcpListener>, Failure> {
    let mut handed_over = ListenFd::from_env();
    let sockets = (0..handed_over.len()).filter_map(|index| handed_over.take_tcp_listener(index).transpose());
    sockets.collect::<Result<_, _>>().map_err(|cause| {
        Failure::Settings(format!("of what the service manager hands over, only TCP sockets are of use: {cause}"))
    })
}

/// Where the service manager wants to be told how we are (sd_notify(3)). This stays in the environment: we start no other
/// program that could inherit it.
pub(super) fn notify_socket() -> Option<OsString> {
    variable("NOTIFY_SOCKET")
}

/// After how long without a sign of life the service manager takes us for dead (sd_watchdog_enabled(3)).
pub(super) fn watchdog() -> Option<Span> {
    let millis = i64::try_from(sd_notify::watchdog_enabled()?.as_millis()).ok()?;
    (millis > 0).then_some(Span::from_millis(millis))
}

/// After how many commits the process is to kill itself.
#[cfg(feature = "crash-test")]
pub(super) fn crash_after() -> Option<u64> {
    variable("KARAMAIL_CRASH_AFTER_COMMIT")?.to_str()?.parse().ok()
}

#[expect(clippy::disallowed_methods, reason = "the one place that may read the environment")]
fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}
