//! Listens for SMTP and holds the sessions.
//!
//! Does not know SMTP (that is `smtp::server`), nor what becomes of a mail ([`Take`]). What always holds: all sessions belong
//! to the [`Intake::serve`] that accepted them, which returns after the last of them ended; connections, their time and the
//! memory of messages under way have a bound.

mod conversation;
mod pace;
mod places;
mod wire;

use self::conversation::Conversation;
pub use self::pace::Deadlines;
use self::places::{Place, Places};
use super::route::Route;
use crate::clock::Clock;
use crate::model::{Domain, MailId, Received, Span};
use crate::net::tls::identity::Identity;
use crate::service::reception::{Destination, Reception};
use crate::smtp::server::{self, Reply};
use std::io::Write;
use std::net::IpAddr;
use std::sync::Arc;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::{JoinError, JoinSet};

/// Brings a mail to safety before its sender hears 250.
pub trait Take: Send + Sync + 'static {
    /// Stores the mail; `to` says, in the order of its recipients, which of our addresses they are. When this returns an id,
    /// the mail is committed and flushed.
    ///
    /// # Errors
    /// It could not be stored; the sender is told to try again later. Called again with the same mail, as the sender may not
    /// have heard our 250.
    fn take(&self, received: Received, to: Vec<Destination>) -> impl Future<Output = Result<MailId, NotStored>> + Send;
}

/// The mail could not be stored; the cause is in our log and not for the sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the mail could not be stored")]
pub struct NotStored;

impl Take for Reception {
    async fn take(&self, received: Received, to: Vec<Destination>) -> Result<MailId, NotStored> {
        self.receive(received, to).await.map_err(|error| {
            tracing::error!("a mail could not be stored, its sender is to try again: {error}");
            NotStored
        })
    }
}

/// How intake by SMTP is to behave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The name in the greeting.
    pub hostname: Domain,
    /// The largest mail taken, in octets.
    pub max_message: usize,
    /// How many of everything.
    pub limits: Limits,
    /// How long for everything.
    pub deadlines: Deadlines,
}

/// What may come in at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Connections in all.
    pub connections: usize,
    /// Connections from one network (/24 or /64); a carrier's gateways stand in few.
    pub connections_per_network: usize,
    /// Octets of messages in memory, in all sessions together, until they are stored.
    pub octets: usize,
    /// Recipients of one mail (RFC 5321 4.5.3.1.8).
    pub recipients: usize,
    /// Lines that are no command or out of order, since the session's last mail.
    pub mistakes: u32,
    /// Recipients that are not ours, since the session's last mail.
    pub refused: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 1_000,
            connections_per_network: 200,
            octets: 32 * 1024 * 1024,
            recipients: 100,
            mistakes: 20,
            refused: 100,
        }
    }
}

/// The intake by SMTP, for any number of listeners.
pub struct Intake<T> {
    common: Arc<Common<T>>,
}

/// What all sessions share.
struct Common<T> {
    session: Arc<server::Settings>,
    deadlines: Deadlines,
    tls: Option<Identity>,
    route: Route,
    take: T,
    clock: Clock,
    places: Arc<Places>,
    room: Arc<Semaphore>,
}

impl<T: Take> Intake<T> {
    /// Puts the intake together; STARTTLS is offered where there is something to show.
    #[must_use]
    pub fn new(settings: Settings, tls: Option<Identity>, route: Route, take: T, clock: Clock) -> Self {
        let Settings { hostname, max_message, limits, deadlines } = settings;
        let session = Arc::new(server::Settings {
            hostname,
            max_message,
            max_recipients: limits.recipients,
            max_mistakes: limits.mistakes,
            max_refused: limits.refused,
            starttls: tls.is_some(),
        });
        let places = Places::new(limits.connections, limits.connections_per_network);
        let room = Arc::new(Semaphore::new(limits.octets.min(Semaphore::MAX_PERMITS)));
        Self { common: Arc::new(Common { session, deadlines, tls, route, take, clock, places, room }) }
    }

    /// Accepts connections until `stop` turns true (or is dropped), then lets transactions under way finish, for
    /// [`Deadlines::grace`] at most, and returns.
    pub async fn serve(&self, listener: TcpListener, mut stop: watch::Receiver<bool>) {
        let mut sessions = JoinSet::new();
        loop {
            tokio::select! {
                biased;
                () = stopped(&mut stop) => break,
                Some(ended) = sessions.join_next() => report(ended),
                accepted = listener.accept() => match accepted {
                    Ok((stream, peer)) => self.admit(stream, peer.ip().to_canonical(), &mut sessions, &stop),
                    Err(error) => self.pause(&error, &mut stop).await,
                },
            }
        }
        drop(listener);
        self.finish(sessions).await;
    }

    /// Waits for the sessions, which know that they are to end; one that does not is cut off.
    async fn finish(&self, mut sessions: JoinSet<()>) {
        let Deadlines { grace, linger, .. } = self.common.deadlines;
        let deadline = self.common.clock.now().plus(grace).plus(linger);
        let all = async {
            while let Some(ended) = sessions.join_next().await {
                report(ended);
            }
        };
        if self.common.clock.within(deadline, all).await.is_err() {
            tracing::warn!("{} sessions did not end in time and are cut off", sessions.len());
            sessions.shutdown().await;
        }
    }

    fn admit(&self, stream: TcpStream, peer: IpAddr, sessions: &mut JoinSet<()>, stop: &watch::Receiver<bool>) {
        match self.common.places.enter(peer) {
            Ok(place) => {
                let conversation = self.converse(stream, peer, place, stop.clone());
                sessions.spawn(conversation.hold());
            }
            Err(full) => {
                tracing::warn!(%peer, "connection refused: {full}");
                self.turn_away(stream);
            }
        }
    }

    fn converse(&self, stream: TcpStream, peer: IpAddr, place: Place, stop: watch::Receiver<bool>) -> Conversation<T> {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%peer, "TCP_NODELAY: {error}");
        }
        Conversation::new(Arc::clone(&self.common), stream, peer, place, stop)
    }

    /// Says why and closes, without waiting: what a new connection takes at once must do.
    fn turn_away(&self, stream: TcpStream) {
        let mut reply = Vec::new();
        Reply::TooManyConnections.write(&self.common.session, &mut reply);
        let said = stream.into_std().and_then(|mut stream| stream.write_all(&reply));
        if let Err(error) = said {
            tracing::debug!("no reply to the refused connection: {error}");
        }
    }

    /// Waits a moment after an error of the listener, such as no file descriptor being left.
    async fn pause(&self, error: &std::io::Error, stop: &mut watch::Receiver<bool>) {
        tracing::warn!("cannot accept a connection: {error}");
        tokio::select! {
            () = stopped(stop) => {}
            () = self.common.clock.sleep(Span::from_millis(100)) => {}
        }
    }
}

/// Waits until the server is to stop; whoever could say so being gone means the same.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    if stop.wait_for(|stop| *stop).await.is_err() {
        tracing::debug!("nobody is left to stop the intake: it stops");
    }
}

/// A session that panicked is a fault of ours; the others go on.
fn report(ended: Result<(), JoinError>) {
    if let Err(error) = ended {
        tracing::error!("a session ended unexpectedly: {error}");
    }
}
