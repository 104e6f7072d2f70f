//! One connection: reads, feeds the session, does what it asks, writes its replies.
//!
//! What always holds: replies to commands that came together go out together, and 250 for a mail goes out only after
//! [`Take::take`] said that it is safe.

use super::pace::Pace;
use super::places::Place;
use super::wire::Wire;
use super::{Common, Take};
use crate::inbound::route::NotOurs;
use crate::model::{Received, Timestamp};
use crate::net::tls::identity::Identity;
use crate::service::reception::Destination;
use crate::smtp::server::{Answer, Handshake, Phase, Reply, Session, Step, Taken};
use std::net::IpAddr;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio_rustls::TlsAcceptor;

/// How much is read at once.
const PIECE: usize = 8 * 1024;
/// How many octets of replies wait at most, whatever a client pipelines.
const REPLIES_MAX: usize = 16 * 1024;
/// The steps in which the memory for a message is asked for; below one, it counts as part of what every session has.
const ROOM_STEP: usize = 16 * 1024;

/// One connection and its session.
pub(super) struct Conversation<T> {
    common: Arc<Common<T>>,
    wire: Wire,
    peer: IpAddr,
    session: Session,
    pace: Pace,
    replies: Vec<u8>,
    room: Option<OwnedSemaphorePermit>,
    stop: watch::Receiver<bool>,
    over_by: Option<Timestamp>,
    _place: Place,
}

/// Why a conversation ends.
#[derive(Debug)]
enum End {
    /// The client is gone, or there is nothing left to say to it.
    Gone,
    /// We close, with these last words.
    Close(Reply),
}

impl<T: Take> Conversation<T> {
    pub(super) fn new(
        common: Arc<Common<T>>,
        stream: TcpStream,
        peer: IpAddr,
        place: Place,
        stop: watch::Receiver<bool>,
    ) -> Self {
        let session = Session::new(Arc::clone(&common.session), peer);
        let pace = Pace::new(common.clock.now());
        Self {
            common,
            wire: Wire::Plain(stream),
            peer,
            session,
            pace,
            replies: Vec::new(),
            room: None,
            stop,
            over_by: None,
            _place: place,
        }
    }

    /// Talks until either side has had enough.
    pub(super) async fn hold(mut self) {
        let mut piece = vec![0; PIECE];
        self.say(Reply::Greeting);
        let end = loop {
            if let Err(end) = self.turn(&mut piece).await {
                break end;
            }
        };
        tracing::debug!(peer = %self.peer, ?end, "session ended");
        if let End::Close(reply) = end {
            self.say(reply);
            if self.flush().await.is_ok() {
                self.linger(&mut piece).await;
            }
        }
    }

    /// Sends what is to be said, reads a piece, and lets the session have it.
    async fn turn(&mut self, piece: &mut [u8]) -> Result<(), End> {
        self.flush().await?;
        let length = self.read(piece).await?;
        let piece = piece.get(..length).unwrap_or_default();
        self.feed(piece).await?;
        self.pace.heard(length, self.session.phase(), self.common.clock.now());
        self.make_room();
        Ok(())
    }

    async fn feed(&mut self, mut input: &[u8]) -> Result<(), End> {
        while !input.is_empty() {
            let (used, step) = self.session.on_bytes(input, self.common.clock.now());
            input = input.get(used..).unwrap_or_default();
            self.perform(step).await?;
            if self.replies.len() > REPLIES_MAX {
                self.flush().await?;
            }
        }
        Ok(())
    }

    async fn perform(&mut self, mut step: Step) -> Result<(), End> {
        loop {
            step = match step {
                Step::More => return Ok(()),
                Step::Say(reply) => {
                    self.say(reply);
                    return Ok(());
                }
                Step::Ask(to) => self.session.on_answer(match self.common.route.judge(&to) {
                    Ok(_) => Answer::Ours,
                    Err(NotOurs::Unknown) => Answer::Unknown,
                    Err(NotOurs::Foreign) => Answer::Foreign,
                }),
                Step::Take(received) => {
                    let taken = self.take(received).await;
                    self.session.on_taken(taken)
                }
                Step::StartTls(reply) => {
                    let acceptor = self.common.tls.as_ref().and_then(Identity::acceptor);
                    let handshake = match acceptor {
                        Some(acceptor) => Handshake::Done(self.secure(reply, &acceptor).await?),
                        None => Handshake::Unavailable,
                    };
                    self.session.on_handshake(handshake)
                }
                Step::Close(reply) => return Err(End::Close(reply)),
            }
        }
    }

    /// Bids the client to shake hands, and does; gives the version of TLS. Whoever cannot is let go without a word: there is
    /// nothing left to say it over.
    async fn secure(&mut self, reply: Reply, acceptor: &TlsAcceptor) -> Result<String, End> {
        self.say(reply);
        self.flush().await?;
        let deadline = self.not_after_the_end(self.common.clock.now().plus(self.common.deadlines.handshake));
        let mut stop = self.stop.clone();
        let shaken = tokio::select! {
            biased;
            // Nothing is lost: the client has just forgotten what it said before.
            () = super::stopped(&mut stop) => return Err(End::Gone),
            shaken = self.common.clock.within(deadline, self.wire.secure(acceptor)) => shaken,
        };
        let failed = match shaken {
            Ok(Ok(version)) => {
                self.pace.replied(self.common.clock.now());
                return Ok(version);
            }
            Ok(Err(cause)) => cause.to_string(),
            Err(late) => late.to_string(),
        };
        tracing::info!(peer = %self.peer, cause = failed, "STARTTLS: the handshake failed, the connection is closed");
        Err(End::Gone)
    }

    /// Hands the mail on; the memory it takes is given back after that.
    async fn take(&mut self, received: Received) -> Taken {
        let to: Vec<Destination> =
            received.recipients.iter().filter_map(|to| self.common.route.judge(to).ok()).collect();
        let deadline = self.common.clock.now().plus(self.common.deadlines.store);
        let stored = self.common.clock.within(deadline, self.common.take.take(received, to)).await;
        self.room = None;
        match stored {
            Ok(Ok(id)) => {
                self.pace.mail(self.common.clock.now());
                Taken::Queued(id)
            }
            Ok(Err(_)) => Taken::NotStored,
            Err(late) => {
                tracing::error!("a mail was not stored in time, its sender was told to try again: {late}");
                Taken::NotStored
            }
        }
    }

    fn say(&mut self, reply: Reply) {
        tracing::debug!(peer = %self.peer, ?reply);
        reply.write(&self.common.session, &mut self.replies);
        self.pace.replied(self.common.clock.now());
    }

    async fn flush(&mut self) -> Result<(), End> {
        if self.replies.is_empty() {
            return Ok(());
        }
        let deadline = self.not_after_the_end(self.common.clock.now().plus(self.common.deadlines.write));
        let written = self.common.clock.within(deadline, self.wire.write(&self.replies)).await;
        self.replies.clear();
        match written {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(End::Gone),
        }
    }

    /// Waits for octets, or for the reason to stop waiting.
    async fn read(&mut self, piece: &mut [u8]) -> Result<usize, End> {
        if self.over_by.is_none() {
            let mut stop = self.stop.clone();
            tokio::select! {
                biased;
                () = super::stopped(&mut stop) => {
                    self.over_by = Some(self.common.clock.now().plus(self.common.deadlines.grace));
                }
                read = self.read_in_time(piece) => return read,
            }
        }
        // A transaction under way may be finished; a new one is not begun.
        if self.session.phase() == Phase::Idle {
            return Err(End::Close(Reply::Stopping));
        }
        self.read_in_time(piece).await
    }

    async fn read_in_time(&mut self, piece: &mut [u8]) -> Result<usize, End> {
        let deadline = self.not_after_the_end(self.pace.deadline(&self.common.deadlines));
        match self.common.clock.within(deadline, self.wire.read(piece)).await {
            Ok(Ok(0) | Err(_)) => Err(End::Gone),
            Ok(Ok(length)) => Ok(length),
            Err(_) if self.over_by == Some(deadline) => Err(End::Close(Reply::Stopping)),
            Err(_) => Err(End::Close(Reply::TooSlow)),
        }
    }

    fn not_after_the_end(&self, deadline: Timestamp) -> Timestamp {
        self.over_by.map_or(deadline, |over_by| over_by.min(deadline))
    }

    /// Sees to it that a growing message is within what all messages together may take, or lets go of it.
    fn make_room(&mut self) {
        let held = self.session.held();
        if held == 0 {
            // A message that was too large has been let go of; its room is for others.
            self.room = None;
            return;
        }
        let have = self.room.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        if held <= have.max(ROOM_STEP) {
            return;
        }
        let more = u32::try_from(held.next_multiple_of(ROOM_STEP) - have).unwrap_or(u32::MAX);
        match (Arc::clone(&self.common.room).try_acquire_many_owned(more), &mut self.room) {
            (Ok(more), Some(room)) => room.merge(more),
            (Ok(more), None) => self.room = Some(more),
            (Err(_), _) => {
                tracing::warn!("mails under way use all the memory they may; one was put off");
                self.session.shed();
                self.room = None;
            }
        }
    }

    /// Closes our side, and reads what still comes: closing with octets unread would reset the connection, and the client
    /// would never see our last words.
    async fn linger(&mut self, piece: &mut [u8]) {
        if self.wire.shutdown().await.is_err() {
            return;
        }
        let deadline = self.not_after_the_end(self.common.clock.now().plus(self.common.deadlines.linger));
        let drained = async { while matches!(self.wire.read(piece).await, Ok(1..)) {} };
        if self.common.clock.within(deadline, drained).await.is_err() {
            tracing::debug!("the client did not close its side");
        }
    }
}
