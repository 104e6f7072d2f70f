//! Sockets that HTTP is spoken at: connections taken, bounded, and brought to an end.
//!
//! Where there is a certificate to show, HTTP is spoken behind a handshake only. Knows nothing of what is asked there. What
//! always holds: a client that sends nothing, sends slowly or does not read loses its connection at a deadline; no more
//! connections are open than there is room for, and no single address has more than half of them; at the end, answers under
//! way are finished.

use super::tls::identity::Identity;
use crate::clock::Clock;
use crate::model::{Network, Span, Timestamp};
use axum::Router;
use axum::http::{HeaderValue, Request, header};
use hyper::body::Incoming;
use hyper::rt::{Sleep, Timer};
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use std::collections::HashMap;
use std::convert::Infallible;
use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio_rustls::server::TlsStream;

/// How many connections are open at most.
const CONNECTIONS: usize = 1_024;
/// How long the head of a request may take to arrive, the handshake before it as long again, and a connection may stay idle.
const HEAD: Span = Span::from_secs(15);
/// The same where room is short: a phone with a slow line needs two seconds for it.
const HEAD_IN_A_CROWD: Span = Span::from_secs(5);
/// The largest head of a request, in bytes.
const HEAD_BYTES: usize = 16 * 1024;
/// How long a connection lives at most, so that one which does not read its answer ends too.
const LIFE: Span = Span::from_secs(300);
/// How long answers under way may take when the daemon stops.
const FAREWELL: Span = Span::from_secs(10);
/// How long to wait when the system has no socket to give.
const BREATH: Span = Span::from_millis(100);

/// What is served.
#[derive(Debug, Clone)]
pub struct Site {
    /// What the log calls it.
    pub name: &'static str,
    /// Who answers what; each request carries its [`Peer`].
    pub router: Router,
    /// What is shown by HTTPS; nothing: plain HTTP is spoken.
    pub tls: Option<Identity>,
    /// Tells the time.
    pub clock: Clock,
    /// The networks that may have every connection: proxies, behind which many others are.
    pub trusted: Vec<Network>,
}

/// The other side of a connection.
#[derive(Debug, Clone, Copy)]
pub struct Peer(pub IpAddr);

/// Serves a site on `listeners` until `stop` is done; then finishes what is under way. A door that shuts by itself ends it too:
/// nobody is to find it shut without anybody knowing.
pub async fn serve(site: Site, listeners: Vec<TcpListener>, stop: impl Future<Output = ()>) {
    let (closing, closed) = watch::channel(false);
    let room = Room::new(CONNECTIONS);
    let mut doors = JoinSet::new();
    for listener in listeners {
        doors.spawn(accept(site.clone(), listener, room.clone(), closed.clone()));
    }
    tokio::select! {
        () = stop => {}
        Some(ended) = doors.join_next() => report(ended),
    }
    closing.send_replace(true);
    while let Some(ended) = doors.join_next().await {
        report(ended);
    }
}

/// Where connections find room.
#[derive(Debug, Clone)]
struct Room {
    seats: usize,
    free: Arc<Semaphore>,
    held: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

/// The room of one connection, given back when it ends.
struct Seat {
    _free: OwnedSemaphorePermit,
    held: Arc<Mutex<HashMap<IpAddr, usize>>>,
    address: IpAddr,
}

impl Room {
    fn new(seats: usize) -> Self {
        Self { seats, free: Arc::new(Semaphore::new(seats)), held: Arc::default() }
    }

    /// Says whether more than half of the room is taken.
    fn is_crowded(&self) -> bool {
        self.free.available_permits() < self.seats / 2
    }

    fn seat(&self, free: OwnedSemaphorePermit, address: IpAddr, most: usize) -> Option<Seat> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let count = held.entry(address).or_default();
        if *count >= most {
            return None;
        }
        *count += 1;
        Some(Seat { _free: free, held: Arc::clone(&self.held), address })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = held.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                held.remove(&self.address);
            }
        }
    }
}

/// Takes connections at one door until the site closes.
async fn accept(site: Site, listener: TcpListener, room: Room, mut closed: watch::Receiver<bool>) {
    let closing = closed.clone();
    let mut guests = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            _ = closed.wait_for(|closed| *closed) => break,
            Some(ended) = guests.join_next() => report(ended),
            next = next(&site, &listener, &room) => {
                if let Some((stream, seat)) = next {
                    guests.spawn(host(site.clone(), stream, (seat, room.clone()), closing.clone()));
                }
            }
        }
    }
    // From here on a newcomer is refused at once instead of waiting for nobody.
    drop(listener);
    let farewell = site.clock.now().plus(FAREWELL);
    let all = async {
        while let Some(ended) = guests.join_next().await {
            report(ended)
        }
    };
    if site.clock.within(farewell, all).await.is_err() {
        tracing::warn!(site = site.name, "connections were cut: they did not end in time");
    }
}

/// Waits for room, then for a connection.
async fn next(site: &Site, listener: &TcpListener, room: &Room) -> Option<(TcpStream, Seat)> {
    let free = Arc::clone(&room.free).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, peer)) => {
            let address = peer.ip().to_canonical();
            let trusted = site.trusted.iter().any(|network| network.contains(address));
            // A carrier's gateway stands for thousands of phones.
            let most = if trusted { room.seats } else { room.seats / 2 };
            room.seat(free, address, most).map(|seat| (stream, seat))
        }
        Err(cause) => {
            tracing::warn!(site = site.name, %cause, "a connection could not be taken");
            site.clock.sleep(BREATH).await;
            None
        }
    }
}

/// Serves one connection. Where room is short, it ends with its answer instead of staying for another.
async fn host(site: Site, stream: TcpStream, (seat, room): (Seat, Room), mut closed: watch::Receiver<bool>) {
    let head = if room.is_crowded() { HEAD_IN_A_CROWD } else { HEAD };
    let Some(identity) = site.tls.clone() else { return answer(site, stream, head, (seat, room), closed).await };
    let shaking = site.clock.within(site.clock.now().plus(head), shake(&identity, stream));
    let shaken = tokio::select! {
        biased;
        shaken = shaking => shaken,
        _ = closed.wait_for(|closed| *closed) => return,
    };
    match shaken {
        Ok(Ok(stream)) => answer(site, stream, head, (seat, room), closed).await,
        Ok(Err(cause)) => tracing::debug!(site = site.name, %cause, "a handshake failed"),
        Err(late) => tracing::debug!(site = site.name, cause = %late, "a handshake failed"),
    }
}

/// Takes a connection into TLS; where there is nothing to show, or it begins in plain, that is its end.
async fn shake(identity: &Identity, stream: TcpStream) -> std::io::Result<Box<TlsStream<TcpStream>>> {
    let acceptor = identity.acceptor().ok_or_else(|| std::io::Error::other("there is no certificate to show"))?;
    acceptor.accept(stream).await.map(Box::new)
}

/// Answers what is asked on one connection.
async fn answer(
    site: Site,
    stream: impl AsyncRead + AsyncWrite + Unpin,
    head: Span,
    (seat, room): (Seat, Room),
    mut closed: watch::Receiver<bool>,
) {
    let Site { name, router, clock, .. } = site;
    let end = clock.now().plus(LIFE);
    let peer = Peer(seat.address);
    let router = TowerToHyperService::new(router);
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(peer);
        let (answer, room) = (router.call(request), room.clone());
        async move {
            let mut answer = answer.await?;
            if room.is_crowded() {
                answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            Ok::<_, Infallible>(answer)
        }
    });
    let connection = http1::Builder::new()
        .timer(ClockTimer::new(clock.clone()))
        .header_read_timeout(head.to_std())
        .max_header_size(HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    let served = tokio::select! {
        biased;
        done = connection.as_mut() => Some(done),
        _ = closed.wait_for(|closed| *closed) => None,
        () = clock.sleep_until(end) => None,
    };
    let served = match served {
        Some(done) => Ok(done),
        None => {
            connection.as_mut().graceful_shutdown();
            clock.within(clock.now().plus(FAREWELL), connection).await
        }
    };
    if let Ok(Err(cause)) = served {
        tracing::debug!(site = name, %cause, "a connection broke");
    }
    drop(seat);
}

fn report(ended: Result<(), tokio::task::JoinError>) {
    if let Err(cause) = ended {
        tracing::error!(%cause, "a connection ended by a panic");
    }
}

/// Our clock, as hyper wants one: its moments are counted from the one at which the connection began.
struct ClockTimer {
    clock: Clock,
    began: Timestamp,
    zero: Instant,
}

impl ClockTimer {
    #[expect(
        clippy::disallowed_methods,
        reason = "hyper counts in instants; this one is only an origin, time comes from our clock"
    )]
    fn new(clock: Clock) -> Self {
        Self { began: clock.now(), zero: Instant::now(), clock }
    }

    fn until(&self, moment: Timestamp) -> Pin<Box<dyn Sleep>> {
        let clock = self.clock.clone();
        Box::pin(Sleeper(Box::pin(async move { clock.sleep_until(moment).await })))
    }
}

impl Timer for ClockTimer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        self.until(self.clock.now().plus(span(duration)))
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        self.until(self.began.plus(span(deadline.saturating_duration_since(self.zero))))
    }

    fn now(&self) -> Instant {
        self.zero + self.clock.now().since(self.began).to_std()
    }
}

fn span(duration: Duration) -> Span {
    Span::from_millis(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX))
}

/// Waits for a moment of our clock.
struct Sleeper(Pin<Box<dyn Future<Output = ()> + Send + Sync>>);

impl Future for Sleeper {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        self.0.as_mut().poll(context)
    }
}

impl Sleep for Sleeper {}

#[cfg(test)]
mod tests;
