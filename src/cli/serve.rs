//! `serve`: the daemon itself.
//!
//! Opens the doors while it may still be root, becomes the owner of the data folder, and runs until it is asked to stop.

use super::failure::Failure;
use super::voice::Voice;
use super::{owner, place, voice};
use crate::config::Config;
use crate::daemon::{Daemon, Doors, World};
use clap::Args;
use std::path::{Path, PathBuf};
use tokio::signal::unix::{Signal, SignalKind, signal};

const EXAMPLES: &str = "\
Examples:
  karamail serve
  karamail serve -c /etc/karamail/karamail.toml

SIGTERM and Ctrl-C stop it in order; SIGHUP has it read the settings again (what can change at once: [[destination]],
the waits of delivery.class, log.format) and look at its certificates. KARAMAIL_LOG=debug says more on standard error.";

/// Runs the daemon
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Serve {}

impl Serve {
    pub(super) fn run(self, config: Option<PathBuf>) -> Result<(), Failure> {
        let Self {} = self;
        let file = place::find(config)?;
        let config = place::load(Some(file.clone()))?;
        let voice = voice::start(config.log.format, "info");
        let doors = Doors::open(&config.smtp.listen, &config.web.listen, &config.api.listen).map_err(said)?;
        owner::become_owner(&config.data_dir)?;
        let served = on_all_cores(async {
            let mut daemon = Daemon::start(config, doors, world()).await?;
            let asked = serve(&mut daemon, |daemon| reload(&file, daemon, &voice)).await;
            daemon.stop().await;
            asked
        })?;
        served.map_err(said)
    }
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn said(error: anyhow::Error) -> Failure {
    Failure::Refused(format!("{error:#}"))
}

fn world() -> World {
    #[cfg(feature = "crash-test")]
    return World { crash_after: place::crash_after(), ..World::real() };
    #[cfg(not(feature = "crash-test"))]
    World::real()
}

/// Runs work to its end with every core.
pub(super) fn on_all_cores<T>(work: impl Future<Output = T>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    Ok(runtime.map_err(Failure::refused)?.block_on(work))
}

/// Reads the settings again. Those with a fault change nothing, and every fault is told.
fn reload(file: &Path, daemon: &Daemon, voice: &Voice) {
    match Config::load(file) {
        Ok(config) => {
            voice.change(config.log.format);
            daemon.reload(&config);
        }
        Err(problems) => {
            for problem in problems.iter() {
                tracing::error!(file = %file.display(), %problem, "the settings are wrong; they stay as they were");
            }
        }
    }
}

/// Serves until it is asked to stop; at each SIGHUP does `again`.
async fn serve(daemon: &mut Daemon, again: impl Fn(&Daemon)) -> anyhow::Result<()> {
    let (mut ending, mut hangup) = (Ending::listen()?, signal(SignalKind::hangup())?);
    loop {
        tokio::select! {
            asked = ending.wait(daemon) => return asked,
            _ = hangup.recv() => {}
        }
        again(daemon);
    }
}

/// The wish that the daemon stops: SIGTERM or Ctrl-C. None is missed from the moment it is listened for.
pub(super) struct Ending {
    terminate: Signal,
    interrupt: Signal,
}

impl Ending {
    /// Begins to listen.
    pub(super) fn listen() -> std::io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Waits for it.
    ///
    /// # Errors
    /// A part of the daemon ended by itself.
    pub(super) async fn wait(&mut self, daemon: &mut Daemon) -> anyhow::Result<()> {
        tokio::select! {
            _ = self.terminate.recv() => Ok(()),
            _ = self.interrupt.recv() => Ok(()),
            () = daemon.failed() => anyhow::bail!("a part of the daemon ended by itself; see above"),
        }
    }
}
