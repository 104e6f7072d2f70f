//! The service manager that started us, and what it is told: sd_notify(3).
//!
//! Knows where to speak, and when a sign of life is due. What always holds: where nobody asked to be told nothing is said,
//! and an overseer that does not listen keeps nobody waiting.

use crate::clock::Clock;
use crate::daemon::Pulse;
use crate::model::Span;
use sd_notify::NotifyState;
use std::cell::Cell;
use std::convert::Infallible;
use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// How long a full queue of the overseer's is waited for.
const PATIENCE: Duration = Duration::from_secs(1);
/// How many signs of life there are in the time after which we are taken for dead.
const SIGNS: i64 = 3;

/// Who wants to be told how we are.
pub(super) struct Overseer {
    ear: Option<UnixDatagram>,
    /// After how long without a sign of life we are started anew.
    watchdog: Option<Span>,
    /// Whether we work by the settings as they are on the disk.
    settled: Cell<bool>,
}

impl Overseer {
    /// Finds the overseer that listens at `socket`, which begins with `@` or `/`. Where there is none the daemon works as well.
    pub(super) fn find(socket: Option<&OsStr>, watchdog: Option<Span>) -> Self {
        let ear = socket.and_then(|socket| {
            let found = connect(socket);
            found.inspect_err(|error| tracing::warn!(?socket, %error, "nobody listens at $NOTIFY_SOCKET")).ok()
        });
        Self { ear, watchdog, settled: Cell::new(true) }
    }

    /// Everything works: the database is open, and somebody answers at each door. `settled`: by the settings as they are on the
    /// disk, and not by those before.
    pub(super) fn ready(&self, state: &str, settled: bool) {
        self.settled.set(settled);
        self.tell(&[NotifyState::Ready, NotifyState::Status(&self.status(state))]);
    }

    /// The settings are being read again; [`Self::ready`] says what came of it.
    pub(super) fn reloading(&self) {
        match NotifyState::monotonic_usec_now() {
            Ok(now) => self.tell(&[NotifyState::Reloading, now]),
            Err(error) => tracing::warn!(%error, "the service manager is not told that the settings are read again"),
        }
    }

    /// What is under way is finished; a last sign of life, as the end may take a while.
    pub(super) fn stopping(&self) {
        let state = NotifyState::Status("stopping: what is under way is finished or given back");
        self.tell(&[NotifyState::Stopping, NotifyState::Watchdog, state]);
    }

    /// Gives a sign of life for as long as there is a pulse; waits for ever where nobody wants one.
    pub(super) async fn keep_posted(&self, pulse: &Pulse, clock: &Clock) -> Infallible {
        let Some(watchdog) = self.watchdog else { return std::future::pending().await };
        loop {
            let state = pulse.beat().await;
            self.tell(&[NotifyState::Watchdog, NotifyState::Status(&self.status(&state))]);
            clock.sleep(Span::from_millis(watchdog.millis() / SIGNS)).await;
        }
    }

    fn status(&self, state: &str) -> String {
        let warning = if self.settled.get() { "" } else { "the settings are wrong and wait to be mended; " };
        format!("{warning}{state}")
    }

    fn tell(&self, words: &[NotifyState<'_>]) {
        let Some(ear) = &self.ear else { return };
        let message: String = words.iter().map(|word| format!("{word}\n")).collect();
        if let Err(error) = ear.send(message.as_bytes()) {
            tracing::warn!(%error, "the service manager does not hear us");
        }
    }
}

fn connect(socket: &OsStr) -> io::Result<UnixDatagram> {
    let address = match socket.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        _ => SocketAddr::from_pathname(socket)?,
    };
    let ear = UnixDatagram::unbound()?;
    ear.connect_addr(&address)?;
    ear.set_write_timeout(Some(PATIENCE))?;
    Ok(ear)
}
