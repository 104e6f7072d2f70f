//! `serve`: the daemon itself.
//!
//! Opens the doors while it may still be root, becomes the owner of the data folder, and runs until it is asked to stop. A
//! service manager may hand over open sockets, and is told how the daemon is.

mod overseer;

use super::failure::Failure;
use super::voice::Voice;
use super::{owner, place, voice};
use crate::config::Config;
use crate::daemon::{Daemon, Doors, Unwanted, World};
use clap::Args;
use overseer::Overseer;
use std::path::{Path, PathBuf};
use std::pin::pin;
use tokio::signal::unix::{Signal, SignalKind, signal};

const EXAMPLES: &str = "\
Examples:
  karamail serve
  karamail serve -c /etc/karamail/karamail.toml

Under systemd, karamail.socket hands over sockets for smtp.listen and web.listen, and systemctl status shows how the daemon
is. Exit code: 78 where the settings are wrong, so that nobody tries again in vain.

SIGTERM and Ctrl-C stop it in order; SIGHUP has it read the settings and the keys again (what can change at once:
[[destination]], [[dkim]], the waits of delivery.class, log.format) and look at its certificates. KARAMAIL_LOG=debug
says more on standard error.";

/// Runs the daemon
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Serve {}

impl Serve {
    pub(super) fn run(self, config: Option<PathBuf>) -> Result<(), Failure> {
        let Self {} = self;
        let file = place::find(config).map_err(wrong_settings)?;
        let config = place::load(Some(file.clone())).map_err(wrong_settings)?;
        let voice = voice::start(config.log.format, "info");
        let overseer = Overseer::find(place::notify_socket().as_deref(), place::watchdog());
        let doors = open_doors(&config)?;
        owner::become_owner(&config.data_dir)?;
        let served = on_all_cores(async {
            // Before anything is under way that an end without order would leave behind.
            let wishes = Wishes { ending: Ending::listen()?, hangup: signal(SignalKind::hangup())? };
            let mut daemon = Daemon::start(config, doors, world()).await?;
            let asked = serve(&mut daemon, wishes, &overseer, |daemon| reload(&file, daemon, &voice)).await;
            overseer.stopping();
            daemon.stop().await;
            asked
        })?;
        served.map_err(said)
    }
}

/// Takes the doors that stand open already, and opens the others.
fn open_doors(config: &Config) -> Result<Doors, Failure> {
    let inherited = place::inherited_sockets()?;
    let doors = Doors::open_beside(inherited, &config.smtp.listen, &config.web.listen, &config.api.listen);
    doors.map_err(|error| if error.is::<Unwanted>() { Failure::Settings(error.to_string()) } else { said(error) })
}

/// Another start would find the same faults.
fn wrong_settings(failure: Failure) -> Failure {
    match failure {
        Failure::Said => Failure::Settings(String::new()),
        Failure::Refused(why) => Failure::Settings(why),
        other => other,
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

/// Reads the settings again; says whether they were taken. Those with a fault change nothing, and every fault is told.
fn reload(file: &Path, daemon: &Daemon, voice: &Voice) -> bool {
    match Config::load(file) {
        Ok(config) => {
            voice.change(config.log.format);
            daemon.reload(&config);
            true
        }
        Err(problems) => {
            for problem in problems.iter() {
                tracing::error!(file = %file.display(), %problem, "the settings are wrong; they stay as they were");
            }
            false
        }
    }
}

/// What an operator may want of a running daemon.
struct Wishes {
    ending: Ending,
    /// That the settings are read again.
    hangup: Signal,
}

/// Serves until it is asked to stop; at each SIGHUP does `again`, which says whether the settings were taken.
async fn serve(
    daemon: &mut Daemon,
    mut wishes: Wishes,
    overseer: &Overseer,
    again: impl Fn(&Daemon) -> bool,
) -> anyhow::Result<()> {
    let (pulse, clock) = (daemon.pulse(), World::real().clock);
    let mut posted = pin!(overseer.keep_posted(&pulse, &clock));
    overseer.ready(&pulse.state(), true);
    loop {
        tokio::select! {
            asked = wishes.ending.wait(daemon) => return asked,
            never = &mut posted => match never {},
            _ = wishes.hangup.recv() => {}
        }
        overseer.reloading();
        let taken = again(daemon);
        overseer.ready(&pulse.state(), taken);
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
